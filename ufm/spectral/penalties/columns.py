r"""Penalties on the column norms ``s_k |z_k|`` of the logits: heads that are not free to rotate their features.

* Non-negative features (ReLU): the price ``mu sum_k s_k |z_k|`` is attained for every Z, and is exact at the optimum of plain
  cross-entropy. Lower bounds need columns of the dual matrix G with non-positive inner products (docs/theory, Propositions
  1.9 and 2.9; the model is that of Dang et al., arXiv 2401.02058, locator unknown).
* A classifier fixed to a simplex ETF: ``H = W^+ Z``, so decay and budgets of the features act on ``|z_k|`` (Proposition 1.8).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm._arrays import Floats
from ufm.spectral.penalties.base import Penalty


@dataclass(frozen=True)
class ColumnPenalty(Penalty):
    """A price ``strength sum_k c_k^p / p`` on scaled column norms c, or a bound on them.

    Parameters
    ----------
    kind : {"price", "ball", "caps"}
        The sum itself, ``(sum_k c_k^p)^{1/p} <= strength``, or ``c_k <= strength`` for each k.
    strength : float > 0, the factor of a price, the bound of a ball or of caps
    power : {1, 2}, the exponent p
    nonnegative : bool
        Whether lower bounds need columns of G with non-positive inner products.
    """

    kind: str
    strength: float
    power: int
    nonnegative: bool = False
    convex = True
    columns = True
    separable = False

    @property
    def ball(self) -> bool:  # type: ignore[override]
        """Whether it is a constraint."""
        return self.kind != "price"

    def value(self, singular: Floats, copies: Floats) -> float:
        """The price at scaled column norms ``singular`` (n,), or 0 inside a bound and infinite outside."""
        if self.kind == "price":
            return self.strength * float(copies @ singular**self.power) / self.power
        return 0.0 if self.gauge(singular, copies) <= 1 + 1e-12 else np.inf

    def gauge(self, singular: Floats, copies: Floats) -> float:
        if self.kind == "price":
            return 0.0
        if self.kind == "caps":
            return float(singular.max()) / self.strength
        return float(copies @ singular**self.power) ** (1.0 / self.power) / self.strength

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        raise TypeError("penalties on columns are solved in closed form, without slopes")

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        raise TypeError("penalties on columns are solved in closed form, without a proximal map")

    def support(self, norms: Floats, copies: Floats) -> float:
        """Largest inner product ``<G, X>`` over the X inside the bound; ``norms`` (n,) are the column norms of G."""
        if self.kind == "caps":
            return self.strength * float(copies @ norms)
        if self.power == 2:
            return self.strength * float(np.sqrt(copies @ norms**2))
        return self.strength * float(norms.max())

    def relaxed(self, upper: float) -> ColumnPenalty:
        return self
