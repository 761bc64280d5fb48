"""Heads that are not convex: search with a global bound beside what a user would write, Adam and gradient descent in numpy.

The peers minimise the same objective over class means (W, V, H or W, A, H) from 20 seeds: plain loops, hand-written
gradients, a step size that was tuned for them. A row gives the best value over all seeds and how many seeds reached it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import numpy as np

import ufm
from ufm._arrays import Floats
from ufm.solvers import Multistart

SEEDS = 20
STEPS = 3000
CLASSES, SIZE = 10, 5
DECAY = 2.0**-10


@dataclass(frozen=True)
class Found:
    """One route: evaluations of the objective, best value, share of starts that reach it, certified gap or None, seconds."""

    problem: str
    route: str
    evaluations: int
    value: float
    hits: float
    gap: float | None
    seconds: float


def layers_loss(arrays: list[Floats]) -> tuple[float, list[Floats]]:
    """Two linear layers on balanced classes: value and gradient by W, V, H (class means)."""
    w, v, h = arrays
    inner = v @ h
    logits = w @ inner
    logits -= logits.max(axis=0)
    mass = np.exp(logits)
    total = mass.sum(axis=0)
    value = float(np.mean(np.log(total) - np.diag(logits)))
    slope = mass / total
    slope[np.arange(CLASSES), np.arange(CLASSES)] -= 1.0
    slope /= CLASSES
    value += 0.5 * DECAY * float(np.sum(w**2) + np.sum(v**2) + SIZE * np.sum(h**2))
    back = w.T @ slope
    return value, [slope @ inner.T + DECAY * w, back @ h.T + DECAY * v, v.T @ back + DECAY * SIZE * h]


def adam(arrays: list[Floats], steps: int) -> float:
    """Adam with a step size that falls from 0.05."""
    first, second = [np.zeros_like(a) for a in arrays], [np.zeros_like(a) for a in arrays]
    for t in range(1, steps + 1):
        _, slopes = layers_loss(arrays)
        rate = 0.05 / np.sqrt(1.0 + t / 300.0)
        for i, g in enumerate(slopes):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            arrays[i] = arrays[i] - rate * (first[i] / (1 - 0.9**t)) / (np.sqrt(second[i] / (1 - 0.999**t)) + 1e-8)
    return layers_loss(arrays)[0]


def descent(arrays: list[Floats], steps: int) -> float:
    """Gradient descent with momentum 0.9 and step size 0.3."""
    moved = [np.zeros_like(a) for a in arrays]
    for _ in range(steps):
        _, slopes = layers_loss(arrays)
        moved = [0.9 * m - 0.3 * g for m, g in zip(moved, slopes, strict=True)]
        arrays = [a + m for a, m in zip(arrays, moved, strict=True)]
    return layers_loss(arrays)[0]


def peers(name: str, run: Callable[[list[Floats], int], float]) -> Found:
    """A plain loop from all seeds."""
    start = perf_counter()
    values = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        values.append(run([0.5 * rng.standard_normal((CLASSES, CLASSES)) for _ in range(3)], STEPS))
    best = min(values)
    hits = float(np.mean(np.array(values) <= best * (1 + 1e-4)))
    return Found("two layers", name, SEEDS * STEPS, best, hits, None, perf_counter() - start)


def ours(name: str, problem: ufm.Problem, method: str | Multistart, runs: int) -> Found:
    """The search (or the closed form) with its certificate."""
    times, solution = [], None
    for _ in range(runs):
        start = perf_counter()
        solution = ufm.solve(problem, method=method)
        times.append(perf_counter() - start)
    assert solution is not None
    values = np.array([c.value for c in solution.candidates if c.name.startswith("random")] or [solution.value])
    hits = float(np.mean(values <= solution.value * (1 + 1e-4)))
    gap = solution.certificate.relative_gap
    return Found(name, solution.method, solution.stats.evaluations, solution.value, hits, gap, median(times))


def searches(progress: Callable[[str], None]) -> list[Found]:
    """All rows."""
    small = ufm.WeightDecay(DECAY, DECAY)
    layers = ufm.Problem(ufm.balanced(CLASSES, SIZE), regularizer=small, head=ufm.Explicit(2))
    deq = ufm.Problem([900] * 5 + [100] * 5, regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), head=ufm.DecayedDEQ(0.05, 0.5))
    squared = ufm.Problem([30, 20, 10, 5], regularizer=small, loss=ufm.SquaredError(), head=ufm.Explicit(3))
    progress("20 starts, two layers")
    rows = [ours("two layers", layers, Multistart(), 3)]
    progress("Adam, two layers")
    rows.append(peers("Adam", adam))
    progress("gradient descent, two layers")
    rows.append(peers("gradient descent", descent))
    progress("20 starts, decayed DEQ")
    rows.append(ours("decayed DEQ, R=9", deq, Multistart(), 3))
    progress("squared error")
    rows.append(ours("mse, 3 layers", squared, "auto", 200))
    return rows


def jumps(progress: Callable[[str], None]) -> list[tuple[str, float, float]]:
    """(what, ratio, seconds) of thresholds that jump, at K = 10 to a relative 1e-6."""
    rows = []
    for decay in (0.05, 0.01):
        progress(f"jump threshold, decay {decay} on A")
        start = perf_counter()
        found = ufm.threshold(
            classes=(5, 5), regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), minority_count=100, head=ufm.DecayedDEQ(decay, 0.5)
        )
        rows.append((f"deq:decay={decay},contraction=0.5", found.value, perf_counter() - start))
    return rows
