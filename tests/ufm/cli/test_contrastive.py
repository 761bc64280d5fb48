"""The command ``ufm contrastive``: JSON alone on stdout, tables, thresholds, and one sentence for every bad line."""

import json

import pytest

import ufm
from ufm.cli import outcome
from ufm.cli.commands import app
from ufm.glossary import explained


def run(capsys, *words):
    code = outcome(app, "ufm", ["contrastive", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_json_is_what_the_library_says(capsys, tmp_path):
    path = tmp_path / "sizes.txt"
    path.write_text("50\n" * 5 + "10\n" * 5)
    found = ufm.solve_contrastive("50*5,10*5", temperature=0.5, level="rigorous").to_dict()
    for source in (["--counts", "50*5,10*5"], ["--counts-file", str(path)]):
        code, out, err = run(capsys, *source, "--temperature", "0.5", "--level", "rigorous", "--json")
        assert (code, err) == (0, "")
        answer = json.loads(out)
        assert answer.pop("seconds") >= 0
        assert answer == found
    for name in (*found, *found["groups"][0]):
        assert explained(name).meaning, name


def test_the_table_names_what_the_glossary_explains(capsys):
    code, out, _ = run(capsys, "--counts", "50*5,10*5", "--temperature", "0.5", "--nonnegative")
    assert code == 0
    assert "orthogonal frame" in out
    rows = [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")]
    assert len(rows) == 8
    for name in rows:
        assert explained(name).meaning


def test_thresholds(capsys):
    code, out, _ = run(capsys, "--threshold", "--classes", "1,4", "--temperature", "1", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["lower"] <= answer["value"] <= answer["upper"] < answer["lower"] + 1e-8
    assert round(answer["value"], 5) == 48.64548
    code, out, _ = run(capsys, "--threshold", "--classes", "1,4", "--temperature", "1")
    assert "48.64547" in out
    code, out, _ = run(capsys, "--threshold", "--classes", "5,5", "--temperature", "0.5", "--json")
    answer = json.loads(out)
    assert (code, answer["value"]) == (0, None)
    assert "no ratio" in answer["note"]
    code, out, _ = run(capsys, "--threshold", "--classes", "5,5", "--temperature", "0.5")
    assert "none (rigorous)" in out


@pytest.mark.parametrize(
    "line",
    [
        "--temperature 1", "--counts 5,5", "--counts 5,x --temperature 1", "--counts 5,5 --temperature nan",
        "--counts 5,5 --temperature 0", "--counts 5 --temperature 1", "--counts 5,5 --counts-file f --temperature 1",
        "--counts 5,5 --classes 1,4 --temperature 1", "--threshold --temperature 1", "--threshold --classes 4 --temperature 1",
        "--threshold --classes 1,4 --counts 5,5 --temperature 1", "--threshold --classes 1,4 --nonnegative --temperature 1",
        "--counts 5,5 --temperature 1 --level exact", "--counts-file nowhere --temperature 1",
    ],
)  # fmt: skip
def test_bad_lines_are_one_sentence(capsys, line):
    code, out, err = run(capsys, *line.split(), "--json")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert len(err) < 500
