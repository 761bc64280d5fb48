"""Array type aliases, and checks of arguments that several modules share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ufm.errors import InputError, brief

Floats = NDArray[np.float64]
LEVELS = ("float", "rigorous")
"""Levels of bounds: float64 arithmetic with its rounding subtracted, or ball arithmetic."""


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
