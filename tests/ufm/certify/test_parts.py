"""Parts of the verifier that a bound shows only where it is decided by them: limits, turns of charges, scalar problems."""

from __future__ import annotations

import json
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from flint import arb

import ufm
from tests.ufm.certify import documents
from ufm.certify.verify import arithmetic, document, lower, lower_bound, penalty, problem, upper_bound, working_precision
from ufm.certify.verify.arithmetic import affordable, common_denominator, dyadic
from ufm.certify.verify.document import AmbiguousError, fields, listed, read
from ufm.certify.verify.penalty import charge
from ufm.certify.verify.problem import ExactProblem


def of(head: str, regularizer: str = "decay", **parts: Any) -> Any:
    return charge(documents.HEADS[head], documents.REGULARIZERS[regularizer] | parts, 5)


# Limits


def test_the_size_of_a_file(tmp_path, monkeypatch):
    path = tmp_path / "c.json"
    text = json.dumps({"a": ["1"] * 40})
    path.write_text(text)
    for size, fits in ((len(text), True), (len(text) - 1, False)):
        monkeypatch.setattr(document, "MAX_BYTES", size)
        if fits:
            assert read(path) == {"a": ["1"] * 40}
        else:
            with pytest.raises(ufm.InputError, match=r"c\.json.* MB"):
                read(path)


def test_only_so_much_of_a_file_is_read(monkeypatch):
    monkeypatch.setattr(document, "MAX_BYTES", 1000)
    with pytest.raises(ufm.InputError, match="MB"):
        read("/dev/zero")


@pytest.mark.parametrize(("name", "text", "count"), [
    ("MAX_BRACKETS", "[[], {}, [{}]]", 5), ("MAX_BRACKETS", "[{}]", 2), ("MAX_ENTRIES", "[0, 0, 0]", 2),
])  # fmt: skip
def test_how_much_a_file_may_hold(tmp_path, monkeypatch, name, text, count):
    path = tmp_path / "c.json"
    path.write_text(text)
    monkeypatch.setattr(document, name, count)
    assert read(path) == json.loads(text)
    monkeypatch.setattr(document, name, count - 1)
    with pytest.raises(ufm.InputError, match="more lists or entries"):
        read(path)


def test_numbers_in_a_file(tmp_path):
    path = tmp_path / "c.json"
    path.write_text("[" + "9" * 20 + ", -5]")
    assert read(path) == [10**20 - 1, -5]
    for text in ("9" * 21, "1.5", "NaN", '{"a": 1, "b": 2, "a": 3}', '[{"a": {"b": 0, "b": 0}}]'):
        path.write_text(f"[{text}]")
        with pytest.raises(AmbiguousError, match="certificate"):
            read(path)
    path.write_text('{"same": {"same": 1}, "other": [{"same": 2}, {"same": 3}]}')
    assert read(path)["other"] == [{"same": 2}, {"same": 3}]


def test_names_of_files(tmp_path):
    for path in (tmp_path / "missing.json", tmp_path, tmp_path / ("x" * 300), "a\0b"):
        with pytest.raises(ufm.InputError, match=r"certificate file .* cannot be read: ") as caught:
            read(path)
        assert len(str(caught.value)) < 400
        assert "None" not in str(caught.value)


def test_objects_and_lists():
    assert fields({"b": 1, "a": 2}, "thing", "a", "b") == [2, 1]
    for data in ({"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}, None, ["a", "b"], "ab"):
        with pytest.raises(ufm.InputError, match="thing must have exactly the keys a, b"):
            fields(data, "thing", "a", "b")
    assert listed([1, 2], "things") == listed([1, 2], "things", 2) == [1, 2]
    for data, length in (([1], 2), ([1, 2, 3], 2), ((1, 2), 2), ("ab", 2), ({}, None), (None, None)):
        with pytest.raises(ufm.InputError, match="things of the wrong shape"):
            listed(data, "things", length)


def test_common_denominators_are_bounded(monkeypatch):
    assert common_denominator([Fraction(1, 6), Fraction(3, 4), Fraction(5)]) == 12
    assert common_denominator([]) == 1
    monkeypatch.setattr(arithmetic, "MAX_COMMON", 10)
    assert common_denominator([Fraction(1, 31), Fraction(1, 33)]) == 1023
    with pytest.raises(ufm.InputError, match="common denominator exceeds"):
        common_denominator([Fraction(1, 31), Fraction(1, 33), Fraction(1, 2)])
    with pytest.raises(ufm.InputError, match="common denominator exceeds"):
        common_denominator([Fraction(1, 1024)])


def test_products_of_matrices_are_bounded(monkeypatch):
    """Multiplications times bits and 64 of either factor."""
    affordable(10**9, [], [])
    monkeypatch.setattr(arithmetic, "MAX_WORK", 10 * (64 + 5) * (64 + 8))
    affordable(10, [-31, 7], [1, 255])
    for work, left, right in ((11, [31], [255]), (10, [32], [255]), (10, [31], [-256]), (10, [31, 99], [255])):
        with pytest.raises(ufm.InputError, match="too many groups"):
            affordable(work, left, right)


def test_factors_are_lists_of_rows():
    assert dyadic({"exponent": -3, "integers": [["1", "-2"], ["3"]]}) == ([[1, -2], [3]], -3)
    assert dyadic({"exponent": "2200", "integers": ["5", 6]}) == ([5, 6], 2200)
    for integers in ([[["1"]]], "12", {"a": 1}):
        with pytest.raises(ufm.InputError, match="certificate"):
            dyadic({"exponent": 0, "integers": integers})


@pytest.mark.parametrize(("name", "limit"), [("MAX_GROUPS", 2), ("MAX_CLASSES", 3), ("MAX_SIZE", 40), ("MAX_DIM", 7)])
def test_limits_of_a_problem(monkeypatch, name, limit):
    parts = documents.problem("explicit", "decay", "plain", [(2, 40), (1, 3)])
    parts["dim"] = 7
    monkeypatch.setattr(problem, name, limit)
    ExactProblem(parts)
    monkeypatch.setattr(problem, name, limit - 1)
    with pytest.raises(ufm.InputError, match="certificate has"):
        ExactProblem(parts)


def test_two_classes_at_least():
    ExactProblem(documents.problem("explicit", "decay", "plain", [(2, 1)]))
    with pytest.raises(ufm.InputError, match="class sizes"):
        ExactProblem(documents.problem("explicit", "decay", "plain", [(1, 1)]))


def test_products_and_ratios_of_decays():
    """``mu`` within 1e-300 .. 1e300 and the ratio within 1e-150 .. 1e150; budgets: c within 1e-150 .. 1e150."""
    for first, second, fits in (
        ("1e-230", "1e-300", True), ("1e-300", "1e-302", False), ("1e300", "1e299", True), ("1e300", "1e301", False),
        ("1e149", "1", True), ("1e151", "1", False), ("1", "1e149", True), ("1", "1e151", False),
    ):  # fmt: skip
        parts = documents.REGULARIZERS["decay"] | {"lambda_W": first, "lambda_H": second}
        if fits:
            charge(documents.HEADS["explicit"], parts, 5)
        else:
            with pytest.raises(ufm.InputError, match="product or ratio"):
                charge(documents.HEADS["explicit"], parts, 5)
    for first, second, fits in (
        ("1e140", "1e159", True), ("1e151", "1e150", False), ("1e-140", "1e-159", True), ("1e-151", "1e-150", False),
    ):  # fmt: skip
        parts = {"kind": "norm_budget", "E_W": first, "E_H": second}
        if fits:
            charge(documents.HEADS["explicit"], parts, 5)
        else:
            with pytest.raises(ufm.InputError, match="product or ratio"):
                charge(documents.HEADS["explicit"], parts, 5)


def test_the_cost_of_zero():
    """Lengths of zero cost nothing and use nothing of a budget."""
    with working_precision():
        for head in documents.HEADS:
            if head != "etf on average":
                found = of(head)
                assert found.price([(arb(0), 3)]) == 0
                assert found.price([]) == 0
            if "decayed" not in head and head != "etf of a norm":
                assert of(head, "budget").gauge([(arb(0), 3)]) == 0


# Turns and scalar problems


@pytest.mark.parametrize("head", ["explicit:2", "explicit:3", "explicit:5"])
@pytest.mark.parametrize("curvature", ["0.001", "0.3", "20"])
def test_the_turn_of_a_power(head, curvature):
    """The second derivative, by differences of the slope, is minus the curvature there."""
    with working_precision():
        found, c, step = of(head), arb(curvature), arb(10) ** -15
        turn, doubt = found.turn(c)
        second = (found.slope(turn * (1 + step)) - found.slope(turn * (1 - step))) / (2 * step * turn)
        assert abs(second / c + 1) < arb("1e-25")
        assert doubt == 0


def test_the_turn_of_a_minimax_concave_charge():
    """Concave up to the knee where ``mu^2 / decay`` exceeds the curvature; undecided where balls overlap."""
    with working_precision():
        found = of("decayed DEQ")
        bend = found.mu**2 / found.decay
        for factor, turn in (("0.999", found.knee), ("1.001", arb(0)), ("0.1", found.knee), ("10", arb(0))):
            assert found.turn(bend * arb(factor)) == (turn, 0) or turn != 0
            where, doubt = found.turn(bend * arb(factor))
            assert where.overlaps(turn)
            assert doubt == 0
        for width in ("0.1", "0.001"):
            where, doubt = found.turn(bend * arb(1, width))
            assert where.overlaps(found.knee)
            assert where > 0
            expected = bend * arb(width) * found.knee**2
            assert abs(doubt / expected - 1) < arb("1e-6")


def test_a_knee_too_close_to_tell():
    """A ball of upper bounds about the corner gives a slope below those on either side, by no more than its width."""
    with working_precision():
        found = of("decayed DEQ")
        corner = found.decay * found.contraction * (1 - found.contraction / 2)
        for width in ("1e-3", "1e-12"):
            both = found.convex(corner * arb(1, width))
            for side in (-1, 1):
                alone = found.convex(corner * (1 + side * arb(width)))
                assert both.lower() <= alone.upper()
                assert both > alone * (1 - 6 * arb(width))
        assert (found.convex(corner * (1 - arb("1e-30"))) / found.convex(corner * (1 + arb("1e-30"))) - 1).overlaps(
            arb(0, "1e-29")
        )


def test_the_best_multiple_at_the_knee():
    with working_precision():
        found = of("decayed DEQ")
        below, above = found.knee * (1 - arb("1e-20")), found.knee * (1 + arb("1e-20"))
        assert found.strength(below) < found.contraction
        assert found.strength(above).overlaps(found.contraction)
        assert found.strength(found.knee).overlaps(found.contraction)
        assert found.strength(arb(3, 1)).overlaps(arb(3, 1) * found.mu / found.decay)


@pytest.mark.parametrize("doubt", ["0", "1/8", "3"])
def test_what_is_in_doubt_is_taken_off(doubt):
    """A charge of |s| alone: curvature 2 and target 3 leave ``(s - 3)^2 + s`` with the minimum 11/4 at 5/2."""
    with working_precision():
        unsure = arithmetic.ball(Fraction(doubt))
        plain = SimpleNamespace(each=lambda s: s, slope=lambda s: arb(1), turn=lambda c: (arb(0), unsure))
        found = lower.scalar_lower(plain, arb(2), arb(3)) + unsure
        assert abs(found - arb("2.75")) < arb("1e-15")
        assert not found > arb("2.75")


def test_the_norm_of_as_many_classes_as_one_likes():
    """One group of m classes, slopes a for itself and b for others: singular values a - b and a + (m - 1) b, times 1/m."""
    for m in (2, 2**20, 2**40):
        for a, b in ((5, 3), (7, -1), (-3 * m, 2)):
            document = documents.document("explicit", "budget", "mse", [(2, 1)], 0)
            document["problem"]["groups"] = [{"classes": m, "size": 1}]
            document["dual"] = {"denominator": "9", "own": [str(a)], "other": [[str(b)]]}
            with working_precision():
                found = lower_bound(ExactProblem(document["problem"]), document["dual"], arb(1)).allowed
                true = arb(max(abs(a - b), abs(a + (m - 1) * b))) / (9 * m)
                assert abs(found / true - 1) < arb("1e-14")
                assert not found < true


def test_scalar_problems_have_slopes_of_zero():
    document = documents.document("explicit:2", "decay", "mse", [(2, 3), (1, 1)], 0)
    with working_precision():
        found = lower_bound(ExactProblem(document["problem"]), {}, arb(1))
        assert (found.own, found.other, found.denominator) == ([0, 0], [[0, 0], [0, 0]], 1)
        assert (found.allowed, found.shrink) == (0, 1)


def test_what_a_lower_bound_was_made_of():
    """The norm that is allowed, and the factor that shrank the slopes to it."""
    document = documents.document("explicit", "decay", "plain", [(2, 30), (3, 10)], 0, spread=0.9)
    with working_precision():
        exact = ExactProblem(document["problem"])
        found = lower_bound(exact, document["dual"], arb(1))
        assert found.allowed.overlaps(exact.charge.strength)
        assert found.shrink < 1
        document["problem"]["regularizer"] = documents.REGULARIZERS["budget"]
        budget = lower_bound(ExactProblem(document["problem"]), document["dual"], arb(1))
        assert budget.shrink == 1
        # Without sizes in the norm the same slopes have another one; at N mu / sqrt(n) both agree.
        assert budget.allowed > 0
        assert found.denominator == int(document["dual"]["denominator"])
        assert [v + found.denominator for v in found.own] == [int(v) for v in document["dual"]["own"]]


def test_penalty_module_reads_every_head():
    assert set(penalty.HEADS) == {parts["kind"] for parts in documents.HEADS.values()}


def test_single_violations_of_a_problem():
    """Classes or sizes of zero alone, dimensions of one, and needs of the heads, without any witness."""

    def parts(head: str = "explicit", dim: int | None = None, groups: Any = ((2, 40), (3, 3))) -> Any:
        return documents.problem(head, "decay", "plain", list(groups)) | {"dim": dim}

    for groups in ([(2, 40), (0, 3)], [(2, 40), (3, 0)], [(0, 40), (2, 3)]):
        with pytest.raises(ufm.InputError, match="class sizes"):
            ExactProblem(parts(groups=groups))
    assert ExactProblem(parts(dim=1)).dim == 1
    for dim in (0, -1):
        with pytest.raises(ufm.InputError, match=f"dim={dim}, which must lie between 1"):
            ExactProblem(parts(dim=dim))
    for head, needed in (("relu", 5), ("etf", 4)):
        ExactProblem(parts(head, needed))
        with pytest.raises(ufm.InputError, match=f"dim={needed - 1} for a head that needs dim >= {needed}"):
            ExactProblem(parts(head, needed - 1))


def test_ends_of_ranges():
    """The ends themselves: excluded for products and ratios, included for a bias decay."""
    for first, second in ((1e150, 1.0), (1.0, 1e150), (1e-300, 1e-300), (1e300, 1e300)):
        ends = {"lambda_W": str(Fraction(first)), "lambda_H": str(Fraction(second))}
        if first == 1.0:
            ends = {"lambda_W": str(Fraction(1e-150)), "lambda_H": "1"}
        with pytest.raises(ufm.InputError, match="product or ratio"):
            of("explicit", **ends)
    for value, fits in ((1e-15, True), (1e15, True), (1e15 + 0.5, False), (9e-16, False)):
        parts = documents.problem("explicit", "bias decay", "plain", [(2, 1)])
        parts["regularizer"]["lambda_b"] = str(Fraction(value))
        if fits:
            assert ExactProblem(parts).bias == Fraction(value)
        else:
            with pytest.raises(ufm.InputError, match="bias decay"):
                ExactProblem(parts)
    for name, value in (("temperatures", "10000000000"), ("offsets", "-10000"), ("offsets", "10000")):
        parts = documents.problem("explicit", "decay", "plain", [(2, 1)])
        parts["loss"][name] = [value]
        with pytest.raises(ufm.InputError, match="must lie between"):
            ExactProblem(parts)


def test_the_work_that_is_counted(monkeypatch):
    """G^3 multiplications for the norm, G^2 r for the product of the factors."""
    import ufm.certify.verify.lower as below
    import ufm.certify.verify.upper as above

    counted: list[int] = []
    for module in (below, above):
        monkeypatch.setattr(module, "affordable", lambda n, left, right: counted.append(n))
    document = documents.document("explicit", "decay", "plain", [(1, 5), (1, 4), (1, 3), (2, 2)], 0)
    document["primal"]["left"]["integers"] = [["1", "2"]] * 4
    document["primal"]["right"]["integers"] = [["1"] * 4] * 2
    ufm.certify.verify.prove(document)
    assert counted == [4 * 4 * 2, 4**3]


def test_what_an_upper_bound_was_made_of():
    """Probabilities of each column sum to one; squared error gives logits; under budgets the width is there too."""
    for regularizer in ("decay", "budget"):
        document = documents.document("explicit", regularizer, "all", [(2, 30), (3, 10)], 2)
        with working_precision():
            exact = ExactProblem(document["problem"])
            found = ufm.certify.verify.upper_bound(exact, document["primal"])
            for h in range(2):
                rest = sum((exact.m[g] - (g == h)) * found.other[g][h] for g in range(2))
                assert (rest + found.own[h]).overlaps(arb(1))
            assert found.width == ufm.certify.verify.prove(document).width
            factors = document["primal"]
            copies = [m - 1 for m, x in zip((2, 3), factors["contrast"]["integers"], strict=True) if x != "0"]
            assert found.width == len(factors["right"]["integers"]) + sum(copies)


def test_margins_are_exact_differences_of_logits():
    """Logits of 2^300 and one more: their difference is exactly one, which no ball of 160 bits would tell."""
    document = documents.document("explicit", "decay", "plain", [(1, 3), (1, 1)], 0)
    zero = {"exponent": 0, "integers": ["0", "0"]}
    left = {"exponent": 0, "integers": [[str(2**300 + 1)], [str(2**300)]]}
    document["primal"] = {"contrast": zero, "bias": zero, "left": left, "right": {"exponent": 0, "integers": [["1", "1"]]}}
    with working_precision():
        found = upper_bound(ExactProblem(document["problem"]), document["primal"])
        for h, sign in ((0, 1), (1, -1)):
            assert abs(found.own[h] * (1 + arb(-sign).exp()) - 1) < arb("1e-40")


@pytest.mark.parametrize("head", ["explicit:2", "explicit:5", "decayed DEQ"])
def test_an_upper_bound_that_is_a_ball_counts_with_its_upper_end(head):
    document = documents.document(head, "decay", "plain", [(2, 30), (3, 10)], 0, spread=0.9)
    with working_precision():
        exact = ExactProblem(document["problem"])
        wide, end = (lower_bound(exact, document["dual"], upper) for upper in (arb(1, "0.5"), arb("1.5")))
        assert abs(wide.value - end.value) < arb("1e-8")


def test_probabilities_of_one_against_the_rest_are_the_logistic_function():
    """Logits of contrasts 3 and -7 and a core of one: every probability of the upper bound, class by class."""
    import mpmath

    written = documents.document("explicit", "decay", "bce", [(2, 30), (3, 10)], 1)
    written["primal"] = {
        "contrast": {"exponent": 0, "integers": ["3", "-7"]},
        "left": {"exponent": 0, "integers": [["1"], ["2"]]},
        "right": {"exponent": -1, "integers": [["1", "-40"]]},
        "bias": {"exponent": 0, "integers": ["0", "0"]},
    }
    with working_precision():
        found = upper_bound(ExactProblem(written["problem"]), written["primal"])
    sizes, contrast, core = (2, 3), (3, -7), [[0.5, -20.0], [1.0, -40.0]]
    for h in range(2):
        own = core[h][h] + contrast[h] * (sizes[h] - 1) / sizes[h]
        assert float(found.own[h].mid()) == pytest.approx(float(1 / (1 + mpmath.exp(-own))), rel=1e-14)
        for g in range(2):
            other = core[g][h] - (contrast[h] / sizes[h] if g == h else 0)
            assert float(found.other[g][h].mid()) == pytest.approx(float(1 / (1 + mpmath.exp(-other))), rel=1e-14)


def test_squares_of_balls_around_zero_are_finite():
    """Three classes under budgets of one: factors beyond them are scaled by a ball, to own logits of 1 up to its radius."""
    document = documents.document("explicit", "budget", "mse", [(3, 2)], 0)
    document["problem"]["regularizer"].update({"E_W": "1", "E_H": "1"})
    document["primal"] = {
        "contrast": {"exponent": 0, "integers": ["7"]}, "left": {"exponent": 0, "integers": [[]]},
        "right": {"exponent": 0, "integers": []}, "bias": {"exponent": 0, "integers": ["0"]},
    }  # fmt: skip
    upper = upper_bound(ExactProblem(document["problem"]), document["primal"]).value
    # The radius K c = 3 leaves 3 / 2 to each of two contrasts: own logits 1, the others -1 / 2, a loss of 2 (1/2)^2 / 2.
    assert upper.is_finite()
    assert float(upper.mid()) == pytest.approx(0.25, rel=1e-12)
