"""The logit program: loss plus a penalty on singular values, in block form."""

from ufm.spectral.blocks import BlockMatrix
from ufm.spectral.penalties import Nuclear, NuclearBall, Penalty
from ufm.spectral.program import Factors, LogitProgram, Point

__all__ = ["BlockMatrix", "Factors", "LogitProgram", "Nuclear", "NuclearBall", "Penalty", "Point"]
