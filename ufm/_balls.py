"""Ball arithmetic: working precision, rationals as balls, and the way back to floats on the safe side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from math import inf, nextafter

from flint import arb, ctx, fmpq

PRECISION = 160
"""Bits; the independent verifier (`ufm.certify.verify`), which shares no code, states its own."""


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
    """A ball around a rational."""
    return arb(fmpq(value.numerator, value.denominator))


def outward(ball: arb) -> tuple[float, float]:
    """Floats on both sides of a ball."""
    if not ball.is_finite():
        return -inf, inf
    with working_precision():
        low, high = float(ball.lower().mid()), float(ball.upper().mid())
        while not arb(low) <= ball:
            low = nextafter(low, -inf)
        while not arb(high) >= ball:
            high = nextafter(high, inf)
        return low, high
