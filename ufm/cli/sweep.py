"""``ufm sweep run | status | export | list``."""

from __future__ import annotations

from contextlib import nullcontext
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer

from ufm._files import exists
from ufm.cli.common import Json, app, print_json, table
from ufm.errors import InputError
from ufm.solvers.estimate import about

group = typer.Typer(help="Sweeps over parameters: a TOML file, a resumable store, any executor.", rich_markup_mode=None)
app.add_typer(group, name="sweep")
StoreArgument = Annotated[str, typer.Argument(help="A store written by ufm sweep run.")]


@group.command()
def run(
    spec: Annotated[str, typer.Argument(help="A TOML file, or the name of a ready sweep (ufm sweep list).")],
    out: Annotated[str, typer.Option(help="The store; an interrupted run there is continued.")],
    workers: Annotated[int, typer.Option(help="Processes; 1 computes in this one.")] = 1,
    dask: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, or 'local'.")] = None,
    as_json: Json = False,
) -> None:
    """Compute every point that the store does not have yet."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ufm._parallel import check_workers
    from ufm.sweep import Spec
    from ufm.sweep import run as compute
    from ufm.sweep.execution import dask as cluster

    started = perf_counter()
    check_workers(workers)
    exists(Path(out), "store")  # refuses names that no file can have
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


@group.command()
def status(store: StoreArgument, as_json: Json = False) -> None:
    """How far a store is, and what it was made from."""
    from ufm.sweep import Store

    with Store(store) as opened:
        described = opened.description
        total = prod(len(axis["values"]) for axis in described["spec"]["axes"])
        _tell(store, opened.counts(), total, as_json, title=described["spec"]["title"], versions=described["versions"])


@group.command()
def export(
    store: StoreArgument,
    csv: Annotated[str | None, typer.Option(help="Write this CSV file.")] = None,
    parquet: Annotated[str | None, typer.Option(help="Write this Parquet file (extra 'table').")] = None,
) -> None:
    """All rows as CSV or Parquet."""
    from ufm.sweep import Store, to_csv, to_parquet

    if csv is None and parquet is None:
        raise InputError("nothing to write; give --csv FILE or --parquet FILE")
    with Store(store) as opened:
        for path, write in ((csv, to_csv), (parquet, to_parquet)):
            if path is not None:
                typer.echo(f"{write(opened, path)} rows written to {path}", err=True)


@group.command("list")
def listed() -> None:
    """The sweeps that come with the package."""
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
