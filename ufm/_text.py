"""What objects say of themselves in one line."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ufm.targets.counts import ClassCounts

HEAD, TAIL = 4, 2
"""Runs of class sizes that are shown at the beginning and at the end of a long list."""


def options(value: Any) -> str:
    """A frozen object with those of its options that differ from the defaults; ``repr`` of anything else.

    >>> from ufm.problem import WeightDecay
    >>> options(WeightDecay(0.1, 0.2))
    'WeightDecay(weight=0.1, features=0.2)'
    """
    if not is_dataclass(value) or isinstance(value, type):
        return repr(value)
    told = []
    for field in fields(value):
        entry = getattr(value, field.name, None)
        if field.init and field.repr and (field.default is MISSING or entry != field.default):
            told.append(f"{field.name}={entry!r}")
    return f"{type(value).__name__}({', '.join(told)})"


def sizes(counts: ClassCounts) -> str:
    """Class sizes as SIZE*CLASSES items, the middle left out where there are many.

    >>> from ufm.problem import ClassCounts
    >>> sizes(ClassCounts.of(range(9, 1, -1)))
    '9*1,8*1,7*1,6*1,...,3*1,2*1'
    """
    items = [f"{n}*{c}" for n, c in counts.runs[:HEAD]]
    left = counts.runs[HEAD:]
    if len(left) > TAIL + 1:
        items.append("...")
        left = left[-TAIL:]
    return ",".join([*items, *(f"{n}*{c}" for n, c in left)])


def classes(counts: ClassCounts) -> str:
    """``10 classes of sizes 100*5,10*5``."""
    return f"{counts.classes} classes of sizes {sizes(counts)}"


def finite(value: float | None) -> float | None:
    """A number as JSON has it: None where it is infinite or undefined."""
    return float(value) if value is not None and isfinite(value) else None
