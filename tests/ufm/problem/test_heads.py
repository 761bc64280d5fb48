"""Heads as penalties: value, slope, proximal map and concavity against brute force; parameters against the objective."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm
from ufm.solvers import Gradient, Multistart
from ufm.solvers.dynamics.samples import SampleModel
from ufm.spectral.penalties import (
    MinimaxConcave,
    Nuclear,
    NuclearBall,
    NuclearMinusFrobenius,
    NuclearMinusFrobeniusBall,
    Schatten,
    SchattenBall,
)

DECAY, BUDGET = ufm.WeightDecay(8e-3, 1.2e-2), ufm.NormBudget(1.0, 2.0)
PRICES = {
    "nuclear": Nuclear(0.3),
    "schatten": Schatten(0.4, 2 / 3),
    "deep schatten": Schatten(0.2, 1 / 4),
    "minimax": MinimaxConcave(0.5, 0.8, 0.6),
    "relief": NuclearMinusFrobenius(0.3, 0.36),
}
BALLS = {"nuclear": NuclearBall(3.0), "schatten": SchattenBall(3.0, 0.5), "relief": NuclearMinusFrobeniusBall(2.0, 0.25)}
HEADS = {
    "explicit": (ufm.Explicit(), (DECAY, BUDGET)),
    "two layers": (ufm.Explicit(2), (DECAY, BUDGET)),
    "three layers": (ufm.Explicit(3), (DECAY, BUDGET)),
    "spectral": (ufm.LinearDEQ(0.4), (DECAY, BUDGET)),
    "decayed": (ufm.DecayedDEQ(0.1, 0.6), (DECAY,)),
    "frobenius": (ufm.FrobeniusDEQ(0.3), (DECAY, BUDGET)),
    "relu": (ufm.ReLU(), (DECAY, BUDGET)),
    "etf": (ufm.FixedETF(), (DECAY, BUDGET)),
    "etf average": (ufm.FixedETF(average=True), (BUDGET,)),
    "etf norm": (ufm.FixedETF(norm=2.0), (DECAY,)),
}
CASES = [(name, regularizer) for name, (_, regularizers) in HEADS.items() for regularizer in regularizers]


@pytest.mark.parametrize("name", PRICES)
def test_slopes_are_derivatives(name):
    penalty, copies = PRICES[name], np.array([1.0, 3.0, 1.0])
    singular = np.array([2.0, 0.7, 0.3])
    for i in range(3):
        step = np.zeros(3)
        step[i] = 1e-6
        difference = (penalty.value(singular + step, copies) - penalty.value(singular - step, copies)) / 2e-6
        assert copies[i] * penalty.slope(singular, copies)[i] == pytest.approx(difference, rel=1e-6)


@pytest.mark.parametrize("name", BALLS)
def test_gauges_are_of_degree_one_with_their_slopes(name):
    ball, copies = BALLS[name], np.array([1.0, 2.0])
    singular = np.array([1.5, 0.4])
    assert ball.gauge(3.0 * singular, copies) == pytest.approx(3.0 * ball.gauge(singular, copies), rel=1e-12)
    assert (copies * singular) @ ball.slope(singular, copies) == pytest.approx(ball.gauge(singular, copies), rel=1e-12)
    assert ball.value(singular / ball.gauge(singular, copies), copies) == 0.0
    assert ball.value(1.001 * singular / ball.gauge(singular, copies), copies) == np.inf
    kept, multiplier = ball.prox(4.0 * singular, copies, np.full(2, 0.5))
    assert ball.gauge(kept, copies) <= 1 + 1e-9
    assert multiplier > 0


@given(st.sampled_from([n for n in PRICES if n != "relief"]), st.floats(0.0, 6.0), st.floats(0.02, 8.0))
def test_proximal_maps_are_global_minima(name, target, step):
    """No point of a fine grid is better, on either side of every threshold."""
    penalty, one = PRICES[name], np.ones(1)
    kept, _ = penalty.prox(np.array([target]), one, np.array([step]))

    def cost(s):
        return (s - target) ** 2 / (2 * step) + penalty.value(np.array([s]), one)

    grid = min(cost(float(s)) for s in np.linspace(0.0, 7.0, 400))
    assert cost(float(kept[0])) <= grid + 1e-12


@given(st.lists(st.floats(0.0, 4.0), min_size=1, max_size=4), st.floats(0.05, 3.0), st.integers(0, 10**6))
def test_the_relief_proximal_map_beats_random_points(values, step, seed):
    penalty = PRICES["relief"]
    sigma, copies = np.array(values), np.ones(len(values))
    kept, _ = penalty.prox(sigma, copies, np.full(len(values), step))

    def cost(s):
        return float(np.sum((s - sigma) ** 2)) / (2 * step) + penalty.value(s, copies)

    rng = np.random.default_rng(seed)
    others = [np.abs(kept + size * rng.standard_normal(len(sigma))) for size in (1e-3, 0.1, 1.0) for _ in range(20)]
    assert all(cost(kept) <= cost(other) + 1e-12 for other in [*others, np.zeros(len(sigma)), sigma])


def test_concavity_moduli():
    """penalty + m/2 s^2 is convex, and no smaller m makes it so."""
    s = np.linspace(0.0, 3.0, 4001)
    each = PRICES["minimax"].each(s)
    for factor, convex in ((1.0, True), (0.98, False)):
        bent = np.diff(each + 0.5 * factor * PRICES["minimax"].modulus * s**2, 2)
        assert (bent.min() >= -1e-12) == convex


@given(st.sampled_from(sorted(PRICES)), st.lists(st.floats(0.0, 9.0), min_size=1, max_size=5), st.floats(1.0, 3.0))
def test_relaxations_are_below_on_the_sublevel_set(name, values, loose):
    penalty, sigma = PRICES[name], np.array(values)
    ones = np.ones(len(values))
    upper = loose * penalty.value(sigma, ones) + 1e-9
    assert penalty.relaxed(upper).value(sigma, ones) <= penalty.value(sigma, ones) * (1 + 1e-12)


@pytest.mark.parametrize("name", [n for n in BALLS if n != "nuclear"])
def test_relaxed_balls_contain_the_ball(name):
    rng = np.random.default_rng(1)
    for _ in range(50):
        sigma = rng.exponential(1.0, 4) ** 2
        sigma /= BALLS[name].gauge(sigma, np.ones(4))
        assert BALLS[name].relaxed(1.0).gauge(sigma, np.ones(4)) <= 1 + 1e-12


@pytest.mark.parametrize(("name", "regularizer"), CASES)
def test_recovered_parameters_attain_the_value(name, regularizer):
    """The model's own objective at explicit W, A or V_l, H is the solution's value, and a wrong map is noticed."""
    for counts in ([6] * 4, [9, 9, 4, 2]):
        problem = ufm.Problem(counts, regularizer=regularizer, head=HEADS[name][0])
        method = "auto" if problem.program().penalty.convex else Multistart(starts=2, effort=0)
        solution = ufm.solve(problem, method=method)
        found = solution.parameters
        assert problem.objective(found) == pytest.approx(solution.value, rel=1e-9)
        assert np.allclose(found.logits, np.asarray(solution.logits), atol=1e-9 * np.abs(found.logits).max())
        rigorous = solution.certificate.rigorous()
        assert rigorous.lower <= solution.certificate.upper
        assert rigorous.upper <= solution.certificate.upper * (1 + 1e-12)
        assert rigorous.upper >= solution.value * (1 - 1e-12)


@pytest.mark.parametrize(("name", "regularizer"), CASES)
def test_sample_level_gradients(name, regularizer):
    """Central differences of the sample-level objective along random directions, every array on its own."""
    problem = ufm.Problem([3, 2, 2], regularizer=regularizer, head=HEADS[name][0])
    model = SampleModel(problem)
    rng = np.random.default_rng(4)
    state = model.initial(rng, 0.5)
    state = state.rebuilt([a + 0.05 * rng.standard_normal(a.shape) for a in state.present()])
    gradient = model.value_and_gradient(state)[1]
    arrays, slopes = state.present(), gradient.present()
    slopes[1] = slopes[1] / model.metric
    for i, (array, slope) in enumerate(zip(arrays, slopes, strict=True)):
        if i == 0 and model.fixed is not None:
            continue
        direction = rng.standard_normal(array.shape)
        values = []
        for sign in (1, -1):
            moved = list(arrays)
            moved[i] = array + sign * 1e-6 * direction
            values.append(model.value_and_gradient(state.rebuilt(moved))[0])
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(float(np.vdot(slope, direction)), rel=2e-5, abs=1e-8)


@pytest.mark.parametrize("name", ["relu", "etf", "spectral"])
def test_gradient_descent_ends_at_the_closed_form(name):
    problem = ufm.Problem([8, 4, 4], regularizer=ufm.WeightDecay(1e-2, 1e-2), head=HEADS[name][0], dim=5)
    trained = ufm.solve(problem, method=Gradient(rule="heavy-ball", scale=0.5, tolerance=1e-6))
    assert trained.value == pytest.approx(ufm.solve(problem).value, rel=1e-5)
    assert ufm.solve(problem).status is ufm.Status.OPTIMAL


def test_alignment_is_needed():
    """The same W and H with the map of another basis cost as much and reach less."""
    problem = ufm.Problem([10] * 4, regularizer=DECAY, head=ufm.DecayedDEQ(0.05, 0.6))
    found = ufm.solve(problem, method=Multistart(starts=2)).parameters
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal(found.mixing.shape))[0]
    turned = ufm.Parameters(found.weight, found.features, turn @ found.mixing @ turn.T)
    assert problem.objective(turned) > problem.objective(found)


def test_parameters_of_another_head_are_refused():
    explicit = ufm.solve(ufm.Problem([5] * 3, regularizer=DECAY)).parameters
    for head in (ufm.LinearDEQ(0.3), ufm.Explicit(2), ufm.DecayedDEQ(0.1, 0.5)):
        with pytest.raises(ufm.InputError):
            ufm.Problem([5] * 3, regularizer=DECAY, head=head).objective(explicit)
    deq = ufm.Problem([5] * 3, regularizer=DECAY, head=ufm.FrobeniusDEQ(0.2))
    found = ufm.solve(deq, method=Multistart(starts=1)).parameters
    assert deq.objective(ufm.Parameters(found.weight, found.features, 1.5 * found.mixing)) == np.inf


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: ufm.Explicit(0), "depth"),
        (lambda: ufm.Explicit(2.5), "depth"),
        (lambda: ufm.DecayedDEQ(0.1), "not be attained"),
        (lambda: ufm.DecayedDEQ(0.1, 1.0), "contraction"),
        (lambda: ufm.DecayedDEQ(0.1, 0.0), "contraction"),
        (lambda: ufm.DecayedDEQ(float("nan"), 0.5), "decay on A"),
        (lambda: ufm.FrobeniusDEQ(1.0), "frobenius"),
        (lambda: ufm.FixedETF(norm=0.0), "norm"),
        (lambda: ufm.CrossEntropy(smoothing=1.0), "smoothing"),
        (lambda: ufm.CrossEntropy(smoothing=-0.1), "smoothing"),
        (lambda: ufm.CrossEntropy(temperatures=-1.0), "temperatures"),
        (lambda: ufm.CrossEntropy(temperatures=(1.0, 0.0)), "temperatures"),
        (lambda: ufm.CrossEntropy(weights=float("inf")), "weights"),
        (lambda: ufm.Problem([5, 5, 2], regularizer=DECAY, head=ufm.ReLU(), dim=2), "dim=2"),
        (lambda: ufm.Problem([5, 5], regularizer=DECAY, head=ufm.ReLU(), loss=ufm.SquaredError()), "relu"),
        (lambda: ufm.Problem([5, 5], regularizer=ufm.WeightDecay(1, 1, 1), head=ufm.ReLU()), "bias"),
        (lambda: ufm.Problem([5, 5], regularizer=BUDGET, head=ufm.DecayedDEQ(0.1, 0.5)), "WeightDecay"),
        (lambda: ufm.Problem([5, 5], regularizer=DECAY, head=ufm.FixedETF(average=True)), "average"),
        (lambda: ufm.Problem([5, 2], regularizer=DECAY, loss=ufm.CrossEntropy(weights=(1.0, 2.0, 3.0))), "weights"),
    ],
)
def test_bad_heads_and_losses_get_one_sentence(make, word):
    with pytest.raises(ufm.InputError, match=word) as caught:
        make()
    assert "\n" not in str(caught.value)
