"""The window of decays on the map in which the simplex ETF is not optimal."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.plot import COLORS, COLUMN, letter, panels
from ufm.solvers.nonconvex.codes import best_scale, blocks

SIZE, DECAY, CONTRACTION = 100, 2.5e-3, 0.5


class Window(NamedTuple):
    """Edges of the window by numbers of classes, and values of codes over the decays for the last number.

    classes : (m,) int64, K; edges : (m, 2) float64, smallest and largest decay at which the ETF ties; NaN where it never loses
    decay : (n,) float64, decays on A
    codes : dict of (n,) float64, (value - ETF's value) / ETF's value of each code at its best scale
    found : (p, 2) float64, decays and the same difference for the best solution found
    """

    classes: Floats
    edges: Floats
    decay: Floats
    codes: dict[str, Floats]
    found: Floats


class EtfWindow(Plot):
    """Balanced classes of 100 samples, decay 0.0025 on weights and features, an equilibrium with a decayed map, ``||A||_2 <=
    1/2``. (a) Decays on A between which a better code than the simplex ETF was found, over the number of classes; bars join
    the edges, which are enclosed to a relative 1e-6 and best found, not proved. (b) Objective of codes at their best scale
    relative to that of the ETF for the largest number of classes; points: the best solution found.
    """

    name = "etf_window"
    title = "the window of decays on the map of an equilibrium in which the simplex ETF loses"

    def data(self, *, quick: bool, report: Report) -> Window:
        classes = np.array([6] if quick else [4, 5, 6, 8, 10])
        regularizer = ufm.WeightDecay(DECAY, DECAY)
        edges = np.full((len(classes), 2), np.nan)
        for row, k in enumerate(classes):
            report(f"window of {k} classes")
            found = ufm.etf_window(n_classes=int(k), size=SIZE, regularizer=regularizer, contraction=CONTRACTION)
            if found:
                edges[row] = found[-1].value, found[0].value
        k = int(classes[-1])
        counts = ufm.balanced(k, SIZE)
        decays = np.geomspace(1e-2, 3.0, 24 if quick else 80)
        sizes = {"pairs": 2, "triples": 3} | ({"halves": k // 2} if k > 7 else {})
        codes = {name: np.empty(len(decays)) for name in sizes}
        for place, decay in enumerate(decays):
            program = _problem(counts, regularizer, float(decay)).program().split()
            etf = best_scale(program, blocks(k, k))[0]
            for name in codes:
                codes[name][place] = best_scale(program, blocks(k, sizes[name]))[0] / etf - 1.0
        points = []
        for decay in np.geomspace(1e-2, 3.0, 5 if quick else 13):
            report(f"best solution at the decay {decay:.2g}")
            problem = _problem(counts, regularizer, float(decay))
            etf = best_scale(problem.program().split(), blocks(k, k))[0]
            points.append((decay, ufm.solve(problem).value / etf - 1.0))
        return Window(classes, edges, decays, codes, np.array(points))

    def draw(self, data: Window) -> Figure:
        fig, axes = panels(2, 1, width=COLUMN, height=1.9, sharex=True)
        window, values = axes[:, 0]
        for k, (low, high) in zip(data.classes, data.edges, strict=True):
            window.plot([low, high], [k, k], "o-", color=COLORS["deq"], markersize=3.5, linewidth=2.0)
            if np.isnan(low):
                window.text(np.sqrt(data.decay[0] * data.decay[-1]), k, "none found", ha="center", va="center", fontsize=6)
        window.set_ylabel("number of classes $K$")
        window.set_ylim(min(data.classes) - 1, max(data.classes) + 1)
        window.set_title("where the ETF loses")
        for (name, line), kind in zip(data.codes.items(), ("explicit", "third", "fourth"), strict=False):
            values.plot(data.decay, 100.0 * line, color=COLORS[kind], label=name)
        values.plot(data.found[:, 0], 100.0 * data.found[:, 1], "o", color=COLORS["deq"], markersize=3, label="best found")
        values.axhline(0.0, color="black", linewidth=0.8, linestyle=(0, (4, 2)), label="simplex ETF")
        values.set_xscale("log")
        values.set_xlim(data.decay[0] / 1.1, data.decay[-1] * 1.1)
        values.set_xlabel(r"decay on $A$")
        values.set_ylabel("above the ETF (%)")
        values.set_title(f"codes, $K = {data.classes[-1]}$")
        letter(axes[:, 0])
        fig.legend(*values.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return fig


def _problem(counts: ufm.ClassCounts, regularizer: ufm.WeightDecay, decay: float) -> ufm.Problem:
    """The equilibrium with this decay on its map."""
    return ufm.Problem(counts, regularizer=regularizer, head=ufm.DecayedDEQ(decay, CONTRACTION))
