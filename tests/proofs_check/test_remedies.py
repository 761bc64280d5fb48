"""Remedies for imbalance: critical decays by the shares of weighted classes, values by minimisation in one variable."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import numpy as np
import pytest

import ufm
from proofs_check import remedies
from proofs_check.registry import all_theorems
from tests.proofs_check.remembered import SOLVE, hear, listen
from tests.proofs_check.test_controls import at, least, simplex, value

BOOK = all_theorems()
D, P = ufm.WeightDecay, ufm.Problem
STEP = [8000] * 3 + [1000] * 4
THREE = [9000] * 2 + [4000] * 3 + [1000] * 2


@pytest.fixture
def heard(request, monkeypatch):
    """What the part of a theorem that the test names solves and compares."""
    return listen(monkeypatch, request.node.name)


def options(loss: Any) -> tuple[float, float, float]:
    """Exponents of weights and temperatures, and the smoothing."""
    return tuple(float(getattr(loss, name, 0.0)) for name in ("weights", "temperatures", "smoothing"))  # type: ignore[return-value]


def relative(problem: Any, size: int, power: float = 0.5, **other: float) -> float:
    """The decay over the critical one of the classes of a size; with other options of the loss where they are given."""
    a, b, eps = options(problem.loss)
    a, b, eps = other.get("weights", a), other.get("temperatures", b), other.get("smoothing", eps)
    sizes = [n for m, n in problem.counts.groups for _ in range(m)]
    weights = [1.0 / n**a for n in sizes]
    share = size ** (power - a) / sum(w * n for w, n in zip(weights, sizes, strict=True))
    pull = share * (1 - eps) * (size / max(sizes)) ** b
    return problem.regularizer.mu * (1 - getattr(problem.head, "rho", 0.0)) / pull


def judged(pair: Any, margin: float, problem: Any, size: int) -> str:
    """The verdict, after its margin is that of the enclosure of the group's contrast."""
    expected, verdict = pair
    found = {g.size: g for g in ufm.collapse(SOLVE(problem, level="rigorous")).groups}[size]
    assert expected == verdict == found.verdict
    assert margin == (found.lower if verdict == "no" else 1e-6 - found.upper)
    assert margin > 0
    return expected


@pytest.mark.parametrize("name", ["X1", "X2"])
def test_every_instance_is_at_its_margin(monkeypatch, name):
    for k, p in enumerate(BOOK[name]().grid()):
        heard = hear(monkeypatch, name, lambda claim, k=k: claim.check(list(claim.grid())[k], "rigorous"))
        (problem,), (pair,), (margin,) = heard.problems, heard, heard.margins
        assert problem.counts == ufm.ClassCounts.parse(p.counts)
        assert relative(problem, p.size) == pytest.approx(p.margin, rel=1e-12)
        assert problem.regularizer.weight == problem.regularizer.features
        assert (problem.regularizer.bias, getattr(problem.head, "rho", 0.0)) == (p.bias, p.rho)
        assert judged(pair, margin, problem, p.size) == ("yes" if p.margin > 1 else "no")


def test_grid_of_x1():
    """Every remedy by itself on both groups, and all together on three; each a hundredth on either side."""
    grid = BOOK["X1"]().grid()
    single, several, biased = grid[:20], grid[20:26], grid[26:]
    losses = {"ce:weights=0.5", "ce:weights=1", "ce:adjustment=2", "ce:temperatures=0.5", "ce:smoothing=0.1"}
    assert {(p.loss, p.size, p.margin) for p in single} == {
        (x, n, s) for x in losses for n in (8000, 1000) for s in (0.99, 1.01)
    }
    (mixed,) = {p.loss for p in several}
    loss = P(STEP, regularizer=D(1, 1), loss=mixed).loss
    assert all(options(loss))
    assert loss.adjustment < 0  # type: ignore[attr-defined]
    assert {(p.size, p.margin) for p in several} == {(n, s) for n in (9000, 4000, 1000) for s in (0.99, 1.01)}
    assert {ufm.ClassCounts.parse(p.counts) for p in several} == {ufm.ClassCounts.of(THREE)}
    assert {ufm.ClassCounts.parse(p.counts) for p in (*single, *biased)} == {ufm.ClassCounts.of(STEP)}
    assert {(p.loss, p.size, p.margin, p.bias, p.rho) for p in biased} == {
        (mixed, 8000, s, bias, 0.3) for bias in (0.0, 0.01) for s in (0.99, 1.01)
    }
    assert {(p.bias, p.rho) for p in (*single, *several)} == {(None, 0.0)}


def test_grid_of_x2():
    grid = BOOK["X2"]().grid()
    assert {(p.loss, p.size, p.margin, p.bias, p.rho) for p in grid[:12]} == {
        (x, n, s, None, 0.0) for x in ("ce", "bce", "mse") for n in (8000, 1000) for s in (0.99, 1.01)
    }
    assert {(p.loss, p.size, p.margin, p.bias, p.rho) for p in grid[12:]} == {
        (x, 4000, s, 0.1, 0.5) for x in ("ce", "bce", "mse") for s in (0.99, 1.01)
    }
    assert len(grid) == 18


def test_control_of_x1(heard):
    """Conditions without weights, without smoothing, without temperatures: not collapsed although they hold."""
    for problem, pair, margin, size, left in zip(
        heard.problems, heard, heard.margins, (8000, 1000, 1000), ("weights", "smoothing", "temperatures"), strict=True
    ):
        assert problem.counts == ufm.ClassCounts.of(STEP)
        assert [v > 0 for v in options(problem.loss)] == [left == name for name in ("weights", "temperatures", "smoothing")]
        assert relative(problem, size, **{left: 0.0}) == pytest.approx(0.99)
        expected, verdict = pair
        assert (expected, verdict) == ("no", "yes")
        found = {g.size: g for g in ufm.collapse(SOLVE(problem, level="rigorous")).groups}[size]
        assert margin == 1e-6 - found.upper > 0


def test_twin_of_x1(heard):
    """Adjustment of any strength on either side; classes relabelled."""
    below, above, moved = heard.problems
    assert below.loss == above.loss == ufm.CrossEntropy(adjustment=-3.0)
    assert moved.loss == ufm.CrossEntropy(weights=1.0)
    assert sorted(moved.counts) == sorted(STEP)
    verdicts = []
    for problem, pair, margin, size in zip(heard.problems, heard, heard.margins, (1000, 1000, 8000), strict=True):
        verdicts.append((relative(problem, size), judged(pair, margin, problem, size)))
    assert [v for v, _ in verdicts] == pytest.approx([0.99, 1.01, 1.01])
    assert [said for _, said in verdicts] == ["no", "yes", "yes"]


def test_outside_of_x1(heard):
    """Balanced classes in place of weights 1/n, at half the decay at which the weights collapse."""
    (problem,) = heard.problems
    assert problem.counts == ufm.ClassCounts.of([8000] * 7)
    weighted = P(STEP, regularizer=D(2 * problem.regularizer.weight, 2 * problem.regularizer.features), loss="ce:weights=1")
    assert relative(weighted, 8000) == pytest.approx(1.01)
    assert judged(heard[0], heard.margins[0], problem, 8000) == "no"


def test_control_of_x2(heard):
    """The size in place of its root."""
    assert [p.loss.name for p in heard.problems] == ["bce", "mse"]
    for problem, pair, margin in zip(heard.problems, heard, heard.margins, strict=True):
        assert problem.counts == ufm.ClassCounts.of(STEP)
        assert relative(problem, 1000, power=1.0) == pytest.approx(0.99)
        assert pair == ("no", "yes")
        found = {g.size: g for g in ufm.collapse(SOLVE(problem, level="rigorous")).groups}[1000]
        assert margin == 1e-6 - found.upper > 0


def test_twin_of_x2(heard):
    assert [p.loss.name for p in heard.problems] == ["bce", "mse"]
    for problem, pair, margin in zip(heard.problems, heard, heard.margins, strict=True):
        assert sorted(problem.counts) == [4 * n for n in sorted(STEP)]
        assert relative(problem, 4000) == pytest.approx(1.01)
        assert judged(pair, margin, problem, 4000) == "yes"


def test_outside_of_x2(heard):
    """Smoothing one half, at 0.6 of the decay without it: above its own, which is half of that."""
    (problem,) = heard.problems
    assert problem.loss == ufm.CrossEntropy(smoothing=0.5)
    assert relative(problem, 1000, smoothing=0.0) == pytest.approx(0.6)
    assert relative(problem, 1000) == pytest.approx(1.2)
    assert judged(heard[0], heard.margins[0], problem, 1000) == "yes"


def smoothed(p: Any, share: float = 1.0) -> tuple[float, float]:
    """Least ``log(1 + (K-1) e^-a) + (K-1) (share delta / K + sqrt(n) mu) a``, and where it is."""
    k = p.classes
    slope = share * p.smoothing / k + sqrt(p.size) * p.decay
    found = least(lambda a: np.log1p((k - 1) * np.exp(-a)), (k - 1) * slope)
    return found.fun, found.x


def test_values_of_smoothing_by_minimisation(monkeypatch):
    """Values, and heights where they are positive."""
    alive = set()
    grid = BOOK["X9"]().grid()
    for k, p in enumerate(grid):
        heard = hear(monkeypatch, "X9", lambda claim, k=k: claim.check(list(claim.grid())[k], "rigorous"))
        (problem,) = heard.problems
        assert problem == P([p.size] * p.classes, regularizer=D(p.decay, p.decay), loss=ufm.CrossEntropy(smoothing=p.smoothing))
        (formula, found), *heights = heard
        least_value, height = smoothed(p)
        zero = p.smoothing / p.classes + sqrt(p.size) * p.decay >= 1 / p.classes
        assert at(formula, least_value)
        assert at(found, least_value)
        assert len(heights) == 1 - zero
        for claim, enclosed in heights:
            assert at(claim, height, 1e-5)
            assert enclosed.lower - 1e-6 <= height <= enclosed.upper + 1e-6
        alive.add(zero)
        theorem: Any = BOOK["X9"]()
        a, slope = theorem.height(p)
        assert float(slope.mid()) == pytest.approx(p.smoothing / p.classes + sqrt(p.size) * p.decay)
        assert float(a.mid()) == pytest.approx(0 if zero else height, abs=1e-5)
    assert alive == {True, False}
    assert {p.classes for p in grid} >= {2, 3, 10, 50}
    # Either side of death: 0.14 + 0.05 and 0.16 + 0.05 at a fifth.
    last = [p.smoothing / p.classes + sqrt(p.size) * p.decay - 1 / p.classes for p in grid[-2:]]
    assert last == pytest.approx([-0.01, 0.01])


def test_control_of_x9(heard):
    p = remedies.Smoothed(10, 50, 2e-3, 0.1)
    (wrong, found), (none, again) = heard
    assert at(wrong, smoothed(p, 10 / 9)[0])
    assert at(none, smoothed(p, 0.0)[0])
    assert all(at(side, smoothed(p)[0]) for side in (found, again))


def test_twin_of_x9(heard):
    p = remedies.Smoothed(10, 50, 2e-3, 0.1)
    assert all(at(side, smoothed(p)[0], 1e-8) for pair in heard for side in pair)
    base, plain, four = heard.problems
    assert base == P([50] * 10, regularizer=D(2e-3, 2e-3), loss=ufm.CrossEntropy(smoothing=0.1))
    mu = 2e-3 + 0.01 / sqrt(50)
    assert plain == P([50] * 10, regularizer=D(mu, mu))
    assert four == P([200] * 10, regularizer=D(1e-3, 1e-3), loss=ufm.CrossEntropy(smoothing=0.1))
    height = log(9 * (1 - 9 * mu * sqrt(50)) / (9 * mu * sqrt(50)))
    assert at(heard[0][0], float(simplex(10, height)) + 9 * mu * sqrt(50) * height)


def test_outside_of_x9(heard):
    """Five classes of 90 and five of 10, mean 50."""
    ((other, found),) = heard
    counts, mu = [90] * 5 + [10] * 5, 2e-3 + 0.01 / sqrt(50)
    assert at(other, value(counts, D(mu, mu)))
    assert at(found, value(counts, D(2e-3, 2e-3), loss=ufm.CrossEntropy(smoothing=0.1)))
    assert other.upper < found.lower


@pytest.mark.parametrize("rho", [0.0, 0.4])
def test_critical_decays_of_mixed_options(rho):
    """The closed form against shares of weighted classes, for classes of three sizes."""
    counts = ufm.ClassCounts.of(THREE)
    loss = ufm.CrossEntropy(weights=0.7, temperatures=0.3, smoothing=0.15)
    for size in (9000, 4000, 1000):
        for power in (0.5, 1.0):
            found = remedies.critical(counts, loss.pull, size, rho, power)  # type: ignore[arg-type]
            problem = P(counts, regularizer=D(found, found), loss=loss, head=ufm.LinearDEQ(rho))
            assert relative(problem, size, power) == pytest.approx(1.0, rel=1e-12)
    found = remedies.critical(counts, loss.pull, 4000, 0.0, 0.5)  # type: ignore[arg-type]
    assert found == remedies.critical(counts, loss.pull, 4000, 0.0, 0.5)  # type: ignore[arg-type]
