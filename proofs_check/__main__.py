"""``python -m proofs_check``: check theorems of the literature and print what holds, at which level."""

from __future__ import annotations

from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from proofs_check import conjecture_command, mutation_command, outputs, report
from proofs_check.cache import folder_of
from proofs_check.enclosure import Outcome
from proofs_check.judging import Verdict
from proofs_check.running import Plan, verdicts
from proofs_check.selection import select
from proofs_check.theorem import Theorem
from proofs_check.timing import check_seconds
from ufm._arrays import check_level
from ufm.cli.common import CONTEXT, Version, application, examples
from ufm.cli.common import console as uncut
from ufm.errors import InputError

app = application()


@app.command(
    context_settings=CONTEXT,
    epilog=examples(
        "python -m proofs_check",
        "python -m proofs_check --list --proof complete",
        "python -m proofs_check F1 D2 fang2021 --html report",
        "python -m proofs_check --mutate F1 D2",
        "python -m proofs_check my_claim.py --budget 500",
    ),
)
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Theorems to check: ids such as F1, papers such as fang2021 (all of theirs), or files like my_claim.py with "
            "conjectures of your own (docs/conjectures.md). The whole book is checked if none is named.",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the theorems and stop.")] = False,
    level: Annotated[
        str,
        typer.Option(
            metavar="LEVEL", help="Arithmetic of the comparisons: float (bounds in float64) or rigorous (ball arithmetic)."
        ),
    ] = "rigorous",
    requires: Annotated[
        str | None,
        typer.Option(metavar="LEVEL", help="Only theorems whose claim requires this level: numeric, float or rigorous."),
    ] = None,
    proof: Annotated[
        str | None,
        typer.Option(
            metavar="STRENGTH", help="Only theorems whose symbolic proof is this strong: complete, 'in part' or none."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Check the first and the last instance of each theorem only.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Check further instances too.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of processes. If left out: 2, or 1 for few theorems or on one core."),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Time limit of each theorem; one that reaches it is inconclusive."),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep certificates in this folder. A later run of the same code verifies them again instead of solving.",
        ),
    ] = None,
    mutate: Annotated[
        bool,
        typer.Option("--mutate", help="Perturb the formulas of the theorems and print the share that their checks reject."),
    ] = False,
    budget: Annotated[
        int, typer.Option(metavar="N", help="Instances at which a conjecture of your own is evaluated, at most.")
    ] = 200,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the search for counterexamples.")] = 0,
    save: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write counterexamples of conjectures, with certificates, here.")
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write everything that was compared to this JSON file.")
    ] = None,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Also write pages to this folder, which is made if there is none; open index.html."
        ),
    ] = None,
    latex: Annotated[str | None, typer.Option(metavar="FILE", help="Also write the table to this LaTeX file.")] = None,
    bibtex: Annotated[str | None, typer.Option(metavar="FILE", help="Also write the sources to this BibTeX file.")] = None,
    version: Version = False,
) -> None:
    """Check theorems against certified computations.

    Prints claim, source, level, margin and verdict of each. Exit code 1 if one that should hold does not.
    """
    check_level(level)
    if quick and full:
        raise InputError("--quick and --full exclude each other; give one of them")
    if limit is not None:
        check_seconds(limit, "--limit")
    files, ids = [n for n in names or [] if n.endswith(".py")], [n for n in names or [] if not n.endswith(".py")]
    console = uncut()
    if files:
        if ids or mutate or show:
            raise InputError("conjectures are searched by themselves; leave out ids, papers, --list and --mutate beside a file")
        outputs.checked(json=json)
        _unused("a file of conjectures", html=html, latex=latex, bibtex=bibtex, cache=cache, jobs=jobs, quick=quick, full=full)
        refuted = conjecture_command.run(
            console, files, level=level, budget=budget, seed=seed, limit=limit, save=save, json=json
        )
        raise typer.Exit(1 if refuted else 0)
    if save is not None:
        raise InputError("--save is about counterexamples of conjectures; name a file of conjectures, or leave it out")
    chosen = select(ids, required=requires, proof=proof)
    if show:
        console.print(_listed(chosen))
        return
    if mutate:
        outputs.checked(json=json)
        _unused("--mutate", html=html, latex=latex, bibtex=bibtex, cache=cache, limit=limit, quick=quick, full=full)
        raise typer.Exit(0 if mutation_command.run(console, chosen, level=level, jobs=jobs, json=json) else 1)
    wanted = outputs.checked(json=json, html=html, latex=latex, bibtex=bibtex)
    start, kept = perf_counter(), None if cache is None else folder_of(cache)
    scale = "quick" if quick else "full" if full else "default"
    plan = Plan(level, scale, jobs, limit, keep=html is not None, cache=kept)
    found = _judged(chosen, plan)
    console.print(report.terminal(found, console.width))
    for verdict in found:
        for line in verdict.trouble:
            console.print(f"{verdict.theorem.id}: {line}", markup=False, soft_wrap=True)
    summary = report.closing(found, perf_counter() - start)
    console.print(summary, markup=False, soft_wrap=True)
    outputs.write(wanted, found, summary=summary, plan=plan)
    if any(v.outcome != Outcome.HOLDS for v in found):
        raise typer.Exit(1)


def _unused(beside: str, **options: object) -> None:
    """Refuse options that would do nothing.

    Raises
    ------
    InputError
        One of them is given.
    """
    given = [f"--{name}" for name, value in options.items() if value not in (None, False)]
    if given:
        raise InputError(f"{given[0]} does nothing beside {beside}; leave it out")


def _listed(chosen: list[type[Theorem]]) -> Table:
    table = Table("id", "claim", "kind", "proof", "requires", "source")
    for theorem in chosen:
        values = theorem.kind.value, theorem.proof().value, theorem.required, str(theorem.source)
        table.add_row(theorem.id, theorem.title, *values)
    return table


def _judged(chosen: list[type[Theorem]], plan: Plan) -> list[Verdict]:
    """Verdicts, with progress on stderr."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        return verdicts(chosen, plan, lambda what: progress.update(task, description=what))


if __name__ == "__main__":
    from ufm.cli import guarded

    guarded(app, "proofs_check")
