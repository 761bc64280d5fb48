"""Data with chosen class sizes: synthetic Gaussian mixtures, and the handwritten digits that scikit-learn bundles."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats, check_whole
from ufm.errors import InputError
from ufm.targets.counts import ClassCounts

Labels = NDArray[np.intp]
DIGITS_PER_CLASS = 174
"""Size of the smallest class of the bundled digits."""
BLOCK = 200_000
"""Size of the arrays of the Bayes rule, in numbers; larger ones are split."""
MIXTURE_DIM, MIXTURE_TEST = 20, 100
"""Dimension of the inputs, and test samples per class, of a mixture."""
DIGITS_TEST = 50
"""Test samples per class."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples.

    Attributes
    ----------
    name : str, "mixture" (synthetic) or "digits" (real)
    counts : ClassCounts, training samples of each class
    x : (N, p) float64, training inputs in the order of the classes, shifted and scaled to mean 0 and mean square 1
    y : (N,) int, training labels 0 .. K-1
    x_test : (M, p) float64, test inputs, equally many of each class, shifted and scaled as the training inputs
    y_test : (M,) int, test labels
    ceiling : float or None, accuracy of the Bayes rule with equal priors on the test samples, where it is known
    """

    name: str
    counts: ClassCounts
    x: Floats
    y: Labels
    x_test: Floats
    y_test: Labels
    ceiling: float | None = None


def mixture(
    counts: ClassCounts,
    *,
    dim: int = MIXTURE_DIM,
    separation: float = 4.0,
    noise: float = 1.0,
    modes: int = 2,
    test: int = MIXTURE_TEST,
    random_state: int = 0,
) -> Dataset:
    """Samples of a mixture of spherical Gaussians, ``modes`` of them per class, with means in random directions.

    Parameters
    ----------
    counts : ClassCounts, training samples of each class
    dim : int >= 1, dimension p of the inputs
    separation : float > 0, length of the means
    noise : float > 0, standard deviation of every coordinate
    modes : int >= 1, Gaussians per class
    test : int >= 1, test samples per class
    random_state : int >= 0

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        An argument outside its range.

    Examples
    --------
    >>> import ufm
    >>> data = mixture(ufm.step_imbalanced(majority=2, minority=2, n_majority=30, n_minority=3))
    >>> data.x.shape, data.y_test.shape
    ((66, 20), (400,))
    """
    for name, value in (("dim", dim), ("modes", modes), ("test", test)):
        check_whole(name, value)
    for name, number in (("separation", separation), ("noise", noise)):
        if not (isinstance(number, Real) and 0 < float(number) < 1e6):
            raise InputError(f"{name} is {number!r}; give a positive number such as 4")
    rng = np.random.default_rng([random_state, 1])
    classes = counts.classes
    means = rng.standard_normal((classes, modes, dim))
    means *= separation / np.linalg.norm(means, axis=2, keepdims=True)

    def sample(sizes: list[int]) -> tuple[Floats, Labels]:
        labels = np.repeat(np.arange(classes), sizes)
        which = rng.integers(modes, size=len(labels))
        return means[labels, which] + noise * rng.standard_normal((len(labels), dim)), labels

    x, y = sample(list(counts))
    x_test, y_test = sample([test] * classes)
    correct = 0
    rows = max(1, BLOCK // means.size)
    for start in range(0, len(x_test), rows):  # all at once these are (test samples) x classes x modes x dim numbers
        part = slice(start, start + rows)
        distances = np.sum((x_test[part, None, None] - means) ** 2, axis=3) / (2.0 * noise**2)
        nearest = distances.min(axis=2, keepdims=True)
        posterior = nearest[:, :, 0] - np.log(np.exp(nearest - distances).sum(axis=2))
        correct += int(np.count_nonzero(posterior.argmin(axis=1) == y_test[part]))
    ceiling = correct / len(y_test)
    return _scaled("mixture", counts, x, y, x_test, y_test, ceiling)


def digits(counts: ClassCounts, *, test: int = DIGITS_TEST, random_state: int = 0) -> Dataset:
    """Handwritten digits (8 x 8 pixels, 1797 images; Alpaydin & Kaynak 1998, as bundled with scikit-learn).

    Parameters
    ----------
    counts : ClassCounts of 10 classes, at most ``174 - test`` training samples each
    test : int >= 1, test samples per class
    random_state : int >= 0, chooses the samples

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        scikit-learn is missing, other than 10 classes, or more samples than there are.
    """
    check_scikit_learn()
    from sklearn.datasets import load_digits

    check_whole("test", test)
    check_digits(counts, test)
    sizes = list(counts)
    bunch: Any = load_digits()
    rng = np.random.default_rng([random_state, 2])
    train, held = [], []
    for k, size in enumerate(sizes):
        rows = rng.permutation(np.flatnonzero(bunch.target == k))
        held.append(rows[:test])
        train.append(rows[test : test + size])
    chosen, rest = np.concatenate(train), np.concatenate(held)
    labels = np.asarray(bunch.target, dtype=np.intp)
    return _scaled("digits", counts, bunch.data[chosen], labels[chosen], bunch.data[rest], labels[rest], None)


def check_scikit_learn() -> None:
    """Check that scikit-learn, which bundles the digits, is installed, without importing it.

    Raises
    ------
    InputError
        scikit-learn is missing.
    """
    if find_spec("sklearn") is None:
        raise InputError("data 'digits' needs scikit-learn, which is missing; install it with: pip install -e \".[digits]\"")


def check_digits(counts: ClassCounts, test: int) -> None:
    """Check that the bundled digits have these training sizes and ``test`` test samples per class.

    Raises
    ------
    InputError
        The sizes are not those of 10 classes, or there are too few digits.
    """
    if counts.classes != 10 or counts.groups[0][1] + test > DIGITS_PER_CLASS:
        raise InputError(
            f"counts {counts} with {test} test samples per class do not fit the digits: they have 10 classes and "
            f"{DIGITS_PER_CLASS} samples in the smallest; lower the largest size or the test samples"
        )


DATA = {"mixture": mixture, "digits": digits}


def _scaled(
    name: str, counts: ClassCounts, x: Floats, y: Labels, x_test: Floats, y_test: Labels, ceiling: float | None
) -> Dataset:
    mean = x.mean(axis=0)
    size = float(np.sqrt(np.mean((x - mean) ** 2)))
    return Dataset(name, counts, (x - mean) / size, y, (x_test - mean) / size, y_test, ceiling)
