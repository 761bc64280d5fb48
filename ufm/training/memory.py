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
"""Bytes of a run at the most. These networks are for the laboratory: the defaults need 0.02 GB."""
STATES = {"deq": 20, "explicit": 6}
"""Arrays of (batch, width) under way at once: for equilibria the memory of Anderson's method, and gradients."""


@dataclass(frozen=True)
class Size:
    """What the memory of a run depends on.

    classes : (KA, KB); largest, ratio, tail : as in `Settings`
    width, batch : int
    states : int, as in `STATES`
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
        """Training samples; of a tail, the sum of a geometric curve from the largest to the smallest size."""
        smallest = self.largest / self.ratio
        if not self.tail:
            return float(self.majority) * self.largest + float(self.minority) * max(1.0, smallest)
        mean = (self.largest - smallest) / log(self.ratio) if self.ratio > 1.0001 else self.largest
        return self.largest + (float(self.majority) + self.minority) * (mean + 1.0)

    def total(self) -> float:
        """Bytes in all, in float64, an estimate from above."""
        classes, d, p = float(self.majority) + self.minority, float(self.width), MIXTURE_DIM
        train, test = self.samples(), MIXTURE_TEST * classes
        batch = min(max(self.batch, 512), max(train, test))
        samples = train * (4 * p + 4 * d + 3 * classes)  # with their features and logits
        tested = test * (4 * p + self.states * d + 3 * classes) + 30 * classes**2  # and the K x K matrices of theory
        parameters = 12 * (3 * d**2 + (p + classes) * d)  # with gradients and moments
        bayes = 4 * max(BLOCK, 2 * p * classes)  # the rule that the mixture's ceiling comes from
        return 8.0 * (bayes + samples + tested + parameters + batch * (self.states * d + 6 * classes))


def size_of(settings: Settings) -> Size:
    """The part of the settings that memory depends on."""
    majority, minority = settings.classes
    assert settings.largest is not None
    return Size(
        majority, minority, settings.largest, settings.ratio, settings.tail, settings.width, settings.batch,
        STATES[settings.model],
    )  # fmt: skip


def refuse_too_large(settings: Settings) -> None:
    """Refuse a run that needs more than `MOST` bytes, naming the argument that does it.

    Raises
    ------
    InputError
        With the largest value of that argument that fits beside the others, if there is one.
    """
    size = size_of(settings)
    total = size.total()
    if total <= MOST:
        return
    given = {"classes": sum(settings.classes) / 10, "largest": size.largest / 500, "width": size.width / 64}
    given["batch"] = size.batch / 128
    name = max(given, key=lambda argument: given[argument])  # the one that is furthest above what is usual
    value = settings.classes if name == "classes" else getattr(settings, name)
    told = f"{value[0]},{value[1]}" if isinstance(value, tuple) else str(value)
    raise InputError(
        f"{name} is {told}: the run would take about {total / 1e9:,.0f} GB of memory, and {MOST / 1e9:g} GB are the most; "
        f"{_remedy(size, name)}"
    )


def _remedy(size: Size, name: str) -> str:
    """The largest value of an argument that fits, to two digits; of `classes`, for KA and KB alike."""

    def fits(value: int) -> bool:
        changes = {"majority": value, "minority": value} if name == "classes" else {name: value}
        return replace(size, **changes).total() <= MOST

    found = next((d * 10**e for e in range(18, -1, -1) for d in (5, 2, 1) if fits(d * 10**e)), None)
    if found is None:
        return "lower the other sizes (classes, largest, width, batch) too"
    return f"{name} {found},{found} fits" if name == "classes" else f"{name} {found} fits"
