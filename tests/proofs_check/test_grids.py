"""Instances of the grids satisfy the hypotheses, and reach the cases that a claim distinguishes."""

from math import prod, sqrt

import numpy as np
import pytest

import ufm
from proofs_check import dang2023, zhou2022
from proofs_check.registry import all_theorems

BOOK = all_theorems()
GRIDS = {name: list(claim().grid()) for name, claim in BOOK.items() if name}


@pytest.fixture
def grid(request):
    """The grid of the theorem that the test's name ends with, made anew."""
    return list(BOOK[request.node.name.rsplit("_", 1)[-1].upper()]().grid())


def mirrored(values, about):
    """Whether the values lie on both sides of a point in pairs."""
    return sorted(values) == pytest.approx(sorted(2 * about - v for v in values))


def close(values, about, within):
    """Whether the nearest values on both sides of a point are as near as that."""
    return (
        0 < about - max(v for v in values if v < about) <= within and 0 < min(v for v in values if v > about) - about <= within
    )


@pytest.mark.parametrize("name", BOOK)
def test_instances_are_many_and_distinct(name):
    made = list(BOOK[name]().grid())
    assert len(made) >= 2
    assert len(set(map(repr, made))) == len(made)


@pytest.mark.parametrize("name", ["F3", "F5", "D3"])
def test_ten_classes_with_the_majority_larger_and_smaller_than_the_minority(name):
    made = list(BOOK[name]().grid())
    several = [p for p in made if p.majority > 1]
    assert mirrored({p.majority for p in several}, 5)
    assert min(p.majority for p in several) == 3
    assert all(getattr(p, "minority", 10 - p.majority) == 10 - p.majority for p in made)
    assert min(p.e_h for p in made) == 1  # c = 1
    assert any(p.e_h == 5 and p.majority == 5 for p in made)  # c = sqrt 5, the budget of the tables


@pytest.mark.parametrize("name", ["F5", "D3", "B2", "M3", "M1"])
def test_thresholds_are_approached_within_two_percent_from_both_sides(name):
    relative = [p.relative for p in BOOK[name]().grid()]
    assert close(relative, 1, 0.0201)
    by_case = {}
    for p in BOOK[name]().grid():
        by_case.setdefault(repr(p._replace(relative=0)), []).append(p.relative)
    assert all(close(values, 1, 0.0201) for values in by_case.values())
    assert all(mirrored([v for v in values if abs(v - 1) < 0.1], 1) for values in by_case.values())


def test_budgets_of_balanced_classes_f1(grid):
    classes = {p.classes for p in grid}
    assert min(classes) == 2
    assert max(classes) == 100
    assert 10 in classes
    assert 3 in classes
    products = {p.e_w * p.e_h for p in grid}
    assert products == {1, 5}  # c = 1, and the budget of the tables
    assert any(p.e_w < 1 for p in grid)
    assert all(p.e_w != p.e_h for p in grid)


def test_relaxations_f2(grid):
    sizes = [ufm.ClassCounts.parse(p.counts) for p in grid]
    assert sorted(len(s.groups) for s in sizes) == [1, 2, 3]
    assert all(p.e_w != p.e_h and p.e_w <= 1 for p in grid)
    assert len({p.e_w * p.e_h for p in grid}) == len(grid)
    # Logits of the ETF at these budgets are moderate, so that a semidefinite solver can tell the value from zero.
    assert all(p.e_w * p.e_h <= 5 for p in grid)


def test_far_beyond_the_threshold_f3(grid):
    assert {p.relative for p in grid} == {10.0}  # ten times the threshold


def test_whole_ratios_down_to_one_sample_f4(grid):
    assert mirrored({p.majority for p in grid}, 5)
    assert all(p.n_majority % p.n_minority == 0 and p.n_majority >= 10 * p.n_minority for p in grid)
    assert any(p.n_minority == 1 and p.n_majority >= 10**5 for p in grid)
    assert {p.e_h for p in grid} == {1, 5}
    assert {p.n_majority // p.n_minority for p in grid} <= {10**k for k in range(1, 7)}


def test_a_single_majority_class_f5(grid):
    """K_A = 1 has a proof of its own."""
    assert {p.majority for p in grid if p.majority < 3} == {1}
    budgets = sorted({p.e_h for p in grid})
    assert budgets == [1, 2, 5, 10]  # a decade
    assert sorted({p.e_h for p in grid if p.majority == 1}) == budgets[:2]


def test_no_training_ends_at_zero_h1(grid):
    for p in grid:
        counts = ufm.ClassCounts.parse(p.counts)
        mu = sqrt(p.weight * p.features)
        largest = max(n for _, n in counts.groups)
        assert sqrt(largest) > counts.total * mu
    assert {p.rule for p in grid} == {"nesterov", "heavy-ball"}
    assert len({p.seed for p in grid}) == len(grid)
    assert any(p.weight == p.features for p in grid)
    assert any(p.weight < p.features for p in grid)


def test_margins_ratios_and_biases_h3(grid):
    plain = [p for p in grid if p.bias is None]
    assert mirrored({p.majority for p in plain}, 5)
    assert mirrored({p.margin for p in plain}, 1)
    assert close({p.margin for p in plain}, 1, 0.0101)
    assert max(p.margin for p in plain) == pytest.approx(1.1)
    assert min(p.ratio for p in plain) == 2
    assert max(p.ratio for p in plain) == 100
    assert sorted({p.ratio for p in plain})[1] == 10
    biases = sorted({p.bias for p in grid if p.bias is not None})
    assert biases[0] == 0  # free
    assert biases[-1] >= 1000 * biases[1] > 0
    assert all(close([p.margin for p in grid if p.bias == b], 1, 0.0101) for b in biases)
    assert all(p.majority == 5 and p.ratio == 10 for p in grid if p.bias is not None)


def test_dimensions_and_decays_z1(grid):
    for p in grid:
        assert p.dim > p.classes
        assert p.classes * sqrt(p.n) * p.decay < 1  # the optimum is not zero
        assert p.seeds >= 10
    assert max(p.seeds for p in grid) == 50
    assert any(p.dim == p.classes + 1 for p in grid)  # the least width of the theorem
    assert all(p.classes % 2 == 0 for p in grid)  # there are pair codes


def test_either_side_of_death_z2(grid):
    reach = [p.classes * sqrt(p.n * p.weight * p.features) for p in grid]
    assert sum(r >= 1 for r in reach) == 1
    assert 1 < max(reach) < 1.02
    assert {min(p.classes for p in grid), max(p.classes for p in grid)} == {2, 1000}
    assert any((p.classes, p.n, p.weight, p.features) == (10, 50, 5e-3, 5e-3) for p in grid)  # the tabulated one
    assert any(p.weight > p.features for p in grid) or any(p.weight < p.features for p in grid)
    assert all(p.weight <= p.features for p in grid)


def test_decays_of_the_bias_m1(grid):
    for p in grid:
        assert 0 < p.classes * sqrt(p.n * p.weight * p.features) < 0.5  # t, far from where all dies
        assert p.threshold > 0
    assert min(p.relative for p in grid) == 0.5
    assert max(p.relative for p in grid) >= 1000
    assert sum(1.1 < r < 10 for r in {p.relative for p in grid}) == 1
    cases = {(p.classes, p.n): (p.weight, p.features) for p in grid}
    assert len(cases) == 3
    assert any(w != h for w, h in cases.values())
    assert any(k > n for k, n in cases)
    assert any(k < n for k, n in cases)
    assert zhou2022.FreeMean.id in BOOK


def test_depths_m3(grid):
    assert sorted({p.layers for p in grid}) == [2, 3, 4]
    assert all(p.sizes[0] == p.sizes[1] for p in grid)
    assert min(p.sizes[0] for p in grid) == 3
    assert max(p.sizes[0] for p in grid) == 50


def test_depths_b1(grid):
    even = [p for p in grid if len(set(p.sizes)) == 1]
    odd = [p for p in grid if len(set(p.sizes)) > 1]
    assert [p.layers for p in even] == [1, 2, 3]
    assert [p.layers for p in odd] == [1, 2, 3, 6]
    assert all(p.sizes == odd[0].sizes for p in odd)
    assert all(p.weight == p.features for p in even)
    assert all(p.weight < p.features < 0.01 for p in odd)
    # Every class is alive; where they die is B2.
    assert all(dang2023.root(p.layers, p.strength / n) > 0 for p in grid for n in p.sizes)


def test_depths_b2(grid):
    assert sorted({p.layers for p in grid}) == [1, 2, 3]
    assert {len(p.sizes) == len(set(p.sizes)) for p in grid} == {True, False}
    assert all(min(p.sizes) == 10 for p in grid)


def test_classes_are_alive_or_dead_within_five_percent_of_the_edge_e1(grid):
    """Everything is alive, but where all classes are just beyond the edge; the dead beside living ones are shown outside."""

    def place(p):
        k, total = len(p.counts), sum(p.counts)
        return {total**2 * p.weight * p.features / n / ((k - 1) / k) for n in p.counts}

    assert close({x for p in grid for x in place(p)}, 1, 0.05)
    assert all(max(place(p)) < 1 or min(place(p)) > 1 for p in grid)
    assert {len(p.counts) for p in grid} == {2, 3, 4}
    assert any(len(set(p.counts)) == 1 for p in grid)
    assert any(p.weight != p.features for p in grid)
    assert any(max(p.counts) > 100 * min(p.counts) for p in grid)


def test_both_sides_of_the_boundary_g1(grid):
    """Prices at equal margins and small decay: ``(K-1)`` for the ETF against ``sum (m - 1) height^p``, ``p = 2/(L+1)``."""

    def wins(k, layers):
        power = 2 / (layers + 1)
        code = k / 2 * 2**power if k % 2 == 0 else (k - 3) / 2 * 2**power + 2 * 1.5**power
        return code < k - 1

    pairs = {(p.classes, p.layers) for p in grid}
    for layers in (2, 3):
        for parity in (0, 1):
            edge = next(k for k in range(4 + parity, 20, 2) if wins(k, layers))
            assert (edge, layers) in pairs
            assert any(k > edge for k, depth in pairs if depth == layers and k % 2 == parity) or (layers, parity) == (3, 1)
            if edge - 2 >= 4:
                assert (edge - 2, layers) in pairs
    assert {p.n for p in grid} == {5}
    assert {p.decay for p in grid} == {2.0**-10}
    assert max(k for k, _ in pairs) == 10


def test_tails_y(grid):
    assert any(len(set(p.counts)) == 1 for p in grid)
    assert any(len(p.counts) == 2 and min(p.counts) == 1 for p in grid)
    assert max(max(p.counts) / min(p.counts) for p in grid) == 100 or any(len(set(p.counts)) == 4 for p in grid)
    assert {p.e_w for p in grid} == {1}
    assert {p.e_h for p in grid} == {1, 5}
    assert sum(len(p.counts) == 10 for p in grid) == 4


def test_regularisers_d1(grid):
    assert {type(p.regularizer) for p in grid} == {ufm.NormBudget, ufm.WeightDecay}
    assert all(0 < p.rho <= 0.5 for p in grid)
    for p in grid:
        if isinstance(p.regularizer, ufm.WeightDecay):
            mu, counts = sqrt(p.regularizer.weight * p.regularizer.features), ufm.ClassCounts.parse(p.counts)
            assert counts.total * mu * (1 - p.rho) < sqrt(min(n for _, n in counts.groups))  # no class is dead
            assert prod((p.regularizer.weight, p.regularizer.features)) < 1e-4
        else:
            assert p.regularizer.weight * p.regularizer.features <= 2


def test_gains_d2(grid):
    assert {p.rho for p in grid} >= {0.1, 0.3, 0.5}  # the tabulated ones
    assert max(p.rho for p in grid) == 0.7
    assert {(p.classes, p.e_w * p.e_h) for p in grid} == {(10, 5), (3, 2)}
    assert all(p.e_w == 1 for p in grid)


def test_rungs_d4(grid):
    effective = [sqrt(p.e_h) / (1 - p.rho) for p in grid if p.majority == 5]
    assert effective == sorted(effective)
    assert {p.majority for p in grid} == {5, 7}
    assert {p.ratio for p in grid} == {10}


def test_budgets_of_the_map_d5(grid):
    """From the least budget of the statement up, always below 1."""
    assert min(p.budget for p in grid) == 0.24
    assert all(p.budget < 1 and (p.classes, p.e_w * p.e_h) == (10, 5) for p in grid)


def test_even_numbers_of_classes_d6(grid):
    assert all(p.classes % 2 == 0 and p.classes >= 6 for p in grid)
    assert any(p.e_w != 1 for p in grid)
    assert any((p.classes, p.e_h) == (10, 5) for p in grid)


def test_singular_values_on_both_pieces_of_the_penalty_d7(grid):
    sides = set()
    for p in grid:
        sigma = np.linalg.svd(p.size * np.random.default_rng(p.seed).standard_normal((3, 3)))[1]
        knee = p.contraction * p.decay / p.mu
        sides |= {bool(s > knee) for s in sigma}
        assert 0 < p.contraction < 1
    assert sides == {True, False}
    assert [p.seed for p in grid] == [1, 2, 3]


def test_jumps_beyond_the_explicit_ratio_d8(grid):
    """Intervals of one width between the explicit head's ratio 7 and the proved limit 15: ``sqrt(n) = N mu (1 - g)``."""
    explicit, proved = 7, 15
    for p in grid:
        assert explicit < p.low < p.high < proved
        assert p.high - p.low == 2
    assert grid[0].high == grid[1].low
    assert grid[0].decay == 5 * grid[1].decay < 0.1
    mu = 2.5e-3
    for ratio, gain in ((explicit, 1.0), (proved, 0.5)):
        assert 500 * (ratio + 1) * mu * gain == pytest.approx(sqrt(100))
