"""Exact numbers and balls, and conversions between them and floats or decimals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

from ufm.certify.verify.document import fields, listed
from ufm.errors import InputError

PRECISION = 160
ZERO = arb(0)
MAX_EXPONENT = 2200
"""Largest binary exponent of factors: float64 reaches 2**-1074, and a shared exponent lies 53 below the smallest number's."""
MAX_DIGITS = 1200
"""Most digits of a whole number: probabilities have at most 900 bits, some 1200 more where they balance a free bias."""
WHOLE = re.compile(f"-?[0-9]{{1,{MAX_DIGITS}}}")
MAX_RATIONAL = 400
"""Most digits of a numerator or denominator: a float64 above 1e-300 has at most 324."""
RATIONAL = re.compile("-?D(/D|(\\.D)?([eE][-+]?[0-9]{1,3})?)".replace("D", f"[0-9]{{1,{MAX_RATIONAL}}}"))
MAX_COMMON = 4096
"""Most bits of a common denominator: float64 above 1e-300 share one of at most 1074."""
MAX_CLAIM = 3000
"""Largest binary exponent of a claimed bound: `rational` reads decimals of at most three digits in the exponent."""
MAX_WORK = 2 * 10**13
"""Most work, multiplications of a matrix product times the bits of both factors: some seconds, thrice what 640 groups need."""


@contextmanager
def working_precision() -> Iterator[None]:
    """Context manager that sets Arb's precision; every operation on balls rounds to it, reading off an end included."""
    old = ctx.prec
    ctx.prec = PRECISION
    try:
        yield
    finally:
        ctx.prec = old


def ball(value: Fraction | int) -> arb:
    """A rational as a ball."""
    return arb(fmpq(value.numerator, value.denominator))


def total(terms: Iterable[arb]) -> arb:
    """The sum of balls, zero if there are none."""
    return sum(terms, ZERO)


def power_of_two(exponent: int) -> arb:
    """``2**exponent``."""
    return arb(2) ** exponent


def integer(value: Any) -> int:
    """A whole number, written as such or as a string of at most `MAX_DIGITS` digits.

    Raises
    ------
    InputError
        The value is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64:
        return value
    if not isinstance(value, str) or not WHOLE.fullmatch(value):
        raise InputError(f"certificate has {shown(value)} where a whole number belongs; save it again")
    return int(value)


def rational(value: Any) -> Fraction:
    """An exact number from ``p``, ``p/q`` or a decimal with an exponent of at most three digits.

    Raises
    ------
    InputError
        The value is no such string.
    """
    if value in ("0", "1"):
        return Fraction(int(value))
    if not isinstance(value, str) or not RATIONAL.fullmatch(value):
        raise InputError(f"certificate has {shown(value)} where a rational number belongs; save it again")
    return Fraction(value)


def shown(value: Any) -> str:
    """The first 40 characters of a value, for a message; of lists and objects only the type's name."""
    return repr(value[:40] if isinstance(value, str) else value if isinstance(value, int | None) else type(value).__name__)


def common_denominator(values: Iterable[Fraction]) -> int:
    """Least common denominator of at most `MAX_COMMON` bits.

    Raises
    ------
    InputError
        It has more bits than that.
    """
    found = 1
    for value in values:
        found = lcm(found, value.denominator)
        if found.bit_length() > MAX_COMMON:
            raise InputError(f"certificate has numbers whose common denominator exceeds {MAX_COMMON} bits; save it again")
    return found


def affordable(multiplications: int, left: Iterable[int], right: Iterable[int]) -> None:
    """Refuse a product of integer matrices that would take too long.

    Parameters
    ----------
    multiplications : int, of entries
    left, right : iterables of int, the entries of both factors

    Raises
    ------
    InputError
        Multiplications times bits exceed `MAX_WORK`.
    """
    work = multiplications
    for entries in (left, right):
        work *= 64 + max((abs(v).bit_length() for v in entries), default=0)
    if work > MAX_WORK:
        raise InputError("certificate has too many groups for numbers of so many digits; save it again")


def positive(value: Any) -> Fraction:
    """A rational above zero, written as for `rational`.

    Raises
    ------
    InputError
        The value is no rational number, or not positive.
    """
    number = rational(value)
    if number <= 0:
        raise InputError(f"certificate has the parameter {shown(value)}, which must be positive; save it again")
    return number


def within(value: Any, low: Fraction, high: Fraction, what: str) -> Fraction:
    """A rational strictly between two numbers.

    Parameters
    ----------
    value : str, written as for `rational`
    low, high : Fraction, excluded limits
    what : str, name of the value for the error message

    Returns
    -------
    Fraction

    Raises
    ------
    InputError
        The value is no rational number, or not between the limits.
    """
    number = rational(value)
    if not low < number < high:
        limits = f"{float(low):g} and {float(high):g}"
        raise InputError(f"certificate has the {what} {shown(value)}, which must lie between {limits}")
    return number


def dyadic(data: Any) -> tuple[list[Any], int]:
    """Integers, in a list or a list of lists, and the exponent of the power of two that multiplies all of them.

    Raises
    ------
    InputError
        The object is malformed, or its exponent is one that no float64 has.
    """
    power, values = fields(data, "factors", "exponent", "integers")
    exponent = integer(power)
    if abs(exponent) > MAX_EXPONENT:
        raise InputError(f"certificate has the binary exponent {exponent}, which no float64 has; save it again")
    rows = listed(values, "factors")
    return [[integer(v) for v in row] if isinstance(row, list) else integer(row) for row in rows], exponent


def outward(value: Fraction, sign: int) -> float:
    """The float64 nearest to a rational that is not above it (sign -1) or not below it (sign +1)."""
    number = float(value)
    return number if sign * (Fraction(number) - value) >= 0 else float(np.nextafter(number, sign * np.inf))


def toward(value: arb, sign: int) -> float:
    """A float64 below (sign -1) or above (+1) everything in a ball."""
    if not value.is_finite():
        return sign * np.inf
    with working_precision():
        bound = value.lower() if sign < 0 else value.upper()
        number = float(bound.mid())
        while not (arb(number) <= bound if sign < 0 else arb(number) >= bound):
            number = float(np.nextafter(number, sign * np.inf))
        return number


def decimal(value: arb, sign: int, digits: int = 30) -> str:
    """A decimal below or above everything in a ball.

    Parameters
    ----------
    value : arb
    sign : {-1, +1}, below or above
    digits : int, significant digits

    Returns
    -------
    str
        As read by `rational`.

    Raises
    ------
    InputError
        The ball is not finite, or beyond what a claim can state.
    """
    if not value.is_finite():
        raise InputError("certificate's bounds are not finite, so it proves nothing")
    with working_precision():
        bound = value.lower() if sign < 0 else value.upper()
        mantissa, exponent = bound.mid().man_exp()
    if abs(int(exponent)) > MAX_CLAIM:
        raise InputError("certificate's bounds are beyond any number that a claim can state")
    exact = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    if exact == 0:
        return "0"
    scale = digits - len(str(int(abs(exact)))) if abs(exact) >= 1 else digits + len(str(int(1 / abs(exact)))) - 1
    scaled = exact * Fraction(10) ** scale
    whole = scaled.numerator // scaled.denominator if sign < 0 else -((-scaled.numerator) // scaled.denominator)
    return f"{whole}e{-scale}"


def squared(value: arb) -> arb:
    """The square of a ball; ``value ** 2`` is undefined where the ball has zero in it."""
    return value * value
