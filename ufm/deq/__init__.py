"""Deep equilibrium models in NumPy: maps, fixed points, adjoints, diagnostics. States are (B, d), one row per sample."""

from ufm.deq.adjoints import Adjoint, AdjointWarning, Dense, Gmres, Implicit, Phantom, unrolled
from ufm.deq.diagnostics import Movement, Multiplicity, movement, multiplicity, spectral_radius
from ufm.deq.fixed_point import (
    Anderson,
    Broyden,
    FixedPoint,
    FixedPointStats,
    FixedPointStatus,
    ForwardBackward,
    Method,
    Newton,
    PeacemanRachford,
    Picard,
)
from ufm.deq.maps import AffineLayer, BatchMap, Layer, LinearLayer, MonotoneLayer, OwnMap

__all__ = [
    "Adjoint",
    "AdjointWarning",
    "AffineLayer",
    "Anderson",
    "BatchMap",
    "Broyden",
    "Dense",
    "FixedPoint",
    "FixedPointStats",
    "FixedPointStatus",
    "ForwardBackward",
    "Gmres",
    "Implicit",
    "Layer",
    "LinearLayer",
    "Method",
    "MonotoneLayer",
    "Movement",
    "Multiplicity",
    "Newton",
    "OwnMap",
    "PeacemanRachford",
    "Phantom",
    "Picard",
    "movement",
    "multiplicity",
    "spectral_radius",
    "unrolled",
]
