"""The parts of the moment bound, one by one: prices of lengths, cells of columns and of spectra, deflation, programs."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import numpy as np
import pytest

import ufm
from tests.ufm.certify.test_low_rank import losses, mcp, pairs, random_logits, schatten, simplex
from ufm.certify.low_rank import balanced_bound, branch_and_bound, moment_bound, residual_norm
from ufm.certify.low_rank import columns as parts
from ufm.certify.low_rank.branch_and_bound import Branch, Cut, Setting
from ufm.certify.low_rank.columns import Columns, Multipliers, column_loss, column_min, length_price, spread_loss
from ufm.certify.low_rank.residual_norm import ResidualNormBound, residual_norm_bound
from ufm.spectral.program import Factors

# Columns


def test_prices_of_lengths_are_the_least_over_b():
    """``min over B >= q / b`` of ``tA d^2 / B + tB B`` on a fine grid of B, with its derivatives by differences."""
    rng = np.random.default_rng(1)
    grid = np.geomspace(1e-4, 1e5, 40_001)
    for _ in range(40):
        multipliers = Multipliers(*(10.0 ** rng.uniform(-2, 1, 2)).tolist(), 0.3)
        largest = float(rng.uniform(0.5, 5.0))
        own, square = float(rng.normal()), float(10.0 ** rng.uniform(-3, 1))
        value, by_own, by_square = length_price(np.array(own), np.array(square), multipliers, largest)
        allowed = np.append(grid[grid > square / largest], square / largest)
        least = (multipliers.left * own**2 / allowed + multipliers.right * allowed).min()
        assert value == pytest.approx(least, rel=1e-6)
        step = 1e-6 * max(abs(own), 1e-3)
        up, down = (length_price(np.array(own + s), np.array(square), multipliers, largest)[0] for s in (step, -step))
        assert by_own == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-9)
        step = 1e-6 * square
        up, down = (length_price(np.array(own), np.array(square + s), multipliers, largest)[0] for s in (step, -step))
        assert by_square == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-9)
    nothing = length_price(np.zeros(1), np.zeros(1), Multipliers(0.5, 2.0, 0.0), 3.0)
    assert [float(v[0]) for v in nothing] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("classes", [3, 4, 9])
def test_least_sums_of_exponentials(classes):
    """h(V) is attained by one low outlier, and below the log-sum-exp of all other numbers with these moments."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        numbers = rng.standard_normal(classes - 1) * rng.choice([0.1, 1.0, 5.0])
        numbers -= numbers.mean()
        spread = float(numbers @ numbers)
        assert spread_loss(classes, np.array(spread)) <= np.log(np.exp(numbers).sum()) + 1e-12
        outlier = np.ones(classes - 1)
        outlier[0] = 2.0 - classes
        outlier *= np.sqrt(spread / (outlier @ outlier))
        assert spread_loss(classes, np.array(spread)) == pytest.approx(np.log(np.exp(outlier).sum()), rel=1e-12)
    np.testing.assert_allclose(spread_loss(classes, np.array([-1e-9, 0.0])), np.log(classes - 1), rtol=1e-14)
    assert spread_loss(2, np.array([0.0, 5.0])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("square", [-0.05, 0.0, 0.1])
def test_cells_of_columns(classes, square):
    """A cell's bound is below the function all over the cell, at the centre by no more than its size allows."""
    rng = np.random.default_rng(3)
    inside = Columns(classes=classes, largest=6.0, loss=2.0)
    multipliers = Multipliers(0.2, 0.05, square)
    c = inside.ratio

    def function(own: Any, spread: Any) -> Any:
        length = spread + c * own**2
        return column_loss(classes, own, spread) + length_price(own, length, multipliers, 6.0)[0] - square * length

    for width in (1.0, 1e-2):
        low = rng.uniform(-4.0, 5.0, 200)
        least = rng.uniform(0.0, 20.0, 200) * (classes > 2)
        cells = np.stack([low, low + width * rng.uniform(0.1, 1.0, 200), least, least + width * (classes > 2)])
        lower, value = parts.cell_bounds(inside, multipliers, cells, spread_loss(classes, cells[2]))
        for a, b in itertools.product(np.linspace(0.0, 1.0, 6), repeat=2):
            there = function(cells[0] + a * (cells[1] - cells[0]), cells[2] + b * (cells[3] - cells[2]))
            assert np.all(lower <= there + 1e-12)
        own, spread = 0.5 * (cells[0] + cells[1]), 0.5 * (cells[2] + cells[3])
        there = function(own, spread)
        # The slope is at most 4 in d and 1 in V here; what is not linear is of the order of the square of the width.
        corner = np.min([function(cells[i], cells[j]) for i in (0, 1) for j in (2, 3)], axis=0)
        assert np.all(lower >= np.minimum(corner, there) - 2.0 * width**2 - 0.02 * width)
        attained = (spread + c * own**2 <= 36.0) & (column_loss(classes, own, spread) <= 2.0)
        assert attained.any()
        assert not attained.all()
        np.testing.assert_allclose(value[attained], there[attained], rtol=1e-12)
        assert np.isinf(value[~attained]).all()


@pytest.mark.parametrize(("classes", "loss"), [(2, 2.0), (4, 2.0), (4, 0.3)])
def test_first_cells_cover_all_columns_and_quarters_their_cell(classes, loss):
    inside = Columns(classes=classes, largest=3.0, loss=loss)
    cells = parts.first_cells(inside)
    area = (cells[1] - cells[0]) * (cells[3] - cells[2] if classes > 2 else 1.0)
    whole = (inside.highest - inside.lowest) * (9.0 if classes > 2 else 1.0)
    assert area.sum() == pytest.approx(whole, rel=1e-11)
    assert (cells[0].min(), cells[1].max()) == (inside.lowest, inside.highest)
    assert cells[2].min() == 0.0
    assert cells[3].max() >= (9.0 if classes > 2 else 0.0)
    assert np.all(cells[0] < cells[1])
    for spread in (True, False):
        parted = parts.quartered(cells, spread)
        count = 4 if spread else 2
        assert parted.shape == (4, count * cells.shape[1])
        split = [parted[:, i * cells.shape[1] : (i + 1) * cells.shape[1]] for i in range(count)]
        np.testing.assert_allclose(sum(p[1] - p[0] for p in split), count / 2 * (cells[1] - cells[0]), rtol=1e-12)
        np.testing.assert_allclose(np.min([p[0] for p in split], axis=0), cells[0])
        np.testing.assert_allclose(np.max([p[1] for p in split], axis=0), cells[1])
        np.testing.assert_allclose(np.min([p[2] for p in split], axis=0), cells[2])
        np.testing.assert_allclose(np.max([p[3] for p in split], axis=0), cells[3])
        for p in split:
            np.testing.assert_allclose(2 * (p[1] - p[0]), cells[1] - cells[0], atol=1e-12)
            np.testing.assert_allclose((2 if spread else 1) * (p[3] - p[2]), cells[3] - cells[2], atol=1e-12)
        if spread and classes > 2:
            corners = {(float(p[0][9]), float(p[2][9])) for p in split}
            assert len(corners) == 4


@pytest.mark.parametrize("classes", [2, 3, 8])
@pytest.mark.parametrize("square", [-0.05, 0.0, 0.03])
def test_least_values_over_columns_to_the_tolerance(classes, square):
    """Below a dense grid of columns, within the tolerance of its least value, and points are columns of falling value."""
    inside = Columns(classes=classes, largest=5.0, loss=1.5)
    multipliers = Multipliers(0.1, 0.04, square)
    own = np.linspace(inside.lowest, 5.0 / np.sqrt(inside.ratio) * (1 - 1e-12), 1500)[:, None]
    spread = np.linspace(0.0, 1.0, 600)[None] ** 2 * 25.0 * (classes > 2)
    length, loss = spread + inside.ratio * own**2, column_loss(classes, own, spread)
    value = np.where(
        (length <= 25.0) & (loss <= 1.5), loss + length_price(own, length, multipliers, 5.0)[0] - square * length, 9.0
    )
    for tolerance in (1e-2, 1e-4):
        found = column_min(inside, multipliers, tolerance)
        assert found.value <= value.min()
        assert found.value >= value.min() - tolerance - 2e-4
        d, v = found.points.T
        there = column_loss(classes, d, v) + length_price(d, v + inside.ratio * d**2, multipliers, 5.0)[0]
        there -= square * (v + inside.ratio * d**2)
        assert np.all(np.diff(there) < 0)
        assert there[-1] >= found.value
        assert there[-1] <= found.value + tolerance + 1e-12
        assert np.all(v + inside.ratio * d**2 <= 25.0)
    assert np.isneginf(column_min(inside, Multipliers(0.1, 0.04, np.nan), 1e-2).value)


@pytest.mark.parametrize(("multipliers", "loss", "where"), [
    (Multipliers(50.0, 0.1, 1.0), 50.0, "no own logit"), (Multipliers(5.0, 5.0, 0.0), 1.2, "the cap on the loss"),
    (Multipliers(0.1, 0.1, 0.6), 0.7, "the cap on the loss"), (Multipliers(1e-3, 1e-3, 0.0), 40.0, "the largest own logit"),
    (Multipliers(0.3, 6.0, -0.5), 1.5, "the cap on the loss"),
])  # fmt: skip
@pytest.mark.parametrize("classes", [2, 5])
def test_least_values_at_the_ends_of_the_domain(multipliers, loss, where, classes):
    """Cells are left out only where there are no columns: minima at zero, at the loss's cap, on the circle."""
    b = 4.0
    inside = Columns(classes=classes, largest=b, loss=loss)
    c = inside.ratio
    edge = b / np.sqrt(c)
    own = np.concatenate([np.linspace(max(-edge, inside.lowest), edge, 1201), [0.0]])[:, None]
    share = 1 - np.linspace(0.0, 1.0, 400)[None] ** 2
    spread = share * np.maximum(b * b - c * own**2, 0.0) * (classes > 2)
    length, there = spread + c * own**2, column_loss(classes, own, spread)
    value = there + length_price(own, length, multipliers, b)[0] - multipliers.square * length
    value = np.where(there <= loss, value, np.inf)
    found = column_min(inside, multipliers, 1e-4)
    assert found.value <= value.min() + 1e-12
    assert found.value >= value.min() - 0.02 * (1 + abs(value.min()))


def test_domains_without_columns():
    """No own logit is large enough: the least value of nothing, and no points."""
    for nothing in (
        column_min(Columns(classes=4, largest=0.1, loss=1e-3), Multipliers(0.1, 0.1, 0.0), 1e-3),
        column_min(Columns(classes=4, largest=5.0, loss=1.0), Multipliers(0.1, 0.1, np.nan), 1e-3),
    ):
        assert np.isinf(nothing.value)
        assert nothing.points.shape == (0, 2)


def test_the_rounding_is_taken_off(monkeypatch):
    inside, multipliers = Columns(classes=4, largest=3.0, loss=1.0), Multipliers(0.2, 0.4, 0.1)
    before = column_min(inside, multipliers, 1e-3).value
    monkeypatch.setattr(Columns, "rounding", lambda *_: 0.25)
    assert column_min(inside, multipliers, 1e-3).value == pytest.approx(before - 0.25, abs=1e-10)


def test_rounding_of_columns():
    """1e-13 of the largest intermediates: one, logits, prices and rewards."""
    inside, b, ka = Columns(classes=4, largest=3.0, loss=1.0), 3.0, 0.7
    for sign in (-1, 1):
        found = inside.rounding(Multipliers(0.2, 0.4, sign * ka))
        logits = 4 / 3 * b + float(spread_loss(4, np.array(9.0)))
        assert found == pytest.approx(1e-13 * (1 + logits + 0.6 * b + ka * b * b), rel=1e-12, abs=0.0)


def test_few_rounds_give_a_weaker_bound(monkeypatch):
    """Where rounds or cells run out, the lowest bound so far counts."""
    inside, multipliers = Columns(classes=5, largest=20.0, loss=1.5), Multipliers(0.02, 0.01, 0.004)
    best = column_min(inside, multipliers, 1e-6).value
    previous = -np.inf
    for rounds in (1, 2, 4, 8):
        monkeypatch.setattr(parts, "ROUNDS", rounds)
        found = column_min(inside, multipliers, 1e-6).value
        assert previous <= found <= best + 1e-12
        previous = found
    assert previous > best - 1e-3
    monkeypatch.setattr(parts, "ROUNDS", 14)
    for cells in (1, 30):
        monkeypatch.setattr(parts, "MAX_CELLS", cells)
        assert -np.inf < column_min(inside, multipliers, 1e-6).value <= best + 1e-12


# Residual norm


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
def test_residual_norm_by_its_formula(classes):
    """Every pattern of signs, every p, written out: W with columns ``e_k - mean_J e_j``."""
    residual_norm.sign_patterns.cache_clear()
    found = residual_norm_bound(classes, 30.0)
    assert (found.rest[0], found.rest[-1]) == (0.0, 30.0)
    assert np.all(np.diff(found.rest) > 0)
    worst = np.full(len(found.rest), np.inf)
    for signs in itertools.product((False, True), repeat=classes):
        best = np.full(len(found.rest), -np.inf)
        for p in range(1, 5):
            W, numbers = np.zeros((classes, classes)), []
            for k, above in enumerate(signs):
                J = [j for j in (range(k + 1, k + p + 1) if above else range(k - p, k)) if 0 <= j < classes]
                if J:
                    W[k, k] = 1.0
                    W[J, k] = -1.0 / len(J)
                    numbers.append(len(J))
            size = len(numbers)
            if size:
                mean = np.mean(np.log(numbers)) - np.linalg.norm(W, 2) * found.rest / size
                best = np.maximum(best, size / classes * np.logaddexp(0.0, mean))
            else:
                best = np.maximum(best, 0.0)
        worst = np.minimum(worst, best)
    assert np.all(found.loss <= worst * (1 + 1e-14))
    np.testing.assert_allclose(found.loss, worst, rtol=1e-10)


@pytest.mark.parametrize("classes", [13, 20, 100])
def test_residual_norm_of_many_classes(classes):
    """One partner each, all but two classes, ``|W| <= 1 + sqrt 2``."""
    found = residual_norm_bound(classes, 500.0)
    size = classes - 2.0
    np.testing.assert_allclose(
        found.loss, size / classes * np.log1p(np.exp(-(1 + np.sqrt(2.0)) * found.rest / size)), rtol=1e-9
    )


def test_residual_norm_is_a_step_function():
    steps = ResidualNormBound(np.array([0.0, 1.0, 4.0]), np.array([3.0, 2.0, 1.0]))
    np.testing.assert_array_equal(steps(np.array([0.0, 0.5, 1.0, 1.1, 4.0, 4.1, np.inf, np.nan])), [3, 2, 2, 1, 1, 0, 0, 0])


# Spectra


def setting(classes: int, price: Any = None, upper: float = 0.5, most: float = 20.0, scale: float = 2.0) -> Setting:
    return Setting(
        classes=classes, scale=scale, price=price or schatten(2, 2.0**-7)[0], upper=upper, most=most,
        residual=residual_norm_bound(classes, 3.0 * most),
    )  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3, 4, 6, 15])
def test_first_cells_cover_all_spectra(classes):
    """n times x and one y with ``y <= x <= most``: n up to K - 3; without x where there are three classes."""
    rng = np.random.default_rng(4)
    n, x1, x2, y1, y2 = branch_and_bound.first_cells(classes, 7.0)
    if classes == 2:
        assert [v.tolist() for v in (n, x1, x2, y1, y2)] == [[0.0]] * 5
        return
    assert set(n.tolist()) == ({0.0} if classes == 3 else {float(v) for v in range(1, classes - 2)})
    for _ in range(200):
        x = 7.0 * rng.uniform() ** 2
        y = x * rng.uniform() ** 2
        for count in set(n.tolist()):
            here = (n == count) & (y1 <= y) & (y <= y2)
            if classes > 3:
                here &= (x1 <= x) & (x <= x2)
            else:
                assert not x1.any()
                assert not x2.any()
            assert here.sum() >= 1
    assert np.all((x1 <= x2) & (y1 < y2) & (y2 <= (x2 if classes > 3 else 7.0)))
    assert len(n) < 20_000


def spectrum(cells: Any, i: int, a: float, b: float) -> tuple[float, float, float]:
    n, x1, x2, y1, y2 = cells[:, i]
    x = x1 + a * (x2 - x1)
    y = y1 + b * (y2 - y1)
    return n, x, y if n == 0 else min(y, x)


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("price", [schatten(2, 2.0**-7)[0], mcp(0.02, 0.05, 0.5)[0]])
@pytest.mark.parametrize("square", [-0.02, 0.03])
def test_values_of_cells_of_spectra(classes, price, square):
    """Cuts and the bound without them lie below what they state for every spectrum of the cell, at points they are equal."""
    rng = np.random.default_rng(5)
    shared = setting(classes, price)
    b1, b2 = 4.0, 5.0
    cells = branch_and_bound.first_cells(classes, b2)
    branch = Branch(shared, b1, b2, cells, np.zeros(cells.shape[1]), np.zeros((0, 2)))
    cut = Cut(Multipliers(0.04, 0.01, square), 0.2)

    def phi(x: float) -> float:
        return float(price(np.array(2.0 * x)))

    def stated(top: float, n: float, x: float, y: float) -> float:
        def f(v: float) -> float:
            return phi(v) - 0.05 * v / classes + square * v * v / classes

        return 0.2 + f(top) + n * f(x) + f(y)

    def plain(top: float, n: float, x: float, y: float) -> float:
        rest = n * x + y
        trace = np.log1p((classes - 1) * np.exp(-(top + rest) / (classes - 1)))
        step = shared.residual(rest * (1 + 1e-12))
        return phi(top) + n * phi(x) + phi(y) + max(float(trace), float(step))

    values, base = branch.cut_value(cells, cut), branch.base(cells)
    chosen = rng.integers(0, cells.shape[1], 60)
    for i in chosen:
        for a, b, top in ((0, 0, b1), (1, 1, b2), (1, 0, b1), (0.3, 0.7, 4.4), (0.5, 0.5, 4.5), (0, 1, b2)):
            n, x, y = spectrum(cells, i, a, b)
            assert values[i] <= stated(top, n, x, y) + 1e-12
            assert base[i] <= plain(top, n, x, y) + 1e-12
    # Cells and intervals that are points.
    point = Branch(shared, b2, b2, cells, np.zeros(cells.shape[1]), np.zeros((0, 2)))
    n = 0.0 if classes <= 3 else 1.0
    x, y = (0.0 if classes <= 3 else 3.0), (0.0 if classes == 2 else 1.5)
    cell = np.array([[n], [x], [x], [y], [y]])
    assert point.cut_value(cell, cut)[0] == pytest.approx(stated(b2, n, x, y), rel=1e-12)
    assert point.base(cell)[0] == pytest.approx(plain(b2, n, x, y), rel=2e-3)


def test_shares_of_intervals():
    """Chords: exact for ends where f is concave, lower by ``ka (r - l)^2 / 4 K`` where ``ka x^2`` is convex."""
    shared = setting(5)
    branch = Branch(
        shared,
        4.0,
        5.0,
        branch_and_bound.first_cells(5, 5.0),
        np.zeros(branch_and_bound.first_cells(5, 5.0).shape[1]),
        np.zeros((0, 2)),
    )
    for square in (-0.3, 0.0, 0.3):
        multipliers = Multipliers(0.2, 0.1, square)

        def f(x: float) -> float:
            return float(shared.phi(x)) - 0.3 * x / 5 + square * x * x / 5  # noqa: B023

        for low, high in ((0.0, 1.0), (1.0, 3.0), (2.0, 2.0)):
            found = float(branch.share(low, high, multipliers))
            assert found == pytest.approx(min(f(low), f(high)) - max(square, 0.0) / 5 * (high - low) ** 2 / 4, rel=1e-12)
            assert all(found <= f(v) + 1e-12 for v in np.linspace(low, high, 9))


def whole(classes: int = 5, b1: float = 4.0, b2: float = 5.0, **parts: Any) -> Branch:
    shared = setting(classes, **parts)
    cells = branch_and_bound.first_cells(classes, b2)
    return Branch(shared, b1, b2, cells, np.zeros(cells.shape[1]), np.zeros((0, 2)))


def holds(branch: Branch, n: float, x: float, y: float) -> Any:
    return (
        (branch.cells[0] == n)
        & (branch.cells[1] <= x)
        & (x <= branch.cells[2])
        & (branch.cells[3] <= y)
        & (y <= branch.cells[4])
    )


def test_splitting_and_halving_lose_no_spectrum():
    """Whatever a branch holds that may cost less than ``upper`` its parts hold, at values that are no lower."""
    rng = np.random.default_rng(6)
    for classes in (3, 5):
        branch = whole(classes)
        branch.add(Multipliers(0.05, 0.05, 0.004))
        points = []
        for _ in range(300):
            i = int(rng.integers(0, branch.cells.shape[1]))
            n, x, y = spectrum(branch.cells, i, rng.uniform(), rng.uniform())
            if y > branch.cells[3, i]:
                points.append((n, x, y, float(branch.value[holds(branch, n, x, y)].min())))
        both = branch.halves()
        assert both[0].b1 == branch.b1
        assert both[0].b2 == both[1].b1 == pytest.approx(np.sqrt(20.0))
        assert both[1].b2 == branch.b2
        assert [len(child.cuts) for child in both] == [1, 1]
        before, count = branch.lower, branch.cells.shape[1]
        for _ in range(3):
            branch.split()
        assert branch.cells.shape[1] != count
        assert branch.lower > before
        for part in (branch, *both):
            for n, x, y, value in points:
                here = holds(part, n, x, y)
                inside = x <= part.b2 and y <= part.b2
                if here.any():
                    assert part.value[here].min() >= value - 1e-12
                elif inside:
                    # Gone only because its bound has reached ``upper``: so has the cost of the spectrum with any sigma_1.
                    shared = part.setting
                    rest = n * x + y
                    trace = np.log1p((classes - 1) * np.exp(-(part.b1 + rest) / (classes - 1)))
                    price = shared.phi(part.b2) + n * shared.phi(x) + shared.phi(y)
                    assert price + trace + 0.2 >= shared.upper
    # Far ends: the middle is no lower than a fraction of the upper end.
    low = whole(5, 0.0, 8.0)
    assert low.halves()[0].b2 == pytest.approx(8.0 * np.sqrt(0.125))


def test_branches_that_hold_nothing():
    branch = whole(5)
    branch.cells, count = branch.cells, branch.cells.shape[1]
    branch.keep(np.full(branch.cells.shape[1], branch.setting.upper))
    assert branch.dead
    assert branch.lower == branch.setting.upper
    assert branch.cells.shape == (5, 0)
    assert count > 0
    # A largest singular value that alone costs as much as ``upper``.
    dear = whole(5, price=lambda t: 0.3 * t)
    assert dear.dead
    alive = whole(5)
    value = np.full(alive.cells.shape[1], 0.3)
    value[3] = 0.1
    alive.keep(value)
    assert (alive.lowest, alive.lower, alive.dead) == (3, 0.1, False)
    assert alive.columns.loss == pytest.approx(5 * (0.5 - float(alive.setting.phi(4.0))))
    assert (alive.columns.classes, alive.columns.largest) == (5, 5.0)


def test_branches_with_little_loss_to_spare_live():
    """Five classes and ``upper`` = 0.05: the cap on one column's loss is 0.25, and large spectra stay below ``upper``."""
    branch = whole(5, 6.0, 8.0, upper=0.05, price=np.zeros_like)
    assert branch.columns.loss == pytest.approx(0.25)
    assert not branch.dead
    spent = whole(5, 6.0, 8.0, upper=0.05, price=lambda t: np.minimum(t, 0.05))
    assert spent.dead


def test_which_part_of_a_branch_is_wide():
    branch = whole(5, 4.0, 5.0)
    for x, y, expected in ((0.8, 0.1, True), (0.1, 0.8, True), (0.6, 0.6, False)):
        branch.cells = np.array([[1.0], [1.0], [1.0 + x], [0.5], [0.5 + y]])
        branch.lowest = 0
        assert branch.coarse() == expected
    branch.b1 = branch.b2
    branch.cells = np.array([[1.0], [1.0], [1.0 + 1e-6], [0.5], [0.5]])
    assert not branch.coarse()
    for b1, b2, narrow in ((4.0, 4.01, True), (4.0, 4.1, False), (0.0, 1e-3, True), (0.0, 1e-2, False)):
        assert whole(5, b1, b2).narrow() == narrow


def test_prices_that_are_no_numbers_count_as_zero():
    bad = setting(3, lambda t: np.where(t > 1, np.nan, np.where(t > 0.5, np.inf, t)))
    np.testing.assert_array_equal(bad.phi(np.array([0.1, 0.3, 5.0])), [0.2, 0.0, 0.0])
    assert setting(3, lambda t: np.full_like(t, -np.inf)).phi(1.0) == 0.0


@pytest.mark.parametrize("classes", [3, 5])
def test_proposed_multipliers_are_nearly_the_best(classes):
    """Cuts at the lowest cell and smaller cells raise the bound of a branch; a cut is what `column_min` proves."""
    branch = whole(classes, 4.9, 5.0)
    first = branch.lower
    for _ in range(30):
        if branch.dead:
            break
        if not branch.improve():
            if not branch.coarse():
                break
            branch.split()
    assert branch.dead or branch.lower > first + 0.002
    assert len(branch.cuts) >= 1
    for cut in branch.cuts:
        assert min(cut.multipliers.left, cut.multipliers.right) > 0
        again = column_min(branch.columns, cut.multipliers, 1e-4 * branch.setting.upper)
        assert cut.constant == again.value
    assert len(branch.points) > 0


# Bounds


def test_a_bound_that_is_tight():
    """Simplices are optimal for three classes and small decays: the bound comes near in a few steps."""
    classes = 3
    price, inverse = schatten(2, 2.0**-10)
    scale = float(np.sqrt(5.0))
    values = [
        float(losses(a * simplex(classes)).mean() + (classes - 1) * price(np.array(scale * a))) for a in np.linspace(1, 20, 400)
    ]
    best = min(values)
    found = moment_bound(classes, scale, price, best, inverse(best), effort=30)
    assert 0.97 * best <= found <= best


def program_of(head: Any, regularizer: Any, counts: Any = (20, 20, 20), loss: Any = None) -> Any:
    return ufm.Problem(list(counts), regularizer=regularizer, head=head, loss=loss or ufm.CrossEntropy()).program()


def some_factors(program: Any, size: float) -> Factors:
    g = program.groups
    return Factors(np.full(g, size), np.zeros((g, 0)), np.zeros((0, g)), np.zeros(g))


@pytest.mark.parametrize("head", [ufm.Explicit(2), ufm.DecayedDEQ(0.05, 0.5)], ids=str)
def test_programs_that_have_a_moment_bound(head):
    """The bound of the program's own price, scale and range."""
    program = program_of(head, ufm.WeightDecay(3e-3, 3e-3))
    upper = 0.4
    found = balanced_bound(program, some_factors(program, 4.0), upper, 4)
    penalty = program.penalty
    expected = moment_bound(3, float(np.sqrt(20.0)), penalty.each, upper, penalty.range(upper) * (1 + 1e-12), effort=4)
    assert found == expected > 0
    assert balanced_bound(program, some_factors(program, 4.0), upper, 0) == 0.0


def test_programs_that_have_none():
    decay, two = ufm.WeightDecay(3e-3, 3e-3), ufm.Explicit(2)
    good = program_of(two, decay)
    assert balanced_bound(good, some_factors(good, 4.0), 0.4, 3) > 0
    for program in (
        program_of(ufm.Explicit(1), decay),
        program_of(two, decay, (20, 20, 10)),
        program_of(two, ufm.WeightDecay(3e-3, 3e-3, 0.1)),
        program_of(two, ufm.WeightDecay(3e-3, 3e-3, 0.0)),
        program_of(two, decay, loss=ufm.CrossEntropy(smoothing=0.1)),
        program_of(two, decay, loss=ufm.SquaredError()),
        program_of(two, decay, loss=ufm.CrossEntropy(temperatures=(2.0,))),
        program_of(two, decay, [20] * 65),
    ):
        assert balanced_bound(program, some_factors(program, 4.0), 0.4, 3) == 0.0
    assert balanced_bound(program_of(two, decay, [20] * 64), some_factors(good, 4.0), 0.4, 1) >= 0.0


@pytest.mark.parametrize(("split", "c"), [(False, 1.5), (True, 3.0)])
def test_budgets_of_several_layers(c, split):
    """Below every point inside the budget, above zero, and best near a multiplier that makes the point stationary."""
    program = program_of(ufm.Explicit(2), ufm.NormBudget(c, c))
    penalty = program.penalty
    inside = []
    rng = np.random.default_rng(7)
    for code in [simplex(3), pairs(3), *(random_logits(rng, 3) for _ in range(30))]:
        sigma = np.linalg.svd(code, compute_uv=False)
        sigma = sigma[sigma > 1e-12 * sigma[0]]
        inside.append(float(losses(code / penalty.gauge(float(program.scale[0]) * sigma, np.ones(len(sigma)))).mean()))
    best = min(inside)
    size = 1.0 / penalty.gauge(program.scale * 1.0, np.array([2.0]))
    point = some_factors(program, float(size))
    if split:
        logits = float(size) * simplex(3)
        point = Factors(np.zeros(3), logits, np.eye(3), np.zeros(3))
    found = balanced_bound(program, point, best, 24)
    assert 0.0 < found <= best
    assert found > 0.5 * best
    assert balanced_bound(program, some_factors(program, 0.0), best, 6) == 0.0


@pytest.mark.parametrize("classes", [3, 4, 7])
@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_the_least_largest_singular_value(classes, part):
    """Without a price the loss alone counts: a simplex with ``sigma_1 = s`` has ``log(1 + (K - 1) e^-s)``.

    A loss below ``upper`` needs s above ``log((K - 1) / (e^upper - 1))``: nothing is there below it, something above.
    """
    upper = part * float(np.log(classes))
    needed = float(np.log((classes - 1) / np.expm1(upper)))
    for scale in (1.0, 3.0):
        above, below = 1.01 * needed, 0.99 * needed
        attained = float(np.log1p((classes - 1) * np.exp(-above)))
        assert attained < upper
        assert moment_bound(classes, scale, np.zeros_like, upper, scale * above, effort=6) <= attained
        assert moment_bound(classes, scale, np.zeros_like, upper, scale * below, effort=6) == upper


def test_where_singular_values_would_overflow():
    """Nothing is tried beyond 1e100, of the singular value itself, not of its multiple by the scale."""
    assert moment_bound(3, 1e-60, np.zeros_like, 0.5, 1e50, effort=2) == 0.0
    assert moment_bound(3, 1e60, np.zeros_like, 0.5, 1e60, effort=2) == 0.5
    assert moment_bound(3, 0.0, np.zeros_like, 0.5, 1.0, effort=2) == 0.0


@pytest.mark.parametrize("classes", [3, 5])
def test_quarters_of_the_lowest_cells(classes):
    """Four of each, but for those with y above x; without x, two; the others stay as they are."""
    branch = whole(classes)
    value = np.linspace(0.2, 0.45, branch.cells.shape[1])
    branch.keep(value)
    low = branch.value < branch.lower + 0.15 * (branch.setting.upper - branch.lower)
    kept, old = branch.cells[:, ~low], branch.cells[:, low]
    branch.split()
    n, x1, x2, y1, y2 = old
    expected = set()
    for i in range(old.shape[1]):
        xs = [(x1[i], (x1[i] + x2[i]) / 2), ((x1[i] + x2[i]) / 2, x2[i])]
        ys = [(y1[i], (y1[i] + y2[i]) / 2), ((y1[i] + y2[i]) / 2, y2[i])]
        if n[i] == 0:
            expected |= {(0.0, 0.0, 0.0, *q) for q in ys}
        else:
            expected |= {(n[i], *p, *q) for p in xs for q in ys if q[0] <= p[1]}
    found = {tuple(float(v) for v in column) for column in branch.cells.T}
    assert {tuple(float(v) for v in column) for column in kept.T} <= found
    assert found <= {tuple(float(v) for v in column) for column in kept.T} | {tuple(map(float, e)) for e in expected}
    # What is missing has a bound of its own that reaches ``upper``.
    gone = [e for e in expected if tuple(map(float, e)) not in found]
    if gone:
        assert np.all(branch.base(np.array(gone).T) >= branch.setting.upper)
    assert len(found) == branch.cells.shape[1]


def test_only_so_many_cells_are_quartered_at_once(monkeypatch):
    branch = whole(5)
    value = np.full(branch.cells.shape[1], 0.3)
    value[[4, 9]] = 0.29
    branch.keep(value)
    before, chosen = branch.cells.copy(), branch.cells[:, [4, 9]]
    monkeypatch.setattr(branch_and_bound, "MAX_SPLIT", 2)
    branch.split()
    rest = {tuple(c) for c in np.delete(before, [4, 9], axis=1).T.tolist()}
    found = {tuple(c) for c in branch.cells.T.tolist()}
    assert rest <= found
    assert not {tuple(c) for c in chosen.T.tolist()} & found


def test_multipliers_of_a_budget(monkeypatch):
    """Parts of the multiplier ``m`` for which ``loss + m (sum s^p - level)`` is stationary along the point.

    Along ``a Z`` the sum grows at the rate ``p level`` where it is the level. Each bound is lowered by ``m level`` again.
    """
    import ufm.certify.low_rank as whole_bound

    program = program_of(ufm.Explicit(2), ufm.NormBudget(2.0, 2.0))
    penalty = program.penalty
    size = 1.0 / penalty.gauge(program.scale * 1.0, np.array([2.0]))
    step = 1e-6
    falling = (losses((size - step) * simplex(3)).mean() - losses((size + step) * simplex(3)).mean()) / (2 * step) * size
    calls = []

    def stub(classes, scale, price, upper, largest, *, effort):
        calls.append((classes, scale, float(price(np.array(1.0))), upper, largest, effort))
        return upper - 0.4 + 0.1 * len(calls)

    monkeypatch.setattr(whole_bound, "moment_bound", stub)
    for effort, each in ((12, 4), (1, 1)):
        calls.clear()
        found = balanced_bound(program, some_factors(program, float(size)), 0.5, effort)
        assert len(calls) == 3
        for (classes, scale, weight, upper, largest, tried), part in zip(calls, (0.35, 0.5, 0.7), strict=True):
            multiplier = falling / (penalty.power * penalty.level) * part
            assert (classes, scale, tried) == (3, float(np.sqrt(program.scale[0] ** 2)), each)
            assert weight == pytest.approx(multiplier, rel=1e-6)
            assert upper == pytest.approx(0.5 + multiplier * penalty.level, rel=1e-6)
            assert largest == pytest.approx(penalty.level ** (1 / penalty.power), rel=1e-10)
            assert largest >= penalty.level ** (1 / penalty.power)
        # The largest of 0.2, 0.3 and 0.4, rounded down.
        assert 0.4 - 1e-13 <= found < 0.4


@pytest.mark.parametrize(("most", "some"), [(3, True), (2, False)])
def test_how_many_classes_have_a_moment_bound(monkeypatch, most, some):
    import ufm.certify.low_rank as whole_bound

    monkeypatch.setattr(whole_bound, "MAX_CLASSES", most)
    program = program_of(ufm.Explicit(2), ufm.WeightDecay(3e-3, 3e-3))
    assert (balanced_bound(program, some_factors(program, 4.0), 0.4, 1) > 0) == some


class Spans:
    """A branch whose bound is known: ``0.1 + distance of 3 squared``, less the wider it is; it can only be halved."""

    seen: ClassVar[list[float]] = []
    proved = 0

    def __init__(self, shared: Any, b1: float, b2: float, *_: Any) -> None:
        self.b1, self.b2, self.cuts, self.shared = b1, b2, [0] * self.proved, shared
        distance = 0.0 if b1 <= 3 <= b2 else min(abs(b1 - 3), abs(b2 - 3))
        self.lower = min(0.1 + distance**2 - 0.005 * (b2 - b1), shared.upper)

    def improve(self) -> bool:
        self.seen.append(self.lower)
        return False

    def coarse(self) -> bool:
        return False

    def narrow(self) -> bool:
        return self.b2 < 1.01 * self.b1

    def halves(self) -> list[Any]:
        middle = float(np.sqrt(self.b1 * self.b2))
        return [Spans(self.shared, self.b1, middle), Spans(self.shared, middle, self.b2)]


@pytest.mark.parametrize("proved", [0, 1])
def test_the_search_is_best_first_and_pays_for_every_cut(monkeypatch, proved):
    """Lowest first, to the narrow branch that holds 3; what halves prove anew counts as effort."""
    monkeypatch.setattr(branch_and_bound, "Branch", Spans)
    monkeypatch.setattr(Spans, "proved", proved)
    shared = setting(5)
    previous = -np.inf
    for effort in (0, 1, 2, 3, 4, 7, 10):
        monkeypatch.setattr(Spans, "seen", [])
        found = branch_and_bound.best_first(shared, 1.0, effort)
        assert Spans.seen == sorted(Spans.seen)
        assert len(Spans.seen) == -(-effort // (1 + 2 * proved)) or found > 0.0998
        assert previous <= found <= 0.1
        previous = found
    found = branch_and_bound.best_first(shared, 1.0, 500)
    assert 0.1 - 0.005 * 0.031 < found < 0.1
    # All narrow from the start, and all as dear as ``upper``.
    short = setting(5, most=3.01)
    assert branch_and_bound.best_first(short, 3.0, 50) == pytest.approx(0.1 - 0.005 * 0.01)
    assert branch_and_bound.best_first(setting(5, most=20.0), 15.0, 50) == 0.5


def test_first_branches_cover_the_interval(monkeypatch):
    """From the least to the most, without gaps, with ends at a ratio of 1.25 at the most but for the first."""
    made = []

    class Noted(Spans):
        def __init__(self, shared: Any, b1: float, b2: float, cells: Any, value: Any, points: Any) -> None:
            super().__init__(shared, b1, b2)
            assert (cells.shape[0], value.shape, points.shape) == (5, cells.shape[1:], (0, 2))
            assert not value.any()
            assert cells[2].max() == b2
            made.append((b1, b2))

    monkeypatch.setattr(branch_and_bound, "Branch", Noted)
    for least, most in ((0.0, 20.0), (0.5, 20.0), (3.0, 20.0), (19.0, 20.0)):
        made.clear()
        branch_and_bound.best_first(setting(5, most=most), least, 0)
        assert (made[0][0], made[-1][1]) == (least, most)
        assert all(b == c for (_, b), (c, _) in itertools.pairwise(made))
        assert all(b1 < b2 for b1, b2 in made)
        assert all(b2 <= 1.25 * b1 * (1 + 1e-12) for b1, b2 in made[1:])
        assert made[0][1] <= max(1.25 * max(least, 0.02 * most), 1e-9) * (1 + 1e-12)
        assert len(made) <= 20


@pytest.mark.parametrize("classes", [3, 5])
def test_sampled_columns(classes):
    """The column of the means, earlier minimisers, and a grid: wide in d, close around the mean, denser at no spread."""
    branch = whole(classes, 4.0, 5.0)
    branch.points = np.array([[1.25, 0.5], [-0.3, 7.0]])
    low, high, c = branch.columns.lowest, branch.columns.highest, branch.columns.ratio
    mean, square = 1.3, 1.3**2 * c + 0.4
    found = branch_and_bound.samples(branch, mean, square)
    assert found[-3:].tolist() == [[mean, pytest.approx(0.4)], [1.25, 0.5], [-0.3, 7.0]]
    own, spread = found[:-3].T
    far = max(3 * mean, low + 0.3 * (high - low))
    assert low < mean < far < high
    wide, close = np.linspace(low, far, 10), mean * np.linspace(0.87, 1.05, 8)
    np.testing.assert_allclose(np.unique(own), np.unique(np.concatenate([wide, close])), rtol=1e-12)
    for d in (wide[0], wide[5], wide[9], close[0], close[7]):
        here = np.sort(spread[np.abs(own - d) < 1e-9])
        room = max(25.0 - c * d * d, 0.0)
        expected = np.sort(np.concatenate([room * np.linspace(0, 1, 8) ** 4, 0.4 * np.linspace(0, 1.6, 9) ** 2]))
        np.testing.assert_allclose(here, expected, rtol=1e-9, atol=1e-12)
    # Means near the ends: nothing outside of the columns' limits.
    for far_mean in (0.9 * high, 1.5 * high):
        own = branch_and_bound.samples(branch, far_mean, 25.0)[:-3, 0]
        assert own.min() >= low
        assert own.max() <= high
    assert branch_and_bound.samples(branch, mean, 0.5)[-3, 1] == 0.0


@pytest.mark.parametrize(("classes", "b1"), [(3, 4.9), (5, 4.0), (8, 2.0)])
def test_proposals_are_solutions_of_their_linear_program(classes, b1):
    """Strong duality: over the samples the cut's least value, at the moments of the cell, is the program's mean loss.

    Several B stand for all of them in the program, which makes its value a little larger.
    """
    branch = whole(classes, b1, b1 + 0.1, upper=0.4)
    for cell in range(0, branch.cells.shape[1], max(branch.cells.shape[1] // 6, 1)):
        branch.lowest = cell
        proposal = branch_and_bound.propose(branch)
        assert proposal is not None
        multipliers = proposal.multipliers
        n, x1, x2, y1, y2 = branch.cells[:, cell]
        top, x, y = b1 + 0.05, min((x1 + x2) / 2, branch.b2), (y1 + y2) / 2 if y1 > 0 else 0.0
        mean, square = (top + n * x + y) / classes, (top**2 + n * x * x + y * y) / classes
        own, spread = branch_and_bound.samples(branch, mean, square).T
        length, loss = spread + branch.columns.ratio * own**2, column_loss(classes, own, spread)
        allowed = (length <= branch.b2**2 * 1.0001) & (loss <= branch.columns.loss)
        assert allowed.any()
        price = length_price(own, length, multipliers, branch.b2)[0]
        least = (loss + price - multipliers.square * length)[allowed].min()
        value = least - multipliers.slope * mean + multipliers.square * square
        assert min(multipliers.left, multipliers.right) > 0
        # A moment may be missed, by 100 % at the price of six times the cap on the loss.
        cap = 6.0 * branch.columns.loss
        assert max(multipliers.left, multipliers.right) * mean <= cap * (1 + 1e-6)
        assert abs(multipliers.square) * square <= cap * (1 + 1e-6)
        assert proposal.loss >= value - 1e-7
        assert value >= proposal.loss - 0.05 * (1 + multipliers.slope * mean)


def test_no_proposal_without_columns():
    branch = whole(5, 4.0, 4.1)
    branch.columns = Columns(classes=5, largest=4.1, loss=1e-9)
    assert branch_and_bound.propose(branch) is None


def test_when_a_cut_is_worth_while(monkeypatch):
    """A gain of 0.002 ``upper`` at the cell; else a repetition while the program hopes for 0.01, at most eight in a row."""
    branch = whole(5)
    branch.cells, branch.value = branch.cells[:, 40:60], branch.value[40:60]
    branch.keep(branch.value)
    upper, before = branch.setting.upper, branch.lower
    multipliers = Multipliers(0.02, 0.01, 0.0)
    cell = branch.cells[:, branch.lowest]
    n, x1, _, y1, _ = cell
    assert n * x1 * y1 > 0
    price = float(branch.setting.phi(branch.b1) + n * branch.setting.phi(x1) + branch.setting.phi(y1))
    shares = float(branch.cut_value(cell, Cut(multipliers, 0.0)))
    gain, hope, dies = 0.0, 0.0, False

    def add(self: Branch, given: Multipliers) -> None:
        assert given == multipliers
        self.cuts.append(Cut(given, before + gain * upper - shares))
        self.dead = dies

    monkeypatch.setattr(
        branch_and_bound, "propose", lambda _: branch_and_bound.Proposal(multipliers, before + hope * upper - price)
    )
    monkeypatch.setattr(Branch, "add", add)
    for gain, hope, start, after in (  # noqa: B007 (read by the proposal)
        (0.00201, 0.0, 3, 0), (0.00199, 0.00999, 3, 0), (0.00199, 0.01001, 3, 4), (0.0, 0.5, 0, 1), (0.0, 0.5, 7, 8),
        (0.0, 0.5, 8, 0), (0.0, 0.0, 2, 0), (0.3, 0.0, 0, 0), (-0.1, 0.02, 5, 6),
    ):  # fmt: skip
        branch.retries = start
        assert branch.improve() == (gain > 0.002 or after > 0)
        assert branch.retries == after
    gain, hope, dies = 0.0, 0.0, True
    assert branch.improve()
    dies = False
    count = len(branch.cuts)
    branch.dead = False
    monkeypatch.setattr(branch_and_bound, "MAX_CUTS", count + 1)
    branch.improve()
    assert len(branch.cuts) == count + 1
    assert not branch.improve()
    assert len(branch.cuts) == count + 1
    monkeypatch.setattr(branch_and_bound, "MAX_CUTS", 1000)
    monkeypatch.setattr(branch_and_bound, "propose", lambda _: None)
    assert not branch.improve()


def test_what_is_taken_off_in_the_end(monkeypatch):
    """1e-9 of ``upper``; a search that finds no number proves nothing."""
    for classes, upper in ((3, 1e-4), (60, 4.0)):
        found = moment_bound(classes, 1.0, lambda t: 1e3 * t, upper, 50.0, effort=3)
        assert upper * (1 - 1.01e-9) <= found <= upper * (1 - 0.99e-9)
    monkeypatch.setattr(branch_and_bound, "best_first", lambda *_: np.nan)
    assert moment_bound(3, 1.0, np.zeros_like, 0.5, 50.0, effort=3) == 0.0
