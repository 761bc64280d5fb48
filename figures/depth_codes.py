"""Which codes beat the simplex ETF, over depth and number of classes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, groupby, product
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.plot import PAGE, letter
from ufm.solvers import Multistart
from ufm.solvers.nonconvex.codes import best_scale, blocks, joined, polygon

DEPTHS = (1, 2, 3, 4, 5, 6)
COLORS_OF_CLASSES = {4: "#0072B2", 6: "#D55E00", 10: "#009E73"}
MARKERS = ("o", "s", "^")
SIZE = 5
KINDS = {"simplex ETF": "#DDDDDD", "simplices in blocks": "#56B4E9", "with polygons": "#E69F00", "found by search": "#8FCBB4"}
"""Kinds of codes and their colours on the map; "simplex ETF" is the single block."""
SAME = 1e-6
"""Relative difference up to which a code that was found counts as the best named one."""


class Tried(NamedTuple):
    """The codes tried for one K, L and decay; ratios are objectives over that of the simplex ETF, all at best scale.

    etf : float, objective of the simplex ETF (nats); named : dict of float, ratios of direct sums of simplices and polygons
    by the sizes of their blocks, such as "5o 2": o for a polygon; found : (ranks,) float64, ratios of the best solutions found
    of rank at most 2, 3, ...; rank : (ranks,) int64, their ranks
    """

    etf: float
    named: dict[str, float]
    found: Floats
    rank: Floats

    def winner(self) -> tuple[str, int, float]:
        """Kind (of `KINDS`), rank and ratio of the best code tried."""
        name = min(self.named, key=lambda code: self.named[code])
        place = int(np.argmin(self.found)) if len(self.found) else -1
        if place >= 0 and self.found[place] < self.named[name] * (1.0 - SAME):
            return "found by search", int(self.rank[place]), float(self.found[place])
        parts = name.split()
        rank = sum(2 if part.endswith("o") else int(part) - 1 for part in parts)
        kind = "with polygons" if "o" in name else "simplex ETF" if len(parts) == 1 else "simplices in blocks"
        return kind, rank, self.named[name]


class Depths(NamedTuple):
    """Numbers of classes and, in their order, what belongs to each.

    classes : list of int, K; least : list of int, the depth from which pairs win at small decay, by `ufm.pair_depth`
    depth : (n,) float64, a fine grid of numbers of layers L; limit : (classes, n), ratio of the codes' costs as decay vanishes
    decay : (m,) float64; ratio : (classes, m, depths), objective of the pair code over that of the ETF, both at best scale
    shown : list of Tried by depth, for `SHOWN`; map_classes : list of int, K; tried : list, by K, of lists by depth, for `MAP`
    """

    classes: list[int]
    least: list[int]
    depth: Floats
    limit: Floats
    decay: Floats
    ratio: Floats
    shown: list[Tried]
    map_classes: list[int]
    tried: list[list[Tried]]


SHOWN, MAP = (10, 2.0**-10), 2.0**-20
"""K and decay of the middle panel; decay of the map."""


class DepthCodes(Plot):
    """Objectives of codes over that of the simplex ETF, all at their best scale, for balanced classes of 5 samples under L
    linear layers of equal decay; below one the simplex ETF is not optimal. (a) The pair code, of rank K/2. Points: three
    decays. Lines: the limit as the decay vanishes, ``K 2^(2/(L+1)) / (2 (K - 1))``, which is approached logarithmically.
    (b) Ten classes, decay ``2^-10``: pairs, two pentagons in orthogonal planes, a decagon, and the best solutions that were
    found of rank at most 3 and at most 4. (c) The best of the codes tried at the decay ``2^-20``, with its rank: all direct
    sums of simplices and regular polygons at equal margins, and from two layers on, for every rank up to K/2 + 1, the best
    solution found from ten random starts and the solver's named codes. Best among those tried: nothing proves that no code
    is better; under one layer the simplex ETF is optimal, for the program is convex.
    """

    name = "depth_codes"
    title = "codes that beat the simplex ETF, over depth and number of classes"

    def data(self, *, quick: bool, report: Report) -> Depths:
        classes = list(COLORS_OF_CLASSES)
        decay = np.array([2.0**-8, 2.0**-16, 2.0**-32])
        depth = np.linspace(DEPTHS[0], DEPTHS[-1], 60 if quick else 300)
        limit = np.array([k * 2.0 ** (2.0 / (depth + 1.0)) / (2.0 * (k - 1.0)) for k in classes])
        ratio = np.array([[[_ratio(k, layers, float(d)) for layers in DEPTHS] for d in decay] for k in classes])
        least = [ufm.pair_depth(k) for k in classes]
        starts = 3 if quick else 10
        shown = [_tried(SHOWN[0], layers, SHOWN[1], starts) for layers in DEPTHS]
        map_classes = [4, 5] if quick else list(range(3, 13))
        tried = []
        for k in map_classes:
            report(f"codes for {k} classes")
            tried.append([_tried(k, layers, MAP, starts if layers > 1 else 0) for layers in DEPTHS])
        return Depths(classes, [v for v in least if v is not None], depth, limit, decay, ratio, shown, map_classes, tried)

    def draw(self, data: Depths) -> Figure:
        fig = Figure(figsize=(PAGE, 2.9), layout="constrained")
        parts = list(np.ravel(fig.subfigures(1, 3, width_ratios=[1.0, 1.0, 1.05])))  # type: ignore[call-overload]
        axes = [part.subplots() for part in parts]
        _draw_pairs(axes[0], data)
        _draw_codes(axes[1], data)
        _draw_map(axes[2], data)
        for axis in axes:
            axis.set_xlabel("number of linear layers $L$")
        letter(np.array(axes))
        for part, axis in zip(parts[:2], axes[:2], strict=True):
            part.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        patches = [Patch(facecolor=color, label=kind) for kind, color in KINDS.items()]
        parts[2].legend(handles=patches, loc="outside lower center", ncols=2)
        return fig


def _draw_pairs(axis: Axes, data: Depths) -> None:
    for k, limit, rows in zip(data.classes, data.limit, data.ratio, strict=True):
        color = COLORS_OF_CLASSES[k]
        axis.plot(data.depth, limit, color=color, label=f"$K = {k}$")
        for row, marker, fill in zip(rows, MARKERS, ("white", "white", color), strict=True):
            axis.plot(DEPTHS, row, marker, color=color, markerfacecolor=fill, markersize=3.5, markeredgewidth=0.7)
    for decay, marker, fill in zip(data.decay, MARKERS, ("white", "white", "0.4"), strict=True):
        label = rf"$\lambda = 2^{{{np.log2(decay):.0f}}}$"
        axis.plot([], [], marker, color="0.4", markerfacecolor=fill, markersize=3.5, label=label)
    axis.axhline(1.0, color="black", linewidth=0.8, linestyle=(0, (4, 2)))
    axis.set_ylabel("objective / simplex ETF")
    axis.set_title("pair code")


def _draw_codes(axis: Axes, data: Depths) -> None:
    named = (("2 2 2 2 2", "pairs", "#0072B2"), ("5o 5o", "two pentagons", "#D55E00"), ("10o", "decagon", "#CC79A7"))
    for code, label, color in named:
        axis.plot(DEPTHS, [tried.named[code] for tried in data.shown], ".-", color=color, markersize=4, label=label)
    for rank, marker in ((3, "D"), (4, "x")):
        values = [tried.found[rank - 2] for tried in data.shown]
        axis.plot(
            DEPTHS, values, marker, color="black", markersize=4, markerfacecolor="none", label=rf"found, rank $\leq {rank}$"
        )
    axis.axhline(1.0, color="black", linewidth=0.8, linestyle=(0, (4, 2)), label="simplex ETF")
    axis.set_ylim(0.45, 1.65)
    axis.set_title(rf"$K = {SHOWN[0]}$, $\lambda = 2^{{{np.log2(SHOWN[1]):.0f}}}$")


def _draw_map(axis: Axes, data: Depths) -> None:
    kinds = list(KINDS)
    winners = [[tried.winner() for tried in row] for row in data.tried]
    numbers = np.array([[kinds.index(kind) for kind, _, _ in row] for row in winners])
    axis.imshow(
        numbers,
        cmap=ListedColormap(list(KINDS.values())),
        vmin=-0.5,
        vmax=len(kinds) - 0.5,
        origin="lower",
        aspect="auto",
        extent=(DEPTHS[0] - 0.5, DEPTHS[-1] + 0.5, data.map_classes[0] - 0.5, data.map_classes[-1] + 0.5),
    )
    for k, row in zip(data.map_classes, winners, strict=True):
        for layers, (_, rank, _) in zip(DEPTHS, row, strict=True):
            axis.text(layers, k, str(rank), ha="center", va="center", fontsize=6)
    axis.set_yticks(data.map_classes)
    axis.set_ylabel("number of classes $K$")
    axis.set_title(rf"rank of the best code tried, $\lambda\!=\!2^{{{np.log2(MAP):.0f}}}$")


def _problem(classes: int, layers: int, decay: float, dim: int | None = None) -> ufm.Problem:
    regularizer = ufm.WeightDecay(decay, decay)
    return ufm.Problem(ufm.balanced(classes, SIZE), regularizer=regularizer, head=ufm.Explicit(layers), dim=dim)


def _ratio(classes: int, layers: int, decay: float) -> float:
    """Objective of the pair code over that of the ETF."""
    program = _problem(classes, layers, decay).program().split()
    pair, etf = (best_scale(program, blocks(classes, size))[0] for size in (2, classes))
    return pair / etf


def _tried(classes: int, layers: int, decay: float, starts: int) -> Tried:
    """All direct sums of simplices and polygons, and with starts the best solutions found of ranks up to 2 .. K/2 + 1."""
    program = _problem(classes, layers, decay).program().split()
    etf = best_scale(program, blocks(classes, classes))[0]
    named = {name: best_scale(program, code)[0] / etf for name, code in direct_sums(classes)}
    widths = range(2, min(classes // 2 + 1, classes - 2) + 1) if starts else ()
    solutions = [ufm.solve(_problem(classes, layers, decay, dim), method=Multistart(starts=starts, effort=0)) for dim in widths]
    ranks = [min(solution.candidates, key=lambda candidate: candidate.value).rank for solution in solutions]
    return Tried(etf, named, np.array([s.value / etf for s in solutions]), np.array(ranks))


def direct_sums(classes: int) -> Iterator[tuple[str, Floats]]:
    """Names and codes of all direct sums of simplices of two classes or more and polygons of five or more.

    A polygon of three corners is a simplex, one of four has the singular values and margins of two pairs.
    """
    for sizes in _partitions(classes, classes):
        choices = []
        for size, members in groupby(sizes):
            count = len(list(members))
            kinds = (f"{size}", f"{size}o") if size >= 5 else (f"{size}",)
            choices.append(list(combinations_with_replacement(kinds, count)))
        for chosen in product(*choices):
            names = [name for group in chosen for name in group]
            yield " ".join(names), joined(*(polygon(int(n[:-1])) if n.endswith("o") else blocks(int(n), int(n)) for n in names))


def _partitions(total: int, most: int) -> Iterator[tuple[int, ...]]:
    """Partitions into parts of at least two and at most ``most``, largest part first."""
    if total == 0:
        yield ()
    for part in range(min(total, most), 1, -1):
        for rest in _partitions(total - part, part):
            yield (part, *rest)
