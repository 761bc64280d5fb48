r"""Sun & Shi (NeurIPS 2024): neural collapse in deep equilibrium models, in the form in which it can be proved. [sunshi2024]

Setting: last-layer features are equilibria ``z = A z + h`` of a linear map with ``||A||_2 <= rho < 1``, i.e.
``z = (I - A)^{-1} h``; W and h are free, under norm budgets (``c = sqrt(E_W E_H)`` on W and h) or weight decay.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less, rests_on
from proofs_check.fang2021 import etf_value, step_counts
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._balls import outward
from ufm.analysis.enclosures import enclose_logits
from ufm.solvers import Gradient


def gain(rho: float):
    """``1 / (1 - rho)`` as a ball."""
    from flint import arb

    return 1 / (1 - arb(rho))


class Trained(NamedTuple):
    """Class sizes, regulariser, rho."""

    counts: str
    regularizer: ufm.WeightDecay | ufm.NormBudget
    rho: float


def enlarging_steps() -> Iterator[tuple[str, Any]]:
    r"""A map with $\lVert A \rVert_2 \le \rho$ enlarges by at most $1/(1 - \rho)$, and $\rho I$ by exactly that."""
    import sympy as sp

    rho, t = sp.symbols("rho t", positive=True)
    identity = sp.Symbol("I", commutative=False)
    product = sp.expand((identity - rho * identity) * identity / (1 - rho)).subs(identity**2, identity)
    yield r"$A = \rho I$: $(I - A)\, I/(1 - \rho) = I$ at every size", sp.simplify(product - identity) == 0
    # |(I - A) x|^2 = 1 - 2 <x, A x> + |A x|^2 for |x| = 1; with <x, A x> <= |A x| = t <= rho it is at least (1 - t)^2.
    slack = (1 - 2 * t + t**2) - (1 - rho) ** 2
    yield (
        r"no A enlarges more: $(1 - t)^2 - (1 - \rho)^2 = (\rho - t)(2 - \rho - t)$, not negative for $t \le \rho < 1$",
        sp.expand(slack - (rho - t) * (2 - rho - t)) == 0,
    )


class SpectralBudget(Theorem):
    r"""A linear DEQ with $\lVert A \rVert_2 \le \rho < 1$ is the explicit model with $c / (1 - \rho)$ in place of c under
    norm budgets, and with $\mu (1 - \rho)$ in place of $\mu$ under weight decay.

    $\sigma_i\left((I - A)^{-1} H\right) \le \lVert (I - A)^{-1} \rVert_2\, \sigma_i(H) \le \sigma_i(H) / (1 - \rho)$, since
    $\lVert (I - A) x \rVert \ge (1 - \rho) \lVert x \rVert$, with equality at $A = \rho I$. So the features
    $(I - A)^{-1} H$ that a budget, or a decay, of H pays for are those that $E_H / (1 - \rho)^2$, or
    $\lambda_H (1 - \rho)^2$, pays for directly, and both models have the same logits at the same cost.

    Checked on trained (W, A, H): first-order dynamics with projection of A must end at the certified optimum of the rescaled
    explicit model.
    """

    id = "D1"
    title = "a linear DEQ is an explicit model with a larger budget"
    kind = Kind.IDENTITY
    source = cite("sunshi2024", "neural collapse in DEQs on balanced data; precise form derived here")
    hypotheses = (
        Hypothesis(r"spectral budget $0 \le \rho < 1$", lambda p: 0 <= p.rho < 1),
        Hypothesis(r"positive class sizes, $K \ge 2$", lambda p: ufm.ClassCounts.parse(p.counts).classes >= 2),
    )
    required = "rigorous"
    formulas = ("explicit", "check")

    def grid(self):
        return [
            Trained("10*4", ufm.NormBudget(1.0, 2.0), 0.3),
            Trained("20*2,5*3", ufm.NormBudget(1.0, 2.0), 0.5),
            Trained("20*4", ufm.WeightDecay(5e-3, 5e-3), 0.4),
            Trained("40*2,10*3", ufm.WeightDecay(4e-3, 1e-2), 0.3),
        ]

    @staticmethod
    def explicit(regularizer: ufm.WeightDecay | ufm.NormBudget, factor: float) -> ufm.WeightDecay | ufm.NormBudget:
        """The explicit model's regulariser: budget on H times factor^2, or decay on H over factor^2."""
        if isinstance(regularizer, ufm.NormBudget):
            return ufm.NormBudget(regularizer.weight, regularizer.features * factor**2)
        return ufm.WeightDecay(regularizer.weight, regularizer.features / factor**2)

    def compare(self, p: Trained, factor: float, level: str, what: str) -> Finding:
        counts = ufm.ClassCounts.parse(p.counts)
        deq = ufm.Problem(counts, regularizer=p.regularizer, head=ufm.LinearDEQ(p.rho))
        trained = ufm.solve(deq, method=Gradient(rule="heavy-ball", tolerance=1e-6), level=level)
        explicit = ufm.Problem(counts, regularizer=self.explicit(p.regularizer, factor))
        predicted = Enclosure.of(ufm.solve(explicit, level=level).certificate)
        return equal(what, predicted, Enclosure.of(trained.certificate), tolerance=1e-5, level=level)

    def check(self, instance: Trained, level: str) -> Iterator[Finding]:
        yield self.compare(instance, 1 / (1 - instance.rho), level, f"trained DEQ, {instance.counts}, {instance.regularizer}")

    def steps(self):
        import sympy as sp

        yield from enlarging_steps()
        rho, v, size = sp.symbols("rho v sigma", positive=True)
        mu, weight = sp.symbols("mu lambda_W", positive=True)
        # Decay: (lw w^2 + lh h^2)/2 with w h = (1 - rho) sigma, lh = mu^2/lw, is at least mu (1 - rho) sigma: a square.
        price = weight * v**2 / 2 + mu**2 / weight * ((1 - rho) * size / v) ** 2 / 2
        square = (sp.sqrt(weight) * v - mu / sp.sqrt(weight) * (1 - rho) * size / v) ** 2 / 2
        rest = sp.simplify(sp.expand(price - mu * (1 - rho) * size - square))
        yield r"decays: the price of a singular value less $\mu (1 - \rho) \sigma$ is a square", rest == 0
        best = sp.sqrt(mu * (1 - rho) * size / weight)
        yield "which vanishes at the balanced split", sp.simplify(square.subs(v, best)) == 0
        budgets = sp.symbols("E_W E_H", positive=True)
        radius = sp.sqrt(budgets[0] * budgets[1])
        scaled = sp.sqrt(budgets[0] * (budgets[1] / (1 - rho) ** 2)) - radius / sp.Abs(1 - rho)
        yield r"budgets: $c/(1 - \rho)$ is the budget $E_H / (1 - \rho)^2$", sp.simplify(scaled) == 0

    def control(self, level: str):
        yield self.compare(self.grid()[1], 1.5, level, "gain 1 + rho in place of 1/(1 - rho)")

    def twin(self, level: str):
        rng = np.random.default_rng(7)
        problem = ufm.Problem([20] * 2 + [5] * 3, regularizer=ufm.WeightDecay(4e-3, 1e-2), head=ufm.LinearDEQ(0.4), dim=6)
        solution = ufm.solve(problem)
        found = solution.parameters
        assert found.mixing is not None
        q = np.linalg.qr(rng.standard_normal((6, 6)))[0]
        turned = ufm.Parameters(found.weight @ q.T, q @ found.features, q @ found.mixing @ q.T)
        base, moved = (problem.objective(p) for p in (found, turned))
        yield equal(
            "features rotated", Enclosure(base, base), Enclosure(moved - 1e-13, moved + 1e-13), tolerance=1e-10, level="float"
        )

    def outside(self, level: str):
        # The budget alone does not make the gain: the same W and h, with A a rotation of norm rho instead of rho I.
        problem = ufm.Problem([20] * 4, regularizer=ufm.WeightDecay(5e-3, 5e-3), head=ufm.LinearDEQ(0.4))
        solution = ufm.solve(problem)
        p = solution.parameters
        assert p.mixing is not None
        q = np.linalg.qr(np.random.default_rng(1).standard_normal(p.mixing.shape))[0]
        other = problem.objective(ufm.Parameters(p.weight, p.features, 0.4 * q))
        yield less(
            "same W and h, A a rotation of norm rho: worse",
            Enclosure(solution.value, solution.value),
            Enclosure(other, other),
            level="float",
        )


class BalancedDEQ(NamedTuple):
    """K, budgets, rho."""

    classes: int
    e_w: float
    e_h: float
    rho: float


class BalancedValue(Theorem):
    r"""Balanced linear DEQ: the value is $\log\left(1 + (K-1)\, e^{-K c / ((K-1)(1-\rho))}\right)$, below the explicit
    net's for every $\rho > 0$.

    A statement about *budgets*: with the budget on the equilibria z instead of the injected h both models coincide.

    Proof here: $\lVert W (I - A)^{-1} H \rVert_* \le \lVert (I - A)^{-1} \rVert_2 \lVert W \rVert_F \lVert H \rVert_F
    \le K c/(1 - \rho) =: \Lambda$ for class means H, whose budget is at most that of the samples. The loss f is convex: with
    $G = \nabla f(a S)$ every such Z has $f(Z) \ge f(a S) - \langle G, a S \rangle - \Lambda \lVert G \rVert_2$, which at
    $a (K-1) = \Lambda$ is $f(a S)$; and $a S$ is attained.
    """

    id = "D2"
    title = "the balanced DEQ's value, and when it beats the explicit net"
    kind = Kind.TIGHT
    source = cite("sunshi2024", "lower loss of DEQs; precise form derived here")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of equal size", lambda p: p.classes >= 2),
        Hypothesis(r"budgets $E_W, E_H > 0$", lambda p: p.e_w > 0 and p.e_h > 0),
        Hypothesis(r"spectral budget $0 < \rho < 1$", lambda p: 0 < p.rho < 1),
    )
    required = "rigorous"
    formulas = ("formula",)

    def grid(self):
        return [BalancedDEQ(k, 1.0, h, r) for k, h in ((10, 5.0), (3, 2.0)) for r in (0.1, 0.3, 0.5, 0.7)]

    def more(self):
        return [BalancedDEQ(k, 1.0, h, r) for k, h in ((2, 1.0), (50, 3.0)) for r in (0.01, 0.9)]

    @staticmethod
    def solved(p: BalancedDEQ, level: str) -> Enclosure:
        regularizer = ufm.NormBudget(p.e_w, p.e_h)
        problem = ufm.Problem(ufm.balanced(p.classes, 7), regularizer=regularizer, head=ufm.LinearDEQ(p.rho))
        return Enclosure.of(ufm.solve(problem, level=level).certificate)

    @staticmethod
    def formula(p: BalancedDEQ, wrong: bool = False) -> Enclosure:
        def value():
            from flint import arb

            k, c = p.classes, (arb(p.e_w) * arb(p.e_h)).sqrt()
            factor = 1 + arb(p.rho) if wrong else gain(p.rho)
            return ((-factor * k * c / (k - 1)).exp() * (k - 1)).log1p()

        return Enclosure.ball(value)

    def check(self, instance: BalancedDEQ, level: str) -> Iterator[Finding]:
        found = self.solved(instance, level)
        yield equal(f"value, {instance}", self.formula(instance), found, tolerance=1e-10, level=level)
        yield less(f"below the explicit net, {instance}", found, etf_value(*instance[:3]), level=level)

    def steps(self):
        import sympy as sp

        yield from enlarging_steps()
        k, a, c, rho, u, v = sp.symbols("K a c rho u v", positive=True)
        simplex = sp.Symbol("S", commutative=False)
        own = sp.exp(a) / (sp.exp(a) + k - 1)
        kappa = k / (k - 1 + sp.exp(a))
        others = sp.simplify((1 - own) / (k - 1) - kappa / k)
        yield (
            r"softmax of $a S$ is $I - \kappa S$, $\kappa = K/(K - 1 + e^a)$",
            (sp.simplify(own - 1 + kappa * (1 - 1 / k)) == 0 and others == 0),
        )
        # G = (P - I)/K = -kappa/K S; S is a projector of trace K - 1, so |G|_2 = kappa/K and <G, aS> = -kappa a tr(S S)/K.
        square = sp.expand(simplex * simplex).subs(simplex**2, simplex)
        inner = -kappa / k * a * (k - 1)
        radius = a * (k - 1)
        closed = sp.simplify(inner + radius * kappa / k) == 0 and square == simplex
        yield r"the slope bound closes: $\langle G, a S \rangle + a (K-1) \lVert G \rVert_2 = 0$", closed
        height = sp.solve(sp.Eq(a * (k - 1), k * c / (1 - rho)), a)[0]
        value = sp.log(1 + (k - 1) * sp.exp(-a))
        loss = sp.log(sp.exp(a * (1 - 1 / k)) + (k - 1) * sp.exp(-a / k)) - a * (1 - 1 / k)
        yield "loss of $a S$", sp.simplify(sp.exp(loss) - sp.exp(value)) == 0
        claim = k * c / ((k - 1) * (1 - rho))
        yield r"$a (K-1) = K c/(1 - \rho)$ gives the exponent", sp.simplify(height - claim) == 0
        # W = u S, H = v S, A = rho I: budgets u^2 (K-1) = K E_W, v^2 (K-1) = K E_H, logits u v/(1 - rho) S.
        e_w, e_h = sp.symbols("E_W E_H", positive=True)
        reached = (u * v / (1 - rho)).subs({u: sp.sqrt(k * e_w / (k - 1)), v: sp.sqrt(k * e_h / (k - 1))})
        yield "attained within the budgets", sp.simplify(reached / claim.subs(c, sp.sqrt(e_w * e_h))) == 1
        slope = sp.diff(value, a)
        yield "the value falls in the height", sp.simplify(slope + (k - 1) / (k - 1 + sp.exp(a))) == 0
        growth = sp.simplify(sp.diff(claim, rho) - k * c / ((k - 1) * (1 - rho) ** 2))
        yield r"and the height rises in $\rho$: below the explicit net", growth == 0
        # Samples: the mean square of features of a class is that of their mean plus their scatter; the loss is convex (Jensen).
        x, y, m = sp.symbols("x y m", real=True)
        spread = (x**2 + y**2) / 2 - ((x + y) / 2) ** 2 - ((x - y) / 2) ** 2
        second = sp.simplify(sp.diff(sp.log(1 + sp.exp(m)), m, 2) - sp.exp(m) / (1 + sp.exp(m)) ** 2)
        yield "class means cost no more: the scatter is a square, the loss is convex", sp.expand(spread) == 0 and second == 0

    def control(self, level: str):
        p = BalancedDEQ(10, 1.0, 5.0, 0.3)
        yield equal("gain 1 + rho", self.formula(p, wrong=True), self.solved(p, level), tolerance=1e-10, level=level)

    def twin(self, level: str):
        a = self.solved(BalancedDEQ(10, 1.0, 5.0, 0.3), level)
        problem = ufm.Problem(ufm.balanced(10, 21), regularizer=ufm.NormBudget(5.0, 1.0), head=ufm.LinearDEQ(0.3))
        full = ufm.solve(problem, method="factored", level=level)
        b = Enclosure.of(full.certificate)
        yield equal("K x K program, samples tripled, budgets of W and h exchanged", a, b, tolerance=1e-9, level=level)
        own = problem.objective(full.parameters)
        explicit = Enclosure(own * (1 - 1e-12), own * (1 + 1e-12))
        yield equal("value at the explicit W, A, h", a, explicit, tolerance=1e-9, level="float")

    def outside(self, level: str):
        # Budget on z: at A = rho I that is the budget E_H (1 - rho)^2 on h. rho = 1/2 makes the product exact.
        on_z = self.solved(BalancedDEQ(10, 1.0, 5.0 * 0.25, 0.5), level)
        yield equal("budget on z instead of h: no difference", etf_value(10, 1.0, 5.0), on_z, tolerance=1e-10, level=level)


class CollapseDEQ(NamedTuple):
    """K_A of ten, E_H, rho, R relative to the claimed threshold."""

    majority: int
    e_h: float
    rho: float
    relative: float


class ThresholdDEQ(Theorem):
    r"""Minority collapse of the linear DEQ sets in at $R_0\left(c / (1 - \rho)\right)$, with $R_0$ the threshold of the
    explicit net (F5): later than the explicit net's, but it does.
    """

    id = "D3"
    title = "exact ratio of minority collapse of the linear DEQ"
    kind = Kind.TIGHT
    source = cite("sunshi2024", "minority collapse in DEQs; precise form derived here")
    hypotheses = (
        Hypothesis(r"$1 \le K_A \le 8$ of ten classes", lambda p: 1 <= p.majority <= 8),
        Hypothesis(r"budgets $E_W = 1$, $E_H > 0$", lambda p: p.e_h > 0),
        Hypothesis(r"spectral budget $0 < \rho < 1$", lambda p: 0 < p.rho < 1),
        Hypothesis(r"a positive ratio $R / R_0$ other than 1", lambda p: p.relative > 0 and p.relative != 1),
    )
    required = "rigorous"
    formulas = ("claimed",)

    def grid(self):
        cases = ((3, 1.0, 0.3), (5, 5.0, 0.3), (5, 5.0, 0.5), (7, 5.0, 0.3), (7, 5.0, 0.5))
        return [CollapseDEQ(*case, rel) for case in cases for rel in (0.99, 1.01)]

    def more(self):
        cases = ((2, 2.0, 0.2), (4, 5.0, 0.4), (6, 5.0, 0.6), (8, 2.0, 0.7))
        return [CollapseDEQ(*case, rel) for case in cases for rel in (0.999, 1.001)]

    @staticmethod
    def verdict(p: CollapseDEQ, ratio: float, level: str, expected: str, what: str) -> Finding:
        problem = ufm.Problem(
            step_counts(p.majority, 10 - p.majority, ratio),
            regularizer=ufm.NormBudget(1.0, p.e_h),
            head=ufm.LinearDEQ(p.rho),
        )
        found = ufm.collapse(rests_on(ufm.solve(problem, level=level)))
        margin = found.lower if found.verdict == "no" else found.tolerance - found.upper
        return decided(what, expected, found.verdict, margin=margin, level=level)

    @staticmethod
    def claimed(p: CollapseDEQ) -> float:
        """``R0(c / (1 - rho))``: the explicit model's threshold at the enlarged budget."""
        enlarged = ufm.NormBudget(1.0, p.e_h / (1 - p.rho) ** 2)
        return ufm.threshold(classes=(p.majority, 10 - p.majority), regularizer=enlarged).value

    def check(self, instance: CollapseDEQ, level: str) -> Iterator[Finding]:
        majority, e_h, rho, relative = instance
        critical = self.claimed(instance)
        yield self.verdict(instance, relative * critical, level, "yes" if relative > 1 else "no", f"{instance}")
        explicit = ufm.threshold(classes=(majority, 10 - majority), regularizer=ufm.NormBudget(1.0, e_h), level=level)
        found = ufm.threshold(
            classes=(majority, 10 - majority), regularizer=ufm.NormBudget(1.0, e_h), head=ufm.LinearDEQ(rho), level=level
        )
        before, after = (Enclosure(t.lower, t.upper) for t in (explicit, found))
        yield less(f"later than the explicit net, {instance}", before, after, level=level)

    def control(self, level: str):
        explicit = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1.0, 5.0)).value
        p = CollapseDEQ(5, 5.0, 0.3, 1.0)
        yield self.verdict(p, explicit / (1 - p.rho), level, "yes", "threshold R0(c)/(1-rho) in place of R0(c/(1-rho))")
        yield self.verdict(p, 1.01 * explicit, level, "yes", "the explicit net's threshold")

    def twin(self, level: str):
        def enclosed(e_w: float, e_h: float) -> Enclosure:
            found = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(e_w, e_h), head=ufm.LinearDEQ(0.5), level=level)
            return Enclosure(found.lower, found.upper)

        yield equal("budgets exchanged", enclosed(1.0, 5.0), enclosed(5.0, 1.0), tolerance=1e-9, level=level)
        doubled = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1.0, 20.0), level=level)
        yield equal(
            "rho = 1/2 doubles c", enclosed(1.0, 5.0), Enclosure(doubled.lower, doubled.upper), tolerance=1e-9, level=level
        )

    def outside(self, level: str):
        # rho = 0 is no DEQ at all: the explicit net's threshold.
        p = CollapseDEQ(5, 5.0, 0.0, 1.01)
        explicit = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1.0, 5.0)).value
        yield self.verdict(p, 1.01 * explicit, level, "yes", "rho = 0 collapses where the explicit net does")


class Fixed(NamedTuple):
    """K_A of ten, R, effective c = c0 / (1 - rho) given by E_H and rho."""

    majority: int
    ratio: float
    e_h: float
    rho: float


class ETFOnlyInTheLimit(Theorem):
    r"""At fixed $R > 1$ the DEQ's ETF, and its self-duality, is a limit $c / (1 - \rho) \to \infty$, never reached at
    finite budgets.

    Not reached: at every finite budget the certified contrasts of majority and minority differ, so Z is no multiple of
    $S = I - \frac1K \mathbf{1}\mathbf{1}^\top$. Limit: along growing $c / (1 - \rho)$ the minority cosine falls strictly
    and comes as close to $-1/(K-1)$ as 0.25 times $(1 - \rho)/c$, and not closer than 0.1 times that (proved here up to
    $c / (1 - \rho) = 15$; beyond that shown in floating point only, together with self-duality).
    """

    id = "D4"
    title = "under imbalance the DEQ's ETF is a limit, never reached"
    kind = Kind.LIMIT
    source = cite("sunshi2024", "ETF and self-duality under imbalance; precise form derived here")
    hypotheses = (
        Hypothesis(r"a ratio $R > 1$", lambda p: p.ratio > 1),
        Hypothesis(r"$1 \le K_A \le 8$ of ten classes", lambda p: 1 <= p.majority <= 8),
        Hypothesis(r"budgets $E_W = 1$, $E_H > 0$", lambda p: p.e_h > 0),
        Hypothesis(r"spectral budget $0 \le \rho < 1$", lambda p: 0 <= p.rho < 1),
    )
    required = "rigorous"
    formulas = ("approach",)
    ladder = ((5.0, 0.0), (5.0, 0.3), (5.0, 0.5), (12.25, 0.5), (56.25, 0.5))

    def grid(self):
        return [Fixed(ka, 10.0, *rung) for ka in (5, 7) for rung in self.ladder]

    @staticmethod
    def solved(p: Fixed, level: str) -> ufm.Solution:
        head = ufm.LinearDEQ(p.rho)
        counts = step_counts(p.majority, 10 - p.majority, p.ratio, 1000)
        return ufm.solve(ufm.Problem(counts, regularizer=ufm.NormBudget(1.0, p.e_h), head=head), level=level)

    def cosine(self, p: Fixed, level: str) -> Enclosure:
        return Enclosure(*outward(enclose_logits(self.solved(p, level)).weight_cosines[-1]))

    @staticmethod
    def approach(p: Fixed, classes: int = 10) -> tuple[float, float]:
        """``-1/(K-1)`` plus 0.1 and plus 0.25 times ``(1 - rho)/c``: between them lies the minority cosine for large c."""
        limit, reach = -1 / (classes - 1), (1 - p.rho) / p.e_h**0.5
        return limit + 0.1 * reach, limit + 0.25 * reach

    def check(self, instance: Fixed, level: str) -> Iterator[Finding]:
        solution = self.solved(instance, level)
        majority, ratio, e_h, rho = instance
        classes, budget = (majority, 10 - majority), ufm.NormBudget(1.0, e_h)
        critical = ufm.threshold(classes=classes, regularizer=budget, head=ufm.LinearDEQ(rho), level=level)
        verdict = ufm.collapse(rests_on(solution))
        expected = "yes" if ratio >= critical.upper else "no"
        margin = verdict.lower if expected == "no" else verdict.tolerance - verdict.upper
        yield decided(f"collapsed iff R >= R0, {instance}", expected, verdict.verdict, margin=margin, level=level)
        if verdict.verdict == "no":
            large, small = (Enclosure(*outward(x)) for x in enclose_logits(solution).contrasts)
            yield less(f"contrasts differ, {instance}", small, large, level=level)
            yield less(f"cosine above -1/9, {instance}", Enclosure(-1 / 9, -1 / 9), self.cosine(instance, level), level=level)
        rungs = [Fixed(instance.majority, instance.ratio, *r) for r in self.ladder]
        place = rungs.index(instance)
        if place and ufm.collapse(self.solved(rungs[place - 1], level)).verdict == "no":
            before = self.cosine(rungs[place - 1], level)
            yield less(f"cosine falls, {instance}", self.cosine(instance, level), before, level=level)
        if place == len(rungs) - 1:
            near, far = (Enclosure(x, x) for x in self.approach(instance))
            cosine = self.cosine(instance, level)
            yield less(f"within 0.25 (1-rho)/c of -1/9, {instance}", cosine, far, level=level)
            yield less(f"and not within 0.1 (1-rho)/c, {instance}", near, cosine, level=level)

    def control(self, level: str):
        # The claim 'ETF at finite budget': minority cosine -1/(K-1) at c / (1 - rho) = 4.47.
        found = self.cosine(Fixed(5, 10.0, 5.0, 0.5), level)
        yield equal("ETF at finite budget", Enclosure.ball(lambda: gain(0.0) / -9), found, tolerance=1e-6, level=level)

    def twin(self, level: str):
        a, b = self.cosine(Fixed(5, 10.0, 5.0, 0.5), level), self.cosine(Fixed(5, 10.0, 20.0, 0.0), level)
        tolerance = 1e-4 if level == "rigorous" else 1e-3  # enclosures are as wide as the square root of the gap
        yield equal("rho = 1/2 against four times the budget", a, b, tolerance=tolerance, level=level)

    def outside(self, level: str):
        # R = 1: the ETF is reached at every budget.
        at_one = self.solved(Fixed(5, 1.0, 5.0, 0.5), level)
        contrast = Enclosure(*outward(enclose_logits(at_one).contrasts[0]))

        def claim():
            from flint import arb

            return arb(5).sqrt() * 2 * 10 / 9

        yield equal("R = 1 gives the ETF at finite budget", Enclosure.ball(claim), contrast, tolerance=1e-3, level=level)
        far = [self.solved(Fixed(5, 10.0, e_h, 0.5), "float") for e_h in (5.0, 45.0, 405.0)]
        for before, after in pairwise([ufm.geometry(s) for s in far]):
            for name, limit in (("cos_minority", -1 / 9), ("self_duality", 0.0)):
                distance = [abs(g[name] - limit) for g in (after, before)]  # type: ignore[operator]
                nearer, farther = (Enclosure(d, d) for d in distance)
                yield less(f"{name} tends to that of the ETF as c grows threefold", nearer, farther, level="numeric")
        # Decay per sample: the limit is the SELI geometry, whose minority cosine differs from -1/(K-1).
        gram = ufm.seli([100] * 5 + [10] * 5)[0]
        limit = float(gram[9, 8] / gram[9, 9])
        cosines = []
        for decay in (1e-4, 1e-7, 1e-10):
            problem = ufm.Problem([100] * 5 + [10] * 5, regularizer=ufm.WeightDecay(decay, decay))
            cosines.append(abs(ufm.geometry(ufm.solve(problem))["cos_minority"] - limit))  # type: ignore[operator]
        for far, near in pairwise(cosines):
            yield less(
                "decay per sample: towards SELI, not the ETF", Enclosure(near, near), Enclosure(far, far), level="numeric"
            )
        yield less("SELI's minority cosine is not the ETF's", Enclosure(-1 / 9, -1 / 9), Enclosure(limit, limit), level="float")
