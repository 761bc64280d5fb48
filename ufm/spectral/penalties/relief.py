r"""``sum sigma_i - e ||sigma||_2``: the cost that a Frobenius budget on an equilibrium map leaves.

With ``||A||_F <= e`` aligned with the logits, ``sum sigma_i (1 - a_i)`` over ``sum a_i^2 <= e^2`` is least at
``a = e sigma / ||sigma||_2``. Cheaper for few large singular values than for many equal ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm.spectral.penalties.base import Ball, Floats, Price
from ufm.spectral.penalties.nuclear import Nuclear, NuclearBall


def _relief(singular: Floats, copies: Floats, strength: float) -> float:
    return float(copies @ singular) - strength * float(np.sqrt(copies @ singular**2))


def _slope(singular: Floats, copies: Floats, strength: float) -> Floats:
    size = float(np.sqrt(copies @ singular**2))
    return 1.0 - strength * singular / max(size, 1e-300)


def _shrink(singular: Floats, copies: Floats, weight: float, strength: float) -> Floats:
    """Minimiser of ``|s - sigma|^2 / 2 + weight (sum s - strength ||s||)`` (Lou & Yan, J. Sci. Comput. 2018)."""
    kept = np.maximum(singular - weight, 0.0)
    size = float(np.sqrt(copies @ kept**2))
    if size > 0:
        return kept * (1.0 + strength * weight / size)
    # Below the threshold at most one singular value survives.
    single = np.where(copies == 1, singular, 0.0)
    top = int(np.argmax(single)) if len(single) else 0
    alone = np.zeros_like(singular)
    if len(single):
        alone[top] = max(single[top] - (1.0 - strength) * weight, 0.0)
    return alone


@dataclass(frozen=True)
class FrobeniusRelief(Price):
    """``weight (sum sigma_i - strength ||sigma||_2)`` with ``0 <= strength < 1``; equal steps in `prox`."""

    weight: float
    strength: float
    convex = False
    separable = False
    modulus = np.inf

    def value(self, singular: Floats, copies: Floats) -> float:
        return self.weight * _relief(singular, copies, self.strength)

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        return self.weight * _slope(singular, copies, self.strength)

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        return _shrink(singular, copies, float(step.max()) * self.weight, self.strength), self.weight

    def relaxed(self, upper: float) -> Nuclear:
        """``||sigma||_2 <= sum sigma_i``."""
        return Nuclear(self.weight * (1.0 - self.strength) * (1 - 1e-15))


@dataclass(frozen=True)
class FrobeniusReliefBall(Ball):
    """``sum sigma_i - strength ||sigma||_2 <= radius``."""

    radius: float
    strength: float
    convex = False
    modulus = np.inf

    def gauge(self, singular: Floats, copies: Floats) -> float:
        return _relief(singular, copies, self.strength) / self.radius

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        return _slope(singular, copies, self.strength) / self.radius

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        """Shrinkage with the least multiplier that ends inside: stationary, though not always the nearest point."""
        if self.gauge(singular, copies) <= 1.0:
            return singular.copy(), 0.0
        unit = float(step.max())
        low, high = 0.0, float(singular.max()) / (unit * (1.0 - self.strength))
        for _ in range(200):
            middle = 0.5 * (low + high)
            inside = self.gauge(_shrink(singular, copies, unit * middle, self.strength), copies) <= 1.0
            low, high = (low, middle) if inside else (middle, high)
        return _shrink(singular, copies, unit * high, self.strength), high

    def relaxed(self, upper: float) -> NuclearBall:
        return NuclearBall(self.radius / (1.0 - self.strength) * (1 + 1e-15))
