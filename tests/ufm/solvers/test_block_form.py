"""The block form of many class sizes: against the K x K program, with contrasts that vanish and return."""

from dataclasses import replace

import numpy as np
import pytest

import ufm
from tests.conftest import split
from ufm.solvers import Factored, Status
from ufm.solvers.convex.block_newton import BlockNewton
from ufm.solvers.convex.manifold import minimise
from ufm.spectral import Nuclear

SIZES = [600, 500, 500, 420, 360, 300, 300, 250, 210, 180, 150, 130, 110, 110, 110, 90, 75, 60, 50, 50, 40, 30, 30, 20, 8, 8]
"""26 classes of 19 sizes."""
DECAY = ufm.WeightDecay(3e-4, 1e-3)
PROBLEMS = {
    "decay": ufm.Problem(SIZES, regularizer=DECAY),
    "strong decay": ufm.Problem(SIZES, regularizer=ufm.WeightDecay(4e-3, 4e-3)),
    "weak decay": ufm.Problem(SIZES, regularizer=ufm.WeightDecay(1e-7, 1e-7)),
    "deq": ufm.Problem(SIZES, regularizer=DECAY, head=ufm.LinearDEQ(0.5)),
    "per class": ufm.Problem(SIZES, regularizer=ufm.WeightDecay(2e-3, 1e-2, per_class=True)),
    "budget": ufm.Problem(SIZES, regularizer=ufm.NormBudget(1, 3)),
    "small budget": ufm.Problem(SIZES, regularizer=ufm.NormBudget(0.3, 0.3)),
    "bias": ufm.Problem(SIZES, regularizer=ufm.WeightDecay(3e-4, 1e-3, 1e-2)),
    "free bias": ufm.Problem(SIZES, regularizer=ufm.WeightDecay(3e-4, 1e-3, 0.0)),
    "smoothing": ufm.Problem(SIZES, regularizer=DECAY, loss=ufm.CrossEntropy(smoothing=0.1)),
    "weights": ufm.Problem(SIZES, regularizer=DECAY, loss=ufm.CrossEntropy(weights=1.0)),
    "adjusted": ufm.Problem(SIZES, regularizer=DECAY, loss=ufm.CrossEntropy(adjustment=1.0)),
    "tempered": ufm.Problem(SIZES, regularizer=DECAY, loss=ufm.CrossEntropy(temperatures=0.3)),
    "squared, bias": ufm.Problem(SIZES, regularizer=ufm.WeightDecay(3e-4, 1e-3, 0.0), loss=ufm.SquaredError()),
}

QUANTILES = (1 - (np.arange(365) + 0.5) / 365) ** (-1 / 1.6)
PLACES = ufm.Problem(
    np.rint(5 + (QUANTILES - 1) * 4975 / (QUANTILES[-1] - 1)).astype(int), regularizer=ufm.WeightDecay(1e-5, 1e-5)
)
"""365 classes of 202 sizes from 5 to 4980."""


def whole(problem, tolerance=1e-10):
    """Bounds of the K x K program."""
    return minimise(BlockNewton(problem.program().split()), tolerance, 60)[1]


@pytest.mark.parametrize("name", PROBLEMS)
def test_block_form_against_the_whole_program(name):
    solution = ufm.solve(PROBLEMS[name], method=Factored())
    assert solution.program.groups == 19
    assert solution.status is Status.OPTIMAL
    bounds = whole(PROBLEMS[name])
    assert bounds.upper - bounds.lower < 1e-9 * bounds.upper
    assert solution.lower <= bounds.upper
    assert bounds.lower <= solution.upper
    assert split(solution).relative_gap < 1e-9


@pytest.mark.parametrize("name", PROBLEMS)
def test_few_newton_steps(name):
    assert Factored()(PROBLEMS[name]).stats.iterations <= 25


@pytest.mark.parametrize("name", ["decay", "bias", "budget", "per class", "free bias"])
def test_proofs_in_block_form(name):
    solution = ufm.solve(PROBLEMS[name], method="factored", level="rigorous")
    assert solution.relative_gap < 1e-9
    assert solution.success


def test_contrasts_of_collapsed_groups_are_zero():
    """Exactly those groups whose classes are too small keep no contrast, as in the K x K program."""
    problem = PROBLEMS["strong decay"]
    solution = Factored()(problem)
    several = solution.program.multiplicity > 1
    alive = solution.factors.contrast[several] > 0
    assert 0 < alive.sum() < len(alive)
    # Larger classes separate first.
    assert sorted(alive.tolist(), reverse=True) == alive.tolist()
    logits = np.asarray(split(solution).logits)
    for g, contrast in zip(np.flatnonzero(several), solution.factors.contrast[several], strict=True):
        first = [k for k, n in enumerate(SIZES) if n == solution.program.sizes[g]][:2]
        assert logits[first[0], first[0]] - logits[first[1], first[0]] == pytest.approx(contrast, abs=1e-9)
    assert Factored()(ufm.Problem(SIZES, regularizer=ufm.WeightDecay(0.1, 0.1))).status is Status.ZERO


@pytest.mark.parametrize("name", ["decay", "strong decay", "budget", "bias", "smoothing", "squared, bias"])
def test_singular_values_and_contrasts_come_back_from_zero(name):
    class FromZero(BlockNewton):
        def start(self):
            return self.program.zero()

    program, reference = PROBLEMS[name].program(), Factored()(PROBLEMS[name])
    factors, found, _, _ = minimise(FromZero(program), 1e-10, 60)
    assert found.upper - found.lower < 1e-9 * found.upper
    assert ((factors.contrast > 0) == (reference.factors.contrast > 0)).all()
    assert found.value == pytest.approx(reference.value, rel=1e-9)


def test_values_and_contrasts_that_are_too_many_die():
    """From the optimum of a weak decay, with all of its contrasts, to that of a strong one."""
    many = Factored()(PROBLEMS["weak decay"])

    class FromThere(BlockNewton):
        def start(self):
            return self.program.point(many.factors)

    reference = Factored()(PROBLEMS["strong decay"])
    factors, found, _, _ = minimise(FromThere(PROBLEMS["strong decay"].program()), 1e-10, 60)
    assert found.value == pytest.approx(reference.value, rel=1e-9)
    assert (many.factors.contrast > 0).sum() > (factors.contrast > 0).sum() == (reference.factors.contrast > 0).sum()
    assert factors.left.shape[1] == reference.factors.left.shape[1] < many.factors.left.shape[1]


def test_single_classes_are_their_own_groups():
    problem = ufm.Problem(range(10, 31), regularizer=DECAY)
    solution, bounds = Factored()(problem), whole(problem)
    assert solution.program.groups == solution.program.classes == 21
    assert solution.value == bounds.value


def test_narrow_models_are_bounded_by_the_block_form():
    """The bound over every width is that of the wide model, in exact arithmetic too."""
    wide = Factored()(PROBLEMS["decay"])
    narrow = Factored(starts=2)(replace(PROBLEMS["decay"], dim=6))
    assert narrow.status is Status.LOOSE
    assert narrow.program.groups == narrow.program.classes == 26
    assert narrow.lower == pytest.approx(wide.lower, rel=1e-9)
    assert narrow.value > wide.value * (1 + 1e-3)
    assert narrow.factors.left.shape[1] <= 6
    assert narrow.certificate.rigorous().lower == pytest.approx(wide.lower, rel=1e-9)


def test_the_cost_is_that_of_the_distinct_sizes():
    """A hundred thousand classes of 20 sizes."""
    counts = [20 + 50 * (k % 20) for k in range(100_000)]
    solution = ufm.solve(ufm.Problem(counts, regularizer=ufm.WeightDecay(1e-9, 1e-9)))
    assert solution.method == "factored"
    assert solution.status is Status.OPTIMAL
    assert solution.program.groups == 20
    assert solution.stats.evaluations < 100
    assert len(solution.factors.left) == 20
    assert Factored().unfit(ufm.Problem(counts[:6000], regularizer=DECAY)) is None
    assert "K=6000" in str(Factored().unfit(ufm.Problem(counts[:6000], regularizer=DECAY, dim=10)))


def test_more_groups_than_memory_holds_are_refused():
    assert "5001 distinct" in str(Factored().unfit(ufm.Problem(range(1, 5002), regularizer=DECAY)))


def test_step_after_step_descends():
    """Iterates of few Newton steps have bounds that enclose the optimum, whatever the start."""
    program = PROBLEMS["decay"].program()
    reference = Factored()(PROBLEMS["decay"])
    assert isinstance(program.penalty, Nuclear)
    for steps in (1, 2, 4):
        _, found, iterations, _ = minimise(BlockNewton(program), 1e-12, steps)
        assert iterations == steps
        assert found.lower <= reference.upper
        assert reference.lower <= found.upper


def test_proofs_of_two_hundred_groups():
    """Places-like sizes: float and exact bounds enclose each other's."""
    solution = Factored(tolerance=1e-9)(PLACES)
    proved = solution.certificate.rigorous()
    assert solution.program.groups == 202
    assert proved.relative_gap < 1e-9
    assert proved.lower >= solution.lower * (1 - 1e-15)
    assert proved.upper <= solution.upper * (1 + 1e-15)
