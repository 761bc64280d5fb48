"""Gradient methods on the samples' own parameters, as networks are trained."""

from ufm.solvers.dynamics.gradient import Gradient

__all__ = ["Gradient"]
