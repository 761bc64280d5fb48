r"""Where collapsed minority classes are optimal for the contrastive loss, proved in ball arithmetic.

One majority class: a closed form (docs/theory, Proposition 13.8). Two or more: with ``beta`` the length of the majority's mean
vector, ``E = exp(-(1 + beta)/tau)``, ``F = exp(-K_A (1 - beta^2) / ((K_A - 1) tau))`` and ``c = 1 + (K_A - 1) F``, the
collapsed points are stationary for the majority along the curve

.. math:: 2 F E \gamma^2 + (2 F \beta - E^2 - E c / K_A) \gamma = E \beta (1 + E), \qquad K_A R = K_B \gamma / \beta ,

on which the ratio R falls from infinity as beta rises from 0, and the minority is collapsed iff

.. math:: \gamma^2 F (\beta + \gamma E) \ge \gamma c / K_A + \beta E

(Proposition 13.9). The sign of the difference is proved for every beta in [0, 1] outside of a small interval around its root.
"""

from __future__ import annotations

from fractions import Fraction
from math import exp, log
from typing import Any

import numpy as np
from flint import arb, arb_series
from scipy.optimize import brentq

from ufm._balls import ball
from ufm.errors import ConvergenceError

EVALUATIONS = 20_000
"""Most intervals on which a sign is proved."""
FINEST = 1e-150
"""Smallest length of the majority's mean at which a root is looked for, and smallest width of an interval."""


def one_majority(tau: float) -> tuple[Any, Any]:
    """``K_A R0 / K_B`` for one majority class, as a ball from both sides."""
    e = (arb(-2) / arb(tau)).exp()
    q = (1 - e) * (e + 2)
    x = (q + (q**2 + 8 * e**2 * (1 + e)).sqrt()) / (2 * e * (1 + e))
    return x, x


class CollapseCurve:
    """The curve of stationary collapsed points of two or more majority classes, by the length beta of the majority's mean."""

    def __init__(self, majority: int, tau: float) -> None:
        self.k, self.tau = majority, arb(tau)

    def at(self, beta: Any) -> tuple[Any, Any, Any]:
        """gamma, and both sides of the condition of collapse, for a ball of beta or a power series about one."""
        k = self.k
        e = (-(1 + beta) / self.tau).exp()
        f = (-(1 - beta * beta) * k / (k - 1) / self.tau).exp()
        c = 1 + (k - 1) * f
        b, constant = 2 * f * beta - e**2 - e * c / k, e * beta * (1 + e)
        if isinstance(beta, arb):  # gamma falls in b
            gamma = _positive_root(f * e, b.lower(), constant).union(_positive_root(f * e, b.upper(), constant))
        else:
            gamma = _positive_root(f * e, b, constant, b[0] > 0)
        return gamma, gamma * gamma * f * (beta + gamma * e), gamma * c / k + beta * e

    def sign(self, beta: Any) -> int:
        """1 where collapse is proved for the whole ball, -1 where its contrary is, 0 otherwise."""
        _, left, right = self.at(beta)
        if left > right or left < right:
            return 1 if left > right else -1
        found = self._centred(beta)
        return 1 if found > 0 else -1 if found < 0 else 0

    def _centred(self, beta: Any) -> Any:
        """Enclosure of the logarithm of left over right on a ball: value in its middle, and derivative times distance."""
        middle = arb(beta.mid())
        _, left, right = self.at(middle)
        found = (left / right).log()
        if beta.is_exact():
            return found
        try:
            _, left, right = self.at(arb_series([beta, arb(1)], prec=2))
            return found + (left / right).log()[1] * (beta - middle)
        except ValueError:  # a denominator that is not proved to differ from zero on so wide a ball
            return arb("nan")

    def excess(self, beta: float) -> float:
        """Logarithm of left over right, at a float."""
        _, left, right = self.at(arb(beta))
        return float((left / right).log().mid())

    def ends(self) -> tuple[Any, Any] | None:
        """Balls of ``K_A R0 / K_B`` from below and from above; None where there is proved to be none.

        Raises
        ------
        ConvergenceError
            The sign could not be proved everywhere.
        """
        if self.sign(arb(0)) < 0:
            self._prove(0.0, 1.0, -1)
            return None
        grid = [1.0]
        while self.excess(grid[-1]) < 0:
            if grid[-1] < FINEST:
                raise _undecided(self)
            grid.append(grid[-1] * 0.5 if grid[-1] > 1e-3 else grid[-1] * 0.01)
        if len(grid) == 1:
            raise _undecided(self)
        low, high = log(grid[-1]), log(grid[-2])
        root = exp(brentq(lambda t: self.excess(exp(t)), low, high, xtol=1e-16, rtol=1e-15))  # type: ignore[arg-type]
        for step in 2.0 ** np.arange(-50, -30):
            below, above = root * (1 - step), root * (1 + step)
            if self.sign(arb(below)) > 0 > self.sign(arb(above)):
                break
        else:
            raise _undecided(self)
        self._prove(0.0, below, 1)
        self._prove(above, 1.0, -1)
        return self.at(arb(above))[0] / above, self.at(arb(below))[0] / below

    def _prove(self, low: float, high: float, sign: int) -> None:
        """Prove the sign on an interval of beta by halving it, in rationals, where a ball does not decide."""
        waiting, spent = [(Fraction(low), Fraction(high))], 0
        while waiting:
            left, right = waiting.pop()
            found, spent = self.sign(ball(left).union(ball(right))), spent + 1
            if found == sign:
                continue
            if found == -sign or spent > EVALUATIONS or right - left < FINEST:
                raise _undecided(self)
            middle = (left + right) / 2
            waiting += [(left, middle), (middle, right)]


def _positive_root(half: Any, linear: Any, constant: Any, positive: bool | None = None) -> Any:
    """Positive root of ``2 half x^2 + linear x = constant`` without cancellation; ``positive`` says that the second is."""
    root = (linear * linear + 8 * half * constant).sqrt()
    positive = linear > 0 if positive is None else positive
    return 2 * constant / (linear + root) if positive else (root - linear) / (4 * half)


def _undecided(curve: CollapseCurve) -> ConvergenceError:
    tau = float(curve.tau)
    return ConvergenceError(
        f"the threshold of {curve.k} majority classes at temperature {tau:g} could not be decided; it is next to the "
        "temperature at which the threshold becomes infinite, or too large; change the temperature"
    )
