r"""Garrod & Keating (2025): deep linear unconstrained-feature models. [garrod2025]"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from heapq import heappop, heappush
from typing import Any, NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.layers import layer_steps, small_decay_steps
from proofs_check.projectors import Invariant
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm.solvers import Multistart

BOXES = 400
"""Halvings of an interval of multiples that enclose the best one."""


class Depth(NamedTuple):
    """K classes, L linear layers above free features, n samples per class, the one decay."""

    classes: int
    layers: int
    n: int
    decay: float


class Block(NamedTuple):
    """Blocks of a code: how many classes each contrasts, how many such blocks, and their height in units of the code's."""

    size: int
    count: int
    height: float = 1.0


def etf(classes: int) -> tuple[Block, ...]:
    """The simplex ETF: one block, rank K - 1."""
    return (Block(classes, 1),)


def pairs(classes: int) -> tuple[Block, ...]:
    """Pairs (rank K/2), and for odd K a triple of equal margin to all other classes (rank (K + 1)/2)."""
    return (Block(2, classes // 2),) if classes % 2 == 0 else (Block(2, (classes - 3) // 2), Block(3, 1, 0.75))


def code_loss(classes: int, code: tuple[Block, ...], s: Any) -> Any:
    """Cross-entropy of a code at a multiple s, a ball.

    A block ``h s (I - 11'/m)`` has the margin ``h s`` within and ``h s (1 - 1/m)`` to other classes.
    """
    from flint import arb

    found = arb(0)
    for m, count, h in code:
        odds = (m - 1) * (-h * s).exp() + (classes - m) * (-h * s * (m - 1) / m).exp()
        found += arb(m * count) / classes * odds.log1p()
    return found


def code_price(p: Depth, code: tuple[Block, ...], s: Any, power_shift: int = 0) -> Any:
    """``(L+1)/2 lambda sum_i (sqrt(n) s_i)^{2/(L+1)}`` of a code at a multiple s, a ball; a block has m - 1 values ``h s``."""
    from flint import arb

    depth = arb(p.layers + 1 + power_shift)
    power, root = 2 / depth, arb(p.n).sqrt()
    found = sum((count * (m - 1) * (h * s * root) ** power for m, count, h in code), arb(0))
    return found * depth / 2 * arb(p.decay)


def code_value(p: Depth, code: tuple[Block, ...], power_shift: int = 0) -> Enclosure:
    """Least value among the positive multiples of a code, enclosed in balls.

    From above: the value at a multiple that floats find best. From below: over an interval of multiples s the loss
    is least at its upper and the price at its lower end; intervals are halved where this bound is lowest.
    """
    from flint import arb
    from scipy.optimize import minimize_scalar

    def loss(s: arb) -> arb:
        return code_loss(p.classes, code, s)

    def price(s: arb) -> arb:
        return code_price(p, code, s, power_shift)

    def least() -> arb:
        plain = minimize_scalar(
            lambda s: float((loss(arb(s)) + price(arb(s))).mid()),
            bounds=(1.0, 80.0),
            method="bounded",
            options={"xatol": 1e-12},
        )
        best = arb(float(plain.x))  # type: ignore[union-attr]
        above = loss(best) + price(best)
        # Beyond the last multiple the price alone is more.
        last = 1.0
        while not price(arb(last)) > above:
            last *= 2.0
        boxes = [(float((loss(arb(last)) + price(arb(0))).lower()), 0.0, last)]
        for _ in range(BOXES):
            _, low, high = heappop(boxes)
            middle = 0.5 * (low + high)
            for a, b in ((low, middle), (middle, high)):
                heappush(boxes, (float((loss(arb(b)) + price(arb(a))).lower()), a, b))
        _, low, high = boxes[0]
        return above.union((loss(arb(high)) + price(arb(low))).min(above))

    return Enclosure.ball(least)


def best_multiple(p: Depth, code: tuple[Block, ...], power_shift: int = 0) -> Enclosure:
    """The upper end of `code_value`: the value at the multiple that floats find best."""
    upper = code_value(p, code, power_shift).upper
    return Enclosure(upper * (1 - 1e-15), upper)


@cache
def best_found(p: Depth) -> ufm.Solution:
    """The best solution found, with bounds on the global optimum."""
    problem = ufm.Problem(
        ufm.balanced(p.classes, p.n), regularizer=ufm.WeightDecay(p.decay, p.decay), head=ufm.Explicit(p.layers)
    )
    return ufm.solve(problem, method=Multistart(starts=8, effort=0))


class DepthBoundary(Theorem):
    r"""With L linear layers the simplex ETF is not optimal for small decay if $L = 2$ and $K \ge 6$, or $L \ge 3$ and
    $K \ge 4$.

    *Even K*: the pair code $I_{K/2} \otimes \begin{pmatrix} 1 & -1 \\ -1 & 1 \end{pmatrix}$ has rank $K/2$ and beats the
    ETF: at small decay both need the same margin a, which costs $(K-1)\, a^p$ against $(K/2) (2a)^p$, $p = 2/(L+1)$. *Odd
    K*: pairs and one triple, of rank $(K+1)/2$, cost $\frac{K-3}{2} (2a)^p + 2 (3a/2)^p$, less for $L = 2$ and $K \ge 7$,
    and for $L \ge 3$ and $K \ge 5$. Violated optimality is a proof here: explicit parameters with a value below that of
    *every* multiple of the ETF, at one decay for each K and L. Symbolic steps prove it for all small decays: with
    $T = \log(1/\lambda)$ the least value over the multiples of a code is $c\, \lambda\, \nu\, T^p (1 + o(1))$, where
    $c\, \lambda\, \nu\, a^p$ is its price at margin a, so that prices at equal margins decide.

    At $K = 5$, $L = 2$ pairs and a triple do not beat the ETF, but a code of rank 3 that is found does, at the decay shown;
    for smaller decays nothing is claimed there. Nor is anything claimed about what is optimal instead; codes of lower rank
    than pairs can be better still ($K = 10$, $L = 3$: rank 3).
    """

    id = "G1"
    title = "through linear layers the ETF loses to codes of lower rank"
    kind = Kind.IMPOSSIBILITY
    source = cite("garrod2025", "non-optimality of deep neural collapse; boundary and odd K derived here")
    hypotheses = (
        Hypothesis(r"$K \ge 4$ classes of $n \ge 1$ samples", lambda p: p.classes >= 4 and p.n >= 1),
        Hypothesis(r"$L \ge 2$ linear layers", lambda p: p.layers >= 2),
        Hypothesis(r"a decay $\lambda > 0$", lambda p: p.decay > 0),
    )
    required = "rigorous"
    formulas = ("code_loss", "code_price", "pairs", "etf", "wins")
    golden = (Depth(10, 2, 5, 2.0**-10), 0.090662, 0.080013)
    beaten = ((5, 2),)
    """K, L at which another code than pairs is known to beat the ETF."""

    def grid(self):
        even = [(6, 2), (10, 2), (4, 3), (6, 3), (10, 3), (4, 2)]
        odd = [(7, 2), (9, 2), (5, 3), (5, 2)]
        return [Depth(k, layers, 5, 2.0**-10) for k, layers in (*even, *odd)]

    @staticmethod
    def wins(k: int, layers: int) -> bool:
        """Whether codes of lower rank are claimed to beat the ETF for small decay."""
        return layers >= 3 or k >= 6

    def check(self, instance: Depth, level: str) -> Iterator[Finding]:
        k, layers = instance.classes, instance.layers
        simplex, code = code_value(instance, etf(k)), code_value(instance, pairs(k))
        name = "pair code" if k % 2 == 0 else "pairs and a triple"
        wins = self.wins(k, layers)
        if wins:
            yield less(f"{name} below every ETF, {instance}", code, simplex, level=level)
        else:
            yield less(f"ETF below every multiple of the {name}, {instance}", simplex, code, level=level)
        solution = best_found(instance)
        plain = solution.certificate
        bounds = Enclosure.of(plain.rigorous()) if level == "rigorous" else Enclosure(plain.lower, plain.upper)
        upper = Enclosure(bounds.upper, bounds.upper)
        if wins or (k, layers) in self.beaten:
            yield less(f"explicit parameters below every ETF, {instance}", upper, simplex, level=level)
        # The certified lower bound is one on the global optimum: it must lie below everything found.
        lower = Enclosure(bounds.lower, bounds.lower)
        yield less(f"global lower bound, {instance}", lower, Enclosure(upper.upper, upper.upper), level=level)

    @staticmethod
    def near(value: float) -> Enclosure:
        return Enclosure(value * (1 - 1e-10), value * (1 + 1e-10))

    def steps(self):
        import sympy as sp

        yield from layer_steps()
        yield from small_decay_steps()
        k, s, m, less = sp.symbols("K s m l", positive=True)
        block = Invariant(s, 0, m)
        own, other = block.entries
        yield (
            r"a block $s (I - \frac1m \mathbf{1} \mathbf{1}^\top)$ has $m - 1$ singular values s, the margin s within and "
            r"$s (1 - 1/m)$ to other classes",
            sp.simplify(own - other - s) == 0
            and sp.simplify(own - s * (1 - 1 / m)) == 0
            and sp.simplify(m * own - (m - 1) * s) == 0,
        )
        # At margin 1: the ETF, one block, has s = 1; pairs s = 2, a triple s = 3/2.
        heights = [sp.solve(sp.Eq(own.subs(m, size), 1), s)[0] for size in (2, 3)]
        yield r"at margin 1 pairs have $s = 2$ and the triple $s = 3/2$", heights == [2, sp.Rational(3, 2)]
        layers = 2 + less  # l >= 0; at l = 0 by continuity
        power = 2 / (layers + 1)
        two, three = sp.symbols("p_2 p_3", positive=True)
        even, odd = (k - 1) - k / 2 * two, (k - 1) - (k - 3) / 2 * two - 2 * three
        powers = {base: height**power for base, height in zip((two, three), heights, strict=True)}
        yield (
            r"$p = 2/(L+1)$: $2^p$ and $(3/2)^p$ fall as L grows",
            all(sp.diff(base, less).is_negative is True for base in powers.values()),
        )
        for name, gap, wins, loses in (
            (r"pairs, $(K-1) - \frac K2 2^p$", even, ((6, 2), (4, 3)), ((4, 2),)),
            (r"pairs and a triple, $(K-1) - \frac{K-3}{2} 2^p - 2 (3/2)^p$", odd, ((7, 2), (5, 3)), ((5, 2),)),
        ):
            parts = [sp.diff(gap, base) for base in sorted(gap.free_symbols - {k}, key=str)]
            yield (
                f"{name}: the ETF's price less theirs grows with L for $K > 3$",
                all(sp.expand(part.subs(k, 3 + m)).is_negative is True for part in parts),
            )
            slope = sp.diff(gap, k).subs(powers)
            yield "and with K", sp.N(slope.subs(less, 0), 30) > 0 and sp.diff(slope, less).is_positive is True
            for classes, depth in wins:
                value = gap.subs(powers).subs({k: classes, less: depth - 2})
                yield f"it is positive at $K = {classes}$, $L = {depth}$, so from there on", sp.N(value, 30) > sp.Float("1e-20")
            for classes, depth in loses:
                value = gap.subs(powers).subs({k: classes, less: depth - 2})
                yield f"and negative at $K = {classes}$, $L = {depth}$", sp.N(value, 30) < -sp.Float("1e-20")

    def control(self, level: str):
        p = Depth(10, 2, 5, 2.0**-10)
        yield less("ETF below the pair code at K=10, L=2", code_value(p, etf(10)), code_value(p, pairs(10)), level=level)
        # The boundary without parity: at K = 5, L = 2 pairs and a triple do not beat the ETF.
        q = Depth(5, 2, 5, 2.0**-10)
        yield less("pairs and a triple below the ETF at K=5, L=2", code_value(q, pairs(5)), code_value(q, etf(5)), level=level)
        codes = {c.name: c.value for c in best_found(p).candidates}
        wrong = best_multiple(p, etf(10), power_shift=1)
        yield equal("power 2/(L+2) in place of 2/(L+1)", wrong, self.near(codes["etf code"]), tolerance=1e-9, level="numeric")

    def twin(self, level: str):
        p = Depth(6, 2, 5, 2.0**-10)
        base = best_found(p)
        # s = sqrt(n) x: four times the samples double s, the price grows by 2^{2/(L+1)}.
        copies = best_found(Depth(6, 2, 20, 2.0**-10 / 2 ** (2 / 3)))
        yield equal(
            "samples four times, decay rescaled", self.near(base.value), self.near(copies.value), tolerance=1e-8, level="float"
        )
        for q in (Depth(10, 2, 5, 2.0**-10), Depth(4, 3, 5, 2.0**-10)):
            codes = {c.name: c.value for c in best_found(q).candidates}
            for name, code in (("etf code", etf(q.classes)), ("pair code", pairs(q.classes))):
                found = self.near(codes[name])
                yield equal(f"{name} by the search, {q}", best_multiple(q, code), found, tolerance=1e-9, level="numeric")
        exact, problem = base.value, base.problem
        own = problem.objective(base.parameters)
        yield equal("value at the explicit W, V, H", self.near(exact), self.near(own), tolerance=1e-9, level="float")

    def outside(self, level: str):
        from flint import arb

        # One layer: convex, and the ETF is optimal (Z2).
        problem = ufm.Problem(ufm.balanced(10, 5), regularizer=ufm.WeightDecay(2.0**-10, 2.0**-10))
        found = ufm.solve(problem, level=level)
        contrast = found.factors.contrast[0]
        yield decided(
            "L = 1: an ETF", "yes", "yes" if contrast > 0 and not found.factors.left.any() else "no", margin=1.0, level="float"
        )
        # Large decay: everything is zero, so no code is better.
        heavy = best_found(Depth(6, 2, 5, 0.3))
        zero = Enclosure.ball(lambda: arb(6).log())
        yield equal("large decay: the value is log K, at zero", zero, self.near(heavy.value), tolerance=1e-9, level="float")
