"""``python -m benchmarks``: all tables."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.core import Row, certificates, growth, processes, routes
from benchmarks.equilibria import Job, all_jobs, training
from benchmarks.explore import BUDGET, PARTS, Moved, all_moves, round_trips
from benchmarks.features import Timed, all_features
from benchmarks.nonconvex import Found, jumps, searches
from benchmarks.normalised import all_normalised
from benchmarks.sweeps import Swept, all_sweeps
from benchmarks.tables import all_tables
from ufm.cli.common import CONTEXT, Version, application, examples
from ufm.cli.common import console as uncut
from ufm.errors import InputError

app = application()
TABLES = ("core", "normalised", "tables", "equilibria", "sweeps", "features", "explore")
OURS = ("symmetric", "factored", "factored 1e-9", "table")


@app.command(context_settings=CONTEXT, epilog=examples("python -m benchmarks --quick --only core"))
def run(
    quick: Annotated[bool, typer.Option(help="Leave out the rows that take minutes (SCS at K >= 50, and K >= 500).")] = False,
    only: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Tables to print: all, core, normalised, tables, equilibria, sweeps, features, explore."
        ),
    ] = "all",
    version: Version = False,
) -> None:
    """Time the certified core beside cvxpy, and deep equilibria beside torchdeq, on the same problems in the same run."""
    if only not in ("all", *TABLES):
        raise InputError(f"--only is {only!r}; choose all, {', '.join(TABLES[:-1])} or {TABLES[-1]}")
    console = uncut()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def report(what: str) -> None:
            progress.update(task, description=what)

        asked = TABLES if only == "all" else (only,)
        jobs, trained = (all_jobs(report), training(report)) if "equilibria" in asked else ([], [])
        fixed = all_normalised(quick, report) if "normalised" in asked else []
        targets = all_tables(quick, report) if "tables" in asked else []
        points = all_sweeps(report) if "sweeps" in asked else []
        timed = all_features(quick, report) if "features" in asked else []
        moved = [*all_moves(report), *round_trips(report)] if "explore" in asked else []
        core = "core" in asked
        solved, proved, started = (routes(quick, report), certificates(report), processes(report)) if core else ([], [], [])
        searched, jumped = (searches(report), jumps(report)) if core else ([], [])
        grown, exponent = growth(report) if core and not quick else ([], 0.0)
    if jobs:
        console.print(_jobs(jobs))
    if points:
        console.print(_swept(points))
    if timed:
        console.print(_timed(timed))
    if moved:
        console.print(_moved(moved))
    if fixed:
        console.print(_routes(fixed, "Features of a fixed norm, and cosines, beside their semidefinite programs"))
    if targets:
        console.print(_routes(targets, "Next-token tables to a certified relative 1e-6: contexts x tokens"))
    if core:
        console.print(_routes(solved))
        if grown:
            console.print(_routes(grown))
            console.print(f"time grows as (distinct sizes)^{exponent:.1f}")
        console.print(_searches(searched))
        _core(console, proved, jumped)
    if trained or started:
        console.print(_whole([*trained, *started]))


def _whole(rows: list[tuple[str, float, float]]) -> Table:
    table = _table("Whole processes and runs", "what", "seconds", "budget")
    for what, seconds, budget in rows:
        table.add_row(what, f"{seconds:.2f}", f"{budget:g}")
    return table


def _core(console: Console, proved: list[tuple[str, str, float, float, float]], jumped: list[tuple[str, float, float]]) -> None:
    table = _table("Thresholds that jump, K = 10, to a relative 1e-6", "head", "ratio", "seconds")
    for what, value, seconds in jumped:
        table.add_row(what, f"{value:.6g}", f"{seconds:.1f}")
    console.print(table)
    table = _table(
        "Rigorous certificates (time of proof beside time of solution)", "problem", "route", "solve", "prove", "ratio", "gap"
    )
    for problem, route, solve, certify, gap in proved:
        table.add_row(
            problem, route, f"{1e3 * solve:.1f} ms", f"{1e3 * certify:.1f} ms", f"{certify / solve:.2f}", f"{gap:.0e}"
        )
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, name in enumerate(columns):
        table.add_column(name, no_wrap=True, justify="left" if number < 2 else "right")
    return table


def _routes(
    rows: list[Row], title: str = "Routes to the optimum: work, certified relative gap, median time, times slower than ours"
) -> Table:
    table = _table(title, "problem", "route", "steps", "gap", "time", "ratio", "MB")
    best: dict[str, float] = {}
    for row in rows:
        if row.route in OURS:
            best[row.problem] = min(best.get(row.problem, row.seconds), row.seconds)
    for row in rows:
        ratio = "" if row.route in OURS else f"{row.seconds / best[row.problem]:.0f}"
        time = f"{1e3 * row.seconds:.2f} ms" if row.seconds < 1 else f"{row.seconds:.1f} s"
        memory = "" if row.megabytes is None else f"{row.megabytes:.0f}"
        table.add_row(row.problem, row.route, str(row.iterations), f"{row.gap:.0e}", time, ratio, memory)
    return table


def _searches(rows: list[Found]) -> Table:
    title = "Not convex (K = 10): evaluations, best value, starts that reach it, certified gap to the global optimum"
    table = _table(title, "problem", "route", "evals", "value", "hits", "gap", "time", "ratio")
    best: dict[str, float] = {}
    for row in rows:
        best.setdefault(row.problem, row.seconds)
    for row in rows:
        time = f"{1e6 * row.seconds:.0f} us" if row.seconds < 1e-2 else f"{row.seconds:.2f} s"
        gap = "none" if row.gap is None else f"{row.gap:.0e}"
        ratio = f"{row.seconds / best[row.problem]:.0f}" if row.gap is None else ""
        table.add_row(row.problem, row.route, str(row.evaluations), f"{row.value:.6f}", f"{row.hits:.0%}", gap, time, ratio)
    return table


def _swept(rows: list[Swept]) -> Table:
    title = "Sweeps: points, share certified to 1e-9, time from the first point to the last row, points per second"
    table = _table(title, "sweep", "route", "points", "certified", "time", "per second", "MB", "remark")
    for row in rows:
        memory = "" if row.megabytes is None else f"{row.megabytes:.0f}"
        rate = f"{row.points / row.seconds:.0f}"
        time = f"{row.seconds:.3g} s"
        table.add_row(row.what, row.route, str(row.points), f"{row.certified:.1%}", time, rate, memory, row.remark)
    return table


def _timed(rows: list[Timed]) -> Table:
    title = "Metrics of float32 features: median time, peak memory above the input, what was found, times slower than measure"
    table = _table(title, "features", "route", "time", "MB", "nc1", "nc4", "ratio")
    ours = {row.what: row.seconds for row in rows if row.route == "measure"}
    for row in rows:
        ratio = "" if row.route == "measure" else f"{row.seconds / ours[row.what]:.1f}"
        nc4 = "" if row.nc4 != row.nc4 else f"{row.nc4:.5f}"
        table.add_row(row.what, row.route, f"{row.seconds:.2f} s", f"{row.megabytes:.0f}", f"{row.nc1:.8g}", nc4, ratio)
    return table


def _moved(rows: list[Moved]) -> Table:
    title = f"One move on the page of ufm explore, milliseconds; the whole should take {1e3 * BUDGET:.0f} at most"
    table = _table(title, "move", *PARTS, "all", "longest", "CPU")
    for row in rows:
        parts = row.parts or [None] * len(PARTS)
        times = ["" if part is None else f"{1e3 * part:.1f}" for part in parts]
        cpu = "" if row.busy is None else f"{1e3 * row.busy:.1f}"
        table.add_row(row.move, *times, f"{1e3 * row.whole:.1f}", f"{1e3 * row.longest:.1f}", cpu)
    return table


def _jobs(rows: list[Job]) -> Table:
    title = "Equilibria, 512 x 64, float64, one thread: map calls, worst relative residuals, share solved, time, times slower"
    table = _table(title, "job", "route", "forward", "backward", "residual", "adjoint", "solved", "time", "ratio")
    ours = {row.route: row.seconds for row in rows if row.job == "norm 2"}
    for row in rows:
        peer = row.route.partition(",")[0].removeprefix("torchdeq ")
        ratio = f"{row.seconds / ours[peer]:.1f}" if row.route.startswith("torchdeq") else ""
        backward, adjoint = (str(row.backward), f"{row.adjoint:.0e}") if row.backward else ("", "")
        table.add_row(
            row.job, row.route, str(row.forward), backward, f"{row.residual:.0e}", adjoint, f"{row.solved:.1%}",
            f"{1e3 * row.seconds:.1f} ms", ratio,
        )  # fmt: skip
    return table


if __name__ == "__main__":
    from ufm.cli import guarded

    guarded(app, "benchmarks")
