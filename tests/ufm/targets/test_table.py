"""Tables of targets: constructors, merging of equal columns, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import ufm
from ufm import TargetTable
from ufm.targets.table import check_labels, check_probabilities


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_labels_are_counted(labels):
    table = TargetTable.from_labels(labels, 6)
    assert table.total == len(labels)
    for column, size in zip(table.columns.T, table.sizes, strict=True):
        assert size == labels.count(int(np.argmax(column)))
        assert column.sum() == 1


def test_one_hot_tables_are_class_counts_in_the_order_of_rows():
    table = TargetTable(np.eye(3)[:, [2, 0, 1]], [7, 5, 6])
    counts = table.counts()
    assert counts is not None
    assert list(counts) == [5, 6, 7]
    for other in (np.eye(3) * 0.5, np.eye(3)[:, :2], np.array([[1.0, 0, 1], [0, 1, 1], [0, 0, 0]])):
        assert TargetTable(other, [1] * other.shape[1]).counts() is None


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_equal_columns_are_merged_and_sizes_added(seed, copies):
    rng = np.random.default_rng(seed)
    columns, sizes = rng.random((3, 4)), rng.integers(1, 9, 4)
    order = rng.permutation(4 * copies)
    table = TargetTable(np.tile(columns, copies)[:, order], np.tile(sizes, copies)[order])
    assert table.contexts == 4
    assert sorted(table.sizes) == sorted((copies * sizes).tolist())
    assert {tuple(c) for c in table.columns.T} == {tuple(c) for c in columns.T}


def test_negative_zeros_are_zeros():
    assert TargetTable([[1.0, 1.0], [0.0, -0.0]], [1, 2]).sizes == (3,)


def test_next_tokens_from_dense_and_sparse_counts():
    counts = np.array([[3, 1, 0], [6, 2, 0], [0, 0, 4]])
    dense, scattered = TargetTable.next_token(counts), TargetTable.next_token(sparse.csr_array(counts))
    assert dense.sizes == scattered.sizes == (12, 4)
    assert np.array_equal(dense.columns, scattered.columns)
    assert dense.columns[:, 0].tolist() == [0.75, 0.25, 0.0]


def test_label_sets_and_mixtures():
    table = TargetTable.multi_label({(0,): 3, (0, 2): 1, (2, 0, 2): 4}, 4)
    assert table.columns.T.tolist() == [[1, 0, 0, 0], [1, 0, 1, 0]]
    assert table.sizes == (3, 5)
    assert TargetTable.multi_label([[1], [1], [0, 1]]).sizes == (2, 1)
    mixed = TargetTable.mixup([4, 5, 6], 0.75, samples=2)
    assert mixed.sizes == (4, 5, 6, *(2,) * 6)
    assert set(mixed.columns[:, 3:].ravel().tolist()) == {0.0, 0.25, 0.75}
    assert TargetTable.mixup([4, 5], 0.5).contexts == 3  # both orders are one target


def test_tables_are_read_only_also_as_copies():
    table = TargetTable([[0.5, 1], [0.5, 0]], [1, 2])
    for one in (table, copy.deepcopy(table), pickle.loads(pickle.dumps(table))):
        with pytest.raises(ValueError, match="read-only"):
            one.columns[0, 0] = 3.0
        assert (one.sizes, one.columns.tolist()) == (table.sizes, table.columns.tolist())
    assert table.to_dict() == {"columns": [[0.5, 1.0], [0.5, 0.0]], "sizes": [1, 2]}


COLUMNS = [[0.5, 1], [0.5, 0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TargetTable("abc", [1]), "K x M array of numbers"),
        (lambda: TargetTable([1, 2], [1]), "shape"),
        (lambda: TargetTable([[1, 2]], [1, 1]), "K >= 2 rows"),
        (lambda: TargetTable([[np.nan, 1], [0, 1]], [1, 1]), "nan in row 0 of column 0"),
        (lambda: TargetTable(COLUMNS, [1]), "one number of samples for each of the 2 columns"),
        (lambda: TargetTable(COLUMNS, 5), "sizes is 5"),
        (lambda: TargetTable(COLUMNS, np.array(3.0)), "one number of samples for each of the 2 columns"),
        (lambda: TargetTable(COLUMNS, np.ones((2, 2))), r"sizes\[0\] is"),
        (lambda: TargetTable(COLUMNS, [1, 0]), r"sizes\[1\] is 0; give a whole number from 1"),
        (lambda: TargetTable(COLUMNS, [1, -3]), r"sizes\[1\] is -3"),
        (lambda: TargetTable(COLUMNS, [1, 2.5]), r"sizes\[1\] is 2.5"),
        (lambda: TargetTable(COLUMNS, [1, True]), r"sizes\[1\] is True"),
        (lambda: TargetTable(COLUMNS, [1, 2**54]), r"from 1 to 2\*\*53"),
        (lambda: TargetTable(np.broadcast_to(0.0, (20000, 20000)), [1] * 20000), "GB"),
        (lambda: TargetTable.soft([[0.5, 1], [0.4, 0]], [1, 1]), r"column 0 with sum 0.9, -0.1 from 1"),
        (lambda: TargetTable.soft([[1.5, 1], [-0.5, 0]], [1, 1]), "has -0.5 in column 0; probabilities are not negative"),
        (lambda: TargetTable.from_labels([]), "labels is empty"),
        (lambda: TargetTable.from_labels([0, 5], 3), "label 5, outside the table of 3 rows"),
        (lambda: TargetTable.from_labels([0, -1]), r"labels\[1\] is -1"),
        (lambda: TargetTable.multi_label({}), "sets is empty"),
        (lambda: TargetTable.multi_label({(): 3}), "empty set of labels at position 0"),
        (lambda: TargetTable.multi_label({(0, 9): 3}, 4), "label 9, outside"),
        (lambda: TargetTable.multi_label({(0, 1): 1.5}), r"sizes\[0\] is 1.5"),
        (lambda: TargetTable.next_token([[1, -2], [3, 4]]), "-2 for context 0 and token 1"),
        (lambda: TargetTable.next_token([[1, 0.5], [3, 4]]), "0.5 for context 0 and token 1"),
        (lambda: TargetTable.next_token([[1, 2], [0, 0]]), "no token for context 1"),
        (lambda: TargetTable.next_token(sparse.csr_array((10**6, 10**5))), "GB to solve"),
        (lambda: TargetTable.mixup([3, 3], 1.0), "weight is 1.0"),
        (lambda: TargetTable.mixup([3, 3], 0.5, samples=0), "samples is 0"),
        (lambda: TargetTable.mixup([1] * 1000, 0.5), "too large"),
        (lambda: check_labels(np.array([[0.5], [0.5]])), "0.5 in column 0"),
        (lambda: check_labels(np.zeros((2, 1))), "empty set of labels in column 0"),
        (lambda: check_probabilities(np.array([[np.inf], [0.0]])), "sum inf"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(make, message):
    with pytest.raises(ufm.InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


DECAY = ufm.WeightDecay(1e-2, 1e-2)
SOFT = TargetTable([[0.5, 1], [0.5, 0]], [3, 4])
REAL = TargetTable([[2.0, -1], [0.5, 0]], [3, 4])


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (lambda: ufm.Problem(REAL, regularizer=DECAY), "-1 in column 1; probabilities are not negative"),
        (lambda: ufm.Problem(REAL, regularizer=DECAY, loss="bce"), "bce takes targets between 0 and 1"),
        (lambda: ufm.Problem(SOFT, regularizer=DECAY, loss="pal"), "0.5 in column 0; sets of labels"),
        (
            lambda: ufm.Problem(TargetTable([[1.0, 1], [1, 0]], [3, 4]), regularizer=DECAY),
            "2 labels in column 0; for sets of labels",
        ),
        (lambda: ufm.Problem(SOFT, regularizer=DECAY, loss="multitask:2,2"), "4 rows, and the table has 2"),
        (lambda: ufm.Problem(SOFT, regularizer=DECAY, loss="ce:weights=1"), "options by class size"),
        (lambda: ufm.Problem(SOFT, regularizer=DECAY, head="relu"), "head relu does not go with a table"),
        (lambda: ufm.Problem(SOFT, regularizer=DECAY, head="explicit:2"), "choose explicit or deq:rho=R"),
        (lambda: ufm.Problem(SOFT, regularizer=DECAY, dim=0), "dim is 0"),
        (lambda: ufm.Problem(SOFT, regularizer=5), "regularizer is 5"),
        (
            lambda: ufm.Problem(TargetTable([[0.5, 1], [0.5, 0], [0, 0]], [3, 4]), regularizer=ufm.WeightDecay(1e-2, 1e-2, 0)),
            "row 2 of the table has the same label in every context",
        ),
        (lambda: ufm.Problem([5, 5], regularizer=DECAY, loss="multitask:2,2"), "needs a table of targets"),
        (lambda: ufm.collapse(ufm.solve(ufm.Problem(SOFT, regularizer=DECAY))), "table of targets"),
        (lambda: ufm.solve(ufm.Problem(SOFT, regularizer=DECAY), method="symmetric"), "the targets are a table"),
        (lambda: ufm.solve(ufm.Problem([5, 4], regularizer=DECAY), method="table"), "takes tables of targets only"),
        (lambda: ufm.table_geometry(ufm.solve(ufm.Problem([5, 4], regularizer=DECAY))), "use ufm.geometry"),
    ],
)
def test_problems_that_do_not_fit_are_refused_in_one_sentence(problem, message):
    with pytest.raises(ufm.InputError, match=message) as caught:
        problem()
    assert "\n" not in str(caught.value)
