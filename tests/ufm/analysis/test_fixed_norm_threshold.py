"""The equations behind thresholds of features of a fixed norm, and the proof of a side, piece by piece."""

from math import cos, exp, inf, log, nextafter, pi, sin, sqrt

import numpy as np
import pytest

import ufm
from ufm import ClassifierDecay
from ufm.analysis.thresholds import normalised as module
from ufm.analysis.thresholds.normalised import CollapsedOptimum, normalised_threshold
from ufm.errors import ConvergenceError, InputError

CASES = {
    # Thresholds at decay 0.01: six digits of the first are those of `test_normalised`; the rest are rounded from enclosures.
    (5, 5): 72.8273,
    (3, 7): 307.105,
    (7, 3): 40.7331,
}


def system(classes=(5, 5), decay=0.01, norm=1.0):
    return CollapsedOptimum(*classes, decay, norm)


def residual(unknowns, ratio, classes, decay):
    """The three conditions of Proposition 12.9 in the words of the module: masses, then gaps, then the equations."""
    alpha, beta, theta = unknowns
    a, b = classes
    nu = sqrt(1 / a + 1 / b)
    mass_a = alpha * cos(theta) / (ratio * nu * sqrt(a))
    mass_b = beta * sin(theta) / (nu * sqrt(b))
    p_o = (alpha / ratio - mass_a) / a
    p_d = p_o + 1 - alpha / ratio
    if a == 1:
        p_d, x, gap_a = 1 - mass_a, 0.0, log(1 - mass_a) - log(mass_a / b)
    else:
        x = log(p_d / p_o)
        gap_a = log(p_d) / a + (1 - 1 / a) * log(p_o) - log(mass_a / b)
    gap_b = log(a * (1 - mass_b) / (b * mass_b))
    effective = decay * (a * ratio + b)
    return [
        alpha * gap_a * sqrt(a) * sin(theta) - beta * gap_b * sqrt(b) * cos(theta),
        (1 - 1 / a) * x / alpha * gap_b * beta - (gap_b**2 - gap_a**2) * sin(theta) / (nu * sqrt(b)),
        effective * gap_b * sin(theta) / (nu * sqrt(b)) - beta,
    ]


@pytest.mark.parametrize("classes", [(5, 5), (1, 4), (7, 3), (2, 2)])
@pytest.mark.parametrize("ratio", [1.5, 30.0, 4e3])
def test_collapsed_optima_solve_the_equations(classes, ratio):
    """Those of the descent on spheres, which knows nothing of them."""
    found = system(classes, 0.04, 2.0).collapsed(ratio)
    assert residual(found, ratio, classes, 0.01) == pytest.approx([0.0] * 3, abs=2e-6)
    # And the module's own residuals are these, at any unknowns.
    for factor in (1.0, 0.9):
        at = found * factor
        assert system(classes, 0.04, 2.0).residuals(at, ratio) == pytest.approx(residual(at, ratio, classes, 0.01), abs=1e-12)


def at_threshold(classes, decay=0.01):
    found = system(classes, decay)
    start = found.collapsed(CASES[classes])
    return found, start, found.polished(CASES[classes], start)


@pytest.mark.parametrize("classes", CASES)
def test_polishing_finds_the_ratio_and_the_unknowns(classes):
    found, start, ratio = at_threshold(classes)
    assert ratio == pytest.approx(CASES[classes], rel=3e-6)
    assert start[1] == 1.0
    assert residual(start, ratio, classes, 0.01) == pytest.approx([0.0] * 3, abs=1e-11)
    # One that lies further off than 1e-4 is not taken, and the start stays.
    for far in (0.999, 1.001):
        given = np.array([start[0], 1.0, start[2]])
        before = given.copy()
        assert found.polished(far * ratio, given) == far * ratio
        assert given.tolist() == before.tolist()
    for near in (1 - 9e-5, 1 + 9e-5):
        assert found.polished(near * ratio, start.copy()) == pytest.approx(ratio, rel=1e-13)
    assert found.polished(CASES[classes], np.array([np.nan, 1.0, 0.5])) == CASES[classes]


@pytest.mark.parametrize("classes", CASES)
def test_sides_near_a_threshold_are_proved(classes):
    found, start, ratio = at_threshold(classes)
    for distance in (1e-13, 1e-9, 1e-4):
        assert found.side(ratio * (1 - distance), start) == -1
        assert found.side(ratio * (1 + distance), start) == 1
    # Where the start is so far off that Newton's method ends nowhere, or somewhere that is no optimum, nothing is proved.
    for bad in ([1.0, 1.0, 0.0], [np.nan, 1.0, 0.5], [-start[0], -1.0, start[2] + pi], [1e-3, 1e3, 1.5]):
        assert found.side(ratio * 1.01, np.array(bad)) == 0


def test_sides_of_other_norms_and_of_one_majority_class():
    """Decay and squared norm grow together; and at one majority class there is no contrast of the majority."""
    _, start, ratio = at_threshold((5, 5))
    other = CollapsedOptimum(5, 5, 0.04, 2.0)
    assert [other.side(ratio * c, start) for c in (1 - 1e-12, 1 + 1e-12)] == [-1, 1]
    assert other.effective == 0.01
    single = CollapsedOptimum(1, 4, 0.1, 1.0)
    found = ufm.threshold(classes=(1, 4), regularizer=ClassifierDecay(0.1), head="layernorm")
    unknowns = single.collapsed(found.value)
    single.polished(found.value, unknowns)
    assert residual(unknowns, found.value, (1, 4), 0.1) == pytest.approx([0.0] * 3, abs=1e-9)
    assert [single.side(found.value * c, unknowns) for c in (1 - 1e-10, 1 + 1e-10)] == [-1, 1]
    # The equations that must hold for an optimum, in order: three residuals, then what must be positive.
    nu, roots = sqrt(1 + 1 / 4), (1.0, 2.0)
    values = single.equations(unknowns, found.value, (np.log, np.sin, np.cos), nu, roots, 0.1 * (found.value + 4))
    assert len(values) == 13
    assert all(v > 0 for v in values[3:])
    mass_a = unknowns[0] * cos(unknowns[2]) / (found.value * nu)
    assert values[7] == values[8] == values[9] == pytest.approx(1 - mass_a, rel=1e-14)


def test_ends_are_next_to_the_value():
    found = normalised_threshold(5, 5, ClassifierDecay(0.01), ufm.LayerNorm(), "float")
    assert (found.quantity, found.level, found.transition) == ("ratio", "float", "continuous")
    assert found.lower < found.value < found.upper
    assert found.upper - found.lower <= 8 * (nextafter(found.value, inf) - found.value)
    assert found.note == module.NOTE


def stub(monkeypatch, beta):
    """Collapsed optima whose beta is a known function of the ratio."""
    seen = []

    def collapsed(self, ratio):
        seen.append(ratio)
        return np.array([1.0, beta(ratio), 0.5])

    monkeypatch.setattr(CollapsedOptimum, "collapsed", collapsed)
    return seen


@pytest.mark.parametrize("root", [1.001, 1.9, 5.0, 300.0, 4e11])
def test_the_search_for_a_ratio(monkeypatch, root):
    """Intervals grow fourfold from 2, up to 1e12."""
    seen = stub(monkeypatch, lambda r: (r / root) ** 0.3)
    ratio, unknowns = module.bracketed(system())
    assert ratio == pytest.approx(root, rel=2e-9)
    assert unknowns.tolist() == [1.0, (ratio / root) ** 0.3, 0.5]
    assert min(seen) >= 1 + 0.9e-6
    assert max(seen) <= max(2.1, 4.1 * root)


def test_searches_without_an_end(monkeypatch):
    seen = stub(monkeypatch, lambda r: 0.5)
    with pytest.raises(InputError, match="no threshold up to R = 1e12"):
        module.bracketed(system())
    # 2 4^k up to 1e12.
    assert max(seen) == pytest.approx(2 * 4.0 ** int(log(5e11) / log(4)), rel=1e-9)
    stub(monkeypatch, lambda r: 1.5)
    with pytest.raises(ConvergenceError, match="collapsed at every ratio"):
        module.bracketed(system())
    stub(monkeypatch, lambda r: r / 3.0)
    monkeypatch.setattr(CollapsedOptimum, "side", lambda self, ratio, start: 0)
    with pytest.raises(ConvergenceError, match="could not be enclosed"):
        normalised_threshold(5, 5, ClassifierDecay(0.01), ufm.LayerNorm(), "float")


def test_values_stay_inside_the_enclosure_and_above_one(monkeypatch):
    """A value below one is the next float above it; one outside of the proved ends is moved to them."""
    stub(monkeypatch, lambda r: r / 3.0)
    monkeypatch.setattr(CollapsedOptimum, "polished", lambda self, ratio, start: 0.5)
    monkeypatch.setattr(CollapsedOptimum, "side", lambda self, ratio, start: 1)
    found = normalised_threshold(5, 5, ClassifierDecay(0.01), ufm.LayerNorm(), "float")
    assert found.lower == 1.0
    assert 1.0 < found.value <= found.upper < 1 + 1e-15
    assert exp(0.0) <= found.value


def test_ends_are_where_a_side_is_proved(monkeypatch):
    """Not where it is undecided: steps go on until the sign is known."""
    stub(monkeypatch, lambda r: r / 3.0)
    monkeypatch.setattr(CollapsedOptimum, "polished", lambda self, ratio, start: 3.0)
    monkeypatch.setattr(CollapsedOptimum, "side", lambda self, r, start: int(np.sign(r - 3.0)) if abs(r - 3.0) > 1e-9 else 0)
    found = normalised_threshold(5, 5, ClassifierDecay(0.01), ufm.LayerNorm(), "float")
    # Steps double, so that the first one beyond 1e-9 is less than twice that.
    assert 1e-9 < found.value - found.lower < 2e-9
    assert 1e-9 < found.upper - found.value < 2e-9


def test_only_a_proved_box_beside_one_has_a_side(monkeypatch):
    """No box, beta of exactly one or about it, and a box where something is not positive prove nothing."""
    from flint import arb

    found, start, ratio = at_threshold((5, 5))
    alpha, _, theta = (arb(float(v)) for v in start)
    for box, side in (
        (None, 0),
        ([alpha, arb(1), theta], 0),
        ([alpha, arb(1, 1e-6), theta], 0),
        ([alpha, arb(1 - 1e-6, 1e-7), theta], -1),
        ([alpha, arb(1 + 1e-6, 1e-7), theta], 1),
        ([alpha, arb(1 + 1e-6, 1e-7), -theta], 0),
        ([-alpha, arb(1 + 1e-6, 1e-7), theta], 0),
    ):
        monkeypatch.setattr(module, "krawczyk_box", lambda *_, box=box: box)
        assert found.side(ratio, start) == side


def test_boxes_are_proved_by_what_is_known_about_a_linear_system():
    """The least radius of 1e-38, 1e-32, ... that holds the solution; none without an inverse, or if slopes vary too much."""
    from flint import arb, arb_mat

    from ufm._balls import working_precision

    with working_precision():
        matrix = arb_mat([[2, 1, 0], [0, 3, 1], [1, 0, 4]])
        solution = [arb(1), arb(2), arb(3)]

        def values(point):
            off = arb_mat([[p - s] for p, s in zip(point, solution, strict=True)])
            return [(matrix * off)[i, 0] for i in range(3)]

        good = matrix.inv()
        for place in range(3):
            for distance, radius in ((0.0, 1e-38), (1e-34, 1e-32), (1e-28, 1e-26), (1e-22, 1e-20)):
                middle = [s + (distance if i == place else 0) for i, s in enumerate(solution)]
                box = module.krawczyk_box(middle, good, values, lambda box: matrix)
                assert all(b.contains(s) for b, s in zip(box, solution, strict=True))
                assert [float(b.rad() / s) for b, s in zip(box, solution, strict=True)] == pytest.approx([radius] * 3, rel=1e-6)
            middle = [s + (1e-18 if i == place else 0) for i, s in enumerate(solution)]
            assert module.krawczyk_box(middle, good, values, lambda box: matrix) is None
        middle = [s + 1e-34 for s in solution]
        assert module.krawczyk_box(middle, 0 * good, values, lambda box: matrix) is None
        # Slopes with a relative error e leave e times the box: e sum_j |x_j| below |x_i| is proved, above it is not.
        for error, proved in ((0.05, True), (0.4, False)):
            wide = arb_mat([[arb(int(i == j)) + arb(0, error) for j in range(3)] for i in range(3)])
            found = module.krawczyk_box(middle, good, values, lambda box, wide=wide: matrix * wide)
            assert (found is not None) == proved
