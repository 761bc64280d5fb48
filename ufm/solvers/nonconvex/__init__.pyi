"""Names of `ufm.solvers.nonconvex` and where they live; each is loaded at its first use (`lazy_loader`)."""

from .multistart import Multistart as Multistart
