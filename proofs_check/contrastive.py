r"""Supervised contrastive learning: optimal class vectors under imbalance.  [nguyen2026, kini2024]

Setting: ``f(G) = sum_k pi_k log sum_j pi_j exp((g_kj - 1) / tau)`` over Gram matrices with unit diagonal (population form, the
class itself among the terms). Step imbalance: K_A classes of ``R n_B`` samples, K_B of n_B. The minority is collapsed if its
classes share one vector. Proofs: docs/theory, Propositions 13.1 to 13.10.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isinf
from typing import Any, NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.theorem import Hypothesis, Kind, Theorem

SCALE = 10**6
"""Samples of a minority class: ratios are rounded to its inverse."""


class Imbalance(NamedTuple):
    """Numbers of majority and minority classes, temperature, and the ratio over its critical value."""

    majority: int
    minority: int
    temperature: float
    side: float


def closed_form(p: Imbalance, power: float = 2.0) -> Enclosure:
    """``K_B x`` for one majority class; ``power`` is that of ``e = exp(-power / tau)``."""

    def formula() -> Any:
        from flint import arb

        e = (-arb(power) / arb(p.temperature)).exp()
        q = (1 - e) * (e + 2)
        return p.minority * (q + (q**2 + 8 * e**2 * (1 + e)).sqrt()) / (2 * e * (1 + e))

    return Enclosure.ball(formula)


def judged(p: Imbalance, critical: float, what: str, expected: str, level: str, minority: int = SCALE) -> Finding:
    """The certified verdict on the minority at ``side`` times a ratio, against the expected one."""
    runs = ((round(p.side * critical * minority), p.majority), (minority, p.minority))
    solution = ufm.solve_contrastive(ufm.ClassCounts(runs), temperature=p.temperature, level=level)
    group = solution.groups[-1]
    margin = 1.0 - group.upper if group.collapsed == "no" else 1e-6 - (1.0 - group.lower)
    return decided(what, expected, group.collapsed, margin=margin, level=level)


class ContrastiveCollapse(Theorem):
    r"""The minority of the contrastive optimum collapses at a finite ratio for one and two majority classes; for one
    majority class iff $R \ge K_B x$ with $x = \frac{(1-e)(e+2) + \sqrt{(1-e)^2 (e+2)^2 + 8 e^2 (1+e)}}{2 e (1+e)}$ and
    $e = e^{-2/\tau}$.

    Two or more: iff $\gamma^2 F (\beta + \gamma E) \ge \gamma c / K_A + \beta E$ at the length $\beta$ of the majority's
    mean that belongs to R, so that $R_0$ is $K_B$ times a number of $K_A$ and $\tau$. With $s = e^{-1/((K_A-1) \tau)}$ it
    is collapsed at all large ratios if $(1 + K_A s^{K_A-1} + (K_A-1) s^{K_A})^2 > 4 K_A s (1 + (K_A-1) s^{K_A})$ and at no
    large one if the left side is smaller. For two majority classes the difference is $(1-s)^4$; for three or more it is
    negative at all high temperatures.

    Proof here: for two groups the objective is convex in the squared lengths of the group means; the sign of its derivative
    where the minority coincides.
    """

    id = "X10"
    title = "supervised contrastive learning: when minority classes coincide"
    kind = Kind.TIGHT
    source = cite("nguyen2026", "population form; thresholds derived in docs/theory, Propositions 13.8 to 13.10")
    hypotheses = (
        Hypothesis(r"$K_A \ge 1$ majority and $K_B \ge 2$ minority classes", lambda p: p.majority >= 1 and p.minority >= 2),
        Hypothesis(r"a temperature $\tau > 0$", lambda p: p.temperature > 0),
        Hypothesis(r"a positive ratio $R / R_0$ other than 1", lambda p: p.side > 0 and p.side != 1),
    )
    required = "rigorous"
    formulas = ("closed_form",)
    open_steps = (
        "convexity in two scalars and the passage to infinite ratio are argued in docs/theory, Propositions 13.3, 13.9, 13.10"
    )

    def grid(self):
        sides = (0.98, 1.02)
        one = [Imbalance(1, k, tau, side) for k, tau in ((4, 1.0), (2, 0.5), (9, 2.0)) for side in sides]
        more = [Imbalance(2, 4, 0.5, 1.0), Imbalance(2, 3, 1.0, 1.0), Imbalance(3, 2, 0.15, 1.0)]
        return [*one, *(p._replace(side=side) for p in more for side in sides)]

    def check(self, instance: Imbalance, level: str) -> Iterator[Finding]:
        p = instance
        found = ufm.contrastive_threshold(classes=(p.majority, p.minority), temperature=p.temperature)
        if p.majority == 1:
            enclosed = Enclosure(found.lower, found.upper)
            yield equal(f"R0, {p}", closed_form(p), enclosed, tolerance=1e-14, level=level)
        expected = "yes" if p.side >= 1 else "no"
        yield judged(p, found.value, f"{p}", expected, level)

    def steps(self):
        import sympy as sp

        y, k, t, u, v, m = sp.symbols("y K_A tau u_A u_B m", positive=True)
        e, f = sp.symbols("E F", positive=True)
        # h over K_B pi_B, up to a constant: u and v are the squared lengths of the group means, b their inner product.
        b = -sp.sqrt(u * v)
        within, other = 1 - (1 - u) * k / (k - 1), 1 - (1 - v) * m / (m - 1)
        first = y / k * (1 + (k - 1) * sp.exp((within - 1) / t)) + sp.exp((b - 1) / t)
        second = (1 + (m - 1) * sp.exp((other - 1) / t)) / m + y * sp.exp((b - 1) / t)
        h = y * sp.log(first) + sp.log(second)
        beta = sp.Symbol("beta", positive=True)
        c = 1 + (k - 1) * f
        own, opposite = y * c / k + e, 1 + y * e
        stationary = y * (y * f / own - e / (2 * beta) * (1 / own + 1 / opposite))
        collapsed = 1 / opposite - y * e * beta / 2 * (1 / own + 1 / opposite)
        for name, slope, expected in (
            ("derivative by u_A where the minority coincides", sp.diff(h, u), stationary),
            ("derivative by u_B where the minority coincides", sp.diff(h, v), collapsed),
        ):
            bare = slope.subs({v: 1, u: beta**2})
            values = {f: sp.exp(-k * (1 - beta**2) / ((k - 1) * t)), e: sp.exp((-beta - 1) / t)}
            yield name, sp.simplify(bare * t - expected.subs(values)) == 0
        gamma = sp.Symbol("gamma", positive=True)
        curve = 2 * f * e * gamma**2 + (2 * f * beta - e**2 - e * c / k) * gamma - e * beta * (1 + e)
        cleared = sp.expand(sp.simplify(2 * beta * stationary / y * own * opposite * beta).subs(y, gamma / beta))
        yield "stationarity of the majority is the quadratic in gamma", sp.simplify(cleared - sp.expand(curve)) == 0
        eliminated = 1 / opposite - beta**2 * y**2 * f / own
        difference = gamma**2 * f * (beta + gamma * e) - gamma * c / k - beta * e
        product = -eliminated * own * opposite * beta
        yield "with it, the condition of collapse", sp.simplify(product.subs(y, gamma / beta) - difference) == 0
        yield (
            "and the derivative by u_B is the one that was eliminated",
            sp.simplify(collapsed - eliminated - beta**2 * stationary) == 0,
        )
        x, q = sp.Symbol("x", positive=True), (1 - e) * (e + 2)
        single = (1 / (1 + x * e) - x * e / 2 * (1 / (x + e) + 1 / (1 + x * e))) * 2 * (1 + x * e) * (x + e)
        quadratic = e * (1 + e) * x**2 - q * x - 2 * e
        yield "one majority class: the quadratic", sp.expand(sp.simplify(single) + quadratic) == 0
        root = (q + sp.sqrt(q**2 + 8 * e**2 * (1 + e))) / (2 * e * (1 + e))
        yield "and its root", sp.simplify(sp.expand(quadratic.subs(x, root))) == 0
        yield from self.limits()

    def limits(self):
        """Identities about the limit of infinite ratio."""
        import sympy as sp

        s, k = sp.symbols("s K_A", positive=True)
        c = 1 + (k - 1) * s**k
        delta = (k * s ** (k - 1) + c) ** 2 - 4 * k * s * c
        e, f = s ** (k - 1), s**k
        gamma = (e + c / k) / (2 * f)
        limit = gamma**2 * f * e - c / k
        yield "limit of the condition", sp.simplify(limit - delta / (4 * k**2 * s)) == 0
        yield "two majority classes: (1 - s)^4", sp.expand(delta.subs(k, 2) - (1 - s) ** 4) == 0
        yield "zero at s = 1", sp.simplify(delta.subs(s, 1)) == 0
        slope = sp.simplify(sp.diff(delta, s).subs(s, 1) - 4 * k**2 * (k - 2))
        yield "slope 4 K_A^2 (K_A - 2) there", slope == 0

    def control(self, level: str):
        p = Imbalance(1, 4, 1.0, 1.02)
        wrong = closed_form(p, power=1.0).upper
        yield judged(p, wrong, "e = exp(-1/tau) in the closed form", "yes", level)
        pair = Imbalance(2, 4, 0.5, 1.02)
        found = ufm.contrastive_threshold(classes=(2, 4), temperature=0.5).value
        yield judged(pair, found, "two majority classes never collapse the minority", "no", level)
        alone = closed_form(Imbalance(1, 4, 0.5, 1.0)).upper
        yield judged(pair._replace(side=0.98), alone, "one majority class's threshold for two", "no", level)

    def twin(self, level: str):
        p = Imbalance(2, 3, 0.5, 1.02)
        found = ufm.contrastive_threshold(classes=(2, 3), temperature=0.5)
        yield judged(p, found.value, "other numbers of samples", "yes", level, minority=1000 * SCALE)
        twice = ufm.contrastive_threshold(classes=(2, 6), temperature=0.5)
        yield equal(
            "twice the minority classes: twice the ratio",
            Enclosure(2 * found.lower, 2 * found.upper),
            Enclosure(twice.lower, twice.upper),
            tolerance=1e-13,
            level=level,
        )
        sizes = ufm.ClassCounts.parse("30*2,10*3")
        moved = ufm.solve_contrastive("20*3,60*2", temperature=0.5, level=level)
        one = Enclosure.of(ufm.solve_contrastive(sizes, temperature=0.5, level=level))
        yield equal("classes relabelled, samples doubled: value", one, Enclosure.of(moved), tolerance=1e-12, level=level)

    def outside(self, level: str):
        # Five majority classes at tau = 1/2: no threshold, as is proved for every ratio, and seen at a large one.
        never = ufm.contrastive_threshold(classes=(5, 5), temperature=0.5)
        verdict = "yes" if isinf(never.lower) else "no"
        yield decided("five majority classes: no critical ratio", "yes", verdict, margin=1.0, level=level)
        yield judged(Imbalance(5, 5, 0.5, 1.0), 10**4, "five majority classes at R = 10^4", "no", level)


class ReluFrame(Theorem):
    r"""With non-negative features the contrastive optimum is the orthogonal frame, at every K, class sizes and temperature,
    with value $\sum_k \pi_k \log\left(\pi_k + (1 - \pi_k) e^{-1/\tau}\right)$.

    Proof here: f increases strictly in every cosine, and cosines zero are feasible.
    """

    id = "X11"
    title = "supervised contrastive learning with ReLU features: the orthogonal frame"
    kind = Kind.TIGHT
    source = cite("kini2024", "orthogonal frame at every imbalance; docs/theory, Proposition 13.7")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of $n_k \ge 1$ samples", lambda p: ufm.ClassCounts.parse(p[0]).classes >= 2),
        Hypothesis(r"a temperature $\tau > 0$", lambda p: p[1] > 0),
    )
    required = "rigorous"
    formulas = ("value",)

    def grid(self):
        return [
            ("50*5,10*5", 0.5), ("1000*1,1*9", 0.1), ("7,3", 2.0), ("500,200,90,40,11,3", 0.07), ("4*30", 1.0),
        ]  # fmt: skip

    def value(self, counts: str, temperature: float, wrong: float = 0.0) -> Enclosure:
        """The closed form with cosines ``wrong`` in place of zero."""

        def formula() -> Any:
            from flint import arb

            sizes = ufm.ClassCounts.parse(counts)
            factor = ((arb(wrong) - 1) / arb(temperature)).exp()
            shares = [arb(n) / sizes.total for n in sizes]
            return sum(((p * (p + (1 - p) * factor).log()) for p in shares), arb(0))

        return Enclosure.ball(formula)

    def solved(self, counts: str, temperature: float, level: str) -> Enclosure:
        """The certified optimum with the sign constraint."""
        found = ufm.solve_contrastive(counts, temperature=temperature, nonnegative=True, level=level)
        return Enclosure.of(found)

    def check(self, instance: tuple[str, float], level: str) -> Iterator[Finding]:
        computed = self.solved(*instance, level)
        yield equal(f"value, {instance}", self.value(*instance), computed, tolerance=1e-11, level=level)

    def steps(self):
        import sympy as sp

        g, t, weight, rest, share = sp.symbols("g tau pi_j r pi_k", positive=True)
        row = share * sp.log(rest + weight * sp.exp((g - 1) / t))
        slope = sp.diff(row, g)
        term = weight * sp.exp((g - 1) / t)
        yield "slope pi_k p_kj / tau", sp.simplify(slope - share / t * term / (rest + term)) == 0
        yield "which is positive", slope.is_positive is True

    def control(self, level: str):
        counts, temperature = "50*5,10*5", 0.5
        found = self.solved(counts, temperature, level)
        etf = self.value(counts, temperature, -1 / 9)
        yield equal("the simplex ETF's value", etf, found, tolerance=1e-11, level=level)
        free = Enclosure.of(ufm.solve_contrastive(counts, temperature=temperature, level=level))
        yield equal("the value without the sign constraint", free, found, tolerance=1e-11, level=level)

    def twin(self, level: str):
        found = self.solved("50*5,10*5", 0.5, level)
        yield equal("classes relabelled", self.solved("10*5,50*5", 0.5, level), found, tolerance=1e-12, level=level)
        yield equal("samples tripled", self.solved("150*5,30*5", 0.5, level), found, tolerance=1e-12, level=level)

    def outside(self, level: str):
        # Without the constraint the frame is not optimal, and depends on the imbalance.
        free = ufm.solve_contrastive("50*5,10*5", temperature=0.5, level=level)
        yield less("a lower value", Enclosure.of(free), self.value("50*5,10*5", 0.5), level=level)
        large, small = (Enclosure(group.lower, group.upper) for group in free.groups)
        yield less("majority classes further apart than minority ones", large, small, level=level)
