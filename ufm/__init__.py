"""ufm: a laboratory for neural-collapse theory, with a certificate attached to every answer."""

from ufm.certify import Certificate, Recheck, recheck
from ufm.errors import InputError
from ufm.geometry import Collapse, collapse, geometry, measure, orthogonal_frame, seli, simplex_etf
from ufm.problem import (
    ClassCounts,
    CrossEntropy,
    DecayedDEQ,
    Explicit,
    FixedETF,
    FrobeniusDEQ,
    LinearDEQ,
    NormBudget,
    Parameters,
    Problem,
    ReLU,
    SquaredError,
    WeightDecay,
    balanced,
    long_tailed,
    step,
)
from ufm.solve import solve
from ufm.solvers import Solution, Status
from ufm.thresholds import Threshold, threshold

__version__ = "0.1.0"

__all__ = [
    "Certificate",
    "ClassCounts",
    "Collapse",
    "CrossEntropy",
    "DecayedDEQ",
    "Explicit",
    "FixedETF",
    "FrobeniusDEQ",
    "InputError",
    "LinearDEQ",
    "NormBudget",
    "Parameters",
    "Problem",
    "ReLU",
    "Recheck",
    "Solution",
    "SquaredError",
    "Status",
    "Threshold",
    "WeightDecay",
    "balanced",
    "collapse",
    "geometry",
    "long_tailed",
    "measure",
    "orthogonal_frame",
    "recheck",
    "seli",
    "simplex_etf",
    "solve",
    "step",
    "threshold",
]
