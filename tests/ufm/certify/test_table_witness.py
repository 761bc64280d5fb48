"""What a table's document states: targets and slopes as exact numbers, compared one by one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import ufm
from ufm import TargetTable
from ufm.certify.table_witness import table_document, targets
from ufm.spectral.table_loss import SoftmaxLoss
from ufm.spectral.table_program import TableFactors, TableProgram

BITS = 96
SIZES = [3, 1, 4]


def built(loss: str, columns: Any, bias: float | None = None, sizes: Any = SIZES) -> tuple[ufm.Problem, TableProgram]:
    problem = ufm.Problem(TargetTable(columns, sizes), regularizer=ufm.WeightDecay(0.25, 0.5, bias), loss=loss)
    return problem, problem.program()  # type: ignore[return-value]


def stated(problem: ufm.Problem, program: TableProgram, slopes: Any) -> tuple[int, list[list[int]]]:
    """Denominator and numerators of the slopes."""
    factors = TableFactors(np.zeros((program.rows, 0)), np.zeros((0, program.contexts)), np.zeros(program.rows))
    dual: Any = table_document(problem, program, factors, np.array(slopes))["dual"]
    assert set(dual) == {"denominator", "slopes"}
    return int(dual["denominator"]), [[int(v) for v in row] for row in dual["slopes"]]


def fractions(array: Any) -> list[list[Fraction]]:
    return [[Fraction(float(v)) for v in row] for row in np.array(array)]


def test_the_document_in_full():
    problem, program = built("ce", [[0.5, 0.25, 1], [0.5, 0.75, 0]])
    factors = TableFactors(np.array([[0.5], [-1.5]]), np.array([[2.0, 0.0, 0.375]]), np.array([0.0, -0.25]))
    found = table_document(problem, program, factors, np.array([[0.25, -0.125, -0.5], [-0.25, 0.125, 0.5]]))
    unit = 2**BITS // 8
    assert found == {
        "format": "ufm-certificate/2",
        "problem": {
            "table": {"columns": found["problem"]["table"]["columns"], "sizes": SIZES},  # type: ignore[index]
            "loss": problem.loss_certificate(),
            "head": {"kind": "explicit", "layers": 1},
            "regularizer": problem.regularizer.certificate(),
            "dim": None,
        },
        "primal": {part: found["primal"][part] for part in ("left", "right", "bias")},  # type: ignore[index]
        "dual": {
            "denominator": str(2**BITS),
            "slopes": [[str(v * unit) for v in row] for row in ([2, -1, -4], [-2, 1, 4])],
        },
    }
    for name, array in (("left", factors.left), ("right", factors.right), ("bias", factors.bias[None])):
        data: Any = found["primal"][name]  # type: ignore[index]
        rows = [data["integers"]] if name == "bias" else data["integers"]
        values = [[int(v) * Fraction(2) ** data["exponent"] for v in row] for row in rows]
        assert values == fractions(array)
    data = found["problem"]["table"]["columns"]  # type: ignore[index]
    assert [[int(v) * Fraction(2) ** data["exponent"] for v in row] for row in data["integers"]] == fractions(
        problem.targets.columns
    )


def test_targets_are_divided_by_their_sums_within_each_task():
    columns = np.array([[0.1, 0.7], [0.9, 0.3], [0.2, 1 / 3], [0.3, 0.0], [0.5, 2 / 3]])
    problem, program = built("multitask:2,3", columns, sizes=[1, 2])
    given = fractions(problem.targets.columns)
    found = targets(problem, program)
    for m in range(2):
        for block in (range(2), range(2, 5)):
            whole = sum(given[k][m] for k in block)
            assert [found[k][m] for k in block] == [given[k][m] / whole for k in block]
            assert sum(found[k][m] for k in block) == 1
    problem, program = built("bce", columns, sizes=[1, 2])
    assert targets(problem, program) == fractions(columns)


def test_slopes_keep_96_digits_behind_the_point():
    """Truncated towards zero, far below what float64 keeps of numbers of that size; the pivot takes the rest."""
    problem, program = built("ce", [[0.5, 0.2, 1], [0.25, 0.3, 0], [0.25, 0.5, 0]])
    small = [3 * 2.0**-80, 1 / 3 * 2.0**-50, 2.0**-97]
    slopes = [[0.1, 1 / 3, -1], [-small[0], 1 / 7, small[1]], [0.07, -0.25, small[2]]]
    denominator, found = stated(problem, program, slopes)
    assert denominator == 2**BITS

    def cut(value: float) -> int:
        return int(Fraction(value) * 2**BITS)

    assert found[1] == [-3 * 2**16, cut(1 / 7), cut(small[1])]
    assert found[2][0] == cut(0.07)
    assert found[2][2] == 0
    assert found[0][1] == cut(1 / 3)
    # Pivots: rows 0, 2 and 0.
    assert found[0][0] == -found[1][0] - found[2][0]
    assert found[2][1] == -found[0][1] - found[1][1]
    assert found[0][2] == -found[1][2] - found[2][2]
    problem, program = built("bce", [[0.5, 0.2, 1], [0.25, 0.3, 0], [0.25, 0.5, 0]])
    slopes[0][2] = -1 / 3
    assert stated(problem, program, slopes)[1] == [[cut(v) for v in row] for row in slopes]


def test_slopes_of_squared_error_are_exact():
    slopes = np.array([[1 / 3, -1e-30, 7.0], [0.0, 2.0**-60, -0.1]])
    for bias in (None, 0.5):
        problem, program = built("mse", [[1.0, -2.0, 0.5], [0.0, 0.25, 3.0]], bias)
        denominator, found = stated(problem, program, slopes)
        assert [[Fraction(v, denominator) for v in row] for row in found] == fractions(slopes)


def test_probabilities_are_moved_into_their_domain():
    """Below zero: to the first multiple above minus the target; above one, in one-vs-rest only, to the last one."""
    columns = [[1 / 3, 0.2, 1], [0.0, 0.3, 0], [2 / 3, 0.5, 0]]
    one = 2**BITS
    for loss in ("ce", "bce"):
        problem, program = built(loss, columns)
        exact = targets(problem, program)
        _, found = stated(problem, program, [[-1.0, -0.7, -1.0], [-0.25, -0.25, 0.125], [1.0, 0.25, 0.25]])
        lows = [[-(y.numerator * one // y.denominator) for y in row] for row in exact]
        assert found[0][:2] == lows[0][:2]
        assert found[1] == [0, -one // 4, one // 8]
        if loss == "bce":
            highs = [[(1 - y).numerator * one // (1 - y).denominator for y in row] for row in exact]
            assert found[2] == [highs[2][0], one // 4, one // 4]
            assert found[0][2] == -one
        else:
            # Pivots: rows 2, 2 and 0.
            assert [found[2][0], found[2][1], found[0][2]] == [-lows[0][0], -lows[0][1] + one // 4, -one * 3 // 8]
    problem, program = built("bce", columns)
    exact = targets(problem, program)
    _, found = stated(problem, program, [[1.0] * 3] * 3)
    assert found == [[(1 - y).numerator * one // (1 - y).denominator for y in row] for row in exact]
    # In a softmax what the others have together is limited by the pivot's target, here to 0.5.
    problem, program = built("ce", [[0.5, 0.2], [0.3, 0.3], [0.2, 0.5]], sizes=[1, 2])
    _, found = stated(problem, program, [[0.0, 0.0], [0.875, 0.0], [-0.125, 0.0]])
    assert [row[0] for row in found] == [0, 0, 0]


def test_a_pivot_that_would_be_negative_leaves_its_block_at_zero():
    """Of that context alone, and of no other block."""
    columns = [[0.75, 0.25, 0.5], [0.25, 0.75, 0.5], [0.5, 0.5, 0.5], [0.25, 0.25, 0.5], [0.25, 0.25, 0.0]]
    columns[0][0] += 2.0**-40  # columns that are not equal, and do not quite sum to one
    problem, program = built("multitask:2,3", columns)
    slopes = [[0.0, 0.125, 0.0], [0.125, 0, 0.25], [0.0, 0.0, 0.0], [0.5, 0.125, 0.25], [0.125, 0.125, 0.25]]
    _, found = stated(problem, program, slopes)
    unit = 2**BITS // 8
    assert found == [[v * unit for v in row] for row in ([-1, 1, -2], [1, -1, 2], [0, -2, -4], [0, 1, 2], [0, 1, 2])]


def test_a_pivot_that_keeps_nothing_is_none_that_is_negative():
    """Exactly zero, or less than one multiple above it."""
    one = 2**BITS
    problem, program = built("ce", [[1.0, 0.25], [0.0, 0.25], [0.0, 0.5]], sizes=[1, 2])
    _, found = stated(problem, program, [[-1.0, 0.0], [0.75, 0.0], [0.25, 0.0]])
    assert [row[0] for row in found] == [-one, one * 3 // 4, one // 4]
    # The others take all that is a multiple of 2^-96, in parts that are floats.
    problem, program = built("ce", [[0.4, 0.25], [0.2, 0.25], [0.2, 0.25], [0.2, 0.25]], sizes=[1, 2])
    first = targets(problem, program)[0][0]
    whole = first.numerator * one // first.denominator
    assert 0 < first * one - whole < 1
    parts = [whole >> 60 << 60, whole % 2**60 >> 30 << 30, whole % 2**30]
    assert sum(parts) == whole
    _, found = stated(problem, program, [[-0.4, 0.0], *([float(Fraction(v, one)), 0.0] for v in parts)])
    assert [row[0] for row in found] == [-whole, *parts]


def balanced(slopes: list[list[Fraction]], shares: list[Fraction]) -> list[list[Fraction]]:
    means = [sum(v * s for v, s in zip(row, shares, strict=True)) / sum(shares) for row in slopes]
    return [[v - mean for v in row] for row, mean in zip(slopes, means, strict=True)]


@pytest.mark.parametrize("loss", ["ce", "pal", "bce", "mse"])
def test_slopes_of_a_free_bias_have_their_means_off(loss):
    """Exactly, with weights of contexts where labels are counted."""
    columns = [[0.5, 0.2, 0.1], [0.3, 0.3, 0.4], [0.2, 0.5, 0.5]]
    if loss == "pal":
        columns = [[1, 1, 0.0], [1, 0, 1], [0, 0, 1]]
    problem, program = built(loss, columns, 0.0)
    slopes = [[-0.0625, 0.03, -0.02], [0.05, 0.0, -0.03], [0.0125, -0.03, 0.05]]
    if loss == "pal":
        slopes = [[-0.125, -0.375, 0.125], [-0.02, 0.25, -0.01], [0.145, 0.125, -0.115]]
    denominator, found = stated(problem, program, slopes)
    free_of_bias = built(loss, columns)
    base, rows = stated(*free_of_bias, slopes)
    labels = [2, 1, 2] if loss == "pal" else [1, 1, 1]
    shares = [Fraction(w * n) for w, n in zip(labels, SIZES, strict=True)]
    expected = balanced([[Fraction(v, base) for v in row] for row in rows], shares)
    assert [[Fraction(v, denominator) for v in row] for row in found] == expected
    assert any(v for row in found for v in row)
    assert all(sum(Fraction(v) * s for v, s in zip(row, shares, strict=True)) == 0 for row in found)
    assert denominator == base * sum(shares)


def test_weights_that_are_no_whole_numbers():
    """Over their common denominator: 3 / 2, 1 / 4 and 1 of 3, 1 and 4 samples are 18, 1 and 16 quarters."""
    columns = np.array([[0.5, 0.2, 0.1], [0.3, 0.3, 0.4], [0.2, 0.5, 0.5]])
    problem, program = built("ce", columns, 0.0)
    program = replace(program, loss=SoftmaxLoss(program.loss.target, np.array([1.5, 0.25, 1.0]), ((0, 3),)))
    slopes = [[-0.0625, 0.03, -0.02], [0.05, 0.0, -0.03], [0.0125, -0.03, 0.05]]
    denominator, found = stated(problem, program, slopes)
    base, rows = stated(*built("ce", columns), slopes)
    expected = balanced([[Fraction(v, base) for v in row] for row in rows], [Fraction(18), Fraction(1), Fraction(16)])
    assert [[Fraction(v, denominator) for v in row] for row in found] == expected


@pytest.mark.parametrize("loss", ["ce", "bce"])
def test_slopes_whose_balance_leaves_the_domain_are_zero(loss):
    """Below zero or above one after their means are off; up to both ends, they stay."""
    columns = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])
    problem, program = built(loss, columns, 0.0, [1, 1, 2])
    for slopes in ([[0, 0, 0.25], [0, 0, -0.25]], [[0, 0, -0.25], [0, 0, 0.25]]):
        assert stated(problem, program, slopes) == (1, [[0] * 3] * 2)
    assert stated(problem, program, np.zeros((2, 3))) == (2**BITS * 4, [[0] * 3] * 2)
    unit = 2**BITS
    inner = [[-0.25, 0.25, 0.0], [0.25, -0.25, 0.0]]
    assert stated(problem, program, inner) == (unit * 4, [[-unit, unit, 0], [unit, -unit, 0]])
    # Squared error has no domain to leave.
    problem, program = built("mse", columns, 0.0, [1, 1, 2])
    denominator, found = stated(problem, program, [[8.0, 0, 0], [0, 0, 4.0]])
    assert [[Fraction(v, denominator) for v in row] for row in found] == [[6, -2, -2], [-2, -2, 2]]
