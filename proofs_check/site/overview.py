"""The first page: all theorems in a table that can be filtered and searched."""

from __future__ import annotations

from html import escape

from proofs_check.enclosure import Outcome
from proofs_check.judging import LEVELS, Verdict
from proofs_check.site.detail import file_of
from proofs_check.site.frame import TITLE, badge, document
from proofs_check.site.markup import plain
from proofs_check.theorem import Proof


def _choice(name: str, label: str, options: list[str]) -> str:
    made = "".join(f"<option>{escape(option)}</option>" for option in options)
    return f'<label>{label} <select data-filter="{name}"><option value="">all</option>{made}</select></label>'


def _row(verdict: Verdict) -> str:
    theorem = verdict.theorem
    words = " ".join((theorem.id, theorem.title, plain(theorem.statement()), theorem.source.full, theorem.kind.value))
    data = {
        "paper": theorem.source.short, "level": verdict.level, "verdict": verdict.outcome.value,
        "proof": theorem.proof().value, "words": words.lower(),
    }  # fmt: skip
    attributes = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items())
    return (
        f'<tr {attributes}><th scope="row"><a href="{file_of(theorem.id)}"><span class="id">{escape(theorem.id)}</span> '
        f'<span>{escape(theorem.title)}</span></a></th><td data-label="paper">{escape(theorem.source.short)}</td>'
        f'<td data-label="kind">{theorem.kind.value}</td><td data-label="level">{escape(verdict.level)}</td>'
        f'<td data-label="proof">{theorem.proof().value}</td>'
        f'<td data-label="margin" class="num">{escape(verdict.worst)}</td><td '
        f'data-label="verdict">{badge(verdict.outcome)}</td></tr>'
    )


def page(verdicts: list[Verdict], summary: str, legend: str) -> str:
    """The overview.

    Parameters
    ----------
    verdicts : list of Verdict
    summary, legend : str, the closing sentence and what margins mean

    Returns
    -------
    str
    """
    proofs = [v.theorem.proof() for v in verdicts]
    holding = sum(v.outcome is Outcome.HOLDS for v in verdicts)
    tiles = (
        (f"{holding} / {len(verdicts)}", "theorems hold"),
        (str(sum(len(v.findings) for v in verdicts)), "comparisons"),
        (str(sum(len(v.controls) for v in verdicts)), "wrong versions rejected"),
        (str(proofs.count(Proof.COMPLETE)), "proofs complete"),
        (str(proofs.count(Proof.PART)), "proofs in part"),
        (str(sum(len(v.evidence) for v in verdicts)), "certificates kept"),
    )
    shown = "".join(f"<li><strong>{value}</strong> {name}</li>" for value, name in tiles)
    papers = list(dict.fromkeys(v.theorem.source.short for v in verdicts))
    controls = (
        '<form class="filters" role="search" aria-label="Theorems"><label>Search <input type="search" data-filter="words" '
        'autocomplete="off"></label>'
        + _choice("paper", "Paper", papers)
        + _choice("level", "Level", [level for level in LEVELS if any(v.level == level for v in verdicts)])
        + _choice("verdict", "Verdict", [o.value for o in Outcome])
        + _choice("proof", "Proof", [p.value for p in Proof])
        + '<button type="reset">Clear</button></form>'
    )
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("theorem", "paper", "kind", "level", "proof", "margin", "verdict")
    )
    body = (
        f"<h1>{TITLE}</h1><p>{escape(summary)}</p><ul class=tiles>{shown}</ul>"
        f"<h2>Theorems</h2>{controls}"
        f'<p id="count" role="status" aria-live="polite">{len(verdicts)} theorems</p>'
        f'<table class="cards" '
        f'id="theorems"><thead><tr>{head}</tr></thead><tbody>{"".join(map(_row, verdicts))}</tbody></table>'
        f'<p class="soft">{escape(legend)}. Proof: ' + "; ".join(f"<em>{p.value}</em>, {p.meaning}" for p in Proof) + ".</p>"
    )
    return document(TITLE, body, "index.html", script=True)
