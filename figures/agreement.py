"""How far two computations of a figure's data are apart."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any, NamedTuple

import numpy as np

FLOOR = 1e-3
"""Differences are relative to the largest entry of an array, or to this number where all entries are smaller."""


class Difference(NamedTuple):
    """Largest relative difference, infinite where the shapes differ, and the path of the part that has it."""

    value: float
    where: str


def difference(stored: Any, fresh: Any, ignored: tuple[str, ...] = ()) -> Difference:
    """The largest relative difference between two nested structures of named tuples, lists, dicts, arrays and numbers.

    Parameters
    ----------
    stored, fresh : data of a figure
    ignored : tuple of str, names of fields that hold measured times and are not compared

    Returns
    -------
    Difference
        Text, whole numbers and the places of NaN and infinities must be equal; else the difference is infinite.

    Examples
    --------
    >>> difference({"a": [1.0, 2.0]}, {"a": [1.0, 2.5]})
    Difference(value=0.2, where='a.1')
    """
    return max(_parts(stored, fresh, "", ignored), key=lambda part: part.value, default=Difference(0.0, ""))


def _parts(stored: Any, fresh: Any, where: str, ignored: tuple[str, ...]) -> Iterator[Difference]:
    """Differences of all leaves."""
    both = (stored, fresh)
    if isinstance(stored, np.ndarray | np.number | float) and isinstance(fresh, np.ndarray | np.number | float):
        yield Difference(_apart(np.asarray(stored), np.asarray(fresh)), where)
    elif all(isinstance(part, tuple | list | dict) for part in both):
        old, new = (_children(part) for part in both)
        if list(old) != list(new):
            yield Difference(inf, where)
            return
        for name in old:
            if name not in ignored:
                yield from _parts(old[name], new[name], f"{where}.{name}".lstrip("."), ignored)
    else:
        yield Difference(0.0 if stored == fresh else inf, where)


def _children(part: Any) -> dict[str, Any]:
    """Parts of a structure by name or number."""
    if isinstance(part, dict):
        return {str(name): value for name, value in part.items()}
    return dict(zip(getattr(part, "_fields", map(str, range(len(part)))), part, strict=True))


def _apart(stored: Any, fresh: Any) -> float:
    """Largest relative difference of two arrays."""
    if stored.shape != fresh.shape:
        return inf
    if stored.dtype.kind not in "f" or fresh.dtype.kind not in "f":
        return 0.0 if np.array_equal(stored, fresh) else inf
    finite = np.isfinite(stored)
    if not np.array_equal(stored[~finite], fresh[~finite], equal_nan=True) or not np.isfinite(fresh[finite]).all():
        return inf
    old, new = stored[finite], fresh[finite]
    return float(np.abs(old - new).max() / max(np.abs(old).max(), np.abs(new).max(), FLOOR)) if old.size else 0.0
