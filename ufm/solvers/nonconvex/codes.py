"""Structured candidates: logits ``t C`` with a fixed code C and the best scale t.

For which linear layers pairs beat the simplex ETF at small decay: docs/theory, Proposition 7.11.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ufm._arrays import Floats
from ufm.spectral.program import LogitProgram, Point


def blocks(n_classes: int, size: int) -> Floats:
    """(K, K) block-diagonal code: a simplex ETF within each block of consecutive classes, zero between blocks.

    Blocks have ``size`` classes; the last one also has the remainder. Size K is the simplex ETF; size 2 is the pair code
    ``I (x) [[1, -1], [-1, 1]] / 2`` of rank K/2 (Garrod & Keating 2025; locator unknown).

    Examples
    --------
    >>> blocks(4, 2)[0].tolist()
    [0.5, -0.5, 0.0, 0.0]
    """
    code = np.zeros((n_classes, n_classes))
    starts = list(range(0, n_classes - n_classes % size, size)) or [0]
    for place, start in enumerate(starts):
        stop = n_classes if place == len(starts) - 1 else start + size
        code[start:stop, start:stop] = np.eye(stop - start) - 1.0 / (stop - start)
    return code


def polygon(n_classes: int) -> Floats:
    """(K, K) code of rank 2: inner products of the K corners of a regular polygon on the unit circle, K >= 2.

    Its least margin is ``1 - cos(2 pi / K)``, its two singular values are K/2. No code of lower rank separates K >= 3 classes.

    Examples
    --------
    >>> polygon(4).round(12).tolist()[0]
    [1.0, 0.0, -1.0, -0.0]
    """
    angle = 2.0 * np.pi * np.arange(n_classes) / n_classes
    return np.cos(angle[:, None] - angle)


def least_margin(code: Floats) -> float:
    """Least margin ``min over j != k of M[k, k] - M[j, k]`` of a (K, K) code M, K >= 2.

    >>> least_margin(blocks(4, 2))
    0.5
    """
    margins = np.diag(code) - code
    np.fill_diagonal(margins, np.inf)
    return float(margins.min())


def joined(*codes: Floats) -> Floats:
    """Block-diagonal code of several codes of at least two classes each, all scaled to the same least margin.

    Margins to the classes of other blocks, which are the diagonal entries, count as well as those within a block.

    Parameters
    ----------
    *codes : (m, m) float64 arrays with positive margins

    Returns
    -------
    (K, K) float64, K the sum of all m

    Examples
    --------
    >>> joined(blocks(2, 2), polygon(4)).shape
    (6, 6)
    """
    sizes = [len(code) for code in codes]
    found = np.zeros((sum(sizes), sum(sizes)))
    for stop, size, code in zip(np.cumsum(sizes), sizes, codes, strict=True):
        margin = least_margin(code) if len(codes) == 1 else min(least_margin(code), float(np.diag(code).min()))
        found[stop - size : stop, stop - size : stop] = code / margin
    return found


def names(n_classes: int) -> Iterator[tuple[str, Floats]]:
    """Names and (K, K) arrays of codes: the simplex ETF, and blocks of two, of three, and of half of the classes."""
    yield "etf", blocks(n_classes, n_classes)
    for name, size in (("pair", 2), ("triple", 3), ("half", n_classes // 2)):
        if 2 <= size <= n_classes // 2 and (name != "half" or size > 3):
            yield name, blocks(n_classes, size)


def best_scale(program: LogitProgram, code: Floats) -> tuple[float, Point]:
    """The best multiple of a code on the full K x K program (the multiple 0 included).

    ``code`` is (K, K). Returns the objective (nats) and the point.
    """
    from scipy.optimize import minimize_scalar

    penalty, zero = program.penalty, np.zeros(program.groups)
    core = code * program.scale
    sigma = np.linalg.svd(core, compute_uv=False)
    sigma = np.where(sigma > 1e-13 * sigma.max(), sigma, 0.0)
    ones = np.ones(len(sigma))

    def point(t: float) -> Point:
        return Point(zero, t * core, zero)

    largest = 1.0 / penalty.gauge(sigma, ones) if penalty.ball else 400.0

    def value(t: float) -> float:
        return program.smooth(point(t)).value + (0.0 if penalty.ball else penalty.value(t * sigma, ones))

    grid = np.concatenate([[0.0], np.geomspace(2.5e-6 * largest, largest, 60)])
    values = [value(float(t)) for t in grid]
    place = int(np.argmin(values))
    low, high = grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)]
    found = minimize_scalar(value, bounds=(float(low), float(high)), method="bounded", options={"xatol": 1e-10})
    t = float(found.x) if found.fun < values[place] else float(grid[place])
    return value(t), point(t)
