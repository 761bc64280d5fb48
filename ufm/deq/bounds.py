"""Upper bounds on operator norms and residuals in float64, all rounding included (docs/theory, Proposition 10.5)."""

from __future__ import annotations

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT, gamma


def operator_norm(matrix: Floats) -> float:
    r"""Upper bound on ``||M||_2`` of a matrix (m, n) float64, a few ulps above it; infinity where M is not finite.

    ``||M|| <= ||U|| s_1 ||V|| + ||M - U S V'||_F`` for a computed decomposition, each term with a-priori bounds of its
    rounding, so that the bound holds however accurate LAPACK is (docs/theory, Proposition 10.5). The matrix is scaled by a
    power of two, which is exact but for entries 1e-300 times the largest.

    >>> bool(1.0 <= operator_norm(np.eye(3)) < 1.0 + 1e-13)
    True
    """
    if not np.isfinite(matrix).all():
        return np.inf
    largest = float(np.abs(matrix).max(initial=0.0))
    if largest == 0.0:
        return 0.0
    power = int(np.frexp(largest)[1])
    scaled_matrix = np.ldexp(matrix, -power)
    u, sigma, vt = np.linalg.svd(scaled_matrix, full_matrices=False)
    size = max(matrix.shape) + 2
    scaled = u * sigma
    slack = np.abs(scaled) @ np.abs(vt) + np.abs(scaled_matrix)
    rest = np.abs(scaled @ vt - scaled_matrix) + gamma(size + 1) * slack + 1e-290
    total = float(sigma[0]) * _length(u.T) * _length(vt) + float(np.linalg.norm(rest))
    return float(np.nextafter(np.ldexp(total * (1.0 + gamma(size * size + 8)), power), np.inf))


def _length(rows: Floats) -> float:
    """Upper bound on the operator norm of nearly orthonormal rows."""
    size = rows.shape[1] + 2
    defect = np.abs(rows @ rows.T - np.eye(len(rows))) + gamma(size) * (np.abs(rows) @ np.abs(rows.T) + 1.0)
    return float(np.sqrt(1.0 + float(np.linalg.norm(defect)) * (1.0 + gamma(size * size))) * (1.0 + 4 * UNIT))


def residual_bound(value: Floats, weight: Floats, drive: Floats, z: Floats, extra: Floats | float = 0.0) -> Floats:
    """Upper bounds on the residuals ``||sigma(W z + u) - z||_2`` in exact arithmetic (docs/theory, Proposition 10.5).

    Rounding that is included: the inner product of d + 1 terms in the argument (sigma is 1-Lipschitz), ``extra``, 4 ulps of
    the activation (NumPy's documented bound for tanh), the subtraction, and underflow.

    Parameters
    ----------
    value : (B, d) float64, ``sigma(W z + u)`` as computed
    weight : (d, d) float64, W
    drive : (B, d) float64, u
    z : (B, d) float64, the states
    extra : (B, d) float64 or float, bound on the error of each argument where W or u is rounded itself; 0 where they are exact

    Returns
    -------
    array, (B,) float64
    """
    d = z.shape[1]
    argument = gamma(d + 1) * (np.abs(z) @ np.abs(weight.T) + np.abs(drive)) * (1.0 + gamma(d + 2)) + extra
    error = argument + 8.0 * UNIT * np.abs(value) + UNIT * (np.abs(value) + np.abs(z)) + (d + 8) * 2.0**-1074
    total = (np.abs(value - z) + error) * (1.0 + 4 * UNIT)
    return lengths(total) * (1.0 + gamma(d + 8)) + 2.0**-1074


def lengths(array: Floats, norm: str = "l2") -> Floats:
    """Norms of the rows of an array (B, d), "l2" or "max", as (B,) float64; squares neither underflow nor overflow."""
    if norm == "max":
        return np.abs(array).max(axis=1)
    found = np.sqrt(np.einsum("ij,ij->i", array, array))
    extreme = ~((found > 1e-140) & (found < 1e140))
    if extreme.any():
        some = array[extreme]
        largest = np.abs(some).max(axis=1)
        safe = np.where((largest > 0) & (largest < np.inf), largest, 1.0)
        found[extreme] = np.sqrt(np.sum((some / safe[:, None]) ** 2, axis=1)) * safe
    return found
