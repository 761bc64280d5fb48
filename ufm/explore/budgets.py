"""Budgets by way of multipliers: optima of the Lagrangian form, from which diagrams and curves over budgets are drawn.

Under norm budgets the optimum is that of the Lagrangian form at the multiplier for which its nuclear norm is the radius, and
the norm falls with the multiplier (docs/theory, Proposition 4.4). One ladder of multipliers for each ratio therefore has the
optima of all budgets between its rungs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ufm._arrays import Floats
from ufm.explore.settings import BUDGETS, LARGEST
from ufm.solvers.convex.step_imbalance import StepSolutions, solve_steps

RATIOS = 60
"""Ratios from 1 to `LARGEST`."""
COLLAPSED, SEPARATED = 24, 32
"""Rungs of a ladder: with the minority collapsed, and twice this without."""
CLOSE = 1e-7
"""Relative distance of the nuclear norm from its radius at which a multiplier is taken."""
STEPS = 40
"""Largest number of steps from two rungs to that multiplier; about ten are taken."""


@dataclass(frozen=True, eq=False)
class Ladders:
    """Optima of the Lagrangian form, one row of multipliers for each ratio.

    Attributes
    ----------
    majority, minority : int, K_A and K_B
    ratio : (m,) float64, R
    log_mu : (m, n) float64, logarithms of the multipliers, falling
    norm : (m, n) float64, nuclear norms of the logits, rising from 0
    cosine : (m, n) float64, minority cosines; NaN where there is none
    gap : float, the largest relative certified gap
    """

    majority: int
    minority: int
    ratio: Floats
    log_mu: Floats
    norm: Floats
    cosine: Floats
    gap: float

    def cosines(self, radius: Floats) -> Floats:
        """Minority cosines at all radii, interpolated between rungs: (r, m) for (r,) radii."""
        rows = []
        for norm, cosine in zip(self.norm, self.cosine, strict=True):
            known = norm > 0  # NaN where minority classifiers vanish, which interpolation keeps
            rows.append(np.interp(np.log(radius), np.log(norm[known]), cosine[known], right=np.nan))
        return np.array(rows).T

    def solve(self, radius: float) -> StepSolutions:
        """Optima at one radius, for each ratio; norms are within a relative `CLOSE` of it.

        Parameters
        ----------
        radius : float > 0
        """
        place = np.arange(len(self.ratio))
        rung = np.clip((self.norm < radius).sum(axis=1), 1, self.norm.shape[1] - 1)
        (low, f_low), (high, f_high) = ((self.log_mu[place, k], self.norm[place, k] - radius) for k in (rung - 1, rung))
        for step in range(STEPS):
            middle = (low * f_high - high * f_low) / np.where(f_high > f_low, f_high - f_low, 1.0)
            middle = np.where((step % 3 == 2) | (f_high <= f_low), 0.5 * (low + high), middle)
            found = lagrangian(self.majority, self.minority, self.ratio, np.exp(middle))
            value = found.nuclear_norm - radius
            if (np.abs(value) <= CLOSE * radius).all():
                return found
            # Regula falsi, with a bisection every third step.
            below = value < 0
            low, f_low = np.where(below, middle, low), np.where(below, value, f_low)
            high, f_high = np.where(below, high, middle), np.where(below, f_high, value)
        return solve_steps(majority=self.majority, minority=self.minority, n_majority=self.ratio, n_minority=1.0, radius=radius)


def lagrangian(majority: int, minority: int, ratio: Floats, mu: Floats) -> StepSolutions:
    """Optima of the Lagrangian form of budgets, which depends on class sizes by their ratio alone.

    Parameters
    ----------
    majority, minority : int, K_A and K_B
    ratio : (m,) array, R
    mu : (m,) or (m, n) array, multipliers for each ratio

    Returns
    -------
    StepSolutions
    """
    sizes = ratio if mu.ndim == 1 else ratio[:, None]
    return solve_steps(majority=majority, minority=minority, n_majority=sizes, n_minority=1.0, mu=mu, per_class=True)


@lru_cache(maxsize=64)
def ladders(majority: int, minority: int, gain: float) -> Ladders:
    """The ladders up to the largest budget of the controls; the last ones are remembered.

    Parameters
    ----------
    majority, minority : int, K_A and K_B
    gain : float, factor by which the head enlarges features

    Returns
    -------
    Ladders

    Examples
    --------
    >>> found, radius = ladders(5, 5, 1.0), 10 * 5**0.5
    >>> exact = solve_steps(majority=5, minority=5, n_majority=found.ratio, n_minority=1.0, radius=radius)
    >>> bool(abs(found.solve(radius).cos_minority - exact.cos_minority).max() < 1e-6)
    True
    """
    r, classes = np.geomspace(1.0, LARGEST, RATIOS), majority + minority
    largest = classes * gain * BUDGETS[1]
    # From the share of a majority class on all logits are zero, and from that of a minority class on it is collapsed; below,
    # the logits grow by about one with each factor e.
    shares = np.log(np.array([r, np.ones_like(r)]) / (majority * r + minority))
    deepest = largest / (classes - 1) + np.log(LARGEST) + 5.0
    above = shares[1] + (shares[0] - shares[1]) * np.linspace(1.0 - 1e-6, 0.0, COLLAPSED)[:, None]
    below = shares[1] - np.append(np.geomspace(1e-4, 1.0, SEPARATED), np.linspace(1.2, deepest, SEPARATED))[:, None]
    log_mu = np.concatenate([above, below]).T
    steps = lagrangian(majority, minority, r, np.exp(log_mu))
    norm, cosine = steps.nuclear_norm.reshape(log_mu.shape), steps.cos_minority.reshape(log_mu.shape)
    return Ladders(majority, minority, r, log_mu, norm, cosine, float(steps.gap.max()))
