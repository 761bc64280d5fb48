"""Collapse of features of a fixed norm: verdicts on both sides of an enclosed threshold."""

from itertools import pairwise

import pytest

import ufm
from ufm import ClassifierDecay, LayerNorm
from ufm.analysis.enclosures import enclose_logits

REFERENCE = {
    0.003: (1455.65, 240.933, 110.096),
    0.01: (307.105, 72.8273, 40.7331),
    0.03: (81.4048, 28.1141, 18.7907),
}
"""R0 for K = 10 and K_A = 3, 5, 7, six digits."""


def at(ratio, classes=(5, 5), decay=0.01, unit=10**6):
    counts = [round(ratio * unit)] * classes[0] + [unit] * classes[1]
    return ufm.solve(ufm.Problem(counts, regularizer=ClassifierDecay(decay), head="layernorm"))


@pytest.mark.parametrize("decay", REFERENCE)
@pytest.mark.parametrize("place", range(3))
def test_thresholds_against_known_ones(decay, place):
    classes = ((3, 7), (5, 5), (7, 3))[place]
    found = ufm.threshold(classes=classes, regularizer=ClassifierDecay(decay), head="layernorm", level="rigorous")
    assert found.value == pytest.approx(REFERENCE[decay][place], rel=1e-5)
    assert found.lower < found.upper <= found.lower * (1 + 1e-12)
    assert (found.quantity, found.group, found.level) == ("ratio", "minority", "rigorous")
    assert "not proved" in found.note


@pytest.mark.parametrize(("classes", "decay"), [((5, 5), 0.01), ((1, 2), 1.0), ((1, 9), 0.1), ((2, 2), 10.0), ((20, 3), 0.05)])
def test_solutions_on_both_sides_of_a_threshold(classes, decay):
    """Just below the verdict is "no", just above "yes", on classifiers and on features."""
    ratio = float(ufm.threshold(classes=classes, regularizer=ClassifierDecay(decay), head="layernorm"))
    below, above = at(ratio * 0.99, classes, decay), at(ratio * 1.01, classes, decay)
    assert ufm.collapse(below).verdict == "no"
    assert ufm.collapse(above).verdict == "yes"
    apart, together = ufm.geometry(below), ufm.geometry(above)
    assert apart["cos_minority"] < 1 - 1e-6 < together["cos_minority"] <= 1 + 1e-12
    assert apart["cos_minority_means"] < 1 - 1e-6 < together["cos_minority_means"] <= 1 + 1e-12
    assert together["norm_ratio_means"] == pytest.approx(1.0, rel=1e-9)
    groups = {g.size: g.verdict for g in ufm.collapse(above).groups}
    if classes[0] > 1:
        assert groups[max(groups)] == "no"


def test_collapse_once_begun_goes_on():
    """Not proved, but so far found everywhere: the unknown beta increases with the ratio."""
    from ufm.analysis.thresholds.normalised import CollapsedOptimum

    for classes, decay in (((5, 5), 0.01), ((1, 4), 0.1), ((8, 2), 1e-4)):
        system = CollapsedOptimum(*classes, decay, 1.0)
        betas = [system.collapsed(1.2 * 1.7**k)[1] for k in range(25)]
        assert all(a < b for a, b in pairwise(betas))


def test_the_minority_cosine_near_the_threshold():
    """.99467 at R = 72.5 is not the same as one at 73.2: it nears one as the root of the distance."""
    assert ufm.geometry(at(73.2))["cos_minority"] == pytest.approx(1.0, abs=1e-9)
    cosines = [ufm.geometry(at(72.82728545 * (1 - d)))["cos_minority"] for d in (4e-3, 2e-3, 1e-3)]
    assert cosines[0] < cosines[1] < cosines[2] < 1


@pytest.mark.parametrize("level", ["float", "rigorous"])
def test_only_the_decay_over_the_squared_norm_counts(level):
    plain = ufm.threshold(classes=(4, 3), regularizer=ClassifierDecay(0.02), head="layernorm", level=level)
    other = ufm.threshold(classes=(4, 3), regularizer=ClassifierDecay(0.02 * 64), head=LayerNorm(8.0), level=level)
    assert plain.value == pytest.approx(other.value, rel=1e-12)
    assert max(plain.lower, other.lower) <= min(plain.upper, other.upper)


def test_large_decays_have_the_threshold_of_the_number_of_classes_less_one():
    """Found, not proved: as the decay grows, R0 tends to K - 1."""
    for classes in ((2, 2), (1, 4), (6, 3)):
        found = [
            float(ufm.threshold(classes=classes, regularizer=ClassifierDecay(decay), head="layernorm"))
            for decay in (1.0, 10.0, 100.0)
        ]
        distance = [abs(r - (sum(classes) - 1)) for r in found]
        assert distance[2] < 0.2 * distance[1] < 0.05 * distance[0] + 1e-3


def test_what_thresholds_are_not_stated_for():
    asked = {"classes": (5, 5), "regularizer": ClassifierDecay(0.01), "head": "layernorm"}
    for change, message in (
        ({"minority_count": 3}, "minority_count"),
        ({"loss": "mse"}, "plain ce"),
        ({"loss": "ce:weights=1"}, "plain ce"),
        ({"regularizer": ClassifierDecay(0.01, 0.1)}, "bias"),
        ({"regularizer": ufm.WeightDecay(0.1, 0.1)}, "ClassifierDecay"),
        ({"regularizer": ufm.NormBudget(1, 5)}, "ClassifierDecay"),
        ({"regularizer": None}, "ClassifierDecay"),
        ({"head": "explicit"}, "of the classifier alone"),
        ({"classes": (5, 1)}, "KB"),
        ({"solve_for": "decay", "regularizer": None, "ratio": 5, "minority_count": 10}, "only the ratio"),
        ({"regularizer": ClassifierDecay(1e-15)}, "beyond|no threshold"),
    ):
        with pytest.raises(ufm.InputError, match=message):
            ufm.threshold(**(asked | change))


def test_enclosures_of_logits_are_for_decayed_features():
    with pytest.raises(ufm.InputError, match="enclosures of logits"):
        enclose_logits(at(3.0))
