"""Ranges of class sizes: near-coincidence of neighbours against brute force, and ranges as text."""

import json
from itertools import pairwise
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm
from ufm.analysis.size_ranges import NEAR
from ufm.targets.size_ranges import parse_ranges

DECAY = ufm.WeightDecay(2.5e-3, 2.5e-3)


def brute_force(solution, classes):
    """Largest contrast of neighbours, mean cosine and least cosine of neighbours, from K x K arrays."""
    weight, logits = solution.parameters.weight, solution.parameters.logits
    unit = weight / np.linalg.norm(weight, axis=1)[:, None]
    table = unit @ unit.T
    order = sorted(classes, key=lambda k: -list(solution.problem.counts)[k])
    near = list(pairwise(order))
    contrasts = [(logits[j, j] - logits[k, j] + logits[k, k] - logits[j, k]) / 2 for j, k in near]
    pairs = [table[j, k] for j in order for k in order if j != k]
    return max(contrasts), np.mean(pairs), min(table[j, k] for j, k in near)


@pytest.mark.parametrize("counts", ["500,300,120,90,60,41,22,19,12,9,7,5", "300*3,150*2,90,50*4,12*2,9"])
@pytest.mark.parametrize(
    "model",
    [
        {},
        {"head": "deq:rho=0.3"},
        *({"loss": loss} for loss in ("ce:weights=0.5", "ce:adjustment=1,smoothing=0.1", "bce")),
    ],
)
def test_ranges_are_those_of_brute_force(counts, model):
    problem = ufm.Problem(counts, regularizer=DECAY, **model)
    solution = ufm.solve(problem)
    found = ufm.collapse(solution).ranges
    assert [part.name for part in found] == ["many", "medium", "few"]
    ends = {"many": (101, inf), "medium": (20, 100), "few": (1, 19)}
    norms = np.linalg.norm(solution.parameters.weight, axis=1)
    for part in found:
        sizes = list(problem.counts)
        classes = [k for k, n in enumerate(sizes) if ends[part.name][0] <= n <= ends[part.name][1]]
        contrast, mean, least = brute_force(solution, classes)
        assert (part.smallest, part.largest) == (min(sizes[k] for k in classes), max(sizes[k] for k in classes))
        assert part.classes == len(classes)
        # Solution and optimum differ by less than the enclosure allows.
        assert part.lower - 1e-3 <= contrast <= part.upper + 1e-3
        assert part.upper - part.lower < 0.02
        assert part.verdict == ("yes" if contrast <= NEAR else "no")
        assert part.cosine == pytest.approx(mean, abs=1e-9)
        assert part.neighbours == pytest.approx(least, abs=1e-9)
        assert part.norm == pytest.approx(norms[classes].mean() / norms[0], rel=1e-9)


def test_a_tail_nearly_collapses_as_decay_grows():
    """Classes below the critical size of equal classes, (N mu)^2, nearly coincide here; far above they do not."""
    counts = ufm.long_tailed(20, largest=500, ratio=100)
    for mu, verdict in ((1e-4, "no"), (2.5e-3, "yes")):
        few = ufm.collapse(ufm.solve(ufm.Problem(counts, regularizer=ufm.WeightDecay(mu, mu)))).ranges[-1]
        assert (few.largest < 0.6 * (counts.total * mu) ** 2) == (verdict == "yes")
        assert few.verdict == verdict


def test_own_ranges_and_defaults():
    step = ufm.solve(ufm.Problem("800*5,100*5", regularizer=DECAY))
    assert ufm.collapse(step).ranges == ()
    three = ufm.collapse(ufm.solve(ufm.Problem("300,50,10", regularizer=DECAY))).ranges
    assert [(part.name, part.classes) for part in three] == [("many", 1), ("medium", 1), ("few", 1)]
    (small, large) = ufm.collapse(step, groups="small=-101,large=100+").ranges
    assert (small.name, small.classes, small.verdict) == ("small", 5, "yes")
    assert (large.name, large.classes, large.verdict) == ("large", 5, "no")
    groups = {g.size: g for g in ufm.collapse(step).groups}
    assert (small.lower, small.upper) == (groups[100].lower, groups[100].upper)
    assert ufm.collapse(step, groups={"all": "1-1000", "none": "2000+"}).ranges[0].classes == 10
    (single,) = ufm.collapse(ufm.solve(ufm.Problem("30,20,10", regularizer=DECAY)), groups="top=20+").ranges
    assert (single.classes, single.verdict, single.cosine, single.upper) == (1, "no", None, inf)


def test_ranges_that_are_not_enclosed_are_undecided():
    for options in ({"head": "explicit:2"}, {"loss": "focal"}, {"loss": "ce:temperatures=1"}, {"head": "relu"}):
        solution = ufm.solve(ufm.Problem("90,60,30,8", regularizer=ufm.WeightDecay(5e-3, 5e-3), **options))
        (part,) = ufm.collapse(solution, groups="all=0+").ranges
        assert (part.verdict, part.lower, part.upper) == ("undecided", 0, inf)
        unit = solution.parameters.weight / np.linalg.norm(solution.parameters.weight, axis=1)[:, None]
        if part.cosine is not None:
            assert part.cosine == pytest.approx(np.sum(np.triu(unit @ unit.T, 1)) / 6, abs=1e-7)
        assert json.loads(json.dumps(part.to_dict()))["upper"] is None
        with pytest.raises(TypeError, match="three values"):
            bool(part)


def test_reports_have_ranges():
    solution = ufm.solve(ufm.Problem(ufm.long_tailed(20, largest=500, ratio=100), regularizer=DECAY))
    report = ufm.report(solution)
    plain = report.to_dict()["ranges"]
    assert [(part["name"], part["collapsed"]) for part in plain] == [("many", "no"), ("medium", "no"), ("few", "yes")]
    assert "few: nearly collapsed: 6 classes of 5 to 17 samples" in " ".join(value for _, value in report.rows)
    assert [part["name"] for part in ufm.report(solution, groups="a=50+").to_dict()["ranges"]] == ["a"]
    assert ufm.collapse(solution).to_dict()["ranges"][2]["verdict"] == "yes"


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_ranges_as_text(a, b, size):
    low, high = min(a, b), max(a, b)
    above, between, below = parse_ranges(f"x={high}+, y = {low}-{high} ,z=-{low + 1}")
    assert above.has(size) == (size > high)
    assert between.has(size) == (low <= size <= high)
    assert below.has(size) == (size < low + 1)


@pytest.mark.parametrize(
    "value", ["", "many", "a=5", "a=5-", "a=9-3", "a=-1", "=5+", "a=1+,a=2+", "a=1.5+", 3, {"a": "x"}, {"a": 5}]
)
def test_bad_ranges(value):
    with pytest.raises(ufm.InputError, match=r"^groups [^\n]+$"):
        parse_ranges(value)
