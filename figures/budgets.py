"""Minority collapse against the imbalance ratio, several budgets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from figures.sweeps import swept
from ufm._arrays import Floats
from ufm.plot import COLUMN, panels
from ufm.solvers.convex.step_imbalance import solve_steps
from ufm.sweep import Spec


class Curve(NamedTuple):
    """One budget E_H: ratios and certified cosines of the sweep, a fine curve, and the exact threshold."""

    budget: float
    ratio: Floats
    cosine: Floats
    fine: tuple[Floats, Floats]
    threshold: float


class Budgets(Plot):
    """Mean cosine between minority classifiers of the certified optimum against R, for budgets E_W = 1 and several E_H, ten
    classes, five of them majority (E_H = 5 is the setting of Fang et al. 2021, figure 3). Points: the ready sweep, each with
    a certified gap below 1e-9. Triangles: the exact ratio from which the minority classes share one classifier.
    """

    name = "budgets"
    title = "minority cosine against R for several budgets, with exact thresholds"

    def data(self, *, quick: bool, report: Report) -> list[Curve]:
        spec = Spec.load("budgets")
        spec = spec.thinned(9) if quick else spec
        found = swept(self, spec, report, "ratio", "cos_minority")
        budgets = [value[0] for value in spec.grid.axes[0].values]
        curves = []
        for number, pair in enumerate(budgets):
            assert isinstance(pair, list)
            per = len(spec.grid.axes[1])
            rows = slice(number * per, (number + 1) * per)
            limit = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(*pair)).value
            fine = np.geomspace(1.0, 1e4, 60 if quick else 400)
            radius = 10.0 * (pair[0] * pair[1]) ** 0.5
            solved = solve_steps(majority=5, minority=5, n_majority=fine, n_minority=1.0, radius=radius)
            curves.append(Curve(pair[1], found["ratio"][rows], found["cos_minority"][rows], (fine, solved.cos_minority), limit))
        return curves

    def draw(self, data: list[Curve]) -> Figure:
        from matplotlib import colormaps

        fig, axes = panels(1, 1, width=COLUMN, height=2.4)
        axis = axes[0, 0]
        colors = colormaps["viridis"](np.linspace(0.0, 0.85, len(data)))
        for curve, color in zip(data, colors, strict=True):
            axis.plot(*curve.fine, color=color, linewidth=0.9, label=f"{curve.budget:g}")
            axis.plot(curve.ratio, curve.cosine, ".", color=color, markersize=3)
            axis.plot([curve.threshold], [1.04], "v", color=color, markersize=4, clip_on=False)
        axis.set_xscale("log")
        axis.set_xlim(1.0, 1e4)
        axis.set_ylim(-0.15, 1.04)
        axis.set_xlabel("imbalance ratio $R$")
        axis.set_ylabel("mean cosine of minority classifiers")
        axis.plot([], [], "v", color="0.4", markersize=4, label="exact $R_0$")
        axis.legend(title="$E_H$", loc="lower right")
        return fig
