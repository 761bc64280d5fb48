r"""The equilibrium layer ``z = sigma(W z + U x + b)`` with sigma = tanh, ReLU or the identity.

With the identity it is the linear DEQ ``z = (I - W)^{-1} (U x + b)``; `LinearLayer` solves it directly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import gamma
from ufm.deq.bounds import operator_norm, residual_bound
from ufm.deq.maps.activations import Activation, activation
from ufm.deq.maps.base import BatchMap, Gradients, Layer, MapPullback, Rows, batch
from ufm.errors import InputError
from ufm.problem.heads.equilibrium import clip_spectrum


@dataclass(frozen=True, eq=False)
class AffineMap(BatchMap):
    """The map ``z -> sigma(z W' + u)`` of a batch.

    Parameters
    ----------
    weight : (d, d) float64, W
    drive : (B, d) float64, u, computed once from the inputs
    sigma : Activation
    """

    weight: Floats
    drive: Floats
    sigma: Activation

    def value(self, z: Floats) -> Floats:
        found = z @ self.weight.T
        found += self.drive
        return self.sigma.apply(found, found)

    def vjp(self, z: Floats, cotangent: Floats) -> Floats:
        return (cotangent * self.sigma.slope(self.value(z))) @ self.weight

    def linearised(self, z: Floats) -> MapPullback:
        return MapPullback(lambda map_, slope, v: (v * slope) @ map_.weight, self, self.sigma.slope(self.value(z)))  # type: ignore[attr-defined]

    def jacobian(self, z: Floats) -> Floats:
        return self.sigma.slope(self.value(z))[:, :, None] * self.weight

    def restrict(self, rows: Rows) -> AffineMap:
        return AffineMap(self.weight, self.drive[rows], self.sigma)


@dataclass(frozen=True, eq=False)
class AffineLayer(Layer):
    r"""The layer ``z = sigma(W z + U x + b)``.

    Parameters
    ----------
    weight : (d, d), W
    injection : (d, p), U
    bias : (d,), b
    sigma : "tanh", "relu" or "linear"

    With ``||W||_2 < 1`` the map is a contraction and has exactly one equilibrium (docs/theory, Proposition 10.1); `projected`
    moves W to the nearest matrix with ``||W||_2`` at most a limit.

    Raises
    ------
    InputError
        Shapes that do not fit, NaN or infinity.

    Examples
    --------
    >>> import numpy as np, ufm
    >>> layer = ufm.deq.AffineLayer(np.full((1, 1), 0.5), np.ones((1, 1)), np.zeros(1), "tanh")
    >>> found = ufm.deq.Picard()(layer.at(np.ones((1, 1))), np.zeros((1, 1)))
    >>> bool(layer.error(found.value, np.ones((1, 1)))[0] < 1e-5)
    True
    """

    weight: Floats
    injection: Floats
    bias: Floats
    sigma: str = "tanh"

    def __post_init__(self) -> None:
        activation(self.sigma)
        for name in ("weight", "injection"):
            object.__setattr__(self, name, batch(name, getattr(self, name)))
        object.__setattr__(self, "bias", batch("bias", np.atleast_2d(self.bias))[0])
        d = len(self.bias)
        if self.weight.shape != (d, d) or len(self.injection) != d:
            shapes = f"weight {self.weight.shape}, injection {self.injection.shape} and bias {self.bias.shape}"
            raise InputError(f"{shapes} do not fit; give (d, d), (d, p) and (d,)")

    @classmethod
    def initial(cls, width: int, inputs: int, rng: np.random.Generator, *, sigma: str = "tanh", norm: float = 0.5):
        """A random layer: W and U Gaussian, U with variance 1/p, and b = 0.

        Parameters
        ----------
        width, inputs : int, dimensions d and p
        rng : numpy Generator
        sigma : str, activation
        norm : float, about ``||W||_2`` for large d

        Returns
        -------
        AffineLayer
        """
        weight = rng.standard_normal((width, width)) * (norm / (2.0 * np.sqrt(width)))
        return cls(weight, rng.standard_normal((width, inputs)) / np.sqrt(inputs), np.zeros(width), sigma)

    @property
    def parameters(self) -> Gradients:
        return {"weight": self.weight, "injection": self.injection, "bias": self.bias}

    def replaced(self, parameters: Gradients) -> AffineLayer:
        return replace(self, **parameters)

    @property
    def width(self) -> int:
        return len(self.bias)

    @property
    def matrix(self) -> Floats:
        """W, (d, d) float64."""
        return self.weight

    def drive(self, inputs: Floats) -> Floats:
        """``U x + b`` for inputs (B, p), as (B, d)."""
        return inputs @ self.injection.T + self.bias

    def at(self, inputs: Floats) -> AffineMap:
        return AffineMap(self.matrix, self.drive(inputs), activation(self.sigma))

    def pull(self, z: Floats, inputs: Floats, cotangent: Floats) -> tuple[Floats, Gradients]:
        mass = cotangent * activation(self.sigma).slope(self.at(inputs).value(z))
        return mass @ self.injection, {
            **self.weight_gradient(mass.T @ z),
            "injection": mass.T @ inputs,
            "bias": mass.sum(axis=0),
        }

    def weight_gradient(self, slope: Floats) -> Gradients:
        """Gradients by the parameters that W is made of, from the gradient ``slope`` by W, (d, d)."""
        return {"weight": slope}

    def projected(self, limit: float | None) -> AffineLayer:
        if limit is None or np.linalg.norm(self.weight) <= limit:
            return self
        return replace(self, weight=clip_spectrum(self.weight, limit))

    def error(self, z: Floats, inputs: Floats) -> Floats:
        r"""``||z - z*||_2 <= ||f(z) - z||_2 / (1 - L)`` with ``L >= ||W||_2`` (docs/theory, Proposition 10.1).

        States z (B, d), inputs (B, p); the bounds are (B,), and infinite where L >= 1. Residual and L include a-priori bounds
        of their rounding (level float; Proposition 10.5).
        """
        norm = operator_norm(self.matrix)
        if norm >= 1.0:
            return np.full(len(z), np.inf)
        return self.residual(z, inputs) / (1.0 - norm)

    def residual(self, z: Floats, inputs: Floats) -> Floats:
        """Certified bounds on ``||f(z) - z||_2`` of the exact layer, the rounding of ``U x + b`` included.

        States z (B, d), inputs (B, p); the bounds are (B,) float64.
        """
        map_ = self.at(inputs)
        size = np.abs(inputs) @ np.abs(self.injection).T + np.abs(self.bias)
        extra = gamma(inputs.shape[1] + 2) * size * (1.0 + gamma(inputs.shape[1] + 2)) + np.abs(z) @ self.rounding().T
        return residual_bound(map_.value(z), map_.weight, map_.drive, z, extra)

    def rounding(self) -> Floats:
        """(d, d) bounds on the rounding of the entries of W; zero where W is a parameter itself."""
        return np.zeros_like(self.weight)

    def jacobian_penalty(self, z: Floats, inputs: Floats) -> tuple[float, Floats, Floats, Gradients]:
        r"""The Jacobian-norm penalty ``1/(2B) sum_i ||J_i||_F^2`` with its gradients.

        ``J = diag(sigma'(a)) W``, so that ``||J||_F^2 = sum_j sigma'(a_j)^2 ||w_j||^2`` in closed form. Bai et al. (ICML 2021;
        locator unknown) estimate the same penalty by random probes.

        Parameters
        ----------
        z : (B, d) float64, states
        inputs : (B, p) float64

        Returns
        -------
        tuple
            The penalty; its gradients by the states, (B, d), and by the inputs, (B, p); and a dict of its gradients by the
            parameters, arrays in their shapes.
        """
        act, matrix = activation(self.sigma), self.matrix
        t = self.at(inputs).value(z)
        slope, count = act.slope(t), len(z)
        rows = np.einsum("ij,ij->i", matrix, matrix)
        value = 0.5 * float(np.sum(slope**2 @ rows)) / count
        mass = slope * act.bend(t) * rows / count
        direct = (np.einsum("bi,bi->i", slope, slope) / count)[:, None] * matrix
        gradients = {**self.weight_gradient(mass.T @ z + direct), "injection": mass.T @ inputs, "bias": mass.sum(axis=0)}
        return value, mass @ matrix, mass @ self.injection, gradients
