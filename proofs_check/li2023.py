r"""Li et al. (2023): several labels for a sample, all of them picked. [li2023]

Setting: ``(1/N) sum_i sum_{k in S_i} CE(W h_i, k) + lw/2 |W|^2 + lh/2 |H|^2``, with ``n_m`` samples of every set of m labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb, exp, sqrt
from typing import Any, NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, equal, less
from proofs_check.lemmas import averaging_steps, centring_steps, gibbs_steps, price_steps
from proofs_check.tables import counting_steps, probabilities, span, subsets
from proofs_check.theorem import Hypothesis, Kind, Theorem


class Labels(NamedTuple):
    """K classes, ``n_1, n_2, ...`` samples of every set of 1, 2, ... labels, decay of W and H."""

    classes: int
    sizes: tuple[int, ...]
    decay: float

    @property
    def parts(self) -> list[tuple[int, int, int]]:
        """Number of labels m, samples ``n_m``, and ``C(K-2, m-1)``, where there are samples."""
        return [(m, n, comb(self.classes - 2, m - 1)) for m, n in enumerate(self.sizes, 1) if n]

    @property
    def total(self) -> int:
        """N, the number of samples."""
        return sum(n * comb(self.classes, m) for m, n, _ in self.parts)

    @property
    def effective(self) -> int:
        """The effective class size."""
        return sum(n * c for _, n, c in self.parts)


def sets_of(p: Labels) -> dict[tuple[int, ...], int]:
    """Every set of labels with its number of samples."""
    return {labels: n for m, n, _ in p.parts for labels in subsets(p.classes, m)}


def solved(p: Labels, level: str) -> ufm.Solution:
    """The model at these decays."""
    table = ufm.TargetTable.multi_label(sets_of(p), n_classes=p.classes)
    return ufm.solve(ufm.Problem(table, regularizer=ufm.WeightDecay(p.decay, p.decay), loss="pal"), level=level)


def heights(p: Labels) -> list[float]:
    """The stationary ``a_m`` in float64, zeros where everything vanishes: ``1/(m e^a + K - m) = kappa a`` for one kappa."""
    k, edge = p.classes, p.total * p.decay
    if edge**2 >= p.effective:
        return [0.0 for _ in p.parts]

    def bisected(rising: Any, low: float, high: float) -> float:
        for _ in range(200):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if rising(middle) > 0 else (middle, high)
        return 0.5 * (low + high)

    def at(kappa: float) -> list[float]:
        return [bisected(lambda a, m=m: kappa * a * (m * exp(a) + k - m) - 1, 0.0, 700.0) for m, _, _ in p.parts]

    def excess(power: float) -> float:
        kappa = exp(power)
        return kappa * sqrt(sum(n * c * a * a for a, (_, n, c) in zip(at(kappa), p.parts, strict=True))) - edge / k

    return at(exp(bisected(excess, -60.0, 60.0)))


def separate(p: Labels, heights: list[float]) -> Any:
    """``sum_m sqrt(n_m C(K-2, m-1)) a_m``, a price that is wrong, as a ball."""
    from flint import arb

    return sum((arb(n * c).sqrt() * arb(a) for a, (_, n, c) in zip(heights, p.parts, strict=True)), arb(0))


def enclosed(p: Labels, summed: bool = False) -> tuple[Enclosure, list[Enclosure]]:
    """The least value over the heights, and the probability of a label for each m: primal and dual value of the scalar program.

    ``summed`` is a wrong version: the price ``sum_m sqrt(n_m C(K-2, m-1)) a_m`` in place of the root of the sum of squares.
    """
    from flint import arb

    k, total = p.classes, p.total
    if summed:
        # Each m by itself, as if alone among N samples: K / (N (m e^a + K - m)) = mu / sqrt(n C).
        raised = [(k * sqrt(n * c) / (total * p.decay) - (k - m)) / m for m, n, c in p.parts]
        alone = [float(np.log(max(x, 1.0))) for x in raised]
    points = alone if summed else heights(p)

    def primal():
        mu, loss, square = arb(p.decay), arb(0), arb(0)
        for a, (m, n, c) in zip(points, p.parts, strict=True):
            loss += arb(n * comb(k, m) * m) / total * (m + (k - m) * (-arb(a)).exp()).log()
            square += n * c * arb(a) ** 2
        return loss + mu * (k - 1) * (separate(p, points) if summed else square.sqrt())

    def scaled():
        masses = [arb(k - m) / (m * arb(a).exp() + k - m) for a, (m, _, _) in zip(points, p.parts, strict=True)]
        square = arb(0)
        for s, (m, n, c) in zip(masses, p.parts, strict=True):
            square += n * c * (k * s / ((k - m) * total)) ** 2
        factor = arb(p.decay) / square.sqrt()
        return [s * factor if any(points) else s for s in masses]

    def dual():
        found = arb(0)
        for s, (m, n, _) in zip(scaled(), p.parts, strict=True):
            found -= arb(n * comb(k, m) * m) / total * ((1 - s) * ((1 - s) / m).log() + s * (s / (k - m)).log())
        return found

    above = Enclosure.ball(primal)
    if summed:
        return above, []
    value = Enclosure(Enclosure.ball(dual).lower, above.upper)
    labels = []
    for a, (m, n, _) in zip(points, p.parts, strict=True):
        label = exp(a) / (m * exp(a) + k - m)
        wide = 2 * sqrt(max(value.width, 0.0) * total / (n * comb(k, m) * m)) + 1e-12
        labels.append(Enclosure(label - wide, label + wide))
    return value, labels


def all_zero(p: Labels) -> Enclosure:
    """``log K`` times the mean number of labels."""
    from flint import arb

    mean = sum(n * comb(p.classes, m) * m for m, n, _ in p.parts)
    return Enclosure.ball(lambda: arb(mean) / p.total * arb(p.classes).log())


class PickAllLabels(Theorem):
    r"""$n_m$ samples of every set S of m labels: the logits are $a_m (1_S - m/K)$, one height for each multiplicity, that
    minimise $\sum_m \frac{n_m}{N} \binom{K}{m}\, m \log\left(m + (K-m) e^{-a_m}\right) + \mu (K-1) \sqrt{E(a)}$ with
    $E(a) = \sum_m n_m \binom{K-2}{m-1} a_m^2$; all is zero iff $N \mu \ge \sqrt{E(1)}$, the root of the *effective class
    size*.

    All heights are positive together. Features of a set are, up to a factor for its size, the sum of those of its labels
    (tag-wise averages).

    Proof here: $Y - Q$ for probabilities that are constant on S and off it is $g_m (1_S - m/K)$; blocks of sets of one size
    have the same left singular vectors, all of them, so that both norms are those of the vectors of their lengths.
    Stationarity of the scalar program is $K / \left(N (m e^{a_m} + K - m)\right) = \mu a_m / \sqrt{\sum n C a^2}$ for all
    m, which makes the dual point of norm $\mu$ parallel to Z. Nothing but this is needed: the scalar program is convex and
    has a minimum.
    """

    id = "X8"
    title = "several labels: one height for each multiplicity, effective class size"
    kind = Kind.TIGHT
    source = cite("li2023", "multi-label neural collapse; scalar program and threshold derived here")
    hypotheses = (
        Hypothesis(
            r"sets of $1 \le m < K$ labels, some of them with samples",
            lambda p: 0 < len(p.sizes) < p.classes and any(p.sizes) and min(p.sizes) >= 0,
        ),
        Hypothesis(r"a decay $\mu > 0$", lambda p: p.decay > 0),
    )
    required = "rigorous"
    formulas = ("enclosed", "all_zero", "Labels.effective", "Labels.total")

    def grid(self):
        tabulated = [
            Labels(5, (20, 4), 0.01),
            Labels(6, (3, 10), 0.005),
            Labels(5, (7, 0, 2), 0.004),
            Labels(5, (9, 4, 2, 1), 0.002),
        ]
        cases = ((5, (20, 4)), (4, (3, 5, 2)), (6, (0, 4)))
        edges = [(Labels(*c, 0.0), x) for c in cases for x in (0.98, 1.02)]
        return [*tabulated, *(p._replace(decay=x * sqrt(p.effective) / p.total) for p, x in edges)]

    def check(self, instance: Labels, level: str) -> Iterator[Finding]:
        solution = solved(instance, level)
        found = Enclosure.of(solution.certificate)
        value, labels = enclosed(instance)
        yield equal(f"value, {instance}", value, found, tolerance=1e-10, level=level)
        low, high = probabilities(solution)
        sets = list(sets_of(instance))
        for (m, _, _), label in zip(instance.parts, labels, strict=True):
            places = [(k, column) for column, chosen in enumerate(sets) if len(chosen) == m for k in chosen]
            rows, columns = (np.array(x) for x in zip(*places, strict=True))
            what = f"probability of each of {m} labels, {instance}"
            yield equal(what, label, span(low[rows, columns], high[rows, columns]), tolerance=1e-4, level=level)
        zero = all_zero(instance)
        if (instance.total * instance.decay) ** 2 < instance.effective:
            yield less(f"below that of zero, {instance}", found, zero, level=level)
        else:
            yield equal(f"all zero, {instance}", zero, found, tolerance=1e-10, level=level)

    def steps(self):
        import sympy as sp

        yield from averaging_steps()
        yield from price_steps()
        yield from gibbs_steps()
        yield from centring_steps()
        yield from counting_steps()
        m, d, n, a, c, root, mu, total = sp.symbols("m d n a C r mu N", positive=True)  # d = K - m, C = C(K-2, m-1)
        k = m + d
        sets = c * k * (k - 1) / (m * d)
        s = d / (m * sp.exp(a) + d)
        g = s * k / (m * d)
        yield (
            "$Y - Q = g (1_S - m/K)$",
            sp.simplify(1 / m - (1 - s) / m - g * d / k) == 0 and sp.simplify(-s / d + g * m / k) == 0,
        )
        # Lengths of the blocks of the dual point and of Z, in the K - 1 common directions.
        dual = g * (m * n / total) / sp.sqrt(n) * sp.sqrt(c)
        primal = sp.sqrt(n * c) * a
        loss = n * sets / total * m * sp.log(m + d * sp.exp(-a))
        slope = sp.diff(loss, a) + mu * (k - 1) * n * c * a / root
        parallel = (k - 1) * sp.sqrt(n * c) * (mu * primal / root - dual)
        yield "stationary heights make the dual point parallel to Z", sp.simplify(slope - parallel) == 0
        yield (
            r"that is $K / (N (m e^a + K - m)) = \mu a / r$",
            sp.simplify(dual / sp.sqrt(n * c) - k / (total * (m * sp.exp(a) + d))) == 0,
        )
        # Then the dual point has norm mu: sum (mu primal / r)^2 = mu^2 r^2 / r^2, and <G, Z> is mu times the nuclear norm.
        entropy = -(1 - s) * sp.log((1 - s) / m) - s * sp.log(s / d)
        gap = sp.log(m + d * sp.exp(-a)) + s * a - entropy
        yield "no gap: the loss and $s a$ add up to the entropy", _vanishes(gap, a)
        yield (
            r"and the weights of $s a$ are those of $\langle G, Z \rangle$",
            sp.simplify(n * sets / total * m * s * a - (k - 1) * dual * primal) == 0,
        )
        yield r"at zero the block's length is $\sqrt{n C} / N$", sp.simplify(dual.subs(a, 0) - sp.sqrt(n * c) / total) == 0
        fall = sp.diff(loss, a).subs(a, 0)
        yield "slope at zero $-(K-1) n C / N$", sp.simplify(fall + (k - 1) * n * c / total) == 0
        yield "a height of zero beside others falls", sp.simplify(slope.subs(a, 0) - fall) == 0
        # Along equal heights the slopes add up, with E = sum n C the effective class size.
        size = sp.Symbol("E", positive=True)
        along = mu * (k - 1) * sp.sqrt(size) - (k - 1) * size / total
        edge = (k - 1) * sp.sqrt(size) / total * (total * mu - sp.sqrt(size))
        yield r"zero is no minimum iff $N \mu < \sqrt{E}$", sp.simplify(along - edge) == 0

    def control(self, level: str):
        p = Labels(5, (20, 4), 0.01)
        found = Enclosure.of(solved(p, level).certificate)
        yield equal("each multiplicity by itself", enclosed(p, summed=True)[0], found, tolerance=1e-10, level=level)
        p = p._replace(decay=1.02 * sqrt(20 + 4) / p.total)
        found = Enclosure.of(solved(p, level).certificate)
        yield equal("zero from N mu = sqrt(sum n_m) on", all_zero(p), found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        p = Labels(5, (20, 4), 0.01)
        base = Enclosure.of(solved(p, level).certificate)
        order = np.random.default_rng(2).permutation(5)
        turned = {tuple(int(order[k]) for k in labels): n for labels, n in reversed(list(sets_of(p).items()))}
        table = ufm.TargetTable.multi_label(turned, n_classes=5)
        moved = ufm.solve(ufm.Problem(table, regularizer=ufm.WeightDecay(0.02, 0.005), loss="pal"), level=level)
        found = Enclosure.of(moved.certificate)
        yield equal("labels and sets relabelled, decay moved to W", base, found, tolerance=1e-10, level=level)
        more = Enclosure.of(solved(Labels(5, (80, 16), 0.005), level).certificate)
        yield equal("every sample four times, decays halved", base, more, tolerance=1e-10, level=level)
        plain = ufm.solve(ufm.Problem([20] * 5, regularizer=ufm.WeightDecay(0.01, 0.01)), level=level)
        value, _ = enclosed(Labels(5, (20,), 0.01))
        yield equal("one label each: balanced classes", value, Enclosure.of(plain.certificate), tolerance=1e-10, level=level)

    def outside(self, level: str):
        # One pair of labels five times as frequent: its label has another probability than that of another pair.
        p = Labels(5, (20, 4), 0.01)
        sets = sets_of(p) | {(0, 1): 20}
        table = ufm.TargetTable.multi_label(sets, n_classes=5)
        solution = ufm.solve(ufm.Problem(table, regularizer=ufm.WeightDecay(0.01, 0.01), loss="pal"), level=level)
        low, high = probabilities(solution)
        places = [list(sets).index(labels) for labels in ((0, 1), (2, 3))]
        frequent, other = (Enclosure(float(low[k, m]), float(high[k, m])) for k, m in zip((0, 2), places, strict=True))
        smaller, larger = sorted((frequent, other), key=lambda e: e.lower)
        yield less("sets of unequal sizes: probabilities differ", smaller, larger, level=level)


def _vanishes(expression: Any, height: Any) -> bool:
    """Whether an expression in logarithms is zero: constant along the height, and zero where it vanishes."""
    import sympy as sp

    return (
        sp.simplify(sp.diff(expression, height)) == 0
        and sp.simplify(sp.expand_log(expression.subs(height, 0), force=True)) == 0
    )
