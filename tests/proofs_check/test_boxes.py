"""Boxes: what is certified over continuous ranges, against solvers at points, and wrong formulas, which must be rejected."""

import json
from dataclasses import replace
from itertools import pairwise
from math import exp, log, sqrt

import numpy as np
import pytest
import sympy as sp
from flint import arb
from latex2mathml.converter import convert

import ufm
from proofs_check import report
from proofs_check.box import Box, Curve, Route, precision, signed, vanishes
from proofs_check.boxes import budget, newton, normalised
from proofs_check.boxes.table import BOXES, box_of, claims_of
from proofs_check.cache import judged_box, plain_box
from proofs_check.enclosure import Enclosure, Outcome, less
from proofs_check.judging import judge, summed_up
from proofs_check.mutation import of_box
from proofs_check.registry import all_theorems
from proofs_check.site.boxes import regions, section

BOOK = all_theorems()
CLOSED = sorted(name for name, entry in BOXES.items() if not entry.mesh)
each = pytest.mark.parametrize("name", sorted(BOXES))


@pytest.fixture(scope="module")
def evaluated():
    return {name: box_of(name, "quick")[0] for name in BOXES}


def test_at_least_nine_theorems_have_boxes():
    assert len(BOXES) >= 9
    assert set(BOXES) <= set(BOOK)
    assert box_of("F1") == ()


@each
def test_every_box_is_certified_and_rejects_wrong_formulas(name, evaluated):
    box = evaluated[name]
    assert box.trouble == []
    assert box.certified
    assert 0 <= box.band <= 1e-6
    assert all(f.outcome is Outcome.VIOLATED and f.margin > 0 for f in box.controls)
    assert (box.route is Route.CLOSED) == (name in CLOSED)
    assert (box.band == 0) == (name in CLOSED)
    texts = (box.statement, box.argument, *(f.what for f in box.findings), *(f"${r.symbol}$ {r.values}" for r in box.ranges))
    for text in texts:
        assert text.count("$") % 2 == 0, text
        for latex in text.split("$")[1::2]:
            assert "\\" not in convert(latex), latex


@each
def test_every_box_can_be_shown_and_written_down(name, evaluated):
    box = evaluated[name]
    page = section((box,))
    assert "<svg" in page
    assert "polyline" in page
    assert regions(Curve(box.curve.x, box.curve.y, (), *box.curve[3:])) == ""
    again = judged_box(json.loads(json.dumps(plain_box(box))))
    assert again.trouble == []
    assert report.box(again) == report.box(box)


@each
def test_what_a_box_claims_is_known_without_certifying_it(name, evaluated):
    for claim, box in ((claims_of(name, "quick")[0], evaluated[name]), (claims_of(name)[0], None)):
        said = vars(claim)
        assert {"statement", "ranges", "route", "argument", "below", "above"} == set(said)
        assert all(said.values())
        assert box is None or said == {field: getattr(box, field) for field in said}
    assert claims_of("F1") == ()


def test_a_box_that_is_not_certified_keeps_its_theorem_from_holding(evaluated):
    verdict = judge(BOOK["Z2"], "float", scale="quick")
    assert verdict.boxes[0].certified
    assert verdict.outcome is Outcome.HOLDS
    for spoiled in (
        replace(evaluated["Z2"], band=2e-6),
        replace(evaluated["Z2"], controls=()),
        replace(evaluated["Z2"], findings=()),
        replace(evaluated["Z2"], controls=evaluated["Z2"].findings),
    ):
        assert not spoiled.certified
        worse = summed_up(replace(verdict, boxes=(spoiled,)), "float")
        assert worse.outcome is Outcome.INCONCLUSIVE
        assert set(spoiled.trouble) <= set(worse.trouble)
    wrong = replace(evaluated["Z2"], findings=evaluated["Z2"].controls)
    assert summed_up(replace(verdict, boxes=(wrong,)), "float").outcome is Outcome.VIOLATED


@pytest.mark.parametrize("name", ["D4", "H3", "X1", "X12"])
def test_mutants_of_closed_forms_are_rejected(name):
    fates = of_box(name)
    assert len(fates) >= 3
    assert [f.name for f in fates if not f.rejected and f.fate != "equivalent"] == []


def test_the_curve_of_the_budget_box_is_the_threshold_of_the_solver(evaluated):
    """The border at a ratio is the budget whose certified threshold is that ratio."""
    for ratio, c in evaluated["F5"].curve.points[5::20]:
        found = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1.0, c * c), level="rigorous")
        assert found.value == pytest.approx(ratio, rel=1e-9)


def test_cells_cover_the_ratios_without_a_gap_and_enclose_between_their_ends():
    """At points inside of cells the polynomial with its remainder contains C*, computed without cells."""
    from ufm.analysis.thresholds.budget import critical_budget

    cells = budget.mesh(3, 7)
    assert cells is not None
    assert all(a.high == b.low for a, b in pairwise(cells))
    assert cells[-1].high >= log(1000)
    rng = np.random.default_rng(0)
    with precision(budget.BITS):
        for cell in cells[:: len(cells) // 12]:
            t = float(rng.uniform(cell.low, cell.high))
            value = cell.at(arb(t))
            direct = critical_budget(3, 7, exp(t))
            assert abs(float(value.mid()) - direct) <= float(value.rad()) + 1e-11 * direct
            assert float(value.rad()) <= cell.width


def test_a_wrong_formula_leaves_no_certified_budget_box():
    box = budget.explicit("quick", budget.doubled)
    assert not box.certified
    assert any(f.outcome is Outcome.VIOLATED for f in box.findings)


def test_the_border_of_fixed_norms_is_met_by_certified_verdicts(evaluated):
    """One per cent on either side of the border the certified optimum is separated, and collapsed."""
    ratio, decay = evaluated["X3"].curve.points[40]
    counts = [round(ratio * 10**5)] * 5 + [10**5] * 5
    for factor, expected in ((0.99, "no"), (1.01, "yes")):
        problem = ufm.Problem(counts, regularizer=ufm.ClassifierDecay(factor * decay), head="layernorm")
        assert ufm.collapse(ufm.solve(problem)).verdict == expected


def test_slopes_over_a_cell_contain_those_at_points():
    """Differences of log decay along beta lie in the enclosure of the derivative over the cell."""
    sizes = (5, 5)
    with precision(normalised.BITS):
        start = normalised.begun(sizes)
        t, half = log(90.0), (4e-3, 4e-3)
        at = normalised.reached(normalised.equations, sizes, start, t, 0.0)
        found = normalised.cell(normalised.equations, sizes, at, t, 0.0, half)
        assert found is not None
        heights = []
        for s in (-4e-3, 4e-3):
            point = newton.polished(lambda u, s=s: normalised.equations(*sizes, u, arb(t), arb(s))[0], at)
            assert all(box.contains(v) for box, v in zip(found.unknowns, point, strict=True))
            heights.append(normalised.equations(*sizes, point, arb(t), arb(s))[1])
        assert found.by_beta.contains(((heights[1] - heights[0]) / 8e-3).mid())


def test_interval_newton_finds_roots_and_refuses_where_there_are_none():
    def circle(v):
        x, y = v
        return [x * x + y * y - 2, x - y]

    with precision(96):
        box = newton.enclosed(circle, newton.polished(circle, [1.3, 0.8]), 1e-20)
        assert box is not None
        assert all(v.contains(1) and v.rad() < 1e-20 for v in box)
        assert newton.enclosed(lambda v: [v[0] * v[0] + 1], [arb("0.5")], 1e-3) is None
        assert newton.enclosed(lambda v: [v[0] * v[0]], [arb(0)], 1e-3) is None
        assert newton.enclosed(lambda v: [v[0].log() - v[0] * 3], [arb("0.1")], 1e-3) is None


def test_what_computer_algebra_cannot_decide_is_not_certified():
    x, y = sp.symbols("x y", positive=True)
    assert vanishes("zero", sp.sqrt(x) * sp.sqrt(y) - sp.sqrt(x * y)).outcome is Outcome.HOLDS
    assert vanishes("not zero", x - y / 10**12 - x * (1 - sp.Rational(1, 10**9))).outcome is Outcome.VIOLATED
    assert vanishes("unknown function", sp.gamma(x) - y).outcome is Outcome.INCONCLUSIVE
    assert signed("positive", x + y, True).outcome is Outcome.HOLDS
    assert signed("not positive", -x - y, True).outcome is Outcome.VIOLATED
    assert signed("either", x - y, True).outcome is Outcome.INCONCLUSIVE


def test_closed_forms_meet_the_thresholds_of_the_solver(evaluated):
    """H3 at the picture's numbers of classes: R0 of the analysis is on the curve."""
    for mu, ratio in evaluated["H3"].curve.points[3::12]:
        if ratio <= 1:
            continue
        found = ufm.threshold(classes=(5, 5), regularizer=ufm.WeightDecay(mu, mu), minority_count=100)
        assert found.value == pytest.approx(ratio, rel=1e-9)
        assert ratio == pytest.approx((1 / (sqrt(100) * mu) - 5) / 5, rel=1e-12)


def test_an_empty_box_is_not_certified():
    one = less("x", Enclosure(0, 0), Enclosure(1, 1), level="rigorous")
    assert Box("", (), Route.CLOSED, "", "", "", 0.0, (), ()).trouble == [
        "box: nothing was certified", "box: there is no negative control",
    ]  # fmt: skip
    assert not Box("", (), Route.CLOSED, "", "", "", float("nan"), (one,), ()).certified
