r"""Features of a fixed norm (LayerNorm, RMSNorm) above a decayed classifier. [here]

Setting: mean cross-entropy plus ``lw/2 ||W||_F^2`` over W and features with ``|h_ki| = r``. Proofs: docs/theory, file 12.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.theorem import Hypothesis, Kind, Theorem

UNIT = 100_000
"""Samples of a minority class: ratios are rounded to multiples of one over this."""


class Step(NamedTuple):
    """Numbers of majority and minority classes, decay over the squared norm, ratio over the threshold."""

    majority: int
    minority: int
    decay: float
    relative: float


def critical(p: Step, level: str) -> ufm.Threshold:
    """The enclosed ratio at which the minority collapses."""
    return ufm.threshold(
        classes=(p.majority, p.minority), regularizer=ufm.ClassifierDecay(p.decay), head="layernorm", level=level
    )


def solved(p: Step, ratio: float, level: str, head: str = "layernorm", loss: str = "ce") -> ufm.Solution:
    """The optimum at a ratio, certified."""
    counts = f"{round(ratio * UNIT)}*{p.majority},{UNIT}*{p.minority}"
    return ufm.solve(ufm.Problem(counts, regularizer=ufm.ClassifierDecay(p.decay), head=head, loss=loss), level=level)


def judged(what: str, expected: str, solution: ufm.Solution, level: str) -> Finding:
    """The verdict on the minority against the expected one."""
    found = ufm.collapse(solution)
    margin = found.lower if found.verdict == "no" else 1e-6 - found.upper
    return decided(what, expected, found.verdict, margin=margin, level=level)


class NormalisedCollapse(Theorem):
    r"""Features of a fixed norm r, step imbalance, plain cross-entropy: the minority collapses where $\beta$ reaches one,
    for the solution $(\alpha, \beta, \theta)$ of three equations in $K_A$, $K_B$, R and $\lambda_W (K_A R + K_B) / r^2$
    (docs/theory, Proposition 12.9).

    Counts enter only through their ratio, features and classifiers collapse together, and the features keep their norm.

    Proof here: the point with these probabilities, contrasts and weights meets the certificate with equality if
    $\beta \ge 1$; if not, the loss falls along the minority's contrast faster than the price can rise.
    """

    id = "X3"
    title = "minority collapse of features of a fixed norm"
    kind = Kind.TIGHT
    source = cite("here", "minority collapse of features of a fixed norm", "docs/theory, Proposition 12.9")
    hypotheses = (
        Hypothesis(r"$K_A \ge 1$ majority and $K_B \ge 2$ minority classes", lambda p: p.majority >= 1 and p.minority >= 2),
        Hypothesis(r"a decay $\lambda_W / r^2 > 0$", lambda p: p.decay > 0),
        Hypothesis(r"a positive ratio $R / R_0$ other than 1", lambda p: p.relative > 0 and p.relative != 1),
    )
    required = "rigorous"
    formulas = ("critical", "check")
    open_steps = "that the ratio at which beta passes one is the only one"

    def grid(self):
        cases = [(3, 7, 0.01), (5, 5, 0.01), (7, 3, 0.01), (5, 5, 0.003), (5, 5, 0.03), (1, 4, 0.1), (2, 2, 1.0), (30, 4, 0.02)]
        return [Step(*case, relative) for case in cases for relative in (0.99, 1.01)]

    def check(self, instance: Step, level: str) -> Iterator[Finding]:
        found = critical(instance, level)
        ratio = instance.relative * (found.lower if instance.relative < 1 else found.upper)
        expected = "no" if instance.relative < 1 else "yes"
        yield judged(f"{instance}", expected, solved(instance, ratio, level), level)

    def steps(self):
        import sympy as sp

        a, b, r, alpha, beta, theta, g, lam, x, m = sp.symbols("K_A K_B R alpha beta theta g lambda x m", positive=True)
        nu = sp.sqrt(1 / a + 1 / b)
        into_b, into_a = alpha * sp.cos(theta) / (r * nu * sp.sqrt(a)), beta * sp.sin(theta) / (nu * sp.sqrt(b))
        other = (alpha / r - into_b) / a
        own = other + 1 - alpha / r
        yield "an A column's probabilities sum to one", sp.simplify(own + (a - 1) * other + into_b - 1) == 0
        yield "slopes on A contrasts have norm one", sp.simplify(r * (1 - own + other) / alpha - 1) == 0
        core = (r * into_b * nu * sp.sqrt(a) / alpha, into_a * nu * sp.sqrt(b) / beta)
        yield "slopes on the core have norm one", sp.simplify(core[0] ** 2 + core[1] ** 2 - 1) == 0
        rest = sp.Symbol("r_0", positive=True)
        column = sp.log(sp.exp(x * (1 - 1 / m)) + (m - 1) * sp.exp(-x / m) + rest) - x * (1 - 1 / m)
        slope = sp.diff(column, x).subs(x, 0)
        yield "the loss falls along the minority's contrast at the rate of the label", sp.simplify(slope + (m - 1) / m) == 0
        length = g * sp.sqrt(b) / nu  # |v_B|
        core_length = length * beta / sp.sin(theta)
        norm = lam * length**2 / (b * core_length)
        third = lam * g * sp.sin(theta) / (nu * sp.sqrt(b)) - beta
        yield "minority features of norm one: the third equation", sp.simplify((norm - 1) * beta - third) == 0
        t, e, q = sp.symbols("t e q", positive=True)
        best = sp.solve(sp.diff(t * sp.sqrt(q) - q / (2 * e), q), q)
        yield (
            "the best size of the weights gives e t^2 / 2",
            sp.simplify((t * sp.sqrt(q) - q / (2 * e)).subs(q, best[0]) - e * t**2 / 2) == 0,
        )

    def control(self, level: str):
        p = Step(5, 5, 0.01, 1.01)
        double = critical(p._replace(decay=2 * p.decay), level)
        yield judged("the threshold of twice the decay", "yes", solved(p, 1.01 * double.upper, level), level)
        other = critical(Step(7, 3, 0.01, 1.01), level)
        yield judged(
            "majority and minority classes exchanged", "yes", solved(Step(3, 7, 0.01, 1.01), 1.01 * other.upper, level), level
        )

    def twin(self, level: str):
        p = Step(5, 5, 0.01, 1.01)
        found = critical(p, level)
        four = p._replace(decay=16 * p.decay)
        for relative, expected in ((0.99, "no"), (1.01, "yes")):
            solution = solved(four, relative * found.value, level, head="layernorm:norm=4")
            yield judged(f"norm 4 at 16 times the decay, {relative} of the threshold", expected, solution, level)
            counts = f"7*5,{round(7 * relative * found.value)}*5"
            moved = ufm.solve(ufm.Problem(counts, regularizer=ufm.ClassifierDecay(p.decay), head="layernorm"), level=level)
            yield judged(f"seven samples a class, relabelled, {relative} of the threshold", expected, moved, level)

    def outside(self, level: str):
        p = Step(5, 5, 0.01, 2.0)
        found = critical(p, level)
        equal_shares = solved(p, 2 * found.upper, level, loss="ce:weights=1")
        yield judged("class weights 1/n, twice the threshold: separated", "no", equal_shares, level)
        cold = solved(p, 0.5 * found.lower, level, loss="ce:temperatures=0.5")
        yield judged("temperatures (n/n_max)^(1/2), half the threshold: collapsed", "yes", cold, level)


class Balanced(NamedTuple):
    """Classes, decay of the classifier, norm of the features."""

    classes: int
    decay: float
    norm: float


class NormalisedBalanced(Theorem):
    r"""Features of a fixed norm r, equal classes: the optimum is $Z = x (I - \frac1K \mathbf{1}\mathbf{1}^\top)$ with
    $x (e^x + K - 1) = \frac{K r^2}{(K - 1) \lambda_W}$, a simplex ETF at every decay, with value
    $\log\left(1 + (K-1) e^{-x}\right) + \frac{\lambda_W (K-1)^2 x^2}{2 K r^2}$.

    W and the features are self-dual simplex ETFs, and no decay is so large that all is zero.

    Proof here: the certificate at $P = \mathrm{softmax}(x S)$ and equal weights is the value less a square that vanishes at x.
    """

    id = "LN"
    title = "features of a fixed norm on balanced classes are a simplex ETF"
    kind = Kind.TIGHT
    source = cite("here", "balanced classes of features of a fixed norm", "docs/theory, Proposition 12.8")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of equal size", lambda p: p.classes >= 2),
        Hypothesis(r"a decay $\lambda_W > 0$", lambda p: p.decay > 0),
        Hypothesis(r"a norm $r > 0$", lambda p: p.norm > 0),
    )
    required = "rigorous"
    formulas = ("height", "value")

    def grid(self):
        return [
            Balanced(classes, decay, norm)
            for classes in (2, 3, 10, 1000)
            for decay, norm in ((1e-2, 1.0), (5e-4, 16.0), (3.0, 0.5))
        ]

    def height(self, p: Balanced, shift: int = 0) -> Any:
        """Ball of x; ``shift`` is added to K - 1 on the right of its equation."""
        from flint import arb
        from scipy.optimize import brentq

        target = arb(p.classes) * arb(p.norm) ** 2 / ((p.classes - 1 + shift) * arb(p.decay))

        def excess(x: Any) -> Any:
            return x * (x.exp() + p.classes - 1) - target

        root: Any = brentq(lambda x: float(excess(arb(x)).mid()), 0.0, 60.0)
        x = arb(root)
        for _ in range(6):
            x = (x - excess(x) / (x.exp() * (1 + x) + p.classes - 1)).mid()
        ends = x * (1 - arb("1e-30")), x * (1 + arb("1e-30"))
        # The left side increases, so a change of sign encloses the root.
        return ends[0].union(ends[1]) if excess(ends[0]) < 0 < excess(ends[1]) else arb("nan")

    def value(self, p: Balanced, shift: int = 0) -> Enclosure:
        """The value at x."""

        def formula():
            from flint import arb

            x, k = self.height(p, shift), p.classes
            return ((k - 1) * (-x).exp()).log1p() + arb(p.decay) * (k - 1) ** 2 * x**2 / (2 * k * arb(p.norm) ** 2)

        return Enclosure.ball(formula)

    def solution(self, p: Balanced, level: str, counts: str = "") -> ufm.Solution:
        """The certified optimum."""
        problem = ufm.Problem(counts or f"20*{p.classes}", regularizer=ufm.ClassifierDecay(p.decay), head=ufm.LayerNorm(p.norm))
        return ufm.solve(problem, level=level)

    def check(self, instance: Balanced, level: str) -> Iterator[Finding]:
        solution = self.solution(instance, level)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {instance}", self.value(instance), found, tolerance=1e-9, level=level)
        if instance.classes > 100:
            return  # one probability in a thousand says too little about the contrast
        (group,) = ufm.collapse(solution).groups
        x = Enclosure.ball(lambda: self.height(instance))
        yield equal(f"contrast, {instance}", x, Enclosure(group.lower, group.upper), tolerance=1e-3, level=level)

    def steps(self):
        import sympy as sp

        x, k, e = sp.symbols("x K e", positive=True)
        kappa = k / (k - 1 + sp.exp(x))
        own = sp.exp(x) / (sp.exp(x) + k - 1)
        yield "softmax of x S is I - kappa S", sp.simplify(own - (1 - kappa * (1 - 1 / k))) == 0
        loss = sp.log(1 + (k - 1) * sp.exp(-x))
        price = e * (k - 1) ** 2 * x**2 / (2 * k)
        other = kappa / k
        entropy = -(1 - (k - 1) * other) * sp.log(own) - (k - 1) * other * sp.log(1 / (sp.exp(x) + k - 1))
        slope = sp.simplify(sp.diff(loss - entropy + kappa * x * (k - 1) / k, x))
        yield "loss less entropy is -kappa x (K-1)/K", slope == 0 and sp.limit(loss - entropy, x, 0) == 0
        square = price - kappa * x * (k - 1) / k + kappa**2 / (2 * e * k) - (e * (k - 1) * x - kappa) ** 2 / (2 * e * k)
        yield "so value less bound is (e (K-1) x - kappa)^2 / (2 e K)", sp.simplify(square) == 0
        yield (
            "which vanishes where x solves the equation",
            sp.simplify(
                (e * (k - 1) * x - kappa) * (k - 1 + sp.exp(x)) / (e * (k - 1)) - (x * (sp.exp(x) + k - 1) - k / ((k - 1) * e))
            )
            == 0,
        )

    def control(self, level: str):
        p = Balanced(10, 1e-2, 1.0)
        found = Enclosure.of(self.solution(p, level).certificate)
        yield equal("K in place of K - 1", self.value(p, 1), found, tolerance=1e-9, level=level)
        yield equal("a norm without effect", self.value(p._replace(norm=2.0)), found, tolerance=1e-9, level=level)

    def twin(self, level: str):
        p = Balanced(10, 1e-2, 1.0)
        found = Enclosure.of(self.solution(p, level).certificate)
        yield equal(
            "samples 50 times", Enclosure.of(self.solution(p, level, "1000*10").certificate), found, tolerance=1e-9, level=level
        )
        longer = Enclosure.of(self.solution(Balanced(10, 0.25, 5.0), level).certificate)
        yield equal("norm 5, decay 25 times", longer, found, tolerance=1e-9, level=level)

    def outside(self, level: str):
        # Unequal sizes at the same decay: the optimum is lower, as the loss may favour large classes.
        p = Balanced(10, 1e-2, 1.0)
        other = Enclosure.of(self.solution(p, level, "100*5,1*5").certificate)
        yield less(
            "unequal sizes: less than the balanced value", other, Enclosure.of(self.solution(p, level).certificate), level=level
        )


class Cosines(NamedTuple):
    """Scale of the cosines, ratio, and whether five minority classes beside five majority ones are collapsed there."""

    scale: float
    ratio: float
    expected: str


class CosineCollapse(Theorem):
    r"""Cosine softmax, $K_A = K_B = 5$: the minority collapses between $R = 21.67$ and $21.69$ for scale 1, between 128.69
    and 128.73 for scale 2, and between 1018 and 1025 for scale 3.

    Fixed norms of classifiers and features do not prevent minority collapse, they move it.

    Proof here: at both ends of an interval the certified gap proves that the contrast of the optimum is positive, or that
    it is at most 1e-6.
    """

    id = "X16"
    title = "minority collapse of the cosine softmax"
    kind = Kind.LIMIT
    source = cite("here", "minority collapse of the cosine softmax", "docs/theory, Propositions 12.10 to 12.12")
    hypotheses = (
        Hypothesis(r"a scale $s > 0$", lambda p: p.scale > 0),
        Hypothesis(r"a ratio $R > 1$", lambda p: p.ratio > 1),
    )
    required = "rigorous"
    formulas = ("claimed",)

    def grid(self):
        ends = ((1.0, 21.67, 21.69), (2.0, 128.69, 128.73), (3.0, 1018.0, 1025.0))
        return [Cosines(s, ratio, verdict) for s, low, high in ends for ratio, verdict in ((low, "no"), (high, "yes"))]

    def solution(self, p: Cosines, level: str, counts: str = "", loss: str = "ce") -> ufm.Solution:
        """The optimum at a ratio, certified."""
        sizes = counts or f"{round(p.ratio * UNIT)}*5,{UNIT}*5"
        return ufm.solve(ufm.Problem(sizes, regularizer=ufm.NoDecay(), head=ufm.Cosine(p.scale), loss=loss), level=level)

    @staticmethod
    def claimed(p: Cosines) -> str:
        """Whether the minority is claimed to be collapsed at a ratio; "" between the ends of the interval."""
        low, high = {1.0: (21.67, 21.69), 2.0: (128.69, 128.73), 3.0: (1018.0, 1025.0)}[p.scale]
        return "no" if p.ratio <= low else "yes" if p.ratio >= high else ""

    def check(self, instance: Cosines, level: str) -> Iterator[Finding]:
        yield judged(f"{instance}", self.claimed(instance), self.solution(instance, level), level)

    def control(self, level: str):
        early, late = Cosines(2.0, 120.0, "yes"), Cosines(2.0, 129.1, "no")
        yield judged("collapsed at 120 for scale 2", "yes", self.solution(early, level), level)
        yield judged("separated at 129.1 for scale 2", "no", self.solution(late, level), level)

    def twin(self, level: str):
        p = Cosines(2.0, 128.73, "yes")
        yield judged("classes relabelled, a tenth of the samples", "yes", self.solution(p, level, "10000*5,1287300*5"), level)
        p = Cosines(2.0, 128.69, "no")
        yield judged("the same below", "no", self.solution(p, level, "10000*5,1286900*5"), level)

    def outside(self, level: str):
        p = Cosines(2.0, 260.0, "no")
        yield judged("class weights 1/n, twice the ratio: separated", "no", self.solution(p, level, loss="ce:weights=1"), level)
