"""``python -m proofs_check``: check theorems of the literature and print what holds, at which level."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from proofs_check import report
from proofs_check.enclosure import Outcome
from proofs_check.registry import Theorem, Verdict, judge, select
from ufm._arrays import check_level
from ufm._files import write_text
from ufm.cli.common import CONTEXT, Version, application, examples
from ufm.cli.common import console as uncut
from ufm.errors import InputError

app = application()


@app.command(
    context_settings=CONTEXT,
    epilog=examples(
        "python -m proofs_check", "python -m proofs_check --list", "python -m proofs_check F1 D2 --level float --html ."
    ),
)
def run(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Ids of the theorems to check. All are checked if none is named."),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the theorems and stop.")] = False,
    level: Annotated[
        str,
        typer.Option(
            metavar="LEVEL", help="Arithmetic of the comparisons: float (bounds in float64) or rigorous (ball arithmetic)."
        ),
    ] = "rigorous",
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write everything that was compared to this JSON file.")
    ] = None,
    html: Annotated[str | None, typer.Option(metavar="FOLDER", help="Also write index.html to this existing folder.")] = None,
    latex: Annotated[str | None, typer.Option(metavar="FILE", help="Also write the table to this LaTeX file.")] = None,
    version: Version = False,
) -> None:
    """Check theorems against certified computations.

    Prints claim, source, level, margin and verdict of each. Exit code 1 if one that should hold does not.
    """
    check_level(level)
    page = None if html is None else str(Path(html) / "index.html")
    wanted = [(json, "--json", report.as_json), (page, "--html", report.as_html), (latex, "--latex", report.as_latex)]
    for path, option, _ in wanted:
        if path is not None and (not Path(path).name or Path(path).is_dir() or not Path(path).resolve().parent.is_dir()):
            raise InputError(f"{option} {path!r} cannot be written: give a name in an existing folder")
    console = uncut()
    chosen = select(ids or [])
    if show:
        table = Table("id", "claim", "kind", "source")
        for theorem in chosen:
            table.add_row(theorem.id, theorem.title, theorem.kind.value, str(theorem.source))
        console.print(table)
        return
    start = perf_counter()
    verdicts = _judged(chosen, level)
    console.print(report.terminal(verdicts))
    for verdict in verdicts:
        for line in verdict.trouble:
            console.print(f"{verdict.theorem.id}: {line}", markup=False, soft_wrap=True)
    console.print(report.closing(verdicts, perf_counter() - start), markup=False, soft_wrap=True)
    failures: list[Exception] = []
    for path, option, write in wanted:
        if path is not None:
            try:
                write_text(path, write(verdicts), option)
            except Exception as error:  # the other outputs that were asked for are written first
                failures.append(error)
    told = [str(failure) for failure in failures if isinstance(failure, InputError)]
    if len(told) < len(failures):
        raise next(failure for failure in failures if not isinstance(failure, InputError))
    if told:
        raise InputError("; ".join(told))
    if any(v.outcome != Outcome.HOLDS for v in verdicts):
        raise typer.Exit(1)


def _judged(chosen: list[type[Theorem]], level: str) -> list[Verdict]:
    """Verdicts, with progress on stderr."""
    verdicts = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        for number, theorem in enumerate(chosen, 1):
            label = f"[{number}/{len(chosen)}]"
            verdicts.append(
                judge(theorem, level, lambda what, label=label: progress.update(task, description=f"{label} {what}"))
            )
    return verdicts


if __name__ == "__main__":
    from ufm.cli import guarded

    guarded(app, "proofs_check")
