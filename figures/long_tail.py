"""Long-tailed class sizes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from figures.sweeps import swept
from ufm._arrays import Floats
from ufm.plot import COLORS, COLUMN, panels
from ufm.sweep import Spec


class Tail(NamedTuple):
    """Ratios, decay -> norm ratio of the certified optimum, and the SELI limit."""

    ratio: Floats
    found: dict[float, Floats]
    limit: Floats


class LongTail(Plot):
    """Ratio of the largest to the smallest class's classifier norm at the certified optimum, ten classes with sizes falling
    geometrically from 10000 to 10000 / R, for three decays ``lambda_W = lambda_H``. Dashed: the SELI geometry, their limit as
    the decay goes to zero.
    """

    name = "long_tail"
    title = "long-tailed classes: norm ratio of classifiers against R, and the SELI limit"

    def data(self, *, quick: bool, report: Report) -> Tail:
        spec = Spec.load("long_tail")
        spec = spec.thinned(7) if quick else spec
        found = swept(self, spec, report, "norm_ratio")
        decays = [float(v[0]) for v in spec.grid.axes[0].values]  # type: ignore[arg-type]
        ratio = np.array([float(v[0]) for v in spec.grid.axes[1].values])  # type: ignore[arg-type]
        table = found["norm_ratio"].reshape(len(decays), len(ratio))
        limit = []
        for r in ratio:
            gram = ufm.seli(ufm.long_tailed(10, largest=10_000, ratio=float(r)))[0]
            limit.append(np.sqrt(gram[0, 0] / gram[-1, -1]))
        return Tail(ratio, dict(zip(decays, table, strict=True)), np.array(limit))

    def draw(self, data: Tail) -> Figure:
        fig, axes = panels(1, 1, width=COLUMN, height=2.6)
        axis = axes[0, 0]
        for (decay, values), kind in zip(data.found.items(), ("deq", "explicit", "third"), strict=False):
            axis.plot(
                data.ratio, values, ".-", color=COLORS[kind], markersize=3, label=rf"$\lambda = 10^{{{np.log10(decay):.0f}}}$"
            )
        axis.plot(data.ratio, data.limit, color="black", linestyle=(0, (4, 2)), linewidth=0.8, label="SELI")
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("imbalance ratio $R$")
        axis.set_ylabel("norm ratio, largest / smallest class")
        fig.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, handlelength=1.6, columnspacing=1.2)
        return fig
