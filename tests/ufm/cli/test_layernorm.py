"""The head layernorm on the command line: one decay, a saved certificate, a threshold, and what is refused."""

import json
import subprocess
import sys

import pytest


def run(*arguments):
    words = [sys.executable, "-W", "error", "-m", "ufm", *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


def answer(*arguments):
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_solve_save_and_recheck(tmp_path):
    path = str(tmp_path / "c.json")
    asked = ("solve", "--counts", "100*5,1*5", "--level", "rigorous")
    found = answer(*asked, "--decay", "1e-2", "--head", "layernorm", "--save", path)
    assert found["value"] == pytest.approx(0.50774287738, abs=1e-11)
    assert found["gap"] <= 1e-12
    assert (found["status"], found["method"], found["level"]) == ("optimal", "symmetric", "rigorous")
    assert [(group["size"], group["collapsed"]) for group in found["groups"]] == [(100, "no"), (1, "yes")]
    assert found["metrics"]["norm_ratio_means"] == pytest.approx(1.0, rel=1e-9)
    checked = answer("recheck", path)
    assert checked["accepted"]
    # A norm of 4 rescales the decay by 16, and the full convention doubles it.
    same = answer(*asked, "--decay", "8e-2", "--head", "layernorm:norm=4", "--convention", "mean-full")
    assert same["value"] == pytest.approx(found["value"], rel=1e-12)


def test_threshold():
    found = answer("threshold", "--classes", "5,5", "--decay", "1e-2", "--head", "layernorm")
    assert found["lower"] <= 72.8273 * (1 + 1e-6)
    assert found["upper"] >= 72.8273 * (1 - 1e-6)
    assert found["upper"] - found["lower"] <= 1e-9
    assert (found["quantity"], found["group"], found["transition"]) == ("ratio", "minority", "continuous")


REFUSED = [
    (("--decay", "1e-2,1e-2", "--head", "layernorm"), "no effect"),
    (("--budget", "1,5", "--head", "layernorm"), "--decay LW"),
    (("--head", "layernorm"), "--decay LW"),
    (("--decay", "0", "--head", "layernorm"), "finite positive number"),
    (("--decay", "nan", "--head", "layernorm"), "finite positive number"),
    (("--decay", "x", "--head", "layernorm"), "--decay"),
    (("--decay", "1e-2", "--head", "layernorm:norm=0"), "norm"),
    (("--decay", "1e-2", "--head", "layernorm:norm=-1"), "norm"),
    (("--decay", "1e-2", "--head", "layernorm:norm=inf"), "norm"),
    (("--decay", "1e-2", "--head", "layernorm:norm=nan"), "norm"),
    (("--decay", "1e-2", "--head", "layernorm:size=1"), "layernorm[:norm=R]"),
    (("--decay", "1e-2"), "2 to 3 numbers"),
]


@pytest.mark.parametrize(("options", "part"), REFUSED, ids=[" ".join(options) for options, _ in REFUSED])
def test_what_is_refused_in_one_line(options, part):
    done = run("solve", "--counts", "9*3,2*2", *options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert part in done.stderr


def test_cosines():
    found = answer("solve", "--counts", "129000*5,1000*5", "--head", "cosine:scale=2", "--level", "rigorous")
    assert (found["status"], found["collapsed"]) == ("optimal", "yes")
    assert found["relative_gap"] < 1e-11
    for options, part in (
        (("--decay", "1e-2"), "neither --decay nor --budget"),
        (("--budget", "1,5"), "neither --decay nor --budget"),
    ):
        done = run("solve", "--counts", "9*3,2*2", "--head", "cosine:scale=2", *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert part in done.stderr
    done = run("threshold", "--classes", "5,5", "--head", "cosine:scale=2")
    assert done.returncode == 2
    assert "not stated" in done.stderr
