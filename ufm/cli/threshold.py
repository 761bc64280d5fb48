"""``ufm threshold``."""

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
    print_json,
    regularizer,
    table,
    whole_pair,
)


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
    from ufm.problem.text import parse_head

    chosen = regularizer(decay, budget, convention, None)
    found = ufm.threshold(
        classes=whole_pair(classes),
        regularizer=chosen,
        minority_count=minority_count,
        head=parse_head(head),
        level=level,
    )
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
