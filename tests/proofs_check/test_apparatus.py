"""The apparatus of every theorem: statement, kind, hypotheses, source, grid, controls, twins, limits, label of its proof."""

import re
from collections.abc import Iterator
from itertools import product

import pytest
from latex2mathml.converter import convert

from proofs_check.audit import AUDIT
from proofs_check.bibliography import PAPERS as SOURCES
from proofs_check.bibliography import UNKNOWN, bibtex
from proofs_check.judging import LEVELS, instances
from proofs_check.registry import Hypothesis, Kind, Proof, Theorem, all_theorems
from proofs_check.theorem import SLACK

BOOK = all_theorems()
BARE: set[str] = set()
"""Theorems that declare neither hypotheses that can be checked at an instance nor formulas that can be mutated."""
each = pytest.mark.parametrize("name", BOOK)
LATEX = re.compile(r"\$([^$]*)\$")


@each
def test_nothing_is_missing(name):
    claim = BOOK[name]
    assert claim.statement()
    assert isinstance(claim.kind, Kind)
    assert claim.kind.meaning
    assert claim.source.locator
    assert claim.source.key in SOURCES
    assert list(claim().grid())
    assert claim.required in LEVELS
    assert claim.slack == SLACK or len(claim.slack) > 20
    for part in ("check", "control", "twin", "outside"):
        assert getattr(claim, part) is not getattr(Theorem, part)
    assert claim.proof() in Proof
    assert not (claim.proof() is Proof.NONE and claim.open_steps), "what is left open belongs to a proof in part"


@each
def test_statements_are_typeset(name):
    """Every formula of the docstring and of the steps becomes MathML; nothing of LaTeX is left over."""
    claim = BOOK[name]
    texts = [*claim.paragraphs(), *(h.text for h in claim.hypotheses), claim.open_steps, *(n for n, _ in claim().steps())]
    for text in texts:
        assert text.count("$") % 2 == 0, text
        for latex in LATEX.findall(text):
            made = convert(" ".join(latex.split()))
            assert "\\" not in made, latex
            assert made.startswith("<math")


def moved(instance) -> Iterator:
    """Instances with one or two fields changed: numbers to others, sizes to single or empty ones."""
    if not hasattr(instance, "_fields"):
        yield from (("5", *instance[1:]), (*instance[:-1], -1.0))
        return
    changes = []
    for field, value in instance._asdict().items():
        others = []
        if isinstance(value, bool) or value is None:
            others = [-1.0]
        elif isinstance(value, int | float):
            others = [0, -1, 1, 2, 3, 9, 1e6, 0.5, 1.01 * value, 1.5]
        elif isinstance(value, str):
            others = ["5", "180*2,10*3", "4000*1,1000*4", "10*5"]
        elif isinstance(value, tuple) and value:
            others = [(), (0,), (5,), tuple(reversed(value)), (5, 5, 5, 5), value[:1] * 2, (-1,) * len(value)]
        changes += [(field, other) for other in others]
    for (one, a), (two, b) in product(changes, repeat=2):
        yield instance._replace(**{one: a} | ({} if one == two else {two: b}))


@each
def test_hypotheses_hold_on_the_grid_and_say_what_fails_elsewhere(name):
    """All hold on the grid; each can fail, and its text is what `fails` returns."""
    claim = BOOK[name]
    assert bool(claim.hypotheses) == (name not in BARE)
    for instance in instances(claim(), "full"):
        assert claim.fails(instance) == []
    for hypothesis in claim.hypotheses:
        grid = list(claim().grid())
        assert any(hypothesis.text in claim.fails(other) for instance in grid for other in moved(instance)), hypothesis.text


def test_a_hypothesis_that_cannot_be_evaluated_is_not_satisfied():
    guard = Hypothesis("a positive number", lambda p: p.value > 0)
    toy = type("Toy", (BOOK["F1"],), {"hypotheses": (guard,)})
    assert toy.fails(object()) == ["a positive number"]


@each
def test_formulas_that_are_declared_exist(name):
    import inspect

    from proofs_check.mutants import mutants_of
    from proofs_check.mutation import targets

    claim = BOOK[name]
    assert bool(claim.formulas) == (name not in BARE)
    for module, path in targets(claim):
        assert mutants_of(inspect.getsource(module), path)


def test_bibliography():
    keys = [claim.source.key for claim in BOOK.values()]
    text = bibtex(keys)
    assert text.count("\n@") + 1 == len(set(keys))
    assert text.count("{") == text.count("}")
    for key in set(keys):
        fields = SOURCES[key].fields
        assert fields["author"]
        assert fields["title"]
        assert key == "here" or fields.get("eprint") or fields.get("doi")
    assert str(BOOK["F1"].source).endswith(f"({UNKNOWN})")
    assert BOOK["X6"].source.locator == "Theorem 4.1"


def test_the_audit_maps_all_claims_of_the_paper():
    """S1 to S4 in order; D1 to D9 all appear, and nothing that does not exist."""
    assert [claim.id for claim in AUDIT] == ["S1", "S2", "S3", "S4"]
    named = [identifier for claim in AUDIT for identifier, _ in claim.details]
    assert set(named) - {"measured"} == {f"D{k}" for k in range(1, 10)}
    assert all(identifier in BOOK for identifier in named if identifier != "measured")
    for claim in AUDIT:
        for text in (claim.claim, claim.finding, *(t for _, t in claim.details)):
            assert text.count("$") % 2 == 0


def test_numbers_of_the_audit_are_those_of_the_theorems():
    """The values of the ETF and of the pair code that the audit quotes, recomputed."""
    told = {key: text for claim in AUDIT for key, text in claim.details}
    d5, d6 = BOOK["D5"](), BOOK["D6"]()
    p = next(p for p in d5.grid() if p.budget == 0.3)
    for value in (d5.etf(p).upper, d5.pair(p).upper):
        assert f"{value:.4f}" in told["D5"]
    q = d6.grid()[0]
    for rank in (9, 5):
        assert f"{d6.code(q, rank).upper:.4f}" in told["D6"]


def test_the_measured_comparison_is_that_of_the_table():
    from pathlib import Path

    text = (Path(__file__).resolve().parents[2] / "docs" / "deq-against-explicit.md").read_text(encoding="utf-8")
    pairs = re.findall(
        r"objective above the certified bound: the DEQ is better in (\d+) of (\d+) settings, the explicit network in (\d+)",
        text,
    )
    wins, settings = sum(int(c) for *_, c in pairs), sum(int(b) for _, b, _ in pairs)
    assert f"{wins} of {settings}" in dict(AUDIT[1].details)["measured"]
