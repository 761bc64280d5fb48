"""Tables of targets: closed forms, independent descent, and what must not change the answer."""

from math import comb, log, sqrt

import numpy as np
import pytest
from scipy.optimize import minimize

import ufm
from tests.ufm.tables import KINDS, descended, random_problem, random_table, subsets
from ufm import TargetTable
from ufm.solvers.convex import Table


def decay(mu, bias=None):
    return ufm.WeightDecay(mu, mu, bias)


@pytest.mark.parametrize(("tokens", "support", "mu"), [(5, 2, 0.01), (6, 3, 0.005), (6, 2, 0.02), (5, 2, 0.14), (7, 1, 0.01)])
def test_next_token_law(tokens, support, mu):
    """All subsets of equal size with uniform labels: Z = a (indicator - k/V), of nuclear norm a (V-1) sqrt(C(V-2, k-1))."""
    norm = (tokens - 1) * sqrt(comb(tokens - 2, support - 1))
    columns = subsets(tokens, support)
    problem = ufm.Problem(TargetTable.soft(columns / support, [1] * columns.shape[1]), regularizer=decay(mu))
    found = ufm.solve(problem)
    # All zero if and only if the price exceeds the largest singular value of the gradient at zero.
    t = mu * norm
    height = max(log((tokens - support) * (1 - t) / (support * t)), 0.0) if t < 1 else 0.0
    value = log(support + (tokens - support) * np.exp(-height)) + t * height
    assert found.success
    assert found.value == pytest.approx(value, abs=1e-11)
    assert found.lower <= value * (1 + 1e-14)
    assert value <= found.upper * (1 + 1e-14)
    assert (found.status == "zero") == (mu >= (tokens - support) / (tokens * norm))


@pytest.mark.parametrize(("labels", "counts", "mu"), [(5, (20, 4), 0.01), (6, (3, 10), 0.005), (4, (7, 1, 5), 0.02)])
def test_multi_label_is_one_scalar_for_each_multiplicity(labels, counts, mu):
    columns = np.hstack([subsets(labels, m) for m in range(1, len(counts) + 1)])
    sizes = [n for m, n in enumerate(counts, 1) for _ in range(comb(labels, m))]
    found = ufm.solve(ufm.Problem(TargetTable(columns, sizes), regularizer=decay(mu), loss="pal"))
    total = sum(sizes)

    def objective(heights):
        value, square = 0.0, 0.0
        for m, (n, a) in enumerate(zip(counts, heights, strict=True), 1):
            value += n * comb(labels, m) / total * m * log(m + (labels - m) * np.exp(-a))
            square += n * comb(labels - 2, m - 1) * a**2
        return value + mu * (labels - 1) * sqrt(square)

    best = minimize(objective, np.full(len(counts), 2.0), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-15})
    assert found.success
    assert found.value == pytest.approx(best.fun, abs=1e-11)


@pytest.mark.parametrize(("p", "q", "price"), [(80, 20, 1.0), (97, 3, 1.0), (98, 2, 1.0), (99, 1, 1.0), (50, 50, 1.5)])
def test_two_binary_tasks(p, q, price):
    """Sum of losses + price (|W|^2 + |H|^2): heights log(sqrt(2 s) / price - 1); one task where q <= 2 price^2."""
    columns = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1.0]])
    total = 2 * (p + q)
    problem = ufm.Problem(TargetTable(columns, [p, q, q, p]), regularizer=decay(2 * price / total), loss="multitask:2,2")
    found = ufm.solve(problem)
    together, apart = (max(log(max(sqrt(2 * s) / price - 1, 1e-300)), 0.0) for s in (p, q))
    cosine = (sqrt(p) * together - sqrt(q) * apart) / (sqrt(p) * together + sqrt(q) * apart)
    assert found.success
    assert ufm.table_geometry(found)["cos_tasks_max"] == pytest.approx(cosine, abs=1e-7)
    assert (apart == 0) == (q <= 2 * price**2)
    assert found.factors.left.shape[1] == (1 if apart == 0 else 2)


@pytest.mark.parametrize("c", [0.01, 0.5, 2.0, 5.0])
def test_regression_directions_die_one_by_one(c):
    """Value sum_i (sqrt(c l_i) - c/2 if l_i > c else l_i / 2) over the eigenvalues l_i of the targets' covariance."""
    rng = np.random.default_rng(3)
    samples = 12
    frame = np.linalg.qr(rng.standard_normal((samples, 4)) - 0)[0]
    frame = np.linalg.qr(frame[:, :3] - frame[:, :3].mean(axis=0))[0]
    eigenvalues = np.array([4.0, 1.0, 0.25])
    targets = np.sqrt(samples * eigenvalues)[:, None] * frame.T + rng.standard_normal((3, 1))
    table = TargetTable(targets, [1] * samples)
    found = ufm.solve(ufm.Problem(table, regularizer=ufm.WeightDecay(c, 1 / samples, 0.0), loss="mse"))
    expected = np.where(eigenvalues > c, np.sqrt(c * eigenvalues) - c / 2, eigenvalues / 2).sum()
    assert found.success
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.factors.left.shape[1] == (eigenvalues > c).sum()


@pytest.mark.parametrize("mu", [0.0005, 0.001])
def test_one_hot_regression_has_the_covariance_of_class_sizes(mu):
    sizes = np.array([200, 100, 50, 50])
    share = sizes / sizes.sum()
    eigenvalues = np.linalg.eigvalsh(np.diag(share) - np.outer(share, share))[1:]
    c = mu**2 * sizes.sum()
    expected = np.where(eigenvalues > c, np.sqrt(c * eigenvalues) - c / 2, eigenvalues / 2).sum()
    classes = ufm.solve(ufm.Problem(sizes, regularizer=decay(mu, 0.0), loss="mse"))
    # One more row, never a label: no longer class sizes, and squared error lets it rest at zero.
    table = TargetTable(np.vstack([np.eye(4), np.zeros(4)]), sizes)
    found = ufm.solve(ufm.Problem(table, regularizer=decay(mu, 0.0), loss="mse"))
    assert classes.value == pytest.approx(expected, abs=1e-13)
    assert found.value == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_certified_values_agree_with_independent_descent(kind, seed):
    rng = np.random.default_rng(100 * seed + KINDS.index(kind))
    problem = None
    while problem is None:
        problem, loss = random_problem(rng, kind)
    found = ufm.solve(problem)
    other = descended(problem, loss, seed)
    assert found.relative_gap < 1e-8
    assert other >= found.lower - 1e-13 * abs(found.lower)
    assert other == pytest.approx(found.value, rel=2e-6)
    assert problem.objective(found.parameters) == pytest.approx(found.value, rel=1e-11)


@pytest.mark.parametrize("loss", ["ce", "bce", "pal", "mse"])
def test_one_hot_tables_are_solved_as_class_sizes(loss):
    counts = [30, 20, 20, 5, 1]
    order = [3, 0, 4, 2, 1]
    table = TargetTable(np.eye(5)[:, order], [counts[k] for k in order])
    a = ufm.solve(ufm.Problem(counts, regularizer=decay(3e-3), loss=loss))
    b = ufm.solve(ufm.Problem(table, regularizer=decay(3e-3), loss=loss))
    assert (a.value, a.lower, a.upper) == (b.value, b.lower, b.upper)
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(5), counts))
    c = ufm.solve(ufm.Problem(TargetTable.from_labels(labels), regularizer=decay(3e-3), loss=loss))
    assert c.value == a.value


@pytest.mark.parametrize("loss", ["ce", "bce", "mse"])
def test_a_class_without_samples_costs_at_least_nothing(loss):
    """A row that is never a label: no class sizes, so the table is solved; the value is close to that of the classes alone."""
    counts = [30, 20, 5]
    table = TargetTable(np.vstack([np.eye(3), np.zeros(3)]), counts)
    with_row = ufm.solve(ufm.Problem(table, regularizer=decay(3e-3), loss=loss))
    without = ufm.solve(ufm.Problem(counts, regularizer=decay(3e-3), loss=loss))
    assert with_row.success
    if loss == "mse":
        assert with_row.value == pytest.approx(without.value, rel=1e-12)
    else:
        assert with_row.lower > without.upper


@pytest.mark.parametrize("kind", KINDS)
def test_relabelling_splitting_and_multiplying_samples_change_nothing(kind):
    rng = np.random.default_rng(7 + KINDS.index(kind))
    table, loss = random_table(rng, kind)
    found = ufm.solve(ufm.Problem(table, regularizer=decay(2e-3), loss=loss))
    rows = np.arange(table.rows) if kind == "multitask" else rng.permutation(table.rows)
    columns = rng.permutation(table.contexts)
    twin = TargetTable(table.columns[rows][:, columns], np.array(table.sizes)[columns])
    split = TargetTable(np.tile(table.columns, 2), list(table.sizes) * 2)
    for other, regularizer in (
        (twin, decay(2e-3)),
        # Twice the samples under decay per sample: half the decay on features, per sample, is the same model.
        (split, ufm.WeightDecay(2e-3, 1e-3)),
    ):
        again = ufm.solve(ufm.Problem(other, regularizer=regularizer, loss=loss))
        assert again.value == pytest.approx(found.value, rel=1e-9)


def test_deq_and_budget_rescale_the_price():
    table, loss = random_table(np.random.default_rng(2), "ce")
    explicit = ufm.solve(ufm.Problem(table, regularizer=decay(0.7 * 4e-3), loss=loss))
    deq = ufm.solve(ufm.Problem(table, regularizer=decay(4e-3), loss=loss, head="deq:rho=0.3"))
    assert deq.value == pytest.approx(explicit.value, rel=1e-12)
    # The budget that this optimum spends has the same loss: per context, so that no sizes enter.
    priced = ufm.Problem(table, regularizer=ufm.WeightDecay(4e-3, 4e-3, per_class=True), loss=loss)
    solution = ufm.solve(priced)
    lengths = np.linalg.svd(np.asarray(solution.logits), compute_uv=False).sum()
    each = lengths / sqrt(table.rows * table.contexts)
    budget = ufm.solve(ufm.Problem(table, regularizer=ufm.NormBudget(each, each), loss=loss))
    assert budget.success
    assert budget.value == pytest.approx(solution.value - 4e-3 * lengths, abs=1e-9)
    assert np.sum(budget.parameters.weight**2) <= table.rows * each * (1 + 1e-9)
    assert np.sum(budget.parameters.features**2) <= table.contexts * each * (1 + 1e-9)


def test_a_budget_that_does_not_bind_leaves_the_entropy():
    table = TargetTable.soft([[0.5, 0.2], [0.3, 0.3], [0.2, 0.5]], [2, 3])
    found = ufm.solve(ufm.Problem(table, regularizer=ufm.NormBudget(5, 5)))
    entropy = -np.sum(table.columns * np.log(table.columns), axis=0) @ [0.4, 0.6]
    assert found.success
    assert found.value == pytest.approx(entropy, rel=1e-13)


def test_narrow_features_are_bounded_and_called_loose():
    table, loss = random_table(np.random.default_rng(4), "ce")
    problem = ufm.Problem(table, regularizer=decay(1e-3), loss=loss, dim=1)
    found = ufm.solve(problem)
    wide = ufm.solve(ufm.Problem(table, regularizer=decay(1e-3), loss=loss))
    assert found.status == "loose"
    assert found.parameters.weight.shape[1] == 1
    assert found.lower <= wide.upper
    assert found.value >= wide.lower
    assert problem.objective(found.parameters) == pytest.approx(found.value, rel=1e-11)


def test_large_decay_leaves_zero_logits():
    table, loss = random_table(np.random.default_rng(5), "ce")
    found = ufm.solve(ufm.Problem(table, regularizer=decay(50.0), loss=loss))
    assert found.status == "zero"
    assert found.value == pytest.approx(log(table.rows), rel=1e-12)
    assert found.parameters.weight.any() == False  # noqa: E712  (a NumPy bool)


def test_more_contexts_than_rows_and_more_rows_than_contexts():
    """Rectangular either way, beyond the size up to which the Newton system is written out."""
    rng = np.random.default_rng(6)
    for rows, contexts in ((6, 90), (90, 6)):
        columns = rng.dirichlet(np.full(rows, 0.3), contexts).T
        table = TargetTable.soft(columns, rng.integers(1, 50, contexts))
        found = ufm.solve(ufm.Problem(table, regularizer=decay(3e-4)), method=Table(tolerance=1e-8))
        assert found.success, found
        assert found.stats.iterations > 1
