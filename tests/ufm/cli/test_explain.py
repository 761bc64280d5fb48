"""The glossary has whatever the commands print, and docs/glossary.md is what it says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import ufm
from ufm.cli import outcome
from ufm.cli.commands import app
from ufm.glossary import GLOSSARY, explained, markdown, names
from ufm.solvers import METHODS, Status
from ufm.sweep.tasks import TASKS
from ufm.training import Settings, run

ROOT = Path(__file__).parents[3]
TERMS = [term for terms in GLOSSARY.values() for term in terms]
DECAY = ["--decay", "5e-3,5e-3"]
JUMP = "deq:decay=0.1,contraction=0.5"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A finished run of a small equilibrium network, and what its file says."""
    folder = tmp_path_factory.mktemp("run")
    return folder, run(Settings(epochs=1, width=10, largest=20, ratio=4), folder)


def answer(capsys, *words):
    assert outcome(app, "ufm", [*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def rows(capsys, *words):
    """The names in the first column of the table that a command prints."""
    assert outcome(app, "ufm", words) == 0
    lines = capsys.readouterr().out.splitlines()
    return [name for line in lines if line.startswith("│") and (name := line.split("│")[1].strip())]


def test_the_page_is_up_to_date():
    assert (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8") == markdown(), (
        "run: python -m ufm.glossary > docs/glossary.md"
    )


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_every_term_is_one_or_two_sentences_and_its_source_exists(term):
    assert term.meaning[0].isupper() or term.meaning[0].isdigit()
    assert term.meaning.endswith(".")
    assert explained(term.name) is term
    assert missing(term.source) == []
    for name in term.also:
        assert explained(name).name


def missing(source):
    """Files of this project that a source names and that do not exist, and sections of them that are not there."""
    found = []
    for file, section in re.findall(r"((?:[\w.-]+/)+[\w.-]*|\w+\.md)(?:, section ([^;]+))?", source):
        path = ROOT / file
        if not path.exists():
            found.append(file)
        elif section and not re.search(rf"^#+ {re.escape(section)}$", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            found.append(f"{file}, section {section}")
    return found


def test_sources_that_do_not_exist_are_noticed():
    assert missing("docs/solvers.md, section What each one is for; ufm/metrics; Zhu et al., arXiv 2105.02375, 2021") == []
    wrong = "README.md, section What each one is for"
    assert missing(f"docs/none.md; NONE.md; {wrong}") == ["docs/none.md", "NONE.md", wrong]
    named = [term.name for term in TERMS if "section" in term.source]
    assert {"method", "head"} <= {*named}


def test_no_name_is_explained_twice():
    every = [name for term in TERMS for name in (term.name, *term.also)]
    assert sorted({name for name in every if every.count(name) > 1}) == []


def test_metrics_are_explained():
    solution = ufm.solve(ufm.Problem([9, 9, 3, 3], regularizer=ufm.WeightDecay(5e-3, 5e-3)))
    frame = ufm.simplex_etf(3)
    measured = ufm.measure(np.repeat(frame, 2, axis=0), [0, 0, 1, 1, 2, 2], weight=frame)
    for name in {*ufm.geometry(solution), *measured}:
        assert explained(name).name == name
        assert explained(name).formula


def test_every_json_key_is_explained(capsys, network, tmp_path):
    folder, described = network
    solved = answer(capsys, "solve", "--counts", "9*3", *DECAY, "--head", "explicit:2", "--save", str(tmp_path / "c.json"))
    measured = answer(capsys, "measure", str(folder / "run.npz"), "--predict", "--decay", "1e-2,1e-4")
    tail = answer(capsys, "measure", str(folder / "run.npz"), "--groups", "all=0+")
    found = [
        solved, solved["groups"][0], solved["candidates"][0], solved["metrics"],
        answer(capsys, "threshold", "--classes", "5,5", "--budget", "1,5"),
        (advice := answer(capsys, "advise", "--counts", "90*2,9*2,5", *DECAY)), advice["remedies"][0],
        advice["remedies"][0]["groups"][0], advice["remedies"][0]["ranges"][0],
        answer(capsys, "recheck", str(tmp_path / "c.json")),
        *tail["ranges"], measured, described, described["results"], described["controls"], described["prediction"],
    ]  # fmt: skip
    for keys in found:
        for name in keys:
            assert explained(name).meaning, name
    for name in described["controls"]:
        assert explained(f"control: {name}").name == f"control: {name}"
    for task in TASKS.values():
        for name in task.results:
            assert explained(name).meaning, name


def test_every_row_of_a_table_is_explained(capsys, network, tmp_path):
    folder, described = network
    settings = described["settings"]
    trained = ["train", "--out", str(folder), "--epochs", "1", "--width", "10", "--largest", "20", "--ratio", "4"]
    saved = str(tmp_path / "c.json")
    found = [
        *rows(capsys, "solve", "--counts", "9*4", *DECAY, "--head", "explicit:2", "--save", saved),
        *rows(capsys, "threshold", "--classes", "5,5", "--budget", "1,5"),
        *rows(capsys, "threshold", "--classes", "5,5", *DECAY, "--minority-count", "9", "--head", JUMP),
        *rows(capsys, "recheck", saved),
        *rows(capsys, "measure", str(folder / "run.npz"), "--predict", "--decay", "1e-2,1e-4"),
        *rows(capsys, *trained),
    ]  # fmt: skip
    assert settings["width"] == 10
    assert {"gap", "nc4", "control: moved", "critical ratio", "verdict", "certified lower bound (float)"} <= {*found}
    for name in found:
        assert explained(name).meaning, name


def test_values_are_explained():
    for status in Status:
        assert explained(status.name).name == status.name.lower()
    for name in (*METHODS, "yes", "no", "undecided", "continuous", "jump", "numeric", "float", "rigorous"):
        assert name in explained(name).also


def test_explaining_on_the_command_line(capsys):
    for words in (["nc1"], ["NC1"], ["nc1", "(zhu)"]):
        assert outcome(app, "ufm", ["explain", *words]) == 0
        said = capsys.readouterr()
        assert "tr(Sigma_W Sigma_B^+) / K" in said.out
        assert said.err == ""
    assert answer(capsys, "explain", "control:", "moved")["name"] == "control: moved"
    assert answer(capsys, "explain", "theory_nc3")["name"] == "theory"
    found = answer(capsys, "explain")["terms"]
    assert [term["name"] for term in found] == names()
    assert set(found[0]) == {"name", "meaning", "formula", "range", "source", "also", "section"}
    assert outcome(app, "ufm", ["explain"]) == 0
    shown = capsys.readouterr().out
    assert all(f"│ {name} " in shown for name in names())


@pytest.mark.parametrize(
    ("word", "close"),
    [
        ("nc11", "nc1"),
        ("cos_minorty", "cos_minority"),
        ("spectral", "control: spectral_radius"),
        ("zzzz", "ufm explain"),
        (" ", "ufm explain"),
    ],
)
def test_unknown_terms_are_one_sentence_with_close_ones(word, close, capsys):
    assert outcome(app, "ufm", ["explain", word]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert close in said.err


def test_places_that_texts_point_to_exist():
    """Every `ufm explain TERM` in the code is a term."""
    found = set()
    for path in (ROOT / "ufm").rglob("*.py"):
        found |= set(re.findall(r"'ufm explain (\w+)'", path.read_text()))
    assert {"convention", "method"} <= found
    for word in found:
        assert explained(word).name == word
