"""Metrics of a trained network's features and classifier, in the conventions of `ufm.metrics.gram`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ufm.errors import InputError
from ufm.metrics.labels import Codes
from ufm.metrics.measurement import Measured, Measurement
from ufm.metrics.rows import Held, NotFiniteError, Rows, no_numbers, not_finite, real

LARGE = 2**20
"""Entries of the features from which on a measurement runs on one thread."""


def measure(
    features: ArrayLike | Rows,
    labels: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    convention: str = "zhu",
    classes: Iterable[Any] | None = None,
) -> Measured:
    """Neural-collapse metrics of a trained network's last-layer features and classifier.

    Two passes in blocks, so that memory beyond the input is some tens of MB. The pages of a memory-mapped file
    (``numpy.load(path, mmap_mode="r")``) do not stay resident.

    Parameters
    ----------
    features : (N, d) array of any real dtype, one row per sample
        Computed in float64; the rank of the class means is decided with the precision of the dtype given.
    labels : (N,) whole numbers, text or categories, or (N, K) one-hot rows
    weight : (K, d) float or None, classifier
    bias : (K,) float or None
    convention : {"zhu2021", "hongling2023", "papyan2020"}, see `ufm.metrics.gram`; "zhu" and "hong-ling" are short for two
    classes : sequence of str or int, or None
        Names of the classes in the order of the classifier's rows. None: whole numbers 0 .. K-1 are rows; other labels are
        sorted, and their order is that of the rows.

    Returns
    -------
    Measured
        A dict of float: ``nc1, nc2_means, equinorm_means, equiangular_means, effective_rank_means, variability,
        variability_min, variability_max`` and, with a weight, ``nc0, nc2, equinorm, equiangular, effective_rank, nc3,
        self_duality, nc4``. For classifiers and, with the suffix ``_means``, for raw class means, ``cos_majority,
        cos_minority, cos_cross`` (mean cosine within the classes of the largest size, within those of the smallest, and
        between both) and ``norm_ratio``, as in `ufm.geometry`. NaN where a vector vanishes or there is no such pair. Its
        attributes ``classes``, ``counts``, ``variability`` and ``means`` are class by class.

    Raises
    ------
    InputError
        Shapes that do not fit, an empty class, NaN or infinite entries, or an unknown convention.

    Examples
    --------
    >>> import numpy as np, ufm
    >>> frame = ufm.simplex_etf(3)
    >>> found = ufm.measure(np.repeat(frame, 2, axis=0), ["a", "a", "b", "b", "c", "c"], weight=frame)
    >>> max(found[name] for name in ("nc0", "nc1", "nc2", "nc3", "self_duality", "nc4")) < 1e-12
    True
    >>> found.classes, round(found["effective_rank"], 9)
    (['a', 'b', 'c'], 2.0)
    """
    rows: Rows = features if hasattr(features, "blocks") else Held(real("features", features))  # type: ignore[assignment]
    first = Measurement(weight=weight, bias=bias, convention=convention, classes=classes, scatter=False)
    if np.prod(rows.shape) < LARGE:
        return passes(first, rows, labels).result()
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):  # blocks are too small to gain from more, and lose much beside other work
        return passes(first, rows, labels).result()


def passes(first: Measurement, rows: Rows, labels: ArrayLike) -> Measurement:
    """Both passes over all rows.

    Parameters
    ----------
    first : Measurement, without samples
    rows : Rows, (N, d)
    labels : (N,) whole numbers, text or categories, or (N, K) one-hot rows

    Returns
    -------
    Measurement
        In its second pass.

    Raises
    ------
    InputError
        As `measure`.
    """
    if rows.dtype.kind not in "fiub":
        raise InputError(f"features must be an array of real numbers, not of dtype {rows.dtype}")
    codes = first.codes.encode(labels)
    first.fits(rows.shape, len(codes))
    step = first.rows(rows.shape[1])
    _whole(first, rows, codes, step)
    second = first.second_pass()
    _whole(second, rows, codes, step)
    return second


def _whole(measurement: Measurement, rows: Rows, codes: Codes, step: int) -> None:
    start, broken, more = 0, None, 0
    for block in rows.blocks(step):
        if broken is not None:
            more += int(not_finite(block).sum())
            continue
        try:
            measurement.add(block, codes[start : start + len(block)])
        except NotFiniteError:
            broken = np.array(block)
            continue
        start += len(block)
    if broken is not None:
        raise no_numbers("features", broken, start, more)
