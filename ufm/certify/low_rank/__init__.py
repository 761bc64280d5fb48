r"""Balanced cross-entropy under a concave price: a global lower bound that accounts for the loss of low-rank logits.

On balanced data convex relaxations depend on the nuclear norm of the logits alone. This bound uses two moments of the
spectrum and the rank-one part (`branch_and_bound`, with its inequalities in `columns` and `residual_norm`); the theory is in
docs/theory, file 6. Level: float.
"""

from __future__ import annotations

import numpy as np

from ufm.certify.low_rank.branch_and_bound import moment_bound
from ufm.spectral.program import Factors, LogitProgram

__all__ = ["balanced_bound", "moment_bound"]
MAX_CLASSES = 64
MULTIPLIERS = (0.35, 0.5, 0.7)


def balanced_bound(program: LogitProgram, factors: Factors, upper: float, effort: int) -> float:
    """Lower bound on the global optimum of a balanced program, 0 where the moment bound does not apply.

    Budgets are bounded by their Lagrangian at a few multipliers (docs/theory, Proposition 6.10).

    Parameters
    ----------
    program : LogitProgram of one group (its own, reduced form)
    factors : Factors
        The best point known, of this program or of its split form; only its scale matters.
    upper : float, an upper bound on the optimum (nats)
    effort : int, see `moment_bound`; 0 for no bound

    Returns
    -------
    float
        The bound in nats.
    """
    loss, penalty = program.loss, program.penalty
    if (
        not loss.plain_cross_entropy
        or program.groups != 1
        or program.bias_decay is not None
        or program.classes > MAX_CLASSES
        or not effort
    ):
        return 0.0
    classes, scale = program.classes, float(program.scale[0])
    if not penalty.ball:
        largest = penalty.range(upper) if penalty.separable and not penalty.convex else None
        if largest is None:
            return 0.0
        return moment_bound(classes, scale, penalty.each, upper, largest * (1 + 1e-12), effort=effort)
    if penalty.priced(1.0) is None:
        return 0.0
    # Lagrange: loss + m (sum s^p - level) is at most the loss inside the ball, for any multiplier m >= 0.
    whole = program.split() if len(factors.contrast) != program.groups else program
    point = whole.point(factors)
    gradient = whole.smooth(point).gradient
    falling = -float(gradient.contrast @ point.contrast + np.vdot(gradient.core, point.core))
    stationary = max(falling, 0.0) / (penalty.power * penalty.level)
    largest = penalty.level ** (1.0 / penalty.power) * (1 + 1e-12)
    best = 0.0
    # The program is not convex, so that the best multiplier lies below the one that makes the point stationary.
    for multiplier in (stationary * factor for factor in MULTIPLIERS):
        priced = penalty.priced(multiplier) if multiplier > 0 else None
        if priced is not None:
            price, offset = priced
            part = max(effort // len(MULTIPLIERS), 1)
            found = moment_bound(classes, scale, price.each, upper + offset, largest, effort=part)
            best = max(best, found - offset * (1 + 1e-15) - 1e-15)
    return best
