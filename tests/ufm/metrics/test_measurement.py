"""Metrics against their definitions in 50 digits, features in batches and from files, labels of any kind."""

import os
import pickle
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import mpmath
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.metrics.rows import Stored

CONVENTIONS = ("zhu2021", "hongling2023", "papyan2020")
mp = mpmath.mp.clone()
mp.dps = 50


def network(seed, sizes=(6, 6, 3, 3), width=6, spread=0.5):
    """Features, labels in a random order, classifier and bias."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    weight = rng.standard_normal((len(sizes), width))
    features = weight[labels] + spread * rng.standard_normal((len(labels), width)) + 1.0
    return features, labels, weight, rng.standard_normal(len(sizes))


def norm(matrix):
    return mp.sqrt(sum((matrix[i, j] ** 2 for i in range(matrix.rows) for j in range(matrix.cols)), mp.mpf(0)))


def defined(features, labels, weight, bias, convention):
    """Every metric by its definition, sum by sum, in 50 digits."""
    samples, width = features.shape
    sizes = [int(n) for n in np.bincount(labels)]
    classes, total = len(sizes), mp.mpf(samples)
    h = [mp.matrix([mp.mpf(float(v)) for v in row]) for row in features]
    w = mp.matrix([[mp.mpf(float(v)) for v in row] for row in weight])
    b = [mp.mpf(float(v)) for v in bias]
    zero = mp.matrix(width, 1)
    means = [sum((h[i] for i in range(samples) if labels[i] == k), zero) / sizes[k] for k in range(classes)]
    of_means, of_samples = sum(means, zero) / classes, sum(h, zero) / total
    about = of_means if convention == "zhu2021" else of_samples
    share = [mp.mpf(n) / total if convention == "hongling2023" else mp.mpf(1) / classes for n in sizes]
    between, within = mp.matrix(width, width), mp.matrix(width, width)
    for k in range(classes):
        between += share[k] * (means[k] - about) * (means[k] - about).T
    for i in range(samples):
        within += (h[i] - means[labels[i]]) * (h[i] - means[labels[i]]).T / total
    values, vectors = mp.eigsy(between)
    inverse = mp.matrix(width, width)
    for j in range(width):
        if values[j] > mp.mpf(10) ** -30 * max(values):
            inverse += vectors[:, j] * vectors[:, j].T / values[j]
    product = within * inverse
    centre = of_samples if convention == "papyan2020" else of_means
    m = mp.matrix([[(means[k] - centre)[j] for j in range(width)] for k in range(classes)])
    raw = mp.matrix([[means[k][j] for j in range(width)] for k in range(classes)])
    simplex = mp.matrix(
        [[(mp.mpf(j == k) - mp.mpf(1) / classes) / mp.sqrt(classes - 1) for j in range(classes)] for k in range(classes)]
    )
    found = {
        "nc0": norm(sum((w[k, :] for k in range(classes)), mp.matrix(1, width))) / mp.sqrt(classes) / norm(w),
        "nc1": sum(product[j, j] for j in range(width)) / classes,
        "nc3": norm(w * m.T / norm(w * m.T) - simplex),
        "self_duality": norm(w / norm(w) - m / norm(m)),
    }
    spread = norm(m) ** 2 / classes
    own = [
        sum(norm(h[i] - means[k]) ** 2 for i in range(samples) if labels[i] == k) / sizes[k] / spread for k in range(classes)
    ]
    found |= {"variability": sum(own) / classes, "variability_min": min(own), "variability_max": max(own)}

    def cosine(rows, j, k):
        return (rows[j, :] * rows[k, :].T)[0] / norm(rows[j, :]) / norm(rows[k, :])

    for rows, plain, suffix in ((w, w, ""), (m, raw, "_means")):
        gram = rows * rows.T
        norms = [norm(rows[k, :]) for k in range(classes)]
        mean = sum(norms) / classes
        found["nc2" + suffix] = norm(gram / norm(gram) - simplex)
        found["equinorm" + suffix] = mp.sqrt(sum((n - mean) ** 2 for n in norms) / classes) / mean
        apart = [abs(cosine(rows, j, k) + mp.mpf(1) / (classes - 1)) for j in range(classes) for k in range(classes) if j != k]
        found["equiangular" + suffix] = sum(apart) / len(apart)
        sigma = [mp.sqrt(abs(v)) for v in mp.eigsy(gram, eigvals_only=True)]
        shares = [s / sum(sigma) for s in sigma if s > mp.mpf(10) ** -20 * max(sigma)]
        found["effective_rank" + suffix] = mp.exp(-sum(p * mp.log(p) for p in shares))
        large = [k for k in range(classes) if sizes[k] == max(sizes)]
        small = [k for k in range(classes) if sizes[k] == min(sizes)]
        crossed = small if large != small else []
        for name, one, two in (("cos_majority", large, large), ("cos_minority", small, small), ("cos_cross", large, crossed)):
            every = [cosine(plain, j, k) for j in one for k in two if j != k]
            found[name + suffix] = sum(every) / len(every) if every else mp.nan
        length = [norm(plain[k, :]) for k in range(classes)]
        found["norm_ratio" + suffix] = (sum(length[k] for k in large) / len(large)) / (
            sum(length[k] for k in small) / len(small)
        )
    differ = 0
    for i in range(samples):
        logits = [(w[k, :] * h[i])[0] + b[k] for k in range(classes)]
        distances = [norm(h[i] - means[k]) for k in range(classes)]
        differ += logits.index(max(logits)) != distances.index(min(distances))
    return {**found, "nc4": differ / total}


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("seed", "sizes", "width"), [(0, (7, 5, 3, 3), 6), (1, (4, 4, 4), 2), (2, (6, 6, 2, 2, 2), 3)])
def test_metrics_are_their_definitions_in_50_digits(seed, sizes, width, convention):
    features, labels, weight, bias = network(seed, sizes, width)
    found = ufm.measure(features, labels, weight=weight, bias=bias, convention=convention)
    expected = defined(features, labels, weight, bias, convention)
    assert set(found) == set(expected)
    assert 0 < expected["nc4"] < 1
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=1e-10, abs=1e-10, nan_ok=True), name


def test_conventions_have_short_names_and_differ_under_imbalance():
    features, labels, weight, bias = network(3, (30, 30, 4, 4))
    found = {
        name: ufm.measure(features, labels, weight=weight, bias=bias, convention=name)
        for name in (*CONVENTIONS, "zhu", "hong-ling")
    }
    assert found["zhu"] == found["zhu2021"]
    assert found["hong-ling"] == found["hongling2023"]
    assert len({found[name]["nc1"] for name in CONVENTIONS}) == 3
    assert found["papyan2020"]["self_duality"] != pytest.approx(found["zhu2021"]["self_duality"], rel=1e-3)
    assert found["hongling2023"]["self_duality"] == found["zhu2021"]["self_duality"]


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_rotation_relabelling_and_order(seed):
    rng = np.random.default_rng(seed)
    features, labels, weight, bias = network(seed)
    base = ufm.measure(features, labels, weight=weight, bias=bias)
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    names, order = rng.permutation(4), rng.permutation(len(labels))
    moved = ufm.measure(
        (features @ rotation)[order], np.argsort(names)[labels[order]], weight=(weight @ rotation)[names], bias=bias[names]
    )
    assert set(moved) == set(base)
    for name, value in base.items():
        assert moved[name] == pytest.approx(value, rel=1e-8, abs=1e-9, nan_ok=True), name
    np.testing.assert_allclose(moved.variability, base.variability[names], rtol=1e-9)
    np.testing.assert_allclose(moved.means, (base.means @ rotation)[names], rtol=1e-9, atol=1e-9)


@settings(max_examples=40)
@given(st.data())
def test_any_split_and_any_order_of_merging_is_one_pass(data):
    seed = data.draw(st.integers(0, 10**6))
    features, labels, weight, bias = network(seed, (9, 8, 4, 4), 5)
    options = {"weight": weight, "bias": bias, "convention": data.draw(st.sampled_from(CONVENTIONS))}
    whole = ufm.measure(features, labels, **options)
    cuts = sorted({0, len(labels), *data.draw(st.lists(st.integers(0, len(labels)), max_size=6))})
    batches = [slice(a, b) for a, b in pairwise(cuts)]
    owner = [data.draw(st.integers(0, 2)) for _ in batches]

    def together(parts):
        for part, batch in zip(owner, batches, strict=True):
            parts[part].update(features[batch], labels[batch])
        first, *others = [pickle.loads(pickle.dumps(parts[k])) for k in data.draw(st.permutations(range(3)))]
        for other in others:
            first.merge(other)
        return first

    first = together([ufm.Measurement(**options) for _ in range(3)])
    once = first.result()
    assert "nc4" not in once
    second = together([first.second_pass() for _ in range(3)])
    assert second.samples == first.samples == len(labels)
    twice = second.result()
    assert twice["nc4"] == whole["nc4"]
    for found in (once, twice):
        assert set(found) | {"nc4"} == set(whole)
        for name, value in found.items():
            assert value == pytest.approx(whole[name], rel=1e-9, abs=1e-10, nan_ok=True), name
        np.testing.assert_allclose(found.variability, whole.variability, rtol=1e-10)
        assert found.counts.tolist() == [9, 8, 4, 4]


def test_blocks_do_not_show():
    """More samples than a block has, in one call, against sums over everything at once."""
    features, labels, weight, bias = network(4, (900, 700, 400), 1500)
    found = ufm.measure(features.astype(np.float32), labels, weight=weight, bias=bias)
    means = np.array([features[labels == k].mean(axis=0) for k in range(3)])
    centred = means - means.mean(axis=0)
    within = features - means[labels]
    covariance = within.T @ within / len(labels)
    inverse = np.linalg.pinv(centred.T @ centred / 3, rcond=1e-10)
    assert found["nc1"] == pytest.approx(np.trace(covariance @ inverse) / 3, rel=1e-5)
    distances = ((features[:, None] - means) ** 2).sum(axis=2)
    assert found["nc4"] == np.mean(np.argmax(features @ weight.T + bias, axis=1) != np.argmin(distances, axis=1))
    # One pass with the scatter, and two without it.
    once = ufm.Measurement(weight=weight, bias=bias).update(features.astype(np.float32), labels).result()
    assert once["nc1"] == pytest.approx(found["nc1"], rel=1e-10)


@pytest.mark.parametrize("scale", [1e-290, 1e-60, 1e60, 1e290])
def test_batches_of_any_scale(scale):
    """The unit is chosen by the first entries that are not zero, and changed where later ones do not fit it."""
    features, labels, weight, bias = network(5)
    base = ufm.measure(features, labels, weight=weight, bias=0 * bias)
    grown = np.concatenate([0 * features[:2], 1e-200 * features, features]) * scale
    names = np.concatenate([labels[:2], labels, labels])
    parts = [ufm.Measurement(weight=weight), ufm.Measurement(weight=weight)]
    for start in range(0, len(names), 5):
        parts[start % 2].update(grown[start : start + 5], names[start : start + 5])
    one = ufm.measure(grown, names, weight=weight)
    for found in (parts[0].merge(parts[1]).result(), parts[0].result()):
        for name in found:
            assert found[name] == pytest.approx(one[name], rel=1e-9, abs=1e-10, nan_ok=True), name
    again = ufm.measure(scale * features, labels, weight=weight, bias=0 * bias)
    for name, value in base.items():
        assert again[name] == pytest.approx(value, rel=1e-11, abs=1e-12, nan_ok=True), name


@pytest.mark.parametrize("offset", [0.0, 1.0, 30.0])
def test_collapsed_float32_features_keep_their_nc1(offset):
    """NC1 of about 5e-11 far below the rounding of float32 products, against 50 digits of the same numbers."""
    rng = np.random.default_rng(6)
    labels = np.repeat(np.arange(4), 8)
    exact = ufm.simplex_etf(4, 6)[labels] + 7e-6 * rng.standard_normal((32, 6)) + offset
    features = exact.astype(np.float32)
    expected = defined(features.astype(np.float64), labels, np.ones((4, 6)), np.zeros(4), "zhu2021")["nc1"]
    assert 1e-12 < expected < 1e-9
    once = ufm.Measurement()
    for batch in np.array_split(np.arange(32), 5):
        once.update(features[batch], labels[batch])
    assert ufm.measure(features, labels)["nc1"] == pytest.approx(float(expected), rel=1e-8)
    assert once.result()["nc1"] == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_float32_agrees_with_float64(spread):
    features, labels, weight, bias = network(7, (400, 300, 300, 200), 32, spread)
    double = ufm.measure(features, labels, weight=weight, bias=bias)
    single = ufm.measure(features.astype(np.float32), labels, weight=weight.astype(np.float32), bias=bias.astype(np.float32))
    for name, value in double.items():
        assert single[name] == pytest.approx(value, rel=1e-4, abs=1e-4, nan_ok=True), name


KINDS = {
    "gaps": lambda y: np.array([3, 10, 11, 400])[y],
    "huge": lambda y: np.array([3, 10, 11, 2**40])[y],
    "one-based": lambda y: y + 1,
    "whole floats": lambda y: y.astype(float),
    "text": lambda y: np.array(["ant", "bee", "cat", "dog"])[y],
    "bytes": lambda y: np.array([b"ant", b"bee", b"cat", b"dog"])[y],
    "objects": lambda y: np.array(["ant", "bee", "cat", "dog"], dtype=object)[y],
    "list": lambda y: [int(k) for k in y],
    "one-hot": lambda y: np.eye(4, dtype=np.int8)[y],
    "one-hot booleans": lambda y: np.eye(4, dtype=bool)[y],
    "series": lambda y: pd.Series(np.array(["ant", "bee", "cat", "dog"], dtype=object)[y]),
    "categories": lambda y: pd.Series(pd.Categorical.from_codes(y, ["dog", "ant", "cat", "bee"])),
    "categorical": lambda y: pd.Categorical.from_codes(y, ["dog", "ant", "cat", "bee"]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [True, False])
def test_labels_of_any_kind(kind, weighted):
    features, labels, weight, bias = network(8)
    options = {"weight": weight, "bias": bias} if weighted else {}
    base = ufm.measure(features, labels, **options)
    given_labels = KINDS[kind](labels)
    found = ufm.measure(features, given_labels, **options)
    assert found == pytest.approx(base, nan_ok=True)
    assert found.counts.tolist() == base.counts.tolist() == [6, 6, 3, 3]
    halves = ufm.Measurement(**options)
    for part in (np.arange(9, 18), np.arange(9)):  # other classes appear first
        batch = given_labels.iloc[part] if isinstance(given_labels, pd.Series) else np.asarray(given_labels)[part]
        batch = given_labels[part] if kind == "categorical" else batch
        halves.update(features[part], batch)
    assert halves.result().classes == found.classes
    assert halves.result()["nc1"] == pytest.approx(base["nc1"], rel=1e-10)


def test_classes_can_be_named():
    features, labels, weight, bias = network(9)
    names = ["zebra", "ant", "yak", "bee"]
    base = ufm.measure(features, labels, weight=weight, bias=bias)
    for given_labels in (labels, np.array(names)[labels], np.eye(4)[labels]):
        found = ufm.measure(features, given_labels, weight=weight, bias=bias, classes=names)
        assert found == base
        assert found.classes == names
    assert base.classes == [0, 1, 2, 3]
    numbers = ufm.measure(features, np.array([7, -1, 0, 5])[labels], weight=weight, bias=bias, classes=[7, -1, 0, 5])
    assert numbers == base
    sorted_names = ufm.measure(features, np.array(names)[labels])  # without names: sorted
    assert sorted_names.classes == ["ant", "bee", "yak", "zebra"]
    assert sorted_names.counts.tolist() == [6, 3, 3, 6]


GOOD = network(10)


@pytest.mark.parametrize(
    ("labels", "options", "said"),
    [
        (np.zeros(18, int), {}, "one class only"),
        (np.zeros(18, int), {"weight": GOOD[2]}, "class 1 has no sample"),
        (GOOD[1][:-1], {}, "do not fit"),
        (np.where(GOOD[1] == 3, -1, GOOD[1]), {}, "label -1 is negative"),
        (np.where(GOOD[1] == 3, 2, GOOD[1]), {"weight": GOOD[2]}, "class 3 has no sample"),
        (np.where(GOOD[1] == 3, 9, GOOD[1]), {"weight": GOOD[2][:3]}, "labels reach 9"),
        (GOOD[1] + 0.5, {}, "whole numbers"),
        (np.where(GOOD[1] == 3, np.nan, GOOD[1]), {}, "whole numbers"),
        (np.array([None] * 18), {}, "dtype object"),
        (np.zeros((18, 4)), {}, "one-hot"),
        (np.ones((18, 4)), {}, "one-hot"),
        (np.zeros((18, 2, 2)), {}, "shape"),
        (np.array(["a", "b", "c", "d"])[GOOD[1]], {"classes": ["a", "b", "c", "e"]}, "none of the 4 classes"),
        (GOOD[1], {"classes": ["a", "b", "c"]}, "3 classes are named"),
        (GOOD[1], {"classes": ["a", "b", "c", "d", "e"]}, "'e' has no sample"),
        (GOOD[1], {"classes": ["a", "b", "c", "c"]}, "more than once"),
        (GOOD[1], {"classes": "abcd"}, "list of names"),
        (pd.Categorical.from_codes([-1, *GOOD[1][1:]], list("abcd")), {}, "1 are missing"),
        (GOOD[1], {"bias": GOOD[3]}, "needs a weight"),
        (GOOD[1], {"weight": GOOD[2][:, :5]}, "columns"),
        (GOOD[1], {"weight": GOOD[2], "bias": GOOD[3][:2]}, "bias"),
        (GOOD[1], {"weight": np.array([[None]])}, "real numbers"),
        (GOOD[1], {"convention": "papyan"}, "papyan2020"),
    ],
)
def test_labels_and_classifiers_that_do_not_fit_are_one_sentence(labels, options, said):
    with pytest.raises(ufm.InputError, match=said):
        ufm.measure(GOOD[0], labels, **options)


def test_entries_that_are_no_numbers_are_counted_and_placed():
    features, labels, _, _ = network(11, (900, 700, 400), 1100)  # two blocks
    features[1950, 7], features[1960:1962, 3] = np.nan, np.inf
    with pytest.raises(ufm.InputError, match=r"3 entries .* at \[1950, 7\]"):
        ufm.measure(features, labels)
    features[100, 2] = -np.inf
    with pytest.raises(ufm.InputError, match=r"4 entries .* at \[100, 2\]"):
        ufm.measure(features, labels)
    with pytest.raises(ufm.InputError, match=r"1 entry .* at \[1\]"):
        ufm.measure(features[:3], labels[:3], weight=np.ones((3, 1100)), bias=[0, np.nan, 0])
    with pytest.raises(ufm.InputError, match="dtype object"):
        ufm.measure(np.array([[1, "a"]] * 4, dtype=object), [0, 0, 1, 1])


def test_measurements_that_do_not_belong_together():
    features, labels, weight, bias = network(12)
    base = ufm.Measurement(weight=weight).update(features, labels)
    for other, said in (
        (ufm.Measurement(weight=weight, convention="papyan2020"), "convention"),
        (ufm.Measurement(weight=2 * weight), "weight"),
        (ufm.Measurement(weight=weight, bias=bias), "bias"),
        (ufm.Measurement(weight=weight, scatter=False), "scatter"),
        (base.second_pass(), "second pass"),
        (ufm.Measurement(weight=weight, classes=list("abcd")), "classes"),
    ):
        with pytest.raises(ufm.InputError, match=said):
            base.merge(other)
    with pytest.raises(ufm.InputError, match="columns"):
        base.update(features[:, :5], labels)
    with pytest.raises(ufm.InputError, match="text"):
        base.update(features, np.array(list("abcd"))[labels])
    with pytest.raises(ufm.InputError, match="no samples"):
        ufm.Measurement().result()
    again = base.second_pass().update(features[:9], labels[:9])
    with pytest.raises(ufm.InputError, match="same batches"):
        again.result()
    with pytest.raises(ufm.InputError, match="already"):
        again.second_pass()
    with pytest.raises(ufm.InputError, match="first passes"):
        again.merge(ufm.Measurement(weight=weight).update(features + labels[:, None], labels).second_pass())
    unseen = ufm.Measurement(scatter=False).update(features, labels).result()
    assert np.isnan(unseen["nc1"])
    assert np.isnan(unseen["variability"])


def test_constant_features_have_no_nc1():
    found = ufm.measure(np.full((6, 3), 0.1), [0, 0, 1, 1, 2, 2])
    assert np.isnan(found["nc1"])
    assert np.isnan(found["variability"])


@pytest.mark.parametrize("order", ["C", "F"])
def test_files_are_measured_as_arrays_are(tmp_path, order):
    features, labels, weight, bias = network(13, (400, 400, 200, 200), 40)
    features = np.asarray(features.astype(np.float32), order=order)
    expected = ufm.measure(features, labels, weight=weight, bias=bias)
    np.save(tmp_path / "f.npy", features)
    np.savez(tmp_path / "plain.npz", features=features)
    np.savez_compressed(tmp_path / "small.npz", features=features)
    for mode in ("r", "c", "r+"):
        mapped = np.load(tmp_path / "f.npy", mmap_mode=mode)
        if mode == "c":
            mapped[:2] = features[:2] + 1  # private pages that must not be lost
        found = ufm.measure(mapped, labels, weight=weight, bias=bias)
        if mode == "c":
            assert np.array_equal(mapped[:2], features[:2] + 1)
        assert (found == expected) is (mode != "c")
    for rows in (
        Stored(tmp_path / "f.npy"),
        Stored(tmp_path / "plain.npz", "features"),
        Stored(tmp_path / "small.npz", "features"),
    ):
        assert ufm.measure(rows, labels, weight=weight, bias=bias) == expected
        assert np.array_equal(rows.whole(), features)


def test_damaged_files_are_one_sentence(tmp_path):
    np.save(tmp_path / "f.npy", np.ones((40, 30)))
    (tmp_path / "short.npy").write_bytes((tmp_path / "f.npy").read_bytes()[:-9])
    (tmp_path / "text.npy").write_text("no arrays")
    np.save(tmp_path / "objects.npy", np.array([[None]]), allow_pickle=True)
    np.savez(tmp_path / "a.npz", other=np.ones(3))
    with pytest.raises(ufm.InputError, match="too early"):
        Stored(tmp_path / "short.npy").whole()
    for name, entry, said in (
        ("text.npy", None, r"numpy\.save"),
        ("objects.npy", None, "Python objects"),
        ("absent.npy", None, "No such file"),
        ("text.npy", "features", "npz"),
        ("a.npz", "features", "npz"),
    ):
        with pytest.raises(ufm.InputError, match=said):
            Stored(tmp_path / name, entry)
    assert zipfile.is_zipfile(tmp_path / "a.npz")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_pages_of_a_mapped_file_do_not_stay_resident(tmp_path):
    """256 MB of features, of which less than half may ever be in memory; in a process of its own."""
    import subprocess

    features = np.lib.format.open_memmap(tmp_path / "f.npy", mode="w+", dtype=np.float32, shape=(2**20, 64))
    rng = np.random.default_rng(14)
    for start in range(0, 2**20, 2**16):
        features[start : start + 2**16] = rng.standard_normal((2**16, 64), dtype=np.float32)
    features.flush()
    code = (
        "import sys, numpy as np, ufm\n"
        "def peak():\n"
        "    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "features = np.load(sys.argv[1], mmap_mode='r')\n"
        "labels = np.arange(2**20, dtype=np.int32) % 10\n"
        "ufm.measure(features[:9], labels[:9] % 2)\n"
        "before = peak()\n"
        "ufm.measure(features, labels)\n"
        "print((peak() - before) / 1024)\n"
    )
    out = subprocess.run([sys.executable, "-c", code, tmp_path / "f.npy"], capture_output=True, text=True, check=True).stdout
    assert 0 < float(out) < 180


def test_one_hot_labels_without_rows_or_columns_are_refused():
    for shape in ((0, 0), (0, 3), (4, 0), (4, 1)):
        with pytest.raises(ufm.InputError, match=r"labels|features"):
            ufm.measure(np.zeros((shape[0], 2)), np.zeros(shape, dtype=int))


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="a device that never ends, which Windows does not have")
def test_a_file_without_an_end_is_refused():
    from ufm.metrics.stored_network import StoredNetwork

    with pytest.raises(ufm.InputError, match="is a device or a pipe"):
        StoredNetwork.of(Path("/dev/zero"))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_labels_that_are_whole_floats_are_labels_in_every_precision(kind):
    features = np.random.default_rng(0).standard_normal((6, 3))
    labels = np.array([0, 0, 1, 1, 2, 2])
    found, whole = ufm.measure(features, labels.astype(kind)), ufm.measure(features, labels)
    assert dict(found) == pytest.approx(dict(whole), rel=1e-15, nan_ok=True)
