"""The closed forms of the book against routes that share nothing with them: minimisation in one variable, 50 digits, tables."""

from itertools import product

import mpmath as mp
import numpy as np
import pytest
from flint import arb
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import ufm
from proofs_check import dang2023, dang2024, fang2021, garrod2025, hongling2023, sunshi2024, sunshi2024_audit, zhou2022, zhu2021
from proofs_check.enclosure import Enclosure, Outcome, decided, equal, less
from ufm._balls import outward, working_precision
from ufm.errors import InputError


def contains(found, exact, width=1e-12):
    """The enclosure has the number, and is narrow."""
    with mp.workdps(50):
        assert found.lower <= exact <= found.upper
    assert found.width <= width * max(abs(float(exact)), 1e-300)


def simplex_loss(classes, height):
    """Cross-entropy of ``height S``."""
    return mp.log(1 + (classes - 1) * mp.exp(-height))


@pytest.mark.parametrize(("classes", "e_w", "e_h"), [(2, 1, 5), (3, 0.5, 2), (10, 1, 5), (100, 0.25, 3)])
def test_layer_peeled_value_and_contrast(classes, e_w, e_h):
    with mp.workdps(50):
        # Nuclear norm height (K - 1) = K sqrt(E_W E_H).
        height = mp.mpf(classes) * mp.sqrt(mp.mpf(e_w) * mp.mpf(e_h)) / (classes - 1)
        contains(fang2021.etf_contrast(classes, e_w, e_h), height)
        contains(fang2021.etf_value(classes, e_w, e_h), simplex_loss(classes, height))
        contains(fang2021.etf_value(classes, e_w, e_h, 2.0), simplex_loss(classes, 2 * height))
        for rho in (0.25, 0.5):
            p = sunshi2024.BalancedDEQ(classes, e_w, e_h, rho)
            contains(sunshi2024.BalancedValue.formula(p), simplex_loss(classes, height / (1 - mp.mpf(rho))))
            contains(sunshi2024.BalancedValue.formula(p, wrong=True), simplex_loss(classes, height * (1 + mp.mpf(rho))))


def test_tabulated_values():
    """Numbers of the literature and of earlier computations, to the digits given."""
    assert fang2021.etf_value(10, 1, 5).lower == pytest.approx(0.5597815240, abs=5e-11)
    for rho, value in ((0.1, 0.45062769), (0.3, 0.23007873), (0.5, 0.06067013)):
        assert sunshi2024.BalancedValue.formula(sunshi2024.BalancedDEQ(10, 1, 5, rho)).lower == pytest.approx(value, abs=5e-9)
    balls = zhu2021.closed_form(zhu2021.Balanced(10, 50, 5e-3, 5e-3))
    assert [float(b.mid()) for b in balls] == pytest.approx([2.95929, 1.32465631], abs=5e-6)
    e1 = dang2024.closed_form(dang2024.Sizes((200, 100, 50, 50), 5e-4, 5e-4))
    assert e1.lower == pytest.approx(0.10187531, abs=5e-9)
    assert zhou2022.Biased(5, 20, 2e-3, 2e-3, 1.0).threshold == pytest.approx(0.04681, abs=5e-6)
    p = sunshi2024_audit.Frobenius(10, 1, 5, 0.3)
    budget = sunshi2024_audit.FrobeniusBudgetOnA
    assert [budget.etf(p).lower, budget.pair(p).lower] == pytest.approx([0.35820, 0.34827], abs=5e-6)
    q = sunshi2024_audit.ExtraLayer(10, 1, 5)
    layer = sunshi2024_audit.FrobeniusBudgetOnALayer
    assert [layer.code(q, 9).lower, layer.code(q, 5).lower] == pytest.approx([0.50437, 0.29299], abs=5e-6)


@given(st.integers(2, 200), st.integers(1, 10**4), st.floats(1e-4, 1e-1), st.floats(1e-4, 1e-1))
def test_balanced_decay(classes, n, lw, lh):
    p = zhu2021.Balanced(classes, n, lw, lh)
    with mp.workdps(50):
        charge = mp.sqrt(mp.mpf(n) * mp.mpf(lw) * mp.mpf(lh))

        def value(a):
            return simplex_loss(classes, a) + charge * (classes - 1) * a

        height = Enclosure.ball(lambda: zhu2021.closed_form(p)[0])
        found = Enclosure.ball(lambda: zhu2021.closed_form(p)[1])
        a = mp.mpf(height.lower)
        assert found.lower <= value(a) * (1 + mp.mpf(10) ** -12)
        assert found.upper >= value(a) * (1 - mp.mpf(10) ** -12)
        # Least: no other height does better, and zero is right exactly where the slope there is not negative.
        for other in (0, a / 2, a * mp.mpf("0.999"), a * mp.mpf("1.001"), 2 * a + 1):
            assert value(other) >= value(a) * (1 - mp.mpf(10) ** -14)
        assert (height.upper > 0) == (classes * charge < 1)


@pytest.mark.parametrize(("classes", "n", "weight", "features"), [(5, 20, 2e-3, 2e-3), (3, 7, 1e-2, 4e-3), (10, 5, 1e-3, 3e-3)])
@pytest.mark.parametrize("relative", [0.5, 0.98, 1.02, 3.0, 1e3])
def test_squared_error_with_a_bias(classes, n, weight, features, relative):
    """Every singular direction by itself, minimised numerically: ``c (s - sqrt n)^2 / (2N) + mu s``, s >= 0."""
    p = zhou2022.Biased(classes, n, weight, features, relative)
    bias = p.relative * p.threshold
    total, mu = classes * n, (weight * features) ** 0.5

    def direction(curve):
        return minimize_scalar(
            lambda s: curve * (s - n**0.5) ** 2 / (2 * total) + mu * s, bounds=(0, 2 * n**0.5), method="bounded",
            options={"xatol": 1e-12},
        )  # fmt: skip

    mean = direction(bias / (1 + bias))
    expected = (classes - 1) * direction(1.0).fun + mean.fun
    frame = "frame" if relative > 1 else "etf"
    found = zhou2022.closed_form(p, bias, frame)
    assert found.lower == pytest.approx(expected, rel=1e-9)
    assert (mean.x > 1e-4) == (relative > 1)
    other = zhou2022.closed_form(p, bias, "etf" if frame == "frame" else "frame")
    assert other.lower > found.upper or frame == "etf"


@pytest.mark.parametrize("counts", [(200, 100, 50, 50), (20, 20, 20), (500, 10, 10, 3), (9, 3), (100, 100, 1)])
@pytest.mark.parametrize("decay", [5e-4, 1e-2, 3e-2])
def test_non_negative_features(counts, decay):
    """Each column by itself: ``a (e_k - 1/K)`` costs ``mu sqrt(n_k)`` times its length, since orthogonal means add up."""
    classes, total = len(counts), sum(counts)
    expected = 0.0
    for n in counts:
        length = ((classes - 1) / classes) ** 0.5

        def value(a, n=n, length=length):
            return n / total * np.log1p((classes - 1) * np.exp(-a)) + decay * np.sqrt(2 * n) * length * a

        expected += min(minimize_scalar(value, bounds=(0, 60), method="bounded", options={"xatol": 1e-12}).fun, value(0.0))
    found = dang2024.closed_form(dang2024.Sizes(counts, decay, 2 * decay))
    assert found.lower == pytest.approx(expected, rel=1e-10)
    assert found.width < 1e-12
    wrong = dang2024.closed_form(dang2024.Sizes(counts, decay, 2 * decay), wrong=True)
    assert wrong.lower > found.upper or expected == pytest.approx(np.log(classes))


def schatten(n, total, layers, weight, features):
    """A class by itself, over its singular value s: ``(s - sqrt n)^2 / (2N)`` plus the price of M + 1 balanced factors."""
    power = layers + 1
    price = power / 2 * (weight**layers * features) ** (1 / power)
    grid = np.concatenate([[0.0], np.geomspace(1e-9, 1.2, 4001)]) * n**0.5
    values = (grid - n**0.5) ** 2 / (2 * total) + price * grid ** (2 / power)
    k = int(np.argmin(values))
    if k == 0:
        return values[0], 0.0
    best = minimize_scalar(
        lambda s: (s - n**0.5) ** 2 / (2 * total) + price * s ** (2 / power),
        bounds=(grid[k - 1], grid[min(k + 1, len(grid) - 1)]), method="bounded", options={"xatol": 1e-13},
    )  # fmt: skip
    return best.fun, best.x


DEEP = [
    ((20,) * 5, 1),
    ((20,) * 5, 2),
    ((20,) * 5, 3),
    ((30, 20, 10, 5), 1),
    ((30, 20, 10, 5), 2),
    ((30, 20, 10, 5), 6),
    ((7, 2), 4),
]


@pytest.mark.parametrize(("sizes", "layers"), DEEP)
@pytest.mark.parametrize("decay", [5e-4, 4e-3, 2e-2, 8e-2])
def test_deep_squared_error(sizes, layers, decay):
    p, total = dang2023.Deep(sizes, layers, decay, 2 * decay), sum(sizes)
    assert p.strength == pytest.approx(layers * total * (total * decay**layers * 2 * decay) ** (1 / layers), rel=1e-12)
    expected = 0.0
    for n in sizes:
        value, s = schatten(n, total, layers, decay, 2 * decay)
        expected += value
        x = dang2023.root(layers, p.strength / n)
        assert x**layers / (x**layers + 1) == pytest.approx(s / n**0.5, abs=1e-5)
        slack = dang2023.proved_dead(p, n)
        assert (slack > 0) == (s == 0)
    found = dang2023.closed_form(p)
    assert found.lower == pytest.approx(expected, rel=1e-9)
    assert found.width < 1e-10
    wrong = dang2023.closed_form(p, wrong=True)
    assert wrong.lower > found.upper or expected == pytest.approx(0.5)


@given(st.integers(1, 8), st.floats(1e-3, 0.999))
def test_the_larger_root_and_death(layers, share):
    """Sides of ``ratio = max x^{M-1}/(x^M + 1)``, found on a grid: below it alive, above it dead, and never both."""
    x = np.concatenate([[0.0], np.geomspace(1e-4, 1e4, 20_001)])
    edge = float(np.max(x ** (layers - 1) / (x**layers + 1)))
    with working_precision():
        assert dang2023.dead(layers, arb(edge * (1 + 1e-3))) > 0
        assert dang2023.dead(layers, arb(edge * (1 - 1e-3))) == 0
        assert dang2023.dead(layers, arb(edge * share * 0.99)) == 0
    alive = dang2023.root(layers, edge * share * 0.999)
    assert alive > 0
    assert layers * alive ** (layers - 1) / (alive**layers + 1) ** 2 == pytest.approx(edge * share * 0.999, rel=1e-9)
    # The larger of both roots: the fraction falls beyond it.
    further = 1.01 * alive
    assert layers * further ** (layers - 1) / (further**layers + 1) ** 2 < edge * share * 0.999
    assert dang2023.root(layers, 1.001 * edge) == 0
    with working_precision():
        low, high = outward(dang2023.enclosed_root(layers, arb(edge * share * 0.999)))
        assert low <= alive <= high < low * (1 + 1e-8)
        value = outward(dang2023.cost(layers, arb(edge * share * 0.999)))
    least = float(np.min(1 / (x**layers + 1) + edge * share * 0.999 * x))
    assert value[0] <= least + 1e-12
    assert value[1] >= least - 1e-4
    assert value[1] <= 1


def test_enclosed_roots_are_proved(monkeypatch):
    """What is no root is refused, on either side of the larger one; the smaller one, where the fraction rises, too."""
    ratio = 0.4
    with working_precision():
        larger = float(mp.findroot(lambda x: 2 * x - ratio * (x * x + 1) ** 2, 1.2))
        smaller = float(mp.findroot(lambda x: 2 * x - ratio * (x * x + 1) ** 2, 0.2))
        for guess in (larger * 1.001, larger * 0.999, smaller, smaller * 0.999, smaller * 1.001):
            monkeypatch.setattr(dang2023, "root", lambda *_, guess=guess, **__: guess)
            with pytest.raises(InputError, match="no root"):
                dang2023.enclosed_root(2, arb(ratio))
        monkeypatch.setattr(dang2023, "root", lambda *_, **__: larger)
        low, high = outward(dang2023.enclosed_root(2, arb(ratio)))
        assert low < larger < high < low * (1 + 1e-11)
        # Two digits less: the box grows until it has the root.
        monkeypatch.setattr(dang2023, "root", lambda *_, **__: larger * (1 + 3e-10))
        low, high = outward(dang2023.enclosed_root(2, arb(ratio)))
        assert low < larger < high < low * (1 + 1e-8)


@pytest.mark.parametrize("distance", [0.0, 1e-15, 1e-12, 1e-10, 1e-8, -1e-15, -1e-12, -1e-8])
def test_cost_where_zero_and_the_other_minimum_tie(distance):
    """M = 2 at a ratio near 1/2: the least value is 1 above it and, there and below, that at the root near 1."""
    ratio = 0.5 * (1 + distance)
    with mp.workdps(40):
        x = mp.findroot(lambda v: 2 * v - mp.mpf(ratio) * (v**2 + 1) ** 2, 1)
        least = min(mp.mpf(1), 1 / (x**2 + 1) + mp.mpf(ratio) * x)
        with working_precision():
            low, high = outward(dang2023.cost(2, arb(ratio)))
        assert low <= least <= high <= low + 1e-7


def test_survival_near_the_tie_is_undecided_or_right():
    """M = 2, N = 40, n = 10: alive iff ``b/n = 2 N (N lw^2 lh)^{1/2} / n < 1/2``, here in 50 digits."""
    outcomes = set()
    for relative in (1 - 1e-14, 1 - 1e-15, 1.0, 1 + 1e-15, 1 + 1e-14, 1 + 1e-12):
        p = dang2023.deep((10,) * 4, 2, relative)
        with mp.workdps(50):
            alive = 80 * mp.sqrt(40 * mp.mpf(p.weight) ** 2 * mp.mpf(p.features)) / 10 < mp.mpf(1) / 2
        found = dang2023.survival(p, "rigorous", "yes" if alive else "no", "")
        assert found.outcome in (Outcome.HOLDS, Outcome.INCONCLUSIVE)
        outcomes.add(found.outcome)
    assert Outcome.INCONCLUSIVE in outcomes


@pytest.mark.parametrize(("layers", "relative"), [(1, 0.9), (2, 0.99), (3, 0.5)])
@pytest.mark.parametrize("sizes", [(30, 20, 10), (10, 10, 10, 10), (10, 30)])
def test_slack_of_survival(sizes, layers, relative):
    """Alive: how far the value lies below that without the smallest classes, each class by itself, by minimisation."""
    p, total, n = dang2023.deep(sizes, layers, relative), sum(sizes), min(sizes)
    values = [schatten(m, total, layers, p.weight, p.features)[0] for m in sizes]
    without = sum(m / (2 * total) if m == n else value for m, value in zip(sizes, values, strict=True))
    found = dang2023.survival(p, "rigorous", "yes", "")
    assert found.outcome is Outcome.HOLDS
    assert found.margin == pytest.approx(without - sum(values), rel=1e-5)


def test_roots_up_to_the_fold():
    """The fraction is largest at ``x^M = (M-1)/(M+1)``; just below its value there both roots are near."""
    for layers in (2, 3, 5):
        turn = ((layers - 1) / (layers + 1)) ** (1 / layers)
        top = layers * turn ** (layers - 1) / (turn**layers + 1) ** 2
        x = dang2023.root(layers, top * (1 - 1e-8), alive_only=False)
        assert turn < x < turn * 1.001
        assert dang2023.root(layers, top * (1 + 1e-8), alive_only=False) == 0


def test_two_roots_between_which_the_saddle_lies():
    """M = 2 just above the threshold: a separated stationary point is still there, above the dead one."""
    assert dang2023.root(2, 0.51) == 0
    x = dang2023.root(2, 0.51, alive_only=False)
    assert x > 1 / 3**0.5
    assert 2 * x / (x**2 + 1) ** 2 == pytest.approx(0.51)
    assert 1 / (x**2 + 1) + 0.51 * x > 1
    assert dang2023.root(2, 0.66, alive_only=False) == 0  # beyond the fold at 3 sqrt(3) / 8


@pytest.mark.parametrize(("layers", "relative"), list(product((1, 2, 3, 5), (0.5, 0.99, 1.01))))
def test_edges_of_death(layers, relative):
    """`deep` and the decay of two classes put b at the wanted multiple of the largest ``x^{M-1}/(x^M+1)``."""
    x = np.geomspace(1e-4, 1e4, 200_001) if layers > 1 else np.zeros(1)
    edge = float(np.max(x ** (layers - 1) / (x**layers + 1)))
    p = dang2023.deep((30, 20, 10), layers, relative)
    assert p.strength / 10 == pytest.approx(relative * edge, rel=1e-6)
    assert p.weight == p.features
    for n in (3, 50):
        decay = dang2023.Binary.decay(n, layers, relative)
        two = dang2023.Deep((n, n), layers, decay, decay)
        assert (two.strength / n) ** layers == pytest.approx(relative * edge**layers, rel=1e-5)


def test_survival_is_decided_by_proofs():
    for layers, relative, expected in ((1, 0.9, "yes"), (1, 1.1, "no"), (2, 0.99, "yes"), (3, 1.01, "no")):
        p = dang2023.deep((10,) * 4, layers, relative)
        good = dang2023.survival(p, "rigorous", expected, "")
        bad = dang2023.survival(p, "rigorous", "no" if expected == "yes" else "yes", "")
        assert (good.outcome, bad.outcome) == (Outcome.HOLDS, Outcome.VIOLATED)
        assert good.margin == bad.margin > 1e-6


@pytest.mark.parametrize(("classes", "layers"), [(4, 2), (6, 2), (10, 2), (10, 3), (5, 2), (7, 2), (5, 3), (2, 1)])
def test_code_values_by_matrices(classes, layers):
    """Least multiples of codes written out as K x K matrices, on a fine grid, with singular values from an SVD."""
    p = garrod2025.Depth(classes, layers, 5, 2.0**-10)
    for code in (garrod2025.etf(classes), garrod2025.pairs(classes)):
        matrix, start = np.zeros((classes, classes)), 0
        for size, count, height in code:
            for _ in range(count):
                rows = slice(start, start + size)
                matrix[rows, rows] = height * (np.eye(size) - 1 / size)
                start += size
        assert start == classes
        sigma = np.linalg.svd(matrix * p.n**0.5)[1]

        def value(s, matrix=matrix, sigma=sigma):
            logits = s * matrix
            loss = np.mean(np.log(np.exp(logits).sum(axis=0)) - np.diag(logits))
            power = 2 / (layers + 1)
            return loss + (layers + 1) / 2 * p.decay * np.sum((s * sigma[sigma > 1e-12]) ** power)

        grid = np.linspace(0, 60, 1201)
        best = grid[int(np.argmin([value(s) for s in grid]))]
        least = minimize_scalar(value, bounds=(best - 0.1, best + 0.1), method="bounded", options={"xatol": 1e-11}).fun
        found = garrod2025.code_value(p, code)
        assert found.lower <= least <= found.upper * (1 + 1e-12)
        assert found.upper == pytest.approx(least, rel=1e-11)
        assert found.lower > least * (1 - 5e-3)
        deeper = garrod2025.code_value(p._replace(layers=layers + 1), code)
        assert garrod2025.code_value(p, code, power_shift=1).upper == pytest.approx(deeper.upper, rel=1e-12)


@pytest.mark.parametrize("boxes", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("decay", [2.0**-10, 2.0**-6, 0.5])
def test_codes_are_bounded_from_below_however_few_boxes(monkeypatch, boxes, decay):
    """Two layers, ten classes: the bound is below the code's value at every multiple, also near zero, where it is log 10."""
    monkeypatch.setattr(garrod2025, "BOXES", boxes)
    p = garrod2025.Depth(10, 2, 5, decay)
    s = np.concatenate([np.geomspace(1e-9, 1, 200), np.linspace(1, 60, 2000)])
    power = 2 / 3
    etf = np.log1p(9 * np.exp(-s)) + 9 * decay / power * (s * 5**0.5) ** power
    pairs = np.log1p(np.exp(-s) + 8 * np.exp(-s / 2)) + 5 * decay / power * (s * 5**0.5) ** power
    for values, code in ((etf, garrod2025.etf(10)), (pairs, garrod2025.pairs(10))):
        assert garrod2025.code_value(p, code).lower <= values.min() * (1 + 1e-12)


def test_codes_of_odd_and_even_numbers_of_classes():
    for classes in range(4, 12):
        code = garrod2025.pairs(classes)
        assert sum(size * count for size, count, _ in code) == classes
        assert sum((size - 1) * count for size, count, _ in code) == (classes + classes % 2) // 2
        # Equal margins to the classes of other blocks.
        assert len({height * (size - 1) / size for size, _, height in code}) == 1


def test_frobenius_budget_on_the_map_by_search():
    """Cost ``sum s (1 - a)`` of the codes over strengths with ``|a| = sqrt(E)``, by search over unequal ones too."""
    budget = sunshi2024_audit.FrobeniusBudgetOnA
    for e in (0.24, 0.5):
        p = sunshi2024_audit.Frobenius(10, 1.0, 5.0, e)
        radius = 10 * 5**0.5
        for rank, formula in ((9, budget.etf(p)), (5, budget.pair(p))):
            rng = np.random.default_rng(0)
            a = np.abs(rng.standard_normal((2000, rank))) + 0.5
            a *= e**0.5 / np.linalg.norm(a, axis=1)[:, None]
            a[0] = (e / rank) ** 0.5
            s = radius / np.min(np.sum(1 - a, axis=1))
            loss = np.log1p(9 * np.exp(-s)) if rank == 9 else np.log1p(np.exp(-s) + 8 * np.exp(-s / 2))
            assert formula.lower == pytest.approx(loss, rel=1e-12)
        assert budget.etf(p, wrong=True).upper < budget.etf(p).lower


def test_frobenius_budget_on_a_layer_by_search():
    """Three factors of s with ``|W|^2 = |V|^2 = K E_W, |H|^2 = K E_H`` shared equally by the directions."""
    layer = sunshi2024_audit.FrobeniusBudgetOnALayer
    for p in (sunshi2024_audit.ExtraLayer(10, 1.0, 5.0), sunshi2024_audit.ExtraLayer(6, 2.0, 3.0)):
        for rank in (p.classes - 1, p.classes // 2):
            s = p.classes * p.e_w / rank * (p.classes * p.e_h / rank) ** 0.5
            k = p.classes
            loss = np.log1p((k - 1) * np.exp(-s)) if rank == k - 1 else np.log1p(np.exp(-s) + (k - 2) * np.exp(-s / 2))
            assert layer.code(p, rank).lower == pytest.approx(loss, rel=1e-12)
        assert layer.code(p, p.classes - 1, (1, 2)).lower != pytest.approx(layer.code(p, p.classes - 1).lower, rel=1e-3)


def test_margins_of_the_threshold_under_decay():
    """H3's instances have ``sqrt(n_B) = margin N mu``."""
    claim = hongling2023.GroupCollapse()
    for margin, verdict in ((0.5, "yes"), (0.999, "yes"), (1.001, "no"), (2.0, "no")):
        assert claim.verdict(hongling2023.Margin(5, 10, margin, None), "float").verdict == verdict


def test_explicit_counterparts_of_a_deq():
    claim = sunshi2024.SpectralBudget
    assert claim.explicit(ufm.NormBudget(2.0, 3.0), 2.0) == ufm.NormBudget(2.0, 12.0)
    assert claim.explicit(ufm.WeightDecay(2.0, 3.0), 2.0) == ufm.WeightDecay(2.0, 0.75)


def test_a_control_that_cannot_fail_is_refused():
    """A claim that expects neither yes nor no would be violated by both."""
    for expected in ("continuous", "", "undecided"):
        with pytest.raises(ValueError, match="expects 'yes' or 'no'"):
            decided("", expected, "yes", margin=1.0, level="float")


def test_margins_of_comparisons():
    one, two, wide = Enclosure(1.0, 1.25), Enclosure(2.0, 2.5), Enclosure(0.5, 4.0)
    assert less("", one, two, level="float").margin == less("", two, one, level="float").margin == 0.75
    assert less("", one, wide, level="float").margin == 0
    assert less("", one, Enclosure(1.25, 2.0), level="float").outcome is Outcome.INCONCLUSIVE
    assert less("", Enclosure(1.25, 2.0), one, level="float").outcome is Outcome.VIOLATED
    assert equal("", one, two, tolerance=1, level="float").margin == 0.75 / 2.5
    assert equal("", wide, two, tolerance=2, level="float").margin == 2.0 / 2.5
    assert equal("", wide, two, tolerance=0.8, level="float").outcome is Outcome.HOLDS
    assert (one.width, one.hull(two), two.hull(one)) == (0.25, 1.5, 1.5)
    assert one.disjoint(two)
    assert two.disjoint(one)
    assert not one.disjoint(Enclosure(1.25, 2.0))
