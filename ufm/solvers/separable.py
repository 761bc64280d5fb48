r"""Problems that split into one scalar for each class size, in closed form.

* *Squared error* without bias at equal curvature (decay per sample, or balanced classes), for every head on singular
  values: ``min_s (s - t)^2 / (2 step) + phi(s)``, the proximal map of the head's penalty (docs/theory, Proposition 2.6; Zhou et
  al., arXiv 2203.01238; Dang et al., arXiv 2301.00437, for linear layers; locators unknown).
* *Cross-entropy* with non-negative features or with a classifier fixed to a simplex ETF: every column of logits is
  ``a_k (e_k - 1/K)`` (docs/theory, Proposition 1.10). Under decay with ReLU the heights are ``a_k = log[(K-1) (1/r_k - 1)]``
  with ``r_k = N mu sqrt((K-1) / (K n_k))`` the probability of being wrong, and zero where ``r_k >= (K-1)/K``.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from ufm._arrays import Floats
from ufm.certify.primal_dual import bounds
from ufm.problem.problem import Problem
from ufm.solvers.base import check_fit
from ufm.solvers.solution import Solution, Stats, check_options, conclude
from ufm.spectral.blocks import MAX_DENSE
from ufm.spectral.penalties import Penalty
from ufm.spectral.program import Factors, LogitProgram

LARGEST_BEND = 1e290
"""Curvature of a price from which on heights are zero in float64; times the highest height, 700, it is still a float."""


@dataclass(frozen=True, kw_only=True)
class Separable:
    """Closed forms and scalar root finding, one scalar problem for each class size.

    Parameters
    ----------
    tolerance : float
        Certified relative gap that counts as solved.
    """

    tolerance: float = 1e-10
    name = "separable"

    def __post_init__(self) -> None:
        check_options(self.tolerance)

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        program = problem.program()
        if program.penalty.columns:
            if program.classes > MAX_DENSE // 4:
                return f"it writes out W for the head {problem.head}, and K={program.classes} is too large"
            return None
        if program.penalty.feature_norms:
            return f"features of a fixed norm do not split into scalar problems, and the head is {problem.head}"
        if not program.loss.quadratic:
            return f"it solves squared error, or the heads relu and etf, not {problem.loss} with the head {problem.head}"
        if program.bias_decay is not None:
            return "it solves squared error without a bias only"
        ratio = program.share / program.scale**2
        if program.penalty.ball and not program.penalty.convex:
            return f"the budgets of the head {problem.head} are not convex and tie the singular values together"
        if (program.penalty.ball and program.groups > 1) or np.any(np.abs(ratio - ratio[0]) > 1e-12 * ratio[0]):
            return "classes of unequal size bend the loss differently there (only decay per sample evens it out)"
        if not problem.wide:
            return f"it assumes dim >= {problem.needed}, and dim is {problem.dim}"
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Solve; exact up to rounding.

        Raises
        ------
        InputError
            The problem does not split.
        """
        start = perf_counter()
        check_fit(self, problem)
        program = problem.program()
        factors = _columns(program) if program.penalty.columns else _singular(program)
        found = bounds(program, factors)
        stats = Stats(1, 1, perf_counter() - start)
        return conclude(problem, self.name, program, factors, found, stats, self.tolerance)


def _singular(program: LogitProgram) -> Factors:
    """Logits ``diag(s / scale)`` from the proximal map of the penalty at the scales."""
    height = program.shrunk / program.scale
    # diag(height) is a contrast of each group and its block means height / m.
    root = np.sqrt(height / program.multiplicity)
    zero = np.zeros(program.groups)
    left, right = np.diag(root * np.sqrt(program.scale)), np.diag(root / np.sqrt(program.scale))
    return Factors(np.where(program.contrast_counts > 0, height, 0.0), left, right, zero)


def _columns(program: LogitProgram) -> Factors:
    """Logits ``(I - 11'/K) diag(a)``."""
    penalty = program.penalty
    classes = program.classes
    unit = program.scale * np.sqrt((classes - 1.0) / classes)
    if penalty.kind == "price":
        heights = _heights(program.share, unit, penalty.strength, penalty.power, classes)
    elif penalty.kind == "caps":
        heights = penalty.strength / unit
    else:
        heights = _budgeted(program, unit, penalty, classes)
    blocks = (np.diag(1.0 / program.multiplicity) - 1.0 / classes) * heights
    u, sigma, vt = np.linalg.svd(blocks)
    root = np.sqrt(sigma)
    zero = np.zeros(program.groups)
    return Factors(np.where(program.contrast_counts > 0, heights, 0.0), u * root, root[:, None] * vt, zero)


def _heights(share: Floats, unit: Floats, price: float, power: float, classes: int) -> Floats:
    """(G,) minimisers a >= 0 of ``share log(1 + (K-1) e^{-a}) + price (unit a)^power / power``, entry by entry."""
    if power == 1:
        # A search for a budget's multiplier also tries prices whose quotient is beyond float64: then a is zero.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            wrong = price * unit / share
            return np.where(
                wrong < (classes - 1.0) / classes, np.log((classes - 1.0) * np.maximum(1.0 / wrong - 1.0, 1e-300)), 0.0
            )
    from scipy.optimize.elementwise import find_root

    def slope(a: Floats, share: Floats, bend: Floats) -> Floats:
        return bend * a - share * (classes - 1.0) / (classes - 1.0 + np.exp(a))

    ends = np.zeros_like(unit), np.full_like(unit, 700.0)
    with np.errstate(over="ignore"):
        bend = np.minimum(price * unit**2, LARGEST_BEND)
    return np.asarray(find_root(slope, ends, args=(share, bend)).x, dtype=np.float64)


def _budgeted(program: LogitProgram, unit: Floats, penalty: Penalty, classes: int) -> Floats:
    """(G,) heights that exhaust a budget, from the logarithm of its multiplier."""
    from scipy.optimize import brentq

    def heights(log_price: float) -> Floats:
        return _heights(program.share, unit, float(np.exp(log_price)), penalty.power, classes)

    def excess(log_price: float) -> float:
        return float(np.log(max(penalty.gauge(unit * heights(log_price), program.multiplicity), 1e-300)))

    found: Any = brentq(excess, -700.0, 700.0, xtol=1e-15)
    return heights(float(found))
