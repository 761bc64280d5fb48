"""The command line as a user meets it: JSON on stdout, one line on stderr, exit codes."""

import json
import subprocess
import sys

import pytest

SOLVE_KEYS = {
    "status", "message", "method", "value", "lower", "upper", "gap", "relative_gap", "level", "collapsed", "groups", "ranges",
    "metrics", "seconds",
}  # fmt: skip


def run(*arguments, module="ufm"):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", module, *arguments], capture_output=True, text=True, timeout=120
    )


def answer(*arguments):
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) <= 1  # what runs, where it takes more than a second
    return json.loads(done.stdout)


def test_solve():
    found = answer("solve", "--counts", "20*10", "--decay", "5e-3,5e-3")
    assert set(found) == SOLVE_KEYS
    assert found["value"] == pytest.approx(0.94430798137, abs=5e-12)
    assert found["gap"] <= 1e-12
    assert (found["status"], found["method"], found["collapsed"]) == ("optimal", "symmetric", "no")
    assert found["metrics"]["cos_majority"] == pytest.approx(-1 / 9)
    found = answer("solve", "--counts", "100*3,10*7", "--decay", "2e-3,2e-3")
    assert found["value"] == pytest.approx(0.50562973488268, abs=5e-15)


def test_solve_options():
    assert answer("solve", "--counts", "9,5", "--budget", "1,2", "--head", "deq:rho=0.3", "--method", "factored")["gap"] < 1e-9
    assert answer("solve", "--counts", "9,5", "--decay", "0.1,0.1,0.5", "--level", "rigorous")["level"] == "rigorous"
    half = answer("solve", "--counts", "9*3", "--decay", "0.02,0.02")["value"]
    full = answer("solve", "--counts", "9*3", "--decay", "0.01,0.01", "--convention", "mean-full")["value"]
    assert half == pytest.approx(full, rel=1e-12)
    assert answer("solve", "--counts", "1e12*5,1*5", "--budget", "1,5")["collapsed"] == "yes"
    assert answer("solve", "--counts", "10*6", "--decay", "3e-3,3e-3", "--dim", "2")["status"] == "loose"


def test_every_head_and_loss():
    """The golden values of ReLU features and of linear layers, and one run of everything else."""
    found = answer("solve", "--counts", "200,100,50*2", "--decay", "5e-4,5e-4", "--head", "relu", "--level", "rigorous")
    assert found["value"] == pytest.approx(0.10187531, abs=5e-9)
    assert found["upper"] - found["lower"] < 1e-12
    small = f"{2.0**-10},{2.0**-10}"
    found = answer("solve", "--counts", "5*10", "--decay", small, "--head", "explicit:2")
    assert set(found) == SOLVE_KEYS | {"candidates"}
    assert found["status"] == "best"
    assert "best found" in found["message"]
    named = {c["name"]: c["value"] for c in found["candidates"]}
    assert named["etf code"] == pytest.approx(0.090662, abs=5e-7)
    assert named["pair code"] == pytest.approx(0.080013, abs=5e-7)
    assert 0.06 < found["lower"] < found["value"]
    for head in ("deq:decay=0.05,contraction=0.5", "deq:frobenius=0.3", "explicit:3", "etf", "etf:norm=2"):
        found = answer("solve", "--counts", "12,9,4", "--decay", "5e-3,5e-3", "--head", head)
        assert found["lower"] <= found["value"] <= found["upper"]
    assert answer("solve", "--counts", "12,9,4", "--budget", "1,2", "--head", "etf:average")["status"] == "optimal"
    for loss in ("mse", "ce:weights=1,adjustment=0.5,temperatures=0.2,smoothing=0.1", "ce:weights=1/3/5"):
        found = answer("solve", "--counts", "12,9,4", "--decay", "5e-3,5e-3,0.1", "--loss", loss)
        assert found["status"] == "optimal"


def test_jump_on_the_command_line():
    arguments = ("threshold", "--classes", "5,5", "--decay", "2.5e-3,2.5e-3", "--minority-count", "100")
    found = answer(*arguments, "--head", "deq:decay=0.01,contraction=0.5")
    assert (found["transition"], found["level"]) == ("jump", "numeric")
    assert 11 < found["value"] < 13


def test_threshold():
    found = answer("threshold", "--classes", "5,5", "--budget", "1,5", "--level", "rigorous")
    assert set(found) == {"quantity", "value", "lower", "upper", "level", "transition", "group", "note"}
    assert found["lower"] <= 12.19244708033 <= found["upper"] + 1e-11
    assert found["upper"] - found["lower"] <= 1e-9
    found = answer("threshold", "--classes", "5,5", "--decay", "2.5e-3,2.5e-3", "--minority-count", "100")
    assert found["value"] == 7
    deq = answer("threshold", "--classes", "5,5", "--budget", "1,5", "--head", "deq:rho=0.3", "--level", "rigorous")
    assert deq["lower"] <= 86.747703936 + 5e-10 <= deq["upper"] + 1e-9


def test_advice(tmp_path):
    found = answer("advise", "--counts", "500*5,100*5", "--decay", "2.5e-3,2.5e-3")
    sides = {row["remedy"]: (row["collapses"], row["first"]) for row in found["remedies"]}
    assert sides["none"] == sides["logit adjustment"] == sides["label smoothing 0.1"] == ("none", "minority")
    assert sides["class weights 1/sqrt(n)"] == ("none", "both")
    assert sides["class weights 1/n"] == ("none", "majority")
    assert sides["temperatures (n/n_max)^1/2"] == ("minority", "minority")
    assert sides["balanced sampling"] == ("none", "all")
    path = tmp_path / "sizes.txt"
    path.write_text("500\n" * 5 + "100\n" * 5)
    assert answer("advise", "--counts-file", str(path), "--decay", "2.5e-3,2.5e-3") == found
    done = run("advise", "--counts", "1700*5,100*5", "--decay", "2.5e-3,2.5e-3")
    assert "the 5 classes of size 1700 (majority) share one classifier until" in done.stdout


def test_ranges_of_sizes():
    found = answer("solve", "--counts", "500,90,12,11", "--decay", "2e-2,2e-2", "--groups", "head=50+,tail=-50")
    assert [(part["name"], part["classes"]) for part in found["ranges"]] == [("head", 2), ("tail", 2)]
    assert found["ranges"][1]["collapsed"] == "yes"


def test_threshold_under_other_losses_and_in_other_quantities():
    asked = ("threshold", "--classes", "5,5", "--minority-count", "100")
    decay = ("--decay", "2.5e-3,2.5e-3")
    found = answer(*asked, *decay, "--loss", "ce:weights=1")
    assert (round(found["value"], 9), found["group"]) == (16, "majority")
    found = answer(*asked, "--solve-for", "decay", "--ratio", "7")
    assert (found["quantity"], round(found["value"], 12), found["group"]) == ("decay", 0.0025, "minority")
    found = answer(*asked, "--decay", "5e-3,5e-3", "--solve-for", "rho", "--ratio", "7")
    assert round(found["value"], 12) == 0.5
    found = answer("threshold", "--classes", "5,5", *decay, "--solve-for", "minority-count", "--ratio", "7")
    assert round(found["value"], 9) == 100
    done = run(*asked, *decay, "--loss", "ce:weights=0.5")
    assert "the majority and the minority classes each share one classifier iff" in done.stdout


def test_tables_for_people():
    done = run("solve", "--counts", "100*5,10*5", "--decay", "5e-4,5e-4")
    assert done.returncode == 0
    assert "certified optimal" in done.stdout
    done = run("threshold", "--classes", "5,5", "--budget", "1,5")
    assert "12.19244" in done.stdout


def test_certificates_travel(tmp_path):
    path = tmp_path / "c.json"
    done = run("solve", "--counts", "100*3,10*7", "--decay", "2e-3,2e-3", "--level", "rigorous", "--save", str(path))
    assert done.returncode == 0
    assert run("recheck", str(path)).returncode == 0
    assert answer("recheck", str(path))["accepted"] is True
    text = path.read_text()
    place = text.index('"own":["') + len('"own":["')
    path.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
    done = run("recheck", str(path), "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["accepted"] is False
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "solve --counts 0*3 --decay 1,1",
        "solve --counts 3*1 --decay 1,1",
        "solve --counts abc --decay 1,1",
        "solve --counts 5*3 --decay 0,1",
        "solve --counts 5*3 --decay nan,1",
        "solve --counts 5*3 --decay -1,1",
        "solve --counts 5*3 --decay 1",
        "solve --counts 5*3 --budget inf,1",
        "solve --counts 5*3 --budget 1,2 --decay 1,1",
        "solve --counts 5*3",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head deq:rho=1",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head deq:rho=x",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head vit",
        "solve --counts 5*3 --decay 1e-3,1e-3 --loss hinge",
        "solve --counts 5*3 --decay 1e-3,1e-3 --loss ce:smoothing=1",
        "solve --counts 5*3 --decay 1e-3,1e-3 --loss ce:smoothing",
        "solve --counts 5*3 --decay 1e-3,1e-3 --loss ce:temperatures=-1",
        "solve --counts 5*3 --decay 1e-3,1e-3 --loss ce:weights=1/2/3",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head explicit:0",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head explicit:1.5",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head deq:decay=0.1",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head deq:decay=0.1,contraction=1",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head deq:frobenius=1",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head deq:rho=0.1,rho=0.2",
        "solve --counts 5*3 --budget 1,1 --head deq:decay=0.1,contraction=0.5",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head relu --dim 2",
        "solve --counts 5*3 --decay 1e-3,1e-3,1 --head relu",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head relu --method symmetric",
        "solve --counts 5*3 --decay 1e-3,1e-3 --head explicit:2 --method convex",
        "threshold --classes 5,5 --decay 1e-3,1e-3 --minority-count 9 --head deq:decay=0.1,contraction=0.5 --level rigorous",
        "threshold --classes 5,5 --budget 1,1 --head explicit:2",
        "threshold --classes 5,5 --decay 1e-3,1e-3 --minority-count 9 --head etf",
        "solve --counts 5*3 --decay 1e-3,1e-3 --method magic",
        "solve --counts 5*3 --decay 1e-3,1e-3 --level exact",
        "solve --counts 5*3 --decay 1e-3,1e-3 --dim 0",
        "solve --counts 5*3 --decay 1e-3,1e-3 --dim x",
        "solve --counts 5*3 --decay 1e-3,1e-3 --convention half",
        "solve --counts 5*3 --budget 1,1 --convention sum-half",
        "solve --counts 5*3 --decay 1e-3,1e-3 --save /nonexistent/c.json",
        "solve --bogus",
        "threshold --classes 5 --budget 1,5",
        "threshold --classes 5,1 --budget 1,5",
        "threshold --classes 5,5 --budget 1,1e9",
        "threshold --classes 5,5 --decay 1e-3,1e-3",
        "threshold --classes 5,5 --decay 1e-3,1e-3 --minority-count 5 --convention sum-half",
        "solve --counts 5*3 --decay 1e-3,1e-3 --groups many",
        "advise --counts 5*3",
        "advise --decay 1e-3,1e-3",
        "advise --counts 5*3 --counts-file pyproject.toml --decay 1e-3,1e-3",
        "advise --counts-file /nonexistent --decay 1e-3,1e-3",
        "advise --counts 5*1 --decay 1e-3,1e-3",
        "advise --counts 5*3,2*3 --decay 1e-3,1e-3 --plot x.jpg",
        "advise --counts 5*3,2*3 --decay 1e-3,1e-3 --plot /nonexistent/x.pdf",
        "advise --counts 5*3 --decay 1e-3,1e-3 --head explicit:2",
        "threshold --classes 5,5 --decay 1e-3,1e-3 --minority-count 5 --solve-for speed",
        "threshold --classes 5,5 --decay 1e-3,1e-3 --minority-count 5 --solve-for decay --ratio 3",
        "threshold --classes 5,5 --minority-count 5 --solve-for decay",
        "threshold --classes 5,5 --minority-count 5 --solve-for decay --ratio 0.5",
        "threshold --classes 5,5 --minority-count 5 --solve-for decay --ratio 3 --convention mean-full",
        "threshold --classes 5,5 --budget 1,5 --solve-for rho --ratio 3",
        "threshold --classes 5,5 --decay 1e-3,1e-3 --minority-count 5 --ratio 3",
        "threshold --classes 5,5 --decay 1e-3,1e-3 --minority-count 5 --loss multitask:2,2",
        "threshold --classes 5,5 --decay 1e-3,1e-3 --minority-count 5 --loss ce:weights=1/2/3",
        "threshold --classes 5,5 --decay 1e-3,1e-3 --minority-count 5 --loss ce:weights=1 --head explicit:2",
        "recheck /nonexistent/c.json",
        "recheck pyproject.toml",
        "nonsense",
        "explain nonsense",
        "explain --bogus",
        "solve --version",
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments):
    done = run(*arguments.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("ufm: ")


def test_importing_ufm_loads_no_heavy_library():
    heavy = ("scipy", "cvxpy", "sympy", "matplotlib", "flint", "rich", "typer")
    code = f"import sys, ufm; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
