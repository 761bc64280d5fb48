"""Solvers for programs that are not convex: a search, with a lower bound on the global optimum."""

from ufm.solvers.nonconvex.multistart import Multistart

__all__ = ["Multistart"]
