r"""Newton steps by preconditioned conjugate gradients on balanced factors ``W = U sqrt(Sigma)``, ``G = sqrt(Sigma) V'``.

Directions are written in the singular basis, ``dW = U A`` and ``dG = B V'`` with A (K x r) and B (r x K). There the
Hessian of the Lagrangian couples ``A_ij`` with ``B_ij`` through the loss and ``A_ij`` with ``B_ji`` through the decay.
With the loss's curvature replaced by its diagonal in this basis it splits into 2 x 2 systems in

.. math:: P^\pm_{ij} = (A_{ij} \pm B_{ji}) / \sqrt 2,

solved in closed form: the preconditioner. The objective is constant along rotations of the factors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.spectral.program import Evaluation, LogitProgram, Point

MAX_CG = 400


class Frame(NamedTuple):
    """Balanced factors: ``core = u[:, :r] diag(sigma) vt[:r]`` with u, vt (K, K) orthogonal and sigma (r,) positive."""

    u: Floats
    sigma: Floats
    vt: Floats
    bias: Floats

    @property
    def left(self) -> Floats:
        """(K, r) ``W = U sqrt(Sigma)``."""
        return self.u[:, : len(self.sigma)] * np.sqrt(self.sigma)

    @property
    def right(self) -> Floats:
        """(r, K) ``G = sqrt(Sigma) V'``."""
        return np.sqrt(self.sigma)[:, None] * self.vt[: len(self.sigma)]


class Direction(NamedTuple):
    """A direction in the frame's basis.

    Attributes
    ----------
    a, b : (K, r) and (r, K) float64, A and B
    bias : (K,) float64
    """

    a: Floats
    b: Floats
    bias: Floats

    def dot(self, other: Direction) -> float:
        """Euclidean inner product."""
        return float(np.vdot(self.a, other.a) + np.vdot(self.b, other.b) + self.bias @ other.bias)

    def plus(self, step: float, other: Direction) -> Direction:
        """``self + step * other``."""
        return Direction(self.a + step * other.a, self.b + step * other.b, self.bias + step * other.bias)


class Step(NamedTuple):
    """Factors after a step: ``left`` (K, r), ``right`` (r, K), ``bias`` (K,); whether anything moved; evaluations."""

    left: Floats
    right: Floats
    bias: Floats
    moved: bool
    evaluations: int


def newton_step(program: LogitProgram, frame: Frame) -> Step:
    """One truncated Newton step with a line search from balanced factors."""
    system = _System(program, frame)
    slope, mu = system.slope, system.mu
    if not len(frame.sigma) and not slope.bias.any():
        return Step(frame.left, frame.right, frame.bias, False, 1)
    reference = mu * np.sqrt(2.0 * frame.sigma.sum())
    size = np.sqrt(slope.dot(slope))
    if not size or size <= 1e-15 * reference:
        return Step(frame.left, frame.right, frame.bias, False, 1)
    forcing = min(0.05, 10.0 * size / reference) if reference else 0.05
    direction = system.solve(max(forcing, 1e-8))
    return system.search(direction)


class _System:
    """The Newton system at one frame."""

    def __init__(self, program: LogitProgram, frame: Frame) -> None:
        self.program, self.frame = program, frame
        self.rank = len(frame.sigma)
        self.root = np.sqrt(frame.sigma)
        self.zero = np.zeros(program.groups)
        core = frame.left @ frame.right
        self.point = Point(self.zero, core, frame.bias)
        self.at: Evaluation = program.smooth(self.point)
        penalty = program.penalty
        self.radius = penalty.radius if penalty.ball else None
        slope = frame.u.T @ self.at.gradient.core @ frame.vt.T
        self.turned = slope
        position = Direction(np.zeros((len(self.zero), self.rank)), np.zeros((self.rank, len(self.zero))), self.zero)
        np.fill_diagonal(position.a, self.root)
        np.fill_diagonal(position.b, self.root)
        self.position = position
        smooth = Direction(slope[:, : self.rank] * self.root, self.root[:, None] * slope[: self.rank], self.at.gradient.bias)
        if self.radius is None:
            self.mu = penalty.strength  # type: ignore[attr-defined]
        else:
            # Positive even inside the ball, where the multiplier vanishes: it divides.
            self.mu = max(-smooth.dot(position) / (2.0 * self.radius), 1e-150)
        self.slope = smooth.plus(self.mu, position)
        self._prepare()

    def _prepare(self) -> None:
        """Diagonal curvature of the loss in the singular basis, symmetrised, and what the preconditioner needs of it."""
        frame, rank, program = self.frame, self.rank, self.program
        curvature = np.maximum(self.at.diagonal - self.at.rank_one**2, 1e-16 * self.at.diagonal)
        curvature = (curvature[:-1] * program.logit_counts[:-1] + np.diag(curvature[-1])) * program.core_to_logits**2
        basis = (frame.u**2).T @ curvature @ (frame.vt**2).T
        floor = 1e-12 * float(np.max(basis, initial=0.0)) + 1e-300
        basis = np.maximum(0.5 * (basis + basis.T), floor)
        self.inner, self.outer = basis[:rank, :rank], basis[rank:, :rank]
        self.total = frame.sigma[:, None] + frame.sigma
        gamma = np.clip(-np.diag(self.turned)[rank:], 0.0, (1.0 - 1e-6) * self.mu)[:, None]
        stiff = self.outer * frame.sigma
        self.outer_plus, self.outer_minus = stiff + self.mu - gamma, stiff + self.mu + gamma
        bias = np.maximum(curvature.sum(axis=1), 1e-12) + (program.bias_decay or 0.0)
        self.bias_inverse = 1.0 / bias
        self.normal_image: Direction | None = None
        if self.radius is not None:
            self.normal_image = self._block_inverse(self.position)
            self.normal_size = self.normal_image.dot(self.position)

    def apply(self, direction: Direction) -> Direction:
        """Hessian of the Lagrangian along a direction."""
        frame, rank = self.frame, self.rank
        moved = np.zeros((len(self.zero), len(self.zero)))
        moved[:, :rank] = direction.a * self.root
        moved[:rank] += self.root[:, None] * direction.b
        point = Point(self.zero, frame.u @ moved @ frame.vt, direction.bias)
        image = self.program.hessian(self.at, point)
        turned = frame.u.T @ image.core @ frame.vt.T
        a = turned[:, :rank] * self.root + self.turned @ direction.b.T + self.mu * direction.a
        b = self.root[:, None] * turned[:rank] + direction.a.T @ self.turned + self.mu * direction.b
        return Direction(a, b, image.bias)

    def precondition(self, residual: Direction) -> Direction:
        """Approximate inverse of `apply`; under a budget within the sphere's tangent space."""
        image = self._block_inverse(residual)
        if self.normal_image is None:
            return image
        return image.plus(-image.dot(self.position) / self.normal_size, self.normal_image)

    def _block_inverse(self, residual: Direction) -> Direction:
        """Inverse of the Hessian with the loss's curvature replaced by its diagonal."""
        rank, root, h, total, mu = self.rank, self.root, self.inner, self.total, self.mu
        plus, minus = residual.a + residual.b.T, residual.a - residual.b.T
        inner_plus, inner_minus = plus[:rank], minus[:rank]
        # (P+_ij, P+_ji): curvature 2 h along (root_j, root_i), none along the rotation orthogonal to it.
        along = inner_plus * root + inner_plus.T * root[:, None]
        stiff = h * total
        inner_plus = along * root / np.maximum(stiff * total, 1e-300) + (inner_plus - along * root / total) / (mu + stiff)
        across = inner_minus * root - inner_minus.T * root[:, None]
        inner_minus = (inner_minus - across * root * h / (2.0 * mu + stiff)) / (2.0 * mu)
        plus = np.concatenate([inner_plus, plus[rank:] / self.outer_plus])
        minus = np.concatenate([inner_minus, minus[rank:] / self.outer_minus])
        return Direction(0.5 * (plus + minus), 0.5 * (plus - minus).T, residual.bias * self.bias_inverse)

    def solve(self, forcing: float) -> Direction:
        """Conjugate gradients; stops with the current iterate at a direction whose curvature is not positive."""
        residual = Direction(-self.slope.a, -self.slope.b, -self.slope.bias)
        image = self.precondition(residual)
        direction, product = image, residual.dot(image)
        first, solution = product, None
        for _ in range(MAX_CG):
            applied = self.apply(direction)
            bend = direction.dot(applied)
            if bend <= 1e-14 * self.mu * direction.dot(direction):
                return direction if solution is None else solution
            length = product / bend
            start = direction if solution is None else solution
            solution = (
                Direction(length * start.a, length * start.b, length * start.bias)
                if solution is None
                else (solution.plus(length, direction))
            )
            residual = residual.plus(-length, applied)
            image = self.precondition(residual)
            previous, product = product, residual.dot(image)
            if not product > forcing**2 * first:
                break
            direction = image.plus(product / previous, direction)
        assert solution is not None
        return solution

    def search(self, direction: Direction) -> Step:
        """Backtracking on the objective; under a budget the factors are scaled back onto the sphere."""
        frame, program = self.frame, self.program
        moved_left, moved_right = frame.u @ direction.a, direction.b @ frame.vt
        left, right = frame.left, frame.right
        linear, quadratic = moved_left @ right + left @ moved_right, moved_left @ moved_right
        across = self.position.dot(direction._replace(bias=self.zero))
        square = direction.dot(direction) - float(direction.bias @ direction.bias)
        start = 2.0 * float(frame.sigma.sum())
        value = self.at.value + (0.5 * self.mu * start if self.radius is None else 0.0)
        descent = self.slope.dot(direction)
        step, evaluations = 1.0, 1
        noise = 4e-16 * (4.0 + float(np.abs(program.spread(self.point)).max())) * abs(value)
        while step > 1e-10:
            size = start + 2.0 * step * across + step**2 * square
            scale = 1.0 if self.radius is None else 2.0 * self.radius / size
            core = scale * (self.point.core + step * linear + step**2 * quadratic)
            bias = frame.bias + step * direction.bias
            reached = program.smooth(Point(self.zero, core, bias)).value
            evaluations += 1
            if self.radius is None:
                reached += 0.5 * self.mu * size
            if reached <= value + 1e-4 * step * descent + noise:
                root = np.sqrt(scale)
                return Step(root * (left + step * moved_left), root * (right + step * moved_right), bias, True, evaluations)
            step *= 0.5
        return Step(left, right, frame.bias, False, evaluations)
