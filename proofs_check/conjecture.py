r"""A claim of your own: parameters with ranges, what you predict, and what ufm computes. See docs/conjectures.md.

A file with subclasses of `Conjecture` is searched for counterexamples by ``python -m proofs_check FILE``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from inspect import getdoc
from math import exp, isfinite, log
from typing import Any, ClassVar, Protocol

import numpy as np

import ufm
from proofs_check.enclosure import Enclosure
from proofs_check.theorem import Hypothesis
from ufm.errors import InputError, brief

RELATIONS = ("equal", "at most", "at least")
"""What is computed is equal to, at most, or at least what is predicted."""


class Range(Protocol):
    """The values that a parameter can take."""

    def corners(self) -> list[Any]:
        """The ends and the middle."""
        ...

    def draw(self, rng: np.random.Generator) -> Any:
        """A value at random."""
        ...

    def near(self, value: Any, scale: float, rng: np.random.Generator) -> Any:
        """A value at random near another; ``scale`` is 1 for the whole range."""
        ...

    def simpler(self, value: Any) -> list[Any]:
        """Values that a reader would rather see, the simplest first."""
        ...


@dataclass(frozen=True)
class Whole:
    """Whole numbers from ``low`` to ``high``, in steps of ``step``.

    Raises
    ------
    InputError
        Ends that are no whole numbers or not in order, or a step below 1.
    """

    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        if not all(type(x) is int for x in (self.low, self.high, self.step)) or self.low > self.high or self.step < 1:
            raise InputError(f"{self} is no range; give whole numbers low <= high and a step of at least 1")

    def corners(self) -> list[int]:
        """The ends and the middle."""
        count = (self.high - self.low) // self.step
        return list(dict.fromkeys(self.low + k * self.step for k in (0, count, count // 2)))

    def draw(self, rng: np.random.Generator) -> int:
        """A value at random."""
        return self.low + self.step * int(rng.integers((self.high - self.low) // self.step + 1))

    def near(self, value: int, scale: float, rng: np.random.Generator) -> int:
        """A value at random near another."""
        width = max(1.0, scale * (self.high - self.low) / self.step)
        moved = value + self.step * round(float(rng.normal()) * width)
        top = self.low + (self.high - self.low) // self.step * self.step
        return int(min(max(moved, self.low), top))

    def simpler(self, value: int) -> list[int]:
        """Smaller values: the least, then those nearer and nearer to the value."""
        steps = (value - self.low) // self.step
        found = [value - self.step * (steps // 2**k) for k in range(steps.bit_length())]
        return [v for v in dict.fromkeys(found) if self.low <= v < value]

    def __str__(self) -> str:
        return f"{self.low} to {self.high}" + (f" in steps of {self.step}" if self.step > 1 else "")


@dataclass(frozen=True)
class Real:
    """Numbers from ``low`` to ``high``, drawn evenly, or evenly in their logarithm.

    Raises
    ------
    InputError
        Ends that are not finite or not in order, or not positive where the logarithm is drawn.
    """

    low: float
    high: float
    logarithmic: bool = False

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low <= self.high):
            raise InputError(f"{self} is no range; give finite numbers low <= high")
        if self.logarithmic and self.low <= 0:
            raise InputError(f"{self} cannot be drawn evenly in the logarithm; give a positive low")

    def _at(self, place: float) -> float:
        place = min(max(place, 0.0), 1.0)
        if self.logarithmic:
            value = exp(log(self.low) + place * (log(self.high) - log(self.low)))
        else:
            value = self.low + place * (self.high - self.low)
        return float(min(max(value, self.low), self.high))

    def _place(self, value: float) -> float:
        if self.high == self.low:
            return 0.0
        if self.logarithmic:
            return (log(value) - log(self.low)) / (log(self.high) - log(self.low))
        return (value - self.low) / (self.high - self.low)

    def corners(self) -> list[float]:
        """The ends and the middle."""
        return list(dict.fromkeys((float(self.low), float(self.high), self._at(0.5))))

    def draw(self, rng: np.random.Generator) -> float:
        """A value at random."""
        return self._at(float(rng.random()))

    def near(self, value: float, scale: float, rng: np.random.Generator) -> float:
        """A value at random near another."""
        return self._at(self._place(value) + scale * float(rng.normal()))

    def simpler(self, value: float) -> list[float]:
        """Values with fewer digits."""
        rounded = (float(f"{value:.{digits}g}") for digits in (1, 2, 3))
        return [v for v in dict.fromkeys(rounded) if self.low <= v <= self.high and v != value]

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (" (logarithmic)" if self.logarithmic else "")


@dataclass(frozen=True, init=False)
class Choice:
    """One of a few values, of any type.

    Raises
    ------
    InputError
        No value.
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        if not values:
            raise InputError("a choice has no values; give at least one")
        object.__setattr__(self, "values", values)

    def corners(self) -> list[Any]:
        """All of them."""
        return list(self.values)

    def draw(self, rng: np.random.Generator) -> Any:
        """A value at random."""
        return self.values[int(rng.integers(len(self.values)))]

    def near(self, value: Any, scale: float, rng: np.random.Generator) -> Any:
        """The same value, or now and then another."""
        return self.draw(rng) if rng.random() < 0.3 else value

    def simpler(self, value: Any) -> list[Any]:
        """Those named before it."""
        return list(self.values[: self.values.index(value)])

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Found = Enclosure | ufm.Solution | ufm.Threshold | str


class Conjecture(ABC):
    """Base class of claims in a user's own file; subclasses state the claim in their docstring.

    Attributes
    ----------
    id : str, a short name
    parameters : dict, a `Whole`, `Real` or `Choice` for each parameter
    relation : str, one of `RELATIONS`: what is computed is equal to, at most, or at least what is predicted
    tolerance : float
        Relative distance up to which touching enclosures count as agreement; a refutation needs disjoint enclosures whatever
        the tolerance.
    level : str
        Level of enclosures that `computed` makes itself, "numeric" unless you prove more; solutions and thresholds of ufm
        carry their own.
    hypotheses : tuple of Hypothesis, points that do not satisfy them are not evaluated
    """

    id: ClassVar[str]
    parameters: ClassVar[dict[str, Range]]
    relation: ClassVar[str] = "equal"
    tolerance: ClassVar[float] = 1e-8
    level: ClassVar[str] = "numeric"
    hypotheses: ClassVar[tuple[Hypothesis, ...]] = ()

    @abstractmethod
    def predicted(self, p: Any) -> Enclosure | str:
        """What you claim at a point: an enclosure (`Enclosure.ball` of a closed form), or "yes" or "no".

        Parameters
        ----------
        p : object with an attribute for each parameter

        Returns
        -------
        Enclosure or str
        """
        ...

    @abstractmethod
    def computed(self, p: Any, level: str) -> Found:
        """What is true at a point: a `ufm.Solution` (its certified value), a `ufm.Threshold`, an enclosure, or a verdict.

        Parameters
        ----------
        p : object with an attribute for each parameter
        level : str, "float" or "rigorous", for `ufm.solve` and `ufm.threshold`

        Returns
        -------
        Enclosure, ufm.Solution, ufm.Threshold or str
        """
        ...

    @classmethod
    def statement(cls) -> str:
        """The first paragraph of the docstring, in one line."""
        return " ".join((getdoc(cls) or "").split("\n\n")[0].split())

    @classmethod
    def checked(cls) -> type[Conjecture]:
        """The class itself, if its attributes make sense.

        Raises
        ------
        InputError
            An attribute is missing or has a value that does not fit.
        """
        name = cls.__name__
        if not isinstance(getattr(cls, "id", None), str) or not cls.id:
            raise InputError(f"conjecture {name} has no id; set id to a short name in its class")
        if not isinstance(getattr(cls, "parameters", None), dict) or not cls.parameters:
            raise InputError(f"conjecture {cls.id} has no parameters; set parameters to a dict of ranges such as Whole(2, 20)")
        for parameter, values in cls.parameters.items():
            if not isinstance(values, Whole | Real | Choice) or not parameter.isidentifier():
                raise InputError(
                    f"conjecture {cls.id} has the parameter {brief(parameter)} in {brief(values)}; give Whole, Real or Choice"
                )
        if cls.relation not in RELATIONS:
            raise InputError(
                f"conjecture {cls.id} has the relation {brief(cls.relation)}; choose one of {', '.join(RELATIONS)}"
            )
        if not (isinstance(cls.tolerance, float) and 0 < cls.tolerance < 1):
            raise InputError(f"conjecture {cls.id} has the tolerance {brief(cls.tolerance)}; give a number between 0 and 1")
        if cls.level not in ("numeric", "float", "rigorous"):
            raise InputError(f"conjecture {cls.id} has the level {brief(cls.level)}; choose numeric, float or rigorous")
        return cls
