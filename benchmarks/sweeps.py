"""Sweeps: points per second by route, the share of them that is certified, and what handing points on costs.

The peer of the vectorised route is what a user would write: cvxpy with SCS, one semidefinite program after the other, with the
cosine read off its default solution.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import ufm
from ufm._parallel import processes
from ufm.solvers import Convex
from ufm.solvers.convex.step_imbalance import solve_steps
from ufm.sweep import Spec, Store, run
from ufm.sweep.execution import compute, dask

FEW, MANY = 1000, 6000
STEP = {"classes": [5, 5], "minority_count": 1000}


@dataclass(frozen=True)
class Swept:
    """One route: points, share certified to 1e-9, seconds, peak memory in MB, and a remark."""

    what: str
    route: str
    points: int
    certified: float
    seconds: float
    megabytes: float | None = None
    remark: str = ""


def million() -> Spec:
    """A million points under weight decay."""
    grid = {"lambda": {"log": [1e-6, 1e-3, 1000]}, "ratio": {"log": [1, 1e4, 1000]}}
    return Spec.of("solve", STEP, grid, "a million points")


def single(points: int) -> Spec:
    """Points of the route that solves them one by one."""
    return Spec.of("solve", {"tail": 10, "largest": 10_000, "lambda": 1e-4}, {"ratio": {"log": [1, 1e3, points]}})


def stored(what: str, route: str, spec: Spec, **options: Any) -> Swept:
    """A sweep from the first point to the store's last row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        began = perf_counter()
        run(spec, path, **options)
        seconds = perf_counter() - began
        with Store(path) as store:
            gap = store.arrays("gap")[0]
    return Swept(what, route, len(spec.grid), float(np.mean(gap <= 1e-9)), seconds)


def isolated(what: str, name: str) -> Swept:
    """The same in a process of its own, with its peak memory."""
    code = f"from benchmarks.sweeps import alone; alone({name!r})"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    return Swept(what, "vectorised, stored", int(out[0]), float(out[1]), float(out[2]), float(out[3]))


def alone(name: str) -> None:
    """Body of `isolated`: prints points, share certified, seconds and peak memory in MB."""
    found = stored(name, "", million() if name == "million" else Spec.load(name))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(found.points, found.certified, found.seconds, peak)


def fang(runs: int) -> list[Swept]:
    """The 41 points of Fang et al. (2021), figure 3, E_H = 5, solve time alone, beside cvxpy with SCS at its defaults."""
    ratio, times = np.geomspace(1.0, 1e4, 41), []
    sizes = np.round(1000 * ratio)
    solved = None
    for _ in range(runs):
        began = perf_counter()
        solved = solve_steps(majority=5, minority=5, n_majority=sizes, n_minority=1000.0, radius=10 * 5**0.5)
        times.append(perf_counter() - began)
    assert solved is not None
    share = float(np.mean(solved.gap <= 1e-9))
    rows = [
        Swept(
            "Fang, 41 points", "vectorised", 41, share, median(times), None, f"largest cosine {solved.cos_minority.max():.6f}"
        )
    ]
    began, gaps, cosines = perf_counter(), [], []
    for size in sizes:
        counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=int(size), n_minority=1000)
        found = Convex(profile="scs")(ufm.Problem(counts, regularizer=ufm.NormBudget(1.0, 5.0)))
        gaps.append(found.certificate.relative_gap)
        cosine = ufm.geometry(found)["cos_minority"]
        cosines.append(np.nan if cosine is None else cosine)
    seconds = perf_counter() - began
    worst = f"worst gap {max(gaps):.0e}, cosine off by {np.nanmax(np.abs(np.array(cosines) - solved.cos_minority)):.0e}"
    rows.append(Swept("Fang, 41 points", "cvxpy, SCS", 41, float(np.mean(np.array(gaps) <= 1e-9)), seconds, None, worst))
    return rows


def all_sweeps(progress: Callable[[str], None]) -> list[Swept]:
    """All rows."""
    progress("Fang's curve")
    rows = fang(21)
    progress("phase diagram, 200 x 200")
    rows.append(isolated("phase 200 x 200", "phase"))
    progress("a million points")
    rows.append(isolated("decay 1000 x 1000", "million"))
    few, many = single(FEW), single(MANY)
    points = list(many.grid.points(0, MANY))
    bare = {cores: _bare(many.task, points, cores) for cores in (1, 2)}
    for route, workers, cluster in (("in this process", 1, False), ("2 processes", 2, False), ("Dask, 2 workers", 2, True)):
        progress(f"{MANY} single points, {route}")
        with dask("local", workers) if cluster else nullcontext(None) as executor:
            small, large = (
                stored("long tail, single", route, spec, workers=workers, executor=executor) for spec in (few, many)
            )
        # The difference of two lengths leaves out what starting costs.
        steady = (large.seconds - small.seconds) / (MANY - FEW)
        start = small.seconds - FEW * steady
        over = steady / bare[workers] - 1
        remark = f"start {start:.1f} s, then {over:+.0%} beside {1e3 * bare[workers]:.2f} ms a point without pool and store"
        rows.append(replace(large, remark=remark))
    return rows


def _bare(task: str, points: list[Any], cores: int) -> float:
    """Seconds per point of the computation alone, on one core or on two at once (which slow each other down)."""
    with processes(cores) as pool:
        wait([pool.submit(compute, task, points[:20]) for _ in range(2 * cores)])
        began = perf_counter()
        parts = [points[k::cores] for k in range(cores)]
        wait([pool.submit(compute, task, part) for part in parts])
        return (perf_counter() - began) / len(points)
