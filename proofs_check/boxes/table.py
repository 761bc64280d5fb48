"""Which theorems have boxes, who evaluates them, and which functions hold their formulas."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from proofs_check.box import Box, Claim


class Entry(NamedTuple):
    """Where the box of a theorem comes from.

    Attributes
    ----------
    module, function : str
        Called with the scale of the run it returns the box of a mesh, and the function of this name with "_claim" at its end
        what is claimed. Called with nothing it returns a closed form.
    formulas : tuple of str, functions of the module that `proofs_check.mutation` perturbs
    mesh : bool
    """

    module: str
    function: str
    formulas: tuple[str, ...]
    mesh: bool = False

    def evaluate(self, scale: str, module: ModuleType | None = None) -> Box:
        """The box, from the module or from a copy of it."""
        found = module or import_module(f"proofs_check.boxes.{self.module}")
        function = getattr(found, self.function)
        return function(scale) if self.mesh else function().evaluate()

    def claim(self, scale: str) -> Claim:
        """What the box claims, without certifying it."""
        found = import_module(f"proofs_check.boxes.{self.module}")
        return getattr(found, f"{self.function}_claim")(scale) if self.mesh else getattr(found, self.function)().claim()


def _closed(function: str, *formulas: str) -> Entry:
    return Entry("closed_forms", function, formulas)


BOXES = {
    "F5": Entry("budget", "explicit", ("system",), mesh=True),
    "D3": Entry("budget", "equilibrium", ("gain",), mesh=True),
    "X3": Entry("normalised", "fixed_norm", ("equations",), mesh=True),
    "H3": _closed("groups", "group_margin", "group_ratio"),
    "E1": _closed("deaths", "death_margin", "death_ratio"),
    "B2": _closed("jumps", "jump_strength", "jump_margin", "jump_total"),
    "X1": _closed("remedies", "remedy_margin", "remedy_decay"),
    "Z2": _closed("balanced", "balanced_margin", "balanced_decay", "height"),
    "D4": _closed("never", "etf_margin", "etf_ratio"),
    "X8": _closed("labels", "effective", "label_margin", "label_decay"),
    "X12": _closed("tasks", "task_margin", "task_count"),
    "X13": _closed("ordinal", "ordinal_pull", "ordinal_margin", "ordinal_decay"),
}
"""Boxes by the identifier of the theorem."""


def box_of(identifier: str, scale: str = "default") -> tuple[Box, ...]:
    """The boxes of a theorem, evaluated.

    Parameters
    ----------
    identifier : str
    scale : str, "quick", "default" or "full"

    Returns
    -------
    tuple of Box
        Empty where there is none.
    """
    return (BOXES[identifier].evaluate(scale),) if identifier in BOXES else ()


def claims_of(identifier: str, scale: str = "default") -> tuple[Claim, ...]:
    """What the boxes of a theorem claim, without certifying it.

    Parameters
    ----------
    identifier : str
    scale : str, "quick", "default" or "full"

    Returns
    -------
    tuple of Claim
        Empty where there is no box.
    """
    return (BOXES[identifier].claim(scale),) if identifier in BOXES else ()
