r"""Dang et al. (2024): cross-entropy on non-negative features. [dang2024]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.lemmas import averaging_steps, gibbs_steps
from proofs_check.projectors import Invariant
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

    The classifier consists of the centred means, $w_j$ a multiple of $\sqrt{n_j}\, h_j$ less their mean, and
    $\lVert h_k \rVert^2 = \sqrt{\lambda_W/(\lambda_H n_k)} \sqrt{(K-1)/K}\, a_k$. Proof here, for every width: with
    $V = H D^{1/2} \ge 0$ and $G = (P - I)\, \mathrm{diag}(\pi)\, D^{-1/2}$ the objective is at least
    $\sum_k \pi_k \mathrm{Ent}(p_k) + \langle G, W V \rangle$ plus decay, whose least value over W is
    $\frac{1}{2 \lambda_W} \mathrm{tr}\, V (\mu^2 I - G^\top G) V^\top$; this form is copositive since the columns of G repel
    each other and $\lVert g_k \rVert \le \mu$. Equality forces P on every optimum, $W = -G V^\top / \lambda_W$, and
    disjoint supports of the means.
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

        yield from averaging_steps()
        yield from gibbs_steps()
        j, a, n, m, total, lw, lh, w, g, x, y = sp.symbols("j a n m N lambda_W lambda_H w g x y", positive=True)
        k = j + 1  # K > 1
        mu = sp.sqrt(lw * lh)
        rest = k - 1 + sp.exp(a)
        softmax, unit = Invariant.from_entries(sp.exp(a) / rest, 1 / rest, k), Invariant(1, 0, k)
        yield (
            r"columns of the dual point: $p_k - e_k = -\kappa_k\, C e_k$, so that "
            r"$g_k = -\frac{\sqrt{n_k}}{N} \kappa_k\, C e_k$ with $\kappa_k = K / (K - 1 + e^{a_k})$",
            softmax.minus(Invariant(1, 1, k)).minus(unit.times(-k / rest)).is_zero(),
        )
        square = lw * (w + g / lw) ** 2 / 2
        yield (
            r"$\frac{\lambda_W}{2} \lVert W \rVert^2 + \langle W, G V^\top \rangle = "
            r"\frac{\lambda_W}{2} \lVert W + G V^\top / \lambda_W \rVert^2 - \frac{1}{2 \lambda_W} \lVert G V^\top \rVert^2$",
            sp.expand(lw * w**2 / 2 + w * g - square + g**2 / (2 * lw)) == 0,
        )
        # Rows of V: mu^2 |v|^2 - |v_1 g_1 + v_2 g_2 + ...|^2, here with two columns.
        (length, cross), one, two = unit.entries, sp.Symbol("kappa_1", positive=True), sp.Symbol("kappa_2", positive=True)
        squares = [n * one**2 * length / total**2, m * two**2 * length / total**2]
        repels = sp.sqrt(n * m) * one * two * cross / total**2
        form = mu**2 * (x**2 + y**2) - (squares[0] * x**2 + squares[1] * y**2 + 2 * repels * x * y)
        split = (mu**2 - squares[0]) * x**2 + (mu**2 - squares[1]) * y**2 - 2 * repels * x * y
        yield (
            r"rows of V: $v (\mu^2 I - G^\top G) v^\top = \sum_k (\mu^2 - \lVert g_k \rVert^2) v_k^2 - \sum_{k \ne l} "
            r"\langle g_k, g_l \rangle v_k v_l$",
            sp.expand(form - split) == 0,
        )
        yield (
            r"columns repel, $\langle g_k, g_l \rangle < 0$: copositive if $\lVert g_k \rVert \le \mu$, and in equality "
            "$v_k v_l = 0$: means are orthogonal",
            sp.simplify(repels).is_negative is True,
        )
        root = sp.sqrt((k - 1) / k)
        height = sp.log((k - 1) * (sp.sqrt(k * n / (k - 1)) / (total * mu) - 1))
        kappa = k / (k - 1 + sp.exp(height))
        yield (
            r"$\lVert g_k \rVert = \mu$ at the height $a_k$",
            sp.simplify(n * kappa**2 * length / total**2 - mu**2) == 0,
        )
        dead = sp.simplify(n * length / total**2 - mu**2 - (length - total**2 * mu**2 / n) * n / total**2) == 0
        edge = total * mu * root / sp.sqrt(n)  # a_k > 0 iff this is below (K-1)/K
        alive = sp.simplify((sp.exp(height) - 1) * edge - k * ((k - 1) / k - edge)) == 0
        yield (
            r"at $a_k = 0$ it is at most $\mu$ iff $N^2 \mu^2 / n_k \ge (K-1)/K$, which is where $a_k$ is not positive",
            dead and alive,
        )
        own, other = softmax.entries
        entropy = -own * (a - sp.log(rest)) - (k - 1) * other * (-sp.log(rest))
        loss = sp.log(rest) - a / k - unit.entries[0] * a
        # The price mu sqrt(n) root a over the share n/N, with mu the norm of g_k.
        price = sp.sqrt(n) * (k / rest) * root / total * sp.sqrt(n) * root * a / (n / total)
        gap = sp.simplify(sp.expand(loss + price - entropy)) == 0
        yield "no gap, class by class: loss and price are the entropy", gap and sp.simplify(entropy.subs(a, 0) - sp.log(k)) == 0
        size = sp.sqrt(lw / (lh * n)) * root * a  # |h_k|^2, and W h_k = a C e_k for orthogonal means
        cost = lw * (a**2 * length / size) / 2 + lh * n * size / 2
        yield (
            r"orthogonal means of the stated norms cost $\mu \sqrt{n_k} \sqrt{(K-1)/K}\, a_k$",
            sp.simplify(cost - mu * sp.sqrt(n) * root * a) == 0,
        )
        # W = -G V'/lw: z_k = |h_k|^2 n_k kappa_k / (N lw) C e_k, with kappa_k sqrt(n_k) / N = mu / root.
        pull = mu / root
        yield (
            r"every optimum has these norms: "
            r"$W h_k = \frac{n_k \kappa_k}{N \lambda_W} \lVert h_k \rVert^2\, C e_k$ is $a_k\, C e_k$",
            sp.simplify(sp.sqrt(n) * kappa / total - pull) == 0 and sp.simplify(sp.sqrt(n) * pull * size / lw - a) == 0,
        )
        yield (
            r"and $W = \frac{\mu}{\lambda_W} \sqrt{\frac{K}{K-1}}\, C D^{1/2} H^\top$: centred means, scaled alike",
            sp.simplify(pull / lw - mu / lw * sp.sqrt(k / (k - 1))) == 0,
        )

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
