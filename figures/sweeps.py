"""What the figures of ready sweeps share: run one into a store of its own, and draw a phase diagram."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from figures.registry import Report
from ufm._arrays import Floats
from ufm.errors import ConvergenceError
from ufm.plot import COLUMN, panels
from ufm.sweep import Spec, Store, run


def swept(spec: Spec, report: Report, *columns: str) -> dict[str, Any]:
    """Columns of a sweep, in the order of its grid; every point is certified, or the figure is not drawn."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        counts = run(spec, path, report=lambda done, total: report(f"{done} of {total} points"))
        if counts["done"] != len(spec.grid):
            raise ConvergenceError(f"{counts['failed']} points of the sweep {spec.title!r} failed; run it with ufm sweep run")
        with Store(path) as store:
            found = dict(zip(columns, store.arrays(*columns), strict=True))
            worst = float(np.nanmax(store.arrays("gap")[0])) if spec.task == "solve" else 0.0
        if worst > 1e-9:
            raise ConvergenceError(f"the sweep {spec.title!r} has a point with the certified gap {worst:.1e}, above 1e-9")
        return found


class Phase(NamedTuple):
    """A phase diagram: values of both axes, (rows, columns) minority cosines, and the exact boundary as (x, y)."""

    x: Floats
    y: Floats
    cosine: Floats
    boundary: tuple[Floats, Floats]


def phase_data(spec: Spec, report: Report, boundary: tuple[Floats, Floats]) -> Phase:
    """Run a sweep with two axes, the second one across."""
    rows, across = spec.grid.axes
    found = swept(spec, report, "cos_minority")
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
