"""The command ``ufm threshold``."""

from __future__ import annotations

from typing import Annotated

import typer

from ufm.cli.common import (
    Budget,
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
    whole_pair,
    working,
)


@app.command(
    "threshold",
    epilog=examples(
        "ufm threshold --classes 5,5 --budget 1,5 --head deq:rho=0.3 --level rigorous",
        "ufm threshold --classes 5,5 --decay 2.5e-3,2.5e-3 --minority-count 100",
    ),
)
def threshold_command(
    classes: Annotated[
        str,
        typer.Option(metavar="KA,KB", help="Number of majority classes and number of minority classes. Example: 5,5."),
    ],
    decay: Decay = None,
    budget: Budget = None,
    minority_count: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Samples in each minority class. Needed with --decay; norm budgets do not depend on it."
        ),
    ] = None,
    head: HeadOption = "explicit",
    level: Level = "float",
    convention: ConventionOption = "mean-half",
    as_json: Json = False,
) -> None:
    """Enclose the imbalance ratio at which minority classes collapse.

    At and above the ratio R0 = n_majority / n_minority the minority classes of the optimum share one classifier. Give
    --classes, and either --decay with --minority-count or --budget.
    """
    import ufm
    from ufm.problem.text import parse_head

    chosen = regularizer(decay, budget, convention, None)
    pair, architecture = whole_pair(classes), parse_head(head)
    with working(f"looking for the critical ratio of {pair[0]} majority and {pair[1]} minority classes, head {architecture}"):
        found = ufm.threshold(classes=pair, regularizer=chosen, minority_count=minority_count, head=architecture, level=level)
    if as_json:
        names = ("quantity", "value", "lower", "upper", "level", "transition", "note")
        print_json({name: getattr(found, name) for name in names})
        return
    proved = "the minority classes share one classifier iff n_majority / n_minority >= this ratio"
    best = "from this ratio on, the best solution found has one classifier for all minority classes"
    table(
        f"classes {classes}, head {head}, {chosen}",
        [
            ("critical ratio", f"{found.value:.15g}"),
            (f"enclosure ({found.level})", f"{found.lower:.17g} .. {found.upper:.17g}"),
            ("transition", found.transition),
            ("meaning", best if found.level == "numeric" else proved),
            *([("note", found.note)] if found.note else []),
        ],
    )
