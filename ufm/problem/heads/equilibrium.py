"""Base class of the linear equilibrium heads, with last-layer features ``z = (I - A)^{-1} h``."""

from __future__ import annotations

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.problem.heads.base import Arrays, FeaturePullback, Head, Parameters


class Equilibrium(Head):
    """A linear map A (d, d) with ``||A||_2 <= limit < 1``.

    The equilibrium exists and is unique (docs/theory, Proposition 5.1).
    """

    verified = True
    constrained = True

    @property
    def limit(self) -> float:
        """Bound on the spectral norm of A, below 1."""
        raise TypeError("an equilibrium head defines its limit")

    def initial(self, dim: int, rng: np.random.Generator, scale: float) -> Arrays:
        return (0.1 * self.limit * rng.standard_normal((dim, dim)) / (2.0 * np.sqrt(dim)),)

    def forward(self, arrays: Arrays, features: Floats) -> tuple[Floats, FeaturePullback]:
        (mixing,) = arrays
        resolvent = np.linalg.inv(np.eye(len(mixing)) - mixing)
        outputs = resolvent @ features

        def pullback(slope: Floats) -> tuple[Floats, Arrays]:
            inner = resolvent.T @ slope
            return inner, (inner @ outputs.T,)

        return outputs, pullback

    def arrays(self, parameters: Parameters) -> Arrays:
        if parameters.mixing is None or parameters.layers:
            raise InputError(f"parameters lack the mixing matrix A that the head {self} needs, or have linear layers")
        return (parameters.mixing,)

    def parameters(self, weight: Floats, features: Floats, arrays: Arrays, bias: Floats | None) -> Parameters:
        return Parameters(weight, features, arrays[0], bias)

    def amplification(self, arrays: Arrays) -> float:
        return 1.0 / (1.0 - self.limit)


def clip_spectrum(mixing: Floats, limit: float) -> Floats:
    """The matrix nearest to ``mixing`` (d, d) with singular values at most ``limit``, (d, d).

    A matrix with NaN or infinite entries is returned as it is.
    """
    if not np.isfinite(mixing).all():
        return mixing
    u, sigma, vt = np.linalg.svd(mixing)
    return mixing if sigma[0] <= limit else (u * np.minimum(sigma, limit)) @ vt
