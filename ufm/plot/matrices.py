"""Gram matrices as images, and features in two dimensions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from ufm._arrays import Floats
from ufm.plot.saving import CLASSES

MANY_TICKS = 6
"""Labels beside each other from which on they are turned."""


def gram(axis: Axes, features: ArrayLike, labels: ArrayLike) -> AxesImage:
    """Draw the cosines between all samples, ordered by class, with a tick at the middle of each class.

    Parameters
    ----------
    axis : matplotlib Axes
    features : (N, d) array
    labels : (N,) array of int, classes 0 .. K-1

    Returns
    -------
    matplotlib.image.AxesImage
        The (N, N) image; cosines of a zero vector are drawn as 0.
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
    """Draw a matrix as an image: blue for -limit, white for 0, red for limit.

    Parameters
    ----------
    axis : matplotlib Axes
    matrix : (m, n) array
    limit : float > 0, end of the colour scale

    Returns
    -------
    matplotlib.image.AxesImage
    """
    return axis.imshow(np.asarray(matrix), vmin=-limit, vmax=limit, cmap="RdBu_r", interpolation="nearest", rasterized=True)


def class_ticks(axis: Axes, labels: Iterable[object], lengths: ArrayLike) -> None:
    """Put ticks on both axes of a matrix whose rows and columns are grouped, at the middle of each group.

    Groups with less than 4 % of the rows get no tick; many labels of columns are turned.

    Parameters
    ----------
    axis : matplotlib Axes
    labels : iterable, the labels of the groups
    lengths : (groups,) array of int, number of rows of each group
    """
    sizes = np.asarray(lengths)
    middle = np.cumsum(sizes) - sizes / 2 - 0.5
    # Small groups have no room for a label.
    wide = sizes >= 0.04 * sizes.sum()
    told = [str(label) for label, kept in zip(labels, wide, strict=True) if kept]
    crowded = len(told) > MANY_TICKS
    axis.set_xticks(middle[wide], told, rotation=90 if crowded else 0)
    axis.set_yticks(middle[wide], told)
    axis.tick_params(length=0)


def principal(features: ArrayLike, dimensions: int = 2) -> Floats:
    """Coordinates of features, (N, d), along their leading principal components: (N, dimensions) float64.

    The sign of a component is such that its largest entry is positive.
    """
    h = np.asarray(features, dtype=np.float64)
    centred = h - h.mean(axis=0)
    _, _, vt = np.linalg.svd(centred, full_matrices=False)
    axes = vt[:dimensions]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    return centred @ axes.T


def embedding(axis: Axes, features: ArrayLike, labels: ArrayLike, *, majority: int) -> None:
    """Draw features along their first two principal components, one colour per class.

    Parameters
    ----------
    axis : matplotlib Axes
    features : (N, d) array
    labels : (N,) array of int, classes 0 .. K-1
    majority : int, number of majority classes; these come first and are drawn as dots, the others as crosses
    """
    points, y = principal(features), np.asarray(labels)
    for k in np.unique(y):
        rows = y == k
        style = {"marker": "o", "s": 5} if k < majority else {"marker": "x", "s": 9, "linewidths": 0.7}
        axis.scatter(points[rows, 0], points[rows, 1], color=CLASSES[int(k) % len(CLASSES)], label=str(k), **style)
    axis.set_xlabel("first principal component")
    axis.set_ylabel("second")
