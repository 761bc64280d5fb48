"""Neural-collapse metrics of arrays, and reference frames. Independent of problems and solvers."""

from ufm.metrics.frames import orthogonal_frame, seli, simplex_etf
from ufm.metrics.measurement import Measured, Measurement
from ufm.metrics.network import measure

__all__ = ["Measured", "Measurement", "measure", "orthogonal_frame", "seli", "simplex_etf"]
