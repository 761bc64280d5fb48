"""The question: class sizes, loss, head, regulariser and feature dimension."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np

from ufm.errors import InputError
from ufm.problem.counts import ClassCounts
from ufm.problem.heads import Explicit, Head, Parameters
from ufm.problem.loss import CrossEntropy
from ufm.problem.regularizers import NormBudget, Regularizer, WeightDecay
from ufm.spectral.blocks import MAX_DENSE
from ufm.spectral.program import Factors, LogitProgram


@dataclass(frozen=True, init=False)
class Problem:
    """A layer-peeled (unconstrained-feature) model.

    Parameters
    ----------
    counts : ClassCounts or list of int
    regularizer : WeightDecay or NormBudget
    loss : CrossEntropy, in nats, *mean* over samples
    head : Explicit or LinearDEQ
    dim : int or None
        Feature dimension d; None means wide enough (K). Below K - 1 the relaxation over logits may be loose.

    Raises
    ------
    InputError
        A dimension below 1, or an argument that is not of the kinds above.

    Examples
    --------
    >>> problem = Problem([20] * 10, regularizer=WeightDecay(5e-3, 5e-3))
    >>> problem.program().groups
    1
    """

    counts: ClassCounts
    regularizer: Regularizer
    loss: CrossEntropy
    head: Head
    dim: int | None

    def __init__(
        self,
        counts: ClassCounts | Iterable[int],
        *,
        regularizer: Regularizer,
        loss: CrossEntropy | None = None,
        head: Head | None = None,
        dim: int | None = None,
    ) -> None:
        if isinstance(regularizer, type) or not hasattr(regularizer, "column_scale"):
            raise InputError(f"regularizer is {regularizer!r}; give WeightDecay(...) or NormBudget(...)")
        if head is not None and (isinstance(head, type) or not hasattr(head, "gain")):
            raise InputError(f"head is {head!r}; give Explicit() or LinearDEQ(rho)")
        if loss is not None and not isinstance(loss, CrossEntropy):
            raise InputError(f"loss is {loss!r}; give CrossEntropy()")
        if dim is not None and not (isinstance(dim, Integral) and not isinstance(dim, bool) and 1 <= dim <= 10**9):
            raise InputError(f"dim is {dim!r}; the feature dimension must be a whole number of at least 1")
        values = {
            "counts": ClassCounts.of(counts),
            "regularizer": regularizer,
            "loss": CrossEntropy() if loss is None else loss,
            "head": Explicit() if head is None else head,
            "dim": None if dim is None else int(dim),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def width(self) -> int:
        """The feature dimension that is used: ``dim``, or K where it is left open."""
        return self.counts.classes if self.dim is None else self.dim

    @property
    def wide(self) -> bool:
        """Whether ``dim >= K - 1``, so that the program over logits loses nothing."""
        return self.dim is None or self.dim >= self.counts.classes - 1

    @cached_property
    def _program(self) -> LogitProgram:
        counts = self.counts
        sizes = np.array([float(n) for _, n in counts.groups])
        return LogitProgram(
            multiplicity=np.array([float(m) for m, _ in counts.groups]),
            sizes=tuple(n for _, n in counts.groups),
            share=np.array([n / counts.total for _, n in counts.groups]),
            scale=self.regularizer.column_scale(sizes),
            penalty=self.regularizer.penalty(counts.classes, self.head.gain),
            loss=self.loss,
            bias_decay=self.regularizer.bias_decay(),
            runs=counts.group_runs,
        )

    def program(self) -> LogitProgram:
        """The program over logits, with classes of equal size in one group."""
        return self._program

    def parameters(self, program: LogitProgram, factors: Factors) -> Parameters:
        """Explicit (W, A, class means of H, b) whose logits are those of the factors.

        Raises
        ------
        InputError
            The factors need more than ``dim`` dimensions, or K is too large to write W out.
        """
        counts = self.counts
        if counts.classes > MAX_DENSE:
            raise InputError(
                f"counts has K={counts.classes} classes: W alone would not fit; read the block form in solution.logits"
            )
        needed = factors.width(program.multiplicity)
        width = needed if self.dim is None else self.dim
        if needed > width:
            raise InputError(f"dim={self.dim} is too small for these logits: they need {needed} dimensions")
        group = np.repeat([g for g, _ in program.runs], [c for _, c in program.runs])
        left = np.zeros((len(group), max(width, 1)))
        right = np.zeros((max(width, 1), len(group)))
        rank = factors.left.shape[1]
        left[:, :rank], right[:rank] = factors.left[group], factors.right[:, group]
        column = rank
        for g in np.flatnonzero(factors.contrast):
            members = np.flatnonzero(group == g)
            frame = _centred_frame(len(members))
            size, sign = np.sqrt(abs(factors.contrast[g])), np.sign(factors.contrast[g])
            root = np.sqrt(program.scale[g])
            stop = column + len(members) - 1
            left[members, column:stop] = size * root * frame
            right[column:stop, members] = sign * size / root * frame.T
            column = stop
        head, regularizer = self.head, self.regularizer
        power = regularizer.balance() ** 0.25 / np.sqrt(head.gain)
        found = head.recover(left * power, right / power)
        if program.bias_decay is None:
            return found
        return Parameters(found.weight, found.features, found.mixing, factors.bias[group])

    def objective(self, parameters: Parameters) -> float:
        """The model's own objective at explicit parameters (features equal within classes).

        Mean loss plus decay; under norm budgets the mean loss. Infinite where a budget, or the spectral budget of A, is
        exceeded by more than a relative 1e-9.

        Raises
        ------
        InputError
            The parameters have a bias or an A that the problem does not have, or lack one that it has.
        """
        if (parameters.bias is None) != (self.regularizer.bias_decay() is None):
            raise InputError("parameters and problem must both have a bias, or neither")
        if not self.head.admits(parameters.mixing):
            return np.inf
        counts = np.array([float(n) for n in self.counts])
        logits = parameters.logits
        margin = logits - np.diag(logits)
        top = np.maximum(margin.max(axis=0), 0.0)
        others = np.exp(margin - top) * (1.0 - np.eye(len(margin)))
        loss = top + np.log(np.exp(-top) + others.sum(axis=0))
        loss = np.where(top > 0, loss, np.log1p(others.sum(axis=0)))
        value = float(counts @ loss) / self.counts.total
        weight = float(np.sum(parameters.weight**2))
        columns = np.sum(parameters.features**2, axis=0)
        if isinstance(self.regularizer, NormBudget):
            budget = self.counts.classes * (1 + 1e-9)
            inside = weight <= budget * self.regularizer.weight and columns.sum() <= budget * self.regularizer.features
            return value if inside else np.inf
        decay = self.regularizer
        assert isinstance(decay, WeightDecay)
        features = float(columns.sum() if decay.per_class else counts @ columns)
        value += 0.5 * decay.weight * weight + 0.5 * decay.features * features
        if decay.bias and parameters.bias is not None:
            value += 0.5 * decay.bias * float(parameters.bias @ parameters.bias)
        return value

    def __str__(self) -> str:
        dim = "" if self.dim is None else f", dim {self.dim}"
        return f"counts {self.counts}, {self.loss.name}, head {self.head}, {self.regularizer}{dim}"


def _centred_frame(classes: int) -> np.ndarray:
    """(m, m - 1) orthonormal columns that sum to zero (Helmert)."""
    frame = np.zeros((classes, classes - 1))
    for j in range(classes - 1):
        frame[: j + 1, j], frame[j + 1, j] = 1.0, -(j + 1.0)
    return frame / np.linalg.norm(frame, axis=0)
