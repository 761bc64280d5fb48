"""The contrastive loss written out class by class, and its optimum by a semidefinite program: nothing here uses groups."""

from __future__ import annotations

import numpy as np


def loss(gram, shares, temperature):
    """``sum_k pi_k log sum_j pi_j exp((g_kj - 1) / tau)`` as the formula says."""
    rows = [np.log(sum(q * np.exp((g - 1) / temperature) for q, g in zip(shares, row, strict=True))) for row in gram]
    return float(np.dot(shares, rows))


def gradient(gram, shares, temperature):
    """Derivative by the entries, symmetrised, with zero diagonal."""
    each = shares * np.exp((np.asarray(gram) - 1) / temperature)
    found = shares[:, None] * each / each.sum(axis=1, keepdims=True) / temperature
    found = (found + found.T) / 2
    np.fill_diagonal(found, 0.0)
    return found


def semidefinite(shares, temperature, nonnegative=False):
    """Optimal value and Gram matrix by cvxpy."""
    import cvxpy as cp

    k = len(shares)
    gram = cp.Variable((k, k), PSD=True)
    rows = [cp.log_sum_exp((gram[i, :] - 1) / temperature + np.log(shares)) for i in range(k)]
    constraints = [cp.diag(gram) == 1] + ([gram >= 0] if nonnegative else [])
    program = cp.Problem(cp.Minimize(sum(p * row for p, row in zip(shares, rows, strict=True))), constraints)
    program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return program.value, gram.value


def shares_of(counts):
    sizes = np.array(list(counts), dtype=float)
    return sizes / sizes.sum()
