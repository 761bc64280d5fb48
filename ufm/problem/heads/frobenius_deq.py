"""The linear deep-equilibrium head with a Frobenius budget on its map."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from numbers import Real

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT
from ufm.errors import InputError
from ufm.problem.heads.base import Arrays, Directions, Parameters, split_sizes
from ufm.problem.heads.equilibrium import Equilibrium
from ufm.problem.regularizers import NormBudget, Regularizer, WeightDecay
from ufm.problem.spelling import Spelling
from ufm.spectral.penalties import NuclearMinusFrobenius, NuclearMinusFrobeniusBall, Penalty


@dataclass(frozen=True)
class FrobeniusDEQ(Equilibrium):
    r"""Equilibria ``z = A z + h`` with ``||A||_F^2 <= budget < 1``.

    The cost of logits is exactly ``||Z S||_* - sqrt(budget) ||Z S||_F``, attained by an A aligned with them (docs/theory,
    Proposition 5.6). Not convex; lower bounds use ``(1 - sqrt(budget)) ||Z S||_*`` (Proposition 2.5).

    Parameters
    ----------
    budget : float in [0, 1)
        ``E_A``, bound on ``||A||_F^2``.

    Raises
    ------
    InputError
        A budget outside [0, 1).

    Examples
    --------
    >>> FrobeniusDEQ(0.25).penalty(WeightDecay(1.0, 1.0), 10)
    NuclearMinusFrobenius(strength=1.0, budget=0.25)
    """

    budget: float
    spelling = Spelling("deq", "deq:frobenius=E", required={"frobenius": "budget"})

    def __post_init__(self) -> None:
        if not (isinstance(self.budget, Real) and 0 <= self.budget < 1):
            raise InputError(f"frobenius={self.budget!r} must satisfy 0 <= ||A||_F^2 < 1, so that equilibria exist")
        object.__setattr__(self, "budget", float(self.budget))

    @property
    def limit(self) -> float:
        return sqrt(self.budget)

    def penalty(self, regularizer: WeightDecay | NormBudget, n_classes: int) -> Penalty:
        if isinstance(regularizer, NormBudget):
            radius = regularizer.radius(n_classes)
            regularizer.check_logit(radius * (1.0 + self.limit) / (1.0 - self.budget))
            return NuclearMinusFrobeniusBall(radius, self.budget)
        return NuclearMinusFrobenius(regularizer.mu, self.budget)

    def strengths(self, singular: Floats, copies: Floats) -> Floats:
        """Singular values ``e sigma / ||sigma||_2`` of the optimal A, rounded down so that the budget holds exactly.

        Parameters
        ----------
        singular : (n,) float64, singular values of the scaled logits, not negative
        copies : (n,) float64, how often each occurs

        Returns
        -------
        (n,) float64
        """
        largest = float(singular.max(initial=0.0))
        if not largest > 0:
            return np.zeros_like(singular)
        parts = singular / largest
        found = np.minimum(self.limit * parts / float(np.sqrt(copies @ parts**2)), np.nextafter(1.0, 0.0))
        rounding = (2.0 * len(found) + 8.0) * UNIT
        while float(copies @ found**2) > self.budget * (1.0 - rounding) and _exceeds(found, copies, self.budget):
            found = np.nextafter(found, 0.0)
        return found

    def directions(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> Directions:
        a = self.strengths(singular, copies)
        return Directions(*split_sizes(singular * (1.0 - a), regularizer), a)

    def project(self, arrays: Arrays, regularizer: Regularizer, n_classes: int) -> Arrays:
        size = float(np.linalg.norm(arrays[0]))
        return (arrays[0] * (self.limit / size),) if size > self.limit else arrays

    def admits(self, parameters: Parameters, regularizer: Regularizer) -> bool:
        return float(np.sum(self.arrays(parameters)[0] ** 2)) <= self.budget * (1 + 1e-9)

    def certificate(self) -> dict[str, object]:
        return {"kind": "frobenius_deq", "budget": str(Fraction(self.budget))}

    def __str__(self) -> str:
        return f"deq:frobenius={self.budget:g}"


def _exceeds(mixing: Floats, copies: Floats, budget: float) -> bool:
    """Whether the squares of A's singular values sum to more than the budget, in exact arithmetic."""
    squares = (Fraction(c) * Fraction(a) ** 2 for a, c in zip(mixing.tolist(), copies.tolist(), strict=True))
    return sum(squares, Fraction(0)) > Fraction(budget)
