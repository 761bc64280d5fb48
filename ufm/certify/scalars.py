r"""Squared error under a concave price: one scalar problem for each singular value, bounded from below in float64.

Without a bias and at equal curvature c the optimum is the sum over classes of ``min_s F(s)`` (docs/theory, Proposition 2.6),

.. math:: F(s) = c (s - t)^2 / 2 + \phi(s), \qquad s \ge 0 ,

with t the column scale of the class. F is bounded from below on three intervals (Proposition 2.7): concave up to ``turn(c)``,
convex up to ``turn(c / 2)``, strongly convex with modulus c/2 from there on.
"""

from __future__ import annotations

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import TINY, UNIT
from ufm.spectral.program import LogitProgram


def splits(program: LogitProgram) -> bool:
    """Whether the program is a sum of scalar problems: quadratic loss of equal curvature, no bias, a concave price."""
    ratio = program.share / program.scale**2
    equal = bool(np.all(np.abs(ratio - ratio[0]) <= 1e-12 * ratio[0]))
    penalty = program.penalty
    concave = not penalty.ball and penalty.separable and not penalty.convex and penalty.turn(ratio) is not None
    return program.loss.quadratic and program.bias_decay is None and equal and concave


def scalar_bound(program: LogitProgram) -> float:
    """Lower bound (nats) on the optimum of a program that `splits`, rounding errors subtracted."""
    price = program.penalty
    target, curvature = program.scale, program.share / program.scale**2
    ones = np.ones(program.groups)
    found = program.shrunk
    turn, safe = price.turn(curvature), price.turn(0.5 * curvature)
    assert turn is not None
    assert safe is not None  # as `splits` says
    accuracy = (price.accuracy(np.concatenate([found, turn, safe, target])) + 16.0) * UNIT

    def value(s: Floats) -> Floats:
        distance = np.maximum(np.abs(s - target) - 8 * UNIT * (s + target), 0.0)
        return (0.5 * curvature * distance**2 + price.each(s)) * (1.0 - accuracy)

    def slope(s: Floats) -> tuple[Floats, Floats]:
        """F' and how far rounding can have moved it."""
        s = np.maximum(s, TINY)
        rate = price.slope(s, ones)
        return curvature * (s - target) + rate, 8 * UNIT * curvature * (s + target) + accuracy * rate

    def lowest(low: Floats, high: Floats) -> Floats:
        """Where F, convex between these ends, is least (nearly)."""
        start = low
        falling = slope(start)[0] < 0
        if not falling.any():
            return start
        for _ in range(60):
            middle = 0.5 * (low + high)
            falls = slope(middle)[0] < 0
            low, high = np.where(falls, middle, low), np.where(falls, high, middle)
        return np.where(falling, high, start)

    # Where the best point is zero, the strongly convex part may still have a minimum of its own: evaluate it there.
    early = found < safe
    at = np.where(early, lowest(safe, np.maximum(safe, target)), found) if early.any() else found
    rate, error = slope(at)
    # Where F rises already at the start of the strongly convex part, its least value there is the first one.
    rising = (at <= safe) & (rate > error)
    strong = value(at) - np.where(rising, 0.0, (np.abs(rate) + error) ** 2 / curvature)
    concave = np.minimum(value(np.zeros_like(turn)), value(turn))

    def tangent_at(touched: Floats) -> Floats:
        """Bound on the convex part up to `safe` by its tangent at a point there."""
        rate, error = slope(touched)
        fall = np.maximum(np.maximum(rate + error, 0.0) * (touched - turn), np.maximum(error - rate, 0.0) * (safe - touched))
        return value(touched) - fall * (1.0 + 8 * UNIT)

    tangent = tangent_at(safe)
    if ((safe > 0) & (tangent < np.minimum(strong, concave))).any():
        tangent = np.maximum(tangent, tangent_at(lowest(turn, safe)))
    least = np.minimum(strong, np.where(safe > 0, np.minimum(tangent, concave), np.inf))
    return float(program.multiplicity @ np.maximum(least, 0.0)) * (1.0 - (program.groups + 16.0) * UNIT)
