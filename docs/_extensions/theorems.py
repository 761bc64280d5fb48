"""A page for each theorem of the book, made from its registry while the site is built.

Instances are not checked: steps of proofs are decided by computer algebra, and limits, wrong versions and twins are asked for
their names, which takes some 20 seconds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils import new_document
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from proofs_check.boxes.table import claims_of
from proofs_check.registry import Proof, Theorem, all_theorems
from proofs_check.site.markup import typeset
from proofs_check.site.stated import Told, page

logger = logging.getLogger(__name__)

FOLDER = "theorems"
COLUMNS = ("theorem", "paper", "proof", "box over")
CITED = re.compile(r"(?<=Proposition )\d+\.\d+|(?<=Propositions )\d+\.\d+(?:(?:, | and |, and | to )\d+\.\d+)*")
"""Numbers of propositions in words, also in lists."""
NUMBER = re.compile(r"(\d+)\.(\d+)")
USED = re.compile(r"(?<=\.py` \()(\w+(?:, \w+)*)(?=\))")
"""Theorems behind the file of their paper, in the lines "Used by" of docs/theory."""


class Overview(SphinxDirective):
    """The table of all theorems, with links to their pages."""

    def run(self) -> list[nodes.Node]:
        """The table and a sentence of numbers."""
        book = list(all_theorems().values())
        head = "".join(f'<th scope="col">{name}</th>' for name in COLUMNS)
        table = f'<table class="theorems"><thead><tr>{head}</tr></thead><tbody>{"".join(map(row, book))}</tbody></table>'
        proofs = [theorem.proof() for theorem in book]
        numbers = ", ".join(f"{proofs.count(p)} {p.value} ({p.meaning})" for p in Proof)
        boxes = sum(bool(claims_of(theorem.id)) for theorem in book)
        text = f"{len(book)} theorems. Proofs: {numbers}. {boxes} have a box: continuous ranges over which they are certified."
        return [nodes.paragraph("", text), nodes.raw("", table, format="html")]


def row(theorem: type[Theorem]) -> str:
    """One line of the table."""
    ranges = ", ".join(f"${r.symbol}$" for claim in claims_of(theorem.id) for r in claim.ranges)
    cells = (theorem.source.short, theorem.proof().value, typeset(ranges))
    return (
        f'<tr><th scope="row"><a href="{FOLDER}/{theorem.id}.html"><span class="id">{theorem.id}</span> '
        f"{escape(theorem.title)}</a></th>"
        + "".join(f'<td data-label="{name}">{cell}</td>' for name, cell in zip(COLUMNS[1:], cells, strict=True))
        + "</tr>"
    )


def propositions(app: Sphinx) -> dict[str, list[str]]:
    """Numbers of the propositions of docs/theory that name a theorem as what uses them, by its identifier."""
    found = defaultdict(list)
    for path in sorted(Path(app.srcdir, "theory").glob("*.md")):
        number = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if anchor := re.match(r'<a id="prop-(\d+)-(\d+)">', line):
                number = f"{anchor[1]}.{anchor[2]}"
            elif line.startswith("Used by:"):
                for names in USED.findall(line):
                    for name in names.split(", "):
                        found[name].append(number)
    return found


def linked(app: Sphinx, html: str, where: str) -> str:
    """HTML in which the propositions that it cites are links; one that does not exist is a warning, an error of the build."""
    targets = app.env.domains.standard_domain.anonlabels

    def link(number: re.Match[str]) -> str:
        label = f"prop-{number[1]}-{number[2]}"
        if label not in targets:
            logger.warning("%s cites Proposition %s, which does not exist", where, number[0])
            return number[0]
        docname, anchor = targets[label][:2]
        return f'<a href="{app.builder.get_relative_uri(where, docname)}#{anchor}">{number[0]}</a>'

    return CITED.sub(lambda cited: NUMBER.sub(link, cited[0]), html)


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Name, content and template of every page; what it says is found by the search of the site."""
    book, used = list(all_theorems().values()), propositions(app)
    if unknown := set(used) - {theorem.id for theorem in book}:
        logger.warning("docs/theory says that these use it, but the book does not have them: %s", sorted(unknown))
    for before, theorem, after in zip([None, *book[:-1]], book, [*book[1:], None], strict=True):
        name, told = f"{FOLDER}/{theorem.id}", Told.of(theorem)
        for step, sure in told.steps:
            if not sure:
                logger.warning("%s: computer algebra does not confirm the step %r", theorem.id, step)
        numbers = list(dict.fromkeys(used[theorem.id]))
        theory = f"Proposition{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}" if numbers else ""
        up = app.builder.get_relative_uri(name, FOLDER)
        body = f'<p class="path"><a href="{up}">Theorems</a> › {theorem.id}</p>{page(theorem, told, theory)}'
        for formula in re.findall(r"<math.*?</math>", body):
            if "\\" in formula:
                logger.warning("%s: formula with an unknown command: %s", theorem.id, formula)
        context: dict[str, Any] = {"title": f"{theorem.id}: {theorem.title}", "body": linked(app, body, name)}
        for key, other in (("prev", before), ("next", after)):
            if other is not None:
                context[key] = {"link": f"{other.id}.html", "title": f"{other.id}: {escape(other.title)}"}
        indexed(app, name, context["title"], body)
        yield name, context, "page.html"


def indexed(app: Sphinx, name: str, title: str, body: str) -> None:
    """Let the search of the site find a page. Its index keeps pages of the environment only, which is stored before this."""
    indexer = getattr(app.builder, "indexer", None)
    if indexer is not None:
        document = new_document(name)
        document += [nodes.title("", title), nodes.raw("", re.sub(r"<math.*?</math>", "", body), format="html")]
        indexer.feed(name, f"{name}.html", title, document)
        app.env.titles[name] = nodes.title("", title)
        app.env.all_docs[name] = 0


def theorems_as_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """In the lines "Used by" of docs/theory theorems are links to their pages."""
    if docname.startswith("theory/"):
        lines = source[0].split("\n")
        link = re.compile(r"\w+")
        for place, line in enumerate(lines):
            if line.startswith("Used by:"):
                lines[place] = USED.sub(
                    lambda names: link.sub(lambda m: f'<a href="../{FOLDER}/{m[0]}.html">{m[0]}</a>', names[0]), line
                )
        source[0] = "\n".join(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the table, the pages and their links."""
    app.add_directive("theorems", Overview)
    app.connect("html-collect-pages", pages)
    app.connect("source-read", theorems_as_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
