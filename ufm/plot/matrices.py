"""Gram matrices as images, and features in two dimensions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from ufm._arrays import Floats


def gram(axis: Axes, features: ArrayLike, labels: ArrayLike) -> AxesImage:
    """Cosines between all samples, in the order of their classes, with a tick at the middle of each class.

    features : (N, d), labels : (N,) int
    """
    h, y = np.asarray(features, dtype=np.float64), np.asarray(labels)
    order = np.argsort(y, kind="stable")
    norms = np.linalg.norm(h[order], axis=1, keepdims=True)
    unit = h[order] / np.where(norms > 0, norms, 1.0)
    shown = image(axis, unit @ unit.T, 1.0)
    sizes = np.bincount(y)
    class_ticks(axis, range(len(sizes)), sizes)
    return shown


def image(axis: Axes, matrix: ArrayLike, limit: float) -> AxesImage:
    """A matrix as an image, blue for -limit, white for 0, red for limit."""
    return axis.imshow(np.asarray(matrix), vmin=-limit, vmax=limit, cmap="RdBu_r", interpolation="nearest", rasterized=True)


def class_ticks(axis: Axes, labels: Iterable[object], lengths: ArrayLike) -> None:
    """Both axes have a tick at the middle of each run of rows that is long enough for its label."""
    sizes = np.asarray(lengths)
    middle = np.cumsum(sizes) - sizes / 2 - 0.5
    # Short runs have no room for a tick each.
    wide = sizes >= 0.04 * sizes.sum()
    told = [str(label) for label, kept in zip(labels, wide, strict=True) if kept]
    axis.set_xticks(middle[wide], told)
    axis.set_yticks(middle[wide], told)
    axis.tick_params(length=0)


def principal(features: ArrayLike, dimensions: int = 2) -> Floats:
    """Coordinates along the leading principal components of the class-balanced picture: (N, 2), signs fixed by the data."""
    h = np.asarray(features, dtype=np.float64)
    centred = h - h.mean(axis=0)
    _, _, vt = np.linalg.svd(centred, full_matrices=False)
    axes = vt[:dimensions]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    return centred @ axes.T


def embedding(axis: Axes, features: ArrayLike, labels: ArrayLike, *, majority: int) -> None:
    """Principal components of features, one colour per class; the first ``majority`` classes as dots, the others as crosses."""
    from matplotlib import colormaps

    points, y = principal(features), np.asarray(labels)
    colors = colormaps["tab10"]
    for k in np.unique(y):
        rows = y == k
        style = {"marker": "o", "s": 5} if k < majority else {"marker": "x", "s": 9, "linewidths": 0.7}
        axis.scatter(points[rows, 0], points[rows, 1], color=colors(int(k) % 10), label=str(k), **style)
    axis.set_xlabel("first principal component")
    axis.set_ylabel("second")
