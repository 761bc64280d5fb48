"""Certificates that a theorem's comparisons rest on, as files that the independent verifier accepts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ufm
from ufm.certify import Certificate
from ufm.errors import InputError

LARGEST = 2 * 10**6
"""Characters of the largest certificate that is kept."""


@dataclass(frozen=True)
class Evidence:
    """A certificate: its file's name and content, the problem in words, and the bounds that were compared.

    Attributes
    ----------
    name : str, of the file
    problem : str, the problem in words
    lower, upper : float, bounds as compared
    level : str, of these bounds
    text : str, content of the file, which proves its bounds at level "rigorous"
    """

    name: str
    problem: str
    lower: float
    upper: float
    level: str
    text: str

    def recheck(self) -> ufm.Recheck:
        """The independent verifier's verdict on the file.

        A file whose bounds exclude those that were compared is rejected: both enclose the same optimum.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.name
            path.write_text(self.text, encoding="utf-8")
            found = ufm.recheck(path)
        apart = found.accepted and found.lower is not None and found.upper is not None
        if apart and (found.lower > self.upper or found.upper < self.lower):  # type: ignore[operator]
            return ufm.Recheck(False, "the file proves bounds that exclude those that were compared")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the content of the file."""
        return {
            "name": self.name, "problem": self.problem, "lower": self.lower, "upper": self.upper, "level": self.level,
            "certificate": json.loads(self.text),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Evidence:
        """From what `to_dict` returned."""
        text = json.dumps(plain["certificate"], separators=(",", ":")) + "\n"
        return cls(plain["name"], plain["problem"], float(plain["lower"]), float(plain["upper"]), plain["level"], text)


def gather(prefix: str, certificates: Iterable[Certificate]) -> tuple[Evidence, ...]:
    """Each certificate once, as the file that `Certificate.save` writes.

    A certificate that the verifier does not know (a head or a loss of a user's own), or whose file is larger than `LARGEST`,
    is left out.

    Parameters
    ----------
    prefix : str, of the files' names
    certificates : iterable of Certificate

    Returns
    -------
    tuple of Evidence
    """
    kept: dict[str, Evidence] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificate.json"
        for certificate in {id(c): c for c in certificates}.values():
            try:
                certificate.save(path)
            except InputError:
                continue
            text = path.read_text(encoding="utf-8")
            if text not in kept and len(text) <= LARGEST:
                name = f"{prefix}-{len(kept) + 1:03d}.json"
                bounds = float(certificate.lower), float(certificate.upper)
                kept[text] = Evidence(name, str(certificate.problem), *bounds, certificate.level, text)
    return tuple(kept.values())
