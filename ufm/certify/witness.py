"""From floats to a document of exact rationals that `ufm.certify.verify` can check without this package.

Slopes are balanced exactly where a free bias needs it (docs/theory, Proposition 2.4).
"""

from __future__ import annotations

from fractions import Fraction
from math import frexp, lcm
from typing import TYPE_CHECKING

import numpy as np

from ufm._arrays import Floats
from ufm.certify.scalars import splits
from ufm.spectral.program import Factors, LogitProgram

if TYPE_CHECKING:
    from ufm.problem.problem import Problem

FORMAT = "ufm-certificate/2"


def document(problem: Problem, program: LogitProgram, factors: Factors, slopes: Floats) -> dict[str, object]:
    """The problem and its witness in exact numbers, as values for JSON.

    Parameters
    ----------
    problem : Problem
    program : LogitProgram, of this problem, reduced or split
    factors : Factors, witness of the upper bound; every float is a dyadic rational
    slopes : (G + 1, G) float64, witness of the lower bound, as in `ufm.certify.primal_dual.Bounds`

    Returns
    -------
    dict
        Keys ``format``, ``problem``, ``primal`` and ``dual``; for features of a fixed norm also ``weights``, one over those of
        the supporting program, and for classifiers of a fixed norm ``rows``, the weights of rows.
    """
    weights = {"weights": dyadic(1.0 / program.scale**2)} if problem.head.normalised else {}
    if problem.head.normalised and program.penalty.ball:
        weights["rows"] = dyadic(program.rows)  # type: ignore[attr-defined]
    return {
        "format": FORMAT,
        "problem": {
            "groups": [{"classes": int(m), "size": n} for m, n in zip(program.multiplicity, program.sizes, strict=True)],
            "loss": _by_program(problem, program),
            "head": problem.head.certificate(),
            "regularizer": problem.regularizer.certificate(),
            "dim": problem.dim,
        },
        "primal": {name: dyadic(getattr(factors, name)) for name in ("contrast", "left", "right", "bias")},
        "dual": _dual(problem, program, slopes),
        **weights,
    }


def _by_program(problem: Problem, program: LogitProgram) -> dict[str, object]:
    """The loss's part of the document, its lists in the order of the program's groups."""
    counts = problem.counts
    place = {size: g for g, (_, size) in enumerate(counts.groups)}
    order = [place[n] for n in program.sizes]
    found = problem.loss.certificate(counts)
    return {name: [v[g] for g in order] if isinstance(v, list) else v for name, v in found.items()}


def _free(problem: Problem, program: LogitProgram, slopes: Floats) -> dict[str, object]:
    """Slopes of squared error as integers; empty where the program splits into scalar problems and needs no slopes."""
    if splits(program):
        return {}
    data = dyadic(slopes)
    rows: list[list[int]] = [[int(v) for v in row] for row in data["integers"]]  # type: ignore[attr-defined]
    own, other, denominator = rows[-1], rows[:-1], 1 << -int(data["exponent"])  # type: ignore[call-overload]
    if program.bias_decay == 0:
        own, other, denominator = _balanced(problem, program, own, other, denominator)
    return _written(own, other, denominator)


def _dual(problem: Problem, program: LogitProgram, slopes: Floats) -> dict[str, object]:
    return (_probabilities if program.loss.shift_invariant else _free)(problem, program, slopes)


def _probabilities(problem: Problem, program: LogitProgram, slopes: Floats) -> dict[str, object]:
    """Column-stochastic integer probabilities.

    They are rounded *down* to multiples of ``1 / denominator`` and the class itself gets the rest, so columns sum to one
    exactly. Under a free bias ``(P - T) pi = 0`` must be exact too.
    """
    multiplicity = [int(m) for m in program.multiplicity]
    groups = range(len(multiplicity))
    shares = np.where(program.logit_counts[:-1] > 0, np.maximum(program.loss.probabilities(slopes), 0.0), 0.0)
    smallest = float(np.min(np.where(shares > 0, shares, 1.0)))
    bits = min(64 + max(0, -frexp(smallest)[1]), 900)
    other = [[int(v) for v in row] for row in np.ldexp(shares, bits).tolist()]
    denominator = 1 << bits
    smoothing = Fraction(program.loss.smoothing)
    floor = smoothing / sum(multiplicity)
    if program.bias_decay == 0:
        common = lcm(denominator, floor.denominator)
        step, target = common // denominator, int(floor * common)
        moved = [
            [v * step - target if program.logit_counts[g, h] else 0 for h, v in enumerate(row)] for g, row in enumerate(other)
        ]
        own = [-total for total in _rest(moved, multiplicity)]
        _, moved, denominator = _balanced(problem, program, own, moved, common)
        target = int(floor * denominator)
        other = [[v + target if program.logit_counts[g, h] else 0 for h, v in enumerate(row)] for g, row in enumerate(moved)]
    own = [denominator - total for total in _rest(other, multiplicity)]
    if min(own) < 0 or min(map(min, other)) < 0:
        # Rounding at extreme sizes: P = T is always feasible, and proves at least that the optimum is not negative.
        denominator = floor.denominator
        other = [[int(floor * denominator) if program.logit_counts[g, h] else 0 for h in groups] for g in groups]
        own = [denominator - total for total in _rest(other, multiplicity)]
    return _written(own, other, denominator)


def _written(own: list[int], other: list[list[int]], denominator: int) -> dict[str, object]:
    return {"denominator": str(denominator), "own": [str(v) for v in own], "other": [[str(v) for v in r] for r in other]}


def _balanced(
    problem: Problem, program: LogitProgram, own: list[int], other: list[list[int]], denominator: int
) -> tuple[list[int], list[list[int]], int]:
    """Slopes with ``Y pi = 0`` exactly: each row's residual, a multiple of 1 / (denominator total), is taken off that row."""
    multiplicity = [int(m) for m in program.multiplicity]
    groups = range(len(multiplicity))
    weights = _by_program(problem, program).get("weights") or ["1"] * len(multiplicity)
    exact = [n * Fraction(w) for n, w in zip(program.sizes, weights, strict=True)]  # type: ignore[arg-type]
    common = lcm(*(v.denominator for v in exact))
    share = [int(v * common) for v in exact]
    total = sum(m * s for m, s in zip(multiplicity, share, strict=True))
    rows, diagonal = [], []
    for g in groups:
        received = sum(multiplicity[h] * share[h] * other[g][h] for h in groups) - share[g] * other[g][g]
        residual = received + share[g] * own[g]
        rows.append([other[g][h] * total - residual if program.logit_counts[g, h] else 0 for h in groups])
        diagonal.append(own[g] * total - residual)
    return diagonal, rows, denominator * total


def dyadic(array: Floats) -> dict[str, object]:
    """An array of floats of any shape as ``integers * 2**exponent``, exactly; integers are written as strings."""
    _, exponents = np.frexp(array)
    lowest = int(np.min(np.where(array != 0, exponents, 1000), initial=1000)) - 53
    lowest = min(lowest, 0)
    mantissas, exponents = np.frexp(array)
    whole = np.ldexp(mantissas, 53).astype(np.int64).tolist()
    shift = (exponents - 53 - lowest).tolist()

    def exact(value, power):
        if isinstance(value, list):
            return [exact(v, p) for v, p in zip(value, power, strict=True)]
        return str(value << power) if value else "0"

    return {"exponent": lowest, "integers": exact(whole, shift)}


def _rest(other: list[list[int]], multiplicity: list[int]) -> list[int]:
    """What each column gives to classes other than its own."""
    groups = range(len(multiplicity))
    return [sum(multiplicity[g] * other[g][h] for g in groups) - other[h][h] for h in groups]
