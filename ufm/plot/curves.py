"""Curves of measurements with their spread, and lines for values from theory."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from ufm.plot.saving import COLORS


def band(axis: Axes, x: ArrayLike, runs: ArrayLike, *, kind: str, label: str | None = None, **options: Any) -> None:
    """Draw the mean of several runs as a curve, and the range from their smallest to their largest value as a band.

    Parameters
    ----------
    axis : matplotlib Axes
    x : (n,) array
    runs : (seeds, n) array, one row per run; or (n,), a single run without a band
    kind : str, a key of `COLORS`: "deq", "explicit", "theory", "third" or "fourth"
    label : str or None, for the legend
    **options
        Passed on to ``Axes.plot``.
    """
    values = np.atleast_2d(np.asarray(runs, dtype=np.float64))
    color = COLORS[kind]
    axis.plot(x, values.mean(axis=0), color=color, label=label, **options)
    if len(values) > 1:
        axis.fill_between(np.asarray(x), values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, linewidth=0)


def reference(axis: Axes, value: float, *, kind: str = "theory", label: str | None = None) -> None:
    """Draw a value as a dashed horizontal line.

    Parameters
    ----------
    axis : matplotlib Axes
    value : float
    kind : str, a key of `COLORS`
    label : str or None, for the legend
    """
    axis.axhline(value, color=COLORS[kind], linestyle=(0, (4, 2)), linewidth=0.8, label=label)
