"""Accuracies of trained networks, DEQ beside explicit, for the class sizes of the DEQ paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.registry import Plot, Report
from figures.sweeps import swept
from ufm._arrays import Floats
from ufm.plot import COLORS, PAGE, letter, panels
from ufm.sweep import Grid, Spec
from ufm.training.summary import Paired, paired

MODELS = {"deq": "DEQ", "explicit": "explicit"}
MEASURES = {"accuracy": "test accuracy", "minority": "minority test accuracy"}
NAMES = {"digits": "digits (real)", "mixture": "Gaussian mixture (synthetic)"}
SMALL = {"epochs": 3, "width": 12, "largest": 20}
GAP = 0.8
"""Distance between the groups of settings with the same numbers of classes, in settings."""


class Accuracies(NamedTuple):
    """Settings, and shares of correct test samples.

    data : list of str; classes : list of (K_A, K_B); ratio : (ratios,) float64, R
    values : measure -> model -> (data, classes, ratios, seeds) float64, in [0, 1]
    """

    data: list[str]
    classes: list[tuple[int, int]]
    ratio: Floats
    values: dict[str, dict[str, Floats]]

    def cells(self) -> Iterator[tuple[int, int, int]]:
        """Positions of all settings: data, numbers of classes, ratio."""
        yield from np.ndindex(len(self.data), len(self.classes), len(self.ratio))

    def paired(self, measure: str, cell: tuple[int, int, int]) -> Paired:
        """The differences DEQ minus explicit of one setting; the runs of a seed share data, initial classifier and order."""
        deq, explicit = (self.values[measure][model][cell] for model in MODELS)
        return paired(deq - explicit, 1)


class Accuracy(Plot):
    """Accuracy on balanced test samples of DEQs and explicit networks of equal size, for the numbers of classes and ratios of
    the DEQ paper: K_A majority and K_B minority classes, R = 10, 50, 100. The paper trains on CIFAR; these are small networks
    on other data: the bundled handwritten digits (real, 100 images per majority class) and a Gaussian mixture (synthetic, 500
    samples per majority class). Points are means over seeds, bars the range; one seed has the same samples for
    both models.
    """

    name = "accuracy"
    tolerance = 1e-2
    title = "test accuracy, DEQ beside explicit, for nine class sizes on digits and on a synthetic mixture"

    def data(self, *, quick: bool, report: Report) -> Accuracies:
        spec = Spec.load("accuracy")
        if quick:
            data, classes, ratio, model, seed = spec.grid.axes
            ratio = type(ratio)(("ratio",), ((2,), (5,), (20,)))
            axes = data, classes, ratio, model, type(seed)(("seed",), seed.values[:2])
            spec = Spec("train", Grid(spec.grid.fixed | SMALL, axes), spec.title)
        names, classes, ratios, models, _ = spec.grid.axes
        found = swept(self, spec, report, *MEASURES)
        shape = tuple(len(axis) for axis in spec.grid.axes)
        values = {
            measure: {str(m[0]): found[measure].reshape(shape)[:, :, :, k] for k, m in enumerate(models.values)}
            for measure in MEASURES
        }
        pairs = [(int(a), int(b)) for ((a, b),) in classes.values]  # type: ignore[misc, arg-type, str-unpack]
        ratio = np.array([float(v[0]) for v in ratios.values])  # type: ignore[arg-type]
        return Accuracies([str(v[0]) for v in names.values], pairs, ratio, values)

    def draw(self, data: Accuracies) -> Figure:
        fig, axes = panels(len(data.data), len(MEASURES), width=PAGE, height=1.8, sharex=True, sharey="row")
        for row, (name, line) in enumerate(zip(data.data, axes, strict=True)):
            for axis, (measure, label) in zip(line, MEASURES.items(), strict=True):
                for model in MODELS:
                    _points(axis, data.values[measure][model][row], model)
                axis.set_title(NAMES[name])
                axis.set_ylabel(label)
        for axis in axes[-1]:
            _label(axis, data)
        letter(axes)
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return fig

    def note(self, data: Accuracies) -> str:
        return " ".join(_conclusion(data, measure) for measure in MEASURES) + (
            " Beyond the spread means that the 95 % interval of the paired difference (Student's t over "
            f"{_seeds(data)} seeds) excludes zero; with this many settings about one in twenty would by chance."
        )

    def table(self, data: Accuracies) -> str:
        return _latex(data, self.note(data))


def _points(axis: Axes, values: Floats, model: str) -> None:
    """Means and ranges over the seeds of one model; values are (classes, ratios, seeds)."""
    shift, color = (-0.17 if model == "deq" else 0.17), COLORS[model]
    x = np.arange(values.shape[0])[:, None] * (values.shape[1] + GAP) + np.arange(values.shape[1]) + shift
    mean = values.mean(axis=2)
    axis.errorbar(
        x.ravel(),
        mean.ravel(),
        np.stack([(mean - values.min(axis=2)).ravel(), (values.max(axis=2) - mean).ravel()]),
        fmt="o" if model == "deq" else "s",
        color=color,
        markerfacecolor=color if model == "deq" else "white",
        markersize=3.2,
        markeredgewidth=0.8,
        elinewidth=0.8,
        capsize=1.8,
        capthick=0.8,
        label=MODELS[model],
    )


def _label(axis: Axes, data: Accuracies) -> None:
    """Ticks at the ratios, with the numbers of classes below the middle one of each group."""
    ticks, labels = [], []
    for group, (majority, minority) in enumerate(data.classes):
        for place, ratio in enumerate(data.ratio):
            ticks.append(group * (len(data.ratio) + GAP) + place)
            below = f"\n$(K_A, K_B) = ({majority}, {minority})$" if place == len(data.ratio) // 2 else ""
            labels.append(f"{ratio:g}{below}")
    axis.set_xticks(ticks, labels)
    axis.set_xlabel("imbalance ratio $R$")


def _seeds(data: Accuracies) -> int:
    return data.values["accuracy"]["deq"].shape[-1]


def _conclusion(data: Accuracies, measure: str) -> str:
    """In how many settings which model is better, by mean and beyond the spread."""
    cells = list(data.cells())
    found = [data.paired(measure, cell) for cell in cells]
    verdicts = [pair.verdict(1) for pair in found]
    parts = ", ".join(
        f"{name} {sum(v == 'DEQ' for v, cell in zip(verdicts, cells, strict=True) if cell[0] == row)}"
        for row, name in enumerate(data.data)
    )
    higher, lower = (sum(sign * pair.mean > 0 for pair in found) for sign in (1, -1))
    count = {verdict: verdicts.count(verdict) for verdict in ("DEQ", "explicit", "undecided")}
    label = MEASURES[measure]
    return (
        f"{label[0].upper()}{label[1:]}: the DEQ is higher beyond the spread in {count['DEQ']} of {len(cells)} settings "
        f"({parts}), the explicit network in {count['explicit']}, undecided are {count['undecided']}; by the mean alone the "
        f"DEQ is higher in {higher}, the explicit network in {lower}."
    )


def _latex(data: Accuracies, note: str) -> str:
    """The table: a row for each setting, percentages with standard deviations, bold where better beyond the spread."""
    heads = " & ".join(rf"\multicolumn{{2}}{{c}}{{{label} (\%)}}" for label in MEASURES.values())
    rules = "".join(rf"\cmidrule(lr){{{3 + 2 * k}-{4 + 2 * k}}}" for k in range(len(MEASURES)))
    models = " & ".join([*MODELS.values()] * len(MEASURES))
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{Test accuracy of small networks on {' and '.join(NAMES[name] for name in data.data)}, not on the data of "
        rf"the DEQ paper; mean and standard deviation over {_seeds(data)} seeds, bold: better beyond the spread. "
        rf"{note.replace('%', chr(92) + '%')}}}",
        rf"\begin{{tabular}}{{ll{'rr' * len(MEASURES)}}}",
        r"\toprule",
        rf" & & {heads} \\",
        rules,
        rf"$(K_A, K_B)$ & $R$ & {models} \\",
    ]
    columns = 2 + 2 * len(MEASURES)
    before = None
    for cell in data.cells():
        row, group, place = cell
        if before is None or before[0] != row:
            title = rf"\multicolumn{{{columns}}}{{l}}{{\emph{{{NAMES[data.data[row]]}}}}}"
            lines += [r"\midrule", rf"{title} \\"]
        elif before[1] != group:
            lines.append(r"\addlinespace")
        first = rf"$({data.classes[group][0]}, {data.classes[group][1]})$" if place == 0 else ""
        entries = [entry for measure in MEASURES for entry in _entries(data, measure, cell)]
        lines.append(rf"{first} & {data.ratio[place]:g} & {' & '.join(entries)} \\")
        before = cell
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _entries(data: Accuracies, measure: str, cell: tuple[int, int, int]) -> list[str]:
    """Both models' entries of one setting."""
    verdict = data.paired(measure, cell).verdict(1)
    found = []
    for model, name in MODELS.items():
        values = 100.0 * data.values[measure][model][cell]
        mean = f"{values.mean():.1f}"
        mean = rf"\mathbf{{{mean}}}" if verdict == name else mean
        found.append(rf"${mean} \pm {values.std(ddof=1):.1f}$")
    return found
