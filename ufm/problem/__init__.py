"""Frozen descriptions of a model: class sizes, loss, head and regulariser, together a `Problem`."""

from ufm.problem.heads import Cosine, DecayedDEQ, Explicit, FixedETF, FrobeniusDEQ, LayerNorm, LinearDEQ, Parameters, ReLU
from ufm.problem.losses import BinaryCrossEntropy, CrossEntropy, Focal, MultiTask, PickAllLabels, SquaredError
from ufm.problem.problem import Problem, TableProblem
from ufm.problem.regularizers import ClassifierDecay, NoDecay, NormBudget, WeightDecay
from ufm.targets.counts import ClassCounts, balanced, long_tailed, step_imbalanced

__all__ = [
    "BinaryCrossEntropy",
    "ClassCounts",
    "ClassifierDecay",
    "Cosine",
    "CrossEntropy",
    "DecayedDEQ",
    "Explicit",
    "FixedETF",
    "Focal",
    "FrobeniusDEQ",
    "LayerNorm",
    "LinearDEQ",
    "MultiTask",
    "NoDecay",
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
