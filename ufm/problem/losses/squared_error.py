r"""Squared error against one-hot labels: ``(1/2N) ||W H + b 1' - Y||_F^2``.

Column by column ``|z - e_k|^2 / 2``; minus its conjugate at the slopes y is ``-|y|^2 / 2 - y_k`` (docs/theory, Proposition
2.2). Without a bias, and with the same curvature for every class, the program over logits splits into one scalar problem for
each singular value, for every penalty (Proposition 2.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm._rounding import UNIT, gamma
from ufm.problem.losses.base import GroupPull, Loss
from ufm.problem.spelling import Spelling
from ufm.spectral.loss import BoundLoss, ColumnLoss
from ufm.spectral.table_loss import QuadraticLoss
from ufm.targets.counts import ClassCounts
from ufm.targets.table import TargetTable


@dataclass(frozen=True)
class SquaredError(Loss):
    """Half the squared distance to the one-hot label, mean over samples (Zhou et al., arXiv 2203.01238, eq. 1).

    >>> SquaredError().bind(ClassCounts.parse("3,1")).share.tolist()
    [0.75, 0.25]
    """

    name = "mse"
    shift_invariant = False
    verified = True
    pull = GroupPull()
    spelling = Spelling("mse", "mse")

    def bind(self, counts: ClassCounts) -> BoundSquaredError:
        share = np.array([n / counts.total for _, n in counts.groups])
        return BoundSquaredError(share, np.ones(len(share)))

    def bind_table(self, table: TargetTable) -> QuadraticLoss:
        return QuadraticLoss(table.columns, np.ones(table.contexts))

    def certificate(self, counts: ClassCounts) -> dict[str, object]:
        """The loss's entry in a saved certificate."""
        return {"kind": "mse"}

    def __str__(self) -> str:
        return "mse"


@dataclass(frozen=True, eq=False)
class BoundSquaredError(BoundLoss):
    """Squared error on given class groups; see `ufm.spectral.loss.BoundLoss` for the layout."""

    share: Floats
    temperature: Floats
    shift_invariant = False
    quadratic = True
    encloses = True

    def columns(self, logits: Floats, multiplicity: Floats, own: NDArray[np.intp] | None = None) -> ColumnLoss:
        """Loss of each column with its derivatives."""
        residual = logits.copy()
        residual[-1] -= 1.0
        slope = multiplicity * residual
        values = 0.5 * (slope * residual).sum(axis=0)
        return ColumnLoss(values, slope, multiplicity.copy(), np.zeros_like(slope))

    def dual(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """(C,) ``-|y|^2 / 2 - y_k`` of each column of slopes y."""
        return -0.5 * (multiplicity * slopes**2).sum(axis=0) - slopes[-1]

    def above(self, logits: Floats, radius: Floats, multiplicity: Floats) -> Floats:
        """Upper bounds, from the largest residuals within the radius."""
        residual = logits.copy()
        residual[-1] -= 1.0
        largest = np.abs(residual) + radius + 2 * UNIT * (np.abs(logits) + 1.0)
        return 0.5 * (multiplicity * largest**2).sum(axis=0) * (1.0 + gamma(len(logits) + 8))

    def below(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """Lower bounds: `dual` minus the rounding error of its sum. Finite at all slopes (docs/theory, Proposition 2.11)."""
        size = 0.5 * (multiplicity * slopes**2).sum(axis=0) + np.abs(slopes[-1])
        return self.dual(slopes, multiplicity) - gamma(len(slopes) + 8) * size

    def lipschitz(self, diagonal: Floats) -> Floats:
        """(C,) ones: the second derivative is the identity."""
        return np.ones(diagonal.shape[1])

    def expression(self, cp: Any, logits: Any) -> Any:
        return 0.5 * cp.sum_squares((logits - np.eye(len(self.share))) @ np.diag(np.sqrt(self.share)))

    def take(self, group: NDArray[np.intp]) -> BoundSquaredError:
        """The same loss with every class a group of its own."""
        return BoundSquaredError(self.share[group], self.temperature[group])
