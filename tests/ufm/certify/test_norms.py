"""The bound on the operator norm needs no trust in floating point; multiples of slopes inside their limit."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from flint import arb

import ufm
from tests.ufm.certify import documents, naive
from tests.ufm.certify.test_bounds_against_naive import EXACT, agrees, corpus, end, scalar_document, truth
from ufm.certify.verify import ExactProblem, arithmetic, lower_bound, prove, upper_bound, working_precision

EIGH = np.linalg.eigh


def wrong(kind: str):
    """Eigenvalues and vectors that are wrong in one way."""

    def eigh(matrix):
        values, vectors = EIGH(matrix)
        size, rng = float(values[-1]), np.random.default_rng(0)
        return {
            "too small": lambda: (values / 4, vectors),
            "too large": lambda: (values * 3 + size, vectors),
            "no vectors": lambda: (values, 0 * vectors),
            "zero": lambda: (0 * values, vectors),
            "noise": lambda: (
                values * (1 - 0.3 * rng.uniform(size=len(values))),
                vectors + 0.2 * rng.standard_normal(matrix.shape),
            ),
            "negative": lambda: (-values[::-1], vectors),
            "one entry": lambda: (values - 0.5 * size * (np.arange(len(values)) == len(values) - 1), vectors[::-1]),
        }[kind]()

    return eigh


@pytest.mark.parametrize("kind", ["too small", "too large", "no vectors", "zero", "noise", "negative", "one entry"])
@pytest.mark.parametrize("groups", [[(1, 40), (3, 4)], [(5, 3), (1, 1000), (2, 7)], [(1, 10**12), (4, 1), (2, 3)]])
def test_any_eigenvalues_give_a_valid_bound(monkeypatch, kind, groups):
    """What is wrong in L and tau stands in the residual: the bound gets weaker, never false."""
    monkeypatch.setattr(np.linalg, "eigh", wrong(kind))
    for head, regularizer, loss in (
        ("explicit", "budget", "plain"),
        ("explicit", "decay", "all"),
        ("linear DEQ", "free bias", "mse"),
    ):
        for seed in range(4):
            document = documents.document(head, regularizer, loss, groups, seed, spread=0.9)
            lower, upper = truth(documents.json_text(document))
            with working_precision(), mpmath.workdps(naive.DIGITS):
                assert end(prove(document).lower.lower()) <= lower + EXACT * max(abs(lower), upper)


def test_what_a_wrong_norm_costs(monkeypatch):
    """With L = 0 and tau the true largest eigenvalue the residual is at most the norm's rows: tau + max row sum of tau - M."""
    document = documents.document("explicit", "budget", "plain", [(2, 5), (3, 2)], 1, spread=0.9)
    with working_precision():
        exact = ExactProblem(document["problem"])
        right = lower_bound(exact, document["dual"], arb(1)).allowed
        monkeypatch.setattr(np.linalg, "eigh", wrong("no vectors"))
        rough = lower_bound(exact, document["dual"], arb(1)).allowed
        assert right < rough < 3 * right


@pytest.mark.parametrize("bits", [560, 590, 600, 601, 620, 2000])
def test_entries_beyond_float64(bits):
    """Numbers of any length are shifted into float range; the bound stays as tight."""
    document = documents.document("explicit", "budget", "temperatures", [(2, 30), (3, 10)], 3)
    dual = document["dual"]
    factor = 2 ** max(0, bits // 2 - int(dual["denominator"]).bit_length())
    dual["denominator"] = str(int(dual["denominator"]) * factor)
    dual["own"] = [str(int(v) * factor) for v in dual["own"]]
    dual["other"] = [[str(int(v) * factor) for v in row] for row in dual["other"]]
    agrees(document)


def test_entries_of_any_size_in_one_column():
    """Small denominators, where M is finer than tau and L: one class against thousands of millions."""
    for groups in ([(2, 1)], [(1, 1), (1, 1)], [(2**30, 1), (1, 2)]):
        document = documents.document("explicit", "budget", "plain", groups if groups[0][0] < 9 else [(2, 1), (1, 2)], 0)
        document["dual"] = {
            "denominator": "3",
            "own": ["2"] * len(groups),
            "other": [["1" if g != h or m > 1 else "0" for h in range(len(groups))] for g, (m, _) in enumerate(groups)],
        }
        if len(groups) == 2 and groups[0][0] > 1:
            document["dual"]["own"] = ["1", "1"]
            document["dual"]["other"] = [["1", "1"], ["1", "0"]]
        agrees(document)


@pytest.mark.parametrize("bias", ["1e-4", "1/1000", "1/100", "1/10", "1"])
def test_the_best_multiple_under_a_bias_decay(bias):
    """A small decay on the bias makes slopes that do not balance expensive: the best multiple lies inside the limit."""
    shrunk = set()
    for decay in ("1/50", "2"):
        for seed in range(3):
            document = documents.document("explicit", "bias decay", "plain", [(1, 40), (3, 4)], seed, spread=0.9)
            document["problem"]["regularizer"].update({"lambda_b": bias, "lambda_W": decay, "lambda_H": decay})
            agrees(document)
            with working_precision():
                exact = ExactProblem(document["problem"])
                upper = upper_bound(exact, document["primal"])
                shrunk.add(float(lower_bound(exact, document["dual"], upper.value).shrink.mid()) < 0.999)
    assert True in shrunk or bias in ("1/10", "1")


@pytest.mark.parametrize("decay", ["1e-4", "1/100", "1/3", "4"])
def test_the_best_multiple_of_a_fixed_classifier(decay):
    for seed in range(3):
        document = documents.document("etf", "decay", "plain", [(1, 40), (3, 4)], seed, spread=0.9)
        document["problem"]["regularizer"]["lambda_H"] = decay
        agrees(document)


def test_smoothing_that_the_denominator_does_not_hold():
    """Targets of 1/21 beside probabilities over 1000."""
    document = documents.document("explicit", "bias decay", "smoothing", [(2, 30), (1, 7)], 0)
    document["problem"]["loss"]["smoothing"] = "1/7"
    document["dual"] = {"denominator": "1000", "own": ["801", "700"], "other": [["99", "150"], ["100", "0"]]}
    agrees(document)
    document["problem"]["regularizer"] = documents.REGULARIZERS["budget"]
    document["primal"]["bias"]["integers"] = ["0", "0"]
    agrees(document)


def test_bounds_may_meet_exactly():
    """Squared error where nothing is worth its price: both bounds are 1/2, exactly."""
    document = documents.document("explicit:2", "decay", "mse", [(16, 1)], 0)
    document["dual"] = {}
    document["problem"]["regularizer"].update({"lambda_W": "100", "lambda_H": "100"})
    zero = {"exponent": 0, "integers": ["0"]}
    document["primal"] = {
        "contrast": zero, "bias": zero, "left": {"exponent": 0, "integers": [[]]}, "right": {"exponent": 0, "integers": []},
    }  # fmt: skip
    proof = prove(document)
    assert (proof.lower_float, proof.upper_float) == (0.5, 0.5)


@pytest.mark.parametrize("bits", [20, 32])
@pytest.mark.parametrize("head", documents.HEADS)
def test_bounds_hold_at_any_precision(monkeypatch, head, bits):
    """Balls of a few digits: every rounding goes outward, so bounds get weaker, never false."""
    monkeypatch.setattr(arithmetic, "PRECISION", bits)
    for document in corpus(head):
        holds(document)


@pytest.mark.parametrize("bits", [20, 32])
@pytest.mark.parametrize("decay", [("1e-3", "1e-2"), ("1/16", "1/16"), ("1/5", "1/3"), ("1/17", "1/15")])
def test_scalar_problems_at_any_precision(monkeypatch, bits, decay):
    """Where balls of the curvature and of the decay on A overlap, what is in doubt is taken off."""
    monkeypatch.setattr(arithmetic, "PRECISION", bits)
    heads = [{"kind": "explicit", "layers": 3}]
    heads += [{"kind": "decayed_deq", "decay": a, "contraction": "1/2"} for a in ("1/16", "16000001/256000000", "1/50")]
    for head in heads:
        for groups in ([(2, 8)], [(1, 15), (1, 1)], [(3, 5), (1, 1)]):
            holds(scalar_document(head, decay, groups, "per sample"))


def holds(document):
    lower, upper = truth(documents.json_text(document))
    try:
        found = prove(document)
    except ufm.InputError:
        return  # few digits may not be enough to say anything
    with working_precision(), mpmath.workdps(naive.DIGITS):
        assert end(found.lower.lower()) <= lower + EXACT * max(abs(lower), upper)
        assert end(found.upper.upper()) >= upper * (1 - EXACT)


def test_which_columns_repel():
    """Accepted if and only if the naive verifier accepts: small integers, where inner products of 1 and 0 occur."""
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(120):
        m = [int(v) for v in rng.integers(1, 4, size=int(rng.integers(1, 4)))]
        if sum(m) < 2:
            continue
        groups = range(len(m))
        document = documents.document("relu", "decay", "plain", [(c, 5 + g) for g, c in enumerate(m)], 0)
        other = [[int(rng.integers(0, 3)) if g != h or m[g] > 1 else 0 for h in groups] for g in groups]
        rest = [sum((m[g] - (g == h)) * other[g][h] for g in groups) for h in groups]
        total = max(rest) + int(rng.integers(0, 3)) or 1
        document["dual"] = {
            "denominator": str(total), "own": [str(total - v) for v in rest], "other": [[str(v) for v in row] for row in other],
        }  # fmt: skip
        try:
            naive.bounds(document)
            expected = True
        except naive.WitnessError:
            expected = False
        try:
            prove(document)
            accepted = True
        except ufm.InputError:
            accepted = False
        assert accepted == expected, document
        seen.add(expected)
    assert seen == {True, False}


def test_scalar_problems_are_not_those_of_budgets():
    """Balanced classes under budgets have one curvature, and a sum over singular values that does not split."""
    document = documents.document("explicit:2", "budget", "mse", [(3, 5)], 0)
    prove(document)
    document["dual"] = {}
    with pytest.raises(ufm.InputError, match="no dual slopes"):
        prove(document)
