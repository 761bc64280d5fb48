"""What a penalty on singular values is to the rest of the toolkit."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from ufm._arrays import Floats


@runtime_checkable
class Penalty(Protocol):
    """A symmetric function of singular values ``sigma_i`` that occur ``copies_i`` times each.

    A *price* is added to the loss; a *ball* (``ball = True``) is a constraint ``gauge <= 1`` with a gauge of degree one.

    convex : whether it is a convex function (or a convex set) of the matrix
    ball : whether it is a constraint
    separable : whether a price is a sum over singular values
    modulus : concavity modulus: the least m for which ``penalty + m/2 sum sigma_i^2`` is convex; infinite for powers < 1
    """

    convex: bool
    ball: bool
    separable: bool

    @property
    def modulus(self) -> float: ...

    def value(self, singular: Floats, copies: Floats) -> float:
        """The price; for a ball 0 inside (up to rounding) and infinite outside."""
        ...

    def gauge(self, singular: Floats, copies: Floats) -> float:
        """How many times the ball must grow to hold these values (0 for a price)."""
        ...

    def accuracy(self, singular: Floats) -> float:
        """Relative rounding error of `value` or `gauge` there, parameters included, in multiples of `ufm._rounding.UNIT`."""
        ...

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        """Derivative of the price, or of a ball's gauge, by one copy of each (positive) singular value."""
        ...

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        """Minimiser of ``sum_i copies_i (s_i - sigma_i)^2 / (2 step_i) + penalty(s)`` and the multiplier of a ball."""
        ...

    def relaxed(self, upper: float) -> Penalty:
        """A convex penalty of the nuclear norm, nowhere above this one where this one is at most ``upper``."""
        ...


class Price:
    """Defaults of penalties that are added to the loss."""

    ball = False
    separable = True

    def accuracy(self, singular: Floats) -> float:
        return len(singular) + 24.0

    def gauge(self, singular: Floats, copies: Floats) -> float:
        return 0.0


class Ball:
    """Defaults of penalties that are constraints."""

    ball = True
    separable = False

    def accuracy(self, singular: Floats) -> float:
        return len(singular) + 24.0

    def gauge(self, singular: Floats, copies: Floats) -> float:
        raise TypeError("a ball defines its gauge")

    def value(self, singular: Floats, copies: Floats) -> float:
        """0 inside (up to rounding), infinite outside."""
        return 0.0 if self.gauge(singular, copies) <= 1 + 1e-12 else np.inf
