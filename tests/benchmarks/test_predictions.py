"""The table of networks beside their prediction (docs/predictions.md has a long run of it)."""

import re
from pathlib import Path

import pytest

from benchmarks import normalised_networks, predictions
from benchmarks.predictions import COLUMNS, main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "predictions.md"


def test_a_short_run_prints_a_table(monkeypatch, capsys):
    monkeypatch.setattr(predictions, "RATIOS", (4,))
    monkeypatch.setattr(predictions, "DECAYS", ((1e-2, 1e-3),))
    monkeypatch.setattr(predictions, "SEEDS", (0,))
    main(2, 12)
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert tuple(lines[0]) == COLUMNS
    assert [line[0] for line in lines[2:]] == ["explicit", "deq"]
    for line in lines[2:]:
        predicted, measured, error = (float(line[COLUMNS.index(name)]) for name in ("cos predicted", "cos measured", "error"))
        assert error == pytest.approx(measured - predicted, abs=2e-3)
        assert float(line[COLUMNS.index("gap")]) > 0


def test_the_page_has_that_table():
    found = [
        line.strip("| ").split(" | ")
        for line in PAGE.read_text(encoding="utf-8").partition("## Features of a fixed norm")[0].splitlines()
        if re.match(r"\| (expl|deq|mod)", line)
    ]
    assert tuple(found[0]) == COLUMNS
    assert len(found) == 25
    assert {(line[0], line[1]) for line in found[1:]} == {
        (model, ratio) for model in ("explicit", "deq") for ratio in ("1", "10", "100")
    }


def test_the_page_has_the_table_of_fixed_norms():
    text = PAGE.read_text(encoding="utf-8").partition("## Features of a fixed norm")[2]
    found = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| (expl|deq|mod)", line)]
    assert tuple(found[0]) == normalised_networks.COLUMNS
    assert {tuple(line[:3]) for line in found[1:]} == {
        (model, f"{ratio:g}", f"{decay:g}")
        for model in normalised_networks.MODELS
        for ratio in normalised_networks.RATIOS
        for decay in normalised_networks.DECAYS
    }
    for line in found[1:]:
        predicted, measured, error, _, gap = (float(value) for value in line[4:9])
        assert error == pytest.approx(measured - predicted, abs=2e-3)
        assert gap > 0


def test_a_short_run_of_fixed_norms(monkeypatch, capsys):
    for name, value in (("RATIOS", (4,)), ("DECAYS", (1e-2,)), ("SEEDS", (0,)), ("MODELS", ("explicit",))):
        monkeypatch.setattr(normalised_networks, name, value)
    normalised_networks.main(2, 12)
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert tuple(lines[0]) == normalised_networks.COLUMNS
    (line,) = lines[2:]
    assert float(line[8]) > 0
