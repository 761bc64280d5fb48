"""Objective and gradients of whole networks, bodies of equal size, optimizers."""

import numpy as np
import pytest

import ufm
from ufm.deq import Anderson, Implicit, Newton, Picard
from ufm.training import SGD, Adam, Decay, Equilibrium, Network, Settings, Stack
from ufm.training.bodies import MAPS
from ufm.training.network import cross_entropy

from ..deq.conftest import SAMPLES

TIGHT = {"method": Newton(rtol=1e-14, patience=20), "adjoint": Implicit(method=Anderson(rtol=1e-13))}


def bodies():
    found = {name: Equilibrium(map=name, contraction=0.8, **TIGHT) for name in MAPS}
    found |= {f"{name} stack": Stack(map=name) for name in MAPS}
    return found


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.mark.parametrize("name", list(bodies()))
@pytest.mark.parametrize("jacobian", [0.0, 0.3])
@pytest.mark.parametrize("norm", [None, 2.0])
def test_gradients_against_differences(name, jacobian, norm, rng):
    body = bodies()[name]
    if jacobian and isinstance(body, Stack):
        with pytest.raises(ufm.InputError, match="explicit"):
            body.penalty({}, np.ones((1, 1)), np.ones((1, 1)))
        return
    decay = Decay(classifier=0.1, features=0.02 if norm is None else 0.0, body=0.05, encoder=0.03, jacobian=jacobian)
    network = Network(3, 5, 4, body, decay, norm)
    parameters = network.projected(network.initial(1))
    x, y = rng.standard_normal((SAMPLES, 3)), rng.integers(0, 4, SAMPLES)
    found = network.evaluate(parameters, x, y, 20)
    assert set(found.gradients) == set(parameters)
    for part, gradient in found.gradients.items():
        direction = rng.standard_normal(gradient.shape)
        values = [
            network.evaluate(parameters | {part: parameters[part] + t * direction}, x, y, 20).objective for t in (1e-6, -1e-6)
        ]
        slope = (values[0] - values[1]) / 2e-6
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=2e-5, abs=2e-8), part


@pytest.mark.parametrize("name", MAPS)
def test_bodies_have_equally_many_parameters_and_paired_starts(name):
    deq, explicit = (Network(7, 6, 4, body(map=name)) for body in (Equilibrium, Stack))
    assert deq.size == explicit.size
    first, second = deq.initial(3), explicit.initial(3)
    for part in ("encoder.weight", "classifier.weight"):
        assert (first[part] == second[part]).all()
    assert not (deq.initial(4)["encoder.weight"] == first["encoder.weight"]).all()


def test_the_objective_is_that_of_the_unconstrained_feature_model(rng):
    """Features equal within classes, other decays zero: the network's objective is the model's, in the same convention."""
    counts = ufm.step_imbalanced(majority=2, minority=2, n_majority=6, n_minority=2)
    labels = np.repeat(np.arange(4), list(counts))
    weight, means = rng.standard_normal((4, 5)), rng.standard_normal((5, 4))
    network = Network(3, 5, 4, Stack(), Decay(classifier=0.2, features=0.03))
    parameters = network.initial(0) | {"classifier.weight": weight}
    value, loss = network.objective(parameters, means.T[labels], labels, len(labels))
    problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(0.2, 0.03), dim=5)
    assert value == pytest.approx(problem.objective(ufm.Parameters(weight, means)), rel=1e-12)
    assert value >= ufm.predict(problem).lower
    assert loss < value


@pytest.mark.parametrize("norm", [0.5, 3.0])
def test_with_a_feature_norm_it_is_that_of_features_of_this_norm(norm, rng):
    counts = ufm.step_imbalanced(majority=2, minority=2, n_majority=6, n_minority=2)
    labels = np.repeat(np.arange(4), list(counts))
    network = Network(3, 5, 4, Stack(), Decay(classifier=0.2, features=0.0), norm)
    parameters, x = network.initial(0), rng.standard_normal((len(labels), 3))
    z, _ = network.features(parameters, x)
    assert np.linalg.norm(z, axis=1) == pytest.approx(norm, rel=1e-14)
    problem = ufm.Problem(counts, regularizer=ufm.ClassifierDecay(0.2), head=ufm.LayerNorm(norm))
    assert network.objective(parameters, z, labels, len(labels))[0] >= ufm.predict(problem).lower
    # At the optimum of the model the network's objective is the certified value.
    solution = ufm.solve(problem)
    found = solution.parameters
    wide = Network(3, found.weight.shape[1], 4, Stack(), Decay(classifier=0.2, features=0.0), norm)
    at = wide.initial(0) | {"classifier.weight": found.weight}
    value, _ = wide.objective(at, wide.normalised(found.outputs.T[labels])[0], labels, len(labels))
    assert value == pytest.approx(solution.value, rel=1e-9)
    # A feature of length zero stays where it is, and nothing is divided by it.
    assert not wide.normalised(np.zeros((2, 5)))[0].any()


def test_the_batch_objective_averages_to_that_of_the_training_set(rng):
    network = Network(3, 5, 4, Equilibrium(**TIGHT), Decay(classifier=0.2, features=0.03, body=0.1))
    parameters = network.initial(0)
    x, y = rng.standard_normal((12, 3)), rng.integers(0, 4, 12)
    parts = [network.evaluate(parameters, x[k : k + 4], y[k : k + 4], 12) for k in (0, 4, 8)]
    z, _ = network.features(parameters, x)
    assert np.mean([p.objective for p in parts]) == pytest.approx(network.objective(parameters, z, y, 12)[0], rel=1e-10)
    whole = network.evaluate(parameters, x, y, 12)
    for name, gradient in whole.gradients.items():
        assert np.mean([p.gradients[name] for p in parts], axis=0) == pytest.approx(gradient, abs=1e-10)


def test_the_spectral_projection_keeps_the_contraction():
    network = Network(3, 6, 4, Equilibrium(contraction=0.5))
    parameters = network.initial(0)
    moved = network.projected(parameters | {"body.weight": 10 * parameters["body.weight"]})
    assert np.linalg.norm(moved["body.weight"], 2) == pytest.approx(0.5)
    free = Network(3, 6, 4, Equilibrium(contraction=None))
    assert free.projected(moved) is moved


def test_cross_entropy_of_extreme_logits():
    value, mass = cross_entropy(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]))
    assert value == pytest.approx(5e3)
    assert mass == pytest.approx(np.array([[0, 0], [-0.5, 0.5]]))


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(learning_rate=0.05),
        SGD(learning_rate=0.1, momentum=0.0),
        Adam(learning_rate=0.3),
        Adam(learning_rate=0.1, schedule="constant"),
    ],
)
def test_optimizers_minimise_a_quadratic(optimizer):
    scale = np.array([1.0, 4.0])
    parameters, memory = {"x": np.array([3.0, -2.0])}, {}
    for step in range(400):
        parameters, memory = optimizer.step(parameters, {"x": scale * parameters["x"]}, memory, step / 400)
    assert np.abs(parameters["x"]).max() < 1e-2


def test_adam_is_that_of_its_paper():
    """First steps worked out by hand: rate times sign, then the bias-corrected ratio."""
    optimizer = Adam(learning_rate=0.1, schedule="constant")
    parameters, memory = optimizer.step({"x": np.zeros(2)}, {"x": np.array([5.0, -1e-3])}, {}, 0.0)
    assert parameters["x"] == pytest.approx([-0.1, 0.1], rel=1e-4)
    moved, _ = optimizer.step(parameters, {"x": np.array([1.0, 1e-3])}, memory, 0.0)
    first = (0.9 * 0.1 * 5 + 0.1) / (1 - 0.81)
    second = (0.999 * 0.001 * 25 + 0.001) / (1 - 0.999**2)
    assert moved["x"][0] == pytest.approx(-0.1 - 0.1 * first / np.sqrt(second), rel=1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Decay(classifier=-1),
        lambda: Decay(features=float("nan")),
        lambda: Equilibrium(map="gru"),
        lambda: Equilibrium(contraction=1.0),
        lambda: Stack(map="gru"),
        lambda: SGD(momentum=1.0),
        lambda: SGD(learning_rate=0.0),
        lambda: Adam(schedule="step"),
        lambda: Network(3, 5, 4, feature_norm=0.0, decay=Decay(features=0.0)),
        lambda: Network(3, 5, 4, feature_norm=float("nan"), decay=Decay(features=0.0)),
        lambda: Network(3, 5, 4, feature_norm=True, decay=Decay(features=0.0)),
        lambda: Network(3, 5, 4, feature_norm=1.0),
        lambda: Settings(feature_norm=1.0, decay=(1e-2, 1e-4)),
        lambda: Settings(feature_norm=1.0, decay=(1e-2, 0.0, 0.0)),
        lambda: Settings(feature_norm="1"),
    ],
)
def test_bad_input(bad):
    with pytest.raises(ufm.InputError):
        bad()


def test_an_unsolved_adjoint_stops_the_gradient(rng):
    body = Equilibrium(contraction=0.95, adjoint=Implicit(method=Picard(max_calls=1)))
    network = Network(3, 6, 4, body)
    with pytest.raises(ufm.ConvergenceError):
        network.evaluate(network.initial(0), rng.standard_normal((5, 3)), rng.integers(0, 4, 5), 5)
