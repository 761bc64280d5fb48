"""A second, deliberately naive verifier: K x K matrices written out class by class, exact Fractions, mpmath.

It shares no code with the package. Its formulas are those of the models (weak duality, singular values, the charge of each
head), stated for every class rather than for groups of equal classes, so its cost grows with the number of classes: it is
meant for K up to some 20. Numbers are mpmath's at `DIGITS` digits; at least 60 of them are right, losses of 1e-80 included.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath

DIGITS = 150
Matrix = list[list[Fraction]]
Number = Any


class WitnessError(ValueError):
    """The witness is not one: probabilities that are none, columns that attract each other, an unbalanced free bias."""


def bounds(document: Mapping[str, Any] | str) -> tuple[Number, Number]:
    """``lower <= optimum <= upper`` that the witness of a certificate proves.

    Parameters
    ----------
    document : mapping or str, what ``certificate.document()`` returns or its JSON; a claim in it is ignored

    Returns
    -------
    (mpf, mpf) : the dual value at the document's slopes, and the objective at its factors, both right to 60 digits

    Raises
    ------
    WitnessError
    """
    data = json.loads(document if isinstance(document, str) else json.dumps(document))
    with mpmath.workdps(DIGITS):
        model = Model(data["problem"])
        upper = model.objective(data["primal"])
        return model.dual(data["dual"], upper), upper


def number(value: Fraction | int) -> Number:
    """An exact number as an mpf."""
    value = Fraction(value)
    return mpmath.mpf(value.numerator) / value.denominator


@dataclass
class Charge:
    """What a head adds to the objective for lengths (or column norms), or how far a budget is exceeded by them.

    total : charge of all lengths; for a budget, the factor by which logits must shrink to fit (at most 1: they fit)
    single : charge of one length, where the total is a sum of these and concave; else None
    """

    total: Callable[[list[Number]], Number]
    single: Callable[[Number], Number] | None = None


class Model:
    """A problem with one entry for every class."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        groups = data["groups"]
        self.group = [g for g, item in enumerate(groups) for _ in range(int(item["classes"]))]
        self.K = len(self.group)
        self.n = [int(groups[g]["size"]) for g in self.group]
        self.head, self.regularizer, loss = data["head"], data["regularizer"], data["loss"]
        self.squared, self.logistic = loss["kind"] == "mse", loss["kind"] == "bce"
        one, zero = ["1"] * len(groups), ["0"] * len(groups)
        weights = [Fraction(loss.get("weights", one)[g]) for g in self.group]
        self.Delta = [Fraction(loss.get("temperatures", one)[g]) for g in self.group]
        self.iota = [Fraction(loss.get("offsets", zero)[g]) for g in self.group]
        self.epsilon = Fraction(loss.get("smoothing", 0))
        mass = sum(w * n for w, n in zip(weights, self.n, strict=True))
        self.pi = [w * n / mass for w, n in zip(weights, self.n, strict=True)]
        self.decay = self.regularizer["kind"] == "weight_decay"
        per_sample = self.decay and self.regularizer["features"] == "per sample"
        self.s_squared = list(self.n) if per_sample else [1] * self.K
        self.s = [mpmath.sqrt(v) for v in self.s_squared]
        bias = self.regularizer.get("lambda_b")
        self.lambda_b = None if bias is None else Fraction(bias)
        self.columns = self.head["kind"] in ("relu", "fixed_etf")
        # T: one-hot labels, smoothed.
        self.T = [[(1 - self.epsilon) * (j == k) + self.epsilon / self.K for k in range(self.K)] for j in range(self.K)]

    # Upper bound

    def objective(self, primal: Mapping[str, Any]) -> Number:
        """The model's objective at the factors; under budgets, at the factors scaled into them."""
        x, left, right, b = (dyadic(primal[name]) for name in ("contrast", "left", "right", "bias"))
        K, group = self.K, self.group
        m = [group.count(group[k]) for k in range(K)]
        Z = [[Fraction(0)] * K for _ in range(K)]
        for j in range(K):
            for k in range(K):
                Z[j][k] = sum((left[group[j]][i] * right[i][group[k]] for i in range(len(right))), Fraction(0))
                if group[j] == group[k]:
                    Z[j][k] += x[group[k]] * ((j == k) - Fraction(1, m[k]))
        if self.columns:
            lengths = [self.s[k] * mpmath.sqrt(number(sum(Z[j][k] ** 2 for j in range(K)))) for k in range(K)]
        else:
            lengths = []
            for g in sorted(set(group)):
                k = group.index(g)
                lengths += [self.s[k] * abs(number(x[g]))] * (m[k] - 1)
            for i in range(len(right)):
                w = sum(left[group[j]][i] ** 2 for j in range(K))
                h = sum(self.s_squared[k] * right[i][group[k]] ** 2 for k in range(K))
                lengths.append(mpmath.sqrt(number(w * h)))
        charged = self.charge().total(lengths)
        inside = mpmath.mpf(1)
        if not self.decay and charged > 1:
            inside = 1 / charged
        bias = [number(b[g]) if self.lambda_b is not None else mpmath.mpf(0) for g in group]
        loss = mpmath.mpf(0)
        for k in range(K):
            z = [inside * number(Z[j][k]) + bias[j] for j in range(K)]
            loss += number(self.pi[k]) * self.column_loss(z, k)
        if self.decay:
            loss += charged
        if self.lambda_b:
            loss += number(self.lambda_b) / 2 * sum(v * v for v in bias)
        return loss

    def column_loss(self, z: list[Number], k: int) -> Number:
        """Loss of logits z of a sample of class k."""
        if self.squared:
            return sum((v - (j == k)) ** 2 for j, v in enumerate(z)) / 2
        if self.logistic:
            return sum(mpmath.log1p(mpmath.exp(-v if j == k else v)) for j, v in enumerate(z))
        u = [number(self.Delta[j]) * v + number(self.iota[j]) for j, v in enumerate(z)]
        rest = sum(mpmath.exp(u[j] - u[k]) for j in range(self.K) if j != k)
        return mpmath.log1p(rest) - sum(number(self.T[j][k]) * (u[j] - u[k]) for j in range(self.K))

    def strengths(self) -> tuple[Fraction, Fraction]:
        """``lambda_W, lambda_H`` or ``E_W, E_H``."""
        names = ("lambda_W", "lambda_H") if self.decay else ("E_W", "E_H")
        return Fraction(self.regularizer[names[0]]), Fraction(self.regularizer[names[1]])

    def charge(self) -> Charge:
        """The head's charge."""
        kind, (a, b), K = self.head["kind"], self.strengths(), self.K
        c = mpmath.sqrt(number(a * b))
        per_unit = c if self.decay else 1 / (K * c)
        if kind == "explicit" and int(self.head["layers"]) > 1:
            L = int(self.head["layers"])
            power = mpmath.mpf(2) / (L + 1)
            if self.decay:
                strength = mpmath.mpf(L + 1) / 2 * mpmath.root(number(a**L * b), L + 1)
                return Charge(lambda t: sum(strength * v**power for v in t if v), lambda v: strength * v**power if v else v)
            level = mpmath.root(number((K * a) ** L * K * b), L + 1)
            return Charge(lambda t: (sum(v**power for v in t if v) / level) ** (1 / power))
        if kind in ("explicit", "relu"):
            return Charge(lambda t: per_unit * sum(t))
        if kind == "linear_deq":
            kept = number(1 - Fraction(self.head["rho"]))
            return Charge(lambda t: per_unit * kept * sum(t))
        if kind == "frobenius_deq":
            e = mpmath.sqrt(number(Fraction(self.head["budget"])))
            return Charge(lambda t: per_unit * (sum(t) - e * mpmath.sqrt(sum(v * v for v in t))))
        if kind == "decayed_deq":
            la, gamma = number(Fraction(self.head["decay"])), number(Fraction(self.head["contraction"]))

            def single(v: Number) -> Number:
                best = min(c * v / la, gamma)
                return c * v * (1 - best) + la * best**2 / 2

            return Charge(lambda t: sum(single(v) for v in t), single)
        stretch_squared = number(self.etf_norm() * Fraction(K, K - 1))
        if self.decay:
            return Charge(lambda t: number(b) / stretch_squared / 2 * sum(v * v for v in t))
        radius = mpmath.sqrt(stretch_squared * number(b))
        if self.head["average"]:
            return Charge(lambda t: mpmath.sqrt(sum(v * v for v in t) / K) / radius)
        return Charge(lambda t: max(t) / radius)

    def etf_norm(self) -> Fraction:
        """``|w_k|^2`` of a classifier that is fixed to a simplex ETF."""
        if not self.decay:
            return self.strengths()[0]
        return Fraction(1 if self.head["norm"] is None else self.head["norm"])

    # Lower bound

    def dual(self, witness: Mapping[str, Any], upper: Number) -> Number:
        """The dual value at the slopes; ``upper`` is the proved upper bound."""
        if not witness:
            return self.scalar_problems()
        K, Y = self.K, self.slopes(witness)
        column = [self.conjugate(Y, k) for k in range(K)]
        value = sum(number(self.pi[k]) * column[k] for k in range(K))
        at_zero = sum(number(self.pi[k]) * self.conjugate([[Fraction(0)] * K for _ in range(K)], k) for k in range(K))
        G = [[number(self.Delta[j] * Y[j][k] * self.pi[k]) / self.s[k] for k in range(K)] for j in range(K)]
        norms = [mpmath.sqrt(sum(G[j][k] ** 2 for j in range(K))) for k in range(K)]
        # Every t Y with t up to the limit proves t D(Y) + (1 - t) D(0) - t^2 quadratic; the best t counts.
        limit, quadratic = mpmath.mpf(1), mpmath.mpf(0)
        if self.head["kind"] == "fixed_etf":
            if self.decay:
                quadratic += self.etf_price(norms)
            else:
                value -= self.etf_price(norms)
        else:
            if self.head["kind"] == "relu":
                norm = max(norms)
                for j in range(K):
                    for k in range(j):
                        if sum(Y[i][j] * Y[i][k] for i in range(K)) > 0:
                            raise WitnessError("columns attract each other")
            else:
                norm = largest_singular_value(mpmath.matrix(G))
            if self.decay:
                allowed = self.slope_from_below(upper)
                limit = min(limit, allowed / norm) if norm else limit
            else:
                value -= self.radius() * norm
        if self.lambda_b is not None:
            residual = [self.Delta[j] * sum(Y[j][k] * self.pi[k] for k in range(K)) for j in range(K)]
            square = sum(r * r for r in residual)
            if self.lambda_b:
                quadratic += number(square / (2 * self.lambda_b))
            elif square:
                raise WitnessError("slopes do not balance a free bias")
        if not self.decay:
            return value
        gain = value - at_zero
        t = max(0, min(limit, gain / (2 * quadratic))) if quadratic else limit * (gain > 0)
        return at_zero + t * gain - t**2 * quadratic

    def slopes(self, witness: Mapping[str, Any]) -> Matrix:
        """(K, K) slopes Y, one column for every class."""
        K, group, unit = self.K, self.group, Fraction(1, int(witness["denominator"]))
        written = [
            [
                int(witness["own"][group[k]]) * unit if j == k else int(witness["other"][group[j]][group[k]]) * unit
                for k in range(K)
            ]
            for j in range(K)
        ]
        if self.squared or self.logistic:
            return written
        if any(v < 0 for row in written for v in row) or any(sum(row[k] for row in written) != 1 for k in range(K)):
            raise WitnessError("no column-stochastic matrix")
        return [[p - t for p, t in zip(*rows, strict=True)] for rows in zip(written, self.T, strict=True)]

    def conjugate(self, Y: Matrix, k: int) -> Number:
        """Minus the conjugate of the loss of class k, at column k of the slopes."""
        y = [Y[j][k] for j in range(self.K)]
        if self.squared:
            return number(-y[k] - sum((v * v for v in y), Fraction(0)) / 2)
        p = [v + self.T[j][k] for j, v in enumerate(y)]
        if self.logistic:
            if min(p) < 0 or max(p) > 1:
                raise WitnessError("no probabilities")
            return -sum(number(v) * mpmath.log(number(v)) for q in p for v in (q, 1 - q) if v)
        entropy = -sum(number(v) * mpmath.log(number(v)) for v in p if v)
        return entropy + number(sum(v * i for v, i in zip(y, self.iota, strict=True)))

    def etf_price(self, norms: list[Number]) -> Number:
        """Largest ``<G, X>`` minus the price of X, or over the budget."""
        (_, b), K = self.strengths(), self.K
        stretch_squared = number(self.etf_norm() * Fraction(K, K - 1))
        square = sum(v * v for v in norms)
        if self.decay:
            return square * stretch_squared / (2 * number(b))
        radius = mpmath.sqrt(stretch_squared * number(b))
        return radius * (mpmath.sqrt(K * square) if self.head["average"] else sum(norms))

    def slope_from_below(self, upper: Number) -> Number:
        """Largest slope of a linear charge that is nowhere above the head's, where that is at most ``upper``."""
        (a, b), kind = self.strengths(), self.head["kind"]
        mu = mpmath.sqrt(number(a * b))
        if kind == "relu" or (kind == "explicit" and int(self.head["layers"]) == 1):
            return mu
        if kind == "linear_deq":
            return mu * number(1 - Fraction(self.head["rho"]))
        if kind == "frobenius_deq":
            return mu * (1 - mpmath.sqrt(number(Fraction(self.head["budget"]))))
        # Concave: the chord up to the length that alone costs ``upper``, found from the charge by bisection.
        single = self.charge().single
        assert single is not None
        low, high = mpmath.mpf(0), mpmath.mpf(1)
        while single(high) < upper:
            high *= 2
        while single(high / 2) > upper:
            high /= 2
        for _ in range(int(3.4 * DIGITS)):
            middle = (low + high) / 2
            low, high = (middle, high) if single(middle) < upper else (low, middle)
        return upper / high

    def radius(self) -> Number:
        """Nuclear norm (column norms for non-negative features) that the budgets allow."""
        (a, b), kind, K = self.strengths(), self.head["kind"], self.K
        radius = K * mpmath.sqrt(number(a * b))
        if kind == "linear_deq":
            return radius / number(1 - Fraction(self.head["rho"]))
        if kind == "frobenius_deq":
            return radius / (1 - mpmath.sqrt(number(Fraction(self.head["budget"]))))
        if kind == "explicit" and int(self.head["layers"]) > 1:
            L = int(self.head["layers"])
            # The sum of s^(2/(L+1)) is at most the geometric mean of the budgets; one length alone makes the sum of s largest.
            return mpmath.sqrt(number((K * a) ** L * K * b))
        return radius

    def scalar_problems(self) -> Number:
        """Squared error without bias, equal curvature c: the sum over classes of ``min_s c (s - s_k)^2 / 2 + phi(s)``."""
        curvature = {p / s for p, s in zip(self.pi, self.s_squared, strict=True)}
        if not self.squared or len(curvature) != 1 or self.lambda_b is not None:
            raise WitnessError("no slopes")
        c, single = number(curvature.pop()), self.charge().single
        if single is None:
            raise WitnessError("no slopes")
        total = mpmath.mpf(0)
        for target in self.s:
            total += min(c * (s - target) ** 2 / 2 + single(s) for s in self.stationary(c, target))
        return total

    def stationary(self, c: Number, target: Number) -> list[Number]:
        """Zero and every stationary point of ``c (s - target)^2 / 2 + phi(s)`` that can be its minimum."""
        (a, b) = self.strengths()
        if self.head["kind"] == "decayed_deq":
            la, gamma = number(Fraction(self.head["decay"])), number(Fraction(self.head["contraction"]))
            mu = mpmath.sqrt(number(a * b))
            knee, points = gamma * la / mu, [mpmath.mpf(0), gamma * la / mu]
            if c != mu**2 / la:
                bent = (c * target - mu) / (c - mu**2 / la)
                points += [bent] if 0 <= bent <= knee else []
            straight = target - mu * (1 - gamma) / c
            return points + ([straight] if straight >= knee else [])
        L = int(self.head["layers"])
        power, strength = mpmath.mpf(2) / (L + 1), mpmath.mpf(L + 1) / 2 * mpmath.root(number(a**L * b), L + 1)
        # The derivative falls up to ``turn`` and rises after it; only its larger root is a minimum.
        turn = (strength * power * (1 - power) / c) ** (1 / (2 - power))

        def slope(s: Number) -> Number:
            return c * (s - target) + strength * power * s ** (power - 1)

        if turn >= target or slope(turn) >= 0:
            return [mpmath.mpf(0)]
        low, high = turn, target
        for _ in range(int(3.4 * DIGITS)):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) < 0 else (low, middle)
        return [mpmath.mpf(0), high]


def dyadic(data: Mapping[str, Any]) -> Any:
    """Integers times a power of two, as Fractions in nested lists."""
    unit = Fraction(2) ** int(data["exponent"])

    def exact(value: Any) -> Any:
        return [exact(v) for v in value] if isinstance(value, list) else int(value) * unit

    return exact(data["integers"])


def largest_singular_value(matrix: mpmath.matrix) -> Number:
    """``||G||_2``; where the iteration for singular values does not settle, by the eigenvalues of G'G at twice the digits."""
    try:
        return mpmath.svd_r(matrix, compute_uv=False)[0]
    except RuntimeError:
        with mpmath.workdps(2 * mpmath.mp.dps):
            return mpmath.sqrt(max(mpmath.eigsy(matrix.T * matrix, eigvals_only=True)))
