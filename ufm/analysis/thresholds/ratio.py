"""The imbalance ratio at which minority collapse begins, for every regulariser and head.

Linear DEQs with a spectral budget are explicit heads at a smaller decay or a larger budget (docs/theory, Proposition 7.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

from ufm._arrays import check_level
from ufm.analysis.thresholds.enclosed import Threshold
from ufm.errors import InputError
from ufm.problem.heads import Head
from ufm.problem.regularizers import NormBudget, WeightDecay
from ufm.problem.text import as_head


def threshold(
    *,
    classes: Sequence[int],
    regularizer: WeightDecay | NormBudget,
    minority_count: int | None = None,
    head: Head | str | None = None,
    level: str = "float",
) -> Threshold:
    """Imbalance ratio from which the minority classes of step imbalance share one classifier.

    Parameters
    ----------
    classes : (K_A, K_B)
        Number of majority and of minority classes; K_B >= 2, since a single class cannot coincide with another.
    regularizer : WeightDecay or NormBudget
    minority_count : int
        n_B, samples per minority class; needed under decay per sample only.
    head : Explicit (default, of any depth), LinearDEQ, DecayedDEQ, or text such as ``"deq:rho=0.3"``
        Heads that are not convex are searched (K up to 20, level "numeric"); see `ufm.analysis.thresholds.jump`.
    level : {"float", "rigorous"}
        Enclosure by float64 with a-priori rounding terms, or by ball arithmetic.

    Returns
    -------
    Threshold

    Raises
    ------
    InputError
        K_A < 1, K_B < 2, a missing or superfluous ``minority_count``, an unknown level, a threshold beyond float64.

    Examples
    --------
    >>> import ufm
    >>> ufm.threshold(classes=(5, 5), regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), minority_count=100).value
    7.0
    >>> round(float(ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5))), 10)
    12.1924470803
    >>> ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5), head="deq:rho=0.3").transition
    'continuous'
    """
    check_level(level)
    majority, minority = _classes(classes)
    head = as_head(head)
    gain = head.exact_gain
    if isinstance(regularizer, WeightDecay):
        from ufm.analysis.thresholds.decay import decay_threshold

        if regularizer.per_class:
            if minority_count is not None:
                raise InputError(f"minority_count={minority_count} has no effect under decay per class; leave it out")
            count = 1
        elif minority_count is None:
            raise InputError("minority_count is missing: under decay per sample the threshold depends on n_B; give it")
        else:
            count = _positive("minority_count", minority_count)
        if gain is None:
            return _jump(majority, minority, count, regularizer, head, level)
        return decay_threshold(majority, minority, count, regularizer, gain, level)
    if isinstance(regularizer, NormBudget):
        from ufm.analysis.thresholds.budget import budget_threshold

        if minority_count is not None:
            raise InputError(f"minority_count={minority_count} has no effect under norm budgets; leave it out")
        if gain is None:
            raise InputError(
                f"head is {head}; under budgets thresholds need explicit or deq:rho=R; give one of them, or a decay"
            )
        return budget_threshold(majority, minority, regularizer, gain, level)
    raise InputError(f"regularizer is {regularizer!r}; give WeightDecay(...) or NormBudget(...)")


def _jump(majority: int, minority: int, count: int, regularizer: WeightDecay, head: Head, level: str) -> Threshold:
    penalty = head.penalty(regularizer, majority + minority)
    if penalty.convex or penalty.columns or not penalty.separable:
        raise InputError(f"head is {head}; thresholds are known for explicit[:L], deq:rho=R and deq:decay=LA,contraction=G")
    if level == "rigorous":
        raise InputError(
            f"level is 'rigorous', and with the head {head} a threshold compares best-found solutions of a program that is not "
            "convex; leave the level out, and use ufm solve --level rigorous for proved bounds at one ratio"
        )
    from ufm.analysis.thresholds.jump import jump_threshold

    return jump_threshold(majority, minority, count, regularizer, head)


def _classes(classes: Sequence[int]) -> tuple[int, int]:
    if not isinstance(classes, Sequence) or len(classes) != 2:
        raise InputError(f"classes is {classes!r}; give two numbers KA,KB such as 5,5")
    majority, minority = (_positive("classes", k) for k in classes)
    if minority < 2:
        raise InputError("classes has KB=1; a single minority class cannot coincide with another, so give KB >= 2")
    return majority, minority


def _positive(name: str, value: int) -> int:
    try:
        number = index(value)
    except TypeError:
        number = 0
    if not 1 <= number <= 2**53:
        raise InputError(f"{name} has {value!r}; it must be a whole number between 1 and 2**53")
    return number
