"""Critical ratios: closed form, the certified solver on both sides, a second computation in 80 digits, and the limits."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm._balls import working_precision
from ufm.contrastive.collapse_curve import CollapseCurve


def verdict(majority, minority, temperature, ratio, count=10**6):
    counts = ufm.ClassCounts(((round(ratio * count), majority), (count, minority)))
    return ufm.solve_contrastive(counts, temperature=temperature, level="rigorous").collapsed


def test_one_majority_class():
    """``2 (y + e) = y e (1 + e)(1 + y)`` at ``y = R0 / K_B``: the condition before it is solved."""
    for minority, temperature in ((4, 1.0), (2, 0.3), (50, 5.0)):
        found = ufm.contrastive_threshold(classes=(1, minority), temperature=temperature)
        with mp.workdps(40):
            e, y = mp.exp(-2 / mp.mpf(temperature)), mp.mpf(found.value) / minority
            assert abs(2 * (y + e) / (y * e * (1 + e) * (1 + y)) - 1) < 1e-14
        assert found.upper - found.lower <= 1e-14 * found.value
        assert found.level == "rigorous"
    assert ufm.contrastive_threshold(classes=(1, 4), temperature=1.0).value == pytest.approx(48.64548, abs=5e-6)


@pytest.mark.parametrize(
    ("majority", "minority", "temperature"), [(1, 4, 1.0), (1, 2, 0.5), (2, 4, 0.5), (2, 2, 1.0), (3, 2, 0.15), (3, 5, 0.19)]
)
def test_the_solver_agrees_on_both_sides(majority, minority, temperature):
    found = ufm.contrastive_threshold(classes=(majority, minority), temperature=temperature)
    assert verdict(majority, minority, temperature, found.lower * 0.999) == "no"
    assert verdict(majority, minority, temperature, found.upper * 1.03) == "yes"


def collapse_slope(majority, temperature, y):
    """Derivative by the minority's squared length where it coincides, the majority's being optimal; both numerical."""
    with mp.workdps(60):
        k, t, m = mp.mpf(majority), mp.mpf(temperature), mp.mpf(3)

        def h(u, v):
            b = -mp.sqrt(u * v)
            within = mp.exp(-(1 - u) * k / (k - 1) / t)
            other = mp.exp(-(1 - v) * m / (m - 1) / t)
            first = mp.log(y / k * (1 + (k - 1) * within) + mp.exp((b - 1) / t))
            return y * first + mp.log((1 + (m - 1) * other) / m + y * mp.exp((b - 1) / t))

        odds = mp.findroot(
            lambda x: mp.diff(lambda z: h(mp.exp(z), 1), x),
            (-60, -1e-3),
            solver="bisect",
            tol=1e-50,
            maxsteps=250,
            verify=False,
        )
        return mp.diff(lambda v: h(mp.exp(odds), v), 1)


@pytest.mark.parametrize(("majority", "temperature"), [(2, 0.5), (2, 1.0), (3, 0.15)])
def test_the_derivative_changes_its_sign_there(majority, temperature):
    found = ufm.contrastive_threshold(classes=(majority, 3), temperature=temperature)
    y = mp.mpf(found.value) * majority / 3
    assert collapse_slope(majority, temperature, y * (1 - mp.mpf("1e-11"))) > 0
    assert collapse_slope(majority, temperature, y * (1 + mp.mpf("1e-11"))) < 0


@given(st.floats(0.02, 500.0))
@settings(max_examples=15, deadline=None)
def test_two_majority_classes_always_have_one(temperature):
    found = ufm.contrastive_threshold(classes=(2, 3), temperature=temperature)
    assert 1 < found.lower <= found.value <= found.upper < np.inf
    assert found.upper - found.lower <= 1e-10 * found.value


def limit(majority, temperature):
    """Sign at infinite ratio: positive where the minority is collapsed at all large ones."""
    with mp.workdps(60):
        s, k = mp.exp(-1 / ((majority - 1) * mp.mpf(temperature))), majority
        c = 1 + (k - 1) * s**k
        return mp.sign((k * s ** (k - 1) + c) ** 2 - 4 * k * s * c)


@pytest.mark.parametrize("majority", [3, 4, 5, 10, 90])
@pytest.mark.parametrize("temperature", [0.01, 0.05, 0.1, 0.15, 0.3, 0.5, 2.0, 50.0])
def test_three_or_more_have_one_where_the_limit_says(majority, temperature):
    found = ufm.contrastive_threshold(classes=(majority, 7), temperature=temperature)
    assert np.isfinite(found.value) == (limit(majority, temperature) > 0)
    if not np.isfinite(found.value):
        assert "no ratio" in found.note
        # Very cold losses hardly depend on cosines, so that their enclosures decide nothing.
        assert verdict(majority, 7, temperature, 300.0) in (("no",) if temperature > 0.02 else ("no", "undecided"))


def test_the_ratio_is_proportional_to_the_number_of_minority_classes():
    for majority, temperature in ((1, 0.7), (2, 0.7), (3, 0.12)):
        two, six = (ufm.contrastive_threshold(classes=(majority, k), temperature=temperature) for k in (2, 6))
        assert six.value == pytest.approx(3 * two.value, rel=1e-13)


def test_enclosed_signs_are_those_of_points():
    """A sign that is proved on an interval holds at points of it; an interval across the root proves nothing."""
    from flint import arb

    rng = np.random.default_rng(0)
    with working_precision():
        for majority, temperature in ((2, 0.5), (3, 0.15), (5, 0.04)):
            curve = CollapseCurve(majority, temperature)
            for low, high in np.sort(rng.uniform(0, 1, size=(40, 2)), axis=1):
                sign = curve.sign(arb(low).union(arb(high)))
                points = {curve.sign(arb(float(x))) for x in rng.uniform(low, high, size=5)}
                assert sign == 0 or points == {sign}


@pytest.mark.parametrize(
    ("classes", "temperature", "said"),
    [
        ((1, 1), 1.0, "minority classes is 1"),
        ((0, 3), 1.0, "majority classes is 0"),
        ((1,), 1.0, "classes is"),
        ((1, 3), -1.0, "temperature is -1"),
        ((1, 3), 1e-3, "beyond float64"),
        ((1.5, 3), 1.0, "majority classes is 1.5"),
    ],
)
def test_bad_arguments_are_one_sentence(classes, temperature, said):
    with pytest.raises(ufm.InputError, match=said):
        ufm.contrastive_threshold(classes=classes, temperature=temperature)
