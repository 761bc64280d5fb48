"""From balls to floats."""

from __future__ import annotations

from fractions import Fraction
from math import inf, nextafter

from flint import arb, fmpq

from ufm.certify.verify import working_precision

__all__ = ["ball", "outward", "working_precision"]


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
