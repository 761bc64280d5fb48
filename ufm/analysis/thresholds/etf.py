r"""Balanced classes: where the simplex ETF stops being optimal.

*Equilibria with decay on A.* For large and for small decay on A the ETF is optimal (docs/theory, Proposition 7.10); between,
codes of lower rank may win, since the concave part of the penalty favours fewer and larger singular values. The edges of this
window are measured.

*Linear layers* (Garrod & Keating 2025; locator unknown), even K. At small decay the pair code beats the simplex ETF if and only
if ``K 2^p < 2 (K-1)`` with ``p = 2/(L+1)``: from L = 2 for K >= 6 and from L = 3 for K = 4 (docs/theory, Proposition 7.11).
"""

from __future__ import annotations

from math import sqrt
from numbers import Integral

import numpy as np

from ufm.analysis.thresholds.enclosed import Threshold
from ufm.errors import InputError
from ufm.problem.heads import DecayedDEQ
from ufm.problem.problem import Problem
from ufm.problem.regularizers import WeightDecay
from ufm.solvers.nonconvex.codes import best_scale, blocks, names
from ufm.solvers.nonconvex.descent import Descent
from ufm.solvers.solution import check_options
from ufm.spectral.program import LogitProgram, Point
from ufm.targets.counts import balanced

RELATIVE = 5e-7
MAX_CLASSES = 20
STEPS = 1500
"""Iterations of one descent."""
STARTS = 12
"""Number of random starts, of every rank, with a largest singular value drawn from HEIGHTS."""
HEIGHTS = (3.0, 20.0)
KEPT = 2
"""Number of rough descents that are continued to convergence, and of codes from which the next decay starts."""
BETTER = 1 - 1e-10
"""Fraction of the ETF's value below which another code counts as better."""


def etf_window(
    *, n_classes: int, size: int, regularizer: WeightDecay, contraction: float, random_state: int = 0
) -> list[Threshold]:
    """Decays on A between which the simplex ETF is not optimal for balanced equilibria, largest first; may be empty.

    Parameters
    ----------
    n_classes, size : int
        K (3 to 20) classes of n samples.
    regularizer : WeightDecay without bias
    contraction : float in (0, 1), bound on ``||A||_2``
    random_state : int, of the random starts of the search for better codes

    Returns
    -------
    list of Threshold, ``quantity = "decay on A"``, level ``"numeric"``
        At each of them the ETF and the best other code found have the same value; above the first (and below the second)
        nothing better than the ETF was found.

    Raises
    ------
    InputError
        K out of range, or parameters that no head has.

    Examples
    --------
    >>> import ufm
    >>> edge = ufm.etf_window(n_classes=4, size=100, regularizer=ufm.WeightDecay(5e-4, 5e-4), contraction=0.9)[0]
    >>> edge.quantity, edge.upper - edge.lower < 1e-5 * edge.value
    ('decay on A', True)
    """
    if not (isinstance(n_classes, Integral) and 3 <= n_classes <= MAX_CLASSES):
        raise InputError(f"n_classes is {n_classes!r}; other codes are searched for with 3 to {MAX_CLASSES} classes")
    if not isinstance(regularizer, WeightDecay) or regularizer.bias is not None:
        raise InputError(f"regularizer is {regularizer!r}; give WeightDecay(...) without a bias")
    check_options(0.5, random_state=random_state)
    from threadpoolctl import threadpool_limits

    rivals = Rivals(n_classes, size, regularizer, contraction, random_state)
    # All singular values stay below the knee, and the loss's curvature outweighs the penalty's, far above this.
    grid = np.geomspace(1e3, 1e-9, 49) * max(regularizer.mu * sqrt(size), 1e-12)
    with threadpool_limits(limits=1):
        wins = [rivals.win(float(decay), search=True) for decay in grid]
        edges = [rivals.edge(float(grid[i]), float(grid[i + 1])) for i in range(len(grid) - 1) if wins[i] != wins[i + 1]]
    return edges


def pair_depth(n_classes: int) -> int | None:
    """Least number of linear layers at which the pair code beats the simplex ETF for small decay; None where it never does.

    See docs/theory, Proposition 7.11.

    Parameters
    ----------
    n_classes : int, even K >= 2

    Returns
    -------
    int or None

    Raises
    ------
    InputError
        ``n_classes`` is not an even whole number of at least 2.

    Examples
    --------
    >>> [pair_depth(k) for k in (2, 4, 6, 10)]
    [None, 3, 2, 2]
    """
    if not isinstance(n_classes, Integral) or n_classes < 2 or n_classes % 2:
        raise InputError(f"n_classes is {n_classes!r}; pairs need an even whole number of classes")
    # K 2^{2/(L+1)} < 2 (K-1) iff 4 < (2 - 2/K)^{L+1}: never for K = 2, where the base is 1; never for L = 1, where the base is
    # less than 2; for L = 2 iff K > 4.85; and for K = 4 from L = 3, since 1.5^4 > 4.
    return {2: None, 4: 3}.get(int(n_classes), 2)


class Rivals:
    """Search for codes that beat the ETF, started from those that did at other decays.

    Parameters
    ----------
    n_classes, size, regularizer, contraction, random_state
        As for `etf_window`.
    """

    def __init__(self, n_classes: int, size: int, regularizer: WeightDecay, contraction: float, random_state: int) -> None:
        self.counts = balanced(n_classes, size)
        self.regularizer, self.contraction = regularizer, contraction
        self.rng = np.random.default_rng(random_state)
        self.pool: list[Point] = []

    def win(self, decay: float, search: bool) -> bool:
        """Whether a better code than the ETF is found at this decay on A; ``search`` adds fresh starts."""
        problem = Problem(self.counts, regularizer=self.regularizer, head=DecayedDEQ(decay, self.contraction))
        program = problem.program().split()
        k = program.groups
        etf = min(best_scale(program, blocks(k, k))[0], program.smooth(program.zero()).value)
        descent = Descent(program, k)
        found = [descent.run(point, STEPS) for point in self.pool]
        if search:
            starts = [best_scale(program, code)[1] for name, code in names(k) if name != "etf"]
            found += [descent.run(start, STEPS, rough=True) for start in (*starts, *self.starts(program))]
            found.sort(key=lambda f: f.value)
            found[:KEPT] = [descent.run(f.point, STEPS) for f in found[:KEPT]]
        better = sorted((f for f in found if f.value < etf * BETTER), key=lambda f: f.value)
        if better:
            self.pool = [f.point for f in better[:KEPT]]
        return bool(better)

    def starts(self, program: LogitProgram) -> list[Point]:
        """Random symmetric codes of ranks 1, 2, ..., K - 1, 1, ..."""
        k, zero, starts = program.groups, np.zeros(program.groups), []
        for i in range(STARTS):
            left = self.rng.standard_normal((k, 1 + i % (k - 1)))
            core = left @ left.T
            height = float(self.rng.uniform(*HEIGHTS)) * float(program.scale.max())
            starts.append(Point(zero, core * (height / np.linalg.norm(core, 2)), zero))
        return starts

    def edge(self, high: float, low: float) -> Threshold:
        """Where the result of `win` changes between two decays, by bisection."""
        lost = self.win(high, search=True)
        while high / low > 1 + 2 * RELATIVE:
            middle = sqrt(low * high)
            if self.win(middle, search=high / low > 1.05) == lost:
                high = middle
            else:
                low = middle
        note = "best found, not proved: the program is not convex"
        return Threshold("decay on A", 0.5 * (low + high), low, high, "numeric", "jump", note, "all")
