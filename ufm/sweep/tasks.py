"""The tasks of a sweep: solving, thresholds, training. A task checks parameters, names its results, and computes points.

To add a task, write a subclass of `Task` and put it into `TASKS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import nan
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ufm.errors import ConvergenceError, InputError, brief
from ufm.problem import (
    ClassCounts,
    ClassifierDecay,
    Explicit,
    LinearDEQ,
    NoDecay,
    NormBudget,
    Problem,
    WeightDecay,
    long_tailed,
    step_imbalanced,
)
from ufm.problem.heads import Head
from ufm.problem.text import parse_head, parse_loss
from ufm.solvers.convex.step_imbalance import solve_steps
from ufm.solvers.estimate import seconds_for
from ufm.sweep.grid import Value, identity, seed_of

Point = dict[str, Value]
CERTIFIED = 1e-9
"""Points that the vectorised route solves with a larger certified relative gap are solved again one by one."""


class Row(NamedTuple):
    """The result of a point.

    Attributes
    ----------
    status : "done", "failed" or "interrupted"
    reason : str, why it failed, or ""
    results : tuple, in the order of the task's ``results``; None where undefined
    """

    status: str
    reason: str
    results: tuple[Any, ...]


class Task(ABC):
    """The base class of tasks.

    Attributes
    ----------
    name : str
    keys : frozenset of str, the parameters that the task accepts
    results : tuple of str, names of the results, which are columns of the store
    seconds : float
    """

    name: ClassVar[str]
    keys: ClassVar[frozenset[str]]
    results: ClassVar[tuple[str, ...]]
    seconds: ClassVar[float]
    """Rough time of a point in seconds, for the estimate that is shown before a run."""

    def check(self, point: Point) -> None:
        """Check the parameters of a point, a dict by name.

        Raises
        ------
        InputError
            Parameters are unknown, missing or contradict each other.
        """
        unknown = sorted(set(point) - self.keys)
        if unknown:
            raise InputError(f"task {self.name!r} does not know {brief(unknown[0])}; it knows {', '.join(sorted(self.keys))}")
        self.prepare(point)

    @abstractmethod
    def prepare(self, point: Point) -> Any:
        """The arguments of the computation at a point, such as a `Problem`; raises InputError where they are not valid."""
        ...

    @abstractmethod
    def one(self, point: Point) -> tuple[Any, ...]:
        """The results of one point, in the order of ``results``; None where undefined."""
        ...

    def block(self, points: list[Point]) -> list[Row]:
        """The rows of several points; a point that cannot be computed gives a row with status "failed"."""
        return [self.guarded(point) for point in points]

    def guarded(self, point: Point) -> Row:
        """The row of one point, with status "failed" where it cannot be computed."""
        try:
            return Row("done", "", self.one(point))
        except (InputError, ConvergenceError) as error:
            return Row("failed", str(error), (None,) * len(self.results))

    def speed(self, point: Point) -> float:
        """Estimated seconds for a point like this one."""
        return self.seconds

    def size(self, point: Point) -> int:
        """Number of points in a block, for points like this one: about a second of work."""
        return max(1, min(20_000, round(1.0 / self.speed(point))))


def regularizer_of(point: Point, head: Head) -> WeightDecay | NormBudget | ClassifierDecay | NoDecay:
    """The regularizer at a point.

    One of ``decay = [LW, LH]`` or ``[LW, LH, LB]``, ``lambda`` (LW = LH), ``budget = [EW, EH]``, or ``c`` (E_W = 1,
    E_H = c^2); half convention, features per sample. Under a head with features of a fixed norm ``lambda`` or ``decay = [LW]``
    is the decay of the classifier, and none is given where classifiers have a fixed norm, too.

    Raises
    ------
    InputError
        None or several of them, or values that do not fit.
    """
    given = [name for name in ("decay", "lambda", "budget", "c") if name in point]
    if head.undecayed:
        if given:
            raise InputError(f"a point has {given[0]}, but under the head {head} nothing is decayed; leave it out")
        return NoDecay()
    if head.normalised:
        value = point.get("lambda", point.get("decay"))
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if len(given) != 1 or isinstance(value, list) or value is None:
            raise InputError(
                f"a point has {given or 'no decay'}; under the head {head} give lambda, the decay of the classifier"
            )
        return ClassifierDecay(_number(given[0], value))
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
    """The head at a point: ``head`` as text, ``rho`` of a linear DEQ, or the explicit head without either.

    Raises
    ------
    InputError
        Both are given, or a value does not fit.
    """
    if "rho" in point and "head" in point:
        raise InputError("a point has both head and rho; rho means head = 'deq:rho=...', so give one of them")
    if "rho" in point:
        return LinearDEQ(_number("rho", point["rho"]))
    return parse_head(_text("head", point["head"])) if "head" in point else Explicit()


def counts_of(point: Point) -> ClassCounts:
    """The class sizes at a point, in samples.

    ``counts`` as text; or ``classes = [KA, KB]`` with ``minority_count`` and ``ratio``; or ``tail`` (number of classes K) with
    ``largest`` and ``ratio``.

    Raises
    ------
    InputError
        None or several of them, a parameter that is missing or does not belong to the others, or values that do not fit.
    """
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
    """The numbers of majority and minority classes at a point, from ``classes = [KA, KB]``.

    Raises
    ------
    InputError
        They are missing, or are not two positive whole numbers.
    """
    value = point.get("classes")
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"classes is {brief(value)}; give [KA, KB]")
    return _whole("classes", value[0]), _whole("classes", value[1])


class Solve(Task):
    """Optima with certificates; step imbalance with plain cross-entropy is solved for many points at once.

    In the results, ``gap`` is the upper minus the lower bound, and ``relative_gap`` is the gap over the upper bound;
    ``contrast_majority`` and ``contrast_minority`` are logit contrasts of the largest and the smallest classes, 0 where they
    share one classifier; ``collapsed_groups`` says which groups of equal classes do at the optimum: proved in ball arithmetic
    where points are solved one by one, from closed forms in float64 where they are solved together (route "step").
    """

    name = "solve"
    keys = frozenset(
        ("counts", "classes", "minority_count", "ratio", "tail", "largest", "decay", "lambda", "budget", "c", "head", "rho",
         "loss", "dim", "method")
    )  # fmt: skip
    results = (
        "value", "lower", "upper", "gap", "cos_majority", "cos_minority", "cos_cross", "norm_ratio", "contrast_minority",
        "relative_gap", "route", "contrast_majority", "collapsed_groups",
    )  # fmt: skip
    seconds = 1e-2

    def prepare(self, point: Point) -> Problem:
        loss = parse_loss(_text("loss", point["loss"])) if "loss" in point else None
        dim = _whole("dim", point["dim"]) if "dim" in point else None
        if "method" in point:
            from ufm.solvers import solver

            solver(_text("method", point["method"]))
        head = head_of(point)
        problem = Problem(counts_of(point), regularizer=regularizer_of(point, head), head=head, loss=loss, dim=dim)
        if len(problem.counts.groups) > 12 or problem.dim is not None:
            seconds_for(problem, str(point.get("method", "auto")))  # raises InputError where it would take hours
        return problem

    def speed(self, point: Point) -> float:
        return 5e-5 if _vectorised(point) else self.seconds

    def one(self, point: Point) -> tuple[Any, ...]:
        from ufm.analysis.collapsed import collapsed_groups
        from ufm.analysis.group_collapse import contrast_of
        from ufm.analysis.solution_geometry import geometry
        from ufm.solvers.automatic import solve

        solution = solve(self.prepare(point), method=_text("method", point.get("method", "auto")))
        certificate, metrics = solution.certificate, geometry(solution)
        cosines = [metrics[name] for name in ("cos_majority", "cos_minority", "cos_cross", "norm_ratio")]
        bounds = (solution.value, certificate.lower, certificate.upper, certificate.gap)
        sizes = solution.program.sizes
        smallest, largest = (
            c if np.isfinite(c) else None for c in (contrast_of(solution, n) for n in (min(sizes), max(sizes)))
        )
        shared = collapsed_groups(solution)
        return *bounds, *cosines, smallest, certificate.relative_gap, solution.method, largest, shared

    def block(self, points: list[Point]) -> list[Row]:
        found: list[Row | None] = [None] * len(points)
        fast = [k for k, point in enumerate(points) if _vectorised(point)]
        for k, row in zip(fast, self._together([points[k] for k in fast]), strict=True):
            found[k] = row
        return [self.guarded(point) if row is None else row for point, row in zip(points, found, strict=True)]

    def _together(self, points: list[Point]) -> list[Row | None]:
        """Rows of points solved at once; None where the certified gap is too large and the point must be solved by itself."""
        from ufm.analysis.collapsed import collapsed_step

        rows: list[Row | None] = [None] * len(points)
        asked: dict[bool, list[tuple[int, float, float, float, float, float]]] = {True: [], False: []}
        for k, point in enumerate(points):
            try:
                sizes, head = counts_of(point), head_of(point)
                regularizer = regularizer_of(point, head)
                gain = head.gain or 1.0
                (na, a), (nb, b) = sizes.runs if len(sizes.runs) == 2 else _split(point, sizes)
                if isinstance(regularizer, NormBudget):
                    asked[True].append((k, a, b, na, nb, regularizer.radius(sizes.classes, gain)))
                elif isinstance(regularizer, WeightDecay):
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
                np.where(a > 1, solved.contrast_majority, nan),
            )  # fmt: skip
            sizes = zip(a.astype(int).tolist(), b.astype(int).tolist(), na.tolist(), nb.tolist(), charge.tolist(), strict=True)
            for k, (*step, price), *numbers in zip(which.tolist(), sizes, *(c.tolist() for c in columns), strict=True):
                if numbers[-2] <= CERTIFIED:
                    *values, majority = (v if np.isfinite(v) else None for v in numbers)
                    shared = collapsed_step(*step, **{"radius" if budget else "mu": price})
                    rows[int(k)] = Row("done", "", (*values, "step", majority, shared))
        return rows


def _split(point: Point, sizes: ClassCounts) -> tuple[tuple[int, int], tuple[int, int]]:
    """Balanced class sizes as two groups (size, classes) with the numbers of classes of the point."""
    majority, minority = classes_of(point)
    size = sizes.runs[0][0]
    return (size, majority), (size, minority)


def _vectorised(point: Point) -> bool:
    plain = "classes" in point and not {"loss", "dim", "method"} & set(point) and len(_listed(point.get("decay"))) < 3
    return plain and ("rho" in point or point.get("head", "explicit") == "explicit")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class Thresholds(Task):
    """Enclosures of the imbalance ratio from which equal classes of the optimum share one classifier, and which group it is."""

    name = "threshold"
    keys = frozenset(("classes", "minority_count", "decay", "lambda", "budget", "c", "head", "rho", "level", "loss"))
    results = ("ratio", "ratio_lower", "ratio_upper", "level_found", "transition", "group")
    seconds = 5e-3

    def prepare(self, point: Point) -> dict[str, Any]:
        count = _whole("minority_count", point["minority_count"]) if "minority_count" in point else None
        head = head_of(point)
        return {
            "classes": classes_of(point),
            "regularizer": regularizer_of(point, head),
            "minority_count": count,
            "head": head,
            "level": _text("level", point.get("level", "float")),
            "loss": parse_loss(_text("loss", point["loss"])) if "loss" in point else None,
        }

    def one(self, point: Point) -> tuple[Any, ...]:
        from ufm.analysis.thresholds import threshold

        found = threshold(**self.prepare(point))
        return found.value, found.lower, found.upper, found.level, found.transition, found.group


class Train(Task):
    """Training runs. Without a ``seed`` the seed of a run is computed from its parameters."""

    name = "train"
    keys = frozenset(
        ("model", "data", "classes", "ratio", "tail", "largest", "map", "width", "contraction", "decay", "body", "encoder",
         "jacobian", "optimizer", "rate", "epochs", "batch", "seed", "feature_norm")
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
        from ufm.training.data import check_scikit_learn
        from ufm.training.loop import train

        settings = self.prepare(point)
        if settings.data == "digits":
            check_scikit_learn()
        data = settings.dataset()
        trained = train(
            data,
            settings.network(data.x.shape[1]),
            optimizer=settings.make_optimizer(),
            epochs=settings.epochs,
            batch=settings.batch,
            random_state=settings.random_state,
            last_only=True,
        )
        metrics = [value if np.isfinite(value) else None for value in (trained.last[name] for name in self.results[:-2])]
        theory = trained.prediction
        return *metrics, *((None, None) if theory is None else (theory.metrics.get("cos_minority"), theory.collapsed))


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
