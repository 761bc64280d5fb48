r"""What theorems on tables of targets share: sets of labels, their centred indicators, and enclosures of an optimum.

*Weak duality.* With shares ``pi_m``, column scales S and targets Y, ``logsumexp(z) = max_q <q, z> + Entropy(q)`` (Gibbs) gives,
for every Z and every table Q of probabilities with ``||(Q - Y) diag(pi) S^{-1}||_2 <= mu``,

    sum_m pi_m [logsumexp(z_m) - <y_m, z_m>] + mu ||Z S||_*  >=  sum_m pi_m Entropy(q_m).

A Q that attains the value of a Z therefore proves both optimal. The optimum is unique up to a constant in each column: the loss
is strictly convex otherwise, and centring the columns makes every singular value smaller or leaves Z as it is.

*Enclosures.* Convexity of the penalty turns a gap between the bounds at Z into ``sum_m pi_m KL(q*_m, q_m) <= gap`` for the
optimum's probabilities ``q*`` and those of Z, and ``sum_k (sqrt q_k - sqrt q*_k)^2 <= KL(q*, q)``. For squared error it is
``sum_m pi_m |z_m - z*_m|^2 / 2 <= gap``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import Any

import numpy as np

import ufm
from proofs_check.enclosure import Enclosure
from ufm._arrays import Floats

ROUNDING = 1e-12
"""Relative error, generously, of probabilities that are computed from logits in float64."""


def subsets(classes: int, size: int) -> list[tuple[int, ...]]:
    """All sets of that many labels."""
    return list(combinations(range(classes), size))


def indicator(classes: int, size: int) -> Floats:
    """(V, C(V, k)) of 0 and 1: one column for each set of labels."""
    found = np.zeros((classes, comb(classes, size)))
    for column, labels in enumerate(subsets(classes, size)):
        found[list(labels), column] = 1.0
    return found


def probabilities(solution: ufm.Solution) -> tuple[Floats, Floats]:
    """Lower and upper bounds, (K, M) each, on the probabilities of the optimum; see the module."""
    program: Any = solution.program
    bounds = Enclosure.of(solution.certificate)
    root = np.sqrt(program.loss.probabilities(np.asarray(solution.logits)))
    distance = np.sqrt(bounds.width / program.share) * (1 + ROUNDING)
    low = np.maximum(root * (1 - ROUNDING) - distance, 0.0)
    return low**2 * (1 - ROUNDING), np.minimum((root * (1 + ROUNDING) + distance) ** 2 * (1 + ROUNDING), 1.0)


def span(low: Floats, high: Floats) -> Enclosure:
    """What contains all of them."""
    return Enclosure(float(low.min()), float(high.max()))


def hull(low: float, high: float) -> Any:
    """A ball that contains an interval."""
    from flint import arb

    return arb(low).union(arb(high))


def counting_steps() -> Iterator[tuple[str, Any]]:
    """The indicator of all k-subsets, centred, has V - 1 equal singular values ``sqrt(C(V-2, k-1))``.

    A label lies in ``C(V-1, k-1)`` sets, two labels in ``C(V-2, k-2)``, so that ``B B' = (C(V-1, k-1) - C(V-2, k-2)) I +
    C(V-2, k-2) J`` with ``J = 1 1'``; then ``(B - k/V 1 1')(B - k/V 1 1')'`` is that minus ``2 (k/V) C(V-1, k-1) J`` plus
    ``(k/V)^2 C(V, k) J``.
    """
    import sympy as sp

    v, k = sp.symbols("V k", positive=True, integer=True)
    one, two, sets, square = sp.binomial(v - 1, k - 1), sp.binomial(v - 2, k - 2), sp.binomial(v, k), sp.binomial(v - 2, k - 1)
    yield r"$B B^\top = \binom{V-2}{k-1} I + \binom{V-2}{k-2} J$", sp.combsimp((one - two) / square) == 1
    rest = (two - 2 * k / v * one + (k / v) ** 2 * sets) / square
    yield r"centred: $\binom{V-2}{k-1} (I - J/V)$", sp.simplify(sp.combsimp(rest) + 1 / v) == 0
    yield (
        r"$\binom{V}{k} = \binom{V-2}{k-1} \frac{V (V-1)}{k (V-k)}$",
        sp.simplify(sp.combsimp(sets / square) - v * (v - 1) / (k * (v - k))) == 0,
    )
