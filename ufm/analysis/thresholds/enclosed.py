"""An enclosed critical value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """An enclosed critical value.

    quantity : str, ``"ratio"``: the imbalance ratio R = n_A / n_B; or ``"decay on A"``
    value : float, within [lower, upper]
    lower, upper : float, enclosure of the threshold R0. For convex heads the minority is collapsed iff R >= R0; for others
        (level "numeric") from there on the best solution *found* is
    level : {"numeric", "float", "rigorous"}
    transition : {"continuous", "jump"}, how the minority contrast vanishes
    note : str, what else a reader must know, or ""
    """

    quantity: str
    value: float
    lower: float
    upper: float
    level: str
    transition: str
    note: str = ""
