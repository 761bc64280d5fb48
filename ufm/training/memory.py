"""Memory of a training run, estimated from its settings before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import TYPE_CHECKING

from ufm.errors import InputError
from ufm.training.data import BLOCK, MIXTURE_DIM, MIXTURE_TEST

if TYPE_CHECKING:
    from ufm.training.settings import Settings

MOST = 4e9
"""Largest memory of a run, in bytes; with the default settings a run needs 0.02 GB."""
STATES = {"deq": 20, "explicit": 6}
"""Number of (batch, width) arrays in use at the same time: gradients, and for equilibria the memory of Anderson's method."""


@dataclass(frozen=True)
class Size:
    """The settings that the memory of a run depends on.

    Attributes
    ----------
    majority, minority : int, numbers of majority and of minority classes
    largest : int, samples of the largest class
    ratio : float, R, largest over smallest class size
    tail : bool, sizes fall geometrically instead of in one step
    width : int, feature dimension d
    batch : int, samples per step
    states : int, number of (batch, width) arrays, as in `STATES`
    """

    majority: int
    minority: int
    largest: int
    ratio: float
    tail: bool
    width: int
    batch: int
    states: int

    def samples(self) -> float:
        """Number of training samples, estimated from above; for a long tail by the mean of a geometric curve of sizes."""
        smallest = self.largest / self.ratio
        if not self.tail:
            return float(self.majority) * self.largest + float(self.minority) * max(1.0, smallest)
        mean = (self.largest - smallest) / log(self.ratio) if self.ratio > 1.0001 else self.largest
        return self.largest + (float(self.majority) + self.minority) * (mean + 1.0)

    def total(self) -> float:
        """Memory in bytes, all arrays in float64, estimated from above."""
        classes, d, p = float(self.majority) + self.minority, float(self.width), MIXTURE_DIM
        train, test = self.samples(), MIXTURE_TEST * classes
        batch = min(max(self.batch, 512), max(train, test))
        samples = train * (4 * p + 4 * d + 3 * classes)  # with their features and logits
        tested = test * (4 * p + self.states * d + 3 * classes) + 30 * classes**2  # and the K x K matrices of theory
        parameters = 12 * (3 * d**2 + (p + classes) * d)  # with gradients and moments
        bayes = 4 * max(BLOCK, 2 * p * classes)  # the rule that the mixture's ceiling comes from
        return 8.0 * (bayes + samples + tested + parameters + batch * (self.states * d + 6 * classes))


def size_of(settings: Settings) -> Size:
    """The part of the settings of a run that its memory depends on."""
    majority, minority = settings.classes
    assert settings.largest is not None
    return Size(
        majority, minority, settings.largest, settings.ratio, settings.tail, settings.width, settings.batch,
        STATES[settings.model],
    )  # fmt: skip


def refuse_too_large(settings: Settings) -> None:
    """Check that a run needs no more than `MOST` bytes.

    Raises
    ------
    InputError
        It needs more. The message names the argument that is largest compared with its default, and a value of it that fits,
        if there is one.
    """
    size = size_of(settings)
    total = size.total()
    if total <= MOST:
        return
    given = {"classes": sum(settings.classes) / 10, "largest": size.largest / 500, "width": size.width / 64}
    given["batch"] = size.batch / 128
    name = max(given, key=lambda argument: given[argument])  # the one furthest above its usual size
    value = settings.classes if name == "classes" else getattr(settings, name)
    told = f"{value[0]},{value[1]}" if isinstance(value, tuple) else str(value)
    raise InputError(
        f"{name} is {told}: the run would take about {total / 1e9:,.0f} GB of memory, and {MOST / 1e9:g} GB are the most; "
        f"{_remedy(size, name)}"
    )


def _remedy(size: Size, name: str) -> str:
    """Advice with the largest value 1, 2 or 5 times a power of 10 that fits; for ``classes`` the same for KA and KB."""

    def fits(value: int) -> bool:
        changes = {"majority": value, "minority": value} if name == "classes" else {name: value}
        return replace(size, **changes).total() <= MOST

    found = next((d * 10**e for e in range(18, -1, -1) for d in (5, 2, 1) if fits(d * 10**e)), None)
    if found is None:
        return "lower the other sizes (classes, largest, width, batch) too"
    return f"{name} {found},{found} fits" if name == "classes" else f"{name} {found} fits"
