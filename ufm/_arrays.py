"""Array aliases, and checks of arguments that every door needs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ufm.errors import InputError, brief

Floats = NDArray[np.float64]
LEVELS = ("float", "rigorous")
"""Levels that bounds can have."""


def check_level(level: str) -> str:
    """The level, if it is one that bounds can have.

    Raises
    ------
    InputError
        It is another.
    """
    if level not in LEVELS:
        raise InputError(f"level is {brief(level)}; choose 'float' or 'rigorous'")
    return level
