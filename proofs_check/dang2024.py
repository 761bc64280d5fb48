r"""Dang et al. (2024): cross-entropy on non-negative features. [dang2024]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm.solvers import Gradient


class Sizes(NamedTuple):
    """Class sizes, decays of W and H."""

    counts: tuple[int, ...]
    weight: float
    features: float


def solved(p: Sizes, level: str) -> ufm.Solution:
    """The model with features >= 0."""
    regularizer = ufm.WeightDecay(p.weight, p.features)
    return ufm.solve(ufm.Problem(list(p.counts), regularizer=regularizer, head=ufm.ReLU()), level=level)


def closed_form(p: Sizes, wrong: bool = False) -> Enclosure:
    """``sum_k [(n_k/N) log(1 + (K-1) e^{-a_k}) + mu sqrt(n_k) sqrt((K-1)/K) a_k]``; ``wrong`` drops ``sqrt((K-1)/K)``."""

    def value():
        from flint import arb

        k, total = len(p.counts), sum(p.counts)
        mu = (arb(p.weight) * arb(p.features)).sqrt()
        unit = arb(1) if wrong else (arb(k - 1) / k).sqrt()
        found = arb(0)
        for n in p.counts:
            odds = arb(n).sqrt() / (total * mu * unit) - 1
            a = ((k - 1) * odds).log() if (k - 1) * odds > 1 else arb(0)
            found += arb(n) / total * (1 + (k - 1) * (-a).exp()).log() + mu * arb(n).sqrt() * unit * a
        return found

    return Enclosure.ball(value)


class NonNegative(Theorem):
    r"""Features $H \ge 0$, $d \ge K$, no bias: the optimum has orthogonal means and logits $a_k (e_k - \frac1K \mathbf{1})$
    with $a_k = \log\left[(K-1)\left(\sqrt{K n_k/(K-1)}/(N \mu) - 1\right)\right]^+$, and class k dies iff
    $N^2 \mu^2 / n_k \ge (K-1)/K$.

    The classifier consists of scaled centred means, and
    $\lVert h_k \rVert^2 = \sqrt{\lambda_W/(\lambda_H n_k)} \sqrt{(K-1)/K}\, a_k$. Proof of optimality here, for every
    width: with the columns of $G = (P - I)\, \mathrm{diag}(\pi)\, D^{-1/2}$ repelling each other, $\mu^2 I - G^\top G$ is
    copositive as soon as $\lVert g_k \rVert \le \mu$, so that $\langle G, Z D^{1/2} \rangle$ plus the decay is not negative
    for all features $H \ge 0$.
    """

    id = "E1"
    title = "non-negative features: orthogonal means, class by class"
    kind = Kind.TIGHT
    source = cite("dang2024", "neural collapse with ReLU features on imbalanced data")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of $n_k \ge 1$ samples", lambda p: len(p.counts) >= 2 and min(p.counts) >= 1),
        Hypothesis(r"decays $\lambda_W, \lambda_H > 0$", lambda p: p.weight > 0 and p.features > 0),
    )
    required = "numeric"
    formulas = ("closed_form", "heights", "lengths")
    open_steps = "that repelling columns make the form copositive, and the bound that follows from it"

    def grid(self):
        return [
            Sizes((200, 100, 50, 50), 5e-4, 5e-4),
            Sizes((20, 20, 20), 5e-3, 5e-3),
            Sizes((500, 10, 10, 3), 1e-3, 2e-3),
            Sizes((9, 3), 1e-2, 1e-2),
            Sizes((20, 20, 20), 5.96e-2, 5.96e-2),  # all but dead, and dead
            Sizes((20, 20, 20), 6.21e-2, 6.21e-2),
        ]

    @staticmethod
    def heights(p: Sizes) -> np.ndarray:
        """``a_k`` for each class."""
        k, counts = len(p.counts), np.array(p.counts, dtype=float)
        reach = np.sqrt(k * counts / (k - 1)) / (counts.sum() * np.sqrt(p.weight * p.features))
        return np.log(np.maximum((k - 1) * (reach - 1), 1.0))

    @staticmethod
    def lengths(p: Sizes, a: np.ndarray) -> np.ndarray:
        """``|h_k|^2`` for each class."""
        k, counts = len(p.counts), np.array(p.counts, dtype=float)
        return np.sqrt(p.weight / (p.features * counts)) * np.sqrt((k - 1) / k) * a

    def check(self, instance: Sizes, level: str) -> Iterator[Finding]:
        solution = solved(instance, level)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {instance}", closed_form(instance), found, tolerance=1e-10, level=level)
        p = solution.parameters
        k, a = len(instance.counts), self.heights(instance)
        gram = p.features.T @ p.features
        off = float(np.abs(gram - np.diag(np.diag(gram))).max())
        yield less(f"means orthogonal, {instance}", Enclosure(0, 0), Enclosure(1e-12 - off, 1e-12 - off), level="numeric")
        gap = float(np.abs(np.diag(gram) - self.lengths(instance, a)).max())
        yield less(f"norms of the means, {instance}", Enclosure(0, 0), Enclosure(1e-9 - gap, 1e-9 - gap), level="numeric")
        far = float(np.abs(np.asarray(solution.logits) - a * (np.eye(k) - 1 / k)).max())
        yield less(f"logits a_k (e_k - 1/K), {instance}", Enclosure(0, 0), Enclosure(1e-9 - far, 1e-9 - far), level="numeric")

    def steps(self):
        import sympy as sp

        a, k, c, share = sp.symbols("a K c pi", positive=True)
        value = share * sp.log(1 + (k - 1) * sp.exp(-a)) + c * a
        at = sp.log((k - 1) * (share / c - 1))
        yield "stationary height", sp.simplify(sp.diff(value, a).subs(a, at)) == 0
        inner = -1 / (k - 1) * 2 + (k - 2) / (k - 1) ** 2
        yield "columns of the dual point repel: inner product $-K/(K-1)^2$", sp.simplify(inner + k / (k - 1) ** 2) == 0
        yield "and have squared length $K/(K-1)$", sp.simplify(1 + 1 / (k - 1) - k / (k - 1)) == 0

    def control(self, level: str):
        p = Sizes((200, 100, 50, 50), 5e-4, 5e-4)
        found = Enclosure.of(solved(p, level).certificate)
        yield equal("without the factor sqrt((K-1)/K)", closed_form(p, wrong=True), found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        p = Sizes((200, 100, 50, 50), 5e-4, 5e-4)
        base = Enclosure.of(solved(p, level).certificate)
        turned = Enclosure.of(solved(Sizes((50, 200, 50, 100), 5e-4, 5e-4), level).certificate)
        yield equal("classes relabelled", base, turned, tolerance=1e-10, level=level)
        copies = Enclosure.of(solved(Sizes((800, 400, 200, 200), 2.5e-4, 2.5e-4), level).certificate)
        yield equal("every sample four times, decays halved", base, copies, tolerance=1e-10, level=level)
        small = ufm.Problem([8, 4, 4], regularizer=ufm.WeightDecay(8e-3, 8e-3), head=ufm.ReLU(), dim=6)
        trained = ufm.solve(small, method=Gradient(rule="heavy-ball", scale=0.5, tolerance=1e-6))
        exact = ufm.solve(small, level=level).certificate
        reached = Enclosure(trained.certificate.lower, trained.value)
        yield equal("projected gradient descent ends there", Enclosure.of(exact), reached, tolerance=1e-5, level="float")

    def outside(self, level: str):
        # Free features do better, and are not orthogonal.
        p = Sizes((20, 20, 20), 5e-3, 5e-3)
        free = ufm.solve(ufm.Problem([20] * 3, regularizer=ufm.WeightDecay(5e-3, 5e-3)), level=level)
        nonnegative = Enclosure.of(solved(p, level).certificate)
        yield less("features of any sign: lower", Enclosure.of(free.certificate), nonnegative, level=level)
        dead = Sizes((100, 100, 1), 3e-2, 3e-2)
        solution = solved(dead, level)
        height = float(np.diag(np.asarray(solution.logits))[2])
        verdict = "yes" if height == 0 else "no"
        yield decided("N^2 mu^2 / n_k >= (K-1)/K: class dead", "yes", verdict, margin=1.0 - height, level="float")
