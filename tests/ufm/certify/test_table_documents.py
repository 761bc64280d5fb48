"""Documents of tables written by hand, with random witnesses far from optimal, against the bounds of `tests.ufm.tables`."""

import random
from fractions import Fraction
from math import lcm

import mpmath as mp
import pytest

import ufm
from tests.ufm.tables import naive_lower, naive_upper
from ufm.certify.verify import arithmetic, prove, table

REGULARIZERS = {
    "decay": {"kind": "weight_decay", "lambda_W": "1/50", "lambda_H": "3/100", "lambda_b": None, "features": "per sample"},
    "per context": {"kind": "weight_decay", "lambda_W": "1/5", "lambda_H": "1/7", "lambda_b": None, "features": "per class"},
    "bias": {"kind": "weight_decay", "lambda_W": "1/50", "lambda_H": "1e-2", "lambda_b": "1/3", "features": "per sample"},
    "free bias": {"kind": "weight_decay", "lambda_W": "1/90", "lambda_H": "1/400", "lambda_b": "0", "features": "per sample"},
    "large decay": {"kind": "weight_decay", "lambda_W": "7", "lambda_H": "9", "lambda_b": None, "features": "per sample"},
    "budget": {"kind": "norm_budget", "E_W": "6/5", "E_H": "2/3"},
    "large budget": {"kind": "norm_budget", "E_W": "60", "E_H": "20"},
}
HEADS = {"explicit": {"kind": "explicit", "layers": 1}, "deq": {"kind": "linear_deq", "rho": "3/10"}}
LOSSES = ("ce", "pal", "bce", "mse", "multitask", "one task")
SHAPES = ((2, 1), (3, 4), (5, 2), (4, 7))


def columns(kind, rows, contexts, rng):
    """Integers over a power of two, and the blocks of rows."""
    if kind == "multitask" and rows > 3:
        blocks = [range(2), range(2, rows)]
    else:
        blocks = [range(rows)] if kind != "bce" and kind != "mse" else []
    found = [[0] * contexts for _ in range(rows)]
    for m in range(contexts):
        for block in blocks or [range(rows)]:
            for k in block:
                if kind == "pal":
                    found[k][m] = 8 * rng.randint(0, 1)
                elif kind == "mse":
                    found[k][m] = rng.randint(-20, 20)
                else:
                    found[k][m] = rng.choice((0, 0, 1, 3, 8)) if rng.random() < 0.6 else rng.randint(0, 8)
            if not any(found[k][m] for k in block):
                found[rng.choice(block)][m] = 8
    return found, blocks


def slopes(kind, weights, blocks, sizes, rng, free):
    """Exact slopes in the domain: towards a random point of it; without a residual where the bias is free."""
    rows, contexts = len(weights), len(sizes)
    share = [n * (sum(row[m] for row in weights) if kind == "pal" else 1) for m, n in enumerate(sizes)]
    target = [[Fraction(v, 8) for v in row] for row in weights]
    for block in blocks:
        for m in range(contexts):
            whole = sum(weights[k][m] for k in block)
            for k in block:
                target[k][m] = Fraction(weights[k][m], whole)
    mean = [sum(s * row[m] for m, s in enumerate(share)) / sum(share) for row in target]
    part = Fraction(rng.choice((0, 1, 30, 99, 100)), 100)
    found = [[Fraction(0)] * contexts for _ in range(rows)]
    for m in range(contexts):
        for block in blocks or [range(rows)]:
            other = [Fraction(rng.randint(0, 9)) for _ in block]
            whole = sum(other) or Fraction(1)
            for place, k in enumerate(block):
                if free:
                    goal = mean[k]
                elif blocks:
                    goal = other[place] / whole if sum(other) else target[k][m]
                else:
                    goal = other[place] / 9
                found[k][m] = part * (goal - target[k][m])
    return found


def document(kind, head, regularizer, shape, seed):
    rng = random.Random(f"{kind} {head} {regularizer} {shape} {seed}")
    rows, contexts = shape
    weights, blocks = columns(kind, rows, contexts, rng)
    sizes = [rng.choice((1, 1, 3, 40, 1000)) for _ in range(contexts)]
    free = REGULARIZERS[regularizer].get("lambda_b") == "0"
    exact = slopes(kind, weights, blocks, sizes, rng, free)
    denominator = lcm(*(v.denominator for row in exact for v in row)) * rng.choice((1, 3, 2**70))
    rank, biased = rng.randint(0, 3), REGULARIZERS[regularizer].get("lambda_b") is not None

    def numbers(count):
        return [str(rng.randint(-(2**12), 2**12)) for _ in range(count)]

    loss = {"kind": kind}
    if kind in ("multitask", "one task"):
        loss = {"kind": "multitask", "rows": [len(block) for block in blocks]}
    return {
        "format": "ufm-certificate/2",
        "problem": {
            "table": {"columns": {"exponent": -3, "integers": [[str(v) for v in row] for row in weights]}, "sizes": sizes},
            "loss": loss,
            "head": dict(HEADS[head]),
            "regularizer": dict(REGULARIZERS[regularizer]),
            "dim": rng.choice((None, rank, rank + 3)) or None,
        },
        "primal": {
            "left": {"exponent": -13, "integers": [numbers(rank) for _ in range(rows)]},
            "right": {"exponent": -11, "integers": [numbers(contexts) for _ in range(rank)]},
            "bias": {"exponent": -12, "integers": numbers(rows) if biased else ["0"] * rows},
        },
        "dual": {
            "denominator": str(denominator),
            "slopes": [[str(int(v * denominator)) for v in row] for row in exact],
        },
    }


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_bounds_are_those_of_the_naive_verifier(kind, regularizer):
    for seed, shape in enumerate(SHAPES):
        written = document(kind, ("explicit", "deq")[seed % 2], regularizer, shape, seed)
        lower, upper = naive_lower(written), naive_upper(written)
        if lower > upper:
            # A random point may lie below a bound only if one of them is wrong.
            pytest.fail(f"naive bounds contradict each other: {lower} {upper}")
        found = prove(written)
        assert mp.mpf(found.lower_float) <= lower
        assert mp.mpf(found.upper_float) >= upper
        room = 1e-12 * (1 + abs(float(lower)))
        assert found.lower_float == pytest.approx(float(lower), abs=room)
        assert found.upper_float == pytest.approx(float(upper), rel=1e-14)
        assert found.width == len(written["primal"]["right"]["integers"])


@pytest.mark.parametrize("kind", LOSSES)
def test_zero_slopes_and_whole_denominators(kind):
    written = document(kind, "explicit", "decay", (3, 4), 1)
    written["dual"] = {"denominator": "1", "slopes": [["0"] * 4] * 3}
    written["primal"] |= {"left": {"exponent": 0, "integers": [[], [], []]}, "right": {"exponent": 0, "integers": []}}
    found = prove(written)
    assert found.lower_float == pytest.approx(float(naive_lower(written)), abs=1e-14)
    assert found.upper_float == pytest.approx(float(naive_upper(written)), rel=1e-14)
    assert found.width == 0


@pytest.mark.parametrize(
    ("name", "limit", "fits"),
    [("MAX_ROWS", 3, (3, 4)), ("MAX_CONTEXTS", 4, (3, 4)), ("MAX_TABLE", 12, (3, 4)), ("MAX_SIZE", 1000, (3, 4))],
)
def test_limits_are_inclusive(monkeypatch, name, limit, fits):
    written = document("ce", "explicit", "decay", fits, 3)
    written["problem"]["table"]["sizes"][0] = 1000
    monkeypatch.setattr(table, name, limit)
    prove(written)
    monkeypatch.setattr(table, name, limit - 1)
    with pytest.raises(ufm.InputError, match="certificate"):
        prove(written)


def test_targets_have_the_digits_of_float64(monkeypatch):
    written = document("mse", "explicit", "decay", (3, 4), 3)
    written["problem"]["table"]["columns"]["integers"][1][2] = str(2**table.MAX_BITS - 1)
    prove(written)
    written["problem"]["table"]["columns"]["integers"][1][2] = str(2**table.MAX_BITS)
    with pytest.raises(ufm.InputError, match="no float64"):
        prove(written)
    written["problem"]["table"]["columns"] = {"exponent": -table.MAX_BITS, "integers": [["1"] * 4] * 3}
    prove(written)
    written["problem"]["table"]["columns"]["exponent"] -= 1
    with pytest.raises(ufm.InputError, match="no float64"):
        prove(written)


def test_products_are_afforded_before_they_are_made(monkeypatch):
    written = document("ce", "explicit", "decay", (4, 7), 2)
    bits = [
        (64 + max(abs(int(v)).bit_length() for row in rows for v in row))
        for rows in (written["dual"]["slopes"], written["primal"]["left"]["integers"], written["primal"]["right"]["integers"])
    ]
    assert max(bits) > 64
    for limit in (1, 4 * 7 * 2):
        monkeypatch.setattr(arithmetic, "MAX_WORK", limit)
        with pytest.raises(ufm.InputError, match="too many"):
            prove(written)


@pytest.mark.parametrize("rows", [[], ["1", "2"], [["1"]], [["1"] * 3, ["1"] * 4], [["1"] * 4], "x", None])
def test_columns_of_another_shape(rows):
    written = document("ce", "explicit", "decay", (3, 4), 1)
    written["problem"]["table"]["columns"]["integers"] = rows
    with pytest.raises(ufm.InputError, match="certificate"):
        prove(written)


def change(document, path, value):
    """The document with another value where a path of keys and places leads."""
    *way, last = path.split(".")
    place = document
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("ce", "problem.extra", "1", "certificate's problem must have exactly"),
        ("ce", "problem.table.extra", "1", "certificate's table must have exactly"),
        ("ce", "problem.loss.extra", "1", "certificate's loss must have exactly"),
        ("multitask", "problem.loss.extra", "1", "certificate's loss must have exactly"),
        ("ce", "dual.extra", "1", "certificate's dual must have exactly"),
        ("ce", "primal.extra", "1", "certificate's primal must have exactly"),
        ("multitask", "problem.loss.rows", "x", "certificate has tasks of the wrong shape"),
        ("ce", "problem.table.columns.integers.1", ["1"], "certificate has columns of the wrong shape"),
        ("ce", "problem.table.columns.integers.1", ["1"] * 8, "certificate has columns of the wrong shape"),
        ("ce", "problem.table.sizes", "x", "certificate has sizes of the wrong shape"),
        ("ce", "dual.slopes", "x", "certificate has dual slopes of the wrong shape"),
        ("ce", "dual.slopes.0", "x", "certificate has dual slopes of the wrong shape"),
        ("ce", "dual.slopes", [["0"] * 7] * 5, "certificate has dual slopes of the wrong shape"),
        ("ce", "primal.left.integers", [["1"]] * 5, "certificate has left factors of the wrong shape"),
        ("ce", "primal.left.integers", [["1"]] * 3 + [["1", "2"]], "certificate has left factors of the wrong shape"),
        ("ce", "primal.right.integers.0", ["1"] * 6, "certificate has right factors of the wrong shape"),
        ("ce", "primal.bias.integers", ["0"] * 5, "certificate has biases of the wrong shape"),
        ("ce", "primal.bias.integers", [["0"]] * 4, "certificate has biases of the wrong shape"),
        ("ce", "problem.dim", 10**9 + 1, "certificate has dim=1000000001"),
        ("pal", "problem.table.columns.integers.0.0", "4", "targets that pal does not take"),
        ("bce", "problem.table.columns.exponent", 1, "targets that bce does not take"),
        ("pal", "problem.table.columns.exponent", 1, "targets that pal does not take"),
    ],
)
def test_what_is_wrong_is_named(kind, path, value, message):
    written = document(kind, "explicit", "decay", (4, 7), 2)
    written["primal"] |= {
        "left": {"exponent": -3, "integers": [["1"]] * 4},
        "right": {"exponent": -3, "integers": [["2"] * 7]},
    }
    written["problem"]["dim"] = 10**9
    prove(written)
    if path.endswith("columns.exponent"):
        written["problem"]["table"]["columns"]["integers"] = [["0"] * 7 for _ in range(4)]
        written["problem"]["table"]["columns"]["integers"][1] = ["1"] * 7
        written["dual"] = {"denominator": "1", "slopes": [["0"] * 7] * 4}
    change(written, path, value)
    with pytest.raises(ufm.InputError, match=message):
        prove(written)


def test_work_is_counted_exactly(monkeypatch):
    """Multiplications of each product times the bits of both factors, 64 each for the numbers themselves."""

    def bits(rows):
        return 64 + max(abs(int(v)).bit_length() for row in rows for v in row)

    written = document("bce", "explicit", "per context", (4, 7), 2)
    written["primal"] |= {"left": {"exponent": 0, "integers": [[]] * 4}, "right": {"exponent": 0, "integers": []}}
    slopes = written["dual"]["slopes"]
    # Equal scales: the weights are the squared sizes over their common denominator.
    sizes = written["problem"]["table"]["sizes"]
    squares = [Fraction(n, sum(sizes)) ** 2 for n in sizes]
    common = lcm(*(v.denominator for v in squares))
    scaled = [[int(v) * int(w * common) for v, w in zip(row, squares, strict=True)] for row in slopes]
    work = 4**2 * 7 * bits(slopes) * bits(scaled)
    monkeypatch.setattr(arithmetic, "MAX_WORK", work)
    prove(written)
    monkeypatch.setattr(arithmetic, "MAX_WORK", work - 1)
    with pytest.raises(ufm.InputError, match="too many"):
        prove(written)
    written = document("ce", "explicit", "decay", (2, 5), 2)
    left, right = [["1", "4095", "-9"]] * 2, [["3", "-4000", "2", "1", "1"]] * 3
    written["primal"] |= {"left": {"exponent": -9, "integers": left}, "right": {"exponent": -9, "integers": right}}
    written["problem"]["dim"] = None
    written["dual"] = {"denominator": "1", "slopes": [["0"] * 5] * 2}
    work = 2 * 5 * 3 * bits(left) * bits(right)
    monkeypatch.setattr(arithmetic, "MAX_WORK", work)
    prove(written)
    monkeypatch.setattr(arithmetic, "MAX_WORK", work - 1)
    with pytest.raises(ufm.InputError, match="too many"):
        prove(written)
