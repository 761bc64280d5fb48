"""Trained networks against the imbalance ratio."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from figures.registry import Plot, Report
from figures.sweeps import swept
from ufm._arrays import Floats
from ufm.plot import COLORS, band, letter, panels
from ufm.sweep import Grid, Spec

PANELS = {
    "minority": "minority test accuracy",
    "cos_minority": "cosine of minority classifiers",
    "gap": "objective $-$ certified bound",
}


class Networks(NamedTuple):
    """Ratios, model -> column -> (seeds, ratios), and the certified optimum's minority cosine."""

    ratio: Floats
    runs: dict[str, dict[str, Floats]]
    theory: Floats


class TrainedNetworks(Plot):
    """DEQ and explicit networks of equal size on handwritten digits, five majority classes of 100 images, against R. Lines
    are means over seeds, bands the range. Black: the certified optimum of the unconstrained-feature model with the same class
    sizes and decays.
    """

    name = "networks"
    tolerance = 1e-2
    title = "trained networks, DEQ against explicit: minority accuracy and cosine, and gap, against R (digits)"

    def data(self, *, quick: bool, report: Report) -> Networks:
        spec = Spec.load("networks")
        if quick:
            fixed = spec.grid.fixed | {"epochs": 6, "width": 16, "largest": 20}
            model, _, seed = spec.grid.axes
            ratio = type(model)(("ratio",), ((1,), (4,), (20,)))
            spec = Spec("train", Grid(fixed, (model, ratio, type(seed)(("seed",), seed.values[:2]))), spec.title)
        models, ratios, seeds = spec.grid.axes
        columns = (*PANELS, "theory_cos_minority")
        found = swept(self, spec, report, *columns)
        shape = len(models), len(ratios), len(seeds)
        table = {c: found[c].reshape(shape) for c in columns}
        runs = {str(m[0]): {c: table[c][k].T for c in PANELS} for k, m in enumerate(models.values)}
        ratio_values = np.array([float(v[0]) for v in ratios.values])  # type: ignore[arg-type]
        return Networks(ratio_values, runs, table["theory_cos_minority"][0, :, 0])

    def draw(self, data: Networks) -> Figure:
        fig, axes = panels(1, len(PANELS), height=2.2)
        for axis, (column, name) in zip(axes[0], PANELS.items(), strict=True):
            for model, columns in data.runs.items():
                label = "DEQ" if model == "deq" else model
                band(axis, data.ratio, columns[column], kind=model, label=label, marker=".", markersize=3)
            if column == "cos_minority":
                dashes = {"linestyle": (0, (4, 2)), "linewidth": 0.8}
                axis.plot(data.ratio, data.theory, color=COLORS["theory"], label="certified optimum", **dashes)
            axis.set_xscale("log")
            if column == "gap":
                axis.set_yscale("log")
            axis.set_xlabel("imbalance ratio $R$")
            axis.set_ylabel(name)
        letter(axes)
        fig.legend(*axes[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return fig
