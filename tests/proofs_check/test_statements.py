"""Every part of every theorem by itself: the claim on its grid, its proof steps, controls, twins, and what lies outside."""

import pytest

import ufm
from proofs_check.enclosure import Outcome
from proofs_check.registry import all_theorems
from tests.proofs_check.remembered import prepare, sound

BOOK = all_theorems()
INSTANCES = [(name, k) for name, claim in BOOK.items() for k in range(len(list(claim().grid())))]
each = pytest.mark.parametrize("name", BOOK)
levels = pytest.mark.parametrize("level", ["float", "rigorous"])
NUMERIC = {"D8"}
"""Theorems with no finding above the level "numeric", in which thresholds in float64 do count."""


def budget(problem):
    return isinstance(problem.regularizer, ufm.NormBudget)


def decay(problem):
    return isinstance(problem.regularizer, ufm.WeightDecay)


def plain(problem):
    return problem.loss == ufm.CrossEntropy() and problem.head == ufm.Explicit()


def balanced(problem):
    return len(problem.counts.groups) == 1


def with_head(*kinds):
    return lambda p: p.loss == ufm.CrossEntropy() and isinstance(p.head, kinds)


def squared(problem):
    return decay(problem) and problem.loss == ufm.SquaredError() and isinstance(problem.head, ufm.Explicit)


def biased(problem):
    return squared(problem) and problem.head.layers == 1 and problem.regularizer.bias is not None


def both(*parts):
    return lambda problem: all(part(problem) for part in parts)


def tabular(problem):
    return problem.tabular


def with_loss(*kinds):
    return lambda p: isinstance(p.loss, kinds) and p.head == ufm.Explicit()


LAYERS = with_head(ufm.Explicit)
LINEAR = with_head(ufm.Explicit, ufm.LinearDEQ)
SETTING = {
    "F1": both(budget, plain, balanced),
    "F2": both(budget, plain),
    "F3": both(budget, plain),
    "F4": lambda p: p.head == ufm.Explicit(),
    "F5": plain,
    "H1": both(decay, plain),
    "H2": decay,
    "H3": both(decay, plain),
    "H4": both(decay, plain),
    "L": lambda p: isinstance(p.regularizer, ufm.NoDecay) and isinstance(p.head, ufm.Cosine),
    "Z1": both(decay, LAYERS, balanced),
    "Z2": both(decay, plain),
    "M1": biased,
    "M3": both(squared, lambda p: sum(m for m, _ in p.counts.groups) == 2 and p.head.layers > 1),
    "B1": squared,
    "B2": squared,
    "E1": both(decay, with_head(ufm.ReLU, ufm.Explicit)),
    "G1": both(decay, LAYERS, balanced),
    "Y": both(budget, with_head(ufm.FixedETF, ufm.Explicit)),
    "D1": LINEAR,
    "D2": both(budget, balanced, with_head(ufm.LinearDEQ)),
    "D3": both(budget, with_head(ufm.LinearDEQ)),
    "D4": LINEAR,
    "D5": both(budget, balanced, with_head(ufm.FrobeniusDEQ, ufm.LinearDEQ)),
    "D6": both(budget, balanced, LAYERS),
    "D7": both(decay, with_head(ufm.DecayedDEQ)),
    "D8": both(decay, with_head(ufm.DecayedDEQ, ufm.Explicit)),
    "D9": with_head(ufm.LinearDEQ),
    "X1": lambda p: decay(p) and isinstance(p.loss, ufm.CrossEntropy),
    "X2": decay,
    "X3": lambda p: isinstance(p.regularizer, ufm.ClassifierDecay) and isinstance(p.head, ufm.LayerNorm),
    "LN": lambda p: isinstance(p.regularizer, ufm.ClassifierDecay) and isinstance(p.head, ufm.LayerNorm),
    "X16": lambda p: isinstance(p.regularizer, ufm.NoDecay) and isinstance(p.head, ufm.Cosine),
    "X9": lambda p: decay(p) and isinstance(p.loss, ufm.CrossEntropy),
    "X4": both(decay, with_loss(ufm.CrossEntropy, ufm.PickAllLabels)),
    "X5": both(decay, tabular, with_loss(ufm.CrossEntropy)),
    "X6": both(squared, tabular),
    "X7": squared,
    "X8": both(decay, with_loss(ufm.PickAllLabels, ufm.CrossEntropy)),
    "X12": both(decay, tabular, with_loss(ufm.MultiTask)),
    "X10": lambda _: False,  # no model over logits is solved
    "X11": lambda _: False,
    "X13": lambda _: False,
    "X14": lambda _: False,
    "X15": both(decay, plain, balanced),
}
"""What the problems of a theorem have in common, also those outside its hypotheses."""


def start(monkeypatch, name, level):
    prepare(monkeypatch, "float" if name in NUMERIC else level, SETTING[name])


@pytest.mark.parametrize(("name", "k"), INSTANCES)
@levels
def test_claim(monkeypatch, name, k, level):
    start(monkeypatch, name, level)
    claim = BOOK[name]()
    findings = list(claim.check(list(claim.grid())[k], level))
    assert findings
    for finding in findings:
        sound(finding, level)
        assert finding.outcome is Outcome.HOLDS, finding


@each
def test_steps(name):
    steps = list(BOOK[name]().steps())
    for what, truth in steps:
        assert type(what) is str
        assert bool(truth) is True, what


@each
@levels
@pytest.mark.parametrize(("part", "expected"), [("control", "violated"), ("twin", "holds"), ("outside", "holds")])
def test_parts(monkeypatch, name, level, part, expected):
    start(monkeypatch, name, level)
    findings = list(getattr(BOOK[name](), part)(level))
    assert findings
    for finding in findings:
        sound(finding, level)
        assert finding.outcome.value == expected, finding
