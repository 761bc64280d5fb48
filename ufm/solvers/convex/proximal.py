r"""Any convex penalty with a proximal map: accelerated proximal gradient in block form, restarted where it does not descend.

Beck & Teboulle (SIAM J. Imaging Sci. 2009) for the accelerated step, O'Donoghue & Candes (Found. Comput. Math. 2015) for the
restart by function values (locators unknown). First order, so slower than `Symmetric` on multiples of the nuclear norm; it is
for penalties that have no more than a value, slope, proximal map and conjugate, such as those of a user's own head.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ufm.certify.primal_dual import Bounds, bounds
from ufm.problem.problem import Problem
from ufm.solvers.base import check_fit
from ufm.solvers.convex.proximal_steps import ProximalSteps
from ufm.solvers.solution import Solution, Stats, check_options, conclude
from ufm.spectral.blocks import MAX_DENSE
from ufm.spectral.program import Factors, LogitProgram, Point

CHECKED = 25
"""Iterations between two evaluations of the certificate."""
NOISE = 1e-14
"""Relative rounding error of the objective, up to which a step may appear to raise it."""


@dataclass(frozen=True, kw_only=True)
class Proximal:
    """Accelerated proximal gradient with restarts.

    Parameters
    ----------
    tolerance : float
        Certified relative gap that counts as solved.
    max_iterations : int
    """

    tolerance: float = 1e-9
    max_iterations: int = 20_000
    name = "proximal"

    def __post_init__(self) -> None:
        check_options(self.tolerance, max_iterations=self.max_iterations)

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        program = problem.program()
        penalty = program.penalty
        if not program.loss.convex:
            return f"it needs a convex loss, and the loss is {problem.loss}"
        if penalty.columns or penalty.feature_norms or not penalty.convex:
            return f"it needs a convex penalty on singular values, and the head is {problem.head}"
        if not penalty.ball and not penalty.nuclear and penalty.conjugate(np.zeros(1), np.ones(1)) is None:
            return f"it needs the penalty's conjugate for a lower bound, and that of the head {problem.head} has none"
        if not problem.wide:
            return f"it assumes dim >= {problem.needed}, and dim is {problem.dim}"
        if program.groups > MAX_DENSE // 4:
            return f"it writes out G x G blocks, and there are {program.groups} distinct class sizes"
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Solve in block form.

        Raises
        ------
        InputError
            The problem does not fit.
        """
        start = perf_counter()
        check_fit(self, problem)
        program = problem.program()
        factors, found, iterations, evaluations = self._minimise(program)
        stats = Stats(iterations, evaluations, perf_counter() - start)
        return conclude(problem, self.name, program, factors, found, stats, self.tolerance)

    def _minimise(self, program: LogitProgram) -> tuple[Factors, Bounds, int, int]:
        """Factors and bounds of the smallest certified gap, with the counts of iterations and evaluations."""
        steps = ProximalSteps(program)
        now = steps.prox_step(_start(program))
        before, momentum, evaluations = now.point, 1.0, 1
        best: tuple[Factors, Bounds] | None = None
        for iteration in range(1, self.max_iterations + 1):
            faster = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
            trial = steps.prox_step(_ahead(now.point, before, (momentum - 1.0) / faster))
            evaluations += 1
            noise = NOISE * abs(now.value)
            if trial.value > now.value + noise:
                trial, momentum = steps.prox_step(now.point), 1.0
                evaluations += 1
                if trial.value > now.value + noise:
                    trial, tried = steps.shortened(now)
                    evaluations += tried
            else:
                momentum = faster
            before, now = now.point, trial
            if iteration % CHECKED and iteration < self.max_iterations:
                continue
            factors = steps.factors(now)
            found = bounds(program, factors)
            if best is None or found.upper - found.lower < best[1].upper - best[1].lower:
                best = factors, found
            if best[1].upper - best[1].lower <= 0.3 * self.tolerance * best[1].upper:
                break
        assert best is not None
        return best[0], best[1], iteration, evaluations


def _start(program: LogitProgram) -> Point:
    """The logits of a simplex ETF, under a ball scaled onto its boundary."""
    m, classes = program.multiplicity, program.classes
    blocks = np.diag(1.0 / m) - 1.0 / classes
    contrast = np.where(program.contrast_counts > 0, program.scale, 0.0)
    core = program.core(blocks)
    if program.penalty.ball:
        sigma = np.asarray(np.linalg.svd(core, compute_uv=False), dtype=np.float64)
        copies = np.concatenate([program.contrast_counts, np.ones(program.groups)])
        size = program.penalty.gauge(np.concatenate([contrast, sigma], dtype=np.float64), copies)
        contrast, core = contrast / size, core / size
    return Point(contrast, core, np.zeros(program.groups))


def _ahead(point: Point, before: Point, step: float) -> Point:
    """The point moved on from the one before it; contrasts stay at zero or above."""
    contrast, core, bias = (new + step * (new - old) for new, old in zip(point, before, strict=True))
    return Point(np.maximum(contrast, 0.0), core, bias)
