"""Bounds of level float: at most what exact arithmetic proves from their own witness, at extreme problems above all."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ufm
from tests.ufm.certify.adversary import attack, run, violations
from ufm.certify import bounds
from ufm.certify.scalars import scalar_bound, splits
from ufm.solvers.convex.step_imbalance import solve_steps
from ufm.spectral.penalties import MinimaxConcave, NuclearMinusFrobenius, Schatten


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_random_extreme_problems(seed):
    assert run(seed, 0, 30).violations == []


@pytest.mark.parametrize("distance", [0.5, 1e-2, 4e-5, 1e-8, 1e-12, 2.0**-53])
@pytest.mark.parametrize("counts", ["10*2", "1000*2,7*1", "5*4"])
@pytest.mark.parametrize("loss", [ufm.CrossEntropy(), ufm.SquaredError()], ids=str)
def test_frobenius_budgets_close_to_one(distance, counts, loss):
    # 1 - sqrt(E) is the price of a single singular value; in float64 the difference itself has no correct digit at the end.
    problem = ufm.Problem(
        ufm.ClassCounts.parse(counts),
        regularizer=ufm.WeightDecay(1e-2, 1e-2),
        loss=loss,
        head=ufm.FrobeniusDEQ(1.0 - distance),
    )
    assert violations(ufm.solve(problem)) == []


@example(6, [1.0, 87.0], 1)
@example(53, [1.0, 1e8], 1)
@example(53, [1e-9, 3.0, 1e7], 2)
@given(st.integers(1, 53), st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=6), st.integers(1, 1000))
@settings(max_examples=60, deadline=None)
def test_relief_is_accurate(bits, values, copies):
    budget = 1.0 - 2.0**-bits
    penalty = NuclearMinusFrobenius(1.0, budget)
    singular, times = np.array(values), np.full(len(values), float(copies))
    with mpmath.workdps(60):
        e = mpmath.sqrt(mpmath.mpf(budget))
        exact = copies * mpmath.fsum(mpmath.mpf(v) for v in values)
        exact -= e * mpmath.sqrt(copies * mpmath.fsum(mpmath.mpf(v) ** 2 for v in values))
        error = abs(penalty.value(singular, times) / exact - 1)
    assert error <= penalty.accuracy(singular) * 2.0**-53


@given(
    st.floats(1e-12, 1e3),
    st.floats(1e-9, 1e3),
    st.floats(1e-3, 1 - 1e-9),
    st.floats(1e-9, 1e3),
)
@settings(max_examples=100, deadline=None)
def test_range_and_chord_of_the_minimax_penalty(mu, decay, contraction, upper):
    # The range reaches at least to where the price is `upper`, and the chord lies below the price all the way.
    penalty = MinimaxConcave(mu, decay, contraction)
    largest, slope = penalty.range(upper), penalty.relaxed(upper).strength  # type: ignore[union-attr]

    def price(s: mpmath.mpf) -> mpmath.mpf:
        a = min(mpmath.mpf(mu) * s / mpmath.mpf(decay), mpmath.mpf(contraction))
        return mpmath.mpf(mu) * s * (1 - a) + mpmath.mpf(decay) * a**2 / 2

    with mpmath.workdps(60):
        assert price(mpmath.mpf(largest)) >= mpmath.mpf(upper)
        for part in (1e-9, 0.3, 0.99, 1.0):
            assert slope * mpmath.mpf(largest) * part <= price(mpmath.mpf(largest) * part) * (1 + mpmath.mpf(10) ** -40)


@given(st.integers(2, 12), st.floats(1e-14, 1e3), st.floats(1e-12, 1e3))
@settings(max_examples=60, deadline=None)
def test_range_and_chord_of_layers(layers, weight, upper):
    penalty = Schatten(weight, 2.0 / (layers + 1))
    largest, slope = penalty.range(upper), penalty.relaxed(upper).strength  # type: ignore[union-attr]
    with mpmath.workdps(60):
        power = mpmath.mpf(2) / (layers + 1)
        assert mpmath.mpf(weight) * mpmath.mpf(largest) ** power >= mpmath.mpf(upper)
        assert slope * mpmath.mpf(largest) <= mpmath.mpf(weight) * mpmath.mpf(largest) ** power


@given(st.integers(1, 50), st.floats(1e-12, 1e3), st.floats(1e-12, 1e3))
@settings(max_examples=40, deadline=None)
def test_the_price_of_layers_is_accurate(layers, weight, features):
    head, decay = ufm.Explicit(layers), ufm.WeightDecay(weight, features)
    price = head.penalty(decay, 3)
    with mpmath.workdps(60):
        mean = mpmath.root(mpmath.mpf(weight) ** layers * mpmath.mpf(features), layers + 1)
        error = abs(mpmath.mpf(price.strength) / (mean * (layers + 1) / 2) - 1)  # type: ignore[union-attr]
    assert error <= 6 * 2.0**-53


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_scalar_problems_against_a_fine_grid(data):
    # Squared error under a concave price: the bound is below F everywhere, and close to the least value on a grid.
    decay = data.draw(st.floats(1e-6, 1e-1))
    head = data.draw(st.sampled_from([ufm.Explicit(2), ufm.Explicit(4), ufm.DecayedDEQ(0.05, 0.5), ufm.DecayedDEQ(1e-3, 0.99)]))
    size = data.draw(st.integers(1, 1000))
    problem = ufm.Problem([size] * 3, regularizer=ufm.WeightDecay(decay, decay), loss=ufm.SquaredError(), head=head)
    program = problem.program()
    assert splits(program)
    target, curvature = float(program.scale[0]), float(program.share[0] / program.scale[0] ** 2)
    grid = np.concatenate([[0.0], np.geomspace(1e-9, 1.0, 4000), 1.0 - np.geomspace(1e-9, 0.5, 4000)]) * target
    values = 0.5 * curvature * (grid - target) ** 2 + program.penalty.each(grid)  # type: ignore[union-attr]
    found = scalar_bound(program)
    assert found <= 3 * float(values.min()) * (1 + 1e-15)
    assert found >= 3 * float(values.min()) * (1 - 1e-5)


def test_a_large_number_of_classes_agrees_with_the_rigorous_bounds():
    for counts in ("90000*10000,1*2", "2*1,200*5000,13*100", "5*300,4*300,3*300,2*300"):
        for decay in ((1e-8, 1e-8), (1e-8, 1e-8, 0.01), (1e-8, 1e-8, 0.0)):
            problem = ufm.Problem(ufm.ClassCounts.parse(counts), regularizer=ufm.WeightDecay(*decay))
            found = ufm.solve(problem).certificate
            proved = found.rigorous()
            assert found.lower <= proved.lower * (1 + 1e-15)
            assert found.upper >= proved.upper * (1 - 1e-15)


def test_no_bound_rests_on_the_quality_of_the_factors():
    # Bounds at poor factors are poor, never false: the value of the solution lies between them.
    rng = np.random.default_rng(5)
    problem = ufm.Problem([100, 100, 7], regularizer=ufm.WeightDecay(1e-3, 1e-3, 0.0), loss=ufm.CrossEntropy(smoothing=0.1))
    solution = ufm.solve(problem)
    factors = solution.factors
    for size in (1e-8, 1e-3, 1.0, 30.0):
        moved = factors._replace(
            left=factors.left + size * rng.standard_normal(factors.left.shape),
            right=factors.right + size * rng.standard_normal(factors.right.shape),
            bias=factors.bias + size * rng.standard_normal(factors.bias.shape),
        )
        found = bounds(solution.program, moved)
        assert found.lower <= solution.certificate.upper
        assert found.upper >= solution.certificate.lower
        assert found.lower <= found.value <= found.upper


def test_bounds_that_cross_are_refused():
    solution = ufm.solve(ufm.Problem([20] * 4, regularizer=ufm.WeightDecay(5e-3, 5e-3)))
    for value in (solution.certificate.lower * (1 - 1e-9), solution.certificate.upper * (1 + 1e-9), float("nan")):
        with pytest.raises(ufm.ConvergenceError, match="outside of its bounds"):
            replace(solution, value=value)


HEADS = ["explicit", "deq:rho=0.3", "deq:decay=0.05,contraction=0.5", "deq:frobenius=0.5", "explicit:2"]


@pytest.mark.parametrize("head", HEADS)
def test_temperatures_far_apart(head):
    from ufm.problem.text import parse_head, parse_loss

    loss = parse_loss("ce:temperatures=58/0.7,smoothing=0.1")
    problem = ufm.Problem([100, 10], regularizer=ufm.WeightDecay(1e-7, 1e-7), loss=loss, head=parse_head(head))
    solution = ufm.solve(problem)
    assert violations(solution) == []
    if solution.program.penalty.convex:
        assert solution.certificate.relative_gap < 1e-11


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 10**6),
    st.floats(1.0, 1e6),
    st.floats(1e-9, 1.5),
    st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_step_imbalance_in_blocks(majority, minority, least, ratio, part, budget):
    most = max(least + 1, round(least * ratio))
    counts = ufm.step_imbalanced(majority=majority, minority=minority, n_majority=most, n_minority=least)
    sizes = {"majority": majority, "minority": minority, "n_majority": most, "n_minority": least}
    if budget:
        # Logits of the smallest budget problems reach K c / (K - 1); those above 200 are refused.
        c = 130.0 * part * (counts.classes - 1) / counts.classes
        found, regularizer = solve_steps(**sizes, radius=counts.classes * c), ufm.NormBudget(c, c)
    else:
        mu = float(np.sqrt(most)) / counts.total * part
        found, regularizer = solve_steps(**sizes, mu=mu), ufm.WeightDecay(mu, mu)
    problem = ufm.Problem(counts, regularizer=regularizer)
    proved = ufm.solve(problem, method="symmetric", level="rigorous").certificate
    assert found.lower[0] <= proved.upper
    assert found.upper[0] >= proved.lower
    assert found.lower[0] <= found.value[0] <= found.upper[0]


def test_frobenius_maps_hold_their_budget_exactly():
    # Sum of squares of A's singular values in exact arithmetic; float64 has no number between the last ones below 1.
    for budget in (0.3, 0.99996, 1.0 - 2.0**-53, 0.1, 0.7):
        head = ufm.FrobeniusDEQ(budget)
        for singular in ([1.0], [3.0, 1e-9], [1.0, 1.0, 1.0], [5.0, 2.0, 1e-3]):
            found = head.strengths(np.array(singular), np.ones(len(singular)))
            assert sum(Fraction(a) ** 2 for a in found.tolist()) <= Fraction(budget)
            assert float(found @ found) >= budget * (1 - 1e-14)


@pytest.mark.parametrize("number", [662, 4895, 9914])
def test_budgets_whose_multiplier_is_sought_beyond_float64(number):
    """Non-negative features with class shares so small that price over share overflows at the end of the search."""
    labels, wrong = attack(1, number, normalised=False)
    assert labels == ["ReLU", "ce", "optimal"]
    assert not wrong
