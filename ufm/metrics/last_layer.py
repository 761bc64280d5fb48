"""Features, labels and classifier of a network's last layer, checked and converted to float64."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ufm._arrays import Floats
from ufm.errors import InputError


@dataclass(frozen=True, eq=False)
class LastLayer:
    """Features, labels and classifier of any real dtype, as float64 and scaled to a largest entry of 1.

    Metrics do not depend on the scale of features and of W; scaled to 1, their products stay within float64.

    Attributes
    ----------
    features : (N, d) float64, divided by `height`
    labels : (N,) int, every class 0 .. K-1 present
    precision : float, relative precision (machine epsilon) of the features as they were given
    height : float > 0, largest absolute entry of the features as they were given (1 where all are zero)
    weight : (K, d) float64 or None, divided by `breadth`
    breadth : float > 0, largest absolute entry of the weight as it was given (1 where all are zero or there is none)
    bias : (K,) float64 or None, as given
    counts : (K,) int, samples per class
    """

    features: Floats
    labels: NDArray[np.intp]
    precision: float
    height: float
    weight: Floats | None
    breadth: float
    bias: Floats | None
    counts: NDArray[np.intp]

    @classmethod
    def of(
        cls, features: ArrayLike, labels: ArrayLike, weight: ArrayLike | None = None, bias: ArrayLike | None = None
    ) -> LastLayer:
        """Check the arrays and convert them.

        Parameters
        ----------
        features : (N, d) array of any real dtype, one row per sample
        labels : (N,) int in 0 .. K-1, every class present
        weight : (K, d) array or None, classifier
        bias : (K,) array or None; needs a weight

        Returns
        -------
        LastLayer

        Raises
        ------
        InputError
            Shapes that do not fit, an empty class, NaN or infinite entries, entries that are not real numbers.
        """
        samples, precision = _array("features", features)
        targets = np.asarray(labels)
        if samples.ndim != 2 or not samples.shape[1] or targets.shape != samples.shape[:1] or not len(targets):
            raise InputError(f"features {samples.shape} and labels {targets.shape} do not fit; give (N, d) and (N,)")
        if targets.dtype.kind not in "iu" or targets.min() < 0 or targets.max() > 10**7:
            raise InputError("labels must be whole numbers 0 .. K-1")
        if not np.isfinite(samples).all():
            raise InputError("features contain NaN or infinity; drop or repair those samples")
        targets = targets.astype(np.intp)
        classifier = None if weight is None else np.atleast_1d(_array("weight", weight)[0])
        if classifier is None and (bias is not None or targets.max() == 0):
            raise InputError("a bias needs a weight" if bias is not None else "labels name one class only; give at least 2")
        classes = int(targets.max()) + 1 if classifier is None else len(classifier)
        counts = np.bincount(targets, minlength=classes)
        if len(counts) > classes or classes < 2:
            raise InputError(f"labels reach {targets.max()} but weight has {classes} rows; give one row per class")
        if counts.min() == 0:
            raise InputError(f"class {int(np.argmin(counts))} has no sample; every class needs one to have a mean")
        if classifier is not None and (classifier.shape != (classes, samples.shape[1]) or not np.isfinite(classifier).all()):
            raise InputError(f"weight {classifier.shape} must be finite and of shape {(classes, samples.shape[1])}")
        offset = None if bias is None else _array("bias", bias)[0]
        if offset is not None and (offset.shape != (classes,) or not np.isfinite(offset).all()):
            raise InputError(f"bias {offset.shape} must be finite and of shape {(classes,)}")
        height, breadth = _largest(samples), 1.0 if classifier is None else _largest(classifier)
        classifier = None if classifier is None else classifier / breadth
        return cls(samples / height, targets, precision, height, classifier, breadth, offset, counts)

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return len(self.counts)

    @cached_property
    def shift(self) -> Floats:
        """(d,) mean of the features, subtracted so that a large common offset causes no cancellation."""
        return self.features.mean(axis=0)

    @cached_property
    def centred(self) -> Floats:
        """(N, d) features minus `shift`."""
        return self.features - self.shift

    @cached_property
    def centred_means(self) -> Floats:
        """(K, d) class means minus `shift`."""
        sums = np.zeros((self.classes, self.features.shape[1]))
        np.add.at(sums, self.labels, self.centred)
        return sums / self.counts[:, None]

    @property
    def means(self) -> Floats:
        """(K, d) class means."""
        return self.centred_means + self.shift

    @property
    def decisions(self) -> NDArray[np.intp]:
        """(N,) class of the largest logit of each sample, with the bias."""
        assert self.weight is not None
        scores = self.features @ self.weight.T
        largest = 0.0 if self.bias is None else float(np.abs(self.bias).max())
        if self.bias is not None and largest > 0:
            # Logits and bias in common units. The one with the larger unit is left as it is: the ratio may be beyond float64.
            unit = Fraction(self.height) * Fraction(self.breadth) / Fraction(largest)
            grow, shrink = (1.0, float(1 / unit)) if unit >= 1 else (float(unit), 1.0)
            scores = scores * grow + self.bias / largest * shrink
        return np.argmax(scores, axis=1)

    @property
    def nearest(self) -> NDArray[np.intp]:
        """(N,) class of the nearest class mean of each sample."""
        means = self.centred_means
        return np.argmin(np.sum(means**2, axis=1) - 2.0 * self.centred @ means.T, axis=1)


def _largest(array: Floats) -> float:
    largest = float(np.abs(array).max(initial=0.0))
    return largest if largest > 0 else 1.0


def _array(name: str, value: ArrayLike) -> tuple[NDArray[Any], float]:
    """A real array without a mask as float64, and its relative precision."""
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiub" or isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{name} must be an array of real numbers (dtype {array.dtype}, no mask, rows of equal length)")
    precision = np.finfo(array.dtype if array.dtype.kind == "f" else np.float64).eps
    with np.errstate(over="ignore", under="ignore"):  # from wider floats: infinity is refused with a sentence
        return array.astype(np.float64), max(float(precision), float(np.finfo(np.float64).eps))
