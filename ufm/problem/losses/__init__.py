"""Losses of logits and labels."""

from ufm.problem.losses.base import Loss
from ufm.problem.losses.cross_entropy import CrossEntropy
from ufm.problem.losses.squared_error import SquaredError

__all__ = ["CrossEntropy", "Loss", "SquaredError"]
