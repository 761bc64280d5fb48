"""The nuclear norm as a price and as a ball: the penalty of every convex head (docs/theory, Propositions 1.2 and 5.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm._arrays import Floats
from ufm.spectral.penalties.base import Ball, Price


@dataclass(frozen=True)
class Nuclear(Price):
    """``strength * sum_i sigma_i``, the penalty of weight decay.

    Parameters
    ----------
    strength : float > 0, ``sqrt(lambda_W lambda_H)`` divided by the head's gain
    """

    strength: float
    convex = True
    nuclear = True

    def accuracy(self, singular: Floats) -> float:
        """The sum of n terms, a product, and the error of the strength."""
        return len(singular) + 4.0

    def value(self, singular: Floats, copies: Floats) -> float:
        return self.strength * float(copies @ singular)

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        return np.full(len(singular), self.strength)

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        return np.maximum(singular - step * self.strength, 0.0), self.strength

    def each(self, singular: Floats) -> Floats:
        return self.strength * singular

    @property
    def least_slope(self) -> float:
        return self.strength

    def relaxed(self, upper: float) -> Nuclear:
        return self


@dataclass(frozen=True)
class NuclearBall(Ball):
    """``sum_i sigma_i <= radius``, the constraint of norm budgets.

    Parameters
    ----------
    radius : float > 0, ``K sqrt(E_W E_H)`` times the head's gain
    """

    radius: float
    convex = True
    nuclear = True

    def accuracy(self, singular: Floats) -> float:
        """The sum of n terms, a quotient, and the error of the radius."""
        return len(singular) + 4.0

    def gauge(self, singular: Floats, copies: Floats) -> float:
        return float(copies @ singular) / self.radius

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        return np.full(len(singular), 1.0 / self.radius)

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        """Projection: ``s_i = max(sigma_i - step_i m, 0)`` with the multiplier m that meets the radius."""
        if float(copies @ singular) <= self.radius:
            return singular.copy(), 0.0
        # Dropping the values below the threshold can only raise the multiplier, so the loop never has to restore one.
        active = copies
        while True:
            multiplier = (float(active @ singular) - self.radius) / float(active @ step)
            kept = np.maximum(singular - step * multiplier, 0.0)
            still = np.where(kept, active, 0.0)
            if (still == active).all() or not still.any():
                return kept, multiplier
            active = still

    def support(self, norms: Floats, copies: Floats) -> float:
        return self.radius * float(norms.max())

    def relaxed(self, upper: float) -> NuclearBall:
        return self
