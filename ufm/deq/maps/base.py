"""Base classes of maps, which fixed-point methods solve, and of layers, which are trained.

States are (B, d) float64 with one row per sample; row i of a value depends on row i of the state alone. A *map* is
``z -> f(z)`` for a fixed batch of inputs; a *layer* has parameters and makes the map of a batch of inputs.
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
    """A map ``z -> f(z)`` on a batch of states. A subclass implements `value`, `vjp` and `restrict`."""

    @abstractmethod
    def value(self, z: Floats) -> Floats:
        """``f(z)`` at states z, (B, d) float64.

        Returns
        -------
        array, (B, d) float64, a new one at each call
        """
        ...

    @abstractmethod
    def vjp(self, z: Floats, cotangent: Floats) -> Floats:
        """Vector-Jacobian products ``v_i J_i``, with ``J_i`` the (d, d) Jacobian of sample i at ``z_i``.

        Parameters
        ----------
        z : (B, d) float64, states
        cotangent : (B, d) float64, the rows v_i

        Returns
        -------
        array, (B, d) float64
        """
        ...

    @abstractmethod
    def restrict(self, rows: Rows) -> BatchMap:
        """The map of a part of the batch: the samples at these positions, (m,) int."""
        ...

    def linearised(self, z: Floats) -> MapPullback:
        """The function ``v -> v J(z)`` at states z, (B, d), with everything that depends on z alone computed once."""
        return MapPullback(lambda map_, z_, v: map_.vjp(z_, v), self, z)

    def jacobian(self, z: Floats) -> NDArray[np.float64]:
        """Jacobians at states z, (B, d), by d vector-Jacobian products: (B, d, d) with ``J[i, a, b] = df_a / dz_b``."""
        pull = self.linearised(z)
        found = np.empty((len(z), z.shape[1], z.shape[1]))
        for a in range(z.shape[1]):
            unit = np.zeros_like(z)
            unit[:, a] = 1.0
            found[:, a] = pull(unit)
        return found


class MapPullback:
    """The function ``v -> v J`` at fixed states of a batch.

    Parameters
    ----------
    apply : callable (map, z, v) -> (B, d), the products ``v_i J_i``
    map_ : BatchMap
    z : array whose first axis has the B samples, passed on to ``apply``
    """

    def __init__(self, apply: Callable[[BatchMap, Floats, Floats], Floats], map_: BatchMap, z: Floats) -> None:
        self.apply, self.map, self.z = apply, map_, z

    def __call__(self, cotangent: Floats) -> Floats:
        return self.apply(self.map, self.z, cotangent)

    def restrict(self, rows: Rows) -> MapPullback:
        """The same function for the samples at these positions, (m,) int, alone."""
        return MapPullback(self.apply, self.map.restrict(rows), self.z[rows])


@dataclass(frozen=True, eq=False)
class OwnMap(BatchMap):
    """A map made of two functions of the user.

    Parameters
    ----------
    function : callable (z, x) -> (B, d), the values f(z_i, x_i)
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
        """``function`` at states z, (B, d) float64, as a new array (B, d).

        Raises
        ------
        InputError
            ``function`` returns another shape.
        """
        found = np.array(self.function(z, self.inputs), dtype=np.float64)
        if found.shape != z.shape:
            raise InputError(f"function returned shape {found.shape} for states {z.shape}; return one row per state")
        return found

    def vjp(self, z: Floats, cotangent: Floats) -> Floats:
        """``pullback`` at states z, (B, d), and rows ``cotangent``, (B, d), as an array (B, d).

        Raises
        ------
        InputError
            ``pullback`` is None or returns another shape.
        """
        if self.pullback is None:
            raise InputError("pullback is None; give the vector-Jacobian product (z, x, v) -> v J to differentiate this map")
        found = np.asarray(self.pullback(z, self.inputs, cotangent), dtype=np.float64)
        if found.shape != z.shape:
            raise InputError(f"pullback returned shape {found.shape} for states {z.shape}; return one row per state")
        return found

    def restrict(self, rows: Rows) -> OwnMap:
        return OwnMap(self.function, self.pullback, self.inputs[rows])


class Layer(ABC):
    """A map with parameters: it makes the map of a batch of inputs, and gives gradients by inputs and parameters."""

    @property
    @abstractmethod
    def parameters(self) -> Gradients:
        """Parameters: a dict of float64 arrays by name."""
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
        """The map ``z -> f(z; x)`` of a batch of inputs, (B, p) float64."""
        ...

    @abstractmethod
    def pull(self, z: Floats, inputs: Floats, cotangent: Floats) -> tuple[Floats, Gradients]:
        """Gradients of ``sum_i <v_i, f(z_i; x_i)>`` by the inputs and by the parameters, the states held fixed.

        Parameters
        ----------
        z : (B, d) float64, states
        inputs : (B, p) float64
        cotangent : (B, d) float64, the rows v_i

        Returns
        -------
        tuple
            The gradient by the inputs, (B, p), and a dict of the gradients by the parameters, arrays in their shapes.
        """
        ...

    def projected(self, limit: float | None) -> Layer:
        """The nearest layer with ``||W||_2`` at most ``limit``; the layer itself where ``limit`` is None."""
        return self

    def error(self, z: Floats, inputs: Floats) -> Floats:
        """Certified bounds on the distance of states from their equilibria.

        Parameters
        ----------
        z : (B, d) float64, states
        inputs : (B, p) float64

        Returns
        -------
        array, (B,) float64
            Bounds on ``||z_i - z_i*||_2``; infinite where no bound is known.
        """
        return np.full(len(z), np.inf)


def batch(name: str, array: ArrayLike) -> Floats:
    """Check an array (B, d) of finite real numbers, called ``name`` in messages, and return it as float64.

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
