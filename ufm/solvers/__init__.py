"""Algorithms: each takes a problem and returns a `Solution` with its certificate."""

from __future__ import annotations

from typing import Protocol

from ufm.errors import InputError
from ufm.problem.problem import Problem
from ufm.solvers.convex.conic import Convex
from ufm.solvers.convex.factored import Factored
from ufm.solvers.convex.symmetric import Symmetric
from ufm.solvers.dynamics.gradient import Gradient
from ufm.solvers.nonconvex.multistart import Multistart
from ufm.solvers.separable import Separable
from ufm.solvers.solution import Solution, Stats, Status


class Solver(Protocol):
    """A frozen object with options; calling it solves a problem."""

    @property
    def name(self) -> str: ...

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        ...

    def __call__(self, problem: Problem) -> Solution: ...


METHODS: dict[str, type[Solver]] = {
    "separable": Separable,
    "symmetric": Symmetric,
    "factored": Factored,
    "multistart": Multistart,
    "gradient": Gradient,
    "convex": Convex,
}


def solver(name: str) -> Solver:
    """The solver of that name with its default options."""
    try:
        return METHODS[name]()
    except KeyError:
        raise InputError(f"method is {name!r}; choose one of {', '.join(('auto', *METHODS))}") from None


__all__ = [
    "METHODS",
    "Convex",
    "Factored",
    "Gradient",
    "Multistart",
    "Separable",
    "Solution",
    "Solver",
    "Stats",
    "Status",
    "Symmetric",
    "solver",
]
