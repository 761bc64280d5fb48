"""Penalties on the singular values of the (weighted) logits: all that an architecture is, to the optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@runtime_checkable
class Penalty(Protocol):
    """A function of singular values ``sigma_i`` that occur ``copies_i`` times each."""

    convex: bool

    def value(self, singular: Floats, copies: Floats) -> float:
        """The penalty; ``copies`` (same shape as ``singular``) are multiplicities."""
        ...

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        """Minimiser of ``sum_i copies_i (s_i - sigma_i)^2 / (2 step_i) + penalty(s)`` and its multiplier."""
        ...


@dataclass(frozen=True)
class Nuclear:
    """``weight * sum_i sigma_i``: weight decay, ``weight = sqrt(lambda_W lambda_H)`` over the head's gain."""

    weight: float
    convex = True

    def value(self, singular: Floats, copies: Floats) -> float:
        return self.weight * float(copies @ singular)

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        return np.maximum(singular - step * self.weight, 0.0), self.weight


@dataclass(frozen=True)
class NuclearBall:
    """``sum_i sigma_i <= radius``: norm budgets, ``radius = K sqrt(E_W E_H)`` times the head's gain."""

    radius: float
    convex = True

    def value(self, singular: Floats, copies: Floats) -> float:
        """0 inside (up to rounding), infinite outside."""
        return 0.0 if float(copies @ singular) <= self.radius * (1 + 1e-12) else np.inf

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        """Projection: ``s_i = max(sigma_i - step_i m, 0)`` with the multiplier m that meets the radius."""
        if float(copies @ singular) <= self.radius:
            return singular.copy(), 0.0
        weight = copies * step
        active = copies > 0
        # The multiplier of the active set only grows as values below its threshold are dropped.
        while True:
            multiplier = (float(copies[active] @ singular[active]) - self.radius) / float(weight[active].sum())
            kept = singular - step * multiplier
            still = active & (kept > 0)
            if still.sum() == active.sum() or not still.any():
                return np.maximum(kept, 0.0), multiplier
            active = still
