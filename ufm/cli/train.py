"""The commands ``ufm train`` and ``ufm compare``."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from ufm.cli.common import Json, app, choices, examples, numbers, print_json, table, whole_pair

COLUMNS = ("objective", "accuracy", "minority", "nc1", "nc2", "nc3", "forward_calls")
Out = Annotated[
    str, typer.Option(metavar="FOLDER", help="Folder for the results. A run that was interrupted there is continued.")
]
MapOption = Annotated[
    str,
    typer.Option(
        "--map",
        metavar="NAME",
        autocompletion=choices("tanh", "relu", "linear", "monotone"),
        help="Kind of equilibrium layer: tanh, relu, linear or monotone. An explicit network takes its activation and its "
        "number of parameters.",
    ),
]


@app.command(
    "train",
    epilog=examples(
        "ufm train --model deq --data mixture --classes 5,5 --ratio 10 --out runs/deq",
        "ufm train --model explicit --data digits --decay 2e-2,2.5e-4 --out runs/digits",
        "ufm train --model explicit --feature-norm 1 --decay 1e-2 --ratio 100 --out runs/normalised",
    ),
)
def train_command(
    out: Out,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("deq", "explicit"),
            help="Network: deq (a deep equilibrium layer) or explicit (a stack of layers with as many parameters).",
        ),
    ] = "deq",
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=choices("mixture", "digits"),
            help="Samples: mixture (synthetic Gaussians) or digits (scikit-learn's handwritten digits, 10 classes).",
        ),
    ] = "mixture",
    classes: Annotated[
        str, typer.Option(metavar="KA,KB", help="Number of majority classes and number of minority classes.")
    ] = "5,5",
    ratio: Annotated[
        float, typer.Option(metavar="R", help="Imbalance ratio, the largest class size over the smallest, at least 1.")
    ] = 10.0,
    tail: Annotated[
        bool, typer.Option("--tail", help="Let sizes fall geometrically over all KA + KB classes instead of in one step.")
    ] = False,
    largest: Annotated[
        int | None,
        typer.Option(metavar="N", help="Training samples of the largest class. Left out: 500 for mixture, 100 for digits."),
    ] = None,
    kind: MapOption = "tanh",
    width: Annotated[int, typer.Option(metavar="D", help="Feature dimension, which is also the width of every layer.")] = 64,
    contraction: Annotated[
        float,
        typer.Option(metavar="G", help="Bound G < 1 on the spectral norm of the equilibrium layer's matrix; 0 means none."),
    ] = 0.9,
    decay: Annotated[
        str | None,
        typer.Option(
            metavar="LW,LH",
            help="Decay of classifier and features, half convention beside the mean loss, features per sample, as in ufm "
            "solve. Left out: 1e-2,1e-4 for mixture, 2e-2,2.5e-4 for digits. With --feature-norm LW alone.",
        ),
    ] = None,
    feature_norm: Annotated[
        float | None,
        typer.Option(
            metavar="R",
            help="Scale every last-layer feature to this norm before the classifier, as RMSNorm does with R = sqrt(width). "
            "Theory is then that of ufm solve --head layernorm:norm=R.",
        ),
    ] = None,
    body: Annotated[
        float,
        typer.Option(metavar="L", help="Decay L/2 |parameters|^2 of the equilibrium layer or of the stack."),
    ] = 0.0,
    encoder: Annotated[float, typer.Option(metavar="L", help="Decay L/2 |parameters|^2 of the encoder.")] = 0.0,
    jacobian: Annotated[
        float, typer.Option(metavar="L", help="Weight L/2 of the mean squared Frobenius norm of the Jacobian, for deq only.")
    ] = 0.0,
    optimizer: Annotated[
        str,
        typer.Option(metavar="NAME", autocompletion=choices("adam", "sgd"), help="Optimizer: adam, or sgd (with momentum)."),
    ] = "adam",
    rate: Annotated[
        float | None, typer.Option(metavar="X", help="Learning rate at the start. Left out: 0.01 for adam, 0.1 for sgd.")
    ] = None,
    epochs: Annotated[int, typer.Option(metavar="N", help="Passes over the training samples.")] = 100,
    batch: Annotated[int, typer.Option(metavar="N", help="Samples per step.")] = 128,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Seed of the data, of initial parameters and of the order of samples, at least 0.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Train a small network and compare it with theory.

    Prints accuracy, neural-collapse metrics, the gap to the certified lower bound on the training objective of every network
    with these class sizes and decays, and controls of the equilibrium. The command 'ufm explain' says what each row means.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ufm.training import Settings, run
    from ufm.training.saved_run import RUN

    started = perf_counter()
    pair = None if decay is None else numbers("decay", decay, 2, 2) if feature_norm is None else numbers("decay", decay, 1, 2)
    settings = Settings.from_options(
        model=model, data=data, classes=whole_pair(classes), ratio=ratio, tail=tail, largest=largest, map=kind, width=width,
        contraction=contraction or None, decay=None if pair is None else tuple(pair), body=body, encoder=encoder,
        jacobian=jacobian, optimizer=optimizer, rate=rate, epochs=epochs, batch=batch, seed=seed,
        feature_norm=feature_norm,
    )  # fmt: skip
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"{model}, {settings.counts}", total=epochs)

        def report(row: dict[str, float]) -> None:
            epoch = int(row["epoch"])
            progress.update(task, completed=epoch)
            if epoch in (1, epochs) or epoch % max(1, epochs // 10) == 0:
                told = "  ".join(f"{name} {row[name]:.4g}" for name in COLUMNS)
                console.print(f"epoch {epoch:4d}  {told}", markup=False, highlight=False, soft_wrap=True)

        found = run(settings, Path(out), report)
    results = found["results"]
    answer = {**found, "file": str(Path(out) / RUN), "seconds": perf_counter() - started}
    if as_json:
        print_json(answer)
        return
    theory = found.get("prediction")
    rows = [
        ("test accuracy", "{accuracy:.4f} (majority {majority:.4f}, minority {minority:.4f})".format(**results)),
        *([("Bayes accuracy", f"{found['ceiling']:.4f}")] if found["ceiling"] is not None else []),
        ("objective", f"{results['objective']:.8g}"),
    ]
    if theory is not None:
        rows += [
            ("certified lower bound (float)", f"{theory['lower']:.8g}, for every network with these class sizes and decays"),
            ("gap", f"{results['gap']:.3g}"),
            ("theory: minority collapsed", theory["collapsed"]),
        ]
        if not theory["certified"]:
            rows.append(("theory", "of a wider model: its bound holds, but this narrower network need not have its geometry"))
    predicted = {}
    if theory is not None and theory["certified"]:
        predicted = {name: theory["metrics"].get(name) for name in ("nc2", "nc3", "cos_majority", "cos_minority")}
    for name, value in results.items():
        if name.startswith(("nc", "cos", "self", "to_theory")):
            said = predicted.get(name)
            told = "undefined" if value is None else f"{value:.5g}"
            rows.append((name, told + (f" (theory {said:.5g})" if said is not None else "")))
    rows += [(f"control: {name}", "undefined" if v is None else f"{v:.5g}") for name, v in found["controls"].items()]
    rows += [("file", answer["file"]), ("seconds", f"{answer['seconds']:.1f}")]
    table(f"{settings}: sizes {settings.counts}, {found['parameters']} parameters", rows)


@app.command(
    "compare",
    epilog=examples(
        "ufm compare --quick --data mixture --seeds 2 --out runs/quick",
        "ufm compare --seeds 5 --workers 2 --out runs/comparison",
    ),
)
def compare_command(
    out: Out,
    data: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            autocompletion=choices("mixture", "digits", "mixture,digits"),
            help="Samples: mixture, digits, or both with a comma between.",
        ),
    ] = "mixture,digits",
    seeds: Annotated[int, typer.Option(metavar="N", help="Number of seeds 0, 1, ..., at least 2.")] = 5,
    kind: MapOption = "tanh",
    epochs: Annotated[int, typer.Option(metavar="N", help="Passes over the training samples.")] = 100,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes that train at the same time, with one thread each.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Use small classes and few epochs, only to test that everything runs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare DEQs with explicit networks, in pairs over seeds.

    Trains both over balanced, nine step-imbalanced and one long-tailed setting, and writes summary.md into the folder: means,
    spreads, paired intervals and controls. Runs that are finished are kept.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ufm._files import write_text
    from ufm.training.comparison import Comparison
    from ufm.training.comparison import compare as run_all
    from ufm.training.settings import versions
    from ufm.training.summary import markdown, missing, statements, summarise

    started = perf_counter()
    comparison = Comparison(data=tuple(data.split(",")), seeds=seeds, map=kind, epochs=epochs, quick=quick)
    folder, console = Path(out), Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("runs", total=None)

        def report(done: int, total: int, name: str) -> None:
            progress.update(task, completed=done, total=total, description=name or "runs")
            if name and not console.is_terminal:
                print(f"[{done}/{total}] {name}", file=sys.stderr)

        failed = run_all(comparison, folder, workers=workers, report=report)
    cells = summarise(comparison, folder)
    path = folder / "summary.md"
    write_text(path, markdown(cells, comparison, versions()), "summary")
    for settings, reason in failed:
        print(f"{settings} failed: {reason}", file=sys.stderr)
    said = statements(cells)
    if as_json:
        print_json(
            {
                "statements": said,
                "missing": missing(cells, comparison),
                "summary": str(path),
                "seconds": perf_counter() - started,
            }
        )
    else:
        rows = [(str(number), line) for number, line in enumerate(said, 1)]
        table("What the data support", [*rows, ("summary", str(path)), ("seconds", f"{perf_counter() - started:.0f}")])
    if failed:
        raise typer.Exit(1)
