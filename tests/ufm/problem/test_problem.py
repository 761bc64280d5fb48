"""Problems, regularisers and heads: bad input at the door, and recovery of parameters."""

import dataclasses
import pickle

import numpy as np
import pytest

import ufm

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("bad", [0.0, -1.0, NAN, INF, -INF])
@pytest.mark.parametrize("kind", [ufm.WeightDecay, ufm.NormBudget])
def test_non_positive_or_infinite_strengths_are_refused(kind, bad):
    for arguments in ((bad, 1.0), (1.0, bad)):
        with pytest.raises(ufm.InputError):
            kind(*arguments)


def test_zero_decay_is_refused_with_the_reason():
    with pytest.raises(ufm.InputError, match="no minimiser"):
        ufm.WeightDecay(0.0, 1e-3)


@pytest.mark.parametrize("bad", [-1e-9, NAN, INF])
def test_bad_bias_decay(bad):
    with pytest.raises(ufm.InputError):
        ufm.WeightDecay(1e-3, 1e-3, bad)


@pytest.mark.parametrize("rho", [-0.1, 1.0, 1.5, NAN, INF])
def test_rho_outside_the_unit_interval(rho):
    with pytest.raises(ufm.InputError, match="rho"):
        ufm.LinearDEQ(rho)


def test_budgets_beyond_float64_are_refused():
    with pytest.raises(ufm.InputError, match="beyond what float64"):
        ufm.Problem([5] * 3, regularizer=ufm.NormBudget(1e5, 1e5)).program()


@pytest.mark.parametrize("arguments", [{"dim": 0}, {"dim": -3}])
def test_bad_dimension(arguments):
    with pytest.raises(ufm.InputError, match="dim"):
        ufm.Problem([5, 5], regularizer=ufm.WeightDecay(1e-3, 1e-3), **arguments)


def test_unknown_options_are_type_errors():
    with pytest.raises(TypeError):
        ufm.Problem([5, 5], regularizer=ufm.WeightDecay(1e-3, 1e-3), heads=ufm.Explicit())
    with pytest.raises(TypeError):
        ufm.solve(ufm.Problem([5, 5], regularizer=ufm.WeightDecay(1e-3, 1e-3)), steps=3)


def test_problems_are_values(problem):
    assert pickle.loads(pickle.dumps(problem)) == problem
    assert hash(problem) == hash(pickle.loads(pickle.dumps(problem)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.dim = 3


def test_recovered_parameters_attain_the_value(problem):
    solution = ufm.solve(problem)
    parameters = solution.parameters
    assert np.allclose(parameters.logits, np.asarray(solution.logits), atol=1e-10)
    assert problem.objective(parameters) == pytest.approx(solution.value, rel=1e-12)


def test_recovery_into_a_given_width():
    problem = ufm.Problem([9, 4, 4, 1], regularizer=ufm.WeightDecay(1e-3, 2e-3), head=ufm.LinearDEQ(0.3), dim=7)
    solution = ufm.solve(problem)
    assert solution.parameters.weight.shape == (4, 7)
    assert solution.parameters.mixing.shape == (7, 7)
    assert problem.objective(solution.parameters) == pytest.approx(solution.value, rel=1e-12)


def test_class_order_is_the_users():
    counts = [3, 9, 3, 5]
    logits = np.asarray(ufm.solve(ufm.Problem(counts, regularizer=ufm.WeightDecay(5e-3, 5e-3))).logits)
    order = [1, 3, 0, 2]
    moved = np.asarray(ufm.solve(ufm.Problem([counts[i] for i in order], regularizer=ufm.WeightDecay(5e-3, 5e-3))).logits)
    assert np.allclose(moved, logits[np.ix_(order, order)], atol=1e-9)


def test_the_classifier_is_what_an_independent_solver_finds_for_our_features():
    """Multinomial logistic regression on the optimal features, features fixed, must return the optimal W."""
    from sklearn.linear_model import LogisticRegression

    problem = ufm.Problem([30, 12, 12, 5], regularizer=ufm.WeightDecay(4e-3, 9e-3))
    found = ufm.solve(problem).parameters
    counts = list(problem.counts)
    samples = np.repeat(found.features.T, counts, axis=0)
    labels = np.repeat(np.arange(4), counts)
    model = LogisticRegression(C=1 / (sum(counts) * 4e-3), fit_intercept=False, tol=1e-12, max_iter=10_000)
    assert np.allclose(model.fit(samples, labels).coef_, found.weight, atol=1e-5)


@pytest.mark.parametrize("bad", ["1", None, 10**400, True, [1.0]])
def test_strengths_of_the_wrong_type(bad):
    for kind in (ufm.WeightDecay, ufm.NormBudget):
        with pytest.raises(ufm.InputError):
            kind(bad, 1.0)
    with pytest.raises(ufm.InputError):
        ufm.LinearDEQ(bad)


@pytest.mark.parametrize(
    "options",
    [
        {"dim": "3"},
        {"dim": 2.5},
        {"dim": True},
        {"head": "explicit:0"},
        {"head": 3},
        {"loss": "hinge"},
        {"loss": ufm.CrossEntropy},
        {"head": ufm.Explicit},
        {"regularizer": 3},
    ],
)
def test_arguments_of_the_wrong_type(options):
    with pytest.raises(ufm.InputError):
        ufm.Problem([5, 5], **({"regularizer": ufm.WeightDecay(1e-3, 1e-3)} | options))
    for counts in (5, None, "5*", [5, True]):
        with pytest.raises(ufm.InputError):
            ufm.Problem(counts, regularizer=ufm.WeightDecay(1e-3, 1e-3))


def test_parts_as_the_command_line_writes_them():
    decay = ufm.WeightDecay(1e-3, 1e-3)
    text = ufm.Problem("9*2,3*2", regularizer=decay, head="deq:rho=0.3", loss="ce:weights=1")
    same = ufm.Problem([9, 9, 3, 3], regularizer=decay, head=ufm.LinearDEQ(0.3), loss=ufm.CrossEntropy(weights=1.0))
    assert text == same


@pytest.mark.parametrize("method", [None, 5, ufm.solvers.Symmetric])
def test_methods_of_the_wrong_type(method):
    problem = ufm.Problem([5, 5], regularizer=ufm.WeightDecay(1e-3, 1e-3))
    with pytest.raises(ufm.InputError):
        ufm.solve(problem, method=method)
    with pytest.raises(ufm.InputError):
        ufm.solve([5, 5])


def test_numpy_scalars_are_numbers():
    single = ufm.Problem(
        [5, 5], regularizer=ufm.WeightDecay(np.float32(0.015625), np.float64(0.015625)), head=ufm.LinearDEQ(np.float32(0.5))
    )
    double = ufm.Problem(np.array([5, 5]), regularizer=ufm.WeightDecay(0.015625, 0.015625), head=ufm.LinearDEQ(0.5))
    assert ufm.solve(single, level="rigorous").value == ufm.solve(double).value


def test_objective_refuses_what_the_model_does_not_allow():
    problem = ufm.Problem([5] * 3, regularizer=ufm.WeightDecay(5e-3, 5e-3), head=ufm.LinearDEQ(0.5))
    found = ufm.solve(problem).parameters
    assert problem.objective(dataclasses.replace(found, mixing=0.9 * np.eye(len(found.mixing)))) == np.inf
    with pytest.raises(ufm.InputError):
        problem.objective(dataclasses.replace(found, mixing=None))
    with pytest.raises(ufm.InputError):
        problem.objective(dataclasses.replace(found, bias=np.zeros(3)))
    explicit = ufm.Problem([5] * 3, regularizer=ufm.WeightDecay(5e-3, 5e-3))
    with pytest.raises(ufm.InputError):
        explicit.objective(found)


def test_programs_cannot_be_changed():
    program = ufm.Problem([5, 4], regularizer=ufm.WeightDecay(1e-3, 1e-3)).program()
    for array in (program.share, program.multiplicity, program.scale):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9.0
