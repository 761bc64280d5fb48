"""Which groups are collapsed, in a word: closed forms on both sides of thresholds, and verdicts from the gap elsewhere."""

from fractions import Fraction
from math import nextafter

import pytest

import ufm
from tests.ufm.analysis.test_collapse import LAWS, law, margins
from ufm import ClassCounts, CrossEntropy, Explicit, LinearDEQ, NormBudget, Problem, WeightDecay
from ufm.analysis.collapsed import (
    MANY_GROUPS,
    collapsed_groups,
    collapsed_step,
    critical_decays,
    decay_verdicts,
    place,
)
from ufm.analysis.thresholds.budget import critical_budget


@pytest.mark.parametrize(
    ("sizes", "groups", "word"),
    [
        ("10*3", [], "none"),
        ("10*3", [0], "all"),
        ("20*3,10*2", [], "none"),
        ("20*3,10*2", [0], "majority"),
        ("20*3,10*2", [1], "minority"),
        ("20*3,10*2", [0, 1], "both"),
        ("30*2,20*3,10*2", [1], "size 20"),
        ("30*2,20*3,10*2", [0, 2], "sizes 30, 10"),
        ("60*2,50*2,40*2,30*2,20*2", [1, 2, 3, 4], "sizes 50, 40, 30, 20"),
        ("60*2,50*2,40*2,30*2,20*2", [0, 1, 2, 3, 4], "sizes 60, 50, ..., 20"),
    ],
)
def test_groups_in_a_word(sizes, groups, word):
    assert place(ClassCounts.parse(sizes), groups) == word


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        # sqrt(n) / N is 10/350 for the majority and 5/350 for the minority.
        ((3, 2, 100, 25), [(4.9, "none"), (5.1, "minority"), (9.9, "minority"), (10.1, "both")]),
        # One class alone never collapses: 5/200 for the minority, 10/325 for the majority.
        ((1, 4, 100, 25), [(4.9 * 350 / 200, "none"), (5.1 * 350 / 200, "minority"), (1000, "minority")]),
        ((3, 1, 100, 25), [(9.9 * 350 / 325, "none"), (10.1 * 350 / 325, "majority"), (1000, "majority")]),
        ((1, 1, 100, 25), [(1000, "none")]),
        # 8/320 for all.
        ((3, 2, 64, 64), [(7.9 * 350 / 320, "none"), (8.1 * 350 / 320, "all")]),
        ((1, 1, 64, 64), [(7.9 * 350 / 128, "none"), (8.1 * 350 / 128, "all")]),
        ((1, 0, 64, 64), [(1000, "none")]),
    ],
)
def test_step_imbalance_under_decay(step, expected):
    """Collapsed from ``mu = sqrt(n) / N`` on; the decays here are in units of 1/350."""
    for units, word in expected:
        assert collapsed_step(*step, mu=units / 350) == word


def test_step_imbalance_under_a_budget():
    """The minority alone collapses, up to the critical radius; classes of one size, or one class, never do."""
    for majority, minority, larger, smaller in ((3, 2, 100, 25), (5, 5, 30, 20), (1, 4, 900, 9)):
        radius = critical_budget(majority, minority, larger / smaller)
        assert radius > 0
        step = majority, minority, larger, smaller
        assert [collapsed_step(*step, radius=f * radius) for f in (1e-3, 0.999, 1.001, 1e3)] == ["minority"] * 2 + ["none"] * 2
    assert collapsed_step(3, 2, 25, 25, radius=1e-3) == "none"
    assert collapsed_step(3, 1, 100, 25, radius=1e-3) == "none"


def test_a_billionth_from_a_boundary_nothing_is_decided():
    step, mu, radius = (3, 2, 100, 25), 5 / 350, critical_budget(3, 2, 4.0)

    def at(shift):
        return collapsed_step(*step, mu=mu * (1 + shift)), collapsed_step(*step, radius=radius * (1 + shift))

    assert {at(shift) for shift in (-0.99e-9, -1e-12, 0.0, 1e-12, 0.99e-9)} == {("undecided", "undecided")}
    assert (at(-1.01e-9), at(1.01e-9)) == (("none", "minority"), ("minority", "none"))


def test_critical_decays_enclose_their_closed_form():
    """Three classes of 100 and two of 25: N = 350, so 10/350 and 5/350, or 100/350 and 25/350 where classes are decayed."""
    plain, each = WeightDecay(1.0, 1.0), WeightDecay(1.0, 1.0, per_class=True)
    cases = [
        ("100*3,25*2", Explicit(), plain, [(Fraction(10, 350), 0), (Fraction(5, 350), 1)]),
        ("100*3,25*2", Explicit(), each, [(Fraction(100, 350), 0), (Fraction(25, 350), 1)]),
        # The head allows logits 1 / (1 - 1/4) as large.
        ("100*3,25*2", LinearDEQ(0.25), plain, [(Fraction(40, 3 * 350), 0), (Fraction(20, 3 * 350), 1)]),
        ("100*1,25*2", Explicit(), plain, [(Fraction(5, 150), 1)]),
        ("100*2,25*1", Explicit(), plain, [(Fraction(10, 225), 0)]),
        ("100*1,25*1", Explicit(), plain, []),
    ]
    for sizes, head, decay, expected in cases:
        found = critical_decays(ClassCounts.parse(sizes), CrossEntropy(), head, decay)
        assert [g for _, _, g in found] == [g for _, g in expected]
        for (low, high, _), (value, _) in zip(found, expected, strict=True):
            assert low <= value <= high <= nextafter(low, 1.0)


def test_verdicts_at_the_ends_of_an_enclosure():
    """The decay is sqrt(4 * 9) = 6: collapsed from the upper end on, separated below the lower one."""
    ends = [(5.0, 6.0, 0), (6.0, 7.0, 1), (6.5, 7.0, 2), (5.0, 6.5, 3), (4.0, 5.0, 4)]
    assert decay_verdicts(ends, WeightDecay(4.0, 9.0)) == ["yes", "undecided", "no", "undecided", "yes"]


@pytest.mark.parametrize("case", LAWS, ids=range(len(LAWS)))
def test_words_agree_with_the_law_however_close_the_threshold(case):
    """A relative distance of 1e-13 is far below what a gap in float64 decides."""
    for size in margins(law(*case, 1.0, ClassCounts.parse(case[0]).groups[0][1])):
        for side in (1 - 1e-13, 1 + 1e-13, 0.5, 2.0):
            problem = law(*case, side, size)
            groups = problem.counts.groups
            held = [g for g, (m, n) in enumerate(groups) if m > 1 and margins(problem)[n] <= 1]
            assert collapsed_groups(ufm.solve(problem)) == place(problem.counts, held)


def test_at_a_threshold_itself():
    """Two classes of 16: 4/32 is a float, from which on they are collapsed. Two of 50: sqrt(50)/100 lies between two floats."""
    assert collapsed_groups(ufm.solve(Problem("16*2", regularizer=WeightDecay(0.125, 0.125)))) == "all"
    below = nextafter(0.125, 0.0)
    assert collapsed_groups(ufm.solve(Problem("16*2", regularizer=WeightDecay(below, below)))) == "none"
    (low, high, _) = critical_decays(ClassCounts.parse("50*2"), CrossEntropy(), Explicit(), WeightDecay(1.0, 1.0))[0]
    assert low < high
    assert collapsed_groups(ufm.solve(Problem("50*2", regularizer=WeightDecay(low, low)))) == "undecided"
    assert collapsed_groups(ufm.solve(Problem("50*2", regularizer=WeightDecay(high, high)))) == "all"


def test_without_a_closed_form_the_gap_decides():
    decay = WeightDecay(2.5e-3, 2.5e-3)
    # Focal loss has no known pull, and no proof from the gap either; nor has a model that is too narrow for its program.
    assert collapsed_groups(ufm.solve(Problem("800*5,100*5", regularizer=decay, loss="focal:gamma=2"))) == "undecided"
    assert collapsed_groups(ufm.solve(Problem("800*5,100*5", regularizer=decay, dim=3))) == "undecided"
    # Budgets collapse the minority where they are small for their ratio.
    for ratio, word in ((100, "minority"), (2, "none")):
        budget = Problem([100 * ratio] * 3 + [100] * 2, regularizer=NormBudget(1.0, 1.0))
        assert collapsed_groups(ufm.solve(budget)) == word
        assert (budget.regularizer.radius(5) < critical_budget(3, 2, ratio)) == (word == "minority")
    # A class between them leaves the index of the smallest one.
    assert collapsed_groups(ufm.solve(Problem([9000, 9000, 4000, 90, 90], regularizer=NormBudget(1.0, 1.0)))) == "size 90"


def test_many_sizes_have_a_word_in_closed_form_only():
    for groups, word in ((MANY_GROUPS, "none"), (MANY_GROUPS + 1, None)):
        sizes = ClassCounts.of([10 * (k + 1) for k in range(groups)])
        assert collapsed_groups(ufm.solve(Problem(sizes, regularizer=WeightDecay(1e-3, 1e-3)))) == "none"
        assert collapsed_groups(ufm.solve(Problem(sizes, regularizer=NormBudget(1.0, 1.0)))) == word
