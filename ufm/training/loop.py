"""Train a network, epoch by epoch: deterministic by seed, checkpointed after every epoch, stopped with its cause by a NaN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ufm._arrays import Floats
from ufm.analysis.prediction import Prediction
from ufm.deq.maps.base import Gradients
from ufm.errors import ConvergenceError, InputError
from ufm.training.bodies import Work
from ufm.training.checkpoint import State, fingerprint, resumed, save
from ufm.training.data import Dataset
from ufm.training.evaluation import Row, measured_row, prediction_for
from ufm.training.network import Evaluation, Network
from ufm.training.optimizers import Adam, Optimizer


@dataclass(frozen=True, eq=False)
class Trained:
    """What training ended with.

    network : Network
    parameters : dict of arrays
    features, test_features : (N, d) last-layer features of training and test samples
    history : dict of (epochs,) float64, names as in `train`
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
    """Work of an epoch: sums over its batches."""

    batches: int = 0
    work: Work = field(default_factory=Work)

    def add(self, work: Work) -> None:
        """One batch more."""
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
    report: Callable[[Row], None] = lambda row: None,
) -> Trained:
    """Minimise the regularised loss of `ufm.training.network` by stochastic gradients.

    Parameters
    ----------
    data : Dataset
    network : Network
    optimizer : Optimizer, Adam by default
    epochs, batch : int
    random_state : int, of initial parameters and of the order of samples in every epoch
    folder : Path or None
        Where a checkpoint is written after every epoch, and read at the start if there is one: an interrupted run continues
        to bit for bit the same end (same machine and versions).
    description : dict, JSON, kept in the checkpoint beside a fingerprint of everything above; where either differs, the
        checkpoint is refused
    report : callable, given each row of the history

    Returns
    -------
    Trained
        Columns of the history, one row per epoch, measured after it on all samples: ``epoch``, ``objective`` (regularised),
        ``loss``, ``train_accuracy``; on the test samples ``accuracy, majority, minority`` (classes of the largest and of the
        smallest training size); `MEASURED`; ``to_theory_*`` (NaN where the prediction is none that a network of this width
        can attain) and ``gap`` (objective minus the certified lower bound; NaN without a prediction); ``forward_calls,
        backward_calls`` (map calls per batch) and ``unsolved`` (samples whose equilibrium or adjoint missed its tolerance,
        over the epoch).

    Raises
    ------
    ConvergenceError
        A value is no longer finite (with its cause), or an adjoint is not solved.
    InputError
        A checkpoint of another run.
    """
    from threadpoolctl import threadpool_limits

    for name, value in (("epochs", epochs), ("batch", batch)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name} is {value!r}; give a whole number of at least 1")
    if not isinstance(random_state, int) or isinstance(random_state, bool) or random_state < 0:
        raise InputError(f"random_state is {random_state!r}; give a whole number of at least 0")
    optimizer = Adam() if optimizer is None else optimizer
    prediction = prediction_for(data, network)
    identity = fingerprint(data, network, optimizer, epochs, batch, random_state) | ({} if description is None else description)
    with threadpool_limits(1), np.errstate(over="ignore", invalid="ignore"):
        state = resumed(folder, identity, network) or State(network.projected(network.initial(random_state)), {}, [])
        for epoch in range(len(state.rows), epochs):
            state, features, test_features = _epoch(
                state, data, network, optimizer, epoch, epochs, batch, random_state, prediction
            )
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
    prediction: Prediction | None,
) -> tuple[State, Floats, Floats]:
    """The state after one more epoch, and the features there."""
    parameters, memory, total = state.parameters, state.memory, len(data.y)
    order = np.random.default_rng([random_state, 5, epoch]).permutation(total)
    counter = Counter()
    count = -(-total // batch)
    for number in range(count):
        rows = order[number * batch : (number + 1) * batch]
        found = network.evaluate(parameters, data.x[rows], data.y[rows], total)
        _check(found, epoch, number)
        counter.add(found.work)
        progress = (epoch + number / count) / epochs
        parameters, memory = optimizer.step(parameters, found.gradients, memory, progress)
        parameters = network.projected(parameters)
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
    return State(parameters, memory, [*state.rows, row]), features, test_features


def _check(found: Evaluation, epoch: int, number: int) -> None:
    """Stop at the first value that is not finite, and name it."""
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
