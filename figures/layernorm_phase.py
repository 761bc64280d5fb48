"""Where minority classes collapse if features have a fixed norm, beside decayed features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from figures.sweeps import Phase, phase_data
from ufm.errors import ConvergenceError, InputError
from ufm.plot import PAGE, letter, panels
from ufm.solvers.convex.step_imbalance import solve_steps
from ufm.sweep import Spec

COUNT = 100
"""Samples of a minority class for decayed features; under a fixed norm only the ratio counts."""


class Phases(NamedTuple):
    """Features of a fixed norm, and decayed features, on the same grid of R and lambda."""

    fixed: Phase
    decayed: Phase


class LayerNormPhase(Plot):
    """Mean cosine between minority classifiers of the certified optimum in R and the decay lambda, ten classes, five of them
    majority; every point with a certified gap below 1e-9. (a) Features of norm 1 (LayerNorm), decay lambda on the classifier;
    the diagram does not depend on the numbers of samples. (b) Free features, decay lambda on classifier and features, 100
    samples per minority class. Dashed: the thresholds, exact in (b) and enclosed by certified solutions to 1e-9 in (a), from
    which on the minority classes share one classifier. Grey: minority classifiers are zero.
    """

    name = "layernorm_phase"
    title = "phase diagram of minority collapse for features of a fixed norm, beside decayed features"

    def data(self, *, quick: bool, report: Report) -> Phases:
        spec = Spec.load("layernorm")
        spec = spec.thinned(12) if quick else spec
        decays = np.geomspace(1e-3, 1e-1, 8 if quick else 40)
        report("thresholds of features of a fixed norm")
        curve = np.array([_fixed(float(decay)) for decay in decays])
        known = np.isfinite(curve)
        fixed = phase_data(self, spec, report, (curve[known], decays[known]))
        solved = [
            solve_steps(majority=5, minority=5, n_majority=COUNT * fixed.x, n_minority=float(COUNT), mu=float(decay))
            for decay in fixed.y
        ]
        worst = max(float(np.nanmax(row.gap)) for row in solved)
        if worst > 1e-9:
            raise ConvergenceError(f"a point of the diagram of decayed features has the certified gap {worst:.1e}")
        fine = np.geomspace(1.0, float(fixed.x[-1]), 200)
        # sqrt(n_B) = N lambda with N = n_B (5 R + 5) (docs/theory, Proposition 7.2).
        boundary = fine, 1.0 / (np.sqrt(COUNT) * (5.0 * fine + 5.0))
        cosines = np.array([row.cos_minority for row in solved])
        return Phases(fixed, Phase(fixed.x, fixed.y, cosines, boundary))

    def draw(self, data: Phases) -> Figure:
        fig, axes = panels(1, 2, width=PAGE, height=2.5, sharey=True)
        mesh = None
        for axis, phase, title in zip(axes[0], data, ("features of norm 1", "decayed features"), strict=True):
            mesh = axis.pcolormesh(
                phase.x, phase.y, phase.cosine, vmin=-0.2, vmax=1.0, cmap="viridis", shading="nearest", rasterized=True
            )
            axis.plot(*phase.boundary, color="white", linewidth=2.0)
            axis.plot(*phase.boundary, color="black", linewidth=1.0, linestyle=(0, (4, 2)), label="threshold")
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.set_xlim(phase.x.min(), phase.x.max())
            axis.set_ylim(phase.y.min(), phase.y.max())
            axis.set_xlabel("imbalance ratio $R$")
            axis.set_title(title)
            axis.set_facecolor("0.85")
        axes[0, 0].set_ylabel(r"decay $\lambda$")
        assert mesh is not None
        fig.colorbar(mesh, ax=axes[0, :].tolist(), label="mean cosine of minority classifiers")
        letter(axes)
        return fig


def _fixed(decay: float) -> float:
    """The threshold for features of norm 1; NaN where there is none above R = 1."""
    try:
        found = ufm.threshold(classes=(5, 5), regularizer=ufm.ClassifierDecay(decay), head="layernorm")
    except InputError:
        return float("nan")
    return found.value
