"""The base class of fixed-point methods, and the driver that runs them.

A method is an immutable set of options; what it remembers of a run is kept in a `Memory`. In every step the driver evaluates
the map, ends the samples that meet the tolerance or cannot, and asks the memory for the next states. It counts map calls, keeps
for every sample the iterate with the smallest relative residual, and no longer evaluates samples that have ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ufm._arrays import Floats, check_whole
from ufm._status import Ending
from ufm.deq.bounds import lengths
from ufm.deq.maps.base import BatchMap, Mask, Rows, batch
from ufm.errors import InputError

NORMS = ("l2", "max")
RECOVERIES = 20
"""How often the residual of a sample may be too large or not finite before it is given up, for methods that recover from it."""
COMPACT = 0.75
"""Where no more than this share of the evaluated samples is still active, the others are dropped from the batch."""


class FixedPointStatus(Ending):
    """How a run ended: a word, with a sentence in ``status.message``. For several samples it is the most serious outcome."""

    CONVERGED = "converged", "every sample meets the tolerance"
    TRUNCATED = "truncated", "a series cut after a given number of terms: not a solution, by choice"
    MAX_CALLS = "max-calls", "max_calls reached before every sample met the tolerance; allow more calls or another method"
    STAGNATED = "stagnated", "residuals stopped falling above the tolerance; loosen rtol or choose another method"
    DIVERGED = "diverged", "residuals grew beyond the divergence limit; damp the method or shrink the map"
    NON_FINITE = "non-finite", "the map returned NaN or infinity; its inputs or parameters are too large"


class FixedPointStats(NamedTuple):
    """Work of a run.

    Attributes
    ----------
    calls : int, calls of the map on the batch
    rows : int, samples evaluated, summed over the calls
    jacobians : int, evaluations of dense Jacobians (of the batch or a part of it)
    restarts : int, how often the memory of a single sample was emptied
    """

    calls: int
    rows: int
    jacobians: int = 0
    restarts: int = 0


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """What a fixed-point method found.

    Attributes
    ----------
    value : (B, d) float64, for each sample the iterate with the smallest relative residual
    status : FixedPointStatus, the most serious outcome among the samples
    stats : FixedPointStats
    residual : (B,) float64, ``||f(z) - z||`` at the value, in the method's norm
    relative : (B,) float64, the residual over ``||f(z)||`` (0 where both vanish)
    converged : (B,) bool, whether the sample meets the tolerance
    trace : (calls,) float64, largest relative residual among the samples at each call
    """

    value: Floats
    status: FixedPointStatus
    stats: FixedPointStats
    residual: Floats
    relative: Floats
    converged: Mask
    trace: Floats


class Memory(Protocol):
    """What a method remembers during a run.

    Attributes
    ----------
    restarts : int, how often the memory of a single sample was emptied
    jacobians : int, evaluations of dense Jacobians
    recovers : bool
    """

    restarts: int
    jacobians: int
    recovers: bool
    """Whether the method can go on after a state at which the map is not finite or the residual is huge."""

    def propose(self, map_: BatchMap, z: Floats, f: Floats, residual: Floats) -> Floats:
        """The next states.

        Parameters
        ----------
        map_ : BatchMap, the map of the samples that are still evaluated
        z : (B, d) float64, their states
        f : (B, d) float64, ``f(z)``
        residual : (B,) float64, ``||f(z) - z||_2``

        Returns
        -------
        array, (B, d) float64, a new one
        """
        ...

    def keep(self, rows: Rows) -> None:
        """Keep the memory of these samples, (m,) int positions in the batch, and drop that of all others."""
        ...


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A fixed-point method with its options; calling it solves ``z = f(z)`` for a batch.

    Parameters
    ----------
    rtol, atol : float >= 0
        A sample has converged when ``||f(z) - z|| <= atol + rtol ||f(z)||``. With ``atol = 0`` (default) the scale of the
        states does not matter; give an atol where the fixed point may be zero.
    norm : {"l2", "max"}
        Norm of the residual of a sample.
    max_calls : int >= 1
        Number of calls of the map (on the batch) after which the run ends.
    patience : int >= 1
        Every ``patience`` calls, a sample whose best residual fell by less than 1 % since the last such check has stagnated.
    divergence : float > 1
        A sample whose residual is more than this many times its first one has diverged.

    Raises
    ------
    InputError
        An option outside its range.
    """

    rtol: float = 1e-6
    atol: float = 0.0
    norm: str = "l2"
    max_calls: int = 200
    patience: int = 100
    divergence: float = 1e10

    def __post_init__(self) -> None:
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 <= float(value) < 1e300) or isinstance(value, bool):
                raise InputError(f"{name} is {value!r}; give a finite number >= 0 such as 1e-6")
        if self.rtol == 0 and self.atol == 0:
            raise InputError("rtol and atol are both 0; give one of them a positive value such as rtol=1e-6")
        if self.norm not in NORMS:
            raise InputError(f"norm is {self.norm!r}; choose one of {', '.join(NORMS)}")
        check_whole("max_calls", self.max_calls)
        check_whole("patience", self.patience)
        if not (isinstance(self.divergence, Real) and self.divergence > 1):
            raise InputError(f"divergence is {self.divergence!r}; give a growth factor above 1 such as 1e10")

    @abstractmethod
    def begin(self, z: Floats) -> Memory:
        """An empty memory for a run that starts at the states z, (B, d) float64."""
        ...

    def __call__(self, map_: BatchMap, start: ArrayLike) -> FixedPoint:
        """Find a fixed point for every sample.

        Parameters
        ----------
        map_ : BatchMap
        start : (B, d) real, initial states; converted to float64, never written to

        Returns
        -------
        FixedPoint

        Raises
        ------
        InputError
            A start that is not finite or has another shape.
        """
        return _Run(self, map_, batch("start", start)).finished()


def share(name: str, value: float) -> None:
    """Check that an option, called ``name`` in the message, is a number in (0, 1].

    Raises
    ------
    InputError
        It is not.
    """
    if not (isinstance(value, Real) and 0 < value <= 1) or isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; give a number above 0 and up to 1")


class _Run:
    """One run. The first block of attributes is about all samples, the second about those still evaluated (``rows``)."""

    def __init__(self, method: Method, map_: BatchMap, start: Floats) -> None:
        self.method, self.map, self.memory = method, map_, method.begin(start)
        count = len(start)
        self.value = np.array(start)
        self.residual, self.relative = np.full(count, np.inf), np.full(count, np.inf)
        self.reason = np.full(count, -1)
        self.calls = self.evaluated = 0
        self.trace: list[float] = []

        self.rows: Rows = np.arange(count)
        self.active = np.ones(count, dtype=bool)
        self.z = self.best_z = np.array(start)
        self.best, self.size = np.full(count, np.inf), np.full(count, np.inf)
        self.first, self.milestone = self.best, self.best
        self.failures = np.zeros(count, dtype=np.intp)

    def finished(self) -> FixedPoint:
        method = self.method
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            while True:
                f = self.map.value(self.z)
                self.calls += 1
                self.evaluated += len(self.rows)
                difference = f - self.z
                euclidean = lengths(difference)
                if method.norm == "l2":
                    self._judge(euclidean, lengths(f))
                else:
                    self._judge(lengths(difference, method.norm), lengths(f, method.norm))
                count = int(np.count_nonzero(self.active))
                if not count:
                    break
                if self.calls >= method.max_calls:
                    self._end(self.active.copy(), FixedPointStatus.MAX_CALLS)
                    break
                if count <= COMPACT * len(self.rows):
                    f, euclidean = self._compact(f, euclidean)
                self.z = self.memory.propose(self.map, self.z, f, euclidean)
        stats = FixedPointStats(self.calls, self.evaluated, self.memory.jacobians, self.memory.restarts)
        status = _ORDER[int(self.reason.max())]
        trace = np.array(self.trace)
        return FixedPoint(self.value, status, stats, self.residual, self.relative, self.reason == 0, trace)

    def _judge(self, size: Floats, scale: Floats) -> None:
        """Update the best states of the evaluated samples, and end those that have converged or failed."""
        method = self.method
        bad = ~(size + scale < np.inf)
        relative = size / scale
        relative[size == 0.0] = 0.0
        relative[bad] = np.inf
        if self.calls == 1:
            self.first = size
        better = relative < self.best
        if not self.best.max() < np.inf:
            # Where f(z) = 0 the relative residual is infinite: the smaller residual is the better one.
            better |= ~bad & np.isinf(relative) & np.isinf(self.best) & (size < self.size)
        if better.all():
            self.best, self.size, self.best_z = relative, size, self.z
        elif better.any():
            self.best, self.size = np.where(better, relative, self.best), np.where(better, size, self.size)
            self.best_z = np.where(better[:, None], self.z, self.best_z)
        self.trace.append(float(relative.max(where=self.active, initial=0.0)))
        done = size <= method.atol + method.rtol * scale
        grown = size > method.divergence * self.first
        grown &= ~bad
        lost = bad | grown
        if lost.any() and self.memory.recovers and self.calls > 1:
            self.failures += lost
            bad &= self.failures > RECOVERIES
            grown &= self.failures > RECOVERIES
        if bad.any():
            self._end(bad, FixedPointStatus.NON_FINITE)
        if done.any():
            # Where an absolute tolerance ends a sample, its last state need not be the one of least relative residual.
            last = done & self.active & ~better
            if last.any():
                self.best, self.size = np.where(last, relative, self.best), np.where(last, size, self.size)
                self.best_z = np.where(last[:, None], self.z, self.best_z)
            self._end(done & (size + scale < np.inf), FixedPointStatus.CONVERGED)
        if grown.any():
            self._end(grown, FixedPointStatus.DIVERGED)
        if self.calls % method.patience == 0:
            self._end(self.best > 0.99 * self.milestone, FixedPointStatus.STAGNATED)
            self.milestone = self.best

    def _end(self, which: Mask, why: FixedPointStatus) -> None:
        """End these samples, as far as they are active, and store their results."""
        ended = which & self.active
        rows = self.rows[ended]
        self.reason[rows] = _ORDER.index(why)
        self.value[rows] = self.best_z[ended]
        self.residual[rows], self.relative[rows] = self.size[ended], self.best[ended]
        self.active &= ~ended

    def _compact(self, f: Floats, size: Floats) -> tuple[Floats, Floats]:
        """Drop the samples that have ended from the batch."""
        kept = np.flatnonzero(self.active)
        self.map = self.map.restrict(kept)
        self.memory.keep(kept)
        same = self.best_z is self.z
        self.rows, self.z, self.active = self.rows[kept], self.z[kept], self.active[kept]
        self.best_z = self.z if same else self.best_z[kept]
        self.best, self.size, self.first = self.best[kept], self.size[kept], self.first[kept]
        self.milestone, self.failures = self.milestone[kept], self.failures[kept]
        return f[kept], size[kept]


_ORDER = (
    FixedPointStatus.CONVERGED,
    FixedPointStatus.MAX_CALLS,
    FixedPointStatus.STAGNATED,
    FixedPointStatus.DIVERGED,
    FixedPointStatus.NON_FINITE,
)
