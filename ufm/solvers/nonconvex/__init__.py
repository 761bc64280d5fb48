"""Search for programs that are not convex, with a bound on the global optimum."""

from ufm.solvers.nonconvex.multistart import Multistart

__all__ = ["Multistart"]
