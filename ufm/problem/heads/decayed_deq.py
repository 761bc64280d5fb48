"""The linear deep-equilibrium head with weight decay on its map."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.problem.heads.base import Arrays, Directions, Parameters, split_sizes
from ufm.problem.heads.equilibrium import Equilibrium, clip_spectrum
from ufm.problem.losses import Loss
from ufm.problem.regularizers import NormBudget, Regularizer, WeightDecay
from ufm.problem.spelling import Spelling
from ufm.spectral.penalties import MinimaxConcave, Penalty
from ufm.targets.counts import ClassCounts


@dataclass(frozen=True)
class DecayedDEQ(Equilibrium):
    r"""Equilibria ``z = A z + h`` with ``decay/2 ||A||_F^2`` added to the objective and ``||A||_2 <= contraction < 1``.

    The penalty is minimax concave, ``mu s (1 - a) + decay a^2 / 2`` with ``a = min(mu s / decay, contraction)``, and exact for
    every width (docs/theory, Proposition 5.4). Not convex. As decay grows it becomes the explicit head.

    Parameters
    ----------
    decay : float > 0
        ``lambda_A``, half convention.
    contraction : float in (0, 1)
        Required. Without it the price of a singular value never exceeds ``decay / 2``, and the infimum need not be attained:
        it is not for small decay (docs/theory, Proposition 5.5).

    Raises
    ------
    InputError
        A decay or a contraction out of range, or no contraction.

    Examples
    --------
    >>> DecayedDEQ(0.05, 0.5).penalty(WeightDecay(2.5e-3, 2.5e-3), 10).knee
    10.0
    """

    decay: float
    contraction: float | None = None
    spelling = Spelling(
        "deq", "deq:decay=LA,contraction=G", required={"decay": "decay"}, optional={"contraction": "contraction"}
    )

    def __post_init__(self) -> None:
        if not (isinstance(self.decay, Real) and not isinstance(self.decay, bool) and 1e-100 < self.decay < 1e100):
            raise InputError(f"decay on A is {self.decay!r}: give a positive number such as 0.05 (1e-100 to 1e100)")
        if self.contraction is None:
            raise InputError(
                "contraction is missing: with decay on A alone the infimum need not be attained (as ||A||_2 -> 1 logits grow "
                "without end for at most decay/2 each); give contraction=G with 0 < G < 1"
            )
        if not (isinstance(self.contraction, Real) and 0 < self.contraction < 1):
            raise InputError(f"contraction={self.contraction!r} must satisfy 0 < contraction < 1, so that equilibria exist")
        for name in ("decay", "contraction"):
            object.__setattr__(self, name, float(getattr(self, name)))

    def refuses(self, counts: ClassCounts, loss: Loss, regularizer: WeightDecay | NormBudget, dim: int | None) -> str | None:
        if isinstance(regularizer, NormBudget):
            return f"head {self} prices its map A and needs decay on W and H too: give WeightDecay (--decay), not budgets"
        return None

    @property
    def limit(self) -> float:
        assert self.contraction is not None
        return self.contraction

    def penalty(self, regularizer: WeightDecay | NormBudget, n_classes: int) -> Penalty:
        if isinstance(regularizer, NormBudget):
            raise InputError(f"head {self} needs WeightDecay, not {regularizer}")
        return MinimaxConcave(regularizer.mu, self.decay, self.limit)

    def largest_decay(self) -> float:
        return self.decay

    def strengths(self, singular: Floats, regularizer: Regularizer) -> Floats:
        """(n,) singular values of the optimal A along the directions of these singular values (n,) of the scaled logits."""
        assert isinstance(regularizer, WeightDecay)
        return np.minimum(regularizer.mu * singular / self.decay, self.limit)

    def directions(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> Directions:
        a = self.strengths(singular, regularizer)
        return Directions(*split_sizes(singular * (1.0 - a), regularizer), a)

    def price(self, arrays: Arrays, regularizer: Regularizer) -> tuple[float, Arrays]:
        return 0.5 * self.decay * float(np.sum(arrays[0] ** 2)), (self.decay * arrays[0],)

    def project(self, arrays: Arrays, regularizer: Regularizer, n_classes: int) -> Arrays:
        return (clip_spectrum(arrays[0], self.limit),)

    def admits(self, parameters: Parameters, regularizer: Regularizer) -> bool:
        return float(np.linalg.norm(self.arrays(parameters)[0], 2)) <= self.limit * (1 + 1e-9)

    def certificate(self) -> dict[str, object]:
        return {"kind": "decayed_deq", "decay": str(Fraction(self.decay)), "contraction": str(Fraction(self.limit))}

    def __str__(self) -> str:
        return f"deq:decay={self.decay:g},contraction={self.contraction:g}"
