"""Last-layer architectures."""

from ufm.problem.heads.base import Head, Parameters
from ufm.problem.heads.cosine import Cosine
from ufm.problem.heads.decayed_deq import DecayedDEQ
from ufm.problem.heads.explicit import Explicit
from ufm.problem.heads.fixed_etf import FixedETF
from ufm.problem.heads.frobenius_deq import FrobeniusDEQ
from ufm.problem.heads.layer_norm import LayerNorm
from ufm.problem.heads.linear_deq import LinearDEQ
from ufm.problem.heads.relu import ReLU

__all__ = [
    "Cosine",
    "DecayedDEQ",
    "Explicit",
    "FixedETF",
    "FrobeniusDEQ",
    "Head",
    "LayerNorm",
    "LinearDEQ",
    "Parameters",
    "ReLU",
]
