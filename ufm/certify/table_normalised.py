"""Both bounds of a table's model whose features have a fixed norm, in float64 with rounding errors added.

Lower bound: weak duality for a supporting program, ``||Z diag(omega)^{1/2}||_*`` at any weights ``omega`` of the contexts, less
its allowance. Upper bound: the loss at the logits plus the price of explicit parameters, whose features are scaled to the norm
(docs/theory, Proposition 12.13).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT
from ufm.certify.duality import PARAMETERS
from ufm.certify.primal_dual import RECOVERED, within
from ufm.certify.tables import bias_residual, program_norm, table_loss, table_lower, without_residual
from ufm.spectral.penalties import Nuclear
from ufm.spectral.table_program import TableFactors, TableProgram

NEGLIGIBLE = 1e-30
"""Allowance (in the unit of the loss) of the weights with which slopes of zero are stated."""


class NormalisedTableBounds(NamedTuple):
    """``lower <= optimum <= upper``, with what proves it.

    Attributes
    ----------
    lower, upper : float, certified bounds on the optimal objective (in the unit of the loss)
    value : float, the objective at the parameters of the factors, without rounding terms
    slopes : (K, M) float64, dual slopes as in `ufm.certify.tables.TableBounds`
    program : TableProgram, the supporting program of the lower bound
    """

    lower: float
    upper: float
    value: float
    slopes: Floats
    program: TableProgram


def supporting_table(program: TableProgram, weights: Floats) -> TableProgram:
    """The program with penalty ``||Z diag(weights)^{1/2}||_*``, whose optimum less `table_allowance` is at most the model's.

    Parameters
    ----------
    program : TableProgram
    weights : (M,) float64 > 0, ``omega`` of each context

    Returns
    -------
    TableProgram
    """
    return replace(program, scale=np.sqrt(weights), penalty=Nuclear(1.0))


def table_allowance(program: TableProgram, effective: float) -> float:
    """``sum_m omega_m / (2 effective)``, what a supporting program's penalty exceeds the model's by, at the most.

    Parameters
    ----------
    program : TableProgram, from `supporting_table`
    effective : float, ``decay / norm^2``

    Returns
    -------
    float, in the unit of the loss
    """
    return float((program.scale**2).sum()) / (2.0 * effective)


def normalised_table_bounds(
    program: TableProgram, factors: TableFactors, weights: Floats, slopes: Floats | None = None
) -> NormalisedTableBounds:
    """Both bounds from any factors and any positive weights; they are tight at the optimum.

    Parameters
    ----------
    program : TableProgram, whose penalty is a `FeatureNorms`
    factors : TableFactors
        Of logits of this program; ``left`` is W and ``right`` the features for norm one, which need not have it.
    weights : (M,) float64 > 0, direction of the weights of contexts; their size is chosen here
    slopes : (K, M) float64 or None, other dual slopes than those at the factors' logits

    Returns
    -------
    NormalisedTableBounds
        ``upper`` is infinite where the logits are beyond float64.

    Raises
    ------
    ConvergenceError
        The bounds contradict each other: a defect of this package, never of the problem.
    """
    effective = float(program.penalty.effective)  # type: ignore[attr-defined]
    with np.errstate(over="ignore", invalid="ignore"):
        logits, value, upper = table_loss(program, factors)
        relative = 4.0 * (factors.left.shape[1] + program.rows) + 4 * PARAMETERS
        # Sums over a row of W first, so that no sum has more terms than W has rows or columns.
        weight = float((factors.left**2).sum(axis=1).sum())
        longest = float((factors.right**2).sum(axis=0).max())
        price = 0.5 * effective * weight * longest
        value += price
        upper += price * (1.0 + (4.0 * relative + 4.0 * RECOVERED) * UNIT)
        if program.bias_decay:
            price = 0.5 * program.bias_decay * float(factors.bias @ factors.bias)
            value += price
            upper += price * (1.0 + relative * UNIT)
        upper += 4 * UNIT * abs(upper)
        if not np.isfinite(upper):
            upper = np.inf
        if slopes is None:
            slopes = program.loss.probabilities(logits) - program.loss.target
    lower, slopes, supporting = normalised_table_lower(program, weights, slopes)
    return NormalisedTableBounds(lower, upper, within(lower, value, upper), slopes, supporting)


def normalised_table_lower(program: TableProgram, weights: Floats, slopes: Floats) -> tuple[float, Floats, TableProgram]:
    """Lower bound from slopes and a direction of weights, with the slopes and the supporting program that prove it.

    Parameters
    ----------
    program : TableProgram, whose penalty is a `FeatureNorms`
    weights : (M,) float64 > 0
    slopes : (K, M) float64, near the domain of the conjugate

    Returns
    -------
    float
        At least zero: losses are not negative.
    (K, M) float64
    TableProgram
    """
    effective = float(program.penalty.effective)  # type: ignore[attr-defined]
    direction = weights / weights.max()
    nothing = supporting_table(program, direction * (NEGLIGIBLE * effective / float(direction.sum())))
    none = np.zeros_like(slopes)
    best = _less_allowance(nothing, effective, none), none, nothing
    if not np.isfinite(slopes).all():
        return best[0][0], none, nothing
    if program.bias_decay == 0:
        slopes = without_residual(program, slopes)
    slopes = program.loss.feasible(slopes)
    unit = supporting_table(program, direction)
    norm, total = program_norm(unit, slopes), float((unit.scale**2).sum())
    gain = float(program.share @ program.loss.below(slopes)) - float(program.share @ program.loss.below(none))
    if program.bias_decay:
        gain -= float((bias_residual(program, slopes)[0] ** 2).sum()) / (2.0 * program.bias_decay)
    if norm > 0 and np.isfinite(norm) and gain > 0:
        # Slopes t y prove t gain - t^2 norm^2 total / (2 effective), at weights that are t^2 norm^2 times as large.
        share = min(1.0, gain * effective / (norm**2 * total))
        sized = supporting_table(program, unit.scale**2 * (share * norm) ** 2 * (1.0 + 64 * UNIT))
        found = _less_allowance(sized, effective, slopes)
        if found[0] > best[0][0]:
            best = found, found[1], sized
    return best[0][0], best[1], best[2]


def _less_allowance(program: TableProgram, effective: float, slopes: Floats) -> tuple[float, Floats]:
    """What slopes prove for a supporting program, less its allowance; and the slopes in the domain."""
    found, slopes = table_lower(program, slopes)
    spent = table_allowance(program, effective)
    wide = (program.contexts + 4.0 * PARAMETERS) * UNIT
    lower = found - spent * (1.0 + wide) - 4 * UNIT * (abs(found) + spent)
    return max(float(lower), 0.0), slopes
