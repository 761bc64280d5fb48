"""What a figure is, and the list of all of them. Adding a figure is one file: a subclass of `Plot` with `data` and `draw`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar

from matplotlib.figure import Figure

import figures
from ufm.errors import InputError
from ufm.plot.saving import style

Report = Callable[[str], None]


class Plot(ABC):
    """A figure; the docstring is its caption.

    Class attributes: ``name`` (of the file), ``title`` (one line), ``tolerance`` (relative difference up to which recomputed
    data agree with stored ones), ``times`` (names of fields that hold measured times, which are not compared).
    """

    name: ClassVar[str]
    title: ClassVar[str]
    tolerance: ClassVar[float] = 1e-6
    times: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def data(self, *, quick: bool, report: Report) -> Any:
        """Compute what is drawn, from arrays, numbers, text and named tuples; ``quick`` keeps the shape and saves time."""
        ...

    @abstractmethod
    def draw(self, data: Any) -> Figure:
        """Draw it, in the style that is set."""
        ...

    def drawn(self, data: Any, *, quick: bool) -> Figure:
        """Draw it in the project's style; a quick one carries a mark."""
        with style():
            drawn = self.draw(data)
            if quick:
                drawn.suptitle("quick run: small data, few steps; not a result", color="#B00000", fontsize=6)
            return drawn


def all_figures() -> dict[str, type[Plot]]:
    """Every figure by its name: the subclasses of `Plot` that the modules of this package define."""
    found: dict[str, type[Plot]] = {}
    for entry in iter_modules(figures.__path__):
        if entry.name.startswith("__"):
            continue
        module = import_module(f"figures.{entry.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, Plot)
                and value.__module__ == module.__name__
                and value is not Plot
            ):
                if value.name in found:
                    raise ValueError(f"two figures are named {value.name}")
                found[value.name] = value
    return dict(sorted(found.items()))


def select(names: Iterable[str]) -> list[type[Plot]]:
    """Figures by name, all if none is named.

    Raises
    ------
    InputError
        An unknown name.
    """
    known = all_figures()
    wanted = list(names) or list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InputError(f"there is no figure {unknown[0]!r}; choose among {', '.join(known)}")
    return [known[name] for name in wanted]
