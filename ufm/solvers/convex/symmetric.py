r"""Exact reduction by equal class sizes, solved by a second-order method to machine accuracy.

The unknowns are one contrast per group and the G x G core (four scalars for step imbalance), whatever K and N; the Newton
system on the active manifold (`manifold`) is written out.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.problem.problem import Problem
from ufm.solvers.base import check_fit
from ufm.solvers.convex.manifold import ManifoldNewton, curvatures, minimise
from ufm.solvers.convex.proximal_steps import Iterate
from ufm.solvers.solution import Solution, Stats, check_options, conclude
from ufm.spectral.program import LogitProgram, Point

MAX_GROUPS = 12
"""Largest number of distinct class sizes: above it the dense Newton system is large, and `Factored` is used."""


@dataclass(frozen=True, kw_only=True)
class Symmetric:
    """Newton on the active manifold of the reduced program.

    Parameters
    ----------
    tolerance : float
        Certified relative gap that counts as solved; the iteration stops at a hundredth of it.
    max_iterations : int
        Largest number of Newton steps.

    Notes
    -----
    Needs a multiple of the nuclear norm or a ball of it, and few distinct class sizes. The optimum is then unique up to column
    shifts (docs/theory, Proposition 1.4), hence invariant under permutations of equal classes, and the reduced program has the
    same optimum (Proposition 3.1). Contrasts are not negative (Proposition 3.4). Features of a fixed norm are another such case
    (Proposition 12.6), solved on the factors (`ufm.solvers.convex.normalised`).
    """

    tolerance: float = 1e-11
    max_iterations: int = 200
    name = "symmetric"

    def __post_init__(self) -> None:
        check_options(self.tolerance, max_iterations=self.max_iterations)

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        program = problem.program()
        if not program.loss.convex:
            return f"it needs a convex loss, and the loss is {problem.loss}"
        if not (program.penalty.nuclear or program.penalty.feature_norms):
            return f"it needs a multiple of the nuclear norm or a bound on it, and the head is {problem.head}"
        if not problem.wide:
            return f"it assumes dim >= {problem.needed}, and dim is {problem.dim}"
        if program.groups > MAX_GROUPS:
            return f"it needs at most {MAX_GROUPS} distinct class sizes, and there are {program.groups}"
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Solve for the logits; the width d only has to be large enough.

        Raises
        ------
        InputError
            The problem does not fit.
        """
        start = perf_counter()
        check_fit(self, problem)
        program = problem.program()
        if program.penalty.feature_norms:
            from ufm.solvers.convex.normalised import SphereModel, minimise_on_spheres
            from ufm.solvers.normalised import conclude_normalised

            model = SphereModel.full(program)
            reached, bounds, _ = minimise_on_spheres(model, model.start(), 0.01 * self.tolerance, self.max_iterations)
            stats = Stats(model.iterations, model.evaluations, perf_counter() - start)
            return conclude_normalised(problem, self.name, reached, bounds, stats, self.tolerance)
        factors, found, iterations, evaluations = minimise(DenseNewton(program), 0.01 * self.tolerance, self.max_iterations)
        stats = Stats(iterations, evaluations, perf_counter() - start)
        return conclude(problem, self.name, program, factors, found, stats, self.tolerance)


class DenseNewton(ManifoldNewton):
    """Newton directions by dense linear algebra; holds the arrays that do not change between steps."""

    def __init__(self, program: LogitProgram) -> None:
        super().__init__(program)
        # Relative to the own logit, which changes no curvature and saves it from cancellation where the loss is tiny.
        self.spread = program.coordinates()
        if program.loss.shift_invariant:
            self.spread -= self.spread[-1]
        self.tangents: dict[int, tuple[NDArray[np.intp], Floats]] = {}

    def start(self) -> Point:
        """Contrasts of their own heights; collapsed groups still separate, so between groups all columns get the mean."""
        heights = self.heights()
        common = float(self.program.multiplicity @ heights) / self.program.classes
        return self.etf(heights, np.full(self.groups, common))

    def _tangent(self, rank: int) -> tuple[NDArray[np.intp], Floats]:
        """Indices of the entries of D that a rank-r manifold leaves free, and which of them are active singular values."""
        if rank not in self.tangents:
            row, column = np.divmod(np.arange(self.groups**2), self.groups)
            kept = np.flatnonzero((row < rank) | (column < rank))
            diagonal = ((row == column) & (row < rank))[kept].astype(np.float64)
            self.tangents[rank] = kept, diagonal
        return self.tangents[rank]

    def direction(self, now: Iterate, damping: float, progress: float) -> Point:
        """Solution of the dense Newton system."""
        g, program = self.groups, self.program
        rank = int(np.count_nonzero(now.sigma))
        kept, diagonal = self._tangent(rank)
        # vec(U D V') = rotate vec(D), row-major: the Kronecker product of U and V
        rotate = (now.u[:, None, :, None] * now.vt.T[None, :, None, :]).reshape(g * g, g * g)
        basis = rotate[:, kept]
        live = np.flatnonzero(now.point.contrast > 0)
        parts = [self.spread[..., live], self.spread[..., g : g + g * g] @ basis]
        slope = now.smooth.gradient
        normals = [program.contrast_counts[live], diagonal]
        slopes = [slope.contrast[live], (slope.core.ravel() @ basis)]
        if self.biased:
            parts.append(self.spread[..., g + g * g :])
            normals.append(np.zeros(g))
            slopes.append(slope.bias)
        spread = np.concatenate(parts, axis=-1)
        across = np.concatenate(normals)
        force = -(np.concatenate(slopes) + now.multiplier * across)
        size = spread.shape[-1]
        if size == 0:
            return program.zero()
        weighted = (now.smooth.diagonal[..., None] * spread).reshape(-1, size)
        hessian = spread.reshape(-1, size).T @ weighted
        means = np.einsum("ij,ijn->jn", now.smooth.rank_one, spread)
        hessian -= means.T @ means
        middle = slice(len(live), len(live) + basis.shape[1])
        hessian[middle, middle] += _curvature(now, rank, self.smallest / now.slope)[kept[:, None], kept]
        if self.biased:
            tail = np.arange(size - g, size)
            hessian[tail, tail] += program.bias_decay or 0.0
            hessian[size - g :, size - g :] += (np.trace(hessian[size - g :, size - g :]) / g) * np.outer(self.q, self.q)
        if damping:
            sizes = [program.contrast_counts[live] * now.slope, np.full(basis.shape[1], now.slope / self.smallest)]
            if self.biased:
                sizes.append(np.full(g, 1.0 / self.smallest))
            hessian.flat[:: size + 1] += damping * np.concatenate(sizes)
        if program.penalty.ball and now.multiplier > 0:
            solution = _solve(hessian, np.stack([force, across], axis=1))
            along = across @ solution
            solution = solution[:, 0] - solution[:, 1] * (along[0] / along[1] if along[1] else 0.0)
        else:
            solution = _solve(hessian, force)
        contrast = np.zeros(g)
        contrast[live] = solution[: len(live)]
        core = self.centred((basis @ solution[middle]).reshape(g, g))
        bias = self.centred(solution[middle.stop :]) if self.biased else np.zeros(g)
        return Point(contrast, core, bias)


def _curvature(now: Iterate, rank: int, step: float) -> Floats:
    """(G^2, G^2) second derivative of the penalty's Lagrangian on the rank-r manifold, in the singular basis."""
    g = len(now.shadow)
    symmetric, antisymmetric = curvatures(now, rank, step)
    mean, half = 0.5 * (symmetric + antisymmetric), 0.5 * (symmetric - antisymmetric)
    result = np.zeros((g * g, g * g))
    index = np.arange(g * g)
    result[index, index] = mean.ravel()
    result[index, index.reshape(g, g).T.ravel()] += half.ravel()
    return result


def _solve(matrix: Floats, right: Floats) -> Floats:
    """Solution of a positive semidefinite system, scaled to unit diagonal."""
    diagonal = np.diag(matrix)
    scale = 1.0 / np.sqrt(np.maximum(diagonal, 1e-200 + 1e-30 * diagonal.max(initial=0.0)))
    scaled = matrix * scale[:, None] * scale
    scaled.flat[:: len(scaled) + 1] += 1e-15
    weights = scale if right.ndim == 1 else scale[:, None]
    try:
        return weights * np.linalg.solve(scaled, weights * right)
    except np.linalg.LinAlgError:
        return weights * np.linalg.lstsq(scaled, weights * right)[0]
