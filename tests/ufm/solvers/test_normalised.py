"""Features of a fixed norm: routes that agree within their certified gaps, closed forms, invariances, and narrow models."""

from math import exp, log

import numpy as np
import pytest
from scipy.optimize import brentq

import ufm
from ufm import ClassifierDecay, LayerNorm, Problem
from ufm.solvers import Convex, Factored, Gradient, Symmetric
from ufm.spectral.normalised import gamma_price

LOSSES = ("ce", "ce:weights=0.5", "ce:adjustment=1", "ce:temperatures=0.5", "ce:smoothing=0.1", "mse", "bce")


def solved(counts, decay=0.01, head="layernorm", loss="ce", bias=None, dim=None, **options):
    return ufm.solve(Problem(counts, regularizer=ClassifierDecay(decay, bias), head=head, loss=loss, dim=dim), **options)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("decay", [1e-6, 1e-2, 10.0])
def test_balanced_classes_are_a_simplex_etf_at_every_decay(classes, decay):
    """x (e^x + K - 1) = K / ((K - 1) decay); value log(1 + (K-1) e^-x) + decay (K-1)^2 x^2 / (2 K)."""
    target = classes / ((classes - 1) * decay)
    x = brentq(lambda x: log(x) + np.logaddexp(x, log(classes - 1)) - log(target), 1e-12, 50.0, xtol=1e-15)
    value = log(1 + (classes - 1) * exp(-x)) + decay * (classes - 1) ** 2 * x**2 / (2 * classes)
    found = solved([7] * classes, decay)
    assert found.status == "optimal"
    assert found.value == pytest.approx(value, rel=1e-12)
    geometry = ufm.geometry(found)
    assert max(geometry["nc2"], geometry["nc2_means"], geometry["nc3"], geometry["self_duality"]) < 1e-6


def test_the_reference_case():
    """Two numbers known beforehand: the value at R = 100, and the price at R = 30, which is Gamma of the logits."""
    assert solved([100] * 5 + [1] * 5).value == pytest.approx(0.50774287738, abs=1e-11)
    found = solved([30] * 5 + [1] * 5)
    square = np.sum(found.parameters.weight**2)
    assert square == pytest.approx(62.793099, abs=5e-7)
    assert square == pytest.approx(gamma_price(np.asarray(found.logits)).value, rel=1e-9)
    assert found.relative_gap < 1e-12


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bias", [None, 0.0, 0.1])
def test_every_loss_is_certified_and_its_parameters_have_its_value(loss, bias):
    for counts in ([100] * 3 + [10] * 3 + [3], [4, 1], [50, 50, 2]):
        found = solved(counts, 0.03, "layernorm:norm=2", loss, bias)
        assert found.status == "optimal"
        assert found.relative_gap < 1e-10
        parameters = found.parameters
        norms = np.linalg.norm(parameters.features, axis=0)
        assert np.abs(norms - 2.0).max() < 1e-9
        value = found.problem.objective(parameters)
        assert found.lower * (1 - 1e-15) <= value <= found.upper


@pytest.mark.parametrize("counts", [[40, 40, 9, 9, 9], [100, 30, 10, 5, 2], [6, 3]])
@pytest.mark.parametrize("loss", ["ce", "ce:smoothing=0.1", "mse", "bce"])
def test_routes_agree_within_their_certified_gaps(counts, loss):
    routes = [Symmetric(), Factored(), Convex(), Convex(profile="clarabel-1e-9"), Gradient(max_iterations=3000)]
    found = [solved(counts, 0.02, loss=loss, method=route) for route in routes]
    best = max(s.lower for s in found)
    for solution in found:
        assert solution.lower <= solution.value <= solution.upper
        assert best <= solution.upper
        assert solution.gap <= 2e-3 * max(solution.upper, 0.5)
    assert found[0].value == pytest.approx(found[1].value, rel=1e-9)
    assert found[2].value == pytest.approx(found[0].value, rel=1e-4, abs=1e-5)
    assert found[4].value == pytest.approx(found[0].value, rel=1e-4)


def test_equal_classes_may_be_solved_one_by_one():
    """The block form and the full program, which knows nothing of groups, by conjugate gradients on K = 12 single classes."""
    from ufm.solvers.convex.normalised import SphereModel, minimise_on_spheres

    problem = Problem([60] * 6 + [5] * 6, regularizer=ClassifierDecay(0.01), head="layernorm")
    whole = problem.program().split()
    model = SphereModel.full(whole)
    _, found, _ = minimise_on_spheres(model, model.start(), 1e-11, 200)
    assert found.value == pytest.approx(ufm.solve(problem).value, rel=1e-10)
    assert found.upper - found.lower <= 1e-9 * found.upper


def test_derivatives_by_differences():
    from ufm.solvers.convex.normalised import SphereModel, Spheres, hessian_matrix

    program = Problem([9, 9, 4, 1], regularizer=ClassifierDecay(0.1, 0.3), head="layernorm", loss="bce").program()
    model = SphereModel.full(program)
    rng = np.random.default_rng(0)
    at = model.kicked(model.start(rng), rng)
    move = model.tangent(at, Spheres(*(rng.standard_normal(part.shape) for part in at)))
    here = model.local(at)
    ahead, behind = (model.local(model.normalised(at.plus(step, move))).value for step in (1e-4, -1e-4))
    assert here.gradient.dot(move) == pytest.approx((ahead - behind) / 2e-4, rel=1e-6)
    second = model.bend(at, here, move)
    # Rescaling to the sphere is a retraction of second order, up to the curvature that the multipliers state.
    assert second.dot(move) == pytest.approx((ahead - 2 * here.value + behind) / 1e-8, rel=1e-3)
    assert hessian_matrix(model, at, here) @ move.flat() == pytest.approx(second.flat(), abs=1e-12)


@pytest.mark.parametrize("norm", [0.1, 1.0, 16.0])
def test_the_norm_only_rescales_the_decay(norm):
    found = solved([50, 50, 3, 3, 3], 0.01 * norm**2, LayerNorm(norm))
    assert found.value == pytest.approx(solved([50, 50, 3, 3, 3], 0.01).value, rel=1e-12)
    assert np.linalg.norm(found.parameters.features, axis=0) == pytest.approx(np.full(5, norm), rel=1e-9)


def test_what_must_not_change_the_answer():
    """Duplicated samples, and classes in another order; counts enter through their ratios only."""
    value = solved([30, 30, 4, 4, 4]).value
    assert solved([3000, 3000, 400, 400, 400]).value == pytest.approx(value, rel=1e-13)
    other = solved([4, 30, 4, 30, 4])
    assert other.value == pytest.approx(value, rel=1e-13)
    assert np.asarray(other.logits)[1, 1] == pytest.approx(np.asarray(other.logits)[3, 3], rel=1e-12)


@pytest.mark.parametrize("sizes", [(10**6, 1), (2, 1), (1, 1)])
@pytest.mark.parametrize("classes", [(1, 1), (1, 3), (3, 1), (500_000, 500_000)])
def test_hard_numbers_of_classes_and_samples(sizes, classes):
    found = solved(f"{sizes[0]}*{classes[0]},{sizes[1]}*{classes[1]}")
    assert found.success
    assert found.relative_gap < 1e-9


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("decay", [1e-9, 1e-4, 30.0])
def test_extreme_decays(loss, decay):
    for counts in ([1000, 1000, 5, 5, 5, 1], [3, 2]):
        found = solved(counts, decay, loss=loss)
        assert found.lower <= found.value <= found.upper
        assert found.gap <= 1e-7 * max(found.upper, 0.5)


def test_a_long_tail_of_distinct_sizes():
    found = solved(ufm.long_tailed(60, largest=3000, ratio=100), 1e-3)
    assert found.method == "factored"
    assert found.relative_gap < 1e-9
    # The larger a class, the longer its classifier.
    assert (np.diff(np.linalg.norm(found.parameters.weight, axis=1)) < 1e-9).all()


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_narrow_models_claim_nothing_that_is_not_proved(dim):
    counts = [40, 40, 40, 5, 5, 5]
    wide, narrow = solved(counts), solved(counts, dim=dim)
    assert narrow.status == "loose"
    assert narrow.value > wide.value + 1e-3
    assert narrow.lower <= wide.value
    parameters = narrow.parameters
    assert parameters.weight.shape == (6, dim)
    assert np.linalg.norm(parameters.features, axis=0) == pytest.approx(np.ones(6), rel=1e-9)
    assert narrow.problem.objective(parameters) == pytest.approx(narrow.value, rel=1e-12)
    assert ufm.collapse(narrow).verdict == "undecided"


def test_a_wider_model_has_the_same_optimum():
    value = solved([40, 40, 5, 5]).value
    for dim in (4, 7):
        found = solved([40, 40, 5, 5], dim=dim)
        assert found.value == pytest.approx(value, rel=1e-13)
        assert found.parameters.weight.shape == (4, dim)
        assert np.linalg.norm(found.parameters.features, axis=0) == pytest.approx(np.ones(4), rel=1e-9)


@pytest.mark.parametrize("norm", [0, -1, float("nan"), float("inf"), "1", None, True, 1e31, 1e-31])
def test_norms_that_are_none_are_refused(norm):
    with pytest.raises(ufm.InputError, match="norm"):
        LayerNorm(norm)


@pytest.mark.parametrize("decay", [0, -1, float("nan"), float("inf"), "1", None, True])
def test_decays_that_are_none_are_refused(decay):
    with pytest.raises(ufm.InputError, match="decay on weight"):
        ClassifierDecay(decay)


def test_regularisers_and_heads_that_do_not_go_together():
    for regularizer in (ufm.WeightDecay(0.1, 0.1), ufm.NormBudget(1, 5)):
        with pytest.raises(ufm.InputError, match=r"have no decay and no budget.*ClassifierDecay"):
            Problem([3, 2], regularizer=regularizer, head="layernorm")
    for head in ("explicit", "explicit:2", "deq:rho=0.3", "relu", "etf"):
        with pytest.raises(ufm.InputError, match="of the classifier alone"):
            Problem([3, 2], regularizer=ClassifierDecay(0.1), head=head)
    with pytest.raises(ufm.InputError, match="need a convex loss"):
        Problem([3, 2], regularizer=ClassifierDecay(0.1), head="layernorm", loss="focal:gamma=2")
    with pytest.raises(ufm.InputError, match="between 1e-20 and 1e20"):
        Problem([3, 2], regularizer=ClassifierDecay(1e30), head="layernorm")
    for method in ("separable", "proximal", "multistart", "table"):
        with pytest.raises(ufm.InputError, match="does not fit"):
            solved([3, 2], method=method)
    with pytest.raises(ufm.InputError, match="adam"):
        solved([3, 2], method=Gradient(rule="adam"))
