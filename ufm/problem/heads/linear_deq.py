"""The linear deep-equilibrium head with a spectral budget."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

import numpy as np

from ufm.errors import InputError
from ufm.problem.heads.base import Floats, Parameters, Pullback


@dataclass(frozen=True)
class LinearDEQ:
    r"""Features are equilibria ``z = A z + h`` of a linear map with ``||A||_2 <= rho < 1``.

    ``(I - A)^{-1}`` enlarges no singular value by more than ``1 / (1 - rho)``, and ``A = rho I`` attains this for all at
    once, so the penalty is that of the explicit head with ``mu (1 - rho)`` (decay) or ``c / (1 - rho)`` (budgets).
    A itself is not penalised: the regulariser acts on W and on the injected features h.

    Parameters
    ----------
    rho : float in [0, 1)

    Raises
    ------
    InputError
        rho outside [0, 1).

    Examples
    --------
    >>> LinearDEQ(0.5).gain
    2.0
    """

    rho: float

    def __post_init__(self) -> None:
        if not (isinstance(self.rho, Real) and 0 <= self.rho < 1):
            raise InputError(f"rho={self.rho!r} must satisfy 0 <= rho < 1: the equilibrium needs ||A||_2 <= rho < 1 to exist")
        object.__setattr__(self, "rho", float(self.rho))

    @property
    def gain(self) -> float:
        return 1.0 / (1.0 - self.rho)

    @property
    def exact_gain(self) -> Fraction:
        return 1 / (1 - Fraction(self.rho))

    def recover(self, weight: Floats, outputs: Floats) -> Parameters:
        mixing = self.rho * np.eye(len(outputs))
        return Parameters(weight, (1.0 - self.rho) * outputs, mixing)

    def initial(self, dim: int, rng: np.random.Generator) -> Floats:
        return self.project(0.1 * self.rho * rng.standard_normal((dim, dim)) / np.sqrt(dim))

    def forward(self, mixing: Floats | None, features: Floats) -> tuple[Floats, Pullback]:
        assert mixing is not None
        resolvent = np.linalg.inv(np.eye(len(mixing)) - mixing)
        outputs = resolvent @ features

        def pullback(slope: Floats) -> tuple[Floats, Floats]:
            inner = resolvent.T @ slope
            return inner, inner @ outputs.T

        return outputs, pullback

    def project(self, mixing: Floats | None) -> Floats:
        assert mixing is not None
        if not np.isfinite(mixing).all():
            return mixing
        u, sigma, vt = np.linalg.svd(mixing)
        return mixing if sigma[0] <= self.rho else (u * np.minimum(sigma, self.rho)) @ vt

    def admits(self, mixing: Floats | None) -> bool:
        if mixing is None:
            raise InputError("parameters lack the mixing matrix A that the equilibrium head needs")
        return float(np.linalg.norm(mixing, 2)) <= self.rho * (1 + 1e-9)

    def certificate(self) -> dict[str, object]:
        return {"kind": "linear_deq", "rho": str(Fraction(self.rho))}

    def __str__(self) -> str:
        return f"deq:rho={self.rho:g}"
