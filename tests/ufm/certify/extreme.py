"""Random extreme problems: every head, loss and regulariser, sizes 1 to 1e12, decays 1e-12 to 1e3.

Half of the problems have decays near the scale at which something happens (``N mu`` a moderate fraction of ``sqrt(n_max)``),
because decays drawn blindly almost always end in zero logits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import ufm
import ufm.problem.losses
from ufm.problem.heads import Head

KINDS = ("explicit", "layers", "linear", "decayed", "frobenius", "relu", "etf")
NORMALISED = 0.2
"""Share of problems with features of a fixed norm."""


def extreme_problem(rng: np.random.Generator, *, normalised: bool = True) -> ufm.Problem:
    """One problem; combinations that `ufm.Problem` refuses are drawn again.

    Problems with features of a fixed norm take the place of some that are drawn before, so that those are the same without.
    """
    problem = _allowed(rng, _draw)
    return _allowed(rng, _fixed) if normalised and rng.random() < NORMALISED else problem


def _allowed(rng: np.random.Generator, draw: Callable[[np.random.Generator], ufm.Problem]) -> ufm.Problem:
    while True:
        try:
            return draw(rng)
        except ufm.InputError:
            continue


def _fixed(rng: np.random.Generator) -> ufm.Problem:
    """Features, or classifiers and features, of a fixed norm."""
    counts = _counts(rng)
    loss = _loss(rng, counts, plain=False)
    if rng.random() < 0.5:
        return ufm.Problem(counts, regularizer=ufm.NoDecay(), loss=loss, head=ufm.Cosine(_log(rng, 0.05, 60.0)))
    head = ufm.LayerNorm(_log(rng, 1e-3, 1e3))
    bias = None if rng.random() < 0.6 else 0.0 if rng.random() < 0.4 else _log(rng, 1e-8, 1e3)
    decay = ufm.ClassifierDecay(_log(rng, 1e-7, 30.0) * head.norm**2, bias)
    return ufm.Problem(counts, regularizer=decay, loss=loss, head=head)


def _loss(rng: np.random.Generator, counts: ufm.ClassCounts, *, plain: bool) -> ufm.problem.losses.Loss:
    drawn = rng.random()
    if drawn < 0.2:
        return ufm.SquaredError()
    return ufm.BinaryCrossEntropy() if drawn < 0.3 else _cross_entropy(rng, len(counts.groups), plain=plain)


def _draw(rng: np.random.Generator) -> ufm.Problem:
    counts = _counts(rng)
    kind = str(rng.choice(KINDS))
    head = _head(rng, kind)
    loss = _loss(rng, counts, plain=kind in ("relu", "etf"))
    regularizer = _regularizer(rng, counts, free=kind not in ("relu", "etf"), gain=_gain(head))
    return ufm.Problem(counts, regularizer=regularizer, loss=loss, head=head)


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _near_one(rng: np.random.Generator) -> float:
    """A number in [0, 1), often close to 1 (down to the last float below it)."""
    if rng.random() < 0.4:
        return float(rng.uniform(0.0, 1.0))
    return max(0.0, 1.0 - _log(rng, 2e-16, 1.0))


def _counts(rng: np.random.Generator) -> ufm.ClassCounts:
    groups = int(rng.integers(1, 4))
    largest = _log(rng, 1.0, 1e12) if rng.random() < 0.5 else _log(rng, 1.0, 1e4)
    sizes = [max(1, round(largest * _log(rng, 1e-6 if rng.random() < 0.3 else 0.05, 1.0))) for _ in range(groups)]
    runs = [(n, int(rng.integers(1, 4))) for n in sizes]
    if sum(m for _, m in runs) < 2:
        runs.append((runs[0][0], 1))
    return ufm.ClassCounts(tuple(runs))


def _head(rng: np.random.Generator, kind: str) -> Head:
    if kind == "layers":
        return ufm.Explicit(int(rng.integers(2, 6)))
    if kind == "linear":
        return ufm.LinearDEQ(_near_one(rng))
    if kind == "decayed":
        return ufm.DecayedDEQ(_log(rng, 1e-9, 1e2), min(max(_near_one(rng), 1e-3), 0.99999))
    if kind == "frobenius":
        return ufm.FrobeniusDEQ(_near_one(rng))
    if kind == "relu":
        return ufm.ReLU()
    if kind == "etf":
        return ufm.FixedETF(average=bool(rng.random() < 0.5))
    return ufm.Explicit()


def _gain(head: Head) -> float:
    return head.gain or 1.0


def _cross_entropy(rng: np.random.Generator, groups: int, *, plain: bool) -> ufm.CrossEntropy:
    if plain or rng.random() < 0.3:
        return ufm.CrossEntropy()

    def maybe(exponent: float, listed: tuple[float, ...]) -> float | tuple[float, ...]:
        draw = rng.random()
        return 0.0 if draw < 0.4 else exponent if draw < 0.7 else listed

    return ufm.CrossEntropy(
        weights=maybe(float(rng.uniform(-1, 2)), tuple(_log(rng, 1e-3, 1e3) for _ in range(groups))),
        adjustment=maybe(float(rng.uniform(-3, 3)), tuple(float(rng.uniform(-30, 30)) for _ in range(groups))),
        temperatures=maybe(float(rng.uniform(0, 1)), tuple(_log(rng, 0.1, 60.0) for _ in range(groups))),
        smoothing=float(rng.choice([0.0, 0.0, 0.1, 1e-9, 0.9, float(rng.uniform(0, 1))])),
    )


def _regularizer(
    rng: np.random.Generator, counts: ufm.ClassCounts, *, free: bool, gain: float
) -> ufm.WeightDecay | ufm.NormBudget:
    if rng.random() < 0.3:
        # Logits up to about 0.01 .. 150; a head that enlarges features needs budgets as much smaller.
        logit = _log(rng, 1e-2, 150.0)
        c = logit * (counts.classes - 1) / counts.classes / gain
        tilt = _log(rng, 1e-3, 1e3)
        return ufm.NormBudget(c * tilt, c / tilt)
    if rng.random() < 0.2:
        weight, features = _log(rng, 1e-12, 1e3), _log(rng, 1e-12, 1e3)
    else:
        mu = np.sqrt(counts.groups[0][1]) / counts.total * _log(rng, 1e-8, 2.0) * gain
        tilt = _log(rng, 1e-4, 1e4)
        weight, features = float(mu * tilt), float(mu / tilt)
    bias = None
    if free and rng.random() < 0.4:
        bias = 0.0 if rng.random() < 0.4 else _log(rng, 1e-8, 1e3)
    return ufm.WeightDecay(weight, features, bias, per_class=bool(rng.random() < 0.15))
