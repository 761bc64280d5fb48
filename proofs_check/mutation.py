"""Whether the checks of a theorem reject wrong formulas.

Each mutant of its formulas is put to the theorem's own check on its grid, then to its twins and to what it says outside of its
hypotheses: all that must hold for the verdict that the theorem holds.
"""

from __future__ import annotations

import ast
import inspect
import pickle
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, wraps
from importlib import import_module
from time import perf_counter
from types import ModuleType
from typing import Any

import ufm
from proofs_check.boxes.table import BOXES, Entry
from proofs_check.enclosure import Finding, Outcome
from proofs_check.equivalents import EQUIVALENT
from proofs_check.mutants import mutants_of
from proofs_check.theorem import Theorem
from proofs_check.timing import OutOfTimeError, limited
from ufm.errors import RunError

LIMIT = 60.0
"""Seconds on a processor after which the check of a mutant is given up; it counts as not rejected."""
FATES = ("violated", "undecided", "raises", "survives", "too slow", "equivalent")


@dataclass(frozen=True)
class Fate:
    """What the check of a theorem said of a mutant.

    Attributes
    ----------
    theorem : str, identifier
    name, sort : str, the change and what sort of change it is
    line : int, in the file
    fate : str, one of `FATES`; "equivalent" for a survivor whose reason is known
    reason : str, why it is equivalent
    """

    theorem: str
    name: str
    sort: str
    line: int
    fate: str
    reason: str = ""

    @property
    def rejected(self) -> bool:
        """Whether the check noticed it."""
        return self.fate in ("violated", "undecided", "raises")


class _Remembering(ModuleType):
    """`ufm` with solvers that remember: the problems of most mutants are those of the theorem."""

    def __init__(self) -> None:
        super().__init__("ufm")
        for name in ("solve", "threshold", "landscape", "collapse"):
            setattr(self, name, _remembered(getattr(ufm, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(ufm, name)


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    kept: dict[bytes, Any] = {}

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            key = pickle.dumps((arguments, sorted(options.items())))
        except (pickle.PicklingError, TypeError, AttributeError):
            return function(*arguments, **options)
        if key not in kept:
            kept[key] = function(*arguments, **options)
        return kept[key]

    return call


def _loaded(module: ModuleType, tree: ast.Module, engine: ModuleType, changed: set[str]) -> ModuleType:
    """A copy of a module from a syntax tree, with remembering solvers; what the module itself remembers is shared."""
    made = ModuleType(module.__name__)
    made.__file__ = module.__file__
    # Annotations and dataclasses look their module up by name while the copy is made.
    before = sys.modules[module.__name__]
    sys.modules[module.__name__] = made
    try:
        exec(compile(tree, str(module.__file__), "exec"), made.__dict__)
    finally:
        sys.modules[module.__name__] = before
    if "ufm" in made.__dict__:
        made.__dict__["ufm"] = engine
    for name, value in vars(module).items():
        if hasattr(value, "cache_clear") and name not in changed:
            made.__dict__[name] = value
    return made


def targets(theorem: type[Theorem]) -> list[tuple[ModuleType, str]]:
    """Modules and dotted names of the formulas that a theorem declares.

    Parameters
    ----------
    theorem : class of the theorem

    Returns
    -------
    list of (module, str)
    """
    home, found = import_module(theorem.__module__), []
    for declared in theorem.formulas:
        name, _, path = declared.rpartition(":")
        module = import_module(f"proofs_check.{name}") if name else home
        own = not name and path.partition(".")[0] in vars(theorem)
        found.append((module, f"{theorem.__name__}.{path}" if own else path))
    return found


@cache
def _source(module: ModuleType) -> str:
    return inspect.getsource(module)


def _noticed(findings: Iterable[Finding]) -> str:
    """How findings that should hold tell that they do not; "" where they hold."""
    found = [finding.outcome for finding in findings]
    if all(outcome is Outcome.HOLDS for outcome in found) and found:
        return ""
    return "violated" if Outcome.VIOLATED in found else "undecided"


class _Bench:
    """A theorem on which mutants are tried."""

    def __init__(self, theorem: type[Theorem], level: str) -> None:
        self.theorem, self.level, self.engine = theorem, level, _Remembering()
        self.home = import_module(theorem.__module__)
        self.order = list(theorem().grid())

    def claim(self, module: ModuleType, path: str, tree: ast.Module) -> tuple[Theorem, ModuleType]:
        """The theorem with a tree of one of its modules in place, and the module around it."""
        changed = {path.partition(".")[0]}
        made = _loaded(module, tree, self.engine, changed)
        if module is not self.home:
            copy = _loaded(self.home, ast.parse(_source(self.home)), self.engine, set())
            for name in changed:
                copy.__dict__[name] = made.__dict__[name]
            made = copy
        return getattr(made, self.theorem.__name__)(), made

    def fate(self, module: ModuleType, path: str, tree: ast.Module) -> str:
        """What the check says at the first instance that notices; instances that noticed before come first."""
        try:
            with limited(LIMIT, processor=True):
                claim, made = self.claim(module, path, tree)
                for place, instance in enumerate(self.order):
                    # The copy's own class of instances, where the mutant may be a property of it.
                    own = getattr(made, type(instance).__name__, None)
                    like = own(*instance) if isinstance(instance, tuple) and own is not None else instance
                    fate = _noticed(claim.check(like, self.level))
                    if fate:
                        self.order.insert(0, self.order.pop(place))
                        return fate
                return _noticed(claim.twin(self.level)) or _noticed(claim.outside(self.level)) or "survives"
        except OutOfTimeError:
            return "too slow"
        except Exception:  # a formula that cannot be evaluated is noticed by whoever runs the check
            return "raises"


def mutate(theorem: type[Theorem], level: str = "rigorous", progress: Callable[[str], None] = lambda _: None) -> list[Fate]:
    """The fate of every mutant of the formulas of a theorem.

    Parameters
    ----------
    theorem : class of the theorem
    level : str, "float" or "rigorous"
    progress : callable, told what runs

    Returns
    -------
    list of Fate
        Empty if the theorem declares no formulas.

    Raises
    ------
    RunError
        The check does not hold for the formulas as they are.
    """
    bench, found = _Bench(theorem, level), []
    for module, path in targets(theorem):
        made = mutants_of(_source(module), path)
        progress(f"{theorem.id} {path}, unchanged")
        _unnoticed(f"the check of {theorem.id}", bench.fate(module, path, ast.parse(_source(module))))
        for number, mutant in enumerate(made, 1):
            progress(f"{theorem.id} {path} {number}/{len(made)}")
            fate = bench.fate(module, path, mutant.tree())
            reason = EQUIVALENT.get((theorem.id, mutant.name), "") if fate in ("survives", "too slow") else ""
            found.append(Fate(theorem.id, mutant.name, mutant.sort, mutant.line, "equivalent" if reason else fate, reason))
    return found + of_box(theorem.id, progress)


def of_box(identifier: str, progress: Callable[[str], None] = lambda _: None) -> list[Fate]:
    """The fate of every mutant of the formulas of a theorem's box, put to what certifies the box.

    Parameters
    ----------
    identifier : str, of the theorem
    progress : callable, told what runs

    Returns
    -------
    list of Fate
        Empty if the theorem has no box.

    Raises
    ------
    RunError
        The box is not certified with the formulas as they are.
    """
    entry, found = BOXES.get(identifier), []
    if entry is None:
        return found
    module = import_module(f"proofs_check.boxes.{entry.module}")
    for path in entry.formulas:
        made = mutants_of(_source(module), path)
        progress(f"{identifier} box {path}, unchanged")
        _unnoticed(f"the box of {identifier}", _of_box(entry, module, path, ast.parse(_source(module))))
        for number, mutant in enumerate(made, 1):
            progress(f"{identifier} box {path} {number}/{len(made)}")
            fate = _of_box(entry, module, path, mutant.tree())
            reason = EQUIVALENT.get((identifier, mutant.name), "") if fate in ("survives", "too slow") else ""
            found.append(Fate(identifier, mutant.name, mutant.sort, mutant.line, "equivalent" if reason else fate, reason))
    return found


def _unnoticed(what: str, fate: str) -> None:
    """Refuse to score a check that notices the formula as it is: it would reject every mutant."""
    if fate != "survives":
        raise RunError(f"{what} does not hold for the formula as it is ({fate}); run it without --mutate first")


def _of_box(entry: Entry, module: ModuleType, path: str, tree: ast.Module) -> str:
    """What the box says with a tree of its module in place."""
    try:
        with limited(LIMIT, processor=True):
            copy = _loaded(module, tree, _Remembering(), {path, "mesh"})
            box = entry.evaluate("quick", copy)
            return _noticed((box.measured, *box.findings)) or "survives"
    except OutOfTimeError:
        return "too slow"
    except Exception:  # a formula that cannot be evaluated is noticed by whoever evaluates the box
        return "raises"


@dataclass(frozen=True)
class Score:
    """Fates of many mutants in numbers.

    Attributes
    ----------
    counts : dict, number of mutants for each fate
    seconds : float
    """

    counts: dict[str, int]
    seconds: float

    @classmethod
    def of(cls, fates: list[Fate], start: float) -> Score:
        """The numbers of a list of fates; ``start`` is a time of `time.perf_counter`."""
        counts = Counter(f.fate for f in fates)
        return cls({name: counts[name] for name in FATES}, perf_counter() - start)

    @property
    def total(self) -> int:
        """All mutants."""
        return sum(self.counts.values())

    @property
    def rejected(self) -> int:
        """Those that the checks noticed."""
        return sum(self.counts[name] for name in ("violated", "undecided", "raises"))

    @property
    def share(self) -> float:
        """Rejected ones among those that are not known to be equivalent; 1 where there are none."""
        wrong = self.total - self.counts["equivalent"]
        return self.rejected / wrong if wrong else 1.0
