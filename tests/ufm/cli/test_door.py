"""What the door of the command line promises, case by case."""

import json
import subprocess
import sys
import tracemalloc
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm
from ufm._files import writing
from ufm._parallel import PER_CORE, check_workers
from ufm.cli import common, outcome
from ufm.cli.commands import app
from ufm.errors import ConvergenceError, InputError, brief, sentence
from ufm.solvers.estimate import BLOCK_SIZES, NARROW_CLASSES, seconds_for
from ufm.sweep import Spec, Store, run, to_csv, to_parquet
from ufm.training import Settings
from ufm.training import run as train_run
from ufm.training.memory import MOST, size_of


def refused(capsys, *words):
    """The one sentence of a command line that is refused."""
    assert outcome(app, "ufm", words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("ufm: ")
    assert len(said.err.splitlines()) == 1
    assert len(said.err) < 500
    return said.err


@given(st.text(max_size=3000), st.sampled_from([InputError, ConvergenceError]))
def test_every_message_is_one_short_line(text, kind):
    message = str(kind(text))
    assert len(message.splitlines()) <= 1
    assert len(f"proofs_check: {message}") < 500
    assert sentence(message) == message
    assert message.isprintable()
    assert message.startswith(text[:30]) or not text[:30].isprintable() or text != " ".join(text.split())


@pytest.mark.parametrize("value", ["a" * 10**5, 10**5000, [[0] * 10**4], {"k": "v" * 999}, 1.5], ids=map(str, count()))
def test_values_are_echoed_briefly(value):
    assert len(brief(value)) <= 80
    assert brief("abc") == "'abc'"


@pytest.mark.parametrize(
    "words",
    [
        ["solve", "--counts", "a" * 10**5, "--decay", "1,1"],
        ["solve", "--counts", "5*3", "--decay", "x" * 10**5],
        ["solve", "--counts", "5*3", "--decay", "1,1", "--head", "explicit:" + "9" * 10**4],
        ["solve", "--counts", "5*3", "--decay", "1,1", "--method", "m" * 10**4],
        ["solve", "--counts", "5*3", "--decay", "1,1", "--dim", "9" * 10**4],
        ["solve", "--counts", "5*3", "--decay", "1,1", "--save", "n" * 300],
        ["solve", "--" + "o" * 10**4],
        ["c" * 10**4],
        ["recheck", "n" * 300],
        ["measure", "n" * 300],
        ["sweep", "run", "n" * 300, "--out", "s.db"],
        ["sweep", "run", "phase", "--out", "n" * 300],
        ["sweep", "run", "phase", "--out", "s.db", "--workers", "9" * 30],
        ["sweep", "status", "n" * 300],
        ["sweep", "status", "\0"],
        ["train", "--out", "n" * 300],
        ["train", "--out", "run\0"],
        ["compare", "--out", "c", "--seeds", "1000000000"],
        ["compare", "--out", "c", "--workers", "1000000"],
        ["recheck", "[/red]"],
    ],
    ids=map(str, count()),
)
def test_long_and_impossible_words_are_refused_briefly(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(capsys, *words)
    assert not list(tmp_path.rglob("*.partial"))
    assert not list(tmp_path.glob("s.db"))


@pytest.mark.parametrize(
    ("fixed", "ratio"),
    [
        ("day = 1979-05-27", "[1]"),
        ("rho = 07:32:00", "[1]"),
        ("rho = 0.1", "[1979-05-27T07:32:00Z]"),
        ("rho = " + "9" * 400, "[1]"),
        ("rho = " + "9" * 5000, "[1]"),
        ("rho = nan", "[1]"),
        ("rho = 0.1", "[" + "9" * 400 + "]"),
        ("rho = 0.1", "{ log = [1, " + "9" * 400 + ", 3] }"),
        ("rho = 0.1", "{ linear = [-1.7e308, 1.7e308, 3] }"),
        ("rho = 0.1", "{ linear = [1, 2, true] }"),
        ("rho = " + "[" * 50_000, "[1]"),
        ("rho = " + "[" * 20 + "]" * 20, "[1]"),
        ("rho = {a = 1}", "[1]"),
    ],
    ids=map(str, count()),
)
def test_odd_values_in_a_spec_are_one_sentence(fixed, ratio, capsys, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text(
        f'task = "solve"\n[fixed]\nclasses = [5, 5]\nminority_count = 10\nc = 2.0\n{fixed}\n[grid]\nratio = {ratio}\n'
    )
    refused(capsys, "sweep", "run", str(spec), "--out", str(tmp_path / "s.db"))
    assert [path.name for path in tmp_path.iterdir()] == ["spec.toml"]


@pytest.mark.parametrize("task", ['["solve"]', "1", "1979-05-27", '"x"', "{}"])
def test_odd_tasks_are_one_sentence(task, capsys, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text(f"task = {task}\n[fixed]\nc = 2.0\n[grid]\nratio = [1]\n")
    assert "task" in refused(capsys, "sweep", "run", str(spec), "--out", str(tmp_path / "s.db"))


@pytest.fixture
def store(tmp_path):
    """A finished store of two points."""
    path = tmp_path / "s.db"
    run(Spec.of("solve", {"classes": [2, 2], "minority_count": 3, "c": 1.0}, {"ratio": [1, 2]}), path)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE about SET description = '{}'",
        "UPDATE about SET description = '[1]'",
        "UPDATE about SET description = NULL",
        "UPDATE about SET description = 7",
        "UPDATE about SET description = json_set(description, '$.spec.axes', 5)",
        "UPDATE about SET description = json_set(description, '$.spec.axes[0].values', 5)",
        "UPDATE about SET description = json_remove(description, '$.versions.ufm')",
        "UPDATE about SET description = json_remove(description, '$.spec.title')",
        "DROP TABLE points",
        "DROP TABLE about",
        "ALTER TABLE points RENAME COLUMN status TO state",
        "UPDATE points SET status = NULL",
        "UPDATE points SET status = x'00'",
    ],
)
def test_damaged_stores_are_one_sentence(damage, store, capsys, tmp_path):
    import sqlite3

    connection = sqlite3.connect(store)
    with connection:
        connection.execute(damage)
    connection.close()
    assert "store" in refused(capsys, "sweep", "status", str(store))
    before = store.read_bytes()
    if "points SET" not in damage:
        refused(capsys, "sweep", "export", str(store), "--csv", str(tmp_path / "t.csv"))
        assert [path.name for path in tmp_path.iterdir()] == ["s.db"]
    assert store.read_bytes() == before


def test_exports_never_replace_their_store_or_a_device(store, tmp_path):
    before = store.read_bytes()
    with Store(store) as opened:
        for write in (to_csv, to_parquet):
            for target in (store, "/dev/null", tmp_path, tmp_path / ("n" * 300), tmp_path / "no" / "t"):
                with pytest.raises(InputError):
                    write(opened, target)
        assert to_csv(opened, tmp_path / ("n" * 250)) == 2  # the longest name that the system takes, nearly
    assert store.read_bytes() == before
    assert Path("/dev/null").is_char_device() or not Path("/dev/null").exists()
    assert not list(tmp_path.glob(".*"))


def test_what_fails_while_it_is_written_leaves_nothing(tmp_path):
    def broken():
        with writing(tmp_path / "a.txt") as stream:
            stream.write("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        broken()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["train", "--out", "net", "--width", "100000"], "width"),
        (["train", "--out", "net", "--classes", "5000,5000"], "classes"),
        (["train", "--out", "net", "--largest", "100000000"], "largest"),
        (["train", "--out", "net", "--tail", "--largest", "100000000", "--ratio", "1e6"], "largest"),
        (["train", "--out", "net", "--batch", "100000000", "--largest", "100000"], "batch"),
        (["solve", "--counts", ",".join(map(str, range(1, 5001))), "--decay", "1e-3,1e-3"], "sizes"),
        (["solve", "--counts", ",".join(map(str, range(1, 1602))), "--decay", "1e-3,1e-3"], "1601 distinct class sizes"),
        (["solve", "--counts", "10*2000", "--decay", "1e-4,1e-4", "--dim", "2"], "--dim"),
    ],
    ids=map(str, count()),
)
def test_too_large_questions_are_refused_before_anything_is_allocated(words, name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracemalloc.start()
    said = refused(capsys, *words)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert name in said
    assert peak < 100e6
    assert not list(tmp_path.iterdir())


def test_what_works_in_reasonable_time_is_not_refused():
    decay = ufm.WeightDecay(1e-4, 1e-4)
    sizes = [500 - k % 201 for k in range(365)]  # 201 distinct sizes
    assert 0.2 < seconds_for(ufm.Problem(sizes, regularizer=decay)) < 10
    assert (
        seconds_for(
            ufm.Problem(ufm.step_imbalanced(majority=500_000, minority=500_000, n_majority=9, n_minority=3), regularizer=decay)
        )
        < 1
    )
    assert seconds_for(ufm.Problem(range(1, BLOCK_SIZES + 1), regularizer=decay)) < 900
    assert seconds_for(ufm.Problem([k % 540 + 2 for k in range(8142)], regularizer=decay)) < 300
    assert seconds_for(ufm.Problem(range(1, NARROW_CLASSES + 1), regularizer=decay, dim=9)) < 3600
    assert seconds_for(ufm.Problem(range(1, 1501), regularizer=decay, head=ufm.ReLU())) < 60


def test_a_long_solution_is_announced_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(common, "NOTICED", 0.0)  # so that a short one is long
    counts = ",".join(str(300 - k) for k in range(20))
    assert outcome(app, "ufm", ["solve", "--counts", counts, "--decay", "1e-4,1e-4", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["status"] == "optimal"
    assert "K=20 " in said.err
    assert len(said.err.splitlines()) == 1


SETTINGS = (
    {"width": 200, "largest": 60},
    {"classes": (20, 20), "largest": 12, "width": 40, "model": "explicit"},
    {"largest": 2500, "width": 10, "model": "explicit"},
    {"batch": 1000, "largest": 400},
)


@pytest.mark.parametrize("changes", SETTINGS)
def test_the_estimate_of_memory_is_an_upper_one_and_no_fantasy(changes, tmp_path):
    settings = Settings(epochs=1, **changes)
    train_run(Settings(epochs=1, width=2, largest=4, ratio=2), tmp_path / "first")  # libraries are loaded, and not counted
    tracemalloc.start()
    train_run(settings, tmp_path / "net")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size_of(settings).total() < 10 * peak  # explicit networks need less than the equilibria that it is made for
    assert size_of(settings).total() < MOST


@given(st.sampled_from(["width", "largest", "batch"]), st.integers(1, 10**12), st.booleans())
def test_remedies_of_refused_runs_are_accepted(name, value, tail):
    try:
        Settings(**{"ratio": 1.0, name: value}, tail=tail)
    except InputError as error:
        words = str(error).split()
        assert words[-1] == "fits"
        Settings(**{"ratio": 1.0, words[-3]: int(words[-2]), **({} if words[-3] == name else {name: value})}, tail=tail)


@pytest.mark.parametrize("model", ["deq", "explicit"])
@pytest.mark.parametrize("value", ["-inf", "inf", "nan", "1", "-0.5", "1e999"])
def test_a_contraction_outside_its_range_is_refused_for_both_models(model, value, capsys, tmp_path):
    said = refused(capsys, "train", "--out", str(tmp_path / "net"), "--model", model, "--contraction", value)
    assert "contraction" in said
    assert not list(tmp_path.iterdir())


def test_workers_are_a_sensible_number():
    import os

    most = PER_CORE * (os.cpu_count() or 1)
    check_workers(most)
    for workers in (0, -1, True, 1.0, most + 1, 10**30):
        with pytest.raises(InputError, match="workers"):
            check_workers(workers)  # type: ignore[arg-type]


def test_nothing_is_cut_where_stdout_is_no_terminal(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("COLUMNS", "30")
    path = tmp_path / "[bold] like markup [" / "x] and long, long, long, long, long, long.json"
    path.parent.mkdir()
    assert outcome(app, "ufm", ["solve", "--counts", "5*3", "--decay", "1e-2,1e-2", "--save", str(path)]) == 0
    capsys.readouterr()
    assert outcome(app, "ufm", ["recheck", str(path)]) == 0
    said = capsys.readouterr().out
    assert str(path) in said
    assert "…" not in said
    lines = [line for line in said.splitlines() if "proved" in line]
    assert any("<= optimum <=" in line for line in lines)


def test_commands_load_lightly_before_the_guard():
    """Ctrl-C is caught from the first lines of the package on: before NumPy, typer and rich are imported."""
    code = (
        "import signal, sys; sys.orig_argv = ['python', '-m', 'ufm', 'solve']; import ufm._interrupts\n"
        "print(signal.getsignal(signal.SIGINT) is not signal.default_int_handler)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "True"
    plain = subprocess.run([sys.executable, "-c", code.replace("'-m'", "'-c'")], capture_output=True, text=True, check=True)
    assert plain.stdout.strip() == "False"  # a library leaves signals alone


def test_digits_without_scikit_learn_are_refused_before_anything_runs(capsys, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    out = ["--out", str(tmp_path / "out")]
    for words in (["compare", "--quick", *out], ["compare", "--data", "digits", *out], ["train", "--data", "digits", *out]):
        assert 'pip install -e ".[digits]"' in refused(capsys, *words)
        assert not list(tmp_path.iterdir())
