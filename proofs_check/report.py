"""The book's verdicts as a terminal table, JSON, HTML and LaTeX."""

from __future__ import annotations

import json
from html import escape
from inspect import getdoc
from math import isfinite
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from proofs_check.enclosure import Finding, Outcome
from proofs_check.registry import Verdict
from ufm._files import reason_of
from ufm.errors import InputError, brief

HEADER = ("id", "claim", "source", "level", "margin", "verdict", "s")
LEGEND = "margin: = worst relative agreement of the equalities, > smallest slack of the inequalities and decisions"
TITLE = "Theorems against certified computations"


def row(verdict: Verdict) -> tuple[str, ...]:
    """One line of every table."""
    theorem = verdict.theorem
    symbolic = ", symbolic in part" if theorem.open_steps else ", symbolic"
    level = verdict.level + (symbolic if verdict.steps else "")
    return (
        theorem.id, theorem.title, theorem.source.short, level, verdict.worst, verdict.outcome.value, f"{verdict.seconds:.1f}",
    )  # fmt: skip


def page(folder: str) -> str:
    """Path of the HTML report in a folder, which is made if there is none.

    Raises
    ------
    InputError
        The folder cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(f"--html {brief(folder)} cannot be made: {reason_of(error)}; give another folder") from None
    return str(Path(folder) / "index.html")


def terminal(verdicts: list[Verdict]) -> Table:
    """A table that fits 80 columns."""
    table = Table(
        title=TITLE, caption=LEGEND, title_justify="left", caption_justify="left", padding=(0, 1, 0, 0), box=SIMPLE_HEAD
    )
    widths = {"source": 11, "level": 10, "margin": 7}
    for name in HEADER:
        fixed = name in ("id", "verdict", "s")
        table.add_column(name, no_wrap=fixed, max_width=widths.get(name), min_width=24 if name == "claim" else None)
    for verdict in verdicts:
        table.add_row(*row(verdict))
    return table


def closing(verdicts: list[Verdict], seconds: float) -> str:
    """One sentence that a newcomer understands."""
    holding = sum(v.outcome == Outcome.HOLDS for v in verdicts)
    if holding == len(verdicts):
        levels = [f.level for v in verdicts for f in v.findings]
        meanings = {"rigorous": "proved in ball arithmetic", "float": "bounded in float64", "numeric": "computed, not proved"}
        parts = ", ".join(f"{levels.count(name)} {name} ({means})" for name, means in meanings.items() if name in levels)
        controls = sum(len(v.controls) for v in verdicts)
        return (
            f"All {holding} theorems hold: {len(levels)} comparisons agree, {parts}, and {controls} deliberately wrong "
            f"versions were all rejected ({seconds:.0f} s). The level of a theorem is that of its weakest comparison."
        )
    return (
        f"{holding} of {len(verdicts)} theorems hold; for the others the lines above say what was compared and how it failed "
        f"({seconds:.0f} s)."
    )


def as_json(verdicts: list[Verdict]) -> str:
    """Everything that was compared, one object per theorem; an infinite margin is null."""

    def findings(items: tuple[Finding, ...]) -> list[dict[str, object]]:
        return [
            {"what": f.what, "outcome": f.outcome.value, "margin": f.margin if isfinite(f.margin) else None, "level": f.level}
            for f in items
        ]

    content = [
        {
            "id": v.theorem.id,
            "claim": v.theorem.title,
            "source": str(v.theorem.source),
            "kind": v.theorem.kind.value,
            "level": v.level,
            "outcome": v.outcome.value,
            "seconds": v.seconds,
            "findings": findings(v.findings),
            "steps": [{"name": name, "confirmed": passed} for name, passed in v.steps],
            "controls": findings(v.controls),
            "twins": findings(v.twins),
            "outside": findings(v.outside),
        }
        for v in verdicts
    ]
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def as_html(verdicts: list[Verdict]) -> str:
    """A page: the table, then each theorem's statement and everything that was compared."""

    def cells(values: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(value)}</{tag}>" for value in values) + "</tr>"

    def listing(name: str, items: list[str]) -> str:
        return f"<h3>{name}</h3><ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>" if items else ""

    def lines(items: tuple[Finding, ...]) -> list[str]:
        return [f"{f.what}: {f.outcome.value} ({f.level}, margin {f.margin:.1e})" for f in items]

    sections = "".join(
        f"<h2 id={v.theorem.id!r}>{v.theorem.id}: {escape(v.theorem.title)}</h2><p>{escape(str(v.theorem.source))}</p>"
        f"<pre>{escape(getdoc(v.theorem) or '')}</pre>"
        + listing("Compared", lines(v.findings))
        + listing("Symbolic steps", [f"{name}: {'confirmed' if ok else 'not confirmed'}" for name, ok in v.steps])
        + listing("Negative controls (must be violated)", lines(v.controls))
        + listing("Twins (must not move)", lines(v.twins))
        + listing("Outside the hypotheses", lines(v.outside))
        for v in verdicts
    )
    style = (
        "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}td,th{padding:.3em .8em;text-align:left}"
    )
    table = "<table>" + cells(HEADER, "th") + "".join(cells(row(v), "td") for v in verdicts) + "</table>"
    style += "pre{white-space:pre-wrap}td:nth-child(n+3){white-space:nowrap}"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{TITLE}</title><style>{style}</style>"
        f"<h1>{TITLE}</h1>{table}<p>{LEGEND}</p>{sections}</html>\n"
    )


def as_latex(verdicts: list[Verdict]) -> str:
    """A ``tabular`` for the booktabs package."""

    def line(values: tuple[str, ...]) -> str:
        escaped = (v.replace("&", r"\&").replace("%", r"\%").replace("_", r"\_").replace(">", "$>$") for v in values)
        return " & ".join(escaped) + r" \\"

    body = [line(row(v)[:-1]) for v in verdicts]
    head = [r"\begin{tabular}{llllll}", r"\toprule", line(HEADER[:-1]), r"\midrule"]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}", ""])
