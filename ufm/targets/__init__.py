"""What is to be learnt: class sizes."""

from ufm.targets.counts import ClassCounts, balanced, long_tailed, step_imbalanced

__all__ = ["ClassCounts", "balanced", "long_tailed", "step_imbalanced"]
