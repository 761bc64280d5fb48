"""Networks beside the certified optimum for their own class sizes and decays, given or read off stationarity."""

import json
from math import sqrt

import numpy as np
import pytest

import ufm
from ufm.analysis.effective_decays import EffectiveDecays
from ufm.cli import outcome
from ufm.cli.commands import app
from ufm.metrics.rows import Held


def optimum(sizes, decays, head=None):
    """The certified optimum, written out sample by sample as a network's arrays."""
    problem = ufm.Problem(sizes, regularizer=ufm.WeightDecay(*decays), head=head)
    solution = ufm.solve(problem, tolerance=1e-12)
    found = solution.parameters
    labels = np.repeat(range(len(sizes)), sizes)
    arrays = {"features": found.outputs.T[labels], "labels": labels, "weight": found.weight}
    return problem, solution, arrays if found.bias is None else {**arrays, "bias": found.bias}


CASES = {
    "balanced": ([50] * 5, (1e-3, 1e-4), None),
    "step": ([20, 20, 4, 4], (5e-3, 2e-3), None),
    "collapsed": ([100, 100, 10, 10, 10], (2e-2, 2e-2), None),
    "long tail": ([300, 100, 20, 3, 3], (5e-4, 1e-5), None),
    "bias with decay": ([20, 20, 4, 4], (5e-3, 2e-3, 1e-2), None),
    "free bias": ([20, 20, 4, 4], (5e-3, 2e-3, 0), None),
    "relu": ([20, 20, 4, 4], (5e-3, 2e-3), "relu"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_optimum_gives_its_decays_and_is_where_theory_says(name):
    sizes, decays, head = CASES[name]
    problem, solution, arrays = optimum(sizes, decays, head)
    found = ufm.predict(**arrays, relu=head == "relu")
    effective = found.effective
    assert effective.weight == pytest.approx(decays[0], rel=1e-6)
    assert effective.features == pytest.approx(decays[1], rel=1e-6)
    assert effective.mu == pytest.approx(sqrt(decays[0] * decays[1]), rel=1e-6)
    assert effective.residual < 1e-6
    assert effective.bias == (pytest.approx(decays[2], rel=1e-6) if len(decays) == 3 else None)
    assert all(found.distances[f"to_theory_{what}"] < 1e-5 for what in ("weight", "means", "logits"))
    assert found.theory.collapsed == ufm.collapse(solution).verdict == {"collapsed": "yes", "relu": "undecided"}.get(name, "no")
    for metric, value in found.theory.metrics.items():
        if metric in found.measured and value is not None:
            assert found.measured[metric] == pytest.approx(value, abs=1e-5), metric
    assert found.objective == pytest.approx(solution.value, rel=1e-8)
    assert abs(found.gap) < 1e-8
    assert "the network is stationary" in found.verdict
    assert "nearest is the prediction" in found.verdict
    given = ufm.predict(**arrays, decay=problem.regularizer, relu=head == "relu")
    assert given.given
    assert given.objective == pytest.approx(problem.objective(solution.parameters), rel=1e-10)


def test_the_residual_is_the_definition_and_says_that_a_random_network_is_none():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [30, 30, 8, 8])
    weight, bias = 0.3 * rng.standard_normal((4, 6)), 0.3 * rng.standard_normal(4)
    features = 2 * weight[labels] + rng.standard_normal((76, 6))
    found = ufm.predict(features=features, labels=labels, weight=weight, bias=bias)
    z = features @ weight.T
    odds = np.exp(z + bias)
    slope = (odds / odds.sum(axis=1, keepdims=True) - np.eye(4)[labels]) / 76
    inner = np.sum(slope * z)
    effective = found.effective
    assert effective.weight == pytest.approx(-inner / np.sum(weight**2), rel=1e-12)
    assert effective.features == pytest.approx(-inner / np.sum(features**2), rel=1e-12)
    pull, push = slope.T @ features, slope @ weight
    for name, force, decayed in (
        ("weight", pull, effective.weight * weight),
        ("features", push, effective.features * features),
    ):
        expected = np.linalg.norm(force + decayed) / np.linalg.norm(force)
        assert getattr(effective, f"residual_{name}") == pytest.approx(expected, rel=1e-10)
    assert effective.residual > 0.5
    assert "far from stationary" in found.verdict
    decay = found.decay
    loss = -np.mean(np.log((odds / odds.sum(axis=1, keepdims=True))[np.arange(76), labels]))
    objective = loss + 0.5 * (
        decay.weight * np.sum(weight**2) + decay.features * np.sum(features**2) + decay.bias * bias @ bias
    )
    assert found.objective == pytest.approx(objective, rel=1e-12)
    assert found.gap > 0
    assert min(found.distances.values()) > 0.01


def test_the_residual_grows_with_the_distance_from_the_optimum():
    _, _, arrays = optimum([20, 20, 4, 4], (5e-3, 2e-3))
    direction = np.random.default_rng(1).standard_normal(arrays["features"].shape)
    residuals = []
    for noise in (0.0, 1e-6, 1e-4, 1e-2):
        found = ufm.predict(**{**arrays, "features": arrays["features"] + noise * direction})
        residuals.append(found.effective.residual)
    assert residuals == sorted(residuals)
    assert residuals[1] < 1e-4 < 1e-3 < residuals[3]


def test_rows_are_read_in_blocks():
    rng = np.random.default_rng(2)
    labels = np.arange(3000) % 3
    features, weight = rng.standard_normal((3000, 1500)), rng.standard_normal((3, 1500)) / 40
    whole = EffectiveDecays.of(Held(features), labels, weight, None)
    parts = [EffectiveDecays.of(Held(features[k::3]), labels[k::3], weight, None) for k in range(3)]
    assert whole.loss == pytest.approx(np.mean([part.loss for part in parts]), rel=1e-12)
    assert whole.squares_features == pytest.approx(sum(part.squares_features for part in parts), rel=1e-12)
    slopes = np.mean([part.weight for part in parts])
    assert whole.weight == pytest.approx(slopes, rel=1e-9)


@pytest.mark.parametrize(("factor", "word"), [(0.5, "2 times below the critical"), (1.5, "1.5 times the critical")])
def test_the_side_of_the_threshold_is_said(factor, word):
    sizes = [100, 100, 10, 10]
    mu = factor * sqrt(10) / 220
    _, _, arrays = optimum(sizes, (mu, mu))
    found = ufm.predict(**arrays)
    assert found.critical == pytest.approx(sqrt(10) / 220)
    assert word in found.verdict
    assert found.theory.collapsed == ("no" if factor < 1 else "yes")


def test_names_and_orders_of_classes():
    _, _, arrays = optimum([20, 20, 4, 4], (5e-3, 2e-3, 1e-2))
    base = ufm.predict(**arrays)
    order = np.random.default_rng(3).permutation(48)
    names = np.array(["wasp", "ant", "bee", "fly"])
    moved = ufm.predict(
        features=arrays["features"][order], labels=names[arrays["labels"]][order], weight=arrays["weight"], bias=arrays["bias"],
        classes=names,
    )  # fmt: skip
    assert moved.decay.weight == pytest.approx(base.decay.weight, rel=1e-9)
    assert moved.decay.bias == pytest.approx(base.decay.bias, rel=1e-6)
    assert max(moved.distances[f"to_theory_{what}"] for what in ("weight", "means", "logits")) < 1e-6


def test_arguments_that_do_not_go_together():
    problem, _, arrays = optimum([9, 9, 3, 3], (5e-3, 5e-3))
    for call, said in (
        (lambda: ufm.predict(), "needs a problem"),
        (lambda: ufm.predict(features=arrays["features"], labels=arrays["labels"]), "needs a problem"),
        (lambda: ufm.predict(problem, relu=True), "alone"),
        (lambda: ufm.predict(problem, **arrays), "alone"),
        (lambda: ufm.predict(**{**arrays, "weight": -arrays["weight"]}), "not positive"),
        (lambda: ufm.predict(**{**arrays, "weight": 0 * arrays["weight"]}), "not positive"),
        (lambda: ufm.predict(**arrays, decay=ufm.WeightDecay(1e-3, 1e-3, per_class=True)), "per class"),
    ):
        with pytest.raises(ufm.InputError, match=said):
            call()
    with pytest.raises(ufm.InputError, match=r"residual 0\.\d"):
        ufm.predict(**{**arrays, "weight": -arrays["weight"]})
    # With the decay given, any network is compared.
    found = ufm.predict(**{**arrays, "weight": -arrays["weight"]}, decay=problem.regularizer)
    assert found.effective.weight < 0
    assert np.isnan(found.effective.mu)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["effective_mu"] is None


def test_a_bias_that_the_model_has_not_leaves_no_bound():
    _, _, arrays = optimum([20, 20, 4, 4], (5e-3, 2e-3, 0))
    found = ufm.predict(**arrays, decay=ufm.WeightDecay(5e-3, 2e-3))
    assert np.isnan(found.gap)
    assert "no bound" in found.verdict
    assert found.to_dict()["theory_gap"] is None


def test_a_bias_beside_features_after_a_relu_is_not_modelled(tmp_path, capsys):
    _, _, arrays = optimum([20, 20, 4, 4], (5e-3, 2e-3), "relu")
    np.savez(tmp_path / "net.npz", **arrays, bias=[0.1, 0.0, 0.0, 0.0])
    assert outcome(app, "ufm", ["measure", str(tmp_path / "net.npz"), "--predict", "--relu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["theory_bias"] == "ignored"
    assert found["theory_gap"] is None
    assert found["residual_bias"] > 0.01
    assert "features >= 0 has none" in found["note"]


@pytest.mark.parametrize("name", ["step", "bias with decay"])
def test_the_command_predicts_without_a_decay(name, tmp_path, capsys):
    sizes, decays, _ = CASES[name]
    _, _, arrays = optimum(sizes, decays)
    np.savez(tmp_path / "net.npz", **arrays)
    assert outcome(app, "ufm", ["measure", str(tmp_path / "net.npz"), "--predict", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = ufm.predict(**arrays).to_dict()
    assert {key: found[key] for key in expected} == expected
    assert found["effective_weight"] == pytest.approx(decays[0], rel=1e-6)
    assert found["theory_bias"] == ("modelled" if len(decays) == 3 else "none")
    assert outcome(app, "ufm", ["measure", str(tmp_path / "net.npz"), "--predict"]) == 0
    assert "the network is stationary" in " ".join(capsys.readouterr().out.split())


def test_the_command_says_where_stationarity_gives_no_decay(tmp_path, capsys):
    _, _, arrays = optimum([9, 9, 3, 3], (5e-3, 5e-3))
    np.savez(tmp_path / "net.npz", **{**arrays, "weight": -arrays["weight"]})
    for options, said in (
        (["--predict"], "not positive"),
        (["--decay", "1e-3,1e-3"], "needs --predict"),
        (["--relu"], "--predict"),
    ):
        assert outcome(app, "ufm", ["measure", str(tmp_path / "net.npz"), *options]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert said in err
        assert len(err.splitlines()) == 1
