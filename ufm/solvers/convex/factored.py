r"""Any class sizes and any width: descent on the factors W and G = H S (docs/theory, Proposition 1.3).

The variables are W (K x d) and G (d x K) in balanced scaling, ``min f(W G) + mu/2 (|W|^2 + |G|^2)`` for decay and
``min f(W G)`` on the sphere ``|W|^2 + |G|^2 = 2 radius`` for budgets, where the same mu is the multiplier.

1. *First order*: L-BFGS from the logits that would be optimal on balanced classes (and, for narrow models, from seeded
   random starts).
2. *Second order*: Newton steps by preconditioned conjugate gradients, matrix-free, with negative curvature followed
   where it is met. Between two of them a proximal-gradient step on the logits adds or drops singular values: a zero column of
   W with a zero row of G is stationary, and descent alone would not leave it. The certificate, not the gradient norm, decides
   when to stop.

For d < K - 1 the problem is not convex; the lower bound is still valid, and the status says what is certified. Where the
minimum of label smoothing or squared error lies inside a large budget, the search on the sphere ends with status ``OPEN``.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ufm._arrays import Floats
from ufm.certify.primal_dual import Bounds, bounds
from ufm.problem.problem import Problem
from ufm.solvers.base import check_fit
from ufm.solvers.convex.newton_cg import Frame, newton_step
from ufm.solvers.solution import Solution, Stats, check_options, conclude
from ufm.spectral.blocks import MAX_DENSE
from ufm.spectral.program import Evaluation, Factors, LogitProgram, Point

ONE_THREAD = 256
"""Largest K for which linear algebra runs on one thread."""


@dataclass(frozen=True, kw_only=True)
class Factored:
    """L-BFGS, then Newton-CG, on the factors.

    Parameters
    ----------
    tolerance : float
        Certified relative gap that counts as solved.
    max_iterations : int
        Largest number of Newton steps.
    starts : int
        Starts where ``dim < K - 1`` (one is structured, the others random); wide models need only one.
    random_state : int
        Seed of the random starts.
    """

    tolerance: float = 1e-10
    max_iterations: int = 60
    starts: int = 10
    random_state: int = 0
    name = "factored"

    def __post_init__(self) -> None:
        check_options(self.tolerance, max_iterations=self.max_iterations, starts=self.starts, random_state=self.random_state)

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        program = problem.program()
        if not program.penalty.nuclear:
            return f"it needs a multiple of the nuclear norm or a bound on it, and the head is {problem.head}"
        if program.classes > MAX_DENSE // 4:
            return f"it writes out K x K logits, and K={program.classes} is too large"
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Solve on the full K x K program.

        Raises
        ------
        InputError
            The problem does not fit.
        """
        start = perf_counter()
        check_fit(self, problem)
        program = problem.program().split()
        work = _Descent(program, problem.width, problem.wide)
        best = work.run(work.structured(), self.tolerance, self.max_iterations)
        if best[1].upper - best[1].lower > self.tolerance * best[1].upper and not problem.wide:
            rng = np.random.default_rng(self.random_state)
            wide = _Descent(program, program.classes, True)
            lower = wide.run(wide.structured(), self.tolerance, self.max_iterations)[1]
            work.evaluations += wide.evaluations
            work.iterations += wide.iterations
            for _ in range(1, self.starts):
                found = work.run(work.random(rng), self.tolerance, self.max_iterations)
                if found[1].upper < best[1].upper:
                    best = found
            if lower.lower > best[1].lower:
                best = best[0], best[1]._replace(lower=lower.lower, slopes=lower.slopes)
        stats = Stats(work.iterations, work.evaluations, perf_counter() - start)
        return conclude(problem, self.name, program, *best, stats, self.tolerance)


class _Descent:
    """The factored objective of one program at one width, counting its evaluations.

    A vector theta holds W, G and, where there is one, the bias; its length gives the current rank.
    """

    def __init__(self, program: LogitProgram, width: int, wide: bool) -> None:
        self.program, self.wide = program, wide
        self.classes = program.groups
        self.width = min(width, max(self.classes - 1, 1) if program.loss.shift_invariant else self.classes)
        self.biased = program.bias_decay is not None
        self.radius = program.penalty.radius if program.penalty.ball else None
        self.mu = 0.0 if program.penalty.ball else program.penalty.strength
        self.evaluations = self.iterations = 0

    # Starts

    def structured(self) -> Floats:
        """Columns of a simplex ETF, each with its optimal height on balanced classes of that size.

        Where d < K - 1 they are projected onto a random subspace.
        """
        program, classes = self.program, self.classes
        if not program.loss.shift_invariant:
            heights = np.ones(classes)
        elif self.radius is not None:
            heights = np.full(classes, self.radius / (classes - 1.0))
        else:
            reach = program.share / (program.scale * self.mu)
            heights = np.log(np.maximum(classes * reach - (classes - 1.0), 1.0 + 1e-3))
        core = (np.eye(classes) - 1.0 / classes) * (heights * program.scale)
        if not self.wide:
            frame = np.linalg.qr(np.random.default_rng(0).standard_normal((classes, self.width)))[0]
            core = frame @ (frame.T @ core)
        return self.balanced(core, np.zeros(classes))

    def random(self, rng: np.random.Generator) -> Floats:
        """Gaussian factors of the size of the structured ones."""
        like = self.structured()
        theta = rng.standard_normal(len(like))
        if self.biased:
            theta[-self.classes :] = 0.0
        return theta * (np.linalg.norm(like) / np.linalg.norm(theta))

    def balanced(self, core: Floats, bias: Floats) -> Floats:
        """theta with ``W'W = G G'`` diagonal and ``W G = core`` cut to the width."""
        u, sigma, vt = np.linalg.svd(core)
        return self.pack(u, sigma, vt, bias)

    def pack(self, u: Floats, sigma: Floats, vt: Floats, bias: Floats) -> Floats:
        """theta of the nonzero singular values, the width at the most."""
        rank = min(self.width, int(np.count_nonzero(sigma)))
        root = np.sqrt(sigma[:rank])
        parts = [(u[:, :rank] * root).ravel(), (root[:, None] * vt[:rank]).ravel()]
        if self.biased:
            parts.append(bias)
        return np.concatenate(parts)

    # Views

    def unpack(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """W (K, r), G (r, K) and the bias (K,) of theta."""
        size = (len(theta) - self.biased * self.classes) // 2
        left = theta[:size].reshape(self.classes, -1)
        right = theta[size : 2 * size].reshape(-1, self.classes)
        return left, right, theta[2 * size :] if self.biased else np.zeros(self.classes)

    def evaluate(self, theta: Floats) -> Evaluation:
        """Smooth part at ``W G``."""
        self.evaluations += 1
        left, right, bias = self.unpack(theta)
        return self.program.smooth(Point(np.zeros(self.classes), left @ right, bias))

    def gradient(self, theta: Floats, at: Evaluation) -> Floats:
        """Gradient of the smooth part by theta."""
        left, right, _ = self.unpack(theta)
        parts = [(at.gradient.core @ right.T).ravel(), (left.T @ at.gradient.core).ravel()]
        if self.biased:
            parts.append(at.gradient.bias)
        return np.concatenate(parts)

    def decay(self, theta: Floats) -> Floats:
        """theta with its bias, which the penalty does not act on, set to zero."""
        if not self.biased:
            return theta
        seen = theta.copy()
        seen[-self.classes :] = 0.0
        return seen

    # Phases

    def run(self, theta: Floats, tolerance: float, max_iterations: int) -> tuple[Factors, Bounds]:
        """Both phases from one start; small problems run on one thread, where more threads would be slower."""
        import scipy.optimize  # noqa: F401  (its threads must exist before they can be limited)
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1 if self.classes <= ONE_THREAD else None):
            return self._run(theta, tolerance, max_iterations)

    def _run(self, theta: Floats, tolerance: float, max_iterations: int) -> tuple[Factors, Bounds]:
        left, right, bias = self.unpack(self.first_order(theta))
        best: tuple[Factors, Bounds] | None = None
        idle = 0
        for _ in range(max_iterations):
            step = newton_step(self.program, self.regrouped(left, right, bias))
            left, right, bias = step.left, step.right, step.bias
            self.evaluations += step.evaluations
            self.iterations += 1
            factors = Factors(np.zeros(self.classes), left, right / self.program.scale, bias)
            found = bounds(self.program, factors)
            if best is None or found.upper - found.lower < best[1].upper - best[1].lower:
                improved = best is None or found.upper - found.lower < 0.7 * (best[1].upper - best[1].lower)
                idle = 0 if improved else idle + 1
                best = factors, found
            else:
                idle += 1
            if found.upper - found.lower <= 0.1 * tolerance * found.upper or idle >= 6 or not step.moved:
                break
        assert best is not None
        return best

    def regrouped(self, left: Floats, right: Floats, bias: Floats) -> Frame:
        """Balanced factors; in wide models after a proximal-gradient step, which chooses the singular values to keep."""
        core = left @ right
        if self.wide:
            self.evaluations += 1
            at = self.program.smooth(Point(np.zeros(self.classes), core, bias))
            # The longest step that the local curvature allows: it does not shrink with the gradient.
            size = max(float(np.abs(core).max()), float(self.program.scale.max()))
            step = (0.5 if self.biased else 1.0) / max(self.program.curvature(at), self.mu / size)
            u, shadow, vt = np.linalg.svd(core - step * at.gradient.core)
            ones = np.ones(self.classes)
            sigma, _ = self.program.penalty.prox(shadow, ones, step * ones)
        else:
            u, sigma, vt = np.linalg.svd(core)
        rank = min(self.width, int(np.count_nonzero(sigma > 1e-14 * sigma[0])))
        sigma = sigma[:rank]
        if self.radius is not None:
            sigma = sigma * (self.radius / sigma.sum())
        return Frame(u, sigma, vt, bias)

    def first_order(self, theta: Floats) -> Floats:
        """L-BFGS to a moderate accuracy, on the objective over its first value (its stopping rules are not scale-free)."""
        from scipy.optimize import minimize

        radius, mu = self.radius, self.mu
        unit = max(self.evaluate(self.on_sphere(theta)).value, 1e-250)

        def objective(theta: Floats) -> tuple[float, Floats]:
            if radius is None:
                at = self.evaluate(theta)
                seen = self.decay(theta)
                value = at.value + 0.5 * mu * float(seen @ seen)
                return value / unit, (self.gradient(theta, at) + mu * seen) / unit
            size = float(theta @ theta)
            scaled = theta * np.sqrt(2.0 * radius / size)
            at = self.evaluate(scaled)
            slope = self.gradient(scaled, at)
            slope -= scaled * (float(scaled @ slope) / (2.0 * radius))
            return at.value / unit, slope * (np.sqrt(2.0 * radius / size) / unit)

        options = {"maxiter": 300, "maxfun": 400, "maxcor": 12, "ftol": 1e-9, "gtol": 0.0}
        with np.errstate(over="ignore"):
            found = minimize(objective, theta, jac=True, method="L-BFGS-B", options=options)
        self.iterations += int(found.nit)
        return self.on_sphere(found.x)

    def on_sphere(self, theta: Floats) -> Floats:
        """theta, under budgets scaled onto the sphere."""
        return theta if self.radius is None else theta * np.sqrt(2.0 * self.radius / float(theta @ theta))
