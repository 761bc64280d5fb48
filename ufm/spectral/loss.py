"""The interface of losses in the logit program: values, derivatives and conjugate of each column of logits.

The conjugates are those of docs/theory, Proposition 2.2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats


class ColumnLoss(NamedTuple):
    """A loss of each column of logits with its derivatives.

    values : (C,) the loss of one sample of each column's class
    gradient : (G + 1, C) derivative by the logit rows, multiplicities included
    diagonal, rank_one : (G + 1, C) second derivative ``diag(diagonal) - rank_one rank_one'`` per column
    """

    values: Floats
    gradient: Floats
    diagonal: Floats
    rank_one: Floats


class Lowered(NamedTuple):
    """A convex loss that touches another one from below, once each column of it is lowered by a number.

    loss : BoundLoss
    by : (G,) float64, upper bounds, rounding included, on these numbers
    touching : (G,) float64, derivative of ``by`` by the weights: the loss of a column where it touches
    """

    loss: BoundLoss
    by: Floats
    touching: Floats


class BoundLoss(ABC):
    """A loss on given class groups, convex as a rule: what the program evaluates.

    Logits come as a (G + 1, C) array: column h belongs to a class of group ``own[h]`` (h itself if ``own`` is None), row
    g < G is the logit of every *other* class of group g (``multiplicity[g, h]`` of them), and row G that of the class
    itself; temperatures are applied already. Usually C = G, one column for each group. Slopes are derivatives by *one*
    logit, in the same layout.

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
    has_probabilities : bool, whether slopes are probabilities minus targets (`probabilities`) that sum to one in each column
    unit_slopes : bool, whether each slope by itself is a number in [0, 1] minus its one-hot target
    convex : bool
        Whether it is convex. One that is not has convex minorants (`minorant`), and `dual` holds for it too.
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
    unit_slopes = False
    convex = True

    @property
    def offsets(self) -> Floats:
        """(G,) numbers added to tempered logits; zeros unless logits are adjusted."""
        return np.zeros(len(self.share))

    @abstractmethod
    def columns(self, logits: Floats, multiplicity: Floats, own: NDArray[np.intp] | None = None) -> ColumnLoss:
        """Loss of each column with its derivatives.

        Parameters
        ----------
        logits : (G + 1, C) float64, tempered logits of C columns
        multiplicity : (G + 1, C) float64, how many logits of the column each row stands for
        own : (C,) int or None
            Group of each column's class; None where column h belongs to group h.

        Returns
        -------
        ColumnLoss, values (C,) and derivatives (G + 1, C), in the unit of the loss (nats for cross-entropy)
        """
        ...

    @abstractmethod
    def dual(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """Minus the convex conjugate at the slopes, column by column (docs/theory, Proposition 2.2).

        Parameters
        ----------
        slopes : (G + 1, C) float64, derivatives by single logits
        multiplicity : (G + 1, C) float64, how many logits of the column each row stands for

        Returns
        -------
        (C,) float64
        """
        ...

    @abstractmethod
    def lipschitz(self, diagonal: Floats) -> Floats:
        """Bound on the largest eigenvalue of each column's second derivative.

        Parameters
        ----------
        diagonal : (G + 1, C) float64, `ColumnLoss.diagonal`

        Returns
        -------
        (C,) float64
        """
        ...

    @abstractmethod
    def take(self, group: NDArray[np.intp]) -> BoundLoss:
        """The same loss with every class a group of its own.

        Parameters
        ----------
        group : (K,) int, the present group of each class

        Returns
        -------
        BoundLoss, of K groups
        """
        ...

    def above(self, logits: Floats, radius: Floats, multiplicity: Floats) -> Floats:
        """Upper bounds on the loss of each column at all logits within ``radius`` of these (docs/theory, Proposition 2.12).

        Parameters
        ----------
        logits : (G + 1, C) float64, tempered logits
        radius : (G + 1, C) float64, bounds on the error of each logit
        multiplicity : (G + 1, C) float64, how many logits of the column each row stands for

        Returns
        -------
        (C,) float64, rounding included; infinite where float64 overflows

        Raises
        ------
        TypeError
            The loss does not enclose its rounding errors (`encloses` is False).
        """
        raise TypeError(f"{type(self).__name__} does not enclose its rounding errors")

    def below(self, slopes: Floats, multiplicity: Floats) -> Floats:
        """Lower bounds on minus the conjugate at exactly these slopes (docs/theory, Proposition 2.11).

        Where slopes must sum to zero in each column, the last row is not read: minus the sum of the others (with
        multiplicities) is meant.

        Parameters
        ----------
        slopes : (G + 1, C) float64, derivatives by single logits
        multiplicity : (G + 1, C) float64, how many logits of the column each row stands for

        Returns
        -------
        (C,) float64, rounding included; -inf outside the domain of the conjugate

        Raises
        ------
        TypeError
            The loss does not enclose its rounding errors (`encloses` is False).
        """
        raise TypeError(f"{type(self).__name__} does not enclose its rounding errors")

    def minorant(self, weights: Floats) -> Lowered:
        """A convex loss that, lowered by numbers, lies nowhere above this one.

        Parameters
        ----------
        weights : (G,) float64 in (0, 1]

        Returns
        -------
        Lowered
        """
        return Lowered(self, np.zeros(len(self.share)), np.zeros(len(self.share)))

    def probabilities(self, slopes: Floats) -> Floats:
        """Probabilities ``p = y + t`` (slope plus target) of single other classes; the class itself has what is left of 1.

        Parameters
        ----------
        slopes : (G + 1, C) float64, derivatives by single logits

        Returns
        -------
        (G, C) float64

        Raises
        ------
        TypeError
            Slopes of this loss are not probabilities minus targets (`has_probabilities` is False).
        """
        raise TypeError(f"slopes of {type(self).__name__} are no probabilities")

    def expression(self, cp: Any, logits: Any) -> Any | None:
        """The mean loss as a convex expression in cvxpy; every class must be a group of its own (`take`).

        Parameters
        ----------
        cp : the module cvxpy
        logits : cvxpy expression of shape (K, K), logits before temperatures, column k those of class k

        Returns
        -------
        cvxpy expression or None
            None by default; the conic solver refuses a loss that does not override this method.
        """
        return None
