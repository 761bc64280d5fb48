"""Curves: measurements with their spread, theory as a line."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from ufm.plot.saving import COLORS


def band(axis: Axes, x: ArrayLike, runs: ArrayLike, *, kind: str, label: str | None = None, **options: Any) -> None:
    """The mean of several runs (seeds, len(x)) and the range from their smallest to their largest value."""
    values = np.atleast_2d(np.asarray(runs, dtype=np.float64))
    color = COLORS[kind]
    axis.plot(x, values.mean(axis=0), color=color, label=label, **options)
    if len(values) > 1:
        axis.fill_between(np.asarray(x), values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, linewidth=0)


def reference(axis: Axes, value: float, *, kind: str = "theory", label: str | None = None) -> None:
    """A level that theory gives, as a dashed line."""
    axis.axhline(value, color=COLORS[kind], linestyle=(0, (4, 2)), linewidth=0.8, label=label)
