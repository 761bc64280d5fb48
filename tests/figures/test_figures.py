"""Every figure draws from quick data, shows what it claims, and is written as the same bytes twice."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from figures.registry import all_figures, select
from ufm.errors import InputError
from ufm.plot import save
from ufm.plot.matrices import principal

ALL = all_figures()


@pytest.fixture(scope="module")
def quick():
    """Quick data of a figure, computed once."""
    known = {}

    def data(name):
        if name not in known:
            known[name] = ALL[name]().data(quick=True, report=lambda what: None)
        return known[name]

    return data


def test_the_list_is_complete():
    assert set(ALL) == {
        "budgets", "decay_phase", "deq_phase", "epochs", "features", "free_features", "idea", "layernorm_phase", "long_tail",
        "networks", "phase",
        "remedies",
    }  # fmt: skip
    from ufm.sweep import ready_names

    assert len(ready_names()) == 8  # one figure each; epochs, features, free_features and idea need none
    for plot in ALL.values():
        assert plot.__doc__
        assert plot.title
    with pytest.raises(InputError, match="no figure"):
        select(["tsne"])


@pytest.mark.parametrize("name", sorted(ALL))
def test_draws_and_saves_the_same_vectors_twice(name, quick, tmp_path):
    plot = ALL[name]()
    paths = [save(plot.drawn(quick(name), quick=True), tmp_path / part, name) for part in ("a", "b")]
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first.startswith(b"%PDF")
    drawn = plot.drawn(quick(name), quick=True)
    assert isinstance(drawn, Figure)
    assert "quick" in drawn.get_suptitle()
    assert plot.drawn(quick(name), quick=False).get_suptitle() == ""
    for axis in drawn.axes:
        assert axis.get_xlabel() or axis.get_ylabel() or axis.get_images()


def test_epochs_shows_every_seed_and_the_theory(quick):
    balanced, imbalanced = quick("epochs")
    assert balanced.settings.counts.ratio == 1
    assert imbalanced.settings.classes == (3, 7)
    for curves in (balanced, imbalanced):
        assert curves.theory is not None
        for columns in curves.runs.values():
            assert {v.shape for v in columns.values()} == {(2, 12)}
            assert columns["accuracy"].max() <= 1
    assert balanced.theory.metrics["nc2"] == pytest.approx(0, abs=1e-6)
    assert imbalanced.theory.metrics["nc2"] > 0.1


def test_free_features_end_at_the_optimum_on_either_side_only(quick):
    below, band, above = quick("free_features")
    assert below.ratio < band.ratio < above.ratio
    assert below.paths[0].loss[-1] - below.optimum < 1e-6
    assert above.paths[0].loss[-1] - above.optimum < 1e-6
    assert above.cosine == pytest.approx(1.0)
    assert band.paths[0].loss[-1] - band.optimum > 1e-3


def test_phase_diagrams_change_colour_at_the_exact_boundary(quick):
    """On either side of the line, a grid step away from it: collapsed (or no classifier) and not."""
    for name, above in (("phase", False), ("deq_phase", False), ("decay_phase", True)):
        found = quick(name)
        x, y = found.boundary
        for column, ratio in enumerate(found.x):
            if not x.min() <= ratio <= x.max():
                continue
            limit = np.interp(ratio, x, y)
            inside = found.y < limit if not above else found.y > limit
            step = np.abs(found.y - limit) > 1e-9 * limit
            collapsed = ~(found.cosine[:, column] < 1.0 - 1e-9)  # NaN: no classifier at all
            assert (collapsed[step] == inside[step]).all(), (name, ratio)


def test_curves_pass_through_the_certified_points(quick):
    for curve in quick("budgets"):
        there = np.isfinite(curve.cosine)
        fine = np.interp(curve.ratio[there], *curve.fine)
        assert fine == pytest.approx(curve.cosine[there], abs=0.03)
        assert np.nanmax(np.abs(curve.cosine)) <= 1.0
        assert (curve.cosine[there & (curve.ratio > curve.threshold)] == 1.0).all()


def test_features_repeat_the_certified_means_in_class_order(quick):
    explicit, deq, theory = quick("features")
    assert explicit.features.shape == deq.features.shape
    for k in range(10):
        assert np.ptp(theory.features[theory.labels == k], axis=0).max() == 0


def test_principal_components_do_not_depend_on_a_rotation():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((30, 5)) * np.array([5.0, 3.0, 1.0, 0.5, 0.1])
    rotation = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    first, second = principal(features), principal(features @ rotation)
    assert np.abs(first) == pytest.approx(np.abs(second), abs=1e-10)
    assert first.var(axis=0)[0] >= first.var(axis=0)[1]


def test_the_command_line(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "figures"]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True, timeout=120, check=True).stdout
    assert all(name in listed for name in ALL)
    done = subprocess.run(
        [*command, "features", "--quick", "--out", str(tmp_path / "new"), "--format", "svg"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "new" / "features.svg").exists()
    (tmp_path / "file").write_text("")
    for bad in (["nothing"], ["--format", "gif"], ["free_features", "--quick", "--out", str(tmp_path / "file")]):
        done = subprocess.run([*command, *bad], capture_output=True, text=True, timeout=120)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1


def test_remedies_shows_which_one_moves_the_threshold(quick):
    data = quick("remedies")
    x, y = data["ce:adjustment"].fine
    assert y == pytest.approx(np.full(len(x), 7.0))  # n_B = 100, mu = .0025: (1 / (sqrt(n_B) mu) - K_B) / K_A = 7
    x, y = data["ce:smoothing"].fine
    assert y == pytest.approx(8.0 * (1.0 - x) - 1.0)  # ((1 - eps) / (sqrt(n_B) mu) - K_B) / K_A
    weights = data["ce:weights"]
    a, ratio = weights.fine[0][-1], weights.fine[1][-1]
    # The majority's condition: w_A sqrt(n_A) = mu (5 w_A n_A + 5 w_B n_B) with w = n^-a, n_A = 100 R, n_B = 100.
    large = 100.0 * ratio
    assert large ** (0.5 - a) == pytest.approx(2.5e-3 * 5 * (large ** (1 - a) + 100.0 ** (1 - a)))
    assert not weights.majority[0]
    assert weights.majority[-1]
    for kind, curve in data.items():
        assert len(curve.strength) > 0
        assert curve.certified.all() == (kind != "focal:gamma")
        assert curve.ratio == pytest.approx(np.interp(curve.strength, *curve.fine), rel=0.05)


def test_layernorm_phase_changes_colour_at_the_thresholds(quick):
    data = quick("layernorm_phase")
    for phase in data:
        x, y = phase.boundary
        for row, decay in zip(phase.cosine, phase.y, strict=True):
            order = np.argsort(y)
            threshold = float(np.exp(np.interp(np.log(decay), np.log(y[order]), np.log(x[order]), np.nan, np.nan)))
            if not np.isfinite(threshold):
                continue
            separated, collapsed = phase.x < 0.97 * threshold, phase.x > 1.03 * threshold
            assert np.all(row[separated] < 1.0 - 1e-6)
            # Minority classifiers are one, or zero.
            assert np.all(np.isnan(row[collapsed]) | (row[collapsed] > 1.0 - 1e-9))
