"""What is asked: frozen descriptions of a model."""

from ufm.problem.counts import ClassCounts, balanced, long_tailed, step
from ufm.problem.heads import Explicit, LinearDEQ, Parameters
from ufm.problem.loss import CrossEntropy
from ufm.problem.problem import Problem
from ufm.problem.regularizers import NormBudget, WeightDecay

__all__ = [
    "ClassCounts",
    "CrossEntropy",
    "Explicit",
    "LinearDEQ",
    "NormBudget",
    "Parameters",
    "Problem",
    "WeightDecay",
    "balanced",
    "long_tailed",
    "step",
]
