"""Bounds on the contrastive optimum in ball arithmetic: level "rigorous" (docs/theory, Proposition 13.6)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ufm._arrays import Floats
from ufm._balls import outward, working_precision
from ufm.contrastive.dual import core, prices
from ufm.contrastive.program import ClassVectors, GramProgram


class Rows:
    """For one class of each group, balls of the terms ``pi_h exp((c_gh - 1) / tau)`` and of their sums over all classes.

    Attributes
    ----------
    each : (G, G) nested lists of arb
    total : list of G arb
    """

    def __init__(self, program: GramProgram, cosines: list[list[Any]]) -> None:
        from flint import arb

        tau, size = arb(program.temperature), sum(m * n for m, n in program.groups)
        self.program = program
        self.cosines = cosines
        self.each = [
            [arb(n) / size * ((c - 1) / tau).exp() for c, (_, n) in zip(row, program.groups, strict=True)] for row in cosines
        ]
        self.total = []
        for g, row in enumerate(self.each):
            own = arb(program.groups[g][1]) / size
            self.total.append(own + sum(((m - (g == h)) * row[h] for h, (m, _) in enumerate(program.groups)), arb(0)))

    def value(self) -> Any:
        """f, as a ball."""
        from flint import arb

        size = sum(m * n for m, n in self.program.groups)
        terms = (arb(m * n) / size * t.log() for (m, n), t in zip(self.program.groups, self.total, strict=True))
        return sum(terms, arb(0))

    def pairs(self) -> list[list[Any]]:
        """The slopes c, (G, G) nested lists of arb; see `GramProgram.slopes`."""
        from flint import arb

        size = sum(m * n for m, n in self.program.groups)
        span = range(len(self.total))
        tau = arb(self.program.temperature)
        one_way = [[arb(self.program.groups[g][1]) / size * self.each[g][h] / self.total[g] / tau for h in span] for g in span]
        return [[(one_way[g][h] + one_way[h][g]) / 2 for h in span] for g in span]


def ball_cosines(program: GramProgram, vectors: ClassVectors) -> list[list[Any]]:
    """Cosines between classes of the exact unit vectors that these float64 vectors give, (G, G) nested lists of arb.

    Parameters
    ----------
    program : GramProgram
    vectors : ClassVectors

    Returns
    -------
    nested lists of arb
        As in `GramProgram.cosines`. Call it inside `ufm._balls.working_precision`.
    """
    from flint import arb, arb_mat

    groups = len(program.groups)
    means = arb_mat([[arb(float(v)) for v in row] for row in vectors.means.tolist()])
    products = means * means.transpose()
    square = [arb(float(s)) ** 2 for s in vectors.spread.tolist()]
    length = [products[g, g] + square[g] for g in range(groups)]
    root = [v.sqrt() for v in length]
    found = [[products[g, h] / (root[g] * root[h]) for h in range(groups)] for g in range(groups)]
    for g, (m, _) in enumerate(program.groups):
        found[g][g] = 1 - square[g] / length[g] * m / (m - 1) if m > 1 else arb(1)
    return found


def exact(cosines: Floats) -> list[list[Any]]:
    """Float64 numbers, (G, G), as balls of radius zero."""
    from flint import arb

    return [[arb(float(c)) for c in row] for row in cosines.tolist()]


def ball_value(program: GramProgram, cosines: Floats) -> tuple[float, float]:
    """Enclosure of f at exact cosines of groups, (G, G)."""
    with working_precision():
        return outward(Rows(program, exact(cosines)).value())


def ball_upper(program: GramProgram, vectors: ClassVectors) -> float:
    """Upper bound: f at the unit vectors that these float64 vectors give, see `ball_cosines`."""
    with working_precision():
        return outward(Rows(program, ball_cosines(program, vectors)).value())[1]


def ball_lower(program: GramProgram, cosines: Floats) -> float:
    """Lower bound from the slopes at cosines of groups, (G, G), which need not be those of unit vectors.

    Where it is higher, the value at cosines -1, which is below that of every Gram matrix.

    Parameters
    ----------
    program : GramProgram
    cosines : (G, G) float64, symmetric

    Returns
    -------
    float, nats
    """
    with working_precision():
        rows = Rows(program, exact(cosines))
        if program.nonnegative:
            return outward(rows.value())[0]
        bound, _ = tangent(program, rows, cosines)
        return max(outward(bound)[0], outward(Rows(program, exact(-np.ones_like(cosines))).value())[0])


def tangent(program: GramProgram, rows: Rows, cosines: Floats) -> tuple[Any, list[Any]]:
    """The lower bound as a ball, and balls of the slack ``-c_gg - y_g >= 0`` of each group of two or more classes.

    Parameters
    ----------
    program : GramProgram
    rows : Rows, at the cosines
    cosines : (G, G) float64

    Returns
    -------
    tuple of arb and list of (arb or None)
    """
    from flint import arb

    groups = range(len(program.groups))
    pairs = rows.pairs()
    y_float = prices(program, cosines, program.slopes(cosines).pairs)
    y, slack = [], []
    for g, (m, _) in enumerate(program.groups):
        price = arb(float(y_float[g]))
        if m > 1 and not price <= -pairs[g][g]:
            price = arb((-pairs[g][g]).lower())
        y.append(price)
        slack.append(-pairs[g][g] - price if m > 1 else None)
    short, d = _shortfall(program, pairs, y)
    bound = rows.value()
    for g in groups:
        m = program.groups[g][0]
        linear = sum((int(program.others[g, h]) * pairs[g][h] * rows.cosines[g][h] for h in groups), arb(0))
        bound += m * (y[g] - linear - short * d[g] ** 2)
    slack = [s if s is None else s + short * d[g] ** 2 for g, s in enumerate(slack)]
    return bound, slack


def _shortfall(program: GramProgram, pairs: list[list[Any]], y: list[Any]) -> tuple[Any, list[Any]]:
    """A bound on minus the smallest eigenvalue of the matrix of `core`, at least zero, and its scales d."""
    from flint import arb, arb_mat

    span = range(len(y))
    m = [classes for classes, _ in program.groups]
    middle = np.array([[float(pairs[g][h].mid()) for h in span] for g in span])
    scaled, d_float = core(program, middle, np.array([float(v.mid()) for v in y]))
    d = [arb(float(v)) for v in d_float]
    eigenvalues, vectors = np.linalg.eigh(scaled)
    root = arb_mat([[arb(float(v)) for v in row] for row in (vectors * np.sqrt(np.maximum(eigenvalues, 0.0))).tolist()])
    product = root * root.transpose()
    longest, squares = arb(0), arb(0)
    for g in span:
        row = arb(0)
        for h in span:
            entry = (m[g] - 1) * pairs[g][g] - y[g] if g == h else (arb(m[g]) * m[h]).sqrt() * pairs[g][h]
            residual = abs(entry / (d[g] * d[h]) - product[g, h])
            row += residual
            squares += residual * residual
        longest = longest.max(row)
    # Both the largest row sum and the Frobenius norm bound the spectral norm of the residual.
    return arb(longest.min(squares.sqrt()).upper()), d
