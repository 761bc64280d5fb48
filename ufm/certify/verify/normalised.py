"""Certificates of heads with features of a fixed norm, in exact and ball arithmetic.

For weights ``omega_k > 0`` and slopes Y with ``||Delta Y diag(pi) Omega^{-1/2}||_2 <= 1`` (after scaling) the optimum is at
least ``sum_k pi_k d_k(y_k) - norm^2 / (2 lambda_W) sum_k omega_k`` (docs/theory, Propositions 12.3 and 12.4). It is at most the
loss at explicit W and H plus ``lambda_W / 2 |W|^2 max_k |h_k|^2 / norm^2``.

Where classifiers have a norm too (cosines), for weights of rows and columns the optimum is at least ``sum_k pi_k d_k(y_k)``
less ``scale sqrt(sum upsilon) sqrt(sum omega) ||diag(upsilon)^{-1/2} Delta Y diag(pi) Omega^{-1/2}||_2``, and at most the loss
at factors inside the norms (Propositions 12.10 and 12.11).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from flint import arb

from ufm.certify.verify.arithmetic import ZERO, ball, dyadic, positive, power_of_two, rational, total, within
from ufm.certify.verify.document import fields, kind, listed
from ufm.certify.verify.penalty import Linear
from ufm.certify.verify.problem import ExactProblem
from ufm.errors import InputError

NORMS = Fraction(1e-31), Fraction(1e31)
SCALES = Fraction(1e-7), Fraction(201)
MOST = 10**6
"""Largest ratio of a contrast's part in W or in the features and their product."""
EFFECTIVE = Fraction(1e-21), Fraction(1e21)


def fixed_norm(head: Any, regularizer: Any) -> tuple[Fraction, Any]:
    """The effective decay ``lambda_W / norm^2`` and the decay of the bias, as written, of features of a fixed norm.

    Raises
    ------
    InputError
        Another head or regulariser, or numbers that no problem has.
    """
    if kind(head) != "layer_norm" or kind(regularizer) != "classifier_decay":
        raise InputError("certificate has a head or a regularizer that does not go with weights; save it again")
    _, norm = fields(head, "head", "kind", "norm")
    _, decay, bias = fields(regularizer, "regularizer", "kind", "lambda_W", "lambda_b")
    effective = positive(decay) / within(norm, *NORMS, "norm of features") ** 2
    if not EFFECTIVE[0] < effective < EFFECTIVE[1]:
        raise InputError("certificate has a decay and a norm that no problem has; save it again")
    return effective, bias


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
        self.effective, bias = fixed_norm(head, regularizer)
        if bias is not None:
            self.bias = rational(bias)
            self._check_bias(bias)
        self.scale_squared = [1 / w for w in written_weights(self._inverse, len(self.m))]
        self.allowance = total(m * ball(w) for m, w in zip(self.m, self.scale_squared, strict=True)) / ball(2 * self.effective)
        self.charge = Linear(arb(1), False)


class ExactCosine(ExactProblem):
    """A problem with classifiers and features of fixed norms, with the program that its weights make.

    Attributes
    ----------
    norm : Fraction, the scale of the cosines
    """

    normalised = True

    def __init__(self, data: Any, weights: Any, rows: Any) -> None:
        self._inverse, self._rows = weights, rows
        super().__init__(data)

    def _read_penalty(self, head: Any, regularizer: Any) -> None:
        if kind(head) != "cosine" or kind(regularizer) != "no_decay":
            raise InputError("certificate has a head or a regularizer that does not go with weights of rows; save it again")
        fields(regularizer, "regularizer", "kind")
        _, scale = fields(head, "head", "kind", "scale")
        self.norm = within(scale, *SCALES, "scale of cosines")
        self.scale_squared = [1 / w for w in written_weights(self._inverse, len(self.m))]
        self.row_squared = written_weights(self._rows, len(self.m))
        columns = total(m * ball(w) for m, w in zip(self.m, self.scale_squared, strict=True))
        rows = total(m * ball(w) for m, w in zip(self.m, self.row_squared, strict=True))
        self.charge = Linear(ball(self.norm) * (columns * rows).sqrt(), True)


def written_weights(data: Any, groups: int) -> list[Fraction]:
    """Positive dyadic numbers, one for each group of classes or context.

    Raises
    ------
    InputError
        The numbers are malformed, too many or too few, or not positive.
    """
    values, exponent = dyadic(data)
    written = listed(values, "weights", groups)
    if any(isinstance(v, list) or v <= 0 for v in written):
        raise InputError("certificate has a weight that is not positive, so it proves nothing")
    return [v * Fraction(2) ** exponent for v in written]


def cosine_gauge(
    problem: ExactCosine, contrast: tuple[list[int], int], left: tuple[list[Any], int], right: tuple[list[Any], int]
) -> arb:
    """``max_j |w_j| max_k |h_k| / scale``: where it exceeds one, logits divided by it have factors inside the norms.

    On contrasts x, the square of W's singular value is ``(scale^2 - |left|^2) m / (m - 1)``, within a factor of a million of
    ``|x|`` either way, and that of the features ``x^2`` over it.

    Parameters
    ----------
    problem : ExactCosine
    contrast, left, right : integers of the factors, each with its binary exponent

    Returns
    -------
    arb
    """
    two, highest, longest = Fraction(2), Fraction(0), Fraction(0)
    for g, m in enumerate(problem.m):
        x = abs(contrast[0][g]) * two ** contrast[1]
        row = sum(v * v for v in left[0][g]) * two ** (2 * left[1])
        feature = sum(line[g] ** 2 for line in right[0]) * two ** (2 * right[1])
        if x:
            room = (problem.norm**2 - row) * m / (m - 1)
            square = min(max(room, x / MOST), x * MOST)
            row += square * (m - 1) / m
            feature += x**2 / square * (m - 1) / m
        highest, longest = max(highest, row), max(longest, feature)
    return ball(highest * longest).sqrt() / ball(problem.norm)


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
