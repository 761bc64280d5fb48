"""The figure of advice: from which decay on each group of classes collapses under each remedy, and what geometry results."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from ufm.errors import InputError
from ufm.plot.saving import COLORS, PAGE, panels, style

if TYPE_CHECKING:
    from ufm.analysis.advice import Advice

KINDS = ("deq", "explicit", "third", "fourth", "theory")
"""Colours of ranges or of groups of classes, in the order of their sizes."""
MANY_GROUPS = 5
"""Largest number of class sizes that have a colour of their own."""


def advice(found: Advice, *, width: float = PAGE) -> Figure:
    """Draw what `ufm.advise` found: a row for each remedy.

    Parameters
    ----------
    found : Advice
    width : float, width of the figure in inches

    Returns
    -------
    matplotlib.figure.Figure
        Left, the critical decay of every group of two or more equal classes, with the decay at hand as a line: groups left of
        it are collapsed (full), those right of it are not (open). On the right, the mean cosine of the smallest classes at the
        certified optimum and, where there are more than two sizes, the least cosine of neighbours in each range of sizes (full
        where their near-coincidence is proved).

    Raises
    ------
    InputError
        It is not advice.

    Examples
    --------
    >>> import ufm
    >>> figure = ufm.plot.advice(ufm.advise("500*5,100*5", regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3)))
    >>> [axis.get_title() for axis in figure.axes]
    ['collapsed: full, separated: open', 'certified optimum']
    """
    if not hasattr(found, "remedies"):
        raise InputError(f"advice is {found!r}; give what ufm.advise returns")
    rows = np.arange(len(found.remedies))
    with style():
        figure, axes = panels(1, 2, width=width, height=0.8 + 0.22 * len(rows), sharey=True)
        _decays(axes[0, 0], found)
        _cosines(axes[0, 1], found)
        axes[0, 0].set_yticks(rows, [remedy.name for remedy in found.remedies])
        axes[0, 0].set_ylim(len(rows) - 0.5, -0.5)
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _decays(axis: Axes, found: Advice) -> None:
    """Critical decays by group, relative to the decay at hand of the remedy."""
    sizes = sorted({group.size for remedy in found.remedies for group in remedy.groups}, reverse=True)
    for row, remedy in enumerate(found.remedies):
        for group in remedy.groups:
            color = _color(sizes.index(group.size), len(sizes))
            fill = color if group.collapsed == "yes" else "white"
            axis.plot([group.lower], [row], "o", color=color, markerfacecolor=fill, markersize=4)
        axis.plot([remedy.regularizer.mu] * 2, [row - 0.4, row + 0.4], color="black", linewidth=1.0)
    shown = sizes if len(sizes) <= MANY_GROUPS else []
    for number, size in enumerate(shown):
        axis.plot([], [], "o", color=_color(number, len(sizes)), markersize=4, label=f"classes of size {size}")
    axis.plot([], [], color="black", linewidth=1.0, label="decay at hand")
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(r"critical decay $\sqrt{\lambda_W \lambda_H}$")
    axis.set_title("collapsed: full, separated: open")


def _cosines(axis: Axes, found: Advice) -> None:
    """Mean cosine of the smallest classes, and the least of neighbours by range."""
    names = list(dict.fromkeys(part.name for remedy in found.remedies for part in remedy.ranges))
    for row, remedy in enumerate(found.remedies):
        value = nan if remedy.cos_minority is None else remedy.cos_minority
        axis.plot([value], [row], "s", color="black", markersize=4)
        for part in remedy.ranges:
            near = nan if part.neighbours is None else part.neighbours
            color = _color(names.index(part.name), len(names))
            fill = color if part.verdict == "yes" else "white"
            axis.plot([near], [row], "^", color=color, markerfacecolor=fill, markersize=4)
    axis.plot([], [], "s", color="black", markersize=4, label="smallest classes, mean")
    for number, name in enumerate(names):
        axis.plot([], [], "^", color=_color(number, len(names)), markersize=4, label=f"neighbours among {name}, least")
    axis.set_xlim(-1.05, 1.05)
    axis.set_xlabel("cosine of classifiers")
    axis.set_title("certified optimum; full: neighbours nearly coincide" if names else "certified optimum")


def _color(number: int, count: int) -> str:
    return COLORS[KINDS[number % len(KINDS)]] if count <= MANY_GROUPS else "0.4"
