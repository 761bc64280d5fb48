r"""The minimax concave penalty: the cost of logits under a linear equilibrium map with decay (docs/theory, Proposition 5.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT
from ufm.spectral.penalties.base import Price
from ufm.spectral.penalties.nuclear import Nuclear


@dataclass(frozen=True)
class MinimaxConcave(Price):
    r"""``phi(s) = mu s (1 - a) + decay a^2 / 2`` with ``a = min(mu s / decay, contraction)``.

    Quadratic up to ``s = contraction decay / mu``, then linear with slope ``mu (1 - contraction)``: large singular values
    cost less per unit than under the explicit head. The name is from Zhang (Ann. Statist. 2010, locator unknown).

    Parameters
    ----------
    mu : float > 0, ``sqrt(lambda_W lambda_H)``
    decay : float > 0, ``lambda_A``, decay on the map A (half convention)
    contraction : float in (0, 1), bound on ``||A||_2``

    >>> MinimaxConcave(1.0, 2.0, 0.5).value(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
    4.25
    """

    mu: float
    decay: float
    contraction: float
    convex = False

    @property
    def knee(self) -> float:
        """Singular value at which the quadratic part ends, ``contraction decay / mu``."""
        return self.contraction * self.decay / self.mu

    @property
    def modulus(self) -> float:
        """``mu^2 / decay``: adding ``modulus s^2 / 2`` makes the price convex."""
        return self.mu**2 / self.decay

    def each(self, singular: Floats) -> Floats:
        """The price of each singular value."""
        a = np.minimum(self.mu * singular / self.decay, self.contraction)
        return self.mu * singular * (1.0 - a) + 0.5 * self.decay * a**2

    def value(self, singular: Floats, copies: Floats) -> float:
        return float(copies @ self.each(singular))

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        return self.mu * (1.0 - np.minimum(self.mu * singular / self.decay, self.contraction))

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        bend = 1.0 - step * self.modulus
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = np.where(bend > 0, (singular - step * self.mu) / bend, 0.0)
        candidates = np.stack(
            [
                np.zeros_like(singular),
                np.clip(inner, 0.0, self.knee),
                np.maximum(singular - step * self.mu * (1.0 - self.contraction), self.knee),
            ]
        )
        costs = (candidates - singular) ** 2 / (2.0 * step) + self.each(candidates)
        return np.take_along_axis(candidates, np.argmin(costs, axis=0)[None], axis=0)[0], self.mu

    @property
    def least_slope(self) -> float:
        """``mu (1 - contraction)``."""
        return self.mu * (1.0 - self.contraction)

    def range(self, upper: float) -> float:
        """Bound on singular values that cost at most ``upper``, a few units in the last place above the best one.

        The inputs are widened by more than all later rounding errors, so cancellation cannot make the bound invalid
        (docs/theory, Proposition 2.5).
        """
        upper = upper * (1.0 + 16 * UNIT)
        corner = float(self.each(np.array([self.knee]))[0]) * (1.0 - 16 * UNIT)
        if upper >= corner:
            beyond = (upper - corner) / (self.mu * (1.0 - self.contraction))
            return (self.knee + beyond) * (1.0 + 16 * UNIT)
        part = upper / self.decay
        return 2.0 * upper / (self.mu * (1.0 + np.sqrt(max(1.0 - 2.0 * part, 0.0)))) * (1.0 + 16 * UNIT)

    def turn(self, curvature: Floats) -> Floats:
        """`knee`, or 0 where the price plus ``curvature s^2 / 2`` is convex everywhere (docs/theory, Proposition 2.7)."""
        return np.where(self.modulus * (1.0 + 16 * UNIT) > curvature, self.knee * (1.0 + 16 * UNIT), 0.0)

    def relaxed(self, upper: float) -> Nuclear:
        """Chord of the concave price up to the largest singular value that ``upper`` allows (docs/theory, Proposition 2.5)."""
        largest = self.range(upper)
        if not largest > 0:
            return Nuclear(self.mu * (1.0 - self.contraction))
        return Nuclear(float(self.each(np.array([largest]))[0]) / largest * (1.0 - 32 * UNIT))
