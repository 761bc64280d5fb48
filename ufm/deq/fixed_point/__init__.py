"""Fixed-point methods for batches of states. A method is an immutable set of options; one driver runs them all."""

from ufm.deq.fixed_point.anderson import Anderson
from ufm.deq.fixed_point.base import FixedPoint, FixedPointStats, FixedPointStatus, Method
from ufm.deq.fixed_point.broyden import Broyden
from ufm.deq.fixed_point.newton import Newton
from ufm.deq.fixed_point.picard import Picard
from ufm.deq.fixed_point.splitting import ForwardBackward, PeacemanRachford

__all__ = [
    "Anderson",
    "Broyden",
    "FixedPoint",
    "FixedPointStats",
    "FixedPointStatus",
    "ForwardBackward",
    "Method",
    "Newton",
    "PeacemanRachford",
    "Picard",
]
