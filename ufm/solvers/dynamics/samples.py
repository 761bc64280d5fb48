"""The model on its sample-level parameters: W (K x d), H (d x N), the head's own arrays, and b.

Equal samples of a class are optimal: docs/theory, Proposition 1.1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.problem.heads import Parameters
from ufm.problem.heads.base import Arrays
from ufm.problem.problem import Problem
from ufm.problem.regularizers import ClassifierDecay, NormBudget, WeightDecay
from ufm.spectral.loss import ColumnLoss


class State(NamedTuple):
    """Sample-level parameters, or their gradient.

    Attributes
    ----------
    weight : (K, d) float64, W
    features : (d, N) float64, H
    arrays : tuple of float64 arrays, the head's own (the map A, linear layers)
    bias : (K,) float64 or None
    """

    weight: Floats
    features: Floats
    arrays: Arrays
    bias: Floats | None

    def present(self) -> list[Floats]:
        """All arrays in one list: W (K, d), H (d, N), the head's own, and b (K,) if there is one."""
        bias = [] if self.bias is None else [self.bias]
        return [self.weight, self.features, *self.arrays, *bias]

    def rebuilt(self, arrays: list[Floats]) -> State:
        """The state of a list of arrays as returned by `present`, with the same shapes."""
        count = len(self.arrays)
        bias = None if self.bias is None else arrays[2 + count]
        return State(arrays[0], arrays[1], tuple(arrays[2 : 2 + count]), bias)


class SampleModel:
    """Sample-level objective, gradient and projection of a problem.

    Attributes
    ----------
    labels : (N,) int, class of each sample
    feature_weights : (N,) float64, weight of each ``|h_i|^2`` in the decay or budget: 1, or 1/n_k per class
    metric : (N,) float64, factors on the gradient by the features, so that projection onto a budget is a rescaling
    loss_weights : (N,) float64, weight of each sample's loss; they sum to one
    fixed : (K, d) float64 or None, the classifier where the head fixes it
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.head, self.regularizer = problem, problem.head, problem.regularizer
        self.sizes = np.array([float(n) for n in problem.counts])
        self.labels = np.repeat(np.arange(len(self.sizes)), [int(n) for n in self.sizes])
        self.total = len(self.labels)
        self.rows = np.arange(self.total)
        decay = self.regularizer
        self.decay = decay if isinstance(decay, WeightDecay | ClassifierDecay) else None
        self.feature_decay = decay.features if isinstance(decay, WeightDecay) else 0.0
        weights = 1.0 / self.sizes[self.labels]
        per_sample = isinstance(decay, WeightDecay) and not decay.per_class
        self.feature_weights = np.ones(self.total) if per_sample else weights
        # Projection onto a weighted ball is a rescaling only in the metric of its weights.
        self.metric = np.ones(self.total) if self.decay is not None else 1.0 / weights
        if self.head.normalised:
            # Every sample is on a sphere of its own, and its part of the mean loss is small.
            self.metric = np.full(self.total, float(self.total))
        self.program = problem.program().split()
        self.loss_weights = self.program.share[self.labels] / self.sizes[self.labels]
        self.multiplicity = np.ones((len(self.sizes) + 1, self.total))
        self.multiplicity[self.labels, self.rows] = 0.0
        self.fixed = self.head.fixed_weight(self.regularizer, len(self.sizes), problem.width)

    def initial(self, rng: np.random.Generator, scale: float) -> State:
        """A random start: Gaussian entries of standard deviation ``scale``, and a bias of zero."""
        classes, dim = len(self.sizes), self.problem.width
        weight = scale * rng.standard_normal((classes, dim))
        features = scale * rng.standard_normal((dim, self.total))
        biased = self.regularizer.bias_decay() is not None
        if self.fixed is not None:
            weight = self.fixed
        return State(
            weight,
            self.head.start_features(features),
            self.head.initial(dim, rng, scale),
            np.zeros(classes) if biased else None,
        )

    def value_and_gradient(self, state: State) -> tuple[float, State]:
        """The full objective (nats), and its gradient with features scaled by `metric`."""
        outputs, pullback = self.head.forward(state.arrays, state.features)
        columns = self.columns(state.weight @ outputs, state.bias)
        value = float(self.loss_weights @ columns.values)
        mass = self.folded(columns.gradient) * self.program.loss.temperature[:, None] * self.loss_weights
        weight = mass @ outputs.T
        features, arrays = pullback(state.weight.T @ mass)
        bias = mass.sum(axis=1) if state.bias is not None else None
        price, slopes = self.head.price(state.arrays, self.regularizer)
        value += price
        arrays = tuple(a + b for a, b in zip(arrays, slopes, strict=True))
        decay = self.decay
        if decay is not None:
            if self.fixed is None:
                value += 0.5 * decay.weight * float(np.sum(state.weight**2))
            value += 0.5 * self.feature_decay * float(self.feature_weights @ np.sum(state.features**2, axis=0))
            weight = weight + decay.weight * state.weight
            features = features + self.feature_decay * self.feature_weights * state.features
            if bias is not None and state.bias is not None and decay.bias:
                value += 0.5 * decay.bias * float(state.bias @ state.bias)
                bias = bias + decay.bias * state.bias
        if self.fixed is not None:
            weight = np.zeros_like(weight)
        return value, State(weight, features * self.metric, arrays, bias)

    def columns(self, logits: Floats, bias: Floats | None) -> ColumnLoss:
        """Loss of each sample with its derivatives.

        ``logits`` are (K, N), before bias (K,) and temperatures.
        """
        if bias is not None:
            logits = logits + bias[:, None]
        logits = logits * self.program.loss.temperature[:, None]
        stacked = np.vstack([logits, logits[self.labels, self.rows]])
        return self.program.loss.columns(stacked, self.multiplicity, self.labels)

    def folded(self, rows: Floats) -> Floats:
        """(K, N) from (K + 1, N): the last row belongs to each sample's own class."""
        full = rows[:-1].copy()
        full[self.labels, self.rows] = rows[-1]
        return full

    def project(self, state: State) -> State:
        """The state projected onto the norm budgets and the head's own constraint."""
        regularizer, classes = self.regularizer, len(self.sizes)
        arrays = self.head.project(state.arrays, regularizer, classes)
        weight, features = state.weight, self.head.project_features(state.features)
        if self.fixed is not None:
            weight = self.fixed
        if isinstance(regularizer, NormBudget):
            size = float(np.sum(weight**2)) / (classes * regularizer.weight)
            weight = weight / np.sqrt(size) if size > 1 and self.fixed is None else weight
            features = self.head.project_budget(features, self.feature_weights, regularizer, classes)
        return State(weight, features, arrays, state.bias)

    def curvature(self, state: State) -> float:
        """Estimate of the Hessian's norm: loss curvature through W and through features, their coupling, and the decay."""
        outputs = self.head.forward(state.arrays, state.features)[0]
        gain = self.head.amplification(state.arrays)
        largest = float(self.metric.max())
        # Plain cross-entropy bends by at most 1/2; weights, temperatures and squares by more.
        bend = float(np.max(self.program.share / self.sizes) * self.total) * float(np.max(self.program.loss.temperature)) ** 2
        bend *= 1.0 if self.program.loss.shift_invariant else 2.0
        weight = float(np.linalg.norm(state.weight, 2))
        through_features = 0.5 * bend * weight**2 * gain**2 * largest / self.total
        through_weight = 0.5 * bend * float(np.linalg.norm(outputs @ outputs.T, 2)) / self.total
        coupling = bend * np.sqrt(2.0 * largest / self.total)
        decay = max(self.decay.weight, self.feature_decay) if self.decay is not None else 0.0
        if state.arrays:
            inner = float(np.linalg.norm(state.features @ state.features.T, 2)) / self.total
            through_weight *= 1.0 + weight**2 * gain**2
            through_weight += 0.5 * bend * weight**2 * gain**2 * inner * len(state.arrays)
            decay = max(decay, self.head.largest_decay())
        bias = 0.5 * bend if state.bias is not None else 0.0
        return through_features + through_weight + coupling + decay + bias

    def means(self, state: State) -> Parameters:
        """Parameters with each feature replaced by its class mean."""
        sums = np.zeros((state.features.shape[0], len(self.sizes)))
        np.add.at(sums.T, self.labels, state.features.T)
        return self.head.parameters(state.weight, sums / self.sizes, state.arrays, state.bias)
