"""Whether equal classes have collapsed onto one classifier: proved verdicts about the *optimum*, from the certified gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import inf, nan
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ufm._text import finite
from ufm.analysis.size_ranges import RangeCollapse, range_verdicts
from ufm.errors import InputError
from ufm.targets.size_ranges import DEFAULT, parse_ranges

if TYPE_CHECKING:
    from ufm.certify.optimum import Optimum
    from ufm.solvers.solution import Solution


@dataclass(frozen=True)
class GroupCollapse:
    """Three-valued verdict on all classes of one size.

    Attributes
    ----------
    size, classes : int, samples of each class, and how many (at least two) classes have that size
    verdict : {"yes", "no", "undecided"}
    lower, upper : float
        Enclosure of the optimum's contrast (nats): logit of a class minus that of another of them, in its column.
    """

    size: int
    classes: int
    verdict: str
    lower: float
    upper: float

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON; None stands for an infinite upper end."""
        return asdict(self) | {"upper": finite(self.upper)}

    def __bool__(self) -> bool:
        raise TypeError(f"a verdict has three values, so it is neither true nor false; compare .verdict, here {self.verdict!r}")


@dataclass(frozen=True, repr=False)
class Collapse:
    """Three-valued verdict on the smallest classes, and one on every other group of equal classes.

    ``verdict``, ``lower`` and ``upper`` are about the smallest classes *only*. Under class weights or temperatures a larger
    group can collapse while the smallest does not; `groups` has them all, and `reason` says so.

    Attributes
    ----------
    verdict : {"yes", "no", "undecided"}, on the smallest classes (on the two smallest, where the smallest size occurs once)
    lower, upper : float, enclosure of the optimum's contrast: logit of a class minus that of another of them, in its column
        (of two classes of different sizes: the mean of both)
    tolerance : float, contrast (nats) up to which classes count as collapsed
    reason : str, one sentence
    level : str, always ``"rigorous"``: enclosures are evaluated in ball arithmetic from the solution's witness
    groups : tuple of GroupCollapse, one for each size that at least two classes have, largest size first
    ranges : tuple of RangeCollapse, near-collapse of ranges of sizes, such as many / medium / few
    """

    verdict: str
    lower: float
    upper: float
    tolerance: float
    reason: str
    level: str = "rigorous"
    groups: tuple[GroupCollapse, ...] = ()
    ranges: tuple[RangeCollapse, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON; None stands for an infinite upper end."""
        plain = {"groups": [group.to_dict() for group in self.groups], "ranges": [part.to_dict() for part in self.ranges]}
        return asdict(self) | {"upper": finite(self.upper)} | plain

    def __repr__(self) -> str:
        groups = ", ".join(f"{group.size}: {group.verdict!r}" for group in self.groups[:8])
        more = ", ..." if len(self.groups) > 8 else ""
        found = f"{self.verdict!r}, contrast in [{self.lower!r}, {self.upper!r}], tolerance={self.tolerance!r}"
        return f"Collapse({found}, level={self.level!r}, verdicts by size {{{groups}{more}}})"

    def __bool__(self) -> bool:
        raise TypeError(f"a verdict has three values, so it is neither true nor false; compare .verdict, here {self.verdict!r}")


def collapse(solution: Solution, *, tolerance: float = 1e-6, groups: str | Mapping[str, str] | None = None) -> Collapse:
    """Collapse of the smallest classes (of the two smallest, where the smallest size occurs once), and of all equal classes.

    The verdicts are about the optimum over logits; `ufm.certify.optimum` says how the gap decides them. "no" proves that the
    contrast is positive, "yes" that it is at most the tolerance (docs/theory, Proposition 8.5). Where ``dim < K - 1`` leaves a
    gap, that optimum is not the model's, and the verdicts are "undecided". Exact collapse under decay is decided by
    docs/theory, Proposition 7.1 (`ufm.threshold`).

    Parameters
    ----------
    solution : Solution
        Of a program that is convex in singular values; of any other the verdicts are "undecided".
    tolerance : float > 0
        Contrast (nats) up to which classes count as collapsed.
    groups : str, mapping or None
        Ranges of sizes such as ``"many=100+,medium=20-100,few=-20"``, whose near-collapse is stated in ``ranges``
        (`ufm.analysis.size_ranges` defines it). None takes these where there are more than two sizes, and none otherwise.

    Returns
    -------
    Collapse

    Raises
    ------
    InputError
        A tolerance that is not positive and finite, ranges that cannot be read, or a problem that the independent verifier
        does not know.

    Examples
    --------
    >>> import ufm
    >>> counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=800, n_minority=100)
    >>> decay = ufm.WeightDecay(2.5e-3, 2.5e-3)
    >>> collapse(ufm.solve(ufm.Problem(counts, regularizer=decay))).verdict
    'yes'

    Under class weights that compensate for the sizes the majority collapses instead.

    >>> counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=1700, n_minority=100)
    >>> found = collapse(ufm.solve(ufm.Problem(counts, regularizer=decay, loss=ufm.CrossEntropy(weights=1.0))))
    >>> found.verdict, [(g.size, g.verdict) for g in found.groups]
    ('no', [(1700, 'yes'), (100, 'no')])

    Where all sizes differ, ranges of sizes say how close neighbours are.

    >>> tail = ufm.Problem(ufm.long_tailed(20, largest=500, ratio=100), regularizer=decay)
    >>> [(r.name, r.classes, r.verdict) for r in collapse(ufm.solve(tail)).ranges]
    [('many', 7, 'no'), ('medium', 7, 'no'), ('few', 6, 'yes')]
    """
    if not (isinstance(tolerance, Real) and 0 < tolerance < inf):
        raise InputError(f"tolerance is {tolerance!r}; give a positive contrast in nats such as 1e-6")
    if groups is None:
        ranges = parse_ranges(DEFAULT) if len(solution.problem.counts.groups) > 2 else ()
    else:
        ranges = parse_ranges(groups)
    equal = {n: m for m, n in solution.problem.counts.groups if m > 1}
    reason = _why_undecided(solution)
    if reason:
        alike = tuple(GroupCollapse(n, m, "undecided", 0.0, inf) for n, m in equal.items())
        parts = range_verdicts(solution, None, ranges)
        return Collapse("undecided", 0.0, inf, tolerance, reason, groups=alike, ranges=parts)
    from ufm.certify.optimum import Optimum

    proved = Optimum.of(solution.certificate.document())
    sizes = solution.program.sizes
    found = []
    for n, m in equal.items():
        lower, upper = _contrast(proved, [g for g, size in enumerate(sizes) if size == n])
        found.append(GroupCollapse(n, m, verdict_between(lower, upper, tolerance), lower, upper))
    alike = tuple(found)
    parts = range_verdicts(solution, proved if _why_incomparable(solution) is None else None, ranges)
    smallest, what = min(sizes), "logit contrast"
    if alike and alike[-1].size == smallest:
        who, lower, upper = f"the smallest classes ({equal[smallest]} of size {smallest})", alike[-1].lower, alike[-1].upper
    elif (reason := _why_incomparable(solution)) is not None:
        return Collapse("undecided", 0.0, inf, tolerance, reason + _collapsed_clause(alike), groups=alike, ranges=parts)
    else:
        second = min(n for n in sizes if n > smallest)
        who = f"the two smallest classes (sizes {smallest} and {second})"
        what = "mean logit margin over each other"
        lower, upper = _margins(proved, sizes.index(smallest), sizes.index(second))
    verdict = verdict_between(lower, upper, tolerance)
    if verdict == "no":
        reason = f"{who} differ: their {what} is at least {lower:.3g}" + _collapsed_clause(alike)
    elif verdict == "yes":
        reason = f"{who} share one classifier: their {what} is at most {upper:.3g}"
    else:
        gap = solution.certificate.gap
        reason = (
            f"the gap {gap:.1e} leaves {who} a {what} between {lower:.3g} and {upper:.3g}; reduce the gap"
            + _collapsed_clause(alike)
        )
    return Collapse(verdict, lower, upper, tolerance, reason, groups=alike, ranges=parts)


def verdict_between(lower: float, upper: float, tolerance: float) -> str:
    """Verdict on a contrast that lies in an interval (docs/theory, Proposition 8.5).

    Parameters
    ----------
    lower, upper : float, ends of the interval (nats)
    tolerance : float > 0 (nats)

    Returns
    -------
    {"yes", "no", "undecided"}
        "no" if the contrast is positive, "yes" if it is within the tolerance of zero.
    """
    return "no" if lower > 0 else "yes" if -tolerance <= lower and upper <= tolerance else "undecided"


def _collapsed_clause(groups: tuple[GroupCollapse, ...]) -> str:
    """A clause for `reason` about the groups that have collapsed; "" where there is none."""
    clauses = [
        f"; the {g.classes} classes of size {g.size} have collapsed: their contrast is between {g.lower:.3g} and {g.upper:.3g}"
        for g in groups
        if g.verdict == "yes"
    ]
    more = f"; so have {len(clauses) - 2} other groups" if len(clauses) > 2 else ""
    return "".join(clauses[:2]) + more


def _why_undecided(solution: Solution) -> str:
    """Why the certified gap says nothing about the optimum's contrasts, or ""."""
    from ufm.solvers.solution import Status

    problem, program = solution.problem, solution.program
    if not program.penalty.nuclear:
        contrast = smallest_contrast(solution)
        return (
            f"the head {problem.head} is not one whose gap proves contrasts (convex in singular values); "
            f"the smallest classes of the solution found have a contrast of {contrast:.3g}"
        )
    if not program.loss.convex:
        contrast = smallest_contrast(solution)
        return (
            f"the loss {problem.loss} is not convex, so that the gap proves no contrasts; the smallest classes of the solution "
            f"found have a contrast of {contrast:.3g}"
        )
    if solution.status is Status.LOOSE:
        return "with dim < K - 1 the certified gap belongs to a relaxation, which decides nothing here; raise dim"
    return ""


def _why_incomparable(solution: Solution) -> str | None:
    """Why the two smallest classes, of different sizes, cannot be compared; None where they can."""
    if np.ptp(solution.program.loss.temperature):
        return f"classes of different sizes have different temperatures under the loss {solution.problem.loss}"
    return None


def smallest_contrast(solution: Solution) -> float:
    """Contrast (nats) of the smallest classes at the solution: own logit minus the mean of the others of that size.

    NaN where only one class has the smallest size.
    """
    return contrast_of(solution, min(solution.program.sizes))


def contrast_of(solution: Solution, size: int) -> float:
    """Least contrast (nats) of the classes of one size at the solution: own logit minus the mean of the others of that size.

    Parameters
    ----------
    solution : Solution
    size : int, samples of each of these classes

    Returns
    -------
    float
        NaN where fewer than two classes have the size.
    """
    logits, sizes = solution.logits, np.array(solution.program.sizes)
    groups = np.flatnonzero(sizes == size)
    m = logits.multiplicity[groups]
    if m.sum() < 2:
        return nan
    others = ((m[:, None] - np.eye(len(m))) * logits.other[np.ix_(groups, groups)]).sum(axis=0) / (m.sum() - 1.0)
    return float(np.min(logits.own[groups] - others))


def _margins(proved: Optimum, a: int, b: int) -> tuple[float, float]:
    """Mean of the two classes' margins over each other, enclosed."""
    from ufm._balls import outward

    ends = [proved.margin(a, b), proved.margin(b, a)]
    return outward((ends[0][0] + ends[1][0]) / 2)[0], outward((ends[0][1] + ends[1][1]) / 2)[1]


def _contrast(proved: Optimum, groups: list[int]) -> tuple[float, float]:
    """Enclosure of the contrast of equal classes, which is never negative at the optimum."""
    from ufm._balls import outward

    lower, upper = proved.contrast(groups)
    return max(outward(lower)[0], 0.0), max(outward(upper)[1], 0.0)
