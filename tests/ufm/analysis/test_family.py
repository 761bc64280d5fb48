"""Families of step imbalance under losses that are not convex: the collapsed solution and its root, by other routes."""

from math import exp, inf, log, sqrt

import numpy as np
import pytest
from scipy.optimize import minimize

import ufm
from ufm.analysis.thresholds import family as module
from ufm.analysis.thresholds.family import NEARLY_ZERO, Family, collapsed_root, core_apart, net_price, polished
from ufm.problem.losses import Focal
from ufm.problem.losses.focal import Shape
from ufm.solvers.nonconvex.descent import Descent, Found
from ufm.spectral.program import Point

DECAY = ufm.WeightDecay(2.5e-3, 2.5e-3)


def focal(majority=2, minority=2, gamma=2.0):
    return Family(majority, minority, 100, DECAY, ufm.Explicit(), Focal(gamma))


def test_names_begin_messages():
    assert Family(2, 2, 100, DECAY, ufm.Explicit()).name == "head is explicit"
    assert focal().name == f"head is explicit and loss {Focal(2.0)}"


def test_where_collapse_is_known():
    """For a loss that is not convex only the first ratio, and that by the collapsed solution; a linear price has both."""
    plain = Family(2, 2, 100, DECAY, ufm.Explicit())
    # sqrt(100) = 100 (2 R + 2) 2.5e-3, so that 2 R + 2 = 40.
    assert plain.first() == pytest.approx(19.0, rel=1e-14)
    assert plain.last() == pytest.approx(19.0, rel=1e-14)
    assert not plain.steep
    assert Family(2, 2, 100, DECAY, ufm.Explicit(2)).steep
    assert focal().last() is None


def test_the_first_ratio_is_the_root_of_the_net_price(monkeypatch):
    given = focal()
    monkeypatch.setattr(module, "net_price", lambda family, ratio: ratio - 5.0 if family is given else np.nan)
    assert given.first() == pytest.approx(5.0, rel=1e-12)
    # The root is the float, up to rounding of exp and log.
    assert abs(given.first() - 5.0) <= 5e-14


@pytest.mark.parametrize("majority", [1, 3])
def test_descents_start_at_both_heights_with_and_without_contrasts(monkeypatch, majority):
    """And the one that ends lowest is taken."""
    starts = []
    family = focal(majority)
    program = family.program(3.0)
    ends = [2.0, 1.0, 4.0, 3.0]

    class Recorded:
        def __init__(self, program, classes):
            assert classes == majority + 2

        def run(self, start, iterations, *, adapt):
            assert (iterations, adapt) == (module.ITERATIONS, False)
            starts.append(start)
            return Found(ends[len(starts) - 1], start._replace(core=ends[len(starts) - 1] * start.core), 1)

    taken = []
    monkeypatch.setattr(module, "Descent", Recorded)
    monkeypatch.setattr(module, "polished", lambda program, point: taken.append(point) or point)
    net_price(family, 3.0)
    for start, (height, contrasts) in zip(starts, [(h, c) for h in (1.0, 4.0) for c in (True, False)], strict=True):
        expected = height * program.scale[0] if contrasts and majority > 1 else 0.0
        assert start.contrast.tolist() == [expected, 0.0]
        assert start.core.tolist() == core_apart(program, height).tolist()
        assert start.bias.tolist() == [0.0, 0.0]
    assert taken[0].core.tolist() == starts[1].core.tolist()


@pytest.mark.parametrize("height", [1.0, 4.0])
@pytest.mark.parametrize(("majority", "minority"), [(1, 2), (3, 2)])
def test_starts_set_the_own_group_apart(height, majority, minority):
    program = focal(majority, minority).program(3.0)
    found = program.spread(Point(np.zeros(2), core_apart(program, height), np.zeros(2)))
    m, classes = [majority, minority], majority + minority
    for h in range(2):
        for g in range(2):
            expected = height * (1 / m[h] if g == h else 0.0) - height / classes
            assert found[g, h] == pytest.approx(expected, abs=1e-14)
        assert found[2, h] == pytest.approx(height / m[h] - height / classes, abs=1e-14)


@pytest.mark.parametrize("exponent", [0.3, 1.0, 1.5, 5.0, 10.0, 15.9])
def test_roots_of_known_functions(monkeypatch, exponent):
    seen = []

    def rising(family, ratio):
        seen.append(log(ratio))
        return np.tanh(log(ratio) - exponent)

    monkeypatch.setattr(module, "net_price", rising)
    assert log(collapsed_root(focal())) == pytest.approx(exponent, abs=1e-11)
    assert min(seen) == 0.0
    assert max(seen) <= max(1.0, 2 * exponent)


def test_families_without_a_root(monkeypatch):
    for value, expected in ((0.0, 0.0), (0.5, 0.0), (-0.5, inf)):
        seen = []

        def constant(family, ratio, value=value, seen=seen):
            seen.append(ratio)
            return value

        monkeypatch.setattr(module, "net_price", constant)
        assert collapsed_root(focal()) == expected
        # Exponents double from 1; the next one after 16 is beyond 1e8.
        assert max(seen) == pytest.approx(1.0 if value >= 0 else exp(16.0), rel=1e-12)
    # A root at once: R = 1 is collapsed already.
    monkeypatch.setattr(module, "net_price", lambda family, ratio: ratio - 1.0)
    assert collapsed_root(focal()) == 0.0


@pytest.mark.parametrize(("majority", "minority"), [(1, 2), (2, 2), (3, 4)])
@pytest.mark.parametrize("ratio", [1.5, 9.0])
def test_the_pull_of_plain_cross_entropy_does_not_depend_on_the_solution(majority, minority, ratio):
    """``sqrt(n_B)`` over ``N mu`` (Proposition 7.1)."""
    total = 100 * (majority * ratio + minority)
    family = Family(majority, minority, 100, DECAY, ufm.Explicit())
    assert net_price(family, ratio) == pytest.approx(1 - 10 / (total * 2.5e-3), abs=1e-9)


def objective(theta, family, ratio):
    """Loss and nuclear norm of collapsed logits, class by class, and the cross-entropy of a minority class."""
    a, b, gamma = family.majority, family.minority, family.loss.gamma
    classes, n = a + b, np.array([ratio * 100.0] * a + [100.0] * b)
    rows = np.array([1.0] * a + [-a / b] * b)
    logits = np.outer(rows, [theta[1]] * a + [theta[2]] * b)
    logits[:a, :a] += theta[0] * (np.eye(a) - 1 / a)
    losses = np.log(np.exp(logits).sum(axis=0)) - np.diag(logits)
    values = losses * (1 - np.exp(-losses)) ** gamma
    assert logits.shape == (classes, classes)
    nuclear = np.linalg.svd(logits * np.sqrt(n), compute_uv=False).sum()
    return float(n @ values / n.sum() + 2.5e-3 * nuclear), float(losses[-1])


@pytest.mark.parametrize(("majority", "minority", "ratio", "gamma"), [(2, 2, 12.0, 2.0), (1, 2, 6.0, 1.0), (3, 2, 4.0, 0.5)])
def test_the_net_price_by_another_minimisation(majority, minority, ratio, gamma):
    """``f'(t_B) sqrt(n_B)`` over ``N mu`` at the best collapsed point (Proposition 7.15)."""
    family = focal(majority, minority, gamma)
    found = [
        minimize(
            lambda t: objective(t, family, ratio)[0],
            [x, 1.0, -1.0],
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-15, "maxiter": 3000},
        )
        for x in (1.0, 4.0)
    ]
    best = min(found, key=lambda f: f.fun)
    pull = float(Shape(gamma).slope(np.array(objective(best.x, family, ratio)[1])))
    total = 100 * (majority * ratio + minority)
    assert net_price(family, ratio) == pytest.approx(1 - pull * 10 / (total * 2.5e-3), rel=1e-4, abs=1e-5)


def collapsed_point(family, ratio, contrast=True):
    program = family.program(ratio)
    start = np.array([4.0 * program.scale[0] if contrast and family.majority > 1 else 0.0, 0.0])
    return program, Descent(program, program.classes).run(
        Point(start, core_apart(program, 4.0), np.zeros(2)), 500, adapt=False
    ).point


def priced(program, point):
    """The objective of a collapsed point."""
    price = float(program.penalty.slope(NEARLY_ZERO, np.ones(1))[0])
    nuclear = np.linalg.norm(point.core, "nuc") + program.contrast_counts[0] * abs(point.contrast[0])
    return program.smooth(point).value + price * nuclear


@pytest.mark.parametrize(("majority", "minority"), [(1, 2), (2, 3), (3, 2)])
def test_polished_points_are_stationary(majority, minority):
    program, near = collapsed_point(focal(majority, minority), 8.0)
    point = polished(program, near)
    root_m = np.sqrt(program.multiplicity)
    u = np.array([root_m[1], -root_m[0]]) / sqrt(majority + minority)
    price = float(program.penalty.slope(NEARLY_ZERO, np.ones(1))[0])
    right = u @ point.core
    slope = program.smooth(point).gradient
    assert u @ slope.core + price * right / np.linalg.norm(right) == pytest.approx(0.0, abs=1e-13)
    if majority > 1:
        assert slope.contrast[0] + price * program.contrast_counts[0] == pytest.approx(0.0, abs=1e-13)
    assert point.core == pytest.approx(np.outer(u, right), abs=1e-12)
    assert point.contrast[1] == 0.0
    assert (point.contrast[0] > 0) == (majority > 1)
    least = priced(program, point)
    for step in (1e-3, -1e-3):
        for direction in ([1.0, 0.0], [0.0, 1.0]):
            moved = point._replace(core=point.core + step * np.outer(u, direction))
            assert priced(program, moved) > least
    # Points a little off come back, and those off the centred direction are put on it.
    for size in (1 + 1e-5, 1 - 1e-5):
        again = polished(program, point._replace(core=point.core * size, contrast=point.contrast * size))
        assert again.core == pytest.approx(point.core, rel=1e-12, abs=1e-12)
        assert again.contrast == pytest.approx(point.contrast, rel=1e-12)


def test_points_that_are_not_near_a_root_are_left_alone():
    program, near = collapsed_point(focal(2, 3), 8.0)
    point = polished(program, near)
    for far in (
        point._replace(core=0.9 * point.core, contrast=0.9 * point.contrast),
        point._replace(core=1.05 * point.core),
        point._replace(core=0.0 * point.core),
    ):
        assert polished(program, far) is far


def test_contrasts_of_the_majority_stay_zero_where_they_are():
    """There only the core is polished: at decay so strong that the majority has collapsed, too."""
    family = Family(2, 2, 100, ufm.WeightDecay(0.02, 0.02), ufm.Explicit(), Focal(1.0))
    program, near = collapsed_point(family, 1.2, contrast=False)
    point = polished(program, near)
    assert not point.contrast.any()
    assert np.isfinite(priced(program, point))
