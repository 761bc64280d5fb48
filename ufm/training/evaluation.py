"""Measurements after every epoch, and the unconstrained-feature optimum that they are compared with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ufm._arrays import Floats
from ufm.analysis.prediction import Prediction, predict
from ufm.deq.maps.base import Gradients
from ufm.metrics.network import measure
from ufm.problem import ClassifierDecay, Explicit, LayerNorm, Problem, ReLU, WeightDecay
from ufm.training.data import Dataset, Labels
from ufm.training.network import Network

MEASURED = (
    "nc1", "nc2", "nc2_means", "nc3", "self_duality", "nc4",
    "cos_majority", "cos_minority", "cos_cross", "cos_majority_means", "cos_minority_means",
)  # fmt: skip
"""Columns taken from `ufm.measure` on the training features."""


Row = dict[str, float]


def prediction_for(data: Dataset, network: Network) -> Prediction | None:
    """The optimum of the unconstrained-feature model with the class sizes and decays of a network.

    Parameters
    ----------
    data : Dataset, whose class sizes are taken
    network : Network, whose decays, feature norm and width are taken
        After a ReLU the features of the model are >= 0, otherwise free; those of a fixed norm are free in any case, so that
        after a ReLU their bound holds and their geometry need not be attained.

    Returns
    -------
    Prediction or None
        None where the classifier, or features without a fixed norm, have no decay.
    """
    decay, norm = network.decay, network.feature_norm
    if norm is not None and decay.classifier:
        fixed = ClassifierDecay(decay.classifier)
        found = predict(Problem(data.counts, regularizer=fixed, head=LayerNorm(norm), dim=network.width))
        return found if network.body.sigma != "relu" else replace(found, certified=False)
    if not (decay.classifier and decay.features):
        return None
    nonnegative = network.body.sigma == "relu" and network.width >= data.counts.classes
    head = ReLU() if nonnegative else Explicit()
    regularizer = WeightDecay(decay.classifier, decay.features)
    found = predict(Problem(data.counts, regularizer=regularizer, head=head, dim=network.width))
    # In fewer than K dimensions features >= 0 need not attain the optimum of the model with signed features. Its lower bound
    # holds for them, but its geometry is no prediction.
    return found if head.columns or network.body.sigma != "relu" else replace(found, certified=False)


def measured_row(
    data: Dataset, network: Network, parameters: Gradients, z: Floats, z_test: Floats, prediction: Prediction | None
) -> Row:
    """One row of the history, without the columns about work.

    Parameters
    ----------
    data : Dataset
    network : Network
    parameters : dict of arrays, of the network
    z : (N, d) float64, last-layer features of the training samples
    z_test : (M, d) float64, last-layer features of the test samples
    prediction : Prediction or None

    Returns
    -------
    dict of float
        Columns as in `ufm.training.train`.
    """
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
    """Share of samples whose largest logit is that of their class.

    Parameters
    ----------
    features : (N, d) float64
    labels : (N,) int
    classifier : (K, d) float64

    Returns
    -------
    float in [0, 1]
    """
    return float(np.mean(np.argmax(features @ classifier.T, axis=1) == labels))
