"""The style of figures: sizes and colours; panels, and saving to a file."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ufm._files import writing
from ufm.errors import InputError, brief

COLUMN, PAGE = 3.25, 6.75
"""Widths of a column and of a page of a journal, in inches."""
COLORS = {"deq": "#0072B2", "explicit": "#D55E00", "theory": "#000000", "third": "#009E73", "fourth": "#CC79A7"}
"""Colours by kind of curve, from the palette of Okabe and Ito, which colour-blind readers can distinguish."""
CLASSES = (
    "#3F90DA", "#FFA90E", "#BD1F01", "#94A4A2", "#832DB6", "#A96B59", "#E76300", "#B9AC70", "#717581", "#92DADD",
)  # fmt: skip
"""Colours of ten classes, by Petroff (2021), chosen for colour-blind readers, too."""
FORMATS = ("pdf", "svg", "png")
STYLE: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 6,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "ufm",
}


def style() -> AbstractContextManager[None]:
    """A context manager within which matplotlib draws in the style of this package."""
    return rc_context(STYLE)


def panels(rows: int, columns: int, *, width: float = PAGE, height: float = 1.6, **options: Any) -> tuple[Figure, NDArray[Any]]:
    """Make a figure with a grid of panels.

    Parameters
    ----------
    rows, columns : int
    width : float, width of the figure in inches
    height : float, height of a row in inches
    **options
        Passed on to ``Figure.subplots``.

    Returns
    -------
    tuple
        The figure, and its axes as an array (rows, columns).
    """
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, np.asarray(axes, dtype=object)


def letter(axes: NDArray[Any]) -> None:
    """Put (a), (b), ... before the titles of panels, an array of axes of any shape, and move the titles to the left."""
    for number, axis in enumerate(axes.ravel()):
        assert isinstance(axis, Axes)
        title = axis.get_title()
        axis.set_title("")
        axis.set_title(f"({chr(97 + number)}) {title}".rstrip(), loc="left")


def save(figure: Figure, folder: Path, name: str, kind: str = "pdf") -> Path:
    """Write a figure to ``folder/name.kind``, in the style of this package and without a date in the file.

    Parameters
    ----------
    figure : matplotlib Figure
    folder : Path, made if there is none
    name : str, of the file without its ending
    kind : "pdf", "svg" or "png"

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        An unknown format, or a folder that cannot be written to.
    """
    if kind not in FORMATS:
        raise InputError(f"format is {kind!r}; choose one of {', '.join(FORMATS)}")
    path = folder / f"{name}.{kind}"
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}[kind]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with style():
            figure.savefig(path, dpi=200, metadata=undated)
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be written: {error.strerror or error}; give another --out") from None
    return path


def format_of(path: str | Path) -> str:
    """The format that the ending of a file's name asks for.

    Raises
    ------
    InputError
        The name ends in none of .pdf, .svg and .png.
    """
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(f"plot is {brief(str(path))}; give a name that ends in .pdf, .svg or .png")
    return kind


def save_as(figure: Figure, path: str | Path) -> None:
    """Write a figure to a file whose ending is its format, completely or not at all, without a date in it.

    Parameters
    ----------
    figure : matplotlib Figure
    path : str or Path, ends in .pdf, .svg or .png

    Raises
    ------
    InputError
        Another ending, or a file that cannot be written.
    RunError
        The disk is full or broken.
    """
    kind = format_of(path)
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}[kind]
    with writing(path, "wb") as stream, style():
        figure.savefig(stream, dpi=200, format=kind, metadata=undated)
