"""Have the smallest classes collapsed onto one classifier? A proved verdict about the *optimum*, from the certified gap."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from ufm.errors import InputError
from ufm.spectral.penalties import Nuclear, NuclearBall

if TYPE_CHECKING:
    from ufm.solvers.solution import Solution


@dataclass(frozen=True)
class Collapse:
    """Three-valued verdict on the smallest classes.

    verdict : {"yes", "no", "undecided"}
    lower, upper : float, enclosure of the optimum's contrast: logit of a class minus that of another of them, in its column
    tolerance : float, contrast below which classes count as collapsed
    reason : str, one sentence
    level : str, always ``"rigorous"``: the enclosure is evaluated in ball arithmetic from the solution's witness
    """

    verdict: str
    lower: float
    upper: float
    tolerance: float
    reason: str
    level: str = "rigorous"


def collapse(solution: Solution, *, tolerance: float = 1e-6) -> Collapse:
    """Minority collapse of the smallest classes (of the two smallest, where the smallest size occurs once).

    The verdict is about the optimum over logits, `ufm.certify.optimum` says how the gap decides it. Where ``dim < K - 1``
    leaves a gap, that optimum is not the model's, and the verdict is "undecided".

    Parameters
    ----------
    solution : Solution
        Of a program that is convex in singular values; of any other the verdict is "undecided".
    tolerance : float > 0
        Contrast (nats) up to which classes count as collapsed.

    Examples
    --------
    >>> import ufm
    >>> counts = ufm.step(majority=5, minority=5, n_majority=800, n_minority=100)
    >>> problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3))
    >>> collapse(ufm.solve(problem)).verdict
    'yes'
    """
    from ufm.solvers.solution import Status

    if not (isinstance(tolerance, Real) and 0 < tolerance < float("inf")):
        raise InputError(f"tolerance is {tolerance!r}; give a positive contrast in nats such as 1e-6")
    reason = _beyond(solution)
    if reason:
        return Collapse("undecided", 0.0, float("inf"), tolerance, reason)
    lower, upper = _enclosure(solution)
    if solution.status is Status.LOOSE:
        reason = "with dim < K - 1 the certified gap belongs to a relaxation, which decides nothing here; raise dim"
        return Collapse("undecided", 0.0, float("inf"), tolerance, reason)
    if lower > 0:
        verdict, reason = "no", f"the smallest classes differ by a logit contrast of at least {lower:.3g}"
    elif upper <= tolerance:
        verdict, reason = "yes", f"the smallest classes share one classifier: their logit contrast is at most {upper:.3g}"
    else:
        verdict = "undecided"
        reason = f"the gap {solution.certificate.gap:.1e} leaves a logit contrast between 0 and {upper:.3g}; reduce the gap"
    return Collapse(verdict, lower, upper, tolerance, reason)


def _beyond(solution: Solution) -> str:
    """Why the certified gap says nothing about the optimum's contrasts, or ""."""
    problem, program = solution.problem, solution.program
    if not isinstance(program.penalty, Nuclear | NuclearBall):
        contrast = smallest_contrast(solution)
        return (
            f"the head {problem.head} is not one whose gap proves contrasts (convex in singular values); "
            f"the solution found has a smallest contrast of {contrast:.3g}"
        )
    sizes = program.sizes
    single = sum(m for m, n in zip(program.multiplicity, sizes, strict=True) if n == min(sizes)) < 2
    if single and not getattr(problem.loss, "plain", True):
        return f"the smallest size occurs once, and logits of different classes are not compared under the loss {problem.loss}"
    if single and not program.loss.shift_invariant:
        return "the smallest size occurs once, and margins are enclosed for cross-entropy only"
    return ""


def smallest_contrast(solution: Solution) -> float:
    """Contrast of the smallest classes at the solution itself: own logit minus the mean of the others of that size."""
    logits, sizes = solution.logits, np.array(solution.program.sizes)
    groups = np.flatnonzero(sizes == sizes.min())
    m = logits.multiplicity[groups]
    if m.sum() < 2:
        return float("nan")
    block = np.where(logits.pairs()[np.ix_(groups, groups)] > 0, logits.other[np.ix_(groups, groups)], 0.0)
    others = (m @ block - np.diag(block)) / (m.sum() - 1.0)
    return float(np.min(logits.own[groups] - others))


def _enclosure(solution: Solution) -> tuple[float, float]:
    from ufm.certify.optimum import Optimum
    from ufm.thresholds.balls import outward

    proved = Optimum.of(solution.certificate.document())
    sizes, multiplicity = solution.program.sizes, solution.program.multiplicity
    smallest = [g for g, n in enumerate(sizes) if n == min(sizes)]
    if sum(multiplicity[g] for g in smallest) >= 2:
        lower, upper = proved.contrast(smallest)
    else:
        second = min(n for n in sizes if n > min(sizes))
        a, b = smallest[0], sizes.index(second)
        ends = [proved.margin(a, b), proved.margin(b, a)]
        lower, upper = (ends[0][0] + ends[1][0]) / 2, (ends[0][1] + ends[1][1]) / 2
    return max(outward(lower)[0], 0.0), max(outward(upper)[1], 0.0)
