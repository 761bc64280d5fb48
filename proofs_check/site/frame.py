"""What all pages share: head, navigation, foot, and small parts."""

from __future__ import annotations

import re
from html import escape

from proofs_check.enclosure import Enclosure, Finding, Outcome
from ufm import __version__

TITLE = "Theorems against certified computations"
MARKS = {Outcome.HOLDS: "✓", Outcome.VIOLATED: "✗", Outcome.INCONCLUSIVE: "?"}
INSTANCE = re.compile(r"\b[A-Z]\w*\(((?:[^()]|\([^()]*\))*)\)")


def document(title: str, body: str, current: str, *, script: bool = False) -> str:
    """A whole page.

    Parameters
    ----------
    title : str, in the head, plain text
    body : str, HTML of the main part
    current : str, file name of the page in the navigation, "" for pages of theorems
    script : bool, whether the page uses the filter

    Returns
    -------
    str
    """
    links = (("index.html", "Overview"), ("audit.html", "Audit of the DEQ paper"), ("bibliography.bib", "BibTeX"))
    nav = "".join(
        f'<li><a href="{href}"{" aria-current=page" if href == current else ""}>{name}</a></li>' for href, name in links
    )
    code = '<script src="filter.js" defer></script>' if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="icon.svg">\n<link rel="stylesheet" href="style.css">\n{code}\n'
        "</head>\n<body>\n"
        f'<a class="skip" href="#main">Skip to the content</a>\n<header><nav aria-label="Site"><ul>{nav}</ul></nav></header>\n'
        f'<main id="main">\n{body}\n</main>\n'
        f"<footer><p>Made by <code>python -m proofs_check --html</code>, ufm {escape(__version__)}. "
        "The levels: <em>numeric</em> (computed, not proved), <em>float</em> (bounds in float64 that allow for rounding), "
        "<em>rigorous</em> (ball arithmetic), <em>symbolic</em> (decided by computer algebra).</p></footer>\n"
        "</body>\n</html>\n"
    )


def badge(outcome: Outcome) -> str:
    """The outcome in a colour and with a sign."""
    return f'<span class="badge {outcome.value}"><span aria-hidden="true">{MARKS[outcome]}</span> {outcome.value}</span>'


def readable(what: str) -> str:
    """What was compared, without the class names of instances.

    >>> readable("value, Balanced(classes=2, e_w=1.0)")
    'value, classes = 2, e_w = 1.0'
    """
    return INSTANCE.sub(lambda match: re.sub(r"(\w)=(?=\S)", r"\1 = ", match.group(1)), what)


def number(value: float) -> str:
    """A number with the digits that a reader compares."""
    return f"{value:.12g}"


def side(value: Enclosure | str | None) -> str:
    """One side of a comparison: an enclosure by its midpoint and radius, or a verdict."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return escape(value)
    middle, radius = 0.5 * (value.lower + value.upper), 0.5 * (value.upper - value.lower)
    return number(middle) + (f" ± {radius:.0e}" if radius > 0 else "")


def comparisons(items: tuple[Finding, ...], caption: str) -> str:
    """A table of findings, which scrolls by itself where it is wider than the page."""
    rows = "".join(
        f'<tr><th scope="row">{escape(readable(f.what))}</th><td>{badge(f.outcome)}</td>'
        f'<td class="num">{side(f.predicted)}</td>'
        f'<td class="mid">{escape(f.relation.value)}</td><td class="num">{side(f.computed)}</td>'
        f'<td class="num">{f.margin:.1e}</td><td class="num">{"" if f.tolerance is None else f"{f.tolerance:.0e}"}</td>'
        f"<td>{escape(f.level)}</td></tr>"
        for f in items
    )
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("compared", "outcome", "predicted or smaller", "", "computed or larger", "margin", "tolerance", "level")
    )
    head = head.replace('<th scope="col"></th>', '<th scope="col"><span class="unseen">claim</span></th>')
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table><caption>{escape(caption)}'
        f"</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
