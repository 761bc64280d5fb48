"""A certificate: bounds on the optimum, their level, and the witness that proves them (docs/theory, Propositions 2.3, 2.8)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ufm._files import write_text
from ufm.certify.table_witness import table_document
from ufm.certify.witness import document
from ufm.errors import InputError
from ufm.spectral.program import Factors, LogitProgram

if TYPE_CHECKING:
    from ufm.problem.problem import Problem


@dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """``lower <= optimum <= upper``.

    Attributes
    ----------
    lower, upper : float
        Bounds on the optimal value over all widths ``>= width`` (the lower bound: over all widths).
    level : str
        ``"float"``: float64 with a-priori rounding terms; ``"rigorous"``: exact rationals and ball arithmetic.
    problem, program, factors, slopes
        What the claim is about, and its witness: factors for the upper bound, dual slopes for the lower bound, (G + 1, G) as
        in `ufm.certify.primal_dual.Bounds`.

    Raises
    ------
    InputError
        Bounds that are not finite, or a lower bound above the upper one.
    """

    lower: float
    upper: float
    level: str
    problem: Problem
    program: LogitProgram
    factors: Factors
    slopes: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not (isfinite(self.lower) and isfinite(self.upper) and self.lower <= self.upper):
            raise InputError(
                f"bounds {self.lower!r} and {self.upper!r} are no certificate: they must be finite and in order; "
                "the problem is beyond what this level of arithmetic can bound"
            )

    @property
    def gap(self) -> float:
        """``upper - lower``."""
        return self.upper - self.lower

    @property
    def relative_gap(self) -> float:
        """Gap over the upper bound; 0 where both bounds are 0."""
        return self.gap / self.upper if self.upper else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The claim as plain values for JSON; `save` writes the witness that proves it."""
        return {
            "lower": float(self.lower),
            "upper": float(self.upper),
            "gap": float(self.gap),
            "relative_gap": float(self.relative_gap),
            "level": self.level,
            "problem": str(self.problem),
        }

    def __repr__(self) -> str:
        bounds = f"{float(self.lower)!r} <= optimum <= {float(self.upper)!r}, gap={self.gap:.2g}, level={self.level!r}"
        return f"Certificate({bounds}, {self.problem.shape})"

    def rigorous(self) -> Certificate:
        """The same witness with bounds proved in exact and ball arithmetic.

        Raises
        ------
        InputError
            The head or the loss is unknown to the independent verifier, or the witness proves nothing there.
        """
        if self.level == "rigorous":
            return self
        check_verified(self.problem)
        from ufm.certify.verify import prove

        proof = prove(self.document())
        return replace(self, lower=proof.lower_float, upper=proof.upper_float, level="rigorous")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the witness as JSON with exact rationals, for `recheck`; the file is written completely or not at all.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        InputError
            The file cannot be written, or the head or the loss is unknown to the independent verifier.
        """
        check_verified(self.problem)
        from ufm.certify.verify import prove

        content = self.document()
        proof = prove(content)
        content["claim"] = {"lower": proof.lower_text, "upper": proof.upper_text, "width": proof.width}
        write_text(path, json.dumps(content, separators=(",", ":")) + "\n", "certificate file")

    def document(self) -> dict[str, object]:
        """The problem and the witness in exact numbers, as saved (without the claim)."""
        make = table_document if self.problem.tabular else document
        return make(self.problem, self.program, self.factors, self.slopes)  # type: ignore[arg-type]


def check_verified(problem: Problem) -> None:
    """Raise an error if the independent verifier does not know the problem's head or loss.

    Raises
    ------
    InputError
        The head or the loss is not `verified`.
    """
    for what, part in (("head", problem.head), ("loss", problem.loss)):
        if not part.verified:
            raise InputError(
                f"{what} {part} is not known to the independent verifier, so it has no rigorous or saved certificate; use "
                "level 'float', or state it in ufm/certify/verify too"
            )
