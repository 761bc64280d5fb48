"""From balls to floats."""

from __future__ import annotations

from math import inf, nextafter

from flint import arb

from ufm.certify.verify import working_precision

__all__ = ["outward", "working_precision"]


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
