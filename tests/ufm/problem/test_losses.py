"""Losses: independent formulas, three routes with certificates, closed forms, and certificates that cannot be bent."""

import json

import numpy as np
import pytest
from scipy.special import logsumexp

import ufm
from tests.ufm.spectral.test_program import inner, random_point
from ufm.certify.verify import prove
from ufm.solvers import Convex
from ufm.spectral import Point

LOSSES = {
    "weights": ufm.CrossEntropy(weights=1.0),
    "adjustment": ufm.CrossEntropy(adjustment=1.0),
    "temperatures": ufm.CrossEntropy(temperatures=0.4),
    "smoothing": ufm.CrossEntropy(smoothing=0.1),
    "all": ufm.CrossEntropy(weights=0.5, adjustment=-0.7, temperatures=(1.0, 0.6), smoothing=0.05),
    "mse": ufm.SquaredError(),
    "bce": ufm.BinaryCrossEntropy(),
}
REGULARIZERS = {
    "decay": ufm.WeightDecay(4e-3, 1e-2),
    "bias": ufm.WeightDecay(4e-3, 1e-2, 1e-2),
    "free bias": ufm.WeightDecay(4e-3, 1e-2, 0.0),
    "per class": ufm.WeightDecay(1e-2, 2e-2, per_class=True),
    "budget": ufm.NormBudget(0.5, 0.5),
}
COUNTS = [40, 40, 10, 10, 10]


def formula(loss, logits, counts):
    """The loss of class-mean logits, written from its definition."""
    counts = np.array(counts, dtype=float)
    if isinstance(loss, ufm.SquaredError):
        return float(counts @ np.sum((logits - np.eye(len(counts))) ** 2, axis=0)) / (2 * counts.sum())
    if isinstance(loss, ufm.BinaryCrossEntropy):
        turned = logits * (1 - 2 * np.eye(len(counts)))
        return float(counts @ np.logaddexp(0.0, turned).sum(axis=0)) / counts.sum()
    sizes = sorted(set(counts), reverse=True)

    def each(value, exponent):
        table = dict(zip(sizes, value, strict=True)) if isinstance(value, tuple) else {n: exponent(n, value) for n in sizes}
        return np.array([table[n] for n in counts])

    weights = each(loss.weights, lambda n, a: n**-a)
    offsets = each(loss.adjustment, lambda n, t: t * np.log(n / counts.sum()))
    temperature = each(loss.temperatures, lambda n, g: (n / max(sizes)) ** g)
    u = temperature[:, None] * logits + offsets[:, None]
    k = len(counts)
    targets = (1 - loss.smoothing) * np.eye(k) + loss.smoothing / k
    columns = logsumexp(u, axis=0) - np.sum(targets * u, axis=0)
    share = weights * counts
    return float(share @ columns) / share.sum()


def problem_of(loss, regularizer, counts=COUNTS):
    return ufm.Problem(counts, regularizer=REGULARIZERS[regularizer], loss=LOSSES[loss], head=ufm.LinearDEQ(0.3))


@pytest.mark.parametrize("loss", LOSSES)
def test_values_are_the_definition(loss):
    problem = problem_of(loss, "bias")
    program = problem.program()
    factors = program.factors(random_point(program, 3))
    value = program.smooth(program.point(factors)).value - 0.005 * float(program.multiplicity @ factors.bias**2)
    assert value == pytest.approx(formula(LOSSES[loss], np.asarray(program.logits(factors)), COUNTS), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_derivatives(loss):
    program = problem_of(loss, "bias").program()
    point, direction = random_point(program, 7), random_point(program, 8, 0.3)
    at = program.smooth(point)
    slopes = np.random.default_rng(2).standard_normal((program.groups + 1, program.groups))
    assert np.vdot(program.spread(point), slopes) == pytest.approx(inner(point, program.gather(slopes)), rel=1e-11)

    def moved(t):
        return program.smooth(Point(*(p + t * d for p, d in zip(point, direction, strict=True))))

    assert (moved(1e-5).value - moved(-1e-5).value) / 2e-5 == pytest.approx(inner(at.gradient, direction), rel=1e-7)
    image = program.hessian(at, direction)
    for part, (a, b) in zip(image, zip(moved(1e-5).gradient, moved(-1e-5).gradient, strict=True), strict=True):
        assert np.allclose((a - b) / 2e-5, part, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("loss", LOSSES)
def test_three_routes_agree_with_proof(loss, regularizer):
    problem = problem_of(loss, regularizer)
    solutions = [ufm.solve(problem, method=m) for m in ("symmetric", "factored", Convex(profile="clarabel-1e-9"))]
    for solution in solutions[:2]:
        rigorous = solution.certificate.rigorous()
        assert solution.status is ufm.Status.OPTIMAL
        assert rigorous.relative_gap <= 1e-9
        assert problem.objective(solution.parameters) == pytest.approx(solution.value, rel=1e-9)
    values = [s.value for s in solutions]
    assert max(values) - min(values) <= 2e-8
    assert all(s.certificate.lower <= min(values) * (1 + 1e-13) for s in solutions)


@pytest.mark.parametrize("loss", LOSSES)
def test_bent_certificates_are_rejected(loss, tmp_path):
    """A witness proves bounds for its own loss: with another one's parameters the claim must fail or weaken."""
    solution = ufm.solve(problem_of(loss, "decay"))
    solution.certificate.save(tmp_path / "c.json")
    assert ufm.recheck(tmp_path / "c.json").accepted
    document = json.loads((tmp_path / "c.json").read_text())
    changed = []
    for name in ("weights", "offsets", "temperatures"):
        if name in document["problem"]["loss"]:
            bent = json.loads(json.dumps(document))
            bent["problem"]["loss"][name][1] = "7/5"
            changed.append(bent)
    bent = json.loads(json.dumps(document))
    bent["dual"]["own"][0] = str(int(bent["dual"]["own"][0]) * 11 // 10)
    changed.append(bent)
    if loss not in ("mse", "bce"):
        bent = json.loads(json.dumps(document))
        bent["problem"]["loss"]["smoothing"] = "1/4"
        changed.append(bent)
    for number, content in enumerate(changed):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(content))
        assert not ufm.recheck(path).accepted, number


def test_contrasts_of_weighted_and_squared_losses_are_enclosed():
    for loss in LOSSES:
        solution = ufm.solve(problem_of(loss, "decay"))
        verdict = ufm.collapse(solution)
        logits = np.asarray(solution.logits)
        contrast = logits[-1, -1] - logits[-2, -1]
        assert verdict.verdict == "no", loss
        assert verdict.lower <= contrast <= verdict.upper
        assert verdict.upper - verdict.lower < 1e-3


def test_squared_error_golden_threshold():
    """M1: lb* = .04681 at K=5, n=20, lw=lh=2e-3: below it a simplex ETF, above it a mean direction."""
    t = 5 * np.sqrt(20) * 2e-3
    assert t / (1 - t) == pytest.approx(0.04681, abs=5e-6)
    alive = []
    for bias in (0.0468, 0.0469):
        problem = ufm.Problem([20] * 5, regularizer=ufm.WeightDecay(2e-3, 2e-3, bias), loss=ufm.SquaredError())
        solution = ufm.solve(problem)
        plain = np.asarray(solution.logits) - solution.factors.bias[0]
        alive.append(bool(abs(plain.sum(axis=0)).max() > 1e-9))
    assert alive == [False, True]


@pytest.mark.parametrize("head", [ufm.Explicit(), ufm.Explicit(2), ufm.Explicit(4), ufm.DecayedDEQ(0.02, 0.5)])
def test_squared_error_is_solved_globally_for_every_head(head):
    """Without bias the scalar problems give the global optimum; descent from many starts finds nothing lower."""
    problem = ufm.Problem([30, 20, 10], regularizer=ufm.WeightDecay(1e-3, 2e-3), loss=ufm.SquaredError(), head=head)
    exact = ufm.solve(problem)
    assert exact.method == "separable"
    assert exact.status is ufm.Status.OPTIMAL
    assert exact.certificate.rigorous().relative_gap < 1e-12
    found = ufm.solve(problem, method="multistart")
    assert found.value >= exact.certificate.lower
    assert found.value == pytest.approx(exact.value, rel=1e-6)


def test_a_scalar_certificate_of_another_problem_is_rejected(tmp_path):
    problem = ufm.Problem([30, 20, 10], regularizer=ufm.WeightDecay(1e-3, 2e-3), loss=ufm.SquaredError(), head=ufm.Explicit(2))
    ufm.solve(problem).certificate.save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    assert prove(document).lower_float > 0
    for change in (
        {"head": {"kind": "explicit", "layers": 1}},
        {"regularizer": {**document["problem"]["regularizer"], "lambda_b": "1/10"}},
        {"regularizer": {**document["problem"]["regularizer"], "features": "per class"}},
    ):
        bent = {**document, "problem": {**document["problem"], **change}}
        (tmp_path / "b.json").write_text(json.dumps(bent))
        assert not ufm.recheck(tmp_path / "b.json").accepted


def test_relu_needs_columns_that_repel(tmp_path):
    """The same probabilities moved so that two columns attract each other prove nothing for features >= 0."""
    problem = ufm.Problem([9] * 4, regularizer=ufm.WeightDecay(1e-2, 1e-2), head=ufm.ReLU())
    solution = ufm.solve(problem, method="separable")
    program = problem.program().split()
    from ufm.certify.certificate import Certificate

    shares = np.full((4, 4), 0.01)
    shares[2, 0] = shares[2, 1] = 0.9
    shares[0, 1] = shares[1, 0] = 0.0
    np.fill_diagonal(shares, 0.0)
    slopes = np.vstack([shares, -shares.sum(axis=0)])
    factors = program.factors(Point(np.zeros(4), np.asarray(solution.logits) * program.scale, np.zeros(4)))
    forged = Certificate(0.0, 1.0, "float", problem, program, factors, slopes)
    with pytest.raises(ufm.InputError, match="attract"):
        prove(forged.document())
