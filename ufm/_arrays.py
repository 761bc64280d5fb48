"""Array type aliases, and checks of arguments that several modules share."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm.errors import InputError, brief

Floats = NDArray[np.float64]
LEVELS = ("float", "rigorous")
"""Levels of bounds: float64 arithmetic with its rounding subtracted, or ball arithmetic."""


def svd(matrix: Floats) -> tuple[Floats, Floats, Floats]:
    """Full singular value decomposition of a finite (m, n) matrix.

    LAPACK's divide and conquer (gesdd) does not converge on some of them, such as the product of two 40 x 40 factors that a
    search met; for those the slower QR iteration (gesvd) is taken.

    Parameters
    ----------
    matrix : (m, n) float64

    Returns
    -------
    left, singular, right : (m, m), (min(m, n),) and (n, n) float64
    """
    try:
        return np.linalg.svd(matrix)
    except np.linalg.LinAlgError:
        from scipy.linalg import svd as by_driver

        return by_driver(matrix, lapack_driver="gesvd")


def check_whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return a whole number between two limits as an int.

    Parameters
    ----------
    name : str, the argument, for the message
    value : int, or a NumPy integer
    least : int
    most : int or None, no upper limit

    Returns
    -------
    int

    Raises
    ------
    InputError
        It is no whole number (a bool is none), or outside the limits.
    """
    power = f"2**{most.bit_length() - 1}" if most and most > 10**12 and most & (most - 1) == 0 else most
    limits = f"of at least {least}" if most is None else f"from {least} to {power}"
    try:
        number = index(value)
        if isinstance(value, bool) or number < least or (most is not None and number > most):
            raise TypeError
    except TypeError:
        raise InputError(f"{name} is {brief(value)}; give a whole number {limits}") from None
    return number


def check_level(level: str) -> str:
    """Return the level if it is one of `LEVELS`.

    Raises
    ------
    InputError
        It is not.
    """
    if level not in LEVELS:
        raise InputError(f"level is {brief(level)}; choose 'float' or 'rigorous'")
    return level
