"""The geometry that theory predicts for given class sizes and decay, and how far a network is from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import ArrayLike

from ufm._arrays import Floats
from ufm._text import classes, finite
from ufm.analysis.group_collapse import collapse
from ufm.analysis.solution_geometry import geometry
from ufm.errors import InputError
from ufm.metrics.measurement import Measurement
from ufm.metrics.rows import double
from ufm.problem.problem import Problem

if TYPE_CHECKING:
    from ufm.analysis.network_prediction import NetworkPrediction
    from ufm.problem.regularizers import WeightDecay


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The certified optimum of an unconstrained-feature model, as Gram matrices.

    Attributes
    ----------
    problem : Problem
    lower : float, certified lower bound on the objective of *every* network with these class sizes and this decay
    value : float, the objective at the solution found (nats)
    certified : bool, whether the certificate proves that it is the optimum
    collapsed : "yes", "no" or "undecided", the verdict of `ufm.collapse` on the smallest classes
    metrics : dict, as from `ufm.geometry`
    weight, means, logits : (K, K) ``W W'``, ``Hbar'Hbar`` (raw class means) and ``W Hbar``, free of the rotation of features
    """

    problem: Problem
    lower: float
    value: float
    certified: bool
    collapsed: str
    metrics: dict[str, float | None]
    weight: Floats
    means: Floats
    logits: Floats

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON: arrays as lists of rows, the problem as text."""
        return {
            "problem": str(self.problem),
            "lower": float(self.lower),
            "value": float(self.value),
            "certified": bool(self.certified),
            "collapsed": self.collapsed,
            "metrics": {name: finite(value) for name, value in self.metrics.items()},
            **{name: getattr(self, name).tolist() for name in ("weight", "means", "logits")},
        }

    def __repr__(self) -> str:
        found = f"value={float(self.value)!r}, lower={float(self.lower)!r}, certified={self.certified}"
        return f"Prediction({found}, collapsed={self.collapsed!r}, {classes(self.problem.counts.runs)})"

    def distance(
        self, features: ArrayLike, labels: ArrayLike, weight: ArrayLike, *, classes: Iterable[Any] | None = None
    ) -> dict[str, float]:
        """``||G/||G||_F - G*/||G*||_F||_F`` for the Gram matrices of classifiers and of class means, and for the logits.

        Parameters
        ----------
        features : (N, d) array of any real dtype, last-layer features as for `ufm.measure`
        labels : (N,) array of int
        weight : (K, d) array of any real dtype, classifiers
        classes : sequence of str or int, or None
            Names of the classes in the order of the problem's sizes, which labels are of; None for 0 .. K-1.

        Returns
        -------
        dict of float
            ``to_theory_weight, to_theory_means, to_theory_logits``, each between 0 and 2; NaN where a matrix vanishes.

        Raises
        ------
        InputError
            Shapes that do not fit the problem, an empty class, NaN or infinite entries.
        """
        names = range(len(self.weight)) if classes is None else classes
        means, w = Measurement(weight=weight, classes=names, scatter=False).update(features, labels).class_means()
        assert w is not None
        return self.distance_of_means(means, w)

    def distance_of_means(self, means: ArrayLike, weight: ArrayLike) -> dict[str, float]:
        """The same for class means, as `ufm.measure` has them.

        Parameters
        ----------
        means : (K, d) array of any real dtype
        weight : (K, d) array of any real dtype

        Returns
        -------
        dict of float
            As `distance`.

        Raises
        ------
        InputError
            Shapes that do not fit the problem, NaN or infinite entries.
        """
        h, w = double("means", means), double("weight", weight)
        if w.ndim != 2 or len(w) != len(self.weight) or h.shape != w.shape:
            raise InputError(f"means {h.shape} and weight {w.shape} must both be of shape (K, d) with K={len(self.weight)}")
        found = distances(h, w, (self.weight, self.means, self.logits))
        return {f"to_theory_{name}": value for name, value in zip(("weight", "means", "logits"), found, strict=True)}


def distances(means: Floats, weight: Floats, grams: tuple[Floats, Floats, Floats]) -> tuple[float, float, float]:
    """Frobenius distances of the matrices of a network to given ones, all at norm 1; NaN where one vanishes.

    Parameters
    ----------
    means, weight : (K, d) float64, raw class means and classifier
    grams : three (K, K) float64, of classifiers, of class means, and the logits

    Returns
    -------
    three float in [0, 2]
    """
    h, w = _moderate(means), _moderate(weight)
    return _apart(w @ w.T, grams[0]), _apart(h @ h.T, grams[1]), _apart(w @ h.T, grams[2])


@overload
def predict(problem: Problem) -> Prediction: ...


@overload
def predict(
    *,
    features: ArrayLike,
    labels: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    decay: WeightDecay | None = None,
    relu: bool = False,
    classes: Iterable[Any] | None = None,
) -> NetworkPrediction: ...


def predict(
    problem: Problem | None = None,
    *,
    features: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    decay: WeightDecay | None = None,
    relu: bool = False,
    classes: Iterable[Any] | None = None,
) -> Prediction | NetworkPrediction:
    """Solve the model of a problem, or of a network's own class sizes and decays, and return its optimal geometry.

    Parameters
    ----------
    problem : Problem or None
        Alone: the prediction is its optimal geometry as Gram matrices. None: what follows is a network.
    features : (N, d) array of any real dtype, one row per sample
    labels : (N,) whole numbers, text or categories, or (N, K) one-hot rows
    weight : (K, d) array, classifier
    bias : (K,) array or None
    decay : WeightDecay or None
        What the network was trained with, per sample, half convention beside mean cross-entropy; without its ``bias`` the model
        has no bias. None: the effective decays, from stationarity of the network.
    relu : bool, whether to predict for features >= 0
    classes : sequence of str or int, or None, names of the classes in the order of the rows of weight

    Returns
    -------
    Prediction or NetworkPrediction
        The latter for a network: its metrics, effective decays with their residual, the prediction, distances, and a verdict.

    Raises
    ------
    InputError
        No solver fits the problem, arrays that do not fit, or no decay where stationarity does not give a positive one.

    Examples
    --------
    >>> import numpy as np, ufm
    >>> problem = ufm.Problem([20, 20, 4, 4], regularizer=ufm.WeightDecay(5e-3, 2e-3))
    >>> found = predict(problem)
    >>> frame = ufm.simplex_etf(4)
    >>> min(found.distance(frame, range(4), frame).values()) > 0.1
    True
    >>> labels, solution = np.repeat(range(4), [20, 20, 4, 4]), ufm.solve(problem).parameters  # as if it were a network
    >>> network = predict(features=solution.outputs.T[labels], labels=labels, weight=solution.weight)
    >>> round(network.decay.weight, 9), round(network.decay.features, 9), network.effective.residual < 1e-6
    (0.005, 0.002, True)
    """
    if problem is None:
        from ufm.analysis.network_prediction import predict_network

        if features is None or labels is None or weight is None:
            raise InputError("predict needs a problem, or features, labels and weight of a network; give one or the other")
        return predict_network(features, labels, weight, bias=bias, decay=decay, relu=relu, classes=classes)
    if any(value is not None for value in (features, labels, weight, bias, decay, classes)) or relu:
        raise InputError("predict has a problem and arrays of a network; give the problem alone, or the arrays alone")
    from ufm.solvers.automatic import solve
    from ufm.solvers.solution import Status

    solution = solve(problem)
    found = solution.parameters
    outputs = found.outputs
    certified = solution.status in (Status.OPTIMAL, Status.ZERO)
    grams = (found.weight @ found.weight.T, outputs.T @ outputs, found.weight @ outputs)
    verdict, metrics = collapse(solution).verdict, geometry(solution)
    return Prediction(problem, solution.certificate.lower, solution.value, certified, verdict, metrics, *grams)


def _moderate(array: Floats) -> Floats:
    """The array divided by its largest entry: products of it stay within float64."""
    height = float(np.abs(array).max(initial=0.0))
    return array / height if height > 0 else array


def _apart(one: Floats, other: Floats) -> float:
    """Frobenius distance of two (K, K) matrices, each over its own Frobenius norm; NaN where one is zero."""
    heights = float(np.abs(one).max()), float(np.abs(other).max())
    if not min(heights) > 0:
        return float("nan")
    one, other = one / heights[0], other / heights[1]  # squares of entries may be beyond float64
    return float(np.linalg.norm(one / np.linalg.norm(one) - other / np.linalg.norm(other)))
