"""Selection, number of instances, processes, time limits, and verdicts of an earlier run."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace
from typing import ClassVar

import pytest

from proofs_check import cache
from proofs_check.enclosure import Enclosure, Finding, Outcome, decided, equal, less
from proofs_check.judging import SCALES, instances, judge, summed_up
from proofs_check.registry import Proof, all_theorems
from proofs_check.running import Plan, one, verdicts
from proofs_check.selection import select
from proofs_check.timing import OutOfTimeError, limited
from tests.proofs_check.test_theorems import Toy
from ufm.errors import InputError, RunError

BOOK = all_theorems()


def quiet(what):
    """Progress that is told to nobody."""


def named(*names, **options):
    return [t.id for t in select(names, **options)]


def test_theorems_are_chosen_by_id_paper_level_and_proof():
    assert named("d2", "F1", "F1") == ["D2", "F1"]
    assert named("fang2021") == ["F1", "F2", "F3", "F5", "F4"]
    assert named("sukenik2023") == ["M3"]  # in the file of another paper
    assert named("D9", "fang2021")[0] == "D9"
    assert set(named(required="numeric")) == {name for name, t in BOOK.items() if t.required == "numeric"}
    for strength in Proof:
        assert named(proof=strength.value) == [name for name, t in BOOK.items() if t.proof() is strength]
    assert named("fang2021", required="rigorous", proof="none") == ["F3", "F4"]
    assert named() == list(BOOK)


@pytest.mark.parametrize(
    ("names", "options", "word"),
    [
        (["X99"], {}, "X99"),
        (["nobody1999"], {}, "nobody1999"),
        ([], {"required": "certain"}, "--requires"),
        ([], {"proof": "half"}, "--proof"),
        (["F1"], {"proof": "none"}, "no theorem fits"),
    ],
)
def test_wrong_selections(names, options, word):
    with pytest.raises(InputError, match=word):
        select(names, **options)


def test_scales_are_nested():
    for claim in BOOK.values():
        quick, default, full = (list(map(repr, instances(claim(), scale))) for scale in SCALES)
        assert set(quick) <= set(default) <= set(full)
        assert len(quick) <= 2
        assert len(set(full)) == len(full)
    assert judge(BOOK["F1"], "float", scale="quick").instances == 2


@pytest.mark.parametrize("name", [name for name, claim in BOOK.items() if list(claim().more())])
def test_further_instances_hold(name):
    claim = BOOK[name]()
    for instance in claim.more():
        for finding in claim.check(instance, "rigorous"):
            assert finding.outcome is Outcome.HOLDS, finding


def test_processes_come_to_the_same_verdicts():
    chosen = select(["F1", "D2", "X9"])
    told = []
    apart = verdicts(chosen, Plan("float", jobs=2, keep=True), told.append)
    alone = verdicts(chosen, Plan("float", jobs=1, keep=True), told.append)
    assert [replace(v, seconds=0.0) for v in apart] == [replace(v, seconds=0.0) for v in alone]
    assert any("[3/3]" in what for what in told)


def test_a_process_that_dies_is_said(monkeypatch):
    with pytest.raises(RunError, match="has died"):
        verdicts([Dying, Dying], Plan("float", jobs=2), quiet)


class Dying(Toy):
    """A claim whose check kills its process."""

    def grid(self):
        import os

        os._exit(1)


def test_number_of_processes():
    assert Plan(jobs=7).workers(3) == 3
    assert Plan(jobs=1).workers(30) == 1
    assert Plan().workers(2) == 1
    assert 1 <= Plan().workers(30) <= 2
    with pytest.raises(InputError, match="workers"):
        verdicts(select(["F1"]), Plan(jobs=0), quiet)


class Slow(Toy):
    """A claim with two instances, the second of which takes too long."""

    parts: ClassVar[dict] = {}

    def grid(self):
        return ["first", "second"]

    def check(self, instance, level):
        if instance == "second":
            time.sleep(30)
        yield Finding("x", Outcome.HOLDS, 1e-9, "rigorous")


def test_a_time_limit_ends_a_theorem_and_its_verdict_says_where():
    start = time.perf_counter()
    verdict = judge(Slow, seconds=0.3)
    assert time.perf_counter() - start < 10
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.instances == 1
    assert len(verdict.findings) == 1
    assert verdict.trouble[0] == "the time limit ended the check at second"


def test_limits_are_no_errors_and_end_with_their_block():
    def kept():
        with limited(0.05), suppress(Exception):
            time.sleep(5)

    with pytest.raises(OutOfTimeError):
        kept()  # handlers of errors do not keep it
    with limited(0.05):
        pass
    time.sleep(0.1)
    with limited(None):
        pass


def test_a_limit_on_processor_time_does_not_count_waiting():
    with limited(0.05, processor=True):
        time.sleep(0.2)

    def works():
        with limited(0.05, processor=True):
            while True:
                sum(range(100))

    with pytest.raises(OutOfTimeError):
        works()


def test_a_weaker_level_than_required_does_not_hold():
    weak = Finding("x", Outcome.HOLDS, 1e-9, "float")
    toy = type("T", (Toy,), {"parts": {"check": [weak]}, "required": "rigorous", "__doc__": "toy"})
    assert judge(toy, "rigorous").outcome is Outcome.INCONCLUSIVE
    assert judge(toy, "float").outcome is Outcome.HOLDS


def test_an_instance_outside_of_a_hypothesis_does_not_hold():
    from proofs_check.registry import Hypothesis

    toy = type("T", (Toy,), {"hypotheses": (Hypothesis("positive", lambda p: p > 0),), "__doc__": "toy"})
    verdict = judge(toy)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any("outside the hypothesis positive" in line for line in verdict.trouble)


@pytest.mark.parametrize("name", ["D2", "X9", "X12"])
def test_verdicts_of_an_earlier_run_are_the_same(tmp_path, name):
    plan = Plan("rigorous", cache=tmp_path, keep=True)
    first, second = (one(BOOK[name], plan) for _ in range(2))
    assert (first.cached, second.cached) == (False, True)
    assert first.evidence
    assert replace(first, seconds=0, cached=True) == replace(second, seconds=0)
    assert one(BOOK[name], replace(plan, level="float")).cached is False
    assert one(BOOK[name], replace(plan, scale="quick")).cached is False
    assert one(BOOK[name], replace(plan, keep=False)).evidence == ()


def test_what_rests_on_no_certificate_or_does_not_hold_is_computed_again(tmp_path):
    plan = Plan("float", cache=tmp_path)
    assert [one(BOOK["B2"], replace(plan, scale="quick")).cached for _ in range(2)] == [False, True]
    assert [one(BOOK["Z1"], replace(plan, scale="quick")).cached for _ in range(2)] == [False, False]
    bad = type("T", (Toy,), {"parts": {"check": [Finding("x", Outcome.VIOLATED, 1.0, "float")]}, "__doc__": "toy"})
    assert [one(bad, plan).cached for _ in range(2)] == [False, False]
    assert [path.name[:2] for path in tmp_path.iterdir()] == ["B2"]


def spoil(path, change):
    """Change the stored content and write a digest that fits: what is left must be noticed by checking it."""
    import hashlib

    content = json.loads(json.loads(path.read_text(encoding="utf-8"))["content"])
    change(content)
    text = json.dumps(content)
    whole = {"digest": hashlib.sha256(text.encode()).hexdigest(), "content": text}
    path.write_text(json.dumps(whole), encoding="utf-8")


def altered(content):
    content["evidence"][0]["certificate"]["claim"]["upper"] = "0"


def shifted(content):
    content["evidence"][0]["lower"] += 1.0
    content["evidence"][0]["upper"] += 1.0


def false(content):
    content["findings"][0]["predicted"] = [5.0, 5.0]


def unconfirmed(content):
    content["steps"] = [["s", False]]


def emptied(content):
    content["controls"] = []


def incomplete(content):
    del content["twins"]


@pytest.mark.parametrize("change", [altered, shifted, false, unconfirmed, emptied, incomplete])
def test_a_stored_verdict_that_does_not_check_out_counts_as_none(tmp_path, change):
    plan = Plan("rigorous", cache=tmp_path)
    one(BOOK["X9"], plan)
    (path,) = tmp_path.iterdir()
    spoil(path, change)
    assert cache.load(tmp_path, BOOK["X9"], "rigorous", "default") is None
    assert one(BOOK["X9"], plan).cached is False


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"digest": "0", "content": "{}"}', '{"digest": 0, "content": 0}'])
def test_damaged_files_of_a_cache_count_as_none(tmp_path, text):
    one(BOOK["X9"], Plan("rigorous", cache=tmp_path))
    (path,) = tmp_path.iterdir()
    path.write_text(text, encoding="utf-8")
    assert cache.load(tmp_path, BOOK["X9"], "rigorous", "default") is None


def test_other_code_has_other_files(tmp_path, monkeypatch):
    plan = Plan("rigorous", cache=tmp_path)
    one(BOOK["X9"], plan)
    monkeypatch.setattr(cache, "fingerprint", lambda: "other")
    assert one(BOOK["X9"], plan).cached is False
    assert len(list(tmp_path.iterdir())) == 2


def test_findings_keep_both_sides():
    a, b = Enclosure(1.0, 1.0), Enclosure(2.0, 3.0)
    assert equal("x", a, a, tolerance=1e-9, level="float").predicted == a
    assert less("x", a, b, level="float").computed == b
    assert decided("x", "yes", "no", margin=1.0, level="float").computed == "no"
    assert less("x", Enclosure(1.0, 0.0), b, level="float").outcome is Outcome.INCONCLUSIVE  # no enclosure at all


def test_summing_up_again_changes_nothing():
    verdict = judge(BOOK["D2"], "float")
    assert summed_up(replace(verdict, outcome=Outcome.INCONCLUSIVE, level="numeric"), "float") == verdict
