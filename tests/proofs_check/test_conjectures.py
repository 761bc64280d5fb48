"""Claims of a user's own: false ones are refuted with certificates, true ones survive and say how far they were searched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from rich.console import Console

import ufm
from proofs_check import conjecture_command
from proofs_check.conjecture import Choice, Conjecture, Real, Whole
from proofs_check.enclosure import Enclosure, Outcome
from proofs_check.searching import evaluate, search
from proofs_check.theorem import Hypothesis
from ufm.errors import InputError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conjectures.md"


@pytest.fixture(scope="module")
def documented(tmp_path_factory):
    """The file of the documentation."""
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    path = tmp_path_factory.mktemp("user") / "my_claim.py"
    path.write_text(block, encoding="utf-8")
    return path


def test_the_documented_example(documented, tmp_path):
    """As printed there: the first is refuted and its certificate is accepted, the second survives."""
    command = [sys.executable, "-W", "error", "-m", "proofs_check", str(documented), "--budget", "60"]
    files = ["--save", str(tmp_path / "found"), "--json", str(tmp_path / "all.json")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    said = re.search(r"--save found\n(.*?)^\$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert said is not None
    for line in said[1].splitlines():
        if line.strip() != "...":
            assert line in done.stdout
    first, second = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert (first["outcome"], second["outcome"]) == ("refuted", "not refuted")
    assert second["points"]["holding"] == 60
    saved = json.loads((tmp_path / "found" / "C1-counterexample.json").read_text(encoding="utf-8"))
    assert saved["counterexample"] == first["counterexample"]
    (name,) = saved["counterexample"]["certificates"]
    found = ufm.recheck(tmp_path / "found" / name)
    assert found.accepted
    # The refutation can be read off the file and the closed form: the proved upper bound lies below what is predicted.
    assert found.upper < saved["counterexample"]["finding"]["predicted"][0]


class Toy(Conjecture):
    """A claim about a number that is computed by nothing but its parameters."""

    id = "T"
    parameters: ClassVar = {"x": Real(0.0, 1.0), "n": Whole(1, 100)}
    level = "rigorous"

    def predicted(self, p):
        return Enclosure(0.0, 0.0)

    def computed(self, p, level):
        return Enclosure(0.0, 0.0)


def made(**members):
    return type("Made", (Toy,), members)


def gap(p, level=None):
    """Positive for x > 0.7 and n >= 40 only: a corner of the box."""
    return max(p.x - 0.7, 0.0) * max(p.n - 39, 0)


def test_a_counterexample_is_found_and_made_simple():
    toy = made(computed=lambda self, p, level: Enclosure(gap(p), gap(p)))
    found = search(toy, level="float")
    assert found.counterexample is not None
    point = found.counterexample.point
    assert gap(SimpleNamespace(**point)) > 0
    assert point["n"] == 40  # no smaller one is a counterexample
    assert len(f"{point['x']:.12g}") <= 4


def test_small_regions_are_found_by_going_near_the_telling_points():
    """The claim fails within 1e-3 of a point and is nearly contradicted around it: random points alone would miss it."""
    centre = np.array([0.3721, 0.5113])

    def computed(self, p, level):
        distance = float(np.hypot(p.x - centre[0], p.y - centre[1]))
        return Enclosure(1e-3 - distance, 2.0 - distance)

    toy = made(parameters={"x": Real(0, 1), "y": Real(0, 1)}, relation="at most", computed=computed, tolerance=0.5)
    found = search(toy, level="float", budget=400)
    assert found.counterexample is not None


def test_the_same_seed_gives_the_same_search():
    seen = []
    toy = made(computed=lambda self, p, level: seen.append((p.x, p.n)) or Enclosure(0, 0))
    for seed in (1, 1, 2):
        search(toy, level="float", budget=30, seed=seed)
    assert seen[:30] == seen[30:60] != seen[60:]
    assert all(0 <= x <= 1 and 1 <= n <= 100 for x, n in seen)


@pytest.mark.parametrize(
    ("relation", "low", "high", "outcome"),
    [
        ("equal", 0.0, 0.0, Outcome.HOLDS),
        ("equal", -0.1, 0.1, Outcome.INCONCLUSIVE),
        ("equal", 0.1, 0.2, Outcome.VIOLATED),
        ("equal", -0.2, -0.1, Outcome.VIOLATED),
        ("at most", -0.2, -0.1, Outcome.HOLDS),
        ("at most", -0.1, 0.1, Outcome.INCONCLUSIVE),
        ("at most", 0.1, 0.2, Outcome.VIOLATED),
        ("at least", 0.1, 0.2, Outcome.HOLDS),
        ("at least", -0.2, -0.1, Outcome.VIOLATED),
        ("equal", float("nan"), float("nan"), Outcome.INCONCLUSIVE),
    ],
)
def test_relations(relation, low, high, outcome):
    toy = made(relation=relation, computed=lambda self, p, level: Enclosure(low, high))
    assert evaluate(toy(), {"x": 0.0, "n": 1}, "rigorous").finding.outcome is outcome


def test_what_is_not_proved_refutes_nothing():
    """An enclosure that a user makes is numeric until they say more; it is reported as a doubt."""
    toy = made(level="numeric", computed=lambda self, p, level: Enclosure(1.0, 1.0))
    found = search(toy, level="rigorous", budget=5)
    assert found.counterexample is None
    assert found.doubtful is not None
    assert any("contradicted without proof" in line for line in conjecture_command.told(found))


def test_verdicts_and_thresholds_can_be_claimed():
    counts = [8000] * 3 + [1000] * 4

    class Collapses(Toy):
        """The minority collapses from sqrt(n) = N mu on: true for margins above 1, and claimed for all."""

        parameters: ClassVar = {"margin": Choice(1.2, 1.05, 0.8)}

        def predicted(self, p):
            return "yes"

        def computed(self, p, level):
            mu = p.margin * 1000**0.5 / sum(counts)
            return ufm.collapse(ufm.solve(ufm.Problem(counts, regularizer=ufm.WeightDecay(mu, mu)), level=level))

    found = search(Collapses)
    assert found.counterexample is not None
    assert found.counterexample.point == {"margin": 0.8}

    class Ratio(Toy):
        """The explicit threshold is sqrt(n) = N mu: R0 = (1/(mu sqrt n) - K_B)/K_A."""

        parameters: ClassVar = {"mu": Real(1e-3, 5e-3, logarithmic=True)}

        def predicted(self, p):
            from flint import arb

            return Enclosure.ball(lambda: (10 / (arb(p.mu) * 100) - 5) / 5)

        def computed(self, p, level):
            decay = ufm.WeightDecay(p.mu, p.mu)
            return ufm.threshold(classes=(5, 5), regularizer=decay, minority_count=100, level=level)

    survived = search(Ratio, budget=8)
    assert survived.counterexample is None
    assert survived.holding == 8


def test_refusals_and_hypotheses_are_counted():
    def computed(self, p, level):
        if p.n > 50:
            raise InputError("too many")
        return Enclosure(0.0, 0.0)

    toy = made(hypotheses=(Hypothesis("x below a half", lambda p: p.x < 0.5),), computed=computed)
    found = search(toy, level="float", budget=40)
    assert found.refused > 0
    assert found.outside > 0
    assert found.holding > 0
    assert found.reason == "too many"
    assert "first refusal: too many" in conjecture_command.told(found)[-1]


def test_the_time_limit_ends_a_search():
    import time

    toy = made(computed=lambda self, p, level: time.sleep(0.05) or Enclosure(0.0, 0.0))
    found = search(toy, level="float", budget=10_000, seconds=0.4)
    assert found.stopped
    assert 0 < found.evaluated < 100


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"id": ""}, "id"),
        ({"parameters": {}}, "parameters"),
        ({"parameters": {"x": 3}}, "Whole"),
        ({"relation": "less"}, "relation"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"level": "sure"}, "level"),
        ({"predicted": lambda self, p: "maybe", "computed": lambda self, p, level: "yes"}, "predicts"),
        ({"predicted": lambda self, p: "yes"}, "both must"),
        ({"computed": lambda self, p, level: 1 / 0}, "ZeroDivisionError"),
        ({"computed": lambda self, p, level: 3.0}, "TypeError"),
    ],
)
def test_a_wrong_conjecture_is_refused_in_one_sentence(members, word):
    with pytest.raises(InputError, match=word) as raised:
        search(made(**members), level="float", budget=3)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("options", [{"budget": 0}, {"budget": True}, {"budget": 2.5}, {"seed": -1}])
def test_wrong_options_of_a_search(options):
    with pytest.raises(InputError, match=next(iter(options))):
        search(Toy, level="float", **options)


@pytest.mark.parametrize("make", [
    lambda: Whole(3, 2), lambda: Whole(1, 2, 0), lambda: Whole(0.5, 2), lambda: Real(1, 0), lambda: Choice(),
    lambda: Real(0, 1, logarithmic=True), lambda: Real(float("nan"), 1),
])  # fmt: skip
def test_wrong_ranges(make):
    with pytest.raises(InputError):
        make()


@pytest.mark.parametrize(
    "values", [Whole(2, 30), Whole(2, 31, 4), Real(-1, 5), Real(1e-6, 1, logarithmic=True), Choice("a", "b")]
)
def test_ranges_stay_within_themselves(values):
    rng = np.random.default_rng(0)

    def inside(value):
        if isinstance(values, Choice):
            return value in values.values
        whole = not isinstance(values, Whole) or (value - values.low) % values.step == 0
        return values.low <= value <= values.high and whole

    start = values.draw(rng)
    drawn = [values.draw(rng) for _ in range(50)] + [
        values.near(start, scale, rng) for scale in (1.0, 0.1, 1e-3) for _ in range(20)
    ]
    assert all(map(inside, [*values.corners(), *drawn, *values.simpler(start)]))
    assert start not in values.simpler(start)
    assert str(values)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("x = 1", "no conjecture"),
        ("1 / 0", "ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
        ("from tests.proofs_check.test_conjectures import Toy\nclass A(Toy): pass\nclass B(Toy): pass", "two conjectures"),
    ],
)
def test_wrong_files(tmp_path, text, word):
    path = tmp_path / "claims.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=word) as raised:
        conjecture_command.load(str(path))
    assert "\n" not in str(raised.value)


def test_a_claim_that_survives_exits_with_success(tmp_path):
    path = tmp_path / "claims.py"
    path.write_text(
        "from tests.proofs_check.test_conjectures import Toy\nclass Mine(Toy):\n    'It is zero.'\n", encoding="utf-8"
    )
    console = Console(record=True, width=200)
    options = {"level": "float", "budget": 5, "seed": 0, "limit": None, "save": None, "json": None}
    assert conjecture_command.run(console, [str(path)], **options) is False
    assert "not refuted: holds at 5 points" in console.export_text()
