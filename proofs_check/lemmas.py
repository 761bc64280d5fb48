r"""Steps that proofs of several theorems share: prices of logits, averages, equality in weak duality.

Inner products of matrices are bilinear, so that an identity of polynomials in numbers, quadratic in w and v, is one of norms
and inner products of matrices W and V.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proofs_check.projectors import Invariant, letters, once, orthogonal, reduced


@once
def averaging_steps() -> Iterator[tuple[str, Any]]:
    """Samples of a class coincide: by Jensen's inequality their mean has no larger loss, and its decay is smaller.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    n, square, total = sp.symbols("n Q s", positive=True)  # sum of squares and sum of the features of a class
    mean = total / n
    spread = square - 2 * total * mean + n * mean**2
    yield (
        r"samples of a class: $\sum_i \lVert h_i \rVert^2 = n \lVert \bar h \rVert^2 + \sum_i \lVert h_i - \bar h \rVert^2$, "
        "and the mean has no larger loss (Jensen's inequality)",
        sp.simplify(square - n * mean**2 - spread) == 0,
    )


@once
def price_steps() -> Iterator[tuple[str, Any]]:
    r"""The least decay of factors with ``W V = X`` is ``mu ||X||_*``; where it is attained, W and V' are parallel.

    With the polar factor U of X, ``<U, W V> = ||X||_*`` and ``||U V'|| <= ||V||``.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    lw, lh, w, v, sigma = sp.symbols("lambda_W lambda_H w v sigma", positive=True)
    mu = sp.sqrt(lw * lh)
    decay = lw * w**2 / 2 + lh * v**2 / 2
    square = (sp.sqrt(lw) * w - sp.sqrt(lh) * v) ** 2 / 2
    yield (
        r"for $W V = X$ with polar factor U the decay less $\mu \langle U, W V \rangle = \mu \lVert X \rVert_*$ is at least "
        r"$\frac12 \lVert \sqrt{\lambda_W}\, W - \sqrt{\lambda_H}\, U V^\top \rVert^2$",
        sp.simplify(sp.expand(decay - mu * w * v - square)) == 0,
    )
    scale = (lh / lw) ** sp.Rational(1, 4)
    cost = decay.subs({w: scale * sp.sqrt(sigma), v: sp.sqrt(sigma) / scale})
    yield r"roots of the singular values, balanced, attain it: $\mu \sigma$", sp.simplify(cost - mu * sigma) == 0


@once
def equilibrium_steps() -> Iterator[tuple[str, Any]]:
    r"""The price behind an equilibrium ``(I - A)^{-1} h`` with ``||A||_2 <= rho`` is ``mu (1 - rho) ||X||_*``.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    r, j, lw, lh, w, v = sp.symbols("rho j lambda_W lambda_H w v", positive=True)
    partial = (1 - r**j) / (1 - r)
    yield (
        r"an equilibrium with $\lVert A \rVert_2 \le \rho$ lengthens features by at most $\sum_j \rho^j = 1/(1-\rho)$ "
        "(Neumann series)",
        sp.simplify(partial + r**j - partial.subs(j, j + 1)) == 0 and partial.subs(j, 0) == 0,
    )
    least = lw * w**2 / 2 + lh * ((1 - r) * v) ** 2 / 2
    square = (sp.sqrt(lw) * w - sp.sqrt(lh) * (1 - r) * v) ** 2 / 2
    yield (
        r"so that its price is $\mu (1 - \rho)$, attained at $A = \rho I$",
        sp.simplify(sp.expand(least - square - sp.sqrt(lw * lh) * (1 - r) * w * v)) == 0,
    )


@once
def centring_steps() -> Iterator[tuple[str, Any]]:
    r"""Multiplication by a projector P lowers the nuclear norm strictly unless it changes nothing.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    p, q, z, zt = letters("P Q Z Zt")  # Q = I - P
    rules = orthogonal(p, q)
    whole, part = zt * (p + q) * z, zt * p * p * z
    yield (
        r"for a projector P: $Z^\top Z = (P Z)^\top (P Z) + Z^\top (I - P) Z$, so that "
        r"$\lVert P Z \rVert_* < \lVert Z \rVert_*$ unless $P Z = Z$ (Weyl's monotonicity theorem)",
        reduced(whole - part - zt * q * q * z, rules) == 0,
    )


@once
def gibbs_steps() -> Iterator[tuple[str, Any]]:
    r"""Weak duality for cross-entropy, one column: the loss exceeds its bound by a Kullback-Leibler divergence.

    Equality forces the probabilities of every optimum to be those of the dual point, which fixes its columns up to constants.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    q, z, total = sp.symbols("q z L", positive=True)  # one of the terms: sum q = 1, L the logsumexp
    divergence = sp.expand_log(q * sp.log(q / sp.exp(z - total)), force=True)
    term = q * total - q * z + q * sp.log(q)
    yield (
        r"$\mathrm{logsumexp}(z) - \langle q, z \rangle - \mathrm{Ent}(q) = \mathrm{KL}(q, \mathrm{softmax}(z)) \ge 0$, zero "
        "only if q is the softmax (Gibbs' inequality), term by term",
        sp.simplify(sp.expand(divergence - term)) == 0,
    )


def balanced_steps(smoothing: bool = False) -> Iterator[tuple[str, Any]]:
    r"""Balanced cross-entropy with decay: the dual point at ``Z = a C``, for any K, n and label smoothing.

    Parameters
    ----------
    smoothing : bool, whether labels are smoothed by delta

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    k, n, mu, a, kappa = sp.symbols("K n mu a kappa", positive=True)
    delta = sp.Symbol("delta", positive=True) if smoothing else sp.Integer(0)
    rest = k - 1 + sp.exp(a)
    softmax = Invariant.from_entries(sp.exp(a) / rest, 1 / rest, k)
    target = Invariant(1 - delta, 1, k)
    yield (
        r"columns of softmax$(a\, C)$: $P = I - \kappa\, C$ with $\kappa = K / (K - 1 + e^a)$",
        softmax.minus(Invariant(1 - k / rest, 1, k)).is_zero(),
    )
    slopes = Invariant(1 - kappa, 1, k).minus(target)
    pull = r"\kappa - \delta" if smoothing else r"\kappa"
    yield (
        rf"so that $P - Y = -({pull})\, C$, of norm ${pull}$" if smoothing else r"$P - I$ has the norm $\kappa$",
        slopes.minus(Invariant(delta - kappa, 0, k)).is_zero(),
    )
    # ||(P - Y) D^{1/2}|| / N with N = K n, D = n I.
    norm = (kappa - delta) * sp.sqrt(n) / (k * n)
    q = (k - 1) * (delta / k + sp.sqrt(n) * mu)
    height = sp.log((k - 1) * (1 - q) / q)
    at = sp.exp(sp.log((k - 1) * (1 - q) / q))
    yield (
        r"dual point: $\lVert (P - Y) D^{1/2} \rVert_2 / N = \mu$ at this a",
        sp.simplify(norm.subs(kappa, k / (k - 1 + at)) - mu) == 0,
    )
    # The bound Ent(P) against the objective at Z = a C: loss and price of the K - 1 equal singular values sqrt(n) a.
    own, other = softmax.entries
    log_own, log_other = a - sp.log(rest), -sp.log(rest)
    entropy = -own * log_own - (k - 1) * other * log_other
    logits = Invariant(a, 0, k)
    loss = sp.log(rest) - a / k - target.inner(logits) / k  # logsumexp of a column, less the mean of <y, z>
    price = norm.subs(kappa, k / rest) * sp.sqrt(n) * logits.trace
    yield "no gap: the objective at $a\\, C$ is the entropy of P", sp.simplify(sp.expand(loss + price - entropy)) == 0
    yield (
        r"otherwise zero: the uniform P is feasible iff "
        + (r"$q \ge (K-1)/K$" if smoothing else r"$K \sqrt{n}\, \mu \ge 1$")
        + r", and its entropy $\log K$ is the loss at zero",
        sp.simplify((norm.subs(kappa, 1) - mu) * k * sp.sqrt(n) * (k - 1) / k - ((k - 1) / k - q)) == 0
        and sp.simplify(entropy.subs(a, 0) - sp.log(k)) == 0,
    )
    yield (
        "and a is positive otherwise",
        sp.simplify(sp.exp(height) - 1 - ((k - 1) - k * q) / q) == 0,
    )


@once
def collapse_steps() -> Iterator[tuple[str, Any]]:
    r"""A group of m equal classes: what its contrasts pay and gain, whatever the other classes, their logits and the bias.

    ``Pi`` is the projector on the group's contrasts and ``Q = I - Pi``. A point has collapsed if it is ``(Q Z Q, Q b)``; there
    the gradient is ``Q G Q - kappa Pi`` with ``kappa = (1 - eps) Delta_g pi_g``.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    m, k, p, eps, kappa, x, size, mu = sp.symbols("m K p epsilon kappa x s mu", positive=True)
    slopes = Invariant.from_entries(p - (1 - eps + eps / k), p - eps / k, m)
    yield (
        r"at a collapsed point slopes of h are alike on the group: $\Pi \nabla f = \nabla f\, \Pi = -\kappa\, \Pi$ with "
        r"$\kappa = (1 - \varepsilon)\, \Delta_g \pi_g$, as p and $\varepsilon/K$ drop out",
        sp.simplify(slopes.contrast + 1 - eps) == 0,
    )
    own, other = Invariant(1, 0, m).entries
    yield r"the bias feels nothing of it: $\Pi \mathbf{1}_g = 0$", sp.simplify(own + (m - 1) * other) == 0
    pi, q, g, z, zt, scale, u, vt = letters("Pi Q G Z Zt S u vt")
    rules = orthogonal(pi, q) | {(scale, pi): size * pi, (pi, scale): size * pi, (pi, u): 0}
    whole = (pi + q) * z * (pi + q)
    gained = (q * g * q - kappa * pi) * (whole - q * z * q)
    yield (
        r"convexity: the loss of Z is at least that of $Q Z Q$ less $\kappa\, \mathrm{tr}(\Pi Z \Pi)$: trace by blocks",
        reduced(pi * gained * pi + kappa * pi * z * pi, rules) == 0 and reduced(q * gained * q, rules) == 0,
    )
    yield (
        r"the price of Z is at least that of $Q Z Q$ and $\mu s_g \lVert \Pi Z \Pi \rVert_*$ (pinching inequality), as "
        r"$\Pi S = s_g \Pi$; so collapsing is no loss if $\kappa \le \mu s_g$",
        reduced(pi * whole * scale * pi - size * pi * z * pi, rules) == 0,
    )
    away, turned = (x * pi + q * z * q) * scale, scale * (x * pi + q * zt * q)
    singular = reduced(turned * away - x**2 * size**2 * pi - scale * q * zt * q * z * q * scale, rules)
    yield (
        r"the price of $Q Z Q + x \Pi$ is that of $Q Z Q$ and $\mu s_g (m-1) x$",
        (singular == 0 and sp.simplify(m * own - (m - 1)) == 0),
    )
    contrast = Invariant(1, 0, m)
    yield (
        r"the loss falls along $\Pi$ at the rate $(m-1) \kappa$: not collapsing is better if $\kappa > \mu s_g$",
        sp.simplify(contrast.times(-kappa).inner(contrast) + mu * size * contrast.trace - (m - 1) * (mu * size - kappa)) == 0,
    )
    yield (
        r"all optima: logits that agree with $Q (Z + b \mathbf{1}^\top) Q$ up to a shift $u v^\top$, $\Pi u = 0$, have no rows "
        r"in $\Pi$, and $\lVert Q Z \rVert_* < \lVert Z \rVert_*$ unless $\Pi Z = 0$",
        reduced(pi * (q * z * q + u * vt), rules) == 0,
    )


@once
def strictness_steps() -> Iterator[tuple[str, Any]]:
    r"""Cross-entropy is strictly convex in a column up to shifts: its Hessian ``diag(p) - p p'`` has the kernel of constants.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    mass, first, second = sp.symbols("M_0 M_1 M_2", real=True)  # sums of p, of p v and of p v^2
    pairs = (2 * mass * second - 2 * first**2) / 2  # half the sum of p_i p_j (v_i - v_j)^2 over all i and j
    yield (
        r"$v^\top (\mathrm{diag}(p) - p p^\top) v = \frac12 \sum_{ij} p_i p_j (v_i - v_j)^2$, zero for constants only",
        sp.expand((second - first**2) - pairs.subs(mass, 1)) == 0,
    )
