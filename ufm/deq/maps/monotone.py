r"""Monotone equilibrium layers and the operator splittings that solve them (Winston & Kolter, NeurIPS 2020).

``W = (1 - m) I - A'A + B - B'`` makes ``I - W`` strongly monotone, ``x'(I - W)x >= m |x|^2``, for *every* A and B, so that
``z = relu(W z + U x + b)`` has exactly one equilibrium, whatever the norm of W. With ``prox = relu`` (the proximal operator of
an indicator, for every step size) both splittings are Picard iterations of another map:

* forward-backward: ``z -> prox(z + alpha (W z + u - z))``, a contraction for ``alpha < 2 m / ||I - W||^2``;
* Peaceman-Rachford: ``y -> 2 V(2 z - y + alpha u) - (2 z - y)``, ``z = prox(y)``, ``V = (I + alpha (I - W))^{-1}``, convergent
  for every alpha > 0.

The adjoint system ``y = D (v + W'y)``, D = sigma', has the same form with W' for W, ``y -> D y`` for prox and v for u.
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
    """``z = relu(W z + U x + b)`` with ``W = (1 - m) I - A'A + B - B'``.

    Parameters
    ----------
    weight : (d, d), A
    injection : (d, p), U
    bias : (d,), b
    skew : (d, d), B
    margin : float in (0, 1], m

    Raises
    ------
    InputError
        Shapes that do not fit, NaN or infinity, a margin outside (0, 1].

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
        """A random layer: A and B Gaussian of operator norm about ``norm``, U Gaussian with variance 1/p, b = 0."""
        a, b = (rng.standard_normal((width, width)) * (norm / (2.0 * np.sqrt(width))) for _ in range(2))
        injection = rng.standard_normal((width, inputs)) / np.sqrt(inputs)
        return cls(a, injection, np.zeros(width), skew=b, margin=margin)

    @property
    def parameters(self) -> Gradients:
        assert self.skew is not None
        return super().parameters | {"skew": self.skew}

    @property
    def matrix(self) -> Floats:
        a, b = self.weight, self.skew
        assert b is not None
        return (1.0 - self.margin) * np.eye(self.width) - a.T @ a + b - b.T

    def weight_gradient(self, slope: Floats) -> Gradients:
        return {"weight": -self.weight @ (slope + slope.T), "skew": slope - slope.T}

    def at(self, inputs: Floats) -> MonotoneMap:
        found = super().at(inputs)
        return MonotoneMap(found.weight, found.drive, found.sigma, self.margin)

    def projected(self, limit: float | None) -> MonotoneLayer:
        """Itself: the parametrisation needs no constraint."""
        return self

    def replaced(self, parameters: Gradients) -> MonotoneLayer:
        return replace(self, **parameters)

    def error(self, z: Floats, inputs: Floats) -> Floats:
        r"""``||z - z*||_2 <= (1 + ||W||_2 / m) ||f(z) - z||_2``.

        With ``p = f(z)``: ``W z + u - p`` is a subgradient of the indicator at p, whence ``m ||p - z*|| <= ||W (p - z)||`` by
        monotonicity. m is lowered by the rounding of W (level float).
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
    """The map of a batch, which splittings can take apart."""

    margin: float

    def restrict(self, rows: Rows) -> MonotoneMap:
        return MonotoneMap(self.weight, self.drive[rows], self.sigma, self.margin)

    def split(self) -> Split:
        """The value's operators."""
        return Split(self.weight, self.drive, None, self.margin)

    def split_adjoint(self, z: Floats, cotangent: Floats) -> Split:
        """The operators of the adjoint system at an equilibrium."""
        return Split(self.weight.T, cotangent, self.sigma.slope(self.value(z)), self.margin)


@dataclass(frozen=True, eq=False)
class Split:
    """``0 in (I - M) z - c + N(z)``: matrix M, offset c (B, d), and prox: ReLU, or a diagonal projection D (B, d)."""

    matrix: Floats
    offset: Floats
    mask: Floats | None
    margin: float

    def prox(self, y: Floats) -> Floats:
        return np.maximum(y, 0.0) if self.mask is None else self.mask * y

    def value(self, z: Floats) -> Floats:
        """``prox(M z + c)``, whose fixed points are sought."""
        return self.prox(z @ self.matrix.T + self.offset)

    def restrict(self, rows: Rows) -> Split:
        return Split(self.matrix, self.offset[rows], None if self.mask is None else self.mask[rows], self.margin)


@dataclass(frozen=True, eq=False)
class SplitMap(BatchMap):
    """A splitting as a map whose fixed points give the equilibria."""

    split: Split
    step: float
    apply: Callable[[Split, Floats, float, Floats | None], Floats]
    resolvent: Floats | None = None

    def value(self, z: Floats) -> Floats:
        return self.apply(self.split, z, self.step, self.resolvent)

    def vjp(self, z: Floats, cotangent: Floats) -> Floats:
        raise InputError("splittings are iterated, not differentiated; give PeacemanRachford or ForwardBackward to Implicit")

    def restrict(self, rows: Rows) -> SplitMap:
        return replace(self, split=self.split.restrict(rows))
