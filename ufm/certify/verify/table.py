"""Certificates of tables of targets: the problem, and both bounds, in exact and ball arithmetic.

For slopes ``Y'`` with exact probabilities ``Q = Y' + Y`` the optimum is at least ``sum_m pi_m d_m(y'_m)``, scaled into
``||Y' diag(pi) S^{-1}||_2 <= mu`` (docs/theory, Propositions 11.2 and 11.3), where d is the entropy of q for probabilities, and
``-|y'|^2 / 2 - <y', y>`` for squared error.
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from typing import Any

from flint import arb, fmpq, fmpz_mat

from ufm.certify.verify.arithmetic import (
    ZERO,
    affordable,
    ball,
    dyadic,
    integer,
    power_of_two,
    shown,
    total,
)
from ufm.certify.verify.document import fields, kind, listed
from ufm.certify.verify.eigenvalue import largest_eigenvalue
from ufm.certify.verify.penalty import Linear, charge
from ufm.certify.verify.problem import MAX_DIM, MAX_SIZE, ExactProblem
from ufm.errors import InputError

MAX_ROWS = 2048
MAX_CONTEXTS = 8192
MAX_TABLE = 2**20
"""Most entries of a table: some ten seconds for its logarithms and exponentials."""
MAX_BITS = 1100
"""Binary digits of a target: those of float64."""


class ExactTable(ExactProblem):
    """The problem that a table's document states.

    Attributes
    ----------
    weights : K lists of M int, the columns in units of a power of two
    sums : one list of M int for each block: what the targets of a block are divided by
    blocks : tuple of (start, stop), rows within which probabilities sum to one
    share : M Fraction, weight of each context's loss
    linear : Linear, what the head charges for singular values
    allowance : arb, what the lower bound is to be reduced by; zero unless features have a fixed norm
    """

    def __init__(self, data: Any) -> None:
        table, loss, head, regularizer, dim = fields(data, "problem", "table", "loss", "head", "regularizer", "dim")
        columns, sizes = fields(table, "table", "columns", "sizes")
        rows, exponent = dyadic(columns)
        if not 2 <= len(rows) <= MAX_ROWS or not all(isinstance(row, list) for row in rows):
            raise InputError(f"certificate has a table of {len(rows)} rows, where 2 to {MAX_ROWS} are read")
        contexts = len(listed(sizes, "sizes"))
        if not 1 <= contexts <= MAX_CONTEXTS or len(rows) * contexts > MAX_TABLE:
            raise InputError(f"certificate has a table of {len(rows)} x {contexts} entries, which is too large")
        self.weights = [listed(row, "columns", contexts) for row in rows]
        if any(abs(v).bit_length() > MAX_BITS for row in self.weights for v in row) or exponent < -MAX_BITS:
            raise InputError("certificate has targets that no float64 is; save it again")
        self.unit = Fraction(2) ** exponent
        self.n = [integer(n) for n in sizes]
        if min(self.n) < 1 or max(self.n) > MAX_SIZE:
            raise InputError("certificate has sizes that no table has; save it again")
        self._read_table_loss(loss)
        self.per_sample, self.bias = False, None
        self._read_penalty(head, regularizer)
        self.dim = None if dim is None else integer(dim)
        if self.dim is not None and not 1 <= self.dim <= MAX_DIM:
            raise InputError(f"certificate has dim={self.dim}, which must lie between 1 and {MAX_DIM}")

    def _read_penalty(self, head: Any, regularizer: Any) -> None:
        rows, contexts = len(self.weights), len(self.n)
        if kind(regularizer) == "weight_decay":
            self._read_decay(regularizer)
        self.scale_squared = list(self.n) if self.per_sample else [1] * contexts
        found = charge(head, regularizer, arb(rows * contexts).sqrt())
        if not isinstance(found, Linear) or found.columns:
            raise InputError("certificate has a head that does not go with a table; save it again")
        self.linear = found

    def price(self, left: tuple[list[Any], int], right: tuple[list[Any], int]) -> arb:
        """What the factors cost, or under budgets the sum of their lengths over its bound.

        Parameters
        ----------
        left, right : integers of the factors (K x r) and (r x M), each with its binary exponent

        Returns
        -------
        arb
        """
        size = power_of_two(2 * (left[1] + right[1]))
        lengths = []
        for i in range(len(right[0])):
            height = sum(row[i] ** 2 for row in left[0])
            across = sum(s * v**2 for s, v in zip(self.scale_squared, right[0][i], strict=True))
            lengths.append(((arb(height * across) * size).sqrt(), 1))
        return self.linear.gauge(lengths) if self.linear.ball else self.linear.price(lengths)

    def _read_table_loss(self, loss: Any) -> None:
        rows, contexts = len(self.weights), len(self.n)
        name = kind(loss)
        self.loss = name
        self.blocks: tuple[tuple[int, int], ...] = ()
        multiplicity = [1] * contexts
        if name == "multitask":
            _, tasks = fields(loss, "loss", "kind", "rows")
            lengths = [integer(k) for k in listed(tasks, "tasks")]
            if not lengths or min(lengths) < 2 or sum(lengths) != rows:
                raise InputError("certificate has tasks whose rows are not those of its table; save it again")
            ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
            self.blocks = tuple(zip([0, *ends[:-1]], ends, strict=True))
        else:
            fields(loss, "loss", "kind")
            if name in ("ce", "pal"):
                self.blocks = ((0, rows),)
            elif name not in ("bce", "mse"):
                raise InputError(f"certificate has an unknown loss {shown(name)}; save it again")
        self.sums = []
        for start, stop in self.blocks:
            sums = [sum(self.weights[k][m] for k in range(start, stop)) for m in range(contexts)]
            if min(sums) < 1 or min(min(self.weights[k]) for k in range(start, stop)) < 0:
                raise InputError("certificate has a column that is no probability; save it again")
            self.sums.append(sums)
        if name in ("pal", "bce"):
            top = int(1 / self.unit)  # zero for a unit above one
            allowed = (lambda v: v in (0, top)) if name == "pal" else (lambda v: 0 <= v <= top)
            if not top or not all(allowed(v) for row in self.weights for v in row):
                raise InputError(f"certificate has targets that {name} does not take; save it again")
            if name == "pal":
                multiplicity = [s // top for s in self.sums[0]]
        everything = sum(self.n)
        self.share = [Fraction(w * n, everything) for w, n in zip(multiplicity, self.n, strict=True)]

    def target(self, k: int, m: int) -> Fraction:
        """The exact target of row k in context m."""
        for (start, stop), sums in zip(self.blocks, self.sums, strict=True):
            if start <= k < stop:
                return Fraction(self.weights[k][m], sums[m])
        return self.weights[k][m] * self.unit


def table_lower(problem: ExactTable, dual: Any) -> arb:
    """The proved lower bound.

    Parameters
    ----------
    problem : ExactTable
    dual : dict, the document's slopes

    Returns
    -------
    arb

    Raises
    ------
    InputError
        The slopes are malformed or outside the domain, or do not balance a free bias.
    """
    rows, contexts = len(problem.weights), len(problem.n)
    denominator, slopes = fields(dual, "dual", "denominator", "slopes")
    unit = integer(denominator)
    if unit < 1:
        raise InputError("certificate has a denominator below 1; save it again")
    y = [[integer(v) for v in listed(row, "dual slopes", contexts)] for row in listed(slopes, "dual slopes", rows)]
    for start, stop in problem.blocks:
        if any(sum(y[k][m] for k in range(start, stop)) for m in range(contexts)):
            raise InputError("certificate has slopes that do not sum to zero, so it proves nothing")
    value, linear, square = ZERO, ZERO, ZERO
    if problem.loss == "mse":
        for m in range(contexts):
            size = sum(y[k][m] ** 2 for k in range(rows))
            along = sum(y[k][m] * problem.weights[k][m] for k in range(rows))
            square += ball(problem.share[m] * Fraction(size, 2 * unit**2))
            linear += ball(problem.share[m] * problem.unit * Fraction(along, unit))
        value = -linear
    else:
        for m in range(contexts):
            column = _logistic(problem, y, unit, m) if problem.loss == "bce" else _softmax(problem, y, unit, m)
            value += ball(problem.share[m]) * column
    norm, charge = _norm(problem, y, unit), problem.linear
    limit, support = arb(1), ZERO
    if charge.ball:
        support = charge.strength * norm
    elif not norm <= charge.strength:
        limit = limit.min(charge.strength / norm)
    if problem.bias is not None:
        residual = [sum((problem.share[m] * y[k][m] for m in range(contexts)), Fraction(0)) / unit for k in range(rows)]
        if problem.bias:
            square += ball(sum((r * r for r in residual), Fraction(0)) / (2 * problem.bias))
        elif any(residual):
            raise InputError("certificate has slopes that do not balance a free bias, so it proves nothing")
    # Concave in t with d(0) >= 0 at t = 0: every t in [0, limit] proves t (value) - t^2 (square).
    shrink = arb(1) if charge.ball else limit
    return shrink * value - shrink**2 * square - support - problem.allowance


def _softmax(problem: ExactTable, y: list[list[int]], unit: int, m: int) -> arb:
    """Entropy of ``q = target + slope`` in context m, summed over blocks."""
    value = ZERO
    for (start, stop), sums in zip(problem.blocks, problem.sums, strict=True):
        whole = sums[m] * unit
        logarithm, column = arb(whole).log(), ZERO
        for k in range(start, stop):
            q = problem.weights[k][m] * unit + y[k][m] * sums[m]
            if q < 0:
                raise InputError("certificate has a negative probability, so it proves nothing")
            if 0 < q < whole:
                # Near one the logarithm is that of one minus what is left.
                own = -(-arb(fmpq(whole - q, whole))).log1p() if 2 * q > whole else logarithm - arb(q).log()
                column += q * own
        value += column / whole
    return value


def _logistic(problem: ExactTable, y: list[list[int]], unit: int, m: int) -> arb:
    """Binary entropies of ``q = target + slope`` in context m."""
    value = ZERO
    top = int(1 / problem.unit)
    whole = top * unit
    for k, row in enumerate(problem.weights):
        q = row[m] * unit + y[k][m] * top
        if not 0 <= q <= whole:
            raise InputError("certificate has a probability outside [0, 1], so it proves nothing")
        if 0 < q < whole:
            small = arb(fmpq(min(q, whole - q), whole))
            value += -small * small.log() - (1 - small) * (-small).log1p()
    return value


def _norm(problem: ExactTable, y: list[list[int]], unit: int) -> arb:
    """Upper bound on ``||Y' diag(pi) S^{-1}||_2``, from ``Y' diag(pi^2 / s^2) Y'^T``, an integer matrix over denominators."""
    rows, contexts = len(y), len(problem.n)
    exact = [share**2 / problem.scale_squared[m] for m, share in enumerate(problem.share)]
    common = lcm(*(v.denominator for v in exact))
    weight = [int(v * common) for v in exact]
    scaled = [[v * w for v, w in zip(row, weight, strict=True)] for row in y]
    affordable(rows**2 * contexts, (v for row in y for v in row), (v for row in scaled for v in row))
    moment = fmpz_mat(scaled) * fmpz_mat(y).transpose()
    return largest_eigenvalue(moment.entries(), [1] * rows).sqrt() / (arb(unit) * arb(common).sqrt())


def table_upper(problem: ExactTable, primal: Any) -> tuple[arb, int]:
    """The proved upper bound, and the feature dimensions of its factors.

    Parameters
    ----------
    problem : ExactTable
    primal : dict, the document's factors

    Returns
    -------
    arb, int

    Raises
    ------
    InputError
        The factors are malformed, or wider than the problem's ``dim``.
    """
    rows, contexts = len(problem.weights), len(problem.n)
    written = fields(primal, "primal", "left", "right", "bias")
    (left, left_power), (right, right_power), (bias, bias_power) = map(dyadic, written)
    rank = len(right)
    for name, lines, length, columns in (("left", left, rows, rank), ("right", right, rank, contexts)):
        for line in listed(lines, f"{name} factors", length):
            listed(line, f"{name} factors", columns)
    if any(isinstance(v, list) for v in listed(bias, "biases", rows)):
        raise InputError("certificate has biases of the wrong shape; save it again")
    if problem.bias is None and any(bias):
        raise InputError("certificate has a bias where the problem has none; save it again")
    if problem.dim is not None and rank > problem.dim:
        raise InputError(f"certificate has factors of width {rank}, more than dim={problem.dim}, so it proves nothing")
    affordable(rows * contexts * rank, (v for row in left for v in row), (v for row in right for v in row))
    product = (fmpz_mat(left) * fmpz_mat(right)).tolist() if rank else [[0] * contexts for _ in range(rows)]
    unit = power_of_two(left_power + right_power)
    b = [arb(v) * power_of_two(bias_power) for v in bias]
    charge = problem.linear
    price = problem.price((left, left_power), (right, right_power))
    inside = 1 / price if charge.ball and not price <= 1 else arb(1)
    upper = ZERO
    for m in range(contexts):
        logits = [arb(product[k][m]) * unit * inside + b[k] for k in range(rows)]
        upper += ball(problem.share[m]) * _loss(problem, logits, m)
    if charge.ball:
        return upper, rank
    upper += price
    if problem.bias:
        upper += ball(problem.bias / 2) * arb(sum(v * v for v in bias)) * power_of_two(2 * bias_power)
    return upper, rank


def _loss(problem: ExactTable, logits: list[arb], m: int) -> arb:
    """The loss of context m."""
    targets = [ball(problem.target(k, m)) for k in range(len(logits))]
    if problem.loss == "mse":
        return total((z - t) ** 2 for z, t in zip(logits, targets, strict=True)) / 2
    if problem.loss == "bce":
        return total(z.exp().log1p() - t * z for z, t in zip(logits, targets, strict=True))
    value = ZERO
    for start, stop in problem.blocks:
        top = max((z.mid() for z in logits[start:stop]), key=float)
        margins = [z - top for z in logits[start:stop]]
        value += total(v.exp() for v in margins).log()
        value -= total(t * v for t, v in zip(targets[start:stop], margins, strict=True))
    return value
