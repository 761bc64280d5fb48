"""The linear deep-equilibrium head with a Frobenius budget on its map."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from numbers import Real

import numpy as np

from ufm.errors import InputError
from ufm.problem.heads.base import Arrays, Floats, Parameters, split_sizes
from ufm.problem.heads.equilibrium import Equilibrium
from ufm.problem.regularizers import NormBudget, Regularizer, WeightDecay
from ufm.spectral.penalties import FrobeniusRelief, FrobeniusReliefBall, Penalty


@dataclass(frozen=True)
class FrobeniusDEQ(Equilibrium):
    r"""Equilibria ``z = A z + h`` with ``||A||_F^2 <= budget < 1``.

    An A aligned with the logits makes their cost ``||Z||_* - sqrt(budget) ||Z||_F``. This is what can be *attained*;
    whether an unaligned A can do better is open, so lower bounds use only ``||A||_2 <= ||A||_F``, the spectral head with
    ``rho = sqrt(budget)``. Not convex.

    Parameters
    ----------
    budget : float in [0, 1)
        ``E_A``.

    Examples
    --------
    >>> FrobeniusDEQ(0.25).penalty(WeightDecay(1.0, 1.0), 10)
    FrobeniusRelief(weight=1.0, strength=0.5)
    """

    budget: float

    def __post_init__(self) -> None:
        if not (isinstance(self.budget, Real) and 0 <= self.budget < 1):
            raise InputError(f"frobenius={self.budget!r} must satisfy 0 <= ||A||_F^2 < 1, so that equilibria exist")
        object.__setattr__(self, "budget", float(self.budget))

    @property
    def limit(self) -> float:
        return sqrt(self.budget)

    def penalty(self, regularizer: WeightDecay | NormBudget, classes: int) -> Penalty:
        if isinstance(regularizer, NormBudget):
            radius = regularizer.radius(classes)
            regularizer.check_logit(radius / (1.0 - self.limit))
            return FrobeniusReliefBall(radius, self.limit)
        return FrobeniusRelief(regularizer.mu, self.limit)

    def strengths(self, singular: Floats, copies: Floats) -> Floats:
        """Singular values of the best aligned A."""
        return self.limit * singular / max(float(np.sqrt(copies @ singular**2)), 1e-300)

    def sizes(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> tuple[Floats, Floats]:
        kept = 1.0 - self.strengths(singular, copies)
        weight, features = split_sizes(singular * kept, regularizer)
        return weight, features / kept

    def recover(self, left: Floats, singular: Floats, right: Floats, scale: Floats, regularizer: Regularizer) -> Parameters:
        a = self.strengths(singular, np.ones(len(singular)))
        weight, features = split_sizes(singular * (1.0 - a), regularizer)
        return Parameters(left * weight, features[:, None] * right, np.diag(a))

    def project(self, arrays: Arrays, regularizer: Regularizer, classes: int) -> Arrays:
        size = float(np.linalg.norm(arrays[0]))
        return (arrays[0] * (self.limit / size),) if size > self.limit else arrays

    def admits(self, parameters: Parameters, regularizer: Regularizer) -> bool:
        return float(np.sum(self.arrays(parameters)[0] ** 2)) <= self.budget * (1 + 1e-9)

    def certificate(self) -> dict[str, object]:
        return {"kind": "frobenius_deq", "budget": str(Fraction(self.budget))}

    def __str__(self) -> str:
        return f"deq:frobenius={self.budget:g}"
