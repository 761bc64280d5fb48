"""Solvers of convex programs."""

from ufm.solvers.convex.conic import Convex
from ufm.solvers.convex.factored import Factored
from ufm.solvers.convex.proximal import Proximal
from ufm.solvers.convex.symmetric import Symmetric
from ufm.solvers.convex.table import Table

__all__ = ["Convex", "Factored", "Proximal", "Symmetric", "Table"]
