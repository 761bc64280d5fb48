"""The settings of one training run, as the command line, the comparison and sweeps give them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import metadata
from numbers import Real
from platform import python_version
from typing import Any

import numpy as np

import ufm
from ufm._arrays import check_whole
from ufm.errors import InputError, brief
from ufm.targets.counts import ClassCounts, long_tailed, step_imbalanced
from ufm.training.bodies import MAPS, Equilibrium, Stack
from ufm.training.data import DATA, DIGITS_TEST, Dataset, check_digits
from ufm.training.memory import refuse_too_large
from ufm.training.network import Decay, Network
from ufm.training.optimizers import OPTIMIZERS, Optimizer

MODELS = ("deq", "explicit")
LARGEST = {"mixture": 500, "digits": 100}
"""Training samples of the largest class, where none is given."""
DECAYS = {"mixture": (1e-2, 1e-4), "digits": (2e-2, 2.5e-4)}
"""Decays of classifier and features, where none are given; with them theory has minority collapse at the largest ratios."""
RATES = {"adam": 0.01, "sgd": 0.1}
OPTIONS = {"learning_rate": "rate", "random_state": "seed"}
"""Parameters with a shorter name on the command line, in the file of a sweep and in JSON."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a training run.

    Parameters
    ----------
    model : "deq" or "explicit"
    data : "mixture" or "digits"
    classes : (KA, KB), numbers of majority and minority classes
    ratio : float >= 1, R, largest over smallest class size
    tail : bool, sizes fall geometrically over all KA + KB classes instead of in one step
    largest : int or None, samples of the largest class; None takes 500 for mixture, 100 for digits
    map : "tanh", "relu", "linear" or "monotone"
        Kind of equilibrium layer; the explicit stack takes its activation and number of parameters.
    width : int >= 1, feature dimension d
    contraction : float in (0, 1) or None, bound on ``||W||_2`` of the equilibrium layer
    decay : (lambda_W, lambda_H) or None
        Half convention, features per sample; None takes (1e-2, 1e-4) for mixture, (2e-2, 2.5e-4) for digits. With a feature
        norm (lambda_W,) alone, since decay has no effect on such features.
    feature_norm : float > 0 or None
        Norm to which last-layer features are scaled before the classifier; None leaves them as they are.
    body, encoder, jacobian : float >= 0, further decays, see `ufm.training.network.Decay`
    optimizer : "adam" or "sgd"
    learning_rate : float > 0 or None; None takes 0.01 for adam, 0.1 for sgd
    epochs, batch : int >= 1
    random_state : int >= 0, seed of data, initial parameters and order of samples

    Raises
    ------
    InputError
        A setting outside its range, class sizes that the data do not have, or a run that needs too much memory.

    Examples
    --------
    >>> str(Settings(data="digits", classes=(3, 7), ratio=50).counts)
    '100*3,2*7'
    """

    model: str = "deq"
    data: str = "mixture"
    classes: tuple[int, int] = (5, 5)
    ratio: float = 10.0
    tail: bool = False
    largest: int | None = None
    map: str = "tanh"
    width: int = 64
    contraction: float | None = 0.9
    decay: tuple[float, float] | None = None
    body: float = 0.0
    encoder: float = 0.0
    jacobian: float = 0.0
    optimizer: str = "adam"
    learning_rate: float | None = None
    epochs: int = 100
    batch: int = 128
    random_state: int = 0
    feature_norm: float | None = None

    def __post_init__(self) -> None:
        for name, options in (("model", MODELS), ("data", tuple(DATA)), ("map", MAPS), ("optimizer", tuple(OPTIMIZERS))):
            if not isinstance(getattr(self, name), str) or getattr(self, name) not in options:
                raise InputError(f"{name} is {brief(getattr(self, name))}; choose one of {', '.join(options)}")
        if not isinstance(self.tail, bool):
            raise InputError(f"tail is {brief(self.tail)}; give True or False")
        if self.feature_norm is not None:
            object.__setattr__(self, "feature_norm", _number("feature_norm", self.feature_norm))
            self._check_decay_of_classifier()
        defaults = {"largest": LARGEST[self.data], "learning_rate": RATES[self.optimizer], "decay": DECAYS[self.data]}
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("width", "epochs", "batch", "largest"):
            object.__setattr__(self, name, check_whole(name, getattr(self, name), 1, 2**63))
        object.__setattr__(self, "random_state", check_whole("random_state", self.random_state, 0, 2**63))
        for name in ("ratio", "body", "encoder", "jacobian", "learning_rate"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if self.contraction is not None:
            object.__setattr__(self, "contraction", _number("contraction", self.contraction))
        pairs = (("classes", lambda n, v: check_whole(n, v, 1, 2**63)), ("decay", _number))
        for name, kind in pairs:
            value = getattr(self, name)
            if not isinstance(value, tuple | list) or len(value) != 2:
                raise InputError(f"{name} is {brief(value)}; give two numbers")
            object.__setattr__(self, name, tuple(kind(name, v) for v in value))
        if self.model == "explicit" and self.jacobian:
            raise InputError(f"jacobian is {self.jacobian:g}, but model 'explicit' has no equilibrium layer; leave it out")
        assert self.largest is not None
        if not 1 <= self.ratio <= self.largest:
            raise InputError(f"ratio is {self.ratio:g}; it must lie between 1 and the largest class size {self.largest}")
        Equilibrium(self.map, self.contraction)  # checked for explicit networks too: their file holds it
        refuse_too_large(self)
        if self.data == "digits":
            check_digits(self.counts, DIGITS_TEST)
        # These are built here so that invalid settings are refused before anything is trained.
        assert self.counts.classes
        assert self.network(1).decay
        assert self.make_optimizer()

    def _check_decay_of_classifier(self) -> None:
        """Features of a fixed norm have no decay: one number is asked for, and 0 stands for that of features."""
        value: Any = DECAYS[self.data][:1] if self.decay is None else self.decay
        if not isinstance(value, tuple | list) or len(value) not in (1, 2) or (len(value) == 2 and value[1] != 0):
            raise InputError(
                f"decay is {brief(value)}; with a feature norm decay has no effect on features, so give one number, that of "
                "the classifier"
            )
        object.__setattr__(self, "decay", (value[0], 0.0))

    @cached_property
    def counts(self) -> ClassCounts:
        """Class sizes, in training samples."""
        majority, minority = self.classes
        assert self.largest is not None
        if self.tail:
            return long_tailed(majority + minority, largest=self.largest, ratio=self.ratio)
        smallest = max(1, round(self.largest / self.ratio))
        return step_imbalanced(majority=majority, minority=minority, n_majority=self.largest, n_minority=smallest)

    def dataset(self) -> Dataset:
        """The samples. They depend on the random state, and not on the model."""
        return DATA[self.data](self.counts, random_state=self.random_state)

    def network(self, inputs: int) -> Network:
        """The network for inputs of dimension ``inputs``."""
        assert self.decay is not None
        body = Equilibrium(self.map, self.contraction) if self.model == "deq" else Stack(self.map)
        weight, features = self.decay
        decay = Decay(classifier=weight, features=features, body=self.body, encoder=self.encoder, jacobian=self.jacobian)
        return Network(inputs, self.width, self.counts.classes, body, decay, self.feature_norm)

    def make_optimizer(self) -> Optimizer:
        """The optimizer with its learning rate."""
        assert self.learning_rate is not None
        return OPTIMIZERS[self.optimizer](learning_rate=self.learning_rate)

    @classmethod
    def from_options(cls, **options: Any) -> Settings:
        """Settings by the names on the command line, in the file of a sweep and in JSON (`OPTIONS` has those that differ).

        Raises
        ------
        InputError
            As for `Settings`; the message has the name of the option.

        Examples
        --------
        >>> Settings.from_options(seed=3, rate=0.1).random_state
        3
        """
        names = {option: name for name, option in OPTIONS.items()}
        try:
            return cls(**{names.get(option, option): value for option, value in options.items()})
        except InputError as error:
            text = str(error)
            for name, option in OPTIONS.items():
                text = text.replace(f"{name} is", f"{option} is")
            raise InputError(text) from None

    def describe(self) -> dict[str, Any]:
        """The settings as a dict of JSON values, by the names on the command line."""
        found = asdict(self) | {"classes": list(self.classes), "decay": list(self.decay or ())}
        return {OPTIONS.get(name, name): value for name, value in found.items()}

    def __str__(self) -> str:
        norm = "" if self.feature_norm is None else f"-norm{self.feature_norm:g}"
        shape = f"{self.classes[0]}-{self.classes[1]}" + ("-tail" if self.tail else "")
        return f"{self.data}-{shape}-R{self.ratio:g}-{self.map}-{self.model}{norm}-s{self.random_state}"


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real | np.floating):
        raise InputError(f"{name} is {brief(value)}; give a number")
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{name} is {brief(value)}; give a number that float64 holds") from None


def versions() -> dict[str, str]:
    """Versions of the software that a result depends on, by name."""
    found = {"ufm": ufm.__version__, "python": python_version(), "numpy": metadata.version("numpy")}
    with suppress(metadata.PackageNotFoundError):
        found["scikit-learn"] = metadata.version("scikit-learn")
    return found
