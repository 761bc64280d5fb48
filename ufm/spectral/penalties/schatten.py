r"""Schatten quasi-norms: the penalties of several linear layers.

``L`` linear layers with decay above free features price a singular value s at
``(L+1)/2 (lambda_W^L lambda_H)^{1/(L+1)} s^{2/(L+1)}`` (docs/theory, Proposition 1.6). For ``L >= 2`` the price is concave, so
that logits of low rank cost less than logits of full rank with the same nuclear norm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import TINY, UNIT
from ufm.spectral.penalties.base import Ball, Price
from ufm.spectral.penalties.nuclear import Nuclear, NuclearBall


@dataclass(frozen=True)
class Schatten(Price):
    """``strength * sum_i sigma_i^power`` with ``0 < power < 1``.

    Parameters
    ----------
    strength : float > 0, ``(L+1)/2 (lambda_W^L lambda_H)^{1/(L+1)}``
    power : float, ``2 / (L+1)``

    >>> Schatten(2.0, 0.5).value(np.array([4.0]), np.array([3.0]))
    12.0
    """

    strength: float
    power: float
    convex = False

    def each(self, singular: Floats) -> Floats:
        """The price of each singular value."""
        return self.strength * singular**self.power

    def value(self, singular: Floats, copies: Floats) -> float:
        return self.strength * float(copies @ singular**self.power)

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        return self.strength * self.power * np.maximum(singular, 1e-300) ** (self.power - 1.0)

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        return shrink(singular, step * self.strength, self.power), self.strength

    def accuracy(self, singular: Floats) -> float:
        return len(singular) + 24.0 + 2.0 * _logarithm(singular)

    def range(self, upper: float) -> float:
        """Bound on singular values that cost at most ``upper``, widened by the rounding of the power and the logarithms."""
        error = (32.0 + 4.0 * abs(np.log(upper) - np.log(self.strength)) / self.power) * UNIT if upper > 0 else 0.0
        return float((upper / self.strength) ** (1.0 / self.power)) * (1.0 + error)

    def turn(self, curvature: Floats) -> Floats:
        """Points from which on the price plus ``curvature s^2 / 2`` is convex (docs/theory, Proposition 2.7)."""
        start = (self.strength * self.power * (1.0 - self.power) / curvature) ** (1.0 / (2.0 - self.power))
        return start * (1.0 + 1e-12)

    def relaxed(self, upper: float) -> Nuclear:
        """Chord of the concave price up to the largest singular value that ``upper`` allows (docs/theory, Proposition 2.5)."""
        largest = self.range(upper)
        error = (32.0 + 4.0 * float(_logarithm(np.array([largest])))) * UNIT
        return Nuclear(self.strength * largest ** (self.power - 1.0) * (1.0 - error))


@dataclass(frozen=True)
class SchattenBall(Ball):
    """``sum_i sigma_i^power <= level``: Frobenius budgets on each of several linear layers and on the features.

    Parameters
    ----------
    level : float > 0, ``((K E_W)^L K E_H)^{1/(L+1)}``
    power : float in (0, 1), ``2 / (L+1)``
    """

    level: float
    power: float
    convex = False

    def gauge(self, singular: Floats, copies: Floats) -> float:
        return (float(copies @ singular**self.power) / self.level) ** (1.0 / self.power)

    def accuracy(self, singular: Floats) -> float:
        total = abs(np.log(max(float(np.sum(singular**self.power)), TINY) / self.level))
        return (len(singular) + 24.0 + 2.0 * _logarithm(singular) + 4.0 * total) / self.power

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        size = self.gauge(singular, copies)
        return (np.maximum(singular, 1e-300) / size) ** (self.power - 1.0) / self.level

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        """Shrinkage with the least multiplier whose result lies inside: a stationary point, not always the nearest one."""
        if self.gauge(singular, copies) <= 1.0:
            return singular.copy(), 0.0
        low, high = 0.0, float(np.max(singular ** (2 - self.power) / step)) + 1e-300
        for _ in range(200):
            middle = 0.5 * (low + high)
            inside = self.gauge(shrink(singular, step * middle, self.power), copies) <= 1.0
            low, high = (low, middle) if inside else (middle, high)
        return shrink(singular, step * high, self.power), high

    def priced(self, multiplier: float) -> tuple[Schatten, float]:
        """``multiplier (sum sigma_i^power - level)``."""
        return Schatten(multiplier, self.power), multiplier * self.level

    def relaxed(self, upper: float) -> NuclearBall:
        """The nuclear-norm ball of radius ``level^{1/power}``, which contains this one (docs/theory, Proposition 2.5)."""
        error = (32.0 + 4.0 * abs(np.log(self.level))) / self.power * UNIT
        return NuclearBall(self.level ** (1.0 / self.power) * (1.0 + error))


def _logarithm(singular: Floats) -> float:
    """Largest absolute logarithm of the positive singular values: the factor by which a relative error of power grows."""
    positive = singular[singular > 0]
    return float(np.abs(np.log(positive)).max(initial=0.0))


def shrink(singular: Floats, weight: Floats, power: float) -> Floats:
    """Global minimisers over ``s >= 0`` of ``(s - sigma_i)^2 / 2 + weight_i s^power``, separately for each i.

    ``s + weight p s^{p-1} = sigma`` has at most two roots. Newton's method from sigma converges to the larger one, which is
    then compared with 0.

    Parameters
    ----------
    singular : (n,) float64, the values ``sigma_i >= 0``
    weight : (n,) float64 or scalar, > 0
    power : float in (0, 1)

    Returns
    -------
    (n,) float64
    """
    pull = np.asarray(weight, dtype=np.float64) * power
    turn = (pull * (1.0 - power)) ** (1.0 / (2.0 - power))
    alive = turn + pull * np.maximum(turn, 1e-300) ** (power - 1.0) < singular
    s, pull = np.where(alive, singular, 1.0), np.where(alive, pull, 0.0)
    for _ in range(60):
        curved = pull * s ** (power - 2.0)
        move = (s - singular + curved * s) / (1.0 + curved * (power - 1.0))
        moved = np.where(alive, np.maximum(s - move, turn), 1.0)
        step, s = np.abs(moved - s), moved
        if (step <= 1e-14 * s).all():  # the next step would be about the square of this one
            break
    better = 0.5 * (s - singular) ** 2 + weight * s**power < 0.5 * singular**2
    return np.where(alive & better, s, 0.0)
