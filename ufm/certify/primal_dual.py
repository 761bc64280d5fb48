"""Both bounds of a logit program from one set of factors, in float64 with rounding errors added.

Lower bound: weak duality (`ufm.certify.duality`), or scalar problems where the program splits (`ufm.certify.scalars`). Upper
bound: the objective at the logits of the factors, with the penalty of these very factors (docs/theory, Proposition 2.8);
under budgets the factors are scaled to lie inside. Proposition 2.12 there lists the rounding errors that are added.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT, gamma
from ufm.certify.duality import PARAMETERS, dual_bound, sums, unknown
from ufm.certify.scalars import scalar_bound, splits
from ufm.errors import ConvergenceError
from ufm.spectral.program import Factors, LogitProgram

CLOSED = 1e-11
"""Relative gap at which the bound by scalar problems leaves nothing for duality to add."""
RECOVERED = 24
"""Relative rounding, in units, that parameters recovered from factors add to a logit."""


class Bounds(NamedTuple):
    """``lower <= optimum <= upper``, with the plain value at the factors and the dual slopes.

    Attributes
    ----------
    lower, upper : float, certified bounds on the optimal objective (nats)
    value : float, the objective at the factors, without rounding terms
    slopes : (G + 1, G) float64, what a column of group h gives to one *other* class of group g (row g) and to its own
        (last row)
    """

    lower: float
    upper: float
    value: float
    slopes: Floats


def bounds(program: LogitProgram, factors: Factors) -> Bounds:
    """Both bounds from one set of factors, which need not be optimal.

    Parameters
    ----------
    program : LogitProgram
    factors : Factors, of logits of this program (under budgets they are scaled into the ball)

    Returns
    -------
    Bounds
        ``upper`` is infinite where the logits are beyond float64.

    Raises
    ------
    ConvergenceError
        The bounds contradict each other: a defect of this package, never of the problem.
    """
    factors = inside(program, factors)
    with np.errstate(over="ignore", invalid="ignore"):
        logits = program.spread(program.point(factors))
        columns = program.loss.columns(logits, program.logit_counts)
        loss = float(program.mass @ columns.values)
        above = loss_above(program, factors, logits, columns.values, columns.gradient)
        value, upper = loss, above
        relative = 4.0 * (len(factors.right) + program.groups) + 3 * PARAMETERS
        if not program.penalty.ball:
            singular, copies = program.lengths(factors)
            price = program.penalty.value(singular, copies)
            value += price
            upper += price * (1.0 + (2.0 * relative + program.penalty.accuracy(singular)) * UNIT)
        if program.bias_decay:
            price = 0.5 * program.bias_decay * float(program.multiplicity @ factors.bias**2)
            value += price
            upper += price * (1.0 + relative * UNIT)
        upper += 4 * UNIT * abs(upper)
    if not np.isfinite(upper):
        # Logits beyond float64: zero logits are always a point.
        upper = np.inf
    lower, slopes = (scalar_bound(program), np.zeros_like(program.logit_counts)) if splits(program) else (-np.inf, None)
    if slopes is None or not upper - lower <= CLOSED * upper:
        dual, slopes = dual_bound(program, columns.gradient / np.maximum(program.logit_counts, 1.0), upper)
        lower = max(lower, dual)
    return Bounds(lower, upper, within(lower, value, upper), slopes)


def within(lower: float, value: float, upper: float) -> float:
    """The value, clipped to the bounds that enclose it up to rounding.

    Parameters
    ----------
    lower, value, upper : float

    Returns
    -------
    float
        ``min(max(value, lower), upper)``.

    Raises
    ------
    ConvergenceError
        ``lower > upper``.
    """
    if lower > upper:
        raise ConvergenceError(
            f"bounds {lower!r} and {upper!r} contradict each other, a defect of this package; please report it"
        )
    return float(min(max(value, lower), upper))


def inside(program: LogitProgram, factors: Factors) -> Factors:
    """The factors, scaled into a ball where they may exceed it by rounding (docs/theory, Proposition 2.12)."""
    if not program.penalty.ball:
        return factors
    lengths, copies = program.lengths(factors)
    # Squares of entries and their sums over groups give lengths to G + 8 units; the radius is a parameter.
    slack = (program.groups + 8 + PARAMETERS + program.penalty.accuracy(lengths)) * UNIT
    size = program.penalty.gauge(lengths, copies) * (1 + slack)
    if size <= 1.0:
        return factors
    ratio = (1.0 - 8 * UNIT) / size
    root = float(np.sqrt(ratio))
    return factors._replace(contrast=factors.contrast * ratio, left=factors.left * root, right=factors.right * root)


def loss_above(program: LogitProgram, factors: Factors, logits: Floats, values: Floats, gradient: Floats) -> float:
    """Upper bound on the mean loss at the factors' logits, and at those of parameters recovered from them.

    Parameters
    ----------
    program : LogitProgram
    factors : Factors
    logits : (G + 1, G) float64, those of the factors, as `LogitProgram.spread` lays them out
    values : (G,) float64, the loss of each column
    gradient : (G + 1, G) float64, its derivatives by the logits

    Returns
    -------
    float, in nats
    """
    terms = len(factors.right) + RECOVERED
    temperature = program.loss.temperature
    bias = np.abs(factors.bias)[:, None]
    contrast = np.abs(factors.contrast)
    radius = np.empty_like(logits)
    others = np.matmul(np.abs(factors.left), np.abs(factors.right), out=radius[:-1])
    others += bias
    diagonal = np.einsum("ii->i", others)
    diagonal += contrast
    others *= temperature[:, None]
    radius[-1] = diagonal + temperature * contrast
    radius *= gamma(terms)
    if program.loss.encloses:
        above = program.loss.above(logits, radius, program.logit_counts)
    else:
        # A convex loss whose own sums are as long as the column and as large as its terms.
        own = unknown(program.groups)
        reach = (np.abs(gradient) * (radius + own * (1.0 + np.abs(logits)))).sum(axis=0)
        above = values + 2.0 * reach + own * np.abs(values)
    return float(program.mass @ above) + sums(program.groups) * float(program.mass @ np.abs(above))
