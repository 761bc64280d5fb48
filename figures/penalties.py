"""What a singular value of the logits costs under every head."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.errors import ConvergenceError
from ufm.plot import COLUMN, letter, panels
from ufm.problem.heads import Head

UNIT = 1.0
"""Decays on W and on the features, so that mu = 1."""
HEADS: tuple[tuple[str, Head, str, str], ...] = (
    ("explicit", ufm.Explicit(), "#000000", "-"),
    ("two layers", ufm.Explicit(2), "#0072B2", "-"),
    ("three layers", ufm.Explicit(3), "#56B4E9", "-"),
    (r"DEQ, $\|A\|_2 \leq 0.5$", ufm.LinearDEQ(0.5), "#D55E00", "-"),
    (r"DEQ, $\|A\|_F^2 \leq 0.25$", ufm.FrobeniusDEQ(0.25), "#CC79A7", "--"),
    (r"DEQ, decay 2 on $A$, $\|A\|_2 \leq 0.5$", ufm.DecayedDEQ(2.0, 0.5), "#009E73", "-"),
)
"""Label, head, colour and line of each curve."""


class Curve(NamedTuple):
    """One head: its cost at equal singular values, and what parameters cost that have these logits.

    alone : (n,) float64, cost of one singular value s
    equal : (n,) float64, cost of s in five equal parts
    built, parts : (m,) float64, decay terms of parameters with these logits
    """

    alone: Floats
    equal: Floats
    built: Floats
    parts: Floats


class Penalties(NamedTuple):
    """Nuclear norms of the curves and of the points, and the curves in the order of `HEADS`."""

    total: Floats
    points: Floats
    curves: list[Curve]


class PenaltyOfHeads(Plot):
    """Least cost of logits under decays of 1 against their nuclear norm, for several heads: (a) one singular value, (b) five
    equal ones. Lines: the penalty. Points: the decay terms of parameters W, A and H that have these logits. A head whose
    cost is lower in (a) than in (b) favours logits of low rank; the explicit head and the DEQ with a bound on the spectral
    norm do not distinguish them.
    """

    name = "penalties"
    title = "the price of singular values under every head"

    def data(self, *, quick: bool, report: Report) -> Penalties:
        total = np.linspace(0.0, 8.0, 41 if quick else 401)
        points = np.linspace(1.0, 8.0, 8)
        regularizer = ufm.WeightDecay(UNIT, UNIT)
        curves = []
        for label, head, _, _ in HEADS:
            report(label)
            penalty = head.penalty(regularizer, 5)
            one, five = np.ones(1), np.full(1, 5.0)
            alone = np.array([penalty.value(np.array([s]), one) for s in total])
            equal = np.array([penalty.value(np.array([s / 5.0]), five) for s in total])
            built = np.array([_paid(head, regularizer, np.array([s]), one) for s in points])
            parts = np.array([_paid(head, regularizer, np.array([s / 5.0]), five) for s in points])
            curves.append(Curve(alone, equal, built, parts))
        return Penalties(total, points, curves)

    def draw(self, data: Penalties) -> Figure:
        fig, axes = panels(1, 2, width=COLUMN, height=2.7, sharey=True)
        for axis, place, title in ((axes[0, 0], 0, "one singular value"), (axes[0, 1], 1, "five equal ones")):
            for curve, (label, _, color, line) in zip(data.curves, HEADS, strict=True):
                axis.plot(data.total, curve[place], color=color, linestyle=line, label=label)
                axis.plot(data.points, curve[place + 2], ".", color=color, markersize=3.5)
            axis.set_xlim(0.0, 8.0)
            axis.set_ylim(0.0, 13.0)
            axis.set_xlabel("nuclear norm")
            axis.set_title(title)
        axes[0, 0].set_ylabel("least cost")
        letter(axes)
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, columnspacing=1.0)
        return fig


def _paid(head: Head, regularizer: ufm.WeightDecay, singular: Floats, copies: Floats) -> float:
    """Half the squared norms of the parameters that the head gives these singular values of the logits."""
    parts = head.directions(singular, copies, regularizer)
    if not np.allclose(parts.weight * parts.outputs, singular, rtol=1e-12):
        raise ConvergenceError(f"parameters of the head {head} do not have the logits {singular}")
    cost = 0.5 * float(copies @ (parts.weight**2 + parts.features**2))
    cost += 0.5 * sum(float(copies @ layer**2) for layer in parts.layers)
    return cost if parts.mixing is None else cost + 0.5 * getattr(head, "decay", 0.0) * float(copies @ parts.mixing**2)
