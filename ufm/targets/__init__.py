"""What is to be learnt: class sizes, or a table of targets."""

from ufm.targets.counts import ClassCounts, balanced, long_tailed, step_imbalanced
from ufm.targets.table import TargetTable

__all__ = ["ClassCounts", "TargetTable", "balanced", "long_tailed", "step_imbalanced"]
