"""Metrics of a network's own features and classifier; the conventions are those of `ufm.geometry.metrics`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm.errors import InputError
from ufm.geometry.metrics import pairs, written

Floats = NDArray[np.float64]
CONVENTIONS = ("zhu", "hong-ling")


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
        self_duality, nc4``. For classifiers and, with the suffix ``_means``, for raw class means, ``cos_majority,
        cos_minority, cos_cross`` (mean cosine within the classes of the largest size, within those of the smallest, and
        between both) and ``norm_ratio``, as in `ufm.geometry.geometry`. NaN where a vector vanishes or there is no such pair.

    Raises
    ------
    InputError
        Shapes that do not fit, an empty class, NaN or infinite entries.

    Examples
    --------
    >>> import numpy as np, ufm
    >>> frame = ufm.simplex_etf(3)
    >>> found = ufm.measure(np.repeat(frame, 2, axis=0), [0, 0, 1, 1, 2, 2], weight=frame)
    >>> max(found[name] for name in ("nc1", "nc2", "nc3", "self_duality", "nc4")) < 1e-12
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
    result |= {"nc2_means": _simplex_distance(gram), **_regularity(gram, "_means"), **_pairs(means @ means.T, counts, "_means")}
    if classifier is None:
        return result
    if classifier.shape != (classes, samples.shape[1]) or not np.isfinite(classifier).all():
        raise InputError(f"weight {classifier.shape} must be finite and of shape {(classes, samples.shape[1])}")
    heaviest = float(np.abs(classifier).max(initial=0.0))
    if heaviest > 0:
        classifier = classifier / heaviest  # as for features: every metric is free of the scale of W
    offset = np.zeros(classes) if bias is None else _array("bias", bias).astype(np.float64)
    if offset.shape != (classes,) or not np.isfinite(offset).all():
        raise InputError(f"bias {offset.shape} must be finite and of shape {(classes,)}")
    gram = classifier @ classifier.T
    result |= {"nc2": _simplex_distance(gram), **_regularity(gram, ""), **_pairs(gram, counts, "")}
    result["nc3"] = _simplex_distance(classifier @ centred.T)
    sizes = np.linalg.norm(classifier), np.linalg.norm(centred)
    dual = classifier / sizes[0] - centred / sizes[1] if min(sizes) > 0 else np.full(1, np.nan)
    result["self_duality"] = float(np.linalg.norm(dual))
    scale = (largest if largest > 0 else 1.0) * (heaviest if heaviest > 0 else 1.0)
    predicted = np.argmax(samples @ classifier.T + offset / scale, axis=1)
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


def _pairs(gram: Floats, counts: NDArray[np.intp], suffix: str) -> dict[str, float]:
    found = pairs(written(gram), counts.astype(np.float64))
    return {name + suffix: float("nan") if value is None else value for name, value in found.items()}
