r"""Features of bounded norm: programs with a nuclear norm that lie below, and the price Gamma of logits.

With ``|h_k| <= r`` and the classifier's decay lw, for every choice of weights ``omega_k > 0`` of the classes

.. math:: \tfrac{\lambda_W}{2} \|W\|_F^2 \ge \|Z \Omega^{1/2}\|_* - \tfrac{r^2}{2 \lambda_W} \sum_k \omega_k,
          \qquad Z = W H, \quad \Omega = \mathrm{diag}(\omega),

with equality at the optimum for the best weights (docs/theory, Propositions 12.2 and 12.3). The right-hand side is the penalty
of an ordinary `LogitProgram` with column scales ``sqrt(omega_k)``, less an allowance: a *supporting program*. Its bounds,
factors and statements about the optimum hold for the model with fixed norms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import square_left
from ufm.errors import InputError
from ufm.spectral.penalties import Nuclear, NuclearBall, Penalty
from ufm.spectral.program import Factors, LogitProgram


def supporting(program: LogitProgram, weights: Floats) -> LogitProgram:
    """The program with penalty ``||Z diag(weights)^{1/2}||_*``, which lies below one with bounded feature norms.

    Parameters
    ----------
    program : LogitProgram, whose penalty is a `FeatureNorms`
    weights : (G,) float64 > 0, ``omega`` of one class of each group

    Returns
    -------
    LogitProgram
        Its optimum less `allowance` is at most that of ``program``.
    """
    return LogitProgram(
        multiplicity=program.multiplicity,
        sizes=program.sizes,
        scale=np.sqrt(weights),
        penalty=Nuclear(1.0),
        loss=program.loss,
        bias_decay=program.bias_decay,
        runs=program.runs,
    )


def allowance(program: LogitProgram, penalty: Penalty) -> float:
    """``norm^2 / (2 decay) sum_k omega_k``, what the penalty of a supporting program exceeds the model's by, at the most.

    Parameters
    ----------
    program : LogitProgram, from `supporting`
    penalty : Penalty, the `FeatureNorms` of the model

    Returns
    -------
    float, in the unit of the loss
    """
    return float(program.multiplicity @ program.scale**2) / (2.0 * penalty.effective)  # type: ignore[attr-defined]


def contrast_factors(program: LogitProgram, contrast: Floats, effective: float) -> tuple[Floats, Floats]:
    """Singular values of the contrasts of W and of the features, at norm one: their product is the logits' contrast.

    Parameters
    ----------
    program : LogitProgram, from `supporting`
    contrast : (G,) float64, contrasts of logits
    effective : float, ``decay / norm^2``

    Returns
    -------
    (G,) float64, (G,) float64
        ``sqrt(s |x| / effective)`` and, with the sign of x, ``sqrt(effective |x| / s)``: the cheapest at the weights ``s^2``.
    """
    size = np.abs(contrast)
    return np.sqrt(program.scale * size / effective), np.sign(contrast) * np.sqrt(effective * size / program.scale)


def feature_norms(program: LogitProgram, factors: Factors, effective: float) -> tuple[float, Floats]:
    """Squared norms of W and of each feature, where ``left`` and ``right`` are the parts of W and H that groups share.

    Parameters
    ----------
    program : LogitProgram, from `supporting`
    factors : Factors, of logits of the program
    effective : float, ``decay / norm^2``

    Returns
    -------
    float
        ``||W||_F^2``.
    (G,) float64
        ``|h_k|^2`` of one class of each group.
    """
    m = program.multiplicity
    heights, lengths = contrast_factors(program, factors.contrast, effective)
    weight = float(program.contrast_counts @ heights**2 + m @ (factors.left**2).sum(axis=1))
    return weight, (1.0 - 1.0 / m) * lengths**2 + (factors.right**2).sum(axis=0)


@dataclass(frozen=True, eq=False)
class RowWeighted(LogitProgram):
    """A program whose penalty is a bound on ``||diag(rows)^{1/2} Z S||_*``, less weights of the rows.

    Parameters
    ----------
    rows : (G,) float64 > 0, weight of one row of each group
    """

    rows: Floats


def row_weighted(program: LogitProgram, columns: Floats, rows: Floats, scale: float) -> RowWeighted:
    """The program with ``||diag(rows)^{1/2} Z diag(columns)^{1/2}||_* <= scale sqrt(sum rows) sqrt(sum columns)``.

    Every Z with ``gamma_2(Z) <= scale`` satisfies it (docs/theory, Proposition 12.11).

    Parameters
    ----------
    program : LogitProgram, whose penalty is a `Cosines`
    columns, rows : (G,) float64 > 0, weights of one column and of one row of each group
    scale : float

    Returns
    -------
    RowWeighted
    """
    m = program.multiplicity
    return RowWeighted(
        multiplicity=m,
        sizes=program.sizes,
        scale=np.sqrt(columns),
        penalty=NuclearBall(float(scale * np.sqrt(m @ columns) * np.sqrt(m @ rows))),
        loss=program.loss,
        bias_decay=program.bias_decay,
        runs=program.runs,
        rows=rows,
    )


SHARE = 1e-6
"""Least ratio of what W and features have of a contrast, in units of their product."""


def cosine_factors(program: LogitProgram, factors: Factors, scale: float) -> tuple[Floats, Floats]:
    """Singular values of the contrasts of W and of the features, where rows of W have the norm ``scale`` if they can.

    Parameters
    ----------
    program : LogitProgram
    factors : Factors, whose ``left`` and ``right`` are what groups share of W and of the features
    scale : float

    Returns
    -------
    a : (G,) float64
        Its square is ``(scale^2 - |left|^2) m / (m - 1)``, within a factor `SHARE` of ``|x|`` either way.
    b : (G,) float64, ``x / a``, zero where x is
    """
    m, size = program.multiplicity, np.abs(factors.contrast)
    some = size > 0
    room = square_left(scale, factors.left) * m / np.maximum(m - 1.0, 1.0)
    square = np.where(some, np.clip(room, SHARE * size, size / SHARE), 0.0)
    heights = np.sqrt(square)
    return heights, np.where(some, factors.contrast / np.where(some, heights, 1.0), 0.0)


def cosine_norms(program: LogitProgram, factors: Factors, scale: float) -> tuple[Floats, Floats]:
    """Squared norms (G,) of one row of W and of one feature of each group, for `cosine_factors`.

    Parameters
    ----------
    program : LogitProgram
    factors : Factors
    scale : float

    Returns
    -------
    (G,) float64, (G,) float64
    """
    heights, lengths = cosine_factors(program, factors, scale)
    share = 1.0 - 1.0 / program.multiplicity
    return share * heights**2 + (factors.left**2).sum(axis=1), share * lengths**2 + (factors.right**2).sum(axis=0)


MEMORY = 6
"""Points from which weights are extrapolated."""
STRAY = 1e-2
"""Relative loss of the lower end after which extrapolation begins anew."""
FAINT = -30.0
"""Least logarithm of a weight over the largest one."""


@dataclass(frozen=True)
class NormalisedFactors:
    """The cheapest factors of a matrix whose right factor has columns of norm at most one.

    Attributes
    ----------
    lower, upper : float
        Enclosure of Gamma up to rounding: ``||Z diag(q)^{1/2}||_*^2`` at these weights, and ``||weight||_F^2``.
    weights : (M,) float64, q >= 0 with sum one, at which ``||Z diag(q)^{1/2}||_*^2`` is (nearly) largest
    weight : (K, d) float64, W
    features : (d, M) float64, H with columns of norm at most one, and ``W H = Z`` up to some 1e-8 of the largest logit
    """

    lower: float
    upper: float
    weights: Floats
    weight: Floats
    features: Floats

    @property
    def value(self) -> float:
        """Gamma, up to ``upper - lower``."""
        return self.upper


def gamma_price(logits: Floats, *, tolerance: float = 1e-12, max_iterations: int = 500) -> NormalisedFactors:
    r"""``Gamma(Z) = min{||W||_F^2 : Z = W H, |h_k| <= 1}``, with factors and weights that prove it.

    It equals ``max_q ||Z diag(q)^{1/2}||_*^2`` over the simplex, a concave maximum (docs/theory, Proposition 12.2). Weights
    move by ``q_k <- q_k |h_k|^2`` for the balanced factors of ``Z diag(q)^{1/2}``, with Anderson's extrapolation of log q.

    Parameters
    ----------
    logits : (K, M) float64, Z
    tolerance : float
        Relative distance of both ends at which the iteration stops.
    max_iterations : int

    Returns
    -------
    NormalisedFactors

    Raises
    ------
    InputError
        The logits are no finite matrix.

    Examples
    --------
    The logits ``S = I - 11'/K`` of a simplex ETF have ``Gamma = (K - 1)^2 / K``.

    >>> found = gamma_price(np.eye(4) - 0.25)
    >>> round(found.value, 10), found.weights.round(10).tolist()
    (2.25, [0.25, 0.25, 0.25, 0.25])
    """
    matrix = np.asarray(logits, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise InputError("logits is no matrix of finite numbers; give an array of shape (K, M)")
    alive = np.flatnonzero(matrix.any(axis=0))
    if not len(alive):
        free = np.zeros((matrix.shape[0], 1)), np.zeros((1, matrix.shape[1]))
        return NormalisedFactors(0.0, 0.0, np.full(matrix.shape[1], 1.0 / matrix.shape[1]), *free)
    size = float(np.abs(matrix).max())
    scaled = matrix[:, alive] / size
    upper = lower = _balanced(scaled, np.full(len(alive), 1.0 / len(alive)))
    here, moves, images = np.log(lower.weights), [], []
    for _ in range(max_iterations):
        if upper.upper - lower.lower <= tolerance * upper.upper:
            break
        found = _balanced(scaled, np.exp(here - here.max()))
        lower = found if found.lower > lower.lower else lower
        upper = found if found.upper < upper.upper else upper
        moves, images = [*moves[-MEMORY:], here], [*images[-MEMORY:], found.growth]
        # Where the extrapolation has strayed, it begins anew at the best weights.
        if found.lower < lower.lower * (1.0 - STRAY):
            moves, images, here = [], [], np.log(lower.weights) + lower.growth
            continue
        here = here + np.clip(_extrapolated(moves, images), -2.0, 2.0)
        here = np.maximum(here - here.max(), FAINT)
    weights, features = np.zeros(matrix.shape[1]), np.zeros((upper.features.shape[0], matrix.shape[1]))
    weights[alive], features[:, alive] = lower.weights, upper.features
    return NormalisedFactors(lower.lower * size**2, upper.upper * size**2, weights, upper.weight * size, features)


def _extrapolated(points: list[Floats], steps: list[Floats]) -> Floats:
    """Anderson's step from the last point, given the plain steps at some points."""
    if len(points) < 2:
        return steps[-1]
    changes = np.diff(np.array(steps), axis=0).T
    moved = np.diff(np.array(points), axis=0).T
    mix = np.linalg.lstsq(changes, steps[-1], rcond=1e-10)[0]
    return steps[-1] - (moved + changes) @ mix


@dataclass(frozen=True)
class _Balanced(NormalisedFactors):
    """Balanced factors at given weights; ``growth`` are logarithms of the features' squared norms before these are cut."""

    growth: Floats


def _balanced(matrix: Floats, weights: Floats) -> _Balanced:
    weights = weights / weights.sum()
    scale = np.sqrt(weights)
    u, sigma, vt = np.linalg.svd(matrix * scale, full_matrices=False)
    keep = sigma > 1e-14 * sigma[0]
    root, total = np.sqrt(sigma[keep]), float(sigma.sum())
    features = root[:, None] * vt[keep] / scale / np.sqrt(total)
    squares = np.maximum(np.sum(features**2, axis=0), 1e-300)
    longest = float(np.sqrt(squares.max()))
    weight = u[:, keep] * root * np.sqrt(total)
    return _Balanced(total**2, (total * longest) ** 2, weights, weight * longest, features / longest, np.log(squares))
