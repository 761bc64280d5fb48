"""Step imbalance solved anew in mpmath at 50 digits: three or four scalars, from the definitions of loss and nuclear norm.

A column of class size group A has the logits 0 (its own), -x (another class of A) and -(g + (1 - 1/K_A) x) (a class of B), with
the contrast x and the gap g between the mean logit of its group and a logit of the other. The centred logits have the singular
values ``x_A`` (K_A - 1 times), ``x_B`` (K_B - 1 times) and, between the groups, ``sqrt((v_A s_A)^2 + (v_B s_B)^2)`` with
``v = sqrt(m) g / nu`` and ``nu^2 = 1/K_A + 1/K_B``.
"""

from __future__ import annotations

from dataclasses import dataclass

import mpmath as mp
import numpy as np
from scipy.optimize import minimize

DIGITS = 50


@dataclass(frozen=True)
class StepProgram:
    """``w_A K_A loss_A + w_B K_B loss_B + mu norm``; ``flat`` holds the minority contrast at zero."""

    majority: int
    minority: int
    weights: tuple
    scales: tuple
    flat: bool = False

    def free(self):
        """Which of ``x_A, x_B, g_A, g_B`` are unknowns."""
        return [self.majority > 1, self.minority > 1 and not self.flat, True, True]

    def whole(self, unknowns):
        rest = iter(unknowns)
        return [next(rest) if is_free else 0 * unknowns[0] for is_free in self.free()]

    def loss(self, unknowns, lib=mp):
        xa, xb, ga, gb = self.whole(unknowns)
        total = 0
        groups = ((self.majority, self.minority, xa, ga), (self.minority, self.majority, xb, gb))
        for weight, (m, other, x, g) in zip(self.weights, groups, strict=True):
            odds = (m - 1) * lib.exp(-x) + other * lib.exp(-(g + x * (m - 1) / m))
            total += weight * m * lib.log(1 + odds)
        return total

    def norm(self, unknowns, lib=mp):
        xa, xb, ga, gb = self.whole(unknowns)
        sa, sb = self.scales
        nu2 = (self.majority + self.minority) / (self.majority * self.minority * (mp.mpf(1) if lib is mp else 1.0))
        between = lib.sqrt((self.majority * (ga * sa) ** 2 + self.minority * (gb * sb) ** 2) / nu2)
        return (self.majority - 1) * xa * sa + (self.minority - 1) * xb * sb + between

    def decayed(self, mu):
        """Unknowns at the optimum with the price mu on the norm."""
        count = sum(self.free())
        with mp.workdps(DIGITS):
            plain = StepProgram(self.majority, self.minority, tuple(map(float, self.weights)), tuple(map(float, self.scales)))
            plain = StepProgram(plain.majority, plain.minority, plain.weights, plain.scales, self.flat)
            found = minimize(
                lambda u: plain.loss(u, np) + float(mu) * plain.norm(u, np), np.full(count, 2.0), method="Nelder-Mead",
                options={"xatol": 1e-9, "fatol": 1e-15, "maxiter": 20_000, "maxfev": 20_000},
            )  # fmt: skip

            def slopes(*u):
                return [self.slope(u, k, mu) for k in range(count)]

            return self.whole(list(mp.findroot(slopes, list(map(mp.mpf, found.x)), tol=mp.mpf(10) ** -80, maxsteps=60)))

    def slope(self, unknowns, k, mu):
        def along(t):
            moved = list(unknowns)
            moved[k] = t
            return self.loss(moved) + mu * self.norm(moved)

        with mp.extradps(30):
            return mp.diff(along, unknowns[k])


def critical_norm(majority, minority, ratio):
    """C*(R): the nuclear norm at multiplier 1 of ``R sum_A CE + sum_B CE`` with the minority's contrast at zero."""
    with mp.workdps(DIGITS):
        program = StepProgram(majority, minority, (mp.mpf(ratio), mp.mpf(1)), (mp.mpf(1), mp.mpf(1)), flat=True)
        xa, _, ga, gb = program.decayed(mp.mpf(1))
        return program.norm([v for v, is_free in zip((xa, 0, ga, gb), program.free(), strict=True) if is_free])
