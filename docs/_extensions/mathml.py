"""Formulas of the documentation as MathML, which browsers read without scripts and without a network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from proofs_check.site.markup import formula

logger = logging.getLogger(__name__)

ANCHOR = re.compile(r'^<a id="([\w-]+)"></a>\s*$', flags=re.MULTILINE)
LINK = re.compile(r"\]\([\w./-]+\.md(#(?:prop|def)-[\w-]+)\)")


def mathml(latex: str, node: nodes.Node, display: str) -> str:
    """MathML of a formula; a command that is not known becomes a warning, and with it an error of the build."""
    made = formula(latex, display)
    if "\\" in made:
        logger.warning("formula with an unknown command: %s", latex, location=node)
    return made


def visit_math(writer: Any, node: nodes.math) -> None:
    """A formula within a line."""
    writer.body.append(mathml(node.astext(), node, "inline"))
    raise nodes.SkipNode


def visit_math_block(writer: Any, node: nodes.math_block) -> None:
    """A formula in a paragraph of its own, which scrolls where it is wider than the page."""
    writer.body.append(f'<div class="formula">{mathml(node.astext(), node, "block")}</div>')
    raise nodes.SkipNode


def anchors_as_targets(app: Sphinx, docname: str, source: list[str]) -> None:
    """Propositions are marked with HTML anchors, and some formulas with dollars and backticks, which many readers of Markdown
    understand; here they are targets and formulas.
    """
    text = ANCHOR.sub(r"(\1)=", source[0]).replace("$`", "$").replace("`$", "$")
    source[0] = LINK.sub(r"](\1)", text)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer and the reader of anchors."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("source-read", anchors_as_targets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
