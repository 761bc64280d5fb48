"""Bounds on the contrastive optimum in float64, rounding errors subtracted (docs/theory, Proposition 13.6)."""

from __future__ import annotations

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import ELEMENTARY, TINY, UNIT, gamma
from ufm.contrastive.dual import core, prices
from ufm.contrastive.program import ClassVectors, GramProgram


def float_value(program: GramProgram, cosines: Floats) -> tuple[float, float]:
    """f at exact cosines of groups, (G, G), computed in float64, and a bound on its rounding error."""
    total = program.terms(cosines)[1]
    error = _relative_error(program, cosines)
    weights, logs = program.multiplicity * program.share, np.abs(np.log(total))
    rows = 2 * error + ELEMENTARY * UNIT * logs
    return program.value(cosines), float(weights @ rows + gamma(len(total) + 6) * (weights @ logs)) * (1 + 1e-9)


def float_upper(program: GramProgram, vectors: ClassVectors) -> float:
    """Upper bound: f at the unit vectors, (G, r), that these float64 vectors give when divided by their lengths.

    Parameters
    ----------
    program : GramProgram
    vectors : ClassVectors

    Returns
    -------
    float, nats
    """
    value, error = float_value(program, program.cosines(vectors))
    # Each cosine is off by at most this; f moves at most 1 / tau times as much.
    cosine = (2 * vectors.means.shape[1] + 24) * UNIT
    return _outward(value, error + cosine / program.temperature * 1.001)


def float_lower(program: GramProgram, cosines: Floats) -> float:
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
    m, groups = program.multiplicity, len(program.groups)
    value, error = float_value(program, cosines)
    if program.nonnegative:
        # At zero cosines off the diagonal f is the least over G >= 0 (docs/theory, Proposition 13.7).
        return _outward(value, -error)
    pairs = program.slopes(cosines).pairs
    relative = 3 * _relative_error(program, cosines) + 12 * UNIT  # of an entry of c
    y = prices(program, cosines, pairs)
    own = np.diag(pairs)
    y = np.where(m > 1, np.minimum(y, -own * (1 + 2 * relative) - TINY), y)
    short, d = _shortfall(program, pairs, y, relative)
    weighted = program.others * pairs
    linear, size = float(m @ (weighted * cosines).sum(axis=1)), float(m @ (weighted * np.abs(cosines)).sum(axis=1))
    priced, cost = float(m @ y), short * float(m @ d**2)
    error += (relative + gamma(2 * groups + 8)) * size + gamma(groups + 4) * float(m @ np.abs(y)) + TINY
    error += 8 * UNIT * (abs(value) + abs(linear) + abs(priced))
    bound = _outward(value - linear + priced, -(error * (1 + 1e-9) + cost * (1 + gamma(groups + 8))))
    least, wrong = float_value(program, -np.ones_like(cosines))
    return max(bound, _outward(least, -wrong))


def _shortfall(program: GramProgram, pairs: Floats, y: Floats, relative: float) -> tuple[float, Floats]:
    """A bound on minus the smallest eigenvalue of the exact matrix of `core`, at least zero, and its scales d."""
    m, groups = program.multiplicity, len(program.groups)
    scaled, d = core(program, pairs, y)
    eigenvalues, vectors = np.linalg.eigh(scaled)
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
    # scaled = root root' + residual for any root, so that no property of the eigenvectors is used.
    residual = scaled - root @ root.T
    wrong = gamma(groups + 2) * (np.abs(root) @ np.abs(root).T) + (relative + 16 * UNIT) * np.abs(scaled)
    diagonal = (relative + 16 * UNIT) * ((m - 1) * np.diag(pairs) + np.abs(y)) / d**2
    wrong[np.diag_indices(groups)] += diagonal
    norm = float(np.sqrt(((np.abs(residual) + wrong) ** 2).sum()))
    return norm * (1 + gamma(groups**2 + 8)) + groups * TINY**0.5, d


def _relative_error(program: GramProgram, cosines: Floats) -> float:
    """Relative rounding error of the terms and of their sums."""
    exponent = float(np.abs(cosines - 1.0).max()) / program.temperature
    each = (ELEMENTARY + 4 + 3 * exponent) * UNIT
    return each + gamma(len(program.groups) + 3) + TINY / float(program.share.min())


def _outward(value: float, error: float) -> float:
    """value + error, rounded away from value."""
    return float(np.nextafter(value + error, np.copysign(np.inf, error)))
