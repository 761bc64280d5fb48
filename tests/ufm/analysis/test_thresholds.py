"""Critical ratios."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.analysis.thresholds.budget import critical_budget

TABLE = {
    (3, 1): 4.13590836915, (3, 2): 14.6175404662, (3, 5): 245.496930598, (3, 10): 6350.84646254, (3, 20): 640073.610498,
    (5, 1): 1.73541560426, (5, 2): 2.89456658242, (5, 5): 12.1924470803, (5, 10): 81.1022060974, (5, 20): 1290.53688415,
    (7, 1): 1.36952957703, (7, 2): 1.78396116403, (7, 5): 4.00046671014, (7, 10): 13.6658571425, (7, 20): 95.4320038202,
}  # fmt: skip


@pytest.mark.parametrize("level", ["float", "rigorous"])
@pytest.mark.parametrize(("majority", "e_h"), TABLE)
def test_norm_budgets(majority, e_h, level):
    found = ufm.threshold(classes=(majority, 10 - majority), regularizer=ufm.NormBudget(1, e_h), level=level)
    assert found.value == pytest.approx(TABLE[majority, e_h], rel=3e-12)
    assert found.lower <= found.value <= found.upper
    assert found.upper - found.lower < 1e-11 * found.value
    assert (found.level, found.transition, found.quantity) == (level, "continuous", "ratio")


def test_rigorous_lies_within_float():
    for majority, e_h in TABLE:
        arguments = {"classes": (majority, 10 - majority), "regularizer": ufm.NormBudget(1, e_h)}
        loose, tight = (ufm.threshold(**arguments, level=level) for level in ("float", "rigorous"))
        assert loose.lower <= tight.lower
        assert tight.upper <= loose.upper


@pytest.mark.parametrize(
    ("majority", "rho", "value"), [(5, 0.3, 86.74770), (5, 0.5, 1290.537), (3, 0.3, 7110.41), (7, 0.5, 95.43200)]
)
def test_deq(majority, rho, value):
    regularizer, head = ufm.NormBudget(1, 5), ufm.LinearDEQ(rho)
    found = ufm.threshold(classes=(majority, 10 - majority), regularizer=regularizer, head=head)
    assert found.value == pytest.approx(value, rel=1e-6)
    enlarged = ufm.threshold(classes=(majority, 10 - majority), regularizer=ufm.NormBudget(1, 5 / (1 - rho) ** 2))
    assert found.value == pytest.approx(enlarged.value, rel=1e-11)


@settings(max_examples=25)
@given(majority=st.integers(1, 8), minority=st.integers(2, 8), height=st.floats(0.3, 5), side=st.sampled_from([0.98, 1.02]))
def test_the_solver_agrees_on_both_sides(majority, minority, height, side):
    """An independent route: the certified verdict of the solver just below and just above the threshold."""
    regularizer = ufm.NormBudget(height, 1.0)
    critical = ufm.threshold(classes=(majority, minority), regularizer=regularizer).value
    if critical * side <= 1 or critical > 1e5:
        return
    n = 10**7
    counts = ufm.step_imbalanced(majority=majority, minority=minority, n_majority=round(side * critical * n), n_minority=n)
    verdict = ufm.collapse(ufm.solve(ufm.Problem(counts, regularizer=regularizer), level="rigorous")).verdict
    assert verdict == ("yes" if side > 1 else "no")


@given(st.integers(1, 40), st.integers(2, 40), st.floats(0.001, 25), st.floats(1e-3, 3))
def test_the_critical_budget_increases_with_the_ratio(majority, minority, log_ratio, step):
    low, high = (critical_budget(majority, minority, float(np.exp(t))) for t in (log_ratio, log_ratio + step))
    assert low < high


def test_decay():
    found = ufm.threshold(classes=(5, 5), regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3), minority_count=100)
    assert found.value == 7
    for majority, ratio in ((5, 3.0), (3, 13 / 3)):
        got = ufm.threshold(classes=(majority, 10 - majority), regularizer=ufm.WeightDecay(5e-3, 5e-3), minority_count=100)
        assert got.value == pytest.approx(ratio, rel=1e-14)
    rigorous = ufm.threshold(classes=(3, 7), regularizer=ufm.WeightDecay(2**-8, 2**-8), minority_count=64, level="rigorous")
    assert rigorous.lower <= (32 - 7) / 3 <= rigorous.upper
    assert rigorous.upper - rigorous.lower < 1e-14
    deq = ufm.threshold(classes=(5, 5), regularizer=ufm.WeightDecay(5e-3, 5e-3), minority_count=100, head=ufm.LinearDEQ(0.5))
    assert deq.value == pytest.approx(7, rel=1e-14)


def test_decay_per_class_against_the_solver():
    regularizer = ufm.WeightDecay(0.02, 0.02, per_class=True)
    critical = ufm.threshold(classes=(4, 3), regularizer=regularizer).value
    for side, verdict in ((0.99, "no"), (1.01, "yes")):
        counts = ufm.step_imbalanced(majority=4, minority=3, n_majority=round(side * critical * 10**5), n_minority=10**5)
        assert ufm.collapse(ufm.solve(ufm.Problem(counts, regularizer=regularizer))).verdict == verdict


def test_collapsed_at_every_ratio_is_said():
    found = ufm.threshold(classes=(5, 5), regularizer=ufm.WeightDecay(0.1, 0.1), minority_count=100)
    assert found.upper < 1
    assert found.note == "below 1: the classes are collapsed at every ratio R >= 1, and at R = 1 all logits are zero"


@pytest.mark.parametrize(
    "arguments",
    [
        {"classes": (5, 1), "regularizer": ufm.NormBudget(1, 5)},
        {"classes": (0, 5), "regularizer": ufm.NormBudget(1, 5)},
        {"classes": (5,), "regularizer": ufm.NormBudget(1, 5)},
        {"classes": (5, 5, 5), "regularizer": ufm.NormBudget(1, 5)},
        {"classes": (5, 5), "regularizer": ufm.NormBudget(1, 5), "minority_count": 10},
        {"classes": (5, 5), "regularizer": ufm.WeightDecay(1e-3, 1e-3)},
        {"classes": (5, 5), "regularizer": ufm.WeightDecay(1e-3, 1e-3), "minority_count": 0},
        {"classes": (5, 5), "regularizer": ufm.WeightDecay(1e-3, 1e-3, per_class=True), "minority_count": 5},
        {"classes": (5, 5), "regularizer": ufm.NormBudget(1, 1e9)},
        {"classes": (5, 5), "regularizer": ufm.NormBudget(1, 5), "level": "exact"},
        {"classes": (5, 5), "regularizer": None},
    ],
)
def test_bad_input(arguments):
    with pytest.raises(ufm.InputError, match=r"^[^\n]+$"):
        ufm.threshold(**arguments)


def test_a_single_majority_class_and_huge_ratios():
    found = ufm.threshold(classes=(1, 9), regularizer=ufm.NormBudget(1, 5), level="rigorous")
    assert found.value > 1e9
    assert found.upper - found.lower < 1e-13 * found.value
    assert float(found) == found.value
    tiny = ufm.threshold(classes=(1, 2), regularizer=ufm.NormBudget(1, 1e-12), level="rigorous")
    assert 1 < tiny.lower <= tiny.upper < 1 + 1e-5


def test_rho_below_the_precision_of_floats():
    """rho = 2^-54 rounds 1/(1 - rho) to 1, but the rigorous enclosure must not."""
    found = ufm.threshold(
        classes=(1, 2), regularizer=ufm.WeightDecay(2.0**-8, 2.0**-8), minority_count=1, head=ufm.LinearDEQ(2.0**-54),
        level="rigorous",
    )  # fmt: skip
    assert found.lower <= 254 < found.upper


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("explicit", ufm.Explicit()),
        ("deq:rho=0.3", ufm.LinearDEQ(0.3)),
        ("deq:decay=0.05,contraction=0.5", ufm.DecayedDEQ(0.05, 0.5)),
    ],
)
def test_heads_may_be_text(text, head):
    asked = {"classes": (2, 2), "regularizer": ufm.WeightDecay(2.5e-3, 2.5e-3), "minority_count": 100}
    found = ufm.threshold(**asked, head=text)
    assert found == ufm.threshold(**asked, head=head)
    with pytest.raises(ufm.InputError, match="deq:rho"):
        ufm.threshold(**asked, head="dek:rho=0.3")


def test_a_threshold_that_cannot_be_enclosed_is_no_bad_input(monkeypatch):
    from ufm.analysis.thresholds import budget

    monkeypatch.setattr(budget, "float_side", lambda *_: 0)
    with pytest.raises(ufm.ConvergenceError, match="enclosed"):
        ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5))
