r"""The independent verifier: bounds from a certificate document by exact rationals and ball arithmetic alone.

It imports nothing of this package but the error type, and trusts no number in the document but the problem itself:
probabilities must be non-negative integers whose columns sum to the denominator *exactly*, the operator norm is bounded
by an exactly evaluated residual, and logarithms, exponentials and roots are Arb balls.

The theory that it applies, for a mean loss over samples with column losses ``l_k(Delta z_k)``:

* for any slopes Y in the domain of the conjugates, ``f(Z) >= sum_k pi_k d_k(y_k) + <G, Z S>`` with
  ``G = Delta Y diag(pi) S^{-1}`` and ``d = -l^*``: entropy for cross-entropy (Y = P - T), ``-|y|^2/2 - y_k`` for squares;
* decay: for every t in [0, 1] with ``t ||G||_2 <= mu_eff`` the optimum is at least ``t D(Y) + (1 - t) D(0)``, because D is
  concave and ``t Y`` feasible; bias decay lb subtracts ``t^2 ||Delta Y pi||^2 / (2 lb)``; the best t is taken;
* budgets: the optimum is at least ``D(Y) - radius ||G||_2``;
* concave charges: a singular value that alone costs more than a proved upper bound cannot occur in an optimum, and up to
  there the chord lies below the charge; squared error without bias splits into scalar problems;
* non-negative features: if distinct columns of Y have non-positive inner products, the largest column norm of G takes the
  place of ``||G||_2``;
* features of a fixed norm: decay with the scales that the document's weights state, less what these allow the price to be
  (`ufm.certify.verify.normalised`);
* tables of targets: the same with slopes Y' = Q - Y against exact targets Y (`ufm.certify.verify.table`,
  `ufm.certify.verify.table_normalised`);
* the optimum is at most the objective at explicit factors; under budgets, factors outside the ball are scaled into it.

Proofs: docs/theory, Propositions 2.3 to 2.14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flint import arb

from ufm.certify.verify.arithmetic import ball, decimal, integer, outward, rational, shown, toward, working_precision
from ufm.certify.verify.document import AmbiguousError, fields, read
from ufm.certify.verify.lower import Lower, lower_bound
from ufm.certify.verify.normalised import ExactCosine, ExactNormalised
from ufm.certify.verify.penalty import Linear
from ufm.certify.verify.problem import ExactProblem
from ufm.certify.verify.table import ExactTable, table_lower, table_upper
from ufm.certify.verify.table_normalised import ExactNormalisedTable
from ufm.certify.verify.upper import Upper, upper_bound
from ufm.errors import InputError

FORMAT = "ufm-certificate/2"
MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RecursionError, MemoryError)

__all__ = [
    "FORMAT",
    "MALFORMED",
    "AmbiguousError",
    "ExactProblem",
    "Linear",
    "Lower",
    "Proof",
    "Upper",
    "ball",
    "fields",
    "integer",
    "lower_bound",
    "outward",
    "prove",
    "rational",
    "read",
    "stated_problem",
    "upper_bound",
    "working_precision",
]


@dataclass(frozen=True)
class Proof:
    """Proved bounds on the optimum.

    Attributes
    ----------
    lower : arb, a ball whose lower end is a lower bound on the optimum over every width
    upper : arb, a ball whose upper end is an upper bound on the optimum over each width of at least ``width``
    width : int, feature dimensions of the factors
    """

    lower: arb
    upper: arb
    width: int

    @property
    def lower_float(self) -> float:
        """A float64 not above the proved lower bound."""
        return toward(self.lower, -1)

    @property
    def upper_float(self) -> float:
        """A float64 not below the proved upper bound."""
        return toward(self.upper, +1)

    @property
    def lower_text(self) -> str:
        """A decimal not above the proved lower bound, 30 significant digits."""
        return decimal(self.lower, -1)

    @property
    def upper_text(self) -> str:
        """A decimal not below the proved upper bound, 30 significant digits."""
        return decimal(self.upper, +1)


def prove(document: dict[str, Any]) -> Proof:
    """Bounds that the document's witness proves.

    Parameters
    ----------
    document : dict, a certificate as read from JSON

    Returns
    -------
    Proof

    Raises
    ------
    InputError
        The document is malformed, states no problem, or its witness proves nothing.
    """
    try:
        with working_precision():
            return _prove(document)
    except MALFORMED as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"certificate is malformed ({type(error).__name__}: {str(error)[:200]}); save it again") from None


def _prove(document: dict[str, Any]) -> Proof:
    more = [name for name in ("weights", "rows", "claim") if isinstance(document, dict) and name in document]
    version, stated, primal, dual, *_ = fields(document, "document", "format", "problem", "primal", "dual", *more)
    if version != FORMAT:
        raise InputError(f"certificate has format {shown(version)}; this version reads {FORMAT!r}")
    if isinstance(stated, dict) and "table" in stated and "rows" not in document:
        table = ExactNormalisedTable(stated, document["weights"]) if "weights" in document else ExactTable(stated)
        above, width = table_upper(table, primal)
        return _ordered(table_lower(table, dual), above, width)
    problem = stated_problem(document)
    upper = upper_bound(problem, primal)
    return _ordered(lower_bound(problem, dual, upper.value).value, upper.value, upper.width)


def stated_problem(document: dict[str, Any]) -> ExactProblem:
    """The problem with class sizes that a document states; with its weights, the supporting program of fixed feature norms.

    Raises
    ------
    InputError
        The problem is malformed, or has weights where its head takes none (or none where it needs them).
    """
    stated = document["problem"]
    if "rows" in document:
        return ExactCosine(stated, document.get("weights"), document["rows"])
    return ExactNormalised(stated, document["weights"]) if "weights" in document else ExactProblem(stated)


def _ordered(lower: arb, upper: arb, width: int) -> Proof:
    """The proof, if its bounds are finite and in order."""
    if not (upper - lower).is_finite():
        raise InputError("certificate's bounds are not finite, so it proves nothing")
    if lower > upper:
        raise InputError("certificate's lower bound exceeds its upper bound, so its problem or its witness is inconsistent")
    return Proof(lower, upper, width)
