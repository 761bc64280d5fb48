"""Local descent on a program whose penalty is not convex, at a fixed rank and a fixed set of contrasts.

The core is a product ``L R`` of thin factors and the penalty a smooth function of its positive singular values, so L-BFGS
applies as long as they stay positive. Between two runs vanishing ones are dropped, and a proximal step adds those that
lower the objective. Under a ball points outside are scaled onto its boundary.
"""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats, svd
from ufm.spectral.program import LogitProgram, Point

VANISHING = 1e-6
"""Relative size below which singular values and contrasts are set to zero."""
NOISE = 1e-14
"""Relative size below which singular values are rounding errors."""


class Found(NamedTuple):
    """Where a descent ended.

    Attributes
    ----------
    value : float, objective (nats)
    point : Point
    evaluations : int, of the objective
    """

    value: float
    point: Point
    evaluations: int


class Descent:
    """The objective of one program for L-BFGS; counts its evaluations.

    Parameters
    ----------
    program : LogitProgram
    width : int, largest rank of the logits
    """

    def __init__(self, program: LogitProgram, width: int) -> None:
        self.program, self.penalty = program, program.penalty
        self.width = width
        self.copies = np.concatenate([program.contrast_counts, np.ones(program.groups)])
        self.biased = program.bias_decay is not None
        self.evaluations = 0

    def objective(self, point: Point) -> tuple[float, Point]:
        """Value and gradient at a point (scaled onto the boundary of a ball from outside)."""
        self.evaluations += 1
        program, penalty, g = self.program, self.penalty, self.program.groups
        u, sigma, vt = svd(point.core)
        noisy = sigma[-1] <= NOISE * sigma[0]
        if noisy:
            # Rounding errors in place of zeros must not be charged: a power of them would be a large price with a steep slope.
            sigma *= sigma > NOISE * sigma[0]
        singular = np.concatenate([point.contrast, sigma])
        values = singular.tolist()  # there are few of them: Python's functions are faster than NumPy's
        slope = penalty.slope(np.maximum(singular, 1e-12 * max(*values, 1e-300)), self.copies)
        if noisy or not all(values):
            slope = slope * (singular > 0)
        contrast, core = program.contrast_counts * slope[:g], (u * slope[g:]) @ vt
        if not penalty.ball:
            value, gradient, *_ = program.smooth(point)
            contrast += gradient.contrast
            core += gradient.core
            return value + penalty.value(singular, self.copies), Point(contrast, core, gradient.bias)
        size = penalty.gauge(singular, self.copies)
        if size <= 1.0:
            at = program.smooth(point)
            return at.value, at.gradient
        at = program.smooth(Point(point.contrast / size, point.core / size, point.bias))
        gradient = at.gradient
        along = float(gradient.contrast @ point.contrast + np.vdot(gradient.core, point.core)) / size
        return at.value, Point(
            (gradient.contrast - along * contrast) / size,
            (gradient.core - along * core) / size,
            gradient.bias,
        )

    def scaled(self, point: Point) -> Point:
        """The point, on the boundary of a ball where it lies outside."""
        if not self.penalty.ball:
            return point
        sigma = np.linalg.svd(point.core, compute_uv=False)
        singular = np.concatenate([point.contrast, np.where(sigma > NOISE * sigma[0], sigma, 0.0)])
        size = max(self.penalty.gauge(singular, self.copies), 1.0)
        return Point(point.contrast / size, point.core / size, point.bias)

    def run(self, point: Point, max_iterations: int, *, rough: bool = False, adapt: bool = True) -> Found:
        """Descend until neither L-BFGS nor a change of rank improves.

        Parameters
        ----------
        point : Point, the start
        max_iterations : int, of L-BFGS in each run
        rough : bool, stop at about four digits and keep the rank
        adapt : bool, whether proximal steps may add singular values and contrasts

        Returns
        -------
        Found
        """
        before = self.evaluations
        tolerance = 1e-6 if rough else 1e-15
        value, point = self._smooth(self.trimmed(point), max_iterations, tolerance)
        for _ in range(6 if adapt and not rough else 0):
            candidate = self.trimmed(self.proximal(point))
            reached, candidate = self._smooth(candidate, max_iterations, tolerance)
            if not reached < value - 1e-13 * abs(value):
                break
            value, point = reached, candidate
        return Found(value, self.scaled(point), self.evaluations - before)

    def trimmed(self, point: Point) -> Point:
        """The point without vanishing singular values and contrasts, its rank cut to the width."""
        u, sigma, vt = svd(point.core)
        largest = max(float(sigma.max()), float(point.contrast.max()), 1e-300)
        keep = sigma > VANISHING * largest
        room = self.width - int(self.program.contrast_counts @ (point.contrast > VANISHING * largest))
        keep[max(room, 0) :] = False
        contrast = np.where(point.contrast > VANISHING * largest, point.contrast, 0.0)
        return Point(contrast, (u * np.where(keep, sigma, 0.0)) @ vt, point.bias)

    def proximal(self, point: Point) -> Point:
        """A proximal-gradient step of the size that the curvature allows."""
        if self.penalty.ball:
            return point
        program, g = self.program, self.program.groups
        at = program.smooth(point)
        step = 1.0 / max(2.0 * program.curvature(at), program.least_curvature(at, point))
        scaled = np.maximum(program.contrast_counts, 1.0)
        contrast = np.where(program.contrast_counts > 0, point.contrast - step * at.gradient.contrast / scaled, 0.0)
        u, sigma, vt = svd(point.core - step * at.gradient.core)
        both = np.concatenate([np.maximum(contrast, 0.0), sigma])
        kept, _ = self.penalty.prox(both, self.copies, np.full(2 * g, step))
        return Point(kept[:g], (u * kept[g:]) @ vt, point.bias)

    def _smooth(self, start: Point, max_iterations: int, tolerance: float) -> tuple[float, Point]:
        """L-BFGS at the start's rank and contrasts."""
        from scipy.optimize import minimize

        g = self.program.groups
        live = np.flatnonzero(start.contrast)
        u, sigma, vt = svd(start.core)
        rank = int(np.count_nonzero(sigma > 0.1 * VANISHING * max(float(sigma.max()), 1e-300)))
        root = np.sqrt(sigma[:rank])
        parts = [start.contrast[live], (u[:, :rank] * root).ravel(), (root[:, None] * vt[:rank]).ravel()]
        if self.biased:
            parts.append(start.bias)
        theta = np.concatenate(parts)
        if not len(live) and not rank:
            return self.program.smooth(start).value, start

        none = np.zeros(g)

        def unpack(theta: Floats) -> tuple[Point, Floats, Floats]:
            contrast = np.zeros(g)
            contrast[live] = np.abs(theta[: len(live)])
            middle = theta[len(live) :]
            left = middle[: g * rank].reshape(g, rank)
            right = middle[g * rank : 2 * g * rank].reshape(rank, g)
            return Point(contrast, left @ right, middle[2 * g * rank :] if self.biased else none), left, right

        begun = self.objective(start)[0]
        # A squared error may vanish, and nothing is to be gained in units of its rounding errors.
        unit = max(abs(begun), 1e-250 if self.program.loss.shift_invariant else 1e-6)

        def objective(theta: Floats) -> tuple[float, Floats]:
            if not isfinite(theta @ theta):  # where it is finite, so are products of factors
                return np.inf, np.zeros_like(theta)
            point, left, right = unpack(theta)
            value, slope = self.objective(point)
            parts = [slope.contrast[live] * np.sign(theta[: len(live)])]
            parts += [(slope.core @ right.T).ravel(), (left.T @ slope.core).ravel()]
            if self.biased:
                parts.append(slope.bias)
            gradient = np.concatenate(parts)
            gradient /= unit
            return value / unit, gradient

        options = {"maxiter": max_iterations, "maxfun": 2 * max_iterations, "maxcor": 20, "ftol": tolerance, "gtol": 1e-10}
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = minimize(objective, theta, jac=True, method="L-BFGS-B", options=options)
        value = float(found.fun) * unit
        return (value, unpack(found.x)[0]) if value <= begun else (begun, start)
