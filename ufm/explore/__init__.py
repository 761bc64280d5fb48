"""A page to explore certified optima of step imbalance: what it shows (without a browser), and how it is served."""

from ufm.explore.settings import Settings
from ufm.explore.view import View

__all__ = ["Settings", "View"]
