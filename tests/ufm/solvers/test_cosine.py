"""Classifiers and features of fixed norms: closed forms, routes, invariances, collapse, and what is refused."""

from math import exp, log

import numpy as np
import pytest

import ufm
from ufm import Cosine, NoDecay, Problem
from ufm.solvers import Convex, Factored, Gradient, Symmetric

LOSSES = ("ce", "ce:weights=0.5", "ce:adjustment=1", "ce:temperatures=0.5", "ce:smoothing=0.1", "mse", "bce")


def solved(counts, scale=2.0, loss="ce", dim=None, **options):
    return ufm.solve(Problem(counts, regularizer=NoDecay(), head=Cosine(scale), loss=loss, dim=dim), **options)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("scale", [0.01, 2.0, 16.0])
def test_balanced_classes_are_a_simplex_etf(classes, scale):
    """Cosines 1 and -1/(K-1): the loss is log(1 + (K-1) exp(-s K/(K-1))), that of spherical cross-entropy at s = 1."""
    value = log(1 + (classes - 1) * exp(-scale * classes / (classes - 1)))
    found = solved([7] * classes, scale)
    assert found.status == "optimal"
    assert found.value == pytest.approx(value, rel=1e-11)
    assert ufm.geometry(found)["nc2"] < 1e-6


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_certified_and_its_parameters_have_its_value(loss):
    for counts in ([100] * 3 + [10] * 3 + [3], [4, 1], [50, 50, 2]):
        for scale in (0.7, 3.0):
            found = solved(counts, scale, loss)
            assert found.status == "optimal"
            assert found.gap < 1e-11
            parameters = found.parameters
            assert np.linalg.norm(parameters.features, axis=0) == pytest.approx(np.ones(len(counts)), rel=1e-9)
            assert np.linalg.norm(parameters.weight, axis=1) == pytest.approx(np.full(len(counts), scale), rel=1e-9)
            value = found.problem.objective(parameters)
            assert found.lower * (1 - 1e-13) - 1e-25 <= value <= found.upper * (1 + 1e-13) + 1e-25


@pytest.mark.parametrize("counts", [[40, 40, 9, 9, 9], [100, 30, 10, 5, 2], [6, 3]])
def test_routes_agree_within_their_certified_gaps(counts):
    found = [solved(counts, method=route) for route in (Symmetric(), Factored(), Convex(profile="clarabel-1e-9"))]
    assert max(s.lower for s in found) <= min(s.upper for s in found)
    assert found[0].value == pytest.approx(found[1].value, rel=1e-10)
    assert found[2].value == pytest.approx(found[0].value, rel=1e-5)
    assert found[2].gap < 1e-3


def test_what_must_not_change_the_answer():
    value = solved([30, 30, 4, 4, 4]).value
    assert solved([3000, 3000, 400, 400, 400]).value == pytest.approx(value, rel=1e-12)
    assert solved([4, 30, 4, 30, 4]).value == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("scale", "apart", "together"), [(2.0, 128.5, 129.0), (3.0, 1010.0, 1030.0)])
def test_minority_collapse_of_five_and_five(scale, apart, together):
    """Both sides of the threshold, proved; it is not stated in closed form."""
    below, above = (solved(f"{round(r * 1000)}*5,1000*5", scale) for r in (apart, together))
    assert ufm.collapse(below).verdict == "no"
    assert ufm.collapse(above).verdict == "yes"
    assert ufm.geometry(below)["cos_minority_means"] < 1 - 1e-6
    assert ufm.geometry(above)["cos_minority_means"] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("sizes", [(10**6, 1), (1, 1)])
@pytest.mark.parametrize("classes", [(1, 1), (1, 3), (3, 1), (500_000, 500_000)])
def test_hard_numbers_of_classes_and_samples(sizes, classes):
    found = solved(f"{sizes[0]}*{classes[0]},{sizes[1]}*{classes[1]}")
    assert found.relative_gap < 1e-8


def test_distinct_sizes_and_narrow_models():
    long_tail = solved(ufm.long_tailed(20, largest=300, ratio=30))
    assert long_tail.method == "factored"
    assert long_tail.relative_gap < 1e-8
    wide = solved([40, 40, 5, 5])
    for dim in (1, 2):
        narrow = solved([40, 40, 5, 5], dim=dim)
        assert narrow.status == "loose"
        assert narrow.lower <= wide.value < narrow.value
        assert narrow.problem.objective(narrow.parameters) == pytest.approx(narrow.value, rel=1e-12)
    assert solved([40, 40, 5, 5], dim=6).value == pytest.approx(wide.value, rel=1e-12)


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 201, "1", None, True])
def test_scales_that_are_none_are_refused(scale):
    with pytest.raises(ufm.InputError, match="scale"):
        Cosine(scale)


def test_what_does_not_go_with_cosines():
    for regularizer in (ufm.WeightDecay(0.1, 0.1), ufm.NormBudget(1, 5), ufm.ClassifierDecay(0.1)):
        with pytest.raises(ufm.InputError, match=r"NoDecay\(\)"):
            Problem([3, 2], regularizer=regularizer, head="cosine:scale=2")
    for head in ("explicit", "deq:rho=0.3", "relu", "etf"):
        with pytest.raises(ufm.InputError, match=r"NoDecay\(\)"):
            Problem([3, 2], regularizer=NoDecay(), head=head)
    with pytest.raises(ufm.InputError, match="ClassifierDecay"):
        Problem([3, 2], regularizer=NoDecay(), head="layernorm")
    with pytest.raises(ufm.InputError, match="need a convex loss"):
        Problem([3, 2], regularizer=NoDecay(), head="cosine:scale=2", loss="focal:gamma=2")
    with pytest.raises(ufm.InputError, match="table"):
        Problem(ufm.TargetTable.soft([[0.9, 0.2], [0.1, 0.8]], [3, 4]), regularizer=NoDecay(), head="cosine:scale=2")
    for method in ("separable", "proximal", "multistart", Gradient()):
        with pytest.raises(ufm.InputError, match="does not fit"):
            solved([3, 2], method=method)
    with pytest.raises(ufm.InputError, match="not stated"):
        ufm.threshold(classes=(5, 5), regularizer=NoDecay(), head="cosine:scale=2")
