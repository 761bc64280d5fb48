r"""Zhou et al. (2022): squared error with a bias on balanced classes. [zhou2022]

Setting: ``(1/2N) ||W H + b 1' - Y||_F^2 + lw/2 |W|^2 + lh/2 |H|^2 + lb/2 |b|^2`` with one-hot Y, n samples per class.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.theorem import Hypothesis, Kind, Theorem


class Biased(NamedTuple):
    """K classes of n samples, decays of W and H, and lb as a multiple of the claimed threshold."""

    classes: int
    n: int
    weight: float
    features: float
    relative: float

    @property
    def threshold(self) -> float:
        """``lb* = t / (1 - t)`` with ``t = K sqrt(n lw lh)``."""
        t = self.classes * sqrt(self.n * self.weight * self.features)
        return t / (1.0 - t)


def solved(p: Biased, level: str) -> ufm.Solution:
    """The model at ``lb = relative lb*``."""
    regularizer = ufm.WeightDecay(p.weight, p.features, p.relative * p.threshold)
    return ufm.solve(ufm.Problem(ufm.balanced(p.classes, p.n), regularizer=regularizer, loss=ufm.SquaredError()), level=level)


def closed_form(p: Biased, bias: float, frame: str) -> Enclosure:
    """The value if the optimum is an ``"etf"`` (no mean direction) or a ``"frame"`` (a mean direction of its own)."""

    def value():
        from flint import arb

        k, n = p.classes, arb(p.n)
        mu, lb = (arb(p.weight) * arb(p.features)).sqrt(), arb(bias)
        t = k * n.sqrt() * mu
        # Each contrast direction: (s - sqrt n)^2 / (2N) + mu s at s = sqrt(n) (1 - t).
        contrast = (2 * t - t * t) / (2 * k)
        curve = lb / (1 + lb)
        alone = curve / (2 * k)
        bent = t / curve
        mean = alone if frame == "etf" else curve * (2 * bent - bent * bent) / (2 * k)
        return (k - 1) * contrast + mean

    return Enclosure.ball(value)


def mean_direction(solution: ufm.Solution) -> float:
    """Largest singular value of ``W H`` along the all-ones direction."""
    plain = np.asarray(solution.logits) - solution.factors.bias[0]
    return float(np.abs(plain.sum(axis=0)).max())


class FreeMean(Theorem):
    r"""Squared error on balanced classes with $t = K \sqrt{n \lambda_W \lambda_H} < 1$: contrasts have singular value
    $1 - t$, and the optimum is a simplex ETF iff $\lambda_b \le t/(1-t)$.

    Above it the mean direction is alive, and as $\lambda_b \to \infty$ the frame becomes orthogonal. Proof here:
    eliminating b multiplies the curvature along the all-ones direction by $\lambda_b/(1+\lambda_b)$; on balanced classes
    the program then splits into one scalar problem per singular direction, $\kappa (s - \sqrt{n})^2 / (2N) + \mu s$ with
    $\kappa = 1$ or $\kappa = \lambda_b/(1+\lambda_b)$, and the second is alive iff $\lambda_b/(1+\lambda_b) > t$.
    """

    id = "M1"
    title = "squared error: simplex ETF up to a bias decay, then towards an orthogonal frame"
    kind = Kind.TIGHT
    source = cite("zhou2022", "global minimisers of the unconstrained-feature model with bias; threshold derived here")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of equal size", lambda p: p.classes >= 2),
        Hypothesis(r"decays $\lambda_W, \lambda_H > 0$", lambda p: p.weight > 0 and p.features > 0),
        Hypothesis(r"$t = K \sqrt{n \lambda_W \lambda_H} < 1$", lambda p: p.classes * (p.n * p.weight * p.features) ** 0.5 < 1),
        Hypothesis(r"a decay of the bias $\lambda_b > 0$", lambda p: p.relative > 0),
    )
    required = "numeric"
    formulas = ("closed_form", "Biased.threshold", "frame")
    open_steps = "that the program splits into one scalar problem per singular direction (von Neumann's trace inequality)"

    def grid(self):
        cases = ((5, 20, 2e-3, 2e-3), (3, 7, 1e-2, 4e-3), (10, 5, 1e-3, 1e-3))
        return [Biased(*case, relative) for case in cases for relative in (0.5, 0.98, 1.02, 3.0, 1e3)]

    @staticmethod
    def frame(p: Biased) -> str:
        """Which frame is claimed at a multiple of the threshold."""
        return "etf" if p.relative <= 1 else "frame"

    def check(self, instance: Biased, level: str) -> Iterator[Finding]:
        bias = instance.relative * instance.threshold
        solution = solved(instance, level)
        frame = self.frame(instance)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {frame}, {instance}", closed_form(instance, bias, frame), found, tolerance=1e-10, level=level)
        if frame == "frame":
            etf = closed_form(instance, bias, "etf")
            yield less(f"mean direction alive: below every ETF, {instance}", found, etf, level=level)
        mean = mean_direction(solution)
        verdict = "yes" if mean > 1e-6 else "no"
        expected = "no" if frame == "etf" else "yes"
        yield decided(
            f"mean direction alive in what is found, {instance}", expected, verdict, margin=abs(mean - 1e-6), level="numeric"
        )

    def steps(self):
        import sympy as sp

        lb, s, t, k = sp.symbols("lambda_b s t K", positive=True)
        r, b = sp.symbols("r b", real=True)
        loss = (r + b) ** 2 / 2 + lb * b**2 / 2
        best = sp.solve(sp.diff(loss, b), b)[0]
        yield (
            r"eliminating b leaves $\frac{\lambda_b}{1+\lambda_b} r^2/2$",
            sp.simplify(loss.subs(b, best) - lb / (1 + lb) * r**2 / 2) == 0,
        )
        scalar = (s - 1) ** 2 / (2 * k) + t * s / k
        yield "contrast singular value $1 - t$", sp.simplify(sp.diff(scalar, s).subs(s, 1 - t)) == 0
        edge = sp.solve(sp.Eq(lb / (1 + lb), t), lb)[0]
        yield r"the mean direction dies at $\lambda_b = t/(1-t)$", sp.simplify(edge - t / (1 - t)) == 0

    def control(self, level: str):
        p = Biased(5, 20, 2e-3, 2e-3, 3.0)
        found = Enclosure.of(solved(p, level).certificate)
        wrong = closed_form(p, 3.0 * p.threshold, "etf")
        yield equal("an ETF above the threshold too", wrong, found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        p = Biased(5, 20, 2e-3, 2e-3, 0.98)
        base = Enclosure.of(solved(p, level).certificate)
        copies = Enclosure.of(solved(Biased(5, 80, 1e-3, 1e-3, 0.98), level).certificate)
        yield equal("every sample four times, decays halved", base, copies, tolerance=1e-10, level=level)
        split = Enclosure.of(solved(Biased(5, 20, 1e-3, 4e-3, 0.98), level).certificate)
        yield equal("decay moved from W to H", base, split, tolerance=1e-10, level=level)

    def outside(self, level: str):
        # Unequal classes: contrasts differ, so no ETF even with a free bias.
        problem = ufm.Problem([40] * 2 + [10] * 3, regularizer=ufm.WeightDecay(2e-3, 2e-3, 0.0), loss=ufm.SquaredError())
        solution = ufm.solve(problem, level=level)
        large, small = solution.factors.contrast
        yield less(
            "unequal classes, free bias: contrasts differ",
            Enclosure(small, small), Enclosure(large, large), level="float",
        )  # fmt: skip
        zero = ufm.solve(ufm.Problem([7] * 3, regularizer=ufm.WeightDecay(0.2, 0.2, 0.1), loss=ufm.SquaredError()), level=level)
        yield decided(
            "t > 1: everything is zero",
            "yes", "no" if zero.factors.contrast.any() else "yes", margin=1.0, level="float",
        )  # fmt: skip
