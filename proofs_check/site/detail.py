"""The page of one theorem."""

from __future__ import annotations

from html import escape
from typing import Any

from proofs_check.judging import Verdict
from proofs_check.site.boxes import section
from proofs_check.site.frame import badge, comparisons, document, number, readable
from proofs_check.site.markup import plain, typeset
from proofs_check.site.plot import margins
from proofs_check.site.stated import CONTROLS, LIMITS, TWINS, facts, proof, statement

FEW = 6
"""Distinct values that a list shows; more are shown as a range."""


def file_of(identifier: str) -> str:
    """Name of the page."""
    return f"theorem-{identifier}.html"


def covered(instances: list[Any]) -> list[tuple[str, str]]:
    """Names of the numbers that vary over instances, and the values that they take.

    Parameters
    ----------
    instances : list of named tuples, or of anything else

    Returns
    -------
    list of (str, str)
        Empty where instances are no named tuples.
    """
    fields = getattr(instances[0], "_fields", ()) if instances else ()
    found = []
    for field in fields:
        values = [getattr(instance, field) for instance in instances]
        distinct = list(dict.fromkeys(str(value) for value in values))
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) and len(distinct) > FEW:
            found.append((field, f"{number(min(values))} to {number(max(values))}, {len(distinct)} values"))
        else:
            rest = f" and {len(distinct) - FEW} more" if len(distinct) > FEW else ""
            found.append((field, "; ".join(distinct[:FEW]) + rest))
    return found


def _certificates(verdict: Verdict) -> str:
    if not verdict.evidence:
        return ""
    rows = "".join(
        f'<tr><th scope="row"><a href="certificates/{escape(e.name)}" download>{escape(e.name)}</a></th>'
        f'<td>{escape(e.problem)}</td><td class="num">{number(e.lower)}</td><td class="num">{number(e.upper)}</td>'
        f"<td>{escape(e.level)}</td></tr>"
        for e in verdict.evidence
    )
    first = escape(verdict.evidence[0].name)
    head = "".join(f'<th scope="col">{name}</th>' for name in ("file", "problem", "lower", "upper", "level of the comparison"))
    return (
        "<h2>Certificates</h2><p>Each file holds a problem and a witness in exact numbers. Check one with the "
        "independent verifier, "
        f"which shares no code with the solvers:</p><pre tabindex=0>ufm recheck certificates/{first}</pre>"
        f"<details><summary>{len(verdict.evidence)} certificates</summary>"
        f'<div class="scroll" role="region" aria-label="Certificates" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def page(verdict: Verdict, instances: list[Any], before: str | None, after: str | None, level: str) -> str:
    """The page of a theorem.

    Parameters
    ----------
    verdict : Verdict
    instances : list, the instances that were checked
    before, after : str or None, identifiers of the neighbours in the book
    level : str, that was asked for

    Returns
    -------
    str
    """
    theorem = verdict.theorem
    judged = f"{badge(verdict.outcome)} at level <strong>{escape(verdict.level)}</strong>"
    ranges = "".join(f'<tr><th scope="row">{escape(a)}</th><td>{escape(b)}</td></tr>' for a, b in covered(instances))
    table = (
        f'<div class="scroll" role="region" aria-label="Values of the instances" tabindex="0"><table><thead><tr><th '
        f'scope="col">'
        f'parameter</th><th scope="col">values</th></tr></thead><tbody>{ranges}</tbody></table></div>'
        if ranges
        else ""
    )
    trouble = "".join(f"<li>{typeset(readable(line))}</li>" for line in verdict.trouble)
    kept = "; findings of an earlier run, whose certificates were verified again" if verdict.cached else ""
    neighbours = "".join(
        f'<a rel="{rel}" href="{file_of(name)}">{text}</a>'
        for rel, name, text in (("prev", before, f"← {before}"), ("next", after, f"{after} →"))
        if name
    )
    body = (
        f'<p class="path"><a href="index.html">Overview</a> › {escape(theorem.id)}</p>'
        f"<h1><span class=id>{escape(theorem.id)}</span> {escape(theorem.title)}</h1>"
        f"{facts(theorem, ('Verdict', judged))}{statement(theorem)}"
        + (f'<h2>What kept it from holding</h2><ul class="trouble">{trouble}</ul>' if trouble else "")
        + f"{proof(theorem, verdict.steps)}{section(verdict.boxes)}"
        f"<h2>Where it was checked</h2><p>{verdict.instances or len(instances)} instances, {len(verdict.findings)} "
        f"comparisons, "
        f"{verdict.seconds:.1f} s{kept}. Run it again: "
        f"<code>python -m proofs_check {escape(theorem.id)} --level {escape(level)}</code></p>{table}"
        f"{margins(verdict.findings)}<p class=soft>{escape(theorem.slack)}</p>"
        f"<details><summary>All {len(verdict.findings)} comparisons</summary>"
        f"{comparisons(verdict.findings, 'Comparisons with certified computations')}</details>"
        f"{LIMITS}{comparisons(verdict.outside, 'Outside of the hypotheses')}"
        f"{CONTROLS}{comparisons(verdict.controls, 'Negative controls')}"
        f"{TWINS}{comparisons(verdict.twins, 'Twins')}{_certificates(verdict)}"
        f'<nav class="neighbours" aria-label="Neighbouring theorems">{neighbours}</nav>'
    )
    return document(f"{theorem.id}: {plain(theorem.title)}", body, "")
