"""``ufm solve`` on files of class sizes and on tables of targets."""

import json
from math import comb

import numpy as np
import pytest

import ufm
from tests.ufm.tables import subsets
from ufm.cli import outcome
from ufm.cli.commands import app


def solved(capsys, *words):
    assert outcome(app, "ufm", ["solve", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def saved(path, columns, sizes):
    np.savez(path, columns=columns, sizes=sizes)
    return str(path)


# Closed forms in one or two scalars (tests/ufm/solvers/test_table.py derives them), minimised to more digits than are shown.
GOLDEN = [
    ("ce", 0.01, lambda: (subsets(5, 2) / 2, [1] * 10), 0.973016443104),
    ("ce", 0.005, lambda: (subsets(6, 3) / 3, [1] * 20), 1.328970646302),
    ("ce", 0.02, lambda: (subsets(6, 2) / 2, [1] * 15), 1.332179040210),
    ("pal", 0.01, lambda: (np.hstack([subsets(5, 1), subsets(5, 2)]), [20] * 5 + [4] * comb(5, 2)), 1.2248397546953),
    ("pal", 0.005, lambda: (np.hstack([subsets(6, 1), subsets(6, 2)]), [3] * 6 + [10] * comb(6, 2)), 1.9198399461463),
    # Sums of losses with prices |W|^2 + |H|^2: mu = 2 / N here, and N times the value.
    ("multitask:2,2", 0.01, lambda: (TASKS, [80, 20, 20, 80]), 123.38952947 / 200),
    ("multitask:2,2", 0.01, lambda: (TASKS, [97, 3, 3, 97]), 108.31929615 / 200),
]
TASKS = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]])


@pytest.mark.parametrize(("loss", "mu", "table", "value"), GOLDEN)
def test_golden_numbers_with_certificates_that_are_rechecked(tmp_path, capsys, loss, mu, table, value):
    path, certificate = saved(tmp_path / "t.npz", *table()), tmp_path / "c.json"
    words = ("--table", path, "--loss", loss, "--decay", f"{mu},{mu}", "--level", "rigorous")
    found = solved(capsys, *words, "--save", str(certificate))
    assert found["value"] == pytest.approx(value, abs=1e-10)
    assert found["lower"] <= found["value"] <= found["upper"]
    assert (found["status"], found["level"], found["method"]) == ("optimal", "rigorous", "table")
    assert found["relative_gap"] < 1e-10
    assert outcome(app, "ufm", ["recheck", str(certificate)]) == 0
    document = json.loads(certificate.read_text())
    document["problem"]["table"]["sizes"][0] += 1
    certificate.write_text(json.dumps(document))
    assert outcome(app, "ufm", ["recheck", str(certificate)]) == 2
    capsys.readouterr()


@pytest.mark.parametrize(("c", "value"), [(0.01, 0.335), (0.5, 1.7463203436)])
def test_golden_regression(tmp_path, capsys, c, value):
    """Covariance diag(4, 1, 1/4): two samples at plus and minus sqrt(3 l) along each axis."""
    heights = np.sqrt(3 * np.array([4.0, 1.0, 0.25]))
    path = saved(tmp_path / "t.npz", np.hstack([np.diag(heights), -np.diag(heights)]), [1] * 6)
    found = solved(capsys, "--table", path, "--loss", "mse", "--decay", f"{c},{1 / 6!r},0", "--level", "rigorous")
    assert found["value"] == pytest.approx(value, abs=1e-10)


def test_a_table_of_class_sizes_is_solved_as_such(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("5,0,1,0\n9,1,0,0\n4,0,0,1\n")
    (tmp_path / "n.txt").write_text("9\n5\n4\n")
    a, b, c = (
        solved(capsys, *words, "--decay", "1e-2,1e-2")
        for words in (
            ("--table", str(tmp_path / "t.csv")),
            ("--counts-file", str(tmp_path / "n.txt")),
            ("--counts", "9,5,4"),
        )
    )
    for found in (a, b, c):
        found.pop("seconds")
    assert a == b == c


def test_the_table_of_a_solution_names_its_metrics(tmp_path, capsys):
    path = saved(tmp_path / "t.npz", TASKS, [97, 2, 2, 97])
    words = ["solve", "--table", path, "--loss", "multitask:2,2", "--decay", f"{2 / 198!r},{2 / 198!r}"]
    assert outcome(app, "ufm", words) == 0
    out = capsys.readouterr().out
    assert "table of 4 rows, 4 contexts, 198 samples" in out
    for name in ("rank", "cos_tasks_max", "cos_rows_min", "cos_contexts_max", "directions", "floor"):
        assert name in out
    found = solved(capsys, *words[1:])
    assert found["collapsed"] is None
    assert found["groups"] == []
    # q <= 2 l^2: the two tasks have become one.
    assert found["metrics"]["cos_tasks_max"] == pytest.approx(1.0, abs=1e-12)
    assert found["metrics"]["rank"] == 1
    assert found["metrics"]["floor"] == 0


def test_features_of_a_fixed_norm(tmp_path, capsys):
    """One decay, a certificate that is verified, and a table of plain labels, which has the optimum of class sizes."""
    path, certificate = saved(tmp_path / "t.npz", subsets(4, 2) / 2, [3, 9, 1, 4, 4, 2]), str(tmp_path / "c.json")
    words = ("--table", path, "--level", "rigorous", "--head")
    found = solved(capsys, *words, "layernorm", "--decay", "1e-2", "--save", certificate)
    assert (found["status"], found["level"], found["method"]) == ("optimal", "rigorous", "table")
    assert found["lower"] <= found["value"] <= found["upper"]
    assert found["relative_gap"] < 1e-10
    assert outcome(app, "ufm", ["recheck", certificate]) == 0
    capsys.readouterr()
    # A norm of 4 rescales the decay by 16, and the full convention doubles it.
    same = solved(capsys, *words, "layernorm:norm=4", "--decay", "8e-2", "--convention", "mean-full")
    assert same["value"] == pytest.approx(found["value"], rel=1e-10)
    path = saved(tmp_path / "u.npz", np.eye(2), [100, 5])
    plain = solved(capsys, "--table", path, "--decay", "1e-2", "--head", "layernorm")
    assert plain["value"] == solved(capsys, "--counts", "100,5", "--decay", "1e-2", "--head", "layernorm")["value"]


def test_conventions_count_the_samples_of_a_table(tmp_path, capsys):
    path = saved(tmp_path / "t.npz", subsets(4, 2) / 2, [3] * 6)
    mean = solved(capsys, "--table", path, "--decay", "1e-2,1e-2")
    total = solved(capsys, "--table", path, "--decay", "0.18,0.18", "--convention", "sum-half")
    assert total["value"] == pytest.approx(mean["value"], rel=1e-12)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--decay", "1,1"], "not none"),
        (["--counts", "5,5", "--table", "t.csv", "--decay", "1,1"], "not --counts and --table"),
        (["--table", "missing.npz", "--decay", "1,1"], "No such file"),
        (["--table", "t.csv", "--decay", "1,1"], "sum 1.5"),
        (["--table", "t.csv", "--decay", "1,1", "--loss", "pal"], "0.5 in column 0"),
        (["--table", "t.csv", "--decay", "1,1", "--loss", "multitask:2,2"], "4 rows, and the table has 2"),
        (["--table", "t.csv", "--decay", "1,1", "--loss", "mse", "--head", "relu"], "does not go with a table"),
        (["--table", "t.csv", "--decay", "1,1", "--loss", "mse", "--head", "layernorm"], "no effect"),
        (["--table", "t.csv", "--budget", "1,1", "--loss", "mse", "--head", "layernorm"], "--decay LW"),
        (["--table", "t.csv", "--decay", "0", "--loss", "mse", "--head", "layernorm"], "finite positive number"),
        (["--table", "t.csv", "--loss", "mse", "--head", "cosine:scale=2"], "does not go with a table"),
        (["--table", "t.csv", "--decay", "1,1", "--loss", "mse", "--convention", "fang"], "not for a table"),
        (["--table", "t.csv", "--decay", "1,1", "--loss", "mse", "--method", "factored"], "the targets are a table"),
        (["--counts-file", "t.csv", "--decay", "1,1"], "in line 1"),
        (["--counts", "5,5", "--decay", "1,1", "--loss", "multitask:2,2"], "needs a table"),
    ],
)
def test_bad_tables_end_with_one_sentence(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("5,0.5,1\n9,1,0.25\n")
    assert outcome(app, "ufm", ["solve", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") <= 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv"]


def test_a_table_too_large_is_refused_with_an_estimate(tmp_path, capsys):
    table = ufm.TargetTable(np.random.default_rng(0).random((3000, 2000)), [1] * 2000)
    path = saved(tmp_path / "t.npz", table.columns, table.sizes)
    assert outcome(app, "ufm", ["solve", "--table", path, "--decay", "1,1", "--loss", "mse"]) == 2
    assert "would take some 1 GB" in capsys.readouterr().err
