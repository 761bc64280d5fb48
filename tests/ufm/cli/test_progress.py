"""What a user sees while a command works, and how wide its tables are."""

import json
import sys

import pytest

from tests.ufm.cli.terminal import ESCAPE, run_on_terminal
from ufm.cli import common, outcome
from ufm.cli.commands import app

SLEEP = "import time; from ufm.cli.common import working\nwith working('thinking about K=3'): time.sleep({})"


def test_a_spinner_on_a_terminal_vanishes():
    shown, piped = run_on_terminal("-c", SLEEP.format(2.5), stream="stderr", columns=80)
    assert piped == ""
    assert "thinking about K=3" in ESCAPE.sub("", shown)
    assert "0:00:01" in shown or "0:00:02" in shown  # the time from the start, not from the first picture
    assert shown.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))  # the line is erased, the cursor comes back


def test_nothing_is_said_within_a_second():
    assert run_on_terminal("-c", SLEEP.format(0.1), stream="stderr") == ("", "")


def test_one_plain_line_where_stderr_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr(common, "NOTICED", 0.0)
    with common.working("thinking\nabout [red]"):
        import time

        time.sleep(0.2)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "thinking about [red]\n")
    with common.working("nothing"):
        monkeypatch.setattr(sys, "stderr", None)


@pytest.mark.parametrize(
    "words",
    [
        ["solve", "--counts", "9,8,7,6,5", "--decay", "5e-3,5e-3", "--head", "deq:frobenius=0.3"],
        ["threshold", "--classes", "5,5", "--decay", "1e-2,1e-2", "--minority-count", "9", "--head", "deq:decay=0.1,contraction=0.5"],
    ],
)  # fmt: skip
def test_json_stays_one_object_while_progress_is_told(words, monkeypatch, capsys):
    monkeypatch.setattr(common, "NOTICED", 0.0)
    assert outcome(app, "ufm", [*words, "--json"]) == 0
    said = capsys.readouterr()
    assert isinstance(json.loads(said.out), dict)
    assert len(said.out.splitlines()) == 1
    assert len(said.err.splitlines()) == 1
    assert words[-1] in said.err


def test_failures_end_the_progress(monkeypatch, capsys):
    with pytest.raises(KeyboardInterrupt), common.working("anything"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("columns", [30, 40, 100])
@pytest.mark.parametrize(
    "words",
    [
        ["explain"],
        ["explain", "control: accuracy_one_step"],
        ["solve", "--counts", "9*3,2*3", "--decay", "5e-3,5e-3"],
        ["sweep", "list"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_tables_fit_the_terminal(words, columns):
    shown, _ = run_on_terminal("-m", "ufm", *words, columns=columns)
    lines = [ESCAPE.sub("", line).rstrip("\r") for line in shown.split("\n")]
    framed = [line for line in lines if line[:1] in ("│", "┌", "└", "├")]
    assert framed
    assert max(map(len, framed)) <= columns
    assert "…" not in shown
