"""Gram matrices as images, and features in two dimensions."""

from __future__ import annotations

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
    image = axis.imshow(unit @ unit.T, vmin=-1, vmax=1, cmap="RdBu_r", interpolation="nearest", rasterized=True)
    sizes = np.bincount(y)
    ends = np.cumsum(sizes)
    middle = ends - sizes / 2 - 0.5
    # Small classes have no room for a tick each.
    wide = sizes >= 0.04 * len(y)
    axis.set_xticks(middle[wide], [str(k) for k in np.flatnonzero(wide)])
    axis.set_yticks(middle[wide], [str(k) for k in np.flatnonzero(wide)])
    axis.tick_params(length=0)
    return image


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
