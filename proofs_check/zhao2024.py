r"""Zhao et al. (2024): next-token prediction, a table of contexts with soft labels. [zhao2024]

Setting: M contexts with distributions ``y_m`` of the next of V tokens and
``(1/N) sum_i CE(W h_i, y_i) + lw/2 |W|^2 + lh/2 |H|^2``; with one sample of each context, ``mu = sqrt(lw lh)`` is the price
of a singular value of the V x M logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from typing import Any, NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, equal, less
from proofs_check.lemmas import averaging_steps, centring_steps, gibbs_steps, price_steps
from proofs_check.tables import counting_steps, hull, indicator, probabilities, span, subsets
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._arrays import Floats


class Subsets(NamedTuple):
    """V tokens, k labels in each context, decay of W and of the features of each context."""

    tokens: int
    size: int
    decay: float

    @property
    def critical(self) -> float:
        """The decay at which everything vanishes."""
        v, k = self.tokens, self.size
        return (v - k) / (v * (v - 1) * comb(v - 2, k - 1) ** 0.5)


def solved(columns: Floats, sizes: Any, regularizer: ufm.WeightDecay, level: str) -> ufm.Solution:
    """The model on a table of probabilities."""
    return ufm.solve(ufm.Problem(ufm.TargetTable(columns, sizes), regularizer=regularizer), level=level)


def uniform(p: Subsets, level: str) -> ufm.Solution:
    """One sample of each k-subset, its labels alike."""
    columns = indicator(p.tokens, p.size) / p.size
    return solved(columns, [1] * columns.shape[1], ufm.WeightDecay(p.decay, p.decay), level)


def off_support(p: Subsets, centred: bool = True) -> tuple[Any, Any]:
    """Balls of ``t = mu (V-1) sqrt(C(V-2, k-1))`` and of the optimum's mass off the labels, ``min(t, (V-k)/V)``."""
    from flint import arb

    v, k = p.tokens, p.size
    t = arb(p.decay) * (v - 1) * arb(comb(v - 2, k - 1) if centred else comb(v - 1, k - 1)).sqrt()
    edge = arb(v - k) / v
    return t, t if t < edge else edge


def closed_form(p: Subsets, centred: bool = True) -> Enclosure:
    """``log(k + (V-k) e^{-a}) + t a`` at ``a = log[(V-k)(1-t)/(k t)]^+``."""

    def value():
        v, k = p.tokens, p.size
        t, mass = off_support(p, centred)
        a = ((v - k) * (1 - mass) / (k * mass)).log()
        return (k + (v - k) * (-a).exp()).log() + t * a

    return Enclosure.ball(value)


class NextToken(Theorem):
    r"""All k-subsets of V tokens as contexts of equal weight and uniform labels: with
    $t = \mu (V-1) \sqrt{\binom{V-2}{k-1}}$ the optimum is $Z = a\, (B - \frac kV)$ for the indicator B,
    $a = \log\frac{(V-k)(1-t)}{k t}$, with value $\log\left(k + (V-k) e^{-a}\right) + t a$, and all is zero iff
    $t \ge (V-k)/V$.

    Features of contexts are sums of the tokens' up to scale, and the classifier is a simplex ETF; $k = 1$ is the balanced
    explicit model.

    Proof here: the centred indicator has $V - 1$ equal singular values, so $Y - Q$, which for probabilities that are
    constant on the labels and off them is a multiple of it, is a dual point (`proofs_check.tables`); with the mass t off
    the labels it is feasible and attains the value. If $t \ge (V-k)/V$ the uniform Q is feasible and attains $\log V$.
    """

    id = "X4"
    title = "next tokens, all k-subsets: logits and value in closed form"
    kind = Kind.TIGHT
    source = cite("zhao2024", "implicit geometry of next-token prediction; closed form derived here")
    hypotheses = (
        Hypothesis(r"$1 \le k < V$", lambda p: 1 <= p.size < p.tokens),
        Hypothesis(r"$V \ge 2$ tokens", lambda p: p.tokens >= 2),
        Hypothesis(r"a decay $\mu > 0$", lambda p: p.decay > 0),
    )
    required = "rigorous"
    formulas = ("closed_form", "off_support", "Subsets.critical")

    def grid(self):
        tabulated = [Subsets(5, 2, 0.01), Subsets(6, 3, 0.005), Subsets(6, 2, 0.02), Subsets(4, 3, 1e-3)]
        cases = ((4, 2), (7, 3), (8, 4))
        return [
            *tabulated,
            *(p._replace(decay=x * p.critical) for p in (Subsets(*c, 0.0) for c in cases) for x in (0.98, 1.02)),
        ]

    def more(self):
        return [Subsets(3, 2, 0.02), Subsets(6, 4, 0.01), Subsets(9, 2, 0.01), Subsets(9, 4, 2e-3)]

    def check(self, instance: Subsets, level: str) -> Iterator[Finding]:
        solution = uniform(instance, level)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {instance}", closed_form(instance), found, tolerance=1e-10, level=level)
        low, high = probabilities(solution)
        on = indicator(instance.tokens, instance.size) > 0
        labels = Enclosure.ball(lambda: (1 - off_support(instance)[1]) / instance.size)
        others = Enclosure.ball(lambda: off_support(instance)[1] / (instance.tokens - instance.size))
        yield equal(f"probability of every label, {instance}", labels, span(low[on], high[on]), tolerance=1e-4, level=level)
        yield equal(f"and of every other token, {instance}", others, span(low[~on], high[~on]), tolerance=1e-4, level=level)
        zero = Enclosure.ball(lambda: hull(instance.tokens, instance.tokens).log())
        if instance.decay < instance.critical:
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
        k, d, r, s = sp.symbols("k d rho s", positive=True)  # d = V - k, rho^2 = C(V-2, k-1), s the mass off the labels
        v = k + d
        sets = r**2 * v * (v - 1) / (k * d)
        on, off = (1 - s) / k, s / d
        height = s * v / (k * d)
        yield (
            "$Y - Q$ is a multiple of the centred indicator",
            sp.simplify(1 / k - on - height * d / v) == 0 and sp.simplify(-off + height * k / v) == 0,
        )
        yield (
            r"and its norm is $s / ((V-1) \rho)$ with $\rho^2 = \binom{V-2}{k-1}$",
            sp.simplify(height * r / sets - s / ((v - 1) * r)) == 0,
        )
        t = sp.Symbol("t", positive=True)
        a = sp.log(d * (1 - t) / (k * t))
        mass = d / (k * sp.exp(a) + d)
        yield r"so it is $\mu$ for the mass t that a leaves", sp.simplify(mass - t) == 0
        entropy = -(1 - t) * sp.log((1 - t) / k) - t * sp.log(t / d)
        yield "$k + (V-k) e^{-a} = k/(1-t)$", sp.simplify(k + d * sp.exp(-a) - k / (1 - t)) == 0
        value = sp.log(k / (1 - t)) + t * a
        yield "no gap", sp.simplify(sp.expand_log(entropy - value, force=True)) == 0
        yield (
            "$a > 0$ iff $t < (V-k)/V$",
            sp.simplify(d * (1 - t) - k * t - (d - v * t)) == 0,
        )
        uniform = [x.subs(s, d / v) - 1 / v for x in (on, off)]
        yield r"the mass $(V-k)/V$ is the uniform Q, of entropy $\log V$", all(sp.simplify(x) == 0 for x in uniform)
        yield (
            r"which is feasible iff $\mu \ge (V-k)/(V (V-1) \rho)$",
            sp.simplify((height * r / sets).subs(s, d / v) - d / (v * (v - 1) * r)) == 0,
        )
        x = sp.Symbol("x", real=True)
        slope = sp.diff(sp.log(k + d * sp.exp(-x)) + t * x, x)
        yield "otherwise zero is no minimum: slope $t - (V-k)/V$", sp.simplify(slope.subs(x, 0) - (t - d / v)) == 0

    def control(self, level: str):
        p = Subsets(5, 2, 0.01)
        found = Enclosure.of(uniform(p, level).certificate)
        what = "indicator not centred: C(V-1, k-1) in place of C(V-2, k-1)"
        yield equal(what, closed_form(p, centred=False), found, tolerance=1e-10, level=level)
        p = Subsets(7, 3, 0.0)
        p = p._replace(decay=1.02 * p.critical * (comb(5, 2) / comb(6, 2)) ** 0.5)
        found = Enclosure.of(uniform(p, level).certificate)
        yield equal("zero from that on", closed_form(p._replace(decay=2 * p.critical)), found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        p = Subsets(6, 2, 0.02)
        base, columns = Enclosure.of(uniform(p, level).certificate), indicator(6, 2)
        rng = np.random.default_rng(3)
        turned = columns[rng.permutation(6)][:, rng.permutation(15)] / 2
        moved = solved(turned, [1] * 15, ufm.WeightDecay(0.01, 0.04), level)
        found = Enclosure.of(moved.certificate)
        yield equal("tokens and contexts relabelled, decay moved from W", base, found, tolerance=1e-10, level=level)
        counted = ufm.Problem(ufm.TargetTable.next_token(2 * columns.T), regularizer=ufm.WeightDecay(0.01, 0.01))
        found = Enclosure.of(ufm.solve(counted, level=level).certificate)
        yield equal("from counts, four samples of each context, decays halved", base, found, tolerance=1e-10, level=level)
        each = solved(columns / 2, [9] * 15, ufm.WeightDecay(0.02, 0.02, per_class=True), level)
        yield equal("decay per context", base, Enclosure.of(each.certificate), tolerance=1e-10, level=level)
        plain = ufm.solve(ufm.Problem([1] * 5, regularizer=ufm.WeightDecay(0.03, 0.03)), level=level)
        one = closed_form(Subsets(5, 1, 0.03))
        yield equal("one label: balanced classes", one, Enclosure.of(plain.certificate), tolerance=1e-10, level=level)
        sets = ufm.TargetTable.multi_label(subsets(6, 2), n_classes=6)
        picked = ufm.solve(ufm.Problem(sets, regularizer=ufm.WeightDecay(0.04, 0.04), loss="pal"), level=level)
        half = Enclosure(picked.certificate.lower / 2, picked.certificate.upper / 2)
        yield equal("all labels picked at twice the decay: twice the value", base, half, tolerance=1e-10, level=level)

    def outside(self, level: str):
        p = Subsets(5, 2, 0.01)
        columns = indicator(5, 2)[:, 1:] / 2
        low, high = probabilities(solved(columns, [1] * 9, ufm.WeightDecay(p.decay, p.decay), level))
        # Without the set {0, 1}, labels of {0, 2} and of {2, 3} no longer have the same probability.
        first, last = (Enclosure(float(low[2, m]), float(high[2, m])) for m in (0, 6))
        smaller, larger = sorted((first, last), key=lambda e: e.lower)
        yield less("one subset missing: probabilities of labels differ", smaller, larger, level=level)
        uneven = spread(5, 2, 0)
        found = solved(uneven, [1] * 10, ufm.WeightDecay(p.decay, p.decay), level)
        yield less("uneven labels: lower", Enclosure.of(found.certificate), closed_form(p), level=level)


def spread(tokens: int, size: int, seed: int) -> Floats:
    """Probabilities on each k-subset: 1/4 and 3/4, or 1/4, 1/4 and 1/2, in an order drawn at random."""
    found = np.zeros((tokens, comb(tokens, size)))
    rng = np.random.default_rng(seed)
    for column, labels in enumerate(subsets(tokens, size)):
        found[list(labels), column] = rng.permutation([1, 3] if size == 2 else [1, 1, 2]) / 4
    return found


class Rung(NamedTuple):
    """V tokens, k labels in each context, seed of their probabilities, decay."""

    tokens: int
    size: int
    seed: int
    decay: float


def margins(columns: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Bounds on ``z_i - z_j`` for labels i and other tokens j, all in one row: by context, i and j."""
    ends = ([], [])
    for column, below, above in zip(columns.T, low.T, high.T, strict=True):
        on = column > 0
        ends[0].append((np.log(below[on])[:, None] - np.log(above[~on])).ravel())
        ends[1].append((np.log(above[on])[:, None] - np.log(below[~on])).ravel())
    return np.concatenate(ends[0]) - 1e-12, np.concatenate(ends[1]) + 1e-12


def farthest(low: Floats, high: Floats, scale: float) -> Enclosure:
    """The largest absolute value among numbers between bounds, over a scale."""
    inner = np.maximum(np.maximum(low, -high), 0.0).max()
    return Enclosure(float(inner / scale * (1 - 1e-12)), float(np.maximum(high, -low).max() / scale * (1 + 1e-12)))


class SupportPattern(Theorem):
    r"""As the decay vanishes the logits of a table of soft labels are the log-odds on the support, and beside them a
    growing part $\log(1/\mu)\, B$ that the support pattern decides; for all k-subsets of V tokens the value is
    $H + \nu \mu \log(1/\mu) + O(\mu)$ with the mean entropy H and $\nu = (V-1) \sqrt{\binom{V-2}{k-1}}$.

    Contexts of equal sizes, here one sample each, M of them; $\nu$ is the least $\lVert Z \rVert_*$ of logits that are
    equal on each support with margin at least 1 to the other tokens, attained at the centred indicator B only, whatever the
    probabilities on the subsets, with least probability $\eta$:

    1. $|q - y| \le \mu M$ in every entry: log-odds on the support differ from those of y by $O(\mu)$;
    2. margins are at least $\log\left((\eta - \mu M) / (\mu M)\right)$;
    3. the value is $H + \nu \mu \log(1/\mu) + O(\mu)$, between the explicit bounds that are compared here;
    4. $Z / \log(1/\mu) \to B$: two tables of one support pattern have logits whose difference is $o(\log(1/\mu))$.

    Proof here: 1 is dual feasibility, 2 follows. Lower bound of 3: $Q = Y - \mu M L$ with $L = B / \sqrt{\binom{V-2}{k-1}}$
    of norm one; upper bound: $Z = \log(1/\mu) B + \log Y$ on the support. 4: by 1, 2 and 3 every limit point of
    $Z / \log(1/\mu)$ is equal on the supports, has margins of at least 1 and a nuclear norm of at most $\nu$;
    $\langle L, Z \rangle$, at most that norm, is $\nu$ and more where a margin exceeds 1, so all margins are 1 and Z, whose
    columns are centred, is B. This compactness gives no rate; it is followed here down a ladder of decays.
    """

    id = "X5"
    title = "vanishing decay: log-odds on the support, growth by its pattern"
    kind = Kind.LIMIT
    source = cite("zhao2024", "limit of vanishing regularisation; derived here")
    hypotheses = (
        Hypothesis(r"$1 \le k < V$", lambda p: 1 <= p.size < p.tokens),
        Hypothesis(
            r"a decay $\mu > 0$ small enough that $\mu M < \eta$ for the least probability $\eta = 1/4$",
            lambda p: 0 < p.decay * comb(p.tokens, p.size) < 0.25,
        ),
    )
    required = "rigorous"
    formulas = ("rate",)
    ladder = (1e-3, 1e-4, 1e-5, 1e-6)

    def grid(self):
        return [Rung(*case, decay) for case in ((5, 2, 0), (5, 3, 1), (4, 2, 2)) for decay in self.ladder]

    @staticmethod
    def solved(p: Rung, level: str, even: bool = False) -> tuple[Floats, ufm.Solution]:
        """Probabilities of the seed, or even ones on the same support."""
        columns = indicator(p.tokens, p.size) / p.size if even else spread(p.tokens, p.size, p.seed)
        return columns, solved(columns, [1] * columns.shape[1], ufm.WeightDecay(p.decay, p.decay), level)

    @staticmethod
    def bounds(p: Rung, extra: float = 0.0) -> tuple[Enclosure, Enclosure]:
        """Both bounds of statement 3 for probabilities in quarters; ``extra`` is added to nu in both."""
        v, k, m = p.tokens, p.size, comb(p.tokens, p.size)
        columns = spread(v, k, p.seed)

        def below():
            from flint import arb

            mu, rho = arb(p.decay), arb(comb(v - 2, k - 1)).sqrt()
            shift = mu * m / rho
            found = arb(0)
            for column in columns.T:
                for y in column:
                    q = arb(y) - shift * (arb(v - k) / v) if y > 0 else shift * k / v
                    found -= q * q.log() / m
            return found + arb(extra) * mu * (1 / mu).log()

        def above():
            from flint import arb

            mu = arb(p.decay)
            entropy, square = arb(0), arb(0)
            for y in columns[columns > 0]:
                entropy -= arb(y) * arb(y).log() / m
                square += arb(y).log() ** 2
            nuclear = (1 / mu).log() * (SupportPattern.rate(p) + arb(extra)) + (v * square).sqrt()
            return entropy + (1 + (v - k) * mu).log() + mu * nuclear

        return Enclosure.ball(below), Enclosure.ball(above)

    @staticmethod
    def rate(p: Rung) -> Any:
        """nu as a ball."""
        from flint import arb

        return (p.tokens - 1) * arb(comb(p.tokens - 2, p.size - 1)).sqrt()

    def growth(self, p: Rung, before: Rung, level: str) -> Enclosure:
        """How much ``(value - H) / mu`` grows from one decay to a smaller one, over the growth of ``log(1/mu)``."""
        one, other = (Enclosure.of(self.solved(q, level)[1].certificate) for q in (before, p))
        columns = spread(p.tokens, p.size, p.seed)

        def grown():
            from flint import arb

            entropy = arb(0)
            for y in columns[columns > 0]:
                entropy -= arb(y) * arb(y).log() / columns.shape[1]
            first, second = (
                (hull(value.lower, value.upper) - entropy) / arb(q.decay) for value, q in ((one, before), (other, p))
            )
            return (second - first) / (arb(before.decay) / arb(p.decay)).log()

        return Enclosure.ball(grown)

    def between(self, p: Rung, level: str) -> Enclosure:
        """The largest difference between margins of the seed's table and of the even one, over ``log(1/mu)``."""
        ends = [margins(columns, *probabilities(found)) for columns, found in (self.solved(p, level, e) for e in (False, True))]
        (low, high), (other_low, other_high) = ends
        return farthest(low - other_high, high - other_low, float(np.log(1 / p.decay)))

    def from_one(self, p: Rung, level: str) -> Enclosure:
        """The largest distance of ``margin / log(1/mu)`` from 1."""
        columns, found = self.solved(p, level)
        low, high = margins(columns, *probabilities(found))
        scale = float(np.log(1 / p.decay))
        return farthest(low - scale, high - scale, scale)

    def check(self, instance: Rung, level: str) -> Iterator[Finding]:
        columns, solution = self.solved(instance, level)
        value = Enclosure.of(solution.certificate)
        below, above = self.bounds(instance)
        yield less(f"above H + nu mu log(1/mu) + O(mu), {instance}", below, value, level=level)
        yield less(f"and below, {instance}", value, above, level=level)
        low, high = probabilities(solution)
        reach = instance.decay * columns.shape[1]
        most = Enclosure(reach * (1 - 1e-12), reach * (1 + 1e-12))
        yield less(f"|q - y| <= mu M, {instance}", farthest(low - columns, high - columns, 1.0), most, level=level)
        ends = margins(columns, low, high)
        narrow = Enclosure(float(ends[0].min()), float(ends[1].min()))
        eta = float(columns[columns > 0].min())
        least = Enclosure.ball(lambda: ((eta - hull(most.lower, most.upper)) / hull(most.lower, most.upper)).log())
        yield less(f"least margin, {instance}", least, narrow, level=level)
        place = self.ladder.index(instance.decay)
        if place:
            before = instance._replace(decay=self.ladder[place - 1])
            nu, grown = Enclosure.ball(lambda: self.rate(instance)), self.growth(instance, before, level)
            least = Enclosure(nu.lower * 0.99, nu.upper * 0.99)
            yield less(f"(value - H)/mu grows by less than nu log(1/mu), {instance}", grown, nu, level=level)
            yield less(f"and by more than 0.99 of that, {instance}", least, grown, level=level)
            for what, distance in (("of the even table's margins", self.between), ("from 1", self.from_one)):
                yield less(
                    f"distance {what} over log(1/mu) falls, {instance}",
                    distance(instance, level), distance(before, level), level=level,
                )  # fmt: skip

    def steps(self):
        import sympy as sp

        yield from averaging_steps()
        yield from price_steps()
        yield from gibbs_steps()
        yield from centring_steps()
        yield from counting_steps()
        k, d, r = sp.symbols("k d rho", positive=True)  # d = V - k
        v = k + d
        sets = r**2 * v * (v - 1) / (k * d)
        nu = (v - 1) * r
        yield "margins of B are 1", sp.simplify(d / v + k / v - 1) == 0
        yield (
            r"$L = B / \rho$ takes off the supports what $\lVert B \rVert_*$ is",
            sp.simplify(sets * d * (k / v) / r - nu) == 0,
        )
        mu, y, size, share = sp.symbols("mu y l pi", positive=True)
        off = mu * size / share
        entry = -share * off * sp.log(off) - mu * size * (sp.log(1 / mu) + sp.log(share / size))
        yield r"lower bound off the support: $l \mu \log(1/\mu) + O(\mu)$", sp.simplify(sp.expand_log(entry, force=True)) == 0
        on = -share * (y - off) * sp.log(y - off) + share * y * sp.log(y)
        yield r"and on it $O(\mu)$", sp.simplify(sp.limit(on / mu, mu, 0) - size * (sp.log(y) + 1)) == 0
        high = sp.Symbol("T", positive=True)
        # At T on the support beside log y: logsumexp less the mean of logits, whose entropy part is H.
        excess = sp.log(sp.exp(high) + d) - high
        yield (
            r"upper bound: loss $H + \log(1 + (V-k) \mu)$",
            sp.simplify(sp.expand_log(excess.subs(high, sp.log(1 / mu)) - sp.log(1 + d * mu), force=True)) == 0
            or sp.simplify(sp.exp(excess.subs(high, sp.log(1 / mu))) - (1 + d * mu)) == 0,
        )
        eta, m = sp.symbols("eta M", positive=True)
        entry = sp.Symbol("e", positive=True)  # of Q - Y, over M at most the spectral norm, and that at most mu
        yield (
            r"an entry of $(Q - Y)/M$ is at most its norm: $|q - y| \le \mu M$, and log-odds on the support move by $O(\mu)$",
            sp.solve(sp.Eq(entry / m, mu), entry) == [mu * m] and sp.limit(sp.log((y + mu * m) / y) / mu, mu, 0) == m / y,
        )
        yield "least margin", sp.simplify(sp.exp(sp.log(eta - mu * m) - sp.log(mu * m)) - (eta - mu * m) / (mu * m)) == 0
        smallest = sp.log((eta - mu * m) / (mu * m))
        yield (
            r"over $\log(1/\mu)$ its limit is 1",
            sp.limit(smallest.subs(mu, sp.exp(-high)).rewrite(sp.log).simplify() / high, high, sp.oo) == 1,
        )
        on_sum, off_sum = sp.symbols("z_S z_T", real=True)  # sums of a column of Z on and off the support
        product = on_sum - k / v * (on_sum + off_sum)  # of the column with that of B
        pairs = d * on_sum - k * off_sum  # the sum of all margins z_i - z_j, i on and j off the support
        yield (
            r"$\langle B, Z \rangle$ is the sum of all margins over V, and L has norm 1: for margins of at least 1 "
            r"$\lVert Z \rVert_* \ge \langle L, Z \rangle \ge \nu$, with equality only if all are 1, that is at B",
            sp.simplify(product - pairs / v) == 0 and sp.simplify(sets * k * d / v / r - nu) == 0,
        )
        value, extra = sp.symbols("H c", positive=True)
        growth = (value + nu * mu * high + extra * mu - value) / mu  # of the nuclear norm, as the loss is at least H
        yield (
            r"the loss is at least H (Gibbs' inequality), so that $\lVert Z \rVert_* \le \nu \log(1/\mu) + O(1)$: "
            r"$Z / \log(1/\mu)$ has limit points (Bolzano-Weierstrass theorem), of nuclear norm at most $\nu$, so each is B",
            sp.simplify(sp.limit(sp.expand(growth / high), high, sp.oo) - nu) == 0,
        )

    def control(self, level: str):
        p = Rung(5, 2, 0, 1e-6)
        value = Enclosure.of(self.solved(p, level)[1].certificate)
        below, _ = self.bounds(p, extra=4 * (comb(4, 1) ** 0.5 - comb(3, 1) ** 0.5))
        yield less("indicator not centred: nu = (V-1) sqrt(C(V-1, k-1))", below, value, level=level)
        # One context with a third label: its margin stays behind, and so does the difference.
        found = []
        for decay in self.ladder[-2:]:
            columns, one = self.solved(p._replace(decay=decay), level)
            other = columns.copy()
            other[:, 0] = [0.25, 0.5, 0.25, 0, 0]
            two = solved(other, [1] * 10, ufm.WeightDecay(decay, decay), level)
            (low, high), (other_low, other_high) = (margins(columns, *probabilities(s)) for s in (one, two))
            found.append(farthest(low - other_high, high - other_low, float(np.log(1 / decay))))
        yield less("another support pattern: the distance falls", found[1], found[0], level=level)

    def twin(self, level: str):
        p = Rung(5, 2, 0, 2.0**-12)
        columns, one = self.solved(p, level)
        more = solved(columns, [4] * 10, ufm.WeightDecay(p.decay / 2, p.decay / 2), level)
        base, found = Enclosure.of(one.certificate), Enclosure.of(more.certificate)
        yield equal("four samples of each context, decays halved", base, found, tolerance=1e-10, level=level)
        order = np.random.default_rng(5).permutation(5)
        turned = solved(columns[order][:, ::-1], [1] * 10, ufm.WeightDecay(p.decay, p.decay), level)
        yield equal("tokens and contexts relabelled", base, Enclosure.of(turned.certificate), tolerance=1e-10, level=level)
        sides = [margins(c, *probabilities(s)) for c, s in ((columns, one), (columns[order][:, ::-1], turned))]
        first, second = (Enclosure(float(low.min()), float(high.min())) for low, high in sides)
        yield equal("and the least margin", first, second, tolerance=1e-4, level=level)

    def outside(self, level: str):
        # Every token has a probability: no margins, and logits stay where the log-odds are.
        full = np.array([[0.5, 0.25, 0.125], [0.25, 0.25, 0.125], [0.25, 0.5, 0.75]])
        low, high = probabilities(solved(full, [1, 1, 1], ufm.WeightDecay(1e-6, 1e-6), level))
        odds = farthest(np.log(low[0] / high[2]), np.log(high[0] / low[2]), 1.0)
        six = Enclosure.ball(lambda: hull(6.0, 6.0).log())
        yield less("full support: below the log-odds log 6, nothing grows", odds, six, level=level)
        # Unequal sizes under decay per sample: nu is that of Z S, another number.
        p = Rung(5, 2, 0, 1e-5)
        columns, _ = self.solved(p, level)
        sizes = [91] + [1] * 9  # ten samples on average
        rate = p.decay / 10**0.5
        value = Enclosure.of(solved(columns, sizes, ufm.WeightDecay(rate, rate), level).certificate)
        yield less("unequal sizes: below the bound of equal ones", value, self.bounds(p)[0], level=level)
