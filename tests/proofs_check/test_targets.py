"""Theorems on tables of targets: closed forms by routes that share nothing with them, controls, twins, instances outside."""

from itertools import combinations
from math import comb, log, sqrt

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

import ufm
from proofs_check import andriopoulos2024, li2023, multitask, tables, zhao2024
from proofs_check.enclosure import Enclosure, Outcome
from proofs_check.registry import all_theorems
from tests.proofs_check.remembered import SOLVE, hear, listen
from tests.proofs_check.test_controls import at

BOOK = all_theorems()
D = ufm.WeightDecay


@pytest.fixture
def heard(request, monkeypatch):
    """What the part of a theorem that the test names solves and compares."""
    return listen(monkeypatch, request.node.name)


def claimed(patch, name, k):
    return hear(patch, name, lambda claim: claim.check(list(claim.grid())[k], "rigorous"))


def tokens(v, k, decay, count=None):
    """Least ``log(k + (V-k) e^{-a}) + decay ||a centred indicator||_* `` over a, with the singular values of numpy."""
    made = np.zeros((v, comb(v, k)))
    for column, chosen in enumerate(combinations(range(v), k)):
        made[list(chosen), column] = 1.0
    nuclear = np.linalg.svd(made - k / v, compute_uv=False).sum() if count is None else (v - 1) * sqrt(count)

    def value(a):
        return np.log(k + (v - k) * np.exp(-a)) + decay * nuclear * a

    return minimize_scalar(value, bounds=(0, 60), method="bounded", options={"xatol": 1e-12}).fun


@pytest.mark.parametrize("p", [(5, 2, 0.01), (6, 3, 0.005), (6, 2, 0.02), (4, 3, 1e-3), (9, 4, 1e-4), (3, 1, 0.1)])
def test_next_tokens_by_minimisation(p):
    assert at(zhao2024.closed_form(zhao2024.Subsets(*p)), tokens(*p))
    assert not zhao2024.closed_form(zhao2024.Subsets(*p), centred=False).upper < tokens(*p)


def test_tabulated_values_of_tables():
    """Numbers that were computed before, to the digits given."""
    for p, value in (((5, 2, 0.01), 0.973016443104), ((6, 3, 0.005), 1.328970646302), ((6, 2, 0.02), 1.332179040210)):
        assert zhao2024.closed_form(zhao2024.Subsets(*p)).lower == pytest.approx(value, abs=1e-12)
    assert li2023.enclosed(li2023.Labels(5, (20, 4), 0.01))[0].lower == pytest.approx(1.2248397546954, abs=2e-13)
    assert li2023.heights(li2023.Labels(5, (20, 4), 0.01)) == pytest.approx([2.7127053, 2.2845984], abs=5e-8)
    assert li2023.enclosed(li2023.Labels(6, (3, 10), 0.005))[0].lower == pytest.approx(1.9198399461493, abs=2e-13)
    for p, q, value, angle in ((80, 20, 123.38952947, 0.4919086), (97, 3, 108.31929615, 0.9502555)):
        p = multitask.joint(p, q, 1.0)
        assert multitask.closed_form(p).lower * p.total == pytest.approx(value, abs=1e-8)
        assert multitask.cosine(p).lower == pytest.approx(angle, abs=1e-7)
    form = andriopoulos2024.Directions.closed_form
    assert form(andriopoulos2024.Regression("axes", 0.01, 1.0)).lower == pytest.approx(0.335, abs=1e-12)
    assert form(andriopoulos2024.Regression("axes", 0.5, 1.0)).lower == pytest.approx(1.7463203436, abs=1e-10)
    classes = (200, 100, 50, 50)
    for mu, value in ((5e-4, 0.0135405819117), (1e-3, 0.0267811638235)):
        found = andriopoulos2024.OneHot.closed_form(andriopoulos2024.Classes(classes, mu))
        assert found.lower == pytest.approx(value, abs=1e-13)


@pytest.mark.parametrize("p", [(5, (20, 4), 0.01), (6, (3, 10), 0.005), (4, (3, 5, 2), 0.01), (5, (7, 0, 2), 0.004)])
def test_several_labels_by_minimisation(p):
    k, sizes, mu = p
    parts = [(m, n) for m, n in enumerate(sizes, 1) if n]
    total = sum(n * comb(k, m) for m, n in parts)

    def value(a):
        loss = sum(n * comb(k, m) * m * np.log(m + (k - m) * np.exp(-x)) for x, (m, n) in zip(a, parts, strict=True))
        return loss / total + mu * (k - 1) * np.sqrt(
            sum(n * comb(k - 2, m - 1) * x**2 for x, (m, n) in zip(a, parts, strict=True))
        )

    least = minimize(value, [2.0] * len(parts), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-15})
    found, labels = li2023.enclosed(li2023.Labels(*p))
    assert at(found, least.fun)
    assert li2023.heights(li2023.Labels(*p)) == pytest.approx(least.x, abs=1e-6)
    for label, x, (m, _) in zip(labels, least.x, parts, strict=True):
        assert at(label, np.exp(x) / (m * np.exp(x) + k - m), 1e-6)


def test_heights_vanish_together():
    p = li2023.Labels(5, (20, 4), 0.0)
    edge = sqrt(20 * 1 + 4 * 3) / 140
    assert (p.effective, p.total) == (32, 140)
    assert li2023.heights(p._replace(decay=edge * 1.0001)) == [0.0, 0.0]
    small = li2023.heights(p._replace(decay=edge * 0.999))
    assert 0 < max(small) < 0.02
    assert min(small) > 0
    found, labels = li2023.enclosed(p._replace(decay=edge * 1.1))
    assert at(found, log(5) * 180 / 140, 1e-12)
    assert all(at(label, 0.2, 1e-6) for label in labels)


def pairs(p, q, strength, half=1.0):
    """Each height by itself, over N."""
    charge = 2 * half * strength

    def one(s):
        return minimize_scalar(
            lambda a: 4 * s * np.log1p(np.exp(-a)) + charge * sqrt(2 * s) * a,
            bounds=(0, 40), method="bounded", options={"xatol": 1e-12},
        ).fun  # fmt: skip

    return (one(p) + one(q)) / (2 * (p + q))


@pytest.mark.parametrize("p", [(80, 20, 1.0), (97, 3, 1.0), (60, 40, 1.5), (50, 1, 2.0)])
def test_two_tasks_by_minimisation(p):
    assert at(multitask.closed_form(multitask.joint(*p)), pairs(*p), 1e-8)


def test_cosines_of_heads_are_those_of_parameters(monkeypatch):
    """Enclosed from margins, read off by the book, and measured on W."""
    for k, p in enumerate(BOOK["X12"]().grid()):
        _, (formula, enclosed), _ = claimed(monkeypatch, "X12", k)
        measured = ufm.table_geometry(multitask.solved(p, "float"))["cos_tasks_max"]
        assert at(formula, measured, 1e-3)
        assert enclosed.lower - 1e-9 <= measured <= enclosed.upper + 1e-9


@pytest.mark.parametrize("name", andriopoulos2024.TARGETS)
@pytest.mark.parametrize("centred", [False, True])
def test_spectra_of_covariances(name, centred):
    columns = np.array(andriopoulos2024.TARGETS[name], dtype=float)
    sizes = list(range(1, columns.shape[1] + 1))
    share = np.array(sizes) / sum(sizes)
    away = columns - (columns @ share)[:, None] * centred
    exact = np.linalg.eigvalsh((away * share) @ away.T)[::-1]
    found = [float(x.mid()) for x in andriopoulos2024.spectrum(columns, sizes, centred)]
    assert found == pytest.approx(list(exact), abs=1e-9)


def test_spectrum_of_the_tabulated_classes():
    found = andriopoulos2024.spectrum(np.eye(4), (200, 100, 50, 50))
    assert [float(x.mid()) for x in found] == pytest.approx([0.355384, 0.175866, 0.125, 0], abs=5e-7)


def test_regression_by_soft_thresholding(monkeypatch):
    """Value by the singular values of centred targets; dead directions are named."""
    for k, p in enumerate(BOOK["X6"]().grid()):
        (formula, _), *directions = claimed(monkeypatch, "X6", k)
        columns = p.columns
        m = columns.shape[1]
        away = np.linalg.svd(columns - columns.mean(axis=1)[:, None], compute_uv=False)
        left = np.maximum(away - m * sqrt(p.weight * p.features / m), 0.0)
        value = ((left - away) ** 2).sum() / (2 * m) + sqrt(p.weight * p.features / m) * left.sum()
        assert at(formula, value)
        assert len(directions) == len(away)
        for (claim, found), singular in zip(directions, left, strict=True):
            if singular > 1e-9:
                assert at(claim, singular)
                assert found.lower <= singular <= found.upper
            else:
                assert (claim, found) == ("yes", "yes")


def test_enclosed_singular_values():
    """``|Z S - Z* S|^2 <= 2 N gap``, of a wide certificate; logits without their mean over samples."""
    columns = np.array(andriopoulos2024.TARGETS["few"], dtype=float)
    sizes = np.array([3, 1, 2])
    solution = andriopoulos2024.solved(columns, sizes.tolist(), D(0.2, 0.1, 0.0), "rigorous")
    narrow = solution.certificate
    wide = type("Wide", (), {"lower": narrow.lower - 0.25, "upper": narrow.upper, "level": "rigorous"})
    loose = type("Loose", (), {"program": solution.program, "logits": solution.logits, "certificate": wide})
    found, reach = andriopoulos2024.enclosed_singular(loose)
    logits = np.asarray(solution.logits)
    away = logits - np.average(logits, axis=1, weights=sizes)[:, None]
    exact = np.sqrt(np.maximum(np.linalg.eigvalsh((away * sizes) @ away.T)[::-1], 0.0))[: len(found)]
    assert found == pytest.approx(exact, abs=1e-6)
    assert found.dtype == np.float64
    gap = narrow.upper - wide.lower
    assert reach == pytest.approx(sqrt(2 * 6 * gap) + 1e-11 * (1 + found[0]), rel=1e-13)
    tight = type("Tight", (), {"lower": narrow.lower, "upper": narrow.lower, "level": "rigorous"})
    exactly = type("Exact", (), {"program": solution.program, "logits": solution.logits, "certificate": tight})
    assert andriopoulos2024.enclosed_singular(exactly)[1] == pytest.approx(1e-11 * (1 + found[0]), rel=1e-12)


@pytest.mark.parametrize(
    ("value", "wide", "verdict"),
    [
        (0.0, 0.9e-5, "yes"),
        (0.5e-5, 0.6e-5, "undecided"),
        (1.5e-5, 0.6e-5, "undecided"),
        (2e-5, 0.9e-5, "no"),
        (1.0, 0.1, "no"),
    ],
)
def test_directions_are_called_dead_if_their_enclosure_ends_below_1e_5(monkeypatch, value, wide, verdict):
    """All three directions of the first targets are dead at c = 4.08."""
    monkeypatch.setattr(andriopoulos2024, "enclosed_singular", lambda _: (np.full(3, value), wide))
    (k,) = [k for k, p in enumerate(BOOK["X6"]().grid()) if p.weight * p.features == 4.08]
    heard = claimed(monkeypatch, "X6", k)
    assert heard[1:] == [("yes", verdict)] * 3
    assert heard.margins[1:] == [pytest.approx(abs(1e-5 - value - wide))] * 3


def test_smallest_classes_merge_wherever_there_are_two(monkeypatch):
    """A verdict for every instance with two or more of them, with the margin of its enclosure."""
    for k, p in enumerate(BOOK["X7"]().grid()):
        heard = claimed(monkeypatch, "X7", k)
        smallest = min(p.counts)
        assert len(heard) == 1 + (p.counts.count(smallest) > 1)
        for said, margin in zip(heard[1:], heard.margins[1:], strict=True):
            verdict = "yes" if sqrt(smallest) <= sum(p.counts) * p.decay else "no"
            assert said == (verdict, verdict)
            found = ufm.collapse(SOLVE(heard.problems[0], level="rigorous"))
            assert margin == (found.lower if verdict == "no" else found.tolerance - found.upper)
            assert margin > 0


def test_enclosed_probabilities_contain_the_optimum():
    """Of a coarse solution, those of a fine one."""
    p = zhao2024.Subsets(5, 2, 0.01)
    columns = zhao2024.spread(5, 2, 0)
    problem = ufm.Problem(ufm.TargetTable(columns, [1] * 10), regularizer=D(p.decay, p.decay))
    fine = tables.probabilities(ufm.solve(problem, level="rigorous"))
    solution = ufm.solve(problem)
    coarse = solution.certificate
    wide = type("Coarse", (), {"lower": coarse.lower - 1e-6, "upper": coarse.upper, "level": "float"})
    loose = type("Loose", (), {"program": solution.program, "logits": solution.logits, "certificate": wide})
    low, high = tables.probabilities(loose)
    assert (low <= fine[0]).all()
    assert (fine[1] <= high).all()
    assert (high - low).max() > 10 * (fine[1] - fine[0]).max() > 0
    # q* known: both probabilities of two tokens in one context, by the closed form of X4.
    on = tables.indicator(5, 2) > 0
    low, high = tables.probabilities(zhao2024.uniform(p, "rigorous"))
    t = 0.01 * 4 * sqrt(3)
    assert (low[on] <= (1 - t) / 2 + 1e-15).all()
    assert (high[on] >= (1 - t) / 2 - 1e-15).all()
    assert (high - low).max() < 1e-5


@pytest.mark.parametrize("rounding", [1e-12, 1e-2])
def test_probabilities_are_as_far_as_the_gap_allows(monkeypatch, rounding):
    """Roots of probabilities of a context of share pi differ by ``sqrt(gap / pi)``, and by rounding at each step."""
    monkeypatch.setattr(tables, "ROUNDING", rounding)
    columns = np.array([[0.5, 0.25, 0.125], [0.25, 0.25, 0.125], [0.25, 0.5, 0.75]])
    solution = ufm.solve(ufm.Problem(ufm.TargetTable(columns, [5, 2, 1]), regularizer=D(1e-3, 1e-3)))
    wide = type("Wide", (), {"lower": solution.certificate.upper - 1e-3, "upper": solution.certificate.upper, "level": "float"})
    low, high = tables.probabilities(
        type("Loose", (), {"program": solution.program, "logits": solution.logits, "certificate": wide})
    )
    odds = np.exp(np.asarray(solution.logits))
    root = np.sqrt(odds / odds.sum(axis=0))
    reach = np.sqrt(1e-3 / (np.array([5, 2, 1]) / 8)) * (1 + rounding)
    below, above = np.maximum(root * (1 - rounding) - reach, 0.0), root * (1 + rounding) + reach
    np.testing.assert_allclose(low, below**2 * (1 - rounding), rtol=1e-13)
    np.testing.assert_allclose(high, np.minimum(above**2 * (1 + rounding), 1.0), rtol=1e-13)


def test_bounds_of_vanishing_decay():
    """The dual point and the primal point themselves, by numpy."""
    for p in (zhao2024.Rung(5, 2, 0, 1e-4), zhao2024.Rung(5, 3, 1, 1e-3)):
        v, k, m = p.tokens, p.size, comb(p.tokens, p.size)
        y = zhao2024.spread(v, k, p.seed)
        centred = (y > 0) - k / v
        q = y - p.decay * m * centred / sqrt(comb(v - 2, k - 1))
        assert q.min() > 0
        assert q.sum(axis=0) == pytest.approx(1)
        assert np.linalg.norm((q - y) / m, 2) == pytest.approx(p.decay)
        below, above = zhao2024.SupportPattern.bounds(p)
        assert at(below, -(q * np.log(q)).sum() / m)
        z = log(1 / p.decay) * centred + np.log(np.where(y > 0, y, 1.0))
        loss = (np.log(np.exp(z).sum(axis=0)) - (y * z).sum(axis=0)).mean()
        assert above.upper > loss + p.decay * np.linalg.svd(z - z.mean(axis=0), compute_uv=False).sum()
        assert above.upper - below.lower < 30 * p.decay  # O(mu)


def test_bounds_of_labels_are_as_far_as_the_gap_allows():
    """Half of the squared total variation is at most the divergence; every label within twice its root, and 1e-12."""
    value, labels = li2023.enclosed(li2023.Labels(5, (20, 4), 0.01))
    for label, m, n in zip(labels, (1, 2), (20, 4), strict=True):
        wide = 2 * sqrt(value.width * 140 / (n * comb(5, m) * m)) + 1e-12
        assert (label.upper - label.lower) / 2 == pytest.approx(wide, rel=1e-3)


def test_largest_values_between_bounds():
    found = zhao2024.farthest(np.array([-1.0, 1.0, -0.5]), np.array([-0.5, 2.0, 0.5]), 4.0)
    assert (found.lower, found.upper) == (0.25 * (1 - 1e-12), 0.5 * (1 + 1e-12))
    assert zhao2024.farthest(np.array([-3.0]), np.array([-1.0]), 2.0).upper == 1.5 * (1 + 1e-12)


def test_bounds_of_vanishing_decay_in_full():
    """The upper bound by its formula, and what is added to nu in both."""
    p = zhao2024.Rung(5, 3, 1, 1e-3)
    y = zhao2024.spread(5, 3, 1)
    logs = np.log(y[y > 0])
    entropy, nu = -(y[y > 0] * logs).sum() / 10, 4 * sqrt(comb(3, 2))
    for extra in (0.0, 0.7):
        below, above = zhao2024.SupportPattern.bounds(p, extra)
        nuclear = log(1e3) * (nu + extra) + sqrt(5 * (logs**2).sum())
        assert at(above, entropy + log(1 + 2e-3) + 1e-3 * nuclear)
        assert at(below, zhao2024.SupportPattern.bounds(p)[0].lower + extra * 1e-3 * log(1e3))


def test_claims_of_vanishing_decay_in_full(monkeypatch):
    """Distance of probabilities and least margin against the solution itself."""
    (k,) = [k for k, p in enumerate(BOOK["X5"]().grid()) if p == zhao2024.Rung(5, 2, 0, 1e-3)]
    _, _, (distance, most), (least, narrow) = heard = claimed(monkeypatch, "X5", k)
    y, z = zhao2024.spread(5, 2, 0), np.asarray(SOLVE(heard.problems[0], level="rigorous").logits)
    q = np.exp(z) / np.exp(z).sum(axis=0)
    assert distance.lower <= abs(q - y).max() <= distance.upper < distance.lower + 1e-4
    assert (most.lower, most.upper) == (1e-2 * (1 - 1e-12), 1e-2 * (1 + 1e-12))
    assert at(least, log((0.25 - 1e-2) / 1e-2))
    margin = min(z[y[:, m] > 0, m].min() - z[y[:, m] == 0, m].max() for m in range(10))
    assert narrow.lower <= margin <= narrow.upper < narrow.lower + 1e-2


def test_distances_of_margins_over_the_logarithm_of_the_decay():
    """From one, and from the margins of the even table, by the logits themselves."""
    p, claim = zhao2024.Rung(5, 2, 0, 1e-5), zhao2024.SupportPattern()
    tables_ = [claim.solved(p, "rigorous", even)[1] for even in (False, True)]
    one, other = (np.asarray(s.logits) for s in tables_)
    on = zhao2024.spread(5, 2, 0) > 0

    def margins(z):
        return np.array([a - b for m in range(10) for a in z[on[:, m], m] for b in z[~on[:, m], m]]) / log(1e5)

    for found, exact in (
        (claim.from_one(p, "rigorous"), abs(margins(one) - 1).max()),
        (claim.between(p, "rigorous"), abs(margins(one) - margins(other)).max()),
    ):
        assert found.lower <= exact <= found.upper
        assert found.upper - found.lower < 0.01


def test_ladders_fall_to_less_than_a_third(monkeypatch):
    """The distance from the limit over ``log(1/mu)`` is what a bounded difference leaves."""
    for k, p in enumerate(BOOK["X5"]().grid()):
        if p.decay == 1e-6:
            *_, (between, before), (one, earlier) = claimed(monkeypatch, "X5", k)
            assert between.upper < before.lower < 0.2
            assert one.upper < earlier.lower < 0.35


@pytest.mark.parametrize("level", ["float", "rigorous"])
def test_thresholds_of_tables_from_both_sides(level):
    """Everything is zero two percent above, and not below: X4 and X8."""
    for p in BOOK["X4"]().grid()[-6:]:
        zero = Enclosure.of(zhao2024.uniform(p, level).certificate)
        assert at(zero, log(p.tokens), 1e-9) if p.decay > p.critical else zero.upper < log(p.tokens)
    for p in BOOK["X8"]().grid()[-6:]:
        found = Enclosure.of(li2023.solved(p, level).certificate)
        zero = li2023.all_zero(p)
        assert found.upper >= zero.lower if p.total * p.decay > sqrt(p.effective) else found.upper < zero.lower


def test_grids_reach_the_cases_of_the_claims():
    subsets = BOOK["X4"]().grid()
    assert {p.size for p in subsets} == {2, 3, 4}
    assert {2 * p.size > p.tokens for p in subsets} == {True, False}
    assert {p.decay > p.critical for p in subsets} == {True, False}
    assert {len([n for n in p.sizes if n]) for p in BOOK["X8"]().grid()} == {1, 2, 3, 4}
    joints = BOOK["X12"]().grid()
    assert {p.pairs[1] <= 4 * p.strength**2 for p in joints} == {True, False}
    assert {p.sizes[0] == p.sizes[3] for p in joints} == {True, False}
    assert all(p.pairs[0] > p.pairs[1] and p.pairs[0] > 4 * p.strength**2 for p in joints)
    shapes = {p.targets: p.columns.shape for p in BOOK["X6"]().grid()}
    assert {k < m for k, m in shapes.values()} == {True, False}
    classes = BOOK["X7"]().grid()
    assert {len(set(p.counts)) for p in classes} == {1, 2, 3, 4}
    assert {sqrt(min(p.counts)) <= sum(p.counts) * p.decay for p in classes} == {True, False}
    pairs = [p for p in classes if p.counts.count(min(p.counts)) > 1]
    relative = sorted((sum(p.counts) * p.decay / sqrt(min(p.counts)), len(p.counts)) for p in pairs)
    near = [(value, k) for value, k in relative if 0.9 < value < 1.1]
    assert [k for _, k in near] == [4, 5, 4, 5]
    assert [value for value, _ in near] == pytest.approx([0.99, 0.99, 1.01, 1.01])
    for p in BOOK["X5"]().grid():
        assert p.decay * comb(p.tokens, p.size) < 0.25  # below the least probability


def test_instances_of_several_labels():
    """The two that are tabulated above, and two hundredths on either side of the effective class size."""
    grid = BOOK["X8"]().grid()
    assert grid[:2] == [li2023.Labels(5, (20, 4), 0.01), li2023.Labels(6, (3, 10), 0.005)]
    relative = [p.total * p.decay / sqrt(p.effective) for p in grid]
    assert relative[-6:] == pytest.approx([0.98, 1.02] * 3)
    assert all(one[:2] == two[:2] for one, two in zip(grid[-6::2], grid[-5::2], strict=True))
    assert max(relative[:-6]) < 0.5


def test_control_of_x4(heard):
    (wrong, found), (zero, alive) = heard
    assert at(wrong, tokens(5, 2, 0.01, comb(4, 1)))
    assert at(found, tokens(5, 2, 0.01))
    assert at(zero, log(7))
    decay = heard.problems[1].regularizer.weight
    assert decay == pytest.approx(1.02 * 4 / (7 * 6 * sqrt(comb(6, 2))))
    assert at(alive, tokens(7, 3, decay))


def test_control_of_x5(heard):
    """nu of indicators that are not centred; and a context with a third label."""
    (wrong, value), (now, before) = heard
    assert wrong.lower - value.upper == pytest.approx(1e-6 * log(1e6) * 4 * (2 - sqrt(3)), rel=0.1)
    assert now.lower > before.upper > 0.3
    changed = [p.targets.columns for p in heard.problems[2::2]]
    assert all((c > 0).sum() == 21 for c in changed)
    assert [p.regularizer for p in heard.problems] == [D(x, x) for x in (1e-6, 1e-5, 1e-5, 1e-6, 1e-6)]
    assert all(set(p.targets.sizes) == {1} for p in heard.problems)
    kept = zhao2024.spread(5, 2, 0)
    assert all(c[:, 0].tolist() == [0.25, 0.5, 0.25, 0, 0] and (c[:, 1:] == kept[:, 1:]).all() for c in changed)
    assert all((p.targets.columns == kept).all() for p in (heard.problems[0], *heard.problems[1::2]))
    for side, decay, pair in ((before, 1e-5, heard.problems[1:3]), (now, 1e-6, heard.problems[3:5])):
        one, two = (np.asarray(SOLVE(p, level="rigorous").logits) for p in pair)
        moved = one - two
        largest = max(np.ptp([a, b]) for m, y in enumerate(kept.T) for a in moved[y > 0, m] for b in moved[y == 0, m])
        assert side.lower <= largest / log(1 / decay) <= side.upper
        assert side.upper - side.lower < 0.02


def test_control_of_x6(heard):
    (wrong, found), (other, value) = heard
    columns = np.array(andriopoulos2024.TARGETS["cloud"], dtype=float)
    moments = np.linalg.eigvalsh(columns @ columns.T / 9)
    assert at(wrong, np.where(moments > 6, np.sqrt(6 * moments) - 3, moments / 2).sum())
    away = columns - columns.mean(axis=1)[:, None]
    variances = np.linalg.eigvalsh(away @ away.T / 9)
    assert at(found, np.where(variances > 6, np.sqrt(6 * variances) - 3, variances / 2).sum())
    assert at(other, sqrt(0.5) * 3.5 - 0.75)
    assert at(value, sqrt(0.5) * 3 - 0.5 + 0.125)


def test_control_of_x7(heard):
    (wrong, found), decision = heard
    shares = np.array([200, 100, 50, 50]) / 400
    assert at(wrong, (0.01 * np.sqrt(shares) - 5e-5).sum())
    variances = np.linalg.eigvalsh(np.diag(shares) - np.outer(shares, shares))[1:]
    assert at(found, (0.01 * np.sqrt(variances) - 5e-5).sum())
    assert decision == ("yes", "no")
    assert heard.problems[1].regularizer.weight * 400 == pytest.approx(0.9 * sqrt(50))
    assert [sorted(p.counts) for p in heard.problems] == [[50, 50, 100, 200]] * 2
    assert heard.margins[1] == ufm.collapse(SOLVE(heard.problems[1], level="rigorous")).lower > 0


def test_control_of_x8(heard):
    (wrong, found), (zero, alive) = heard
    p = li2023.Labels(5, (20, 4), 0.01)

    def one(m, n):
        def value(a):
            loss = n * comb(5, m) * m / 140 * np.log(m + (5 - m) * np.exp(-a))
            return loss + 0.04 * sqrt(n * comb(3, m - 1)) * a

        return minimize_scalar(value, bounds=(0, 40), method="bounded", options={"xatol": 1e-12}).fun

    assert at(wrong, one(1, 20) + one(2, 4))
    assert at(found, li2023.enclosed(p)[0].upper)
    assert at(zero, 180 / 140 * log(5))
    decay = heard.problems[1].regularizer.weight
    assert 140 * decay == pytest.approx(1.02 * sqrt(24))
    assert at(alive, li2023.enclosed(p._replace(decay=decay))[0].upper)


def test_control_of_x12(heard):
    (wrong, found), (labels, angle), decision = heard
    assert at(wrong, pairs(80, 20, 1.0, 0.5), 1e-8)
    assert at(found, pairs(80, 20, 1.0), 1e-8)
    assert at(labels, 60 / 100)
    assert at(angle, 0.49190860, 1e-4)
    assert decision == ("no", "yes")
    assert heard.problems[-1].regularizer.weight * 100 == pytest.approx(sqrt(10 / 1.5))  # l^2 < q = 10 < 2 l^2


def test_twin_of_x4(heard):
    assert all(at(side, tokens(6, 2, 0.02)) for pair in heard[:3] + heard[4:] for side in pair)
    assert all(at(side, tokens(5, 1, 0.03)) for side in heard[3])
    _, moved, counted, each, _, picked = heard.problems
    assert sorted(map(tuple, moved.targets.columns.T)) == sorted(map(tuple, tables.indicator(6, 2).T / 2))
    assert counted.targets.sizes == (4,) * 15
    assert each.regularizer == D(0.02, 0.02, per_class=True)
    assert each.targets.sizes == (9,) * 15
    certificate = SOLVE(picked, level="rigorous").certificate
    assert (heard[4][1].lower, heard[4][1].upper) == (certificate.lower / 2, certificate.upper / 2)
    assert picked.loss == ufm.PickAllLabels()


def test_twin_of_x5(heard):
    one, more, turned = heard.problems
    assert more.targets.sizes == (4,) * 10
    assert more.regularizer.weight * 2 == one.regularizer.weight == 2.0**-12
    assert (one.targets.columns == zhao2024.spread(5, 2, 0)).all()
    assert np.sort(one.targets.columns, axis=None) == pytest.approx(np.sort(turned.targets.columns, axis=None))
    assert not np.array_equal(one.targets.columns, turned.targets.columns)


def test_twin_of_x6(heard):
    base, moved, more, double = heard.problems
    turn = np.linalg.lstsq(base.targets.columns.T - base.targets.columns.mean(axis=1),
                           moved.targets.columns.T - moved.targets.columns.mean(axis=1), rcond=None)[0]  # fmt: skip
    assert turn.T @ turn == pytest.approx(np.eye(4), abs=1e-9)
    assert abs(moved.targets.columns.mean(axis=1) - base.targets.columns.mean(axis=1)).min() > 0
    assert more.targets.sizes == (4,) * 9
    assert double.targets.rows == 8
    assert all(p.regularizer.bias == 0 for p in heard.problems)


def test_twin_of_x7(heard):
    base, more, padded = heard.problems
    assert sorted(more.counts) == [4 * n for n in sorted(base.counts)]
    assert base.regularizer.weight == 2 * more.regularizer.weight
    assert padded.targets.rows == 5
    assert padded.targets.sizes == (200, 100, 50, 50)


def test_twin_of_x8(heard):
    base, moved, more, plain = heard.problems
    assert sorted(base.targets.sizes) == sorted(moved.targets.sizes)
    assert sorted(more.targets.sizes) == [4 * n for n in sorted(base.targets.sizes)]
    assert plain == ufm.Problem([20] * 5, regularizer=D(0.01, 0.01))
    assert heard[0][0] == heard[1][0]


def test_twin_of_x12(heard):
    assert all(at(side, pairs(80, 20, 1.0), 1e-8) for k in (0, 1, 3, 5, 6) for side in heard[k])
    assert all(at(side, 0.49190860, 1e-4) for k in (2, 4) for side in heard[k])
    assert heard.problems[-2].targets.sizes == (150, 39, 1, 10)
    assert heard.problems[-1].regularizer.bias == 0
    base, swapped = heard.problems[:2]
    assert swapped.targets.columns.tolist() == base.targets.columns[[2, 3, 0, 1]].tolist()
    assert base.targets.columns.tolist() != swapped.targets.columns.tolist()


def test_outside_of_x4(heard):
    missing, uneven = heard.problems
    assert missing.targets.contexts == 9
    assert {tuple(sorted(c)) for c in uneven.targets.columns.T.tolist()} == {(0, 0, 0, 0.25, 0.75)}
    assert at(heard[1][1], tokens(5, 2, 0.01))
    assert uneven.targets.columns.tolist() == zhao2024.spread(5, 2, 0).tolist()
    for problem in heard.problems:
        assert set(problem.targets.sizes) == {1}
        assert problem.regularizer == D(0.01, 0.01)
    # Label 2 of {0, 2} and of {2, 3}.
    low, high = tables.probabilities(SOLVE(missing, level="rigorous"))
    labels = [tuple(np.flatnonzero(column).tolist()) for column in missing.targets.columns.T]
    assert (0, 1) not in labels
    ends = {(low[2, m], high[2, m]) for m in (labels.index((0, 2)), labels.index((2, 3)))}
    assert {(side.lower, side.upper) for side in heard[0]} == ends


def test_outside_of_x5(heard):
    full, *_, unequal = heard.problems
    assert full.targets.columns.min() > 0
    assert sum(unequal.targets.sizes) == 100
    assert len(set(unequal.targets.sizes)) == 2
    assert at(heard[0][1], log(6))
    # Log-odds of rows 0 and 2: log 2, log (1/2) and log 6 in the limit; a decay of 1e-6 takes less than a hundredth off.
    assert [sorted(column) for column in full.targets.columns.T.tolist()] == [
        [0.25, 0.25, 0.5],
        [0.25, 0.25, 0.5],
        [0.125, 0.125, 0.75],
    ]
    assert full.targets.sizes == (1, 1, 1)
    assert full.regularizer == D(1e-6, 1e-6)
    odds = heard[0][0]
    assert log(6) - 0.01 < odds.lower < odds.upper < log(6)
    low, high = tables.probabilities(SOLVE(full, level="rigorous"))
    assert odds.lower <= abs(np.log(low[0] / low[2])).max() <= odds.upper
    assert odds.upper - odds.lower < 3 * (np.log(high) - np.log(low)).max()
    assert (unequal.targets.columns == zhao2024.spread(5, 2, 0)).all()
    assert unequal.targets.sizes == (91,) + (1,) * 9
    assert unequal.regularizer.weight == unequal.regularizer.features == pytest.approx(1e-5 / sqrt(10))
    assert heard[1][1] == zhao2024.SupportPattern.bounds(zhao2024.Rung(5, 2, 0, 1e-5))[0]


def test_outside_of_x6(heard):
    without, charged, narrow = heard.problems
    assert [p.regularizer.bias for p in (without, charged, narrow)] == [None, 0.1, 0.0]
    assert narrow.dim == 1
    for problem in heard.problems:
        assert (problem.regularizer.weight, problem.regularizer.features) == (2.0, 3.0 / 9)
        assert problem.targets.sizes == (1,) * 9
        assert problem.targets.columns.tolist() == andriopoulos2024.TARGETS["cloud"]


def test_outside_of_x7(heard):
    without, charged, alone = heard.problems
    assert [p.regularizer.bias for p in (without, charged, alone)] == [None, 0.1, 0.0]
    assert sorted(alone.counts) == [40, 60, 100, 200]
    assert alone.regularizer.weight * 400 == pytest.approx(1.5 * sqrt(40))
    for problem in (without, charged):
        assert sorted(problem.counts) == [50, 50, 100, 200]
        assert problem.regularizer.weight == problem.regularizer.features == 5e-4
    # Half of 40 / 400 times the squared distance of a logit of class 3 is at most the gap; of 60 / 400 for class 2.
    solution = SOLVE(alone, level="rigorous")
    gap, row = solution.certificate.upper - solution.certificate.lower, np.asarray(solution.logits)[3]
    for side, k, n in zip(heard[2], (3, 2), (40, 60), strict=True):
        wide = sqrt(2 * gap / (n / 400)) + 1e-12
        assert (side.lower, side.upper) == pytest.approx((row[k] - wide, row[k] + wide), rel=1e-14)


def test_outside_of_x8(heard):
    (problem,) = heard.problems
    assert sorted(set(problem.targets.sizes)) == [4, 20]
    assert problem.targets.sizes.count(20) == 6
    assert problem.targets.rows == 5
    assert problem.regularizer == D(0.01, 0.01)
    low, high = tables.probabilities(SOLVE(problem, level="rigorous"))
    labels = [tuple(np.flatnonzero(column).tolist()) for column in problem.targets.columns.T]
    ends = {(low[k, m], high[k, m]) for k, m in ((0, labels.index((0, 1))), (2, labels.index((2, 3))))}
    assert {(side.lower, side.upper) for side in heard[0]} == ends
    assert problem.targets.sizes[labels.index((0, 1))] == 20


def test_outside_of_x12(heard):
    biased, dead = heard.problems
    assert biased.targets.sizes == (150, 39, 1, 10)
    assert biased.regularizer.bias == 0
    assert at(heard[0][1], pairs(80, 20, 1.0), 1e-8)
    assert all(at(side, 2 * log(2)) for side in heard[1])
    assert 2 * (dead.regularizer.weight * 25) ** 2 >= 20
    assert dead.targets.sizes == (20, 5, 5, 20)
    assert dead.regularizer.weight * 25 == pytest.approx(4)


def test_one_head_is_told_from_two():
    claim = multitask.TwoTasks.merged
    one, two, wide = Enclosure(1 - 1e-6, 1.0), Enclosure(0.5, 0.6), Enclosure(0.5, 1.0)
    assert claim("", "yes", one, "float").outcome is claim("", "no", two, "float").outcome is Outcome.HOLDS
    assert claim("", "no", one, "float").outcome is claim("", "yes", two, "float").outcome is Outcome.VIOLATED
    assert claim("", "yes", wide, "float").outcome is Outcome.INCONCLUSIVE
    # How far the enclosure is from 1 - 1e-4.
    assert claim("", "no", two, "float").margin == pytest.approx(0.4 - 1e-4)
    assert claim("", "yes", one, "float").margin == pytest.approx(1e-4 - 1e-6)
