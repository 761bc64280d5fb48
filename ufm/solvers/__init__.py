"""Algorithms: each takes a problem and returns a `Solution` with its certificate."""

from ufm.solvers.automatic import METHODS, solver
from ufm.solvers.base import Solver
from ufm.solvers.convex import Convex, Factored, Proximal, Symmetric, Table
from ufm.solvers.dynamics import Gradient
from ufm.solvers.nonconvex import Multistart
from ufm.solvers.separable import Separable
from ufm.solvers.solution import Solution, Stats, Status

__all__ = [
    "METHODS",
    "Convex",
    "Factored",
    "Gradient",
    "Multistart",
    "Proximal",
    "Separable",
    "Solution",
    "Solver",
    "Stats",
    "Status",
    "Symmetric",
    "Table",
    "solver",
]
