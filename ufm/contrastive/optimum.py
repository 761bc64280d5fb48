"""From a certified gap to the optimum itself: enclosures of its cosines (docs/theory, Proposition 13.5)."""

from __future__ import annotations

from typing import Any

from ufm._balls import outward, working_precision
from ufm.contrastive.ball_bounds import Rows, ball_cosines, exact, tangent
from ufm.contrastive.program import ClassVectors, GramProgram


def enclose_cosines(program: GramProgram, vectors: ClassVectors) -> list[list[tuple[float, float] | None]]:
    """Enclosures of the cosines of the optimum, from vectors near it and the gap between their value and their lower bound.

    Two bounds are used, both in ball arithmetic. The Kullback-Leibler divergences of the optimum's row probabilities from those
    at the vectors, weighted by the shares, sum to at most the gap. And a group whose dual slack is z > 0 has
    ``m z spread^2 <= gap`` at the optimum.

    Parameters
    ----------
    program : GramProgram, without a sign constraint
    vectors : ClassVectors

    Returns
    -------
    nested lists of (lower, upper) or None
        Entry (g, h): cosine of a class of g and another of h; None on the diagonal for groups of one class.
    """
    from flint import arb

    span = range(len(program.groups))
    with working_precision():
        rows = Rows(program, ball_cosines(program, vectors))
        middle = program.cosines(vectors)
        bound, slack = tangent(program, Rows(program, exact(middle)), middle)
        gap = arb((rows.value() - bound).upper())
        size = sum(m * n for m, n in program.groups)
        tau = arb(program.temperature)
        distance = [(gap * size / (m * n)).sqrt() for m, n in program.groups]
        found: list[list[Any]] = [[arb(0, 1) for _ in span] for _ in span]
        for g in span:
            own = _moved(arb(program.groups[g][1]) / size / rows.total[g], distance[g])
            for h in span:
                other = program.groups[h][0] - (g == h)
                if other == 0:
                    continue
                share = _moved(other * rows.each[g][h] / rows.total[g], distance[g])
                ratio = share * program.groups[g][1] / (other * own * program.groups[h][1])
                cosine = _meet(found[g][h], 1 + tau * ratio.log())
                found[g][h] = found[h][g] = _meet(found[h][g], cosine)
        for g, (m, _) in enumerate(program.groups):
            if m > 1 and slack[g] > 0:
                spread = gap / (m * slack[g])
                found[g][g] = _meet(found[g][g], 1 - (spread * m / (m - 1)).union(arb(0)))
        return [[None if g == h and program.groups[g][0] == 1 else _inside(outward(found[g][h])) for h in span] for g in span]


def _moved(probability: Any, distance: Any) -> Any:
    """A ball of probabilities whose roots are within a distance of that of one; it may reach below zero."""
    from flint import arb

    root = probability.sqrt()
    low = root - distance
    low = low**2 if low > 0 else arb(0)
    return low.union(((root + distance) ** 2).min(arb(1)))


def _meet(one: Any, other: Any) -> Any:
    """The common part of two balls that contain the same number; the first where the second is not finite."""
    if not other.is_finite():
        return one
    low, high = one.lower().max(other.lower()), one.upper().min(other.upper())
    return low.union(high)


def _inside(ends: tuple[float, float]) -> tuple[float, float]:
    """Cosines lie between -1 and 1."""
    return max(ends[0], -1.0), min(ends[1], 1.0)
