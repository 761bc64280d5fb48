"""``ufm train`` and ``ufm compare``."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer

from ufm.cli.common import Json, app, numbers, print_json, table, whole_pair

COLUMNS = ("objective", "accuracy", "minority", "nc1", "nc2", "nc3", "forward_calls")
Out = Annotated[str, typer.Option(help="Folder for the results; an interrupted run there is continued.")]
MapOption = Annotated[str, typer.Option("--map", help="Equilibrium layer: tanh, relu, linear, monotone (explicit: its match).")]


@app.command()
def train(
    out: Out,
    model: Annotated[str, typer.Option(help="deq or explicit.")] = "deq",
    data: Annotated[str, typer.Option(help="mixture (synthetic) or digits (real).")] = "mixture",
    classes: Annotated[str, typer.Option(help="KA,KB: numbers of majority and of minority classes.")] = "5,5",
    ratio: Annotated[float, typer.Option(help="R, largest over smallest class size.")] = 10.0,
    tail: Annotated[bool, typer.Option("--tail", help="Sizes falling geometrically over all classes.")] = False,
    largest: Annotated[int | None, typer.Option(help="Samples of the largest class (500 mixture, 100 digits).")] = None,
    kind: MapOption = "tanh",
    width: Annotated[int, typer.Option(help="Feature dimension.")] = 64,
    contraction: Annotated[float, typer.Option(help="Bound on the norm of the equilibrium layer; 0 for none.")] = 0.9,
    decay: Annotated[str | None, typer.Option(help="LW,LH: decay of classifier and features, as in ufm solve.")] = None,
    body: Annotated[float, typer.Option(help="Decay of the equilibrium layer or stack.")] = 0.0,
    encoder: Annotated[float, typer.Option(help="Decay of the encoder.")] = 0.0,
    jacobian: Annotated[float, typer.Option(help="Weight of the Jacobian-norm penalty (deq).")] = 0.0,
    optimizer: Annotated[str, typer.Option(help="adam or sgd (with momentum).")] = "adam",
    rate: Annotated[float | None, typer.Option(help="Learning rate (0.01 adam, 0.1 sgd).")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training samples.")] = 100,
    batch: Annotated[int, typer.Option(help="Samples per step.")] = 128,
    seed: Annotated[int, typer.Option(help="Of data, initial parameters and order of samples.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a small network; print its accuracy, its collapse metrics and its distance to theory."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ufm.training import Settings, run
    from ufm.training.saved_run import RUN

    started = perf_counter()
    pair = None if decay is None else numbers("decay", decay, 2, 2)
    settings = Settings.from_options(
        model=model, data=data, classes=whole_pair(classes), ratio=ratio, tail=tail, largest=largest, map=kind, width=width,
        contraction=contraction or None, decay=None if pair is None else (pair[0], pair[1]), body=body, encoder=encoder,
        jacobian=jacobian, optimizer=optimizer, rate=rate, epochs=epochs, batch=batch, seed=seed,
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
            rows.append(("theory", "of a wider model: the bound holds, its geometry is out of reach for this width"))
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


@app.command()
def compare(
    out: Out,
    data: Annotated[str, typer.Option(help="mixture, digits or both, separated by a comma.")] = "mixture,digits",
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 5,
    kind: MapOption = "tanh",
    epochs: Annotated[int, typer.Option(help="Passes over the training samples.")] = 100,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="Small and short, to see that everything runs.")] = False,
    as_json: Json = False,
) -> None:
    """DEQ against explicit network over balanced, step-imbalanced and long-tailed classes, in pairs over seeds."""
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
