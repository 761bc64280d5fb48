r"""Programs that are not convex: descent from structured candidates and many seeded starts.

Structured candidates are the best multiples of named codes (simplex ETF, pairs, triples, halves), and the best solutions
that are invariant under permutations of equal classes, found in the reduced program for every choice of collapsed
groups. Random starts are Gaussian factors of every rank. Invariant solutions are only upper bounds here: the optimum may
break the symmetry (docs/theory, Proposition 3.6). The certificate's lower bound holds for the *global* optimum: that of a
convex relaxation (Proposition 2.5) or, on balanced classes, the moment bound (file 6).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import svd
from ufm.certify.duality import dual_bound
from ufm.certify.low_rank import balanced_bound
from ufm.certify.primal_dual import Bounds, bounds
from ufm.errors import InputError
from ufm.problem.problem import Problem
from ufm.solvers.base import check_fit
from ufm.solvers.convex.manifold import minimise
from ufm.solvers.convex.symmetric import MAX_GROUPS, DenseNewton
from ufm.solvers.nonconvex.codes import best_scale, names
from ufm.solvers.nonconvex.descent import VANISHING, Descent, Found
from ufm.solvers.nonconvex.minorants import Minorant, best_minorant
from ufm.solvers.solution import Candidate, Solution, Stats, check_options, conclude
from ufm.spectral.program import Factors, LogitProgram, Point

MAX_CLASSES = 64
"""Largest K for which the full K x K program is searched too."""
POLISHED = 8
"""Random starts whose rough descent is continued to convergence."""
MAX_CODES = 400
"""Largest K for which the multiples of named codes are tried on balanced classes."""


@dataclass(frozen=True, kw_only=True)
class Multistart:
    """Seeded starts and structured candidates for heads whose penalty is not convex.

    Parameters
    ----------
    starts : int
        Random starts on the full program, besides the structured ones.
    random_state : int
    max_iterations : int
        L-BFGS iterations of one descent.
    tolerance : float
        Certified relative gap that counts as solved.
    effort : int
        Work on the global lower bound on balanced data (see `ufm.certify.low_rank`); 0 for the convex bound alone.

    Raises
    ------
    InputError
        An option out of range.
    """

    starts: int = 20
    random_state: int = 0
    max_iterations: int = 1000
    tolerance: float = 1e-8
    effort: int = 100
    name = "multistart"

    def __post_init__(self) -> None:
        check_options(self.tolerance, starts=self.starts, random_state=self.random_state, max_iterations=self.max_iterations)
        if not isinstance(self.effort, int) or isinstance(self.effort, bool) or self.effort < 0:
            raise InputError(f"effort is {self.effort!r}; give a whole number of at least 0")

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        program = problem.program()
        if program.penalty.feature_norms:
            return f"it searches over singular values, which do not state the price of the head {problem.head}"
        if program.penalty.columns:
            return f"it searches over singular values, and the head {problem.head} acts on columns"
        if not program.loss.convex and not program.penalty.nuclear:
            return f"the loss {problem.loss} is not convex, nor is the head {problem.head}; one of them must be"
        if program.classes > MAX_CLASSES and program.groups > 6:
            return f"it takes K <= {MAX_CLASSES}, or at most 6 distinct class sizes; there are K={program.classes}"
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Search; ``solution.candidates`` lists the local solutions and their starts.

        Raises
        ------
        InputError
            The problem does not fit.
        """
        from threadpoolctl import threadpool_limits

        start = perf_counter()
        check_fit(self, problem)
        import scipy.optimize  # noqa: F401  (its threads must exist before they can be limited)

        with threadpool_limits(limits=1):
            best, factors, candidates, evaluations = self._search(problem)
            found = _global_bounds(problem, best, factors, self.effort)
        stats = Stats(len(candidates), evaluations, perf_counter() - start)
        solution = conclude(problem, self.name, best, factors, found, stats, self.tolerance)
        return replace(solution, candidates=tuple(sorted(candidates, key=lambda c: c.value)))

    def _search(self, problem: Problem) -> tuple[LogitProgram, Factors, list[Candidate], int]:
        """The program in which the best point was found, its factors, all candidates, and the number of evaluations."""
        program = problem.program()
        found = _Collection(problem)
        reduced = Descent(program, problem.width)
        for name, point in (*_invariant(program), *_relaxed(program)):
            found.enter(name, program, reduced.run(point, self.max_iterations))
        balanced = program.groups == 1
        if program.classes > 2 and (program.classes <= MAX_CLASSES or (balanced and program.classes <= MAX_CODES)):
            full = program.split()
            descent = Descent(full, problem.width)
            for name, code in names(full.classes):
                value, point = best_scale(full, code)
                if balanced:
                    found.enter(f"{name} code", full, Found(value, point, 0))
                if program.classes <= MAX_CLASSES:
                    found.enter(f"from {name}", full, descent.run(point, self.max_iterations))
            if program.classes <= MAX_CLASSES:
                self._random(problem, full, descent, found)
        _, where, point = found.best
        return where, _clean(where, point), found.candidates, found.evaluations

    def _random(self, problem: Problem, full: LogitProgram, descent: Descent, found: _Collection) -> None:
        """Rough descents from Gaussian factors of every rank; the best few of them are continued to convergence."""
        rng = np.random.default_rng(self.random_state)
        rank = min(problem.width, problem.needed)
        ends = []
        for start in range(self.starts):
            chosen = 1 + (start * 7919) % rank if start % 2 else rank
            left = rng.standard_normal((full.groups, chosen))
            right = left.T + 0.3 * rng.standard_normal((chosen, full.groups))
            core = left @ right * full.scale
            height = 4.0 * float(rng.uniform(0.3, 2.0)) * float(full.scale.mean())
            point = Point(np.zeros(full.groups), core * (height / np.linalg.norm(core, 2)), np.zeros(full.groups))
            ends.append((descent.run(point, self.max_iterations, rough=True), f"random, rank {chosen}"))
        ends.sort(key=lambda end: end[0].value)
        polished = 0
        reached: list[float] = []
        for end, name in ends:
            # Rough ends with nearly equal values are taken for the same local minimum; one of them is continued.
            known = any(abs(end.value - value) <= 1e-4 * abs(value) for value in reached)
            if polished < POLISHED and not known and end.value < found.best[0] * 1.01:
                more = descent.run(end.point, self.max_iterations)
                reached += [end.value, more.value]
                end = Found(more.value, more.point, end.evaluations + more.evaluations)
                polished += 1
            found.enter(name, full, end)


class _Collection:
    """Candidates that fit into the width, the best of them, and evaluations spent."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.candidates: list[Candidate] = []
        self.evaluations = 0
        program = problem.program()
        self.best: tuple[float, LogitProgram, Point] = (np.inf, program, program.zero())

    def enter(self, name: str, program: LogitProgram, found: Found) -> None:
        """Add a candidate, unless its rank exceeds the width."""
        self.evaluations += found.evaluations
        rank = _rank(program, found.point)
        if not self.problem.fits(rank):
            return
        self.candidates.append(Candidate(name, found.value, rank))
        # A later candidate must be better by more than the accuracy of descent, so that named ones, which come first, are kept.
        if found.value < self.best[0] - 1e-11 * abs(self.best[0]) or self.best[0] == np.inf:
            self.best = found.value, program, found.point


def _clean(program: LogitProgram, point: Point) -> Factors:
    """Factors of a point without the singular values that descent counts as vanishing."""
    u, sigma, vt = svd(point.core)
    largest = max(float(sigma.max()), float(point.contrast.max()), 1e-300)
    keep = sigma > VANISHING * largest
    contrast = np.where(point.contrast > VANISHING * largest, point.contrast, 0.0)
    return program.factors(Point(contrast, point.core, point.bias), (u[:, keep], sigma[keep], vt[keep]))


def _global_bounds(problem: Problem, program: LogitProgram, factors: Factors, effort: int) -> Bounds:
    """Bounds on the global optimum: the larger of the lower bounds of the convex relaxation and of `balanced_bound`."""
    found = bounds(program, factors)
    reduced = problem.program()
    if not reduced.loss.convex:
        below = _minorant(reduced)
        return found if below is None else found._replace(lower=min(max(found.lower, below.lower), found.upper))
    if reduced.groups <= MAX_GROUPS:
        relaxed = replace(reduced, penalty=reduced.penalty.relaxed(found.upper))
        try:
            _, convex, _, _ = minimise(DenseNewton(relaxed), 1e-6, 60)
        except np.linalg.LinAlgError:
            return found
        slopes = convex.slopes
        if program is not reduced:
            group = np.repeat([g for g, _ in reduced.runs], [c for _, c in reduced.runs])
            slopes = np.vstack([slopes[:-1][np.ix_(group, group)], slopes[-1][group]])
        lower, slopes = dual_bound(program, slopes, found.upper)
        if lower > found.lower:
            found = found._replace(lower=lower, slopes=slopes)
    lower = balanced_bound(reduced, factors, found.upper, effort)
    return found._replace(lower=lower) if lower > found.lower else found


def _minorant(program: LogitProgram) -> Minorant | None:
    """The best convex program below one whose loss is not convex."""
    return None if program.groups > MAX_GROUPS else best_minorant(program)


def _rank(program: LogitProgram, point: Point) -> int:
    """Number of positive singular values."""
    sigma = np.linalg.svd(point.core, compute_uv=False)
    least = VANISHING * max(float(sigma.max()), float(point.contrast.max()), 1e-300)
    return int(np.sum(sigma > least) + program.contrast_counts @ (point.contrast > least))


def _relaxed(program: LogitProgram) -> list[tuple[str, Point]]:
    """The optimum of the convex relaxation, with the value at zero logits as its upper bound."""
    if not program.loss.convex:
        below = _minorant(program)
        return [] if below is None else [("convex minorant", program.point(below.factors))]
    if program.groups > MAX_GROUPS:
        return []
    convex = replace(program, penalty=program.penalty.relaxed(program.smooth(program.zero()).value))
    try:
        factors = minimise(DenseNewton(convex), 1e-6, 60)[0]
    except np.linalg.LinAlgError:
        return []
    return [("convex relaxation", program.point(factors))]


def _invariant(program: LogitProgram) -> list[tuple[str, Point]]:
    """Starts in the reduced program: heights of two sizes, each set of groups collapsed or not, and zero."""
    zero = program.zero()
    starts = [("zero", zero)]
    alive = program.contrast_counts > 0
    m, classes = program.multiplicity, program.classes
    for height in (3.0, 10.0):
        blocks = height * (np.diag(1.0 / m) - 1.0 / classes)
        core = program.core(blocks)
        for kept in product((True, False), repeat=int(alive.sum())):
            contrast = np.zeros(program.groups)
            contrast[alive] = np.where(kept, height * program.scale[alive], 0.0)
            label = "invariant" if all(kept) else "invariant, " + _label(program, alive, kept)
            starts.append((label, Point(contrast, core, zero.bias)))
    return starts


def _label(program: LogitProgram, alive: NDArray[np.bool_], kept: tuple[bool, ...]) -> str:
    sizes = [program.sizes[g] for g in np.flatnonzero(alive)]
    return "collapsed: " + ", ".join(f"size {n}" for n, keep in zip(sizes, kept, strict=True) if not keep)
