r"""Critical points of the factored objective: where gradient descent can end.

``f(W, H) = (1/N) sum_i l(W h_i) + lw/2 |W|^2 + lh/2 |H|^2`` with free features. For a convex loss, under decay and without
bias, every critical point is a global minimiser or a strict saddle if d >= K (cross-entropy, any class sizes; d > K for other
convex losses): docs/theory, Proposition 8.7; Zhu et al. (arXiv 2105.02375; locator unknown) for balanced cross-entropy, and
d > K. For smaller widths the same holds at critical points with rank W < d; nothing is known about the others.

A critical point is classified by what can be proved about it here: the certified gap of its value, or the sign of an enclosed
Rayleigh quotient ``<v, H v> / <v, v>`` of the Hessian. What a classification proves: Proposition 8.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT
from ufm.errors import InputError
from ufm.problem.problem import Problem
from ufm.problem.regularizers import WeightDecay
from ufm.solvers.automatic import solve
from ufm.solvers.dynamics.samples import SampleModel, State
from ufm.solvers.solution import check_options

MAX_ENTRIES = 200_000
"""Largest number of entries of W and H together."""
LARGEST = 1e6
"""Bound on the size of entries of W and H."""
CRITICAL = 1e-4
"""Gradient, relative to that of the decay alone, up to which a point counts as critical."""


@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """A point of the factored objective and what is proved about it.

    Attributes
    ----------
    kind : {"global minimiser", "strict saddle", "undecided", "not critical"}
        "not critical" where the norm of the gradient exceeds 1e-4 times that of the gradient of the decay alone.
    value : float, the objective (nats)
    gap : float, value minus the certified lower bound on the global minimum
    slope : float, norm of the gradient (zero at a critical point)
    curvature : (lower, upper) enclosure of the Hessian's Rayleigh quotient along `direction`, or None
    weight, features : (K, d) and (d, N)
    direction : (dW, dH) or None
    level : str, ``"float"``: float64 with a-priori rounding terms
    """

    kind: str
    value: float
    gap: float
    slope: float
    curvature: tuple[float, float] | None
    weight: Floats
    features: Floats
    direction: tuple[Floats, Floats] | None
    level: str = "float"


class Landscape(NamedTuple):
    """Results of `landscape`.

    Attributes
    ----------
    points : tuple of CriticalPoint, in the order of the seeds
    kinds : dict of int, how many points are of each kind
    """

    points: tuple[CriticalPoint, ...]
    kinds: dict[str, int]


def landscape(
    problem: Problem,
    *,
    starts: int = 50,
    random_state: int = 0,
    scale: float = 0.3,
    tolerance: float = 1e-8,
    max_iterations: int = 20_000,
) -> Landscape:
    """Plain gradient descent from random starts, with a classification of each end point.

    Parameters
    ----------
    problem : Problem
        With an explicit head of one layer, weight decay and no bias; ``dim`` is the width of the descent (K if left open).
    starts, random_state : int
        Number of starts; their seeds are random_state, random_state + 1, ...
    scale : float > 0, standard deviation of the entries of W and H at the start
    tolerance : float
        Relative gap up to which a point counts as a global minimiser.
    max_iterations : int, of each descent

    Returns
    -------
    Landscape

    Raises
    ------
    InputError
        An option out of range, a problem with another head or regulariser, or one too large for sample-level parameters.

    Examples
    --------
    >>> import ufm
    >>> problem = ufm.Problem([3] * 3, regularizer=ufm.WeightDecay(3e-2, 3e-2), dim=4)
    >>> ufm.landscape(problem, starts=3).kinds
    {'global minimiser': 3, 'strict saddle': 0, 'undecided': 0, 'not critical': 0}
    """
    check_options(tolerance, starts=starts, random_state=random_state, max_iterations=max_iterations)
    if not (isinstance(scale, Real) and 0 < scale < 1e3):
        raise InputError(f"scale is {scale!r}; give a positive number below 1e3: from zero gradient descent does not move")
    work = FactoredObjective(problem)
    points = []
    for number in range(random_state, random_state + starts):
        state = work.model.initial(np.random.default_rng(number), scale)
        points.append(work.classified(work.descended(state, tolerance, max_iterations), tolerance))
    return Landscape(tuple(points), _kinds(points))


def classify(problem: Problem, weight: Floats, features: Floats, *, tolerance: float = 1e-8) -> CriticalPoint:
    """What is proved about one point of the factored objective (docs/theory, Proposition 8.8).

    Parameters
    ----------
    problem : Problem, as for `landscape`
    weight : (K, d) array, W
    features : (d, N) array H, or (d, K) class means
    tolerance : float
        Relative gap up to which the point counts as a global minimiser.

    Returns
    -------
    CriticalPoint

    Raises
    ------
    InputError
        As for `landscape`, or shapes that do not fit the problem.

    Examples
    --------
    >>> import ufm
    >>> problem = ufm.Problem([3] * 3, regularizer=ufm.WeightDecay(3e-2, 3e-2), dim=4)
    >>> ufm.classify(problem, np.zeros((3, 4)), np.zeros((4, 9))).kind
    'strict saddle'
    """
    check_options(tolerance)
    work = FactoredObjective(problem)
    return work.classified(work.state(weight, features), tolerance)


def hessian_eigenvalues(problem: Problem, weight: Floats, features: Floats) -> Floats:
    """All eigenvalues of the Hessian at a point, ascending (dense: up to 3000 parameters).

    Parameters
    ----------
    problem : Problem, as for `landscape`
    weight : (K, d) array, W
    features : (d, N) array H, or (d, K) class means

    Returns
    -------
    (K d + d N,) float64

    Raises
    ------
    InputError
        As for `classify`, or more than 3000 parameters.

    Examples
    --------
    >>> import ufm
    >>> problem = ufm.Problem([2] * 3, regularizer=ufm.WeightDecay(3e-2, 3e-2), dim=3)
    >>> point = ufm.solve(problem).parameters
    >>> bool(hessian_eigenvalues(problem, point.weight, point.features).min() > -1e-12)
    True
    """
    work = FactoredObjective(problem)
    state = work.state(weight, features)
    size = state.weight.size + state.features.size
    if size > 3000:
        raise InputError(f"the Hessian would be {size} x {size}; up to 3000 parameters are written out")
    matrix = np.empty((size, size))
    for i in range(size):
        unit = np.zeros(size)
        unit[i] = 1.0
        matrix[:, i] = work.joined(work.hessian(state, *work.parted(unit, state))[:2])
    return np.asarray(np.linalg.eigvalsh(0.5 * (matrix + matrix.T)), dtype=np.float64)


def _kinds(points: list[CriticalPoint]) -> dict[str, int]:
    names = ("global minimiser", "strict saddle", "undecided", "not critical")
    return {name: sum(p.kind == name for p in points) for name in names}


class FactoredObjective:
    """The factored objective of one problem, with its Hessian.

    Parameters
    ----------
    problem : Problem, as for `landscape`

    Raises
    ------
    InputError
        A problem with another head or regulariser, or one too large for sample-level parameters.
    """

    def __init__(self, problem: Problem) -> None:
        if not isinstance(problem, Problem):
            raise InputError(f"problem is {problem!r}; give a ufm.Problem")
        if (
            not problem.head.bilinear
            or not isinstance(problem.regularizer, WeightDecay)
            or problem.regularizer.bias is not None
        ):
            raise InputError(
                f"the landscape is that of an explicit head of one layer under weight decay without bias, not of {problem}"
            )
        entries = (problem.counts.total + problem.counts.classes) * problem.width
        if entries > MAX_ENTRIES:
            raise InputError(
                f"sample-level parameters would have {entries} entries, more than {MAX_ENTRIES}; lower counts or dim"
            )
        self.problem, self.decay = problem, problem.regularizer
        self.model = SampleModel(problem)
        # The lower bound holds for every width, so the certificate of the wide problem is valid for narrow ones, too.
        wide = Problem(problem.counts, regularizer=problem.regularizer, loss=problem.loss)
        self.lower = solve(wide).certificate.lower

    def state(self, weight: Floats, features: Floats) -> State:
        """A state from W (K, d) and H (d, N), or from class means (d, K), checked.

        Raises
        ------
        InputError
            Arrays that are not real, of the wrong shape, not finite, or too large.
        """
        classes, total = len(self.model.sizes), self.model.total
        try:
            w, h = np.array(weight, dtype=np.float64), np.array(features, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError("weight and features must be arrays of real numbers, (K, d) and (d, N) or (d, K)") from None
        if h.ndim == 2 and h.shape[1] == classes != total:
            h = h[:, self.model.labels]
        if w.ndim != 2 or not w.size or h.shape != (w.shape[1], total) or len(w) != classes:
            raise InputError(
                f"weight and features have shapes {np.shape(weight)} and {np.shape(features)}; "
                f"give (K, d) and (d, N) or (d, K) with K={classes}, N={total}"
            )
        if not (np.abs(w).max() < LARGEST and np.abs(h).max() < LARGEST):
            raise InputError(f"weight and features must be finite numbers below {LARGEST:g}")
        return State(w, h, (), None)

    def descended(self, state: State, tolerance: float, max_iterations: int) -> State:
        """Gradient descent with steps 1 / L, L the curvature at the current point; steps are halved whenever the value rises.

        Parameters
        ----------
        state : State, the start
        tolerance : float, relative gap; the descent stops at a tenth of it
        max_iterations : int

        Returns
        -------
        State
        """
        value, gradient = self.model.value_and_gradient(state)
        safety = 1.0
        for _ in range(max_iterations):
            if value - self.lower <= 0.1 * tolerance * value:
                break
            step = 1.0 / (safety * self.model.curvature(state))
            moved = State(state.weight - step * gradient.weight, state.features - step * gradient.features, (), None)
            reached, slope = self.model.value_and_gradient(moved)
            if not reached <= value * (1 + 1e-14):
                safety *= 2.0
                continue
            state, value, gradient = moved, reached, slope
        return state

    def classified(self, state: State, tolerance: float) -> CriticalPoint:
        """The classification of a state; ``tolerance`` is the relative gap of a global minimiser."""
        value, gradient = self.model.value_and_gradient(state)
        # Rounding of a mean of N losses and of sums of squares.
        noise = (len(self.model.labels) + state.weight.size + 64) * UNIT * abs(value)
        gap = value + noise - self.lower
        slope = float(np.sqrt(np.sum(gradient.weight**2) + np.sum(gradient.features**2)))
        if gap <= tolerance * abs(value):
            return CriticalPoint("global minimiser", value, gap, slope, None, state.weight, state.features, None)
        pull = self.decay.weight**2 * np.sum(state.weight**2)
        pull += np.sum((self.decay.features * self.model.feature_weights * state.features) ** 2)
        direction = self.lowest(state)
        curvature = self.rayleigh(state, *direction)
        kind = "strict saddle" if curvature[1] < 0 else "undecided"
        if slope > CRITICAL * float(np.sqrt(pull)):
            kind = "not critical"
        return CriticalPoint(kind, value, gap, slope, curvature, state.weight, state.features, direction)

    def hessian(self, state: State, dw: Floats, dh: Floats) -> tuple[Floats, Floats, float]:
        """Hessian times a direction v = (dW, dH).

        Parameters
        ----------
        state : State
        dw : (K, d) float64
        dh : (d, N) float64

        Returns
        -------
        (K, d) float64, (d, N) float64
            The two parts of ``H v``.
        float
            Sum of the sizes of the terms of ``<v, H v>``, to which its rounding error is proportional.
        """
        model, decay = self.model, self.decay
        temperature = model.program.loss.temperature[:, None]
        columns = model.columns(state.weight @ state.features, None)
        slope = model.folded(columns.gradient) * temperature * model.loss_weights
        moved = temperature * (dw @ state.features + state.weight @ dh)
        bent, across = model.folded(columns.diagonal), model.folded(columns.rank_one)
        mean = (across * moved).sum(axis=0)
        inner = (bent * moved - across * mean) * temperature * model.loss_weights
        weights = decay.features * model.feature_weights
        image_w = inner @ state.features.T + slope @ dh.T + decay.weight * dw
        image_h = state.weight.T @ inner + dw.T @ slope + weights * dh
        size = float(np.sum(np.abs(bent * moved**2) * model.loss_weights) + np.sum(model.loss_weights * mean**2))
        size += 2.0 * float(np.sum(np.abs(slope) * (np.abs(dw) @ np.abs(dh))))
        size += decay.weight * float(np.sum(dw**2)) + float(np.sum(weights * dh**2))
        return image_w, image_h, size

    def rayleigh(self, state: State, dw: Floats, dh: Floats) -> tuple[float, float]:
        """Enclosure of ``<v, H v> / <v, v>`` for a direction v = (dW, dH).

        Parameters
        ----------
        state : State
        dw : (K, d) float64
        dh : (d, N) float64

        Returns
        -------
        float, float
            Lower and upper end.
        """
        image_w, image_h, size = self.hessian(state, dw, dh)
        square = float(np.sum(dw**2) + np.sum(dh**2))
        quotient = float(np.vdot(dw, image_w) + np.vdot(dh, image_h)) / square
        terms = len(self.model.labels) + sum(state.weight.shape) + 64
        # Logits and probabilities carry relative errors of the size of the logits.
        logits = 4.0 + float(np.abs(state.weight @ state.features).max(initial=0.0))
        slack = 4.0 * terms * UNIT * logits * size / square
        return float(quotient - slack), float(quotient + slack)

    def lowest(self, state: State) -> tuple[Floats, Floats]:
        """Direction (dW, dH) of least curvature, shapes (K, d) and (d, N), by Lanczos iteration."""
        from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

        size = state.weight.size + state.features.size

        def apply(vector: Floats) -> Floats:
            return self.joined(self.hessian(state, *self.parted(np.asarray(vector).ravel(), state))[:2])

        start = np.random.default_rng(0).standard_normal(size)
        operator = LinearOperator((size, size), matvec=apply, dtype=np.float64)  # type: ignore[call-arg]
        try:
            vector = eigsh(operator, k=1, which="SA", v0=start, tol=1e-6)[1][:, 0]  # type: ignore[arg-type]
        except ArpackNoConvergence as error:
            vector = error.eigenvectors[:, 0] if error.eigenvectors.size else start
        return self.parted(vector, state)

    @staticmethod
    def joined(parts: tuple[Floats, Floats]) -> Floats:
        """One vector of shape (K d + d N,) from a pair of arrays (K, d) and (d, N)."""
        return np.concatenate([parts[0].ravel(), parts[1].ravel()])

    @staticmethod
    def parted(vector: Floats, state: State) -> tuple[Floats, Floats]:
        """The pair of arrays (K, d) and (d, N) of a vector of shape (K d + d N,)."""
        cut = state.weight.size
        return vector[:cut].reshape(state.weight.shape), vector[cut:].reshape(state.features.shape)
