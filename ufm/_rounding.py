"""Constants of rounding errors in float64.

A bound of level ``float`` is a number computed in float64 plus an a-priori bound on its rounding error (docs/theory,
Propositions 2.10 to 2.12). The constants here are assumptions on the machine: basic operations round to nearest, and NumPy's
elementary functions (exp, log, log1p, power) are wrong by at most four units in the last place, as its own tests demand.
"""

from __future__ import annotations

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
