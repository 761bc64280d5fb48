"""Training curves of the two architectures."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.plot import band, letter, panels, reference
from ufm.training import Settings, train

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
        found = []
        small: dict[str, Any] = {"largest": 40, "epochs": 12, "width": 24} if quick else {}
        for ratio in (1.0, 10.0):
            base = Settings(data="digits", classes=(3, 7), ratio=ratio, **small)
            runs: dict[str, dict[str, list[Floats]]] = {m: {c: [] for c in COLUMNS} for m in MODELS}
            theory = {}
            for model in MODELS:
                for seed in range(2 if quick else 5):
                    settings = Settings(data="digits", classes=(3, 7), ratio=ratio, model=model, random_state=seed, **small)
                    data = settings.dataset()
                    report(f"{settings}")
                    trained = train(
                        data,
                        settings.network(data.x.shape[1]),
                        optimizer=settings.make_optimizer(),
                        epochs=settings.epochs,
                        batch=settings.batch,
                        random_state=seed,
                    )
                    assert trained.prediction is not None
                    known = {column: trained.prediction.metrics.get(column) for column in COLUMNS}
                    theory = {column: level for column, level in known.items() if level is not None}
                    for column in COLUMNS:
                        runs[model][column].append(trained.history[column])
            stacked = {m: {c: np.array(v) for c, v in columns.items()} for m, columns in runs.items()}
            found.append(Curves(str(base.counts), base.counts.ratio, stacked, theory))
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
