r"""Global lower bound on cross-entropy plus a concave price of singular values, from moments of the spectrum.

.. math:: F(Z) = \frac1K \sum_k \mathrm{CE}_k(z_k) + \sum_i \phi(s \sigma_i(Z)), \qquad Z \in \mathbb{R}^{K \times K},

with ``phi >= 0`` concave and nondecreasing, ``phi(0) = 0`` and ``phi'`` convex (powers in (0, 1], MCP). Z may be taken
centred, with ``sigma_1 >= ... >= sigma_{K-1}``; the notation is that of `columns`. ``upper`` is at least the minimum, so
only Z with ``F <= upper`` matter: ``s sigma_1 <= largest``, and ``upper`` may be lowered to ``F(0) = log K``.

**Cuts** (docs/theory, Proposition 6.4). Let ``sigma_1`` be in ``[b1, b2]``. If C bounds ``ell + t(d, q) - ka q`` from below
over the columns with ``sigma_1 <= b2`` and ``CE_k <= K (upper - phi(s b1))`` (`column_min`), then for any ``tA, tB > 0`` and
real ka

.. math:: F \ge C + \sum_i f(\sigma_i), \qquad f(x) = \phi(s x) - (t_A + t_B) x/K + k_a x^2/K .

**Trace** (Proposition 6.5). The mean of ``CE_k`` is at least ``log(1 + (K-1) e^{-cT/K})``. And `residual_norm` bounds the mean
by ``R = T - sigma_1``.

**Spectra** (Proposition 6.7). All these depend on sigma_1, T, Q alone, so only spectra of least price at given moments matter:
sigma_1, n times x, one y, zeros, with ``0 <= y <= x <= sigma_1``.

**Cells** (Proposition 6.8). For given n the pairs (x, y) are covered by rectangles, on which concave terms are bounded by
chords. A cell's value is the best bound so far; that of a branch is the least over cells, the result the least over branches.
Branches are refined best first: a cut at the lowest cell, with multipliers from a small linear program over sampled columns (a
heuristic: `column_min` proves the cut), finer cells, halves.

Floating point: `column_min` subtracts its rounding errors and those of its cut; the rest (a few operations on terms below
``K upper``, and the price, assumed good to nine digits) is covered by 1e-9 upper in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.certify.low_rank.columns import Columns, Multipliers, column_loss, column_min
from ufm.certify.low_rank.residual_norm import ResidualNormBound, residual_norm_bound

SLACK = 1e-9
HUGE = 1e100
"""Squares of singular values must not overflow; nothing is tried beyond."""
RATIO = 1.25
"""Ratio of the ends of the first branches."""
FINAL_RATIO = 1.004
"""Branches with a smaller ratio of their ends are not halved."""
MAX_CUTS = 150
MAX_RETRIES = 8
MAX_SPLIT = 3000
INHERITED = 8
POINTS = 60
PENALTY = 6.0
"""Price, in units of the cap on the loss, of missing a moment by 100 %: a bound on the multipliers."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The problem that all branches share; ``most`` bounds sigma_1."""

    classes: int
    scale: float
    price: Callable[[Floats], Floats]
    upper: float
    most: float
    residual: ResidualNormBound

    def phi(self, sigma: Floats | float) -> Floats:
        """Price of an array of singular values of Z, elementwise; zero, a valid bound, where it is not a number."""
        price = self.price(self.scale * np.asarray(sigma, dtype=np.float64))
        return np.nan_to_num(price, nan=0.0, posinf=0.0, neginf=0.0)


class Cut(NamedTuple):
    """Multipliers and the constant C that `column_min` proves for them."""

    multipliers: Multipliers
    constant: float


class Proposal(NamedTuple):
    """Multipliers, and the linear program's estimate of the mean loss."""

    multipliers: Multipliers
    loss: float


class Branch:
    """Spectra with ``b1 <= sigma_1 <= b2``.

    Attributes
    ----------
    cells : (5, m) float64, rows n, x1, x2, y1, y2; cells of value ``upper`` or more have been dropped
    value : (m,) float64, a lower bound on F in each cell
    points : (p, 2) float64, columns (d, V) that were minimisers
    lower, lowest : the least of ``value`` (``upper`` where no cell is left) and its index
    dead : bool, whether no cell is left
    """

    def __init__(self, setting: Setting, b1: float, b2: float, cells: Floats, value: Floats, points: Floats) -> None:
        self.setting, self.b1, self.b2, self.points = setting, b1, b2, points
        loss = setting.classes * (setting.upper * (1 + 1e-12) - float(setting.phi(b1)))
        self.columns = Columns(classes=setting.classes, largest=b2, loss=loss)
        self.cuts: list[Cut] = []
        self.retries = 0
        self.cells = cells
        self.keep(np.fmax(value, self.base(cells)) if loss > 0 else np.full_like(value, np.inf))

    def keep(self, value: Floats) -> None:
        """Set the (m,) values of the cells; drop cells whose value is ``upper`` or more."""
        alive = (value < self.setting.upper) & (self.cells[1] <= self.b2) & (self.cells[3] <= self.b2)
        self.cells, self.value = self.cells[:, alive], value[alive]
        self.dead = self.value.size == 0
        self.lowest = 0 if self.dead else int(self.value.argmin())
        self.lower = self.setting.upper if self.dead else float(self.value[self.lowest])

    def base(self, cells: Floats) -> Floats:
        """Bound without cuts: the price at the lower corner, the loss by trace and residual norm at the upper one.

        ``cells`` is (5, m), as the attribute; the result is (m,), in nats.
        """
        setting, classes = self.setting, self.setting.classes
        n, x1, x2, y1, y2 = cells
        rest = n * x2 + y2
        trace = np.logaddexp(0.0, np.log(classes - 1.0) - (self.b2 + rest) / (classes - 1.0))
        price = setting.phi(self.b1) + n * setting.phi(x1) + setting.phi(y1)
        return np.fmax(price + np.fmax(trace, setting.residual(rest)), 0.0)

    def share(self, low: Floats | float, high: Floats | float, multipliers: Multipliers) -> Floats:
        """Lower bound on f over intervals (docs/theory, Proposition 6.8).

        Parameters
        ----------
        low, high : scalars or (m,) float64, ends of the intervals
        multipliers : Multipliers

        Returns
        -------
        (m,) float64, or a scalar for two scalars, in nats
        """
        slope, square = multipliers.slope / self.setting.classes, multipliers.square / self.setting.classes
        at_low = self.setting.phi(low) - slope * low + square * low * low
        at_high = self.setting.phi(high) - slope * high + square * high * high
        return np.minimum(at_low, at_high) - max(square, 0.0) * (high - low) ** 2 / 4.0

    def cut_value(self, cells: Floats, cut: Cut) -> Floats:
        """(m,) lower bound on F in each of the (5, m) cells by one cut (docs/theory, Proposition 6.8)."""
        n, x1, x2, y1, y2 = cells
        first = cut.constant + self.share(self.b1, self.b2, cut.multipliers)
        return first + n * self.share(x1, x2, cut.multipliers) + self.share(y1, y2, cut.multipliers)

    def add(self, multipliers: Multipliers) -> None:
        """Prove a cut and apply it."""
        found = column_min(self.columns, multipliers, 1e-4 * self.setting.upper)
        self.points = np.concatenate([self.points, found.points])[-POINTS:]
        self.cuts.append(Cut(multipliers, found.value))
        self.keep(np.fmax(self.value, self.cut_value(self.cells, self.cuts[-1])))

    def improve(self) -> bool:
        """Add a cut at the lowest cell.

        True if the bound of that cell has risen enough, or if the points that the search has found may make the next cut
        better; False if the branch should be split instead.
        """
        proposal = propose(self) if len(self.cuts) < MAX_CUTS else None
        if proposal is None:
            return False
        upper, before, cell = self.setting.upper, self.lower, self.cells[:, self.lowest]
        n, x1, _, y1, _ = cell
        self.add(proposal.multipliers)
        hope = proposal.loss + self.setting.phi(self.b1) + n * self.setting.phi(x1) + self.setting.phi(y1)
        if self.dead or self.cut_value(cell, self.cuts[-1]) >= before + 0.002 * upper:
            self.retries = 0
            return True
        self.retries = self.retries + 1 if hope > before + 0.01 * upper and self.retries < MAX_RETRIES else 0
        return self.retries > 0

    def coarse(self) -> bool:
        """Whether the lowest cell is wide compared with the interval of sigma_1, so that cells should be split first."""
        _, x1, x2, y1, y2 = self.cells[:, self.lowest]
        width = max(x2 - x1, y2 - y1)
        return width > 0.7 * (self.b2 - self.b1) and width > 1e-5 * self.b2

    def narrow(self) -> bool:
        """Whether the interval of sigma_1 is too short to be halved."""
        return self.b2 < FINAL_RATIO * self.b1 or self.b2 < 1e-4 * self.setting.most

    def split(self) -> None:
        """Quarter the lowest cells."""
        chosen = self.value < self.lower + 0.15 * (self.setting.upper - self.lower)
        if np.count_nonzero(chosen) > MAX_SPLIT:
            chosen = np.zeros_like(chosen)
            chosen[np.argsort(self.value, kind="stable")[:MAX_SPLIT]] = True
        n, x1, x2, y1, y2 = self.cells[:, chosen]
        x, y = 0.5 * (x1 + x2), 0.5 * (y1 + y2)
        new = np.concatenate([np.stack([n, *p, *q]) for p in ((x1, x), (x, x2)) for q in ((y1, y), (y, y2))], axis=1)
        # y <= x; without x (n = 0) both halves of its empty interval are the same cell.
        needed = np.where(new[0] > 0, new[3] <= new[2], np.arange(new.shape[1]) < 2 * len(n))
        new, value = new[:, needed], np.tile(self.value[chosen], 4)[needed]
        value = np.fmax(value, self.base(new))
        for cut in self.cuts:
            value = np.fmax(value, self.cut_value(new, cut))
        self.cells = np.concatenate([self.cells[:, ~chosen], new], axis=1)
        self.keep(np.concatenate([self.value[~chosen], value]))

    def halves(self) -> list[Branch]:
        """Two branches on halves of the interval (geometric, unless one end is far lower), with the last cuts proved anew."""
        middle = float(np.sqrt(max(self.b1, 0.125 * self.b2) * self.b2))
        both = []
        for b1, b2 in ((self.b1, middle), (middle, self.b2)):
            child = Branch(self.setting, b1, b2, self.cells, self.value, self.points)
            for cut in self.cuts[-INHERITED:]:
                if not child.dead:
                    child.add(cut.multipliers)
            both.append(child)
        return both


def first_cells(classes: int, most: float) -> Floats:
    """(5, m) cells of all n, x, y with ``y <= x <= most``.

    Of the K-2 singular values after the first, n <= K-3 are x; n = K-2 is y = x, and n = 0 is y = 0 unless K <= 3.
    """
    if classes == 2:
        return np.zeros((5, 1))
    edges = most * np.concatenate([[0.0, 0.002], np.linspace(0.03, 1.0, int(np.clip(np.sqrt(16000 / classes), 4, 24)))])
    low, high = edges[:-1], edges[1:]
    if classes == 3:
        return np.stack([0 * low, 0 * low, 0 * low, low, high])
    i, j = np.nonzero(np.tri(len(low), dtype=bool))
    return np.concatenate(
        [np.stack([np.full(len(i), float(n)), low[i], high[i], low[j], high[j]]) for n in range(1, classes - 2)], 1
    )


def samples(branch: Branch, mean: float, square: float) -> Floats:
    """Columns at which the linear program that proposes a cut looks.

    Parameters
    ----------
    branch : Branch
    mean, square : float, means of d and of q, near which the grid is denser

    Returns
    -------
    (p, 2) float64
        Pairs (d, V): the grid, and minimisers found earlier.
    """
    columns, c = branch.columns, branch.columns.ratio
    low, high = columns.lowest, columns.highest
    wide = np.linspace(low, min(high, max(3 * mean, low + 0.3 * (high - low))), 10)
    own = np.unique(np.clip(np.concatenate([wide, mean * np.linspace(0.87, 1.05, 8)]), low, high))
    near = max(square - c * mean * mean, 0.0) * np.linspace(0.0, 1.6, 9) ** 2
    far = np.maximum(columns.largest**2 - c * own * own, 0.0)[:, None] * np.linspace(0.0, 1.0, 8) ** 4
    spread = np.concatenate([far, np.tile(near, (len(own), 1))], axis=1)
    grid = np.stack([np.repeat(own, spread.shape[1]), spread.ravel()], axis=1)
    return np.concatenate([grid, [[mean, near[-1] / 1.6**2]], branch.points])


def propose(branch: Branch) -> Proposal | None:
    """Multipliers of the moments at the lowest cell, from the least mean loss of distributions of sampled columns."""
    from scipy.optimize import linprog

    classes, b = branch.setting.classes, branch.b2
    cap = branch.columns.loss
    n, x1, x2, y1, y2 = branch.cells[:, branch.lowest]
    top, x, y = 0.5 * (branch.b1 + b), min(0.5 * (x1 + x2), b), 0.5 * (y1 + y2) if y1 > 0 else 0.0
    mean, square = (top + n * x + y) / classes, (top * top + n * x * x + y * y) / classes
    own, spread = samples(branch, mean, square).T
    length, loss = spread + branch.columns.ratio * own * own, column_loss(classes, own, spread)
    allowed = (length <= b * b * 1.0001) & (loss <= cap)
    own, length, loss = own[allowed], length[allowed], loss[allowed]
    # Each column with several B, and A = d^2 / B; the last four unknowns are the amounts by which moments are missed.
    right = np.stack([np.maximum(length / b, np.abs(own) * factor) for factor in (1.0, 0.8, 1.25, 0.0)]) + 1e-9 * mean
    left, right = (own * own / right).ravel() / mean, right.ravel() / mean
    cost = np.concatenate([np.tile(loss, 4), np.full(4, PENALTY * cap)])
    unequal = np.stack([np.append(left, [-1.0, 0.0, 0.0, 0.0]), np.append(right, [0.0, -1.0, 0.0, 0.0])])
    equal = np.stack(
        [np.append(np.ones(len(left)), np.zeros(4)), np.append(np.tile(length, 4) / square, [0.0, 0.0, 1.0, -1.0])]
    )
    if len(own) == 0 or not all(np.isfinite(array).all() for array in (cost, unequal, equal)):
        return None
    for method in ("highs", "highs-ipm"):
        solved = linprog(cost, A_ub=unequal, b_ub=[1.0, 1.0], A_eq=equal, b_eq=[1.0, 1.0], method=method)
        if solved.status == 0:
            least = 1e-9 * cap / mean
            prices, reward = -solved.ineqlin.marginals / mean, float(solved.eqlin.marginals[1]) / square
            return Proposal(Multipliers(max(float(prices[0]), least), max(float(prices[1]), least), reward), float(solved.fun))
    return None


def moment_bound(
    classes: int, scale: float, price: Callable[[Floats], Floats], upper: float, largest: float, *, effort: int = 250
) -> float:
    """Lower bound on the global minimum of F (nats); see the module's docstring.

    Parameters
    ----------
    classes : int, K >= 2
    scale : float, s > 0
    price : callable
        phi, elementwise on float64 arrays of any shape of singular values *times the scale*.
    upper : float, at least the minimum of F
    largest : float
        A bound on ``s sigma_1(Z)`` for every Z with ``F(Z) <= upper``, such as ``phi^{-1}(upper)``.
    effort : int
        How many cuts are tried, those that are proved anew on halves of a branch included. The result never falls as it grows.

    Returns
    -------
    float
        In ``[0, upper]``; zero where the arguments prove nothing (nan, huge ``largest``). Deterministic to the last bit.
    """
    if not (upper > 0 and largest >= 0 and scale > 0 and largest / scale < HUGE):
        return 0.0
    with np.errstate(all="ignore"):
        upper = min(float(upper), float(np.log(classes)))
        most = largest / scale * (1 + 1e-9)
        least = max(float(np.log(classes - 1.0) - np.log(np.expm1(upper))) * (1 - 1e-12) - 1e-12, 0.0)
        if least >= most:
            return upper
        setting = Setting(
            classes=classes,
            scale=scale,
            price=price,
            upper=upper,
            most=most,
            residual=residual_norm_bound(classes, 3.0 * most),
        )
        lower = best_first(setting, least, effort) - SLACK * upper
    return min(max(lower, 0.0), upper) if lower == lower else 0.0


def best_first(setting: Setting, least: float, effort: int) -> float:
    """Search over branches of ``least <= sigma_1 <= most``, the one with the lowest bound first.

    Parameters
    ----------
    setting : Setting
    least : float, a lower bound on sigma_1 wherever F is below ``upper``
    effort : int, how many cuts may be tried

    Returns
    -------
    float
        A lower bound on F, in nats, at most ``upper``; rounding is not yet subtracted.
    """
    start = max(least, 0.02 * setting.most)
    edges = np.geomspace(start, setting.most, max(1, int(np.ceil(np.log(setting.most / start) / np.log(RATIO)))) + 1)
    edges[0], edges[-1] = least, setting.most
    heap: list[tuple[float, int, Branch]] = []
    count = 0
    for b1, b2 in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        cells = first_cells(setting.classes, b2)
        branch = Branch(setting, b1, b2, cells, np.zeros(cells.shape[1]), np.zeros((0, 2)))
        heappush(heap, (branch.lower, count := count + 1, branch))
    final = setting.upper
    while heap and heap[0][0] < final and effort > 0:
        effort -= 1
        branch = heappop(heap)[2]
        after = [branch]
        if not branch.improve():
            if branch.coarse():
                branch.split()
            elif branch.narrow():
                final, after = min(final, branch.lower), []
            else:
                after = branch.halves()
                effort -= sum(len(child.cuts) for child in after)
        for child in after:
            heappush(heap, (child.lower, count := count + 1, child))
    return min(final, heap[0][0]) if heap else final
