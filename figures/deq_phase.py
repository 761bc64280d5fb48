"""Where minority classes collapse in a linear DEQ."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from figures.sweeps import Phase, draw_phase, phase_data
from ufm.sweep import Spec


class EquilibriumPhase(Plot):
    """Mean cosine between minority classifiers of the certified optimum of a linear DEQ in R and rho (``||A||_2 <= rho``),
    E_W = 1, E_H = 5; rho = 0 is the explicit network. Dashed: the exact threshold ``R0(c / (1 - rho))``.
    """

    name = "deq_phase"
    title = "phase diagram of the linear DEQ in R and rho, with the exact boundary"

    def data(self, *, quick: bool, report: Report) -> Phase:
        spec = Spec.load("deq")
        rho = np.linspace(0.0, 0.6, 60)
        budget = ufm.NormBudget(1.0, 5.0)
        limits = [ufm.threshold(classes=(5, 5), regularizer=budget, head=ufm.LinearDEQ(float(r))).value for r in rho]
        return phase_data(self, spec.thinned(30) if quick else spec, report, (np.array(limits), rho))

    def draw(self, data: Phase) -> Figure:
        return draw_phase(data, ylabel=r"$\rho$, bound on $\|A\|_2$", log=False, label=r"exact threshold $R_0(c/(1-\rho))$")
