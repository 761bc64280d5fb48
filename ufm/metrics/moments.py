"""Class sizes, class means and scatter within classes, added up block by block in float64 without cancellation.

Every block is centred at its own class means; two sums are joined by the exact identity for the means and scatters of a
union (Chan, Golub & LeVeque, The American Statistician 37(3), 1983). Nothing of the size of the features is subtracted from
anything else of that size, so scatter far below the squared means keeps its digits.
"""

from __future__ import annotations

from math import frexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.metrics.labels import Codes
from ufm.metrics.rows import no_numbers

RANGE = 150
"""Features are scaled, by a power of two, where their largest entry is outside 2**-RANGE .. 2**RANGE; float32 never is."""


class Moments:
    """Sums over the samples seen so far. Class k is the code k; arrays have a row for each code seen.

    Parameters
    ----------
    width : int, d
    scatter : bool, whether the (d, d) scatter within classes is added up

    Attributes
    ----------
    counts : (S,) int64, samples of each class
    means : (S, d) float64, class means minus `shift`, in units of ``2**exponent``
    squares : (S,) float64, sum of ``|h - mean|^2`` of each class; only with scatter
    scatter : (d, d) float64 or None, sum of ``(h - mean)(h - mean)'``
    shift : (d,) float64, mean of the first block: a large common offset causes no cancellation
    exponent : int
    peak : float, largest absolute entry of the features
    precision : float, largest machine epsilon of the dtypes of the features
    """

    def __init__(self, width: int, scatter: bool) -> None:
        self.counts = np.zeros(0, dtype=np.int64)
        self.means = np.zeros((0, width))
        self.squares = np.zeros(0)
        self.scatter = np.zeros((width, width)) if scatter else None
        self.shift = np.zeros(width)
        self.exponent = 0
        self.peak = 0.0
        self.precision = float(np.finfo(np.float64).eps)

    @property
    def total(self) -> int:
        """Samples seen."""
        return int(self.counts.sum())

    def add(self, block: NDArray[Any], codes: Codes) -> None:
        """Add samples.

        Parameters
        ----------
        block : (B, d) array of a real dtype
        codes : (B,) int

        Raises
        ------
        InputError
            NaN or infinite entries, or entries beyond float64.
        """
        if not len(block):
            return
        peak = largest(block, self.total)
        if block.dtype.kind == "f":
            self.precision = max(self.precision, float(np.finfo(block.dtype).eps))
        self._fit(peak)
        self.peak = max(self.peak, float(np.ldexp(peak, -self.exponent)))
        if not self.total:
            self.shift = self.load(block).mean(axis=0)
        self._grow(int(codes.max()) + 1)
        samples = self.load(block)
        counts = np.bincount(codes)
        present = np.flatnonzero(counts)
        places = np.zeros(len(counts), dtype=np.intp)
        places[present] = np.arange(len(present))
        local, counts = places[codes], counts[present]
        means = class_sums(samples, local, len(present)) / counts[:, None]
        squares = None
        if self.scatter is not None:
            samples -= means[local]
            norms = np.einsum("ij,ij->i", samples, samples)
            squares = np.bincount(local, norms, len(present)).astype(np.float64)
            self.scatter += samples.T @ samples
        self._join(present, counts, means, squares)

    def join(self, other: Moments, codes: Codes) -> None:
        """Add all samples of other sums.

        Parameters
        ----------
        other : Moments, of the same width
        codes : (S,) int, the code here of each class there
        """
        if not other.total:
            return
        exponent = max(self.exponent, other.exponent) if self.total else other.exponent
        self._rescale(exponent)
        turn = other.exponent - exponent
        shift = np.ldexp(other.shift, turn)
        if not self.total:
            self.shift = shift.copy()
        self._grow(int(codes.max()) + 1)
        self.precision = max(self.precision, other.precision)
        self.peak = max(self.peak, float(np.ldexp(other.peak, turn)))
        seen = other.counts > 0
        means = np.ldexp(other.means[seen], turn) + (shift - self.shift)
        if self.scatter is not None and other.scatter is not None:
            self.scatter += np.ldexp(other.scatter, 2 * turn)
        self._join(codes[seen], other.counts[seen], means, np.ldexp(other.squares[seen], 2 * turn))

    def load(self, block: NDArray[Any]) -> Floats:
        """(B, d) samples in float64, in these units and minus `shift`; a new array.

        Parameters
        ----------
        block : (B, d) array of a real dtype
        """
        if not self.exponent:
            return np.subtract(block, self.shift, dtype=np.float64)
        return np.ldexp(np.asarray(block, dtype=np.float64), -self.exponent) - self.shift

    def _join(self, present: Codes, counts: NDArray[Any], means: Floats, squares: Floats | None) -> None:
        before = self.counts[present]
        after = before + counts
        apart = means - self.means[present]
        self.means[present] += apart * (counts / after)[:, None]
        self.counts[present] = after
        if squares is not None and self.scatter is not None:
            weight = before * (counts / after)
            self.squares[present] += squares + weight * np.einsum("ij,ij->i", apart, apart)
            old = weight > 0
            self.scatter += (apart[old] * weight[old][:, None]).T @ apart[old]

    def _fit(self, peak: float) -> None:
        """Choose the unit by the first entries that are not zero, and a larger one where later entries need it."""
        power = frexp(peak)[1]
        if peak > 0 and (self.peak == 0 or power > self.exponent + RANGE):
            self._rescale(0 if abs(power) <= RANGE else power)

    def _rescale(self, exponent: int) -> None:
        turn = self.exponent - exponent
        self.exponent = exponent
        if turn and self.total:
            with np.errstate(under="ignore"):
                self.means, self.shift = np.ldexp(self.means, turn), np.ldexp(self.shift, turn)
                self.squares, self.peak = np.ldexp(self.squares, 2 * turn), float(np.ldexp(self.peak, turn))
                self.scatter = None if self.scatter is None else np.ldexp(self.scatter, 2 * turn)

    def _grow(self, classes: int) -> None:
        more = classes - len(self.counts)
        if more > 0:
            self.counts = np.concatenate([self.counts, np.zeros(more, dtype=np.int64)])
            self.squares = np.concatenate([self.squares, np.zeros(more)])
            self.means = np.concatenate([self.means, np.zeros((more, self.means.shape[1]))])


def class_sums(samples: Floats, codes: Codes, classes: int) -> Floats:
    """(classes, d) sums of the samples of each class.

    Parameters
    ----------
    samples : (B, d) float64
    codes : (B,) int
    classes : int

    Returns
    -------
    (classes, d) float64
    """
    from scipy.sparse import csr_array  # loads slowly

    ones = csr_array((np.ones(len(codes)), codes, np.arange(len(codes) + 1)), shape=(len(codes), classes))
    return ones.T @ samples


def largest(block: NDArray[Any], before: int) -> float:
    """Largest absolute entry of a block.

    Parameters
    ----------
    block : (B, d) array of a real dtype
    before : int, samples before this block, for the message

    Returns
    -------
    float

    Raises
    ------
    InputError
        NaN or infinite entries, or entries beyond float64.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        peak = max(float(block.max()), -float(block.min()))
    if not np.isfinite(peak) or np.isnan(float(block.min())):
        raise no_numbers("features", block, before)
    return peak
