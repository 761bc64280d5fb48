"""Operator splittings for monotone layers: Picard iterations of another map (docs/theory, Proposition 10.3)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from ufm._arrays import Floats
from ufm.deq.bounds import lengths, operator_norm
from ufm.deq.fixed_point.base import FixedPoint, FixedPointStats, FixedPointStatus, Memory, Method
from ufm.deq.fixed_point.picard import Picard
from ufm.deq.maps.base import BatchMap, batch
from ufm.deq.maps.monotone import MonotoneMap, Split, SplitMap
from ufm.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Splitting(Method):
    """The base class of operator splittings.

    Parameters
    ----------
    step : float > 0 or None, the step size alpha; None lets the method choose it for the map
        Further options: see `ufm.deq.fixed_point.base.Method`. In a result, ``trace`` has the residuals of the iterated map,
        ``residual`` and ``relative`` those of the layer.

    Raises
    ------
    InputError
        An option outside its range.
    """

    step: float | None = None
    max_calls: int = 1000
    patience: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step is not None and not (isinstance(self.step, Real) and 0 < self.step < 1e6):
            raise InputError(f"step is {self.step!r}; give a positive step size such as 0.5, or None")

    def begin(self, z: Floats) -> Memory:
        """The memory of an undamped Picard iteration from z, (B, d)."""
        return Picard().begin(z)

    def __call__(self, map_: BatchMap, start: ArrayLike) -> FixedPoint:
        """Find the equilibrium of a monotone map for every sample.

        Parameters
        ----------
        map_ : MonotoneMap, the map of a `MonotoneLayer`
        start : (B, d) real, initial states

        Returns
        -------
        FixedPoint

        Raises
        ------
        InputError
            The map of another layer, or a start that is not finite or has another shape.
        """
        if not isinstance(map_, MonotoneMap):
            raise InputError(f"{type(self).__name__} needs the map of a MonotoneLayer, not {type(map_).__name__}; use Anderson")
        return self.on(map_.split(), batch("start", start))

    def on(self, split: Split, start: Floats) -> FixedPoint:
        """Solve ``z = prox(M z + c)``; residuals and tolerances are those of this map.

        Parameters
        ----------
        split : Split, the operators M, c and prox
        start : (B, d) float64, first state of the iteration

        Returns
        -------
        FixedPoint
        """
        calls = evaluated = 0
        tighter, traces, state = 1.0, [], start
        while True:
            options = replace(self, rtol=self.rtol * tighter, atol=self.atol * tighter, max_calls=self.max_calls - calls)
            found = Method.__call__(options, self.map(split), state)
            state = found.value
            z = self.state(split, state)
            f = split.value(z)
            size, scale = lengths(f - z, self.norm), lengths(f, self.norm)
            limit = self.atol + self.rtol * scale
            calls, evaluated = calls + found.stats.calls + 1, evaluated + found.stats.rows + len(z)
            traces.append(found.trace)
            met = size <= limit
            if met.all() or found.status is not FixedPointStatus.CONVERGED or calls >= self.max_calls or tighter < 1e-9:
                break
            # The iterated map meets the tolerance, but the layer does not yet: tighten it and continue.
            tighter *= 0.5 * float(np.min(limit[~met] / size[~met]))
        status = (
            FixedPointStatus.CONVERGED
            if met.all()
            else FixedPointStatus.STAGNATED
            if found.status is FixedPointStatus.CONVERGED
            else found.status
        )
        relative = np.divide(size, scale, out=np.where(size > 0, np.inf, 0.0), where=scale > 0)
        return FixedPoint(z, status, FixedPointStats(calls, evaluated), size, relative, met, np.concatenate(traces))

    @abstractmethod
    def map(self, split: Split) -> SplitMap:
        """The map that is iterated for these operators."""
        ...

    def state(self, split: Split, found: Floats) -> Floats:
        """The equilibria, (B, d), from the fixed points (B, d) of the iterated map."""
        return found


@dataclass(frozen=True, kw_only=True)
class ForwardBackward(Splitting):
    r"""``z <- prox(z + alpha (W z + u - z))``.

    Converges for ``0 < alpha < 2 m / ||I - W||_2^2`` (docs/theory, Proposition 10.3); without a ``step``, alpha is
    ``m / ||I - W||_2^2``. Options: see `Splitting`.
    """

    def map(self, split: Split) -> SplitMap:
        step = self.step
        if step is None:
            step = split.margin / operator_norm(np.eye(len(split.matrix)) - split.matrix) ** 2
        return SplitMap(split, step, _forward_backward)


@dataclass(frozen=True, kw_only=True)
class PeacemanRachford(Splitting):
    r"""``y <- 2 V(2 z - y + alpha u) - (2 z - y)`` with ``z = prox(y)`` and ``V = (I + alpha (I - W))^{-1}``.

    Converges for every alpha > 0 (docs/theory, Proposition 10.3); without a ``step``, alpha is ``1 / ||I - W||_2``.
    Options: see `Splitting`.
    """

    def map(self, split: Split) -> SplitMap:
        operator = np.eye(len(split.matrix)) - split.matrix
        step = self.step if self.step is not None else 1.0 / operator_norm(operator)
        resolvent = np.asarray(np.linalg.inv(np.eye(len(operator)) + step * operator), dtype=np.float64)
        return SplitMap(split, step, _peaceman_rachford, resolvent)

    def state(self, split: Split, found: Floats) -> Floats:
        return split.prox(found)


def _forward_backward(split: Split, z: Floats, step: float, resolvent: Floats | None) -> Floats:
    return split.prox(z + step * (z @ split.matrix.T + split.offset - z))


def _peaceman_rachford(split: Split, y: Floats, step: float, resolvent: Floats | None) -> Floats:
    assert resolvent is not None
    reflected = 2.0 * split.prox(y) - y
    return 2.0 * (reflected + step * split.offset) @ resolvent.T - reflected
