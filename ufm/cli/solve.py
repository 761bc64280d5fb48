"""The command ``ufm solve``."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from ufm.cli.common import (
    Budget,
    ConventionOption,
    Decay,
    HeadOption,
    Json,
    Level,
    app,
    choices,
    examples,
    print_json,
    regularizer,
    solving,
    table,
)
from ufm.errors import InputError
from ufm.solvers import METHODS

if TYPE_CHECKING:
    from ufm.targets import ClassCounts, TargetTable


@app.command(
    "solve",
    epilog=examples(
        "ufm solve --counts '100*3,10*7' --decay 2e-3,2e-3 --level rigorous --save c.json",
        "ufm solve --counts '20*10' --budget 1,5 --head deq:rho=0.3 --json",
        "ufm solve --counts '100*5,10*5' --decay 1e-3,1e-3 --loss ce:weights=1,smoothing=0.1",
        "ufm solve --counts '100*5,10*5' --decay 1e-2 --head layernorm",
        "ufm solve --table labels.npz --loss pal --decay 1e-3,1e-3 --level rigorous",
    ),
)
def solve_command(
    counts: Annotated[
        str | None,
        typer.Option(
            metavar="SIZES",
            help="Class sizes in samples, as SIZE*CLASSES items with commas between: 100*3,10*7 means 3 classes of 100 "
            "samples each and 7 classes of 10.",
        ),
    ] = None,
    counts_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Instead of --counts, a text file with one class size a line, or label,count."),
    ] = None,
    table_file: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="FILE",
            help="Instead of --counts, a table of targets: .npz with the arrays columns (K x M: probabilities, labels 0 and 1, "
            "or real numbers) and sizes (M: samples of each column), or .csv with one context a line: its size, then its K "
            "entries.",
        ),
    ] = None,
    decay: Decay = None,
    budget: Budget = None,
    loss: Annotated[
        str,
        typer.Option(
            metavar="LOSS",
            autocompletion=choices(
                "ce",
                "ce:weights=",
                "ce:adjustment=",
                "ce:temperatures=",
                "ce:smoothing=",
                "bce",
                "focal:gamma=",
                "pal",
                "multitask:2,2",
                "mse",
            ),
            help="Mean loss over samples: mse (half the squared error) or ce (cross-entropy in nats), which takes options: "
            "ce:weights=A (class weights n_k^-A), adjustment=T (offsets T log(n_k/N)), temperatures=G ((n_k/n_max)^G), "
            "smoothing=E (labels, 0 <= E < 1). Instead of A, T, G also one value per distinct size, as in 1/0.5. "
            "bce is one logistic loss for each class, summed. focal:gamma=G is not convex: best found, with bounds. For tables "
            "also pal (cross-entropy summed over a sample's labels) and multitask:K1,K2,... (a softmax for each block of rows, "
            "summed).",
        ),
    ] = "ce",
    head: HeadOption = "explicit",
    dim: Annotated[
        int | None,
        typer.Option(
            metavar="D", help="Feature dimension, a whole number of at least 1. Left out, features are wide enough (K)."
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("auto", *METHODS),
            help="Solver: auto (the first that fits), separable, symmetric, factored, proximal, multistart, gradient or "
            "convex, and table for tables. The command 'ufm explain method' says what each does.",
        ),
    ] = "auto",
    level: Level = "float",
    convention: ConventionOption = "mean-half",
    save: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the certificate to this JSON file, which ufm recheck verifies."),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="RANGES",
            help="Ranges of class sizes whose near-collapse is stated: A-B, A+ (more than A) or -B (fewer than B samples). "
            "With more than two sizes this is many=100+,medium=20-100,few=-20.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Solve a model; print its value, bounds and geometry.

    The optimum of an unconstrained-feature (layer-peeled) model comes with bounds that enclose it, a verdict on the collapse
    of its smallest classes, and its neural-collapse metrics. Give one of --counts, --counts-file and --table, and either
    --decay or --budget.
    """
    import ufm
    from ufm.problem.text import parse_head, parse_loss
    from ufm.targets.size_ranges import parse_ranges

    started = perf_counter()
    targets = _targets(counts, counts_file, table_file)
    architecture = parse_head(head)
    chosen = regularizer(decay, budget, convention, targets, architecture)
    problem = ufm.Problem(targets, regularizer=chosen, loss=parse_loss(loss), head=architecture, dim=dim)
    if groups is not None:
        if problem.tabular:
            raise InputError("--groups concerns class sizes, which a table of targets does not have; leave it out")
        parse_ranges(groups)
    with solving(problem, method):
        report = ufm.report(ufm.solve(problem, method=method, level=level), groups=groups)
        plain, rows = report.to_dict(), report.rows
    if save is not None:
        report.solution.save(save)
    seconds = perf_counter() - started
    if as_json:
        print_json(plain | {"seconds": seconds})
        return
    table(str(problem), [*rows[:-1], ("seconds", f"{seconds:.3f}")])
    if save is not None:
        print(f"certificate written to {save}; check it with: ufm recheck {save}", file=sys.stderr)


def _targets(counts: str | None, counts_file: str | None, table_file: str | None) -> ClassCounts | TargetTable:
    """What is to be learnt, from the one option that is given."""
    from ufm.targets import ClassCounts
    from ufm.targets.files import read_counts, read_table

    options = {"counts": counts, "counts-file": counts_file, "table": table_file}
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if len(given) != 1:
        raise InputError(f"give one of --counts, --counts-file and --table, not {' and '.join(given) or 'none'}")
    if table_file is not None:
        return read_table(table_file)
    return read_counts(counts_file) if counts_file is not None else ClassCounts.parse(counts or "")
