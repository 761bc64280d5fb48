r"""``sum sigma_i - e ||sigma||_2``: the exact cost of logits under a linear equilibrium with ``||A||_F <= e``.

(docs/theory, Proposition 5.6.) Few large singular values cost less than many equal ones of the same sum.

The penalties take the *budget* ``e^2``, not e: for e near 1 the cost is proportional to ``1 - e``, which is computed as
``(1 - e^2) / (1 + e)`` to avoid cancellation. Likewise ``sum sigma_i - ||sigma||_2`` is evaluated as
``2 sum_{i<j} sigma_i sigma_j`` over ``sum sigma_i + ||sigma||_2``, a sum of positive terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import TINY, UNIT
from ufm.spectral.penalties.base import Ball, Price
from ufm.spectral.penalties.nuclear import Nuclear, NuclearBall


def _kept(budget: float) -> float:
    """``1 - e`` from ``budget = e^2``, without cancellation."""
    return (1.0 - budget) / (1.0 + sqrt(budget))


def _difference(singular: Floats, copies: Floats, kept: float) -> float:
    """``sum sigma_i - e ||sigma||_2 = (sum sigma_i - ||sigma||_2) + (1 - e) ||sigma||_2``."""
    largest = float(singular.max(initial=0.0))
    if not largest > 0:
        return 0.0
    parts = singular / largest
    total, size = float(copies @ parts), float(np.sqrt(copies @ parts**2))
    before = np.concatenate([[0.0], np.cumsum(copies * parts)[:-1]])
    pairs = float((copies * parts) @ before) + 0.5 * float((copies * (copies - 1.0)) @ parts**2)
    return largest * (2.0 * pairs / (total + size) + kept * size)


def _slope(singular: Floats, copies: Floats, kept: float) -> Floats:
    largest = max(float(singular.max(initial=0.0)), TINY)
    share = singular / (largest * max(float(np.sqrt(copies @ (singular / largest) ** 2)), TINY))
    return (1.0 - share) + kept * share


def _shrink(singular: Floats, copies: Floats, weight: float, kept: float) -> Floats:
    """Minimiser of ``|s - sigma|^2 / 2 + weight (sum s - e ||s||)`` (Lou & Yan, J. Sci. Comput. 2018), each value once.

    Of values that occur more than once and are all at most ``weight`` it returns zero, which need not be the minimiser.
    """
    thresholded = np.maximum(singular - weight, 0.0)
    largest = float(thresholded.max(initial=0.0))
    if largest > 0:
        size = largest * float(np.sqrt(copies @ (thresholded / largest) ** 2))
        return thresholded * (1.0 + (1.0 - kept) * weight / size)
    # Below the threshold at most one singular value survives.
    single = np.where(copies == 1, singular, 0.0)
    top = int(np.argmax(single)) if len(single) else 0
    alone = np.zeros_like(singular)
    if len(single):
        alone[top] = max(single[top] - kept * weight, 0.0)
    return alone


@dataclass(frozen=True)
class NuclearMinusFrobenius(Price):
    """``strength (sum sigma_i - e ||sigma||_2)`` with ``0 <= e^2 = budget < 1``; `prox` uses one step, the largest given.

    Parameters
    ----------
    strength : float > 0, ``sqrt(lambda_W lambda_H)``
    budget : float in [0, 1), ``E_A``, bound on ``||A||_F^2``

    >>> NuclearMinusFrobenius(2.0, 0.25).value(np.array([3.0, 4.0]), np.array([1.0, 1.0]))
    9.0
    """

    strength: float
    budget: float
    convex = False
    separable = False

    @property
    def kept(self) -> float:
        """``1 - e``: price of a single singular value of size one, in multiples of the strength."""
        return _kept(self.budget)

    def value(self, singular: Floats, copies: Floats) -> float:
        return self.strength * _difference(singular, copies, self.kept)

    def accuracy(self, singular: Floats) -> float:
        return 4.0 * len(singular) + 32.0

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        return self.strength * _slope(singular, copies, self.kept)

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        return _shrink(singular, copies, float(step.max()) * self.strength, self.kept), self.strength

    def relaxed(self, upper: float) -> Nuclear:
        """``strength (1 - e)`` times the nuclear norm, as ``||sigma||_2 <= sum sigma_i`` (docs/theory, Proposition 2.5)."""
        return Nuclear(self.strength * self.kept * (1.0 - 16 * UNIT))


@dataclass(frozen=True)
class NuclearMinusFrobeniusBall(Ball):
    """``sum sigma_i - e ||sigma||_2 <= radius`` with ``0 <= e^2 = budget < 1``.

    Parameters
    ----------
    radius : float > 0, ``K sqrt(E_W E_H)``
    budget : float in [0, 1), ``E_A``, bound on ``||A||_F^2``
    """

    radius: float
    budget: float
    convex = False

    @property
    def kept(self) -> float:
        """``1 - e``."""
        return _kept(self.budget)

    def gauge(self, singular: Floats, copies: Floats) -> float:
        return _difference(singular, copies, self.kept) / self.radius

    def accuracy(self, singular: Floats) -> float:
        return 4.0 * len(singular) + 32.0

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        return _slope(singular, copies, self.kept) / self.radius

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        """Shrinkage with the least multiplier whose result lies inside: a stationary point, not always the nearest one."""
        if self.gauge(singular, copies) <= 1.0:
            return singular.copy(), 0.0
        unit = float(step.max())
        low, high = 0.0, float(singular.max()) / (unit * self.kept)
        for _ in range(200):
            middle = 0.5 * (low + high)
            inside = self.gauge(_shrink(singular, copies, unit * middle, self.kept), copies) <= 1.0
            low, high = (low, middle) if inside else (middle, high)
        return _shrink(singular, copies, unit * high, self.kept), high

    def relaxed(self, upper: float) -> NuclearBall:
        return NuclearBall(self.radius / self.kept * (1.0 + 16 * UNIT))
