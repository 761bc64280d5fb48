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
from ufm.solvers import METHODS

if TYPE_CHECKING:
    pass


@app.command(
    "solve",
    epilog=examples(
        "ufm solve --counts '100*3,10*7' --decay 2e-3,2e-3 --level rigorous --save c.json",
        "ufm solve --counts '20*10' --budget 1,5 --head deq:rho=0.3 --json",
        "ufm solve --counts '100*5,10*5' --decay 1e-3,1e-3 --loss ce:weights=1,smoothing=0.1",
    ),
)
def solve_command(
    counts: Annotated[
        str,
        typer.Option(
            metavar="SIZES",
            help="Class sizes in samples, as SIZE*CLASSES items with commas between: 100*3,10*7 means 3 classes of 100 "
            "samples each and 7 classes of 10.",
        ),
    ],
    decay: Decay = None,
    budget: Budget = None,
    loss: Annotated[
        str,
        typer.Option(
            metavar="LOSS",
            autocompletion=choices("ce", "ce:weights=", "ce:adjustment=", "ce:temperatures=", "ce:smoothing=", "mse"),
            help="Mean loss over samples: mse (half the squared error) or ce (cross-entropy in nats), which takes options: "
            "ce:weights=A (class weights n_k^-A), adjustment=T (offsets T log(n_k/N)), temperatures=G ((n_k/n_max)^G), "
            "smoothing=E (labels, 0 <= E < 1). Instead of A, T, G also one value per distinct size, as in 1/0.5.",
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
            "convex. The command 'ufm explain method' says what each does.",
        ),
    ] = "auto",
    level: Level = "float",
    convention: ConventionOption = "mean-half",
    save: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the certificate to this JSON file, which ufm recheck verifies."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Solve a model; print its value, certified bounds and geometry.

    The optimum of an unconstrained-feature (layer-peeled) model comes with bounds that enclose it, a verdict on the collapse
    of its smallest classes, and its neural-collapse metrics. Give --counts, and either --decay or --budget.
    """
    import ufm
    from ufm.problem.text import parse_head, parse_loss

    started = perf_counter()
    sizes = ufm.ClassCounts.parse(counts)
    chosen = regularizer(decay, budget, convention, sizes)
    problem = ufm.Problem(sizes, regularizer=chosen, loss=parse_loss(loss), head=parse_head(head), dim=dim)
    with solving(problem, method):
        report = ufm.report(ufm.solve(problem, method=method, level=level))
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
