"""The command that measures: files of every form, and bad ones in one sentence with nothing written."""

import json
import os
import re

import numpy as np
import pytest

import ufm
from ufm.cli import outcome
from ufm.cli.commands import app

SIZES = [12, 12, 5, 5]
LABELS = np.repeat(np.arange(4), SIZES)
NAMES = np.array(["zebra", "ant", "yak", "bee"])


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((4, 6))
    features = weight[LABELS] + 0.3 * rng.standard_normal((len(LABELS), 6))
    return {"features": features.astype(np.float32), "labels": LABELS, "weight": weight, "bias": rng.standard_normal(4)}


def asked(path, capsys, *options):
    assert outcome(app, "ufm", ["measure", str(path), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("convention", ["zhu2021", "papyan2020", "hongling2023"])
def test_archives_and_folders_give_the_metrics_of_the_arrays(tmp_path, capsys, convention):
    given = arrays()
    expected = ufm.measure(**given, convention=convention)
    np.savez(tmp_path / "plain.npz", **given, other=np.ones(3))
    np.savez_compressed(tmp_path / "small.npz", **given)
    np.savez(tmp_path / "hot.npz", **{**given, "labels": np.eye(4, dtype=np.uint8)[LABELS]})
    np.savez(tmp_path / "named.npz", **{**given, "labels": NAMES[LABELS]}, classes=NAMES)
    (tmp_path / "folder").mkdir()
    for name, array in given.items():
        np.save(tmp_path / "folder" / f"{name}.npy", array)
    for name in ("plain.npz", "small.npz", "hot.npz", "named.npz", "folder"):
        found = asked(tmp_path / name, capsys, "--convention", convention)
        per_class, ranges = found.pop("per_class"), found.pop("ranges")
        assert ranges == (expected.ranges(weight=given["weight"]) if len({*SIZES}) > 2 else [])
        assert found == expected
        assert [row["class"] for row in per_class] == (NAMES.tolist() if name == "named.npz" else [0, 1, 2, 3])
        assert [row["size"] for row in per_class] == SIZES
        assert [row["variability"] for row in per_class] == expected.variability.tolist()


def nothing(at):
    (at / "x").write_text("")


def save(**changes):
    def write(at):
        kept = {name: value for name, value in {**arrays(), **changes}.items() if value is not None}
        with (at / "x").open("wb") as stream:
            np.savez(stream, **kept)

    return write


def folder(at):
    (at / "x").mkdir()
    np.save(at / "x" / "logits.npy", np.ones(3))


def one(at):
    with (at / "x").open("wb") as stream:
        np.save(stream, np.ones(3))


def broken(at):
    save()(at)
    content = bytearray((at / "x").read_bytes())
    content[400:460] = bytes(60)  # inside the features, so that the checksum is wrong
    (at / "x").write_bytes(bytes(content))


def with_nan():
    features = arrays()["features"]
    features[5, 2] = np.nan
    features[7, 1] = np.inf
    return features


BAD = {
    "absent": (lambda at: None, "No such file"),
    "empty": (nothing, "not an .npz"),
    "text": (lambda at: (at / "x").write_text("features, labels"), "not an .npz"),
    "one array": (one, "not an .npz"),
    "damaged": (broken, "damaged"),
    "folder": (folder, "no array 'features', but 'logits'"),
    "missing": (save(labels=None), "no array 'labels', but 'features', 'weight', 'bias'"),
    "objects": (save(features=np.array([[None] * 6] * 34)), "Python objects"),
    "shapes": (save(labels=LABELS[:-1]), r"features \(34, 6\) and labels \(33,\)"),
    "weight": (save(weight=np.ones((4, 5))), "columns"),
    "one class": (save(labels=0 * LABELS, weight=None, bias=None), "one class only"),
    "no sample": (save(labels=np.minimum(LABELS, 2)), "class 3 has no sample"),
    "one sample": (save(labels=np.append(np.minimum(LABELS[:-1], 2), 3)), "class 3 has one sample only"),
    "constant": (save(features=np.full((34, 6), 0.1)), "all the same vector"),
    "NaN": (save(features=with_nan()), r"2 entries .* the first is at \[5, 2\]"),
    "text features": (save(features=np.full((34, 6), "a")), "real numbers"),
    "dates": (save(labels=LABELS.astype("datetime64[s]")), "datetime64"),
    "classes": (save(classes=NAMES[:3]), "3 classes are named"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_one_sentence_and_nothing_is_written(kind, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write, said = BAD[kind]
    write(tmp_path)
    before = sorted(os.walk(tmp_path))
    assert outcome(app, "ufm", ["measure", "x", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert re.search(said, err), err
    assert sorted(os.walk(tmp_path)) == before


@pytest.mark.parametrize("kind", ["pdf", "svg", "png"])
@pytest.mark.parametrize("predict", [True, False])
def test_a_picture_is_drawn(tmp_path, capsys, kind, predict):
    np.savez(tmp_path / "x.npz", **arrays())
    files = [tmp_path / f"{name}.{kind}" for name in ("one", "two")]
    options = ["--predict", "--decay", "5e-3,5e-3"] if predict else []
    for file in files:
        asked(tmp_path / "x.npz", capsys, "--plot", str(file), *options)
    assert files[0].stat().st_size > 5000
    assert files[0].read_bytes()[:4] in (b"%PDF", b"<?xm", b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"x.npz", *(file.name for file in files)}


def test_a_picture_shows_the_matrices():
    given = arrays()
    found = ufm.measure(**given)
    theory = ufm.predict(ufm.Problem(SIZES, regularizer=ufm.WeightDecay(5e-3, 5e-3)))
    figure = ufm.plot.network(found, given["weight"], theory)
    shown = {axis.get_title(): axis.images[0].get_array() for axis in figure.axes if axis.images and axis.get_title()}
    gram = given["weight"] @ given["weight"].T
    np.testing.assert_allclose(shown["classifiers, measured"], gram / np.linalg.norm(gram))
    np.testing.assert_allclose(shown["class means, predicted"], theory.means / np.linalg.norm(theory.means))
    far = np.linalg.norm(shown["logits of class means, difference"])
    assert far == pytest.approx(theory.distance_of_means(found.means, given["weight"])["to_theory_logits"])
    assert len(shown) == 9
    assert len([axis for axis in ufm.plot.network(found, given["weight"]).axes if axis.images]) == 3
    for bad in (given["weight"][:3], given["weight"][:, :3]):
        with pytest.raises(ufm.InputError, match="shape"):
            ufm.plot.network(found, bad)


def test_ranges_of_sizes_are_those_of_brute_force(tmp_path, capsys):
    rng = np.random.default_rng(3)
    sizes = [150, 120, 60, 40, 22, 12, 9]
    labels = np.repeat(np.arange(7), sizes)
    features = rng.standard_normal((7, 9))[labels] + 0.1 * rng.standard_normal((len(labels), 9))
    weight = rng.standard_normal((7, 9))
    np.savez(tmp_path / "x.npz", features=features, labels=labels, weight=weight)
    found = asked(tmp_path / "x.npz", capsys)
    chosen = {"many": (0, 1), "medium": (2, 3, 4), "few": (5, 6)}
    assert [part["range"] for part in found["ranges"]] == list(chosen)
    means = np.array([features[labels == k].mean(axis=0) for k in range(7)])
    spread = np.sum((means - means.mean(axis=0)) ** 2) / 7
    for part in found["ranges"]:
        inside = chosen[part["range"]]
        assert (part["largest"], part["smallest"], part["classes"]) == (sizes[inside[0]], sizes[inside[-1]], len(inside))
        for suffix, rows in (("", weight), ("_means", means)):
            norms = np.linalg.norm(rows, axis=1)
            table = rows @ rows.T / np.outer(norms, norms)
            assert part[f"cosine{suffix}"] == pytest.approx(np.mean([table[j, k] for j in inside for k in inside if j != k]))
            assert part[f"neighbours{suffix}"] == pytest.approx(min(table[k, k + 1] for k in inside[:-1]))
            assert part[f"norm{suffix}"] == pytest.approx(norms[list(inside)].mean() / norms[0])
        within = [np.mean(np.sum((features[labels == k] - means[k]) ** 2, axis=1)) / spread for k in inside]
        assert part["variability"] == pytest.approx(np.mean(within))
    (one,) = asked(tmp_path / "x.npz", capsys, "--groups", "top=100+")["ranges"]
    assert one == found["ranges"][0] | {"range": "top"}
    theory = ufm.predict(ufm.Problem(sizes, regularizer=ufm.WeightDecay(1e-3, 1e-3)))
    figure = ufm.plot.network(ufm.measure(features, labels, weight=weight), weight, theory)
    (axis,) = [axis for axis in figure.axes if axis.get_title() == "classifiers: cosines by class size"]
    assert [label.get_text() for label in axis.get_xticklabels()] == list(chosen)
    # Two sizes have majority and minority instead.
    np.savez(tmp_path / "y.npz", **arrays())
    assert asked(tmp_path / "y.npz", capsys)["ranges"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--groups", "many"], "groups is"),
        (["--groups", "a=5"], "write A-B"),
        (["--groups", "a=100000+", "--plot", "y.pdf"], "no range with a class"),
        (["--plot", "x.jpg"], "ends in"),
        (["--plot", "nowhere/x.pdf"], "cannot be written"),
        (["--plot", "y.pdf", "--predict", "--decay", "0,0"], "decay"),
        (["--plot", "y.pdf", "--convention", "x"], "convention"),
    ],
)
def test_pictures_that_cannot_be_drawn_leave_nothing(options, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", **arrays())
    assert outcome(app, "ufm", ["measure", "x.npz", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]
