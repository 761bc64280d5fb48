r"""Several tasks on one feature: one softmax for each block of rows, cross-entropies summed over the tasks.

.. math:: \ell(z, y) = \sum_t \Big[\log \sum_{k \in t} e^{z_k} - \langle y_t, z_t \rangle\Big]
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from ufm._arrays import check_whole
from ufm.errors import InputError, brief
from ufm.problem.losses.base import Loss
from ufm.problem.spelling import Spelling
from ufm.spectral.loss import BoundLoss
from ufm.spectral.table_loss import SoftmaxLoss
from ufm.targets.counts import ClassCounts
from ufm.targets.table import TargetTable, check_probabilities


@dataclass(frozen=True)
class MultiTask(Loss):
    """Sum over tasks of cross-entropies, mean over samples (nats).

    Parameters
    ----------
    rows : tuple of int >= 2, the number of rows of each task, in the order of the table's rows

    Raises
    ------
    InputError
        A task of fewer than two rows, or (when the problem is made) rows that are not those of the table.

    Examples
    --------
    >>> str(MultiTask((2, 3)))
    'multitask:2,3'
    """

    rows: tuple[int, ...]
    name = "multitask"
    shift_invariant = True
    verified = True
    spelling = Spelling("multitask", "multitask:K1,K2,...", positional="rows", several=True)

    def __post_init__(self) -> None:
        if not isinstance(self.rows, tuple | list) or not self.rows:
            raise InputError(f"rows is {brief(self.rows)}; give the number of rows of each task, such as (2, 2)")
        object.__setattr__(self, "rows", tuple(check_whole("rows of a task", k, 2) for k in self.rows))

    def bind(self, counts: ClassCounts) -> BoundLoss:
        """Class sizes give one label to a sample.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError(f"loss {self} needs a table of targets, with one label for each task; give TargetTable or --table")

    def bind_table(self, table: TargetTable) -> SoftmaxLoss:
        if sum(self.rows) != table.rows:
            raise InputError(f"loss {self} has {sum(self.rows)} rows, and the table has {table.rows}")
        blocks = tuple(pairwise(accumulate(self.rows, initial=0)))
        target = np.empty_like(table.columns)
        for start, stop in blocks:
            part = table.columns[start:stop]
            check_probabilities(part, f"columns, in rows {start} to {stop - 1},")
            target[start:stop] = part / part.sum(axis=0)
        return SoftmaxLoss(target, np.ones(table.contexts), blocks)

    def table_certificate(self, table: TargetTable) -> dict[str, object]:
        """The loss's entry in the saved certificate of a table."""
        return {"kind": self.name, "rows": list(self.rows)}

    def __str__(self) -> str:
        return "multitask:" + ",".join(str(k) for k in self.rows)
