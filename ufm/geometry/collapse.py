r"""Have the smallest classes collapsed onto one classifier? A verdict about the *optimum*, from the certified gap.

Let the smallest classes form a group of m and let ``x`` be its contrast: the logit of a class minus that of another
class of the group. Two consequences of the gap ``delta = upper - lower`` enclose the optimum's ``x*``:

* Bregman: ``sum_k pi_k KL(p*_k || p_k) <= delta`` (logits' softmax p, optimality of Z*), so by Pinsker the probabilities
  are known to ``sqrt(2 delta / (m pi))`` in l1 norm, averaged over the group: if the class itself is then still more
  probable than another, ``x* > 0``.
* Complementary slackness: a feasible P that stays ``mu - g`` below the constraint on the group's contrasts forces
  ``(m - 1) s x* (mu - g) <= delta``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, sqrt
from typing import TYPE_CHECKING

import numpy as np

from ufm.certify.bounds import dual_norm
from ufm.spectral.penalty import Nuclear

if TYPE_CHECKING:
    from ufm.solvers.solution import Solution


@dataclass(frozen=True)
class Collapse:
    """Three-valued verdict on the smallest classes.

    verdict : {"yes", "no", "undecided"}
    lower, upper : float, enclosure of the optimum's contrast in nats of logit
    tolerance : float, contrast below which classes count as collapsed
    reason : str, one sentence
    """

    verdict: str
    lower: float
    upper: float
    tolerance: float
    reason: str


def collapse(solution: Solution, *, tolerance: float = 1e-6) -> Collapse:
    """Minority collapse of the smallest classes (of the two smallest, where the smallest size occurs once).

    Parameters
    ----------
    solution : Solution of a convex program
    tolerance : float
        Contrast (nats) up to which classes count as collapsed.

    Examples
    --------
    >>> import ufm
    >>> counts = ufm.step(majority=5, minority=5, n_majority=800, n_minority=100)
    >>> problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3))
    >>> collapse(ufm.solve(problem)).verdict
    'yes'
    """
    lower, upper = _enclosure(solution)
    if lower > 0:
        verdict, reason = "no", f"the smallest classes differ by a logit contrast of at least {lower:.3g}"
    elif upper <= tolerance:
        verdict, reason = "yes", f"the smallest classes share one classifier: their logit contrast is at most {upper:.3g}"
    else:
        verdict = "undecided"
        reason = f"the gap {solution.certificate.gap:.1e} leaves a logit contrast between 0 and {upper:.3g}; reduce the gap"
    return Collapse(verdict, lower, upper, tolerance, reason)


def _enclosure(solution: Solution) -> tuple[float, float]:
    program, counts = solution.program, solution.problem.counts
    gap = max(solution.certificate.gap, 0.0)
    sizes = np.array([float(n) for _, n in counts.groups] if len(counts.groups) == program.groups else list(counts), float)
    smallest = np.flatnonzero(sizes == sizes.min())
    m = float(program.multiplicity[smallest].sum())
    logits = program.spread(program.point(solution.factors))
    mass = program.loss.columns(logits, program.others).rank_one
    single = mass[:-1] / np.maximum(program.others[:-1], 1.0)
    if m == 1:
        return _two_smallest(program, sizes, single, mass[-1], gap, solution)
    share = float(program.share[smallest[0]])
    weight = program.multiplicity[smallest]
    own = float(weight @ mass[-1][smallest]) / m
    pairs = np.outer(weight, weight) - np.diag(weight)
    other = float(np.sum(pairs * single[np.ix_(smallest, smallest)]) / pairs.sum())
    error = sqrt(2.0 * gap / (m * share))
    lower, upper = _contrast(own, other, error)

    shares = solution.certificate.shares
    rest = (program.others[:-1] * shares).sum(axis=0)
    scale = float(program.scale[smallest[0]])
    within = float(np.sum(pairs * shares[np.ix_(smallest, smallest)]) / pairs.sum())
    reached = (float(weight @ rest[smallest]) / m + within) * share / scale
    penalty = program.penalty
    allowed = penalty.weight if isinstance(penalty, Nuclear) else dual_norm(program, shares)
    slack = allowed - reached
    if slack > 1e-12 * allowed:
        upper = min(upper, gap / (slack * (m - 1.0) * scale))
    return lower, max(upper, lower)


def _contrast(own: float, other: float, error: float) -> tuple[float, float]:
    """Enclosure of ``log(own / other)``, clipped at 0, from probabilities whose total variation is at most ``error / 2``."""
    lower = log((own - error / 2) / (other + error / 2)) if own - other > error else 0.0
    upper = log((own + error / 2) / (other - error / 2)) if other > error / 2 else inf
    return max(lower, 0.0), max(upper, 0.0)


def _two_smallest(program, sizes, single, own, gap: float, solution: Solution) -> tuple[float, float]:
    """Mean of the two one-sided contrasts between the two smallest classes."""
    order = np.argsort(sizes, kind="stable")
    a, b = int(order[0]), int(order[1])
    bounds = []
    for i, j in ((a, b), (b, a)):
        error = sqrt(2.0 * gap / float(program.share[i] * program.multiplicity[i]))
        # Signed: one side alone may be negative.
        p, q = float(own[i]), float(single[j, i])
        low = log((p - error / 2) / (q + error / 2)) if p > error / 2 else -inf
        high = log((p + error / 2) / (q - error / 2)) if q > error / 2 else inf
        bounds.append((low, high))
    lower, upper = (0.5 * (bounds[0][i] + bounds[1][i]) for i in (0, 1))
    factors = solution.factors
    zero = not factors.left.any() and not factors.contrast.any() and not factors.bias.any()
    if zero and isinstance(program.penalty, Nuclear):
        slack = program.penalty.weight - dual_norm(program, solution.certificate.shares)
        # ||Z* S||_* slack <= gap, and a contrast is at most sqrt(2) ||Z*||.
        if slack > 0:
            upper = min(upper, sqrt(2.0) * gap / (slack * float(program.scale.min())))
    return max(lower, 0.0), max(upper, 0.0)
