"""The interface of heads: the penalty on logits, explicit parameters, and their recovery from logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError, brief
from ufm.problem.losses.base import Loss
from ufm.problem.regularizers import NormBudget, Regularizer, WeightDecay
from ufm.problem.spelling import Spelling
from ufm.spectral.penalties import Penalty
from ufm.spectral.program import Factors, LogitProgram
from ufm.targets.counts import ClassCounts

Arrays = tuple[Floats, ...]
FeaturePullback = Callable[[Floats], tuple[Floats, Arrays]]


@dataclass(frozen=True)
class Parameters:
    """Explicit parameters of a model.

    d is the feature dimension. Features of one class are equal, so there is one column for each class.

    weight : (K, d) classifier W, rows w_k
    features : (d, K) class means of the free features H (the input h0 of an equilibrium head)
    mixing : (d, d) or None, the equilibrium map A
    bias : (K,) or None
    layers : tuple of (d, d), linear layers between H and W, the one next to H first
    """

    weight: Floats
    features: Floats
    mixing: Floats | None = None
    bias: Floats | None = None
    layers: Arrays = ()

    @property
    def outputs(self) -> Floats:
        """(d, K) last-layer features: H, the equilibria ``(I - A)^{-1} H``, or the product of the linear layers and H."""
        found = self.features
        if self.mixing is not None:
            found = np.asarray(np.linalg.solve(np.eye(len(self.mixing)) - self.mixing, found), dtype=np.float64)
        for layer in self.layers:
            found = layer @ found
        return found

    @property
    def logits(self) -> Floats:
        """(K, K) logits with bias, column k those of class k."""
        plain = self.weight @ self.outputs
        return plain if self.bias is None else plain + self.bias[:, None]


@dataclass(frozen=True)
class Directions:
    """Singular values of all parameters along n common singular directions, in which every matrix is diagonal.

    weight, features : (n,), of the classifier W and of the scaled free features ``H S``
    mixing : (n,), of the equilibrium map A, or None
    layers : tuple of (n,), of each linear layer between H and W, the one next to H first
    """

    weight: Floats
    features: Floats
    mixing: Floats | None = None
    layers: Arrays = ()

    @property
    def outputs(self) -> Floats:
        """(n,) singular values of the scaled last-layer features."""
        found = self.features if self.mixing is None else self.features / (1.0 - self.mixing)
        for layer in self.layers:
            found = layer * found
        return found

    @property
    def arrays(self) -> Arrays:
        """The head's own arrays, each (n,)."""
        return self.layers if self.mixing is None else (self.mixing,)


class Head(ABC):
    """A last-layer architecture above free features. A new one is a subclass in a file of its own.

    The optimum depends on a head only through its penalty (docs/theory, Propositions 1.2 and 1.3). Gradient methods and
    `recover` also use the head's own arrays (the map A, linear layers), besides W and H. Solvers, bounds and thresholds
    use the members below and never ask for the class of a head. Symbols: K classes, feature dimension d, column scale S.

    Attributes
    ----------
    columns : bool, whether the penalty acts on columns of the logits instead of their singular values
    verified : bool
        Whether the independent verifier (`ufm.certify.verify`) knows it; level "rigorous" and saved certificates need that.
    bilinear : bool, whether logits are ``W h`` with W and h free, as gradient descent on W and H assumes
    constrained : bool, whether `project` or `project_features` move anything, so that steps must be projected
    normalised : bool, whether features have a given norm instead of a decay, so that it takes a `ClassifierDecay`
    undecayed : bool, whether it takes neither decay nor budgets, because classifiers have a given norm too (`NoDecay`)
    centred : bool
        Whether an optimal W has rows (over temperatures) of sum zero, where a constant added to a column changes no loss.
    spare : int, feature dimensions beside the rank of the logits that norms need
    surcharged : bool, whether it adds a price on the logits to the decay of its parameters (`surcharge`)
    spelling : Spelling or None, its text form, as on the command line
    """

    columns = False
    verified = False
    bilinear = False
    constrained = False
    surcharged = False
    normalised = False
    undecayed = False
    centred = True
    spare = 0
    spelling: ClassVar[Spelling | None] = None

    def refuses(self, counts: ClassCounts, loss: Loss, regularizer: WeightDecay | NormBudget, dim: int | None) -> str | None:
        """Why this head cannot be combined with the other parts of a problem.

        Parameters
        ----------
        counts : ClassCounts
        loss : Loss
        regularizer : WeightDecay or NormBudget
        dim : int or None, feature dimension; None means wide enough

        Returns
        -------
        str or None
            A sentence that names the argument, its value and a remedy; None where the combination is possible.
        """
        return None

    @abstractmethod
    def penalty(self, regularizer: WeightDecay | NormBudget, n_classes: int) -> Penalty:
        """The penalty on the singular values (or column norms) of the scaled logits ``Z S``.

        Parameters
        ----------
        regularizer : WeightDecay or NormBudget
        n_classes : int, K

        Returns
        -------
        Penalty

        Raises
        ------
        InputError
            The head does not go with this regulariser, or budgets allow logits beyond what float64 can certify.
        """
        ...

    def directions(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> Directions:
        """Parameters of least cost along given singular directions of the scaled logits.

        Their cost is that of the penalty, and ``weight * outputs`` equals ``singular``, both up to rounding. The difference is
        larger where float64 cannot represent the best parameters to full accuracy (a map A with norm close to 1).

        Parameters
        ----------
        singular : (n,) float64, singular values of the scaled logits ``Z S``, not negative
        copies : (n,) float64, how often each occurs
        regularizer : Regularizer, for the balance of W and H

        Returns
        -------
        Directions
        """
        return Directions(*split_sizes(singular, regularizer))

    def sizes(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> tuple[Floats, Floats]:
        """Return ``(w, h)`` with ``w * h == singular`` up to rounding: singular values of W and of the features at least cost.

        Parameters
        ----------
        singular : (n,) float64, singular values of the scaled logits ``Z S``, not negative
        copies : (n,) float64, how often each occurs
        regularizer : Regularizer

        Returns
        -------
        w : (n,) float64, singular values of W
        h : (n,) float64, singular values of the scaled last-layer features
        """
        found = self.directions(singular, copies, regularizer)
        return found.weight, found.outputs

    def recover(self, left: Floats, singular: Floats, right: Floats, scale: Floats, regularizer: Regularizer) -> Parameters:
        """Parameters with logits ``left @ diag(singular) @ right``, whose cost is the penalty at ``singular``.

        Parameters
        ----------
        left : (K, d) float64, columns of length 1 (or 0)
        singular : (d,) float64, lengths of the feature dimensions, not negative
        right : (d, K) float64, with rows of ``right * scale`` of length 1 (or 0)
        scale : (K,) float64, column scale ``s_k``
        regularizer : Regularizer

        Returns
        -------
        Parameters, without a bias
        """
        found = self.directions(singular, np.ones(len(singular)), regularizer)
        mixing = None if found.mixing is None else np.diag(found.mixing)
        layers = tuple(np.diag(layer) for layer in found.layers)
        return Parameters(left * found.weight, found.features[:, None] * right, mixing, None, layers)

    def contrast_parts(self, program: LogitProgram, factors: Factors, regularizer: Regularizer) -> tuple[Floats, Floats]:
        """Singular values of the contrasts of W and of the features of a `normalised` head, which multiply to those of logits.

        Parameters
        ----------
        program : LogitProgram, of a solution
        factors : Factors, whose ``left`` and ``right`` are what groups share of W and of the features
        regularizer : Regularizer

        Returns
        -------
        (G,) float64, (G,) float64

        Raises
        ------
        TypeError
            The head is not `normalised`.
        """
        raise TypeError(f"the features of the head {self} have no fixed norm")

    def settled(self, weight: Floats, features: Floats, used: int) -> Parameters:
        """Parameters with the logits ``weight @ features`` whose features have the norm of a `normalised` head.

        Parameters
        ----------
        weight : (K, d) float64
        features : (d, K) float64, of norms near one
        used : int, number of leading dimensions that have lengths; one more makes up what norms lack

        Returns
        -------
        Parameters
        """
        return Parameters(weight, features)

    def initial(self, dim: int, rng: np.random.Generator, scale: float) -> Arrays:
        """Random initial values of the head's own arrays.

        Parameters
        ----------
        dim : int, feature dimension d
        rng : numpy Generator
        scale : float > 0, standard deviation of the initial entries of W and H

        Returns
        -------
        tuple of (d, d) float64; empty for a head without arrays of its own
        """
        return ()

    def forward(self, arrays: Arrays, features: Floats) -> tuple[Floats, FeaturePullback]:
        """Last-layer features, and the function that propagates a gradient back through the head.

        Parameters
        ----------
        arrays : tuple of (d, d) float64, the head's own arrays
        features : (d, n) float64, free features of n samples or classes

        Returns
        -------
        outputs : (d, n) float64, last-layer features
        pullback : callable
            Maps the gradient by ``outputs`` (d, n) to the gradient by ``features`` (d, n) and a tuple of those by the arrays.
        """
        return features, lambda slope: (slope, ())

    def price(self, arrays: Arrays, regularizer: Regularizer) -> tuple[float, Arrays]:
        """The decay of the head's own arrays, with its gradient; 0 under budgets.

        Parameters
        ----------
        arrays : tuple of (d, d) float64, the head's own arrays
        regularizer : Regularizer

        Returns
        -------
        value : float, in the unit of the loss
        gradient : tuple of (d, d) float64
        """
        return 0.0, tuple(np.zeros_like(a) for a in arrays)

    def project(self, arrays: Arrays, regularizer: Regularizer, n_classes: int) -> Arrays:
        """The nearest arrays (in Frobenius norm) that satisfy the constraints on them.

        Parameters
        ----------
        arrays : tuple of (d, d) float64, the head's own arrays
        regularizer : Regularizer
        n_classes : int, K

        Returns
        -------
        tuple of (d, d) float64
        """
        return arrays

    def project_features(self, features: Floats) -> Floats:
        """Admissible features (d, n) nearest to ``features`` (d, n)."""
        return features

    def start_features(self, features: Floats) -> Floats:
        """Admissible features (d, n) with the column norms of ``features`` (d, n), for a random start."""
        return features

    def project_budget(self, features: Floats, weights: Floats, regularizer: NormBudget, n_classes: int) -> Floats:
        """Features scaled into their budget where they exceed it.

        Parameters
        ----------
        features : (d, N) float64, one column per sample
        weights : (N,) float64, weight of each sample in the budget; they sum to one in each class
        regularizer : NormBudget
        n_classes : int, K

        Returns
        -------
        (d, N) float64
        """
        size = float(weights @ np.sum(features**2, axis=0)) / (n_classes * regularizer.features)
        return features / np.sqrt(size) if size > 1 else features

    def surcharge(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> float:
        """Price on the logits that the head adds to the decays of W, H and its arrays.

        A head with `surcharged` true overrides it; `Problem.objective` and the check of recovered parameters add it.

        Parameters
        ----------
        singular : (n,) float64, singular values of the scaled logits ``Z S``, not negative
        copies : (n,) float64, how often each occurs
        regularizer : Regularizer

        Returns
        -------
        float, in the unit of the loss
        """
        return 0.0

    def largest_decay(self) -> float:
        """The largest decay on the head's own arrays that the regulariser does not already state; 0 where there is none."""
        return 0.0

    def fixed_weight(self, regularizer: Regularizer, n_classes: int, dim: int) -> Floats | None:
        """The classifier where the head fixes it.

        Parameters
        ----------
        regularizer : Regularizer
        n_classes : int, K
        dim : int, feature dimension d

        Returns
        -------
        (K, d) float64, or None where W is free
        """
        return None

    def width(self, n_classes: int) -> int:
        """Feature dimensions that recovery needs whatever the rank of the logits."""
        return 1

    def spent(self, columns: Floats) -> float:
        """The amount of the feature budget ``K E_H`` that is used.

        Parameters
        ----------
        columns : (K,) float64, squared norms of the class means

        Returns
        -------
        float
        """
        return float(columns.sum())

    def arrays(self, parameters: Parameters) -> Arrays:
        """The head's own arrays, taken from parameters of the model.

        Parameters
        ----------
        parameters : Parameters

        Returns
        -------
        tuple of (d, d) float64

        Raises
        ------
        InputError
            The parameters lack an array of this head, or have one that it does not have.
        """
        if parameters.mixing is not None or parameters.layers:
            raise InputError(f"parameters have arrays that the head {self} does not: a mixing matrix A, or linear layers")
        return ()

    def parameters(self, weight: Floats, features: Floats, arrays: Arrays, bias: Floats | None) -> Parameters:
        """Parameters with these own arrays of the head; `arrays` is the inverse.

        Parameters
        ----------
        weight : (K, d) float64
        features : (d, K) float64
        arrays : tuple of (d, d) float64
        bias : (K,) float64 or None

        Returns
        -------
        Parameters
        """
        return Parameters(weight, features, None, bias)

    def admits(self, parameters: Parameters, regularizer: Regularizer) -> bool:
        """Whether the constraints of the head (and of budgets on its arrays) hold, up to a relative 1e-9."""
        self.arrays(parameters)
        return True

    @property
    def exact_gain(self) -> Fraction | None:
        """Factor by which the head enlarges features: its penalty is that of the explicit head at ``sigma / gain``.

        None where the penalty is not of this form.
        """
        return None

    @property
    def gain(self) -> float | None:
        """`exact_gain` as a float."""
        return None if self.exact_gain is None else float(self.exact_gain)

    def amplification(self, arrays: Arrays) -> float:
        """Bound on the factor by which the head enlarges the norm of features, at these arrays (a tuple of (d, d))."""
        return 1.0

    def certificate(self) -> dict[str, object]:
        """The head's entry in a saved certificate: plain JSON values, numbers as exact rationals in text."""
        return {"kind": str(self)}


def check_head(value: Any) -> Head:
    """Return the value if it is a head.

    Raises
    ------
    InputError
        The value is not a `Head`.
    """
    if not isinstance(value, Head):
        raise InputError(
            f"head is {brief(value)}; give a head such as Explicit() or LinearDEQ(rho), a text such as 'deq:rho=0.3', or an "
            "object of a subclass of ufm.problem.heads.Head"
        )
    return value


def split_sizes(singular: Floats, regularizer: Regularizer) -> tuple[Floats, Floats]:
    """Factors ``w * h == singular`` of W and ``H S`` with the ratio of norms that minimises the regulariser.

    Parameters
    ----------
    singular : (n,) float64, singular values of the product ``W H S``, not negative
    regularizer : Regularizer

    Returns
    -------
    w : (n,) float64
    h : (n,) float64
    """
    power = regularizer.balance() ** 0.25
    root = np.sqrt(singular)
    return root * power, root / power
