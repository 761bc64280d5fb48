"""ufm: unconstrained-feature models of neural collapse, solved with certified bounds on the optimum."""

import ufm._interrupts  # noqa: F401  # isort: skip  (first: from here on Ctrl-C ends a command without a traceback)
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ufm import deq
from ufm.analysis import (
    Advice,
    Collapse,
    EffectiveDecays,
    NetworkPrediction,
    Prediction,
    Report,
    advise,
    collapse,
    geometry,
    predict,
    report,
)
from ufm.analysis.critical_points import CriticalPoint, Landscape, classify, hessian_eigenvalues, landscape
from ufm.analysis.tables import table_geometry
from ufm.analysis.thresholds import Threshold, etf_window, pair_depth, threshold
from ufm.certify import Certificate, Recheck, recheck
from ufm.contrastive import ContrastiveSolution, GramProgram, contrastive_threshold, solve_contrastive
from ufm.errors import ConvergenceError, InputError, RunError
from ufm.metrics import Measured, Measurement, measure, orthogonal_frame, seli, simplex_etf
from ufm.problem import (
    BinaryCrossEntropy,
    ClassCounts,
    ClassifierDecay,
    Cosine,
    CrossEntropy,
    DecayedDEQ,
    Explicit,
    FixedETF,
    Focal,
    FrobeniusDEQ,
    LayerNorm,
    LinearDEQ,
    MultiTask,
    NoDecay,
    NormBudget,
    Parameters,
    PickAllLabels,
    Problem,
    ReLU,
    SquaredError,
    WeightDecay,
    balanced,
    long_tailed,
    step_imbalanced,
)
from ufm.solvers import Solution, Status
from ufm.solvers.automatic import solve
from ufm.targets import TargetTable

if TYPE_CHECKING:
    from ufm import conventions as conventions
    from ufm import plot as plot
    from ufm import sweep as sweep
    from ufm import training as training

__version__ = "0.1.0"

__all__ = [
    "Advice",
    "BinaryCrossEntropy",
    "Certificate",
    "ClassCounts",
    "ClassifierDecay",
    "Collapse",
    "ContrastiveSolution",
    "ConvergenceError",
    "Cosine",
    "CriticalPoint",
    "CrossEntropy",
    "DecayedDEQ",
    "EffectiveDecays",
    "Explicit",
    "FixedETF",
    "Focal",
    "FrobeniusDEQ",
    "GramProgram",
    "InputError",
    "Landscape",
    "LayerNorm",
    "LinearDEQ",
    "Measured",
    "Measurement",
    "MultiTask",
    "NetworkPrediction",
    "NoDecay",
    "NormBudget",
    "Parameters",
    "PickAllLabels",
    "Prediction",
    "Problem",
    "ReLU",
    "Recheck",
    "Report",
    "RunError",
    "Solution",
    "SquaredError",
    "Status",
    "TargetTable",
    "Threshold",
    "WeightDecay",
    "advise",
    "balanced",
    "classify",
    "collapse",
    "contrastive_threshold",
    "deq",
    "etf_window",
    "geometry",
    "hessian_eigenvalues",
    "landscape",
    "long_tailed",
    "measure",
    "orthogonal_frame",
    "pair_depth",
    "predict",
    "recheck",
    "report",
    "seli",
    "simplex_etf",
    "solve",
    "solve_contrastive",
    "step_imbalanced",
    "table_geometry",
    "threshold",
]

_LAZY = ("conventions", "plot", "sweep", "training")
"""Modules that are imported at their first use."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return import_module(f"ufm.{name}")
    raise AttributeError(f"module 'ufm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
