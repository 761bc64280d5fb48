"""The picture of advice shows the critical decays, who is collapsed, and the cosines of the certified optima."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

import ufm

DECAY = ufm.WeightDecay(2.5e-3, 2.5e-3)


def dots(axis, marker):
    """(x, y, full) of every point of this marker, legend entries left out."""
    found = [line for line in axis.lines if line.get_marker() == marker and len(line.get_xdata())]
    return [(float(p.get_xdata()[0]), int(p.get_ydata()[0]), to_hex(p.get_markerfacecolor()) != "#ffffff") for p in found]


@pytest.mark.parametrize("counts", ["500*5,100*5", "1700*5,100*5", "300*3,100*2,20*4"])
def test_every_group_is_where_its_critical_decay_is_and_full_where_collapsed(counts):
    found = ufm.advise(counts, regularizer=DECAY)
    left, right = ufm.plot.advice(found).axes
    expected = [
        (group.lower, row, group.collapsed == "yes") for row, remedy in enumerate(found.remedies) for group in remedy.groups
    ]
    assert sorted(dots(left, "o")) == sorted(expected)
    assert [label.get_text() for label in left.get_yticklabels()] == [remedy.name for remedy in found.remedies]
    cosines = {row: x for x, row, _ in dots(right, "s")}
    for row, remedy in enumerate(found.remedies):
        if remedy.cos_minority is not None:
            assert cosines[row] == remedy.cos_minority


def test_long_tails_show_neighbours():
    found = ufm.advise(ufm.long_tailed(20, largest=500, ratio=100), regularizer=DECAY)
    _, right = ufm.plot.advice(found).axes
    near = [(part.neighbours, row, part.verdict == "yes") for row, r in enumerate(found.remedies) for part in r.ranges]
    shown = dots(right, "^")
    assert sorted(p for p in shown if np.isfinite(p[0])) == sorted(p for p in near if p[0] is not None)


def test_other_objects_are_refused():
    with pytest.raises(ufm.InputError, match=r"ufm\.advise"):
        ufm.plot.advice("500*5")
