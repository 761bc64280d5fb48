"""Names of `ufm.metrics` and where they live; each is loaded at its first use (`lazy_loader`)."""

from .frames import orthogonal_frame as orthogonal_frame, seli as seli, simplex_etf as simplex_etf
from .measurement import Measured as Measured, Measurement as Measurement
from .network import measure as measure
