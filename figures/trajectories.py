"""Gradient trajectories to the certified optimum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.plot import COLORS, COLUMN, letter, panels
from ufm.solvers import Gradient

DECAY = 2.5e-3
SCALES = {1e-1: "explicit", 1e-3: "third", 1e-5: "deq"}
"""Standard deviation of the entries at the start, and kind of colour."""


class Trajectory(NamedTuple):
    """One run: standard deviation at the start, and columns over the recorded iterations, each (n,)."""

    scale: float
    iteration: Floats
    above: Floats
    minority: Floats


class Trajectories(NamedTuple):
    """All runs, the objective at zero above the certified lower bound, and the optimum's minority cosine."""

    runs: list[Trajectory]
    saddle: float
    cosine: float


class GradientTrajectories(Plot):
    """Gradient descent with Nesterov's momentum on sample-level weights and features (sizes 5 x 50 and 5 x 10, decay 0.0025)
    from random starts of three scales. (a) Objective above the certified lower bound; dotted: that of the saddle at zero,
    near which small starts stay at first. (b) Mean cosine of minority classifiers; dashed: certified optimum. Several seeds
    each.
    """

    name = "trajectories"
    title = "gradient trajectories leave the saddle at zero and end at the certified optimum"

    def data(self, *, quick: bool, report: Report) -> Trajectories:
        counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=50, n_minority=10)
        problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(DECAY, DECAY))
        optimum = ufm.solve(problem)
        runs = []
        for scale in SCALES:
            for seed in range(1 if quick else 3):
                report(f"start of scale {scale:g}, seed {seed}")
                steps = 3000 if quick else 20_000
                rule = Gradient(scale=scale, random_state=seed, max_iterations=steps, tolerance=1e-12, records=100)
                path = ufm.solve(problem, method=rule).path
                assert path is not None
                above = path.loss - optimum.lower
                runs.append(Trajectory(scale, path.iteration.astype(np.float64), above, path.metrics["cos_minority"]))
        cosine = ufm.geometry(optimum)["cos_minority"]
        assert cosine is not None
        # All logits are zero there, so the loss is log K.
        return Trajectories(runs, float(np.log(counts.classes)) - optimum.lower, cosine)

    def draw(self, data: Trajectories) -> Figure:
        fig, axes = panels(2, 1, width=COLUMN, height=1.9, sharex=True)
        above, cosine = axes[:, 0]
        named = set()
        for run in data.runs:
            color = COLORS[SCALES[run.scale]]
            steps = np.maximum(run.iteration, 1.0)
            label = None if run.scale in named else rf"start $10^{{{np.log10(run.scale):.0f}}}$"
            named.add(run.scale)
            above.plot(steps, np.maximum(run.above, 1e-16), color=color, linewidth=0.8, label=label)
            cosine.plot(steps, run.minority, color=color, linewidth=0.8)
        above.axhline(data.saddle, color="0.4", linestyle=":", linewidth=0.9, label="zero")
        cosine.axhline(data.cosine, color="black", linestyle=(0, (4, 2)), linewidth=0.8)
        above.plot([], [], color="black", linestyle=(0, (4, 2)), linewidth=0.8, label="certified optimum")
        above.set_xscale("log")
        above.set_yscale("log")
        above.set_ylabel("objective $-$ certified bound")
        cosine.set_ylabel("minority cosine")
        cosine.set_xlabel("iteration")
        letter(axes)
        fig.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return fig
