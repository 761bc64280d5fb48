r"""Neural-collapse metrics and their conventions.

With G the (K, K) Gram matrix of the rows of W (or of the centred class means), Hc (d, K) the class means minus their own mean,
and ``S = I - 11'/K``; all are without unit. Under neural collapse ``nc0`` to ``nc4`` are zero, and the effective ranks are
K - 1. Locators in the papers named are unknown.

* ``nc0``: ``|W'1| / (sqrt(K) |W|_F)``, the sum of the classifier's rows; 1 where all rows are equal.
* ``nc1``: ``tr(Sigma_W Sigma_B^+) / K``, ``Sigma_W`` over all samples about the means of their classes.
* ``variability``: of class k, ``(1/n_k) sum_i |h_i - m_k|^2`` over ``|Hc|_F^2 / K``; the mean over classes, the smallest
  (``_min``) and the largest (``_max``).
* ``nc2``: ``||G/||G||_F - S/sqrt(K-1)||_F``; ``equinorm``: std over mean of the norms; ``equiangular``: mean
  ``|cos + 1/(K-1)|``.
* ``effective_rank``: exponential of the entropy of the singular values of W (or of Hc), as shares of their sum (Roy &
  Vetterli, EUSIPCO 2007).
* ``nc3``: ``||W Hc / ||W Hc||_F - S/sqrt(K-1)||_F`` (Zhu); ``self_duality``: ``||W/||W||_F - Hc'/||Hc||_F||_F`` (Papyan).
* ``nc4``: share of samples on which the classifier (with its bias) and the nearest class mean disagree.

Conventions differ where classes have different sizes, with m_k the class means and n_k the class sizes:

* ``zhu2021`` (or ``zhu``, the default; Zhu et al. 2021): ``Sigma_B = (1/K) sum_k (m_k - m)(m_k - m)'`` about the mean of class
  means ``m = (1/K) sum_k m_k``, and ``Hc = m_k - m``.
* ``hongling2023`` (or ``hong-ling``; Hong & Ling 2023): ``Sigma_B = sum_k (n_k/N) (m_k - g)(m_k - g)'`` about the mean of
  samples ``g = sum_k (n_k/N) m_k``, and ``Hc = m_k - m``.
* ``papyan2020`` (Papyan, Han & Donoho 2020): ``Sigma_B = (1/K) sum_k (m_k - g)(m_k - g)'``, and ``Hc = m_k - g``.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.spectral.blocks import BlockMatrix


def written(matrix: Floats) -> BlockMatrix:
    """A (K, K) array as a `BlockMatrix` of K groups of one class."""
    own = np.diag(matrix).copy()
    return BlockMatrix(own, matrix - np.diag(own), tuple((k, 1) for k in range(len(own))))


def block_gram(core: Floats, contrast: Floats, multiplicity: Floats, runs: tuple[tuple[int, int], ...]) -> BlockMatrix:
    """Block matrix with given block means, plus ``contrast_g (I - 11'/m_g)`` on the diagonal block of group g.

    Parameters
    ----------
    core : (G, G) float64, block means
    contrast : (G,) float64
    multiplicity : (G,) float64, number of classes ``m_g`` per group
    runs : tuple of (group, classes), the classes in order

    Returns
    -------
    BlockMatrix
    """
    within = contrast / multiplicity
    other = core - np.diag(within)
    return BlockMatrix(np.diag(core) + contrast - within, other, runs)


def centred_columns(matrix: BlockMatrix) -> BlockMatrix:
    """Block matrix with the mean of its columns subtracted from each column: ``W Hc`` from ``W`` times raw class means."""
    m = matrix.multiplicity
    off = np.where(matrix.pairs() > 0, matrix.other, 0.0)
    rows = (off @ m + matrix.own - np.diag(off)) / m.sum()
    return BlockMatrix(matrix.own - rows, off - rows[:, None], matrix.runs)


def to_simplex(matrix: BlockMatrix) -> float | None:
    """Distance ``||M/||M||_F - S/sqrt(K-1)||_F`` from the simplex ETF (``nc2``, ``nc3``); None for the zero matrix."""
    classes = matrix.multiplicity.sum()
    size = matrix.frobenius()
    if not size > 0:
        return None
    root = sqrt(classes - 1.0)
    own = matrix.own / size - (1.0 - 1.0 / classes) / root
    other = matrix.other / size + 1.0 / (classes * root)
    return BlockMatrix(own, other, matrix.runs).frobenius()


def duality(weight: BlockMatrix, means: BlockMatrix, product: BlockMatrix) -> float | None:
    """Self-duality ``|| W/||W||_F - Hc'/||Hc||_F ||_F``, from products of W and the centred class means Hc.

    Parameters
    ----------
    weight : BlockMatrix, ``W W'``
    means : BlockMatrix, ``Hc' Hc``
    product : BlockMatrix, ``W Hc``

    Returns
    -------
    float in [0, 2], or None where W or Hc is zero
    """
    sizes = float(weight.multiplicity @ weight.own) * float(means.multiplicity @ means.own)
    if not sizes > 0:
        return None
    cosine = float(product.multiplicity @ product.own) / sqrt(sizes)
    return sqrt(max(2.0 - 2.0 * cosine, 0.0))


def equinorm(gram: BlockMatrix) -> float | None:
    """Standard deviation over mean of the norms of the vectors with this Gram matrix; None where all are zero."""
    share = gram.multiplicity / gram.multiplicity.sum()
    norms = np.sqrt(np.maximum(gram.own, 0.0))
    mean = float(share @ norms)
    return sqrt(float(share @ (norms - mean) ** 2)) / mean if mean > 0 else None


def pairs(gram: BlockMatrix, sizes: Floats) -> dict[str, float | None]:
    """Mean cosines within and between the largest and the smallest classes, and the ratio of their mean norms.

    Parameters
    ----------
    gram : BlockMatrix, Gram matrix of one vector per class
    sizes : (G,) float64, class size of each group

    Returns
    -------
    dict of float or None
        ``cos_majority, cos_minority, cos_cross, norm_ratio`` (majority over minority); None where there is no such pair or a
        vector is zero.
    """
    norms = np.sqrt(np.maximum(gram.own, 0.0))
    tiny = 1e-12 * norms.max(initial=0.0)
    counted = gram.pairs()
    majority, minority = sizes == sizes.max(), sizes == sizes.min()

    def cosine(rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> float | None:
        weight = counted * np.outer(rows, columns)
        if not weight.any() or min(norms[rows].min(), norms[columns].min()) <= tiny:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            cosines = np.where(weight > 0, gram.other / np.outer(norms, norms), 0.0)
        return float(np.clip(np.sum(weight * cosines) / weight.sum(), -1.0, 1.0))

    m = gram.multiplicity
    large = float(m[majority] @ norms[majority]) / float(m[majority].sum())
    small = float(m[minority] @ norms[minority]) / float(m[minority].sum())
    return {
        "cos_majority": cosine(majority, majority),
        "cos_minority": cosine(minority, minority),
        "cos_cross": cosine(majority, minority) if sizes.max() > sizes.min() else None,
        "norm_ratio": large / small if small > tiny else None,
    }
