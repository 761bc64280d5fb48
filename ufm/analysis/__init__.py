"""Verdicts on solutions: geometry, collapse, enclosures of the optimum, predictions, critical points, thresholds."""

from ufm.analysis.advice import Advice, Remedy, advise
from ufm.analysis.critical_points import CriticalPoint, Landscape, classify, hessian_eigenvalues, landscape
from ufm.analysis.effective_decays import EffectiveDecays
from ufm.analysis.group_collapse import Collapse, GroupCollapse, collapse
from ufm.analysis.network_prediction import NetworkPrediction
from ufm.analysis.prediction import Prediction, predict
from ufm.analysis.reporting import Report, report
from ufm.analysis.solution_geometry import geometry
from ufm.analysis.tables import table_geometry
from ufm.analysis.thresholds import Threshold, etf_window, pair_depth, threshold

__all__ = [
    "Advice",
    "Collapse",
    "CriticalPoint",
    "EffectiveDecays",
    "GroupCollapse",
    "Landscape",
    "NetworkPrediction",
    "Prediction",
    "Remedy",
    "Report",
    "Threshold",
    "advise",
    "classify",
    "collapse",
    "etf_window",
    "geometry",
    "hessian_eigenvalues",
    "landscape",
    "pair_depth",
    "predict",
    "report",
    "table_geometry",
    "threshold",
]
