"""The explicit head: a classifier on free features (unconstrained-feature / layer-peeled model)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ufm.errors import InputError
from ufm.problem.heads.base import Floats, Parameters, Pullback


@dataclass(frozen=True)
class Explicit:
    """Logits ``W h``: penalty ``mu sigma`` under weight decay, ``||Z||_* <= K c`` under norm budgets.

    The variational identity ``min_{WH=Z} (lw |W|^2 + lh |H|^2) / 2 = sqrt(lw lh) ||Z||_*`` is Srebro, Rennie &
    Jaakkola (NeurIPS 2004), Lemma 1.

    >>> Explicit().gain
    1.0
    """

    @property
    def gain(self) -> float:
        return 1.0

    @property
    def exact_gain(self) -> Fraction:
        return Fraction(1)

    def recover(self, weight: Floats, outputs: Floats) -> Parameters:
        return Parameters(weight, outputs)

    def initial(self, dim: int, rng: np.random.Generator) -> None:
        return None

    def forward(self, mixing: Floats | None, features: Floats) -> tuple[Floats, Pullback]:
        return features, lambda slope: (slope, None)

    def project(self, mixing: Floats | None) -> Floats | None:
        return mixing

    def admits(self, mixing: Floats | None) -> bool:
        if mixing is not None:
            raise InputError("parameters have a mixing matrix A, which the explicit head does not")
        return True

    def certificate(self) -> dict[str, object]:
        return {"kind": "explicit"}

    def __str__(self) -> str:
        return "explicit"
