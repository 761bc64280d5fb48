"""Certificates of tables: float bounds beside exact ones, a naive second verifier, and forged files."""

import copy
import json

import mpmath as mp
import numpy as np
import pytest

import ufm
from tests.ufm.tables import KINDS, naive_loss, naive_lower, random_problem
from ufm import TargetTable
from ufm.certify.verify import prove

SEEDS = range(6)


def drawn(kind, seed):
    rng = np.random.default_rng(1000 * seed + KINDS.index(kind))
    problem = None
    while problem is None:
        problem, loss = random_problem(rng, kind)
    return problem, loss


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_float_and_rigorous_bounds_enclose_what_the_witness_proves(kind, seed):
    problem, loss = drawn(kind, seed)
    found = ufm.solve(problem)
    exact = found.certificate.rigorous()
    assert exact.level == "rigorous"
    assert max(found.lower, exact.lower) <= min(found.upper, exact.upper)
    lower = naive_lower(found.certificate.document())
    assert exact.lower <= float(lower) * (1 + 1e-15) + 1e-300
    assert float(lower) == pytest.approx(exact.lower, rel=1e-10, abs=1e-13)
    # The float slopes are rounded in the document, far below float64's own digits.
    assert found.lower <= float(lower) + 1e-15 * abs(float(lower))
    with mp.workdps(50):
        bias, columns = found.factors.bias.tolist(), problem.targets.contexts
        product = mp.matrix(problem.targets.rows, columns)
        for left, right in zip(found.factors.left.T.tolist(), found.factors.right.tolist(), strict=True):
            product += mp.matrix(left) * mp.matrix(right).T
        logits = [[product[k, m] + bias[k] for m in range(columns)] for k in range(problem.targets.rows)]
        loss_value = naive_loss(problem.targets, loss, logits, mp.log, mp.exp)
    assert found.upper >= float(loss_value) * (1 - 1e-15)
    assert exact.upper >= float(loss_value) * (1 - 1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_hold_at_points_that_are_not_optimal(kind):
    """Lower bounds from poor slopes stay below the optimum, upper bounds at poor factors above it."""
    from ufm.certify.tables import table_bounds

    problem, _ = drawn(kind, 3)
    best, program = ufm.solve(problem), problem.program()
    rng = np.random.default_rng(0)
    for size in (1e-3, 0.3, 3.0, 30.0):
        factors = best.factors._replace(
            left=best.factors.left + size * rng.standard_normal(best.factors.left.shape),
            bias=best.factors.bias + (size if program.bias_decay is not None else 0.0) * rng.standard_normal(program.rows),
        )
        found = table_bounds(program, factors)
        assert found.lower <= best.upper
        assert found.upper >= best.lower


@pytest.mark.parametrize("kind", KINDS)
def test_saved_certificates_are_accepted_and_altered_claims_refused(kind, tmp_path):
    problem, _ = drawn(kind, 1)
    solution = ufm.solve(problem, level="rigorous")
    path = tmp_path / "c.json"
    solution.save(path)
    assert ufm.recheck(path).accepted
    document = json.loads(path.read_text())
    for end, factor in (("lower", 1.0001), ("upper", 0.9999)):
        forged = copy.deepcopy(document)
        value = float(forged["claim"][end])
        forged["claim"][end] = repr(value * factor + (1e-6 if factor > 1 else -1e-6))
        path.write_text(json.dumps(forged))
        assert not ufm.recheck(path).accepted


def documents():
    """A document of each kind, without a bias and with a free one."""
    soft = TargetTable.soft([[0.5, 0.2, 1], [0.3, 0.3, 0], [0.2, 0.5, 0]], [2, 3, 4])
    sets = TargetTable([[1, 0, 1], [0, 1, 1], [1, 0, 0.0]], [2, 3, 4])
    decay = ufm.WeightDecay(0.01, 0.02)
    free = ufm.WeightDecay(0.01, 0.02, 0.0)
    return {
        "ce": ufm.Problem(soft, regularizer=decay),
        "free": ufm.Problem(soft, regularizer=free),
        "pal": ufm.Problem(sets, regularizer=decay, loss="pal"),
        "bce": ufm.Problem(sets, regularizer=decay, loss="bce"),
        "mse": ufm.Problem(sets, regularizer=free, loss="mse"),
        "budget": ufm.Problem(sets, regularizer=ufm.NormBudget(0.1, 0.1), loss="pal"),
        "narrow": ufm.Problem(soft, regularizer=decay, dim=2),
    }


@pytest.fixture(scope="module")
def written():
    return {name: ufm.solve(problem).certificate.document() for name, problem in documents().items()}


def put(*path):
    """A change that puts the last item where the others lead."""

    def change(document):
        place = document
        for key in path[:-2]:
            place = place[key]
        place[path[-2]] = path[-1]

    return change


def more(*path, step=1):
    """A change that adds to an integer that is written as text."""

    def change(document):
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = str(int(place[path[-1]]) + step)

    return change


HUGE = 10**60
FORGED = [
    ("ce", more("dual", "slopes", 0, 0), "do not sum to zero"),
    (
        "ce",
        lambda d: (more("dual", "slopes", 1, 2, step=-HUGE)(d), more("dual", "slopes", 0, 2, step=HUGE)(d)),
        "negative prob",
    ),
    ("bce", more("dual", "slopes", 0, 0, step=HUGE), r"outside \[0, 1\]"),
    ("bce", more("dual", "slopes", 0, 0, step=-HUGE), r"outside \[0, 1\]"),
    ("free", lambda d: (more("dual", "slopes", 0, 0)(d), more("dual", "slopes", 1, 0, step=-1)(d)), "do not balance"),
    ("mse", more("dual", "slopes", 0, 0), "do not balance"),
    ("ce", put("dual", "denominator", "0"), "denominator below 1"),
    ("ce", put("dual", "denominator", "-1"), "denominator below 1"),
    ("ce", put("dual", "slopes", []), "wrong shape"),
    ("ce", put("dual", "slopes", 0, ["0"]), "wrong shape"),
    ("ce", put("dual", {"denominator": "1"}), "exactly the keys"),
    ("ce", put("problem", "table", "sizes", 0, 0), "sizes that no table has"),
    ("ce", put("problem", "table", "sizes", 0, -2), "sizes that no table has"),
    ("ce", put("problem", "table", "sizes", 0, 2**60), "sizes that no table has"),
    ("ce", put("problem", "table", "sizes", [1, 2]), "wrong shape"),
    ("ce", put("problem", "table", "columns", "integers", 0, 0, "-1"), "no probability"),
    ("ce", lambda d: [put("problem", "table", "columns", "integers", k, 2, "0")(d) for k in range(3)], "no probability"),
    ("pal", more("problem", "table", "columns", "integers", 0, 0), "does not take"),
    ("bce", more("problem", "table", "columns", "integers", 0, 0), "does not take"),
    ("ce", put("problem", "table", "columns", "exponent", -1200), "no float64"),
    ("ce", put("problem", "loss", {"kind": "hinge"}), "unknown loss"),
    ("ce", put("problem", "loss", {"kind": "ce", "smoothing": "0"}), "exactly the keys"),
    ("ce", put("problem", "loss", {"kind": "multitask", "rows": [2, 2]}), "tasks whose rows"),
    ("ce", put("problem", "loss", {"kind": "multitask", "rows": [1, 2]}), "tasks whose rows"),
    ("ce", put("problem", "loss", {"kind": "multitask", "rows": []}), "tasks whose rows"),
    ("ce", put("problem", "head", {"kind": "relu"}), "does not go with a table"),
    ("ce", put("problem", "head", {"kind": "linear_deq", "rho": "1"}), "rho|unknown head"),
    ("ce", put("problem", "regularizer", "lambda_W", "0"), "positive"),
    ("ce", put("problem", "dim", 0), "dim=0"),
    ("narrow", put("problem", "dim", 1), "more than dim=1"),
    ("ce", put("primal", "bias", "integers", 0, "1"), "bias where the problem has none"),
    ("ce", put("primal", "left", "integers", []), "wrong shape|malformed"),
    ("ce", put("primal", "right", "integers", 0, ["1"]), "wrong shape"),
    ("ce", put("primal", "right", "exponent", 10**6), "binary exponent"),
    ("ce", put("format", "ufm-certificate/1"), "has format"),
]


@pytest.mark.parametrize(("name", "change", "message"), FORGED)
def test_forged_documents_prove_nothing(written, name, change, message):
    document = copy.deepcopy(written[name])
    prove(document)  # the honest one is proved
    change(document)
    with pytest.raises(ufm.InputError, match=message):
        prove(document)


def test_slopes_that_are_too_long_are_scaled_and_prove_less(written):
    honest = prove(written["ce"])
    document = copy.deepcopy(written["ce"])
    document["dual"]["denominator"] = str(int(document["dual"]["denominator"]) * 2)
    half = prove(document)
    assert half.lower < honest.lower
    assert half.lower > 0


def test_other_targets_or_sizes_are_another_problem(written):
    """The bound belongs to the stated table: with other sizes, or a target moved, the same witness proves another number."""
    honest = prove(written["free"])
    document = copy.deepcopy(written["ce"])
    put("problem", "table", "sizes", 0, 200)(document)
    assert abs(float(prove(document).upper.mid()) - float(prove(written["ce"]).upper.mid())) > 1e-3
    document = copy.deepcopy(written["free"])
    put("problem", "table", "sizes", 0, 3)(document)
    with pytest.raises(ufm.InputError, match="do not balance"):
        prove(document)
    assert honest.width == 2
