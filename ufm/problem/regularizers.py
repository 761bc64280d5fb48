"""How weights and features are regularised: decay, or budgets on their norms."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite, nan, sqrt
from numbers import Real
from typing import Protocol

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError

LARGEST_LOGIT = 200.0


def _strength(owner: object, name: str) -> float:
    """The field as a float, stored as such; NaN where it is no finite number (the caller then says what is wrong)."""
    value = getattr(owner, name)
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else nan
    except OverflowError:
        number = nan
    if isfinite(number):
        object.__setattr__(owner, name, number)
    return number if isfinite(number) else nan


class Regularizer(Protocol):
    """What a problem asks of a regulariser."""

    def column_scale(self, sizes: Floats) -> Floats: ...
    def balance(self) -> float: ...
    def bias_decay(self) -> float | None: ...
    def certificate(self) -> dict[str, object]: ...


@dataclass(frozen=True)
class WeightDecay:
    r"""``lw/2 ||W||_F^2 + lh/2 sum_i ||h_i||^2 [+ lb/2 ||b||^2]``: half convention, beside the *mean* loss over samples.

    Parameters
    ----------
    weight, features : float > 0
        ``lambda_W`` and ``lambda_H``; features are penalised sample by sample.
    bias : float >= 0 or None
        ``lambda_b``; 0 is a free bias, None (default) is no bias at all.
    per_class : bool
        Penalise the mean squared feature norm of each class instead, ``lh/2 sum_k (1/n_k) sum_i ||h_ki||^2``: the
        Lagrangian form of `NormBudget` (Fang et al. 2021). The same on balanced classes after ``lh -> lh / n``.

    Raises
    ------
    InputError
        Decay that is not finite and positive: with zero decay the loss has no minimiser, it decreases forever as the
        logits grow.

    Examples
    --------
    >>> round(WeightDecay(1e-3, 4e-3).mu, 15)
    0.002
    """

    weight: float
    features: float
    bias: float | None = None
    per_class: bool = False

    def __post_init__(self) -> None:
        for name in ("weight", "features"):
            value = _strength(self, name)
            if not value > 0:
                why = "with zero decay there is no minimiser, the loss falls forever as logits grow; " if value == 0 else ""
                raise InputError(f"decay on {name} is {getattr(self, name)!r}: {why}give a finite positive number such as 5e-4")
        if self.bias is not None and not _strength(self, "bias") >= 0:
            raise InputError(f"decay on bias is {self.bias!r}: give a finite number >= 0, or leave the bias out")
        if self.bias and not 1e-15 <= self.bias <= 1e15:
            raise InputError(f"decay on bias is {self.bias!r}: give 0 for a free bias, leave it out for none, or 1e-15 .. 1e15")
        if not 1e-300 < self.mu < 1e300 or not 1e-150 < self.weight / self.features < 1e150:
            raise InputError(
                f"decays {self.weight!r} and {self.features!r} have a product or ratio beyond float64; bring them closer to 1"
            )

    @property
    def mu(self) -> float:
        """``sqrt(lambda_W lambda_H)``."""
        product = self.weight * self.features
        return sqrt(product) if 1e-280 < product < 1e280 else sqrt(self.weight) * sqrt(self.features)

    def column_scale(self, sizes: Floats) -> Floats:
        """(n,) float64 for class sizes of shape (n,): ``sqrt(n_k)``, or 1 for decay per class."""
        return np.ones(len(sizes)) if self.per_class else np.sqrt(sizes)

    def balance(self) -> float:
        """``|W|^2 / |H|^2`` at an optimum: ``lambda_H / lambda_W``."""
        return self.features / self.weight

    def bias_decay(self) -> float | None:
        """``lambda_b`` or None."""
        return self.bias

    def certificate(self) -> dict[str, object]:
        """The regulariser's part of a saved certificate, numbers as exact rationals."""
        return {
            "kind": "weight_decay",
            "lambda_W": str(Fraction(self.weight)),
            "lambda_H": str(Fraction(self.features)),
            "lambda_b": None if self.bias is None else str(Fraction(self.bias)),
            "features": "per class" if self.per_class else "per sample",
        }

    def __str__(self) -> str:
        bias = "" if self.bias is None else f",{self.bias:g}"
        return f"decay {self.weight:g},{self.features:g}{bias}" + (" per class" if self.per_class else "")


@dataclass(frozen=True)
class NormBudget:
    r"""``(1/K) ||W||_F^2 <= E_W`` and ``(1/K) sum_k (1/n_k) sum_i ||h_ki||^2 <= E_H`` (Fang et al., PNAS 2021, eq. 1).

    Parameters
    ----------
    weight, features : float > 0
        ``E_W`` and ``E_H``.

    Raises
    ------
    InputError
        A budget that is not finite and positive.

    Examples
    --------
    >>> NormBudget(4.0, 9.0).c
    6.0
    """

    weight: float
    features: float

    def __post_init__(self) -> None:
        for name in ("weight", "features"):
            value = _strength(self, name)
            if not value > 0:
                raise InputError(f"budget on {name} is {getattr(self, name)!r}: give a finite positive number such as 1 or 5")
        if not 1e-150 < self.c < 1e150 or not 1e-150 < self.weight / self.features < 1e150:
            raise InputError(
                f"budgets {self.weight!r} and {self.features!r} have a product or ratio beyond float64; bring them closer to 1"
            )

    @property
    def c(self) -> float:
        """``sqrt(E_W E_H)``."""
        return (
            sqrt(self.weight) * sqrt(self.features) if self.weight * self.features == 0 else sqrt(self.weight * self.features)
        )

    def radius(self, n_classes: int, gain: float = 1.0) -> float:
        """``K c gain``, the nuclear norm that the budgets allow.

        Raises
        ------
        InputError
            Logits so large that the loss falls below 1e-80, where float64 arithmetic proves nothing.
        """
        radius = n_classes * self.c * gain
        self.check_logit(radius / (n_classes - 1))
        return radius

    def check_logit(self, logit: float) -> None:
        """Refuse budgets that let logits grow beyond `LARGEST_LOGIT`.

        Raises
        ------
        InputError
            They do.
        """
        if not logit <= LARGEST_LOGIT:
            raise InputError(
                f"{self} lets logits grow to {logit:.3g} with this head, beyond what float64 arithmetic can certify "
                "(200); lower the budgets, or the head's own"
            )

    def column_scale(self, sizes: Floats) -> Floats:
        """(n,) ones for class sizes of shape (n,): a budget counts every class once, whatever its size."""
        return np.ones(len(sizes))

    def balance(self) -> float:
        """``|W|^2 / |H|^2`` at an optimum: ``E_W / E_H``."""
        return self.weight / self.features

    def bias_decay(self) -> None:
        """No bias."""
        return

    def certificate(self) -> dict[str, object]:
        """The regulariser's part of a saved certificate, numbers as exact rationals."""
        return {"kind": "norm_budget", "E_W": str(Fraction(self.weight)), "E_H": str(Fraction(self.features))}

    def __str__(self) -> str:
        return f"budget {self.weight:g},{self.features:g}"
