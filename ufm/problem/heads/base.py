"""What a head is to the rest of the toolkit: a penalty, explicit parameters, and the way back to them."""

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
from ufm.targets.counts import ClassCounts

Arrays = tuple[Floats, ...]
FeaturePullback = Callable[[Floats], tuple[Floats, Arrays]]


@dataclass(frozen=True)
class Parameters:
    """Explicit parameters of a model.

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
        """(d, K) last-layer features: H, the equilibria ``(I - A)^{-1} H``, or what the linear layers make of H."""
        found = self.features
        if self.mixing is not None:
            found = np.asarray(np.linalg.solve(np.eye(len(self.mixing)) - self.mixing, found), dtype=np.float64)
        for layer in self.layers:
            found = layer @ found
        return found

    @property
    def logits(self) -> Floats:
        """(K, K) logits, column k those of class k."""
        plain = self.weight @ self.outputs
        return plain if self.bias is None else plain + self.bias[:, None]


@dataclass(frozen=True)
class Directions:
    """Sizes along n singular directions that do not mix, each (n,): diagonals of W, H and of the head's own arrays.

    weight, features : of the classifier and of the free features
    mixing : of the equilibrium map A, or None
    layers : of each linear layer between H and W
    """

    weight: Floats
    features: Floats
    mixing: Floats | None = None
    layers: Arrays = ()

    @property
    def outputs(self) -> Floats:
        """(n,) sizes of the last-layer features."""
        found = self.features if self.mixing is None else self.features / (1.0 - self.mixing)
        for layer in self.layers:
            found = layer * found
        return found

    @property
    def arrays(self) -> Arrays:
        """The head's own arrays."""
        return self.layers if self.mixing is None else (self.mixing,)


class Head(ABC):
    """A last-layer architecture above free features. Adding one is one new file with these members.

    The optimum sees a head only through its penalty. Gradient methods and recovery see its own arrays (the map A, linear
    layers), besides W and H. Solvers, bounds and thresholds ask for what a head can do and never which head it is.

    Attributes
    ----------
    columns : bool, whether the penalty acts on columns of the logits instead of their singular values
    verified : bool
        Whether the independent verifier (`ufm.certify.verify`) knows it, as level "rigorous" and saved certificates need.
    bilinear : bool, whether logits are ``W h`` with W and h free, as gradient descent on W and H assumes
    constrained : bool, whether `project` or `project_features` move anything, so that steps must be projected
    surcharged : bool, whether it charges logits beyond the decay of its parameters (`surcharge`)
    spelling : Spelling or None, how it is written on the command line
    """

    columns = False
    verified = False
    bilinear = False
    constrained = False
    surcharged = False
    spelling: ClassVar[Spelling | None] = None

    def refuses(self, counts: ClassCounts, loss: Loss, regularizer: WeightDecay | NormBudget, dim: int | None) -> str | None:
        """Why this head cannot stand in a problem of these parts (argument, value, remedy), or None."""
        return None

    @abstractmethod
    def penalty(self, regularizer: WeightDecay | NormBudget, n_classes: int) -> Penalty:
        """The penalty on the singular values (or columns) of the scaled logits."""
        ...

    def directions(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> Directions:
        """Parameters along singular directions (``copies`` of each), as good as float64 can be to the stated penalty.

        The outputs times the weight are the singular values of the scaled logits, up to rounding: where the head cannot
        represent its best parameters to full accuracy (a map A with norm close to 1), they differ by more.
        """
        return Directions(*split_sizes(singular, regularizer))

    def sizes(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> tuple[Floats, Floats]:
        """Sizes of W and of the last-layer features along singular directions."""
        found = self.directions(singular, copies, regularizer)
        return found.weight, found.outputs

    def recover(self, left: Floats, singular: Floats, right: Floats, scale: Floats, regularizer: Regularizer) -> Parameters:
        """Parameters with logits ``left @ diag(singular) @ right`` at the least cost that the penalty states.

        left : (K, d), columns of length 1 (or 0); scale : (K,) column scale; right : (d, K), rows of length 1 after it.
        """
        found = self.directions(singular, np.ones(len(singular)), regularizer)
        mixing = None if found.mixing is None else np.diag(found.mixing)
        layers = tuple(np.diag(layer) for layer in found.layers)
        return Parameters(left * found.weight, found.features[:, None] * right, mixing, None, layers)

    def initial(self, dim: int, rng: np.random.Generator, scale: float) -> Arrays:
        """A random start for the head's own arrays."""
        return ()

    def forward(self, arrays: Arrays, features: Floats) -> tuple[Floats, FeaturePullback]:
        """Last-layer features of ``features`` (d, n), and the map from their gradient to those of H and the arrays."""
        return features, lambda slope: (slope, ())

    def price(self, arrays: Arrays, regularizer: Regularizer) -> tuple[float, Arrays]:
        """The regulariser's value on the head's own arrays, with its gradient."""
        return 0.0, tuple(np.zeros_like(a) for a in arrays)

    def project(self, arrays: Arrays, regularizer: Regularizer, n_classes: int) -> Arrays:
        """Nearest admissible arrays."""
        return arrays

    def project_features(self, features: Floats) -> Floats:
        """Nearest admissible features."""
        return features

    def start_features(self, features: Floats) -> Floats:
        """Admissible features of the size of these, for a random start."""
        return features

    def project_budget(self, features: Floats, weights: Floats, regularizer: NormBudget, n_classes: int) -> Floats:
        """Features (d, N) inside the budget on them; sample i counts ``weights[i]`` (N,), which sum to one in each class."""
        size = float(weights @ np.sum(features**2, axis=0)) / (n_classes * regularizer.features)
        return features / np.sqrt(size) if size > 1 else features

    def surcharge(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> float:
        """What the head charges, beyond decays of W, H and its arrays, for singular values of the scaled logits.

        singular, copies : (n,) float64, with multiplicities. A head that is `surcharged` overrides it; `Problem.objective`
        and the check of recovered parameters add it.
        """
        return 0.0

    def largest_decay(self) -> float:
        """The largest decay on the head's own arrays, beyond the regulariser's."""
        return 0.0

    def fixed_weight(self, regularizer: Regularizer, n_classes: int, dim: int) -> Floats | None:
        """The classifier, where it is not free."""
        return None

    def width(self, n_classes: int) -> int:
        """Feature dimensions that recovery needs whatever the rank of the logits."""
        return 1

    def spent(self, columns: Floats) -> float:
        """What a feature budget counts, of the squared norms of the class means."""
        return float(columns.sum())

    def arrays(self, parameters: Parameters) -> Arrays:
        """The head's own arrays in these parameters.

        Raises
        ------
        InputError
            They are not those of this head.
        """
        if parameters.mixing is not None or parameters.layers:
            raise InputError(f"parameters have arrays that the head {self} does not: a mixing matrix A, or linear layers")
        return ()

    def parameters(self, weight: Floats, features: Floats, arrays: Arrays, bias: Floats | None) -> Parameters:
        """Parameters with these arrays: the inverse of `arrays`."""
        return Parameters(weight, features, None, bias)

    def admits(self, parameters: Parameters, regularizer: Regularizer) -> bool:
        """Whether the constraints of the head (and of budgets on its arrays) hold, up to a relative 1e-9."""
        self.arrays(parameters)
        return True

    @property
    def exact_gain(self) -> Fraction | None:
        """Factor by which the head enlarges features, where its penalty is that of the explicit head at ``sigma / gain``."""
        return None

    @property
    def gain(self) -> float | None:
        """`exact_gain` as a float."""
        return None if self.exact_gain is None else float(self.exact_gain)

    def amplification(self, arrays: Arrays) -> float:
        """Bound on the factor by which the head enlarges features at these arrays."""
        return 1.0

    def certificate(self) -> dict[str, object]:
        """The head's part of a saved certificate, numbers as exact rationals."""
        return {"kind": str(self)}


def check_head(value: Any) -> Head:
    """The head, if it is one.

    Raises
    ------
    InputError
        It is of another kind.
    """
    if not isinstance(value, Head):
        raise InputError(
            f"head is {brief(value)}; give a head such as Explicit() or LinearDEQ(rho), a text such as 'deq:rho=0.3', or an "
            "object of a subclass of ufm.problem.heads.Head"
        )
    return value


def split_sizes(singular: Floats, regularizer: Regularizer) -> tuple[Floats, Floats]:
    """W and H along directions of the given product, in the balance that the regulariser wants."""
    power = regularizer.balance() ** 0.25
    root = np.sqrt(singular)
    return root * power, root / power
