"""What the page offers for download: the view as a figure, and its certificate."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ufm.explore.curves import Curve
from ufm.explore.phases import Phase
from ufm.explore.settings import LARGEST
from ufm.explore.view import View, attempt
from ufm.plot.matrices import class_ticks, image
from ufm.plot.saving import COLORS, FORMATS, panels, save_as, style

CERTIFICATE = "certificate.json"


def names(view: View) -> tuple[str, ...]:
    """Names of the files of a view: its certificate and its figure in three formats; none where the settings are refused.

    Parameters
    ----------
    view : View
    """
    if attempt(lambda: view.solution)[0] is None:
        return ()
    return (CERTIFICATE, *(f"view.{kind}" for kind in FORMATS))


def content(view: View, name: str) -> bytes:
    """A file of a view.

    Parameters
    ----------
    view : View
    name : str, one of `names`; a certificate is what ``ufm solve --save`` writes and ``ufm recheck`` verifies
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        if name == CERTIFICATE:
            view.solution.save(path)
        else:
            save_as(draw(view), path)
        return path.read_bytes()


def draw(view: View) -> Figure:
    """Draw a view: both Gram matrices, the minority cosine against R, and the phase diagram, where there are any.

    Parameters
    ----------
    view : View

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        The problem refuses the settings.

    Examples
    --------
    >>> from ufm.explore import Settings
    >>> [axis.get_title() for axis in draw(View(Settings())).axes[:4]]
    ['cosines of classifiers', 'cosines of class means', 'threshold 7 (float)', '']
    """
    counts, solution = view.settings.counts, view.solution
    with style():
        figure, axes = panels(2, 2, height=2.7)
        for axis, matrix, title in zip(axes[0], view.grams, ("classifiers", "class means"), strict=True):
            shown = image(axis, matrix, 1.0)
            axis.set_title(f"cosines of {title}")
            class_ticks(axis, [size for size, _ in counts.runs], [classes for _, classes in counts.runs])
        found, refusal = attempt(lambda: view.curve)
        _curve(axes[1, 0], found, refusal, view)
        diagram, refusal = attempt(lambda: view.phase)
        _phase(axes[1, 1], diagram, refusal, view)
        figure.colorbar(shown, ax=axes[0, 1], shrink=0.85, pad=0.02, label="cosine")
        certificate = solution.certificate
        bounds = f"{certificate.lower:.10g} .. {certificate.upper:.10g} ({certificate.level})"
        figure.suptitle(f"{solution.title}\n{solution.status}, optimum in {bounds}", fontsize=7)
    return figure


def _curve(axis: Axes, found: Curve | None, refusal: str, view: View) -> None:
    if found is None:
        _told(axis, refusal)
        return
    axis.plot(found.ratio, found.cosine, color=COLORS["deq"])
    limit = found.threshold
    if limit is not None and 1 <= limit.value <= LARGEST:
        axis.axvline(limit.value, color=COLORS["explicit"], linestyle=(0, (4, 2)), linewidth=0.8)
        axis.set_title(f"threshold {limit.value:.6g} ({limit.level})", color=COLORS["explicit"])
    cosine = view.report.metrics["cos_minority"]
    axis.plot([view.settings.at], [np.nan if cosine is None else cosine], "o", color=COLORS["theory"], markersize=4)
    axis.set_xscale("log")
    axis.set_xlim(1.0, LARGEST)
    axis.set_ylim(-1.05, 1.05)
    axis.set_xlabel("imbalance ratio $R$")
    axis.set_ylabel("cosine of minority classifiers")


def _phase(axis: Axes, found: Phase | None, refusal: str, view: View) -> None:
    if found is None:
        _told(axis, refusal)
        return
    axis.set_facecolor("0.6")
    axis.pcolormesh(
        found.ratio, found.strength, found.cosine, vmin=-1, vmax=1, cmap="RdBu_r", shading="nearest", rasterized=True
    )
    axis.plot(found.boundary_ratio, found.boundary, color=COLORS["theory"], linestyle=(0, (4, 2)), linewidth=0.8)
    axis.plot([view.settings.at], [view.settings.strength], "o", color=COLORS["theory"], markersize=4)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(found.ratio[0], found.ratio[-1])
    axis.set_ylim(found.strength[0], found.strength[-1])
    axis.set_xlabel("imbalance ratio $R$")
    axis.set_ylabel(found.label)


def _told(axis: Axes, words: str) -> None:
    """A panel with a sentence in place of a picture."""
    axis.set_axis_off()
    axis.text(0.5, 0.5, fill(words, 44), ha="center", va="center", transform=axis.transAxes)
