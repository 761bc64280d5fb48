"""Bounds in float64 that do not trust LAPACK: operator norms and residuals with their rounding accounted for."""

from __future__ import annotations

import numpy as np

from ufm.deq.maps.base import Floats

UNIT = 2.0**-53


def gamma(terms: int) -> float:
    """``n u / (1 - n u)``: relative error bound of an inner product of n terms, in any order (Higham 2002, section 3.1)."""
    return terms * UNIT / (1.0 - terms * UNIT)


def operator_norm(matrix: Floats) -> float:
    r"""Upper bound on ``||M||_2`` in exact arithmetic, a few ulps above it.

    From a computed decomposition ``M ~ U S V'``: ``||M|| <= ||U|| s_1 ||V|| + ||M - U S V'||_F`` with
    ``||U||^2 <= 1 + ||U'U - I||_F``. Whatever LAPACK returned, residuals are evaluated with a-priori rounding terms, so the
    bound holds.

    >>> bool(1.0 <= operator_norm(np.eye(3)) < 1.0 + 1e-13)
    True
    """
    if not np.isfinite(matrix).all():
        return np.inf
    u, sigma, vt = np.linalg.svd(matrix, full_matrices=False)
    size = max(matrix.shape) + 2
    scaled = u * sigma
    slack = np.abs(scaled) @ np.abs(vt) + np.abs(matrix)
    rest = np.abs(scaled @ vt - matrix) + gamma(size + 1) * slack
    total = float(sigma[0]) * _length(u.T) * _length(vt) + float(np.linalg.norm(rest))
    return total * (1.0 + gamma(size * size + 8))


def _length(rows: Floats) -> float:
    """Upper bound on the operator norm of nearly orthonormal rows."""
    size = rows.shape[1] + 2
    defect = np.abs(rows @ rows.T - np.eye(len(rows))) + gamma(size) * (np.abs(rows) @ np.abs(rows.T) + 1.0)
    return float(np.sqrt(1.0 + float(np.linalg.norm(defect)) * (1.0 + gamma(size * size))) * (1.0 + 4 * UNIT))


def residual_bound(value: Floats, weight: Floats, drive: Floats, z: Floats) -> Floats:
    """(B,) upper bounds on ``||sigma(W z + u) - z||_2`` for the exact map with this W and this u, given its computed value.

    Rounding: an inner product of d + 1 terms in the argument (sigma is 1-Lipschitz), 4 ulps of the activation (NumPy's
    documented bound for tanh), and the subtraction.
    """
    d = z.shape[1]
    argument = gamma(d + 1) * (np.abs(z) @ np.abs(weight.T) + np.abs(drive)) * (1.0 + gamma(d + 2))
    error = argument + 8.0 * UNIT * np.abs(value) + UNIT * (np.abs(value) + np.abs(z))
    total = (np.abs(value - z) + error) * (1.0 + 4 * UNIT)
    return np.sqrt(np.einsum("ij,ij->i", total, total)) * (1.0 + gamma(d + 4))
