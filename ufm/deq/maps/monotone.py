r"""Monotone equilibrium layers and the operator splittings that solve them (Winston & Kolter, NeurIPS 2020).

With ``W = (1 - m) I - A'A + B - B'`` the layer ``z = relu(W z + U x + b)`` has exactly one equilibrium for *every* A and B,
whatever the norm of W (docs/theory, Proposition 10.2). Two splittings, Picard iterations of another map with ``prox = relu``,
find it (Proposition 10.3):

* forward-backward: ``z -> prox(z + alpha (W z + u - z))``, convergent for ``0 < alpha < 2 m / ||I - W||^2``;
* Peaceman-Rachford: ``y -> 2 V(2 z - y + alpha u) - (2 z - y)``, ``z = prox(y)``, ``V = (I + alpha (I - W))^{-1}``, convergent
  for every alpha > 0.

The adjoint system ``y = D (v + W'y)``, D = sigma', has the same form with W' for W, ``y -> D y`` for prox and v for u
(Proposition 10.4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT, gamma
from ufm.deq.bounds import operator_norm
from ufm.deq.maps.affine import AffineLayer, AffineMap
from ufm.deq.maps.base import BatchMap, Gradients, Rows, batch
from ufm.errors import InputError


@dataclass(frozen=True, eq=False)
class MonotoneLayer(AffineLayer):
    """The layer ``z = relu(W z + U x + b)`` with ``W = (1 - m) I - A'A + B - B'``.

    Parameters
    ----------
    weight : (d, d), A
    injection : (d, p), U
    bias : (d,), b
    sigma : "relu"
    skew : (d, d) or None, B; None takes 0
    margin : float in (0, 1], m

    Raises
    ------
    InputError
        Shapes that do not fit, NaN or infinity, another sigma, a margin outside (0, 1].

    Examples
    --------
    >>> import numpy as np, ufm
    >>> layer = ufm.deq.MonotoneLayer.initial(4, 2, np.random.default_rng(0))
    >>> found = ufm.deq.PeacemanRachford()(layer.at(np.ones((3, 2))), np.zeros((3, 4)))
    >>> found.status.name
    'CONVERGED'
    """

    sigma: str = "relu"
    skew: Floats | None = None
    margin: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        skew = np.zeros_like(self.weight) if self.skew is None else batch("skew", self.skew)
        object.__setattr__(self, "skew", skew)
        if skew.shape != self.weight.shape:
            raise InputError(f"skew {skew.shape} must have the shape of weight, {self.weight.shape}")
        if self.sigma != "relu":
            raise InputError(f"sigma is {self.sigma!r}; splitting needs a proximal operator for every step size: use 'relu'")
        if not 0 < self.margin <= 1:
            raise InputError(f"margin is {self.margin!r}; give 0 < m <= 1 such as 0.1")

    @classmethod
    def initial(  # type: ignore[override]
        cls, width: int, inputs: int, rng: np.random.Generator, *, margin: float = 0.1, norm: float = 0.5
    ) -> MonotoneLayer:
        """A random layer: A, B and U Gaussian, U with variance 1/p, and b = 0.

        Parameters
        ----------
        width, inputs : int, dimensions d and p
        rng : numpy Generator
        margin : float in (0, 1], m
        norm : float, about ``||A||_2`` and ``||B||_2`` for large d

        Returns
        -------
        MonotoneLayer
        """
        a, b = (rng.standard_normal((width, width)) * (norm / (2.0 * np.sqrt(width))) for _ in range(2))
        injection = rng.standard_normal((width, inputs)) / np.sqrt(inputs)
        return cls(a, injection, np.zeros(width), skew=b, margin=margin)

    @property
    def parameters(self) -> Gradients:
        assert self.skew is not None
        return super().parameters | {"skew": self.skew}

    @property
    def matrix(self) -> Floats:
        """``W = (1 - m) I - A'A + B - B'``, (d, d) float64."""
        a, b = self.weight, self.skew
        assert b is not None
        return (1.0 - self.margin) * np.eye(self.width) - a.T @ a + b - b.T

    def weight_gradient(self, slope: Floats) -> Gradients:
        return {"weight": -self.weight @ (slope + slope.T), "skew": slope - slope.T}

    def at(self, inputs: Floats) -> MonotoneMap:
        found = super().at(inputs)
        return MonotoneMap(found.weight, found.drive, found.sigma, self.margin)

    def projected(self, limit: float | None) -> MonotoneLayer:
        """The layer itself: it has one equilibrium whatever its parameters."""
        return self

    def replaced(self, parameters: Gradients) -> MonotoneLayer:
        return replace(self, **parameters)

    def error(self, z: Floats, inputs: Floats) -> Floats:
        r"""``||z - z*||_2 <= (1 + ||W||_2 / m) ||f(z) - z||_2`` (docs/theory, Proposition 10.2).

        States z (B, d), inputs (B, p); the bounds are (B,). The margin m is lowered by the rounding of W (level float;
        Proposition 10.5); where nothing is left of it the bounds are infinite.
        """
        matrix, entries = self.matrix, self.rounding()
        size = float(np.linalg.norm(entries)) * (1.0 + gamma(self.width**2))
        margin = self.margin * (1.0 - UNIT) - size
        if not margin > 0:
            return np.full(len(z), np.inf)
        return self.residual(z, inputs) * (1.0 + (operator_norm(matrix) + size) / margin) * (1.0 + 4 * UNIT)

    def rounding(self) -> Floats:
        a, b = np.abs(self.weight), np.abs(self.skew)  # type: ignore[arg-type]
        return gamma(self.width + 4) * (np.eye(self.width) + a.T @ a + b + b.T) * (1.0 + gamma(self.width + 4))


@dataclass(frozen=True, eq=False)
class MonotoneMap(AffineMap):
    """The map of a batch; the splittings work on its operators.

    Parameters
    ----------
    weight : (d, d) float64, W
    drive : (B, d) float64, ``u = U x + b``
    sigma : Activation
    margin : float, m
    """

    margin: float

    def restrict(self, rows: Rows) -> MonotoneMap:
        return MonotoneMap(self.weight, self.drive[rows], self.sigma, self.margin)

    def split(self) -> Split:
        """The operators of the equilibrium equation ``z = relu(W z + u)``."""
        return Split(self.weight, self.drive, None, self.margin)

    def split_adjoint(self, z: Floats, cotangent: Floats) -> Split:
        """The operators of the adjoint system ``y = D (v + W'y)``, for equilibria z, (B, d), and rows v, (B, d)."""
        return Split(self.weight.T, cotangent, self.sigma.slope(self.value(z)), self.margin)


@dataclass(frozen=True, eq=False)
class Split:
    """The operators of an equation ``z = prox(M z + c)``.

    Parameters
    ----------
    matrix : (d, d) float64, M
    offset : (B, d) float64, c
    mask : (B, d) float64 or None
        prox multiplies by this mask of zeros and ones; None makes it the ReLU.
    margin : float, m with ``x'(I - M) x >= m |x|^2``
    """

    matrix: Floats
    offset: Floats
    mask: Floats | None
    margin: float

    def prox(self, y: Floats) -> Floats:
        """The ReLU of y, (B, d), or its product with the mask, as (B, d)."""
        return np.maximum(y, 0.0) if self.mask is None else self.mask * y

    def value(self, z: Floats) -> Floats:
        """``prox(M z + c)`` at states z, (B, d), as (B, d)."""
        return self.prox(z @ self.matrix.T + self.offset)

    def restrict(self, rows: Rows) -> Split:
        """The operators of the samples at these positions, (m,) int, alone."""
        return Split(self.matrix, self.offset[rows], None if self.mask is None else self.mask[rows], self.margin)


@dataclass(frozen=True, eq=False)
class SplitMap(BatchMap):
    """The map that a splitting iterates; the equilibria follow from its fixed points.

    Parameters
    ----------
    split : Split
    step : float, alpha
    apply : callable (split, state, step, resolvent) -> (B, d), one step of the splitting
    resolvent : (d, d) float64 or None, ``(I + alpha (I - M))^{-1}`` where the splitting needs it
    """

    split: Split
    step: float
    apply: Callable[[Split, Floats, float, Floats | None], Floats]
    resolvent: Floats | None = None

    def value(self, z: Floats) -> Floats:
        return self.apply(self.split, z, self.step, self.resolvent)

    def vjp(self, z: Floats, cotangent: Floats) -> Floats:
        """Not available, for any z and cotangent of shape (B, d).

        Raises
        ------
        InputError
            Always.
        """
        raise InputError("splittings are iterated, not differentiated; give PeacemanRachford or ForwardBackward to Implicit")

    def restrict(self, rows: Rows) -> SplitMap:
        return replace(self, split=self.split.restrict(rows))
