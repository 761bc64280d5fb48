"""Names of `ufm.solvers` and where they live; each is loaded at its first use (`lazy_loader`)."""

from .automatic import METHODS as METHODS, solver as solver
from .base import Solver as Solver
from .convex import Convex as Convex, Factored as Factored, Proximal as Proximal, Symmetric as Symmetric, Table as Table
from .dynamics import Gradient as Gradient
from .nonconvex import Multistart as Multistart
from .separable import Separable as Separable
from .solution import Solution as Solution, Stats as Stats, Status as Status
