"""Names of `ufm.solvers.dynamics` and where they live; each is loaded at its first use (`lazy_loader`)."""

from .gradient import Gradient as Gradient
