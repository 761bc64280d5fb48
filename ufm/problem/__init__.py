"""Frozen descriptions of a model: class sizes, loss, head and regulariser, together a `Problem`."""

from ufm.problem.heads import DecayedDEQ, Explicit, FixedETF, FrobeniusDEQ, LinearDEQ, Parameters, ReLU
from ufm.problem.losses import CrossEntropy, SquaredError
from ufm.problem.problem import Problem
from ufm.problem.regularizers import NormBudget, WeightDecay
from ufm.targets.counts import ClassCounts, balanced, long_tailed, step_imbalanced

__all__ = [
    "ClassCounts",
    "CrossEntropy",
    "DecayedDEQ",
    "Explicit",
    "FixedETF",
    "FrobeniusDEQ",
    "LinearDEQ",
    "NormBudget",
    "Parameters",
    "Problem",
    "ReLU",
    "SquaredError",
    "WeightDecay",
    "balanced",
    "long_tailed",
    "step_imbalanced",
]
