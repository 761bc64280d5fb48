"""Drawing with matplotlib, for users and the scripts in `figures`. Figures do not use the global state of pyplot."""

from ufm.plot.curves import band, reference
from ufm.plot.last_layer import network
from ufm.plot.matrices import embedding, gram
from ufm.plot.overview import solution
from ufm.plot.remedies import advice
from ufm.plot.saving import COLORS, COLUMN, PAGE, letter, panels, save, save_as, style

__all__ = [
    "COLORS",
    "COLUMN",
    "PAGE",
    "advice",
    "band",
    "embedding",
    "gram",
    "letter",
    "network",
    "panels",
    "reference",
    "save",
    "save_as",
    "solution",
    "style",
]
