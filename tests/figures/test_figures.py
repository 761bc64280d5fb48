"""Every figure draws from quick data, shows what it claims, and is written as the same bytes twice."""

import inspect
import re
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from threadpoolctl import threadpool_info, threadpool_limits

import figures.sweeps
import ufm
from figures.accuracy import MEASURES, Accuracies
from figures.agreement import difference
from figures.depth_codes import DEPTHS, Tried, direct_sums
from figures.penalties import HEADS
from figures.registry import QUICK, all_figures, select
from figures.storage import Stored, clear, keep, key_of, pack, place, recall, workspace
from figures.sweeps import swept, trained
from ufm.errors import InputError
from ufm.plot import save
from ufm.plot.matrices import principal
from ufm.plot.saving import style
from ufm.sweep import Spec, Store
from ufm.training import Settings

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
        "accuracy", "blocks", "budgets", "decay_phase", "depth_codes", "deq_phase", "epochs", "etf_window", "features",
        "free_features", "idea", "jump", "layernorm_phase", "long_tail", "networks", "penalties", "phase", "remedies", "routes",
        "seli_path", "tail_ranges", "trajectories",
    }  # fmt: skip
    from ufm.sweep import ready_names

    assert len(ready_names()) == 9  # one figure each; the others need none
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
    assert balanced.ratio == 1
    assert imbalanced.ratio == 10
    for curves in (balanced, imbalanced):
        for columns in curves.runs.values():
            assert {v.shape for v in columns.values()} == {(2, 12)}
            assert columns["accuracy"].max() <= 1
    assert balanced.theory["nc2"] == pytest.approx(0, abs=1e-6)
    assert imbalanced.theory["nc2"] > 0.1


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


def test_long_tailed_norm_ratios_approach_the_seli_limit_from_above(quick):
    """The limit is that of certified optima at a decay of 1e-12, up to the logarithmic approach."""
    data = quick("long_tail")
    decays = sorted(data.found, reverse=True)
    for larger, smaller in pairwise(decays):
        there = np.isfinite(data.found[larger]) & (data.ratio > 1)
        assert (data.found[smaller][there] < data.found[larger][there] * (1 + 1e-9)).all()
    assert (data.limit < data.found[decays[-1]] * (1 + 1e-9)).all()
    # The logits grow like x = log(1 / decay), so the approach is as L + a / (x + b), which three equidistant x determine
    # (Thiele's reciprocal differences).
    last = ufm.long_tailed(10, largest=10_000, ratio=float(data.ratio[-1]))
    r = []
    for decay in (1e-9, 1e-11, 1e-13):
        norms = np.linalg.norm(
            ufm.solve(ufm.Problem(last, regularizer=ufm.WeightDecay(decay, decay))).parameters.weight, axis=1
        )
        r.append(norms[0] / norms[-1])
    extrapolated = r[1] + 2.0 / (1.0 / (r[2] - r[1]) - 1.0 / (r[1] - r[0]))
    assert extrapolated == pytest.approx(data.limit[-1], rel=0.02)


def test_principal_components_do_not_depend_on_a_rotation():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((30, 5)) * np.array([5.0, 3.0, 1.0, 0.5, 0.1])
    rotation = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    first, second = principal(features), principal(features @ rotation)
    assert np.abs(first) == pytest.approx(np.abs(second), abs=1e-10)
    assert first.var(axis=0)[0] >= first.var(axis=0)[1]


@pytest.mark.parametrize("name", sorted(ALL))
def test_stored_data_are_the_data(name, quick, tmp_path):
    path = tmp_path / "x.npz"
    keep(path, Stored(quick(name), "key", 1.5, 2.5))
    found = recall(path)
    assert found.key == "key"
    assert found.seconds == 1.5
    assert type(found.data) is type(quick(name))
    assert difference(found.data, quick(name)).value == 0
    assert ALL[name]().drawn(found.data, quick=False).axes


def test_a_difference_is_found_wherever_it_is():
    class Part(NamedTuple):
        x: np.ndarray
        seconds: float
        text: str = "a"

    stored = {"a": [Part(np.array([1.0, np.nan, 4.0]), 1.0)]}

    def apart(part):
        return difference(stored, {"a": [part]}, ("seconds",))

    same = stored["a"][0]
    assert apart(same._replace(seconds=2.0)).value == 0
    assert apart(same._replace(x=np.array([1.0, np.nan, 5.0]))) == (0.2, "a.0.x")
    for x in (np.array([1.0, 2.0, 4.0]), np.array([1.0, np.nan]), np.array([1.0, np.inf, 4.0]), np.array([1, 2, 4])):
        assert apart(same._replace(x=x)).value == np.inf
    assert apart(same._replace(text="b")).value == np.inf
    assert difference(stored, {"a": []}).value == np.inf
    assert difference({"a": 1}, {"b": 1}).value == np.inf


def test_damaged_and_foreign_files_are_no_stored_data(tmp_path):
    path = tmp_path / "x.npz"
    assert recall(path) is None
    keep(path, Stored([1.0], "key", 2.0, 3.0))
    assert recall(path) == ([1.0], "key", 2.0, 3.0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert recall(path) is None
    for foreign in (
        '{"named": "os:stat_result", "fields": []}',
        '{"named": "ufm.errors:InputError", "fields": []}',
        '{"x": 1}',
    ):
        np.savez(path, structure=np.array(f'{{"key": "", "seconds": 0, "processor": 0, "data": {foreign}}}'))
        assert recall(path) is None
    with pytest.raises(TypeError, match="object"):
        pack([object()])


def test_the_key_counts_what_computes_and_not_what_draws(tmp_path, monkeypatch):
    plot = ALL["long_tail"]
    source = Path(inspect.getfile(plot)).read_text()
    keys = []
    for old, new in (
        ("", ""),
        ("ncols=4", "ncols=2"),
        ("Long-tailed class sizes", "Sizes"),
        ("largest=10_000", "largest=9_999"),
    ):
        path = tmp_path / "changed.py"
        path.write_text(source.replace(old, new) if old else source)
        monkeypatch.setattr("figures.storage.inspect.getfile", lambda kind, path=path: path)
        keys.append(key_of(plot, quick=True))
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]
    assert key_of(plot, quick=False) != keys[3]


def test_legends_cover_no_data(quick):
    """No vertex of a line lies under a legend that is inside its panel."""
    covered = []
    for name, plot in ALL.items():
        drawn = plot().drawn(quick(name), quick=False)
        canvas = FigureCanvasAgg(drawn)
        with style():
            canvas.draw()
        boxes = [legend.get_window_extent() for axis in drawn.axes if (legend := axis.get_legend())]
        boxes += [legend.get_window_extent() for legend in drawn.legends]
        for axis in drawn.axes:
            frame = axis.get_window_extent()
            for line in axis.get_lines():
                if line.get_transform() != axis.transData or len(line.get_xdata()) == 0:
                    continue
                points = line.get_transform().transform(line.get_xydata().astype(float))
                points = points[np.isfinite(points).all(axis=1)]
                if len(points) > 1 and line.get_linestyle() != "None":  # points between the vertices, too
                    fine, coarse = np.linspace(0, len(points) - 1, 20 * len(points)), np.arange(len(points))
                    points = np.array([np.interp(fine, coarse, column) for column in points.T]).T
                inside = [p for p in points if frame.contains(*p) and any(box.contains(*p) for box in boxes)]
                if inside:
                    covered.append(name)
    assert not set(covered)


def test_stored_data_are_used_checked_and_shown(tmp_path):
    out = tmp_path / "figs"

    def run(*options):
        command = [sys.executable, "-W", "error", "-m", "figures", "phase", "deq_phase", "--quick", "--out", str(out), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert run("--check").returncode == 2
    first = run()
    assert first.returncode == 0, first.stderr
    assert "stored data" not in first.stdout
    assert {f"phase.{kind}" for kind in ("pdf", "svg", "png", "quick.npz")} < {path.name for path in out.iterdir()}
    assert run().stdout.count("stored data") == 2
    assert "stored data" not in run("--fresh").stdout
    checked = run("--check")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("agrees") == 2
    stored = recall(out / "phase.quick.npz")
    keep(out / "phase.quick.npz", stored._replace(data=stored.data._replace(x=stored.data.x * 1.001)))
    checked = run("--check")
    assert checked.returncode == 1
    assert len(checked.stderr.strip().splitlines()) == 1
    assert "phase: differs, largest relative difference 1.0e-03" in checked.stdout
    page = (out / "index.html").read_text()
    assert 'src="phase.svg"' in page
    assert "phase.quick.npz" in page
    assert 'src="budgets' not in page  # not drawn
    assert not list(out.glob("*unfinished*"))
    assert not list(out.glob("*.tex"))  # neither figure has a table
    rows = dict(re.findall(r"(phase|all)\W+([\d.]+)\W+", first.stdout))
    assert 0 < float(rows["phase"]) < float(rows["all"])
    assert "http" not in page


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
    for bad in (
        ["nothing"],
        ["--format", "gif"],
        ["phase", "--workers", "0"],
        ["free_features", "--quick", "--out", str(tmp_path / "file")],
    ):
        done = subprocess.run([*command, *bad], capture_output=True, text=True, timeout=120)
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.fixture
def phase_spec():
    """The sweep of the quick figure `phase`."""
    return Spec.load("phase").thinned(30)


def test_an_interrupted_sweep_continues_in_its_folder(tmp_path, phase_spec, monkeypatch):
    plot = ALL["phase"](unfinished=tmp_path / "work")
    blocks = []
    monkeypatch.setattr(type(phase_spec.kind), "size", lambda self, point: 100)
    whole = swept(ALL["phase"](), phase_spec, lambda what: None, "cos_minority")["cos_minority"]

    class StopError(Exception):
        pass

    def stop(what):
        blocks.append(what)
        if what.startswith("300 of"):
            raise StopError

    with pytest.raises(StopError):
        swept(plot, phase_spec, stop, "cos_minority")
    with Store(tmp_path / "work" / "sweep.db") as store:
        assert store.counts()["done"] == 300
    said = []
    again = swept(plot, phase_spec, said.append, "cos_minority")["cos_minority"]
    assert said[0] == f"300 of {len(phase_spec.grid)} points"
    assert np.array_equal(again, whole, equal_nan=True)


def test_the_command_uses_what_an_interrupted_run_of_the_same_code_has(tmp_path, phase_spec):
    command = [sys.executable, "-W", "error", "-m", "figures", "phase", "--quick", "--format", "svg", "--out", str(tmp_path)]
    plot = ALL["phase"]
    data = place(tmp_path, plot, quick=True)
    marks = []
    for key, fresh in ((key_of(plot, quick=True), False), ("0" * 32, True), (key_of(plot, quick=True), True)):
        work = workspace(data, key)
        swept(plot(unfinished=work), phase_spec, lambda what: None, "cos_minority")
        with sqlite3.connect(work / "sweep.db") as store:  # a value that no computation gives
            store.execute("UPDATE points SET cos_minority = 0.125 WHERE position = 7")
        store.close()
        subprocess.run([*command, *["--fresh"] * fresh], capture_output=True, timeout=120, check=True)
        assert not work.exists()
        stored = recall(data)
        assert stored is not None
        marks.append(stored.data.cosine.ravel()[7] == 0.125)
    assert marks == [True, False, False]  # the same code; other code; --fresh


def test_data_are_computed_with_one_blas_thread():
    class Threads(ALL["idea"]):
        def data(self, *, quick, report):
            return max(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")

    with threadpool_limits(2):
        assert Threads().data(quick=True, report=lambda what: None) == 2
        assert Threads().computed(quick=True, report=lambda what: None) == 1


def test_only_folders_of_unfinished_runs_are_removed(tmp_path):
    data = place(tmp_path, ALL["phase"], quick=False)
    mine, kept = workspace(data, "a"), workspace(data, "b")
    others = [
        workspace(place(tmp_path, ALL["phase"], quick=True), "a"),
        workspace(place(tmp_path, ALL["deq_phase"], quick=False), "a"),
    ]
    for folder in (mine, kept, *others):
        folder.mkdir()
    clear(data, kept)
    assert not mine.exists()
    assert all(folder.exists() for folder in (kept, *others))
    clear(data)
    assert not kept.exists()


def test_training_runs_are_kept_and_the_same_in_other_processes(tmp_path, monkeypatch):
    asked = [Settings(data="digits", largest=10, ratio=2, epochs=2, width=12, model=m) for m in ("deq", "explicit")]
    alone = trained(ALL["epochs"](unfinished=tmp_path), asked, lambda what: None)
    assert [len(run.history["accuracy"]) for run in alone] == [2, 2]
    assert alone[0].theory["nc3"] == pytest.approx(alone[1].theory["nc3"])
    in_processes = trained(ALL["epochs"](workers=2), asked, lambda what: None)
    assert difference(alone, in_processes, ("seconds",)).value == 0
    monkeypatch.setattr(figures.sweeps, "train", None)  # nothing is left to train
    assert difference(alone, trained(ALL["epochs"](unfinished=tmp_path), asked, lambda what: None)).value == 0
    with pytest.raises(TypeError):
        trained(ALL["epochs"](), asked, lambda what: None)


def accuracies(deq, explicit):
    """Data of the figure `accuracy` with the same five values in every setting."""
    values = {m: np.broadcast_to(v, (2, 3, 3, 5)).copy() for m, v in (("deq", deq), ("explicit", explicit))}
    data = Accuracies(
        ["digits", "mixture"], [(3, 7), (5, 5), (7, 3)], np.array([10.0, 50.0, 100.0]), dict.fromkeys(MEASURES, values)
    )
    return data, values


def test_the_accuracy_table_says_what_its_data_support():
    plot, spread = ALL["accuracy"](), np.array([0.0, 0.01, -0.01, 0.02, -0.02])
    data, values = accuracies(0.7 + spread, 0.6 - spread)
    # Differences of mean 0.1 and standard deviation 2 sqrt(0.001 / 4) = 0.0316: t = 0.1 / (0.0316 / sqrt 5) = 7.1 > 2.78.
    note, table = plot.note(data), plot.table(data)
    assert note.count("the DEQ is higher beyond the spread in 18 of 18 settings (digits 9, mixture 9)") == 2
    assert table.count(r"$\mathbf{70.0} \pm 1.6$ & $60.0 \pm 1.6$") == 36  # 18 rows, two measures; sqrt(0.001 / 4) = 1.58 %
    values["explicit"][1, 2, 2] += 0.2  # t = -7.1
    values["deq"][0] = values["explicit"][0]
    note = plot.note(data)
    assert note.count("in 8 of 18 settings (digits 0, mixture 8), the explicit network in 1, undecided are 9") == 2
    assert note.count("by the mean alone the DEQ is higher in 8, the explicit network in 1") == 2
    values["deq"][1, 0, 0] = values["explicit"][1, 0, 0] + 10 * spread + 0.01  # better by the mean, within the spread
    assert "in 7 of 18" in plot.note(data)
    assert "alone the DEQ is higher in 8" in plot.note(data)


def test_the_accuracy_table_has_every_setting(quick):
    plot, data = ALL["accuracy"](), quick("accuracy")
    assert data.classes == [(3, 7), (5, 5), (7, 3)]
    assert data.data == ["digits", "mixture"]
    for models in data.values.values():
        assert {values.shape for values in models.values()} == {(2, 3, 3, 2)}
        assert all(np.all((values >= 0) & (values <= 1)) for values in models.values())
    table = plot.tabulated(data, quick=True)
    assert QUICK in table
    assert QUICK not in plot.tabulated(data, quick=False)
    assert plot.tabulated(data, quick=False) == plot.table(data)
    for rule in ("toprule", "midrule", "bottomrule", "begin{tabular}{llrrrr}", "end{table}"):
        assert f"\\{rule}" in table
    rows = [line for line in table.splitlines() if line.count("&") == 5 and r"\pm" in line]
    assert len(rows) == 18
    assert all(line.endswith(r"\\") for line in rows)
    assert table.count("(synthetic)") == table.count("(real)") == 2  # in the caption and above the rows
    assert table.count("{") == table.count("}")
    # One entry by hand: digits, (5, 5), the first ratio, minority accuracy of the explicit network.
    values = 100 * data.values["minority"]["explicit"][0, 1, 0]
    mean, deviation = values.sum() / 2, abs(values[0] - values[1]) / 2**0.5
    assert f"{mean:.1f}" in rows[3].split("&")[5]
    assert rf"\pm {deviation:.1f}$" in rows[3].split("&")[5]


def test_tables_are_written_and_listed(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "figures", "accuracy", "--quick", "--format", "svg", "--out", str(tmp_path)]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    table = (tmp_path / "accuracy.tex").read_text()
    page = (tmp_path / "index.html").read_text()
    assert table.startswith(f"% {QUICK}")
    assert 'href="accuracy.tex"' in page
    stored = recall(tmp_path / "accuracy.quick.npz")
    assert stored is not None
    assert ALL["accuracy"]().note(stored.data).split(":")[1].split("(")[0] in page
    keep(tmp_path / "accuracy.quick.npz", stored._replace(key="other code", data=[1.0]))  # then the page has no note
    subprocess.run([*command[:5], "idea", *command[6:]], capture_output=True, timeout=120, check=True)
    page = (tmp_path / "index.html").read_text()
    assert 'href="accuracy.tex"' in page
    assert "beyond the spread in" not in page


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


def test_penalties_are_paid_by_parameters_and_only_some_heads_favour_low_rank(quick):
    data = quick("penalties")
    for curve, (_, head, _, _) in zip(data.curves, HEADS, strict=True):
        for line, paid in ((curve.alone, curve.built), (curve.equal, curve.parts)):
            assert paid == pytest.approx(np.interp(data.points, data.total, line), rel=1e-9)
        convex = head.penalty(ufm.WeightDecay(1.0, 1.0), 5).convex
        assert (np.allclose(curve.alone, curve.equal)) == convex
        assert (curve.alone <= curve.equal + 1e-12)[data.total >= 1].all()


def test_jump_is_one_and_the_explicit_collapse_is_none(quick):
    data = quick("jump")
    explicit, decayed = data["explicit"], data["decayed"]
    assert explicit.threshold == pytest.approx(7.0)  # (1 / (sqrt(n_B) mu) - K_B) / K_A with n_B = 100, mu = .0025
    assert (explicit.kind, decayed.kind) == ("continuous", "jump")
    for branch in data.values():
        assert (branch.contrast[branch.ratio > branch.threshold * 1.001] == 0).all()
        assert (branch.contrast[branch.ratio < branch.threshold * 0.999] > 0).all()
    below = [branch.contrast[branch.ratio < branch.threshold][-1] for branch in (explicit, decayed)]  # half a percent below
    assert below[0] < 0.1
    assert below[1] > 1.0
    ratio = explicit.ratio[1]
    counts = ufm.step_imbalanced(majority=5, minority=5, n_majority=round(100 * ratio), n_minority=100)
    logits = ufm.solve(ufm.Problem(counts, regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3))).parameters.logits
    assert np.ptp(logits[5:, 5:], axis=0).max() == pytest.approx(explicit.contrast[1], rel=0.02)  # sizes are rounded


def test_etf_window_is_where_codes_win(quick):
    data = quick("etf_window")
    low, high = data.edges[-1]
    assert 0 < low < high
    best = np.min(list(data.codes.values()), axis=0)
    outside = (data.decay < low * 0.99) | (data.decay > high * 1.01)
    assert (best[outside] > 0).all()
    assert best.min() < 0  # somewhere inside
    decay, excess = data.found.T
    assert (excess[(decay > low) & (decay < high)] < -1e-10).all()
    assert excess[(decay < low) | (decay > high)] == pytest.approx(0, abs=1e-8)


def test_pairs_beat_the_frame_from_the_stated_depth(quick):
    data = quick("depth_codes")
    assert data.least == [3, 2, 2]
    assert data.shown[1].named["2 2 2 2 2"] == pytest.approx(data.ratio[-1][0][1], abs=0.02)  # other decays
    for least, limit, rows in zip(data.least, data.limit, data.ratio, strict=True):
        whole = np.interp(DEPTHS, data.depth, limit)
        smallest = rows[-1]
        wins = smallest < 1
        assert [depth for depth, won in zip(DEPTHS, wins, strict=True) if won] == list(range(least, DEPTHS[-1] + 1))
        errors = np.abs(rows - whole)
        assert (errors[-1] < errors[0]).all()  # the limit is approached as the decay falls
        assert errors[-1].max() < 0.05


def test_codes_of_rank_three_beat_pairs_under_three_layers(quick):
    """docs/findings.md: K = 10, three linear layers, n = 5, decay 2^-10; by an independent earlier search."""
    tried = quick("depth_codes").shown[DEPTHS.index(3)]
    assert tried.etf == pytest.approx(0.076948, abs=5e-7)
    assert tried.named["2 2 2 2 2"] * tried.etf == pytest.approx(0.060921, abs=5e-7)
    assert tried.found[1] * tried.etf == pytest.approx(0.057976, abs=5e-7)
    assert tried.rank[1] == 3
    assert tried.winner() == ("found by search", 3, tried.found.min())


def test_the_winner_is_the_best_of_the_codes_tried(quick):
    data = quick("depth_codes")
    for k, row in zip(data.map_classes, data.tried, strict=True):
        codes = dict(direct_sums(k))
        assert f"{k}" in codes
        assert all(code.shape == (k, k) for code in codes.values())
        for layers, tried in zip(DEPTHS, row, strict=True):
            assert set(tried.named) == set(codes)
            assert tried.named[f"{k}"] == pytest.approx(1.0)
            kind, rank, value = tried.winner()
            assert value <= min(tried.named.values())
            if layers == 1:  # a convex program, whose optimum is the ETF
                assert (kind, rank) == ("simplex ETF", k - 1)
            if kind != "found by search":
                best = min(tried.named, key=lambda code, tried=tried: tried.named[code])
                assert rank == np.linalg.matrix_rank(codes[best])
    named = {"4": 1.0, "2 2": 0.9}
    for found, kind, rank in (
        (0.9 * (1 - 1e-9), "simplices in blocks", 2),
        (0.8, "found by search", 3),
        (2.0, "simplices in blocks", 2),
    ):
        assert Tried(1.0, named, np.array([found]), np.array([3])).winner()[:2] == (kind, rank)
    assert Tried(1.0, {"5": 1.0, "5o": 0.7}, np.empty(0), np.empty(0)).winner() == ("with polygons", 2, 0.7)


def test_the_regularisation_path_joins_collapse_and_seli(quick):
    data = quick("seli_path")
    minority = data.path["cos_minority"]
    there = np.isfinite(minority)
    assert minority[there & (data.strength > 1.0)] == pytest.approx(1.0)
    assert (minority[data.strength < 0.999] < 1.0 - 1e-6).all()
    for name, limit in data.seli.items():
        assert data.path[name][0] == pytest.approx(limit, abs=0.05)
        line = np.interp(np.log(data.points), np.log(data.strength), np.nan_to_num(data.path[name], nan=9.0))
        near = np.isfinite(data.certified[name]) & (data.points < 0.5)
        assert data.certified[name][near] == pytest.approx(line[near], abs=5e-3)
    gram = ufm.seli([1000] * 5 + [100] * 5)[0]
    assert data.seli["cos_minority"] == pytest.approx(gram[5, 6] / gram[5, 5])
    assert (np.diff(data.limit) > 0).all()
    assert np.isnan(data.path["cos_majority"][data.strength > data.end * 1.001]).all()


def test_routes_reach_the_same_optimum(quick):
    data = quick("routes")
    for name, route in data.items():
        assert (route.gap > 0).all()
        assert (np.diff(route.iterations) > 0).all()
        assert route.gap[-1] == route.gap.min()
        assert (route.seconds > 0).all()
        assert route.gap[-1] < (1e-3 if name == "adam" else 1e-5)
    assert max(data[name].gap[-1] for name in ("symmetric", "factored", "proximal")) < 1e-12
    assert (
        difference(data, {name: part._replace(seconds=part.seconds + 1) for name, part in data.items()}, ALL["routes"].times)[0]
        == 0
    )


def test_trajectories_leave_zero_and_end_at_the_optimum(quick):
    data = quick("trajectories")
    smallest = [run for run in data.runs if run.scale == 1e-5]
    for run in data.runs:
        assert run.above[-1] < 1e-9
        assert (run.above > 0).all()
        assert run.minority[-1] == pytest.approx(data.cosine, abs=1e-3)
    for run in smallest:
        assert run.above[0] == pytest.approx(data.saddle, rel=1e-6)
        assert run.above[np.searchsorted(run.iteration, 5)] > 0.9 * data.saddle  # still near the saddle


def test_blocks_have_three_values_and_approach_the_frame(quick):
    data = quick("blocks")
    assert data.threshold == pytest.approx(15.0)  # (1 / (sqrt(n_B) mu) - K_B) / K_A with n_B = 100, mu = .00125
    off = ~np.eye(5, dtype=bool)
    for gram in data.grams:
        for block in (gram[:5, :5][off], gram[5:, 5:][off], gram[:5, 5:]):
            assert np.ptp(block) < 1e-5
    assert data.grams[0][~np.eye(10, dtype=bool)] == pytest.approx(-1 / 9, abs=1e-6)
    assert data.grams[1][5, 6] < 0.99
    assert data.grams[2][5, 6] == pytest.approx(1.0)
    above = np.array([data.minority[ratio] for ratio in sorted(data.minority)]) + 1 / 9
    assert (np.diff(above, axis=0)[:, -1] > 0).all()  # the larger R, the later
    assert (above[:, -1] < 0.02).all()
    for ratio, values in data.certified.items():
        line = np.interp(np.log(data.points), np.log(data.budget), data.minority[ratio])
        assert values[1:] == pytest.approx(line[1:], abs=2e-2)


def test_the_tail_has_the_sizes_of_the_formula_and_a_geometry_by_ranges(quick):
    data = quick("tail_ranges")
    assert data.sizes == pytest.approx(500 * 100 ** (-np.arange(100) / 99), abs=0.5)
    assert sum(data.members) == 100
    assert data.members[0] == int((data.sizes > 100).sum())
    assert data.gap.max() <= 1e-8
    distance = [np.abs(norms - data.limit).max() for norms in data.norms.values()]
    assert distance == sorted(distance, reverse=True)  # nearer to SELI the smaller the decay
    few = data.cosine[:, data.names.index("few")]
    assert few[0] > 0.99
    assert few[-1] == pytest.approx(data.seli[-1], abs=0.05)
