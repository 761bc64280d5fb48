r"""Losses on tables of targets: values, slopes, curvature and conjugate of each column of logits.

Three forms cover all of them. With targets ``Y`` (K x M) and logits ``z`` of one context,

* `SoftmaxLoss`: :math:`w_m \sum_b [\log \sum_{k \in b} e^{z_k} - \langle y_b, z_b \rangle]` over blocks b of rows: soft
  cross-entropy (one block), several tasks (one block each), pick-all-labels (weight w_m: the number of labels);
* `LogisticLoss`: :math:`\sum_k [\log (1 + e^{z_k}) - y_k z_k]`, one-vs-rest;
* `QuadraticLoss`: :math:`|z - y|^2 / 2`.

The slope of one context is ``s = q - y`` with ``q`` the probabilities (the logits for the last), and minus the conjugate at s
is the entropy of q, ``-|s|^2 / 2 - <s, y>`` for the last (docs/theory, Proposition 11.2). Slopes here do not include the weight
``w_m``, which is part of the program's `share`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm._rounding import ELEMENTARY, UNIT, gamma


@dataclass(frozen=True, eq=False)
class TableLoss(ABC):
    """A convex loss on given targets.

    Parameters
    ----------
    target : (K, M) float64, Y
    weight : (M,) float64 > 0, factor of each context's loss
    blocks : tuple of (start, stop), the rows within which adding a constant to the logits changes nothing; empty for none
    """

    target: Floats
    weight: Floats
    blocks: tuple[tuple[int, int], ...] = ()
    quadratic = False

    @property
    def shift_invariant(self) -> bool:
        """Whether there are rows to which a constant can be added without changing the loss."""
        return bool(self.blocks)

    @abstractmethod
    def values(self, logits: Floats) -> Floats:
        """(M,) loss of each context (without its weight) at logits (K, M)."""
        ...

    @abstractmethod
    def probabilities(self, logits: Floats) -> Floats:
        """(K, M) q at logits (K, M): probabilities, or the logits themselves for squared error. Slopes are q - Y."""
        ...

    @abstractmethod
    def bend(self, probabilities: Floats, direction: Floats) -> Floats:
        """Second derivative of each context's loss, applied to a direction.

        Parameters
        ----------
        probabilities : (K, M) float64, as from `probabilities`
        direction : (K, M) float64

        Returns
        -------
        (K, M) float64
        """
        ...

    @abstractmethod
    def diagonal(self, probabilities: Floats) -> Floats:
        """(K, M) diagonal of the second derivative, given the probabilities (K, M)."""
        ...

    @property
    @abstractmethod
    def lipschitz(self) -> float:
        """Bound on the largest eigenvalue of every context's second derivative."""
        ...

    @abstractmethod
    def feasible(self, slopes: Floats) -> Floats:
        """(K, M) slopes in the domain of the conjugate, exactly, near these (K, M).

        They are what the witness states: ``q = slopes + Y`` are exact probabilities, where the slope of each block's `pivot`
        is minus the sum of the block's others.
        """
        ...

    @abstractmethod
    def below(self, slopes: Floats) -> Floats:
        """(M,) lower bounds on minus the conjugate of each context (without its weight) at `feasible` slopes, with rounding.

        See docs/theory, Proposition 11.3.
        """
        ...

    @abstractmethod
    def above(self, logits: Floats, radius: Floats) -> Floats:
        """Upper bounds on each context's loss at all logits within the radius.

        Parameters
        ----------
        logits : (K, M) float64
        radius : (K, M) float64, bounds on the error of each logit

        Returns
        -------
        (M,) float64, rounding included
        """
        ...

    @abstractmethod
    def minimiser(self) -> Floats | None:
        """(K, M) logits at which every context's loss is least; None where the least value is only approached."""
        ...

    def pivots(self) -> NDArray[np.intp]:
        """(number of blocks, M) int, the row of each block whose target is largest: it takes what the others leave."""
        return np.array([start + np.argmax(self.target[start:stop], axis=0) for start, stop in self.blocks], dtype=np.intp)

    def balanced(self, slopes: Floats) -> Floats:
        """(K, M) the slopes with each block's pivot set to minus the sum of the others."""
        found = slopes.copy()
        columns = np.arange(slopes.shape[1])
        for (start, stop), pivot in zip(self.blocks, self.pivots(), strict=True):
            found[pivot, columns] = 0.0
            found[pivot, columns] = -found[start:stop].sum(axis=0)
        return found


def target_error(loss: TableLoss) -> float:
    """Relative error of a target: columns are divided by sums of at most K terms."""
    return gamma(loss.target.shape[0] + 4)


def least_product(low: Floats, high: Floats) -> Floats:
    """Lower bounds on ``-q log q`` for q in intervals within [0, 1]: it is concave, so least at an end.

    Parameters
    ----------
    low, high : arrays of one shape, float64, the ends

    Returns
    -------
    array of that shape, float64
    """
    at_low = np.where(low > 0, -low * np.log(np.where(low > 0, low, 1.0)), 0.0)
    at_high = -high * np.log(np.where(high > 0, high, 1.0))
    return np.minimum(at_low, at_high) * (1.0 - 2 * ELEMENTARY * UNIT)


def one_hot(target: Floats) -> NDArray[np.bool_]:
    """(M,) whether a column of a block of targets has one entry only, which is then exactly 1."""
    return np.count_nonzero(target, axis=0) == 1


def _others(margin: Floats, exponent: Floats | None = None) -> Floats:
    """(M,) sums of ``e^exponent`` (``e^margin``) over all rows but the first with margin 0."""
    mass = np.exp(margin if exponent is None else exponent)
    mass[np.argmax(margin, axis=0), np.arange(margin.shape[1])] = 0.0
    return mass.sum(axis=0)


class SoftmaxLoss(TableLoss):
    """Cross-entropy with soft targets, summed over blocks of rows; see the module."""

    def values(self, logits: Floats) -> Floats:
        found = np.zeros(logits.shape[1])
        for start, stop in self.blocks:
            part, target = logits[start:stop], self.target[start:stop]
            # Relative to the largest logit: sums of positive terms, without cancellation where a target is one-hot.
            margin = part - part.max(axis=0)
            found += np.log1p(_others(margin)) - (target * margin).sum(axis=0)
        return found

    def probabilities(self, logits: Floats) -> Floats:
        found = np.empty_like(logits)
        for start, stop in self.blocks:
            part = logits[start:stop]
            mass = np.exp(part - part.max(axis=0))
            found[start:stop] = mass / mass.sum(axis=0)
        return found

    def bend(self, probabilities: Floats, direction: Floats) -> Floats:
        found = probabilities * direction
        for start, stop in self.blocks:
            found[start:stop] -= probabilities[start:stop] * found[start:stop].sum(axis=0)
        return found

    def diagonal(self, probabilities: Floats) -> Floats:
        return probabilities * (1.0 - probabilities)

    @property
    def lipschitz(self) -> float:
        return 0.5

    def feasible(self, slopes: Floats) -> Floats:
        # q = slope + target must be exactly >= 0; where the target is zero the slope itself is q.
        least = -self.target * (1.0 - 2.0 * target_error(self))
        found = self.balanced(np.maximum(slopes, least))
        columns = np.arange(slopes.shape[1])
        for (start, stop), pivot in zip(self.blocks, self.pivots(), strict=True):
            # What the pivot keeps must not be negative either.
            kept = found[pivot, columns] + self.target[pivot, columns] * (1.0 - target_error(self))
            room = gamma(stop - start + 8)
            size = np.abs(found[start:stop]).sum(axis=0)
            short = kept < 2.0 * room * size
            if short.any():
                # Towards the targets, which are always feasible.
                needed = np.where(short, self.target[pivot, columns] * (1.0 - 4.0 * target_error(self)), 1.0)
                lost = np.where(short, -found[pivot, columns] + 4.0 * room * size, 1.0)
                found[start:stop] *= np.where(short, np.clip(needed / np.maximum(lost, 1e-300), 0.0, 1.0), 1.0)
        return self.balanced(found)

    def below(self, slopes: Floats) -> Floats:
        found = np.zeros(slopes.shape[1])
        size = np.zeros(slopes.shape[1])
        columns = np.arange(slopes.shape[1])
        error = UNIT * (np.abs(slopes) + self.target) * 2.0 + target_error(self) * self.target
        q = slopes + self.target
        low, high = np.maximum(q - error, 0.0), np.minimum(q + error, 1.0)
        # Where the target is zero, q is the slope itself.
        bare = self.target == 0
        low, high = np.where(bare, np.maximum(slopes, 0.0), low), np.where(bare, np.minimum(np.maximum(slopes, 0.0), 1.0), high)
        for (start, stop), pivot in zip(self.blocks, self.pivots(), strict=True):
            rest = np.abs(slopes[start:stop]).sum(axis=0) * gamma(stop - start + 4) + error[pivot, columns]
            low[pivot, columns] = np.maximum(q[pivot, columns] - rest, 0.0)
            high[pivot, columns] = np.minimum(q[pivot, columns] + rest, 1.0)
            terms = least_product(low[start:stop], high[start:stop])
            # One minus what the others take is more accurate than the pivot's own difference where it is nearly one.
            whole = one_hot(self.target[start:stop])
            if whole.any():
                taken = -slopes[pivot, columns]
                ends = [np.clip(taken * (1.0 + sign * gamma(stop - start + 8)), 0.0, 1.0) for sign in (-1.0, 1.0)]
                values = [-(1.0 - t) * np.log1p(-np.minimum(t, 1.0 - UNIT)) for t in ends]
                least = np.minimum(*values) * (1.0 - 4 * ELEMENTARY * UNIT)
                terms[pivot - start, columns] = np.where(whole, least, terms[pivot - start, columns])
            found += terms.sum(axis=0)
            size += np.abs(terms).sum(axis=0)
        return found - gamma(slopes.shape[0] + 8) * size

    def above(self, logits: Floats, radius: Floats) -> Floats:
        found = np.zeros(logits.shape[1])
        for start, stop in self.blocks:
            part, target = logits[start:stop], self.target[start:stop]
            top = part.max(axis=0)
            margin = part - top
            error = radius[start:stop] + 6 * UNIT * (np.abs(part) + np.abs(top))
            rows = stop - start
            linear = target * margin
            room = gamma(rows + 2 * ELEMENTARY + 8)
            logarithm = np.log1p(_others(margin)) * (1.0 + 2.0 * room)
            # log-sum-exp is 1-Lipschitz in the largest change of a logit, and so is the mean over targets.
            moved = 2.0 * error.max(axis=0)
            rounding = (room + 2.0 * target_error(self)) * np.abs(linear).sum(axis=0) + 2 * UNIT * np.abs(margin).max(axis=0)
            bound = logarithm - linear.sum(axis=0) + moved + rounding
            # One-hot targets on the largest logit: log(1 + sum of odds), every one at its largest.
            columns = np.arange(part.shape[1])
            best = np.argmax(part, axis=0)
            hot = one_hot(target) & (target[best, columns] > 0)
            if hot.any():
                highest = margin + error + error[best, columns]
                bound = np.where(hot, np.log1p(_others(margin, highest)) * (1.0 + 2.0 * room), bound)
            found += bound
        return found * (1.0 + gamma(2 * len(self.blocks) + 4))

    def minimiser(self) -> Floats | None:
        if not (self.target > 0).all():
            return None
        found = np.log(self.target)
        for start, stop in self.blocks:
            found[start:stop] -= found[start:stop].mean(axis=0)
        return found


class LogisticLoss(TableLoss):
    """One logistic loss for each row, with targets in [0, 1]; see the module."""

    def values(self, logits: Floats) -> Floats:
        # Both parts are positive: no cancellation where a target is 0 or 1.
        size = np.abs(logits)
        return (np.log1p(np.exp(-size)) + np.where(logits >= 0, 1.0 - self.target, self.target) * size).sum(axis=0)

    def probabilities(self, logits: Floats) -> Floats:
        small = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1.0, small) / (1.0 + small)

    def bend(self, probabilities: Floats, direction: Floats) -> Floats:
        return probabilities * (1.0 - probabilities) * direction

    def diagonal(self, probabilities: Floats) -> Floats:
        return probabilities * (1.0 - probabilities)

    @property
    def lipschitz(self) -> float:
        return 0.25

    def feasible(self, slopes: Floats) -> Floats:
        # Strictly inside where targets are, so that rounding of q = slope + target cannot leave [0, 1].
        least = np.where(self.target > 0, -self.target * (1.0 - 4 * UNIT), 0.0)
        most = np.where(self.target < 1, (1.0 - self.target) * (1.0 - 4 * UNIT), 0.0)
        return np.clip(slopes, least, most)

    def below(self, slopes: Floats) -> Floats:
        # q = s + y, with 1 - q = (1 - y) - s; for targets 0 and 1 one of the two is the slope itself.
        bare, whole = self.target == 0, self.target == 1
        error = np.where(bare | whole, 0.0, 2 * UNIT * (np.abs(slopes) + 1.0))
        wrong = np.where(whole, -slopes, slopes + self.target)
        low, high = np.maximum(wrong - error, 0.0), np.minimum(wrong + error, 1.0)
        ends = [least_product(low, high)]
        inner = [-(1.0 - t) * np.log1p(-np.minimum(t, 1.0 - UNIT)) for t in (low, high)]
        ends.append(np.minimum(*inner) * (1.0 - 4 * ELEMENTARY * UNIT))
        total = ends[0] + ends[1]
        return total.sum(axis=0) - gamma(slopes.shape[0] + 8) * np.abs(total).sum(axis=0)

    def above(self, logits: Floats, radius: Floats) -> Floats:
        # log(1 + e^z) - y z = log(1 + e^-|z|) + (1 - y) z for z > 0, and - y z for z < 0: no cancellation at targets 0 and 1.
        linear = np.where(logits >= 0, 1.0 - self.target, self.target) * np.abs(logits)
        soft = np.log1p(np.exp(-np.abs(logits)))
        # The derivative by the logit is q - y, and q changes by at most a quarter of the radius.
        slope = np.abs(self.probabilities(logits) - self.target) + 0.25 * radius + 8 * UNIT
        terms = (linear + soft) * (1.0 + 4 * ELEMENTARY * UNIT) + slope * radius * (1.0 + 16 * UNIT)
        return terms.sum(axis=0) * (1.0 + gamma(logits.shape[0] + 8))

    def minimiser(self) -> Floats | None:
        if not ((self.target > 0) & (self.target < 1)).all():
            return None
        return np.log(self.target) - np.log1p(-self.target)


class QuadraticLoss(TableLoss):
    """Half the squared distance to real targets; see the module."""

    quadratic = True

    def values(self, logits: Floats) -> Floats:
        return 0.5 * ((logits - self.target) ** 2).sum(axis=0)

    def probabilities(self, logits: Floats) -> Floats:
        return logits

    def bend(self, probabilities: Floats, direction: Floats) -> Floats:
        return direction

    def diagonal(self, probabilities: Floats) -> Floats:
        return np.ones_like(probabilities)

    @property
    def lipschitz(self) -> float:
        return 1.0

    def feasible(self, slopes: Floats) -> Floats:
        return slopes

    def below(self, slopes: Floats) -> Floats:
        square, linear = 0.5 * slopes**2, slopes * self.target
        size = (square + np.abs(linear)).sum(axis=0)
        return -(square + linear).sum(axis=0) - gamma(slopes.shape[0] + 8) * size

    def above(self, logits: Floats, radius: Floats) -> Floats:
        largest = np.abs(logits - self.target) + radius + 2 * UNIT * (np.abs(logits) + np.abs(self.target))
        return 0.5 * (largest**2).sum(axis=0) * (1.0 + gamma(logits.shape[0] + 8))

    def minimiser(self) -> Floats | None:
        return self.target
