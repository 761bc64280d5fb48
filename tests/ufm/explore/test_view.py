"""What a view shows is what the package computes, and its command lines compute it again."""

import json
from dataclasses import replace

import numpy as np
import pytest

import ufm
from tests.pages import run_command
from ufm.explore import Settings, View
from ufm.explore.curves import curve, solve_closed
from ufm.explore.phases import phase
from ufm.explore.settings import LARGEST
from ufm.explore.view import attempt

BUDGET = ufm.NormBudget(1.0, 5.0)
CLOSED = {
    "decay": Settings(),
    "unequal decays": Settings(regularizer=ufm.WeightDecay(1e-2, 2e-4), majority=2, minority=7, minority_count=20),
    "budget": Settings(regularizer=BUDGET),
    "deq": Settings(head="deq:rho=0.3", ratio=3.2),
    "deq budget": Settings(head="deq:rho=0.3", regularizer=BUDGET, majority=3, minority=4),
}
SOLVED = {
    "weights": Settings(loss="ce:weights=1.0", ratio=10.0),
    "bce": Settings(loss="bce"),
    "relu": Settings(head="relu"),
    "etf": Settings(head="etf:norm=2.0"),
    "layernorm": Settings(head="layernorm", regularizer=ufm.ClassifierDecay(1e-2)),
    "cosine": Settings(head="cosine:scale=5.0", regularizer=ufm.NoDecay()),
}
every = pytest.mark.parametrize("settings", [*CLOSED.values(), *SOLVED.values()], ids=[*CLOSED, *SOLVED])
closed = pytest.mark.parametrize("settings", CLOSED.values(), ids=CLOSED)


def at_strength(settings, strength):
    """The problem at another decay or budget, both numbers equal."""
    return ufm.Problem(settings.counts, head=settings.head, regularizer=type(settings.regularizer)(strength, strength))


@every
def test_the_optimum_is_that_of_solve(settings):
    n_a, n_b = round(settings.ratio * settings.minority_count), settings.minority_count
    counts = [n_a] * settings.majority + [n_b] * settings.minority
    found = ufm.solve(ufm.Problem(counts, regularizer=settings.regularizer, head=settings.head, loss=settings.loss))
    view = View(settings)
    assert (view.solution.value, view.solution.lower, view.solution.upper) == (found.value, found.lower, found.upper)
    assert view.report.metrics == ufm.geometry(found)
    assert view.report.collapse == ufm.collapse(found)
    for gram, rows in zip(view.grams, (found.parameters.weight, found.parameters.outputs.T), strict=True):
        norms = np.linalg.norm(rows, axis=1)
        np.testing.assert_allclose(gram * np.outer(norms, norms), rows @ rows.T, rtol=0, atol=1e-12 * norms.max() ** 2)


@every
def test_the_curve_and_its_threshold(settings):
    found = curve(settings)
    assert found.gap < 1e-9
    assert (found.ratio[0], found.ratio[-1]) == (1.0, LARGEST)
    count = settings.minority_count if isinstance(settings.regularizer, ufm.WeightDecay) else None
    classes = settings.majority, settings.minority
    limit, sentence = attempt(
        lambda: ufm.threshold(
            classes=classes, regularizer=settings.regularizer, minority_count=count, head=settings.head, loss=settings.loss
        )
    )
    assert (found.threshold, found.refusal) == (limit, sentence)
    # The sizes of the view are whole, those of closed forms are not: at a ratio of whole sizes both solve the same problem.
    n_b = settings.minority_count
    for k in (0, len(found.ratio) // 3):
        one = replace(settings, ratio=round(float(found.ratio[k]) * n_b) / n_b)
        expected = ufm.geometry(ufm.solve(one.problem))["cos_minority"]
        here = solve_closed(one, np.array([one.at]), one.strength).cos_minority[0] if one.closed else found.cosine[k]
        assert here == pytest.approx(expected, abs=1e-7)
    if limit is not None and limit.group == "minority" and settings.closed and limit.value < LARGEST:
        assert found.cosine[found.ratio < limit.value].max() < 1 - 1e-6
        assert found.cosine[np.searchsorted(found.ratio, limit.value)] == pytest.approx(1.0, abs=1e-12)


def test_the_ratio_moves_no_curve_and_the_strength_no_diagram():
    settings = Settings()
    assert curve(replace(settings, ratio=9.0)) is curve(settings)
    moved = replace(settings, ratio=9.0, regularizer=ufm.WeightDecay(1e-3, 4e-3))
    assert phase(moved) is phase(settings)
    assert curve(moved) is not curve(settings)
    assert phase(replace(settings, majority=4)) is not phase(settings)


@closed
def test_the_diagram_has_the_cosines_of_optima(settings):
    found = phase(settings)
    assert found.gap < 1e-9
    exact = solve_closed(settings, found.ratio[None, :], found.strength[:, None]).cos_minority.reshape(found.cosine.shape)
    both = np.isfinite(exact) & np.isfinite(found.cosine)
    # Exact under decay; under budgets interpolated, but for two cells of a column at the border of vanishing classifiers.
    assert (np.isfinite(exact) != np.isfinite(found.cosine)).sum(axis=0).max() <= (2 if found.below else 0)
    assert np.abs(exact - found.cosine)[both].max() < (0.01 if found.below else 1e-12)
    for row, column in ((5, 7), (20, 10), (30, 30)):
        n_b = settings.minority_count
        one = replace(settings, ratio=round(found.ratio[column] * n_b) / n_b)
        expected = ufm.geometry(ufm.solve(at_strength(one, float(found.strength[row]))))["cos_minority"]
        if expected is not None and np.isfinite(found.cosine[row, column]):
            assert found.cosine[row, column] == pytest.approx(expected, abs=0.05)  # sizes of the view are rounded


@closed
def test_the_boundary_separates_collapsed_from_separated(settings):
    found = phase(settings)
    middle = slice(5, -5)
    for r, edge in zip(found.boundary_ratio[middle], found.boundary[middle], strict=True):
        inside, outside = (0.98, 1.02) if found.below else (1.02, 0.98)
        cosines = solve_closed(settings, np.array([r]), np.array([inside, outside]) * edge).cos_minority
        assert cosines[0] == pytest.approx(1.0, abs=1e-9)
        assert cosines[1] < 1 - 1e-6
    assert len(found.boundary) == len(found.ratio)


def test_a_diagram_that_is_solved_point_by_point():
    found = phase(Settings(loss="ce:weights=1.0"))
    problem = ufm.Problem(
        [round(found.ratio[4] * 100)] * 5 + [100] * 5,
        regularizer=ufm.WeightDecay(*[found.strength[3]] * 2),
        loss="ce:weights=1",
    )
    assert found.cosine[3, 4] == pytest.approx(ufm.geometry(ufm.solve(problem))["cos_minority"], abs=1e-7)
    with pytest.raises(ufm.InputError, match="neither decay nor budgets"):
        phase(SOLVED["cosine"])


@every
def test_the_command_lines_compute_what_is_shown(settings):
    view = View(settings)
    lines = {line.split()[1]: line for line in view.commands()}
    code, printed = run_command(lines["solve"] + " --json")
    told = json.loads(printed)
    assert code == 0
    assert [told[name] for name in ("value", "lower", "upper", "level")] == [
        view.solution.value, view.solution.lower, view.solution.upper, settings.level,
    ]  # fmt: skip
    assert told["metrics"] == view.report.metrics
    assert ("threshold" in lines) == (view.curve.threshold is not None)
    if "threshold" in lines:
        code, printed = run_command(lines["threshold"] + " --json")
        assert code == 0
        assert json.loads(printed)["value"] == view.curve.threshold.value
    advice, sentence = attempt(lambda: view.advice)
    assert ("advise" in lines) == (advice is not None) == (not sentence)
    if advice is not None:
        code, printed = run_command(lines["advise"] + " --json")
        assert code == 0
        assert json.loads(printed)["remedies"] == advice.to_dict()["remedies"]


def test_the_rigorous_level():
    view = View(Settings(level="rigorous"))
    found = ufm.solve(view.settings.problem, level="rigorous")
    assert (view.solution.lower, view.solution.certificate.level) == (found.lower, "rigorous")
    assert view.curve.threshold.level == "rigorous"
    assert view.advice["none"].level == "rigorous"


def test_refusals_are_one_sentence():
    refused = {
        "head relu": lambda: View(Settings(head="relu", loss="mse")).solution,
        "KB=1": lambda: ufm.threshold(classes=(5, 1), regularizer=BUDGET),
        "budget 1,5": lambda: View(Settings(regularizer=BUDGET)).advice,
        "head is relu": lambda: View(Settings(head="relu")).advice,
        "ratio is 0.5": lambda: Settings(ratio=0.5),
        "per class": lambda: Settings(regularizer=ufm.WeightDecay(1e-3, 1e-3, per_class=True)),
        "bias": lambda: Settings(regularizer=ufm.WeightDecay(1e-3, 1e-3, 0.0)),
    }
    for words, call in refused.items():
        found, sentence = attempt(call)
        assert found is None
        assert words in sentence
        assert "\n" not in sentence
    single = curve(Settings(minority=1))
    assert single.threshold is None
    assert "KB >= 2" in single.refusal
    assert np.isnan(single.cosine).all()


def test_what_takes_long_waits():
    searched = View(Settings(head="explicit:2", majority=2, minority=2))
    assert not searched.fluent
    assert not searched.prompt
    assert len(searched.commands()) == 1
    assert View(Settings(loss="bce")).fluent
    assert not View(Settings(loss="bce")).prompt
    assert View(Settings()).prompt
    assert View(SOLVED["cosine"]).prompt  # there is no diagram


def timed(view, seconds):
    """The same view, as if its solution had taken so long."""
    slow = View(view.settings)
    slow.__dict__["solution"] = replace(view.solution, stats=view.solution.stats._replace(seconds=seconds))
    return slow


def test_a_diagram_of_minutes_is_refused(monkeypatch):
    view = View(Settings(loss="focal:gamma=2.0", majority=2, minority=2))
    # A curve of 25 points and, where it takes less than a minute, a diagram of 16 x 12.
    assert timed(view, 0.1).seconds == pytest.approx(21.7)
    assert timed(view, 1.0).seconds == pytest.approx(25.0)
    slow = timed(view, 1.0)
    monkeypatch.setattr("ufm.explore.view.solve", lambda problem: slow.solution)
    assert "takes 192 searches, 3 min" in attempt(lambda: slow.phase)[1]
    # The first solution of a process may be slow because it loads libraries: then the second one counts.
    monkeypatch.setattr("ufm.explore.view.solve", lambda problem: timed(view, 0.01).solution)
    monkeypatch.setattr("ufm.explore.view.phase", lambda settings: settings)
    assert slow.phase == view.settings
