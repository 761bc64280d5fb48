"""Sections, pictures and files of a view: well-formed, with a level beside every number, and accepted where they are used."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest

import ufm
from ufm.explore import Settings, View, downloads, sections
from ufm.explore.pictures import Axis, cosine_curve, gram_matrix, phase_diagram

VIEWS = {
    "decay": View(Settings()),
    "zero": View(Settings(regularizer=ufm.WeightDecay(0.1, 0.1))),
    "budget": View(Settings(regularizer=ufm.NormBudget(1.0, 5.0), level="rigorous")),
    "one minority class": View(Settings(minority=1)),
    "balanced": View(Settings(ratio=1.0)),
    "layernorm": View(Settings(head="layernorm", regularizer=ufm.ClassifierDecay(1e-2))),
    "relu": View(Settings(head="relu")),
    "refused": View(Settings(head="relu", loss="mse")),
}
views = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


def made(view):
    """All sections, with what takes long."""
    return [
        sections.title(),
        sections.optimum(view),
        sections.diagrams(view, asked=True, button=""),
        sections.remedies(view),
        sections.reproduced(view, asked=True, files=""),
    ]


@views
def test_sections_are_well_formed(view):
    names = []
    for part in made(view):
        tree = ElementTree.fromstring(f"<body>{part}</body>")
        names += [element.get("id") for element in tree.iter() if element.get("id")]
        for picture in tree.iter("svg"):
            assert picture.get("aria-label")
            assert picture.get("role") == "img"
            assert all(not np.isnan(float(n)) for n in re.findall(r"[-\d.]+|nan", picture.get("viewBox")))
        assert "nan" not in re.sub(r"base64,[^\"]*", "", part)
    assert len(names) == len(set(names))


@views
def test_every_number_has_its_level(view):
    text = "".join(made(view))
    levels = re.findall(r"<output[^>]*>[^<]*</output>[^<]*?\((\w+)", text)
    assert len(levels) == text.count("<output")
    assert set(levels) <= {"float", "rigorous", "numeric"}
    if view is not VIEWS["refused"]:
        assert re.search(rf"bounds</th><td>[^<]* \({view.settings.level}\)", text)


def test_a_refusal_is_its_sentence_alone():
    view = VIEWS["refused"]
    with pytest.raises(ufm.InputError) as refused:
        ufm.solve(view.settings.problem)
    shown = made(view)[1:]
    assert [str(refused.value) in part for part in shown] == [True, False, False, False]
    assert shown[1:] == ["", "", ""]
    assert downloads.names(view) == ()


def test_numbers_are_those_of_the_view():
    view = VIEWS["decay"]
    text = "".join(made(view))
    shown = dict(re.findall(r'<output id="(\w+)">([^<]*)</output>', text))
    assert float(shown["value"]) == view.solution.value
    assert float(shown["threshold"]) == 7.0  # (1 / (sqrt(100) 0.0025) - 5) / 5, docs/theory, Proposition 7.2
    for name in ("cos_majority", "cos_minority", "cos_cross", "norm_ratio"):
        assert float(shown[name]) == pytest.approx(view.report.metrics[name], rel=1e-9)


def test_what_waits_has_a_button():
    view = View(Settings(loss="bce"))
    before, after = (sections.diagrams(view, asked=asked, button="<b>press</b>") for asked in (False, True))
    assert "press" in before
    assert "Phase diagram" not in before
    assert "press" not in after
    assert "Phase diagram" in after


def test_solutions_of_seconds_are_announced():
    # Multistart takes 1.5e-4 K^3 seconds (ufm.solvers.estimate), 9.6 for K = 40.
    assert "about 10 s" in sections.waiting(View(Settings(head="explicit:2", majority=20, minority=20)))
    assert [sections.waiting(VIEWS[name]) for name in ("decay", "layernorm", "refused")] == ["", "", ""]


def test_axes_and_marks_are_where_they_belong():
    axis = Axis(1.0, 1000.0, 0.0, 300.0)
    assert [axis.place(v) for v in (0.1, 1.0, 10.0, 1000.0, 1e9)] == pytest.approx([0.0, 0.0, 100.0, 300.0, 300.0])
    assert axis.ticks == pytest.approx([1.0, 10.0, 100.0, 1000.0])
    assert Axis(-1.0, 1.0, 10.0, 0.0, False).ticks == [-1.0, -0.5, 0.0, 0.5, 1.0]
    view = VIEWS["decay"]
    first, second = (ElementTree.fromstring(cosine_curve(view.curve, r, 0.0)) for r in (2.0, 20.0))
    dots = [float(next(picture.iter("circle")).get("cx")) for picture in (first, second)]
    # R = 2 and R = 20 are a decade apart, a third of the axis.
    lines = [float(tick.get("x1")) for tick in first.iter("line") if tick.get("class") == "axis"][:4]
    assert dots[1] - dots[0] == pytest.approx(lines[1] - lines[0], abs=0.15)
    limit = next(line for line in first.iter("line") if line.get("class") == "limit")
    assert float(limit.get("x1")) == pytest.approx(lines[0] + np.log10(7.0) * (lines[1] - lines[0]), abs=0.1)
    diagram = ElementTree.fromstring(phase_diagram(view.phase, 5.0, 2.5e-3))
    assert [element.get("class") for element in diagram.iter("polyline")] == ["limit"]


def test_a_large_matrix_is_thinned():
    picture = gram_matrix(np.eye(400), ufm.ClassCounts(((9, 200), (3, 200))), "large")
    assert len(picture) < 30_000


@pytest.mark.parametrize("name", ["decay", "one minority class", "layernorm"])
def test_files(name, tmp_path):
    view = VIEWS[name]
    names = downloads.names(view)
    assert names == ("certificate.json", "view.pdf", "view.svg", "view.png")
    first = {"view.pdf": b"%PDF-", "view.svg": b"<?xml", "view.png": b"\x89PNG"}
    for file in names[1:]:
        assert downloads.content(view, file).startswith(first[file])
    path = tmp_path / names[0]
    path.write_bytes(downloads.content(view, names[0]))
    found = ufm.recheck(path)
    assert found.accepted
    assert found.lower <= view.solution.value <= found.upper
    assert json.loads(path.read_text())["claim"]
