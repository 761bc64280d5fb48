r"""Sun & Shi (NeurIPS 2024), audited: which budget makes "the ETF is optimal" true? [sunshi2024]

On balanced classes the claim that a DEQ (or a deeper explicit net) ends in a simplex ETF is a theorem when the extra map is
bounded in *spectral* norm (D1, D2). With a *Frobenius* budget on that map it is false already at K = 10: the budget
rewards few large singular values, and the pair code of rank K/2 has a lower loss. So a proof of "the ETF is optimal" for
a DEQ must use something that a Frobenius budget on the map does not give.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, equal, less
from proofs_check.fang2021 import etf_value
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm.problem.heads import Head
from ufm.solvers import Multistart

SEARCH = Multistart(starts=6, effort=0)


def pair_loss(classes: int, s):
    """Cross-entropy of the pair code with singular value s (a ball)."""
    return ((-s).exp() + (classes - 2) * (-s / 2).exp()).log1p()


@cache
def searched(head: Head, regularizer: ufm.NormBudget, counts: ufm.ClassCounts) -> ufm.Solution:
    """The best solution found."""
    return ufm.solve(ufm.Problem(counts, regularizer=regularizer, head=head), method=SEARCH)


def found(problem: ufm.Problem) -> ufm.Solution:
    """The best solution found, kept for the next time that it is asked for."""
    assert isinstance(problem.regularizer, ufm.NormBudget)
    return searched(problem.head, problem.regularizer, problem.counts)


def found_value(problem: ufm.Problem, level: str) -> Enclosure:
    """The proved upper bound at the best parameters found."""
    certificate = found(problem).certificate
    upper = Enclosure.of(certificate.rigorous()).upper if level == "rigorous" else certificate.upper
    return Enclosure(upper, upper)


class Frobenius(NamedTuple):
    """K classes, E_W, E_H, and the Frobenius budget on A or (depth) on the extra layer."""

    classes: int
    e_w: float
    e_h: float
    budget: float


class FrobeniusBudgetOnA(Theorem):
    r"""A linear DEQ with $\lVert A \rVert_F^2 \le E_A$: on balanced classes the simplex ETF is *not* optimal for larger
    $E_A$; at $K = 10$, $c = \sqrt{5}$ the pair code wins from an $E_A$ between 0.2 and 0.24, within the range $E_A < 1$ of
    the model.

    The cost of logits Z is exactly $\lVert Z \rVert_* - \sqrt{E_A}\, \lVert Z \rVert_F$, for every Z (docs/theory,
    Proposition 5.6). So $\log\left(1 + (K-1) e^{-a}\right)$ at $a = K c / \left((K-1) (1 - \sqrt{E_A/(K-1)})\right)$ is the
    least loss of *every* ETF, and explicit W, A, H of pair code type go below it: with a Frobenius budget on the
    equilibrium map "the DEQ's optimum is an ETF" is false. The tangent inequality that is checked at each instance is a
    second argument that equal $a_i$ cost the ETF least.
    """

    id = "D5"
    title = "Frobenius budget on the DEQ's map: the ETF is not optimal"
    kind = Kind.IMPOSSIBILITY
    source = cite("sunshi2024", "neural collapse in DEQs, audited for a Frobenius budget; derived here")
    hypotheses = (
        Hypothesis(r"an even number $K \ge 4$ of classes", lambda p: p.classes >= 4 and p.classes % 2 == 0),
        Hypothesis(r"budgets $E_W, E_H > 0$", lambda p: p.e_w > 0 and p.e_h > 0),
        Hypothesis(r"Frobenius budget $0 < E_A < 1$", lambda p: 0 < p.budget < 1),
    )
    required = "rigorous"
    formulas = ("etf", "pair", "pair_loss")
    open_steps = "the cost of logits (docs/theory, Proposition 5.6)"

    def grid(self):
        return [Frobenius(10, 1.0, 5.0, budget) for budget in (0.24, 0.3, 0.5, 0.7)]

    @staticmethod
    def etf(p: Frobenius, wrong: bool = False) -> Enclosure:
        def value():
            from flint import arb

            k = p.classes
            relief = arb(p.budget).sqrt() if wrong else (arb(p.budget) / (k - 1)).sqrt()
            a = k * (arb(p.e_w) * arb(p.e_h)).sqrt() / ((k - 1) * (1 - relief))
            return ((-a).exp() * (k - 1)).log1p()

        return Enclosure.ball(value)

    @staticmethod
    def pair(p: Frobenius) -> Enclosure:
        def value():
            from flint import arb

            half = arb(p.classes) / 2
            radius = p.classes * (arb(p.e_w) * arb(p.e_h)).sqrt()
            return pair_loss(p.classes, radius / (half - (arb(p.budget) * half).sqrt()))

        return Enclosure.ball(value)

    @staticmethod
    def problem(p: Frobenius, n: int = 7) -> ufm.Problem:
        regularizer = ufm.NormBudget(p.e_w, p.e_h)
        return ufm.Problem(ufm.balanced(p.classes, n), regularizer=regularizer, head=ufm.FrobeniusDEQ(p.budget))

    def check(self, instance: Frobenius, level: str) -> Iterator[Finding]:
        def tangent():
            from flint import arb

            at, end = arb(instance.budget) / (instance.classes - 1), arb(instance.budget)
            slope = -1 / (2 * at.sqrt() * (1 - at.sqrt()))
            return (1 - end.sqrt()).log() - (1 - at.sqrt()).log() - slope * (end - at)

        zero = Enclosure(0.0, 0.0)
        yield less(f"equal a_i cost the ETF least, {instance}", zero, Enclosure.ball(tangent), level=level)
        etf, pair = self.etf(instance), self.pair(instance)
        yield less(f"pair code below every ETF, {instance}", pair, etf, level=level)
        yield less(
            f"explicit W, A, H below every ETF, {instance}", found_value(self.problem(instance), level), etf, level=level
        )

    def steps(self):
        import sympy as sp

        b, s, e, z = sp.symbols("b s e z", positive=True)
        bend = sp.diff(sp.log(1 - sp.sqrt(b)), b, 2)
        claimed = (1 - 2 * sp.sqrt(b)) / (4 * b ** sp.Rational(3, 2) * (1 - sp.sqrt(b)) ** 2)
        yield r"$\log(1 - \sqrt{b})$ is convex in b up to $1/4$, concave after", sp.simplify(bend - claimed) == 0
        a, lam = sp.symbols("a lambda", positive=True)
        lagrangian = sp.diff(s * (1 - a) + lam * (a**2 - e**2), a)
        yield "an aligned A is proportional to the singular values", sp.solve(lagrangian, a) == [s / (2 * lam)]
        relief = z * (1 - e * z / sp.sqrt(2 * z**2)) * 2 - (2 * z - e * sp.sqrt(2) * z)
        yield r"cost $\sum_i s_i - e \lVert s \rVert$ (two equal values)", sp.simplify(relief) == 0

    def control(self, level: str):
        p = Frobenius(10, 1.0, 5.0, 0.3)
        best = found_value(self.problem(p), level)
        yield less("the ETF is optimal", self.etf(p), best, level=level)
        codes = {c.name: c.value for c in found(self.problem(p)).candidates}
        value = codes["etf code"]
        attained = Enclosure(value * (1 - 1e-10), value * (1 + 1e-10))
        yield equal(
            "A = sqrt(E_A) I in place of a Frobenius budget", self.etf(p, wrong=True), attained, tolerance=1e-9, level="float"
        )

    def twin(self, level: str):
        p = Frobenius(10, 1.0, 5.0, 0.3)
        turned = found_value(self.problem(Frobenius(10, 5.0, 1.0, 0.3), 21), "float")
        base = found_value(self.problem(p), "float")
        wide = Enclosure(base.lower * (1 - 1e-9), base.upper * (1 + 1e-9))
        yield equal("budgets exchanged, samples tripled", wide, turned, tolerance=1e-8, level="float")
        codes = {c.name: c.value for c in found(self.problem(p)).candidates}
        near = Enclosure(codes["pair code"] * (1 - 1e-10), codes["pair code"] * (1 + 1e-10))
        yield equal("pair code by the search", self.pair(p), near, tolerance=1e-9, level="float")

    def outside(self, level: str):
        small = Frobenius(10, 1.0, 5.0, 0.2)
        yield less("E_A = 0.2: the pair code does not beat the ETF", self.etf(small), self.pair(small), level=level)
        # A spectral budget of the same size: the ETF is optimal (D2).
        rho = 0.5
        problem = ufm.Problem(ufm.balanced(10, 7), regularizer=ufm.NormBudget(1.0, 5.0), head=ufm.LinearDEQ(rho))
        value = Enclosure.of(ufm.solve(problem, level=level).certificate)
        yield equal("spectral budget: the ETF is optimal", etf_value(10, 1.0, 5.0, 2.0), value, tolerance=1e-10, level=level)


class ExtraLayer(NamedTuple):
    """K classes, E_W, E_H; the extra layer V has ``||V||_F^2 <= K E_W``."""

    classes: int
    e_w: float
    e_h: float


class FrobeniusBudgetOnALayer(Theorem):
    r"""An extra explicit layer $V$ with $\lVert V \rVert_F^2 \le K E_W$: on balanced classes the simplex ETF is *not* optimal.

    With $\lVert W \rVert_F^2, \lVert V \rVert_F^2 \le K E_W$ and $\lVert H \rVert_F^2 \le K E_H$ logits of singular values
    s are attainable iff $\sum_i s_i^{2/3} \le (K E_W)^{2/3} (K E_H)^{1/3}$ (Horn and Hoelder), so codes with fewer singular
    values are cheaper. In words: the comparison "DEQ against explicit net" depends on which norm bounds the extra map; with
    Frobenius budgets neither of them ends in an ETF.
    """

    id = "D6"
    title = "Frobenius budget on an extra explicit layer: the ETF is not optimal"
    kind = Kind.IMPOSSIBILITY
    source = cite("sunshi2024", "explicit net beside the DEQ, audited for a Frobenius budget; derived here")
    hypotheses = (
        Hypothesis(r"an even number $K \ge 6$ of classes", lambda p: p.classes >= 6 and p.classes % 2 == 0),
        Hypothesis(r"budgets $E_W, E_H > 0$", lambda p: p.e_w > 0 and p.e_h > 0),
    )
    required = "rigorous"
    formulas = ("code", "pair_loss")
    open_steps = "from scalars to matrices (the inequalities of Horn and Hoelder)"

    def grid(self):
        return [ExtraLayer(10, 1.0, 5.0), ExtraLayer(6, 1.0, 3.0), ExtraLayer(8, 1.5, 2.0)]

    @staticmethod
    def code(p: ExtraLayer, rank: int, exponent: tuple[int, int] = (2, 3)) -> Enclosure:
        def value():
            from flint import arb

            k = p.classes
            power = arb(exponent[0]) / exponent[1]
            level = (arb(k * p.e_w) ** 2 * arb(k * p.e_h)) ** (arb(1) / 3)
            s = (level / rank) ** (1 / power)
            return pair_loss(k, s) if rank == k // 2 else ((-s).exp() * (k - 1)).log1p()

        return Enclosure.ball(value)

    @staticmethod
    def problem(p: ExtraLayer, n: int = 7) -> ufm.Problem:
        return ufm.Problem(ufm.balanced(p.classes, n), regularizer=ufm.NormBudget(p.e_w, p.e_h), head=ufm.Explicit(2))

    def check(self, instance: ExtraLayer, level: str) -> Iterator[Finding]:
        k = instance.classes
        etf, pair = self.code(instance, k - 1), self.code(instance, k // 2)
        yield less(f"pair code below every ETF, {instance}", pair, etf, level=level)
        yield less(
            f"explicit W, V, H below every ETF, {instance}", found_value(self.problem(instance), level), etf, level=level
        )

    def steps(self):
        import sympy as sp

        s, x, y = sp.symbols("s x y", positive=True)
        cost = x**2 + y**2 + (s / (x * y)) ** 2
        at = {x: s ** sp.Rational(1, 3), y: s ** sp.Rational(1, 3)}
        yield "three factors of a product share it equally", all(sp.simplify(sp.diff(cost, v).subs(at)) == 0 for v in (x, y))
        yield "and cost $3 s^{2/3}$", sp.simplify(cost.subs(at) - 3 * s ** sp.Rational(2, 3)) == 0

    def control(self, level: str):
        p = ExtraLayer(10, 1.0, 5.0)
        yield less("the ETF is optimal", self.code(p, 9), found_value(self.problem(p), level), level=level)
        codes = {c.name: c.value for c in found(self.problem(p)).candidates}
        near = Enclosure(codes["etf code"] * (1 - 1e-10), codes["etf code"] * (1 + 1e-10))
        yield equal("exponent 1/2 in place of 2/3", self.code(p, 9, (1, 2)), near, tolerance=1e-9, level="float")

    def twin(self, level: str):
        a = found_value(self.problem(ExtraLayer(10, 1.0, 5.0)), "float")
        b = found_value(self.problem(ExtraLayer(10, 2.0, 1.25), 21), "float")
        wide = Enclosure(a.lower * (1 - 1e-8), a.upper * (1 + 1e-8))
        yield equal("E_W doubled, E_H over four, samples tripled", wide, b, tolerance=1e-7, level="float")
        for p in self.grid():
            codes = {c.name: c.value for c in found(self.problem(p)).candidates}
            for name, rank in (("etf code", p.classes - 1), ("pair code", p.classes // 2)):
                near = Enclosure(codes[name] * (1 - 1e-10), codes[name] * (1 + 1e-10))
                yield equal(f"{name} by the search, {p}", self.code(p, rank), near, tolerance=1e-9, level="numeric")

    def outside(self, level: str):
        # Without the extra layer the ETF is optimal (F1).
        problem = ufm.Problem(ufm.balanced(10, 7), regularizer=ufm.NormBudget(1.0, 5.0))
        value = Enclosure.of(ufm.solve(problem, level=level).certificate)
        yield equal("W and H alone: the ETF is optimal", etf_value(10, 1.0, 5.0), value, tolerance=1e-10, level=level)
