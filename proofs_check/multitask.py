r"""Two binary tasks on one feature. [here]

Setting: ``sum_i [CE(z_i, task 1) + CE(z_i, task 2)] + lW |W|^2 + lH |H|^2`` with joint counts of the labels
``n_11 + n_22 = 2 p`` and ``n_12 + n_21 = 2 q``; ``l = sqrt(lW lH)``. That is N times the mean loss of this package, with
``mu = 2 l / N`` and ``N = 2 (p + q)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.lemmas import averaging_steps, centring_steps, gibbs_steps
from proofs_check.tables import hull, probabilities
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._arrays import Floats

LABELS = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]], dtype=float)
"""Two rows for each task; contexts (1, 1), (1, 2), (2, 1), (2, 2)."""
APART = 1e-4
"""How far from 1 a cosine is that is told from 1."""


class Joint(NamedTuple):
    """Samples ``n_11, n_12, n_21, n_22``, and l."""

    sizes: tuple[int, int, int, int]
    strength: float

    @property
    def pairs(self) -> tuple[int, int]:
        """Samples with equal labels, 2 p, and with different ones, 2 q."""
        return self.sizes[0] + self.sizes[3], self.sizes[1] + self.sizes[2]

    @property
    def total(self) -> int:
        """N, the number of samples."""
        return sum(self.sizes)

    @property
    def decay(self) -> float:
        """mu"""
        return 2 * self.strength / self.total


def joint(p: int, q: int, strength: float) -> Joint:
    """Every label equally often."""
    return Joint((p, q, q, p), strength)


def solved(p: Joint, level: str, columns: Floats = LABELS, bias: float | None = None) -> ufm.Solution:
    """The model at the instance's joint counts of four contexts."""
    table = ufm.TargetTable(columns, p.sizes)
    decay = ufm.WeightDecay(p.decay, p.decay, bias)
    return ufm.solve(ufm.Problem(table, regularizer=decay, loss="multitask:2,2"), level=level)


def height(p: Joint, pair: int, wrong: float = 1.0) -> Any:
    """``a_s = log(sqrt(2 s)/l - 1)^+`` as a ball for ``pair = 2 s`` samples, l from the decay in float64."""
    from flint import arb

    odds = arb(pair).sqrt() / (arb(p.decay) * p.total / 2 * wrong) - 1
    return odds.log() if odds > 1 else arb(0)


def closed_form(p: Joint, wrong: float = 1.0) -> Enclosure:
    """``(1/N) sum_s [4 s log(1 + e^{-a_s}) + 2 l sqrt(2 s) a_s]``; ``wrong`` multiplies l."""

    def value():
        from flint import arb

        found, strength = arb(0), arb(p.decay) * p.total / 2 * wrong
        for pair in p.pairs:
            a = height(p, pair, wrong)
            found += 2 * pair * (1 + (-a).exp()).log() + 2 * strength * arb(pair).sqrt() * a
        return found / p.total

    return Enclosure.ball(value)


def cosine(p: Joint) -> Enclosure:
    """``(sqrt p a_p - sqrt q a_q) / (sqrt p a_p + sqrt q a_q)``"""

    def value():
        from flint import arb

        one, two = (arb(pair).sqrt() * height(p, pair) for pair in p.pairs)
        return (one - two) / (one + two)

    return Enclosure.ball(value)


def enclosed_cosine(solution: ufm.Solution) -> Enclosure:
    """The cosine of the tasks' heads ``w_1 - w_2`` at the optimum, whose W W' is a multiple of ``(Z S^2 Z')^{1/2}``.

    From enclosures of the margins U (2 x 4): the root of ``U S^2 U'`` is ``(U S^2 U' + sqrt(det) I)`` up to scale.
    """
    low, high = probabilities(solution)
    sizes = solution.program.sizes

    def value():
        from flint import arb

        u = [
            [hull(float(low[t, m]), float(high[t, m])).log() - hull(float(low[t + 1, m]), float(high[t + 1, m])).log()
             for m in range(4)]
            for t in (0, 2)
        ]  # fmt: skip
        gram = [[sum((n * a * b for n, a, b in zip(sizes, x, y, strict=True)), arb(0)) for y in u] for x in u]
        # Cauchy and Binet: a sum of squares, without the cancellation of a determinant near zero.
        pairs = [(i, j) for i in range(4) for j in range(i)]
        minors = [(sizes[i] * sizes[j], u[0][i] * u[1][j] - u[0][j] * u[1][i]) for i, j in pairs]
        det = arb(0)
        for n, minor in minors:
            det += n * minor * minor
        root = det.sqrt() if det > 0 else arb(0).union(det.upper().sqrt())
        return gram[0][1] / ((gram[0][0] + root) * (gram[1][1] + root)).sqrt()

    found = Enclosure.ball(value)
    return Enclosure(max(found.lower, -1.0), min(found.upper, 1.0))


class TwoTasks(Theorem):
    r"""Two binary tasks on one feature, with joint counts $2p$ of equal and $2q$ of different labels and
    $l = \sqrt{\lambda_W \lambda_H}$: the heights are $a_s = \log(\sqrt{2 s}/l - 1)^+$ for $s \in \{p, q\}$, and for $p > q$
    and $p > 2 l^2$ the two tasks become one iff $q \le 2 l^2$.

    Only p and q count, not how often each label occurs. Margins of both tasks are $a_p$ where the labels agree and $a_q$
    where they do not, and the heads' cosine is $(\sqrt{p}\, a_p - \sqrt{q}\, a_q) / (\sqrt{p}\, a_p + \sqrt{q}\, a_q)$: not
    the correlation $(p - q)/(p + q)$ of the labels.

    Proof here: rows of a task are $(u/2, -u/2)$ with margins u; sum and difference of the tasks are singular directions,
    with singular values $\sqrt{2 s}\, a_s$ of $Z S$ and $\sqrt{8 s} / (1 + e^{a_s})$ of the slopes, each by itself. The
    slopes are a dual point (`proofs_check.tables`, summed over tasks): none exceeds $2 l$, and those of positive heights
    are $2 l$. $W W^\top$ is a multiple of the root of $Z S^2 Z^\top$.
    """

    id = "X12"
    title = "two binary tasks: cosine of the heads, and when they become one"
    kind = Kind.TIGHT
    source = cite("here", "two tasks on one feature, as a table of targets", "proof steps of this theorem")
    hypotheses = (
        Hypothesis(r"more equal than different labels, $p > q > 0$", lambda p: p.pairs[0] > p.pairs[1] > 0),
        Hypothesis(r"not everything vanishes, $p > 2 l^2$", lambda p: p.pairs[0] > 4 * p.strength**2 > 0),
    )
    required = "rigorous"
    formulas = ("height", "closed_form", "cosine", "check")

    def grid(self):
        even = [joint(80, 20, 1.0), joint(97, 3, 1.0), joint(60, 40, 1.5), joint(30, 10, 0.25), joint(50, 1, 2.0)]
        uneven = [Joint((120, 35, 5, 40), 1.0), Joint((70, 3, 4, 2), 0.5)]
        edges = [joint(p, q, sqrt(q / (2 * x))) for p, q in ((90, 10), (40, 9)) for x in (0.98, 1.02)]
        return [*even, *uneven, *edges]

    @staticmethod
    def merged(what: str, expected: str, found: Enclosure, level: str) -> Finding:
        """Whether the heads are one, by an enclosure of their cosine."""
        verdict = "no" if found.upper < 1 - APART else "yes" if found.lower > 1 - APART else "undecided"
        margin = 1 - APART - found.upper if verdict == "no" else found.lower - 1 + APART
        return decided(what, expected, verdict, margin=abs(margin), level=level)

    def check(self, instance: Joint, level: str) -> Iterator[Finding]:
        solution = solved(instance, level)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {instance}", closed_form(instance), found, tolerance=1e-10, level=level)
        angle = enclosed_cosine(solution)
        yield equal(f"cosine of the heads, {instance}", cosine(instance), angle, tolerance=1e-3, level=level)
        one = "yes" if instance.pairs[1] <= 4 * instance.strength**2 else "no"
        yield self.merged(f"one head, {instance}", one, angle, level)

    def steps(self):
        import sympy as sp

        yield from averaging_steps()
        yield from gibbs_steps()
        yield from centring_steps()
        p, q, charge, a, b = sp.symbols("p q charge a b", positive=True)
        embed = sp.Matrix([[1, 0], [-1, 0], [0, 1], [0, -1]])
        signs = sp.Matrix([[1, 1, -1, -1], [1, -1, 1, -1]])
        x, y = sp.symbols("x y", positive=True)
        sizes = sp.diag(2 * p * x / (1 + x), 2 * q * y / (1 + y), 2 * q / (1 + y), 2 * p / (1 + x))  # 2 p and 2 q, split anyhow
        along, across = sp.Matrix([1, 1]), sp.Matrix([1, -1])
        margins = signs * sp.diag(a, b, b, a)
        logits = embed * margins / 2
        gram = logits * sizes * logits.T
        both = [(embed * along, 2 * p * a**2), (embed * across, 2 * q * b**2)]
        yield (
            r"singular values of $Z S$: $\sqrt{2 p}\, a_p$ along both tasks, $\sqrt{2 q}\, a_q$ across",
            all(sp.simplify(gram * v - x * v) == sp.zeros(4, 1) for v, x in both) and gram.rank() == 2,
        )
        # Slopes Y - Q: the probability of the other label, 1/(1 + e^a), in both rows of a task.
        miss = [1 / (1 + sp.exp(x)) for x in (a, b)]
        slopes = embed * signs * sp.diag(miss[0], miss[1], miss[1], miss[0]) * sizes
        dual = slopes * sizes.inv() * slopes.T
        both = [(embed * along, 8 * p * miss[0] ** 2), (embed * across, 8 * q * miss[1] ** 2)]
        yield (
            r"and of the slopes: $\sqrt{8 s} / (1 + e^{a_s})$, same directions",
            all(sp.simplify(dual * v - x * v) == sp.zeros(4, 1) for v, x in both)
            and (slopes * logits.T - logits * slopes.T).applyfunc(sp.simplify) == sp.zeros(4),
        )
        s = sp.Symbol("s", positive=True)
        top = sp.log(sp.sqrt(2 * s) / charge - 1)
        yield "which is $2 l$ at a positive height", sp.simplify(sp.sqrt(8 * s) / (1 + sp.exp(top)) - 2 * charge) == 0
        yield (
            r"and at most $2 l$ at zero iff $s \le 2 l^2$",
            sp.simplify((sp.sqrt(8 * s) / 2) ** 2 - (2 * charge) ** 2 - 2 * (s - 2 * charge**2)) == 0,
        )
        price = 4 * s * sp.log(1 + sp.exp(-a)) + 2 * charge * sp.sqrt(2 * s) * a
        yield "stationary", sp.simplify(sp.diff(price, a).subs(a, top)) == 0
        mass = 1 / (1 + sp.exp(a))
        entropy = -mass * sp.log(mass) - (1 - mass) * sp.log(1 - mass)
        gap = sp.log(1 + sp.exp(-a)) + mass * a - entropy
        flat = sp.simplify(sp.diff(gap, a)) == 0 and sp.simplify(sp.expand_log(gap.subs(a, 0), force=True)) == 0
        yield "no gap: the loss and $a / (1 + e^a)$ add up to the entropy", flat
        yield (
            r"and the weights are those of $\langle G, Z \rangle$",
            sp.simplify(4 * s * mass * a - sp.sqrt(2 * s) * a * sp.sqrt(8 * s) * mass) == 0,
        )
        # The root of Z S^2 Z' has the singular values themselves; heads are the differences of a task's rows.
        heads = (sp.sqrt(p) * a * (along * along.T) + sp.sqrt(q) * b * (across * across.T)) / 2
        ratio = heads[0, 1] / heads[0, 0]
        claim = (sp.sqrt(p) * a - sp.sqrt(q) * b) / (sp.sqrt(p) * a + sp.sqrt(q) * b)
        yield "cosine of the heads", sp.simplify(ratio - claim) == 0 and heads[0, 0] == heads[1, 1]
        weight, feature, value = sp.symbols("w h sigma", positive=True)
        cost = (charge * (weight**2 + feature**2)).subs(feature, value / weight)
        above = cost - 2 * charge * value - charge * (weight - value / weight) ** 2
        yield "penalty $2 l$ for a singular value: the rest is a square", sp.simplify(sp.expand(above)) == 0

    def control(self, level: str):
        p = joint(80, 20, 1.0)
        solution = solved(p, level)
        found = Enclosure.of(solution.certificate)
        yield equal(
            "penalties in halves: l for a singular value", closed_form(p, wrong=0.5), found, tolerance=1e-10, level=level
        )
        labels = Enclosure(0.6, 0.6)
        yield equal("cosine (p - q)/(p + q)", labels, enclosed_cosine(solution), tolerance=1e-4, level=level)
        p = joint(90, 10, sqrt(10 / 1.5))
        yield self.merged("one head up to q = l^2 only", "no", enclosed_cosine(solved(p, level)), level)

    def twin(self, level: str):
        p = joint(80, 20, 1.0)
        solution = solved(p, level)
        base, angle = Enclosure.of(solution.certificate), enclosed_cosine(solution)
        swapped = solved(p, level, LABELS[[2, 3, 0, 1]])
        yield equal("tasks exchanged", base, Enclosure.of(swapped.certificate), tolerance=1e-10, level=level)
        more = solved(joint(320, 80, 2.0), level)
        yield equal("every sample four times, l doubled", base, Enclosure.of(more.certificate), tolerance=1e-10, level=level)
        yield equal("and the cosine", angle, enclosed_cosine(more), tolerance=1e-4, level=level)
        flipped = solved(p, level, LABELS[[0, 1, 3, 2]])
        other = enclosed_cosine(flipped)
        yield equal("labels of one task exchanged", base, Enclosure.of(flipped.certificate), tolerance=1e-10, level=level)
        yield equal("and minus the cosine", angle, Enclosure(-other.upper, -other.lower), tolerance=1e-4, level=level)
        uneven = solved(Joint((150, 39, 1, 10), 1.0), level)
        yield equal("labels of unequal frequency", base, Enclosure.of(uneven.certificate), tolerance=1e-10, level=level)
        free = solved(p, level, bias=0.0)
        yield equal("equal frequencies, free bias", base, Enclosure.of(free.certificate), tolerance=1e-10, level=level)

    def outside(self, level: str):
        p = Joint((150, 39, 1, 10), 1.0)
        biased = Enclosure.of(solved(p, level, bias=0.0).certificate)
        yield less("labels of unequal frequency, free bias: lower", biased, closed_form(p), level=level)
        p = joint(20, 5, 4.0)
        zero = Enclosure.ball(lambda: 2 * hull(2.0, 2.0).log())
        found = Enclosure.of(solved(p, level).certificate)
        yield equal("p <= 2 l^2: everything is zero", zero, found, tolerance=1e-10, level=level)
