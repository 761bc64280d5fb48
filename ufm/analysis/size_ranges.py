"""Ranges of class sizes, such as many / medium / few: near-coincidence of neighbours where sizes differ.

Classes of different sizes do not share a classifier exactly, so that on a long tail "collapse" is a statement on neighbours.
Order the classes of a range by size. The *contrast* of two neighbours is the mean of their margins over each other,

    (z_j - z_k in the column of class j  +  z_k - z_j in the column of class k) / 2,

for equal sizes the contrast of their group. A range *has nearly collapsed* if the largest contrast between neighbours is at
most `NEAR` nats. Enclosures of contrasts are proved for the optimum (docs/theory, Propositions 8.2 to 8.4); cosines are those
of the solution.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

from ufm._text import finite
from ufm.analysis.solution_geometry import classifier_gram
from ufm.metrics.size_ranges import RangeGeometry, members, range_geometry
from ufm.spectral.blocks import BlockMatrix
from ufm.targets.size_ranges import SizeRange

if TYPE_CHECKING:
    from ufm.certify.optimum import Optimum
    from ufm.solvers.solution import Solution

NEAR = 0.1
"""Contrast (nats) of neighbours up to which a range counts as nearly collapsed: odds of 1.1 to 1."""


@dataclass(frozen=True)
class RangeCollapse(RangeGeometry):
    """Near-collapse of the classes of a range of sizes, with the cosines of the solution's classifiers.

    Attributes
    ----------
    verdict : {"yes", "no", "undecided"}
        Whether the contrast of all neighbours is at most `NEAR`; "undecided" too where contrasts are not enclosed.
    lower, upper : float, enclosure of the largest contrast of neighbours (nats); infinite upper end where none is proved
    """

    verdict: str
    lower: float
    upper: float

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON; None stands for an infinite upper end."""
        return asdict(self) | {"upper": finite(self.upper)}

    def __bool__(self) -> bool:
        raise TypeError(f"a verdict has three values, so it is neither true nor false; compare .verdict, here {self.verdict!r}")


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
    found = []
    for chosen in ranges:
        inside = members(sizes, chosen)
        if not inside:
            continue
        lower, upper = (0.0, inf) if proved is None else largest_contrast(proved, gram, sizes, inside)
        shape = range_geometry(gram, sizes, chosen)
        if shape.classes == 1:
            verdict, lower, upper = "no", 0.0, inf
        else:
            verdict = "no" if lower > NEAR else "yes" if upper <= NEAR else "undecided"
        found.append(RangeCollapse(**asdict(shape), verdict=verdict, lower=lower, upper=upper))
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
