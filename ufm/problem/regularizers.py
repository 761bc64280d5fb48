"""Regularisers of weights and features: decay, or budgets on their norms."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isfinite, nan, sqrt
from numbers import Real
from typing import Any, Protocol

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError

LARGEST_LOGIT = 200.0
"""Logits (nats) beyond which the loss is too small for float64 arithmetic to certify."""


def _strength(owner: object, name: str) -> float:
    """The field as a float, stored as such; NaN where it is not a finite number (the caller then raises)."""
    value = getattr(owner, name)
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else nan
    except OverflowError:
        number = nan
    if isfinite(number):
        object.__setattr__(owner, name, number)
    return number if isfinite(number) else nan


def check_regularizer(value: object) -> None:
    """Refuse what is no regulariser.

    Raises
    ------
    InputError
        The value is none.
    """
    if not isinstance(value, WeightDecay | NormBudget | ClassifierDecay | NoDecay):
        raise InputError(
            f"regularizer is {value!r}; give WeightDecay(...) or NormBudget(...), ClassifierDecay(...) with the head "
            "layernorm, or NoDecay() with the head cosine"
        )


def _check_bias(owner: Any) -> None:
    """Refuse a decay on the bias that is negative, not finite, or out of range."""
    if owner.bias is not None and not _strength(owner, "bias") >= 0:
        raise InputError(f"decay on bias is {owner.bias!r}: give a finite number >= 0, or leave the bias out")
    if owner.bias and not 1e-15 <= owner.bias <= 1e15:
        raise InputError(f"decay on bias is {owner.bias!r}: give 0 for a free bias, leave it out for none, or 1e-15 .. 1e15")


class Regularizer(Protocol):
    """The interface of regularisers."""

    def column_scale(self, sizes: Floats) -> Floats:
        """Column scale ``s_k`` of the penalty, (G,), for classes of these sizes (G,)."""
        ...

    def balance(self) -> float:
        """Ratio ``||W||_F^2 / ||H S||_F^2`` at an optimum of the explicit head."""
        ...

    def bias_decay(self) -> float | None:
        """Decay ``lambda_b`` on the bias (half convention); 0 is a free bias, None is no bias."""
        ...

    def certificate(self) -> dict[str, object]:
        """The regulariser's entry in a saved certificate: plain JSON values, numbers as exact rationals in text."""
        ...


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
        Lagrangian form of `NormBudget` (Fang et al., PNAS 2021, eq. 1). On balanced classes of size n, ``lh`` per sample is
        the same as ``n lh`` per class.

    Raises
    ------
    InputError
        A decay that is not finite and positive (with zero decay cross-entropy has no minimiser: it falls as logits grow
        without bound), or decays whose product or ratio is beyond float64.

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
        _check_bias(self)
        if not 1e-300 < self.mu < 1e300 or not 1e-150 < self.weight / self.features < 1e150:
            raise InputError(
                f"decays {self.weight!r} and {self.features!r} have a product or ratio beyond float64; bring them closer to 1"
            )

    @property
    def mu(self) -> float:
        """``sqrt(lambda_W lambda_H)``, price of a singular value of ``Z S`` under the explicit head of one layer."""
        product = self.weight * self.features
        return sqrt(product) if 1e-280 < product < 1e280 else sqrt(self.weight) * sqrt(self.features)

    def column_scale(self, sizes: Floats) -> Floats:
        """(G,) ``sqrt(n_k)`` for classes of these sizes (G,), or ones for decay per class."""
        return np.ones(len(sizes)) if self.per_class else np.sqrt(sizes)

    def balance(self) -> float:
        """Ratio ``||W||_F^2 / ||H S||_F^2`` at an optimum of the explicit head: ``lambda_H / lambda_W``."""
        return self.features / self.weight

    def bias_decay(self) -> float | None:
        """``lambda_b`` (half convention); 0 is a free bias, None is no bias."""
        return self.bias

    def certificate(self) -> dict[str, object]:
        """The regulariser's entry in a saved certificate, numbers as exact rationals."""
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
class ClassifierDecay:
    r"""``lw/2 ||W||_F^2 [+ lb/2 ||b||^2]`` beside the mean loss, for heads whose features have a fixed norm (`LayerNorm`).

    Parameters
    ----------
    weight : float > 0
        ``lambda_W`` (half convention).
    bias : float >= 0 or None
        ``lambda_b``; 0 is a free bias, None (default) is no bias at all.

    Raises
    ------
    InputError
        A decay that is not finite and positive, or beyond what float64 can certify.

    Examples
    --------
    >>> print(ClassifierDecay(5e-4))
    decay 0.0005
    """

    weight: float
    bias: float | None = None

    def __post_init__(self) -> None:
        value = _strength(self, "weight")
        if not value > 0:
            why = "with zero decay there is no minimiser, the loss falls forever as logits grow; " if value == 0 else ""
            raise InputError(f"decay on weight is {self.weight!r}: {why}give a finite positive number such as 5e-4")
        _check_bias(self)

    def column_scale(self, sizes: Floats) -> Floats:
        """(G,) ones: features have no price, whatever the class sizes (G,)."""
        return np.ones(len(sizes))

    def balance(self) -> float:
        """Ratio ``||W||_F^2 / ||H S||_F^2`` at an optimum, for the column scale S of a supporting program: ``1 / lw^2``."""
        return 1.0 / self.weight / self.weight

    def bias_decay(self) -> float | None:
        """``lambda_b`` (half convention); 0 is a free bias, None is no bias."""
        return self.bias

    def certificate(self) -> dict[str, object]:
        """The regulariser's entry in a saved certificate, numbers as exact rationals."""
        bias = None if self.bias is None else str(Fraction(self.bias))
        return {"kind": "classifier_decay", "lambda_W": str(Fraction(self.weight)), "lambda_b": bias}

    def __str__(self) -> str:
        return f"decay {self.weight:g}" + ("" if self.bias is None else f", bias {self.bias:g}")


@dataclass(frozen=True)
class NoDecay:
    """No decay, no budget and no bias: for heads whose features and classifiers have fixed norms (`Cosine`).

    Examples
    --------
    >>> print(NoDecay())
    no decay
    """

    def column_scale(self, sizes: Floats) -> Floats:
        """(G,) ones, whatever the class sizes (G,)."""
        return np.ones(len(sizes))

    def balance(self) -> float:
        """One: norms are fixed."""
        return 1.0

    def bias_decay(self) -> None:
        """None: there is no bias."""
        return

    def certificate(self) -> dict[str, object]:
        """The regulariser's entry in a saved certificate."""
        return {"kind": "no_decay"}

    def __str__(self) -> str:
        return "no decay"


@dataclass(frozen=True)
class NormBudget:
    r"""``(1/K) ||W||_F^2 <= E_W`` and ``(1/K) sum_k (1/n_k) sum_i ||h_ki||^2 <= E_H`` (Fang et al., PNAS 2021, eq. 1).

    Parameters
    ----------
    weight, features : float > 0
        ``E_W`` and ``E_H``, mean squared norms per class.

    Raises
    ------
    InputError
        A budget that is not finite and positive, or budgets whose product or ratio is beyond float64.

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
        """``K c gain``, the largest nuclear norm of logits that the budgets allow.

        Parameters
        ----------
        n_classes : int, K
        gain : float, factor by which the head enlarges features

        Returns
        -------
        float

        Raises
        ------
        InputError
            The budgets allow logits beyond `LARGEST_LOGIT`.
        """
        radius = n_classes * self.c * gain
        self.check_logit(radius / (n_classes - 1))
        return radius

    def check_logit(self, logit: float) -> None:
        """Refuse budgets that allow logits as large as ``logit`` where this is more than `LARGEST_LOGIT`.

        Raises
        ------
        InputError
            It is more.
        """
        if not logit <= LARGEST_LOGIT:
            raise InputError(
                f"{self} lets logits grow to {logit:.3g} with this head, beyond what float64 arithmetic can certify "
                "(200); lower the budgets, or the head's own"
            )

    def column_scale(self, sizes: Floats) -> Floats:
        """(G,) ones: a budget counts every class once, whatever its size (G,)."""
        return np.ones(len(sizes))

    def balance(self) -> float:
        """Ratio ``||W||_F^2 / ||H||_F^2`` at an optimum of the explicit head: ``E_W / E_H``."""
        return self.weight / self.features

    def bias_decay(self) -> None:
        """None: with norm budgets there is no bias."""
        return

    def certificate(self) -> dict[str, object]:
        """The regulariser's entry in a saved certificate, numbers as exact rationals."""
        return {"kind": "norm_budget", "E_W": str(Fraction(self.weight)), "E_H": str(Fraction(self.features))}

    def __str__(self) -> str:
        return f"budget {self.weight:g},{self.features:g}"
