"""What the claims compare on their grids, where the outcome alone would not tell: one-sided comparisons, margins, levels."""

from itertools import pairwise, product
from types import SimpleNamespace

import mpmath as mp
import numpy as np
import pytest

import ufm
from proofs_check import garrod2025, sunshi2024_audit, sunshi2024_decay, zhou2022, zhu2021
from proofs_check.enclosure import Outcome
from proofs_check.registry import all_theorems
from tests.proofs_check.remembered import SOLVE, THRESHOLD, hear
from tests.proofs_check.test_controls import at, simplex
from tests.proofs_check.test_twins import price
from ufm.solvers import Gradient, Multistart

BOOK = all_theorems()
COLLAPSE = [(name, k) for name in ("F3", "F4", "F5", "H3", "Z2", "D3", "D4") for k in range(len(list(BOOK[name]().grid())))]


def claimed(patch, name, k):
    return hear(patch, name, lambda claim: claim.check(list(claim.grid())[k], "rigorous"))


@pytest.mark.parametrize(("name", "k"), COLLAPSE)
def test_margins_of_verdicts_on_collapse(monkeypatch, name, k):
    """What the contrast leaves of the tolerance where classes have collapsed, the contrast where they have not."""
    heard = claimed(monkeypatch, name, k)
    for (expected, _), margin in zip(heard, heard.margins, strict=True):
        if expected in ("yes", "no"):
            found = [ufm.collapse(SOLVE(p, level="rigorous")) for p in heard.problems]
            assert any(margin == (c.lower if expected == "no" else 1e-6 - c.upper) > 0 for c in found)


@pytest.mark.parametrize("k", range(8))
def test_cosines_between_a_fixed_classifier_and_features_are_cosines(monkeypatch, k):
    _, (least, worst) = claimed(monkeypatch, "Y", k)
    assert at(least, 1 - 1e-9, 1e-12)
    assert worst.upper <= 1 + 1e-12


@pytest.mark.parametrize("k", range(6))
def test_distances_of_non_negative_features(monkeypatch, k):
    """Each of three distances is not negative, and below its tolerance."""
    _, *distances = claimed(monkeypatch, "E1", k)
    for (zero, slack), tolerance in zip(distances, (1e-12, 1e-9, 1e-9), strict=True):
        assert zero.lower == zero.upper == 0
        assert 0 < slack.lower == slack.upper <= tolerance


@pytest.mark.parametrize("k", range(7))
def test_distances_of_diagonal_logits(monkeypatch, k):
    _, (zero, slack) = claimed(monkeypatch, "B1", k)
    assert zero.lower == zero.upper == 0
    assert 0 < slack.lower == slack.upper <= 1e-9


@pytest.mark.parametrize("k", range(15))
def test_mean_directions(monkeypatch, k):
    """The margin is the distance of the mean direction from the tolerance 1e-6."""
    heard = claimed(monkeypatch, "M1", k)
    mean = zhou2022.mean_direction(SOLVE(heard.problems[0], level="rigorous"))
    assert heard.margins[-1] == abs(mean - 1e-6)
    assert heard[-1] == (("yes", "yes") if mean > 1e-6 else ("no", "no"))


@pytest.mark.parametrize(("classes", "size"), list(product((2, 5), (-2.0, 0.0, 3.0))))
def test_singular_value_along_the_mean(classes, size):
    """Of ``size 11'/K + S + bias 1'``, whatever the contrasts."""
    ones = np.ones((classes, classes))
    logits = size * ones / classes + np.eye(classes) - ones / classes + 0.7
    solution = SimpleNamespace(logits=logits, factors=SimpleNamespace(bias=np.array([0.7])))
    assert zhou2022.mean_direction(solution) == pytest.approx(abs(size), abs=1e-12)


@pytest.mark.parametrize(("name", "k"), [*(("D5", k) for k in range(4)), *(("D6", k) for k in range(3))])
def test_upper_bounds_of_searches_are_proved(monkeypatch, name, k):
    heard = claimed(monkeypatch, name, k)
    proved = SOLVE(heard.problems[0], method=sunshi2024_audit.SEARCH).certificate.rigorous().upper
    assert heard[-1][0] == sunshi2024_audit.found_value(heard.problems[0], "rigorous")
    assert heard[-1][0].lower == heard[-1][0].upper == proved
    in_float = SOLVE(heard.problems[0], method=sunshi2024_audit.SEARCH).certificate.upper
    assert sunshi2024_audit.found_value(heard.problems[0], "float").lower == in_float != proved


@pytest.mark.parametrize("k", range(3))
def test_scatter_within_classes(monkeypatch, k):
    """``lh/2`` of the scatter is at most what the descent's objective has above the lower bound; beside ``sum n |h|^2``."""
    heard = claimed(monkeypatch, "H1", k)
    _, (scatter, most) = heard
    trained = SOLVE(heard.problems[0], method=heard.methods[0], level="rigorous")
    lengths = np.linalg.norm(trained.parameters.features, axis=0)
    counts = np.array([n for m, n in heard.problems[0].counts.groups for _ in range(m)])
    assert list(counts) == sorted(counts, reverse=True)
    above = trained.path.loss[-1] * (1 + 1e-9) - trained.certificate.lower
    assert above > 0
    assert scatter.lower == 0
    assert scatter.upper == pytest.approx(
        above / (heard.problems[0].regularizer.features / 2) / (counts @ lengths**2), rel=1e-9
    )
    assert at(most, 1e-3)


@pytest.mark.parametrize("k", range(42))
def test_margins_of_decay_are_those_of_the_instance(monkeypatch, k):
    """``sqrt(n_B)`` over ``N mu``, with the bias decay of the instance."""
    p = list(BOOK["H3"]().grid())[k]
    (problem,) = claimed(monkeypatch, "H3", k).problems
    (m, large), (rest, small) = problem.counts.groups
    decay = problem.regularizer
    assert (m, rest) == (p.majority, 10 - p.majority)
    assert large == p.ratio * small
    assert small == 1000
    assert decay.bias == p.bias
    assert small**0.5 / (problem.counts.total * (decay.weight * decay.features) ** 0.5) == pytest.approx(p.margin)


def test_steps_name_the_boundary_of_depth():
    """Prices at equal margin: ``K - 1`` for the ETF, ``(m - 1) height^p`` for each block of a code, ``p = 2/(L+1)``."""

    def gap(k, layers):
        power = 2 / (layers + 1)
        code = k / 2 * 2**power if k % 2 == 0 else (k - 3) / 2 * 2**power + 2 * 1.5**power
        return k - 1 - code

    names = [name for name, _ in BOOK["G1"]().steps()]
    for parity in (0, 1):
        for layers in (2, 3):
            edge = next(k for k in range(4 + parity, 20, 2) if gap(k, layers) > 0)
            assert f"it is positive at $K = {edge}$, $L = {layers}$, so from there on" in names
            # And at every larger K and L.
            assert all(gap(k, depth) > 0 for k in range(edge, 60, 2) for depth in range(layers, 40))
            if edge - 2 >= 4:
                assert f"and negative at $K = {edge - 2}$, $L = {layers}$" in names
    # Two classes have one code only; it is the ETF written as a pair, of height 2 and the same margin, so never cheaper.
    assert gap(2, 2) < 0
    assert gap(2, 9) < 0


@pytest.mark.parametrize("k", range(6))
def test_cosines_on_the_way_to_collapse(monkeypatch, k):
    """At powers 0, 1/4, 1/2 and 3/4 of the threshold; collapse at ten times the threshold."""
    p = list(BOOK["F3"]().grid())[k]
    heard = claimed(monkeypatch, "F3", k)
    critical = THRESHOLD(classes=(p.majority, 10 - p.majority), regularizer=ufm.NormBudget(1, p.e_h)).value
    ratios = [max(n for _, n in q.counts.groups) / min(n for _, n in q.counts.groups) for q in heard.problems]
    assert ratios == pytest.approx([10 * critical, *(critical ** (j / 4) for j in range(4))], rel=1e-5)
    assert ratios[1] == 1
    assert all(q.regularizer == ufm.NormBudget(1, p.e_h) for q in heard.problems)
    # At R = 1 the groups are one, of ten classes: -1/9.
    cosines = [ufm.geometry(SOLVE(q))["cos_minority"] for q in heard.problems[2:]]
    sides = [heard[1][0], *(high for _, high in heard[1:])]
    assert all(at(side, value, 2e-3) for side, value in zip(sides, [-1 / 9, *cosines], strict=True))
    assert all(one[1] == two[0] for one, two in pairwise(heard[1:]))


@pytest.mark.parametrize("k", range(12))
def test_everything_zero_costs_one_half(monkeypatch, k):
    p = list(BOOK["M3"]().grid())[k]
    heard = claimed(monkeypatch, "M3", k)
    assert len(heard) == (2 if p.relative > 1 else 1)
    assert all(at(side, 0.5, 1e-12) for pair in heard[1:] for side in pair)


@pytest.mark.parametrize("k", range(8))
def test_the_explicit_net_beside_the_balanced_deq(monkeypatch, k):
    p = list(BOOK["D2"]().grid())[k]
    (_, found), (again, explicit) = claimed(monkeypatch, "D2", k)
    assert again == found
    assert at(explicit, simplex(p.classes, p.classes * mp.sqrt(mp.mpf(p.e_h)) / (p.classes - 1)))


@pytest.mark.parametrize("k", range(10))
def test_thresholds_of_a_deq_and_of_the_explicit_net(monkeypatch, k):
    p = list(BOOK["D3"]().grid())[k]
    _, (before, after) = claimed(monkeypatch, "D3", k)
    classes = (p.majority, 10 - p.majority)
    assert at(before, THRESHOLD(classes=classes, regularizer=ufm.NormBudget(1, p.e_h)).value)
    enlarged = ufm.NormBudget(1, p.e_h / (1 - p.rho) ** 2)
    assert at(after, THRESHOLD(classes=classes, regularizer=enlarged).value)


@pytest.mark.parametrize("k", range(10))
def test_contrasts_and_cosines_up_the_ladder(monkeypatch, k):
    grid = list(BOOK["D4"]().grid())
    p, rungs = grid[k], BOOK["D4"].ladder
    (verdict, *rest), place = claimed(monkeypatch, "D4", k), k % len(rungs)

    def solution(q):
        sizes = [10_000] * q.majority + [1000] * (10 - q.majority)
        return SOLVE(ufm.Problem(sizes, regularizer=ufm.NormBudget(1, q.e_h / (1 - q.rho) ** 2)))

    shape = ufm.geometry(solution(p))
    if verdict[0] == "no":
        (small, large), (limit, cosine), *rest = rest
        groups = ufm.collapse(solution(p)).groups
        assert at(large, groups[0].lower, 1e-3)
        assert at(small, groups[1].lower, 1e-3)
        assert at(limit, -1 / 9, 1e-12)
        assert at(cosine, shape["cos_minority"], 1e-2)
    before = grid[k - 1] if place else None
    if before is not None and ufm.collapse(solution(before)).verdict == "no":
        (cosine, other), *rest = rest
        assert at(cosine, shape["cos_minority"], 1e-2)
        assert at(other, ufm.geometry(solution(before))["cos_minority"], 1e-2)
    if place == len(rungs) - 1:
        (cosine, far), (near, again) = rest
        rest = []
        assert at(far, -1 / 9 + 1 / 4 / 15, 1e-9)  # c / (1 - rho) = 15
        assert at(near, -1 / 9 + 1 / 10 / 15, 1e-9)
        assert at(cosine, shape["cos_minority"], 1e-2)
        assert again == cosine
    assert not rest


@pytest.mark.parametrize("k", range(10))
def test_bounds_of_the_best_solution_through_linear_layers(monkeypatch, k):
    """Below every ETF where the claim says so; and the lower bound is that of the same certificate."""
    p = list(BOOK["G1"]().grid())[k]
    heard = claimed(monkeypatch, "G1", k)
    (first, second), *others, (lower, upper) = heard
    assert [problem.head for problem in heard.problems] == [ufm.Explicit(p.layers)]
    proved = garrod2025.best_found(p).certificate.rigorous()
    assert (lower.lower, lower.upper, upper.lower, upper.upper) == (proved.lower, proved.lower, proved.upper, proved.upper)
    wins = p.layers > 2 or p.classes > 5
    assert len(others) == (wins or p.classes == 5)
    etf, code = (second, first) if wins else (first, second)
    assert etf == garrod2025.code_value(p, garrod2025.etf(p.classes))
    assert code == garrod2025.code_value(p, garrod2025.pairs(p.classes))
    assert all(pair == (upper, etf) for pair in others)
    *_, (lower, upper) = hear(monkeypatch, "G1", lambda claim: claim.check(p, "float"))
    in_float = garrod2025.best_found(p).certificate
    assert (lower.lower, upper.upper) == (in_float.lower, in_float.upper)
    assert upper.upper != proved.upper


@pytest.mark.parametrize("k", range(2))
def test_a_jump_between_its_bounds(monkeypatch, k):
    p = list(BOOK["D8"]().grid())[k]
    heard = claimed(monkeypatch, "D8", k)
    (low, ratio), (same, high), (half, below), (above, together), (explicit, later) = heard
    head = ufm.DecayedDEQ(p.decay, 0.5)
    found = THRESHOLD(classes=(5, 5), regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), minority_count=100, head=head)
    assert ratio == same == later
    assert (ratio.lower, ratio.upper) == (found.lower, found.upper)
    assert at(low, p.low)
    assert at(high, p.high)
    assert at(explicit, 7)
    assert at(half, 0.5)
    assert at(together, 1e-6)
    assert [q.head for q in heard.problems] == [head, head]
    # A thousandth below, and three above, in whole samples of 100.
    sizes = [max(n for _, n in q.counts.groups) for q in heard.problems]
    assert sizes == [int(found.lower * 99.9), int(found.upper * 100.3) + 1]
    assert below.lower == below.upper > 0.5
    assert above.lower == above.upper >= 0


@pytest.mark.parametrize("k", range(4))
def test_supporting_tangent(monkeypatch, k):
    """``log(1 - sqrt b)`` above its tangent at ``b = E_A/9``, seen from ``b = E_A``, by a difference quotient of 50 digits."""
    p = list(BOOK["D5"]().grid())[k]
    (zero, slack), (pair, etf), _ = claimed(monkeypatch, "D5", k)
    assert zero.lower == zero.upper == 0
    with mp.workdps(50):
        budget = mp.mpf(p.budget)
        slope = mp.diff(lambda b: mp.log(1 - mp.sqrt(b)), budget / 9)
        exact = mp.log(1 - mp.sqrt(budget)) - mp.log(1 - mp.sqrt(budget / 9)) - slope * budget * 8 / 9
        share = mp.sqrt(budget / 9)
        radius = 10 * mp.sqrt(5) / (5 - mp.sqrt(5 * budget))
    assert at(slack, exact)
    assert at(etf, simplex(10, mp.sqrt(5) * 10 / 9 / (1 - share)))
    assert at(pair, mp.log(1 + mp.exp(-radius) + 8 * mp.exp(-radius / 2)))


@pytest.mark.parametrize("name", ["F3", "F5", "D3", "D4"])
def test_thresholds_belong_to_the_instance(monkeypatch, name):
    """Same classes, and the budget of the instance or, for the explicit net beside a DEQ, the enlarged one."""
    for k, p in enumerate(BOOK[name]().grid()):
        heard = claimed(monkeypatch, name, k)
        budgets = [ufm.NormBudget(1, p.e_h)]
        if name == "D3":
            budgets.append(ufm.NormBudget(1, p.e_h / (1 - p.rho) ** 2))
        assert heard.thresholds
        for options in heard.thresholds:
            assert options["classes"] == (p.majority, 10 - p.majority)
            assert options["regularizer"] in budgets
            assert options.get("head") in (None, ufm.LinearDEQ(getattr(p, "rho", 0.0)))


@pytest.mark.parametrize("k", range(6))
def test_ends_of_descent(monkeypatch, k):
    """Value and one plus the cosine, of the optimum and of where the descent stops at a relative gap of 1e-9."""
    p = list(BOOK["D9"]().grid())[k]
    heard = claimed(monkeypatch, "D9", k)
    (optimum, end), (predicted, near), *verdicts = heard
    trained, solved = heard.problems
    assert trained == solved
    assert trained == ufm.Problem(ufm.ClassCounts.parse(p.counts), regularizer=p.regularizer, head=ufm.LinearDEQ(0.3))
    descent = Gradient(rule="heavy-ball", tolerance=1e-9, max_iterations=20_000, random_state=0)
    assert heard.methods == [descent, "auto"]
    assert at(optimum, SOLVE(solved, level="rigorous").certificate.upper)
    found = SOLVE(trained, method=descent)
    assert end.lower == pytest.approx(found.path.loss[-1] * (1 - 1e-9), rel=1e-13)
    assert end.upper == pytest.approx(found.path.loss[-1] * (1 + 1e-9), rel=1e-13)
    groups = ufm.ClassCounts.parse(p.counts).groups
    balanced = len(groups) == 1
    cosine = -1 / 4 if balanced else 1.0 if p.collapsed == "yes" else ufm.geometry(SOLVE(solved))["cos_minority"]
    assert at(predicted, 1 + cosine, 1e-5)
    assert at(near, 1 + cosine, 1e-5)
    assert near.width == pytest.approx(2e-6)
    assert verdicts == ([] if balanced else [(p.collapsed, p.collapsed)])
    if verdicts:
        verdict = ufm.collapse(found, tolerance=1e-4)
        assert heard.margins[-1] == (verdict.lower if p.collapsed == "no" else 1e-4 - verdict.upper)


def test_training_meets_both_regularisers_on_either_side():
    """D9 has balanced classes, and for budgets and for decay a ratio below and one above the threshold."""
    made = BOOK["D9"]().grid()
    assert len({repr(p.regularizer) for p in made}) == 2
    for regularizer in (p.regularizer for p in made):
        mine = [p for p in made if p.regularizer == regularizer]
        assert [p.collapsed for p in mine] == [None, "no", "yes"]
        for p in mine[1:]:
            (m, large), (rest, small) = ufm.ClassCounts.parse(p.counts).groups
            options = {"minority_count": small} if isinstance(regularizer, ufm.WeightDecay) else {}
            head = ufm.LinearDEQ(0.3)
            critical = THRESHOLD(classes=(m, rest), regularizer=regularizer, head=head, level="rigorous", **options)
            assert large / small > critical.upper if p.collapsed == "yes" else large / small < critical.lower
            if options:  # below the band, in which descent ends elsewhere
                band = (large * m + small * rest) * 1e-2 * 1.3
                assert p.collapsed == "yes" or small**0.5 > band


@pytest.mark.parametrize("k", range(2))
def test_landscapes(monkeypatch, k):
    """Every seed ends at a certified minimiser; zero and every code but the ETF have negative curvature."""
    p = list(BOOK["Z1"]().grid())[k]
    heard = claimed(monkeypatch, "Z1", k)
    verdict, *saddles = heard
    assert verdict == ("yes", "yes")
    assert 0 < heard.margins[0] <= 1e-7
    problem = ufm.Problem([p.n] * p.classes, regularizer=ufm.WeightDecay(p.decay, p.decay), dim=p.dim)
    points = dict(zhu2021.planted(problem))
    assert len(saddles) == len(points) >= 2
    assert "zero" in points
    assert "etf code" not in points
    for (curvature, zero), point in zip(saddles, points.values(), strict=True):
        assert zero.lower == zero.upper == 0
        found = ufm.classify(problem, point.weight, point.features)
        assert (curvature.lower, curvature.upper) == found.curvature
        assert found.slope < 1e-8  # a critical point
    assert not points["zero"].weight.any()
    assert not points["zero"].features.any()


def test_a_seed_that_ends_elsewhere_is_noticed(monkeypatch):
    """Z1, with one end of fifty that is a saddle; and with an end whose gap is wide."""
    monkeypatch.setattr(ufm, "landscape", lambda problem, **_: SimpleNamespace(kinds=kinds, points=points))
    points = [SimpleNamespace(gap=0.0, value=1.0)] * 50
    for count, expected in ((49, Outcome.VIOLATED), (50, Outcome.HOLDS)):
        kinds = {"global minimiser": count}
        claim = BOOK["Z1"]()
        finding = next(claim.check(claim.grid()[0], "float"))
        assert finding.outcome is expected
        assert finding.margin == 1e-7
    points[7] = SimpleNamespace(gap=8e-8, value=2.0)
    assert next(claim.check(claim.grid()[0], "float")).margin == pytest.approx(6e-8)


@pytest.mark.parametrize("k", range(3))
def test_search_over_maps_meets_the_penalty(monkeypatch, k):
    """Each singular value of a random 3 x 3 matrix at its own best strength, on a fine grid; and two trained models."""
    p = list(BOOK["D7"]().grid())[k]
    heard = claimed(monkeypatch, "D7", k)
    sigma = np.linalg.svd(p.size * np.random.default_rng(p.seed).standard_normal((3, 3)))[1]
    expected = sum(price(s, p.mu, p.decay, p.contraction) for s in sigma)
    (claimed_cost, searched), *trained = heard
    assert at(claimed_cost, expected, 1e-8)
    assert at(searched, expected, 1e-7)
    if p.seed != 1:
        assert not trained
        return
    counts = [[10] * 4, [10] * 4, [12, 12, 4, 4], [12, 12, 4, 4]]
    decay, head = ufm.WeightDecay(1e-2, 1e-2), ufm.DecayedDEQ(0.1, 0.5)
    assert heard.problems == [ufm.Problem(c, regularizer=decay, head=head) for c in counts]
    assert [type(m) for m in heard.methods] == [Multistart, Gradient, Multistart, Gradient]
    for (best, reached), problem, method in zip(trained, heard.problems[1::2], heard.methods[1::2], strict=True):
        assert at(reached, SOLVE(problem, method=method).value, 1e-11)
        assert at(best, reached.lower, 1e-8)


@pytest.mark.parametrize(("size", "seed"), [(1, 0), (2, 1), (2, 2), (3, 3)])
@pytest.mark.parametrize(("mu", "decay", "contraction", "scale"), [(0.3, 1.0, 0.6, 1.0), (0.5, 0.4, 0.5, 2.0)])
def test_least_cost_by_search(size, seed, mu, decay, contraction, scale):
    """The search over W, A, H knows nothing of singular values, and ends at their prices."""
    logits = scale * np.random.default_rng(seed).standard_normal((size, size))
    expected = sum(price(s, mu, decay, contraction) for s in np.linalg.svd(logits)[1])
    found = sunshi2024_decay.least_cost(sunshi2024_decay.Map(mu, decay, contraction, seed, scale), logits)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("k", range(3))
def test_codes_through_an_extra_layer(monkeypatch, k):
    """Singular values ``(E_W K / rank) sqrt(E_H K / rank)`` of the ETF and of pairs."""
    p = list(BOOK["D6"]().grid())[k]
    (pair, etf), (_, again) = claimed(monkeypatch, "D6", k)
    low, high = (
        p.e_w * mp.mpf(p.classes) / r * mp.sqrt(p.e_h * mp.mpf(p.classes) / r) for r in (p.classes - 1, p.classes // 2)
    )
    assert etf == again
    assert at(etf, simplex(p.classes, low))
    assert at(pair, mp.log(1 + mp.exp(-high) + (p.classes - 2) * mp.exp(-high / 2)))
