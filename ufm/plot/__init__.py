"""Drawing with matplotlib: what `figures` and users share. Figures are made without global state and saved as vectors."""

from ufm.plot.curves import band, reference
from ufm.plot.matrices import embedding, gram
from ufm.plot.overview import solution
from ufm.plot.saving import COLORS, COLUMN, PAGE, letter, panels, save, style

__all__ = [
    "COLORS",
    "COLUMN",
    "PAGE",
    "band",
    "embedding",
    "gram",
    "letter",
    "panels",
    "reference",
    "save",
    "solution",
    "style",
]
