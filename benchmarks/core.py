"""The certified core beside cvxpy with Clarabel and with SCS, same problems, same run.

Problems are named by their number of classes; ``long tail`` is R = 100 with 500 samples in the largest class. Sets with many
distinct sizes, ``lomax``, have rounded quantiles of a Pareto tail: 365 classes of 202 sizes from 5 to 4980, as in Places-LT;
1000 of 350 sizes from 5 to 1280, as in ImageNet-LT; 8142 of 547 sizes from 2 to 1000, as in iNaturalist. Beside them runs
L-BFGS on W and H, by scipy, until it is as near to the optimum as it gets in its time.

Every row gives the work first (iterations), then the certified relative gap, then time as the median of a few runs.
Heavy rows run in a process of their own, so that their peak memory is theirs alone.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import ufm
from ufm.solvers import Convex, Factored, Solver, Symmetric

PROBLEMS: dict[str, Callable[[], ufm.Problem]] = {
    "10 step decay": lambda: ufm.Problem(
        ufm.step_imbalanced(majority=5, minority=5, n_majority=1000, n_minority=100), regularizer=ufm.WeightDecay(5e-4, 5e-4)
    ),
    "10 step budget": lambda: ufm.Problem(
        ufm.step_imbalanced(majority=5, minority=5, n_majority=1000, n_minority=100), regularizer=ufm.NormBudget(1, 5)
    ),
    "10^6 step decay": lambda: ufm.Problem(
        ufm.step_imbalanced(majority=500_000, minority=500_000, n_majority=1000, n_minority=100),
        regularizer=ufm.WeightDecay(5e-11, 5e-11),
    ),
    "10^6 step budget": lambda: ufm.Problem(
        ufm.step_imbalanced(majority=500_000, minority=500_000, n_majority=1000, n_minority=100),
        regularizer=ufm.NormBudget(1, 10),
    ),
    "50 long tail": lambda: long_tailed(50),
    "100 long tail": lambda: long_tailed(100),
    "500 long tail": lambda: long_tailed(500),
    "365 Places 5e-4,1e-6": lambda: lomax(365, 5, 4980, 1.6, ufm.WeightDecay(5e-4, 1e-6)),
    "365 Places 1e-5,1e-5": lambda: lomax(365, 5, 4980, 1.6, ufm.WeightDecay(1e-5, 1e-5)),
    "500 distinct": lambda: lomax(500, 5, 5000, 1000.0, ufm.WeightDecay(1e-5, 1e-5)),
    "1000 of 350 sizes": lambda: lomax(1000, 5, 1280, 7.0, ufm.WeightDecay(1e-5, 1e-5)),
    "8142 of 547 sizes": lambda: lomax(8142, 2, 1000, 200.0, ufm.WeightDecay(1e-5, 1e-5)),
}
MANY_SIZES = tuple(PROBLEMS)[-5:]
GROWTH = (50, 100, 200, 400)
"""Numbers of distinct sizes of the fit of time against them."""


def long_tailed(classes: int) -> ufm.Problem:
    """R = 100, largest class 500, decay 1e-4."""
    return ufm.Problem(ufm.long_tailed(classes, largest=500, ratio=100), regularizer=ufm.WeightDecay(1e-4, 1e-4))


def lomax(classes: int, smallest: int, largest: int, shape: float, decay: ufm.WeightDecay) -> ufm.Problem:
    """Class sizes that are rounded quantiles of a Lomax distribution, shifted and scaled to go from smallest to largest."""
    quantiles = [(1 - (k + 0.5) / classes) ** (-1 / shape) for k in range(classes)]
    stretch = (largest - smallest) / (quantiles[-1] - 1)
    sizes = [round(smallest + (q - 1) * stretch) for q in reversed(quantiles)]
    return ufm.Problem(sizes, regularizer=decay)


def of_sizes(groups: int) -> ufm.Problem:
    """1000 classes of so many distinct sizes, 5 at the least, whose logarithms are evenly spread where they can be."""
    sizes = []
    for k in range(groups):
        wanted = round(5 * 400 ** (k / groups))
        sizes.append(max(wanted, sizes[-1] + 1) if sizes else wanted)
    return ufm.Problem([sizes[k % groups] for k in range(1000)], regularizer=ufm.WeightDecay(1e-5, 1e-5))


@dataclass(frozen=True)
class Row:
    """One route on one problem."""

    problem: str
    route: str
    iterations: int
    gap: float
    seconds: float
    megabytes: float | None = None


def measure(problem: str, route: str, solver: Solver, runs: int) -> Row:
    """Median time of solving, certificate included."""
    task = PROBLEMS[problem]()
    times, solution = [], None
    for _ in range(runs):
        start = perf_counter()
        solution = solver(task)
        times.append(perf_counter() - start)
    assert solution is not None
    return Row(problem, route, solution.stats.iterations, solution.certificate.relative_gap, median(times))


def isolated(problem: str, route: str, solver: str) -> Row:
    """The same in a fresh process, once, with its peak memory."""
    code = f"from benchmarks.core import alone; alone({problem!r}, {solver!r})"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    return Row(problem, route, int(out[0]), float(out[1]), float(out[2]), float(out[3]))


def alone(problem: str, solver: str) -> None:
    """Body of `isolated`: prints iterations, gap, seconds and peak memory in MB."""
    chosen: Solver = {"factored": Factored(), "factored 1e-9": Factored(tolerance=1e-9)}[solver]
    start = perf_counter()
    solution = chosen(PROBLEMS[problem]())
    seconds = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(solution.stats.iterations, solution.certificate.relative_gap, seconds, peak)


def routes(quick: bool, progress: Callable[[str], None]) -> list[Row]:
    """All rows of the first table."""
    rows = []
    clarabel, scs, scs_tight = (Convex(profile=name) for name in ("clarabel", "scs", "scs-1e-9"))
    for problem in ("10 step decay", "10 step budget"):
        progress(problem)
        measure(problem, "warm-up", clarabel, 1)
        rows.append(measure(problem, "symmetric", Symmetric(), 200))
        rows.append(measure(problem, "factored", Factored(), 20))
        for name, solver in (("Clarabel", clarabel), ("SCS", scs), ("SCS 1e-9", scs_tight)):
            rows.append(measure(problem, name, solver, 5))
    for problem in ("10^6 step decay", "10^6 step budget"):
        progress(problem)
        rows.append(measure(problem, "symmetric", Symmetric(), 200))
    for problem in ("50 long tail", "100 long tail"):
        progress(problem)
        rows.append(measure(problem, "factored", Factored(), 5))
        rows.append(measure(problem, "factored 1e-9", Factored(tolerance=1e-9), 5))
        if not quick:
            for name, solver in (("SCS", scs), ("SCS 1e-9", scs_tight)):
                progress(f"{problem}, {name}")
                rows.append(measure(problem, name, solver, 1))
    for problem in ("500 long tail", *MANY_SIZES):
        if quick and problem not in MANY_SIZES[:2]:
            continue
        progress(problem)
        rows.append(isolated(problem, "factored 1e-9", "factored 1e-9"))
        if problem in MANY_SIZES[:2]:
            rows.append(unstructured(problem, 10.0 if quick else 60.0))
    return rows


def unstructured(problem: str, limit: float) -> Row:
    """L-BFGS on W (K x K) and class means of H by scipy, from a seeded start, until 1e-9 above the optimum or out of time.

    The gap is the relative distance of its value to our certified lower bound; it has no certificate of its own.
    """
    import numpy as np
    from scipy.optimize import minimize

    task = PROBLEMS[problem]()
    target = Factored(tolerance=1e-9)(task).lower
    classes, best, start = task.counts.classes, [np.inf], perf_counter()
    value_and_slope = objective(task)

    def seen(theta):
        value, slope = value_and_slope(theta)
        best[0] = min(best[0], value)
        if best[0] <= target * (1 + 1e-9) or perf_counter() - start > limit:
            raise StopIteration
        return value / target, slope / target

    theta = np.random.default_rng(0).standard_normal(2 * classes**2) / np.sqrt(classes)
    count = [0]

    def counted(_: object) -> None:
        count[0] += 1

    options = {"maxiter": 10**6, "maxfun": 10**6, "maxcor": 20, "ftol": 0.0, "gtol": 0.0}
    with suppress(StopIteration):
        minimize(seen, theta, jac=True, method="L-BFGS-B", callback=counted, options=options)
    return Row(problem, "L-BFGS on W, H", count[0], best[0] / target - 1, perf_counter() - start)


def objective(task: ufm.Problem) -> Callable[[Any], tuple[float, Any]]:
    """Value and gradient of the layer-peeled model on W (K x K) and class means H (K x K), written without this package."""
    import numpy as np

    assert isinstance(task.regularizer, ufm.WeightDecay)
    weight, features = task.regularizer.weight, task.regularizer.features
    sizes = np.array(list(task.counts), dtype=np.float64)
    share, classes = sizes / sizes.sum(), task.counts.classes

    def value_and_slope(theta):
        w, h = theta.reshape(2, classes, classes)
        logits = w @ h
        logits -= logits.max(axis=0)
        odds = np.exp(logits)
        total = odds.sum(axis=0)
        value = float(share @ (np.log(total) - logits.diagonal()))
        value += 0.5 * weight * float((w * w).sum()) + 0.5 * features * float(((h * h).sum(axis=0) * sizes).sum())
        slope = odds * (share / total)
        slope[np.diag_indices(classes)] -= share
        slopes = np.concatenate([(slope @ h.T + weight * w).ravel(), (w.T @ slope + features * sizes * h).ravel()])
        return value, slopes

    return value_and_slope


def growth(progress: Callable[[str], None]) -> tuple[list[Row], float]:
    """Rows of 1000 classes by the number of distinct sizes, and the exponent of time against it."""
    import numpy as np

    rows = []
    for groups in GROWTH:
        progress(f"1000 classes of {groups} sizes")
        start = perf_counter()
        found = Factored(tolerance=1e-9)(of_sizes(groups))
        seconds = perf_counter() - start
        rows.append(Row(f"1000 of {groups} sizes", "factored 1e-9", found.stats.iterations, found.relative_gap, seconds))
    exponent = np.polyfit(np.log(GROWTH), np.log([row.seconds for row in rows]), 1)[0]
    return rows, float(exponent)


def certificates(progress: Callable[[str], None]) -> list[tuple[str, str, float, float, float]]:
    """(problem, route, seconds to solve, seconds to certify rigorously, rigorous relative gap)."""
    rows = []
    cases = (
        ("10 step decay", Symmetric()),
        ("10 step decay", Factored()),
        ("50 long tail", Factored()),
        ("100 long tail", Factored()),
    )
    for problem, solver in cases:
        progress(f"rigorous certificate, {problem}")
        task = PROBLEMS[problem]()
        solves, proofs, gap = [], [], 0.0
        for _ in range(7):
            start = perf_counter()
            solution = solver(task)
            middle = perf_counter()
            gap = solution.certificate.rigorous().relative_gap
            proofs.append(perf_counter() - middle)
            solves.append(middle - start)
        rows.append((problem, solver.name, median(solves), median(proofs), gap))
    return rows


def processes(progress: Callable[[str], None]) -> list[tuple[str, float, float]]:
    """(what, seconds as a whole process, budget)."""
    solve = ["-m", "ufm", "solve", "--counts", "100*5,10*5", "--decay", "5e-4,5e-4", "--json"]
    timer = "from time import perf_counter as t; a = t(); import ufm; print(t() - a)"
    rows = []
    progress("import ufm")
    imports = [
        float(subprocess.run([sys.executable, "-c", timer], check=True, capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    rows.append(("import ufm", median(imports), 0.3))
    for name, arguments, budget, runs in (
        ("ufm solve", solve, 1.0, 5),
        ("python -m proofs_check", ["-m", "proofs_check"], 60.0, 1),
    ):
        progress(name)
        times = []
        for _ in range(runs):
            start = perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            times.append(perf_counter() - start)
        rows.append((name, median(times), budget))
    return rows
