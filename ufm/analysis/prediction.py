"""The geometry that theory predicts for given class sizes and decay, and how far a network is from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

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
        return f"Prediction({found}, collapsed={self.collapsed!r}, {classes(self.problem.counts)})"

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
        h, w = (_moderate(double(name, value)) for name, value in (("means", means), ("weight", weight)))
        if w.ndim != 2 or len(w) != len(self.weight) or h.shape != w.shape:
            raise InputError(f"means {h.shape} and weight {w.shape} must both be of shape (K, d) with K={len(self.weight)}")
        found = {"weight": (w @ w.T, self.weight), "means": (h @ h.T, self.means), "logits": (w @ h.T, self.logits)}
        return {f"to_theory_{name}": _apart(*both) for name, both in found.items()}


def predict(problem: Problem) -> Prediction:
    """Solve the model, and return its optimal geometry as Gram matrices.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    Prediction

    Raises
    ------
    InputError
        No solver fits the problem.

    Examples
    --------
    >>> import ufm
    >>> found = predict(ufm.Problem([20] * 4, regularizer=ufm.WeightDecay(5e-3, 5e-3)))
    >>> frame = ufm.simplex_etf(4)
    >>> max(found.distance(frame, range(4), frame).values()) < 1e-9
    True
    """
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
