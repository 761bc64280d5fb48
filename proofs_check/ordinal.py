r"""Ordinal regression with one latent dimension: the decay at which everything is zero.  [arxiv2506.05801]

Setting: ``(1/N) sum_i l_{q_i}(<w, h_i>) + lw/2 |w|^2 + lh/2 sum_i |h_i|^2`` with cumulative link losses ``l_q(z) =
-log(F(b_q - z) - F(b_{q-1} - z))`` at fixed thresholds b; ``mu = sqrt(lw lh)``. The least value is that of ``g(z) = sum_q n_q/N
l_q(z_q) + mu sqrt(sum_q n_q z_q^2)`` over one latent number for each class (docs/theory, Proposition 13.13). Both bounds are
evaluated in ball arithmetic here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from proofs_check.bibliography import cite
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.theorem import Hypothesis, Kind, Theorem
from ufm._arrays import Floats
from ufm._balls import outward, working_precision


class Ordinal(NamedTuple):
    """Class sizes in order, thresholds, distribution function, decay over its critical value."""

    sizes: tuple[int, ...]
    thresholds: tuple[float, ...]
    link: str
    margin: float = 1.0


def distribution(link: str, x: Any) -> Any:
    """F at a ball: "logit", "probit" or "cauchit"."""
    from flint import arb

    if link == "logit":
        return 1 / (1 + (-x).exp())
    if link == "probit":
        return (1 + (x / arb(2).sqrt()).erf()) / 2
    return arb(1) / 2 + x.atan() / arb.pi()


def density(link: str, x: Any) -> Any:
    """The derivative of F at a ball."""
    from flint import arb

    if link == "logit":
        return 1 / (2 + x.exp() + (-x).exp())
    if link == "probit":
        return (-x * x / 2).exp() / (2 * arb.pi()).sqrt()
    return 1 / (arb.pi() * (1 + x * x))


def loss(p: Ordinal, q: int, z: Any) -> tuple[Any, Any]:
    """``l_q`` and its derivative at a ball."""
    from flint import arb

    high = arb(p.thresholds[q]) - z if q < len(p.thresholds) else None
    low = arb(p.thresholds[q - 1]) - z if q > 0 else None
    upper, lower = (end if x is None else distribution(p.link, x) for x, end in ((high, arb(1)), (low, arb(0))))
    steep, flat = (arb(0) if x is None else density(p.link, x) for x in (high, low))
    return -(upper - lower).log(), (steep - flat) / (upper - lower)


def critical(p: Ordinal, power: float = 1.0) -> Any:
    """The critical decay mu as a ball: ``sqrt(sum_q n_q^power l_q'(0)^2) / N``."""
    from flint import arb

    slopes = [loss(p, q, arb(0))[1] for q in range(len(p.sizes))]
    return sum((arb(n) ** arb(power) * v * v for n, v in zip(p.sizes, slopes, strict=True)), arb(0)).sqrt() / sum(p.sizes)


def best(p: Ordinal, mu: float) -> Floats:
    """(Q,) latent numbers near the optimum of convex losses, in float64; zero where nothing else is stationary.

    With ``s = sqrt(sum_q n_q z_q^2) / (N mu)`` stationarity reads ``l_q'(z_q) + z_q / s = 0`` for each class, and the length of
    its solution over s falls in s.
    """
    from scipy.optimize import brentq
    from scipy.special import expit, ndtr

    total, sizes = sum(p.sizes), np.array(p.sizes, dtype=float)
    ends = [-np.inf, *p.thresholds, np.inf]

    def slope(q: int, z: float) -> float:
        low, high = ends[q] - z, ends[q + 1] - z
        if p.link == "logit":
            return float((_bell(high) - _bell(low)) / (expit(high) - expit(low)))
        return float((np.exp(-high * high / 2) - np.exp(-low * low / 2)) / np.sqrt(2 * np.pi) / (ndtr(high) - ndtr(low)))

    def latent(s: float) -> Floats:
        found = []
        for q in range(len(sizes)):
            first = slope(q, 0.0)
            other = -s * first
            ends_differ = first * (slope(q, other) + other / s) < 0
            found.append(float(brentq(lambda z, q=q: slope(q, z) + z / s, 0.0, other, xtol=1e-15)) if ends_differ else 0.0)  # type: ignore[arg-type]
        return np.array(found)

    def excess(s: float) -> float:
        return float(np.sqrt(sizes @ latent(s) ** 2)) / s - total * mu

    low = high = 1e-6
    if excess(low) <= 0:
        return np.zeros(len(sizes))
    while excess(high) > 0:
        high *= 4.0
    return latent(float(brentq(excess, low, high, xtol=1e-14)))  # type: ignore[arg-type]


def _bell(x: float) -> float:
    """The logistic density."""
    from scipy.special import expit

    return float(expit(x) * expit(-x))


class Bounds(NamedTuple):
    """Enclosures of g at zero and at the point that was found, and the lower bound from its slopes.

    ``slack``: ``N mu`` over the length of these slopes, minus one; not negative where the slopes are feasible as they are.
    """

    zero: Enclosure
    found: Enclosure
    lower: float
    slack: float


def bounds(p: Ordinal, mu: Any, latent: Floats) -> Bounds:
    """Bounds at a decay (a ball, inside `working_precision`) from latent numbers, (Q,).

    The lower one needs a link with convex losses.
    """
    from flint import arb

    total, span = sum(p.sizes), range(len(p.sizes))

    def value(z: list[Any]) -> Any:
        fitted = sum((arb(n) / total * loss(p, q, z[q])[0] for q, n in enumerate(p.sizes)), arb(0))
        return fitted + mu * sum((n * z[q] * z[q] for q, n in enumerate(p.sizes)), arb(0)).sqrt()

    zero, z = [arb(0) for _ in span], [arb(float(x)) for x in latent.tolist()]
    pairs = [loss(p, q, z[q]) for q in span]
    length = sum((n * v * v for n, (_, v) in zip(p.sizes, pairs, strict=True)), arb(0)).sqrt()
    share = (total * mu / length).min(arb(1))
    tangent = sum((arb(n) / total * (own - v * x) for n, (own, v), x in zip(p.sizes, pairs, z, strict=True)), arb(0))
    lower, slack = outward(share * tangent)[0], outward(total * mu / length - 1)[0]
    return Bounds(Enclosure(*outward(value(zero))), Enclosure(*outward(value(z))), lower, slack)


def verdict(p: Ordinal, what: str, expected: str, level: str, power: float = 1.0) -> Finding:
    """Whether everything is zero, proved by the bounds, at ``margin`` times the critical decay (of another ``power``)."""
    with working_precision():
        mu = critical(p, power) * p.margin
        found = bounds(p, mu, best(p, float(mu.mid())))
    if found.found.upper < found.zero.lower:
        return decided(what, expected, "no", margin=found.zero.lower - found.found.upper, level=level)
    # The bound from zero's own slopes is g(0) itself, if they are feasible.
    proved = found.slack >= 0 and found.found == found.zero
    return decided(what, expected, "yes" if proved else "undecided", margin=max(found.slack, 0.0), level=level)


class OrdinalZero(Theorem):
    r"""One latent dimension, convex cumulative link losses: everything is zero iff $N \mu \ge \sqrt{\sum_q n_q\, l_q'(0)^2}$.

    Proof here: the program over latent numbers is convex, and the condition says that zero is a subgradient at zero.
    """

    id = "X13"
    title = "ordinal regression: the decay at which the latent number vanishes"
    kind = Kind.TIGHT
    source = cite(
        "arxiv2506.05801", "ordinal regression in an unconstrained-feature model; proof in docs/theory, Proposition 13.13"
    )
    hypotheses = (
        Hypothesis(
            r"$Q \ge 2$ classes of $n_q \ge 1$ samples, $Q - 1$ thresholds in order",
            lambda p: (
                len(p.sizes) == len(p.thresholds) + 1 >= 2
                and min(p.sizes) >= 1
                and list(p.thresholds) == sorted(set(p.thresholds))
            ),
        ),
        Hypothesis(r"a link with convex losses", lambda p: p.link in ("logit", "probit")),
        Hypothesis(r"a positive decay other than the critical one", lambda p: p.margin > 0 and p.margin != 1),
    )
    required = "rigorous"
    formulas = ("critical",)
    open_steps = (
        "for links other than the logit: that log-concave densities give convex losses (Prekopa) is cited in docs/theory, "
        "Proposition 13.13"
    )

    def grid(self):
        made = [
            Ordinal((100, 10, 5), (-1.0, 1.0), "logit"),
            Ordinal((30, 30), (0.25,), "logit"),
            Ordinal((5, 80, 40, 1), (-2.0, 0.0, 1.5), "probit"),
            Ordinal((1, 1, 1, 1, 1), (-3.0, -1.0, 1.0, 3.0), "probit"),
        ]
        return [p._replace(margin=margin) for p in made for margin in (0.99, 1.01)]

    def check(self, instance: Ordinal, level: str) -> Iterator[Finding]:
        expected = "yes" if instance.margin >= 1 else "no"
        yield verdict(instance, f"{instance}", expected, level)

    def steps(self):
        import sympy as sp

        z, n, v, mu, total, u, r, t = sp.symbols("z n v mu N u r t", positive=True)
        # Along any direction z_q = r u_q / sqrt(n_q), |u| = 1, the one-sided slope of g at zero is <slopes, u> + mu.
        slope = sp.diff(n / total * v * (r * u / sp.sqrt(n)), r)
        yield "slope of the loss along a direction", sp.simplify(slope - sp.sqrt(n) * v * u / total) == 0
        price = sp.diff(mu * sp.sqrt(n * (r * u / sp.sqrt(n)) ** 2), r)
        yield "slope of the price along it", sp.simplify(price - mu * u) == 0
        value, at = sp.symbols("l z_bar", real=True)
        combined = t * (value + v * (z - at)) + (1 - t) * 0
        yield "tangent and zero, combined", sp.expand(combined - (t * (value - v * at) + t * v * z)) == 0
        x = sp.Symbol("x", real=True)
        logistic = 1 / (2 + sp.exp(x) + sp.exp(-x))
        bend = sp.simplify(sp.diff(sp.log(logistic), x, 2) + 2 * logistic)
        yield "the logistic density is log-concave", bend == 0
        yield "and the normal one", sp.diff(-(x**2) / 2, x, 2) == -1
        low, high = sp.symbols("b_1 b_2", real=True)
        upper, lower = 1 / (1 + sp.exp(z - high)), 1 / (1 + sp.exp(z - low))
        curvature = sp.diff(-sp.log(upper - lower), z, 2) - upper * (1 - upper) - lower * (1 - lower)
        yield (
            "logit link: the loss's second derivative is the sum of both densities, so that it is convex",
            (sp.simplify(curvature) == 0),
        )

    def control(self, level: str):
        p = Ordinal((100, 10, 5), (-1.0, 1.0), "logit", 1.01)
        yield verdict(p, "n_q^(1/2) in place of n_q", "yes", level, power=0.5)
        yield verdict(p._replace(margin=0.99), "n_q^2 in place of n_q", "no", level, power=2.0)

    def twin(self, level: str):
        p = Ordinal((100, 10, 5), (-1.0, 1.5), "logit")
        mirrored = Ordinal(p.sizes[::-1], (-1.5, 1.0), "logit")
        one, other, twice = (Enclosure.ball(lambda q=q: critical(q)) for q in (p, mirrored, p._replace(sizes=(400, 40, 20))))
        yield equal("order reversed", one, other, tolerance=1e-14, level=level)
        halved = Enclosure(2 * twice.lower, 2 * twice.upper)
        yield equal("four samples for each: half the decay", one, halved, tolerance=1e-14, level=level)
        yield verdict(mirrored._replace(margin=1.01), "order reversed: zero", "yes", level)

    def outside(self, level: str):
        # Losses of the Cauchy distribution function are not convex: something is below zero's value above the threshold.
        p = Ordinal((100, 10, 5), (-1.0, 1.0), "cauchit", 1.01)
        with working_precision():
            found = bounds(p, critical(p) * p.margin, np.array([-0.984, 0.0, 0.984]))
        yield less("a loss that is not convex", found.found, found.zero, level=level)
