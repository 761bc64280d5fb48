"""A user's own head, loss and theorem, defined here and nowhere else: solved, certified, read from text, checked, reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

import ufm
from proofs_check import report, site
from proofs_check.bibliography import Source
from proofs_check.enclosure import Enclosure, Outcome, equal, less
from proofs_check.registry import Kind, Theorem, judge
from ufm.problem.heads import Head
from ufm.problem.heads.base import Directions, split_sizes
from ufm.problem.losses import Loss
from ufm.problem.spelling import Spelling
from ufm.problem.text import HEADS, LOSSES, parse_head, parse_loss
from ufm.spectral.loss import BoundLoss, ColumnLoss
from ufm.spectral.penalties.base import Price

UNIT = 2.0**-53


@dataclass(frozen=True)
class ElasticPrice(Price):
    """``sum strength s + curvature s^2 / 2``: convex, and no multiple of the nuclear norm."""

    strength: float
    curvature: float
    convex = True

    def value(self, singular, copies):
        return float(copies @ (self.strength * singular + 0.5 * self.curvature * singular**2))

    def slope(self, singular, copies):
        return self.strength + self.curvature * singular

    def prox(self, singular, copies, step):
        return np.maximum(singular - step * self.strength, 0.0) / (1.0 + step * self.curvature), 0.0

    def conjugate(self, slopes, copies):
        excess = np.maximum(slopes - self.strength * (1.0 - 8 * UNIT), 0.0)
        return float(copies @ excess**2) / (2.0 * self.curvature) * (1.0 + (len(slopes) + 16) * UNIT)

    def relaxed(self, upper):
        return self


@dataclass(frozen=True)
class ElasticNet(Head):
    """Logits ``W h`` that pay ``curvature / 2 ||Z S||_F^2`` beside the decay of W and of the features."""

    curvature: float
    surcharged = True
    spelling = Spelling("elastic", "elastic:e=E", required={"e": "curvature"})

    def penalty(self, regularizer, n_classes):
        return ElasticPrice(regularizer.mu, self.curvature)

    def directions(self, singular, copies, regularizer):
        return Directions(*split_sizes(singular, regularizer))

    def surcharge(self, singular, copies, regularizer):
        return 0.5 * self.curvature * float(copies @ singular**2)

    def __str__(self):
        return f"elastic:e={self.curvature:g}"


@dataclass(frozen=True)
class OneVsRest(Loss):
    """Sum over classes of ``log(1 + exp(-s z))``, s = 1 for the class itself and -1 for the others; mean over samples."""

    name = "ovr"
    shift_invariant = False
    spelling = Spelling("ovr", "ovr")

    def bind(self, counts):
        share = np.array([n / counts.total for _, n in counts.groups])
        return BoundOneVsRest(share, np.ones(len(share)))

    def __str__(self):
        return self.name


@dataclass(frozen=True, eq=False)
class BoundOneVsRest(BoundLoss):
    """The same on class groups."""

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


class Balanced(NamedTuple):
    """K classes of n samples, equal decays, curvature of the head."""

    classes: int
    size: int
    decay: float
    curvature: float


def closed_form(p: Balanced, wrong: bool = False) -> Enclosure:
    """Value at the best multiple of the simplex ETF: one scalar problem, least where its derivative vanishes."""
    k, root = p.classes, p.size**0.5
    factor = k if wrong else k - 1

    def value(a: float) -> float:
        loss = np.log1p((k - 1) * np.exp(-a))
        return float(loss + factor * (p.decay * root * a + 0.5 * p.curvature * p.size * a * a))

    best = minimize_scalar(value, bounds=(0.0, 60.0), method="bounded", options={"xatol": 1e-12})
    return Enclosure(best.fun * (1 - 1e-13), best.fun * (1 + 1e-13))


class ElasticFrame(Theorem):
    r"""Balanced cross-entropy under ``mu s + e s^2 / 2``: the optimum is ``a (I - 11'/K)`` with

    ``1 / (K - 1 + e^a) = sqrt(n) mu + e n a``.
    """

    id = "U1"
    title = "the elastic-net head ends in a simplex ETF on balanced classes"
    kind = Kind.TIGHT
    source = Source("here", "this test", "derived here")

    def grid(self):
        return [Balanced(k, n, 2e-3, e) for k, n in ((3, 20), (10, 50)) for e in (1e-4, 1e-2)]

    def solved(self, p: Balanced) -> ufm.Solution:
        decay = ufm.WeightDecay(p.decay, p.decay)
        return ufm.solve(ufm.Problem([p.size] * p.classes, regularizer=decay, head=ElasticNet(p.curvature)))

    def check(self, instance, level):
        solution = self.solved(instance)
        found = Enclosure.of(solution.certificate)
        yield equal(f"value, {instance}", closed_form(instance), found, tolerance=1e-7, level="float")

    def steps(self):
        import sympy as sp

        a, k, n, mu, e = sp.symbols("a K n mu e", positive=True)
        value = sp.log(1 + (k - 1) * sp.exp(-a)) + (k - 1) * (mu * sp.sqrt(n) * a + e * n * a**2 / 2)
        stationary = (k - 1) * (-1 / (k - 1 + sp.exp(a)) + sp.sqrt(n) * mu + e * n * a)
        yield "stationarity", sp.simplify(sp.diff(value, a) - stationary) == 0

    def control(self, level):
        p = Balanced(10, 50, 2e-3, 1e-2)
        found = Enclosure.of(self.solved(p).certificate)
        yield equal("K in place of K - 1", closed_form(p, wrong=True), found, tolerance=1e-7, level="float")

    def twin(self, level):
        # Twice the samples with decays over sqrt 2 and half the curvature: the same scalar problem.
        one = Enclosure.of(self.solved(Balanced(5, 20, 2e-3, 1e-2)).certificate)
        two = Enclosure.of(self.solved(Balanced(5, 40, 2e-3 / 2**0.5, 5e-3)).certificate)
        yield equal("samples doubled", one, two, tolerance=1e-7, level="float")

    def outside(self, level):
        # Unequal sizes: no multiple of the ETF is optimal, so the best one costs more than the optimum.
        decay = ufm.WeightDecay(2e-3, 2e-3)
        problem = ufm.Problem([80, 80, 10, 10], regularizer=decay, head=ElasticNet(1e-3))
        program = problem.program().split()

        def value(a):
            logits = a * (np.eye(4) - 0.25)
            loss = program.share @ program.loss.columns(np.vstack([logits, np.diag(logits)]), program.logit_counts).values
            return float(loss + program.penalty.value(np.linalg.svd(logits * program.scale)[1], np.ones(4)))

        frame = minimize_scalar(value, bounds=(0.0, 60.0), method="bounded").fun
        found = Enclosure.of(ufm.solve(problem).certificate)
        yield less("step imbalance: every multiple of the ETF costs more", found, Enclosure(frame, frame), level="numeric")


def descent(problem: ufm.Problem, seed: int) -> float:
    """The least objective of K x K logits that a general optimizer finds: it knows nothing of penalties or certificates."""
    program = problem.program().split()
    k = program.groups

    def value(theta):
        logits = theta.reshape(k, k) / program.scale
        rows = np.vstack([logits, np.diag(logits)])
        loss = program.share @ program.loss.columns(rows, program.logit_counts).values
        sigma = np.linalg.svd(theta.reshape(k, k), compute_uv=False)
        return float(loss + program.penalty.value(sigma, np.ones(k)))

    start = np.random.default_rng(seed).standard_normal(k * k)
    return float(minimize(value, start, method="BFGS", options={"maxiter": 400}).fun)


@pytest.mark.parametrize("loss", ["ce", "ovr", "mse"])
@pytest.mark.parametrize("counts", ["20*3", "60*2,10*2", "30,20,10,5"])
def test_a_head_of_ones_own_is_solved_and_certified(counts, loss):
    decay = ufm.WeightDecay(4e-3, 1e-3)
    chosen = parse_loss(loss, losses=(*LOSSES, OneVsRest))
    head = parse_head("elastic:e=2e-3", heads=(*HEADS, ElasticNet))
    problem = ufm.Problem(counts, regularizer=decay, head=head, loss=chosen)
    solution = ufm.solve(problem)
    assert solution.status is ufm.Status.OPTIMAL, solution.choice
    assert solution.certificate.level == "float"
    assert solution.certificate.relative_gap < 1e-8
    # Recovered parameters cost what the solution says, the head's own charge included.
    assert problem.objective(solution.parameters) == pytest.approx(solution.value, rel=1e-9)
    reached = descent(problem, 0)
    assert solution.certificate.lower <= reached * (1 + 1e-12)
    # BFGS stops early where singular values vanish; it comes this near and never below.
    assert reached <= solution.value * (1 + 1e-3)


def test_a_wrong_conjugate_is_seen():
    """A conjugate of half the size claims too much: the bounds then contradict each other or an objective."""

    class Wrong(ElasticPrice):
        def conjugate(self, slopes, copies):
            return 0.25 * super().conjugate(slopes, copies)

    class WrongHead(ElasticNet):
        def penalty(self, regularizer, n_classes):
            return Wrong(regularizer.mu, self.curvature)

    with pytest.raises(ufm.ConvergenceError, match="contradict"):
        ufm.solve(ufm.Problem([20] * 3, regularizer=ufm.WeightDecay(1e-3, 1e-3), head=WrongHead(1e-1)))


def test_a_loss_of_ones_own_is_solved_and_certified():
    loss = parse_loss("ovr", losses=(*LOSSES, OneVsRest))
    for head in (ufm.Explicit(), ufm.LinearDEQ(0.4)):
        problem = ufm.Problem([20, 20, 5], regularizer=ufm.WeightDecay(1e-3, 1e-3), loss=loss, head=head)
        solution = ufm.solve(problem)
        assert solution.status is ufm.Status.OPTIMAL
        assert solution.certificate.relative_gap < 1e-9
        assert problem.objective(solution.parameters) == pytest.approx(solution.value, rel=1e-9)


@pytest.mark.parametrize(
    ("parts", "what"), [({"head": ElasticNet(1e-3)}, "head elastic"), ({"loss": OneVsRest()}, "loss ovr")], ids=["head", "loss"]
)
def test_rigorous_is_refused_with_one_sentence(parts, what, tmp_path):
    problem = ufm.Problem([20, 5], regularizer=ufm.WeightDecay(1e-3, 1e-3), **parts)
    with pytest.raises(ufm.InputError, match=f"{what}.*independent verifier.*level 'float'"):
        ufm.solve(problem, level="rigorous")
    with pytest.raises(ufm.InputError, match=f"{what}.*independent verifier"):
        ufm.solve(problem).certificate.save(tmp_path / "c.json")
    assert not list(tmp_path.iterdir())


def test_methods_name_the_capability_that_is_missing():
    problem = ufm.Problem([20, 5], regularizer=ufm.WeightDecay(1e-3, 1e-3), head=ElasticNet(1e-3))
    for method, word in (("symmetric", "nuclear norm"), ("factored", "nuclear norm"), ("gradient", "charges singular values")):
        with pytest.raises(ufm.InputError, match=word):
            ufm.solve(problem, method=method)
    conic = ufm.Problem([20, 5], regularizer=ufm.WeightDecay(1e-3, 1e-3), loss=OneVsRest())
    with pytest.raises(ufm.InputError, match="expression"):
        ufm.solve(conic, method="convex")
    assert ufm.collapse(ufm.solve(problem)).verdict == "undecided"


def test_a_theorem_of_ones_own_is_judged_and_reported(tmp_path):
    verdict = judge(ElasticFrame, "float")
    assert verdict.outcome is Outcome.HOLDS, verdict.trouble
    assert verdict.controls
    assert all(step for _, step in verdict.steps)
    assert "elastic-net head" in report.as_json([verdict])
    assert f"{ElasticFrame.id} & " in report.as_latex([verdict])
    site.write([verdict], str(tmp_path), summary="done", legend=report.LEGEND, level="float")
    assert "elastic-net head" in (tmp_path / f"theorem-{ElasticFrame.id}.html").read_text(encoding="utf-8")
