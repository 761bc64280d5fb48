r"""Exact reduction by equal class sizes, solved by a second-order method to machine accuracy.

The unknowns are one contrast per group and the G x G core (four scalars for step imbalance), whatever K and N. The
method alternates a proximal-gradient step, which finds the active singular values, with a Newton step on the smooth
manifold of matrices of that rank (Bareilles, Iutzeler & Malick, *Newton acceleration on manifolds identified by proximal
gradient methods*, Math. Program. 2023). The curvature of the nuclear norm there is that of its proximal map: divided
differences of soft-thresholding, separately for symmetric and antisymmetric directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.certify.primal_dual import Bounds, bounds
from ufm.problem.problem import Problem
from ufm.solvers.base import check_fit
from ufm.solvers.convex.proximal_steps import Iterate, ProximalSteps
from ufm.solvers.solution import Solution, Stats, check_options, conclude
from ufm.spectral.program import Factors, LogitProgram, Point

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
    same optimum (Proposition 3.1). Contrasts are not negative (Proposition 3.4).
    """

    tolerance: float = 1e-11
    max_iterations: int = 200
    name = "symmetric"

    def __post_init__(self) -> None:
        check_options(self.tolerance, max_iterations=self.max_iterations)

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        program = problem.program()
        if not program.penalty.nuclear:
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
        factors, found, iterations, evaluations = minimise(program, 0.01 * self.tolerance, self.max_iterations)
        stats = Stats(iterations, evaluations, perf_counter() - start)
        return conclude(problem, self.name, program, factors, found, stats, self.tolerance)


def minimise(program: LogitProgram, tolerance: float, max_iterations: int) -> tuple[Factors, Bounds, int, int]:
    """Minimise a convex program in block form.

    Steps that overflow float64 give values that are not finite, and are rejected.

    Parameters
    ----------
    program : LogitProgram, with a nuclear penalty
    tolerance : float, relative gap at which the iteration stops
    max_iterations : int, Newton steps at most

    Returns
    -------
    Factors, Bounds
        The point of the smallest certified gap, and its bounds.
    int, int
        Newton steps, and evaluations of the smooth part.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _minimise(program, tolerance, max_iterations)


def _minimise(program: LogitProgram, tolerance: float, max_iterations: int) -> tuple[Factors, Bounds, int, int]:
    newton = _Newton(program)
    now = newton.prox_step(newton.start())
    evaluations, idle = 1, 0
    best: tuple[Factors, Bounds] | None = None
    damping, calm = 0.0, False
    for iteration in range(1, max_iterations + 1):
        found = None
        while found is None:
            direction = newton.direction(now, damping)
            full, noise = (1.0, 4e-15 * abs(now.value)) if calm else newton.reach(now, direction)
            for step in (full, 0.5 * full, 0.1 * full):
                trial = newton.prox_step(_along(now, direction, step), 0.1 * now.slope)
                evaluations += 1
                if trial.value <= now.value + noise:
                    found = trial
                    break
            else:
                calm = False
                # Shorter and closer to the gradient, up to the plain proximal-gradient step, which cannot fail.
                damping = max(100.0 * damping, 1e-14)
                if damping > 1e2:
                    found, tried = newton.shortened(now)
                    evaluations += tried
        damping = 0.01 * damping if damping > 1e-13 else 0.0
        progress = (now.value - found.value) / max(abs(now.value), 1e-300)
        now, calm = found, 0.0 <= progress < 1e-3
        # The gap is some ten times the progress that is left: a certificate pays from here on.
        if progress > 1e-14 and iteration < max_iterations:
            continue
        factors = newton.factors(now)
        certified = bounds(program, factors)
        gap = certified.upper - certified.lower
        previous = np.inf if best is None else best[1].upper - best[1].lower
        idle = 0 if gap < 0.5 * previous else idle + 1
        if best is None or gap < previous or not np.isfinite(previous):
            best = factors, certified
        # Near rounding a step that gains nothing, or does not halve the gap, is the last.
        near = gap <= 1e-12 * certified.upper
        still = near and abs(progress) <= 1e-15
        if gap <= tolerance * certified.upper or still or idle >= (1 if near else 2 if gap <= 1e-11 * certified.upper else 25):
            break
    assert best is not None
    return best[0], best[1], iteration, evaluations


class _Newton(ProximalSteps):
    """Proximal and Newton steps of one program; holds the arrays that do not change between steps."""

    def __init__(self, program: LogitProgram) -> None:
        super().__init__(program)
        # Relative to the own logit, which changes no curvature and saves it from cancellation where the loss is tiny.
        self.spread = program.coordinates()
        if program.loss.shift_invariant:
            self.spread -= self.spread[-1]
        self.tangents: dict[int, tuple[NDArray[np.intp], Floats]] = {}

    def start(self) -> Point:
        """Start: simplex-ETF columns, each with the height that is optimal on balanced classes of its size.

        See docs/theory, Proposition 3.5.
        """
        program = self.program
        m, classes = program.multiplicity, program.classes
        if not program.loss.shift_invariant:
            heights = np.ones(len(m))
        elif not program.penalty.ball:
            temperature = program.loss.temperature
            reach = temperature * program.share / (program.scale * program.penalty.strength)
            heights = np.log(np.maximum(classes * reach - (classes - 1.0), 1.0)) / temperature
        else:
            heights = _shared_heights(m, program.share, program.penalty.radius)
        # Collapsed groups still separate from the others, so between groups all columns get the mean height.
        common = np.full(len(m), float(m @ heights) / classes)
        blocks = np.diag(common / m) - common / classes
        contrast = np.where(self.alive, heights * program.scale, 0.0)
        core = program.core(blocks)
        if program.penalty.ball and program.loss.shift_invariant:
            # On the sphere, where the optimum is.
            norm = float(program.contrast_counts @ contrast + np.linalg.svd(core, compute_uv=False).sum())
            contrast, core = contrast * (program.penalty.radius / norm), core * (program.penalty.radius / norm)
        return Point(contrast, core, np.zeros(self.groups))

    def reach(self, now: Iterate, direction: Point) -> tuple[float, float]:
        """Largest step along a direction, and the rounding error of the objective's value.

        Logits may move by 20 nats or half their size: beyond that the quadratic model of exponentials is useless. Absolute
        rounding errors of logits are relative errors of the loss.
        """
        size, moved = self.program.logit_size(now.point), self.program.logit_size(direction)
        return min(1.0, max(20.0, 0.5 * size) / max(moved, 1e-300)), 4e-16 * (4.0 + size) * abs(now.value)

    def tangent(self, rank: int) -> tuple[NDArray[np.intp], Floats]:
        """Indices of the entries of D that a rank-r manifold leaves free, and which of them are active singular values."""
        if rank not in self.tangents:
            row, column = np.divmod(np.arange(self.groups**2), self.groups)
            kept = np.flatnonzero((row < rank) | (column < rank))
            diagonal = ((row == column) & (row < rank))[kept].astype(np.float64)
            self.tangents[rank] = kept, diagonal
        return self.tangents[rank]

    def direction(self, now: Iterate, damping: float = 0.0) -> Point:
        """Newton direction of loss plus penalty within the active manifold.

        ``damping`` adds that multiple of the block-wise Lipschitz constants to the Hessian (Levenberg-Marquardt).
        """
        g, program = self.groups, self.program
        rank = int(np.count_nonzero(now.sigma))
        kept, diagonal = self.tangent(rank)
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


def _shared_heights(multiplicity: Floats, share: Floats, radius: float) -> Floats:
    """Heights ``log(K pi_g / mu - (K - 1))`` with the multiplier mu that makes the nuclear norm about the radius."""
    classes = float(multiplicity.sum())
    target = radius * classes / (classes - 1.0)
    uniform = np.full(len(share), target / classes)
    if target / classes > 500.0:
        return uniform
    level = np.log(float(multiplicity @ share) / classes) - np.log1p(np.expm1(target / classes) / classes)
    heights = uniform
    for _ in range(4):
        odds = np.exp(np.minimum(np.log(share) - level, 600.0)) * classes
        heights = np.log1p(np.maximum(odds - classes, 0.0))
        slope = float(multiplicity @ np.where(odds > classes, odds / (odds - classes + 1.0), 0.0))
        level += (float(multiplicity @ heights) - target) / max(slope, 1e-300)
    return heights if 0.5 * target < float(multiplicity @ heights) < 2.0 * target else uniform


def _curvature(now: Iterate, rank: int, step: float) -> Floats:
    """(G^2, G^2) second derivative of the penalty's Lagrangian on the rank-r manifold, in the singular basis.

    Symmetric and antisymmetric parts of the pair (i, j) have curvature ``(1 / omega - 1) / step`` with ``omega`` the
    divided differences (sigma_i -+ sigma_j) / (shadow_i -+ shadow_j) of the threshold: 0 and ``2 m / (sigma_i + sigma_j)``
    where both are active with multiplier m, ``(m -+ gamma_j) / sigma_i`` where j is inactive with slope ``gamma_j``.
    """
    g = len(now.shadow)
    sigma, gamma = now.sigma, np.minimum(now.shadow / step, now.multiplier)
    gamma[:rank] = now.multiplier
    size = sigma[:, None] + sigma
    size[rank:, rank:] = np.inf
    total, difference = gamma[:, None] + gamma, np.abs(gamma[:, None] - gamma)
    symmetric, antisymmetric = difference / size, total / size
    mean, half = 0.5 * (symmetric + antisymmetric), 0.5 * (symmetric - antisymmetric)
    mean.flat[:: g + 1] = half.flat[:: g + 1] = 0.0
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


def _along(now: Iterate, direction: Point, step: float) -> Point:
    """The point moved along a direction; singular values and contrasts that would turn negative stop at zero."""
    point, rank = now.point, int(np.count_nonzero(now.sigma))
    u, vt = now.u[:, :rank], now.vt[:rank]
    deficit = np.minimum(now.sigma[:rank] + step * np.einsum("ji,jk,ik->i", u, direction.core, vt), 0.0)
    core = point.core + step * direction.core
    if deficit.any():
        core -= (u * deficit) @ vt
    contrast = np.maximum(point.contrast + step * direction.contrast, 0.0)
    return Point(contrast, core, point.bias + step * direction.bias)
