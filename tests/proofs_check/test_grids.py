"""Instances of the grids satisfy the hypotheses, and reach the cases that a claim distinguishes."""

import pytest

from proofs_check.registry import all_theorems

BOOK = all_theorems()


@pytest.mark.parametrize("name", BOOK)
def test_instances_are_many_and_distinct(name):
    grid = list(BOOK[name]().grid())
    assert len(grid) >= 2
    assert len(set(map(repr, grid))) == len(grid)
