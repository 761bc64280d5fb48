"""The moment bound: each inequality behind it on random matrices, the bound against values of F, and wrong versions."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from ufm.certify.low_rank import columns, moment_bound, residual_norm
from ufm.certify.low_rank.columns import Columns, Multipliers, column_loss, column_min, length_price, spread_loss
from ufm.certify.low_rank.residual_norm import residual_norm_bound

Floats = NDArray[np.float64]
Price = Callable[[Floats], Floats]
ROOT5 = float(np.sqrt(5.0))


def schatten(layers: int, decay: float) -> tuple[Price, Callable[[float], float]]:
    """The price of L + 1 layers, and its inverse."""
    weight, power = 0.5 * (layers + 1) * decay, 2.0 / (layers + 1)
    return (lambda t: weight * np.maximum(t, 0.0) ** power), (lambda u: (u / weight) ** (1.0 / power))


def mcp(slope: float, curvature: float, knee: float) -> tuple[Price, Callable[[float], float]]:
    """MCP that keeps the slope ``slope (1 - knee)`` in the end, and a bound on its inverse."""

    def price(t: Floats) -> Floats:
        bent = np.minimum(slope * t / curvature, knee)
        return slope * t * (1.0 - bent) + 0.5 * curvature * bent**2

    return price, lambda u: max((u - 0.5 * curvature * knee**2) / (slope * (1.0 - knee)), knee * curvature / slope)


def losses(logits: Floats) -> Floats:
    top = logits.max(axis=0)
    return np.log(np.exp(logits - top).sum(axis=0)) + top - np.diag(logits)


def objective(logits: Floats, scale: float, price: Price) -> float:
    sigma = np.linalg.svd(logits, compute_uv=False)
    sigma[sigma < 1e-12 * sigma.max(initial=0.0)] = 0.0
    return float(losses(logits).mean() + price(np.asarray(scale * sigma, dtype=np.float64)).sum())


def simplex(classes: int) -> Floats:
    return np.eye(classes) - 1.0 / classes


def pairs(classes: int) -> Floats:
    """Classes in antipodal pairs (the last alone at zero where their number is odd)."""
    code = np.zeros((classes, classes))
    even = classes - classes % 2
    code[:even, :even] = np.kron(np.eye(classes // 2), [[0.5, -0.5], [-0.5, 0.5]])
    return code


def best_multiple(code: Floats, scale: float, price: Price) -> float:
    grid = np.linspace(0.25, 60.0, 240)
    start = grid[np.argmin([objective(a * code, scale, price) for a in grid])]
    ends = (start - 0.25, start + 0.25)
    found = minimize_scalar(lambda a: objective(a * code, scale, price), bounds=ends, method="bounded", options={"xatol": 1e-9})
    return float(found.fun)


def random_logits(rng: np.random.Generator, classes: int) -> Floats:
    """Centred logits of all sizes and ranks, with more or less of a diagonal, some without a negative entry off it."""
    logits = rng.standard_normal((classes, classes)) * rng.choice([0.3, 1.0, 3.0, 8.0])
    logits += rng.uniform(-3.0, 8.0) * (simplex(classes) if rng.random() < 0.5 else pairs(classes))
    if rng.random() < 0.5:
        u, sigma, vt = np.linalg.svd(logits)
        sigma[rng.integers(1, classes) :] *= rng.choice([0.0, 0.05])
        logits = (u * sigma) @ vt
    return logits - logits.mean(axis=0)


def descend(rng: np.random.Generator, classes: int, scale: float, price: Price) -> float:
    """F where descent on a smoothed F ends, small singular values removed."""
    logits = random_logits(rng, classes)

    for width in (1.0, 0.1, 0.01):

        def smoothed(flat: Floats, width: float = width) -> tuple[float, Floats]:
            z = flat.reshape(classes, classes)
            u, sigma, vt = np.linalg.svd(z)
            soft = np.sqrt(sigma**2 + width**2)
            step = 1e-6 * soft
            rate = (price(scale * (soft + step)) - price(scale * (soft - step))) / (2.0 * step)
            share = np.exp(z - z.max(axis=0))
            gradient = (share / share.sum(axis=0) - np.eye(classes)) / classes + (u * (rate * sigma / soft)) @ vt
            return float(losses(z).mean() + price(scale * soft).sum()), gradient.ravel()

        logits = minimize(smoothed, logits.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 60}).x
        logits = logits.reshape(classes, classes)
    u, sigma, vt = np.linalg.svd(logits - logits.mean(axis=0))
    return min(objective((u[:, :r] * sigma[:r]) @ vt[:r], scale, price) for r in range(1, classes + 1))


@pytest.mark.parametrize("classes", [2, 3, 4, 6, 10, 30])
def test_column_loss_is_a_lower_bound(classes: int) -> None:
    rng = np.random.default_rng(classes)
    ratio = classes / (classes - 1.0)
    for _ in range(100):
        logits = random_logits(rng, classes)
        own, square = np.diag(logits), (logits**2).sum(axis=0)
        true = losses(logits)
        assert np.all(column_loss(classes, own, square - ratio * own**2) <= true + 1e-8 * (1.0 + true))
    if classes > 2:
        column = np.r_[1.3, np.full(classes - 2, 0.7), -0.7 * (classes - 2)]
        column[1:] -= column.sum() / (classes - 1)
        logits = np.zeros((classes, classes))
        logits[:, 0] = column
        bound = column_loss(classes, np.array(1.3), np.array(column @ column - ratio * 1.3**2))
        assert bound == pytest.approx(losses(logits)[0], rel=1e-12)


@pytest.mark.parametrize("classes", [3, 4, 10, 100])
def test_spread_loss_increases_and_is_concave(classes: int) -> None:
    spread = np.linspace(0.0, 900.0, 4001)
    values = spread_loss(classes, spread)
    assert np.all(np.diff(values) > 0)
    assert np.all(np.diff(values, 2) <= 1e-12)


@pytest.mark.parametrize("classes", [2, 3, 5, 8])
def test_lengths_and_cuts_hold_for_matrices(classes: int) -> None:
    rng = np.random.default_rng(classes)
    for trial in range(40):
        logits = random_logits(rng, classes)
        u, sigma, vt = np.linalg.svd(logits)
        largest = sigma[0] * rng.uniform(1.0, 1.3)
        multipliers = Multipliers(*(10.0 ** rng.uniform([-4, -4, -2], 0) * [1.0, 1.0, rng.uniform(-0.01, 0.05)]).tolist())
        own, square = np.diag(logits), (logits**2).sum(axis=0)
        price, _, _ = length_price(own, square, multipliers, largest)
        lengths = multipliers.left * (u**2 @ sigma) + multipliers.right * (sigma @ vt**2)
        assert np.all(price <= lengths * (1 + 1e-12) + 1e-12)
        if trial % 10 == 0:
            loss = losses(logits)
            inside = Columns(classes=classes, largest=largest, loss=float(loss.max()))
            constant = column_min(inside, multipliers, 1e-4).value
            cut = constant - multipliers.slope * sigma.mean() + multipliers.square * (sigma**2).mean()
            assert cut <= loss.mean()


@pytest.mark.parametrize("classes", [2, 3, 6])
@pytest.mark.parametrize("square", [-0.01, 0.0, 0.02])
def test_column_min_is_below_its_function_and_close(classes: int, square: float) -> None:
    rng = np.random.default_rng(1)
    inside = Columns(classes=classes, largest=9.0, loss=3.0)
    multipliers = Multipliers(0.05, 0.02, square)
    found = column_min(inside, multipliers, 1e-3)
    own = rng.uniform(inside.lowest, inside.highest, 100_000)
    spread = rng.uniform(0.0, 1.0, own.size) ** 2 * np.maximum(81.0 - inside.ratio * own**2, 0.0) * (classes > 2)
    length, loss = spread + inside.ratio * own**2, column_loss(classes, own, spread)
    value = (loss + length_price(own, length, multipliers, 9.0)[0] - square * length)[loss <= 3.0]
    assert found.value <= value.min() <= found.value + 1.2e-3
    assert column_min(Columns(classes=classes, largest=0.1, loss=1e-3), multipliers, 1e-3).value == np.inf


@pytest.mark.parametrize("classes", [2, 3, 4, 6, 9, 13])
def test_residual_norm_holds(classes: int) -> None:
    rng = np.random.default_rng(classes)
    bound = residual_norm_bound(classes, 300.0)
    for _ in range(150):
        logits = random_logits(rng, classes)
        sigma = np.linalg.svd(logits, compute_uv=False)
        assert bound(sigma[1:].sum()) <= losses(logits).mean()
    for code in (simplex(classes), pairs(classes)):
        for size in (1.0, 5.0, 20.0):
            rest = np.linalg.svd(size * code, compute_uv=False)[1:].sum()
            assert bound(rest) <= losses(size * code).mean()


def test_residual_norm_with_half_the_norm_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = residual_norm.sign_patterns
    monkeypatch.setattr(residual_norm, "sign_patterns", lambda classes: patterns(classes) * [1.0, 1.0, 0.4])
    bound = residual_norm_bound(4, 300.0)
    code = 12.0 * pairs(4)
    assert bound(np.linalg.svd(code, compute_uv=False)[1:].sum()) > losses(code).mean()


@pytest.mark.parametrize("price", [schatten(2, 0.1)[0], schatten(1, 0.1)[0], mcp(0.25, 0.5, 0.5)[0]])
def test_cheapest_spectra_have_one_value_and_a_rest(price: Price) -> None:
    rng = np.random.default_rng(5)
    for _ in range(500):
        spectrum = 8.0 * rng.uniform(0.0, 1.0, rng.integers(2, 9)) ** rng.uniform(0.2, 3.0)
        spectrum[1:][rng.random(len(spectrum) - 1) < 0.3] = 0.0
        trace, square = spectrum.sum(), (spectrum**2).sum()
        n = min(int(trace**2 / square + 1e-9), len(spectrum))
        x = (n * trace + np.sqrt(max(n * ((n + 1) * square - trace**2), 0.0))) / (n * (n + 1))
        y = max(trace - n * x, 0.0)
        assert y <= x * (1 + 1e-9)
        assert x <= spectrum.max() * (1 + 1e-9)
        assert n * price(x) + price(y) <= price(spectrum).sum() + 1e-7


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("head", ["schatten", "mcp"])
def test_bound_is_below_every_value(classes: int, head: str) -> None:
    rng = np.random.default_rng(classes)
    scale = float(rng.uniform(1.0, 8.0))
    if head == "schatten":
        price, inverse = schatten(int(rng.integers(1, 4)), 2.0 ** -rng.uniform(5, 12))
    else:
        price, inverse = mcp(10.0 ** rng.uniform(-3, -1.5), 0.05, 0.5)
    values = [descend(rng, classes, scale, price) for _ in range(2)]
    values += [best_multiple(code, scale, price) for code in (simplex(classes), pairs(classes))]
    values += [objective(random_logits(rng, classes), scale, price) for _ in range(100)]
    best = min([*values, float(np.log(classes))])
    for factor in (1.0, 1.5):
        bound = moment_bound(classes, scale, price, factor * best, inverse(factor * best), effort=15)
        assert 0.0 <= bound <= best


def test_mcp_is_solved_by_the_simplex() -> None:
    price, inverse = mcp(0.0025, 0.05, 0.5)
    etf = best_multiple(simplex(10), 10.0, price)
    assert etf == pytest.approx(0.655148, abs=1e-6)
    assert etf * (1 - 2e-4) <= moment_bound(10, 10.0, price, etf, inverse(etf), effort=600) <= etf


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("factor", [1.0, 1.3])
def test_small_schatten_is_solved_by_the_simplex(classes: int, factor: float) -> None:
    price, inverse = schatten(2, 2.0**-10)
    best = min(best_multiple(simplex(classes), ROOT5, price), best_multiple(pairs(classes), ROOT5, price))
    bound = moment_bound(classes, ROOT5, price, factor * best, inverse(factor * best))
    assert best * (1 - 1e-3) <= bound <= best


def test_more_effort_is_never_worse_and_runs_agree_bitwise() -> None:
    price, inverse = schatten(2, 2.0**-10)
    upper = 0.047254377
    found = [moment_bound(6, ROOT5, price, upper, inverse(upper), effort=effort) for effort in (0, 1, 5, 20, 60)]
    assert found == sorted(found)
    assert 0.0 < found[0] < 0.9 * found[-1]
    assert found[3] == moment_bound(6, ROOT5, price, upper, inverse(upper), effort=20)


@pytest.mark.parametrize("change", ["spread", "constant", "lengths"])
def test_wrong_column_bounds_exceed_an_attained_value(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """Where the bound is tight, as for three classes, an overrated loss or length shows."""
    price, inverse = schatten(2, 2.0**-10)
    attained = best_multiple(simplex(3), ROOT5, price)
    upper = 1.3 * attained
    assert moment_bound(3, ROOT5, price, upper, inverse(upper), effort=60) <= attained
    if change == "lengths":
        monkeypatch.setattr(columns, "length_price", lambda *args: tuple(1.05 * part for part in length_price(*args)))
    else:
        more = {"spread": (0.5, 0.0), "constant": (0.0, 0.1)}[change]
        monkeypatch.setattr(columns, "spread_loss", lambda classes, spread: spread_loss(classes, spread + more[0]) + more[1])
    assert moment_bound(3, ROOT5, price, upper, inverse(upper), effort=60) > attained


@pytest.mark.parametrize("classes", [4, 6, 10])
def test_column_loss_without_the_low_outlier_is_caught(classes: int) -> None:
    """Antipodal pairs have the low outlier; equal deviations upwards, the other extreme, would cost more."""
    logits = 5.0 * pairs(classes)
    own, square = np.diag(logits), (logits**2).sum(axis=0)
    spread = square - classes / (classes - 1.0) * own**2
    np.testing.assert_allclose(column_loss(classes, own, spread), losses(logits), rtol=1e-12)
    size = np.sqrt(spread / ((classes - 1) * (classes - 2)))
    high = np.log(np.exp((classes - 2) * size) + (classes - 2) * np.exp(-size))
    assert np.all(np.logaddexp(0.0, -classes / (classes - 1.0) * own + high) > 1.1 * losses(logits))


@pytest.mark.parametrize("classes", [2, 3, 4, 14])
def test_extreme_arguments(classes: int) -> None:
    price, inverse = schatten(2, 2.0**-10)
    zero = float(np.log(classes))

    def bound(scale: float, upper: float, largest: float, price: Price = price) -> float:
        return moment_bound(classes, scale, price, upper, largest, effort=10)

    for upper in (np.nan, 0.0, -1.0):
        assert bound(1.0, upper, 1.0) == 0.0
    for largest in (np.nan, np.inf, 1e300):
        assert bound(1.0, 0.5, largest) == 0.0
    assert bound(1.0, 5.0 + zero, 0.0) == zero
    assert zero - 1e-6 <= bound(1.0, 5.0 + zero, 1e-9) <= zero
    assert zero - 1e-6 <= bound(1e8, zero, inverse(zero)) <= zero
    assert bound(1.0, 0.3 * zero, 1e-9) == 0.3 * zero
    assert 0.0 <= bound(1e-8, zero, inverse(zero)) <= 1e-3
    reachable = float(np.log1p((classes - 1.0) * np.exp(-5.0)))
    assert 0.0 <= bound(1.0, zero, 5.0, lambda t: np.full_like(t, np.nan)) <= reachable
    assert 0.0 <= bound(1.0, zero, 5.0, np.zeros_like) <= reachable
