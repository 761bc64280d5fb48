r"""Lower bounds in float64 by weak duality, with every rounding error subtracted.

For *any* slopes y in the domain of the loss's conjugate and any logits Z, Fenchel's inequality column by column gives

.. math:: \sum_k \pi_k \ell_k(\Delta z_k) \ge \sum_k \pi_k d_k(y_k) + \langle G, Z S \rangle,
          \qquad G = \Delta Y \mathrm{diag}(\pi) S^{-1}, \quad d_k(y) = -\ell_k^*(y)

(docs/theory, Propositions 2.1, 2.2). For cross-entropy ``Y = P - T`` with column-stochastic P and targets T, and
``d = Entropy(p) + <y, iota>``; for squared error ``d = -|y|^2/2 - y_k``. Proposition 2.3 states the bounds that follow under
decay, budgets, penalties on columns and a bias, for every feature dimension and every number of samples. Slopes that are not
feasible are scaled into the domain, or balanced by a rank-one shift under a free bias (Proposition 2.4).

A penalty that is not convex is replaced by one below it (`Penalty.relaxed`): its chord on the range that the upper bound
leaves to singular values (Proposition 2.5). The lower bound is then still one on the *global* optimum.

Rounding. The witness is exactly the floats that are returned; where slopes sum to zero in each column, a class's own slope is
minus the sum of the others. Proposition 2.11 lists what is subtracted: a sum of n terms is off by at most n units of the sum of
their sizes; class shares, scales and parameters of penalties by `PARAMETERS` units of themselves; a largest singular value by
``4 n + 32`` units (LAPACK states a modest multiple of n, and measures less than one).
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import ROOT_TINY, UNIT, gamma
from ufm.spectral.program import LogitProgram

PARAMETERS = 8
"""Relative error of a strength, a radius or a column scale, in units of rounding."""


def sums(groups: int) -> float:
    """Relative rounding of a sum over groups with two parameters in each term."""
    return gamma(groups + 2 * PARAMETERS)


def unknown(groups: int) -> float:
    """Relative rounding of a column's loss or conjugate that does not bound itself, on the sizes of its terms."""
    return gamma(16 * (groups + 16))


def dual_bound(program: LogitProgram, slopes: Floats, upper: float) -> tuple[float, Floats]:
    """Lower bound from slopes of the loss, and the scaled slopes that prove it.

    Parameters
    ----------
    program : LogitProgram
    slopes : (G + 1, G) float64, in the domain of the loss's conjugate: what a column of group h gives to one *other* class of
        group g (row g) and to its own (last row)
    upper : float, an upper bound on the optimum (used where the penalty is not convex)

    Returns
    -------
    float
        The bound, at least what slopes of zero prove.
    (G + 1, G) float64
    """
    if not (np.isfinite(slopes).all() and np.isfinite(upper)):
        return zero_bound(program)
    slopes = np.where(program.logit_counts > 0, slopes, 0.0)
    if program.loss.shift_invariant:
        # Others that have all the probability together leave no room for rounding.
        room = 4 * gamma(program.groups + 16)
        if ((program.logit_counts[:-1] * slopes[:-1]).sum(axis=0) > 1.0 - room).any():
            slopes = slopes * (1.0 - room)
        slopes[-1] = -(program.logit_counts[:-1] * slopes[:-1]).sum(axis=0)
    found = bound_at(program, slopes, upper)
    if found is not None and found[0] > 0 and program.loss.encloses and not program.loss.smoothing:
        return found  # these losses come as near to zero as they like, so slopes of zero prove nothing more
    least = zero_bound(program)
    return found if found is not None and found[0] > least[0] else least


def zero_bound(program: LogitProgram) -> tuple[float, Floats]:
    """The bound from slopes of zero: minus the loss's conjugate at zero, which is never negative.

    Returns
    -------
    float
        The bound (nats), at least 0.
    (G + 1, G) float64
        The slopes: zeros.
    """
    slopes = np.zeros_like(program.logit_counts)
    return float(max(dual_value(program, slopes)[0], 0.0)), slopes


def bound_at(program: LogitProgram, slopes: Floats, upper: float) -> tuple[float, Floats] | None:
    """The bound at these slopes, scaled into the domain (docs/theory, Proposition 2.3).

    Parameters
    ----------
    program : LogitProgram
    slopes : (G + 1, G) float64, as for `dual_bound`
    upper : float, an upper bound on the optimum (used where the penalty is not convex)

    Returns
    -------
    (float, (G + 1, G) float64) or None
        The bound (nats) and the slopes that prove it; None where they prove nothing.
    """
    moved = np.zeros(program.groups)
    residual = None
    if program.bias_decay is not None:
        residual, error = bias_residual(program, slopes)
        if program.bias_decay == 0:
            balanced = balanced_slopes(program, slopes, residual)
            if balanced is None:
                return None
            slopes, residual = balanced, None
            rest, error = bias_residual(program, slopes)
            # The exact slopes are these, moved by what is left of the residual.
            moved = (np.abs(rest) + error) / (program.loss.temperature * program.mass.sum()) * (1 + 8 * UNIT)
            if not (moved < 1e-3).all():
                return None
    penalty = program.penalty.relaxed(upper)
    if penalty.columns and penalty.nonnegative and not repelling(program, slopes):
        return None
    norms, copies = dual_values(program, slopes, moved)
    if not np.isfinite(norms).all():
        return None
    fraction, price = 1.0, 0.0
    wide = 1.0 + sums(program.groups)
    if penalty.ball:
        price = penalty.support(norms, copies) * wide
    elif penalty.columns and penalty.power == 2:
        price = float(program.multiplicity @ norms**2) / (2.0 * penalty.strength) * wide
    elif penalty.nuclear or penalty.columns:
        largest = float(norms.max()) * wide
        fraction = min(1.0, penalty.strength / largest) if largest > 0 else 1.0
    else:
        charged = penalty.conjugate(norms, copies)
        if charged is None or not np.isfinite(charged):
            return None
        price = charged * wide
    if residual is not None and program.bias_decay:
        size = (np.abs(residual) + error) * fraction
        price += float(program.multiplicity @ size**2) / (2.0 * program.bias_decay) * wide
    if fraction < 1.0:
        slopes, moved = slopes * fraction, moved * fraction * (1 + 4 * UNIT)
    total, slack = dual_value(program, slopes, moved)
    lower = total - price
    lower -= slack + 4 * UNIT * (abs(total) + price)
    return (float(lower), slopes) if np.isfinite(lower) else None


def dual_value(program: LogitProgram, slopes: Floats, moved: Floats | None = None) -> tuple[float, float]:
    """``sum pi d`` at these slopes, and what rounding can take off.

    Parameters
    ----------
    program : LogitProgram
    slopes : (G + 1, G) float64, as for `dual_bound`
    moved : (G,) float64 or None
        How far the exact slopes may lie from these, row by row; None for not at all.

    Returns
    -------
    float, float
        The sum (nats), and a bound >= 0 on its error.
    """
    loss, others = program.loss, program.logit_counts
    if loss.encloses:
        values = loss.below(slopes, others)
        own_error = np.zeros_like(values)
    else:
        values = loss.dual(slopes, others)
        sizes = np.abs(values) + (others * (np.abs(slopes) + slopes**2)).sum(axis=0)
        own_error = unknown(program.groups) * sizes
    if moved is not None and moved.any():
        own_error = own_error + fall_by_moving(program, slopes, moved)
    weight = program.mass
    total = float(weight @ values)
    slack = sums(program.groups) * float(weight @ np.abs(values)) + float(weight @ own_error) * (1 + 1e-12)
    return total, slack


def fall_by_moving(program: LogitProgram, slopes: Floats, moved: Floats) -> Floats:
    """Bound on how far d falls when slopes move (docs/theory, Proposition 2.11).

    Parameters
    ----------
    program : LogitProgram
    slopes : (G + 1, G) float64, as for `dual_bound`
    moved : (G,) float64, the most by which slopes of each row move

    Returns
    -------
    (G,) float64
        One bound for each column; inf near the edge of the domain.
    """
    loss, others = program.loss, program.logit_counts
    if loss.quadratic:
        rows = np.append(moved, moved.max())[:, None]
        return 2.0 * (others * rows * (np.abs(slopes) + rows + 1.0)).sum(axis=0)
    if loss.unit_slopes:
        rows = np.append(moved, 0.0)[:, None] + np.zeros_like(slopes)
        rows[-1] = moved
        wrong = np.where(others > 0, np.abs(slopes), 0.5)
        least = np.minimum(wrong, 1.0 - wrong)
        inside = ((least > 4.0 * rows) | (others == 0)).all(axis=0)
        steep = 2.0 - np.log(np.where(least > 4.0 * rows, least - 2.0 * rows, 1.0))
        return np.where(inside, 2.0 * (others * rows * steep).sum(axis=0), np.inf)
    if not loss.has_probabilities:
        return np.full(program.groups, np.inf)
    rows = 2.0 * moved[:, None]
    alive = others[:-1] > 0
    shares = np.where(alive, loss.probabilities(slopes), 1.0)
    own = 1.0 - (others[:-1] * np.where(alive, shares, 0.0)).sum(axis=0)
    total = (others[:-1] * rows).sum(axis=0)
    inside = (shares > 2.0 * rows).all(axis=0) & (own > 2.0 * total)
    # The derivative of the entropy by a probability is at most 1 + |log p|; offsets add their own size.
    offset = np.abs(loss.offsets)
    with np.errstate(divide="ignore", invalid="ignore"):
        steep = 1.0 - np.log(np.minimum(shares - rows, 1.0)) + offset[:, None]
        steep_own = 1.0 - np.log(np.minimum(own - total, 1.0)) + offset
    return np.where(inside, (others[:-1] * rows * steep).sum(axis=0) + total * steep_own, np.inf)


def dual_norm(program: LogitProgram, slopes: Floats, rows: Floats | None = None) -> float:
    """Upper bound on the spectral norm of ``G``, or on its largest column norm for penalties on columns.

    Parameters
    ----------
    program : LogitProgram
    slopes : (G + 1, G) float64, as for `dual_bound`
    rows : (G,) float64 or None, weights by whose roots rows of G are divided

    Returns
    -------
    float
    """
    values, copies = dual_values(program, slopes, None, rows)
    return float(np.max(np.where(copies > 0, values, 0.0)))


def dual_values(
    program: LogitProgram, slopes: Floats, moved: Floats | None = None, rows: Floats | None = None
) -> tuple[Floats, Floats]:
    """Upper bounds on the singular values of ``G`` (of contrasts by group, then of the core), or on its columns' norms.

    See docs/theory, Propositions 2.11 and 3.2.

    Parameters
    ----------
    program : LogitProgram
    slopes : (G + 1, G) float64, as for `dual_bound`
    moved : (G,) float64 or None
        The exact slopes, balanced for a free bias, differ from these floats by at most this much in each row; None for zeros.
    rows : (G,) float64 or None, weights by whose roots rows of G are divided

    Returns
    -------
    (n,) float64, (n,) float64
        The bounds and how often each value occurs.
    """
    shift = np.zeros(program.groups) if moved is None else moved
    column = program.share / program.scale
    temperature, m = program.loss.temperature, program.multiplicity
    if rows is not None:
        temperature = temperature / np.sqrt(rows)
    # Smoothed probabilities are rounded in units of the floor.
    size = np.abs(slopes[:-1]) + 2.0 * program.loss.floor
    # Entries of classes that are not there have errors, too, but nothing below reads them.
    error = 8 * UNIT * size + shift[:, None]
    wide = 1.0 + gamma(2 * program.groups + 2 * PARAMETERS)
    summed = gamma(program.groups + 8)
    own, within = slopes[-1], slopes[:-1].diagonal()
    if program.loss.shift_invariant:
        own_error = (program.logit_counts[:-1] * (error + summed * size)).sum(axis=0)
    else:
        own_error = 8 * UNIT * np.abs(own) + shift
    if program.penalty.columns:
        square = (np.abs(own) + own_error) ** 2 + (program.logit_counts[:-1] * (np.abs(slopes[:-1]) + error) ** 2).sum(axis=0)
        return (np.sqrt(square) + (program.groups + 1) * ROOT_TINY) * column * wide, m
    root = np.sqrt(m)
    if program.loss.shift_invariant:
        # Columns sum to zero: what the diagonal block keeps is what goes to the other groups.
        across = m[:, None] - np.diag(m)
        block = -(across * slopes[:-1]).sum(axis=0)
        block_error = (across * (error + summed * size)).sum(axis=0)
    else:
        block = within * program.contrast_counts + own
        block_error = (
            program.contrast_counts * error.diagonal()
            + own_error
            + 4 * UNIT * (program.contrast_counts * np.abs(within) + np.abs(own))
        )
    spread = own - within
    scale = temperature[:, None] * column
    core = root[:, None] * slopes[:-1] * root
    core.flat[:: program.groups + 1] = block
    core_error = root[:, None] * error * root
    core_error.flat[:: program.groups + 1] = block_error
    core_error *= scale
    rounding = 1.0 + (4.0 * program.groups + 32.0) * UNIT
    sigma = np.linalg.svd(scale * core, compute_uv=False)
    # Each singular value moves by no more than the norm of the error, and is computed to units of the largest one.
    moves = sqrt(float(core_error.ravel() @ core_error.ravel())) + program.groups * ROOT_TINY
    sigma = sigma + (rounding - 1.0) * sigma[0] + moves
    spread_error = own_error + error.diagonal() + 2 * UNIT * (np.abs(own) + np.abs(within))
    contrasts = np.where(program.contrast_counts > 0, (np.abs(spread) + spread_error) * temperature * column, 0.0)
    return np.concatenate([contrasts, sigma]) * wide, np.concatenate([program.contrast_counts, np.ones(len(sigma))])


def repelling(program: LogitProgram, slopes: Floats) -> bool:
    """Whether columns of Y that belong to distinct classes have non-positive inner products, rounding included.

    The lower bound for non-negative features needs it (docs/theory, Proposition 2.9).
    """
    own, other, m = slopes[-1], slopes[:-1], program.multiplicity

    def inner(own: Floats, other: Floats) -> Floats:
        """(G, G) sums over the rows, those that belong to the columns' own classes corrected."""
        total = np.einsum("gh,gk,g->hk", other, other, m)
        within = np.diag(other)
        total += (own - within)[:, None] * other + ((own - within)[:, None] * other).T
        alone = (own - within) * within * 2.0
        np.fill_diagonal(total, np.diag(np.einsum("gh,gk,g->hk", other, other, m)) + alone)
        return total

    size = np.abs(other)
    sizes = np.einsum("gh,gk,g->hk", size, size, m)
    reach = (np.abs(own) + np.diag(size))[:, None] * size
    sizes = sizes + reach + reach.T
    pairs = m[:, None] * m - np.diag(m)
    rounding = gamma(2 * program.groups + 32) * sizes
    return bool(np.all(np.where(pairs > 0, inner(own, other) + rounding, -1.0) <= 0.0))


def bias_residual(program: LogitProgram, slopes: Floats) -> tuple[Floats, Floats]:
    """(G,) ``Delta Y pi``, one entry per class of each group, and bounds on its rounding errors."""
    weight, share, temperature = program.mass, program.share, program.loss.temperature
    received = slopes[:-1] @ weight - np.diag(slopes[:-1]) * share
    size = np.abs(slopes[:-1]) @ weight + (np.abs(np.diag(slopes[:-1])) + np.abs(slopes[-1])) * share
    if program.loss.shift_invariant:
        size = size + (program.logit_counts[:-1] * np.abs(slopes[:-1])).sum(axis=0) * share
    size = size + 2.0 * program.loss.floor * (float(weight.sum()) + program.classes * share)
    error = gamma(2 * program.groups + 3 * PARAMETERS) * temperature * size
    return temperature * (received + slopes[-1] * share), error


def balanced_slopes(program: LogitProgram, slopes: Floats, residual: Floats) -> Floats | None:
    """Slopes with ``Delta Y pi = 0`` up to rounding (docs/theory, Proposition 2.4).

    Parameters
    ----------
    program : LogitProgram
    slopes : (G + 1, G) float64, as for `dual_bound`
    residual : (G,) float64, ``Delta Y pi`` at these slopes

    Returns
    -------
    (G + 1, G) float64 or None
        None if the shift leaves the domain.
    """
    total = float(program.mass.sum())
    shift = residual / (program.loss.temperature * total)
    shifted = slopes.copy()
    shifted[:-1] -= np.where(program.logit_counts[:-1] > 0, shift[:, None], 0.0)
    if not program.loss.shift_invariant:
        shifted[-1] -= shift
        return _within_unit(program, shifted) if program.loss.unit_slopes else shifted
    # Columns of P - T sum to zero, so the own entry follows.
    shifted[-1] = -(program.logit_counts[:-1] * shifted[:-1]).sum(axis=0)
    if not program.loss.has_probabilities:
        return shifted
    shares = program.loss.probabilities(shifted)
    rest = (program.logit_counts[:-1] * shares).sum(axis=0)
    if np.where(program.logit_counts[:-1] > 0, shares, 0.0).min() < 0 or rest.max() > 1:
        return None
    return shifted


def _within_unit(program: LogitProgram, slopes: Floats) -> Floats:
    """Slopes without residual, mixed with those of the mean target, which have none either, until each lies in its domain.

    Mixed in a little further than needed, so that rounding of the residual cannot leave the domain.
    """
    others, share = program.logit_counts, program.share
    mean = np.vstack([np.broadcast_to(share[:, None], (program.groups, program.groups)), share])
    sign = np.ones_like(slopes)
    sign[-1] = -1.0
    centre = mean.copy()
    centre[-1] -= 1.0
    wrong, middle = np.where(others > 0, sign * slopes, sign * centre), sign * centre
    residual, error = bias_residual(program, slopes)
    room = 16.0 * float((np.abs(residual) + error).max()) / float(program.mass.sum())
    low = np.where(wrong < room, (room - wrong) / np.maximum(middle - wrong, 1e-300), 0.0)
    high = np.where(wrong > 1.0 - room, (wrong - 1.0 + room) / np.maximum(wrong - middle, 1e-300), 0.0)
    part = min(1.0, max(float(low.max()), float(high.max())) * (1.0 + 1e-9))
    return (1.0 - part) * slopes + part * centre
