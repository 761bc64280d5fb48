"""A loss that a user defines by the protocol: one-vs-rest logistic, which is neither shift-invariant nor quadratic."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import pytest
from scipy.optimize import minimize

import ufm
from ufm.problem.losses import Loss
from ufm.spectral.loss import BoundLoss, ColumnLoss


@dataclass(frozen=True)
class OneVsRest(Loss):
    """Sum over classes of ``log(1 + exp(-s z))`` with s = 1 for the class itself and -1 for the others, mean over samples."""

    name = "one-vs-rest"
    shift_invariant = False

    def bind(self, counts):
        share = np.array([n / counts.total for _, n in counts.groups])
        return BoundOneVsRest(share, np.ones(len(share)))

    def certificate(self, counts):
        return {"kind": "one-vs-rest"}

    def __str__(self):
        return self.name


@dataclass(frozen=True, eq=False)
class BoundOneVsRest(BoundLoss):
    share: np.ndarray
    temperature: np.ndarray
    shift_invariant = False

    def columns(self, logits, multiplicity, own=None):
        sign = np.ones_like(logits)
        sign[-1] = -1.0
        probability = 0.5 * (1.0 + np.tanh(0.5 * sign * logits))
        values = (multiplicity * np.logaddexp(0.0, sign * logits)).sum(axis=0)
        slope = multiplicity * sign * probability
        return ColumnLoss(values, slope, multiplicity * probability * (1.0 - probability), np.zeros_like(slope))

    def dual(self, slopes, multiplicity):
        p = np.abs(slopes)
        inner = np.where((p > 0) & (p < 1), p, 0.5)
        entropy = np.where((p > 0) & (p < 1), -inner * np.log(inner) - (1 - inner) * np.log1p(-inner), 0.0)
        return (multiplicity * entropy).sum(axis=0)

    def lipschitz(self, diagonal):
        return np.full(diagonal.shape[1], 0.25)

    def take(self, group):
        return BoundOneVsRest(self.share[group], self.temperature[group])


HEADS = [ufm.Explicit(), ufm.LinearDEQ(0.4), ufm.Explicit(2), ufm.DecayedDEQ(0.05, 0.5), ufm.FrobeniusDEQ(0.3)]
DECAYS = [(1e-2, 1e-2), (1e-3, 1e-3), (1e-2, 1e-2, 0.1)]


def descent(problem: ufm.Problem, rng: np.random.Generator) -> float:
    """The least objective that L-BFGS finds on the penalty of the singular values of K x K logits, bias included."""
    program = problem.program().split()
    classes = program.groups
    biased = program.bias_decay is not None

    def objective(theta):
        logits = (theta[: classes**2].reshape(classes, classes)) / program.scale
        bias = theta[classes**2 :] if biased else np.zeros(classes)
        full = logits + bias[:, None]
        own = np.eye(classes)
        loss = program.share @ np.logaddexp(0.0, (1 - 2 * own) * full).sum(axis=0)
        sigma = np.linalg.svd(theta[: classes**2].reshape(classes, classes), compute_uv=False)
        decay = 0.5 * program.bias_decay * bias @ bias if biased else 0.0
        return loss + program.penalty.value(sigma, np.ones(classes)) + decay

    size = classes**2 + classes * biased
    ends = [0.0 * rng.standard_normal(size), *(rng.standard_normal(size) * 3 for _ in range(3))]
    return min(float(minimize(objective, start, method="Powell", options={"maxiter": 4}).fun) for start in ends)


@pytest.mark.parametrize("decay", DECAYS, ids=str)
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_bounds_hold(head, decay):
    # Powell's method knows nothing of the package: whatever it reaches is above the optimum, and so above the lower bound.
    problem = ufm.Problem([20, 20, 5], regularizer=ufm.WeightDecay(*decay), loss=OneVsRest(), head=head)
    solution = ufm.solve(problem)
    certificate = solution.certificate
    reached = descent(problem, np.random.default_rng(0))
    assert certificate.lower <= reached * (1 + 1e-12)
    assert certificate.lower <= problem.objective(solution.parameters) * (1 + 1e-12)
    assert problem.objective(solution.parameters) == pytest.approx(solution.value, rel=1e-9)
    # Zero parameters cost log 2 for each of the three logits.
    assert certificate.lower <= 3 * log(2)
    if solution.program.penalty.convex:
        assert solution.status in (ufm.Status.OPTIMAL, ufm.Status.ZERO)
        assert certificate.relative_gap < 1e-9


@pytest.mark.parametrize(("head", "decay"), [(ufm.DecayedDEQ(0.05, 0.5), 1e-2), (ufm.Explicit(2), 1e-2)], ids=str)
def test_not_taken_for_squared_error(head, decay):
    # Only squared error splits into scalar problems; the loss at zero, K log 2, is less than those would claim.
    problem = ufm.Problem([20] * 5, regularizer=ufm.WeightDecay(decay, decay), loss=OneVsRest(), head=head)
    solution = ufm.solve(problem)
    assert solution.method == "multistart"
    assert solution.certificate.lower <= solution.value <= 5 * log(2)


def test_rigorous_needs_the_verifier_to_know_the_loss():
    problem = ufm.Problem([20, 5], regularizer=ufm.WeightDecay(1e-2, 1e-2), loss=OneVsRest())
    with pytest.raises(ufm.InputError, match="loss"):
        ufm.solve(problem, level="rigorous")
