"""The document's problem in exact numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ufm.certify.verify.arithmetic import ball, integer, positive, rational
from ufm.certify.verify.penalty import charge
from ufm.errors import InputError

MAX_SIZE = 2**53
MAX_CLASSES = 2**40


class ExactProblem:
    """Class groups, loss, charge and bias decay.

    m, n : classes and samples per class of each group
    share : exact weight of the loss of one class of each group; they sum (with m) to one
    warm, offset : temperature and offset of each group's logits (1 and 0 but for cross-entropy)
    smoothing : label smoothing epsilon
    squared : whether the loss is squared error instead of cross-entropy
    """

    def __init__(self, data: dict[str, Any]) -> None:
        self.m = [integer(g["classes"]) for g in data["groups"]]
        self.n = [integer(g["size"]) for g in data["groups"]]
        if not self.m or min(self.m) < 1 or min(self.n) < 1 or max(self.n) > MAX_SIZE or not 2 <= sum(self.m) <= MAX_CLASSES:
            raise InputError("certificate has class sizes that no problem has; save it again")
        groups = len(self.m)
        self.total = sum(m * n for m, n in zip(self.m, self.n, strict=True))
        self.classes = sum(self.m)
        self._read_loss(data["loss"], groups)
        regularizer = data["regularizer"]
        self.charge = charge(data["head"], regularizer, self.classes)
        self.per_sample = False
        self.bias: Fraction | None = None
        if regularizer["kind"] == "weight_decay":
            self.per_sample = {"per sample": True, "per class": False}[regularizer["features"]]
            if regularizer["lambda_b"] is not None:
                self.bias = rational(regularizer["lambda_b"])
                if self.bias < 0:
                    raise InputError("certificate has a negative bias decay; save it again")
        if self.charge.columns and (self.bias is not None or not self.plain):
            raise InputError("certificate has a bias or a loss that its head does not go with; save it again")
        self.scale_squared = list(self.n) if self.per_sample else [1] * groups
        self.dim = data["dim"]
        if self.charge.nonnegative and self.dim is not None and integer(self.dim) < self.classes:
            raise InputError(f"certificate has dim={self.dim} for non-negative features, which need dim >= {self.classes}")

    def _read_loss(self, loss: dict[str, Any], groups: int) -> None:
        self.warm, self.offset, self.smoothing = [Fraction(1)] * groups, [Fraction(0)] * groups, Fraction(0)
        weights = [Fraction(1)] * groups
        self.squared = {"mse": True, "ce": False}[loss["kind"]]
        if not self.squared:
            weights, self.warm = ([positive(v) for v in loss[name]] for name in ("weights", "temperatures"))
            self.offset = [rational(v) for v in loss["offsets"]]
            self.smoothing = rational(loss["smoothing"])
            if not {len(weights), len(self.warm), len(self.offset)} == {groups} or not 0 <= self.smoothing < 1:
                raise InputError("certificate has a loss that does not fit its classes; save it again")
        mass = sum(m * n * w for m, n, w in zip(self.m, self.n, weights, strict=True))
        self.share = [n * w / mass for n, w in zip(self.n, weights, strict=True)]
        self.floor = self.smoothing / self.classes
        self.warm_ball, self.offset_ball = [ball(v) for v in self.warm], [ball(v) for v in self.offset]
        self.share_ball = [ball(v) for v in self.share]

    @property
    def plain(self) -> bool:
        """Whether the loss is ordinary cross-entropy."""
        uniform = all(s * self.total == n for s, n in zip(self.share, self.n, strict=True))
        return not self.squared and uniform and not self.smoothing and not any(self.offset) and set(self.warm) == {1}
