"""Tables with features of a fixed norm: two independent routes, class sizes, naive bounds, and points that are not optimal."""

import mpmath as mp
import numpy as np
import pytest

import ufm
from tests.ufm.tables import KINDS, naive_loss, random_table
from ufm import ClassifierDecay, Problem, TargetTable
from ufm.certify.table_normalised import normalised_table_bounds
from ufm.solvers import Table
from ufm.solvers.convex.normalised import Spheres
from ufm.solvers.convex.table_spheres import TableSpheres


def solved(table, decay, loss="ce", bias=None, head="layernorm", dim=None, **options):
    return ufm.solve(Problem(table, regularizer=ClassifierDecay(decay, bias), loss=loss, head=head, dim=dim), **options)


def drawn(kind, seed, most=8):
    return random_table(np.random.default_rng(100 * seed + KINDS.index(kind)), kind, most)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [None, 0.1])
def test_every_loss_is_certified_and_its_parameters_have_its_value(kind, bias):
    for seed, decay in enumerate((0.3, 1e-2, 1e-4)):
        table, loss = drawn(kind, seed)
        found = solved(table, 4.0 * decay, loss, bias, "layernorm:norm=2")
        assert found.status == "optimal"
        assert found.gap <= 1e-8 * max(found.upper, 1e-3)
        parameters = found.parameters
        assert np.linalg.norm(parameters.features, axis=0) == pytest.approx(np.full(table.contexts, 2.0), rel=1e-9)
        z = parameters.weight @ parameters.features + (0.0 if bias is None else parameters.bias[:, None])
        value = float(naive_loss(table, loss, z)) + 2.0 * decay * np.sum(parameters.weight**2)
        value += 0.0 if bias is None else 0.05 * np.sum(parameters.bias**2)
        assert value == pytest.approx(found.value, rel=1e-12)
        assert found.problem.objective(parameters) == pytest.approx(value, rel=1e-12)


def conic(table, loss, decay):
    """The semidefinite form of Proposition 12.2 in cvxpy: trace of W's Gram matrix, features of norms of at most one."""
    import cvxpy as cp

    rows, contexts = table.columns.shape
    gram = cp.Variable((rows + contexts, rows + contexts), PSD=True)
    logits, parts = gram[:rows, rows:], []
    for m, size in enumerate(table.sizes):
        z, y = logits[:, m], table.columns[:, m]
        if loss == "mse":
            one = cp.sum_squares(z - y) / 2
        elif loss == "bce":
            one = cp.sum(cp.logistic(z)) - y @ z
        elif loss == "pal":
            one = y.sum() * cp.log_sum_exp(z) - y @ z
        else:
            one = 0
            for start, stop in ((0, rows),) if loss == "ce" else ((0, 2), (2, rows)):
                one += cp.log_sum_exp(z[start:stop]) - (y[start:stop] / y[start:stop].sum()) @ z[start:stop]
        parts.append(size / table.total * one)
    price = 0.5 * decay * cp.trace(gram[:rows, :rows])
    task = cp.Problem(cp.Minimize(sum(parts) + price), [cp.diag(gram)[rows:] <= 1])
    task.solve(solver="CLARABEL")
    return task.value


@pytest.mark.parametrize("kind", KINDS)
def test_the_semidefinite_form_has_the_same_optimum(kind):
    for seed, decay in enumerate((0.1, 3e-3)):
        table, loss = drawn(kind, 10 + seed, 6)
        found = solved(table, decay, loss)
        assert conic(table, loss, decay) == pytest.approx(found.value, rel=2e-6, abs=1e-7)


@pytest.mark.parametrize(("sizes", "decay"), [([100, 100, 7, 7, 1], 0.01), ([5, 3], 0.2), ([40, 9, 9, 2], 1e-4)])
@pytest.mark.parametrize("loss", ["ce", "bce", "mse"])
def test_one_hot_tables_are_class_sizes(sizes, decay, loss):
    """A table with two columns that differ in the last digit only is not turned into class sizes; its optimum is theirs."""
    classes = len(sizes)
    columns, given = np.eye(classes), list(sizes)
    if loss != "ce":
        columns = np.column_stack([columns, columns[:, 0] * (1 - 1e-15)])
    else:
        columns = np.column_stack([columns, columns[:, 0] * (1 - 1e-15) + columns[:, 1] * 1e-15])
    given[0] = sizes[0] - 1
    table = TargetTable(columns, [*given, 1])
    assert table.counts() is None
    found, classic = solved(table, decay, loss), solved(sizes, decay, loss)
    assert found.status == "optimal"
    assert max(found.lower, classic.lower) <= min(found.upper, classic.upper) + 1e-13
    assert found.value == pytest.approx(classic.value, rel=1e-9)


def test_a_table_of_plain_labels_is_turned_into_class_sizes():
    found = solved(TargetTable(np.eye(3), [9, 4, 4]), 0.01)
    assert not found.problem.tabular
    assert found.value == solved([9, 4, 4], 0.01).value


def naive_bounds(table, loss, decay, bias_decay, factors, weights, slopes):
    """Both bounds of Proposition 12.13 in 50 digits, for slopes that are scaled where their norm exceeds one."""
    with mp.workdps(50):
        rows, contexts = table.columns.shape
        left, right, bias = (mp.matrix(part.tolist()) for part in factors)
        z = left * right if len(right) else mp.zeros(rows, contexts)
        logits = [[z[k, m] + bias[k] for m in range(contexts)] for k in range(rows)]
        upper = naive_loss(table, loss, logits, mp.log, mp.exp)
        lengths = [mp.fsum(right[i, m] ** 2 for i in range(right.rows)) for m in range(contexts)]
        upper += mp.mpf(decay) / 2 * mp.fsum(v**2 for v in left) * max(lengths)
        upper += mp.mpf(bias_decay or 0) / 2 * mp.fsum(v**2 for v in bias)
        share = [mp.mpf(n) / table.total for n in table.sizes]
        omega = [mp.mpf(float(w)) for w in weights]
        g = mp.matrix(rows, contexts)
        for k in range(rows):
            for m in range(contexts):
                g[k, m] = mp.mpf(float(slopes[k, m])) * share[m] / mp.sqrt(omega[m])
        norm = mp.sqrt(max(mp.eigsy(g * g.T, eigvals_only=True)))
        t = min(mp.mpf(1), 1 / norm) if norm else mp.mpf(1)
        lower = -sum(omega) / (2 * mp.mpf(decay))
        residual = [mp.fsum(t * mp.mpf(float(slopes[k, m])) * share[m] for m in range(contexts)) for k in range(rows)]
        if bias_decay:
            lower -= mp.fsum(v**2 for v in residual) / (2 * mp.mpf(bias_decay))
        for m in range(contexts):
            s = [t * mp.mpf(float(v)) for v in slopes[:, m]]
            y = [mp.mpf(float(v)) for v in table.columns[:, m]]
            if loss == "ce":
                y = [v / sum(y) for v in y]
                # Float slopes sum to zero up to rounding only: the largest target takes the rest.
                s[int(np.argmax(table.columns[:, m]))] -= sum(s)
            q = [a + b for a, b in zip(s, y, strict=True)]
            if loss == "mse":
                d = -mp.fsum(v**2 for v in s) / 2 - mp.fsum(a * b for a, b in zip(s, y, strict=True))
            elif loss == "ce":
                d = -mp.fsum(v * mp.log(v) for v in q if v > 0)
            else:
                d = -mp.fsum(v * mp.log(v) + (1 - v) * mp.log(1 - v) for v in q if 0 < v < 1)
            lower += share[m] * d
        return lower, upper


@pytest.mark.parametrize("kind", ["ce", "bce", "mse"])
@pytest.mark.parametrize("bias", [None, 0.3])
def test_float_bounds_are_those_of_naive_arithmetic_at_any_point(kind, bias):
    """At perturbed points and wrong weights: rounding is on the safe side, and the bounds enclose the optimum."""
    table, loss = drawn(kind, 20, 6)
    decay = 0.02
    best = solved(table, decay, loss, bias)
    program, rng = best.problem.program(), np.random.default_rng(0)
    for size in (0.0, 1e-9, 1e-3, 0.3, 3.0):
        factors = best.factors._replace(
            left=best.factors.left + size * rng.standard_normal(best.factors.left.shape),
            right=best.factors.right + size * rng.standard_normal(best.factors.right.shape),
        )
        weights = best.program.scale**2 * np.exp(size * rng.standard_normal(table.contexts))
        found = normalised_table_bounds(program, factors, weights)
        lower, upper = naive_bounds(table, loss, decay, bias, factors, found.program.scale**2, found.slopes)
        assert found.lower <= max(float(lower), 0.0) + 1e-15 * best.value
        assert found.upper >= float(upper) * (1 - 1e-15)
        assert found.lower >= float(lower) - 1e-12 * best.value
        assert found.upper <= float(upper) * (1 + 1e-11)
        assert found.lower <= best.upper
        assert found.upper >= best.lower
        if size > 1e-6:
            # Perturbed by eps, bounds on a strictly convex problem are apart by more than rounding.
            assert found.upper - found.lower > 1e-9 * best.value


@pytest.mark.parametrize("seed", range(4))
def test_any_weights_and_any_slopes_are_below_any_point(seed):
    rng = np.random.default_rng(seed)
    table, loss = drawn(KINDS[seed], 30 + seed)
    best = solved(table, 0.01, loss)
    program = best.problem.program()
    for _ in range(10):
        weights = 10 ** rng.uniform(-6, 6, table.contexts)
        slopes = program.loss.probabilities(3.0 * rng.standard_normal(table.columns.shape)) - program.loss.target
        found = normalised_table_bounds(program, best.factors, weights, slopes)
        assert 0.0 <= found.lower <= best.upper


def test_derivatives_by_differences():
    table, loss = drawn("multitask", 40)
    program = Problem(table, regularizer=ClassifierDecay(0.1, 0.3), head="layernorm", loss=loss).program()
    model = TableSpheres(program, program.rank + 1)
    rng = np.random.default_rng(0)
    at = model.kicked(model.start(rng), rng)
    move = model.tangent(at, Spheres(*(rng.standard_normal(part.shape) for part in at)))
    here = model.local(at)
    ahead, behind = (model.local(model.normalised(at.plus(step, move))).value for step in (1e-4, -1e-4))
    assert here.gradient.dot(move) == pytest.approx((ahead - behind) / 2e-4, rel=1e-6)
    second = model.bend(at, here, move)
    assert second.dot(move) == pytest.approx((ahead - 2 * here.value + behind) / 1e-8, rel=1e-3)
    assert model.second(at, here) @ move.flat() == pytest.approx(second.flat(), abs=1e-12)


def test_what_must_not_change_the_answer():
    """Samples duplicated, contexts and rows permuted, the norm rescaled with the decay, and a width beyond what is needed."""
    table, _ = drawn("ce", 50)
    value = solved(table, 0.01).value
    rng = np.random.default_rng(1)
    rows, order = rng.permutation(table.rows), rng.permutation(table.contexts)
    other = TargetTable(table.columns[np.ix_(rows, order)], [3 * table.sizes[m] for m in order])
    assert solved(other, 0.01).value == pytest.approx(value, rel=1e-9)
    assert solved(table, 0.01 * 49.0, head="layernorm:norm=7").value == pytest.approx(value, rel=1e-9)
    needed = solved(table, 0.01).problem.needed
    wide = solved(table, 0.01, dim=needed + 3)
    assert wide.status == "optimal"
    assert wide.parameters.weight.shape == (table.rows, needed + 3)
    assert np.linalg.norm(wide.parameters.features, axis=0) == pytest.approx(np.ones(table.contexts), rel=1e-9)


def test_narrow_models_claim_nothing_that_is_not_proved():
    table, _ = drawn("ce", 51)
    wide = solved(table, 1e-3)
    for dim in (1, 2):
        narrow = solved(table, 1e-3, dim=dim)
        assert narrow.status == "loose"
        assert narrow.lower <= wide.upper
        assert narrow.value >= wide.lower
        assert narrow.parameters.weight.shape == (table.rows, dim)
        assert narrow.problem.objective(narrow.parameters) == pytest.approx(narrow.value, rel=1e-9)


def test_targets_that_need_no_logits():
    """Uniform targets are least at zero logits, whatever the decay: value log 2, no feature dimension used, slopes zero."""
    table = TargetTable([[0.5, 0.25], [0.5, 0.75]], [3, 4])
    flat = TargetTable([[0.5], [0.5]], [3])
    found = solved(flat, 0.01)
    assert found.value == pytest.approx(np.log(2.0), rel=1e-9)
    assert found.relative_gap < 1e-9
    # One free bias fits a table of one context exactly: the entropy of its target is left.
    alone = TargetTable([[0.25], [0.75]], [4])
    entropy = -0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    assert solved(alone, 10.0, bias=0.0).value == pytest.approx(entropy, rel=1e-9)
    assert solved(table, 0.01).status == "optimal"
    # Real targets of one context are fitted by the bias alone.
    exact = solved(TargetTable([[1.7], [-0.3], [0.1]], [2]), 50.0, "mse", 0.0)
    assert exact.upper < 1e-28
    assert exact.certificate.rigorous().upper < 1e-28


@pytest.mark.parametrize("decay", [1e-6, 30.0, 1e6])
@pytest.mark.parametrize("kind", KINDS)
def test_extreme_decays(kind, decay):
    table, loss = drawn(kind, 60, 5)
    found = solved(table, decay, loss, method=Table(tolerance=1e-6))
    assert found.lower <= found.value <= found.upper
    assert found.success


def test_extreme_sizes():
    table = TargetTable.soft([[0.9, 0.1, 0.3], [0.1, 0.9, 0.7]], [1, 10**9, 3])
    found = solved(table, 1e-3)
    assert found.success
    assert found.relative_gap < 1e-9


def test_larger_tables_are_certified_in_few_dimensions():
    """More unknowns than are written out: conjugate gradients, and dimensions that the optimum does not use are left out."""
    rng = np.random.default_rng(0)
    table = TargetTable.soft(rng.dirichlet(np.full(20, 0.3), 60).T, rng.integers(1, 50, 60))
    found = solved(table, 1e-2, method=Table(tolerance=1e-8))
    assert found.success
    assert found.factors.left.shape[1] < 19
    assert solved(table, 1e-2, method=Table(tolerance=1e-8, max_iterations=1)).lower <= found.upper


def test_what_does_not_go_together_is_refused():
    table = TargetTable.soft([[0.9, 0.2], [0.1, 0.8]], [3, 4])
    with pytest.raises(ufm.InputError, match="have no decay and no budget"):
        Problem(table, regularizer=ufm.WeightDecay(0.1, 0.1), head="layernorm")
    with pytest.raises(ufm.InputError, match="of the classifier alone"):
        Problem(table, regularizer=ClassifierDecay(0.1), head="explicit")
    with pytest.raises(ufm.InputError, match="does not go with a table"):
        Problem(table, regularizer=ufm.NoDecay(), head="cosine:scale=2")
    with pytest.raises(ufm.InputError, match="between 1e-20 and 1e20"):
        Problem(table, regularizer=ClassifierDecay(1e30), head="layernorm")
