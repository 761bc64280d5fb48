"""Cross-entropy of logits, column by column in block form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ufm.spectral.program import ColumnLoss

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CrossEntropy:
    """``log sum_j exp z_j - z_k`` in nats, mean over samples.

    Logits come as a (G + 1, G) array: column h belongs to a class of group h, row g < G is the logit of every *other*
    class of group g (``multiplicity[g, h]`` of them), and row G is the logit of the class itself.
    """

    name = "ce"

    def columns(self, logits: Floats, multiplicity: Floats) -> ColumnLoss:
        """Loss and derivatives; stable for logits of any size, relatively accurate for losses near zero."""
        margin = logits - logits[-1]
        top = np.maximum.reduce(margin, axis=0, initial=0.0)
        mass = multiplicity * np.exp(margin - top)
        others = np.add.reduce(mass[:-1], axis=0)
        total = mass[-1] + others
        values = np.where(top > 0, top + np.log(total), np.log1p(others)) if top.any() else np.log1p(others)
        mass /= total
        gradient = mass.copy()
        gradient[-1] = -others / total
        return ColumnLoss(values, gradient, mass, mass)

    def entropy(self, shares: Floats, multiplicity: Floats) -> Floats:
        """(G,) minus the convex conjugate at ``p - e_k``: the entropy of each column of probabilities.

        ``shares`` (G, G) are the probabilities of single other classes; the class itself has the rest.
        """
        rest = (multiplicity[:-1] * shares).sum(axis=0)
        terms = np.where(shares > 0, -shares * np.log(np.where(shares > 0, shares, 1.0)), 0.0)
        keep = np.maximum(1.0 - rest, 0.0)
        own = np.where(keep > 0, -keep * np.log1p(-np.minimum(rest, 1 - 1e-16)), 0.0)
        return (multiplicity[:-1] * terms).sum(axis=0) + own
