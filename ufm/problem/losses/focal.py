r"""The focal loss: cross-entropy, weakened where a sample is classified well already.

.. math:: \ell_k(z) = (1 - p_k)^\gamma \, (-\log p_k) = f(t), \qquad t = -\log p_k, \quad f(t) = t (1 - e^{-t})^\gamma

(Lin et al. 2017, equation (4) there: locator unknown). As a function of the cross-entropy t it rises, is convex up to an
inflection and concave from there on, with slopes that fall to 1; so it is not a convex loss. Its largest convex minorant in t
follows f up to `Focal.tight`, where the slope is 1, and a line of slope 1 from there on (docs/theory, Proposition 2.15). Hence
``f(t) >= s t - f*(s)`` for every s in [0, 1]: optima of class-weighted cross-entropies bound the global optimum from below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import exp, expm1, isfinite
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm._rounding import ELEMENTARY, UNIT
from ufm.errors import InputError
from ufm.problem.losses.base import Loss
from ufm.problem.losses.cross_entropy import BoundCrossEntropy
from ufm.problem.spelling import Spelling
from ufm.spectral.loss import BoundLoss, ColumnLoss, Lowered
from ufm.targets.counts import ClassCounts

LEAST, LARGEST = 0.01, 100.0
"""Focusing parameters that are accepted; for gamma = 0 there is `CrossEntropy`."""


@dataclass(frozen=True)
class Focal(Loss):
    """Focal loss in nats, mean over samples. Not convex: solutions are best found, with a bound on the global optimum.

    Parameters
    ----------
    gamma : float in [0.01, 100], the focusing parameter

    Raises
    ------
    InputError
        A gamma outside of that range.

    Examples
    --------
    >>> float(Focal(1.0).bind(ClassCounts.parse("3,1")).rise(np.array([1.0]))[0].round(12)), round(Focal(1.0).tight, 12)
    (0.632120558829, 1.0)
    """

    gamma: float = 2.0
    name = "focal"
    convex = False
    shift_invariant = True
    spelling = Spelling("focal", "focal[:gamma=G]", optional={"gamma": "gamma"})

    def __post_init__(self) -> None:
        gamma = self.gamma
        if not (isinstance(gamma, Real) and not isinstance(gamma, bool) and isfinite(gamma) and LEAST <= gamma <= LARGEST):
            raise InputError(
                f"gamma is {gamma!r}; give a focusing parameter from {LEAST:g} to {LARGEST:g} (for gamma = 0 take the loss ce)"
            )
        object.__setattr__(self, "gamma", float(gamma))

    @property
    def tight(self) -> float:
        """Cross-entropy (nats) up to which the largest convex minorant equals the loss: where its slope reaches 1."""
        return Shape(self.gamma).tight

    def bind(self, counts: ClassCounts) -> BoundFocal:
        return self.at_shares(np.array([n / counts.total for _, n in counts.groups]))

    def at_shares(self, share: Floats) -> BoundFocal:
        return BoundFocal(share, np.ones(len(share)), Shape(self.gamma))

    def __str__(self) -> str:
        return f"focal:gamma={self.gamma:g}"


@dataclass(frozen=True)
class Shape:
    """The function ``f(t) = t (1 - e^{-t})^gamma`` of a cross-entropy t >= 0 (nats), with its slope and its minorant.

    Parameters
    ----------
    gamma : float > 0
    """

    gamma: float

    def value(self, loss: Floats) -> Floats:
        """f(t), of the same shape."""
        return loss * (-np.expm1(-loss)) ** self.gamma

    def slope(self, loss: Floats) -> Floats:
        """f'(t), of the same shape: ``(1 - u)^gamma (1 + gamma t u / (1 - u))`` with ``u = e^{-t}``."""
        wrong = -np.expm1(-loss)
        # t u / (1 - u) tends to 1 as t tends to 0.
        odds = np.where(loss > 0, loss * np.exp(-loss) / np.where(loss > 0, wrong, 1.0), 1.0)
        return wrong**self.gamma * (1.0 + self.gamma * odds)

    @cached_property
    def inflection(self) -> float:
        """Where f turns from convex to concave: the positive root of ``2 (1 - e^{-t}) - t + gamma t e^{-t}``."""
        from scipy.optimize import brentq

        def bend(t: float) -> float:
            return -2.0 * expm1(-t) - t + self.gamma * t * exp(-t)

        # The bend is positive just above 0, and negative from t = 2 + gamma / e on, since t e^{-t} <= 1 / e.
        return float(brentq(bend, 1e-3, 2.0 + self.gamma, xtol=1e-14))  # type: ignore[arg-type]

    @cached_property
    def tight(self) -> float:
        """The least t at which the slope is 1."""
        return self.inverse_slope(1.0)

    @cached_property
    def steepest(self) -> float:
        """The largest slope, at the inflection."""
        return float(self.slope(np.array(self.inflection)))

    def inverse_slope(self, slope: float) -> float:
        """The t before the inflection at which f' has this value in [0, 1]."""
        from scipy.optimize import brentq

        if slope <= 0:
            return 0.0

        def excess(t: float) -> float:
            return float(self.slope(np.array(t))) - slope

        return float(brentq(excess, 0.0, self.inflection, xtol=1e-300, rtol=1e-15, maxiter=3000))  # type: ignore[arg-type]

    def conjugate_above(self, slope: float) -> float:
        """Upper bound on ``f*(s) = sup_t (s t - f(t))`` for s in [0, 1] (docs/theory, Proposition 2.15).

        Up to the inflection ``s t - f(t)`` is concave, so it lies below its tangent at any point; from there on it falls.
        """
        at = self.inverse_slope(slope)
        value = float(self.value(np.array(at)))
        slack = abs(slope - float(self.slope(np.array(at)))) * self.inflection
        return slope * at - value + slack + (ELEMENTARY * (4.0 + self.gamma) * 4.0) * UNIT * (slope * self.inflection + value)


@dataclass(frozen=True, eq=False)
class BoundFocal(BoundLoss):
    """Focal loss on given class groups; see `ufm.spectral.loss.BoundLoss` for the layout of arrays.

    Second derivatives are those of the cross-entropy times ``f'``: what bends f itself is left out.
    """

    share: Floats
    temperature: Floats
    shape: Shape
    convex = False
    shift_invariant = True
    encloses = True

    @cached_property
    def cross_entropy(self) -> BoundCrossEntropy:
        """The cross-entropy of which it is a function."""
        return BoundCrossEntropy(self.share, self.temperature, np.zeros(len(self.share)), 0.0, 0.0)

    def rise(self, loss: Floats) -> Floats:
        """The focal loss at these cross-entropies, of the same shape."""
        return self.shape.value(loss)

    def columns(self, logits: Floats, multiplicity: Floats, own: NDArray[np.intp] | None = None) -> ColumnLoss:
        """Loss of each column with its gradient, and a part of its second derivative."""
        inner = self.cross_entropy.columns(logits, multiplicity, own)
        slope = self.shape.slope(inner.values)
        root = np.sqrt(slope)
        return ColumnLoss(self.rise(inner.values), slope * inner.gradient, slope * inner.diagonal, root * inner.rank_one)

    def dual(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """(C,) zero at slopes of zero, since the loss is not negative, and -inf elsewhere: `minorant` bounds it better."""
        return np.where((slopes == 0).all(axis=0), 0.0, -np.inf)

    def below(self, slopes: Floats, multiplicity: Floats) -> Floats:
        return self.dual(slopes, multiplicity)

    def above(self, logits: Floats, radius: Floats, multiplicity: Floats) -> Floats:
        """Upper bounds: the loss rises with the cross-entropy."""
        loss = self.cross_entropy.above(logits, radius, multiplicity)
        finite = np.minimum(loss, 1e300)
        return np.where(loss > 1e300, np.inf, self.rise(finite) * (1.0 + ELEMENTARY * (4.0 + self.shape.gamma) * UNIT))

    def lipschitz(self, diagonal: Floats) -> Floats:
        """(C,) the steepest slope times 1/2, plus twice a bound on the second derivative of f."""
        return np.full(diagonal.shape[1], 0.5 * self.shape.steepest + 2.0 * (2.0 + self.shape.gamma))

    def minorant(self, weights: Floats) -> Lowered:
        """Weighted cross-entropy ``s t``, lowered by ``f*(s)`` (docs/theory, Proposition 2.15)."""
        by = np.array([self.shape.conjugate_above(float(s)) for s in weights])
        touching = np.array([self.shape.inverse_slope(float(s)) for s in weights])
        loss = BoundCrossEntropy(self.share * weights, self.temperature, np.zeros(len(weights)), 0.0, 0.0)
        return Lowered(loss, by, touching)

    def take(self, group: NDArray[np.intp]) -> BoundFocal:
        """The same loss with every class a group of its own."""
        return BoundFocal(self.share[group], self.temperature[group], self.shape)
