"""The points of a sweep: fixed parameters and the product of axes, numbered by position and not listed in memory."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import numpy as np

from ufm.errors import InputError, brief

Value = float | int | str | bool | list[Any]
MAX_POINTS = 10_000_000
MAX_WHOLE = 2**63 - 1
"""Largest whole number that the store can hold."""
MAX_END = 1e300
"""Largest end of a range; the difference of two ends is then finite."""
MAX_DEPTH = 8
"""Largest depth of nested lists."""


@dataclass(frozen=True)
class Axis:
    """An axis of a grid: one parameter, or several parameters that vary together.

    Parameters
    ----------
    names : tuple of str, the parameters
    values : tuple of tuples, one inner tuple per step, with a value for each name
    """

    names: tuple[str, ...]
    values: tuple[tuple[Value, ...], ...]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Grid:
    """Fixed parameters and the product of axes, the last one varying fastest.

    Parameters
    ----------
    fixed : dict, parameters that are the same at all points
    axes : tuple of Axis

    Examples
    --------
    >>> grid = Grid.parse({"rho": 0.3}, {"ratio": {"log": [1, 100, 3]}, "c": [1.0, 2.0]})
    >>> len(grid), grid.point(3)
    (6, {'rho': 0.3, 'ratio': 10.0, 'c': 2.0})
    """

    fixed: dict[str, Value]
    axes: tuple[Axis, ...]

    @classmethod
    def parse(cls, fixed: dict[str, Any], grid: dict[str, Any]) -> Grid:
        """A grid from the tables of a spec.

        Parameters
        ----------
        fixed : dict, the table ``[fixed]``
        grid : dict, the table ``[grid]``
            By name a list of values, or a table ``{linear = [from, to, steps]}`` or ``{log = [from, to, steps]}``. The name
            ``zip`` has a table, or a list of tables, whose entries vary together.

        Raises
        ------
        InputError
            An empty grid or axis, too many points, a name twice, a range that is not valid, a value twice, zipped axes of
            different lengths.
        """
        for name, value in fixed.items():
            _plain(f"fixed.{name}", value)
        axes = []
        for name, entry in grid.items():
            if name == "zip":
                tables = entry if isinstance(entry, list) else [entry]
                for table in tables:
                    if not isinstance(table, dict) or not table:
                        raise InputError(f"grid.zip is {brief(table)}; give a table of names and equally long lists")
                    columns = {k: _values(f"grid.zip.{k}", v) for k, v in table.items()}
                    if len({len(v) for v in columns.values()}) != 1:
                        told = ", ".join(f"{k} {len(v)}" for k, v in list(columns.items())[:10])
                        raise InputError(f"grid.zip has lists of different lengths ({told}); make them equally long")
                    axes.append(Axis(tuple(columns), tuple(zip(*columns.values(), strict=True))))
            else:
                axes.append(Axis((name,), tuple((v,) for v in _values(f"grid.{name}", entry))))
        for axis in axes:
            # A point is identified by its parameters, so that no two points may have the same.
            text, times = Counter(json.dumps(step) for step in axis.values).most_common(1)[0]
            if times > 1:
                raise InputError(f"axis {', '.join(axis.names)} has {brief(text)[1:-1]} {times} times; give every value once")
        names = [*fixed, *(name for axis in axes for name in axis.names)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"parameter {brief(twice[0])} is given twice; keep it in [fixed] or in one axis of [grid]")
        found = cls(dict(fixed), tuple(axes))
        if not axes:
            raise InputError("[grid] is empty; give at least one axis such as ratio = [1, 10, 100]")
        if len(found) > MAX_POINTS:
            raise InputError(f"[grid] has {len(found)} points, more than {MAX_POINTS}; make it coarser")
        return found

    def __len__(self) -> int:
        return prod(len(axis) for axis in self.axes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters that vary, in the order of the axes."""
        return tuple(name for axis in self.axes for name in axis.names)

    def varying(self, position: int) -> tuple[Value, ...]:
        """Values of the parameters that vary, at a position in 0 .. len - 1, in the order of `names`."""
        parts: list[tuple[Value, ...]] = []
        for axis in reversed(self.axes):
            position, step = divmod(position, len(axis))
            parts.append(axis.values[step])
        return tuple(value for part in reversed(parts) for value in part)

    def point(self, position: int) -> dict[str, Value]:
        """All parameters at a position in 0 .. len - 1, by name."""
        return self.fixed | dict(zip(self.names, self.varying(position), strict=True))

    def points(self, start: int, stop: int) -> Iterator[dict[str, Value]]:
        """All parameters at each of the positions ``start .. stop - 1``, by name."""
        for position in range(start, stop):
            yield self.point(position)

    def thinned(self, most: int) -> Grid:
        """A coarser grid with at most ``most`` steps of each axis; the ends of the axes are kept."""
        axes = []
        for axis in self.axes:
            count = min(len(axis), most)
            kept = sorted({round(k) for k in np.linspace(0, len(axis) - 1, count)})
            axes.append(Axis(axis.names, tuple(axis.values[k] for k in kept)))
        return Grid(self.fixed, tuple(axes))


def identity(task: str, point: dict[str, Value]) -> str:
    """Identifier of a point: 24 hex digits of a SHA-256 hash of the task and the parameters, whatever their order."""
    text = json.dumps([task, point], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def seed_of(identifier: str) -> int:
    """The random seed of a point, from its identifier: a whole number below 2**32."""
    return int(identifier[:8], 16)


def _values(name: str, entry: Any) -> list[Value]:
    """The values of an axis from a list, or from a table with a linear or logarithmic range."""
    if isinstance(entry, list):
        found: list[Value] = entry
    elif isinstance(entry, dict) and len(entry) == 1 and next(iter(entry)) in ("linear", "log"):
        kind, ends = next(iter(entry.items()))
        found = _range(name, kind, ends)
    else:
        raise InputError(
            f"{name} is {brief(entry)}; give a list, or {{linear = [from, to, steps]}} or {{log = [from, to, steps]}}"
        )
    if not found:
        raise InputError(f"{name} is empty; give at least one value")
    for value in found:
        _plain(name, value)
    return found


def _plain(name: str, value: Any, depth: int = 0) -> None:
    """Check that a value is written to JSON and to the store, and read again, without change."""
    if isinstance(value, list) and depth < MAX_DEPTH:
        for entry in value:
            _plain(name, entry, depth + 1)
        return
    if isinstance(value, float) and not isfinite(value):
        raise InputError(f"{name} contains {value!r}; give finite numbers")
    if isinstance(value, int) and not -MAX_WHOLE <= value <= MAX_WHOLE:
        raise InputError(f"{name} contains {brief(value)}; give whole numbers below 2**63")
    if not isinstance(value, float | int | str):
        raise InputError(f"{name} contains {brief(value)}; give numbers, text, true or false, and lists of them")


def _range(name: str, kind: str, ends: Any) -> list[Value]:
    good = isinstance(ends, list) and len(ends) == 3 and all(type(e) in (int, float) for e in ends)
    good = good and all(abs(e) <= MAX_END for e in ends)  # false for NaN too
    if not good or not isinstance(ends[2], int) or ends[2] < 1:
        raise InputError(f"{name} has {kind} = {brief(ends)}; give [from, to, steps] with a whole number of steps")
    low, high, steps = float(ends[0]), float(ends[1]), ends[2]
    if steps > MAX_POINTS:
        raise InputError(f"{name} has {steps} steps, more than {MAX_POINTS}; make it coarser")
    if kind == "linear":
        return [float(v) for v in np.linspace(low, high, steps)]
    if not (low > 0 and high > 0):
        raise InputError(f"{name} has log = {brief(ends)}; the ends of a logarithmic range must be positive")
    exact = np.geomspace(low, high, steps)
    exact[0] = low
    if steps > 1:
        exact[-1] = high
    return [float(v) for v in exact]
