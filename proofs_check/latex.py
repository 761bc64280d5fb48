"""The book's verdicts as a LaTeX table."""

from __future__ import annotations

import re

from proofs_check.judging import Verdict

HEADER = ("id", "claim", "source", "locator", "level", "proof", "verdict")
COLUMNS = r"lp{0.46\linewidth}lp{0.1\linewidth}lll"
SPECIAL = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", ">": "$>$", "<": "$<$", "~": r"\textasciitilde{}", "^": r"\^{}"}
PARTS = re.compile(r"\$[^$]+\$|``([^`]+)``|`([^`]+)`|\*([^*\s][^*]*)\*")


def text(words: str) -> str:
    r"""Text with LaTeX between dollars, code between accents and emphasis between stars as LaTeX.

    >>> print(text("at most *50 %* of $x_1$"))
    at most \emph{50 \%} of $x_1$
    """

    def part(match: re.Match[str]) -> str:
        long_code, code, emphasis = match.groups()
        if emphasis is not None:
            return rf"\emph{{{text(emphasis)}}}"
        return match.group() if long_code is None and code is None else rf"\texttt{{{_escaped(long_code or code)}}}"

    made, start = [], 0
    for match in PARTS.finditer(words):
        made += [_escaped(words[start : match.start()]), part(match)]
        start = match.end()
    return "".join([*made, _escaped(words[start:])])


def _escaped(words: str) -> str:
    quoted = re.sub(r'"([^"]*)"', r"``\1''", words)
    return "".join(SPECIAL.get(letter, letter) for letter in quoted)


def as_latex(verdicts: list[Verdict]) -> str:
    r"""A ``tabular`` for the packages booktabs and amsmath: one line a theorem, with its statement and ``\cite`` of its source.

    Parameters
    ----------
    verdicts : list of Verdict

    Returns
    -------
    str
    """

    def row(verdict: Verdict) -> str:
        theorem, source = verdict.theorem, verdict.theorem.source
        cited = rf"\cite{{{source.key}}}" if source.key else text(source.short)
        cells = (
            text(theorem.id), text(theorem.statement()), cited, text(source.locator), verdict.level,
            theorem.proof().value, verdict.outcome.value,
        )  # fmt: skip
        return " & ".join(cells) + r" \\"

    head = ["% needs the packages booktabs and amsmath", rf"\begin{{tabular}}{{{COLUMNS}}}", r"\toprule"]
    body = [" & ".join(HEADER) + r" \\", r"\midrule", *map(row, verdicts)]
    return "\n".join([*head, *body, r"\bottomrule", r"\end{tabular}", ""])
