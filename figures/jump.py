"""How the minority collapses: continuously, or by a jump."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.analysis.thresholds.family import Family
from ufm.analysis.thresholds.jump import Tracker
from ufm.plot import COLORS, COLUMN, panels
from ufm.problem.heads import Head

DECAY, COUNT, MAJORITY, MINORITY = 2.5e-3, 100, 5, 5
HEADS: dict[str, tuple[Head, str, str]] = {
    "explicit": (ufm.Explicit(), "explicit", "explicit"),
    "decayed": (ufm.DecayedDEQ(0.05, 0.5), r"DEQ, decay 0.05 on $A$, $\|A\|_2 \leq 0.5$", "deq"),
}
"""Head, label, and kind of colour."""
LAST = 13.0
"""Largest ratio, beyond both thresholds."""
NOISE = 1e-12
"""Differences of objectives (nats) that count as none."""


class Branch(NamedTuple):
    """One head.

    ratio, contrast : (n,) float64, minority contrast (nats) of the best solution found at each R
    threshold, lower, upper : float, from `ufm.threshold`
    kind : str, "continuous" or "jump"
    """

    ratio: Floats
    contrast: Floats
    threshold: float
    lower: float
    upper: float
    kind: str


class Jump(Plot):
    """Largest difference of logits between two minority classes at the optimum against R: ten classes, five of them majority,
    100 samples per minority class, decay 0.0025 on weights and features. Explicit head: the optimum of a convex program.
    DEQ with decay on its map: best found, for the program is not convex. Dotted: the threshold of each; before its own, the
    DEQ passes through states that treat its minority classes differently, such as pairs.
    """

    name = "jump"
    title = "collapse of the explicit head is continuous, that of an equilibrium with decay is a jump"

    def data(self, *, quick: bool, report: Report) -> dict[str, Branch]:
        regularizer = ufm.WeightDecay(DECAY, DECAY)
        found = {}
        for name, (head, _, _) in HEADS.items():
            report(f"threshold of the head {head}")
            limit = ufm.threshold(classes=(MAJORITY, MINORITY), minority_count=COUNT, regularizer=regularizer, head=head)
            steps = 3 if quick else 27
            ratio = np.sort(np.append(np.linspace(1.0, LAST, steps), limit.value * np.array([0.97, 0.995, 1.005])))
            tracker = Tracker(Family(MAJORITY, MINORITY, COUNT, regularizer, head), 0)
            best = np.full(len(ratio), np.inf)
            contrast = np.zeros(len(ratio))
            # Solutions of neighbouring ratios are among the starts, so that both directions matter.
            for place in (*range(len(ratio)), *reversed(range(len(ratio)))):
                report(f"{head} at R = {ratio[place]:.3g}")
                excess, apart = _best(tracker, float(ratio[place]))
                if excess < best[place] - NOISE:
                    best[place], contrast[place] = excess, apart if excess < 0.0 else 0.0
            found[name] = Branch(ratio, contrast, limit.value, limit.lower, limit.upper, limit.transition)
        return found

    def draw(self, data: dict[str, Branch]) -> Figure:
        fig, axes = panels(1, 1, width=COLUMN, height=2.6)
        axis = axes[0, 0]
        for name, branch in data.items():
            _, label, kind = HEADS[name]
            axis.axvline(branch.threshold, color=COLORS[kind], linestyle=":", linewidth=0.9)
            line = "-" if branch.kind == "continuous" else "none"
            axis.plot(
                branch.ratio, branch.contrast, ".", linestyle=line, color=COLORS[kind], markersize=4, linewidth=0.6, label=label
            )
        axis.set_ylim(-0.2, None)
        axis.set_xlim(0.7, LAST + 0.3)
        axis.set_xlabel("imbalance ratio $R$")
        axis.set_ylabel("minority contrast (nats)")
        fig.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return fig


def _best(tracker: Tracker, ratio: float) -> tuple[float, float]:
    """Value of the best solution in which minority classes differ less that of the best collapsed one, and its contrast."""
    family = tracker.family
    excess = tracker.excess(ratio, True)
    if not tracker.pools["separated"]:
        return np.inf, 0.0
    program = family.program(ratio).split()
    logits = program.spread(tracker.pools["separated"][0])
    inner = logits[family.majority : -1, family.majority :]
    return excess, float(np.ptp(inner, axis=0).max())
