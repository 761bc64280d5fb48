"""The list of all theorems.

A theorem is one subclass of `Theorem` with a docstring that states the claim. Adding one is one class in the file of its
paper; the report, the command line and the tests enumerate the book and ask for nothing more.
"""

from __future__ import annotations

from importlib import import_module

from proofs_check.judging import LEVELS, SCALES, Verdict, judge
from proofs_check.theorem import Hypothesis, Kind, Proof, Theorem

__all__ = [
    "LEVELS", "PAPERS", "SCALES", "Hypothesis", "Kind", "Proof", "Theorem", "Verdict", "all_theorems", "judge",
]  # fmt: skip

PAPERS = (
    "fang2021",
    "hongling2023",
    "zhu2021",
    "zhou2022",
    "yang2022",
    "dang2023",
    "dang2024",
    "garrod2025",
    "sunshi2024",
    "sunshi2024_audit",
    "sunshi2024_decay",
    "sunshi2024_dynamics",
    "zhao2024",
    "andriopoulos2024",
    "li2023",
    "multitask",
    "remedies",
    "lu2022",
    "normalised",
    "contrastive",
    "training_laws",
    "ordinal",
)
"""Modules that define theorems, in order of appearance."""


def all_theorems() -> dict[str, type[Theorem]]:
    """Every theorem by its identifier: the subclasses of `Theorem` that the modules in `PAPERS` define, in their order.

    Raises
    ------
    ValueError
        Two theorems have the same identifier.
    """
    book: dict[str, type[Theorem]] = {}
    for paper in PAPERS:
        module = import_module(f"proofs_check.{paper}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Theorem) and value.__module__ == module.__name__:
                if value.id in book:
                    raise ValueError(f"two theorems are named {value.id}")
                book[value.id] = value
    return book
