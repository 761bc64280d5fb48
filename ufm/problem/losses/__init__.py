"""Losses of logits and labels."""

from ufm.problem.losses.base import GroupPull, Loss
from ufm.problem.losses.binary_cross_entropy import BinaryCrossEntropy
from ufm.problem.losses.cross_entropy import CrossEntropy
from ufm.problem.losses.focal import Focal
from ufm.problem.losses.multitask import MultiTask
from ufm.problem.losses.pick_all_labels import PickAllLabels
from ufm.problem.losses.squared_error import SquaredError

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Focal", "GroupPull", "Loss", "MultiTask", "PickAllLabels", "SquaredError"]
