r"""Yang et al. (2022): a classifier fixed to a simplex ETF. [yang2022]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, equal, less
from proofs_check.fang2021 import etf_value
from proofs_check.projectors import Invariant
from proofs_check.theorem import Hypothesis, Kind, Theorem


class Fixed(NamedTuple):
    """Class sizes, ``|w_k|^2 = E_W``, and E_H, the budget of every single feature."""

    counts: tuple[int, ...]
    e_w: float
    e_h: float


def solved(p: Fixed, level: str, average: bool = False) -> ufm.Solution:
    """Features only."""
    problem = ufm.Problem(list(p.counts), regularizer=ufm.NormBudget(p.e_w, p.e_h), head=ufm.FixedETF(average=average))
    return ufm.solve(problem, level=level)


class FixedClassifier(Theorem):
    r"""With W a fixed simplex ETF, $\lVert w_k \rVert^2 = E_W$ and $\lVert h_{ki} \rVert^2 \le E_H$, the features align
    with W for every $n_k$, and the value $\log\left(1 + (K-1)\, e^{-K c/(K-1)}\right)$, $c = \sqrt{E_W E_H}$, does not
    depend on the imbalance.

    Each sample is a problem of its own, the same for all classes. Proof here: the classifiers have the sum zero, so that with
    $u = \langle w_k, h \rangle$ the other logits have the mean $-u/(K-1)$; the loss is least where they are equal (Jensen's
    inequality), falls in u, and $u \le c$ with equality only at $h = \sqrt{E_H / E_W}\, w_k$.
    """

    id = "Y"
    title = "a classifier fixed to the ETF aligns features whatever the imbalance"
    kind = Kind.IDENTITY
    source = cite("yang2022", "theorem on the fixed ETF classifier")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of $n_k \ge 1$ samples", lambda p: len(p.counts) >= 2 and min(p.counts) >= 1),
        Hypothesis(r"budgets $E_W, E_H > 0$", lambda p: p.e_w > 0 and p.e_h > 0),
    )
    required = "numeric"
    formulas = ("fang2021:etf_value",)

    def grid(self):
        tails = ((100,) * 10, (1000,) * 5 + (10,) * 5, (500, 100, 20, 4), (7, 1))
        return [Fixed(counts, 1.0, e_h) for counts in tails for e_h in (1.0, 5.0)]

    def check(self, instance: Fixed, level: str) -> Iterator[Finding]:
        solution = solved(instance, level)
        claimed = etf_value(len(instance.counts), instance.e_w, instance.e_h)
        yield equal(f"value, {instance}", claimed, Enclosure.of(solution.certificate), tolerance=1e-10, level=level)
        found = solution.parameters
        aligned = np.sum(found.weight.T * found.features, axis=0)
        lengths = np.linalg.norm(found.weight, axis=1) * np.linalg.norm(found.features, axis=0)
        worst = float(np.min(aligned / lengths))
        yield less(
            f"cosine of w_k and h_k, {instance}", Enclosure(1 - 1e-9, 1 - 1e-9), Enclosure(worst, worst), level="numeric"
        )

    def steps(self):
        import sympy as sp

        k, u, e_w, e_h, h = sp.symbols("K u E_W E_H h", positive=True)
        frame = Invariant(e_w * k / (k - 1), 0, k)  # W W'
        own, other = frame.entries
        yield r"an ETF with $\lVert w_k \rVert^2 = E_W$ is $W W^\top = \frac{K}{K-1} E_W\, C$", sp.simplify(own - e_w) == 0
        yield r"and $\sum_k w_k = 0$: the sum of its Gram matrix", sp.simplify(k * own + k * (k - 1) * other) == 0
        mean = -u / (k - 1)  # of the other logits, whose sum is -u
        floor = sp.log(1 + (k - 1) * sp.exp(mean - u))
        yield (
            r"the loss is at least $\log(1 + (K-1) e^{-K u/(K-1)})$ (Jensen's inequality for exp)",
            sp.simplify(sp.exp(floor) - 1 - (k - 1) * sp.exp(-k * u / (k - 1))) == 0,
        )
        slope = sp.diff(floor, u)
        odds = sp.exp(mean - u)
        yield "which falls in u", sp.simplify(slope + k * odds / (1 + (k - 1) * odds)) == 0
        distance = h**2 - 2 * u * (u / e_w) + (u / e_w) ** 2 * e_w
        yield (
            r"$\lVert h \rVert^2 - u^2/E_W = \lVert h - (u/E_W)\, w_k \rVert^2$, so that $u \le c$, with equality only at "
            r"$h = \sqrt{E_H/E_W}\, w_k$",
            sp.simplify(distance - (h**2 - u**2 / e_w)) == 0
            and sp.simplify((u / e_w).subs(u, sp.sqrt(e_w * e_h)) ** 2 - e_h / e_w) == 0,
        )
        aligned = [sp.sqrt(e_h / e_w) * entry for entry in (own, other)]
        yield (
            r"there all other logits are $-c/(K-1)$: the bound is attained",
            sp.simplify(aligned[0] - sp.sqrt(e_w * e_h)) == 0
            and sp.simplify(aligned[1] - mean.subs(u, sp.sqrt(e_w * e_h))) == 0,
        )

    def control(self, level: str):
        p = Fixed((1000,) * 5 + (10,) * 5, 1.0, 5.0)
        found = Enclosure.of(solved(p, level).certificate)
        yield equal("K - 1 in place of K", etf_value(10, 1.0, 5.0, 0.9), found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        a = Enclosure.of(solved(Fixed((500, 100, 20, 4), 1.0, 5.0), level).certificate)
        b = Enclosure.of(solved(Fixed((4, 100, 20, 500), 5.0, 1.0), level).certificate)
        yield equal("classes relabelled, budgets exchanged", a, b, tolerance=1e-10, level=level)

    def outside(self, level: str):
        # With a budget on the average feature only, large classes take from small ones.
        p = Fixed((1000,) * 5 + (10,) * 5, 1.0, 5.0)
        each, average = solved(p, level), solved(p, level, average=True)
        yield less(
            "budget on the average: lower, and it depends on the imbalance",
            Enclosure.of(average.certificate), Enclosure.of(each.certificate), level=level,
        )  # fmt: skip
        logits = np.diag(np.asarray(average.logits))
        small, large = float(logits[-1]), float(logits[0])
        yield less("and small classes get smaller margins", Enclosure(small, small), Enclosure(large, large), level="float")
        free = ufm.solve(ufm.Problem(list(p.counts), regularizer=ufm.NormBudget(1.0, 5.0)), level=level)
        collapsed = ufm.collapse(free)
        yield less(
            "a free classifier collapses here", Enclosure(collapsed.upper, collapsed.upper), Enclosure(1e-6, 1e-6), level=level
        )
