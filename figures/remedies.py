"""Which remedy for imbalance moves the threshold of collapse."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from figures.sweeps import swept
from ufm._arrays import Floats
from ufm.errors import ConvergenceError, InputError
from ufm.plot import COLUMN, panels
from ufm.sweep import Spec

REMEDIES = {
    "ce:weights": ("class weights $n^{-a}$, strength $a$", "#0072B2", 1.0),
    "ce:adjustment": (r"logit adjustment, strength $\tau$", "#000000", 1.0),
    "focal:gamma": (r"focal loss, strength $\gamma / 5$", "#009E73", 5.0),
    "ce:smoothing": (r"label smoothing, strength $\varepsilon$", "#E69F00", 1.0),
    "ce:temperatures": ("temperatures $(n / n_{max})^g$, strength $g$", "#D55E00", 1.0),
}
"""Text of the loss up to its number, label, colour, and the number that counts as strength 1."""
ASIDE = 0.02
"""Relative distance of the two ratios at which the solver confirms a threshold."""


class Curve(NamedTuple):
    """One remedy: the exact threshold on a fine grid of strengths, and points of the ready sweep.

    fine : (2, n) float64, strengths and critical ratios
    majority : (n,) bool, where it is the majority that collapses first
    strength, ratio : (m,) float64, the points
    certified : (m,) bool, whether certified optima on both sides confirm the point
    """

    fine: Floats
    majority: np.ndarray
    strength: Floats
    ratio: Floats
    certified: np.ndarray


class Remedies(Plot):
    """Imbalance ratio from which a group of classes shares one classifier against the strength of remedies: ten classes, five
    of them majority, 100 samples per minority class, decay 0.0025 on weights and features. Solid lines: the minority is the
    first to collapse; dotted: the majority is. Full points: certified optima two percent to either side confirm the threshold;
    open points: the loss is not convex, and the solutions on either side are best found.
    """

    name = "remedies"
    title = "critical ratio against the strength of remedies for imbalance"

    def data(self, *, quick: bool, report: Report) -> dict[str, Curve]:
        spec = Spec.load("remedies")
        spec = spec.thinned(12) if quick else spec
        columns = swept(self, spec, report, "ratio", "group")
        losses = [str(step[0]) for step in spec.grid.axes[0].values]
        found = {}
        for kind, (_, _, unit) in REMEDIES.items():
            report(f"thresholds of {kind}")
            rows = [k for k, loss in enumerate(losses) if loss.startswith(kind)]
            strength = np.array([float(losses[k].partition("=")[2]) / unit for k in rows])
            sides = np.array([_confirmed(losses[k], columns["ratio"][k], columns["group"][k]) for k in rows])
            last = max(strength, default=1.0)
            steps = (12, 120) if unit == 1.0 else (4, 40)  # the focal loss takes longer
            fine, majority = _line(kind, unit, last, steps[not quick])
            found[kind] = Curve(fine, majority, strength, np.array([columns["ratio"][k] for k in rows]), sides)
        return found

    def draw(self, data: dict[str, Curve]) -> Figure:
        fig, axes = panels(1, 1, width=COLUMN, height=3.2)
        axis = axes[0, 0]
        for kind, curve in data.items():
            label, color, _ = REMEDIES[kind]
            x, y = curve.fine
            for which, line in ((~curve.majority, "-"), (curve.majority, ":")):
                axis.plot(np.where(which, x, np.nan), np.where(which, y, np.nan), line, color=color, linewidth=1.0)
            for sure, fill in ((curve.certified, color), (~curve.certified, "white")):
                axis.plot(curve.strength[sure], curve.ratio[sure], "o", color=color, markerfacecolor=fill, markersize=3.2)
            axis.plot([], [], "o-", color=color, markersize=3.2, label=label)
        axis.plot([], [], ":", color="0.3", label="the majority collapses first")
        axis.set_yscale("log")
        axis.set_ylim(2.0, 60.0)
        axis.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
        axis.minorticks_off()
        axis.set_xlim(0.0, 1.02)
        axis.set_xlabel("strength of the remedy")
        axis.set_ylabel("critical imbalance ratio $R_0$")
        fig.legend(loc="outside lower center", fontsize=6)
        return fig


def _problem(loss: str, ratio: float) -> ufm.Problem:
    """The setting of the ready sweep at one ratio."""
    counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=round(100 * ratio), n_minority=100)
    return ufm.Problem(counts, regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), loss=loss)


def _confirmed(loss: str, ratio: float, group: str) -> bool:
    """Whether certified optima separate the group below the threshold and collapse it above.

    Raises
    ------
    ConvergenceError
        They contradict it.
    """
    found = []
    for side in (1.0 - ASIDE, 1.0 + ASIDE):
        sides = ufm.collapse(ufm.solve(_problem(loss, side * ratio))).groups
        named = {"majority": sides[0], "minority": sides[-1]}
        found.append([named[name].verdict for name in (("majority", "minority") if group == "both" else (group,))])
    below, above = found
    if "yes" in below or "no" in above:
        raise ConvergenceError(f"the optimum under {loss} contradicts the threshold {ratio:g}: {below} below it, {above} above")
    return "undecided" not in (*below, *above)


def _line(kind: str, unit: float, last: float, steps: int) -> tuple[Floats, np.ndarray]:
    """Thresholds on a fine grid of strengths, and where the majority is the first."""
    strength, ratio, majority = [], [], []
    for s in np.linspace(0.0, last, steps + 1):
        value = float(s) * unit
        loss = "ce" if value < 0.01 else f"{kind}={value:.12g}"
        try:
            found = ufm.threshold(classes=(5, 5), minority_count=100, regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), loss=loss)
        except InputError:
            continue
        strength.append(float(s))
        ratio.append(found.value)
        majority.append(found.group == "majority")
    return np.array([strength, ratio]), np.array(majority)
