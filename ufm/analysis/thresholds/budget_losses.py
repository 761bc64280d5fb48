r"""Norm budgets under any convex loss with a known pull: the ratio enclosed by bisection on certified values.

Let ``N(mu)`` be the nuclear norm of the optimum under decay per class at the price ``mu``. A group is collapsed under the
radius C iff ``C <= N(mu_g)`` at its critical price ``mu_g`` (docs/theory, Proposition 7.14). The optimal value ``F`` is concave
in the price with the slope N, so that certified values of *two* problems under decay decide it:

.. math:: \frac{F(\mu + \delta) - F(\mu)}{\delta} \le N(\mu) \le \frac{F(\mu) - F(\mu - \delta)}{\delta} .
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import sqrt

from ufm._balls import ball, outward, working_precision
from ufm.analysis.thresholds.enclosed import Threshold
from ufm.analysis.thresholds.groups import BOTH, critical_prices
from ufm.errors import InputError
from ufm.problem.losses import Loss
from ufm.problem.problem import Problem
from ufm.problem.regularizers import NormBudget, WeightDecay
from ufm.solvers.automatic import solve
from ufm.targets.counts import step_imbalanced

SAMPLES = 10**7
"""Samples of a minority class; under budgets only ratios of sizes matter, and this makes them fine."""
STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
"""Relative differences of the two prices that are tried: large ones miss by the curvature, small ones by the gap."""
RELATIVE = 2e-6
"""Relative width to which a ratio is enclosed, unless verdicts are undecided before."""
GROWTH = 2.0
MAX_RATIO = 1e6


def budget_loss_threshold(
    majority: int, minority: int, regularizer: NormBudget, gain: Fraction, level: str, loss: Loss
) -> Threshold:
    """The first ratio at which a group is collapsed, enclosed between two ratios at which the contrary is certified.

    Parameters
    ----------
    majority, minority : int, K_A >= 1 and K_B >= 2
    regularizer : NormBudget
    gain : Fraction, ``c_eff / c``
    level : {"float", "rigorous"}, of the certified values
    loss : Loss with a known pull

    Returns
    -------
    Threshold

    Raises
    ------
    InputError
        No group collapses at a ratio up to `MAX_RATIO`, or the budget is beyond what float64 can certify.
    """
    names = [name for name, m in zip(BOTH, (majority, minority), strict=True) if m > 1]
    low = 1 + 2.0 / SAMPLES
    asks = {name: Decision(majority, minority, regularizer, gain, level, loss, name) for name in names}
    signs = {name: ask(low) for name, ask in asks.items()}
    if max(signs.values()) >= 0:
        raise InputError(
            f"budget {regularizer.weight:g},{regularizer.features:g} has a group collapsed, or undecided, at R = 1 already; "
            "raise the budget"
        )
    high = low
    decided: dict[str, float] = {}  # the last ratio at which each group is not collapsed
    while max(signs.values()) <= 0:
        if high >= MAX_RATIO:
            raise InputError(
                f"budget {regularizer.weight:g},{regularizer.features:g} collapses no group at ratios up to {MAX_RATIO:g} that "
                f"were tried with the loss {loss}; lower the budget"
            )
        decided |= {name: high for name in names if signs[name] < 0}
        high = min(high * GROWTH, MAX_RATIO)
        signs = {name: ask(high) for name, ask in asks.items()}
    ends = {}
    for name, ask in asks.items():
        after, sign = high, signs[name]
        # Undecided where the other group is collapsed: it may have been the first.
        while sign == 0 and after < MAX_RATIO:
            after = min(after * GROWTH, MAX_RATIO)
            sign = ask(after)
        if sign > 0:
            ends[name] = bisect(ask, decided[name], after)
    first = min(ends, key=lambda name: ends[name])
    together = [name for name in ends if ends[name][0] <= ends[first][1]]
    lower, upper = ends[first][0], max(ends[name][1] for name in together)
    note = "the first change of the certified verdict among ratios that double from 1; that there is no other is not proved"
    group = "both" if len(together) == 2 else first
    return Threshold("ratio", sqrt(lower * upper), lower, upper, level, "continuous", note, group)


def bisect(decide: Callable[[float], int], low: float, high: float) -> tuple[float, float]:
    """Narrow an interval of ratios while verdicts are decided.

    Parameters
    ----------
    decide : callable from float to {-1, 0, 1}
    low, high : float, ratios at which it is negative and positive

    Returns
    -------
    float, float
        Ratios, multiples of ``1 / SAMPLES``, at which it is negative and positive.
    """
    low_open, high_open = high, low  # ends of the ratios at which the verdict is undecided, once there are some
    while high / low > 1 + RELATIVE and low_open > high_open:
        middle = sqrt(low * high)
        found = decide(middle)
        if found == 0:
            low_open = high_open = middle
        low, high = (middle, high) if found < 0 else (low, middle) if found > 0 else (low, high)
    while low_open <= high_open and low_open / low > 1 + RELATIVE:
        middle = sqrt(low * low_open)
        low, low_open = (middle, low_open) if decide(middle) < 0 else (low, middle)
    while low_open <= high_open and high / high_open > 1 + RELATIVE:
        middle = sqrt(high * high_open)
        high, high_open = (middle, high_open) if decide(middle) > 0 else (high, middle)
    return whole(low) / SAMPLES, whole(high) / SAMPLES


def whole(ratio: float) -> int:
    """Samples of a majority class at a ratio."""
    return round(ratio * SAMPLES)


class Decision:
    """Whether a group is collapsed under a budget at a ratio, by certified values: 1 yes, -1 no, 0 undecided.

    Parameters
    ----------
    majority, minority : int
    regularizer : NormBudget
    gain : Fraction
    level : {"float", "rigorous"}
    loss : Loss
    name : {"majority", "minority"}
    """

    def __init__(
        self, majority: int, minority: int, regularizer: NormBudget, gain: Fraction, level: str, loss: Loss, name: str
    ) -> None:
        self.classes = majority, minority
        self.level, self.loss, self.index = level, loss, BOTH.index(name)
        from flint import arb

        with working_precision():
            radius = (arb(regularizer.weight) * arb(regularizer.features)).sqrt() * (majority + minority) * ball(gain)
            self.radius = outward(radius)

    def __call__(self, ratio: float) -> int:
        from flint import arb

        sizes = whole(ratio), SAMPLES
        assert self.loss.pull is not None
        with working_precision():
            price = outward(critical_prices(self.loss.pull, [arb(n) for n in sizes], self.classes, True)[self.index])
        # N falls with the price, so that what holds at a larger price holds at the critical one.
        below, above = price
        nearest = self.value(sizes, below), self.value(sizes, above)
        for step in STEPS:
            further, nearer = above * (1 + step), below * (1 - step)
            with working_precision():
                if arb(self.value(sizes, further)[0]) - nearest[1][1] >= (arb(further) - above) * self.radius[1]:
                    return 1
                if arb(nearest[0][1]) - self.value(sizes, nearer)[0] < (arb(below) - nearer) * self.radius[0]:
                    return -1
        return 0

    def value(self, sizes: tuple[int, int], price: float) -> tuple[float, float]:
        """Certified bounds of the optimal value under decay per class at a price."""
        counts = step_imbalanced(majority=self.classes[0], minority=self.classes[1], n_majority=sizes[0], n_minority=sizes[1])
        problem = Problem(counts, regularizer=WeightDecay(price, price, per_class=True), loss=self.loss)
        found = solve(problem, level=self.level).certificate
        return found.lower, found.upper
