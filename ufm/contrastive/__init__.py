"""Supervised contrastive learning as a convex program over Gram matrices of class vectors, with certified optima."""

from ufm.contrastive.program import GramProgram
from ufm.contrastive.solution import ContrastiveSolution, GroupCosine
from ufm.contrastive.solving import solve_contrastive
from ufm.contrastive.thresholds import contrastive_threshold

__all__ = ["ContrastiveSolution", "GramProgram", "GroupCosine", "contrastive_threshold", "solve_contrastive"]
