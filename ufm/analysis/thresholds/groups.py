r"""Decay per sample or per class, any loss with a known pull: which group of equal classes collapses first, and where.

A group g of at least two equal classes is collapsed iff ``mu_eff`` is at least (docs/theory, Propositions 7.1 and 7.12)

.. math:: \mu_g = \frac{(1 - \varepsilon)\, w_g \Delta_g\, n_g / s_g}{\sum_j w_j n_j}, \qquad s_g = \sqrt{n_g} \text{ or } 1 .

Under step imbalance ``1 / mu_g`` is a sum of two powers of R, so that every group has at most one ratio from which on it stays
collapsed (Proposition 7.13). Values come from float64 and enclosures from ball arithmetic, at both levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import exp, inf, log, log1p
from typing import Any

from ufm._balls import ball, outward, working_precision
from ufm.analysis.thresholds.budget import LARGEST, find_root, step_out
from ufm.analysis.thresholds.enclosed import Threshold
from ufm.errors import InputError
from ufm.problem.losses import GroupPull
from ufm.problem.regularizers import WeightDecay

BOTH = ("majority", "minority")
ROUNDING = 1e-12
"""Relative rounding error that is allowed for where a float, and no ball, decides that a group is collapsed at all ratios."""


def critical_prices(pull: GroupPull, sizes: Sequence[Any], classes: Sequence[int], per_class: bool = False) -> list[Any]:
    """``mu_g`` of every group of equal classes: it is collapsed iff it has two classes or more and ``mu_eff >= mu_g``.

    Parameters
    ----------
    pull : GroupPull, of the loss
    sizes : sequence of arb, samples of one class of each group, largest first
    classes : sequence of int, number of classes of each group
    per_class : bool, whether features are decayed class by class

    Returns
    -------
    list of arb
        Balls at the working precision, one for each group.
    """
    from flint import arb

    def read(value: float | tuple[float, ...], sign: int) -> list[Any]:
        if isinstance(value, tuple):
            return [arb(v) for v in value]
        return [(n / sizes[0]) ** arb(sign * value) for n in sizes]

    weights, temperatures = read(pull.weights, -1), read(pull.temperatures, 1)
    total = sum(w * n * m for w, n, m in zip(weights, sizes, classes, strict=True))
    kept = 1 - arb(pull.smoothing)
    reach = [n if per_class else n.sqrt() for n in sizes]
    return [kept * w * t * r / total for w, t, r in zip(weights, temperatures, reach, strict=True)]


@dataclass(frozen=True)
class StepGroups:
    """Step imbalance under a loss with a known pull.

    Attributes
    ----------
    majority, minority : int, K_A and K_B
    count : int, n_B (1 for decay per class)
    pull : GroupPull
    gain : Fraction, ``mu / mu_eff`` of the head
    per_class : bool, whether features are decayed class by class
    """

    majority: int
    minority: int
    count: int
    pull: GroupPull
    gain: Fraction
    per_class: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The groups that have two classes or more, which alone can collapse."""
        return tuple(name for name, m in zip(BOTH, (self.majority, self.minority), strict=True) if m > 1)

    def prices(self, ratio: Any, count: int | None = None) -> dict[str, Any]:
        """Balls of the decay ``sqrt(lambda_W lambda_H)`` from which on each group is collapsed at a ratio (arb)."""
        from flint import arb

        size = arb(self.count if count is None else count)
        found = critical_prices(self.pull, (size * ratio, size), (self.majority, self.minority), self.per_class)
        prices = {name: price * ball(self.gain) for name, price in zip(BOTH, found, strict=True)}
        return {name: prices[name] for name in self.names}

    def powers(self, name: str) -> tuple[float, float, float, float]:
        """``(P, p, Q, q)`` with ``gain (1 - eps) n_B / (mu_g s_B) = P R^p + Q R^q`` (docs/theory, Proposition 7.13)."""
        weights, factors, a, b = (1.0, 1.0), (1.0, 1.0), 0.0, 0.0
        if isinstance(self.pull.weights, tuple):
            weights = self.pull.weights
        else:
            a = self.pull.weights
        if isinstance(self.pull.temperatures, tuple):
            factors = self.pull.temperatures
        else:
            b = self.pull.temperatures
        reach = 1.0 if self.per_class else 0.5
        odds = weights[0] / weights[1]
        if name == "majority":
            return self.majority / factors[0], 1.0 - reach, self.minority / (odds * factors[0]), a - reach
        return self.majority * odds / factors[1], 1.0 - a + b, self.minority / factors[1], b

    def ratio(self, decay: WeightDecay, level: str) -> Threshold:
        """The ratio from which on the first group stays collapsed (docs/theory, Proposition 7.13).

        Parameters
        ----------
        decay : WeightDecay
        level : {"float", "rigorous"}

        Returns
        -------
        Threshold

        Raises
        ------
        InputError
            No group collapses for good as the ratio grows, or only beyond R = 1e260.
        ConvergenceError
            The ratio cannot be enclosed at the working precision.
        """
        found = {name: self._onset(name, decay) for name in self.names}
        begins = {name: where for name, where in found.items() if where is not None}
        if not begins:
            raise InputError(
                f"decay {decay.weight:g},{decay.features:g} collapses no group for good as the ratio grows (up to R = 1e260), "
                "whatever is collapsed at R = 1; ask for solve_for decay at one ratio, or change the loss"
            )
        first = min(begins, key=lambda name: begins[name][0])
        value, lower, upper, note = begins[first]
        together = [name for name, (_, low, _, _) in begins.items() if low <= upper]
        if len(together) == 2:
            lower, upper = min(begins[n][1] for n in BOTH), max(begins[n][2] for n in BOTH)
        elif len(self.names) == 2:
            other = next(name for name in self.names if name != first)
            later = f"only from R = {begins[other][0]:.6g} on" if other in begins else "at no larger ratio"
            note = "; ".join(filter(None, (note, f"the {other} collapses {later}")))
        return Threshold("ratio", value, lower, upper, level, "continuous", note, _named(together))

    def _onset(self, name: str, decay: WeightDecay) -> tuple[float, float, float, str] | None:
        """Value and enclosure of the ratio from which on a group stays collapsed, with a note; None where there is none."""
        from flint import arb

        first, p, second, q = self.powers(name)
        reach = log(self.count) if not self.per_class else 0.0
        target = log1p(-self.pull.smoothing) + log(float(self.gain)) - log(decay.mu) - 0.5 * reach

        def excess(t: float) -> float:
            x, y = log(first) + p * t, log(second) + q * t
            top = max(x, y)
            return top + log(exp(x - top) + exp(y - top)) - target

        def side(ratio: float) -> int:
            with working_precision():
                product = (arb(decay.weight) * arb(decay.features)).sqrt()
                difference = product - self.prices(arb(ratio))[name]
                return 1 if difference >= 0 else -1 if difference < 0 else 0

        always = 1.0, 1.0, 1.0, f"the {name} is collapsed at every ratio R >= 1"
        slack = ROUNDING * (1.0 + abs(target))
        # P R^p + Q R^q is convex in log R: it falls to its least value, and rises from there on.
        if max(p, q) <= 0:
            limit = (first if p == 0 else 0.0) + (second if q == 0 else 0.0)
            return always if limit > 0 and log(limit) >= target + slack else None
        lowest = 0.0
        if min(p, q) < 0:
            lowest = min(max(log(-p * first / (q * second)) / (q - p), 0.0), LARGEST)
        if excess(LARGEST) < 0:
            return None
        if excess(lowest) >= slack if lowest > 0 else side(1.0) > 0:
            return always
        root = lowest if excess(lowest) >= 0 else find_root(excess, lowest, LARGEST)
        value = exp(root)
        lower, upper = step_out(value, -1, lambda r: side(r) < 0), step_out(value, +1, lambda r: side(r) > 0)
        note = ""
        if excess(0.0) >= 0 and lowest > 0:
            note = f"the {name} is collapsed near R = 1 too, up to R = {exp(find_root(excess, 0.0, lowest)):.6g}"
        return min(max(value, lower), upper), lower, upper, note

    def decay(self, ratio: float, level: str) -> Threshold:
        """The decay ``sqrt(lambda_W lambda_H)`` from which on the first group is collapsed, in closed form.

        Parameters
        ----------
        ratio : float, R >= 1
        level : {"float", "rigorous"}

        Returns
        -------
        Threshold
        """
        from flint import arb

        with working_precision():
            ends = {name: outward(price) for name, price in self.prices(arb(ratio)).items()}
        return self._first("decay", ends, level, ratio)

    def minority_count(self, ratio: float, decay: WeightDecay, level: str) -> Threshold:
        """Samples n_B of each minority class from which on the first group is collapsed, in closed form; not rounded.

        Parameters
        ----------
        ratio : float, R >= 1
        decay : WeightDecay, per sample
        level : {"float", "rigorous"}

        Returns
        -------
        Threshold
        """
        from flint import arb

        with working_precision():
            product = arb(decay.weight) * arb(decay.features)
            ends = {name: outward(price**2 / product) for name, price in self.prices(arb(ratio), 1).items()}
        return self._first("minority-count", ends, level, ratio)

    def rho(self, ratio: float, decay: WeightDecay, level: str) -> Threshold:
        """The largest spectral budget at which a group is still collapsed, in closed form.

        Parameters
        ----------
        ratio : float, R >= 1
        decay : WeightDecay
        level : {"float", "rigorous"}

        Returns
        -------
        Threshold
            Below 0 where no group is collapsed under the explicit head.
        """
        from flint import arb

        with working_precision():
            mu = (arb(decay.weight) * arb(decay.features)).sqrt()
            ends = {name: outward(price / mu - 1) for name, price in self.prices(arb(ratio)).items()}
        found = self._first("rho", ends, level, ratio)
        note = "below 0: no group is collapsed under the explicit head, nor under any equilibrium" if found.lower > 0 else ""
        return replace(found, value=-found.value, lower=-found.upper, upper=-found.lower, note=note)

    def _first(self, quantity: str, ends: dict[str, tuple[float, float]], level: str, ratio: float) -> Threshold:
        """The least of the groups' critical values."""
        first = min(ends, key=lambda name: ends[name][0])
        upper = ends[first][1]
        together = [name for name in ends if ends[name][0] <= upper]
        lower, upper = ends[first][0], max(ends[name][1] for name in together)
        if not upper < inf:
            raise InputError(f"the critical {quantity} is beyond float64; bring ratio, decay and loss options closer to 1")
        return Threshold(
            quantity,
            lower + 0.5 * (upper - lower),
            lower,
            upper,
            level,
            "continuous",
            "",
            "both" if ratio == 1 else _named(together),
        )


def _named(together: list[str]) -> str:
    """The group, or both."""
    return together[0] if len(together) == 1 else "both"
