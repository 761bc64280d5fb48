"""Training of a network: reproducible for a seed, with a checkpoint after every epoch. A value that is NaN stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ufm._arrays import Floats
from ufm.analysis.prediction import Prediction
from ufm.deq.maps.base import Gradients
from ufm.errors import ConvergenceError, InputError, brief
from ufm.training.bodies import Work
from ufm.training.checkpoint import State, fingerprint, resumed, save
from ufm.training.data import Dataset
from ufm.training.evaluation import Row, measured_row, prediction_for
from ufm.training.network import Evaluation, Network
from ufm.training.optimizers import Adam, Optimizer


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of training.

    Attributes
    ----------
    network : Network
    parameters : dict of arrays
    features : (N, d) float64, last-layer features of the training samples
    test_features : (M, d) float64, last-layer features of the test samples
    history : dict of (epochs,) float64, columns as in `train`
    prediction : Prediction or None, the unconstrained-feature optimum for these class sizes and decays
    """

    network: Network
    parameters: Gradients
    features: Floats
    test_features: Floats
    history: dict[str, Floats]
    prediction: Prediction | None

    @property
    def last(self) -> Row:
        """The last row of the history."""
        return {name: float(values[-1]) for name, values in self.history.items()}


@dataclass
class Counter:
    """Work of an epoch.

    Attributes
    ----------
    batches : int, number of batches so far
    work : Work, summed over them
    """

    batches: int = 0
    work: Work = field(default_factory=Work)

    def add(self, work: Work) -> None:
        """Add the work of one batch."""
        self.batches += 1
        self.work = self.work.plus(work)


def train(
    data: Dataset,
    network: Network,
    *,
    optimizer: Optimizer | None = None,
    epochs: int = 100,
    batch: int = 128,
    random_state: int = 0,
    folder: Path | None = None,
    description: dict[str, Any] | None = None,
    last_only: bool = False,
    report: Callable[[Row], None] = lambda row: None,
) -> Trained:
    """Minimise the objective of `ufm.training.network` by stochastic gradients.

    Parameters
    ----------
    data : Dataset
    network : Network
    optimizer : Optimizer or None; None takes Adam
    epochs : int >= 1
    batch : int >= 1, samples per step
    random_state : int >= 0, seed of the initial parameters and of the order of samples in every epoch
    folder : Path or None
        A checkpoint is written there after every epoch, and read at the start if there is one. A run that was interrupted and
        continued gives the same result bit for bit as one that was not (same machine and versions).
    description : dict of JSON values or None
        Stored in the checkpoint with a description of all arguments above; a checkpoint in which either differs is refused.
    last_only : bool
        Measure after the last epoch alone, so that the history has that row only; training is the same and takes a half to two
        thirds of the time. There are no checkpoints then, so that it does not go with a folder.
    report : callable, called with each row of the history, a dict of float

    Returns
    -------
    Trained
        The history has one row per epoch, measured after the epoch on all samples, with the columns ``epoch``, ``objective``
        (regularised), ``loss``, ``train_accuracy``; on the test samples ``accuracy, majority, minority`` (all classes, those of
        the largest and those of the smallest training size); the columns `ufm.training.evaluation.MEASURED`; ``to_theory_*``
        (NaN without a prediction that a network of this width can attain) and ``gap`` (objective minus the certified lower
        bound; NaN without a prediction); ``forward_calls, backward_calls`` (map calls per batch) and ``unsolved`` (samples of
        the epoch whose equilibrium or adjoint did not meet its tolerance).

    Raises
    ------
    ConvergenceError
        A value is no longer finite (the message says which), or an adjoint is not solved.
    InputError
        An argument outside its range, or a checkpoint of another run.
    """
    from threadpoolctl import threadpool_limits

    for name, value in (("epochs", epochs), ("batch", batch)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name} is {value!r}; give a whole number of at least 1")
    if not isinstance(random_state, int) or isinstance(random_state, bool) or random_state < 0:
        raise InputError(f"random_state is {random_state!r}; give a whole number of at least 0")
    if last_only and folder is not None:
        raise InputError(f"last_only goes without checkpoints, but folder is {brief(str(folder))}; leave one of them out")
    optimizer = Adam() if optimizer is None else optimizer
    prediction = prediction_for(data, network)
    identity = fingerprint(data, network, optimizer, epochs, batch, random_state) | ({} if description is None else description)
    with threadpool_limits(1), np.errstate(over="ignore", invalid="ignore"):
        state = resumed(folder, identity, network) or State(network.projected(network.initial(random_state)), {}, [])
        for epoch in range(len(state.rows), epochs):
            counter = Counter()
            state = _epoch(state, data, network, optimizer, epoch, epochs, batch, random_state, counter)
            if last_only and epoch < epochs - 1:
                continue
            state, features, test_features = _measured(state, data, network, epoch, prediction, counter)
            if folder is not None:
                save(folder, state, identity)
            report(state.rows[-1])
            if epoch == epochs - 1:
                return _trained(state, network, features, test_features, prediction)
        features, test_features = (network.features(state.parameters, x)[0] for x in (data.x, data.x_test))
    return _trained(state, network, features, test_features, prediction)


def _trained(state: State, network: Network, features: Floats, test_features: Floats, prediction: Prediction | None) -> Trained:
    history = {name: np.array([row[name] for row in state.rows]) for name in state.rows[0]}
    return Trained(network, state.parameters, features, test_features, history, prediction)


def _epoch(
    state: State,
    data: Dataset,
    network: Network,
    optimizer: Optimizer,
    epoch: int,
    epochs: int,
    batch: int,
    random_state: int,
    counter: Counter,
) -> State:
    """The state after one more epoch, whose work is added to the counter."""
    parameters, memory, total = state.parameters, state.memory, len(data.y)
    order = np.random.default_rng([random_state, 5, epoch]).permutation(total)
    count = -(-total // batch)
    for number in range(count):
        rows = order[number * batch : (number + 1) * batch]
        found = network.evaluate(parameters, data.x[rows], data.y[rows], total)
        _check(found, epoch, number)
        counter.add(found.work)
        progress = (epoch + number / count) / epochs
        parameters, memory = optimizer.step(parameters, found.gradients, memory, progress)
        parameters = network.projected(parameters)
    return State(parameters, memory, state.rows)


def _measured(
    state: State, data: Dataset, network: Network, epoch: int, prediction: Prediction | None, counter: Counter
) -> tuple[State, Floats, Floats]:
    """The state with one more row of the history, and the features of training and test samples."""
    parameters = state.parameters
    features, work = network.features(parameters, data.x)
    test_features, test_work = network.features(parameters, data.x_test)
    if not (np.isfinite(features).all() and np.isfinite(test_features).all()):
        raise ConvergenceError(
            f"training stopped after epoch {epoch + 1}: features are NaN or infinite; lower the learning rate"
        )
    row = measured_row(data, network, parameters, features, test_features, prediction)
    row["epoch"] = epoch + 1.0
    row["forward_calls"] = counter.work.forward / counter.batches
    row["backward_calls"] = counter.work.backward / counter.batches
    row["unsolved"] = float(counter.work.unsolved + work.unsolved + test_work.unsolved)
    return State(parameters, state.memory, [*state.rows, row]), features, test_features


def _check(found: Evaluation, epoch: int, number: int) -> None:
    """Raise ConvergenceError with the name of the first value that is not finite."""
    cause = "" if np.isfinite(found.loss) else "the cross-entropy is not finite"
    if not cause:
        broken = [name for name, g in found.gradients.items() if not np.isfinite(g).all()]
        cause = f"the gradient of {broken[0]} is not finite" if broken else ""
    if not cause and not np.isfinite(found.objective):
        cause = "the decay terms are not finite"
    if cause:
        raise ConvergenceError(
            f"training stopped in epoch {epoch + 1}, batch {number + 1}: {cause}; lower the learning rate, or keep the "
            "equilibrium layer contractive"
        )
