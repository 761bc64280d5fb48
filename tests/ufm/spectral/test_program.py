"""The logit program in block form against dense arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm
from tests.conftest import cross_entropy
from ufm.spectral import BlockMatrix, NuclearBall, Point
from ufm.spectral.penalties.schatten import shrink


def random_point(program, seed, size=1.0):
    rng = np.random.default_rng(seed)
    g = program.groups
    contrast = np.where(program.multiplicity > 1, size * np.abs(rng.standard_normal(g)), 0.0)
    bias = rng.standard_normal(g) if program.bias_decay is not None else np.zeros(g)
    return Point(contrast, size * rng.standard_normal((g, g)), bias)


def inner(a, b):
    return sum(float(np.vdot(x, y)) for x, y in zip(a, b, strict=True))


def test_block_form_is_the_dense_program(problem):
    program = problem.program()
    factors = program.factors(random_point(program, 3))
    logits = np.asarray(program.logits(factors))
    counts = np.array(list(problem.counts), float)
    value = program.smooth(program.point(factors)).value
    expected = cross_entropy(logits, counts)
    if program.bias_decay:
        expected += 0.5 * program.bias_decay * float(program.multiplicity @ factors.bias**2)
    assert value == pytest.approx(expected, rel=1e-12)
    group = np.repeat([g for g, _ in program.runs], [c for _, c in program.runs])
    plain = logits - factors.bias[group][:, None]
    nuclear = np.linalg.norm(plain * program.scale[group], "nuc")
    lengths, copies = program.lengths(factors)
    assert copies @ lengths == pytest.approx(nuclear, rel=1e-10)


def test_split_program_agrees(problem):
    program = problem.program()
    factors = program.factors(random_point(program, 5))
    dense = program.split()
    group = np.repeat([g for g, _ in program.runs], [c for _, c in program.runs])
    core = (np.asarray(program.logits(factors)) - factors.bias[group][:, None]) * dense.scale
    there = dense.smooth(Point(np.zeros(dense.groups), core, factors.bias[group]))
    assert there.value == pytest.approx(program.smooth(program.point(factors)).value, rel=1e-12)


def test_spread_and_gather_are_adjoint(problem):
    program = problem.program()
    point = random_point(program, 1)
    slopes = np.random.default_rng(2).standard_normal((program.groups + 1, program.groups))
    assert np.vdot(program.spread(point), slopes) == pytest.approx(inner(point, program.gather(slopes)), rel=1e-11)


def test_gradient_and_hessian_by_taylor_slopes(problem):
    """The errors of the first- and second-order models fall with the square and cube of the step."""
    program = problem.program()
    point, direction = random_point(program, 7), random_point(program, 8, 0.3)
    at = program.smooth(point)
    image = program.hessian(at, direction)
    steps = np.array([1e-2, 5e-3])
    first, second = [], []
    for t in steps:
        moved = program.smooth(Point(*(p + t * d for p, d in zip(point, direction, strict=True)))).value
        linear = at.value + t * inner(at.gradient, direction)
        first.append(abs(moved - linear))
        second.append(abs(moved - linear - 0.5 * t**2 * inner(image, direction)))
    assert np.log2(first[0] / first[1]) == pytest.approx(2.0, abs=0.15)
    assert np.log2(second[0] / second[1]) == pytest.approx(3.0, abs=0.3)


def test_loss_is_relatively_accurate_near_zero_and_finite_far_away():
    program = ufm.Problem([5] * 3, regularizer=ufm.WeightDecay(1e-3, 1e-3)).program()
    for height in (30.0, 300.0, 700.0):
        value = program.smooth(Point(np.array([height * program.scale[0]]), np.zeros((1, 1)), np.zeros(1))).value
        assert value == pytest.approx(2 * np.exp(-height), rel=1e-10)
    wrong = program.smooth(Point(np.array([-1e4 * program.scale[0]]), np.zeros((1, 1)), np.zeros(1))).value
    assert wrong == pytest.approx(1e4 + np.log(2), rel=1e-12)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 10**6))
def test_block_matrices_are_their_dense_form(multiplicity, seed):
    rng = np.random.default_rng(seed)
    g = len(multiplicity)
    matrix = BlockMatrix(rng.standard_normal(g), rng.standard_normal((g, g)), tuple(enumerate(multiplicity)))
    dense = np.asarray(matrix)
    classes = len(dense)
    centring = np.eye(classes) - 1 / classes
    assert matrix.frobenius() == pytest.approx(np.linalg.norm(dense), rel=1e-12)
    assert np.allclose(np.asarray(matrix.centred()), centring @ dense @ centring, atol=1e-12)


def test_huge_matrices_are_not_written_out():
    program = ufm.Problem(ufm.balanced(10**6, 5), regularizer=ufm.NormBudget(1, 5))
    with pytest.raises(ufm.InputError, match="dense"):
        np.asarray(ufm.solve(program).logits)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=6), st.floats(0.01, 20), st.integers(0, 10**6))
def test_projection_onto_the_nuclear_ball_is_optimal(values, radius, seed):
    rng = np.random.default_rng(seed)
    sigma, copies = np.array(values), rng.integers(1, 5, len(values)).astype(float)
    steps = rng.uniform(0.5, 2.0, len(values))
    kept, multiplier = NuclearBall(radius).prox(sigma, copies, steps)
    assert copies @ kept <= radius * (1 + 1e-9)
    assert np.allclose(kept, np.maximum(sigma - steps * multiplier, 0.0), atol=1e-9)
    assert multiplier == 0 or copies @ kept == pytest.approx(radius, rel=1e-9)


def test_a_power_penalty_shrinks_where_the_second_derivative_vanishes_at_one():
    """``1 - weight p (1 - p) s^{p-2}`` is 0 at s = 1 for p = 2/3 and weight 4.5, and this value goes to 0."""
    found = shrink(np.array([0.0, 10.0]), np.full(2, 4.5), 2 / 3)
    assert found[0] == 0.0
    assert found[1] + 4.5 * 2 / 3 * found[1] ** (-1 / 3) == pytest.approx(10.0, rel=1e-13)
