"""``python -m figures``: draw the figures of the project, or check their stored data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from figures.agreement import difference
from figures.overview import write_overview
from figures.registry import Plot, Report, all_figures, select
from figures.storage import Stored, clear, keep, key_of, place, recall, workspace
from ufm._files import write_text
from ufm._parallel import check_workers
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
    asked: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            help="Processes for sweeps and training runs, 2 if not given, 1 with --quick; the data do not depend on it.",
        ),
    ] = None,
    version: Version = False,
) -> None:
    """Draw the figures of the project.

    Each figure computes its data, then draws them. Data are stored beside the figure and used again while the code that
    computes them is the same; sweeps and training runs that are not finished continue where they stopped. Tables are written
    as NAME.tex. The page index.html shows all figures of the folder with their captions. At the end there is a table of
    seconds: data by the clock, data by the processor (all processes), drawing and writing.
    """
    if kind not in (*FORMATS, "all"):
        raise InputError(f"--format is {kind!r}; choose one of {', '.join((*FORMATS, 'all'))}")
    if check and fresh:
        raise InputError("--check computes the data again and stores nothing; leave out --fresh")
    workers = (1 if quick else 2) if asked is None else asked
    check_workers(workers)
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
            _check(chosen, folder, quick, workers, reporter, say)
            return
        spent = []
        for plot in chosen:
            stored, known = _data(plot, folder, quick, fresh, workers, reporter(plot))
            start = perf_counter()
            drawn = plot().drawn(stored.data, quick=quick)
            paths = [save(drawn, folder, plot.name, each) for each in (FORMATS if kind == "all" else (kind,))]
            if text := plot().tabulated(stored.data, quick=quick):
                write_text(folder / f"{plot.name}.tex", text, "table")
            spent.append(Spent(plot.name, known, stored.seconds, stored.processor, perf_counter() - start))
            say(f"{paths[0]}  {plot.title}{' (stored data)' if known else ''}")
        say(f"{write_overview(folder, all_figures().values(), quick)}  all figures of this folder")
    console.print(_seconds(spent))


class Spent(NamedTuple):
    """Seconds for a figure: its data by the clock and by the processor, and drawing; and whether its data were stored."""

    name: str
    known: bool
    clock: float
    processor: float
    drawing: float


def _seconds(spent: list[Spent]) -> Table:
    """The table of seconds; stored data took the time shown when they were computed, and do not count."""
    table = Table("figure", *(_right(name) for name in ("data, clock", "data, processor", "drawing")), title="seconds")
    for row in spent:
        parts = [f"({value:.1f})" if row.known else f"{value:.1f}" for value in (row.clock, row.processor)]
        table.add_row(row.name, *parts, f"{row.drawing:.1f}")
    fresh = [row for row in spent if not row.known]
    totals = sum(r.clock for r in fresh), sum(r.processor for r in fresh), sum(r.drawing for r in spent)
    table.add_section()
    table.add_row("all", *(f"{value:.1f}" for value in totals))
    if len(fresh) < len(spent):
        table.caption = "in parentheses: computed by an earlier run, not in the sum"
    return table


def _right(name: str) -> Column:
    return Column(name, justify="right")


def _data(plot: type[Plot], folder: Path, quick: bool, fresh: bool, workers: int, report: Report) -> tuple[Stored, bool]:
    """Data of a figure, and whether they were stored already."""
    path, key = place(folder, plot, quick=quick), key_of(plot, quick=quick)
    stored = None if fresh else recall(path)
    if stored is not None and stored.key == key:
        return stored, True
    unfinished = workspace(path, key)
    clear(path, None if fresh else unfinished)
    start, worked = perf_counter(), _processor()
    data = plot(unfinished=unfinished, workers=workers).computed(quick=quick, report=report)
    stored = Stored(data, key, perf_counter() - start, _processor() - worked)
    keep(path, stored)
    clear(path)
    return stored, False


def _processor() -> float:
    """Seconds of processor time of this process and of those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _check(
    chosen: list[type[Plot]],
    folder: Path,
    quick: bool,
    workers: int,
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
        found = difference(stored.data, plot(workers=workers).computed(quick=quick, report=reporter(plot)), plot.times)
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
