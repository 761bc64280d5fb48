"""Where collapse begins: in the imbalance ratio, or in another quantity, for every regulariser, head and loss.

Linear DEQs with a spectral budget are explicit heads at a smaller decay or a larger budget (docs/theory, Proposition 7.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from numbers import Real
from operator import index

from ufm._arrays import check_level
from ufm.analysis.thresholds.enclosed import Threshold
from ufm.errors import InputError, brief
from ufm.problem.heads import Head
from ufm.problem.losses import CrossEntropy, GroupPull, Loss
from ufm.problem.losses.base import check_loss
from ufm.problem.problem import check_decayed_features
from ufm.problem.regularizers import ClassifierDecay, NoDecay, NormBudget, WeightDecay
from ufm.problem.text import as_head, parse_loss

LARGEST_EXPONENT = 100.0
"""Largest exponent of class weights and temperatures for which thresholds are computed."""

QUANTITIES = ("ratio", "decay", "minority-count", "rho")


def threshold(
    *,
    classes: Sequence[int],
    regularizer: WeightDecay | NormBudget | ClassifierDecay | NoDecay | None = None,
    minority_count: int | None = None,
    head: Head | str | None = None,
    level: str = "float",
    loss: Loss | str | None = None,
    ratio: float | None = None,
    solve_for: str = "ratio",
) -> Threshold:
    """Where a group of equal classes of step imbalance begins to share one classifier.

    By default the imbalance ratio from which on it does; `Threshold.group` says which group is the first.

    Parameters
    ----------
    classes : (K_A, K_B)
        Number of majority and of minority classes; K_B >= 2, since a single class cannot coincide with another.
    regularizer : WeightDecay or NormBudget; ClassifierDecay for the head LayerNorm
        Left out with ``solve_for="decay"``, which answers ``sqrt(lambda_W lambda_H)`` for features decayed per sample.
    minority_count : int
        n_B, samples per minority class; needed under decay per sample only.
    head : Explicit (default, of any depth), LinearDEQ, DecayedDEQ, LayerNorm (plain cross-entropy), or text such as
        ``"deq:rho=0.3"``. Heads that are not convex are searched (K up to 20, level "numeric"); see
        `ufm.analysis.thresholds.jump`.
    level : {"float", "rigorous"}
        Enclosure by float64 with a-priori rounding terms, or by ball arithmetic.
    loss : CrossEntropy (default), BinaryCrossEntropy, SquaredError, or text such as ``"ce:weights=1"``
        Under decay any convex loss that states its pull on equal classes (docs/theory, Proposition 7.12); under budgets other
        losses than plain cross-entropy are enclosed by bisection on certified values.
    ratio : float >= 1
        R, for every ``solve_for`` other than "ratio".
    solve_for : {"ratio", "decay", "minority-count", "rho"}
        The quantity that is asked for; all others are given. A group is collapsed from the critical ratio, decay or minority
        count on, and for spectral budgets *up to* the critical rho.

    Returns
    -------
    Threshold

    Raises
    ------
    InputError
        K_A < 1, K_B < 2, a missing or superfluous argument, an unknown level or quantity, a loss whose pull is not known, or a
        threshold that does not exist or is beyond float64.

    Examples
    --------
    >>> import ufm
    >>> ufm.threshold(classes=(5, 5), regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), minority_count=100).value
    7.0
    >>> round(float(ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5))), 10)
    12.1924470803
    >>> ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5), head="deq:rho=0.3").transition
    'continuous'

    Class weights 1/n over-correct: the *majority* collapses.

    >>> asked = {"classes": (5, 5), "minority_count": 100, "loss": "ce:weights=1"}
    >>> found = ufm.threshold(**asked, regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3))
    >>> round(found.value, 9), found.group
    (16.0, 'majority')
    >>> found = ufm.threshold(**asked, ratio=16, solve_for="decay")
    >>> round(found.value, 12), found.group
    (0.0025, 'majority')
    """
    check_level(level)
    majority, minority = _classes(classes)
    chosen = CrossEntropy() if loss is None else parse_loss(loss) if isinstance(loss, str) else check_loss(loss)
    if solve_for not in QUANTITIES:
        raise InputError(f"solve_for is {brief(solve_for)}; choose one of {', '.join(QUANTITIES)}")
    if solve_for != "ratio":
        return _other(solve_for, (majority, minority), regularizer, minority_count, head, level, chosen, ratio)
    if ratio is not None:
        raise InputError(f"ratio={brief(ratio)} is what is asked for; leave it out, or ask for another quantity with solve_for")
    head = as_head(head)
    if regularizer is not None:
        check_decayed_features(head, regularizer)
    if head.undecayed:
        raise InputError(
            f"head is {head}; thresholds of cosines are not stated; compare the verdicts of solutions at two ratios (ufm solve)"
        )
    if isinstance(regularizer, ClassifierDecay):
        return _normalised(majority, minority, minority_count, regularizer, head, level, chosen)
    if head.normalised:
        raise InputError(f"regularizer is {regularizer!r}; with the head {head} give ClassifierDecay(...)")
    gain = head.exact_gain
    if isinstance(regularizer, WeightDecay):
        count = _count(regularizer, minority_count)
        if gain is None:
            if not chosen.plain_cross_entropy:
                raise InputError(f"loss is {chosen} and head {head}; thresholds of heads that are not convex need plain ce")
            return _jump(majority, minority, count, regularizer, head, level)
        if not chosen.convex:
            return _numeric(majority, minority, count, regularizer, head, level, chosen)
        pull = _pull(chosen)
        if pull.weights == pull.temperatures == 0.0:
            from ufm.analysis.thresholds.decay import decay_threshold

            kept = gain * (1 - Fraction(pull.smoothing))
            return decay_threshold(majority, minority, count, regularizer, kept, level, chosen.shift_invariant)
        from ufm.analysis.thresholds.groups import StepGroups

        return StepGroups(majority, minority, count, pull, gain, regularizer.per_class).ratio(regularizer, level)
    if isinstance(regularizer, NormBudget):
        if minority_count is not None:
            raise InputError(f"minority_count={minority_count} has no effect under norm budgets; leave it out")
        if gain is None:
            raise InputError(
                f"head is {head}; under budgets thresholds need explicit or deq:rho=R; give one of them, or a decay"
            )
        if not chosen.plain_cross_entropy:
            from ufm.analysis.thresholds.budget_losses import budget_loss_threshold

            _pull(chosen)
            return budget_loss_threshold(majority, minority, regularizer, gain, level, chosen)
        from ufm.analysis.thresholds.budget import budget_threshold

        return budget_threshold(majority, minority, regularizer, gain, level)
    raise InputError(f"regularizer is {regularizer!r}; give WeightDecay(...) or NormBudget(...)")


def _normalised(
    majority: int, minority: int, count: int | None, regularizer: ClassifierDecay, head: Head, level: str, loss: Loss
) -> Threshold:
    """A threshold for features of a fixed norm."""
    from ufm.analysis.thresholds.normalised import normalised_threshold

    if count is not None:
        raise InputError(f"minority_count={count} has no effect under the head {head}; leave it out")
    if not loss.plain_cross_entropy:
        raise InputError(f"loss is {loss} and head {head}; thresholds of features of a fixed norm need plain ce")
    return normalised_threshold(majority, minority, regularizer, head, level)


def _other(
    solve_for: str,
    classes: tuple[int, int],
    regularizer: WeightDecay | NormBudget | ClassifierDecay | NoDecay | None,
    minority_count: int | None,
    head: Head | str | None,
    level: str,
    loss: Loss,
    ratio: float | None,
) -> Threshold:
    """A threshold in another quantity than the ratio."""
    from ufm.analysis.thresholds.groups import StepGroups

    if isinstance(regularizer, ClassifierDecay) or (head is not None and as_head(head).normalised):
        raise InputError(f"solve_for is {solve_for!r}; for features of a fixed norm only the ratio is solved for")
    if isinstance(regularizer, NormBudget):
        raise InputError(f"solve_for is {solve_for!r}, which needs decays; under norm budgets only the ratio is solved for")
    if not (isinstance(ratio, Real) and not isinstance(ratio, bool) and 1 <= ratio <= 1e260):
        raise InputError(
            f"ratio is {brief(ratio)}; with solve_for {solve_for!r} give the imbalance ratio, a number from 1 to 1e260"
        )
    if solve_for == "rho":
        if head is not None and as_head(head).exact_gain != 1:
            raise InputError(f"head is {as_head(head)}, and rho is what is asked for; leave the head out")
        gain = Fraction(1)
    else:
        chosen = as_head(head)
        if chosen.exact_gain is None:
            raise InputError(f"head is {chosen}; with solve_for {solve_for!r} give explicit or deq:rho=R")
        gain = chosen.exact_gain
    pull, ratio = _pull(loss), float(ratio)
    if ratio == 1 and isinstance(pull.weights, tuple) | isinstance(pull.temperatures, tuple):
        raise InputError("ratio is 1, where all classes have one size, but the loss lists numbers for two; give a larger ratio")
    if solve_for == "decay":
        if regularizer is not None:
            raise InputError(f"regularizer is {regularizer}, and the decay is what is asked for; leave it out")
        count = _count(None, minority_count)
        return StepGroups(*classes, count, pull, gain).decay(ratio, level)
    if not isinstance(regularizer, WeightDecay):
        raise InputError(f"regularizer is {regularizer!r}; with solve_for {solve_for!r} give WeightDecay(...)")
    if solve_for == "minority-count":
        if minority_count is not None:
            raise InputError(f"minority_count={minority_count} is what is asked for; leave it out")
        if regularizer.per_class:
            raise InputError(
                "solve_for is 'minority-count', on which decay per class does not depend; decay features per sample"
            )
        return StepGroups(*classes, 1, pull, gain).minority_count(ratio, regularizer, level)
    count = _count(regularizer, minority_count)
    return StepGroups(*classes, count, pull, gain, regularizer.per_class).rho(ratio, regularizer, level)


def _count(regularizer: WeightDecay | None, minority_count: int | None) -> int:
    """n_B; 1 for decay per class."""
    if regularizer is not None and regularizer.per_class:
        if minority_count is not None:
            raise InputError(f"minority_count={minority_count} has no effect under decay per class; leave it out")
        return 1
    if minority_count is None:
        raise InputError("minority_count is missing: under decay per sample the threshold depends on n_B; give it")
    return _positive("minority_count", minority_count)


def _pull(loss: Loss) -> GroupPull:
    """The loss's pull, with one number for each of two sizes where numbers are listed."""
    pull = loss.pull
    if pull is None:
        raise InputError(f"loss is {loss}, whose pull on equal classes is not known; choose ce with its options, bce or mse")
    for name, value in (("weights", pull.weights), ("temperatures", pull.temperatures)):
        if isinstance(value, tuple) and len(value) != 2:
            raise InputError(f"{name} has {len(value)} numbers; step imbalance has two class sizes, so give two")
        if not isinstance(value, tuple) and abs(value) > LARGEST_EXPONENT:
            raise InputError(f"{name} is {value!r}; give an exponent between -{LARGEST_EXPONENT:g} and {LARGEST_EXPONENT:g}")
    return pull


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


def _numeric(
    majority: int, minority: int, count: int, regularizer: WeightDecay, head: Head, level: str, loss: Loss
) -> Threshold:
    """The threshold of a loss that is not convex."""
    if level == "rigorous":
        raise InputError(
            f"level is 'rigorous', and the loss {loss} is not convex, so that a threshold compares best-found solutions; leave "
            "the level out"
        )
    from ufm.analysis.thresholds.jump import jump_threshold

    return jump_threshold(majority, minority, count, regularizer, head, loss=loss)


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
