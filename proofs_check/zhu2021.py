r"""Zhu et al. (2021): balanced cross-entropy with weight decay. [zhu2021]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.lemmas import averaging_steps, balanced_steps, centring_steps, gibbs_steps, price_steps
from proofs_check.projectors import Invariant, algebra_steps, letters, reduced
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._balls import outward
from ufm.analysis.enclosures import enclose_logits
from ufm.solvers import Multistart
from ufm.solvers.nonconvex.codes import best_scale, names


class Balanced(NamedTuple):
    """K classes of n samples, decays."""

    classes: int
    n: int
    weight: float
    features: float


def solved(p: Balanced, level: str) -> ufm.Solution:
    """The unconstrained-feature model on balanced classes."""
    return ufm.solve(ufm.Problem(ufm.balanced(p.classes, p.n), regularizer=ufm.WeightDecay(p.weight, p.features)), level=level)


def closed_form(p: Balanced, shift: int = 1):
    """Balls for a and the value; ``shift = 1`` is the claim."""
    from flint import arb

    k = p.classes
    cost = arb(p.n).sqrt() * (arb(p.weight) * arb(p.features)).sqrt()
    inside = 1 / cost - shift * (k - 1)
    a = inside.log() if k * cost < 1 else arb(0)
    return a, ((-a).exp() * (k - 1)).log1p() + cost * (k - 1) * a


class ClosedForm(Theorem):
    r"""Balanced weight decay: the optimum is $Z = a S$ with $a = \log\left(1/(\sqrt{n}\, \mu) - (K-1)\right)$ if
    $K \sqrt{n}\, \mu < 1$ and $a = 0$ otherwise; its value is $\log\left(1 + (K-1) e^{-a}\right) + \sqrt{n}\, \mu (K-1) a$.

    Features and classifiers are parallel, $h_k = \sqrt{\lambda_W / (\lambda_H n)}\, w_k$. In particular from
    $K \sqrt{n}\, \mu = 1$ on everything is zero.

    Proof here: the probabilities P of $a\, S$ make $P - I$ a multiple of S, a dual point that is feasible and leaves no gap
    (weak duality: `proofs_check.tables`). Equality in it forces P on every optimum, whose columns are then those of $a\, S$ up
    to constants, and centring lowers the price. Equality in the price makes features parallel to classifiers.
    """

    id = "Z2"
    title = "closed form on balanced classes with weight decay"
    kind = Kind.TIGHT
    source = cite("zhu2021", "global minimisers; value derived here")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of equal size", lambda p: p.classes >= 2),
        Hypothesis(r"$n \ge 1$ samples in each class", lambda p: p.n >= 1),
        Hypothesis(r"decays $\lambda_W, \lambda_H > 0$", lambda p: p.weight > 0 and p.features > 0),
    )
    required = "rigorous"
    formulas = ("closed_form", "check")

    def grid(self):
        return [
            Balanced(10, 20, 5e-3, 5e-3),
            Balanced(10, 50, 5e-3, 5e-3),
            Balanced(2, 5, 1e-3, 1e-2),
            Balanced(100, 13, 1e-4, 2e-4),
            Balanced(1000, 500, 1e-6, 1e-6),
            Balanced(10, 400, 5e-3, 5.1e-3),
            Balanced(10, 400, 4.9e-3, 4.9e-3),
        ]

    def more(self):
        return [Balanced(k, n, mu, mu) for k in (3, 17, 200) for n in (1, 64) for mu in (1e-5, 1e-4)]

    def check(self, instance: Balanced, level: str) -> Iterator[Finding]:
        solution = solved(instance, level)
        found = Enclosure.of(solution.certificate)
        value = Enclosure.ball(lambda: closed_form(instance)[1])
        yield equal(f"value, {instance}", value, found, tolerance=1e-10, level=level)
        height = Enclosure.ball(lambda: closed_form(instance)[0])
        contrast = Enclosure(*outward(enclose_logits(solution).contrasts[0]))
        if height.upper > 0:
            yield equal(f"logit contrast, {instance}", height, contrast, tolerance=1e-3, level=level)
        else:
            verdict = ufm.collapse(solution)
            yield decided(f"all zero, {instance}", "yes", verdict.verdict, margin=1e-6 - verdict.upper, level=level)

    def steps(self):
        import sympy as sp

        yield from averaging_steps()
        yield from price_steps()
        yield from algebra_steps()
        yield from gibbs_steps()
        yield from balanced_steps()
        yield from centring_steps()
        a, k, n, mu = sp.symbols("a K n mu", positive=True)
        q = (k - 1) * sp.sqrt(n) * mu
        at = sp.log(1 / (sp.sqrt(n) * mu) - (k - 1))
        yield (
            r"a is $\log\left(1/(\sqrt{n}\, \mu) - (K-1)\right)$",
            sp.simplify(sp.exp(at) - (k - 1) * (1 - q) / q) == 0,
        )
        value = sp.log(1 + (k - 1) * sp.exp(-a)) + sp.sqrt(n) * mu * (k - 1) * a
        loss = sp.log(k - 1 + sp.exp(a)) - a / k - Invariant(1, 1, k).inner(Invariant(a, 0, k)) / k
        price = mu * Invariant(sp.sqrt(n) * a, 0, k).trace
        odds = sp.simplify(sp.exp(loss) - 1 - (k - 1) * sp.exp(-a)) == 0
        yield (
            "and the objective there is the value",
            odds and sp.simplify(value - sp.log(1 + (k - 1) * sp.exp(-a)) - price) == 0,
        )
        w, lw, lh = sp.symbols("w lambda_W lambda_H", positive=True)
        h = sp.sqrt(lw / (lh * n)) * w
        yield (
            r"equality in the price, $\sqrt{\lambda_W}\, W = \sqrt{\lambda_H n}\, H^\top$ as $U = C$: "
            r"$h_k = \sqrt{\lambda_W / (\lambda_H n)}\, w_k$",
            sp.simplify(sp.sqrt(lw) * w - sp.sqrt(lh * n) * h) == 0,
        )

    def control(self, level: str):
        p = Balanced(10, 20, 5e-3, 5e-3)
        found = Enclosure.of(solved(p, level).certificate)
        wrong = Enclosure.ball(lambda: closed_form(p, shift=0)[1])
        yield equal("a without the term K - 1", wrong, found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        base = Enclosure.of(solved(Balanced(10, 20, 5e-3, 5e-3), level).certificate)
        copies = Enclosure.of(solved(Balanced(10, 80, 2.5e-3, 2.5e-3), level).certificate)
        split = Enclosure.of(solved(Balanced(10, 20, 2.5e-3, 1e-2), level).certificate)
        yield equal("every sample four times, decays halved", base, copies, tolerance=1e-10, level=level)
        yield equal("decay moved from W to H", base, split, tolerance=1e-10, level=level)

    def outside(self, level: str):
        solution = ufm.solve(ufm.Problem([40] * 5 + [10] * 5, regularizer=ufm.WeightDecay(5e-3, 5e-3)), level=level)
        large, small = (Enclosure(*outward(x)) for x in enclose_logits(solution).contrasts)
        yield less("unequal classes: the contrasts differ, so Z is not a multiple of S", small, large, level=level)


class Landscape(NamedTuple):
    """K classes of n samples, dimension, the one decay, number of seeds."""

    classes: int
    n: int
    dim: int
    decay: float
    seeds: int


def planted(problem: ufm.Problem) -> Iterator[tuple[str, ufm.Parameters]]:
    """Critical points that are no minima: zero, and the best multiples of codes (stationary by their symmetry)."""
    program = problem.program().split()
    dim, classes = problem.width, program.classes
    yield "zero", ufm.Parameters(np.zeros((classes, dim)), np.zeros((dim, classes)))
    for name, code in names(classes):
        if name != "etf":
            point = best_scale(program, code)[1]
            yield f"{name} code", problem.parameters(program, program.factors(point))


class BenignLandscape(Theorem):
    r"""Balanced cross-entropy with decay and $d > K$: every critical point is a global minimiser or a strict saddle.

    Checked from both sides: plain gradient descent from random starts ends nowhere but at a certified global minimiser, and
    planted critical points that are not minimisers have a direction of negative curvature, its Rayleigh quotient enclosed.

    Proof here, for every convex differentiable loss f of the logits, with slopes G at a critical point: if
    $\lVert G \rVert_2 \le \mu$, convexity makes it a global minimiser. If not, the classifier and the features leave a
    direction a of the feature space unused, as $d > K$, and along $W + \varepsilon \alpha\, u a^\top$,
    $H + \varepsilon \beta\, a v^\top$, with $u^\top G v = \lVert G \rVert_2$, the objective has a negative second derivative.
    """

    id = "Z1"
    title = "only global minimisers and strict saddles"
    kind = Kind.IMPOSSIBILITY
    source = cite("zhu2021", "theorem on the benign landscape")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of equal size", lambda p: p.classes >= 2),
        Hypothesis(r"$d > K$", lambda p: p.dim > p.classes),
        Hypothesis(r"equal decays $\lambda > 0$", lambda p: p.decay > 0),
        Hypothesis(r"$n \ge 1$ samples in each class", lambda p: p.n >= 1),
    )
    required = "float"
    formulas = ("saddle",)

    def grid(self):
        return [Landscape(4, 5, 6, 1e-2, 50), Landscape(6, 2, 7, 2e-2, 10)]

    @staticmethod
    def problem(p: Landscape) -> ufm.Problem:
        return ufm.Problem(ufm.balanced(p.classes, p.n), regularizer=ufm.WeightDecay(p.decay, p.decay), dim=p.dim)

    def check(self, instance: Landscape, level: str) -> Iterator[Finding]:
        problem = self.problem(instance)
        found = ufm.landscape(problem, starts=instance.seeds, tolerance=1e-7)
        count = found.kinds["global minimiser"]
        verdict = "yes" if count == instance.seeds else "no"
        worst = max(point.gap / point.value for point in found.points)
        what = f"gradient descent from {instance.seeds} seeds: {count} certified global minimisers, {instance}"
        yield decided(what, "yes", verdict, margin=1e-7 - worst, level="float")
        for name, point in planted(problem):
            yield self.saddle(problem, name, point)

    def steps(self):
        import sympy as sp

        yield from price_steps()
        w, wt, h, ht, g = letters("W Wt H Ht G")
        lw, lh, norm, eps, inner = sp.symbols("lambda_W lambda_H g epsilon p", positive=True)
        critical = wt * (g * ht + lw * w) - (wt * g + lh * h) * ht
        yield (
            r"critical points, $G H^\top + \lambda_W W = 0$ and $W^\top G + \lambda_H H = 0$, are balanced: "
            r"$\lambda_W W^\top W = \lambda_H H H^\top$",
            sp.expand(critical - (lw * wt * w - lh * h * ht)) == 0,
        )
        # |W|^2 = -<G, W H>/lw and |H|^2 = -<G, W H>/lh, with p = -<G, W H>.
        yield (
            r"and their decays add up to $-\langle G, W H \rangle$",
            sp.simplify(lw * (inner / lw) / 2 + lh * (inner / lh) / 2 - inner) == 0,
        )
        loss, other, nuclear, mu = sp.symbols("f q s mu", positive=True)  # q = <G, Z'>, s the nuclear norm of any Z'
        tangent = loss + (other + inner) + mu * nuclear
        yield (
            r"$\lVert G \rVert_2 \le \mu$: any other $(W', H')$ has at least "
            r"$f + \langle G, Z' - Z \rangle + \mu \lVert Z' \rVert_*$ (convexity), at least $f - \langle G, Z \rangle$ "
            r"(duality of the norms): a global minimiser",
            sp.expand(tangent - (loss + inner) - (other + mu * nuclear)) == 0,
        )
        u, a, at, vt = letters("u a at vt")
        x, y = sp.symbols("alpha beta", real=True)
        rules = {(w, a): 0, (at, h): 0, (at, a): 1}
        moved = reduced((w + eps * x * u * at) * (h + eps * y * a * vt), rules)
        yield (
            r"otherwise take a unit vector a with $W a = 0$, there is one as $\mathrm{rank}\, W \le K < d$ "
            r"(rank-nullity theorem); then $H^\top a = 0$, and logits move by $\varepsilon^2 \alpha \beta\, u v^\top$ only",
            sp.expand(moved - w * h - eps**2 * x * y * u * vt) == 0,
        )
        ut, v = letters("ut v")
        away = rules | {(ut, u): 1, (vt, v): 1}
        weights = reduced((wt + eps * x * a * ut) * (w + eps * x * u * at), away)
        crossed = sp.expand(weights - wt * w - eps**2 * x**2 * a * at - eps * x * (wt * u * at + a * ut * w))
        yield (
            r"the decay grows by $\frac{\varepsilon^2}{2} (\lambda_W \alpha^2 + \lambda_H \beta^2)$: crossed terms "
            r"have the trace of $W a u^\top$, zero",
            crossed == 0 and reduced(w * a * ut, away) == 0,
        )
        scale = (lh / lw) ** sp.Rational(1, 4)
        change = (x * y * norm + lw * x**2 / 2 + lh * y**2 / 2).subs({x: scale, y: -1 / scale})
        yield (
            r"for $\alpha = -1/\beta = (\lambda_H/\lambda_W)^{1/4}$ the objective changes by "
            r"$\varepsilon^2 (\mu - \lVert G \rVert_2) + o(\varepsilon^2)$: a strict saddle",
            sp.simplify(change - (sp.sqrt(lw * lh) - norm)) == 0,
        )

    @staticmethod
    def saddle(problem: ufm.Problem, name: str, point: ufm.Parameters) -> Finding:
        found = ufm.classify(problem, point.weight, point.features)
        assert found.curvature is not None
        what = f"{name} (gradient {found.slope:.0e}): Rayleigh quotient below zero, {problem.counts}"
        return less(what, Enclosure(*found.curvature), Enclosure(0.0, 0.0), level="float")

    def control(self, level: str):
        # The same test must not call the minimiser a saddle, nor a saddle a minimiser.
        problem = self.problem(self.grid()[0])
        best = ufm.solve(problem).parameters
        lowest = float(ufm.hessian_eigenvalues(problem, best.weight, best.features)[0])
        at_best = Enclosure(lowest - 1e-12, lowest + 1e-9)
        yield less("negative curvature -1e-6 at the ETF", at_best, Enclosure(-1e-6, -1e-6), level="float")
        name, point = next(planted(problem))
        kind = ufm.classify(problem, point.weight, point.features).kind
        verdict = "yes" if kind == "global minimiser" else "no"
        yield decided(f"{name} is a global minimiser", "yes", verdict, margin=1.0, level="float")

    def twin(self, level: str):
        problem = self.problem(self.grid()[0])
        turn = np.linalg.qr(np.random.default_rng(5).standard_normal((6, 6)))[0]
        point = dict(planted(problem))["pair code"]
        a = ufm.classify(problem, point.weight, point.features)
        b = ufm.classify(problem, point.weight @ turn.T, turn @ point.features)
        assert a.curvature is not None
        assert b.curvature is not None
        yield equal("features rotated", Enclosure(*a.curvature), Enclosure(*b.curvature), tolerance=1e-6, level="float")

    def outside(self, level: str):
        # d < K - 1: descent ends at points that the wide bound does not certify.
        narrow = ufm.Problem(ufm.balanced(6, 2), regularizer=ufm.WeightDecay(2e-2, 2e-2), dim=2)
        found = ufm.landscape(narrow, starts=2, max_iterations=3000)
        verdict = "no" if found.kinds["global minimiser"] == 0 else "yes"
        yield decided("d = 2 < K - 1: no end is certified as global", "no", verdict, margin=1.0, level="float")
        # Linear layers: the ETF and the pair code are both stationary, and the ETF is not a global minimiser (G1).
        deep = ufm.Problem(ufm.balanced(10, 5), regularizer=ufm.WeightDecay(2.0**-10, 2.0**-10), head=ufm.Explicit(2))
        solution = ufm.solve(deep, method=Multistart(starts=4, effort=0))
        etf = next(c.value for c in solution.candidates if c.name == "etf code")
        upper = Enclosure(solution.certificate.upper, solution.certificate.upper)
        yield less("two linear layers: the ETF is stationary, not global", upper, Enclosure(etf, etf), level="float")
