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
from proofs_check.lemmas import averaging_steps, price_steps
from proofs_check.projectors import Invariant, algebra_steps
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

    Above it the mean direction is alive, and as $\lambda_b \to \infty$ the frame becomes orthogonal. Proof here: slopes V of
    norm at most $\mu$ bound the objective from below, since it exceeds
    $\sqrt{n}\, \mathrm{tr}\, V - \frac N2 \lVert V \rVert^2 - \frac{n}{2 \lambda_b} \lVert V \mathbf{1} \rVert^2$ by squares
    and by $\mu \lVert X \rVert_* - \langle V, X \rangle$. With $\kappa = \lambda_b/(1+\lambda_b)$,
    $V = \mu\, C + \frac qK \mathbf{1} \mathbf{1}^\top$ for $q = \min(\mu, \kappa / (K \sqrt{n}))$ leaves no gap at logits
    $(1 - t)\, C + \frac yK \mathbf{1} \mathbf{1}^\top$, $y = (1 - t/\kappa)^+$; equality in the squares makes them the only
    optimum.
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

        yield from averaging_steps()
        yield from price_steps()
        yield from algebra_steps()
        k, n, mu, lb, r, g, b = sp.symbols("K n mu lambda_b r g b", positive=True)
        total, t, curve = k * n, k * sp.sqrt(n) * mu, lb / (1 + lb)
        square = r**2 / (2 * total) + g * r + total * g**2 / 2
        yield (
            r"weak duality: $\frac{1}{2N} \lVert R \rVert^2 + \langle V, R \rangle + \frac N2 \lVert V \rVert^2$ is a square, "
            "zero only at $R = -N V$",
            sp.simplify(sp.expand(square - (r + total * g) ** 2 / (2 * total))) == 0,
        )
        yield (
            r"and so is what the bias adds, zero only at $b = \sqrt{n}\, V \mathbf{1} / \lambda_b$",
            sp.simplify(sp.expand(lb * b**2 / 2 - r * b + r**2 / (2 * lb) - lb * (b - r / lb) ** 2 / 2)) == 0,
        )
        q = sp.Symbol("q", positive=True)
        # Slopes V = mu C + q J/K, of norm mu if q <= mu; V 1 = q 1. Logits x C + y J/K and the bias beta 1.
        slopes = Invariant(mu, q, k)
        bound = sp.sqrt(n) * slopes.trace - total * slopes.inner(slopes) / 2 - n * k * q**2 / (2 * lb)
        x = 1 - t

        def at(y, beta, q):
            logits = Invariant(x, y, k)
            residual = Invariant(x - 1, y + k * beta - 1, k)  # b 1' = beta K J/K
            matches = residual.times(sp.sqrt(n)).minus(Invariant(mu, q, k).times(-total)).is_zero()
            cost = n * residual.inner(residual) / (2 * total) + mu * sp.sqrt(n) * logits.trace + lb * k * beta**2 / 2
            return matches and sp.simplify(beta - sp.sqrt(n) * q / lb) == 0, cost

        for name, y, height in (("alive", 1 - t / curve, mu), ("dead", sp.Integer(0), curve / (k * sp.sqrt(n)))):
            held, cost = at(y, sp.sqrt(n) * height / lb, height)
            yield f"mean direction {name}: contrasts $1 - t$, the residual is $-N V$ and the bias is its own", held
            yield "and there is no gap", sp.simplify(sp.expand(cost - bound.subs(q, height))) == 0
        ratio = sp.Symbol("t", positive=True)
        yield (
            r"a dead one has $q = \kappa / (K \sqrt{n})$, at most $\mu$ iff $\kappa = \lambda_b/(1+\lambda_b) \le t$",
            sp.simplify((curve / (k * sp.sqrt(n)) - mu) * k * sp.sqrt(n) - (curve - t)) == 0,
        )
        yield (
            r"which is $\lambda_b \le t/(1-t)$; a living one has $y = 1 - t/\kappa > 0$ otherwise",
            sp.simplify((curve - ratio) * (1 + lb) - (1 - ratio) * (lb - ratio / (1 - ratio))) == 0,
        )
        c, y = sp.symbols("x y", positive=True)
        own, other = Invariant(c, y, k).entries
        yield (
            r"$W W^\top$ is a multiple of Z (equality in the price, U is a projector): cosines are $-1/(K-1)$ iff $y = 0$",
            sp.simplify(other / own + 1 / (k - 1) - y * k / ((k - 1) * ((k - 1) * c + y))) == 0,
        )
        yield (
            r"as $\lambda_b \to \infty$, $y \to 1 - t$: Z tends to $(1 - t) I$",
            sp.limit(1 - ratio / curve, lb, sp.oo) == 1 - ratio
            and Invariant(c, c, k).minus(Invariant.from_entries(c, 0, k)).is_zero(),
        )

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
