"""Anderson acceleration (type II), one small least-squares problem per sample, solved for the whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np

from ufm._arrays import Floats, check_whole
from ufm.deq.fixed_point.base import Method, share
from ufm.deq.maps.base import BatchMap, Mask, Rows
from ufm.errors import InputError

Pair = tuple[Floats, Floats]


@dataclass(frozen=True, kw_only=True)
class Anderson(Method):
    r"""Anderson acceleration: mix the last ``memory`` steps so that the linearised residual is least.

    From Walker & Ni (2011, algorithm AA).

    With ``r = f(z) - z`` and differences of successive residuals and values,
    ``gamma = argmin ||r - dR gamma||^2 + ridge tr(dR'dR) |gamma|^2`` and the next state is ``z + damping r - (dZ + damping dR)
    gamma``. On a linear map and with full memory the residuals before damping are those of GMRES.

    Safeguard: a sample whose residual exceeds ``growth`` times its best returns to its best state, takes a Picard step from
    there and starts with an empty memory.

    Parameters
    ----------
    memory : int >= 1
    damping : float in (0, 1]
    ridge : float in [0, 1), relative to the trace of the Gram matrix of the differences
    growth : float > 1
    delay : int >= 0
        Picard steps before the first mixing. They cost less, and on contractions the residual that they leave is easier to
        extrapolate.
        Further options: see `ufm.deq.fixed_point.base.Method`.

    Raises
    ------
    InputError
        An option outside its range.
    """

    memory: int = 5
    damping: float = 1.0
    ridge: float = 1e-12
    growth: float = 1e2
    delay: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("memory", self.memory)
        check_whole("delay", self.delay, 0)
        share("damping", self.damping)
        if not (isinstance(self.ridge, Real) and 0 <= self.ridge < 1):
            raise InputError(f"ridge is {self.ridge!r}; give a number in [0, 1) relative to the trace such as 1e-12")
        if not (isinstance(self.growth, Real) and self.growth > 1):
            raise InputError(f"growth is {self.growth!r}; give a factor above 1 such as 100")

    def begin(self, z: Floats) -> _Differences:
        return _Differences(self, z)


class _Differences:
    """The last differences of residuals (dR) and of mixed states (dZ + damping dR), with their Gram matrices."""

    jacobians = 0
    recovers = True

    def __init__(self, options: Anderson, z: Floats) -> None:
        self.options, (count, width) = options, z.shape
        memory = min(options.memory, width)
        self.steps = np.zeros((memory, count, width))
        self.changes = np.zeros((memory, count, width))
        self.gram = np.zeros((memory, memory, count))
        self.inner = np.zeros((memory, count))
        self.filled = self.taken = 0
        self.restarts = 0
        self.last: tuple[Floats, Floats] | None = None
        self.best_size = np.full(count, np.inf)
        self.best = (np.zeros_like(z), np.zeros_like(z))

    def propose(self, map_: BatchMap, z: Floats, f: Floats, residual: Floats) -> Floats:
        options = self.options
        difference = f - z
        step = z + options.damping * difference if options.damping != 1.0 else f
        self.taken += 1
        if self.taken <= options.delay:
            return step
        if self.last is not None:
            place = self.filled % len(self.gram)
            self._enter(place, difference - self.last[0], step - self.last[1], difference)
            self.filled += 1
        self.last = (difference, step)
        used = min(self.filled, len(self.gram))
        mixed = step
        if used:
            gamma = _solve(self.gram[:used, :used], self.inner[:used], options.ridge)
            mixed = step - np.einsum("mb,mbd->bd", gamma, self.steps[:used])
        return self._guarded(mixed, residual)

    def _enter(self, place: int, change: Floats, step: Floats, difference: Floats) -> None:
        """Store the newest differences in place of the oldest, and update the inner products with the residual."""
        self.changes[place], self.steps[place] = change, step
        used = min(self.filled + 1, len(self.gram))
        row = np.einsum("bd,mbd->mb", change, self.changes[:used])
        self.gram[place, :used] = self.gram[:used, place] = row
        self.inner[:used] += row
        self.inner[place] = np.einsum("bd,bd->b", change, difference)

    def _guarded(self, mixed: Floats, residual: Floats) -> Floats:
        """The proposal, or a step from the best state where the residual of a sample grew too much."""
        assert self.last is not None
        better = residual < self.best_size
        if better.all():
            self.best_size, self.best = residual, self.last
            return mixed
        self.best_size = np.where(better, residual, self.best_size)
        self.best = _chosen(better, self.last, self.best)
        # Written so that a NaN counts as astray.
        astray = ~(residual <= self.options.growth * self.best_size) | ~np.isfinite(mixed).all(axis=1)
        if not astray.any():
            return mixed
        self.restarts += int(np.count_nonzero(astray))
        self.changes[:, astray], self.steps[:, astray] = 0.0, 0.0
        self.gram[:, :, astray], self.inner[:, astray] = 0.0, 0.0
        self.last = _chosen(astray, self.best, self.last)
        return np.where(astray[:, None], self.best[1], mixed)

    def keep(self, rows: Rows) -> None:
        self.steps, self.changes = self.steps[:, rows], self.changes[:, rows]
        self.gram, self.inner = self.gram[:, :, rows], self.inner[:, rows]
        self.best_size, self.best = self.best_size[rows], (self.best[0][rows], self.best[1][rows])
        if self.last is not None:
            self.last = (self.last[0][rows], self.last[1][rows])


def _chosen(where: Mask, one: Pair, other: Pair) -> Pair:
    mask = where[:, None]
    return np.where(mask, one[0], other[0]), np.where(mask, one[1], other[1])


def _solve(gram: Floats, right: Floats, ridge: float) -> Floats:
    """``(gram_b + ridge tr(gram_b) I) gamma_b = right_b`` for every sample b; gram (m, m, B), right (m, B).

    Gauss-Jordan along the batch: few calls on long arrays beat many small factorisations.
    """
    size = len(right)
    a = np.concatenate([gram, right[:, None]], axis=1)
    floor = ridge * np.einsum("iib->b", gram) + np.finfo(np.float64).tiny
    for j in range(size):
        # A pivot below the ridge is rounding: the direction is a combination of the others and gets no weight.
        a[j, j:] /= np.maximum(a[j, j] + floor, floor)
        factor = a[:, j].copy()
        factor[j] = 0.0
        a[:, j + 1 :] -= factor[:, None] * a[j, j + 1 :]
    return a[:, size]
