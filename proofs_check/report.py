"""The book's verdicts as a terminal table, JSON and LaTeX; `proofs_check.site` makes pages of them."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from proofs_check.box import Box
from proofs_check.enclosure import Enclosure, Finding, Outcome
from proofs_check.judging import Verdict
from proofs_check.latex import as_latex
from proofs_check.theorem import Proof

__all__ = ["HEADER", "LEGEND", "TITLE", "as_json", "as_latex", "closing", "row", "terminal"]

HEADER = ("id", "claim", "source", "level", "margin", "verdict", "s")
LEGEND = (
    "margin: = worst relative agreement of the equalities, > smallest slack of the inequalities and decisions; "
    "box: certified over continuous ranges too"
)
TITLE = "Theorems against certified computations"
WIDE, NARROW = 76, 56
"""Terminal columns below which the table leaves out the source and the time, and then the margin and the level."""


def row(verdict: Verdict) -> tuple[str, ...]:
    """One line of the terminal's table."""
    theorem = verdict.theorem
    symbolic = ", symbolic in part" if theorem.proof() is Proof.PART else ", symbolic"
    level = verdict.level + (symbolic if verdict.steps else "") + (", box" if verdict.boxes else "")
    return (
        theorem.id, theorem.title, theorem.source.short, level, verdict.worst, verdict.outcome.value, f"{verdict.seconds:.1f}",
    )  # fmt: skip


def terminal(verdicts: list[Verdict], width: int = 80) -> Table:
    """A table that fits a terminal: fewer columns where it is narrow.

    Parameters
    ----------
    verdicts : list of Verdict
    width : int, of the terminal, in characters

    Returns
    -------
    rich.table.Table
    """
    table = Table(
        title=TITLE, caption=LEGEND, title_justify="left", caption_justify="left", padding=(0, 1, 0, 0), box=SIMPLE_HEAD
    )
    left_out = () if width >= WIDE else ("source", "s") if width >= NARROW else ("source", "s", "margin", "level")
    if "margin" in left_out:
        table.caption = None
    widths = {"source": 11, "level": 10, "margin": 7}
    kept = [place for place, name in enumerate(HEADER) if name not in left_out]
    for name in (HEADER[place] for place in kept):
        fixed = name in ("id", "verdict", "s")
        least = 24 if name == "claim" and width >= WIDE else None
        table.add_column(name, no_wrap=fixed, max_width=widths.get(name), min_width=least)
    for verdict in verdicts:
        cells = row(verdict)
        table.add_row(*(cells[place] for place in kept))
    return table


def closing(verdicts: list[Verdict], seconds: float) -> str:
    """One sentence that a newcomer understands."""
    holding = sum(v.outcome == Outcome.HOLDS for v in verdicts)
    if holding == len(verdicts):
        levels = [f.level for v in verdicts for f in v.findings]
        meanings = {"rigorous": "proved in ball arithmetic", "float": "bounded in float64", "numeric": "computed, not proved"}
        parts = ", ".join(f"{levels.count(name)} {name} ({means})" for name, means in meanings.items() if name in levels)
        controls = sum(len(v.controls) for v in verdicts)
        complete = sum(v.theorem.proof() is Proof.COMPLETE for v in verdicts)
        boxes = sum(bool(v.boxes) for v in verdicts)
        cached = sum(v.cached for v in verdicts)
        again = f" {cached} were taken from an earlier run, their certificates verified again." if cached else ""
        return (
            f"All {holding} theorems hold: {len(levels)} comparisons agree, {parts}, and {controls} deliberately wrong "
            f"versions were all rejected ({seconds:.0f} s). The level of a theorem is that of its weakest comparison; symbolic "
            f"steps prove {complete} of the claims in general, and {boxes} are certified over continuous ranges.{again}"
        )
    return (
        f"{holding} of {len(verdicts)} theorems hold; for the others the lines above say what was compared and how it failed "
        f"({seconds:.0f} s)."
    )


def _side(value: Enclosure | str | None) -> Any:
    """One side of a comparison: [lower, upper] (null where infinite), a verdict, or null."""
    if isinstance(value, Enclosure):
        return [end if isfinite(end) else None for end in (float(value.lower), float(value.upper))]
    return value


def finding(f: Finding) -> dict[str, Any]:
    """Plain values for JSON; an infinite margin is null."""
    return {
        "what": f.what, "outcome": f.outcome.value, "margin": f.margin if isfinite(f.margin) else None, "level": f.level,
        "relation": f.relation.value, "predicted": _side(f.predicted), "computed": _side(f.computed), "tolerance": f.tolerance,
    }  # fmt: skip


def box(b: Box) -> dict[str, Any]:
    """Plain values for JSON of what is certified over continuous ranges."""
    return {
        "statement": b.statement, "ranges": {r.symbol: r.values for r in b.ranges}, "route": b.route.value,
        "argument": b.argument, "below": b.below, "above": b.above, "certified": b.certified,
        "band": b.band if isfinite(b.band) else None, "cells": b.cells,
        "findings": [finding(f) for f in b.findings], "controls": [finding(f) for f in b.controls],
        "border": [] if b.curve is None else [list(point) for point in b.curve.points],
    }  # fmt: skip


def as_json(verdicts: list[Verdict]) -> str:
    """Everything that was compared, one object per theorem.

    Parameters
    ----------
    verdicts : list of Verdict

    Returns
    -------
    str
    """
    content = [
        {
            "id": v.theorem.id,
            "claim": v.theorem.title,
            "statement": v.theorem.statement(),
            "hypotheses": [hypothesis.text for hypothesis in v.theorem.hypotheses],
            "source": str(v.theorem.source),
            "locator": v.theorem.source.locator,
            "bibtex": v.theorem.source.key,
            "kind": v.theorem.kind.value,
            "proof": v.theorem.proof().value,
            "open_steps": v.theorem.open_steps,
            "required": v.theorem.required,
            "level": v.level,
            "outcome": v.outcome.value,
            "seconds": v.seconds,
            "instances": v.instances,
            "cached": v.cached,
            "boxes": [box(b) for b in v.boxes],
            "findings": [finding(f) for f in v.findings],
            "steps": [{"name": name, "confirmed": passed} for name, passed in v.steps],
            "controls": [finding(f) for f in v.controls],
            "twins": [finding(f) for f in v.twins],
            "outside": [finding(f) for f in v.outside],
        }
        for v in verdicts
    ]
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
