"""Training curves of the two architectures."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from figures.registry import Plot, Report
from figures.sweeps import trained
from ufm._arrays import Floats
from ufm.plot import band, letter, panels, reference
from ufm.training import Settings

MODELS = {"deq": "DEQ", "explicit": "explicit"}
COLUMNS = {"accuracy": "test accuracy", "nc1": "NC1", "nc2": "NC2 of W", "nc3": "NC3"}


class Curves(NamedTuple):
    """One row of panels: class sizes as text, R, model -> column -> (seeds, epochs), and the columns that theory predicts."""

    sizes: str
    ratio: float
    runs: dict[str, dict[str, Floats]]
    theory: dict[str, float]


class Epochs(Plot):
    """Test accuracy, NC1, NC2 and NC3 against epochs on handwritten digits, for balanced classes (top) and three majority
    classes at R = 10 (bottom). Lines are means over seeds, bands the range; dashed, the certified optimum of the
    unconstrained-feature model with these class sizes and decays (for NC1 it is zero).
    """

    name = "epochs"
    tolerance = 1e-2
    title = "accuracy, NC1, NC2 and NC3 against epochs, DEQ beside explicit, balanced and imbalanced (digits)"

    def data(self, *, quick: bool, report: Report) -> list[Curves]:
        small: dict[str, Any] = {"largest": 40, "epochs": 12, "width": 24} if quick else {}
        seeds, ratios = range(2 if quick else 5), (1.0, 10.0)
        asked = [
            Settings(data="digits", classes=(3, 7), ratio=ratio, model=model, random_state=seed, **small)
            for ratio in ratios
            for model in MODELS
            for seed in seeds
        ]
        runs = dict(zip(asked, trained(self, asked, report), strict=True))
        found = []
        for ratio in ratios:
            mine = [settings for settings in asked if settings.ratio == ratio]
            curves = {
                model: {c: np.array([runs[s].history[c] for s in mine if s.model == model]) for c in COLUMNS}
                for model in MODELS
            }
            known = {column: runs[mine[0]].theory.get(column) for column in COLUMNS}
            theory = {column: level for column, level in known.items() if level is not None}
            found.append(Curves(str(mine[0].counts), mine[0].counts.ratio, curves, theory))
        return found

    def draw(self, data: list[Curves]) -> Figure:
        fig, axes = panels(len(data), len(COLUMNS))
        for row, curves in zip(axes, data, strict=True):
            for axis, (column, name) in zip(row, COLUMNS.items(), strict=True):
                for model, label in MODELS.items():
                    values = curves.runs[model][column]
                    band(axis, np.arange(1, values.shape[1] + 1), values, kind=model, label=label)
                if column in curves.theory:
                    reference(axis, curves.theory[column], label="certified optimum")
                axis.set_xlabel("epoch")
                axis.set_ylabel(name)
                if column == "nc1":
                    axis.set_yscale("log")
                elif column == "accuracy":
                    axis.set_ylim(None, 1.0)
                else:
                    axis.set_ylim(0.0, None)
            row[0].set_title(f"sizes {curves.sizes}")
        letter(axes)
        fig.legend(*axes[0, 2].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return fig
