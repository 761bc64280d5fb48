r"""Gradients through an equilibrium ``z* = f(z*; x, theta)``.

With ``v = dL/dz*`` and the Jacobian J of f at z*, the gradient is ``dL/dtheta = g df/dtheta``, where the row g solves the
linear adjoint system ``g = v + g J`` for every sample (docs/theory, Proposition 10.4). The system is solved as a fixed-point
problem of its own, with its own method, tolerance and status. Where it is not solved, an error is raised or a warning given.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np

from ufm._arrays import Floats, check_whole
from ufm._rounding import UNIT
from ufm.deq.bounds import lengths, operator_norm
from ufm.deq.fixed_point.anderson import Anderson
from ufm.deq.fixed_point.base import FixedPoint, FixedPointStats, FixedPointStatus, Method, share
from ufm.deq.fixed_point.splitting import Splitting
from ufm.deq.maps.base import BatchMap, Gradients, Layer, MapPullback, Rows
from ufm.deq.maps.monotone import MonotoneMap
from ufm.errors import ConvergenceError, InputError


class AdjointWarning(UserWarning):
    """An adjoint system was not solved to its tolerance."""


@dataclass(frozen=True, eq=False)
class AdjointMap(BatchMap):
    """The linear map ``g -> v + g J`` whose fixed points solve the adjoint system.

    Parameters
    ----------
    cotangent : (B, d) float64, the rows v
    pull : MapPullback, ``g -> g J`` at the equilibria
    """

    cotangent: Floats
    pull: MapPullback

    def value(self, z: Floats) -> Floats:
        """``v + z J`` for rows z, (B, d)."""
        return self.cotangent + self.pull(z)

    def vjp(self, z: Floats, cotangent: Floats) -> Floats:
        """Not available, for any z and cotangent of shape (B, d): the map is linear and is solved directly by `Dense`.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError("Newton does not fit an adjoint system, which is linear: use Dense() for a direct solution")

    def restrict(self, rows: Rows) -> AdjointMap:
        return AdjointMap(self.cotangent[rows], self.pull.restrict(rows))


@dataclass(frozen=True, kw_only=True)
class Adjoint(ABC):
    """A way to solve the adjoint system ``g = v + g J``.

    Parameters
    ----------
    failure : {"raise", "warn"}
        What happens where a system is not solved to its tolerance: ConvergenceError is raised (default), or
        `AdjointWarning` is given and the best rows found are returned, with a status that says so.

    Raises
    ------
    InputError
        Another ``failure``.
    """

    failure: str = "raise"

    def __post_init__(self) -> None:
        if self.failure not in ("raise", "warn"):
            raise InputError(f"failure is {self.failure!r}; choose 'raise' or 'warn'")

    @abstractmethod
    def solve(self, map_: BatchMap, z: Floats, cotangent: Floats) -> FixedPoint:
        """Solve the adjoint system at an equilibrium and report the outcome; failures are neither raised nor warned about.

        Parameters
        ----------
        map_ : BatchMap, the map f
        z : (B, d) float64, fixed points of ``map_``
        cotangent : (B, d) float64, the rows ``v = dL/dz``

        Returns
        -------
        FixedPoint
            ``value`` has the rows g, (B, d) float64; ``residual`` and ``relative`` are those of ``g = v + g J``; ``status``
            and ``converged`` say whether the tolerance is met.

        Raises
        ------
        InputError
            The method does not fit the map.
        """
        ...

    def __call__(self, map_: BatchMap, z: Floats, cotangent: Floats) -> FixedPoint:
        """Solve the adjoint system at an equilibrium; a failure is raised or warned about.

        Parameters
        ----------
        map_ : BatchMap, the map f
        z : (B, d) float64, fixed points of ``map_``
        cotangent : (B, d) float64, the rows ``v = dL/dz``

        Returns
        -------
        FixedPoint
            ``value`` has the rows g, (B, d) float64.

        Raises
        ------
        ConvergenceError
            The system is not solved to its tolerance and ``failure`` is "raise".
        InputError
            The method does not fit the map.
        """
        found = self.solve(map_, z, cotangent)
        if found.status not in (FixedPointStatus.CONVERGED, FixedPointStatus.TRUNCATED):
            failed = int(np.count_nonzero(~found.converged))
            worst = float(found.relative.max())
            message = (
                f"the adjoint of {failed} of {len(z)} samples is not solved (worst relative residual {worst:.1e}): "
                f"{found.status.message}"
            )
            if self.failure == "raise":
                raise ConvergenceError(message)
            warnings.warn(message, AdjointWarning, stacklevel=2)
        return found


@dataclass(frozen=True, kw_only=True)
class Implicit(Adjoint):
    """Solve the adjoint system by a fixed-point method, with vector-Jacobian products only.

    Parameters
    ----------
    method : Method
        Anderson (default), Broyden or Picard, with its own tolerance; ForwardBackward or PeacemanRachford for the map of a
        `MonotoneLayer`. Newton does not fit.
    """

    method: Method = field(default_factory=Anderson)

    def solve(self, map_: BatchMap, z: Floats, cotangent: Floats) -> FixedPoint:
        if isinstance(self.method, Splitting):
            if not isinstance(map_, MonotoneMap):
                raise InputError(f"{type(self.method).__name__} needs the map of a MonotoneLayer; use Anderson")
            split = map_.split_adjoint(z, cotangent)
            # The splitting finds y = D (v + W'y); g = v + y W then has a residual of up to ||W|| times that of y.
            method = replace(self.method, rtol=self.method.rtol / (1.0 + operator_norm(map_.weight)))
            found = method.on(split, split.prox(cotangent))
            g = cotangent + found.value @ map_.weight
            return _checked(g, cotangent + map_.linearised(z)(g), self.method.rtol, found.stats, found.status)
        return self.method(AdjointMap(cotangent, map_.linearised(z)), cotangent)


@dataclass(frozen=True, kw_only=True)
class Dense(Adjoint):
    """Solve the adjoint system by LU with the dense (d, d) Jacobian of every sample, and check the residual.

    Parameters
    ----------
    rtol : float in (0, 1), relative residual above which a sample counts as not solved

    Raises
    ------
    InputError
        rtol outside (0, 1).
    """

    rtol: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        _tolerance(self.rtol)

    def solve(self, map_: BatchMap, z: Floats, cotangent: Floats) -> FixedPoint:
        jacobian = map_.jacobian(z)
        matrix = np.eye(z.shape[1]) - jacobian.transpose(0, 2, 1)
        broken = ~np.isfinite(matrix).all(axis=(1, 2))
        matrix[broken] = np.eye(z.shape[1])
        try:
            solved = np.linalg.solve(matrix, cotangent[:, :, None])
        except np.linalg.LinAlgError:
            solved = np.linalg.pinv(matrix) @ cotangent[:, :, None]
        g = np.asarray(solved[:, :, 0], dtype=np.float64)
        g[broken] = np.nan
        f = cotangent + np.einsum("ba,bad->bd", g, jacobian)
        found = _checked(g, f, self.rtol, FixedPointStats(0, 0, jacobians=1), FixedPointStatus.STAGNATED)
        # The rows of a nearly singular system are huge, so that any residual is small relative to them. The rounding error is
        # therefore compared with v as well.
        noise = z.shape[1] * UNIT * lengths(g) * (1.0 + np.sqrt(np.sum(jacobian**2, axis=(1, 2))))
        met = found.converged & (noise <= self.rtol * lengths(cotangent))
        met |= lengths(g) == 0.0
        return replace(found, converged=met, status=found.status if met.all() else FixedPointStatus.STAGNATED)


@dataclass(frozen=True, kw_only=True)
class Gmres(Adjoint):
    """Solve the adjoint system by GMRES (scipy) on the whole batch, restarted until every sample meets the tolerance.

    Parameters
    ----------
    rtol : float in (0, 1), relative residual of every sample
    restart : int >= 1, dimension of the Krylov space
    max_calls : int >= 1, number of products with the Jacobian (of the batch) after which it stops

    Raises
    ------
    InputError
        An option outside its range.
    """

    rtol: float = 1e-6
    restart: int = 40
    max_calls: int = 400

    def __post_init__(self) -> None:
        super().__post_init__()
        _tolerance(self.rtol)
        check_whole("restart", self.restart)
        check_whole("max_calls", self.max_calls)

    def solve(self, map_: BatchMap, z: Floats, cotangent: Floats) -> FixedPoint:
        from scipy.sparse.linalg import LinearOperator, gmres

        pull, shape, calls = map_.linearised(z), z.shape, 0

        def apply(flat: Floats) -> Floats:
            nonlocal calls
            calls += 1
            g = flat.reshape(shape)
            return (g - pull(g)).ravel()

        operator = LinearOperator((z.size, z.size), matvec=apply, dtype=np.float64)  # type: ignore[call-arg]
        g, wanted = cotangent.ravel(), self.rtol
        while True:
            # A cycle takes ``size`` products, one for the first residual, one for the last, and one for the check below.
            size = max(1, min(self.restart, z.size, self.max_calls - calls - 3))
            g, _ = gmres(operator, cotangent.ravel(), g, rtol=wanted, atol=0.0, restart=size, maxiter=1)
            rows, calls = g.reshape(shape), calls + 1
            found = _checked(
                rows, cotangent + pull(rows), self.rtol, FixedPointStats(calls, calls * len(z)), FixedPointStatus.MAX_CALLS
            )
            if found.converged.all() or calls + 4 > self.max_calls:
                return found
            if float(found.relative.max()) <= 10 * wanted and wanted < 1e-15:
                return replace(found, status=FixedPointStatus.STAGNATED)
            # GMRES judges the batch as a whole, so that single samples may still be above the tolerance.
            wanted = max(0.5 * wanted, 1e-16)


@dataclass(frozen=True, kw_only=True)
class Phantom(Adjoint):
    """The phantom gradient: ``steps`` times ``g <- damping (v + g J) + (1 - damping) g`` from 0.

    From Geng et al. (NeurIPS 2021; locator unknown). It approximates the gradient and does not solve the adjoint system: the
    status is "truncated", no sample counts as converged, and ``relative`` is the relative residual of the system. Only rows
    that are not finite count as a failure.

    Parameters
    ----------
    steps : int >= 1
    damping : float in (0, 1]

    Raises
    ------
    InputError
        An option outside its range.
    """

    steps: int = 5
    damping: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("steps", self.steps)
        share("damping", self.damping)

    def solve(self, map_: BatchMap, z: Floats, cotangent: Floats) -> FixedPoint:
        pull = map_.linearised(z)
        g = self.damping * cotangent
        for _ in range(self.steps - 1):
            g = self.damping * (cotangent + pull(g)) + (1.0 - self.damping) * g
        f = cotangent + pull(g)
        stats = FixedPointStats(self.steps, self.steps * len(z))
        found = _checked(g, f, np.inf, stats, FixedPointStatus.NON_FINITE)
        status = FixedPointStatus.TRUNCATED if found.converged.all() else FixedPointStatus.NON_FINITE
        return replace(found, status=status, converged=np.zeros(len(z), dtype=bool))


def _tolerance(rtol: float) -> None:
    if not (isinstance(rtol, Real) and 0 < float(rtol) < 1):
        raise InputError(f"rtol is {rtol!r}; give a relative residual such as 1e-6")


def _checked(
    g: Floats, f: Floats, rtol: float, stats: FixedPointStats, otherwise: FixedPointStatus, against: Floats | None = None
) -> FixedPoint:
    """The rows g with their residuals, relative to ``||f||`` or to ``against``, and a verdict for every sample."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        size, scale = lengths(f - g), lengths(f if against is None else against)
        relative = np.where(size == 0.0, 0.0, size / scale)
    relative = np.where(np.isfinite(relative), relative, np.inf)
    met = np.isfinite(g).all(axis=1) & (relative <= rtol)
    otherwise = FixedPointStatus.STAGNATED if otherwise is FixedPointStatus.CONVERGED else otherwise
    status = FixedPointStatus.CONVERGED if met.all() else FixedPointStatus.NON_FINITE if not np.isfinite(g).all() else otherwise
    return FixedPoint(g, status, stats, size, relative, met, np.array([relative.max()]))


def unrolled(layer: Layer, inputs: Floats, start: Floats, steps: int, cotangent: Floats) -> tuple[Floats, Floats, Gradients]:
    """Differentiate ``steps`` Picard iterations by backpropagation; tests compare the implicit gradient with it.

    Exact for the iteration; as ``steps`` grows it converges to the gradient through the equilibrium where the iteration does.

    Parameters
    ----------
    layer : Layer
    inputs : (B, p) float64
    start : (B, d) float64, states before the first iteration
    steps : int >= 1
    cotangent : (B, d) float64, ``dL/dz`` at the last state

    Returns
    -------
    tuple
        The last states, (B, d); the gradient of L by the inputs, (B, p); and the gradients by the parameters, a dict of
        arrays in their shapes.

    Raises
    ------
    InputError
        ``steps`` below 1.
    """
    check_whole("steps", steps)
    map_ = layer.at(inputs)
    states = [start]
    for _ in range(steps):
        states.append(map_.value(states[-1]))
    by_inputs = np.zeros_like(inputs)
    total = {name: np.zeros_like(value) for name, value in layer.parameters.items()}
    g = cotangent
    for z in reversed(states[:-1]):
        dx, gradients = layer.pull(z, inputs, g)
        by_inputs = by_inputs + dx
        total = {name: total[name] + gradients[name] for name in total}
        g = map_.vjp(z, g)
    return states[-1], by_inputs, total
