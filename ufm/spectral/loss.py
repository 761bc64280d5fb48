"""What the logit program asks of a loss: values, derivatives and conjugate, column by column."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

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


class BoundLoss(ABC):
    """A convex loss on given class groups: what the program evaluates.

    Logits come as a (G + 1, C) array: column h belongs to a class of group ``own[h]`` (h itself if ``own`` is None), row
    g < G is the logit of every *other* class of group g (``multiplicity[g, h]`` of them), and row G that of the class
    itself; temperatures are applied already. Slopes are derivatives by *one* logit, in the same layout.

    Attributes
    ----------
    share : (G,) float64, weight of one class's column in the mean loss; ``n_k / N`` unless classes are weighted
    temperature : (G,) float64, factor on every logit of the group's classes, applied before the loss
    shift_invariant : bool
        Whether adding a number to a column of logits changes nothing; slopes then sum to zero in each column.
    quadratic : bool, whether the loss of a column is ``|z - e_k|^2 / 2`` without temperatures
    plain_cross_entropy : bool, whether it is the ordinary cross-entropy ``log sum_j exp z_j - z_k``
    floor, smoothing : float, target probability of every other class and label smoothing; 0 where targets are one-hot
    encloses : bool
        Whether `above` and `below` bound its rounding errors. For a loss that does not, `ufm.certify` assumes that `columns`
        and `dual` are computed by sums of about ten operations on terms no larger than their gradients and logits say.
    has_probabilities : bool, whether slopes are probabilities minus targets (`probabilities`)
    """

    share: Floats
    temperature: Floats
    shift_invariant: bool
    quadratic = False
    plain_cross_entropy = False
    floor = 0.0
    smoothing = 0.0
    encloses = False
    has_probabilities = False

    @property
    def offsets(self) -> Floats:
        """(G,) numbers added to tempered logits; zeros unless logits are adjusted."""
        return np.zeros(len(self.share))

    @abstractmethod
    def columns(self, logits: Floats, multiplicity: Floats, own: NDArray[np.intp] | None = None) -> ColumnLoss:
        """Loss of each column with its derivatives."""
        ...

    @abstractmethod
    def dual(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """(C,) minus the convex conjugate at the slopes, column by column."""
        ...

    @abstractmethod
    def lipschitz(self, diagonal: Floats) -> Floats:
        """(C,) bound on the second derivative of each column's loss there, from `ColumnLoss.diagonal`."""
        ...

    @abstractmethod
    def take(self, group: NDArray[np.intp]) -> BoundLoss:
        """The same loss with every class a group of its own."""
        ...

    def above(self, logits: Floats, radius: Floats, multiplicity: Floats) -> Floats:
        """(C,) upper bounds on the loss of each column at all logits within ``radius`` (G + 1, C) of these.

        Raises
        ------
        TypeError
            The loss does not enclose its rounding errors (`encloses` is False).
        """
        raise TypeError(f"{type(self).__name__} does not enclose its rounding errors")

    def below(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """(C,) lower bounds on minus the conjugate at exactly these slopes; -inf outside its domain.

        Where slopes sum to zero in each column, the last row is what the others leave.

        Raises
        ------
        TypeError
            As `above`.
        """
        raise TypeError(f"{type(self).__name__} does not enclose its rounding errors")

    def probabilities(self, slopes: Floats) -> Floats:
        """(G, C) probabilities of single other classes, ``p = y + t``; the class itself has the rest.

        Raises
        ------
        TypeError
            Slopes of this loss are no probabilities (`has_probabilities` is False).
        """
        raise TypeError(f"slopes of {type(self).__name__} are no probabilities")

    def expression(self, cp: Any, logits: Any) -> Any | None:
        """The mean loss of K x K logits (a cvxpy expression, before temperatures) in cvxpy; None where it is not stated.

        ``cp`` is the module cvxpy; every class is a group of its own.
        """
        return None
