r"""Dang et al. (2023) and Sukenik et al. (2023): squared error, M linear layers, no bias. [dang2023], [sukenik2023]

Setting: ``(1/2N) ||W_M ... W_1 H - Y||_F^2 + lw/2 sum_m |W_m|^2 + lh/2 |H|^2``, one-hot Y, sizes n_k. The program over the
end-to-end logits is ``||X - D^{1/2}||_F^2 / (2N) + (M+1)/2 (lw^M lh)^{1/(M+1)} sum sigma_i(X)^{2/(M+1)}`` with
``X = Z D^{1/2}``; von Neumann's trace inequality aligns X with the diagonal D^{1/2}, so that it splits class by class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.layers import layer_steps, scalar_steps, tie_steps
from proofs_check.lemmas import averaging_steps
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._balls import working_precision
from ufm.errors import InputError


class Deep(NamedTuple):
    """Class sizes, number of linear layers M, decays of the layers and of H."""

    sizes: tuple[int, ...]
    layers: int
    weight: float
    features: float

    @property
    def strength(self) -> float:
        """``b = M N (N lw^M lh)^{1/M}``."""
        total = sum(self.sizes)
        return self.layers * total * (total * self.weight**self.layers * self.features) ** (1 / self.layers)


def solved(p: Deep, level: str) -> ufm.Solution:
    """The model, by closed form and certificate."""
    regularizer = ufm.WeightDecay(p.weight, p.features)
    problem = ufm.Problem(list(p.sizes), regularizer=regularizer, loss=ufm.SquaredError(), head=ufm.Explicit(p.layers))
    return ufm.solve(problem, level=level)


def steepness(layers: int, x: Any) -> Any:
    """``M x^{M-1} / (x^M + 1)^2`` at a number or a ball."""
    return layers * x ** (layers - 1) / (x**layers + 1) ** 2


def root(layers: int, ratio: float, alive_only: bool = True) -> float:
    """Larger root x of ``ratio = M x^{M-1} / (x^M + 1)^2``, or 0 where there is none or (``alive_only``) 0 is better."""
    power = layers
    turn = ((power - 1) / (power + 1)) ** (1 / power)
    low, high = turn, 1e9

    if steepness(power, low) <= ratio:
        return 0.0
    for _ in range(300):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if steepness(power, middle) > ratio else (low, middle)
    return low if not alive_only or 1 / (low**power + 1) + ratio * low < 1 else 0.0


def strength_ball(p: Deep, depth: int) -> Any:
    """``depth N (N lw^M lh)^{1/M}`` as a ball; b is that at depth M."""
    from flint import arb

    total = sum(p.sizes)
    return depth * total * (total * arb(p.weight) ** p.layers * arb(p.features)) ** (1 / arb(p.layers))


def enclosed_root(layers: int, ratio: Any) -> Any:
    """A ball around the larger root x of ``ratio = M x^{M-1} / (x^M + 1)^2``, from signs at both ends.

    The right side rises, if at all, before it falls: above the ratio at one end and below it at a larger one, it passes the
    larger root in between.
    """
    from flint import arb

    x = arb(root(layers, float(ratio.mid()), alive_only=False))
    for power in (40, 30, 20):
        low, high = x - x / 2**power, x + x / 2**power
        signs = [steepness(layers, end) - ratio for end in (low, high)]
        if signs[0] > 0 and signs[1] < 0:
            return low.union(high)
    raise InputError(f"no root is enclosed for M = {layers} at b/n = {ratio}")


def cost(layers: int, ratio: Any) -> Any:
    """Least ``1/(x^M + 1) + ratio x`` over x >= 0: at zero or at the larger root, as a ball."""
    from flint import arb

    if dead(layers, ratio) > 0:
        return arb(1)
    x = enclosed_root(layers, ratio)
    alive = 1 / (x**layers + 1) + ratio * x
    return alive if alive < 1 else alive.union(arb(1))


def dead(layers: int, ratio: Any) -> float:
    """Proved slack of ``x^{M-1} / (x^M + 1) < ratio`` over all x >= 0, or 0 where it is not proved.

    Then ``1/(x^M + 1) + ratio x - 1 = x (ratio - x^{M-1}/(x^M + 1)) > 0`` for x > 0: only zero is optimal. No critical value
    is used: [0, 1/ratio] is covered by boxes on which the numerator is largest and the denominator least at known ends, and
    beyond it the fraction is below 1/x.
    """
    from flint import arb

    boxes, slack = [(arb(0), 1 / ratio)], arb("inf")
    for _ in range(2000):
        if not boxes:
            return float(slack.lower())
        low, high = boxes.pop()
        room = ratio - high ** (layers - 1) / (low**layers + 1)
        if room > 0:
            slack = slack.min(room)
            continue
        middle = (low + high) / 2
        if not ratio - middle ** (layers - 1) / (middle**layers + 1) > 0:
            return 0.0
        boxes += [(low, middle), (middle, high)]
    return 0.0


def closed_form(p: Deep, wrong: bool = False) -> Enclosure:
    """``sum_k (n_k / 2N) [1 / (x_k^M + 1) + (b / n_k) x_k]``; ``wrong`` takes M + 1 for M in b."""

    def value():
        from flint import arb

        total, b = sum(p.sizes), strength_ball(p, p.layers + wrong)
        return sum((n / (2 * arb(total)) * cost(p.layers, b / n) for n in p.sizes), arb(0))

    return Enclosure.ball(value)


def proved_dead(p: Deep, size: int) -> float:
    """`dead` for a class of that size."""
    with working_precision():
        return dead(p.layers, strength_ball(p, p.layers) / size)


def deep(sizes: tuple[int, ...], layers: int, relative: float) -> Deep:
    """Decays at which the smallest class has ``relative`` times the claimed threshold of b."""
    total = sum(sizes)
    edge = (layers - 1) ** ((layers - 1) / layers) / layers
    target = relative * edge * min(sizes)
    decay = ((target / (layers * total)) ** layers / total) ** (1 / (layers + 1))
    return Deep(sizes, layers, decay, decay)


class OrthogonalFrame(Theorem):
    r"""Squared error through M linear layers: the optimum is a general orthogonal frame with logits
    $\mathrm{diag}\left(x_k^M / (x_k^M + 1)\right)$, where $x_k$ is the larger root of $b/n_k = M x^{M-1}/(x^M+1)^2$ and
    $b = M N (N \lambda_W^M \lambda_H)^{1/M}$.

    The value is $\sum_k \frac{n_k}{2N} \left[1/(x_k^M + 1) + (b/n_k)\, x_k\right]$, with $x_k = 0$ for dead classes. Proof
    here: by von Neumann's trace inequality $\lVert X - D^{1/2} \rVert^2$ is at least that of the singular values, so that the
    sum of the least costs of single classes bounds the objective from below, and the diagonal attains it; in equality X has
    the singular vectors of $D^{1/2}$, and equal classes equal heights, so that it is diagonal, unless two heights tie (B2).
    """

    id = "B1"
    title = "squared error through M linear layers: a general orthogonal frame"
    kind = Kind.TIGHT
    source = cite("dang2023", "deep linear networks on imbalanced data")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of $n_k \ge 1$ samples", lambda p: len(p.sizes) >= 2 and min(p.sizes) >= 1),
        Hypothesis(r"$M \ge 1$ layers", lambda p: p.layers >= 1),
        Hypothesis(r"decays $\lambda_W, \lambda_H > 0$", lambda p: p.weight > 0 and p.features > 0),
    )
    required = "numeric"
    formulas = ("closed_form", "strength_ball", "steepness", "Deep.strength", "heights")

    def grid(self):
        balanced = [Deep((20,) * 5, m, 2e-3, 2e-3) for m in (1, 2, 3)]
        return [*balanced, *(Deep((30, 20, 10, 5), m, 1e-3, 3e-3) for m in (1, 2, 3, 6))]

    @staticmethod
    def heights(x: Any, layers: int) -> Any:
        """Logits ``x^M / (x^M + 1)`` of the classes at their roots."""
        return x**layers / (x**layers + 1.0)

    def check(self, instance: Deep, level: str) -> Iterator[Finding]:
        solution = solved(instance, level)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {instance}", closed_form(instance), found, tolerance=1e-10, level=level)
        x = np.array([root(instance.layers, instance.strength / n) for n in instance.sizes])
        logits = np.asarray(solution.logits)
        distance = float(np.abs(logits - np.diag(self.heights(x, instance.layers))).max())
        expected = Enclosure(0.0, 0.0)
        yield less(f"logits diagonal, {instance}", expected, Enclosure(1e-9 - distance, 1e-9 - distance), level="numeric")

    def steps(self):
        yield from averaging_steps()
        yield from layer_steps()
        yield from scalar_steps()
        yield from tie_steps()

    def control(self, level: str):
        p = Deep((30, 20, 10, 5), 2, 1e-3, 3e-3)
        found = Enclosure.of(solved(p, level).certificate)
        yield equal("b with M + 1 in place of M", closed_form(p, wrong=True), found, tolerance=1e-10, level=level)

    def twin(self, level: str):
        base = Enclosure.of(solved(Deep((30, 20, 10, 5), 2, 1e-3, 3e-3), level).certificate)
        turned = Enclosure.of(solved(Deep((10, 5, 30, 20), 2, 1e-3, 3e-3), level).certificate)
        yield equal("classes relabelled", base, turned, tolerance=1e-10, level=level)
        # b / n depends on N lw^M lh: four times the samples go with decays over 4^{1/(M+1)}.
        factor = 4 ** (-1 / 3)
        copies = Enclosure.of(solved(Deep((120, 80, 40, 20), 2, 1e-3 * factor, 3e-3 * factor), level).certificate)
        yield equal("every sample four times, decays over 4^{1/3} (M = 2)", base, copies, tolerance=1e-9, level=level)

    def outside(self, level: str):
        # With a free bias the frame is no longer orthogonal: contrasts only (M1).
        problem = ufm.Problem([20] * 5, regularizer=ufm.WeightDecay(2e-3, 2e-3, 0.0), loss=ufm.SquaredError())
        solution = ufm.solve(problem, level=level)
        logits = np.asarray(solution.logits) - solution.factors.bias[0]
        off = float(-logits[0, 1])
        yield less("free bias: off-diagonal logits appear", Enclosure(0.0, 0.0), Enclosure(off, off), level="float")


class Edge(NamedTuple):
    """Sizes, layers, and b relative to the claimed threshold of the smallest class."""

    sizes: tuple[int, ...]
    layers: int
    relative: float


def smallest(p: Deep, level: str) -> tuple[Enclosure, str]:
    """Certified value, and whether the smallest class is alive: ``"no"`` where its logits vanish."""
    solution = solved(p, level)
    k = int(np.argmin(p.sizes))
    return Enclosure.of(solution.certificate), "yes" if abs(np.asarray(solution.logits)[k, k]) > 1e-12 else "no"


def survival(p: Deep, level: str, expected: str, what: str) -> Finding:
    """Whether the smallest classes are alive at the optimum, proved either way.

    Alive: the certified value lies below that with the smallest classes dead and the others at their own optimum. Dead: the
    scalar problem of such a class has no minimum but zero (`dead`), and zero is what the solver finds.
    """
    value, found = smallest(p, level)
    n, total = min(p.sizes), sum(p.sizes)

    def without():
        from flint import arb

        b = strength_ball(p, p.layers)
        return sum((v / (2 * arb(total)) * (arb(1) if v == n else cost(p.layers, b / v)) for v in p.sizes), arb(0))

    slack = Enclosure.ball(without).lower - value.upper if found == "yes" else proved_dead(p, n)
    return decided(what, expected, found if slack > 0 else "undecided", margin=slack, level=level)


class DeadClass(Theorem):
    r"""Class k dies iff, for $M = 1$, $N^2 \lambda_W \lambda_H \ge n_k$, or, for $M \ge 2$, $b/n_k > (M-1)^{(M-1)/M} / M$ with
    $b = M N (N \lambda_W^M \lambda_H)^{1/M}$: a first-order jump.

    At the threshold both scalar minima tie. For $M \ge 2$ the logit falls from $(M-1)/M$ to 0. Proof here: classes are
    problems of their own, as in B1, with minima at 0 and at the larger root.
    """

    id = "B2"
    title = "squared error: when a class dies, continuously or by a jump"
    kind = Kind.TIGHT
    source = cite("dang2023", "minority collapse threshold of deep linear networks")
    hypotheses = (
        Hypothesis(r"$K \ge 2$ classes of $n_k \ge 1$ samples", lambda p: len(p.sizes) >= 2 and min(p.sizes) >= 1),
        Hypothesis(r"$M \ge 1$ layers", lambda p: p.layers >= 1),
        Hypothesis(r"a positive b other than the threshold", lambda p: p.relative > 0 and p.relative != 1),
    )
    required = "rigorous"
    formulas = ("closed_form", "strength_ball", "cost", "deep", "alive")

    def grid(self):
        sizes = ((10,) * 4, (30, 20, 10))
        return [Edge(s, m, r) for s in sizes for m in (1, 2, 3) for r in (0.99, 1.01)]

    @staticmethod
    def alive(p: Edge) -> str:
        """What is claimed of the smallest class at a multiple of the threshold."""
        return "yes" if p.relative < 1 else "no"

    def finding(self, instance: Edge, level: str, expected: str) -> Finding:
        p = deep(instance.sizes, instance.layers, instance.relative)
        return survival(p, level, expected, f"alive, {instance}, M={p.layers}")

    def check(self, instance: Edge, level: str) -> Iterator[Finding]:
        yield self.finding(instance, level, self.alive(instance))
        p = deep(instance.sizes, instance.layers, instance.relative)
        yield equal(f"value, {instance}", closed_form(p), smallest(p, level)[0], tolerance=1e-10, level=level)

    def steps(self):
        yield from averaging_steps()
        yield from layer_steps()
        yield from scalar_steps()
        yield from tie_steps()

    def control(self, level: str):
        # The threshold of M = 1 put to M = 2, where the class is long dead.
        yield self.finding(Edge((10,) * 4, 2, 1.0 / 0.5 * 0.99), level, "yes")
        yield self.finding(Edge((10,) * 4, 1, 0.9), level, "no")

    def twin(self, level: str):
        a = smallest(deep((10,) * 4, 2, 0.99), level)[0]
        b = smallest(deep((40,) * 4, 2, 0.99), level)[0]
        yield equal("every sample four times at the same b/n", a, b, tolerance=1e-9, level=level)

    def outside(self, level: str):
        # A statement about global minima: just above the threshold the other stationary point is still there, and worse.
        p = deep((10,) * 4, 2, 1.01)
        x = root(2, p.strength / 10, alive_only=False)
        other = 0.5 * (1 / (x**2 + 1) + p.strength / 10 * x)
        yield less(
            "M = 2 above the threshold: a separated stationary point exists, above the dead one",
            smallest(p, level)[0], Enclosure(other - 1e-13, other), level="float",
        )  # fmt: skip


class Binary(Theorem):
    r"""Two balanced classes through L linear layers are fitted at all iff
    $n\, \lambda_H \prod_l \lambda_{W_l} < (L-1)^{L-1} / (2^{L+1} L^{2L})$.

    This is B2 at $K = 2$, $M = L$.
    """

    id = "M3"
    title = "two classes, deep squared error: the decay at which everything vanishes"
    kind = Kind.TIGHT
    source = cite("sukenik2023", "deep neural collapse for two classes")
    hypotheses = (
        Hypothesis(r"two classes of one size", lambda p: len(p.sizes) == 2 and p.sizes[0] == p.sizes[1] >= 1),
        Hypothesis(r"$L \ge 2$ layers", lambda p: p.layers >= 2),
        Hypothesis(r"a positive decay other than the threshold", lambda p: p.relative > 0 and p.relative != 1),
    )
    required = "rigorous"
    formulas = ("decay", "alive")

    @staticmethod
    def decay(n: int, layers: int, relative: float) -> float:
        """Equal decays at which ``n lh lw^L`` is ``relative`` times the claimed threshold."""
        edge = (layers - 1) ** (layers - 1) / (2 ** (layers + 1) * layers ** (2 * layers))
        return (relative * edge / n) ** (1 / (layers + 1))

    def grid(self):
        return [Edge((n, n), layers, r) for n in (3, 50) for layers in (2, 3, 4) for r in (0.98, 1.02)]

    def alive(self, instance: Edge, level: str) -> Finding:
        sizes, layers, relative = instance
        decay = self.decay(sizes[0], layers, relative)
        expected = "yes" if relative < 1 else "no"
        what = f"alive, n={sizes[0]}, L={layers}, {relative} of the threshold"
        return survival(Deep(sizes, layers, decay, decay), level, expected, what)

    def check(self, instance: Edge, level: str) -> Iterator[Finding]:
        yield self.alive(instance, level)
        sizes, layers, relative = instance
        if relative > 1:
            p = Deep(sizes, layers, *[self.decay(sizes[0], layers, relative)] * 2)
            # Everything zero costs exactly 1/2.
            yield equal(f"value 1/2, {instance}", Enclosure(0.5, 0.5), smallest(p, level)[0], tolerance=1e-12, level=level)

    def steps(self):
        import sympy as sp

        yield from averaging_steps()
        yield from layer_steps()
        yield from scalar_steps()
        yield from tie_steps()
        n, layers, product = sp.symbols("n L p", positive=True)
        # B2 at K = 2, N = 2n: L 2n (2n p)^{1/L} / n < (L-1)^{(L-1)/L} / L, raised to the power L.
        left = (2 * layers) ** layers * 2 * n * product
        right = (layers - 1) ** (layers - 1) / layers**layers
        claimed = (layers - 1) ** (layers - 1) / (2 ** (layers + 1) * layers ** (2 * layers))
        solution = sp.solve(sp.Eq(left, right), product)[0] * n
        yield (
            "B2 at $K = 2$ is this threshold",
            sp.simplify(sp.powsimp(sp.expand_power_base(solution / claimed), force=True)) == 1,
        )

    def control(self, level: str):
        # The threshold without the factor 2 (2^L in place of 2^{L+1}): claims life at 1.9 times the true threshold.
        p = Deep((50, 50), 3, *[self.decay(50, 3, 1.9)] * 2)
        yield survival(p, level, "yes", "threshold twice as large")

    def twin(self, level: str):
        a = smallest(Deep((50, 50), 3, *[self.decay(50, 3, 0.9)] * 2), level)[0]
        b = smallest(Deep((3, 3), 3, *[self.decay(3, 3, 0.9)] * 2), level)[0]
        yield equal("another n at the same product", a, b, tolerance=1e-9, level=level)

    def outside(self, level: str):
        # Unequal sizes: the larger class outlives the threshold of the balanced pair.
        n, layers = 50, 3
        decay = self.decay(n, layers, 1.02)
        solution = solved(Deep((70, 30), layers, decay, decay), level)
        value = Enclosure.of(solution.certificate)
        yield less("70 and 30 of 100: not everything vanishes", value, Enclosure(0.5 - 1e-12, 0.5), level=level)
