"""The upper bound: the objective at explicit factors (docs/theory, Proposition 2.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flint import arb, fmpz, fmpz_mat

from ufm.certify.verify.arithmetic import ZERO, affordable, ball, dyadic, power_of_two, squared, total
from ufm.certify.verify.document import fields, listed
from ufm.certify.verify.normalised import ExactCosine, ExactNormalised, cosine_gauge, normalised_price
from ufm.certify.verify.problem import ExactProblem
from ufm.errors import InputError


@dataclass(frozen=True)
class Upper:
    """An upper bound, the feature dimensions that attain it, and the probabilities at its logits, as balls.

    Attributes
    ----------
    value : arb, the bound (nats)
    width : int, feature dimensions
    own : list of G arb, probabilities of a column's own class; for squared error its logits
    other : list of G lists of G arb
        ``other[g][h]``, the probability of one other class of group g in a column of group h; for squared error its logit.
    """

    value: arb
    width: int
    own: list[arb]
    other: list[list[arb]]


def upper_bound(problem: ExactProblem, primal: Any) -> Upper:
    """The proved upper bound with the probabilities at its factors.

    Parameters
    ----------
    problem : ExactProblem
    primal : dict, the document's factors

    Returns
    -------
    Upper

    Raises
    ------
    InputError
        The factors are malformed, or wider than the problem's ``dim``.
    """
    m, groups = problem.m, len(problem.m)
    written = fields(primal, "primal", "contrast", "left", "right", "bias")
    (contrast, contrast_power), (left, left_power), (right, right_power), (bias, bias_power) = map(dyadic, written)
    rank = len(right)
    for name, rows, columns, length in (("left", left, rank, groups), ("right", right, groups, rank)):
        for row in listed(rows, f"{name} factors", length):
            listed(row, f"{name} factors", columns)
    for name, row in (("contrasts", contrast), ("biases", bias)):
        if any(isinstance(v, list) for v in listed(row, name, groups)):
            raise InputError(f"certificate has {name} of the wrong shape; save it again")
    if any(x and m[g] == 1 for g, x in enumerate(contrast)):
        raise InputError("certificate has a contrast in a group of one class; save it again")
    if problem.bias is None and any(bias):
        raise InputError("certificate has a bias where the problem has none; save it again")

    affordable(groups * groups * rank, (v for row in left for v in row), (v for row in right for v in row))
    product = (fmpz_mat(left) * fmpz_mat(right)).tolist() if rank else [[fmpz(0)] * groups for _ in range(groups)]
    unit = power_of_two(left_power + right_power)
    x = [arb(v) * power_of_two(contrast_power) for v in contrast]
    b = [arb(v) * power_of_two(bias_power) for v in bias]
    width = _width(problem, contrast, rank)
    if problem.dim is not None and width > problem.dim:
        raise InputError(f"certificate has factors of width {width}, more than dim={problem.dim}, so it proves nothing")

    charge = problem.charge
    if problem.normalised:
        lengths = []
    elif charge.columns:
        lengths = _columns(problem, product, unit, x)
    else:
        lengths = [(arb(problem.scale_squared[g]).sqrt() * abs(x[g]), m[g] - 1) for g in range(groups) if contrast[g]]
        size = power_of_two(2 * (left_power + right_power))
        for i in range(rank):
            height = sum(m[g] * left[g][i] ** 2 for g in range(groups))
            across = sum(m[h] * problem.scale_squared[h] * right[i][h] ** 2 for h in range(groups))
            lengths.append(((arb(height * across) * size).sqrt(), 1))
    inside = arb(1)
    if charge.ball:
        if isinstance(problem, ExactCosine):
            gauge = cosine_gauge(problem, (contrast, contrast_power), (left, left_power), (right, right_power))
        else:
            gauge = charge.gauge(lengths)
        inside = arb(1) if gauge <= 1 else 1 / gauge
    logits = _Logits(product, unit, x, b, inside, m)
    losses = _squared if problem.squared else _logistic if problem.logistic else _entropy
    loss, own, other = losses(problem, logits)
    if charge.ball:
        return Upper(loss, width, own, other)
    if isinstance(problem, ExactNormalised):
        upper = loss + normalised_price(problem, x, (left, left_power), (right, right_power))
    else:
        upper = loss + charge.price(lengths)
    if problem.bias:
        square = sum(m[g] * v * v for g, v in enumerate(bias))
        upper += ball(problem.bias / 2) * arb(square) * power_of_two(2 * bias_power)
    return Upper(upper, width, own, other)


def _width(problem: ExactProblem, contrast: list[int], rank: int) -> int:
    """Feature dimensions that the factors need; for heads on columns K - 1, or K for non-negative features."""
    if problem.charge.columns:
        return problem.classes if problem.charge.nonnegative else problem.classes - 1
    return rank + sum(problem.m[g] - 1 for g, x in enumerate(contrast) if x)


@dataclass(frozen=True)
class _Logits:
    """Logits in balls, scaled by ``inside`` (their bias excepted)."""

    product: list[list[Any]]
    unit: arb
    contrast: list[arb]
    bias: list[arb]
    inside: arb
    m: list[int]

    def own(self, h: int) -> arb:
        shared = arb(self.product[h][h]) * self.unit + self.contrast[h] * (self.m[h] - 1) / self.m[h]
        return self.inside * shared + self.bias[h]

    def other(self, g: int, h: int) -> arb:
        value = arb(self.product[g][h]) * self.unit
        if g == h:
            value -= self.contrast[h] / self.m[h]
        return self.inside * value + self.bias[g]

    def margin(self, g: int, h: int) -> arb:
        """Logit of another class of group g minus that of the class itself; exact differences before balls."""
        if g == h:
            return -self.inside * self.contrast[h]
        value = arb(self.product[g][h] - self.product[h][h]) * self.unit - self.contrast[h] * (self.m[h] - 1) / self.m[h]
        return self.inside * value + self.bias[g] - self.bias[h]


def _columns(problem: ExactProblem, product: list[list[Any]], unit: arb, x: list[arb]) -> list[tuple[arb, int]]:
    """Scaled norms of the columns of the logits, one of each group, with the number of its classes."""
    m, groups = problem.m, len(problem.m)
    logits = _Logits(product, unit, x, [ZERO] * groups, arb(1), m)
    lengths = []
    for h in range(groups):
        square = squared(logits.own(h))
        square += total((m[g] - (g == h)) * squared(logits.other(g, h)) for g in range(groups))
        lengths.append((arb(problem.scale_squared[h]).sqrt() * square.sqrt(), m[h]))
    return lengths


def _entropy(problem: ExactProblem, logits: _Logits) -> tuple[arb, list[arb], list[list[arb]]]:
    m, groups = problem.m, len(problem.m)
    tempered = set(problem.temperature) != {1}
    loss = ZERO
    own: list[arb] = []
    other: list[list[arb]] = [[ZERO] * groups for _ in range(groups)]
    for h in range(groups):
        odds, spread = ZERO, ZERO
        for g in range(groups):
            copies = m[g] - (g == h)
            if not copies:
                continue
            if tempered and g != h:
                margin = problem.temperature_ball[g] * logits.other(g, h) - problem.temperature_ball[h] * logits.own(h)
            else:
                margin = problem.temperature_ball[h] * logits.margin(g, h)
            if g != h:
                margin += problem.offset_ball[g] - problem.offset_ball[h]
            other[g][h] = margin.exp()
            odds += copies * other[g][h]
            spread += copies * margin
        value = odds.log1p()
        if problem.smoothing:
            value -= ball(problem.floor) * spread
        loss += m[h] * problem.share_ball[h] * value
        own.append(1 / (1 + odds))
        for g in range(groups):
            other[g][h] *= own[h]
    return loss, own, other


def _squared(problem: ExactProblem, logits: _Logits) -> tuple[arb, list[arb], list[list[arb]]]:
    m, groups = problem.m, len(problem.m)
    own = [logits.own(h) for h in range(groups)]
    other = [[logits.other(g, h) for h in range(groups)] for g in range(groups)]
    loss = ZERO
    for h in range(groups):
        square = squared(own[h] - 1)
        square += total((m[g] - (g == h)) * squared(other[g][h]) for g in range(groups))
        loss += m[h] * problem.share_ball[h] * square / 2
    return loss, own, other


def _logistic(problem: ExactProblem, logits: _Logits) -> tuple[arb, list[arb], list[list[arb]]]:
    """One-vs-rest: ``log(1 + e^-z)`` of the class itself and ``log(1 + e^z)`` of every other, with their probabilities."""
    m, groups = problem.m, len(problem.m)
    own, other = [ZERO] * groups, [[ZERO] * groups for _ in range(groups)]
    loss = ZERO
    for h in range(groups):
        column, own[h] = (-logits.own(h)).exp().log1p(), _sigmoid(logits.own(h))
        for g in range(groups):
            if m[g] - (g == h):
                column += (m[g] - (g == h)) * logits.other(g, h).exp().log1p()
                other[g][h] = _sigmoid(logits.other(g, h))
        loss += m[h] * problem.share_ball[h] * column
    return loss, own, other


def _sigmoid(z: arb) -> arb:
    return 1 / (1 + (-z).exp())
