"""Formulas of the documentation as MathML, which browsers read without scripts and without a network."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

ANCHOR = re.compile(r'^<a id="([\w-]+)"></a>\s*$', flags=re.MULTILINE)
MARKS = {r"\lVert": "‖", r"\rVert": "‖", r"\Vert": "‖", r"\lvert": "|", r"\rvert": "|", r"\{": "{", r"\}": "}", r"\|": "‖"}
"""Brackets that keep their name after ``\\big`` and ``\\Big``."""
SIZED = re.compile(r'<mo minsize="([\d.]+em)" maxsize="[\d.]+em">')
"""Brackets of a stated size: browsers keep to it only with a font for mathematics, and to a size of letters always."""
BARS = re.compile(r"<mo>(&#x02016;|&#x0007C;|‖|\||&#x027E8;|&#x027E9;)</mo>")
"""Brackets without ``\\left`` and ``\\right``: an index at one of them would let the two grow to different heights."""
THIN = '<mspace width="0.17em"/>'
"""Space between the name of a function and letters beside it."""
OPERATORS = re.compile(r"<mi>(:|&#x02AB0;)</mi>")
"""Relations that are set as letters, without space around them."""
FUNCTIONS = re.compile(r"<m([io])>(log|exp|cos|tan|softmax|dim)</m\1>(?=(<m[ins]))?")
LINK = re.compile(r"\]\([\w./-]+\.md(#(?:prop|def)-[\w-]+)\)")


def mathml(latex: str, node: nodes.Node, display: str) -> str:
    """MathML of a formula; a command that is not known becomes a warning, and with it an error of the build."""
    made = convert(" ".join(latex.split()), display=display)
    for name, sign in MARKS.items():
        made = made.replace(f">{name}<", f">{sign}<")
    made = SIZED.sub(r'<mo stretchy="false" style="font-size: \1">', made)
    made = BARS.sub(r'<mo stretchy="false">\1</mo>', made)
    made = OPERATORS.sub(r"<mo>\1</mo>", made)
    made = FUNCTIONS.sub(lambda found: f"{THIN}<mi>{found[2]}</mi>{THIN if found[3] else ''}", made)
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
