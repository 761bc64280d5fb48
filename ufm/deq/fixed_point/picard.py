"""Picard iteration, damped or not."""

from __future__ import annotations

from dataclasses import dataclass

from ufm._arrays import Floats
from ufm.deq.fixed_point.base import Method, share
from ufm.deq.maps.base import BatchMap, Rows


@dataclass(frozen=True, kw_only=True)
class Picard(Method):
    """``z <- z + damping (f(z) - z)``: converges for contractions, and with damping for many other maps.

    Parameters
    ----------
    damping : float in (0, 1]
        Further options: see `ufm.deq.fixed_point.base.Method`.

    Raises
    ------
    InputError
        An option outside its range.
    """

    damping: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        share("damping", self.damping)

    def begin(self, z: Floats) -> _Nothing:
        return _Nothing(self.damping)


class _Nothing:
    """The memory of Picard's iteration, which needs none."""

    restarts = jacobians = 0
    recovers = False

    def __init__(self, damping: float) -> None:
        self.damping = damping

    def propose(self, map_: BatchMap, z: Floats, f: Floats, residual: Floats) -> Floats:
        return f if self.damping == 1.0 else z + self.damping * (f - z)

    def keep(self, rows: Rows) -> None:
        """Nothing to forget."""
