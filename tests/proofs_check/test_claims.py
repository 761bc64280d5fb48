"""What the claims compare on their grids, where the outcome alone would not tell: one-sided comparisons, margins, levels."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

import ufm
from proofs_check import sunshi2024_audit, zhou2022
from proofs_check.registry import all_theorems
from tests.proofs_check.remembered import SOLVE, hear
from tests.proofs_check.test_controls import at

BOOK = all_theorems()
COLLAPSE = [(name, k) for name in ("F3", "F4", "F5", "H3", "Z2", "D3", "D4") for k in range(len(list(BOOK[name]().grid())))]


def claimed(patch, name, k):
    return hear(patch, name, lambda claim: claim.check(list(claim.grid())[k], "rigorous"))


@pytest.mark.parametrize(("name", "k"), COLLAPSE)
def test_margins_of_verdicts_on_collapse(monkeypatch, name, k):
    """What the contrast leaves of the tolerance where classes have collapsed, the contrast where they have not."""
    heard = claimed(monkeypatch, name, k)
    for (expected, _), margin in zip(heard, heard.margins, strict=True):
        if expected == "yes":
            assert 0 <= margin <= 1e-6
        elif expected == "no":
            contrasts = [ufm.collapse(SOLVE(p, level="rigorous")).lower for p in heard.problems]
            assert any(margin == pytest.approx(c, rel=1e-3) for c in contrasts)


@pytest.mark.parametrize("k", range(8))
def test_cosines_between_a_fixed_classifier_and_features_are_cosines(monkeypatch, k):
    _, (least, worst) = claimed(monkeypatch, "Y", k)
    assert at(least, 1 - 1e-9, 1e-12)
    assert worst.upper <= 1 + 1e-12


@pytest.mark.parametrize("k", range(4))
def test_distances_of_non_negative_features(monkeypatch, k):
    """Each of three distances is not negative, and below its tolerance."""
    _, *distances = claimed(monkeypatch, "E1", k)
    for (zero, slack), tolerance in zip(distances, (1e-12, 1e-9, 1e-9), strict=True):
        assert zero.lower == zero.upper == 0
        assert 0 < slack.lower == slack.upper <= tolerance


@pytest.mark.parametrize("k", range(7))
def test_distances_of_diagonal_logits(monkeypatch, k):
    _, (zero, slack) = claimed(monkeypatch, "B1", k)
    assert zero.lower == zero.upper == 0
    assert 0 < slack.lower == slack.upper <= 1e-9


@pytest.mark.parametrize("k", range(15))
def test_mean_directions(monkeypatch, k):
    """The margin is the distance of the mean direction from the tolerance 1e-6."""
    heard = claimed(monkeypatch, "M1", k)
    mean = zhou2022.mean_direction(SOLVE(heard.problems[0], level="rigorous"))
    assert heard.margins[-1] == abs(mean - 1e-6)
    assert heard[-1] == (("yes", "yes") if mean > 1e-6 else ("no", "no"))


@pytest.mark.parametrize(("classes", "size"), list(product((2, 5), (-2.0, 0.0, 3.0))))
def test_singular_value_along_the_mean(classes, size):
    """Of ``size 11'/K + S + bias 1'``, whatever the contrasts."""
    ones = np.ones((classes, classes))
    logits = size * ones / classes + np.eye(classes) - ones / classes + 0.7
    solution = SimpleNamespace(logits=logits, factors=SimpleNamespace(bias=np.array([0.7])))
    assert zhou2022.mean_direction(solution) == pytest.approx(abs(size), abs=1e-12)


@pytest.mark.parametrize(("name", "k"), [*(("D5", k) for k in range(4)), *(("D6", k) for k in range(2))])
def test_upper_bounds_of_searches_are_proved(monkeypatch, name, k):
    heard = claimed(monkeypatch, name, k)
    proved = SOLVE(heard.problems[0], method=sunshi2024_audit.SEARCH).certificate.rigorous().upper
    assert heard[-1][0] == sunshi2024_audit.found_value(heard.problems[0], "rigorous")
    assert heard[-1][0].lower == heard[-1][0].upper == proved


@pytest.mark.parametrize("k", range(3))
def test_scatter_within_classes(monkeypatch, k):
    """Between zero and a thousandth of the total."""
    _, (scatter, most) = claimed(monkeypatch, "H1", k)
    assert scatter.lower == 0
    assert at(most, 1e-3)


def test_steps_name_the_boundary_of_depth():
    """Prices at equal margin: ``K - 1`` for the ETF, ``(m - 1) height^p`` for each block of a code, ``p = 2/(L+1)``."""

    def gap(k, layers):
        power = 2 / (layers + 1)
        code = k / 2 * 2**power if k % 2 == 0 else (k - 3) / 2 * 2**power + 2 * 1.5**power
        return k - 1 - code

    names = [name for name, _ in BOOK["G1"]().steps()]
    for parity, code in ((0, "pairs"), (1, "pairs and a triple")):
        for layers in (2, 3):
            edge = next(k for k in range(4 + parity, 20, 2) if gap(k, layers) > 0)
            assert f"{code} win at K={edge}, L={layers} for small decay" in names
            if edge - 2 >= 4:
                assert f"{code} lose at K={edge - 2}, L={layers} for small decay" in names
    # Two classes have one code only; it is the ETF written as a pair, of height 2 and the same margin, so never cheaper.
    assert {"pairs lose at K=2, L=2 for small decay", "pairs lose at K=2, L=9 for small decay"} <= set(names)
    assert gap(2, 2) < 0
    assert gap(2, 9) < 0
