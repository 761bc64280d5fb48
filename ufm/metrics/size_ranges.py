"""Cosines and norms of one vector per class, range by range of class sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ufm._arrays import Floats
from ufm.spectral.blocks import BlockMatrix
from ufm.targets.size_ranges import SizeRange


@dataclass(frozen=True)
class RangeGeometry:
    """The vectors of the classes whose sizes lie in a range.

    Attributes
    ----------
    name : str
    smallest, largest : int, class sizes that occur in the range
    classes : int
    cosine : float or None, mean cosine over all pairs of the range
    neighbours : float or None, least cosine of neighbours, classes in the order of their sizes
    norm : float or None, mean norm of the range's vectors over that of the largest classes
    """

    name: str
    smallest: int
    largest: int
    classes: int
    cosine: float | None
    neighbours: float | None
    norm: float | None


def members(sizes: Sequence[int], chosen: SizeRange) -> list[int]:
    """Indices of the groups whose size lies in the range, largest size first.

    >>> members([5, 80, 30], SizeRange("small", 1, 50))
    [2, 0]
    """
    return sorted((g for g, n in enumerate(sizes) if chosen.has(n)), key=lambda g: -sizes[g])


def range_geometry(gram: BlockMatrix, sizes: Sequence[int], chosen: SizeRange) -> RangeGeometry:
    """Cosines and norms of the classes in a range, at least one of which there must be.

    Parameters
    ----------
    gram : BlockMatrix, Gram matrix of one vector per class
    sizes : (G,) int, class size of each group
    chosen : SizeRange

    Returns
    -------
    RangeGeometry
    """
    inside = members(sizes, chosen)
    norms = np.sqrt(np.maximum(gram.own, 0.0))
    mean, least = cosines(gram, norms, inside)
    weights, largest = gram.multiplicity[inside], np.array(sizes) == max(sizes)
    top = float(gram.multiplicity[largest] @ norms[largest] / gram.multiplicity[largest].sum())
    norm = float(weights @ norms[inside] / weights.sum()) / top if top > 0 else None
    here = [sizes[g] for g in inside]
    return RangeGeometry(chosen.name, min(here), max(here), int(weights.sum()), mean, least, norm)


def cosines(gram: BlockMatrix, norms: Floats, inside: list[int]) -> tuple[float | None, float | None]:
    """Mean cosine over the pairs of a range, and the least of neighbours; None where undefined.

    Parameters
    ----------
    gram : BlockMatrix, Gram matrix of the classifiers
    norms : (G,) float64, norms of the classifiers
    inside : list of int, groups of the range, largest size first

    Returns
    -------
    float or None, float or None
    """
    counted = gram.pairs()[np.ix_(inside, inside)]
    if norms[inside].min() <= 1e-12 * norms.max(initial=0.0) or not counted.any():
        return None, None
    table = np.clip(gram.other[np.ix_(inside, inside)] / np.outer(norms[inside], norms[inside]), -1.0, 1.0)
    near = [table[i, i] for i in range(len(inside)) if counted[i, i] > 0] + [table[i, i + 1] for i in range(len(inside) - 1)]
    return float((counted * np.where(counted > 0, table, 0.0)).sum() / counted.sum()), float(min(near))
