r"""Cross-entropy: plain, or with class weights, logit adjustment, temperatures and label smoothing.

.. math:: \ell_k(z) = \omega_k \Big[\log \sum_c e^{\Delta_c z_c + \iota_c} - \sum_c t_{kc} (\Delta_c z_c + \iota_c)\Big],
          \qquad t_k = (1 - \varepsilon) e_k + \varepsilon 1 / K

with class weights ``omega`` (oversampling), temperatures ``Delta`` (CDT, Ye et al. 2020), offsets ``iota`` (logit
adjustment, Menon et al. 2021) and label smoothing ``epsilon``; all but the last together are the vector-scaling loss (Kini
et al. 2021). Locators in these papers unknown. The loss is convex, and minus its conjugate at the slopes ``y = p - t`` is
``Entropy(p) + <y, iota>`` per unit weight (docs/theory, Proposition 2.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import fsum, isfinite, log
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm._rounding import ELEMENTARY, UNIT, gamma
from ufm.errors import InputError
from ufm.problem.losses.base import GroupPull, Loss
from ufm.problem.spelling import Spelling
from ufm.spectral.loss import BoundLoss, ColumnLoss
from ufm.spectral.table_loss import SoftmaxLoss
from ufm.targets.counts import ClassCounts
from ufm.targets.table import TargetTable, check_probabilities

PerSize = float | tuple[float, ...]
LOWEST = -1e4
"""A logit whose exponential is zero in float64."""


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy in nats, mean over samples (over weighted samples where classes have weights).

    Parameters
    ----------
    weights : float or tuple
        Exponent a of the class weights ``n_k^{-a}`` (1: every class counts the same, as oversampling does), or one weight
        for each distinct class size, largest size first. Normalised to a weighted *mean*, as oversampling does.
    adjustment : float or tuple
        Factor tau of the offsets ``iota_k = tau log(n_k / N)``, or the offsets for each distinct class size.
    temperatures : float or tuple
        Exponent g >= 0 of ``Delta_k = (n_k / n_max)^g``, or positive factors for each distinct class size.
    smoothing : float in [0, 1), label smoothing ``epsilon``

    Raises
    ------
    InputError
        A value out of range, or (when the problem is made) a tuple of another length than there are class sizes.

    Examples
    --------
    >>> CrossEntropy(weights=1.0).bind(ClassCounts.parse("90*2,10*2")).share.round(12).tolist()
    [0.25, 0.25]
    """

    weights: PerSize = 0.0
    adjustment: PerSize = 0.0
    temperatures: PerSize = 0.0
    smoothing: float = 0.0
    name = "ce"
    shift_invariant = True
    verified = True
    spelling = Spelling(
        "ce",
        "ce[:weights=A,adjustment=T,temperatures=G,smoothing=E]",
        optional={name: name for name in ("weights", "adjustment", "temperatures", "smoothing")},
        listed=True,
    )

    def __post_init__(self) -> None:
        for name in ("weights", "adjustment", "temperatures"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        for name in ("weights", "temperatures"):
            value = getattr(self, name)
            if isinstance(value, tuple) and not min(value) > 0:
                raise InputError(f"{name} has {min(value)!r}; give a positive number for each distinct class size")
        if isinstance(self.temperatures, float) and self.temperatures < 0:
            raise InputError(f"temperatures is {self.temperatures!r}; give an exponent >= 0, or positive factors by class size")
        if not (isinstance(self.smoothing, Real) and 0 <= self.smoothing < 1):
            raise InputError(f"smoothing is {self.smoothing!r}; label smoothing must lie in [0, 1)")
        object.__setattr__(self, "smoothing", float(self.smoothing))

    @property
    def plain_cross_entropy(self) -> bool:  # type: ignore[override]
        """Whether it is the ordinary cross-entropy."""
        neutral = {"weights": 1.0, "adjustment": 0.0, "temperatures": 1.0}
        listed = all(
            not value or (isinstance(value, tuple) and all(v == neutral[name] for v in value))
            for name in neutral
            for value in (getattr(self, name),)
        )
        return listed and not self.smoothing

    @property
    def pull(self) -> GroupPull:  # type: ignore[override]
        """Its pull on equal classes; offsets do not change it."""
        return GroupPull(self.weights, self.temperatures, self.smoothing)

    def bind(self, counts: ClassCounts) -> BoundCrossEntropy:
        weights, offsets, temperatures = self._by_group(counts)
        # Exactly rounded, so that a share is off by a few units however many groups there are.
        total = fsum(m * n * w for (m, n), w in zip(counts.groups, weights, strict=True))
        share = np.array([n * w / total for (_, n), w in zip(counts.groups, weights, strict=True)])
        if not self.weights:
            share = np.array([n / counts.total for _, n in counts.groups])
        tables = (np.array(temperatures), np.array(offsets))
        return BoundCrossEntropy(share, *tables, self.smoothing / counts.classes, self.smoothing)

    def at_shares(self, share: Floats) -> BoundLoss:
        if not self.plain_cross_entropy:
            return super().at_shares(share)
        return BoundCrossEntropy(share, np.ones(len(share)), np.zeros(len(share)), 0.0, 0.0)

    def bind_table(self, table: TargetTable) -> SoftmaxLoss:
        if not self.plain_cross_entropy:
            raise InputError(
                f"loss {self} has options by class size, which a table of targets does not have; use ce and put smoothing or "
                "weights into the columns and sizes"
            )
        check_probabilities(table.columns)
        return SoftmaxLoss(table.columns / table.columns.sum(axis=0), np.ones(table.contexts), ((0, table.rows),))

    def _by_group(self, counts: ClassCounts) -> tuple[list[float], list[float], list[float]]:
        sizes = [n for _, n in counts.groups]

        def read(name: str, value: PerSize, formula) -> list[float]:
            if not isinstance(value, tuple):
                return [formula(n, value) if value else formula(n, 0.0) for n in sizes]
            if len(value) != len(sizes):
                raise InputError(f"{name} has {len(value)} numbers for {len(sizes)} distinct class sizes; give one for each")
            return list(value)

        try:
            weights = read("weights", self.weights, lambda n, a: (sizes[0] / n) ** a)
            offsets = read("adjustment", self.adjustment, lambda n, t: t * log(n / counts.total))
            temperatures = read("temperatures", self.temperatures, lambda n, g: (n / sizes[0]) ** g)
        except OverflowError:
            weights = offsets = temperatures = [float("inf")]
        moderate = all(1e-100 < w < 1e100 for w in weights) and all(1e-10 < t < 1e10 for t in temperatures)
        if not (moderate and all(abs(v) < 1e4 for v in offsets)):
            raise InputError(
                f"loss {self} has weights, offsets or temperatures beyond float64 for these class sizes; "
                "give numbers closer to 1 (offsets: to 0)"
            )
        return weights, offsets, temperatures

    def certificate(self, counts: ClassCounts) -> dict[str, object]:
        """The loss's entry in a saved certificate, numbers as exact rationals, one for each group."""
        names = ("weights", "offsets", "temperatures")
        found: dict[str, object] = {"kind": "ce", "smoothing": str(Fraction(self.smoothing))}
        for name, values in zip(names, self._by_group(counts), strict=True):
            found[name] = [str(Fraction(v)) for v in values]
        return found

    def __str__(self) -> str:
        options = []
        for name in ("weights", "adjustment", "temperatures", "smoothing"):
            value = getattr(self, name)
            if value:
                options.append(f"{name}=" + ("/".join(f"{v:g}" for v in value) if isinstance(value, tuple) else f"{value:g}"))
        return "ce" + (":" + ",".join(options) if options else "")


@dataclass(frozen=True, eq=False)
class BoundCrossEntropy(BoundLoss):
    """Cross-entropy on given class groups; see `ufm.spectral.loss.BoundLoss` for the layout of arrays.

    Parameters
    ----------
    share : (G,) float64, weight of one class's column in the mean loss
    temperature : (G,) float64 > 0, factor on every logit of the group's classes
    offset : (G,) float64, number added to every tempered logit of the group's classes
    floor : float, target probability of every other class, ``epsilon / K``
    smoothing : float, ``epsilon``
    """

    share: Floats
    temperature: Floats
    offset: Floats
    floor: float
    smoothing: float
    shift_invariant = True
    encloses = True
    has_probabilities = True

    @cached_property
    def has_offsets(self) -> bool:
        """Whether an offset is not zero."""
        return bool(self.offset.any())

    @property
    def plain_cross_entropy(self) -> bool:  # type: ignore[override]
        """Whether it is the ordinary cross-entropy up to class weights; offsets that are all equal cancel."""
        return not self.smoothing and bool(np.all(self.temperature == 1.0)) and not np.ptp(self.offset)

    @property
    def offsets(self) -> Floats:
        return self.offset

    def columns(self, logits: Floats, multiplicity: Floats, own: NDArray[np.intp] | None = None) -> ColumnLoss:
        """Loss of each column with its derivatives; no overflow at large logits, small relative error for losses near zero."""
        margin = logits - logits[-1]
        if self.has_offsets:
            margin[:-1] += self.offset[:, None] - (self.offset if own is None else self.offset[own])
        top = np.maximum.reduce(margin, axis=0, initial=0.0)
        mass = multiplicity * np.exp(margin - top)
        others = np.add.reduce(mass[:-1], axis=0)
        total = mass[-1] + others
        values = np.where(top > 0, top + np.log(total), np.log1p(others)) if top.any() else np.log1p(others)
        mass /= total
        gradient = mass.copy()
        gradient[-1] = -others / total
        if self.smoothing:
            values = values - self.floor * (multiplicity[:-1] * margin[:-1]).sum(axis=0)
            gradient[:-1] -= self.floor * multiplicity[:-1]
            gradient[-1] += self.floor * multiplicity[:-1].sum(axis=0)
        return ColumnLoss(values, gradient, mass, mass)

    def probabilities(self, slopes: Floats) -> Floats:
        """(G, C) probabilities ``p = y + t`` of single other classes; the class itself has what is left of 1."""
        return slopes[:-1] + self.floor if self.smoothing else slopes[:-1]

    def dual(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """(C,) ``Entropy(p) + <y, iota>`` with ``p = y + t`` for each column of slopes y."""
        shares = np.maximum(self.probabilities(slopes), 0.0)
        rest = (multiplicity[:-1] * shares).sum(axis=0)
        terms = np.where(shares > 0, -shares * np.log(np.where(shares > 0, shares, 1.0)), 0.0)
        keep = np.maximum(1.0 - rest, 0.0)
        own = np.where(keep > 0, -keep * np.log1p(-np.minimum(rest, 1 - 1e-16)), 0.0)
        value = (multiplicity[:-1] * terms).sum(axis=0) + own
        if self.has_offsets:
            value = value + (multiplicity[:-1] * slopes[:-1] * (self.offset[:, None] - self.offset)).sum(axis=0)
        return value

    def above(self, logits: Floats, radius: Floats, multiplicity: Floats) -> Floats:
        """Upper bounds, from the largest differences between logits within the radius (docs/theory, Proposition 2.12)."""
        with np.errstate(over="ignore", invalid="ignore"):
            margin = logits[:-1] - logits[-1]
            size = np.abs(logits[:-1]) + np.abs(logits[-1])
            if self.has_offsets:
                margin = margin + (self.offset[:, None] - self.offset)
                size = size + np.abs(self.offset)[:, None] + np.abs(self.offset)
            copies = multiplicity[:-1]
            error = (radius[:-1] + radius[-1] + 4 * UNIT * size) * (1.0 + 8 * UNIT)
            highest = np.where(copies > 0, margin + error, LOWEST)
            top = np.maximum.reduce(highest, axis=0, initial=0.0)
            argument = highest - top if top.any() else highest
            odds = copies * np.exp(argument) * (1.0 + (np.abs(argument) + (ELEMENTARY + 4)) * UNIT)
            total = np.add.reduce(odds, axis=0) * (1.0 + gamma(len(logits)))
            if top.any():
                value = np.where(top > 0, top + np.log(np.exp(-top) + total), np.log1p(total))
                value += 2 * ELEMENTARY * UNIT * (value + np.where(top > 0, 1.0 + top, 0.0))
            else:
                value = np.log1p(total)
                value *= 1.0 + 2 * ELEMENTARY * UNIT
            if self.smoothing:
                spread = (copies * margin).sum(axis=0)
                error += (2 * len(logits) + 8) * UNIT * np.abs(margin)
                rounding = np.where(copies > 0, copies * error, 0.0).sum(axis=0)
                value = value - self.floor * spread
                value = (
                    value + self.floor * rounding * (1.0 + 8 * UNIT) + 4 * UNIT * (np.abs(value) + np.abs(self.floor * spread))
                )
        return np.where(np.isnan(value), np.inf, value)

    def below(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """Lower bounds: `dual` minus the rounding errors of its terms (docs/theory, Proposition 2.11).

        The class itself has the probability that the others leave.
        """
        copies = multiplicity[:-1]
        terms = len(slopes) + 8
        shares = np.where(copies > 0, self.probabilities(slopes), 0.0)
        # With smoothing, a probability of zero may come out slightly negative; the slopes meant are those of the rounded
        # probabilities.
        outside = (shares < -4 * UNIT * self.floor).any(axis=0)
        shares = np.maximum(shares, 0.0)
        moved = (4 * UNIT) * (np.abs(slopes[:-1]) + 2.0 * self.floor) if self.smoothing else np.zeros_like(shares)
        logs = np.log(np.where(shares > 0, shares, 1.0))
        others = -(copies * shares * logs).sum(axis=0) * (1.0 - gamma(terms + 2 * ELEMENTARY))
        rest = (copies * shares).sum(axis=0)
        ends = rest * (1.0 - gamma(terms)), rest * (1.0 + gamma(terms))
        outside |= ends[1] >= 1.0
        own = [np.where(r < 1.0, -(1.0 - r) * np.log1p(-np.minimum(r, 1.0 - UNIT)), 0.0) for r in ends]
        # The class's own entropy term is concave in the others' total probability: least at one end of its enclosure.
        value = others + np.minimum(*own) * (1.0 - 4 * ELEMENTARY * UNIT)
        if self.has_offsets:
            gaps = self.offset[:, None] - self.offset
            value = value + (copies * slopes[:-1] * gaps).sum(axis=0)
            largest = np.abs(self.offset)[:, None] + np.abs(self.offset)
            rounding = copies * (gamma(terms + 4) * np.abs(slopes[:-1]) + moved) * largest
            value = value - rounding.sum(axis=0) - 4 * UNIT * np.abs(value)
        return np.where(outside, -np.inf, value)

    def lipschitz(self, diagonal: Floats) -> Floats:
        """(C,) ``min(1/2, 2 (1 - p))`` with p the probability of the column's own class."""
        return np.minimum(2.0 * diagonal[:-1].sum(axis=0), 0.5)

    def expression(self, cp: Any, logits: Any) -> Any:
        classes = len(self.share)
        tempered = np.diag(self.temperature) @ logits + np.outer(self.offset, np.ones(classes))
        targets = (1.0 - self.smoothing) * np.eye(classes) + self.floor
        return self.share @ (cp.log_sum_exp(tempered, axis=0) - cp.sum(cp.multiply(targets, tempered), axis=0))

    def take(self, group: NDArray[np.intp]) -> BoundCrossEntropy:
        """The same loss with every class a group of its own."""
        return BoundCrossEntropy(self.share[group], self.temperature[group], self.offset[group], self.floor, self.smoothing)


def _numbers(name: str, value: PerSize) -> PerSize:
    """A finite float, or a tuple of them."""
    items = value if isinstance(value, tuple | list) else (value,)
    if not items or not all(isinstance(v, Real) and not isinstance(v, bool) and isfinite(v) for v in items):
        raise InputError(f"{name} is {value!r}; give a finite number, or a tuple with one for each distinct class size")
    return tuple(float(v) for v in items) if isinstance(value, tuple | list) else float(value)
