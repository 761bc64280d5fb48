r"""The closed-form thresholds of the book as boxes of any size.

Each margin is what the penalty resists less what the loss pulls, per unit along the direction that vanishes, up to a positive
factor. Identities derive it from the loss itself; the rest is `proofs_check.boxes.closed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proofs_check.box import Range
from proofs_check.boxes.closed import ClosedForm, Picture

POSITIVE = {
    "mu": Range(r"\mu", "all positive numbers"),
    "n": Range("n_B", "all positive numbers"),
    "ratio": Range("R", "all positive numbers"),
    "ka": Range("K_A", "all positive numbers"),
    "kb": Range("K_B", "all positive numbers"),
}
"""Parameters that most forms share. A form that holds for all positive numbers holds for whole ones."""
STEP = ("collapsed from the line on", "separated below the line")


def sqrt(value: Any) -> Any:
    """Square root in computer algebra."""
    import sympy as sp

    return sp.sqrt(value)


def contrast_pull(weight: Any, temperature: Any, label: Any) -> Any:
    """Minus the slope at zero of a class's loss along its group's contrast, times ``m / (m - 1)``, for m classes of the group.

    The own logit is ``x (1 - 1/m)`` and the m - 1 others of the group ``-x/m``, whatever the rest r of the partition function
    is; the label has the part ``label`` on the class beyond what it has on the others of the group.

    Parameters
    ----------
    weight : weight of the loss, the share of the class included
    temperature : factor of the logits
    label : part of the label

    Returns
    -------
    sympy expression
    """
    import sympy as sp

    x, m, r = sp.symbols("x m r", positive=True)
    own, other = temperature * x * (1 - 1 / m), -temperature * x / m
    loss = weight * (sp.log(sp.exp(own) + (m - 1) * sp.exp(other) + r) - label * own)
    slope: Any = sp.diff(loss, x).subs(x, 0)
    return sp.simplify(-slope * m / (m - 1))


# H3: a group under decay per sample.


def group_margin(p: Any) -> Any:
    """``N mu - sqrt(n_B)`` with ``N = n_B (K_A R + K_B)``."""
    return p.mu * p.n * (p.ka * p.ratio + p.kb) - sqrt(p.n)


def group_ratio(p: Any) -> Any:
    """``(1 / (sqrt(n_B) mu) - K_B) / K_A``."""
    return (1 / (sqrt(p.n) * p.mu) - p.kb) / p.ka


def group_identities(p: Any, margin: Any) -> Iterator[tuple[str, Any]]:
    """The penalty of one contrast rises at ``mu sqrt(n_B)``, the loss falls at the share ``n_B / N``."""
    total = p.n * (p.ka * p.ratio + p.kb)
    price, pull = p.mu * sqrt(p.n), contrast_pull(p.n / total, 1, 1)
    yield (
        "the price less the pull of the label, times $N / \\sqrt{n_B}$, is the margin",
        (price - pull) * total / sqrt(p.n) - margin,
    )


def groups() -> ClosedForm:
    """H3."""
    return ClosedForm(
        r"Under decay per sample a minority of $K_B \ge 2$ equal classes has collapsed exactly for $R \ge R_0 = "
        r"\frac{1}{K_A} \left( \frac{1}{\sqrt{n_B}\, \mu} - K_B \right)$, for all $\mu$, $n_B$, $K_A$, $K_B$ and any bias.",
        POSITIVE, "ratio", True, group_margin, group_ratio, group_identities,
        {
            r"$n_B$ in place of $\sqrt{n_B}$": lambda p: (1 / (p.n * p.mu) - p.kb) / p.ka,
            "majority and minority classes exchanged": lambda p: (1 / (sqrt(p.n) * p.mu) - p.ka) / p.kb,
        },
        ("no ratio below has collapsed", "all ratios from there on have"),
        Picture("mu", ("decay", "ratio R"), (2e-4, 1e-2), (1.0, 1000.0), {"n": 100.0, "ka": 5.0, "kb": 5.0}),
        "The label pulls every column along the contrast at the same rate, whatever the other logits are; the penalty resists "
        "at a fixed rate; the program is convex. So the sign of the margin decides, and it rises with R.",
    )  # fmt: skip


# X1: remedies.


def remedy_margin(p: Any) -> Any:
    """``mu T - w Delta (1 - eps) sqrt(n)`` with T the weighted number of samples."""
    return p.mu * p.total - p.weight * p.temperature * p.label * sqrt(p.n)


def remedy_decay(p: Any) -> Any:
    """``w Delta (1 - eps) sqrt(n) / T``."""
    return p.weight * p.temperature * p.label * sqrt(p.n) / p.total


def remedy_identities(p: Any, margin: Any) -> Iterator[tuple[str, Any]]:
    """As in H3, with the weighted share ``w n / T``, the temperature and the label's part ``1 - eps``."""
    import sympy as sp

    pull = contrast_pull(p.weight * p.n / p.total, p.temperature, p.label)
    yield (
        "the price less the pull, times $T / \\sqrt{n}$, is the margin",
        (p.mu * sqrt(p.n) - pull) * p.total / sqrt(p.n) - margin,
    )
    m, k, x, eps = sp.symbols("m K x eps", positive=True)
    smoothed = (1 - eps + eps / k) * x * (1 - 1 / m) - (m - 1) * eps / k * x / m
    yield (
        "a label smoothed by $\\varepsilon$ has the part $1 - \\varepsilon$ along the contrast",
        smoothed - (1 - eps) * x * (1 - 1 / m),
    )


def remedies() -> ClosedForm:
    """X1."""
    names = {
        "mu": Range(r"\mu_{\mathrm{eff}}", "all positive numbers"),
        "weight": Range("w_g", "all positive numbers"),
        "temperature": Range(r"\Delta_g", "all positive numbers"),
        "label": Range(r"1 - \varepsilon", "all positive numbers, so every smoothing below one"),
        "n": Range("n_g", "all positive numbers"),
        "total": Range(r"T = \sum_j w_j n_j", "all positive numbers"),
    }
    return ClosedForm(
        r"A group of at least two equal classes has collapsed exactly for $\mu_{\mathrm{eff}} \ge w_g \Delta_g (1 - "
        r"\varepsilon) \sqrt{n_g} / T$, for all weights, temperatures, smoothings and sizes, and any offsets of the logits.",
        names, "mu", True, remedy_margin, remedy_decay, remedy_identities,
        {
            "without the smoothing": lambda p: p.weight * p.temperature * sqrt(p.n) / p.total,
            "temperature in the denominator": lambda p: p.weight * p.label * sqrt(p.n) / (p.temperature * p.total),
        },
        ("no smaller decay collapses the group", "all larger decays do"),
        Picture(
            "label", ("1 - smoothing", "effective decay"), (0.1, 1.0), (1e-3, 3e-2),
            {"weight": 1.0, "temperature": 1.0, "n": 100.0, "total": 600.0},
        ),
        "As for H3: the rest of the partition function, and with it every offset, drops out of the slope at zero contrast.",
    )  # fmt: skip


# X8: several labels.


def effective(p: Any, classes: Any) -> Any:
    """``sum_m n_m C(K-2, m-1)`` for sets of one and of two labels."""
    return p.single + p.pairs * (classes - 2)


def label_margin(p: Any) -> Any:
    """``N mu - sqrt(sum_m n_m C(K-2, m-1))`` with ``N = n_1 K + n_2 K (K - 1)/2``; ``k2 = K - 2``."""
    classes = p.k2 + 2
    return p.mu * (p.single * classes + p.pairs * classes * (classes - 1) / 2) - sqrt(effective(p, classes))


def label_decay(p: Any) -> Any:
    """The decay at which everything is zero."""
    classes = p.k2 + 2
    return sqrt(p.single + p.pairs * p.k2) / (p.single * classes + p.pairs * classes * (classes - 1) / 2)


def label_identities(p: Any, margin: Any) -> Iterator[tuple[str, Any]]:
    """Slopes of the scalar program of both multiplicities at zero, and their dual norm."""
    import sympy as sp

    k = p.k2 + 2
    total = p.single * k + p.pairs * k * (k - 1) / 2
    slopes, weights = [], []
    for m, number, sets, square in ((1, p.single, k, 1), (2, p.pairs, k * (k - 1) / 2, k - 2)):
        a = sp.Symbol("a", positive=True)
        loss = number * sets / total * m * sp.log(m + (k - m) * sp.exp(-a))
        slopes.append(-sp.diff(loss, a).subs(a, 0))
        weights.append(number * square)
    yield "pull of single labels: $(K-1) n_1 / N$", slopes[0] - (k - 1) * weights[0] / total
    yield r"pull of pairs: $(K-1) n_2 \binom{K-2}{1} / N$", slopes[1] - (k - 1) * weights[1] / total
    # Against the norm mu (K-1) sqrt(sum w_m a_m^2) the pull with slopes g_m has the dual norm sqrt(sum g_m^2 / w_m) / (K-1).
    dual = sum(g**2 / w for g, w in zip(slopes, weights, strict=True)) / (k - 1) ** 2
    yield (
        "the price less the dual norm of the pulls, times N: the margin",
        p.mu * total - sqrt(sp.simplify(dual * total**2)) - margin,
    )


def labels() -> ClosedForm:
    """X8."""
    names = {
        "mu": POSITIVE["mu"],
        "single": Range("n_1", "all positive numbers"),
        "pairs": Range("n_2", "all positive numbers"),
        "k2": Range("K - 2", "all positive numbers"),
    }
    return ClosedForm(
        r"With $n_1$ samples for each label and $n_2$ for each pair of labels everything is zero exactly for $\mu \ge "
        r"\sqrt{n_1 + n_2 (K - 2)} / N$, $N = n_1 K + n_2 K (K-1)/2$, for all $n_1$, $n_2$ and $K \ge 3$.",
        names, "mu", True, label_margin, label_decay, label_identities,
        {
            "the size of a class in place of the effective size": lambda p: sqrt(p.single + p.pairs * (p.k2 + 1))
            / (p.single * (p.k2 + 2) + p.pairs * (p.k2 + 2) * (p.k2 + 1) / 2),
            "pairs left out": lambda p: sqrt(p.single)
            / (p.single * (p.k2 + 2) + p.pairs * (p.k2 + 2) * (p.k2 + 1) / 2),
        },
        ("no smaller decay makes everything zero", "all larger decays do"),
        Picture("pairs", ("samples for each pair", "decay"), (0.1, 100.0), (1e-3, 1.0), {"single": 20.0, "k2": 3.0}),
        r"The scalar program of X8 is convex; zero is optimal iff the slopes at zero have a dual norm of at most the price.",
    )  # fmt: skip


# X12: two tasks.


def task_margin(p: Any) -> Any:
    """``2 l^2 - q``."""
    return 2 * p.strength**2 - p.q


def task_count(p: Any) -> Any:
    """``2 l^2``."""
    return 2 * p.strength**2


def task_identities(p: Any, margin: Any) -> Iterator[tuple[str, Any]]:
    """The scalar program of one direction has the slope ``2 l sqrt(2 q) - 2 q`` at zero: price less pull."""
    import sympy as sp

    a = sp.Symbol("a", positive=True)
    program = 4 * p.q * sp.log(1 + sp.exp(-a)) + 2 * p.strength * sqrt(2 * p.q) * a
    price, pull = 2 * p.strength * sqrt(2 * p.q), 2 * p.q
    yield "the slope at zero is price less pull", sp.diff(program, a).subs(a, 0) - (price - pull)
    yield "whose squares differ by $4 q$ times the margin", price**2 - pull**2 - 4 * p.q * margin
    mass = 1 / (1 + sp.exp(a))
    yield (
        "the program is convex: its second derivative is $4 q\\, p (1 - p)$",
        sp.diff(program, a, 2) - 4 * p.q * mass * (1 - mass),
    )


def tasks() -> ClosedForm:
    """X12."""
    names = {"q": Range("q", "all positive numbers"), "strength": Range("l", "all positive numbers")}
    return ClosedForm(
        r"Two binary tasks whose labels differ in $q$ samples of each sort get one head exactly for $q \le 2 l^2$, "
        r"for all $q$ and $l$.",
        names, "q", False, task_margin, task_count, task_identities,
        {"$q = l^2$": lambda p: p.strength**2, "$q = 2 l$": lambda p: 2 * p.strength},
        ("one head at all smaller counts and on the line", "two heads at all larger counts"),
        Picture("strength", ("strength l", "differing samples q"), (0.3, 10.0), (0.1, 300.0), {}),
        "Each direction of the two tasks has a convex program of one scalar; it stays at zero iff price is at least pull.",
    )  # fmt: skip


# X13: ordinal regression.


def ordinal_pull(p: Any) -> Any:
    """``sqrt(sum_q n_q l_q'(0)^2)`` for three classes, logit link, F at the two thresholds."""
    return sqrt(p.n1 * (1 - p.low) ** 2 + p.n2 * (1 - p.low - p.high) ** 2 + p.n3 * p.high**2)


def ordinal_margin(p: Any) -> Any:
    """``N mu`` less the pull."""
    return p.mu * (p.n1 + p.n2 + p.n3) - ordinal_pull(p)


def ordinal_decay(p: Any) -> Any:
    """The decay at which everything is zero."""
    return sqrt(p.n1 * (1 - p.low) ** 2 + p.n2 * (1 - p.low - p.high) ** 2 + p.n3 * p.high**2) / (p.n1 + p.n2 + p.n3)


def ordinal_identities(p: Any, margin: Any) -> Iterator[tuple[str, Any]]:
    """Slopes of the three losses at zero from the logistic function itself, and the dual norm of the penalty."""
    import sympy as sp

    z, b1, b2 = sp.symbols("z b_1 b_2", real=True)

    def logistic(x: Any) -> Any:
        return 1 / (1 + sp.exp(-x))

    first, second = logistic(b1), logistic(b2)
    losses = (
        (-sp.log(logistic(b1 - z)), 1 - first, "lowest"),
        (-sp.log(logistic(b2 - z) - logistic(b1 - z)), 1 - first - second, "middle"),
        (-sp.log(1 - logistic(b2 - z)), -second, "highest"),
    )
    for loss, claim, name in losses:
        yield f"slope of the {name} class at zero", sp.together(sp.diff(loss, z).subs(z, 0) - claim)
    total = p.n1 + p.n2 + p.n3
    slopes = (1 - p.low, 1 - p.low - p.high, -p.high)
    # Against mu sqrt(sum n_q z_q^2) the slopes n_q l_q' / N have the dual norm sqrt(sum (n_q l_q' / N)^2 / n_q).
    dual = sum((n * s / total) ** 2 / n for n, s in zip((p.n1, p.n2, p.n3), slopes, strict=True))
    yield "the square of N mu less the margin is that of the dual norm, times N", (p.mu * total - margin) ** 2 - dual * total**2


def ordinal() -> ClosedForm:
    """X13."""
    numbers = {f"n{q}": Range(f"n_{q}", "all positive numbers") for q in (1, 2, 3)}
    names = {
        "mu": POSITIVE["mu"], **numbers,
        "low": Range("F(b_1)", "all numbers of $(0, 1)$, so all thresholds $b_1$"),
        "high": Range("F(b_2)", "all numbers of $(0, 1)$, so all thresholds $b_2$"),
    }  # fmt: skip
    return ClosedForm(
        r"Three ordered classes, logit link, thresholds $b_1 < b_2$: the latent number is zero for every sample exactly for "
        r"$N \mu \ge \sqrt{n_1 (1 - F_1)^2 + n_2 (1 - F_1 - F_2)^2 + n_3 F_2^2}$ with $F_i = F(b_i)$, for all sizes.",
        names, "mu", True, ordinal_margin, ordinal_decay, ordinal_identities,
        {
            "sizes squared": lambda p: sqrt((p.n1 * (1 - p.low)) ** 2 + (p.n3 * p.high) ** 2) / (p.n1 + p.n2 + p.n3),
            "middle class left out": lambda p: sqrt(p.n1 * (1 - p.low) ** 2 + p.n3 * p.high**2) / (p.n1 + p.n2 + p.n3),
        },
        ("no smaller decay makes everything zero", "all larger decays do"),
        Picture(
            "n1", ("samples of the lowest class", "decay"), (1.0, 1000.0), (3e-2, 0.5),
            {"n2": 10.0, "n3": 5.0, "low": 0.2689414213699951, "high": 0.7310585786300049},
        ),
        "The losses are convex in the latent numbers and the penalty is a norm: zero is optimal iff the dual norm of the "
        "slopes at zero is at most the price.",
    )  # fmt: skip


# E1: non-negative features.


def death_margin(p: Any) -> Any:
    """``N mu - sqrt(n_B (K-1)/K)`` with ``N = n_B (K_A R + K_B)``, ``K = K_A + K_B``."""
    return p.mu * p.n * (p.ka * p.ratio + p.kb) - sqrt(p.n * (p.ka + p.kb - 1) / (p.ka + p.kb))


def death_ratio(p: Any) -> Any:
    """``(sqrt((K-1) / (K n_B)) / mu - K_B) / K_A``."""
    return (sqrt((p.ka + p.kb - 1) / ((p.ka + p.kb) * p.n)) / p.mu - p.kb) / p.ka


def death_identities(p: Any, margin: Any) -> Iterator[tuple[str, Any]]:
    """The scalar program of one class, ``(n/N) log(1 + (K-1) e^{-a}) + mu sqrt(n (K-1)/K) a``."""
    import sympy as sp

    a, k, n, total = sp.symbols("a K n N", positive=True)
    program = n / total * sp.log(1 + (k - 1) * sp.exp(-a)) + p.mu * sqrt(n * (k - 1) / k) * a
    at_zero = sp.diff(program, a).subs(a, 0) * total / sqrt(n * (k - 1) / k)
    yield (
        r"its slope at zero is positive iff $N \mu \ge \sqrt{n (K-1)/K}$",
        sp.simplify(at_zero) - (p.mu * total - sqrt(n * (k - 1) / k)),
    )
    inside = {total: p.n * (p.ka * p.ratio + p.kb), k: p.ka + p.kb, n: p.n}
    yield (
        "which is the margin under step imbalance",
        (p.mu * total - sqrt(n * (k - 1) / k)).subs(inside, simultaneous=True) - margin,
    )
    mass = (k - 1) / (k - 1 + sp.exp(a))
    yield "the program is convex", sp.diff(program, a, 2) - n / total * mass * (1 - mass)


def deaths() -> ClosedForm:
    """E1."""
    names = POSITIVE | {"kb": Range("K_B", r"all positive numbers with $K_A + K_B > 1$")}
    return ClosedForm(
        r"Features $H \ge 0$ under step imbalance: the minority classes are dead exactly for $R \ge \frac{1}{K_A} \left( "
        r"\frac{1}{\mu} \sqrt{\frac{K-1}{K n_B}} - K_B \right)$, for all $\mu$, $n_B$, $K_A$, $K_B$.",
        names, "ratio", True, death_margin, death_ratio, death_identities,
        {
            "the threshold of signed features": lambda p: (1 / (sqrt(p.n) * p.mu) - p.kb) / p.ka,
            "$(K-1)/K$ without the root": lambda p: ((p.ka + p.kb - 1) / ((p.ka + p.kb) * sqrt(p.n) * p.mu) - p.kb) / p.ka,
        },
        ("minority classes alive at all smaller ratios", "dead from there on"),
        Picture("mu", ("decay", "ratio R"), (2e-4, 1e-2), (1.0, 1000.0), {"n": 100.0, "ka": 5.0, "kb": 5.0}),
        "The program splits into one convex scalar program for each class (E1); a class is dead iff the slope at zero is not "
        "negative.",
    )  # fmt: skip


# B2: squared error through M = j + 1 >= 2 layers.


def jump_strength(p: Any) -> Any:
    """``b / n_B = M (N^{M+1} l)^{1/M} / n_B`` with ``l = lw^M lh``, N the number of samples."""
    return (p.j + 1) * (p.total ** (p.j + 2) * p.decays) ** (1 / (p.j + 1)) / p.n


def jump_margin(p: Any) -> Any:
    """``b / n_B`` less ``(M-1)^{(M-1)/M} / M``."""
    return jump_strength(p) - p.j ** (p.j / (p.j + 1)) / (p.j + 1)


def jump_total(p: Any) -> Any:
    """The number of samples from which on a class of n_B is dead."""
    return ((p.n * p.j ** (p.j / (p.j + 1)) / (p.j + 1) ** 2) ** (p.j + 1) / p.decays) ** (1 / (p.j + 2))


def jump_identities(p: Any, margin: Any) -> Iterator[tuple[str, Any]]:
    """``1/(x^M + 1) + beta x - 1 = x (beta - h(x))`` with ``h = x^{M-1}/(x^M + 1)``, and the largest h."""
    import sympy as sp

    x, beta = sp.symbols("x beta", positive=True)
    power = x ** (p.j + 1)
    h = x**p.j / (power + 1)
    yield r"loss at $x$ less that at zero: $x (\beta - h(x))$", 1 / (power + 1) + beta * x - 1 - x * (beta - h)
    yield "$h'$ has the sign of $M - 1 - x^M$", sp.diff(h, x) * (power + 1) ** 2 / x ** (p.j - 1) - (p.j - power)
    top = p.j ** (1 / (p.j + 1))
    yield "the largest $h$, and with it the margin", jump_strength(p) - sp.powsimp(h.subs(x, top), force=True) - margin


def jumps() -> ClosedForm:
    """B2."""
    names = {
        "total": Range("N", "all positive numbers"),
        "n": Range("n_k", "all positive numbers"),
        "decays": Range(r"\lambda_W^M \lambda_H", "all positive numbers"),
        "j": Range("M - 1", "all positive numbers"),
    }
    return ClosedForm(
        r"Squared error through $M \ge 2$ layers: zero is best for a class exactly where $b / n_k \ge (M-1)^{(M-1)/M}/M$ with "
        r"$b = M N (N \lambda_W^M \lambda_H)^{1/M}$; in the number $N$ of samples this is $N \ge N_0$, in closed form, for all "
        r"sizes, decays and depths.",
        names, "total", True, jump_margin, jump_total, jump_identities,
        {
            "exponent $1/M$ in place of $(M-1)/M$": lambda p: (
                (p.n * p.j ** (1 / (p.j + 1)) / (p.j + 1) ** 2) ** (p.j + 1) / p.decays
            ) ** (1 / (p.j + 2)),
            "without the factor $M$ of b": lambda p: (
                (p.n * p.j ** (p.j / (p.j + 1)) / (p.j + 1)) ** (p.j + 1) / p.decays
            ) ** (1 / (p.j + 2)),
        },
        ("the class is alive for fewer samples", "dead for more; a tie on the line"),
        Picture("decays", ("product of the decays", "samples N"), (1e-12, 1e-3), (1.0, 1e5), {"n": 100.0, "j": 1.0}),
        r"The class has one scalar $x \ge 0$; something is better than zero iff $\beta = b/n_k$ is below the largest "
        r"$h(x)$, and $h$ rises up to $x^M = M - 1$ and falls beyond.",
    )  # fmt: skip


# Z2: balanced classes.


def balanced_margin(p: Any) -> Any:
    """``K sqrt(n) mu - 1``."""
    return p.k * sqrt(p.n) * p.mu - 1


def balanced_decay(p: Any) -> Any:
    """``1 / (K sqrt(n))``."""
    return 1 / (p.k * sqrt(p.n))


def height(p: Any) -> Any:
    """``e^a``: ``1 / (sqrt(n) mu) - (K - 1)``."""
    return 1 / (sqrt(p.n) * p.mu) - (p.k - 1)


def balanced_identities(p: Any, margin: Any) -> Iterator[tuple[str, Any]]:
    """The program of the height a, its stationary point, and the dual point that proves it optimal."""
    import sympy as sp

    a = sp.Symbol("a", positive=True)
    program = sp.log(1 + (p.k - 1) * sp.exp(-a)) + sqrt(p.n) * p.mu * (p.k - 1) * a
    slope = sp.diff(program, a)
    yield "slope at zero: $(K-1)/K$ times the margin", slope.subs(a, 0) - (p.k - 1) / p.k * margin
    kappa = p.k / (p.k - 1 + sp.exp(a))
    norm = kappa / (p.k * sqrt(p.n))  # of (P - I) diag(pi) D^{-1/2} with P - I = -kappa S
    stationary = sp.simplify(norm.subs(a, sp.log(height(p))))
    yield r"$P = \mathrm{softmax}(a S)$ meets the dual constraint with equality at the claimed height", stationary - p.mu
    odds = 1 / (sp.exp(a) + p.k - 1)
    own = sp.exp(a) * odds
    entropy = -own * sp.log(own) - (p.k - 1) * odds * sp.log(odds)
    gap = (sp.log(1 + (p.k - 1) * sp.exp(-a)) + norm * sqrt(p.n) * (p.k - 1) * a) - entropy
    yield "and its entropy is the value", sp.expand_log(sp.simplify(sp.expand_log(gap, force=True)), force=True)


def balanced() -> ClosedForm:
    """Z2."""
    names = {"mu": POSITIVE["mu"], "n": Range("n", "all positive numbers"), "k": Range("K", "all numbers from 2 on")}
    return ClosedForm(
        r"Balanced classes under decay: everything is zero exactly for $\mu \ge 1/(K \sqrt n)$, and below $Z = a S$ with "
        r"$e^a = \frac{1}{\sqrt n\, \mu} - (K - 1)$, for all $\mu$, $n$ and $K$.",
        names, "mu", True, balanced_margin, balanced_decay, balanced_identities,
        {r"$1/((K-1) \sqrt n)$": lambda p: 1 / ((p.k - 1) * sqrt(p.n)), "$1/(K n)$": lambda p: 1 / (p.k * p.n)},
        ("a simplex ETF of the stated height at all smaller decays", "everything zero from there on"),
        Picture("n", ("samples for each class", "decay"), (1.0, 1e4), (1e-4, 1.0), {"k": 10.0}),
        r"Dual point and value coincide identically below the line; at $Z = 0$ the slopes have the norm $1/(K \sqrt n)$.",
    )  # fmt: skip


# D4: never the ETF at finite budgets.


def etf_margin(p: Any) -> Any:
    """``K (R - 1) / (e^a + K - 1)``: multiplier that A contrasts ask for, less the one of B contrasts; ``k1 = K - 1``."""
    return (p.k1 + 1) * (p.ratio - 1) / (p.exponential + p.k1)


def etf_ratio(p: Any) -> Any:
    """The ratio at which both agree."""
    return 1


def etf_identities(p: Any, margin: Any) -> Iterator[tuple[str, Any]]:
    """Slopes of the loss along a group's contrast at ``Z = a S``."""
    import sympy as sp

    x, m, a = sp.symbols("x m a", positive=True)
    k = p.k1 + 1
    # A column of the group at contrast x: own, m - 1 others of the group, K - m others fixed at their place in a S.
    own, other, rest = x * (1 - 1 / m) + a * (1 / m - 1 / k), -x / m + a * (1 / m - 1 / k), -a / k
    loss = sp.log(sp.exp(own) + (m - 1) * sp.exp(other) + (k - m) * sp.exp(rest)) - own
    pull = sp.simplify(-sp.diff(loss, x).subs(x, a) * m / (m - 1))
    yield "pull of a class of weight one at $Z = a S$: $K/(e^a + K - 1)$", pull - k / (sp.exp(a) + p.k1)
    each = k / (p.exponential + p.k1)
    yield "R times it for the majority, less the minority's: the margin", p.ratio * each - each - margin


def never() -> ClosedForm:
    """D4."""
    names = {
        "ratio": POSITIVE["ratio"],
        "k1": Range("K - 1", r"all positive numbers; $K_A, K_B \ge 2$"),
        "exponential": Range("e^a", "all positive numbers, so every height $a$ and every budget"),
    }
    return ClosedForm(
        r"Under norm budgets with a finite radius, explicit head or DEQ, no multiple $a S$, $a > 0$, of the simplex ETF is "
        r"optimal unless $R = 1$, for all $K_A, K_B \ge 2$ and every height $a$.",
        names, "ratio", True, etf_margin, etf_ratio, etf_identities,
        {"at the ratio 2": lambda _: 2, "at the ratio $K$": lambda p: p.k1 + 1},
        ("the minority asks for a larger multiplier", "the majority asks for a larger multiplier"),
        Picture("k1", ("classes K, less one", "ratio R"), (3.0, 100.0), (0.1, 10.0), {}),
        "At a S both contrasts are positive, so that stationarity asks both groups for one multiplier of the nuclear norm.",
    )  # fmt: skip
