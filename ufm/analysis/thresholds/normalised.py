r"""Features of a fixed norm: the ratio at which the minority collapses, for plain cross-entropy.

Scale the loss to ``R sum_A CE + sum_B CE``, so that the decay over the squared norm becomes ``lambda' = lambda (K_A R + K_B)``.
The optimum *among points whose minority classes share one classifier* solves three equations in three unknowns (docs/theory,
Proposition 12.9): ``alpha, beta``, roots of the weights omega of both groups, and an angle theta in (0, pi/2). With
``nu^2 = 1/K_A + 1/K_B``:

* ``e_A = alpha cos(theta) / (R nu sqrt(K_A))`` is the mass that an A column puts on B,
  ``e_B = beta sin(theta) / (nu sqrt(K_B))`` that of a B column on A;
* ``p_o = (alpha / R - e_A) / K_A``, ``p_d = p_o + 1 - alpha / R`` are an A column's probabilities of another A class and its
  own, ``x_A = log(p_d / p_o)``;
* ``g_A = log(p_d) / K_A + (1 - 1/K_A) log p_o - log(e_A / K_B)``, ``g_B = log(K_A (1 - e_B) / (K_B e_B))`` are the differences
  of mean logits between the groups;
* ``alpha g_A sqrt(K_A) sin(theta) = beta g_B sqrt(K_B) cos(theta)``,
  ``(1 - 1/K_A) x_A / alpha = (g_B^2 - g_A^2) sin(theta) / (nu sqrt(K_B) g_B beta)`` and
  ``lambda' g_B sin(theta) / (nu sqrt(K_B)) = beta``.

The minority has collapsed if and only if ``beta >= 1``. Krawczyk's test on a small box proves that the box holds a solution, so
that the sign of ``beta - 1`` at the two ends of an interval encloses a ratio where collapse begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import atan2, exp, inf, log, nextafter, sqrt
from typing import Any

import numpy as np

from ufm._arrays import Floats
from ufm._balls import working_precision
from ufm.analysis.thresholds.budget import step_out
from ufm.analysis.thresholds.enclosed import Threshold
from ufm.errors import ConvergenceError, InputError
from ufm.problem.heads import Head
from ufm.problem.problem import Problem
from ufm.problem.regularizers import ClassifierDecay
from ufm.solvers.convex.normalised import SphereModel, descended

LARGEST = 1e12
"""Largest ratio that is attempted."""
NOTE = (
    "at the lower end the minority is proved to be separated, at the upper end to be collapsed; that it separates again at no "
    "larger ratio is not proved"
)


def normalised_threshold(majority: int, minority: int, regularizer: ClassifierDecay, head: Head, level: str) -> Threshold:
    """R0 with an enclosure; both ends are proved in ball arithmetic.

    Parameters
    ----------
    majority, minority : int, K_A >= 1 and K_B >= 2
    regularizer : ClassifierDecay, without a bias
    head : Head, with features of a fixed norm
    level : {"float", "rigorous"}

    Returns
    -------
    Threshold

    Raises
    ------
    InputError
        There is a bias, or the threshold is beyond R = 1e12.
    ConvergenceError
        The threshold cannot be enclosed at the working precision.
    """
    if regularizer.bias is not None:
        raise InputError(
            "decay has a bias, with which thresholds of features of a fixed norm are not stated; leave the bias out"
        )
    penalty = head.penalty(regularizer, majority + minority)  # type: ignore[arg-type]
    system = CollapsedOptimum(majority, minority, regularizer.weight, float(penalty.norm))  # type: ignore[attr-defined]
    ratio, start = bracketed(system)
    value = max(system.polished(ratio, start), nextafter(1.0, inf))
    try:
        lower = step_out(value, -1, lambda r: system.side(r, start) < 0)
        upper = step_out(value, +1, lambda r: system.side(r, start) > 0)
    except ConvergenceError:
        raise ConvergenceError(
            f"the threshold near R = {value:.6g} could not be enclosed; the decay, or the number of classes, is too extreme"
        ) from None
    return Threshold("ratio", min(max(value, lower), upper), lower, upper, level, "continuous", NOTE)


def bracketed(system: CollapsedOptimum) -> tuple[float, Floats]:
    """The ratio near which ``beta`` passes one, and (alpha, beta, theta) there.

    Returns
    -------
    float, (3,) float64

    Raises
    ------
    InputError
        ``beta`` is below one at every ratio up to R = 1e12.
    ConvergenceError
        It is above one at every ratio, which is not expected.
    """
    from scipy.optimize import brentq

    def excess(logarithm: float) -> float:
        return float(np.log(system.collapsed(exp(logarithm))[1]))

    low, high = log(1.0 + 1e-6), log(2.0)
    while excess(high) < 0:
        low, high = high, high + log(4.0)
        if high > log(LARGEST):
            raise InputError(
                f"decay over the squared norm is {system.effective:g}, at which no threshold up to R = 1e12 was found; raise it"
            )
    if excess(low) > 0:
        raise ConvergenceError("the minority is collapsed at every ratio that was tried, which was not expected; report this")
    found: Any = brentq(excess, low, high, xtol=1e-9)
    ratio = exp(float(found))
    return ratio, system.collapsed(ratio)


@dataclass(frozen=True)
class CollapsedOptimum:
    """The three equations of the module's text.

    Parameters
    ----------
    majority, minority : int, K_A >= 1 and K_B >= 2
    decay, norm : float, of the classifier, and of each feature
    """

    majority: int
    minority: int
    decay: float
    norm: float

    def equations(self, unknowns: Any, ratio: Any, functions: Any, nu: Any, roots: tuple[Any, Any], decay: Any) -> list[Any]:
        """Left minus right sides, and what must be positive.

        Parameters
        ----------
        unknowns : (alpha, beta, theta), numbers of any kind
        ratio : R, of the same kind
        functions : (log, sin, cos) for this kind
        nu, roots, decay : ``nu``, ``(sqrt(K_A), sqrt(K_B))`` and ``lambda'``

        Returns
        -------
        list
            Three residuals, then the numbers that must be positive.
        """
        alpha, beta, theta = unknowns
        logarithm, sine, cosine = functions
        a, b = self.majority, self.minority
        s, c = sine(theta), cosine(theta)
        into_b, into_a = alpha * c / (ratio * nu * roots[0]), beta * s / (nu * roots[1])
        if a > 1:
            other = (alpha / ratio - into_b) / a
            own = other + 1 - alpha / ratio
            contrast = logarithm(own / other)
            gap_a = logarithm(own) / a + logarithm(other) * (a - 1) / a - logarithm(into_b / b)
            tilt = contrast * (a - 1) / a / alpha
        else:
            own = other = 1 - into_b
            contrast = own
            gap_a = logarithm(own) - logarithm(into_b / b)
            tilt = own * 0
        gap_b = logarithm((1 - into_a) * a / (into_a * b))
        first = alpha * gap_a * roots[0] * s - beta * gap_b * roots[1] * c
        second = tilt * gap_b * beta - (gap_b * gap_b - gap_a * gap_a) * s / (nu * roots[1])
        third = decay * gap_b * s / (nu * roots[1]) - beta
        return [first, second, third, alpha, beta, s, c, own, other, contrast, gap_a, gap_b, 1 - into_a]

    def residuals(self, unknowns: Floats, ratio: float) -> Floats:
        """(3,) left minus right sides in float64, at alpha, beta and theta (3,) and the ratio R."""
        nu = sqrt(1.0 / self.majority + 1.0 / self.minority)
        decay = self.decay / self.norm**2 * (self.majority * ratio + self.minority)
        roots = sqrt(self.majority), sqrt(self.minority)
        found = self.equations(unknowns, ratio, (np.log, np.sin, np.cos), nu, roots, decay)[:3]
        return np.array(found)

    @property
    def effective(self) -> float:
        """Decay over the squared norm."""
        return self.decay / self.norm / self.norm

    def collapsed(self, ratio: float) -> Floats:
        """(3,) alpha, beta and theta of the optimum among points whose minority classes share one classifier."""
        count = max(1, min(2**20, int(2**52 / ratio)))
        sizes = [max(round(ratio * count), count + 1)] * self.majority + [count] * self.minority
        decay = ClassifierDecay(self.effective)
        model = SphereModel.full(Problem(sizes, regularizer=decay, head="layernorm").program())
        model.alive = np.array([self.majority > 1, False])
        at = model.start()
        unit = at.unit.copy()
        unit[~model.alive, 0] = 0.0
        at = model.normalised(at._replace(unit=unit, contrast=np.where(model.alive, at.contrast, 0.0)))
        at, local = descended(model, at, 1e-17, 60)
        logits = model.program.spread(model.point(at))
        mass = self.majority * sizes[0] / count + self.minority
        roots = np.sqrt(self.effective * local.multipliers / model.program.multiplicity) * mass
        # Mass that a column of each group puts on the other group.
        odds_a = self.minority * exp(logits[1, 0] - logits[2, 0])
        rest = (self.majority - 1) * exp(logits[0, 0] - logits[2, 0]) if self.majority > 1 else 0.0
        odds_b = self.majority / self.minority * exp(logits[0, 1] - logits[2, 1])
        across = odds_a / (1.0 + odds_a + rest) * ratio * sqrt(self.majority) / roots[0]
        along = odds_b / (1.0 + odds_b) * sqrt(self.minority) / roots[1]
        return np.array([roots[0], roots[1], atan2(along, across)])

    def polished(self, ratio: float, start: Floats) -> float:
        """The ratio at which ``beta`` is one, from one near it; ``start`` (3,) is changed to the unknowns there."""
        from scipy.optimize import root

        def residual(y: Floats) -> Floats:
            with np.errstate(invalid="ignore", divide="ignore"):
                return self.residuals(np.array([exp(y[0]), 1.0, y[1]]), exp(y[2]))

        found = root(residual, np.array([log(start[0]), start[2], log(ratio)]), method="hybr", options={"xtol": 1e-15})
        if not np.all(np.isfinite(found.x)) or abs(found.x[2] - log(ratio)) > 1e-4:
            return ratio
        start[:] = exp(found.x[0]), 1.0, found.x[1]
        return exp(found.x[2])

    def side(self, ratio: float, start: Floats) -> int:
        """Sign of ``beta - 1`` at the ratio R, an exact number: +1 where the minority is collapsed; 0 where balls overlap.

        Parameters
        ----------
        ratio : float, R > 1
        start : (3,) float64, (alpha, beta, theta) at a ratio near it

        Returns
        -------
        {-1, 0, 1}
        """
        box = self.enclosed(ratio, start)
        if box is None:
            return 0
        return 1 if box[1] > 1 else -1 if box[1] < 1 else 0

    def enclosed(self, ratio: float, start: Floats) -> list[Any] | None:
        """Balls around alpha, beta and theta at the ratio R, an exact number, with everything positive that must be.

        Parameters
        ----------
        ratio : float, R > 1
        start : (3,) float64, (alpha, beta, theta) at a ratio near it

        Returns
        -------
        list of three flint.arb, or None
            None where no root could be enclosed.
        """
        from flint import arb, arb_mat, arb_series

        with working_precision():
            r, a, b = arb(ratio), arb(self.majority), arb(self.minority)
            nu, roots = (1 / a + 1 / b).sqrt(), (a.sqrt(), b.sqrt())
            decay = arb(self.decay) / arb(self.norm) ** 2 * (a * r + b)

            def values(point: list[Any]) -> list[Any]:
                return self.equations(point, r, (lambda v: v.log(), lambda v: v.sin(), lambda v: v.cos()), nu, roots, decay)

            def slopes(box: list[Any]) -> Any:
                rows = [[arb(0)] * 3 for _ in range(3)]
                for j in range(3):
                    along = [arb_series([v, 1 if i == j else 0], 2) for i, v in enumerate(box)]
                    for i, found in enumerate(values(along)[:3]):
                        rows[i][j] = found[1]
                return arb_mat(rows)

            middle = [arb(float(v)) for v in start]
            try:
                for _ in range(8):
                    step = slopes(middle).solve(arb_mat([[v] for v in values(middle)[:3]]))
                    middle = [(m - step[i, 0]).mid() for i, m in enumerate(middle)]
                inverse = _middle(slopes(middle).inv())
                box = krawczyk_box(middle, inverse, values, slopes)
            except (ZeroDivisionError, ValueError):  # Newton's steps have left where the equations are defined
                return None
            return box if box is not None and all(v > 0 for v in values(box)[3:]) else None


def krawczyk_box(
    middle: list[Any], inverse: Any, values: Callable[[list[Any]], list[Any]], slopes: Callable[[list[Any]], Any]
) -> Any:
    """A box about ``middle`` that Krawczyk's test proves to hold one solution, as a list of three balls; None if none is found.

    Parameters
    ----------
    middle : list of three arb, near a solution
    inverse : arb_mat (3, 3), near the inverse of the slopes there
    values, slopes : callables, residuals of the three equations (and more), and their derivatives (3, 3)

    Returns
    -------
    list of arb or None
    """
    from flint import arb, arb_mat

    shift = inverse * arb_mat([[v] for v in values(middle)[:3]])
    for radius in (1e-38, 1e-32, 1e-26, 1e-20):
        reach = [abs(m) * radius for m in middle]
        box = [(m - w).union(m + w) for m, w in zip(middle, reach, strict=True)]
        rest = inverse * slopes(box)
        identity = [[arb(int(i == j)) - rest[i, j] for j in range(3)] for i in range(3)]
        width = [b - m for b, m in zip(box, middle, strict=True)]
        image = [m - shift[i, 0] + sum((identity[i][j] * width[j] for j in range(3)), arb(0)) for i, m in enumerate(middle)]
        if all(b.contains_interior(v) for b, v in zip(box, image, strict=True)):
            return box
    return None


def _middle(matrix: Any) -> Any:
    """The matrix of midpoints."""
    from flint import arb_mat

    return arb_mat([[matrix[i, j].mid() for j in range(3)] for i in range(3)])
