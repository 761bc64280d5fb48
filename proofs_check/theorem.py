"""What a theorem is to this book: a statement with its hypotheses, its source and its proof, and everything that checks it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from inspect import getdoc
from typing import Any, ClassVar, NamedTuple

from proofs_check.bibliography import Source
from proofs_check.box import Box
from proofs_check.boxes.table import box_of
from proofs_check.enclosure import Finding

SLACK = (
    "An equality holds if both enclosures lie within the relative tolerance that is shown. A certified value is as wide as the "
    "gap between its bounds; contrasts, cosines and probabilities follow from it through a square root, so that their "
    "tolerances are wider."
)
"""Why comparisons of a theorem need a tolerance, where it gives no reason of its own."""


class Kind(Enum):
    """What sort of claim a theorem makes."""

    TIGHT = "tight"
    UPPER = "upper"
    LOWER = "lower"
    IDENTITY = "identity"
    LIMIT = "limit"
    IMPOSSIBILITY = "impossibility"
    EQUIVALENCE = "identity"  # another name of an identity: two descriptions of one thing

    @property
    def meaning(self) -> str:
        """One sentence for readers."""
        return {
            "tight": "an exact value or an exact condition, attained",
            "upper": "a bound from above",
            "lower": "a bound from below",
            "identity": "two problems or two quantities are the same",
            "limit": "a statement about what happens along a sequence of problems",
            "impossibility": "something that is not so, shown by an explicit counterexample",
        }[self.value]


class Proof(Enum):
    """How much of a claim the symbolic steps prove for general parameters."""

    COMPLETE = "complete"
    PART = "in part"
    NONE = "none"

    @property
    def meaning(self) -> str:
        """One sentence for readers."""
        return {
            "complete": "the steps together imply the claim for general parameters",
            "in part": "some steps are decided by computer algebra; what is left to argument is named",
            "none": "there are no symbolic steps: the claim is checked at the points of its grid",
        }[self.value]


class Hypothesis(NamedTuple):
    """One condition of a theorem on an instance.

    Attributes
    ----------
    text : str, the condition, with LaTeX between dollars
    holds : callable, whether an instance satisfies it
    """

    text: str
    holds: Callable[[Any], bool]


class Theorem(ABC):
    """Base class; subclasses state the claim in their docstring, with LaTeX between dollars: its first paragraph.

    Attributes
    ----------
    id, title : str, name and one line without LaTeX
    kind : Kind
    source : Source, paper with locator
    hypotheses : tuple of Hypothesis, what every instance of the grid satisfies
    required : str, weakest level at which the claim counts as checked when "rigorous" is asked for
    slack : str, why comparisons need a tolerance
    open_steps : str, what of the claim the symbolic steps leave to argument; "" where they imply it
    formulas : tuple of str
        Functions of the module, or methods of the class (dotted names for other classes of the module), that compute what is
        predicted. `proofs_check.mutate` perturbs them.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[Kind]
    source: ClassVar[Source]
    hypotheses: ClassVar[tuple[Hypothesis, ...]] = ()
    required: ClassVar[str] = "numeric"
    slack: ClassVar[str] = SLACK
    open_steps: ClassVar[str] = ""
    formulas: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def grid(self) -> Iterable[Any]:
        """Instances that satisfy the hypotheses."""
        ...

    def more(self) -> Iterable[Any]:
        """Further instances, for a full run."""
        return ()

    @abstractmethod
    def check(self, instance: Any, level: str) -> Iterator[Finding]:
        """The claim at an instance against a certified computation."""
        ...

    def steps(self) -> Iterator[tuple[str, Any]]:
        """Named symbolic identities of the proof and whether computer algebra confirms them: its own truth values will do.

        Names may have LaTeX between dollars.
        """
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

    def box(self, scale: str = "default") -> tuple[Box, ...]:
        """What the claim says over continuous ranges, evaluated; those of `proofs_check.boxes.table` unless overridden.

        Parameters
        ----------
        scale : str, "quick", "default" or "full": how many numbers of classes a mesh covers

        Returns
        -------
        tuple of Box
        """
        return box_of(self.id, scale)

    @classmethod
    def paragraphs(cls) -> list[str]:
        """Paragraphs of the docstring, with their line breaks."""
        return [part.strip("\n") for part in (getdoc(cls) or "").split("\n\n") if part.strip()]

    @classmethod
    def statement(cls) -> str:
        """The claim in words and LaTeX: the first paragraph of the docstring, in one line."""
        return " ".join(cls.paragraphs()[0].split()) if cls.paragraphs() else ""

    @classmethod
    def proof(cls) -> Proof:
        """How much of the claim the symbolic steps prove: nothing without steps, all where no step is left open."""
        if cls.steps is Theorem.steps:
            return Proof.NONE
        return Proof.PART if cls.open_steps else Proof.COMPLETE

    @classmethod
    def fails(cls, instance: Any) -> list[str]:
        """The hypotheses that an instance does not satisfy, as texts.

        A hypothesis that cannot be evaluated, because the instance has no such number, is not satisfied.
        """
        return [hypothesis.text for hypothesis in cls.hypotheses if not _true(hypothesis, instance)]


def _true(hypothesis: Hypothesis, instance: Any) -> bool:
    try:
        return bool(hypothesis.holds(instance))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False
