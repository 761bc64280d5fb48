r"""Zhu et al. (2021): balanced cross-entropy with weight decay. [zhu2021]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.registry import Kind, Theorem, theorem
from ufm.geometry.enclosures import enclose_logits
from ufm.thresholds.balls import outward


class Balanced(NamedTuple):
    """K classes of n samples, decays."""

    classes: int
    n: int
    weight: float
    features: float


def solved(p: Balanced, level: str) -> ufm.Solution:
    """The unconstrained-feature model on balanced classes."""
    return ufm.solve(ufm.Problem(ufm.balanced(p.classes, p.n), regularizer=ufm.WeightDecay(p.weight, p.features)), level=level)


def closed_form(p: Balanced, shift: int = 1):
    """Balls for a and the value; ``shift = 1`` is the claim."""
    from flint import arb

    k = p.classes
    cost = arb(p.n).sqrt() * (arb(p.weight) * arb(p.features)).sqrt()
    inside = 1 / cost - shift * (k - 1)
    a = inside.log() if k * cost < 1 else arb(0)
    return a, ((-a).exp() * (k - 1)).log1p() + cost * (k - 1) * a


@theorem
class ClosedForm(Theorem):
    r"""Balanced weight decay: ``Z = a S``, ``a = log(1/(sqrt(n) mu) - (K-1))`` if ``K sqrt(n) mu < 1``, else 0.

    The value is ``log(1 + (K-1) e^{-a}) + sqrt(n) mu (K-1) a``, and features and classifiers are parallel,
    ``h_k = sqrt(lw / (lh n)) w_k``. In particular above ``K sqrt(n) mu = 1`` everything is zero.
    """

    id = "Z2"
    title = "closed form on balanced classes with weight decay"
    kind = Kind.TIGHT
    source = cite("zhu2021", "global minimisers; value derived here")

    def grid(self):
        return [
            Balanced(10, 20, 5e-3, 5e-3),
            Balanced(10, 50, 5e-3, 5e-3),
            Balanced(2, 5, 1e-3, 1e-2),
            Balanced(100, 13, 1e-4, 2e-4),
            Balanced(1000, 500, 1e-6, 1e-6),
            Balanced(10, 400, 5e-3, 5.1e-3),
        ]

    def check(self, instance: Balanced, level: str) -> Iterator[Finding]:
        solution = solved(instance, level)
        found = Enclosure.of(solution.certificate)
        value = Enclosure.ball(lambda: closed_form(instance)[1])
        yield equal(f"value, {instance}", value, found, tolerance=1e-10, level=level)
        height = Enclosure.ball(lambda: closed_form(instance)[0])
        contrast = Enclosure(*outward(enclose_logits(solution).contrasts[0]))
        if height.upper > 0:
            yield equal(f"logit contrast, {instance}", height, contrast, tolerance=1e-3, level=level)
        else:
            verdict = ufm.collapse(solution)
            yield decided(f"all zero, {instance}", "yes", verdict.verdict, margin=1e-6 - verdict.upper, level=level)

    def steps(self):
        import sympy as sp

        a, k, c = sp.symbols("a K c", positive=True)
        value = sp.log(1 + (k - 1) * sp.exp(-a)) + c * (k - 1) * a
        at = sp.log(1 / c - (k - 1))
        yield "stationary at a", sp.simplify(sp.diff(value, a).subs(a, at)) == 0
        yield "a = 0 exactly at K c = 1", sp.simplify(at.subs(c, 1 / k)) == 0
        n, w, lw, lh, t = sp.symbols("n w lambda_W lambda_H t", positive=True)
        h = sp.sqrt(lw / (lh * n)) * w
        cost = lw * (w * t) ** 2 / 2 + lh * n * (h / t) ** 2 / 2
        yield "|h| = sqrt(lw / (lh n)) |w| balances the decays", sp.simplify(sp.diff(cost, t).subs(t, 1)) == 0

    def control(self, level: str):
        p = Balanced(10, 20, 5e-3, 5e-3)
        found = Enclosure.of(solved(p, level).certificate)
        wrong = Enclosure.ball(lambda: closed_form(p, shift=0)[1])
        yield equal("a without the term K - 1", wrong, found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        base = Enclosure.of(solved(Balanced(10, 20, 5e-3, 5e-3), level).certificate)
        copies = Enclosure.of(solved(Balanced(10, 80, 2.5e-3, 2.5e-3), level).certificate)
        split = Enclosure.of(solved(Balanced(10, 20, 2.5e-3, 1e-2), level).certificate)
        yield equal("every sample four times, decays halved", base, copies, tolerance=1e-10, level=level)
        yield equal("decay moved from W to H", base, split, tolerance=1e-10, level=level)

    def outside(self, level: str):
        solution = ufm.solve(ufm.Problem([40] * 5 + [10] * 5, regularizer=ufm.WeightDecay(5e-3, 5e-3)), level=level)
        large, small = (Enclosure(*outward(x)) for x in enclose_logits(solution).contrasts)
        yield less("unequal classes: the contrasts differ, so Z is not a multiple of S", small, large, level=level)
