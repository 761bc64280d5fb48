"""Losses on tables: derivatives against differences, and rounding bounds against exact ones at extreme logits and targets."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

from ufm.spectral.table_loss import LogisticLoss, QuadraticLoss, SoftmaxLoss, one_hot

ROWS, CONTEXTS = 5, 40
BLOCKS = {"one": ((0, 5),), "two": ((0, 2), (2, 5))}


def targets(rng, blocks):
    """Soft, one-hot and nearly one-hot columns, some with entries of 1e-25, exact in their floats' ratio."""
    columns = rng.random((ROWS, CONTEXTS)) ** rng.choice([1, 30], CONTEXTS)
    for start, stop in blocks:
        for m in range(CONTEXTS):
            if rng.random() < 0.3:
                columns[start:stop, m] = 0.0
                columns[rng.integers(start, stop), m] = 1.0
            elif rng.random() < 0.3:
                columns[rng.integers(start, stop), m] *= 1e-25
            columns[start, m] += 1e-9 * (columns[start:stop, m].sum() == 0)
    return columns


def softmax(rng, blocks):
    weights = targets(rng, blocks)
    y = weights.copy()
    for start, stop in blocks:
        y[start:stop] /= y[start:stop].sum(axis=0)
    exact = [[Fraction(v) for v in row] for row in weights.tolist()]
    for start, stop in blocks:
        for m in range(CONTEXTS):
            whole = sum(exact[k][m] for k in range(start, stop))
            for k in range(start, stop):
                exact[k][m] /= whole
    return SoftmaxLoss(y, np.ones(CONTEXTS), blocks), exact


def plain(rng, kind):
    if kind == "mse":
        y = rng.standard_normal((ROWS, CONTEXTS)) * 10 ** rng.uniform(-6, 6, (ROWS, CONTEXTS))
        loss = QuadraticLoss(y, np.ones(CONTEXTS))
    else:
        y = rng.choice([0.0, 1.0, 0.3, 1e-20, 1 - 2**-53], (ROWS, CONTEXTS))
        loss = LogisticLoss(y, np.ones(CONTEXTS))
    return loss, [[Fraction(v) for v in row] for row in y.tolist()]


def drawn(kind, seed):
    rng = np.random.default_rng(seed)
    return (softmax(rng, BLOCKS[kind]) if kind in BLOCKS else plain(rng, kind)), rng


def number(value):
    value = Fraction(value)
    return mp.mpf(value.numerator) / value.denominator


def true_loss(loss, y, z):
    """Loss of exact logits z, in the precision that is set."""
    if loss.quadratic:
        return sum((a - b) ** 2 for a, b in zip(z, y, strict=True)) / 2
    if not loss.blocks:
        return sum(mp.log1p(mp.exp(a)) - b * a for a, b in zip(z, y, strict=True))
    value = mp.mpf(0)
    for start, stop in loss.blocks:
        # Relative to the logit of the largest target, so that no digits are lost where that is nearly one.
        top = max(range(start, stop), key=lambda k: y[k])
        value += mp.log1p(sum(mp.exp(z[k] - z[top]) for k in range(start, stop) if k != top))
        value -= sum(y[k] * (z[k] - z[top]) for k in range(start, stop) if k != top)
    return value


def true_dual(loss, y, s):
    """Minus the conjugate at exact slopes s, and whether they are in its domain."""
    if loss.quadratic:
        return -sum(v * v / 2 + v * b for v, b in zip(s, y, strict=True)), True
    q = [a + b for a, b in zip(s, y, strict=True)]
    value = -sum(number(v) * mp.log(number(v)) for v in q if v > 0)
    if not loss.blocks:
        value -= sum(number(1 - v) * mp.log(number(1 - v)) for v in q if v < 1)
    return value, min(q) >= 0 and max(q) <= 1


KINDS = [*BLOCKS, "bce", "mse"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-3, 3.0, 60.0, 600.0])
def test_upper_bounds_hold_for_all_logits_within_the_radius(kind, size):
    (loss, exact), rng = drawn(kind, int(size * 1000))
    logits = size * rng.standard_normal((ROWS, CONTEXTS))
    radius = np.abs(logits) * rng.choice([0.0, 1e-15, 1e-3], CONTEXTS)
    above, plainly = loss.above(logits, radius), loss.values(logits)
    with mp.workdps(60):
        for m in range(CONTEXTS):
            y = [number(row[m]) for row in exact]
            for sign in (np.zeros(ROWS), rng.choice([-1.0, 1.0], ROWS), rng.choice([-1.0, 1.0], ROWS)):
                z = [mp.mpf(a) + mp.mpf(e) * int(r) for a, e, r in zip(logits[:, m], radius[:, m], sign, strict=True)]
                truth = true_loss(loss, y, z)
                assert mp.mpf(above[m]) >= truth
            if not radius[:, m].any():
                truth = float(true_loss(loss, y, [mp.mpf(a) for a in logits[:, m]]))
                room = 1e-12 * max(1.0, float(np.abs(logits[:, m]).max())) + 1e-13 * truth
                assert plainly[m] == pytest.approx(truth, abs=room)
                assert above[m] <= truth + 100 * room


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e-9, 1e-3, 1.0, 40.0, 600.0])
def test_feasible_slopes_are_in_the_domain_and_prove_what_they_say(kind, size):
    (loss, exact), rng = drawn(kind, int(size * 1e6) + 1)
    logits = size * rng.standard_normal((ROWS, CONTEXTS))
    slopes = loss.feasible(loss.probabilities(logits) - loss.target)
    below = loss.below(slopes)
    with mp.workdps(700):  # probabilities may differ from one by 1e-300
        for m in range(CONTEXTS):
            s = [Fraction(v) for v in slopes[:, m].tolist()]
            for (start, stop), pivots in zip(loss.blocks, loss.pivots().tolist(), strict=True):
                # The witness: the pivot has minus the exact sum of the others.
                s[pivots[m]] = -sum(s[k] for k in range(start, stop) if k != pivots[m])
            y = [row[m] for row in exact]
            truth, inside = true_dual(loss, y, s)
            assert inside
            truth = number(truth) if isinstance(truth, Fraction) else truth
            assert mp.mpf(below[m]) <= truth
            assert below[m] >= float(truth) - 1e-12 * (1 + abs(float(truth)))


@pytest.mark.parametrize("kind", ["one", "two", "bce"])
def test_slopes_far_outside_are_brought_into_the_domain(kind):
    (loss, exact), rng = drawn(kind, 9)
    for size in (1e-3, 1.0, 100.0):
        slopes = loss.feasible(size * rng.standard_normal((ROWS, CONTEXTS)))
        assert np.isfinite(loss.below(slopes)).all()
        for m in range(CONTEXTS):
            s = [Fraction(v) for v in slopes[:, m].tolist()]
            for (start, stop), pivots in zip(loss.blocks, loss.pivots().tolist(), strict=True):
                s[pivots[m]] = -sum(s[k] for k in range(start, stop) if k != pivots[m])
            with mp.workdps(30):
                assert true_dual(loss, [row[m] for row in exact], s)[1]


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_those_of_the_values(kind):
    (loss, _), rng = drawn(kind, 4)
    logits, direction = rng.standard_normal((2, ROWS, CONTEXTS))
    q = loss.probabilities(logits)
    step = 1e-5
    along = (loss.values(logits + step * direction) - loss.values(logits - step * direction)) / (2 * step)
    size = np.abs(loss.target).max()
    assert along == pytest.approx(((q - loss.target) * direction).sum(axis=0), abs=1e-8 * max(1, size**2))
    moved = [loss.probabilities(logits + sign * step * direction) for sign in (1, -1)]
    assert (moved[0] - moved[1]) / (2 * step) == pytest.approx(loss.bend(q, direction), abs=1e-8)
    for k in range(ROWS):
        unit = np.zeros((ROWS, CONTEXTS))
        unit[k] = 1.0
        assert loss.diagonal(q)[k] == pytest.approx(loss.bend(q, unit)[k], rel=1e-9, abs=1e-14)
    bend = (direction * loss.bend(q, direction)).sum(axis=0)
    assert (bend <= loss.lipschitz * (direction**2).sum(axis=0) * (1 + 1e-12)).all()
    assert (bend >= 0).all()


def test_the_least_loss_is_attained_where_it_is_said_to_be():
    rng = np.random.default_rng(0)
    y = rng.dirichlet(np.ones(ROWS), CONTEXTS).T
    ones = np.ones(CONTEXTS)
    for loss in (SoftmaxLoss(y, ones, ((0, 5),)), LogisticLoss(y, ones), QuadraticLoss(y, ones)):
        best = loss.minimiser()
        assert loss.probabilities(best) == pytest.approx(y, abs=1e-12)
        other = loss.values(best + rng.standard_normal(y.shape))
        assert (loss.values(best) <= other).all()
    hard = np.eye(ROWS)
    assert SoftmaxLoss(hard, np.ones(ROWS), ((0, 5),)).minimiser() is None
    assert LogisticLoss(hard, np.ones(ROWS)).minimiser() is None


def test_one_hot_is_exact():
    assert one_hot(np.array([[1.0, 1.0, 0.5], [0.0, 1e-300, 0.5]])).tolist() == [True, False, False]
