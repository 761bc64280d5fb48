"""Verdicts on groups of equal classes: on both sides of exact thresholds, and enclosures against 50 digits."""

import re
from math import inf, nan, nextafter
from types import SimpleNamespace

import mpmath as mp
import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from tests.conftest import split
from tests.ufm.independent import StepProgram
from ufm._balls import working_precision
from ufm.analysis.enclosures import classifier_cosines, enclose_logits
from ufm.analysis.group_collapse import Collapse, GroupCollapse, smallest_contrast, verdict_between
from ufm.analysis.size_ranges import RangeCollapse
from ufm.certify.optimum import Optimum
from ufm.solvers import Gradient, Multistart
from ufm.spectral.blocks import BlockMatrix


def margins(problem):
    """``w_g Delta_g (1 - eps) sqrt(n_g) / (mu_eff sum_j w_j n_j)`` by class size: collapse iff at most 1, with any bias."""
    counts, loss, decay = problem.counts, problem.loss, problem.regularizer
    largest = counts.groups[0][1]
    found, total = {}, 0.0
    for m, n in counts.groups:
        weight = (n / largest) ** -loss.weights
        total += m * weight * n
        found[n] = weight * (n / largest) ** loss.temperatures * (1 - loss.smoothing) * (n if decay.per_class else np.sqrt(n))
    gain = 1 / (1 - problem.head.rho) if isinstance(problem.head, ufm.LinearDEQ) else 1.0
    return {n: value * gain / (decay.mu * total) for n, value in found.items()}


LAWS = [
    ("100*5,10*5", ufm.CrossEntropy(), ufm.Explicit(), None, False),
    ("1000*1,10*4", ufm.CrossEntropy(), ufm.Explicit(), None, False),  # one majority class over a group that collapses
    ("50*2", ufm.CrossEntropy(), ufm.Explicit(), None, False),
    ("5000*3,300*2,70*4", ufm.CrossEntropy(), ufm.Explicit(), 0.0, False),
    ("400*2,30*3", ufm.CrossEntropy(), ufm.LinearDEQ(0.4), 1e-3, False),
    ("1700*5,100*5", ufm.CrossEntropy(weights=1.0), ufm.Explicit(), None, False),
    ("400*3,25*4", ufm.CrossEntropy(weights=0.5), ufm.Explicit(), None, False),
    ("90*2,20*3", ufm.CrossEntropy(temperatures=0.4), ufm.LinearDEQ(0.2), None, False),
    ("90*2,20*3", ufm.CrossEntropy(smoothing=0.2), ufm.Explicit(), None, False),
    ("90*2,20*3", ufm.CrossEntropy(adjustment=1.5), ufm.Explicit(), 0.5, False),
    ("90*2,20*3", ufm.CrossEntropy(weights=1.3, temperatures=0.2, smoothing=0.1), ufm.LinearDEQ(0.3), None, False),
    ("90*2,20*3", ufm.CrossEntropy(), ufm.Explicit(), None, True),
]


def law(sizes, loss, head, bias, per_class, side, size):
    """The problem whose decays put the group of a size at that multiple of its threshold."""
    counts = ufm.ClassCounts.parse(sizes)
    unit = ufm.Problem(counts, regularizer=ufm.WeightDecay(1e-2, 1e-2, bias, per_class=per_class), loss=loss, head=head)
    mu = 1e-2 * margins(unit)[size] / side
    return ufm.Problem(counts, regularizer=ufm.WeightDecay(mu * 3, mu / 3, bias, per_class=per_class), loss=loss, head=head)


@pytest.mark.parametrize("case", LAWS, ids=range(len(LAWS)))
def test_every_group_has_the_verdict_of_the_law_on_both_sides_of_each_threshold(case):
    counts = ufm.ClassCounts.parse(case[0])
    for size in (n for m, n in counts.groups if m > 1):
        for side in (0.7, 1 - 1e-4, 1 + 1e-3, 1.5):
            problem = law(*case, side, size)
            found = ufm.collapse(ufm.solve(problem))
            assert [(g.size, g.classes) for g in found.groups] == [(n, m) for m, n in counts.groups if m > 1]
            for group in found.groups:
                margin = margins(problem)[group.size]
                if abs(margin - 1) > 0.9e-4:
                    assert group.verdict == ("yes" if margin < 1 else "no"), (group, margin)
                assert 0 <= group.lower <= group.upper < inf
                assert (group.lower > 0) == (group.verdict == "no")
            smallest = found.groups[-1]
            assert (found.verdict, found.lower, found.upper) == (smallest.verdict, smallest.lower, smallest.upper)
            assert f"({smallest.classes} of size {smallest.size})" in found.reason
            for group in found.groups[:-1]:
                told = f"the {group.classes} classes of size {group.size} have collapsed" in found.reason
                assert told == (group.verdict == "yes" and found.verdict != "yes")


@pytest.mark.parametrize("sizes", ["100*5,10*5", "1000*1,10*4", "50*2", "5000*3,300*2,70*4"])
@pytest.mark.parametrize("distance", [1e-9, 1e-7, 1e-5])
def test_no_verdict_is_wrong_however_close_the_threshold(sizes, distance):
    size = ufm.ClassCounts.parse(sizes).groups[-1][1]
    case = (sizes, ufm.CrossEntropy(), ufm.Explicit(), None, False)
    above = ufm.collapse(ufm.solve(law(*case, 1 - distance, size)), tolerance=1e-12 / distance)
    assert above.verdict != "no"
    assert above.lower == 0
    below = ufm.collapse(ufm.solve(law(*case, 1 + distance, size)), tolerance=1e-3 * distance)
    # The contrast is of the order of the distance: told apart, or not decided.
    assert below.verdict != "yes"
    assert below.upper > 1e-2 * distance
    if distance >= 1e-5:
        assert above.verdict == "yes"
        assert below.verdict == "no"


def test_the_majority_collapses_where_class_weights_overcorrect():
    """K_A = K_B = 5, n_B = 100, mu = .0025, weights 1/n: sqrt(n_A) / n_A = 10 mu at R = 16 exactly."""
    for ratio, verdict in ((15.9, "no"), (16.1, "yes"), (17, "yes")):
        counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=round(100 * ratio), n_minority=100)
        decay = ufm.WeightDecay(2.5e-3, 2.5e-3)
        found = ufm.collapse(ufm.solve(ufm.Problem(counts, regularizer=decay, loss=ufm.CrossEntropy(weights=1.0))))
        assert found.verdict == "no"
        assert [g.verdict for g in found.groups] == [verdict, "no"]
        assert found.lower > 1
        assert ("have collapsed" in found.reason) == (verdict == "yes")


def test_at_most_two_other_groups_are_named():
    problem = ufm.Problem([400] * 2 + [300] * 2 + [200] * 2 + [100] * 2, regularizer=ufm.WeightDecay(0.4, 0.4))
    zero = ufm.collapse(ufm.solve(problem))
    assert zero.verdict == "yes"
    assert "have collapsed" not in zero.reason
    weights = ufm.CrossEntropy(weights=(1e-3, 1e-3, 1e-3, 1.0))
    found = ufm.collapse(ufm.solve(ufm.Problem(problem.counts, regularizer=ufm.WeightDecay(1e-2, 1e-2), loss=weights)))
    assert [g.verdict for g in found.groups] == ["yes", "yes", "yes", "no"]
    assert found.reason.count("have collapsed") == 2
    assert found.reason.endswith("; so have 1 other groups")
    assert len(found.reason) < 500
    weights = ufm.CrossEntropy(weights=(1e-3, 1e-3, 1.0))
    two = ufm.Problem([400] * 2 + [300] * 2 + [100] * 2, regularizer=ufm.WeightDecay(1e-2, 1e-2), loss=weights)
    found = ufm.collapse(ufm.solve(two))
    assert found.reason == (
        f"the smallest classes (2 of size 100) differ: their logit contrast is at least {found.lower:.3g}"
        + "".join(
            f"; the 2 classes of size {g.size} have collapsed: their contrast is between {g.lower:.3g} and {g.upper:.3g}"
            for g in found.groups[:2]
        )
    )


def test_reports_as_plain_values():
    groups = tuple(GroupCollapse(90 - k, 2, "yes", 0.0, inf if k else 0.25) for k in range(8))
    part = RangeCollapse("few", 5, 19, 3, 0.25, None, 0.5, "no", 0.5, inf)
    found = Collapse("no", 0.5, 1.5, 1e-3, "they differ", groups=groups, ranges=(part,))
    first = {"size": 90, "classes": 2, "verdict": "yes", "lower": 0.0, "upper": 0.25}
    assert groups[0].to_dict() == first
    assert found.to_dict() == {
        "verdict": "no",
        "lower": 0.5,
        "upper": 1.5,
        "tolerance": 1e-3,
        "reason": "they differ",
        "level": "rigorous",
        "groups": [first, *({**first, "size": 90 - k, "upper": None} for k in range(1, 8))],
        "ranges": [part.to_dict()],
    }
    assert Collapse("undecided", 0.0, inf, 1e-6, "").to_dict()["upper"] is None
    assert part.to_dict()["upper"] is None


def test_a_printed_report_names_eight_sizes():
    groups = tuple(GroupCollapse(90 - k, 2, "yes" if k else "no", 0.0, 0.0) for k in range(9))
    for count, end in ((1, "}"), (8, ", 83: 'yes'}"), (9, ", 83: 'yes', ...}")):
        shown = repr(Collapse("no", 0.5, inf, 1e-6, "", groups=groups[:count]))
        assert shown.startswith(
            "Collapse('no', contrast in [0.5, inf], tolerance=1e-06, level='rigorous', verdicts by size {90: 'no'"
        )
        assert shown.endswith(f"{end})")
        assert shown.count("yes") == min(count, 8) - 1
    assert ", 89: 'yes'" in shown


def test_verdicts_are_neither_true_nor_false():
    found = ufm.collapse(ufm.solve(ufm.Problem([20] * 3, regularizer=ufm.WeightDecay(5e-3, 5e-3))))
    for value in (found, found.groups[0]):
        with pytest.raises(TypeError, match=r"three values.*compare \.verdict, here 'no'"):
            bool(value)
    assert (found.level, found.tolerance) == ("rigorous", 1e-6)


@pytest.mark.parametrize(("classes", "n", "mu"), [(10, 50, 5e-3), (2, 5, 1e-2), (3, 1, 0.2), (100, 13, 1e-4), (10, 50, 0.0141)])
def test_balanced_contrasts_contain_the_closed_form(classes, n, mu):
    """``a = log(1/(sqrt(n) mu) - (K - 1))`` at 50 digits, narrow; a formula with K for K - 1 lies outside."""
    solution = ufm.solve(ufm.Problem(ufm.balanced(classes, n), regularizer=ufm.WeightDecay(mu, mu)))
    found = ufm.collapse(solution)
    with mp.workdps(50):
        exact, wrong = (mp.log(1 / (mp.sqrt(n) * mp.mpf(mu)) - (classes - k)) for k in (1, 0))
        assert found.lower <= exact <= found.upper
        assert not found.lower <= wrong <= found.upper
    assert found.upper - found.lower < 1e-3 * max(float(exact), 1e-2)
    ball = enclose_logits(solution).contrasts[0]
    with working_precision():
        assert float(ball.lower()) <= exact <= float(ball.upper())


def test_smoothed_and_squared_contrasts_contain_their_closed_forms():
    # X9: smoothing delta is decay mu + delta / (K sqrt n).
    smoothed = ufm.Problem([50] * 10, regularizer=ufm.WeightDecay(2e-3, 2e-3), loss=ufm.CrossEntropy(smoothing=0.1))
    q = mp.mpf(9) * (mp.mpf(0.1) / 10 + mp.sqrt(50) * mp.mpf(2e-3))
    exact = mp.log(9 * (1 - q) / q)
    found = ufm.collapse(ufm.solve(smoothed))
    assert found.lower <= exact <= found.upper < found.lower + 1e-4
    # M1: squared error has contrast singular value sqrt(n) (1 - K sqrt(n) mu).
    squared = ufm.Problem([20] * 5, regularizer=ufm.WeightDecay(2e-3, 2e-3), loss=ufm.SquaredError())
    found = ufm.collapse(ufm.solve(squared))
    assert found.lower <= 1 - 5 * mp.sqrt(20) * mp.mpf(2e-3) <= found.upper < found.lower + 1e-4


def test_the_two_smallest_classes_are_compared_where_the_smallest_size_occurs_once():
    problem = ufm.Problem([50, 20, 20, 5], regularizer=ufm.WeightDecay(5e-3, 5e-3))
    solution = ufm.solve(problem)
    logits = np.asarray(ufm.solve(problem, method="factored").logits)
    mean = np.mean([logits[3, 3] - logits[k, 3] + logits[k, k] - logits[3, k] for k in (1, 2)]) / 2
    found = ufm.collapse(solution)
    assert found.verdict == "no"
    assert found.reason == (
        "the two smallest classes (sizes 5 and 20) differ: "
        f"their mean logit margin over each other is at least {found.lower:.3g}"
    )
    assert found.lower <= mean <= found.upper < found.lower + 1e-2
    assert [(g.size, g.classes, g.verdict) for g in found.groups] == [(20, 2, "no")]
    assert not found.groups[0].lower <= mean <= found.groups[0].upper
    dead = ufm.collapse(ufm.solve(ufm.Problem([9, 3], regularizer=ufm.WeightDecay(0.5, 0.5))))
    assert dead.verdict == "yes"
    assert dead.lower <= 0 <= dead.upper <= 1e-6
    assert "mean logit margin" in dead.reason
    assert dead.groups == ()


def test_two_classes_under_budgets_have_twice_the_budget_as_margin():
    """K = 2: the nuclear norm 2 c is x for Z = x u u', whatever the sizes."""
    for sizes in ([7, 7], [1, 10**9]):
        found = ufm.collapse(ufm.solve(ufm.Problem(sizes, regularizer=ufm.NormBudget(2.0, 3.0))))
        if sizes[0] == sizes[1]:
            assert found.lower <= 2 * mp.sqrt(6) <= found.upper < found.lower + 1e-3
        assert found.verdict == "no"


def test_incomparable_smallest_classes_leave_verdicts_on_the_others():
    loss = ufm.CrossEntropy(temperatures=0.5)
    problem = ufm.Problem([1700] * 3 + [100], regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), loss=loss)
    found = ufm.collapse(ufm.solve(problem, method="symmetric"))
    assert (found.verdict, found.lower, found.upper) == ("undecided", 0.0, inf)
    assert found.reason.startswith("classes of different sizes have different temperatures under the loss ce:temperatures=0.5")
    assert [(g.size, g.classes) for g in found.groups] == [(1700, 3)]
    assert found.groups[0].verdict in ("yes", "no")
    assert found.tolerance == 1e-6


@pytest.mark.parametrize("loss", ["ce:weights=1", "ce:adjustment=1", "ce:smoothing=0.1", "bce", "mse"])
@pytest.mark.parametrize("bias", [None, 1e-3, 0.0])
def test_margins_of_different_sizes_enclose_those_of_the_optimum(loss, bias):
    """Offsets and biases cancel in the mean of both margins, so that it is a statement on the logits themselves."""
    problem = ufm.Problem([50] * 3 + [9], regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3, bias), loss=loss)
    solution = ufm.solve(problem)
    found = ufm.collapse(solution)
    logits = np.asarray(solution.logits)
    mean = (logits[3, 3] - logits[2, 3] + logits[2, 2] - logits[3, 2]) / 2
    # The point found is within the certified gap of the optimum.
    assert found.lower - 1e-3 <= mean <= found.upper + 1e-3
    assert found.upper - found.lower < 0.02


def test_nothing_is_decided_beyond_convex_heads_and_wide_models():
    deep = ufm.Problem([20] * 4, regularizer=ufm.WeightDecay(1e-3, 1e-3), head=ufm.Explicit(2))
    solution = ufm.solve(deep, method=Multistart(starts=1, effort=0))
    narrow = ufm.solve(ufm.Problem([30] * 3 + [5] * 2, regularizer=ufm.WeightDecay(1e-3, 1e-3), dim=2))
    for found, said in (
        (ufm.collapse(solution), f"^the head .* a contrast of {smallest_contrast(solution):.3g}$"),
        (ufm.collapse(narrow), "^with dim < K - 1 the certified gap belongs to a relaxation, .*; raise dim$"),
    ):
        assert (found.verdict, found.lower, found.upper) == ("undecided", 0.0, inf)
        assert re.search(said, found.reason)
        assert found.groups
        assert all((g.verdict, g.lower, g.upper) == ("undecided", 0.0, inf) for g in found.groups)
        assert found.tolerance == 1e-6
    assert [(g.size, g.classes) for g in ufm.collapse(solution).groups] == [(20, 4)]
    assert [(g.size, g.classes) for g in ufm.collapse(narrow, tolerance=1e-3).groups] == [(30, 3), (5, 2)]
    assert ufm.collapse(narrow, tolerance=1e-3).tolerance == 1e-3


def test_a_wide_gap_leaves_the_range_that_it_says():
    problem = ufm.Problem([60] * 2 + [4] * 3, regularizer=ufm.WeightDecay(1.8e-2, 1.8e-2))
    rough = ufm.collapse(ufm.solve(problem, method=Gradient(max_iterations=30)))
    assert rough.verdict == "undecided"
    assert rough.lower == 0
    assert f"between 0 and {rough.upper:.3g}" in rough.reason
    assert "reduce the gap" in rough.reason


def test_the_tolerance_decides_what_counts_as_collapsed():
    solution = ufm.solve(ufm.Problem([60] * 2 + [4] * 3, regularizer=ufm.WeightDecay(1.8e-2, 1.8e-2)))
    upper = ufm.collapse(solution).upper
    assert 0 < upper < 1e-6
    assert ufm.collapse(solution, tolerance=upper).verdict == "yes"
    assert ufm.collapse(solution, tolerance=upper / 2).verdict == "undecided"
    # Proved apart stays apart, however large the tolerance.
    apart = ufm.solve(ufm.Problem([20] * 3, regularizer=ufm.WeightDecay(5e-3, 5e-3)))
    assert ufm.collapse(apart, tolerance=100.0).verdict == "no"
    for wrong in (0, -1.0, inf, nan, "1"):
        with pytest.raises(ufm.InputError, match="tolerance"):
            ufm.collapse(solution, tolerance=wrong)


@pytest.mark.parametrize("method", ["symmetric", "factored"])
def test_the_smallest_contrast_of_a_solution_by_brute_force(method):
    for counts in ([30, 4, 4, 4, 30], [4] * 3, [9, 9, 2], [9, 9, 4, 4]):
        solution = ufm.solve(ufm.Problem(counts, regularizer=ufm.WeightDecay(8e-3, 8e-3)), method=method)
        logits, small = np.asarray(solution.logits), [k for k, n in enumerate(counts) if n == min(counts)]
        if len(small) < 2:
            assert np.isnan(smallest_contrast(solution))
            continue
        worst = min(logits[k, k] - np.mean([logits[j, k] for j in small if j != k]) for k in small)
        assert smallest_contrast(solution) == pytest.approx(worst, rel=1e-9)
        assert worst > 0.1


def test_the_smallest_contrast_of_any_logits():
    """Three groups of the smallest size, two of them of several classes, with logits that nothing makes symmetric."""
    rng = np.random.default_rng(0)
    logits = BlockMatrix(rng.standard_normal(4), rng.standard_normal((4, 4)), ((1, 2), (0, 2), (2, 1), (3, 3)))
    dense, small = np.asarray(logits), [0, 1, 4, 5, 6, 7]
    found = smallest_contrast(SimpleNamespace(logits=logits, program=SimpleNamespace(sizes=(9, 4, 4, 4))))
    worst = min(dense[k, k] - np.mean([dense[j, k] for j in small if j != k]) for k in small)
    assert found == pytest.approx(worst, rel=1e-12)


def test_groups_agree_between_whole_and_split_programs():
    problem = ufm.Problem([4, 60, 4, 60, 4], regularizer=ufm.WeightDecay(1e-2, 1e-2))
    solution = ufm.solve(problem)
    whole, apart = ufm.collapse(solution), ufm.collapse(split(solution))
    for one, other in zip(whole.groups, apart.groups, strict=True):
        assert (one.size, one.classes, one.verdict) == (other.size, other.classes, other.verdict)
        assert max(one.lower, other.lower) <= min(one.upper, other.upper)


STEPS = [
    (2, 2, 9, 1, 5e-3),
    (2, 3, 40, 10, 6e-3),
    (1, 4, 300, 20, 4e-3),
    (3, 1, 50, 7, 8e-3),
    (5, 5, 1000, 100, 1e-3),
    (1, 1, 9, 3, 2e-2),
]


@pytest.mark.parametrize(("a", "b", "na", "nb", "mu"), STEPS)
@pytest.mark.parametrize("per_class", [False, True])
def test_enclosures_contain_the_program_solved_anew(a, b, na, nb, mu, per_class):
    """Contrasts, gaps and cosines of classifiers from an independent solution with 50 digits."""
    total = a * na + b * nb
    mu = mu * 4 if per_class else mu
    decay = ufm.WeightDecay(mu, mu, per_class=per_class)
    enclosed = enclose_logits(ufm.solve(ufm.Problem([na] * a + [nb] * b, regularizer=decay), level="rigorous"))
    with mp.workdps(50):
        scales = (mp.mpf(1), mp.mpf(1)) if per_class else (mp.sqrt(na), mp.sqrt(nb))
        program = StepProgram(a, b, (mp.mpf(na) / total, mp.mpf(nb) / total), scales)
        xa, xb, ga, gb = program.decayed(mp.mpf(mu))
        pairs = [(enclosed.contrasts[0], xa if a > 1 else None), (enclosed.contrasts[1], xb if b > 1 else None)]
        pairs += [(enclosed.gaps[0], ga), (enclosed.gaps[1], gb)]
        for place, m in enumerate((a, b)):
            pairs.append((enclosed.weight_cosines[place], cosine(a, b, scales, (xa, xb), (ga, gb), place) if m > 1 else None))
        for ball, exact in pairs:
            assert (ball is None) == (exact is None)
            if exact is not None:
                low, high = mp.mpf(str(ball.lower())[1:-1].split()[0]), mp.mpf(str(ball.upper())[1:-1].split()[0])
                assert low - mp.mpf(10) ** -12 <= exact <= high + mp.mpf(10) ** -12
                assert high - low < 1e-3


def cosine(a, b, scales, contrasts, gaps, place):
    """From ``W W' = (M M')^{1/2}`` with M the matrix of scaled logits, written out."""
    classes = a + b
    logits = np.zeros((classes, classes))
    for k in range(classes):
        g = 0 if k < a else 1
        m, x, gap = (a, b)[g], float(contrasts[g]), float(gaps[g])
        own = range(a) if g == 0 else range(a, classes)
        for j in range(classes):
            logits[j, k] = (x if j == k else 0.0) if j in own else x / m - gap
        logits[:, k] -= logits[:, k].mean()
    u, sigma, _ = np.linalg.svd(logits * np.array([float(scales[0])] * a + [float(scales[1])] * b))
    gram = (u * sigma) @ u.T
    i, j = (0, 1) if place == 0 else (a, a + 1)
    return mp.mpf(gram[i, j] / gram[i, i])


def test_enclosures_refuse_what_they_do_not_know():
    decay = ufm.WeightDecay(1e-2, 1e-2)
    for problem in (
        ufm.Problem([9, 9, 3], regularizer=decay, loss=ufm.CrossEntropy(smoothing=0.1)),
        ufm.Problem([9, 9, 3], regularizer=decay, loss=ufm.SquaredError()),
        ufm.Problem([9, 5, 3], regularizer=decay),
    ):
        with pytest.raises(ufm.InputError, match="enclosures of logits need"):
            enclose_logits(ufm.solve(problem))
    deep = ufm.Problem([9] * 4, regularizer=decay, head=ufm.Explicit(2))
    with pytest.raises(ufm.InputError, match="enclosures of logits need"):
        enclose_logits(ufm.solve(deep, method=Multistart(starts=1, effort=0)))


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(2, 4), st.floats(0.2, 3), st.floats(1.5, 50))
def test_budget_verdicts_enclose_the_contrast_of_an_unequal_route(a, b, height, ratio):
    """The contrast by the factored method lies in the enclosure of the symmetric one."""
    counts = ufm.step_imbalanced(majority=a, minority=b, n_majority=round(20 * ratio), n_minority=20)
    problem = ufm.Problem(counts, regularizer=ufm.NormBudget(height, 1.0))
    found = ufm.collapse(ufm.solve(problem))
    dense = np.asarray(ufm.solve(problem, method="factored").logits)
    contrast = dense[-1, -1] - dense[-2, -1]
    assert found.lower - 1e-4 <= contrast <= found.upper + 1e-4


@pytest.mark.parametrize("iterations", [40, 200, 2000])
def test_ends_of_enclosures_are_outside_what_is_proved(iterations):
    """Floats are rounded outward, and both ends of the mean margin are ends: seen where the gap is wide."""
    for counts in ([50, 20, 20, 5], [60, 60, 9, 9, 9]):
        problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(5e-3, 5e-3))
        rough = ufm.solve(problem, method=Gradient(max_iterations=iterations))
        found, exact = ufm.collapse(rough), ufm.collapse(ufm.solve(problem))
        proved = Optimum.of(rough.certificate.document())
        sizes = rough.program.sizes
        with working_precision():
            for group in found.groups:
                lower, upper = proved.contrast([g for g, n in enumerate(sizes) if n == group.size])
                assert arb(group.lower) <= lower.max(arb(0))
                assert arb(group.upper) >= upper
            if sizes[-1] == 5:
                small, next_ = sizes.index(5), sizes.index(20)
                one, other = proved.margin(small, next_), proved.margin(next_, small)
                assert arb(found.lower) <= (one[0] + other[0]) / 2
                assert arb(found.upper) >= (one[1] + other[1]) / 2
                assert found.lower <= exact.upper
                assert found.upper >= exact.lower


@pytest.mark.parametrize(("classes", "mu"), [(2, 1e-2), (4, 5e-3), (7, 0.055)])
def test_balanced_classifiers_have_the_cosine_of_the_simplex(classes, mu):
    """The last case has a contrast below one nat: log(1/(sqrt(5) mu) - 6) = 0.76."""
    (found,) = enclose_logits(ufm.solve(ufm.Problem([5] * classes, regularizer=ufm.WeightDecay(mu, mu)))).weight_cosines
    assert abs(float(found.mid()) + 1 / (classes - 1)) < 1e-15
    assert float(found.rad()) < 1e-15
    dead = enclose_logits(ufm.solve(ufm.Problem([5] * classes, regularizer=ufm.WeightDecay(1.0, 1.0))))
    assert dead.weight_cosines == [None]


def test_a_contrast_that_is_not_proved_positive_has_no_cosine():
    """Not even one of exactly zero, whose classifiers vanish or agree."""
    decay = ufm.WeightDecay(1e-2, 1e-2)
    balanced = ufm.solve(ufm.Problem([9] * 3, regularizer=decay))
    assert classifier_cosines(balanced, [arb(0)], []) == [None]
    stepped = ufm.solve(ufm.Problem([9, 9, 3, 3], regularizer=decay))
    assert classifier_cosines(stepped, [arb(0), arb("0 +/- 1")], [arb(1), arb(1)]) == [None, None]


def test_the_verdict_at_the_ends_of_the_tolerance():
    """Collapsed where |contrast| is at most the tolerance; apart only where it is proved to be more than zero."""
    assert verdict_between(-0.5, 0.5, 0.5) == verdict_between(0.0, 0.0, 0.5) == "yes"
    assert verdict_between(nextafter(-0.5, -1), 0.5, 0.5) == verdict_between(-0.5, nextafter(0.5, 1), 0.5) == "undecided"
    assert verdict_between(nextafter(0.0, 1.0), 0.5, 0.5) == "no"


def test_cosines_of_small_contrasts_and_none_under_a_bias():
    problem = ufm.Problem([40] * 3 + [10] * 2, regularizer=ufm.WeightDecay(0.02, 0.02))
    solution = ufm.solve(problem, level="rigorous")
    enclosed = enclose_logits(solution)
    assert 0 < float(enclosed.contrasts[1].mid()) < 1
    gram = solution.parameters.weight @ solution.parameters.weight.T
    for ball, (i, j) in zip(enclosed.weight_cosines, ((0, 1), (3, 4)), strict=True):
        assert float(ball.lower()) - 1e-9 <= gram[i, j] / gram[i, i] <= float(ball.upper()) + 1e-9
    biased = ufm.Problem([40] * 3 + [10] * 2, regularizer=ufm.WeightDecay(1e-3, 1e-3, 1e-2))
    assert enclose_logits(ufm.solve(biased)).weight_cosines == [None, None]
