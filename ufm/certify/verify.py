r"""The independent verifier: bounds from a certificate document by exact rationals and ball arithmetic alone.

It imports nothing of this package but the error type, and trusts no number in the document but the problem itself:
probabilities must be non-negative integers whose columns sum to the denominator *exactly*, the operator norm is bounded
by an exactly evaluated residual, and logarithms, exponentials and roots are Arb balls.

The theory that it applies, for the mean cross-entropy over samples in nats:

* for any column-stochastic P, ``f(Z) >= sum_k pi_k Ent(p_k) + <G, Z S>`` with ``G = (P - I) diag(pi) S^{-1}``;
* decay: the optimum is at least ``t sum pi Ent(p)`` with ``t = min(1, mu_eff / ||G||_2)``, because ``I + t (P - I)``
  is feasible and the entropy is concave with ``Ent(e_k) = 0``; bias decay lb subtracts ``t^2 ||(P-I) pi||^2 / (2 lb)``;
* budgets: the optimum is at least ``sum pi Ent(p) - K c_eff ||G||_2``;
* the optimum is at most the objective at explicit factors; under budgets, factors outside the ball are scaled into it.

``mu_eff = mu (1 - rho)`` and ``c_eff = c / (1 - rho)`` for the linear DEQ with ``||A||_2 <= rho``, attained at rho I.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq, fmpz, fmpz_mat

from ufm.errors import InputError

PRECISION = 160
FORMAT = "ufm-certificate/1"
MAX_SIZE = 2**53
MAX_EXPONENT = 5000
MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RecursionError, MemoryError)
MAX_CLASSES = 2**40


@dataclass(frozen=True)
class Proof:
    """Proved bounds: ``lower <= optimum over every width`` and ``optimum over widths >= width <= upper``."""

    lower: arb
    upper: arb
    width: int

    @property
    def lower_float(self) -> float:
        """A float64 not above the proved lower bound."""
        return _toward(self.lower, -1)

    @property
    def upper_float(self) -> float:
        """A float64 not below the proved upper bound."""
        return _toward(self.upper, +1)

    @property
    def lower_text(self) -> str:
        """A decimal not above the proved lower bound, 30 significant digits."""
        return _decimal(self.lower, -1)

    @property
    def upper_text(self) -> str:
        """A decimal not below the proved upper bound, 30 significant digits."""
        return _decimal(self.upper, +1)


def prove(document: dict[str, Any]) -> Proof:
    """Bounds that the document's witness proves.

    Raises
    ------
    InputError
        The document is malformed, or its probabilities are not a probability matrix.
    """
    try:
        with working_precision(), np.errstate(all="ignore"):
            return _prove(document)
    except MALFORMED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"certificate is malformed ({type(error).__name__}: {error}); save it again") from None


@contextmanager
def working_precision() -> Iterator[None]:
    """Arb precision inside a block; every operation on balls rounds to it, reading off an end included."""
    old = ctx.prec
    ctx.prec = PRECISION
    try:
        yield
    finally:
        ctx.prec = old


@dataclass(frozen=True)
class Lower:
    """A lower bound, the norm ``||G||_2`` that it allows, the factor that shrank P to it, and P as integers."""

    value: arb
    allowed: arb
    shrink: arb
    own: list[int]
    other: list[list[int]]
    denominator: int


@dataclass(frozen=True)
class Upper:
    """An upper bound, the feature dimensions that attain it, and the probabilities at its logits as balls.

    own : (G,) of the class itself; other : (G, G), ``other[g][h]`` of one other class of group g in a column of group h
    """

    value: arb
    width: int
    own: list[arb]
    other: list[list[arb]]


class ExactProblem:
    """The document's problem in exact numbers."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.m = [integer(g["classes"]) for g in data["groups"]]
        self.n = [integer(g["size"]) for g in data["groups"]]
        if not self.m or min(self.m) < 1 or min(self.n) < 1 or max(self.n) > MAX_SIZE or not 2 <= sum(self.m) <= MAX_CLASSES:
            raise InputError("certificate has class sizes that no problem has; save it again")
        if data["loss"] != "ce":
            raise InputError(f"certificate has loss {data['loss']!r}, and this verifier knows 'ce' only")
        self.total = sum(m * n for m, n in zip(self.m, self.n, strict=True))
        self.classes = sum(self.m)
        head = data["head"]
        rho = {"explicit": lambda: Fraction(0), "linear_deq": lambda: rational(head["rho"])}[head["kind"]]()
        if not 0 <= rho < 1:
            raise InputError(f"certificate has rho={rho}, which must lie in [0, 1)")
        regularizer = data["regularizer"]
        self.decay = regularizer["kind"] == "weight_decay"
        self.bias: Fraction | None = None
        self.per_sample = False
        if self.decay:
            product = _positive(regularizer["lambda_W"]) * _positive(regularizer["lambda_H"])
            self.strength_squared = product * (1 - rho) ** 2
            self.per_sample = {"per sample": True, "per class": False}[regularizer["features"]]
            if regularizer["lambda_b"] is not None:
                self.bias = rational(regularizer["lambda_b"])
                if self.bias < 0:
                    raise InputError("certificate has a negative bias decay; save it again")
        elif regularizer["kind"] == "norm_budget":
            product = _positive(regularizer["E_W"]) * _positive(regularizer["E_H"])
            self.strength_squared = product * self.classes**2 / (1 - rho) ** 2
        else:
            raise InputError(f"certificate has an unknown regularizer {regularizer['kind']!r}")
        self.strength = _arb(self.strength_squared).sqrt()
        self.scale_squared = list(self.n) if self.per_sample else [1] * len(self.n)
        self.dim = data["dim"]


def _prove(document: dict[str, Any]) -> Proof:
    if document["format"] != FORMAT:
        raise InputError(f"certificate has format {document['format']!r}; this version reads {FORMAT!r}")
    problem = ExactProblem(document["problem"])
    upper = upper_bound(problem, document["primal"])
    lower = lower_bound(problem, document["dual"])
    if not (lower.value.is_finite() and upper.value.is_finite()):
        raise InputError("certificate's bounds are not finite, so it proves nothing")
    return Proof(lower.value, upper.value, upper.width)


def lower_bound(problem: ExactProblem, dual: dict[str, Any]) -> Lower:
    """The proved lower bound with what it was made of."""
    m, n, groups = problem.m, problem.n, len(problem.m)
    denominator = integer(dual["denominator"])
    own = [integer(v) for v in dual["own"]]
    other = [[integer(v) for v in row] for row in dual["other"]]
    if denominator < 1 or len(own) != groups or len(other) != groups or any(len(row) != groups for row in other):
        raise InputError("certificate has probabilities of the wrong shape; save it again")
    if min(own) < 0 or min(map(min, other)) < 0 or any(m[g] == 1 and other[g][g] for g in range(groups)):
        raise InputError("certificate has a negative or misplaced probability, so it proves nothing")
    for h in range(groups):
        if sum(m[g] * other[g][h] for g in range(groups)) - other[h][h] + own[h] != denominator:
            raise InputError(f"certificate has probabilities in column {h + 1} that do not sum to one, so it proves nothing")

    entropy = arb(0)
    log_denominator = arb(denominator).log()
    for h in range(groups):
        column = arb(0)
        for g in range(groups):
            copies = m[g] - (g == h)
            if copies and other[g][h]:
                column += copies * other[g][h] * (log_denominator - arb(other[g][h]).log())
        if own[h]:
            column -= own[h] * (-arb(fmpq(denominator - own[h], denominator))).log1p()
        entropy += m[h] * n[h] * column / denominator
    entropy /= problem.total

    norm = _dual_norm(problem, denominator, own, other)
    if not problem.decay:
        return Lower(entropy - problem.strength * norm, norm, arb(1), own, other, denominator)
    # Balls that overlap cannot be ordered: arb's own min and max return a ball around both candidates.
    shrink = arb(1) if norm <= problem.strength else arb(1).min(problem.strength / norm)
    lower = shrink * entropy
    if problem.bias is not None:
        residual = []
        for g in range(groups):
            received = sum(m[h] * n[h] * other[g][h] for h in range(groups)) - n[g] * other[g][g]
            residual.append(received - n[g] * (denominator - own[g]))
        square = Fraction(sum(c * r * r for c, r in zip(m, residual, strict=True)), (denominator * problem.total) ** 2)
        if problem.bias:
            lower -= shrink**2 * _arb(square / (2 * problem.bias))
        elif square:
            raise InputError("certificate has probabilities that do not balance a free bias, so it proves nothing")
    return Lower(lower, problem.strength, shrink, own, other, denominator)


def _dual_norm(problem: ExactProblem, denominator: int, own: list[int], other: list[list[int]]) -> arb:
    """Upper bound on ``||(P - I) diag(pi) S^{-1}||_2``.

    The contrasts are explicit. For the core let c be the integer group masses of ``denominator (P - I)`` and
    ``q_h N^2`` the squared column weights; with ``M = c diag(m q N^2) c'`` the squared norm is the largest generalised
    eigenvalue of ``(M, diag(m))`` over ``(denominator N)^2``. For any L and tau, ``tau diag(m) - M = L L' + R`` bounds it
    by ``tau + max_g sum_h |R_gh| / m_g``; L and tau come from floats, R is evaluated exactly.
    """
    m, n, groups = problem.m, problem.n, len(problem.m)
    weight = n if problem.per_sample else [v * v for v in n]
    largest = arb(0)
    for g in range(groups):
        if m[g] > 1:
            largest = largest.max(arb((denominator - own[g] + other[g][g]) ** 2 * weight[g]))

    masses = [[m[g] * other[g][h] for h in range(groups)] for g in range(groups)]
    for h in range(groups):
        masses[h][h] = 0
        masses[h][h] = -sum(masses[g][h] for g in range(groups))
    core = fmpz_mat(masses)
    weighted = fmpz_mat([[masses[g][h] * m[h] * weight[h] for h in range(groups)] for g in range(groups)])
    moment = weighted * core.transpose()
    entries = moment.entries()
    # A power of four brings the entries into float range; the root of it then scales L exactly.
    bits = max((abs(int(v)).bit_length() for v in entries), default=0)
    lift = 2 * ((bits - 600) // 2) if bits > 600 else 0
    root = np.sqrt(np.array([float(v) for v in m]))
    values = np.array([float(int(v) >> lift) for v in entries]).reshape(groups, groups) / root[:, None] / root
    if not values.any():
        return _over(problem, denominator, largest)
    eigenvalues, vectors = np.linalg.eigh((values + values.T) / 2)
    top = float(eigenvalues[-1]) * (1 + 1e-15 * groups)
    lower = root[:, None] * vectors * np.sqrt(np.maximum(top - eigenvalues, 0.0))
    shift = 60 - int(np.frexp(np.abs(lower).max())[1]) if lower.any() else 0
    integers = fmpz_mat([[int(v) for v in row] for row in np.ldexp(lower, shift).tolist()])
    square = integers * integers.transpose()
    tau = Fraction(top)
    tau_scaled = int(tau * 2 ** (2 * shift)) if shift >= 0 else int(tau / 2 ** (-2 * shift))
    # All in units of 2^(lift - 2 shift): R = tau diag(m) - M - L L'.
    power = 2 * shift - lift
    residual_bound = fmpq(0)
    products = square.entries()
    for g in range(groups):
        row = fmpz(0)
        row_exact = []
        for h in range(groups):
            i = g * groups + h
            target = fmpz(tau_scaled * m[g] if g == h else 0) - products[i]
            if power >= 0:
                row += abs(target - entries[i] * fmpz(1 << power))
            else:
                row_exact.append(abs(target * fmpz(1 << -power) - entries[i]))
        if power < 0:
            total = sum(row_exact, fmpz(0))
            residual_bound = max(residual_bound, fmpq(total, fmpz(1 << -power) * m[g]))
        else:
            residual_bound = max(residual_bound, fmpq(row, m[g]))
    squared = arb(fmpq(tau_scaled) + residual_bound)
    squared = squared / arb(2) ** power if power >= 0 else squared * arb(2) ** (-power)
    return _over(problem, denominator, largest.max(squared))


def _over(problem: ExactProblem, denominator: int, squared: arb) -> arb:
    return squared.sqrt() / (denominator * problem.total)


def upper_bound(problem: ExactProblem, primal: dict[str, Any]) -> Upper:
    """The proved upper bound with the probabilities at its factors."""
    m, n, groups = problem.m, problem.n, len(problem.m)
    contrast, contrast_power = _dyadic(primal["contrast"])
    left, left_power = _dyadic(primal["left"])
    right, right_power = _dyadic(primal["right"])
    bias, bias_power = _dyadic(primal["bias"])
    rank = len(right)
    if len(contrast) != groups or len(left) != groups or len(bias) != groups:
        raise InputError("certificate has factors of the wrong shape; save it again")
    if any(len(row) != rank for row in left) or any(len(row) != groups for row in right):
        raise InputError("certificate has factors of the wrong shape; save it again")
    if any(x and c == 1 for x, c in zip(contrast, m, strict=True)):
        raise InputError("certificate has a contrast in a group of one class; save it again")
    if problem.bias is None and any(bias):
        raise InputError("certificate has a bias where the problem has none; save it again")

    product = (fmpz_mat(left) * fmpz_mat(right)).tolist() if rank else [[fmpz(0)] * groups for _ in range(groups)]
    unit = _power(left_power + right_power)
    x = [arb(v) * _power(contrast_power) for v in contrast]
    b = [arb(v) * _power(bias_power) for v in bias]
    norm = arb(0)
    for g in range(groups):
        norm += (m[g] - 1) * arb(problem.scale_squared[g]).sqrt() * abs(x[g])
    weights = sum(m[g] * v * v for g in range(groups) for v in left[g])
    features = sum(m[h] * problem.scale_squared[h] * row[h] * row[h] for row in right for h in range(groups))
    norm += (arb(weights) * _power(2 * left_power) + arb(features) * _power(2 * right_power)) / 2
    width = rank + sum(m[g] - 1 for g in range(groups) if contrast[g])
    if problem.dim is not None and width > integer(problem.dim):
        raise InputError(f"certificate has factors of width {width}, more than dim={problem.dim}, so it proves nothing")

    inside = arb(1)
    if not problem.decay and not norm <= problem.strength:
        inside = problem.strength / norm
    loss = arb(0)
    own: list[arb] = []
    other: list[list[arb]] = [[arb(0)] * groups for _ in range(groups)]
    for h in range(groups):
        odds = arb(0)
        for g in range(groups):
            if g != h:
                margin = arb(product[g][h] - product[h][h]) * unit - x[h] * (m[h] - 1) / m[h]
                if problem.bias is not None:
                    margin += b[g] - b[h]
                other[g][h] = (inside * margin).exp()
                odds += m[g] * other[g][h]
        if m[h] > 1:
            other[h][h] = (-inside * x[h]).exp()
            odds += (m[h] - 1) * other[h][h]
        loss += m[h] * n[h] * odds.log1p()
        own.append(1 / (1 + odds))
        for g in range(groups):
            other[g][h] *= own[h]
    loss /= problem.total

    if not problem.decay:
        return Upper(loss, width, own, other)
    upper = loss + problem.strength * norm
    if problem.bias:
        square = sum(c * v * v for c, v in zip(m, bias, strict=True))
        upper += _arb(problem.bias / 2) * arb(square) * _power(2 * bias_power)
    return Upper(upper, width, own, other)


def _arb(value: Fraction) -> arb:
    return arb(fmpq(value.numerator, value.denominator))


def _power(exponent: int) -> arb:
    return arb(2) ** exponent


def integer(value: Any) -> int:
    """A whole number, written as such or as a string of at most 4000 digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,4000}", value):
        raise InputError(f"certificate has {str(value)[:40]!r} where a whole number belongs; save it again")
    return int(value)


def rational(value: Any) -> Fraction:
    """An exact number from ``p``, ``p/q`` or a decimal with an exponent of at most four digits."""
    pattern = r"-?[0-9]{1,2000}(/[0-9]{1,2000}|(\.[0-9]{1,2000})?([eE][-+]?[0-9]{1,4})?)"
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise InputError(f"certificate has {str(value)[:40]!r} where a rational number belongs; save it again")
    return Fraction(value)


def outward(value: Fraction, sign: int) -> float:
    """The float64 nearest to a rational on that side of it."""
    number = float(value)
    return number if sign * (Fraction(number) - value) >= 0 else float(np.nextafter(number, sign * np.inf))


def _positive(value: Any) -> Fraction:
    number = rational(value)
    if number <= 0:
        raise InputError(f"certificate has the non-positive parameter {value!r}; save it again")
    return number


def _dyadic(data: dict[str, Any]) -> tuple[list[Any], int]:
    def whole(value: Any) -> Any:
        return [whole(v) for v in value] if isinstance(value, list) else integer(value)

    exponent = integer(data["exponent"])
    if abs(exponent) > MAX_EXPONENT:
        raise InputError(f"certificate has the binary exponent {exponent}, which no float64 has; save it again")
    return whole(data["integers"]), exponent


def _toward(value: arb, sign: int) -> float:
    if not value.is_finite():
        return sign * np.inf
    with working_precision():
        return _nearest(value, sign)


def _nearest(value: arb, sign: int) -> float:
    bound = value.lower() if sign < 0 else value.upper()
    number = float(bound.mid())
    while not (arb(number) <= bound if sign < 0 else arb(number) >= bound):
        number = float(np.nextafter(number, sign * np.inf))
    return number


def _decimal(value: arb, sign: int, digits: int = 30) -> str:
    if not value.is_finite():
        raise InputError("certificate's bounds are not finite, so it proves nothing")
    with working_precision():
        bound = value.lower() if sign < 0 else value.upper()
        mantissa, exponent = bound.mid().man_exp()
    exact = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    if exact == 0:
        return "0"
    scale = digits - len(str(int(abs(exact)))) if abs(exact) >= 1 else digits + len(str(int(1 / abs(exact)))) - 1
    scaled = exact * Fraction(10) ** scale
    whole = scaled.numerator // scaled.denominator if sign < 0 else -((-scaled.numerator) // scaled.denominator)
    return f"{whole}e{-scale}"
