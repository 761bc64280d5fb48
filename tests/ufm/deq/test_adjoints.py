"""Gradients by the implicit function theorem against dense, complex-step, difference and unrolled routes."""

import numpy as np
import pytest

import ufm
from ufm.deq import (
    AdjointWarning,
    AffineLayer,
    Anderson,
    Broyden,
    Dense,
    FixedPointStatus,
    ForwardBackward,
    Gmres,
    Implicit,
    LinearLayer,
    MonotoneLayer,
    Newton,
    OwnMap,
    PeacemanRachford,
    Phantom,
    Picard,
    unrolled,
)

from .conftest import SAMPLES, WIDTH

TIGHT = Newton(rtol=1e-14, patience=20)
ADJOINTS = {
    "dense": Dense(),
    "anderson": Implicit(method=Anderson(rtol=1e-12)),
    "broyden": Implicit(method=Broyden(rtol=1e-12)),
    "gmres": Gmres(rtol=1e-11),
}


def equilibrium(layer, inputs):
    return TIGHT(layer.at(inputs), np.zeros((len(inputs), layer.width))).value


def implicit_gradients(layer, inputs, cotangent, adjoint):
    z = equilibrium(layer, inputs)
    found = adjoint(layer.at(inputs), z, cotangent)
    assert found.status is FixedPointStatus.CONVERGED
    return layer.pull(z, inputs, found.value)


@pytest.mark.parametrize("name", ADJOINTS)
def test_adjoints_agree_with_the_dense_system(name, layer, inputs, rng):
    map_, z = layer.at(inputs), equilibrium(layer, inputs)
    v = rng.standard_normal(z.shape)
    found = ADJOINTS[name](map_, z, v)
    jacobian = map_.jacobian(z)
    for row in range(SAMPLES):
        expected = v[row] @ np.linalg.inv(np.eye(WIDTH) - jacobian[row])
        assert found.value[row] == pytest.approx(expected, rel=1e-8, abs=1e-9)
    assert found.relative.max() <= 1e-8


def test_jacobians_agree_with_differences_and_with_the_generic_route(layer, inputs, rng):
    map_, z = layer.at(inputs), rng.standard_normal((SAMPLES, WIDTH))
    jacobian = map_.jacobian(z)
    assert ufm.deq.BatchMap.jacobian(map_, z) == pytest.approx(jacobian, abs=1e-14)
    direction = rng.standard_normal(z.shape)
    slope = (map_.value(z + 1e-6 * direction) - map_.value(z - 1e-6 * direction)) / 2e-6
    assert np.einsum("bij,bj->bi", jacobian, direction) == pytest.approx(slope, abs=1e-7)
    assert map_.vjp(z, direction) == pytest.approx(np.einsum("bi,bij->bj", direction, jacobian), abs=1e-13)


def test_complex_step(inputs, rng):
    """dL/dtheta of the tanh equilibrium from f in complex arithmetic: no subtraction, full precision."""
    layer = AffineLayer.initial(WIDTH, inputs.shape[1], rng, norm=0.8)
    v = rng.standard_normal((SAMPLES, WIDTH))
    by_inputs, gradients = implicit_gradients(layer, inputs, v, Dense())
    tiny = 1e-30

    def loss(weight, injection, bias, x):
        z = np.zeros((SAMPLES, WIDTH), dtype=complex)
        for _ in range(400):
            z = np.tanh(z @ weight.T + x @ injection.T + bias)
        return np.sum(v * z)

    arrays = [layer.weight, layer.injection, layer.bias, inputs]
    analytic = [gradients["weight"], gradients["injection"], gradients["bias"], by_inputs]
    for i, gradient in enumerate(analytic):
        direction = rng.standard_normal(gradient.shape)
        moved = [a + 0j for a in arrays]
        moved[i] = arrays[i] + 1j * tiny * direction
        assert np.sum(gradient * direction) == pytest.approx(loss(*moved).imag / tiny, rel=1e-10)


def test_taylor_slopes(layer, inputs, rng):
    """The remainder of the first-order expansion falls by four when the step is halved."""
    v = rng.standard_normal((SAMPLES, WIDTH))
    by_inputs, gradients = implicit_gradients(layer, inputs, v, Dense())
    base = np.sum(v * equilibrium(layer, inputs))
    directions = {name: rng.standard_normal(value.shape) for name, value in layer.parameters.items()}
    direction = rng.standard_normal(inputs.shape)
    slope = np.sum(by_inputs * direction) + sum(np.sum(gradients[n] * directions[n]) for n in directions)
    steps = 1e-4 * 0.5 ** np.arange(3)
    rest = []
    for t in steps:
        moved = layer.replaced({name: value + t * directions[name] for name, value in layer.parameters.items()})
        value = np.sum(v * equilibrium(moved, inputs + t * direction))
        rest.append(abs(value - base - t * slope))
    if isinstance(layer, LinearLayer | MonotoneLayer) or layer.sigma == "tanh":
        ratios = np.array(rest[:-1]) / np.array(rest[1:])
        assert ratios == pytest.approx([4.0, 4.0], rel=0.05)
    # The zeroth-order expansion falls by two only: the test above can fail.
    assert rest[0] < 1e-2 * abs(steps[0] * slope)


def test_unrolling_tends_to_the_implicit_gradient(layer, inputs, rng):
    if isinstance(layer, MonotoneLayer):
        layer = MonotoneLayer.initial(WIDTH, inputs.shape[1], rng, norm=0.3, margin=0.7)  # Picard converges
    v = rng.standard_normal((SAMPLES, WIDTH))
    by_inputs, gradients = implicit_gradients(layer, inputs, v, Dense())
    distance = []
    for steps in (5, 40, 400):
        z, dx, total = unrolled(layer, inputs, np.zeros((SAMPLES, WIDTH)), steps, v)
        errors = [np.abs(dx - by_inputs).max(), *(np.abs(total[n] - gradients[n]).max() for n in gradients)]
        distance.append(max(errors))
    assert distance[2] < 1e-9
    assert distance[0] > 10 * distance[1]
    assert z == pytest.approx(equilibrium(layer, inputs), abs=1e-10)


@pytest.mark.parametrize("method", [PeacemanRachford(rtol=1e-11), ForwardBackward(rtol=1e-9, max_calls=40_000)])
def test_splittings_solve_the_matching_adjoint(method, inputs, rng):
    layer = MonotoneLayer.initial(WIDTH, inputs.shape[1], rng, norm=2.0, margin=0.3)
    z, map_ = equilibrium(layer, inputs), layer.at(inputs)
    v = rng.standard_normal(z.shape)
    exact, found = Dense()(map_, z, v), Implicit(method=method)(map_, z, v)
    assert found.value == pytest.approx(exact.value, rel=1e-6, abs=1e-6)
    with pytest.raises(ufm.InputError, match="MonotoneLayer"):
        Implicit(method=method)(AffineLayer.initial(WIDTH, 4, rng).at(inputs), z, v)


def test_phantom_gradients_tend_to_the_gradient_and_say_how_far_they_are(inputs, rng):
    layer = AffineLayer.initial(WIDTH, inputs.shape[1], rng, norm=0.8)
    map_, z = layer.at(inputs), equilibrium(layer, inputs)
    v = rng.standard_normal(z.shape)
    exact = Dense()(map_, z, v).value
    distances = [np.abs(Phantom(steps=k)(map_, z, v).value - exact).max() for k in (1, 4, 16, 64)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-6
    assert Phantom(steps=1)(map_, z, v).value == pytest.approx(v)
    assert Phantom(steps=1)(map_, z, v).relative.max() > 1e-2
    for steps in (1, 64, 1000):  # a series that is cut is no solution, however close it comes
        found = Phantom(steps=steps)(map_, z, v)
        assert found.status is FixedPointStatus.TRUNCATED
        assert not found.converged.any()
    with np.errstate(invalid="ignore"), pytest.raises(ufm.ConvergenceError, match="NaN or infinity"):
        Phantom(steps=2)(map_, z, np.full_like(z, np.inf))


def test_a_failed_adjoint_is_never_silent(inputs, rng):
    layer = AffineLayer.initial(WIDTH, inputs.shape[1], rng, norm=0.95)
    map_, z = layer.at(inputs), equilibrium(layer, inputs)
    v = rng.standard_normal(z.shape)
    for adjoint in (Implicit(method=Picard(max_calls=2)), Gmres(rtol=1e-12, restart=2, max_calls=4)):
        with pytest.raises(ufm.ConvergenceError, match="not solved"):
            adjoint(map_, z, v)
    with pytest.warns(AdjointWarning, match="not solved"):
        found = Implicit(method=Picard(max_calls=2), failure="warn")(map_, z, v)
    assert found.status is FixedPointStatus.MAX_CALLS
    assert np.abs(found.value).min() > 0
    singular = LinearLayer(np.eye(2), np.eye(2), np.zeros(2)).at(np.zeros((1, 2)))
    with pytest.raises(ufm.ConvergenceError):
        Dense()(singular, np.zeros((1, 2)), np.ones((1, 2)))
    assert Dense()(map_, z, np.zeros_like(z)).value == pytest.approx(0.0)


def test_own_maps_are_differentiated(rng):
    x = rng.standard_normal((4, 3))
    own = OwnMap(lambda z, x: 0.5 * np.sin(z) + x, lambda z, x, v: 0.5 * np.cos(z) * v, x)
    z = Anderson(rtol=1e-13)(own, np.zeros((4, 3))).value
    v = rng.standard_normal(z.shape)
    assert Implicit(method=Anderson(rtol=1e-12))(own, z, v).value == pytest.approx(v / (1 - 0.5 * np.cos(z)), rel=1e-10)
    with pytest.raises(ufm.InputError, match="pullback"):
        Implicit()(OwnMap(own.function, None, x), z, v)
    with pytest.raises(ufm.InputError, match="linear"):
        Implicit(method=Newton())(own, z + 1.0, v)


def test_the_jacobian_penalty_is_the_mean_square_of_dense_jacobians(layer, inputs, rng):
    z = rng.standard_normal((SAMPLES, WIDTH))
    value, by_z, by_inputs, gradients = layer.jacobian_penalty(z, inputs)
    assert value == pytest.approx(0.5 * np.mean(np.sum(layer.at(inputs).jacobian(z) ** 2, axis=(1, 2))))

    def moved(name, t, direction):
        if name == "z":
            return layer.jacobian_penalty(z + t * direction, inputs)[0]
        if name == "inputs":
            return layer.jacobian_penalty(z, inputs + t * direction)[0]
        other = layer.replaced(layer.parameters | {name: layer.parameters[name] + t * direction})
        return other.jacobian_penalty(z, inputs)[0]

    for name, gradient in {"z": by_z, "inputs": by_inputs, **gradients}.items():
        direction = rng.standard_normal(gradient.shape)
        slope = (moved(name, 1e-6, direction) - moved(name, -1e-6, direction)) / 2e-6
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=1e-5, abs=1e-7), name


def test_the_linear_layer_is_the_linear_equilibrium_head(rng):
    """Two routes to one model: the head of the unconstrained-feature solvers, and the layer of trained networks."""
    mixing = rng.standard_normal((WIDTH, WIDTH)) * 0.1
    features = rng.standard_normal((WIDTH, SAMPLES))
    outputs, pullback = ufm.LinearDEQ(0.5).forward((mixing,), features)
    layer = LinearLayer(mixing, np.eye(WIDTH), np.zeros(WIDTH))
    z = layer.solve(features.T)
    assert pytest.approx(outputs, abs=1e-13) == z.T
    slope = rng.standard_normal(outputs.shape)
    by_features, (by_mixing,) = pullback(slope)
    by_inputs, gradients = layer.pull(z, features.T, layer.solve_adjoint(slope.T))
    assert pytest.approx(by_features, abs=1e-12) == by_inputs.T
    assert gradients["weight"] == pytest.approx(by_mixing, abs=1e-12)


def test_singular_systems_are_not_called_solved():
    """Row sums of 1: I - W is exactly singular, and LU returns rows of 1e16 whose relative residual looks small."""
    weight = np.array([[0.1, 0.9, 0.0], [0.3, 0.3, 0.4], [0.7, 0.2, 0.1]])
    layer = LinearLayer(weight, np.eye(3), np.ones(3))
    with pytest.raises(ufm.ConvergenceError):
        Dense()(layer.at(np.zeros((1, 3))), np.zeros((1, 3)), np.ones((1, 3)))
    for solve in (lambda: layer.solve(np.zeros((1, 3))), lambda: layer.solve_adjoint(np.ones((1, 3)))):
        with pytest.raises(ufm.InputError, match="singular"):
            solve()


@pytest.mark.parametrize(("restart", "most"), [(40, 8), (40, 41), (5, 30)])
def test_gmres_keeps_its_limit(restart, most, inputs, rng):
    layer = AffineLayer.initial(WIDTH, inputs.shape[1], rng, norm=0.95)
    z, v = equilibrium(layer, inputs), rng.standard_normal((SAMPLES, WIDTH))
    found = Gmres(rtol=1e-14, restart=restart, max_calls=most, failure="warn").solve(layer.at(inputs), z, v)
    assert found.stats.calls <= most


def test_the_residual_of_a_splitting_adjoint_is_that_of_its_rows(rng):
    layer = MonotoneLayer.initial(WIDTH, 4, rng, norm=8.0, margin=0.3)
    inputs = rng.standard_normal((SAMPLES, 4))
    z, map_ = equilibrium(layer, inputs), layer.at(inputs)
    v = rng.standard_normal(z.shape)
    found = Implicit(method=PeacemanRachford(rtol=1e-6, max_calls=20_000, patience=20_000))(map_, z, v)
    f = v + map_.vjp(z, found.value)
    rest = np.linalg.norm(f - found.value, axis=1) / np.linalg.norm(f, axis=1)
    assert rest == pytest.approx(found.relative, rel=1e-3, abs=1e-15)
    assert found.relative.max() <= 1e-6
