"""Frames, metrics, verdicts and enclosures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm
from tests.conftest import SHARED, split
from ufm.analysis.enclosures import enclose_logits
from ufm.solvers import Convex, Gradient


@given(st.integers(2, 30), st.integers(0, 4), st.integers(0, 10**6))
def test_simplex_etf(classes, extra, seed):
    frame = ufm.simplex_etf(classes, classes - 1 + extra, np.random.default_rng(seed))
    expected = (classes * np.eye(classes) - 1) / (classes - 1)
    assert np.allclose(frame @ frame.T, expected, atol=1e-12)


def test_frames_refuse_too_few_dimensions():
    for call in (lambda: ufm.simplex_etf(4, 2), lambda: ufm.orthogonal_frame(4, 3), lambda: ufm.simplex_etf(1)):
        with pytest.raises(ufm.InputError):
            call()


def test_block_metrics_are_those_of_the_explicit_parameters(problem):
    """The metrics in block form against `measure` on features written out sample by sample."""
    solution = ufm.solve(problem)
    found, parameters = ufm.geometry(solution), solution.parameters
    counts = list(problem.counts)
    labels = np.repeat(np.arange(len(counts)), counts)
    written = ufm.measure(parameters.outputs.T[labels], labels, weight=parameters.weight)
    assert written["nc1"] < 1e-20
    for name in ("nc2", "nc2_means", "nc3", "self_duality", "equinorm", "equinorm_means"):
        assert found[name] == pytest.approx(written[name], abs=2e-7), name
    weight = parameters.weight / np.linalg.norm(parameters.weight, axis=1, keepdims=True)
    small = [k for k, n in enumerate(counts) if n == min(counts)]
    if len(small) > 1:
        cosines = (weight @ weight.T)[np.ix_(small, small)][~np.eye(len(small), dtype=bool)]
        assert found["cos_minority"] == pytest.approx(cosines.mean(), abs=1e-7)
    else:
        assert found["cos_minority"] is None


def test_metrics_of_a_planted_collapse():
    rng = np.random.default_rng(0)
    frame = ufm.simplex_etf(5, 8, rng)
    labels = np.repeat(np.arange(5), 6)
    shift = np.full(8, 3.0)
    clean = ufm.measure(frame[labels] + shift, labels, weight=2 * frame, bias=-2 * frame @ shift)
    assert max(clean[n] for n in ("nc1", "nc2", "nc2_means", "nc3", "self_duality", "equiangular", "nc4")) < 1e-12
    noisy = ufm.measure(
        frame[labels] + 0.3 * rng.standard_normal((30, 8)), labels, weight=frame + 0.5 * rng.standard_normal(frame.shape)
    )
    assert min(noisy[n] for n in ("nc1", "nc2", "nc2_means", "nc3", "self_duality", "equiangular")) > 1e-2


@given(st.integers(0, 10**6))
def test_metrics_do_not_see_rotations_relabelling_or_scale(seed):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(4), rng.integers(0, 4, 20)])
    features, weight = rng.standard_normal((24, 6)), rng.standard_normal((4, 6))
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    order = rng.permutation(4)
    base = ufm.measure(features, labels, weight=weight)
    moved = ufm.measure(7 * features @ rotation, np.argsort(order)[labels], weight=3 * (weight @ rotation)[order])
    for name, value in base.items():
        if name != "nc4":
            assert moved[name] == pytest.approx(value, rel=1e-7, abs=1e-9, nan_ok=True), name


def test_nc1_conventions_differ_under_imbalance_and_agree_on_balance():
    rng = np.random.default_rng(1)
    for labels, same in ((np.repeat(np.arange(3), 10), True), (np.repeat(np.arange(3), [50, 5, 5]), False)):
        features = rng.standard_normal((len(labels), 4)) + 3 * np.eye(4)[labels]
        zhu, hong = (ufm.measure(features, labels, convention=c)["nc1"] for c in ("zhu", "hong-ling"))
        assert (zhu == pytest.approx(hong, rel=1e-9)) is same


def test_float32_features_do_not_break_the_pseudo_inverse():
    """Rank-deficient between-class scatter in float32: the rank is cut at the data's own precision."""
    rng = np.random.default_rng(2)
    frame = ufm.simplex_etf(6, 40, rng)
    labels = np.repeat(np.arange(6), 30)
    features = frame[labels] + 0.05 * rng.standard_normal((180, 40)) + 10.0
    double = ufm.measure(features, labels)["nc1"]
    single = ufm.measure(features.astype(np.float32), labels)["nc1"]
    assert single == pytest.approx(double, rel=1e-2)


def test_inputs_are_not_changed():
    features, labels, weight = np.ones((4, 2)), np.array([0, 0, 1, 1]), np.ones((2, 2))
    for array in (features, labels, weight):
        array.flags.writeable = False
    ufm.measure(features, labels, weight=weight)


@pytest.mark.parametrize(
    ("features", "labels", "weight"),
    [
        (np.full((4, 2), np.nan), [0, 0, 1, 1], None),
        (np.ones((4, 2)), [0, 0, 2, 2], np.ones((3, 2))),
        (np.ones((4, 2)), [0, 0, 1], None),
        (np.ones((4, 2)), [0.0, 0.5, 1.0, 1.0], None),
        (np.ones((4, 2)), [-1, 0, 1, 1], None),
        (np.ones((4, 2)), [0, 0, 1, 1], np.ones((2, 3))),
        (np.ones((4, 2)), [0, 0, 1, 1], np.full((2, 2), np.inf)),
        (np.ones((0, 2)), [], None),
    ],
)
def test_measure_refuses_bad_input(features, labels, weight):
    with pytest.raises(ufm.InputError):
        ufm.measure(features, np.array(labels), weight=weight)


@pytest.mark.parametrize(("margin", "verdict"), [(0.9, "yes"), (0.999, "yes"), (1.001, "no"), (1.1, "no")])
def test_collapse_verdict_around_the_threshold(margin, verdict):
    counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=10_000, n_minority=1000)
    mu = np.sqrt(1000) / (counts.total * margin)
    solution = ufm.solve(ufm.Problem(counts, regularizer=ufm.WeightDecay(mu, mu)))
    found = ufm.collapse(solution)
    assert found.verdict == verdict
    assert found.lower <= found.upper


def test_collapse_is_undecided_when_the_gap_is_wide():
    problem = SHARED["collapsed decay"]
    rough = ufm.solve(problem, method=Gradient(max_iterations=30))
    assert ufm.collapse(rough).verdict == "undecided"
    assert ufm.collapse(ufm.solve(problem)).verdict == "yes"


def test_collapse_verdicts_agree_between_routes(problem):
    verdicts = {ufm.collapse(ufm.solve(problem, method=m)).verdict for m in ("symmetric", "factored")}
    assert len(verdicts) == 1
    assert ufm.collapse(ufm.solve(problem, method=Convex(profile="scs-1e-9"))).verdict in (verdicts | {"undecided"})


def test_collapse_enclosures_contain_the_accurate_contrast(problem):
    accurate = ufm.solve(problem)
    if problem.counts.groups[-1][0] < 2:
        return
    contrast = accurate.factors.contrast[-1]
    for method in (Gradient(max_iterations=400), Gradient(rule="heavy-ball", max_iterations=2000), Convex()):
        found = ufm.collapse(ufm.solve(problem, method=method))
        assert found.lower - 1e-9 <= contrast <= found.upper + 1e-9


def test_logit_enclosures_contain_an_independent_solution():
    problem = SHARED["step decay"]
    enclosed = enclose_logits(ufm.solve(problem, level="rigorous"))
    dense = np.asarray(ufm.solve(problem, method="factored").logits)
    assert float(enclosed.contrasts[0].mid()) == pytest.approx(dense[0, 0] - dense[1, 0], abs=1e-5)
    assert float(enclosed.contrasts[1].mid()) == pytest.approx(dense[2, 2] - dense[3, 2], abs=1e-5)
    assert float(enclosed.gaps[0].mid()) == pytest.approx(dense[:2, 0].mean() - dense[2:, 0].mean(), abs=1e-5)
    weight = ufm.solve(problem, method="factored").parameters.weight
    cosine = weight[2] @ weight[3] / np.linalg.norm(weight[2]) / np.linalg.norm(weight[3])
    assert float(enclosed.weight_cosines[1].mid()) == pytest.approx(cosine, abs=1e-5)
    for ball in (*enclosed.contrasts, *enclosed.gaps, *enclosed.weight_cosines):
        assert float(ball.rad()) < 1e-5


def test_minority_cosines_of_the_layer_peeled_model():
    """K=10, K_A=5, E_W=1, E_H=5 against R."""
    expected = {1: -1 / 9, 10**0.4: -0.0455, 10**0.8: 0.1511, 10: 0.5175, 12.2: 1.0, 1e4: 1.0}
    for ratio, cosine in expected.items():
        counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=round(10_000 * ratio), n_minority=10_000)
        found = ufm.geometry(ufm.solve(ufm.Problem(counts, regularizer=ufm.NormBudget(1, 5))))
        assert found["cos_minority"] == pytest.approx(cosine, abs=6e-5)


def test_seli_is_the_limit_of_vanishing_decay():
    gram = ufm.seli([100] * 5 + [10] * 5)[0]
    limit = gram[9, 8] / gram[9, 9]
    assert limit == pytest.approx((10 - 7) / (10 - 7 + 20 * (2 + np.sqrt(5.5))), rel=1e-10)
    errors = []
    for decay in (1e-4, 1e-8, 1e-16):
        problem = ufm.Problem([100] * 5 + [10] * 5, regularizer=ufm.WeightDecay(decay, decay))
        errors.append(abs(ufm.geometry(ufm.solve(problem))["cos_minority"] - limit))
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("counts", [[5, 30, 1000], [3, 40, 400], [1000, 5, 30], [10, 1000]])
@pytest.mark.parametrize("method", ["factored", "convex"])
def test_class_order_reaches_metrics_and_verdicts(counts, method):
    problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(5e-3, 5e-3))
    reference, found = ufm.solve(problem), ufm.solve(problem, method=method)
    assert ufm.geometry(found)["norm_ratio"] == pytest.approx(ufm.geometry(reference)["norm_ratio"], rel=1e-2)
    tight, loose = ufm.collapse(reference), ufm.collapse(found)
    assert loose.lower <= tight.upper
    assert tight.lower <= loose.upper


@pytest.mark.parametrize("c", [2.4406779661016946, 12.0])
def test_enclosures_survive_factors_outside_the_budget(c):
    """K = 2 under budgets: the contrast is 2 c exactly, whatever a loose solver returns."""
    problem = ufm.Problem([1, 1], regularizer=ufm.NormBudget(c, c))
    for method in (Convex(profile="scs"), Convex(), Gradient(max_iterations=10)):
        solution = ufm.solve(problem, method=method)
        found = ufm.collapse(solution)
        assert found.lower <= 2 * c <= found.upper
        assert problem.objective(solution.parameters) == pytest.approx(solution.value, rel=1e-6)


def test_contrast_of_unconverged_solutions_is_enclosed():
    problem = ufm.Problem([8, 3, 3, 3], regularizer=ufm.NormBudget(12.0, 12.0))
    truth = ufm.solve(problem).factors.contrast[-1]
    for iterations in (1, 10, 100):
        found = ufm.collapse(ufm.solve(problem, method=Gradient(max_iterations=iterations)))
        assert found.lower <= truth <= found.upper


def test_cosines_are_not_claimed_where_they_are_not_known():
    biased = ufm.solve(ufm.Problem([100] * 3 + [5] * 2, regularizer=ufm.WeightDecay(1e-3, 1e-3, 0.0)))
    assert enclose_logits(biased).weight_cosines == [None, None]
    zero = ufm.solve(ufm.Problem([20] * 4, regularizer=ufm.WeightDecay(1.0, 1.0)))
    assert enclose_logits(zero).weight_cosines == [None]
    apart = split(ufm.solve(ufm.Problem([10, 10, 1000], regularizer=ufm.NormBudget(1, 2))))
    with pytest.raises(ufm.InputError, match="symmetric"):
        enclose_logits(apart)


def test_loose_relaxations_decide_nothing():
    problem = ufm.Problem([30] * 5, regularizer=ufm.WeightDecay(1e-3, 1e-3), dim=2)
    assert ufm.collapse(ufm.solve(problem)).verdict == "undecided"


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan"), float("inf"), "x"])
def test_collapse_tolerance_is_checked(tolerance):
    with pytest.raises(ufm.InputError, match="tolerance"):
        ufm.collapse(ufm.solve(SHARED["bias"]), tolerance=tolerance)


def test_measure_at_extreme_scales():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 5)
    features = rng.standard_normal((15, 4))
    base = ufm.measure(features, labels)["nc1"]
    for scale in (1e160, 1e-160, 1e-300):
        assert ufm.measure(scale * features, labels)["nc1"] == pytest.approx(base, rel=1e-6)


def test_predictions_are_free_of_rotation_and_scale_and_reject_other_geometries():
    counts = ufm.step_imbalanced(majority=2, minority=3, n_majority=20, n_minority=4)
    problem = ufm.Problem(counts, regularizer=ufm.WeightDecay(5e-3, 5e-3))
    theory = ufm.predict(problem)
    found = ufm.solve(problem).parameters
    labels = np.repeat(np.arange(5), list(counts))
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((7, 7)))[0][: len(found.outputs)]
    features, weight = 3 * (found.outputs.T @ rotation)[labels], 7 * found.weight @ rotation
    assert max(theory.distance(features, labels, weight).values()) < 1e-7
    assert theory.certified
    assert theory.collapsed == "no"
    # The ETF is not the geometry of imbalanced classes.
    frame = ufm.simplex_etf(5)
    assert min(theory.distance(frame[labels], labels, frame).values()) > 0.1
    relu = ufm.predict(ufm.Problem(counts, regularizer=ufm.WeightDecay(5e-3, 5e-3), head=ufm.ReLU()))
    assert relu.lower > theory.lower
    for bad in ((features[:3], labels[:3], weight), (features, labels, weight[:4]), (features, labels + 1, weight)):
        with pytest.raises(ufm.InputError):
            theory.distance(*bad)


def test_measured_cosines_are_those_of_majority_and_minority():
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((5, 7))
    labels = np.repeat(np.arange(5), [6, 6, 2, 2, 2])
    found = ufm.measure(rng.standard_normal((18, 7)), labels, weight=weight)
    unit = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    cosines = unit @ unit.T
    assert found["cos_majority"] == pytest.approx(cosines[0, 1])
    assert found["cos_minority"] == pytest.approx(np.mean([cosines[2, 3], cosines[2, 4], cosines[3, 4]]))
    assert found["cos_cross"] == pytest.approx(cosines[:2, 2:].mean())
    assert np.isnan(ufm.measure(rng.standard_normal((18, 7)), labels, weight=0 * weight)["cos_minority"])


def test_measures_do_not_see_the_size_of_the_classifier_and_keep_the_bias_of_zero_features():
    rng = np.random.default_rng(5)
    features, weight, labels = rng.standard_normal((12, 4)), rng.standard_normal((3, 4)), np.repeat(np.arange(3), 4)
    base = ufm.measure(features, labels, weight=weight)
    for scale in (1e200, 1e-200):
        found = ufm.measure(features, labels, weight=scale * weight)
        for name, value in base.items():
            assert found[name] == pytest.approx(value, rel=1e-9, nan_ok=True), name
    found = ufm.measure(np.zeros((6, 2)), np.repeat(np.arange(3), 2), weight=np.zeros((3, 2)), bias=[0.0, 5.0, 0.0])
    assert found["nc4"] == 1.0
    with pytest.raises(ufm.InputError, match="bias"):
        ufm.measure(features, labels, weight=weight, bias=["a", "b", "c"])
