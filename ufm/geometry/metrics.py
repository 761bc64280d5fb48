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
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ufm.spectral.blocks import BlockMatrix
from ufm.spectral.penalties import ColumnPenalty

if TYPE_CHECKING:
    from ufm.solvers.solution import Solution

Floats = NDArray[np.float64]


def geometry(solution: Solution) -> dict[str, float | None]:
    """Metrics of a solution's classifier W and last-layer class means, in block form (any K).

    Returns
    -------
    dict
        ``nc2, nc3, self_duality, equinorm``, then for classifiers and, with the suffix ``_means``, for class means
        ``cos_majority, cos_minority, cos_cross`` (mean cosine within the largest, within the smallest and between these
        classes) and ``norm_ratio`` (majority over minority norm). Means are centred in ``nc2_means, nc3, self_duality,
        equinorm_means`` (as in `measure`) and raw in cosines and norm ratios. None where
        undefined: no such pair, or a vector is zero.

    Examples
    --------
    >>> import ufm
    >>> s = ufm.solve(ufm.Problem(ufm.balanced(4, 20), regularizer=ufm.WeightDecay(5e-3, 5e-3)))
    >>> round(ufm.geometry(s)["cos_majority"], 9)
    -0.333333333
    """
    sizes = np.array([float(n) for n in solution.program.sizes])
    if isinstance(solution.program.penalty, ColumnPenalty):
        weight, means, cross = _written_out(solution)
        sizes = np.array([float(n) for n in solution.problem.counts])
    else:
        weight, means, cross = _in_blocks(solution)
    means_centred = means.centred()
    product = _centred_columns(cross)
    result: dict[str, float | None] = {
        "nc2": _to_simplex(weight),
        "nc2_means": _to_simplex(means_centred),
        "nc3": _to_simplex(product),
        "self_duality": _duality(weight, means_centred, product),
        "equinorm": _equinorm(weight),
        "equinorm_means": _equinorm(means_centred),
    }
    for suffix, gram in (("", weight), ("_means", means)):
        for name, value in pairs(gram, sizes).items():
            result[name + suffix] = value
    return result


def _in_blocks(solution: Solution) -> tuple[BlockMatrix, BlockMatrix, BlockMatrix]:
    """Gram matrices of W and of the means, and W H, from the sizes that the head gives to singular directions."""
    program, factors, problem = solution.program, solution.factors, solution.problem
    groups, m, scale, runs = program.groups, program.multiplicity, program.scale, program.runs
    heights, outputs = problem.head.sizes(*program.feature_lengths(factors), problem.regularizer)
    rows = np.sqrt(m @ factors.left**2)
    across = np.sqrt(factors.right**2 @ (m * scale**2))
    left = factors.left * (heights[groups:] / np.where(rows > 0, rows, 1.0))
    right = factors.right * (outputs[groups:] / np.where(across > 0, across, 1.0))[:, None]
    contrast = np.sign(factors.contrast) * heights[:groups] * outputs[:groups] / scale
    return (
        _gram(left @ left.T, heights[:groups] ** 2, m, runs),
        _gram(right.T @ right, (outputs[:groups] / scale) ** 2, m, runs),
        _gram(left @ right, contrast, m, runs),
    )


def _written_out(solution: Solution) -> tuple[BlockMatrix, BlockMatrix, BlockMatrix]:
    """Gram matrices of W and of the means, and W H, from explicit parameters."""
    found = solution.parameters
    outputs = found.outputs
    return written(found.weight @ found.weight.T), written(outputs.T @ outputs), written(found.weight @ outputs)


def written(matrix: Floats) -> BlockMatrix:
    """A (K, K) array as a block matrix of K groups of one class."""
    own = np.diag(matrix).copy()
    return BlockMatrix(own, matrix - np.diag(own), tuple((k, 1) for k in range(len(own))))


def _gram(core: Floats, contrast: Floats, multiplicity: Floats, runs: tuple[tuple[int, int], ...]) -> BlockMatrix:
    """Block matrix with block means ``core`` and centred projectors times ``contrast``."""
    within = contrast / multiplicity
    other = core - np.diag(within)
    return BlockMatrix(np.diag(core) + contrast - within, other, runs)


def _centred_columns(matrix: BlockMatrix) -> BlockMatrix:
    """Block matrix minus the mean of its columns (over classes): ``W Hc`` from ``W Hbar``."""
    m = matrix.multiplicity
    off = np.where(matrix.pairs() > 0, matrix.other, 0.0)
    rows = (off @ m + matrix.own - np.diag(off)) / m.sum()
    return BlockMatrix(matrix.own - rows, off - rows[:, None], matrix.runs)


def _to_simplex(matrix: BlockMatrix) -> float | None:
    classes = matrix.multiplicity.sum()
    size = matrix.frobenius()
    if not size > 0:
        return None
    root = sqrt(classes - 1.0)
    own = matrix.own / size - (1.0 - 1.0 / classes) / root
    other = matrix.other / size + 1.0 / (classes * root)
    return BlockMatrix(own, other, matrix.runs).frobenius()


def _duality(weight: BlockMatrix, means: BlockMatrix, product: BlockMatrix) -> float | None:
    """``||W/||W|| - Hc'/||Hc|| ||_F = sqrt(2 - 2 tr(W Hc) / (||W|| ||Hc||))``."""
    sizes = float(weight.multiplicity @ weight.own) * float(means.multiplicity @ means.own)
    if not sizes > 0:
        return None
    cosine = float(product.multiplicity @ product.own) / sqrt(sizes)
    return sqrt(max(2.0 - 2.0 * cosine, 0.0))


def _equinorm(gram: BlockMatrix) -> float | None:
    """Standard deviation over mean of the norms."""
    share = gram.multiplicity / gram.multiplicity.sum()
    norms = np.sqrt(np.maximum(gram.own, 0.0))
    mean = float(share @ norms)
    return sqrt(float(share @ (norms - mean) ** 2)) / mean if mean > 0 else None


def pairs(gram: BlockMatrix, sizes: Floats) -> dict[str, float | None]:
    """Mean cosines within and between the largest and the smallest classes, and the ratio of their norms; None: undefined."""
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
