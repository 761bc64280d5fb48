"""Documents of tables with features of a fixed norm: written by hand against naive bounds, saved, and forged."""

import copy
import json
import random
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest

import ufm
from tests.ufm.certify.test_table_documents import SHAPES, document
from tests.ufm.tables import KINDS, random_table
from ufm import ClassifierDecay, Problem, TargetTable
from ufm.certify.verify import prove

LOSSES = ("ce", "pal", "bce", "mse", "multitask")


def written(kind, shape, seed, bias):
    """A document with random slopes, factors and weights, none of them optimal."""
    given = {None: "per context", "1/3": "bias", "0": "free bias"}[bias]
    found = document(kind, "explicit", given, shape, seed)
    rng = random.Random(seed)
    weights = [str(rng.randint(1, 2**20)) for _ in range(shape[1])]
    found["problem"]["head"] = {"kind": "layer_norm", "norm": "5/4"}
    found["problem"]["regularizer"] = {"kind": "classifier_decay", "lambda_W": "1/20", "lambda_b": bias}
    return found | {"weights": {"exponent": rng.randint(-10, 10), "integers": weights}}


def matrix(data):
    unit = mp.mpf(2) ** data["exponent"]
    return [[mp.mpf(int(v)) * unit for v in row] for row in data["integers"]]


def blocks(loss, rows):
    lengths = loss.get("rows", [rows] if loss["kind"] in ("ce", "pal") else [])
    return [range(sum(lengths[:i]), sum(lengths[: i + 1])) for i in range(len(lengths))]


def naive(data):
    """Both bounds of Proposition 12.13 in 50 digits, straight from the statement."""
    stated, dual, primal = data["problem"], data["dual"], data["primal"]
    columns, sizes, loss = matrix(stated["table"]["columns"]), stated["table"]["sizes"], stated["loss"]
    rows, contexts, kind = len(columns), len(sizes), loss["kind"]
    norm, decay = (
        mp.mpf(f.numerator) / f.denominator
        for f in (Fraction(stated["head"]["norm"]), Fraction(stated["regularizer"]["lambda_W"]))
    )
    effective, written_bias = decay / norm**2, stated["regularizer"]["lambda_b"]
    bias_decay = None if written_bias is None else mp.mpf(Fraction(written_bias).numerator) / Fraction(written_bias).denominator
    omega = [1 / (mp.mpf(int(w)) * mp.mpf(2) ** data["weights"]["exponent"]) for w in data["weights"]["integers"]]
    targets = [list(row) for row in columns]
    for block in blocks(loss, rows):
        for m in range(contexts):
            whole = sum(columns[k][m] for k in block)
            for k in block:
                targets[k][m] = columns[k][m] / whole
    counted = [sum(row[m] for row in columns) if kind == "pal" else 1 for m in range(contexts)]
    share = [mp.mpf(n) * w / sum(sizes) for n, w in zip(sizes, counted, strict=True)]
    slopes = [[mp.mpf(int(v)) / int(dual["denominator"]) for v in row] for row in dual["slopes"]]
    g = mp.matrix(rows, contexts)
    for k in range(rows):
        for m in range(contexts):
            g[k, m] = slopes[k][m] * share[m] / mp.sqrt(omega[m])
    length = mp.sqrt(max(max(mp.eigsy(g * g.T, eigvals_only=True)), mp.mpf(0)))
    linear = quadratic = mp.mpf(0)
    for m in range(contexts):
        s, y = [row[m] for row in slopes], [row[m] for row in targets]
        q = [a + b for a, b in zip(s, y, strict=True)]
        if kind == "mse":
            quadratic += share[m] * sum(v * v for v in s) / 2
            linear -= share[m] * sum(a * b for a, b in zip(s, y, strict=True))
        elif kind == "bce":
            linear -= share[m] * sum(v * mp.log(v) + (1 - v) * mp.log(1 - v) for v in q if 0 < v < 1)
        else:
            linear -= share[m] * sum(v * mp.log(v) for v in q if v > 0)
    if bias_decay:
        quadratic += sum(sum(v * p for v, p in zip(row, share, strict=True)) ** 2 for row in slopes) / (2 * bias_decay)
    # The verifier proves t (linear) - t^2 (quadratic) for the largest t <= 1 with t * length <= 1.
    t = min(mp.mpf(1), 1 / length) if length else mp.mpf(1)
    lower = t * linear - t**2 * quadratic - sum(omega) / (2 * effective)
    left, right = matrix(primal["left"]), matrix(primal["right"])
    b = [mp.mpf(int(v)) * mp.mpf(2) ** primal["bias"]["exponent"] for v in primal["bias"]["integers"]]
    upper = mp.mpf(0)
    for m, p in enumerate(share):
        z = [sum(left[k][i] * right[i][m] for i in range(len(right))) + b[k] for k in range(rows)]
        y = [row[m] for row in targets]
        if kind == "mse":
            one = sum((a - c) ** 2 for a, c in zip(z, y, strict=True)) / 2
        elif kind == "bce":
            one = sum(mp.log(1 + mp.exp(a)) - c * a for a, c in zip(z, y, strict=True))
        else:
            one = sum(
                mp.log(sum(mp.exp(z[k]) for k in block)) - sum(y[k] * z[k] for k in block) for block in blocks(loss, rows)
            )
        upper += p * one
    weight = sum(v * v for row in left for v in row)
    longest = max(sum(row[m] ** 2 for row in right) for m in range(contexts)) if right else mp.mpf(0)
    upper += effective / 2 * weight * longest + (bias_decay or 0) / 2 * sum(v * v for v in b)
    return lower, upper


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("bias", [None, "1/3", "0"])
def test_bounds_are_those_of_naive_arithmetic(kind, bias):
    for seed, shape in enumerate(SHAPES):
        data = written(kind, shape, seed, bias)
        with mp.workdps(50):
            lower, upper = naive(data)
            assert lower <= upper
            found = prove(data)
            assert mp.mpf(found.lower_float) <= lower
            assert mp.mpf(found.upper_float) >= upper
            assert found.lower_float == pytest.approx(float(lower), rel=1e-12, abs=1e-12)
            assert found.upper_float == pytest.approx(float(upper), rel=1e-14)
            assert found.width == len(data["primal"]["right"]["integers"])


def problems():
    soft = TargetTable.soft([[0.5, 0.2, 1], [0.3, 0.3, 0], [0.2, 0.5, 0]], [2, 3, 4])
    sets = TargetTable([[1, 0, 1], [0, 1, 1], [1, 0, 0.0]], [2, 3, 4])
    return {
        "ce": Problem(soft, regularizer=ClassifierDecay(0.01), head="layernorm:norm=2"),
        "free": Problem(soft, regularizer=ClassifierDecay(0.01, 0.0), head="layernorm"),
        "pal": Problem(sets, regularizer=ClassifierDecay(0.02, 0.5), loss="pal", head="layernorm"),
        "bce": Problem(sets, regularizer=ClassifierDecay(0.02), loss="bce", head="layernorm"),
        "mse": Problem(sets, regularizer=ClassifierDecay(0.03, 0.0), loss="mse", head="layernorm"),
        "narrow": Problem(soft, regularizer=ClassifierDecay(1e-4), head="layernorm", dim=1),
    }


@pytest.fixture(scope="module")
def saved():
    return {name: ufm.solve(problem).certificate.document() for name, problem in problems().items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [None, 0.1])
def test_float_and_rigorous_bounds_agree_and_saved_ones_are_accepted(kind, bias, tmp_path):
    table, loss = random_table(np.random.default_rng(KINDS.index(kind)), kind)
    found = ufm.solve(Problem(table, regularizer=ClassifierDecay(0.02, bias), loss=loss, head="layernorm:norm=1.5"))
    exact = found.certificate.rigorous()
    assert exact.level == "rigorous"
    assert max(found.lower, exact.lower) <= min(found.upper, exact.upper)
    assert found.lower <= exact.lower * (1 + 1e-14)
    assert exact.lower == pytest.approx(found.lower, rel=1e-11)
    assert exact.upper == pytest.approx(found.upper, rel=1e-11)
    path = tmp_path / "c.json"
    found.save(path)
    assert ufm.recheck(path).accepted
    document = json.loads(path.read_text())
    for end, factor in (("lower", 1.0001), ("upper", 0.9999)):
        forged = copy.deepcopy(document)
        forged["claim"][end] = repr(float(forged["claim"][end]) * factor)
        path.write_text(json.dumps(forged))
        assert not ufm.recheck(path).accepted
    assert ufm.solve(found.problem, level="rigorous").status == "optimal"


def put(*path):
    """A change that puts the last item where the others lead."""

    def change(data):
        place = data
        for key in path[:-2]:
            place = place[key]
        place[path[-2]] = path[-1]

    return change


FORGED = [
    ("ce", put("weights", "integers", 0, "0"), "weight that is not positive"),
    ("ce", put("weights", "integers", 0, "-5"), "weight that is not positive"),
    ("ce", put("weights", "integers", ["1", "1"]), "weights of the wrong shape"),
    ("ce", put("weights", "integers", [["1"], ["1"], ["1"]]), "weight that is not positive"),
    ("ce", put("weights", "exponent", 10**6), "binary exponent"),
    ("ce", put("weights", None), "exactly the keys"),
    ("ce", lambda d: d.pop("weights"), "unknown regularizer"),
    ("ce", put("rows", {"exponent": 0, "integers": ["1", "1", "1"]}), "exactly the keys"),
    ("ce", put("problem", "head", {"kind": "explicit", "layers": 1}), "does not go with weights"),
    ("ce", put("problem", "head", "norm", "0"), "norm of features"),
    ("ce", put("problem", "head", "norm", "-2"), "norm of features"),
    ("ce", put("problem", "head", "extra", "1"), "exactly the keys"),
    ("ce", put("problem", "regularizer", "lambda_W", "0"), "positive"),
    ("ce", put("problem", "regularizer", "lambda_W", "1e30"), "no problem has"),
    ("ce", put("problem", "regularizer", {"kind": "no_decay"}), "does not go with weights"),
    ("ce", put("problem", "regularizer", {"kind": "norm_budget", "E_W": "1", "E_H": "1"}), "does not go with weights"),
    ("pal", put("problem", "regularizer", "lambda_b", "-1"), "bias decay '-1', which"),
    ("ce", put("problem", "regularizer", "lambda_b", "0"), "do not balance a free bias"),
    ("ce", put("dual", "slopes", 0, 0, "12345678901234567890"), "do not sum to zero"),
    ("bce", put("dual", "slopes", 0, 0, str(-(10**40))), "outside"),
    ("narrow", put("problem", "dim", 0), "dim=0"),
    ("ce", put("problem", "dim", 1), "more than dim=1"),
    ("ce", put("primal", "left", "integers", 0, ["1"]), "wrong shape"),
]


@pytest.mark.parametrize(("name", "change", "message"), FORGED)
def test_forged_documents_prove_nothing(saved, name, change, message):
    data = copy.deepcopy(saved[name])
    prove(data)  # the honest one is proved
    change(data)
    with pytest.raises(ufm.InputError, match=message):
        prove(data)


@pytest.mark.parametrize("name", ["ce", "free", "pal", "bce", "mse"])
def test_other_weights_prove_less_and_never_more_than_the_optimum(saved, name):
    honest, data = prove(saved[name]), copy.deepcopy(saved[name])
    integers = [int(v) for v in data["weights"]["integers"]]
    for factor in ((2, 1, 1), (1, 3, 1), (1, 1, 100), (4, 4, 4)):
        data["weights"]["integers"] = [str(a * b) for a, b in zip(integers, factor, strict=True)]
        found = prove(data)
        assert found.lower < honest.lower
        assert found.upper.overlaps(honest.upper)
    # Weights that are too large cost more allowance than they allow slopes.
    data["weights"] = {"exponent": saved[name]["weights"]["exponent"] - 2, "integers": [str(v) for v in integers]}
    assert prove(data).lower < honest.lower


def test_a_larger_norm_or_a_smaller_decay_is_another_problem(saved):
    """The witness proves less of a model with a smaller optimum: the allowance and the price follow the stated numbers."""
    honest, data = prove(saved["ce"]), copy.deepcopy(saved["ce"])
    data["problem"]["head"]["norm"] = "4"
    larger = prove(data)
    assert larger.lower < honest.lower
    assert larger.upper < honest.upper


def test_features_need_not_have_the_norm(saved):
    """Features twice as long with half of W are the same point; the price takes the longest feature."""
    honest, data = prove(saved["ce"]), copy.deepcopy(saved["ce"])
    data["primal"]["right"]["exponent"] += 1
    data["primal"]["left"]["exponent"] -= 1
    assert prove(data).upper_float == honest.upper_float
    data["primal"]["right"]["exponent"] += 1
    assert prove(data).upper > honest.upper


def test_squares_of_differences_that_may_be_zero():
    """A bias equal to real targets, and logits far below its last digit: their difference is known up to rounding only."""
    data = written("mse", (2, 1), 0, "0")
    data["problem"]["table"] = {"columns": {"exponent": -3, "integers": [["3"], ["5"]]}, "sizes": [2]}
    data["problem"]["dim"] = None
    data["dual"] = {"denominator": "1", "slopes": [["0"], ["0"]]}
    data["primal"] = {
        "left": {"exponent": -700, "integers": [["1"], ["1"]]},
        "right": {"exponent": 0, "integers": [["1"]]},
        "bias": {"exponent": -3, "integers": ["3", "5"]},
    }
    assert 0.0 <= prove(data).upper_float < 1e-80
