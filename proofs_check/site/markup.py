r"""Text with LaTeX between dollars as HTML with MathML.

>>> print(typeset("at most *two* of `N`"))
at most <em>two</em> of <code>N</code>
>>> "<math" in typeset(r"$\mu^2$")
True
"""

from __future__ import annotations

import re
from functools import cache
from html import escape

LONG = 34
"""Characters of LaTeX from which on a formula may break at its outermost relations and sums."""
BREAKS = re.compile(r" (?=(?:=|\\le|\\ge|<|>|\\iff|\+|-) )")
PARTS = re.compile(r"\$([^$]+)\$|``([^`]+)``|`([^`]+)`|\*([^*\s][^*]*)\*")
WORDS = re.compile(r"\\(?:left|right)\s*(?:\\[a-z{}|]+|.)|\\[a-z]+|[()\[\]{}]")
FUNCTIONS = re.compile(r"<mi>(log|exp|cos|sin|max|min)</mi>(?=(<m[inr]))?")


@cache
def formula(latex: str) -> str:
    """A formula as MathML.

    Parameters
    ----------
    latex : str, without dollars

    Returns
    -------
    str
    """
    from latex2mathml.converter import convert

    text = " ".join(latex.split())
    # Names of functions stand off from letters beside them.
    made = FUNCTIONS.sub(
        lambda found: f'<mspace width="0.17em"/><mi>{found[1]}</mi>' + ('<mspace width="0.17em"/>' if found[2] else ""),
        convert(text),
    )
    # A part of a longer formula that begins with a sign adds or subtracts; without this the sign would look like its own.
    return made.replace("<mo>", '<mo form="infix">', 1) if text.startswith(("+ ", "- ")) else made


def pieces(latex: str) -> list[str]:
    """A long formula, cut before its outermost relations and sums, so that lines may break there.

    >>> pieces("a = b")
    ['a = b']
    """
    text = " ".join(latex.split())
    if len(text) < LONG:
        return [text]
    found, start, depth, sided = [], 0, 0, 0
    places = {match.start() for match in BREAKS.finditer(text)}
    marks = {match.start(): match.group() for match in WORDS.finditer(text)}
    # Inside \left ... \right the brackets themselves do not count.
    for place in range(len(text)):
        mark = marks.get(place, "")
        if mark.startswith((r"\left", r"\begin", r"\langle")):
            sided += 1
        elif mark.startswith((r"\right", r"\end", r"\rangle")):
            sided -= 1
        elif not sided and mark in ("(", "[", "{"):
            depth += 1
        elif not sided and mark in (")", "]", "}"):
            depth -= 1
        if place in places and not depth and not sided:
            found.append(text[start:place])
            start = place + 1
    return [*found, text[start:]]


def typeset(text: str) -> str:
    """HTML of a paragraph: formulas, code and emphasis."""

    def part(match: re.Match[str]) -> str:
        latex, long_code, code, emphasis = match.groups()
        if latex is not None:
            made = [f'<span class="formula">{formula(piece)}</span>' for piece in pieces(latex)]
            return " ".join(made)
        if emphasis is not None:
            return f"<em>{typeset(emphasis)}</em>"
        return f"<code>{escape(long_code or code)}</code>"

    made, start = [], 0
    for match in PARTS.finditer(text):
        made += [escape(text[start : match.start()], quote=False), part(match)]
        start = match.end()
    return "".join([*made, escape(text[start:], quote=False)])


def plain(text: str) -> str:
    """The text without dollars and stars, for places that show no formulas."""
    return re.sub(r"\$|\*|``|`", "", text)


def paragraphs(parts: list[str]) -> str:
    """HTML of paragraphs; lines that begin with "1. ", "2. " ... make a numbered list, those with "- " a list."""
    made = []
    for part in parts:
        lines = part.split("\n")
        for mark, tag in ((r"\d+\. ", "ol"), (r"- ", "ul")):
            if re.match(mark, lines[0]):
                items: list[str] = []
                for line in lines:
                    if re.match(mark, line):
                        items.append(re.sub(f"^{mark}", "", line))
                    else:
                        items[-1] += " " + line.strip()
                made.append(f"<{tag}>" + "".join(f"<li>{typeset(item)}</li>" for item in items) + f"</{tag}>")
                break
        else:
            made.append(f"<p>{typeset(' '.join(part.split()))}</p>")
    return "\n".join(made)
