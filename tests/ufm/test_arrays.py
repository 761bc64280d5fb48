"""Checks of arguments, and Adam's update, which several modules share."""

from __future__ import annotations

import numpy as np
import pytest

from ufm._adam import adam
from ufm._arrays import check_whole
from ufm.errors import InputError


@pytest.mark.parametrize("value", [1, 7, np.int8(3), np.uint64(2**53), 2**200])
def test_whole_numbers_come_back_as_int(value):
    found = check_whole("count", value)
    assert type(found) is int
    assert found == int(value)


@pytest.mark.parametrize("value", [0, -1, 1.0, True, np.True_, "3", None, [1], float("nan")])
def test_other_values_are_refused_with_the_argument_and_the_remedy(value):
    with pytest.raises(InputError, match=r"^count is .*; give a whole number of at least 1$"):
        check_whole("count", value)


def test_limits_are_inclusive_and_named():
    assert check_whole("count", 0, 0, 5) == 0
    assert check_whole("count", 2**53, 1, 2**53) == 2**53
    with pytest.raises(InputError, match=r"from 0 to 5$"):
        check_whole("count", 6, 0, 5)
    with pytest.raises(InputError, match=r"from 1 to 2\*\*53$"):
        check_whole("count", 2**53 + 1, 1, 2**53)


def test_adam_corrects_the_bias_of_its_means():
    """Under a constant gradient both means, divided by what they have seen, are the gradient and its square from the start."""
    gradient, memory = np.array([3.0, -0.2]), None
    for count in range(1, 6):
        direction, memory = adam(gradient, memory, count, 1e-8)
        assert direction == pytest.approx([1.0, -1.0], abs=1e-6)
    assert memory is not None
    assert memory[0] == pytest.approx(gradient * (1 - 0.9**5))
    assert memory[1] == pytest.approx(gradient**2 * (1 - 0.999**5))
