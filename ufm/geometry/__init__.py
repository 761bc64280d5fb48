"""What a solution looks like: reference frames, neural-collapse metrics, and the collapse verdict."""

from ufm.geometry.collapse import Collapse, GroupCollapse, collapse
from ufm.geometry.frames import orthogonal_frame, seli, simplex_etf
from ufm.geometry.measure import measure
from ufm.geometry.metrics import geometry
from ufm.geometry.prediction import Prediction, predict

__all__ = [
    "Collapse",
    "GroupCollapse",
    "Prediction",
    "collapse",
    "geometry",
    "measure",
    "orthogonal_frame",
    "predict",
    "seli",
    "simplex_etf",
]
