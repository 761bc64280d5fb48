"""From a table's factors and slopes to a document of exact rationals for `ufm.certify.verify`.

Slopes are balanced exactly where a free bias needs it (docs/theory, Proposition 11.4).
"""

from __future__ import annotations

from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from ufm._arrays import Floats
from ufm.certify.witness import FORMAT, dyadic
from ufm.spectral.table_program import TableFactors, TableProgram

if TYPE_CHECKING:
    from ufm.problem.problem import TableProblem

BITS = 96
"""Binary digits of the slopes of losses with probabilities; their errors are far below float64's."""


def table_document(problem: TableProblem, program: TableProgram, factors: TableFactors, slopes: Floats) -> dict[str, object]:
    """The problem and its witness in exact numbers, as values for JSON.

    Parameters
    ----------
    problem : TableProblem
    program : TableProgram, of this problem
    factors : TableFactors, witness of the upper bound
    slopes : (K, M) float64, witness of the lower bound, as in `ufm.certify.tables.TableBounds`

    Returns
    -------
    dict
        Keys ``format``, ``problem``, ``primal`` and ``dual``; for features of a fixed norm also ``weights``, one over those of
        the supporting program.
    """
    weights = {"weights": dyadic(1.0 / program.scale**2)} if problem.head.normalised else {}
    return {
        "format": FORMAT,
        "problem": {
            "table": {"columns": dyadic(problem.targets.columns), "sizes": list(problem.targets.sizes)},
            "loss": problem.loss_certificate(),
            "head": problem.head.certificate(),
            "regularizer": problem.regularizer.certificate(),
            "dim": problem.dim,
        },
        "primal": {name: dyadic(getattr(factors, name)) for name in ("left", "right", "bias")},
        "dual": _dual(problem, program, slopes),
        **weights,
    }


def _dual(problem: TableProblem, program: TableProgram, slopes: Floats) -> dict[str, object]:
    loss = program.loss
    if loss.quadratic:
        data: dict[str, Any] = dyadic(slopes)
        rows = [[int(v) for v in row] for row in data["integers"]]
        denominator = 1 << -int(data["exponent"])
    else:
        denominator = 1 << BITS
        rows = _rounded(problem, program, slopes, denominator)
    if program.bias_decay == 0:
        rows, denominator = _balanced(program, rows, denominator)
        if not loss.quadratic and not _inside(problem, program, rows, denominator):
            # Slopes of zero are always in the domain, and have no residual.
            rows, denominator = [[0] * program.contexts for _ in range(program.rows)], 1
    return {"denominator": str(denominator), "slopes": [[str(v) for v in row] for row in rows]}


def targets(problem: TableProblem, program: TableProgram) -> list[list[Fraction]]:
    """The exact targets: the table's floats, divided by their sums within blocks where these are probabilities."""
    columns = [[Fraction(v) for v in row] for row in problem.targets.columns.tolist()]
    for start, stop in program.loss.blocks:
        for m in range(program.contexts):
            total = sum(columns[k][m] for k in range(start, stop))
            for k in range(start, stop):
                columns[k][m] /= total
    return columns


def _rounded(problem: TableProblem, program: TableProgram, slopes: Floats, denominator: int) -> list[list[int]]:
    """Slopes as multiples of 1 / denominator with exact probabilities ``slope + target`` in [0, 1]; pivots take the rest."""
    exact = targets(problem, program)
    scaled = np.ldexp(slopes, 60)
    lift = denominator >> 60
    rows = [[int(v) * lift for v in row] for row in scaled.tolist()]
    # The part below 2^-60 matters where probabilities are that small.
    rest = np.ldexp(scaled - np.trunc(scaled), BITS - 60).tolist()
    for k, row in enumerate(rows):
        for m, extra in enumerate(rest[k]):
            target = exact[k][m]
            low = -((target.numerator * denominator) // target.denominator)
            value = max(row[m] + int(extra), low)
            if not program.loss.blocks:
                room = 1 - target
                value = min(value, (room.numerator * denominator) // room.denominator)
            row[m] = value
    for (start, stop), pivot in zip(program.loss.blocks, program.loss.pivots().tolist(), strict=True):
        for m, k in enumerate(pivot):
            taken = sum(rows[i][m] for i in range(start, stop)) - rows[k][m]
            if -taken + exact[k][m] * denominator < 0:
                for i in range(start, stop):
                    rows[i][m] = 0
                taken = 0
            rows[k][m] = -taken
    return rows


def _balanced(program: TableProgram, rows: list[list[int]], denominator: int) -> tuple[list[list[int]], int]:
    """Slopes with ``slopes @ pi = 0`` exactly: each row's residual is taken off that row."""
    weights = [Fraction(float(w)) * n for w, n in zip(program.loss.weight, program.sizes, strict=True)]
    common = lcm(*(w.denominator for w in weights))
    share = [int(w * common) for w in weights]
    total = sum(share)
    moved = []
    for row in rows:
        residual = sum(v * s for v, s in zip(row, share, strict=True))
        moved.append([v * total - residual for v in row])
    return moved, denominator * total


def _inside(problem: TableProblem, program: TableProgram, rows: list[list[int]], denominator: int) -> bool:
    """Whether all probabilities ``slope + target`` lie in [0, 1]."""
    exact = targets(problem, program)
    pairs = ((v, t) for row, line in zip(rows, exact, strict=True) for v, t in zip(row, line, strict=True))
    return all(0 <= v + t * denominator <= denominator for v, t in pairs)
