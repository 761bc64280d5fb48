"""Programs that are not convex: golden values, honest words, bounds that hold, and reproducibility."""

import numpy as np
import pytest

import ufm
from ufm.solvers import Multistart
from ufm.solvers.nonconvex.codes import best_scale, blocks, joined, least_margin, polygon
from ufm.solvers.nonconvex.descent import Descent
from ufm.spectral import Point

TINY = ufm.WeightDecay(2.0**-10, 2.0**-10)


def deep(classes, layers, **options):
    return ufm.Problem([5] * classes, regularizer=TINY, head=ufm.Explicit(layers), **options)


def codes(solution):
    return {c.name: c.value for c in solution.candidates if c.name.endswith(" code")}


@pytest.mark.parametrize(
    ("classes", "layers", "etf", "pair"),
    [(10, 2, 0.090662, 0.080013), (4, 2, 0.030228, 0.030697), (4, 3, 0.025652, 0.023658), (6, 2, 0.050376, 0.047254)],
)
def test_codes_of_linear_layers(classes, layers, etf, pair):
    """G1's values, the better code found, and a lower bound that leaves at most a quarter of the value open."""
    solution = ufm.solve(deep(classes, layers), method=Multistart(starts=6))
    found = codes(solution)
    assert found["etf code"] == pytest.approx(etf, abs=1e-6)
    assert found["pair code"] == pytest.approx(pair, abs=1e-6)
    assert solution.status is ufm.Status.BEST
    assert solution.value <= min(etf, pair) + 1e-6
    assert 0.75 * solution.value < solution.certificate.lower < solution.value


def test_a_code_of_rank_three_beats_the_pair_code():
    """K=10, L=3: the published alternative is not the best either."""
    solution = ufm.solve(deep(10, 3))
    assert solution.candidates[0].rank == 3
    assert solution.value < codes(solution)["pair code"] - 1e-3
    assert solution.problem.objective(solution.parameters) == pytest.approx(solution.value, rel=1e-9)


def test_polygons_and_joined_codes_have_the_stated_margins_and_singular_values():
    for k in (3, 5, 8):
        code = polygon(k)
        assert least_margin(code) == pytest.approx(1 - np.cos(2 * np.pi / k))
        assert np.linalg.svd(code, compute_uv=False) == pytest.approx([k / 2, k / 2] + [0.0] * (k - 2), abs=1e-12)
        assert code.sum(axis=0) == pytest.approx(np.zeros(k), abs=1e-12)
    assert polygon(3) == pytest.approx(1.5 * blocks(3, 3))
    # docs/theory, Proposition 7.11: at margin 1 a pair has the singular value 2, a triple 3/2 twice.
    code = joined(blocks(3, 3), blocks(2, 2))
    assert least_margin(code) == pytest.approx(1.0)
    assert np.linalg.svd(code, compute_uv=False) == pytest.approx([2.0, 1.5, 1.5, 0.0, 0.0], abs=1e-12)
    # A pentagon's own margin is below that to other blocks: scaled by 1 / (1 - cos 72 degrees) to the same margin 1.
    code = joined(polygon(5), blocks(2, 2))
    assert least_margin(code[:5, :5]) == pytest.approx(1.0)
    assert code[0, 0] == pytest.approx(1 / (1 - np.cos(2 * np.pi / 5)))
    assert code[5, 5] == pytest.approx(1.0)
    assert least_margin(joined(polygon(7))) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("head", "etf", "pair"), [(ufm.FrobeniusDEQ(0.3), 0.35820, 0.34827), (ufm.Explicit(2), 0.50437, 0.29299)]
)
def test_frobenius_budgets_do_not_end_in_the_etf(head, etf, pair):
    problem = ufm.Problem([7] * 10, regularizer=ufm.NormBudget(1, 5), head=head)
    solution = ufm.solve(problem, method=Multistart(starts=6))
    found = codes(solution)
    assert found["etf code"] == pytest.approx(etf, abs=5e-6)
    assert found["pair code"] == pytest.approx(pair, abs=5e-6)
    assert solution.value <= pair + 1e-6
    assert 0 < solution.certificate.lower < solution.value


def test_the_etf_of_a_decayed_deq_is_proved_optimal_to_three_digits():
    """The moment bound, not an assumption, says that no code of lower rank is better here."""
    problem = ufm.Problem([100] * 10, regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), head=ufm.DecayedDEQ(0.05, 0.5))
    solution = ufm.solve(problem, method=Multistart(starts=4, effort=300))
    assert codes(solution)["etf code"] == pytest.approx(solution.value, rel=1e-10)
    assert solution.certificate.relative_gap < 2e-3


def test_lower_bounds_hold_for_everything_found():
    """Every candidate, from whatever start, is above the global lower bound."""
    problems = [
        deep(5, 3),
        ufm.Problem([60] * 2 + [12] * 3, regularizer=ufm.WeightDecay(6e-3, 6e-3), head=ufm.DecayedDEQ(0.05, 0.7)),
        ufm.Problem([30, 12, 5, 1], regularizer=ufm.WeightDecay(2e-3, 2e-3, 1e-2), head=ufm.Explicit(2)),
        ufm.Problem([30, 12, 5], regularizer=ufm.NormBudget(1, 2), head=ufm.FrobeniusDEQ(0.5)),
        ufm.Problem([9, 5, 5], regularizer=TINY, head=ufm.Explicit(2), loss=ufm.CrossEntropy(weights=1.0, smoothing=0.1)),
    ]
    for problem in problems:
        solution = ufm.solve(problem, method=Multistart(starts=5, effort=40))
        certificate = solution.certificate
        assert min(c.value for c in solution.candidates) >= certificate.lower
        assert certificate.lower <= certificate.rigorous().upper
        assert certificate.rigorous().lower <= certificate.upper
        assert ufm.collapse(solution).verdict == "undecided"


def test_search_is_reproducible_and_starts_help():
    first, again = (ufm.solve(deep(6, 3), method=Multistart(starts=3, random_state=5, effort=10)) for _ in range(2))
    assert first.candidates == again.candidates
    assert first.certificate.lower == again.certificate.lower
    more = ufm.solve(deep(6, 3), method=Multistart(starts=8, random_state=5, effort=10))
    assert more.value <= first.value * (1 + 1e-12)


def test_saved_certificates_of_nonconvex_heads_are_accepted_and_cannot_be_bent(tmp_path):
    import json

    solution = ufm.solve(deep(6, 2), method=Multistart(starts=2))
    solution.certificate.save(tmp_path / "c.json")
    assert ufm.recheck(tmp_path / "c.json").accepted
    document = json.loads((tmp_path / "c.json").read_text())
    for layers in (1, 3):
        document["problem"]["head"]["layers"] = layers
        (tmp_path / "b.json").write_text(json.dumps(document))
        assert not ufm.recheck(tmp_path / "b.json").accepted


def test_blocks():
    assert np.allclose(blocks(6, 6), np.eye(6) - 1 / 6)
    assert np.linalg.matrix_rank(blocks(10, 2)) == 5
    assert np.linalg.matrix_rank(blocks(7, 2)) == 4
    program = deep(4, 2).program().split()
    value, point = best_scale(program, blocks(4, 4))
    nearby = [
        program.smooth(Point(point.contrast, t * point.core, point.bias)).value
        + program.penalty.value(t * np.linalg.svd(point.core)[1], np.ones(4))
        for t in (0.999, 1.001)
    ]
    assert value < min(nearby)


def test_descent_gradient():
    for problem in (deep(4, 2), ufm.Problem([9, 5, 5], regularizer=ufm.NormBudget(1, 2), head=ufm.FrobeniusDEQ(0.4))):
        program = problem.program()
        descent = Descent(program, 4)
        rng = np.random.default_rng(0)
        g = program.groups
        point = Point(np.where(program.contrast_counts > 0, 3.0, 0.0), rng.standard_normal((g, g)), np.zeros(g))
        gradient = descent.objective(point)[1]
        direction = Point(np.where(program.contrast_counts > 0, 0.3, 0.0), rng.standard_normal((g, g)), np.zeros(g))
        values = [
            descent.objective(Point(*(p + t * d for p, d in zip(point, direction, strict=True))))[0] for t in (1e-6, -1e-6)
        ]
        slope = float(gradient.contrast @ direction.contrast + np.vdot(gradient.core, direction.core))
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(slope, rel=1e-6)


# Thresholds


def jump(decay, **options):
    head, regularizer = ufm.DecayedDEQ(decay, 0.5), ufm.WeightDecay(2.5e-3, 2.5e-3)
    return ufm.threshold(classes=(5, 5), regularizer=regularizer, minority_count=100, head=head, **options)


def test_minority_collapse_of_a_decayed_deq_is_a_jump():
    """D8: between 9 and 11; just below it a separated solution is better than the collapsed one, just above worse."""
    found = jump(0.05)
    assert found.transition == "jump"
    assert found.level == "numeric"
    assert 9 < found.lower <= found.value <= found.upper < 11
    assert found.upper / found.lower - 1 <= 1.1e-6
    assert "9.34" in found.note
    decay, head = ufm.WeightDecay(2.5e-3, 2.5e-3), ufm.DecayedDEQ(0.05, 0.5)
    for ratio, collapsed in ((0.97 * found.lower, False), (1.03 * found.upper, True)):
        problem = ufm.Problem([round(100 * ratio)] * 5 + [100] * 5, regularizer=decay, head=head)
        solution = ufm.solve(problem, method=Multistart(starts=12, effort=0))
        assert (solution.candidates[0].rank == 5) == collapsed


def test_a_large_decay_on_the_map_is_the_explicit_head():
    found = jump(10.0)
    assert (found.value, found.transition) == (7.0, "continuous")


def test_thresholds_that_cannot_be_given():
    with pytest.raises(ufm.InputError, match="rigorous"):
        jump(0.05, level="rigorous")
    with pytest.raises(ufm.InputError, match="relu"):
        ufm.threshold(classes=(5, 5), regularizer=TINY, minority_count=5, head=ufm.ReLU())
    with pytest.raises(ufm.InputError, match="budgets"):
        ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 1), head=ufm.Explicit(2))


def test_window_in_which_the_etf_loses():
    regularizer = ufm.WeightDecay(5e-4, 5e-4)
    high, low = ufm.etf_window(n_classes=4, size=100, regularizer=regularizer, contraction=0.9)
    assert high.value > low.value
    for decay, loses in (
        (1.1 * high.upper, False),
        (0.9 * high.lower, True),
        (1.1 * low.upper, True),
        (0.9 * low.lower, False),
    ):
        problem = ufm.Problem([100] * 4, regularizer=regularizer, head=ufm.DecayedDEQ(decay, 0.9))
        solution = ufm.solve(problem, method=Multistart(starts=6, effort=0))
        assert (codes(solution)["etf code"] > solution.value * (1 + 1e-9)) == loses
    assert ufm.etf_window(n_classes=4, size=100, regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), contraction=0.5) == []


def test_depth_of_the_pair_code():
    assert [ufm.pair_depth(k) for k in (2, 4, 6, 8, 100)] == [None, 3, 2, 2, 2]
    with pytest.raises(ufm.InputError, match="even"):
        ufm.pair_depth(5)


# Landscape


def test_gradient_descent_ends_at_global_minimisers_only():
    problem = ufm.Problem([4] * 4, regularizer=ufm.WeightDecay(1.2e-2, 1.2e-2), dim=6)
    found = ufm.landscape(problem, starts=12, tolerance=1e-7)
    assert found.kinds == {"global minimiser": 12, "strict saddle": 0, "undecided": 0, "not critical": 0}
    assert all(point.value >= ufm.solve(problem).certificate.lower for point in found.points)


def test_saddles_and_minimisers_are_told_apart():
    problem = ufm.Problem([4] * 4, regularizer=ufm.WeightDecay(1.2e-2, 1.2e-2), dim=6)
    program = problem.program().split()
    for code, kind in ((blocks(4, 2), "strict saddle"), (blocks(4, 4), "global minimiser")):
        point = problem.parameters(program, program.factors(best_scale(program, code)[1]))
        found = ufm.classify(problem, point.weight, point.features)
        assert found.kind == kind
        assert found.slope < 1e-7
    assert found.curvature is None
    zero = ufm.classify(problem, np.zeros((4, 6)), np.zeros((6, 16)))
    lowest = ufm.hessian_eigenvalues(problem, np.zeros((4, 6)), np.zeros((6, 16)))[0]
    assert zero.kind == "strict saddle"
    assert zero.curvature[0] <= lowest + 1e-9
    assert zero.curvature[1] == pytest.approx(lowest, rel=1e-4)
    best = ufm.solve(problem).parameters
    values = ufm.hessian_eigenvalues(problem, best.weight, best.features)
    # Rotations of the used dimensions, and of the others into them, cost nothing: d(d-1)/2 - (d-r)(d-r-1)/2 directions.
    assert values[0] > -1e-10
    assert np.sum(np.abs(values) < 1e-9) == 15 - 3


def test_hessian_by_taylor_slopes():
    """The error of the quadratic model falls with the cube of the step."""
    from ufm.analysis.critical_points import FactoredObjective
    from ufm.solvers.dynamics.samples import State

    for loss in (ufm.CrossEntropy(), ufm.CrossEntropy(weights=1.0, temperatures=0.3, smoothing=0.1), ufm.SquaredError()):
        work = FactoredObjective(ufm.Problem([4, 2, 2], regularizer=ufm.WeightDecay(1e-2, 2e-2), loss=loss, dim=3))
        rng = np.random.default_rng(3)
        state = State(rng.standard_normal((3, 3)), rng.standard_normal((3, 8)), (), None)
        dw, dh = rng.standard_normal((3, 3)), rng.standard_normal((3, 8))
        value, gradient = work.model.value_and_gradient(state)
        image = work.hessian(state, dw, dh)
        linear = float(np.vdot(gradient.weight, dw) + np.vdot(gradient.features, dh))
        square = float(np.vdot(image[0], dw) + np.vdot(image[1], dh))
        errors = []
        for t in (1e-2, 5e-3):
            there = State(state.weight + t * dw, state.features + t * dh, (), None)
            errors.append(abs(work.model.value_and_gradient(there)[0] - value - t * linear - 0.5 * t * t * square))
        assert np.log2(errors[0] / errors[1]) == pytest.approx(3.0, abs=0.4)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"head": ufm.LinearDEQ(0.3)}, "explicit"),
        ({"head": ufm.Explicit(2)}, "explicit"),
        ({"regularizer": ufm.NormBudget(1, 1)}, "decay"),
        ({"regularizer": ufm.WeightDecay(1, 1, 1)}, "bias"),
        ({"counts": ufm.balanced(10, 10**6)}, "entries"),
    ],
)
def test_landscapes_that_are_not_stated(change, word):
    arguments = {"counts": [4] * 4, "regularizer": ufm.WeightDecay(1e-2, 1e-2), **change}
    counts = arguments.pop("counts")
    with pytest.raises(ufm.InputError, match=word):
        ufm.landscape(ufm.Problem(counts, **arguments), starts=1)


def test_bad_points():
    problem = ufm.Problem([4] * 4, regularizer=ufm.WeightDecay(1e-2, 1e-2))
    with pytest.raises(ufm.InputError, match="shapes"):
        ufm.classify(problem, np.zeros((4, 5)), np.zeros((4, 16)))
    with pytest.raises(ufm.InputError, match="finite"):
        ufm.classify(problem, np.full((4, 4), np.nan), np.zeros((4, 16)))


# What a review found


@pytest.mark.parametrize("dim", [1, 2, 5, 9])
@pytest.mark.parametrize("head", [ufm.Explicit(2), ufm.DecayedDEQ(0.05, 0.5)])
def test_narrow_models_return_what_their_width_attains(head, dim):
    problem = ufm.Problem([20] * 10, regularizer=ufm.WeightDecay(5e-3, 5e-3), head=head, dim=dim)
    solution = ufm.solve(problem, method=Multistart(starts=4, effort=10))
    assert solution.status is ufm.Status.BEST
    assert problem.objective(solution.parameters) == pytest.approx(solution.value, rel=1e-9)
    assert all(c.rank <= dim for c in solution.candidates)
    assert solution.value <= solution.candidates[0].value * (1 + 1e-9)


@pytest.mark.parametrize(
    ("problem", "method"),
    [
        (ufm.Problem([3] * 4, regularizer=ufm.WeightDecay(0.02, 0.02), head=ufm.Explicit(3), dim=3), "auto"),
        (ufm.Problem([1, 1, 2, 2], regularizer=ufm.WeightDecay(0.02, 0.02), dim=3), "multistart"),
        (ufm.Problem([83, 11, 11, 11], regularizer=ufm.WeightDecay(0.0175, 0.05), dim=3), "convex"),
        (ufm.Problem([2] * 3, regularizer=ufm.WeightDecay(0.05, 0.05), head=ufm.FixedETF(), dim=2), "auto"),
    ],
)
def test_rounding_noise_is_no_rank(problem, method):
    solution = ufm.solve(problem, method=method)
    assert problem.objective(solution.parameters) == pytest.approx(solution.value, rel=1e-9)
    assert solution.certificate.rigorous().upper == pytest.approx(solution.value, rel=1e-9)
    assert ufm.collapse(solution).verdict in ("yes", "no", "undecided")


@pytest.mark.parametrize(
    ("regularizer", "loss", "head"),
    [
        (ufm.NormBudget(2.7, 0.27), ufm.CrossEntropy(smoothing=0.87), ufm.Explicit(4)),
        (ufm.NormBudget(4.1, 4.5), ufm.CrossEntropy(smoothing=0.09), ufm.FrobeniusDEQ(0.75)),
        (ufm.NormBudget(2.8, 1.3), ufm.SquaredError(), ufm.FrobeniusDEQ(0.9)),
    ],
)
def test_budgets_need_not_be_used_up(regularizer, loss, head):
    """Where more logit hurts, the optimum lies inside; here the convex bound proves it."""
    problem = ufm.Problem([3, 3], regularizer=regularizer, loss=loss, head=head)
    solution = ufm.solve(problem)
    explicit = ufm.solve(ufm.Problem([3, 3], regularizer=regularizer, loss=loss))
    assert solution.certificate.gap < 1e-8
    if isinstance(head, ufm.FrobeniusDEQ):
        assert solution.value <= explicit.value + 1e-9


def test_descent_from_a_vanishing_loss_stays_finite():
    problem = ufm.Problem([4] * 5, regularizer=ufm.NormBudget(0.26, 1.45), loss=ufm.SquaredError(), head=ufm.FrobeniusDEQ(0.85))
    solution = ufm.solve(problem, method=Multistart(starts=2, effort=5))
    assert solution.status is ufm.Status.OPTIMAL
    assert solution.value < 1e-9


def test_one_multiplier_does_not_solve_a_ball():
    """Squared error under a Schatten ball: singular values compete, and shrinking all of them alike ends at zero."""
    problem = ufm.Problem([3, 3], regularizer=ufm.NormBudget(0.175, 0.308), loss=ufm.SquaredError(), head=ufm.Explicit(3))
    solution = ufm.solve(problem)
    assert solution.method == "multistart"
    assert solution.value == pytest.approx(0.4253, abs=1e-3)


def test_scalar_proofs_at_the_knee():
    """Squared error with decay on A where the convex part is least at the knee."""
    problem = ufm.Problem(
        [7251837] * 4,
        regularizer=ufm.WeightDecay(0.0024186, 0.01288),
        loss=ufm.SquaredError(),
        head=ufm.DecayedDEQ(0.207807, 0.672703),
    )
    solution = ufm.solve(problem, level="rigorous")
    assert solution.certificate.relative_gap < 1e-12
    rng = np.random.default_rng(0)
    for _ in range(60):
        head = ufm.DecayedDEQ(10.0 ** rng.uniform(-4, 1), rng.uniform(0.05, 0.95))
        decay = ufm.WeightDecay(10.0 ** rng.uniform(-5, -1), 10.0 ** rng.uniform(-5, -1))
        sizes = [int(10.0 ** rng.uniform(0, 6)) for _ in range(3)]
        found = ufm.solve(ufm.Problem(sizes, regularizer=decay, loss=ufm.SquaredError(), head=head), level="rigorous")
        assert found.certificate.relative_gap < 1e-9, (sizes, head, decay)
        assert found.status is not ufm.Status.OPEN


def test_auto_falls_through_where_a_method_ends_open():
    problem = ufm.Problem([9, 2], regularizer=ufm.WeightDecay(5e-3, 5e-3, 0.0), loss=ufm.SquaredError())
    assert ufm.solve(problem).status is ufm.Status.OPTIMAL


def test_interpolating_squared_error_is_optimal():
    problem = ufm.Problem([10] * 2 + [3] * 3, regularizer=ufm.NormBudget(2, 2), loss=ufm.SquaredError())
    solution = ufm.solve(problem)
    assert solution.status is ufm.Status.OPTIMAL
    assert solution.value < 1e-12


def test_a_point_that_is_not_critical_is_called_so():
    problem = ufm.Problem([4] * 4, regularizer=ufm.WeightDecay(1.2e-2, 1.2e-2), dim=6)
    rng = np.random.default_rng(0)
    assert ufm.classify(problem, rng.standard_normal((4, 6)), rng.standard_normal((6, 16))).kind == "not critical"
    cut_short = ufm.landscape(problem, starts=2, max_iterations=5)
    assert cut_short.kinds["not critical"] == 2


def test_thresholds_follow_solutions_that_a_fresh_search_would_miss():
    """Two linear layers: the separated solution that wins last is found at smaller ratios only."""
    found = ufm.threshold(classes=(5, 5), regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), minority_count=100, head=ufm.Explicit(2))
    assert found.transition == "jump"
    assert found.value == pytest.approx(30.4847, abs=1e-2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ufm.CrossEntropy(weights=1e5).bind(ufm.ClassCounts.parse("100,10")),
        lambda: ufm.CrossEntropy(adjustment=1e300).bind(ufm.ClassCounts.parse("100,10")),
        lambda: ufm.CrossEntropy(temperatures=(1e200, 1.0)).bind(ufm.ClassCounts.parse("100,10")),
        lambda: ufm.DecayedDEQ(1e299, 0.5),
        lambda: ufm.FixedETF(average="no"),
        lambda: ufm.etf_window(n_classes=4, size=5, regularizer=ufm.NormBudget(1, 1), contraction=0.5),
        lambda: ufm.etf_window(n_classes="4", size=5, regularizer=TINY, contraction=0.5),
        lambda: ufm.pair_depth("4"),
        lambda: ufm.landscape(None),
        lambda: ufm.landscape(ufm.Problem([4] * 4, regularizer=TINY), scale="a"),
        lambda: ufm.hessian_eigenvalues(ufm.Problem([4] * 4, regularizer=TINY), np.zeros(4), np.zeros((4, 4))),
        lambda: ufm.classify(ufm.Problem([4] * 4, regularizer=TINY), "W", [[1], [1, 2]]),
        lambda: ufm.solve(ufm.Problem([5] * 10**5, regularizer=TINY, head=ufm.ReLU())),
        lambda: ufm.threshold(classes=(20, 20), regularizer=TINY, minority_count=5, head=ufm.Explicit(2)),
    ],
)
def test_odd_input_gets_one_sentence(make):
    with pytest.raises(ufm.InputError) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_layers_under_budgets_find_the_regular_polygon():
    # Five classes, rank two: logits t cos(2 pi (j - k) / 5) have two singular values 5t/2, and the budgets of layers and
    # features allow sum s^(2/5) = ((K E_W)^4 K E_H)^(1/5). A search whose values carry noise of rank ends 8e-6 above.
    weight, features = 2.23391, 0.478382
    level = ((5 * weight) ** 4 * 5 * features) ** 0.2
    t = 2 / 5 * (level / 2) ** 2.5
    polygon = np.log(np.sum(np.exp(t * (np.cos(2 * np.pi * np.arange(5) / 5) - 1))))
    problem = ufm.Problem([12] * 5, regularizer=ufm.NormBudget(weight, features), head=ufm.Explicit(4))
    assert ufm.solve(problem).value <= polygon * (1 + 1e-9)
