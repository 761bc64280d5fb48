"""Penalties on the singular values (or columns) of the scaled logits. The optimum depends on the head only through them."""

from ufm.spectral.penalties.base import Penalty
from ufm.spectral.penalties.columns import ColumnPenalty
from ufm.spectral.penalties.feature_norms import Cosines, FeatureNorms
from ufm.spectral.penalties.minimax import MinimaxConcave
from ufm.spectral.penalties.nuclear import Nuclear, NuclearBall
from ufm.spectral.penalties.nuclear_minus_frobenius import NuclearMinusFrobenius, NuclearMinusFrobeniusBall
from ufm.spectral.penalties.schatten import Schatten, SchattenBall

__all__ = [
    "ColumnPenalty",
    "Cosines",
    "FeatureNorms",
    "MinimaxConcave",
    "Nuclear",
    "NuclearBall",
    "NuclearMinusFrobenius",
    "NuclearMinusFrobeniusBall",
    "Penalty",
    "Schatten",
    "SchattenBall",
]
