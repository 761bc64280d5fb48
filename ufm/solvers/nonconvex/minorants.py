"""Lower bounds for a loss that is not convex: the best optimum of a convex program with one of its minorants.

For every choice of weights the minorant's program bounds the global optimum from below (docs/theory, Proposition 2.15). The
bound is concave in the weights, and its derivative by a weight is the share of the class times the difference between its loss
at the program's optimum and the loss at which the minorant touches.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT, gamma
from ufm.solvers.convex.manifold import minimise
from ufm.solvers.convex.symmetric import DenseNewton
from ufm.spectral.program import Factors, LogitProgram

LOWEST = -27.0
"""Logarithm of the least weight."""
ACCURACY = 1e-10
"""Relative gap of the convex programs."""
OPTIONS = {"maxiter": 100, "ftol": 1e-15, "gtol": 1e-10}
"""Of the search for weights."""
MAX_STEPS = 100
"""Newton steps of one convex program."""


class Minorant(NamedTuple):
    """A convex program below one whose loss is not convex.

    Attributes
    ----------
    lower : float, certified lower bound on the global optimum (nats); negative ones say nothing
    factors : Factors, the optimum of the convex program
    weights : (G,) float64, of the minorant
    rising : (G,) float64, derivative of the bound by the weights
    """

    lower: float
    factors: Factors
    weights: Floats
    rising: Floats


def best_minorant(program: LogitProgram, start: Floats | None = None) -> Minorant | None:
    """The largest lower bound that minorants give.

    Parameters
    ----------
    program : LogitProgram, with few groups and a penalty that is a multiple of the nuclear norm or a ball of it
    start : (G,) float64 in (0, 1] or None, first weights; None for ones

    Returns
    -------
    Minorant or None
        None where the convex programs cannot be solved.
    """
    from scipy.optimize import minimize

    best: list[Minorant] = []

    def fallen(logs: Floats) -> tuple[float, Floats]:
        found = minorant_at(program, np.exp(logs))
        if not best or found.lower > best[0].lower:
            best[:] = [found]
        return -found.lower, -found.rising * found.weights

    begin = np.zeros(program.groups) if start is None else np.log(start)
    try:
        limits = [(LOWEST, 0.0)] * program.groups
        minimize(fallen, begin, jac=True, method="L-BFGS-B", bounds=limits, options=OPTIONS)
    except np.linalg.LinAlgError:
        return best[0] if best else None
    return best[0]


def minorant_at(program: LogitProgram, weights: Floats) -> Minorant:
    """The minorant with given weights, (G,) float64 in (0, 1], solved and certified.

    Raises
    ------
    numpy.linalg.LinAlgError
        A Newton system cannot be solved.
    """
    below = program.loss.minorant(weights)
    convex = replace(program, loss=below.loss)
    factors, found, _, _ = minimise(DenseNewton(convex), ACCURACY, MAX_STEPS)
    losses = below.loss.columns(program.spread(program.point(factors)), program.logit_counts).values
    price = float(program.mass @ below.by)
    # A sum of G products of positive numbers, and the difference.
    lower = found.lower - price * (1.0 + gamma(program.groups + 8)) - 4 * UNIT * (abs(found.lower) + price)
    return Minorant(lower, factors, weights, program.mass * (losses - below.touching))
