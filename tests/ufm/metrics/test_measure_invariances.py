"""What metrics and distances to theory must not see: dtype, scale, offset, order of samples, names of classes, copies."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ufm
from ufm.cli.commands import app

SIZES = [9, 9, 4, 4, 4]
LABELS = np.repeat(np.arange(5), SIZES)
DECAY = ufm.WeightDecay(5e-3, 5e-3)
THEORY = ufm.predict(ufm.Problem(SIZES, regularizer=DECAY))
RAW = ("cos_majority_means", "cos_minority_means", "cos_cross_means", "norm_ratio_means")
"""Metrics of means that are not centred: these do see an offset."""


def network(seed, scale=1.0):
    """Whole numbers up to 100 in size, which every dtype of 8 bits or more holds exactly."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-20, 21, (5, 6))
    features = 3 * weight[LABELS] + rng.integers(-30, 31, (len(LABELS), 6))
    return scale * features, LABELS, scale * weight, scale * rng.integers(-50, 51, 5)


def everything(features, labels, weight, bias):
    found = ufm.measure(features, labels, weight=weight, bias=bias)
    hong = ufm.measure(features, labels, convention="hong-ling")["nc1"]
    return {**found, "nc1_hong_ling": hong, **THEORY.distance(features, labels, weight)}


def same(found, expected, rel=1e-12, abs=1e-12):
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=rel, abs=abs, nan_ok=True), name


@pytest.mark.parametrize("dtype", [np.float64, np.longdouble, np.float32, np.float16, np.int8, np.int16, np.int64])
@pytest.mark.parametrize("labels", [np.uint8, np.int64, np.uint64])
def test_numbers_that_a_dtype_holds_exactly_give_the_same_answer(dtype, labels):
    base = network(1)
    features, y, weight, bias = base
    moved = everything(features.astype(dtype), y.astype(labels), weight.astype(dtype), bias.astype(dtype))
    same(moved, everything(*base))


@pytest.mark.parametrize("scale", [1e-290, 1e-200, 1e-160, 1e160, 1e200, 1e300])
@pytest.mark.parametrize("which", ["features", "weight"])
def test_scale(scale, which):
    """With the bias scaled by the same factor all logits are, so that the classes decided are the same ones."""
    features, labels, weight, bias = network(2)
    base = everything(features, labels, weight, bias)
    if which == "features":
        same(everything(scale * features, labels, weight, scale * bias), base)
    else:
        same(everything(features, labels, scale * weight, scale * bias), base)


@pytest.mark.parametrize(
    ("features_scale", "weight_scale"), [(1e200, 1e-200), (1e-250, 1e250), (1e-150, 1e-150), (1e150, 1e150)]
)
def test_the_bias_is_added_to_logits_of_any_size(features_scale, weight_scale):
    """NC4 by the definition, in exact arithmetic of whole numbers: argmax of W h + b t with t the common scale."""
    features, labels, weight, bias = network(3)
    common = features_scale * weight_scale
    found = ufm.measure(features_scale * features, labels, weight=weight_scale * weight, bias=common * (40 * bias))
    chosen = np.argmax(features @ weight.T + 40 * bias, axis=1)
    means = np.array([features[labels == k].mean(axis=0) for k in range(5)])
    nearest = np.argmin(((features[:, None] - means) ** 2).sum(axis=2), axis=1)
    expected = float(np.mean(chosen != nearest))
    assert found["nc4"] == pytest.approx(expected)
    plain = np.argmax(features @ weight.T, axis=1)
    assert expected != pytest.approx(float(np.mean(plain != nearest)))  # the bias does decide here


def test_a_bias_far_above_and_far_below_the_logits():
    features, labels, weight, _ = network(4)
    one = np.array([0.0, 0.0, 1.0, 0.0, 0.5])
    for scale in (1e-200, 1e200):
        above = ufm.measure(scale * features, labels, weight=1e-300 * weight, bias=one)
        below = ufm.measure(1e150 * features, labels, weight=1e150 * weight, bias=one)
        means = np.array([features[labels == k].mean(axis=0) for k in range(5)])
        nearest = np.argmin(((features[:, None] - means) ** 2).sum(axis=2), axis=1)
        assert above["nc4"] == pytest.approx(np.mean(nearest != 2))
        assert below["nc4"] == ufm.measure(features, labels, weight=weight)["nc4"]


@pytest.mark.parametrize("offset", [1e3, 1e8, -1e8])
def test_an_offset_with_the_bias_that_undoes_it(offset):
    """Logits W (h + v) - W v are those of h; whatever is about centred means is the same too."""
    features, labels, weight, bias = network(5)
    base = ufm.measure(features, labels, weight=weight, bias=bias)
    shift = np.full(6, offset)
    moved = ufm.measure(features + shift, labels, weight=weight, bias=bias - weight @ shift)
    for name, value in base.items():
        if name not in RAW:
            assert moved[name] == pytest.approx(value, rel=1e-6, abs=1e-6, nan_ok=True), name


def test_separated_classes_far_from_the_origin_are_nearest_to_their_own_mean():
    rng = np.random.default_rng(0)
    weight = ufm.simplex_etf(5, 6)
    features = weight[LABELS] + 1e-3 * rng.standard_normal((len(LABELS), 6)) + 1e8
    bias = -weight @ np.full(6, 1e8)
    assert ufm.measure(features, LABELS, weight=weight, bias=bias)["nc4"] == 0


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_order_of_samples_names_of_classes_and_copies(seed, copies):
    rng = np.random.default_rng(seed)
    features, labels, weight, bias = network(seed)
    bias = bias + 0.1 * rng.standard_normal(5)  # no ties, which the order of classes would decide
    base = everything(features, labels, weight, bias)
    order = rng.permutation(np.tile(np.arange(len(labels)), copies))
    same(everything(features[order], labels[order], weight, bias), base, rel=1e-9, abs=1e-9)
    # Classes 0, 1 and classes 2, 3, 4 exchanged among themselves: the theory of these sizes is the same.
    names = np.concatenate([rng.permutation(2), 2 + rng.permutation(3)])
    moved = everything(features, np.argsort(names)[labels], weight[names], bias[names])
    same(moved, base, rel=1e-9, abs=1e-9)


def test_the_rank_is_cut_at_the_precision_of_float32():
    """The fifth mean is that of the first four up to the rounding of float32 far from the origin: rank 3 in either dtype."""
    rng = np.random.default_rng(7)
    frame = np.zeros((5, 8))
    frame[:4] = ufm.simplex_etf(4, 8)
    within = 0.1 * rng.standard_normal((len(LABELS), 8))
    for members in (np.flatnonzero(k == LABELS) for k in range(5)):
        within[members] -= within[members].mean(axis=0)
    features = frame[LABELS] + within + 100.0
    double = ufm.measure(features, LABELS)["nc1"]
    assert ufm.measure(features.astype(np.float32), LABELS)["nc1"] == pytest.approx(double, rel=1e-3)
    # The same numbers called doubles have a fourth singular value, made of rounding alone.
    assert ufm.measure(features.astype(np.float32).astype(np.float64), LABELS)["nc1"] > 100 * double


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 2, 3])
def test_entries_that_are_no_numbers_are_refused_everywhere(bad, place):
    arrays = [np.array(a, dtype=float) if k != 1 else a for k, a in enumerate(network(8))]
    arrays[place].flat[3] = bad
    with pytest.raises(ufm.InputError, match=r"NaN|finite"):
        ufm.measure(arrays[0], arrays[1], weight=arrays[2], bias=arrays[3])
    if place < 3:
        with pytest.raises(ufm.InputError, match=r"NaN|finite"):
            THEORY.distance(arrays[0], arrays[1], arrays[2])


def test_numbers_beyond_float64_are_refused_without_a_warning():
    features = np.full((30, 6), np.longdouble("1e4000"))
    if np.isfinite(features).all():  # where the machine has wider floats
        with pytest.raises(ufm.InputError, match="infinity"):
            ufm.measure(features, LABELS)


def asked(path, capsys, *options):
    app([*("measure", str(path), "--json"), *options], standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def test_predictions_say_what_they_do_with_a_bias(tmp_path, capsys):
    features, labels, weight, bias = network(9)
    arrays = {"features": features, "labels": labels, "weight": weight}
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez(tmp_path / "zero.npz", **arrays, bias=0 * bias)
    np.savez(tmp_path / "bias.npz", **arrays, bias=bias)
    predict = ("--predict", "--decay", "5e-3,5e-3")
    for name in ("plain", "zero"):
        found = asked(tmp_path / f"{name}.npz", capsys, *predict)
        assert found["theory_bias"] == "none"
        assert "note" not in found
    ignored = asked(tmp_path / "bias.npz", capsys, *predict)
    assert ignored["theory_bias"] == "ignored"
    assert "LB" in ignored["note"]
    assert ignored["theory_lower"] == THEORY.lower
    modelled = asked(tmp_path / "bias.npz", capsys, "--predict", "--decay", "5e-3,5e-3,1e-2")
    assert modelled["theory_bias"] == "modelled"
    assert "note" not in modelled
    with_bias = ufm.predict(ufm.Problem(SIZES, regularizer=ufm.WeightDecay(5e-3, 5e-3, 1e-2)))
    assert modelled["theory_lower"] == with_bias.lower < THEORY.lower
    with pytest.raises(ufm.InputError, match="no array 'bias'"):
        asked(tmp_path / "plain.npz", capsys, "--predict", "--decay", "5e-3,5e-3,1e-2")


@pytest.mark.parametrize("scale", [1e-200, 1e200])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8])
def test_the_command_gives_the_distances_of_float64(tmp_path, capsys, dtype, scale):
    features, labels, weight, _ = network(10)
    scale = scale if dtype is np.float64 else 1
    np.savez(tmp_path / "a.npz", features=(features * scale).astype(dtype), labels=labels, weight=weight.astype(dtype))
    found = asked(tmp_path / "a.npz", capsys, "--predict", "--decay", "5e-3,5e-3")
    for name, value in THEORY.distance(features.astype(float), labels, weight.astype(float)).items():
        assert found[name] == pytest.approx(value, rel=1e-12)
        assert 0 < value <= 2
