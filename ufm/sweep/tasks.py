"""What can be swept: solving, thresholds, training. A task checks its parameters, names its results, and computes blocks.

Adding a task is one class here: `check` refuses a point with a sentence, `block` computes several points at once.
"""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from math import nan
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ufm.errors import ConvergenceError, InputError, brief
from ufm.problem import ClassCounts, Explicit, LinearDEQ, NormBudget, Problem, WeightDecay, long_tailed, step_imbalanced
from ufm.problem.heads import Head
from ufm.problem.text import parse_head, parse_loss
from ufm.solvers.convex.step_imbalance import solve_steps
from ufm.solvers.estimate import seconds_for
from ufm.sweep.grid import Value, identity, seed_of

Point = dict[str, Value]
CERTIFIED = 1e-9
"""Relative certified gap above which a point of the vectorised route is solved again by itself."""


class Row(NamedTuple):
    """Result of a point: "done" or "failed" with a reason, and the results in the task's order (None: undefined)."""

    status: str
    reason: str
    results: tuple[Any, ...]


class Task(ABC):
    """A task; ``keys`` are the parameters it knows, ``results`` the columns it fills."""

    name: ClassVar[str]
    keys: ClassVar[frozenset[str]]
    results: ClassVar[tuple[str, ...]]
    seconds: ClassVar[float]
    """Rough time of a point, for the estimate that is shown before a run."""

    def check(self, point: Point) -> None:
        """Refuse parameters that are unknown, missing or contradict each other."""
        unknown = sorted(set(point) - self.keys)
        if unknown:
            raise InputError(f"task {self.name!r} does not know {brief(unknown[0])}; it knows {', '.join(sorted(self.keys))}")
        self.prepare(point)

    @abstractmethod
    def prepare(self, point: Point) -> Any:
        """The question at a point; raises InputError."""
        ...

    @abstractmethod
    def one(self, point: Point) -> tuple[Any, ...]:
        """Results of one point."""
        ...

    def block(self, points: list[Point]) -> list[Row]:
        """Rows of several points; one that cannot be computed is a failed row, never an exception."""
        return [self.guarded(point) for point in points]

    def guarded(self, point: Point) -> Row:
        """The row of one point."""
        try:
            return Row("done", "", self.one(point))
        except (InputError, ConvergenceError) as error:
            return Row("failed", str(error), (None,) * len(self.results))

    def speed(self, point: Point) -> float:
        """Estimated seconds for a point like this one."""
        return self.seconds

    def size(self, point: Point) -> int:
        """Points of a block, for points like this one: about a second of work, so that handing it on costs little."""
        return max(1, min(20_000, round(1.0 / self.speed(point))))


def regularizer_of(point: Point) -> WeightDecay | NormBudget:
    """``decay = [LW, LH]``, ``lambda`` (both alike), ``budget = [EW, EH]`` or ``c`` (E_W = 1, E_H = c^2): exactly one."""
    given = [name for name in ("decay", "lambda", "budget", "c") if name in point]
    if len(given) != 1:
        raise InputError(f"a point has {given or 'no regulariser'}; give exactly one of decay, lambda, budget and c")
    name, value = given[0], point[given[0]]
    if name == "lambda":
        return WeightDecay(_number(name, value), _number(name, value))
    if name == "c":
        c = _number(name, value)
        return NormBudget(1.0, c * c)
    if not isinstance(value, list):
        raise InputError(f"{name} is {brief(value)}; give a list of numbers such as [1e-3, 1e-3]")
    numbers = [_number(name, v) for v in value]
    if name == "budget" and len(numbers) == 2:
        return NormBudget(*numbers)
    if name == "decay" and len(numbers) in (2, 3):
        return WeightDecay(numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None)
    raise InputError(f"{name} has {len(numbers)} numbers; give {'EW, EH' if name == 'budget' else 'LW, LH and optionally LB'}")


def head_of(point: Point) -> Head:
    """``head`` as text, or ``rho`` of a linear DEQ."""
    if "rho" in point and "head" in point:
        raise InputError("a point has both head and rho; rho means head = 'deq:rho=...', so give one of them")
    if "rho" in point:
        return LinearDEQ(_number("rho", point["rho"]))
    return parse_head(_text("head", point["head"])) if "head" in point else Explicit()


def counts_of(point: Point) -> ClassCounts:
    """``counts`` as text; or ``classes = [KA, KB]``, ``minority_count``, ``ratio``; or ``tail`` (K), ``largest``, ``ratio``."""
    kinds = [name for name in ("counts", "classes", "tail") if name in point]
    if len(kinds) != 1:
        raise InputError(f"a point has {kinds or 'no class sizes'}; give exactly one of counts, classes and tail")
    needed = {"counts": (), "classes": ("minority_count", "ratio"), "tail": ("largest", "ratio")}[kinds[0]]
    for name in ("minority_count", "largest", "ratio"):
        if (name in point) != (name in needed):
            raise InputError(f"{kinds[0]} {'needs' if name in needed else 'does not go with'} {name}")
    if kinds[0] == "counts":
        return ClassCounts.parse(_text("counts", point["counts"]))
    ratio = _number("ratio", point["ratio"])
    if kinds[0] == "tail":
        return long_tailed(_whole("tail", point["tail"]), largest=_whole("largest", point["largest"]), ratio=ratio)
    majority, minority = classes_of(point)
    smallest = _whole("minority_count", point["minority_count"])
    if not 1 <= ratio < 1e15:
        raise InputError(f"ratio is {ratio:g}; it must be at least 1 and below 1e15")
    return step_imbalanced(majority=majority, minority=minority, n_majority=round(ratio * smallest), n_minority=smallest)


def classes_of(point: Point) -> tuple[int, int]:
    """``classes = [KA, KB]``."""
    value = point.get("classes")
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"classes is {brief(value)}; give [KA, KB]")
    return _whole("classes", value[0]), _whole("classes", value[1])


class Solve(Task):
    """Optima with certificates; step imbalance under plain cross-entropy goes through the vectorised route.

    ``gap`` is upper minus lower bound, ``relative_gap`` the same over the upper bound.
    """

    name = "solve"
    keys = frozenset(
        ("counts", "classes", "minority_count", "ratio", "tail", "largest", "decay", "lambda", "budget", "c", "head", "rho",
         "loss", "dim", "method")
    )  # fmt: skip
    results = (
        "value", "lower", "upper", "gap", "cos_majority", "cos_minority", "cos_cross", "norm_ratio", "contrast_minority",
        "relative_gap", "route",
    )  # fmt: skip
    seconds = 1e-2

    def prepare(self, point: Point) -> Problem:
        loss = parse_loss(_text("loss", point["loss"])) if "loss" in point else None
        dim = _whole("dim", point["dim"]) if "dim" in point else None
        if "method" in point:
            from ufm.solvers import solver

            solver(_text("method", point["method"]))
        problem = Problem(counts_of(point), regularizer=regularizer_of(point), head=head_of(point), loss=loss, dim=dim)
        if len(problem.counts.groups) > 12 or problem.dim is not None:
            seconds_for(problem, str(point.get("method", "auto")))  # refuses what would take hours
        return problem

    def speed(self, point: Point) -> float:
        return 5e-5 if _vectorised(point) else self.seconds

    def one(self, point: Point) -> tuple[Any, ...]:
        from ufm.analysis.group_collapse import smallest_contrast
        from ufm.analysis.solution_geometry import geometry
        from ufm.solvers.automatic import solve

        solution = solve(self.prepare(point), method=_text("method", point.get("method", "auto")))
        certificate, metrics = solution.certificate, geometry(solution)
        cosines = [metrics[name] for name in ("cos_majority", "cos_minority", "cos_cross", "norm_ratio")]
        bounds = (solution.value, certificate.lower, certificate.upper, certificate.gap)
        contrast = smallest_contrast(solution)
        contrast = contrast if np.isfinite(contrast) else None
        return *bounds, *cosines, contrast, certificate.relative_gap, solution.method

    def block(self, points: list[Point]) -> list[Row]:
        found: list[Row | None] = [None] * len(points)
        fast = [k for k, point in enumerate(points) if _vectorised(point)]
        for k, row in zip(fast, self._together([points[k] for k in fast]), strict=True):
            found[k] = row
        return [self.guarded(point) if row is None else row for point, row in zip(points, found, strict=True)]

    def _together(self, points: list[Point]) -> list[Row | None]:
        """Rows by the vectorised route; None where it refuses, or where the certificate asks for the other one."""
        rows: list[Row | None] = [None] * len(points)
        asked: dict[bool, list[tuple[int, float, float, float, float, float]]] = {True: [], False: []}
        for k, point in enumerate(points):
            try:
                sizes, regularizer, head = counts_of(point), regularizer_of(point), head_of(point)
                gain = head.gain or 1.0
                (na, a), (nb, b) = sizes.runs if len(sizes.runs) == 2 else _split(point, sizes)
                if isinstance(regularizer, NormBudget):
                    asked[True].append((k, a, b, na, nb, regularizer.radius(sizes.classes, gain)))
                else:
                    asked[False].append((k, a, b, na, nb, regularizer.mu / gain))
            except InputError as error:
                rows[k] = Row("failed", str(error), (None,) * len(self.results))
        for budget, entries in asked.items():
            if not entries:
                continue
            which, a, b, na, nb, charge = (np.array(column) for column in zip(*entries, strict=True))
            solved = solve_steps(
                majority=a,
                minority=b,
                n_majority=na,
                n_minority=nb,
                mu=None if budget else charge,
                radius=charge if budget else None,
            )
            columns = (
                solved.value, solved.lower, solved.upper, solved.upper - solved.lower, solved.cos_majority, solved.cos_minority,
                np.where(na > nb, solved.cos_cross, nan), solved.norm_ratio, solved.contrast_minority, solved.gap,
            )  # fmt: skip
            for k, *values in zip(which.tolist(), *(c.tolist() for c in columns), strict=True):
                if values[-1] <= CERTIFIED:
                    rows[int(k)] = Row("done", "", (*(v if np.isfinite(v) else None for v in values), "step"))
        return rows


def _split(point: Point, sizes: ClassCounts) -> tuple[tuple[int, int], tuple[int, int]]:
    """Balanced sizes as two groups of the asked numbers of classes."""
    majority, minority = classes_of(point)
    size = sizes.runs[0][0]
    return (size, majority), (size, minority)


def _vectorised(point: Point) -> bool:
    plain = "classes" in point and not {"loss", "dim", "method"} & set(point) and len(_listed(point.get("decay"))) < 3
    return plain and ("rho" in point or point.get("head", "explicit") == "explicit")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class Thresholds(Task):
    """The ratio of minority collapse, enclosed."""

    name = "threshold"
    keys = frozenset(("classes", "minority_count", "decay", "lambda", "budget", "c", "head", "rho", "level"))
    results = ("ratio", "ratio_lower", "ratio_upper", "level_found", "transition")
    seconds = 5e-3

    def prepare(self, point: Point) -> dict[str, Any]:
        count = _whole("minority_count", point["minority_count"]) if "minority_count" in point else None
        return {
            "classes": classes_of(point),
            "regularizer": regularizer_of(point),
            "minority_count": count,
            "head": head_of(point),
            "level": _text("level", point.get("level", "float")),
        }

    def one(self, point: Point) -> tuple[Any, ...]:
        from ufm.analysis.thresholds import threshold

        found = threshold(**self.prepare(point))
        return found.value, found.lower, found.upper, found.level, found.transition


class Train(Task):
    """One training run; its seed is that of the point's content unless one is given."""

    name = "train"
    keys = frozenset(
        ("model", "data", "classes", "ratio", "tail", "largest", "map", "width", "contraction", "decay", "body", "encoder",
         "jacobian", "optimizer", "rate", "epochs", "batch", "seed")
    )  # fmt: skip
    results = (
        "accuracy", "majority", "minority", "objective", "gap", "nc1", "nc2", "nc3", "cos_minority", "to_theory_weight",
        "theory_cos_minority", "theory_collapsed",
    )  # fmt: skip
    seconds = 10.0

    def prepare(self, point: Point) -> Any:
        from ufm.training.settings import Settings

        options: dict[str, Any] = dict(point)
        if "classes" in options:
            options["classes"] = classes_of(point)
        if "decay" in options:
            options["decay"] = tuple(_number("decay", v) for v in _listed(options["decay"]))
        return Settings.from_options(**{"seed": seed_of(identity(self.name, point)), **options})

    def one(self, point: Point) -> tuple[Any, ...]:
        from ufm.training.saved_run import run

        with tempfile.TemporaryDirectory() as folder:
            found = run(self.prepare(point), Path(folder) / "run")
        theory = found.get("prediction", {})
        metrics = [found["results"][name] for name in self.results[:-2]]
        return *metrics, theory.get("metrics", {}).get("cos_minority"), theory.get("collapsed")


TASKS: dict[str, Task] = {task.name: task for task in (Solve(), Thresholds(), Train())}


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} is {brief(value)}; give a number")
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{name} is {brief(value)}; give a number that float64 holds") from None


def _whole(name: str, value: Any) -> int:
    number = _number(name, value)
    if not number.is_integer() or not 1 <= number <= 2**53:
        raise InputError(f"{name} is {brief(value)}; give a whole number of at least 1")
    return int(number)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is {brief(value)}; give text")
    return value
