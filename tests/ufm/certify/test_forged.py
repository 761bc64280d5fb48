"""For every inequality that the verifier checks, a witness that violates just this one and is otherwise valid.

Only validation can refuse them: no claim is made, so none is too strong for what the witness proves.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

import ufm
from tests.ufm.certify import documents
from ufm.certify.verify import prove


def base(head: str = "explicit", regularizer: str = "decay", of: str = "plain", groups: Any = ((2, 30), (1, 10))) -> Any:
    document = documents.document(head, regularizer, of, list(groups), 1, spread=0.5)
    document["problem"]["dim"] = None
    if groups[0][0] > 1:
        document["primal"]["contrast"]["integers"][0] = "123456789"
    prove(document)
    return document


def put(document: Any, path: str, value: Any) -> None:
    """Set the entry at a path such as ``problem.groups.0.size``; integers are positions."""
    *way, last = [int(p) if p.lstrip("-").isdigit() else p for p in path.split(".")]
    for step in way:
        document = document[step]
    document[last] = value


def move(document: Any, amount: int) -> None:
    """Move probability from the class itself to one other class: all columns still sum to one."""
    dual = document["dual"]
    dual["other"][1][0] = str(int(dual["other"][1][0]) + amount)
    dual["own"][0] = str(int(dual["own"][0]) - amount)


ENTRIES = [
    # (what is violated, base, path, forged values)
    ("format", {}, "format", ["ufm-certificate/1", None, 2]),
    ("classes", {}, "problem.groups.1.classes", [0, -1, "x", 1.0, True, None, 2**40 + 1, "-1"]),
    ("size", {}, "problem.groups.0.size", [0, -30, 2**53 + 1, "", "1.5", False, [30], "3" * 1300]),
    ("weights", {}, "problem.loss.weights.0", ["0", "-1", "1e-100", "1e101", 1, "1/0", "nan", None]),
    ("weights' number", {}, "problem.loss.weights", [["1"], ["1"] * 3, "11", {}]),
    ("temperatures", {}, "problem.loss.temperatures.1", ["0", "-1", "1e-11", "1e11"]),
    ("temperatures' number", {}, "problem.loss.temperatures", [["1"], ["1"] * 3]),
    ("offsets", {}, "problem.loss.offsets.1", ["10001", "-10001", "10000", "inf", "--1", "1/-2"]),
    ("offsets' number", {}, "problem.loss.offsets", [["1"], ["1"] * 3]),
    ("smoothing", {"of": "smoothing"}, "problem.loss.smoothing", ["1", "3/2", "-1/10", 0]),
    ("kind of loss", {}, "problem.loss.kind", ["focal", None, "mse", ["ce"]]),
    ("keys of the loss", {"of": "mse"}, "problem.loss.weights", [["1", "1"]]),
    ("lambda_W", {}, "problem.regularizer.lambda_W", ["0", "-1/50", 0.02, "1e-320", "1e320", None]),
    ("lambda_H", {}, "problem.regularizer.lambda_H", ["0", "-1/50", "1e-152"]),
    ("lambda_b", {"regularizer": "bias decay"}, "problem.regularizer.lambda_b", ["-1/3", "-1", "1e-16", "1e16", 0]),
    ("features", {}, "problem.regularizer.features", ["per batch", None, True, "Per sample"]),
    ("kind of regularizer", {}, "problem.regularizer.kind", ["norm_budget", "none", None, []]),
    ("E_W", {"regularizer": "budget"}, "problem.regularizer.E_W", ["0", "-1", "1e-151", "1e151"]),
    ("E_H", {"regularizer": "budget"}, "problem.regularizer.E_H", ["0", "-1"]),
    ("kind of head", {}, "problem.head.kind", ["linear", None, [], 1]),
    ("layers", {}, "problem.head.layers", [0, -1, 51, "1", True, 1.0, None]),
    ("rho", {"head": "linear DEQ"}, "problem.head.rho", ["1", "-1/10", "11/10", 0, "1e0"]),
    ("contraction", {"head": "decayed DEQ"}, "problem.head.contraction", ["1", "0", "-1/2", "3/2", None]),
    ("decay on A", {"head": "decayed DEQ"}, "problem.head.decay", ["0", "-1", "1e-100", "1e101"]),
    ("Frobenius budget", {"head": "Frobenius DEQ"}, "problem.head.budget", ["1", "-1/10", "2"]),
    ("Frobenius budget under budgets", {"head": "Frobenius DEQ", "regularizer": "budget"}, "problem.head.budget", ["1", "2"]),
    ("rho under budgets", {"head": "linear DEQ", "regularizer": "budget"}, "problem.head.rho", ["1", "2", "-1"]),
    ("norm", {"head": "etf"}, "problem.head.norm", ["0", "-1", "1e-151", "1e151", 1]),
    ("norm against E_W", {"head": "etf", "regularizer": "budget"}, "problem.head.norm", ["1", "13/10"]),
    ("average", {"head": "etf"}, "problem.head.average", [True, "yes", None, 0]),
    ("average, no truth value", {"head": "etf on average", "regularizer": "budget"}, "problem.head.average", ["no", None, 1]),
    ("keys of the head", {}, "problem.head.rho", ["0"]),
    ("keys of the regularizer", {}, "problem.regularizer.E_W", ["1"]),
    ("keys of budgets", {"regularizer": "budget"}, "problem.regularizer.lambda_b", [None, "0"]),
    ("keys of relu", {"head": "relu"}, "problem.head.layers", [1]),
    ("keys of a group", {}, "problem.groups.0.name", ["x"]),
    ("keys of the problem", {}, "problem.depth", [1]),
    ("keys of the document", {}, "proof", [1]),
    ("keys of the witness", {}, "dual.tau", ["1"]),
    ("keys of the factors", {}, "primal.scale", [{"exponent": 0, "integers": []}]),
    ("keys of one factor", {}, "primal.left.unit", [1]),
    ("dim", {}, "problem.dim", [0, -1, 10**9 + 1, "3.0", 4.0, True]),
    ("dim below the factors' width", {}, "problem.dim", [1]),
    ("dim of relu", {"head": "relu"}, "problem.dim", [2, 1]),
    ("dim of etf", {"head": "etf"}, "problem.dim", [1]),
    ("groups", {}, "problem.groups", [[], None, {}, "ab"]),
    ("problem", {}, "problem", [None, [], "x"]),
    ("loss", {}, "problem.loss", [None, "ce", []]),
    ("head", {}, "problem.head", [None, "explicit"]),
    ("regularizer", {}, "problem.regularizer", [None, "decay"]),
    ("dual", {}, "dual", [None, [], {}, {"own": []}]),
    ("dual of squared error", {"of": "mse", "regularizer": "bias decay"}, "dual", [{}, [], None]),
    ("denominator", {}, "dual.denominator", ["0", "-1", "1.0", None]),
    ("denominator of free slopes", {"of": "mse"}, "dual.denominator", ["0", "-1"]),
    ("own", {}, "dual.own", [[], None, ["1"], ["1"] * 3]),
    ("other", {}, "dual.other", [[], None, [["0"]], [["0", "0"]], [["0"], ["0"]], [["0", "0"]] * 3]),
    ("slope of a class that is not there", {"of": "mse"}, "dual.other.1.1", ["1", "-1"]),
    ("own slope of one-vs-rest", {"of": "bce"}, "dual.own.0", ["1", "-1" + "0" * 100]),
    ("other slope of one-vs-rest", {"of": "bce"}, "dual.other.0.1", ["-1", "1" + "0" * 100]),
    ("keys of one-vs-rest", {"of": "bce"}, "problem.loss.smoothing", ["0"]),
    ("contrast of a class alone", {}, "primal.contrast.integers.1", ["1", "-1"]),
    ("contrasts", {}, "primal.contrast.integers", [[], ["1"], ["1", "0", "0"], [["1"], ["0"]], None]),
    ("bias where there is none", {}, "primal.bias.integers.0", ["1", "-1"]),
    ("biases", {"regularizer": "bias decay"}, "primal.bias.integers", [[], ["1"], ["1"] * 3, [["1"], ["1"]]]),
    ("left", {}, "primal.left.integers", [[], [["1"]], [["1"], []], [["1"] * 9, ["1"] * 9], ["1", "1"], None]),
    ("right", {}, "primal.right.integers", [[["1"]], [["1", "1"]] * 9, ["1", "2"], None, "x"]),
    ("exponent", {}, "primal.left.exponent", [2201, -2201, 10**9, "x", 0.5, None]),
    ("exponent of the bias", {"regularizer": "bias decay"}, "primal.bias.exponent", [-2201, 2201]),
    ("digits", {}, "primal.right.integers.0.0", ["1" * 1201, "-" + "1" * 1201, "٣", "1_0", " 1", "+1"]),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "path", "values"), [pytest.param(*e[1:], id=e[0]) for e in ENTRIES])
def test_one_entry_that_no_certificate_has(parts, path, values):
    original = base(**parts)
    if path.startswith("primal.right.integers.0"):
        original["primal"]["right"]["integers"] = [["1", "1"]]
        original["primal"]["left"]["integers"] = [["1"], ["2"]]
        prove(original)
    for value in values:
        document = copy.deepcopy(original)
        put(document, path, value)
        with pytest.raises(ufm.InputError, match=r"certificate.{1,480}$") as caught:
            prove(document)
        assert len(str(caught.value)) < 500, path


@pytest.mark.parametrize(
    "path", ["format", "problem", "primal", "dual", "problem.groups.0.size", "problem.groups.0.classes", "problem.loss.weights",
             "problem.loss.smoothing", "problem.loss.kind", "problem.head.kind", "problem.head.layers", "problem.dim",
             "problem.regularizer.kind", "problem.regularizer.lambda_b", "problem.regularizer.features", "primal.bias",
             "primal.left.exponent", "primal.right.integers", "dual.own", "dual.denominator"],
)  # fmt: skip
def test_nothing_may_be_missing(path):
    document = base()
    *way, last = path.split(".")
    part = document
    for step in way:
        part = part[int(step) if step.isdigit() else step]
    del part[last]
    with pytest.raises(ufm.InputError, match="certificate"):
        prove(document)


def test_probabilities_of_one_against_the_rest():
    """Slopes between minus one and zero for the class itself, between zero and one for the others, both ends allowed."""
    original = base(of="bce")
    unit = int(original["dual"]["denominator"])
    for path, sound, forged in (
        ("dual.own.0", (0, -1, 1 - unit, -unit), (1, -unit - 1)),
        ("dual.other.0.1", (0, 1, unit - 1, unit), (-1, unit + 1)),
    ):
        for value in sound:
            document = copy.deepcopy(original)
            put(document, path, str(value))
            prove(document)
        for value in forged:
            document = copy.deepcopy(original)
            put(document, path, str(value))
            with pytest.raises(ufm.InputError, match=r"outside \[0, 1\]"):
                prove(document)


@pytest.mark.parametrize("of", ["plain", "smoothing", "all"])
def test_probabilities(of):
    """Columns that sum to one but have a negative entry, and non-negative columns that do not."""
    original = base(of=of)
    dual = original["dual"]
    below, beyond = int(dual["other"][1][0]) + 1, int(dual["own"][0]) + 1
    for amount in (-below, beyond):
        document = copy.deepcopy(original)
        move(document, amount)
        with pytest.raises(ufm.InputError, match="negative probability"):
            prove(document)
    for amount in (1 - below, beyond - 1):
        document = copy.deepcopy(original)
        move(document, amount)
        prove(document)
    for name, change in (("own", 1), ("own", -1), ("other", 1), ("other", -1)):
        document = copy.deepcopy(original)
        row = document["dual"][name] if name == "own" else document["dual"][name][0]
        row[1] = str(int(row[1]) + change)
        with pytest.raises(ufm.InputError, match="column 2 that do not sum to one"):
            prove(document)


@pytest.mark.parametrize("of", ["plain", "mse", "all"])
def test_a_free_bias_needs_balanced_slopes(of):
    document = base(regularizer="free bias", of=of)
    if of == "mse":
        document["dual"]["own"][0] = str(int(document["dual"]["own"][0]) + 1)
    else:
        move(document, 1)
    with pytest.raises(ufm.InputError, match="do not balance a free bias"):
        prove(document)


@pytest.mark.parametrize("groups", [[(2, 30), (1, 10)], [(3, 5)], [(1, 30), (1, 10), (1, 4)]])
def test_features_at_least_zero_need_columns_that_repel(groups):
    """Two columns that agree on a third class attract each other; as long as they do not, the sign of zero is allowed."""
    document = base("relu", "decay", groups=groups)
    count = len(groups)
    document["dual"]["denominator"] = "4"
    if count == 3:
        # y_1 = (-3, 1, 2), y_2 = (1, -3, 2), y_3 = (1, 1, -2) quarters repel; (-2, 0, 2) and (0, -2, 2) do not.
        document["dual"]["own"] = ["1", "1", "2"]
        document["dual"]["other"] = [["0", "1", "1"], ["1", "0", "1"], ["2", "2", "0"]]
        prove(document)
        document["dual"]["own"] = ["2", "2", "2"]
        document["dual"]["other"] = [["0", "0", "1"], ["0", "0", "1"], ["2", "2", "0"]]
        with pytest.raises(ufm.InputError, match="attract"):
            prove(document)
    elif count == 2:
        # Both classes of the first group give everything to the third class, and nothing to each other.
        document["dual"]["own"] = ["2", "4"]
        document["dual"]["other"] = [["0", "0"], ["2", "0"]]
        with pytest.raises(ufm.InputError, match="attract"):
            prove(document)
        document["dual"]["own"] = ["4", "4"]
        document["dual"]["other"] = [["0", "0"], ["0", "0"]]
        prove(document)
    else:
        document["dual"]["own"], document["dual"]["other"] = ["0"], [["2"]]
        prove(document)


@pytest.mark.parametrize("head", ["relu", "etf"])
@pytest.mark.parametrize("of", ["weights", "offsets", "temperatures", "smoothing", "mse", "equal weights"])
def test_heads_that_go_with_plain_cross_entropy_only(head, of):
    document = base(head)
    plain = "plain" if of == "equal weights" else of
    document["problem"]["loss"] = documents.loss(plain, 2, documents.random.Random(5))
    if of == "equal weights":
        document["problem"]["loss"]["weights"] = ["2", "2"]
    if of == "smoothing":
        document["problem"]["loss"]["smoothing"] = "1/1000000"
    with pytest.raises(ufm.InputError, match="does not go with"):
        prove(document)


@pytest.mark.parametrize("head", ["relu", "etf"])
@pytest.mark.parametrize("bias", ["0", "1"])
def test_heads_that_do_not_go_with_a_bias(head, bias):
    document = base(head)
    document["problem"]["regularizer"]["lambda_b"] = bias
    with pytest.raises(ufm.InputError, match="does not go with"):
        prove(document)


def test_decay_on_the_map_does_not_go_with_budgets():
    document = base(regularizer="budget")
    document["problem"]["head"] = documents.HEADS["decayed DEQ"]
    with pytest.raises(ufm.InputError, match="decay on A"):
        prove(document)


@pytest.mark.parametrize("head", ["explicit", "linear DEQ", "Frobenius DEQ", "relu"])
def test_scalar_problems_need_a_charge_that_is_concave_and_one_curvature(head):
    document = base("decayed DEQ", "decay", "mse")
    document["dual"] = {}
    prove(document)
    other = copy.deepcopy(document)
    other["problem"]["head"] = documents.HEADS[head]
    with pytest.raises(ufm.InputError, match="certificate"):
        prove(other)
    for path, value in (
        ("problem.regularizer.features", "per class"),
        ("problem.regularizer.lambda_b", "1"),
        ("problem.regularizer.lambda_b", "0"),
        ("problem.regularizer", documents.REGULARIZERS["budget"]),
    ):
        other = copy.deepcopy(document)
        put(other, path, value)
        other["problem"]["head"] = documents.HEADS["explicit:2"]
        with pytest.raises(ufm.InputError, match="no dual slopes"):
            prove(other)


def test_values_at_the_edge_of_what_is_allowed():
    """The neighbours of what is refused above are accepted."""
    for parts, path, values in (
        ({"head": "linear DEQ"}, "problem.head.rho", ["0", "0.999"]),
        ({"head": "Frobenius DEQ"}, "problem.head.budget", ["0", "0.999"]),
        ({"regularizer": "bias decay"}, "problem.regularizer.lambda_b", ["1e14", "2e-15", "1000000000000000"]),
        ({}, "problem.head.layers", [1, 2, 50]),
        ({}, "problem.groups.0.size", [1, 2**53, "9007199254740992"]),
        ({}, "problem.groups.0.classes", [2]),
        ({}, "problem.dim", [10**9, 9, "9"]),
        ({"head": "relu"}, "problem.dim", [3, 4]),
        ({"head": "etf"}, "problem.dim", [2, 3]),
        ({"head": "etf"}, "problem.head.norm", ["1e-149", "1e149", None]),
        ({"head": "etf", "regularizer": "budget"}, "problem.head.norm", ["6/5", "1.2", None]),
        ({"head": "etf", "regularizer": "budget"}, "problem.head.average", [True, False]),
        ({}, "problem.loss.smoothing", ["0", "1e-9"]),
        ({}, "problem.loss.offsets.0", ["9999", "-9999"]),
        ({}, "problem.loss.weights.0", ["1e-99", "1e99"]),
        ({}, "problem.loss.temperatures.0", ["1e-9", "1e9"]),
        ({}, "primal.contrast.exponent", [-2200]),
        ({}, "problem.regularizer.lambda_W", ["1" + "0" * 99, "0." + "0" * 99 + "1"]),
    ):
        document = base(**parts)
        for value in values:
            put(document, path, value)
            if path == "problem.loss.smoothing":
                document["dual"] = documents.dual(document["problem"], documents.random.Random(1), 0.5)
            prove(document)


def test_the_width_that_the_factors_need():
    document = base(groups=[(4, 30), (3, 2)])
    document["primal"]["contrast"]["integers"] = ["1", "0"]
    document["primal"]["left"]["integers"] = [["1", "2"], ["3", "4"]]
    document["primal"]["right"]["integers"] = [["1", "2"], ["3", "4"]]
    assert prove(document).width == 3 + 2
    document["primal"]["contrast"]["integers"] = ["1", "-1"]
    assert prove(document).width == 3 + 2 + 2
    for dim, fits in ((7, True), (6, False)):
        document["problem"]["dim"] = dim
        if fits:
            assert prove(document).width == 7
        else:
            with pytest.raises(ufm.InputError, match="width 7, more than dim=6"):
                prove(document)
    document["problem"]["dim"] = None
    assert prove(document | {"problem": document["problem"] | {"head": documents.HEADS["relu"]}} | repelling()).width == 7
    assert prove(document | {"problem": document["problem"] | {"head": documents.HEADS["etf"]}}).width == 6


def repelling() -> dict[str, Any]:
    return {"dual": {"denominator": "8", "own": ["2", "2"], "other": [["1", "1"], ["1", "1"]]}}


# What is said


@pytest.mark.parametrize(("parts", "path", "what"), [
    ({}, "", "document"), ({}, "problem", "problem"), ({}, "problem.groups.0", "group"), ({}, "problem.loss", "loss"),
    ({"of": "mse"}, "problem.loss", "loss"), ({}, "problem.regularizer", "regularizer"),
    ({"regularizer": "budget"}, "problem.regularizer", "regularizer"), ({}, "dual", "dual"), ({}, "primal", "primal"),
    ({}, "primal.bias", "factors"), ({}, "problem.head", "head"), ({"head": "linear DEQ"}, "problem.head", "head"),
    ({"head": "decayed DEQ"}, "problem.head", "head"), ({"head": "Frobenius DEQ"}, "problem.head", "head"),
    ({"head": "relu"}, "problem.head", "head"), ({"head": "etf"}, "problem.head", "head"),
])  # fmt: skip
def test_refusals_name_the_part_with_a_strange_key(parts, path, what):
    document = base(**parts)
    part = document
    for step in path.split(".") if path else ():
        part = part[int(step) if step.isdigit() else step]
    part["strange"] = 1
    with pytest.raises(ufm.InputError, match=f"^certificate's {what} must have exactly the keys"):
        prove(document)


@pytest.mark.parametrize(("parts", "path", "value", "said"), [
    ({}, "problem.loss.weights.0", "1e101", "the class weight '1e101', which must lie between 1e-100 and 1e+100"),
    ({}, "problem.loss.temperatures.0", "1e11", "the temperature '1e11', which must lie between 1e-10 and 1e+10"),
    ({}, "problem.loss.offsets.0", "-1e5", "the offset '-1e5', which must lie between -10000 and 10000"),
    ({"head": "decayed DEQ"}, "problem.head.contraction", "1", "the contraction '1', which must lie between 0 and 1"),
    ({"head": "decayed DEQ"}, "problem.head.decay", "0", "the decay on A '0', which must lie between 1e-100 and 1e+100"),
    ({"head": "etf"}, "problem.head.norm", "0", "the norm '0', which must lie between 1e-150 and 1e+150"),
    ({}, "problem.regularizer.lambda_W", "0", "the parameter '0', which must be positive"),
    ({}, "problem.loss.weights", ["1"], "weights of the wrong shape"),
    ({}, "problem.loss.temperatures", ["1"], "temperatures of the wrong shape"),
    ({}, "problem.loss.offsets", ["1"], "offsets of the wrong shape"),
    ({}, "problem.groups", {}, "groups of the wrong shape"),
    ({}, "dual.own", {}, "dual slopes of the wrong shape"),
    ({}, "dual.other", {}, "dual slopes of the wrong shape"),
    ({}, "dual.other.0", {}, "dual slopes of the wrong shape"),
    ({}, "primal.left.integers", {}, "factors of the wrong shape"),
    ({}, "primal.left.integers", [["1"] * 9] * 2, "left factors of the wrong shape"),
    ({}, "primal.left.integers", [], "left factors of the wrong shape"),
    ({}, "primal.contrast.integers", ["1"], "contrasts of the wrong shape"),
    ({}, "primal.bias.integers", ["1"], "biases of the wrong shape"),
    ({}, "problem.loss.kind", "focal", "unknown loss 'focal'"),
    ({}, "problem.loss", None, "unknown loss None"),
    ({}, "problem.regularizer", 7, "unknown regularizer None"),
    ({}, "problem.head", [], "unknown head None"),
    ({}, "problem.head.kind", "x" * 99, "unknown head '" + "x" * 40 + "'"),
    ({}, "problem.head.kind", 7, "unknown head 7"),
    ({}, "problem.head.kind", ["x"] * 99, "unknown head 'list'"),
    ({}, "problem.head.layers", 1.5, "a head of 'float' layers"),
])  # fmt: skip
def test_refusals_say_what_is_wrong(parts, path, value, said):
    document = base(**parts)
    put(document, path, value)
    with pytest.raises(ufm.InputError) as caught:
        prove(document)
    assert f"certificate has {said}" in str(caught.value).replace("has an ", "has ")


def test_entries_to_spare():
    """One entry more than there are classes or dimensions, whatever it is."""
    original = base()
    original["primal"]["left"]["integers"] = [["1", "2"], ["3", "4"]]
    original["primal"]["right"]["integers"] = [["1", "2"], ["3", "4"]]
    prove(original)
    for path in ("dual.own", "dual.other", "dual.other.0", "dual.other.1", "primal.left.integers", "primal.left.integers.0",
                 "primal.left.integers.1", "primal.right.integers.0", "primal.right.integers.1", "primal.contrast.integers",
                 "primal.bias.integers", "problem.loss.weights"):  # fmt: skip
        document = copy.deepcopy(original)
        part: Any = document
        for step in path.split("."):
            part = part[int(step) if step.isdigit() else step]
        part.append("0" if path.endswith(("own", "integers", "0", "1")) and isinstance(part[0], str) else list(part[0]))
        if path == "problem.loss.weights":
            part[-1] = "1"
        with pytest.raises(ufm.InputError, match="of the wrong shape"):
            prove(document)


# Claims


def certificate(tmp_path, document, **claim):
    proof = prove(document)
    stated = {"lower": proof.lower_text, "upper": proof.upper_text, "width": proof.width} | claim
    path = tmp_path / "c.json"
    path.write_text(json.dumps(document | {"claim": stated}))
    return ufm.recheck(path)


def test_a_claim_may_be_weaker_but_not_stronger_by_a_digit(tmp_path):
    document = base(of="all", regularizer="bias decay")
    proof = prove(document)
    assert certificate(tmp_path, document).accepted
    for name, text, stronger in (("lower", proof.lower_text, 1), ("upper", proof.upper_text, -1)):
        digits, exponent = text.split("e")
        assert len(digits.lstrip("-")) == 30
        assert certificate(tmp_path, document, **{name: f"{int(digits) - stronger}e{exponent}"}).accepted
        found = certificate(tmp_path, document, **{name: f"{int(digits) + stronger}e{exponent}"})
        assert not found.accepted
        assert f"does not prove the {name} bound" in found.reason


def test_what_an_accepted_certificate_says(tmp_path):
    document = base()
    proof = prove(document)
    found = certificate(tmp_path, document)
    assert (found.accepted, found.reason, found.level) == (True, "both bounds are proved", "rigorous")
    assert found.width == proof.width
    assert found.lower <= proof.lower_float
    assert proof.lower_float <= proof.upper_float <= found.upper
    assert found.upper - found.lower <= (proof.upper_float - proof.lower_float) * (1 + 1e-12)
    refused = certificate(tmp_path, document, lower="1000")
    assert (refused.accepted, refused.lower, refused.upper, refused.width) == (False, None, None, None)


def test_claims_of_what_is_proved_exactly(tmp_path):
    """Squared error where nothing is worth its price: the optimum is 1/2, both bounds are, and both may be claimed."""
    document = documents.document("explicit:2", "decay", "mse", [(16, 1)], 0)
    document["dual"] = {}
    document["problem"]["regularizer"].update({"lambda_W": "100", "lambda_H": "100"})
    zero = {"exponent": 0, "integers": ["0"]}
    empty = {"left": {"exponent": 0, "integers": [[]]}, "right": {"exponent": 0, "integers": []}}
    document["primal"] = {"contrast": zero, "bias": zero, **empty}
    assert certificate(tmp_path, document, lower="1/2", upper="1/2").accepted
    assert not certificate(tmp_path, document, lower="1/2", upper="4999999999/10000000000").accepted


@pytest.mark.parametrize("text", ["[]", "[1]", '"x"', "7", "null", "{}", '{"format": "ufm-certificate/1"}'])
def test_files_of_something_else(tmp_path, text):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ufm.InputError, match=r"certificate file '.*other\.json' is not a certificate of format"):
        ufm.recheck(path)


def test_widths_that_are_claimed(tmp_path):
    document = base(groups=[(4, 30), (3, 2)])
    width = prove(document).width
    assert certificate(tmp_path, document, width=width).accepted
    assert certificate(tmp_path, document, width=width + 1).width == width + 1
    assert "need" in certificate(tmp_path, document, width=width - 1).reason
    document["problem"]["dim"] = width
    assert certificate(tmp_path, document, width=width).accepted
    assert f"has dim={width}" in certificate(tmp_path, document, width=width + 1).reason


@pytest.mark.parametrize(
    "claim", [{"lower": "1", "upper": "0"}, {"lower": None}, {"upper": 1}, {"width": "x"}, {"width": None}, {"note": ""}]
)
def test_claims_that_are_none(tmp_path, claim):
    assert not certificate(tmp_path, base(), **claim).accepted


@pytest.mark.parametrize("claim", [None, [], "x", {}, {"lower": "0", "upper": "9"}])
def test_claims_that_are_incomplete(tmp_path, claim):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(base() | {"claim": claim}))
    found = ufm.recheck(path)
    assert not found.accepted
    assert "certificate" in found.reason


@pytest.mark.parametrize("name", ["format", "lower", "size", "own", "layers"])
def test_keys_that_stand_twice(tmp_path, name):
    """Whatever stands twice is refused, even where both values are the same."""
    document = base()
    proof = prove(document)
    document["claim"] = {"lower": proof.lower_text, "upper": proof.upper_text, "width": proof.width}
    text = json.dumps(document)
    start = text.index(f'"{name}": ')
    _, end = json.JSONDecoder().raw_decode(text[start + len(name) + 4 :])
    entry = text[start : start + len(name) + 4 + end]
    path = tmp_path / "c.json"
    path.write_text(text)
    assert ufm.recheck(path).accepted
    path.write_text(text[:start] + entry + ", " + text[start:])
    found = ufm.recheck(path)
    assert not found.accepted
    assert f"names '{name}' twice" in found.reason


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1.0", "1e2", "123456789012345678901"])
def test_numbers_beside_json_and_whole_numbers(tmp_path, number):
    text = json.dumps(base() | {"claim": {"lower": "0", "upper": "9", "width": 5}})
    path = tmp_path / "c.json"
    path.write_text(text)
    assert ufm.recheck(path).accepted
    path.write_text(text.replace('"width": 5', f'"width": {number}'))
    found = ufm.recheck(path)
    assert not found.accepted
    assert found.reason.startswith("certificate has")
