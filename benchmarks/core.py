"""The certified core beside cvxpy with Clarabel and with SCS, same problems, same run.

Problems are named by their number of classes; ``long tail`` is R = 100 with 500 samples in the largest class.

Every row gives the work first (iterations), then the certified relative gap, then time as the median of a few runs.
Heavy rows run in a process of their own, so that their peak memory is theirs alone.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

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
}


def long_tailed(classes: int) -> ufm.Problem:
    """R = 100, largest class 500, decay 1e-4."""
    return ufm.Problem(ufm.long_tailed(classes, largest=500, ratio=100), regularizer=ufm.WeightDecay(1e-4, 1e-4))


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
    if not quick:
        progress("500 long tail")
        rows.append(isolated("500 long tail", "factored 1e-9", "factored 1e-9"))
    return rows


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
