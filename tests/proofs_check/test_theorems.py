"""Every theorem of the book, and the machinery that judges them."""

import json
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
import sympy

from proofs_check import __main__ as command_line
from proofs_check import outputs, report
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, Outcome, decided, equal, less
from proofs_check.registry import LEVELS, Kind, Proof, Theorem, all_theorems, judge
from proofs_check.selection import select
from proofs_check.site import folder
from ufm.errors import InputError

BOOK = all_theorems()
EXPECTED = {
    "F1", "F2", "F3", "F4", "F5", "H1", "H2", "H3", "H4", "L", "Z1", "Z2", "M1", "M3", "B1", "B2", "E1", "G1", "Y",
    "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9",
    "X1", "X2", "X3", "LN", "X16", "X4", "X5", "X6", "X7", "X8", "X9", "X12",
    "X10", "X11", "X13", "X14", "X15",
}  # fmt: skip
SYMBOLIC = {
    "F1",
    "F2",
    "F5",
    "H1",
    "H2",
    "H3",
    "L",
    "Z2",
    "M1",
    "M3",
    "B1",
    "B2",
    "E1",
    "G1",
    "D1",
    "D2",
    "D5",
    "D6",
    "D7",
    "D9",
} | {
    "X1",
    "X2",
    "X3",
    "LN",
    "X9",
    "X4",
    "X5",
    "X6",
    "X7",
    "X8",
    "X12",
    "X10",
    "X11",
    "X13",
    "X14",
    "X15",
    "Y",
    "Z1",
}


def test_the_book_is_complete():
    assert set(BOOK) == EXPECTED
    for claim in BOOK.values():
        assert claim.__doc__
        assert claim.title
        assert isinstance(claim.kind, Kind)


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("level", ["float", "rigorous"])
def test_holds(name, level):
    verdict = judge(BOOK[name], level)
    assert verdict.outcome is Outcome.HOLDS, verdict.trouble
    assert verdict.trouble == []
    assert verdict.level in LEVELS
    assert verdict.findings
    assert verdict.twins
    assert verdict.outside
    (written,) = json.loads(report.as_json([verdict]))
    assert written["outcome"] == "holds"
    assert [step["confirmed"] for step in written["steps"]] == [True] * len(verdict.steps)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_negative_controls_are_rejected_with_disjoint_enclosures(name):
    controls = list(BOOK[name]().control("rigorous"))
    assert controls
    assert all(c.outcome is Outcome.VIOLATED for c in controls)
    assert all(c.margin > 0 for c in controls)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_symbolic_steps_are_confirmed_and_can_be_written_down(name):
    """Computer algebra has truth values of its own, which JSON does not know."""
    steps = BOOK[name].steps
    toy = type("Toy", (Toy,), {"steps": lambda self: steps(BOOK[name]()), "__doc__": "toy"})
    verdict = judge(toy)
    (written,) = json.loads(report.as_json([verdict]))
    assert [step["confirmed"] for step in written["steps"]] == [True] * len(verdict.steps)
    assert bool(verdict.steps) == (name in SYMBOLIC)
    assert all(type(name) is str and type(truth) is bool for name, truth in verdict.steps)


def test_a_proof_with_steps_left_to_argument_says_so():
    """Complete proofs have steps and leave none open; a theorem without steps has no proof, whatever it leaves open."""
    for claim in BOOK.values():
        stepless = claim.steps is Theorem.steps
        expected = Proof.NONE if stepless else Proof.PART if claim.open_steps else Proof.COMPLETE
        assert claim.proof() is expected
    assert {name for name, claim in BOOK.items() if claim.proof() is not Proof.NONE} == SYMBOLIC
    for rest, level in (("", "rigorous, symbolic"), ("compactness", "rigorous, symbolic in part")):
        toy = type("Toy", (Toy,), {"open_steps": rest, "__doc__": "toy"})
        assert report.row(judge(toy))[3] == level


def test_numbers_of_other_libraries_become_plain_ones():
    margins = (np.float64(0.5), np.float32(0.5), sympy.Rational(1, 2), np.int8(1))
    findings = [Finding("x", Outcome.HOLDS, margin, "float") for margin in margins]
    truths = [("numpy", np.bool_(True)), ("sympy", sympy.true)]
    toy = type("Toy", (Toy,), {"parts": {"check": findings, "steps": truths}, "__doc__": "toy"})
    (written,) = json.loads(report.as_json([judge(toy)]))
    assert [f["margin"] for f in written["findings"]] == [0.5, 0.5, 0.5, 1.0]
    assert [s["confirmed"] for s in written["steps"]] == [True, True]


@pytest.mark.parametrize("truth", [sympy.false, np.bool_(False), sympy.Symbol("x") > 0, None])
def test_what_computer_algebra_does_not_confirm_is_no_proof(truth):
    toy = type("Toy", (Toy,), {"parts": {"steps": [("s", truth)]}, "__doc__": "toy"})
    verdict = judge(toy)
    assert verdict.steps == (("s", False),)
    assert verdict.outcome is Outcome.VIOLATED


class Toy(Theorem):
    """A claim whose every part can be set."""

    id, title, kind, source = "T0", "toy", Kind.TIGHT, cite("zhu2021", "nowhere")
    parts: ClassVar[dict] = {}

    def __init__(self):
        good = Finding("x", Outcome.HOLDS, 1e-9, "rigorous")
        bad = Finding("x", Outcome.VIOLATED, 1.0, "rigorous")
        default = {"check": [good], "control": [bad], "twin": [good], "outside": [good], "steps": [("s", True)]}
        self.made = {**default, **self.parts}

    def grid(self):
        return [0]

    def check(self, instance, level):
        yield from self.made["check"]

    def steps(self):
        yield from self.made["steps"]

    def control(self, level):
        yield from self.made["control"]

    def twin(self, level):
        yield from self.made["twin"]

    def outside(self, level):
        yield from self.made["outside"]


HOLDS, VIOLATED = (Finding("x", o, 1.0, "rigorous") for o in (Outcome.HOLDS, Outcome.VIOLATED))
UNSURE = Finding("x", Outcome.INCONCLUSIVE, 1.0, "rigorous")


@pytest.mark.parametrize(
    ("parts", "outcome"),
    [
        ({}, Outcome.HOLDS),
        ({"check": [HOLDS, VIOLATED]}, Outcome.VIOLATED),
        ({"check": [HOLDS, UNSURE]}, Outcome.INCONCLUSIVE),
        ({"check": []}, Outcome.INCONCLUSIVE),
        ({"control": [HOLDS]}, Outcome.INCONCLUSIVE),
        ({"control": [VIOLATED, UNSURE]}, Outcome.INCONCLUSIVE),
        ({"control": []}, Outcome.INCONCLUSIVE),
        ({"twin": [VIOLATED]}, Outcome.INCONCLUSIVE),
        ({"outside": [UNSURE]}, Outcome.INCONCLUSIVE),
        ({"steps": [("s", False)]}, Outcome.VIOLATED),
    ],
)
def test_a_theorem_holds_only_if_everything_about_it_does(parts, outcome):
    toy = type("Toy", (Toy,), {"parts": parts, "__doc__": "toy"})
    verdict = judge(toy)
    assert verdict.outcome is outcome
    assert bool(verdict.trouble) == (outcome is not Outcome.HOLDS)


def test_level_is_the_weakest():
    findings = [HOLDS, Finding("y", Outcome.HOLDS, 1.0, "numeric"), Finding("z", Outcome.HOLDS, 1.0, "float")]
    toy = type("Toy", (Toy,), {"parts": {"check": findings}, "__doc__": "toy"})
    assert judge(toy).level == "numeric"


def test_comparisons():
    a, b, c = Enclosure(1.0, 1.0 + 1e-12), Enclosure(1.0 + 5e-13, 1.0 + 2e-12), Enclosure(2.0, 2.1)
    assert equal("", a, b, tolerance=1e-9, level="float").outcome is Outcome.HOLDS
    assert equal("", a, b, tolerance=1e-13, level="float").outcome is Outcome.INCONCLUSIVE
    assert equal("", a, c, tolerance=10.0, level="float").outcome is Outcome.VIOLATED
    assert equal("", Enclosure(0.0, 5.0), c, tolerance=1e-9, level="float").outcome is Outcome.INCONCLUSIVE
    nan = Enclosure(float("nan"), float("nan"))
    assert equal("", nan, c, tolerance=1e9, level="float").outcome is Outcome.INCONCLUSIVE
    assert less("", nan, c, level="float").outcome is Outcome.INCONCLUSIVE
    assert less("", a, c, level="float").outcome is Outcome.HOLDS
    assert less("", c, a, level="float").outcome is Outcome.VIOLATED
    assert less("", a, b, level="float").outcome is Outcome.INCONCLUSIVE
    assert decided("", "yes", "yes", margin=1, level="float").outcome is Outcome.HOLDS
    assert decided("", "yes", "no", margin=1, level="float").outcome is Outcome.VIOLATED
    assert decided("", "yes", "undecided", margin=1, level="float").outcome is Outcome.INCONCLUSIVE


def test_selection():
    assert [t.id for t in select(["d2", "F1"])] == ["D2", "F1"]
    with pytest.raises(InputError, match="X99"):
        select(["X99"])


def run(*arguments):
    command = [sys.executable, "-W", "error", "-m", "proofs_check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_command_line(tmp_path):
    targets = ("--json", str(tmp_path / "v.json"), "--html", str(tmp_path), "--latex", str(tmp_path / "v.tex"))
    done = run("F1", "D2", *targets)
    assert done.returncode == 0
    assert "All 2 theorems hold" in done.stdout
    assert "Negative controls" in (tmp_path / "theorem-F1.html").read_text()
    assert "F1" in (tmp_path / "index.html").read_text()
    assert (tmp_path / "v.tex").read_text().count(r"\\") == 3
    written = json.loads((tmp_path / "v.json").read_text())
    assert [v["id"] for v in written] == ["F1", "D2"]
    assert all(c["outcome"] == "violated" for v in written for c in v["controls"])
    listed = run("--list")
    assert all(name in listed.stdout for name in EXPECTED)


def test_an_output_that_fails_does_not_cost_the_others(tmp_path, monkeypatch, capsys):
    targets = {"json": str(tmp_path / "v.json"), "html": str(tmp_path), "latex": str(tmp_path / "v.tex")}

    def fails(verdicts):
        raise TypeError("not serializable")

    with monkeypatch.context() as patched:
        patched.setattr(report, "as_json", fails)
        with pytest.raises(TypeError, match="not serializable"):
            command_line.run(["F4"], show=False, level="float", **targets)
    assert not (tmp_path / "v.json").exists()
    assert "F4" in (tmp_path / "index.html").read_text()
    assert "F4" in (tmp_path / "v.tex").read_text()

    def full(path, text, what):
        raise InputError(f"{what} cannot be written")

    monkeypatch.setattr(outputs, "write_text", full)
    monkeypatch.setattr(folder, "write_text", full)
    with pytest.raises(InputError, match=r"^--json cannot be written; --html cannot be written; --latex cannot be written$"):
        command_line.run(["F4"], show=False, level="float", **targets)


@pytest.mark.parametrize(
    "arguments",
    [
        ("X99",),
        ("--level", "symbolic"),
        ("--bogus",),
        ("F1", "--json", "/nonexistent/v.json"),
        ("F1", "--html", "/dev/null/folder"),
        ("F1", "--quick", "--full"),
        ("--limit", "0", "F1"),
        ("--jobs", "0", "F1"),
        ("--requires", "certain"),
        ("--proof", "half"),
        ("F1", "--cache", "/dev/null/folder"),
        ("missing.py",),
        ("--budget", "0", "missing.py"),
        ("--mutate", "F1", "--quick"),
        ("missing.py", "--html", "/tmp/nowhere"),
        ("missing.py", "F1"),
        ("F1", "--save", "/tmp/nowhere"),
    ],
)
def test_bad_input(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_failing_claim_exits_1():
    code = (
        "import sys; from proofs_check import __main__ as m, registry as r; from proofs_check.enclosure import *;"
        "import proofs_check.zhu2021 as z;"
        "z.ClosedForm.check = lambda s, i, l: iter([Finding('x', Outcome.VIOLATED, 1.0, 'rigorous')]);"
        "sys.argv = ['p', 'Z2']; from ufm.cli import guarded; guarded(m.app, 'proofs_check')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "0 of 1 theorems hold" in done.stdout
