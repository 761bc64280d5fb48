"""Mutation of the book's formulas: what is changed, what a check notices, and which survivors are explained."""

from __future__ import annotations

import ast
from importlib import import_module

import pytest
from rich.console import Console

from proofs_check import mutation, mutation_command
from proofs_check.equivalents import EQUIVALENT
from proofs_check.mutants import mutants_of
from proofs_check.mutation import FATES, Fate, Score, mutate, targets
from proofs_check.registry import all_theorems
from proofs_check.selection import select
from ufm.errors import RunError

BOOK = all_theorems()
FORMULA = '''
def value(p, wrong=False, shift=0):
    """A formula."""
    k, mu = p.classes, p.mu
    if wrong:
        mu = mu + 1
    margin = 2 * k
    total = sum(n for n in range(3))
    a = (k - 1) ** 2 * mu.sqrt() + shift
    b = 7 if wrong else p.majority / 3.0
    if k <= p.bound:
        a = -a
    return solve(a, b, tolerance=1e-9, what=f"{k + 1}")
'''


def changes(source, path="value"):
    return {(m.sort, m.before, m.after) for m in mutants_of(source, path)}


def test_every_sort_of_wrong_formula_is_made():
    found = changes(FORMULA)
    assert ("sign", "k - 1", "k + 1") in found
    assert ("sign", "-a", "a") in found
    assert ("factor", "(k - 1) ** 2 * mu.sqrt()", "(k - 1) ** 2 / mu.sqrt()") in found
    assert ("factor", "3.0", "6.0") in found
    assert ("exponent", "(k - 1) ** 2", "(k - 1) ** (2 + 1)") in found
    assert ("exponent", "mu.sqrt()", "mu") in found
    assert {("off by one", "k", "k - 1"), ("off by one", "k", "k + 1"), ("off by one", "1", "2")} <= found
    assert ("exchange", "p.majority", "p.minority") in found
    assert ("convention", "mu", "2 * mu") in found
    assert ("condition", "k <= p.bound", "k > p.bound") in found


def test_what_is_no_formula_is_left_alone():
    """Texts, tolerances, numbers of iterations, what is printed, and what only wrong versions of the claim use."""
    found = changes(FORMULA)
    befores = {before for _, before, _ in found}
    assert not befores & {"mu + 1", "7", "2 * k", "1e-09", "(k - 1) ** 2 * mu.sqrt() + shift"}
    assert not any("range" in before or "A formula" in before for before in befores)
    assert all(
        sort in ("sign", "factor", "exponent", "off by one", "exchange", "convention", "condition") for sort, *_ in found
    )


def test_each_mutant_differs_in_one_place_and_can_be_compiled():
    original = ast.unparse(ast.parse(FORMULA)).splitlines()
    texts = set()
    for mutant in mutants_of(FORMULA, "value"):
        text = ast.unparse(mutant.tree())
        compile(mutant.tree(), "mutant", "exec")
        changed = [(a, b) for a, b in zip(original, text.splitlines(), strict=True) if a != b]
        assert len(changed) == 1
        texts.add(text)
    assert len(texts) == len(mutants_of(FORMULA, "value"))


def test_there_is_no_mutant_of_a_function_that_does_not_exist():
    with pytest.raises(KeyError, match="nothing"):
        mutants_of(FORMULA, "nothing")


@pytest.mark.parametrize("name", ["F1", "D2", "X9"])
def test_checks_reject_wrong_formulas(name):
    fates = mutate(BOOK[name])
    assert len(fates) >= 20
    assert [f for f in fates if not f.rejected] == []
    assert sum(f.fate == "violated" for f in fates) >= 0.9 * len(fates)


def test_the_theorem_itself_is_left_as_it_was():
    module = import_module(BOOK["F1"].__module__)
    before = module.etf_value(10, 1.0, 5.0)
    mutate(BOOK["F1"], "float")
    assert import_module(BOOK["F1"].__module__) is module
    assert module.etf_value(10, 1.0, 5.0) == before
    assert BOOK["F1"] is all_theorems()["F1"]


def test_a_check_that_looks_away_does_not_reject(monkeypatch):
    """The same mutants survive a check that compares nothing but a constant."""
    monkeypatch.setattr(mutation, "_noticed", lambda findings: "")
    fates = mutate(BOOK["X9"], "float")
    assert {f.fate for f in fates} <= {"survives", "raises"}
    assert Score.of(fates, 0.0).share < 0.5


def test_a_check_that_rejects_everything_is_not_scored(monkeypatch):
    """A check that fails on the formula as it is would reject every mutant, and prove nothing."""
    monkeypatch.setattr(mutation, "_noticed", lambda findings: "violated")
    with pytest.raises(RunError, match="the check of X9 does not hold for the formula as it is"):
        mutate(BOOK["X9"], "float")
    with pytest.raises(RunError, match="the box of X1 does not hold"):
        mutation.of_box("X1")


def test_survivors_that_are_explained_exist():
    """Every explained mutant is made, so that no reason outlives its formula."""
    import inspect

    for (name, change), reason in EQUIVALENT.items():
        made = {m.name for module, path in targets(BOOK[name]) for m in mutants_of(inspect.getsource(module), path)}
        assert change in made, (name, change)
        assert len(reason) > 10


def test_score():
    fates = [Fate("F1", "x", "sign", 1, fate) for fate in FATES]
    score = Score.of(fates, 0.0)
    assert score.total == len(FATES)
    assert score.rejected == 3
    assert score.share == pytest.approx(3 / 5)  # of six, one is equivalent
    assert Score.of([], 0.0).share == 1.0


def test_the_command_prints_the_share_and_survivors(monkeypatch):
    console = Console(record=True, width=200)
    assert mutation_command.run(console, select(["F2"]), level="float", jobs=1, json=None) is True
    assert "The checks reject 4 of 4 wrong formulas (100.0%)" in console.export_text()
    monkeypatch.setattr(mutation_command, "mutate", lambda *_: [Fate("F2", "f: a -> b", "sign", 3, "survives")])
    assert mutation_command.run(console, select(["F2"]), level="float", jobs=1, json=None) is False
    assert "F2 survives: f: a -> b (sign, line 3)" in console.export_text()
