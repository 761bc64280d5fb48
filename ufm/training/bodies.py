"""The body of a network, between encoder and classifier: an equilibrium layer, or a stack with equally many parameters.

A body maps hidden states (B, d) to features (B, d) and propagates gradients back. Its parameters are a flat dict of arrays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.deq.adjoints import Adjoint, AdjointMap, Implicit
from ufm.deq.bounds import lengths
from ufm.deq.fixed_point import Anderson, FixedPoint, FixedPointStats, FixedPointStatus, Method, PeacemanRachford
from ufm.deq.maps import AffineLayer, Layer, LinearLayer, MonotoneLayer
from ufm.deq.maps.activations import activation
from ufm.deq.maps.base import Gradients
from ufm.errors import InputError

EQUILIBRIUM, GRADIENT = 1e-5, 1e-4
"""Relative tolerances of equilibria and of adjoints in training."""
MAPS = ("tanh", "relu", "linear", "monotone")


class Work(NamedTuple):
    """Work of one or several batches.

    Attributes
    ----------
    forward : int, calls of the layer's map
    backward : int, vector-Jacobian products
    unsolved : int, samples whose equilibrium or adjoint did not meet its tolerance
    """

    forward: int = 0
    backward: int = 0
    unsolved: int = 0

    def plus(self, other: Work) -> Work:
        """The sum of both, entry by entry."""
        return Work(*(a + b for a, b in zip(self, other, strict=True)))


BodyPullback = Callable[[Floats], tuple[Floats, Gradients, Work]]


class Body(ABC):
    """A map from hidden states to features, with parameters.

    Attributes
    ----------
    sigma : str, name of the activation
    """

    sigma: str

    @abstractmethod
    def initial(self, width: int, rng: np.random.Generator) -> Gradients:
        """Random parameters of a body of this width d: a dict of arrays."""
        ...

    @abstractmethod
    def forward(self, parameters: Gradients, hidden: Floats) -> tuple[Floats, Work, BodyPullback]:
        """Features of a batch, and the function that propagates gradients back.

        Parameters
        ----------
        parameters : dict of arrays
        hidden : (B, d) float64, hidden states

        Returns
        -------
        tuple
            The features, (B, d); the work done; and a function of ``dL/dfeatures``, (B, d), that returns ``dL/dhidden``,
            (B, d), the gradients by the parameters (a dict of arrays) and the work done.
        """
        ...

    def projected(self, parameters: Gradients) -> Gradients:
        """The nearest parameters that satisfy the constraint of the body, such as a bound on ``||W||_2``."""
        return parameters

    def penalty(self, parameters: Gradients, hidden: Floats, features: Floats) -> tuple[float, Floats, Floats, Gradients]:
        """The Jacobian-norm penalty ``1/(2B) sum_i ||J_i||_F^2`` of an equilibrium layer, with its gradients.

        Parameters
        ----------
        parameters : dict of arrays
        hidden : (B, d) float64, hidden states
        features : (B, d) float64, equilibria

        Returns
        -------
        tuple
            The penalty; its gradients by the features, (B, d), and by the hidden states, (B, d); and a dict of its gradients
            by the parameters.

        Raises
        ------
        InputError
            The body is not an equilibrium layer.
        """
        raise InputError("the Jacobian-norm penalty belongs to equilibrium layers; leave it out for model 'explicit'")


@dataclass(frozen=True)
class Equilibrium(Body):
    """A deep equilibrium layer.

    Parameters
    ----------
    map : "tanh", "relu", "linear" or "monotone"
    contraction : float in (0, 1) or None
        Bound on ``||W||_2``, kept by projection after every step. With None W is free; there may then be several equilibria,
        or none is found. Monotone layers ignore it.
    method : Method or None
        Solves for equilibria. None takes Anderson (Peaceman-Rachford for monotone layers) with rtol 1e-5; linear layers are
        solved directly.
    adjoint : Adjoint or None
        Solves for gradients. None takes the same method with rtol 1e-4, far below the noise of a batch.

    Raises
    ------
    InputError
        Another map, or a contraction outside (0, 1).
    """

    map: str = "tanh"
    contraction: float | None = 0.9
    method: Method | None = None
    adjoint: Adjoint | None = None

    def __post_init__(self) -> None:
        if self.map not in MAPS:
            raise InputError(f"map is {self.map!r}; choose one of {', '.join(MAPS)}")
        if self.contraction is not None and not 0 < self.contraction < 1:
            raise InputError(f"contraction is {self.contraction!r}; give a bound on ||W||_2 in (0, 1) such as 0.9, or None")

    @property
    def sigma(self) -> str:  # type: ignore[override]
        """Name of the activation."""
        return "relu" if self.map == "monotone" else self.map

    def initial(self, width: int, rng: np.random.Generator) -> Gradients:
        if self.map == "monotone":
            return MonotoneLayer.initial(width, width, rng).parameters
        return self.projected(AffineLayer.initial(width, width, rng, sigma=self.sigma).parameters)

    def layer(self, parameters: Gradients) -> Layer:
        """The layer with these parameters."""
        if self.map == "monotone":
            return MonotoneLayer(**parameters)  # type: ignore[arg-type]
        if self.map == "linear":
            return LinearLayer(**parameters)  # type: ignore[arg-type]
        return AffineLayer(**parameters, sigma=self.sigma)

    @property
    def _usual(self) -> Method:
        if self.map == "monotone":
            return PeacemanRachford(rtol=EQUILIBRIUM)
        return Anderson(rtol=EQUILIBRIUM, max_calls=1000, delay=10)

    def solve(self, layer: Layer, hidden: Floats) -> FixedPoint:
        """Equilibria for a batch of hidden states, (B, d), started from zero; ``value`` of the result is (B, d)."""
        start = np.zeros((len(hidden), layer.width))
        if self.method is not None:
            return self.method(layer.at(hidden), start)
        if isinstance(layer, LinearLayer):
            return _direct(layer.solve(hidden), layer.at(hidden).value)
        return self._usual(layer.at(hidden), start)

    def forward(self, parameters: Gradients, hidden: Floats) -> tuple[Floats, Work, BodyPullback]:
        layer = self.layer(parameters)
        found = self.solve(layer, hidden)
        # One more application of the layer: mixed iterates need not lie in the range of sigma (>= 0 after a ReLU).
        features = found.value if isinstance(layer, LinearLayer) else layer.at(hidden).value(found.value)

        def pullback(slope: Floats) -> tuple[Floats, Gradients, Work]:
            rows = self.pull_back(layer, hidden, features, slope)
            failed = int(np.count_nonzero(~rows.converged))
            by_hidden, gradients = layer.pull(features, hidden, rows.value)
            return by_hidden, gradients, Work(0, rows.stats.calls, failed)

        return features, Work(found.stats.calls + 1, 0, int(np.count_nonzero(~found.converged))), pullback

    def pull_back(self, layer: Layer, hidden: Floats, features: Floats, slope: Floats) -> FixedPoint:
        """Solve the adjoint system ``g = v + g J`` at the equilibria.

        Parameters
        ----------
        layer : Layer
        hidden : (B, d) float64, hidden states
        features : (B, d) float64, equilibria
        slope : (B, d) float64, the rows ``v = dL/dfeatures``

        Returns
        -------
        FixedPoint
            ``value`` has the rows g, (B, d).
        """
        if self.adjoint is None and isinstance(layer, LinearLayer):
            return _direct(layer.solve_adjoint(slope), AdjointMap(slope, layer.at(hidden).linearised(features)).value)
        adjoint = self.adjoint
        if adjoint is None:
            adjoint = Implicit(method=replace(self._usual, rtol=GRADIENT))
        return adjoint(layer.at(hidden), features, slope)

    def projected(self, parameters: Gradients) -> Gradients:
        if self.contraction is None or self.map == "monotone":
            return parameters
        return self.layer(parameters).projected(self.contraction).parameters

    def penalty(self, parameters: Gradients, hidden: Floats, features: Floats) -> tuple[float, Floats, Floats, Gradients]:
        layer = self.layer(parameters)
        assert isinstance(layer, AffineLayer)
        return layer.jacobian_penalty(features, hidden)


@dataclass(frozen=True)
class Stack(Body):
    """An explicit stack of fully connected layers ``h <- sigma(W h [+ b])``, a bias in the last layer only.

    Two layers have exactly as many parameters as a tanh, ReLU or linear equilibrium layer (``2 d^2 + d``), three as many as a
    monotone one (``3 d^2 + d``).

    Parameters
    ----------
    map : "tanh", "relu", "linear" or "monotone", the kind of equilibrium layer whose activation and size it takes

    Raises
    ------
    InputError
        Another map.
    """

    map: str = "tanh"

    def __post_init__(self) -> None:
        if self.map not in MAPS:
            raise InputError(f"map is {self.map!r}; choose one of {', '.join(MAPS)}")

    @property
    def sigma(self) -> str:  # type: ignore[override]
        """Name of the activation."""
        return "relu" if self.map == "monotone" else self.map

    @property
    def depth(self) -> int:
        """Number of layers."""
        return 3 if self.map == "monotone" else 2

    def initial(self, width: int, rng: np.random.Generator) -> Gradients:
        size = np.sqrt(2.0 / width) if self.sigma == "relu" else np.sqrt(1.0 / width)
        weights = {f"weight{k}": size * rng.standard_normal((width, width)) for k in range(self.depth)}
        return {**weights, "bias": np.zeros(width)}

    def forward(self, parameters: Gradients, hidden: Floats) -> tuple[Floats, Work, BodyPullback]:
        act, states = activation(self.sigma), [hidden]
        for k in range(self.depth):
            raw = states[-1] @ parameters[f"weight{k}"].T
            if k == self.depth - 1:
                raw += parameters["bias"]
            states.append(act.apply(raw, raw))

        def pullback(slope: Floats) -> tuple[Floats, Gradients, Work]:
            gradients: Gradients = {}
            for k in reversed(range(self.depth)):
                mass = slope * act.slope(states[k + 1])
                gradients[f"weight{k}"] = mass.T @ states[k]
                if k == self.depth - 1:
                    gradients["bias"] = mass.sum(axis=0)
                slope = mass @ parameters[f"weight{k}"]
            return slope, gradients, Work(0, self.depth)

        return states[-1], Work(self.depth), pullback


def _direct(value: Floats, function: Callable[[Floats], Floats]) -> FixedPoint:
    """A direct solution as a `FixedPoint`, with its residuals."""
    f = function(value)
    size, scale = lengths(f - value), lengths(f)
    relative = np.divide(size, scale, out=np.zeros_like(size), where=scale > 0)
    met = relative <= EQUILIBRIUM
    status = FixedPointStatus.CONVERGED if met.all() else FixedPointStatus.STAGNATED
    return FixedPoint(value, status, FixedPointStats(1, len(value)), size, relative, met, np.array([relative.max()]))
