"""Diagnostics of equilibria: spectral radius of the Jacobian, number of fixed points, and how far solving moves a state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats, check_whole
from ufm.deq.bounds import lengths
from ufm.deq.fixed_point.base import Method
from ufm.deq.maps.base import BatchMap, batch


def spectral_radius(map_: BatchMap, z: Floats, *, steps: int = 200, rng: np.random.Generator | None = None) -> Floats:
    """Spectral radius of the Jacobian of every sample, estimated by the growth rate of ``v -> v J``.

    The rate is ``(||v_t|| / ||v_s||)^(1/(t-s))`` over the last half of the steps. A Rayleigh quotient would be wrong where the
    leading eigenvalues are complex, as they are for most Jacobians that are not symmetric. Level numeric: nothing is proved,
    and the error falls like 1 / steps.

    Parameters
    ----------
    map_ : BatchMap
    z : (B, d) real, states at which the Jacobian is taken
    steps : int >= 8
    rng : numpy Generator or None, draws the starting rows; None takes a generator with seed 0

    Returns
    -------
    array, (B,) float64

    Raises
    ------
    InputError
        ``steps`` below 8, or states that are not finite or not (B, d).

    Examples
    --------
    >>> import numpy as np, ufm
    >>> turn = np.array([[0.0, -0.5], [0.5, 0.0]])
    >>> layer = ufm.deq.LinearLayer(turn, np.eye(2), np.zeros(2))
    >>> found = spectral_radius(layer.at(np.zeros((1, 2))), np.zeros((1, 2)))
    >>> f"{found[0]:.6f}"
    '0.500000'
    """
    check_whole("steps", steps, 8)
    rng = np.random.default_rng(0) if rng is None else rng
    pull = map_.linearised(batch("z", z))
    v = rng.standard_normal(np.shape(z))
    half = steps // 2
    growth = np.zeros(len(v))
    for step in range(steps):
        size = lengths(v)
        v = pull(v / np.where(size > 0, size, 1.0)[:, None])
        if step >= half:
            with np.errstate(divide="ignore"):
                growth += np.log(lengths(v))
    return np.exp(growth / (steps - half))


class Multiplicity(NamedTuple):
    """Fixed points found from several starts.

    Attributes
    ----------
    distinct : (B,) int, number of fixed points found that differ by more than ``separation`` (0 where no start converged)
    converged : (B,) int, number of starts that converged
    spread : (B,) float64, largest distance between two fixed points found
    """

    distinct: NDArray[np.intp]
    converged: NDArray[np.intp]
    spread: Floats


def multiplicity(
    map_: BatchMap,
    method: Method,
    shape: tuple[int, int],
    *,
    starts: int = 10,
    scale: float = 1.0,
    separation: float = 1e-3,
    rng: np.random.Generator | None = None,
) -> Multiplicity:
    """Solve from random starts and count the different fixed points found.

    Finding one fixed point does not prove that it is the only one; a norm of W below 1 does (docs/theory, Proposition 10.1).

    Parameters
    ----------
    map_ : BatchMap
    method : Method
    shape : tuple (B, d), shape of the states
    starts : int >= 1
    scale : float, standard deviation of the entries of a start
    separation : float, distance relative to ``1 + ||z||`` above which two fixed points count as different
    rng : numpy Generator or None, draws the starts; None takes a generator with seed 0

    Returns
    -------
    Multiplicity

    Raises
    ------
    InputError
        ``starts`` below 1.
    """
    check_whole("starts", starts)
    rng = np.random.default_rng(0) if rng is None else rng
    count = shape[0]
    found = np.zeros((starts, *shape))
    good = np.zeros((starts, count), dtype=bool)
    for k in range(starts):
        end = method(map_, scale * rng.standard_normal(shape))
        found[k], good[k] = end.value, end.converged
    apart = np.sqrt(np.sum((found[:, None] - found[None]) ** 2, axis=3))
    apart = np.where(good[:, None] & good[None], apart, 0.0)
    limit = separation * (1.0 + np.sqrt(np.sum(found**2, axis=2)))
    # A fixed point is counted if it differs from every one found earlier.
    new = good.copy()
    for k in range(1, starts):
        near = (apart[k, :k] <= limit[k]) & good[:k]
        new[k] &= ~near.any(axis=0)
    return Multiplicity(new.sum(axis=0), good.sum(axis=0), apart.max(axis=(0, 1)))


class Movement(NamedTuple):
    """Relative distances of equilibria from their starts.

    Attributes
    ----------
    from_start : (B,) float64, ``||z* - z0|| / ||z*||``
    from_one_step : (B,) float64, ``||z* - f(z0)|| / ||z*||``, the distance from one application of the layer
    """

    from_start: Floats
    from_one_step: Floats


def movement(map_: BatchMap, start: Floats, found: Floats) -> Movement:
    """How far equilibria lie from their starts and from one application of the map.

    Near 0 the layer has no effect beyond its start, or beyond a single explicit layer.

    Parameters
    ----------
    map_ : BatchMap
    start : (B, d) float64, states z0 from which the equilibria were solved
    found : (B, d) float64, equilibria z*

    Returns
    -------
    Movement
        Where ``z* = 0`` the distances are not divided by its norm.
    """
    size = lengths(found)
    safe = np.where(size > 0, size, 1.0)
    return Movement(lengths(found - start) / safe, lengths(found - map_.value(start)) / safe)
