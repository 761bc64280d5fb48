"""The commands ``ufm sweep run``, ``status``, ``export`` and ``list``."""

from __future__ import annotations

from contextlib import nullcontext
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from ufm._files import exists
from ufm.cli.common import Json, app, application, examples, print_json, table
from ufm.errors import InputError
from ufm.solvers.estimate import about

group = application()
app.add_typer(group, name="sweep")
StoreArgument = Annotated[str, typer.Argument(metavar="STORE", help="A store that ufm sweep run has written.")]


@group.callback(invoke_without_command=True, epilog=examples("ufm sweep run phase --out phase.db", "ufm sweep status phase.db"))
def _commands(context: typer.Context) -> None:
    """Sweep over parameters, with results in a file.

    A spec names a task (solve, threshold or train), what is fixed, and the grid; docs/tutorials/sweep.md has one.
    Results go to one SQLite file; the same command continues a run that was interrupted.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@group.command("run", epilog=examples("ufm sweep run phase --out phase.db", "ufm sweep run my.toml --out my.db --workers 2"))
def run_command(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help="A TOML file, or the name of a ready sweep (see ufm sweep list).")
    ],
    out: Annotated[
        str, typer.Option(metavar="STORE", help="File for the results. A run that was interrupted there is continued.")
    ],
    workers: Annotated[
        int, typer.Option(metavar="N", help="Processes that compute at the same time; 1 computes in this process.")
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address of a Dask scheduler, or 'local' for a cluster on this machine."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute every point that the store does not have yet.

    Exit code 1 where a point failed; its reason is in the store.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ufm._parallel import check_workers
    from ufm.sweep import Spec
    from ufm.sweep import run as compute
    from ufm.sweep.execution import dask as cluster

    started = perf_counter()
    check_workers(workers)
    exists(Path(out), "store")  # raises InputError for names that no file can have
    asked = Spec.load(spec)
    console = Console(stderr=True)
    console.print(
        f"{asked.title or spec}: {len(asked.grid)} points, about {about(asked.seconds / max(workers, 1))}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress,
        nullcontext(None) if dask is None else cluster(dask, workers) as executor,
    ):
        task = progress.add_task("points", total=len(asked.grid))
        first: list[int] = []

        def report(done: int, total: int) -> None:
            first.append(done)
            rate = (done - first[0]) / max(perf_counter() - started, 1e-9)
            progress.update(task, completed=done, description=f"{rate:.0f} points/s")

        counts = compute(asked, out, workers=workers, executor=executor, report=report)
    _tell(out, counts, len(asked.grid), as_json, seconds=perf_counter() - started)
    if counts["failed"]:
        raise typer.Exit(1)


@group.command("status", epilog=examples("ufm sweep status phase.db --json"))
def status_command(store: StoreArgument, as_json: Json = False) -> None:
    """Show the progress of a store, its title and versions."""
    from ufm.sweep import Store

    with Store(store) as opened:
        described = opened.description
        total = prod(len(axis["values"]) for axis in described["spec"]["axes"])
        _tell(store, opened.counts(), total, as_json, title=described["spec"]["title"], versions=described["versions"])


@group.command("export", epilog=examples("ufm sweep export phase.db --csv phase.csv"))
def export_command(
    store: StoreArgument,
    csv: Annotated[str | None, typer.Option(metavar="FILE", help="Write this CSV file.")] = None,
    parquet: Annotated[
        str | None, typer.Option(metavar="FILE", help='Write this Parquet file. Needs the extra: pip install -e ".[table]".')
    ] = None,
) -> None:
    """Write all rows of a store as CSV or Parquet."""
    from ufm.sweep import Store, to_csv, to_parquet

    if csv is None and parquet is None:
        raise InputError("nothing to write; give --csv FILE or --parquet FILE")
    with Store(store) as opened:
        for path, write in ((csv, to_csv), (parquet, to_parquet)):
            if path is not None:
                typer.echo(f"{write(opened, path)} rows written to {path}", err=True)


@group.command("list", epilog=examples("ufm sweep list"))
def list_command() -> None:
    """List the sweeps that come with the package."""
    from ufm.sweep import Spec, ready_names

    rows = []
    for name in ready_names():
        spec = Spec.load(name)
        rows.append((name, f"{spec.title} ({spec.task}, {len(spec.grid)} points, about {about(spec.seconds)})"))
    table("Ready sweeps", rows)


def _tell(store: str, counts: dict[str, int], total: int, as_json: bool, **more: Any) -> None:
    left = total - counts["done"] - counts["failed"]
    if as_json:
        print_json({"store": store, "points": total, **counts, "left": left, **more})
        return
    rows = [("points", str(total)), *((name, str(number)) for name, number in counts.items()), ("left", str(left))]
    rows += [(name, str(value) if not isinstance(value, float) else f"{value:.1f}") for name, value in more.items()]
    table(str(Path(store)), rows)
