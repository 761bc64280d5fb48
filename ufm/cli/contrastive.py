"""The command ``ufm contrastive``."""

from __future__ import annotations

from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from ufm._text import classes as classes_of
from ufm.cli.common import Json, Level, app, examples, print_json, table, whole_pair, working
from ufm.errors import InputError, brief

if TYPE_CHECKING:
    from ufm.analysis import Threshold
    from ufm.contrastive import ContrastiveSolution


@app.command(
    "contrastive",
    epilog=examples(
        "ufm contrastive --counts '50*5,10*5' --temperature 0.5",
        "ufm contrastive --counts '500*3,100*4,10*5' --temperature 0.1 --level rigorous --json",
        "ufm contrastive --counts '50*5,10*5' --temperature 0.5 --nonnegative",
        "ufm contrastive --threshold --classes 1,4 --temperature 1",
    ),
)
def contrastive_command(
    temperature: Annotated[
        float,
        typer.Option(
            metavar="T", help="Temperature tau of the loss, by which inner products of unit vectors are divided: 1e-3 to 1e4."
        ),
    ],
    counts: Annotated[
        str | None,
        typer.Option(metavar="SIZES", help="Class sizes in samples, as SIZE*CLASSES items with commas between: 50*5,10*5."),
    ] = None,
    counts_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Instead of --counts, a text file with one class size a line, or label,count."),
    ] = None,
    nonnegative: Annotated[
        bool,
        typer.Option(
            "--nonnegative", help="Allow no negative inner product between class vectors, as for features after a ReLU."
        ),
    ] = False,
    threshold: Annotated[
        bool,
        typer.Option(
            "--threshold",
            help="Instead of an optimum, enclose the ratio n_majority / n_minority from which the minority classes share one "
            "vector; give --classes.",
        ),
    ] = False,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="KA,KB", help="With --threshold, number of majority classes and number of minority classes. Example: 1,4."
        ),
    ] = None,
    level: Level = "float",
    as_json: Json = False,
) -> None:
    """Solve supervised contrastive learning over class vectors.

    The population loss sum_k pi_k log sum_j pi_j exp((cos_kj - 1) / T) (nats) is minimised over the cosines between one unit
    vector for each class, with pi_k the share of class k among the samples; certified bounds enclose the optimum. Give
    --temperature and one of --counts and --counts-file, or --threshold with --classes.
    """
    import ufm
    from ufm.targets import ClassCounts
    from ufm.targets.files import read_counts

    started = perf_counter()
    if threshold:
        if classes is None:
            raise InputError("--threshold needs --classes KA,KB such as 1,4")
        if counts is not None or counts_file is not None or nonnegative:
            raise InputError("--threshold asks for a ratio of class sizes; leave --counts, --counts-file and --nonnegative out")
        found = ufm.contrastive_threshold(classes=whole_pair(classes), temperature=temperature)
        _print_threshold(found, classes, temperature, as_json)
        return
    if classes is not None:
        raise InputError(f"--classes is {brief(classes)} without --threshold; give --counts, or add --threshold")
    if (counts is None) == (counts_file is None):
        raise InputError("give exactly one of --counts and --counts-file")
    sizes = read_counts(counts_file) if counts_file is not None else ClassCounts.parse(counts or "")
    with working(f"solving the contrastive program for K={sizes.classes} classes of {len(sizes.groups)} sizes"):
        solution = ufm.solve_contrastive(sizes, temperature=temperature, nonnegative=nonnegative, level=level)
    seconds = perf_counter() - started
    if as_json:
        print_json(solution.to_dict() | {"seconds": seconds})
        return
    sign = ", inner products >= 0" if nonnegative else ""
    table(
        f"contrastive, temperature {temperature:g}{sign}, {classes_of(sizes.runs)}",
        [*_rows(solution), ("seconds", f"{seconds:.3f}")],
    )


def _rows(solution: ContrastiveSolution) -> list[tuple[str, str]]:
    """Names and values of the table."""
    rows = [
        ("status", f"{solution.status}: {solution.message}"),
        ("method", solution.method),
        ("value", f"{solution.value:.15g}"),
        (f"bounds ({solution.level})", f"{solution.lower:.17g} .. {solution.upper:.17g}"),
        ("gap", f"{solution.gap:.3g}"),
    ]
    for group in solution.groups:
        cosine = f"{group.cosine:.10g} in [{group.lower:.10g}, {group.upper:.10g}], collapsed: {group.collapsed}"
        rows.append((f"cosine ({group.classes} classes of size {group.size})", cosine))
    return rows


def _print_threshold(found: Threshold, classes: str, temperature: float, as_json: bool) -> None:
    if as_json:
        print_json(found.to_dict())
        return
    if isfinite(found.value):
        rows = [
            ("critical ratio", f"{found.value:.15g}"),
            (f"enclosure ({found.level})", f"{found.lower:.17g} .. {found.upper:.17g}"),
            ("meaning", "the minority classes share one vector iff n_majority / n_minority >= this ratio"),
        ]
    else:
        rows = [("critical ratio", f"none ({found.level})"), ("meaning", found.note)]
    table(f"contrastive, classes {classes}, temperature {temperature:g}", rows)
