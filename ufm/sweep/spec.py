"""The spec of a sweep, from a TOML file or from Python values."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ufm._files import exists, read_text
from ufm.errors import InputError, brief
from ufm.sweep.grid import Grid
from ufm.sweep.tasks import TASKS, Task

READY = Path(__file__).parent / "ready"
KEYS = {"title", "task", "fixed", "grid"}
MAX_BYTES = 10_000_000
"""Largest size of the file of a spec, in bytes."""
MAX_TITLE = 200
CHECKED = 200
"""Number of points, evenly spread over the grid, whose parameters are checked before a run until a valid one is found."""


@dataclass(frozen=True)
class Spec:
    """The spec of a sweep: a task, and the grid of its parameters.

    Parameters
    ----------
    task : "solve", "threshold" or "train"
    grid : Grid
    title : str

    Raises
    ------
    InputError
        An unknown task, or parameters that the task refuses at all points that were checked.

    Examples
    --------
    >>> import ufm
    >>> spec = Spec.of("solve", {"classes": [5, 5], "minority_count": 100, "c": 2.0}, {"ratio": [1, 10]})
    >>> len(spec.grid)
    2
    """

    task: str
    grid: Grid
    title: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.task, str) or self.task not in TASKS:
            raise InputError(f"task is {brief(self.task)}; choose one of {', '.join(TASKS)}")
        count = len(self.grid)
        # A single invalid point fails when it is computed; parameters that are valid at no point are refused here.
        ends = {0, count - 1} | {round(k * (count - 1) / (CHECKED - 1)) for k in range(CHECKED)}
        problems = []
        for position in sorted(ends):
            try:
                self.kind.check(self.grid.point(position))
                return
            except InputError as error:
                problems.append(str(error))
        raise InputError(f"no point of the grid is a valid question: {problems[0]}" if len(problems) > 1 else problems[0])

    @classmethod
    def of(cls, task: str, fixed: dict[str, Any], grid: dict[str, Any], title: str = "") -> Spec:
        """A spec from plain Python values.

        Parameters
        ----------
        task : "solve", "threshold" or "train"
        fixed : dict, parameters that are the same at all points
        grid : dict, axes by name, as in `Grid.parse`
        title : str

        Returns
        -------
        Spec
        """
        return cls(task, Grid.parse(fixed, grid), title)

    @classmethod
    def load(cls, path: str | Path) -> Spec:
        """A spec from a TOML file, or from the name of a sweep that comes with the package (`ready_names`).

        Raises
        ------
        InputError
            The file cannot be read, is not TOML, has unknown keys, or is not a valid spec.
        """
        file = Path(path)
        if not exists(file, "spec") and str(path) in ready_names():
            file = READY / f"{path}.toml"
        text = read_text(file, "spec", MAX_BYTES, f"give a TOML file, or one of {', '.join(ready_names())}")
        try:
            content = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # whole numbers of more digits than Python takes are a ValueError
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else brief(str(error), 200)[1:-1]
            raise InputError(f"spec {brief(str(path))} is no TOML that can be read: {reason}; mend the file") from None
        unknown = sorted(set(content) - KEYS)
        if unknown:
            raise InputError(
                f"spec {brief(str(path))} has the unknown key {brief(unknown[0])}; it knows {', '.join(sorted(KEYS))}"
            )
        fixed, grid = content.get("fixed", {}), content.get("grid", {})
        if not isinstance(fixed, dict) or not isinstance(grid, dict):
            raise InputError(f"spec {brief(str(path))} must have tables [fixed] and [grid]")
        title = content.get("title", "")
        if not isinstance(title, str) or len(title) > MAX_TITLE:
            raise InputError(
                f"spec {brief(str(path))} has the title {brief(title)}; give text of at most {MAX_TITLE} characters"
            )
        return cls.of(content.get("task", ""), fixed, grid, title)

    @property
    def kind(self) -> Task:
        """The task as an object."""
        return TASKS[self.task]

    @property
    def seconds(self) -> float:
        """Rough estimate of the time of all points on one core, in seconds."""
        return len(self.grid) * self.kind.speed(self.grid.point(0))

    def thinned(self, most: int) -> Spec:
        """The spec with a coarser grid of at most ``most`` steps of each axis."""
        return Spec(self.task, self.grid.thinned(most), self.title)

    def describe(self) -> dict[str, Any]:
        """The spec as a dict of JSON values."""
        axes = [{"names": list(a.names), "values": [list(v) for v in a.values]} for a in self.grid.axes]
        return {"task": self.task, "title": self.title, "fixed": self.grid.fixed, "axes": axes}


def ready_names() -> list[str]:
    """Names of the sweeps that come with the package."""
    return sorted(path.stem for path in READY.glob("*.toml"))
