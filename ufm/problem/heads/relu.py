"""The head on non-negative features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm._arrays import Floats
from ufm.problem.heads.base import Head, Parameters, split_sizes
from ufm.problem.losses import Loss
from ufm.problem.regularizers import NormBudget, Regularizer, WeightDecay
from ufm.problem.spelling import Spelling
from ufm.spectral.penalties import ColumnPenalty
from ufm.targets.counts import ClassCounts


@dataclass(frozen=True)
class ReLU(Head):
    r"""Logits ``W h`` with ``h >= 0``, as after a ReLU; ``dim >= K`` and no bias.

    Under plain cross-entropy the optimal class means are orthogonal, one feature dimension for each class, and the classifiers
    are multiples of ``e_k - 1/K``; the problem splits into one scalar problem for each class size (docs/theory, Propositions
    1.9, 1.10 and 2.9; Dang et al., arXiv 2401.02058, locator unknown, for decay).

    >>> ReLU().penalty(WeightDecay(1e-3, 4e-3), 10).strength
    0.002
    """

    columns = True
    verified = True
    constrained = True
    spelling = Spelling("relu", "relu")

    def refuses(self, counts: ClassCounts, loss: Loss, regularizer: WeightDecay | NormBudget, dim: int | None) -> str | None:
        n_classes = counts.classes
        if dim is not None and dim < n_classes:
            return f"dim={dim} is too small for the head relu: it needs dim >= K={n_classes}, one for each class"
        if not loss.plain_cross_entropy:
            return f"loss {loss} does not go with the head relu; only plain cross-entropy (ce) is solved there"
        if regularizer.bias_decay() is not None:
            return "a bias does not go with the head relu; leave the bias decay out"
        return None

    def penalty(self, regularizer: WeightDecay | NormBudget, n_classes: int) -> ColumnPenalty:
        if isinstance(regularizer, NormBudget):
            return ColumnPenalty("ball", regularizer.radius(n_classes), 1, nonnegative=True)
        return ColumnPenalty("price", regularizer.mu, 1, nonnegative=True)

    def recover(self, left: Floats, singular: Floats, right: Floats, scale: Floats, regularizer: Regularizer) -> Parameters:
        logits = (left * singular) @ right
        lengths = np.linalg.norm(logits, axis=0)
        weight, features = split_sizes(lengths * scale, regularizer)
        n_classes, dim = left.shape
        w, h = np.zeros((n_classes, dim)), np.zeros((dim, n_classes))
        w[:, :n_classes] = logits * np.where(lengths > 0, weight / np.where(lengths > 0, lengths, 1.0), 0.0)
        np.fill_diagonal(h, features / scale)
        return Parameters(w, h)

    def width(self, n_classes: int) -> int:
        return n_classes

    def project_features(self, features: Floats) -> Floats:
        return np.maximum(features, 0.0)

    def start_features(self, features: Floats) -> Floats:
        return np.abs(features)

    def certificate(self) -> dict[str, object]:
        return {"kind": "relu"}

    def __str__(self) -> str:
        return "relu"
