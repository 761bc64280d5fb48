"""The interface of losses as parts of a problem, independent of class sizes; `Loss.bind` makes the loss of given sizes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from ufm._arrays import Floats
from ufm.errors import InputError, brief
from ufm.problem.spelling import Spelling
from ufm.spectral.loss import BoundLoss
from ufm.spectral.table_loss import TableLoss
from ufm.targets.counts import ClassCounts
from ufm.targets.table import TargetTable


@dataclass(frozen=True)
class GroupPull:
    """How strongly a loss pulls equal classes apart where their contrast is zero: ``w_g Delta_g (1 - eps)`` per sample.

    A loss has one if its gradient by the tempered logits of class k is ``w_k (g(z) - t)``, where ``t`` is the (smoothed) label
    and ``g`` treats classes with equal tempered logits alike (docs/theory, Propositions 7.1 and 7.12).

    Attributes
    ----------
    weights : float or tuple
        Exponent a of the class weights ``w_k = n_k^{-a}``, or one weight for each distinct size, largest size first.
    temperatures : float or tuple
        Exponent b of ``Delta_k = (n_k / n_max)^b``, or one factor for each distinct size.
    smoothing : float, label smoothing ``eps``
    """

    weights: float | tuple[float, ...] = 0.0
    temperatures: float | tuple[float, ...] = 0.0
    smoothing: float = 0.0


class Loss(ABC):
    """A loss of logits and labels, convex as a rule. A new one is a subclass in a file of its own, with these members.

    Attributes
    ----------
    name : str, its kind in a saved certificate
    shift_invariant : bool, whether adding a constant to a column (after temperatures) changes nothing
    convex : bool
        Whether it is convex; solutions under one that is not are best found, with a bound on the global optimum.
    plain_cross_entropy : bool
        Whether it is cross-entropy without options, which heads on columns and enclosures of logits need.
    verified : bool
        Whether the independent verifier (`ufm.certify.verify`) knows it; level "rigorous" and saved certificates need that.
    pull : GroupPull or None
        How strongly it pulls equal classes apart, on which thresholds in closed form depend; None where that is not known.
    spelling : Spelling or None, its text form, as on the command line
    """

    name: str
    shift_invariant: bool
    convex = True
    plain_cross_entropy = False
    verified = False
    pull: GroupPull | None = None
    spelling: ClassVar[Spelling | None] = None

    @abstractmethod
    def bind(self, counts: ClassCounts) -> BoundLoss:
        """The loss on the class groups (`ClassCounts.groups`) of these counts."""
        ...

    def at_shares(self, share: Floats) -> BoundLoss:
        """The loss with one class's share ``n_k / N`` for each group, (G,) float64, which need not come from whole numbers.

        Raises
        ------
        InputError
            The loss is not defined for them.
        """
        raise InputError(f"loss {self} is defined for whole class sizes only")

    def bind_table(self, table: TargetTable) -> TableLoss:
        """The loss on a table of targets.

        Raises
        ------
        InputError
            The loss is defined for class sizes only, or the table's columns are no targets of this loss.
        """
        raise InputError(f"loss {self} is defined for class sizes, not for a table of targets; choose ce, bce, pal or mse")

    def certificate(self, counts: ClassCounts) -> dict[str, object]:
        """The loss's entry in a saved certificate: plain JSON values, numbers as exact rationals in text."""
        return {"kind": self.name}

    def table_certificate(self, table: TargetTable) -> dict[str, object]:
        """The loss's entry in the saved certificate of a table."""
        return {"kind": self.name}


def check_loss(value: Any) -> Loss:
    """Return the value if it is a loss.

    Raises
    ------
    InputError
        The value is not a `Loss`.
    """
    if not isinstance(value, Loss):
        raise InputError(
            f"loss is {brief(value)}; give CrossEntropy(), SquaredError(), a text such as 'ce:weights=1', or an object of a "
            "subclass of ufm.problem.losses.Loss"
        )
    return value
