"""The program in group form says what the formula says class by class; it is convex, and its slopes are its slopes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from tests.ufm.contrastive.full import gradient, loss, shares_of
from ufm.contrastive.dual import core, prices
from ufm.contrastive.program import ClassVectors

SIZES = st.lists(st.integers(1, 50), min_size=2, max_size=7)
TEMPERATURES = st.floats(0.05, 20.0)


def random_vectors(groups, rng):
    """Unit vectors by groups, at random; groups of one class have no spread."""
    means, spread = rng.normal(size=(len(groups), 3)), np.abs(rng.normal(size=len(groups)))
    spread[[m == 1 for m, _ in groups]] = 0.0
    return ClassVectors(means, spread)


def expanded(counts, program, cosines):
    """(K, K) Gram matrix in the order of the classes, from cosines of groups."""
    sizes = list(counts)
    order = [[n for _, n in program.groups].index(n) for n in sizes]
    gram = cosines[np.ix_(order, order)].copy()
    np.fill_diagonal(gram, 1.0)
    return gram


@given(SIZES, TEMPERATURES, st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_groups_say_what_classes_say(sizes, temperature, seed):
    counts = ufm.ClassCounts.of(sizes)
    program = ufm.GramProgram.of(counts, temperature)
    cosines = program.cosines(random_vectors(program.groups, np.random.default_rng(seed)))
    gram, shares = expanded(counts, program, cosines), shares_of(counts)
    assert program.value(cosines) == pytest.approx(loss(gram, shares, temperature), rel=1e-12, abs=1e-14)
    slopes = program.slopes(cosines)
    assert slopes.value == program.value(cosines)
    found = expanded(counts, program, slopes.pairs)
    np.fill_diagonal(found, 0.0)
    np.testing.assert_allclose(found, gradient(gram, shares, temperature), rtol=1e-10, atol=1e-15)
    assert np.linalg.eigvalsh(gram)[0] > -1e-12  # group vectors are vectors


@given(SIZES, TEMPERATURES, st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_tangent_lies_below(sizes, temperature, seed):
    """Convexity, and with it that slopes have the right scale: half of them would fail in one direction."""
    rng = np.random.default_rng(seed)
    program = ufm.GramProgram.of(ufm.ClassCounts.of(sizes), temperature)
    one, other = (program.cosines(random_vectors(program.groups, rng)) for _ in range(2))
    slopes = program.slopes(one)

    def linear(step):
        return program.multiplicity @ (program.others * slopes.pairs * step).sum(axis=1)

    assert program.value(other) >= slopes.value + linear(other - one) - 1e-12
    small = 1e-6 * (other - one)
    # The second derivative cancels between both sides.
    difference = (program.value(one + small) - program.value(one - small)) / 2
    assert difference == pytest.approx(linear(small), rel=1e-3, abs=1e-12)


@given(SIZES, TEMPERATURES, st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_dual_matrix_by_groups_is_the_one_by_classes(sizes, temperature, seed):
    """Eigenvalues of ``c - Diag(y)``: those of the core and, on contrasts of a group, ``-c_gg - y_g``."""
    counts = ufm.ClassCounts.of(sizes)
    program = ufm.GramProgram.of(counts, temperature)
    cosines = program.cosines(random_vectors(program.groups, np.random.default_rng(seed)))
    pairs = program.slopes(cosines).pairs
    y = prices(program, cosines, pairs)
    scaled, d = core(program, pairs, y)
    matrix = expanded(counts, program, pairs)
    np.fill_diagonal(matrix, [-y[[n for _, n in program.groups].index(n)] for n in counts])
    contrasts = [-pairs[g, g] - y[g] for g, (m, _) in enumerate(program.groups) for _ in range(m - 1)]
    expected = np.sort([*np.linalg.eigvalsh(scaled * np.outer(d, d)), *contrasts])
    np.testing.assert_allclose(np.linalg.eigvalsh(matrix), expected, atol=1e-12 * max(1.0, 1 / temperature))
    assert min(contrasts, default=0.0) >= 0


@pytest.mark.parametrize("wrong", [0, -1, 1e-9, 1e9, float("nan"), float("inf"), True, "1", None])
def test_temperatures_are_checked(wrong):
    with pytest.raises(ufm.InputError, match="temperature is"):
        ufm.GramProgram(((2, 3),), wrong)
