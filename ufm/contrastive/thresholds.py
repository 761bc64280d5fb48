"""The imbalance ratio from which the minority classes of supervised contrastive learning coincide."""

from __future__ import annotations

from math import inf, isfinite

from ufm._arrays import check_whole
from ufm.analysis.thresholds import Threshold
from ufm.contrastive.program import check_temperature
from ufm.errors import InputError, brief


def contrastive_threshold(*, classes: tuple[int, int], temperature: float) -> Threshold:
    """Enclose the ratio R0 = n_A / n_B at and above which the minority classes of the contrastive optimum coincide.

    Parameters
    ----------
    classes : (int, int), numbers K_A >= 1 of majority and K_B >= 2 of minority classes
    temperature : float, tau, from 1e-3 to 1e4

    Returns
    -------
    Threshold
        At level "rigorous". Its ends are infinite where no ratio makes the minority classes coincide, which is then proved;
        for K_A = 1 and 2 there is always a finite one (docs/theory, Propositions 13.8 and 13.10).

    Raises
    ------
    InputError
        Numbers of classes or a temperature out of range, or a threshold beyond float64.
    ConvergenceError
        The sign could not be proved everywhere, as happens next to the temperature at which the threshold becomes infinite.

    Examples
    --------
    >>> found = contrastive_threshold(classes=(1, 4), temperature=1.0)
    >>> round(found.value, 5), found.upper - found.lower < 1e-10, found.level
    (48.64548, True, 'rigorous')
    >>> contrastive_threshold(classes=(5, 5), temperature=0.5).value
    inf
    """
    if not isinstance(classes, tuple | list) or len(classes) != 2:
        raise InputError(f"classes is {brief(classes)}; give two whole numbers (K_A, K_B) such as (1, 4)")
    majority = check_whole("the number of majority classes", classes[0], 1, 10**9)
    minority = check_whole("the number of minority classes", classes[1], 2, 10**9)
    tau = check_temperature(temperature)
    from ufm._balls import outward, working_precision
    from ufm.contrastive.collapse_curve import CollapseCurve, one_majority

    with working_precision():
        ends = one_majority(tau) if majority == 1 else CollapseCurve(majority, tau).ends()
        if ends is None:
            never = f"no ratio makes the minority classes coincide at {majority} majority classes and temperature {tau:g}"
            return Threshold("ratio", inf, inf, inf, "rigorous", "continuous", never)
        lower = outward(ends[0] * minority / majority)[0]
        upper = outward(ends[1] * minority / majority)[1]
    if not isfinite(upper):
        raise InputError(f"temperature {tau:g} puts the threshold beyond float64; raise it")
    return Threshold("ratio", min(max(0.5 * (lower + upper), lower), upper), lower, upper, "rigorous", "continuous")
