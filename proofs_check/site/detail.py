"""The page of one theorem."""

from __future__ import annotations

from html import escape
from typing import Any

from proofs_check.bibliography import PAPERS
from proofs_check.judging import Verdict
from proofs_check.site.boxes import section
from proofs_check.site.frame import badge, comparisons, document, number, readable
from proofs_check.site.markup import paragraphs, plain, typeset
from proofs_check.site.plot import margins
from proofs_check.theorem import Proof, Theorem

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


def _facts(verdict: Verdict) -> str:
    """The list under the title."""
    theorem, source = verdict.theorem, verdict.theorem.source
    paper = PAPERS.get(source.key)
    name = escape(source.full)
    cited = f'<a href="{escape(paper.url)}">{name}</a>' if paper is not None and paper.url else name
    rows = [
        ("Verdict", f"{badge(verdict.outcome)} at level <strong>{escape(verdict.level)}</strong>"),
        ("Kind", f"{theorem.kind.value}: {theorem.kind.meaning}"),
        ("Proof", f"{theorem.proof().value}: {theorem.proof().meaning}"),
        ("Source", f"{cited}: {escape(source.subject)} ({escape(source.locator)})"),
    ]
    if paper is not None:
        bib = escape(paper.bibtex(source.key))
        rows.append(("BibTeX", f"<details><summary>{escape(source.key)}</summary><pre tabindex=0>{bib}</pre></details>"))
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows) + "</dl>"


def _proof(verdict: Verdict) -> str:
    """Steps, what they leave open, and the words of the docstring."""
    theorem = verdict.theorem
    made = []
    if verdict.steps:
        items = "".join(
            f'<li class="{"holds" if ok else "violated"}">{typeset(name)} '
            f'<span class="soft">{"confirmed" if ok else "not confirmed"}</span></li>'
            for name, ok in verdict.steps
        )
        made.append(f"<p>Steps that computer algebra decides for general parameters:</p><ol class=steps>{items}</ol>")
    else:
        made.append("<p>There are no symbolic steps. The claim is checked at the instances below.</p>")
    if theorem.proof() is Proof.PART:
        made.append(f'<p class="open"><strong>Left to argument:</strong> {typeset(theorem.open_steps)}.</p>')
    made.append(paragraphs(theorem.paragraphs()[1:]))
    return "".join(made)


def _hypotheses(theorem: type[Theorem]) -> str:
    if not theorem.hypotheses:
        return ""
    items = "".join(f"<li>{typeset(hypothesis.text)}</li>" for hypothesis in theorem.hypotheses)
    return f"<h3>Hypotheses, checked at every instance</h3><ul>{items}</ul>"


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
        f"<h1><span class=id>{escape(theorem.id)}</span> {escape(theorem.title)}</h1>{_facts(verdict)}"
        f'<h2>Statement</h2><div class="statement"><p>{typeset(theorem.statement())}</p></div>{_hypotheses(theorem)}'
        + (f'<h2>What kept it from holding</h2><ul class="trouble">{trouble}</ul>' if trouble else "")
        + f"<h2>Proof: {theorem.proof().value}</h2>{_proof(verdict)}"
        f"{section(verdict.boxes)}"
        f"<h2>Where it was checked</h2><p>{verdict.instances or len(instances)} instances, {len(verdict.findings)} "
        f"comparisons, "
        f"{verdict.seconds:.1f} s{kept}. Run it again: "
        f"<code>python -m proofs_check {escape(theorem.id)} --level {escape(level)}</code></p>{table}"
        f"{margins(verdict.findings)}<p class=soft>{escape(theorem.slack)}</p>"
        f"<details><summary>All {len(verdict.findings)} comparisons</summary>"
        f"{comparisons(verdict.findings, 'Comparisons with certified computations')}</details>"
        "<h2>Limits</h2><p>What happens where a hypothesis fails; each line is a statement of its own, checked like "
        "the claim.</p>"
        f"{comparisons(verdict.outside, 'Outside of the hypotheses')}"
        "<h2>Wrong versions, rejected</h2><p>The same check on deliberately wrong claims: each must come out violated.</p>"
        f"{comparisons(verdict.controls, 'Negative controls')}"
        "<h2>Twins</h2><p>Changes of the instance that must not move the answer.</p>"
        f"{comparisons(verdict.twins, 'Twins')}{_certificates(verdict)}"
        f'<nav class="neighbours" aria-label="Neighbouring theorems">{neighbours}</nav>'
    )
    return document(f"{theorem.id}: {plain(theorem.title)}", body, "")
