r"""Mean cross-entropy from below by the nuclear norm that is left after the largest singular value.

**Claim.** Let Z be centred K x K with singular values ``sigma_1 >= sigma_2 >= ...`` and ``R = sigma_2 + sigma_3 + ...``.
Number the classes by ascending entries of the first left singular vector u. Then the mean of ``CE_k`` over k is at least

.. math:: g(R) = \min_{\text{signs of } v} \max_p \frac{|S|}{K} \log\Big(1 + \exp\Big(
          \frac1{|S|} \sum_{k \in S} \log p_k - \frac{\|W\|_2 R}{|S|}\Big)\Big) .

**Proof.** ``Z = sigma_1 u v' + R0`` with ``||R0||_* = R``. Give class k as partners ``J_k`` the next (at most p) classes
above it if ``v_k >= 0``, below it if ``v_k < 0``; then ``(u_k - u_j) v_k <= 0`` for ``j in J_k``. Let S be the classes with
``p_k = |J_k| > 0``.

1. Dropping all other logits, then Jensen: ``CE_k >= log(1 + sum_J exp(z_jk - z_kk)) >= log(1 + p_k exp(-m_k))`` with the
   mean margin ``m_k = mean_J (z_kk - z_jk)``. The rank-one part of ``m_k`` is not positive, so ``m_k <= <(e_k - mean_J e_j)
   e_k', R0>``.
2. Summed over S: ``sum m_k <= <W, R0> <= ||W||_2 R`` with ``W = sum_S (e_k - mean_J e_j) e_k'``.
3. ``x -> log(1 + e^x)`` is convex and increasing: Jensen over S gives the claim for the signs at hand and any p; take the
   best p, then the worst signs. Renumbering classes moves rows and columns alike, which changes neither R nor the mean.

Where ``2^K`` patterns of signs are too many, p = 1 and ``|S| >= K - 2`` (only the extreme classes can lack a partner) give
one row: ``W = P - M`` with a coordinate projection P and a 0-1 matrix M with at most one 1 per column and two per row (a
class is the next above one and the next below another), so ``||W||_2 <= 1 + sqrt(2)``; and ``|S| log(1 + e^{-w/|S|})``
increases in ``|S|``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ufm._arrays import Floats

MAX_CLASSES = 12
"""Above this the patterns of signs are too many to go through."""
MAX_PARTNERS = 4
GRID = 400


@dataclass(frozen=True)
class ResidualNormBound:
    """The bound as a decreasing step function, below g.

    Attributes
    ----------
    rest : (m,) float64, ascending values of R
    loss : (m,) float64, ``g(rest)``
    """

    rest: Floats
    loss: Floats

    def __call__(self, rest: Floats) -> Floats:
        """g at the next point of the grid, which is at most g at the argument; zero beyond the grid, and for nan."""
        index = np.searchsorted(self.rest, rest)
        inside = index < len(self.rest)
        return np.where(inside, self.loss[np.where(inside, index, 0)], 0.0)


def residual_norm_bound(classes: int, most: float) -> ResidualNormBound:
    """The bound for R up to ``most`` (> 0)."""
    rest = most * np.linspace(0.0, 1.0, GRID) ** 1.5
    size, gain, norm = np.moveaxis(sign_patterns(classes), 2, 0)[..., None]
    mean = gain - norm * rest / np.maximum(size, 1.0)
    return ResidualNormBound(rest, (size / classes * np.logaddexp(0.0, mean)).max(axis=1).min(axis=0))


@lru_cache(maxsize=16)
def sign_patterns(classes: int) -> Floats:
    """(patterns, partners, 3) the numbers ``|S|``, ``mean_S log p_k`` and ``||W||_2`` for each pattern of signs and each p."""
    if classes > MAX_CLASSES:
        return np.array([[[classes - 2.0, 0.0, 1.0 + np.sqrt(2.0)]]]) * [1.0, 1.0, 1 + 1e-12]
    signs = (np.arange(2**classes)[:, None] >> np.arange(classes)) & 1
    # Turning the signs of u and v over reverses the order and the signs: one pattern of each such pair will do.
    mirror = (1 - signs[:, ::-1]) @ (1 << np.arange(classes))
    signs = signs[mirror >= np.arange(2**classes)]
    each = np.arange(classes)
    rows = []
    for partners in range(1, MAX_PARTNERS + 1):
        contrasts, counts = _contrasts(classes, partners)
        # Entry k of the last axis but one is column k of W: the transpose has the same norm.
        matrices, numbers = contrasts[signs, each], counts[signs, each]
        size = (numbers > 0).sum(axis=1)
        gain = np.log(np.maximum(numbers, 1.0)).sum(axis=1) / np.maximum(size, 1)
        norm = np.linalg.norm(matrices, 2, axis=(1, 2)) * (1 + 1e-12)
        rows.append(np.stack([size.astype(np.float64), gain, norm], axis=1))
    return np.stack(rows, axis=1)


def _contrasts(classes: int, partners: int) -> tuple[Floats, Floats]:
    """(2, K, K) vectors ``e_k - mean_J e_j`` (zero without partners) and (2, K) ``p_k``, for negative and other ``v_k``."""
    contrasts, counts = np.zeros((2, classes, classes)), np.zeros((2, classes))
    for k in range(classes):
        below, above = range(max(0, k - partners), k), range(k + 1, min(classes, k + partners + 1))
        for sign, chosen in enumerate((below, above)):
            counts[sign, k] = len(chosen)
            if chosen:
                contrasts[sign, k, k] = 1.0
                contrasts[sign, k, list(chosen)] = -1.0 / len(chosen)
    return contrasts, counts
