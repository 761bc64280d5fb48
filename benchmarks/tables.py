"""Tables of targets beside L-BFGS on W and H: next-token contexts, each with a few tokens in its support.

Contexts come from a seeded draw: support by popularity, conditional distributions uniform on the simplex, context sizes with a
heavy tail. The peer starts from seeded Gaussians, knows the class means' gradient, and has no certificate of its own.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np

import ufm
from benchmarks.core import Row
from ufm._arrays import Floats
from ufm.solvers import Table

SHAPES = ((300, 50, 1e-4), (2000, 200, 1e-4), (2000, 200, 3e-5))
"""Contexts, tokens, and both decays."""
SUPPORT = 5
TOLERANCE = 1e-6


def next_tokens(contexts: int, tokens: int, decay: float) -> ufm.Problem:
    """The problem of a seeded table of next tokens.

    Parameters
    ----------
    contexts, tokens : int
    decay : float, on W and on H

    Returns
    -------
    ufm.Problem
    """
    rng = np.random.default_rng(0)
    popular = np.arange(1, tokens + 1) ** -0.8
    counts = np.zeros((contexts, tokens), dtype=np.int64)
    for m in range(contexts):
        support = rng.choice(tokens, SUPPORT, replace=False, p=popular / popular.sum())
        size = max(int(2000 / (m + 1) ** 0.7), 10)
        counts[m, support] = 1 + rng.multinomial(size, rng.dirichlet(np.ones(SUPPORT)))
    return ufm.Problem(ufm.TargetTable.next_token(counts), regularizer=ufm.WeightDecay(decay, decay))


def all_tables(quick: bool, progress: Callable[[str], None]) -> list[Row]:
    """All rows."""
    rows = []
    for contexts, tokens, decay in SHAPES[: 1 if quick else None]:
        name = f"{contexts} x {tokens}, decay {decay:g}"
        progress(f"next tokens, {name}")
        code = f"from benchmarks.tables import alone; alone({contexts}, {tokens}, {decay})"
        out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
        rows.append(Row(name, "table", int(out[0]), float(out[1]), float(out[2]), float(out[3])))
        progress(f"next tokens, {name}, L-BFGS")
        rows.append(unstructured(name, next_tokens(contexts, tokens, decay), float(out[4]), 10.0 if quick else 60.0))
    return rows


def alone(contexts: int, tokens: int, decay: float) -> None:
    """One solution in this process: prints steps, certified gap, seconds, peak memory in MB and the lower bound."""
    problem = next_tokens(contexts, tokens, decay)
    start = perf_counter()
    found = Table(tolerance=TOLERANCE)(problem)
    seconds = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(found.stats.iterations, found.relative_gap, seconds, peak, found.lower)


def unstructured(name: str, problem: ufm.Problem, target: float, limit: float) -> Row:
    """L-BFGS on W and H until it is within the tolerance of our lower bound or out of time; the gap is its distance to that.

    Parameters
    ----------
    name : str
    problem : ufm.Problem, with a table
    target : float, the certified lower bound
    limit : float, seconds

    Returns
    -------
    Row
    """
    from scipy.optimize import minimize

    value_and_slope, size = objective(problem)
    best, count, start = [np.inf], [0], perf_counter()

    def seen(theta: Floats) -> tuple[float, Floats]:
        value, slope = value_and_slope(theta)
        best[0] = min(best[0], value)
        if best[0] <= target * (1 + TOLERANCE) or perf_counter() - start > limit:
            raise StopIteration
        return value / target, slope / target

    def counted(_: Any) -> None:
        count[0] += 1

    theta = np.random.default_rng(0).standard_normal(size) / 10.0
    options = {"maxiter": 10**6, "maxfun": 10**6, "maxcor": 20, "ftol": 0.0, "gtol": 0.0}
    with suppress(StopIteration):
        minimize(seen, theta, jac=True, method="L-BFGS-B", callback=counted, options=options)
    return Row(name, "L-BFGS on W, H", count[0], best[0] / target - 1, perf_counter() - start)


def objective(problem: ufm.Problem) -> tuple[Callable[[Floats], tuple[float, Floats]], int]:
    """Value and gradient on W (K x K) and H (K x M), written without this package, and the number of unknowns."""
    table, decay = problem.targets, problem.regularizer  # type: ignore[attr-defined]
    assert isinstance(decay, ufm.WeightDecay)
    targets, sizes = table.columns, np.array(table.sizes, dtype=np.float64)
    rows, contexts = targets.shape
    share = sizes / sizes.sum()

    def value_and_slope(theta: Floats) -> tuple[float, Floats]:
        w, h = theta[: rows**2].reshape(rows, rows), theta[rows**2 :].reshape(rows, contexts)
        logits = w @ h
        logits -= logits.max(axis=0)
        odds = np.exp(logits)
        total = odds.sum(axis=0)
        value = float(share @ (np.log(total) - (targets * logits).sum(axis=0)))
        value += 0.5 * decay.weight * float((w * w).sum()) + 0.5 * decay.features * float((h * h).sum(axis=0) @ sizes)
        slope = (odds / total - targets) * share
        parts = [(slope @ h.T + decay.weight * w).ravel(), (w.T @ slope + decay.features * sizes * h).ravel()]
        return value, np.concatenate(parts)

    return value_and_slope, rows**2 + rows * contexts
