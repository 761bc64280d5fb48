"""The page that maps the claims of the starting paper onto the book."""

from __future__ import annotations

from html import escape

from proofs_check.audit import AUDIT, INTRODUCTION, SOURCE
from proofs_check.bibliography import PAPERS
from proofs_check.judging import Verdict
from proofs_check.site.detail import file_of
from proofs_check.site.frame import badge, document
from proofs_check.site.markup import typeset


def page(verdicts: list[Verdict]) -> str:
    """The audit: each claim, what is true of it, and the theorems that say so; links to those that were checked."""
    known = {v.theorem.id: v for v in verdicts}
    sections = []
    for claim in AUDIT:
        items = []
        for identifier, text in claim.details:
            verdict = known.get(identifier)
            name = f'<a href="{file_of(identifier)}">{identifier}</a>' if verdict else identifier
            missing = "" if identifier == "measured" else ' <span class="soft">not checked in this run</span>'
            mark = f" {badge(verdict.outcome)}" if verdict else missing
            items.append(f"<dt>{name}{mark}</dt><dd>{typeset(text)}</dd>")
        sections.append(
            f'<h2 id="{claim.id}"><span class="id">{claim.id}</span> {escape(claim.claim)}</h2>'
            f'<p class="statement">{typeset(claim.finding)}</p><dl class="audit">{"".join(items)}</dl>'
        )
    paper = PAPERS[SOURCE]
    body = (
        f'<p class="path"><a href="index.html">Overview</a> › Audit</p><h1>What is true of neural collapse in DEQs</h1>'
        f'<p>{typeset(INTRODUCTION)}</p><p class="soft">Source: <a href="{paper.url}">{escape(paper.full)}</a>.</p>'
        + "".join(sections)
    )
    return document("Audit of the DEQ paper", body, "audit.html")
