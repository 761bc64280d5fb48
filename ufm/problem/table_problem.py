"""A layer-peeled model on a table of targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt

import numpy as np

from ufm._arrays import check_whole
from ufm._text import options
from ufm.errors import InputError, brief
from ufm.problem.heads import Head, Parameters
from ufm.problem.losses import CrossEntropy, Loss
from ufm.problem.losses.base import check_loss
from ufm.problem.problem import Problem
from ufm.problem.regularizers import NormBudget, WeightDecay
from ufm.problem.text import as_head, parse_loss
from ufm.spectral.table_program import TableFactors, TableProgram
from ufm.targets.counts import ClassCounts
from ufm.targets.table import TargetTable


@dataclass(frozen=True, init=False, repr=False, eq=False)
class TableProblem(Problem):
    """A layer-peeled model whose targets are a `TargetTable`: ``ufm.Problem(table, ...)`` makes one.

    Parameters
    ----------
    targets : TargetTable, K rows and M contexts
    regularizer : WeightDecay or NormBudget
        Features are penalised sample by sample (``per_class``: context by context). Budgets are means over the K rows of W and
        the M contexts: ``|W|^2 <= K E_W`` and ``sum_m |h_m|^2 <= M E_H``.
    loss : Loss or text: ``ce`` (soft targets), ``bce``, ``pal``, ``multitask:2,2`` or ``mse`` (real targets); mean over samples
    head : Explicit (one layer) or LinearDEQ, or text
    dim : int or None, feature dimension; None means wide enough

    Raises
    ------
    InputError
        A loss that is not defined on these targets, a head without a nuclear-norm penalty, or a row that a free bias would
        send to infinity.

    Examples
    --------
    >>> table = TargetTable.soft([[0.9, 0.2], [0.1, 0.8]], [10, 5])
    >>> Problem(table, regularizer=WeightDecay(1e-2, 1e-2))
    Problem(TargetTable(2 rows, 2 contexts, 15 samples), WeightDecay(weight=0.01, features=0.01), loss=CrossEntropy(), \
head=Explicit())
    """

    targets: TargetTable

    def __init__(
        self,
        targets: TargetTable,
        *,
        regularizer: WeightDecay | NormBudget,
        loss: Loss | str | None = None,
        head: Head | str | None = None,
        dim: int | None = None,
    ) -> None:
        if not isinstance(targets, TargetTable):
            raise InputError(f"targets is {brief(targets)}; give a ufm.TargetTable")
        if not isinstance(regularizer, WeightDecay | NormBudget):
            raise InputError(f"regularizer is {regularizer!r}; give WeightDecay(...) or NormBudget(...)")
        values = {
            "targets": targets,
            "regularizer": regularizer,
            "loss": CrossEntropy() if loss is None else parse_loss(loss) if isinstance(loss, str) else check_loss(loss),
            "head": as_head(head),
            "dim": None if dim is None else check_whole("dim", dim, 1, 10**9),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        program = self._table_program
        if not program.penalty.nuclear:
            raise InputError(f"head {self.head} does not go with a table of targets; choose explicit or deq:rho=R")
        if program.bias_decay == 0 and not program.loss.quadratic:
            mean = program.loss.target @ program.share / program.share.sum()
            ends = (mean <= 0) if program.loss.blocks else (mean <= 0) | (mean >= 1)
            if ends.any():
                raise InputError(
                    f"decay has a free bias, and row {int(np.argmax(ends))} of the table has the same label in every context: its "
                    "bias would grow forever; give the bias a decay, or leave the row out"
                )

    @property
    def tabular(self) -> bool:
        """True: only solvers for tables fit."""
        return True

    @property
    def counts(self) -> ClassCounts:  # type: ignore[override]
        """A table has no class sizes.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError("this problem has a table of targets, and what was asked for is defined for class sizes")

    @cached_property
    def _table_program(self) -> TableProgram:
        table = self.targets
        loss = self.loss.bind_table(table)
        return TableProgram(
            sizes=table.sizes,
            scale=self.regularizer.column_scale(np.array([float(n) for n in table.sizes])),
            penalty=self.head.penalty(self.regularizer, sqrt(table.rows * table.contexts)),  # type: ignore[arg-type]
            loss=loss,
            bias_decay=self.regularizer.bias_decay(),
        )

    def program(self) -> TableProgram:  # type: ignore[override]
        """The program over K x M logits (docs/theory, Proposition 9.1)."""
        return self._table_program

    @property
    def needed(self) -> int:
        """Feature dimension that suffices for every optimum: the largest rank of the logits."""
        return max(self._table_program.rank, 1)

    @property
    def width(self) -> int:
        """The feature dimension d: ``dim``, or `needed` where ``dim`` is None."""
        return self.needed if self.dim is None else self.dim

    def fits(self, rank: int) -> bool:
        """Whether logits of this rank have parameters with feature dimension ``dim``."""
        return self.dim is None or rank <= self.dim

    def parameters(self, program: TableProgram, factors: TableFactors) -> Parameters:  # type: ignore[override]
        """Explicit W (K, d), A, features of the contexts (d, M) and b whose logits are those of the factors.

        Parameters
        ----------
        program : TableProgram, of this problem
        factors : TableFactors

        Returns
        -------
        Parameters

        Raises
        ------
        InputError
            The factors need more than ``dim`` dimensions.
        """
        rank = factors.left.shape[1]
        if not self.fits(rank):
            raise InputError(f"dim={self.dim} is too small for these logits: they need {rank} dimensions")
        width = max(rank, self.dim or 1)
        lengths = np.sqrt((factors.left**2).sum(axis=0))
        singular = np.zeros(width)
        singular[:rank] = program.lengths(factors)
        left, right = np.zeros((program.rows, width)), np.zeros((width, program.contexts))
        left[:, :rank] = factors.left / np.where(lengths > 0, lengths, 1.0)
        across = lengths / np.where(singular[:rank] > 0, singular[:rank], 1.0)
        right[:rank] = factors.right * across[:, None]
        found = self.head.recover(left, singular, right, program.scale, self.regularizer)
        if isinstance(self.regularizer, NormBudget):
            # The budgets count K rows and M contexts, so that W and H share the product accordingly.
            root = (program.rows / program.contexts) ** 0.25
            found = replace(found, weight=found.weight * root, features=found.features / root)
        return found if program.bias_decay is None else replace(found, bias=factors.bias)

    def objective(self, parameters: Parameters) -> float:
        """The model's own objective at explicit parameters (features equal within contexts).

        Parameters
        ----------
        parameters : Parameters, with features (d, M)

        Returns
        -------
        float
            In the unit of the loss; infinite where a budget or a constraint of the head is exceeded by more than a relative
            1e-9.

        Raises
        ------
        InputError
            The parameters have a bias or head arrays that the problem does not have, or lack some that it has.
        """
        if (parameters.bias is None) != (self.regularizer.bias_decay() is None):
            raise InputError("parameters and problem must both have a bias, or neither")
        if not self.head.admits(parameters, self.regularizer):
            return np.inf
        program, decay = self._table_program, self.regularizer
        value = float(program.share @ program.loss.values(parameters.logits))
        weight, columns = float(np.sum(parameters.weight**2)), np.sum(parameters.features**2, axis=0)
        if isinstance(decay, NormBudget):
            spent = (weight / (program.rows * decay.weight), float(columns.sum()) / (program.contexts * decay.features))
            return value if max(spent) <= 1 + 1e-9 else np.inf
        value += 0.5 * decay.weight * weight + 0.5 * decay.features * float(program.scale**2 @ columns)
        if decay.bias and parameters.bias is not None:
            value += 0.5 * decay.bias * float(parameters.bias @ parameters.bias)
        return value

    @property
    def shape(self) -> str:
        """The targets in a few words."""
        return str(self.targets)

    def loss_certificate(self) -> dict[str, object]:
        """The loss's entry in a saved certificate."""
        return self.loss.table_certificate(self.targets)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        dim = "" if self.dim is None else f", dim={self.dim}"
        parts = f"{options(self.regularizer)}, loss={options(self.loss)}, head={options(self.head)}"
        return f"Problem({self.targets!r}, {parts}{dim})"

    def __str__(self) -> str:
        dim = "" if self.dim is None else f", dim {self.dim}"
        return f"table of {self.targets}, {self.loss}, head {self.head}, {self.regularizer}{dim}"

    @property
    def title(self) -> str:
        """The problem in one line."""
        return str(self)
