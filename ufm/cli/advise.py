"""The command ``ufm advise``."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Annotated

import typer

from ufm.cli.common import (
    NOTICED,
    ConventionOption,
    Decay,
    HeadOption,
    Json,
    Level,
    app,
    examples,
    print_json,
    regularizer,
    table,
)
from ufm.errors import InputError, sentence


@app.command(
    "advise",
    epilog=examples(
        "ufm advise --counts '500*5,100*5' --decay 2.5e-3,2.5e-3",
        "ufm advise --counts-file sizes.txt --decay 5e-4,5e-4 --json",
        "ufm advise --counts-file sizes.txt --decay 5e-4,5e-4 --plot remedies.pdf",
    ),
)
def advise_command(
    counts: Annotated[
        str | None,
        typer.Option(metavar="SIZES", help="Class sizes in samples, as SIZE*CLASSES items with commas between: 500*5,100*5."),
    ] = None,
    counts_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Instead of --counts, a text file with one class size a line, or label,count."),
    ] = None,
    decay: Decay = None,
    head: HeadOption = "explicit",
    level: Level = "float",
    convention: ConventionOption = "mean-half",
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Draw critical decays of all groups and cosines at the optimum, remedy by remedy; a .pdf, .svg or .png.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare remedies for class imbalance.

    For each remedy (class weights, logit adjustment, temperatures, smoothing, balanced sampling, less decay, an equilibrium):
    which groups of equal classes share one classifier, the decay below which each group separates, and the geometry of the
    certified optimum. Give --decay, and one of --counts and --counts-file.
    """
    import ufm
    from ufm.problem.text import parse_head
    from ufm.targets import ClassCounts
    from ufm.targets.files import read_counts

    if (counts is None) == (counts_file is None):
        raise InputError("give exactly one of --counts and --counts-file")
    if decay is None:
        raise InputError("--decay is missing; give LW,LH such as 5e-4,5e-4")
    if plot is not None:
        from ufm.plot.saving import format_of

        format_of(plot)
    sizes = read_counts(counts_file) if counts_file is not None else ClassCounts.parse(counts or "")
    chosen = regularizer(decay, None, convention, sizes)
    assert isinstance(chosen, ufm.WeightDecay)
    began = monotonic()

    def tell(name: str) -> None:
        if monotonic() - began > NOTICED and sys.stderr is not None:
            print(sentence(f"evaluating {name}"), file=sys.stderr, flush=True)

    found = ufm.advise(sizes, regularizer=chosen, head=parse_head(head), level=level, progress=tell)
    if plot is not None:
        ufm.plot.save_as(ufm.plot.advice(found), plot)
    if as_json:
        print_json(found.to_dict())
        return
    table(found.title, found.rows)
