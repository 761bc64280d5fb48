"""``python -m figures``: draw the figures of the project."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from figures.registry import Plot, select
from ufm.cli.common import CONTEXT, Version, application, examples
from ufm.cli.common import console as uncut
from ufm.errors import InputError
from ufm.plot.saving import FORMATS, save

app = application()


@app.command(
    context_settings=CONTEXT,
    epilog=examples("python -m figures --out figs", "python -m figures phase --quick --format png"),
)
def run(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Figures to draw. All are drawn if none is named.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the figures and stop.")] = False,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Folder for the files, made if there is none.")] = "out",
    quick: Annotated[bool, typer.Option("--quick", help="Draw with small data and few epochs, which the figure says.")] = False,
    kind: Annotated[str, typer.Option("--format", metavar="KIND", help="Kind of file: pdf, svg or png.")] = "pdf",
    version: Version = False,
) -> None:
    """Draw the figures of the project.

    Each figure computes its data, then draws them.
    """
    if kind not in FORMATS:
        raise InputError(f"--format is {kind!r}; choose one of {', '.join(FORMATS)}")
    chosen, console = select(names or []), uncut()
    if show:
        table = Table("name", "figure")
        for plot in chosen:
            table.add_row(plot.name, plot.title)
        console.print(table)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        for plot in chosen:
            start, script = perf_counter(), plot()

            def report(what: str, plot: type[Plot] = plot) -> None:
                progress.update(task, description=f"{plot.name}: {what}")

            path = save(script.drawn(script.data(quick=quick, report=report), quick=quick), Path(out), plot.name, kind)
            line = f"{path}  {plot.title} ({perf_counter() - start:.1f} s)"
            console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    from ufm.cli import guarded

    guarded(app, "figures")
