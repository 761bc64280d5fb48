"""The phase diagram: the minority cosine over the imbalance ratio and the strength of decay or budgets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter

import numpy as np

from ufm._arrays import Floats
from ufm.analysis.thresholds import threshold
from ufm.analysis.thresholds.budget import critical_budget
from ufm.errors import ConvergenceError, InputError
from ufm.explore.budgets import RATIOS, ladders
from ufm.explore.curves import solve_closed, solve_one
from ufm.explore.settings import BUDGETS, DECAYS, LARGEST, Settings
from ufm.problem import NoDecay, NormBudget, WeightDecay

STRENGTHS = 40
"""Strengths of a diagram from closed forms, beside `ufm.explore.budgets.RATIOS` ratios."""
FEW_RATIOS, FEW_STRENGTHS = 16, 12
"""Those of a diagram whose points are solved one by one."""


@dataclass(frozen=True, eq=False)
class Phase:
    """Mean cosine between minority classifiers over R and a strength, both in equal ratios.

    Attributes
    ----------
    ratio : (m,) float64, R
    strength : (n,) float64, see `Settings.strength`
    label : str, what the strength is
    cosine : (n, m) float64; NaN where there is none
    boundary_ratio, boundary : (b,) float64
        Where the first group collapses; strengths in `boundary`. Empty where that is not known.
    below : bool, whether it is collapsed below the boundary (budgets) or above it
    gap : float, the largest relative certified gap of the optima (level "float")
    seconds : float, time that it took
    """

    ratio: Floats
    strength: Floats
    label: str
    cosine: Floats
    boundary_ratio: Floats
    boundary: Floats
    below: bool
    gap: float
    seconds: float


def phase(settings: Settings) -> Phase:
    """The diagram for these settings; their own ratio and strength have no effect, and the last diagrams are remembered.

    Under budgets cosines are interpolated between those of `ufm.explore.budgets.Ladders`.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    Phase

    Raises
    ------
    InputError
        The problem has no strength, or it refuses the settings.

    Examples
    --------
    >>> found = phase(Settings())
    >>> found.cosine.shape, found.gap < 1e-9
    ((40, 60), True)
    """
    if isinstance(settings.regularizer, NoDecay):
        raise InputError(f"head {settings.head} has neither decay nor budgets, so there is no diagram over them")
    return _phase(replace(settings, ratio=1.0, level="float").at_strength(_ends(settings)[0]))


def points(settings: Settings) -> int:
    """How many optima a diagram takes that are solved one by one; 0 where closed forms have them, or there is no diagram.

    Parameters
    ----------
    settings : Settings
    """
    none = settings.closed or isinstance(settings.regularizer, NoDecay)
    return 0 if none else FEW_RATIOS * FEW_STRENGTHS


def _ends(settings: Settings) -> tuple[float, float]:
    return BUDGETS if isinstance(settings.regularizer, NormBudget) else DECAYS


@lru_cache(maxsize=64)
def _phase(settings: Settings) -> Phase:
    began = perf_counter()
    ratios, strengths = (RATIOS, STRENGTHS) if settings.closed else (FEW_RATIOS, FEW_STRENGTHS)
    ratio, strength = np.geomspace(1.0, LARGEST, ratios), np.geomspace(*_ends(settings), strengths)
    budget = isinstance(settings.regularizer, NormBudget)
    if not settings.closed:
        cosine, gap = _one_by_one(settings, ratio, strength)
    elif budget:
        gain, classes = settings.head.exact_gain, (settings.majority, settings.minority)
        assert gain is not None
        ladder = ladders(*classes, float(gain))
        cosine, gap = ladder.cosines(sum(classes) * float(gain) * strength), ladder.gap
    else:
        steps = solve_closed(settings, ratio[None, :], strength[:, None])
        cosine, gap = steps.cos_minority.reshape(strengths, ratios), float(steps.gap.max())
    label = "c = √(E_W E_H)" if budget else "√(λ_W λ_H)" if isinstance(settings.regularizer, WeightDecay) else "λ_W"
    return Phase(ratio, strength, label, cosine, *_boundary(settings, ratio), budget, gap, perf_counter() - began)


def _one_by_one(settings: Settings, ratio: Floats, strength: Floats) -> tuple[Floats, float]:
    found = [[solve_one(replace(settings.at_strength(float(s)), ratio=float(r))) for r in ratio] for s in strength]
    return np.array([[cosine for cosine, _ in row] for row in found]), max(gap for row in found for _, gap in row)


def _boundary(settings: Settings, ratio: Floats) -> tuple[Floats, Floats]:
    """(b,) ratios and (b,) strengths at which the first group collapses."""
    classes = settings.majority, settings.minority
    found: list[tuple[float, float]] = []
    for r in np.append(ratio[0] + 1e-6, ratio[1:]):
        try:
            if isinstance(settings.regularizer, WeightDecay):
                asked = {"minority_count": settings.minority_count, "ratio": float(r), "solve_for": "decay"}
                found.append((r, float(threshold(classes=classes, head=settings.head, loss=settings.loss, **asked))))
            elif settings.closed and settings.minority > 1:
                gain = settings.head.exact_gain
                assert gain is not None
                found.append((r, critical_budget(*classes, float(r)) / (sum(classes) * float(gain))))
        except (InputError, ConvergenceError):
            break  # not known for this head or loss
    both = np.array(found).reshape(-1, 2)
    return both[:, 0], both[:, 1]
