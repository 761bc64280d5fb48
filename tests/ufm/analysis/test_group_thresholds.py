"""Thresholds of groups against the condition of docs/theory, Proposition 7.13, in fractions and in many digits."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import exp, log, sqrt
from typing import Any

import mpmath as mp
import pytest

import ufm
from ufm.analysis.thresholds import budget_losses
from ufm.analysis.thresholds.budget_losses import GROWTH, MAX_RATIO, RELATIVE, SAMPLES, STEPS, Decision, bisect
from ufm.analysis.thresholds.groups import ROUNDING, StepGroups, critical_prices
from ufm.problem.losses import GroupPull

ONE = Fraction(1)


def strength(groups: StepGroups, name: str, ratio: Any) -> Any:
    """``f_A`` or ``f_B`` at a ratio, from the shares of weights and sizes; the group is collapsed iff it is at least kappa."""
    pull, n = groups.pull, [mp.mpf(ratio), mp.mpf(1)]
    a, b = pull.weights, pull.temperatures
    w = [mp.mpf(v) for v in a] if isinstance(a, tuple) else [n[0] ** a / v**a for v in n]
    t = [mp.mpf(v) for v in b] if isinstance(b, tuple) else [(v / n[0]) ** mp.mpf(b) for v in n]
    g = ("majority", "minority").index(name)
    total = groups.majority * w[0] * n[0] + groups.minority * w[1]
    scale = 1 if groups.per_class else mp.sqrt(n[g])
    return total * scale / (w[g] * t[g] * n[g])


def kappa(groups: StepGroups, decay: ufm.WeightDecay) -> Any:
    mu = mp.sqrt(mp.mpf(decay.weight) * mp.mpf(decay.features))
    size = 1 if groups.per_class else groups.count
    gain = mp.mpf(groups.gain.numerator) / groups.gain.denominator
    return gain * (1 - mp.mpf(groups.pull.smoothing)) / (mu * mp.sqrt(size))


def decay_for(groups: StepGroups, value: float) -> ufm.WeightDecay:
    """A decay with about this kappa."""
    with mp.workdps(40):
        mu = float(kappa(groups, ufm.WeightDecay(1.0, 1.0)) / value)
    return ufm.WeightDecay(mu * 2, mu / 2, per_class=groups.per_class)


PULLS = [
    GroupPull(),
    GroupPull(1.0, 0.0, 0.1),
    GroupPull(0.3, 0.7),
    GroupPull((2.0, 0.5), 0.25, 0.2),
    GroupPull(0.75, (3.0, 0.5)),
    GroupPull((0.2, 3.0), (0.5, 4.0)),
]


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("pull", PULLS)
def test_sums_of_two_powers(pull, per_class):
    groups = StepGroups(3, 5, 7, pull, Fraction(3, 2), per_class)
    for ratio in (1.0, 2.5, 40.0):
        prices = groups.prices(ratio)
        for name in ("majority", "minority"):
            first, p, second, q = groups.powers(name)
            with mp.workdps(40):
                expected = float(strength(groups, name, ratio))
                mu = kappa(groups, ufm.WeightDecay(1, 1)) / strength(groups, name, ratio)
            assert first * ratio**p + second * ratio**q == pytest.approx(expected, rel=1e-13)
            assert float(prices[name].mid()) == pytest.approx(float(mu), rel=1e-13)


@pytest.mark.parametrize("gain", [ONE, Fraction(5, 3)])
@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize("pull", PULLS)
def test_a_ratio_is_enclosed_tightly(pull, per_class, gain):
    """Below the lower end no group is collapsed, at the upper one the groups that are named are; some units lie between."""
    groups = StepGroups(3, 5, 7, pull, gain, per_class)
    seen = 0
    for start in (1.5, 6.0, 90.0, 1e4):
        with mp.workdps(40):
            at = {name: strength(groups, name, start) for name in ("majority", "minority")}
            least = {name: min(strength(groups, name, x) for x in (1, start**0.5)) for name in at}
            first = max(at, key=lambda name: at[name])
            if at[first] <= max(strength(groups, name, 1) for name in at) or at[first] <= least[first]:
                continue
            decay = decay_for(groups, at[first])
            limit = kappa(groups, decay)
            found = groups.ratio(decay, "rigorous")
            seen += 1
            assert found.value == pytest.approx(start, rel=1e-12)
            assert found.lower < found.upper
            assert found.lower <= found.value <= found.upper
            assert found.upper - found.lower <= 1e-12 * start
            assert all(strength(groups, name, found.lower) < limit for name in at)
            named = list(at) if found.group == "both" else [found.group]
            assert all(strength(groups, name, found.upper) >= limit for name in named)
            assert first in named
        assert (found.quantity, found.level, found.transition) == ("ratio", "rigorous", "continuous")
    # Weights 1 without temperatures leave both sums at K under decay per class.
    assert (seen > 0) == (pull != PULLS[1] or not per_class)


def test_neutral_exponents_enclose_both_groups():
    """``a = b + 1/2``: one condition for both, and one enclosure that holds for both."""
    seen = set()
    for b in (0.0, 0.25):
        groups = StepGroups(3, 5, 1, GroupPull(0.5 + b, b), ONE)
        for step in range(40):
            decay = decay_for(groups, 8.5 + 0.37 * step)
            found = groups.ratio(decay, "float")
            assert (found.group, found.note) == ("both", "")
            with mp.workdps(40):
                limit = kappa(groups, decay)
                for name in ("majority", "minority"):
                    assert strength(groups, name, found.lower) < limit <= strength(groups, name, found.upper)
                ends = [exact_ends(groups, name, limit, found.value) for name in ("majority", "minority")]
            seen.add(found.lower < found.value)
            assert ends[0] == pytest.approx(ends[1], rel=1e-14)
    assert True in seen


def exact_ends(groups: StepGroups, name: str, limit: Any, near: float) -> float:
    return float(mp.findroot(lambda r: strength(groups, name, r) - limit, near))


@pytest.mark.parametrize("squares", [True, False])
def test_ratios_that_are_floats_themselves(squares):
    """``4 R + 4 = kappa`` with kappa a power of two, or with a square root on both sides that no ball can decide.

    The ends are then beside the ratio, never on it, except where it is decided.
    """
    for power in range(4, 12):
        for count in (1, 4, 16, 64) if squares else (2, 8, 32, 128):
            mu_squared = Fraction(1, 4**power * count)
            groups = StepGroups(4, 4, count, GroupPull(), ONE)
            found = groups.ratio(ufm.WeightDecay(float(mu_squared), 1.0), "rigorous")
            ratio = 2**power / 4 - 1
            assert found.group == "minority"
            assert found.lower < ratio
            assert ratio < found.upper or (squares and ratio <= found.upper)
            assert found.upper - found.lower < 1e-13 * ratio


def test_a_threshold_of_exactly_one():
    """``K = kappa``: collapsed at every ratio where this is decided, otherwise from a little above one on."""
    for classes in (1, 2, 4, 8):
        for count in (1, 4, 16, 64, 2, 8, 32, 128):
            decay = ufm.WeightDecay(1.0 / (4 * classes**2 * count), 1.0)
            # Of the minority alone, whose sum of powers rises.
            groups = StepGroups(2 * classes - 2, 2, count, GroupPull(), ONE)
            if classes == 1:
                continue
            found = groups.ratio(decay, "rigorous")
            assert found.lower == 1.0
            assert "minority" in (found.group, "minority" if found.group == "both" else "")
            if count in (1, 4, 16, 64):
                assert (found.value, found.upper) == (1.0, 1.0)
                assert "the minority is collapsed at every ratio R >= 1" in found.note or found.group == "both"
            else:
                assert 1.0 < found.upper < 1 + 1e-6
                assert "near R = 1" not in found.note
                assert found.value <= found.upper


def found_or_none(groups: StepGroups, decay: ufm.WeightDecay) -> Any:
    """The threshold, or None where it is refused because there is none."""
    try:
        return groups.ratio(decay, "float")
    except ufm.InputError as error:
        if "collapses no group for good" not in str(error):
            raise
    return None


@pytest.mark.parametrize(
    ("groups", "name", "limit"),
    [
        # The majority under decay per class: K_A + K_B R^(a - 1).
        (StepGroups(3, 5, 1, GroupPull(0.5, -1.0), ONE, True), "majority", 3.0),
        (StepGroups(3, 5, 1, GroupPull(1.0, -1.0), ONE, True), "majority", 8.0),
        (StepGroups(3, 5, 1, GroupPull((2.0, 1.0), (10.0, 1e3)), ONE, True), "majority", 0.3),
        # The minority: K_A R^(1 - a + b) + K_B R^b.
        (StepGroups(1, 5, 1, GroupPull(3.0, 0.0), ONE), "minority", 5.0),
        (StepGroups(1, 5, 1, GroupPull(1.0, 0.0), ONE), "minority", 6.0),
        (StepGroups(1, 5, 4, GroupPull(3.0, 0.0, 0.5), Fraction(3)), "minority", 5.0),
    ],
)
def test_sums_of_powers_that_fall_to_a_limit(groups, name, limit):
    """Collapsed at every ratio if the limit is above kappa; else not for good."""
    for factor, collapsed in ((1 - 1e-9, True), (0.9, True), (1 + 1e-9, False), (1.1, False)):
        found = found_or_none(groups, decay_for(groups, limit * factor))
        assert (found is not None and found.value == 1.0 and found.group == name) == collapsed
        if collapsed:
            assert (found.lower, found.upper) == (1.0, 1.0)
            assert found.note.split("; ")[0] == f"the {name} is collapsed at every ratio R >= 1"


@pytest.mark.parametrize("classes", [2, 5, 40])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_allowance_where_a_float_decides(classes, sign):
    """``ROUNDING (1 + |log kappa|)``: at 1.1 of it above the limit of the minority, ``K_B``, it is said; at 0.9 of it not."""
    groups = StepGroups(1, classes, 1, GroupPull(3.0), ONE if sign > 0 else Fraction(1, 10**6))
    # With a gain of 1e-6 all decays are smaller, kappa is the same.
    allowance = ROUNDING * (1 + log(classes))
    for part, said in ((1.1, True), (0.9, False), (0.0, False), (-1.0, False)):
        decay = decay_for(groups, classes * exp(-part * allowance))
        assert (found_or_none(groups, decay) is not None) == said


def test_powers_that_all_fall_have_no_threshold():
    """``K_A R^(1 - a + b) + K_B R^b`` with b < 0 and a > 1 + b vanishes."""
    groups = StepGroups(1, 5, 1, GroupPull(1.0, -0.5), ONE)
    assert found_or_none(groups, decay_for(groups, 100.0)) is None
    assert found_or_none(groups, decay_for(groups, 1e-3)) is None


COMES_BACK = [
    StepGroups(2, 60, 3, GroupPull((1.0, 3.0)), ONE),
    StepGroups(1, 2, 3, GroupPull(3.0, 1.0), ONE),
    StepGroups(9, 2, 3, GroupPull(3.0, 1.0), ONE),
    StepGroups(9, 2, 3, GroupPull(2.5, 0.5), ONE),
    StepGroups(3, 2, 3, GroupPull(2.5, 1.0), ONE),
    StepGroups(40, 2, 1, GroupPull(2.0, 3.0, 0.25), ONE, True),
    StepGroups(2, 6, 3, GroupPull((1.0, 1.0), (10.0, 1e6)), ONE),
    StepGroups(2, 3, 3, GroupPull((1.0, 1.0), (1.0, 1e6)), ONE),
    StepGroups(5, 4, 3, GroupPull(0.0, (1.0, 1e6)), ONE),
    StepGroups(5, 12, 3, GroupPull(0.0, (1.0, 1e6)), ONE),
    StepGroups(5, 60, 3, GroupPull(0.25, (2.0, 1e6)), ONE),
]


def least_point(f: Callable[[float], float]) -> float:
    """Where a function that is convex on [0, 40] is least."""
    low, high = 0.0, 40.0
    for _ in range(120):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, second) if f(first) <= f(second) else (first, high)
    return low


def crossing(rises: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if rises(middle) > 0 else (middle, high)
    return low


def expected_onset(groups: StepGroups, name: str, limit: float) -> tuple[float, str] | None:
    """Ratio from which on a group stays collapsed, and what is said about it; from values of its sum of powers alone."""

    def above(t: float) -> float:
        return float(strength(groups, name, exp(t))) / limit - 1

    lowest = least_point(above)
    if above(lowest) > 0:
        return 1.0, f"the {name} is collapsed at every ratio R >= 1"
    if above(40.0) < 0:
        return None
    value = exp(crossing(above, lowest, 40.0))
    if above(0.0) < 0 or lowest < 1e-6:
        return value, ""
    return value, f"the {name} is collapsed near R = 1 too, up to R = {exp(crossing(lambda t: -above(t), 0.0, lowest)):.6g}"


@pytest.mark.parametrize("groups", COMES_BACK)
def test_groups_that_are_collapsed_near_one_and_again_later(groups):
    """Both ends of the gap, and the other group's ratio, from values of sums of powers that fall first and rise again."""
    for name in groups.names:
        start = float(strength(groups, name, 1))
        least = float(strength(groups, name, exp(least_point(lambda t, n=name: float(strength(groups, n, exp(t)))))))
        for limit in (0.9 * least, 0.7 * start + 0.3 * least, 0.01 * start + 0.99 * least, 1.3 * start, 20.0 * start):
            if any(abs(float(strength(groups, other, 1)) / limit - 1) < 1e-6 for other in groups.names):
                continue  # at R = 1 rounding decides
            known = {other: expected_onset(groups, other, limit) for other in groups.names}
            begins = {other: where for other, where in known.items() if where}
            found = found_or_none(groups, decay_for(groups, limit))
            if not begins:
                assert found is None
                continue
            value = min(where[0] for where in begins.values())
            first = [other for other, where in begins.items() if where[0] <= value * (1 + 1e-9)]
            assert found.value == pytest.approx(value, rel=1e-9)
            assert found.lower <= found.value <= found.upper <= found.lower * (1 + 1e-6)
            assert found.group == (first[0] if len(first) == 1 else "both")
            if len(first) == 2:
                continue
            parts = [begins[first[0]][1]] if begins[first[0]][1] else []
            for other in groups.names:
                if other in begins and other != first[0]:
                    parts.append(f"the {other} collapses only from R = {begins[other][0]:.6g} on")
                elif other != first[0]:
                    parts.append(f"the {other} collapses at no larger ratio")
            assert found.note == "; ".join(parts)


def test_least_points_of_these_cases_are_near_and_far():
    """At R = 1, a little above it, and far from it."""
    points = [
        least_point(lambda t, g=groups, n=name: float(strength(g, n, exp(t)))) for groups in COMES_BACK for name in groups.names
    ]
    assert min(points) < 1e-6 < 0.1 < min(t for t in points if t > 1e-6) < 1 < max(points)


def test_notes_of_the_group_that_is_not_the_first():
    """The other's ratio, or that it has none; a single group has no note."""
    # f_A = 3 sqrt(R) + 5 / sqrt(R), f_B = 3 R + 5.
    plain = StepGroups(3, 5, 1, GroupPull(), ONE)
    found = plain.ratio(decay_for(plain, 20.0), "float")
    root = (20 + sqrt(400 - 60)) / 6
    assert (found.value, found.group) == (pytest.approx(5.0), "minority")
    assert found.note == f"the majority collapses only from R = {root**2:.6g} on"
    # f_A = 8 sqrt(R), f_B = 8 at all ratios.
    inverse = StepGroups(3, 5, 1, GroupPull(1.0), ONE)
    found = inverse.ratio(decay_for(inverse, 24.0), "float")
    assert (found.value, found.group) == (pytest.approx(9.0), "majority")
    assert found.note == "the minority collapses at no larger ratio"
    single = StepGroups(1, 5, 1, GroupPull(), ONE)
    found = single.ratio(decay_for(single, 20.0), "float")
    assert (found.value, found.group, found.note) == (pytest.approx(15.0), "minority", "")
    # Weights 1 and 3: f_A = (2 R + 180) / sqrt(R), f_B = (2 R + 180) / 3; at 38 the first comes back, the second never goes.
    heavy = StepGroups(3, 60, 1, GroupPull((1.0, 3.0), (1.0, 40.0)), ONE)
    found = heavy.ratio(decay_for(heavy, 50.0), "float")
    # 3 R + 180 = 50 sqrt(R) at sqrt(R) = (50 -+ sqrt(2500 - 2160)) / 6; f_B = (3 R + 180) / 120.
    low, high = ((50 - sqrt(340)) / 6) ** 2, ((50 + sqrt(340)) / 6) ** 2
    assert (found.value, found.group) == (pytest.approx(high), "majority")
    assert found.note == (
        f"the majority is collapsed near R = 1 too, up to R = {low:.6g}; "
        f"the minority collapses only from R = {(50 * 120 - 180) / 3:.6g} on"
    )


def test_ratios_up_to_the_largest():
    """``R + 4 = kappa`` up to R = e^600, and not beyond."""
    groups = StepGroups(1, 4, 1, GroupPull(), ONE)
    for exponent, known in ((599.5, True), (600.5, False)):
        decay = ufm.WeightDecay(exp(-exponent), exp(-exponent))
        if known:
            assert log(groups.ratio(decay, "float").value) == pytest.approx(exponent, rel=1e-9)
        else:
            assert found_or_none(groups, decay) is None


NEGATIVE = "below 0: no group is collapsed under the explicit head, nor under any equilibrium"


@pytest.mark.parametrize("level", ["float", "rigorous"])
def test_other_quantities_in_closed_form(level):
    """Fractions of square roots: ``mu = gain (1 - eps) / (sqrt(n_B) f)``, solved for each of its parts."""
    pull = GroupPull((2.0, 0.5), (1.0, 0.25), 0.5)
    groups, decay = StepGroups(3, 5, 7, pull, Fraction(3, 2)), ufm.WeightDecay(0.02, 0.005)
    for ratio in (2.0, 9.0):
        with mp.workdps(40):
            f = max(strength(groups, name, ratio) for name in ("majority", "minority"))
            first = max(("majority", "minority"), key=lambda name: strength(groups, name, ratio))
            mu = mp.sqrt(mp.mpf(0.02) * mp.mpf(0.005))
            gain = mp.mpf(3) / 2
            exact = {
                "decay": gain / 2 / (mp.sqrt(7) * f),
                "minority-count": (gain / 2 / (mu * f)) ** 2,
                "rho": 1 - gain / 2 / (mp.sqrt(7) * f) / mu,
            }
            for quantity, found in (
                ("decay", groups.decay(ratio, level)),
                ("minority-count", groups.minority_count(ratio, decay, level)),
                ("rho", groups.rho(ratio, decay, level)),
            ):
                assert (found.quantity, found.level, found.transition) == (quantity, level, "continuous")
                assert found.group == first
                assert found.lower <= exact[quantity] <= found.upper
                assert found.lower <= found.value <= found.upper
                assert found.lower < found.upper < found.lower + 1e-14 * max(1, abs(found.lower))
                negative = exact[quantity] < 0
                assert found.note == (NEGATIVE if negative else "")
    for strong, below in ((0.5, True), (0.9, True), (3.0, False)):
        with mp.workdps(40):
            mu = float(groups.decay(2.0, level).value) * strong
        found = groups.rho(2.0, ufm.WeightDecay(mu, mu), level)
        assert found.note == (NEGATIVE if below else "")
        assert below == (found.value < 0)
        assert found.value == pytest.approx(1 - 1 / strong, rel=1e-9)


def test_at_ratio_one_all_classes_collapse_together():
    exact = StepGroups(3, 5, 1, GroupPull(), ONE).decay(1.0, "float")
    assert (exact.lower, exact.value, exact.upper, exact.group) == (0.125, 0.125, 0.125, "both")
    # A single majority class is no group, but has the size of all others there.
    single = StepGroups(1, 5, 1, GroupPull(), ONE)
    assert [single.decay(ratio, "float").group for ratio in (1.0, 2.0)] == ["both", "minority"]
    decay = ufm.WeightDecay(0.1, 0.1)
    assert [single.minority_count(ratio, decay, "float").group for ratio in (1.0, 2.0)] == ["both", "minority"]
    assert [single.rho(ratio, decay, "float").group for ratio in (1.0, 2.0)] == ["both", "minority"]
    both = StepGroups(3, 5, 1, GroupPull(), ONE)
    assert [both.decay(ratio, "float").group for ratio in (1.0, 2.0)] == ["both", "minority"]


def test_prices_are_for_features_decayed_per_sample_unless_said_otherwise():
    from flint import arb

    sizes, pull = [arb(9), arb(4)], GroupPull(1.0, 0.5)
    plain, each = (critical_prices(pull, sizes, (3, 5), *given) for given in ((), (True,)))
    # Weights 1/n: all eight classes have a share of an eighth.
    assert [float(v) for v in plain] == pytest.approx([1 / 8 / 3, (4 / 9) ** 0.5 / 8 / 2])
    assert [float(v) for v in each] == pytest.approx([1 / 8, (4 / 9) ** 0.5 / 8])


def test_quantities_beyond_float64_are_refused():
    groups = StepGroups(3, 5, 1, GroupPull(), ONE)
    tiny = ufm.WeightDecay(1e-200, 1e-200)
    with pytest.raises(ufm.InputError, match="the critical minority-count is beyond float64"):
        groups.minority_count(2.0, tiny, "float")
    with pytest.raises(ufm.InputError, match="the critical rho is beyond float64"):
        StepGroups(3, 5, 1, GroupPull(), Fraction(10**200)).rho(2.0, tiny, "float")
    with pytest.raises(ufm.InputError, match="the critical decay is beyond float64"):
        StepGroups(3, 5, 1, GroupPull(), Fraction(10**400)).decay(2.0, "float")


def test_groups_within_one_enclosure_are_named_together():
    """Neutral exponents at a ratio: one price, whose enclosures overlap."""
    for ratio in (2.0, 3.0, 7.3, 11.0):
        groups = StepGroups(3, 5, 3, GroupPull(0.75, 0.25), ONE)
        found = groups.decay(ratio, "float")
        with mp.workdps(40):
            prices = [kappa(groups, ufm.WeightDecay(1, 1)) / strength(groups, name, ratio) for name in groups.names]
            assert found.group == "both"
            assert all(found.lower <= price <= found.upper for price in prices)


# Budgets: the control flow with thresholds that are given


def staged(monkeypatch: Any, thresholds: dict[str, float], open_: dict[str, float] | None = None) -> list[Any]:
    """Decisions with these thresholds, each undecided within a relative distance; returns what was asked."""
    asked: list[Any] = []

    class Stated:
        def __init__(self, majority: int, minority: int, regularizer: Any, gain: Any, level: str, loss: Any, name: str) -> None:
            asked.append((majority, minority, regularizer, gain, level, loss, name))
            self.name = name

        def __call__(self, ratio: float) -> int:
            asked.append((self.name, ratio))
            edge, width = thresholds[self.name], (open_ or {}).get(self.name, 0.0)
            return 0 if abs(ratio / edge - 1) <= width else 1 if ratio > edge else -1

    monkeypatch.setattr(budget_losses, "Decision", Stated)
    return asked


def asked_for(majority: int = 3, minority: int = 4, level: str = "float") -> Any:
    budget = ufm.NormBudget(1, 2)
    return budget_losses.budget_loss_threshold(majority, minority, budget, Fraction(2), level, ufm.CrossEntropy(weights=0.5))


NEVER = 1e9
NOTE = "the first change of the certified verdict among ratios that double from 1; that there is no other is not proved"


def test_which_groups_are_asked_and_where_first(monkeypatch):
    loss, budget = ufm.CrossEntropy(weights=0.5), ufm.NormBudget(1, 2)
    for classes, names in (((3, 4), ["majority", "minority"]), ((1, 4), ["minority"]), ((2, 2), ["majority", "minority"])):
        asked = staged(monkeypatch, {"majority": 5.0, "minority": 6.0})
        asked_for(*classes)
        assert asked[: len(names)] == [(*classes, budget, Fraction(2), "float", loss, name) for name in names]
        assert asked[len(names)] == (names[0], 1 + 2 / SAMPLES)


@pytest.mark.parametrize(
    ("thresholds", "group", "edges"),
    [
        ({"majority": 5.0, "minority": NEVER}, "majority", (5.0, 5.0)),
        ({"majority": NEVER, "minority": 5.0}, "minority", (5.0, 5.0)),
        ({"majority": 5.0, "minority": 5.5}, "majority", (5.0, 5.0)),
        ({"majority": 5.5, "minority": 5.0}, "minority", (5.0, 5.0)),
        ({"majority": 5.0, "minority": 5.0}, "both", (5.0, 5.0)),
        ({"majority": 5.0, "minority": 5.0 * (1 + 1e-6)}, "both", (5.0, 5.000005)),
        ({"majority": 3e5, "minority": NEVER}, "majority", (3e5, 3e5)),
        ({"majority": 9e5, "minority": NEVER}, "majority", (9e5, 9e5)),
    ],
)
@pytest.mark.parametrize("level", ["float", "rigorous"])
def test_the_first_group_under_budgets(monkeypatch, thresholds, group, edges, level):
    staged(monkeypatch, thresholds)
    found = asked_for(level=level)
    assert (found.quantity, found.level, found.transition, found.note) == ("ratio", level, "continuous", NOTE)
    assert found.group == group
    assert found.lower < edges[0] <= edges[1] < found.upper
    assert found.upper <= found.lower * (1 + 2.01 * RELATIVE)
    assert found.value == sqrt(found.lower * found.upper)


def test_undecided_groups_are_narrowed_to_what_is_decided(monkeypatch):
    """Wide intervals that overlap name both groups, with ends at which neither or either is decided."""
    staged(monkeypatch, {"majority": 5.0, "minority": 5.001}, {"majority": 1e-3, "minority": 1e-5})
    found = asked_for()
    assert found.group == "both"
    assert 5.0 * (1 - 1e-3) * (1 - 2 * RELATIVE) <= found.lower < 5.0 * (1 - 1e-3)
    assert 5.0 * (1 + 1e-3) < found.upper <= 5.0 * (1 + 1e-3) * (1 + 2 * RELATIVE)
    staged(monkeypatch, {"majority": 5.0, "minority": 5.001}, {"majority": 1e-6, "minority": 1e-5})
    assert asked_for().group == "majority"


def test_undecided_doublings_go_on(monkeypatch):
    """A ratio that is undecided is not collapsed: the next one is tried, and the one before is the lower end."""
    at = (1 + 2 / SAMPLES) * GROWTH**3
    staged(monkeypatch, {"majority": at, "minority": NEVER}, {"majority": 1e-3})
    found = asked_for()
    assert found.group == "majority"
    assert found.lower < at * (1 - 1e-3) < at * (1 + 1e-3) < found.upper < at * 1.0011
    # A group that is undecided where the other is collapsed is not bisected.
    staged(monkeypatch, {"majority": at * 0.9, "minority": at}, {"minority": 1e-2})
    assert asked_for().group == "majority"
    # Unless it may have been the first.
    staged(monkeypatch, {"majority": at * 0.99995, "minority": at * 0.9999}, {"minority": 1e-3})
    found = asked_for()
    assert found.group == "both"
    assert at * 0.9999 * (1 - 1e-3) * (1 - 2 * RELATIVE) < found.lower < at * 0.9999 * (1 - 1e-3)
    assert at * 0.9999 * (1 + 1e-3) < found.upper < at * 0.9999 * (1 + 1e-3) * (1 + 2 * RELATIVE)
    # Or where a doubling is undecided for one group, and the other collapses soon after.
    staged(monkeypatch, {"majority": at, "minority": at * 1.0005}, {"majority": 1e-3})
    found = asked_for()
    assert found.group == "both"
    assert at * (1 - 1e-3) * (1 - 2 * RELATIVE) < found.lower < at * (1 - 1e-3)
    # Undecided up to the last ratio, it is left out.
    staged(monkeypatch, {"majority": at * 0.9, "minority": 1e6}, {"minority": 1 - 5e-6})
    assert asked_for().group == "majority"


def test_budgets_that_are_collapsed_or_undecided_at_one(monkeypatch):
    for thresholds, open_ in (
        ({"majority": 1.0, "minority": 9.0}, {}),
        ({"majority": 9.0, "minority": 1.0}, {"minority": 0.1}),
    ):
        staged(monkeypatch, thresholds, open_)
        with pytest.raises(ufm.InputError, match="at R = 1 already"):
            asked_for()


def test_ratios_beyond_a_million_are_not_tried(monkeypatch):
    asked = staged(monkeypatch, {"majority": 2 * MAX_RATIO, "minority": NEVER})
    with pytest.raises(ufm.InputError, match="collapses no group"):
        asked_for()
    tried = sorted({ratio for name, ratio in asked[2:] if name == "majority"})
    assert tried == [*((1 + 2 / SAMPLES) * GROWTH**i for i in range(20)), MAX_RATIO]


@pytest.mark.parametrize("width", [0.0, 1e-7, 1e-4, 0.1])
def test_intervals_are_narrowed_while_verdicts_are_decided(width):
    for edge in (1.5, 1.9, 1.0001):
        calls = []

        def decide(ratio: float, edge: float = edge, calls: Any = calls) -> int:
            calls.append(ratio)
            return 0 if abs(log(ratio / edge)) <= width else 1 if ratio > edge else -1

        low, high = edge / (1.3 + width), edge * (1.4 + width)
        lower, upper = bisect(decide, low, high)
        assert decide(lower) == -1
        assert decide(upper) == 1
        assert lower >= edge * exp(-width) * (1 - 1.2 * RELATIVE)
        assert upper <= edge * exp(width) * (1 + 1.2 * RELATIVE)
        assert all(float(round(v * SAMPLES)) / SAMPLES == v for v in (lower, upper))
        # Halvings of log intervals of some 0.6 and 0.3 to 2e-6.
        assert len(calls) - 2 <= 19 + 2 * 19
        if not width:
            assert len(calls) - 2 <= 20


# Budgets: one decision


class Line(Decision):
    """A decision on given values instead of solved problems."""

    def __init__(self, values: Callable[[float], tuple[float, float]], radius: tuple[float, float]) -> None:
        super().__init__(3, 4, ufm.NormBudget(1, 1), ONE, "float", ufm.CrossEntropy(), "minority")
        self.values, self.radius, self.asked = values, radius, []

    def value(self, sizes: tuple[int, int], price: float) -> tuple[float, float]:
        self.asked.append((sizes, price))
        return self.values(price)


def test_decisions_need_the_gap_to_be_bridged():
    """``F = N mu`` known up to a gap g: decided at the step delta if ``|N - C| delta`` exceeds twice the gap, on either side.

    The upper end of the radius counts for "collapsed", the lower for "not".
    """
    gap, norm = 1e-6, 2.0

    def values(price: float) -> tuple[float, float]:
        return norm * price - gap, norm * price + gap

    price = Line(values, (norm, norm)).values and prices_of(2.0)
    step = STEPS[0] * price
    bridged = 2 * gap / step
    for factor, decided in ((1.001, True), (0.999, False)):
        above, below = norm + factor * bridged, norm - factor * bridged
        assert Line(values, (0.0, below))(2.0) == int(decided)
        assert Line(values, (above, 9.0))(2.0) == -int(decided)
        assert Line(values, (below, norm))(2.0) == 0
        assert Line(values, (norm, above))(2.0) == 0


def prices_of(ratio: float) -> float:
    """The minority's critical price at that ratio for 3 and 4 classes: ``1 / (3 R + 4)``."""
    return 1 / (3 * ratio + 4)


def test_the_critical_price_has_two_ends():
    """Values at its upper end prove a collapse, those at its lower end the contrary; all steps are tried."""
    seen: list[float] = []

    def record(price: float) -> tuple[float, float]:
        seen.append(price)
        return 0.0, 0.0

    assert Line(record, (1.0, 1.0))(2.0) == -1
    below, above = seen[:2]
    assert below <= prices_of(2.0) * (1 + 1e-15)
    assert 0 < above - below < 1e-15
    wide = {below: (0.0, 1e9), above: (0.0, 0.0)}
    assert Line(lambda price: wide.get(price, (-1.0, 1.0)), (-1.0, 1.0))(2.0) == 0
    wide = {below: (0.0, 0.0), above: (0.0, 1e9)}
    assert Line(lambda price: wide.get(price, (0.0, 1e9)), (1.0, 1.0))(2.0) == -1
    wide = {below: (0.0, 1e9), above: (0.0, 0.0)}
    assert Line(lambda price: wide.get(price, (1.0, 1.0)), (1.0, 1.0))(2.0) == 1
    # Open at every step.
    undecided = Line(lambda price: (-1.0, 1.0), (1.0, 1.0))
    assert undecided(2.0) == 0
    assert [price for _, price in undecided.asked[2:]] == [
        end for step in STEPS for end in (above * (1 + step), below * (1 - step))
    ]
    assert {sizes for sizes, _ in undecided.asked} == {(2 * SAMPLES, SAMPLES)}
    # Equality counts as collapsed, and for the contrary it does not suffice.
    radius = 1.0

    def equal(price: float) -> tuple[float, float]:
        return (price - above, price - above) if price >= above else (price - below, price - below)

    assert Line(equal, (radius, radius))(2.0) == 1

    def falls(price: float) -> tuple[float, float]:
        return (-9.0, 0.0) if price >= above else (price - below, price - below)

    assert Line(falls, (radius, radius))(2.0) == 0


def test_values_are_certified_at_the_level_that_is_asked_for():
    budget, loss = ufm.NormBudget(1, 1), ufm.CrossEntropy(weights=0.5)
    found = {}
    for level in ("float", "rigorous"):
        decision = Decision(2, 3, budget, Fraction(2), level, loss, "minority")
        problem = ufm.Problem(
            ufm.step_imbalanced(majority=2, minority=3, n_majority=40, n_minority=10),
            regularizer=ufm.WeightDecay(0.03, 0.03, per_class=True),
            loss=loss,
        )
        certificate = ufm.solve(problem, level=level).certificate
        found[level] = decision.value((40, 10), 0.03)
        assert found[level] == (certificate.lower, certificate.upper)
        assert decision.radius[0] <= 10.0 <= decision.radius[1]
        assert decision.radius[1] - decision.radius[0] < 1e-13
    assert found["float"] != found["rigorous"]
