"""The head whose classifier is fixed to a simplex ETF."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite, sqrt
from numbers import Real

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.problem.heads.base import Head, Parameters
from ufm.problem.losses import Loss
from ufm.problem.regularizers import NormBudget, Regularizer, WeightDecay
from ufm.problem.spelling import Spelling
from ufm.spectral.blocks import centred_frame
from ufm.spectral.penalties import ColumnPenalty
from ufm.targets.counts import ClassCounts


@dataclass(frozen=True)
class FixedETF(Head):
    r"""Classifier fixed to a simplex ETF with ``|w_k|^2 = norm``; only the features are free (Yang et al., arXiv 2203.09081).

    ``H = W^+ Z``, so the features' norms are ``|z_k| sqrt((K-1) / (K norm))`` and the program is convex (docs/theory,
    Proposition 1.8). W is not regularised. Under budgets ``norm`` is E_W, and every *single* feature obeys
    ``|h_ki|^2 <= E_H`` as in the paper; with ``average=True`` only the mean over classes does, as in `NormBudget`.

    Parameters
    ----------
    norm : float > 0 or None, ``|w_k|^2``; None is 1 under decay and E_W under budgets
    average : bool, whether a feature budget bounds the mean over classes instead of each feature

    Raises
    ------
    InputError
        A norm that is not finite and positive, or ``average`` that is not a bool.

    Examples
    --------
    >>> FixedETF().penalty(NormBudget(1.0, 5.0), 2).kind
    'caps'
    """

    norm: float | None = None
    average: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.average, bool):
            raise InputError(f"average is {self.average!r}; give True (mean over classes) or False (every feature)")
        if self.norm is not None:
            if not (
                isinstance(self.norm, Real)
                and not isinstance(self.norm, bool)
                and isfinite(self.norm)
                and 1e-150 < self.norm < 1e150
            ):
                raise InputError(f"norm is {self.norm!r}: give |w_k|^2 as a finite positive number, or leave it out")
            object.__setattr__(self, "norm", float(self.norm))

    columns = True
    verified = True
    spelling = Spelling("etf", "etf[:norm=X,average]", optional={"norm": "norm"}, flags=("average",))

    def refuses(self, counts: ClassCounts, loss: Loss, regularizer: WeightDecay | NormBudget, dim: int | None) -> str | None:
        n_classes = counts.classes
        if dim is not None and dim < n_classes - 1:
            return f"dim={dim} is too small for the head etf: a simplex ETF of K={n_classes} needs dim >= {n_classes - 1}"
        if not loss.plain_cross_entropy:
            return f"loss {loss} does not go with the head etf; only plain cross-entropy (ce) is solved there"
        if regularizer.bias_decay() is not None:
            return "a bias does not go with the head etf; leave the bias decay out"
        if isinstance(regularizer, NormBudget) and self.norm not in (None, regularizer.weight):
            return f"norm={self.norm} contradicts the budget E_W={regularizer.weight}: W is fixed, so leave norm out"
        if self.average and not isinstance(regularizer, NormBudget):
            return "average concerns budgets, and the problem has decay; leave it out"
        return None

    def strength(self, regularizer: Regularizer) -> float:
        """Squared norm ``|w_k|^2`` of each classifier."""
        if isinstance(regularizer, NormBudget):
            return regularizer.weight
        return 1.0 if self.norm is None else self.norm

    def stretch(self, regularizer: Regularizer, n_classes: int) -> float:
        """The only positive singular value of W: ``|z| = stretch |h|`` for features h in its row space."""
        return sqrt(self.strength(regularizer) * n_classes / (n_classes - 1))

    def penalty(self, regularizer: WeightDecay | NormBudget, n_classes: int) -> ColumnPenalty:
        stretch = self.stretch(regularizer, n_classes)
        if isinstance(regularizer, WeightDecay):
            return ColumnPenalty("price", regularizer.features / stretch**2, 2)
        radius = stretch * sqrt(regularizer.features)
        regularizer.check_logit(radius * sqrt(n_classes) if self.average else radius)
        return ColumnPenalty("ball", radius * sqrt(n_classes), 2) if self.average else ColumnPenalty("caps", radius, 2)

    def width(self, n_classes: int) -> int:
        return n_classes - 1

    def spent(self, columns: Floats) -> float:
        return float(columns.sum() if self.average else len(columns) * columns.max())

    def project_budget(self, features: Floats, weights: Floats, regularizer: NormBudget, n_classes: int) -> Floats:
        if self.average:
            return super().project_budget(features, weights, regularizer, n_classes)
        lengths = np.linalg.norm(features, axis=0)
        return features * np.minimum(1.0, np.sqrt(regularizer.features) / lengths)

    def fixed_weight(self, regularizer: Regularizer, n_classes: int, dim: int) -> Floats:
        weight = np.zeros((n_classes, dim))
        weight[:, : n_classes - 1] = self.stretch(regularizer, n_classes) * centred_frame(n_classes)
        return weight

    def recover(self, left: Floats, singular: Floats, right: Floats, scale: Floats, regularizer: Regularizer) -> Parameters:
        weight = self.fixed_weight(regularizer, *left.shape)
        features = np.linalg.pinv(weight) @ ((left * singular) @ right)
        return Parameters(weight, features)

    def certificate(self) -> dict[str, object]:
        norm = None if self.norm is None else str(Fraction(self.norm))
        return {"kind": "fixed_etf", "norm": norm, "average": self.average}

    def __str__(self) -> str:
        options = [f"norm={self.norm:g}"] if self.norm is not None else []
        options += ["average"] if self.average else []
        return "etf" + (":" + ",".join(options) if options else "")
