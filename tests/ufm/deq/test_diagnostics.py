"""Certified errors, growth rates, multiplicity and the no-op control."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufm.deq import AffineLayer, Anderson, LinearLayer, MonotoneLayer, Newton, OwnMap, movement, multiplicity, spectral_radius
from ufm.deq.bounds import operator_norm

from .conftest import SAMPLES, WIDTH, reference


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1.0, 1e-150, 1e150]))
def test_the_operator_norm_is_an_upper_bound_and_tight(seed, rows, columns, scale):
    matrix = np.random.default_rng(seed).standard_normal((rows, columns)) * scale
    bound = operator_norm(matrix)
    assert bound <= np.linalg.norm(matrix, 2) * (1 + 1e-12)
    # ||M x|| <= bound ||x|| in exact arithmetic, at the computed leading singular vector.
    x = np.linalg.svd(matrix)[2][0]
    image = [sum(Fraction(float(m)) * Fraction(float(v)) for m, v in zip(row, x, strict=True)) for row in matrix]
    assert sum(y * y for y in image) <= Fraction(bound) ** 2 * sum(Fraction(float(v)) ** 2 for v in x)


def test_errors_enclose_the_equilibrium_and_are_not_idle(layer, inputs, rng):
    exact = Newton(rtol=1e-15, patience=5)(layer.at(inputs), np.zeros((SAMPLES, WIDTH))).value
    for scale in (1e-8, 1e-3, 1.0):
        z = exact + scale * rng.standard_normal(exact.shape)
        distance, bound = np.linalg.norm(z - exact, axis=1), layer.error(z, inputs)
        assert (distance <= bound).all()
        assert (bound <= 100 * distance).all()
    # Halving the bound would be wrong somewhere: the worst direction of a linear map attains residual / (1 - L).
    steep = LinearLayer(0.9 * np.eye(2), np.eye(2), np.zeros(2))
    z = np.array([[1.0, 0.0]])
    assert steep.error(z, np.zeros((1, 2)))[0] == pytest.approx(1.0, rel=1e-9)
    assert np.isinf(AffineLayer(np.eye(2), np.eye(2), np.zeros(2)).error(z, z)).all()


def test_monotone_layers_are_strongly_monotone_whatever_their_parameters(rng):
    layer = MonotoneLayer.initial(WIDTH, 3, rng, norm=20.0, margin=0.3)
    symmetric = np.eye(WIDTH) - (layer.matrix + layer.matrix.T) / 2
    assert np.linalg.eigvalsh(symmetric)[0] >= 0.3 - 1e-12
    assert np.linalg.norm(layer.matrix, 2) > 10
    assert layer.projected(0.5) is layer


def test_growth_rates_where_rayleigh_quotients_are_wrong(rng):
    turn = 0.9 * np.array([[np.cos(2.0), -np.sin(2.0)], [np.sin(2.0), np.cos(2.0)]])
    map_ = LinearLayer(turn, np.eye(2), np.zeros(2)).at(np.zeros((3, 2)))
    assert spectral_radius(map_, np.zeros((3, 2))) == pytest.approx(0.9, rel=1e-6)
    v = rng.standard_normal(2)
    assert abs(v @ turn @ v) / (v @ v) < 0.5  # the Rayleigh quotient
    job = reference(2.0, samples=16)
    z = Anderson()(job, np.zeros((16, 64))).value
    exact = np.abs(np.linalg.eigvals(job.jacobian(z))).max(axis=1)
    assert spectral_radius(job, z, steps=600) == pytest.approx(exact, rel=0.02)
    assert spectral_radius(LinearLayer(np.zeros((2, 2)), np.eye(2), np.zeros(2)).at(np.zeros((1, 2))), np.zeros((1, 2))) == 0


def test_multiplicity(layer, inputs):
    found = multiplicity(layer.at(inputs), Newton(), (SAMPLES, WIDTH), starts=6)
    assert (found.distinct == 1).all()
    assert (found.converged == 6).all()
    # z = tanh(3 z) has three fixed points; those of the product map are counted by sample.
    double = OwnMap(lambda z, x: np.tanh(x * z), lambda z, x, v: v * x * (1 - np.tanh(x * z) ** 2), np.array([[3.0], [0.5]]))
    found = multiplicity(double, Anderson(atol=1e-9), (2, 1), starts=12, scale=2.0)
    assert found.distinct[0] >= 2
    assert found.distinct[1] == 1
    assert found.spread[0] > 1.5


def test_the_no_op_control():
    still = OwnMap(lambda z, _: z.copy(), None, np.zeros((2, 1)))
    start = np.ones((2, 3))
    found = Anderson()(still, start)
    assert movement(still, start, found.value).from_start == pytest.approx(0.0)
    moving = OwnMap(lambda z, _: 0.5 * z + 1.0, None, np.zeros((2, 1)))
    moved = movement(moving, start, Anderson()(moving, start).value)
    assert moved.from_start == pytest.approx(0.5, rel=1e-4)
    assert moved.from_one_step == pytest.approx(0.25, rel=1e-4)


def test_errors_know_the_rounding_of_the_drive_and_underflow():
    """The exact layer's equilibrium, not that of the rounded U x + b."""
    cancelling = LinearLayer(np.zeros((1, 1)), np.array([[1e8, 1.0, -1e8]]), np.zeros(1))
    x = np.array([[1e8, 1.0, 1e8]])
    assert cancelling.error(cancelling.solve(x), x)[0] >= 1.0  # z* = 1 exactly, computed as 0
    small = LinearLayer(np.zeros((1, 1)), np.array([[0.1, 0.2]]), np.zeros(1))
    x = np.array([[3.0, -1.5]])
    exact = Fraction(0.1) * 3 - Fraction(0.2) * Fraction(3, 2)
    assert abs(Fraction(float(small.solve(x)[0, 0])) - exact) <= Fraction(float(small.error(small.solve(x), x)[0]))
    tiny = AffineLayer(np.zeros((1, 1)), np.eye(1), np.zeros(1), "relu")
    assert tiny.error(np.full((1, 1), 1e-170), np.zeros((1, 1)))[0] >= 1e-170


@pytest.mark.parametrize("scale", [1e-310, 1e-320, 1e-300, 1e300])
def test_the_operator_norm_of_denormal_and_huge_matrices(scale):
    matrix = scale * np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    x = np.linalg.svd(matrix / scale)[2][0]
    image = [sum(Fraction(float(m)) * Fraction(float(v)) for m, v in zip(row, x, strict=True)) for row in matrix]
    assert sum(y * y for y in image) <= Fraction(operator_norm(matrix)) ** 2 * sum(Fraction(float(v)) ** 2 for v in x)
