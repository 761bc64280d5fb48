r"""Newton steps by preconditioned conjugate gradients on balanced factors ``X = L R`` of a table's program.

With ``X = U_r Sigma V_r'``, ``L = U_r sqrt(Sigma)`` and ``R = sqrt(Sigma) V_r'``. The preconditioner is that of
`ufm.solvers.convex.newton_cg`: the loss's curvature replaced by its diagonal in the singular basis, where the Hessian splits
into 2 x 2 systems; parts of a direction outside both singular bases see their own entry's curvature. Where the gradient is
longer than at an optimum, the Hessian is replaced by a positive semidefinite one. Small systems are solved by eigenvalues.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.spectral.table_program import TableProgram

MAX_CG = 400
DENSE = 400
"""Number of unknowns up to which the Newton system is written out: soft targets bend the loss weakly in directions that no
diagonal sees."""


class TableFrame(NamedTuple):
    """Balanced factors: ``X = u[:, :r] diag(sigma) vt[:r]``.

    u : (K, q) float64, orthonormal columns, q = min(K, M)
    sigma : (r,) float64, positive
    vt : (q, M) float64, orthonormal rows
    bias : (K,) float64
    """

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
    unknowns = system.left.size + system.right.size + len(frame.bias)
    return system.damped() if unknowns <= DENSE else system.search(system.solve(max(forcing, 1e-8)))


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
        # The Hessian of the factors is positive semidefinite where the gradient's norm is at most mu, as at the optimum; on
        # the way there the term that couples the factors through the gradient is damped to that norm.
        largest = float(np.linalg.svd(gradient, compute_uv=False)[0])
        self.coupling = gradient * min(1.0, self.mu / largest) if largest > 0 else gradient
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
        turned = np.einsum("ki,km,im->i", frame.u[:, rank:], self.coupling, frame.vt[rank:])
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
        gradient = self.coupling
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

    def damped(self) -> TableStep:
        """A Newton step from the eigenvalues of the whole Hessian, damped (Levenberg-Marquardt) until the objective agrees.

        Directions without curvature are left out.
        """
        sizes = self.left.size, self.right.size, len(self.frame.bias) * (self.program.bias_decay is not None)
        count = sum(sizes)
        matrix = np.empty((count, count))
        for i in range(count):
            matrix[i] = self._flat(self.apply(self._shaped(np.arange(count) == i, sizes)), sizes)
        values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
        bent = values > 1e-15 * max(float(values[-1]), 1e-300)
        force, normal = vectors.T @ -self._flat(self.slope, sizes), vectors.T @ self._flat(self.position, sizes)
        evaluations = 1
        for damping in (0.0, *(float(values[-1]) * 10.0**power for power in range(-13, 2))):
            inverse = np.where(bent, 1.0 / np.where(bent, values + damping, 1.0), 0.0)
            found = inverse * force
            if self.sphere:
                size = float(normal @ (inverse * normal))
                found -= inverse * normal * (float(normal @ found) / size if size > 0 else 0.0)
            step = self.search(self._shaped(vectors @ found, sizes), shortest=1.0)
            evaluations += step.evaluations
            if step.moved:
                return step._replace(evaluations=evaluations)
        return TableStep(self.left, self.right, self.frame.bias, False, evaluations)

    def _flat(self, move: _Move, sizes: tuple[int, int, int]) -> Floats:
        return np.concatenate([move.a.ravel(), move.b.ravel(), move.bias[: sizes[2]]])

    def _shaped(self, vector: Floats, sizes: tuple[int, int, int]) -> _Move:
        left, right, biases = sizes
        bias = vector[left + right :] if biases else np.zeros(self.program.rows)
        a = vector[:left].reshape(self.left.shape).astype(np.float64)
        return _Move(a, vector[left : left + right].reshape(self.right.shape).astype(np.float64), bias.astype(np.float64))

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
            if not product > forcing**2 * first or not previous > 0:
                break
            direction = image.plus(product / previous, direction)
        assert solution is not None
        return solution

    def search(self, move: _Move, shortest: float = 1e-10) -> TableStep:
        """Backtracking on the objective, down to a shortest step; under a budget the factors are scaled back into the ball."""
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
        while step >= shortest:
            size = start + 2.0 * step * across + step**2 * square
            scale = 1.0 if self.radius is None else min(1.0, 2.0 * self.radius / size) if size > 0 else 1.0
            scaled = scale * (self.scaled + step * linear + step**2 * quadratic)
            bias = frame.bias + step * move.bias
            reached = program.value(scaled, bias) + price * size
            evaluations += 1
            if reached <= value + (0.1 if shortest == 1.0 else 1e-4) * step * descent + noise:
                root = np.sqrt(scale)
                return TableStep(
                    root * (self.left + step * move.a), root * (self.right + step * move.b), bias, True, evaluations
                )
            step *= 0.5
        return TableStep(self.left, self.right, frame.bias, False, evaluations)
