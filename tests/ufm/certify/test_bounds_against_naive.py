"""Every bound of the verifier against the second, naive verifier: valid, and not weaker than what the witness proves."""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import pytest

from tests.ufm.certify import documents, naive
from ufm.certify.verify import prove, working_precision

EXACT, TIGHT = mpmath.mpf("1e-38"), mpmath.mpf("1e-12")
"""The verifier's balls have 48 digits, some of which cancel; its operator norms are right to some 1e-14."""


@cache
def truth(text: str) -> tuple[Any, Any]:
    return naive.bounds(text)


@cache
def corpus(head: str) -> list[dict[str, Any]]:
    return list(documents.every(head))


def end(value: Any) -> Any:
    """An exact end of a ball as an mpf."""
    mantissa, exponent = value.mid().man_exp()
    with mpmath.workdps(naive.DIGITS):
        return mpmath.mpf(int(mantissa)) * mpmath.mpf(2) ** int(exponent)


def agrees(document: dict[str, Any], tight: Any = TIGHT) -> None:
    """Both bounds hold, and are those of the naive verifier but for rounding."""
    found = prove(document)
    lower, upper = truth(json.dumps(document))
    with mpmath.workdps(naive.DIGITS), working_precision():
        scale = max(abs(lower), upper)
        low, high = end(found.lower.lower()), end(found.upper.upper())
        assert low <= lower + EXACT * scale, document
        assert low >= lower - tight * scale, document
        assert upper - EXACT * upper <= high <= upper * (1 + EXACT), document


@pytest.mark.parametrize("head", documents.HEADS)
def test_bounds_of_random_witnesses(head):
    for document in corpus(head):
        agrees(document)


@pytest.mark.parametrize("head", ["explicit", "linear DEQ", "Frobenius DEQ"])
@pytest.mark.parametrize("regularizer", ["decay", "budget"])
def test_core_and_contrast_bind_in_turn(head, regularizer):
    """A majority of one class over a collapsed group: the core alone is the norm; without it the contrast."""
    cases = [
        ([(1, 1000), (4, 1)], ["999990", "999990"], [["0", "2"], ["2", "2"]]),
        ([(3, 20), (2, 3)], ["600000", "999000"], [["199999", "100"], ["1", "700"]]),
        ([(2, 3), (2, 1)], ["400000", "0"], [["599998", "1"], ["1", "999998"]]),
    ]
    for groups, _, other in cases:
        parts = documents.problem(head, regularizer, "plain", groups)
        m = [c for c, _ in groups]
        own = [str(10**6 - sum((m[g] - (g == h)) * int(other[g][h]) for g in range(2))) for h in range(2)]
        rng = documents.random.Random(1)
        witness = {"denominator": "1000000", "own": own, "other": other}
        agrees({"format": "ufm-certificate/2", "problem": parts, "primal": documents.primal(parts, rng, 1.0), "dual": witness})


@pytest.mark.parametrize("kind", ["own is everything", "nothing for itself", "sharp", "squares", "one against the rest"])
def test_columns_at_the_ends(kind):
    """Probabilities of zero and one, and slopes that are no probabilities."""
    of = {"squares": "mse", "one against the rest": "bce"}.get(kind, "plain")
    document = documents.document("explicit", "bias decay", of, [(2, 30), (1, 7)], 3)
    document["dual"] = {
        "own is everything": {"denominator": "7", "own": ["7", "3"], "other": [["0", "2"], ["0", "0"]]},
        "nothing for itself": {"denominator": "9", "own": ["0", "0"], "other": [["4", "4"], ["5", "0"]]},
        "sharp": {"denominator": str(10**30), "own": [str(10**30 - 3), str(10**30 - 2)], "other": [["1", "1"], ["2", "0"]]},
        "squares": {"denominator": "9", "own": ["-20", "4"], "other": [["4", "-7"], ["5", "0"]]},
        "one against the rest": {"denominator": "9", "own": ["-9", "-1"], "other": [["9", "1"], ["8", "0"]]},
    }[kind]
    if kind == "nothing for itself":
        document["dual"]["own"][1] = "1"
    agrees(document)


@pytest.mark.parametrize("head", ["explicit", "explicit:3", "decayed DEQ", "linear DEQ"])
@pytest.mark.parametrize("bits", [150, 900])
def test_large_numbers(head, bits):
    """Sizes up to 2**53, decays down to 1e-12, probabilities with hundreds of bits."""
    for decay, sizes in (("1e-12", (10**12, 7)), ("1e3", (2**53, 1)), ("1e-7", (3, 2))):
        document = documents.document(head, "decay", "all", [(2, sizes[0]), (3, sizes[1])], bits)
        document["problem"]["regularizer"].update({"lambda_W": decay, "lambda_H": "1e-12"})
        dual = document["dual"]
        factor = 2**bits // int(dual["denominator"]) + 1
        dual["denominator"] = str(int(dual["denominator"]) * factor)
        dual["own"] = [str(int(v) * factor) for v in dual["own"]]
        dual["other"] = [[str(int(v) * factor) for v in row] for row in dual["other"]]
        agrees(document)


def test_one_temperature_for_all_and_a_common_factor():
    """Temperatures that share a factor, or a denominator, scale the operator norm by it."""
    for temperatures in (["6", "10"], ["6/7", "10/7"], ["5", "5"], ["1/3", "1/3"]):
        document = documents.document("explicit", "bias decay", "plain", [(2, 30), (3, 10)], 5)
        document["problem"]["loss"]["temperatures"] = temperatures
        agrees(document)


@pytest.mark.parametrize("head", ["explicit", "relu", "etf"])
def test_small_witnesses_need_no_shrinking(head):
    document = documents.document(head, "decay per class", "plain", [(1, 40), (3, 4)], 1, spread=1e-6, size=1e-3)
    agrees(document)


def test_zero_slopes_and_zero_factors():
    for of in ("plain", "smoothing", "mse", "bce"):
        document = documents.document("explicit", "decay", of, [(2, 3), (1, 1)], 0)
        m, groups = [2, 1], range(2)
        epsilon = Fraction(document["problem"]["loss"].get("smoothing", 0))
        floor = int(epsilon * 10)  # over the denominator 30, for three classes
        document["dual"] = {
            "denominator": "30",
            "own": [str((30 - 2 * floor) * (of not in ("mse", "bce")))] * 2,
            "other": [[str(floor) if m[g] > 1 or g != h else "0" for h in groups] for g in groups],
        }
        document["primal"] = {
            name: {"exponent": 0, "integers": value}
            for name, value in {"contrast": ["0", "0"], "left": [[], []], "right": [], "bias": ["0", "0"]}.items()
        }
        agrees(document)
        agrees(document | {"primal": document["primal"] | {"contrast": {"exponent": 0, "integers": ["1", "0"]}}})


def scalar_document(head: dict[str, Any], decay: tuple[str, str], groups: list[tuple[int, int]], per: str) -> dict[str, Any]:
    document = documents.document("explicit", "decay", "mse", groups, 7, size=0.1)
    document["dual"] = {}
    document["problem"]["head"] = head
    document["problem"]["regularizer"].update({"lambda_W": decay[0], "lambda_H": decay[1], "features": per})
    return document


@pytest.mark.parametrize("decay", [("1e-6", "1e-5"), ("1e-3", "1e-2"), ("1/16", "1/16"), ("1/5", "1/3"), ("4", "9")])
def test_scalar_problems_of_squared_error(decay):
    """The whole range of sizes: both ends of the concave part, the convex part, and the knee of a decayed DEQ."""
    heads: list[dict[str, Any]] = [{"kind": "explicit", "layers": layers} for layers in (2, 3, 5)]
    heads += [
        {"kind": "decayed_deq", "decay": a, "contraction": g}
        for a, g in (("1e-4", "1/2"), ("1/256", "1/2"), ("1/50", "9/10"), ("1/10", "1/3"), ("20", "4/5"))
    ]
    for head in heads:
        for groups in ([(2, 8), (1, 1)], [(3, 500)], [(1, 10**12), (1, 16)]):
            agrees(scalar_document(head, decay, groups, "per sample"))
        agrees(scalar_document(head, decay, [(3, 1)], "per class"))


def test_decay_that_balances_the_curvature_exactly():
    """``mu^2 / decay = 1 / N`` with N = 16: the sum is linear up to the knee, and both ends serve."""
    head = {"kind": "decayed_deq", "decay": "1/16", "contraction": "1/2"}
    for groups in ([(2, 8)], [(1, 15), (1, 1)], [(16, 1)]):
        agrees(scalar_document(head, ("1/16", "1/16"), groups, "per sample"))


def test_chords_below_at_and_above_the_corner():
    """A decayed DEQ whose proved upper bound lies on either side of the corner ``decay g (1 - g/2)`` of its charge."""
    base = documents.document("decayed DEQ", "decay", "plain", [(2, 3), (1, 7)], 2)
    _, upper = naive.bounds(base)
    gamma = Fraction(4, 5)
    at = Fraction(str(mpmath.nstr(upper, 60))) / (gamma * (1 - gamma / 2))
    for factor in (Fraction(1, 10**6), Fraction(1, 3), Fraction(999, 1000), 1, Fraction(1001, 1000), 3, 10**9):
        document = copy.deepcopy(base)
        document["problem"]["head"]["decay"] = str((at * factor).limit_denominator(10**60))
        agrees(document)


def test_the_upper_bound_of_many_classes_does_not_need_them_written_out():
    """Groups against the same classes one by one: both bounds are equal up to rounding."""
    for head in ("explicit", "explicit:2", "decayed DEQ", "Frobenius DEQ"):
        document = documents.document(head, "bias decay", "all", [(2, 30), (1, 10)], 4)
        document["primal"]["contrast"]["integers"][0] = "987654321"
        split = copy.deepcopy(document)
        parts, witness = split["problem"], split["dual"]
        parts["groups"] = [{"classes": 1, "size": n} for n in (30, 30, 10)]
        order = [0, 0, 1]
        for name in ("weights", "temperatures", "offsets"):
            parts["loss"][name] = [parts["loss"][name][g] for g in order]
        own, other = witness["own"], witness["other"]
        witness["own"] = [own[g] for g in order]
        witness["other"] = [["0" if j == k else other[order[j]][order[k]] for k in range(3)] for j in range(3)]
        merged, apart = prove(document), prove(split | {"primal": apart_factors(document["primal"], order)})
        assert abs(merged.lower - apart.lower) < 1e-12
        assert abs(merged.upper - apart.upper) < 1e-12
        assert merged.width == apart.width


def apart_factors(primal: dict[str, Any], order: list[int]) -> dict[str, Any]:
    """The same factors with the contrast of the two classes of the first group as one more feature dimension."""
    x = Fraction(int(primal["contrast"]["integers"][0])) * Fraction(2) ** primal["contrast"]["exponent"]
    left = [list(primal["left"]["integers"][g]) for g in order]
    right = [[row[g] for g in order] for row in primal["right"]["integers"]]
    # x/2 (1, -1)(1, -1)': over the exponents -21 and -13, so x 2^33 = a b with b = 2^13.
    a = x * 2**20
    assert a.denominator <= 2**10
    scaled = [[str(int(v) * 2**10) for v in row] for row in left]
    for row, sign in zip(scaled, (1, -1, 0), strict=True):
        row.append(str(int(sign * a * 2**10)))
    right.append([str(sign * 2**13) for sign in (1, -1, 0)])
    bias = [primal["bias"]["integers"][g] for g in order]
    return {
        "contrast": {"exponent": 0, "integers": ["0", "0", "0"]},
        "left": {"exponent": primal["left"]["exponent"] - 10, "integers": scaled},
        "right": {"exponent": primal["right"]["exponent"], "integers": right},
        "bias": {"exponent": primal["bias"]["exponent"], "integers": bias},
    }


def test_the_naive_norm_has_a_second_way(monkeypatch):
    """Where mpmath's iteration for singular values gives up, eigenvalues of G'G say the same."""
    matrix = naive.mpmath.matrix([[3, 1, 0], [1, -2, 5], [0, 0, 1]])
    with naive.mpmath.workdps(60):
        direct = naive.largest_singular_value(matrix)

        def gives_up(*args, **kwargs):
            raise RuntimeError("svd: no convergence")

        monkeypatch.setattr(naive.mpmath, "svd_r", gives_up)
        assert abs(naive.largest_singular_value(matrix) - direct) < direct * naive.mpmath.mpf(10) ** -50
