"""What `ufm.solve_contrastive` returns: the optimum's value with bounds, cosines by group, and vectors that attain it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ufm import _text
from ufm._arrays import Floats
from ufm.contrastive.program import ClassVectors, GramProgram
from ufm.errors import InputError
from ufm.solvers import Status
from ufm.targets.counts import ClassCounts

LARGEST = 4000
"""Most classes for which K x K matrices are made."""


@dataclass(frozen=True)
class GroupCosine:
    """The cosine between two classes of the same size at the optimum.

    Attributes
    ----------
    size, classes : int, samples of each class, and how many (at least two) classes have that size
    cosine : float, of the vectors that were found
    lower, upper : float, enclosure of the optimum's cosine, evaluated in ball arithmetic at either level of the bounds
    collapsed : {"yes", "no", "undecided"}
        "no": proved to be below 1; "yes": proved to be at least 1 - tolerance.
    """

    size: int
    classes: int
    cosine: float
    lower: float
    upper: float
    collapsed: str

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON."""
        return {
            "size": self.size,
            "classes": self.classes,
            "cosine": self.cosine,
            "cosine_lower": self.lower,
            "cosine_upper": self.upper,
            "collapsed": self.collapsed,
        }


@dataclass(frozen=True, eq=False, repr=False)
class ContrastiveSolution:
    """Class vectors whose supervised contrastive loss is near the optimum, with bounds on the optimum.

    Attributes
    ----------
    status : Status, ``OPTIMAL`` where the gap is within the tolerance, else ``OPEN``
    value : float, the loss at the vectors (nats)
    lower, upper : float, bounds on the optimum over all Gram matrices
    level : {"float", "rigorous"}, arithmetic of the bounds
    method : {"two groups", "descent", "orthogonal frame"}, how the vectors were found
    counts : ClassCounts, the class sizes
    program : GramProgram, what was solved
    vectors : ClassVectors, unit vectors by group
    cosines : (G, G) float64, cosines by group: two classes of different groups off the diagonal, of the same group on it (1 for
        groups of one class)
    groups : tuple of GroupCosine, one for each size that at least two classes have, largest size first
    iterations : int, of the method; 0 where it is a closed form or root finding

    Examples
    --------
    >>> import ufm
    >>> found = ufm.solve_contrastive("50*5,10*5", temperature=0.5)
    >>> round(found.value, 10), round(found.groups[1].cosine, 7), found.gap < 1e-12
    (-1.4911013872, 0.0696164, True)
    """

    status: Status
    value: float
    lower: float
    upper: float
    level: str
    method: str
    counts: ClassCounts
    program: GramProgram
    vectors: ClassVectors
    cosines: Floats
    groups: tuple[GroupCosine, ...]
    iterations: int

    @property
    def gap(self) -> float:
        """``upper - lower``, nats."""
        return self.upper - self.lower

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return self.status.message

    @property
    def success(self) -> bool:
        """Whether the optimum is certified within the tolerance."""
        return self.status == Status.OPTIMAL

    @property
    def collapsed(self) -> str:
        """Verdict on the smallest classes: "yes", "no" or "undecided"; "no" where the smallest size occurs once."""
        smallest = self.counts.groups[-1][1]
        return next((g.collapsed for g in self.groups if g.size == smallest), "no")

    @cached_property
    def gram(self) -> Floats:
        """(K, K) Gram matrix of the classes in the order of ``counts``.

        Raises
        ------
        InputError
            More than `LARGEST` classes.
        """
        group = self._group_of_class()
        found = self.cosines[np.ix_(group, group)].copy()
        np.fill_diagonal(found, 1.0)
        return found

    @cached_property
    def features(self) -> Floats:
        """(d, K) unit vectors with the Gram matrix `gram`, one column for each class, in the order of ``counts``.

        Raises
        ------
        InputError
            More than `LARGEST` classes.
        """
        group = self._group_of_class()
        if self.program.nonnegative:
            return np.eye(len(group))
        unit = self.vectors.unit()
        blocks = [unit.means[group].T]
        for g, (m, _) in enumerate(self.program.groups):
            if m > 1 and unit.spread[g] > 0:
                members = np.flatnonzero(group == g)
                block = np.zeros((m - 1, len(group)))
                block[:, members] = unit.spread[g] * _simplex(m)
                blocks.append(block)
        return np.vstack(blocks)

    def _group_of_class(self) -> np.ndarray[Any, Any]:
        if self.counts.classes > LARGEST:
            raise InputError(
                f"counts has K={self.counts.classes} classes; matrices of classes are made up to K={LARGEST}, so use cosines"
            )
        return np.repeat(*np.array(self.counts.group_runs).T)

    def to_dict(self) -> dict[str, Any]:
        """Value, bounds and cosines as plain values for JSON."""
        return {
            "status": str(self.status),
            "message": self.message,
            "method": self.method,
            "value": self.value,
            "lower": self.lower,
            "upper": self.upper,
            "gap": self.gap,
            "level": self.level,
            "temperature": self.program.temperature,
            "nonnegative": self.program.nonnegative,
            "collapsed": self.collapsed,
            "groups": [group.to_dict() for group in self.groups],
            "cosines": self.cosines.tolist(),
        }

    def __repr__(self) -> str:
        sign = ", nonnegative" if self.program.nonnegative else ""
        return (
            f"ContrastiveSolution({self.status}, value={self.value!r}, gap={self.gap:.2g} ({self.level}), "
            f"temperature={self.program.temperature:g}{sign}, {_text.classes(self.counts.runs)})"
        )


def _simplex(vertices: int) -> Floats:
    """(m - 1, m) unit vertices of a regular simplex with centre zero."""
    rows = np.zeros((vertices - 1, vertices))
    for i in range(vertices - 1):
        # Helmert's rows: orthonormal, and orthogonal to the vector of ones.
        rows[i, : i + 1] = 1.0 / np.sqrt((i + 1) * (i + 2))
        rows[i, i + 1] = -(i + 1) / np.sqrt((i + 1) * (i + 2))
    return rows * np.sqrt(vertices / (vertices - 1))
