"""The head on cosines: features and classifiers of fixed norms."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from numbers import Real

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.problem.heads.base import Head, Parameters
from ufm.problem.losses import Loss
from ufm.problem.regularizers import LARGEST_LOGIT, NoDecay, Regularizer
from ufm.problem.spelling import Spelling
from ufm.spectral.normalised import cosine_factors
from ufm.spectral.penalties import Cosines
from ufm.spectral.program import Factors, LogitProgram
from ufm.targets.counts import ClassCounts


@dataclass(frozen=True)
class Cosine(Head):
    r"""Logits ``scale cos(w_j, h)``: features and classifiers have fixed norms, and nothing is decayed.

    Minimise the mean loss over W with ``|w_j| = scale`` and features with ``|h_ki| = 1``. In logits Z the constraint is
    ``gamma_2(Z) <= scale``, with the max-norm ``gamma_2(Z)``: the largest ``||diag(p)^{1/2} Z diag(q)^{1/2}||_*`` over weights
    p of the rows and q of the columns (docs/theory, Propositions 12.10 and 12.11). The program over logits has the optimum of
    the model for ``dim >= K + 2``.

    Parameters
    ----------
    scale : float > 0, the inverse temperature s of the cosine softmax, at most 200

    Raises
    ------
    InputError
        A scale that is not finite and positive, or beyond what float64 can certify.

    Examples
    --------
    >>> Cosine(scale=8.0).penalty(NoDecay(), 10).scale
    8.0
    """

    scale: float
    normalised = True
    verified = True
    constrained = True
    undecayed = True
    centred = False
    spare = 2
    spelling = Spelling("cosine", "cosine:scale=S", required={"scale": "scale"})

    def __post_init__(self) -> None:
        known = isinstance(self.scale, Real) and not isinstance(self.scale, bool)
        if not (known and isfinite(self.scale) and 1e-6 <= self.scale <= LARGEST_LOGIT):
            raise InputError(
                f"scale is {self.scale!r}: give the factor of the cosines as a positive number of at most {LARGEST_LOGIT:g}, "
                "beyond which the loss is too small for float64 arithmetic to certify"
            )
        object.__setattr__(self, "scale", float(self.scale))

    def refuses(self, counts: ClassCounts, loss: Loss, regularizer: Regularizer, dim: int | None) -> str | None:
        if not loss.convex:
            return f"loss {loss} does not go with the head {self}, whose bounds need a convex loss; choose ce, bce or mse"
        return None

    def penalty(self, regularizer: Regularizer, n_classes: int) -> Cosines:
        if not isinstance(regularizer, NoDecay):
            raise InputError(
                f"regularizer is {regularizer} and head {self}: features and classifiers of fixed norms have no decay and no "
                "budget; give NoDecay() (neither --decay nor --budget)"
            )
        return Cosines(self.scale)

    def contrast_parts(self, program: LogitProgram, factors: Factors, regularizer: Regularizer) -> tuple[Floats, Floats]:
        return cosine_factors(program, factors, self.scale)

    def settled(self, weight: Floats, features: Floats, used: int) -> Parameters:
        """Features are scaled so that the longest has norm one; two more dimensions, where there are, fill up both norms."""
        longest = float(np.linalg.norm(features, axis=0).max())
        if longest > 0:
            weight, features = weight * longest, features / longest
        if used + 1 < len(features):
            features[used] = np.sqrt(np.maximum(1.0 - np.sum(features**2, axis=0), 0.0))
            weight[:, used + 1] = np.sqrt(np.maximum(self.scale**2 - np.sum(weight**2, axis=1), 0.0))
        return Parameters(weight, features)

    def project_features(self, features: Floats) -> Floats:
        lengths = np.linalg.norm(features, axis=0)
        return features / np.where(lengths > 0, lengths, 1.0)

    def start_features(self, features: Floats) -> Floats:
        return self.project_features(features)

    def admits(self, parameters: Parameters, regularizer: Regularizer) -> bool:
        """Whether no classifier is longer than the scale, and no feature than one, up to a relative 1e-9."""
        self.arrays(parameters)
        rows = np.linalg.norm(parameters.weight, axis=1).max() <= self.scale * (1 + 1e-9)
        return bool(rows and np.linalg.norm(parameters.features, axis=0).max() <= 1 + 1e-9)

    def certificate(self) -> dict[str, object]:
        return {"kind": "cosine", "scale": str(Fraction(self.scale))}

    def __str__(self) -> str:
        return f"cosine:scale={self.scale:g}"
