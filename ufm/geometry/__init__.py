"""What a solution looks like: reference frames, neural-collapse metrics, and the collapse verdict."""

from ufm.geometry.collapse import Collapse, collapse
from ufm.geometry.frames import orthogonal_frame, seli, simplex_etf
from ufm.geometry.measure import measure
from ufm.geometry.metrics import geometry

__all__ = ["Collapse", "collapse", "geometry", "measure", "orthogonal_frame", "seli", "simplex_etf"]
