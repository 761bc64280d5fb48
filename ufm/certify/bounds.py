r"""Certified bounds in float64: weak duality below, explicit factors above, rounding errors added.

Lower bound. For *any* column-stochastic P and any logits Z, Fenchel's inequality column by column gives

.. math:: \sum_k \pi_k \ell_k(z_k) \ge \sum_k \pi_k \mathrm{Ent}(p_k) + \langle G, Z S \rangle,
          \qquad G = (P - I)\,\mathrm{diag}(\pi)\,S^{-1},

so with ``nu = ||G||_2`` the weight-decay program is at least ``sum pi Ent(p)`` whenever ``nu <= mu`` (and the convex
combination ``P_t = I + t (P - I)`` with ``t = min(1, mu / nu)`` makes any P feasible), and the norm-budget program is at
least ``sum pi Ent(p) - radius nu``. Both hold for every feature dimension and every number of samples. A bias with
decay lb subtracts ``||(P - I) pi||^2 / (2 lb)``; a free bias needs ``(P - I) pi = 0``, which a rank-one shift restores.

Upper bound: the objective at the logits of explicit factors, with the penalty of these very factors; under budgets the
factors are scaled to lie inside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ufm.spectral.penalty import Nuclear, NuclearBall
from ufm.spectral.program import Factors, LogitProgram

Floats = NDArray[np.float64]
UNIT = np.finfo(np.float64).eps / 2


class Bounds(NamedTuple):
    """``lower <= optimum <= upper``, with the plain value at the factors and the dual probabilities.

    shares : (G, G) float64, probability that a column of group h gives to each *other* class of group g
    """

    lower: float
    upper: float
    value: float
    shares: Floats


def bounds(program: LogitProgram, factors: Factors) -> Bounds:
    """Both bounds from one set of factors, which need not be optimal.

    Raises
    ------
    TypeError
        The penalty is neither `Nuclear` nor `NuclearBall`: no duality bound is known for it here.
    """
    terms = rounding_terms(program, factors)
    factors = program.inside(factors, terms * UNIT)
    norm = program.penalty_bound(factors)
    penalty = program.penalty
    logits = program.spread(program.point(factors))
    columns = program.loss.columns(logits, program.others)
    lower, shares = dual_bound(program, columns.gradient[:-1] / np.maximum(program.others[:-1], 1.0))

    slip = terms * UNIT * float(np.max(np.abs(factors.left) @ np.abs(factors.right), initial=0.0))
    slip += 8 * UNIT * float(np.max(np.abs(factors.contrast), initial=0.0) + np.max(np.abs(factors.bias), initial=0.0))
    loss = float((program.multiplicity * program.share) @ columns.values)
    if isinstance(penalty, Nuclear):
        value = loss + penalty.weight * norm
    elif isinstance(penalty, NuclearBall):
        value = loss
    else:
        raise TypeError(f"no certified bound is known for the penalty {penalty!r}")
    if program.bias_decay:
        value += 0.5 * program.bias_decay * float(program.multiplicity @ factors.bias**2)
    upper = value * (1 + 2 * terms * UNIT + 2 * slip)
    return Bounds(float(lower), float(upper), float(value), shares)


def rounding_terms(program: LogitProgram, factors: Factors) -> int:
    """Length of the sums behind one number, and a constant: errors are at most this many units in the last place."""
    return len(factors.right) + program.groups + 16


def dual_bound(program: LogitProgram, shares: Floats) -> tuple[float, Floats]:
    """Lower bound from probabilities of other classes, and the feasible probabilities that prove it.

    Parameters
    ----------
    program : LogitProgram
    shares : (G, G) float64 >= 0, column h sums (with multiplicities) to at most 1; ``P - I`` is zero where it is zero

    Returns
    -------
    float
        The bound, rounding errors of the a-priori kind (a multiple of G units in the last place) subtracted.
    (G, G) float64
    """
    shares = np.where(program.others[:-1] > 0, shares, 0.0)
    weight = program.multiplicity * program.share
    residual = None
    if program.bias_decay is not None:
        residual = _residual(program, shares)
        if program.bias_decay == 0:
            shifted = shares - np.where(program.others[:-1] > 0, residual[:, None], 0.0)
            own = 1.0 - (program.others[:-1] * shares).sum(axis=0) - residual
            if shifted.min() < 0 or own.min() < 0:
                return 0.0, np.zeros_like(shares)
            shares = shifted
    relative = (2 * program.groups + 16) * UNIT
    norm = dual_norm(program, shares) * (1 + relative)
    penalty = program.penalty
    if isinstance(penalty, Nuclear):
        fraction = min(1.0, penalty.weight / norm) if norm > 0 else 1.0
        shares = shares * fraction
        lower = float(weight @ program.loss.entropy(shares, program.others)) * (1 - relative)
    elif isinstance(penalty, NuclearBall):
        fraction = 1.0
        entropy = float(weight @ program.loss.entropy(shares, program.others))
        lower = entropy * (1 - relative) - penalty.radius * norm * (1 + 4 * UNIT)
    else:
        raise TypeError(f"no certified bound is known for the penalty {penalty!r}")
    if program.bias_decay and residual is not None:
        square = float(program.multiplicity @ residual**2) * fraction**2
        lower -= (1 + relative) * square / (2 * program.bias_decay)
    return float(max(lower, 0.0)), shares


def dual_norm(program: LogitProgram, shares: Floats) -> float:
    """``||(P - I) diag(pi) S^{-1}||_2`` of block-constant P, from its contrasts and its G x G core."""
    m, column = program.multiplicity, program.share / program.scale
    rest = (program.others[:-1] * shares).sum(axis=0)
    root = np.sqrt(m)
    within = np.diag(shares)
    core = root[:, None] * shares * root
    np.fill_diagonal(core, within * program.copies - rest)
    largest = np.linalg.norm(core * column, 2)
    contrasts = np.where(program.copies > 0, (rest + within) * column, 0.0)
    return float(max(largest, contrasts.max()))


def _residual(program: LogitProgram, shares: Floats) -> Floats:
    """(G,) ``(P - I) pi``, one entry per class of each group."""
    others = program.others[:-1]
    received = shares @ (program.multiplicity * program.share) - np.diag(shares) * program.share
    return received - (others * shares).sum(axis=0) * program.share
