"""Last-layer architectures."""

from ufm.problem.heads.base import Head, Parameters
from ufm.problem.heads.explicit import Explicit
from ufm.problem.heads.linear_deq import LinearDEQ

__all__ = ["Explicit", "Head", "LinearDEQ", "Parameters"]
