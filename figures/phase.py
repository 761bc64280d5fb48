"""Where minority classes collapse under norm budgets."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from figures.registry import Plot, Report
from figures.sweeps import Phase, draw_phase, phase_data
from ufm.analysis.thresholds.budget import critical_budget
from ufm.sweep import Spec


class BudgetPhase(Plot):
    """Mean cosine between minority classifiers of the certified optimum in R and ``c = sqrt(E_W E_H)``, ten classes, five of
    them majority; every point with a certified gap below 1e-9. Dashed: the exact threshold, below which the minority classes
    share one classifier. Grey: minority classifiers are zero.
    """

    name = "phase"
    title = "phase diagram of minority collapse in R and c, with the exact boundary"

    def data(self, *, quick: bool, report: Report) -> Phase:
        spec = Spec.load("phase")
        ratio = np.geomspace(1.0 + 1e-6, 1e4, 300)
        boundary = ratio, np.array([critical_budget(5, 5, float(r)) / 10.0 for r in ratio])
        return phase_data(self, spec.thinned(30) if quick else spec, report, boundary)

    def draw(self, data: Phase) -> Figure:
        return draw_phase(data, ylabel=r"$c = \sqrt{E_W E_H}$", log=False, label="exact threshold")
