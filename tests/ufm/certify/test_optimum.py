"""What a certificate proves about the optimum itself holds for the true optimum, also where the witness is rough."""

from __future__ import annotations

import copy
import math
from typing import Any

import mpmath
import numpy as np
import pytest
from flint import arb

import ufm
from tests.conftest import split
from tests.ufm.certify import documents
from ufm.certify.optimum import Optimum
from ufm.certify.verify import ExactProblem, Lower, Upper, working_precision


def holds(ball: arb, value: float, slack: float = 1e-9) -> bool:
    with working_precision():
        return bool(ball.lower() <= arb(value) + slack) and bool(ball.upper() >= arb(value) - slack)


def rough(document: dict[str, Any], seed: int, size: float) -> dict[str, Any]:
    """The witness with factors moved by a relative ``size``, and slopes shrunk by a factor near one."""
    moved = copy.deepcopy(document)
    rng = np.random.default_rng(seed)
    for name in ("contrast", "left", "right", "bias"):
        integers = moved["primal"][name]["integers"]
        for row in [integers] if name in ("contrast", "bias") else integers:
            row[:] = [str(round(int(v) * (1 + size * rng.standard_normal()))) for v in row]
    dual, m = moved["dual"], [g["classes"] for g in moved["problem"]["groups"]]
    groups = range(len(m))
    if moved["problem"]["loss"]["kind"] == "ce":
        keep = round(1000 * (1 - size * rng.uniform()))
        dual["other"] = [[str(int(v) * keep // 1000) for v in row] for row in dual["other"]]
        rest = [sum((m[g] - (g == h)) * int(dual["other"][g][h]) for g in groups) for h in groups]
        dual["own"] = [str(int(dual["denominator"]) - v) for v in rest]
    return moved


PROBLEMS = {
    "plain": ufm.Problem([40] * 2 + [10] * 3, regularizer=ufm.WeightDecay(4e-3, 1e-2)),
    "collapsed": ufm.Problem([60] * 2 + [4] * 3, regularizer=ufm.WeightDecay(1.8e-2, 1.8e-2)),
    "one majority": ufm.Problem([60] + [4] * 3, regularizer=ufm.WeightDecay(8e-3, 8e-3)),
    "budget": ufm.Problem([20] * 2 + [5] * 3, regularizer=ufm.NormBudget(1, 2)),
    "collapsed budget": ufm.Problem([300] * 2 + [2] * 3, regularizer=ufm.NormBudget(1, 1)),
    "linear DEQ": ufm.Problem([20] * 2 + [5] * 3, regularizer=ufm.WeightDecay(1e-2, 1e-2), head=ufm.LinearDEQ(0.4)),
    "everything": ufm.Problem(
        [20] * 2 + [5] * 3,
        regularizer=ufm.WeightDecay(1e-2, 1e-2, 0.1),
        loss=ufm.CrossEntropy(weights=0.5, adjustment=0.5, temperatures=0.3, smoothing=0.1),
    ),
    "squares": ufm.Problem([20] * 2 + [5] * 3, regularizer=ufm.WeightDecay(1e-2, 1e-2), loss=ufm.SquaredError()),
    "per class": ufm.Problem([20] * 2 + [5] * 3, regularizer=ufm.WeightDecay(5e-2, 5e-2, per_class=True)),
}


@pytest.fixture(scope="module")
def solved() -> dict[str, tuple[dict[str, Any], Any]]:
    """Document and logits of each problem, solved to machine accuracy."""
    found = {}
    for name, problem in PROBLEMS.items():
        solution = ufm.solve(problem)
        assert solution.certificate.relative_gap < 1e-11
        found[name] = (solution.certificate.document(), solution)
    return found


def true_values(solution: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(G,) contrasts of the optimum, and its probabilities of the class itself and of others (squared error: logits)."""
    program = solution.program
    logits = program.spread(program.point(solution.factors))
    m = program.multiplicity
    contrast = np.where(m > 1, logits[-1] - np.diag(logits[:-1]), np.nan) / program.loss.temperature
    if not program.loss.shift_invariant:
        return contrast, logits[-1], logits[:-1]
    shifted = logits + np.vstack([np.tile(program.loss.offset[:, None], program.groups), program.loss.offset[None]])
    mass = np.exp(shifted - shifted.max())
    total = (program.logit_counts * mass).sum(axis=0)
    return contrast, (mass / total)[-1], (mass / total)[:-1]


@pytest.mark.parametrize("name", PROBLEMS)
def test_enclosures_contain_the_optimum(solved, name):
    document, solution = solved[name]
    contrast, own, other = true_values(solution)
    m = [int(v) for v in solution.program.multiplicity]
    for size in (0.0, 1e-5, 1e-3, 0.05, 0.3):
        for seed in range(3):
            proved = Optimum.of(rough(document, seed, size))
            for h in range(len(m)):
                assert holds(proved.own([h]), own[h])
                for g in range(len(m)):
                    if g != h or m[g] > 1:
                        assert holds(proved.other([g], [h]), other[g, h])
                if m[h] > 1:
                    lower, upper = proved.contrast([h])
                    assert 0 <= lower <= contrast[h] + 1e-6
                    assert contrast[h] - 1e-6 <= upper


@pytest.mark.parametrize("name", PROBLEMS)
def test_enclosures_are_as_narrow_as_the_gap_allows(solved, name):
    """Half-widths are the radius: of order root of the gap, and a hundredth of it where the gap is 10^4 times smaller."""
    document, _ = solved[name]
    wide, narrow = (Optimum.of(rough(document, 1, size)) for size in (1e-2, 1e-5))
    for found in (wide, narrow):
        with working_precision():
            delta = float(found.gap.mid())
            share = float(found.problem.share_ball[1].mid()) * found.problem.m[1]
            half = (found.own([1]).upper() - found.own([1]).lower()) / 2
        expected = math.sqrt(delta / (2 * share)) * (2 if found.problem.squared else 1)
        assert float(half.mid()) == pytest.approx(expected, rel=1e-5)
        assert delta >= 0


def test_contrasts_from_both_sources(solved):
    """Collapse is proved by complementary slackness (the root of the gap is far larger), separation by probabilities."""
    for name in ("collapsed", "collapsed budget"):
        proved = Optimum.of(solved[name][0])
        with working_precision():
            delta, radius = float(proved.gap.mid()), float(proved.radius([1]).mid())
        lower, upper = proved.contrast([1])
        assert lower == 0
        assert float(upper.mid()) < 1e6 * max(delta, 1e-18)
        assert float(upper.mid()) < radius
    for name in ("plain", "budget", "linear DEQ", "everything", "squares", "per class"):
        lower, upper = Optimum.of(solved[name][0]).contrast([1])
        assert 0 < lower <= upper
        assert float(upper.mid()) - float(lower.mid()) < 1e-2 * float(upper.mid())


def bernoulli(q: float) -> dict[str, Any]:
    """Two balanced classes whose optimum gives probability q to the class itself, with the exact dual and no primal.

    ``Z = x (I - 11'/2)`` has one singular value x, so mu sqrt(n) = (1 - q) for N = 2 n with n = 1, and q = 1 / (1 + e^-x).
    """
    document = documents.document("explicit", "decay", "plain", [(2, 1)], 0)
    document["problem"]["regularizer"].update({"lambda_W": f"{1 - q:.17f}", "lambda_H": f"{1 - q:.17f}"})
    document["dual"] = {
        "denominator": str(10**17), "own": [str(round(q * 10**17))], "other": [[str(10**17 - round(q * 10**17))]],
    }  # fmt: skip
    document["primal"] = {
        "contrast": {"exponent": -60, "integers": [str(round(math.log(q / (1 - q)) * 2.0**60))]},
        "left": {"exponent": 0, "integers": [[]]}, "right": {"exponent": 0, "integers": []},
        "bias": {"exponent": 0, "integers": ["0"]},
    }  # fmt: skip
    return document


@pytest.mark.parametrize("q", [0.5001, 0.51, 0.6, 0.9, 0.999])
def test_the_radius_where_it_is_tight(q):
    """Two classes: Pinsker's bound is attained in the limit of small steps at q = 1/2, so a smaller radius would be false."""
    document = bernoulli(q)
    exact = Optimum.of(document)
    assert holds(exact.own([0]), q)
    x = math.log(q / (1 - q))
    for step in (-0.2, -1e-2, -1e-3, 1e-3, 1e-2, 0.2):
        moved = copy.deepcopy(document)
        moved["primal"]["contrast"]["integers"] = [str(round((x + step) * 2.0**60))]
        proved = Optimum.of(moved)
        assert holds(proved.own([0]), q, 1e-13)
        assert holds(proved.other([0], [0]), 1 - q, 1e-13)
        lower, upper = proved.contrast([0])
        assert lower <= x + 1e-12
        assert x - 1e-12 <= upper
        if q == 0.5001 and abs(step) <= 1e-2 and x + step > 0:
            # gap = KL + what the penalty adds, here zero: |p - q| over the radius tends to one.
            there = 1 / (1 + math.exp(-x - step))
            with working_precision():
                assert 0.99 < abs(there - q) / float(proved.radius([0]).mid()) <= 1 + 1e-9


def test_the_radius_of_squared_error_is_tight():
    """One free direction: the gap of a step s is ``share m s^2 / 2`` per unit, and the logits move by no more than proved."""
    problem = ufm.Problem([1, 1], regularizer=ufm.WeightDecay(0.1, 0.1), loss=ufm.SquaredError())
    document = ufm.solve(problem).certificate.document()
    _, own, _ = true_values(ufm.solve(problem))
    for step in (1e-3, 0.1):
        moved = copy.deepcopy(document)
        moved["primal"]["contrast"]["integers"] = [str(round(int(moved["primal"]["contrast"]["integers"][0]) * (1 + step)))]
        proved = Optimum.of(moved)
        assert holds(proved.own([0]), own[0])
        with working_precision():
            there = float(proved.upper.own[0].mid())
            assert 0.3 < abs(there - own[0]) / float(proved.radius([0]).mid()) <= 1


@pytest.mark.parametrize("size", [0.0, 1e-4, 1e-2, 0.3])
def test_margins_of_single_classes(size):
    problem = ufm.Problem([30, 12, 5], regularizer=ufm.WeightDecay(5e-3, 8e-3))
    solution = ufm.solve(problem)
    program = solution.program
    logits = program.spread(program.point(solution.factors))
    proved = Optimum.of(rough(solution.certificate.document(), 3, size))
    for a in range(3):
        for b in range(3):
            if a != b:
                lower, upper = proved.margin(a, b)
                true = logits[-1, a] - logits[b, a]
                assert float(lower.mid()) <= true + 1e-7
                assert true - 1e-7 <= float(upper.mid())
                if size == 0.0:
                    assert float(upper.mid()) - float(lower.mid()) < 1e-3


def test_margins_that_nothing_bounds():
    document = bernoulli(0.9)
    document["problem"]["groups"] = [{"classes": 1, "size": 1}] * 2
    document["problem"]["loss"] = documents.loss("plain", 2, documents.random.Random(0))
    document["dual"] = {"denominator": "1", "own": ["1", "1"], "other": [["0", "0"], ["0", "0"]]}
    zero = {"exponent": 0, "integers": ["0", "0"]}
    far = {"left": {"exponent": 0, "integers": [["9"], ["-9"]]}, "right": {"exponent": 0, "integers": [["-9", "9"]]}}
    lower, upper = Optimum.of(document | {"primal": {"contrast": zero, "bias": zero, **far}}).margin(0, 1)
    assert float(lower.mid()) == -math.inf
    assert float(upper.mid()) >= math.log(9)


def test_groups_of_equal_size_are_averaged():
    """Every class a group of its own: own, other and contrast of several groups are those of one group with all classes."""
    problem = ufm.Problem([20] * 2 + [5] * 3, regularizer=ufm.WeightDecay(1e-2, 1e-2))
    merged = Optimum.of(ufm.solve(problem).certificate.document())
    apart = Optimum.of(split(ufm.solve(problem)).certificate.document())
    sizes = apart.problem.n
    small, large = ([g for g, n in enumerate(sizes) if n == size] for size in (5, 20))
    assert (len(small), len(large)) == (3, 2)
    assert apart.own(small).overlaps(merged.own([1]))
    assert apart.other(small, small).overlaps(merged.other([1], [1]))
    assert apart.other(large, small).overlaps(merged.other([0], [1]))
    lower, upper = apart.contrast(small)
    other_lower, other_upper = merged.contrast([1])
    assert max(lower, other_lower) <= min(upper, other_upper)
    with working_precision():
        share = float(merged.problem.share_ball[1].mid())
        assert float(apart.radius(small).mid()) == pytest.approx(math.sqrt(float(apart.gap.mid()) / (6 * share)), rel=1e-6)
        assert float((apart.own(small).upper() - apart.own(small).lower()).mid()) < 1e-2


@pytest.mark.parametrize("head", ["explicit:2", "decayed DEQ", "Frobenius DEQ", "relu", "etf"])
def test_programs_whose_gap_says_nothing(head):
    with pytest.raises(ufm.InputError, match="convex in singular values"):
        Optimum.of(documents.document(head, "decay", "plain", [(2, 3), (1, 1)], 0))


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_margins_of_other_losses_are_differences_of_enclosed_logits(loss):
    counts, decay = "20,8", ufm.WeightDecay(5e-3, 5e-3)
    solution = ufm.solve(ufm.Problem(counts, regularizer=decay, loss=loss))
    proved, logits = Optimum.of(solution.certificate.document()), np.asarray(solution.logits)
    for a in (0, 1):
        lower, upper = (float(end.mid()) for end in proved.margin(a, 1 - a))
        assert lower <= logits[a, a] - logits[1 - a, a] + 1e-6
        assert logits[a, a] - logits[1 - a, a] <= upper + 1e-6
        with working_precision():
            gaps = proved.own([a]), proved.other([1 - a], [a])
            ends = [ball if loss == "mse" else (ball / (1 - ball)).log() for ball in gaps]
            assert (ends[0] - ends[1]).contains(proved.margin(a, 1 - a)[0].union(proved.margin(a, 1 - a)[1]).mid())
        assert 0 < upper - lower < 0.01


def test_entropy_of_the_slackness_bound_by_hand():
    """Uniform probabilities on two classes at zero factors: gap, slackness and contrast in closed form."""
    document = bernoulli(0.75)
    document["primal"]["contrast"]["integers"] = ["0"]
    document["dual"] = {"denominator": "10", "own": ["9"], "other": [["1"]]}
    proved = Optimum.of(document)
    entropy = float(-mpmath.mpf("0.9") * mpmath.log("0.9") - mpmath.mpf("0.1") * mpmath.log("0.1"))
    gap = math.log(2) - entropy
    with working_precision():
        assert float(proved.gap.mid()) == pytest.approx(gap, rel=1e-12)
    # mu = 1/4; the witness exerts pi (0.9 - 1 ... ) = 0.5 * 0.2 = 0.1, so x <= gap / (0.25 - 0.1).
    lower, upper = proved.contrast([0])
    assert lower == 0
    radius = math.sqrt(gap / 2)
    by_probability = math.log((0.5 + radius) / (0.5 - radius)) if radius < 0.5 else math.inf
    assert float(upper.mid()) == pytest.approx(min(gap / (0.25 - 0.1), by_probability), rel=1e-9)


def by_hand(of: str, m: int, n: int, own: str, other: str, gap: str, slopes: tuple[int, int, int], allowed: str) -> Optimum:
    """One group of m classes of n samples: probabilities (logits for squared error), gap, slopes and allowed norm as given."""
    document = documents.document("explicit", "decay", "mse" if of == "mse" else "plain", [(m, n)], 0)
    low = Lower(arb(1), arb(allowed), arb(1) / 2, [slopes[0]], [[slopes[1]]], slopes[2])
    return Optimum(ExactProblem(document["problem"]), low, Upper(arb(1) + arb(gap), 1, [arb(own)], [[arb(other)]]))


def ends(ball: arb) -> tuple[float, float]:
    with working_precision():
        return float(ball.lower().mid()), float(ball.upper().mid())


@pytest.mark.parametrize("of", ["ce", "mse"])
@pytest.mark.parametrize(("m", "n"), [(3, 4), (4, 1)])
def test_enclosures_in_closed_form(of, m, n):
    """share = 1 / m; radius ``sqrt(gap / 2)``, twice that for squared error; contrasts from both sources, the smaller one."""
    with working_precision():
        other = "-0.2" if of == "mse" else "0.1"
        proved = by_hand(of, m, n, "0.7", other, "1e-4", (-4, 1, 10), "10")
        radius = math.sqrt(1e-4 / 2) * (2 if of == "mse" else 1)
        assert ends(proved.own([0])) == pytest.approx((0.7 - radius, 0.7 + radius), rel=1e-8)
        assert ends(proved.other([0], [0])) == pytest.approx((float(other) - radius, float(other) + radius), rel=1e-8)
        lower, upper = proved.contrast([0])
        # The witness exerts (1 + 4) / 10 share / scale, halved; what is left is charged (m - 1) scale times the contrast.
        scale = math.sqrt(n)
        slack = 10 - 0.5 * 0.5 / m / scale
        slackness = 1e-4 / (slack * (m - 1) * scale)
        assert float(upper.mid()) == pytest.approx(slackness, rel=1e-8)
        # Nothing is slack: the other source.
        tight = by_hand(of, m, n, "0.7", other, "1e-4", (-4, 1, 10), "1e-3")
        lower, upper = tight.contrast([0])
        if of == "mse":
            expected = (0.9 - 2 * radius, 0.9 + 2 * radius)
        else:
            expected = (math.log((0.7 - radius) / (0.1 + radius)), math.log((0.7 + radius) / (0.1 - radius)))
        assert (float(lower.mid()), float(upper.mid())) == pytest.approx(expected, rel=1e-8)
        # Own and other that cannot be told apart, and probabilities that may be zero.
        vague = by_hand(of, m, n, "0.3", "0.29" if of == "mse" else "1e-3", "1e-3", (-4, 1, 10), "1e-3")
        if of == "ce":
            assert float(vague.contrast([0])[1].mid()) == math.inf
        else:
            assert float(vague.contrast([0])[0].mid()) == 0
        even = by_hand(of, m, n, "0.25", "0.25", "1e-6", (-4, 1, 10), "1e-3")
        assert float(even.contrast([0])[0].mid()) == 0


def test_means_over_groups_count_classes_and_pairs_of_classes():
    """Groups of 2 and of 3 classes: 2 + 3 classes; 2 pairs within, 6 across each way, 6 within."""
    with working_precision():
        document = documents.document("explicit", "decay", "plain", [(2, 5), (3, 5)], 0)
        zero = [[0, 0], [0, 0]]
        low = Lower(arb(1), arb(1), arb(1), [0, 0], zero, 1)
        other = [[arb("0.01"), arb("0.02")], [arb("0.03"), arb("0.05")]]
        proved = Optimum(
            ExactProblem(document["problem"]), low, Upper(arb(1) + arb("1e-18"), 1, [arb("0.9"), arb("0.8")], other)
        )
        assert float(proved.own([0, 1]).mid()) == pytest.approx((2 * 0.9 + 3 * 0.8) / 5, rel=1e-12)
        mean = (2 * 0.01 + 6 * 0.02 + 6 * 0.03 + 6 * 0.05) / 20
        assert float(proved.other([0, 1], [0, 1]).mid()) == pytest.approx(mean, rel=1e-12)
        assert float(proved.other([0, 1], [1]).mid()) == pytest.approx((6 * 0.02 + 6 * 0.05) / 12, rel=1e-12)


def test_margins_in_closed_form():
    """Logarithms of ratios, each end by the ends that make it widest."""
    with working_precision():
        document = documents.document("explicit", "decay", "plain", [(1, 3), (1, 1)], 0)
        low = Lower(arb(1), arb(1), arb(1), [0, 0], [[0, 0], [0, 0]], 1)
        high = Upper(arb(1) + arb("1e-4"), 1, [arb("0.8"), arb("0.4")], [[arb(0), arb("0.6")], [arb("0.2"), arb(0)]])
        proved = Optimum(ExactProblem(document["problem"]), low, high)
        for a, share, own, other in ((0, 0.75, 0.8, 0.2), (1, 0.25, 0.4, 0.6)):
            radius = math.sqrt(1e-4 / (2 * share))
            lower, upper = proved.margin(a, 1 - a)
            assert float(lower.mid()) == pytest.approx(math.log((own - radius) / (other + radius)), rel=1e-8)
            assert float(upper.mid()) == pytest.approx(math.log((own + radius) / (other - radius)), rel=1e-8)
