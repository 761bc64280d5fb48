"""The comparison: grid, resumption, refusals, statistics, and a quick run from the command line."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.stats import ttest_1samp

import ufm
from ufm.training.comparison import Comparison, compare
from ufm.training.saved_run import RUN
from ufm.training.settings import versions
from ufm.training.summary import Cell, markdown, paired, statements, summarise


def test_the_grid_is_that_of_the_paper_with_balanced_and_long_tailed_classes():
    runs = Comparison(seeds=5).settings()
    assert len(runs) == len({str(s) for s in runs}) == 2 * 2 * 5 * 11
    steps = {(s.classes, s.ratio) for s in runs if not s.tail and s.ratio > 1}
    assert steps == {(c, r) for c in ((3, 7), (5, 5), (7, 3)) for r in (10, 50, 100)}
    assert {s.model for s in runs} == {"deq", "explicit"}
    assert any(s.ratio == 1 for s in runs)
    assert any(s.tail for s in runs)


def test_a_quick_comparison_resumes_and_is_summarised(tmp_path):
    comparison = Comparison(data=("digits",), seeds=2, quick=True)
    seen = []
    assert compare(comparison, tmp_path, report=lambda done, total, name: seen.append((done, total))) == []
    assert seen[-1] == (8, 8)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob(f"*/{RUN}")}
    assert len(times) == 8
    next(iter(times)).unlink()
    seen.clear()
    compare(comparison, tmp_path, report=lambda done, total, name: seen.append((done, total)))
    assert seen == [(7, 8), (8, 8)]
    cells = summarise(comparison, tmp_path)
    assert [cell.name for cell in cells] == ["digits 5+5 R=1", "digits 5+5 R=10"]
    for cell in cells:
        for results in cell.results.values():
            assert np.isfinite(results["accuracy"]).all()
    text = markdown(cells, comparison, versions())
    assert "quick run" in text
    assert f"numpy {np.__version__}" in text
    assert text.count("| explicit |") == 2
    # A run that is not there is said to be missing.
    next(iter(tmp_path.glob(f"*/{RUN}"))).unlink()
    assert "1 runs are missing" in markdown(summarise(comparison, tmp_path), comparison, versions())
    with pytest.raises(ufm.InputError, match="quick"):
        compare(Comparison(data=("digits",), seeds=2), tmp_path)


@pytest.mark.parametrize("options", [{"data": ()}, {"data": ("mnist",)}, {"seeds": 1}, {"map": "gru"}, {"epochs": 0}])
def test_bad_input(options):
    with pytest.raises(ufm.InputError):
        Comparison(**options).settings()


def test_an_empty_folder_has_no_summary(tmp_path):
    with pytest.raises(ufm.InputError, match="no finished run"):
        summarise(Comparison(seeds=2), tmp_path)
    with pytest.raises(ufm.InputError, match="workers"):
        compare(Comparison(seeds=2), tmp_path, workers=0)


def test_paired_intervals_are_those_of_scipy():
    values = np.array([0.3, -0.1, 0.5, 0.2, 0.4])
    found = paired(values, 1)
    interval = ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high))
    assert (found.wins, found.pairs) == (4, 5)
    assert paired(values + 1, 1).verdict(1) == "DEQ"
    assert paired(values + 1, -1).verdict(-1) == "explicit"
    assert paired(values - 0.3, 1).verdict(1) == "undecided"
    assert paired(values[:1], 1).verdict(1) == "undecided"


def cell(deq, explicit):
    names = ("accuracy", "minority", "nc1", "nc3", "to_theory_weight", "gap", "cos_minority")
    results = {m: {n: np.array(v, dtype=float) for n in names} for m, v in (("deq", deq), ("explicit", explicit))}
    return Cell("x", "mixture", "5*2", {"collapsed": "yes"}, results, {})


def test_the_statement_follows_the_data_whoever_wins():
    better, worse, same = cell([3, 3.1, 3.2], [1, 1, 1]), cell([1, 1, 1], [3, 3.1, 3.2]), cell([1, 2, 3], [3, 2, 1])
    assert "DEQ is better in 1 of 1" in statements([better])[0]
    assert "explicit network in 1" in statements([worse])[0]
    assert "undecided in 1" in statements([same])[0]
    # NC1 is better when it is smaller.
    assert "NC1" in statements([better])[2]
    assert "explicit network in 1" in statements([better])[2]


def test_the_command_line(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "ufm", "compare", "--quick", "--data", "digits", "--seeds", "2"]
    done = subprocess.run([*command, "--out", str(tmp_path), "--json"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["missing"] == 0
    assert len(done.stderr.splitlines()) == 8
    assert (tmp_path / "summary.md").read_text().startswith("# DEQ against explicit network")
    done = subprocess.run([*command, "--out", str(tmp_path), "--epochs", "9"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_ctrl_c_ends_a_comparison_at_once_and_loses_nothing(tmp_path):
    """SIGINT to the whole group, as a terminal sends it: exit 130 within seconds, no child left, checkpoints kept."""
    command = [sys.executable, "-m", "ufm", "compare", "--data", "digits", "--seeds", "3", "--epochs", "60", "--workers", "2"]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        began = time.monotonic()
        while not list(tmp_path.glob("*/checkpoint.npz")) and time.monotonic() - began < 60:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        began = time.monotonic()
        assert process.wait(timeout=30) == 130
        assert time.monotonic() - began < 15
        assert process.stderr is not None
        assert process.stderr.read().decode().strip().endswith("interrupted")
    assert _ends(process.pid)
    assert list(tmp_path.glob("*/checkpoint.npz"))


def _ends(group):
    """Whether no process of the group is left within ten seconds."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_an_invalid_comparison_does_not_claim_its_folder(tmp_path):
    with pytest.raises(ufm.InputError):
        compare(Comparison(data=("digits",), seeds=2, map="gru", quick=True), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_every_missing_run_is_counted(tmp_path):
    comparison = Comparison(data=("digits",), seeds=2, quick=True)
    compare(comparison, tmp_path)
    for path in tmp_path.glob("*R10*/run.npz"):
        path.write_bytes(b"damaged")
    text = markdown(summarise(comparison, tmp_path), comparison, versions())
    assert "4 runs are missing" in text
    assert "8 epochs" in text
