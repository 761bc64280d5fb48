"""What a loss is to a problem: something to bind to class sizes, and to write into a certificate."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ufm.spectral.loss import BoundLoss
from ufm.targets.counts import ClassCounts


@runtime_checkable
class Loss(Protocol):
    """A loss of logits and labels. Adding one is one new file with these members.

    shift_invariant : whether adding a constant to a column (after temperatures) changes nothing
    plain : whether it is a loss without options, which heads on columns and enclosures of logits need; False if missing
    """

    @property
    def name(self) -> str: ...
    @property
    def shift_invariant(self) -> bool: ...

    def bind(self, counts: ClassCounts) -> BoundLoss:
        """The loss on the class groups (`ClassCounts.groups`) of these counts."""
        ...

    def certificate(self, counts: ClassCounts) -> dict[str, object]:
        """The loss's part of a saved certificate, numbers as exact rationals."""
        ...
