"""Activations of equilibrium layers: value, and derivatives as functions of the value. All are 1-Lipschitz."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError


class Activation(NamedTuple):
    """An activation ``t = sigma(a)``, applied entry by entry.

    Attributes
    ----------
    name : str
    apply : callable (a, out) -> out, writes sigma(a) into ``out``, which may be ``a`` itself
    slope : callable, sigma'(a) from the values t, in their shape
    bend : callable, sigma''(a) from the values t, in their shape
    """

    name: str
    apply: Callable[[Floats, Floats], Floats]
    slope: Callable[[Floats], Floats]
    bend: Callable[[Floats], Floats]


def _identity(a: Floats, out: Floats) -> Floats:
    if out is not a:
        out[...] = a
    return out


def _tanh(a: Floats, out: Floats) -> Floats:
    return np.tanh(a, out=out)


def _relu(a: Floats, out: Floats) -> Floats:
    return np.maximum(a, 0.0, out=out)


_ALL = (
    Activation("tanh", _tanh, lambda t: 1.0 - t * t, lambda t: -2.0 * t * (1.0 - t * t)),
    Activation("relu", _relu, lambda t: (t > 0.0).astype(np.float64), np.zeros_like),
    Activation("linear", _identity, np.ones_like, np.zeros_like),
)
ACTIVATIONS = {entry.name: entry for entry in _ALL}


def activation(name: str) -> Activation:
    """The activation of this name: "tanh", "relu" or "linear".

    Raises
    ------
    InputError
        An unknown name.
    """
    if name not in ACTIVATIONS:
        raise InputError(f"activation is {name!r}; choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
