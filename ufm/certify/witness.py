"""From floats to a document of exact rationals that `ufm.certify.verify` can judge alone."""

from __future__ import annotations

from math import frexp
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ufm.spectral.program import Factors, LogitProgram

if TYPE_CHECKING:
    from ufm.problem.problem import Problem

Floats = NDArray[np.float64]
FORMAT = "ufm-certificate/1"


def document(problem: Problem, program: LogitProgram, factors: Factors, shares: Floats) -> dict[str, object]:
    """The problem, the factors (every float is a dyadic rational) and column-stochastic integer probabilities.

    Probabilities are rounded *down* to multiples of ``1 / denominator`` and the class itself gets the rest, so columns
    sum to one exactly. Under a free bias ``(P - I) pi = 0`` must be exact too: each row's residual, a multiple of
    ``1 / (denominator N)``, is then taken off that row.
    """
    multiplicity = [int(m) for m in program.multiplicity]
    sizes = list(program.sizes)
    smallest = float(np.min(np.where(program.others[:-1] * shares > 0, shares, 1.0)))
    bits = 64 + max(0, -frexp(smallest)[1])
    scaled = np.ldexp(shares, min(bits, 900))
    other = [[int(v) for v in row] for row in scaled.tolist()]
    for g, m in enumerate(multiplicity):
        if m == 1:
            other[g][g] = 0
    denominator = 1 << min(bits, 900)
    if program.bias_decay == 0:
        other, denominator = _balanced(other, denominator, multiplicity, sizes)
    own = [denominator - total for total in _rest(other, multiplicity)]
    if min(own) < 0:
        # Rounding at extreme sizes: P = I is always feasible, and proves at least that the optimum is not negative.
        other, own = [[0] * len(sizes) for _ in sizes], [denominator] * len(sizes)
    return {
        "format": FORMAT,
        "problem": {
            "groups": [{"classes": m, "size": n} for m, n in zip(multiplicity, sizes, strict=True)],
            "loss": problem.loss.name,
            "head": problem.head.certificate(),
            "regularizer": problem.regularizer.certificate(),
            "dim": problem.dim,
        },
        "primal": {name: dyadic(getattr(factors, name)) for name in ("contrast", "left", "right", "bias")},
        "dual": {"denominator": str(denominator), "own": [str(v) for v in own], "other": [[str(v) for v in r] for r in other]},
    }


def dyadic(array: Floats) -> dict[str, object]:
    """An array as ``integers * 2**exponent``, exactly."""
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


def _balanced(
    other: list[list[int]], denominator: int, multiplicity: list[int], sizes: list[int]
) -> tuple[list[list[int]], int]:
    """Probabilities with ``P pi = pi`` exactly, on the denominator times N."""
    groups = range(len(sizes))
    total = sum(m * n for m, n in zip(multiplicity, sizes, strict=True))
    rest = _rest(other, multiplicity)
    shifted = []
    for g in groups:
        received = sum(multiplicity[h] * sizes[h] * other[g][h] for h in groups) - sizes[g] * other[g][g]
        residual = received - sizes[g] * rest[g]
        row = [other[g][h] * total - residual for h in groups]
        if multiplicity[g] == 1:
            row[g] = 0
        if min(row) < 0:
            return [[0] * len(sizes) for _ in sizes], denominator
        shifted.append(row)
    return shifted, denominator * total


def _rest(other: list[list[int]], multiplicity: list[int]) -> list[int]:
    """What each column gives to classes other than its own."""
    groups = range(len(multiplicity))
    return [sum(multiplicity[g] * other[g][h] for g in groups) - other[h][h] for h in groups]
