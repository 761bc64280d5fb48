"""What a theorem says by itself, without a verdict: parts of its page in the report, and its page in the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from proofs_check.bibliography import PAPERS
from proofs_check.boxes.table import claims_of
from proofs_check.judging import confirmed
from proofs_check.site.boxes import claimed
from proofs_check.site.frame import readable
from proofs_check.site.markup import paragraphs, typeset
from proofs_check.theorem import Proof, Theorem

Steps = Sequence[tuple[str, bool]]
"""Names of symbolic steps, and whether computer algebra confirms them."""


class Told(NamedTuple):
    """What a theorem names only when it is asked: steps of its proof, limits, wrong versions and twins, in words.

    Attributes
    ----------
    steps : tuple of (str, bool), as in `Steps`
    limits, controls, twins : tuple of str
    """

    steps: tuple[tuple[str, bool], ...]
    limits: tuple[str, ...]
    controls: tuple[str, ...]
    twins: tuple[str, ...]

    @classmethod
    def of(cls, theorem: type[Theorem]) -> Told:
        """Ask a theorem, at level "float"; its instances are not checked."""
        claim = theorem()
        steps = tuple((str(name), confirmed(truth)) for name, truth in claim.steps())
        parts = (claim.outside("float"), claim.control("float"), claim.twin("float"))
        return cls(steps, *(tuple(finding.what for finding in part) for part in parts))


def facts(theorem: type[Theorem], *more: tuple[str, str]) -> str:
    """The list under the title: kind, proof, source and its BibTeX entry.

    Parameters
    ----------
    theorem : class of the theorem
    more : (str, str), further rows in front: name and HTML

    Returns
    -------
    str
        HTML.
    """
    source = theorem.source
    paper = PAPERS.get(source.key)
    name = escape(source.full)
    cited = f'<a href="{escape(paper.url)}">{name}</a>' if paper is not None and paper.url else name
    rows = [
        *more,
        ("Kind", f"{theorem.kind.value}: {theorem.kind.meaning}"),
        ("Proof", f"{theorem.proof().value}: {theorem.proof().meaning}"),
        ("Source", f"{cited}: {escape(source.subject)} ({escape(source.locator)})"),
    ]
    if paper is not None:
        bib = escape(paper.bibtex(source.key))
        rows.append(("BibTeX", f"<details><summary>{escape(source.key)}</summary><pre tabindex=0>{bib}</pre></details>"))
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in rows) + "</dl>"


def statement(theorem: type[Theorem]) -> str:
    """The claim and its hypotheses, as HTML."""
    made = f'<h2>Statement</h2><div class="statement"><p>{typeset(theorem.statement())}</p></div>'
    if not theorem.hypotheses:
        return made
    items = "".join(f"<li>{typeset(hypothesis.text)}</li>" for hypothesis in theorem.hypotheses)
    return f"{made}<h3>Hypotheses, checked at every instance</h3><ul>{items}</ul>"


def proof(theorem: type[Theorem], steps: Steps) -> str:
    """Steps, what they leave open, and the words of the docstring, as HTML."""
    made = [f"<h2>Proof: {theorem.proof().value}</h2>"]
    if steps:
        items = "".join(
            f'<li class="{"holds" if ok else "violated"}">{typeset(name)} '
            f'<span class="soft">{"confirmed" if ok else "not confirmed"}</span></li>'
            for name, ok in steps
        )
        made.append(f"<p>Steps that computer algebra decides for general parameters:</p><ol class=steps>{items}</ol>")
    else:
        made.append("<p>There are no symbolic steps. The claim is checked at instances.</p>")
    if theorem.proof() is Proof.PART:
        made.append(f'<p class="open"><strong>Left to argument:</strong> {typeset(theorem.open_steps)}.</p>')
    made.append(paragraphs(theorem.paragraphs()[1:]))
    return "".join(made)


LIMITS = (
    "<h2>Limits</h2><p>What happens where a hypothesis fails; each line is a statement of its own, checked like the claim.</p>"
)
CONTROLS = "<h2>Wrong versions, rejected</h2><p>The same check on deliberately wrong claims: each must come out violated.</p>"
TWINS = "<h2>Twins</h2><p>Changes of the instance that must not move the answer.</p>"


def page(theorem: type[Theorem], told: Told, theory: str = "") -> str:
    """The page of a theorem before anything is checked: the part between head and foot.

    Parameters
    ----------
    theorem : class of the theorem
    told : Told
    theory : str, HTML: the propositions that it rests on

    Returns
    -------
    str
        HTML.
    """
    rows = [("Theory", theory)] if theory else []
    command = f"python -m proofs_check {escape(theorem.id)}"
    lists = zip((LIMITS, CONTROLS, TWINS), told[1:], strict=True)
    return (
        f"<h1><span class=id>{escape(theorem.id)}</span> {escape(theorem.title)}</h1>{facts(theorem, *rows)}"
        f"{statement(theorem)}{proof(theorem, told.steps)}"
        + "".join(f"<h2>Over continuous ranges</h2>{claimed(claim)}" for claim in claims_of(theorem.id))
        + "".join(f"{head}<ul>{''.join(f'<li>{typeset(readable(what))}</li>' for what in items)}</ul>" for head, items in lists)
        + f"<h2>Check it</h2><pre tabindex=0>{command}</pre><p>The claim counts as checked where every comparison has at least "
        f"level <em>{theorem.required}</em>.</p>"
        f"<p>With <code>--html FOLDER</code> it also makes a page with every comparison, margins"
        f"{', the picture of the regions' if claims_of(theorem.id) else ''} and certificates.</p>"
    )
