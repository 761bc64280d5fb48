r"""The price of logits under features of bounded norm and a decayed classifier.

For logits Z it is ``decay/2 min{||W||_F^2 : Z = W H, |h_k| <= norm}``, which is ``decay/(2 norm^2)`` times the largest
``||Z diag(q)^{1/2}||_*^2`` over weights q of the classes (docs/theory, Proposition 12.2). It depends on more than the singular
values of Z, so that its programs are solved through programs with a nuclear norm that lie below them
(`ufm.spectral.normalised`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ufm._arrays import Floats
from ufm.spectral.penalties.base import Ball, Price


@dataclass(frozen=True)
class FeatureNorms(Price):
    """``decay/2 ||W||_F^2`` at the cheapest W whose features have norms of at most ``norm``.

    Parameters
    ----------
    decay : float > 0, ``lambda_W``
    norm : float > 0, bound on the norm of each feature
    """

    decay: float
    norm: float
    convex = True
    separable = False
    feature_norms = True

    @property
    def effective(self) -> float:
        """``decay / norm^2``: the decay at which features of norm one have the same logits at the same price."""
        return self.decay / self.norm / self.norm

    def value(self, singular: Floats, copies: Floats) -> float:
        raise TypeError("this price depends on the columns of the logits; see ufm.spectral.normalised")

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        raise TypeError("this price depends on the columns of the logits; see ufm.spectral.normalised")

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        raise TypeError("this price depends on the columns of the logits; see ufm.spectral.normalised")

    def relaxed(self, upper: float) -> FeatureNorms:
        return self


@dataclass(frozen=True)
class Cosines(Ball):
    """``gamma_2(Z) <= scale``: logits ``W H`` with ``|w_j| <= scale`` and ``|h_k| <= 1`` (docs/theory, Proposition 12.10).

    Parameters
    ----------
    scale : float > 0
    """

    scale: float
    convex = True
    feature_norms = True
    row_norms = True

    def gauge(self, singular: Floats, copies: Floats) -> float:
        raise TypeError("this constraint depends on the rows and columns of the logits; see ufm.spectral.normalised")

    def slope(self, singular: Floats, copies: Floats) -> Floats:
        raise TypeError("this constraint depends on the rows and columns of the logits; see ufm.spectral.normalised")

    def prox(self, singular: Floats, copies: Floats, step: Floats) -> tuple[Floats, float]:
        raise TypeError("this constraint depends on the rows and columns of the logits; see ufm.spectral.normalised")

    def relaxed(self, upper: float) -> Cosines:
        return self
