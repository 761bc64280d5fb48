r"""What the certified gap proves about the optimum's probabilities and logits.

With ``delta = upper - lower``, optimality of ``Z*`` and Bregman's three-point identity give
``sum_k pi_k KL(p*_k || p_k) <= delta`` for the softmax columns p of the solution, so by Pinsker's inequality the l1
distances ``d_k = ||p*_k - p_k||_1`` of the m classes of one group (whose optimal columns agree up to relabelling)
average at most ``sqrt(2 delta / (m pi))``. Half of that bounds any single probability. Logit differences are logarithms
of ratios of probabilities; here they are Arb balls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ufm.errors import InputError
from ufm.thresholds.balls import working_precision

if TYPE_CHECKING:
    from ufm.solvers.solution import Solution


@dataclass(frozen=True)
class LogitEnclosure:
    """Balls for the optimum of a program with at most two groups, in group order (largest class size first).

    contrasts : list of arb or None, ``x_g`` (None for a group of one class)
    gaps : list of arb, for columns of group h: mean logit of their own group minus the logit of the other group
    weight_cosines : list of arb or None, cosine between two classifiers of one group
    """

    contrasts: list[Any]
    gaps: list[Any]
    weight_cosines: list[Any]


def enclose_logits(solution: Solution) -> LogitEnclosure:
    """Enclose contrasts, group gaps and classifier cosines of the *optimum*.

    Raises
    ------
    InputError
        More than two distinct class sizes, or a solution that is not in block form.
    """
    from flint import arb

    program = solution.program
    if program.groups > 2 or len(solution.problem.counts.groups) != program.groups:
        raise InputError("enclosures of logits need a solution by method='symmetric' with at most two class sizes")
    logits = program.spread(program.point(solution.factors))
    mass = program.loss.columns(logits, program.others).rank_one
    gap = max(solution.certificate.gap, 0.0)
    counts = solution.problem.counts
    with working_precision():
        contrasts, gaps = [], []
        for h, (m, n) in enumerate(counts.groups):
            # Rounding of the computed probabilities is far below this radius; 1e-14 covers it when the gap is tiny.
            radius = float(np.sqrt(gap * counts.total / (2.0 * m * n))) * (1 + 1e-9) + 1e-14
            own = arb(float(mass[-1, h]), radius)
            other = arb(float(mass[h, h] / (m - 1)), radius) if m > 1 else None
            contrasts.append(None if other is None else _log(own) - _log(other))
            if program.groups == 2:
                share = arb(float(mass[1 - h, h] / program.multiplicity[1 - h]), radius)
                mean = _log(own) / m + (0 if other is None else _log(other) * (m - 1) / m)
                gaps.append(mean - _log(share))
        return LogitEnclosure(contrasts, gaps, _cosines(solution, contrasts, gaps))


def _log(ball):
    """Logarithm of a probability; the part of the ball below zero is impossible, and makes the lower end infinite."""
    from flint import arb

    return ball.log() if ball > 0 else arb("nan")


def _cosines(solution: Solution, contrasts: list[Any], gaps: list[Any]) -> list[Any]:
    r"""``cos(w_j, w_k)`` within each group from ``W W' ~ sum_g x_g s_g Pi_g + sigma u u'``.

    ``u`` is the unit contrast between the groups, with ``u_g^2 = (1 / m_g^2) / nu^2`` per class, and
    ``sigma^2 = sum_h (v_h s_h)^2`` with ``v_h = sqrt(m_h) gap_h / nu``.
    """
    from flint import arb

    groups = solution.problem.counts.groups
    scales = [arb(n).sqrt() if solution.program.scale[h] != 1.0 or n == 1 else arb(1) for h, (_, n) in enumerate(groups)]
    total = sum(m for m, _ in groups)
    if len(groups) == 1:
        return [arb(-1) / (total - 1)]
    nu_squared = sum((1 / arb(m) for m, _ in groups), arb(0))
    sigma = sum((m * (g * s) ** 2 / nu_squared for (m, _), g, s in zip(groups, gaps, scales, strict=True)), arb(0)).sqrt()
    cosines = []
    for (m, _), x, s in zip(groups, contrasts, scales, strict=True):
        if x is None:
            cosines.append(None)
            continue
        shared = sigma / (arb(m) ** 2 * nu_squared)
        # (shared - x s / m) / (shared + x s (m - 1) / m), written so that each ball occurs once.
        cosines.append(1 - 1 / (shared / (x * s) + arb(m - 1) / m))
    return cosines
