r"""Penalties on the column norms ``s_k |z_k|`` of the logits: heads that are not free to rotate their features.

* Non-negative features (ReLU). One feature dimension per class, ``H = diag(h) >= 0``, costs ``mu sum_k s_k |z_k|``. This
  bounds the model from above for every Z. From below: with ``G = (P - I) diag(pi) S^{-1}`` the penalised bilinear form is
  bounded if ``mu^2 I - G'G`` is *copositive*, for which ``|g_k| <= mu`` suffices where the columns of G have non-positive
  inner products. At the optimum both meet (Dang et al., arXiv 2401.02058, for the model).
* A classifier fixed to a simplex ETF. ``H = W^+ Z``, so the features' decay and budgets are those of ``|z_k|``; convex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm._arrays import Floats


@dataclass(frozen=True)
class ColumnPenalty:
    """A price ``weight sum_k c_k^p / p`` on scaled column norms c, or a bound on them.

    kind : {"price", "ball", "caps"}: the sum itself, ``(sum_k c_k^p)^{1/p} <= weight``, or ``c_k <= weight`` for each k
    weight : float
    power : {1, 2}
    nonnegative : whether lower bounds need columns of G with non-positive inner products
    """

    kind: str
    weight: float
    power: int
    nonnegative: bool = False
    convex = True
    columns = True
    separable = False
    modulus = 0.0

    @property
    def ball(self) -> bool:
        """Whether it is a constraint."""
        return self.kind != "price"

    def value(self, norms: Floats, copies: Floats) -> float:
        """The price of scaled column norms, or 0 inside a bound and infinite outside."""
        if self.kind == "price":
            return self.weight * float(copies @ norms**self.power) / self.power
        return 0.0 if self.gauge(norms, copies) <= 1 + 1e-12 else np.inf

    def gauge(self, norms: Floats, copies: Floats) -> float:
        """How many times the bound must grow to hold these norms."""
        if self.kind == "price":
            return 0.0
        if self.kind == "caps":
            return float(norms.max()) / self.weight
        return float(copies @ norms**self.power) ** (1.0 / self.power) / self.weight

    def accuracy(self, singular: Floats) -> float:
        """See `Penalty.accuracy`."""
        return len(singular) + 24.0

    def relaxed(self, upper: float) -> ColumnPenalty:
        return self
