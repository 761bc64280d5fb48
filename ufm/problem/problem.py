"""A layer-peeled model: class sizes, loss, head, regulariser and feature dimension."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import check_whole
from ufm._text import classes, options, sizes
from ufm.errors import InputError, brief
from ufm.problem.heads import Head, Parameters
from ufm.problem.losses import CrossEntropy, Loss
from ufm.problem.losses.base import check_loss
from ufm.problem.regularizers import ClassifierDecay, NoDecay, NormBudget, Regularizer, WeightDecay, check_regularizer
from ufm.problem.table_model import make_parameters, make_program, normalised_parameters, table_objective
from ufm.problem.text import as_head, parse_loss
from ufm.spectral.blocks import MAX_DENSE, centred_frame
from ufm.spectral.program import Factors, LogitProgram
from ufm.spectral.table_program import TableFactors, TableProgram
from ufm.targets.counts import ClassCounts
from ufm.targets.table import TargetTable


@dataclass(frozen=True, init=False, repr=False)
class Problem:
    """A layer-peeled (unconstrained-feature) model.

    Parameters
    ----------
    counts : ClassCounts, list of int, text such as ``"100*5,10*5"``, or TargetTable
        A table whose columns are the one-hot labels of all its rows is turned into `ClassCounts`; any other makes a
        `TableProblem`.
    regularizer : WeightDecay or NormBudget; ClassifierDecay for the head LayerNorm, NoDecay for Cosine
    loss : CrossEntropy (default; in nats), BinaryCrossEntropy or SquaredError, *mean* over samples, or text such as
        ``"ce:weights=1"``
    head : Explicit (default), LinearDEQ, DecayedDEQ, FrobeniusDEQ, ReLU, FixedETF, LayerNorm, Cosine, or text such as
        ``"deq:rho=0.3"``
    dim : int or None
        Feature dimension d (of every linear layer); None means wide enough (K). Below K - 1 (below K for squared error, one
        more for features of a fixed norm) the relaxation over logits may be loose.

    Raises
    ------
    InputError
        A dimension below 1, an argument that is not of the kinds above, or a combination that a head refuses.

    Examples
    --------
    >>> problem = Problem([20] * 10, regularizer=WeightDecay(5e-3, 5e-3))
    >>> problem.program().groups
    1
    >>> problem
    Problem(10 classes of sizes 20*10, WeightDecay(weight=0.005, features=0.005), loss=CrossEntropy(), head=Explicit())
    """

    counts: ClassCounts
    regularizer: WeightDecay | NormBudget | ClassifierDecay | NoDecay
    loss: Loss
    head: Head
    dim: int | None

    def __new__(cls, counts: ClassCounts | TargetTable | Iterable[int] | str = (), **_: object) -> Problem:
        if cls is Problem and isinstance(counts, TargetTable) and counts.counts() is None:
            return object.__new__(TableProblem)
        return object.__new__(cls)

    def __init__(
        self,
        counts: ClassCounts | TargetTable | Iterable[int] | str,
        *,
        regularizer: WeightDecay | NormBudget | ClassifierDecay | NoDecay,
        loss: Loss | str | None = None,
        head: Head | str | None = None,
        dim: int | None = None,
    ) -> None:
        check_regularizer(regularizer)
        dim = None if dim is None else check_whole("dim", dim, 1, 10**9)
        given = (counts.counts() or ()) if isinstance(counts, TargetTable) else counts
        values = {
            "counts": ClassCounts.parse(given) if isinstance(given, str) else ClassCounts.of(given),
            "regularizer": regularizer,
            "loss": CrossEntropy() if loss is None else parse_loss(loss) if isinstance(loss, str) else check_loss(loss),
            "head": as_head(head),
            "dim": dim,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self.loss.bind(self.counts)
        check_decayed_features(self.head, self.regularizer)
        # Heads see the kinds of regulariser that they are made for.
        given: Any = self.regularizer
        self.head.penalty(given, self.counts.classes)
        reason = self.head.refuses(self.counts, self.loss, given, self.dim)
        if reason is not None:
            raise InputError(reason)

    @property
    def tabular(self) -> bool:
        """Whether the targets are a table, so that only solvers for tables fit."""
        return False

    @property
    def shape(self) -> str:
        """The targets in a few words."""
        return classes(self.counts.runs)

    @property
    def title(self) -> str:
        """The problem in one line, abbreviated where there are many class sizes."""
        dim = "" if self.dim is None else f", dim {self.dim}"
        return f"counts {sizes(self.counts.runs)}, {self.loss}, head {self.head}, {self.regularizer}{dim}"

    @property
    def width(self) -> int:
        """The feature dimension d: ``dim``, or where ``dim`` is None K, or what `needed` says if that is more."""
        return max(self.counts.classes, self.needed) if self.dim is None else self.dim

    @property
    def needed(self) -> int:
        """Feature dimension that suffices for every optimum (docs/theory, Proposition 1.3).

        K - 1, or K where adding a constant to a column of logits changes the loss. One more where features have a given norm,
        and K + 2 where classifiers have one too (Propositions 12.1 and 12.10).
        """
        rank = self.counts.classes - 1 if self.loss.shift_invariant and self.head.centred else self.counts.classes
        return rank + self.head.spare

    @property
    def wide(self) -> bool:
        """Whether ``dim >= needed``, so that model and program over logits have the same optimum."""
        return self.dim is None or self.dim >= self.needed

    def fits(self, rank: int) -> bool:
        """Whether logits that need ``rank`` feature dimensions have parameters with feature dimension ``dim``."""
        needed = self.head.width(self.counts.classes) if self.head.columns else rank
        return self.dim is None or needed <= self.dim

    @cached_property
    def _program(self) -> LogitProgram:
        counts = self.counts
        given: Any = self.regularizer
        sizes = np.array([float(n) for _, n in counts.groups])
        return LogitProgram(
            multiplicity=np.array([float(m) for m, _ in counts.groups]),
            sizes=tuple(n for _, n in counts.groups),
            scale=self.regularizer.column_scale(sizes),
            penalty=self.head.penalty(given, counts.classes),
            loss=self.loss.bind(counts),
            bias_decay=self.regularizer.bias_decay(),
            runs=counts.group_runs,
        )

    def program(self) -> LogitProgram:
        """The program over logits, with classes of equal size in one group (docs/theory, Propositions 1.3 and 3.1)."""
        return self._program

    def parameters(self, program: LogitProgram, factors: Factors) -> Parameters:
        """Explicit parameters (W, A, class means of H, b) whose logits are those of the factors.

        Parameters
        ----------
        program : LogitProgram, the program (of this problem) that the factors belong to
        factors : Factors

        Returns
        -------
        Parameters, of width at least ``dim`` (where it is given)

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
        if not self.fits(needed):
            raise InputError(f"dim={self.dim} is too small for these logits: they need {needed} dimensions")
        width = max(needed, self.dim or 0)
        group = np.repeat([g for g, _ in program.runs], [c for _, c in program.runs])
        if self.head.normalised:
            return self._normalised(program, factors, group)
        scale = program.scale[group]
        width = max(width, self.head.width(len(group)))
        left, singular, right = np.zeros((len(group), width)), np.zeros(width), np.zeros((width, len(group)))
        rank = factors.left.shape[1]
        lengths, _ = program.feature_lengths(factors)
        heights = np.sqrt(program.multiplicity @ factors.left**2)
        safe = np.where(heights > 0, heights, 1.0)
        singular[:rank] = lengths[program.groups :]
        left[:, :rank] = factors.left[group] / safe
        right[:rank] = factors.right[:, group] * (safe / np.where(singular[:rank] > 0, singular[:rank], 1.0))[:, None]
        column = rank
        for g in np.flatnonzero(factors.contrast):
            members = np.flatnonzero(group == g)
            frame = centred_frame(len(members))
            stop = column + len(members) - 1
            left[members, column:stop] = frame
            singular[column:stop] = lengths[g]
            right[column:stop, members] = np.sign(factors.contrast[g]) * frame.T / program.scale[g]
            column = stop
        found = self.head.recover(left, singular, right, scale, self.regularizer)
        if self.dim is not None and found.weight.shape[1] > self.dim:
            # Heads that act on columns use their own few dimensions; only zeros are cut off here.
            found = replace(found, weight=found.weight[:, : self.dim], features=found.features[: self.dim])
        return found if program.bias_decay is None else replace(found, bias=factors.bias[group])

    def _normalised(self, program: LogitProgram, factors: Factors, group: NDArray[np.intp]) -> Parameters:
        """Parameters of a head with normalised features; ``left`` and ``right`` are what groups share of W and H."""
        heights, lengths = self.head.contrast_parts(program, factors, self.regularizer)
        needed, rank = factors.width(program.multiplicity), factors.left.shape[1]
        width = needed + self.head.spare if self.dim is None else self.dim
        weight, features = np.zeros((len(group), width)), np.zeros((width, len(group)))
        weight[:, :rank], features[:rank] = factors.left[group], factors.right[:, group]
        column = rank
        for g in np.flatnonzero(factors.contrast):
            members = np.flatnonzero(group == g)
            frame, stop = centred_frame(len(members)), column + len(members) - 1
            weight[members, column:stop] = heights[g] * frame
            features[column:stop, members] = lengths[g] * frame.T
            column = stop
        found = self.head.settled(weight, features, needed)
        return found if program.bias_decay is None else replace(found, bias=factors.bias[group])

    def objective(self, parameters: Parameters) -> float:
        """The model's own objective at explicit parameters (features equal within classes).

        Mean loss plus decay (of the head's own arrays too); under norm budgets the mean loss.

        Parameters
        ----------
        parameters : Parameters, for K classes

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
        head, decay = self.head, self.regularizer
        if not head.admits(parameters, decay):
            return np.inf
        if not (head.normalised or np.array_equal(head.project_features(parameters.features), parameters.features)):
            return np.inf
        counts = np.array([float(n) for n in self.counts])
        program = self.program().split()
        logits = parameters.logits * program.loss.temperature[:, None]
        value = float(program.share @ program.loss.columns(np.vstack([logits, np.diag(logits)]), program.logit_counts).values)
        weight = float(np.sum(parameters.weight**2))
        columns = np.sum(parameters.features**2, axis=0)
        fixed = head.fixed_weight(decay, len(counts), parameters.weight.shape[1])
        if fixed is not None:
            if not np.allclose(
                fixed @ fixed.T, parameters.weight @ parameters.weight.T, rtol=1e-9, atol=1e-9 * fixed.max() ** 2
            ):
                return np.inf
            weight = 0.0
        if isinstance(decay, NormBudget):
            budget = len(counts) * (1 + 1e-9)
            inside = weight <= budget * decay.weight and head.spent(columns) <= budget * decay.features
            return value if inside else np.inf
        if isinstance(decay, NoDecay):
            return value
        value += 0.5 * decay.weight * weight
        if isinstance(decay, WeightDecay):
            value += 0.5 * decay.features * float(columns.sum() if decay.per_class else counts @ columns)
        value += head.price(head.arrays(parameters), decay)[0]
        if head.surcharged:
            scaled = parameters.weight @ parameters.outputs * program.scale
            singular = np.asarray(np.linalg.svd(scaled, compute_uv=False), dtype=np.float64)
            value += head.surcharge(singular, np.ones(len(singular)), decay)
        if decay.bias and parameters.bias is not None:
            value += 0.5 * decay.bias * float(parameters.bias @ parameters.bias)
        return value

    def __repr__(self) -> str:
        dim = "" if self.dim is None else f", dim={self.dim}"
        parts = f"{options(self.regularizer)}, loss={options(self.loss)}, head={options(self.head)}"
        return f"Problem({classes(self.counts.runs)}, {parts}{dim})"

    def __str__(self) -> str:
        dim = "" if self.dim is None else f", dim {self.dim}"
        return f"counts {self.counts}, {self.loss}, head {self.head}, {self.regularizer}{dim}"


@dataclass(frozen=True, init=False, repr=False, eq=False)
class TableProblem(Problem):
    """A layer-peeled model whose targets are a `TargetTable`: ``ufm.Problem(table, ...)`` makes one.

    Parameters
    ----------
    targets : TargetTable, K rows and M contexts
    regularizer : WeightDecay or NormBudget; ClassifierDecay for the head LayerNorm
        Features are penalised sample by sample (``per_class``: context by context). Budgets are means over the K rows of W and
        the M contexts: ``|W|^2 <= K E_W`` and ``sum_m |h_m|^2 <= M E_H``.
    loss : Loss or text: ``ce`` (soft targets), ``bce``, ``pal``, ``multitask:2,2`` or ``mse`` (real targets); mean over samples
    head : Explicit (one layer), LinearDEQ or LayerNorm, or text
    dim : int or None, feature dimension; None means wide enough

    Raises
    ------
    InputError
        A loss that is not defined on these targets, a head with another penalty, or a row that a free bias would send to
        infinity.

    Examples
    --------
    >>> table = TargetTable.soft([[0.9, 0.2], [0.1, 0.8]], [10, 5])
    >>> Problem(table, regularizer=WeightDecay(1e-2, 1e-2)).title
    'table of 2 rows, 2 contexts, 15 samples, ce, head explicit, decay 0.01,0.01'
    """

    targets: TargetTable

    def __init__(
        self,
        targets: TargetTable,
        *,
        regularizer: WeightDecay | NormBudget | ClassifierDecay | NoDecay,
        loss: Loss | str | None = None,
        head: Head | str | None = None,
        dim: int | None = None,
    ) -> None:
        if not isinstance(targets, TargetTable):
            raise InputError(f"targets is {brief(targets)}; give a ufm.TargetTable")
        check_regularizer(regularizer)
        values = {
            "targets": targets,
            "regularizer": regularizer,
            "loss": CrossEntropy() if loss is None else parse_loss(loss) if isinstance(loss, str) else check_loss(loss),
            "head": as_head(head),
            "dim": None if dim is None else check_whole("dim", dim, 1, 10**9),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.head.undecayed or isinstance(regularizer, NoDecay):
            raise InputError(
                f"head {self.head} with {regularizer} does not go with a table of targets; choose explicit or deq:rho=R, with "
                "decays of W and of the features, or budgets; or layernorm, with a decay of W"
            )
        check_decayed_features(self.head, regularizer)
        object.__setattr__(self, "_table_program", make_program(targets, self.loss, self.head, regularizer))

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

    def program(self) -> TableProgram:  # type: ignore[override]
        """The program over K x M logits (docs/theory, Proposition 11.1)."""
        found: TableProgram = self.__dict__["_table_program"]
        return found

    @property
    def needed(self) -> int:
        """Feature dimension that suffices for every optimum: the largest rank of the logits, and one more for fixed norms."""
        return max(self.program().rank, 1) + self.head.spare

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
        if self.head.normalised:
            return normalised_parameters(program, factors, self.head, self.dim)
        return make_parameters(program, factors, self.head, self.regularizer, self.dim)  # type: ignore[arg-type]

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
        return table_objective(self.program(), parameters, self.regularizer)  # type: ignore[arg-type]

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


def check_decayed_features(head: Head, regularizer: Regularizer) -> None:
    """Refuse a decay of the classifier alone for a head whose features need one too.

    Raises
    ------
    InputError
        The head is not `normalised`, and the regulariser is a `ClassifierDecay`.
    """
    if isinstance(regularizer, NoDecay) and not head.normalised:
        raise InputError(
            f"regularizer is NoDecay(), and head {head}: its parameters would grow without bound; give a decay or budgets, or "
            "the head cosine"
        )
    if isinstance(regularizer, ClassifierDecay) and not head.normalised:
        raise InputError(
            f"regularizer is {regularizer}, of the classifier alone, and head {head}: its features would grow without bound; "
            "give a decay of the features too (WeightDecay(LW, LH), or --decay LW,LH), or the head layernorm"
        )
