"""Where minority classes collapse under weight decay."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from figures.registry import Plot, Report
from figures.sweeps import Phase, draw_phase, phase_data
from ufm.sweep import Spec


class DecayPhase(Plot):
    """Mean cosine between minority classifiers of the certified optimum in R and ``lambda_W = lambda_H``, ten classes, five of
    them majority, 100 samples per minority class. Dashed: the exact threshold ``N mu = sqrt(n_B)``. Grey: minority classifiers
    are zero.
    """

    name = "decay_phase"
    title = "phase diagram under weight decay in R and lambda, with the exact boundary"

    def data(self, *, quick: bool, report: Report) -> Phase:
        spec = Spec.load("decay")
        ratio = np.geomspace(1.0, 1e3, 300)
        boundary = ratio, np.sqrt(100.0) / (500.0 * ratio + 500.0)
        return phase_data(self, spec.thinned(30) if quick else spec, report, boundary)

    def draw(self, data: Phase) -> Figure:
        return draw_phase(data, ylabel=r"$\lambda_W = \lambda_H$", log=True, label=r"exact threshold $N\mu = \sqrt{n_B}$")
