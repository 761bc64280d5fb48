r"""Steps of proofs for M decayed linear layers above free features under squared error.

A class of n samples among N pays ``(s - sqrt n)^2 / (2N) + (M+1)/2 q s^{2/(M+1)}`` for its singular value s, with
``q^{M+1} = lw^M lh`` and ``b = M N (N q^{M+1})^{1/M}``; points are ``s = sqrt(n) x^M / (x^M + 1)``. M is any positive number
here: powers are compared by their logarithms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from proofs_check.projectors import letters, once


def equal_logs(one: Any, other: Any) -> bool:
    """Whether computer algebra confirms that two positive products of powers are equal.

    Parameters
    ----------
    one, other : sympy expressions of positive symbols

    Returns
    -------
    bool

    Examples
    --------
    >>> import sympy as sp
    >>> x, m = sp.symbols("x M", positive=True)
    >>> equal_logs((x**m) ** (1 / m), x), equal_logs(x ** (m - 1), x**m)
    (True, False)
    """
    import sympy as sp

    return sp.simplify(sp.expand_log(sp.log(one) - sp.log(other), force=True)) == 0


@once
def layer_steps() -> Iterator[tuple[str, Any]]:
    """The price of a product of M + 1 factors, and the features of its optimal factors.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    m, lw, lh, sigma = sp.symbols("M lambda_W lambda_H sigma", positive=True)
    power = (lw**m * lh) ** (1 / (m + 1)) * sigma ** (2 / (m + 1))
    layer = (lh / lw) ** (1 / (2 * (m + 1))) * sigma ** (1 / (m + 1))
    top = sigma / layer**m
    yield (
        r"a singular value costs $\frac{M+1}{2} q\, \sigma^{2/(M+1)}$ (arithmetic and geometric means, Horn's inequality), "
        "attained where all factors pay alike",
        equal_logs(lw * layer**2, power) and equal_logs(lh * top**2, power),
    )
    w, wt, v, vt, g, bt, rt, y = letters("W Wt V Vt G Bt Rt Y")
    first = wt * (bt * g * vt + lw * w) - (wt * bt * g + lh * v) * vt
    inner = wt * (bt * g * rt * vt + lw * w) - (wt * bt * g * rt + lw * v) * vt
    yield (
        r"critical factors are balanced: $\lambda_W W_1^\top W_1 = \lambda_H V V^\top$ with $V = H D^{1/2}$, and "
        r"$W_{l+1}^\top W_{l+1} = W_l W_l^\top$",
        sp.expand(first - lw * wt * w + lh * v * vt) == 0 and sp.expand(inner - lw * (wt * w - v * vt)) == 0,
    )
    yield (
        r"so that $X^\top X = (\lambda_H/\lambda_W)^M (V^\top V)^{M+1}$, by induction from "
        r"$W^\top (W W^\top) Y W = (W^\top W) (W^\top Y W)$: features are orthogonal where X is diagonal",
        sp.expand(wt * (w * wt) * y * w - (wt * w) * (wt * y * w)) == 0
        and equal_logs((lh / lw * sigma) ** m * sigma, (lh / lw) ** m * sigma ** (m + 1)),
    )


@once
def scalar_steps() -> Iterator[tuple[str, Any]]:
    """The problem of one class: where its cost falls, its minima, and their value.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    x, y, m, n, total, q, s = sp.symbols("x y M n N q s", positive=True)  # y = x^M
    cost = (s - sp.sqrt(n)) ** 2 / (2 * total) + (m + 1) / 2 * q * s ** (2 / (m + 1))
    pull = (sp.sqrt(n) - s) / total * s ** ((m - 1) / (m + 1))
    yield (
        r"the cost falls at s iff $q < \psi(s) = \frac{\sqrt{n} - s}{N} s^{(M-1)/(M+1)}$, so never from $\sqrt{n}$ on",
        sp.simplify(sp.powsimp(sp.expand(sp.diff(cost, s) * s ** ((m - 1) / (m + 1)) - (q - pull)))) == 0,
    )
    left, at = sp.sqrt(n) / (total * (y + 1)), sp.sqrt(n) * y / (y + 1)
    yield r"$\sqrt{n} - s = \sqrt{n} / (x^M + 1)$", sp.simplify((sp.sqrt(n) - at) / total - left) == 0
    strength = m * total * (total * (left * at ** ((m - 1) / (m + 1))) ** (m + 1)) ** (1 / m) / n
    steep = m * x ** (m - 1) / (x**m + 1) ** 2
    yield (
        r"with $q = \psi(s)$, b is $b/n = r(x) = M x^{M-1} / (x^M + 1)^2$; b grows with q, so the cost falls iff $b/n < r(x)$",
        equal_logs(strength.subs(y, x**m), steep),
    )
    slope = sp.diff(sp.log(steep), x)
    yield (
        r"r rises while $x^M < (M-1)/(M+1)$ and falls beyond: the minima are 0 and the larger root",
        sp.simplify(slope * x * (x**m + 1) - ((m - 1) - (m + 1) * x**m)) == 0,
    )
    value = (at - sp.sqrt(n)) ** 2 / (2 * total) + (m + 1) / 2 * left * at
    claimed = n / (2 * total) * (1 / (y + 1) + m * y / (y + 1) ** 2)
    yield (
        r"the value at the root is $\frac{n}{2N} [1/(x^M + 1) + (b/n)\, x]$",
        sp.simplify(value - claimed) == 0 and sp.simplify(sp.powsimp(steep * x - (m * y / (y + 1) ** 2).subs(y, x**m))) == 0,
    )
    yield r"and at zero it is $\frac{n}{2N}$", sp.simplify(cost.subs(q, 0).subs(s, 0) - n / (2 * total)) == 0


@once
def tie_steps() -> Iterator[tuple[str, Any]]:
    """Which minimum of one class is lower, for every b.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    x, m, ratio = sp.symbols("x M beta", positive=True)
    value, share = 1 / (x**m + 1) + ratio * x, x ** (m - 1) / (x**m + 1)
    steep = m * x ** (m - 1) / (x**m + 1) ** 2
    yield (
        r"$f(x) = 1/(x^M + 1) + (b/n)\, x$ falls iff $b/n < r(x)$: over $x \ge 0$ it is least at 0 or the larger root",
        sp.simplify(sp.diff(value, x) - (ratio - steep)) == 0,
    )
    yield (
        r"$f(x) - f(0) = x \left(b/n - \frac{x^{M-1}}{x^M + 1}\right)$",
        sp.simplify(sp.powsimp(sp.expand((value - 1 - x * (ratio - share)) * (x**m + 1)))) == 0,
    )
    yield (
        r"the fraction rises while $x^M < M - 1$ and falls beyond",
        sp.simplify(sp.diff(sp.log(share), x) * x * (x**m + 1) - ((m - 1) - x**m)) == 0,
    )
    less = sp.Symbol("L", positive=True)  # M - 1
    top, most = less ** (1 / (less + 1)), less ** (less / (less + 1)) / (less + 1)
    yield (
        r"its maximum is $(M-1)^{(M-1)/M} / M$: the class dies iff b/n is more, and at $M \ge 2$ the minima tie there",
        equal_logs(top**less / (less + 1), most) and sp.simplify(top ** (less + 1) - less) == 0,
    )
    there = steep.subs(m, less + 1).subs(x, top)
    alive = top ** (less + 1)
    yield (
        r"the tie is at the larger root, as $M - 1 > (M-1)/(M+1)$: the logit jumps from $(M-1)/M$ to 0",
        equal_logs(sp.powsimp(there), most)
        and sp.simplify(less - less / (less + 2) - less * (less + 1) / (less + 2)) == 0
        and sp.simplify(alive / (alive + 1) - less / (less + 1)) == 0,
    )
    total, lw, lh, n = sp.symbols("N lambda_W lambda_H n", positive=True)
    single = (m * total * (total * lw**m * lh) ** (1 / m) / n).subs(m, 1)
    yield (
        r"$M = 1$: the fraction $1/(x+1)$ falls from its supremum 1: the class dies iff "
        r"$b/n = N^2 \lambda_W \lambda_H / n \ge 1$",
        sp.simplify(share.subs(m, 1) - 1 / (x + 1)) == 0 and sp.simplify(single - total**2 * lw * lh / n) == 0,
    )


@once
def small_decay_steps() -> Iterator[tuple[str, Any]]:
    r"""Values of codes of one margin at small decay: ``c lambda nu T^p`` to leading order, with ``T = log(1/lambda)``.

    A code has the margin a to other classes, pays ``c lambda nu a^p`` and has a loss of at least ``log(1 + e^{-a})`` and at
    most ``log(1 + (K-1) e^{-a})``.

    Yields
    ------
    (str, truth)
        Named steps of a proof.
    """
    import sympy as sp

    k, t, p, c, nu, a, u = sp.symbols("K T p c nu a u", positive=True)
    decay = sp.exp(-t)
    least = t - (p + 1) * sp.log(t)
    odds = sp.exp(-least)
    yield (
        r"at $a = T = \log(1/\lambda)$ the loss is at most $(K-1) \lambda$, as $\log(1 + u) \le u$",
        sp.simplify(sp.diff(u - sp.log(1 + u), u) - u / (1 + u)) == 0 and sp.exp(-a).subs(a, t) == decay,
    )
    above = (c * nu * t**p + (k - 1)) / (c * nu * t**p)
    yield r"so that the least value is at most $c \lambda \nu T^p (1 + o(1))$", sp.limit(sp.expand(above) - 1, t, sp.oo) == 0
    yield (
        r"from $a_0 = T - (p+1) \log T$ on the price alone is $c \lambda \nu T^p (1 + o(1))$",
        sp.limit(sp.expand(least / t), t, sp.oo) == 1,
    )
    yield (
        r"below $a_0$ the loss alone is at least $\frac{u}{1+u}$, $u = \lambda T^{p+1}$, which is more",
        sp.simplify(odds - decay * t ** (p + 1)) == 0
        and sp.simplify(sp.diff(sp.log(1 + u) - u / (1 + u), u) - u / (1 + u) ** 2) == 0
        and sp.limit(sp.simplify(t ** (p + 1) / t**p) / (c * nu), t, sp.oo) == sp.oo
        and sp.limit(sp.exp(-t) * t**3, t, sp.oo) == 0,
    )
