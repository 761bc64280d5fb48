"""The focal loss: its shape, its convex minorants, bounds on the global optimum and its thresholds."""

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm
from ufm.analysis.group_collapse import smallest_contrast
from ufm.analysis.thresholds.family import Family, net_price
from ufm.certify.primal_dual import bounds
from ufm.errors import InputError
from ufm.problem.losses import Focal
from ufm.problem.losses.focal import Shape
from ufm.problem.text import parse_loss
from ufm.solvers.nonconvex.minorants import best_minorant, minorant_at
from ufm.spectral.program import Factors

GAMMAS = st.floats(0.01, 100.0)
DECAY = ufm.WeightDecay(2.5e-3, 2.5e-3)


def step(ratio, gamma, majority=5, minority=5):
    counts = ufm.step_imbalanced(majority=majority, minority=minority, n_majority=round(100 * ratio), n_minority=100)
    return ufm.Problem(counts, regularizer=DECAY, loss=Focal(gamma))


def test_for_gamma_one_inflection_and_touching_point_are_two_and_one():
    # f = t (1 - e^-t): f' = 1 + (t - 1) e^-t is 1 at t = 1, and f'' = (2 - t) e^-t vanishes at t = 2.
    shape = Shape(1.0)
    assert shape.inflection == pytest.approx(2.0, abs=1e-12)
    assert shape.tight == pytest.approx(1.0, abs=1e-12)
    assert shape.steepest == pytest.approx(1.0 + exp(-2.0), rel=1e-14)


@given(GAMMAS, st.floats(1e-3, 30.0))
def test_the_slope_is_the_derivative(gamma, loss):
    shape, h = Shape(gamma), 1e-5 * loss
    difference = (shape.value(np.array(loss + h)) - shape.value(np.array(loss - h))) / (2 * h)
    # f' is at most `steepest`, and the third derivative times h^2 is far below 1e-6 of it.
    assert float(shape.slope(np.array(loss))) == pytest.approx(float(difference), rel=1e-5, abs=1e-6 * shape.steepest)


@given(GAMMAS, st.floats(1e-12, 1.0))
def test_lines_of_the_minorant_lie_below_the_loss(gamma, slope):
    shape = Shape(gamma)
    losses = np.concatenate([np.linspace(0.0, 40.0, 4001), np.logspace(-12, 3, 400), [shape.tight, shape.inflection]])
    assert np.all(slope * losses - shape.conjugate_above(slope) <= shape.value(losses))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_the_line_touches(gamma):
    shape = Shape(gamma)
    for at in (0.2 * shape.tight, 0.7 * shape.tight, shape.tight):
        slope, value = float(shape.slope(np.array(at))), float(shape.value(np.array(at)))
        assert slope * at - shape.conjugate_above(min(slope, 1.0)) == pytest.approx(value, rel=1e-7)


@given(GAMMAS, st.integers(2, 5), st.integers(1, 3), st.data())
def test_weighted_cross_entropy_is_a_minorant_at_random_logits(gamma, classes, groups, data):
    counts = ufm.ClassCounts.of([10 * (g + 1) for g in range(groups) for _ in range(classes)])
    program = ufm.Problem(counts, regularizer=DECAY, loss=Focal(gamma)).program()
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    logits = rng.standard_normal((program.groups + 1, program.groups)) * data.draw(st.floats(0.1, 20.0))
    weights = rng.uniform(1e-9, 1.0, program.groups)
    below = program.loss.minorant(weights)
    # The share of a class in the weighted loss is its own times the weight.
    assert below.loss.share == pytest.approx(program.share * weights, rel=1e-15)
    lower = weights * below.loss.columns(logits, program.logit_counts).values - below.by
    assert np.all(lower <= program.loss.columns(logits, program.logit_counts).values * (1 + 1e-13))


def test_the_gradient_is_that_of_the_value():
    program = step(3, 2.0).program()
    rng = np.random.default_rng(1)
    logits = rng.standard_normal((3, 2))
    at = program.loss.columns(logits, program.logit_counts)
    for row in range(3):
        moved = logits.copy()
        moved[row] += 1e-6
        difference = (program.loss.columns(moved, program.logit_counts).values - at.values) / 1e-6
        assert at.gradient[row] == pytest.approx(difference, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.0])
def test_balanced_classes_end_in_a_certified_simplex_etf(gamma):
    """Where all losses stay below `tight` the minorant is the loss, so that its optimum is the global one."""
    solution = ufm.solve(ufm.Problem("50*6", regularizer=ufm.WeightDecay(1e-3, 1e-3), loss=Focal(gamma)))
    assert solution.status == "optimal"
    assert solution.relative_gap < 1e-8
    assert ufm.geometry(solution)["cos_minority"] == pytest.approx(-1 / 5, abs=1e-6)
    # Z = a S: the slope f'(t) times the derivative of the cross-entropy equals the price (Proposition 3.5 with weight f').
    a = float(np.asarray(solution.logits)[0, 0] - np.asarray(solution.logits)[0, 1])
    wrong = 5 * exp(-a) / (1 + 5 * exp(-a))
    slope = float(Shape(gamma).slope(np.array(-log(1 - wrong))))
    assert slope * (6 / 5) * wrong * sqrt(50) == pytest.approx(300 * 1e-3, rel=1e-5)


def test_bounds_hold_against_search_and_say_best_where_they_do_not_meet():
    for ratio, gamma in ((5, 1.0), (8, 2.0), (20, 3.0)):
        solution = ufm.solve(step(ratio, gamma))
        assert solution.lower <= solution.value <= solution.upper
        assert solution.status in ("best", "optimal")
        if solution.status == "best":
            assert 1e-5 < solution.relative_gap < 0.02
        # Any point is above the lower bound, whatever its weights.
        program = solution.program
        rng = np.random.default_rng(0)
        for _ in range(20):
            left, right = rng.standard_normal((program.groups, 3)), rng.standard_normal((3, program.groups))
            factors = Factors(np.abs(rng.standard_normal(program.groups)), left, right, np.zeros(program.groups))
            assert bounds(program, factors).upper >= solution.lower


def test_any_weights_give_a_bound_and_the_search_improves_it():
    solution = ufm.solve(step(8, 2.0))
    program = solution.problem.program()
    plain = best_minorant(program)
    assert plain is not None
    assert plain.lower == pytest.approx(solution.lower, rel=1e-9)
    for weights in ([1e-3, 1.0], [0.2, 0.7], [1.0, 1e-6]):
        found = best_minorant(program, np.array(weights))
        assert found is not None
        assert found.lower <= solution.value
        assert found.lower == pytest.approx(solution.lower, rel=1e-8)  # the bound is concave: every start leads to its maximum


def test_the_bound_rises_along_its_stated_derivative():
    program = step(8, 2.0).program()
    for weights in ([0.3, 0.8], [0.9, 0.05]):
        at = minorant_at(program, np.array(weights))
        for g in range(2):
            moved = [np.array(weights), np.array(weights)]
            moved[0][g] -= 1e-4
            moved[1][g] += 1e-4
            ends = [minorant_at(program, w).lower for w in moved]
            assert (ends[1] - ends[0]) / 2e-4 == pytest.approx(at.rising[g], rel=1e-3, abs=1e-6)


def test_verdicts_are_undecided_and_rigorous_is_refused():
    solution = ufm.solve(step(20, 2.0))
    verdict = ufm.collapse(solution)
    assert verdict.verdict == "undecided"
    assert "not convex" in verdict.reason
    with pytest.raises(InputError, match="independent verifier"):
        ufm.solve(step(20, 2.0), level="rigorous")
    with pytest.raises(InputError, match="rigorous"):
        ufm.threshold(classes=(5, 5), regularizer=DECAY, minority_count=100, loss="focal", level="rigorous")


@pytest.mark.parametrize(("gamma", "about"), [(1.0, 8.1), (2.0, 8.8), (3.0, 9.2)])
def test_the_threshold_is_later_than_that_of_cross_entropy_and_the_solver_agrees_on_both_sides(gamma, about):
    found = ufm.threshold(classes=(5, 5), regularizer=DECAY, minority_count=100, loss=Focal(gamma))
    assert found.level == "numeric"
    assert found.transition == "continuous"
    assert found.value == pytest.approx(about, abs=0.06)
    assert found.value > 7.0  # that of cross-entropy
    family = Family(5, 5, 100, DECAY, ufm.Explicit(), Focal(gamma))
    assert net_price(family, 0.999 * found.value) < 0 < net_price(family, 1.001 * found.value)
    below, above = (ufm.solve(step(round(found.value * 100 * side) / 100, gamma)) for side in (0.99, 1.01))
    assert smallest_contrast(below) > 0.02
    assert smallest_contrast(above) == 0.0
    # At collapse f'(t_B) sqrt(n_B) = N mu, with t_B from an independent solution just above the threshold.
    program = above.problem.program()
    losses = program.loss.cross_entropy.columns(program.spread(program.point(above.factors)), program.logit_counts).values
    pull = float(Shape(gamma).slope(losses[1])) * sqrt(100)
    total = above.problem.counts.total
    assert pull == pytest.approx(total * 2.5e-3, rel=0.012)
    assert pull < total * 2.5e-3


def test_budgets_and_equilibria_have_bounds_too():
    deq = ufm.solve(ufm.Problem("300*5,100*5", regularizer=DECAY, loss="focal:gamma=1", head="deq:rho=0.5"))
    half = ufm.solve(ufm.Problem("300*5,100*5", regularizer=ufm.WeightDecay(1.25e-3, 2.5e-3 / 2), loss="focal:gamma=1"))
    assert deq.value == pytest.approx(half.value, rel=1e-9)  # a spectral budget is a smaller decay
    budget = ufm.solve(ufm.Problem("300*5,100*5", regularizer=ufm.NormBudget(1, 2), loss="focal:gamma=1"))
    assert budget.lower <= budget.value
    assert 0 < budget.relative_gap < 0.1


@pytest.mark.parametrize("text", ["focal:gamma=0", "focal:gamma=-1", "focal:gamma=nan", "focal:gamma=101", "focal:gamma=inf"])
def test_gammas_out_of_range_are_refused(text):
    with pytest.raises(InputError, match="gamma is"):
        parse_loss(text)


def test_a_program_that_is_not_convex_twice_is_refused():
    with pytest.raises(InputError, match="one of them must be"):
        ufm.solve(ufm.Problem("10*4", regularizer=DECAY, loss="focal", head="explicit:2"))
    with pytest.raises(InputError, match="convex loss"):
        ufm.solve(ufm.Problem("10*4", regularizer=DECAY, loss="focal"), method="symmetric")
