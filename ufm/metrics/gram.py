r"""Neural-collapse metrics, each with its convention in its name.

With G the Gram matrix of the rows of W (or of the centred class means) and ``S = I - 11'/K``:

* ``nc1``: ``tr(Sigma_W Sigma_B^+) / K`` (Zhu et al. 2021); ``Sigma_B`` over class means, unweighted and about their own
  mean (``convention="zhu"``) or weighted by ``n_k / N`` about the mean of samples (``"hong-ling"``).
* ``nc2``: ``||G/||G||_F - S/sqrt(K-1)||_F``; ``equinorm``: std over mean of the norms; ``equiangular``: mean
  ``|cos + 1/(K-1)|``.
* ``nc3``: ``||W Hc / ||W Hc||_F - S/sqrt(K-1)||_F`` (Zhu); ``self_duality``: ``||W/||W||_F - Hc'/||Hc||_F||_F`` (Papyan).
* ``nc4``: share of samples on which the classifier and the nearest class mean disagree.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.spectral.blocks import BlockMatrix


def written(matrix: Floats) -> BlockMatrix:
    """A (K, K) array as a block matrix of K groups of one class."""
    own = np.diag(matrix).copy()
    return BlockMatrix(own, matrix - np.diag(own), tuple((k, 1) for k in range(len(own))))


def block_gram(core: Floats, contrast: Floats, multiplicity: Floats, runs: tuple[tuple[int, int], ...]) -> BlockMatrix:
    """Block matrix from its action on group means and on contrasts within groups.

    Parameters
    ----------
    core : (G, G) float64, means of the blocks
    contrast : (G,) float64, factors of the centred projectors on the diagonal blocks
    multiplicity : (G,) float64, classes of each group
    runs : ``(group, classes)`` in class order

    Returns
    -------
    BlockMatrix, (K, K)
    """
    within = contrast / multiplicity
    other = core - np.diag(within)
    return BlockMatrix(np.diag(core) + contrast - within, other, runs)


def centred_columns(matrix: BlockMatrix) -> BlockMatrix:
    """Block matrix minus the mean of its columns (over classes): ``W Hc`` from ``W Hbar``."""
    m = matrix.multiplicity
    off = np.where(matrix.pairs() > 0, matrix.other, 0.0)
    rows = (off @ m + matrix.own - np.diag(off)) / m.sum()
    return BlockMatrix(matrix.own - rows, off - rows[:, None], matrix.runs)


def to_simplex(matrix: BlockMatrix) -> float | None:
    """Distance of a matrix from the multiples of the simplex ETF's, both of Frobenius norm 1; None for the zero matrix."""
    classes = matrix.multiplicity.sum()
    size = matrix.frobenius()
    if not size > 0:
        return None
    root = sqrt(classes - 1.0)
    own = matrix.own / size - (1.0 - 1.0 / classes) / root
    other = matrix.other / size + 1.0 / (classes * root)
    return BlockMatrix(own, other, matrix.runs).frobenius()


def duality(weight: BlockMatrix, means: BlockMatrix, product: BlockMatrix) -> float | None:
    """``||W/||W|| - Hc'/||Hc|| ||_F = sqrt(2 - 2 tr(W Hc) / (||W|| ||Hc||))``.

    Parameters
    ----------
    weight, means : BlockMatrix, Gram matrices (K, K) of the rows of W and of the centred class means
    product : BlockMatrix, ``W Hc`` (K, K)

    Returns
    -------
    float or None
        In [0, 2]; None where W or Hc is zero.
    """
    sizes = float(weight.multiplicity @ weight.own) * float(means.multiplicity @ means.own)
    if not sizes > 0:
        return None
    cosine = float(product.multiplicity @ product.own) / sqrt(sizes)
    return sqrt(max(2.0 - 2.0 * cosine, 0.0))


def equinorm(gram: BlockMatrix) -> float | None:
    """Standard deviation over mean of the norms."""
    share = gram.multiplicity / gram.multiplicity.sum()
    norms = np.sqrt(np.maximum(gram.own, 0.0))
    mean = float(share @ norms)
    return sqrt(float(share @ (norms - mean) ** 2)) / mean if mean > 0 else None


def pairs(gram: BlockMatrix, sizes: Floats) -> dict[str, float | None]:
    """Mean cosines within and between the largest and the smallest classes, and the ratio of their norms; None: undefined.

    ``gram`` is the Gram matrix of K vectors in G groups, ``sizes`` (G,) the class sizes of the groups.
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
