"""Advice: who collapses under each remedy, against the law, the certified solver and closed forms."""

import json
from time import perf_counter

import pytest

import ufm
from ufm.analysis.advice import BETA, MANY_SIZES, NOT_COVERED, place, rounded

DECAY = ufm.WeightDecay(2.5e-3, 2.5e-3)
FIRST = {
    "none": ("minority", 7.0),
    "class weights 1/sqrt(n)": ("both", 49.0),
    "class weights 1/n": ("majority", 16.0),
    "logit adjustment": ("minority", 7.0),
    "temperatures (n/n_max)^1/2": ("minority", 3.3626425749441524),
    "label smoothing 0.1": ("minority", 6.2),
    "less decay": ("minority", 15.0),
    "equilibrium, rho 0.5": ("minority", 15.0),
}


def collapsed(ratio):
    """The table of docs/theory after Proposition 7.13, read at a ratio."""
    return {name: first if ratio >= critical else "none" for name, (first, critical) in FIRST.items()}


@pytest.mark.parametrize("ratio", [2, 5, 10, 17, 49.5])
def test_the_side_of_each_remedy_is_that_of_the_theory(ratio):
    advice = ufm.advise(f"{round(100 * ratio)}*5,100*5", regularizer=DECAY)
    for name, side in collapsed(ratio).items():
        row = advice[name]
        if name == "less decay":
            # Half of the critical decay, so that nothing is collapsed.
            assert row.collapses == "none"
            assert row.ratio.value > ratio
            continue
        assert row.collapses == side, name
        assert row.first == FIRST[name][0]
        assert row.ratio.value == pytest.approx(FIRST[name][1], abs=1e-9)
        assert row.ratio.group == FIRST[name][0]
    balanced = advice["balanced sampling"]
    assert balanced.first == "all"
    # K sqrt(n) mu >= 1 (docs/theory, Proposition 3.5).
    assert (balanced.collapses == "all") == (10 * (100 * ratio) ** 0.5 * 2.5e-3 >= 1)
    if balanced.collapses == "none":
        assert balanced.cos_minority == pytest.approx(-1 / 9, abs=1e-6)
        assert balanced.norm_ratio == pytest.approx(1)
    assert balanced.ratio is None


@pytest.mark.parametrize("counts", ["500*5,100*5", "1700*5,100*5", "300*3,80*2,20*4"])
@pytest.mark.parametrize("head", ["explicit", "deq:rho=0.25"])
def test_the_certified_solver_agrees_with_every_row(counts, head):
    advice = ufm.advise(counts, regularizer=DECAY, head=head, level="rigorous")
    for row in advice.remedies:
        problem = ufm.Problem(row.counts, regularizer=row.regularizer, loss=row.loss, head=row.head)
        found = {g.size: g for g in ufm.collapse(ufm.solve(problem)).groups}
        assert row.level == "rigorous"
        assert (row.status in ("optimal", "zero")) and row.gap < 1e-6  # noqa: PT018
        for group in row.groups:
            assert group.lower <= group.upper <= group.lower * (1 + 1e-14)
            assert found[group.size].verdict == group.collapsed, (row.name, group)
        assert [g.size for g in row.groups] == list(found)


def test_critical_decays_separate_groups():
    """Just below the critical decay of a group it is separated, just above collapsed."""
    row = ufm.advise("300*3,80*2,20*4", regularizer=DECAY)["class weights 1/n"]
    for group in row.groups:
        for side, verdict in ((0.999, "no"), (1.001, "yes")):
            decay = ufm.WeightDecay(side * group.lower, side * group.lower)
            advice = ufm.advise(row.counts, regularizer=decay)["class weights 1/n"]
            assert {g.size: g.collapsed for g in advice.groups}[group.size] == verdict


def test_less_decay_separates_and_geometry_is_that_of_the_optimum():
    advice = ufm.advise("1700*5,100*5", regularizer=DECAY)
    none, less = advice["none"], advice["less decay"]
    assert less.regularizer.mu == pytest.approx(0.5 * none.groups[1].lower)
    assert (none.cos_minority, none.collapses, less.collapses) == (None, "minority", "none")
    assert "the smallest classifiers are zero" in none.words
    assert less.cos_minority < 0.5
    solution = ufm.solve(ufm.Problem("1700*5,100*5", regularizer=DECAY, loss=ufm.CrossEntropy(weights=1.0)))
    shown = ufm.geometry(solution)
    row = advice["class weights 1/n"]
    assert row.cos_minority == pytest.approx(shown["cos_minority"])
    assert row.norm_ratio == pytest.approx(shown["norm_ratio"])
    contrast = ufm.collapse(solution)
    assert contrast.lower - 1e-6 <= row.contrast <= contrast.upper + 1e-6
    effective = advice[f"effective-number weights, beta {BETA:g}"]
    weights = [(1 - BETA) / (1 - BETA**n) for n in (1700, 100)]
    assert effective.loss == str(ufm.CrossEntropy(weights=tuple(weights)))
    ratio = effective.groups[0].lower / effective.groups[1].lower
    assert ratio == pytest.approx(weights[0] * 1700**0.5 / (weights[1] * 100**0.5))


def test_long_tails_have_ranges():
    counts = ufm.long_tailed(30, largest=500, ratio=100)
    advice = ufm.advise(counts, regularizer=ufm.WeightDecay(1.5e-3, 1.5e-3))
    none = advice["none"]
    assert [part.name for part in none.ranges] == ["many", "medium", "few"]
    assert none.ranges[-1].verdict == "yes"
    assert "nearly coincide among few" in none.words
    assert none.ratio is None
    smoothed = advice["label smoothing 0.1"]
    assert smoothed.ranges[-1].verdict == "yes"
    tempered = advice["temperatures (n/n_max)^1/2"]
    assert tempered.ranges[-1].verdict == "undecided"
    assert tempered.ranges[-1].neighbours > 0.99
    assert "not proved" in tempered.words
    distinct = ufm.advise([500, 200, 50], regularizer=DECAY)["none"]
    assert (distinct.groups, distinct.first, distinct.collapses) == ((), "none", "none")
    assert "no two classes have the same size" in distinct.words


def test_many_sizes_are_rounded_for_the_geometry_only():
    counts = ufm.long_tailed(120, largest=900, ratio=90)
    assert len(counts.groups) > MANY_SIZES
    near = rounded(counts)
    assert len(near.groups) <= MANY_SIZES
    assert (near.groups[0][1], near.groups[-1][1]) == (900, 10)
    assert all(abs(a / b - 1) < 0.06 for a, b in zip(counts, near, strict=True))
    decay = ufm.WeightDecay(4e-4, 4e-4)
    advice = ufm.advise(counts, regularizer=decay)
    row = advice["none"]
    assert row.sizes_solved == len(near.groups)
    assert f"rounded to {row.sizes_solved} values" in row.words
    equal = [(n, m) for m, n in counts.groups if m > 1]
    assert [(g.size, g.classes) for g in row.groups] == equal
    for group in row.groups:
        # The law at the sizes as they are: sqrt(n) / N.
        assert group.lower == pytest.approx(group.size**0.5 / counts.total, rel=1e-12)
    exact = ufm.geometry(ufm.solve(ufm.Problem(counts, regularizer=decay)))
    assert row.cos_minority == pytest.approx(exact["cos_minority"], abs=0.02)
    weighted = advice["class weights 1/n"]
    exact = ufm.geometry(ufm.solve(ufm.Problem(counts, regularizer=decay, loss="ce:weights=1")))
    assert weighted.cos_minority == pytest.approx(exact["cos_minority"], abs=0.02)
    assert weighted.norm_ratio == pytest.approx(exact["norm_ratio"], rel=0.05)


def test_advice_is_read_as_a_table_and_as_json():
    told = []
    advice = ufm.advise("500*5,100*5", regularizer=DECAY, progress=told.append)
    assert told == [row.name for row in advice.remedies]
    plain = json.loads(json.dumps(advice.to_dict(), allow_nan=False))
    assert {row["remedy"]: row["collapses"] for row in plain["remedies"]} == {
        row.name: row.collapses for row in advice.remedies
    }
    assert plain["not_covered"] == list(NOT_COVERED)
    assert all(group["level"] == "rigorous" for row in plain["remedies"] for group in row["groups"])
    assert "the 5 classes of size 100 (minority) share one classifier" in advice["temperatures (n/n_max)^1/2"].words
    text = str(advice)
    assert all(row.name.split(",")[0] in text for row in advice.remedies)
    assert "<table" in advice._repr_html_()
    assert "\n" not in repr(advice)
    with pytest.raises(ufm.InputError, match="class weights 1/n"):
        advice["prayer"]


def test_who_is_named():
    assert place(ufm.ClassCounts.parse("9*5"), [0]) == "all"
    assert place(ufm.ClassCounts.parse("9*5,3*2"), [0, 1]) == "both"
    long = ufm.ClassCounts.parse("9*2,8*2,7*2,6*2,5*2,4*2")
    assert place(long, [1]) == "size 8"
    assert place(long, [4, 5]) == "sizes 5, 4"
    assert place(long, [0, 1, 2, 3, 5]) == "sizes 9, 8, ..., 4"


def test_step_imbalance_is_fast():
    ufm.advise("500*5,100*5", regularizer=DECAY)
    began = perf_counter()
    ufm.advise("50000*500,100*500", regularizer=ufm.WeightDecay(1e-5, 1e-5))
    assert perf_counter() - began < 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"counts": "5"},
        {"counts": ""},
        {"regularizer": ufm.NormBudget(1, 1)},
        {"head": "explicit:2"},
        {"head": "relu"},
        {"level": "exact"},
    ],
)
def test_bad_input(arguments):
    with pytest.raises(ufm.InputError, match=r"^[^\n]+$"):
        ufm.advise(**({"counts": "5*3", "regularizer": DECAY} | arguments))
