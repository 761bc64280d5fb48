"""Gradient descent on free features of a linear DEQ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from proofs_check.sunshi2024_dynamics import DECAY, RHO, Free, problem
from ufm.plot import COLORS, COLUMN, letter, panels
from ufm.solvers import Gradient
from ufm.solvers.solution import Path

CASES = (
    ("below the band", "90*2,10*3", "deq"),
    ("in the band", "180*2,10*3", "explicit"),
    (r"$R \geq R_0$", "274*2,10*3", "third"),
)


class Descent(NamedTuple):
    """One ratio: label, colour, R, the recorded paths of several seeds, the certified optimum and its minority cosine."""

    label: str
    kind: str
    ratio: float
    paths: list[Path]
    optimum: float
    cosine: float


class FreeFeatures(Plot):
    """Projected gradient descent with momentum on W, A (norm at most 0.3) and free features h of a linear DEQ, two majority and
    three minority classes, decay 0.01. (a) Objective above the certified optimum. (b) Mean cosine between minority
    classifiers; dashed, that of the certified optimum. Several random starts each. Below the band and from R0 on the descent
    ends at the optimum; in the band it ends on plateaus above it (theorem D9).
    """

    name = "free_features"
    title = "gradient descent on W, A, h against the certified optimum on either side of R0, and in the band below it"

    def data(self, *, quick: bool, report: Report) -> list[Descent]:
        found = []
        for label, counts, kind in CASES:
            asked = problem(Free(counts, DECAY, None))
            optimum = ufm.solve(asked)
            paths = []
            for seed in range(1 if quick else 3):
                report(f"sizes {counts}, seed {seed}")
                rule = Gradient(rule="heavy-ball", tolerance=1e-10, max_iterations=3000 if quick else 20_000, random_state=seed)
                path = ufm.solve(asked, method=rule).path
                assert path is not None
                paths.append(path)
            cosine = ufm.geometry(optimum)["cos_minority"]
            assert cosine is not None
            found.append(Descent(label, kind, asked.counts.ratio, paths, optimum.certificate.lower, cosine))
        return found

    def draw(self, data: list[Descent]) -> Figure:
        fig, axes = panels(2, 1, width=COLUMN, height=1.9, sharex=True)
        above, cosine = axes[:, 0]
        for case in data:
            color = COLORS[case.kind]
            for number, path in enumerate(case.paths):
                label = f"$R = {case.ratio:.3g}$, {case.label}" if number == 0 else None
                steps = np.maximum(path.iteration, 1)
                above.plot(steps, np.maximum(path.loss - case.optimum, 1e-15), color=color, label=label, linewidth=0.8)
                cosine.plot(steps, path.metrics["cos_minority"], color=color, linewidth=0.8)
            cosine.axhline(case.cosine, color=color, linestyle=(0, (4, 2)), linewidth=0.8)
        above.set_xscale("log")
        above.set_yscale("log")
        above.set_ylabel("objective $-$ optimum")
        cosine.set_ylabel("minority cosine")
        cosine.set_xlabel("iteration")
        above.plot([], [], color="black", linestyle=(0, (4, 2)), linewidth=0.8, label="certified optimum")
        fig.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        above.set_title(rf"linear DEQ, $\|A\|_2 \leq {RHO}$")
        letter(axes)
        return fig
