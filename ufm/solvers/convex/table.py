r"""Tables of targets: accelerated proximal gradient, then Newton steps on balanced factors of ``X = Z S``.

The proximal phase finds the rank; between two Newton steps (`ufm.solvers.convex.table_newton`) a proximal step adds or drops
singular values. The certificate decides when to stop. Squared error at equal curvature is a closed form: the singular values of
the (centred) targets are thresholded (Andriopoulos et al., arXiv 2409.04180, Theorem 4.1; docs/theory, Proposition 11.5).
Features of a fixed norm have their own search (`ufm.solvers.convex.table_spheres`).
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ufm._arrays import Floats
from ufm.certify.certificate import Certificate
from ufm.certify.tables import TableBounds, table_bounds, table_inside
from ufm.problem.problem import Problem
from ufm.solvers.base import check_fit
from ufm.solvers.convex.table_newton import TableFrame, newton_step
from ufm.solvers.convex.table_spheres import conclude_normalised_table, solve_on_spheres
from ufm.solvers.solution import Solution, Stats, Status, check_options
from ufm.spectral.table_program import TableFactors, TableProgram

FIRST = 40
"""Proximal steps before the first Newton step."""
ONE_THREAD = 65_536
"""Entries of a table up to which linear algebra runs on one thread, where more would be slower."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Proximal gradient and Newton-CG on a table of targets; features of a fixed norm on their spheres.

    Parameters
    ----------
    tolerance : float
        Certified relative gap that counts as solved.
    max_iterations : int
        Largest number of Newton steps.
    """

    tolerance: float = 1e-10
    max_iterations: int = 300
    name = "table"
    tables = True

    def __post_init__(self) -> None:
        check_options(self.tolerance, max_iterations=self.max_iterations)

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Solve.

        Raises
        ------
        InputError
            The targets are no table.
        """
        import scipy.linalg  # noqa: F401  (its threads must exist before they can be limited)
        from threadpoolctl import threadpool_limits

        start = perf_counter()
        check_fit(self, problem)
        program: TableProgram = problem.program()  # type: ignore[assignment]
        small = program.rows * program.contexts <= ONE_THREAD
        if program.penalty.feature_norms:
            with threadpool_limits(limits=1 if small else None):
                reached = solve_on_spheres(program, problem.width, problem.wide, 0.1 * self.tolerance, self.max_iterations)
            stats = Stats(reached[2].iterations, reached[2].evaluations, perf_counter() - start)
            return conclude_normalised_table(problem, self.name, *reached[:2], stats, self.tolerance)
        work = _Search(program, problem.width, problem.wide)
        with threadpool_limits(limits=1 if small else None):
            factors, found = work.run(self.tolerance, self.max_iterations)
        stats = Stats(work.iterations, work.evaluations, perf_counter() - start)
        return _concluded(problem, program, factors, found, stats, self.tolerance)


def _concluded(
    problem: Problem, program: TableProgram, factors: TableFactors, found: TableBounds, stats: Stats, tolerance: float
) -> Solution:
    """A solution with its certificate, and the status that it proves."""
    factors = table_inside(program, factors)
    certificate = Certificate(found.lower, found.upper, "float", problem, program, factors, found.slopes)  # type: ignore[arg-type]
    scale = max(found.upper, _unit(program)) if program.loss.quadratic else found.upper
    if not found.upper - found.lower <= tolerance * scale:
        status = Status.OPEN if problem.wide else Status.LOOSE
    else:
        status = Status.OPTIMAL if factors.left.any() else Status.ZERO
    return Solution(status, Table.name, found.value, certificate, stats, problem, program, factors)  # type: ignore[arg-type]


def _unit(program: TableProgram) -> float:
    """Squared error may vanish at the optimum, so that its gap is also measured against the value of zero logits."""
    return float(program.share @ program.loss.values(np.zeros_like(program.loss.target)))


class _Search:
    """The two phases on one program; counts iterations and evaluations."""

    def __init__(self, program: TableProgram, width: int, wide: bool) -> None:
        self.program, self.wide = program, wide
        self.width = min(width, max(program.rank, 1))
        self.biased = program.bias_decay is not None
        self.on_sphere = False
        self.iterations = self.evaluations = 0

    def run(self, tolerance: float, max_iterations: int) -> tuple[TableFactors, TableBounds]:
        """Factors and bounds of the smallest certified gap."""
        program = self.program
        interior = self.inside()
        # Where the loss is not least inside the ball of a wide model, the optimum is on the sphere.
        self.on_sphere = program.penalty.ball and self.wide and interior is None
        closed = interior or self.closed()
        frame = self.framed(*closed) if closed else self.first_order(tolerance)
        best = self.certified(frame)
        lowest, idle = best[1].value, 0
        unit = _unit(program) if program.loss.quadratic else 0.0
        for iteration in range(max_iterations):
            if best[1].upper - best[1].lower <= 0.5 * tolerance * max(best[1].upper, unit) or idle >= 6:
                break
            if iteration % 6 == 5 and len(frame.sigma):
                # Small singular values that must grow do so slowly in Newton steps on their square roots.
                frame = self.quasi_newton(frame)
            step = newton_step(program, frame)
            self.iterations += 1
            self.evaluations += step.evaluations
            # A proximal step chooses the rank, and leaves the valley that Newton steps follow: one in three is enough.
            frame = (self.regrouped if iteration % 3 == 0 else self.framed)(step.left @ step.right, step.bias)
            found = self.certified(frame)
            gap, previous = found[1].upper - found[1].lower, best[1].upper - best[1].lower
            # A certificate may come late: as long as the objective falls, or the gap does, the search goes on.
            falls = found[1].value < lowest - 1e-14 * abs(lowest)
            idle = 0 if falls or gap < 0.7 * previous else idle + 1
            lowest = min(lowest, found[1].value)
            if gap < previous:
                best = found
            if not step.moved and idle > 1:
                break
        return best

    def certified(self, frame: TableFrame) -> tuple[TableFactors, TableBounds]:
        """A frame's factors with their bounds."""
        factors = TableFactors(frame.left, frame.right / self.program.scale, frame.bias)
        return factors, table_bounds(self.program, factors)

    def start_bias(self) -> Floats:
        """The bias of zero logits: log-odds of the mean target, or the mean target itself."""
        program = self.program
        if not self.biased:
            return np.zeros(program.rows)
        mean = program.loss.target @ program.share / program.share.sum()
        if program.loss.quadratic:
            return mean
        safe = np.clip(mean, 1e-6, 1.0 - 1e-6)
        return program.centred(np.log(safe)) if program.loss.blocks else np.log(safe / (1.0 - safe))

    def inside(self) -> tuple[Floats, Floats] | None:
        """Under budgets, the logits at which the loss itself is least, if the budgets allow them."""
        program = self.program
        free = program.loss.minimiser() if program.penalty.ball and self.wide else None
        if free is None:
            return None
        scaled = free * program.scale
        sigma = np.asarray(np.linalg.svd(scaled, compute_uv=False), dtype=np.float64)
        within = program.penalty.gauge(sigma, np.ones(len(sigma))) <= 1.0
        return (scaled, np.zeros(program.rows)) if within else None

    def closed(self) -> tuple[Floats, Floats] | None:
        """Squared error at equal curvature, without or with a free bias: thresholded singular values of the targets."""
        program = self.program
        curvature = program.share / program.scale**2
        equal = np.all(np.abs(curvature - curvature[0]) <= 1e-12 * curvature[0])
        if not program.loss.quadratic or program.penalty.ball or program.bias_decay or not equal or not self.wide:
            return None
        scale = program.scale
        matrix, bias = program.loss.target * scale, np.zeros(program.rows)
        if self.biased:
            bias = matrix @ scale / float(scale @ scale)
            matrix = matrix - bias[:, None] * scale
        u, sigma, vt = np.linalg.svd(matrix, full_matrices=False)
        kept, _ = program.penalty.prox(sigma, np.ones(len(sigma)), np.full(len(sigma), 1.0 / curvature[0]))
        self.iterations = self.evaluations = 1
        return (u * kept) @ vt, bias

    def proximal(self, scaled: Floats, bias: Floats, step: float) -> tuple[Floats, Floats, Floats, Floats]:
        """A proximal-gradient step from X and the bias: u, singular values, v' and the bias."""
        program = self.program
        at = program.smooth(scaled, bias)
        self.evaluations += 1
        u, shadow, vt = np.linalg.svd(program.centred(scaled - step * at.gradient), full_matrices=False)
        kept, _ = program.penalty.prox(shadow, np.ones(len(shadow)), np.full(len(shadow), step))
        if self.biased:
            steep = program.loss.lipschitz * float(program.share.sum()) + (program.bias_decay or 0.0)
            bias = program.centred(bias - 0.5 * at.bias_gradient / steep)
        return u, kept, vt, bias

    def first_order(self, tolerance: float) -> TableFrame:
        """FISTA, which finds a rank, then L-BFGS on the factors."""
        scaled, bias = self.accelerated(tolerance)
        frame = self.framed(scaled, bias)
        return self.quasi_newton(frame) if len(frame.sigma) else frame

    def quasi_newton(self, frame: TableFrame) -> TableFrame:
        """L-BFGS on the factors, on the objective over its first value (its stopping rules are not scale-free)."""
        from scipy.optimize import minimize

        program, rank = self.program, len(frame.sigma)
        split, end = program.rows * rank, (program.rows + program.contexts) * rank
        radius = program.penalty.radius if program.penalty.ball else None  # type: ignore[attr-defined]
        mu = 0.0 if radius is not None else program.penalty.strength  # type: ignore[attr-defined]

        def parts(theta: Floats) -> tuple[Floats, Floats, Floats]:
            bias = theta[end:] if self.biased else np.zeros(program.rows)
            return theta[:split].reshape(-1, rank), theta[split:end].reshape(rank, -1), bias

        def objective(theta: Floats) -> tuple[float, Floats]:
            factors = theta[:end]
            size = float(factors @ factors)
            # Under a budget points outside of the sphere are scaled onto it.
            outside = radius is not None and size > 2.0 * radius
            ratio = np.sqrt(2.0 * radius / size) if outside else 1.0  # type: ignore[operator]
            left, right, bias = parts(theta)
            left, right = ratio * left, ratio * right
            at = program.smooth(left @ right, bias)
            self.evaluations += 1
            slope = np.concatenate([(at.gradient @ right.T).ravel(), (left.T @ at.gradient).ravel()])
            if outside:
                slope -= factors * (float(factors @ slope) / size)
            slope = ratio * slope + mu * factors
            found = np.concatenate([slope, at.bias_gradient]) if self.biased else slope
            return (at.value + 0.5 * mu * size) / unit, found / unit

        start = [frame.left.ravel(), frame.right.ravel(), *([frame.bias] if self.biased else [])]
        unit = 1.0
        unit = max(abs(objective(np.concatenate(start))[0]), 1e-250)
        options = {"maxiter": 300, "maxfun": 400, "maxcor": 12, "ftol": 1e-10, "gtol": 0.0}
        with np.errstate(over="ignore", invalid="ignore"):
            found = minimize(objective, np.concatenate(start), jac=True, method="L-BFGS-B", options=options)
        self.iterations += int(found.nit)
        left, right, bias = parts(found.x)
        return self.framed(left @ right, bias)

    def accelerated(self, tolerance: float) -> tuple[Floats, Floats]:
        """FISTA with restarts, from zero logits."""
        program = self.program
        step = (0.5 if self.biased else 1.0) / program.curvature()
        scaled, bias = np.zeros((program.rows, program.contexts)), self.start_bias()
        ahead, ahead_bias, momentum, before = scaled, bias, 1.0, np.inf
        for _ in range(FIRST):
            u, kept, vt, new_bias = self.proximal(ahead, ahead_bias, step)
            self.iterations += 1
            new = (u * kept) @ vt
            price = 0.0 if program.penalty.ball else program.penalty.value(kept, np.ones(len(kept)))
            value = program.value(new, new_bias) + price
            if value > before:
                momentum, ahead, ahead_bias, before = 1.0, scaled, bias, np.inf
                continue
            faster = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
            pace = (momentum - 1.0) / faster
            ahead, ahead_bias = new + pace * (new - scaled), new_bias + pace * (new_bias - bias)
            small = before - value <= 1e-3 * tolerance * abs(value)
            scaled, bias, momentum, before = new, new_bias, faster, value
            if small:
                break
        return scaled, bias

    def framed(self, scaled: Floats, bias: Floats) -> TableFrame:
        """Balanced factors of X, cut to the width."""
        u, sigma, vt = np.linalg.svd(scaled, full_matrices=False)
        return self._cut(u, sigma, vt, bias)

    def regrouped(self, scaled: Floats, bias: Floats) -> TableFrame:
        """Balanced factors; in wide models after a proximal step, which chooses the singular values to keep."""
        if not self.wide:
            return self.framed(scaled, bias)
        program = self.program
        at = program.smooth(scaled, bias)
        local = float((program.loss.diagonal(at.probabilities).max(axis=0) * 2.0 * program.share / program.scale**2).max())
        size = max(float(np.abs(scaled).max()), float(program.scale.max()))
        pull = 0.0 if program.penalty.ball else program.penalty.strength / size  # type: ignore[attr-defined]
        step = (0.5 if self.biased else 1.0) / max(min(local, program.curvature()), pull, 1e-300)
        u, kept, vt, new_bias = self.proximal(scaled, bias, step)
        # The bias has its own Newton step; here it stays where that left it.
        return self._cut(u, kept, vt, bias if self.biased else new_bias)

    def _cut(self, u: Floats, sigma: Floats, vt: Floats, bias: Floats) -> TableFrame:
        rank = min(self.width, int(np.count_nonzero(sigma > 1e-14 * sigma[0]))) if sigma[0] > 0 else 0
        kept = sigma[:rank]
        penalty = self.program.penalty
        if penalty.ball and kept.sum() > 0:
            radius = penalty.radius  # type: ignore[attr-defined]
            kept = kept * (radius / kept.sum() if self.on_sphere else min(1.0, radius / kept.sum()))
        return TableFrame(u, kept, vt, bias)
