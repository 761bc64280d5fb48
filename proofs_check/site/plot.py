"""Margins of a theorem's comparisons as a small picture."""

from __future__ import annotations

from html import escape
from math import floor, log10

from proofs_check.enclosure import Finding, Outcome
from proofs_check.site.frame import readable

LEFT, RIGHT, BIN = 8, 632, 4.0
"""Ends of the axis and width of a stack of dots, in units of the picture (640 wide)."""
LOWEST, HIGHEST = -18, 2
"""Powers of ten at the ends of the axis."""


def _x(margin: float) -> float:
    """Place on the axis; margins beyond its ends lie on them."""
    power = log10(margin) if margin > 0 else LOWEST
    return LEFT + (min(max(power, LOWEST), HIGHEST) - LOWEST) / (HIGHEST - LOWEST) * (RIGHT - LEFT)


def _strip(items: list[Finding], name: str) -> str:
    """A strip of stacked dots over an axis of powers of ten, with a caption of its own."""
    stacks: dict[int, int] = {}
    placed = []
    for finding in items:
        place = floor(_x(finding.margin) / BIN)
        stacks[place] = stacks.get(place, 0) + 1
        placed.append((place * BIN + BIN / 2, stacks[place], finding))
    tall = max(stacks.values())
    step = min(5.0, 60.0 / tall)
    base = 8 + step * tall
    dots = "".join(
        f'<circle class="{f.outcome.value}" cx="{x:.1f}" cy="{base - step * (row - 0.5):.1f}" r="2.2">'
        f"<title>{escape(readable(f.what))}: {f.margin:.1e}</title></circle>"
        for x, row, f in placed
    )
    ticks = "".join(
        f'<line x1="{_x(10.0**p):.1f}" x2="{_x(10.0**p):.1f}" y1="{base:.1f}" y2="{base + 4:.1f}"/>'
        f'<text x="{_x(10.0**p):.1f}" y="{base + 16:.1f}">{"1" if p == 0 else f"1e{p}"}</text>'
        for p in range(LOWEST + 3, HIGHEST, 3)
    )
    tolerances = sorted({f.tolerance for f in items if f.tolerance})
    marks = "".join(
        f'<line class="tolerance" x1="{_x(t):.1f}" x2="{_x(t):.1f}" y1="4" y2="{base:.1f}"><title>tolerance '
        f"{t:.0e}</title></line>"
        for t in tolerances
    )
    bad = sum(f.outcome is not Outcome.HOLDS for f in items)
    margins = [f.margin for f in items]
    label = f"{name}: {len(items)}, margins {min(margins):.0e} to {max(margins):.0e}, {bad} that do not hold"
    height = base + 20
    return (
        f'<figure><figcaption>{escape(name)} <span class="soft">({len(items)})</span></figcaption>'
        f'<svg viewBox="0 0 640 {height:.0f}" role="img" aria-label="{escape(label)}">'
        f'{marks}<line x1="{LEFT}" x2="{RIGHT}" y1="{base:.1f}" y2="{base:.1f}"/>{ticks}{dots}</svg></figure>'
    )


def margins(items: tuple[Finding, ...]) -> str:
    """The picture: equalities by their relative agreement (left is better), the others by their slack (right is better).

    Parameters
    ----------
    items : tuple of Finding

    Returns
    -------
    str
        HTML with inline SVG; "" where nothing was compared.
    """
    equalities = [f for f in items if f.equality]
    others = [f for f in items if not f.equality]
    made = []
    if equalities:
        name = (
            "Equalities: largest relative distance of both enclosures; dashed lines are tolerances, left of them is agreement"
        )
        made.append(_strip(equalities, name))
    if others:
        made.append(_strip(others, "Inequalities and decisions: slack, farther right is safer"))
    return "".join(made)
