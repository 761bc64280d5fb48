"""The largest eigenvalue of an integer matrix, bounded without trust in floating point (docs/theory, Proposition 2.13)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq, fmpz_mat

from ufm.certify.verify.arithmetic import ZERO


def largest_eigenvalue(entries: list[Any], masses: list[int]) -> arb:
    """Upper bound on the largest generalised eigenvalue of a positive semidefinite M and ``diag(m)``.

    For any L and tau, ``tau diag(m) - M = L L' + R`` bounds it by ``tau + max_g sum_h |R_gh| / m_g``; L and tau come from
    floats, R is evaluated exactly.

    Parameters
    ----------
    entries : list of G^2 int or fmpz, M row by row
    masses : list of G int, positive

    Returns
    -------
    arb
    """
    groups = len(masses)
    # A power of two brings the entries into float range.
    lift = max(0, max(abs(int(v)).bit_length() for v in entries) - 600)
    root = np.sqrt(np.array([float(v) for v in masses]))
    values = np.array([float(int(v) >> lift) for v in entries]).reshape(groups, groups) / root[:, None] / root
    if not values.any():
        return ZERO
    eigenvalues, vectors = np.linalg.eigh((values + values.T) / 2)
    top = float(eigenvalues[-1])
    lower = root[:, None] * vectors * np.sqrt(np.maximum(top - eigenvalues, 0.0))
    shift = 60 - int(np.frexp(np.abs(lower).max())[1])
    integers = fmpz_mat([[int(v) for v in row] for row in np.ldexp(lower, shift).tolist()])
    products = (integers * integers.transpose()).entries()
    tau = int(Fraction(top) * Fraction(4) ** shift)
    # R = tau diag(m) - M - L L' in units of 2^(lift - 2 shift), or in those of M where these are finer.
    power = 2 * shift - lift
    fine, coarse = 1 << max(power, 0), 1 << max(-power, 0)
    residual = fmpq(0)
    for g in range(groups):
        row = [
            (tau * masses[g] * (g == h) - products[g * groups + h]) * coarse - entries[g * groups + h] * fine
            for h in range(groups)
        ]
        residual = max(residual, fmpq(sum(abs(v) for v in row), masses[g]))
    return arb(tau * coarse + residual) / fine
