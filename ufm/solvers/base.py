"""The interface of solvers: a frozen object with options that takes a problem and returns a `Solution`."""

from __future__ import annotations

from typing import Protocol

from ufm.errors import InputError
from ufm.problem.problem import Problem
from ufm.solvers.solution import Solution


class Solver(Protocol):
    """A frozen object with options; calling it solves a problem. One for tables of targets has ``tables = True``."""

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


def refusal(solver: Solver, problem: Problem) -> str | None:
    """Why a solver cannot take a problem, or None: it is for other targets, or `Solver.unfit` says why."""
    if problem.tabular != getattr(solver, "tables", False):
        return "it takes class sizes, and the targets are a table" if problem.tabular else "it takes tables of targets only"
    return solver.unfit(problem)


def check_fit(solver: Solver, problem: Problem) -> None:
    """Refuse a problem that a solver cannot take.

    Raises
    ------
    InputError
        With the reason that `Solver.unfit` gives.
    """
    reason = refusal(solver, problem)
    if reason is not None:
        raise InputError(f"method {solver.name!r} does not fit: {reason}; use method='auto'")
