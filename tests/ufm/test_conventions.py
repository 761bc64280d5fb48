"""Conventions of the literature: the same problem solved both ways."""

import numpy as np
import pytest
from scipy.optimize import minimize

import ufm
from tests.conftest import SHARED, cross_entropy
from ufm.conventions import CONVENTIONS, budgets, from_convention, lagrangian, to_convention

COUNTS = np.array([12.0, 7.0, 3.0])


def objective(convention, weight, features, logits_bias, lw, lh, lb):
    """The objective as each convention writes it, from class means, independent of the package."""
    total, classes = COUNTS.sum(), len(COUNTS)
    logits = weight @ features + logits_bias[:, None]
    loss = cross_entropy(logits, COUNTS)
    w, per_sample, per_class = np.sum(weight**2), COUNTS @ np.sum(features**2, axis=0), np.sum(features**2)
    b = np.sum(logits_bias**2) * lb
    return {
        "mean-half": loss + lw / 2 * w + lh / 2 * per_sample + b / 2,
        "mean-full": loss + lw * w + lh * per_sample + b,
        "sum-half": total * loss + lw / 2 * w + lh / 2 * per_sample + b / 2,
        "sum-full": total * loss + lw * w + lh * per_sample + b,
        "fang": loss + lw / classes * w + lh / classes * per_class,
    }[convention]


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("biased", [False, True])
def test_direct_minimisation_in_each_convention(convention, biased):
    """Minimise the paper's own formula by a generic optimizer; compare with our certified value in our convention."""
    if convention == "fang" and biased:
        with pytest.raises(ufm.InputError, match="no bias"):
            from_convention(convention, 0.1, 0.1, 0.1, counts=[12, 7, 3])
        return
    lw, lh, lb = {"mean-half": (0.02, 0.01, 0.1), "mean-full": (0.01, 0.005, 0.05), "fang": (0.1, 0.05, 0.0)}.get(
        convention, (0.3, 0.2, 1.0)
    )
    rng = np.random.default_rng(3)

    def flat(theta):
        bias = theta[24:] if biased else np.zeros(3)
        return objective(convention, theta[:12].reshape(3, 4), theta[12:24].reshape(4, 3), bias, lw, lh, lb if biased else 0.0)

    found = minimize(flat, 0.5 * rng.standard_normal(27 if biased else 24), method="BFGS", options={"gtol": 1e-9})
    decay = from_convention(convention, lw, lh, lb if biased else None, counts=[12, 7, 3])
    ours = ufm.solve(ufm.Problem([12, 7, 3], regularizer=decay))
    scale = COUNTS.sum() if convention.startswith("sum") else 1.0
    assert found.fun / scale == pytest.approx(ours.value, rel=1e-8)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_round_trip(convention):
    bias = None if convention == "fang" else 0.3
    decay = from_convention(convention, 0.02, 0.5, bias, counts=[5, 4, 3])
    back = to_convention(convention, decay, counts=[5, 4, 3])
    assert back[:2] == pytest.approx((0.02, 0.5))
    assert back[2] == (None if bias is None else pytest.approx(bias))


def test_what_cannot_be_converted_is_said():
    with pytest.raises(ufm.InputError, match="counts"):
        from_convention("sum-half", 1.0, 1.0)
    with pytest.raises(ufm.InputError, match="choose one of"):
        from_convention("half", 1.0, 1.0)
    with pytest.raises(ufm.InputError, match="per sample"):
        to_convention("fang", ufm.WeightDecay(1.0, 1.0), counts=[5, 5])


@pytest.mark.parametrize("name", ["balanced budget", "step budget", "deq budget"])
def test_budgets_and_their_lagrangian_have_one_optimum(name):
    problem = SHARED[name]
    constrained = ufm.solve(problem)
    penalised = ufm.solve(ufm.Problem(problem.counts, regularizer=lagrangian(constrained), head=problem.head))
    assert np.allclose(np.asarray(constrained.logits), np.asarray(penalised.logits), atol=1e-6)
    back = budgets(penalised)
    assert (back.weight, back.features) == pytest.approx((problem.regularizer.weight, problem.regularizer.features), rel=1e-6)
    again = ufm.solve(ufm.Problem(problem.counts, regularizer=back, head=problem.head))
    assert again.value == pytest.approx(constrained.value, rel=1e-6)


def test_lagrangian_and_budgets_refuse_the_wrong_regulariser():
    with pytest.raises(ufm.InputError):
        lagrangian(ufm.solve(SHARED["bias"]))
    with pytest.raises(ufm.InputError):
        budgets(ufm.solve(SHARED["step budget"]))
    with pytest.raises(ufm.InputError, match="zero"):
        budgets(ufm.solve(ufm.Problem([5, 5], regularizer=ufm.WeightDecay(9.0, 9.0, per_class=True))))
