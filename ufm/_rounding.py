"""Constants of rounding errors in float64.

A bound of level ``float`` is a number computed in float64 plus an a-priori bound on its rounding error (docs/theory,
Propositions 2.10 to 2.12). The constants here are assumptions on the machine: basic operations round to nearest, and NumPy's
elementary functions (exp, log, log1p, power) are wrong by at most four units in the last place, as its own tests demand.
"""

from __future__ import annotations

from math import fsum

import numpy as np

from ufm._arrays import Floats

UNIT = 2.0**-53
"""Relative error of one basic operation (half a unit in the last place)."""
ELEMENTARY = 8
"""Relative error of one elementary function, in multiples of `UNIT`."""
TINY = 1e-300
"""Upper bound on the absolute error by underflow."""
ROOT_TINY = 1e-161
"""Upper bound on what underflow of squares takes off the root of a sum of squares, for each row of a square matrix."""


def gamma(terms: int) -> float:
    """``n u / (1 - n u)``: relative error bound of an inner product of n terms, in any order (Higham 2002, section 3.1)."""
    return terms * UNIT / (1.0 - terms * UNIT)


def square_left(whole: float, parts: Floats) -> Floats:
    """What squares leave of a square, ``whole^2 - sum_i parts_i^2`` for each row, rounded once however much cancels.

    Squares are split into two floats that add up to them exactly (Dekker 1971; locator unknown), and summed exactly.

    Parameters
    ----------
    whole : float
    parts : (n, r) float64

    Returns
    -------
    (n,) float64
        Plain sums where a number is beyond 1e150 or not finite.

    Examples
    --------
    >>> float(square_left(1.0, np.array([[1.0 - 2.0**-53]]))[0]) == 2.0**-52 - 2.0**-106
    True
    """
    terms = np.column_stack([np.full(len(parts), whole), parts])
    if not np.abs(terms).max(initial=0.0) < 1e150:
        return whole**2 - (parts**2).sum(axis=1)
    moved = 134217729.0 * terms  # 2^27 + 1
    high = moved - (moved - terms)
    low = terms - high
    square = terms * terms
    rest = low * low + (2.0 * high * low + (high * high - square))
    signed = np.concatenate([square, rest], axis=1)
    signed[:, 1 : terms.shape[1]] *= -1.0
    signed[:, terms.shape[1] + 1 :] *= -1.0
    return np.array([fsum(row) for row in signed])
