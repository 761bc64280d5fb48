"""Small helpers for ball arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf, nextafter

PRECISION = 160


@contextmanager
def working_precision(bits: int = PRECISION) -> Iterator[None]:
    """Arb precision inside a block."""
    from flint import ctx

    old = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = old


def outward(ball) -> tuple[float, float]:
    """Floats on both sides of a ball."""
    from flint import arb

    low, high = float(ball.lower().mid()), float(ball.upper().mid())
    while not arb(low) <= ball:
        low = nextafter(low, -inf)
    while not arb(high) >= ball:
        high = nextafter(high, inf)
    return low, high
