"""Both bounds of a model with bounded feature norms, from factors and weights of the classes, in float64.

Lower bound: weak duality for a supporting program, less its allowance. Upper bound: the loss at the logits plus the price of
explicit parameters, whose features are scaled to the norm (docs/theory, Propositions 12.3 to 12.5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT
from ufm.certify.duality import PARAMETERS, dual_bound, dual_norm, dual_value, zero_bound
from ufm.certify.primal_dual import RECOVERED, loss_above, within
from ufm.spectral.normalised import allowance, cosine_norms, feature_norms, row_weighted, supporting
from ufm.spectral.program import Factors, LogitProgram

STEPS = 80
"""Most steps by which factors are scaled into the norms: the root of the excess, taken so often, is less than a rounding."""


class NormalisedBounds(NamedTuple):
    """``lower <= optimum <= upper``, with what proves it.

    Attributes
    ----------
    lower, upper : float, certified bounds on the optimal objective (nats)
    value : float, the objective at the parameters of the factors, without rounding terms
    slopes : (G + 1, G) float64, dual slopes as in `ufm.certify.primal_dual.Bounds`
    program : LogitProgram, the supporting program of both bounds
    """

    lower: float
    upper: float
    value: float
    slopes: Floats
    program: LogitProgram


def normalised_bounds(
    program: LogitProgram, factors: Factors, weights: Floats, slopes: Floats | None = None
) -> NormalisedBounds:
    """Both bounds from any factors and any positive weights; they are tight at the optimum.

    Parameters
    ----------
    program : LogitProgram, whose penalty is a `FeatureNorms`
    factors : Factors
        Of logits of this program; ``left`` and ``right`` are parts of W and of features of norm one.
    weights : (G,) float64 > 0, direction of the class weights; their size is chosen here
    slopes : (G + 1, G) float64 or None, other dual slopes than those at the factors' logits

    Returns
    -------
    NormalisedBounds
        ``upper`` is infinite where the logits are beyond float64.

    Raises
    ------
    ConvergenceError
        The bounds contradict each other: a defect of this package, never of the problem.
    """
    effective = float(program.penalty.effective)  # type: ignore[attr-defined]
    with np.errstate(over="ignore", invalid="ignore"):
        unit = supporting(program, weights / weights.max())
        point = unit.point(factors)
        logits = unit.spread(point)
        columns = unit.loss.columns(logits, unit.logit_counts)
        if slopes is None:
            slopes = columns.gradient / np.maximum(unit.logit_counts, 1.0)
        unit = scaled(unit, effective, slopes)
        value = float(unit.mass @ columns.values)
        upper = loss_above(unit, factors, logits, columns.values, columns.gradient)
        relative = 4.0 * (len(factors.right) + unit.groups) + 4 * PARAMETERS
        weight, squares = feature_norms(unit, factors, effective)
        price = 0.5 * effective * weight * float(squares.max())
        value += price
        upper += price * (1.0 + (4.0 * relative + 4.0 * RECOVERED) * UNIT)
        if unit.bias_decay:
            price = 0.5 * unit.bias_decay * float(unit.multiplicity @ factors.bias**2)
            value += price
            upper += price * (1.0 + relative * UNIT)
        upper += 4 * UNIT * abs(upper)
    if not np.isfinite(upper):
        upper = np.inf
    lower, slopes = normalised_lower(unit, program, slopes)
    return NormalisedBounds(lower, upper, within(lower, value, upper), slopes, unit)


def scaled(program: LogitProgram, effective: float, slopes: Floats) -> LogitProgram:
    """The supporting program whose weights have the size at which slopes prove most (docs/theory, Proposition 12.4).

    Parameters
    ----------
    program : LogitProgram, from `ufm.spectral.normalised.supporting`
    effective : float, ``decay / norm^2``
    slopes : (G + 1, G) float64, as for `ufm.certify.duality.dual_bound`

    Returns
    -------
    LogitProgram
    """
    if not np.isfinite(slopes).all():
        return program
    norm, total = dual_norm(program, slopes), float(program.multiplicity @ program.scale**2)
    gain = dual_value(program, slopes)[0] - float(np.maximum(dual_value(program, np.zeros_like(slopes))[0], 0.0))
    if not (norm > 0 and np.isfinite(norm)):
        return program
    # Slopes t y prove t gain - t^2 norm^2 total / (2 effective), at weights that are t^2 norm^2 times as large.
    best = gain * effective / (norm**2 * total)
    share = min(1.0, best) if best > 0 else 1.0
    return supporting(program, program.scale**2 * (share * norm) ** 2 * (1.0 + 64 * UNIT))


def normalised_lower(program: LogitProgram, model: LogitProgram, slopes: Floats) -> tuple[float, Floats]:
    """Lower bound on a model with bounded feature norms from a supporting program, and the slopes that prove it.

    Parameters
    ----------
    program : LogitProgram, from `ufm.spectral.normalised.supporting`
    model : LogitProgram, whose penalty is a `FeatureNorms`
    slopes : (G + 1, G) float64, as for `ufm.certify.duality.dual_bound`

    Returns
    -------
    float
        At least zero: losses are not negative.
    (G + 1, G) float64
    """
    found, slopes = dual_bound(program, slopes, np.finfo(np.float64).max)
    spent = allowance(program, model.penalty)
    wide = (program.groups + 4.0 * PARAMETERS) * UNIT
    lower = found - spent * (1.0 + wide) - 4 * UNIT * (abs(found) + spent)
    return max(float(lower), 0.0), slopes


def cosine_bounds(
    program: LogitProgram, factors: Factors, columns: Floats, rows: Floats, slopes: Floats | None = None
) -> tuple[NormalisedBounds, Factors]:
    """Both bounds under ``|w_j| <= scale`` and ``|h_k| <= 1``, from any factors and any positive weights.

    Parameters
    ----------
    program : LogitProgram, whose penalty is a `Cosines`
    factors : Factors
        Of logits of this program; ``left`` and ``right`` are parts of W and of the features. They are scaled into the norms.
    columns, rows : (G,) float64 > 0, weights of one column and of one row of each group
    slopes : (G + 1, G) float64 or None, other dual slopes than those at the factors' logits

    Returns
    -------
    NormalisedBounds
        ``upper`` is that of logits of zero where the factors are beyond float64.
    Factors
        The factors inside the norms, on which ``upper`` rests.

    Raises
    ------
    ConvergenceError
        The bounds contradict each other: a defect of this package, never of the problem.
    """
    scale = float(program.penalty.scale)  # type: ignore[attr-defined]
    unit = row_weighted(program, columns / columns.max(), rows / rows.max(), scale)
    with np.errstate(over="ignore", invalid="ignore"):
        factors = _within_norms(unit, factors, scale)
        logits = unit.spread(unit.point(factors))
        found = unit.loss.columns(logits, unit.logit_counts)
        value = float(unit.mass @ found.values)
        upper = loss_above(unit, factors, logits, found.values, found.gradient)
        upper += 4 * UNIT * abs(upper)
        if slopes is None:
            slopes = found.gradient / np.maximum(unit.logit_counts, 1.0)
    if not np.isfinite(upper):
        upper = np.inf
    lower, given = zero_bound(unit)[0], slopes
    slopes = np.zeros_like(given)
    if np.isfinite(given).all():
        given = np.where(unit.logit_counts > 0, given, 0.0)
        if unit.loss.shift_invariant:
            given = given * (1.0 - 4 * UNIT * (unit.groups + 16))
            given[-1] = -(unit.logit_counts[:-1] * given[:-1]).sum(axis=0)
        total, slack = dual_value(unit, given)
        price = unit.penalty.support(np.array([dual_norm(unit, given, unit.rows)]), np.ones(1))
        price *= 1.0 + (4.0 * unit.groups + 8.0 * PARAMETERS) * UNIT
        reached = float(total - slack - price - 4 * UNIT * (abs(total) + price))
        # Slopes of zero prove most where the loss is least inside of the norms.
        lower, slopes = (reached, given) if reached > lower else (lower, slopes)
    return NormalisedBounds(lower, upper, within(lower, value, upper), slopes, unit), factors


def _within_norms(program: LogitProgram, factors: Factors, scale: float) -> Factors:
    """The factors, with contrasts and features scaled until no row times a feature exceeds the scale.

    W's part that groups share stays, so that its rows do not grow, and each step takes off at least the root of the excess:
    all of it where the rows of W leave room for the contrasts. Factors beyond float64 have logits of zero afterwards.
    """
    for _ in range(STEPS):
        highest, longest = (float(np.sqrt(squares.max())) for squares in cosine_norms(program, factors, scale))
        gauge = highest * longest / scale * (1.0 + (4.0 * len(factors.right) + 4 * PARAMETERS) * UNIT)
        if gauge <= 1.0:
            return factors
        share = (1.0 - 8 * UNIT) / gauge
        factors = factors._replace(contrast=factors.contrast * share, right=factors.right * share)
    return factors._replace(contrast=np.zeros_like(factors.contrast), right=np.zeros_like(factors.right))
