"""Ball arithmetic: working precision, conversion of rationals to balls, and of balls to enclosing floats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from math import inf, nextafter

from flint import arb, ctx, fmpq

PRECISION = 160
"""Working precision in bits. The independent verifier (`ufm.certify.verify`) shares no code and has a constant of its own."""


@contextmanager
def working_precision() -> Iterator[None]:
    """Arb precision of `PRECISION` bits inside a block; every operation on balls rounds to it."""
    old = ctx.prec
    ctx.prec = PRECISION
    try:
        yield
    finally:
        ctx.prec = old


def ball(value: Fraction) -> arb:
    """A ball that contains a rational number."""
    return arb(fmpq(value.numerator, value.denominator))


def outward(ball: arb) -> tuple[float, float]:
    """Floats ``(low, high)`` that enclose a ball; infinite where the ball is not finite."""
    if not ball.is_finite():
        return -inf, inf
    with working_precision():
        low, high = float(ball.lower().mid()), float(ball.upper().mid())
        while not arb(low) <= ball:
            low = nextafter(low, -inf)
        while not arb(high) >= ball:
            high = nextafter(high, inf)
        return low, high
