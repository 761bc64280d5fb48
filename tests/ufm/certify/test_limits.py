"""Certificate files that are made to take long end soon, in little memory; large ones that are meant are read.

Times are limits of a hang, not benchmarks: a second or so each on a slow machine, where what is refused here took minutes.
"""

from __future__ import annotations

import copy
import json
import time
import tracemalloc

import pytest

import ufm
from tests.ufm.certify import documents
from ufm.certify.verify import prove

SECONDS, BYTES = 5.0, 400 * 2**20


def coprime(count: int, power: int) -> list[int]:
    """Numbers that are nearly coprime in pairs: two of them share at most a divisor of the difference of their factors."""
    return [3**power * 2 * k + 1 for k in range(1, count + 1)]


def refused(path, text: str | bytes) -> str:
    """What recheck says, in bounded time."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    start = time.perf_counter()
    try:
        found = ufm.recheck(path)
        assert not found.accepted
        reason = found.reason
    except ufm.InputError as error:
        reason = str(error)
    assert time.perf_counter() - start < SECONDS
    assert len(reason) < 500
    return reason


def refused_in_little_memory(path, text: str | bytes) -> str:
    """What recheck says, in bounded memory."""
    tracemalloc.start()
    try:
        return refused(path, text)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < BYTES


def wide(groups: int) -> dict:
    """A document of many groups of one class, with the slopes of uniform probabilities."""
    document = documents.document("explicit", "decay", "plain", [(1, 1)] * 2, 0)
    parts = document["problem"]
    parts["groups"] = [{"classes": 1, "size": k + 1} for k in range(groups)]
    parts["loss"] = documents.loss("plain", groups, documents.random.Random(0))
    document["dual"] = {
        "denominator": str(groups),
        "own": ["1"] * groups,
        "other": [["0" if g == h else "1" for h in range(groups)] for g in range(groups)],
    }
    zero = {"exponent": 0, "integers": ["0"] * groups}
    empty = {"exponent": 0, "integers": []}
    document["primal"] = {"contrast": zero, "left": {"exponent": 0, "integers": [[]] * groups}, "right": empty, "bias": zero}
    document["claim"] = {"lower": "0", "upper": "100", "width": 0}
    return document


@pytest.mark.parametrize("name", ["weights", "temperatures", "offsets"])
@pytest.mark.parametrize("digits", [390, 2000])
def test_common_denominators(tmp_path, name, digits):
    """Sixty numbers 1/q with q coprime: their common denominator has 60 times the digits."""
    document = wide(60)
    document["problem"]["loss"][name] = [f"{q + 1}/{q}" for q in coprime(60, int(digits * 2.09))]
    assert "certificate has" in refused(tmp_path / "c.json", json.dumps(document))


@pytest.mark.parametrize("exponent", ["+9999", "-9999", "-999", "999"])
def test_exponents(tmp_path, exponent):
    document = wide(60)
    document["problem"]["loss"]["weights"] = [f"1e{exponent}"] * 60
    assert "certificate has" in refused(tmp_path / "c.json", json.dumps(document))


def test_many_digits_in_many_groups(tmp_path):
    """A product of matrices that would take minutes is refused by its size."""
    document = wide(120)
    document["dual"]["denominator"] = str(120 * 10**1150)
    document["dual"]["own"] = [str(10**1150)] * 120
    document["dual"]["other"] = [["0" if g == h else str(10**1150) for h in range(120)] for g in range(120)]
    document["problem"]["loss"]["temperatures"] = [f"{3**60 + k}/{3**60}" for k in range(120)]
    document["problem"]["loss"]["weights"] = [f"{3**60 + k}/{3**60}" for k in range(120)]
    assert "too many groups" in refused(tmp_path / "c.json", json.dumps(document))


def test_many_digits_in_many_factors(tmp_path):
    document = wide(110)
    row = [str(10**1190)] * 110
    document["primal"]["left"] = {"exponent": -2000, "integers": [row] * 110}
    document["primal"]["right"] = {"exponent": -2000, "integers": [row] * 110}
    assert "too many groups" in refused(tmp_path / "c.json", json.dumps(document))


def test_files_too_large_are_not_read_to_their_end(tmp_path):
    path = tmp_path / "c.json"
    with path.open("wb") as file:
        file.truncate(10**12)
    start = time.perf_counter()
    with pytest.raises(ufm.InputError, match="32 MB"):
        ufm.recheck(path)
    assert time.perf_counter() - start < SECONDS
    assert "32 MB" in refused_in_little_memory(path, b" " * 50_000_000)
    with pytest.raises(ufm.InputError, match="32 MB"):
        ufm.recheck("/dev/zero")


@pytest.mark.parametrize(
    "text",
    ["[" + "[]," * 4_000_000 + "0]", "[" + "{}," * 4_000_000 + "0]", "[" + "0," * 10_000_000 + "0]", "[" * 9000,
     '{"a":' * 5000, '"' + "x" * 20_000_000, "[" * 8000 + "]" * 8000, "", "\x00", "9" * 5000],
    ids=["lists", "objects", "numbers", "open lists", "open objects", "string", "nested", "empty", "zero", "digits"],
)  # fmt: skip
def test_what_json_can_be_made_of(tmp_path, text):
    refused_in_little_memory(tmp_path / "c.json", text)


def test_documents_of_too_many_groups(tmp_path):
    reason = refused(tmp_path / "c.json", json.dumps(wide(650)))
    assert "650 groups" in reason


def test_nested_entries(tmp_path):
    deep: list = []
    for _ in range(500):
        deep = [deep]
    for path in (("primal", "left"), ("primal", "bias"), ("dual", "own"), ("problem", "groups")):
        document = wide(3)
        part = document[path[0]][path[1]]
        if isinstance(part, dict):
            part["integers"] = deep
        else:
            document[path[0]][path[1]] = deep
        refused(tmp_path / "c.json", json.dumps(document))


def test_many_groups_are_verified(tmp_path):
    """Probabilities that are uniform, on classes that all differ in size."""
    path = tmp_path / "c.json"
    path.write_text(json.dumps(wide(120)))
    assert ufm.recheck(path).accepted


def test_numbers_as_long_as_the_package_writes_them(tmp_path):
    """Float64 of any size as fractions, probabilities of 2000 bits."""
    document = documents.document("explicit", "bias decay", "all", [(2, 2**53), (1, 1)], 1)
    loss = document["problem"]["loss"]
    loss["weights"] = [f"{2**53 - 1}/{2**380}", str(2**330 + 1)]
    loss["offsets"] = ["1/" + str(2**1070), "-9999"]
    loss["temperatures"] = [f"{2**52 + 1}/{2**84}", f"{2**53 - 1}/{2**20}"]
    document["problem"]["regularizer"].update({"lambda_W": "1/" + str(2**990), "lambda_H": "1/" + str(2**990)})
    scaled = copy.deepcopy(document)
    dual = scaled["dual"]
    dual["denominator"] = str(int(dual["denominator"]) << 2000)
    dual["own"] = [str(int(v) << 2000) for v in dual["own"]]
    dual["other"] = [[str(int(v) << 2000) for v in row] for row in dual["other"]]
    assert prove(scaled).lower.overlaps(prove(document).lower)
