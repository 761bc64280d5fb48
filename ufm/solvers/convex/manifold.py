r"""Newton's method on the manifold of active singular values, for programs with a nuclear penalty in block form.

A proximal-gradient step, which finds the active singular values and contrasts, alternates with a Newton step on the smooth
manifold of matrices of that rank (Bareilles, Iutzeler & Malick, *Newton acceleration on manifolds identified by proximal
gradient methods*, Math. Program. 2023). The curvature of the nuclear norm there is that of its proximal map: divided
differences of soft-thresholding, separately for symmetric and antisymmetric directions. `Symmetric` and `Factored` differ in
how they solve for the direction.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ufm._arrays import Floats
from ufm.certify.primal_dual import Bounds, bounds
from ufm.solvers.convex.proximal_steps import Iterate, ProximalSteps
from ufm.spectral.program import Factors, Point


class ManifoldNewton(ProximalSteps):
    """Proximal and Newton steps of one program.

    Attributes
    ----------
    least_damping : float, first damping after a Newton step that does not descend
    """

    least_damping = 1e-14

    @abstractmethod
    def start(self) -> Point:
        """The first point."""

    @abstractmethod
    def direction(self, now: Iterate, damping: float, progress: float) -> Point:
        """Newton direction of loss plus penalty within the active manifold.

        Parameters
        ----------
        now : Iterate
        damping : float
            Adds that multiple of the block-wise Lipschitz constants to the Hessian (Levenberg-Marquardt).
        progress : float, by how much the last step has lowered the value, relative to it

        Returns
        -------
        Point
        """

    def heights(self) -> Floats:
        """(G,) heights of simplex-ETF columns, each optimal on balanced classes of its size (docs/theory, Proposition 3.5)."""
        program = self.program
        m, classes = program.multiplicity, program.classes
        if not program.loss.shift_invariant:
            return np.ones(len(m))
        if program.penalty.ball:
            return _shared_heights(m, program.share, program.penalty.radius)
        temperature = program.loss.temperature
        reach = temperature * program.share / (program.scale * program.penalty.strength)
        return np.log(np.maximum(classes * reach - (classes - 1.0), 1.0)) / temperature

    def etf(self, heights: Floats, columns: Floats) -> Point:
        """Simplex-ETF columns: contrasts of the given heights, and between groups columns of other heights.

        Parameters
        ----------
        heights : (G,) float64, of the contrasts
        columns : (G,) float64, of the core's columns

        Returns
        -------
        Point
            Under a budget scaled onto the sphere, where the optimum is.
        """
        program = self.program
        core = program.core(np.diag(columns / program.multiplicity) - columns / program.classes)
        contrast = np.where(self.alive, heights * program.scale, 0.0)
        if program.penalty.ball and program.loss.shift_invariant:
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


def curvatures(now: Iterate, rank: int, step: float) -> tuple[Floats, Floats]:
    """Second derivatives of the penalty's Lagrangian on the rank-r manifold, in the singular basis.

    They are ``(1 / omega - 1) / step`` with ``omega`` the divided differences (sigma_i -+ sigma_j) / (shadow_i -+ shadow_j) of
    the threshold: 0 and ``2 m / (sigma_i + sigma_j)`` where both are active with multiplier m, ``(m -+ gamma_j) / sigma_i``
    where j is inactive with slope ``gamma_j``.

    Parameters
    ----------
    now : Iterate
    rank : int, number r of active singular values
    step : float, length of the proximal step that gave the iterate

    Returns
    -------
    (G, G) float64, (G, G) float64
        Curvature of the symmetric and of the antisymmetric part of each pair (i, j); zero on the diagonal, and where both are
        inactive.
    """
    sigma, gamma = now.sigma, np.minimum(now.shadow / step, now.multiplier)
    gamma[:rank] = now.multiplier
    size = sigma[:, None] + sigma
    size[rank:, rank:] = np.inf
    symmetric, antisymmetric = np.abs(gamma[:, None] - gamma) / size, (gamma[:, None] + gamma) / size
    symmetric.flat[:: len(sigma) + 1] = antisymmetric.flat[:: len(sigma) + 1] = 0.0
    return symmetric, antisymmetric


def minimise(newton: ManifoldNewton, tolerance: float, max_iterations: int) -> tuple[Factors, Bounds, int, int]:
    """Minimise a convex program in block form.

    Steps that overflow float64 give values that are not finite, and are rejected.

    Parameters
    ----------
    newton : ManifoldNewton, of a program with a nuclear penalty
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
        return _minimise(newton, tolerance, max_iterations)


def _minimise(newton: ManifoldNewton, tolerance: float, max_iterations: int) -> tuple[Factors, Bounds, int, int]:
    program = newton.program
    now = newton.prox_step(newton.start())
    evaluations, idle = 1, 0
    best: tuple[Factors, Bounds] | None = None
    damping, calm, progress = 0.0, False, 1.0
    for iteration in range(1, max_iterations + 1):
        found = None
        while found is None:
            direction = newton.direction(now, damping, progress)
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
                damping = max(100.0 * damping, newton.least_damping)
                if damping > 1e2:
                    found, tried = newton.shortened(now)
                    evaluations += tried
        damping = 0.01 * damping if damping > 1e-13 else 0.0
        progress = (now.value - found.value) / max(abs(now.value), 1e-300)
        now, calm = found, 0.0 <= progress < 1e-3
        # The gap is some ten times the progress that is left: a certificate pays from here on.
        if progress > max(1e-14, 0.01 * tolerance) and iteration < max_iterations:
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


def _along(now: Iterate, direction: Point, step: float) -> Point:
    """The point moved along a direction; singular values and contrasts that would turn negative stop at zero."""
    point, rank = now.point, int(np.count_nonzero(now.sigma))
    u, vt = now.u[:, :rank], now.vt[:rank]
    deficit = np.minimum(now.sigma[:rank] + step * ((u.T @ direction.core) * vt).sum(axis=1), 0.0)
    core = point.core + step * direction.core
    if deficit.any():
        core -= (u * deficit) @ vt
    contrast = np.maximum(point.contrast + step * direction.contrast, 0.0)
    return Point(contrast, core, point.bias + step * direction.bias)


def _shared_heights(multiplicity: Floats, share: Floats, radius: float) -> Floats:
    """Heights ``log(K pi_g / mu - (K - 1))`` with the multiplier mu that makes the nuclear norm about the radius."""
    classes = float(multiplicity.sum())
    target = radius * classes / (classes - 1.0)
    uniform = np.full(len(share), target / classes)
    if target / classes > 500.0:
        return uniform
    level = np.log(float(multiplicity @ share) / classes) - np.log1p(np.expm1(target / classes) / classes)
    logarithms, heights, total = np.log(share), uniform, target
    for _ in range(4):
        odds = np.exp(np.minimum(logarithms - level, 600.0)) * classes
        heights = np.log1p(np.maximum(odds - classes, 0.0))
        total = float(multiplicity @ heights)
        if abs(total - target) < 0.01 * target:
            break
        slope = float(multiplicity @ np.where(odds > classes, odds / (odds - classes + 1.0), 0.0))
        level += (total - target) / max(slope, 1e-300)
    return heights if 0.5 * target < total < 2.0 * target else uniform
