"""Class sizes: how many samples each class has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from itertools import groupby

from ufm._arrays import check_whole
from ufm._text import sizes
from ufm.errors import InputError, brief

MAX_SIZE = 2**53
"""Largest class size: up to here whole numbers are exact in float64."""
MAX_TAIL = 1_000_000
"""Most classes of a long-tailed distribution, whose sizes are computed one by one."""


@dataclass(frozen=True, repr=False)
class ClassCounts:
    """Sizes ``n_k`` of the K classes, run-length encoded: memory does not grow with K.

    Parameters
    ----------
    runs : tuple of (size, classes)
        In class order: ``((100, 5), (10, 5))`` is five classes of 100 samples, then five of 10.

    Raises
    ------
    InputError
        Fewer than two classes, or a size that is not an integer in ``1 .. 2**53``.

    Examples
    --------
    >>> counts = ClassCounts.parse("100*3,10*7")
    >>> counts.classes, counts.total, counts.groups
    (10, 370, ((3, 100), (7, 10)))
    >>> counts
    ClassCounts('100*3,10*7', 10 classes, 370 samples)
    """

    runs: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        checked = []
        for size, classes in self.runs:
            checked.append(
                (check_whole("a class size", size, 1, MAX_SIZE), check_whole("a number of classes", classes, 1, MAX_SIZE))
            )
        merged = tuple((size, sum(c for _, c in run)) for size, run in groupby(checked, key=lambda r: r[0]))
        object.__setattr__(self, "runs", merged)
        if self.classes < 2:
            raise InputError(f"counts has K={self.classes} class; a classifier needs at least 2 classes")

    @classmethod
    def of(cls, sizes: Iterable[int] | ClassCounts) -> ClassCounts:
        """Class sizes from any iterable of whole numbers, in class order.

        Parameters
        ----------
        sizes : iterable of int, one size per class; a `ClassCounts` is returned as it is

        Returns
        -------
        ClassCounts

        Raises
        ------
        InputError
            No iterable, or text; fewer than two classes, or a size that is not a whole number in ``1 .. 2**53``.

        Examples
        --------
        >>> ClassCounts.of([5, 5, 2]).runs
        ((5, 2), (2, 1))
        """
        if isinstance(sizes, ClassCounts):
            return sizes
        if isinstance(sizes, str) or not isinstance(sizes, Iterable):
            raise InputError(f"counts is {brief(sizes)}; give a list of class sizes, or ClassCounts.parse(...) for text")
        return cls(tuple((n, 1) for n in sizes))

    @classmethod
    def parse(cls, text: str) -> ClassCounts:
        """Class sizes from ``"a*b,..."`` (b classes of a samples each; ``*b`` may be left out).

        Parameters
        ----------
        text : str

        Returns
        -------
        ClassCounts

        Raises
        ------
        InputError
            The text has another form, or a number is not whole or out of range.

        Examples
        --------
        >>> ClassCounts.parse("1e3*2,7").runs
        ((1000, 2), (7, 1))
        """
        runs = []
        for item in text.split(","):
            parts = item.strip().split("*")
            if len(parts) > 2 or not all(parts):
                raise InputError(
                    f"counts has the item {brief(item.strip())}; write SIZE*CLASSES items separated by commas, as in 100*5,10*5"
                )
            size = _number(parts[0], item)
            runs.append((size, _number(parts[1], item) if len(parts) == 2 else 1))
        return cls(tuple(runs))

    @cached_property
    def classes(self) -> int:
        """K, the number of classes."""
        return sum(c for _, c in self.runs)

    @cached_property
    def total(self) -> int:
        """N, the number of samples."""
        return sum(n * c for n, c in self.runs)

    @cached_property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """``(classes, size)`` of each group of equally large classes, largest size first."""
        sizes: dict[int, int] = {}
        for n, c in self.runs:
            sizes[n] = sizes.get(n, 0) + c
        return tuple((sizes[n], n) for n in sorted(sizes, reverse=True))

    @cached_property
    def group_runs(self) -> tuple[tuple[int, int], ...]:
        """``(group, classes)`` of each run of classes, in class order; a group is an index into `groups`."""
        position = {size: g for g, (_, size) in enumerate(self.groups)}
        return tuple((position[n], c) for n, c in self.runs)

    @property
    def ratio(self) -> float:
        """Imbalance ratio R: largest class size over smallest."""
        return self.groups[0][1] / self.groups[-1][1]

    def __iter__(self) -> Iterator[int]:
        for n, c in self.runs:
            for _ in range(c):
                yield n

    def __repr__(self) -> str:
        return f"ClassCounts({sizes(self.runs)!r}, {self.classes} classes, {self.total} samples)"

    def __str__(self) -> str:
        return ",".join(f"{n}*{c}" for n, c in self.runs)


def balanced(n_classes: int, size: int) -> ClassCounts:
    """Equal class sizes: ``n_classes`` classes of ``size`` samples each.

    >>> str(balanced(10, 50))
    '50*10'
    """
    return ClassCounts(((size, n_classes),))


def step_imbalanced(*, majority: int, minority: int, n_majority: int, n_minority: int) -> ClassCounts:
    """Step imbalance: some classes of one size, followed by the others of another size.

    Parameters
    ----------
    majority, minority : int, numbers ``K_A`` and ``K_B`` of classes
    n_majority, n_minority : int, samples per class

    Returns
    -------
    ClassCounts

    Examples
    --------
    >>> str(step_imbalanced(majority=5, minority=5, n_majority=100, n_minority=10))
    '100*5,10*5'
    """
    return ClassCounts(((n_majority, majority), (n_minority, minority)))


def long_tailed(n_classes: int, *, largest: int, ratio: float) -> ClassCounts:
    """Sizes that fall geometrically, rounded to whole samples.

    Parameters
    ----------
    n_classes : int, K, at most `MAX_TAIL`
    largest : int, samples of the first class
    ratio : float in ``1 .. largest``, largest size over smallest, before rounding

    Returns
    -------
    ClassCounts

    Raises
    ------
    InputError
        An argument out of its range.

    Examples
    --------
    >>> list(long_tailed(3, largest=100, ratio=100))
    [100, 10, 1]
    """
    n_classes, largest = check_whole("n_classes", n_classes, 1, MAX_TAIL), check_whole("largest", largest, 1, MAX_SIZE)
    if not 1 <= ratio <= largest:
        raise InputError(f"ratio={brief(ratio)} must lie between 1 and largest={largest}, so that every class has a sample")
    last = max(n_classes - 1, 1)
    return ClassCounts.of(max(1, round(largest * ratio ** (-k / last))) for k in range(n_classes))


def _number(text: str, item: str) -> int:
    try:
        value = Decimal(text.strip())
        if value != value.to_integral_value() or not 0 <= value <= MAX_SIZE:
            raise InputError(
                f"counts has {brief(text.strip())} in {brief(item.strip())}; it must be a whole number up to 2**53"
            )
        return int(value)
    except InvalidOperation:
        raise InputError(
            f"counts has {brief(text.strip())} in {brief(item.strip())}; write SIZE*CLASSES with whole numbers, such as 100*5"
        ) from None
