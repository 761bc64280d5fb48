"""What the logit program asks of a loss: values, derivatives and conjugate, column by column."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats


class ColumnLoss(NamedTuple):
    """A loss of each column of logits with its derivatives.

    values : (G,) the loss of one sample of each group's classes
    gradient : (G + 1, G) derivative by the logit rows, multiplicities included
    diagonal, rank_one : (G + 1, G) second derivative ``diag(diagonal) - rank_one rank_one'`` per column
    """

    values: Floats
    gradient: Floats
    diagonal: Floats
    rank_one: Floats


class BoundLoss(Protocol):
    """A loss on given class groups: what the program evaluates.

    Logits come as a (G + 1, C) array: column h belongs to a class of group ``own[h]`` (h itself if ``own`` is None), row
    g < G is the logit of every *other* class of group g (``multiplicity[g, h]`` of them), and row G that of the class
    itself; temperatures are applied already. Slopes are derivatives by *one* logit, in the same layout.

    share : (G,) weight of one class's column in the mean loss; ``n_k / N`` unless classes are weighted
    temperature : (G,) factor on every logit of the group's classes, applied before the loss
    shift_invariant : whether adding a number to a column of logits changes nothing; slopes then sum to zero in each column
    quadratic : whether the loss of a column is ``|z - e_k|^2 / 2`` without temperatures; False if it is missing

    A loss may also bound its own rounding errors (`Enclosed`); for one that does not, `ufm.certify` assumes that `columns` and
    `dual` are computed by sums of about ten operations on terms no larger than their gradients and logits say.
    """

    @property
    def share(self) -> Floats: ...
    @property
    def temperature(self) -> Floats: ...
    @property
    def shift_invariant(self) -> bool: ...

    def columns(self, logits: Floats, multiplicity: Floats, own: NDArray[np.intp] | None = None) -> ColumnLoss:
        """Loss of each column with its derivatives."""
        ...

    def dual(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """(C,) minus the convex conjugate at the slopes, column by column."""
        ...

    def lipschitz(self, diagonal: Floats) -> Floats:
        """(C,) bound on the second derivative of each column's loss there, from `ColumnLoss.diagonal`."""
        ...

    def take(self, group: NDArray[np.intp]) -> BoundLoss:
        """The same loss with every class a group of its own."""
        ...


@runtime_checkable
class Enclosed(Protocol):
    """A loss that bounds itself in float64, rounding included; shapes as in `BoundLoss`."""

    def above(self, logits: Floats, radius: Floats, multiplicity: Floats) -> Floats:
        """(C,) upper bounds on the loss of each column at all logits within ``radius`` (G + 1, C) of these."""
        ...

    def below(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """(C,) lower bounds on minus the conjugate at exactly these slopes; -inf outside its domain.

        Where slopes sum to zero in each column, the last row is what the others leave.
        """
        ...
