"""Class sizes: how many samples each class of the training set has."""

from ufm.targets.counts import ClassCounts, balanced, long_tailed, step_imbalanced

__all__ = ["ClassCounts", "balanced", "long_tailed", "step_imbalanced"]
