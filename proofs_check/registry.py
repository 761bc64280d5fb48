"""What a theorem is to this book, and the list of all of them.

A theorem is one subclass of `Theorem` with a docstring that states the claim. Adding one is one class in the file of its
paper; the report, the command line and the tests enumerate the book and ask for nothing more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from time import perf_counter
from typing import Any, ClassVar

from proofs_check.bibliography import Source
from proofs_check.enclosure import Finding, Outcome
from ufm.errors import InputError

PAPERS = (
    "fang2021",
    "hongling2023",
    "zhu2021",
    "zhou2022",
    "yang2022",
    "dang2023",
    "dang2024",
    "garrod2025",
    "sunshi2024",
    "sunshi2024_audit",
    "sunshi2024_decay",
    "sunshi2024_dynamics",
    "zhao2024",
    "andriopoulos2024",
    "li2023",
    "multitask",
    "remedies",
    "normalised",
    "contrastive",
    "training_laws",
    "ordinal",
)
"""Modules that define theorems, in order of appearance."""
LEVELS = ("numeric", "float", "rigorous")


class Kind(Enum):
    """Whether the claim is an exact characterisation or a bound."""

    TIGHT = "tight"
    LIMIT = "limit"
    EQUIVALENCE = "equivalence"


class Theorem(ABC):
    """Base class; subclasses state the claim in their docstring.

    Class attributes: ``id``, ``title`` (one line), ``kind``, ``source`` (citation with locator), and ``open_steps``: what of
    the claim the symbolic steps leave to the argument of the docstring.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[Kind]
    source: ClassVar[Source]
    open_steps: ClassVar[str] = ""

    @abstractmethod
    def grid(self) -> Iterable[Any]:
        """Instances that satisfy the hypotheses."""
        ...

    @abstractmethod
    def check(self, instance: Any, level: str) -> Iterator[Finding]:
        """The claim at an instance against a certified computation."""
        ...

    def steps(self) -> Iterator[tuple[str, Any]]:
        """Named symbolic identities of the proof and whether computer algebra confirms them: its own truth values will do."""
        return iter(())

    @abstractmethod
    def control(self, level: str) -> Iterator[Finding]:
        """Deliberately wrong versions of the claim, put to the same comparison: each must come out violated."""
        ...

    @abstractmethod
    def twin(self, level: str) -> Iterator[Finding]:
        """Changes of the instance that must not move the answer."""
        ...

    @abstractmethod
    def outside(self, level: str) -> Iterator[Finding]:
        """What happens where the hypotheses fail: each finding states it, and must hold as stated."""
        ...


@dataclass(frozen=True)
class Verdict:
    """All findings on one theorem, summed up.

    level : weakest level among the findings on the claim itself
    """

    theorem: type[Theorem]
    outcome: Outcome
    level: str
    findings: tuple[Finding, ...]
    steps: tuple[tuple[str, bool], ...]
    controls: tuple[Finding, ...]
    twins: tuple[Finding, ...]
    outside: tuple[Finding, ...]
    seconds: float

    @property
    def worst(self) -> str:
        """``=`` worst relative agreement of the equalities, ``>`` smallest slack of the decisions and inequalities."""
        equalities = [f.margin for f in self.findings if f.equality]
        slacks = [f.margin for f in self.findings if not f.equality]
        parts = [f"={max(equalities):.0e}"] if equalities else []
        parts += [f">{min(slacks):.0e}"] if slacks else []
        return " ".join(parts)

    @property
    def trouble(self) -> list[str]:
        """Everything that kept the theorem from holding, one line each."""
        lines = [f"{f.what}: {f.outcome.value} (margin {f.margin:.1e})" for f in self.findings if f.outcome != Outcome.HOLDS]
        lines += [] if self.findings else ["nothing was compared"]
        parts = (("negative control", self.controls), ("twin", self.twins), ("instance outside the hypotheses", self.outside))
        lines += [f"there is no {name}" for name, found in parts if not found]
        lines += [f"symbolic step {name!r} is not confirmed" for name, passed in self.steps if not passed]
        lines += [f"negative control not rejected: {f.what}" for f in self.controls if f.outcome != Outcome.VIOLATED]
        lines += [f"twin moved: {f.what} ({f.outcome.value})" for f in self.twins if f.outcome != Outcome.HOLDS]
        lines += [f"outside: {f.what} ({f.outcome.value})" for f in self.outside if f.outcome != Outcome.HOLDS]
        return lines


def all_theorems() -> dict[str, type[Theorem]]:
    """Every theorem by its identifier: the subclasses of `Theorem` that the modules in `PAPERS` define, in their order.

    Raises
    ------
    ValueError
        Two theorems have the same identifier.
    """
    book: dict[str, type[Theorem]] = {}
    for paper in PAPERS:
        module = import_module(f"proofs_check.{paper}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Theorem) and value.__module__ == module.__name__:
                if value.id in book:
                    raise ValueError(f"two theorems are named {value.id}")
                book[value.id] = value
    return book


def select(names: Iterable[str]) -> list[type[Theorem]]:
    """Theorems by identifier, all if none is named.

    Raises
    ------
    InputError
        An unknown identifier.
    """
    book = all_theorems()
    wanted = [name.upper() for name in names] or list(book)
    unknown = [name for name in wanted if name not in book]
    if unknown:
        raise InputError(f"there is no theorem {unknown[0]!r}; choose among {', '.join(book)}")
    return [book[name] for name in wanted]


def _guarded(findings: Iterator[Finding], what: str, level: str) -> Iterator[Finding]:
    """The findings; a solver that refuses its problem makes one that is inconclusive instead of ending the run."""
    try:
        yield from findings
    except InputError as error:
        yield Finding(f"{what}: {error}", Outcome.INCONCLUSIVE, float("inf"), level)


def _confirmed(truth: Any) -> bool:
    """A truth value of computer algebra as a plain one; a relation that it cannot decide confirms nothing."""
    try:
        return bool(truth)
    except TypeError:
        return False


def judge(cls: type[Theorem], level: str = "rigorous", progress: Callable[[str], None] = lambda _: None) -> Verdict:
    """Run everything a theorem has to offer and sum it up."""
    start = perf_counter()
    claim = cls()
    findings: list[Finding] = []
    for instance in claim.grid():
        progress(f"{cls.id} {instance}")
        findings.extend(_guarded(claim.check(instance, level), f"{instance}", level))
    progress(f"{cls.id} symbolic steps")
    steps = tuple((str(name), _confirmed(truth)) for name, truth in claim.steps())
    progress(f"{cls.id} controls and twins")
    controls = tuple(_guarded(claim.control(level), "control", level))
    twins = tuple(_guarded(claim.twin(level), "twin", level))
    outside = tuple(_guarded(claim.outside(level), "outside", level))
    if any(f.outcome == Outcome.VIOLATED for f in findings) or not all(passed for _, passed in steps):
        outcome = Outcome.VIOLATED
    elif (
        findings
        and controls
        and twins
        and outside
        and all(f.outcome == Outcome.HOLDS for f in (*findings, *twins, *outside))
        and all(f.outcome == Outcome.VIOLATED for f in controls)
    ):
        outcome = Outcome.HOLDS
    else:
        outcome = Outcome.INCONCLUSIVE
    weakest = min((f.level for f in findings), key=LEVELS.index, default="numeric")
    return Verdict(cls, outcome, weakest, tuple(findings), steps, controls, twins, outside, perf_counter() - start)
