"""The price Gamma of logits under features of norm one: closed forms, both of its ends, and supporting programs."""

import warnings

import numpy as np
import pytest

import ufm
from ufm.spectral.normalised import allowance, gamma_price, supporting


def nuclear(matrix):
    return np.linalg.svd(matrix, compute_uv=False).sum()


def matrices():
    rng = np.random.default_rng(0)
    plain = [rng.standard_normal(shape) for shape in ((3, 3), (6, 6), (7, 3), (3, 7), (1, 4), (4, 1))]
    thin = [np.outer(rng.standard_normal(5), rng.standard_normal(4)), rng.standard_normal((6, 2)) @ rng.standard_normal((2, 5))]
    uneven = [rng.standard_normal((5, 5)) * np.array([1, 1e-2, 30, 1, 1e-4])]
    return plain + thin + uneven


@pytest.mark.parametrize("logits", matrices(), ids=lambda z: f"{z.shape[0]}x{z.shape[1]}")
def test_both_ends_are_what_they_say(logits):
    found = gamma_price(logits)
    assert found.weights.sum() == pytest.approx(1.0, rel=1e-13)
    assert (found.weights >= 0).all()
    assert nuclear(logits * np.sqrt(found.weights)) ** 2 == pytest.approx(found.lower, rel=1e-12)
    assert np.sum(found.weight**2) == pytest.approx(found.upper, rel=1e-12)
    assert np.linalg.norm(found.features, axis=0).max() <= 1 + 1e-12
    assert np.abs(found.weight @ found.features - logits).max() <= 1e-7 * np.abs(logits).max()
    assert found.upper - found.lower <= 1e-6 * found.upper


def test_no_weights_prove_more_and_no_factors_cost_less():
    """Weak duality, from random weights and random factors of the same logits."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        weight, features = rng.standard_normal((5, 6)), rng.standard_normal((6, 4))
        logits = weight @ features
        found = gamma_price(logits)
        cost = np.sum(weight**2) * np.max(np.sum(features**2, axis=0))
        assert cost >= found.lower
        q = rng.dirichlet(np.full(4, 0.5))
        assert nuclear(logits * np.sqrt(q)) ** 2 <= found.upper * (1 + 1e-12)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_closed_forms(classes):
    """A simplex ETF: (K-1)^2 / K. Orthogonal columns of lengths l_k: the sum of l_k^2, W = Z. One row: its largest square."""
    simplex = np.eye(classes) - 1.0 / classes
    assert gamma_price(3.0 * simplex).value == pytest.approx(9.0 * (classes - 1) ** 2 / classes, rel=1e-10)
    lengths = np.arange(1.0, classes + 1)
    assert gamma_price(np.diag(lengths)).value == pytest.approx(np.sum(lengths**2), rel=1e-10)
    assert gamma_price(lengths[None]).value == pytest.approx(classes**2, rel=1e-10)


def test_it_is_a_convex_function_of_degree_two_and_does_not_see_rotations():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((2, 5, 5))
    one, two = gamma_price(a), gamma_price(b)
    assert gamma_price(0.3 * a + 0.7 * b).lower <= (0.3 * one.upper + 0.7 * two.upper) * (1 + 1e-12)
    assert gamma_price(-7.0 * a).value == pytest.approx(49.0 * one.value, rel=1e-9)
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    assert gamma_price(turn @ a[:, ::-1]).value == pytest.approx(one.value, rel=1e-9)
    # Columns that occur twice cost nothing more.
    assert gamma_price(np.hstack([a, a[:, :2]])).value == pytest.approx(one.value, rel=1e-8)


def test_the_semidefinite_form_has_the_same_value():
    import cvxpy as cp

    logits = np.random.default_rng(3).standard_normal((4, 3))
    gram = cp.Variable((7, 7), PSD=True)
    task = cp.Problem(cp.Minimize(cp.trace(gram[:4, :4])), [gram[:4, 4:] == logits, cp.diag(gram)[4:] <= 1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task.solve(solver="CLARABEL")
    assert gamma_price(logits).value == pytest.approx(task.value, rel=1e-6)


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.ones(3), np.array([[np.nan]]), np.array([[np.inf, 1.0]])])
def test_what_is_no_matrix_is_refused(logits):
    with pytest.raises(ufm.InputError, match="logits"):
        gamma_price(logits)


def test_zero_logits_cost_nothing():
    assert gamma_price(np.zeros((3, 4))).value == 0.0


def test_supporting_programs_lie_below_the_price():
    """``effective/2 Gamma >= ||Z Omega^{1/2}||_* - allowance`` at any weights, with equality at ``(effective tau)^2 q``."""
    problem = ufm.Problem([9, 5, 2], regularizer=ufm.ClassifierDecay(0.3), head="layernorm:norm=2")
    program, effective = problem.program(), 0.3 / 4
    rng = np.random.default_rng(4)
    for _ in range(20):
        logits = rng.standard_normal((3, 3))
        found = gamma_price(logits)
        for weights in (np.exp(rng.standard_normal(3)), effective**2 * found.value * found.weights):
            below = supporting(program, weights)
            right = nuclear(logits * below.scale) - allowance(below, program.penalty)
            assert right <= 0.5 * effective * found.upper * (1 + 1e-12)
        assert right == pytest.approx(0.5 * effective * found.value, rel=1e-6)
