"""The idea in one picture: how the optimum changes as some classes become rare."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.plot import COLORS, PAGE

DECAY = ufm.WeightDecay(2.5e-3, 2.5e-3)
HEADS = {"explicit": ("one linear\nlayer", COLORS["explicit"]), "deq:rho=0.3": ("linear DEQ,\n$\\rho = 0.3$", COLORS["deq"])}
"""Head: its label and its colour."""
SHOWN = (1, 4, 8)
"""Imbalance ratios whose classifiers are shown; the collapse of the explicit head begins at 7."""


class Idea(NamedTuple):
    """What is drawn.

    cosines : head -> (2, n) float64, ratios and mean cosines between minority classifiers of certified optima
    thresholds : head -> float, ratio from which the minority classes share one classifier
    grams : ratio -> (10, 10) float64, cosines between the classifiers of the explicit head
    """

    cosines: dict[str, Floats]
    thresholds: dict[str, float]
    grams: dict[int, Floats]


def optimum(ratio: float, head: str) -> ufm.Solution:
    """The certified optimum for five classes of about 100 ratio samples and five of 100."""
    sizes = [round(100 * ratio)] * 5 + [100] * 5
    return ufm.solve(ufm.Problem(sizes, regularizer=DECAY, head=head))


class OneIdea(Plot):
    """Ten classes, five of them with R times as many samples as the other five (100 each), decay 0.0025 on classifier and
    features. Left: cosines between the ten classifiers of the certified optimum, majority classes first. Right: mean cosine
    between minority classifiers against R; dashed: the exact ratio from which they are one and the same.
    """

    name = "idea"
    title = "the idea: classifiers of the certified optimum as five of ten classes become rare"

    def data(self, *, quick: bool, report: Report) -> Idea:
        ratios = np.linspace(1.0, 12.0, 12 if quick else 111)
        cosines, thresholds = {}, {}
        for head in HEADS:
            report(head)
            cosines[head] = np.array([ratios, [ufm.geometry(optimum(ratio, head))["cos_minority"] for ratio in ratios]])
            found = ufm.threshold(classes=(5, 5), regularizer=DECAY, minority_count=100, head=head)
            thresholds[head] = float(found)
        grams = {}
        for ratio in SHOWN:
            weight = optimum(ratio, "explicit").parameters.weight
            unit = weight / np.linalg.norm(weight, axis=1, keepdims=True)
            grams[ratio] = unit @ unit.T
        return Idea(cosines, thresholds, grams)

    def draw(self, data: Idea) -> Figure:
        drawn = Figure(figsize=(PAGE, 1.75), layout="constrained")
        axes = drawn.subplots(1, 4, width_ratios=(1, 1, 1, 2.1))
        image = None
        for axis, (ratio, gram) in zip(axes, data.grams.items(), strict=False):
            image = axis.imshow(gram, cmap="RdBu_r", vmin=-1, vmax=1)
            axis.set_title(f"$R = {ratio}$")
            axis.set_xticks([2, 7], ["majority", "minority"])
            axis.set_yticks([])
            axis.tick_params(length=0)
            axis.axhline(4.5, color="black", linewidth=0.4)
            axis.axvline(4.5, color="black", linewidth=0.4)
        axes[0].set_ylabel("classifiers")
        assert image is not None
        drawn.colorbar(image, ax=axes[2], label="cosine", ticks=(-1, 0, 1), shrink=0.9)
        curve = axes[3]
        for head, (label, color) in HEADS.items():
            curve.plot(*data.cosines[head], color=color)
            curve.axvline(data.thresholds[head], color=color, linestyle="--", linewidth=0.7)
            curve.annotate(label, (data.thresholds[head] - 0.6, 0.72), color=color, fontsize=6, ha="right", va="center")
        curve.set_ylim(-0.15, 1.05)
        curve.set_xlim(1, 12.2)
        curve.set_xlabel("imbalance ratio $R$")
        curve.set_ylabel("cosine between\nminority classifiers")
        return drawn
