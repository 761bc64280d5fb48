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
