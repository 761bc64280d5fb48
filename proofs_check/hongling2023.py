r"""Hong & Ling (2023): cross-entropy with unequal class sizes under weight decay. [hongling2023]

Setting: ``min (1/N) sum_i CE(W h_i + b) + lw/2 |W|^2 + lh/2 |H|^2 [+ lb/2 |b|^2]``, ``mu = sqrt(lw lh)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any, NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less, rests_on
from proofs_check.tables import hull
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._balls import outward
from ufm.analysis.enclosures import enclose_logits
from ufm.solvers import Factored, Gradient


def solved(counts: Any, weight: float, features: float, level: str, bias: float | None = None) -> ufm.Solution:
    """The unconstrained-feature model at those decays."""
    regularizer = ufm.WeightDecay(weight, features, bias)
    return ufm.solve(ufm.Problem(ufm.ClassCounts.of(counts), regularizer=regularizer), level=level)


class Dynamics(NamedTuple):
    """Class sizes, decays, and the gradient method's rule and seed."""

    counts: str
    weight: float
    features: float
    rule: str
    seed: int


class Convexification(Theorem):
    r"""For $d \ge K$ the model equals $\min_Z f(Z) + \mu \lVert Z D^{1/2} \rVert_*$ with $\mu = \sqrt{\lambda_W \lambda_H}$
    and $D = \mathrm{diag}(n_k)$, and within-class features collapse (NC1).

    The left side is met by first-order dynamics on *sample-level* W and H from random starts, the right side by the
    certified optimum of the convex program: their certified enclosures must agree, and the sample-level gap bounds the
    within-class scatter.
    """

    id = "H1"
    title = "nuclear-norm convexification of weight decay"
    kind = Kind.IDENTITY
    source = cite("hongling2023", "convexification of the unconstrained feature model")
    hypotheses = (
        Hypothesis(r"decays $\lambda_W, \lambda_H > 0$", lambda p: p.weight > 0 and p.features > 0),
        Hypothesis(r"positive class sizes, $K \ge 2$", lambda p: ufm.ClassCounts.parse(p.counts).classes >= 2),
    )
    required = "float"
    formulas = ("solved",)
    open_steps = "from scalars to matrices (the variational form of the nuclear norm), and Jensen's inequality within classes"

    def grid(self):
        return [
            Dynamics("20*4", 5e-3, 5e-3, "nesterov", 0),
            Dynamics("40*2,10*3", 4e-3, 1e-2, "heavy-ball", 1),
            Dynamics("30,12,5,1", 5e-3, 8e-3, "nesterov", 2),
        ]

    def check(self, instance: Dynamics, level: str) -> Iterator[Finding]:
        counts = ufm.ClassCounts.parse(instance.counts)
        problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(instance.weight, instance.features))
        trained = ufm.solve(problem, method=Gradient(rule=instance.rule, random_state=instance.seed), level=level)
        convex = solved(counts, instance.weight, instance.features, level)
        predicted, found = Enclosure.of(convex.certificate), Enclosure.of(trained.certificate)
        yield equal(f"value after training, {instance.counts}", predicted, found, tolerance=1e-5, level=level)
        # Averaging features within classes saves lh/2 of their scatter, so the sample-level gap bounds the scatter.
        assert trained.path is not None
        # A sum of positive terms in float64: its rounding is far below a relative 1e-9.
        sample_gap = float(trained.path.loss[-1]) * (1 + 1e-9) - trained.certificate.lower
        signal = float(sum(n * f @ f for n, f in zip(counts, trained.parameters.features.T, strict=True)))
        scatter = Enclosure(0.0, 2.0 * max(sample_gap, 0.0) / instance.features / signal)
        yield less(f"within-class over total scatter, {instance.counts}", scatter, Enclosure(1e-3, 1e-3), level="float")

    def steps(self):
        import sympy as sp

        t, s, lw, lh = sp.symbols("t s lambda_W lambda_H", positive=True)
        cost = lw * t**2 / 2 + lh * (s / t) ** 2 / 2
        best = sp.sqrt(s) * (lh / lw) ** sp.Rational(1, 4)
        yield "scaling W by t, H by $1/t$: stationary at the balanced split", sp.simplify(sp.diff(cost, t).subs(t, best)) == 0
        yield r"its cost is $\mu \sigma$", sp.simplify(cost.subs(t, best) - sp.sqrt(lw * lh) * s) == 0

    def control(self, level: str):
        counts = ufm.ClassCounts.parse("40*2,10*3")
        problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(2e-3, 2e-2))
        trained = Enclosure.of(ufm.solve(problem, method=Gradient(rule="nesterov"), level=level).certificate)
        mean = Enclosure.of(solved(counts, 1.1e-2, 1.1e-2, level).certificate)
        yield equal("mu = (lw + lh)/2 in place of sqrt(lw lh)", mean, trained, tolerance=1e-5, level=level)

    def twin(self, level: str):
        a = Enclosure.of(solved(ufm.ClassCounts.parse("30,12,5,1"), 5e-3, 8e-3, level).certificate)
        moved = ufm.Problem([1, 30, 5, 12], regularizer=ufm.WeightDecay(8e-3, 5e-3))
        b = Enclosure.of(ufm.solve(moved, method="factored", level=level).certificate)
        c = Enclosure.of(solved(ufm.ClassCounts.parse("120,48,20,4"), 2.5e-3, 4e-3, level).certificate)
        yield equal("K x K program, classes relabelled, decays exchanged", a, b, tolerance=1e-9, level=level)
        yield equal("every sample four times, decays halved", a, c, tolerance=1e-10, level=level)

    def outside(self, level: str):
        problem = ufm.Problem(ufm.balanced(6, 20), regularizer=ufm.WeightDecay(2e-3, 2e-3), dim=2)
        narrow = ufm.solve(problem, method=Factored(starts=4))
        wide = Enclosure.of(solved([20] * 6, 2e-3, 2e-3, level).certificate)
        value = Enclosure(narrow.value, narrow.value)
        yield less("d = 2 < K - 1 = 5: best found lies above the convex program", wide, value, level="numeric")


class Margin(NamedTuple):
    """Majority classes of ten, ratio R, margin ``sqrt(n_B) / (N mu)``, bias decay."""

    majority: int
    ratio: int
    margin: float
    bias: float | None


class GroupCollapse(Theorem):
    r"""A group of at least two classes of equal size $n_g$ collapses iff $\sqrt{n_g} \le N \mu$, for any number of groups
    and any decay of the bias.

    At zero contrast the loss falls along the group's contrasts at rate $\sqrt{n_g} / N$ per unit of singular value, the
    penalty rises at rate $\mu$, and the program is convex.
    """

    id = "H3"
    title = "exact threshold of minority collapse under weight decay"
    kind = Kind.TIGHT
    source = cite("hongling2023", "minority collapse for two clusters; the general form is derived here")
    hypotheses = (
        Hypothesis(r"a group of at least two classes, $1 \le K_A \le 8$ of ten", lambda p: 1 <= p.majority <= 8),
        Hypothesis(r"a ratio $R \ge 1$", lambda p: p.ratio >= 1),
        Hypothesis(r"a decay $\mu > 0$", lambda p: p.margin > 0),
        Hypothesis(r"a decay of the bias $\lambda_b \ge 0$, or no bias", lambda p: p.bias is None or p.bias >= 0),
    )
    required = "rigorous"
    formulas = ("decay", "collapsed")
    open_steps = "that the optimum is invariant under permutations of equal classes (strict convexity)"
    minority_size = 1000

    def grid(self):
        plain = [Margin(ka, r, m, None) for ka in (3, 5, 7) for r in (2, 10, 100) for m in (0.9, 0.99, 1.01, 1.1)]
        return [*plain, *(Margin(5, 10, m, lb) for m in (0.99, 1.01) for lb in (0.0, 1e-3, 1.0))]

    def more(self):
        return [Margin(ka, r, m, None) for ka in (1, 2, 4, 6, 8) for r in (1, 3, 1000) for m in (0.999, 1.001)]

    @staticmethod
    def decay(p: Margin, n: int, total: int) -> float:
        """The decay at which ``sqrt(n) / (N mu)`` is the margin."""
        return sqrt(n) / (total * p.margin)

    @staticmethod
    def collapsed(p: Margin) -> str:
        """What is claimed at a margin."""
        return "yes" if p.margin <= 1 else "no"

    def verdict(self, p: Margin, level: str) -> ufm.Collapse:
        n = self.minority_size
        counts = ufm.step_imbalanced(majority=p.majority, minority=10 - p.majority, n_majority=p.ratio * n, n_minority=n)
        mu = self.decay(p, n, counts.total)
        return ufm.collapse(rests_on(solved(counts, mu, mu, level, p.bias)))

    def check(self, instance: Margin, level: str) -> Iterator[Finding]:
        found = self.verdict(instance, level)
        margin = found.lower if found.verdict == "no" else found.tolerance - found.upper
        yield decided(f"{instance}", self.collapsed(instance), found.verdict, margin=margin, level=level)

    def steps(self):
        import sympy as sp

        x, m, q, share = sp.symbols("x m q pi", positive=True)
        # Column of one class: own and m - 1 equal classes share the mass q at x = 0; the others hold 1 - q.
        own, other = sp.exp(x * (1 - 1 / m)), sp.exp(-x / m)
        loss = share * (sp.log(own + (m - 1) * other + m * (1 - q) / q) - x * (1 - 1 / m))
        slope = sp.simplify(sp.diff(loss, x).subs(x, 0))
        yield (
            r"the slope along one class's contrast is $-\pi (m-1)/m$, whatever the mass q",
            sp.simplify(slope + share * (m - 1) / m) == 0,
        )
        # Gram matrix of Z + x P with the projector P of the group's contrasts and an invariant rest Z: P Z = 0 = Z P.
        rest, turned, contrasts = sp.symbols("Z Z_t P", commutative=False)
        gram = sp.expand((turned + x * contrasts) * (rest + x * contrasts))
        gram = gram.subs(contrasts * rest, 0).subs(turned * contrasts, 0).subs(contrasts**2, contrasts)
        yield (
            r"$(Z + x P)^\top (Z + x P) = Z^\top Z + x^2 P$: the singular values of Z and $m - 1$ times $|x|$, so that the "
            r"nuclear norm rises by $(m - 1) \lvert x \rvert$",
            sp.expand(gram - turned * rest - x**2 * contrasts) == 0,
        )

    def control(self, level: str):
        found = self.verdict(Margin(5, 10, 0.9, None), level)
        # n_g <= N mu fails here although sqrt(n_g) <= N mu holds: the wrong claim expects no collapse.
        yield decided("n_g in place of sqrt(n_g)", "no", found.verdict, margin=1e-6 - found.upper, level=level)
        found = self.verdict(Margin(5, 10, 1.01, None), level)
        yield decided("sqrt(n_g) <= 1.05 N mu", "yes", found.verdict, margin=found.lower, level=level)

    def twin(self, level: str):
        base = ufm.collapse(solved([8000] * 5 + [1000] * 5, 5e-4, 5e-4, level))
        moved = ufm.collapse(solved([4000] * 5 + [32000] * 5, 2.5e-4, 2.5e-4, level))
        yield equal(
            "classes relabelled, samples four times, decays halved: same contrast",
            Enclosure(base.lower, base.upper),
            Enclosure(moved.lower, moved.upper),
            tolerance=1e-4,
            level=level,
        )
        mu = 1.01 * sqrt(1000) / 26000
        third = ufm.collapse(solved([5000] * 3 + [3000] * 2 + [1000] * 5, mu, mu, level))
        yield decided("a third group changes nothing", "yes", third.verdict, margin=1e-6 - third.upper, level=level)
        mu *= 0.99 / 1.01
        third = ufm.collapse(solved([5000] * 3 + [3000] * 2 + [1000] * 5, mu, mu, level))
        yield decided("nor above the threshold", "no", third.verdict, margin=third.lower, level=level)

    def outside(self, level: str):
        # A single smallest class has nothing to coincide with: no collapse although sqrt(n) <= N mu.
        counts = [2000] * 4 + [100]
        mu = 1.5 * sqrt(100) / sum(counts)
        found = ufm.collapse(solved(counts, mu, mu, level))
        yield decided("a group of one class does not collapse", "no", found.verdict, margin=found.lower, level=level)


class Blocks(NamedTuple):
    """Class sizes, decay, decay of the bias."""

    counts: str
    decay: float
    bias: float | None


def relabelled(p: Blocks) -> list[int]:
    """The sizes in an order in which no two equal ones need to be neighbours: every second class first."""
    sizes = list(ufm.ClassCounts.parse(p.counts))
    return sizes[::2] + sizes[1::2]


class GroupStructure(Theorem):
    r"""Classes of equal size are interchangeable at the optimum: within a group of $m_g$ classes of equal size the logits are
    $x_g (I - \frac{1}{m_g} \mathbf{1}\mathbf{1}^\top)$ plus a constant, and a constant on every pair of different groups.

    The optimum over logits is unique up to a constant in each column (strict convexity), and a permutation of equal classes
    leaves the program as it is, so that it leaves the centred optimum as it is. Matrices that all permutations within groups
    leave as they are have this form. Checked as equal certified values of the reduced program, which has this form, and of the
    program over all K x K logits in another order of the classes, which knows nothing of groups.
    """

    id = "H2"
    title = "classes of equal size form blocks"
    kind = Kind.IDENTITY
    source = cite("hongling2023", "block structure on groups of equal size")
    hypotheses = (
        Hypothesis(r"positive class sizes, $K \ge 2$", lambda p: ufm.ClassCounts.parse(p.counts).classes >= 2),
        Hypothesis(r"a decay $\mu > 0$", lambda p: p.decay > 0),
        Hypothesis(r"a decay of the bias $\lambda_b > 0$, or no bias", lambda p: p.bias is None or p.bias > 0),
    )
    required = "rigorous"
    formulas = ("relabelled",)
    open_steps = "uniqueness of the optimum up to a constant in each column (strict convexity)"

    def grid(self):
        return [
            Blocks(counts, decay, bias)
            for counts, bias in (("40*3,10*4", None), ("60*2,20*3,5*2", None), ("30*4,10*2", 1e-2), ("9,4,4,1", None))
            for decay in (2e-3, 1e-2)
        ]

    def check(self, instance: Blocks, level: str) -> Iterator[Finding]:
        reduced = solved(ufm.ClassCounts.parse(instance.counts), instance.decay, instance.decay, level, instance.bias)
        penalty = ufm.WeightDecay(instance.decay, instance.decay, instance.bias)
        whole = ufm.solve(ufm.Problem(relabelled(instance), regularizer=penalty), method="factored", level=level)
        sides = Enclosure.of(reduced.certificate), Enclosure.of(whole.certificate)
        yield equal(f"value with blocks and over all logits, {instance}", *sides, tolerance=1e-8, level=level)

    def steps(self):
        import sympy as sp

        a, b, c = sp.symbols("a b c")
        # A 3 x 3 block is enough for any size: only whether two indices agree can matter, by transpositions.
        x, m = sp.symbols("x m", positive=True)
        own, other = sp.symbols("p q")
        made = (own - other) * (1 - 1 / m) + (other + (own - other) / m)
        yield (
            "a block with own entry p and others q: the own entry of $(p - q) C$ plus a constant",
            sp.simplify(made - own) == 0,
        )
        rest = -(own - other) / m + (other + (own - other) / m)
        yield "and its others", sp.simplify(rest - other) == 0
        swap = sp.Matrix([[0, 1], [1, 0]])
        general = sp.Matrix([[a, b], [c, x]])
        moved = swap * general * swap.T - general
        yield (
            "what every exchange of two classes leaves as it is has equal own entries and equal others",
            sp.solve(list(moved), [a, b], dict=True) == [{a: x, b: c}],
        )

    def control(self, level: str):
        p = Blocks("40*3,10*4", 2e-3, None)
        reduced = Enclosure.of(solved(ufm.ClassCounts.parse("40*3,10*4"), p.decay, p.decay, level).certificate)
        mean = ufm.solve(ufm.Problem([160 // 7] * 7, regularizer=ufm.WeightDecay(p.decay, p.decay)), level=level)
        yield equal("one group of all classes", reduced, Enclosure.of(mean.certificate), tolerance=1e-8, level=level)

    def twin(self, level: str):
        once = Enclosure.of(solved(ufm.ClassCounts.parse("60*2,20*3,5*2"), 2e-3, 2e-3, level).certificate)
        four = Enclosure.of(solved(ufm.ClassCounts.parse("240*2,80*3,20*2"), 1e-3, 1e-3, level).certificate)
        yield equal("every sample four times, decays halved", once, four, tolerance=1e-10, level=level)

    def outside(self, level: str):
        # Without a decay nothing is attained: the certified lower bound of the value falls with the decay.
        low = Enclosure.of(solved(ufm.ClassCounts.parse("40*3,10*4"), 1e-6, 1e-6, level).certificate)
        high = Enclosure.of(solved(ufm.ClassCounts.parse("40*3,10*4"), 1e-3, 1e-3, level).certificate)
        yield less("decay a thousandth: the value goes to zero, which nothing attains", low, high, level=level)


class Growing(NamedTuple):
    """K_A and K_B, ratio of sizes, ``N mu``, and two numbers of samples."""

    majority: int
    minority: int
    ratio: int
    strength: float
    fewer: float
    more: float


def minority_cosine(p: Growing, total: float, level: str) -> Enclosure:
    """The minority classifiers' cosine at N samples: that of any other number of samples at an adjusted decay."""
    counts = ufm.step_imbalanced(majority=p.majority, minority=p.minority, n_majority=100 * p.ratio, n_minority=100)
    # N enters through mu sqrt(n_k) = (N mu) sqrt(n_k / N) / sqrt(N) only.
    decay = p.strength / sqrt(counts.total * total)
    return Enclosure(*outward(enclose_logits(solved(counts, decay, decay, level)).weight_cosines[-1]))


class GrowingSample(Theorem):
    r"""With $N \mu$ fixed and $N \to \infty$ at fixed shares the minority classifiers tend to the directions of a simplex ETF:
    their cosine falls towards $-1/(K-1)$, but only logarithmically in $N$.

    Checked as certified cosines that fall strictly with N and stay above $-1/(K-1)$; nothing is proved of the limit here.
    """

    id = "H4"
    title = "more samples at fixed N mu: towards the ETF, slowly"
    kind = Kind.LIMIT
    source = cite("hongling2023", "limit of many samples")
    hypotheses = (
        Hypothesis(r"$K_A \ge 1$ majority and $K_B \ge 2$ minority classes", lambda p: p.majority >= 1 and p.minority >= 2),
        Hypothesis(r"a ratio $R > 1$", lambda p: p.ratio > 1),
        Hypothesis(r"$N \mu > 0$", lambda p: p.strength > 0),
        Hypothesis(r"a growing number of samples", lambda p: p.more > p.fewer > 0),
    )
    required = "rigorous"
    formulas = ("minority_cosine",)

    def grid(self):
        pairs = ((2e3, 2e5), (2e5, 2e7), (2e7, 2e9))
        return [Growing(ka, 10 - ka, ratio, 0.1, *pair) for ka, ratio in ((5, 2), (3, 10)) for pair in pairs]

    def check(self, instance: Growing, level: str) -> Iterator[Finding]:
        few, many = (minority_cosine(instance, total, level) for total in (instance.fewer, instance.more))
        yield less(f"the cosine falls, {instance}", many, few, level=level)
        classes = instance.majority + instance.minority
        limit = Enclosure.ball(lambda: -1 / hull(classes - 1.0, classes - 1.0))
        yield less(f"and stays above that of the ETF, {instance}", limit, many, level=level)

    def control(self, level: str):
        p = Growing(5, 5, 2, 0.1, 2e3, 2e7)
        yield less("the cosine grows", minority_cosine(p, 2e3, level), minority_cosine(p, 2e7, level), level=level)
        reached = minority_cosine(p, 2e7, level)
        yield less("at N = 2e7 it is below -1/K", reached, Enclosure(-0.1, -0.1), level=level)

    def twin(self, level: str):
        p = Growing(3, 7, 2, 0.1, 2e3, 2e5)
        counts = ufm.step_imbalanced(majority=3, minority=7, n_majority=400, n_minority=200)
        decay = p.strength / sqrt(counts.total * 2e5)
        other = Enclosure(*outward(enclose_logits(solved(counts, decay, decay, level)).weight_cosines[-1]))
        yield equal("other class sizes at the same shares", minority_cosine(p, 2e5, level), other, tolerance=1e-3, level=level)

    def outside(self, level: str):
        # Equal classes: the cosine is that of the ETF at every number of samples, where it is defined.
        p = Growing(5, 5, 1, 0.1, 2e3, 2e5)
        claim = Enclosure.ball(lambda: -1 / hull(9.0, 9.0))
        yield equal("R = 1: the ETF's cosine at N = 2000", claim, minority_cosine(p, 2e3, level), tolerance=1e-3, level=level)
