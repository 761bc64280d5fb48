"""The benchmark's problems are solved to what its table claims (no timing here)."""

import pytest

from benchmarks.core import PROBLEMS, measure
from ufm.solvers import Factored, Symmetric


@pytest.mark.parametrize("name", [n for n in PROBLEMS if "step" in n])
def test_symmetric_rows(name):
    row = measure(name, "symmetric", Symmetric(), 1)
    assert row.gap < 1e-12
    assert row.iterations < 20


@pytest.mark.parametrize("name", ["10 step decay", "50 long tail", "100 long tail"])
def test_factored_rows(name):
    assert measure(name, "factored", Factored(), 1).gap < 1e-9


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
