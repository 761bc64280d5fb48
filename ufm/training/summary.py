"""The summary of a comparison: means and spreads over seeds, paired differences, and sentences derived from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.training.comparison import Comparison
from ufm.training.saved_run import finished
from ufm.training.settings import Settings

SHOWN = {
    "accuracy": "acc", "majority": "maj", "minority": "min", "nc1": "NC1", "nc2": "NC2", "nc3": "NC3",
    "cos_minority": "cos min W", "cos_minority_means": "cos min H", "to_theory_weight": "to theory W",
    "to_theory_means": "to theory H", "gap": "gap",
}  # fmt: skip
"""Results in the table, with the headings of their columns."""
BETTER = {"accuracy": 1, "minority": 1, "nc1": -1, "nc3": -1, "to_theory_weight": -1, "gap": -1}
"""Results that are compared in pairs; 1 where larger is better, -1 where smaller is better."""
WORDS = {
    "accuracy": "test accuracy (all classes)", "minority": "test accuracy on minority classes", "nc1": "NC1 (less variability)",
    "nc3": "NC3 (W H closer to the simplex)", "to_theory_weight": "distance of the classifier to the certified optimum's",
    "gap": "training objective above the certified bound",
}  # fmt: skip


@dataclass(frozen=True)
class Paired:
    """Statistics of the difference DEQ minus explicit over seeds.

    Attributes
    ----------
    mean : float, of the differences
    lower, upper : float, ends of the 95 % interval of Student's t for the mean
    pairs : int, number of seeds with both values
    wins : int, number of pairs in which the DEQ was better
    """

    mean: float
    lower: float
    upper: float
    pairs: int
    wins: int

    def verdict(self, sign: int) -> str:
        """Which is better, "DEQ" or "explicit"; "undecided" where the interval contains zero.

        Parameters
        ----------
        sign : int, 1 where larger is better, -1 where smaller is better
        """
        if self.lower > 0:
            return "DEQ" if sign > 0 else "explicit"
        if self.upper < 0:
            return "explicit" if sign > 0 else "DEQ"
        return "undecided"


@dataclass(frozen=True, eq=False)
class Cell:
    """The runs of one setting of data and class sizes.

    Attributes
    ----------
    name : str, of the setting
    data : str, "mixture" or "digits"
    counts : str, class sizes
    prediction : dict, of the unconstrained-feature optimum, see `ufm.training.run`; empty without one
    results : dict, for "deq" and "explicit" a dict of arrays, (seeds,) float64, by name of the result; NaN where undefined
    controls : dict of arrays, (seeds,) float64, by name of the control; of the DEQ
    """

    name: str
    data: str
    counts: str
    prediction: dict[str, Any]
    results: dict[str, dict[str, Floats]]
    controls: dict[str, Floats]

    def paired(self, result: str) -> Paired:
        """The paired comparison of the result of this name."""
        a, b = self.results["deq"][result], self.results["explicit"][result]
        both = np.isfinite(a) & np.isfinite(b)
        return paired(a[both] - b[both], BETTER.get(result, 1))


def paired(difference: Floats, sign: int) -> Paired:
    """Mean and 95 % interval of paired differences, (pairs,) float64; without two pairs the interval is the whole line.

    ``sign`` is 1 where a positive difference is better, -1 where a negative one is.

    >>> paired(np.array([1.0, 1.0, 1.0]), 1).verdict(1)
    'DEQ'
    """
    from scipy.stats import t

    count, wins = len(difference), int(np.count_nonzero(sign * difference > 0))
    mean = float(difference.mean()) if count else float("nan")
    if count < 2:
        return Paired(mean, -np.inf, np.inf, count, wins)
    half = float(t.ppf(0.975, count - 1)) * float(difference.std(ddof=1)) / np.sqrt(count)
    return Paired(mean, mean - half, mean + half, count, wins)


def summarise(comparison: Comparison, folder: Path) -> list[Cell]:
    """Read the finished runs of a comparison; damaged files and those of other runs count as missing.

    Parameters
    ----------
    comparison : Comparison
    folder : Path, where its runs are

    Returns
    -------
    list of Cell
        One for each setting with a finished run.

    Raises
    ------
    InputError
        There is no finished run.
    """
    cells: dict[str, dict[str, dict[int, dict[str, Any]]]] = {}
    settings: dict[str, Settings] = {}
    for s in comparison.settings():
        try:
            read = finished(folder / str(s), s.describe())
        except InputError:
            read = None  # a damaged file counts as a missing run
        name = f"{s.data} {'long tail' if s.tail else f'{s.classes[0]}+{s.classes[1]}'} R={s.ratio:g}"
        settings.setdefault(name, s)
        if read is not None:
            cells.setdefault(name, {"deq": {}, "explicit": {}})[s.model][s.random_state] = read[1]
    if not cells:
        raise InputError(f"{str(folder)!r} has no finished run of this comparison; run it first")
    found = []
    for name, models in cells.items():
        seeds = range(comparison.seeds)
        results = {m: {r: _column(runs, seeds, "results", r) for r in (*SHOWN, "objective")} for m, runs in models.items()}
        some = next(iter({**models["explicit"], **models["deq"]}.values()))
        names = next((d["controls"] for d in models["deq"].values()), {})
        controls = {c: _column(models["deq"], seeds, "controls", c) for c in names}
        found.append(Cell(name, settings[name].data, some["counts"], some.get("prediction", {}), results, controls))
    return found


def _column(runs: dict[int, dict[str, Any]], seeds: range, part: str, name: str) -> Floats:
    values = [runs[seed][part].get(name) if seed in runs else None for seed in seeds]
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def statements(cells: list[Cell]) -> list[str]:
    """Sentences that state the outcome: verdicts of the paired comparisons, and cosines where theory predicts collapse."""
    found = []
    for data in dict.fromkeys(cell.data for cell in cells):
        mine = [cell for cell in cells if cell.data == data]
        for result, sign in BETTER.items():
            verdicts = [cell.paired(result).verdict(sign) for cell in mine]
            counts = {v: verdicts.count(v) for v in ("DEQ", "explicit", "undecided")}
            found.append(
                f"{data}, {WORDS[result]}: the DEQ is better in {counts['DEQ']} of {len(mine)} settings, the explicit network "
                f"in {counts['explicit']}, undecided in {counts['undecided']}."
            )
        for verdict, phrase in (("yes", "has"), ("no", "has not")):
            there = [c for c in mine if c.prediction.get("collapsed") == verdict]
            if there:
                ranges = ", ".join(f"{m} {_range([c.results[m]['cos_minority'] for c in there])}" for m in ("deq", "explicit"))
                found.append(
                    f"{data}, mean cosine between trained minority classifiers where the minority of the certified optimum "
                    f"{phrase} collapsed ({len(there)} settings): {ranges}."
                )
    return found


def _range(columns: list[Floats]) -> str:
    """Smallest and largest mean over seeds, as text."""
    means = [float(c[np.isfinite(c)].mean()) for c in columns if np.isfinite(c).any()]
    return f"{min(means):.3f} to {max(means):.3f}" if means else "undefined"


def missing(cells: list[Cell], comparison: Comparison) -> int:
    """Number of runs of the comparison that are not in the summary."""
    there = sum(int(np.isfinite(v["objective"]).sum()) for cell in cells for v in cell.results.values())
    return len(comparison.settings()) - there


def markdown(cells: list[Cell], comparison: Comparison, versions: dict[str, str]) -> str:
    """The summary of a comparison as Markdown.

    Parameters
    ----------
    cells : list of Cell, from `summarise`
    comparison : Comparison
    versions : dict of str, versions of the software by name

    Returns
    -------
    str
    """
    lines = ["# DEQ against explicit network", ""]
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    lines += [
        f"Data: {', '.join(comparison.data)} (mixture is synthetic, digits are real). Map: {comparison.map}. "
        f"Seeds 0 to {comparison.seeds - 1}, {comparison.settings()[0].epochs} epochs. {told}.",
        "",
        "Written by `ufm compare`; both models of a pair share data, encoder, initial classifier, number of parameters, "
        "optimizer and order of samples. Values: mean ± standard deviation over seeds, measured at the last epoch; accuracies "
        "on balanced test samples, all else on training samples. *gap* is the training objective above the certified lower "
        "bound of the unconstrained-feature model with the same class sizes and decay; *to theory* are distances of normalised "
        "Gram matrices to that optimum's (0 to 2); *cos min* is the mean cosine between minority classifiers (W) or class "
        "means (H).",
        "",
    ]
    if comparison.quick:
        lines += ["**A quick run: small classes and few epochs. It shows that everything runs and says nothing else.**", ""]
    absent = missing(cells, comparison)
    if absent:
        lines += [f"**{absent} runs are missing (failed, damaged or not yet run).**", ""]
    lines += ["## What the data support", ""]
    lines += [f"- {line}" for line in statements(cells)]
    lines += [
        "",
        '"Better" means that the 95 % interval of the paired difference (Student\'s t over seeds) excludes zero; with this '
        "many settings about one in twenty would by chance. No correction is made.",
        "",
        "## Mean and spread",
        "",
        "| setting | sizes | theory: collapsed, cos min | model | " + " | ".join(SHOWN.values()) + " |",
        "|---|---|---|---|" + "---|" * len(SHOWN),
    ]
    for cell in cells:
        theory = cell.prediction
        cosine = (theory.get("metrics") or {}).get("cos_minority")
        said = f"{theory.get('collapsed', 'unknown')}, " + ("undefined" if cosine is None else f"{cosine:.3f}")
        for model, results in cell.results.items():
            values = " | ".join(_spread(results[r]) for r in SHOWN)
            lines.append(f"| {cell.name} | {cell.counts} | {said} | {model} | {values} |")
    lines += ["", "## DEQ minus explicit, in pairs", "", "Mean [95 % interval], wins of the DEQ.", ""]
    lines += ["| setting | " + " | ".join(BETTER) + " |", "|---|" + "---|" * len(BETTER)]
    for cell in cells:
        values = " | ".join(_difference(cell.paired(r)) for r in BETTER)
        lines.append(f"| {cell.name} | {values} |")
    lines += ["", "## Controls of the equilibria", "", _controls_note(), ""]
    names = list(next((c.controls for c in cells if c.controls), {}))
    lines += ["| setting | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    lines += [f"| {c.name} | " + " | ".join(_spread(c.controls[n]) for n in names) + " |" for c in cells if c.controls]
    return "\n".join(lines) + "\n"


def _controls_note() -> str:
    return (
        "*error*: certified bound on the distance of test features to their equilibria; *distinct*: fixed points found from "
        "random starts; *moved*: share of the equilibrium that one application of the layer does not give; *one step*, "
        "*encoder*: accuracy when the equilibrium is bypassed, same classifier."
    )


def _spread(values: Floats) -> str:
    values = values[np.isfinite(values)]
    if not len(values):
        return "-"
    return f"{values.mean():.3g}" + (f" ± {values.std(ddof=1):.1g}" if len(values) > 1 else "")


def _difference(pair: Paired) -> str:
    return f"{pair.mean:+.3g} [{pair.lower:+.2g}, {pair.upper:+.2g}], {pair.wins}/{pair.pairs}"
