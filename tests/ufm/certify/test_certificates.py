"""Bounds, saved certificates and the independent verifier."""

import ast
import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from tests.conftest import SHARED, split
from ufm.certify import bounds
from ufm.certify.duality import dual_bound
from ufm.certify.verify import prove
from ufm.solvers import Factored, Status
from ufm.solvers.solution import Stats, conclude


def perturbed(solution, size, seed=0):
    """Factors moved by relative Gaussian noise."""
    rng = np.random.default_rng(seed)
    moved = [np.asarray(a) * (1 + size * rng.standard_normal(np.shape(a))) for a in solution.factors]
    return type(solution.factors)(*moved)


@pytest.mark.parametrize("size", [0.0, 1e-8, 1e-4, 0.1, 1.0])
def test_bounds_hold_for_any_factors(problem, size):
    optimum = ufm.solve(problem, level="rigorous").certificate
    solution = ufm.solve(problem)
    found = bounds(solution.program, perturbed(solution, size))
    assert found.lower <= optimum.upper
    assert optimum.lower <= found.upper


def test_a_perturbed_solution_is_not_certified(problem):
    """Moved by 1e-4, the gap must exceed 1e-10, and the status must say so."""
    solution = split(ufm.solve(problem))
    found = bounds(solution.program, perturbed(solution, 1e-4))
    assert found.upper - found.lower > 1e-10
    concluded = conclude(problem, "test", solution.program, perturbed(solution, 1e-4), None, Stats(0, 0, 0.0), 1e-10)
    assert concluded.status is Status.OPEN


def test_float_and_rigorous_levels_agree(problem):
    for method in ("symmetric", "factored"):
        solution = ufm.solve(problem, method=method)
        rigorous = solution.certificate.rigorous()
        assert rigorous.level == "rigorous"
        assert rigorous.lower <= solution.certificate.upper
        assert solution.certificate.lower <= rigorous.upper
        assert rigorous.relative_gap < 1e-10
        # The float bounds carry rounding terms, so they may only be wider, up to the rounding of the witness.
        assert rigorous.lower >= solution.certificate.lower * (1 - 1e-15) - 1e-300
        assert rigorous.upper <= solution.certificate.upper * (1 + 1e-15)


@settings(max_examples=40)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 3)), min_size=1, max_size=4),
    kind=st.sampled_from(["decay", "free bias", "bias", "per class", "budget"]),
    strength=st.floats(1e-5, 1.2),
    size=st.sampled_from([0.0, 1e-6, 0.3]),
)
def test_float_bounds_contain_the_rigorous_truth(sizes, kind, strength, size):
    """Rigorous bounds of a well-solved problem must meet the float bounds at any point of it."""
    counts = ufm.ClassCounts(tuple(sizes) if sum(c for _, c in sizes) > 1 else (*sizes, sizes[0]))
    mu = strength * max(counts) ** 0.5 / counts.total
    regularizer = {
        "decay": ufm.WeightDecay(mu, mu),
        "free bias": ufm.WeightDecay(mu, mu, 0.0),
        "bias": ufm.WeightDecay(mu, mu, 0.1),
        "per class": ufm.WeightDecay(strength / counts.classes, strength / counts.classes, per_class=True),
        "budget": ufm.NormBudget(10 * strength, 10 * strength),
    }[kind]
    solution = ufm.solve(ufm.Problem(counts, regularizer=regularizer))
    truth = solution.certificate.rigorous()
    found = bounds(solution.program, perturbed(solution, size, 1))
    assert found.lower <= truth.upper
    assert truth.lower <= found.upper


def test_dual_bound_is_valid_for_any_probabilities(problem):
    program = problem.program()
    optimum = ufm.solve(problem).certificate.upper
    rng = np.random.default_rng(0)
    for _ in range(50):
        shares = rng.uniform(0, 1, (program.groups, program.groups)) ** rng.integers(1, 9)
        shares /= np.maximum((program.logit_counts[:-1] * shares).sum(axis=0), 1.0)
        slopes = np.vstack([shares, -(program.logit_counts[:-1] * shares).sum(axis=0)])
        assert dual_bound(program, slopes, optimum)[0] <= optimum


def test_the_verifier_stands_alone():
    """Neither `verify` nor `saved` imports anything of the package but the error type (and each other)."""
    folder = Path(ufm.__file__).parent / "certify"
    for path in (folder / "saved.py", *(folder / "verify").glob("*.py")):
        tree = ast.parse(path.read_text())
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        own = {m for m in modules if m and m.startswith("ufm")} - {"ufm.errors"}
        assert all(m.startswith("ufm.certify.verify") for m in own)


@pytest.fixture
def saved(tmp_path, problem):
    solution = ufm.solve(problem)
    path = tmp_path / "c.json"
    solution.certificate.save(path)
    return path


def test_saved_certificates_are_accepted(saved):
    found = ufm.recheck(saved)
    assert found.accepted
    assert found.level == "rigorous"
    assert 0 <= found.upper - found.lower < 1e-10 * found.upper


def rejects(path, document):
    path.write_text(json.dumps(document))
    return not ufm.recheck(path).accepted


def test_altered_probabilities_are_rejected(saved):
    original = json.loads(saved.read_text())
    dual = original["dual"]
    for h in range(len(dual["own"])):
        changed = copy.deepcopy(original)
        changed["dual"]["own"][h] = bump(dual["own"][h])
        assert rejects(saved, changed)
        for g in range(len(dual["own"])):
            changed = copy.deepcopy(original)
            changed["dual"]["other"][g][h] = bump(dual["other"][g][h])
            assert rejects(saved, changed)
    changed = copy.deepcopy(original)
    changed["dual"]["denominator"] = bump(dual["denominator"])
    assert rejects(saved, changed)


def bump(digits: str) -> str:
    """The number with its last digit changed."""
    return digits[:-1] + str((int(digits[-1]) + 1) % 10)


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_every_digit_of_the_bounds_counts(tmp_path, side):
    """Any digit of a bound changed so that it claims more than is proved is noticed."""
    path = tmp_path / "c.json"
    ufm.solve(SHARED["step decay"]).certificate.save(path)
    original = json.loads(path.read_text())
    digits, _, exponent = original["claim"][side].partition("e")
    changes = 0
    for i, digit in enumerate(digits):
        moved = int(digit) + (1 if side == "lower" else -1)
        if 0 <= moved <= 9:
            changed = copy.deepcopy(original)
            changed["claim"][side] = f"{digits[:i]}{moved}{digits[i + 1 :]}e{exponent}"
            assert rejects(path, changed)
            changes += 1
    assert changes > 15


def test_claims_about_another_problem_are_rejected(saved):
    original = json.loads(saved.read_text())
    regularizer = original["problem"]["regularizer"]
    for name in ("lambda_W", "E_W"):
        if name in regularizer:
            for factor in ("3/1000", "1/1000"):
                changed = copy.deepcopy(original)
                changed["problem"]["regularizer"][name] = factor if regularizer[name] != factor else "7/1000"
                assert rejects(saved, changed)
    if len(original["problem"]["groups"]) > 1:
        changed = copy.deepcopy(original)
        changed["problem"]["groups"][0]["size"] += 1000
        assert rejects(saved, changed)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["dual"]["other"][0].__setitem__(0, "-1"),
        lambda d: d["dual"]["own"].pop(),
        lambda d: d["primal"].pop("left"),
        lambda d: d["primal"]["left"].__setitem__("integers", [["1"]]),
        lambda d: d["primal"]["left"].__setitem__("exponent", "x"),
        lambda d: d["primal"]["left"].__setitem__("exponent", 10**9),
        lambda d: d.pop("claim"),
        lambda d: d["claim"].__setitem__("width", 0),
        lambda d: d["claim"].__setitem__("lower", "nan"),
        lambda d: d["claim"].__setitem__("lower", "1e999999999"),
        lambda d: d["problem"].__setitem__("loss", "mse"),
        lambda d: d["problem"]["regularizer"].__setitem__("lambda_W", "0"),
        lambda d: d["problem"]["regularizer"].__setitem__("kind", "none"),
        lambda d: d["problem"]["head"].__setitem__("kind", "transformer"),
        lambda d: d["problem"].__setitem__("dim", 1),
        lambda d: d["problem"]["groups"].clear(),
    ],
)
def test_malformed_documents_are_rejected_without_a_traceback(tmp_path, change):
    path = tmp_path / "c.json"
    ufm.solve(SHARED["step decay"]).certificate.save(path)
    document = json.loads(path.read_text())
    change(document)
    assert rejects(path, document)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"format": "other"}', b"3"])
def test_files_that_are_no_certificates(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(ufm.InputError, match="certificate"):
        ufm.recheck(path)


def test_unwritable_target_leaves_nothing_behind(tmp_path):
    certificate = ufm.solve(SHARED["step decay"]).certificate
    with pytest.raises(ufm.InputError, match="cannot be written"):
        certificate.save(tmp_path / "missing" / "c.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ufm.InputError, match="cannot be written"):
        certificate.save(tmp_path / "folder.json")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.json"]


def test_narrow_certificates_say_the_width(tmp_path):
    problem = ufm.Problem([3000] * 2 + [10] * 5, regularizer=ufm.WeightDecay(2e-3, 2e-3), dim=3)
    ufm.solve(problem).certificate.save(tmp_path / "c.json")
    found = ufm.recheck(tmp_path / "c.json")
    assert found.accepted
    assert found.width <= 3


def test_dense_certificates_of_a_long_tail(tmp_path):
    problem = ufm.Problem(ufm.long_tailed(30, largest=300, ratio=100), regularizer=ufm.WeightDecay(1e-4, 1e-4, 1e-2))
    ufm.solve(problem, method=Factored()).certificate.save(tmp_path / "c.json")
    assert ufm.recheck(tmp_path / "c.json").accepted


def test_proof_of_a_hand_made_witness():
    """Uniform probabilities and zero factors on two balanced classes: lower bound by hand, upper log 2."""
    document = {
        "format": "ufm-certificate/2",
        "problem": {
            "groups": [{"classes": 2, "size": 1}],
            "loss": {"kind": "ce", "weights": ["1"], "temperatures": ["1"], "offsets": ["0"], "smoothing": "0"},
            "head": {"kind": "explicit", "layers": 1},
            "regularizer": {
                "kind": "weight_decay", "lambda_W": "1/16", "lambda_H": "1/16", "lambda_b": None, "features": "per sample",
            },
            "dim": None,
        },
        "primal": {
            "contrast": {"exponent": 0, "integers": ["0"]}, "left": {"exponent": 0, "integers": [[]]},
            "right": {"exponent": 0, "integers": []}, "bias": {"exponent": 0, "integers": ["0"]},
        },
        "dual": {"denominator": "2", "own": ["1"], "other": [["1"]]},
    }  # fmt: skip
    proof = prove(document)
    # ||(P - I) D^{1/2}||_2 / N = 1/2, so t = (1/16) / (1/2) = 1/8 and the bound is log(2) / 8.
    assert float(proof.lower.mid()) == pytest.approx(np.log(2) / 8, rel=1e-14)
    assert float(proof.upper.mid()) == pytest.approx(np.log(2), rel=1e-14)


def test_replacing_the_bounds_does_not_help(tmp_path):
    """A certificate object with false bounds saves what is proved, not what it says."""
    certificate = replace(ufm.solve(SHARED["bias"]).certificate, lower=1.0, upper=1.0)
    certificate.save(tmp_path / "c.json")
    found = ufm.recheck(tmp_path / "c.json")
    assert found.accepted
    assert found.upper < 0.9


@pytest.mark.parametrize("counts", [[5, 30, 1000], [3, 40, 400], [1000, 5, 30]])
def test_class_order_reaches_the_witness(counts):
    """All sizes distinct and not sorted: the K x K program keeps the user's order, the certificate must too."""
    problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(5e-3, 5e-3))
    reference = ufm.solve(problem, level="rigorous").certificate
    found = ufm.solve(problem, method="factored", level="rigorous").certificate
    assert found.relative_gap < 1e-10
    assert found.lower <= reference.upper
    assert reference.lower <= found.upper


def test_factors_of_huge_norm_prove_nothing(tmp_path):
    """A budget cannot be evaded by factors whose norm ball is undecided."""
    path = tmp_path / "c.json"
    ufm.solve(ufm.Problem([5, 5, 2], regularizer=ufm.NormBudget(1, 1)), method="factored").certificate.save(path)
    for power in (4000, 10**60):
        document = json.loads(path.read_text())
        document["primal"]["left"] = {"exponent": str(power), "integers": [["1"], ["-1"], ["0"]]}
        document["primal"]["right"] = {"exponent": str(-power), "integers": [["1000", "-1000", "0"]]}
        document["claim"]["upper"] = "1e-100"
        document["claim"]["lower"] = "0"
        assert rejects(path, document)


@pytest.mark.parametrize(
    ("side", "value"),
    [("lower", "1/0"), ("lower", "1e400"), ("upper", "-1e400"), ("upper", "1e5000"), ("width", 1e999), ("width", " 4"),
     ("width", 2.9), ("lower", "1_0"), ("lower", "inf"), ("lower", None), ("upper", "9" * 5000)],
)  # fmt: skip
def test_odd_claims_are_rejected_without_a_traceback(tmp_path, side, value):
    path = tmp_path / "c.json"
    ufm.solve(SHARED["step decay"]).certificate.save(path)
    document = json.loads(path.read_text())
    document["claim"][side] = value
    assert rejects(path, document)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_deeply_nested_files(tmp_path, text):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(ufm.InputError, match="not JSON"):
        ufm.recheck(path)


def test_links_are_followed_and_devices_are_not_replaced(tmp_path):
    certificate = ufm.solve(SHARED["step decay"]).certificate
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    certificate.save(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert ufm.recheck(tmp_path / "real.json").accepted
    for target in ("", "/", "/dev/null", str(tmp_path / ("x" * 300))):
        with pytest.raises(ufm.InputError, match="cannot be written"):
            certificate.save(target)
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("decay", [1e-30, 1e-50])
def test_tiny_losses_are_certified_rigorously(decay):
    certificate = ufm.solve(ufm.Problem([5, 5], regularizer=ufm.WeightDecay(decay, decay)), level="rigorous").certificate
    assert 0 < certificate.lower <= certificate.upper
    assert certificate.relative_gap < 1e-10


@pytest.mark.parametrize(
    ("counts", "decay"),
    [("1e12*3,100*10,3*3", (1.4e-12, 1.4e-12, 1e-9)), ("1e12*10,7*3,1*2", (3e-14, 3e-14, 0.0))],
)
def test_extreme_imbalance_with_a_bias_still_gives_a_valid_certificate(counts, decay):
    solution = ufm.solve(ufm.Problem(ufm.ClassCounts.parse(counts), regularizer=ufm.WeightDecay(*decay)))
    rigorous = solution.certificate.rigorous()
    assert -1e-12 <= rigorous.lower <= rigorous.upper
    assert rigorous.lower <= solution.certificate.upper


def test_a_claim_wider_than_the_problem_is_rejected(tmp_path):
    path = tmp_path / "c.json"
    problem = ufm.Problem([3000] * 2 + [10] * 5, regularizer=ufm.WeightDecay(2e-3, 2e-3), dim=3)
    ufm.solve(problem).certificate.save(path)
    document = json.loads(path.read_text())
    document["claim"]["width"] = 4
    assert rejects(path, document)
