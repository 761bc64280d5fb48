"""The interface of penalties on singular values.

Solvers and bounds call these methods and never ask for the class of a penalty. Two base classes, `Price` and `Ball`, hold
defaults for a penalty that is added to the loss and for one that is a constraint. `ufm.spectral.checking.check_penalty`
tests a new one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from ufm._arrays import Floats


class Penalty(ABC):
    """A symmetric function of singular values ``sigma_i`` that occur ``copies_i`` times each.

    A *price* is added to the loss; a *ball* (``ball = True``) is a constraint ``gauge <= 1`` with a gauge of degree one.
    Throughout, ``singular`` is (n,) float64, the distinct values ``sigma_i >= 0`` (singular values of the scaled logits
    ``Z S``, or scaled column norms ``s_k |z_k|`` where `columns` is true), and ``copies`` is (n,) float64, how often each
    occurs. Prices are in the unit of the loss (nats for cross-entropy).

    Attributes
    ----------
    ball : bool, whether it is a constraint
    convex : bool, whether it is a convex function (or a convex set) of the matrix
    nuclear : bool, whether it is a multiple `strength` of the nuclear norm (a ball: the bound `radius` on it)
    strength, radius : float, of a nuclear price and of a nuclear ball
    columns : bool, whether it acts on scaled norms of the logits' columns instead of singular values
    feature_norms, row_norms : bool
        Whether it bounds the norm of each feature (`FeatureNorms`), and of each classifier too (`Cosines`); it then has no
        value by singular values, and `ufm.spectral.normalised` states its programs.
    kind, power, nonnegative : of a penalty on columns, see `ColumnPenalty`; `power` and `level` of a Schatten ball
    separable : bool, whether a price is a sum over singular values
    """

    ball: bool
    convex: bool
    separable: bool
    nuclear = False
    columns = False
    feature_norms = False
    row_norms = False
    strength: float
    radius: float
    level: float
    kind: str
    power: float = 1
    nonnegative: bool = False

    @abstractmethod
    def value(self, singular: Floats, copies: Floats) -> float:
        """The price; for a ball 0 inside (up to a relative 1e-12) and infinite outside.

        Parameters
        ----------
        singular : (n,) float64, singular values (or scaled column norms), not negative
        copies : (n,) float64, how often each occurs

        Returns
        -------
        float, in the unit of the loss
        """
        ...

    @abstractmethod
    def gauge(self, singular: Floats, copies: Floats) -> float:
        """Smallest t >= 0 with ``singular`` in t times the ball (Minkowski gauge); 0 for a price.

        Parameters
        ----------
        singular : (n,) float64, singular values (or scaled column norms), not negative
        copies : (n,) float64, how often each occurs

        Returns
        -------
        float >= 0, without unit; at most 1 inside the ball
        """
        ...

    def accuracy(self, singular: Floats) -> float:
        """Bound on the relative rounding error of `value` (of a ball: of `gauge`), errors of the parameters included.

        Parameters
        ----------
        singular : (n,) float64, the values at which it is evaluated

        Returns
        -------
        float, in multiples of `ufm._rounding.UNIT`
        """
        return len(singular) + 24.0

    @abstractmethod
    def slope(self, singular: Floats, copies: Floats) -> Floats:
        """(n,) derivative of the price, or of a ball's gauge, by one copy of each (positive) singular value.

        Parameters
        ----------
        singular : (n,) float64, singular values > 0
        copies : (n,) float64, how often each occurs

        Returns
        -------
        (n,) float64

        Raises
        ------
        TypeError
            The penalty acts on columns, where problems are solved in closed form without slopes.
        """
        ...

    @abstractmethod
    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        """Proximal map: the minimiser over ``s >= 0`` of ``sum_i copies_i (s_i - sigma_i)^2 / (2 step_i) + penalty(s)``.

        For a ball that is not convex a stationary point is enough.

        Parameters
        ----------
        singular : (n,) float64, the values ``sigma_i`` to start from
        copies : (n,) float64, how often each occurs
        step : (n,) float64 > 0, step sizes (per singular value)

        Returns
        -------
        values : (n,) float64, the minimiser s
        strength : float
            Of a ball, the Lagrange multiplier of the constraint (0 inside); of a price, its strength.

        Raises
        ------
        TypeError
            The penalty acts on columns, where problems are solved in closed form without a proximal map.
        """
        ...

    @abstractmethod
    def relaxed(self, upper: float) -> Penalty:
        """A convex penalty that is at most this one wherever this one is at most ``upper`` (docs/theory, Proposition 2.5).

        Lower bounds are computed with it, so it must have a dual bound: it is `nuclear`, acts on `columns`, or has a
        `conjugate`.

        Parameters
        ----------
        upper : float, an upper bound on the optimum, in the unit of the loss

        Returns
        -------
        Penalty, itself where it is convex
        """
        ...

    # Optional members. A solver or bound that needs one refuses a penalty without it and names what is missing.

    def each(self, singular: Floats) -> Floats:
        """(n,) price of each singular value, for a separable price.

        Parameters
        ----------
        singular : (n,) float64, singular values, not negative

        Returns
        -------
        (n,) float64, in the unit of the loss

        Raises
        ------
        TypeError
            The penalty has no such price; scalar problems and bounds from moments then do not apply.
        """
        raise TypeError(f"{type(self).__name__} does not give the price of each singular value")

    def turn(self, curvature: Floats) -> Floats | None:
        """Points from which on ``price(s) + curvature s^2 / 2`` is convex (docs/theory, Proposition 2.7).

        Parameters
        ----------
        curvature : (n,) float64 > 0

        Returns
        -------
        (n,) float64 or None
            Not below the true points, rounding included; None where unknown.
        """
        return None

    def range(self, upper: float) -> float | None:
        """A bound on a singular value that alone costs at most ``upper``.

        Parameters
        ----------
        upper : float >= 0, in the unit of the loss

        Returns
        -------
        float or None
            Rounding included; None where unknown.
        """
        return None

    def conjugate(self, slopes: Floats, copies: Floats) -> float | None:
        """Upper bound on the convex conjugate ``sum_i copies_i max_{s >= 0} (slopes_i s - price(s))``.

        A convex price that is no multiple of the nuclear norm needs it for a lower bound.

        Parameters
        ----------
        slopes : (n,) float64, upper bounds on the singular values of the dual matrix
        copies : (n,) float64, how often each occurs

        Returns
        -------
        float or None
            In the unit of the loss, rounding included; None where unknown.
        """
        return None

    def priced(self, multiplier: float) -> tuple[Penalty, float] | None:
        """For a ball, a price and an offset with ``price(s) <= offset`` for every s inside (Lagrangian relaxation).

        Parameters
        ----------
        multiplier : float >= 0, the Lagrange multiplier

        Returns
        -------
        (Penalty, float) or None
            The price and the offset; None where unknown.
        """
        return None

    def support(self, norms: Floats, copies: Floats) -> float:
        """Support function of a ball: the largest inner product ``<G, X>`` over the X inside.

        Parameters
        ----------
        norms : (n,) float64, singular values of G (column norms, for a penalty on columns)
        copies : (n,) float64, how often each occurs

        Returns
        -------
        float, in the unit of the loss

        Raises
        ------
        TypeError
            The penalty has no support function, so no lower bound is computed from it directly.
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
