"""`Threshold`: a critical value with its enclosure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ufm._text import finite
from ufm.errors import brief


@dataclass(frozen=True, repr=False)
class Threshold:
    """An enclosed critical value.

    Attributes
    ----------
    quantity : str
        ``"ratio"``: the imbalance ratio R = n_A / n_B; ``"decay"``: ``sqrt(lambda_W lambda_H)``; ``"minority-count"``: n_B;
        ``"rho"``: the spectral budget of an equilibrium; or ``"decay on A"``.
    value : float, within [lower, upper]; ``float(threshold)`` is this value
    lower, upper : float, enclosure of the threshold R0. For convex heads the group is collapsed iff R >= R0 (for ``"rho"``:
        iff rho <= rho0); for others (level "numeric") the best solution *found* is collapsed from there on. All three are
        infinite where it is proved that no ratio makes the group collapse.
    level : {"numeric", "float", "rigorous"}
    transition : {"continuous", "jump"}, how the group's contrast vanishes
    note : str, a reservation about the value, or ""
    group : {"minority", "majority", "both", "all"}
        Which classes collapse there: the first group to do so, or both at once (within the enclosure). "all" for balanced
        classes.
    """

    quantity: str
    value: float
    lower: float
    upper: float
    level: str
    transition: str
    note: str = ""
    group: str = "minority"

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON; None stands for an infinite value."""
        return asdict(self) | {name: finite(getattr(self, name)) for name in ("value", "lower", "upper")}

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        note = f", note={brief(self.note)}" if self.note else ""
        found = f"{self.quantity} {self.value!r} in [{self.lower!r}, {self.upper!r}], level={self.level!r}"
        group = "" if self.group == "minority" else f", group={self.group!r}"
        return f"Threshold({found}, transition={self.transition!r}{group}{note})"
