"""Logits and classifier cosines of the *optimum* of a step-imbalanced problem, enclosed from the certified gap.

See docs/theory, Propositions 4.5 and 8.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ufm._balls import working_precision
from ufm.certify.optimum import Optimum
from ufm.errors import InputError

if TYPE_CHECKING:
    from ufm.solvers.solution import Solution


@dataclass(frozen=True)
class LogitEnclosure:
    """Balls for the optimum of a program with at most two groups, in group order (largest class size first).

    Attributes
    ----------
    contrasts : list of arb or None, ``x_g`` (None for a group of one class)
    gaps : list of arb, for columns of group h: mean logit of their own group minus the logit of the other group
    weight_cosines : list of arb or None, cosine between two classifiers of one group; None for a group of one class, where
        the group's contrast is not proved to be positive, and where there is a bias (``gaps`` then contain it)
    """

    contrasts: list[Any]
    gaps: list[Any]
    weight_cosines: list[Any]


def enclose_logits(solution: Solution) -> LogitEnclosure:
    """Enclose contrasts, group gaps and classifier cosines of the *optimum* (docs/theory, Proposition 8.6).

    Parameters
    ----------
    solution : Solution
        Of plain cross-entropy and a head that is convex in singular values, in block form (``method="symmetric"``).

    Returns
    -------
    LogitEnclosure

    Raises
    ------
    InputError
        Another loss or head, more than two distinct class sizes, or a solution that is not in block form.
    """
    program = solution.program
    plain = solution.problem.loss.plain_cross_entropy and not solution.problem.head.normalised
    if not (program.penalty.nuclear and plain):
        raise InputError("enclosures of logits need plain cross-entropy and a head that is convex in singular values")
    groups = solution.problem.counts.groups
    if program.groups > 2 or program.sizes != tuple(n for _, n in groups):
        raise InputError("enclosures of logits need a solution by method='symmetric' with at most two class sizes")
    proved = Optimum.of(solution.certificate.document())
    with working_precision():
        contrasts, gaps = [], []
        for h, (m, _) in enumerate(groups):
            own = mean = proved.own([h]).log()  # NaN where the ball reaches zero, as everywhere below
            contrast = None
            if m > 1:
                other = proved.other([h], [h]).log()
                contrast, mean = own - other, own / m + other * (m - 1) / m
            contrasts.append(contrast)
            if program.groups == 2:
                gaps.append(mean - proved.other([1 - h], [h]).log())
        return LogitEnclosure(contrasts, gaps, classifier_cosines(solution, contrasts, gaps))


def classifier_cosines(solution: Solution, contrasts: list[Any], gaps: list[Any]) -> list[Any]:
    r"""Balls for ``cos(w_j, w_k)`` within each group, from ``W W' ~ sum_g x_g s_g Pi_g + sigma u u'``.

    ``u`` is the unit contrast between the groups, with ``u_g^2 = (1 / m_g^2) / nu^2`` per class, and
    ``sigma^2 = sum_h (v_h s_h)^2`` with ``v_h = sqrt(m_h) gap_h / nu`` (docs/theory, Propositions 4.5, 8.6).

    Parameters
    ----------
    solution : Solution, as for `enclose_logits`
    contrasts, gaps : lists of arb (or None), as in `LogitEnclosure`

    Returns
    -------
    list of arb or None
        One entry for each group; see ``LogitEnclosure.weight_cosines``.
    """
    from flint import arb

    groups = solution.problem.counts.groups
    if len(groups) == 1:
        return [arb(-1) / (groups[0][0] - 1) if contrasts[0] > 0 else None]
    scales = [arb(n).sqrt() if solution.program.scale[h] != 1.0 else arb(1) for h, (_, n) in enumerate(groups)]
    (a, _), (b, _) = groups
    nu_squared = arb(a + b) / (a * b)
    sigma = ((a * (gaps[0] * scales[0]) ** 2 + b * (gaps[1] * scales[1]) ** 2) / nu_squared).sqrt()
    cosines = []
    for h, (m, _) in enumerate(groups):
        x, s = contrasts[h], scales[h]
        if x is None or solution.program.bias_decay is not None or not x > 0:
            cosines.append(None)
            continue
        shared = sigma / (arb(m) ** 2 * nu_squared)
        # (shared - x s / m) / (shared + x s (m - 1) / m), written so that each ball occurs once.
        cosines.append(1 - 1 / (shared / (x * s) + arb(m - 1) / m))
    return cosines
