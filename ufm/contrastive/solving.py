"""`solve_contrastive`: the optimal class vectors of supervised contrastive learning, with bounds."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite, nextafter
from numbers import Real

import numpy as np

from ufm._arrays import Floats, check_level
from ufm.contrastive.descent import descend
from ufm.contrastive.float_bounds import float_lower, float_upper, float_value
from ufm.contrastive.program import ClassVectors, GramProgram
from ufm.contrastive.solution import ContrastiveSolution, GroupCosine
from ufm.contrastive.two_groups import solve_two_groups
from ufm.errors import ConvergenceError, InputError, brief
from ufm.solvers import Status
from ufm.targets.counts import ClassCounts

MOST_GROUPS = 300
"""Most distinct class sizes: the unknowns grow with their square."""
MOST_WRITTEN = 1000
"""The same for the orthogonal frame, which has no unknowns: cosines of groups are written out."""
COLLAPSED = 1e-6
"""One minus the cosine up to which two classes count as collapsed."""


def solve_contrastive(
    counts: Iterable[int] | ClassCounts | str,
    *,
    temperature: float,
    nonnegative: bool = False,
    level: str = "float",
    tolerance: float = 1e-9,
    random_state: int = 0,
) -> ContrastiveSolution:
    r"""Minimise the population loss of supervised contrastive learning over unit vectors of the classes.

    .. math:: \sum_k \pi_k \log \sum_j \pi_j \exp\big((\langle v_k, v_j \rangle - 1) / \tau\big), \qquad |v_k| = 1,

    with shares ``pi_k = n_k / N`` and the class itself among the terms (Nguyen et al., arXiv 2605.11291; locator unknown). The
    loss is convex in the Gram matrix; bounds on its optimum come from a dual point (docs/theory, Propositions 13.1 to 13.6).
    The vectors may have any dimension of at least the rank of the Gram matrix (K suffices); the lower bound holds for narrower
    ones too.

    Parameters
    ----------
    counts : iterable of int, ClassCounts or str
        Class sizes, as for `ufm.Problem`; at most 300 distinct ones, 1000 where inner products must be at least zero.
    temperature : float, tau, from 1e-3 to 1e4
    nonnegative : bool
        Whether all inner products must be at least zero, as those of features after a ReLU. The optimum is then the orthogonal
        frame whatever the class sizes (docs/theory, Proposition 13.7).
    level : {"float", "rigorous"}, arithmetic of the bounds
    tolerance : float > 0
        Gap, relative to ``min(1, 1 / tau)``, up to which the status is ``OPTIMAL``.
    random_state : int, seed of the start of the descent for three or more distinct sizes

    Returns
    -------
    ContrastiveSolution

    Raises
    ------
    InputError
        Invalid class sizes, temperature, level or tolerance, or too many distinct sizes.
    ConvergenceError
        The bounds are not finite.

    Examples
    --------
    >>> found = solve_contrastive("100*1,1*4", temperature=1.0, level="rigorous")
    >>> found.collapsed, found.groups[0].lower > 1 - 1e-9
    ('yes', True)
    >>> solve_contrastive([7, 3, 3], temperature=0.1, nonnegative=True).gram.tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    given = ClassCounts.parse(counts) if isinstance(counts, str) else ClassCounts.of(counts)
    check_level(level)
    if isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not (isfinite(tolerance) and tolerance > 0):
        raise InputError(f"tolerance is {brief(tolerance)}; give a positive number such as 1e-9")
    program = GramProgram.of(given, temperature, nonnegative=bool(nonnegative))
    most = MOST_WRITTEN if nonnegative else MOST_GROUPS
    if len(given.groups) > most:
        raise InputError(f"counts has {len(given.groups)} distinct class sizes; contrastive optima are solved up to {most}")
    vectors, method, iterations = _vectors(program, random_state)
    cosines = np.eye(len(given.groups)) if nonnegative else program.cosines(vectors)
    if nonnegative:
        np.fill_diagonal(cosines, np.where(program.multiplicity > 1, 0.0, 1.0))
    lower, upper = _bounds(program, cosines, vectors, level)
    if not (isfinite(lower) and isfinite(upper) and lower <= upper):
        raise ConvergenceError(f"the bounds {lower!r} and {upper!r} enclose nothing; the problem is beyond float64")
    optimal = upper - lower <= tolerance * min(1.0, 1.0 / program.temperature)
    return ContrastiveSolution(
        Status.OPTIMAL if optimal else Status.OPEN, min(max(program.value(cosines), lower), upper), lower, upper, level, method,
        given, program, vectors, cosines, _groups(program, vectors, cosines), iterations,
    )  # fmt: skip


def _vectors(program: GramProgram, random_state: int) -> tuple[ClassVectors, str, int]:
    if program.nonnegative:
        m = program.multiplicity
        means = np.diag(np.sqrt(1.0 / m))
        return ClassVectors(means, np.sqrt(1.0 - 1.0 / m)), "orthogonal frame", 0
    if len(program.groups) <= 2:
        return solve_two_groups(program), "two groups", 0
    import scipy.optimize  # noqa: F401  (its threads must exist before they can be limited)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):  # products of matrices of groups are too small to gain from more
        vectors, iterations = descend(program, random_state)
    return vectors, "descent", iterations


def _bounds(program: GramProgram, cosines: Floats, vectors: ClassVectors, level: str) -> tuple[float, float]:
    """Bounds on the optimum; the orthogonal frame is exact, so that its value bounds the optimum from both sides."""
    if level == "rigorous":
        from ufm.contrastive.ball_bounds import ball_lower, ball_upper, ball_value

        upper = ball_value(program, cosines)[1] if program.nonnegative else ball_upper(program, vectors)
        return ball_lower(program, cosines), upper
    if program.nonnegative:
        value, error = float_value(program, cosines)
        return float_lower(program, cosines), nextafter(value + error, inf)
    return float_lower(program, cosines), float_upper(program, vectors)


def _groups(program: GramProgram, vectors: ClassVectors, cosines: Floats) -> tuple[GroupCosine, ...]:
    several = [(g, m, n) for g, (m, n) in enumerate(program.groups) if m > 1]
    if program.nonnegative:
        return tuple(GroupCosine(n, m, 0.0, 0.0, 0.0, "no") for _, m, n in several)
    if not several:
        return ()
    from ufm.contrastive.optimum import enclose_cosines

    enclosed = enclose_cosines(program, vectors)
    found = []
    for g, m, n in several:
        ends = enclosed[g][g]
        assert ends is not None  # groups of two or more classes have one
        verdict = "no" if ends[1] < 1.0 else "yes" if ends[0] >= 1.0 - COLLAPSED else "undecided"
        found.append(GroupCosine(n, m, float(cosines[g, g]), *ends, verdict))
    return tuple(found)
