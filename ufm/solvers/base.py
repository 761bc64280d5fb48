"""The interface of solvers: a frozen object with options that takes a problem and returns a `Solution`."""

from __future__ import annotations

from typing import Protocol

from ufm.problem.problem import Problem
from ufm.solvers.solution import Solution


class Solver(Protocol):
    """A frozen object with options; calling it solves a problem."""

    @property
    def name(self) -> str:
        """The solver's name, as in `ufm.solvers.METHODS`."""
        ...

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, as the end of a sentence for an error message, or None if it can."""
        ...

    def __call__(self, problem: Problem) -> Solution:
        """Solve a problem.

        Raises
        ------
        InputError
            The problem does not fit (`unfit` says why).
        """
        ...
