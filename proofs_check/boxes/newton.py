"""Interval Newton in ball arithmetic: a box that is proved to hold exactly one root of a system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

STEPS = 40
"""Attempts at a radius of the box before it is given up."""


def jacobian(function: Callable[[list[Any]], list[Any]], point: Sequence[Any]) -> Any:
    """The matrix of derivatives over a box, by series of two terms.

    Parameters
    ----------
    function : callable from n balls or series to n of them
    point : sequence of n balls

    Returns
    -------
    arb_mat
    """
    from flint import arb_mat, arb_series

    size = len(point)
    rows: list[list[Any]] = [[None] * size for _ in range(size)]
    for j in range(size):
        along = [arb_series([v, 1 if i == j else 0], 2) for i, v in enumerate(point)]
        for i, found in enumerate(function(along)):
            rows[i][j] = found[1]
    return arb_mat(rows)


def polished(function: Callable[[list[Any]], list[Any]], start: Sequence[float], steps: int = 12) -> list[Any]:
    """Newton's method on midpoints.

    Parameters
    ----------
    function : callable, see `jacobian`
    start : sequence of float
    steps : int

    Returns
    -------
    list of balls of radius zero
    """
    from flint import arb, arb_mat

    point = [arb(v) for v in start]
    for _ in range(steps):
        try:
            step = jacobian(function, point).solve(arb_mat([[v] for v in function(point)]))
        except (ValueError, ZeroDivisionError):
            break
        point = [(v - step[i, 0]).mid() for i, v in enumerate(point)]
    return point


def enclosed(
    function: Callable[[list[Any]], list[Any]], middle: Sequence[Any], radius: float, spread: Sequence[Any] | None = None
) -> list[Any] | None:
    """A box with exactly one root (Krawczyk's test), for every value of the balls that the function holds.

    Parameters
    ----------
    function : callable, see `jacobian`
    middle : sequence of balls of radius zero, near the root
    radius : float, relative, of the first box that is tried; doubled until the test succeeds
    spread : sequence of balls or None
        What encloses the function at the middle, where better is known than its own value there.

    Returns
    -------
    list of balls or None
        None where no box passed the test.
    """
    from flint import arb, arb_mat

    size = len(middle)
    try:
        inverse = jacobian(function, middle).inv()
    except (ValueError, ZeroDivisionError):
        return None
    inverse = arb_mat([[inverse[i, j].mid() for j in range(size)] for i in range(size)])
    values = function(list(middle)) if spread is None else spread
    shift = inverse * arb_mat([[v] for v in values])

    def step(box: list[Any]) -> list[Any]:
        rest = inverse * jacobian(function, box)
        return [
            m - shift[i, 0] + sum(((int(i == j) - rest[i, j]) * (box[j] - middle[j]) for j in range(size)), arb(0))
            for i, m in enumerate(middle)
        ]

    for _ in range(STEPS):
        reach = [(1 + abs(m)) * radius for m in middle]
        box = [m + arb(0, float(w)) for m, w in zip(middle, reach, strict=True)]
        try:
            image = step(box)
            if all(b.contains_interior(v) for b, v in zip(box, image, strict=True)):
                return step(image)  # the root lies in the image, so another step encloses it again, more tightly
        except (ValueError, ZeroDivisionError):
            return None  # a logarithm or a quotient has no value on the whole box
        radius *= 2
        if not all(v.is_finite() for v in image) or radius > 1:
            return None
    return None
