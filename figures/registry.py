"""What a figure is, and the list of all of them. Adding a figure is one file: a subclass of `Plot` with `data` and `draw`."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, ClassVar

from matplotlib.figure import Figure

import figures
from ufm.errors import InputError, brief
from ufm.plot.saving import style

Report = Callable[[str], None]
QUICK = "quick run: small data, few steps; not a result"
"""What quick figures and tables say."""


class Plot(ABC):
    """A figure; the docstring is its caption.

    Class attributes: ``name`` (of the file), ``title`` (one line), ``tolerance`` (relative difference up to which recomputed
    data agree with stored ones), ``times`` (names of fields that hold measured times, which are not compared).

    Parameters
    ----------
    unfinished : Path or None
        Folder where `data` keeps parts of long computations, so that an interrupted one continues; None keeps nothing.
    workers : int >= 1
        Processes for sweeps and training runs. The data do not depend on it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    tolerance: ClassVar[float] = 1e-6
    times: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, unfinished: Path | None = None, workers: int = 1) -> None:
        self.unfinished, self.workers = unfinished, workers

    @abstractmethod
    def data(self, *, quick: bool, report: Report) -> Any:
        """Compute what is drawn, from arrays, numbers, text and named tuples; ``quick`` keeps the shape and saves time."""
        ...

    @abstractmethod
    def draw(self, data: Any) -> Figure:
        """Draw it, in the style that is set."""
        ...

    def note(self, data: Any) -> str:
        """What the data say, as plain sentences that follow the caption; "" where there is nothing to add."""
        return ""

    def table(self, data: Any) -> str:
        """The data as a table in LaTeX (package booktabs), which is written beside the figure; "" for none."""
        return ""

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """The folder for parts of long computations: ``unfinished``, made if there is none, or a temporary one."""
        if self.unfinished is None:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder)
            return
        try:
            self.unfinished.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            name = brief(str(self.unfinished))
            raise InputError(f"folder {name} cannot be made: {error.strerror or error}; give another --out") from None
        yield self.unfinished

    def computed(self, *, quick: bool, report: Report) -> Any:
        """The data, computed with one BLAS thread: small matrices wait for more, and sums depend on their number."""
        import scipy.linalg  # noqa: F401  (its threads must exist before they can be limited)
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            return self.data(quick=quick, report=report)

    def drawn(self, data: Any, *, quick: bool) -> Figure:
        """Draw it in the project's style; a quick one carries a mark."""
        with style():
            drawn = self.draw(data)
            if quick:
                drawn.suptitle(QUICK, color="#B00000", fontsize=6)
            return drawn

    def tabulated(self, data: Any, *, quick: bool) -> str:
        """The table, or ""; a quick one says so above its first line and within the document."""
        found = self.table(data)
        return f"% {QUICK}\n\\textbf{{{QUICK}}}\\par\n{found}" if found and quick else found


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
