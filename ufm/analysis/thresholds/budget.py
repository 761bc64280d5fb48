r"""Norm budgets: the exact ratio at which the minority collapses, ``R0(K_A, K_B, c)``.

Scale the loss to ``R sum_A CE + sum_B CE`` under ``||Z||_* <= C`` with ``C = K c_eff``, and let ``C*(R)`` be the nuclear norm
of the optimum at multiplier 1. The minority has collapsed at (R, C) if and only if ``C <= C*(R)`` (docs/theory, Proposition
7.4). ``C*`` is continuous and strictly increasing from ``C*(1) = 0`` to infinity, so that R0 exists and is the only root of
``C*(R) = C`` for every budget (Proposition 7.6).

``C*`` is computed from one angle theta in (0, pi/2) (Proposition 7.5; there ``e_A = eps``, ``w_A = a``, ``w_B = b``), with
``nu^2 = 1/K_A + 1/K_B``:

* ``eps = cos(theta) / (sqrt(K_A) nu)`` is R times the mass an A column puts on B,
  ``e_B = sin(theta) / (sqrt(K_B) nu)`` the mass a B column puts on A;
* ``p_o = (1 - eps) / (R K_A)``, ``p_d = p_o + 1 - 1/R`` are an A column's probabilities of another A class and its own,
  ``x_A = log(p_d / p_o)``;
* ``a = sqrt(K_A)/nu [log(p_d)/K_A + (1 - 1/K_A) log p_o - log(eps / (R K_B))]``,
  ``b = sqrt(K_B)/nu log(K_A (1 - e_B) / (K_B e_B))``, and theta is the only root of ``b cos(theta) = a sin(theta)``;
* ``C* = (K_A - 1) x_A + sqrt(a^2 + b^2)``.

Signs of ``C*(R) - C`` at the two ends of an interval therefore *enclose* R0, and at each end signs at two angles enclose theta.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import cos, exp, inf, log, log1p, nextafter, pi, sin, sqrt

from ufm._balls import ball, working_precision
from ufm.analysis.thresholds.enclosed import Threshold
from ufm.errors import ConvergenceError, InputError
from ufm.problem.regularizers import NormBudget

LARGEST = 600.0
"""Largest ``log R0`` that is attempted."""
ROUNDING = 200
"""Allowance for the rounding errors of a critical budget, in half units in the last place."""


def budget_threshold(majority: int, minority: int, regularizer: NormBudget, gain: Fraction, level: str) -> Threshold:
    """R0 with an enclosure.

    Parameters
    ----------
    majority, minority : int, K_A >= 1 and K_B >= 2
    regularizer : NormBudget
    gain : Fraction
        ``c_eff / c``: 1 for the explicit head, ``1 / (1 - rho)`` for a linear DEQ.
    level : {"float", "rigorous"}

    Returns
    -------
    Threshold

    Raises
    ------
    InputError
        The threshold is beyond R = 1e260.
    ConvergenceError
        The threshold cannot be enclosed at the working precision.
    """
    budget = (majority + minority) * regularizer.c * float(gain)
    if critical_budget(majority, minority, exp(LARGEST)) < budget:
        raise InputError(
            f"budget {regularizer.weight:g},{regularizer.features:g} puts the threshold beyond R = 1e260; lower the budget"
        )
    root = find_root(lambda t: critical_budget(majority, minority, exp(t)) - budget, 0.0, LARGEST)
    value = max(exp(root), nextafter(1.0, inf))
    proves = rigorous_side if level == "rigorous" else float_side
    lower = step_out(value, -1, lambda r: proves(majority, minority, regularizer, gain, r) < 0)
    upper = step_out(value, +1, lambda r: proves(majority, minority, regularizer, gain, r) > 0)
    return Threshold("ratio", min(max(value, lower), upper), lower, upper, level, "continuous")


def critical_budget(majority: int, minority: int, ratio: float) -> float:
    """``C*(R)`` in float64: the largest nuclear-norm radius at which the minority is collapsed.

    Parameters
    ----------
    majority, minority : int, K_A >= 1 and K_B >= 2
    ratio : float, R

    Returns
    -------
    float
        0 for R <= 1.

    Examples
    --------
    >>> round(critical_budget(5, 5, 10.0), 8)
    21.33928784
    """
    if ratio <= 1.0:
        return 0.0
    theta = find_root(lambda t: _balance(majority, minority, ratio, t)[0], 1e-300, pi / 2)
    return _balance(majority, minority, ratio, theta)[1]


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Root of a function that changes sign once, by bisection with secant steps (Illinois).

    Parameters
    ----------
    function : callable from float to float
    low, high : float, ends of an interval at which it has different signs

    Returns
    -------
    float
    """
    f_low, f_high = function(low), function(high)
    if f_low == 0:
        return low
    side = 0
    for _ in range(300):
        # NaN where an end is infinite.
        middle = (low * f_high - high * f_low) / (f_high - f_low) if f_low != f_high else low
        if not low < middle < high:
            middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        value = function(middle)
        if value == 0:
            return middle
        if (value > 0) == (f_low > 0):
            low, f_low, f_high, side = middle, value, f_high * (0.5 if side == -1 else 1.0), -1
        else:
            high, f_high, f_low, side = middle, value, f_low * (0.5 if side == 1 else 1.0), 1
    return 0.5 * (low + high)


def _balance(majority: int, minority: int, ratio: float, theta: float) -> tuple[float, float]:
    """``b cos(theta) - a sin(theta)``, and ``C*`` at this angle."""
    nu = sqrt(1.0 / majority + 1.0 / minority)
    c, s = cos(theta), sin(theta)
    eps = max(c / (sqrt(majority) * nu), 1e-320)
    mass = max(s / (sqrt(minority) * nu), 1e-320)
    other = (1.0 - eps) / (ratio * majority)
    own = other + (1.0 - 1.0 / ratio)
    share = 1.0 / majority
    a = sqrt(majority) / nu * (share * log(own) + (1 - share) * log(other) - log(eps / minority) + log(ratio))
    b = sqrt(minority) / nu * log(majority * (1.0 - mass) / (minority * mass))
    contrast = log1p((1.0 - 1.0 / ratio) / other)
    return b * c - a * s, (majority - 1) * contrast + sqrt(a * a + b * b)


def float_side(majority: int, minority: int, regularizer: NormBudget, gain: Fraction, ratio: float) -> int:
    """Sign of ``C*(R) - C`` in float64, 0 where rounding errors could change it.

    Parameters
    ----------
    majority, minority : int, K_A and K_B
    regularizer : NormBudget
    gain : Fraction, ``c_eff / c``
    ratio : float, R > 1

    Returns
    -------
    {-1, 0, 1}
    """
    budget = (majority + minority) * regularizer.c * float(gain)
    difference = critical_budget(majority, minority, ratio) - budget
    slack = ROUNDING * 2.0**-53 * (budget + majority * (1.0 + abs(log(ratio))))
    return 0 if abs(difference) <= slack else (1 if difference > 0 else -1)


def rigorous_side(majority: int, minority: int, regularizer: NormBudget, gain: Fraction, ratio: float) -> int:
    """Sign of ``C*(R) - C`` in ball arithmetic; 0 where the balls overlap.

    Parameters
    ----------
    majority, minority : int, K_A and K_B
    regularizer : NormBudget
    gain : Fraction, ``c_eff / c``
    ratio : float, R > 1, taken as an exact number

    Returns
    -------
    {-1, 0, 1}
    """
    from flint import arb

    with working_precision():
        budget = (arb(regularizer.weight) * arb(regularizer.features)).sqrt() * (majority + minority) * ball(gain)
        nu = (1 / arb(majority) + 1 / arb(minority)).sqrt()
        r = arb(ratio)

        def evaluate(theta):
            s, c = theta.sin_cos()
            eps, mass = c / (arb(majority).sqrt() * nu), s / (arb(minority).sqrt() * nu)
            other = (1 - eps) / (r * majority)
            own = other + (1 - 1 / r)
            share = 1 / arb(majority)
            a = share * own.log() + (1 - share) * other.log() - (eps / minority).log() + r.log()
            a = arb(majority).sqrt() / nu * a
            b = arb(minority).sqrt() / nu * (majority * (1 - mass) / (minority * mass)).log()
            total = (majority - 1) * (own / other).log() + (a * a + b * b).sqrt()
            return b * c - a * s, total, a, b

        start = find_root(lambda t: _balance(majority, minority, ratio, t)[0], 1e-300, pi / 2)
        theta = arb(start)
        spread = start * 1e-7
        slope = (evaluate(theta + spread)[0].mid() - evaluate(theta - spread)[0].mid()) / (2 * spread)
        for _ in range(6):
            theta = (theta - evaluate(theta)[0] / slope).mid()
        for radius in (1e-34, 1e-28, 1e-22, 1e-18, 1e-15):
            left, right = theta - start * radius, theta + start * radius
            if evaluate(left)[0] > 0 and evaluate(right)[0] < 0:
                break
        else:
            return 0
        # The sign change encloses an angle with a, b > 0, which is the optimum (docs/theory, Proposition 7.5).
        _, total, a, b = evaluate(left.union(right))
        if not (a > 0 and b > 0):
            return 0
        return 1 if total > budget else -1 if total < budget else 0


def step_out(value: float, sign: int, proved: Callable[[float], bool]) -> float:
    """A point near ``value``, on one side of it, where ``proved`` holds; steps double from one unit of rounding.

    Parameters
    ----------
    value : float > 0
    sign : {-1, +1}, below or above
    proved : callable from float to bool

    Returns
    -------
    float
        At least 1, where nothing needs to be proved.

    Raises
    ------
    ConvergenceError
        ``proved`` holds at no such point.
    """
    for power in range(60):
        point = value + sign * value * 2.0 ** (power - 52)
        if point <= 1.0:
            return 1.0
        if proved(point):
            return point
    raise ConvergenceError("the threshold could not be enclosed; the budget is too extreme for the working precision")


__all__ = ["budget_threshold", "critical_budget", "find_root"]
