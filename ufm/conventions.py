r"""Conversion between the conventions of the literature.

Everything in this package is stated as the *mean* loss over samples plus half the decays, features penalised sample by
sample (``mean-half``: Zhu et al. 2021; Hong & Ling 2023, whose ``lambda ||Z D^{1/2}||_*`` has ``lambda = mu``; locators
unknown). Papers also write

=============  =============================================================  ======================
name           objective                                                      here
=============  =============================================================  ======================
``mean-half``  ``(1/N) sum CE + lw/2 |W|^2 + lh/2 |H|^2 [+ lb/2 |b|^2]``       lw, lh, lb
``mean-full``  ``(1/N) sum CE + lw |W|^2 + lh |H|^2 [+ lb |b|^2]``             2 lw, 2 lh, 2 lb
``sum-half``   ``sum CE + lw/2 |W|^2 + lh/2 |H|^2 [+ lb/2 |b|^2]``             lw/N, lh/N, lb/N
``sum-full``   ``sum CE + lw |W|^2 + lh |H|^2 [+ lb |b|^2]``                   2 lw/N, 2 lh/N, 2 lb/N
``fang``       ``(1/N) sum CE + (lw/K) |W|^2 + (lh/K) sum_k |H_k|^2 / n_k``    2 lw/K, 2 lh/K per class
=============  =============================================================  ======================

``fang`` is the Lagrangian of the norm budgets of Fang et al. (PNAS 2021, eq. 1) with their multipliers; `lagrangian`
finds the multipliers of a solved budget, `budgets` the budgets of a solved decay per class.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import TYPE_CHECKING

from ufm.errors import InputError, brief
from ufm.problem.regularizers import NormBudget, WeightDecay
from ufm.targets.counts import ClassCounts
from ufm.targets.table import TargetTable

if TYPE_CHECKING:
    from ufm.problem.problem import Problem
    from ufm.solvers.solution import Solution

CONVENTIONS = ("mean-half", "mean-full", "sum-half", "sum-full", "fang")


def from_convention(
    convention: str,
    weight: float,
    features: float,
    bias: float | None = None,
    *,
    counts: ClassCounts | TargetTable | Iterable[int] | None = None,
) -> WeightDecay:
    """This package's decay for parameters given in another convention.

    Parameters
    ----------
    convention : one of `CONVENTIONS`
    weight, features, bias : float, the paper's ``lw, lh, lb``; bias None is no bias
    counts : class sizes or a table of targets; needed where the convention depends on N or K

    Returns
    -------
    WeightDecay

    Raises
    ------
    InputError
        An unknown convention, a bias with ``fang``, class sizes missing, or a decay out of range.

    Examples
    --------
    >>> from_convention("sum-full", 0.5, 0.5, counts=[10, 10])
    WeightDecay(weight=0.05, features=0.05, bias=None, per_class=False)
    """
    factor = _factor(convention, counts)
    scaled = None if bias is None else bias * factor
    if convention == "fang" and bias is not None:
        raise InputError("convention 'fang' has no bias; leave the bias decay out")
    return WeightDecay(weight * factor, features * factor, scaled, per_class=convention == "fang")


def to_convention(
    convention: str, decay: WeightDecay, *, counts: ClassCounts | Iterable[int] | None = None
) -> tuple[float, float, float | None]:
    """Parameters of another convention for a decay of this package; `from_convention` is the inverse.

    Parameters
    ----------
    convention : one of `CONVENTIONS`
    decay : WeightDecay, per class for ``fang`` and per sample for the others
    counts : class sizes; needed where the convention depends on N or K

    Returns
    -------
    lw, lh : float
    lb : float or None

    Raises
    ------
    InputError
        An unknown convention, class sizes missing, or a decay per class where per sample is needed (or the reverse).

    Examples
    --------
    >>> to_convention("mean-full", WeightDecay(0.5, 0.25))
    (0.25, 0.125, None)
    """
    if decay.per_class != (convention == "fang"):
        kind = "per class" if decay.per_class else "per sample"
        raise InputError(f"convention is {brief(convention)}, and the decay is {kind}: they cannot be converted")
    factor = _factor(convention, counts)
    return decay.weight / factor, decay.features / factor, None if decay.bias is None else decay.bias / factor


def lagrangian(solution: Solution) -> WeightDecay:
    """Decay per class with the same optimum as a solved norm-budget problem (docs/theory, Propositions 2.4 and 4.4).

    Parameters
    ----------
    solution : Solution of a problem with a `NormBudget`

    Returns
    -------
    WeightDecay
        Its ``mu`` is the Lagrange multiplier of the budget at the solution's dual slopes, so as exact as the certificate.

    Raises
    ------
    InputError
        The solution's problem has no norm budget, or a head whose penalty is not the nuclear norm.
    """
    from ufm.certify.duality import dual_norm

    problem = solution.problem
    budget = problem.regularizer
    if not isinstance(budget, NormBudget):
        raise InputError(f"lagrangian needs a solved norm-budget problem, not one with {budget}")
    gain = _gain(problem)
    mu = dual_norm(solution.program, solution.certificate.slopes) * gain
    ratio = sqrt(budget.features / budget.weight)
    return WeightDecay(mu * ratio, mu / ratio, per_class=True)


def budgets(solution: Solution) -> NormBudget:
    """Norm budgets with the same optimum as a solved problem with decay per class; `lagrangian` is the inverse.

    Parameters
    ----------
    solution : Solution of a problem with decay per class and no bias

    Returns
    -------
    NormBudget

    Raises
    ------
    InputError
        The decay is not per class, there is a bias, the solution is zero, or the penalty is not the nuclear norm.
    """
    problem = solution.problem
    decay = problem.regularizer
    if not isinstance(decay, WeightDecay) or not decay.per_class or decay.bias is not None:
        raise InputError(f"budgets needs a solved problem with decay per class and no bias, not one with {decay}")
    lengths, copies = solution.program.lengths(solution.factors)
    c = float(copies @ lengths) / problem.counts.classes / _gain(problem)
    if not c > 0:
        raise InputError("the solution is zero, so it uses no budget; lower the decay")
    ratio = sqrt(decay.features / decay.weight)
    return NormBudget(c * ratio, c / ratio)


def _gain(problem: Problem) -> float:
    if problem.head.gain is None:
        raise InputError(f"head is {problem.head}; budgets and decays exchange only where the penalty is the nuclear norm")
    return problem.head.gain


def _factor(convention: str, counts: ClassCounts | TargetTable | Iterable[int] | None) -> float:
    if convention not in CONVENTIONS:
        raise InputError(f"convention is {brief(convention)}; choose one of {', '.join(CONVENTIONS)}")
    factor = 1.0 if convention.endswith("half") else 2.0
    if convention.startswith("mean"):
        return factor
    if counts is None:
        raise InputError(f"convention {brief(convention)} depends on the class sizes; give counts")
    if isinstance(counts, TargetTable):
        if convention == "fang":
            raise InputError("convention 'fang' is defined for class sizes, not for a table of targets; choose another")
        return factor / counts.total
    sizes = ClassCounts.of(counts)
    return factor / (sizes.classes if convention == "fang" else sizes.total)
