"""A trained network beside the certified optimum for its own class sizes and decays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ufm._arrays import Floats
from ufm._text import finite
from ufm.analysis.effective_decays import EffectiveDecays
from ufm.analysis.prediction import Prediction, distances, predict
from ufm.errors import InputError
from ufm.metrics.frames import seli
from ufm.metrics.measurement import Measured, Measurement
from ufm.metrics.network import passes
from ufm.metrics.rows import Held, Rows, double, real
from ufm.problem.heads import Explicit, ReLU
from ufm.problem.problem import Problem
from ufm.problem.regularizers import WeightDecay
from ufm.targets.counts import ClassCounts

STATIONARY, ROUGH = 1e-2, 0.2
"""Residuals of stationarity up to which effective decays are taken at their word, and as rough."""
CLOSE = 1e-6
"""Difference of distances up to which the prediction is named rather than another geometry that coincides with it."""
MATRICES = ("weight", "means", "logits")


@dataclass(frozen=True, eq=False, repr=False)
class NetworkPrediction:
    """What theory predicts for a network, and how far the network is from it.

    Attributes
    ----------
    measured : Measured, metrics of the network
    theory : Prediction, the certified optimum for its class sizes and decays
    decay : WeightDecay, the one given, or the effective one
    effective : EffectiveDecays, from stationarity of the network
    given : bool, whether the decay was given
    distances : dict of float
        ``to_theory_NAME``, ``to_etf_NAME`` and ``to_seli_NAME`` for the Gram matrices of classifiers (weight) and of raw class
        means (means), and for the logits of class means (logits), all at Frobenius norm 1; NaN where a matrix vanishes. The
        logits of SELI are those of the simplex ETF.
    objective : float, mean cross-entropy plus half of the decays, of the network (nats)
    critical : float or None
        The decay ``mu = sqrt(LW LH)`` from which on the smallest classes collapse, ``sqrt(n) / N``; None for features >= 0 and
        where no two classes have the smallest size n.
    """

    measured: Measured
    theory: Prediction
    decay: WeightDecay
    effective: EffectiveDecays
    given: bool
    distances: dict[str, float]
    objective: float
    critical: float | None

    @property
    def gap(self) -> float:
        """The objective above the certified lower bound on every network with these class sizes and decays (nats).

        NaN where the network has a bias and the model none, so that there is no such bound.
        """
        unbounded = self.effective.bias is not None and self.decay.bias is None
        return float("nan") if unbounded else self.objective - self.theory.lower

    @property
    def verdict(self) -> str:
        """The comparison in words: trust in the decays, side of the threshold, nearest geometry, distance to the bound."""
        return " ".join((self._trust(), self._side(), self._nearest(), self._bound()))

    def to_dict(self) -> dict[str, Any]:
        """Names and plain values for JSON: metrics of the network, effective decays, distances, theory and verdict."""
        effective = self.effective
        return {
            **{name: finite(value) for name, value in self.measured.items()},
            "effective_weight": finite(effective.weight),
            "effective_features": finite(effective.features),
            "effective_bias": None if effective.bias is None else finite(effective.bias),
            "effective_mu": finite(effective.mu),
            "residual": finite(effective.residual),
            "residual_weight": finite(effective.residual_weight),
            "residual_features": finite(effective.residual_features),
            "residual_bias": None if effective.residual_bias is None else finite(effective.residual_bias),
            **{name: finite(value) for name, value in self.distances.items()},
            "objective": finite(self.objective),
            "theory_value": self.theory.value,
            "theory_lower": self.theory.lower,
            "theory_gap": finite(self.gap),
            "theory_collapsed": self.theory.collapsed,
            "theory_certified": self.theory.certified,
            "critical_mu": self.critical,
            **{f"theory_{name}": value for name, value in self.theory.metrics.items() if name in self.measured},
            "finding": self.verdict,
        }

    def __repr__(self) -> str:
        found = f"residual={self.effective.residual:.3g}, gap={self.gap:.3g}, {self.decay}"
        return f"NetworkPrediction({found}, collapsed={self.theory.collapsed!r})"

    def _trust(self) -> str:
        residual = self.effective.residual
        if np.isnan(residual):
            grade = "numbers so large or so small leave it unknown"
        elif residual <= STATIONARY:
            grade = "the network is stationary"
        elif residual <= ROUGH:
            grade = "the network is nearly stationary, and effective decays are rough"
        else:
            grade = "the network is far from stationary, and effective decays balance its overall scale at most"
        source = "given" if self.given else "effective"
        mu = sqrt(self.decay.weight) * sqrt(self.decay.features)
        return f"Residual of stationarity {residual:.2g}: {grade}. The {source} decay is mu = {mu:.4g}."

    def _side(self) -> str:
        meant = {"yes": "collapses the smallest classes", "no": "keeps the smallest classes apart"}
        said = meant.get(self.theory.collapsed, "may or may not collapse the smallest classes (undecided)")
        mu = sqrt(self.decay.weight) * sqrt(self.decay.features)
        if self.critical is None:
            where = "At this decay"
        elif mu >= self.critical:
            where = f"It is {mu / self.critical:.3g} times the critical decay {self.critical:.4g}, and"
        else:
            where = f"It is {self.critical / mu:.3g} times below the critical decay {self.critical:.4g}, and"
        predicted, found = self.theory.metrics.get("cos_minority"), self.measured["cos_minority"]
        cosines = "" if predicted is None or np.isnan(found) else f" (minority cosine {predicted:.4f}, here {found:.4f})"
        return f"{where} the optimum {said}{cosines}."

    def _nearest(self) -> str:
        every = {name: self.distances[f"to_{name}_means"] for name in ("theory", "etf", "seli")}
        if any(np.isnan(value) for value in every.values()):
            return "The optimum or the network has vanishing class means, so there is no distance."
        names = {"theory": "the prediction", "etf": "the simplex ETF", "seli": "SELI"}
        nearest = min(every, key=lambda name: every[name] if name != "theory" else every[name] - CLOSE)
        told = ", ".join(f"{value:.3g} from {names[name]}" for name, value in every.items())
        loose = "" if self.theory.certified else ", which is not certified to be the optimum of so narrow a network"
        return f"Class means are {told}{loose}: nearest is {names[nearest]}."

    def _bound(self) -> str:
        if self.effective.bias is not None and self.decay.bias is None:
            return "The model has no bias and the network has one, so that its objective has no bound here."
        if not np.isfinite(self.gap):
            return "The objective is beyond float64."
        share = f" ({self.gap / self.theory.lower:.2%})" if self.theory.lower > 0 else ""
        return f"The objective {self.objective:.6g} is {self.gap:.3g} nats{share} above the certified bound."


def predict_network(
    features: ArrayLike | Rows,
    labels: ArrayLike,
    weight: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    decay: WeightDecay | None = None,
    relu: bool = False,
    classes: Iterable[Any] | None = None,
    convention: str = "zhu",
    measured: Measured | None = None,
) -> NetworkPrediction:
    """The certified optimum for a network's class sizes and decays, and the network beside it; see `ufm.predict`.

    Parameters
    ----------
    features : (N, d) array of any real dtype, one row per sample
    labels : (N,) whole numbers, text or categories, or (N, K) one-hot rows
    weight : (K, d) array
    bias : (K,) array or None
    decay : WeightDecay or None
        Decays per sample, half convention; without ``bias`` the model has no bias. None: the effective decays of stationarity.
    relu : bool, predict for features >= 0; that model has no bias
    classes : sequence of str or int, or None, names of the classes in the order of the rows of weight
    convention : str, of the metrics, as in `ufm.measure`
    measured : Measured or None, of these arrays, where it is known already

    Returns
    -------
    NetworkPrediction

    Raises
    ------
    InputError
        Arrays that do not fit, or no decay where stationarity does not give a positive one.
    """
    rows: Rows = features if hasattr(features, "blocks") else Held(real("features", features))  # type: ignore[assignment]
    first = Measurement(weight=weight, bias=bias, convention=convention, classes=classes, scatter=False)
    if measured is None:
        measured = passes(first, rows, labels).result()
    codes = first.codes.encode(labels)
    w, b = double("weight", weight), None if bias is None else double("bias", bias)
    _, order = first.codes.order(len(w))
    place = np.zeros(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        effective = EffectiveDecays.of(rows, place[codes], w, b, nonnegative=relu)
    used = effective.decay if decay is None else decay
    if decay is None and relu:  # whose model has no bias
        used = WeightDecay(used.weight, used.features)
    if used.per_class:
        raise InputError("decay is per class, and a network is compared with decays per sample; leave per_class out")
    counts = ClassCounts.of(measured.counts.tolist())
    problem = Problem(counts, regularizer=used, head=ReLU() if relu else Explicit(), dim=w.shape[1])
    theory = predict(problem)
    smallest = [n for n in counts if n == min(counts)]
    critical = sqrt(smallest[0]) / counts.total if len(smallest) > 1 and not relu else None
    found = theory.distance_of_means(measured.means, w) | _references(counts, measured.means, w)
    return NetworkPrediction(measured, theory, used, effective, decay is not None, found, effective.objective(used), critical)


def _references(counts: ClassCounts, means: Floats, weight: Floats) -> dict[str, float]:
    """Distances to the simplex ETF and to SELI."""
    classes = len(weight)
    simplex = np.eye(classes) - 1.0 / classes
    every = {"etf": (simplex, simplex, simplex), "seli": (*seli(counts), simplex)}
    return {
        f"to_{name}_{matrix}": value
        for name, grams in every.items()
        for matrix, value in zip(MATRICES, distances(means, weight, grams), strict=True)
    }
