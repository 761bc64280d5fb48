r"""Remedies for imbalance: which of them moves the threshold of collapse, exactly. [here]

Setting: weighted-mean loss ``sum_i w_i l(Delta z_i, y_i) / sum_i w_i`` with per-sample decay, ``mu = sqrt(lw lh)``, and
``mu_eff = mu`` or ``mu (1 - rho)`` for a linear DEQ with ``||A||_2 <= rho``. Proofs: docs/theory, Propositions 7.1, 7.12, 7.13.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less, rests_on
from proofs_check.lemmas import (
    averaging_steps,
    balanced_steps,
    centring_steps,
    collapse_steps,
    equilibrium_steps,
    gibbs_steps,
    price_steps,
    strictness_steps,
)  # fmt: skip
from proofs_check.projectors import Invariant, algebra_steps
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm.problem.losses import GroupPull
from ufm.problem.text import parse_loss

STEP = "8000*3,1000*4"
THREE = "9000*2,4000*3,1000*2"


class Remedy(NamedTuple):
    """Class sizes, loss, size of the group, ``mu`` over its critical value, bias decay, spectral budget."""

    counts: str
    loss: str
    size: int
    margin: float
    bias: float | None = None
    rho: float = 0.0


def critical(counts: ufm.ClassCounts, pull: GroupPull, size: int, rho: float, power: float) -> float:
    """``w_g Delta_g (1 - eps) n_g^power / sum_j w_j n_j / (1 - rho)`` for losses whose options are exponents."""
    a, b = pull.weights, pull.temperatures
    assert isinstance(a, float)
    assert isinstance(b, float)
    largest = counts.groups[0][1]
    total = sum(m * n ** (1 - a) for m, n in counts.groups)
    return size**-a * (size / largest) ** b * (1 - pull.smoothing) * size**power / total / (1 - rho)


def universal(counts: ufm.ClassCounts, size: int, rho: float, power: float) -> float:
    """``n_g^power / N / (1 - rho)``, for losses without weights, temperatures and smoothing."""
    return size**power / counts.total / (1 - rho)


def collapsed(p: Remedy) -> str:
    """What is claimed at a multiple of the critical decay."""
    return "yes" if p.margin >= 1 else "no"


def verdict(p: Remedy, level: str, power: float = 0.5, **wrong: float) -> ufm.analysis.GroupCollapse:
    """The certified verdict on the group, at ``margin`` times its critical decay (that of other options: ``wrong``)."""
    counts, loss = ufm.ClassCounts.parse(p.counts), parse_loss(p.loss)
    assert loss.pull is not None
    return at_decay(p, p.margin * critical(counts, replace(loss.pull, **wrong), p.size, p.rho, power), level)


def at_decay(p: Remedy, mu: float, level: str) -> ufm.analysis.GroupCollapse:
    """The certified verdict on the group at a decay."""
    counts, loss = ufm.ClassCounts.parse(p.counts), parse_loss(p.loss)
    problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(mu, mu, p.bias), loss=loss, head=ufm.LinearDEQ(p.rho))
    found = ufm.collapse(rests_on(ufm.solve(problem, level=level)))
    return next(group for group in found.groups if group.size == p.size)


def judged(what: str, expected: str, found: ufm.analysis.GroupCollapse, level: str) -> Finding:
    """The verdict on a group against the expected one."""
    margin = found.lower if found.verdict == "no" else 1e-6 - found.upper
    return decided(what, expected, found.verdict, margin=margin, level=level)


def _several(p: Remedy) -> bool:
    """Whether the group has at least two classes."""
    return any(n == p.size and m >= 2 for m, n in ufm.ClassCounts.parse(p.counts).groups)


class Threshold(Theorem):
    r"""A group g of two or more equal classes collapses iff
    $w_g \Delta_g (1 - \varepsilon) \sqrt{n_g} \le \mu_{\mathrm{eff}} \sum_j w_j n_j$, for cross-entropy with class weights
    w, temperatures $\Delta$, any logit adjustment, label smoothing $\varepsilon < 1$ and any decay of the bias.

    Proof here: with the projector $\Pi$ on the group's contrasts and $Q = I - \Pi$ the point $(Q Z Q, Q b)$ is compared with
    (Z, b). At contrast zero the group's classes have equal probabilities in every column, so that the loss falls along
    contrasts at exactly the rate of the labels, while the penalty rises at $\mu_{\mathrm{eff}} \sqrt{n_g}$; convexity. An
    optimum exists (the objective is continuous and grows with the logits), and the loss is strictly convex up to shifts.
    """

    id = "X1"
    title = "which remedy moves the threshold of collapse"
    kind = Kind.TIGHT
    source = cite("here", "which remedies move the threshold", "docs/theory, Proposition 7.1")
    hypotheses = (
        Hypothesis(r"a group of at least two classes of one size", _several),
        Hypothesis(r"a decay $\mu > 0$ other than the critical one", lambda p: p.margin > 0 and p.margin != 1),
        Hypothesis(r"spectral budget $0 \le \rho < 1$", lambda p: 0 <= p.rho < 1),
        Hypothesis(r"a decay of the bias $\lambda_b \ge 0$, or no bias", lambda p: p.bias is None or p.bias >= 0),
    )
    required = "rigorous"
    formulas = ("critical", "collapsed")

    def grid(self):
        losses = ("ce:weights=0.5", "ce:weights=1", "ce:adjustment=2", "ce:temperatures=0.5", "ce:smoothing=0.1")
        mixed = "ce:weights=0.7,adjustment=-1,temperatures=0.2,smoothing=0.05"
        sides = (0.99, 1.01)
        return [
            *(Remedy(STEP, loss, size, side) for loss in losses for size in (8000, 1000) for side in sides),
            *(Remedy(THREE, mixed, size, side) for size in (9000, 4000, 1000) for side in sides),
            *(Remedy(STEP, mixed, 8000, side, bias, 0.3) for bias in (0.0, 1e-2) for side in sides),
        ]

    def check(self, instance: Remedy, level: str) -> Iterator[Finding]:
        yield judged(f"{instance}", collapsed(instance), verdict(instance, level), level)

    def steps(self):
        import sympy as sp

        yield from averaging_steps()
        yield from price_steps()
        yield from equilibrium_steps()
        yield from collapse_steps()
        yield from centring_steps()
        yield from strictness_steps()
        x, m, k, q, d, pi, eps, mu, w, n, total = sp.symbols("x m K q Delta pi epsilon mu w n T", positive=True)
        # Tempered logits of a column of the group: own and m - 1 others share the mass q at x = 0; the rest holds 1 - q.
        own, other = d * x * (1 - 1 / m), -d * x / m
        mass = sp.exp(own) + (m - 1) * sp.exp(other) + m * (1 - q) / q
        target = (1 - eps + eps / k) * own + (m - 1) * eps / k * other
        slope = sp.diff(pi * (sp.log(mass) - target), x).subs(x, 0)
        yield (
            r"the slope along a column's contrast is $-\pi \Delta (1 - \varepsilon) (m-1)/m$, whatever q",
            sp.simplify(slope + pi * d * (1 - eps) * (m - 1) / m) == 0,
        )
        rise = mu * (m - 1) * sp.sqrt(n)
        fall = -m * slope.subs(pi, w * n / total)
        bound = w * d * (1 - eps) * sp.sqrt(n) - mu * total
        yield (
            "m columns against the price: the condition",
            sp.simplify((fall - rise) * total / ((m - 1) * sp.sqrt(n)) - bound) == 0,
        )
        r, a, b = sp.symbols("R a b", positive=True)
        minority, majority = r**b, r ** (a - sp.Rational(1, 2))
        yield (
            "both groups at once iff $a = b + 1/2$",
            sp.simplify((majority / minority).subs(a, b + sp.Rational(1, 2)) - 1) == 0,
        )
        table = ((0, 7), (sp.Rational(1, 2), 49))
        yield "weights $n^{-a}$: $R_0 = 7$ and $49$", all((5 * r ** (1 - e) + 5).subs(r, at) == 40 for e, at in table)
        yield "weights $1/n$: the majority at $R_0 = 16$", (sp.sqrt(r) * 10).subs(r, 16) == 40

    def control(self, level: str):
        weighted = Remedy(STEP, "ce:weights=1", 8000, 0.99)
        yield judged("class weights left out of the condition", "no", verdict(weighted, level, weights=0.0), level)
        smooth = Remedy(STEP, "ce:smoothing=0.1", 1000, 0.99)
        yield judged("smoothing left out: not collapsed up to there", "no", verdict(smooth, level, smoothing=0.0), level)
        cold = Remedy(STEP, "ce:temperatures=0.5", 1000, 0.99)
        yield judged("temperatures left out", "no", verdict(cold, level, temperatures=0.0), level)

    def twin(self, level: str):
        yield judged("adjustment moves nothing", "no", verdict(Remedy(STEP, "ce:adjustment=-3", 1000, 0.99), level), level)
        yield judged("nor above", "yes", verdict(Remedy(STEP, "ce:adjustment=-3", 1000, 1.01), level), level)
        moved = "1000*4,8000*3"
        yield judged("classes relabelled", "yes", verdict(Remedy(moved, "ce:weights=1", 8000, 1.01), level), level)

    def outside(self, level: str):
        # Samples of the minority copied instead of weighted: their features are decayed too, and all classes are equal.
        mu = 1.01 * critical(ufm.ClassCounts.parse(STEP), GroupPull(weights=1.0), 8000, 0.0, 0.5)
        copied = ufm.collapse(ufm.solve(ufm.Problem("8000*7", regularizer=ufm.WeightDecay(mu / 2, mu / 2)), level=level))
        (group,) = copied.groups
        yield judged("samples copied, not weighted: all classes alike, none collapsed at half of it", "no", group, level)


class Universality(Theorem):
    r"""Cross-entropy, one-vs-rest and squared error have the same threshold of collapse,
    $\sqrt{n_g} \le \mu_{\mathrm{eff}} N$; so has every loss $h(z) - z_y$ with h convex, differentiable and unchanged when
    equal classes are permuted, if an optimum exists.

    The group then collapses at some optimum, and at every one if h is strictly convex (for cross-entropy: up to shifts); if
    not, at none. Proof here: that of X1, for the gradient of h is alike for classes with equal logits, so that it drops out
    along their contrast and only the label is left.
    """

    id = "X2"
    title = "one threshold of collapse for all losses"
    kind = Kind.IDENTITY
    source = cite("here", "universality of the threshold", "docs/theory, Proposition 7.12")
    hypotheses = (
        Hypothesis(r"a group of at least two classes of one size", _several),
        Hypothesis(r"a decay $\mu > 0$ other than the critical one", lambda p: p.margin > 0 and p.margin != 1),
        Hypothesis(r"spectral budget $0 \le \rho < 1$", lambda p: 0 <= p.rho < 1),
        Hypothesis(r"a decay of the bias $\lambda_b \ge 0$, or no bias", lambda p: p.bias is None or p.bias >= 0),
    )
    required = "rigorous"
    formulas = ("universal", "collapsed")

    def grid(self):
        sides = (0.99, 1.01)
        losses = ("ce", "bce", "mse")
        return [
            *(Remedy(STEP, loss, size, side) for loss in losses for size in (8000, 1000) for side in sides),
            *(Remedy(THREE, loss, 4000, side, 0.1, 0.5) for loss in losses for side in sides),
        ]

    def check(self, instance: Remedy, level: str) -> Iterator[Finding]:
        mu = instance.margin * universal(ufm.ClassCounts.parse(instance.counts), instance.size, instance.rho, 0.5)
        yield judged(f"{instance}", collapsed(instance), at_decay(instance, mu, level), level)

    def steps(self):
        import sympy as sp

        yield from averaging_steps()
        yield from price_steps()
        yield from equilibrium_steps()
        yield from collapse_steps()
        yield from centring_steps()
        yield from strictness_steps()
        z, x, m = sp.symbols("z x m", positive=True)
        own, other = z + x * (1 - 1 / m), z - x / m
        rest = sp.Symbol("r", positive=True)
        losses = {
            "cross-entropy": sp.log(sp.exp(own) + (m - 1) * sp.exp(other) + rest),
            "one-vs-rest": sp.log(1 + sp.exp(own)) + (m - 1) * sp.log(1 + sp.exp(other)),
            "squared error": (own**2 + (m - 1) * other**2) / 2,
        }
        for name, h in losses.items():
            slope = sp.diff(h - own, x).subs(x, 0)
            yield f"{name}: slope along the contrast is that of the label", sp.simplify(slope + (m - 1) / m) == 0
        g = sp.Function("g")
        even = (g(x) + g(-x)) / 2
        yield (
            "any h that does not change when two classes are exchanged is even along their difference: its slope there is zero "
            "at equal logits",
            sp.diff(even, x).subs(x, 0).doit() == 0,
        )
        differences = [(m - 1) / m, -1 / m]  # of the mean of e_k - e_j over all m classes j
        contrast = Invariant(1, 0, m).entries
        yield (
            r"and $e_k - \frac1m \mathbf{1}_g$ is the mean of such differences",
            all(sp.simplify(one - two) == 0 for one, two in zip(differences, contrast, strict=True)),
        )
        n, total, mu = sp.symbols("n N mu", positive=True)
        yield (
            r"with $\pi_g = n_g / N$ and $s_g = \sqrt{n_g}$: $\kappa \le \mu s_g$ is $\sqrt{n_g} \le \mu N$",
            sp.simplify((n / total - mu * sp.sqrt(n)) * total / sp.sqrt(n) - (sp.sqrt(n) - mu * total)) == 0,
        )
        p = sp.Symbol("p", positive=True)
        curved = sp.diff(sp.log(1 + sp.exp(z)), z, 2)
        yield (
            "one-vs-rest and squared error are strictly convex: second derivatives $p (1 - p)$ and 1",
            sp.simplify(curved - (p * (1 - p)).subs(p, sp.exp(z) / (1 + sp.exp(z)))) == 0 and sp.diff(z**2 / 2, z, 2) == 1,
        )

    def control(self, level: str):
        for loss in ("bce", "mse"):
            found = verdict(Remedy(STEP, loss, 1000, 0.99), level, power=1.0)
            yield judged(f"n_g in place of sqrt(n_g), {loss}", "no", found, level)

    def twin(self, level: str):
        for loss in ("bce", "mse"):
            moved = Remedy("4000*4,32000*3", loss, 4000, 1.01)
            yield judged(f"samples four times, classes relabelled, {loss}", "yes", verdict(moved, level), level)

    def outside(self, level: str):
        # Labels of half the height, as smoothing 1/2 gives, are another loss: it collapses already at 0.6 of the decay.
        found = verdict(Remedy(STEP, "ce:smoothing=0.5", 1000, 0.6), level, smoothing=0.0)
        yield judged("targets that are not one-hot: earlier", "yes", found, level)


class Smoothed(NamedTuple):
    """Classes, size, decay, label smoothing."""

    classes: int
    size: int
    decay: float
    smoothing: float


class Smoothing(Theorem):
    r"""On balanced classes label smoothing $\delta$ is weight decay: logits and value are those of plain cross-entropy at
    $\mu' = \mu + \delta / (K \sqrt{n})$, that is $Z = a S$ with $a = \log\frac{(K-1)(1-q)}{q}$ and
    $q = (K-1)(\delta/K + \sqrt{n}\, \mu)$.

    All is zero iff $q \ge (K-1)/K$.

    Proof here: the probabilities P of $a\, S$ differ from the smoothed labels Y by a multiple of S, a dual point that is
    feasible and leaves no gap (weak duality: `proofs_check.tables`); with $\delta = 0$ it is that of plain cross-entropy at
    $\mu'$. Equality forces P on every optimum, and centring lowers the price.
    """

    id = "X9"
    title = "label smoothing is weight decay on balanced classes"
    kind = Kind.IDENTITY
    source = cite("here", "label smoothing on balanced classes", "docs/theory, Propositions 3.1 and 3.5")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of equal size", lambda p: p.classes >= 2),
        Hypothesis(r"$n \ge 1$ samples in each class", lambda p: p.size >= 1),
        Hypothesis(r"a decay $\mu > 0$", lambda p: p.decay > 0),
        Hypothesis(r"smoothing $0 \le \delta < 1$", lambda p: 0 <= p.smoothing < 1),
    )
    required = "rigorous"
    formulas = ("height", "value")

    def grid(self):
        return [
            Smoothed(10, 50, 2e-3, 0.1), Smoothed(3, 20, 1e-2, 0.3), Smoothed(2, 10, 5e-2, 0.05), Smoothed(50, 5, 1e-3, 0.2),
            Smoothed(5, 100, 5e-3, 0.7), Smoothed(5, 100, 5e-3, 0.8),
        ]  # fmt: skip

    def more(self):
        return [Smoothed(k, 30, 1e-3, d) for k in (4, 20) for d in (0.01, 0.5, 0.9)]

    def solved(self, p: Smoothed, level: str) -> ufm.Solution:
        """The certified optimum."""
        loss = ufm.CrossEntropy(smoothing=p.smoothing)
        return ufm.solve(
            ufm.Problem([p.size] * p.classes, regularizer=ufm.WeightDecay(p.decay, p.decay), loss=loss), level=level
        )

    def height(self, p: Smoothed, share: float = 1.0) -> tuple[Any, Any]:
        """Balls of a and of the slope ``delta/K + sqrt(n) mu``; ``share`` multiplies the first term."""
        from flint import arb

        slope = arb(p.smoothing) * share / p.classes + arb(p.size).sqrt() * arb(p.decay)
        q = (p.classes - 1) * slope
        return ((p.classes - 1) * (1 - q) / q).log() if q * p.classes < p.classes - 1 else arb(0), slope

    def value(self, p: Smoothed, share: float = 1.0) -> Enclosure:
        """``log(1 + (K-1) e^{-a}) + (K-1) slope a``."""

        def formula():
            a, slope = self.height(p, share)
            return (1 + (p.classes - 1) * (-a).exp()).log() + (p.classes - 1) * slope * a

        return Enclosure.ball(formula)

    def check(self, instance: Smoothed, level: str) -> Iterator[Finding]:
        solution = self.solved(instance, level)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {instance}", self.value(instance), found, tolerance=1e-10, level=level)
        (group,) = ufm.collapse(solution).groups
        if group.verdict == "no":
            a = Enclosure.ball(lambda: self.height(instance)[0])
            yield equal(f"a, {instance}", a, Enclosure(group.lower, group.upper), tolerance=1e-3, level=level)

    def steps(self):
        import sympy as sp

        yield from averaging_steps()
        yield from price_steps()
        yield from algebra_steps()
        yield from gibbs_steps()
        yield from balanced_steps(smoothing=True)
        yield from centring_steps()
        a, k, n, mu, delta = sp.symbols("a K n mu delta", positive=True)
        plain = sp.log(1 + (k - 1) * sp.exp(-a))
        logits = Invariant(a, 0, k)
        cost = plain + Invariant(1, 1, k).minus(Invariant(1 - delta, 1, k)).inner(logits) / k
        yield r"smoothing adds $\delta (K-1) a / K$", sp.simplify(cost - plain - delta * (k - 1) * a / k) == 0
        price = Invariant(sp.sqrt(n) * a, 0, k).trace
        moved = (mu + delta / (k * sp.sqrt(n))) * price
        yield (
            r"which is the price at $\mu'$ minus that at $\mu$",
            sp.simplify(moved - mu * price - delta * (k - 1) * a / k) == 0,
        )
        q, other = ((k - 1) * (d / k + sp.sqrt(n) * m) for d, m in ((delta, mu), (0, mu + delta / (k * sp.sqrt(n)))))
        yield r"and q is that of plain cross-entropy at $\mu'$", sp.simplify(q - other) == 0

    def control(self, level: str):
        p = Smoothed(10, 50, 2e-3, 0.1)
        found = Enclosure.of(self.solved(p, level).certificate)
        yield equal("delta/(K-1) in place of delta/K", self.value(p, 10 / 9), found, tolerance=1e-10, level=level)
        yield equal("smoothing without effect", self.value(p, 0.0), found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        p = Smoothed(10, 50, 2e-3, 0.1)
        found = Enclosure.of(self.solved(p, level).certificate)
        mu = p.decay + p.smoothing / (p.classes * p.size**0.5)
        plain = ufm.Problem("50*10", regularizer=ufm.WeightDecay(mu, mu))
        other = Enclosure.of(ufm.solve(plain, level=level).certificate)
        yield equal("plain cross-entropy at mu'", other, found, tolerance=1e-9, level=level)
        four = Enclosure.of(self.solved(p._replace(size=200, decay=p.decay / 2), level).certificate)
        yield equal("samples four times, decay halved", four, found, tolerance=1e-9, level=level)

    def outside(self, level: str):
        # Unequal sizes: smoothing pulls on all classes alike, decay does not; the mean size gives another value.
        decay = ufm.WeightDecay(2e-3, 2e-3)
        smoothed = ufm.Problem("90*5,10*5", regularizer=decay, loss=ufm.CrossEntropy(smoothing=0.1))
        mu = 2e-3 + 0.1 / (10 * 50**0.5)
        plain = ufm.Problem("90*5,10*5", regularizer=ufm.WeightDecay(mu, mu))
        found, other = (Enclosure.of(ufm.solve(problem, level=level).certificate) for problem in (smoothed, plain))
        yield less("unequal sizes: more than the value at mu' of the mean size", other, found, level=level)
