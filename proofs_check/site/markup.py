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
MARKS = {r"\lVert": "‖", r"\rVert": "‖", r"\Vert": "‖", r"\lvert": "|", r"\rvert": "|", r"\{": "{", r"\}": "}", r"\|": "‖"}
"""Brackets that keep their name after ``\\big`` and ``\\Big``."""
SIZED = re.compile(r'<mo minsize="([\d.]+em)" maxsize="[\d.]+em">')
"""Brackets of a stated size: browsers keep to it only with a font for mathematics, and to a size of letters always."""
BARS = re.compile(r"<mo>(&#x02016;|&#x0007C;|‖|\||&#x027E8;|&#x027E9;)</mo>")
"""Brackets without ``\\left`` and ``\\right``: an index at one of them would let the two grow to different heights."""
RELATIONS = re.compile(r"<mi>(:|&#x02AB0;)</mi>")
"""Relations that are set as letters, without space around them."""
THIN = '<mspace width="0.17em"/>'
"""Space between the name of a function and letters beside it."""
NAMES = "log|exp|cos|sin|tan|softmax|dim"
FUNCTIONS = re.compile(
    rf"(?P<raised><(?P<tag>msu[bp])><mi>(?:{NAMES})</mi><m[in]>[^<]*</m[in]></(?P=tag)>)"
    rf"|(?<!<msub>)(?<!<msup>)<m([io])>(?P<name>{NAMES})</m\3>(?P<beside>(?=<m[ins]))?"
)
"""Names of functions, with or without an index or a power."""
PRIMES = re.compile(r"<msup><msubsup>(.*?)<mi>&#x02032;</mi></msubsup><mi>&#x02032;</mi></msup>")
"""Two primes at a letter with an index."""


def _spaced(found: re.Match[str]) -> str:
    """The name of a function, which stands off from letters beside it."""
    if found["raised"]:
        return f"{THIN}{found['raised']}{THIN}"
    return f"{THIN}<mi>{found['name']}</mi>{THIN if found['beside'] is not None else ''}"


@cache
def formula(latex: str, display: str = "inline") -> str:
    r"""A formula as MathML.

    Parameters
    ----------
    latex : str, without dollars
    display : str, "inline" or "block"

    Returns
    -------
    str

    Examples
    --------
    >>> "<msup><mi>sin</mi><mn>2</mn></msup>" in formula(r"\sin^2 t")
    True
    """
    from latex2mathml.converter import convert

    text = " ".join(latex.split())
    made = convert(text, display=display)
    for name, sign in MARKS.items():
        made = made.replace(f">{name}<", f">{sign}<")
    made = SIZED.sub(r'<mo stretchy="false" style="font-size: \1">', made)
    made = BARS.sub(r'<mo stretchy="false">\1</mo>', made)
    made = RELATIONS.sub(r"<mo>\1</mo>", made)
    made = PRIMES.sub(r"<msubsup>\1<mi>&#x02033;</mi></msubsup>", made)
    made = FUNCTIONS.sub(_spaced, made)
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
