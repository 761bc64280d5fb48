"""Metrics of a trained network's features and classifier, in the conventions of `ufm.metrics.gram`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.metrics.gram import pairs, written
from ufm.metrics.last_layer import LastLayer

CONVENTIONS = ("zhu", "hong-ling")


def measure(
    features: ArrayLike,
    labels: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    convention: str = "zhu",
) -> dict[str, float]:
    """Neural-collapse metrics of a trained network's last-layer features and classifier.

    Parameters
    ----------
    features : (N, d) array of any real dtype, one row per sample
        Computed in float64; the rank of the class means is decided with the precision of the dtype given.
    labels : (N,) int in 0 .. K-1, every class present
    weight : (K, d) float or None, classifier
    bias : (K,) float or None
    convention : {"zhu", "hong-ling"}, of ``nc1``, see `ufm.metrics.gram`

    Returns
    -------
    dict of float
        ``nc1, nc2_means, equinorm_means, equiangular_means`` and, with a weight, ``nc2, equinorm, equiangular, nc3,
        self_duality, nc4``. For classifiers and, with the suffix ``_means``, for raw class means, ``cos_majority,
        cos_minority, cos_cross`` (mean cosine within the classes of the largest size, within those of the smallest, and
        between both) and ``norm_ratio``, as in `ufm.geometry`. NaN where a vector vanishes or there is no such pair.

    Raises
    ------
    InputError
        Shapes that do not fit, an empty class, NaN or infinite entries, or an unknown convention.

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
    layer = LastLayer.of(features, labels, weight, bias)
    classes, counts, samples, means = layer.classes, layer.counts, layer.centred, layer.centred_means
    share = np.full(classes, 1.0 / classes) if convention == "zhu" else counts / counts.sum()
    centred = means - means.mean(axis=0)
    between = means - share @ means
    # Class means carry the rounding errors of the data, whose size may be far above that of their differences.
    noise = layer.precision * max(between.shape) * float(np.abs(layer.features).max()) * float(np.sqrt(share.max()))
    within = samples - means[layer.labels]
    result = {"nc1": _within_over_between(within, np.sqrt(share)[:, None] * between, classes, noise)}
    gram, raw = centred @ centred.T, layer.means
    result |= {"nc2_means": _simplex_distance(gram), **_regularity(gram, "_means"), **_pairs(raw @ raw.T, counts, "_means")}
    if layer.weight is None:
        return result
    gram = layer.weight @ layer.weight.T
    result |= {"nc2": _simplex_distance(gram), **_regularity(gram, ""), **_pairs(gram, counts, "")}
    result["nc3"] = _simplex_distance(layer.weight @ centred.T)
    sizes = np.linalg.norm(layer.weight), np.linalg.norm(centred)
    dual = layer.weight / sizes[0] - centred / sizes[1] if min(sizes) > 0 else np.full(1, np.nan)
    result["self_duality"] = float(np.linalg.norm(dual))
    result["nc4"] = float(np.mean(layer.decisions != layer.nearest))
    return result


def _within_over_between(within: Floats, between: Floats, classes: int, noise: float) -> float:
    """``tr(Sigma_W Sigma_B^+) / K`` by a thin SVD; singular values below the rounding error of the data count as zero."""
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
