"""Certified gap against time and iterations for every way to the optimum."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize

import ufm
from figures.registry import Plot, Report
from ufm._arrays import Floats
from ufm.certify.primal_dual import bounds
from ufm.plot import PAGE, letter, panels
from ufm.solvers import Convex, Factored, Gradient, Proximal, Symmetric
from ufm.solvers.base import Solver
from ufm.spectral.program import Point

TIGHT = 1e-15
TIMED = 0.3
"""Seconds over which runs are repeated: short ones often, so that other work on the machine shows less."""
DECAY = 2.5e-3
ROUTES: dict[str, tuple[str, str, str, Callable[[int], Solver] | None, int]] = {
    "symmetric": ("two groups, Newton", "#000000", "o", lambda n: Symmetric(max_iterations=n, tolerance=TIGHT), 40),
    "factored": ("block Newton", "#0072B2", "s", lambda n: Factored(max_iterations=n, tolerance=TIGHT), 40),
    "proximal": ("proximal gradient", "#56B4E9", "^", lambda n: Proximal(max_iterations=n, tolerance=TIGHT), 4000),
    "l-bfgs": ("L-BFGS on both factors", "#009E73", "v", None, 2000),
    "nesterov": ("gradient, Nesterov", "#D55E00", "D", None, 20_000),
    "adam": ("gradient, Adam", "#CC79A7", "P", None, 20_000),
    "clarabel": ("cvxpy, Clarabel", "#E69F00", "*", None, 1),
    "scs": ("cvxpy, SCS", "#999999", "X", None, 1),
}
"""Label, colour, marker, the solver by its largest number of iterations where it is run again for each, and that number."""
PROFILES = {"clarabel": ("clarabel", "clarabel-1e-9"), "scs": ("scs", "scs-1e-9")}


Row = tuple[float, float, float]
"""Iterations, certified relative gap, seconds."""
Run = Callable[[], Row]


class Route(NamedTuple):
    """One route: iterations, certified relative gaps, and seconds of wall time, each (n,)."""

    iterations: Floats
    gap: Floats
    seconds: Floats


class Routes(Plot):
    """Certified relative gap of the solution of ten classes (sizes 5 x 200 and 5 x 20, decay 0.0025 on weights and features)
    against (a) wall time and (b) iterations of each method. Every point is the fastest of several runs with that many
    iterations; for cvxpy, the default tolerances of two conic solvers and tolerances of 1e-9. Seconds are those of the
    machine that drew the figure; gaps are certified in float64 with rounding errors, so that none is zero.
    """

    name = "routes"
    title = "certified gap against time and iterations for every route, conic solvers included"
    tolerance = 1e-3
    times = ("seconds",)

    def data(self, *, quick: bool, report: Report) -> dict[str, Route]:
        counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=200, n_minority=20)
        problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(DECAY, DECAY))
        found = {}
        for name, (label, _, _, make, most) in ROUTES.items():
            report(label)
            limits = [
                round(n) for n in np.unique(np.round(np.geomspace(1, min(most, 2000) if quick else most, 6 if quick else 14)))
            ]
            if name in PROFILES:
                runs = [_solver_run(problem, Convex(profile=profile)) for profile in PROFILES[name]]
            elif name == "l-bfgs":
                runs = [_both_factors(problem, n) for n in limits]
            else:
                rules = [_descent(name, n) if make is None else make(n) for n in limits[2 * (make is None) :]]
                runs = [_solver_run(problem, rule) for rule in rules]
            rows = [_fastest(run, 0.0 if quick else TIMED) for run in runs]
            kept = [row for place, row in enumerate(rows) if place == 0 or row[0] > rows[place - 1][0]]
            found[name] = Route(*np.array(kept, dtype=np.float64).T)
        return found

    def draw(self, data: dict[str, Route]) -> Figure:
        fig, axes = panels(1, 2, width=PAGE, height=2.7, sharey=True)
        for name, route in data.items():
            label, color, marker, _, _ = ROUTES[name]
            for axis, x in zip(axes[0], (route.seconds, route.iterations), strict=True):
                line = "none" if name in PROFILES else "-"
                size = 6 if marker == "*" else 3.5
                axis.plot(x, route.gap, linestyle=line, marker=marker, color=color, markersize=size, linewidth=0.8, label=label)
        for axis, name in zip(axes[0], ("seconds", "iterations"), strict=True):
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.set_xlabel(name)
        axes[0, 0].set_ylabel("certified relative gap")
        letter(axes)
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return fig


def _fastest(run: Run, seconds: float) -> Row:
    """The fastest of runs that take this many seconds together: one at least, 3 if seconds are asked for, 30 at most."""
    rows = [run()]
    while seconds and (len(rows) < 3 or (sum(row[2] for row in rows) < seconds and len(rows) < 30)):
        rows.append(run())
    return min(rows, key=lambda row: row[2])


def _descent(rule: str, iterations: int) -> Gradient:
    """A gradient method that is stopped after some iterations."""
    return Gradient(rule=rule, max_iterations=iterations, tolerance=1e-12, records=20)


def _solver_run(problem: ufm.Problem, rule: Solver) -> Run:
    """A run of a solver; what is imported at its first use does not count."""
    ufm.solve(problem, method=rule)

    def run() -> Row:
        solution = ufm.solve(problem, method=rule)
        return float(solution.stats.iterations), solution.relative_gap, solution.stats.seconds

    return run


def _both_factors(problem: ufm.Problem, iterations: int) -> Run:
    """L-BFGS on W and H of the program over logits, ``f(W H) + mu/2 (|W|^2 + |H|^2)``, from a seeded random start."""
    program = problem.program().split()
    k, mu, zero = program.classes, program.penalty.strength, np.zeros(program.groups)
    start = 0.1 * np.random.default_rng(0).standard_normal(2 * k * k)

    def objective(theta: Floats) -> tuple[float, Floats]:
        weight, features = theta.reshape(2, k, k)
        at = program.smooth(Point(zero, weight @ features, zero))
        slope = at.gradient.core
        gradient = np.stack([slope @ features.T, weight.T @ slope]) + mu * theta.reshape(2, k, k)
        return at.value + 0.5 * mu * float(theta @ theta), gradient.ravel()

    def run() -> Row:
        begun = perf_counter()
        options = {"maxiter": iterations, "maxfun": 10 * iterations, "ftol": 0.0, "gtol": 0.0}
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
        weight, features = found.x.reshape(2, k, k)
        u, sigma, vt = np.linalg.svd(weight @ features)
        kept = sigma > 1e-15 * sigma[0]
        parts = u[:, kept], sigma[kept], vt[kept]
        reached = bounds(program, program.factors(Point(zero, (parts[0] * parts[1]) @ parts[2], zero), parts))
        return float(found.nit), (reached.upper - reached.lower) / reached.upper, perf_counter() - begun

    return run
