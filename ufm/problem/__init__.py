"""Frozen descriptions of a model: class sizes, loss, head and regulariser, together a `Problem`."""

from ufm.problem.heads import DecayedDEQ, Explicit, FixedETF, FrobeniusDEQ, LinearDEQ, Parameters, ReLU
from ufm.problem.losses import BinaryCrossEntropy, CrossEntropy, Focal, MultiTask, PickAllLabels, SquaredError
from ufm.problem.problem import Problem, TableProblem
from ufm.problem.regularizers import NormBudget, WeightDecay
from ufm.targets.counts import ClassCounts, balanced, long_tailed, step_imbalanced

__all__ = [
    "BinaryCrossEntropy",
    "ClassCounts",
    "CrossEntropy",
    "DecayedDEQ",
    "Explicit",
    "FixedETF",
    "Focal",
    "FrobeniusDEQ",
    "LinearDEQ",
    "MultiTask",
    "NormBudget",
    "Parameters",
    "PickAllLabels",
    "Problem",
    "ReLU",
    "SquaredError",
    "TableProblem",
    "WeightDecay",
    "balanced",
    "long_tailed",
    "step_imbalanced",
]
