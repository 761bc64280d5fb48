"""The document's problem in exact numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ufm.certify.verify.arithmetic import ZERO, ball, common_denominator, integer, rational, shown, within
from ufm.certify.verify.document import fields, kind, listed
from ufm.certify.verify.penalty import charge
from ufm.errors import InputError

WEIGHTS = Fraction(1e-100), Fraction(1e100)
TEMPERATURES = Fraction(1e-10), Fraction(1e10)
OFFSETS = Fraction(-10000), Fraction(10000)
MAX_SIZE = 2**53
MAX_CLASSES = 2**40
MAX_GROUPS = 640
"""Most groups of classes: 640 have a file of some 27 MB and take some 4 s, or 5 s near the limit of work."""
MAX_DIM = 10**9


class ExactProblem:
    """Class groups, loss, charge and bias decay of a certificate document, checked.

    Attributes
    ----------
    m, n : classes and samples per class of each group
    share : exact weight of the loss of one class of each group; they sum (with m) to one
    temperature, offset : temperature and offset of each group's logits (1 and 0 but for cross-entropy)
    scale_squared : square of the column scale of each group
        The size for decay per sample, a weight of the certificate for features of a fixed norm, else 1.
    floor : smallest target probability, ``smoothing / K``
    bias : decay of the bias, 0 for a free bias, None for no bias
    charge : what the head charges under the regulariser
    smoothing : label smoothing epsilon
    squared : whether the loss is squared error instead of cross-entropy
    plain : whether the loss is ordinary cross-entropy
    dim : feature dimension, or None
    normalised : whether features have a fixed norm, so that the charge is that of a supporting program
    row_squared : weight of one row of each group, by whose roots rows of slopes are divided; None for ones
    allowance : what the lower bound of the program is to be reduced by; zero unless ``normalised``

    Raises
    ------
    InputError
        The document's problem is malformed, or its numbers are outside the ranges that are accepted.
    """

    normalised = False
    allowance = ZERO
    row_squared: list[Fraction] | None = None

    def __init__(self, data: Any) -> None:
        groups, loss, head, regularizer, dim = fields(data, "problem", "groups", "loss", "head", "regularizer", "dim")
        if not 1 <= len(listed(groups, "groups")) <= MAX_GROUPS:
            raise InputError(f"certificate has {len(groups)} groups of classes, where 1 to {MAX_GROUPS} are read")
        pairs = [fields(g, "group", "classes", "size") for g in groups]
        self.m = [integer(classes) for classes, _ in pairs]
        self.n = [integer(size) for _, size in pairs]
        if min(self.m) < 1 or min(self.n) < 1 or max(self.n) > MAX_SIZE or not 2 <= sum(self.m) <= MAX_CLASSES:
            raise InputError("certificate has class sizes that no problem has; save it again")
        self.classes = sum(self.m)
        self._read_loss(loss)
        self.per_sample = False
        self.bias: Fraction | None = None
        self._read_penalty(head, regularizer)
        self.dim = None if dim is None else integer(dim)
        self._refuse()

    def _read_loss(self, loss: Any) -> None:
        groups = len(self.m)
        self.temperature, self.offset, self.smoothing = [Fraction(1)] * groups, [Fraction(0)] * groups, Fraction(0)
        weights = [Fraction(1)] * groups
        self.squared = kind(loss) == "mse"
        self.logistic = kind(loss) == "bce"
        if self.squared or self.logistic:
            fields(loss, "loss", "kind")
        elif kind(loss) == "ce":
            names = ("weights", "temperatures", "offsets")
            _, smoothing, *lists = fields(loss, "loss", "kind", "smoothing", *names)
            read = [listed(values, names[i], groups) for i, values in enumerate(lists)]
            weights = [within(v, *WEIGHTS, "class weight") for v in read[0]]
            self.temperature = [within(v, *TEMPERATURES, "temperature") for v in read[1]]
            self.offset = [within(v, *OFFSETS, "offset") for v in read[2]]
            self.smoothing = rational(smoothing)
            if not 0 <= self.smoothing < 1:
                raise InputError(f"certificate has the smoothing {shown(smoothing)}, which must lie in [0, 1)")
        else:
            raise InputError(f"certificate has an unknown loss {shown(kind(loss))}; save it again")
        for values in (weights, self.temperature, self.offset):
            common_denominator(values)
        mass = sum(self.m[g] * self.n[g] * w for g, w in enumerate(weights))
        self.share = [self.n[g] * w / mass for g, w in enumerate(weights)]
        self.floor = self.smoothing / self.classes
        self.temperature_ball, self.offset_ball = [ball(v) for v in self.temperature], [ball(v) for v in self.offset]
        self.share_ball = [ball(v) for v in self.share]
        neutral = set(weights) == {1} and set(self.temperature) == {1} and set(self.offset) == {0}
        self.plain = neutral and not (self.squared or self.logistic or self.smoothing)

    def _read_penalty(self, head: Any, regularizer: Any) -> None:
        """What the head charges, with the column scale."""
        if kind(regularizer) == "weight_decay":
            self._read_decay(regularizer)
        self.scale_squared: list[Any] = list(self.n) if self.per_sample else [1] * len(self.m)
        self.charge = charge(head, regularizer, self.classes)

    def _read_decay(self, regularizer: dict[str, Any]) -> None:
        features, bias = regularizer.get("features"), regularizer.get("lambda_b")
        if features not in ("per sample", "per class"):
            raise InputError(f"certificate has features decayed {shown(features)}, not 'per sample' or 'per class'")
        self.per_sample = features == "per sample"
        if bias is not None:
            self.bias = rational(bias)
            self._check_bias(bias)

    def _check_bias(self, written: Any) -> None:
        """Refuse a decay of the bias that no problem has."""
        if self.bias and not Fraction(1e-15) <= self.bias <= Fraction(1e15):
            raise InputError(f"certificate has the bias decay {shown(written)}, which must be 0, or 1e-15 to 1e15")

    def _refuse(self) -> None:
        """Refuse dimensions out of range, and combinations of head, loss and bias that no problem has."""
        if self.dim is not None and not 1 <= self.dim <= MAX_DIM:
            raise InputError(f"certificate has dim={self.dim}, which must lie between 1 and {MAX_DIM}")
        if not self.charge.columns:
            return
        if self.bias is not None or not self.plain:
            raise InputError("certificate has a bias or a loss that its head does not go with; save it again")
        needed = self.classes if self.charge.nonnegative else self.classes - 1
        if self.dim is not None and self.dim < needed:
            raise InputError(f"certificate has dim={self.dim} for a head that needs dim >= {needed}")
