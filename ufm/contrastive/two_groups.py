r"""At most two groups of equal classes: the optimum from two scalars (docs/theory, Proposition 13.3).

With ``u_g`` the squared length of the mean vector of group g, the means of the two groups are opposite at the optimum,

.. math:: g_{gg} = 1 - \frac{m_g}{m_g - 1} (1 - u_g), \qquad g_{AB} = -\sqrt{u_A u_B} ,

and the objective is convex in ``(u_A, u_B)``. Each unknown is the root of an increasing function, found by bracketing; u enters
by its log odds, so that both u and 1 - u keep their relative accuracy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ufm.contrastive.program import ClassVectors, GramProgram

REACH = 80.0
"""Largest log odds that are told from infinity."""


def solve_two_groups(program: GramProgram) -> ClassVectors:
    """The optimum of a program of one or two groups.

    Parameters
    ----------
    program : GramProgram
        Its sign constraint is ignored.

    Returns
    -------
    ClassVectors
        Means in one dimension: positive for the first group, negative for the second.
    """
    m = program.multiplicity
    if len(m) == 1:
        return ClassVectors(np.zeros((1, 1)), np.ones(1))
    from scipy.special import expit

    search = _Search(program)
    first = np.inf if m[0] == 1 else None
    second = np.inf if m[1] == 1 else None
    if second is None:
        second = _root(lambda odds: search.excess(1, (search.best_first(odds) if first is None else first, odds)))
    odds = np.array([search.best_first(second) if first is None else first, second])
    means = np.sqrt(expit(odds)) * np.array([1.0, -1.0])
    return ClassVectors(means[:, None], np.sqrt(expit(-odds)))


class _Search:
    """The stationarity conditions at log odds (of A, of B); infinite odds are a collapsed group."""

    def __init__(self, program: GramProgram) -> None:
        self.program = program
        self.m, self.share, self.tau = program.multiplicity, program.share, program.temperature

    def excess(self, group: int, odds: tuple[float, float]) -> float:
        """Has the sign of the derivative of the objective by ``u_group``; logarithm of its positive over its negative part."""
        from scipy.special import expit, log_expit

        o = np.array(odds)
        half = 0.5 * log_expit(o)  # logarithms of the lengths of the means
        m, share, tau = self.m, self.share, self.tau
        across = -np.exp(half.sum())
        within = 1.0 - np.where(m > 1, expit(-o) * m / np.maximum(m - 1, 1), 0.0)
        cosines = np.array([[within[0], across], [across, within[1]]])
        total = self.program.terms(cosines)[1]
        other = 1 - group
        repelled = np.log(m[group] * share[group] / total[group]) + (within[group] - 1.0) / tau + half[group]
        pulled = np.log(m[other] * share[other] * 0.5 * (1 / total[0] + 1 / total[1])) + (across - 1.0) / tau + half[other]
        return float(repelled - pulled)

    def best_first(self, second: float) -> float:
        """Log odds of A that are optimal for given ones of B."""
        return _root(lambda odds: self.excess(0, (odds, second)))


def _root(function: Callable[[float], float]) -> float:
    """Root of an increasing function of log odds; infinity where it is nowhere positive."""
    from scipy.optimize import brentq

    if function(np.inf) <= 0:
        return np.inf
    if function(REACH) <= 0 or function(-REACH) >= 0:
        return REACH if function(REACH) <= 0 else -REACH
    return float(brentq(function, -REACH, REACH, xtol=1e-15, rtol=1e-14, maxiter=300))  # type: ignore[arg-type]
