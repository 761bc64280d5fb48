r"""Fang, He, Long & Su (PNAS 2021): the layer-peeled model with norm budgets. [fang2021]

Setting: ``min (1/N) sum_i CE(W h_i)`` over ``|W|_F^2 <= K E_W`` and ``sum_k (1/n_k) sum_i |h_ki|^2 <= K E_H``, with
``c = sqrt(E_W E_H)`` and feature dimension ``d >= K - 1`` (the paper assumes d >= K).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from typing import Any, NamedTuple

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less, rests_on
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._balls import outward
from ufm.analysis.enclosures import enclose_logits
from ufm.solvers import Convex, Factored


def solved(counts: Any, e_w: float, e_h: float, level: str, **options: Any) -> ufm.Solution:
    """The layer-peeled model at those budgets."""
    return ufm.solve(ufm.Problem(counts, regularizer=ufm.NormBudget(e_w, e_h), **options), level=level)


class Balanced(NamedTuple):
    """K classes, budgets E_W, E_H."""

    classes: int
    e_w: float
    e_h: float


def etf_value(classes: int, e_w: float, e_h: float, factor: float = 1.0) -> Enclosure:
    """``log(1 + (K-1) exp(-factor K c / (K-1)))``."""

    def formula():
        from flint import arb

        c = (arb(e_w) * arb(e_h)).sqrt()
        return ((-arb(factor) * classes * c / (classes - 1)).exp() * (classes - 1)).log1p()

    return Enclosure.ball(formula)


def etf_contrast(classes: int, e_w: float, e_h: float) -> Enclosure:
    """Own logit minus another one, ``K c / (K-1)``."""

    def formula():
        from flint import arb

        return (arb(e_w) * arb(e_h)).sqrt() * classes / (classes - 1)

    return Enclosure.ball(formula)


class BalancedETF(Theorem):
    r"""Balanced classes, $d \ge K - 1$, norm budgets with $c = \sqrt{E_W E_H}$: every optimum is a self-dual simplex ETF,
    with value $\log\left(1 + (K-1)\, e^{-K c/(K-1)}\right)$ and logit contrast $K c/(K-1)$.

    Proof here: the optimum over logits is unique up to column shifts (strict convexity), hence invariant under class
    permutations, hence $Z = a S$ with $S = I - \frac{1}{K} \mathbf{1}\mathbf{1}^\top$;
    $\lVert a S \rVert_* = a (K-1) = K c$ fixes a. Balanced factors of $a S$ are $W W^\top = H^\top H = a S$ up to scale.
    """

    id = "F1"
    title = "balanced classes end in a self-dual simplex ETF"
    kind = Kind.TIGHT
    source = cite("fang2021", "theorem on the balanced case")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of equal size", lambda p: p.classes >= 2),
        Hypothesis(r"budgets $E_W, E_H > 0$", lambda p: p.e_w > 0 and p.e_h > 0),
    )
    required = "rigorous"
    formulas = ("etf_value", "etf_contrast")
    open_steps = (
        "that no other optimum exists: uniqueness over logits (strict convexity), of the factors, and collapse within classes"
    )

    def grid(self):
        return [Balanced(k, w, h) for k in (2, 3, 10, 100) for w, h in ((1.0, 5.0), (0.5, 2.0))]

    def more(self):
        return [Balanced(k, w, h) for k in (4, 7, 30, 1000) for w, h in ((1.0, 0.5), (2.0, 20.0))]

    def check(self, instance: Balanced, level: str) -> Iterator[Finding]:
        k, w, h = instance
        solution = solved(ufm.balanced(k, 7), w, h, level)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {instance}", etf_value(k, w, h), found, tolerance=1e-10, level=level)
        height = Enclosure(*outward(enclose_logits(solution).contrasts[0]))
        yield equal(f"logit contrast, {instance}", etf_contrast(k, w, h), height, tolerance=1e-4, level=level)

    def steps(self):
        import sympy as sp

        a, k, c = sp.symbols("a K c", positive=True)
        size = sp.solve(sp.Eq(a * (k - 1), k * c), a)[0]
        loss = sp.log(sp.exp(a * (1 - 1 / k)) + (k - 1) * sp.exp(-a / k)) - a * (1 - 1 / k)
        claim = sp.log(1 + (k - 1) * sp.exp(-k * c / (k - 1)))
        difference = sp.simplify(sp.exp(loss.subs(a, size)) - sp.exp(claim))
        yield "$a (K-1) = K c$ gives the value", difference == 0
        kappa = k / (k - 1 + sp.exp(a))
        own = sp.exp(a) / (sp.exp(a) + k - 1)
        yield (
            r"softmax of $a S$ is $I - \kappa S$, $\kappa = K/(K - 1 + e^a)$",
            (sp.simplify(own - 1 + kappa * (1 - 1 / k)) == 0 and sp.simplify((1 - own) / (k - 1) - kappa / k) == 0),
        )
        # G = -kappa/K S with the projector S of trace K - 1; f(Z) >= f(aS) + <G, Z - aS> >= f(aS) - <G, aS> - K c |G|_2.
        closed = -kappa / k * a * (k - 1) + k * c * kappa / k
        yield (
            r"optimal for every K: $\langle G, a S \rangle + K c \lVert G \rVert_2 = 0$",
            sp.simplify(closed.subs(a, size)) == 0,
        )
        simplex = sp.Symbol("S", commutative=False)
        half = sp.sqrt(a) * simplex
        product = sp.expand(half * half).subs(simplex**2, simplex)
        yield (
            r"self-duality for every K: $W = H^\top = \sqrt{a}\, S$ factors $a S$, at the cost $\lVert a S \rVert_*$",
            sp.simplify(product - a * simplex) == 0 and sp.simplify(a * (k - 1) - (k - 1) * sp.sqrt(a) ** 2) == 0,
        )

    def control(self, level: str):
        k, w, h = 10, 1.0, 5.0
        found = Enclosure.of(solved(ufm.balanced(k, 7), w, h, level).certificate)
        yield equal("exponent c in place of K c/(K-1)", etf_value(k, w, h, 1 - 1 / k), found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        once = Enclosure.of(solved(ufm.balanced(10, 7), 1.0, 5.0, level).certificate)
        many = Enclosure.of(solved(ufm.balanced(10, 21), 1.0, 5.0, level).certificate)
        yield equal("every sample three times", once, many, tolerance=1e-10, level=level)
        full = ufm.solve(ufm.Problem(ufm.balanced(10, 7), regularizer=ufm.NormBudget(5.0, 1.0)), method="factored", level=level)
        dense = Enclosure.of(full.certificate)
        yield equal("K x K program without symmetry, budgets of W and H exchanged", once, dense, tolerance=1e-9, level=level)

    def outside(self, level: str):
        # Solved with fewer dimensions than a simplex needs: what was found stays above the claimed value.
        problem = ufm.Problem(ufm.balanced(6, 3), regularizer=ufm.NormBudget(1.0, 5.0), dim=3)
        found = ufm.solve(problem, method=Factored(starts=4))
        value = Enclosure(found.value, found.value)
        yield less("d = 3 < K - 1 = 5: best found lies above the ETF's value", etf_value(6, 1, 5), value, level="numeric")


class Imbalanced(NamedTuple):
    """Class sizes, budgets."""

    counts: str
    e_w: float
    e_h: float


class Relaxation(Theorem):
    r"""The semidefinite relaxation is exact for wide models and equals the nuclear-norm program: over positive semidefinite
    $X = \begin{pmatrix} A & Z \\ Z^\top & B \end{pmatrix}$ with $\operatorname{tr} A \le K E_W$ and
    $\operatorname{tr} B \le K E_H$ the logits Z are those with $\lVert Z \rVert_* \le K c$.

    A feasible X gives a feasible Z. Conversely the balanced factors of Z give such an X, and factors W, H. Checked on the
    logits that a semidefinite solver returns: their certified bounds must meet those of the nuclear-norm program.
    """

    id = "F2"
    title = "the semidefinite relaxation is exact"
    kind = Kind.IDENTITY
    source = cite("fang2021", "convex relaxation")
    hypotheses = (
        Hypothesis(r"budgets $E_W, E_H > 0$", lambda p: p.e_w > 0 and p.e_h > 0),
        Hypothesis(r"positive class sizes, $K \ge 2$", lambda p: ufm.ClassCounts.parse(p.counts).classes >= 2),
    )
    required = "rigorous"
    formulas = ("check",)
    open_steps = (
        "from the 2 x 2 minors to the nuclear norm of a whole matrix (duality of the norms), and the factors of a rectangular Z"
    )

    def grid(self):
        return [Imbalanced("7*4", 1.0, 5.0), Imbalanced("30*2,5*3", 1.0, 2.0), Imbalanced("9,4,4,1", 0.5, 3.0)]

    def check(self, instance: Imbalanced, level: str) -> Iterator[Finding]:
        counts = ufm.ClassCounts.parse(instance.counts)
        certified = Enclosure.of(solved(counts, instance.e_w, instance.e_h, level).certificate)
        problem = ufm.Problem(counts, regularizer=ufm.NormBudget(instance.e_w, instance.e_h))
        relaxed = ufm.solve(problem, method=Convex(profile="scs-1e-9", formulation="sdp"), level=level)
        found = Enclosure.of(relaxed.certificate)
        yield equal(f"SDP against nuclear norm, {instance.counts}", certified, found, tolerance=1e-5, level=level)

    def steps(self):
        import sympy as sp

        w, h, s = sp.symbols("w h s", positive=True)
        yield (
            r"minors of size 2: $w h \ge s^2$ implies $(w + h)/2 \ge s$",
            sp.simplify((w + h) ** 2 / 4 - w * h - (w - h) ** 2 / 4) == 0,
        )
        yield "balanced factors attain it", sp.simplify(sp.sqrt(s) * sp.sqrt(s) - s) == 0

    def control(self, level: str):
        counts = ufm.ClassCounts.parse("30*2,5*3")
        certified = Enclosure.of(solved(counts, 1.0, 4.0, level).certificate)
        # A semidefinite program that bounds both traces by the mean budget: what half the trace of X would suggest.
        wrong = ufm.Problem(counts, regularizer=ufm.NormBudget(2.5, 2.5))
        relaxed = ufm.solve(wrong, method=Convex(profile="scs-1e-9", formulation="sdp"), level=level)
        mean = Enclosure.of(relaxed.certificate)
        yield equal("SDP with the arithmetic mean of the budgets", certified, mean, tolerance=1e-5, level=level)

    def twin(self, level: str):
        a = Enclosure.of(solved(ufm.ClassCounts.parse("9,4,4,1"), 0.5, 3.0, level).certificate)
        moved = ufm.Problem([4, 1, 9, 4], regularizer=ufm.NormBudget(3.0, 0.5))
        relaxed = ufm.solve(moved, method=Convex(profile="scs-1e-9", formulation="sdp"), level=level)
        b = Enclosure.of(relaxed.certificate)
        yield equal("SDP with classes relabelled and budgets exchanged", a, b, tolerance=1e-5, level=level)

    def outside(self, level: str):
        problem = ufm.Problem(ufm.balanced(4, 3), regularizer=ufm.NormBudget(1.0, 5.0), dim=1)
        narrow = ufm.solve(problem, method=Factored(starts=6))
        relaxed = Enclosure.of(solved(ufm.balanced(4, 3), 1.0, 5.0, level).certificate)
        value = Enclosure(narrow.value, narrow.value)
        yield less("d = 1: best found lies above the relaxation", relaxed, value, level="numeric")


class Step(NamedTuple):
    """Majority and minority classes, budgets, and where R lies relative to the threshold R0."""

    majority: int
    minority: int
    e_h: float
    relative: float


def step_counts(majority: int, minority: int, ratio: float, n_minority: int = 10**6) -> ufm.ClassCounts:
    """Step imbalance with a ratio that is the given one to six digits."""
    n_majority = round(ratio * n_minority)
    return ufm.step_imbalanced(majority=majority, minority=minority, n_majority=n_majority, n_minority=n_minority)


def collapse_at(instance: Step, ratio: float, level: str, expected: str, what: str) -> Finding:
    """Whether the certified solution at that ratio is collapsed, against what is expected."""
    solution = solved(step_counts(instance.majority, instance.minority, ratio), 1.0, instance.e_h, level)
    found = ufm.collapse(rests_on(solution))
    margin = found.lower if found.verdict == "no" else found.tolerance - found.upper
    return decided(what, expected, found.verdict, margin=margin, level=level)


class MinorityCollapse(Theorem):
    r"""As $R \to \infty$ at fixed budgets the minority classifiers become parallel: $\cos(w_i, w_j) \to 1$ for minority
    classes i and j.

    Sharper, by F5: from a finite ratio on they coincide exactly. Checked as the certified verdict far beyond that ratio,
    and as cosines that increase strictly on the way there.
    """

    id = "F3"
    title = "minority classifiers become parallel as R grows"
    kind = Kind.LIMIT
    source = cite("fang2021", "theorem on minority collapse")
    hypotheses = (
        Hypothesis(r"$K_A \ge 1$ majority and $K_B \ge 2$ minority classes", lambda p: p.majority >= 1 and p.minority >= 2),
        Hypothesis(r"budgets $E_W = 1$, $E_H > 0$", lambda p: p.e_h > 0),
        Hypothesis(r"a ratio beyond the threshold, $R > R_0$", lambda p: p.relative > 1),
    )
    required = "rigorous"
    formulas = ("check",)

    def grid(self):
        return [Step(ka, 10 - ka, eh, 10.0) for ka in (3, 5, 7) for eh in (1.0, 5.0)]

    def check(self, instance: Step, level: str) -> Iterator[Finding]:
        majority, minority, e_h, relative = instance
        critical = ufm.threshold(classes=(majority, minority), regularizer=ufm.NormBudget(1, e_h)).value
        yield collapse_at(instance, relative * critical, level, "yes", f"collapsed at {relative:g} R0, {instance}")
        cosines = []
        for fraction in (0.0, 0.25, 0.5, 0.75):
            solution = solved(step_counts(majority, minority, critical**fraction), 1.0, e_h, level)
            enclosed = enclose_logits(solution).weight_cosines[-1]
            cosines.append(Enclosure(*outward(enclosed)))
        for low, high in pairwise(cosines):
            yield less(f"minority cosine grows with R, {instance}", low, high, level=level)

    def control(self, level: str):
        instance = Step(5, 5, 5.0, 0.5)
        critical = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5.0)).value
        yield collapse_at(instance, 0.5 * critical, level, "yes", "collapse claimed at half the threshold")

    def twin(self, level: str):
        one = enclose_logits(solved(ufm.ClassCounts.parse("60*2,10*3"), 1.0, 2.0, level))
        two = enclose_logits(solved(ufm.ClassCounts.parse("20*3,120*2"), 1.0, 2.0, level))
        first, second = (Enclosure(*outward(e.weight_cosines[-1])) for e in (one, two))
        tolerance = 1e-5 if level == "rigorous" else 1e-3  # enclosures are as wide as the square root of the gap
        yield equal("classes relabelled, samples doubled", first, second, tolerance=tolerance, level=level)

    def outside(self, level: str):
        # Oversampling the minority by R makes the classes balanced: no collapse at any R.
        solution = solved(ufm.balanced(10, 10**6), 1.0, 5.0, level)
        found = ufm.collapse(solution)
        yield decided("oversampled minority does not collapse", "no", found.verdict, margin=found.lower, level=level)


class ExactThreshold(Theorem):
    r"""The minority collapses iff $R \ge R_0$, where $R_0$ is the unique solution of $\mu(R)\, (K_A R + K_B) = 1$ and
    $\mu(R)$ the multiplier of the budget.

    In the scaling $R \sum_A \mathrm{CE} + \sum_B \mathrm{CE}$ with multiplier m, the minority contrast is zero iff
    $m \ge 1$, and $C^*(R)$ denotes the nuclear norm of the optimum at $m = 1$ (explicit form:
    `ufm.analysis.thresholds.budget`). *Uniqueness*: $C^*$ is strictly increasing. Write $w = (x, a, b)$ for the scalars
    that remain, $f_A(x, a)$ and $f_B(b)$ for the losses of both groups, $n = (K_A - 1, \cos t, \sin t)$ for the gradient of
    the nuclear norm and $\tau = (0, -\sin t, \cos t)$, so that its Hessian is $\tau \tau^\top / r$.

    Here $\cos t, \sin t > 0$ and $r = \sqrt{a^2 + b^2} > 0$ for $R > 1$: at $a = b = 0$ the condition for $x_A$ would give
    an A column the mass $q > K_B / (K R)$ on B ($q = K_B/K$ if $K_A = 1$), and the loss's slope in $(a, b)$ a squared
    length above $K_A \nu^2 (K_B/K)^2 + K_B \nu^2 (K_A/K)^2 = 1$, more than the norm resists.

    1. *Raising only the own logit*: along $W = (1, \omega)$, $\omega = 1/(\sqrt{K_A}\, \nu)$, every other logit falls by
       the same amount against the own one, so $\nabla^2 f_A\, W = -p_d \nabla f_A$ (symbolic step).
    2. Differentiating $R \nabla f_A = -p$, $p = (K_A - 1, \cos t)$, gives $w' = H^{-1} p / R$ with
       $H = \mathrm{diag}(R \nabla^2 f_A, h) + \tau \tau^\top/r$ and $h = f_B'' > 0$. With
       $G = \mathrm{diag}(R \nabla^2 f_A, h)^{-1}$ step 1 yields $G p = W / p_d$, so
       $\alpha = p^\top G p = (K_A - 1 + \omega \cos t)/p_d$, $\beta = (G p)_a = \omega/p_d$, $\gamma = G_{aa}$.
    3. Sherman-Morrison: $R\, dC^*/dR = n^\top H^{-1} p = \alpha + \sin^2 t\, \beta (\cos t/h - \beta)/T$ with
       $T = r + \gamma \sin^2 t + \cos^2 t/h$, and (symbolic step)
       $T R\, dC^*/dR = \alpha (r + \cos^2 t/h) + \sin^2 t\, (\alpha \gamma - \beta^2) + \sin^2 t \cos t\, \beta/h$,
       positive term by term; the middle one is Cauchy-Schwarz in the inner product G.
    4. $C^*(1) = 0$ (zero logits are optimal) and $C^* \to \infty$, since $x_A \ge \log(1 + (R-1) K_A)$.

    For $K_A = 1$ there is no $x_A$: delete its row everywhere. Step 1 becomes $f_A'' \omega = -p_d f_A'$ and the rest goes
    through with $K_A - 1 = 0$ ($\alpha = \omega \cos t / p_d > 0$); $C^* \to \infty$ as
    $a \ge \log(K_B (\nu R - 1)) / \nu$.
    """

    id = "F5"
    title = "exact finite ratio of minority collapse under norm budgets"
    kind = Kind.TIGHT
    source = cite("fang2021", "theorem on minority collapse, sharpened and derived here")
    hypotheses = (
        Hypothesis(r"$K_A \ge 1$ majority and $K_B \ge 2$ minority classes", lambda p: p.majority >= 1 and p.minority >= 2),
        Hypothesis(r"budgets $E_W = 1$, $E_H > 0$", lambda p: p.e_h > 0),
        Hypothesis(r"a positive ratio $R / R_0$ other than 1", lambda p: p.relative > 0 and p.relative != 1),
    )
    required = "rigorous"
    formulas = ("check",)
    open_steps = (
        "that the nuclear norm of the optimum falls in its multiplier, that the minority's contrast vanishes iff the scaled "
        "multiplier is at least one (subgradient of the norm), and continuity at R = 1; docs/theory, Propositions 7.4 to 7.6"
    )

    def grid(self):
        cases = [(ka, eh) for ka in (3, 5, 7) for eh in (1.0, 2.0, 5.0, 10.0)] + [(1, 1.0), (1, 2.0)]
        return [Step(ka, 10 - ka, eh, rel) for ka, eh in cases for rel in (0.99, 1.01)]

    def more(self):
        cases = [(ka, eh) for ka in (2, 4, 6, 8) for eh in (1.5, 3.0, 7.0)]
        return [Step(ka, 10 - ka, eh, rel) for ka, eh in cases for rel in (0.999, 1.001)]

    def check(self, instance: Step, level: str) -> Iterator[Finding]:
        majority, minority, e_h, relative = instance
        found = ufm.threshold(classes=(majority, minority), regularizer=ufm.NormBudget(1, e_h), level=level)
        yield collapse_at(instance, relative * found.value, level, "yes" if relative > 1 else "no", f"{instance}")

    def steps(self):
        import sympy as sp

        x, a, nu = sp.symbols("x a nu", positive=True)
        ka, kb = sp.symbols("K_A K_B", positive=True)
        k = 1 - 1 / ka
        odds = 1 + (ka - 1) * sp.exp(-x) + kb * sp.exp(-k * x - nu * a / sp.sqrt(ka))
        f = ka * sp.log(odds)
        w = (1, 1 / (sp.sqrt(ka) * nu))
        variables = (x, a)
        for v in variables:
            image = sum(sp.diff(f, v, u) * w_u for u, w_u in zip(variables, w, strict=True))
            yield rf"raising the own logit, $\partial/\partial {v}$", sp.simplify(image + sp.diff(f, v) / odds) == 0
        alpha, beta, gamma, h, r, t = sp.symbols("alpha beta gamma h r t", positive=True)
        s, c = sp.sin(t), sp.cos(t)
        big = r + gamma * s**2 + c**2 / h
        left = big * (alpha + s**2 * beta * (c / h - beta) / big)
        right = alpha * (r + c**2 / h) + s**2 * (alpha * gamma - beta**2) + s**2 * c * beta / h
        yield "sign of $dC^*/dR$, term by term", sp.simplify(left - right) == 0
        # Sherman and Morrison for the three unknowns: (M + u u'/r) times the claimed inverse is the identity, M^{-1} = G.
        entries = sp.symbols("g0:6", real=True)
        g = sp.Matrix(3, 3, lambda i, j: entries[(0, 1, 2, 1, 3, 4, 2, 4, 5)[3 * i + j]])
        u = sp.Matrix(sp.symbols("u0:3", real=True))
        scale = r + (u.T * g * u)[0]
        inverse = g * scale - g * u * u.T * g  # times the scale
        # Multiplied by G from the left, and by r and the scale, the identity has no quotient.
        product = inverse * r + g * u * u.T * inverse - g * scale * r
        yield "the formula of Sherman and Morrison", product.applyfunc(sp.expand) == sp.zeros(3)
        nu2 = 1 / ka + 1 / kb
        pull = ka * nu2 * (kb / (ka + kb)) ** 2 + kb * nu2 * (ka / (ka + kb)) ** 2
        yield "$r > 0$: the slope at zero has at least the square 1", sp.simplify(pull - 1) == 0
        big_r = sp.Symbol("R", positive=True)
        largest = sp.log(1 + (1 - 1 / big_r) / (1 / (big_r * ka)))
        yield (
            r"$C^* \to \infty$: $x_A = \log(1 + (1 - 1/R)/p_o)$ with $p_o \le 1/(R K_A)$ is at least $\log(1 + (R-1) K_A)$",
            sp.simplify(largest - sp.log(1 + (big_r - 1) * ka)) == 0,
        )

    def control(self, level: str):
        # The threshold of a model with one class less in the radius: K - 1 in place of K.
        instance = Step(5, 5, 5.0, 1.0)
        shrunk = ufm.NormBudget(0.9, 0.9 * 5.0)
        wrong = ufm.threshold(classes=(5, 5), regularizer=shrunk).value
        yield collapse_at(instance, 1.05 * wrong, level, "yes", "radius (K-1) c in place of K c")

    def twin(self, level: str):
        def threshold(budget: ufm.NormBudget) -> Enclosure:
            found = ufm.threshold(classes=(3, 7), regularizer=budget, level=level)
            return Enclosure(found.lower, found.upper)

        exchanged = equal(
            "budgets exchanged", threshold(ufm.NormBudget(1, 5)), threshold(ufm.NormBudget(5, 1)), tolerance=1e-9, level=level
        )
        rescaled = equal(
            "budgets rescaled at equal product",
            threshold(ufm.NormBudget(1, 5)),
            threshold(ufm.NormBudget(0.25, 20)),
            tolerance=1e-9,
            level=level,
        )
        yield from (exchanged, rescaled)

    def outside(self, level: str):
        # Decay per sample in place of budgets: another threshold (H3). At 0.99 R0 the budget model is not collapsed.
        critical = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5)).value
        counts = step_counts(5, 5, 0.99 * critical)
        mu = 1.01 / (sqrt(10**6) * (5 * 0.99 * critical + 5))
        solution = ufm.solve(ufm.Problem(counts, regularizer=ufm.WeightDecay(mu, mu)), level=level)
        found = ufm.collapse(solution)
        yield decided(
            "decay per sample may collapse below the budgets' R0", "yes", found.verdict, margin=1e-6 - found.upper, level=level
        )


class Reweighted(NamedTuple):
    """K_A of ten classes, n_A, n_B, E_H."""

    majority: int
    n_majority: int
    n_minority: int
    e_h: float


class Oversampling(Theorem):
    r"""Oversampling the minority by R, or weighting its loss by R, restores the simplex ETF, with the balanced value
    $\log\left(1 + (K-1)\, e^{-K c/(K-1)}\right)$.

    With class weights $1/n_k$ every class has the share $1/K$ of the loss, and under norm budgets the penalty does not know the
    class sizes: the program is the balanced one.
    """

    id = "F4"
    title = "oversampling the minority restores the ETF"
    kind = Kind.IDENTITY
    source = cite("fang2021", "remark on oversampling")
    hypotheses = (
        Hypothesis(r"$K_A, K_B \ge 1$ of ten classes", lambda p: 1 <= p.majority <= 9),
        Hypothesis(r"$n_A, n_B \ge 1$ samples", lambda p: p.n_majority >= 1 and p.n_minority >= 1),
        Hypothesis(r"budgets $E_W = 1$, $E_H > 0$", lambda p: p.e_h > 0),
    )
    required = "rigorous"
    formulas = ("etf_value", "etf_contrast", "weighted")

    def grid(self):
        return [
            Reweighted(ka, n_a, n_b, e_h) for ka, n_a, n_b in ((5, 1000, 10), (3, 70, 7), (7, 10**6, 1)) for e_h in (1.0, 5.0)
        ]

    @staticmethod
    def weighted(p: Reweighted, level: str, weights: float | tuple[float, ...] = 1.0) -> ufm.Solution:
        counts = ufm.step_imbalanced(
            majority=p.majority, minority=10 - p.majority, n_majority=p.n_majority, n_minority=p.n_minority
        )
        return solved(counts, 1.0, p.e_h, level, loss=ufm.CrossEntropy(weights=weights))

    def check(self, instance: Reweighted, level: str) -> Iterator[Finding]:
        found = self.weighted(instance, level)
        value = Enclosure.of(found.certificate)
        yield equal(f"value, {instance}", etf_value(10, 1.0, instance.e_h), value, tolerance=1e-10, level=level)
        verdict = ufm.collapse(found)
        yield decided(f"minority not collapsed, {instance}", "no", verdict.verdict, margin=verdict.lower, level=level)
        for group in verdict.groups:
            contrast = Enclosure(group.lower, group.upper)
            what = f"contrast of the classes of size {group.size}: that of the ETF, {instance}"
            yield equal(what, etf_contrast(10, 1.0, instance.e_h), contrast, tolerance=1e-4, level=level)

    def control(self, level: str):
        # Half of the correction: weights n^{-1/2}.
        p = Reweighted(5, 1000, 10, 5.0)
        found = Enclosure.of(self.weighted(p, level, 0.5).certificate)
        yield equal("weights sqrt(R) in place of R", etf_value(10, 1.0, 5.0), found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        p = Reweighted(5, 1000, 10, 5.0)
        exponent = Enclosure.of(self.weighted(p, level).certificate)
        explicit = Enclosure.of(self.weighted(p, level, (1.0, 100.0)).certificate)
        yield equal("weights 1 and R written out", exponent, explicit, tolerance=1e-10, level=level)
        copied = Enclosure.of(solved(ufm.balanced(10, 1000), 1.0, 5.0, level).certificate)
        yield equal("minority samples really copied R times", exponent, copied, tolerance=1e-10, level=level)

    def outside(self, level: str):
        # Decay per sample: a weighted loss is not oversampling there, since copies would be decayed too.
        decay = ufm.WeightDecay(2e-3, 2e-3)
        counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=100, n_minority=10)
        weighted = ufm.solve(ufm.Problem(counts, regularizer=decay, loss=ufm.CrossEntropy(weights=1.0)), level=level)
        large, small = (Enclosure(group.lower, group.upper) for group in ufm.collapse(weighted).groups)
        yield less("decay per sample: contrasts differ", large, small, level=level)
        plain = ufm.solve(ufm.Problem(counts, regularizer=ufm.NormBudget(1.0, 1.0)), level=level)
        verdict = ufm.collapse(plain)
        yield decided(
            "without weights the minority collapses (E_H = 1)", "yes", verdict.verdict, margin=1e-6 - verdict.upper, level=level
        )
