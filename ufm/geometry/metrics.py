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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm.errors import InputError
from ufm.spectral.blocks import BlockMatrix

if TYPE_CHECKING:
    from ufm.solvers.solution import Solution

Floats = NDArray[np.float64]
CONVENTIONS = ("zhu", "hong-ling")


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
    program, factors = solution.program, solution.factors
    sizes = np.array([float(n) for n in program.sizes])
    scale = program.scale
    weight = _gram(factors.left @ factors.left.T, factors.contrast * scale, program.multiplicity, program.runs)
    means = _gram(factors.right.T @ factors.right, factors.contrast / scale, program.multiplicity, program.runs)
    cross = _gram(factors.left @ factors.right, factors.contrast, program.multiplicity, program.runs)
    ratio = sqrt(solution.problem.regularizer.balance())
    weight, means = _scaled(weight, ratio), _scaled(means, 1.0 / ratio)
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
        for name, value in _pairs(gram, sizes).items():
            result[name + suffix] = value
    return result


def measure(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    convention: str = "zhu",
) -> dict[str, float]:
    """Metrics of a network's own last-layer features and classifier.

    Parameters
    ----------
    features : (N, d) float, one row per sample
    labels : (N,) int in 0 .. K-1, every class present
    weight : (K, d) float or None
    bias : (K,) float or None
    convention : {"zhu", "hong-ling"}, of ``nc1``

    Returns
    -------
    dict of float
        ``nc1, nc2_means, equinorm_means, equiangular_means`` and, with a weight, ``nc2, equinorm, equiangular, nc3,
        self_duality, nc4``; NaN where a vector vanishes.

    Raises
    ------
    InputError
        Shapes that do not fit, an empty class, NaN or infinite entries.

    Examples
    --------
    >>> import numpy as np, ufm
    >>> frame = ufm.simplex_etf(3)
    >>> found = ufm.measure(np.repeat(frame, 2, axis=0), [0, 0, 1, 1, 2, 2], weight=frame)
    >>> max(found.values()) < 1e-12
    True
    """
    if convention not in CONVENTIONS:
        raise InputError(f"convention is {convention!r}; choose one of {', '.join(CONVENTIONS)}")
    raw = _array("features", features)
    precision = np.finfo(raw.dtype).eps if raw.dtype.kind == "f" else np.finfo(np.float64).eps
    samples = raw.astype(np.float64)
    largest = float(np.abs(samples).max(initial=0.0))
    if np.isfinite(largest) and largest > 0:
        samples = samples / largest  # every metric is free of scale, and products then stay within float64
    targets = np.asarray(labels)
    if samples.ndim != 2 or not samples.shape[1] or targets.shape != samples.shape[:1] or not len(targets):
        raise InputError(f"features {samples.shape} and labels {targets.shape} do not fit; give (N, d) and (N,)")
    if targets.dtype.kind not in "iu" or targets.min() < 0 or targets.max() > 10**7:
        raise InputError("labels must be whole numbers 0 .. K-1")
    if not np.isfinite(samples).all():
        raise InputError("features contain NaN or infinity; drop or repair those samples")
    classifier = None if weight is None else np.atleast_1d(_array("weight", weight)).astype(np.float64)
    if classifier is None and (bias is not None or targets.max() == 0):
        raise InputError("a bias needs a weight" if bias is not None else "labels name one class only; give at least 2")
    classes = int(targets.max()) + 1 if classifier is None else len(classifier)
    counts = np.bincount(targets, minlength=classes)
    if len(counts) > classes or classes < 2:
        raise InputError(f"labels reach {targets.max()} but weight has {classes} rows; give one row per class")
    if counts.min() == 0:
        raise InputError(f"class {int(np.argmin(counts))} has no sample; every class needs one to have a mean")
    sums = np.zeros((classes, samples.shape[1]))
    np.add.at(sums, targets, samples)
    means = sums / counts[:, None]
    share = np.full(classes, 1.0 / classes) if convention == "zhu" else counts / counts.sum()
    centred = means - means.mean(axis=0)
    between = means - share @ means
    # Class means carry the rounding of the data, whose size may be far above that of their differences.
    noise = precision * max(between.shape) * float(np.abs(samples).max()) * float(np.sqrt(share.max()))
    result = {"nc1": _within_over_between(samples - means[targets], np.sqrt(share)[:, None] * between, classes, noise)}
    gram = centred @ centred.T
    result |= {"nc2_means": _simplex_distance(gram), **_regularity(gram, "_means")}
    if classifier is None:
        return result
    if classifier.shape != (classes, samples.shape[1]) or not np.isfinite(classifier).all():
        raise InputError(f"weight {classifier.shape} must be finite and of shape {(classes, samples.shape[1])}")
    offset = np.zeros(classes) if bias is None else np.asarray(bias, dtype=np.float64)
    if offset.shape != (classes,) or not np.isfinite(offset).all():
        raise InputError(f"bias {offset.shape} must be finite and of shape {(classes,)}")
    gram = classifier @ classifier.T
    result |= {"nc2": _simplex_distance(gram), **_regularity(gram, "")}
    result["nc3"] = _simplex_distance(classifier @ centred.T)
    sizes = np.linalg.norm(classifier), np.linalg.norm(centred)
    dual = classifier / sizes[0] - centred / sizes[1] if min(sizes) > 0 else np.full(1, np.nan)
    result["self_duality"] = float(np.linalg.norm(dual))
    predicted = np.argmax(samples @ classifier.T + offset / largest if largest > 0 else samples @ classifier.T, axis=1)
    distance = np.sum(means**2, axis=1) - 2.0 * samples @ means.T
    result["nc4"] = float(np.mean(predicted != np.argmin(distance, axis=1)))
    return result


def _array(name: str, value: ArrayLike) -> NDArray[Any]:
    """A real array, without a mask."""
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiub" or isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{name} must be an array of real numbers (dtype {array.dtype}, no mask, rows of equal length)")
    return array


def _within_over_between(within: Floats, between: Floats, classes: int, noise: float) -> float:
    """``tr(Sigma_W Sigma_B^+) / K`` by a thin SVD; singular values below the noise of the data count as zero."""
    _, sigma, vt = np.linalg.svd(between, full_matrices=False)
    keep = sigma > noise
    if not keep.any():
        return float("nan")
    projected = within @ (vt[keep].T / sigma[keep])
    return float(np.sum(projected**2)) / len(within) / classes


def _simplex_distance(matrix: Floats) -> float:
    classes = len(matrix)
    size = np.linalg.norm(matrix)
    if not size > 0:
        return float("nan")
    simplex = (np.eye(classes) - 1.0 / classes) / np.sqrt(classes - 1.0)
    return float(np.linalg.norm(matrix / size - simplex))


def _regularity(gram: Floats, suffix: str) -> dict[str, float]:
    norms = np.sqrt(np.maximum(np.diag(gram), 0.0))
    classes = len(gram)
    if not norms.min() > 0:
        return {f"equinorm{suffix}": float("nan"), f"equiangular{suffix}": float("nan")}
    cosines = (gram / np.outer(norms, norms))[~np.eye(classes, dtype=bool)]
    angle = float(np.mean(np.abs(cosines + 1.0 / (classes - 1.0))))
    return {f"equinorm{suffix}": float(norms.std() / norms.mean()), f"equiangular{suffix}": angle}


def _gram(core: Floats, contrast: Floats, multiplicity: Floats, runs: tuple[tuple[int, int], ...]) -> BlockMatrix:
    """Block matrix with block means ``core`` and centred projectors times ``contrast``."""
    within = contrast / multiplicity
    other = core - np.diag(within)
    return BlockMatrix(np.diag(core) + contrast - within, other, runs)


def _scaled(matrix: BlockMatrix, factor: float) -> BlockMatrix:
    return BlockMatrix(matrix.own * factor, matrix.other * factor, matrix.runs)


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


def _pairs(gram: BlockMatrix, sizes: Floats) -> dict[str, float | None]:
    """Cosines within and between the largest and the smallest classes, and the ratio of their norms."""
    norms = np.sqrt(np.maximum(gram.own, 0.0))
    tiny = 1e-12 * norms.max(initial=0.0)
    pairs = gram.pairs()
    majority, minority = sizes == sizes.max(), sizes == sizes.min()

    def cosine(rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> float | None:
        weight = pairs * np.outer(rows, columns)
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
