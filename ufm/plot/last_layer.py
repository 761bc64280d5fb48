"""The figure of a network's last layer: its matrices beside the predicted ones, spectra and cosines."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.metrics import Measured
from ufm.metrics.gram import written
from ufm.metrics.size_ranges import members, range_geometry
from ufm.plot.matrices import class_ticks, image
from ufm.plot.overview import LARGEST
from ufm.plot.saving import COLORS, PAGE, panels, style
from ufm.targets.size_ranges import DEFAULT, parse_ranges

if TYPE_CHECKING:
    from ufm.analysis import Prediction

TITLES = ("classifiers", "class means", "logits of class means")
COSINES = ("cos_majority", "cos_minority", "cos_cross")


def network(
    measured: Measured,
    weight: ArrayLike,
    theory: Prediction | None = None,
    *,
    groups: str | Mapping[str, str] | None = None,
    width: float = PAGE,
) -> Figure:
    """Draw the last layer of a network, and the geometry that theory predicts for it.

    Parameters
    ----------
    measured : Measured, from `ufm.measure`, of at most 2000 classes
    weight : (K, d) array, classifier
    theory : Prediction or None, of the same classes in the same order
    groups : str, mapping or None
        Ranges of class sizes for the cosines (see `Measured.ranges`); None takes many / medium / few where there are more than
        two sizes, and the largest and smallest classes otherwise.
    width : float, width of the figure in inches

    Returns
    -------
    matplotlib.figure.Figure
        A row of (K, K) matrices for the Gram matrices of classifiers and of raw class means and for the logits of class means,
        each over its own Frobenius norm: measured, predicted, and their difference (without theory one row of measured
        ones). Classes go from the largest to the smallest, with a tick for each size. Below, singular values of classifier and
        class means as shares of their sum, and mean cosines between classifiers, by ranges where there are more than two sizes.

    Raises
    ------
    InputError
        Too many classes, or a weight or a prediction of other shapes.

    Examples
    --------
    >>> import numpy as np, ufm
    >>> frame = ufm.simplex_etf(3)
    >>> found = ufm.measure(np.repeat(frame, 2, axis=0), [0, 0, 1, 1, 2, 2], weight=frame)
    >>> len(ufm.plot.network(found, frame).axes) >= 6
    True
    """
    w, classes = np.asarray(weight, dtype=np.float64), len(measured.counts)
    if w.shape != measured.means.shape or (theory is not None and len(theory.weight) != classes):
        raise InputError(
            f"weight {w.shape} must have the shape {measured.means.shape} of the class means, as theory its classes"
        )
    if classes > LARGEST:
        raise InputError(f"the network has K={classes} classes; matrices are drawn up to K={LARGEST}")
    order = np.argsort(-measured.counts, kind="stable")
    w, means = _moderate(w)[order], _moderate(measured.means)[order]
    own = [_unit(matrix) for matrix in (w @ w.T, means @ means.T, w @ means.T)]
    predicted = None
    if theory is not None:
        predicted = [_unit(matrix[np.ix_(order, order)]) for matrix in (theory.weight, theory.means, theory.logits)]
    sizes = measured.counts[order].tolist()
    with style():
        figure, axes = panels(2 if predicted is None else 4, 3, width=width, height=0.31 * width)
        if predicted is None:
            for axis, title, matrix in zip(axes[0], TITLES, own, strict=True):
                _draw(figure, axis, f"{title}, measured", matrix, sizes, float(np.abs(matrix).max(initial=0.0)))
        else:
            for row, title, one, two in zip(axes, TITLES, own, predicted, strict=False):
                limit = max(float(np.abs(matrix).max(initial=0.0)) for matrix in (one, two))
                for axis, what, matrix in zip(row, ("measured", "predicted", "difference"), (one, two, one - two), strict=True):
                    _draw(figure, axis, f"{title}, {what}", matrix, sizes, limit)
        for axis, title, place in zip(axes[-1], TITLES[:2], (0, 1), strict=False):
            _spectrum(axis, title, own[place], None if predicted is None else predicted[place])
        if groups is None and len(set(sizes)) < 3:
            _cosines(axes[-1][2], measured, theory)
        else:
            _ranges(axes[-1][2], measured, weight, theory, groups)
    return figure


def _draw(figure: Figure, axis: Axes, title: str, matrix: Floats, sizes: list[int], limit: float) -> None:
    shown = image(axis, matrix, limit or 1.0)
    axis.set_title(title)
    runs = [(size, len(list(members))) for size, members in groupby(sizes)]
    class_ticks(axis, [size for size, _ in runs], [count for _, count in runs])
    bar = figure.colorbar(shown, ax=axis, shrink=0.75, pad=0.02)
    bar.outline.set_linewidth(0.4)  # type: ignore[operator]


def _spectrum(axis: Axes, title: str, own: Floats, predicted: Floats | None) -> None:
    """Singular values of a matrix with this Gram matrix, as shares of their sum."""
    every = [("measured", own, COLORS["deq"], "o")]
    every += [] if predicted is None else [("predicted", predicted, COLORS["theory"], "x")]
    for label, gram, color, marker in every:
        sigma = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))
        shares = sigma / (sigma.sum() or 1.0)
        axis.plot(np.arange(1, len(shares) + 1), shares, marker, color=color, label=label, markersize=3)
    axis.set_title(f"{title}: singular values")
    axis.set_xlabel("number")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend()


def _cosines(axis: Axes, measured: Measured, theory: Prediction | None) -> None:
    places = np.arange(len(COSINES))
    axis.plot(places, [measured[name] for name in COSINES], "o", color=COLORS["deq"], markersize=3, label="measured")
    if theory is not None:
        found = [theory.metrics.get(name) for name in COSINES]
        values = [np.nan if value is None else value for value in found]
        axis.plot(places, values, "x", color=COLORS["theory"], markersize=3, label="predicted")
    axis.set_xticks(places, ["majority", "minority", "across"])
    axis.set_xlim(-0.5, len(COSINES) - 0.5)
    axis.set_ylim(-1.05, 1.05)
    axis.set_title("classifiers: mean cosines")
    axis.legend()


def _ranges(
    axis: Axes,
    measured: Measured,
    weight: ArrayLike,
    theory: Prediction | None,
    groups: str | Mapping[str, str] | None,
) -> None:
    """Mean cosines between classifiers by ranges of class sizes, and the least of neighbours."""
    parts = measured.ranges(groups, weight=weight)
    if not parts:
        raise InputError("groups has no range with a class in it; give ranges of the sizes that there are")
    places, sizes = np.arange(len(parts)), [int(n) for n in measured.counts]
    chosen = [one for one in parse_ranges(DEFAULT if groups is None else groups) if members(sizes, one)]
    predicted = [] if theory is None else [range_geometry(written(theory.weight), sizes, one) for one in chosen]
    for name, label, markers in (("cosine", "mean", "ox"), ("neighbours", "neighbours", "^+")):
        own = np.array([part[name] for part in parts], dtype=np.float64)
        axis.plot(places, own, markers[0], color=COLORS["deq"], markersize=3, label=f"measured, {label}")
        if predicted:
            shown = np.array([getattr(one, name) for one in predicted], dtype=np.float64)
            axis.plot(places, shown, markers[1], color=COLORS["theory"], markersize=4, label=f"predicted, {label}")
    axis.set_xticks(places, [str(part["range"]) for part in parts])
    axis.set_xlim(-0.5, len(parts) - 0.5)
    axis.set_ylim(-1.05, 1.05)
    axis.set_title("classifiers: cosines by class size")
    axis.legend()


def _moderate(matrix: Floats) -> Floats:
    height = float(np.abs(matrix).max(initial=0.0))
    return matrix / height if height > 0 else matrix


def _unit(matrix: Floats) -> Floats:
    size = float(np.linalg.norm(_moderate(matrix)))
    return _moderate(matrix) / size if size > 0 else matrix
