"""The explicit head: linear layers on free features (unconstrained-feature / layer-peeled model, and its deep version)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import exp, log
from numbers import Integral

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.problem.heads.base import Arrays, Directions, FeaturePullback, Head, Parameters, split_sizes
from ufm.problem.regularizers import NormBudget, Regularizer, WeightDecay
from ufm.problem.spelling import Spelling
from ufm.spectral.penalties import Nuclear, NuclearBall, Penalty, Schatten, SchattenBall

MAX_LAYERS = 50


@dataclass(frozen=True)
class Explicit(Head):
    r"""Logits ``W V_{L-1} ... V_1 h``: L linear layers above free features; every layer has W's decay or W's budget.

    * L = 1 (default): penalty ``mu sigma`` under decay, ``||Z||_* <= K c`` under budgets (docs/theory, Proposition 1.2;
      Srebro, Rennie & Jaakkola, NeurIPS 2004, Lemma 1).
    * L >= 2: ``(L+1)/2 (lw^L lh)^{1/(L+1)} sigma^{2/(L+1)}``, or ``sum sigma^{2/(L+1)} <= ((K E_W)^L K E_H)^{1/(L+1)}``
      (Proposition 1.6). Not convex.

    Parameters
    ----------
    layers : int >= 1, at most 50, the number L of linear layers, W included

    Raises
    ------
    InputError
        A number of layers that is not whole or out of range.

    Examples
    --------
    >>> Explicit().penalty(WeightDecay(1e-3, 4e-3), 10)
    Nuclear(strength=0.002)
    """

    layers: int = 1
    verified = True
    spelling = Spelling("explicit", "explicit[:L]", positional="layers")

    def __post_init__(self) -> None:
        if not (isinstance(self.layers, Integral) and not isinstance(self.layers, bool) and 1 <= self.layers <= MAX_LAYERS):
            raise InputError(
                f"layers is {self.layers!r}: give the depth as a whole number from 1 (W alone) to {MAX_LAYERS}; "
                "with depth 0 there is no classifier"
            )
        object.__setattr__(self, "layers", int(self.layers))

    @property
    def power(self) -> float:
        """Exponent ``2 / (L + 1)`` of singular values in the penalty."""
        return 2.0 / (self.layers + 1)

    @property
    def bilinear(self) -> bool:  # type: ignore[override]
        """Whether there is one layer only."""
        return self.layers == 1

    @property
    def exact_gain(self) -> Fraction | None:
        return Fraction(1) if self.layers == 1 else None

    def penalty(self, regularizer: WeightDecay | NormBudget, n_classes: int) -> Penalty:
        depth = self.layers + 1
        if isinstance(regularizer, NormBudget):
            if self.layers == 1:
                return NuclearBall(regularizer.radius(n_classes))
            level = _mean(n_classes * regularizer.weight, n_classes * regularizer.features, self.layers)
            regularizer.check_logit(level ** (0.5 * depth))
            return SchattenBall(level, self.power)
        if self.layers == 1:
            return Nuclear(regularizer.mu)
        return Schatten(0.5 * depth * _mean(regularizer.weight, regularizer.features, self.layers), self.power)

    def directions(self, singular: Floats, copies: Floats, regularizer: Regularizer) -> Directions:
        """All layers have the same singular values; those of the features differ by the balance of decays or budgets."""
        if self.layers == 1:
            return Directions(*split_sizes(singular, regularizer))
        depth = self.layers + 1
        power = regularizer.balance() ** (0.5 / depth)
        root = singular ** (1.0 / depth)
        weight = root * power
        # Dividing by the rounded product of the layers keeps the product of all factors accurate.
        inner = weight**self.layers
        features = np.where(inner > 0, singular / np.where(inner > 0, inner, 1.0), 0.0)
        return Directions(weight, features, layers=(weight,) * (self.layers - 1))

    def initial(self, dim: int, rng: np.random.Generator, scale: float) -> Arrays:
        # Of the size of the identity: with small factors the product would start too close to the saddle point at zero.
        return tuple(np.eye(dim) * 0.5 + scale * rng.standard_normal((dim, dim)) / np.sqrt(dim) for _ in range(self.layers - 1))

    def forward(self, arrays: Arrays, features: Floats) -> tuple[Floats, FeaturePullback]:
        inputs = [features]
        for layer in arrays:
            inputs.append(layer @ inputs[-1])

        def pullback(slope: Floats) -> tuple[Floats, Arrays]:
            slopes = []
            for layer, entered in zip(reversed(arrays), reversed(inputs[:-1]), strict=True):
                slopes.append(slope @ entered.T)
                slope = layer.T @ slope
            return slope, tuple(reversed(slopes))

        return inputs[-1], pullback

    def price(self, arrays: Arrays, regularizer: Regularizer) -> tuple[float, Arrays]:
        if not isinstance(regularizer, WeightDecay):
            return 0.0, tuple(np.zeros_like(a) for a in arrays)
        value = 0.5 * regularizer.weight * float(sum(np.sum(a**2) for a in arrays))
        return value, tuple(regularizer.weight * a for a in arrays)

    def project(self, arrays: Arrays, regularizer: Regularizer, n_classes: int) -> Arrays:
        if not isinstance(regularizer, NormBudget):
            return arrays
        limit = np.sqrt(n_classes * regularizer.weight)
        return tuple(a * min(1.0, limit / max(float(np.linalg.norm(a)), 1e-300)) for a in arrays)

    def arrays(self, parameters: Parameters) -> Arrays:
        if parameters.mixing is not None or len(parameters.layers) != self.layers - 1:
            raise InputError(
                f"parameters have a mixing matrix A or {len(parameters.layers)} linear layers between H and W, "
                f"where the head {self} has {self.layers - 1} and no A"
            )
        return parameters.layers

    def parameters(self, weight: Floats, features: Floats, arrays: Arrays, bias: Floats | None) -> Parameters:
        return Parameters(weight, features, None, bias, arrays)

    def admits(self, parameters: Parameters, regularizer: Regularizer) -> bool:
        arrays = self.arrays(parameters)
        if not isinstance(regularizer, NormBudget):
            return True
        limit = len(parameters.weight) * regularizer.weight * (1 + 1e-9)
        return all(float(np.sum(a**2)) <= limit for a in arrays)

    def amplification(self, arrays: Arrays) -> float:
        return float(np.prod([np.linalg.norm(a, 2) for a in arrays])) if arrays else 1.0

    def certificate(self) -> dict[str, object]:
        return {"kind": "explicit", "layers": self.layers}

    def __str__(self) -> str:
        return "explicit" if self.layers == 1 else f"explicit:{self.layers}"


@lru_cache(maxsize=256)
def _mean(weight: float, features: float, layers: int) -> float:
    """Geometric mean ``(weight^layers features)^(1 / (layers + 1))`` to two units in the last place."""
    depth = layers + 1
    found = exp((layers * log(weight) + log(features)) / depth)
    # One Newton step in exact arithmetic removes the error of the exponential of a rounded logarithm.
    return found * (1.0 + (float(Fraction(weight) ** layers * Fraction(features) / Fraction(found) ** depth) - 1.0) / depth)
