"""K x K matrices that are constant on blocks of equally treated classes.

Classes fall into G groups; class-indexed matrices that are invariant under permutations inside the groups have one
diagonal value per group and one off-diagonal value per pair of groups (docs/theory, Proposition 3.2). The cost of working
with them depends on G, not on K.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.errors import InputError

MAX_DENSE = 20_000
"""Largest K for which a dense K x K matrix is written out."""


@dataclass(frozen=True)
class BlockMatrix:
    """A block-constant K x K matrix.

    Parameters
    ----------
    own : (G,) float64
        Diagonal entries, one per group.
    other : (G, G) float64
        Entry (g, h): row of group g, column of group h, off the diagonal. ``other[g, g]`` is not used where group g has a
        single class.
    runs : tuple of (group, classes)
        The classes in order: ``((0, 5), (1, 5))`` is five classes of group 0, then five of group 1.

    Examples
    --------
    >>> S = BlockMatrix(np.array([0.75]), np.array([[-0.25]]), ((0, 4),))
    >>> round(S.frobenius() ** 2, 12), np.asarray(S).shape
    (3.0, (4, 4))
    """

    own: Floats
    other: Floats
    runs: tuple[tuple[int, int], ...]

    @property
    def multiplicity(self) -> Floats:
        """(G,) number of classes per group."""
        count = np.zeros(len(self.own))
        for g, c in self.runs:
            count[g] += c
        return count

    def pairs(self) -> Floats:
        """(G, G) number of off-diagonal entries per block."""
        m = self.multiplicity
        return np.outer(m, m) - np.diag(m)

    def frobenius(self) -> float:
        """Frobenius norm of the K x K matrix."""
        return sqrt(max(self.inner(self), 0.0))

    def inner(self, other: BlockMatrix) -> float:
        """Frobenius inner product of the K x K matrices."""
        pairs = self.pairs()
        off = np.where(pairs > 0, self.other * other.other, 0.0)
        return float(self.multiplicity @ (self.own * other.own) + np.sum(pairs * off))

    def centred(self) -> BlockMatrix:
        """The matrix with the mean over classes removed from rows and columns: ``C M C`` with ``C = I - 11'/K``."""
        m = self.multiplicity
        classes = m.sum()
        off = np.where(self.pairs() > 0, self.other, 0.0)
        columns = (m @ off + self.own - np.diag(off)) / classes
        rows = (off @ m + self.own - np.diag(off)) / classes
        mean = float(m @ columns) / classes
        return BlockMatrix(self.own - columns - rows + mean, off - columns[None, :] - rows[:, None] + mean, self.runs)

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> NDArray[np.float64]:
        classes = sum(c for _, c in self.runs)
        if classes > MAX_DENSE:
            raise InputError(f"a dense {classes} x {classes} matrix was asked for; read .own and .other instead")
        group = np.repeat([g for g, _ in self.runs], [c for _, c in self.runs])
        dense = self.other[np.ix_(group, group)]
        np.fill_diagonal(dense, self.own[group])
        return dense if dtype is None else dense.astype(dtype)


def centred_frame(n_classes: int) -> Floats:
    """(m, m - 1) float64, orthonormal columns that sum to zero (Helmert), for m classes.

    >>> centred_frame(2).round(3).tolist()
    [[0.707], [-0.707]]
    """
    frame = np.zeros((n_classes, n_classes - 1))
    for j in range(n_classes - 1):
        frame[: j + 1, j], frame[j + 1, j] = 1.0, -(j + 1.0)
    return frame / np.linalg.norm(frame, axis=0)
