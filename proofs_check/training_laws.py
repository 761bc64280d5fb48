r"""Two laws of training: the sum of the classifier's rows, and starts whose singular vectors never move.

[arxiv2602.16642, arxiv2512.04006]; proofs: docs/theory, Propositions 13.11 and 13.12.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

import ufm
from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, equal, less
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._arrays import Floats
from ufm._balls import outward
from ufm.training import SGD, Adam, Decay, Equilibrium, Network, Optimizer, Stack, mixture

CLASSIFIER = "classifier.weight"
ROUNDING = 1e-12
"""Relative error, generously, of a sum of rows after a few hundred steps in float64."""
CENTRED = 1e-9
"""Relative error up to which the law is compared: momentum adds the rounding of all gradients."""


class Run(NamedTuple):
    """A short training run: body, momentum, learning rate and its schedule, decay of the classifier, seed."""

    body: str
    momentum: float
    rate: float
    schedule: str
    decay: float
    seed: int = 0


STEPS = 60
"""Optimisation steps of a run."""


@cache
def trained(p: Run, adaptive: str = "", shuffled: bool = False) -> tuple[float, Floats]:
    """Norm of the row sum of the classifier after a run on imbalanced data, and the row sum at the start.

    ``adaptive`` is "" (SGD), "coupled" (Adam, the decay inside its gradient) or "decoupled" (Adam, then a multiplication of the
    classifier by one minus learning rate times decay); ``shuffled`` trains on random labels.
    """
    data = mixture(ufm.ClassCounts.of([40, 40, 10, 10, 10]), random_state=p.seed)
    labels = np.random.default_rng(p.seed).permutation(data.y) if shuffled else data.y
    inside = 0.0 if adaptive == "decoupled" else p.decay
    body = Equilibrium() if p.body == "equilibrium" else Stack()
    network = Network(data.x.shape[1], 12, 5, body, Decay(classifier=inside, features=1e-4))
    options = {"learning_rate": p.rate, "schedule": p.schedule}
    optimizer: Optimizer = Adam(**options) if adaptive else SGD(momentum=p.momentum, **options)  # type: ignore[arg-type]
    parameters, memory = network.projected(network.initial(p.seed)), {}
    start = parameters[CLASSIFIER].sum(axis=0)
    rows = np.random.default_rng(p.seed).integers(len(labels), size=(STEPS, 25))
    for step, batch in enumerate(rows):
        found = network.evaluate(parameters, data.x[batch], labels[batch], len(labels))
        parameters, memory = optimizer.step(parameters, found.gradients, memory, step / STEPS)
        if adaptive == "decoupled":
            shrink = 1 - optimizer.learning_rate_at(step / STEPS) * p.decay
            parameters = parameters | {CLASSIFIER: parameters[CLASSIFIER] * shrink}
        parameters = network.projected(parameters)
    return float(np.linalg.norm(parameters[CLASSIFIER].sum(axis=0))), start


def law(p: Run, factor: float = 1.0) -> Enclosure:
    """Norm of the row sum that the law predicts from the start alone; ``factor`` multiplies the decay."""
    _, total = trained(p)
    optimizer, velocity = SGD(learning_rate=p.rate, schedule=p.schedule), np.zeros_like(total)
    for step in range(STEPS):
        velocity = p.momentum * velocity + factor * p.decay * total
        total = total - optimizer.learning_rate_at(step / STEPS) * velocity
    return around(float(np.linalg.norm(total)))


def around(value: float) -> Enclosure:
    """A number with its rounding error."""
    return Enclosure(value * (1 - ROUNDING), value * (1 + ROUNDING))


class RowSums(Theorem):
    r"""With cross-entropy the sum r of the classifier's rows obeys $r \leftarrow (1 - \eta \lambda)\, r$ in stochastic
    gradient descent, whatever the data.

    With momentum $\theta$: $q \leftarrow \theta q + \lambda r$, $r \leftarrow r - \eta q$. Adaptive steps (Adam) break it,
    with coupled and with decoupled decay.

    Proof here: probabilities and targets both sum to one, so that the rows of the loss gradient sum to zero. The comparison
    trains networks of this package: float64, level "numeric".
    """

    id = "X14"
    title = "the sum of the classifier's rows decays at a rate that the data cannot change"
    kind = Kind.IDENTITY
    source = cite("arxiv2602.16642", "NC0 law; docs/theory, Proposition 13.11")
    hypotheses = (
        Hypothesis(r"a learning rate $\eta > 0$", lambda p: p.rate > 0),
        Hypothesis(r"a decay $\lambda \ge 0$", lambda p: p.decay >= 0),
        Hypothesis(r"momentum $0 \le \theta < 1$", lambda p: 0 <= p.momentum < 1),
    )
    required = "numeric"
    formulas = ("law",)

    def grid(self):
        return [
            Run("stack", 0.0, 0.1, "constant", 0.05),
            Run("equilibrium", 0.0, 0.05, "cosine", 0.1),
            Run("stack", 0.9, 0.02, "constant", 0.03),
            Run("equilibrium", 0.9, 0.02, "cosine", 0.05, seed=3),
            Run("stack", 0.0, 0.1, "constant", 0.0),
        ]

    def check(self, instance: Run, level: str) -> Iterator[Finding]:
        found = around(trained(instance)[0])
        yield equal(f"norm of the row sum, {instance}", law(instance), found, tolerance=CENTRED, level="numeric")

    def steps(self):
        import sympy as sp

        k, d = sp.symbols("K d", positive=True, integer=True)
        eta, lam, theta, mass = sp.symbols("eta lambda theta S", positive=True)
        ones = sp.MatrixSymbol("o", 1, k)
        w, g, v = (sp.MatrixSymbol(name, k, d) for name in "WGV")
        residual = sp.Symbol("S_t", positive=True)  # sum of the targets
        yield "a column of probabilities minus targets sums to 1 - 1", (mass / mass - residual).subs(residual, 1) == 0
        step = (ones * (w - eta * (g + lam * w))).doit()
        wanted = (ones * w) * (1 - eta * lam) - eta * (ones * g)
        yield "a step: (1 - eta lambda) r minus eta times the gradient's row sum", _same(step, wanted)
        velocity = theta * v + g + lam * w
        moved = (ones * (w - eta * velocity)).doit()
        wanted = ones * w - eta * (theta * (ones * v) + lam * (ones * w)) - eta * (ones * g)
        yield "with momentum", _same(moved, wanted)
        yield "a first step of Adam on one sample moves r by -eta (K - 2)", sp.expand(-eta * ((k - 1) - 1) + eta * (k - 2)) == 0

    def control(self, level: str):
        p = Run("stack", 0.0, 0.1, "constant", 0.05)
        found = around(trained(p)[0])
        yield equal("half the decay", law(p, 0.5), found, tolerance=CENTRED, level="numeric")
        heavy = Run("stack", 0.9, 0.02, "constant", 0.03)
        plain = law(heavy._replace(momentum=0.0))
        yield equal("the law without momentum", plain, around(trained(heavy)[0]), tolerance=CENTRED, level="numeric")

    def twin(self, level: str):
        for p in (Run("stack", 0.0, 0.1, "constant", 0.05), Run("equilibrium", 0.9, 0.02, "cosine", 0.05, seed=3)):
            found = around(trained(p, shuffled=True)[0])
            yield equal(f"labels shuffled, {p.body}", law(p), found, tolerance=CENTRED, level="numeric")

    def outside(self, level: str):
        p = Run("stack", 0.0, 0.01, "constant", 0.05)
        for adaptive in ("coupled", "decoupled"):
            moved = around(abs(trained(p, adaptive)[0] - law(p).lower) / law(p).lower)
            yield less(
                f"Adam with {adaptive} decay: off by more than a hundredth", Enclosure(0.01, 0.01), moved, level="numeric"
            )


def _same(one: Any, other: Any) -> bool:
    """Whether two matrix expressions are equal after multiplying out."""
    import sympy as sp

    difference = sp.expand(one) - sp.expand(other)
    return bool(sp.simplify(sp.expand(difference.doit())).is_ZeroMatrix)


BITS = 1500
"""Working precision of the descent: balls grow by a factor in each of some hundred steps."""


class Start(NamedTuple):
    """Binary digits of the number of classes, decay, steps and learning rate of gradient descent, kind of start."""

    digits: int
    decay: float
    steps: int
    rate: float
    start: str = "hadamard"


def hadamard(digits: int) -> Floats:
    """Sylvester's matrix of order ``2^digits``, entries 1 and -1, as (K, K) float64."""
    found = np.ones((1, 1))
    for _ in range(digits):
        found = np.block([[found, found], [found, -found]])
    return found


def reflection(vector: list[int]) -> Any:
    """``I - 2 v v' / v'v`` as a matrix of balls."""
    from flint import arb, arb_mat

    square = sum(v * v for v in vector)
    return arb_mat([[arb(i == j) - arb(2 * a * b) / square for j, b in enumerate(vector)] for i, a in enumerate(vector)])


LEFT = 1e-8
"""Share of the objective by which a descent that has stopped is above its limit, at most."""


class End(NamedTuple):
    """Where gradient descent ends, in balls: enclosures.

    Attributes
    ----------
    objective : Enclosure, nats
    turned : Enclosure, largest entry off the diagonal of ``U' W V``, in absolute value, over the largest entry on it
    """

    objective: Enclosure
    turned: Enclosure


@cache
def descended(p: Start, weights: tuple[int, ...] | None = None, mirror: int = 1) -> End:
    """Gradient descent in ball arithmetic from ``W = U diag(w) V'``, ``H = V diag(w) U'``; ``mirror`` chooses V.

    U is the normalised Sylvester matrix, or a reflection times it where the start is not "hadamard"; ``weights`` are sizes of
    the classes, equal ones by default.
    """
    from flint import arb, arb_mat, ctx

    k = 2**p.digits
    sizes = weights or (1,) * k
    with ctx.workprec(BITS):
        u = arb_mat(hadamard(p.digits).astype(int).tolist()) * (1 / arb(k).sqrt())
        if p.start != "hadamard":
            u = reflection(list(range(1, k + 1))) * u
        v = reflection([(mirror * i) % 7 + 1 for i in range(k)])
        scale = [arb(1) / 64] + [arb(20 + 3 * i) / 32 for i in range(1, k)]
        diagonal = arb_mat([[scale[i] if i == j else arb(0) for j in range(k)] for i in range(k)])
        w, h = u * diagonal * v.transpose(), v * diagonal * u.transpose()
        share = [arb(n) / sum(sizes) for n in sizes]
        keep = 1 - arb(p.rate) * arb(p.decay)
        for _ in range(p.steps):
            slope = _slopes(w * h, share)[0] * arb(p.rate)
            w, h = w * keep - slope * h.transpose(), h * keep - w.transpose() * slope
        loss = _slopes(w * h, share)[1]
        squares = sum((x * x for m in (w, h) for x in m.entries()), arb(0))
        inside = u.transpose() * w * v
        off = arb(0)
        for i in range(k):
            for j in range(k):
                off = off.max(abs(inside[i, j])) if i != j else off
        on = arb(0)
        for i in range(k):
            on = on.max(abs(inside[i, i]))
        return End(Enclosure(*outward(loss + arb(p.decay) / 2 * squares)), Enclosure(*outward(off / on)))


def near(end: End) -> Enclosure:
    """The objective where the descent stopped, up to what it may still fall."""
    return Enclosure(end.objective.lower * (1 - LEFT), end.objective.upper)


def _slopes(logits: Any, share: list[Any]) -> tuple[Any, Any]:
    """``(P - I) diag(share)`` and the loss at logits, a (K, K) matrix of balls with one column for each class."""
    from flint import arb, arb_mat

    k = len(share)
    mass = [[logits[j, c].exp() for c in range(k)] for j in range(k)]
    total = [sum((mass[j][c] for j in range(k)), arb(0)) for c in range(k)]
    slopes = arb_mat([[share[c] * (mass[j][c] / total[c] - (j == c)) for c in range(k)] for j in range(k)])
    return slopes, sum((share[c] * (total[c].log() - logits[c, c]) for c in range(k)), arb(0))


class HadamardStart(Theorem):
    r"""K a power of two, balanced: from a Hadamard start $W = U \mathrm{diag}(w) V^\top$, $H = V \mathrm{diag}(h) U^\top$,
    with U the normalised Sylvester matrix and V any orthogonal matrix, the singular vectors of W and H never move, and
    training reaches NC.

    Gradient flow and gradient descent keep this form. For $w = h > 0$ and a positive decay the flow tends to the optimum
    over all W and H, a multiple of the simplex ETF, and its objective at time t is above the optimum by at most a constant
    over t.

    Proof here: matrices that U diagonalises are functions of ``j xor k``; the exponential, entry by entry, keeps this, and
    with it the probabilities. The products $z = w h$ follow mirror descent on a convex function.
    """

    id = "X15"
    title = "Hadamard starts: singular vectors that never move"
    kind = Kind.TIGHT
    source = cite("arxiv2512.04006", "Hadamard initialisation; proof in docs/theory, Proposition 13.12")
    hypotheses = (
        Hypothesis(r"$K = 2^m$ classes, $m \ge 1$", lambda p: p.digits >= 1),
        Hypothesis(r"a decay $\lambda > 0$", lambda p: p.decay > 0),
        Hypothesis(r"a Hadamard start", lambda p: p.start == "hadamard"),
    )
    required = "rigorous"
    formulas = ("check",)
    open_steps = "sums over the group are reindexed, and convexity integrated along the flow, in docs/theory, Proposition 13.12"

    def grid(self):
        return [Start(1, 0.05, 150, 1.0), Start(2, 0.02, 300, 2.0), Start(3, 0.01, 300, 4.0)]

    def check(self, instance: Start, level: str) -> Iterator[Finding]:
        end = descended(instance)
        yield self.still(f"singular vectors, {instance}", end.turned, level)
        problem = ufm.Problem([1] * 2**instance.digits, regularizer=ufm.WeightDecay(instance.decay, instance.decay))
        optimum = Enclosure.of(ufm.solve(problem, level=level).certificate)
        yield equal(f"objective at the end, {instance}", optimum, near(end), tolerance=1e-6, level=level)

    def still(self, what: str, turned: Enclosure, level: str) -> Finding:
        """Entries off the diagonal are zero; compared as one plus their size."""
        found = Enclosure(1 + turned.lower, 1 + turned.upper)
        return equal(what, Enclosure(1.0, 1.0), found, tolerance=1e-12, level=level)

    def steps(self):
        import sympy as sp

        x, y, t = sp.symbols("x y t", positive=True)
        either = x + y - 2 * x * y  # exclusive or of two binary digits
        yield (
            "a character of one digit",
            all(((1 - 2 * x) * (1 - 2 * y) - (1 - 2 * either)).subs({x: a, y: b}) == 0 for a in (0, 1) for b in (0, 1)),
        )
        kappa, k, lam = sp.symbols("kappa K lambda", positive=True)
        w, h = sp.Function("w")(t), sp.Function("h")(t)
        rates: dict[Any, Any] = {w.diff(t): -(kappa * h / k + lam * w), h.diff(t): -(kappa * w / k + lam * h)}
        product = (w * h).diff(t).subs(rates)
        yield (
            "equal factors: z' = -2 z (kappa / K + lambda)",
            sp.simplify(product.subs(h, w) + 2 * w**2 * (kappa / k + lam)) == 0,
        )
        yield "w - h stays zero", sp.simplify((rates[w.diff(t)] - rates[h.diff(t)]).subs(h, w)) == 0
        z, best, slope = sp.symbols("z z_best s", positive=True)
        bracket = best * sp.log(best / z) - best + z
        along = sp.diff(bracket, z) * (-2 * z * slope)
        yield "the bracket falls by 2 s (z - z_best)", sp.simplify(along - 2 * slope * (best - z)) == 0
        yield "and is zero only at z_best", sp.simplify(bracket.subs(z, best)) == 0
        zeta = sp.symbols("zeta0:4", real=True)
        p = [sp.exp(v) / sum(sp.exp(u) for u in zeta) for v in zeta]
        chi = (1, -1, 1, -1)
        eigenvalue = sum(c * q for c, q in zip(chi, p, strict=True)) - 1
        move = sp.Symbol("m")
        loss = sp.log(sum(sp.exp(v + move * c / 4) for v, c in zip(zeta, chi, strict=True))) - zeta[0] - move / 4
        yield (
            "slope of the loss along a character is kappa / K",
            sp.simplify(loss.diff(move).subs(move, 0) - eigenvalue / 4) == 0,
        )

    def control(self, level: str):
        turned = descended(Start(2, 0.02, 60, 2.0, "another")).turned
        yield self.still("a start whose U is another orthogonal matrix", turned, level)
        end = descended(Start(2, 0.02, 300, 2.0))
        loss = Enclosure.of(ufm.solve(ufm.Problem([1] * 4, regularizer=ufm.WeightDecay(0.01, 0.01)), level=level).certificate)
        yield equal("the optimum of half the decay", loss, near(end), tolerance=1e-6, level=level)

    def twin(self, level: str):
        p = Start(2, 0.02, 300, 2.0)
        one, other = descended(p), descended(p, mirror=3)
        yield equal("another V: objective", one.objective, other.objective, tolerance=1e-12, level=level)
        yield self.still("another V: singular vectors", other.turned, level)
        many = descended(p, weights=(7,) * 4)
        yield equal("seven samples of each class", one.objective, many.objective, tolerance=1e-12, level=level)

    def outside(self, level: str):
        turned = descended(Start(2, 0.02, 60, 2.0), weights=(4, 1, 1, 1)).turned
        yield less("unequal class sizes: the vectors turn", Enclosure(0.01, 0.01), turned, level=level)
