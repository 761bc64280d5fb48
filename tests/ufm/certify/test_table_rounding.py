"""Each rounding term of a table's float bounds against the formula that docs/theory, Proposition 11.3 states.

Units are made as large as 2^-16 here, so that every term can be seen, and all real rounding is far below it. What is exact is
computed in fractions and in many digits, entry by entry.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import ufm
from tests.ufm.tables import naive_loss
from ufm import TargetTable
from ufm.certify import tables
from ufm.certify.tables import (
    bias_residual,
    fall_by_moving,
    program_norm,
    reach_of,
    table_bounds,
    table_inside,
    table_lower,
)
from ufm.spectral.table_loss import LogisticLoss, SoftmaxLoss, target_error
from ufm.spectral.table_program import TableFactors, TableProgram

UNIT = 2.0**-16
SOFT = [[0.5, 0.2, 1, 0.1, 0.0], [0.3, 0.3, 0, 0.4, 0.25], [0.2, 0.5, 0, 0.5, 0.75]]
SETS = [[1, 0, 1, 0, 1], [0, 1, 1, 0, 1], [1, 1, 0, 1, 0.0]]
PARTS = [[0.5, 0.25, 1.0], [0.5, 0.75, 0.0], [0.125, 0.5, 0.25], [0.875, 0.0, 0.25], [0.0, 0.5, 0.5]]
REAL = [[1.5, -0.5, 0.25, 3.0], [-2.0, 0.75, 1.0, 0.0], [0.5, 0.5, -1.25, 2.0]]
TABLES = {
    "ce": TargetTable(SOFT, [2, 3, 4, 1, 7]),
    "pal": TargetTable(SETS, [2, 3, 4, 1, 7]),
    "multitask:2,3": TargetTable(PARTS, [4, 2, 9]),
    "bce": TargetTable(PARTS, [4, 2, 9]),
    "mse": TargetTable(REAL, [2, 5, 1, 3]),
}
LOSSES = tuple(TABLES)
W, B = ufm.WeightDecay, ufm.NormBudget
BIASES = {"none": None, "decayed": 0.07, "free": 0.0}


def built(loss: str, bias: float | None = None, decay: float = 0.05, **options: Any) -> tuple[ufm.Problem, TableProgram]:
    problem = ufm.Problem(TABLES[loss], regularizer=W(decay, decay, bias, **options), loss=loss)
    return problem, problem.program()  # type: ignore[return-value]


def budgeted(loss: str, budget: float) -> tuple[ufm.Problem, TableProgram]:
    problem = ufm.Problem(TABLES[loss], regularizer=B(budget, budget), loss=loss)
    return problem, problem.program()  # type: ignore[return-value]


def inner_slopes(program: TableProgram, rng: np.random.Generator, part: float = 0.5) -> Any:
    """Slopes in the domain: a part of the way to uniform probabilities with some noise; any numbers for squared error."""
    loss, shape = program.loss, program.loss.target.shape
    if loss.quadratic:
        return part * rng.standard_normal(shape)
    q = rng.uniform(0.4, 0.6, shape)
    for start, stop in loss.blocks:
        q[start:stop] /= q[start:stop].sum(axis=0)
    return loss.feasible(part * (q - loss.target))


def shares(loss: str) -> list[Fraction]:
    """``w_m n_m / N`` exactly."""
    table = TABLES[loss]
    labels = table.columns.sum(axis=0).tolist() if loss == "pal" else [1.0] * table.contexts
    return [Fraction(w) * n / table.total for w, n in zip(labels, table.sizes, strict=True)]


def blocks(loss: str) -> list[range]:
    return {"ce": [range(3)], "pal": [range(3)], "multitask:2,3": [range(2), range(2, 5)]}.get(loss, [])


def pivot(loss: str, block: range, m: int) -> int:
    """The row of a block with the largest target."""
    return max(block, key=lambda k: TABLES[loss].columns[k, m])


def exact(loss: str, slopes: Any) -> list[list[Fraction]]:
    """The witness: all rows but the pivots as they are, pivots minus the sums of the others of their block."""
    found = [[Fraction(float(v)) for v in row] for row in slopes]
    for block in blocks(loss):
        for m in range(len(found[0])):
            k = pivot(loss, block, m)
            found[k][m] = -sum((found[i][m] for i in block if i != k), Fraction(0))
    return found


def exact_target(loss: str, k: int, m: int) -> Fraction:
    columns = TABLES[loss].columns
    for block in blocks(loss):
        if k in block:
            return Fraction(columns[k, m]) / sum(Fraction(columns[i, m]) for i in block)
    return Fraction(columns[k, m])


def number(value: Fraction) -> Any:
    return mp.mpf(value.numerator) / value.denominator


def entropies(loss: str, slopes: list[list[Fraction]]) -> list[Any]:
    """Minus the conjugate of each context."""
    rows, columns = range(len(slopes)), range(len(slopes[0]))

    def term(q: Fraction) -> Any:
        assert 0 <= q <= 1
        return -number(q) * mp.log(number(q)) if q else mp.mpf(0)

    found = []
    for m in columns:
        s = [slopes[k][m] for k in rows]
        y = [exact_target(loss, k, m) for k in rows]
        if loss == "mse":
            found.append(number(-sum(v * v for v in s) / 2 - sum(a * b for a, b in zip(s, y, strict=True))))
        elif loss == "bce":
            found.append(sum(term(a + b) + term(1 - a - b) for a, b in zip(s, y, strict=True)))
        else:
            found.append(sum(term(a + b) for a, b in zip(s, y, strict=True)))
    return found


def exact_norm(loss: str, slopes: list[list[Fraction]], scale: Any) -> Any:
    """Largest singular value of ``slopes diag(pi) S^{-1}``, with the columns' scales squared (exact)."""
    pi = shares(loss)
    rows, columns = range(len(slopes)), range(len(slopes[0]))
    G = mp.matrix([[number(slopes[k][m] * pi[m]) / mp.sqrt(scale[m]) for m in columns] for k in rows])
    return mp.svd_r(G, compute_uv=False)[0]


def own_gamma(terms: float) -> float:
    return terms * UNIT / (1 - terms * UNIT)


@pytest.fixture
def coarse(monkeypatch):
    """Bounds as if floats had sixteen binary digits; the losses' own bounds keep theirs."""
    monkeypatch.setattr(tables, "UNIT", UNIT)
    monkeypatch.setattr(tables, "gamma", own_gamma)
    monkeypatch.setattr(tables, "target_error", lambda loss: own_gamma(loss.target.shape[0] + 4))


# Residuals and what moves them


@pytest.mark.parametrize("loss", LOSSES)
def test_residuals_against_exact_sums(loss):
    """Within the stated error, which is K + M + 24 units of all terms: slopes, and in pivots' rows what pivots are sums of."""
    _, program = built(loss, 0.07)
    rng = np.random.default_rng(1)
    for part in (1e-3, 0.4, 0.9):
        slopes = inner_slopes(program, rng, part)
        found, error = bias_residual(program, slopes)
        witness, pi = exact(loss, slopes), shares(loss)
        for k, row in enumerate(witness):
            size = sum(abs(Fraction(float(v))) * p for v, p in zip(slopes[k], pi, strict=True))
            for block in blocks(loss):
                for m, p in enumerate(pi):
                    if pivot(loss, block, m) == k:
                        size += p * sum(abs(Fraction(float(slopes[i, m]))) for i in block)
            assert abs(Fraction(float(found[k])) - sum(v * p for v, p in zip(row, pi, strict=True))) <= Fraction(
                float(error[k])
            )
            units = program.rows + program.contexts + 24
            assert error[k] == pytest.approx(units * 2.0**-53 * float(size), rel=1e-12, abs=0.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_pivot_moves_with_its_whole_block(loss):
    _, program = built(loss)
    moved = np.arange(1.0, program.rows + 1)
    found = reach_of(program, moved)
    assert found.shape == program.loss.target.shape
    for m in range(program.contexts):
        expected = moved.copy()
        for block in blocks(loss):
            expected[pivot(loss, block, m)] = sum(moved[k] for k in block)
        assert found[:, m].tolist() == expected.tolist()


@pytest.mark.parametrize("loss", LOSSES)
def test_how_far_entropies_fall_when_rows_move(loss):
    """At most by the bound, whose terms are those of Proposition 11.4, with one part in a hundred on top."""
    _, program = built(loss, 0.0)
    rng, pi = np.random.default_rng(2), shares(loss)
    for size in (1e-9, 1e-4, 3e-3):
        slopes = inner_slopes(program, rng)
        moved = size * rng.uniform(0.5, 1.0, program.rows)
        moved[rng.integers(program.rows)] = 0.0
        bound = fall_by_moving(program, slopes, moved)
        q = slopes + program.loss.target
        expected = 0.0
        for m in range(program.contexts):
            for k in range(program.rows):
                own = [block for block in blocks(loss) if pivot(loss, block, m) == k]
                reach = sum(moved[i] for i in own[0]) if own else moved[k]
                if loss == "mse":
                    expected += float(pi[m]) * reach * (abs(slopes[k, m]) + abs(program.loss.target[k, m]) + reach)
                elif reach:
                    inner = min(q[k, m], 1 - q[k, m]) if loss == "bce" else q[k, m]
                    expected += float(pi[m]) * reach * (2 - np.log(inner - 2 * reach))
        assert bound == pytest.approx(1.01 * expected, rel=1e-12)
        with mp.workdps(40):
            witness = exact(loss, slopes)
            before = sum(number(p) * d for p, d in zip(pi, entropies(loss, witness), strict=True))
            for _ in range(6):
                shift = [Fraction(float(v)) for v in moved * rng.choice([-1.0, 1.0], program.rows)]
                there = [[v + shift[k] for v in row] for k, row in enumerate(witness)]
                for block in blocks(loss):
                    for m in range(program.contexts):
                        k = pivot(loss, block, m)
                        there[k][m] = -sum(there[i][m] for i in block if i != k)
                after = sum(number(p) * d for p, d in zip(pi, entropies(loss, there), strict=True))
                assert before - after <= bound


@pytest.mark.usefixtures("coarse")
def test_nothing_is_said_where_a_move_may_leave_the_domain():
    """A probability (or what is left of it to one) up to four times its move, and four errors of its target."""
    program = built("bce", 0.0)[1]
    target = program.loss.target.copy()
    target[0, 0] = 0.5
    program = replace(program, loss=LogisticLoss(target, program.loss.weight))
    slopes = np.where(target == 0, 0.25, 0.0) - np.where(target == 1, 0.25, 0.0)
    error = 4 * (own_gamma(program.rows + 4) + UNIT) * 0.5
    for far in (False, True):
        for move in (1e-3, 1e-7):
            for factor in (0.9999, 1.0, 1.0001):
                q = (4 * move + error) * factor
                slopes[0, 0] = (1 - q if far else q) - 0.5
                moved = np.zeros(program.rows)
                moved[0] = move
                if factor == 1.0:
                    continue
                assert np.isfinite(fall_by_moving(program, slopes, moved)) == (factor > 1)
    # Exactly at four times the move nothing is said either.
    target[0, 0] = 0.0
    slopes[0, 0] = 2.0**-6
    moved[0] = 2.0**-8
    assert fall_by_moving(replace(program, loss=LogisticLoss(target, program.loss.weight)), slopes, moved) == np.inf
    # Rows that do not move may have a probability of zero.
    slopes[0, 0], moved[0] = 0.0, 0.0
    moved[1] = 1e-6
    assert np.isfinite(fall_by_moving(replace(program, loss=LogisticLoss(target, program.loss.weight)), slopes, moved))
    softmax = built("ce", 0.0)[1]
    slopes = inner_slopes(softmax, np.random.default_rng(3))
    assert np.isinf(fall_by_moving(softmax, slopes, np.full(3, 0.1)))
    # A probability of almost one is far from the ends of its domain in a softmax.
    loss = SoftmaxLoss(np.array([[0.999, 0.3], [0.0005, 0.4], [0.0005, 0.3]]), np.ones(2), ((0, 3),))
    softmax = replace(softmax, sizes=(3, 2), scale=np.ones(2), loss=loss)
    moved = np.array([1e-6, 1e-6, 1e-6])
    q = softmax.loss.target
    reach = np.array([[3e-6, 1e-6], [1e-6, 3e-6], [1e-6, 1e-6]])
    expected = 1.01 * ((reach * (2 - np.log(q - 2 * reach))).sum(axis=0) @ [0.6, 0.4])
    with pytest.MonkeyPatch.context() as fine:
        fine.setattr(tables, "UNIT", 2.0**-53)
        fine.setattr(tables, "target_error", target_error)
        assert fall_by_moving(softmax, np.zeros((3, 2)), moved) == pytest.approx(expected, rel=1e-12)


# Norms


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_norms_are_those_of_the_exact_witness_rounded_up(loss, bias):
    problem, program = built(loss, BIASES[bias])
    rng = np.random.default_rng(4)
    for part in (1e-6, 0.5):
        slopes = inner_slopes(program, rng, part)
        if bias == "free":
            _, slopes = table_lower(program, slopes)
            slopes = slopes if slopes.any() else program.loss.feasible(np.zeros_like(slopes))
        with mp.workdps(40):
            true = exact_norm(loss, exact(loss, slopes), [Fraction(n) for n in problem.targets.sizes])
        found = program_norm(program, slopes)
        assert (
            true * (1 + mp.mpf(2) ** -48) <= found <= true * (1 + mp.mpf("1e-12")) + mp.mpf("1e-12") * (bias == "free") + 1e-150
        )


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_room_of_a_norm(monkeypatch, loss, bias):
    """``4 max(K, M) + 32`` units, the Frobenius norm of all entries' errors, underflow, and what is left of a free residual."""
    tiny = 1e-3
    monkeypatch.setattr(tables, "ROOT_TINY", tiny)
    problem, program = built(loss, BIASES[bias])
    K, M = program.rows, program.contexts
    slopes = inner_slopes(program, np.random.default_rng(5))  # with a residual, which is never so large otherwise
    pi = [float(p) for p in shares(loss)]
    column = [p / n**0.5 for p, n in zip(pi, problem.targets.sizes, strict=True)]
    error = [[own_gamma(12) * abs(slopes[k, m]) for m in range(M)] for k in range(K)]
    for block in blocks(loss):
        for m in range(M):
            error[pivot(loss, block, m)][m] += own_gamma(len(block) + 4) * sum(abs(slopes[k, m]) for k in block)
    moves = sum((e * c) ** 2 for row in error for e, c in zip(row, column, strict=True)) ** 0.5
    room = moves * (1 + own_gamma(K * M + 8)) + (K + M) * tiny
    if bias == "free":
        rest, unsure = bias_residual(program, slopes)
        moved = sum(((abs(r) + e) / sum(pi) * (1 + 8 * UNIT)) ** 2 for r, e in zip(rest, unsure, strict=True)) ** 0.5
        room += moved * sum(c * c for c in column) ** 0.5 * (1 + own_gamma(K + M + 8))
    sigma = float(np.linalg.norm(slopes * column, 2))
    expected = sigma * (1 + (4 * max(K, M) + 32) * UNIT) + room
    assert program_norm(program, slopes) == pytest.approx(expected, rel=1e-12)


# Lower bounds


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_lower_bound_is_that_of_exact_arithmetic(loss, bias):
    """At most what the returned slopes prove exactly, and by no more than 1e-11 of it less."""
    for decay in (1e-6, 0.05, 0.4):
        problem, program = built(loss, BIASES[bias], decay)
        for part in (0.01, 0.5):
            found, slopes = table_lower(program, inner_slopes(program, np.random.default_rng(6), part))
            with mp.workdps(40):
                witness, pi = exact(loss, slopes), shares(loss)
                rest = [sum(v * p for v, p in zip(row, pi, strict=True)) for row in witness]
                if bias == "free":
                    witness = [[v - rest[k] / sum(pi) for v in row] for k, row in enumerate(witness)]
                value = sum(number(p) * d for p, d in zip(pi, entropies(loss, witness), strict=True))
                norm = exact_norm(loss, witness, [Fraction(n) for n in problem.targets.sizes])
                assert norm <= mp.mpf(decay)
                if bias == "decayed":
                    value -= number(sum(r * r for r in rest) / (2 * Fraction(0.07)))
                assert found <= value
                assert found >= value - mp.mpf("1e-11") * (1 + abs(value))


def own_lower(loss: str, program: TableProgram, slopes: Any) -> tuple[float, float]:
    """The stated bound at feasible slopes, and what is taken off for the norm, with coarse units.

    Values are exact, less ``M + 24`` units of their sizes; prices have ``K + M + 16`` more; both together four.
    """
    K, M, pi = program.rows, program.contexts, [float(p) for p in shares(loss)]
    with mp.workdps(40):
        values = [float(d) for d in entropies(loss, exact(loss, slopes))]
    value = sum(p * d for p, d in zip(pi, values, strict=True))
    value -= own_gamma(M + 24) * sum(p * abs(d) for p, d in zip(pi, values, strict=True))
    price = 0.0
    if program.penalty.ball:
        price = program.penalty.radius * program_norm(program, slopes)  # type: ignore[attr-defined]
    if program.bias_decay is not None:
        rest, unsure = bias_residual(program, slopes)
        if program.bias_decay:
            price += sum((abs(r) + e) ** 2 for r, e in zip(rest, unsure, strict=True)) / (2 * program.bias_decay)
        else:
            moved = (np.abs(rest) + unsure) / sum(pi) * (1 + 8 * UNIT)
            value -= fall_by_moving(program, slopes, moved)
    return value - price * (1 + own_gamma(K + M + 16)) - 4 * UNIT * (abs(value) + price), price


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_room_of_a_lower_bound_under_decay(loss, bias):
    """The slopes as they are where their norm is small, else scaled to eight units below the strength, and four more."""
    seen = set()
    for decay in (0.01, 0.4):
        _, program = built(loss, BIASES[bias], decay)
        for part in (0.02, 0.1, 0.4):
            given = inner_slopes(program, np.random.default_rng(7), part)
            if bias == "free":
                given = given - (given @ program.share / program.share.sum())[:, None]
                q = given + program.loss.target
                if not program.loss.quadratic and not (q > 0.01).all():
                    continue
                if loss == "bce" and not (q < 0.99).all():
                    continue
                given = program.loss.feasible(given)
            found, slopes = table_lower(program, given)
            norm = program_norm(program, given)
            fraction = min(1.0, decay / (norm * (1 + 8 * UNIT)))
            expected = given if fraction == 1 else given * (fraction * (1 - 4 * UNIT))
            if not slopes.any():
                # Nothing but what slopes of zero prove: these are worse.
                assert own_lower(loss, program, expected)[0] <= found
                continue
            np.testing.assert_allclose(slopes, expected, rtol=1e-12, atol=1e-16)
            assert found == pytest.approx(own_lower(loss, program, slopes)[0], rel=1e-12, abs=1e-15)
            seen.add(fraction < 1)
    assert seen == {False, True} or loss == "mse" or bias == "free"
    assert seen


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("loss", LOSSES)
def test_the_room_of_a_lower_bound_under_budgets(loss):
    """Slopes are not scaled; the price is the radius times the norm."""
    seen = 0
    for budget in (1e-3, 0.05, 0.3):
        _, program = budgeted(loss, budget)
        given = inner_slopes(program, np.random.default_rng(8), 0.3)
        if loss == "mse":
            given = -0.3 * program.loss.target
        for decay in (None, 7.0):  # no regularizer has a budget and a decay of the bias, but a program may
            there = replace(program, bias_decay=decay)
            found, slopes = table_lower(there, given)
            expected, price = own_lower(loss, there, given)
            if slopes.any():
                assert price > 0
                assert slopes.tolist() == program.loss.feasible(given).tolist()
                assert found == pytest.approx(expected, rel=1e-12)
                seen += decay is not None
            else:
                assert found >= expected
    assert seen


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("loss", LOSSES)
def test_what_slopes_of_zero_prove(loss):
    """Entropies of the targets less M + 24 units; that is also what comes of slopes that are no numbers."""
    _, program = built(loss, 0.07)
    none = np.zeros_like(program.loss.target)
    with mp.workdps(40):
        value = float(sum(number(p) * d for p, d in zip(shares(loss), entropies(loss, exact(loss, none)), strict=True)))
    expected = value * (1 - own_gamma(program.contexts + 24))
    assert loss == "mse" or value > 0 or loss == "pal"
    for wrong in (np.nan, np.inf, -np.inf):
        spoilt = inner_slopes(program, np.random.default_rng(9))
        spoilt[-1, 0] = wrong
        found, slopes = table_lower(program, spoilt)
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-300)
        assert slopes.shape == none.shape
        assert not slopes.any()
    # Slopes that prove less than these are not returned.
    poor = 1e3 * np.ones_like(none) if loss == "mse" else program.loss.feasible(-1e-3 * np.sign(0.5 - program.loss.target))
    if loss in ("mse", "bce"):
        found, slopes = table_lower(program, poor)
        assert not slopes.any()
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-300)


def test_one_hot_targets_prove_zero_from_slopes_of_zero():
    """Never below zero for losses that are never negative, however large the units."""
    for loss in ("ce", "bce"):
        problem = ufm.Problem(TargetTable(np.eye(3)[:, :2], [3, 2]), regularizer=W(0.05, 0.05), loss=loss)
        lower, slopes = table_lower(problem.program(), np.full((3, 2), np.nan))  # type: ignore[arg-type]
        assert lower == 0.0
        assert not slopes.any()
    program = built("mse")[1]
    assert table_lower(program, np.zeros((3, 4)))[0] == 0.0
    # Nor below zero for targets that are almost one-hot, or almost uniform.
    for small in (1e-300, 1e-17, 1e-3, 0.49999, 0.5):
        target = np.array([[1 - small, small], [small, 1 - small]])
        for form in (SoftmaxLoss(target, np.ones(2), ((0, 2),)), LogisticLoss(target, np.ones(2))):
            assert (form.below(np.zeros((2, 2))) >= 0).all()


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_norms_that_rounding_leaves_above_the_strength(monkeypatch, loss):
    """After scaling: a little smaller once, by 1e-13 of themselves, where eight units below the strength are not reached."""
    strength, true = 0.004, program_norm
    _, program = built(loss, None, strength)
    given = inner_slopes(program, np.random.default_rng(10), 0.3)
    norm = true(program, given)
    assert norm > 2 * strength
    scaled = given * (strength / (norm * (1 + 8 * UNIT)) * (1 - 4 * UNIT))
    edge = strength * (1 - 8 * UNIT)
    above, below = edge * (1 + 1e-12), edge * (1 - 1e-12)
    for after, again, expected in ((below, None, scaled), (above, below, scaled * (1 - 1e-13)), (above, above, None)):
        answers = iter([norm, after, again])
        seen = []

        def stated(program: Any, slopes: Any, answers: Any = answers, seen: Any = seen) -> float:
            seen.append(slopes)
            return next(answers)

        monkeypatch.setattr(tables, "program_norm", stated)
        _, slopes = table_lower(program, given)
        if expected is None:
            assert not slopes.any()
        else:
            np.testing.assert_allclose(slopes, expected, rtol=2e-15)
        assert len(seen) == (2 if again is None else 3)
    # Where nothing was scaled, a norm that is not below the strength proves nothing.
    monkeypatch.setattr(tables, "program_norm", lambda program, slopes: edge * (1 + 1e-12) if fixed else edge * (1 - 1e-9))
    for fixed in (True, False):
        _, slopes = table_lower(program, program.loss.feasible(1e-3 * given))
        assert slopes.any() != fixed


# Residuals that are taken off


def without_residual(loss: str, program: TableProgram, slopes: Any) -> Any:
    """Row means off; then the least mixture with the mean target's slopes that brings every probability to its room."""
    weight = np.array([float(p) for p in shares(loss)])
    moved = slopes - (slopes @ weight / weight.sum())[:, None]
    if loss == "mse":
        return moved, 0.0
    mean = program.loss.target @ weight / weight.sum()
    _, error = bias_residual(program, moved)
    reach = reach_of(program, error / weight.sum())
    part = 0.0
    for k in range(program.rows):
        for m in range(program.contexts):
            target = program.loss.target[k, m]
            room = 16 * reach[k, m] + 16 * (own_gamma(program.rows + 4) + UNIT) * target
            q = moved[k, m] + target
            ends = [(q, mean[k])] if loss != "bce" else [(q, mean[k]), (1 - q, 1 - mean[k])]
            for at, goal in ends:
                if at < room:
                    part = max(part, (room - at) / (goal - at) if goal > at else 1.0)
    part = min(1.0, part * (1 + 1e-9))
    return (1 - part) * moved + part * (mean[:, None] - program.loss.target), part


def first_slopes(program: TableProgram, given: Any) -> Any:
    """Slopes without their residual, as the conjugate's domain is asked for first."""
    seen = []
    feasible = type(program.loss).feasible

    def first(self: Any, slopes: Any) -> Any:
        seen.append(slopes.copy())
        return feasible(self, slopes)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(program.loss), "feasible", first)
        table_lower(program, given)
    return seen[0]


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("loss", LOSSES)
def test_slopes_without_a_residual(loss):
    """Row means off, and the least mixture with the mean target, whatever becomes of the slopes afterwards."""
    _, program = built(loss, 0.0)
    parts = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        given = inner_slopes(program, rng, (0.3, 0.9, 1.0)[seed % 3])
        if seed >= 6 and loss != "mse":
            # A probability near the lower end, and one near the upper.
            q = given + program.loss.target
            k, m = int(rng.integers(program.rows)), int(rng.integers(program.contexts))
            q[k, m] = 0.001 if seed % 2 else 0.999
            given = program.loss.feasible(q - program.loss.target)
        first = first_slopes(program, given)
        expected, part = without_residual(loss, program, given)
        parts.append(part)
        np.testing.assert_allclose(first, expected, rtol=0, atol=1e-14)
        np.testing.assert_allclose(first @ program.share, 0.0, atol=1e-14)
    assert loss == "mse" or (min(parts) == 0 and 0 < sorted(parts)[-2] < 1)


@pytest.mark.usefixtures("coarse")
def test_probabilities_above_one_are_mirror_images_of_those_below_zero():
    """Shares 1/4 and 3/4, mean target 0.3: slopes 0.099 and -0.05 have the mean -0.01275, so that q is 1.01175."""
    program = built("bce", 0.0)[1]
    target, slopes = np.array([[0.9, 0.1], [0.5, 0.25]]), np.array([[0.099, -0.05], [0.0, 0.0]])
    found = []
    for mirrored in (False, True):
        loss = LogisticLoss(1 - target if mirrored else target, np.ones(2))
        there = replace(program, sizes=(1, 3), scale=np.ones(2), loss=loss)
        found.append(first_slopes(there, -slopes if mirrored else slopes))
    moved = np.array([[0.11175, -0.03725], [0.0, 0.0]])
    _, error = bias_residual(there, moved)
    # The target of the mirror image is smaller, and so is the room for its error.
    rooms = [16 * error[0] + 16 * (own_gamma(6) + UNIT) * y for y in (0.9, 1 - 0.9)]
    for sign, room, slope in zip((1, -1), rooms, found, strict=True):
        part = (0.01175 + room) / (1.01175 - 0.3) * (1 + 1e-9)
        expected = (1 - part) * moved + part * (np.array([[0.3], [0.3125]]) - target)
        np.testing.assert_allclose(sign * slope, expected, atol=1e-14)


@pytest.mark.usefixtures("coarse")
def test_probabilities_of_almost_one_are_moved_in_one_vs_rest_only():
    """In a softmax the others' lower ends are all that matters."""
    target = np.array([[0.999, 0.0005], [0.0005, 0.999], [0.0005, 0.0005]])
    softmax, rest = built("ce", 0.0)[1], built("bce", 0.0)[1]
    for program, loss in ((softmax, SoftmaxLoss(target, np.ones(2), ((0, 3),))), (rest, LogisticLoss(target, np.ones(2)))):
        there = replace(program, sizes=(1, 1), scale=np.ones(2), loss=loss)
        assert first_slopes(there, np.zeros((3, 2))).any() == (program is rest)


@pytest.mark.usefixtures("coarse")
def test_a_mean_target_inside_of_the_room_is_taken_as_it_is():
    """A label so rare that its mean is below the error of a context's target: the mixture is the mean target's slopes alone."""
    target = np.array([[0.5, 1e-9, 0.0], [0.5, 0.25, 0.75]])
    program = built("bce", 0.0)[1]
    for flip in (False, True):
        loss = LogisticLoss(1 - target if flip else target, np.ones(3))
        there = replace(program, sizes=(1, 10000, 10000), scale=np.ones(3), loss=loss)
        mean = loss.target @ there.share
        first = first_slopes(there, np.array([[1e-4 - 0.5, 0, 0], [0.1, 0.0, -0.1]]) * (-1 if flip else 1))
        np.testing.assert_allclose(first, mean[:, None] - loss.target, rtol=1e-12, atol=1e-18)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_left_of_a_residual_moves_the_values(monkeypatch, loss):
    """Rows move by what is left of the residual and its error, over the weight, and eight units more."""
    _, program = built(loss, 0.0, 0.5)
    seen = []

    def stated(program: Any, slopes: Any, moved: Any) -> float:
        seen.append((slopes, moved))
        return 0.0

    monkeypatch.setattr(tables, "fall_by_moving", stated)
    table_lower(program, inner_slopes(program, np.random.default_rng(11), 0.1))
    ((slopes, moved),) = seen
    rest, error = bias_residual(program, slopes)
    expected = (np.abs(rest) + error) / float(sum(shares(loss))) * (1 + 8 * UNIT)
    np.testing.assert_allclose(moved, expected, rtol=1e-12)


# Upper bounds


def random_factors(program: TableProgram, rng: np.random.Generator, size: float, rank: int) -> TableFactors:
    bias = rng.standard_normal(program.rows) if program.bias_decay is not None else np.zeros(program.rows)
    left, right = rng.standard_normal((program.rows, rank)), rng.standard_normal((rank, program.contexts))
    return TableFactors(size**0.5 * left, size**0.5 * right, size * bias)


def objective(problem: ufm.Problem, loss: str, factors: TableFactors) -> tuple[Any, Any, Any]:
    """Loss, penalty and bias decay at the factors."""
    left, right, bias = (np.array(part, dtype=object) * mp.mpf(1) for part in factors)
    logits = (left @ right + bias[:, None]).tolist()
    table, decay = problem.targets, problem.regularizer
    value = naive_loss(table, loss, logits, mp.log, mp.exp)
    squares = [1] * table.contexts if isinstance(decay, B) else table.sizes
    lengths = [
        mp.sqrt(sum(v * v for v in left[:, i]) * sum(n * v * v for n, v in zip(squares, right[i], strict=True)))
        for i in range(left.shape[1])
    ]
    if isinstance(decay, B):
        return value, sum(lengths, mp.mpf(0)), mp.mpf(0)
    return value, mp.mpf(decay.mu) * sum(lengths, mp.mpf(0)), mp.mpf(decay.bias or 0) / 2 * sum(b * b for b in bias)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_upper_bound_is_the_objective_rounded_up(loss, bias):
    problem, program = built(loss, BIASES[bias])
    for seed, size in enumerate((1e-3, 0.3, 4.0, 30.0)):
        factors = random_factors(program, np.random.default_rng(seed), size, seed)
        found = table_bounds(program, factors)
        with mp.workdps(40):
            value = sum(objective(problem, loss, factors))
            assert value * (1 + mp.mpf(20) * mp.mpf(2) ** -53) <= found.upper <= value * (1 + mp.mpf("1e-11"))
            assert abs(found.value / value - 1) < 1e-13
        assert found.lower <= found.value <= found.upper


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_room_of_an_upper_bound(loss, bias):
    """Logits off by r + 24 units of their terms, M + 24 of the mean, prices with their own, and four of the whole."""
    problem, program = built(loss, BIASES[bias])
    K, M = program.rows, program.contexts
    for rank, size in ((0, 1.0), (1, 0.01), (3, 2.0)):
        factors = random_factors(program, np.random.default_rng(rank), size, rank)
        terms = [
            [sum(abs(factors.left[k, i] * factors.right[i, m]) for i in range(rank)) + abs(factors.bias[k]) for m in range(M)]
            for k in range(K)
        ]
        radius = own_gamma(rank + 24) * np.array(terms)
        logits = factors.left @ factors.right + factors.bias[:, None]
        above = sum(float(p) * v for p, v in zip(shares(loss), program.loss.above(logits, radius), strict=True))
        with mp.workdps(40):
            price, own = (float(v) for v in objective(problem, loss, factors)[1:])
        relative = 4 * (rank + K + M) + 24
        expected = above * (1 + own_gamma(M + 24)) + price * (1 + (2 * relative + rank + 4) * UNIT)
        expected += own * (1 + relative * UNIT)
        found = table_bounds(program, factors)
        assert found.upper == pytest.approx(expected * (1 + 4 * UNIT), rel=1e-12)
        # Logits of recovered parameters, all at their largest error, have no larger loss.
        for signs in (np.sign(program.loss.probabilities(logits) - program.loss.target), -np.ones_like(logits)):
            there = program.loss.values(logits + 24 * UNIT * np.array(terms) * signs)
            assert float(program.share @ there) <= found.upper - price - own
        slopes = program.loss.probabilities(logits) - program.loss.target
        lower, kept = table_lower(program, slopes)
        assert found.lower == lower
        assert found.slopes.tolist() == kept.tolist()


@pytest.mark.usefixtures("coarse")
def test_the_upper_bound_under_budgets_has_no_price():
    problem, program = budgeted("ce", 0.3)
    factors = random_factors(program, np.random.default_rng(1), 0.01, 2)
    radius = own_gamma(26) * (np.abs(factors.left) @ np.abs(factors.right))
    above = float(program.share @ program.loss.above(program.logits(factors), radius))
    found = table_bounds(program, factors)
    assert found.upper == pytest.approx(above * (1 + own_gamma(program.contexts + 24)) * (1 + 4 * UNIT), rel=1e-12)
    with mp.workdps(40):
        assert found.value == pytest.approx(float(objective(problem, "ce", factors)[0]), rel=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_factors_beyond_float64_bound_nothing_from_above(loss):
    _, program = built(loss, 0.07)
    factors = random_factors(program, np.random.default_rng(1), 1.0, 2)
    for scale in (1e160, 1e300):
        found = table_bounds(program, factors._replace(left=scale * factors.left, right=scale * factors.right))
        assert found.upper == np.inf
        assert found.lower >= table_lower(program, np.full_like(program.loss.target, np.nan))[0]
        assert np.isfinite(found.slopes).all()


# Balls


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_factors_are_scaled_into_their_ball(loss):
    """To ``(1 - 8 u) / (1 + slack)`` of it, both factors alike, with K + M + 16 units and the gauge's r + 4 of slack."""
    problem, program = budgeted(loss, 0.3)
    radius = program.penalty.radius  # type: ignore[attr-defined]
    for rank in (1, 3):
        slack = (program.rows + program.contexts + 16 + rank + 4) * UNIT
        factors = random_factors(program, np.random.default_rng(rank), 1.0, rank)
        with mp.workdps(40):
            gauge = float(objective(problem, loss, factors)[1]) / radius
        for size in (0.5, (1 - 1e-9) / (1 + slack), (1 + 1e-9) / (1 + slack), 1.0, 1.5, 100.0):
            root = (size / gauge) ** 0.5
            given = factors._replace(left=factors.left * root, right=factors.right * root)
            found = table_inside(program, given)
            if size * (1 + slack) <= 1:
                assert found is given
                continue
            shrunk = ((1 - 8 * UNIT) / (size * (1 + slack))) ** 0.5
            np.testing.assert_allclose(found.left, shrunk * given.left, rtol=1e-12)
            np.testing.assert_allclose(found.right, shrunk * given.right, rtol=1e-12)
            assert found.bias is given.bias
    decayed = built(loss)[1]
    assert table_inside(decayed, factors) is factors


def test_factors_end_inside_of_their_ball_exactly():
    for loss in LOSSES:
        problem, program = budgeted(loss, 0.3)
        for seed in range(5):
            factors = table_inside(program, random_factors(program, np.random.default_rng(seed), 50.0, seed))
            with mp.workdps(40):
                length = objective(problem, loss, factors)[1]
                area = mp.mpf(program.rows * program.contexts)
                assert length <= mp.mpf(0.3) * mp.sqrt(area)
                assert seed == 0 or length >= mp.mpf(0.3) * mp.sqrt(area) * (1 - mp.mpf("1e-13"))
