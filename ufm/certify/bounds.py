r"""Certified bounds in float64: weak duality below, explicit factors above, rounding errors added.

Lower bound. For *any* slopes y in the domain of the loss's conjugate and any logits Z, Fenchel's inequality column by
column gives

.. math:: \sum_k \pi_k \ell_k(\Delta z_k) \ge \sum_k \pi_k d_k(y_k) + \langle G, Z S \rangle,
          \qquad G = \Delta Y \mathrm{diag}(\pi) S^{-1}, \quad d_k(y) = -\ell_k^*(y).

For cross-entropy ``Y = P - T`` with column-stochastic P and targets T, and ``d = Entropy(p) + <y, iota>``; for squared error
``d = -|y|^2/2 - y_k``. With ``nu = ||G||_2`` the weight-decay program is at least ``sum pi d`` whenever ``nu <= mu`` (Y may
be scaled down to reach that: zero is always in the domain), and the norm-budget program at least
``sum pi d - radius nu``. Both hold for every feature dimension and every number of samples. A bias with decay lb
subtracts ``||Delta Y pi||^2 / (2 lb)``; a free bias needs ``Delta Y pi = 0``, which a rank-one shift restores.

A penalty that is not convex is replaced by one below it (`Penalty.relaxed`): its chord on the range that the upper bound
leaves to singular values. The lower bound is then still one on the *global* optimum.

Upper bound: the objective at the logits of explicit factors, with the penalty of these very factors; under budgets the
factors are scaled to lie inside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ufm.spectral.penalties import ColumnPenalty
from ufm.spectral.program import Factors, LogitProgram

Floats = NDArray[np.float64]
UNIT = np.finfo(np.float64).eps / 2


class Bounds(NamedTuple):
    """``lower <= optimum <= upper``, with the plain value at the factors and the dual slopes.

    slopes : (G + 1, G) float64, what a column of group h gives to one *other* class of group g (row g) and to its own
        (last row)
    """

    lower: float
    upper: float
    value: float
    slopes: Floats


def bounds(program: LogitProgram, factors: Factors) -> Bounds:
    """Both bounds from one set of factors, which need not be optimal."""
    terms = rounding_terms(program, factors)
    factors = program.inside(factors, terms * UNIT)
    logits = program.spread(program.point(factors))
    columns = program.loss.columns(logits, program.others)

    warm = float(np.max(program.loss.temperature))
    slip = terms * UNIT * float(np.max(np.abs(factors.left) @ np.abs(factors.right), initial=0.0)) * warm
    slip += 8 * UNIT * warm * float(np.max(np.abs(factors.contrast), initial=0.0) + np.max(np.abs(factors.bias), initial=0.0))
    loss = float(program.weight @ columns.values)
    value = loss
    if not program.penalty.ball:
        value += program.penalty.value(*program.lengths(factors))
    if program.bias_decay:
        value += 0.5 * program.bias_decay * float(program.multiplicity @ factors.bias**2)
    if program.loss.shift_invariant and not getattr(program.loss, "smoothing", 0.0) and not _offset(program):
        upper = value * (1 + 2 * terms * UNIT + 2 * slip)
    else:
        # Here losses are sums of terms as large as the offsets and the (smoothed, or squared) logits.
        size = float(np.max(np.abs(logits), initial=0.0)) + 1.0
        upper = value + (2 * terms * UNIT + 2 * slip) * (abs(value) + size * (1.0 + size))
    lower, slopes = dual_bound(program, columns.gradient / np.maximum(program.others, 1.0), upper)
    if splits(program):
        lower = max(lower, scalars(program)[1] * (1 - 2 * terms * UNIT) - 1e-300)
    return Bounds(float(lower), float(upper), float(value), slopes)


def splits(program: LogitProgram) -> bool:
    """Whether squared error under a concave, separable price splits into one scalar problem for each singular value.

    Without bias and at equal curvature c the program is ``c/2 ||X - S||_F^2 + Phi(sigma(X))``, and von Neumann's trace
    inequality aligns X with the diagonal S.
    """
    ratio = program.share / program.scale**2
    equal = bool(np.all(np.abs(ratio - ratio[0]) <= 1e-12 * ratio[0]))
    concave = program.penalty.separable and not program.penalty.convex
    return not program.loss.shift_invariant and program.bias_decay is None and equal and concave


def scalars(program: LogitProgram) -> tuple[Floats, float]:
    """Minimisers ``s_g`` of ``c/2 (s - scale_g)^2 + phi(s)`` and the sum of the minima over classes; see `splits`."""
    ones = np.ones(program.groups)
    curvature = program.share / program.scale**2
    singular, _ = program.penalty.prox(program.scale, ones, 1.0 / curvature)  # type: ignore[union-attr]
    loss = 0.5 * float((program.multiplicity * curvature) @ (singular - program.scale) ** 2)
    return singular, loss + program.penalty.value(singular, program.multiplicity)


def _offset(program: LogitProgram) -> bool:
    return bool(np.any(getattr(program.loss, "offset", 0.0)))


def rounding_terms(program: LogitProgram, factors: Factors) -> int:
    """Length of the sums behind one number, and a constant: errors are at most this many units in the last place."""
    return len(factors.right) + program.groups + 16


def dual_bound(program: LogitProgram, slopes: Floats, upper: float) -> tuple[float, Floats]:
    """Lower bound from slopes of the loss, and the scaled slopes that prove it.

    Parameters
    ----------
    program : LogitProgram
    slopes : (G + 1, G) float64, in the domain of the loss's conjugate
    upper : float, an upper bound on the optimum (used where the penalty is not convex)

    Returns
    -------
    float
        The bound, rounding errors of the a-priori kind (a multiple of G units in the last place) subtracted.
    (G + 1, G) float64
    """
    slopes = np.where(program.others > 0, slopes, 0.0)
    residual = None
    if program.bias_decay is not None:
        residual = _residual(program, slopes)
        if program.bias_decay == 0:
            balanced = _balanced(program, slopes, residual)
            if balanced is None:
                return _trivial(program)
            slopes, residual = balanced, np.zeros_like(residual)
    relative = (2 * program.groups + 16) * UNIT
    penalty = program.penalty.relaxed(upper)
    norms = dual_norms(program, slopes)
    if penalty.ball:
        fraction, price = 1.0, _support(penalty, norms, program.multiplicity) * (1 + 2 * relative)
    else:
        fraction, price = 1.0, 0.0
        if isinstance(penalty, ColumnPenalty) and penalty.power == 2:
            price = float(program.multiplicity @ norms**2) / (2.0 * penalty.weight) * (1 + 2 * relative)
        else:
            largest = float(norms.max()) * (1 + relative)
            fraction = min(1.0, penalty.weight / largest) if largest > 0 else 1.0  # type: ignore[union-attr]
    if isinstance(penalty, ColumnPenalty) and penalty.nonnegative and not _repelling(program, slopes):
        return _trivial(program)
    if residual is not None and program.bias_decay:
        price_of_bias = float(program.multiplicity @ residual**2) / (2.0 * program.bias_decay) * (1 + relative)
    else:
        price_of_bias = 0.0
    slopes = slopes * fraction
    values = program.loss.dual(slopes, program.others)
    total = float(program.weight @ values)
    slack = relative * (float(program.weight @ np.abs(values)) + _magnitude(program, slopes))
    lower = total - slack - price - price_of_bias * fraction**2
    least = _trivial(program)
    return (float(lower), slopes) if lower > least[0] else least


def _trivial(program: LogitProgram) -> tuple[float, Floats]:
    """Slopes of zero: they prove that the loss is at least its conjugate's value there, which is never negative."""
    slopes = np.zeros_like(program.others)
    values = program.loss.dual(slopes, program.others)
    return float(max((program.weight @ values) * (1 - 1e-12), 0.0)), slopes


def _magnitude(program: LogitProgram, slopes: Floats) -> float:
    """Size of the terms that cancel in the dual value of losses with offsets or without probabilities."""
    if not program.loss.shift_invariant:
        return float(program.weight @ (np.abs(slopes[-1]) + (program.others * slopes**2).sum(axis=0)))
    offset = getattr(program.loss, "offset", None)
    if offset is None or not offset.any():
        return 0.0
    return float(program.weight @ np.abs(slopes[-1])) * 2.0 * float(np.abs(offset).max())


def _support(penalty: object, norms: Floats, multiplicity: Floats) -> float:
    """Largest inner product of G with a point of the ball, from G's singular values or column norms."""
    weight: float = getattr(penalty, "radius", None) or getattr(penalty, "weight", 0.0)
    if isinstance(penalty, ColumnPenalty):
        if penalty.kind == "caps":
            return weight * float(multiplicity @ norms)
        if penalty.power == 2:
            return weight * float(np.sqrt(multiplicity @ norms**2))
    return weight * float(norms.max())


def dual_norms(program: LogitProgram, slopes: Floats) -> Floats:
    """Norms of ``G = Delta Y diag(pi) S^{-1}`` that price it: its spectral norm, or those of its columns by group."""
    column = program.share / program.scale
    warm = program.loss.temperature
    if isinstance(program.penalty, ColumnPenalty):
        square = slopes[-1] ** 2 + (program.others[:-1] * slopes[:-1] ** 2).sum(axis=0)
        return np.sqrt(square) * column
    m = program.multiplicity
    root = np.sqrt(m)
    within = np.diag(slopes[:-1])
    core = root[:, None] * slopes[:-1] * root
    np.fill_diagonal(core, within * program.copies + slopes[-1])
    largest = np.linalg.norm(warm[:, None] * core * column, 2)
    contrasts = np.where(program.copies > 0, np.abs(slopes[-1] - within) * warm * column, 0.0)
    return np.array([float(max(largest, contrasts.max()))])


def _repelling(program: LogitProgram, slopes: Floats) -> bool:
    """Whether columns of Y that belong to distinct classes have non-positive inner products."""
    groups = program.groups
    own, other = slopes[-1], slopes[:-1]
    inner = np.einsum("gh,gk,g->hk", other, other, program.multiplicity)
    # Corrected at the two rows that belong to the columns' own classes.
    for h in range(groups):
        for k in range(groups):
            if h == k and program.copies[h] == 0:
                continue
            inner[h, k] += (own[h] - other[h, h]) * other[h, k] + (own[k] - other[k, k]) * other[k, h]
    pairs = program.multiplicity[:, None] * program.multiplicity - np.diag(program.multiplicity)
    return bool(np.all(np.where(pairs > 0, inner, -1.0) <= 0.0))


def _residual(program: LogitProgram, slopes: Floats) -> Floats:
    """(G,) ``Delta Y pi``, one entry per class of each group."""
    received = slopes[:-1] @ program.weight - np.diag(slopes[:-1]) * program.share
    return program.loss.temperature * (received + slopes[-1] * program.share)


def _balanced(program: LogitProgram, slopes: Floats, residual: Floats) -> Floats | None:
    """Slopes with ``Delta Y pi = 0`` exactly but for rounding, or None where the shift leaves the domain."""
    total = float(program.weight.sum())
    shift = residual / (program.loss.temperature * total)
    shifted = slopes.copy()
    shifted[:-1] -= np.where(program.others[:-1] > 0, shift[:, None], 0.0)
    if not program.loss.shift_invariant:
        shifted[-1] -= shift
        return shifted
    # Columns of P - T sum to zero, so the own entry follows.
    shifted[-1] = -(program.others[:-1] * shifted[:-1]).sum(axis=0)
    shares = program.loss.probabilities(shifted)  # type: ignore[attr-defined]
    rest = (program.others[:-1] * shares).sum(axis=0)
    if np.where(program.others[:-1] > 0, shares, 0.0).min() < 0 or rest.max() > 1:
        return None
    return shifted
