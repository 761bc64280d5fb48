"""Checks of a new penalty or loss: its methods against finite differences and against the inequalities they must satisfy.

Each function returns one sentence for each flaw that it finds, so an empty list where it finds none. They are for authors of
a head or a loss; the tests of the package apply them to all of its own.
"""

from __future__ import annotations

import numpy as np

from ufm._arrays import Floats
from ufm.spectral.loss import BoundLoss
from ufm.spectral.penalties.base import Penalty

TRIES = 40


def check_penalty(penalty: Penalty, *, size: float = 3.0, random_state: int = 0) -> list[str]:
    """Flaws of a penalty on singular values.

    Checked at random singular values up to ``size``: the value (or gauge) at zero and with multiplicities, the slope against
    differences, the proximal map against random points, convexity where it is claimed, `relaxed` against the penalty itself,
    and the conjugate, where there is one, by Fenchel's inequality.

    Parameters
    ----------
    penalty : Penalty on singular values (not on columns)
    size : float > 0, scale of the singular values (nats times the column scale)
    random_state : int, seed of the random points

    Returns
    -------
    list of str, one sentence for each flaw, sorted; empty where none was found

    Examples
    --------
    >>> from ufm.spectral.penalties import Nuclear
    >>> check_penalty(Nuclear(0.1))
    []
    """
    rng = np.random.default_rng(random_state)
    measure = penalty.gauge if penalty.ball else penalty.value
    flaws: set[str] = set()
    if measure(np.zeros(3), np.ones(3)) != 0.0:
        flaws.add("its value at zero is not zero")
    for _ in range(TRIES):
        sigma = size * rng.uniform(0.05, 1.0, 3)
        copies, ones = np.array([1.0, 2.0, 1.0]), np.ones(4)
        repeated = np.insert(sigma, 1, sigma[1])
        if not np.isclose(measure(sigma, copies), measure(repeated, ones), rtol=1e-10, atol=1e-300):
            flaws.add("a value that occurs twice does not count as two equal values")
        if not _slope_agrees(penalty, sigma):
            flaws.add("its slope is not the derivative of its value (of a ball: of its gauge)")
        if not _prox_wins(penalty, sigma, rng):
            flaws.add("its proximal map does not return the best point: another one costs less")
        if penalty.convex and not _is_convex(penalty, sigma, size * rng.uniform(0.0, 1.0, 3)):
            flaws.add("it claims to be convex, and a midpoint costs more than the mean of both ends")
        if not _relaxed_is_below(penalty, sigma):
            flaws.add("`relaxed` lies above it where it is at most the given upper bound")
        flaws |= _conjugate_flaws(penalty, sigma, rng)
    return sorted(flaws)


def _slope_agrees(penalty: Penalty, sigma: Floats) -> bool:
    measure = penalty.gauge if penalty.ball else penalty.value
    ones, found = np.ones(len(sigma)), penalty.slope(sigma, np.ones(len(sigma)))
    for i, s in enumerate(sigma):
        step = 1e-6 * s
        up, down = sigma.copy(), sigma.copy()
        up[i], down[i] = s + step, s - step
        kink = abs(measure(up, ones) + measure(down, ones) - 2.0 * measure(sigma, ones)) / step
        difference = (measure(up, ones) - measure(down, ones)) / (2.0 * step)
        if abs(difference - found[i]) > 1e-4 * (abs(found[i]) + abs(difference)) + kink:
            return False
    return True


def _prox_wins(penalty: Penalty, sigma: Floats, rng: np.random.Generator) -> bool:
    if penalty.ball and not penalty.convex:
        return True  # stationary points are all that is asked for
    step, ones = float(rng.uniform(0.2, 2.0)), np.ones(len(sigma))
    found, _ = penalty.prox(sigma, ones, step * ones)

    def cost(s: Floats) -> float:
        return float(np.sum((s - sigma) ** 2)) / (2.0 * step) + penalty.value(s, ones)

    best = cost(found)
    tried = [np.maximum(found + spread * rng.standard_normal(len(sigma)), 0.0) for spread in (1e-3, 0.1, 1.0) for _ in range(8)]
    if penalty.ball:
        tried = [s / max(penalty.gauge(s, ones), 1.0) for s in tried]
    return all(cost(s) >= best - 1e-9 * (1.0 + abs(best)) for s in tried)


def _is_convex(penalty: Penalty, one: Floats, other: Floats) -> bool:
    measure, ones = penalty.gauge if penalty.ball else penalty.value, np.ones(len(one))
    middle = measure(0.5 * (one + other), ones)
    return middle <= 0.5 * (measure(one, ones) + measure(other, ones)) * (1.0 + 1e-12)


def _relaxed_is_below(penalty: Penalty, sigma: Floats) -> bool:
    ones = np.ones(len(sigma))
    if penalty.ball:
        inside = sigma / penalty.gauge(sigma, ones)
        return penalty.relaxed(np.inf).gauge(inside, ones) <= 1.0 + 1e-9
    alone = np.array([sigma[0], 0.0, 0.0])  # where a chord is tight
    values = [(s, penalty.value(s, ones)) for s in (sigma, alone)]
    return all(penalty.relaxed(value).value(s, ones) <= value * (1.0 + 1e-9) for s, value in values)


def _conjugate_flaws(penalty: Penalty, sigma: Floats, rng: np.random.Generator) -> set[str]:
    ones = np.ones(len(sigma))
    if penalty.ball or penalty.conjugate(np.zeros(1), np.ones(1)) is None:
        unbounded = not penalty.ball and penalty.convex and not penalty.nuclear
        return {"it is convex, no multiple of the nuclear norm, and has no conjugate: no lower bound"} if unbounded else set()
    slopes = penalty.slope(sigma, ones) * rng.uniform(0.5, 1.5, len(sigma))
    for given in (slopes, penalty.slope(sigma, ones)):
        claimed = penalty.conjugate(given, ones)
        if claimed is None or claimed < (float(given @ sigma) - penalty.value(sigma, ones)) * (1.0 - 1e-12) - 1e-300:
            return {"its conjugate is below `slope s - price(s)` at some s (Fenchel's inequality)"}
    return set()


def check_gradient(loss: BoundLoss, *, size: float = 3.0, random_state: int = 0) -> list[str]:
    """Flaws of a loss that is bound to class groups.

    Checked at random logits: the gradient and the second derivative by the order of the error of Taylor's formula, Fenchel's
    inequality and its equality case for `dual`, shift invariance where it is claimed, and the bound on the curvature.

    Parameters
    ----------
    loss : BoundLoss, of G groups
    size : float > 0, scale of the logits (nats)
    random_state : int, seed of the random points

    Returns
    -------
    list of str, one sentence for each flaw, sorted; empty where none was found

    Examples
    --------
    >>> from ufm.problem.losses import CrossEntropy
    >>> from ufm.targets import ClassCounts
    >>> check_gradient(CrossEntropy().bind(ClassCounts.parse("20*2,5*3")))
    []
    """
    rng = np.random.default_rng(random_state)
    groups = len(loss.share)
    counts = np.ones((groups + 1, groups))
    counts[:-1] = 3.0 - np.eye(groups)  # three classes in every group
    flaws: set[str] = set()
    for _ in range(TRIES):
        logits, direction = (size * rng.standard_normal((groups + 1, groups)) for _ in range(2))
        at = loss.columns(logits, counts)
        first = (at.gradient * direction).sum(axis=0)
        second = (at.diagonal * direction**2).sum(axis=0) - (at.rank_one * direction).sum(axis=0) ** 2
        errors = []
        for t in (1e-2, 5e-3):
            model = at.values + t * first + 0.5 * t * t * second
            errors.append((model - loss.columns(logits + t * direction, counts).values, t * t * np.abs(second) + 1e-12))
        linear = max(float(np.max(np.abs(e) / s)) for e, s in errors)
        if linear > 1.0:
            flaws.add("its gradient is not the derivative of its values")
        # Half the step leaves an eighth of a cubic error, and a quarter of a quadratic one.
        elif np.max(np.abs(errors[1][0])) > 0.18 * np.max(np.abs(errors[0][0])) + 1e-10:
            flaws.add("its second derivative is not that of its values")
        if loss.shift_invariant and not np.allclose(
            loss.columns(logits + 1.0, counts).values, at.values, rtol=1e-9, atol=1e-12
        ):
            flaws.add("it claims that shifting a column of logits changes nothing, and the values change")
        if np.any(at.diagonal * direction**2 > 0) and np.any(
            second > loss.lipschitz(at.diagonal) * (counts * direction**2).sum(axis=0) * (1.0 + 1e-9)
        ):
            flaws.add("its second derivative exceeds `lipschitz`")
        flaws |= _dual_flaws(loss, logits, counts, rng)
    return sorted(flaws)


def _dual_flaws(loss: BoundLoss, logits: Floats, counts: Floats, rng: np.random.Generator) -> set[str]:
    values = loss.columns(logits, counts).values
    other = loss.columns(logits + rng.standard_normal(logits.shape), counts).gradient / counts
    own = loss.columns(logits, counts).gradient / counts
    flaws = set()
    if np.any(loss.dual(other, counts) + (counts * other * logits).sum(axis=0) > values + 1e-9 * (1.0 + np.abs(values))):
        flaws.add("`dual` exceeds the loss somewhere (Fenchel's inequality fails)")
    if not np.allclose(loss.dual(own, counts) + (counts * own * logits).sum(axis=0), values, rtol=1e-8, atol=1e-9):
        flaws.add("`dual` at the gradient does not reach the loss (Fenchel's equality fails)")
    return flaws
