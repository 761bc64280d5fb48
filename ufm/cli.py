"""The command ``ufm``: parse, call, print. JSON goes to stdout, everything said to people to stderr or as a table."""

from __future__ import annotations

import json
import re
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ufm.errors import InputError

if TYPE_CHECKING:
    from ufm.problem import ClassCounts, NormBudget, WeightDecay
    from ufm.solvers import Solution

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A laboratory for neural-collapse theory: optima with certificates, thresholds with enclosures.",
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


@app.callback(invoke_without_command=True)
def _commands(context: typer.Context) -> None:
    """Choose a command."""
    if context.invoked_subcommand is None:
        raise InputError("no command given; choose solve, threshold or recheck (ufm --help says more)")


@app.command()
def solve(
    counts: Annotated[str, typer.Option(help="Class sizes, SIZE*CLASSES items: 100*5,10*5.")],
    decay: Decay = None,
    budget: Budget = None,
    loss: Annotated[str, typer.Option(help="mse, or ce[:weights=A,adjustment=T,temperatures=G,smoothing=E].")] = "ce",
    head: HeadOption = "explicit",
    dim: Annotated[int | None, typer.Option(help="Feature dimension; wide enough if left out.")] = None,
    method: Annotated[str, typer.Option(help="auto, separable, symmetric, factored, multistart, gradient or convex.")] = "auto",
    level: Level = "float",
    convention: ConventionOption = "mean-half",
    save: Annotated[str | None, typer.Option(help="Write the certificate to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Solve a layer-peeled model; print its value, certified bounds and geometry."""
    import ufm
    from ufm.spelling import parse_head, parse_loss

    started = perf_counter()
    sizes = ufm.ClassCounts.parse(counts)
    regularizer = _regularizer(decay, budget, convention, sizes)
    problem = ufm.Problem(sizes, regularizer=regularizer, loss=parse_loss(loss), head=parse_head(head), dim=dim)
    solution = ufm.solve(problem, method=method, level=level)
    if save is not None:
        solution.certificate.save(save)
    certificate = solution.certificate
    verdict = ufm.collapse(solution)
    result = {
        "status": solution.status.name.lower(),
        "message": solution.status.value,
        "method": solution.method,
        "value": solution.value,
        "lower": certificate.lower,
        "upper": certificate.upper,
        "gap": certificate.gap,
        "level": certificate.level,
        "collapsed": verdict.verdict,
        "metrics": ufm.geometry(solution),
        "seconds": perf_counter() - started,
    }
    if solution.candidates:
        result["candidates"] = [candidate._asdict() for candidate in solution.candidates]
    if as_json:
        _print_json(result)
        return
    _table(
        str(problem),
        [
            ("value", f"{solution.value:.14g}"),
            (f"bounds ({certificate.level})", f"{certificate.lower:.16g} .. {certificate.upper:.16g}"),
            ("gap", f"{certificate.gap:.1e}"),
            *_codes(solution),
            ("status", solution.status.value),
            ("method", solution.method + (f" ({solution.choice})" if solution.choice else "")),
            ("minority collapsed", f"{verdict.verdict}: {verdict.reason}"),
            *((name, "undefined" if v is None else f"{v:.10g}") for name, v in result["metrics"].items()),
            ("seconds", f"{result['seconds']:.3f}"),
        ],
    )
    if save is not None:
        print(f"certificate written to {save}; check it with: ufm recheck {save}", file=sys.stderr)


@app.command()
def threshold(
    classes: Annotated[str, typer.Option(help="KA,KB: numbers of majority and of minority classes.")],
    decay: Decay = None,
    budget: Budget = None,
    minority_count: Annotated[int | None, typer.Option(help="Samples per minority class (with --decay).")] = None,
    head: HeadOption = "explicit",
    level: Level = "float",
    convention: ConventionOption = "mean-half",
    as_json: Json = False,
) -> None:
    """Imbalance ratio from which the minority classes share one classifier, enclosed."""
    import ufm
    from ufm.spelling import parse_head

    regularizer = _regularizer(decay, budget, convention, None)
    found = ufm.threshold(
        classes=_whole_pair(classes),
        regularizer=regularizer,
        minority_count=minority_count,
        head=parse_head(head),
        level=level,
    )
    if as_json:
        names = ("quantity", "value", "lower", "upper", "level", "transition", "note")
        _print_json({name: getattr(found, name) for name in names})
        return
    proved = "the minority classes share one classifier iff n_majority / n_minority >= this ratio"
    best = "from this ratio on, the best solution found has one classifier for all minority classes"
    _table(
        f"classes {classes}, head {head}, {regularizer}",
        [
            ("critical ratio", f"{found.value:.15g}"),
            (f"enclosure ({found.level})", f"{found.lower:.17g} .. {found.upper:.17g}"),
            ("transition", found.transition),
            ("meaning", best if found.level == "numeric" else proved),
            *([("note", found.note)] if found.note else []),
        ],
    )


@app.command()
def recheck(
    certificate: Annotated[str, typer.Argument(help="A file written by ufm solve --save.")], as_json: Json = False
) -> None:
    """Verify a saved certificate by exact and ball arithmetic, independently of the solvers."""
    import ufm

    found = ufm.recheck(certificate)
    if as_json:
        _print_json({"accepted": found.accepted, "reason": found.reason, "lower": found.lower, "upper": found.upper,
                     "width": found.width, "level": found.level})  # fmt: skip
    elif found.accepted:
        rows = [
            ("verdict", f"accepted: {found.reason}"),
            ("proved", f"{found.lower!r} <= optimum <= {found.upper!r}"),
            ("valid for", f"the lower bound for every feature dimension, the upper for dimension {found.width} or more"),
            ("level", found.level),
        ]
        _table(str(certificate), rows)
    if not found.accepted:
        print(f"ufm: certificate {certificate!r} is rejected: {found.reason}", file=sys.stderr)
        raise typer.Exit(2)


def main() -> None:
    """Entry point of the command ``ufm``."""
    guarded(app, "ufm")


def guarded(application: typer.Typer, name: str) -> None:
    """Run a command line: exit 0 success, 1 a claim failed, 2 bad input with one line on stderr, 130 interrupted."""
    try:
        code = application(standalone_mode=False, prog_name=name)
    except InputError as error:
        _fail(name, str(error))
    except KeyboardInterrupt:
        _fail(name, "interrupted", 130)
    except Exception as error:
        # Usage errors of the command-line library, whichever module it keeps them in.
        if not hasattr(error, "format_message"):
            raise
        _fail(name, " ".join(error.format_message().split()))  # type: ignore[attr-defined]
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _fail(name: str, message: str, code: int = 2) -> None:
    print(f"{name}: {message}", file=sys.stderr)
    sys.exit(code)


def _numbers(name: str, text: str, least: int, most: int) -> list[float]:
    parts = text.split(",")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if not least <= len(values) <= most:
        shape = "a number" if most == 1 else f"{least} numbers" if least == most else f"{least} to {most} numbers"
        separated = "" if most == 1 else " separated by commas"
        raise InputError(f"--{name} has {text!r}; give {shape}{separated}")
    return values


def _whole_pair(text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2 or not all(re.fullmatch(r"[0-9]{1,18}", part.strip()) for part in parts):
        raise InputError(f"--classes is {text!r}; give two whole numbers KA,KB such as 5,5")
    return int(parts[0]), int(parts[1])


def _regularizer(
    decay: str | None, budget: str | None, convention: str, counts: ClassCounts | None
) -> WeightDecay | NormBudget:
    from ufm.conventions import CONVENTIONS, from_convention
    from ufm.problem import NormBudget

    if (decay is None) == (budget is None):
        raise InputError("give exactly one of --decay LW,LH[,LB] and --budget EW,EH")
    if budget is not None:
        if convention != "mean-half":
            raise InputError(f"--convention {convention!r} concerns --decay; budgets have one convention, so leave it out")
        return NormBudget(*_numbers("budget", budget, 2, 2))
    assert decay is not None
    if convention not in CONVENTIONS:
        raise InputError(f"--convention is {convention!r}; choose one of {', '.join(CONVENTIONS)}")
    if counts is None and convention not in ("mean-half", "mean-full"):
        raise InputError(f"--convention {convention!r} depends on all class sizes, which vary with the ratio; use mean-half")
    return from_convention(convention, *_numbers("decay", decay, 2, 3), counts=counts)


def _codes(solution: Solution) -> list[tuple[str, str]]:
    """What was tried, where the program is not convex."""
    if not solution.candidates:
        return []
    best = solution.candidates[0].value
    hits = sum(c.value <= best * (1 + 1e-4) for c in solution.candidates)
    rows = [
        ("best found", f"rank {solution.candidates[0].rank}; {hits} of {len(solution.candidates)} candidates within 1e-4 of it")
    ]
    named = [c for c in solution.candidates if c.name.endswith(" code")]
    rows += [(c.name, f"{c.value:.10g} (rank {c.rank}), {c.value - best:.1e} above the best found") for c in named]
    return rows


def _print_json(result: dict[str, Any]) -> None:
    print(json.dumps(result, allow_nan=False))


def _table(title: str, rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    Console().print(table)


if __name__ == "__main__":
    main()
