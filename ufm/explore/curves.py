"""The minority cosine against the imbalance ratio, with the threshold from which on it is 1."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter

import numpy as np

from ufm._arrays import Floats
from ufm.analysis.solution_geometry import geometry
from ufm.analysis.thresholds import Threshold, threshold
from ufm.errors import ConvergenceError, InputError
from ufm.explore.budgets import ladders
from ufm.explore.settings import LARGEST, Settings
from ufm.problem import NormBudget
from ufm.solvers.automatic import solve
from ufm.solvers.convex.step_imbalance import StepSolutions, solve_steps

POINTS, FEW = 96, 25
"""Points of a curve from closed forms under decay, and of one whose points are solved one by one."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Mean cosine between minority classifiers of the optimum, for each ratio.

    Attributes
    ----------
    ratio : (n,) float64, R, increasing from 1
    cosine : (n,) float64; NaN where there is none (a single minority class, or classifiers that vanish)
    gap : float, the largest relative certified gap of these optima (level "float")
    threshold : Threshold or None
    refusal : str, why there is no threshold, or ""
    seconds : float, time that it took
    """

    ratio: Floats
    cosine: Floats
    gap: float
    threshold: Threshold | None
    refusal: str
    seconds: float


def curve(settings: Settings) -> Curve:
    """The curve of these settings; their own ratio has no effect, and the last curves are remembered.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    Curve

    Raises
    ------
    InputError
        The problem refuses the settings.

    Examples
    --------
    >>> found = curve(Settings())
    >>> float(found.threshold), float(found.cosine[found.ratio >= 7.0][0]), found.gap < 1e-9
    (7.0, 1.0, True)
    """
    return _curve(replace(settings, ratio=1.0))


@lru_cache(maxsize=64)
def _curve(settings: Settings) -> Curve:
    began = perf_counter()
    found, refusal = None, ""
    try:
        found = threshold(
            classes=(settings.majority, settings.minority), regularizer=settings.regularizer, loss=settings.loss,
            minority_count=settings.sampled, head=settings.head, level=settings.level,
        )  # fmt: skip
    except (InputError, ConvergenceError) as error:
        refusal = str(error)
    if settings.closed:
        ratio, steps = _closed(settings)
        ratio, cosine = _with_corner(ratio, steps.cos_minority, found)
        return Curve(ratio, cosine, float(steps.gap.max()), found, refusal, perf_counter() - began)
    points = [replace(settings, ratio=float(r)) for r in np.geomspace(1.0, LARGEST, FEW)]
    solved = [solve_one(point) for point in points]
    ratio, cosine = np.array([point.at for point in points]), np.array([cosine for cosine, _ in solved])
    return Curve(ratio, cosine, max(gap for _, gap in solved), found, refusal, perf_counter() - began)


def _closed(settings: Settings) -> tuple[Floats, StepSolutions]:
    """Ratios, and the optima there; under budgets their norms are within a relative 1e-7 of the budgets."""
    gain, classes = settings.head.exact_gain, (settings.majority, settings.minority)
    assert gain is not None
    if isinstance(settings.regularizer, NormBudget):
        ladder = ladders(*classes, float(gain))
        return ladder.ratio, ladder.solve(sum(classes) * settings.strength * float(gain))
    ratio = np.geomspace(1.0, LARGEST, POINTS)
    return ratio, solve_closed(settings, ratio, settings.strength)


def _with_corner(ratio: Floats, cosine: Floats, found: Threshold | None) -> tuple[Floats, Floats]:
    """A curve with the point at which it becomes 1, where the minority collapses between two of its points."""
    place = 0 if found is None else int(np.searchsorted(ratio, found.value))
    if found is None or found.group != "minority" or not (0 < place < len(ratio) and cosine[place] > 1 - 1e-9):
        return ratio, cosine
    return np.insert(ratio, place, found.value), np.insert(cosine, place, 1.0)


def solve_closed(settings: Settings, ratio: Floats, strength: Floats | float) -> StepSolutions:
    """Optima at ratios and strengths from closed forms; class sizes are not rounded.

    Parameters
    ----------
    settings : Settings that are `Settings.closed`
    ratio : (n,) array
    strength : float or array that broadcasts against the ratios, in place of `Settings.strength`

    Returns
    -------
    StepSolutions
    """
    gain, classes = settings.head.exact_gain, settings.majority + settings.minority
    assert gain is not None
    count = settings.minority_count
    budget = isinstance(settings.regularizer, NormBudget)
    return solve_steps(
        majority=settings.majority, minority=settings.minority, n_majority=ratio * count, n_minority=count,
        mu=None if budget else strength / float(gain), radius=classes * strength * float(gain) if budget else None,
    )  # fmt: skip


def solve_one(settings: Settings) -> tuple[float, float]:
    """Minority cosine (NaN where there is none) and relative certified gap of one solution.

    Parameters
    ----------
    settings : Settings
    """
    found = solve(settings.problem)
    cosine = geometry(found)["cos_minority"]
    return np.nan if cosine is None else cosine, found.relative_gap
