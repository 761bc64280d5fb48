"""Scalar problems of squared error in float64: at most, and hardly below, what exact arithmetic finds at every turn."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest

import ufm
from tests.ufm.certify import naive
from tests.ufm.certify.adversary import problem_data
from ufm.certify.scalars import scalar_bound, splits

HEADS = [ufm.Explicit(2), ufm.Explicit(3), ufm.Explicit(7)]
HEADS += [ufm.DecayedDEQ(a, g) for a, g in ((1e-4, 0.5), (1 / 256, 0.5), (0.02, 0.9), (0.1, 1 / 3), (20.0, 0.8))]


def problem(
    head: ufm.problem.heads.Head, counts: list[int], decay: tuple[float, float], per_class: bool = False
) -> ufm.Problem:
    return ufm.Problem(counts, regularizer=ufm.WeightDecay(*decay, per_class=per_class), loss=ufm.SquaredError(), head=head)


@pytest.fixture
def exact(monkeypatch):
    """The sum of the exact minima, to thirty digits."""
    monkeypatch.setattr(naive, "DIGITS", 30)

    def least(case: ufm.Problem):
        with mpmath.workdps(30):
            return naive.Model(problem_data(case)).scalar_problems()

    return least


@pytest.mark.parametrize("head", HEADS, ids=str)
def test_scalar_bounds_against_exact_minima(head, exact):
    """From decays at which zero is best for every class to those at which it is for none."""
    found = set()
    for decay in np.geomspace(1e-6, 3.0, 12):
        for counts, per_class in (([500, 500, 500, 2], False), ([10**6, 16, 1, 1], False), ([3, 3, 3], True)):
            case = problem(head, counts, (float(decay), 0.3 * float(decay)), per_class)
            program = case.program()
            assert splits(program)
            lower = scalar_bound(program)
            least = exact(case)
            # Below by the accuracy of the price, some forty units, and that of the sum, sixteen; by no more than 1e-12.
            assert 0 <= lower <= least * (1 - 55 * mpmath.mpf(2) ** -53)
            assert lower >= float(least) * (1 - 1e-12)
            found.add(bool(least > float(program.multiplicity @ (0.5 * program.share)) * (1 - 1e-12)))
    assert found == {True, False}


@pytest.mark.parametrize(("decay", "contraction", "strength", "counts"), [
    (20.0, 0.8, 0.19927959, [500, 500, 500, 2]), (0.1, 1 / 3, 0.01323745, [500, 500, 500, 2]),
    (0.02, 0.9, 2.266e-4, [10**6, 16, 1, 1]),
])  # fmt: skip
def test_a_bend_that_nearly_balances_the_curvature(decay, contraction, strength, counts, exact):
    """``mu^2 / decay`` between a half and the whole of the curvature: the minimum lies where F is convex, but hardly."""
    case = problem(ufm.DecayedDEQ(decay, contraction), counts, (strength, 0.3 * strength))
    program = case.program()
    bend, curvature = program.penalty.modulus, program.share[0] / program.scale[0] ** 2
    assert 0.5 < bend / curvature < 1
    solution = ufm.solve(case)
    assert solution.status.name in ("OPTIMAL", "ZERO")
    assert solution.certificate.relative_gap < 1e-12
    assert scalar_bound(program) >= solution.certificate.upper * (1 - 1e-12)
    # Here F'' is far below c / 2: a wrong point must not be trusted to be near the minimum.
    least = exact(case)
    for factor in (0.0, 0.8, 0.95, 1.05, 1.2):
        assert scalar_bound(replace(program, penalty=Displaced(program.penalty, factor))) <= least


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.8, 1.2, 1.7])
def test_where_f_is_hardly_convex_its_slope_says_little(factor, exact):
    """Three classes of 100: c = 1/300, t = 10; mu = 0.032 and a bend of 0.9 c leave F'' = c / 10 and the minimum at 4.

    ``F - F'^2 / c`` at another point is then above the minimum: only where ``F'' >= c / 2`` is it a lower bound.
    """
    mu, curvature = 0.032, 1 / 300
    case = problem(ufm.DecayedDEQ(mu**2 / (0.9 * curvature), 0.8), [100] * 3, (mu, mu))
    program = case.program()
    found, _ = program.penalty.prox(program.scale, np.ones(1), 1 / np.array([curvature]))
    assert found[0] == pytest.approx((curvature * 10 - mu) / (0.1 * curvature), rel=1e-9)
    lower = scalar_bound(replace(program, penalty=Displaced(program.penalty, factor)))
    assert float(exact(case)) * (1 - 1e-12) <= lower <= exact(case)


def test_where_scalar_problems_apply():
    """Squared error, no bias, one curvature, a price that is concave and a sum."""
    whole = problem(ufm.Explicit(2), [20, 20, 5], (1e-2, 1e-2)).program()
    assert splits(whole)
    assert not splits(problem(ufm.Explicit(2), [20, 20, 5], (1e-2, 1e-2), True).program())
    assert not splits(problem(ufm.Explicit(1), [20, 20, 5], (1e-2, 1e-2)).program())
    assert not splits(problem(ufm.FrobeniusDEQ(0.5), [20, 20, 5], (1e-2, 1e-2)).program())
    assert not splits(replace(whole, bias_decay=0.0))
    assert not splits(replace(whole, bias_decay=0.1))
    budget = ufm.Problem([20] * 3, regularizer=ufm.NormBudget(1, 1), loss=ufm.SquaredError(), head=ufm.Explicit(2))
    assert not splits(budget.program())
    entropy = ufm.Problem([20] * 3, regularizer=ufm.WeightDecay(1e-2, 1e-2), head=ufm.Explicit(2))
    assert not splits(entropy.program())
    # Curvatures that differ by rounding only are equal, by more they are not.
    for change, same in ((1e-14, True), (1e-9, False), (-1e-9, False)):
        scale = whole.scale * np.array([1.0, 1.0 + change])
        assert splits(replace(whole, scale=scale)) == same


class Displaced:
    """A price whose proximal step misses the minimum by a factor."""

    def __init__(self, price, factor):
        self.price, self.factor = price, factor

    def __getattr__(self, name):
        return getattr(self.price, name)

    def prox(self, singular, copies, step):
        found, multiplier = self.price.prox(singular, copies, step)
        return found * self.factor, multiplier


@pytest.mark.parametrize("head", HEADS, ids=str)
@pytest.mark.parametrize("factor", [0.0, 0.5, 0.999, 1.001, 30.0])
def test_no_scalar_bound_rests_on_where_the_minimum_is_thought_to_be(head, factor, exact):
    """A wrong point gives a weaker bound, never a false one; a little off, one that is weaker by the square of that."""
    for decay in np.geomspace(1e-6, 3.0, 8):
        case = problem(head, [500, 500, 16, 2], (float(decay), float(decay)))
        program = case.program()
        moved = replace(program, penalty=Displaced(program.penalty, factor))
        least = exact(case)
        lower = scalar_bound(moved)
        assert 0 <= lower <= least
        if 0.99 < factor < 1.01:
            # F'' is at most c above the turn: off by f s, F' is at most c f s, and F'^2 / c at most c f^2 t^2 = f^2 / N each.
            assert lower >= float(least) * (1 - 1e-11) - 1e-6 * float(program.multiplicity @ program.share)
