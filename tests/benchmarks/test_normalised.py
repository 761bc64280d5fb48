"""The routes of the table on features of a fixed norm solve the same problems (no timing here)."""

import pytest

from benchmarks.normalised import problems, timed
from ufm.solvers import Convex, Symmetric


@pytest.mark.parametrize("name", ["10 step, layernorm", "10 step, cosine"])
def test_routes_solve_the_same_problem(name):
    problem = problems()[name]
    ours, peer = (timed(name, "x", problem, solver, 1) for solver in (Symmetric(), Convex()))
    assert ours.gap < 1e-11 < peer.gap < 1e-2
    assert ours.iterations >= 1
    assert min(ours.seconds, peer.seconds) > 0
