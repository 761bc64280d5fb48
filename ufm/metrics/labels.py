"""Labels of any kind as numbers of classes: whole numbers with gaps, text, one-hot rows, categories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm.errors import InputError, brief

Name = int | str
Codes = NDArray[np.intp]
TABLE = 10**7
"""Whole numbers up to here are looked up in a table, others are sorted."""
KINDS = {"b": "number", "i": "number", "u": "number", "U": "text"}


class LabelCodes:
    """Codes 0, 1, ... for labels, the same for all batches; a label that is new gets the next code.

    Parameters
    ----------
    classes : sequence of str or int, or None
        Names of the classes in the order of the classifier's rows. None: whole numbers 0 .. K-1 are rows; other labels are
        sorted, and their order is that of the rows.

    Raises
    ------
    InputError
        Fewer than two names, or a name twice.

    Examples
    --------
    >>> codes = LabelCodes()
    >>> codes.encode(["dog", "cat", "dog"]).tolist(), codes.order(None)
    ([1, 0, 1], (['cat', 'dog'], [0, 1]))
    """

    def __init__(self, classes: Iterable[Any] | None = None) -> None:
        self.fixed: list[Name] | None = None if classes is None else _names(classes)
        self.slots: dict[Name, int] = {}

    def encode(self, labels: ArrayLike) -> Codes:
        """The codes of a batch of labels; new labels get new codes.

        Parameters
        ----------
        labels : (N,) whole numbers, text or categories, or (N, K) one-hot rows

        Returns
        -------
        (N,) int

        Raises
        ------
        InputError
            Labels of another kind, negative or missing ones, rows that are not one-hot, or names that are no class.
        """
        values, places = self._distinct(labels)
        self._check(values)
        slots = np.array([self.slots.setdefault(value, len(self.slots)) for value in values], dtype=np.intp)
        return slots[places]

    def order(self, rows: int | None) -> tuple[list[Name], list[int]]:
        """Names of the classes in the order of the classifier's rows, and the codes that they have.

        Parameters
        ----------
        rows : int or None, rows of the classifier

        Returns
        -------
        names : list of K str or int
        codes : list of K int

        Raises
        ------
        InputError
            A class without a sample, a single class, or a number of classes that does not fit the classifier.
        """
        names = self._ordered(rows)
        if rows is not None and len(names) != rows:
            raise InputError(
                f"labels name {len(names)} classes, but weight has {rows} rows; give one row per class, or name the classes "
                "of the rows with classes="
            )
        missing = [name for name in names if name not in self.slots]
        if missing:
            more = f" (nor have {len(missing) - 1} others)" if len(missing) > 1 else ""
            raise InputError(f"class {brief(missing[0])} has no sample{more}; every class needs one to have a mean")
        if len(names) < 2:
            raise InputError("labels name one class only; give samples of at least 2 classes")
        return names, [self.slots[name] for name in names]

    def _ordered(self, rows: int | None) -> list[Name]:
        if self.fixed is not None:
            return self.fixed
        found: list[Name] = [*self.slots]
        numbers = [name for name in found if not isinstance(name, str)]
        if numbers and rows is not None and len(numbers) <= rows and min(numbers) >= 0 and max(numbers) < rows:
            found[:] = range(rows)
            return found
        if numbers and rows is not None and len(numbers) != rows:
            raise InputError(
                f"labels reach {max(numbers)} and name {len(numbers)} classes, but weight has {rows} rows; give one row per "
                "class"
            )
        return sorted(found)  # type: ignore[type-var]

    def _check(self, values: list[Name]) -> None:
        if self.fixed is not None:
            known = set(self.fixed)
            strange = [value for value in values if value not in known]
            if strange:
                raise InputError(f"label {brief(strange[0])} is none of the {len(known)} classes; add it, or drop its samples")
            return
        if any(isinstance(a, str) != isinstance(b, str) for a in values[:1] for b in list(self.slots)[:1]):
            raise InputError("labels are text in some batches and whole numbers in others; give one kind")
        negative = [value for value in values if not isinstance(value, str) and value < 0]
        if negative:
            raise InputError(f"label {negative[0]} is negative; drop unlabelled samples, or name all classes with classes=")

    def _distinct(self, labels: Any) -> tuple[list[Name], Codes]:
        """The distinct labels, and the place of each sample's label among them."""
        categorical = getattr(labels, "cat", labels)
        if hasattr(categorical, "codes") and hasattr(categorical, "categories"):
            codes = np.asarray(categorical.codes).astype(np.intp)
            names = _names(categorical.categories.tolist(), least=1)
            if codes.size and codes.min() < 0:
                raise _absent(codes < 0)
            self.fixed = names if self.fixed is None else self.fixed
            used = np.flatnonzero(np.bincount(codes, minlength=1))
            table = np.zeros(len(names) + 1, dtype=np.intp)
            table[used] = np.arange(len(used))
            return [names[k] for k in used] if codes.size else [], table[codes]
        array = _array(labels)
        if array.ndim == 2:
            array = _hot(array)
            width = array.max(initial=0) if self.fixed is None else len(self.fixed)
            columns = int(np.asarray(labels).shape[1])
            if self.fixed is None:
                self.fixed = list(range(columns))
            elif len(self.fixed) != columns:
                raise InputError(f"one-hot labels have {columns} columns, but there are {width} classes; give one per class")
        if array.ndim != 1:
            raise InputError(f"labels have shape {array.shape}; give (N,), or one-hot rows (N, K)")
        if array.dtype.kind == "f":
            whole = np.isfinite(array) & (array == np.round(array))
            if not whole.all():
                raise InputError(
                    f"labels must be whole numbers, text or one-hot rows; label {int(np.argmin(whole))}, counted from 0, is "
                    f"{array[np.argmin(whole)]}"
                )
            if array.size and float(np.abs(array).max()) >= 2**53:
                raise InputError("labels are floats beyond 2**53, where whole numbers merge; give whole numbers or text")
            array = array.astype(np.int64)
        if array.dtype.kind == "b":
            array = array.astype(np.int64)
        if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= TABLE:
            used = np.flatnonzero(np.bincount(array.astype(np.intp, copy=False)))
            table = np.zeros(int(used[-1]) + 1, dtype=np.intp)
            table[used] = np.arange(len(used))
            values, places = list[Name](used.tolist()), table[array.astype(np.intp, copy=False)]
        else:
            distinct, places = np.unique(array, return_inverse=True)
            values = list[Name](distinct.tolist())
            places = places.reshape(-1)
        if self.fixed is not None and values and not isinstance(values[0], str) and isinstance(self.fixed[0], str):
            rows = [int(value) for value in values]
            if min(rows) < 0 or max(rows) >= len(self.fixed):
                raise InputError(f"labels reach from {min(rows)} to {max(rows)}, but {len(self.fixed)} classes are named")
            values = [self.fixed[row] for row in rows]
        return values, places.astype(np.intp, copy=False)


def _array(labels: Any) -> NDArray[Any]:
    try:
        array = np.asarray(labels)
    except ValueError:
        array = np.asarray(None)
    if isinstance(labels, np.ma.MaskedArray):
        raise InputError("labels have a mask; drop the samples that it hides")
    if array.dtype.kind == "O" and array.ndim:
        kinds = {type(value) for value in array.ravel().tolist()}
        if kinds == {str}:
            array = array.astype(np.str_)
        elif kinds and kinds <= {int, np.int64, np.int32}:
            array = array.astype(np.int64)
    if array.dtype.kind == "S":
        array = np.char.decode(array.astype(np.bytes_), "utf-8", "replace")
    if array.dtype.kind not in "fiubU" and array.size:
        raise InputError(f"labels have dtype {array.dtype}; give whole numbers, text or one-hot rows, none of them missing")
    return array


def _hot(array: NDArray[Any]) -> NDArray[Any]:
    """Columns of the ones of one-hot rows."""
    fine = array.dtype.kind in "fiub" and array.shape[1] > 1
    good = ((array == 0) | (array == 1)).all(axis=1) & ((array == 1).sum(axis=1) == 1) if fine else np.zeros(len(array), bool)
    if not (fine and good.all()):
        first = int(np.argmin(good)) if fine else 0
        raise InputError(
            f"labels of shape {array.shape} must be one-hot rows; row {first}, counted from 0, has not exactly one 1 beside 0s"
        )
    return np.argmax(array, axis=1)


def _names(classes: Iterable[Any], least: int = 2) -> list[Name]:
    if isinstance(classes, str | bytes):
        raise InputError(f"classes is {brief(classes)}; give a list of names, one for each class")
    array: Sequence[Any] = np.asarray(list(classes)).tolist()
    names = [
        name if isinstance(name, str) else int(name) if isinstance(name, int | np.integer) else str(name) for name in array
    ]
    if len(names) < least:
        raise InputError(f"classes has {len(names)} names; give at least {least}, one for each class")
    twice = [name for name in set(names) if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"classes has {brief(twice[0])} more than once; give every class a name of its own")
    return names


def _absent(missing: NDArray[np.bool_]) -> InputError:
    return InputError(
        f"labels: {int(missing.sum())} are missing, the first of sample {int(np.argmax(missing))}, counted from 0; drop them"
    )
