"""Enclosures and the verdicts that comparing them allows."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ufm._balls import outward, working_precision
from ufm.certify import Certificate
from ufm.contrastive import ContrastiveSolution
from ufm.solvers.solution import Solution

_KEPT: ContextVar[list[Certificate] | None] = ContextVar("certificates", default=None)


@contextmanager
def collecting() -> Generator[list[Certificate], None, None]:
    """In the block, every certificate that `Enclosure.of` reads is appended to the list that is yielded."""
    found: list[Certificate] = []
    token = _KEPT.set(found)
    try:
        yield found
    finally:
        _KEPT.reset(token)


def rests_on(solution: Solution) -> Solution:
    """The solution itself, its certificate counted among those that comparisons rest on (see `collecting`)."""
    kept = _KEPT.get()
    if kept is not None:
        kept.append(solution.certificate)
    return solution


class Outcome(Enum):
    """Three-valued: a claim is violated only by disjoint enclosures, and holds only with the slack justified."""

    HOLDS = "holds"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Enclosure:
    """A real number known to lie in [lower, upper]."""

    lower: float
    upper: float

    @classmethod
    def of(cls, certificate: Certificate | ContrastiveSolution) -> Enclosure:
        """The optimal value."""
        kept = _KEPT.get()
        if kept is not None and isinstance(certificate, Certificate):
            kept.append(certificate)
        return cls(certificate.lower, certificate.upper)

    @classmethod
    def ball(cls, formula: Callable[[], Any]) -> Enclosure:
        """A closed form, evaluated in ball arithmetic."""
        with working_precision():
            return cls(*outward(formula()))

    @property
    def width(self) -> float:
        """upper - lower"""
        return self.upper - self.lower

    def hull(self, other: Enclosure) -> float:
        """Largest distance between a point of one and a point of the other."""
        return max(self.upper - other.lower, other.upper - self.lower)

    def disjoint(self, other: Enclosure) -> bool:
        """No common point."""
        return self.upper < other.lower or other.upper < self.lower


class Relation(Enum):
    """What a comparison claims of its two sides."""

    EQUAL = "="
    LESS = "<"
    DECIDED = "is"


@dataclass(frozen=True)
class Finding:
    """One comparison: what was compared, the outcome, and how far it is from going the other way.

    Attributes
    ----------
    what : str, what was compared
    outcome : Outcome
    margin : float
        For equalities the agreement (largest possible discrepancy, relative); for inequalities and decisions the slack.
    level : str
        "numeric" (computed, not proved) < "float" (bounds in float64 that allow for rounding) < "rigorous"
    equality : bool, whether the margin is that of an equality
    predicted, computed : Enclosure, str or None
        Both sides of the comparison: enclosures of numbers, or expected and found verdict; None where they were not kept. For
        an inequality the smaller and the larger side.
    tolerance : float or None, relative, of an equality
    relation : Relation
    """

    what: str
    outcome: Outcome
    margin: float
    level: str
    equality: bool = True
    predicted: Enclosure | str | None = None
    computed: Enclosure | str | None = None
    tolerance: float | None = None
    relation: Relation = Relation.EQUAL

    def __post_init__(self) -> None:
        # Margins come as numbers of NumPy and of computer algebra too; what writes findings down needs plain ones.
        object.__setattr__(self, "margin", float(self.margin))


def equal(what: str, predicted: Enclosure, computed: Enclosure, *, tolerance: float, level: str) -> Finding:
    """Equality up to a relative tolerance: violated iff disjoint, inconclusive if the enclosures are too wide to tell."""
    scale = max(abs(computed.lower), abs(computed.upper), 1e-300)
    if not (predicted.lower <= predicted.upper and computed.lower <= computed.upper):
        return Finding(what, Outcome.INCONCLUSIVE, float("inf"), level, True, predicted, computed, tolerance)
    if predicted.disjoint(computed):
        distance = max(predicted.lower - computed.upper, computed.lower - predicted.upper)
        return Finding(what, Outcome.VIOLATED, distance / scale, level, True, predicted, computed, tolerance)
    agreement = predicted.hull(computed) / scale
    outcome = Outcome.HOLDS if agreement <= tolerance else Outcome.INCONCLUSIVE
    return Finding(what, outcome, agreement, level, True, predicted, computed, tolerance)


def less(what: str, smaller: Enclosure, larger: Enclosure, *, level: str) -> Finding:
    """Strict inequality: holds iff the enclosures are disjoint in that order."""
    sides: dict[str, Any] = {"equality": False, "predicted": smaller, "computed": larger, "relation": Relation.LESS}
    slack = larger.lower - smaller.upper
    if not (smaller.lower <= smaller.upper and larger.lower <= larger.upper):
        return Finding(what, Outcome.INCONCLUSIVE, 0.0, level, **sides)
    if slack > 0:
        return Finding(what, Outcome.HOLDS, slack, level, **sides)
    if smaller.lower >= larger.upper:
        return Finding(what, Outcome.VIOLATED, smaller.lower - larger.upper, level, **sides)
    return Finding(what, Outcome.INCONCLUSIVE, 0.0, level, **sides)


def decided(what: str, expected: str, verdict: str, *, margin: float, level: str) -> Finding:
    """A yes / no / undecided verdict against the expected one, "yes" or "no": anything else would be violated by both."""
    if expected not in ("yes", "no"):
        raise ValueError(f"expected is {expected!r}; a claim that can hold expects 'yes' or 'no'")
    sides: dict[str, Any] = {"equality": False, "predicted": expected, "computed": verdict, "relation": Relation.DECIDED}
    if verdict not in ("yes", "no"):
        return Finding(what, Outcome.INCONCLUSIVE, 0.0, level, **sides)
    outcome = Outcome.HOLDS if verdict == expected else Outcome.VIOLATED
    return Finding(what, outcome, margin, level, **sides)
