"""One-line descriptions of objects, for ``repr`` and messages."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from math import isfinite
from typing import Any

Runs = tuple[tuple[int, int], ...]
"""Class sizes in run-length form, (size, classes), as `ufm.ClassCounts.runs`."""
HEAD, TAIL = 4, 2
"""Runs of class sizes that are shown at the beginning and at the end of a long list."""


def options(value: Any) -> str:
    """A dataclass object with those of its fields that differ from the defaults; ``repr`` of any other object.

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


def sizes(runs: Runs) -> str:
    """Class sizes as SIZE*CLASSES items; of many items the middle is left out.

    >>> sizes(tuple((n, 1) for n in range(9, 1, -1)))
    '9*1,8*1,7*1,6*1,...,3*1,2*1'
    """
    items = [f"{n}*{c}" for n, c in runs[:HEAD]]
    left = runs[HEAD:]
    if len(left) > TAIL + 1:
        items.append("...")
        left = left[-TAIL:]
    return ",".join([*items, *(f"{n}*{c}" for n, c in left)])


def classes(runs: Runs) -> str:
    """Number and sizes of classes, as in ``10 classes of sizes 100*5,10*5``."""
    return f"{sum(c for _, c in runs)} classes of sizes {sizes(runs)}"


def finite(value: float | None) -> float | None:
    """The number, or None where it is infinite, NaN or None: values that JSON cannot hold."""
    return float(value) if value is not None and isfinite(value) else None
