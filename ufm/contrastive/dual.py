r"""The dual point of the contrastive program: row prices, and the matrix that must be positive semidefinite.

By convexity ``f(G') >= f(G) + sum_{k != j} c_kj (g'_kj - g_kj)`` for any symmetric cosines G, and for every Gram matrix G' with
unit diagonal ``sum_{k != j} c_kj g'_kj >= sum_k y_k`` as soon as ``c - Diag(y)`` (c with zero diagonal) is positive
semidefinite (docs/theory, Proposition 13.4). By groups this asks ``y_g <= -c_gg`` where a group has two or more classes, and
that the (G, G) matrix with entries ``sqrt(m_g m_h) c_gh`` and diagonal ``(m_g - 1) c_gg - y_g`` is positive semidefinite.
"""

from __future__ import annotations

import numpy as np

from ufm._arrays import Floats
from ufm.contrastive.program import ClassVectors, GramProgram


def prices(program: GramProgram, cosines: Floats, pairs: Floats) -> Floats:
    """Row prices y, (G,), at cosines of groups: the diagonal of c G, and not above ``-c_gg``.

    Parameters
    ----------
    program : GramProgram
    cosines : (G, G) float64
    pairs : (G, G) float64, c as `GramProgram.slopes` returns it

    Returns
    -------
    (G,) float64
    """
    rows = ((program.others * pairs) * cosines).sum(axis=1)
    return np.where(program.multiplicity > 1, np.minimum(rows, -np.diag(pairs)), rows)


def core(program: GramProgram, pairs: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The (G, G) matrix that must be positive semidefinite, divided by ``d_g d_h``, and d: the root of its diagonal.

    Parameters
    ----------
    program : GramProgram
    pairs : (G, G) float64, c
    y : (G,) float64, row prices

    Returns
    -------
    tuple of (G, G) float64 and (G,) float64
    """
    m = program.multiplicity
    root = np.sqrt(m)
    diagonal = (m - 1) * np.diag(pairs) - y
    # The floor keeps d positive where all of c underflows.
    d = np.sqrt(np.maximum(diagonal, 1e-3 * program.share**2))
    scaled = pairs * (root / d)[:, None] * (root / d)
    np.fill_diagonal(scaled, diagonal / d / d)
    return scaled, d


def dual_gap(program: GramProgram, vectors: ClassVectors) -> float:
    """Value at unit vectors minus the lower bound from their slopes, without regard to rounding; at least zero."""
    cosines = program.cosines(vectors)
    slopes = program.slopes(cosines)
    y = prices(program, cosines, slopes.pairs)
    scaled, d = core(program, slopes.pairs, y)
    short = max(0.0, -float(np.linalg.eigvalsh(scaled)[0]))
    m = program.multiplicity
    linear = float(m @ ((program.others * slopes.pairs) * cosines).sum(axis=1))
    return max(0.0, linear - float(m @ y) + short * float(m @ d**2))
