"""Both bounds of a model with bounded feature norms, from factors and weights of the classes, in float64.

Lower bound: weak duality for a supporting program, less its allowance. Upper bound: the loss at the logits plus the price of
explicit parameters, whose features are scaled to the norm (docs/theory, Propositions 12.3 to 12.5).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT
from ufm.certify.duality import PARAMETERS, dual_bound, dual_norm, dual_value
from ufm.certify.primal_dual import RECOVERED, loss_above, within
from ufm.spectral.normalised import allowance, feature_norms, supporting
from ufm.spectral.program import Factors, LogitProgram


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
