"""From collapse to the SELI geometry along the decay, and against the imbalance ratio."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.errors import ConvergenceError
from ufm.plot import COLORS, COLUMN, letter, panels
from ufm.solvers.convex.step_imbalance import solve_steps

RATIO, COUNT = 10, 100
METRICS = {"cos_minority": ("minority", "deq"), "cos_majority": ("majority", "explicit"), "cos_cross": ("across", "third")}
"""Name of a mean cosine of classifiers, its label and its kind of colour."""
SMALL = (0.9, 0.5, 1e-3)
"""Decays of the second panel, as multiples of sqrt(n_B) / N."""


class SeliPath(NamedTuple):
    """Cosines along the decay and against R.

    strength : (n,) float64, N mu / sqrt(n_B); path : name -> (n,), cosines of certified optima at R = 10
    points : (m,) float64, strengths; certified : name -> (m,), cosines of solutions of the general solver
    seli : name -> cosine of the SELI geometry
    ratio : (p,) float64; limit : (p,), minority cosine of SELI; optimum : (decays, p), of certified optima
    end : float, the strength N mu / sqrt(n_B) from which all classifiers are zero
    """

    strength: Floats
    path: dict[str, Floats]
    points: Floats
    certified: dict[str, Floats]
    seli: dict[str, float]
    ratio: Floats
    limit: Floats
    optimum: Floats
    end: float


class Seli(Plot):
    """Five majority and five minority classes of 100 samples, equal decays. (a) Mean cosines of classifiers at the certified
    optimum against the decay, R = 10; dashed: the SELI geometry, the limit as the decay vanishes. Dotted: the exact decays
    from which the minority classes share one classifier, and from which everything is zero. (b) Minority cosine of SELI
    against R, beside certified optima at decays that are a fixed part of the collapsing one.
    """

    name = "seli_path"
    title = "the regularisation path from collapse to the SELI geometry, and SELI against R"

    def data(self, *, quick: bool, report: Report) -> SeliPath:
        strength = np.geomspace(1e-3, 4.0, 120 if quick else 600)
        path = _solved(float(RATIO), strength)
        points = np.geomspace(1.5e-3, 2.5, 9 if quick else 17)
        counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=RATIO * COUNT, n_minority=COUNT)
        certified: dict[str, list[float]] = {name: [] for name in METRICS}
        for s in points:
            report(f"certified optimum at {s:.1e}")
            mu = s * np.sqrt(COUNT) / counts.total
            solution = ufm.solve(ufm.Problem(counts, regularizer=ufm.WeightDecay(mu, mu)), method="factored")
            if solution.relative_gap > 1e-9:
                raise ConvergenceError(
                    f"the optimum at N mu = {s:g} sqrt(n_B) has the relative gap {solution.relative_gap:.1e}"
                )
            measured = ufm.geometry(solution)
            for name in METRICS:
                value = measured[name]
                certified[name].append(np.nan if value is None else value)
        ratio = np.geomspace(1.0, 1e4, 9 if quick else 41)
        limit = np.array([_cosines(float(r))["cos_minority"] for r in ratio])
        fine = [np.concatenate([_solved(float(r), np.array([s]))["cos_minority"] for r in ratio]) for s in SMALL]
        stacked = {name: np.array(values) for name, values in certified.items()}
        seli = _cosines(float(RATIO))
        return SeliPath(strength, path, points, stacked, seli, ratio, limit, np.array(fine), float(np.sqrt(RATIO)))

    def draw(self, data: SeliPath) -> Figure:
        fig, axes = panels(2, 1, width=COLUMN, height=2.0)
        path, against = axes[:, 0]
        dashes = {"linestyle": (0, (4, 2)), "linewidth": 0.8}
        for name, (label, kind) in METRICS.items():
            path.plot(data.strength, data.path[name], color=COLORS[kind], label=label)
            path.plot(data.points, data.certified[name], ".", color=COLORS[kind], markersize=4)
            path.axhline(data.seli[name], color=COLORS[kind], **dashes)
        for place in (1.0, data.end):
            path.axvline(place, color="0.4", linestyle=":", linewidth=0.9)
        path.plot([], [], color="black", label="SELI", **dashes)
        path.set_xscale("log")
        path.set_xlim(data.strength[0], 6.0)
        path.set_xlabel(r"decay, $N \mu / \sqrt{n_B}$")
        path.set_ylabel("mean cosine of classifiers")
        path.set_title(f"$R = {RATIO}$")
        for part, row, shade in zip(SMALL, data.optimum, ("#56B4E9", "#0072B2", "#00436A"), strict=True):
            against.plot(data.ratio, row, ".-", color=shade, markersize=2.5, linewidth=0.8, label=_power(part))
        against.plot(data.ratio, data.limit, color="black", label="SELI, minority", **dashes)
        against.set_xscale("log")
        against.set_xlim(1.0, data.ratio[-1])
        against.set_xlabel("imbalance ratio $R$")
        against.set_ylabel("minority cosine")
        letter(axes[:, 0])
        handles, labels = path.get_legend_handles_labels()
        more = against.get_legend_handles_labels()
        fig.legend([*handles, *more[0][:-1]], [*labels, *more[1][:-1]], loc="outside lower center", ncols=3)
        return fig


def _power(part: float) -> str:
    """A decay of the second panel as a label."""
    return rf"$N \mu = {part:g} \sqrt{{n_B}}$"


def _solved(ratio: float, strength: Floats) -> dict[str, Floats]:
    """Cosines of certified optima at a ratio for decays N mu = strength sqrt(n_B)."""
    total = 5.0 * COUNT * (ratio + 1.0)
    found = {name: [] for name in METRICS}
    for s in strength:
        mu = float(s) * np.sqrt(COUNT) / total
        solved = solve_steps(majority=5, minority=5, n_majority=np.array([COUNT * ratio]), n_minority=float(COUNT), mu=mu)
        if not float(solved.gap[0]) <= 1e-9:
            raise ConvergenceError(
                f"the optimum at R = {ratio:g}, mu = {mu:g} has the certified gap {float(solved.gap[0]):.1e}"
            )
        for name, values in found.items():
            values.append(float(getattr(solved, name)[0]))
    return {name: np.array(values) for name, values in found.items()}


def _cosines(ratio: float) -> dict[str, float]:
    """Mean cosines of classifiers under SELI; the geometry depends on the ratio of the sizes alone."""
    sizes = np.array([ratio] * 5 + [1.0] * 5)
    u, sigma, _ = np.linalg.svd((np.eye(10) - 0.1) * np.sqrt(sizes))
    gram = (u * sigma) @ u.T
    cosine = gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    return {
        "cos_minority": float((cosine[5:, 5:].sum() - 5.0) / 20.0),
        "cos_majority": float((cosine[:5, :5].sum() - 5.0) / 20.0),
        "cos_cross": float(cosine[:5, 5:].mean()),
    }
