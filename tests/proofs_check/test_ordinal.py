"""Ordinal regression: the critical decay and both bounds again, from numerical derivatives and by another minimiser."""

import mpmath as mp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import cauchy, logistic, norm

from proofs_check.enclosure import Enclosure
from proofs_check.ordinal import Ordinal, best, bounds, critical
from proofs_check.registry import all_theorems
from tests.proofs_check.remembered import hear
from ufm._balls import working_precision

BOOK = all_theorems()
CASES = [p for p in BOOK["X13"]().grid() if p.margin < 1]
LAWS = {"logit": logistic, "probit": norm, "cauchit": cauchy}


def negative_log(p, q, z):
    """``-log(F(b_q - z) - F(b_{q-1} - z))`` in high precision."""
    law = {"logit": lambda x: 1 / (1 + mp.exp(-x)), "probit": mp.ncdf, "cauchit": lambda x: 0.5 + mp.atan(x) / mp.pi}[p.link]
    high = law(mp.mpf(p.thresholds[q]) - z) if q < len(p.thresholds) else mp.mpf(1)
    low = law(mp.mpf(p.thresholds[q - 1]) - z) if q else mp.mpf(0)
    return -mp.log(high - low)


def direct(p):
    """The critical decay from numerical derivatives."""
    with mp.workdps(40):
        slopes = [mp.diff(lambda z, q=q: negative_log(p, q, z), 0) for q in range(len(p.sizes))]
        return mp.sqrt(sum(n * v**2 for n, v in zip(p.sizes, slopes, strict=True))) / sum(p.sizes)


def objective(p, mu):
    ends, sizes, law = np.array([-np.inf, *p.thresholds, np.inf]), np.array(p.sizes, dtype=float), LAWS[p.link]

    def value(z):
        return float(sizes @ -np.log(law.cdf(ends[1:] - z) - law.cdf(ends[:-1] - z)) / sizes.sum() + mu * np.sqrt(sizes @ z**2))

    return value


@pytest.mark.parametrize("p", CASES)
def test_the_critical_decay(p):
    found = Enclosure.ball(lambda: critical(p))
    assert found.lower <= direct(p) <= found.upper
    assert found.width < 1e-15


def test_the_value_of_three_classes():
    """Sizes 100, 10, 5 and thresholds -1, 1: logistic slopes at zero are F(1), 0 and -F(1)."""
    slope = 1 / (1 + np.exp(-1.0))
    assert Enclosure.ball(lambda: critical(CASES[0])).upper == pytest.approx(slope * np.sqrt(105) / 115, rel=1e-14)
    assert slope * np.sqrt(105) / 115 == pytest.approx(0.0651401849, abs=5e-11)


@pytest.mark.parametrize("p", CASES)
@pytest.mark.parametrize("margin", [0.3, 0.9, 0.99, 1.01, 2.0])
def test_bounds_enclose_what_another_minimiser_finds(p, margin):
    mu = float(direct(p)) * margin
    with working_precision():
        from flint import arb

        found = bounds(p, arb(mu), best(p, mu))
    value = objective(p, mu)
    start = np.linspace(-0.1, 0.1, len(p.sizes))
    other = minimize(value, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 3000})
    assert found.lower <= found.found.upper <= other.fun + 1e-12
    assert found.found.upper - found.lower < 1e-11
    assert found.zero.lower == pytest.approx(value(np.zeros(len(p.sizes))), rel=1e-14)
    assert (found.found.upper < found.zero.lower) == (margin < 1)


def test_controls_are_on_the_wrong_side(monkeypatch):
    assert list(hear(monkeypatch, "X13", lambda c: c.control("rigorous"))) == [("yes", "no"), ("no", "yes")]
    p = Ordinal((100, 10, 5), (-1.0, 1.0), "logit")
    half, one, two = (Enclosure.ball(lambda e=e: critical(p, e)) for e in (0.5, 1.0, 2.0))
    assert half.upper * 1.01 < one.lower < two.upper * 0.99


def test_a_loss_that_is_not_convex():
    p = Ordinal((100, 10, 5), (-1.0, 1.0), "cauchit")
    value = objective(p, 1.01 * float(direct(p)))
    assert value(np.array([-0.984, 0.0, 0.984])) < value(np.zeros(3)) - 0.04
