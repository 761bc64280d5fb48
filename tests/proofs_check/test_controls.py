"""Controls are the claim with one thing wrong: the wrong side by its own formula, the other side solved here.

Both sides are computed again without the book: in 50 digits, by minimisation in one variable, or by solving the instance that
the control names. So a control that is rejected for another reason than the one it tells is noticed.
"""

from types import SimpleNamespace

import mpmath as mp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import ufm
from proofs_check import sunshi2024_audit
from proofs_check.enclosure import Outcome
from proofs_check.registry import all_theorems
from tests.proofs_check.remembered import SOLVE, THRESHOLD, listen


@pytest.fixture
def heard(request, monkeypatch):
    return listen(monkeypatch, request.node.name)


def at(side, value, relative=1e-9):
    """Whether an enclosure is narrow and lies at a number."""
    value = float(value)
    assert side.lower - relative * abs(value) <= value <= side.upper + relative * abs(value)
    assert side.upper - side.lower <= 3 * relative * abs(value)
    return True


def simplex(classes, height):
    """Cross-entropy of ``height S`` on balanced classes."""
    with mp.workdps(50):
        return mp.log(1 + (classes - 1) * mp.exp(-mp.mpf(height)))


def value(counts, regularizer, **options):
    """Certified optimum, from its upper end."""
    return SOLVE(ufm.Problem(counts, regularizer=regularizer, **options), level="rigorous").certificate.upper


TEN = mp.sqrt(5) * 10 / 9
"""Height of the ETF of ten classes at ``c = sqrt 5``, the instance of the tables."""


def test_control_of_f1(heard):
    ((wrong, found),) = heard
    assert at(wrong, simplex(10, mp.sqrt(5)))
    assert at(found, simplex(10, TEN))


def test_control_of_f2(heard):
    """Budgets 1 and 4, and both traces bounded by their mean 5/2 instead of the geometric mean 2."""
    ((right, wrong),) = heard
    counts = ufm.ClassCounts.parse("30*2,5*3")
    assert at(right, value(counts, ufm.NormBudget(2, 2)))
    assert at(wrong, value(counts, ufm.NormBudget(2.5, 2.5)), 1e-6)


def test_control_of_f3(heard):
    """Half the threshold of five and five classes at c = sqrt 5."""
    (problem,) = heard.problems
    (m, large), (k, small) = problem.counts.groups
    assert (m, k) == (5, 5)
    assert problem.regularizer == ufm.NormBudget(1, 5)
    assert large / small == pytest.approx(THRESHOLD(classes=(5, 5), regularizer=ufm.NormBudget(1, 5)).value / 2, rel=1e-6)


def test_control_of_f5(heard):
    """Just above the threshold at ``(K - 1) c`` in place of ``K c``, i.e. both budgets times 9/10."""
    (problem,) = heard.problems
    (m, large), (k, small) = problem.counts.groups
    assert (m, k) == (5, 5)
    assert problem.regularizer == ufm.NormBudget(1, 5)
    assert large / small == pytest.approx(
        1.05 * THRESHOLD(classes=(5, 5), regularizer=ufm.NormBudget(0.9, 4.5)).value, rel=1e-6
    )


def test_control_of_f4(heard):
    ((right, wrong),) = heard
    assert at(right, simplex(10, TEN))
    assert heard.problems[0].loss == ufm.CrossEntropy(weights=0.5)
    # Weights n^(-1/2): classes of 1000 and of 10 have shares as 10 to 1, as without weights at sizes 10 and 1.
    assert at(wrong, value([10] * 5 + [1] * 5, ufm.NormBudget(1, 5)))


def test_control_of_h1(heard):
    """Decays .002 and .02, whose geometric mean is mu and whose arithmetic mean is .011."""
    ((wrong, found),) = heard
    counts = ufm.ClassCounts.parse("40*2,10*3")
    assert at(wrong, value(counts, ufm.WeightDecay(0.011, 0.011)))
    mu = float(np.sqrt(2e-3 * 2e-2))
    assert at(found, value(counts, ufm.WeightDecay(mu, mu)), 1e-6)


def least(loss, price, length=1.0, top=60.0):
    """Least ``loss(a) + price length a`` over a >= 0."""
    return minimize_scalar(lambda a: loss(a) + price * length * a, bounds=(0, top), method="bounded", options={"xatol": 1e-12})


def test_control_of_z2(heard):
    ((wrong, found),) = heard
    charge = mp.sqrt(20) * mp.mpf("0.005")
    a = -mp.log(charge)  # the height without the term K - 1
    assert at(wrong, simplex(10, a) + 9 * charge * a)
    assert at(found, least(lambda a: np.log1p(9 * np.exp(-a)), 9 * float(charge)).fun)


def test_control_of_m1(heard):
    """At three times the threshold: the mean direction alive in truth, and held at zero in the wrong claim."""
    ((wrong, found),) = heard
    k, n, mu = 5, 20, 2e-3
    total, t = k * n, k * n**0.5 * mu
    curve = 3 * t / (1 - t) / (1 + 3 * t / (1 - t))

    def direction(c):
        return minimize_scalar(
            lambda s: c * (s - n**0.5) ** 2 / (2 * total) + mu * s, bounds=(0, 9), method="bounded", options={"xatol": 1e-12}
        ).fun

    assert at(wrong, (k - 1) * direction(1.0) + curve / (2 * k))
    assert at(found, (k - 1) * direction(1.0) + direction(curve))


def deep(sizes, layers, weight, features, factor=1.0):
    """``sum (n/2N) min over x of 1/(x^M+1) + factor (b/n) x``, each class by minimisation."""
    total = sum(sizes)
    b = factor * layers * total * (total * weight**layers * features) ** (1 / layers)

    def one(n):
        return minimize_scalar(
            lambda x: 1 / (x**layers + 1) + b / n * x, bounds=(1, 40), method="bounded", options={"xatol": 1e-12}
        ).fun

    return sum(n / (2 * total) * one(n) for n in sizes)


def test_control_of_b1(heard):
    ((wrong, found),) = heard
    assert at(wrong, deep((30, 20, 10, 5), 2, 1e-3, 3e-3, 3 / 2))
    assert at(found, deep((30, 20, 10, 5), 2, 1e-3, 3e-3))


def test_control_of_e1(heard):
    """Each column by itself; the wrong one takes a length of ``e_k - 1/K`` of one."""
    ((wrong, found),) = heard
    sizes, mu = (200, 100, 50, 50), 5e-4

    def height(n, length):
        return np.log(3 * (np.sqrt(n) / (400 * mu * length) - 1))

    def total(length):
        return sum(
            n / 400 * np.log1p(3 * np.exp(-height(n, length))) + mu * np.sqrt(n) * length * height(n, length) for n in sizes
        )

    assert at(wrong, total(1.0))
    assert at(found, total(np.sqrt(0.75)))


def test_control_of_y(heard):
    ((wrong, found),) = heard
    (problem,) = heard.problems
    assert problem.counts == ufm.ClassCounts.parse("1000*5,10*5")
    assert at(wrong, simplex(10, mp.sqrt(5)))
    assert at(found, simplex(10, TEN))


def test_control_of_d1(heard):
    ((wrong, found),) = heard
    counts = ufm.ClassCounts.parse("20*2,5*3")
    assert at(wrong, value(counts, ufm.NormBudget(1, 2 * 1.5**2)))
    assert at(found, value(counts, ufm.NormBudget(1, 2 * 2.0**2)), 1e-5)


def test_control_of_d2(heard):
    ((wrong, found),) = heard
    assert at(wrong, simplex(10, TEN * mp.mpf("1.3")))
    assert at(found, simplex(10, TEN / mp.mpf("0.7")))


def test_control_of_d4(heard):
    """The ETF's cosine -1/9, against that of the explicit model at twice the budget."""
    ((wrong, found),) = heard
    assert at(wrong, mp.mpf(-1) / 9)
    solution = SOLVE(ufm.Problem([10] * 5 + [1] * 5, regularizer=ufm.NormBudget(1.0, 20.0)))
    assert at(found, ufm.geometry(solution)["cos_minority"], 1e-3)


def test_control_of_d5(heard):
    """K = 10, c = sqrt 5, E_A = .3: the ETF's nine strengths share E_A; with A = sqrt(E_A) I each has all of it."""
    (etf, best), (wrong, attained) = heard
    share = mp.sqrt(mp.mpf("0.3") / 9)
    assert at(etf, simplex(10, TEN / (1 - share)))
    assert at(attained, simplex(10, TEN / (1 - share)))
    assert at(wrong, simplex(10, TEN / (1 - mp.sqrt(mp.mpf("0.3")))))
    assert best == sunshi2024_audit.found_value(heard.problems[0], "rigorous")
    radius = 10 * mp.sqrt(5) / (5 - mp.sqrt(mp.mpf("1.5")))
    assert best.upper <= float(mp.log(1 + mp.exp(-radius) + 8 * mp.exp(-radius / 2))) * (1 + 1e-9)  # the pair code at most


def test_control_of_d6(heard):
    """``9 s^p = level^(3p/2)...``: singular values ``(L/9)^{1/p}`` with ``L = (10^2 50)^{1/3}``, p = 2/3 and wrongly 1/2."""
    (etf, best), (wrong, attained) = heard
    share = mp.cbrt(5000) / 9
    assert at(etf, simplex(10, share ** mp.mpf("1.5")))
    assert at(attained, simplex(10, share ** mp.mpf("1.5")))
    assert at(wrong, simplex(10, share**2))
    assert best == sunshi2024_audit.found_value(heard.problems[0], "rigorous")
    rank_five = (mp.cbrt(5000) / 5) ** mp.mpf("1.5")
    assert best.upper <= float(mp.log(1 + mp.exp(-rank_five) + 8 * mp.exp(-rank_five / 2))) * (1 + 1e-9)


def code(classes, layers, rank, height, margins):
    """Least loss plus price of a code over its multiples s: ``rank`` singular values ``height s sqrt n``."""
    power, decay, n = 2 / (layers + 1), 2.0**-10, 5

    def value(s):
        return np.log1p(sum(m * np.exp(-h * s) for m, h in margins)) + rank * decay / power * (height * s * n**0.5) ** power

    grid = np.linspace(1, 60, 600)
    best = grid[int(np.argmin(value(grid)))]
    return minimize_scalar(value, bounds=(best - 0.2, best + 0.2), method="bounded", options={"xatol": 1e-12}).fun


def test_control_of_g1(heard):
    (ten, pairs), (odd, five), (wrong, attained) = heard
    assert at(ten, code(10, 2, 9, 1, [(9, 1)]), 2e-3)
    assert at(pairs, code(10, 2, 5, 1, [(1, 1), (8, 0.5)]), 2e-3)
    assert at(five, code(5, 2, 4, 1, [(4, 1)]), 2e-3)
    # Of five classes two are a pair (height s) and three a triple (height 3s/4): the mean loss, and both prices.
    power = 2 / 3

    def triple(s):
        pair = np.log1p(np.exp(-s) + 3 * np.exp(-s / 2))
        three = np.log1p(2 * np.exp(-0.75 * s) + 2 * np.exp(-s / 2))
        price = 2.0**-10 / power * 5 ** (power / 2) * (s**power + 2 * (0.75 * s) ** power)
        return (2 * pair + 3 * three) / 5 + price

    assert at(odd, minimize_scalar(triple, bounds=(10, 40), method="bounded").fun, 2e-3)
    assert at(attained, code(10, 2, 9, 1, [(9, 1)]))
    assert at(wrong, code(10, 3, 9, 1, [(9, 1)]))


def test_control_of_d8(heard):
    """The explicit head's ratio 7, and half a nat."""
    (found, early), (below, half), (other, explicit) = heard
    assert [p.head for p in heard.problems] == [ufm.DecayedDEQ(0.05, 0.5), ufm.Explicit()]
    assert {options["minority_count"] for options in heard.thresholds} == {100}
    assert 9 < found.lower <= found.upper < 11
    assert early.lower == early.upper == pytest.approx(7, abs=0.2)
    assert at(half, 0.5)
    assert at(other, 0.5)
    assert below.lower > 1
    assert explicit.upper < 0.1


def test_control_of_d9(heard):
    """R = 18 in the band: the optimum against an end above it."""
    (optimum, end), _ = heard
    head, decay = ufm.LinearDEQ(0.3), ufm.WeightDecay(1e-2, 1e-2)
    assert at(optimum, value(ufm.ClassCounts.parse("180*2,10*3"), decay, head=head))
    assert end.lower > optimum.upper * (1 + 1e-6)
    assert end.upper - end.lower < 3e-9 * end.upper
    critical = THRESHOLD(classes=(2, 3), regularizer=decay, minority_count=10, head=head, level="rigorous")
    assert critical.lower > 18


def test_control_of_z1(heard):
    (lowest, small), _ = heard
    assert lowest.upper - lowest.lower == pytest.approx(1e-9 + 1e-12)
    (problem,) = heard.problems
    assert problem == ufm.Problem([5] * 4, regularizer=ufm.WeightDecay(1e-2, 1e-2), dim=6)
    assert -1e-9 < lowest.lower <= lowest.upper < 1e-6
    assert at(small, -1e-6)


def test_a_saddle_taken_for_a_minimiser_is_noticed(monkeypatch):
    """Z1's control would hold, and so not be a control."""
    monkeypatch.setattr(ufm, "classify", lambda *_: SimpleNamespace(kind="global minimiser"))
    *_, finding = all_theorems()["Z1"]().control("float")
    assert finding.outcome is Outcome.HOLDS
    assert finding.margin == 1
