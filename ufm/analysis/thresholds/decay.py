r"""Weight decay: a group of m >= 2 classes of size n_g collapses iff ``sqrt(n_g) <= N mu_eff``.

See docs/theory, Propositions 7.1 and 7.2; the condition does not depend on the rest of the logits or on the bias (Hong & Ling,
arXiv 2309.09725, for two clusters, locator unknown; the general form is derived there). With ``N = n_B (K_A R + K_B)``:

.. math:: R_0 = \frac{1}{K_A} \Big( \frac{1}{\sqrt{n_B}\, \mu_{eff}} - K_B \Big).
"""

from __future__ import annotations

from fractions import Fraction
from math import inf, sqrt

from ufm._balls import ball, outward, working_precision
from ufm.analysis.thresholds.enclosed import Threshold
from ufm.errors import InputError
from ufm.problem.regularizers import WeightDecay


def decay_threshold(
    majority: int, minority: int, count: int, regularizer: WeightDecay, gain: Fraction, level: str, zero: bool = True
) -> Threshold:
    """R0 in closed form (docs/theory, Proposition 7.2).

    Parameters
    ----------
    majority, minority : int, K_A >= 1 and K_B >= 2
    count : int, n_B (1 for decay per class)
    regularizer : WeightDecay
    gain : Fraction
        ``mu / mu_eff``: 1 for the explicit head, ``1 / (1 - rho)`` for a linear DEQ; times ``1 - eps`` under label smoothing.
    level : {"float", "rigorous"}
    zero : bool, whether collapsed balanced classes have logits zero (cross-entropy), or only equal ones

    Returns
    -------
    Threshold

    Raises
    ------
    InputError
        The threshold is beyond float64.
    """
    if level == "rigorous":
        with working_precision():
            product = Fraction(regularizer.weight) * Fraction(regularizer.features) * count
            reach = ball(gain) / ball(product).sqrt()
            lower, upper = outward((reach - minority) / majority)
        value = lower
    else:
        reach = float(gain) / (sqrt(count) * regularizer.mu)
        value = (reach - minority) / majority
        slack = 8 * 2.0**-52 * (reach + minority) / majority
        lower, upper = value - slack, value + slack
    if not upper < inf:
        raise InputError(f"decay {regularizer.weight:g},{regularizer.features:g} puts the threshold beyond float64")
    note = ""
    if upper < 1:
        what = "all logits are zero" if zero else "all classes share one classifier"
        note = f"below 1: the classes are collapsed at every ratio R >= 1, and at R = 1 {what}"
    return Threshold("ratio", value, lower, upper, level, "continuous", note)
