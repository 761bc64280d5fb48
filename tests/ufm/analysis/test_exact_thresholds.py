"""Thresholds against 50 digits: closed forms, the optimality system solved anew, and the decision between neighbours."""

from contextlib import suppress
from fractions import Fraction
from math import exp, inf, nextafter, pi, sin

import mpmath as mp
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from tests.ufm.independent import critical_norm
from ufm._balls import ball, outward, working_precision
from ufm.analysis.thresholds import budget
from ufm.analysis.thresholds.budget import LARGEST, ROUNDING, critical_budget, find_root, step_out
from ufm.analysis.thresholds.decay import decay_threshold

decays = st.floats(1e-9, 0.5)


def exact_decay(majority, minority, count, lw, lh, rho=0.0):
    with mp.workdps(50):
        reach = 1 / (1 - mp.mpf(rho)) / mp.sqrt(mp.mpf(lw) * mp.mpf(lh) * count)
        return (reach - minority) / majority


@given(st.integers(1, 50), st.integers(2, 50), st.integers(1, 10**9), decays, decays, st.floats(0, 0.99))
def test_decay_encloses_the_closed_form(majority, minority, count, lw, lh, rho):
    arguments = {
        "classes": (majority, minority), "regularizer": ufm.WeightDecay(lw, lh), "minority_count": count,
        "head": ufm.LinearDEQ(rho),
    }  # fmt: skip
    exact = exact_decay(majority, minority, count, lw, lh, rho)
    for level, ulps in (("float", 32), ("rigorous", 4)):
        found = ufm.threshold(**arguments, level=level)
        assert found.lower <= exact <= found.upper
        assert found.lower <= found.value <= found.upper
        # The sum of which the threshold is the difference sets the scale of rounding.
        assert found.upper - found.lower <= ulps * 2.0**-52 * (abs(float(exact)) + 2 * minority / majority)
        assert ("every ratio" in found.note) == (found.upper < 1)
        assert (found.level, found.transition, found.quantity) == (level, "continuous", "ratio")


@given(st.integers(1, 50), st.integers(2, 50), st.integers(1, 10**9), decays, st.floats(0, 0.99))
def test_float_ends_of_decay_allow_for_every_rounding(majority, minority, count, decay, rho):
    """At most ten: gain, mu and its root, root of the count, product, quotient, difference, quotient, and the end itself."""
    found = ufm.threshold(
        classes=(majority, minority), regularizer=ufm.WeightDecay(decay, decay), minority_count=count, head=ufm.LinearDEQ(rho)
    )
    size = (float(exact_decay(majority, minority, count, decay, decay, rho)) * majority + 2 * minority) / majority
    assert min(found.upper - found.value, found.value - found.lower) >= 10 * 2.0**-53 * size


def test_decay_per_class_counts_one_sample_and_explicit_is_the_default():
    per_class = ufm.threshold(classes=(4, 3), regularizer=ufm.WeightDecay(0.02, 0.03, per_class=True))
    assert per_class.value == pytest.approx(float(exact_decay(4, 3, 1, 0.02, 0.03)), rel=1e-14)
    one = ufm.threshold(classes=(4, 3), regularizer=ufm.WeightDecay(0.02, 0.03), minority_count=1, head=ufm.Explicit())
    assert (one.lower, one.value, one.upper) == (per_class.lower, per_class.value, per_class.upper)


@pytest.mark.parametrize("level", ["float", "rigorous"])
def test_thresholds_at_one_and_beyond_float64(level):
    # sqrt(64) mu (5 + 5) = 1 at mu = 1/80: not a binary fraction, so take mu = 1/64 and K_A = K_B = 4: R0 = 1 exactly.
    found = ufm.threshold(classes=(4, 4), regularizer=ufm.WeightDecay(2.0**-6, 2.0**-6), minority_count=64, level=level)
    assert found.lower <= 1 <= found.upper
    assert not found.note
    tiny = ufm.WeightDecay(1e-100, 1e-100)
    with pytest.raises(ufm.InputError, match="beyond float64"):
        decay_threshold(5, 5, 1, tiny, Fraction(10) ** 250, level)


RATIOS = [(5, 5, 10.0), (1, 2, 1.5), (3, 7, 200.0), (8, 2, 1.01), (1, 9, 1e6), (2, 2, 1.0001), (40, 3, 1e8), (1, 40, 1.2)]


@pytest.mark.parametrize(("majority", "minority", "ratio"), RATIOS)
def test_the_critical_norm_solves_the_optimality_system(majority, minority, ratio):
    norm = float(critical_norm(majority, minority, ratio))
    # At R near 1 both summands of C* come from 1 - 1/R, which floats round.
    assert critical_budget(majority, minority, ratio) == pytest.approx(norm, rel=1e-13 / (1 - 1 / ratio))


@pytest.mark.parametrize("level", ["float", "rigorous"])
@pytest.mark.parametrize(("majority", "minority", "ratio"), RATIOS)
def test_budget_enclosures_by_the_norm_at_their_ends(majority, minority, ratio, level):
    """``C*(lower) <= K c / (1 - rho) <= C*(upper)`` with C* of the optimality system at 50 digits."""
    rho = 0.25
    height = critical_budget(majority, minority, ratio) / (majority + minority) * (1 - rho)
    regularizer = ufm.NormBudget(2 * height, height / 2)
    head = ufm.LinearDEQ(rho)
    found = ufm.threshold(classes=(majority, minority), regularizer=regularizer, head=head, level=level)
    with mp.workdps(50):
        c = mp.sqrt(mp.mpf(regularizer.weight) * mp.mpf(regularizer.features))
        radius = (majority + minority) * c / (1 - mp.mpf(rho))
        assert critical_norm(majority, minority, found.lower) <= radius <= critical_norm(majority, minority, found.upper)
    assert 1 < found.lower <= found.value <= found.upper
    assert found.value == pytest.approx(ratio, rel=1e-10)
    assert (found.level, found.transition, found.quantity, found.note) == (level, "continuous", "ratio", "")
    assert found.upper - found.lower <= (1e-11 if level == "float" else 1e-14) * ratio


@pytest.mark.parametrize("relative", [1e-9, -1e-9, 1e-6, -1e-6])
def test_a_constant_that_is_wrong_by_a_billionth_is_told(relative):
    """Negative control: enclosures are narrow enough to exclude the threshold of a budget changed by a relative 1e-9."""
    for level in ("float", "rigorous"):
        base = ufm.threshold(classes=(3, 7), regularizer=ufm.NormBudget(1, 5), level=level)
        moved = ufm.threshold(classes=(3, 7), regularizer=ufm.NormBudget(1, 5 * (1 + relative)), level=level)
        assert moved.lower > base.upper if relative > 0 else moved.upper < base.lower


def test_critical_norm_at_the_balanced_ratio_and_its_limits():
    assert critical_budget(5, 5, 1.0) == critical_budget(5, 5, 0.5) == 0.0
    assert 0 < critical_budget(5, 5, nextafter(1.0, 2.0)) < 1e-6
    assert critical_budget(5, 5, exp(600.0)) > 1000
    with pytest.raises(ufm.InputError, match="1e260"):
        ufm.threshold(classes=(1, 9), regularizer=ufm.NormBudget(1e6, 1e6))


@given(st.floats(0.1, 10), st.integers(-3, 3), st.sampled_from([1, -1]))
def test_roots(where, power, sign):
    root = where * 10.0**power
    found = find_root(lambda x: sign * (x**3 - root**3), root / 100, root * 40)
    assert found == pytest.approx(root, rel=4e-15)
    assert find_root(lambda x: sign * (x - root), root, 2 * root) == root
    assert find_root(lambda x: sign * (x - root), 0.0, 2 * root) == root  # met exactly on the way
    # Infinite at an end: bisection until both ends are finite.
    assert find_root(lambda x: sign * (inf if x > 2 * root else x - root), 0.0, 5 * root) == pytest.approx(root, rel=4e-15)


def test_roots_need_few_evaluations():
    calls = []

    def smooth(x):
        calls.append(x)
        return exp(x) - 3.0

    assert find_root(smooth, -30.0, 30.0) == pytest.approx(1.0986122886681098, rel=1e-15)
    assert len(calls) < 80
    calls.clear()
    assert find_root(lambda x: (calls.append(x), sin(x))[1], 2.0, 4.0) == pytest.approx(pi, rel=1e-15)
    assert len(calls) < 20


def sides(majority, minority, ratio, radius):
    """Both decisions between a ratio and the threshold of a nuclear-norm radius."""
    height = radius / (majority + minority)
    arguments = (majority, minority, ufm.NormBudget(height, height), Fraction(1), ratio)
    return budget.float_side(*arguments), budget.rigorous_side(*arguments)


@pytest.mark.parametrize(("majority", "minority", "ratio"), RATIOS)
def test_sides_of_the_threshold(majority, minority, ratio, monkeypatch):
    """1 where C* is more than the radius, -1 where it is less, 0 where rounding may hide which."""
    norm = critical_budget(majority, minority, ratio)
    unit = 2.0**-53 * (norm + majority * (1 + mp.log(ratio)))
    assert sides(majority, minority, ratio, float(norm - 1.1 * ROUNDING * unit)) == (1, 1)
    assert sides(majority, minority, ratio, float(norm + 1.1 * ROUNDING * unit)) == (-1, -1)
    for within in (-0.9, 0.0, 0.9):
        assert sides(majority, minority, ratio, float(norm + within * ROUNDING * unit))[0] == 0

    # A gain that is known to a relative 1e-6 only hides what is nearer.
    monkeypatch.setattr(budget, "ball", lambda _: arb(1, 1e-6))
    assert [sides(majority, minority, ratio, norm * (1 + away))[1] for away in (-3e-6, -3e-7, 0.0, 3e-7, 3e-6)] == [
        1,
        0,
        0,
        0,
        -1,
    ]


@given(st.floats(1.5, 1e6), st.floats(1e-15, 1.0), st.sampled_from([-1, 1]))
def test_enclosures_step_out_no_more_than_twice_as_far_as_needed(value, needed, sign):
    needed = min(needed, 0.1) if sign < 0 else needed
    end = value * (1 + sign * needed)
    found = step_out(value, sign, lambda point: sign * (point - end) >= 0)
    assert needed * (1 - 1e-12) - 2.0**-52 <= abs(found / value - 1) <= 2 * needed + 2.0**-52
    assert sign * (found - end) >= 0


def test_an_end_is_no_further_than_the_nearest_ratio_that_is_decided(monkeypatch):
    for level, name in (("float", "float_side"), ("rigorous", "rigorous_side")):
        known = critical_budget(5, 5, 8.0) / 10
        regularizer = ufm.NormBudget(known, known)
        value = ufm.threshold(classes=(5, 5), regularizer=regularizer, level=level).value
        monkeypatch.setattr(budget, name, lambda *given, value=value: (given[-1] > value) - (given[-1] < value))
        found = ufm.threshold(classes=(5, 5), regularizer=regularizer, level=level)
        assert (found.lower, found.value, found.upper) == (value * (1 - 2.0**-52), value, value * (1 + 2.0**-52))


def test_the_largest_budget_is_attempted():
    height = critical_budget(1, 3, exp(LARGEST)) / 4
    found = ufm.threshold(classes=(1, 3), regularizer=ufm.NormBudget(height, height))
    assert found.value == pytest.approx(exp(LARGEST), rel=1e-9)
    with pytest.raises(ufm.InputError, match="lower the budget"):
        ufm.threshold(classes=(1, 3), regularizer=ufm.NormBudget(nextafter(height, inf), nextafter(height, inf)))


@given(st.fractions(), st.integers(-200, 200))
def test_balls_and_floats_around_them(number, power):
    number = number * Fraction(2) ** power
    with working_precision():
        around = ball(number)
        low, high = outward(around)
        assert Fraction(low) <= number <= Fraction(high)
        exact = Fraction(float(number)) == number
        assert high == (low if exact else nextafter(low, inf))
        wide = around.union(around + 1)
        low, high = outward(wide)
        assert Fraction(low) <= number
        assert number + 1 <= Fraction(high)
        assert Fraction(low) >= number - Fraction(1, 10**8) * (1 + abs(number))  # radii of balls have 30 bits


def test_floats_around_what_no_float_is():
    assert outward(arb("nan")) == (-inf, inf)
    assert outward(arb("inf")) == (-inf, inf)
    with working_precision():
        assert outward(arb(10) ** 400) == (nextafter(inf, 0), inf)
        assert outward(-(arb(10) ** 400)) == (-inf, -nextafter(inf, 0))
        low, high = outward(arb(2) ** -2000)
        assert (low, high) == (0.0, nextafter(0.0, 1.0))


@given(st.integers(1, 100))
def test_pair_depth_by_search(half):
    classes = 2 * half
    expected = next((n for n in range(1, 60) if mp.mpf(classes) * mp.power(2, mp.mpf(2) / (n + 1)) < 2 * (classes - 1)), None)
    assert ufm.pair_depth(classes) == expected


@pytest.mark.parametrize("classes", [0, 1, -2, 3, 7, 4.0, "4", None])
def test_pair_depth_needs_an_even_number(classes):
    with pytest.raises(ufm.InputError, match="even"):
        ufm.pair_depth(classes)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"classes": (0, 5)}, "between 1 and"),
        ({"classes": (5, 1)}, "KB >= 2"),
        ({"classes": (2.5, 5)}, "whole number"),
        ({"classes": (2**53 + 1, 5)}, "between 1 and"),
        ({"classes": 5}, "two numbers"),
        ({"classes": (5, 5, 5)}, "two numbers"),
        ({"minority_count": None}, "minority_count is missing"),
        ({"minority_count": 0}, "minority_count has 0"),
        ({"minority_count": 1.5}, "minority_count has 1.5"),
        ({"regularizer": ufm.WeightDecay(1e-3, 1e-3, per_class=True)}, "no effect under decay per class"),
        ({"regularizer": ufm.NormBudget(1, 5)}, "no effect under norm budgets"),
        ({"regularizer": 3}, "regularizer is 3"),
        ({"head": 3}, "head is 3"),
        ({"head": "explizit"}, "head is 'explizit'"),
        ({"head": ufm.Explicit(2), "regularizer": ufm.NormBudget(1, 5), "minority_count": None}, "under budgets"),
        ({"head": ufm.ReLU()}, "thresholds are known for"),
        ({"head": ufm.DecayedDEQ(0.1, 0.5), "level": "rigorous"}, "best-found"),
        ({"head": ufm.DecayedDEQ(0.1, 0.5), "classes": (11, 10)}, "K=21"),
        ({"level": "numeric"}, "level"),
    ],
)
def test_what_is_refused(change, match):
    arguments = {"classes": (5, 5), "regularizer": ufm.WeightDecay(1e-3, 1e-3), "minority_count": 10} | change
    with pytest.raises(ufm.InputError, match=match):
        ufm.threshold(**arguments)


@pytest.mark.parametrize("factor", [1 + 1e-9, 1 + 1e-6, 1 - 1e-3, 1.1, 0.5, 1.3])
@pytest.mark.parametrize(("majority", "minority", "ratio"), [(5, 5, 10.0), (1, 3, 40.0), (3, 7, 1.01)])
def test_a_bad_start_costs_an_answer_and_never_its_truth(majority, minority, ratio, factor, monkeypatch):
    """The angle from which the rigorous side starts is only a guess: signs at both ends of what it leads to are the proof."""
    regularizer = ufm.NormBudget(1, (critical_budget(majority, minority, ratio) / (majority + minority)) ** 2)
    begun = []

    def misled(function, low, high):
        found = find_root(function, low, high)
        if low == 0.0:  # the search for R itself, which comes first
            begun.append(found)
        return found * factor if begun and low > 0 else found

    monkeypatch.setattr(budget, "find_root", misled)
    found = None
    with suppress(ufm.ConvergenceError):
        found = ufm.threshold(classes=(majority, minority), regularizer=regularizer, level="rigorous")
    assert begun
    if found is None:
        assert abs(factor - 1) > 1e-2
        return
    with mp.workdps(50):
        radius = (majority + minority) * mp.sqrt(mp.mpf(regularizer.features))
        assert critical_norm(majority, minority, found.lower) <= radius <= critical_norm(majority, minority, found.upper)
    if abs(factor - 1) < 1e-2:
        assert found.upper - found.lower < 1e-14 * ratio


@pytest.mark.parametrize(
    ("majority", "minority", "factor"), [(1, 2, 1.01), (5, 5, 1.1), (5, 5, 0.9), (40, 3, 1.001), (1000, 2, 1.0001)]
)
def test_an_angle_of_which_too_little_is_known_proves_nothing(majority, minority, factor, monkeypatch):
    """Next to R = 1 the logits between the groups are of the order 1e-16: after a bad start their balls contain zero."""
    monkeypatch.setattr(budget, "find_root", lambda *given: find_root(*given) * factor)
    arguments = (majority, minority, ufm.NormBudget(1.0, 1.0), Fraction(1), nextafter(1.0, 2.0))
    assert budget.rigorous_side(*arguments) == 0
    monkeypatch.undo()
    assert budget.rigorous_side(*arguments) == -1


def test_heads_that_are_not_convex_are_handed_on_whole():
    """A large decay on A is the explicit head's threshold, ``sqrt(n_B) = N mu``."""
    for classes, count in (((1, 2), 10), ((1, 3), 40)):
        head, decay = ufm.DecayedDEQ(10.0, 0.5), ufm.WeightDecay(2.5e-2, 2.5e-2)
        found = ufm.threshold(classes=classes, regularizer=decay, minority_count=count, head=head)
        assert found.value == pytest.approx(float(exact_decay(*classes, count, 2.5e-2, 2.5e-2)), rel=1e-14)
        assert (found.level, found.transition, found.quantity) == ("numeric", "continuous", "ratio")
        assert "best found" in found.note


@settings(max_examples=20)
@given(st.integers(1, 2**53), st.integers(2, 2**53))
def test_huge_numbers_of_classes(majority, minority):
    found = ufm.threshold(
        classes=(majority, minority), regularizer=ufm.WeightDecay(1e-9, 1e-9), minority_count=1, level="rigorous"
    )
    assert found.lower <= exact_decay(majority, minority, 1, 1e-9, 1e-9) <= found.upper


def test_float_enclosures_are_their_own_and_allow_for_more_rounding():
    for majority, minority, ratio in RATIOS:
        regularizer = ufm.NormBudget(1, (critical_budget(majority, minority, ratio) / (majority + minority)) ** 2)
        loose, tight = (
            ufm.threshold(classes=(majority, minority), regularizer=regularizer, level=level) for level in ("float", "rigorous")
        )
        assert loose.lower < tight.lower <= tight.upper < loose.upper


@pytest.mark.parametrize("level", ["float", "rigorous"])
def test_budgets_so_small_that_the_threshold_is_one_to_the_last_digit(level):
    found = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1e-20, 1e-20), level=level)
    assert found.lower == 1.0
    assert 1.0 < found.value <= found.upper < 1 + 1e-9


def test_the_largest_numbers_of_classes_and_samples():
    largest = 2**53
    found = ufm.threshold(
        classes=(largest, largest), regularizer=ufm.WeightDecay(1e-9, 1e-9), minority_count=largest, level="rigorous"
    )
    assert found.lower <= exact_decay(largest, largest, largest, 1e-9, 1e-9) <= found.upper
    for name, value in (("classes", (largest + 1, 2)), ("minority_count", largest + 1)):
        arguments = {"classes": (5, 5), "regularizer": ufm.WeightDecay(1e-3, 1e-3), "minority_count": 10} | {name: value}
        with pytest.raises(ufm.InputError, match=f"^{name} has"):
            ufm.threshold(**arguments)
