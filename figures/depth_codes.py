"""The simplex ETF against the pair code over depth and number of classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.plot import COLUMN, panels
from ufm.solvers.nonconvex.codes import best_scale, blocks

DEPTHS = (1, 2, 3, 4, 5, 6)
COLORS_OF_CLASSES = {4: "#0072B2", 6: "#D55E00", 10: "#009E73"}
MARKERS = ("o", "s", "^")
SIZE = 5


class Depths(NamedTuple):
    """Numbers of classes and, in their order, what belongs to each.

    classes : list of int, K; least : list of int, the depth from which pairs win at small decay, by `ufm.pair_depth`
    depth : (n,) float64, a fine grid of numbers of layers L; limit : (classes, n), ratio of the codes' costs as decay vanishes
    decay : (m,) float64; ratio : (classes, m, depths), objective of the pair code over that of the ETF, both at best scale
    """

    classes: list[int]
    least: list[int]
    depth: Floats
    limit: Floats
    decay: Floats
    ratio: Floats


class DepthCodes(Plot):
    """Objective of the pair code (rank K/2) over that of the simplex ETF, both at their best scale, for balanced classes under
    L linear layers of equal decay. Points: three decays. Lines: the limit as the decay vanishes, ``K 2^(2/(L+1)) / (2 (K -
    1))``, which is approached logarithmically. Below one the simplex ETF is not optimal; whether pairs are is another
    question: codes of other ranks can be better still.
    """

    name = "depth_codes"
    title = "simplex ETF against the pair code over depth and number of classes"

    def data(self, *, quick: bool, report: Report) -> Depths:
        classes = list(COLORS_OF_CLASSES)
        decay = np.array([2.0**-8, 2.0**-16, 2.0**-32])
        depth = np.linspace(DEPTHS[0], DEPTHS[-1], 60 if quick else 300)
        limit = np.array([k * 2.0 ** (2.0 / (depth + 1.0)) / (2.0 * (k - 1.0)) for k in classes])
        ratio = np.array([[[_ratio(k, layers, float(d)) for layers in DEPTHS] for d in decay] for k in classes])
        least = [ufm.pair_depth(k) for k in classes]
        return Depths(classes, [value for value in least if value is not None], depth, limit, decay, ratio)

    def draw(self, data: Depths) -> Figure:
        fig, axes = panels(1, 1, width=COLUMN, height=2.8)
        axis = axes[0, 0]
        for k, limit, rows in zip(data.classes, data.limit, data.ratio, strict=True):
            color = COLORS_OF_CLASSES[k]
            axis.plot(data.depth, limit, color=color, label=f"$K = {k}$")
            for row, marker, fill in zip(rows, MARKERS, ("white", "white", color), strict=True):
                axis.plot(DEPTHS, row, marker, color=color, markerfacecolor=fill, markersize=3.5, markeredgewidth=0.7)
        for decay, marker, fill in zip(data.decay, MARKERS, ("white", "white", "0.4"), strict=True):
            label = rf"$\lambda = 2^{{{np.log2(decay):.0f}}}$"
            axis.plot([], [], marker, color="0.4", markerfacecolor=fill, markersize=3.5, label=label)
        axis.axhline(1.0, color="black", linewidth=0.8, linestyle=(0, (4, 2)), label="equal")
        axis.set_xlabel("number of linear layers $L$")
        axis.set_ylabel("objective, pairs / simplex ETF")
        fig.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return fig


def _ratio(classes: int, layers: int, decay: float) -> float:
    """Objective of the pair code over that of the ETF."""
    head = ufm.Explicit(layers)
    problem = ufm.Problem(ufm.balanced(classes, SIZE), regularizer=ufm.WeightDecay(decay, decay), head=head)
    program = problem.program().split()
    pair, etf = (best_scale(program, blocks(classes, size))[0] for size in (2, classes))
    return pair / etf
