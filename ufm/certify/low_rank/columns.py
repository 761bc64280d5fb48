r"""Lower bounds on the cross-entropy of one column of logits, from its own logit and its length.

Notation. Z is K x K with columns ``z_k``, centred (``1'Z = 0``: softmax does not see column shifts, and centring lowers
every singular value), ``c = K/(K-1)``, ``N = K-2``, ``d = z_kk``, ``q = |z_k|^2``, ``V = q - c d^2 >= 0``.

**Loss** (docs/theory, Proposition 6.1). With ``D = sqrt(V / ((K-1) N))``,

.. math:: \mathrm{CE}_k \ge \ell(d, V) = \log(1 + e^{-cd + h(V)}), \qquad h(V) = \log(N e^D + e^{-ND}),

with equality if one of the other logits lies below the rest, which are equal. For K = 2, ``V = 0`` and ``h = 0``. h increases
and is concave in V; ell falls in d and does not fall in V (Proposition 6.2).

**Lengths** (Proposition 6.3). Let ``A_k = e_k'(ZZ')^{1/2} e_k`` and ``B_k = e_k'(Z'Z)^{1/2} e_k``. Both sum over k to ``T = sum
sigma``, and ``sum q_k = Q = sum sigma^2``. For ``tA, tB > 0`` and ``sigma_1 <= b``

.. math:: t_A A_k + t_B B_k \ge t(d, q) = \min_{B \ge q/b} \; t_A d^2/B + t_B B ,

which is jointly convex and increases in q; with ``q = V + c d^2`` it is convex in (d, V).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats

GRID = 33
"""Edges of the first cells in each direction."""
ROUNDS = 14
"""Largest number of subdivisions."""
MAX_CELLS = 20_000
ROUNDING = 1e-13
"""Some 900 units in the last place of the largest intermediate: more than the forty operations behind a cell can lose."""


class Multipliers(NamedTuple):
    """Multipliers of the moments of one column, as in docs/theory, Proposition 6.4.

    Attributes
    ----------
    left, right : float > 0, ``tA`` and ``tB``, of A and B
    square : float of either sign, ``ka``, of q (with a minus sign)
    """

    left: float
    right: float
    square: float

    @property
    def slope(self) -> float:
        """``tA + tB``, the multiplier of T."""
        return self.left + self.right


class ColumnMinimum(NamedTuple):
    """A proven lower bound, and what the search has found.

    Attributes
    ----------
    value : float
    points : (m, 2) float64, points (d, V) of descending value; starting points for later searches, no part of the proof
    """

    value: float
    points: Floats


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The set of columns (d, V) of all centred Z with ``sigma_1 <= largest`` and ``CE_k <= loss``.

    Every limit is widened by more than its rounding error, so that no such column is excluded.

    Attributes
    ----------
    classes : int, K >= 2
    largest : float, b
    loss : float, cap on the cross-entropy of one column (nats)
    """

    classes: int
    largest: float
    loss: float

    @property
    def ratio(self) -> float:
        """``c = K/(K-1)``."""
        return self.classes / (self.classes - 1.0)

    @property
    def highest(self) -> float:
        """Upper limit ``b / sqrt(c)`` of d, from ``c d^2 <= q <= b^2``."""
        return self.largest / float(np.sqrt(self.ratio)) * (1 + 1e-12)

    @property
    def lowest(self) -> float:
        """Lower limit of d: ``-b / sqrt(c)``, or ``log((K-1) / expm1(loss)) / c`` from ``ell(d, 0) <= loss`` if larger."""
        if self.loss > 700.0:
            return -self.highest
        least = float(np.log(self.classes - 1.0) - np.log(np.expm1(self.loss))) / self.ratio
        return max(least - 1e-12 * (1.0 + abs(least)), -self.highest)

    def rounding(self, multipliers: Multipliers) -> float:
        """Bound on the rounding errors of a cell's value and of the cut that is made from it."""
        b = self.largest
        logits = self.ratio * b + float(spread_loss(self.classes, np.array(b * b)))
        return ROUNDING * (1.0 + logits + multipliers.slope * b + abs(multipliers.square) * b * b)


def spread_loss(classes: int, spread: Floats) -> Floats:
    """``h(V)``: log of the least sum of exponentials of K-1 numbers with mean 0 and sum of squares V.

    ``spread`` is an array of values of V; the result has its shape.
    """
    others = classes - 2
    if others == 0:
        return np.zeros_like(spread)
    deviation = np.sqrt(np.maximum(spread, 0.0) / ((classes - 1) * others))
    return deviation + np.log(others + np.exp(-(classes - 1) * deviation))


def column_loss(classes: int, own: Floats, spread: Floats) -> Floats:
    """``ell(d, V)``, the lower bound on the cross-entropy of a column, elementwise.

    Parameters
    ----------
    classes : int, K >= 2
    own : array, values of d
    spread : array of the same shape, values of V

    Returns
    -------
    array of that shape, in nats
    """
    return np.logaddexp(0.0, -classes / (classes - 1.0) * own + spread_loss(classes, spread))


def length_price(own: Floats, square: Floats, multipliers: Multipliers, largest: float) -> tuple[Floats, Floats, Floats]:
    """``t(d, q)`` with its derivatives in d and in q, elementwise (docs/theory, Proposition 6.3).

    Parameters
    ----------
    own : array, values of d
    square : array of the same shape, values of q >= 0
    multipliers : Multipliers
    largest : float, b

    Returns
    -------
    three arrays of that shape
        ``t`` and its partial derivatives by d and by q.

    Notes
    -----
    The free minimiser is ``B = |d| sqrt(tA/tB)``; the constraint binds where ``q/b`` exceeds it. Zero is a subgradient at the
    kink ``d = q = 0``, and the two formulas meet with equal derivatives.
    """
    left, right, _ = multipliers
    size = np.abs(own)
    bound = square > largest * np.sqrt(left / right) * size
    divisor = np.where(bound, square, 1.0)
    free = 2.0 * np.sqrt(left * right)
    value = np.where(bound, left * largest * size * size / divisor + right * square / largest, free * size)
    by_own = np.sign(own) * np.where(bound, 2.0 * left * largest * size / divisor, free)
    by_square = np.where(bound, np.maximum(right / largest - left * largest * (size / divisor) ** 2, 0.0), 0.0)
    return value, by_own, by_square


def column_min(columns: Columns, multipliers: Multipliers, tolerance: float) -> ColumnMinimum:
    r"""Lower bound on ``ell(d, V) + t(d, q) - ka q`` over all (d, V) that a column can have.

    Cells ``[d1, d2] x [V1, V2]`` are quartered until the lowest bound is within the tolerance of a value that is attained. On
    each cell the function is bounded by the tangent plane of a convex function below it; cells that no column can reach are
    left out (docs/theory, Proposition 6.9).

    Parameters
    ----------
    columns : Columns
    multipliers : Multipliers
    tolerance : float > 0, absolute, in nats

    Returns
    -------
    ColumnMinimum
        Its value is inf where no column is possible, and -inf in place of nan.
    """
    b, c = columns.largest, columns.ratio
    none = np.zeros((0, 2))
    if columns.lowest > columns.highest:
        return ColumnMinimum(np.inf, none)
    margin = columns.rounding(multipliers)
    cells = first_cells(columns)
    settled, attained = np.inf, np.inf
    points: list[tuple[float, float]] = []
    for iteration in range(ROUNDS):
        near = np.where(cells[0] * cells[1] < 0, 0.0, np.minimum(np.abs(cells[0]), np.abs(cells[1])))
        first = spread_loss(columns.classes, cells[2])
        possible = cells[2] + c * near * near <= b * b * (1 + 1e-12)
        possible &= np.logaddexp(0.0, -c * cells[1] + first) <= columns.loss * (1 + 1e-12) + ROUNDING
        cells = cells[:, possible]
        if cells.shape[1] == 0:
            break
        lower, value = cell_bounds(columns, multipliers, cells, first[possible])
        if np.isnan(lower).any():
            return ColumnMinimum(-np.inf, none)
        best = int(value.argmin())
        if value[best] < attained:
            attained = float(value[best])
            points.append((0.5 * float(cells[0, best] + cells[1, best]), 0.5 * float(cells[2, best] + cells[3, best])))
        open_ = lower < min(attained - tolerance, settled)
        if iteration == ROUNDS - 1 or np.count_nonzero(open_) > MAX_CELLS:
            settled = min(settled, float(lower.min()))
            break
        settled = min(settled, float(lower[~open_].min(initial=np.inf)))
        cells = quartered(cells[:, open_], columns.classes > 2)
    return ColumnMinimum(settled - margin, np.array(points).reshape(-1, 2))


def first_cells(columns: Columns) -> Floats:
    """(4, m) rows d1, d2, V1, V2 of the first cells: finer near the least d and near V = 0."""
    unit = np.linspace(0.0, 1.0, GRID)
    own = columns.lowest + (columns.highest - columns.lowest) * unit**1.5
    own[-1] = columns.highest
    spread = columns.largest**2 * (1 + 1e-12) * unit**2 if columns.classes > 2 else np.zeros(2)
    low, first = np.meshgrid(own[:-1], spread[:-1], indexing="ij")
    high, last = np.meshgrid(own[1:], spread[1:], indexing="ij")
    return np.stack([low.ravel(), high.ravel(), first.ravel(), last.ravel()])


def cell_bounds(columns: Columns, multipliers: Multipliers, cells: Floats, first: Floats) -> tuple[Floats, Floats]:
    """Least value of the tangent plane over each cell, and the function's value at its centre.

    Parameters
    ----------
    columns : Columns
    multipliers : Multipliers
    cells : (4, m) float64, rows d1, d2, V1, V2
    first : (m,) float64, h at the cells' V1

    Returns
    -------
    (m,) float64, (m,) float64
        Lower bounds, and values (inf at centres outside the domain), in nats.
    """
    c, b, square = columns.ratio, columns.largest, multipliers.square
    low, high, least, most = cells
    own, spread = 0.5 * (low + high), 0.5 * (least + most)
    last = spread_loss(columns.classes, most)
    chord = (last - first) / np.where(most > least, most - least, 1.0)
    length = spread + c * own * own
    price, by_own, by_length = length_price(own, length, multipliers, b)
    exponent = -c * own + 0.5 * (first + last)
    probability = 0.5 * (1.0 + np.tanh(0.5 * exponent))
    # The square of d at the centre and its slope: those of the chord where -ka d^2 is concave.
    squared, growth = (0.5 * (low * low + high * high), low + high) if square > 0 else (own * own, 2.0 * own)
    value = np.logaddexp(0.0, exponent) + price - square * (spread + c * squared)
    slope_own = -c * probability + by_own + by_length * 2.0 * c * own - square * c * growth
    slope_spread = probability * chord + by_length - square
    lower = value - 0.5 * np.abs(slope_own) * (high - low) - 0.5 * np.abs(slope_spread) * (most - least)
    loss = column_loss(columns.classes, own, spread)
    inside = (length <= b * b) & (loss <= columns.loss)
    return lower, np.where(inside, loss + price - square * length, np.inf)


def quartered(cells: Floats, spread: bool) -> Floats:
    """The (4, m) cells halved in d and, if ``spread``, in V: an array of (4, 2 m) or (4, 4 m)."""
    low, high, least, most = cells
    own, middle = 0.5 * (low + high), 0.5 * (least + most)
    rows = ((least, middle), (middle, most)) if spread else ((least, most),)
    return np.concatenate([np.stack([*pair, *row]) for row in rows for pair in ((low, own), (own, high))], axis=1)
