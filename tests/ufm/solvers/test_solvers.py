"""Solvers: optimality conditions, closed forms, agreement of independent routes, edge cases."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from tests.conftest import SHARED
from ufm.solvers import Convex, Factored, Gradient, Status, Symmetric
from ufm.spectral import Nuclear, NuclearBall, Point

ROUTES = {
    "symmetric": Symmetric(),
    "factored": Factored(),
    "gradient": Gradient(),
    "heavy ball": Gradient(rule="heavy-ball", random_state=1),
    "clarabel": Convex(),
    "scs": Convex(profile="scs-1e-9"),
    "sdp": Convex(profile="scs-1e-9", formulation="sdp"),
}


def optimality(solution):
    """Violation of the optimality conditions on the dense program, in units of the multiplier.

    ``||G||_2 <= mu`` and ``<G, X> = -mu ||X||_*`` with G the gradient by ``X = Z S``, written with dense arrays.
    """
    from scipy.special import softmax

    program = solution.program
    group = np.repeat([g for g, _ in program.runs], [c for _, c in program.runs])
    logits = np.asarray(solution.logits)
    core = (logits - solution.factors.bias[group][:, None]) * program.scale[group]
    slope = (softmax(logits, axis=0) - np.eye(len(group))) * (program.share / program.scale)[group]
    largest = np.linalg.norm(slope, 2)
    nuclear = np.linalg.norm(core, "nuc")
    mu = program.penalty.strength if isinstance(program.penalty, Nuclear) else largest
    violations = [max(largest / mu - 1, 0.0), abs(np.vdot(slope, core) / mu + nuclear) / max(nuclear, 1e-300)]
    if isinstance(program.penalty, NuclearBall):
        violations.append(abs(nuclear / program.penalty.radius - 1))
    if program.bias_decay is not None:
        residual = (softmax(logits, axis=0) - np.eye(len(group))) @ program.share[group]
        violations.append(np.abs(residual + program.bias_decay * solution.factors.bias[group]).max() / mu)
    return max(violations)


@pytest.mark.parametrize("method", ["symmetric", "factored"])
def test_optimality_conditions(problem, method):
    assert optimality(ufm.solve(problem, method=method)) < 1e-8


def test_optimality_is_a_real_test(problem):
    """The same check rejects a point moved by 1e-4."""
    solution = ufm.solve(problem)
    moved = solution.factors._replace(left=solution.factors.left * (1 + 1e-4), contrast=solution.factors.contrast * (1 + 1e-4))
    assert optimality(replace(solution, factors=moved)) > 1e-8


@pytest.mark.parametrize("name", ROUTES)
def test_routes_agree_within_their_certified_gaps(problem, name):
    reference = ufm.solve(problem, method="symmetric").certificate
    assert reference.relative_gap < 1e-11
    found = ufm.solve(problem, method=ROUTES[name]).certificate
    assert found.lower <= reference.upper
    assert reference.lower <= found.upper
    assert found.relative_gap < 2e-3
    assert found.upper - reference.lower < 3e-6 * reference.upper


@pytest.mark.parametrize(
    ("counts", "regularizer", "value"),
    [
        ("20*10", ufm.WeightDecay(5e-3, 5e-3), 0.94430798137),
        ("50*10", ufm.WeightDecay(5e-3, 5e-3), 1.32465631),
        ("100*3,10*7", ufm.WeightDecay(2e-3, 2e-3), 0.50562973488268),
        ("7*10", ufm.NormBudget(1, 5), 0.5597815240),
    ],
)
@pytest.mark.parametrize("method", ["symmetric", "factored"])
def test_golden_values(counts, regularizer, value, method):
    solution = ufm.solve(ufm.Problem(ufm.ClassCounts.parse(counts), regularizer=regularizer), method=method)
    assert solution.value == pytest.approx(value, abs=6e-9)
    assert solution.certificate.gap < 1e-11
    assert solution.status is Status.OPTIMAL


@given(
    st.integers(2, 60),
    st.integers(1, 10**6),
    st.floats(1e-6, 2.0, allow_nan=False),
)
def test_balanced_decay_against_its_closed_form(classes, n, strength):
    """``K sqrt(n) mu = strength``: nonzero exactly below 1."""
    mu = strength / (classes * np.sqrt(n))
    solution = ufm.solve(ufm.Problem(ufm.balanced(classes, n), regularizer=ufm.WeightDecay(mu, mu)))
    a = np.log(1 / (np.sqrt(n) * mu) - (classes - 1)) if strength < 1 else 0.0
    expected = np.log1p((classes - 1) * np.exp(-a)) + np.sqrt(n) * mu * (classes - 1) * a
    assert solution.value == pytest.approx(expected, rel=1e-10)
    if strength > 1 + 1e-9:
        assert solution.status is Status.ZERO


@settings(max_examples=60)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 4)), min_size=1, max_size=4),
    strength=st.floats(1e-4, 1.5),
    split=st.floats(0.1, 10),
    rho=st.sampled_from([0.0, 0.3, 0.9]),
    bias=st.sampled_from([None, 0.0, 1e-3, 1.0]),
)
def test_symmetric_and_factored_agree_on_random_decay_problems(sizes, strength, split, rho, bias):
    counts = ufm.ClassCounts(tuple(sizes) if sum(c for _, c in sizes) > 1 else (*sizes, sizes[0]))
    mu = strength * max(counts) ** 0.5 / counts.total / (1 - rho)
    problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(mu * split, mu / split, bias), head=ufm.LinearDEQ(rho))
    one, two = ufm.solve(problem, method="symmetric"), ufm.solve(problem, method="factored")
    assert one.certificate.lower <= two.certificate.upper
    assert two.certificate.lower <= one.certificate.upper
    assert min(one.certificate.relative_gap, two.certificate.relative_gap) < 1e-9


@settings(max_examples=60)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 4)), min_size=1, max_size=4),
    height=st.floats(0.01, 40),
)
def test_random_budget_problems_are_certified(sizes, height):
    counts = ufm.ClassCounts(tuple(sizes) if sum(c for _, c in sizes) > 1 else (*sizes, sizes[0]))
    c = height * (counts.classes - 1) / counts.classes
    solution = ufm.solve(ufm.Problem(counts, regularizer=ufm.NormBudget(c, c)))
    assert solution.certificate.relative_gap < 1e-9


@pytest.mark.parametrize(
    ("counts", "regularizer"),
    [
        ("1e12*2,1*2", ufm.WeightDecay(1e-14, 1e-14)),
        ("1e12*2,1*2", ufm.NormBudget(1, 5)),
        ("1e9*1,1*1", ufm.WeightDecay(1e-10, 1e-10)),
        ("1*2", ufm.WeightDecay(1e-3, 1e-3)),
        ("1*1,2*9", ufm.NormBudget(1, 1)),
        ("1000*500000,100*500000", ufm.WeightDecay(5e-11, 5e-11)),
        ("700*5,100*5", ufm.WeightDecay(2.5e-3, 2.5e-3)),
    ],
    ids=["ratio 1e12", "ratio 1e12 budget", "ratio 1e9, K=2", "n=1", "K_A=9", "a million classes", "exactly at threshold"],
)
def test_extremes_are_certified(counts, regularizer):
    solution = ufm.solve(ufm.Problem(ufm.ClassCounts.parse(counts), regularizer=regularizer), level="rigorous")
    assert solution.certificate.relative_gap < 1e-11
    assert solution.status is Status.OPTIMAL


def test_zero_solution_is_said_in_words():
    for method in ("symmetric", "factored"):
        solution = ufm.solve(ufm.Problem([5] * 3, regularizer=ufm.WeightDecay(2.0, 2.0)), method=method)
        assert solution.status is Status.ZERO
        assert "zero" in solution.status.message
        assert solution.value == pytest.approx(np.log(3), rel=1e-14)


def test_narrow_models_claim_no_optimality_when_the_relaxation_is_loose():
    problem = ufm.Problem([10] * 6, regularizer=ufm.WeightDecay(3e-3, 3e-3), dim=2)
    solution = ufm.solve(problem)
    assert solution.method == "factored"
    assert "dim >= 5" in solution.choice
    assert solution.status is Status.LOOSE
    wide = ufm.solve(ufm.Problem([10] * 6, regularizer=ufm.WeightDecay(3e-3, 3e-3)))
    assert solution.certificate.lower == pytest.approx(wide.value, rel=1e-8)
    assert solution.value > wide.value + 1e-3
    assert solution.parameters.weight.shape == (6, 2)
    assert problem.objective(solution.parameters) == pytest.approx(solution.value, rel=1e-12)


def test_narrow_models_are_certified_when_the_optimum_has_low_rank():
    """Collapsed minorities need fewer dimensions: d below K - 1 can still be provably enough."""
    counts = [3000] * 2 + [10] * 5
    problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(2e-3, 2e-3), dim=3)
    solution = ufm.solve(problem)
    assert solution.status is Status.OPTIMAL
    assert solution.factors.width(solution.program.multiplicity) <= 3


@pytest.mark.parametrize("method", ["symmetric", "convex"])
def test_solvers_refuse_what_they_cannot_do(method):
    problem = ufm.Problem([10] * 6, regularizer=ufm.WeightDecay(3e-3, 3e-3), dim=2)
    with pytest.raises(ufm.InputError, match="method='auto'"):
        ufm.solve(problem, method=method)


def test_auto_takes_long_tails_to_the_factored_solver():
    problem = ufm.Problem(ufm.long_tailed(40, largest=500, ratio=100), regularizer=ufm.WeightDecay(1e-4, 1e-4))
    solution = ufm.solve(problem)
    assert solution.method == "factored"
    assert solution.certificate.relative_gap < 1e-10
    assert optimality(solution) < 1e-8


def test_same_input_same_bits(problem):
    for method in ("symmetric", "factored", Gradient(max_iterations=50)):
        one, two = ufm.solve(problem, method=method), ufm.solve(problem, method=method)
        assert one.value == two.value
        assert np.array_equal(np.asarray(one.logits), np.asarray(two.logits))


@pytest.mark.parametrize("name", ["nonsense", ""])
def test_unknown_methods(name):
    with pytest.raises(ufm.InputError, match="choose one of"):
        ufm.solve(SHARED["bias"], method=name)


@pytest.mark.parametrize(
    "options",
    [{"rule": "sgd"}, {"step": 0.0}, {"step": float("nan")}, {"momentum": 1.0}, {"scale": 0.0}, {"max_iterations": 0}],
)
def test_gradient_options_are_checked(options):
    with pytest.raises(ufm.InputError):
        Gradient(**options)


def test_convex_profiles_are_checked():
    with pytest.raises(ufm.InputError, match="profile"):
        Convex(profile="mosek")
    with pytest.raises(ufm.InputError, match="formulation"):
        Convex(formulation="lp")
    with pytest.raises(ufm.InputError, match="at most K=50"):
        ufm.solve(ufm.Problem([2] * 60, regularizer=ufm.WeightDecay(1e-3, 1e-3)), method="convex")


@pytest.mark.parametrize("rule", ["gd", "heavy-ball", "nesterov", "adam"])
def test_dynamics_reach_the_certified_optimum_and_record_it(rule):
    problem = SHARED["step decay"]
    solution = ufm.solve(problem, method=Gradient(rule=rule, random_state=4))
    assert solution.certificate.relative_gap < 1e-5
    path = solution.path
    assert path.iteration[0] == 0
    assert np.all(np.diff(path.iteration) > 0)
    assert path.gap[-1] < 1e-4 * path.gap[0]
    assert path.metrics["nc1"][-1] < 1e-3 < path.metrics["nc1"][0]
    optimum = ufm.geometry(ufm.solve(problem))
    assert path.metrics["nc2"][-1] == pytest.approx(optimum["nc2"], abs=5e-3)
    assert path.metrics["self_duality"][-1] == pytest.approx(optimum["self_duality"], abs=5e-3)


def test_adam_is_refused_under_constraints():
    with pytest.raises(ufm.InputError, match="unconstrained"):
        ufm.solve(SHARED["step budget"], method=Gradient(rule="adam"))


def test_divergence_is_an_error_with_its_cause():
    for name in ("step decay", "deq decay"):
        with pytest.raises(ufm.ConvergenceError, match="smaller step"):
            ufm.solve(SHARED[name], method=Gradient(rule="gd", step=1e6))


def test_a_conic_solver_that_fails_is_no_bad_input(monkeypatch):
    import cvxpy

    def fails(self, **options):
        raise cvxpy.SolverError("it failed")

    monkeypatch.setattr(cvxpy.Problem, "solve", fails)
    with pytest.raises(ufm.ConvergenceError, match="try another profile"):
        ufm.solve(SHARED["step decay"], method="convex")
    monkeypatch.setattr(cvxpy.Problem, "solve", lambda self, **options: None)
    with pytest.raises(ufm.ConvergenceError, match="no point"):
        ufm.solve(SHARED["step decay"], method="convex")


def test_gradient_respects_the_spectral_budget():
    solution = ufm.solve(SHARED["deq budget"], method="gradient")
    assert np.linalg.norm(solution.parameters.mixing, 2) <= 0.3 * (1 + 1e-12)
    assert solution.certificate.relative_gap < 1e-5


@pytest.mark.parametrize("kind", [Symmetric, Factored, Gradient, Convex])
@pytest.mark.parametrize("tolerance", [float("nan"), 0.0, 1.0, 2.0, -1e-9, "x"])
def test_no_solver_takes_a_senseless_tolerance(kind, tolerance):
    with pytest.raises(ufm.InputError, match="tolerance"):
        kind(tolerance=tolerance)


@pytest.mark.parametrize("tolerance", [float("nan"), 0.0, 1.0, 2, -1e-9, "x", True])
def test_solve_takes_no_senseless_tolerance(tolerance):
    with pytest.raises(ufm.InputError, match="tolerance"):
        ufm.solve(SHARED["step decay"], tolerance=tolerance)


@pytest.mark.parametrize("method", ["auto", "factored", "gradient", Gradient(tolerance=1e-8)])
def test_the_tolerance_of_solve_is_the_solvers(method):
    problem = SHARED["step decay"]
    rough, fine = (ufm.solve(problem, method=method, tolerance=t) for t in (1e-2, 1e-5))
    for solution, tolerance in ((rough, 1e-2), (fine, 1e-5)):
        assert solution.status == "optimal"
        assert solution.relative_gap <= tolerance
    assert rough.stats.iterations <= fine.stats.iterations
    strict = ufm.solve(problem, method=method, tolerance=1e-16)
    assert strict.status == "open" or strict.relative_gap <= 1e-16


def test_the_tolerance_holds_at_the_rigorous_level_too():
    problem = SHARED["step decay"]
    rough = ufm.solve(problem, method=Gradient(), level="rigorous", tolerance=0.5)
    assert rough.relative_gap > 1e-6
    assert rough.status == "optimal"
    assert ufm.solve(problem, level="rigorous", tolerance=1e-18).status == "open"


def test_a_solver_without_a_tolerance_says_so():
    class Own:
        name = "own"

        def unfit(self, problem):
            return None

        def __call__(self, problem):
            return Symmetric()(problem)

    assert ufm.solve(SHARED["step decay"], method=Own()).success
    with pytest.raises(ufm.InputError, match="no such option"):
        ufm.solve(SHARED["step decay"], method=Own(), tolerance=1e-3)


def test_progress_is_told_on_request_only(capsys):
    problem = SHARED["step decay"]
    quiet = ufm.solve(problem)
    assert capsys.readouterr() == ("", "")
    told = ufm.solve(problem, verbose=True, level="rigorous")
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 3
    assert all(word in err for word in ("ufm: symmetric runs", "optimal", "relative gap", " s\n", "proved"))
    assert told.value == quiet.value


def test_an_early_stop_is_not_called_optimal():
    problem = ufm.Problem([40, 30, 20, 10, 5, 1, 1], regularizer=ufm.WeightDecay(1e-3, 1e-3))
    assert ufm.solve(problem, method=Symmetric(max_iterations=1)).status is Status.OPEN


@pytest.mark.parametrize(
    ("counts", "decay"),
    [
        ("90000*10000,1*2", (1e-10, 1e-11)),
        ("100*1000,1*2,10*1", (1e-9, 1e-9)),
        ("2*1,200*5000,13*100", (1e-8, 1e-8, 0.01)),
        ("60000*1,3*5,10*1,5*10000", (5e-4, 3e-11, 0)),
    ],
)
def test_groups_of_very_different_numbers_of_classes(counts, decay):
    solution = ufm.solve(ufm.Problem(ufm.ClassCounts.parse(counts), regularizer=ufm.WeightDecay(*decay)))
    assert solution.certificate.relative_gap < 1e-11


def test_the_newton_systems_basis_is_the_programs_spread(problem):
    program = problem.program()
    g = program.groups
    basis = program.coordinates()
    for i in range(basis.shape[-1]):
        unit = np.zeros(2 * g + g * g)
        unit[i] = 1.0
        point = Point(unit[:g], unit[g : g + g * g].reshape(g, g), unit[g + g * g :])
        assert np.allclose(basis[..., i], program.spread(point), atol=1e-15)
