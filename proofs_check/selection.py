"""Choosing theorems: by identifier, paper, required level and strength of proof."""

from __future__ import annotations

from collections.abc import Iterable

from proofs_check.judging import LEVELS
from proofs_check.registry import all_theorems
from proofs_check.theorem import Proof, Theorem
from ufm.errors import InputError, brief


def select(names: Iterable[str], *, required: str | None = None, proof: str | None = None) -> list[type[Theorem]]:
    """Theorems of the book, all if nothing is asked for.

    Parameters
    ----------
    names : iterable of str
        Identifiers such as "F1" (in the order given), or keys of papers such as "fang2021" (their theorems).
    required : str or None, only theorems that require this level, one of `LEVELS`
    proof : str or None, only theorems with a proof of this strength: "complete", "in part" or "none"

    Returns
    -------
    list of classes

    Raises
    ------
    InputError
        An unknown name, level or strength, or nothing that fits.
    """
    book = all_theorems()
    papers = {name: [t for t in book.values() if name in (t.source.key, t.__module__.rpartition(".")[2])] for name in _papers()}
    chosen: dict[str, type[Theorem]] = {}
    for name in names:
        if name.upper() in book:
            chosen[name.upper()] = book[name.upper()]
        elif papers.get(name.lower()):
            chosen |= {t.id: t for t in papers[name.lower()]}
        else:
            raise InputError(
                f"there is no theorem {brief(name)}; choose among {', '.join(book)}, or papers: {', '.join(_cited())}"
            )
    found = list(chosen.values()) or list(book.values())
    if required is not None and required not in LEVELS:
        raise InputError(f"--requires is {brief(required)}; choose one of {', '.join(LEVELS)}")
    strengths = [p.value for p in Proof]
    if proof is not None and proof not in strengths:
        raise InputError(f"--proof is {brief(proof)}; choose one of {', '.join(map(repr, strengths))}")
    found = [t for t in found if required in (None, t.required) and proof in (None, t.proof().value)]
    if not found:
        raise InputError("no theorem fits the selection; leave out --requires or --proof, or see --list")
    return found


def _papers() -> list[str]:
    """Keys of papers that are cited, and modules that define theorems."""
    return [*_cited(), *(t.__module__.rpartition(".")[2] for t in all_theorems().values())]


def _cited() -> list[str]:
    return list(dict.fromkeys(t.source.key for t in all_theorems().values() if t.source.key))
