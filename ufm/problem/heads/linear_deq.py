"""The linear deep-equilibrium head with a spectral budget."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.problem.heads.base import Arrays, Directions, Parameters, split_sizes
from ufm.problem.heads.equilibrium import Equilibrium, clip_spectrum
from ufm.problem.regularizers import NormBudget, Regularizer, WeightDecay
from ufm.problem.spelling import Spelling
from ufm.spectral.penalties import Nuclear, NuclearBall, Penalty


@dataclass(frozen=True)
class LinearDEQ(Equilibrium):
    r"""Features are equilibria ``z = A z + h`` of a linear map with ``||A||_2 <= rho < 1``.

    The penalty is that of the explicit head with ``mu (1 - rho)`` (decay) or ``c / (1 - rho)`` (budgets), for every width;
    ``A = rho I`` is optimal (docs/theory, Proposition 5.2). A is not penalised: the regulariser acts on W and on the injected
    features h.

    Parameters
    ----------
    rho : float in [0, 1), bound on the spectral norm of A

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
    spelling = Spelling("deq", "deq:rho=R", required={"rho": "rho"})

    def __post_init__(self) -> None:
        if not (isinstance(self.rho, Real) and 0 <= self.rho < 1):
            raise InputError(f"rho={self.rho!r} must satisfy 0 <= rho < 1: the equilibrium needs ||A||_2 <= rho < 1 to exist")
        object.__setattr__(self, "rho", float(self.rho))

    @property
    def limit(self) -> float:
        return self.rho

    @property
    def exact_gain(self) -> Fraction:
        return 1 / (1 - Fraction(self.rho))

    @property
    def gain(self) -> float:
        return 1.0 / (1.0 - self.rho)

    def penalty(self, regularizer: WeightDecay | NormBudget, n_classes: int) -> Penalty:
        if isinstance(regularizer, NormBudget):
            return NuclearBall(regularizer.radius(n_classes, self.gain))
        return Nuclear(regularizer.mu / self.gain)

    def directions(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> Directions:
        weight, features = split_sizes(singular * (1.0 - self.rho), regularizer)
        return Directions(weight, features, np.full(len(singular), self.rho))

    def project(self, arrays: Arrays, regularizer: Regularizer, n_classes: int) -> Arrays:
        return (clip_spectrum(arrays[0], self.rho),)

    def admits(self, parameters: Parameters, regularizer: Regularizer) -> bool:
        return float(np.linalg.norm(self.arrays(parameters)[0], 2)) <= self.rho * (1 + 1e-9)

    def certificate(self) -> dict[str, object]:
        return {"kind": "linear_deq", "rho": str(Fraction(self.rho))}

    def __str__(self) -> str:
        return f"deq:rho={self.rho:g}"
