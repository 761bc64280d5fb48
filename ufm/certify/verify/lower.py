"""The lower bound: weak duality at exact slopes, or (squared error without bias) scalar problems.

Proofs: docs/theory, Propositions 2.3, 2.5 to 2.7, 2.9 and 2.13.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import Any

from flint import arb, fmpq, fmpz_mat

from ufm.certify.verify.arithmetic import ZERO, affordable, ball, common_denominator, integer, squared, total
from ufm.certify.verify.document import fields, listed
from ufm.certify.verify.eigenvalue import largest_eigenvalue
from ufm.certify.verify.penalty import Minimax, Power
from ufm.certify.verify.problem import ExactProblem
from ufm.errors import InputError


@dataclass(frozen=True)
class Lower:
    """A lower bound and its slopes Y.

    Attributes
    ----------
    value : arb, the bound (nats)
    allowed : arb, the norm ``||G||_2`` that the bound allows: the charge's strength, or under a budget the norm itself
    shrink : arb, the factor t by which the slopes are scaled
    own : list of G int, slopes of a column's own class times ``denominator``
    other : list of G lists of G int, ``other[g][h]`` of one other class of group g in a column of group h, likewise
    denominator : int
    """

    value: arb
    allowed: arb
    shrink: arb
    own: list[int]
    other: list[list[int]]
    denominator: int


def lower_bound(problem: ExactProblem, dual: Any, upper: arb) -> Lower:
    """The proved lower bound (docs/theory, Propositions 2.3 and 2.14).

    Parameters
    ----------
    problem : ExactProblem
    dual : dict, the document's slopes
    upper : arb, a proved upper bound on the optimum

    Returns
    -------
    Lower

    Raises
    ------
    InputError
        The slopes are malformed, or prove nothing: they do not balance a free bias, or under non-negative features two columns
        have a positive inner product.
    """
    if problem.squared:
        if dual == {}:
            return scalars_lower(problem)
        # Any slopes will do: the conjugate of squared error is finite everywhere.
        slopes = _written(problem, dual)
        value, zero = _squared(problem, slopes), ZERO
    elif problem.logistic:
        slopes = _written(problem, dual)
        value, zero = _logistic(problem, slopes), ZERO
    else:
        slopes, value = _probabilities(problem, dual)
        zero = ZERO
        if problem.smoothing:
            rest = problem.floor * (problem.classes - 1)
            zero = -ball(rest) * ball(problem.floor).log() - ball(1 - rest) * ball(1 - rest).log()
    charge = problem.charge
    strength = charge.convex(upper.upper())
    norm, pairs = ZERO, []
    if charge.columns:
        pairs = _column_norms(problem, slopes)
        if charge.nonnegative and not _repelling(problem, slopes):
            raise InputError("certificate has columns that attract each other, so it proves nothing for features >= 0")
        for _, c in pairs:
            norm = norm.max(c)
    else:
        norm = _dual_norm(problem, slopes)
    # The program is at least D(t Y) - t^2 quadratic for every t up to the limit; see `_shrink`.
    limit, quadratic, support = arb(1), ZERO, ZERO
    if charge.square:
        squares = total(m * c * c for m, c in pairs)
        if not charge.ball:
            quadratic = squares / (2 * strength)
        elif charge.caps:
            support = strength * total(m * c for m, c in pairs)
        else:
            support = strength * squares.sqrt()
    elif charge.ball:
        support = strength * norm
    elif not norm <= strength:
        # Balls that overlap cannot be ordered: arb's own min and max return a ball around both candidates.
        limit = limit.min(strength / norm)
    if problem.bias is not None:
        residual = _residual(problem, slopes)
        square = sum((problem.m[g] * r * r for g, r in enumerate(residual)), Fraction(0))
        if problem.bias:
            quadratic = ball(square / (2 * problem.bias))
        elif square:
            raise InputError("certificate has slopes that do not balance a free bias, so it proves nothing")
    shrink = arb(1) if charge.ball else _shrink(value - zero, quadratic, limit)
    lower = shrink * value + (1 - shrink) * zero - shrink**2 * quadratic - support - problem.allowance
    allowed = norm if charge.ball else strength
    return Lower(lower, allowed, shrink, slopes.own, slopes.other, slopes.denominator)


def _shrink(gain: arb, quadratic: arb, limit: arb) -> arb:
    """The t in [0, limit] with the largest ``t gain - t^2 quadratic``, up to rounding; any t in there proves a bound.

    See docs/theory, Proposition 2.3.
    """
    if gain <= 0:
        return ZERO
    # Not a number, hence not below the limit, where there is no quadratic term.
    best = (gain / (2 * quadratic)).mid()
    return best if best <= limit else limit


@dataclass(frozen=True)
class _Slopes:
    """Y as integers over a denominator."""

    own: list[int]
    other: list[list[int]]
    denominator: int


def _written(problem: ExactProblem, dual: Any) -> _Slopes:
    """The document's slopes, read as integers."""
    groups = len(problem.m)
    denominator, own, other = fields(dual, "dual", "denominator", "own", "other")
    rows = [listed(row, "dual slopes", groups) for row in listed(other, "dual slopes", groups)]
    found = _Slopes(
        [integer(v) for v in listed(own, "dual slopes", groups)],
        [[integer(v) for v in row] for row in rows],
        integer(denominator),
    )
    if found.denominator < 1:
        raise InputError("certificate has a denominator below 1; save it again")
    if any(problem.m[g] == 1 and found.other[g][g] for g in range(groups)):
        raise InputError("certificate has a misplaced dual slope, so it proves nothing")
    return found


def _probabilities(problem: ExactProblem, dual: Any) -> tuple[_Slopes, arb]:
    """Slopes ``P - T`` and the dual value ``sum pi (Entropy(p) + <p - t, iota>)`` of cross-entropy."""
    m, groups = problem.m, len(problem.m)
    written = _written(problem, dual)
    own, other, denominator = written.own, written.other, written.denominator
    if min(own) < 0 or min(map(min, other)) < 0:
        raise InputError("certificate has a negative probability, so it proves nothing")
    for h in range(groups):
        if sum(m[g] * other[g][h] for g in range(groups)) - other[h][h] + own[h] != denominator:
            raise InputError(f"certificate has probabilities in column {h + 1} that do not sum to one, so it proves nothing")
    value = ZERO
    log_denominator = arb(denominator).log()
    unit = common_denominator(problem.offset)
    offset = [int(v * unit) for v in problem.offset]
    for h in range(groups):
        column = ZERO
        for g in range(groups):
            copies = m[g] - (g == h)
            if copies and other[g][h]:
                column += copies * other[g][h] * (log_denominator - arb(other[g][h]).log())
        if own[h]:
            column -= own[h] * (-arb(fmpq(denominator - own[h], denominator))).log1p()
        if any(offset):
            # The slopes of a column sum to zero, so only differences of offsets count.
            moved = sum(m[g] * other[g][h] * (offset[g] - offset[h]) for g in range(groups))
            even = sum(m[g] * (offset[g] - offset[h]) for g in range(groups))
            column += ball((moved - problem.floor * denominator * even) / unit)
        value += m[h] * problem.share_ball[h] * column / denominator
    if not problem.smoothing:
        return _Slopes([v - denominator for v in own], other, denominator), value
    common = lcm(denominator, problem.floor.denominator)
    step, floor = common // denominator, int(problem.floor * common)
    target = common - floor * (problem.classes - 1)
    # Entries of classes that are not there (a group of one class, beside itself) are not used.
    moved = [[v * step - floor for v in row] for row in other]
    return _Slopes([v * step - target for v in own], moved, common), value


def _squared(problem: ExactProblem, slopes: _Slopes) -> arb:
    """The dual value of squared error, ``sum pi (-|y|^2 / 2 - y_k)``."""
    m, groups, unit = problem.m, len(problem.m), Fraction(1, slopes.denominator)
    total = Fraction(0)
    for h in range(groups):
        square = slopes.own[h] ** 2 + sum((m[g] - (g == h)) * slopes.other[g][h] ** 2 for g in range(groups))
        total -= m[h] * problem.share[h] * (square * unit / 2 + slopes.own[h]) * unit
    return ball(total)


def _logistic(problem: ExactProblem, slopes: _Slopes) -> arb:
    """The dual value of one-vs-rest, the binary entropies of the probabilities of being wrong, ``-y`` of the class itself."""
    m, groups, whole = problem.m, len(problem.m), slopes.denominator
    value = ZERO
    for h in range(groups):
        column = ZERO
        for copies, wrong in ((1, -slopes.own[h]), *((m[g] - (g == h), slopes.other[g][h]) for g in range(groups))):
            if not 0 <= wrong <= whole:
                raise InputError("certificate has a probability outside [0, 1], so it proves nothing")
            if copies and 0 < wrong < whole:
                small = arb(fmpq(min(wrong, whole - wrong), whole))
                column -= copies * (small * small.log() + (1 - small) * (-small).log1p())
        value += m[h] * problem.share_ball[h] * column
    return value


def scalars_lower(problem: ExactProblem) -> Lower:
    """Squared error without bias at equal curvature: ``sum_k min_s c (s - t_k)^2 / 2 + phi(s)``.

    See docs/theory, Proposition 2.6.

    Raises
    ------
    InputError
        The problem does not split into scalars, so its certificate needs slopes.
    """
    charge, groups = problem.charge, len(problem.m)
    curvatures = {problem.share[g] / problem.scale_squared[g] for g in range(groups)}
    if problem.bias is not None or len(curvatures) != 1 or not isinstance(charge, Power | Minimax) or charge.ball:
        raise InputError("certificate has no dual slopes where its problem needs them; save it again")
    exact = curvatures.pop()
    value = ZERO
    for g in range(groups):
        value += problem.m[g] * scalar_lower(charge, ball(exact), arb(problem.scale_squared[g]).sqrt())
    return Lower(value, ZERO, arb(1), [0] * groups, [[0] * groups for _ in range(groups)], 1)


def scalar_lower(charge: Power | Minimax, curvature: arb, target: arb) -> arb:
    """Lower bound on ``min_s curvature (s - target)^2 / 2 + phi(s)``, which is concave up to a turn and convex after it.

    See docs/theory, Proposition 2.7.

    Parameters
    ----------
    charge : Power or Minimax, phi
    curvature, target : arb, both positive

    Returns
    -------
    arb
        Its lower end is a bound.
    """

    def value(s: arb) -> arb:
        return curvature * squared(s - target) / 2 + charge.each(s)

    def slope(s: arb) -> arb:
        return curvature * (s - target) + charge.slope(s)

    turn, doubt = charge.turn(curvature)
    best = curvature * target**2 / 2
    # Up to the turn the sum is concave (but for `doubt`), so least at an end; past the target it rises. If the turn is not
    # below the target, zero is the least point. If it is, a tangent near the minimum of the convex part lies below that part.
    if not turn >= target:
        low, high = float(turn.upper().mid()), float(target.upper().mid())
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if slope(arb(middle)) < 0 else (low, middle)
        at = arb(high).max(turn.upper())
        best = best.min(value(at) + (slope(at) * (turn - at)).min(slope(at) * (at.max(target) - at)))
    return best - doubt


def _residual(problem: ExactProblem, slopes: _Slopes) -> list[Fraction]:
    """``Delta Y pi``, one exact entry for each group (equal for all of its classes)."""
    m, groups = problem.m, len(problem.m)
    # In integers: shares over their common denominator.
    common = lcm(*(s.denominator for s in problem.share))
    share = [int(s * common) for s in problem.share]
    rows = []
    for g in range(groups):
        received = sum(m[h] * share[h] * slopes.other[g][h] for h in range(groups)) - share[g] * slopes.other[g][g]
        rows.append(problem.temperature[g] * Fraction(received + share[g] * slopes.own[g], common * slopes.denominator))
    return rows


def _weights(problem: ExactProblem) -> tuple[list[int], int]:
    """``pi^2 / s^2`` of each group as integers over one denominator."""
    exact = [share**2 / problem.scale_squared[g] for g, share in enumerate(problem.share)]
    common = lcm(*(q.denominator for q in exact))
    return [int(q * common) for q in exact], common


def _column_norms(problem: ExactProblem, slopes: _Slopes) -> list[tuple[int, arb]]:
    """Norms of the columns of ``G = Y diag(pi) S^{-1}``, one of each group with the number of its classes."""
    m, groups = problem.m, len(problem.m)
    norms = []
    for h in range(groups):
        square = slopes.own[h] ** 2 + sum((m[g] - (g == h)) * slopes.other[g][h] ** 2 for g in range(groups))
        exact = square * problem.share[h] ** 2 / (problem.scale_squared[h] * slopes.denominator**2)
        norms.append((m[h], ball(exact).sqrt()))
    return norms


def _repelling(problem: ExactProblem, slopes: _Slopes) -> bool:
    """Whether columns of Y that belong to distinct classes have non-positive inner products (docs/theory, Proposition 2.9)."""
    m, groups, own, other = problem.m, len(problem.m), slopes.own, slopes.other
    for h in range(groups):
        for k in range(h + 1):
            if h == k and m[h] == 1:
                continue
            inner = sum(m[g] * other[g][h] * other[g][k] for g in range(groups))
            inner += (own[h] - other[h][h]) * other[h][k] + (own[k] - other[k][k]) * other[k][h]
            if inner > 0:
                return False
    return True


def _dual_norm(problem: ExactProblem, slopes: _Slopes) -> arb:
    """Upper bound on ``||Delta Y diag(pi) S^{-1}||_2`` (docs/theory, Proposition 2.13).

    The contrasts are explicit. For the core let c be the integer group masses of ``Delta Y`` and q the column weights
    ``pi^2 / s^2``, both over common denominators; with ``M = c diag(m q) c'`` the squared norm is the largest generalised
    eigenvalue of ``(M, diag(m))``. Weights of rows multiply the masses m on the right.
    """
    m, groups = problem.m, len(problem.m)
    own, other = slopes.own, slopes.other
    weight, weight_denominator = _weights(problem)
    temperature_denominator = common_denominator(problem.temperature)
    temperature = [int(w * temperature_denominator) for w in problem.temperature]
    shared = gcd(*temperature)
    denominator = arb(slopes.denominator * temperature_denominator) / shared * arb(weight_denominator).sqrt()
    temperature = [w // shared for w in temperature]
    # Weights of rows are integers over a power of two, as their common denominator shows.
    exact = problem.row_squared or [Fraction(1)] * groups
    rows_denominator = common_denominator(exact)
    rows = [int(v * rows_denominator) for v in exact]
    denominator /= arb(rows_denominator).sqrt()
    largest = ZERO
    for g in range(groups):
        if m[g] > 1:
            largest = largest.max(arb(fmpq((temperature[g] * (other[g][g] - own[g])) ** 2 * weight[g], rows[g])))

    masses = [[m[g] * temperature[g] * other[g][h] for h in range(groups)] for g in range(groups)]
    for h in range(groups):
        masses[h][h] = temperature[h] * ((m[h] - 1) * other[h][h] + own[h])
    scaled = [[masses[g][h] * m[h] * weight[h] for h in range(groups)] for g in range(groups)]
    affordable(groups**3, (v for row in masses for v in row), (v for row in scaled for v in row))
    core, weighted = fmpz_mat(masses), fmpz_mat(scaled)
    moment = weighted * core.transpose()
    return largest.max(largest_eigenvalue(moment.entries(), [a * b for a, b in zip(m, rows, strict=True)])).sqrt() / denominator
