"""Boxes of a theorem: what is certified over continuous ranges, with a picture of the regions."""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10

from proofs_check.box import Box, Claim, Curve
from proofs_check.enclosure import Finding, Outcome
from proofs_check.site.frame import badge, number
from proofs_check.site.markup import plain, typeset

LEFT, RIGHT, TOP, BOTTOM = 70.0, 620.0, 12.0, 250.0
"""The plotted rectangle, in units of the picture (640 wide)."""


def regions(curve: Curve) -> str:
    """Inline SVG: both certified regions, and the border between them.

    Parameters
    ----------
    curve : Curve

    Returns
    -------
    str
        "" where the border does not meet the section that is shown.
    """
    (x0, x1), (y0, y1) = curve.x_range, curve.y_range

    def across(x: float) -> float:
        return LEFT + (log10(x) - log10(x0)) / (log10(x1) - log10(x0)) * (RIGHT - LEFT)

    def up(y: float) -> float:
        share = (log10(y) - log10(y0)) / (log10(y1) - log10(y0))
        return BOTTOM - min(max(share, 0.0), 1.0) * (BOTTOM - TOP)

    inside = [(across(x), up(y)) for x, y in curve.points if x0 <= x <= x1 and y > 0]
    if len(inside) < 2:
        return ""
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in inside)
    first, last = inside[0][0], inside[-1][0]
    lower = f"{line} {last:.1f},{BOTTOM} {first:.1f},{BOTTOM}"
    upper = f"{line} {last:.1f},{TOP} {first:.1f},{TOP}"
    marks = "".join(
        f'<line x1="{across(v):.1f}" x2="{across(v):.1f}" y1="{BOTTOM}" y2="{BOTTOM + 4}"/>'
        f'<text x="{across(v):.1f}" y="{BOTTOM + 16}">{number(v)}</text>'
        for v in _powers(x0, x1)
    )
    marks += "".join(
        f'<line x1="{LEFT - 4}" x2="{LEFT}" y1="{up(v):.1f}" y2="{up(v):.1f}"/>'
        f'<text class="end" x="{LEFT - 7}" y="{up(v) + 4:.1f}">{number(v)}</text>'
        for v in _powers(y0, y1)
    )
    label = f"Regions over {plain(curve.x)} and {plain(curve.y)}: {plain(curve.upper)}; {plain(curve.lower)}"
    return (
        f"<figure><figcaption>{escape(curve.y)} against {escape(curve.x)}, both axes logarithmic. "
        f'<span class="key upper" aria-hidden="true"></span> {escape(plain(curve.upper))}; '
        f'<span class="key lower" aria-hidden="true"></span> {escape(plain(curve.lower))}.</figcaption>'
        f'<svg viewBox="0 0 640 275" role="img" aria-label="{escape(label)}">'
        f'<polygon class="upper" points="{upper}"/><polygon class="lower" points="{lower}"/>'
        f'<polyline class="border" points="{line}"/>'
        f'<line x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/><line x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{BOTTOM}"/>'
        f"{marks}</svg></figure>"
    )


def _powers(low: float, high: float) -> list[float]:
    """Powers of ten in a range, or its ends where there are fewer than two; at most seven."""
    found = [10.0**p for p in range(ceil(log10(low) - 1e-9), floor(log10(high) + 1e-9) + 1)]
    return found[:: 1 + len(found) // 8] if len(found) > 1 else [low, high]


def section(boxes: tuple[Box, ...]) -> str:
    """The part of a theorem's page.

    Parameters
    ----------
    boxes : tuple of Box

    Returns
    -------
    str
        HTML; "" where there are none.
    """
    if not boxes:
        return ""
    return "<h2>Over continuous ranges</h2>" + "".join(map(_one, boxes))


def claimed(claim: Claim, *more: tuple[str, str], cells: str = "") -> str:
    """Statement, facts, ranges and argument of what is claimed over continuous ranges.

    Parameters
    ----------
    claim : Claim
    more : (str, str), further facts: name and HTML
    cells : str, of the mesh, in words

    Returns
    -------
    str
        HTML.
    """
    ranges = "".join(
        f"<tr><th scope=row>{typeset(f'${r.symbol}$')}</th><td>{typeset(r.values)}</td></tr>" for r in claim.ranges
    )
    facts = (
        ("Decided by", f"{escape(claim.route.value)}: {escape(claim.route.meaning)}{cells}"),
        ("On one side", typeset(claim.below)),
        ("On the other", typeset(claim.above)),
        *more,
    )
    rows = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts)
    return (
        f'<div class="statement"><p>{typeset(claim.statement)}</p></div><dl>{rows}</dl>'
        f'<div class="scroll" role="region" aria-label="Ranges of the box" tabindex="0"><table><thead><tr><th scope="col">'
        f'parameter</th><th scope="col">values</th></tr></thead><tbody>{ranges}</tbody></table></div>'
        f"<p>{typeset(claim.argument)}</p>"
    )


def _one(box: Box) -> str:
    outcome = Outcome.HOLDS if box.certified else Outcome.INCONCLUSIVE
    band = "none" if box.band == 0 else f"{box.band:.1e}"
    cells = f"; {box.cells} cells" if box.cells else "; no mesh: all values at once"
    facts = ("Undecided band, relative", band), ("Certified", badge(outcome))
    return (
        f"{claimed(box, *facts, cells=cells)}{regions(box.curve) if box.curve else ''}"
        f"<details><summary>What certifies it, and wrong formulas that it rejects</summary>"
        f"{_told((box.measured, *box.findings))}<h3>Wrong formulas, rejected</h3>{_told(box.controls)}</details>"
    )


def _told(items: tuple[Finding, ...]) -> str:
    """A list of findings, whose words may have formulas."""
    return "<ul>" + "".join(f"<li>{badge(f.outcome)} {typeset(f.what)}</li>" for f in items) + "</ul>"
