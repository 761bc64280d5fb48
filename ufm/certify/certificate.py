"""A certificate: bounds on the optimum, their level, and the witness that proves them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ufm.certify.witness import document
from ufm.errors import InputError
from ufm.spectral.program import Factors, LogitProgram

if TYPE_CHECKING:
    from ufm.problem.problem import Problem

LEVELS = ("float", "rigorous")


@dataclass(frozen=True)
class Certificate:
    """``lower <= optimum <= upper``.

    Attributes
    ----------
    lower, upper : float
        Bounds on the optimal value over all widths ``>= width`` (the lower bound: over all widths).
    level : str
        ``"float"``: float64 with a-priori rounding terms; ``"rigorous"``: exact rationals and ball arithmetic.
    problem, program, factors, shares
        The claim's subject and its witness: factors for the upper, probabilities for the lower bound.
    """

    lower: float
    upper: float
    level: str
    problem: Problem
    program: LogitProgram
    factors: Factors
    shares: NDArray[np.float64]

    @property
    def gap(self) -> float:
        """``upper - lower``."""
        return self.upper - self.lower

    @property
    def relative_gap(self) -> float:
        """Gap over the upper bound; 0 where both bounds are 0."""
        return self.gap / self.upper if self.upper else 0.0

    def rigorous(self) -> Certificate:
        """The same witness with bounds proved in exact and ball arithmetic."""
        if self.level == "rigorous":
            return self
        from ufm.certify.verify import prove

        proof = prove(self._document())
        return replace(self, lower=proof.lower_float, upper=proof.upper_float, level="rigorous")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the witness as JSON with exact rationals, for `recheck`; a file appears whole or not at all.

        Raises
        ------
        InputError
            The file cannot be written.
        """
        from ufm.certify.verify import prove

        content = self._document()
        proof = prove(content)
        content["claim"] = {"lower": proof.lower_text, "upper": proof.upper_text, "width": proof.width}
        target = Path(path)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            partial.write_text(json.dumps(content, indent=None, separators=(",", ":")) + "\n")
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise InputError(f"certificate file {str(path)!r} cannot be written: {error.strerror}") from None

    def _document(self) -> dict[str, object]:
        return document(self.problem, self.program, self.factors, self.shares)


def check_level(level: str) -> str:
    """The level, if it is one that bounds can have."""
    if level not in LEVELS:
        raise InputError(f"level is {level!r}; choose 'float' or 'rigorous'")
    return level
