"""Limited-memory Broyden's good method, with a line search that needs no derivative, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np

from ufm._arrays import Floats, check_whole
from ufm.deq.bounds import lengths
from ufm.deq.fixed_point.base import Memory, Method
from ufm.deq.maps.base import BatchMap, Mask, Rows
from ufm.errors import InputError

SHORTEST = 1.0 / 64.0
"""Shortest share of a Broyden step that is tried before a sample's memory is given up."""


@dataclass(frozen=True, kw_only=True)
class Broyden(Method):
    r"""Broyden's good method on ``g(z) = f(z) - z``, with the inverse Jacobian ``B = -I + sum_i u_i v_i'``.

    From Broyden (1965) and Bai et al. (NeurIPS 2019); locators unknown. The update with step s and change y of g is
    ``v = B' s``, ``u = (s - B y) / (v'y)``. A step after which ``||g||`` is more than ``growth`` times its value is halved;
    where 1/64 of it is still too long, or after ``memory`` updates, the memory of the sample is emptied. On a linear map of
    dimension d the method ends within 2 d steps (Gay 1979; locator unknown).

    Parameters
    ----------
    memory : int >= 1
    growth : float >= 1
        Further options: see `ufm.deq.fixed_point.base.Method`.

    Raises
    ------
    InputError
        An option outside its range.
    """

    memory: int = 80
    growth: float = 1e3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("memory", self.memory)
        if not (isinstance(self.growth, Real) and self.growth >= 1):
            raise InputError(f"growth is {self.growth!r}; give a factor of at least 1 such as 1000")

    def begin(self, z: Floats) -> Inverse:
        return Inverse(self, z)


class Inverse(Memory):
    """The updates (u_i, v_i), the point from which the last step was taken, and that step."""

    jacobians = 0
    recovers = True

    def __init__(self, options: Broyden, z: Floats) -> None:
        self.options, (count, width) = options, z.shape
        self.left = np.zeros((options.memory, count, width))
        self.right = np.zeros((options.memory, count, width))
        self.filled = 0
        self.restarts = 0
        self.base: Floats | None = None
        self.g = self.bg = self.step = np.zeros_like(z)
        self.size = np.full(count, np.inf)
        self.share = np.ones(count)

    def propose(self, map_: BatchMap, z: Floats, f: Floats, residual: Floats) -> Floats:
        g = f - z
        if self.base is None:
            self.base, self.g, self.step, self.size = z, g, g, residual
            self.bg = -g
            return z + g
        # Written so that a NaN counts as grown.
        grown = ~(residual <= self.options.growth * self.size)
        hopeless = grown & (self.share <= SHORTEST)
        bg = self._learn(g)
        halved = grown & ~hopeless
        self.share = np.where(halved, 0.5 * self.share, 1.0)
        if hopeless.any():
            self._forget(hopeless)
            self.bg = np.where(hopeless[:, None], -self.g, self.bg)
        if grown.any():
            # Halved and hopeless samples continue from the state at which the failed step began.
            back = grown[:, None]
            z, g, bg = np.where(back, self.base, z), np.where(back, self.g, g), np.where(back, self.bg, bg)
            residual = np.where(grown, self.size, residual)
            self.step = np.where(halved[:, None], self.step, -bg)
        else:
            self.step = -bg
        self.base, self.g, self.bg, self.size = z, g, bg, residual
        return z + self.share[:, None] * self.step

    def _learn(self, g: Floats) -> Floats:
        """Update B from the last step and keep ``B g`` at its base; returns ``B g`` at the new point."""
        assert self.base is not None
        if self.filled == len(self.left):
            self.restarts += len(g)
            self.filled = 0
            self.bg = -self.g
            return -g
        k = self.filled
        left, right = self.left[:k], self.right[:k]
        s, y = self.share[:, None] * self.step, g - self.g
        by = np.einsum("mb,mbd->bd", np.einsum("bd,mbd->mb", y, right), left) - y
        v = np.einsum("mb,mbd->bd", np.einsum("bd,mbd->mb", s, left), right) - s
        product = np.einsum("bd,bd->b", v, y)
        enough = np.abs(product) > 1e-10 * lengths(v) * lengths(y)
        enough &= np.isfinite(product)
        safe = np.where(enough, product, 1.0)
        u = np.where(enough[:, None], (s - by) / safe[:, None], 0.0)
        v = np.where(enough[:, None], v, 0.0)
        self.left[k], self.right[k] = u, v
        self.filled += 1
        self.bg = self.bg + u * np.einsum("bd,bd->b", v, self.g)[:, None]
        # The new B maps y to s, where it could be updated.
        return self.bg + np.where(enough[:, None], s, by)

    def _forget(self, which: Mask) -> None:
        self.restarts += int(np.count_nonzero(which))
        self.left[:, which], self.right[:, which] = 0.0, 0.0

    def keep(self, rows: Rows) -> None:
        self.left, self.right = self._kept(self.left, rows), self._kept(self.right, rows)
        self.g, self.bg, self.step = self.g[rows], self.bg[rows], self.step[rows]
        self.size, self.share = self.size[rows], self.share[rows]
        if self.base is not None:
            self.base = self.base[rows]

    def _kept(self, updates: Floats, rows: Rows) -> Floats:
        """The updates so far of these samples, with room for the rest."""
        found = np.zeros((len(updates), len(rows), updates.shape[2]))
        found[: self.filled] = updates[: self.filled, rows]
        return found
