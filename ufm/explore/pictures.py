"""The pictures of the page as SVG: cheap enough to be drawn at every move, in the colours of the page, sharp at every size."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from io import BytesIO
from itertools import pairwise

import numpy as np

from ufm._arrays import Floats
from ufm.explore.curves import Curve
from ufm.explore.phases import Phase
from ufm.explore.settings import LARGEST
from ufm.problem import ClassCounts

WIDTH, HEIGHT = 440.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 420.0, 14.0, 254.0
"""The plotted rectangle, in units of the picture."""
MANY = 160
"""Classes up to which every one has its own row in the picture of a matrix."""


@dataclass(frozen=True)
class Axis:
    """One axis of a picture.

    Attributes
    ----------
    low, high : float, values at its ends
    start, stop : float, places of its ends in the picture
    logarithmic : bool
    """

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = True

    def place(self, value: float) -> float:
        """Where a value is drawn; values beyond an end are drawn there."""
        low, high, x = (np.log(v) if self.logarithmic else v for v in (self.low, self.high, value))
        share = (x - low) / (high - low)
        return float(self.start + min(max(share, 0.0), 1.0) * (self.stop - self.start))

    @property
    def ticks(self) -> list[float]:
        """Powers of ten, or quarters of a linear axis."""
        if not self.logarithmic:
            return [float(v) for v in np.linspace(self.low, self.high, 5)]
        first, last = np.log10(self.low), np.log10(self.high)
        return [10.0**p for p in range(int(np.ceil(first - 1e-9)), int(np.floor(last + 1e-9)) + 1)]


RATIO = Axis(1.0, LARGEST, LEFT, RIGHT)
"""R from left to right."""


def cosine_curve(found: Curve, ratio: float, cosine: float | None) -> str:
    """The minority cosine against R as SVG, with the threshold dashed and the view as a dot.

    Parameters
    ----------
    found : Curve
    ratio : float, R of the view
    cosine : float or None, its minority cosine

    Returns
    -------
    str
    """
    up = Axis(-1.0, 1.0, BOTTOM, TOP, False)
    places = [(RATIO.place(x), up.place(y)) for x, y in zip(found.ratio.tolist(), found.cosine.tolist(), strict=True)]
    known = np.flatnonzero(np.isfinite(found.cosine))
    runs = [run for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(run)]
    lines = "".join(f'<polyline class="curve" points="{_points([places[k] for k in run])}"/>' for run in runs)
    limit, said = found.threshold, "no threshold is known"
    mark = ""
    if limit is not None:
        said = f"threshold R0 = {limit.value:.6g} ({limit.level})"
        if 1 <= limit.value <= LARGEST:
            x = RATIO.place(limit.value)
            mark = f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}"/>'
    dot = "" if cosine is None else _dot(RATIO.place(ratio), up.place(cosine))
    label = f"Cosine between minority classifiers against the imbalance ratio R; {said}"
    return _svg(label, _frame(up, "minority cosine") + mark + _cursor(ratio) + lines + dot)


def phase_diagram(found: Phase, ratio: float, strength: float) -> str:
    """The phase diagram as SVG, with the boundary dashed and the view as a dot.

    Parameters
    ----------
    found : Phase
    ratio, strength : float, R and strength of the view

    Returns
    -------
    str
    """
    up = Axis(float(found.strength[0]), float(found.strength[-1]), BOTTOM, TOP)
    edge = [
        (RATIO.place(x), up.place(y))
        for x, y in zip(found.boundary_ratio, found.boundary, strict=True)
        if up.low <= y <= up.high
    ]
    mark = f'<polyline class="limit" points="{_points(edge)}"/>' if edge else ""
    x, y = RATIO.place(ratio), up.place(strength)
    across = f'<line class="cursor" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    label = f"Cosine between minority classifiers over the imbalance ratio R and {found.label}; view at R = {ratio:.4g}"
    picture = _image(_phase_png(found), LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP)
    return _svg(label, picture + _frame(up, found.label) + mark + across + _cursor(ratio) + _dot(x, y))


def gram_matrix(matrix: Floats, counts: ClassCounts, label: str) -> str:
    """Cosines between classes as SVG: blue -1, white 0, red 1; lines between groups of classes of one size.

    Parameters
    ----------
    matrix : (K, K) array; beyond `MANY` classes only every so manyth is drawn
    counts : ClassCounts
    label : str, what it is

    Returns
    -------
    str
    """
    side, start = 210.0, 34.0
    step = -(-len(matrix) // MANY)
    picture = _image(_png(matrix[::step, ::step]), start, 6.0, side, side)
    ends = np.cumsum([0, *(classes for _, classes in counts.runs)]) / counts.classes * side
    lines = "".join(
        f'<line class="edge" x1="{start + e:.1f}" x2="{start + e:.1f}" y1="6" y2="{6 + side}"/>'
        f'<line class="edge" x1="{start}" x2="{start + side}" y1="{6 + e:.1f}" y2="{6 + e:.1f}"/>'
        for e in ends[1:-1]
    )
    names = "".join(
        f'<text x="{start + (a + b) / 2:.1f}" y="{6 + side + 14}" text-anchor="middle">{size}</text>'
        f"{_turned(start - 6, 6 + (a + b) / 2, str(size))}"
        for (size, _), (a, b) in zip(counts.runs, pairwise(ends), strict=True)
    )
    return (
        f'<svg viewBox="0 0 252 236" role="img" aria-label="{escape(label)}">{picture}'
        f'<rect class="edge" x="{start}" y="6" width="{side}" height="{side}"/>{lines}{names}</svg>'
    )


def scale() -> str:
    """The colours of cosines from -1 to 1, as SVG."""
    picture = _image(_png(np.linspace(-1.0, 1.0, 64)[None, :]), 20, 2, 200, 10)
    names = "".join(
        f'<text x="{20 + 100 * (v + 1):.0f}" y="24" text-anchor="middle">{v:g}</text>' for v in (-1.0, -0.5, 0.0, 0.5, 1.0)
    )
    label = "Colours of cosines from -1 to 1"
    return f'<svg class="scale" viewBox="0 0 240 28" role="img" aria-label="{label}">{picture}{names}</svg>'


def _svg(label: str, inside: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(label)}">{inside}</svg>'


def _frame(up: Axis, name: str) -> str:
    """Both axes with ticks and names."""
    ticks = "".join(
        f'<line class="axis" x1="{RATIO.place(v):.1f}" x2="{RATIO.place(v):.1f}" y1="{BOTTOM}" y2="{BOTTOM + 4}"/>'
        f'<text x="{RATIO.place(v):.1f}" y="{BOTTOM + 17}" text-anchor="middle">{_value(v)}</text>'
        for v in RATIO.ticks
    )
    ticks += "".join(
        f'<line class="axis" x1="{LEFT - 4}" x2="{LEFT}" y1="{up.place(v):.1f}" y2="{up.place(v):.1f}"/>'
        f'<text x="{LEFT - 7}" y="{up.place(v) + 4:.1f}" text-anchor="end">{_value(v)}</text>'
        for v in up.ticks
    )
    return (
        f'<rect class="axis" x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}"/>{ticks}'
        f'<text x="{(LEFT + RIGHT) / 2}" y="{BOTTOM + 36}" text-anchor="middle">imbalance ratio R</text>'
        f"{_turned(13, (TOP + BOTTOM) / 2, name)}"
    )


def _turned(x: float, y: float, words: str) -> str:
    """Text that runs upwards."""
    return f'<text text-anchor="middle" transform="translate({x:.1f} {y:.1f}) rotate(-90)">{escape(words)}</text>'


def _value(number: float) -> str:
    """A number as on the command line: 1e-5, not 1e-05."""
    return f"{number:g}".replace("e-0", "e-")


def _cursor(ratio: float) -> str:
    x = RATIO.place(ratio)
    return f'<line class="cursor" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{BOTTOM}"/>'


def _dot(x: float, y: float) -> str:
    return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'


def _points(places: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _image(png: str, x: float, y: float, width: float, height: float) -> str:
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<image href="data:image/png;base64,{png}" {place} preserveAspectRatio="none" class="pixels"/>'


@lru_cache(maxsize=64)
def _phase_png(found: Phase) -> str:
    return _png(found.cosine[::-1])


def _png(cosine: Floats) -> str:
    """Cosines (n, m) as the base64 text of a PNG of n by m pixels; grey where there are none."""
    from matplotlib import colormaps
    from matplotlib.image import imsave

    pixels = colormaps["RdBu_r"].with_extremes(bad="0.6")(np.ma.masked_invalid((cosine + 1.0) / 2.0), bytes=True)
    stream = BytesIO()
    imsave(stream, pixels, format="png")
    return b64encode(stream.getvalue()).decode("ascii")
