"""Exact numbers, balls, and the way between them and floats or decimals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq

from ufm.errors import InputError

PRECISION = 160
MAX_EXPONENT = 5000


@contextmanager
def working_precision() -> Iterator[None]:
    """Arb precision inside a block; every operation on balls rounds to it, reading off an end included."""
    old = ctx.prec
    ctx.prec = PRECISION
    try:
        yield
    finally:
        ctx.prec = old


def ball(value: Fraction | int) -> arb:
    """A rational as a ball."""
    value = Fraction(value)
    return arb(fmpq(value.numerator, value.denominator))


def power_of_two(exponent: int) -> arb:
    """``2**exponent``."""
    return arb(2) ** exponent


def integer(value: Any) -> int:
    """A whole number, written as such or as a string of at most 4000 digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,4000}", value):
        raise InputError(f"certificate has {str(value)[:40]!r} where a whole number belongs; save it again")
    return int(value)


def rational(value: Any) -> Fraction:
    """An exact number from ``p``, ``p/q`` or a decimal with an exponent of at most four digits."""
    pattern = r"-?[0-9]{1,2000}(/[0-9]{1,2000}|(\.[0-9]{1,2000})?([eE][-+]?[0-9]{1,4})?)"
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise InputError(f"certificate has {str(value)[:40]!r} where a rational number belongs; save it again")
    return Fraction(value)


def positive(value: Any) -> Fraction:
    """A rational above zero."""
    number = rational(value)
    if number <= 0:
        raise InputError(f"certificate has the non-positive parameter {value!r}; save it again")
    return number


def dyadic(data: dict[str, Any]) -> tuple[list[Any], int]:
    """Integers and the exponent of the power of two that they share."""

    def whole(value: Any) -> Any:
        return [whole(v) for v in value] if isinstance(value, list) else integer(value)

    exponent = integer(data["exponent"])
    if abs(exponent) > MAX_EXPONENT:
        raise InputError(f"certificate has the binary exponent {exponent}, which no float64 has; save it again")
    return whole(data["integers"]), exponent


def outward(value: Fraction, sign: int) -> float:
    """The float64 nearest to a rational on that side of it."""
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
    """A decimal below or above everything in a ball."""
    if not value.is_finite():
        raise InputError("certificate's bounds are not finite, so it proves nothing")
    with working_precision():
        bound = value.lower() if sign < 0 else value.upper()
        mantissa, exponent = bound.mid().man_exp()
    exact = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    if exact == 0:
        return "0"
    scale = digits - len(str(int(abs(exact)))) if abs(exact) >= 1 else digits + len(str(int(1 / abs(exact)))) - 1
    scaled = exact * Fraction(10) ** scale
    whole = scaled.numerator // scaled.denominator if sign < 0 else -((-scaled.numerator) // scaled.denominator)
    return f"{whole}e{-scale}"
