"""Names of `ufm.solvers.convex` and where they live; each is loaded at its first use (`lazy_loader`)."""

from .conic import Convex as Convex
from .factored import Factored as Factored
from .proximal import Proximal as Proximal
from .symmetric import Symmetric as Symmetric
from .table import Table as Table
