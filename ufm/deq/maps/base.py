"""What a fixed-point solver asks of a map, and what training asks of a layer.

States are (B, d) float64 with one row per sample; row i of a value depends on row i of the state alone. A *map* is
``z -> f(z)`` with its inputs inside; a *layer* owns parameters and makes the map of a batch of inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._arrays import Floats
from ufm.errors import InputError

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
Gradients = dict[str, Floats]


class BatchMap(ABC):
    """``z -> f(z)`` on a batch. A user's own map needs `value` and `vjp`; `restrict` drops samples that are done."""

    @abstractmethod
    def value(self, z: Floats) -> Floats:
        """f(z), (B, d); a new array each time."""
        ...

    @abstractmethod
    def vjp(self, z: Floats, cotangent: Floats) -> Floats:
        """Rows ``v_i J_i``, with ``J_i`` the (d, d) Jacobian of sample i at ``z_i``."""
        ...

    @abstractmethod
    def restrict(self, rows: Rows) -> BatchMap:
        """The map of these samples of the batch alone."""
        ...

    def linearised(self, z: Floats) -> MapPullback:
        """``v -> v J(z)`` with everything that depends on z computed once."""
        return MapPullback(lambda map_, z_, v: map_.vjp(z_, v), self, z)

    def jacobian(self, z: Floats) -> NDArray[np.float64]:
        """(B, d, d) Jacobians, ``J[i, a, b] = df_a / dz_b``, by d vector-Jacobian products."""
        pull = self.linearised(z)
        found = np.empty((len(z), z.shape[1], z.shape[1]))
        for a in range(z.shape[1]):
            unit = np.zeros_like(z)
            unit[:, a] = 1.0
            found[:, a] = pull(unit)
        return found


class MapPullback:
    """``v -> v J`` at a state, for a batch; knows how to drop samples."""

    def __init__(self, apply: Callable[[BatchMap, Floats, Floats], Floats], map_: BatchMap, z: Floats) -> None:
        self.apply, self.map, self.z = apply, map_, z

    def __call__(self, cotangent: Floats) -> Floats:
        return self.apply(self.map, self.z, cotangent)

    def restrict(self, rows: Rows) -> MapPullback:
        return MapPullback(self.apply, self.map.restrict(rows), self.z[rows])


@dataclass(frozen=True, eq=False)
class OwnMap(BatchMap):
    """A map from two functions.

    Parameters
    ----------
    function : callable (z, x) -> (B, d)
    pullback : callable (z, x, v) -> (B, d), rows ``v_i df/dz(z_i, x_i)``; None where only values are needed
    inputs : (B, ...) array, one row per sample

    Examples
    --------
    >>> import numpy as np, ufm
    >>> own = ufm.deq.OwnMap(lambda z, x: np.cos(z) + x, lambda z, x, v: -np.sin(z) * v, np.zeros((1, 1)))
    >>> found = ufm.deq.Picard(rtol=1e-12)(own, np.ones((1, 1)))
    >>> f"{found.value[0, 0]:.10f}"
    '0.7390851332'
    """

    function: Callable[[Floats, NDArray], Floats]
    pullback: Callable[[Floats, NDArray, Floats], Floats] | None
    inputs: NDArray

    def value(self, z: Floats) -> Floats:
        found = np.array(self.function(z, self.inputs), dtype=np.float64)
        if found.shape != z.shape:
            raise InputError(f"function returned shape {found.shape} for states {z.shape}; return one row per state")
        return found

    def vjp(self, z: Floats, cotangent: Floats) -> Floats:
        if self.pullback is None:
            raise InputError("pullback is None; give the vector-Jacobian product (z, x, v) -> v J to differentiate this map")
        found = np.asarray(self.pullback(z, self.inputs, cotangent), dtype=np.float64)
        if found.shape != z.shape:
            raise InputError(f"pullback returned shape {found.shape} for states {z.shape}; return one row per state")
        return found

    def restrict(self, rows: Rows) -> OwnMap:
        return OwnMap(self.function, self.pullback, self.inputs[rows])


class Layer(ABC):
    """A parametrised map: parameters by name, the map of a batch of inputs, and gradients at fixed state."""

    @property
    @abstractmethod
    def parameters(self) -> Gradients:
        """Parameter arrays by name."""
        ...

    @abstractmethod
    def replaced(self, parameters: Gradients) -> Layer:
        """The same layer with these parameters."""
        ...

    @property
    @abstractmethod
    def width(self) -> int:
        """d, the dimension of the state."""
        ...

    @abstractmethod
    def at(self, inputs: Floats) -> BatchMap:
        """The map of a batch of inputs, (B, p) float64."""
        ...

    @abstractmethod
    def pull(self, z: Floats, inputs: Floats, cotangent: Floats) -> tuple[Floats, Gradients]:
        """Gradients of ``sum <v_i, f(z_i; x_i)>`` by the inputs, (B, p), and by each parameter, at fixed z."""
        ...

    def projected(self, limit: float | None) -> Layer:
        """The nearest layer whose contraction is at most ``limit``; itself where that is no constraint."""
        return self

    def error(self, z: Floats, inputs: Floats) -> Floats:
        """(B,) certified bounds on ``||z_i - z_i*||_2``; infinite where no bound is known."""
        return np.full(len(z), np.inf)


def batch(name: str, array: ArrayLike) -> Floats:
    """A finite (B, d) array as float64.

    Raises
    ------
    InputError
        Another number of dimensions, no sample, NaN or infinity.
    """
    found = np.asarray(array)
    if found.dtype.kind not in "fiub" or found.ndim != 2 or not found.size:
        raise InputError(f"{name} has shape {found.shape} and dtype {found.dtype}; give real numbers, one row per sample")
    found = found.astype(np.float64, copy=False)
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise InputError(f"{name} has NaN or infinity in row {row}; drop or repair that sample")
    return found
