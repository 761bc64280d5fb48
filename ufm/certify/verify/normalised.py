"""Certificates of heads with features of a fixed norm, in exact and ball arithmetic.

For weights ``omega_k > 0`` and slopes Y with ``||Delta Y diag(pi) Omega^{-1/2}||_2 <= 1`` (after scaling) the optimum is at
least ``sum_k pi_k d_k(y_k) - norm^2 / (2 lambda_W) sum_k omega_k`` (docs/theory, Propositions 12.3 and 12.4). It is at most the
loss at explicit W and H plus ``lambda_W / 2 |W|^2 max_k |h_k|^2 / norm^2``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from flint import arb

from ufm.certify.verify.arithmetic import ZERO, ball, dyadic, positive, power_of_two, rational, shown, total, within
from ufm.certify.verify.document import fields, kind, listed
from ufm.certify.verify.penalty import Linear
from ufm.certify.verify.problem import ExactProblem
from ufm.errors import InputError

NORMS = Fraction(1e-31), Fraction(1e31)
EFFECTIVE = Fraction(1e-21), Fraction(1e21)


class ExactNormalised(ExactProblem):
    """The problem that a document states, with the supporting program that its weights make.

    Attributes
    ----------
    effective : Fraction, ``lambda_W / norm^2``
    allowance : arb, ``sum_k omega_k / (2 effective)``
    """

    normalised = True

    def __init__(self, data: Any, weights: Any) -> None:
        self._inverse = weights
        super().__init__(data)

    def _read_penalty(self, head: Any, regularizer: Any) -> None:
        if kind(head) != "layer_norm" or kind(regularizer) != "classifier_decay":
            raise InputError("certificate has a head or a regularizer that does not go with weights; save it again")
        _, norm = fields(head, "head", "kind", "norm")
        _, decay, bias = fields(regularizer, "regularizer", "kind", "lambda_W", "lambda_b")
        self.effective = positive(decay) / within(norm, *NORMS, "norm of features") ** 2
        if not EFFECTIVE[0] < self.effective < EFFECTIVE[1]:
            raise InputError("certificate has a decay and a norm that no problem has; save it again")
        if bias is not None:
            self.bias = rational(bias)
            self._check_bias(bias)
        values, exponent = dyadic(self._inverse)
        inverse = listed(values, "weights", len(self.m))
        if any(isinstance(v, list) or v <= 0 for v in inverse):
            raise InputError(f"certificate has a weight {shown(None)} that is not positive, so it proves nothing")
        unit = Fraction(2) ** exponent
        self.scale_squared = [1 / (v * unit) for v in inverse]
        self.allowance = total(m * ball(w) for m, w in zip(self.m, self.scale_squared, strict=True)) / ball(2 * self.effective)
        self.charge = Linear(arb(1), False)


def normalised_price(
    problem: ExactNormalised, contrast: list[arb], left: tuple[list[Any], int], right: tuple[list[Any], int]
) -> arb:
    """``effective / 2 |W|^2 max_k |h_k|^2`` at W and features of norm near one, whose product are the logits.

    Parameters
    ----------
    problem : ExactNormalised
    contrast : list of G arb, contrasts of the logits; those of W and H share it as the weights say
    left, right : integers of the parts of W (G x r) and H (r x G) that groups share, each with its binary exponent

    Returns
    -------
    arb
    """
    m, effective = problem.m, ball(problem.effective)
    scale = [ball(w).sqrt() for w in problem.scale_squared]
    rows, columns = left[0], right[0]
    shared = sum(m[g] * sum(v * v for v in row) for g, row in enumerate(rows))
    weight = arb(shared) * power_of_two(2 * left[1])
    weight += total((m[g] - 1) * scale[g] * abs(x) / effective for g, x in enumerate(contrast))
    longest = ZERO
    for g, x in enumerate(contrast):
        square = arb(sum(row[g] ** 2 for row in columns)) * power_of_two(2 * right[1])
        longest = longest.max(square + (m[g] - 1) * effective * abs(x) / (m[g] * scale[g]))
    return effective / 2 * weight * longest
