"""Newton's method with dense Jacobians and backtracking, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.deq.fixed_point.base import Method
from ufm.deq.maps.base import BatchMap, Rows

DESCENT = 1e-4
"""Armijo's constant: a share t of the step is accepted where ``||g||`` falls by at least ``1e-4 t ||g||``."""
SHORTEST = 0.5
GROWTH = 100.0
"""Steps that have been shortened to the share ``SHORTEST`` or less are accepted unless ``||g||`` grows by more than the factor
``GROWTH``: a method that insists on descent gets stuck in local minima of ``||g||``."""


@dataclass(frozen=True, kw_only=True)
class Newton(Method):
    r"""Newton's method: steps ``(I - J) s = g`` with ``g = f(z) - z``, halved where ``||g||`` does not fall.

    Backtracking as in Dennis & Schnabel (1983; locator unknown). Locally quadratic convergence, also for maps that are no
    contraction; each step costs a (d, d) factorisation per sample. Where ``I - J`` is singular the least-squares step is
    taken. Options: see `ufm.deq.fixed_point.base.Method`.
    """

    def begin(self, z: Floats) -> _Line:
        return _Line(z)


class _Line:
    """The point from which the last step was taken, that step, and the share of it that is being tried."""

    restarts = 0
    recovers = True

    def __init__(self, z: Floats) -> None:
        self.jacobians = 0
        self.base, self.step = z, np.zeros_like(z)
        self.size, self.share = np.full(len(z), np.inf), np.ones(len(z))

    def propose(self, map_: BatchMap, z: Floats, f: Floats, residual: Floats) -> Floats:
        # Written so that a NaN is not accepted.
        accepted = residual <= (1.0 - DESCENT * self.share) * self.size
        accepted |= (self.share <= SHORTEST) & (residual <= GROWTH * self.size)
        rows = np.flatnonzero(accepted)
        if len(rows):
            whole = len(rows) == len(z)
            part = map_ if whole else map_.restrict(rows)
            self.jacobians += 1
            step = _solve(part.jacobian(z[rows]), f[rows] - z[rows])
            if whole:
                self.base, self.step, self.size = z, step, residual
            else:
                self.base, self.step, self.size = np.array(self.base), np.array(self.step), np.array(self.size)
                self.base[rows], self.step[rows], self.size[rows] = z[rows], step, residual[rows]
        self.share = np.where(accepted, 1.0, 0.5 * self.share)
        return self.base + self.share[:, None] * self.step

    def keep(self, rows: Rows) -> None:
        self.base, self.step = self.base[rows], self.step[rows]
        self.size, self.share = self.size[rows], self.share[rows]


def _solve(jacobian: NDArray[np.float64], g: Floats) -> Floats:
    """``(I - J_i)^{-1} g_i``, or the least-squares solution where some ``I - J_i`` is singular."""
    matrix = np.eye(g.shape[1]) - jacobian
    bad = ~np.isfinite(matrix).all(axis=(1, 2))
    matrix[bad] = np.eye(g.shape[1])
    try:
        step = np.linalg.solve(matrix, g[:, :, None])
    except np.linalg.LinAlgError:
        step = np.linalg.pinv(matrix) @ g[:, :, None]
    return np.asarray(step[:, :, 0], dtype=np.float64)
