"""``python -m figures``: draw the figures of the project, or check their stored data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from figures.agreement import difference
from figures.overview import write_overview
from figures.registry import Plot, Report, all_figures, select
from figures.storage import Stored, keep, key_of, place, recall
from ufm.cli.common import CONTEXT, Version, application, examples
from ufm.cli.common import console as uncut
from ufm.errors import InputError, RunError
from ufm.plot.saving import FORMATS, save

app = application()


@app.command(
    context_settings=CONTEXT,
    epilog=examples(
        "python -m figures --out figs", "python -m figures phase --quick --format png", "python -m figures --check --out figs"
    ),
)
def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Figures to draw. All are drawn if none is named.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the figures and stop.")] = False,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Folder for the files, made if there is none.")] = "out",
    quick: Annotated[bool, typer.Option("--quick", help="Draw with small data and few epochs, which the figure says.")] = False,
    kind: Annotated[str, typer.Option("--format", metavar="KIND", help="Kind of file: pdf, svg, png, or all three.")] = "all",
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute the data again even if they are stored.")] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compute stored data again and compare; draw nothing. Exit code 1 where they differ."),
    ] = False,
    version: Version = False,
) -> None:
    """Draw the figures of the project.

    Each figure computes its data, then draws them. Data are stored beside the figure and used again while the code that
    computes them is the same, so that an interrupted run continues where it stopped. The page index.html shows all figures
    of the folder with their captions.
    """
    if kind not in (*FORMATS, "all"):
        raise InputError(f"--format is {kind!r}; choose one of {', '.join((*FORMATS, 'all'))}")
    if check and fresh:
        raise InputError("--check computes the data again and stores nothing; leave out --fresh")
    chosen, console, folder = select(names or []), uncut(), Path(out)
    if show:
        table = Table("name", "figure")
        for plot in chosen:
            table.add_row(plot.name, plot.title)
        console.print(table)
        return

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def reporter(plot: type[Plot]) -> Report:
            return lambda what: progress.update(task, description=f"{plot.name}: {what}")

        if check:
            _check(chosen, folder, quick, reporter, say)
            return
        for plot in chosen:
            stored, known = _data(plot, folder, quick, fresh, reporter(plot))
            drawn = plot().drawn(stored.data, quick=quick)
            paths = [save(drawn, folder, plot.name, each) for each in (FORMATS if kind == "all" else (kind,))]
            how = "stored data" if known else f"{stored.seconds:.1f} s"
            say(f"{paths[0]}  {plot.title} ({how})")
        say(f"{write_overview(folder, all_figures().values(), quick)}  all figures of this folder")


def _data(plot: type[Plot], folder: Path, quick: bool, fresh: bool, report: Report) -> tuple[Stored, bool]:
    """Data of a figure, and whether they were stored already."""
    path, key = place(folder, plot, quick=quick), key_of(plot, quick=quick)
    stored = None if fresh else recall(path)
    if stored is not None and stored.key == key:
        return stored, True
    start = perf_counter()
    data = plot().data(quick=quick, report=report)
    stored = Stored(data, key, perf_counter() - start)
    keep(path, stored)
    return stored, False


def _check(
    chosen: list[type[Plot]],
    folder: Path,
    quick: bool,
    reporter: Callable[[type[Plot]], Report],
    say: Callable[[str], None],
) -> None:
    """Compute stored data again and compare.

    Raises
    ------
    InputError
        A figure without stored data.
    RunError
        Data that differ.
    """
    wrong = []
    recalled = [recall(place(folder, plot, quick=quick)) for plot in chosen]
    for plot, stored in zip(chosen, recalled, strict=True):
        if stored is None:
            path = place(folder, plot, quick=quick)
            raise InputError(f"{str(path)!r} holds no stored data of the figure {plot.name}; draw it first, without --check")
    for plot, stored in zip(chosen, recalled, strict=True):
        assert stored is not None
        found = difference(stored.data, plot().data(quick=quick, report=reporter(plot)), plot.times)
        agrees = found.value <= plot.tolerance
        where = f" at {found.where}" if found.value > 0 else ""
        word = "agrees" if agrees else "differs"
        say(f"{plot.name}: {word}, largest relative difference {found.value:.1e}{where}, tolerance {plot.tolerance:g}")
        if not agrees:
            wrong.append(plot.name)
    if wrong:
        raise RunError(f"stored data differ from those computed again: {', '.join(wrong)}; draw them again with --fresh")


if __name__ == "__main__":
    from ufm.cli import guarded

    guarded(app, "figures")
