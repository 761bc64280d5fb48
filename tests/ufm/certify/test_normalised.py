"""Certificates of features of a fixed norm: against the naive verifier, forged, altered, and with wrong weights."""

from __future__ import annotations

import copy
import json
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import ufm
from tests.ufm.certify import documents, naive, naive_normalised
from tests.ufm.certify.test_bounds_against_naive import end
from ufm import ClassifierDecay, LayerNorm, Problem
from ufm.certify.normalised import normalised_bounds
from ufm.certify.verify import prove, working_precision

EXACT, TIGHT = mpmath.mpf("1e-38"), mpmath.mpf("1e-12")
"""Balls have 48 digits; operator norms of the verifier are right to some 1e-14."""
COUNTS = [100] * 5 + [1] * 5


@pytest.mark.parametrize("of", documents.LOSSES)
@pytest.mark.parametrize("regularizer", naive_normalised.REGULARIZERS)
def test_bounds_are_those_of_the_naive_verifier(of, regularizer):
    for seed, groups in enumerate(documents.GROUPS):
        document = naive_normalised.written(of, regularizer, groups, seed)
        lower, upper = naive_normalised.bounds(document)
        found = prove(document)
        with mpmath.workdps(naive.DIGITS), working_precision():
            scale = max(abs(lower), upper)
            low, high = end(found.lower.lower()), end(found.upper.upper())
            assert low <= lower + EXACT * scale
            assert low >= lower - TIGHT * scale
            assert upper - EXACT * scale <= high <= upper + EXACT * scale


def base():
    document = naive_normalised.written("plain", "decay", [(2, 30), (1, 10)], 1)
    document["primal"]["contrast"]["integers"][0] = "123456789"
    prove(document)
    return document


FORGED = [
    ("head.norm", ["0", "-1", "1e-32", "1e32", 1, None, "nan"]),
    ("head.kind", ["layernorm", "explicit", None, []]),
    ("head.layers", [1]),
    ("regularizer.lambda_W", ["0", "-1/50", 0.02, "1e-30", "1e30", None]),
    ("regularizer.lambda_b", ["-1", "1e-16", "1e16", 0, "x"]),
    ("regularizer.kind", ["weight_decay", "norm_budget", None]),
    ("regularizer.lambda_H", ["1"]),
    ("dim", [0, 1, 2, "-3", 10**9 + 1]),
]


@pytest.mark.parametrize(("path", "values"), FORGED, ids=[path for path, _ in FORGED])
def test_a_problem_that_none_is_refused(path, values):
    """The width of the factors is three or more, so smaller ``dim`` are forged too."""
    original = base()
    original["primal"]["left"]["integers"] = [["1", "2"], ["3", "4"]]
    original["primal"]["right"]["integers"] = [["1", "2"], ["3", "4"]]
    prove(original)
    for value in values:
        document = copy.deepcopy(original)
        *way, last = path.split(".")
        part = document["problem"]
        for step in way:
            part = part[step]
        part[last] = value
        with pytest.raises(ufm.InputError, match="certificate"):
            prove(document)


NAMED = [
    ("problem.head.layers", 1, "certificate's head must"),
    ("problem.regularizer.lambda_H", "1", "certificate's regularizer must"),
    ("problem.head.norm", "1e32", "the norm of features '1e32'"),
    ("problem.regularizer.lambda_b", "1e16", "the bias decay '1e16'"),
    ("weights.integers", ["1"], "certificate has weights of the wrong shape"),
    ("weights.integers", ["1", "2", "3"], "certificate has weights of the wrong shape"),
    ("weights.integers", ["1", "0"], "a weight that is not positive"),
]


@pytest.mark.parametrize(("path", "value", "message"), NAMED)
def test_refusals_name_what_is_wrong(path, value, message):
    document = base()
    *way, last = path.split(".")
    part = document
    for step in way:
        part = part[step]
    part[last] = value
    with pytest.raises(ufm.InputError, match=message):
        prove(document)


def test_limits_of_the_decay_over_the_squared_norm_are_excluded():
    """The limits are the floats 1e-21 and 1e21, exactly: at them a problem is refused, just inside it is not."""
    for limit, inward in ((Fraction(1e-21), 1 + Fraction(1, 2**60)), (Fraction(1e21), 1 - Fraction(1, 2**60))):
        document = base()
        document["problem"]["head"]["norm"] = "2"
        document["problem"]["regularizer"]["lambda_W"] = str(4 * limit)
        with pytest.raises(ufm.InputError, match="a decay and a norm that no problem has"):
            prove(document)
        document["problem"]["regularizer"]["lambda_W"] = str(4 * limit * inward)
        prove(document)


def test_integers_of_one_are_weights():
    document = base()
    document["weights"] = {"exponent": 3, "integers": ["1", "1"]}
    lower, upper = naive_normalised.bounds(document)
    found = prove(document)
    with mpmath.workdps(naive.DIGITS), working_precision():
        assert abs(end(found.upper.upper()) - upper) <= EXACT * upper
        assert abs(end(found.lower.lower()) - lower) <= TIGHT * max(upper, abs(lower))


@pytest.mark.parametrize(
    "weights",
    [
        None,
        [],
        {"exponent": 0},
        {"exponent": 0, "integers": ["1"]},
        {"exponent": 0, "integers": ["1", "0"]},
        {"exponent": 0, "integers": ["1", "-3"]},
        {"exponent": 0, "integers": [["1"], ["1"]]},
        {"exponent": 0, "integers": ["1", "1/2"]},
        {"exponent": 2201, "integers": ["1", "1"]},
        {"exponent": "x", "integers": ["1", "1"]},
        {"exponent": 0, "integers": ["1", "1"], "more": 0},
    ],
    ids=str,
)
def test_weights_are_positive_and_one_for_each_group(weights):
    document = base()
    document["weights"] = weights
    with pytest.raises(ufm.InputError, match="certificate"):
        prove(document)


def test_weights_go_with_this_head_only_and_it_needs_them():
    document = base()
    weights = document.pop("weights")
    with pytest.raises(ufm.InputError, match="unknown"):
        prove(document)
    other = documents.document("explicit", "decay", "plain", [(2, 30), (1, 10)], 1)
    prove(other)
    with pytest.raises(ufm.InputError, match="go with weights"):
        prove(other | {"weights": weights})


def test_probabilities_and_factors_are_checked_as_for_other_heads():
    for change in (
        lambda d: d["dual"]["own"].__setitem__(0, str(int(d["dual"]["own"][0]) + 1)),
        lambda d: d["dual"]["other"][1].__setitem__(0, "-1"),
        lambda d: d["primal"]["contrast"]["integers"].__setitem__(1, "5"),  # a contrast in a group of one class
        lambda d: d["primal"]["bias"]["integers"].__setitem__(0, "5"),  # a bias where there is none
        lambda d: d["primal"].__setitem__("right", {"exponent": 0, "integers": [["1"]]}),
    ):
        document = base()
        change(document)
        with pytest.raises(ufm.InputError, match="certificate"):
            prove(document)


def test_a_free_bias_needs_balanced_slopes():
    document = naive_normalised.written("plain", "free bias", [(2, 30), (1, 10)], 1)
    prove(document)
    dual = document["dual"]
    dual["other"][1][0], dual["own"][0] = str(int(dual["other"][1][0]) + 1), str(int(dual["own"][0]) - 1)
    with pytest.raises(ufm.InputError, match="do not balance a free bias"):
        prove(document)


@pytest.mark.parametrize(
    ("loss", "bias"), [("ce", None), ("ce:smoothing=0.1", 0.1), ("mse", 0.0), ("bce", None), ("ce:temperatures=0.5", 0.0)]
)
def test_saved_certificates_are_accepted_and_altered_ones_rejected(tmp_path, loss, bias):
    problem = Problem(COUNTS, regularizer=ClassifierDecay(0.04, bias), head=LayerNorm(2.0), loss=loss)
    solution = ufm.solve(problem)
    path = tmp_path / "c.json"
    solution.save(path)
    found = ufm.recheck(path)
    assert found.accepted
    proved = solution.certificate.rigorous()
    # Both levels enclose the optimum, so that their bounds cannot contradict each other; the float terms are a-priori.
    assert solution.lower <= proved.upper
    assert proved.lower <= solution.upper
    assert proved.gap <= 1e-11 * max(proved.upper, 0.5)
    text = json.loads(path.read_text())
    for change in (
        lambda d: d["problem"]["head"].__setitem__("norm", "21/10"),
        lambda d: d["problem"]["regularizer"].__setitem__("lambda_W", "41/1000"),
        lambda d: d["problem"]["groups"][0].__setitem__("size", 101),
        lambda d: d["weights"]["integers"].__setitem__(0, str(int(d["weights"]["integers"][0]) * 2)),
        lambda d: d["weights"]["integers"].__setitem__(1, str(int(d["weights"]["integers"][1]) // 2)),
        lambda d: d["primal"]["contrast"]["integers"].__setitem__(0, str(2 * int(d["primal"]["contrast"]["integers"][0]))),
        lambda d: d["claim"].__setitem__("lower", "9"),
        lambda d: d["claim"].__setitem__("width", 1),
        lambda d: d.pop("weights"),
    ):
        altered = copy.deepcopy(text)
        change(altered)
        path.write_text(json.dumps(altered))
        assert not ufm.recheck(path).accepted


def descended(counts, decay, seed):
    """Least value of the model by L-BFGS on W and directions of features, from the definition alone."""
    from scipy.optimize import minimize

    n = np.array(counts, dtype=float)
    share, classes = n / n.sum(), len(n)
    rng = np.random.default_rng(seed)

    def objective(theta):
        weight, raw = theta.reshape(2, classes, classes)
        lengths = np.linalg.norm(raw, axis=0)
        features = raw / lengths
        logits = weight @ features
        top = logits.max(axis=0)
        odds = np.exp(logits - top)
        values = np.log(odds.sum(axis=0)) + top - np.diag(logits)
        slope = (odds / odds.sum(axis=0) - np.eye(classes)) * share
        by_feature = weight.T @ slope
        by_feature = (by_feature - features * (features * by_feature).sum(axis=0)) / lengths
        value = share @ values + 0.5 * decay * np.sum(weight**2)
        return value, np.concatenate([(slope @ features.T + decay * weight).ravel(), by_feature.ravel()])

    options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 30}
    return minimize(objective, rng.standard_normal(2 * classes**2), jac=True, method="L-BFGS-B", options=options).fun


@pytest.mark.parametrize(("counts", "decay"), [([30, 30, 3, 3, 3], 0.01), ([9, 4, 1], 0.3), ([50, 2], 1e-3), ([5] * 4, 0.05)])
def test_wrong_weights_and_wrong_slopes_prove_bounds_all_the_same(counts, decay):
    """Any weights and any probabilities: never above what descent reaches, and tight at the optimum only."""
    least = min(descended(counts, decay, seed) for seed in range(2))
    problem = Problem(counts, regularizer=ClassifierDecay(decay), head="layernorm")
    solution = ufm.solve(problem)
    assert least == pytest.approx(solution.value, rel=1e-9)
    program, groups = problem.program(), len(problem.counts.groups)
    rng = np.random.default_rng(1)
    for spread in (0.03, 0.3, 3.0):
        for _ in range(10):
            weights = solution.program.scale**2 * np.exp(spread * rng.standard_normal(groups))
            slopes = solution.certificate.slopes * np.exp(0.1 * spread * rng.standard_normal())
            found = normalised_bounds(program, solution.factors, weights, slopes)
            assert found.lower <= least * (1 + 1e-12)
            assert found.upper >= solution.lower
    if groups > 1:
        far = normalised_bounds(program, solution.factors, solution.program.scale**2 * np.linspace(1, 3, groups))
        assert far.lower < solution.value * (1 - 1e-6)


def test_a_perturbed_solution_is_not_certified():
    solution = ufm.solve(Problem(COUNTS, regularizer=ClassifierDecay(0.01), head="layernorm"))
    program = solution.problem.program()
    assert solution.relative_gap < 1e-12
    for size in (1e-2, 1e-4, 1e-6):
        factors = solution.factors._replace(contrast=solution.factors.contrast * (1 + size))
        found = normalised_bounds(program, factors, solution.program.scale**2)
        assert found.lower <= solution.value <= found.upper
        assert 1e-3 * size**1.0 <= (found.upper - found.lower) / found.upper


def test_float_bounds_enclose_exact_ones():
    """At random points both levels bound the same numbers: the float ones lie outside, by rounding only."""
    rng = np.random.default_rng(0)
    for loss in ("ce", "ce:weights=0.5", "mse", "bce", "ce:smoothing=0.2"):
        problem = Problem([40, 40, 7, 7, 1], regularizer=ClassifierDecay(0.02), head="layernorm:norm=3", loss=loss)
        solution = ufm.solve(problem)
        for spread in (1e-9, 1e-3):
            factors = solution.factors._replace(left=solution.factors.left * (1 + spread * rng.standard_normal()))
            found = normalised_bounds(problem.program(), factors, solution.program.scale**2)
            certificate = ufm.Certificate(
                found.lower, found.upper, "float", problem, found.program, factors, found.slopes
            ).rigorous()
            assert found.upper >= certificate.upper
            assert found.upper <= certificate.upper * (1 + 1e-11)
            assert found.lower <= certificate.lower
            assert found.lower >= certificate.lower - 1e-11
