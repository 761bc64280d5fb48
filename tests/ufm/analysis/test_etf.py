"""The window in which the simplex ETF is not optimal: its parts against other routes, and bisection on known windows."""

from math import log, sqrt

import numpy as np
import pytest

import ufm
from ufm.analysis.thresholds import etf
from ufm.analysis.thresholds.etf import HEIGHTS, RELATIVE, STARTS, Rivals
from ufm.solvers.nonconvex.codes import best_scale, blocks, names
from ufm.solvers.nonconvex.descent import Found
from ufm.spectral import Point

DECAY = ufm.WeightDecay(4e-4, 6e-4)
CONTRACTION = 0.9


def rivals(classes=4, seed=0):
    return Rivals(classes, 100, DECAY, CONTRACTION, seed)


def program(classes, decay):
    head = ufm.DecayedDEQ(decay, CONTRACTION)
    return ufm.Problem([100] * classes, regularizer=DECAY, head=head).program().split()


@pytest.mark.parametrize("decay", [1e-5, 2e-3, 2e-2, 5e-2, 0.5, 5.0])
@pytest.mark.parametrize("classes", [4, 6])
def test_another_code_wins_where_its_best_multiple_is_better(classes, decay):
    """On the six decays tried the exchange is with a named code, so that multiples of codes decide."""
    values = {name: best_scale(program(classes, decay), code)[0] for name, code in names(classes)}
    expected = min(values.values()) < values["etf"] * (1 - 1e-9)
    searcher = rivals(classes)
    assert searcher.win(decay, search=True) == expected
    assert bool(searcher.pool) == expected
    # Followed without a search: what was found still wins there.
    assert searcher.win(decay, search=False) == expected


def test_without_a_search_only_known_codes_compete():
    searcher = rivals()
    assert not searcher.win(2e-2, search=False)
    assert searcher.win(2e-2, search=True)
    kept = list(searcher.pool)
    assert 1 <= len(kept) <= etf.KEPT
    best = [ufm_value(program(4, 2e-2), point) for point in kept]
    assert best == sorted(best)
    assert best[0] <= min(best_scale(program(4, 2e-2), code)[0] for _, code in names(4)) * (1 + 1e-9)
    # Where they lose they are kept for decays between.
    assert not searcher.win(0.5, search=True)
    assert all(one is other for one, other in zip(kept, searcher.pool, strict=True))
    assert searcher.win(3e-2, search=False)


class Scripted:
    """Stands for the descent: a point keeps the value that it is given, all others end in the same one."""

    def __init__(self, values, otherwise):
        self.values, self.otherwise = values, otherwise
        self.begun = []

    def __call__(self, *_):
        return self

    def run(self, point, steps, *, rough=False):
        self.begun.append((point, steps, rough))
        return Found(self.values.get(id(point), self.otherwise), point, 1)


def test_what_is_kept_competes_in_a_search_too(monkeypatch):
    full = program(6, 2e-2)
    value = best_scale(full, blocks(6, 6))[0]
    for height, wins in ((value * etf.BETTER, False), (np.nextafter(value * etf.BETTER, 0.0), True), (0.0, True)):
        known = Point(np.zeros(6), np.eye(6), np.zeros(6))
        script = Scripted({id(known): height}, 2 * value)
        monkeypatch.setattr(etf, "Descent", script)
        for search in (False, True):
            searcher = rivals(6)
            searcher.pool = [known]
            assert searcher.win(2e-2, search=search) == wins
            assert searcher.pool[0] is known
            assert len(searcher.pool) == 1


def test_searches_start_from_every_named_code_but_the_etf(monkeypatch):
    full = program(6, 2e-2)
    script = Scripted({}, 1e3)
    monkeypatch.setattr(etf, "Descent", script)
    assert not rivals(6).win(2e-2, search=True)
    rough = [point.core for point, _, rough in script.begun if rough]
    expected = [best_scale(full, code)[1].core for name, code in names(6) if name in ("pair", "triple")]
    assert len(rough) == len(expected) + STARTS
    assert all(one == pytest.approx(other, abs=1e-12) for one, other in zip(expected, rough, strict=False))
    assert [steps for _, steps, _ in script.begun] == [etf.STEPS] * len(script.begun)
    assert [rough for _, _, rough in script.begun] == [True] * len(rough) + [False] * etf.KEPT


def ufm_value(program, point):
    sigma = np.linalg.svd(point.core, compute_uv=False)
    sigma = np.where(sigma > 1e-13 * sigma[0], sigma, 0.0)
    return program.smooth(point).value + program.penalty.value(sigma, np.ones(len(sigma)))


def test_random_codes_are_symmetric_of_every_rank_and_of_bounded_height():
    heights = []
    for classes in (3, 5):
        full = program(classes, 0.1)
        for seed in range(60):
            starts = rivals(classes, seed).starts(full)
            assert len(starts) == STARTS
            for i, point in enumerate(starts):
                assert not point.contrast.any()
                assert not point.bias.any()
                assert np.linalg.matrix_rank(point.core) == 1 + i % (classes - 1)
                assert point.core == pytest.approx(point.core.T, rel=1e-12)
                assert np.linalg.eigvalsh(point.core).min() > -1e-9 * np.linalg.norm(point.core)
                heights.append(np.linalg.norm(point.core, 2) / 10.0)  # in logits: the scale is sqrt(100)
    low, high = HEIGHTS
    assert low * (1 - 1e-12) <= min(heights) < 1.1 * low
    assert 0.95 * high < max(heights) <= high * (1 + 1e-12)
    one, again, other = (rivals(4, seed).starts(program(4, 0.1))[-1].core for seed in (5, 5, 6))
    assert (one == again).all()
    assert not (one == other).all()


class Known:
    """Stands for the rivals; they win between two decays."""

    def __init__(self, low, high):
        self.low, self.high = low, high
        self.asked = []

    def __call__(self, *given):
        self.given = given
        return self

    def win(self, decay, search):
        self.asked.append((decay, search))
        return self.low < decay < self.high

    def edge(self, high, low):
        return Rivals.edge(self, high, low)


@pytest.mark.parametrize(("window", "inside"), [((0.3, 5.0), 0.3), ((0.3, 5.0), 5.0), ((1e-7, 2e-4), 2e-4)])
def test_an_edge_is_enclosed(window, inside):
    for factor in (1.2, 2.9):
        known = Known(*window)
        found = known.edge(inside * factor, inside / factor**1.5)
        assert found.lower <= inside <= found.upper <= found.lower * (1 + 2 * RELATIVE)
        assert found.value == 0.5 * (found.lower + found.upper)
        assert (found.quantity, found.level, found.transition) == ("decay on A", "numeric", "jump")
        assert found.note == "best found, not proved: the program is not convex"
        # Every decay halves the logarithm of the bracket; new codes are looked for while it is wider than 5 %.
        widths = [2.5 * log(factor) / 2**i for i in range(40)]
        searched = [search for _, search in known.asked]
        assert searched == sorted(searched, reverse=True)
        assert sum(searched) == 1 + sum(width > log(1.05) for width in widths)
        assert len(searched) == 1 + sum(width > log(1 + 2 * RELATIVE) for width in widths)


@pytest.mark.parametrize("window", [(3e-3, 0.7), (0.0, 0.7), (3e-8, 1e9), (0.0, 1e9), (0.1, 0.1), (6e-12, 0.7)])
def test_windows_on_the_grid(window, monkeypatch):
    known = Known(*window)
    monkeypatch.setattr(etf, "Rivals", known)
    found = etf.etf_window(n_classes=5, size=100, regularizer=DECAY, contraction=0.6, random_state=4)
    assert known.given == (5, 100, DECAY, 0.6, 4)
    top = 1e3 * DECAY.mu * sqrt(100)
    expected = [edge for edge in reversed(window) if 1e-12 * top < edge < top and window[0] < window[1]]
    assert len(found) == len(expected)
    for threshold, edge in zip(found, expected, strict=True):
        assert threshold.lower <= edge <= threshold.upper <= threshold.lower * (1 + 2 * RELATIVE)
    # Twelve decades below a decay at which all singular values are on the part of the penalty without relief.
    grid = [decay for decay, _ in known.asked][:49]
    assert grid[0] == pytest.approx(top, rel=1e-12)
    assert grid[-1] == pytest.approx(1e-12 * top, rel=1e-12)
    assert np.diff(np.log(grid)) == pytest.approx(np.full(48, np.log(1e-12) / 48), rel=1e-9)
    assert all(search for _, search in known.asked[:49])


def test_the_random_state_is_zero_unless_given(monkeypatch):
    known = Known(0.0, 0.0)
    monkeypatch.setattr(etf, "Rivals", known)
    assert etf.etf_window(n_classes=3, size=7, regularizer=DECAY, contraction=0.5) == []
    assert known.given == (3, 7, DECAY, 0.5, 0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"n_classes": 2}, "n_classes is 2"),
        ({"n_classes": 21}, "n_classes is 21"),
        ({"n_classes": 4.0}, "n_classes is 4.0"),
        ({"regularizer": ufm.WeightDecay(1e-3, 1e-3, 0.0)}, "without a bias"),
        ({"regularizer": ufm.NormBudget(1, 1)}, "give WeightDecay"),
        ({"random_state": -1}, "^random_state"),
        ({"random_state": None}, "^random_state"),
        ({"size": 0}, "0"),
        ({"contraction": 1.0}, "contraction"),
    ],
)
def test_windows_that_are_refused(change, match):
    arguments = {"n_classes": 4, "size": 10, "regularizer": DECAY, "contraction": 0.5} | change
    with pytest.raises(ufm.InputError, match=match):
        ufm.etf_window(**arguments)


def test_the_largest_and_least_number_of_classes_are_taken(monkeypatch):
    monkeypatch.setattr(etf, "Rivals", Known(0.0, 0.0))
    for classes in (3, 20):
        assert ufm.etf_window(n_classes=classes, size=10, regularizer=DECAY, contraction=0.5) == []


def test_tiny_decays_have_a_grid_of_decays_that_heads_take(monkeypatch):
    known = Known(0.0, 0.0)
    monkeypatch.setattr(etf, "Rivals", known)
    ufm.etf_window(n_classes=3, size=1, regularizer=ufm.WeightDecay(1e-95, 1e-95), contraction=0.5)
    assert min(decay for decay, _ in known.asked) == pytest.approx(1e-21, rel=1e-9)
