"""Float bounds with features of a fixed norm at a coarse unit: each rounding term by its formula, and factors in the norms.

Real rounding is far below the unit of 2^-30, so that one unit more or less shows. What the terms are added to is written out
class by class.
"""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

import ufm
from tests.ufm.certify import naive, naive_cosine, naive_normalised
from ufm import ClassifierDecay, Cosine, LayerNorm, NoDecay, Problem
from ufm.certify import normalised
from ufm.certify.normalised import cosine_bounds, normalised_bounds, normalised_lower, scaled
from ufm.errors import ConvergenceError
from ufm.spectral.normalised import cosine_factors, supporting
from ufm.spectral.program import Factors

UNIT = 2.0**-30
COUNTS = [40, 40, 7, 7, 1]
DECAY, NORM = 0.02, 3.0


@pytest.fixture
def coarse(monkeypatch):
    """The bounds of this module as if floats had thirty binary digits; those that they call keep their own."""
    monkeypatch.setattr(normalised, "UNIT", UNIT)


def fixed(loss: str = "ce", bias: float | None = None) -> tuple[Problem, Any]:
    problem = Problem(COUNTS, regularizer=ClassifierDecay(DECAY, bias), head=LayerNorm(NORM), loss=loss)
    return problem, ufm.solve(problem)


def cosines(loss: str = "ce", scale: float = 2.0) -> tuple[Problem, Any]:
    problem = Problem(COUNTS, regularizer=NoDecay(), head=Cosine(scale), loss=loss)
    return problem, ufm.solve(problem)


def moved(factors: Factors, rng: np.random.Generator, spread: float, more: int = 0) -> Factors:
    """Other factors nearby, with ``more`` shared dimensions."""
    groups = len(factors.contrast)
    left = factors.left * np.exp(spread * rng.standard_normal(factors.left.shape))
    return Factors(
        factors.contrast * np.exp(spread * rng.standard_normal(groups)),
        np.hstack([left, spread * rng.standard_normal((groups, more))]),
        np.vstack([factors.right, spread * rng.standard_normal((more, groups))]),
        factors.bias,
    )


def written_out(program: Any, factors: Factors, heights: Any, lengths: Any) -> tuple[Any, Any, Any]:
    """W (K x d), H (d x K) with one dimension more for each class, and the group of each class."""
    group = np.repeat([g for g, _ in program.runs], [c for _, c in program.runs])
    m = program.multiplicity[group]
    centred = np.eye(len(group)) - (group[:, None] == group) / m
    weight = np.hstack([factors.left[group], np.asarray(heights)[group][:, None] * centred])
    features = np.vstack([factors.right[:, group], centred * np.asarray(lengths)[group]])
    return weight, features, group


def entropy_loss(logits: Any, sizes: Any) -> float:
    own = np.log(np.exp(logits).sum(axis=0)) - np.diag(logits)
    return float(sizes @ own / sizes.sum())


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("bias", [None, 0.3])
@pytest.mark.parametrize("more", [0, 2])
def test_the_room_for_rounding_in_the_price(bias, more):
    """``4 (4 (r + G) + 32) + 96`` units of the price of W, ``4 (r + G) + 32`` of that of a bias, and four of the whole."""
    problem, solution = fixed(bias=bias)
    program, effective = problem.program(), DECAY / NORM**2
    rng = np.random.default_rng(3)
    for spread in (0.0, 0.1, 0.5):
        factors = moved(solution.factors, rng, spread, more)
        found = normalised_bounds(program, factors, solution.program.scale**2)
        size, scale = np.abs(factors.contrast), found.program.scale
        heights, lengths = np.sqrt(scale * size / effective), np.sign(factors.contrast) * np.sqrt(effective * size / scale)
        weight, features, group = written_out(program, factors, heights, lengths)
        price = effective / 2 * float((weight**2).sum() * (features**2).sum(axis=0).max())
        own = 0.0 if bias is None else bias / 2 * float((factors.bias[group] ** 2).sum())
        value = entropy_loss(weight @ features + factors.bias[group][:, None], np.array(COUNTS)) + price + own
        relative = 4 * (len(factors.right) + 3) + 32
        room = (4 * relative + 96) * price + relative * own + 4 * value
        assert found.upper - value == pytest.approx(room * UNIT, rel=1e-4)
        assert found.value == pytest.approx(value, rel=1e-13)
        assert found.lower < found.value < found.upper


def document(problem: Problem, found: Any, factors: Factors) -> dict[str, Any]:
    return ufm.Certificate(found.lower, found.upper, "float", problem, found.program, factors, found.slopes).document()


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("loss", ["ce", "ce:smoothing=0.2", "bce", "ce:weights=0.5"])
def test_the_room_for_rounding_in_the_allowance(loss):
    """``G + 32`` units of the allowance, and four of it and of the bound that it is taken from."""
    problem, solution = fixed(loss)
    rng = np.random.default_rng(4)
    for spread in (0.0, 0.2):
        weights = solution.program.scale**2 * np.exp(spread * rng.standard_normal(3))
        for share in (0.7, 1.0):
            found = normalised_bounds(problem.program(), solution.factors, weights, share * solution.certificate.slopes)
            with mpmath.workdps(40):
                data = document(problem, found, solution.factors)
                model = naive_normalised.NormalisedModel(data["problem"], data["weights"])
                lower = float(model.dual(data["dual"], None))
                spent = float(sum(model.s_squared) / (2 * model.effective))
            assert lower - found.lower == pytest.approx(((3 + 32) * spent + 4 * (lower + 2 * spent)) * UNIT, rel=1e-4)


def column_entropies(slopes: Any, program: Any, floor: float) -> Any:
    """Entropy of ``T + y`` in one column of each group."""
    G, m = program.groups, program.multiplicity
    found = np.zeros(G)
    for h in range(G):
        others = m - (np.arange(G) == h)
        p = np.append(slopes[:-1, h] + floor, 1.0 + slopes[-1, h] - floor * (m.sum() - 1))
        found[h] = -sum(n * v * np.log(v) for n, v in zip(np.append(others, 1.0), p, strict=True) if n > 0 and v > 0)
    return found


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_weights_get_the_size_at_which_slopes_prove_most(smoothing):
    """Slopes t y prove ``t gain - t^2 norm^2 total / (2 effective)``: t is at most one, and weights have 64 units to spare."""
    problem, solution = fixed(f"ce:smoothing={smoothing}" if smoothing else "ce")
    program, effective = solution.program, DECAY / NORM**2
    sizes, m = np.array([40.0, 7.0, 1.0]), program.multiplicity
    share = sizes / (m @ sizes)
    shares_found = set()
    for part in (0.05, 0.6, 1.0, 1.05):
        # Larger slopes than those of the optimum at the weights of a smaller problem have t < 1.
        slopes = part * solution.certificate.slopes
        if part > 1:
            uniform = np.where(program.logit_counts > 0, 1.0 / 5, 0.0)
            uniform[-1] -= 1.0
            slopes = (1 - smoothing) * uniform
        unit = supporting(problem.program(), np.array([1.0, 0.3, 0.8]))
        floor = smoothing / 5
        gain = float(m @ (share * (column_entropies(slopes, program, floor) - column_entropies(0 * slopes, program, floor))))
        group = np.repeat(range(3), m.astype(int))
        matrix = slopes[:-1][np.ix_(group, group)]
        np.fill_diagonal(matrix, slopes[-1][group])
        norm = float(np.linalg.norm(matrix * (share / unit.scale)[group], 2))
        total = float((unit.scale[group] ** 2).sum())
        t = min(1.0, gain * effective / (norm**2 * total))
        shares_found.add(t < 1)
        found = scaled(unit, effective, slopes)
        expected = unit.scale**2 * (t * norm) ** 2
        assert found.scale**2 / expected - 1 == pytest.approx(64 * UNIT, rel=1e-4)
        # Column by column d(t y) is at least t d(y) + (1 - t) d(0).
        least = float(m @ (share * column_entropies(0 * slopes, program, floor)))
        proved = normalised_lower(found, problem.program(), slopes)[0]
        assert proved >= least + t * gain - (t * norm) ** 2 * total / (2 * effective) - 1e-6
    assert shares_found == {True, False}


def test_slopes_without_a_norm_leave_the_weights_and_prove_nothing_negative():
    problem, solution = fixed()
    unit = supporting(problem.program(), np.array([1.0, 0.3, 0.8]))
    zero = np.zeros_like(solution.certificate.slopes)
    for slopes in (np.full_like(zero, np.nan), np.full_like(zero, np.inf)):
        assert scaled(unit, 0.01, slopes) is unit
        assert normalised_lower(unit, problem.program(), slopes)[0] == 0.0
    found = normalised_bounds(problem.program(), solution.factors, unit.scale**2, zero)
    assert (found.lower, not found.slopes.any(), found.upper > solution.upper) == (0.0, True, True)
    # Slopes away from the labels gain nothing: their size is left as it is.
    away = -0.1 * solution.certificate.slopes
    assert scaled(unit, 0.01, away).scale == pytest.approx(unit.scale * normalised.dual_norm(unit, away), rel=1e-12)
    assert normalised_lower(unit, problem.program(), away)[0] == 0.0


def test_logits_beyond_float64_bound_nothing_from_above():
    problem, solution = fixed()
    for size in (1e200, np.inf):
        huge = solution.factors._replace(contrast=np.array([size, size, 0.0]))
        found = normalised_bounds(problem.program(), huge, solution.program.scale**2)
        assert found.upper == np.inf
        assert found.lower >= 0.0


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("loss", ["ce", "ce:smoothing=0.2", "bce", "mse", "ce:temperatures=0.5"])
def test_the_room_for_rounding_with_cosines(loss):
    """Lower: ``4 G + 64`` units of the price and four of it and of the gain. Upper: four of the loss, which is exact here."""
    problem, solution = cosines(loss, 0.8 if loss == "mse" else 2.0)
    program, rng = problem.program(), np.random.default_rng(5)
    for spread in (0.0, 0.05):
        columns = solution.program.scale**2 * np.exp(spread * rng.standard_normal(3))
        rows = solution.program.rows * np.exp(spread * rng.standard_normal(3))
        for share in (0.95, 1.0):
            given = share * solution.certificate.slopes
            found, factors = cosine_bounds(program, solution.factors, columns, rows, given)
            shrunk = 0 if loss in ("bce", "mse") else 4 * (3 + 16)
            there = program.logit_counts[:-1] > 0
            kept = given[:-1][there] * (1 - shrunk * UNIT)
            assert found.slopes[:-1][there] == pytest.approx(kept, rel=1e-13, abs=1e-300)
            with mpmath.workdps(40):
                data = document(problem, found, factors)
                model = naive_cosine.CosineModel(data["problem"], data["weights"], data["rows"])
                lower, slopes = model.dual(data["dual"], None), model.slopes(data["dual"])
                total = float(sum(naive.number(model.pi[k]) * model.conjugate(slopes, k) for k in range(model.K)))
                price, upper = total - float(lower), float(model.objective(data["primal"]))
                room = ((4 * 3 + 64) * price + 4 * (abs(total) + price)) * UNIT
                assert float(lower) - found.lower == pytest.approx(room, rel=1e-4)
            assert found.upper / upper - 1 == pytest.approx(4 * UNIT, rel=1e-2 if loss == "mse" else 1e-4)


def product_of_norms(program: Any, factors: Factors, scale: float) -> float:
    """Longest row of W times the longest feature, over the scale, and their product is that of the factors."""
    weight, features, group = written_out(program, factors, *cosine_factors(program, factors, scale))
    contrast = factors.contrast[group] * np.eye(len(group))
    centred = contrast - (group[:, None] == group) * factors.contrast[group] / program.multiplicity[group]
    logits = (factors.left @ factors.right)[np.ix_(group, group)] + centred
    assert weight @ features == pytest.approx(logits, rel=1e-12, abs=1e-12)
    return float(np.sqrt((weight**2).sum(axis=1).max() * (features**2).sum(axis=0).max())) / scale


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("more", [0, 1, 3])
def test_the_room_for_rounding_in_the_norms(more):
    """Scaled to ``(1 - 8 u) / (1 + (4 r + 32) u)`` of the scale, and left alone below ``1 / (1 + (4 r + 32) u)``."""
    problem, solution = cosines()
    program, rng = problem.program(), np.random.default_rng(6)
    for size in (1.0, 1.5):
        factors = moved(solution.factors, rng, 0.1, more)
        factors = factors._replace(contrast=size * factors.contrast, right=size * factors.right)
        assert product_of_norms(program, factors, 2.0) > 1
        slack = 4 * len(factors.right) + 32
        _, inside = cosine_bounds(program, factors, solution.program.scale**2, solution.program.rows)
        assert 1 - product_of_norms(program, inside, 2.0) == pytest.approx((slack + 8) * UNIT, rel=1e-4)
        assert np.all(inside.left == factors.left)
        for units, change in ((slack + 1, False), (slack - 1, True)):
            share = (1 - units * UNIT) / product_of_norms(program, inside, 2.0)
            near = inside._replace(contrast=share * inside.contrast, right=share * inside.right)
            _, again = cosine_bounds(program, near, solution.program.scale**2, solution.program.rows)
            assert bool(np.any(again.contrast != near.contrast)) == change


@pytest.mark.parametrize("size", [1 + 1e-12, 1 + 1e-9, 1.1, 2.0, 1e3, 1e12])
@pytest.mark.parametrize("what", ["contrast", "left", "right"])
def test_upper_bounds_are_those_of_factors_inside_the_norms(size, what):
    """Whichever factor is too long, what is returned is inside, and the exact bound at it is not above the float one."""
    problem, solution = cosines()
    longer = solution.factors._replace(**{what: size * getattr(solution.factors, what)})
    found, inside = cosine_bounds(problem.program(), longer, solution.program.scale**2, solution.program.rows)
    assert product_of_norms(problem.program(), inside, 2.0) <= 1
    with mpmath.workdps(naive.DIGITS):
        lower, upper = naive_cosine.bounds(document(problem, found, inside))
        assert found.lower <= lower <= upper <= found.upper


def test_factors_beyond_float64_have_logits_of_zero():
    problem, solution = cosines()
    for change in ({"contrast": np.full(3, np.inf)}, {"right": solution.factors.right * 1e200}):
        found, inside = cosine_bounds(
            problem.program(), solution.factors._replace(**change), solution.program.scale**2, solution.program.rows
        )
        assert found.upper == pytest.approx(np.log(5), rel=1e-14)
        assert not inside.contrast.any()
        assert not inside.right.any()
    endless = solution.factors._replace(left=np.full_like(solution.factors.left, np.inf))
    found, _ = cosine_bounds(problem.program(), endless, solution.program.scale**2, solution.program.rows)
    assert found.upper == np.inf


def test_only_the_direction_of_weights_counts():
    """However large they are, up to the range of float64."""
    problem, solution = cosines()
    program, columns, rows = problem.program(), solution.program.scale**2, solution.program.rows
    least = cosine_bounds(program, solution.factors, columns, rows)[0]
    for size in (1e-200, 1e200):
        for weights in ((size * columns, rows), (columns, size * rows)):
            found = cosine_bounds(program, solution.factors, *weights)[0]
            assert (found.lower, found.upper) == pytest.approx((least.lower, least.upper), rel=1e-14)
    problem, solution = fixed()
    bounds = [normalised_bounds(problem.program(), solution.factors, c * solution.program.scale**2) for c in (1, 1e200, 1e-200)]
    assert [b.lower for b in bounds] == pytest.approx([bounds[0].lower] * 3, rel=1e-13)
    assert [b.upper for b in bounds] == pytest.approx([bounds[0].upper] * 3, rel=1e-13)


def test_slopes_of_classes_that_are_not_there_are_dropped(monkeypatch):
    """And the room of the gain is taken off the lower bound."""
    problem, solution = cosines()
    program = problem.program()
    given = np.where(program.logit_counts > 0, solution.certificate.slopes, 7.0)
    arguments = program, solution.factors, solution.program.scale**2, solution.program.rows
    found, _ = cosine_bounds(*arguments, given)
    assert (program.logit_counts == 0).any()
    assert not found.slopes[program.logit_counts == 0].any()
    assert found.lower == pytest.approx(solution.lower, rel=1e-12)
    exact = normalised.dual_value
    monkeypatch.setattr(normalised, "dual_value", lambda *given: (exact(*given)[0], 1e-3))
    assert cosine_bounds(*arguments, given)[0].lower == pytest.approx(found.lower - 1e-3, rel=1e-12)


def test_slopes_of_zero_are_taken_where_they_prove_more(monkeypatch):
    """They prove the entropy of smoothed labels, and others nothing where the scale is so large that their price is."""
    problem, solution = cosines("ce:smoothing=0.2", scale=50.0)
    program = problem.program()
    columns, rows = solution.program.scale**2, solution.program.rows
    zero = solution.certificate.slopes * 0
    bad = np.where(program.logit_counts > 0, 0.2, 0.0)
    bad[-1] = -0.8
    for given in (0.5 * bad, np.full_like(zero, np.nan), zero):
        found, _ = cosine_bounds(program, solution.factors, columns, rows, given)
        # Entropy of the targets: .84 for the own class and .04 for each of four others.
        assert found.lower == pytest.approx(-0.84 * np.log(0.84) - 0.16 * np.log(0.04), rel=1e-12)
        assert not found.slopes.any()
    monkeypatch.setattr(normalised, "loss_above", lambda *_: 0.1)
    with pytest.raises(ConvergenceError, match="contradict"):
        cosine_bounds(program, solution.factors, columns, rows, zero)
