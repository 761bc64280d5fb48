"""The figure of a solution: its logits and cosines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ufm._arrays import Floats
from ufm._text import classes
from ufm.errors import InputError
from ufm.plot.matrices import class_ticks, image
from ufm.plot.saving import PAGE, panels, style

if TYPE_CHECKING:
    from ufm.solvers.solution import Solution

LARGEST = 2000
"""Largest number of classes that are drawn; more would not be visible."""


def solution(found: Solution, *, width: float = PAGE) -> Figure:
    """Draw a solution: its logits, and the cosines between its classifiers and between its class means.

    Parameters
    ----------
    found : Solution
        Of at most 2000 classes. They are drawn in the order of the problem; each group of consecutive classes of the same size
        has a tick with that size in its middle.
    width : float, width of the figure in inches

    Returns
    -------
    matplotlib.figure.Figure
        Not part of the global state of pyplot; `ufm.plot.save` writes it, a notebook shows it. Its panels are (K, K) matrices:
        the logits ``W Hbar`` with bias, column k of class k; the cosines between the classifiers; and the cosines between the
        raw last-layer class means. Cosines of a zero vector are drawn as 0.

    Raises
    ------
    InputError
        It is not a solution, or has too many classes.

    Examples
    --------
    >>> import ufm
    >>> figure = ufm.plot.solution(ufm.solve(ufm.Problem("9*3,2*3", regularizer=ufm.WeightDecay(5e-3, 5e-3))))
    >>> [axis.get_title() for axis in figure.axes[:3]]
    ['logits', 'cosines of classifiers', 'cosines of class means']
    """
    if not hasattr(found, "parameters") or not hasattr(found, "problem"):
        raise InputError(f"solution is {found!r}; give what ufm.solve returns")
    counts = found.problem.counts
    if counts.classes > LARGEST:
        raise InputError(f"the solution has K={counts.classes} classes; matrices are drawn up to K={LARGEST}")
    parameters = found.parameters
    logits = parameters.logits
    height = float(np.abs(logits).max(initial=0.0)) or 1.0
    drawn = (
        ("logits", logits, height),
        ("cosines of classifiers", cosines(parameters.weight), 1.0),
        ("cosines of class means", cosines(parameters.outputs.T), 1.0),
    )
    with style():
        figure, axes = panels(1, 3, width=width, height=0.36 * width)
        for axis, (title, matrix, limit) in zip(axes[0], drawn, strict=True):
            shown = image(axis, matrix, limit)
            axis.set_title(title)
            class_ticks(axis, [size for size, _ in counts.runs], [count for _, count in counts.runs])
            bar = figure.colorbar(shown, ax=axis, shrink=0.75, pad=0.02)
            bar.outline.set_linewidth(0.4)  # type: ignore[operator]
        figure.suptitle(f"{classes(counts.runs)}: value {found.value:.6g}, gap {found.gap:.1e}, {found.status}", fontsize=7)
    return figure


def cosines(rows: ArrayLike) -> Floats:
    """Cosines between the rows of a matrix (n, d), as (n, n) float64; 0 for rows that are zero.

    >>> cosines([[2.0, 0.0], [0.0, 0.0], [-3.0, 0.0]])[0].tolist()
    [1.0, 0.0, -1.0]
    """
    x = np.asarray(rows, dtype=np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    unit = x / np.where(norms > 0, norms, 1.0)
    return unit @ unit.T
