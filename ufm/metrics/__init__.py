"""Neural-collapse metrics of arrays, and reference frames. Independent of problems and solvers."""

from ufm.metrics.frames import orthogonal_frame, seli, simplex_etf
from ufm.metrics.network import measure

__all__ = ["measure", "orthogonal_frame", "seli", "simplex_etf"]
