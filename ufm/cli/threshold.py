"""The command ``ufm threshold``."""

from __future__ import annotations

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
    table,
    whole_pair,
    working,
)
from ufm.errors import InputError, brief

if TYPE_CHECKING:
    from ufm.analysis import Threshold
    from ufm.problem.heads import Head


def _quantities(incomplete: str) -> list[str]:
    from ufm.analysis.thresholds.ratio import QUANTITIES

    return choices(*QUANTITIES)(incomplete)


@app.command(
    "threshold",
    epilog=examples(
        "ufm threshold --classes 5,5 --budget 1,5 --head deq:rho=0.3 --level rigorous",
        "ufm threshold --classes 5,5 --decay 2.5e-3,2.5e-3 --minority-count 100",
        "ufm threshold --classes 5,5 --decay 2.5e-3,2.5e-3 --minority-count 100 --loss ce:weights=1",
        "ufm threshold --classes 5,5 --decay 1e-2 --head layernorm",
        "ufm threshold --classes 5,5 --minority-count 100 --ratio 16 --solve-for decay",
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
            metavar="N",
            help="Samples in each minority class. Needed with --decay; norm budgets and layernorm do not depend on it.",
        ),
    ] = None,
    loss: Annotated[
        str,
        typer.Option(
            metavar="LOSS",
            autocompletion=choices(
                "ce", "ce:weights=", "ce:adjustment=", "ce:temperatures=", "ce:smoothing=", "bce", "focal:gamma=", "mse"
            ),
            help="Mean loss over samples: ce with the options of ufm solve (weights=A, adjustment=T, temperatures=G, "
            "smoothing=E), bce or mse; or focal:gamma=G, which is not convex: best found, level numeric.",
        ),
    ] = "ce",
    solve_for: Annotated[
        str,
        typer.Option(
            metavar="QUANTITY",
            autocompletion=_quantities,
            help="What is asked for: ratio, decay (sqrt(LW LH); leave --decay out), minority-count, or rho (spectral budget "
            "of an equilibrium). All but the first need --ratio.",
        ),
    ] = "ratio",
    ratio: Annotated[
        float | None,
        typer.Option(
            metavar="R", help="Imbalance ratio n_majority / n_minority, at least 1, where something else is asked for."
        ),
    ] = None,
    head: HeadOption = "explicit",
    level: Level = "float",
    convention: ConventionOption = "mean-half",
    as_json: Json = False,
) -> None:
    """Enclose the imbalance ratio at which classes collapse.

    At and above the ratio R0 = n_majority / n_minority a group of equal classes of the optimum shares one classifier: the
    minority, or (under class weights) the majority, or both. Give --classes, and either --decay with --minority-count or
    --budget.
    """
    import ufm
    from ufm.analysis.thresholds.ratio import QUANTITIES
    from ufm.problem.text import parse_head, parse_loss

    architecture = parse_head(head)
    if solve_for not in QUANTITIES:
        raise InputError(f"--solve-for is {brief(solve_for)}; choose one of {', '.join(QUANTITIES)}")
    if solve_for == "decay":
        if decay is not None or budget is not None:
            raise InputError("--solve-for decay asks for the decay; leave --decay and --budget out")
        if convention != "mean-half":
            raise InputError(f"--convention {brief(convention)} concerns --decay; with --solve-for decay leave it out")
        chosen = None
    else:
        chosen = regularizer(decay, budget, convention, None, architecture)
    pair = whole_pair(classes)
    with working(
        f"looking for the critical {solve_for} of {pair[0]} majority and {pair[1]} minority classes, head {architecture}"
    ):
        found = ufm.threshold(
            classes=pair, regularizer=chosen, minority_count=minority_count, head=architecture, level=level,
            loss=parse_loss(loss), ratio=ratio, solve_for=solve_for,
        )  # fmt: skip
    if as_json:
        names = ("quantity", "value", "lower", "upper", "level", "transition", "group", "note")
        print_json({name: getattr(found, name) for name in names})
        return
    given = "" if chosen is None else f", {chosen}"
    at = "" if ratio is None else f", ratio {ratio:g}"
    table(
        f"classes {classes}, {loss}, head {head}{given}{at}",
        [
            (f"critical {solve_for}", f"{found.value:.15g}"),
            (f"enclosure ({found.level})", f"{found.lower:.17g} .. {found.upper:.17g}"),
            ("transition", found.transition),
            ("group", found.group),
            ("meaning", meaning(found, architecture)),
            *([("note", found.note)] if found.note else []),
        ],
    )


def meaning(found: Threshold, head: Head) -> str:
    """What the critical value of a head says, in one sentence."""
    if head.normalised:
        return "the minority classes share one classifier just above this ratio, and do not just below it"
    if found.level == "numeric":
        return "from this ratio on, the best solution found has one classifier for all minority classes"
    who = "the majority and the minority classes each" if found.group == "both" else f"the {found.group} classes"
    condition = {
        "ratio": "n_majority / n_minority >= this ratio",
        "decay": "sqrt(LW LH) >= this decay",
        "minority-count": "each minority class has at least so many samples",
        "rho": "rho <= this value",
    }[found.quantity]
    return f"{who} share one classifier iff {condition}"
