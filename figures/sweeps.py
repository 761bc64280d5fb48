"""What figures with long computations share: sweeps and training runs that continue after an interruption; phase diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm._parallel import processes
from ufm.errors import ConvergenceError, RunError
from ufm.plot import COLUMN, panels
from ufm.sweep import Spec, Store, run
from ufm.training import Settings
from ufm.training import run as train
from ufm.training.saved_run import finished, history


def swept(plot: Plot, spec: Spec, report: Report, *columns: str) -> dict[str, Any]:
    """Columns of a sweep, in the order of its grid; every point is certified, or the figure is not drawn.

    Points that the plot's workspace has from an interrupted run are not computed again.
    """
    with plot.workspace() as folder:
        path = folder / "sweep.db"
        counts = run(spec, path, workers=plot.workers, report=lambda done, total: report(f"{done} of {total} points"))
        if counts["done"] != len(spec.grid):
            raise ConvergenceError(f"{counts['failed']} points of the sweep {spec.title!r} failed; run it with ufm sweep run")
        with Store(path) as store:
            found = dict(zip(columns, store.arrays(*columns), strict=True))
            worst = float(np.nanmax(store.arrays("gap")[0])) if spec.task == "solve" else 0.0
        if worst > 1e-9:
            raise ConvergenceError(f"the sweep {spec.title!r} has a point with the certified gap {worst:.1e}, above 1e-9")
        return found


class Run(NamedTuple):
    """A training run: (epochs,) columns of its history, and the metrics of the certified optimum (None where undefined)."""

    history: dict[str, Floats]
    theory: dict[str, float | None]


def trained(plot: Plot, asked: Sequence[Settings], report: Report) -> list[Run]:
    """Training runs, in the order asked; epochs that the plot's workspace has from an interrupted run are not repeated."""
    with plot.workspace() as folder:
        places = {settings: folder / str(settings) for settings in asked}
        left = [settings for settings, place in places.items() if finished(place, settings.describe()) is None]
        done = len(asked) - len(left)
        with nullcontext() if plot.workers == 1 else processes(min(plot.workers, max(len(left), 1))) as pool:
            try:
                if pool is None:
                    ends = (train(settings, places[settings]) for settings in left)
                else:
                    futures = [pool.submit(train, settings, places[settings]) for settings in left]
                    ends = (future.result() for future in as_completed(futures))
                report(f"{done} of {len(asked)} networks")
                for number, _ in enumerate(ends, done + 1):
                    report(f"{number} of {len(asked)} networks")
            except BrokenProcessPool:
                raise RunError("a worker process died; run the same command again: finished networks are kept") from None
        found = []
        for settings, place in places.items():
            kept = finished(place, settings.describe())
            assert kept is not None
            arrays, description = kept
            found.append(Run(history(arrays), description.get("prediction", {}).get("metrics", {})))
        return found


class Phase(NamedTuple):
    """A phase diagram: values of both axes, (rows, columns) minority cosines, and the exact boundary as (x, y)."""

    x: Floats
    y: Floats
    cosine: Floats
    boundary: tuple[Floats, Floats]


def phase_data(plot: Plot, spec: Spec, report: Report, boundary: tuple[Floats, Floats]) -> Phase:
    """Run a sweep with two axes, the second one across."""
    rows, across = spec.grid.axes
    found = swept(plot, spec, report, "cos_minority")
    y, x = (np.array([float(v[0]) for v in axis.values]) for axis in (rows, across))  # type: ignore[arg-type]
    return Phase(x, y, found["cos_minority"].reshape(len(y), len(x)), boundary)


def draw_phase(data: Phase, *, ylabel: str, log: bool, label: str) -> Figure:
    """Minority cosine as colour, the exact threshold as a line."""
    fig, axes = panels(1, 1, width=COLUMN, height=2.9)
    axis = axes[0, 0]
    mesh = axis.pcolormesh(data.x, data.y, data.cosine, vmin=-0.2, vmax=1.0, cmap="viridis", shading="nearest", rasterized=True)
    axis.plot(*data.boundary, color="white", linewidth=2.0)
    axis.plot(*data.boundary, color="black", linewidth=1.0, linestyle=(0, (4, 2)), label=label)
    axis.set_xscale("log")
    if log:
        axis.set_yscale("log")
    axis.set_xlim(data.x.min(), data.x.max())
    axis.set_ylim(data.y.min(), data.y.max())
    axis.set_xlabel("imbalance ratio $R$")
    axis.set_ylabel(ylabel)
    axis.set_facecolor("0.85")
    fig.colorbar(mesh, ax=axis, label="mean cosine of minority classifiers")
    fig.legend(*axis.get_legend_handles_labels(), loc="outside lower center")
    return fig
