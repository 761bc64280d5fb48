"""What a head is to the rest of the toolkit: a penalty, explicit parameters, and the way back to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pullback = Callable[[Floats], tuple[Floats, Floats | None]]


@dataclass(frozen=True)
class Parameters:
    """Explicit parameters of a model.

    weight : (K, d) classifier W, rows w_k
    features : (d, K) class means of the free features H (the input h0 of an equilibrium head)
    mixing : (d, d) or None, the equilibrium map A
    bias : (K,) or None
    """

    weight: Floats
    features: Floats
    mixing: Floats | None = None
    bias: Floats | None = None

    @property
    def outputs(self) -> Floats:
        """(d, K) last-layer features: H, or the equilibria ``(I - A)^{-1} H``."""
        if self.mixing is None:
            return self.features
        return np.asarray(np.linalg.solve(np.eye(len(self.mixing)) - self.mixing, self.features), dtype=np.float64)

    @property
    def logits(self) -> Floats:
        """(K, K) logits, column k those of class k."""
        plain = self.weight @ self.outputs
        return plain if self.bias is None else plain + self.bias[:, None]


class Head(Protocol):
    """A last-layer architecture above free features. Adding one is one new file with these members.

    gain : largest factor by which the head enlarges features at no cost in the regulariser; the optimum depends on
        the head only through it (spectral heads), as the penalty ``Phi(sigma / gain)``.
    """

    @property
    def gain(self) -> float: ...

    @property
    def exact_gain(self) -> Fraction:
        """`gain` without rounding."""
        ...

    def recover(self, weight: Floats, outputs: Floats) -> Parameters:
        """Parameters with ``weight @ equilibria = weight @ outputs`` at the least cost."""
        ...

    def initial(self, dim: int, rng: np.random.Generator) -> Floats | None:
        """A random start for the head's own parameters, or None if it has none."""
        ...

    def forward(self, mixing: Floats | None, features: Floats) -> tuple[Floats, Pullback]:
        """Last-layer features of ``features`` (d, n), and the map from their gradient to those of H and A."""
        ...

    def project(self, mixing: Floats | None) -> Floats | None:
        """Nearest admissible parameters."""
        ...

    def admits(self, mixing: Floats | None) -> bool:
        """Whether these parameters of the head are allowed (up to a relative 1e-9)."""
        ...

    def certificate(self) -> dict[str, object]:
        """The head's part of a saved certificate, numbers as exact rationals."""
        ...
