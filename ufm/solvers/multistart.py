r"""Programs that are not convex: descent from structured candidates and many seeded starts.

Structured candidates are the best multiples of named codes (simplex ETF, pairs, triples, halves), and the best solutions
that are invariant under permutations of equal classes, found in the reduced program for every choice of collapsed
groups. Random starts are Gaussian factors of every rank. Invariant solutions are only upper bounds here: the optimum may
break the symmetry. The certificate's lower bound holds for the *global* optimum, so that the gap is a number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ufm.certify.bounds import Bounds, bounds, dual_bound
from ufm.certify.moments import balanced_bound
from ufm.errors import InputError
from ufm.problem.problem import Problem
from ufm.solvers.codes import best_scale, names
from ufm.solvers.descent import Descent, Found
from ufm.solvers.solution import Candidate, Solution, Stats, check_options, conclude
from ufm.solvers.symmetric import MAX_GROUPS, minimise
from ufm.spectral.penalties import ColumnPenalty
from ufm.spectral.program import Factors, LogitProgram, Point

Floats = NDArray[np.float64]
MAX_CLASSES = 64
"""Largest K for which the full K x K program is searched too."""


@dataclass(frozen=True, kw_only=True)
class Multistart:
    """Seeded starts and structured candidates for heads whose penalty is not convex.

    Parameters
    ----------
    starts : int
        Random starts on the full program, besides the structured ones.
    seed : int
    max_iterations : int
        L-BFGS iterations of one descent.
    tolerance : float
        Certified relative gap that counts as solved.
    effort : int
        Work on the global lower bound on balanced data (see `ufm.certify.moments`); 0 leaves the convex bound alone.
    """

    starts: int = 20
    seed: int = 0
    max_iterations: int = 1000
    tolerance: float = 1e-8
    effort: int = 100
    name = "multistart"

    def __post_init__(self) -> None:
        check_options(self.tolerance, starts=self.starts, seed=self.seed, max_iterations=self.max_iterations)
        if not isinstance(self.effort, int) or isinstance(self.effort, bool) or self.effort < 0:
            raise InputError(f"effort is {self.effort!r}; give a whole number of at least 0")

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        program = problem.program()
        if isinstance(program.penalty, ColumnPenalty):
            return f"it searches over singular values, and the head {problem.head} acts on columns"
        if program.classes > MAX_CLASSES and program.groups > 6:
            return f"it takes K <= {MAX_CLASSES}, or at most 6 distinct class sizes; there are K={program.classes}"
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Search; ``solution.candidates`` lists what was found from where."""
        from threadpoolctl import threadpool_limits

        start = perf_counter()
        reason = self.unfit(problem)
        if reason is not None:
            raise InputError(f"method 'multistart' does not fit: {reason}")
        import scipy.optimize  # noqa: F401  (its threads must exist before they can be limited)

        with threadpool_limits(limits=1):
            best, factors, candidates, evaluations = self._search(problem)
            found = _globally(problem, best, factors, self.effort)
        stats = Stats(len(candidates), evaluations, perf_counter() - start)
        solution = conclude(problem, self.name, best, factors, found, stats, self.tolerance)
        return replace(solution, candidates=tuple(sorted(candidates, key=lambda c: c.value)))

    def _search(self, problem: Problem) -> tuple[LogitProgram, Factors, list[Candidate], int]:
        program = problem.program()
        candidates: list[Candidate] = []
        evaluations = 0
        best: tuple[float, LogitProgram, Point] = (np.inf, program, program.zero())

        def enter(name: str, where: LogitProgram, found: Found) -> None:
            nonlocal best, evaluations
            evaluations += found.evaluations
            candidates.append(Candidate(name, found.value, _rank(where, found.point)))
            # A later candidate must be better by more than the accuracy of descent, so that named ones keep their place.
            if found.value < best[0] - 1e-11 * abs(best[0]) or best[0] == np.inf:
                best = found.value, where, found.point

        reduced = Descent(program, problem.width)
        for name, point in _invariant(program):
            enter(name, program, reduced.run(point, self.max_iterations))
        if program.classes <= MAX_CLASSES and program.classes > 2:
            full = program.split()
            descent = Descent(full, problem.width)
            rank = min(problem.width, problem.needed)
            for name, code in names(full.classes):
                value, point = best_scale(full, code)
                if problem.counts.groups[0][0] == full.classes:
                    candidates.append(Candidate(f"{name} code", value, _rank(full, point)))
                    if value < best[0] - 1e-11 * abs(best[0]) and _rank(full, point) <= problem.width:
                        best = value, full, point
                enter(f"from {name}", full, descent.run(point, self.max_iterations))
            rng = np.random.default_rng(self.seed)
            size = max(float(np.linalg.norm(full.factors(best[2]).contrast)), 1.0) if best[1] is full else 1.0
            for start in range(self.starts):
                chosen = 1 + (start * 7919) % rank if start % 2 else rank
                left = rng.standard_normal((full.groups, chosen))
                right = left.T + 0.3 * rng.standard_normal((chosen, full.groups))
                core = left @ right * full.scale
                height = 4.0 * size * float(rng.uniform(0.3, 2.0)) * float(full.scale.mean())
                point = Point(np.zeros(full.groups), core * (height / np.linalg.norm(core, 2)), np.zeros(full.groups))
                found = descent.run(point, self.max_iterations, rough=True)
                if found.value < 1.0003 * best[0]:
                    found = descent.run(found.point, self.max_iterations)
                enter(f"random, rank {chosen}", full, found)
        return best[1], best[1].factors(best[2]), candidates, evaluations


def _globally(problem: Problem, program: LogitProgram, factors: Factors, effort: int) -> Bounds:
    """Bounds on the global optimum: the slopes come from the convex program that the penalty's relaxation makes."""
    found = bounds(program, factors)
    reduced = problem.program()
    if reduced.groups <= MAX_GROUPS:
        relaxed = replace(reduced, penalty=reduced.penalty.relaxed(found.upper))
        try:
            _, convex, _, _ = minimise(relaxed, 1e-6, 60)
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


def _rank(program: LogitProgram, point: Point) -> int:
    """Number of positive singular values."""
    sigma = np.linalg.svd(point.core, compute_uv=False)
    largest = max(float(sigma.max()), float(point.contrast.max()))
    return int(np.sum(sigma > 1e-6 * largest) + program.copies @ (point.contrast > 1e-6 * largest)) if largest > 0 else 0


def _invariant(program: LogitProgram) -> list[tuple[str, Point]]:
    """Starts in the reduced program: heights of two sizes, each set of groups collapsed or not, and zero."""
    zero = program.zero()
    starts = [] if program.penalty.ball else [("zero", zero)]
    alive = program.copies > 0
    m, classes = program.multiplicity, program.classes
    for height in (3.0, 10.0):
        blocks = height * (np.diag(1.0 / m) - 1.0 / classes)
        core = blocks / program._unit
        for kept in product((True, False), repeat=int(alive.sum())):
            contrast = np.zeros(program.groups)
            contrast[alive] = np.where(kept, height * program.scale[alive], 0.0)
            if program.penalty.ball and not contrast.any() and not core.any():
                continue
            label = "invariant" if all(kept) else "invariant, " + _label(program, alive, kept)
            starts.append((label, Point(contrast, core, zero.bias)))
    return starts


def _label(program: LogitProgram, alive: NDArray[np.bool_], kept: tuple[bool, ...]) -> str:
    sizes = [program.sizes[g] for g in np.flatnonzero(alive)]
    return "collapsed: " + ", ".join(f"size {n}" for n, keep in zip(sizes, kept, strict=True) if not keep)
