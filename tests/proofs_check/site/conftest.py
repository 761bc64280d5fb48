"""A small site: four theorems that hold, with certificates, one that is violated and one that is not decided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from proofs_check import report
from proofs_check.enclosure import Finding, Outcome
from proofs_check.judging import Verdict, judge
from proofs_check.registry import all_theorems
from proofs_check.site import write

NAMES = ("F1", "F3", "D2", "X4")


def spoiled(verdict: Verdict, outcome: Outcome) -> Verdict:
    """The same verdict with a finding that does not hold, and texts that must not become tags."""
    bad = Finding("a < b & \"c\" <script>alert('x')</script>", outcome, 2.0, "float", equality=False)
    return replace(verdict, outcome=outcome, findings=(*verdict.findings, bad), steps=(("a step $x < y$", False),))


@pytest.fixture(scope="session")
def verdicts() -> list[Verdict]:
    book = all_theorems()
    found = [judge(book[name], "float", keep=True) for name in NAMES]
    return [
        *found,
        spoiled(judge(book["Y"], "float"), Outcome.VIOLATED),
        spoiled(judge(book["Z2"], "float"), Outcome.INCONCLUSIVE),
    ]


@pytest.fixture(scope="session")
def site(verdicts, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "not yet" / "there"
    write(verdicts, str(folder), summary=report.closing(verdicts, 1.0), legend=report.LEGEND, level="float")
    return folder
