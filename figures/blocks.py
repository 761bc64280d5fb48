"""The block structure of optima with two class sizes, and their slow approach to the simplex ETF."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.errors import ConvergenceError
from ufm.plot import COLORS, PAGE, letter, panels
from ufm.solvers.convex.step_imbalance import solve_steps

RATIOS = (1, 5, 20)
"""Ratios of the Gram matrices; the last one is beyond the threshold of collapse."""
COUNT, DECAY = 100, 1.25e-3
APPROACH = {4.0: "third", 20.0: "deq", 100.0: "explicit"}


class Blocks(NamedTuple):
    """Gram matrices and the approach.

    grams : (ratios, 10, 10) float64, cosines between classifiers of certified optima
    threshold : float, the exact ratio from which the minority classes share one classifier
    budget : (n,) float64, c = sqrt(E_W E_H); minority : R -> (n,), minority cosine of certified optima under that budget
    points : (m,) float64, budgets; certified : R -> (m,), the same by the general solver
    """

    grams: Floats
    threshold: float
    budget: Floats
    minority: dict[float, Floats]
    points: Floats
    certified: dict[float, Floats]


class BlockStructure(Plot):
    """Ten classes, five of them majority. (a) to (c) Cosines between classifiers of certified optima, 100 samples per minority
    class, decay 0.00125 on weights and features: three values besides the diagonal, one within each group and one across
    (Hong & Ling 2023); in (c) the minority classes share one classifier. (d) Minority cosine under norm budgets against ``c
    = sqrt(E_W E_H)``, by ratio: it approaches that of the simplex ETF (dashed), and the later the larger R is. Lines: the
    program of two groups; points: the general solver.
    """

    name = "blocks"
    title = "block structure of optima with two class sizes, and the slow approach to the simplex ETF"

    def data(self, *, quick: bool, report: Report) -> Blocks:
        decay = ufm.WeightDecay(DECAY, DECAY)
        grams = []
        for ratio in RATIOS:
            report(f"Gram matrix at R = {ratio}")
            weight = _certified(_counts(ratio), decay).parameters.weight
            norms = np.linalg.norm(weight, axis=1)
            grams.append(weight @ weight.T / np.outer(norms, norms))
        limit = ufm.threshold(classes=(5, 5), minority_count=COUNT, regularizer=decay).value
        budget = np.geomspace(2.5, 60.0, 40 if quick else 200)
        points = np.geomspace(3.0, 50.0, 4 if quick else 9)
        minority, certified = {}, {}
        for ratio in APPROACH:
            radius = 10.0 * budget
            solved = [
                solve_steps(majority=5, minority=5, n_majority=np.array([ratio]), n_minority=1.0, radius=float(r))
                for r in radius
            ]
            minority[ratio] = np.array([float(part.cos_minority[0]) for part in solved])
            found = []
            for c in points:
                report(f"budget c = {c:.3g}, R = {ratio:g}")
                value = ufm.geometry(_certified(_counts(ratio), ufm.NormBudget(float(c), float(c))))["cos_minority"]
                found.append(np.nan if value is None else value)
            certified[ratio] = np.array(found)
        return Blocks(np.array(grams), limit, budget, minority, points, certified)

    def draw(self, data: Blocks) -> Figure:
        fig, axes = panels(1, 4, width=PAGE, height=2.1, width_ratios=[1, 1, 1, 1.5])
        image = None
        for axis, gram, ratio in zip(axes[0], data.grams, RATIOS, strict=False):
            image = axis.imshow(gram, vmin=-1.0, vmax=1.0, cmap="RdBu_r")
            axis.set_title(f"$R = {ratio}$")
            axis.set_xticks([2, 7], ["majority", "minority"])
            axis.set_yticks([])
            axis.set_xlabel("classifier of class")
        assert image is not None
        fig.colorbar(image, ax=axes[0, :3].tolist(), label="cosine", location="left", shrink=0.7)
        last = axes[0, 3]
        for ratio, kind in APPROACH.items():
            last.plot(data.budget, data.minority[ratio], color=COLORS[kind], label=f"$R = {ratio:g}$")
            last.plot(data.points, data.certified[ratio], ".", color=COLORS[kind], markersize=4)
        last.axhline(-1.0 / 9.0, color="black", linestyle=(0, (4, 2)), linewidth=0.8, label="simplex ETF")
        last.set_xscale("log")
        last.set_xticks([3, 10, 30], ["3", "10", "30"])
        last.minorticks_off()
        last.set_xlabel(r"$c = \sqrt{E_W E_H}$")
        last.set_ylabel("minority cosine")
        letter(axes)
        fig.legend(*last.get_legend_handles_labels(), loc="outside lower right", ncols=4)
        return fig


def _counts(ratio: float) -> ufm.ClassCounts:
    """Five classes of 100 R samples and five of 100."""
    return ufm.step_imbalanced(majority=5, minority=5, n_majority=round(COUNT * ratio), n_minority=COUNT)


def _certified(counts: ufm.ClassCounts, regularizer: ufm.WeightDecay | ufm.NormBudget) -> ufm.Solution:
    """The optimum by the block program, with a relative gap of at most 1e-6."""
    solution = ufm.solve(ufm.Problem(counts, regularizer=regularizer), method="factored")
    if not solution.relative_gap <= 1e-6:
        raise ConvergenceError(f"the optimum of {solution.title} has the certified relative gap {solution.relative_gap:.1e}")
    return solution
