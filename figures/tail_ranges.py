"""What is predicted for the class sizes of a long-tailed benchmark, by ranges of sizes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.errors import ConvergenceError
from ufm.plot import COLORS, COLUMN, letter, panels
from ufm.targets.size_ranges import DEFAULT, parse_ranges

CLASSES, LARGEST, RATIO = 100, 500, 100.0
"""CIFAR-100-LT of Cao et al. (2019): sizes 500 R^(-k/99) at R = 100."""
DECAYS = {1e-3: "explicit", 4e-4: "third", 5e-6: "deq"}


class Tail(NamedTuple):
    """Sizes, and the predicted geometry at every decay.

    sizes : (100,) int64; norms : decay -> (100,) float64, norms of classifiers over their largest; limit : (100,), of SELI
    names : list of str, ranges of sizes; members : list of int, how many classes each has
    cosine : (decays, ranges) float64, mean cosine within a range (NaN: no pair of nonzero classifiers); seli : (ranges,)
    gap : (decays,), certified relative gaps
    """

    sizes: Floats
    norms: dict[float, Floats]
    limit: Floats
    names: list[str]
    members: list[int]
    cosine: Floats
    seli: Floats
    gap: Floats


class TailRanges(Plot):
    """Certified optimum for the class sizes of CIFAR-100-LT at R = 100, that is ``500 * 100^(-k/99)``, k = 0 to 99 (the
    formula of Cao et al. 2019; no image is used), for three decays on weights and features. (a) Norm of each class's
    classifier over the largest one. (b) Mean cosine between classifiers within the usual ranges of sizes: many (more than
    100 samples), medium, few (fewer than 20). Dashed and crosses: the SELI geometry, the limit as the decay vanishes.
    """

    name = "tail_ranges"
    title = "predicted geometry for the class sizes of CIFAR-100-LT, by ranges of sizes"

    def data(self, *, quick: bool, report: Report) -> Tail:
        counts = ufm.long_tailed(CLASSES, largest=LARGEST, ratio=RATIO)
        sizes = np.array(list(counts))
        ranges = parse_ranges(DEFAULT)
        inside = [
            np.array([chosen.least <= n and (chosen.most is None or n <= chosen.most) for n in sizes]) for chosen in ranges
        ]
        norms, cosine, gaps = {}, [], []
        for decay in DECAYS:
            report(f"certified optimum at the decay {decay:g}")
            solution = ufm.solve(ufm.Problem(counts, regularizer=ufm.WeightDecay(decay, decay)))
            if not solution.relative_gap <= 1e-8:
                raise ConvergenceError(f"the optimum at the decay {decay:g} has the gap {solution.relative_gap:.1e}")
            weight = solution.parameters.weight
            gram = weight @ weight.T
            size = np.sqrt(np.diag(gram))
            norms[decay] = size / size.max()
            cosine.append([_mean_cosine(gram, part) for part in inside])
            gaps.append(solution.relative_gap)
        gram = ufm.seli(counts)[0]
        size = np.sqrt(np.diag(gram))
        seli = np.array([_mean_cosine(gram, part) for part in inside])
        members = [int(part.sum()) for part in inside]
        names = [chosen.name for chosen in ranges]
        return Tail(sizes, norms, size / size.max(), names, members, np.array(cosine), seli, np.array(gaps))

    def draw(self, data: Tail) -> Figure:
        fig, axes = panels(2, 1, width=COLUMN, height=2.0)
        norm, cosine = axes[:, 0]
        for row, (decay, values) in enumerate(data.norms.items()):
            color = COLORS[DECAYS[decay]]
            power = np.floor(np.log10(decay) + 1e-9)
            label = rf"$\lambda = {decay / 10**power:.0f} \cdot 10^{{{power:.0f}}}$"
            norm.plot(data.sizes, values, ".", color=color, markersize=3, label=label)
            shift = 0.16 * (row - 1)
            cosine.plot(np.arange(len(data.names)) + shift, data.cosine[row], "o", color=color, markersize=4)
        norm.plot(data.sizes, data.limit, color="black", linestyle=(0, (4, 2)), linewidth=0.8, label="SELI")
        cosine.plot(np.arange(len(data.names)) + 0.32, data.seli, "x", color="black", markersize=4)
        norm.set_xscale("log")
        norm.set_xlabel("samples of the class")
        norm.set_ylabel("norm / largest norm")
        labels = [f"{name}\n({count} classes)" for name, count in zip(data.names, data.members, strict=True)]
        cosine.set_xticks(range(len(labels)), labels)
        cosine.set_xlim(-0.5, len(labels) - 0.5)
        cosine.axhline(0.0, color="0.7", linewidth=0.6)
        cosine.set_ylabel("mean cosine")
        letter(axes)
        fig.legend(*norm.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return fig


def _mean_cosine(gram: Floats, part: Floats) -> float:
    """Mean cosine between different vectors of a part that do not vanish; NaN where there are fewer than two."""
    size = np.sqrt(np.maximum(np.diag(gram), 0.0))
    kept = np.flatnonzero(part & (size > 1e-6 * size.max()))
    if len(kept) < 2:
        return float("nan")
    cosine = gram[np.ix_(kept, kept)] / np.outer(size[kept], size[kept])
    return float((cosine.sum() - np.trace(cosine)) / (len(kept) * (len(kept) - 1)))
