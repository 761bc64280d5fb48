"""Twins are images of one instance under a symmetry of the model, and what lies outside breaks one hypothesis and no other.

The problems that are solved for them are compared with the instance and its images, written out here; values in closed form are
computed again in 50 digits.
"""

from dataclasses import replace
from math import sqrt
from types import SimpleNamespace

import mpmath as mp
import numpy as np
import pytest

import ufm
from proofs_check import dang2024
from proofs_check.enclosure import Outcome
from proofs_check.registry import all_theorems
from tests.proofs_check.remembered import SOLVE, THRESHOLD, hear, listen
from tests.proofs_check.test_controls import TEN, at, deep, simplex, value
from ufm.solvers import Convex, Factored, Gradient

BOOK = all_theorems()
B, D, P = ufm.NormBudget, ufm.WeightDecay, ufm.Problem


@pytest.fixture
def heard(request, monkeypatch):
    """What the part of a theorem that the test names compares."""
    return listen(monkeypatch, request.node.name)


def copies(counts, times):
    """Every sample that often."""
    return [n * times for n in counts]


def step(*runs):
    """Class sizes from (count, size)."""
    return [n for m, n in runs for _ in range(m)]


def is_point(side):
    return side.lower == side.upper


def test_twin_of_f1(heard):
    """Samples tripled; budgets exchanged."""
    assert all(at(side, simplex(10, TEN)) for pair in heard for side in pair)
    once = [7] * 10
    assert heard.problems == [
        P(once, regularizer=B(1, 5)),
        P(copies(once, 3), regularizer=B(1, 5)),
        P(once, regularizer=B(5, 1)),
    ]


def test_outside_of_f1(heard):
    """Six classes in three dimensions."""
    ((etf, found),) = heard
    assert at(etf, simplex(6, mp.sqrt(5) * 6 / 5))
    assert is_point(found)
    assert heard.problems == [P([3] * 6, regularizer=B(1, 5), dim=3)]


def test_twin_of_f2(heard):
    """Budgets exchanged, classes in another order."""
    ((a, b),) = heard
    assert at(a, value([9, 4, 4, 1], B(0.5, 3)))
    assert at(b, value([9, 4, 4, 1], B(0.5, 3)), 1e-6)
    first, second = heard.problems
    assert first == P([9, 4, 4, 1], regularizer=B(0.5, 3))
    assert second == P([4, 1, 9, 4], regularizer=B(3, 0.5))


def test_outside_of_f2(heard):
    """One dimension."""
    ((wide, narrow),) = heard
    assert at(wide, simplex(4, mp.sqrt(5) * 4 / 3))
    assert is_point(narrow)
    assert heard.problems == [P([3] * 4, regularizer=B(1, 5), dim=1), P([3] * 4, regularizer=B(1, 5))]


def test_twin_of_f3(heard):
    base = P(step((2, 60), (3, 10)), regularizer=B(1, 2))
    assert heard.problems == [base, P(step((3, 20), (2, 120)), regularizer=B(1, 2))]
    cosine = ufm.geometry(SOLVE(base))["cos_minority"]
    assert all(at(side, cosine, 1e-4) for side in heard[0])


def test_outside_of_f3(heard):
    """Minority samples copied until there are a million of every class: the contrast is the ETF's."""
    assert heard.problems == [P([10**6] * 10, regularizer=B(1, 5))]
    assert heard.margins == [pytest.approx(float(TEN), rel=1e-4)]


def test_twin_of_f4(heard):
    assert all(at(side, simplex(10, TEN)) for pair in heard for side in pair)
    counts = step((5, 1000), (5, 10))
    assert [p.counts for p in heard.problems] == [ufm.ClassCounts.of(c) for c in (counts, counts, [1000] * 10)]
    ((large, small), _) = heard.problems[1].counts.groups, 0
    one, ratio = heard.problems[1].loss.weights
    assert large[1] * one == small[1] * ratio  # each class has the same share
    assert all(p.regularizer == B(1, 5) for p in heard.problems)


def test_outside_of_f4(heard):
    """Weights under decay per sample, and no weights under budgets."""
    counts, decay = step((5, 100), (5, 10)), D(2e-3, 2e-3)
    weighted, plain = heard.problems
    assert weighted == P(counts, regularizer=decay, loss=ufm.CrossEntropy(weights=1.0))
    assert plain == P(counts, regularizer=B(1, 1))
    found = ufm.collapse(SOLVE(weighted)).groups
    for side, group in zip(heard[0], found, strict=True):
        assert at(side, (group.lower + group.upper) / 2, 1e-4)
    assert 0 <= heard.margins[1] <= 1e-6  # what a contrast of zero leaves of the tolerance


def test_twin_of_f5(heard):
    critical = THRESHOLD(classes=(3, 7), regularizer=B(1, 5)).value
    assert all(at(side, critical) for pair in heard for side in pair)


def test_outside_of_f5(heard):
    """Decay with ``sqrt(n_B) = N mu / 1.01``, at 0.99 times the ratio of the budgets c = sqrt 5."""
    (problem,) = heard.problems
    (_, large), (_, small) = problem.counts.groups
    assert large / small == pytest.approx(0.99 * THRESHOLD(classes=(5, 5), regularizer=B(1, 5)).value, rel=1e-6)
    decay = problem.regularizer
    assert decay.weight == decay.features
    assert problem.counts.total * decay.weight / sqrt(small) == pytest.approx(1.01, rel=1e-6)
    assert 0 <= heard.margins[0] <= 1e-6


def test_twin_of_h1(heard):
    """Decays exchanged and classes in another order; four times the samples with decays halved."""
    counts = [30, 12, 5, 1]
    best = value(counts, D(5e-3, 8e-3))
    assert all(at(side, best) for pair in heard for side in pair)
    base, moved, more = heard.problems
    assert base == P(counts, regularizer=D(5e-3, 8e-3))
    assert moved == P([1, 30, 5, 12], regularizer=D(8e-3, 5e-3))
    assert more == P(copies(counts, 4), regularizer=D(2.5e-3, 4e-3))


def test_outside_of_h1(heard):
    """Six classes in two dimensions."""
    ((wide, narrow),) = heard
    assert at(wide, value([20] * 6, D(2e-3, 2e-3)))
    assert is_point(narrow)
    assert heard.problems == [P([20] * 6, regularizer=D(2e-3, 2e-3), dim=2), P([20] * 6, regularizer=D(2e-3, 2e-3))]


def edge(problem):
    """``sqrt(n_B) / (N mu)``."""
    mu = sqrt(problem.regularizer.weight * problem.regularizer.features)
    return sqrt(min(n for _, n in problem.counts.groups)) / (problem.counts.total * mu)


def test_control_of_h3(heard):
    """Collapse at a margin of 0.9, none at 1.01, ten times the samples in the majority."""
    assert [p.counts for p in heard.problems] == [ufm.ClassCounts.of(step((5, 10_000), (5, 1000)))] * 2
    assert [edge(p) for p in heard.problems] == pytest.approx([0.9, 1.01])
    assert 0 <= heard.margins[0] <= 1e-6
    assert heard.margins[1] == pytest.approx(ufm.collapse(SOLVE(heard.problems[1])).lower, rel=1e-3)


def test_twin_of_h3(heard):
    base, moved, yes, no = heard.problems
    assert base.counts == ufm.ClassCounts.of(step((5, 8000), (5, 1000)))
    assert moved.counts == ufm.ClassCounts.of(step((5, 4000), (5, 32000)))
    assert (base.regularizer, moved.regularizer) == (D(5e-4, 5e-4), D(2.5e-4, 2.5e-4))
    assert edge(base) > 1
    contrast = ufm.collapse(SOLVE(base)).upper
    assert all(at(side, contrast, 1e-5) for side in heard[0])
    # A third group, with the smallest a hundredth on either side of its threshold.
    assert yes.counts == no.counts == ufm.ClassCounts.of(step((3, 5000), (2, 3000), (5, 1000)))
    assert [edge(yes), edge(no)] == pytest.approx([1 / 1.01, 1 / 0.99])
    assert 0 <= heard.margins[1] <= 1e-6
    assert heard.margins[2] > 1e-3


def test_outside_of_h3(heard):
    """A single smallest class, with N mu half again as large as its square root."""
    (problem,) = heard.problems
    assert problem.counts == ufm.ClassCounts.of([2000] * 4 + [100])
    assert edge(problem) == pytest.approx(2 / 3)
    assert heard.margins[0] > 1e-3


def test_twin_of_z2(heard):
    base, more, split = heard.problems
    assert base == P([20] * 10, regularizer=D(5e-3, 5e-3))
    assert more == P([80] * 10, regularizer=D(2.5e-3, 2.5e-3))
    assert split == P([20] * 10, regularizer=D(2.5e-3, 1e-2))
    assert all(at(side, value([20] * 10, D(5e-3, 5e-3))) for pair in heard for side in pair)


def test_outside_of_z2(heard):
    (problem,) = heard.problems
    assert problem == P(step((5, 40), (5, 10)), regularizer=D(5e-3, 5e-3))
    groups = ufm.collapse(SOLVE(problem)).groups
    for side, group in zip(reversed(heard[0]), groups, strict=True):
        assert at(side, (group.lower + group.upper) / 2, 1e-4)


def test_twin_of_z1(heard):
    """A saddle's curvature, before and after a rotation; of the first instance of the grid."""
    ((a, b),) = heard
    assert a.upper < 0
    assert b.upper < 0
    assert at(b, (a.lower + a.upper) / 2, 1e-6)


def test_outside_of_z1(heard):
    """Ten classes through two linear layers, at the decay of G1; and a narrow model."""
    problem = P([5] * 10, regularizer=D(2.0**-10, 2.0**-10), head=ufm.Explicit(2))
    assert heard.problems == [problem]
    _, (upper, etf) = heard
    assert is_point(upper)
    assert is_point(etf)


def test_twin_of_m1(heard):
    """Four times the samples with decays halved; decay moved from one factor to the other; the bias decay as before."""
    base, more, split = heard.problems
    assert [p.counts for p in heard.problems] == [ufm.ClassCounts.of([n] * 5) for n in (20, 80, 20)]
    decays = [(p.regularizer.weight, p.regularizer.features) for p in heard.problems]
    assert decays == [(2e-3, 2e-3), (1e-3, 1e-3), (1e-3, 4e-3)]
    t = 5 * sqrt(20) * 2e-3
    assert [p.regularizer.bias for p in (base, more, split)] == pytest.approx([0.98 * t / (1 - t)] * 3)


def test_outside_of_m1(heard):
    """Unequal classes with a free bias; and decays that leave nothing."""
    unequal, heavy = heard.problems
    assert unequal == P(step((2, 40), (3, 10)), regularizer=D(2e-3, 2e-3, 0.0), loss=ufm.SquaredError())
    assert heavy == P([7] * 3, regularizer=D(0.2, 0.2, 0.1), loss=ufm.SquaredError())
    assert 3 * sqrt(7) * 0.2 > 1
    assert all(is_point(side) for side in heard[0])
    assert heard[1] == ("yes", "yes")


def squared(sizes, layers, weight, features):
    return P(list(sizes), regularizer=D(weight, features), loss=ufm.SquaredError(), head=ufm.Explicit(layers))


def test_twin_of_b1(heard):
    base, turned, more = heard.problems
    assert base == squared((30, 20, 10, 5), 2, 1e-3, 3e-3)
    assert turned == squared((10, 5, 30, 20), 2, 1e-3, 3e-3)
    # N lw^2 lh stays: four times the samples, each decay over the cube root of four.
    assert more.counts == ufm.ClassCounts.of(copies((30, 20, 10, 5), 4))
    decays = more.regularizer
    assert 4 * decays.weight**2 * decays.features == pytest.approx(1e-3**2 * 3e-3)
    assert decays.features == pytest.approx(3 * decays.weight)
    assert all(at(side, deep((30, 20, 10, 5), 2, 1e-3, 3e-3)) for pair in heard for side in pair)


def test_outside_of_b1(heard):
    """A free bias: no column of logits has a mean, so that the others are ``-own/4``; own ``= 1 - K sqrt(n) mu`` times 4/5."""
    assert heard.problems == [P([20] * 5, regularizer=D(2e-3, 2e-3, 0.0), loss=ufm.SquaredError())]
    ((zero, off),) = heard
    assert zero.lower == zero.upper == 0
    assert at(off, (1 - 5 * sqrt(20) * 2e-3) / 5, 1e-6)


def strength(problem):
    """``b = M N (N lw^M lh)^{1/M}``."""
    m, total, decay = problem.head.layers, problem.counts.total, problem.regularizer
    return m * total * (total * decay.weight**m * decay.features) ** (1 / m)


def test_control_of_b2(heard):
    """Two layers at 0.99 of the threshold of one, ``b = n``; and one layer at 0.9 of its own."""
    two, one = heard.problems
    assert two.counts == one.counts == ufm.ClassCounts.of([10] * 4)
    assert (two.head.layers, one.head.layers) == (2, 1)
    assert strength(two) / 10 == pytest.approx(0.99)
    assert strength(one) / 10 == pytest.approx(0.9)


def test_twin_of_b2(heard):
    few, many = heard.problems
    assert few.counts == ufm.ClassCounts.of([10] * 4)
    assert many.counts == ufm.ClassCounts.of([40] * 4)
    assert few.head.layers == many.head.layers == 2
    assert strength(few) / 10 == pytest.approx(0.99 / 2)
    assert strength(many) / 40 == pytest.approx(0.99 / 2)


def test_outside_of_b2(heard):
    """Two layers at b/n = 0.505: both stationary points, by the larger root of ``2 x = ratio (x^2 + 1)^2``."""
    (problem,) = heard.problems
    assert problem.counts == ufm.ClassCounts.of([10] * 4)
    assert problem.head.layers == 2
    ratio = strength(problem) / 10
    assert ratio == pytest.approx(1.01 / 2)
    with mp.workdps(30):
        x = mp.findroot(lambda v: 2 * v - ratio * (v**2 + 1) ** 2, 1.0)
        other = (1 / (x**2 + 1) + ratio * x) / 2
    ((dead, alive),) = heard
    assert at(dead, 0.5)
    assert at(alive, other, 1e-11)
    assert float(other) > 0.5


def product(problem):
    """``n lh lw^L`` over ``(L-1)^{L-1} / (2^{L+1} L^{2L})``."""
    layers, decay = problem.head.layers, problem.regularizer
    edge = (layers - 1) ** (layers - 1) / (2 ** (layers + 1) * layers ** (2 * layers))
    return problem.counts.total / 2 * decay.features * decay.weight**layers / edge


def test_control_of_m3(heard):
    (problem,) = heard.problems
    assert problem.counts == ufm.ClassCounts.of([50] * 2)
    assert problem.head.layers == 3
    assert product(problem) == pytest.approx(1.9)


def test_twin_of_m3(heard):
    assert [p.counts for p in heard.problems] == [ufm.ClassCounts.of([n] * 2) for n in (50, 3)]
    assert [p.head.layers for p in heard.problems] == [3, 3]
    assert [product(p) for p in heard.problems] == pytest.approx([0.9, 0.9])
    assert heard[0][1].lower < 0.5


def test_outside_of_m3(heard):
    """A hundred samples as 70 and 30, two percent beyond the threshold of 50 and 50."""
    (problem,) = heard.problems
    assert problem.counts == ufm.ClassCounts.of([70, 30])
    assert problem.head.layers == 3
    assert product(problem) == pytest.approx(1.02)
    assert at(heard[0][1], 0.5, 1e-11)


def test_twin_of_e1(heard):
    def relu(counts, decay, **options):
        return P(list(counts), regularizer=D(decay, decay), head=ufm.ReLU(), **options)

    base, turned, more, trained, exact = heard.problems
    assert base == relu((200, 100, 50, 50), 5e-4)
    assert turned == relu((50, 200, 50, 100), 5e-4)
    assert more == relu((800, 400, 200, 200), 2.5e-4)
    assert trained == exact == relu((8, 4, 4), 8e-3, dim=6)
    assert all(side.width < 1e-4 for side in heard[2])


def test_outside_of_e1(heard):
    free, signed, dead = heard.problems
    assert free == P([20] * 3, regularizer=D(5e-3, 5e-3))
    assert signed == P([20] * 3, regularizer=D(5e-3, 5e-3), head=ufm.ReLU())
    assert dead.head == ufm.ReLU()
    assert dead.counts == ufm.ClassCounts.of([100, 100, 1])
    assert dead.regularizer == D(3e-2, 3e-2)
    sizes = [100, 100, 1]
    squares = [(sum(sizes) * dead.regularizer.weight) ** 2 / n for n in sizes]
    assert [s >= 2 / 3 for s in squares] == [False, False, True]  # the smallest class alone dies
    assert heard.margins[-1] == 1  # its height is zero
    assert at(heard[0][0], value([20] * 3, D(5e-3, 5e-3)))
    assert at(heard[0][1], value([20] * 3, D(5e-3, 5e-3), head=ufm.ReLU()))


def test_twin_of_y(heard):
    base, moved = heard.problems
    assert base == P([500, 100, 20, 4], regularizer=B(1, 5), head=ufm.FixedETF())
    assert moved == P([4, 100, 20, 500], regularizer=B(5, 1), head=ufm.FixedETF())
    assert all(at(side, simplex(4, mp.sqrt(5) * 4 / 3)) for side in heard[0])


def test_outside_of_y(heard):
    """The budget on the average feature, and a free classifier, on one tail."""
    counts = step((5, 1000), (5, 10))
    assert heard.problems == [
        P(counts, regularizer=B(1, 5), head=ufm.FixedETF()),
        P(counts, regularizer=B(1, 5), head=ufm.FixedETF(average=True)),
        P(counts, regularizer=B(1, 5)),
    ]
    (average, each), (small, large), (contrast, tolerance) = heard
    assert at(each, simplex(10, TEN))
    logits = np.diag(np.asarray(SOLVE(heard.problems[1], level="rigorous").logits))
    assert small.lower == small.upper == logits[-1]
    assert large.lower == large.upper == logits[0]
    assert is_point(contrast)
    assert at(tolerance, 1e-6)
    assert average.upper < each.lower


def test_twin_of_d1(heard):
    """Six dimensions for five classes, turned: the objective stays to rounding."""
    assert heard.problems == [P(step((2, 20), (3, 5)), regularizer=D(4e-3, 1e-2), head=ufm.LinearDEQ(0.4), dim=6)]
    ((base, moved),) = heard
    assert is_point(base)
    assert at(base, SOLVE(heard.problems[0]).value)
    assert at(moved, base.lower, 1e-12)


def test_outside_of_d1(heard):
    (problem,) = heard.problems
    assert problem == P([20] * 4, regularizer=D(5e-3, 5e-3), head=ufm.LinearDEQ(0.4))
    ((best, other),) = heard
    assert at(best, SOLVE(problem).value)
    assert is_point(other)
    # An A of norm rho serves no more than rho I, and no less than -rho I.
    p = SOLVE(problem).parameters
    least = problem.objective(ufm.Parameters(p.weight, p.features, -0.4 * np.eye(len(p.features))))
    assert other.lower <= least


def test_twin_of_d2(heard):
    once, more = heard.problems
    assert once == P([7] * 10, regularizer=B(1, 5), head=ufm.LinearDEQ(0.3))
    assert more == P([21] * 10, regularizer=B(5, 1), head=ufm.LinearDEQ(0.3))
    assert all(at(side, simplex(10, TEN / mp.mpf("0.7"))) for pair in heard for side in pair)


def test_outside_of_d2(heard):
    """A budget on z: that on h over four at rho = 1/2."""
    assert all(at(side, simplex(10, TEN)) for side in heard[0])
    assert heard.problems[0].head == ufm.LinearDEQ(0.5)
    assert heard.problems[0].regularizer == B(1, 5 / 4)


def ratio(problem):
    (_, large), (_, small) = problem.counts.groups
    return large / small


def test_control_of_d3(heard):
    """At the ratios that two wrong claims name: R0(c) / (1 - rho), and just above R0(c)."""
    explicit = THRESHOLD(classes=(5, 5), regularizer=B(1, 5)).value
    assert [ratio(p) for p in heard.problems] == pytest.approx([explicit / 0.7, 1.01 * explicit], rel=1e-6)
    assert all(p.head == ufm.LinearDEQ(0.3) and p.regularizer == B(1, 5) for p in heard.problems)
    assert all([m for m, _ in p.counts.groups] == [5, 5] for p in heard.problems)


def test_twin_of_d3(heard):
    critical = THRESHOLD(classes=(5, 5), regularizer=B(1, 20)).value  # c = sqrt 5 doubled
    assert all(at(side, critical) for pair in heard for side in pair)


def test_outside_of_d3(heard):
    (problem,) = heard.problems
    assert problem.head == ufm.LinearDEQ(0.0)
    assert problem.regularizer == B(1, 5)
    assert [m for m, _ in problem.counts.groups] == [5, 5]
    assert ratio(problem) == pytest.approx(1.01 * THRESHOLD(classes=(5, 5), regularizer=B(1, 5)).value, rel=1e-6)
    assert 0 <= heard.margins[0] <= 1e-6


def test_twin_of_d4(heard):
    deq, explicit = heard.problems
    assert deq == P(step((5, 10_000), (5, 1000)), regularizer=B(1, 5), head=ufm.LinearDEQ(0.5))
    assert explicit == P(step((5, 10_000), (5, 1000)), regularizer=B(1, 20), head=ufm.LinearDEQ(0.0))
    cosine = ufm.geometry(SOLVE(P(step((5, 10), (5, 1)), regularizer=B(1, 20))))["cos_minority"]
    assert all(at(side, cosine, 1e-3) for side in heard[0])


def test_outside_of_d4(heard):
    """R = 1; growing budgets; and decay per sample, which tends to SELI."""
    counts = step((5, 10_000), (5, 1000))
    deq = {"head": ufm.LinearDEQ(0.5)}
    assert heard.problems == [
        P([1000] * 10, regularizer=B(1, 5), **deq),
        *(P(counts, regularizer=B(1, e), **deq) for e in (5, 45, 405)),
        *(P(step((5, 100), (5, 10)), regularizer=D(10.0**k, 10.0**k)) for k in (-4, -7, -10)),
    ]
    (claim, contrast), *limits, (etf, seli) = heard
    assert at(claim, 2 * TEN)
    assert at(contrast, 2 * TEN, 1e-4)
    assert at(etf, -1 / 9)
    gram = ufm.seli(step((5, 100), (5, 10)))[0]
    assert at(seli, gram[9, 8] / gram[9, 9])
    shapes = [ufm.geometry(SOLVE(p, level="float")) for p in heard.problems[1:4]]
    for k, (name, limit) in enumerate((("cos_minority", -1 / 9), ("self_duality", 0.0))):
        assert limits[k][0].lower == limits[k][0].upper == abs(shapes[1][name] - limit)
        assert limits[k][1].lower == limits[k][1].upper == abs(shapes[0][name] - limit)
        assert limits[k + 2][0].lower == limits[k + 2][0].upper == abs(shapes[2][name] - limit)
    cosines = [abs(ufm.geometry(SOLVE(p))["cos_minority"] - gram[9, 8] / gram[9, 9]) for p in heard.problems[4:]]
    assert [near.lower for near, _ in limits[4:]] == pytest.approx(cosines[1:])
    assert [far.upper for _, far in limits[4:]] == pytest.approx(cosines[:-1])


def test_twin_of_d5(heard):
    (base, turned), (pair, code) = heard
    assert heard.problems == [
        P([21] * 10, regularizer=B(5, 1), head=ufm.FrobeniusDEQ(0.3)),
        P([7] * 10, regularizer=B(1, 5), head=ufm.FrobeniusDEQ(0.3)),
    ]
    assert at(base, turned.upper, 1e-8)
    radius = 10 * mp.sqrt(5) / (5 - mp.sqrt(mp.mpf("1.5")))
    exact = mp.log(1 + mp.exp(-radius) + 8 * mp.exp(-radius / 2))
    assert at(pair, exact)
    assert at(code, exact)


def test_outside_of_d5(heard):
    """E_A = .2, and a spectral budget of 1/2, which doubles c."""
    (etf, pair), (claim, found) = heard
    assert at(etf, simplex(10, TEN / (1 - mp.sqrt(mp.mpf("0.2") / 9))))
    radius = 10 * mp.sqrt(5) / (5 - 1)
    assert at(pair, mp.log(1 + mp.exp(-radius) + 8 * mp.exp(-radius / 2)))
    assert at(claim, simplex(10, 2 * TEN))
    assert at(found, simplex(10, 2 * TEN))


def test_twin_of_d6(heard):
    """E_W^2 E_H stays; codes have ``s = (E_W K / rank) sqrt(E_H K / rank)``."""
    base, turned = heard.problems[:2]
    assert base == P([7] * 10, regularizer=B(1, 5), head=ufm.Explicit(2))
    assert turned.regularizer == B(2, 1.25)
    assert turned.counts == ufm.ClassCounts.of([21] * 10)
    (wide, other), *codes = heard
    assert at(wide, other.upper, 1e-7)
    exact = []
    for k, e_w, e_h in ((10, 1, 5), (6, 1, 3), (8, mp.mpf("1.5"), 2)):
        for rank in (k - 1, k // 2):
            s = e_w * mp.mpf(k) / rank * mp.sqrt(mp.mpf(e_h) * k / rank)
            exact.append(simplex(k, s) if rank == k - 1 else mp.log(1 + mp.exp(-s) + (k - 2) * mp.exp(-s / 2)))
    assert all(at(side, v) for pair, v in zip(codes, exact, strict=True) for side in pair)


def test_outside_of_d6(heard):
    assert all(at(side, simplex(10, TEN)) for side in heard[0])


def price(s, mu, decay, contraction):
    """Least ``mu s (1 - a) + decay a^2 / 2`` over 0 <= a <= contraction."""
    a = np.linspace(0, contraction, 200_001)
    return float(np.min(mu * s * (1 - a) + decay * a**2 / 2))


def test_control_of_d7(heard):
    """The price without the half: ``decay a^2``."""
    ((wrong, found),) = heard
    sigma = np.linalg.svd(np.random.default_rng(1).standard_normal((3, 3)))[1]
    assert at(wrong, sum(price(s, 0.3, 2.0, 0.6) for s in sigma), 1e-8)
    assert at(found, sum(price(s, 0.3, 1.0, 0.6) for s in sigma), 1e-7)


def test_twin_of_d7(heard):
    base, more = heard.problems[:2]
    assert base == P([10] * 4, regularizer=D(1e-2, 1e-2), head=ufm.DecayedDEQ(0.1, 0.5))
    assert more == P([40] * 4, regularizer=D(5e-3, 5e-3), head=ufm.DecayedDEQ(0.1, 0.5))
    assert all(at(side, heard[0][0].lower, 1e-9) for pair in heard for side in pair)


def test_outside_of_d7(heard):
    """``mu = .3, la = 1``: a singular value s served at ``a = 1 - 1/s`` costs ``mu + la a^2/2``, below ``mu + la/2 = .8``."""
    (grown, limit), refused = heard
    assert at(limit, 0.8)
    assert grown.lower == grown.upper == pytest.approx(0.3 + 0.5 * (1 - 1e-6) ** 2, rel=1e-10)
    assert refused == ("yes", "yes")
    assert heard.margins[1] == 1


def test_twin_of_d8(heard):
    """Four times the samples with decays halved."""
    head = ufm.DecayedDEQ(0.05, 0.5)
    base = THRESHOLD(classes=(5, 5), regularizer=D(2.5e-3, 2.5e-3), minority_count=100, head=head)
    more = THRESHOLD(classes=(5, 5), regularizer=D(1.25e-3, 1.25e-3), minority_count=400, head=head)
    for side, found in zip(heard[0], (base, more), strict=True):
        assert (side.lower, side.upper) == (found.lower, found.upper)


def test_outside_of_d8(heard):
    """Much decay is the explicit head, ``sqrt(n) = N mu`` at 7; little is slope ``mu / 2``, with 15 for 7."""
    (seven, far), (below, half), (edge, near), (other, fifteen) = heard
    assert [p.head for p in heard.problems] == [ufm.DecayedDEQ(10.0, 0.5)]
    assert at(seven, 7)
    assert at(far, 7)
    assert at(half, 0.5)
    assert below.upper < 0.1
    assert at(edge, 14.5)
    assert near == other
    assert at(fifteen, 15)


def test_twin_of_d9(heard):
    """Two starts, and the classes in another order."""
    base = P(step((2, 40), (3, 5)), regularizer=B(1, 2), head=ufm.LinearDEQ(0.3))
    moved = P(step((2, 5), (2, 40), (1, 5)), regularizer=B(1, 2), head=ufm.LinearDEQ(0.3))
    assert heard.problems == [base, base, moved]
    best = value(base.counts, base.regularizer, head=base.head)
    assert all(at(side, best, 2e-9) for pair in heard for side in pair)


def test_outside_of_d9(heard):
    """R = 18: above ``sqrt(n_B) = N mu`` and below the threshold, from three starts."""
    banded = P(step((2, 180), (3, 10)), regularizer=D(1e-2, 1e-2), head=ufm.LinearDEQ(0.3))
    assert heard.problems == [banded] * 4
    assert 390 * 1e-2 * 0.7 < sqrt(10) < 390 * 1e-2
    *ends, (eighteen, critical) = heard
    assert all(at(optimum, value(banded.counts, banded.regularizer, head=banded.head)) for optimum, _ in ends)
    assert at(eighteen, 18)
    found = THRESHOLD(classes=(2, 3), regularizer=D(1e-2, 1e-2), minority_count=10, head=ufm.LinearDEQ(0.3), level="rigorous")
    assert (critical.lower, critical.upper) == (found.lower, found.upper)


def test_twin_of_g1(heard):
    """``s = sqrt(n) x``: four times the samples double s, and the price grows by ``2^{2/3}``."""
    base, more, *_ = heard.problems
    assert base.counts == ufm.ClassCounts.of([5] * 6)
    assert more.counts == ufm.ClassCounts.of([20] * 6)
    assert more.regularizer.weight * 2 ** (2 / 3) == pytest.approx(base.regularizer.weight)
    assert base.regularizer == D(2.0**-10, 2.0**-10)
    assert heard.problems[2:] == [P([5] * k, regularizer=base.regularizer, head=ufm.Explicit(m)) for k, m in ((10, 2), (4, 3))]
    assert len(heard) == 6


def test_outside_of_g1(heard):
    """One layer; and a decay at which everything is zero, with value log 6."""
    one, heavy = heard.problems
    assert one == P([5] * 10, regularizer=D(2.0**-10, 2.0**-10))
    assert heavy == P([5] * 6, regularizer=D(0.3, 0.3), head=ufm.Explicit(2))
    assert heard[0] == ("yes", "yes")
    assert all(at(side, mp.log(6)) for side in heard[1])


def test_a_class_that_lives_beyond_its_threshold_is_noticed(monkeypatch):
    """E1 outside, with the solution at a hundredth of the decay of W in place of its own."""
    solved = dang2024.solved
    monkeypatch.setattr(dang2024, "solved", lambda p, level: solved(p._replace(weight=p.weight / 100), level))
    *_, finding = BOOK["E1"]().outside("float")
    assert finding.outcome is Outcome.VIOLATED
    assert finding.margin < 1


def test_what_is_left_beyond_all_thresholds_is_noticed(monkeypatch):
    """M1 outside, with a twentieth of the decay of W."""
    solve = ufm.solve

    def alive(problem, **options):
        decay = problem.regularizer
        return solve(replace(problem, regularizer=D(decay.weight / 20, decay.features, decay.bias)), **options)

    monkeypatch.setattr(ufm, "solve", alive)
    *_, finding = BOOK["M1"]().outside("float")
    assert finding.outcome is Outcome.VIOLATED


def test_a_model_without_contraction_that_is_accepted_is_noticed(monkeypatch):
    """D7 outside: a contraction of exactly 1."""
    asked = []
    monkeypatch.setattr(ufm, "DecayedDEQ", lambda *arguments: asked.append(arguments))
    *_, finding = BOOK["D7"]().outside("float")
    assert finding.outcome is Outcome.VIOLATED
    assert asked == [(1.0,)]


def test_another_end_than_the_etf_is_noticed(monkeypatch):
    """G1 outside: one layer ends in an ETF, and not at zero or with a core between groups."""
    solve = ufm.solve
    for factor, counts in ((10_000.0, [5] * 10), (1.0, [50] * 5 + [5] * 5)):

        def other(problem, factor=factor, counts=counts, **options):
            if problem.head != ufm.Explicit():
                return SOLVE(problem, **options)
            decay = D(problem.regularizer.weight * factor, problem.regularizer.features)
            return solve(P(counts, regularizer=decay), **options)

        monkeypatch.setattr(ufm, "solve", other)
        first, *_ = BOOK["G1"]().outside("float")
        assert first.outcome is Outcome.VIOLATED


@pytest.mark.parametrize(("part", "name", "methods"), [
    ("twin", "F1", ["auto", "auto", "factored"]),
    ("outside", "F1", [Factored(starts=4)]),
    ("control", "F2", ["auto", Convex(profile="scs-1e-9", formulation="sdp")]),
    ("twin", "F2", ["auto", Convex(profile="scs-1e-9", formulation="sdp")]),
    ("outside", "F2", [Factored(starts=6), "auto"]),
    ("twin", "H1", ["auto", "factored", "auto"]),
    ("outside", "H1", [Factored(starts=4), "auto"]),
    ("control", "H1", [Gradient(rule="nesterov"), "auto"]),
    ("twin", "D2", ["auto", "factored"]),
    ("twin", "E1", ["auto", "auto", "auto", Gradient(rule="heavy-ball", scale=0.5, tolerance=1e-6), "auto"]),
])  # fmt: skip
def test_solvers_that_share_nothing(monkeypatch, part, name, methods):
    """A twin or control by another solver than the claim's: without symmetry, semidefinite, or by descent."""
    heard = hear(monkeypatch, name, lambda claim: getattr(claim, part)("rigorous"))
    assert heard.methods == methods


@pytest.mark.parametrize("k", range(3))
def test_relaxations_are_semidefinite_and_training_is_descent(monkeypatch, k):
    relaxed = hear(monkeypatch, "F2", lambda claim: claim.check(claim.grid()[k], "rigorous"))
    assert relaxed.methods == ["auto", Convex(profile="scs-1e-9", formulation="sdp")]
    trained = hear(monkeypatch, "H1", lambda claim: claim.check(claim.grid()[k], "rigorous"))
    p = BOOK["H1"]().grid()[k]
    assert trained.methods == [Gradient(rule=p.rule, random_state=p.seed), "auto"]
    deq = hear(monkeypatch, "D1", lambda claim: claim.check(claim.grid()[k], "rigorous"))
    assert isinstance(deq.methods[0], Gradient)
    assert deq.methods[1] == "auto"


def test_narrow_models_that_are_certified_are_noticed(monkeypatch):
    """Z1 outside: six classes in two dimensions."""
    asked = []

    def certified(problem, **options):
        asked.append(problem)
        return SimpleNamespace(kinds={"global minimiser": 1})

    monkeypatch.setattr(ufm, "solve", SOLVE)
    monkeypatch.setattr(ufm, "landscape", certified)
    finding, _ = BOOK["Z1"]().outside("float")
    assert finding.outcome is Outcome.VIOLATED
    assert asked == [P([2] * 6, regularizer=D(2e-2, 2e-2), dim=2)]
