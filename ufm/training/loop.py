"""Train a network, epoch by epoch: deterministic by seed, checkpointed after every epoch, stopped with its cause by a NaN."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.analysis.prediction import Prediction, predict
from ufm.deq.maps.base import Gradients
from ufm.errors import ConvergenceError, InputError, brief
from ufm.metrics.network import measure
from ufm.problem import Explicit, Problem, ReLU, WeightDecay
from ufm.training.archive import read_arrays, write_arrays
from ufm.training.bodies import Work
from ufm.training.data import Dataset, Labels
from ufm.training.network import Evaluation, Network
from ufm.training.optimizers import Adam, Optimizer

CHECKPOINT = "checkpoint.npz"
MEASURED = (
    "nc1", "nc2", "nc2_means", "nc3", "self_duality", "nc4",
    "cos_majority", "cos_minority", "cos_cross", "cos_majority_means", "cos_minority_means",
)  # fmt: skip
"""Columns taken from `ufm.measure` on the training features."""

Row = dict[str, float]


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


class _State(NamedTuple):
    """Everything that the next epoch depends on."""

    parameters: Gradients
    memory: Gradients
    rows: list[Row]


@dataclass
class Counter:
    """Work of an epoch: sums over its batches."""

    batches: int = 0
    work: Work = field(default_factory=Work)

    def add(self, work: Work) -> None:
        """One batch more."""
        self.batches += 1
        self.work = self.work.plus(work)


def prediction_for(data: Dataset, network: Network) -> Prediction | None:
    """The unconstrained-feature model of a network: features >= 0 after a ReLU, free otherwise. None without both decays."""
    decay = network.decay
    if not (decay.classifier and decay.features):
        return None
    nonnegative = network.body.sigma == "relu" and network.width >= data.counts.classes
    head = ReLU() if nonnegative else Explicit()
    regularizer = WeightDecay(decay.classifier, decay.features)
    found = predict(Problem(data.counts, regularizer=regularizer, head=head, dim=network.width))
    # In fewer than K dimensions no features >= 0 reach the signed model's optimum: its bound holds, its geometry says nothing.
    return found if head.columns or network.body.sigma != "relu" else replace(found, certified=False)


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
    identity = _fingerprint(data, network, optimizer, epochs, batch, random_state) | (
        {} if description is None else description
    )
    with threadpool_limits(1), np.errstate(over="ignore", invalid="ignore"):
        state = _resumed(folder, identity, network) or _State(network.projected(network.initial(random_state)), {}, [])
        for epoch in range(len(state.rows), epochs):
            state, features, test_features = _epoch(
                state, data, network, optimizer, epoch, epochs, batch, random_state, prediction
            )
            if folder is not None:
                _save(folder, state, identity)
            report(state.rows[-1])
            if epoch == epochs - 1:
                return _trained(state, network, features, test_features, prediction)
        features, test_features = (network.features(state.parameters, x)[0] for x in (data.x, data.x_test))
    return _trained(state, network, features, test_features, prediction)


def _fingerprint(
    data: Dataset, network: Network, optimizer: Optimizer, epochs: int, batch: int, random_state: int
) -> dict[str, Any]:
    """What a checkpoint must agree with."""
    digest = hashlib.sha256()
    for array in (data.x, data.y, data.x_test, data.y_test):
        digest.update(np.ascontiguousarray(array).tobytes())
    return {
        "network": repr(network),
        "optimizer": repr(optimizer),
        "epochs": epochs,
        "batch": batch,
        "seed": random_state,
        "samples": digest.hexdigest(),
    }


def _trained(
    state: _State, network: Network, features: Floats, test_features: Floats, prediction: Prediction | None
) -> Trained:
    history = {name: np.array([row[name] for row in state.rows]) for name in state.rows[0]}
    return Trained(network, state.parameters, features, test_features, history, prediction)


def _epoch(
    state: _State,
    data: Dataset,
    network: Network,
    optimizer: Optimizer,
    epoch: int,
    epochs: int,
    batch: int,
    random_state: int,
    prediction: Prediction | None,
) -> tuple[_State, Floats, Floats]:
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
    row = _row(data, network, parameters, features, test_features, prediction)
    row["epoch"] = epoch + 1.0
    row["forward_calls"] = counter.work.forward / counter.batches
    row["backward_calls"] = counter.work.backward / counter.batches
    row["unsolved"] = float(counter.work.unsolved + work.unsolved + test_work.unsolved)
    return _State(parameters, memory, [*state.rows, row]), features, test_features


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


def _row(
    data: Dataset, network: Network, parameters: Gradients, z: Floats, z_test: Floats, prediction: Prediction | None
) -> Row:
    classifier = parameters["classifier.weight"]
    objective, loss = network.objective(parameters, z, data.y, len(data.y))
    sizes = np.array(list(data.counts))
    correct = np.argmax(z_test @ classifier.T, axis=1) == data.y_test
    large, small = (np.isin(data.y_test, np.flatnonzero(sizes == size)) for size in (sizes.max(), sizes.min()))
    measured = measure(z, data.y, weight=classifier)
    row = {
        "epoch": 0.0,
        "objective": objective,
        "loss": loss,
        "train_accuracy": accuracy(z, data.y, classifier),
        "accuracy": float(correct.mean()),
        "majority": float(correct[large].mean()),
        "minority": float(correct[small].mean()),
        **{name: measured[name] for name in MEASURED},
    }
    nothing = dict.fromkeys(("to_theory_weight", "to_theory_means", "to_theory_logits"), float("nan"))
    attained = prediction is not None and prediction.certified
    row |= prediction.distance(z, data.y, classifier) if attained and prediction is not None else nothing
    row["gap"] = float("nan") if prediction is None else objective - prediction.lower
    return row


def accuracy(features: Floats, labels: Labels, classifier: Floats) -> float:
    """Share of samples whose largest logit is that of their class."""
    return float(np.mean(np.argmax(features @ classifier.T, axis=1) == labels))


def _save(folder: Path, state: _State, description: dict[str, Any]) -> None:
    names = list(state.rows[0])
    arrays = {
        **{f"parameters/{n}": a for n, a in state.parameters.items()},
        **{f"memory/{n}": a for n, a in state.memory.items()},
        "history": np.array([[row[n] for n in names] for row in state.rows]),
        "names": np.array(names),
    }
    write_arrays(folder / CHECKPOINT, arrays, description)


def _resumed(folder: Path | None, description: dict[str, Any], network: Network) -> _State | None:
    if folder is None or not (folder / CHECKPOINT).exists():
        return None
    arrays, found = read_arrays(folder / CHECKPOINT)
    if found != description:
        changed = sorted(name for name in {*found, *description} if found.get(name) != description.get(name))
        raise InputError(
            f"{brief(str(folder))} holds another run (it differs in {', '.join(changed)}); give the same options to resume it, "
            "or another folder"
        )
    try:
        names = [str(n) for n in arrays["names"]]
        rows = [dict(zip(names, map(float, row), strict=True)) for row in arrays["history"]]
        parameters, memory = (
            {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(p)} for p in ("parameters/", "memory/")
        )
        if {n: v.shape for n, v in parameters.items()} != {n: v.shape for n, v in network.initial(0).items()} or not rows:
            raise ValueError
        return _State(parameters, memory, rows)
    except (KeyError, ValueError, TypeError):
        raise InputError(
            f"{brief(str(folder / CHECKPOINT))} is not a checkpoint of this version; delete it to start anew"
        ) from None
