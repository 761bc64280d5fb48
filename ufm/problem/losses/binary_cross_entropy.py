r"""Binary cross-entropy: one logistic loss for each class or label (one-vs-rest), summed over them.

.. math:: \ell(z, y) = \sum_k \big[\log (1 + e^{z_k}) - y_k z_k\big]

Convex; minus its conjugate at the slopes ``q - y`` is the sum of binary entropies of q (docs/theory, Propositions 2.2, 11.2).
A sum over the K logits, not their mean: a mean (as torch's ``BCEWithLogitsLoss`` takes by default) is this over K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm._rounding import ELEMENTARY, UNIT, gamma
from ufm.errors import InputError
from ufm.problem.losses.base import GroupPull, Loss
from ufm.problem.spelling import Spelling
from ufm.spectral.loss import BoundLoss, ColumnLoss
from ufm.spectral.table_loss import LogisticLoss
from ufm.targets.counts import ClassCounts
from ufm.targets.table import TargetTable


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """One logistic loss for each class, summed over the K classes, mean over samples (nats).

    On a table targets are labels 0 and 1, or numbers between them.

    >>> BinaryCrossEntropy().bind(ClassCounts.parse("3,1")).share.tolist()
    [0.75, 0.25]
    """

    name = "bce"
    shift_invariant = False
    verified = True
    pull = GroupPull()
    spelling = Spelling("bce", "bce")

    def bind(self, counts: ClassCounts) -> BoundBinaryCrossEntropy:
        share = np.array([n / counts.total for _, n in counts.groups])
        return BoundBinaryCrossEntropy(share, np.ones(len(share)))

    def bind_table(self, table: TargetTable) -> LogisticLoss:
        outside = (table.columns < 0) | (table.columns > 1)
        if outside.any():
            k, m = np.argwhere(outside)[0]
            raise InputError(f"columns has {table.columns[k, m]:g} in column {m}; bce takes targets between 0 and 1")
        return LogisticLoss(table.columns, np.ones(table.contexts))

    def __str__(self) -> str:
        return "bce"


@dataclass(frozen=True, eq=False)
class BoundBinaryCrossEntropy(BoundLoss):
    """Binary cross-entropy on given class groups; see `ufm.spectral.loss.BoundLoss` for the layout."""

    share: Floats
    temperature: Floats
    shift_invariant = False
    encloses = True
    unit_slopes = True

    def columns(self, logits: Floats, multiplicity: Floats, own: NDArray[np.intp] | None = None) -> ColumnLoss:
        """Loss of each column with its derivatives; small relative error for losses near zero."""
        wrong = _turned(logits)
        small = np.exp(-np.abs(wrong))
        probability = np.where(wrong >= 0, 1.0, small) / (1.0 + small)
        values = (multiplicity * (np.maximum(wrong, 0.0) + np.log1p(small))).sum(axis=0)
        slope = multiplicity * probability
        slope[-1] = -slope[-1]
        return ColumnLoss(values, slope, multiplicity * small / (1.0 + small) ** 2, np.zeros_like(slope))

    def dual(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """(C,) sums of the binary entropies of ``|y|``, the probabilities of being wrong."""
        wrong = np.clip(_turned(slopes), 0.0, 1.0)
        return (multiplicity * (_product(wrong) + _product(1.0 - wrong))).sum(axis=0)

    def above(self, logits: Floats, radius: Floats, multiplicity: Floats) -> Floats:
        """Upper bounds: the loss rises with every wrong logit."""
        with np.errstate(over="ignore", invalid="ignore"):
            wrong = _turned(logits) + radius * (1.0 + 4 * UNIT) + 2 * UNIT * np.abs(logits)
            terms = (np.maximum(wrong, 0.0) + np.log1p(np.exp(-np.abs(wrong)))) * (1.0 + 4 * ELEMENTARY * UNIT)
            # The argument of the exponential is the float itself, so only elementary functions are off.
            value = np.where(multiplicity > 0, multiplicity * terms, 0.0).sum(axis=0) * (1.0 + gamma(len(logits) + 8))
        return np.where(np.isnan(value), np.inf, value)

    def below(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """Lower bounds: `dual` minus the rounding errors of its terms; -inf for slopes outside the domain."""
        wrong = np.where(multiplicity > 0, _turned(slopes), 0.0)
        outside = ((wrong < 0) | (wrong > 1)).any(axis=0)
        wrong = np.clip(wrong, 0.0, 1.0)
        rest = -(1.0 - wrong) * np.log1p(-np.minimum(wrong, 1.0 - UNIT))
        terms = (_product(wrong) + rest) * (1.0 - 4 * ELEMENTARY * UNIT)
        value = (multiplicity * terms).sum(axis=0) * (1.0 - gamma(len(slopes) + 8))
        return np.where(outside, -np.inf, value)

    def lipschitz(self, diagonal: Floats) -> Floats:
        """(C,) quarters."""
        return np.full(diagonal.shape[1], 0.25)

    def expression(self, cp: Any, logits: Any) -> Any:
        eye = np.eye(len(self.share))
        return cp.sum((cp.logistic(logits) - cp.multiply(eye, logits)) @ np.diag(self.share))

    def take(self, group: NDArray[np.intp]) -> BoundBinaryCrossEntropy:
        """The same loss with every class a group of its own."""
        return BoundBinaryCrossEntropy(self.share[group], self.temperature[group])


def _turned(rows: Floats) -> Floats:
    """The rows with the sign of the last one, that of the class itself, changed."""
    found = rows.copy()
    found[-1] = -found[-1]
    return found


def _product(share: Floats) -> Floats:
    """``-p log p``."""
    return np.where(share > 0, -share * np.log(np.where(share > 0, share, 1.0)), 0.0)
