"""What to ask of a trained equilibrium: growth rates, multiplicity, and whether it does anything at all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.deq.bounds import lengths
from ufm.deq.fixed_point.base import Method, whole
from ufm.deq.maps.base import BatchMap, batch


def spectral_radius(map_: BatchMap, z: Floats, *, steps: int = 200, rng: np.random.Generator | None = None) -> Floats:
    """Spectral radius of every sample's Jacobian, by the growth rate of ``v -> v J``.

    ``(||v_t|| / ||v_s||)^(1/(t-s))`` over the last half of the steps, (B,). A growth rate, because a Rayleigh quotient is wrong
    where the leading eigenvalues are complex, as they are for most Jacobians that are not symmetric. Level numeric: the error
    falls like 1 / steps.

    Parameters
    ----------
    map_ : BatchMap
    z : (B, d), where the Jacobian is taken
    steps : int >= 8
    rng : numpy Generator, for the starting rows (seed 0 if left out)

    Examples
    --------
    >>> import numpy as np, ufm
    >>> turn = np.array([[0.0, -0.5], [0.5, 0.0]])
    >>> layer = ufm.deq.LinearLayer(turn, np.eye(2), np.zeros(2))
    >>> found = spectral_radius(layer.at(np.zeros((1, 2))), np.zeros((1, 2)))
    >>> f"{found[0]:.6f}"
    '0.500000'
    """
    whole("steps", steps, 8)
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

    distinct : (B,) int, how many of the converged ends differ by more than ``separation`` (at least 1 where any converged)
    converged : (B,) int, how many starts converged
    spread : (B,) float64, largest distance between converged ends
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
    """Solve from random starts and count different fixed points: a probe, so 1 proves nothing (a contraction bound does).

    Parameters
    ----------
    map_ : BatchMap
    method : Method
    shape : (B, d) of the states
    starts : int
    scale : float, standard deviation of the starting entries
    separation : float, distance relative to ``1 + ||z||`` above which two ends count as different
    rng : numpy Generator (seed 0 if left out)
    """
    whole("starts", starts)
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
    # An end is new if it differs from every earlier one.
    new = good.copy()
    for k in range(1, starts):
        near = (apart[k, :k] <= limit[k]) & good[:k]
        new[k] &= ~near.any(axis=0)
    return Multiplicity(new.sum(axis=0), good.sum(axis=0), apart.max(axis=(0, 1)))


class Movement(NamedTuple):
    """How far solving moved the states.

    from_start : (B,) ``||z* - z0|| / ||z*||``
    from_one_step : (B,) ``||z* - f(z0)|| / ||z*||``: what the iterations add to a single explicit layer
    """

    from_start: Floats
    from_one_step: Floats


def movement(map_: BatchMap, start: Floats, found: Floats) -> Movement:
    """The no-op control on states: a DEQ whose equilibria are its initial states (or one layer of them) does nothing."""
    size = lengths(found)
    safe = np.where(size > 0, size, 1.0)
    return Movement(lengths(found - start) / safe, lengths(found - map_.value(start)) / safe)
