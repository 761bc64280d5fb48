"""Tables of targets: contexts, each with a target column and its number of samples.

A context is a set of samples with one and the same target. Samples of one class have a one-hot column; soft labels, several
labels, next-token distributions and real targets have other columns. Contexts with equal columns are merged, since they have
equal logits at every optimum (docs/theory, Proposition 11.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ufm._arrays import Floats, check_whole
from ufm._text import finite
from ufm.errors import InputError, brief
from ufm.targets.counts import MAX_SIZE, ClassCounts

SUM = 1e-6
"""How far a column of probabilities may be from summing to one; it is then divided by its sum."""
LARGEST = 1e8
"""Most entries of a table; its factors and gradients take some twenty times the memory of the table."""


@dataclass(frozen=True, eq=False, repr=False)
class TargetTable:
    """M contexts: a target column for each, and how many samples have it.

    Parameters
    ----------
    columns : (K, M) array of float, one column for each context: probabilities, labels (0 or 1), or real numbers
    sizes : (M,) array of int, samples of each context

    Attributes
    ----------
    columns : (K, M) float64, read-only, without two equal columns
    sizes : tuple of M int

    Raises
    ------
    InputError
        Arrays of other shapes, entries that are not finite, a size that is not a whole number in ``1 .. 2**53``, or a table
        that is too large.

    Examples
    --------
    >>> table = TargetTable([[0.9, 0.2, 0.9], [0.1, 0.8, 0.1]], [10, 5, 10])
    >>> table
    TargetTable(2 rows, 2 contexts, 25 samples)
    >>> table.sizes
    (20, 5)
    """

    columns: Floats
    sizes: tuple[int, ...] = field(default=())

    def __init__(self, columns: ArrayLike, sizes: ArrayLike | Iterable[int]) -> None:
        array = _table(columns)
        listed = sizes.tolist() if isinstance(sizes, np.ndarray) else sizes
        given = list(listed) if isinstance(listed, Iterable) else None
        if given is None or len(given) != array.shape[1]:
            count = brief(sizes) if given is None else f"of length {len(given)}"
            raise InputError(f"sizes is {count}; give one number of samples for each of the {array.shape[1]} columns")
        counted = [_size(f"sizes[{m}]", n) for m, n in enumerate(given)]
        array, counted = _merged(array, counted)
        array.flags.writeable = False
        object.__setattr__(self, "columns", array)
        object.__setattr__(self, "sizes", tuple(counted))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Copies and unpickled tables are read-only again."""
        self.__dict__.update(state)
        self.columns.flags.writeable = False

    @classmethod
    def soft(cls, columns: ArrayLike, sizes: ArrayLike | Iterable[int]) -> TargetTable:
        """Probabilities: every column is non-negative and sums to one (within 1e-6).

        Parameters
        ----------
        columns : (K, M) array of float
        sizes : (M,) array of int

        Returns
        -------
        TargetTable

        Raises
        ------
        InputError
            A column that is no probability vector (the message says which and by how much).
        """
        found = cls(columns, sizes)
        check_probabilities(found.columns)
        return found

    @classmethod
    def from_labels(cls, labels: Iterable[int], n_classes: int | None = None) -> TargetTable:
        """One-hot columns from one class index for each sample.

        Parameters
        ----------
        labels : (N,) iterable of int in ``0 .. K - 1``
        n_classes : int or None, K; None for the largest label plus one

        Returns
        -------
        TargetTable

        Raises
        ------
        InputError
            No labels, or one outside the table.

        Examples
        --------
        >>> TargetTable.from_labels([0, 0, 1]).counts()
        ClassCounts('2*1,1*1', 2 classes, 3 samples)
        """
        found = [check_whole(f"labels[{i}]", k, 0) for i, k in enumerate(labels)]
        if not found:
            raise InputError("labels is empty; give one class index for each sample")
        rows = _rows(n_classes, max(found))
        sizes = np.bincount(_inside("labels", found, rows), minlength=rows)
        present = np.flatnonzero(sizes)
        return cls(np.eye(rows)[:, present], sizes[present])

    @classmethod
    def multi_label(cls, sets: Mapping[Any, int] | Iterable[Iterable[int]], n_classes: int | None = None) -> TargetTable:
        """Columns of 0 and 1 from sets of labels.

        Parameters
        ----------
        sets : mapping from a set of labels (any iterable of class indices) to its number of samples, or an iterable of sets,
            one for each sample
        n_classes : int or None, K; None for the largest label plus one

        Returns
        -------
        TargetTable

        Raises
        ------
        InputError
            No sets, an empty one, a label outside the table, or a number of samples that is not a whole number.

        Examples
        --------
        >>> TargetTable.multi_label({(0,): 3, (0, 2): 1}).columns.tolist()
        [[1.0, 1.0], [0.0, 0.0], [0.0, 1.0]]
        """
        pairs = list(sets.items()) if isinstance(sets, Mapping) else [(labels, 1) for labels in sets]
        if not pairs:
            raise InputError("sets is empty; give sets of labels with their numbers of samples")
        chosen = [sorted({check_whole(f"a label of set {i}", k, 0) for k in labels}) for i, (labels, _) in enumerate(pairs)]
        empty = next((i for i, labels in enumerate(chosen) if not labels), None)
        if empty is not None:
            raise InputError(f"sets has an empty set of labels at position {empty}; a sample needs at least one label")
        rows = _rows(n_classes, max(labels[-1] for labels in chosen))
        columns = np.zeros((rows, len(pairs)))
        for m, labels in enumerate(chosen):
            columns[_inside("sets", labels, rows), m] = 1.0
        return cls(columns, [count for _, count in pairs])

    @classmethod
    def next_token(cls, counts: Any) -> TargetTable:
        """Conditional distributions from how often each token follows each context.

        Parameters
        ----------
        counts : (contexts, tokens) array of int, dense or a scipy.sparse array or matrix

        Returns
        -------
        TargetTable
            One row for each token, one context for each distinct conditional distribution.

        Raises
        ------
        InputError
            Counts that are negative or not whole, or a context without any token.

        Examples
        --------
        >>> TargetTable.next_token([[3, 1], [6, 2], [0, 4]]).sizes
        (12, 4)
        """
        _check_entries(getattr(counts, "shape", ()))  # before a sparse array is written out
        dense = counts.toarray() if hasattr(counts, "toarray") else counts
        array = _table(dense).T
        if (array < 0).any() or (array != np.floor(array)).any():
            token, context = np.argwhere((array < 0) | (array != np.floor(array)))[0]
            raise InputError(
                f"counts has {array[token, context]:g} for context {context} and token {token}; give whole numbers >= 0"
            )
        sizes = array.sum(axis=0)
        if not sizes.all():
            raise InputError(f"counts has no token for context {int(np.argmin(sizes))}; leave empty contexts out")
        return cls(array / sizes, [int(n) for n in sizes])

    @classmethod
    def mixup(cls, counts: ClassCounts | Iterable[int], weight: float, *, samples: int = 1) -> TargetTable:
        """All pairs of distinct classes mixed, ``weight e_j + (1 - weight) e_k``, beside the classes themselves.

        Parameters
        ----------
        counts : ClassCounts or list of int, the clean samples of each class
        weight : float in (0, 1)
        samples : int, mixed samples of each ordered pair of classes

        Returns
        -------
        TargetTable

        Raises
        ------
        InputError
            A weight outside (0, 1), or too many classes for K^2 contexts.

        Examples
        --------
        >>> TargetTable.mixup([4, 4], 0.75).sizes
        (4, 4, 1, 1)
        """
        clean = ClassCounts.of(counts)
        if not 0 < weight < 1:
            raise InputError(f"weight is {brief(weight)}; give the share of the first class, between 0 and 1")
        check_whole("samples", samples, 1, MAX_SIZE)
        k = clean.classes
        if k**3 > LARGEST:
            raise InputError(f"counts has {k} classes; mixing all pairs of more than {int(LARGEST ** (1 / 3))} is too large")
        eye = np.eye(k)
        pairs = [(i, j) for i in range(k) for j in range(k) if i != j]
        mixed = np.array([weight * eye[i] + (1.0 - weight) * eye[j] for i, j in pairs]).T
        return cls(np.hstack([eye, mixed]), [*clean, *(samples for _ in pairs)])

    @property
    def rows(self) -> int:
        """K, the number of rows (labels, tokens, outputs)."""
        return self.columns.shape[0]

    @property
    def contexts(self) -> int:
        """M, the number of contexts."""
        return self.columns.shape[1]

    @property
    def total(self) -> int:
        """N, the number of samples."""
        return sum(self.sizes)

    def counts(self) -> ClassCounts | None:
        """The class sizes, if every row has exactly one context and its column is one-hot; None otherwise."""
        if self.rows != self.contexts or self.rows < 2:
            return None
        ones = self.columns == 1.0
        if np.count_nonzero(self.columns) != self.rows or not (ones.sum(axis=0) == 1).all():
            return None
        return ClassCounts.of([self.sizes[m] for m in np.argmax(ones, axis=1)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"columns": [[finite(v) for v in row] for row in self.columns], "sizes": list(self.sizes)}

    def __repr__(self) -> str:
        return f"TargetTable({self})"

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.contexts} contexts, {self.total} samples"


def check_probabilities(columns: Floats, what: str = "columns") -> None:
    """Refuse columns that are no probability vectors.

    Parameters
    ----------
    columns : (K, M) float64
    what : str, the argument or the rows, for the message

    Raises
    ------
    InputError
        With the first column that is none, and by how much.
    """
    lowest = columns.min(axis=0)
    if (lowest < 0).any():
        m = int(np.argmax(lowest < 0))
        raise InputError(f"{what} has {lowest[m]:g} in column {m}; probabilities are not negative")
    sums = columns.sum(axis=0)
    off = np.abs(sums - 1.0)
    if not (off <= SUM).all():
        m = int(np.argmax(~(off <= SUM)))
        if sums[m] > 1 and np.isin(columns[:, m], (0.0, 1.0)).all():
            raise InputError(f"{what} has {sums[m]:g} labels in column {m}; for sets of labels choose the loss pal or bce")
        raise InputError(f"{what} has column {m} with sum {sums[m]:.9g}, {sums[m] - 1:+.3g} from 1; divide it by its sum")


def check_labels(columns: Floats) -> None:
    """Refuse columns (K, M) that are no sets of labels: entries other than 0 and 1, or only zeros.

    Raises
    ------
    InputError
        With the first column that is none.
    """
    other = (columns != 0) & (columns != 1)
    if other.any():
        k, m = np.argwhere(other)[0]
        raise InputError(f"columns has {columns[k, m]:g} in column {m}; sets of labels have entries 0 and 1")
    if not columns.any(axis=0).all():
        raise InputError(f"columns has an empty set of labels in column {int(np.argmin(columns.any(axis=0)))}; leave it out")


def _table(columns: ArrayLike) -> Floats:
    """(K, M) float64, finite, of a size that fits."""
    _check_entries(getattr(columns, "shape", ()))
    try:
        array = np.array(columns, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"columns is {brief(columns)}; give a K x M array of numbers") from None
    if array.ndim != 2 or array.shape[0] < 2 or array.shape[1] < 1:
        raise InputError(f"columns has the shape {array.shape}; give K >= 2 rows and a column for each context")
    _check_entries(array.shape)
    if not np.isfinite(array).all():
        k, m = np.argwhere(~np.isfinite(array))[0]
        raise InputError(f"columns has {array[k, m]} in row {k} of column {m}; give finite numbers")
    return array


def _check_entries(shape: tuple[int, ...]) -> None:
    """Refuse a table of more than `LARGEST` entries."""
    entries = prod(shape)
    if entries > LARGEST:
        need = 20 * 8 * entries / 1e9
        raise InputError(f"columns has {entries:g} entries, some {need:.0f} GB to solve; at most {LARGEST:g} are taken")


def _size(name: str, value: Any) -> int:
    """A number of samples; floats are accepted where they are whole."""
    if isinstance(value, float | np.floating) and value == np.floor(value) and abs(value) <= MAX_SIZE:
        value = int(value)
    return check_whole(name, value, 1, MAX_SIZE)


def _merged(columns: Floats, sizes: list[int]) -> tuple[Floats, list[int]]:
    """Equal columns merged into the first of them, their sizes added; the order of first appearance is kept."""
    place: dict[bytes, int] = {}
    kept, total = [], []
    columns = columns + 0.0  # no negative zeros
    transposed = np.ascontiguousarray(columns.T)
    for m, n in enumerate(sizes):
        key = transposed[m].tobytes()
        if key in place:
            total[place[key]] += n
        else:
            place[key] = len(kept)
            kept.append(m)
            total.append(n)
    return columns[:, kept], total


def _rows(n_classes: int | None, largest: int) -> int:
    return max(largest + 1, 2) if n_classes is None else check_whole("n_classes", n_classes, 2)


def _inside(name: str, labels: list[int], rows: int) -> list[int]:
    if max(labels) >= rows:
        raise InputError(f"{name} has the label {max(labels)}, outside the table of {rows} rows; labels count from 0")
    return labels
