"""What the commands share: the application, options, parsing of numbers, JSON and tables."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ufm.errors import InputError, brief

if TYPE_CHECKING:
    from rich.console import Console

    from ufm.problem import ClassCounts, NormBudget, Problem, WeightDecay

NOTICED = 2.0
"""Seconds of silence that nobody wonders about."""
UNCUT = 2000
"""Characters of a line that is not written to a terminal."""

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A laboratory for neural-collapse theory: optima with certificates, thresholds with enclosures, trained networks.",
)

Decay = Annotated[str | None, typer.Option(help="LW,LH[,LB]: decay of weights, features and (optionally) bias.")]
Budget = Annotated[str | None, typer.Option(help="EW,EH: norm budgets of weights and features.")]
HeadOption = Annotated[
    str,
    typer.Option(help="explicit[:L], deq:rho=R, deq:decay=LA,contraction=G, deq:frobenius=E, relu, etf[:norm=X,average]."),
]
Level = Annotated[str, typer.Option(help="float (rounding terms added) or rigorous (ball arithmetic).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on stdout.")]
ConventionOption = Annotated[
    str, typer.Option(help="How --decay is meant: mean-half, mean-full, sum-half, sum-full or fang (see the docs).")
]


def numbers(name: str, text: str, least: int, most: int) -> list[float]:
    """Between ``least`` and ``most`` numbers separated by commas."""
    parts = text.split(",")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if not least <= len(values) <= most:
        shape = "a number" if most == 1 else f"{least} numbers" if least == most else f"{least} to {most} numbers"
        separated = "" if most == 1 else " separated by commas"
        raise InputError(f"--{name} has {brief(text)}; give {shape}{separated}")
    return values


def whole_pair(text: str) -> tuple[int, int]:
    """Two whole numbers KA,KB."""
    parts = text.split(",")
    if len(parts) != 2 or not all(re.fullmatch(r"[0-9]{1,18}", part.strip()) for part in parts):
        raise InputError(f"--classes is {brief(text)}; give two whole numbers KA,KB such as 5,5")
    return int(parts[0]), int(parts[1])


def regularizer(decay: str | None, budget: str | None, convention: str, counts: ClassCounts | None) -> WeightDecay | NormBudget:
    """Weight decay or norm budgets from the options."""
    from ufm.conventions import CONVENTIONS, from_convention
    from ufm.problem import NormBudget

    if (decay is None) == (budget is None):
        raise InputError("give exactly one of --decay LW,LH[,LB] and --budget EW,EH")
    if budget is not None:
        if convention != "mean-half":
            raise InputError(f"--convention {brief(convention)} concerns --decay; budgets have one convention, so leave it out")
        return NormBudget(*numbers("budget", budget, 2, 2))
    assert decay is not None
    if convention not in CONVENTIONS:
        raise InputError(f"--convention is {brief(convention)}; choose one of {', '.join(CONVENTIONS)}")
    if counts is None and convention not in ("mean-half", "mean-full"):
        raise InputError(f"--convention {convention!r} depends on all class sizes, which vary with the ratio; use mean-half")
    return from_convention(convention, *numbers("decay", decay, 2, 3), counts=counts)


def announce(problem: Problem, method: str = "auto") -> None:
    """Refuse a solution that would take hours; one sentence on stderr where it takes more than a moment."""
    from ufm.solvers.estimate import about, seconds_for

    seconds = seconds_for(problem, method)
    if seconds > NOTICED:
        print(f"solving for K={problem.counts.classes} classes takes about {about(seconds)}", file=sys.stderr, flush=True)


def print_json(result: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(result, allow_nan=False))


def console() -> Console:
    """The console of stdout: as wide as its terminal, and so wide that nothing is cut where it is a file or a pipe."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=UNCUT)


def table(title: str, rows: list[tuple[str, str]]) -> None:
    """A titled table of names and values on stdout."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(title, style="italic"), soft_wrap=True)
    table = Table(show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))  # as it is: names of files may look like markup
    out.print(table)
