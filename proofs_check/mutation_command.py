"""Mutation of the book's formulas on the command line."""

from __future__ import annotations

import json as plain_json
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from time import perf_counter

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from proofs_check.mutation import FATES, Fate, Score, mutate
from proofs_check.running import Plan
from proofs_check.theorem import Theorem
from ufm._files import write_text
from ufm._parallel import check_workers, processes
from ufm.errors import RunError

GOAL = 0.98
"""Share of wrong formulas that the checks must reject."""


def _all(chosen: list[type[Theorem]], level: str, jobs: int | None) -> list[Fate]:
    """Fates of the mutants of all theorems, with progress on stderr."""
    if jobs is not None:
        check_workers(jobs)
    workers = Plan(jobs=jobs).workers(len(chosen))
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        if workers == 1:
            return [
                fate
                for theorem in chosen
                for fate in mutate(theorem, level, lambda what: progress.update(task, description=what))
            ]
        found: dict[str, list[Fate]] = {}
        try:
            with processes(workers) as pool:
                tasks = {pool.submit(mutate, theorem, level): theorem.id for theorem in chosen}
                for done in as_completed(tasks):
                    found[tasks[done]] = done.result()
                    left = [t.id for t in chosen if t.id not in found]
                    progress.update(task, description=f"{len(left)} left: {' '.join(left[:6])}")
        except BrokenProcessPool:
            raise RunError("a process that checks mutants has died; run it again, with --jobs 1 if memory is short") from None
        return [fate for theorem in chosen for fate in found[theorem.id]]


def run(console: Console, chosen: list[type[Theorem]], *, level: str, jobs: int | None, json: str | None) -> bool:
    """Try the mutants of theorems, and print what their checks reject.

    Parameters
    ----------
    console : rich.console.Console
    chosen : list of classes of theorems
    level : str, "float" or "rigorous"
    jobs : int or None, number of processes
    json : str or None, file for all mutants and their fates

    Returns
    -------
    bool
        Whether the share that is rejected reaches `GOAL`.
    """
    start = perf_counter()
    fates = _all(chosen, level, jobs)
    score = Score.of(fates, start)
    table = Table("id", "mutants", *FATES)
    for theorem in chosen:
        own = [f.fate for f in fates if f.theorem == theorem.id]
        table.add_row(theorem.id, str(len(own)), *(str(own.count(name) or "") for name in FATES))
    console.print(table)
    for fate in fates:
        if fate.fate in ("survives", "too slow"):
            console.print(
                f"{fate.theorem} {fate.fate}: {fate.name} ({fate.sort}, line {fate.line})", markup=False, soft_wrap=True
            )
    silent = [t.id for t in chosen if not t.formulas]
    if silent:
        console.print(f"no formulas declared: {', '.join(silent)}", markup=False, soft_wrap=True)
    counts = ", ".join(f"{score.counts[name]} {name}" for name in FATES if score.counts[name])
    console.print(
        f"The checks reject {score.rejected} of {score.total - score.counts['equivalent']} wrong formulas ({score.share:.1%}), "
        f"of {score.total} mutants: {counts} ({score.seconds:.0f} s).",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    if json is not None:
        content = {"share": score.share, "counts": score.counts, "mutants": [asdict(f) for f in fates]}
        write_text(json, plain_json.dumps(content, indent=1) + "\n", "--json")
    return score.share >= GOAL
