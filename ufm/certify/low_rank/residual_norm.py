r"""Lower bound on the mean cross-entropy from the nuclear norm that is left after the largest singular value.

Let Z be centred K x K with singular values ``sigma_1 >= sigma_2 >= ...`` and ``R = sigma_2 + sigma_3 + ...``. Number the
classes by ascending entries of the first left singular vector. For a pattern of signs of the first right singular vector v
and a number p, class k has as partners ``J_k`` the next (at most p) classes above it if ``v_k >= 0``, below it if ``v_k < 0``;
``p_k = |J_k|``, S is the set of classes with ``p_k > 0``, and ``W = sum_S (e_k - mean_J e_j) e_k'``. Then the mean of ``CE_k``
over k is at least (docs/theory, Proposition 6.6)

.. math:: g(R) = \min_{\text{signs of } v} \max_p \frac{|S|}{K} \log\Big(1 + \exp\Big(
          \frac1{|S|} \sum_{k \in S} \log p_k - \frac{\|W\|_2 R}{|S|}\Big)\Big) .

Where ``2^K`` patterns of signs are too many, p = 1 with ``|S| >= K - 2`` and ``||W||_2 <= 1 + sqrt(2)`` bounds all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ufm._arrays import Floats

MAX_CLASSES = 12
"""Largest K for which all patterns of signs are enumerated."""
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
        """g at the next larger point of the grid, which is at most g at the argument; zero beyond the grid, and for nan.

        ``rest`` is an array of values of R; the result, in nats, has its shape.
        """
        index = np.searchsorted(self.rest, rest)
        inside = index < len(self.rest)
        return np.where(inside, self.loss[np.where(inside, index, 0)], 0.0)


def residual_norm_bound(classes: int, most: float) -> ResidualNormBound:
    """The bound for K classes and R up to ``most`` (> 0)."""
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
    # Changing the signs of u and v reverses the order and the signs: one pattern of each such pair is enough.
    mirror = (1 - signs[:, ::-1]) @ (1 << np.arange(classes))
    signs = signs[mirror >= np.arange(2**classes)]
    each = np.arange(classes)
    rows = []
    for partners in range(1, MAX_PARTNERS + 1):
        contrasts, counts = _contrasts(classes, partners)
        # Row k of a matrix here is column k of W: the transpose has the same norm.
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
