"""The benchmark's problems are solved to what its table claims (no timing here)."""

import pytest

from benchmarks.core import GROWTH, PROBLEMS, measure, objective, of_sizes
from ufm.solvers import Factored, Symmetric


@pytest.mark.parametrize("name", [n for n in PROBLEMS if "step" in n])
def test_symmetric_rows(name):
    row = measure(name, "symmetric", Symmetric(), 1)
    assert row.gap < 1e-12
    assert row.iterations < 20


@pytest.mark.parametrize("name", ["10 step decay", "50 long tail", "100 long tail"])
def test_factored_rows(name):
    assert measure(name, "factored", Factored(), 1).gap < 1e-9


def test_long_tails_have_the_sizes_that_their_names_say():
    for name, classes, sizes, ends in (
        ("365 Places 1e-5,1e-5", 365, 202, (4980, 5)),
        ("500 distinct", 500, 500, (5000, 6)),
        ("1000 of 350 sizes", 1000, 350, (1280, 5)),
        ("8142 of 547 sizes", 8142, 547, (1000, 2)),
    ):
        counts = PROBLEMS[name]().counts
        found = [n for _, n in counts.groups]
        assert (counts.classes, len(found), (found[0], found[-1])) == (classes, sizes, ends)
    for groups in GROWTH:
        assert len(of_sizes(groups).counts.groups) == groups


@pytest.mark.parametrize("name", ["365 Places 5e-4,1e-6", "365 Places 1e-5,1e-5"])
def test_places_rows(name):
    row = measure(name, "factored 1e-9", Factored(tolerance=1e-9), 1)
    assert row.gap < 1e-9
    assert row.iterations < 20


def test_the_peer_of_the_long_tails_minimises_the_same_objective():
    import numpy as np

    import ufm

    problem = ufm.Problem([9, 5, 5, 2], regularizer=ufm.WeightDecay(1e-2, 3e-2))
    peer, theta = objective(problem), np.random.default_rng(0).standard_normal(32)
    value, slope = peer(theta)
    assert problem.objective(ufm.Parameters(*theta.reshape(2, 4, 4))) == pytest.approx(value, rel=1e-12)
    direction = np.random.default_rng(1).standard_normal(32)
    change = peer(theta + 1e-6 * direction)[0] - peer(theta - 1e-6 * direction)[0]
    assert change / 2e-6 == pytest.approx(slope @ direction, rel=1e-6)


def test_the_peers_minimise_the_same_objective():
    """The hand-written value and gradient are those of the package, and a short run of each peer descends."""
    import numpy as np

    import ufm
    from benchmarks.nonconvex import CLASSES, DECAY, SIZE, adam, descent, layers_loss

    rng = np.random.default_rng(0)
    arrays = [0.5 * rng.standard_normal((CLASSES, CLASSES)) for _ in range(3)]
    decay = ufm.WeightDecay(DECAY, DECAY)
    problem = ufm.Problem(ufm.balanced(CLASSES, SIZE), regularizer=decay, head=ufm.Explicit(2))
    value, slopes = layers_loss(arrays)
    assert problem.objective(ufm.Parameters(arrays[0], arrays[2], layers=(arrays[1],))) == pytest.approx(value, rel=1e-12)
    for i, slope in enumerate(slopes):
        direction = rng.standard_normal(slope.shape)
        ends = []
        for sign in (1, -1):
            moved = list(arrays)
            moved[i] = arrays[i] + sign * 1e-6 * direction
            ends.append(layers_loss(moved)[0])
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(float(np.vdot(slope, direction)), rel=1e-6)
    assert adam(list(arrays), 50) < value
    assert descent(list(arrays), 50) < value


def test_the_reference_job_meets_its_counts():
    """Map calls of the benchmark's own rows (times are its business, not a test's)."""
    from benchmarks.equilibria import Reference, hard, ours
    from ufm.deq import Broyden

    reference = Reference.make(2.0)
    for route, most in (("Picard", 70), ("Anderson", 40), ("Broyden", 32)):
        row = ours(reference, route, 1)
        assert row.solved == 1.0
        assert max(row.residual, row.adjoint) <= 1e-6
        assert max(row.forward, row.backward) <= most
    assert hard("Broyden", Broyden(max_calls=300)).solved >= 0.95
