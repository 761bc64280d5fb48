"""Float bounds of tables with features of a fixed norm at a coarse unit: each rounding term by its formula.

Real rounding is far below the unit of 2^-30, so that one unit more or less shows. Losses, entropies and norms are those of
`tests.ufm.certify.test_table_rounding`, entry by entry and in many digits.
"""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

import ufm
from tests.ufm.certify.test_table_rounding import (
    LOSSES,
    TABLES,
    entropies,
    exact,
    exact_norm,
    inner_slopes,
    number,
    random_factors,
    shares,
)
from tests.ufm.tables import naive_loss
from ufm import ClassifierDecay, LayerNorm, Problem
from ufm.certify import table_normalised
from ufm.certify.table_normalised import (
    NEGLIGIBLE,
    normalised_table_bounds,
    normalised_table_lower,
    supporting_table,
    table_allowance,
)
from ufm.spectral.table_program import TableProgram

UNIT = 2.0**-30
DECAY, NORM = 0.02, 3.0
EFFECTIVE = DECAY / NORM**2
BIASES = {"none": None, "decayed": 0.07, "free": 0.0}


@pytest.fixture
def coarse(monkeypatch):
    """The bounds of this module as if floats had thirty binary digits; those that they call keep their own."""
    monkeypatch.setattr(table_normalised, "UNIT", UNIT)


def fixed(loss: str, bias: float | None = None) -> TableProgram:
    regularizer = ClassifierDecay(DECAY, bias)
    return Problem(TABLES[loss], regularizer=regularizer, loss=loss, head=LayerNorm(NORM)).program()  # type: ignore[return-value]


def pulling(program: TableProgram, rng: np.random.Generator, part: float) -> Any:
    """Slopes that gain something over none: towards uniform probabilities, or from real targets towards zero."""
    if program.loss.quadratic:
        return -part * program.loss.target * rng.uniform(0.8, 1.2, program.loss.target.shape)
    return inner_slopes(program, rng, part)


def entropy(loss: str, slopes: Any) -> Any:
    """``sum_m pi_m d_m(y_m)`` in the digits that are set."""
    values = entropies(loss, exact(loss, slopes))
    return sum((number(p) * d for p, d in zip(shares(loss), values, strict=True)), mp.mpf(0))


def length(loss: str, slopes: Any, bias: float | None) -> Any:
    """``|Y pi|^2 / (2 lambda_b)`` of a bias that decays."""
    if not bias:
        return mp.mpf(0)
    rows = [sum(v * p for v, p in zip(row, shares(loss), strict=True)) for row in exact(loss, slopes)]
    return sum((number(r) ** 2 for r in rows), mp.mpf(0)) / (2 * mp.mpf(bias))


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_room_for_rounding_in_the_price(loss, bias):
    """``4 (4 (r + K) + 32) + 96`` units of the price of W, ``4 (r + K) + 32`` of that of a bias, and four of the whole."""
    program = fixed(loss, BIASES[bias])
    for rank, size in ((1, 0.01), (3, 2.0)):
        factors = random_factors(program, np.random.default_rng(rank), size, rank)
        found = normalised_table_bounds(program, factors, np.linspace(1.0, 2.0, program.contexts))
        with mp.workdps(30):
            left, right, shift = (np.array(part, dtype=object) * mp.mpf(1) for part in factors)
            value = float(naive_loss(TABLES[loss], loss, (left @ right + shift[:, None]).tolist(), mp.log, mp.exp))
            price = float(mp.mpf(DECAY) / NORM**2 / 2 * (left**2).sum() * max((right**2).sum(axis=0)))
            own = float(mp.mpf(BIASES[bias] or 0.0) / 2 * (shift**2).sum())
        relative = 4 * (rank + program.rows) + 32
        room = (4 * relative + 96) * price + relative * own + 4 * (value + price + own)
        assert found.upper - (value + price + own) == pytest.approx(room * UNIT, rel=1e-4)
        assert found.value == pytest.approx(value + price + own, rel=1e-13)
        assert found.lower < found.value < found.upper


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_room_for_rounding_in_the_allowance(loss, bias):
    """``M + 32`` units of the allowance, and four of it and of what it is taken from."""
    program = fixed(loss, BIASES[bias])
    rng = np.random.default_rng(4)
    for part in (0.05, 0.3):
        given = pulling(program, rng, part)
        weights = rng.uniform(0.5, 2.0, program.contexts)
        lower, slopes, supporting = normalised_table_lower(program, weights, given)
        assert slopes.any()
        with mp.workdps(40):
            before = entropy(loss, slopes) - length(loss, slopes, BIASES[bias])
            spent = sum(mp.mpf(v) for v in supporting.scale**2) / 2 / (mp.mpf(DECAY) / NORM**2)
            room = ((program.contexts + 32) * spent + 4 * (before + spent)) * UNIT
            assert float(before - spent - lower) == pytest.approx(float(room), rel=1e-4)
            # What is proved at these weights is proved: the slopes are within the norm that they allow.
            assert exact_norm(loss, exact(loss, slopes), supporting.scale**2) < 1


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("bias", [None, 0.6, 1.0, 0.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_weights_get_the_size_at_which_slopes_prove_most(loss, bias):
    """Slopes t y prove ``t gain - t^2 norm^2 total / (2 effective)``: t is at most one, and weights have 64 units to spare.

    A free bias leaves slopes without a residual.
    """
    program, none = fixed(loss, bias), np.zeros_like(TABLES[loss].columns)
    direction = np.array([1.0, 0.3, 0.8, 0.5, 0.9])[: program.contexts]
    smaller = set()
    for part in (1e-3, 0.3, 1.0):
        given = pulling(program, np.random.default_rng(7), part)
        slopes = program.loss.feasible(given)
        if bias == 0.0:
            share = np.array([float(p) for p in shares(loss)])
            slopes = program.loss.feasible(given - (given @ share / share.sum())[:, None])
        with mp.workdps(40):
            gain = float(entropy(loss, slopes) - entropy(loss, none) - length(loss, slopes, bias))
            norm = float(exact_norm(loss, exact(loss, slopes), direction))
        assert gain > 0
        t = min(1.0, gain * EFFECTIVE / (norm**2 * direction.sum()))
        smaller.add(t < 1)
        expected = direction * (t * norm) ** 2
        for size in (1.0, 5.0, 2.0**-600, 2.0**600):
            lower, kept, found = normalised_table_lower(program, size * direction, given)
            assert found.scale**2 / expected - 1 == pytest.approx(64 * UNIT, rel=1e-3)
            np.testing.assert_allclose(kept, t * (1 - 32 * UNIT) * slopes, rtol=0, atol=1e-6 * abs(slopes).max())
            assert lower >= float(entropy(loss, none)) + t * gain - (t * norm) ** 2 * direction.sum() / (2 * EFFECTIVE) - 1e-6
    assert smaller == {True, False}


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_slopes_that_gain_nothing_are_left_for_none_at_weights_of_next_to_nothing(loss, bias):
    """Slopes of zero, slopes that are no numbers, and slopes away from the optimum prove the entropies of the targets."""
    program, weights = fixed(loss, BIASES[bias]), np.linspace(1.0, 2.0, TABLES[loss].contexts)
    none = np.zeros_like(program.loss.target)
    with mp.workdps(40):
        least = float(entropy(loss, none))
    nothing = [none + np.nan, none + np.inf]
    if loss == "mse":
        nothing.append(-3 * program.loss.target)  # -|s|^2 / 2 - s y is zero at s = -2 y, and negative beyond
    elif bias != "free":
        # The targets themselves and sharper ones; without a residual they are mixed with the mean target, which may gain.
        nothing += [none, program.loss.feasible(-1e-3 * inner_slopes(program, np.random.default_rng(1)))]
    for given in nothing:
        lower, slopes, supporting = normalised_table_lower(program, weights, given)
        assert lower == pytest.approx(least, rel=1e-13, abs=1e-29)
        assert not slopes.any()
        assert supporting.scale**2 == pytest.approx(NEGLIGIBLE * EFFECTIVE * weights / weights.sum(), rel=1e-13, abs=0)
        assert table_allowance(supporting, EFFECTIVE) == pytest.approx(NEGLIGIBLE / 2, rel=1e-13, abs=0)


def test_the_supporting_program_has_a_nuclear_norm_of_its_own():
    weights = np.array([1.0, 4.0, 9.0, 16.0, 25.0])
    program = fixed("ce", 0.07)
    found = supporting_table(program, weights)
    assert found.scale.tolist() == [1, 2, 3, 4, 5]
    assert found.penalty == ufm.spectral.penalties.Nuclear(1.0)
    assert (found.bias_decay, found.sizes) == (0.07, (2, 3, 4, 1, 7))
    # (1 + 4 + 9 + 16 + 25) / (2 * 0.5)
    assert table_allowance(found, 0.5) == 55.0


@pytest.mark.parametrize("loss", LOSSES)
def test_factors_beyond_float64_bound_nothing_from_above(loss):
    program = fixed(loss, 0.07)
    factors = random_factors(program, np.random.default_rng(1), 1.0, 2)
    for scale in (1e160, 1e300):
        huge = factors._replace(left=scale * factors.left, right=scale * factors.right)
        found = normalised_table_bounds(program, huge, np.ones(program.contexts))
        assert found.upper == np.inf
        assert np.isfinite(found.lower)
        assert np.isfinite(found.slopes).all()
