"""Both bounds of a table's program from one set of factors, in float64 with rounding errors added.

Lower bound: weak duality at the slopes of these logits, scaled into the domain (docs/theory, Propositions 11.2 and 11.3). Upper
bound: the objective at the factors, under budgets scaled inside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import ROOT_TINY, UNIT, gamma
from ufm.certify.duality import PARAMETERS
from ufm.certify.primal_dual import RECOVERED, within
from ufm.spectral.table_loss import target_error
from ufm.spectral.table_program import TableFactors, TableProgram


class TableBounds(NamedTuple):
    """``lower <= optimum <= upper``, the plain value at the factors, and the slopes (K, M) that prove the lower bound."""

    lower: float
    upper: float
    value: float
    slopes: Floats


def table_bounds(program: TableProgram, factors: TableFactors) -> TableBounds:
    """Both bounds from one set of factors, which need not be optimal.

    Parameters
    ----------
    program : TableProgram
    factors : TableFactors (under budgets they are scaled into the ball)

    Returns
    -------
    TableBounds

    Raises
    ------
    ConvergenceError
        The bounds contradict each other: a defect of this package, never of the problem.
    """
    factors = table_inside(program, factors)
    with np.errstate(over="ignore", invalid="ignore"):
        rank = factors.left.shape[1]
        logits, value, upper = table_loss(program, factors)
        relative = 4.0 * (rank + program.rows + program.contexts) + 3 * PARAMETERS
        if not program.penalty.ball:
            lengths = program.lengths(factors)
            price = program.penalty.value(lengths, np.ones(rank))
            value += price
            upper += price * (1.0 + (2.0 * relative + program.penalty.accuracy(lengths)) * UNIT)
        if program.bias_decay:
            price = 0.5 * program.bias_decay * float(factors.bias @ factors.bias)
            value += price
            upper += price * (1.0 + relative * UNIT)
        upper += 4 * UNIT * abs(upper)
        if not np.isfinite(upper):
            upper = np.inf
        slopes = program.loss.probabilities(logits) - program.loss.target
    lower, slopes = table_lower(program, slopes)
    return TableBounds(lower, upper, within(lower, value, upper), slopes)


def table_loss(program: TableProgram, factors: TableFactors) -> tuple[Floats, float, float]:
    """Logits of the factors, and the mean loss there.

    Parameters
    ----------
    program : TableProgram
    factors : TableFactors

    Returns
    -------
    (K, M) float64
    float
        The mean loss without rounding terms.
    float
        An upper bound on it at the exact logits, and at those of parameters recovered from the factors.
    """
    logits = program.logits(factors)
    size = np.abs(factors.left) @ np.abs(factors.right) + np.abs(factors.bias)[:, None]
    radius = gamma(factors.left.shape[1] + RECOVERED) * size
    terms = gamma(program.contexts + 3 * PARAMETERS)
    value = float(program.share @ program.loss.values(logits))
    return logits, value, float(program.share @ program.loss.above(logits, radius)) * (1.0 + terms)


def table_inside(program: TableProgram, factors: TableFactors) -> TableFactors:
    """The factors, scaled into a ball where they may exceed it by rounding."""
    if not program.penalty.ball:
        return factors
    lengths = program.lengths(factors)
    slack = (program.rows + program.contexts + 8 + PARAMETERS + program.penalty.accuracy(lengths)) * UNIT
    size = program.penalty.gauge(lengths, np.ones(len(lengths))) * (1 + slack)
    if size <= 1.0:
        return factors
    root = float(np.sqrt((1.0 - 8 * UNIT) / size))
    return factors._replace(left=factors.left * root, right=factors.right * root)


def table_lower(program: TableProgram, slopes: Floats) -> tuple[float, Floats]:
    """Lower bound from slopes (K, M) near the domain of the conjugate, and the slopes in it that prove the bound.

    Returns
    -------
    float
        At least what slopes of zero prove.
    (K, M) float64
    """
    none = np.zeros_like(slopes)
    least = float(program.share @ program.loss.below(none))
    least -= gamma(program.contexts + 3 * PARAMETERS) * abs(least)
    if not np.isfinite(slopes).all():
        return least, none
    if program.bias_decay == 0:
        slopes = without_residual(program, slopes)
    slopes = program.loss.feasible(slopes)
    norm = program_norm(program, slopes)
    wide = norm * (1.0 + PARAMETERS * UNIT)
    if not program.penalty.ball and wide > program.penalty.strength:  # type: ignore[attr-defined]
        # A shrunk column is still in the domain, since slopes of zero are; a free bias stays balanced.
        slopes = program.loss.feasible(slopes * (program.penalty.strength / wide * (1.0 - 4 * UNIT)))  # type: ignore[attr-defined]
        norm = program_norm(program, slopes)
        if norm > program.penalty.strength * (1.0 - PARAMETERS * UNIT):  # type: ignore[attr-defined]
            slopes = program.loss.feasible(slopes * (1.0 - 1e-13))
            norm = program_norm(program, slopes)
    values = program.loss.below(slopes)
    terms = gamma(program.contexts + 3 * PARAMETERS)
    lower = float(program.share @ values) - terms * float(program.share @ np.abs(values))
    price = 0.0
    if program.penalty.ball:
        price = program.penalty.support(np.array([norm]), np.ones(1))
    elif norm > program.penalty.strength * (1.0 - PARAMETERS * UNIT):  # type: ignore[attr-defined]
        return least, none
    if program.bias_decay is not None:
        residual, error = bias_residual(program, slopes)
        if program.bias_decay == 0:
            # The exact slopes are these, moved against what is left of the residual by less than `moved` in each entry.
            moved = (np.abs(residual) + error) / program.share.sum() * (1 + 8 * UNIT)
            lower -= fall_by_moving(program, slopes, moved)
        else:
            price += float(((np.abs(residual) + error) ** 2).sum()) / (2.0 * program.bias_decay)
    room = gamma(program.rows + program.contexts + 2 * PARAMETERS)
    lower -= price * (1.0 + room) + 4 * UNIT * (abs(lower) + price)
    if not lower > least:
        return least, none
    return float(lower), slopes


def program_norm(program: TableProgram, slopes: Floats) -> float:
    """Upper bound on the spectral norm of ``slopes diag(pi) S^{-1}`` at `feasible` slopes (K, M)."""
    loss, column = program.loss, program.share / program.scale
    matrix = slopes * column
    error = np.zeros_like(slopes)
    columns = np.arange(slopes.shape[1])
    for (start, stop), pivot in zip(loss.blocks, loss.pivots(), strict=True):
        error[pivot, columns] = gamma(stop - start + 4) * np.abs(slopes[start:stop]).sum(axis=0)
    error = (error + gamma(PARAMETERS + 4) * np.abs(slopes)) * column
    moves = float(np.sqrt((error**2).sum())) * (1.0 + gamma(slopes.size + 8)) + sum(slopes.shape) * ROOT_TINY
    if program.bias_decay == 0:
        residual, rest = bias_residual(program, slopes)
        moved = (np.abs(residual) + rest) / program.share.sum() * (1 + 8 * UNIT)
        moves += float(np.linalg.norm(moved) * np.linalg.norm(column)) * (1.0 + gamma(sum(slopes.shape) + 8))
    sigma = float(np.linalg.svd(matrix, compute_uv=False)[0])
    return sigma * (1.0 + (4.0 * max(slopes.shape) + 32.0) * UNIT) + moves


def bias_residual(program: TableProgram, slopes: Floats) -> tuple[Floats, Floats]:
    """(K,) ``slopes @ pi`` and bounds on its rounding errors."""
    size = np.abs(slopes) @ program.share + _pivot_sizes(program, slopes)
    return slopes @ program.share, gamma(program.contexts + program.rows + 3 * PARAMETERS) * size


def _pivot_sizes(program: TableProgram, slopes: Floats) -> Floats:
    """(K,) sums over contexts of what pivots are the sums of, in the rows of these pivots."""
    found = np.zeros(program.rows)
    for (start, stop), pivot in zip(program.loss.blocks, program.loss.pivots(), strict=True):
        np.add.at(found, pivot, np.abs(slopes[start:stop]).sum(axis=0) * program.share)
    return found


def without_residual(program: TableProgram, slopes: Floats) -> Floats:
    """Slopes with ``slopes @ pi = 0`` up to rounding, in the domain of the conjugate (docs/theory, Proposition 11.4).

    Every row's mean is taken off it; where that leaves the domain, the slopes are mixed with those of the mean target, which
    have no residual and lie inside.
    """
    loss, share = program.loss, program.share
    weight = share / share.sum()
    found = slopes - (slopes @ weight)[:, None]
    if loss.quadratic:
        return found
    mean = (loss.target @ weight)[:, None]
    inner = mean - loss.target
    q, centre = found + loss.target, np.broadcast_to(mean, found.shape)
    # The least mixture that brings q into [0, 1], as far from its ends as rounding of the residual may move it.
    _, error = bias_residual(program, found)
    room = 16.0 * reach_of(program, error / float(share.sum())) + 16.0 * (target_error(loss) + UNIT) * loss.target
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(q < room, (room - q) / (centre - q), 0.0)
        high = np.zeros_like(q) if loss.blocks else np.where(q > 1.0 - room, (q - 1.0 + room) / (q - centre), 0.0)
    needed = [float(np.where(part >= 0, part, 1.0).max()) for part in (low, high)]
    part = min(1.0, max(needed) * (1 + 1e-9))
    return (1.0 - part) * found + part * inner


def reach_of(program: TableProgram, moved: Floats) -> Floats:
    """(K, M) how far each slope may move if those of row k move by at most ``moved[k]``; pivots by what their block moves."""
    found = np.broadcast_to(moved[:, None], program.loss.target.shape).copy()
    columns = np.arange(program.contexts)
    for (start, stop), pivot in zip(program.loss.blocks, program.loss.pivots(), strict=True):
        found[pivot, columns] = moved[start:stop].sum()
    return found


def fall_by_moving(program: TableProgram, slopes: Floats, moved: Floats) -> float:
    """Bound on how far ``sum pi d`` falls where every slope of row k moves by at most ``moved[k]``.

    Parameters
    ----------
    program : TableProgram
    slopes : (K, M) float64
    moved : (K,) float64

    Returns
    -------
    float
        inf where a probability may leave the domain.
    """
    loss = program.loss
    if loss.quadratic:
        rows = moved[:, None]
        change = rows * (np.abs(slopes) + rows + np.abs(loss.target))
        return float(change.sum(axis=0) @ program.share) * 1.01
    q = slopes + loss.target
    reach = reach_of(program, moved)
    least = q if loss.blocks else np.minimum(q, 1.0 - q)
    inside = least > 4.0 * reach + 4.0 * (target_error(loss) + UNIT) * loss.target
    fixed = (reach == 0) | inside
    if not fixed.all():
        return np.inf
    steep = 2.0 - np.log(np.where(inside, least - 2.0 * reach, 1.0))
    return float((reach * steep).sum(axis=0) @ program.share) * 1.01
