"""What a penalty on singular values is to the rest of the toolkit.

Solvers and bounds never ask which penalty they have, only what it can do. Two base classes, `Price` and `Ball`, hold the
defaults; a penalty overrides what it can do better. `check_penalty` (`ufm.spectral.penalties.checking`) tests a new one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ufm._arrays import Floats


class Penalty(ABC):
    """A symmetric function of singular values ``sigma_i`` that occur ``copies_i`` times each.

    A *price* is added to the loss; a *ball* (``ball = True``) is a constraint ``gauge <= 1`` with a gauge of degree one.
    Arrays ``singular`` and ``copies`` are (n,) float64, not negative.

    Attributes
    ----------
    ball : bool, whether it is a constraint
    convex : bool, whether it is a convex function (or a convex set) of the matrix
    nuclear : bool, whether it is a multiple `strength` of the nuclear norm (a ball: the bound `radius` on it)
    strength, radius : float, of a nuclear price and of a nuclear ball
    columns : bool, whether it acts on scaled norms of the logits' columns instead of singular values
    kind, power, nonnegative : of a penalty on columns, see `ColumnPenalty`; `power` and `level` of a Schatten ball
    separable : bool, whether a price is a sum over singular values
    """

    ball: bool
    convex: bool
    separable: bool
    nuclear = False
    columns = False
    strength: float
    radius: float
    level: float
    kind: str
    power: float = 1
    nonnegative: bool = False

    @abstractmethod
    def value(self, singular: Floats, copies: Floats) -> float:
        """The price; for a ball 0 inside (up to rounding) and infinite outside."""
        ...

    @abstractmethod
    def gauge(self, singular: Floats, copies: Floats) -> float:
        """Smallest t >= 0 with ``singular`` in t times the ball (Minkowski gauge); 0 for a price."""
        ...

    def accuracy(self, singular: Floats) -> float:
        """Relative rounding error of `value` or `gauge` there, parameters included, in multiples of `ufm._rounding.UNIT`."""
        return len(singular) + 24.0

    @abstractmethod
    def slope(self, singular: Floats, copies: Floats) -> Floats:
        """(n,) derivative of the price, or of a ball's gauge, by one copy of each (positive) singular value."""
        ...

    @abstractmethod
    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        """Minimiser of ``sum_i copies_i (s_i - sigma_i)^2 / (2 step_i) + penalty(s)``, (n,), and the multiplier of a ball."""
        ...

    @abstractmethod
    def relaxed(self, upper: float) -> Penalty:
        """A convex penalty with a dual bound, nowhere above this one where this one is at most ``upper``.

        That is a `nuclear` one, one on `columns`, or one with a `conjugate`.
        """
        ...

    # What only some penalties can do; a solver or bound that needs it names what is missing.

    def each(self, singular: Floats) -> Floats:
        """(n,) price of each singular value; of a separable price.

        Raises
        ------
        TypeError
            The penalty does not say; scalar problems and bounds from moments then do not apply.
        """
        raise TypeError(f"{type(self).__name__} does not give the price of each singular value")

    def turn(self, curvature: Floats) -> Floats | None:
        """(n,) points from where ``price + curvature s^2 / 2`` is convex, not below the true ones; None where unknown."""
        return None

    def range(self, upper: float) -> float | None:
        """A bound on a singular value that alone costs at most ``upper``; None where unknown."""
        return None

    def conjugate(self, slopes: Floats, copies: Floats) -> float | None:
        """Upper bound on ``sum_i copies_i max_{s >= 0} (slopes_i s - price(s))``, rounding included; None where unknown.

        ``slopes`` are upper bounds on singular values of the dual matrix. A convex price that is no multiple of the nuclear
        norm needs it for a lower bound.
        """
        return None

    def priced(self, multiplier: float) -> tuple[Penalty, float] | None:
        """Of a ball, a price and an offset with ``price(s) <= offset`` for every s inside (Lagrange); None where unknown."""
        return None

    def support(self, norms: Floats, copies: Floats) -> float:
        """Of a ball, the largest inner product of a point inside with one whose singular values (column norms) are ``norms``.

        Raises
        ------
        TypeError
            The penalty does not say, so it has no lower bound of its own.
        """
        raise TypeError(f"{type(self).__name__} has no support function")

    @property
    def least_slope(self) -> float:
        """Infimum of the slope of a separable price over positive singular values."""
        return 0.0


class Price(Penalty):
    """Defaults of penalties that are added to the loss."""

    ball = False
    separable = True

    def gauge(self, singular: Floats, copies: Floats) -> float:
        return 0.0


class Ball(Penalty):
    """Defaults of penalties that are constraints."""

    ball = True
    separable = False

    def value(self, singular: Floats, copies: Floats) -> float:
        """0 inside (up to rounding), infinite outside."""
        return 0.0 if self.gauge(singular, copies) <= 1 + 1e-12 else np.inf
