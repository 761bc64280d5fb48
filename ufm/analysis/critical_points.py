r"""The landscape of the factored objective: where gradient descent can end.

For ``f(W, H) = (1/N) sum_i l(W h_i) + lw/2 |W|^2 + lh/2 |H|^2`` with free features, d > K and balanced cross-entropy, every
critical point is a global minimiser or a strict saddle (Zhu et al., arXiv 2105.02375). A critical point is classified by
what can be proved about it here: the certified gap of its value, or the sign of an enclosed Rayleigh quotient
``<v, H v> / <v, v>`` of the Hessian. The same is asked of other losses, class sizes and widths, where no theorem says what
to expect.
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
LARGEST = 1e6
CRITICAL = 1e-4
"""Gradient, relative to that of the decay alone, up to which a point counts as critical."""


@dataclass(frozen=True, eq=False)
class CriticalPoint:
    """A point of the factored objective and what is proved about it.

    kind : {"global minimiser", "strict saddle", "undecided", "not critical"}
        The last where the gradient is not small: decay and loss pull apart by more than 1e-4 of either.
    value : float, the objective there
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
    """Critical points in the order of the seeds that led to them, and how many are of each kind."""

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
    """Plain gradient descent from random starts, and what each of its ends is.

    Parameters
    ----------
    problem : Problem
        With an explicit head of one layer, weight decay and no bias; ``dim`` is the width of the descent (K if left open).
    starts, random_state : int
        Starts random_state, random_state + 1, ...
    scale : float > 0, standard deviation of the entries of W and H at the start
    tolerance : float
        Relative gap up to which a point counts as a global minimiser.
    max_iterations : int, of each descent

    Raises
    ------
    InputError
        A problem that the landscape is not stated for, or one too large for sample-level parameters.

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
    """What is proved about one point of the factored objective.

    Parameters
    ----------
    problem : Problem, as for `landscape`
    weight : (K, d); features : (d, N), or (d, K) class means

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
    """The factored objective of one problem, with its Hessian."""

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
        # The lower bound holds for every width, so the wide problem's certificate serves narrow ones too.
        wide = Problem(problem.counts, regularizer=problem.regularizer, loss=problem.loss)
        self.lower = solve(wide).certificate.lower

    def state(self, weight: Floats, features: Floats) -> State:
        """W (K, d) and H (d, N) or class means (d, K), checked."""
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
        """Gradient descent with steps 1 / L at the current point, halved for good where the value rises."""
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
        """Hessian along a direction, and a bound on the size of the terms of ``<v, H v>`` for rounding errors."""
        model, decay = self.model, self.decay
        warm = model.program.loss.temperature[:, None]
        columns = model.columns(state.weight @ state.features, None)
        slope = model.folded(columns.gradient) * warm * model.loss_weights
        moved = warm * (dw @ state.features + state.weight @ dh)
        bent, across = model.folded(columns.diagonal), model.folded(columns.rank_one)
        mean = (across * moved).sum(axis=0)
        inner = (bent * moved - across * mean) * warm * model.loss_weights
        weights = decay.features * model.feature_weights
        image_w = inner @ state.features.T + slope @ dh.T + decay.weight * dw
        image_h = state.weight.T @ inner + dw.T @ slope + weights * dh
        size = float(np.sum(np.abs(bent * moved**2) * model.loss_weights) + np.sum(model.loss_weights * mean**2))
        size += 2.0 * float(np.sum(np.abs(slope) * (np.abs(dw) @ np.abs(dh))))
        size += decay.weight * float(np.sum(dw**2)) + float(np.sum(weights * dh**2))
        return image_w, image_h, size

    def rayleigh(self, state: State, dw: Floats, dh: Floats) -> tuple[float, float]:
        """Enclosure of ``<v, H v> / <v, v>``."""
        image_w, image_h, size = self.hessian(state, dw, dh)
        square = float(np.sum(dw**2) + np.sum(dh**2))
        quotient = float(np.vdot(dw, image_w) + np.vdot(dh, image_h)) / square
        terms = len(self.model.labels) + sum(state.weight.shape) + 64
        # Logits and probabilities carry relative errors of the size of the logits.
        logits = 4.0 + float(np.abs(state.weight @ state.features).max(initial=0.0))
        slack = 4.0 * terms * UNIT * logits * size / square
        return float(quotient - slack), float(quotient + slack)

    def lowest(self, state: State) -> tuple[Floats, Floats]:
        """Direction of least curvature, by Lanczos."""
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
        return np.concatenate([parts[0].ravel(), parts[1].ravel()])

    @staticmethod
    def parted(vector: Floats, state: State) -> tuple[Floats, Floats]:
        cut = state.weight.size
        return vector[:cut].reshape(state.weight.shape), vector[cut:].reshape(state.features.shape)
