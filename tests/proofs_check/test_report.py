"""The terminal's table at any width, JSON and LaTeX."""

from __future__ import annotations

import json
import re

import pytest
from rich.console import Console

from proofs_check import report
from proofs_check.judging import judge
from proofs_check.latex import text
from proofs_check.registry import all_theorems
from ufm.glossary import GLOSSARY

BOOK = all_theorems()


@pytest.fixture(scope="module")
def verdicts():
    return [judge(BOOK[name], "float", scale="quick") for name in ("F1", "D2", "X4", "H3")]


@pytest.mark.parametrize("width", [30, 40, 56, 76, 80, 120, 2000])
def test_the_table_fits_every_width(verdicts, width):
    """No line is longer than the terminal, and identifiers and verdicts are never cut."""
    console = Console(width=width, record=True)
    console.print(report.terminal(verdicts, width))
    printed = console.export_text()
    assert all(len(line) <= width for line in printed.splitlines())
    for verdict in verdicts:
        assert re.search(rf"^ *{verdict.theorem.id} ", printed, flags=re.MULTILINE)
    assert printed.count("holds") == len(verdicts)
    assert ("margin:" in printed.replace("\n", " ")) == (width >= report.NARROW)


def test_json_has_both_sides_and_the_apparatus(verdicts):
    written = json.loads(report.as_json(verdicts))
    known = {name for terms in GLOSSARY.values() for term in terms for name in (term.name, *term.also)}
    plain = {"id", "claim", "statement", "source", "findings", "steps", "controls", "twins", "outside", "what"}
    for one, verdict in zip(written, verdicts, strict=True):
        assert set(one) - plain <= known
        assert one["statement"] == verdict.theorem.statement()
        assert one["proof"] == verdict.theorem.proof().value
        assert one["locator"]
        assert one["instances"] == 2
        for found, finding in zip(one["findings"], verdict.findings, strict=True):
            assert set(found) - plain <= known
            assert found["relation"] == finding.relation.value
            assert found["predicted"] is not None
            if found["relation"] == "=":
                assert found["predicted"][0] <= found["computed"][1]
                assert found["margin"] <= found["tolerance"]


def test_latex_is_balanced_and_cites_its_sources(verdicts):
    table = report.as_latex(verdicts)
    rows = table.split("\\midrule\n")[1].split("\\bottomrule")[0].strip().split(" \\\\\n")
    assert len(rows) == len(verdicts)
    assert table.count("{") == table.count("}")
    assert table.count("$") % 2 == 0
    for verdict in verdicts:
        source = verdict.theorem.source
        assert rf"\cite{{{source.key}}} & {source.locator}" in table
        assert r"\frac" not in verdict.theorem.statement() or r"\frac" in table
    outside = re.sub(r"\$[^$]*\$", "", "".join(rows))
    assert not re.search(r"(?<!\\)[%#_^~]", outside)


def test_text_in_latex():
    assert text("50 % & a_b") == r"50 \% \& a\_b"
    assert text("`f_x` of $x_1$") == r"\texttt{f\_x} of $x_1$"
    assert text('"quoted" and *so*') == r"``quoted'' and \emph{so}"
    assert text("a < b > c") == "a $<$ b $>$ c"
