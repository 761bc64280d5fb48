"""Ranges of class sizes, such as many / medium / few: near-coincidence of neighbours where sizes differ.

Classes of different sizes do not share a classifier exactly, so that on a long tail "collapse" is a statement on neighbours.
Order the classes of a range by size. The *contrast* of two neighbours is the mean of their margins over each other,

    (z_j - z_k in the column of class j  +  z_k - z_j in the column of class k) / 2,

for equal sizes the contrast of their group. A range *has nearly collapsed* if the largest contrast between neighbours is at
most `NEAR` nats. Enclosures of contrasts are proved for the optimum (docs/theory, Propositions 8.2 to 8.4); cosines are those
of the solution.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from ufm._text import finite
from ufm.analysis.solution_geometry import classifier_gram
from ufm.errors import InputError, brief
from ufm.spectral.blocks import BlockMatrix

if TYPE_CHECKING:
    from ufm.certify.optimum import Optimum
    from ufm.solvers.solution import Solution

NEAR = 0.1
"""Contrast (nats) of neighbours up to which a range counts as nearly collapsed: odds of 1.1 to 1."""
DEFAULT = "many=100+,medium=20-100,few=-20"
"""The usual ranges of long-tailed recognition: more than 100 samples, 20 to 100, fewer than 20."""


@dataclass(frozen=True)
class SizeRange:
    """Class sizes n with ``least <= n <= most``.

    Attributes
    ----------
    name : str
    least : int
    most : int or None, None for no bound
    """

    name: str
    least: int
    most: int | None

    def has(self, size: float) -> bool:
        """Whether a class size lies in the range."""
        return self.least <= size and (self.most is None or size <= self.most)


@dataclass(frozen=True)
class RangeCollapse:
    """Near-collapse of the classes of a range of sizes.

    Attributes
    ----------
    name : str
    smallest, largest : int, class sizes that occur in the range
    classes : int
    verdict : {"yes", "no", "undecided"}
        Whether the contrast of all neighbours is at most `NEAR`; "undecided" too where contrasts are not enclosed.
    lower, upper : float, enclosure of the largest contrast of neighbours (nats); infinite upper end where none is proved
    cosine : float or None, mean cosine of classifiers over all pairs of the range, in the solution
    neighbours : float or None, least cosine of the classifiers of neighbours
    norm : float or None, mean norm of the range's classifiers over that of the largest classes
    """

    name: str
    smallest: int
    largest: int
    classes: int
    verdict: str
    lower: float
    upper: float
    cosine: float | None
    neighbours: float | None
    norm: float | None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON; None stands for an infinite upper end."""
        return asdict(self) | {"upper": finite(self.upper)}

    def __bool__(self) -> bool:
        raise TypeError(f"a verdict has three values, so it is neither true nor false; compare .verdict, here {self.verdict!r}")


def parse_ranges(value: str | Mapping[str, str]) -> tuple[SizeRange, ...]:
    """Ranges of class sizes from text or a mapping of names to ranges.

    Parameters
    ----------
    value : str or mapping of str to str
        Items ``name=range``, each range ``A-B`` (A to B samples), ``A+`` (more than A) or ``-B`` (fewer than B).

    Returns
    -------
    tuple of SizeRange

    Raises
    ------
    InputError
        Text of another form, a name that occurs twice, or an empty range.

    Examples
    --------
    >>> [(r.name, r.least, r.most) for r in parse_ranges("many=100+,medium=20-100,few=-20")]
    [('many', 101, None), ('medium', 20, 100), ('few', 1, 19)]
    """
    if isinstance(value, Mapping):
        items = [(str(name), str(text)) for name, text in value.items()]
    elif isinstance(value, str):
        pairs = [item.partition("=") for item in value.split(",")]
        if not all(equals for _, equals, _ in pairs):
            raise InputError(f"groups is {brief(value)}; write name=range items such as {DEFAULT}")
        items = [(name.strip(), text.strip()) for name, _, text in pairs]
    else:
        raise InputError(f"groups is {brief(value)}; write name=range items such as {DEFAULT}")
    found = []
    for name, text in items:
        match = re.fullmatch(r"([0-9]{1,16})\+|([0-9]{1,16})-([0-9]{1,16})|-([0-9]{1,16})", text)
        if not name or match is None:
            raise InputError(
                f"groups has {brief(name)} = {brief(text)}; write A-B, A+ (more than A) or -B (fewer than B samples)"
            )
        above, least, most, below = (None if part is None else int(part) for part in match.groups())
        if above is not None:
            found.append(SizeRange(name, above + 1, None))
        elif below is not None:
            found.append(SizeRange(name, 1, below - 1))
        else:
            assert least is not None
            found.append(SizeRange(name, least, most))
        if found[-1].most is not None and found[-1].most < max(found[-1].least, 1):
            raise InputError(
                f"groups has {brief(name)} = {brief(text)}, which no class size satisfies; write the smaller number first"
            )
    if len({r.name for r in found}) < len(found):
        raise InputError(f"groups is {brief(value)}; give every range a name of its own")
    return tuple(found)


def range_verdicts(solution: Solution, proved: Optimum | None, ranges: tuple[SizeRange, ...]) -> tuple[RangeCollapse, ...]:
    """Near-collapse of every range that has a class.

    Parameters
    ----------
    solution : Solution
    proved : Optimum or None
        What is proved about the optimum; None where its contrasts cannot be enclosed.
    ranges : tuple of SizeRange

    Returns
    -------
    tuple of RangeCollapse
        In the order of the ranges.
    """
    gram = classifier_gram(solution)
    sizes = [int(n) for n in (solution.problem.counts if solution.program.penalty.columns else solution.program.sizes)]
    norms = np.sqrt(np.maximum(gram.own, 0.0))
    found = []
    for chosen in ranges:
        inside = sorted((g for g, n in enumerate(sizes) if chosen.has(n)), key=lambda g: -sizes[g])
        if not inside:
            continue
        lower, upper = (0.0, inf) if proved is None else largest_contrast(proved, gram, sizes, inside)
        count = int(sum(gram.multiplicity[g] for g in inside))
        if count == 1:
            verdict, lower, upper = "no", 0.0, inf
        else:
            verdict = "no" if lower > NEAR else "yes" if upper <= NEAR else "undecided"
        mean, least = cosines(gram, norms, inside)
        top = norms[sizes.index(max(sizes))]
        weights = gram.multiplicity[inside]
        norm = float(weights @ norms[inside] / weights.sum() / top) if top > 0 else None
        here = [sizes[g] for g in inside]
        found.append(RangeCollapse(chosen.name, min(here), max(here), count, verdict, lower, upper, mean, least, norm))
    return tuple(found)


def largest_contrast(proved: Optimum, gram: BlockMatrix, sizes: list[int], inside: list[int]) -> tuple[float, float]:
    """Enclosure of the largest contrast of neighbours.

    Parameters
    ----------
    proved : Optimum
    gram : BlockMatrix, for the numbers of classes
    sizes : list of int, of each group
    inside : list of int, groups of the range, largest size first

    Returns
    -------
    float, float
        Nats; infinite where a probability cannot be told from zero.
    """
    from ufm._balls import outward

    ends = []
    by_size: dict[int, list[int]] = {}
    for g in inside:
        by_size.setdefault(sizes[g], []).append(g)
    for groups in by_size.values():
        if sum(gram.multiplicity[g] for g in groups) > 1:
            lower, upper = proved.contrast(groups)
            ends.append((max(outward(lower)[0], 0.0), outward(upper)[1]))
    ordered = list(by_size.values())
    for first, second in pairwise(ordered):
        margins = proved.margin(first[0], second[0]), proved.margin(second[0], first[0])
        ends.append((outward((margins[0][0] + margins[1][0]) / 2)[0], outward((margins[0][1] + margins[1][1]) / 2)[1]))
    return max((low for low, _ in ends), default=0.0), max((high for _, high in ends), default=inf)


def cosines(gram: BlockMatrix, norms: np.ndarray, inside: list[int]) -> tuple[float | None, float | None]:
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
