"""SGD with momentum, and Adam. An optimizer is an immutable set of options; its memory is a separate dict of arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import cos, pi
from numbers import Real

import numpy as np

from ufm._adam import adam
from ufm.deq.maps.base import Gradients
from ufm.errors import InputError

SCHEDULES = ("cosine", "constant")


@dataclass(frozen=True, kw_only=True)
class Optimizer(ABC):
    """The base class of optimizers.

    Parameters
    ----------
    learning_rate : float > 0, at the start of training
    schedule : "cosine" (the learning rate falls to 1 % at the end of training) or "constant"

    Raises
    ------
    InputError
        An option outside its range.
    """

    learning_rate: float = 0.01
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        if not (isinstance(self.learning_rate, Real) and 0 < float(self.learning_rate) < 1e6):
            raise InputError(f"learning_rate is {self.learning_rate!r}; give a positive number such as 0.01")
        if self.schedule not in SCHEDULES:
            raise InputError(f"schedule is {self.schedule!r}; choose one of {', '.join(SCHEDULES)}")

    def learning_rate_at(self, progress: float) -> float:
        """Learning rate after a share ``progress`` of the training, in [0, 1]."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + cos(pi * progress)))

    @abstractmethod
    def step(
        self, parameters: Gradients, gradients: Gradients, memory: Gradients, progress: float
    ) -> tuple[Gradients, Gradients]:
        """One step.

        Parameters
        ----------
        parameters : dict of arrays
        gradients : dict of arrays, in the shapes of the parameters
        memory : dict of arrays, as the last step returned it; empty at the start
        progress : float in [0, 1), share of the training that is over

        Returns
        -------
        tuple of dict of arrays
            The new parameters and the new memory.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """SGD with momentum: ``v <- momentum v + gradient``, ``theta <- theta - learning_rate v``.

    Parameters
    ----------
    learning_rate : float > 0, at the start of training
    schedule : "cosine" or "constant", see `Optimizer`
    momentum : float in [0, 1)

    Raises
    ------
    InputError
        An option outside its range.
    """

    learning_rate: float = 0.1
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum is {self.momentum!r}; it must lie in [0, 1)")

    def step(
        self, parameters: Gradients, gradients: Gradients, memory: Gradients, progress: float
    ) -> tuple[Gradients, Gradients]:
        rate = self.learning_rate_at(progress)
        velocity = {n: self.momentum * memory[n] + g if memory else g for n, g in gradients.items()}
        return {n: parameters[n] - rate * velocity[n] for n in parameters}, velocity


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """Adam with bias correction (Kingma & Ba 2015; locator unknown). Options: see `Optimizer`.

    Weight decay is part of the objective and enters through its gradient; it is not decoupled as in AdamW.
    """

    def step(
        self, parameters: Gradients, gradients: Gradients, memory: Gradients, progress: float
    ) -> tuple[Gradients, Gradients]:
        rate = self.learning_rate_at(progress)
        count = int(memory["count"]) + 1 if memory else 1
        new: Gradients = {"count": np.array(float(count))}
        moved: Gradients = {}
        for n, g in gradients.items():
            means = (memory[f"first.{n}"], memory[f"second.{n}"]) if memory else None
            direction, (new[f"first.{n}"], new[f"second.{n}"]) = adam(g, means, count, 1e-8)
            moved[n] = parameters[n] - rate * direction
        return moved, new


OPTIMIZERS = {"adam": Adam, "sgd": SGD}
