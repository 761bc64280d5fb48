"""Thresholds under every convex loss: the closed form, the group it names, and the certified solver on both sides."""

from fractions import Fraction
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufm
from ufm.analysis.thresholds.budget import critical_budget
from ufm.analysis.thresholds.budget_losses import GROWTH, SAMPLES, Decision, budget_loss_threshold

DECAY = ufm.WeightDecay(2.5e-3, 2.5e-3)
TABLE = [
    ("ce", 7.0, "minority"),
    ("bce", 7.0, "minority"),
    ("mse", 7.0, "minority"),
    ("ce:adjustment=1", 7.0, "minority"),
    ("ce:adjustment=-3", 7.0, "minority"),
    ("ce:smoothing=0.1", 6.2, "minority"),
    ("ce:temperatures=0.5", 3.3626425749441524, "minority"),
    ("ce:weights=0.5", 49.0, "both"),
    ("ce:weights=1", 16.0, "majority"),
    # f_B = (5 R + 15) / 3 and f_A = (5 R + 15) / sqrt(R) reach 40 at 21 and beyond.
    ("ce:weights=1/3", 21.0, "minority"),
    # Any exponents that differ by one half are neutral.
    ("ce:weights=1,temperatures=0.5", 16.0, "both"),
]


def step(ratio, n_minority=100, majority=5, minority=5):
    return ufm.step_imbalanced(
        majority=majority, minority=minority, n_majority=round(ratio * n_minority), n_minority=n_minority
    )


def verdicts(counts, loss, regularizer, head="explicit", level="rigorous"):
    """Verdict of the certified solver on each size."""
    solution = ufm.solve(ufm.Problem(counts, regularizer=regularizer, loss=loss, head=head), level=level)
    return {group.size: group.verdict for group in ufm.collapse(solution).groups}


@pytest.mark.parametrize("level", ["float", "rigorous"])
@pytest.mark.parametrize(("loss", "value", "group"), TABLE)
def test_the_table_of_remedies(loss, value, group, level):
    found = ufm.threshold(classes=(5, 5), regularizer=DECAY, minority_count=100, loss=loss, level=level)
    assert found.value == pytest.approx(value, abs=1e-9)
    # The decays are floats near 0.0025, so that the exact threshold is off by as much.
    assert found.lower - 1e-13 * value <= value <= found.upper + 1e-13 * value
    assert found.upper - found.lower < 1e-12 * value
    assert (found.group, found.level, found.transition, found.quantity) == (group, level, "continuous", "ratio")


@pytest.mark.parametrize(("loss", "value", "group"), TABLE)
def test_the_certified_solver_confirms_both_sides(loss, value, group):
    """A thousandth below the threshold nothing is collapsed; above it the named groups are."""
    mine = {"minority": {100000}, "majority": {"A"}, "both": {100000, "A"}}[group]
    decay = ufm.WeightDecay(2.5e-3 / 1000**0.5, 2.5e-3 / 1000**0.5)  # as many samples more, so that ratios are fine
    for side in (0.999, 1.001):
        counts = step(side * value, 100000)
        named = {("A" if size != 100000 else size): verdict for size, verdict in verdicts(counts, loss, decay).items()}
        assert named == {who: "yes" if side > 1 and who in mine else "no" for who in ("A", 100000)}


@settings(max_examples=25)
@given(
    st.integers(1, 6), st.integers(2, 6), st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0, 1.5]), st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0.0, 0.2]), st.floats(1.05, 30), st.sampled_from([None, 0.0, 0.01]), st.sampled_from([0.0, 0.4]),
    st.booleans(),
)  # fmt: skip
def test_critical_decays_against_the_solver(majority, minority, a, b, eps, ratio, bias, rho, per_class):
    """For random options, whatever the bias: the first group collapses at the decay in closed form, and not below."""
    loss = ufm.CrossEntropy(weights=a, temperatures=b, smoothing=eps, adjustment=0.5)
    n = 10**6
    counts = step(ratio, n, majority, minority)
    exact = counts.ratio
    if per_class:
        # From the ratio's own threshold: it must reproduce the ratio at the critical decay.
        sizes = [float(s) for _, s in counts.groups]
        shares = loss.bind(counts)
        prices = {s: p * t * (1 - eps) for s, p, t in zip(sizes, shares.share, shares.temperature, strict=True)}
        if majority == 1:
            prices.pop(sizes[0])
        mu = min(prices.values()) / (1 - rho)
    else:
        head = ufm.LinearDEQ(rho)
        found = ufm.threshold(
            classes=(majority, minority), ratio=exact, minority_count=n, loss=loss, head=head, solve_for="decay"
        )
        mu = found.value
    for side in (0.99, 1.01):
        regularizer = ufm.WeightDecay(side * mu, side * mu, bias, per_class=per_class)
        got = verdicts(counts, loss, regularizer, ufm.LinearDEQ(rho), level="float")
        assert ("yes" in got.values()) == (side > 1)
        if not per_class and side > 1:
            first = {"minority": {n}, "majority": {round(ratio * n)}, "both": set(got)}[found.group]
            assert {size for size, verdict in got.items() if verdict == "yes"} >= first


@given(
    st.integers(1, 40), st.integers(2, 40), st.floats(-2, 2), st.floats(0, 2), st.floats(0, 0.9), st.floats(1e-3, 0.9),
    st.integers(1, 10**6), st.booleans(),
)  # fmt: skip
def test_ratios_are_those_of_the_critical_decay(majority, minority, a, b, eps, part, count, per_class):
    """An independent route: at the ratio found the loss's own shares give the critical decay; beyond it stays collapsed."""
    loss = ufm.CrossEntropy(weights=a, temperatures=b, smoothing=eps)
    # Nothing is collapsed at R = 1 (docs/theory, Proposition 7.13).
    mu = part * (1 - eps) / ((majority + minority) * (1.0 if per_class else count**0.5))
    asked = {"classes": (majority, minority), "regularizer": ufm.WeightDecay(mu, mu, per_class=per_class), "loss": loss}
    try:
        found = ufm.threshold(**asked, minority_count=None if per_class else count)
    except ufm.InputError as error:
        # Exponents under which P R^p + Q R^q stays bounded for every group, or grows very slowly.
        message = str(error)
    else:
        message = ""
    if message:
        assert "collapses no group" in message
        assert min(1 - a + b, b) <= 0.02 or majority == 1 or per_class
        return
    assert found.value > 1
    if found.value > 1e12:
        return

    def excess(ratio):
        sizes = (ratio * count, float(count))
        weights = [(sizes[0] / n) ** a for n in sizes]
        temperatures = [(n / sizes[0]) ** b for n in sizes]
        total = sum(m * w * n for m, w, n in zip((majority, minority), weights, sizes, strict=True))
        scale = [1.0 if per_class else n**0.5 for n in sizes]
        prices = [(1 - eps) * w * t * n / s / total for w, t, n, s in zip(weights, temperatures, sizes, scale, strict=True)]
        names = ("majority", "minority") if majority > 1 else ("minority",)
        return {name: mu / prices[("majority", "minority").index(name)] - 1 for name in names}

    at = excess(found.value)
    mine = list(at) if found.group == "both" else [found.group]
    for name in mine:
        assert at[name] == pytest.approx(0, abs=1e-9)
        assert all(excess(found.value * x)[name] > -1e-9 for x in (1.001, 2.0, 100.0))
    for name in set(at) - set(mine):
        assert min(excess(found.value * x)[name] for x in (1 - 1e-9, 1.0)) < 1e-9 or "near R = 1" in found.note


def test_the_quantities_agree():
    """Each quantity gives back the one from which it was computed."""
    asked = {"classes": (3, 4), "loss": "ce:weights=0.7,temperatures=0.1,smoothing=0.05"}
    start = ufm.threshold(**asked, minority_count=60, regularizer=ufm.WeightDecay(4e-3, 1e-3))
    assert start.group == "majority"
    for level in ("float", "rigorous"):
        decay = ufm.threshold(**asked, minority_count=60, ratio=start.value, solve_for="decay", level=level)
        assert decay.value == pytest.approx(2e-3, rel=1e-12)
        assert decay.lower <= decay.value <= decay.upper
        count = ufm.threshold(
            **asked, regularizer=ufm.WeightDecay(4e-3, 1e-3), ratio=start.value, solve_for="minority-count", level=level
        )
        assert count.value == pytest.approx(60, rel=1e-11)
        double = ufm.WeightDecay(8e-3, 2e-3)
        rho = ufm.threshold(**asked, minority_count=60, regularizer=double, ratio=start.value, solve_for="rho", level=level)
        assert rho.value == pytest.approx(0.5, rel=1e-11)
        assert {decay.group, count.group, rho.group} == {"majority"}
    assert (decay.quantity, count.quantity, rho.quantity) == ("decay", "minority-count", "rho")
    head = ufm.threshold(**asked, minority_count=60, ratio=start.value, solve_for="decay", head="deq:rho=0.5")
    assert head.value == pytest.approx(4e-3, rel=1e-12)


def test_rho_below_zero_is_said():
    found = ufm.threshold(classes=(5, 5), regularizer=ufm.WeightDecay(1e-4, 1e-4), minority_count=100, ratio=7, solve_for="rho")
    assert found.upper < 0
    assert "no group is collapsed" in found.note


def test_groups_that_are_collapsed_at_every_ratio():
    strong = ufm.WeightDecay(0.1, 0.1)
    found = ufm.threshold(classes=(5, 5), regularizer=strong, minority_count=100, loss="ce:weights=1")
    assert (found.lower, found.value, found.upper, found.group) == (1, 1, 1, "both")
    assert "every ratio" in found.note
    for loss in ("bce", "mse"):
        found = ufm.threshold(classes=(5, 5), regularizer=strong, minority_count=100, loss=loss)
        assert found.note.endswith("at R = 1 all classes share one classifier")


def test_a_group_that_comes_back():
    """Few majority classes of weight 1 beside many of weight 3: f_A = (2 R + 180) / sqrt(R) falls, and rises from R = 90 on."""
    asked = {"classes": (2, 60), "minority_count": 10**5, "loss": "ce:weights=1/3"}
    mu = 1 / (40.0 * 10**2.5)
    found = ufm.threshold(**asked, regularizer=ufm.WeightDecay(mu, mu))
    # The minority is collapsed at every ratio from (2 R + 180) / 3 = 40 on, which is none: at all R >= 1.
    assert (found.value, found.group) == (1, "minority")
    assert "the majority collapses only from R = 90" not in found.note
    again = (10 + 10**0.5) ** 2  # 2 R + 180 = 40 sqrt(R)
    assert f"R = {again:.6g}" in found.note
    n = 10**5
    decay = ufm.WeightDecay(mu, mu)
    for ratio, verdict in ((0.98 * (10 - 10**0.5) ** 2, "yes"), (90, "no"), (1.02 * again, "yes")):
        assert verdicts(step(ratio, n, 2, 60), "ce:weights=1/3", decay, level="float")[round(ratio * n)] == verdict


def test_equal_listed_weights_are_none():
    asked = {"classes": (2, 6), "minority_count": 100, "regularizer": ufm.WeightDecay(1e-3, 1e-3)}
    listed, plain = (ufm.threshold(**asked, loss=loss) for loss in ("ce:weights=2/2", "ce"))
    assert listed.value == pytest.approx(plain.value, rel=1e-12)
    light = ufm.threshold(**asked, loss="ce:weights=1/0.001")
    assert light.group == "minority"


def test_no_ratio_collapses_a_single_majority_under_inverse_weights():
    with pytest.raises(ufm.InputError, match="no group for good"):
        ufm.threshold(classes=(1, 5), regularizer=DECAY, minority_count=100, loss="ce:weights=1")


def test_plain_cross_entropy_under_budgets_by_bisection_is_the_closed_form():
    for level in ("float", "rigorous"):
        found = budget_loss_threshold(5, 5, ufm.NormBudget(1, 5), Fraction(1), level, ufm.CrossEntropy())
        exact = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5))
        assert found.lower <= exact.value <= found.upper
        assert found.upper / found.lower < 1 + 1e-4
        assert (found.group, found.level) == ("minority", level)


def test_a_threshold_so_near_a_doubled_ratio_that_its_verdict_is_undecided():
    """The lower end is a ratio at which "not collapsed" is certified, so that the closed form is enclosed."""
    tried = (1 + 2 / SAMPLES) * GROWTH**3
    budget = ufm.NormBudget(1, (critical_budget(5, 5, tried * (1 - 2e-8)) / 10) ** 2)
    assert Decision(5, 5, budget, Fraction(1), "float", ufm.CrossEntropy(), "minority")(tried) == 0
    found = budget_loss_threshold(5, 5, budget, Fraction(1), "float", ufm.CrossEntropy())
    exact = ufm.threshold(classes=(5, 5), regularizer=budget)
    assert found.lower <= exact.value <= found.upper < found.lower * (1 + 1e-5)


@pytest.mark.parametrize("loss", ["bce", "ce:weights=0.5", "ce:temperatures=0.2", "ce:adjustment=1"])
def test_the_solver_under_budgets_agrees_on_both_sides(loss):
    budget = ufm.NormBudget(1, 2.0)
    found = ufm.threshold(classes=(4, 3), regularizer=budget, loss=loss)
    assert "not proved" in found.note
    n = 10**6
    for side in (0.99, 1.01):
        got = verdicts(step(side * found.value, n, 4, 3), loss, budget, level="float")
        assert ("yes" in got.values()) == (side > 1)
    mine = {"minority": {n}, "majority": set(got) - {n}, "both": set(got)}[found.group]
    assert {size for size, verdict in got.items() if verdict == "yes"} >= mine


def test_an_equilibrium_enlarges_the_budget():
    deq = ufm.threshold(classes=(4, 3), regularizer=ufm.NormBudget(1, 0.5), loss="bce", head="deq:rho=0.5")
    explicit = ufm.threshold(classes=(4, 3), regularizer=ufm.NormBudget(1, 2.0), loss="bce")
    assert deq.value == pytest.approx(explicit.value, rel=1e-4)


def test_neither_side_is_claimed_where_the_gap_leaves_it_open():
    exact = ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5)).value
    decide = Decision(5, 5, ufm.NormBudget(1, 5), Fraction(1), "float", ufm.CrossEntropy(), "minority")
    assert [decide(exact * x) for x in (0.999, 1.001)] == [-1, 1]
    assert [decide(round(exact, 7) + x) for x in (-2e-7, 2e-7)].count(1) < 2


def test_budgets_without_a_threshold():
    with pytest.raises(ufm.InputError, match="collapses no group"):
        ufm.threshold(classes=(5, 5), regularizer=ufm.NormBudget(1, 5), loss="ce:weights=1")
    with pytest.raises(ufm.InputError, match="not known"):
        ufm.threshold(classes=(2, 2), regularizer=ufm.NormBudget(1, 5), loss="multitask:2,2")


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "ce:weights=1/2/3"},
        {"loss": "ce:weights=1e9"},
        {"loss": "multitask:2,3"},
        {"loss": "ce:smoothing=0.1", "head": "explicit:2"},
        {"loss": 3},
        {"solve_for": "speed"},
        {"ratio": 3},
        {"solve_for": "decay", "ratio": 3},
        {"solve_for": "decay", "ratio": 3, "regularizer": None, "minority_count": None},
        {"solve_for": "decay", "ratio": None, "regularizer": None},
        {"solve_for": "decay", "ratio": inf, "regularizer": None},
        {"solve_for": "decay", "ratio": 3, "regularizer": None, "head": "relu"},
        {"solve_for": "decay", "ratio": 1, "regularizer": None, "loss": "ce:weights=1/2"},
        {"solve_for": "minority-count", "ratio": 3},
        {"solve_for": "minority-count", "ratio": 3, "minority_count": None, "regularizer": None},
        {
            "solve_for": "minority-count", "ratio": 3, "minority_count": None,
            "regularizer": ufm.WeightDecay(0.1, 0.1, per_class=True),
        },
        {"solve_for": "rho", "ratio": 3, "head": "deq:rho=0.3"},
        {"solve_for": "rho", "ratio": 3, "regularizer": ufm.NormBudget(1, 1), "minority_count": None},
    ],
)  # fmt: skip
def test_bad_input(options):
    with pytest.raises(ufm.InputError, match=r"^[^\n]+$"):
        ufm.threshold(**({"classes": (5, 5), "regularizer": DECAY, "minority_count": 100} | options))
