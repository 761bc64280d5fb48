"""Which groups of equal classes are collapsed, in a word: in closed form under decay, from the certified gap elsewhere."""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING

from ufm.analysis.group_collapse import collapse
from ufm.problem.heads import Head
from ufm.problem.losses import Loss
from ufm.problem.regularizers import WeightDecay
from ufm.targets.counts import ClassCounts

if TYPE_CHECKING:
    from ufm.solvers.solution import Solution

NEAR = 1e-9
"""Relative distance to a boundary within which float64 decides nothing."""
MANY_GROUPS = 12
"""Distinct sizes up to which verdicts are taken from the certified gap, where there is no closed form."""


def collapsed_groups(solution: Solution) -> str | None:
    """Which groups of equal classes are collapsed at the optimum, proved in ball arithmetic.

    Parameters
    ----------
    solution : Solution

    Returns
    -------
    str or None
        As `place` says; "undecided" where that of a group is. None for more than `MANY_GROUPS` sizes without a closed form.

    Examples
    --------
    >>> import ufm
    >>> decay = ufm.WeightDecay(2.5e-3, 2.5e-3)
    >>> collapsed_groups(ufm.solve(ufm.Problem("800*5,100*5", regularizer=decay)))
    'minority'
    """
    problem = solution.problem
    counts, regularizer = problem.counts, problem.regularizer
    known = problem.loss.pull is not None and problem.head.exact_gain is not None and problem.wide
    if known and isinstance(regularizer, WeightDecay):
        critical = critical_decays(counts, problem.loss, problem.head, regularizer)
        verdicts = {g: v for (_, _, g), v in zip(critical, decay_verdicts(critical, regularizer), strict=True)}
    elif len(counts.groups) > MANY_GROUPS:
        return None
    else:
        place_of = {n: g for g, (_, n) in enumerate(counts.groups)}
        verdicts = {place_of[group.size]: group.verdict for group in collapse(solution).groups}
    if "undecided" in verdicts.values():
        return "undecided"
    return place(counts, [g for g, verdict in verdicts.items() if verdict == "yes"])


def collapsed_step(
    majority: int, minority: int, n_majority: float, n_minority: float, *, mu: float | None = None, radius: float | None = None
) -> str:
    """The same in float64 for step imbalance under plain cross-entropy, from closed forms.

    See docs/theory, Propositions 7.1 and 7.5.

    Parameters
    ----------
    majority, minority : int, K_A and K_B
    n_majority, n_minority : float, samples of each class
    mu : float or None, effective decay, features per sample
    radius : float or None, effective bound on the nuclear norm of logits, in place of a decay

    Returns
    -------
    str
        As `place` says; "undecided" within a relative `NEAR` of a boundary.

    Examples
    --------
    >>> collapsed_step(5, 5, 800, 100, mu=2.5e-3), collapsed_step(5, 5, 700, 100, mu=2.5e-3)
    ('minority', 'undecided')
    """
    equal = not n_majority > n_minority
    groups = ((majority + minority, n_minority),) if equal else ((majority, n_majority), (minority, n_minority))
    if radius is not None:
        # Budgets are never too small for the largest classes.
        sides = {} if equal or minority < 2 else {1: (radius, _critical_radius(majority, minority, n_majority / n_minority))}
    else:
        assert mu is not None
        total = majority * n_majority + minority * n_minority
        sides = {g: (sqrt(n), total * mu) for g, (m, n) in enumerate(groups) if m > 1}
    if any(abs(value - limit) <= NEAR * limit for value, limit in sides.values()):
        return "undecided"
    held = [g for g, (value, limit) in sides.items() if value < limit]
    if not held:
        return "none"
    return "all" if equal else "both" if len(held) == 2 else ("majority", "minority")[held[0]]


@lru_cache(maxsize=4096)
def _critical_radius(majority: int, minority: int, ratio: float) -> float:
    from ufm.analysis.thresholds.budget import critical_budget  # it loads flint

    return critical_budget(majority, minority, ratio)


def critical_decays(counts: ClassCounts, loss: Loss, head: Head, regularizer: WeightDecay) -> list[tuple[float, float, int]]:
    """Enclosures of the decay from which on each group of two or more equal classes is collapsed.

    See docs/theory, Propositions 7.1 and 7.12.

    Parameters
    ----------
    counts : ClassCounts
    loss : Loss with a known pull
    head : Head with an exact gain
    regularizer : WeightDecay, for whether features are decayed by sample or by class

    Returns
    -------
    list of (float, float, int)
        Lower and upper end of ``sqrt(lambda_W lambda_H)``, and index of the group in ``counts.groups``.
    """
    from flint import arb

    from ufm._balls import ball, outward, working_precision
    from ufm.analysis.thresholds.groups import critical_prices

    pull, gain = loss.pull, head.exact_gain
    assert pull is not None
    assert gain is not None
    groups = counts.groups
    with working_precision():
        prices = critical_prices(pull, [arb(n) for _, n in groups], [m for m, _ in groups], regularizer.per_class)
        ends = [outward(price * ball(gain)) for price in prices]
    return [(low, high, g) for g, (low, high) in enumerate(ends) if groups[g][0] > 1]


def decay_verdicts(critical: list[tuple[float, float, int]], regularizer: WeightDecay) -> list[str]:
    """Whether each group is collapsed at a decay.

    Parameters
    ----------
    critical : list of (float, float, int), as from `critical_decays`
    regularizer : WeightDecay

    Returns
    -------
    list of {"yes", "no", "undecided"}
        "undecided" where the decay lies within the enclosure of the critical one.
    """
    from flint import arb

    from ufm._balls import outward, working_precision

    with working_precision():
        low, high = outward((arb(regularizer.weight) * arb(regularizer.features)).sqrt())
    return ["yes" if low >= end else "no" if high < start else "undecided" for start, end, _ in critical]


def place(counts: ClassCounts, groups: list[int]) -> str:
    """Which classes these groups are.

    Parameters
    ----------
    counts : ClassCounts
    groups : list of int, indices into ``counts.groups``

    Returns
    -------
    str
        "none"; "all" for balanced classes; with two sizes "minority", "majority" or "both"; otherwise the sizes.
    """
    if not groups:
        return "none"
    if len(counts.groups) == 1:
        return "all"
    if len(counts.groups) == 2:
        return "both" if len(groups) == 2 else ("majority", "minority")[groups[0]]
    named = [str(counts.groups[g][1]) for g in groups]
    if len(named) == 1:
        return f"size {named[0]}"
    shown = named if len(named) <= 4 else [named[0], named[1], "...", named[-1]]
    return f"sizes {', '.join(shown)}"
