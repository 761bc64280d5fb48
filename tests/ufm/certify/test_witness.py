"""What the package writes: exact factors, exact probabilities, and certificates that say no more than they prove."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm
from tests.conftest import split
from tests.ufm.certify import naive
from ufm._arrays import check_level
from ufm._files import write_text
from ufm.certify import Certificate, bounds
from ufm.certify.verify import prove
from ufm.certify.witness import dyadic
from ufm.spectral.program import Factors

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite, min_size=0, max_size=6))
def test_every_float_is_written_exactly(values):
    data: Any = dyadic(np.array(values))
    unit = Fraction(2) ** data["exponent"]
    assert [int(v) * unit for v in data["integers"]] == [Fraction(v) for v in values]
    matrix: Any = dyadic(np.array([values, values[::-1]]))
    assert [[int(v) * unit for v in row] for row in matrix["integers"]] == [
        [Fraction(v) for v in r] for r in (values, values[::-1])
    ]
    assert matrix["exponent"] == data["exponent"] <= 0
    if any(values):
        # No longer than need be: the smallest number uses its 53 bits.
        assert min(int(v).bit_length() for v in data["integers"] if v != "0") >= 53 or data["exponent"] == 0


W, B, CE = ufm.WeightDecay, ufm.NormBudget, ufm.CrossEntropy
ALL = CE(weights=0.5, adjustment=0.5, temperatures=0.3, smoothing=0.1)
PROBLEMS = {
    "plain": ufm.Problem([40] * 2 + [10] * 3, regularizer=W(4e-3, 1e-2)),
    "order of classes": ufm.Problem([3, 40, 3, 400], regularizer=W(4e-3, 1e-2), loss=ALL),
    "bias": ufm.Problem([40] * 2 + [10] * 3, regularizer=W(4e-3, 1e-2, 1e-2), loss=ALL),
    "free bias": ufm.Problem([40] * 2 + [10] * 3, regularizer=W(4e-3, 1e-2, 0.0)),
    "free bias, weights": ufm.Problem([40] * 2 + [10, 1], regularizer=W(4e-3, 1e-2, 0.0), loss=CE(weights=0.7)),
    "free bias, everything": ufm.Problem([40] * 2 + [10, 1], regularizer=W(4e-3, 1e-2, 0.0), loss=ALL),
    "free bias, smoothing": ufm.Problem([40] * 2 + [10, 1], regularizer=W(4e-3, 1e-2, 0.0), loss=CE(smoothing=0.3)),
    "free bias, five classes": ufm.Problem([40] * 2 + [10] * 2 + [1], regularizer=W(4e-3, 1e-2, 0.0), loss=CE(smoothing=0.1)),
    "budget": ufm.Problem([20] * 2 + [5], regularizer=B(1, 2)),
    "per class": ufm.Problem([20] * 2 + [5], regularizer=W(5e-2, 5e-2, per_class=True), dim=7),
    "squares": ufm.Problem([20] * 2 + [5], regularizer=W(1e-2, 1e-2), loss=ufm.SquaredError()),
    "squares, bias": ufm.Problem([20] * 2 + [5], regularizer=W(1e-2, 1e-2, 0.1), loss=ufm.SquaredError()),
    "squares, free bias": ufm.Problem([20] * 2 + [5], regularizer=W(1e-2, 1e-2, 0.0), loss=ufm.SquaredError()),
    "scalar problems": ufm.Problem([20] * 2 + [5], regularizer=W(1e-2, 1e-2), loss=ufm.SquaredError(), head=ufm.Explicit(2)),
    "decayed DEQ": ufm.Problem(
        [20] * 2 + [5], regularizer=W(1e-2, 1e-2), loss=ufm.SquaredError(), head=ufm.DecayedDEQ(0.1, 0.5)
    ),
    "relu": ufm.Problem([20] * 2 + [5], regularizer=W(1e-2, 1e-2), head=ufm.ReLU()),
    "etf": ufm.Problem([20] * 2 + [5], regularizer=W(1e-2, 1e-2), head=ufm.FixedETF(2.0)),
    "etf on average": ufm.Problem([20] * 2 + [5], regularizer=B(1, 2), head=ufm.FixedETF(average=True)),
    "linear DEQ": ufm.Problem([20] * 2 + [5], regularizer=W(1e-2, 1e-2), head=ufm.LinearDEQ(0.3)),
    "extreme": ufm.Problem(ufm.ClassCounts.parse("1e12*3,100*10,3*3"), regularizer=W(1.4e-12, 1.4e-12, 1e-9)),
    "extreme free bias": ufm.Problem(ufm.ClassCounts.parse("1e12*10,7*3,1*2"), regularizer=W(3e-14, 3e-14, 0.0)),
    "tiny probabilities": ufm.Problem([5, 5], regularizer=W(1e-50, 1e-50)),
}


@pytest.fixture(scope="module")
def certificates() -> dict[str, Certificate]:
    return {name: ufm.solve(problem).certificate for name, problem in PROBLEMS.items()}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_document_proves_what_the_floats_say(certificates, name):
    """The written witness loses nothing: bounds agree with the float level, and with the naive verifier."""
    certificate = certificates[name]
    document: Any = json.loads(json.dumps(certificate.document()))
    proof = prove(document)
    scale = max(certificate.upper, 1e-290)
    assert proof.lower_float >= certificate.lower - 1e-12 * scale
    assert abs(proof.upper_float - certificate.upper) <= 1e-9 * scale
    if certificate.program.classes <= 8:
        lower, upper = naive.bounds(document)
        assert abs(lower - mpmath.mpf(proof.lower_float)) <= 1e-14 * scale
        assert abs(upper - mpmath.mpf(proof.upper_float)) <= 1e-14 * scale
    dual = document["dual"]
    if dual and certificate.program.loss.shift_invariant:
        m, groups = certificate.program.multiplicity.astype(int), range(certificate.program.groups)
        for h in groups:
            rest = sum(int(m[g]) * int(dual["other"][g][h]) for g in groups) - int(dual["other"][h][h])
            assert rest + int(dual["own"][h]) == int(dual["denominator"])


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_document_states_the_problem(certificates, name):
    problem, document = PROBLEMS[name], certificates[name].document()
    stated: Any = document["problem"]
    assert stated["dim"] == problem.dim
    assert sorted((g["size"] for g in stated["groups"] for _ in range(g["classes"])), reverse=True) == sorted(
        problem.counts, reverse=True
    )
    assert stated["head"] == problem.head.certificate()
    assert stated["regularizer"] == problem.regularizer.certificate()
    expected: Any = problem.loss.certificate(problem.counts)
    by_size = {size: i for i, (_, size) in enumerate(problem.counts.groups)}
    for key, value in stated["loss"].items():
        if isinstance(value, list):
            assert value == [expected[key][by_size[g["size"]]] for g in stated["groups"]]
        else:
            assert value == expected[key]


def test_probabilities_that_rounding_makes_negative_become_the_labels():
    """Slopes that give more than there is: the certificate falls back to P = T, which proves the entropy of the labels."""
    for smoothing in (0.0, 0.3):
        problem = ufm.Problem([5, 5, 2], regularizer=W(1e-2, 1e-2), loss=CE(smoothing=smoothing))
        solution = ufm.solve(problem)
        slopes = np.full_like(solution.certificate.slopes, 0.9)
        document: Any = replace(solution.certificate, slopes=slopes).document()
        floor = Fraction(smoothing) / 3
        assert Fraction(int(document["dual"]["other"][1][0]), int(document["dual"]["denominator"])) == floor
        proof = prove(document)
        own = 1 - 2 * float(floor)
        entropy = -own * math.log(own) - (2 * float(floor) * math.log(float(floor)) if smoothing else 0.0)
        assert proof.lower_float == pytest.approx(entropy, rel=1e-12, abs=1e-300)


def test_negative_slopes_are_no_probabilities():
    problem = ufm.Problem([5, 5, 2], regularizer=W(1e-2, 1e-2))
    certificate = ufm.solve(problem).certificate
    slopes = certificate.slopes.copy()
    slopes[1, 0] = -1e-3
    dual: Any = replace(certificate, slopes=slopes).document()["dual"]
    assert dual["other"][1][0] == "0"
    prove(replace(certificate, slopes=slopes).document())


@pytest.mark.parametrize("name", ["free bias", "free bias, weights", "free bias, five classes", "squares, free bias"])
def test_slopes_of_any_kind_are_balanced_exactly(certificates, name):
    """A free bias needs ``Y pi = 0``, which the verifier checks in exact arithmetic; the floats need not have it."""
    certificate = certificates[name]
    rng = np.random.default_rng(0)
    for size in (1e-12, 1e-4):
        slopes = certificate.slopes * (1 + size * rng.standard_normal(certificate.slopes.shape))
        found = prove(json.loads(json.dumps(replace(certificate, slopes=slopes).document())))
        assert found.lower_float <= certificate.upper
        assert found.lower_float >= certificate.lower - 100 * size


def test_a_class_that_keeps_nothing_is_written_as_it_is():
    """Others with 1/2 each: probabilities of the class itself are exactly zero, and the entropy is log 2."""
    certificate = ufm.solve(ufm.Problem([5, 5, 2], regularizer=B(1e-12, 1e-12))).certificate
    apart = split(ufm.solve(certificate.problem)).certificate
    slopes = np.where(apart.program.logit_counts > 0, 0.5, 0.0)
    document: Any = replace(apart, slopes=slopes).document()
    assert document["dual"]["own"] == ["0"] * apart.program.groups
    assert prove(document).lower_float == pytest.approx(math.log(2.0), rel=1e-9)


def test_small_probabilities_keep_their_digits():
    """Probabilities of 1e-50 are written with at least 60 bits; below 2^-836, with what 900 bits leave."""
    problem = ufm.Problem([5, 5, 2], regularizer=W(1e-2, 1e-2))
    certificate = ufm.solve(problem).certificate
    for small, relative in ((1e-3, 2.0**-60), (1e-50, 2.0**-60), (1e-200, 2.0**-60)):
        slopes = np.where(certificate.program.logit_counts > 0, small, 0.0)
        dual: Any = replace(certificate, slopes=slopes).document()["dual"]
        written = Fraction(int(dual["other"][1][0]), int(dual["denominator"]))
        assert abs(written / Fraction(small) - 1) <= relative
        assert int(dual["denominator"]).bit_length() <= 901


# Certificates


def solved() -> Certificate:
    return ufm.solve(ufm.Problem([5, 5, 2], regularizer=W(1e-2, 1e-2))).certificate


@pytest.mark.parametrize("bad", [(1.0, 0.5), (math.nan, 1.0), (0.0, math.nan), (-math.inf, 1.0), (0.0, math.inf), (1e-16, 0.0)])
def test_bounds_out_of_order_are_no_certificate(bad):
    with pytest.raises(ufm.InputError, match="no certificate") as caught:
        replace(solved(), lower=bad[0], upper=bad[1])
    assert len(str(caught.value)) < 300


def test_gaps():
    certificate = replace(solved(), lower=0.25, upper=0.5)
    assert (certificate.gap, certificate.relative_gap) == (0.25, 0.5)
    exact = replace(certificate, lower=0.0, upper=0.0)
    assert (exact.gap, exact.relative_gap) == (0.0, 0.0)
    assert replace(certificate, lower=0.5).gap == 0.0


def test_rigorous_bounds_are_computed_once():
    certificate = solved()
    rigorous = certificate.rigorous()
    assert (certificate.level, rigorous.level) == ("float", "rigorous")
    assert rigorous.rigorous() is rigorous
    proof = prove(certificate.document())
    assert (rigorous.lower, rigorous.upper) == (proof.lower_float, proof.upper_float)
    assert rigorous.factors is certificate.factors


def test_what_is_saved_is_what_is_proved(tmp_path):
    certificate = solved()
    path = tmp_path / "c.json"
    certificate.save(path)
    text = path.read_text()
    assert text.endswith("}\n")
    assert " " not in text.replace("per sample", "")
    content = json.loads(text)
    proof = prove(content)
    assert content.pop("claim") == {"lower": proof.lower_text, "upper": proof.upper_text, "width": proof.width}
    assert content == json.loads(json.dumps(certificate.document()))
    assert ufm.recheck(path).accepted


def test_files_are_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "é", "thing")
    assert path.read_bytes() == "é".encode()
    write_text(path, "new", "thing")
    assert path.read_text() == "new"
    link = tmp_path / "link.json"
    link.symlink_to(path)
    write_text(link, "through", "thing")
    assert path.read_text() == "through"
    assert link.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "link.json"]
    write_text(tmp_path / ("n" * 220), "long", "thing")
    for target in (tmp_path, tmp_path / "no" / "a.json", tmp_path / ("x" * 300), "a\0b", Path("/")):
        with pytest.raises(ufm.InputError, match=r"thing .* cannot be written: ") as caught:
            write_text(target, "x", "thing")
        assert "None" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "link.json", "n" * 220]
    # A pipe of our own: a version that replaces devices must not find one of the machine's.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ufm.InputError, match="not a regular file"):
        write_text(pipe, "x", "thing")
    assert pipe.is_fifo()


def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch):
    """A failure after the partial file was written: it is removed, and the old file stays."""
    path = tmp_path / "a.json"
    path.write_text("old")

    def broken(self: Path, target: Path) -> None:
        assert self.read_text() == "new"
        assert str(os.getpid()) in self.name
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(ufm.RunError, match=r"'.*a\.json' cannot be written: No space left on device"):
        write_text(path, "new", "thing")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    # Where even that fails, what is said is still why the file could not be written.
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: broken(self, self))
    with pytest.raises(ufm.RunError, match="No space left on device"):
        write_text(path, "new", "thing")


def test_levels():
    assert [check_level(level) for level in ("float", "rigorous")] == ["float", "rigorous"]
    for level in ("numeric", "", "Float"):
        with pytest.raises(ufm.InputError, match="level is"):
            check_level(level)


def test_perturbed_factors_are_written_as_they_are():
    """The document is about the factors that it is given, optimal or not."""
    certificate = solved()
    moved = Factors(*(np.asarray(a) * 1.01 for a in certificate.factors))
    found = bounds(certificate.program, moved)
    proof = prove(
        Certificate(found.lower, found.upper, "float", certificate.problem, certificate.program, moved, found.slopes).document()
    )
    assert found.lower <= proof.lower_float * (1 + 1e-13)
    assert proof.upper_float == pytest.approx(found.value, rel=1e-13)
    assert proof.upper_float > certificate.upper
