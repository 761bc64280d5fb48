"""Features of a fixed norm, and cosines, beside their semidefinite programs in cvxpy: same problems, same run.

Every row gives the work first (iterations), then the certified relative gap at the point that the route returns, then time as
the median of a few runs.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

import ufm
from benchmarks.core import Row
from ufm.solvers import Convex, Factored, Solver, Symmetric

DECAY = 1e-2
SCALE = 3.0


def problems() -> dict[str, ufm.Problem]:
    """The problems by name: K, the sizes, and the head."""
    steps = {f"{k} step": f"3000*{k // 2},100*{k // 2}" for k in (10, 20, 1_000_000)}
    counts: dict[str, str | ufm.ClassCounts] = {**steps, "100 long tail": ufm.long_tailed(100, largest=1000, ratio=100)}
    found = {}
    for name, sizes in counts.items():
        decay = ufm.ClassifierDecay(DECAY if "long" not in name else 1e-3)
        found[f"{name}, layernorm"] = ufm.Problem(sizes, regularizer=decay, head="layernorm")
        if name in ("10 step", "20 step"):
            found[f"{name}, cosine"] = ufm.Problem(sizes, regularizer=ufm.NoDecay(), head=ufm.Cosine(SCALE))
    return found


def all_normalised(quick: bool, progress: Callable[[str], None]) -> list[Row]:
    """All rows; ``quick`` leaves out the slower conic solver."""
    rows = []
    for name, problem in problems().items():
        routes: dict[str, tuple[Solver, int]] = {}
        if len(problem.counts.groups) <= 12:
            routes["symmetric"] = Symmetric(), 9
        else:
            routes["factored"] = Factored(), 3
        if problem.counts.classes <= 20:
            routes["Clarabel"] = Convex(), 3
            routes["Clarabel 1e-9"] = Convex(profile="clarabel-1e-9"), 3
            if not quick:
                routes["SCS 1e-9"] = Convex(profile="scs-1e-9"), 1
        for route, (solver, runs) in routes.items():
            progress(f"{name}, {route}")
            rows.append(timed(name, route, problem, solver, runs))
    return rows


def timed(name: str, route: str, problem: ufm.Problem, solver: Solver, runs: int) -> Row:
    """One route on one problem.

    Parameters
    ----------
    name, route : str
    problem : ufm.Problem
    solver : Solver
    runs : int, of which the median time counts; one more comes first

    Returns
    -------
    Row
    """
    solver(problem)
    seconds = []
    for _ in range(runs):
        start = perf_counter()
        found = solver(problem)
        seconds.append(perf_counter() - start)
    return Row(name, route, found.stats.iterations, found.relative_gap, median(seconds))
