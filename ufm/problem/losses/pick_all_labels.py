r"""Pick-all-labels: cross-entropy summed over all labels of a sample (Li et al., arXiv 2310.15903; locator unknown).

.. math:: \ell(z, S) = \sum_{k \in S} \Big[\log \sum_c e^{z_c} - z_k\Big]
          = |S| \Big[\log \sum_c e^{z_c} - \big\langle 1_S / |S|, z \big\rangle\Big],

soft cross-entropy with the uniform target on S, weighted by the number of labels.
"""

from __future__ import annotations

from dataclasses import dataclass

from ufm.problem.losses.base import GroupPull, Loss
from ufm.problem.losses.cross_entropy import BoundCrossEntropy, CrossEntropy
from ufm.problem.spelling import Spelling
from ufm.spectral.table_loss import SoftmaxLoss
from ufm.targets.counts import ClassCounts
from ufm.targets.table import TargetTable, check_labels


@dataclass(frozen=True)
class PickAllLabels(Loss):
    """Cross-entropy summed over a sample's labels, mean over samples (nats). With one label each it is cross-entropy.

    >>> PickAllLabels().bind_table(TargetTable.multi_label({(0,): 3, (0, 2): 1})).weight.tolist()
    [1.0, 2.0]
    """

    name = "pal"
    shift_invariant = True
    pull = GroupPull()
    plain_cross_entropy = True
    verified = True
    spelling = Spelling("pal", "pal")

    def bind(self, counts: ClassCounts) -> BoundCrossEntropy:
        return CrossEntropy().bind(counts)

    def bind_table(self, table: TargetTable) -> SoftmaxLoss:
        check_labels(table.columns)
        labels = table.columns.sum(axis=0)
        return SoftmaxLoss(table.columns / labels, labels, ((0, table.rows),))

    def certificate(self, counts: ClassCounts) -> dict[str, object]:
        """That of cross-entropy, which it is where every sample has one label."""
        return CrossEntropy().certificate(counts)

    def __str__(self) -> str:
        return "pal"
