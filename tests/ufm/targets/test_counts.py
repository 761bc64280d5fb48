"""Class sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm

SIZES = st.lists(st.integers(1, 10**12), min_size=2, max_size=12)


@given(SIZES)
def test_run_length_form_keeps_every_class(sizes):
    counts = ufm.ClassCounts.of(sizes)
    assert list(counts) == sizes
    assert (counts.classes, counts.total) == (len(sizes), sum(sizes))
    assert ufm.ClassCounts.parse(str(counts)) == counts


@given(SIZES)
def test_groups_partition_the_classes(sizes):
    counts = ufm.ClassCounts.of(sizes)
    assert sum(m for m, _ in counts.groups) == len(sizes)
    assert [n for _, n in counts.groups] == sorted(set(sizes), reverse=True)
    expanded = [counts.groups[g][1] for g, c in counts.group_runs for _ in range(c)]
    assert expanded == sizes


def test_a_million_classes_cost_nothing():
    counts = ufm.balanced(10**6, 10**12)
    assert counts.total == 10**18
    assert len(counts.runs) == 1


def test_named_families():
    assert list(ufm.step_imbalanced(majority=2, minority=1, n_majority=9, n_minority=3)) == [9, 9, 3]
    tail = list(ufm.long_tailed(100, largest=500, ratio=100))
    assert tail[0] == 500
    assert tail[-1] == 5
    assert tail == sorted(tail, reverse=True)


@pytest.mark.parametrize("text", ["", "5", "a*b", "5*3*2", "1.5*2", "-5*3", "0*3", "5*0", "nan*2", "5*3,", "1e300*2", "inf*2"])
def test_malformed_counts_are_refused_in_one_sentence(text):
    with pytest.raises(ufm.InputError, match=r"^[^\n]+$"):
        ufm.ClassCounts.parse(text)


@pytest.mark.parametrize("sizes", [[], [5], [5, 0], [5, -1], [5, 2.5], [5, 2**54], [5, "x"]])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ufm.InputError):
        ufm.ClassCounts.of(sizes)
