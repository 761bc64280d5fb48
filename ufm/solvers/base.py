"""What a solver is: a frozen object with options that takes a problem and returns a `Solution`."""

from __future__ import annotations

from typing import Protocol

from ufm.problem.problem import Problem
from ufm.solvers.solution import Solution


class Solver(Protocol):
    """A frozen object with options; calling it solves a problem."""

    @property
    def name(self) -> str: ...

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem (the capability that is missing), or None."""
        ...

    def __call__(self, problem: Problem) -> Solution: ...
