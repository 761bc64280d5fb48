r"""Step imbalance in closed form up to one angle: whole blocks of problems at once, each with its certificate.

For plain cross-entropy without bias and two groups of classes (``K_A = a`` of ``n_A`` samples, ``K_B = b`` of ``n_B``), column
scales s and a charge mu on singular values, the invariant logits are contrasts ``x_A, x_B >= 0`` within the groups and weights
``w_A, w_B`` along the contrast ``u = (1_A/a - 1_B/b)/nu``, ``nu^2 = 1/a + 1/b``, between them. With ``g = nu w_A / sqrt(a)``
(docs/theory, Proposition 4.1)

.. math:: CE_A = \log\big(1 + (a-1) e^{-x_A} + b\, e^{-x_A (1 - 1/a) - g}\big), \qquad
          \text{charge} = \mu \big[(a-1) s_A x_A + (b-1) s_B x_B + r\big], \quad r^2 = (s_A w_A)^2 + (s_B w_B)^2 .

Put ``s_A w_A = r cos(theta)``, ``s_B w_B = r sin(theta)``. Every probability is closed form in theta (Proposition 4.2), and
theta is the only root of a decreasing function (Proposition 4.3): one scalar for each problem, whatever K and N. Under norm
budgets mu is the multiplier of ``||Z||_* <= K c``, a second scalar, in which the nuclear norm decreases (Proposition 4.4).

The lower bound is the entropy dual at these probabilities, scaled into the domain; the upper bound is the objective at the
logits (Proposition 4.5). Neither assumes that the root is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._arrays import Floats
from ufm._rounding import TINY, UNIT
from ufm.errors import InputError

Rows = NDArray[np.intp] | slice
STEPS = 80
"""Largest number of steps of the safeguarded secant method; about ten are taken."""
BLOCK = 20_000
"""Number of problems that are solved together, so that their arrays fit into the cache."""
WIDEST = 690.0
"""Bound on logarithms, so that exponentials stay within float64."""


@dataclass(frozen=True, eq=False)
class StepSolutions:
    """Optima of P problems, as arrays of length P.

    Attributes
    ----------
    value, lower, upper : the objective at the logits and certified bounds on the optimum (level float)
    contrast_majority, contrast_minority : ``x_A, x_B``: logit of a class minus that of another of its group, in its column
    cos_majority, cos_minority, cos_cross : cosines between classifiers; NaN where a group has one class or a vector vanishes
    norm_ratio : majority over minority classifier norm
    multiplier : mu (given with decay, found under budgets)
    nuclear_norm : of the logits, their columns scaled as in the penalty (under budgets: unscaled)
    """

    value: Floats
    lower: Floats
    upper: Floats
    contrast_majority: Floats
    contrast_minority: Floats
    cos_majority: Floats
    cos_minority: Floats
    cos_cross: Floats
    norm_ratio: Floats
    multiplier: Floats
    nuclear_norm: Floats

    @property
    def gap(self) -> Floats:
        """(P,) relative certified gap, ``(upper - lower) / upper`` (0 where both vanish)."""
        return (self.upper - self.lower) / np.where(self.upper > 0, self.upper, 1.0)


def solve_steps(
    *,
    majority: ArrayLike,
    minority: ArrayLike,
    n_majority: ArrayLike,
    n_minority: ArrayLike,
    mu: ArrayLike | None = None,
    radius: ArrayLike | None = None,
    per_class: bool = False,
) -> StepSolutions:
    """Solve many step-imbalanced problems at once; arguments broadcast against each other.

    Parameters
    ----------
    majority, minority : arrays or scalars, K_A and K_B >= 1
    n_majority, n_minority : arrays or scalars, samples per class, >= 1 (need not be whole)
    mu : array or scalar
        With decay: ``sqrt(lambda_W lambda_H)`` times the factor of the head (``1 - rho`` for a linear DEQ).
    radius : array or scalar
        Under norm budgets: ``K c`` times the gain of the head (``1 / (1 - rho)``). Give exactly one of mu and radius.
    per_class : bool, decay on the mean squared feature norm of each class

    Returns
    -------
    StepSolutions
        Arrays over the broadcast arguments, flattened in row-major order.

    Raises
    ------
    InputError
        Arguments that do not broadcast, or are out of range.

    Examples
    --------
    >>> found = solve_steps(majority=5, minority=5, n_majority=[10.0, 100.0, 1000.0], n_minority=10.0, radius=10 * 5**0.5)
    >>> [f"{c:.4f}" for c in found.cos_minority]
    ['-0.1111', '0.5175', '1.0000']
    >>> bool(found.gap.max() < 1e-12)
    True
    """
    if (mu is None) == (radius is None):
        raise InputError("give exactly one of mu (decay) and radius (norm budgets)")
    charge, name = (radius, "radius") if mu is None else (mu, "mu")
    named = {
        "majority": majority, "minority": minority, "n_majority": n_majority, "n_minority": n_minority, name: charge,
    }  # fmt: skip
    arrays = {k: np.asarray(v, dtype=np.float64) for k, v in named.items()}
    for k, array in arrays.items():
        least = 1.0 if k in ("majority", "minority", "n_majority", "n_minority") else np.finfo(np.float64).tiny
        if not (np.isfinite(array).all() and (array >= least).all()):
            raise InputError(f"{k} must be finite and at least {least:g} everywhere")
    try:
        a, b, na, nb, given = (np.array(x).ravel() for x in np.broadcast_arrays(*arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{k} {v.shape}" for k, v in arrays.items())
        raise InputError(f"shapes do not broadcast: {shapes}") from None
    found = [
        _block(a[part], b[part], na[part], nb[part], given[part], mu is None, per_class)
        for part in (slice(k, k + BLOCK) for k in range(0, len(a), BLOCK))
    ]
    return StepSolutions(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


@dataclass(frozen=True, eq=False)
class _Side:
    """One group (majority or minority) of every problem.

    Attributes
    ----------
    classes, share, scale : (P,) number of classes, share of one class in the loss, column scale
    others : (P,) number of classes of the other group
    nu : (P,) ``sqrt(1/a + 1/b)``
    """

    classes: Floats
    share: Floats
    scale: Floats
    others: Floats
    nu: Floats

    def column(self, log_mu: Floats, log_part: Floats) -> _Column:
        """The stationary column of this group at an angle: ``log_part`` is log cos theta (majority) or log sin theta.

        See docs/theory, Proposition 4.2.
        """
        a = self.classes
        price = np.exp(log_mu + np.log(self.scale / self.share))
        across = np.minimum(price * np.exp(log_part) / (np.sqrt(a) * self.nu), 1.0 - 1e-15)
        alone = (a <= 1.0) | (price >= 1.0)
        other = np.where(a > 1.0, np.where(alone, 1.0 - across, price - across) / a, 0.0)
        other = np.maximum(other, 0.0)
        missing = (a - 1.0) * other + across
        own = np.log1p(-np.minimum(missing, 1.0 - UNIT))
        contrast = np.where(alone, 0.0, own - np.log(np.where(alone, 1.0, other)))
        weight = (own - np.log(np.maximum(across, TINY) / self.others) - contrast * (1.0 - 1.0 / a)) * np.sqrt(a) / self.nu
        return _Column(contrast, weight, missing, other, across)

    def flat(self, log_mu: Floats) -> _Column:
        """The stationary column without weight between the groups: logits x (I - 11'/a) on this side, 0 on the other."""
        a, price = self.classes, np.exp(log_mu + np.log(self.scale / self.share))

        def shares(x: Floats, rows: Rows) -> tuple[Floats, Floats]:
            count = a[rows]
            other = np.exp(-x)
            across = self.others[rows] * np.exp(-x * (1.0 - 1.0 / count))
            total = 1.0 + (count - 1.0) * other + across
            return other / total, across / total

        def rest(x: Floats, rows: Rows) -> Floats:
            other, across = shares(x, rows)
            return a[rows] * other + across - price[rows]

        zero = np.zeros_like(price)
        x = np.where((a > 1.0) & (price < 1.0), _root(rest, zero, zero + 2.0 * WIDEST, price), 0.0)
        other, across = shares(x, slice(None))
        return _Column(x, zero, (a - 1.0) * other + across, np.where(a > 1.0, other, 0.0), across)

    def take(self, rows: Rows) -> _Side:
        """These problems alone."""
        return _Side(self.classes[rows], self.share[rows], self.scale[rows], self.others[rows], self.nu[rows])

    def loss(self, contrast: Floats, weight: Floats) -> Floats:
        """Cross-entropy of a column with these logits."""
        a = self.classes
        gap = contrast * (1.0 - 1.0 / a) + self.nu * weight / np.sqrt(a)
        return np.log1p((a - 1.0) * np.exp(-contrast) + self.others * np.exp(-gap))

    def entropy(self, column: _Column, shrink: Floats) -> Floats:
        """Entropy of the column's probabilities, moved towards the target by a factor."""
        missing, other, across = column.missing * shrink, column.other * shrink, column.across * shrink / self.others
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.where(other > 0, -(self.classes - 1.0) * other * np.log(other), 0.0)
            spread += np.where(across > 0, -self.others * across * np.log(across), 0.0)
            return spread - np.where(missing < 1.0, (1.0 - missing) * np.log1p(-missing), 0.0)

    def rounding(self, column: _Column, shrink: Floats) -> Floats:
        """Rounding error of `entropy`, from the own probability ``1 - missing`` where that is small."""
        missing = np.minimum(column.missing * shrink, 1.0 - UNIT)
        return 8.0 * UNIT * missing * (1.0 - np.log1p(-missing))

    def slopes(self, column: _Column) -> tuple[Floats, Floats]:
        """Norms of ``(P - T) diag(pi) S^{-1}`` on this side: along contrasts, and along u."""
        size = self.share / self.scale
        contrast = np.where(self.classes > 1.0, (column.missing + column.other) * size, 0.0)
        return contrast, np.sqrt(self.classes) * column.across * self.nu * size


class _Column(NamedTuple):
    """A column of one group, arrays of length P.

    Attributes
    ----------
    contrast, weight : x and w
    missing : one minus the probability of the column's own class
    other : probability of one other class of the same group
    across : probability of all classes of the other group together
    """

    contrast: Floats
    weight: Floats
    missing: Floats
    other: Floats
    across: Floats


Sides = tuple[_Side, _Side]
Columns = tuple[_Column, _Column]


def _block(a: Floats, b: Floats, na: Floats, nb: Floats, given: Floats, budget: bool, per_class: bool) -> tuple[Floats, ...]:
    """The fields of `StepSolutions` for one block of problems."""
    total, nu = a * na + b * nb, np.sqrt(1.0 / a + 1.0 / b)
    scale = [np.ones_like(n) if budget or per_class else np.sqrt(n) for n in (na, nb)]
    sides = _Side(a, na / total, scale[0], b, nu), _Side(b, nb / total, scale[1], a, nu)
    log_mu = _multiplier(sides, given) if budget else np.log(given)
    mu, columns = np.exp(log_mu), _optimum(sides, log_mu)
    x, w = [c.contrast for c in columns], [c.weight for c in columns]
    norm, rest = _norm(sides, columns)
    if budget:
        shrink = np.minimum(1.0, given * (1.0 - 16 * UNIT) / np.where(norm > 0, norm, 1.0))
        x, w, norm, rest = [v * shrink for v in x], [v * shrink for v in w], norm * shrink, rest * shrink
    weights = [side.classes * side.share for side in sides]
    loss = sum(m * side.loss(v, u) for m, side, v, u in zip(weights, sides, x, w, strict=True))
    value = loss if budget else loss + given * norm
    # Arguments of exponentials carry a few units in the last place of the logits.
    largest = np.maximum(*(v + nu * u for v, u in zip(x, w, strict=True)))
    upper = value * (1.0 + (64.0 + 16.0 * largest) * UNIT)
    contrasts, across = zip(*(side.slopes(c) for side, c in zip(sides, columns, strict=True)), strict=True)
    length = np.maximum(np.maximum(*contrasts), np.hypot(*across)) * (1.0 + 32 * UNIT)
    fraction = np.ones_like(mu) if budget else np.minimum(1.0, given / length)
    # No column may give away more than all of its probability, rounding included.
    missing = np.maximum(columns[0].missing, columns[1].missing)
    fraction = np.where(missing > 1.0 - 16 * UNIT, np.minimum(fraction, 1.0 - 32 * UNIT), fraction)
    entropies = [m * side.entropy(c, fraction) for m, side, c in zip(weights, sides, columns, strict=True)]
    lost = sum(m * side.rounding(c, fraction) for m, side, c in zip(weights, sides, columns, strict=True))
    lower = (entropies[0] + entropies[1]) * (1.0 - 64 * UNIT) - lost
    if budget:
        lower = lower - given * length
    cosines = _cosines(a, b, nu, scale[0] * x[0], scale[1] * x[1], rest)
    return np.asarray(value), np.maximum(lower, 0.0), upper, x[0], x[1], *cosines, mu, norm


def _norm(sides: Sides, columns: Columns) -> tuple[Floats, Floats]:
    """Nuclear norm of ``Z S``, and r."""
    rest = np.hypot(*(side.scale * c.weight for side, c in zip(sides, columns, strict=True)))
    return sum((s.classes - 1.0) * s.scale * c.contrast for s, c in zip(sides, columns, strict=True)) + rest, rest


def _optimum(sides: Sides, log_mu: Floats) -> Columns:
    """Both columns at the optimum for a charge."""
    found = _columns(sides, log_mu, angle(sides, log_mu))
    # Where the weights are not positive the groups are not separated at the optimum: r = 0.
    flat = np.flatnonzero(~((found[0].weight > 0) & (found[1].weight > 0)))
    if not len(flat):
        return found
    level = [side.take(flat).flat(log_mu[flat]) for side in sides]
    for column, other in zip(found, level, strict=True):
        for values, replaced in zip(column, other, strict=True):
            values[flat] = replaced
    return found


def _columns(sides: Sides, log_mu: Floats, t: Floats) -> Columns:
    """Both columns at ``theta = arctan(exp(t))``."""
    cosine = -0.5 * np.logaddexp(0.0, 2.0 * t)
    return sides[0].column(log_mu, cosine), sides[1].column(log_mu, cosine + t)


def angle(sides: Sides, log_mu: Floats) -> Floats:
    """(P,) ``t = log tan theta``: the root of ``log(s_B w_B / (s_A w_A)) - t``, which falls at least as fast as -t.

    ``log_mu`` is (P,). See docs/theory, Proposition 4.3.
    """

    def rest(t: Floats, rows: Rows) -> Floats:
        here = (sides[0].take(rows), sides[1].take(rows))
        weights = [s.scale * np.maximum(c.weight, 0.0) for s, c in zip(here, _columns(here, log_mu[rows], t), strict=True)]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(weights[1]) - np.log(weights[0])
        return np.where(np.isnan(ratio), 0.0, ratio) - t

    zero = np.zeros_like(log_mu)
    start = np.clip(rest(zero, slice(None)), -WIDEST, WIDEST)
    return _root(rest, np.minimum(start, zero), np.maximum(start, zero), np.ones_like(zero))


def _multiplier(sides: Sides, radius: Floats) -> Floats:
    """(P,) ``log mu`` at which the nuclear norm is the radius: it falls with mu (docs/theory, Proposition 4.4)."""

    def rest(log_mu: Floats, rows: Rows) -> Floats:
        here = (sides[0].take(rows), sides[1].take(rows))
        return _norm(here, _optimum(here, log_mu))[0] - radius[rows]

    high = np.log(np.maximum(*(s.share * s.classes for s in sides))) + 1.0
    # A logit of x costs about exp(-x) of multiplier, and the norm is at least the largest logit.
    return _root(rest, np.maximum(high - radius - 20.0, -WIDEST), high, radius)


def _root(function: Callable[[Floats, Rows], Floats], low: Floats, high: Floats, scale: Floats) -> Floats:
    """Roots of decreasing functions, entry by entry, to 1e-14 of the scale of their values.

    Secants that keep a bracket (Illinois), with a bisection every fourth step.
    """
    found = 0.5 * (low + high)
    rows = np.arange(len(low))
    f_low, f_high = function(low, rows), function(high, rows)
    side = np.zeros(len(low))
    for step in range(STEPS):
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            middle = (low * f_high - high * f_low) / (f_high - f_low)
        middle = np.where((middle > low) & (middle < high) & (step % 4 != 3), middle, 0.5 * (low + high))
        value = function(middle, rows)
        found[rows] = middle
        right = value > 0
        # The end that stays twice in a row counts half, so that the other one moves (Illinois).
        f_high = np.where(right, np.where(side > 0, 0.5 * f_high, f_high), value)
        f_low = np.where(right, value, np.where(side < 0, 0.5 * f_low, f_low))
        low, high, side = np.where(right, middle, low), np.where(right, high, middle), np.where(right, 1.0, -1.0)
        size = np.maximum(np.abs(middle), 1.0)
        # Entries are dropped as soon as they have converged, so that no result depends on the other problems of its block.
        left = np.flatnonzero((high - low > 4e-16 * size) & (np.abs(value) > 1e-14 * scale * size))
        if not len(left):
            break
        if len(left) < len(rows):
            rows, low, high, f_low, f_high = rows[left], low[left], high[left], f_low[left], f_high[left]
            side, scale = side[left], scale[left]
    return found


def _cosines(a: Floats, b: Floats, nu: Floats, first: Floats, second: Floats, rest: Floats) -> tuple[Floats, ...]:
    """Cosines between classifiers and their norm ratio, from ``W W' ~ sum_g xi_g Pi_g + r u u'``."""
    along = [rest / (k * nu) ** 2 for k in (a, b)]
    own = [xi * (1.0 - 1.0 / k) + v for xi, k, v in zip((first, second), (a, b), along, strict=True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        within = [
            np.where(k > 1, (v - xi / k) / o, np.nan) for xi, k, v, o in zip((first, second), (a, b), along, own, strict=True)
        ]
        cross = -rest / (a * b * nu**2) / np.sqrt(own[0] * own[1])
        ratio = np.sqrt(own[0] / own[1])
    return *(np.clip(c, -1.0, 1.0) for c in within), np.clip(cross, -1.0, 1.0), ratio
