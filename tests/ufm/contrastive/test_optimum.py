"""Certified optima: closed forms, an independent solver, optimality conditions, invariances, and bounds that never cross."""

import json

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from tests.ufm.contrastive.full import gradient, loss, semidefinite, shares_of
from tests.ufm.contrastive.test_program import random_vectors
from ufm.contrastive.ball_bounds import ball_lower, ball_upper
from ufm.contrastive.descent import descend
from ufm.contrastive.float_bounds import float_lower, float_upper
from ufm.contrastive.two_groups import solve_two_groups

CASES = [
    ("50*5,10*5", 0.5), ("200*5,10*5", 0.1), ("60*1,1*4", 1.0), ("400*2,1*4", 0.5), ("7,3", 0.3), ("5*4,4", 2.0), ("20*6", 0.2),
    ("9*3,4*3,1*3", 0.5), ("100,60,30,11,5", 1.0), ("90*2,40*2,7,3*3", 0.15),
]  # fmt: skip


@pytest.mark.parametrize("level", ["float", "rigorous"])
@pytest.mark.parametrize(("text", "temperature"), CASES)
def test_optimality_conditions(text, temperature, level):
    """The dual point written out class by class: positive semidefinite, and complementary to the Gram matrix."""
    found = ufm.solve_contrastive(text, temperature=temperature, level=level)
    assert found.success
    assert found.level == level
    assert found.lower <= found.value <= found.upper
    assert 0 <= found.gap <= 2e-13
    gram, features, shares = found.gram, found.features, shares_of(found.counts)
    np.testing.assert_allclose(features.T @ features, gram, atol=2e-15 * len(gram))
    np.testing.assert_allclose(np.linalg.norm(features, axis=0), 1.0, atol=1e-14)
    assert loss(gram, shares, temperature) == pytest.approx(found.value, abs=1e-13)
    slopes = gradient(gram, shares, temperature)
    dual = slopes - np.diag((slopes * gram).sum(axis=1))
    scale = np.abs(slopes).max()
    assert np.linalg.eigvalsh(dual)[0] >= -1e-9 * scale
    np.testing.assert_allclose(dual @ gram, 0.0, atol=1e-9 * scale)


@pytest.mark.parametrize(("text", "temperature"), [CASES[0], CASES[2], CASES[8]])
def test_an_independent_solver_agrees(text, temperature):
    found = ufm.solve_contrastive(text, temperature=temperature)
    value, gram = semidefinite(shares_of(found.counts), temperature)
    assert value == pytest.approx(found.value, abs=1e-8)
    np.testing.assert_allclose(gram, found.gram, atol=2e-3)


@pytest.mark.parametrize("ratio", [5, 20])
def test_values_of_step_imbalance(ratio):
    """K_A = K_B = 5, tau = 1/2, against the root of both derivatives of the loss in two scalars, in 40 digits."""
    with mp.workdps(40):

        def slopes(u, v):
            return [mp.diff(lambda x: two_scalars(x, v, ratio), u), mp.diff(lambda x: two_scalars(u, x, ratio), v)]

        found = ufm.solve_contrastive([ratio] * 5 + [1] * 5, temperature=0.5, level="rigorous")
        start = tuple((1 + 4 * mp.mpf(group.cosine)) / 5 for group in found.groups)
        u, v = mp.findroot(slopes, start, tol=1e-25)
        assert float(two_scalars(u, v, ratio)) == pytest.approx(found.value, abs=1e-15)
        for group, length in zip(found.groups, (u, v), strict=True):
            assert group.lower <= (5 * length - 1) / 4 <= group.upper
            assert float((5 * length - 1) / 4) == pytest.approx(group.cosine, abs=1e-13)


def two_scalars(u, v, ratio, k=5):
    """The loss at squared lengths u and v of the means of two groups of five classes, at temperature 1/2."""
    own, across = (lambda x: mp.exp(-2 * (1 - x) * mp.mpf(k) / (k - 1))), mp.exp(2 * (-mp.sqrt(u * v) - 1))
    large, small = mp.mpf(ratio) / (k * (ratio + 1)), mp.mpf(1) / (k * (ratio + 1))
    first = mp.log(large * (1 + (k - 1) * own(u)) + k * small * across)
    second = mp.log(small * (1 + (k - 1) * own(v)) + k * large * across)
    return k * large * first + k * small * second


@pytest.mark.parametrize("classes", [2, 3, 10, 400])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 30.0])
def test_balanced_classes_are_a_simplex(classes, temperature):
    found = ufm.solve_contrastive([7] * classes, temperature=temperature, level="rigorous")
    expected = np.log((1 + (classes - 1) * np.exp(-classes / ((classes - 1) * temperature))) / classes)
    assert found.value == pytest.approx(expected, rel=1e-13)
    assert found.groups[0].cosine == pytest.approx(-1 / (classes - 1), abs=1e-15)
    if np.exp(-classes / ((classes - 1) * temperature)) > 1e-12:  # otherwise cosines hardly matter, and nothing is decided
        assert found.collapsed == "no"


@pytest.mark.parametrize(("text", "temperature"), [c for c in CASES if c[0].count(",") < 2])
def test_descent_and_two_scalars_agree(text, temperature):
    program = ufm.GramProgram.of(ufm.ClassCounts.parse(text), temperature)
    vectors, _ = descend(program)
    one, other = program.cosines(vectors), program.cosines(solve_two_groups(program))
    assert program.value(one) == pytest.approx(program.value(other), abs=1e-14)
    np.testing.assert_allclose(one, other, atol=1e-6)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.floats(0.05, 10.0), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_no_lower_bound_is_above_an_upper_bound(sizes, temperature, seed):
    """Weak duality at any cosines and any vectors, at both levels: neither has to be near the optimum."""
    rng = np.random.default_rng(seed)
    program = ufm.GramProgram.of(ufm.ClassCounts.of(sizes), temperature)
    best = ufm.solve_contrastive(sizes, temperature=temperature, level="rigorous")
    vectors = random_vectors(program.groups, rng)
    cosines = rng.uniform(-1, 1, size=(len(program.groups),) * 2)
    cosines = (cosines + cosines.T) / 2
    for lower in (float_lower(program, cosines), ball_lower(program, cosines)):
        assert lower <= best.upper
    uppers = float_upper(program, vectors), ball_upper(program, vectors)
    assert best.lower <= min(uppers)
    assert uppers[1] <= uppers[0]
    assert float_lower(program, best.cosines) <= best.upper
    assert best.upper <= float_upper(program, best.vectors)


@given(st.floats(1.0, 1e4), st.floats(0.2, 5.0))
@settings(max_examples=15, deadline=None)
def test_enclosures_contain_the_optimum_of_a_finer_solve(ratio, temperature):
    """Cosines of the solution lie in their enclosures, whatever the level of the bounds on the value."""
    counts = ufm.ClassCounts(((round(1000 * ratio), 3), (1000, 4)))
    wide, narrow = (ufm.solve_contrastive(counts, temperature=temperature, level=level) for level in ("float", "rigorous"))
    for one, other in zip(wide.groups, narrow.groups, strict=True):
        assert one.lower <= other.lower <= other.cosine + 1e-15
        assert other.cosine - 1e-15 <= other.upper <= one.upper


def test_class_order_and_duplicated_samples_change_nothing():
    one = ufm.solve_contrastive([9, 2, 9, 4], temperature=0.4)
    other = ufm.solve_contrastive([4 * 3, 9 * 3, 9 * 3, 2 * 3], temperature=0.4)
    assert one.value == pytest.approx(other.value, abs=1e-14)
    np.testing.assert_allclose(one.gram[np.ix_([3, 0, 2, 1], [3, 0, 2, 1])], other.gram, atol=1e-7)


@pytest.mark.parametrize(("text", "temperature"), [*CASES, ("1e9*5,1*5", 0.5), ("1,1", 1.0)])
def test_nonnegative_features_are_orthogonal(text, temperature):
    found = ufm.solve_contrastive(text, temperature=temperature, nonnegative=True, level="rigorous")
    shares = shares_of(found.counts)
    expected = shares @ np.log(shares + (1 - shares) * np.exp(-1 / temperature))
    assert found.value == pytest.approx(expected, rel=1e-12, abs=1e-14)
    np.testing.assert_array_equal(found.gram, np.eye(len(shares)))
    np.testing.assert_array_equal(found.features.T @ found.features, found.gram)
    free = ufm.solve_contrastive(text, temperature=temperature, level="rigorous")
    assert free.upper < found.lower
    assert found.gap <= 1e-15


def test_an_independent_solver_agrees_on_nonnegative_features():
    shares = shares_of([50, 20, 20, 5, 2])
    value, gram = semidefinite(shares, 0.5, nonnegative=True)
    found = ufm.solve_contrastive([50, 20, 20, 5, 2], temperature=0.5, nonnegative=True)
    assert value == pytest.approx(found.value, abs=1e-7)
    np.testing.assert_allclose(gram, np.eye(5), atol=1e-4)


@pytest.mark.parametrize(
    ("text", "temperature"),
    [
        ("1e15*1,1*2", 1.0),
        ("1,1", 1e-3),
        ("1e9*5,1*5", 1e-3),
        ("1e9*5,1*5", 1e4),
        ("1*2,1e9", 0.5),
        ("3*1000000,1*1000000", 0.5),
    ],
)
def test_extreme_problems_have_bounds(text, temperature):
    for level in ("float", "rigorous"):
        found = ufm.solve_contrastive(text, temperature=temperature, level=level)
        assert found.success
        assert found.lower <= found.value <= found.upper
        for group in found.groups:
            assert -1 <= group.lower <= group.upper <= 1


def test_long_tails():
    found = ufm.solve_contrastive(ufm.long_tailed(30, largest=1000, ratio=100), temperature=0.3, level="rigorous")
    assert found.success
    assert found.gap < 1e-12
    assert found.method == "descent"


def test_a_gap_that_is_not_closed_is_said():
    """At nine orders of magnitude between three sizes descent stops early; the status must say what the gap says."""
    found = ufm.solve_contrastive("1e9*3,1e5*4,10*5", temperature=0.05, tolerance=1e-15)
    assert found.status == "open"
    assert not found.success
    assert found.gap > 1e-15


def test_what_a_solution_says():
    found = ufm.solve_contrastive("100*1,1*4", temperature=1.0, level="rigorous")
    assert found.collapsed == "yes"
    assert found.groups[0].upper == 1.0
    assert "array" not in repr(found)
    assert repr(found).startswith("ContrastiveSolution(optimal, value=")
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["groups"][0]["collapsed"] == "yes"
    assert plain["cosines"][0][1] == pytest.approx(-1)
    assert ufm.solve_contrastive([5, 5, 1], temperature=1.0).collapsed == "no"
    large = ufm.solve_contrastive("2*3000,1*3000", temperature=0.5)
    with pytest.raises(ufm.InputError, match="K=6000 classes"):
        _ = large.gram


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"counts": [5], "temperature": 1}, "at least 2 classes"),
        ({"counts": [5, 0], "temperature": 1}, "a class size is 0"),
        ({"counts": [5, 5], "temperature": 0}, "temperature is 0"),
        ({"counts": [5, 5], "temperature": float("nan")}, "temperature is nan"),
        ({"counts": [5, 5], "temperature": 1, "level": "exact"}, "level is 'exact'"),
        ({"counts": [5, 5], "temperature": 1, "tolerance": 0}, "tolerance is 0"),
        ({"counts": range(1, 400), "temperature": 1}, "399 distinct class sizes"),
        ({"counts": range(1, 1100), "temperature": 1, "nonnegative": True}, "1099 distinct class sizes"),
    ],
)
def test_bad_arguments_are_one_sentence(options, said):
    with pytest.raises(ufm.InputError, match=said):
        ufm.solve_contrastive(options.pop("counts"), **options)


def test_float32_temperatures_are_numbers():
    one = ufm.solve_contrastive([9, 3, 3], temperature=np.float32(0.5))  # type: ignore[arg-type]
    assert one.value == ufm.solve_contrastive([9, 3, 3], temperature=0.5).value
