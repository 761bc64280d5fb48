"""Certificates of tables whose features have a fixed norm, in exact and ball arithmetic.

For weights ``omega_m > 0`` of the contexts and slopes Y' with ``||Y' diag(pi) Omega^{-1/2}||_2 <= 1`` (after scaling) the
optimum is at least ``sum_m pi_m d_m(y'_m) - norm^2 / (2 lambda_W) sum_m omega_m``. It is at most the loss at explicit W and H
plus ``lambda_W / 2 |W|^2 max_m |h_m|^2 / norm^2`` (docs/theory, Proposition 12.13).
"""

from __future__ import annotations

from typing import Any

from flint import arb

from ufm.certify.verify.arithmetic import ball, power_of_two, rational, total
from ufm.certify.verify.normalised import fixed_norm, written_weights
from ufm.certify.verify.penalty import Linear
from ufm.certify.verify.table import ExactTable


class ExactNormalisedTable(ExactTable):
    """The problem that a table's document states, with the supporting program that its weights make.

    Attributes
    ----------
    effective : Fraction, ``lambda_W / norm^2``
    allowance : arb, ``sum_m omega_m / (2 effective)``
    """

    normalised = True

    def __init__(self, data: Any, weights: Any) -> None:
        self._inverse = weights
        super().__init__(data)

    def _read_penalty(self, head: Any, regularizer: Any) -> None:
        self.effective, bias = fixed_norm(head, regularizer)
        if bias is not None:
            self.bias = rational(bias)
            self._check_bias(bias)
        self.scale_squared = [1 / w for w in written_weights(self._inverse, len(self.n))]
        self.allowance = total(ball(w) for w in self.scale_squared) / ball(2 * self.effective)
        self.linear = Linear(arb(1), False)

    def price(self, left: tuple[list[Any], int], right: tuple[list[Any], int]) -> arb:
        """``effective / 2 |W|^2 max_m |h_m|^2`` at W and features near norm one, whose product are the logits.

        Parameters
        ----------
        left, right : integers of W (K x r) and of the features (r x M), each with its binary exponent

        Returns
        -------
        arb
        """
        weight = sum(v * v for row in left[0] for v in row)
        longest = max(sum(row[m] ** 2 for row in right[0]) for m in range(len(self.n)))
        return ball(self.effective / 2) * arb(weight * longest) * power_of_two(2 * (left[1] + right[1]))
