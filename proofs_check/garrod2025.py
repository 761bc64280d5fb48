r"""Garrod & Keating (2025): deep linear unconstrained-feature models. [garrod2025]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.registry import Kind, Theorem, theorem
from ufm.solvers import Multistart


class Depth(NamedTuple):
    """K classes, L linear layers above free features, n samples per class, the one decay."""

    classes: int
    layers: int
    n: int
    decay: float


def code_value(p: Depth, rank: int, power_shift: int = 0) -> Enclosure:
    """Best multiple of the simplex ETF (rank K - 1) or of the pair code (rank K/2), in balls at a float's best scale.

    Both have ``rank`` equal singular values s. The ETF's margin is ``s / sqrt n`` over K - 1 classes; the pair code's is s
    over the partner and ``s/2`` over K - 2 classes.
    """
    from scipy.optimize import minimize_scalar

    depth = p.layers + 1 + power_shift

    def plain(s: float) -> float:
        from math import exp, log1p

        k = p.classes
        odds = (k - 1) * exp(-s) if rank == k - 1 else exp(-s) + (k - 2) * exp(-s / 2)
        return log1p(odds) + rank * 0.5 * depth * p.decay * (s * p.n**0.5) ** (2 / depth)

    best = minimize_scalar(plain, bounds=(1.0, 80.0), method="bounded", options={"xatol": 1e-12})["x"]  # type: ignore[index]

    def value():
        from flint import arb

        k, s = p.classes, arb(float(best))
        odds = (k - 1) * (-s).exp() if rank == k - 1 else (-s).exp() + (k - 2) * (-s / 2).exp()
        return odds.log1p() + rank * arb(depth) / 2 * arb(p.decay) * (s * arb(p.n).sqrt()) ** (2 / arb(depth))

    return Enclosure.ball(value)


def best_found(p: Depth, level: str) -> ufm.Solution:
    """The best solution found, with bounds on the global optimum."""
    problem = ufm.Problem(
        ufm.balanced(p.classes, p.n), regularizer=ufm.WeightDecay(p.decay, p.decay), head=ufm.Explicit(p.layers)
    )
    return ufm.solve(problem, method=Multistart(starts=8, effort=30), level=level)


@theorem
class DepthBoundary(Theorem):
    r"""With L linear layers the simplex ETF is not optimal for small decay if K >= 6, L = 2, or K >= 4, L >= 3.

    The pair code ``I (x) [[1, -1], [-1, 1]]`` has rank K/2 and beats it: at small decay both need the same margin, which
    costs ``(K-1) a^p`` against ``(K/2) (2a)^p``, ``p = 2/(L+1)``. Violated optimality is a proof here: explicit parameters
    with a value below that of *every* multiple of the ETF. Nothing is claimed about what is optimal instead; codes of
    lower rank than the pair code can be better still (K = 10, L = 3: rank 3).
    """

    id = "G1"
    title = "through linear layers the ETF loses to codes of lower rank"
    kind = Kind.TIGHT
    source = cite("garrod2025", "non-optimality of deep neural collapse; boundary derived here")
    golden = (Depth(10, 2, 5, 2.0**-10), 0.090662, 0.080013)

    def grid(self):
        pairs = [(6, 2), (10, 2), (4, 3), (6, 3), (10, 3), (4, 2)]
        return [Depth(k, layers, 5, 2.0**-10) for k, layers in pairs]

    def check(self, instance: Depth, level: str) -> Iterator[Finding]:
        k = instance.classes
        etf, pair = code_value(instance, k - 1), code_value(instance, k // 2)
        solution = best_found(instance, level)
        upper = Enclosure(solution.certificate.upper, solution.certificate.upper)
        depth = ufm.pair_depth(k)
        if depth is not None and instance.layers >= depth:
            yield less(f"pair code below the ETF, {instance}", pair, etf, level="float")
            yield less(f"explicit parameters below the ETF, {instance}", upper, etf, level="float")
        else:
            yield less(f"ETF below the pair code, {instance}", etf, pair, level="float")
        codes = {c.name: c.value for c in solution.candidates}
        yield equal(f"ETF, {instance}", etf, self.near(codes["etf code"]), tolerance=1e-9, level="float")
        yield equal(f"pair code, {instance}", pair, self.near(codes["pair code"]), tolerance=1e-9, level="float")
        # The certified lower bound is one on the global optimum: it must lie below everything found.
        lower = Enclosure(solution.certificate.lower, solution.certificate.lower)
        yield less(f"global lower bound, {instance}", lower, Enclosure(upper.upper, upper.upper), level=level)

    @staticmethod
    def near(value: float) -> Enclosure:
        return Enclosure(value * (1 - 1e-10), value * (1 + 1e-10))

    def steps(self):
        import sympy as sp

        k, layers = sp.symbols("K L", positive=True)
        gap = 2 * (k - 1) - k * 2 ** (2 / (layers + 1))
        for classes, depth, wins in ((4, 2, False), (6, 2, True), (4, 3, True), (10, 2, True), (2, 9, False)):
            sign = sp.N(gap.subs({k: classes, layers: depth}), 30) > 0
            yield f"pairs {'win' if wins else 'lose'} at K={classes}, L={depth} for small decay", bool(sign) == wins
        s, t = sp.symbols("s t", positive=True)
        pair = sp.Matrix([[s / 2, -s / 2], [-s / 2, s / 2]])
        yield "the pair code's block has one singular value s", sorted(pair.eigenvals()) == [0, s]
        yield "its margins are s and s/2", (sp.Matrix([[1, -1]]) * pair)[0] == s and pair[0, 0] == s / 2
        etf = t * (sp.eye(4) - sp.ones(4, 4) / 4)
        yield "the ETF's singular values equal its margin", sp.simplify((sp.Matrix([[1, -1, 0, 0]]) * etf)[0] - t) == 0

    def control(self, level: str):
        p = Depth(10, 2, 5, 2.0**-10)
        etf, pair = code_value(p, 9), code_value(p, 5)
        yield less("ETF below the pair code at K=10, L=2", etf, pair, level=level)
        wrong = code_value(p, 9, power_shift=1)
        codes = {c.name: c.value for c in best_found(p, "float").candidates}
        yield equal("power 2/(L+2) in place of 2/(L+1)", wrong, self.near(codes["etf code"]), tolerance=1e-9, level="float")

    def twin(self, level: str):
        p = Depth(6, 2, 5, 2.0**-10)
        base = best_found(p, "float")
        # s = sqrt(n) x: four times the samples double s, the price grows by 2^{2/(L+1)}.
        copies = best_found(Depth(6, 2, 20, 2.0**-10 / 2 ** (2 / 3)), "float")
        yield equal(
            "samples four times, decay rescaled", self.near(base.value), self.near(copies.value), tolerance=1e-8, level="float"
        )
        exact, problem = base.value, base.problem
        own = problem.objective(base.parameters)
        yield equal("value at the explicit W, V, H", self.near(exact), self.near(own), tolerance=1e-9, level="float")

    def outside(self, level: str):
        # One layer: convex, and the ETF is optimal (Z2).
        problem = ufm.Problem(ufm.balanced(10, 5), regularizer=ufm.WeightDecay(2.0**-10, 2.0**-10))
        found = ufm.solve(problem, level=level)
        contrast = found.factors.contrast[0]
        yield decided(
            "L = 1: an ETF", "yes", "yes" if contrast > 0 and not found.factors.left.any() else "no", margin=1.0, level="float"
        )
        # Large decay: everything is zero, so no code is better.
        heavy = best_found(Depth(6, 2, 5, 0.3), "float")
        zero = Enclosure(1.791759469228055, 1.791759469228056)
        yield equal("large decay: the value is log K, at zero", zero, self.near(heavy.value), tolerance=1e-9, level="float")
