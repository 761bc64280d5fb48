"""Exchange of collapsed and separated solutions: the parts against other routes, the search on excesses with known roots."""

from fractions import Fraction
from itertools import pairwise, product
from math import inf, sqrt
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import ufm
from tests.ufm.independent import StepProgram
from ufm.analysis.thresholds import jump
from ufm.analysis.thresholds.decay import decay_threshold
from ufm.analysis.thresholds.family import PLAIN, Family
from ufm.analysis.thresholds.jump import (
    NOISE,
    RELATIVE,
    SEPARATED,
    Tracker,
    exchange,
    narrowed,
    search_exchange,
    secant,
)
from ufm.solvers import Multistart
from ufm.solvers.nonconvex.descent import Found
from ufm.spectral import Point

DECAY = ufm.WeightDecay(2.5e-2, 2.5e-2)
DEQ = ufm.DecayedDEQ(0.05, 0.5)


def small(head=DEQ, majority=1, minority=2, count=10, decay=DECAY):
    return Family(majority, minority, count, decay, head)


# Programs


@pytest.mark.parametrize("head", [DEQ, ufm.Explicit(2)])
@pytest.mark.parametrize("bias", [None, 0.1])
@pytest.mark.parametrize("per_class", [False, True])
def test_programs_are_those_of_problems_with_whole_samples(head, bias, per_class):
    decay = ufm.WeightDecay(1e-2, 2e-2, bias, per_class=per_class)
    family = small(head, 3, 2, 10, decay)
    ours, expected = family.program(2.5), ufm.Problem([25] * 3 + [10] * 2, regularizer=decay, head=head).program()
    for program, other in ((ours, expected), (family.one_minority(2.5).split(), expected.split())):
        assert program.sizes == other.sizes
        assert program.runs == other.runs
        assert program.penalty == other.penalty
        assert program.bias_decay == other.bias_decay
        for name in ("multiplicity", "scale", "share"):
            assert getattr(program, name) == pytest.approx(getattr(other, name), rel=1e-15), name
        assert program.loss.offset.tolist() == other.loss.offset.tolist()
        assert (program.loss.floor, program.loss.smoothing) == (other.loss.floor, other.loss.smoothing) == (0.0, 0.0)
        g = program.groups
        point = Point(program.contrast_counts * 1.5, np.arange(g * g, dtype=float).reshape(g, g), np.arange(1.0, g + 1))
        assert program.smooth(point).value == pytest.approx(other.smooth(point).value, rel=1e-14)
    together = family.one_minority(2.5)
    assert together.multiplicity.tolist() == [1.0, 1.0, 1.0, 2.0]
    assert together.runs == ((0, 1), (1, 1), (2, 1), (3, 2))


def test_ratios_need_no_whole_samples():
    """A class of 10.04 samples weighs 10.04, though its size is given as 10."""
    program = small().program(1.004)
    assert program.sizes == (10, 10)
    assert program.share == pytest.approx(np.array([10.04, 10.0]) / 30.04, rel=1e-15)
    assert program.scale == pytest.approx(np.sqrt([10.04, 10.0]), rel=1e-15)


def test_first_and_last_ratios():
    """``sqrt(n_B) slope (K_A R + K_B) = 1`` with the slope of the penalty at zero, and with the one beyond its knee."""
    family = small(ufm.DecayedDEQ(0.05, 0.75), 3, 2, 40)
    for ratio, slope in ((family.first(), 2.5e-2), (family.last(), 2.5e-2 / 4)):
        assert sqrt(40) * slope * (3 * ratio + 2) == pytest.approx(1.0, rel=1e-12)
    # Two layers have an infinite slope at zero and none at infinity.
    assert small(ufm.Explicit(2)).first() == 0.0
    assert small(ufm.Explicit(2)).last() is None


# Starts


def tracker(family=None, seed=0):
    return Tracker(family or small(), seed)


def logits(program, point):
    """Dense logits of a point of a full program."""
    return program.spread(point)[:-1]


def test_structured_starts_set_groups_apart():
    """``x / m`` more logit for all classes of the own group, columns centred, in full programs and in grouped ones."""
    family = small(majority=2, minority=3)
    for program in (family.program(3.0), family.program(3.0).split(), family.one_minority(3.0)):
        m = program.multiplicity
        zero, *apart = tracker(family).starts(program)[:3]
        assert not zero.core.any()
        for point, height in zip(apart, jump.CONTRASTS, strict=True):
            assert not point.contrast.any()
            assert not point.bias.any()
            z = program.spread(point)[:-1]
            assert m @ z == pytest.approx(np.zeros(program.groups), abs=1e-12)
            others = z[~np.eye(program.groups, dtype=bool)]
            assert others == pytest.approx(np.full(len(others), -height / m.sum()), rel=1e-12)


def test_random_starts_have_full_rank_and_a_bounded_height():
    program = small(majority=2, minority=3).program(9.0).split()
    heights, skew = [], []
    for seed in range(100):
        starts = tracker(seed=seed).starts(program)[3:]
        assert len(starts) == jump.STARTS
        for point in starts:
            assert not point.contrast.any()
            assert not point.bias.any()
            assert np.linalg.matrix_rank(point.core) == 4
            square = point.core / program.scale
            # Positive, and symmetric for the larger part: own logits are above the others.
            assert np.trace(square) > 0
            assert np.linalg.matrix_rank(square - square.T) == 4
            skew.append(np.linalg.norm(square - square.T) / np.linalg.norm(square))
            heights.append(np.linalg.norm(point.core, 2) / program.scale.max())
    assert 0 < min(skew) < np.mean(skew) < 0.4
    low, high = jump.HEIGHTS
    assert low <= min(heights) < 1.1 * low
    assert 0.95 * high < max(heights) <= high
    first, again, other = (tracker(seed=seed).starts(program)[-1].core for seed in (3, 3, 4))
    assert (first == again).all()
    assert not (first == other).all()


def test_partial_starts_average_a_simplex_over_the_classes_left_together():
    family = small(majority=2, minority=4)
    program = family.program(3.0).split()
    starts = tracker(family).partial(program)
    assert len(starts) == 2
    for kept, point in zip((2, 3), starts, strict=True):
        mean = np.eye(6)
        mean[2 + kept :, 2 + kept :] = 1 / (4 - kept)
        assert logits(program, point) == pytest.approx(mean @ (jump.PARTIAL * (np.eye(6) - 1 / 6)) @ mean, abs=1e-12)
        assert not point.contrast.any()
        assert not point.bias.any()
        assert tracker(family).apart(program, point)
    assert tracker(small(minority=2)).partial(small().program(3.0).split()) == []


@pytest.mark.parametrize(("factor", "told"), [(0.99, False), (1.01, True)])
def test_minority_classes_are_told_apart_by_their_logits(factor, told):
    family = small(majority=2, minority=3)
    program = family.program(3.0).split()
    for row, column, counts in ((2, 2, True), (4, 2, True), (3, 4, True), (0, 0, False), (1, 3, False), (2, 1, False)):
        z = np.zeros((5, 5))
        z[row, column] = factor * SEPARATED
        point = Point(np.zeros(5), z * program.scale, np.zeros(5))
        assert tracker(family).apart(program, point) == (told and counts)
    # What is added to whole columns tells no class from another.
    z = np.zeros((5, 5)) + np.arange(5.0)
    assert not tracker(family).apart(program, Point(np.zeros(5), z * program.scale, np.zeros(5)))


# Values


def best_symmetric(family, ratio, flat):
    """Least objective over the three or four scalars of step imbalance, by another program and another method."""
    a, b, na, nb = family.majority, family.minority, family.count * ratio, float(family.count)
    total = a * na + b * nb
    step = StepProgram(a, b, (na / total, nb / total), (sqrt(na), sqrt(nb)), flat)
    penalty = family.program(ratio).penalty

    def value(u):
        xa, xb, ga, gb = step.whole(np.abs(u))
        xa, xb, ga, gb = xa * sqrt(na), xb * sqrt(nb), ga * sqrt(na), gb * sqrt(nb)
        between = sqrt((a * ga**2 + b * gb**2) * a * b / (a + b))
        return step.loss(np.abs(u), np) + penalty.value(np.array([xa, xb, between]), np.array([a - 1.0, b - 1.0, 1.0]))

    options = {"xatol": 1e-9, "fatol": 1e-15, "maxiter": 10_000, "maxfev": 10_000}
    free = step.free()
    ends = [value(np.zeros(sum(free)))]
    # Solutions without some of the contrasts, or without gaps, are minima of their own where the slope at zero is infinite.
    for xa, xb, gap in list(product((False, True), repeat=3))[1:]:
        live = np.flatnonzero([on for on, is_free in zip((xa, xb, gap, gap), free, strict=True) if is_free])

        def inner(u, live=live):
            whole = np.zeros(sum(free))
            whole[live] = u
            return value(whole)

        starts = [np.full(len(live), x) for x in (1.0, 4.0)] if len(live) else []
        ends += [minimize(inner, start, method="Nelder-Mead", options=options).fun for start in starts]
    return min(ends)


CASES = [
    (small(), 14.0),
    (small(), 16.0),
    (small(majority=2, minority=2), 6.0),
    (small(ufm.Explicit(2), minority=3), 5.0),
    (small(ufm.Explicit(2), majority=2, minority=2), 4.0),  # without a gap between the groups
]


@pytest.mark.parametrize(("family", "ratio"), CASES)
def test_symmetric_excess_by_another_method(family, ratio):
    apart, together = (best_symmetric(family, ratio, flat) for flat in (False, True))
    excess = tracker(family).symmetric_excess(ratio)
    assert abs(excess) > 1e-4
    # The other route lets the minority contrast vanish too, so it gives the better of both.
    assert min(excess, 0.0) == pytest.approx(apart - together, abs=1e-8)


def test_a_bias_that_costs_too_much_changes_nothing():
    plain, biased = (small(decay=ufm.WeightDecay(2.5e-2, 2.5e-2, bias)) for bias in (None, 1e9))
    assert tracker(biased).symmetric_excess(14.0) == pytest.approx(tracker(plain).symmetric_excess(14.0), abs=1e-7)


@pytest.mark.parametrize(("factor", "told"), [(0.99, False), (1.01, True)])
@pytest.mark.parametrize(("head", "steep"), [(DEQ, False), (ufm.Explicit(2), True)])
def test_symmetric_solutions_start_in_nats_and_are_told_apart_in_nats(head, steep, factor, told, monkeypatch):
    family = small(head, majority=2, minority=3)
    program = family.program(4.0)
    begun = []

    def run(point, steps, *, adapt=True):
        begun.append((*(point.contrast / program.scale).tolist(), float(program.spread(point)[1, 0]) * -5.0, adapt))
        end = Point(np.array([0.0, factor * SEPARATED * program.scale[1]]), point.core, point.bias)
        return Found(3.0 if adapt else 5.0, end if adapt else point, steps)

    monkeypatch.setattr(jump, "Descent", lambda *_: SimpleNamespace(run=run))
    assert tracker(family).symmetric_excess(4.0) == (-2.0 if told else inf)
    expected = set()
    for height in jump.CONTRASTS:
        # Solutions without a gap between the groups are minima of their own only where the slope at zero is infinite.
        for x, gap in product((height, 0.0), (height, 0.0) if steep else (height,)):
            expected |= {(x, 0.0, gap, False), (x, jump.SMALL * height, gap, True), (x, height, gap, True)}
    assert {tuple(round(float(x), 9) + 0.0 for x in start) for start in begun} == {
        tuple(round(x, 9) for x in s) for s in expected
    }
    # Zero is begun from both heights.
    assert len(begun) == len(expected) + steep


@pytest.mark.parametrize(("ratio", "wins"), [(14.0, "separated"), (16.0, "collapsed")])
def test_the_better_kind_has_the_value_of_the_multistart_solver(ratio, wins):
    follower = tracker()
    family = follower.family
    excess = follower.excess(ratio, True)
    assert (excess < 0) == (wins == "separated")
    problem = ufm.Problem([round(10 * ratio), 10, 10], regularizer=DECAY, head=DEQ)
    solution = ufm.solve(problem, method=Multistart(starts=6, effort=0))
    program = family.program(ratio).split() if wins == "separated" else family.one_minority(ratio)
    assert follower.best(wins, program, False) == pytest.approx(solution.value, rel=1e-9)
    # One majority and two minority classes: all solutions found treat equal classes alike.
    assert excess == pytest.approx(follower.symmetric_excess(ratio), abs=1e-9)
    # Followed without a search, from the solutions that are kept.
    assert follower.excess(ratio, False) == pytest.approx(excess, abs=1e-10)


def test_nothing_is_separated_where_collapse_is_proved():
    follower = tracker()
    assert follower.excess(1.01 * follower.family.last(), True) == inf
    assert follower.pools["separated"] == []
    assert len(follower.pools["collapsed"]) == 1


def test_solutions_are_kept_for_other_ratios():
    """Anchors are the solutions of the last ratio at which separation won; pools those of the last ratio."""
    family = small(ufm.Explicit(2), minority=3)
    follower = tracker(family)
    assert follower.excess(2.0, True) < -NOISE
    assert follower.anchors == follower.pools
    before = {kind: [id(p) for p in points] for kind, points in follower.anchors.items()}
    assert follower.excess(40.0, True) > 0
    assert {kind: [id(p) for p in points] for kind, points in follower.anchors.items()} == before
    for kind, program in (("separated", family.program(40.0).split()), ("collapsed", family.one_minority(40.0))):
        pool = follower.pools[kind]
        assert 1 <= len(pool) <= jump.KEPT
        values = [program.smooth(p).value + program.penalty.value(*lengths(program, p)) for p in pool]
        assert all(one < other for one, other in pairwise(values))
        if kind == "separated":
            assert all(follower.apart(program, p) for p in pool)


@pytest.mark.parametrize(("apart", "kept"), [(-NOISE, False), (0.0, False), (inf, False), (-2 * NOISE, True)])
def test_anchors_change_where_separation_wins_by_more_than_the_noise(apart, kept, monkeypatch):
    follower = tracker()
    monkeypatch.setattr(follower, "best", lambda kind, *_: {"separated": apart, "collapsed": 0.0}[kind])
    follower.pools = {"separated": [1], "collapsed": [2]}
    assert follower.excess(2.0, True) == apart
    assert follower.anchors == (follower.pools if kept else {"separated": [], "collapsed": []})
    assert follower.anchors["separated"] is not follower.pools["separated"]


class Scripted:
    """Stands for the descent: points have the values that they are given, and stay where they are."""

    def __init__(self, values):
        self.values, self.begun = values, []

    def __call__(self, *_):
        return self

    def run(self, point, steps, *, rough=False, adapt=True):
        self.begun.append((point, steps, rough, adapt))
        return Found(self.values.get(id(point), 100.0), point, 1)


@pytest.mark.parametrize("kind", ["separated", "collapsed"])
def test_descents_of_both_kinds(kind, monkeypatch):
    """Contrasts are added to separated solutions only, and only those start with some of the minority together."""
    family = small(minority=3)
    program = family.program(3.0).split() if kind == "separated" else family.one_minority(3.0)
    follower = tracker(family)
    partial = follower.partial(program)
    known, anchor = (Point(np.zeros(program.groups), 9.0 * np.eye(program.groups), np.zeros(program.groups)) for _ in range(2))
    script = Scripted({id(known): 1.0, id(anchor): 1.5})
    monkeypatch.setattr(jump, "Descent", script)
    follower.pools[kind], follower.anchors[kind] = [known], [anchor]
    assert follower.best(kind, program, True) == 1.0
    assert follower.pools[kind][0] is known
    assert follower.pools[kind][1] is anchor
    rough = [point for point, _, is_rough, _ in script.begun if is_rough]
    assert len(rough) == 3 + jump.STARTS + (1 if kind == "separated" else 0)
    assert any(point.core == pytest.approx(partial[0].core) for point in rough[3 + jump.STARTS :]) == (kind == "separated")
    assert [adapt for _, _, is_rough, adapt in script.begun if not is_rough] == [kind == "separated"] * (2 + jump.POLISHED)
    assert {steps for _, steps, _, _ in script.begun} == {jump.STEPS}


def test_equal_values_are_one_solution(monkeypatch):
    family = small(minority=3)
    program = family.one_minority(3.0)
    same = 1 + jump.SAME
    for values, kept in (([1.0, 1.0, 2.0], [0, 2]), ([1.0, same, 1.5], [0, 2]), ([2.0, 1.0, 2.0, 2.0], [1, 0]), ([3.0], [0])):
        points = [Point(np.zeros(2), np.eye(2), np.zeros(2)) for _ in values]
        monkeypatch.setattr(jump, "Descent", Scripted({id(p): v for p, v in zip(points, values, strict=True)}))
        follower = tracker(family)
        follower.pools["collapsed"] = points
        assert follower.best("collapsed", program, False) == min(values)
        assert [id(p) for p in follower.pools["collapsed"]] == [id(points[k]) for k in kept]


def lengths(program, point):
    sigma = np.linalg.svd(point.core, compute_uv=False)
    sigma = np.where(sigma > 1e-13 * max(sigma[0], 1e-300), sigma, 0.0)
    return np.concatenate([point.contrast, sigma]), np.concatenate([program.contrast_counts, np.ones(program.groups)])


# Search on an excess with a known root


class Known:
    """Stands for the tracker; separation wins below ``root``, among symmetric solutions below ``symmetric``."""

    def __init__(self, root, symmetric=None, excess=None):
        self.root, self.symmetric = root, symmetric if symmetric is not None else root
        self.curve = excess or (lambda ratio: ratio - root)
        self.asked = []

    def __call__(self, family, seed):
        self.family, self.seed = family, seed
        return self

    def excess(self, ratio, search):
        self.asked.append((ratio, search))
        return self.curve(ratio)

    def symmetric_excess(self, ratio):
        return ratio - self.symmetric


def family(first, last=None, **more):
    return SimpleNamespace(first=lambda: first, last=lambda: last, name="head is any", loss=PLAIN, **more)


CURVES = {
    "line": lambda root: lambda r: r - root,
    "steep": lambda root: lambda r: (r - root) * (1e3 if r > root else 1e-3),
    "flat": lambda root: lambda r: (r - root) * (1e-3 if r > root else 1e3),
    "lost": lambda root: lambda r: inf if r > 1.3 * root else r - root,
    "jump": lambda root: lambda r: 1.0 if r > root else -1.0,
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(
    ("root", "first", "last"), [(1.5, 0.0, None), (37.0, 0.0, None), (6e4, 0.0, None), (9e4, 0.0, None), (15.4, 10.6, 23.3)]
)
def test_the_search_encloses_the_exchange(root, first, last, curve, monkeypatch):
    known = Known(root, 0.9 * root if root < 6e4 else 1e-3, CURVES[curve](root))
    monkeypatch.setattr(jump, "Tracker", known)
    given = family(first, last)
    found = search_exchange(given, 5)
    assert (known.family, known.seed) == (given, 5)
    assert found.lower <= root <= found.upper
    assert found.value == 0.5 * (found.lower + found.upper)
    assert found.upper / found.lower <= 1 + 2 * RELATIVE
    assert (found.quantity, found.level, found.transition) == ("ratio", "numeric", "jump")
    if root < 6e4:
        exchange = float(found.note.split("the exchange is at R = ")[1].split(";")[0])
        assert exchange == pytest.approx(0.9 * root, rel=1e-3)
    else:
        assert "alike collapse is best from the start" in found.note
    assert found.note.startswith("best found, not proved: the program is not convex; ")
    assert found.note.partition("; collapse is proved from R = ")[2] == ("" if last is None else f"{last:.6g}")
    ratios = [ratio for ratio, _ in known.asked]
    assert ratios[0] == max(first * (1 + 1e-4), 1.0)
    assert min(ratios) == ratios[0]
    assert max(ratios) <= (last or min(4 * root, jump.MAX_RATIO))
    # Fresh solutions are looked for first, in few bisections; after that known ones are followed.
    searched = [search for _, search in known.asked]
    assert searched == sorted(searched, reverse=True)
    growth = sum(1 for power in range(1, 10) if 4**power < root) + 1
    assert sum(searched) == 1 + (growth if last is None else 0) + jump.SEARCHES
    assert len(searched) < 75 if curve == "jump" else 60


def test_searches_that_find_no_exchange(monkeypatch):
    monkeypatch.setattr(jump, "Tracker", Known(1.01e5))
    with pytest.raises(ufm.InputError, match=r"stay better up to a ratio of 1e\+05, "):
        search_exchange(family(0.0), 0)
    # Collapse is the better one from the start, and it has always been a local minimum.
    monkeypatch.setattr(jump, "Tracker", Known(0.5))
    with pytest.raises(ufm.InputError, match="best at R = 1 already"):
        search_exchange(family(0.0, 9.0), 0)
    with pytest.raises(ufm.InputError, match="best at R = 1 already"):
        search_exchange(family(-3.0, 9.0), 0)


@pytest.mark.parametrize("excess", [0.0, -NOISE, 1.0, inf])
@pytest.mark.parametrize("first", [7.0, 0.5])
def test_a_continuous_threshold_is_the_closed_form(excess, first, monkeypatch):
    monkeypatch.setattr(jump, "Tracker", Known(0.0, excess=lambda _: excess))
    given = family(first, 20.0, majority=5, minority=6, count=100, regularizer=DECAY)
    found = search_exchange(given, 0)
    exact = decay_threshold(5, 6, 100, DECAY, Fraction(1), "float")
    assert (found.value, found.lower, found.upper) == (exact.value, exact.lower, exact.upper)
    assert (found.quantity, found.level, found.transition) == ("ratio", "numeric", "continuous")
    assert found.note.startswith("where the collapsed solution stops being a local minimum; ")
    assert found.note.endswith("best found, not proved")


@pytest.mark.parametrize("last", [None, 40.0])
def test_differences_below_the_noise_do_not_count_as_separated(last, monkeypatch):
    known = Known(15.0, 15.0, lambda r: -2 * NOISE if r < 15 else -NOISE)
    known.symmetric_excess = known.curve
    monkeypatch.setattr(jump, "Tracker", known)
    found = search_exchange(family(0.0, last), 0)
    assert found.lower <= 15 <= found.upper
    assert "the exchange is at R = 15" in found.note
    assert exchange(known, 1.0, 40.0) == pytest.approx(15.0, rel=1e-4)
    assert exchange(known, 15.0, 40.0) is None


@given(st.floats(1.0, 1e4), st.floats(1.0, 3.0), st.floats(-1e3, -1e-9), st.floats(1e-9, 1e3))
def test_secants_fall_into_the_bracket_just_past_the_crossing(low, ratio, a, b):
    high = low * (ratio + 1e-5)
    middle = secant(low, high, a, b)
    assert low < middle < high
    crossing = low - a * (high - low) / (b - a)
    near, far = sorted((crossing - low, high - crossing))
    step = max(0.01 * (high - low), 0.4 * RELATIVE * crossing)
    if far - near > 1e-6 * far:
        # On the far side of the crossing, so that the chord's nearer end moves up to it.
        assert (middle > crossing) == (crossing - low < high - crossing)
        assert abs(middle - crossing) == pytest.approx(step, rel=1e-3)


@pytest.mark.parametrize(("a", "b"), [(-1.0, inf), (-inf, 1.0), (-1.0, -0.5), (0.0, 1.0), (-1.0, 0.0)])
def test_without_a_crossing_the_bracket_is_halved(a, b):
    assert secant(2.0, 4.0, a, b) == 3.0


@pytest.mark.parametrize("root", [1.2, 3.0, 4.9])
def test_smooth_excesses_are_narrowed_in_few_steps(root):
    known = Known(root, excess=lambda r: r**3 - root**3)
    low, high = narrowed(known, 1.0, 5.0)
    assert low <= root <= high <= low * (1 + 2 * RELATIVE)
    assert len(known.asked) < 16
    assert not any(search for _, search in known.asked)
    assert all(1.0 <= ratio <= 5.0 for ratio, _ in known.asked)


def test_symmetric_exchanges_to_four_digits():
    for root in (1.1, 3.0, 19.9):
        assert exchange(Known(0.0, root), 1.0, 20.0) == pytest.approx(root, rel=1e-4)
    assert exchange(Known(0.0, 1.0), 1.0, 20.0) is None
    assert exchange(Known(0.0, 1.0 + 0.5 * NOISE), 1.0, 20.0) is None


def test_every_argument_reaches_the_search(monkeypatch):
    monkeypatch.setattr(jump, "search_exchange", lambda *given: given)
    assert jump.jump_threshold(3, 17, 40, DECAY, DEQ, 9) == (Family(3, 17, 40, DECAY, DEQ), 9)
    assert jump.jump_threshold(3, 17, 40, DECAY, DEQ) == (Family(3, 17, 40, DECAY, DEQ), 0)
    with pytest.raises(ufm.InputError, match="K=21"):
        jump.jump_threshold(4, 17, 40, DECAY, DEQ)


def test_a_threshold_between_the_first_and_the_last_ratio():
    """Just below it the separated solution is the better one, just above the collapsed one."""
    found = ufm.threshold(classes=(1, 2), regularizer=DECAY, minority_count=10, head=DEQ)
    assert small().first() < found.lower <= found.value <= found.upper < small().last()
    assert found.upper / found.lower <= 1 + 2 * RELATIVE
    for ratio, sign in ((found.lower * (1 - 1e-5), -1), (found.upper * (1 + 1e-5), 1)):
        assert sign * tracker(seed=4).excess(ratio, True) > 1e-8
