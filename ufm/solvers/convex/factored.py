r"""Any class sizes and any width.

For d >= K - 1 the program is convex, and is solved in block form (docs/theory, Propositions 3.1 and 3.2): Newton steps on the
manifold of active singular values (`manifold`), with directions by conjugate gradients (`block_newton`). The cost depends on
the number of distinct class sizes, not on the number of classes.

For d < K - 1 it is not convex, and an optimum may break the symmetry among classes of equal size. The lower bound is still
valid, and the status says what is certified. The search is a descent on the factors W and G = H S of the K x K logits
(Proposition 1.3). The variables are W (K x d) and G (d x K) in balanced scaling, ``min f(W G) + mu/2 (|W|^2 + |G|^2)`` for
decay and ``min f(W G)`` on the sphere ``|W|^2 + |G|^2 = 2 radius`` for budgets, where the same mu is the multiplier: L-BFGS
from one structured start and from seeded random ones, then Newton steps by preconditioned conjugate gradients, matrix-free,
with negative curvature followed where it is met. The certificate, not the gradient norm, decides when to stop. Where the
minimum of label smoothing or squared error lies inside a large budget, the search on the sphere ends with status ``OPEN``.

Features of a fixed norm have their own search, on products of spheres (`ufm.solvers.convex.normalised`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from ufm._arrays import Floats
from ufm.certify.normalised import NormalisedBounds, cosine_bounds, normalised_bounds
from ufm.certify.primal_dual import Bounds, bounds
from ufm.problem.problem import Problem
from ufm.solvers.base import check_fit
from ufm.solvers.convex.block_newton import BlockNewton
from ufm.solvers.convex.manifold import minimise
from ufm.solvers.convex.newton_cg import Frame, newton_step
from ufm.solvers.convex.normalised import CosineModel, SphereModel, minimise_on_spheres
from ufm.solvers.normalised import conclude_normalised
from ufm.solvers.solution import Solution, Stats, check_options, conclude
from ufm.spectral.blocks import MAX_DENSE
from ufm.spectral.program import Evaluation, Factors, LogitProgram, Point

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

ONE_THREAD = 256
"""Largest size of matrices for which linear algebra runs on one thread, where more threads would be slower."""


@dataclass(frozen=True, kw_only=True)
class Factored:
    """Newton steps by conjugate gradients, in block form; for narrow models on the factors.

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
    max_iterations: int = 200
    starts: int = 10
    random_state: int = 0
    name = "factored"

    def __post_init__(self) -> None:
        check_options(self.tolerance, max_iterations=self.max_iterations, starts=self.starts, random_state=self.random_state)

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        program = problem.program()
        if not program.loss.convex:
            return f"it needs a convex loss, and the loss is {problem.loss}"
        if not (program.penalty.nuclear or program.penalty.feature_norms):
            return f"it needs a multiple of the nuclear norm or a bound on it, and the head is {problem.head}"
        if program.groups > MAX_DENSE // 4:
            return f"it writes out G x G blocks, and there are {program.groups} distinct class sizes"
        if not problem.wide and program.classes > MAX_DENSE // 4:
            return f"it writes out K x K logits where dim < {problem.needed}, and K={program.classes} is too large"
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Solve in block form, or where ``dim < K - 1`` on the full K x K program.

        Raises
        ------
        InputError
            The problem does not fit.
        """
        start = perf_counter()
        check_fit(self, problem)
        program = problem.program()
        size = program.groups if problem.wide else program.classes
        with _threads().limit(limits=1 if size <= ONE_THREAD else None):
            if program.penalty.feature_norms:
                reached, proved, model = self._normalised(problem, program)
                stats = Stats(model.iterations, model.evaluations, perf_counter() - start)
                return conclude_normalised(problem, self.name, reached, proved, stats, self.tolerance)
            factors, found, iterations, evaluations = minimise(BlockNewton(program), self.tolerance, self.max_iterations)
            if not problem.wide:
                slopes = split_slopes(program, found.slopes)
                program = program.split()
                work = _Descent(program, problem.width)
                factors, reached = self._narrow(work)
                if found.lower > reached.lower:
                    reached = reached._replace(lower=found.lower, slopes=slopes)
                found, iterations, evaluations = reached, iterations + work.iterations, evaluations + work.evaluations
        stats = Stats(iterations, evaluations, perf_counter() - start)
        return conclude(problem, self.name, program, factors, found, stats, self.tolerance)

    def _normalised(self, problem: Problem, program: LogitProgram) -> tuple[Factors, NormalisedBounds, SphereModel]:
        """Features of a fixed norm: in block form, and where ``dim`` is small on the K x K program from several starts."""
        model = SphereModel.full(program)
        factors, found, _ = minimise_on_spheres(model, model.start(), 0.1 * self.tolerance, self.max_iterations)
        if problem.wide:
            return factors, found, model
        group = np.repeat([g for g, _ in program.runs], [c for _, c in program.runs])
        whole, slopes = program.split(), split_slopes(program, found.slopes)
        cosines = whole.penalty.row_norms
        narrow = (CosineModel if cosines else SphereModel)(whole, problem.width)
        rng, best = np.random.default_rng(self.random_state), None
        for i in range(self.starts):
            start = narrow.start(rng if i else None)
            *_, point = minimise_on_spheres(narrow, start, 0.1 * self.tolerance, self.max_iterations)
            exact = narrow.exact(point)
            # The weights of the wide model prove the lower bound; the upper one is that of the parameters themselves.
            columns = found.program.scale[group] ** 2
            if cosines:
                rows = found.program.rows[group]  # type: ignore[attr-defined]
                reached, exact = cosine_bounds(whole, exact, columns, rows, slopes)
            else:
                reached = normalised_bounds(whole, exact, columns, slopes)
            if best is None or reached.upper < best[1].upper:
                best = exact, reached
        assert best is not None
        narrow.iterations, narrow.evaluations = narrow.iterations + model.iterations, narrow.evaluations + model.evaluations
        return *best, narrow

    def _narrow(self, work: _Descent) -> tuple[Factors, Bounds]:
        """The best point of several starts; the first is enough where its gap is closed."""
        best = work.run(work.structured(), self.tolerance, self.max_iterations)
        if best[1].upper - best[1].lower > self.tolerance * best[1].upper:
            rng = np.random.default_rng(self.random_state)
            for _ in range(1, self.starts):
                other = work.run(work.random(rng), self.tolerance, self.max_iterations)
                if other[1].upper < best[1].upper:
                    best = other
        return best


@cache
def _threads() -> ThreadpoolController:
    """The thread pools of linear algebra, found once: looking for them takes longer than a small problem."""
    import scipy.linalg
    import scipy.optimize  # noqa: F401  (its threads must exist before they can be limited)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def split_slopes(program: LogitProgram, slopes: Floats) -> Floats:
    """Slopes of a grouped program, (G + 1, G), as those of its split program, (K + 1, K)."""
    group = np.repeat([g for g, _ in program.runs], [c for _, c in program.runs])
    others = slopes[np.ix_(group, group)]
    np.fill_diagonal(others, 0.0)
    return np.concatenate([others, slopes[-1, group][None]])


class _Descent:
    """The factored objective of one program at one width, counting its evaluations.

    A vector theta holds W, G and, where there is one, the bias; its length gives the current rank.
    """

    def __init__(self, program: LogitProgram, width: int) -> None:
        self.program = program
        self.classes = program.groups
        self.width = min(width, max(self.classes - 1, 1) if program.loss.shift_invariant else self.classes)
        self.biased = program.bias_decay is not None
        self.radius = program.penalty.radius if program.penalty.ball else None
        self.mu = 0.0 if program.penalty.ball else program.penalty.strength
        self.evaluations = self.iterations = 0

    # Starts

    def structured(self) -> Floats:
        """Columns of a simplex ETF, each with its optimal height on balanced classes of that size, in a random subspace."""
        program, classes = self.program, self.classes
        if not program.loss.shift_invariant:
            heights = np.ones(classes)
        elif self.radius is not None:
            heights = np.full(classes, self.radius / (classes - 1.0))
        else:
            reach = program.share / (program.scale * self.mu)
            heights = np.log(np.maximum(classes * reach - (classes - 1.0), 1.0 + 1e-3))
        core = (np.eye(classes) - 1.0 / classes) * (heights * program.scale)
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
        """Both phases from one start."""
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
        """Balanced factors."""
        u, sigma, vt = np.linalg.svd(left @ right)
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
