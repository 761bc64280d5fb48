r"""Newton steps by preconditioned conjugate gradients on balanced factors ``X = L R`` of a table's program.

With ``X = U_r Sigma V_r'``, ``L = U_r sqrt(Sigma)`` and ``R = sqrt(Sigma) V_r'``. The preconditioner is that of
`ufm.solvers.convex.newton_cg`: the loss's curvature replaced by its diagonal in the singular basis, where the Hessian splits into
2 x 2 systems; parts of a direction outside both singular bases see their own entry's curvature.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.spectral.table_program import TableProgram

MAX_CG = 400


class TableFrame(NamedTuple):
    """Balanced factors: ``X = u[:, :r] diag(sigma) vt[:r]``, u (K, q) and vt (q, M) with q = min(K, M) orthonormal columns and rows."""

    u: Floats
    sigma: Floats
    vt: Floats
    bias: Floats

    @property
    def left(self) -> Floats:
        """(K, r) ``U sqrt(Sigma)``."""
        return self.u[:, : len(self.sigma)] * np.sqrt(self.sigma)

    @property
    def right(self) -> Floats:
        """(r, M) ``sqrt(Sigma) V'``."""
        return np.sqrt(self.sigma)[:, None] * self.vt[: len(self.sigma)]


class TableStep(NamedTuple):
    """Factors after a step: ``left`` (K, r), ``right`` (r, M), ``bias`` (K,); whether anything moved; evaluations."""

    left: Floats
    right: Floats
    bias: Floats
    moved: bool
    evaluations: int


class _Move(NamedTuple):
    """A direction: (K, r), (r, M), (K,)."""

    a: Floats
    b: Floats
    bias: Floats

    def dot(self, other: _Move) -> float:
        return float(np.vdot(self.a, other.a) + np.vdot(self.b, other.b) + self.bias @ other.bias)

    def plus(self, step: float, other: _Move) -> _Move:
        return _Move(self.a + step * other.a, self.b + step * other.b, self.bias + step * other.bias)


def newton_step(program: TableProgram, frame: TableFrame) -> TableStep:
    """One truncated Newton step with a line search.

    Parameters
    ----------
    program : TableProgram
    frame : TableFrame

    Returns
    -------
    TableStep
    """
    system = _System(program, frame)
    size, reference = np.sqrt(system.slope.dot(system.slope)), system.mu * np.sqrt(2.0 * frame.sigma.sum())
    if not size or (len(frame.sigma) and size <= 1e-15 * reference):
        return TableStep(frame.left, frame.right, frame.bias, False, 1)
    forcing = min(0.05, 10.0 * size / reference) if reference else 1e-8
    return system.search(system.solve(max(forcing, 1e-8)))


class _System:
    """The Newton system at one frame."""

    def __init__(self, program: TableProgram, frame: TableFrame) -> None:
        self.program, self.frame = program, frame
        self.left, self.right = frame.left, frame.right
        self.scaled = self.left @ self.right
        self.at = program.smooth(self.scaled, frame.bias)
        penalty = program.penalty
        self.radius = penalty.radius if penalty.ball else None  # type: ignore[attr-defined]
        gradient = self.at.gradient
        smooth = _Move(gradient @ self.right.T, self.left.T @ gradient, self.at.bias_gradient)
        self.position = _Move(self.left, self.right, np.zeros(program.rows))
        spent = float(frame.sigma.sum())
        inside = self.radius is not None and spent < self.radius * (1.0 - 1e-12)
        if self.radius is None:
            self.mu = penalty.strength  # type: ignore[attr-defined]
        elif inside or not spent:
            self.mu = 1e-150
        else:
            self.mu = max(-smooth.dot(self.position) / (2.0 * self.radius), 1e-150)
        self.sphere = self.radius is not None and not inside
        self.slope = smooth.plus(self.mu, self.position)
        self._prepare()

    def _prepare(self) -> None:
        """Diagonal curvature of the loss in the singular basis, symmetrised, and what the preconditioner needs of it."""
        frame, program, rank = self.frame, self.program, len(self.frame.sigma)
        curvature = program.loss.diagonal(self.at.probabilities) * (program.share / program.scale**2)
        basis = (frame.u**2).T @ curvature @ (frame.vt**2).T
        floor = 1e-12 * float(np.max(basis, initial=0.0)) + 1e-300
        basis = np.maximum(0.5 * (basis + basis.T), floor)
        sigma = frame.sigma
        self.root, self.total, self.inner = np.sqrt(sigma), sigma[:, None] + sigma, basis[:rank, :rank]
        turned = np.einsum("ki,km,im->i", frame.u[:, rank:], self.at.gradient, frame.vt[rank:])
        gamma = np.clip(-turned, 0.0, (1.0 - 1e-6) * self.mu)[:, None]
        stiff = basis[rank:, :rank] * sigma
        self.outer_plus, self.outer_minus = stiff + self.mu - gamma, stiff + self.mu + gamma
        self.tall = self.mu + sigma * (curvature @ (frame.vt[:rank] ** 2).T) + floor if program.rows > len(frame.vt) else None
        self.long = None
        if program.contexts > len(frame.vt):
            self.long = self.mu + sigma[:, None] * ((frame.u[:, :rank] ** 2).T @ curvature) + floor
        bias = program.loss.diagonal(self.at.probabilities) @ program.share
        self.bias_inverse = 1.0 / (np.maximum(bias, 1e-12 * float(program.share.sum())) + (program.bias_decay or 0.0))
        self.normal: _Move | None = None
        if self.sphere and rank:
            self.normal = self._block_inverse(self.position)
            self.normal_size = self.normal.dot(self.position)

    def apply(self, move: _Move) -> _Move:
        """Hessian of the Lagrangian along a direction."""
        image, along = self.program.hessian(self.at, move.a @ self.right + self.left @ move.b, move.bias)
        gradient = self.at.gradient
        a = image @ self.right.T + gradient @ move.b.T + self.mu * move.a
        b = self.left.T @ image + move.a.T @ gradient + self.mu * move.b
        return _Move(a, b, along)

    def precondition(self, residual: _Move) -> _Move:
        """Approximate inverse of `apply`; under a budget within the sphere's tangent space."""
        image = self._block_inverse(residual)
        if self.normal is None:
            return image
        return image.plus(-image.dot(self.position) / self.normal_size, self.normal)

    def _block_inverse(self, residual: _Move) -> _Move:
        frame, rank, root, h, total, mu = self.frame, len(self.root), self.root, self.inner, self.total, self.mu
        a, b = frame.u.T @ residual.a, residual.b @ frame.vt.T
        plus, minus = a + b.T, a - b.T
        inner_plus, inner_minus = plus[:rank], minus[:rank]
        along = inner_plus * root + inner_plus.T * root[:, None]
        stiff = h * total
        inner_plus = along * root / np.maximum(stiff * total, 1e-300) + (inner_plus - along * root / total) / (mu + stiff)
        across = inner_minus * root - inner_minus.T * root[:, None]
        inner_minus = (inner_minus - across * root * h / (2.0 * mu + stiff)) / (2.0 * mu)
        plus = np.concatenate([inner_plus, plus[rank:] / self.outer_plus])
        minus = np.concatenate([inner_minus, minus[rank:] / self.outer_minus])
        found_a, found_b = frame.u @ (0.5 * (plus + minus)), (0.5 * (plus - minus).T) @ frame.vt
        if self.tall is not None:
            rest = (residual.a - frame.u @ a) / self.tall
            found_a += rest - frame.u @ (frame.u.T @ rest)
        if self.long is not None:
            rest = (residual.b - b @ frame.vt) / self.long
            found_b += rest - (rest @ frame.vt.T) @ frame.vt
        bias = residual.bias * self.bias_inverse
        return _Move(found_a, found_b, self.program.centred(bias) if self.program.bias_decay is not None else bias)

    def solve(self, forcing: float) -> _Move:
        """Conjugate gradients; stops with the current iterate at a direction whose curvature is not positive."""
        residual = _Move(-self.slope.a, -self.slope.b, -self.slope.bias)
        direction = image = self.precondition(residual)
        product = first = residual.dot(image)
        solution: _Move | None = None
        for _ in range(MAX_CG):
            applied = self.apply(direction)
            bend = direction.dot(applied)
            if bend <= 1e-14 * self.mu * direction.dot(direction):
                return direction if solution is None else solution
            length = product / bend
            zero = direction.plus(-1.0, direction) if solution is None else solution
            solution = zero.plus(length, direction)
            residual = residual.plus(-length, applied)
            image = self.precondition(residual)
            previous, product = product, residual.dot(image)
            if not product > forcing**2 * first:
                break
            direction = image.plus(product / previous, direction)
        assert solution is not None
        return solution

    def search(self, move: _Move) -> TableStep:
        """Backtracking on the objective; under a budget the factors are scaled back into the ball."""
        program, frame = self.program, self.frame
        linear, quadratic = move.a @ self.right + self.left @ move.b, move.a @ move.b
        across = self.position.dot(move)
        square = float(np.vdot(move.a, move.a) + np.vdot(move.b, move.b))
        start = 2.0 * float(frame.sigma.sum())
        price = 0.5 * self.mu if self.radius is None else 0.0
        value = self.at.value + price * start
        descent = self.slope.dot(move)
        noise = 4e-16 * (4.0 + float(np.abs(self.scaled / program.scale).max(initial=0.0))) * abs(value)
        step, evaluations = 1.0, 1
        while step > 1e-10:
            size = start + 2.0 * step * across + step**2 * square
            scale = 1.0 if self.radius is None else min(1.0, 2.0 * self.radius / size) if size > 0 else 1.0
            scaled = scale * (self.scaled + step * linear + step**2 * quadratic)
            bias = frame.bias + step * move.bias
            reached = program.value(scaled, bias) + price * size
            evaluations += 1
            if reached <= value + 1e-4 * step * descent + noise:
                root = np.sqrt(scale)
                return TableStep(root * (self.left + step * move.a), root * (self.right + step * move.b), bias, True, evaluations)
            step *= 0.5
        return TableStep(self.left, self.right, frame.bias, False, evaluations)
