"""Contrastive learning and laws of training: both sides of the comparisons, computed again without the book."""

import mpmath as mp
import numpy as np
import pytest

import ufm
from proofs_check import contrastive, training_laws
from proofs_check.enclosure import Outcome
from proofs_check.registry import all_theorems
from proofs_check.training_laws import Run, Start, descended, hadamard, law, trained
from tests.proofs_check.remembered import hear

BOOK = all_theorems()


def inside(side, value, width=1e-9):
    """Whether an enclosure contains a number and is narrow."""
    value = float(value)
    return side.lower - width * abs(value) <= value <= side.upper + width * abs(value) and side.width <= width * abs(value)


def root(minority, temperature, power=2):
    """``K_B y`` from ``2 (y + e) = y e (1 + e)(1 + y)``, e = exp(-power / tau), in 40 digits."""
    with mp.workdps(40):
        e = mp.exp(-power / mp.mpf(temperature))
        return minority * mp.findroot(lambda y: y * e * (1 + e) * (1 + y) - 2 * (y + e), 2 / e**2, tol=1e-30)


def test_formula_of_x10(monkeypatch):
    claim = BOOK["X10"]()
    for p in (q for q in claim.grid() if q.majority == 1):
        heard = hear(monkeypatch, "X10", lambda c, p=p: c.check(p, "rigorous"))
        (closed, found), (expected, verdict) = heard
        assert inside(closed, root(p.minority, p.temperature), 1e-13)
        assert inside(found, root(p.minority, p.temperature), 1e-13)
        assert expected == verdict == ("yes" if p.side > 1 else "no")


def test_grid_of_x10_has_both_sides_and_one_two_and_three_majority_classes():
    made = list(BOOK["X10"]().grid())
    assert {p.majority for p in made} == {1, 2, 3}
    for p in made:
        assert {q.side for q in made if q._replace(side=0) == p._replace(side=0)} == {0.98, 1.02}


def test_controls_of_x10(monkeypatch):
    """The ratios of the controls lie where they say: below the true one, above it, and above that of two classes."""
    heard = hear(monkeypatch, "X10", lambda c: c.control("rigorous"))
    assert list(heard) == [("yes", "no"), ("no", "yes"), ("no", "yes")]
    assert root(4, 1.0, power=1) < root(4, 1.0)
    two = ufm.contrastive_threshold(classes=(2, 4), temperature=0.5)
    assert root(4, 0.5) * 0.98 > two.upper


def test_formula_and_controls_of_x11(monkeypatch):
    claim = BOOK["X11"]()
    for counts, temperature in claim.grid():
        sizes = np.array(list(ufm.ClassCounts.parse(counts)))
        shares = sizes / sizes.sum()
        direct = sum(p * np.log(p + (1 - p) * np.exp(-1 / temperature)) for p in shares)
        ((closed, found),) = hear(monkeypatch, "X11", lambda c, i=(counts, temperature): c.check(i, "rigorous"))
        assert inside(closed, direct, 1e-12)
        assert inside(found, direct, 1e-12)
    (etf, frame), (free, again) = hear(monkeypatch, "X11", lambda c: c.control("rigorous"))
    assert etf.upper < frame.lower
    assert free.upper < frame.lower
    assert frame == again


def test_a_frame_that_is_not_orthogonal_is_noticed(monkeypatch):
    """Cosines of 1e-3 in place of zero in what the solver returns."""
    solve = ufm.solve_contrastive

    def tilted(counts, **options):
        found = solve(counts, **options)
        if not options.get("nonnegative"):
            return found
        program = found.program
        cosines = np.where(found.cosines == 0, 1e-3, found.cosines)
        value = program.value(cosines)
        return type(found)(**{**vars(found), "value": value, "lower": value - 1e-15, "upper": value + 1e-15})

    monkeypatch.setattr(ufm, "solve_contrastive", tilted)
    findings = list(BOOK["X11"]().check(("50*5,10*5", 0.5), "rigorous"))
    assert {f.outcome for f in findings} == {Outcome.VIOLATED}


def test_a_wrong_threshold_is_noticed(monkeypatch):
    monkeypatch.setattr(contrastive, "closed_form", lambda p, power=2.0: contrastive.Enclosure(50.0, 50.0))
    found = list(BOOK["X10"]().check(contrastive.Imbalance(1, 4, 1.0, 1.02), "rigorous"))
    assert found[0].outcome is Outcome.VIOLATED


@pytest.mark.parametrize("p", list(BOOK["X14"]().grid()))
def test_the_law_of_row_sums_in_closed_form(p):
    """Without momentum and with a constant rate: ``(1 - eta lambda)^T``; with momentum: powers of a 2 x 2 matrix."""
    _, start = trained(p)
    if p.schedule == "constant":
        step = np.array([[1 - p.rate * p.decay, -p.rate * p.momentum], [p.decay, p.momentum]])
        factor = np.linalg.matrix_power(step, training_laws.STEPS)[0, 0]
        assert inside(law(p), abs(factor) * np.linalg.norm(start), 1e-10)
    assert law(p).upper <= np.linalg.norm(start) * (1 + 1e-9)
    assert np.linalg.norm(start) > 0.1  # there is something to decay


def test_training_changed_the_classifier():
    """The row sum is all that is predicted: labels shuffled lead to another classifier with the same sum."""
    p = Run("stack", 0.0, 0.1, "constant", 0.05)
    assert trained(p)[0] == pytest.approx(trained(p, shuffled=True)[0], rel=1e-12)
    assert trained(p, "coupled")[0] != pytest.approx(trained(p)[0], rel=1e-2)


def test_sylvester_matrices_are_what_the_bits_say():
    for digits in (0, 1, 2, 3, 4):
        k = 2**digits
        bits = np.array([[bin(i & j).count("1") % 2 for j in range(k)] for i in range(k)])
        np.testing.assert_array_equal(hadamard(digits), 1 - 2 * bits)


def floating(p, sizes):
    """The same descent in float64, from its definition: objective, and entries off the diagonal over those on it."""
    k = 2**p.digits
    u = hadamard(p.digits) / np.sqrt(k)
    vector = np.arange(k) % 7 + 1.0
    v = np.eye(k) - 2 * np.outer(vector, vector) / (vector @ vector)
    scale = np.diag([1 / 64, *((20 + 3 * i) / 32 for i in range(1, k))])
    w, h = u @ scale @ v.T, v @ scale @ u.T
    share = np.array(sizes) / sum(sizes)
    for _ in range(p.steps):
        z = w @ h
        slope = (np.exp(z) / np.exp(z).sum(axis=0) - np.eye(k)) * share
        w, h = w - p.rate * (slope @ h.T + p.decay * w), h - p.rate * (w.T @ slope + p.decay * h)
    z = w @ h
    loss = share @ (np.log(np.exp(z).sum(axis=0)) - np.diag(z))
    found = u.T @ w @ v
    off = np.abs(found - np.diag(np.diag(found))).max() / np.abs(np.diag(found)).max()
    return loss + p.decay / 2 * ((w**2).sum() + (h**2).sum()), off


@pytest.mark.parametrize("p", [Start(1, 0.05, 150, 1.0), Start(2, 0.02, 300, 2.0)])
def test_descent_in_balls_is_descent(p):
    value, off = floating(p, [1] * 2**p.digits)
    end = descended(p)
    assert inside(end.objective, value, 1e-9)
    assert off < 1e-10
    assert end.turned.upper < 1e-30


def test_unequal_sizes_turn_the_vectors_as_float64_says():
    p = Start(2, 0.02, 60, 2.0)
    _, off = floating(p, [4, 1, 1, 1])
    assert inside(descended(p, weights=(4, 1, 1, 1)).turned, off, 1e-7)
