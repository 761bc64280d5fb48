r"""Andriopoulos et al. (2024): regression on free features. [andriopoulos2024]

Setting: ``(1/2M) ||W H + b 1' - Y||_F^2 + lH/(2M) |H|^2 + lW/2 |W|^2`` with M samples and a free bias, ``c = lW lH``. In the
convention of this package lh is ``lH/M``. With several samples of a target the mean is over all N, and ``c = N lw lh``.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any, NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._arrays import Floats

TARGETS: dict[str, list[list[float]]] = {
    "axes": [[2, 2, 2, 2, -2, -2, -2, -2], [1, 1, -1, -1, 1, 1, -1, -1], [0.5, -0.5, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5]],
    "cloud": [
        [3, -1, 4, 1, -5, 9, 2, -6, 5],
        [3, 5, -8, 9, 7, 9, 3, 2, 3],
        [8, 4, 6, -2, 6, 4, 3, 3, 8],
        [3, 2, 7, 9, 5, 0, 2, 8, 8],
    ],
    "few": [[1, 4, 2], [5, 0, 3], [2, 2, 8], [-1, 3, 1], [0, 6, 5]],
    "one": [[2, 7, 1, 8, 2.5], [8, 1, 8, 2, 8]],
}
"""Targets by name: covariance diag(4, 1, 1/4); more samples than rows, with a mean; more rows than samples; two rows."""
DEAD = 1e-5
"""Singular value below which a direction counts as dead."""


class Regression(NamedTuple):
    """Name of the targets, lW and lH."""

    targets: str
    weight: float
    features: float

    @property
    def columns(self) -> Floats:
        """(K, M)"""
        return np.array(TARGETS[self.targets], dtype=float)

    @property
    def decay(self) -> ufm.WeightDecay:
        """In the convention of the package, with a free bias."""
        return ufm.WeightDecay(self.weight, self.features / self.columns.shape[1], 0.0)


def solved(columns: Floats, sizes: Any, regularizer: ufm.WeightDecay, level: str, **options: Any) -> ufm.Solution:
    """The model with squared error on a table of targets."""
    problem = ufm.Problem(ufm.TargetTable(columns, sizes), regularizer=regularizer, loss="mse", **options)
    return ufm.solve(problem, level=level)


def spectrum(columns: Floats, sizes: Any, centred: bool = True) -> list[Any]:
    """Eigenvalues of the covariance of exact targets, as balls; ``centred=False`` takes second moments instead."""
    from flint import acb_mat, arb

    rows, total = len(columns), sum(sizes)
    mean = [sum((n * arb(y) for n, y in zip(sizes, row, strict=True)), arb(0)) / total for row in columns.tolist()]
    away = [[arb(y) - (m if centred else 0) for y in row] for row, m in zip(columns.tolist(), mean, strict=True)]
    entries = [
        [sum((n * a * b for n, a, b in zip(sizes, one, two, strict=True)), arb(0)) / total for two in away] for one in away
    ]
    found = acb_mat([[entries[i][j] for j in range(rows)] for i in range(rows)]).eig(multiple=True)
    return sorted((value.real for value in found), key=lambda ball: -float(ball.mid()))


def strength(total: int, regularizer: ufm.WeightDecay) -> Any:
    """``c = N lw lh`` as a ball."""
    from flint import arb

    return total * arb(regularizer.weight) * arb(regularizer.features)


def least(eigenvalues: list[Any], c: Any, wrong: bool = False) -> Any:
    """``sum_i sqrt(c l_i) - c/2`` where ``l_i > c``, else ``l_i/2``; ``wrong`` takes the first everywhere."""
    from flint import arb

    found = arb(0)
    for value in eigenvalues:
        found += (c * value).sqrt() - c / 2 if wrong or value > c else value / 2
    return found


def enclosed_singular(solution: ufm.Solution) -> tuple[Floats, float]:
    """Singular values of the optimum's ``Z S`` without its bias, largest first, up to one error bound for all."""
    sizes = np.array(solution.program.sizes, dtype=float)
    logits = np.asarray(solution.logits)
    centred = logits - (logits @ sizes / sizes.sum())[:, None]
    wide = sqrt(2 * sizes.sum() * Enclosure.of(solution.certificate).width)
    found = np.linalg.svd(centred * np.sqrt(sizes), compute_uv=False)
    return np.asarray(found, dtype=np.float64), wide + 1e-11 * (1 + float(found[0]))


class Directions(Theorem):
    r"""Regression with a free bias, for every $c = \lambda_W \lambda_H$: the value is
    $\sum_{l_i > c} \left(\sqrt{c\, l_i} - c/2\right) + \sum_{l_i \le c} l_i/2$ over the eigenvalues $l_i$ of the covariance
    of the targets.

    Directions of the targets die one by one as c passes their variance; those that live are shrunk to singular values
    $\sqrt{M} (\sqrt{l_i} - \sqrt{c})$. With $c < l_K$ this is Theorem 4.1 of the paper.

    Proof here: with the best bias the loss is that of centred logits and centred targets, and centring raises no singular
    value. The singular directions of the centred targets, with $y_i = \sqrt{M l_i}$, carry both
    $Z = \sum_i (y_i - M \mu)^+$ and the slopes $\sum_i \min(y_i / M, \mu)$: a dual point of norm at most $\mu$, aligned
    with Z.
    """

    id = "X6"
    title = "regression: directions of the targets die one by one"
    kind = Kind.TIGHT
    source = cite("andriopoulos2024", "for every c derived here", "Theorem 4.1")
    hypotheses = (
        Hypothesis(r"decays $\lambda_W, \lambda_H > 0$", lambda p: p.weight > 0 and p.features > 0),
        Hypothesis(r"targets that are not all equal", lambda p: float(np.ptp(p.columns, axis=1).max()) > 0),
    )
    required = "rigorous"
    formulas = ("least", "strength", "spectrum", "living")

    def grid(self):
        axes = [Regression("axes", c, 1.0) for c in (0.01, 0.5, 0.245, 0.255, 0.98, 1.02, 3.92, 4.08)]
        cloud = [Regression("cloud", w, h) for w, h in ((0.1, 0.3), (2.0, 3.0), (6.0, 4.0))]
        return [*axes, *cloud, Regression("few", 0.2, 0.1), Regression("few", 2.0, 3.0), Regression("one", 0.5, 0.5)]

    @staticmethod
    def closed_form(p: Regression, centred: bool = True, wrong: bool = False) -> Enclosure:
        m = p.columns.shape[1]
        return Enclosure.ball(lambda: least(spectrum(p.columns, [1] * m, centred), strength(m, p.decay), wrong))

    @staticmethod
    def solved(p: Regression, level: str) -> ufm.Solution:
        return solved(p.columns, [1] * p.columns.shape[1], p.decay, level)

    @staticmethod
    def living(p: Regression, place: int) -> Any:
        """``sqrt(M) (sqrt(l_i) - sqrt(c))^+`` as a ball, largest first."""
        from flint import arb

        m = p.columns.shape[1]
        c, eigenvalues = strength(m, p.decay), spectrum(p.columns, [1] * m)
        alive = place < len(eigenvalues) and eigenvalues[place] > c
        return arb(m).sqrt() * (eigenvalues[place].sqrt() - c.sqrt()) if alive else arb(0)

    def check(self, instance: Regression, level: str) -> Iterator[Finding]:
        solution = self.solved(instance, level)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {instance}", self.closed_form(instance), found, tolerance=1e-10, level=level)
        singular, wide = enclosed_singular(solution)
        for i, value in enumerate(singular):
            claim = Enclosure.ball(lambda i=i: self.living(instance, i))
            what = f"direction {i + 1}, {instance}"
            if claim.upper > 0:
                yield equal(what, claim, Enclosure(value - wide, value + wide), tolerance=1e-3, level=level)
            else:
                dead = "yes" if value + wide < DEAD else "no" if value - wide > DEAD else "undecided"
                yield decided(f"{what} is dead", "yes", dead, margin=abs(DEAD - value - wide), level=level)

    def steps(self):
        import sympy as sp

        m, c, size, z = sp.symbols("M c l z", positive=True)
        y, mu = sp.sqrt(m * size), sp.sqrt(c / m)
        price = (z - y) ** 2 / (2 * m) + mu * z
        top = sp.sqrt(m) * (sp.sqrt(size) - sp.sqrt(c))
        yield r"shrunk to $\sqrt{M} (\sqrt{l} - \sqrt{c})$", sp.simplify(sp.diff(price, z).subs(z, top)) == 0
        yield r"value $\sqrt{c\, l} - c/2$", sp.simplify(sp.expand(price.subs(z, top) - (sp.sqrt(c * size) - c / 2))) == 0
        yield r"the slope of a living direction is $\mu$", sp.simplify((y - top) / m - mu) == 0
        yield r"the slope of a dead one is at most $\mu$ iff $l \le c$", sp.simplify((y / m) ** 2 - mu**2 - (size - c) / m) == 0
        g = sp.Symbol("g", positive=True)
        dual = g * y - m * g**2 / 2
        yield "no gap alive", sp.simplify(sp.expand(dual.subs(g, mu) - (sp.sqrt(c * size) - c / 2))) == 0
        yield "no gap dead", sp.simplify(dual.subs(g, y / m) - size / 2) == 0
        # Conjugate of the loss along a direction: (z - y)^2/(2M) >= -g z + g y - M g^2/2, with equality at g = (y - z)/M.
        tangent = (z - y) ** 2 / (2 * m) - (-g * z + dual)
        yield "weak duality is a square", sp.simplify(sp.expand(tangent - (z - y + m * g) ** 2 / (2 * m))) == 0
        square, mean, bias = sp.symbols("D delta b", real=True)
        # One row of Z - Y with sum of squares D and mean delta, shifted by b.
        shifted = square + 2 * bias * m * mean + m * bias**2
        yield "the best bias centres", sp.expand(shifted - (square - m * mean**2) - m * (bias + mean) ** 2) == 0

    def control(self, level: str):
        p = Regression("cloud", 2.0, 3.0)
        found = Enclosure.of(self.solved(p, level).certificate)
        yield equal(
            "second moments in place of covariances", self.closed_form(p, centred=False), found, tolerance=1e-10, level=level
        )
        p = Regression("axes", 0.5, 1.0)
        found = Enclosure.of(self.solved(p, level).certificate)
        yield equal(
            "sqrt(c l) - c/2 for dead directions too", self.closed_form(p, wrong=True), found, tolerance=1e-10, level=level
        )

    def twin(self, level: str):
        p = Regression("cloud", 2.0, 3.0)
        base, columns = Enclosure.of(self.solved(p, level).certificate), p.columns
        turned = (np.eye(4) - 0.5) @ columns + np.array([[7.0], [-3.0], [0.5], [100.0]])  # a reflection, exact in float64
        moved = solved(turned, [1] * 9, ufm.WeightDecay(3.0, 2.0 / 9, 0.0), level)
        what = "targets reflected and shifted, decays exchanged"
        yield equal(what, base, Enclosure.of(moved.certificate), tolerance=1e-10, level=level)
        # Decay per sample: four samples of each target, lh a quarter.
        more = solved(columns, [4] * 9, ufm.WeightDecay(2.0, 3.0 / 36, 0.0), level)
        yield equal("every sample four times", base, Enclosure.of(more.certificate), tolerance=1e-10, level=level)
        double = solved(np.vstack([columns, columns]), [1] * 9, ufm.WeightDecay(4.0, 3.0 / 9, 0.0), level)
        half = Enclosure(double.certificate.lower / 2, double.certificate.upper / 2)
        yield equal("every row twice, c doubled: twice the value", base, half, tolerance=1e-10, level=level)

    def outside(self, level: str):
        p = Regression("cloud", 2.0, 3.0)
        without = solved(p.columns, [1] * 9, ufm.WeightDecay(2.0, 3.0 / 9), level)
        moments = self.closed_form(p, centred=False)
        yield equal("no bias: second moments", moments, Enclosure.of(without.certificate), tolerance=1e-10, level=level)
        charged = solved(p.columns, [1] * 9, ufm.WeightDecay(2.0, 3.0 / 9, 0.1), level)
        yield less("bias with a decay: more", self.closed_form(p), Enclosure.of(charged.certificate), level=level)
        narrow = solved(p.columns, [1] * 9, p.decay, "float", dim=1)
        yield less(
            "one feature dimension: more",
            self.closed_form(p), Enclosure(narrow.value, narrow.value), level="numeric",
        )  # fmt: skip


class Classes(NamedTuple):
    """Class sizes, decay of W and H."""

    counts: tuple[int, ...]
    decay: float


class OneHot(Theorem):
    r"""One-hot squared error with a free bias, any class sizes: the covariance of the targets is
    $\mathrm{diag}(\pi) - \pi \pi^\top$ and $c = N \mu^2$, so that the value is
    $\sum_{l_i > c} \left(\sqrt{c\, l_i} - c/2\right) + \sum_{l_i \le c} l_i/2$ (X6), and two classes of one size $n_B$
    merge iff $\sqrt{n_B} \le N \mu$.

    They differ in a direction with eigenvalue $n_B/N$. With two groups of $K_A$ and $K_B$ classes the eigenvalues are
    $\pi_A$ ($K_A - 1$ times), $\pi_B$ ($K_B - 1$ times), $K \pi_A \pi_B$ and 0.
    """

    id = "X7"
    title = "squared error with free bias, any class sizes: value and minority collapse"
    kind = Kind.TIGHT
    source = cite("andriopoulos2024", "at one-hot targets; derived here", "Theorem 4.1")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of $n_k \ge 1$ samples", lambda p: len(p.counts) >= 2 and min(p.counts) >= 1),
        Hypothesis(r"a decay $\mu > 0$", lambda p: p.decay > 0),
    )
    required = "rigorous"
    formulas = ("least", "strength", "spectrum", "merges")

    def grid(self):
        tabulated = [Classes((200, 100, 50, 50), 5e-4), Classes((200, 100, 50, 50), 1e-3), Classes((9, 9, 9), 0.02)]
        cases = ((200, 100, 50, 50), (80, 80, 20, 20, 20))
        edges = [Classes(n, x * sqrt(min(n)) / sum(n)) for n in cases for x in (0.99, 1.01)]
        return [*tabulated, *edges, Classes((300, 40, 7, 2), 2e-3)]

    @staticmethod
    def solved(p: Classes, level: str, bias: float | None = 0.0) -> ufm.Solution:
        regularizer = ufm.WeightDecay(p.decay, p.decay, bias)
        return ufm.solve(ufm.Problem(list(p.counts), regularizer=regularizer, loss=ufm.SquaredError()), level=level)

    @staticmethod
    def closed_form(p: Classes, centred: bool = True) -> Enclosure:
        regularizer = ufm.WeightDecay(p.decay, p.decay, 0.0)
        total, eye = sum(p.counts), np.eye(len(p.counts))
        return Enclosure.ball(lambda: least(spectrum(eye, p.counts, centred), strength(total, regularizer)))

    @staticmethod
    def merged(what: str, expected: str, solution: ufm.Solution, level: str) -> Finding:
        found = ufm.collapse(solution)
        margin = found.lower if found.verdict == "no" else found.tolerance - found.upper
        return decided(what, expected, found.verdict, margin=margin, level=level)

    @staticmethod
    def merges(p: Classes) -> str:
        """Whether the smallest classes are claimed to merge."""
        return "yes" if sqrt(min(p.counts)) <= sum(p.counts) * p.decay else "no"

    def check(self, instance: Classes, level: str) -> Iterator[Finding]:
        solution = self.solved(instance, level)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {instance}", self.closed_form(instance), found, tolerance=1e-10, level=level)
        smallest = min(instance.counts)
        if instance.counts.count(smallest) > 1:
            yield self.merged(f"smallest classes merge, {instance}", self.merges(instance), solution, level)

    def steps(self):
        import sympy as sp

        n, total, mu, a, b, k, j = sp.symbols("n N mu pi_A pi_B K_A K_B", positive=True)
        yield (
            r"$n_B/N \le N \mu^2$ iff $\sqrt{n_B} \le N \mu$",
            sp.simplify((n / total - total * mu**2) * total - (n - (total * mu) ** 2)) == 0,
        )
        # diag(pi) - pi pi' on e_i - e_j for two classes with pi_i = pi_j = pi_B: the rows i and j, and any other row.
        shares, apart = sp.Matrix([b, b, sp.Symbol("pi_k", positive=True)]), sp.Matrix([1, -1, 0])
        image = (sp.diag(*shares) - shares * shares.T) * apart
        yield r"$e_i - e_j$ has the eigenvalue $\pi_B$", (image - b * apart).expand() == sp.zeros(3, 1)
        # On the sums of groups, orthonormal: diag(pi) - v v' with v_g = sqrt(K_g) pi_g.
        v = sp.Matrix([sp.sqrt(k) * a, sp.sqrt(j) * b])
        reduced = (sp.diag(a, b) - v * v.T).subs(a, (1 - j * b) / k)
        yield "two groups: one direction of eigenvalue zero", sp.simplify(reduced.det()) == 0
        yield r"and one of $K \pi_A \pi_B$", sp.simplify(reduced.trace() - ((k + j) * a * b).subs(a, (1 - j * b) / k)) == 0
        variance, share, cross = sp.symbols("pi_i p pi_j", positive=True)
        # E y_i^2 = E y_i = pi_i and y_i y_j = 0.
        away = [variance * (1 - variance) ** 2 + (1 - variance) * variance**2, -share * cross]
        yield (
            "covariance of one-hot labels",
            sp.simplify(away[0] - variance + variance**2) == 0 and away[1] == 0 - share * cross,
        )
        size, c = sp.symbols("l c", positive=True)
        yield "continuous where a direction dies", sp.simplify((sp.sqrt(c * size) - c / 2 - size / 2).subs(size, c)) == 0

    def control(self, level: str):
        p = Classes((200, 100, 50, 50), 5e-4)
        found = Enclosure.of(self.solved(p, level).certificate)
        yield equal("diag(pi) without - pi pi'", self.closed_form(p, centred=False), found, tolerance=1e-10, level=level)
        p = Classes((200, 100, 50, 50), 0.9 * sqrt(50) / 400)
        yield self.merged("merged from 0.9 of the threshold on", "yes", self.solved(p, level), level)

    def twin(self, level: str):
        p = Classes((200, 100, 50, 50), 5e-4)
        base = Enclosure.of(self.solved(p, level).certificate)
        more = Enclosure.of(self.solved(Classes((50 * 4, 800, 50 * 4, 400), 2.5e-4), level).certificate)
        yield equal("classes relabelled, every sample four times, decays halved", base, more, tolerance=1e-10, level=level)
        padded = solved(np.vstack([np.eye(4), np.zeros((1, 4))]), p.counts, ufm.WeightDecay(5e-4, 5e-4, 0.0), level)
        what = "as a table, with an output that is always zero"
        yield equal(what, base, Enclosure.of(padded.certificate), tolerance=1e-10, level=level)

    def outside(self, level: str):
        p = Classes((200, 100, 50, 50), 5e-4)
        plain = Enclosure.of(self.solved(p, level, None).certificate)
        yield equal("no bias: diag(pi)", self.closed_form(p, centred=False), plain, tolerance=1e-10, level=level)
        charged = Enclosure.of(self.solved(p, level, 0.1).certificate)
        yield less("bias with a decay: more", self.closed_form(p), charged, level=level)
        # Beyond the threshold of size 40, but alone in it: logits of class 3 by samples of class 2 and by its own.
        alone = self.solved(Classes((200, 100, 60, 40), 1.5 * sqrt(40) / 400), level)
        logits, gap = np.asarray(alone.logits), Enclosure.of(alone.certificate).width
        ends = (
            Enclosure(logits[3, k] - wide, logits[3, k] + wide)
            for k, wide in ((2, sqrt(2 * gap * 400 / 60) + 1e-12), (3, sqrt(2 * gap * 400 / 40) + 1e-12))
        )
        smaller, larger = sorted(ends, key=lambda e: e.lower)
        yield less("a single smallest class does not merge with the next", smaller, larger, level=level)
