"""``ufm solve``."""

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
    announce,
    app,
    print_json,
    regularizer,
    table,
)

if TYPE_CHECKING:
    from ufm.solvers import Solution


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
    from ufm.problem.text import parse_head, parse_loss

    started = perf_counter()
    sizes = ufm.ClassCounts.parse(counts)
    chosen = regularizer(decay, budget, convention, sizes)
    problem = ufm.Problem(sizes, regularizer=chosen, loss=parse_loss(loss), head=parse_head(head), dim=dim)
    announce(problem, method)
    solution = ufm.solve(problem, method=method, level=level)
    if save is not None:
        solution.certificate.save(save)
    if as_json:
        print_json(ufm.report(solution).to_dict() | {"seconds": perf_counter() - started})
        return
    certificate, verdict, metrics = solution.certificate, ufm.collapse(solution), ufm.geometry(solution)
    table(
        str(problem),
        [
            ("value", f"{solution.value:.14g}"),
            (f"bounds ({certificate.level})", f"{certificate.lower:.16g} .. {certificate.upper:.16g}"),
            ("gap", f"{certificate.gap:.1e} (relative: {certificate.relative_gap:.1e})"),
            *_codes(solution),
            ("status", solution.message),
            ("method", solution.method + (f" ({solution.choice})" if solution.choice else "")),
            ("smallest classes collapsed", f"{verdict.verdict}: {verdict.reason}"),
            *((name, "undefined" if v is None else f"{v:.10g}") for name, v in metrics.items()),
            ("seconds", f"{perf_counter() - started:.3f}"),
        ],
    )
    if save is not None:
        print(f"certificate written to {save}; check it with: ufm recheck {save}", file=sys.stderr)


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
