r"""Lu & Steinerberger: cross-entropy over classifiers and features on a sphere. [lu2022]

Setting: ``min (1/K) sum_k CE(s W h_k)`` over unit rows of W and unit features, ``d >= K - 1``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, equal, less
from proofs_check.theorem import Hypothesis, Kind, Theorem


class Sphere(NamedTuple):
    """Classes, product of the radii of classifiers and features."""

    classes: int
    scale: float


def value(p: Sphere) -> Enclosure:
    """``log(1 + (K-1) exp(-s K/(K-1)))``."""

    def formula():
        from flint import arb

        return ((-arb(p.scale) * p.classes / (p.classes - 1)).exp() * (p.classes - 1)).log1p()

    return Enclosure.ball(formula)


def solved(p: Sphere, level: str, counts: str = "") -> ufm.Solution:
    """The certified optimum."""
    problem = ufm.Problem(counts or f"20*{p.classes}", regularizer=ufm.NoDecay(), head=ufm.Cosine(p.scale))
    return ufm.solve(problem, level=level)


class SphericalETF(Theorem):
    r"""Classifiers and features on spheres, radii with the product s, balanced classes, $d \ge K - 1$: the least mean
    cross-entropy is $\log\left(1 + (K-1)\, e^{-s K/(K-1)}\right)$, attained by the simplex ETF.

    Proof here: $\sum_k \langle w_k - \bar w, h_k \rangle \le \sum_k |w_k - \bar w| \le K$ for unit vectors, so the mean of
    $z_{kk} - \bar z_k$ is at most s; the loss is at least $\log(1 + (K-1) e^{-\frac{K}{K-1} (z_{kk} - \bar z_k)})$ by the
    arithmetic and geometric means, and this bound is convex and falling.
    """

    id = "L"
    title = "on spheres the simplex ETF is optimal"
    kind = Kind.TIGHT
    source = cite("lu2022", "main theorem")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of equal size", lambda p: p.classes >= 2),
        Hypothesis(r"a scale $s > 0$", lambda p: p.scale > 0),
    )
    required = "rigorous"
    formulas = ("value",)

    def grid(self):
        return [Sphere(k, s) for k in (2, 3, 10, 50) for s in (0.5, 1.0, 8.0)]

    def check(self, instance: Sphere, level: str) -> Iterator[Finding]:
        found = Enclosure.of(solved(instance, level).certificate)
        yield equal(f"value, {instance}", value(instance), found, tolerance=1e-8, level=level)

    def steps(self):
        import sympy as sp

        k, s, t, q = sp.symbols("K s t q", positive=True)
        # Columns: own logit z, mean of the others m; own less the mean of all is (K-1)/K (z - m).
        z, m = sp.symbols("z m", real=True)
        mean = (z + (k - 1) * m) / k
        yield (
            "own logit less the mean of all: $(K-1)/K$ of the gap to the others' mean",
            (sp.simplify(z - mean - (k - 1) / k * (z - m)) == 0),
        )
        # Means: e^a + e^b >= 2 e^{(a+b)/2} is a square; by convexity of exp for any number of others (Jensen).
        a, b = sp.symbols("a b", real=True)
        square = sp.expand((sp.exp(a / 2) - sp.exp(b / 2)) ** 2 - (sp.exp(a) + sp.exp(b) - 2 * sp.exp((a + b) / 2)))
        curved = sp.diff(sp.exp(a), a, 2).is_positive
        yield (
            "the others together are at least $(K-1)$ times the exponential of their mean",
            bool(sp.simplify(square) == 0 and curved),
        )
        bound = sp.log(1 + (k - 1) * sp.exp(-t))
        mass = (k - 1) / (k - 1 + sp.exp(t))
        yield "the bound falls in the gap: its slope is minus a probability", sp.simplify(sp.diff(bound, t) + mass) == 0
        yield "and is convex", sp.simplify(sp.diff(bound, t, 2) - mass * (1 - mass)) == 0
        # Unit vectors: |w - mean|^2 averages 1 - |mean|^2 <= 1, and <x, h> <= |x| as a square: |x|^2 - <x,h>^2 >= 0.
        yield (
            "mean square distance to the mean, q its square length: $1 - q \\le 1$",
            sp.simplify((1 - 2 * q + q) - (1 - q)) == 0,
        )
        x, y = sp.symbols("x y", real=True)
        yield (
            "arithmetic mean of lengths below the root of the mean square",
            (sp.expand((x**2 + y**2) / 2 - ((x + y) / 2) ** 2 - ((x - y) / 2) ** 2) == 0),
        )
        # Attained: the ETF has <w_j, h_k> = -1/(K-1), so the gap is s K/(K-1).
        gap = s * (1 + 1 / (k - 1))
        yield (
            "the ETF has the gap $s K/(K-1)$, all bounds with equality",
            (sp.simplify(gap - s * k / (k - 1)) == 0 and sp.simplify((k - 1) / k * gap - s) == 0),
        )

    def control(self, level: str):
        found = Enclosure.of(solved(Sphere(10, 1.0), level).certificate)
        yield equal("exponent s in place of s K/(K-1)", value(Sphere(10, 0.9)), found, tolerance=1e-8, level=level)

    def twin(self, level: str):
        once = Enclosure.of(solved(Sphere(10, 1.0), level).certificate)
        many = Enclosure.of(solved(Sphere(10, 1.0), level, "3000*10").certificate)
        yield equal("samples 150 times", once, many, tolerance=1e-10, level=level)

    def outside(self, level: str):
        uneven = Enclosure.of(solved(Sphere(10, 1.0), level, "200*5,20*5").certificate)
        yield less("unequal classes: the least mean is lower", uneven, value(Sphere(10, 1.0)), level=level)
