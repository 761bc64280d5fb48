r"""The supervised contrastive program over Gram matrices of class vectors, in group form.

.. math:: f(G) = \sum_k \pi_k \log \sum_j \pi_j \exp\big((g_{kj} - 1) / \tau\big), \qquad G \succeq 0,\; g_{kk} = 1,

with the class itself (j = k) among the terms. It is the limit of supervised contrastive learning in which each class has one
unit vector and negatives are drawn with the class shares ``pi_k = n_k / N`` (Nguyen et al., arXiv 2605.11291; locator unknown).
f is strictly convex on these matrices, and its optimum has the same entries for equal classes (docs/theory, Propositions 13.1
and 13.2), so that everything is stated by groups of equal classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from numbers import Real

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError, brief
from ufm.targets.counts import ClassCounts

COLDEST, HOTTEST = 1e-3, 1e4
"""Temperatures between which programs are solved."""


def check_temperature(temperature: float) -> float:
    """Return a temperature as a float.

    Raises
    ------
    InputError
        It is no number, or outside `COLDEST` to `HOTTEST`.
    """
    if isinstance(temperature, bool) or not isinstance(temperature, Real) or not isfinite(temperature):
        raise InputError(f"temperature is {brief(temperature)}; give a positive number such as 0.5")
    value = float(temperature)
    if not COLDEST <= value <= HOTTEST:
        raise InputError(f"temperature is {value!r}; give a number from {COLDEST:g} to {HOTTEST:g}, such as 0.5")
    return value


@dataclass(frozen=True)
class ClassVectors:
    """Unit vectors of all classes by groups: their mean in each group, and how far they spread about it.

    The m vectors of a group are ``mean + spread * s_i`` with the ``s_i`` the unit vertices of a simplex in dimensions of the
    group's own, so that ``|mean|^2 + spread^2 = 1``. Arrays need to meet this only nearly; whoever reads them divides by the
    root of the left-hand side.

    Attributes
    ----------
    means : (G, r) float64, one row for each group
    spread : (G,) float64, zero where a group has collapsed or has one class
    """

    means: Floats
    spread: Floats

    def unit(self) -> ClassVectors:
        """The same vectors divided by their lengths."""
        length = np.sqrt((self.means**2).sum(axis=1) + self.spread**2)
        return ClassVectors(self.means / length[:, None], self.spread / length)


@dataclass(frozen=True)
class Slopes:
    """The objective and its derivatives at cosines of groups.

    Attributes
    ----------
    value : float, nats
    pairs : (G, G) float64, symmetric
        Entry (g, h) is half the derivative of f by the cosine of one pair of classes of g and h in a symmetric Gram matrix:
        ``f(G') >= f(G) + sum_{k != j} pairs_kj (g'_kj - g_kj)``, each pair counted twice.
    """

    value: float
    pairs: Floats


@dataclass(frozen=True)
class GramProgram:
    """Minimise f over Gram matrices of unit vectors, see `ufm.contrastive.program`.

    Parameters
    ----------
    groups : tuple of (classes, size), largest size first
    temperature : float, tau
    nonnegative : bool, whether all entries of the Gram matrix must be at least zero, as for features after a ReLU

    Raises
    ------
    InputError
        The temperature is out of range.

    Examples
    --------
    >>> program = GramProgram.of(ClassCounts.parse("50*5,10*5"), 0.5)
    >>> float(round(program.value(np.zeros((2, 2))), 6))
    -1.36361
    """

    groups: tuple[tuple[int, int], ...]
    temperature: float
    nonnegative: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", check_temperature(self.temperature))

    @classmethod
    def of(cls, counts: ClassCounts, temperature: float, *, nonnegative: bool = False) -> GramProgram:
        """The program for class sizes.

        Parameters
        ----------
        counts : ClassCounts
        temperature : float, tau
        nonnegative : bool

        Returns
        -------
        GramProgram

        Raises
        ------
        InputError
            The temperature is out of range.
        """
        return cls(counts.groups, temperature, nonnegative)

    @cached_property
    def multiplicity(self) -> Floats:
        """(G,) number of classes in each group."""
        return np.array([float(m) for m, _ in self.groups])

    @cached_property
    def share(self) -> Floats:
        """(G,) share ``n_k / N`` of one class of each group."""
        total = sum(m * n for m, n in self.groups)
        return np.array([n / total for _, n in self.groups])

    @cached_property
    def others(self) -> Floats:
        """(G, G) number of classes of group h other than one class of group g: m_h, less one on the diagonal."""
        return np.tile(self.multiplicity, (len(self.groups), 1)) - np.eye(len(self.groups))

    def cosines(self, vectors: ClassVectors) -> Floats:
        """(G, G) cosines between two classes: of different groups off the diagonal, of the same group on it.

        The diagonal is 1 for groups of one class, where it stands for nothing.
        """
        v = vectors.unit()
        found = np.clip(v.means @ v.means.T, -1.0, 1.0)
        np.fill_diagonal(found, 1.0 - self.contrasts(v))
        return found

    def contrasts(self, vectors: ClassVectors) -> Floats:
        """(G,) one minus the cosine between two classes of the same group, without cancellation; 0 for groups of one class."""
        m = self.multiplicity
        return np.where(m > 1, vectors.unit().spread ** 2 * m / np.maximum(m - 1, 1), 0.0)

    def terms(self, cosines: Floats) -> tuple[Floats, Floats]:
        """``pi_h exp((c_gh - 1) / tau)``, (G, G), and the sums over all classes j for one class of each group, (G,).

        Parameters
        ----------
        cosines : (G, G) float64, as `cosines` returns them
        """
        each = self.share * np.exp((cosines - 1.0) / self.temperature)
        return each, self.share + (self.others * each).sum(axis=1)

    def value(self, cosines: Floats) -> float:
        """f at cosines of groups, (G, G), in nats."""
        return float((self.multiplicity * self.share) @ np.log(self.terms(cosines)[1]))

    def slopes(self, cosines: Floats) -> Slopes:
        """f and its derivatives at cosines of groups, (G, G)."""
        each, total = self.terms(cosines)
        one_way = self.share[:, None] * each / total[:, None] / self.temperature
        return Slopes(float((self.multiplicity * self.share) @ np.log(total)), 0.5 * (one_way + one_way.T))
