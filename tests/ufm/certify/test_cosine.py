"""Certificates of cosines: against the naive verifier, forged, altered, and with wrong weights."""

from __future__ import annotations

import copy
import json
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import ufm
from tests.ufm.certify import documents, naive, naive_cosine
from tests.ufm.certify.adversary import attack
from tests.ufm.certify.test_bounds_against_naive import end
from ufm import Cosine, NoDecay, Problem
from ufm._rounding import square_left
from ufm.certify.normalised import cosine_bounds
from ufm.certify.verify import prove, working_precision
from ufm.spectral.normalised import cosine_norms

EXACT, TIGHT = mpmath.mpf("1e-38"), mpmath.mpf("1e-12")
"""Balls have 48 digits; operator norms of the verifier are right to some 1e-14."""


@pytest.mark.parametrize("of", documents.LOSSES)
def test_bounds_are_those_of_the_naive_verifier(of):
    for seed, groups in enumerate(documents.GROUPS):
        document = naive_cosine.written(of, groups, seed)
        lower, upper = naive_cosine.bounds(document)
        found = prove(document)
        with mpmath.workdps(naive.DIGITS), working_precision():
            scale = max(abs(lower), upper)
            low, high = end(found.lower.lower()), end(found.upper.upper())
            assert low <= lower + EXACT * scale
            assert low >= lower - TIGHT * scale
            assert upper - EXACT * scale <= high <= upper + EXACT * scale


FORGED = [
    ("problem.head.scale", ["0", "-1", "1e-8", "202", 2, None]),
    ("problem.head.kind", ["cosines", "layer_norm", None]),
    ("problem.head.norm", ["1"]),
    ("problem.regularizer.kind", ["classifier_decay", "weight_decay", None]),
    ("problem.regularizer.lambda_W", ["1"]),
    ("problem.dim", [0, 1, "-3"]),
    ("weights", [None, {"exponent": 0, "integers": ["1"]}, {"exponent": 0, "integers": ["1", "0"]}]),
    ("rows", [None, {"exponent": 0, "integers": ["1"]}, {"exponent": 0, "integers": ["1", "-1"]}, {"exponent": 0}]),
    ("primal.bias.integers.0", ["1"]),
    ("primal.contrast.integers.1", ["1"]),
    ("dual.own.0", ["-1", "1"]),
]


@pytest.mark.parametrize(("path", "values"), FORGED, ids=[path for path, _ in FORGED])
def test_forged_documents_are_refused(path, values):
    original = naive_cosine.written("plain", [(2, 30), (1, 10)], 1)
    original["primal"]["left"]["integers"] = [["1", "2"], ["3", "4"]]
    original["primal"]["right"]["integers"] = [["1", "2"], ["3", "4"]]
    prove(original)
    for value in values:
        document = copy.deepcopy(original)
        *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        part = document
        for step in way:
            part = part[step]
        part[last] = value
        with pytest.raises(ufm.InputError, match="certificate"):
            prove(document)
    for name in ("weights", "rows"):
        document = copy.deepcopy(original)
        del document[name]
        with pytest.raises(ufm.InputError, match="certificate"):
            prove(document)


NAMED = [
    ("problem.head.norm", "1", "certificate's head must"),
    ("problem.regularizer.lambda_W", "1", "certificate's regularizer must"),
    ("problem.head.scale", "202", "the scale of cosines '202'"),
    ("weights.integers", ["1"], "certificate has weights of the wrong shape"),
    ("rows.integers", ["1", "2", "3"], "certificate has weights of the wrong shape"),
    ("rows.integers", ["1", "0"], "a weight that is not positive"),
    ("rows.integers", ["1", ["1"]], "a weight that is not positive"),
]


@pytest.mark.parametrize(("path", "value", "message"), NAMED)
def test_refusals_name_what_is_wrong(path, value, message):
    document = naive_cosine.written("plain", [(2, 30), (1, 10)], 1)
    *way, last = path.split(".")
    part = document
    for step in way:
        part = part[step]
    part[last] = value
    with pytest.raises(ufm.InputError, match=message):
        prove(document)


@pytest.mark.parametrize("contrast", [0, 1])
@pytest.mark.parametrize(("left", "right"), [(16, 1), (1, 16), (64, 64), (1, 1)])
def test_a_longest_row_times_a_longest_feature_is_what_counts(left, right, contrast):
    """Rows longer than the scale with features shorter than one, the converse, both too long, and both short enough."""
    document = naive_cosine.written("plain", [(2, 30), (1, 10)], 1)
    document["problem"]["head"]["scale"] = "1/2"
    document["primal"]["contrast"] = {"exponent": -6, "integers": [str(contrast), "0"]}
    document["primal"]["left"] = {"exponent": -4, "integers": [[str(left), "0"], ["0", str(-left)]]}
    document["primal"]["right"] = {"exponent": -4, "integers": [[str(right), "0"], ["0", str(-right)]]}
    _, upper = naive_cosine.bounds(document)
    with mpmath.workdps(naive.DIGITS), working_precision():
        assert abs(end(prove(document).upper.upper()) - upper) <= EXACT * upper


@pytest.mark.parametrize("loss", ["ce", "ce:smoothing=0.1", "mse", "bce", "ce:temperatures=0.5"])
def test_saved_certificates_are_accepted_and_altered_ones_rejected(tmp_path, loss):
    solution = ufm.solve(Problem([100] * 5 + [1] * 5, regularizer=NoDecay(), head=Cosine(0.8), loss=loss))
    path = tmp_path / "c.json"
    solution.save(path)
    assert ufm.recheck(path).accepted
    proved = solution.certificate.rigorous()
    assert solution.lower <= proved.upper
    assert proved.lower <= solution.upper
    assert proved.gap <= 1e-11 * max(proved.upper, 0.5)
    text = json.loads(path.read_text())
    for change in (
        lambda d: d["problem"]["head"].__setitem__("scale", "81/100"),
        lambda d: d["problem"]["groups"][0].__setitem__("size", 101),
        lambda d: d["weights"]["integers"].__setitem__(0, str(int(d["weights"]["integers"][0]) * 2)),
        lambda d: d["rows"]["integers"].__setitem__(1, str(int(d["rows"]["integers"][1]) // 2)),
        lambda d: d["primal"]["contrast"]["integers"].__setitem__(0, "0"),
        lambda d: d["claim"].__setitem__("lower", "9"),
        lambda d: d["claim"].__setitem__("width", 1),
        lambda d: d.pop("rows"),
        lambda d: d.pop("weights"),
    ):
        altered = copy.deepcopy(text)
        change(altered)
        path.write_text(json.dumps(altered))
        assert not ufm.recheck(path).accepted


def descended(counts, scale, seed):
    """Least loss by L-BFGS on directions of classifiers and features, from the definition alone."""
    from scipy.optimize import minimize

    n = np.array(counts, dtype=float)
    share, classes = n / n.sum(), len(n)
    width = classes + 2

    def objective(theta):
        raw = theta.reshape(2, classes, width)
        lengths = np.linalg.norm(raw, axis=2, keepdims=True)
        w, h = raw / lengths
        logits = scale * w @ h.T
        top = logits.max(axis=0)
        odds = np.exp(logits - top)
        values = np.log(odds.sum(axis=0)) + top - np.diag(logits)
        slope = scale * (odds / odds.sum(axis=0) - np.eye(classes)) * share
        slopes = np.stack([slope @ h, slope.T @ w])
        unit = raw / lengths
        return share @ values, ((slopes - unit * (unit * slopes).sum(axis=2, keepdims=True)) / lengths).ravel()

    rng = np.random.default_rng(seed)
    options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 30}
    start = rng.standard_normal(2 * classes * width)
    return minimize(objective, start, jac=True, method="L-BFGS-B", options=options).fun


@pytest.mark.parametrize(("counts", "scale"), [([30, 30, 3, 3, 3], 2.0), ([9, 4, 1], 4.0), ([50, 2], 1.0), ([5] * 4, 3.0)])
def test_wrong_weights_prove_bounds_all_the_same(counts, scale):
    """Any weights and any slopes: never above what descent reaches, which is the certified optimum."""
    least = min(descended(counts, scale, seed) for seed in range(2))
    problem = Problem(counts, regularizer=NoDecay(), head=Cosine(scale))
    solution = ufm.solve(problem)
    assert solution.relative_gap < 1e-11
    assert least == pytest.approx(solution.value, rel=1e-9)
    program, groups = problem.program(), len(problem.counts.groups)
    rng = np.random.default_rng(1)
    for spread in (0.03, 0.3, 3.0):
        for _ in range(10):
            columns = solution.program.scale**2 * np.exp(spread * rng.standard_normal(groups))
            rows = solution.program.rows * np.exp(spread * rng.standard_normal(groups))
            slopes = solution.certificate.slopes * np.exp(0.1 * spread * min(rng.standard_normal(), 0.0))
            found, _ = cosine_bounds(program, solution.factors, columns, rows, slopes)
            assert found.lower <= least * (1 + 1e-12)
            assert found.upper >= solution.lower


def test_factors_that_are_too_long_are_scaled_into_the_norms():
    problem = Problem([30, 30, 3, 3, 3], regularizer=NoDecay(), head=Cosine(2.0))
    solution = ufm.solve(problem)
    longer = solution.factors._replace(contrast=1.1 * solution.factors.contrast, left=1.1 * solution.factors.left)
    found, inside = cosine_bounds(problem.program(), longer, solution.program.scale**2, solution.program.rows)
    assert found.upper >= solution.lower
    rows, columns = cosine_norms(found.program, inside, 2.0)
    assert rows.max() * columns.max() <= 4.0
    assert np.linalg.norm(inside.left @ inside.right) < np.linalg.norm(longer.left @ longer.right)
    shorter = solution.factors._replace(contrast=0.9 * solution.factors.contrast)
    found, _ = cosine_bounds(problem.program(), shorter, solution.program.scale**2, solution.program.rows)
    assert found.upper > solution.upper * (1 + 1e-3)


@pytest.mark.parametrize("close", [1e-3, 1e-9, 2.0**-52])
def test_what_rows_leave_of_the_scale_is_right_however_much_cancels(close):
    rng = np.random.default_rng(5)
    scale = 0.8239742678406705
    rows = rng.standard_normal((4, 3))
    rows *= scale * (1.0 - close * np.array([1.0, 2.0, -1.0, 0.0])[:, None]) / np.linalg.norm(rows, axis=1, keepdims=True)
    exact = [Fraction(scale) ** 2 - sum(Fraction(v) ** 2 for v in row) for row in rows]
    assert [Fraction(v) for v in square_left(scale, rows)] == [Fraction(float(v)) for v in exact]
    plain = scale**2 - (rows**2).sum(axis=1)
    assert close > 1e-6 or any(abs(float(v / e) - 1) > 1e-9 for v, e in zip(map(Fraction, plain), exact, strict=True))


@pytest.mark.parametrize("long", [1e151, np.inf, np.nan])
def test_rows_beyond_float64_leave_no_room(long):
    with np.errstate(over="ignore"):
        found = square_left(1.0, np.array([[0.5, 0.5], [long, 0.5]]))
    assert found[0] == 0.5
    assert not found[1] >= 0


def test_classifiers_that_use_up_the_scale_in_what_groups_share():
    """The rows of three classes leave 5e-5 of the squared scale for contrasts: plain sums lost twelve digits of it."""
    labels, wrong = attack(1, 1760)
    assert labels == ["Cosine", "ce", "optimal"]
    assert not wrong
