"""Weak duality in float64 at slopes of any quality: at most what exact arithmetic makes of the same slopes, and no less.

The exact value is written out class by class with the naive verifier's model: conjugates, norms and residuals.
"""

from __future__ import annotations

import itertools
import sys
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

import ufm
from tests.ufm.certify import naive
from tests.ufm.certify.adversary import problem_data
from ufm.certify import bounds as level_float
from ufm.certify import duality
from ufm.certify.duality import dual_bound, dual_norm, dual_values, zero_bound
from ufm.certify.primal_dual import RECOVERED, inside, loss_above, within
from ufm.certify.witness import dyadic
from ufm.spectral.program import LogitProgram

W, B, CE = ufm.WeightDecay, ufm.NormBudget, ufm.CrossEntropy
ALL = CE(weights=0.5, adjustment=0.5, temperatures=0.3, smoothing=0.1)
COUNTS = ([40, 40, 10, 10, 10], [7, 100, 3], [6, 6, 6], [90, 20, 20], [9, 9, 1, 1])
PROBLEMS: dict[str, dict[str, Any]] = {
    "plain": {"regularizer": W(4e-3, 1e-2)},
    "strong decay": {"regularizer": W(4e-1, 1)},
    "everything": {"regularizer": W(4e-3, 1e-2), "loss": ALL},
    "offsets": {"regularizer": W(4e-3, 1e-2), "loss": CE(adjustment=-2.0)},
    "large offsets": {"regularizer": W(4e-3, 1e-2), "loss": CE(adjustment=-20.0)},
    "bias": {"regularizer": W(4e-3, 1e-2, 1e-2), "loss": ALL},
    "bias, squares": {"regularizer": W(1e-2, 1e-2, 0.1), "loss": ufm.SquaredError()},
    "free bias": {"regularizer": W(4e-3, 1e-2, 0.0)},
    "free bias, everything": {"regularizer": W(4e-3, 1e-2, 0.0), "loss": ALL},
    "free bias, squares": {"regularizer": W(1e-2, 1e-2, 0.0), "loss": ufm.SquaredError()},
    "budget": {"regularizer": B(1, 2)},
    "budget, everything": {"regularizer": B(0.3, 0.2), "loss": ALL},
    "per class": {"regularizer": W(5e-2, 5e-2, per_class=True)},
    "squares": {"regularizer": W(1e-2, 1e-2), "loss": ufm.SquaredError()},
    "squares, budget": {"regularizer": B(0.1, 0.2), "loss": ufm.SquaredError()},
    "layers": {"regularizer": W(1e-2, 1e-2), "head": ufm.Explicit(3)},
    "layers, budget": {"regularizer": B(0.1, 0.2), "head": ufm.Explicit(3)},
    "decayed DEQ": {"regularizer": W(1e-2, 1e-2), "head": ufm.DecayedDEQ(0.1, 0.5)},
    "Frobenius DEQ": {"regularizer": B(0.1, 0.1), "head": ufm.FrobeniusDEQ(0.3)},
    "relu": {"regularizer": W(4e-3, 1e-2), "head": ufm.ReLU()},
    "relu, budget": {"regularizer": B(0.3, 0.2), "head": ufm.ReLU()},
    "etf": {"regularizer": W(1e-2, 1e-2), "head": ufm.FixedETF(2.0)},
    "etf, budget": {"regularizer": B(0.3, 0.2), "head": ufm.FixedETF()},
    "etf on average": {"regularizer": B(0.3, 0.2), "head": ufm.FixedETF(average=True)},
}


def programs(name: str) -> list[tuple[ufm.Problem, LogitProgram]]:
    problems = [ufm.Problem(counts, **PROBLEMS[name]) for counts in COUNTS]
    return [(problem, problem.program()) for problem in problems]


def random_slopes(program: LogitProgram, rng: np.random.Generator, spread: float) -> Any:
    """Slopes in the domain: probabilities near those of zero logits (cross-entropy), any numbers (squares)."""
    others, groups = program.logit_counts, program.groups
    if not program.loss.shift_invariant:
        return spread * rng.standard_normal((groups + 1, groups)) * (others > 0) - 0.2
    floor = program.loss.floor  # type: ignore[attr-defined]
    shares = np.where(others[:-1] > 0, rng.uniform(0.5, 1.0, (groups, groups)), 0.0)
    if isinstance(program.penalty, ufm.spectral.penalties.ColumnPenalty) and program.penalty.nonnegative:
        shares = np.where(others[:-1] > 0, rng.uniform(0.97, 1.0, (groups, groups)), 0.0)
    shares *= spread * (1 - floor * (program.classes - 1)) / (others[:-1] * shares).sum(axis=0)
    slopes = np.zeros_like(others)
    slopes[:-1] = shares
    slopes[-1] = -(others[:-1] * shares).sum(axis=0)
    return slopes


def exact_slopes(model: naive.Model, program: LogitProgram, slopes: Any) -> naive.Matrix:
    """One column for every class; a class's own slope is what the others leave, a free bias is balanced exactly."""
    group, classes = model.group, range(model.K)
    table = [[Fraction(float(v)) for v in row] for row in slopes]
    Y = [[table[-1][group[k]] if j == k else table[group[j]][group[k]] for k in classes] for j in classes]
    if program.loss.shift_invariant:
        for k in classes:
            Y[k][k] = -sum((Y[j][k] for j in classes if j != k), Fraction(0))
    if model.lambda_b == 0:
        total = sum(model.pi)
        rest = [sum(Y[j][k] * model.pi[k] for k in classes) / total for j in classes]
        Y = [[v - rest[j] for v in row] for j, row in enumerate(Y)]
    return Y


def exact_bound(model: naive.Model, Y: naive.Matrix, upper: Any) -> tuple[Any, Any, Any]:
    """What the slopes prove as they are, their norm over the allowed one (0 where nothing limits it), and the value's size."""
    K = model.K
    values = [number(model.pi[k]) * model.conjugate(Y, k) for k in range(K)]
    G = [[number(model.Delta[j] * Y[j][k] * model.pi[k]) / model.s[k] for k in range(K)] for j in range(K)]
    norms = [mpmath.sqrt(sum(G[j][k] ** 2 for j in range(K))) for k in range(K)]
    price, used = mpmath.mpf(0), mpmath.mpf(0)
    if model.head["kind"] == "fixed_etf":
        price += model.etf_price(norms)
    else:
        norm = max(norms) if model.columns else mpmath.svd_r(mpmath.matrix(G), compute_uv=False)[0]
        if model.decay:
            used = norm / model.slope_from_below(upper)
        else:
            price += model.radius() * norm
    if model.lambda_b:
        residual = [model.Delta[j] * sum(Y[j][k] * model.pi[k] for k in range(K)) for j in range(K)]
        price += number(sum(r * r for r in residual) / (2 * model.lambda_b))
    return sum(values) - price, used, sum(abs(v) for v in values) + price


number = naive.number
lower_and_upper = sys.modules["ufm.certify.primal_dual"]


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_bound_is_that_of_exact_arithmetic(name):
    rng = np.random.default_rng(len(name))
    better = 0
    for problem, program in programs(name):
        for spread in (0.01, 0.2, 0.6, 0.97):
            given = random_slopes(program, rng, spread)
            upper = float(np.log(program.classes)) + 0.5
            lower, slopes = dual_bound(program, given, upper)
            zero, _ = zero_bound(program)
            with mpmath.workdps(40):
                model = naive.Model(problem_data(problem))
                Y = exact_slopes(model, program, slopes)
                value, used, size = exact_bound(model, Y, mpmath.mpf(upper))
                assert used <= 1
                assert lower <= max(value, 0), (name, spread)
                if not slopes.any():
                    assert lower == zero
                    assert lower >= value - mpmath.mpf("1e-13") * size
                    continue
                better += 1
                assert lower > zero
                assert lower >= value - mpmath.mpf("1e-12") * size
                # Scaled down only where the norm asks for it, and by no more than that.
                if model.lambda_b != 0:
                    alive = np.where(program.logit_counts > 0, given, 0.0)
                    fraction = float(np.vdot(alive, slopes) / np.vdot(alive, alive))
                    np.testing.assert_allclose(slopes, fraction * alive, rtol=1e-12, atol=1e-15)
                    assert fraction == pytest.approx(1.0, abs=1e-12) or used > 1 - mpmath.mpf("1e-12")
    assert better or name == "squares, budget"


def written_out(program: LogitProgram, table: Any) -> Any:
    """(K, K) matrix of one column for every class, from rows of other classes and the class itself."""
    group = np.repeat(np.arange(program.groups), program.multiplicity.astype(int))
    full = table[:-1][np.ix_(group, group)]
    np.fill_diagonal(full, table[-1][group])
    return full


def priced(program: LogitProgram, table: Any) -> Any:
    """G, class by class."""
    group = np.repeat(np.arange(program.groups), program.multiplicity.astype(int))
    return program.loss.temperature[group][:, None] * written_out(program, table) * (program.share / program.scale)[group]


@pytest.mark.parametrize("name", ["plain", "everything", "bias, squares", "squares, budget", "per class", "etf", "relu"])
@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0])
def test_norms_hold_wherever_rows_are_moved_to(name, size):
    """At least the norm of all matrices within the moves, by at most three times the largest Frobenius norm of a move."""
    rng = np.random.default_rng(3)
    for _, program in programs(name):
        invariant, alive = program.loss.shift_invariant, program.logit_counts > 0
        for trial in range(12):
            slopes = random_slopes(program, rng, 0.5)
            # Either all rows move, or those of one group.
            moved = size * rng.uniform(0.0, 1.0, program.groups) * (trial % 3 == 0 or rng.permutation(program.groups) == 0)
            if trial % 4 == 3:
                slopes = np.where(alive, 1e-12 * slopes, 0.0)
            slopes = np.where(alive, slopes, 0.0)
            if invariant:
                slopes[-1] = -(program.logit_counts[:-1] * slopes[:-1]).sum(axis=0)
            values, copies = dual_values(program, slopes, moved)
            bound = np.sort(np.repeat(values, copies.astype(int)))

            def norms(table: Any, program: Any = program) -> Any:
                """All singular values, or the norms of all columns, in ascending order."""
                G = priced(program, table)
                columns = program.penalty.columns
                return np.sort(np.linalg.norm(G, axis=0) if columns else np.linalg.svd(G, compute_uv=False))

            assert dual_norm(program, slopes) <= bound[-1]
            widest = np.zeros_like(slopes)
            widest[:-1] = np.where(alive[:-1], moved[:, None], 0.0)
            widest[-1] = (program.logit_counts[:-1] * widest[:-1]).sum(axis=0) if invariant else moved
            reach = np.linalg.norm(priced(program, widest))
            assert np.all(bound >= norms(slopes) * (1 - 1e-14) - 1e-14 * bound[-1])
            assert np.all(bound <= norms(slopes) * (1 + 1e-12) + 3 * reach + 1e-13 * bound[-1] + 1e-16)
            for _ in range(6):
                signs = rng.choice([-1.0, 1.0], slopes.shape) if rng.random() < 0.5 else -np.sign(slopes + 1e-300)
                table = slopes + signs * np.where(alive, np.append(moved, [0.0])[:, None], 0.0)
                table[-1] = (
                    -(program.logit_counts[:-1] * table[:-1]).sum(axis=0) if invariant else table[-1] + signs[-1] * moved
                )
                assert np.all(norms(table) <= bound * (1 + 1e-14) + 1e-14 * bound[-1])


@pytest.mark.parametrize("name", ["plain", "everything", "offsets", "large offsets", "squares"])
def test_how_far_the_dual_falls_when_rows_move(name):
    """At most by the tilt, which is no more than a small multiple of the slopes' sizes times the moves."""
    rng = np.random.default_rng(4)
    for _, program in programs(name):
        loss, others = program.loss, program.logit_counts
        for trial in range(8):
            slopes = np.where(others > 0, random_slopes(program, rng, 0.4), 0.0)
            moved = 10.0 ** rng.uniform(-8, -4) * rng.uniform(0.5, 1.0, program.groups)
            if loss.shift_invariant and trial >= 4:
                # Columns that leave almost nothing for the class itself, each as much as it likes.
                floor = loss.floor  # type: ignore[attr-defined]
                left = 10.0 ** -rng.uniform(1, 7, program.groups)
                shares = (slopes[:-1] + floor) * (others[:-1] > 0)
                shares *= (1 - left) / (others[:-1] * shares).sum(axis=0)
                slopes[:-1] = np.where(others[:-1] > 0, shares - floor, 0.0)
                slopes[-1] = -(others[:-1] * slopes[:-1]).sum(axis=0)
                moved *= 1e-6
            moved *= trial % 2 == 0 or rng.permutation(program.groups) == 0
            tilt, before = duality.fall_by_moving(program, slopes, moved), loss.dual(slopes, others)
            largest = np.zeros(program.groups)
            for attempt in range(10):
                table = slopes.copy()
                signs = rng.choice([-1.0, 1.0], program.groups)
                signs = np.ones(program.groups) if attempt < 2 else signs
                table[:-1] += np.where(others[:-1] > 0, (-1) ** attempt * (signs * moved)[:, None], 0.0)
                if loss.shift_invariant:
                    table[-1] = -(others[:-1] * table[:-1]).sum(axis=0)
                else:
                    table[-1] += (-1) ** attempt * signs * moved
                largest = np.maximum(largest, before - loss.dual(table, others))
            assert np.all(largest <= tilt + 1e-13 * (1 + np.abs(before)))
            if loss.shift_invariant:
                shares = loss.probabilities(slopes)  # type: ignore[attr-defined]
                own = 1 - (others[:-1] * shares).sum(axis=0)
                logs = np.where(others[:-1] > 0, 2 - np.log(np.where(others[:-1] > 0, shares, 1.0)), 0.0) - np.log(own)
                offset = np.abs(loss.offset)  # type: ignore[attr-defined]
                limit = 3 * (others[:-1] * moved[:, None] * (logs + offset[:, None] + offset)).sum(axis=0)
            else:
                rows = np.append(moved, moved.max())[:, None]
                limit = 4 * (others * rows * (np.abs(slopes) + 1)).sum(axis=0)
            assert np.all(tilt <= limit)
            twice = duality.fall_by_moving(program, slopes, 2 * moved)
            np.testing.assert_allclose(twice, 2 * tilt, rtol=0.02)


def test_nothing_is_said_where_a_move_may_leave_the_domain():
    """A probability below four times its row's move, or a class of its own below four times the sum of all."""
    _, program = programs("plain")[1]
    m = program.logit_counts[:-1]
    slopes = np.zeros_like(program.logit_counts)
    slopes[:-1] = np.where(m > 0, 0.3, 0.0)
    slopes[-1] = -(m * slopes[:-1]).sum(axis=0)
    assert np.isfinite(duality.fall_by_moving(program, slopes, np.full(3, 0.03))).all()
    assert np.isinf(duality.fall_by_moving(program, slopes, np.full(3, 0.3))).all()
    assert np.isinf(duality.fall_by_moving(program, slopes, np.array([0.2, 0.0, 0.0])))[1:].all()
    slopes[0, 1] = 1e-9
    assert np.isinf(duality.fall_by_moving(program, slopes, np.full(3, 1e-6))).tolist() == [False, True, False]
    slopes[:-1] = np.where(m > 0, 0.4999, 0.0)
    assert np.isinf(duality.fall_by_moving(program, slopes, np.full(3, 1e-3))).all()
    assert np.isfinite(duality.fall_by_moving(program, slopes, np.full(3, 1e-5))).all()


def test_residuals_against_exact_sums():
    """``Delta Y pi`` within the stated error of the exact one, which is a few thousand units of the terms at most."""
    rng = np.random.default_rng(6)
    for name in ("bias", "bias, squares", "free bias, everything"):
        for problem, program in programs(name):
            slopes = np.where(program.logit_counts > 0, random_slopes(program, rng, 0.7), 0.0)
            if program.loss.shift_invariant:
                slopes[-1] = -(program.logit_counts[:-1] * slopes[:-1]).sum(axis=0)
            found, error = duality.bias_residual(program, slopes)
            model = naive.Model(problem_data(problem))
            K, group = range(model.K), model.group
            table = [[Fraction(float(v)) for v in row] for row in slopes]
            for g in range(program.groups):
                j = group.index(g)
                own = table[-1][g]
                if program.loss.shift_invariant:
                    own = -sum((table[group[i]][g] for i in K if i != j), Fraction(0))
                exact = sum(model.pi[k] * table[g][group[k]] for k in K if k != j) + model.pi[j] * own
                # Terms: the row with every column of its own group in full, what of that is too much, the class's own slope,
                # and the slopes of which that is the sum.
                size = sum(model.pi[k] * abs(table[g][group[k]]) for k in K) + model.pi[j] * (abs(table[g][g]) + abs(own))
                if program.loss.shift_invariant:
                    size += model.pi[j] * sum((abs(table[group[i]][g]) for i in K if i != j), Fraction(0))
                assert abs(Fraction(float(found[g])) - model.Delta[j] * exact) <= Fraction(float(error[g]))
                # n units of the sum of their sizes, floors of smoothed probabilities included.
                floor = 2 * model.epsilon / model.K * (sum(model.pi) + model.K * model.pi[j])
                units = 2 * program.groups + 24
                assert error[g] == pytest.approx(units * float(model.Delta[j] * (size + floor)) * 2.0**-53, rel=1e-9, abs=0.0)


def test_balancing_moves_whole_rows():
    """The residual vanishes, by one shift for each row, and only where no probability leaves [0, 1]."""
    rng = np.random.default_rng(7)
    seen = set()
    for name in ("free bias", "free bias, everything", "free bias, squares"):
        for _, program in programs(name):
            for spread in (0.1, 0.3, 0.6, 0.95, 0.9999):
                slopes = np.where(program.logit_counts > 0, random_slopes(program, rng, spread), 0.0)
                if spread == 0.3 and program.loss.shift_invariant:
                    slopes[0, -1] = 0.0  # a class that gets nothing in one column cannot give it back
                    slopes[-1] = -(program.logit_counts[:-1] * slopes[:-1]).sum(axis=0)
                residual, _ = duality.bias_residual(program, slopes)
                found = duality.balanced_slopes(program, slopes, residual)
                shift = residual / program.loss.temperature / program.mass.sum()
                moved = np.where(program.logit_counts[:-1] > 0, slopes[:-1] - shift[:, None], 0.0)
                if program.loss.shift_invariant:
                    p = np.where(program.logit_counts[:-1] > 0, program.loss.probabilities(moved_rows(moved)), 0.0)  # type: ignore[attr-defined]
                    fits = p.min() >= 0 and (program.logit_counts[:-1] * p).sum(axis=0).max() <= 1
                    seen.add(fits)
                    assert (found is not None) == fits
                if found is not None:
                    np.testing.assert_allclose(found[:-1], moved, atol=1e-16)
                    rest, _ = duality.bias_residual(program, found)
                    assert np.all(np.abs(rest) <= 1e-15)
    assert seen == {True, False}


def test_shifts_that_leave_the_domain_in_one_column_only():
    """A probability below zero, or others above one together, in the first column and nowhere else."""
    program = ufm.Problem(COUNTS[1], regularizer=W(4e-3, 1e-2, 0.0)).program()
    shares = np.array([[0.0, 0.1, 0.1], [0.01, 0.0, 0.1], [0.98, 0.1, 0.0]])
    slopes = np.vstack([shares, -shares.sum(axis=0)])
    for row, shift, fits in ((1, 0.009, True), (1, 0.011, False), (2, -0.009, True), (2, -0.011, False)):
        residual = np.zeros(3)
        residual[row] = shift
        assert (duality.balanced_slopes(program, slopes, residual) is not None) == fits


@pytest.mark.parametrize("name", ["free bias", "free bias, everything", "free bias, squares"])
def test_what_is_left_of_the_residual_moves_norms_and_values(monkeypatch, name):
    """Rows move by what is left of the residual and its error, over temperature and weight; scaled with the slopes."""
    seen: dict[str, list[Any]] = {"norms": [], "values": []}
    norms, value = duality.dual_values, duality.dual_value

    def of_norms(program, slopes, moved=None):
        seen["norms"].append((slopes, moved))
        return norms(program, slopes, moved)

    def of_values(program, slopes, moved=None):
        seen["values"].append((slopes, moved))
        return value(program, slopes, moved)

    monkeypatch.setattr(duality, "dual_values", of_norms)
    monkeypatch.setattr(duality, "dual_value", of_values)
    scaled = set()
    for _, program in programs(name):
        for spread in (1e-3, 0.3):
            slopes = np.where(program.logit_counts > 0, random_slopes(program, np.random.default_rng(2), spread), 0.0)
            if program.loss.shift_invariant:
                slopes[-1] = -(program.logit_counts[:-1] * slopes[:-1]).sum(axis=0)
            seen["norms"].clear()
            seen["values"].clear()
            if duality.bound_at(program, slopes, 1.0) is None:
                continue
            (balanced, moved), (kept, moved_with) = seen["norms"][0], seen["values"][0]
            rest, error = duality.bias_residual(program, balanced)
            expected = (np.abs(rest) + error) / program.loss.temperature / program.mass.sum()
            np.testing.assert_allclose(moved, expected, rtol=1e-12)
            fraction = float(np.vdot(balanced, kept) / np.vdot(balanced, balanced))
            np.testing.assert_allclose(moved_with, fraction * expected, rtol=1e-12)
            scaled.add(fraction < 0.999)
    assert True in scaled


def moved_rows(rows: Any) -> Any:
    return np.vstack([rows, np.zeros(rows.shape[1])])


def test_columns_that_repel_in_floats():
    """Accepted only if all inner products of columns of distinct classes are at most zero, and if they are clearly below."""
    rng = np.random.default_rng(8)
    seen = set()
    for _ in range(300):
        m = rng.integers(1, 4, size=int(rng.integers(1, 4)))
        if m.sum() < 2:
            continue
        counts = np.repeat(10 * (len(m) - np.arange(len(m))), m).tolist()
        program = ufm.Problem(counts, regularizer=W(4e-3, 1e-2), head=ufm.ReLU()).program()
        slopes = np.zeros((len(m) + 1, len(m)))
        low = int(rng.choice([0, 6, 12]))
        slopes[:-1] = np.where(program.logit_counts[:-1] > 0, rng.integers(low, 17, (len(m), len(m))) / 256, 0.0)
        slopes[-1] = -(program.logit_counts[:-1] * slopes[:-1]).sum(axis=0)
        inner = written_out(program, slopes).T @ written_out(program, slopes)  # exact: integers over 2**16
        largest = inner[~np.eye(len(inner), dtype=bool)].max()
        found = duality.repelling(program, slopes)
        assert found == (largest < 0) or (largest == 0 and not found) or not slopes.any()
        seen.add(found)
    assert seen == {True, False}


class Bare:
    """A loss that does not bound its own rounding errors, and of its domain says nothing."""

    def __init__(self, loss: Any, *hidden: str) -> None:
        self.loss, self.hidden = loss, ("encloses", *hidden)

    def __getattr__(self, name: str) -> Any:
        return False if name in self.hidden else getattr(self.loss, name)


@pytest.mark.parametrize("name", ["plain", "everything", "bias", "free bias", "squares", "free bias, squares", "budget"])
def test_losses_that_do_not_bound_themselves(name):
    """Bounds a little weaker than those of the loss that does, by rounding errors of sums as long as its columns."""
    from dataclasses import replace

    rng = np.random.default_rng(9)
    for problem, program in programs(name):
        bare = replace(program, loss=Bare(program.loss))  # type: ignore[arg-type]
        solution = ufm.solve(problem)
        size = solution.certificate.upper
        for spread in (0.01, 0.3):
            lower, _ = dual_bound(program, random_slopes(program, np.random.default_rng(1), spread), size)
            weaker, _ = dual_bound(bare, random_slopes(program, np.random.default_rng(1), spread), size)
            assert lower - 1e-11 * max(size, 1.0) <= weaker <= lower
        sharp, rough = (level_float(p, solution.factors) for p in (solution.program, replace(solution.program, loss=bare.loss)))
        if solution.program.groups == bare.groups:
            assert sharp.upper <= rough.upper <= sharp.upper + 1e-11 * size
            assert sharp.lower >= rough.lower
            assert rough.value == pytest.approx(sharp.value, rel=1e-14)
    if name == "free bias":
        # Where probabilities are not known, slopes that are moved prove nothing but what zero proves.
        silent = replace(program, loss=Bare(program.loss, "has_probabilities"))  # type: ignore[arg-type]
        slopes = random_slopes(program, rng, 0.3)
        assert dual_bound(program, slopes, 1.0)[0] > 0
        assert dual_bound(silent, slopes, 1.0)[0] == 0


@pytest.mark.parametrize("name", ["plain", "squares", "budget", "layers", "free bias"])
def test_slopes_that_are_no_numbers(name):
    for _, program in programs(name):
        slopes = random_slopes(program, np.random.default_rng(1), 0.3)
        zero, none = zero_bound(program)
        assert not none.any()
        assert zero >= 0
        for value in (np.nan, np.inf, -np.inf):
            wrong = slopes.copy()
            wrong[0, -1] = value
            assert dual_bound(program, wrong, 1.0)[0] == zero
            assert dual_bound(program, slopes, value)[0] == zero
        huge = dual_bound(program, 1e130 * slopes, 1.0)
        # Scaled down where a norm is allowed, too large for any budget.
        assert huge[0] == zero if name == "budget" else zero <= huge[0] < 1
        # Slopes of classes that are not there do not matter.
        spoilt = np.where(program.logit_counts > 0, slopes, 0.7)
        assert dual_bound(program, spoilt, 1.0)[0] == dual_bound(program, slopes, 1.0)[0]


def test_what_rounding_may_have_done_to_values_and_norms():
    """Sums of pi d within their allowance, which is some ten units at least; norms at least as many units above exact ones."""
    rng = np.random.default_rng(13)
    unit = mpmath.mpf(2) ** -53
    for name in ("plain", "everything", "offsets", "squares", "per class", "relu", "etf"):
        for problem, program in programs(name):
            slopes = np.where(program.logit_counts > 0, random_slopes(program, rng, 0.6), 0.0)
            if program.loss.shift_invariant:
                slopes[-1] = -(program.logit_counts[:-1] * slopes[:-1]).sum(axis=0)
            total, slack = duality.dual_value(program, slopes)
            with mpmath.workdps(40):
                model = naive.Model(problem_data(problem))
                Y, K = exact_slopes(model, program, slopes), range(model.K)
                parts = [number(model.pi[k]) * model.conjugate(Y, k) for k in K]
                size = sum(abs(v) for v in parts)
                # The loss's own bounds are below its values already.
                assert total - slack <= sum(parts) - 10 * unit * size
                assert total + 1e-13 * size >= sum(parts)
                assert 16 * unit * size * (1 - mpmath.mpf("1e-12")) <= slack <= 200 * unit * size
                G = [[number(model.Delta[j] * Y[j][k] * model.pi[k]) / model.s[k] for k in K] for j in K]
                if model.columns:
                    exact = [
                        mpmath.sqrt(sum(G[j][k] ** 2 for j in K)) for k in (model.group.index(g) for g in range(program.groups))
                    ]
                else:
                    exact = [mpmath.svd_r(mpmath.matrix(G), compute_uv=False)[0]]
                values = dual_values(program, slopes)[0] if model.columns else [dual_norm(program, slopes)]
                for found, true in zip(values, exact, strict=True):
                    assert true * (1 + 16 * unit) <= found <= true * (1 + 1000 * unit)


@pytest.mark.parametrize(("units", "accepted"), [(20, False), (0, False), (-30, False), (-400, True)])
def test_inner_products_below_zero_by_less_than_rounding_are_not_accepted(units, accepted):
    """Columns ``(-p-x, p, x)`` and ``(q, -q-r, r)`` have the inner product ``x (r - q) - p (2 q + r)``.

    It is set to some units of the sum of absolute products, ``(p + x) q + p (q + r) + x r``.
    """
    program = ufm.Problem([40, 20, 10], regularizer=W(4e-3, 1e-2), head=ufm.ReLU()).program()
    p, q, r = 0.02, 0.1, 0.3
    x = p * (2 * q + r) / (r - q)
    size = (p + x) * q + p * (q + r) + x * r
    x += units * 2.0**-53 * size / (r - q)
    for a, b, c in itertools.permutations(range(3)):
        slopes = np.zeros((4, 3))
        slopes[b, a], slopes[c, a], slopes[a, b], slopes[c, b] = p, x, q, r
        slopes[a, c] = slopes[b, c] = 0.2  # repels both others
        slopes[-1] = -slopes[:-1].sum(axis=0)
        assert duality.repelling(program, slopes) == accepted


@pytest.mark.parametrize(("units", "accepted"), [(-80, False), (-1000, True)])
def test_the_room_of_inner_products_grows_with_the_groups(units, accepted):
    """As above, among thirty groups of which only three have slopes: 2 G + 32 = 92 units."""
    program = ufm.Problem(list(range(100, 70, -1)), regularizer=W(4e-3, 1e-2), head=ufm.ReLU()).program()
    p, q, r = 0.02, 0.1, 0.3
    x = p * (2 * q + r) / (r - q)
    size = (p + x) * q + p * (q + r) + x * r
    slopes = np.zeros((31, 30))
    slopes[1, 0], slopes[2, 0], slopes[0, 1], slopes[2, 1] = p, x + units * 2.0**-53 * size / (r - q), q, r
    slopes[-1] = -slopes[:-1].sum(axis=0)
    assert duality.repelling(program, slopes) == accepted


@pytest.mark.parametrize(("units", "accepted"), [(30, False), (400, True)])
def test_the_room_of_inner_products_with_classes_of_one_group(units, accepted):
    """A class gives w to its twin, x and z to the others; the second group q to either twin and r to the third.

    The inner product is ``z (r - q) - x (3 q + r)``; its terms, with twins in full: ``3 w q + |own| q + (2 q + r) x + z r``.
    """
    program = ufm.Problem([40, 40, 20, 10], regularizer=W(4e-3, 1e-2), head=ufm.ReLU()).program()
    w, z, q, r = 0.3, 0.1, 0.1, 0.3
    x = z * (r - q) / (3 * q + r)
    size = 3 * w * q + (w + x + z) * q + (2 * q + r) * x + z * r
    x += units * 2.0**-53 * size / (3 * q + r)
    slopes = np.zeros((4, 3))
    slopes[:-1] = [[w, q, 0.2], [x, 0.0, 0.2], [z, r, 0.0]]
    slopes[-1] = -(program.logit_counts[:-1] * slopes[:-1]).sum(axis=0)
    assert duality.repelling(program, slopes) == accepted


def test_columns_that_leave_nothing_for_the_class_itself():
    """All probability on others: scaled down by a few units, the bound is that of the entropy of the others."""
    for _, program in programs("budget"):
        slopes = np.zeros_like(program.logit_counts)
        slopes[:-1] = np.where(program.logit_counts[:-1] > 0, 1.0 / (program.classes - 1), 0.0)
        tiny = ufm.Problem(COUNTS[1], regularizer=B(1e-9, 1e-9)).program()
        lower, kept = dual_bound(program if program.groups != 3 else tiny, slopes, 1.0)
        if program.groups == 3:
            assert lower == pytest.approx(np.log(2.0), rel=1e-7)
            assert np.all(kept <= slopes)
            np.testing.assert_allclose(kept[:-1], slopes[:-1], rtol=1e-12)


@pytest.mark.parametrize("name", PROBLEMS)
def test_slopes_of_zero_prove_what_zero_proves(name):
    for _, program in programs(name):
        none = np.zeros_like(program.logit_counts)
        lower, slopes = dual_bound(program, none, 1.0)
        assert lower == zero_bound(program)[0]
        assert not slopes.any()


@pytest.mark.parametrize("column", [0, 1, 2])
def test_one_column_that_leaves_nothing_for_its_class(column):
    """As where all columns do: the bound is that of the entropies, here of one half and one half, and of thirds."""
    program = ufm.Problem(COUNTS[1], regularizer=B(1e-9, 1e-9)).program()
    shares = np.where(program.logit_counts[:-1] > 0, 1 / 3, 0.0)
    shares[:, column] = np.where(program.logit_counts[:-1, column] > 0, 0.5, 0.0)
    lower, _ = dual_bound(program, np.vstack([shares, -shares.sum(axis=0)]), 1.0)
    entropies = np.where(np.arange(3) == column, np.log(2.0), np.log(3.0))
    assert lower == pytest.approx(float(program.mass @ entropies), rel=1e-7)


def test_the_largest_inner_product_with_a_ball():
    """Caps: the sum of column norms; a root of squares: their Euclidean norm; else the largest norm; times the radius."""
    penalties = ufm.spectral.penalties
    norms, m = np.array([3.0, 4.0]), np.array([1.0, 2.0])
    for penalty, expected in (
        (penalties.ColumnPenalty("caps", 2.0, 2), 2 * (3 + 8)),
        (penalties.ColumnPenalty("ball", 2.0, 2), 2 * np.sqrt(9 + 32)),
        (penalties.ColumnPenalty("ball", 2.0, 1, True), 8),
        (penalties.NuclearBall(3.0), 12),
    ):
        assert penalty.support(norms, m) == pytest.approx(expected, rel=1e-15)


# Both bounds at factors


def moved_factors(program: LogitProgram, rng: np.random.Generator, size: float) -> Any:
    """Random factors of logits of about that size."""
    groups, rank = program.groups, int(rng.integers(0, program.groups + 2))
    bias = rng.standard_normal(groups) if program.bias_decay is not None else np.zeros(groups)
    return ufm.spectral.program.Factors(
        size * rng.standard_normal(groups) * (program.contrast_counts > 0),
        np.sqrt(size) * rng.standard_normal((groups, rank)),
        np.sqrt(size) * rng.standard_normal((rank, groups)),
        size * bias,
    )


@pytest.mark.parametrize("name", [n for n in PROBLEMS if n not in ("strong decay", "offsets")])
def test_both_bounds_at_any_factors(name):
    """The upper bound is the exact objective there, rounded up by little; the value lies between both bounds."""
    rng = np.random.default_rng(11)
    for problem, program in programs(name):
        for size in (1e-3, 0.3, 5.0):
            factors = moved_factors(program, rng, size)
            found = level_float(program, factors)
            with mpmath.workdps(40):
                model = naive.Model(problem_data(problem))
                exact = model.objective({part: dyadic(getattr(factors, part)) for part in factors._fields})
                assert exact <= found.upper * (1 + mpmath.mpf("1e-13"))
                assert found.upper <= exact * (1 + mpmath.mpf("3e-12"))
                if model.decay:
                    assert exact * (1 + mpmath.mpf(16) * mpmath.mpf(2) ** -53) <= found.upper
                    assert abs(found.value / exact - 1) <= 1e-13
            assert found.lower <= found.value <= found.upper
            assert found.slopes.shape == program.logit_counts.shape


@pytest.mark.parametrize("what", ["contrast", "left", "bias"])
@pytest.mark.parametrize("name", ["bias", "bias, squares", "plain", "squares"])
def test_the_upper_bound_has_room_for_rounding_in_every_term(name, what):
    """Where one term is all that there is, the bound is at least twenty units above it, and at most some thousands."""
    rng = np.random.default_rng(14)
    for problem, program in programs(name):
        if (what == "bias") > (program.bias_decay is not None):
            continue
        factors = moved_factors(program, rng, 1.0)
        factors = factors._replace(
            **{part: 0 * getattr(factors, part) for part in ("contrast", "left", "bias") if part != what}
        )
        factors = factors._replace(**{what: 1e3 * getattr(factors, what)})
        found = level_float(program, factors)
        with mpmath.workdps(40):
            model = naive.Model(problem_data(problem))
            exact = model.objective({part: dyadic(getattr(factors, part)) for part in factors._fields})
            unit = mpmath.mpf(2) ** -53
            assert exact * (1 + 20 * unit) <= found.upper <= exact * (1 + 10000 * unit)


@pytest.mark.parametrize(
    "name", ["budget", "squares, budget", "layers, budget", "Frobenius DEQ", "etf, budget", "etf on average"]
)
def test_factors_are_scaled_into_their_ball(name):
    """Factors beyond it end inside, in exact arithmetic, and by no more than some hundred units."""
    rng = np.random.default_rng(15)
    for problem, program in programs(name):
        for _ in range(4):
            factors = inside(program, moved_factors(program, rng, 300.0))
            with mpmath.workdps(40):
                model = naive.Model(problem_data(problem))
                lengths = exact_lengths(model, program, factors)
                size = model.charge().total(lengths)
                assert 1 - mpmath.mpf("1e-12") <= size <= 1 - 10 * mpmath.mpf(2) ** -53


def exact_lengths(model: naive.Model, program: LogitProgram, factors: Any) -> list[Any]:
    """What the charge acts on, class by class."""
    x, left, right, _ = (dyadic_values(getattr(factors, part)) for part in factors._fields)
    group, K = model.group, range(model.K)
    m = [group.count(g) for g in group]
    if model.columns:
        Z = [
            [
                sum((left[group[j]][i] * right[i][group[k]] for i in range(len(right))), Fraction(0))
                + (x[group[k]] * ((j == k) - Fraction(1, m[k])) if group[j] == group[k] else 0)
                for k in K
            ]
            for j in K
        ]
        return [model.s[k] * mpmath.sqrt(number(sum(Z[j][k] ** 2 for j in K))) for k in K]
    lengths = []
    for g in range(program.groups):
        k = group.index(g)
        lengths += [model.s[k] * abs(number(x[g]))] * (m[k] - 1)
    for i in range(len(right)):
        w = sum(left[group[j]][i] ** 2 for j in K)
        h = sum(model.s_squared[k] * right[i][group[k]] ** 2 for k in K)
        lengths.append(mpmath.sqrt(number(w * h)))
    return lengths


def dyadic_values(array: Any) -> Any:
    return [dyadic_values(v) for v in array] if np.ndim(array) else Fraction(float(array))


def test_values_are_moved_between_their_bounds_and_bounds_that_cross_are_refused():
    assert within(1.0, 1.5, 2.0) == 1.5
    assert within(1.0, 0.5, 2.0) == 1.0
    assert within(1.0, 2.5, 2.0) == 2.0
    assert within(1.0, 0.5, 1.0) == 1.0
    with pytest.raises(ufm.ConvergenceError, match="contradict each other"):
        within(np.nextafter(1.0, 2.0), 1.0, 1.0)


@pytest.mark.parametrize("name", ["plain", "squares", "layers", "bias"])
def test_factors_beyond_float64_bound_nothing_from_above(name):
    for _, program in programs(name):
        factors = moved_factors(program, np.random.default_rng(1), 1.0)
        huge = factors._replace(contrast=1e200 * factors.contrast, bias=1e200 * np.ones(program.groups))
        if program.loss.shift_invariant and program.bias_decay is None:
            huge = huge._replace(contrast=np.full(program.groups, np.inf))
        found = level_float(program, huge)
        assert found.upper == np.inf
        assert found.lower >= zero_bound(program)[0]


UNIT = 2.0**-30
"""A unit so large that the room for rounding can be seen, and all real rounding is far below it."""


@pytest.fixture
def coarse(monkeypatch):
    """Bounds as if floats had thirty binary digits."""
    for module in (duality, lower_and_upper):
        monkeypatch.setattr(module, "UNIT", UNIT)
        monkeypatch.setattr(module, "gamma", lambda n: n * UNIT / (1 - n * UNIT))


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("name", ["plain", "everything", "squares", "bias"])
@pytest.mark.parametrize("alone", [False, True])
def test_logits_that_parameters_may_have_are_below_the_upper_bound(name, alone):
    """Factors are recovered by parameters up to 24 units of each logit's terms: losses there stay below the bound."""
    rng = np.random.default_rng(12)
    for _, program in programs(name):
        for size in (0.3, 3.0, 20.0):
            factors = moved_factors(program, rng, size)
            if alone:
                factors = factors._replace(
                    left=factors.left[:, :0], right=factors.right[:0], bias=0 * factors.bias, contrast=np.abs(factors.contrast)
                )
            logits = program.spread(program.point(factors))
            columns = program.loss.columns(logits, program.logit_counts)
            above = loss_above(program, factors, logits, columns.values, columns.gradient)
            # All terms of a logit at their largest: its own size times the relative error.
            temperature = program.loss.temperature
            terms = np.abs(factors.left) @ np.abs(factors.right) + np.abs(factors.bias)[:, None]
            reach = (
                RECOVERED
                * UNIT
                * np.vstack([temperature[:, None] * terms, temperature * (np.diag(terms) + np.abs(factors.contrast))])
            )
            signs = np.ones_like(reach)
            signs[-1] = -1.0
            if not program.loss.shift_invariant:
                signs = np.sign(columns.gradient)
            there = float(program.mass @ program.loss.columns(logits + signs * reach, program.logit_counts).values)
            assert there <= above


def widened(program: LogitProgram, slopes: Any) -> Any:
    """First-order growth, in units, of what `dual_values` gives: slopes are off by 8 units of themselves (and of two floors).

    A class's own slope is a sum of the G others (G + 8 more) or is off by 8 itself; sums and factors of G have 2 G + 16, a
    singular value 4 G + 32, and differences of two slopes 2 (block sums 4) of their sizes.
    """
    G, m, others = program.groups, program.multiplicity, program.logit_counts[:-1]
    invariant, temperature, column = program.loss.shift_invariant, program.loss.temperature, program.share / program.scale
    own, other, within = slopes[-1], slopes[:-1], np.diag(slopes[:-1])
    size = np.abs(other) + 2 * float(getattr(program.loss, "floor", 0.0))
    own_error = (others * (G + 16) * size).sum(axis=0) if invariant else 8 * np.abs(own)
    if isinstance(program.penalty, ufm.spectral.penalties.ColumnPenalty):
        square = own**2 + (others * other**2).sum(axis=0)
        moved = (np.abs(own) * own_error + (others * np.abs(other) * 8 * size).sum(axis=0)) / square
        return np.sqrt(square) * column, moved + 2 * G + 16
    root = np.sqrt(m)
    core, error = root[:, None] * other * root, root[:, None] * 8 * size * root
    off = 1 - np.eye(G)
    np.fill_diagonal(core, own + (m - 1) * within)
    block = (off * m[:, None] * (G + 16) * size).sum(axis=0)
    if not invariant:
        block = 12 * ((m - 1) * np.abs(within) + np.abs(own))
    np.fill_diagonal(error, block)
    scale = temperature[:, None] * column
    largest = np.linalg.norm(scale * core, 2)
    contrast = np.where(m > 1, np.abs(own - within) * temperature * column, 0.0)
    h = int(contrast.argmax())
    if contrast[h] > largest:
        there = own_error[h] + 8 * size[h, h] + 2 * (np.abs(own) + np.abs(within))[h]
        return contrast[h : h + 1], np.array([there / np.abs(own - within)[h] + 2 * G + 16])
    return np.array([largest]), np.array([4 * G + 32 + np.linalg.norm(scale * error) / largest + 2 * G + 16])


ROOMY = ["budget", "budget, everything", "squares, budget", "relu, budget", "etf", "etf, budget", "etf on average", "plain"]


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("name", [*ROOMY, "everything", "squares", "bias"])
def test_the_room_for_rounding_in_a_lower_bound(name):
    """Prices have the room of the norms and that of a sum, values that of a sum, and four units both together."""
    rng = np.random.default_rng(16)
    scaled = False
    for problem, program in programs(name):
        G, penalty, m = program.groups, program.penalty, program.multiplicity
        for spread in (0.05, 0.5):
            given = np.where(program.logit_counts > 0, random_slopes(program, rng, spread), 0.0)
            found = duality.bound_at(program, given, 1.0)
            assert found is not None
            with mpmath.workdps(30):
                model = naive.Model(problem_data(problem))
                Y = exact_slopes(model, program, found[1])
                lower, used, _ = exact_bound(model, Y, mpmath.mpf(1))
                parts = [number(model.pi[k]) * model.conjugate(Y, k) for k in range(model.K)]
            value, price, room = float(sum(parts)), float(sum(parts) - lower), float(lower) - found[0]
            norms, grown = widened(program, given)
            if penalty.columns and penalty.kind == "price":
                relative = 2 * (m * norms**2 * grown).sum() / (m * norms**2).sum()
            elif penalty.columns and penalty.kind == "caps":
                relative = (m * norms * grown).sum() / (m * norms).sum()
            elif penalty.columns and penalty.power == 2:
                relative = (m * norms**2 * grown).sum() / (m * norms**2).sum()
            else:
                relative = grown[int(norms.argmax())]
            expected = (G + 16) * float(sum(abs(v) for v in parts)) + 4 * abs(value)
            if name == "bias":
                # The residual is off by 2 G + 24 units of its terms, at least of itself; its square by twice that.
                assert room >= UNIT * (expected + (G + 20 + 2 * (2 * G + 24)) * price) * 0.999
                continue
            expected += (relative + G + 20) * price
            assert room == pytest.approx(expected * UNIT, rel=2e-3)
            if used and used > 0.99:
                scaled = True
                assert 1 - used == pytest.approx((relative + G + 16) * UNIT, rel=2e-3)
    assert scaled == (name in ("plain", "everything", "squares")), name


@pytest.mark.usefixtures("coarse")
def test_the_room_for_rounding_in_an_upper_bound():
    """Where the loss vanishes: the price's accuracy, twice ``4 (r + G) + 24`` of its lengths, and four of the whole."""
    problem = ufm.Problem([6, 6, 6], regularizer=W(4e-3, 1e-2))
    program = problem.program()
    for rank in (0, 1, 3):
        factors = ufm.spectral.program.Factors(np.array([80.0]), np.zeros((1, rank)), np.zeros((rank, 1)), np.zeros(1))
        found = level_float(program, factors)
        singular, copies = program.lengths(factors)
        price = program.penalty.value(singular, copies)
        room = 2 * (4 * (rank + 1) + 24) + program.penalty.accuracy(singular) + 4
        assert found.upper - price == pytest.approx(room * UNIT * price, rel=1e-4)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("name", ["budget", "layers, budget", "Frobenius DEQ", "etf, budget"])
def test_the_room_for_rounding_in_a_ball(name):
    """Scaled to ``(1 - 8 u) / (1 + slack)`` with the gauge's accuracy and G + 16 units."""
    rng = np.random.default_rng(17)
    for _, program in programs(name):
        factors = moved_factors(program, rng, 300.0)
        lengths = program.lengths(factors)
        slack = program.groups + 16 + program.penalty.accuracy(lengths[0])
        size = program.penalty.gauge(*program.lengths(inside(program, factors)))
        assert 1 - size == pytest.approx((slack + 8) * UNIT, rel=1e-3)
