"""``python -m proofs_check``: check theorems of the literature and print what holds, at which level."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from proofs_check.enclosure import Outcome
from proofs_check.registry import Verdict, judge, select
from ufm.certify.certificate import check_level, write_whole
from ufm.errors import InputError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def run(
    ids: Annotated[list[str] | None, typer.Argument(help="Theorems to check; all if none is named.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the theorems and stop.")] = False,
    level: Annotated[str, typer.Option(help="float or rigorous.")] = "rigorous",
    out: Annotated[str | None, typer.Option("--json", help="Also write the verdicts to this file.")] = None,
) -> None:
    """Check theorems against certified computations; exit 1 if one that should hold does not."""
    check_level(level)
    if out is not None and (not Path(out).name or Path(out).is_dir() or not Path(out).resolve().parent.is_dir()):
        raise InputError(f"--json {out!r} cannot be written: give a file name in an existing folder")
    console = Console(stderr=False)
    chosen = select(ids or [])
    if show:
        table = Table("id", "claim", "kind", "source")
        for theorem in chosen:
            table.add_row(theorem.id, theorem.title, theorem.kind.value, str(theorem.source))
        console.print(table)
        return
    start = perf_counter()
    verdicts = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        for number, theorem in enumerate(chosen, 1):
            label = f"[{number}/{len(chosen)}]"
            verdicts.append(
                judge(theorem, level, lambda what, label=label: progress.update(task, description=f"{label} {what}"))
            )
    console.print(_table(verdicts))
    for verdict in verdicts:
        for line in verdict.trouble:
            console.print(f"{verdict.theorem.id}: {line}", markup=False, soft_wrap=True)
    holding = sum(v.outcome == Outcome.HOLDS for v in verdicts)
    console.print(_closing(verdicts, holding, perf_counter() - start), markup=False, soft_wrap=True)
    if out is not None:
        _write(out, verdicts)
    if holding < len(verdicts):
        raise typer.Exit(1)


def _table(verdicts: list[Verdict]) -> Table:
    table = Table(
        title="Theorems against certified computations",
        caption="margin: = worst relative agreement of the equalities, > smallest slack of the inequalities and decisions",
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
        box=SIMPLE_HEAD,
    )
    table.add_column("id", no_wrap=True)
    table.add_column("claim", min_width=24)
    table.add_column("source", max_width=11)
    table.add_column("level", max_width=10)
    table.add_column("margin", max_width=7)
    table.add_column("verdict", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    for verdict in verdicts:
        theorem = verdict.theorem
        level = verdict.level + (", symbolic" if verdict.steps else "")
        row = (
            theorem.id,
            theorem.title,
            theorem.source.short,
            level,
            verdict.worst,
            verdict.outcome.value,
            f"{verdict.seconds:.1f}",
        )
        table.add_row(*row)
    return table


def _closing(verdicts: list[Verdict], holding: int, seconds: float) -> str:
    instances = sum(len(v.findings) for v in verdicts)
    controls = sum(len(v.controls) for v in verdicts)
    if holding == len(verdicts):
        return (
            f"All {holding} theorems hold: {instances} comparisons agree with optima whose distance to the true optimum is "
            f"itself proved, and {controls} deliberately wrong versions were all rejected ({seconds:.0f} s)."
        )
    return (
        f"{holding} of {len(verdicts)} theorems hold; for the others the lines above say what was compared and how it failed "
        f"({seconds:.0f} s)."
    )


def _write(path: str, verdicts: list[Verdict]) -> None:
    def findings(items):
        return [
            {"what": f.what, "outcome": f.outcome.value, "margin": f.margin if isfinite(f.margin) else None, "level": f.level}
            for f in items
        ]

    content = [
        {
            "id": v.theorem.id,
            "claim": v.theorem.title,
            "source": str(v.theorem.source),
            "kind": v.theorem.kind.value,
            "level": v.level,
            "outcome": v.outcome.value,
            "seconds": v.seconds,
            "findings": findings(v.findings),
            "steps": [{"name": name, "confirmed": passed} for name, passed in v.steps],
            "controls": findings(v.controls),
            "twins": findings(v.twins),
            "outside": findings(v.outside),
        }
        for v in verdicts
    ]
    write_whole(path, json.dumps(content, indent=1, allow_nan=False) + "\n", "--json")


if __name__ == "__main__":
    from ufm.cli import guarded

    guarded(app, "proofs_check")
