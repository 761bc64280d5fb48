"""What objects say and how they travel: statuses, one-line forms, plain values, tables, copies and pickles."""

import copy
import json
import pickle
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import ufm
from ufm.deq.fixed_point import FixedPointStatus
from ufm.errors import InputError
from ufm.solvers import Gradient

DECAY = ufm.WeightDecay(5e-4, 5e-4)
STEP = ufm.Problem("100*5,10*5", regularizer=DECAY)
NONCONVEX = ufm.Problem([12] * 4, regularizer=ufm.WeightDecay(5e-3, 5e-3), head="explicit:2")
"""A tail whose sizes are all different."""
TAIL = ufm.Problem(ufm.long_tailed(40, largest=1000, ratio=100), regularizer=DECAY)


@pytest.fixture(scope="module")
def solution():
    return ufm.solve(STEP)


@pytest.fixture(scope="module")
def objects(solution):
    """One of each kind that users hold."""
    tail = ufm.solve(TAIL)
    return {
        "problem": STEP,
        "tail": TAIL,
        "counts": TAIL.counts,
        "solution": solution,
        "factored": ufm.solve(STEP, method="factored"),
        "tail's solution": tail,
        "best": ufm.solve(NONCONVEX),
        "zero": ufm.solve(ufm.Problem([5, 5], regularizer=ufm.WeightDecay(9.0, 9.0))),
        "path": ufm.solve(ufm.Problem([4] * 3, regularizer=ufm.WeightDecay(0.05, 0.05)), method=Gradient(max_iterations=50)),
        "mse": ufm.solve(ufm.Problem([5, 5, 2], regularizer=ufm.WeightDecay(1e-2, 1e-2), loss="mse")),
        "certificate": solution.certificate,
        "threshold": ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5)),
        "collapse": ufm.collapse(solution),
        "undecided": ufm.collapse(ufm.solve(NONCONVEX)),
        "prediction": ufm.predict(STEP),
        "contrastive": ufm.solve_contrastive("100*5,10*5", temperature=0.5),
        "never": ufm.contrastive_threshold(classes=(5, 5), temperature=0.5),
        "advice": ufm.advise("100*5,10*5", regularizer=DECAY),
        "accepted": ufm.Recheck(True, "both bounds are proved", 0.25, 0.5, 9),
        "rejected": ufm.Recheck(False, "the witness does not prove the lower bound"),
        "status": ufm.Status.BEST,
    }


@pytest.mark.parametrize("kind", [ufm.Status, FixedPointStatus])
def test_a_status_is_a_word_with_a_sentence(kind):
    for status in kind:
        assert str(status) == status.value == f"{status}" == status
        assert status == status.value
        assert hash(status) == hash(status.value)
        assert status.value.isidentifier() or "-" in status.value
        assert len(status.value) < len(status.message)
        assert kind(status.value) is status
        assert pickle.loads(pickle.dumps(status)) is copy.deepcopy(status) is copy.copy(status) is status
        assert json.loads(json.dumps(status)) == status
    assert len({s.message for s in kind}) == len(kind)


def test_words_of_statuses_are_stable():
    assert [str(s) for s in ufm.Status] == ["optimal", "zero", "open", "best", "loose"]
    assert "optimal" in {ufm.Status.OPTIMAL}
    with pytest.raises(ValueError, match="fine"):
        ufm.Status("fine")


def test_every_object_is_one_readable_line(objects):
    for name, value in objects.items():
        line = repr(value)
        assert "\n" not in line, name
        assert len(line) < 320, (name, line)
        assert "array" not in line, (name, line)
        assert "object at" not in line, (name, line)
    solution = objects["solution"]
    assert repr(solution).startswith("Solution(optimal, value=0.19681119279881, gap=")
    assert repr(solution).endswith("(float), method='symmetric', 10 classes of sizes 100*5,10*5)")
    assert repr(TAIL.counts) == "ClassCounts('1000*1,889*1,790*1,702*1,...,11*1,10*1', 40 classes, 8898 samples)"
    assert repr(objects["rejected"]) == "Recheck(rejected: the witness does not prove the lower bound)"
    given = ufm.Problem("9*2", regularizer=ufm.WeightDecay(0.1, 0.2, 0.3), loss="mse", head="deq:rho=0.25", dim=7)
    assert repr(given) == (
        "Problem(2 classes of sizes 9*2, WeightDecay(weight=0.1, features=0.2, bias=0.3), "
        "loss=SquaredError(), head=LinearDEQ(rho=0.25), dim=7)"
    )


def test_numbers_in_lines_are_exact(objects):
    for name, fields in (("certificate", ("lower", "upper")), ("threshold", ("value", "lower", "upper"))):
        for field in fields:
            assert repr(getattr(objects[name], field)) in repr(objects[name])
    assert repr(objects["prediction"].lower) in repr(objects["prediction"])


def test_a_solution_answers_for_its_certificate(objects):
    for name in ("solution", "best", "zero", "path"):
        found = objects[name]
        certificate = found.certificate
        assert (found.lower, found.upper, found.gap, found.relative_gap) == (
            certificate.lower,
            certificate.upper,
            certificate.gap,
            certificate.relative_gap,
        )
        assert found.success == (found.status in ("optimal", "zero"))
        assert found.message == found.status.message
    assert objects["zero"].status == "zero"
    assert not objects["best"].success


def test_saving_a_solution_saves_its_certificate(solution, tmp_path):
    solution.save(tmp_path / "one.json")
    solution.certificate.save(tmp_path / "other.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    assert ufm.recheck(tmp_path / "one.json").accepted


def plain(value):
    """Whether a value holds nothing but what JSON holds."""
    if isinstance(value, dict):
        return all(type(key) is str and plain(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (str, int, float, bool)


def test_plain_values_are_json_and_keep_the_numbers(objects):
    for name, value in objects.items():
        if not hasattr(value, "to_dict"):
            assert name in ("problem", "tail", "counts", "status"), name
            continue
        found = value.to_dict()
        again = json.loads(json.dumps(found, allow_nan=False))
        assert again == json.loads(json.dumps(again)), name
        lists = json.loads(json.dumps(found))  # tuples are lists there
        assert plain(lists), name
        for key in ("value", "lower", "upper", "level"):
            entry = getattr(value, key, None)
            if key in found and hasattr(value, key) and not (isinstance(entry, float) and np.isinf(entry)):
                assert found[key] == entry, (name, key)
    assert objects["undecided"].to_dict()["upper"] is None
    assert objects["prediction"].to_dict()["weight"] == objects["prediction"].weight.tolist()
    assert objects["best"].to_dict()["candidates"][0]["value"] == objects["best"].candidates[0].value
    assert "candidates" not in objects["solution"].to_dict()
    assert objects["solution"].to_dict()["seconds"] == objects["solution"].stats.seconds


def test_a_summary_fits_a_terminal(objects):
    for name in ("solution", "best", "zero", "tail's solution"):
        found = objects[name]
        text = found.summary()
        assert max(map(len, text.splitlines())) <= 80, name
        assert "\x1b" not in text
        assert f"{found.value:.14g}" in text
        assert found.method in text


class Cells(HTMLParser):
    """Texts of a table, and the tags that it is made of."""

    def __init__(self):
        super().__init__()
        self.texts, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_a_notebook_shows_an_escaped_table(objects):
    for name in ("solution", "best"):
        html = objects[name]._repr_html_()
        cells = Cells()
        cells.feed(html)
        assert cells.tags == {"table", "caption", "tbody", "tr", "th", "td"}
        assert f"{objects[name].value:.14g}" in cells.texts
    strange = copy.copy(objects["solution"])
    object.__setattr__(strange, "choice", "<script>x & y</script>")
    assert "<script>" not in strange._repr_html_()
    assert "&lt;script&gt;x &amp; y" in strange._repr_html_()


def test_rich_prints_the_same_table(solution):
    from rich.console import Console

    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(solution)
        assert f"{solution.value:.14g}" in console.export_text()


def same(one, other):
    """Whether two objects hold the same values, arrays bit for bit and equally protected."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes() and one.flags.writeable == other.flags.writeable
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dict__") and not isinstance(one, type | str):
        return same(vars(one), vars(other))
    return one == other or (one != one and other != other)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_and_pickles_are_the_same(objects, way):
    for name, value in objects.items():
        if isinstance(value, ufm.Solution):
            assert value.parameters.weight.size, name
        again = way(value)
        assert same(value, again), name
        assert repr(again) == repr(value), name
    again = way(objects["solution"])
    assert again.to_dict() == objects["solution"].to_dict()
    assert again.problem is again.certificate.problem
    assert again.certificate.rigorous().lower == objects["solution"].certificate.rigorous().lower
    assert again.program.scale.flags.writeable is False
    assert way(STEP) == STEP
    assert hash(way(TAIL.counts)) == hash(TAIL.counts)
    assert ufm.solve(way(STEP)).value == objects["solution"].value


def test_an_import_costs_next_to_nothing_and_names_are_loaded_at_their_first_use():
    heavy = ["numpy", "scipy", "matplotlib", "cvxpy", "sympy", "flint", "typer", "rich", "pandas", "sklearn", "distributed"]
    code = f"""
import sys, ufm
loaded = [name for name in sys.modules if name in {heavy!r} or name.startswith("ufm.")]
assert loaded == ["ufm._interrupts"], loaded
assert set(ufm.__all__) <= set(dir(ufm))
for name in ufm.__all__:
    found = getattr(ufm, name)
    assert found is sys.modules.get("ufm." + name, found) and name in vars(ufm)
assert ufm.plot.gram and ufm.sweep.run and ufm.training.Settings and ufm.conventions.from_convention
try:
    ufm.no_such_name
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "No ufm attribute no_such_name\n"


def test_a_solution_is_drawn_in_a_new_figure(objects, tmp_path):
    for name in ("solution", "tail's solution", "zero"):
        found = objects[name]
        figure = ufm.plot.solution(found)
        assert figure is not ufm.plot.solution(found)
        logits, weight, means = (axis.images[0].get_array() for axis in figure.axes[:3])
        assert np.array_equal(logits, found.parameters.logits)
        assert np.abs(weight).max() <= 1 + 1e-12
        if found.status == "optimal":
            first, second = found.parameters.weight[:2]
            assert weight[0, 1] == pytest.approx(first @ second / np.linalg.norm(first) / np.linalg.norm(second), abs=1e-12)
            assert np.allclose(np.diag(means), 1.0)
        else:
            assert not weight.any()
        assert str(found.status) in figure.get_suptitle()
        assert ufm.plot.save(figure, tmp_path, "drawn", "png").stat().st_size > 5000
    with pytest.raises(ufm.InputError, match=r"ufm\.solve"):
        ufm.plot.solution(STEP.counts)
    with pytest.raises(ufm.InputError, match="K=2001"):
        ufm.plot.solution(ufm.solve(ufm.Problem("9*2001", regularizer=DECAY)))


@pytest.mark.parametrize("value", [0, -1, 1.0, True, np.True_, "3", [1], float("nan"), 10**9 + 1])
def test_whole_numbers_are_refused_with_the_argument_and_its_limits(value):
    with pytest.raises(InputError, match=r"^dim is .*; give a whole number from 1 to 1000000000$"):
        ufm.Problem("10*3", regularizer=ufm.WeightDecay(1e-2, 1e-2), dim=value)


@pytest.mark.parametrize("value", [1, np.int8(3), np.uint64(10**9)])
def test_numpy_integers_are_whole_numbers(value):
    found = ufm.Problem("10*3", regularizer=ufm.WeightDecay(1e-2, 1e-2), dim=value).dim
    assert type(found) is int
    assert found == int(value)


def test_a_class_size_has_a_limit_that_is_named():
    assert ufm.ClassCounts.of([2**53, 1]).total == 2**53 + 1
    with pytest.raises(InputError, match=r"^a class size is 9007199254740993; give a whole number from 1 to 2\*\*53$"):
        ufm.ClassCounts.of([2**53 + 1, 1])
