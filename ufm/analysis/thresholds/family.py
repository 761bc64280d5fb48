"""Step imbalance at all ratios: one program for each, and where its collapsed solutions stop being local minima."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from ufm._arrays import Floats
from ufm.problem.heads import Head
from ufm.problem.losses import CrossEntropy, Loss
from ufm.problem.regularizers import WeightDecay
from ufm.solvers.nonconvex.descent import Descent
from ufm.spectral.program import LogitProgram, Point

NEARLY_ZERO = np.array([1e-200])
PLAIN = CrossEntropy()
MAX_RATIO = 1e8
"""Largest ratio at which collapsed solutions are followed."""
HEIGHTS = (1.0, 4.0)
"""Logits (nats) at which the descent to a collapsed solution starts."""
ITERATIONS = 500


@dataclass(frozen=True)
class Family:
    """The programs of one problem at all ratios R; class sizes are not rounded to whole samples.

    Attributes
    ----------
    majority, minority : int, K_A and K_B
    count : int, n_B
    regularizer : WeightDecay
    head : Head
    loss : Loss, defined at all shares (`Loss.at_shares`)
    """

    majority: int
    minority: int
    count: int
    regularizer: WeightDecay
    head: Head
    loss: Loss = PLAIN

    @property
    def name(self) -> str:
        """Head and, where it is not the plain cross-entropy, loss: the beginning of a message."""
        return f"head is {self.head}" + ("" if self.loss.plain_cross_entropy else f" and loss {self.loss}")

    def program(self, ratio: float) -> LogitProgram:
        """The reduced program of two groups."""
        m = np.array([float(self.majority), float(self.minority)])
        sizes = np.array([ratio * self.count, float(self.count)])
        share = sizes / float(m @ sizes)
        classes = self.majority + self.minority
        return LogitProgram(
            multiplicity=m,
            sizes=(round(float(sizes[0])), self.count),
            scale=self.regularizer.column_scale(sizes),
            penalty=self.head.penalty(self.regularizer, classes),
            loss=self.loss.at_shares(share),
            bias_decay=self.regularizer.bias_decay(),
            runs=((0, self.majority), (1, self.minority)),
        )

    def one_minority(self, ratio: float) -> LogitProgram:
        """The program with each majority class as its own group, and the minority as one group."""
        whole = self.program(ratio)
        group = np.array([0] * self.majority + [1])
        return LogitProgram(
            multiplicity=np.array([1.0] * self.majority + [float(self.minority)]),
            sizes=tuple(whole.sizes[g] for g in group),
            scale=whole.scale[group],
            penalty=whole.penalty,
            loss=whole.loss.take(group),
            bias_decay=whole.bias_decay,
            runs=(*((k, 1) for k in range(self.majority)), (self.majority, self.minority)),
        )

    def first(self) -> float:
        """Ratio below which no collapsed point is a local minimum; 0 if ``phi'(0)`` is infinite.

        See docs/theory, Proposition 7.8, and for a loss that is not convex Proposition 7.15.
        """
        if not self.loss.convex:
            return collapsed_root(self)
        return 0.0 if self.steep else self.balanced(float(self.program(1.0).penalty.slope(NEARLY_ZERO, np.ones(1))[0]))

    @property
    def steep(self) -> bool:
        """Whether the penalty has an infinite slope at zero, as that of several linear layers."""
        return float(self.program(1.0).penalty.slope(NEARLY_ZERO, np.ones(1))[0]) > 1e50

    def last(self) -> float | None:
        """Ratio from which every global minimiser has collapsed, or None if none is known (docs/theory, Proposition 7.8)."""
        if not self.loss.convex:
            return None
        least = self.program(1.0).penalty.least_slope
        return self.balanced(least) if least > 0 else None

    def balanced(self, slope: float) -> float:
        """Ratio at which ``sqrt(n_B) = N slope``."""
        return (1.0 / (sqrt(self.count) * slope) - self.minority) / self.majority


def core_apart(program: LogitProgram, height: float) -> Floats:
    """(G, G) core of logits that are ``height / m_g`` for all classes of the column's own group g, minus the column's mean."""
    m = program.multiplicity
    return program.core(height * (np.diag(1.0 / m) - 1.0 / m.sum()))


def collapsed_root(family: Family) -> float:
    """The ratio at which the pull on the collapsed minority equals its price (docs/theory, Proposition 7.15).

    Parameters
    ----------
    family : Family, of a loss that is not convex and a penalty that is a multiple of the nuclear norm

    Returns
    -------
    float
        0 where the collapsed solution is a local minimum at R = 1 already, and infinite where it is at no ratio up to 1e8.
    """
    from scipy.optimize import brentq

    def excess(exponent: float) -> float:
        return net_price(family, float(np.exp(exponent)))

    low, high = 0.0, 1.0
    if excess(low) >= 0:
        return 0.0
    while excess(high) < 0:
        low, high = high, 2.0 * high
        if high > np.log(MAX_RATIO):
            return np.inf
    return float(np.exp(brentq(excess, low, high, xtol=1e-13, rtol=1e-14)))  # type: ignore[arg-type]


def net_price(family: Family, ratio: float) -> float:
    """Slope of the objective along the minority's contrast at the best collapsed invariant solution, over its price.

    Parameters
    ----------
    family : Family
    ratio : float

    Returns
    -------
    float
        Negative where separating the minority lowers the objective to first order.
    """
    program = family.program(ratio)
    descent = Descent(program, program.classes)
    zero = np.zeros(2)
    found = []
    for height in HEIGHTS:
        for contrast in (height * program.scale[0] if family.majority > 1 else 0.0, 0.0):
            start = Point(np.array([contrast, 0.0]), core_apart(program, height), zero)
            found.append(descent.run(start, ITERATIONS, adapt=False))
    best = min(found, key=lambda f: f.value)
    point = polished(program, best.point)
    slope = float(program.smooth(point).gradient.contrast[1]) / program.contrast_counts[1]
    price = float(program.penalty.slope(NEARLY_ZERO, np.ones(1))[0])
    return 1.0 + slope / price


def polished(program: LogitProgram, point: Point) -> Point:
    """A collapsed stationary point to rounding: the root of its gradient in the majority's contrast and the core's right side.

    Columns of logits sum to zero at stationary points, so the core is ``u v'`` with the unit vector u that is centred.

    Parameters
    ----------
    program : LogitProgram, of two groups, with a penalty that is a multiple of the nuclear norm
    point : Point, near a stationary point, without a contrast of the minority

    Returns
    -------
    Point
        The point given, where the root is not found or nothing is separated.
    """
    from scipy.optimize import root

    root_m = np.sqrt(program.multiplicity)
    u = np.array([root_m[1], -root_m[0]]) / np.linalg.norm(root_m)
    right, live = u @ point.core, point.contrast[0] > 0
    if not np.linalg.norm(right) > 0:
        return point
    price = float(program.penalty.slope(NEARLY_ZERO, np.ones(1))[0])

    def unpack(theta: Floats) -> Point:
        return Point(np.array([theta[2] if live else 0.0, 0.0]), np.outer(u, theta[:2]), point.bias)

    def gradient(theta: Floats) -> Floats:
        slope = program.smooth(unpack(theta)).gradient
        core = u @ slope.core + price * theta[:2] / np.linalg.norm(theta[:2])
        return np.append(core, slope.contrast[0] + price * program.contrast_counts[0]) if live else core

    start = np.append(right, point.contrast[0]) if live else right
    found = root(gradient, start, tol=1e-14)
    near = np.linalg.norm(found.x - start) <= 1e-3 * np.linalg.norm(start)
    better = np.linalg.norm(gradient(found.x)) <= np.linalg.norm(gradient(start))
    return unpack(found.x) if near and better and not (live and found.x[2] < 0) else point
