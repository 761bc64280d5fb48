"""The head on features of a fixed norm, as after LayerNorm or RMSNorm."""

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
from ufm.problem.regularizers import ClassifierDecay, Regularizer
from ufm.problem.spelling import Spelling
from ufm.spectral.normalised import contrast_factors
from ufm.spectral.penalties import FeatureNorms
from ufm.spectral.program import Factors, LogitProgram
from ufm.targets.counts import ClassCounts

NORMS = 1e-30, 1e30
"""Norms of features outside of which the effective decay is beyond float64."""


@dataclass(frozen=True)
class LayerNorm(Head):
    r"""Every feature has the norm ``norm``, as after LayerNorm or RMSNorm; only the classifier is decayed.

    Minimise ``mean loss + lw/2 ||W||_F^2`` over W and features with ``|h_ki| = norm``. The norm only rescales the decay, to
    ``lw / norm^2``. The price of logits Z is ``lw/(2 norm^2) max_q ||Z diag(q)^{1/2}||_*^2`` over weights q of the classes
    that sum to one: weight decay at the worst class weights (docs/theory, Propositions 12.1 and 12.2). The program over logits
    has the optimum of the model for ``dim >= K`` (cross-entropy) or ``K + 1`` (other losses). Tables of targets have weights of
    contexts in place of classes (Proposition 12.13).

    A linear equilibrium ``z = A z + x`` below the norm changes nothing: ``x = (I - A) z`` attains every z, so that the features
    are still all vectors of this norm. A decay of A, however small, makes A zero at every stationary point (Proposition 12.14).

    Parameters
    ----------
    norm : float > 0, norm of every feature: ``sqrt(d)`` for LayerNorm without an affine map in d dimensions

    Raises
    ------
    InputError
        A norm that is not finite and positive.

    Examples
    --------
    >>> LayerNorm(norm=2.0).penalty(ClassifierDecay(0.04), 10).effective
    0.01
    """

    norm: float = 1.0
    normalised = True
    verified = True
    bilinear = True
    constrained = True
    spare = 1
    spelling = Spelling("layernorm", "layernorm[:norm=R]", optional={"norm": "norm"})

    def __post_init__(self) -> None:
        known = isinstance(self.norm, Real) and not isinstance(self.norm, bool)
        if not (known and isfinite(self.norm) and NORMS[0] <= self.norm <= NORMS[1]):
            raise InputError(f"norm is {self.norm!r}: give the norm of every feature as a finite positive number, such as 1")
        object.__setattr__(self, "norm", float(self.norm))

    def refuses(self, counts: ClassCounts, loss: Loss, regularizer: Regularizer, dim: int | None) -> str | None:
        if not loss.convex:
            return f"loss {loss} does not go with the head {self}, whose bounds need a convex loss; choose ce, bce or mse"
        return None

    def penalty(self, regularizer: Regularizer, n_classes: int) -> FeatureNorms:
        if not isinstance(regularizer, ClassifierDecay):
            raise InputError(
                f"regularizer is {regularizer} and head {self}: features of a fixed norm have no decay and no budget; give one "
                "decay, of the classifier (ClassifierDecay(LW), or --decay LW)"
            )
        found = FeatureNorms(regularizer.weight, self.norm)
        if not 1e-20 <= found.effective <= 1e20:
            raise InputError(
                f"decay {regularizer.weight:g} over the squared norm {self.norm:g}^2 is {found.effective:.3g}; give a decay "
                "and a norm for which this lies between 1e-20 and 1e20"
            )
        return found

    def contrast_parts(self, program: LogitProgram, factors: Factors, regularizer: Regularizer) -> tuple[Floats, Floats]:
        return contrast_factors(program, factors.contrast, self.penalty(regularizer, program.classes).effective)

    def settled(self, weight: Floats, features: Floats, used: int) -> Parameters:
        """Features are scaled so that the longest has the norm; where a dimension is left, it makes up what others lack."""
        longest = float(np.linalg.norm(features, axis=0).max())
        stretch = longest / self.norm if longest > 0 else 1.0
        weight, features = weight * stretch, features / stretch
        if used < len(features):
            features[used] = np.sqrt(np.maximum(self.norm**2 - np.sum(features**2, axis=0), 0.0))
        return Parameters(weight, features)

    def project_features(self, features: Floats) -> Floats:
        lengths = np.linalg.norm(features, axis=0)
        return features * (self.norm / np.where(lengths > 0, lengths, 1.0))

    def start_features(self, features: Floats) -> Floats:
        return self.project_features(features)

    def admits(self, parameters: Parameters, regularizer: Regularizer) -> bool:
        """Whether no feature is longer than the norm, up to a relative 1e-9."""
        self.arrays(parameters)
        return bool(np.linalg.norm(parameters.features, axis=0).max() <= self.norm * (1 + 1e-9))

    def certificate(self) -> dict[str, object]:
        return {"kind": "layer_norm", "norm": str(Fraction(self.norm))}

    def __str__(self) -> str:
        return "layernorm" if self.norm == 1.0 else f"layernorm:norm={self.norm:g}"
