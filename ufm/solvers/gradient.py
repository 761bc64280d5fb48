r"""First-order dynamics on the sample-level parameters: W (K x d), H (d x N) and, for equilibrium heads, A (d x d).

This is what theorists look at: plain gradient descent, heavy ball, Nesterov and Adam on

.. math:: \frac1N \sum_i \ell_{y_i}(W z_i + b) + \tfrac{\lambda_W}{2} \|W\|_F^2 + \tfrac{\lambda_H}{2} \|H\|_F^2
          + \tfrac{\lambda_b}{2} \|b\|^2, \qquad z_i = h_i \text{ or } (I - A)^{-1} h_i,

or on the loss alone under norm budgets, with projection onto the budgets (and of A onto its spectral budget) after
every step. The path records loss, certified gap and collapse metrics; the certificate comes from the class means, since
averaging features within classes never raises the objective.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ufm.certify.bounds import bounds
from ufm.errors import InputError
from ufm.geometry.measure import measure
from ufm.problem.heads import FixedETF, Parameters, ReLU
from ufm.problem.heads.base import Arrays
from ufm.problem.heads.equilibrium import Equilibrium
from ufm.problem.problem import Problem
from ufm.problem.regularizers import NormBudget, WeightDecay
from ufm.solvers.solution import Path, Solution, Stats, check_options, conclude
from ufm.spectral.program import Factors, Point

Floats = NDArray[np.float64]
RULES = ("gd", "heavy-ball", "nesterov", "adam")
MAX_ENTRIES = 5_000_000
DIVERGED = 1e15


class _State(NamedTuple):
    """W (K, d), H (d, N), the head's own arrays, and b (or None)."""

    weight: Floats
    features: Floats
    arrays: Arrays
    bias: Floats | None

    def present(self) -> list[Floats]:
        bias = [] if self.bias is None else [self.bias]
        return [self.weight, self.features, *self.arrays, *bias]

    def rebuilt(self, arrays: list[Floats]) -> _State:
        count = len(self.arrays)
        bias = None if self.bias is None else arrays[2 + count]
        return _State(arrays[0], arrays[1], tuple(arrays[2 : 2 + count]), bias)


@dataclass(frozen=True, kw_only=True)
class Gradient:
    """Gradient methods from a seeded random start.

    Parameters
    ----------
    rule : {"gd", "heavy-ball", "nesterov", "adam"}
    step : float or None
        Learning rate. None takes ``1 / L`` with L an estimate of the curvature at the current point for the first three
        rules, and ``0.02 / sqrt(1 + t / 200)`` for Adam. Under norm budgets the features move in the metric of their
        budget, that is with steps ``n_k`` times larger.
    momentum : float in [0, 1), of heavy ball and Nesterov
    scale : float > 0, standard deviation of the entries of W, and of H, at the start
    seed : int
    max_iterations : int
    tolerance : float
        Certified relative gap to stop at (checked whenever the path is recorded).
    records : int
        Number of path rows, geometrically spaced.
    """

    rule: str = "nesterov"
    step: float | None = None
    momentum: float = 0.9
    scale: float = 0.1
    seed: int = 0
    max_iterations: int = 20_000
    tolerance: float = 1e-6
    records: int = 60
    name = "gradient"

    def __post_init__(self) -> None:
        check_options(self.tolerance, seed=self.seed, max_iterations=self.max_iterations, records=self.records)
        if self.rule not in RULES:
            raise InputError(f"rule is {self.rule!r}; choose one of {', '.join(RULES)}")
        if self.step is not None and not (isinstance(self.step, Real) and 0 < self.step < np.inf):
            raise InputError(f"step is {self.step!r}; give a finite positive learning rate, or None")
        if not (isinstance(self.momentum, Real) and 0 <= self.momentum < 1):
            raise InputError(f"momentum is {self.momentum!r}; it must lie in [0, 1)")
        if not (isinstance(self.scale, Real) and 0 < self.scale < 1e6):
            raise InputError(f"scale is {self.scale!r}; give a positive number below 1e6: from zero no gradient method moves")

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        entries = (problem.counts.total + problem.counts.classes) * problem.width
        if entries > MAX_ENTRIES:
            return f"sample-level parameters would have {entries} entries, more than {MAX_ENTRIES}; use another method"
        constrained = isinstance(problem.regularizer, NormBudget) or isinstance(problem.head, Equilibrium | ReLU)
        if self.rule == "adam" and constrained:
            return (
                "rule 'adam' needs unconstrained parameters (its rescaled steps, projected, come to rest away from the "
                "constrained optimum); choose 'gd', 'heavy-ball' or 'nesterov'"
            )
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Run the dynamics."""
        start = perf_counter()
        reason = self.unfit(problem)
        if reason is not None:
            raise InputError(f"method 'gradient' does not fit: {reason}")
        model = _Model(problem)
        rng = np.random.default_rng(self.seed)
        state = model.project(model.initial(rng, self.scale))
        update = _Update(self, model)
        wanted = _schedule(self.max_iterations, self.records)
        recorder = _Recorder(problem, model)
        iteration = 0
        while True:
            if iteration in wanted:
                solved = recorder.record(iteration, state)
                if solved <= self.tolerance or iteration >= self.max_iterations or recorder.at_rest(iteration):
                    break
            with np.errstate(over="ignore", invalid="ignore"):
                state = update(state)
            iteration += 1
            if not all(np.abs(array).max(initial=0.0) < DIVERGED for array in state.present()):
                raise InputError(f"step={update.last:g} made {self.rule} diverge at iteration {iteration}; give a smaller step")
        program = problem.program().split()
        factors = recorder.factors(state)
        found = bounds(program, factors)
        if recorder.lower > found.lower:
            found = found._replace(lower=recorder.lower, slopes=recorder.slopes)
        stats = Stats(iteration, update.evaluations, perf_counter() - start)
        return conclude(problem, f"{self.name}:{self.rule}", program, factors, found, stats, self.tolerance, recorder.path())


class _Model:
    """Sample-level objective, gradient and projection of a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.head, self.regularizer = problem, problem.head, problem.regularizer
        self.sizes = np.array([float(n) for n in problem.counts])
        self.labels = np.repeat(np.arange(len(self.sizes)), [int(n) for n in self.sizes])
        self.total = len(self.labels)
        self.rows = np.arange(self.total)
        decay = self.regularizer
        self.decay = decay if isinstance(decay, WeightDecay) else None
        weights = 1.0 / self.sizes[self.labels]
        per_sample = self.decay is not None and not self.decay.per_class
        self.feature_weights = np.ones(self.total) if per_sample else weights
        # Projection onto a weighted ball is a rescaling only in the metric of its weights.
        self.metric = np.ones(self.total) if self.decay is not None else 1.0 / weights
        self.program = problem.program().split()
        self.loss_weights = self.program.share[self.labels] / self.sizes[self.labels]
        self.multiplicity = np.ones((len(self.sizes) + 1, self.total))
        self.multiplicity[self.labels, self.rows] = 0.0
        self.fixed = self.head.fixed_weight(self.regularizer, len(self.sizes), problem.width)

    def initial(self, rng: np.random.Generator, scale: float) -> _State:
        classes, dim = len(self.sizes), self.problem.width
        weight = scale * rng.standard_normal((classes, dim))
        features = scale * rng.standard_normal((dim, self.total))
        biased = self.regularizer.bias_decay() is not None
        if self.fixed is not None:
            weight = self.fixed
        if isinstance(self.head, ReLU):
            features = np.abs(features)
        return _State(weight, features, self.head.initial(dim, rng, scale), np.zeros(classes) if biased else None)

    def value_and_gradient(self, state: _State) -> tuple[float, _State]:
        outputs, pullback = self.head.forward(state.arrays, state.features)
        logits = state.weight @ outputs
        if state.bias is not None:
            logits = logits + state.bias[:, None]
        warm = self.program.loss.temperature[:, None]
        logits *= warm
        columns = self.program.loss.columns(np.vstack([logits, logits[self.labels, self.rows]]), self.multiplicity, self.labels)
        value = float(self.loss_weights @ columns.values)
        mass = columns.gradient[:-1]
        mass[self.labels, self.rows] = columns.gradient[-1]
        mass *= warm * self.loss_weights
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
            value += 0.5 * decay.features * float(self.feature_weights @ np.sum(state.features**2, axis=0))
            weight = weight + decay.weight * state.weight
            features = features + decay.features * self.feature_weights * state.features
            if bias is not None and state.bias is not None and decay.bias:
                value += 0.5 * decay.bias * float(state.bias @ state.bias)
                bias = bias + decay.bias * state.bias
        if self.fixed is not None:
            weight = np.zeros_like(weight)
        return value, _State(weight, features * self.metric, arrays, bias)

    def project(self, state: _State) -> _State:
        """Onto the norm budgets and the head's own constraint."""
        regularizer, classes = self.regularizer, len(self.sizes)
        arrays = self.head.project(state.arrays, regularizer, classes)
        weight, features = state.weight, self.head.project_features(state.features)
        if self.fixed is not None:
            weight = self.fixed
            if isinstance(self.head, FixedETF) and isinstance(regularizer, NormBudget) and not self.head.average:
                lengths = np.linalg.norm(features, axis=0)
                return _State(weight, features * np.minimum(1.0, np.sqrt(regularizer.features) / lengths), arrays, state.bias)
        if isinstance(regularizer, NormBudget):
            size = float(np.sum(weight**2)) / (classes * regularizer.weight)
            weight = weight / np.sqrt(size) if size > 1 and self.fixed is None else weight
            size = float(self.feature_weights @ np.sum(features**2, axis=0)) / (classes * regularizer.features)
            features = features / np.sqrt(size) if size > 1 else features
        return _State(weight, features, arrays, state.bias)

    def curvature(self, state: _State) -> float:
        """Estimate of the Hessian's norm: loss curvature 1/2 through W and through z, their coupling, and the decay."""
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
        decay = max(self.decay.weight, self.decay.features) if self.decay is not None else 0.0
        if state.arrays:
            inner = float(np.linalg.norm(state.features @ state.features.T, 2)) / self.total
            through_weight *= 1.0 + weight**2 * gain**2
            through_weight += 0.5 * bend * weight**2 * gain**2 * inner * len(state.arrays)
            decay = max(decay, getattr(self.head, "decay", 0.0))
        bias = 0.5 * bend if state.bias is not None else 0.0
        return through_features + through_weight + coupling + decay + bias

    def means(self, state: _State) -> Parameters:
        """Parameters with each feature replaced by its class mean."""
        sums = np.zeros((state.features.shape[0], len(self.sizes)))
        np.add.at(sums.T, self.labels, state.features.T)
        return self.head.parameters(state.weight, sums / self.sizes, state.arrays, state.bias)


class _Update:
    """One step of a rule; keeps its memory."""

    def __init__(self, options: Gradient, model: _Model) -> None:
        self.options, self.model = options, model
        self.memory: list[list[Floats]] = []
        self.evaluations = 0
        self.safety, self.lowest = 1.0, np.inf
        self.kept: _State | None = None
        self.last = options.step or 0.0

    def __call__(self, state: _State) -> _State:
        options, model = self.options, self.model
        at = self._lookahead(state)
        value, gradient = model.value_and_gradient(at)
        self.evaluations += 1
        if options.step is None and options.rule != "adam":
            if not value <= 1.05 * self.lowest and self.kept is not None:
                # The curvature was underestimated: back to the best point, at rest, with half the step for good.
                self.safety *= 2.0
                self.memory = []
                state = at = self.kept
                value, gradient = model.value_and_gradient(at)
                self.evaluations += 1
            if value < self.lowest:
                self.lowest, self.kept = value, at
            self.last = 1.0 / (self.safety * model.curvature(at))
        slope = gradient.present()
        if options.rule == "adam":
            moves = self._adam(slope)
        else:
            moves = [-self.last * g for g in slope]
            if options.rule == "heavy-ball" and self.memory:
                moves = [m + options.momentum * v for m, v in zip(moves, self.memory[0], strict=True)]
        after = model.project(state.rebuilt([x + m for x, m in zip(at.present(), moves, strict=True)]))
        if options.rule != "adam":
            self.memory = [[b - a for a, b in zip(state.present(), after.present(), strict=True)]]
        return after

    def _lookahead(self, state: _State) -> _State:
        """Where the gradient is taken: ahead along the last move for Nesterov, here for the others."""
        if self.options.rule != "nesterov" or not self.memory:
            return state
        momentum = self.options.momentum
        ahead = state.rebuilt([x + momentum * v for x, v in zip(state.present(), self.memory[0], strict=True)])
        return self.model.project(ahead)

    def _adam(self, slope: list[Floats]) -> list[Floats]:
        if not self.memory:
            self.memory = [[np.zeros_like(g) for g in slope], [np.zeros_like(g) for g in slope]]
        first, second = self.memory
        count = self.evaluations
        # Without a decreasing step Adam circles the optimum at the size of the step.
        self.last = step = (self.options.step or 0.02) / np.sqrt(1.0 + count / 200.0)
        moves = []
        for i, g in enumerate(slope):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            mean, square = first[i] / (1 - 0.9**count), second[i] / (1 - 0.999**count)
            moves.append(-step * mean / (np.sqrt(square) + 1e-12))
        return moves


class _Recorder:
    """Collects the path and the best lower bound."""

    def __init__(self, problem: Problem, model: _Model) -> None:
        self.problem, self.model = problem, model
        self.program = problem.program().split()
        self.lower = 0.0
        self.slopes = np.zeros_like(self.program.others)
        self.rows: list[tuple[int, float, float]] = []
        self.metrics: list[dict[str, float]] = []

    def factors(self, state: _State) -> Factors:
        """Factors of the logits of the class means, in their singular directions: the least cost of these logits."""
        means = self.model.means(state)
        program = self.program
        bias = np.zeros(program.groups) if state.bias is None else state.bias
        u, sigma, vt = np.linalg.svd((means.weight @ means.outputs) * program.scale)
        rank = min(self.problem.width, int(np.count_nonzero(sigma > 1e-15 * sigma[0])))
        point = Point(np.zeros(program.groups), (u[:, :rank] * sigma[:rank]) @ vt[:rank], bias)
        return program.factors(point, (u[:, :rank], sigma[:rank], vt[:rank]))

    def record(self, iteration: int, state: _State) -> float:
        """Add a row; returns the relative gap."""
        loss = self.model.value_and_gradient(state)[0]
        found = bounds(self.program, self.factors(state))
        if found.lower > self.lower:
            self.lower, self.slopes = found.lower, found.slopes
        gap = max(found.upper - self.lower, 0.0)
        outputs = self.model.head.forward(state.arrays, state.features)[0]
        self.rows.append((iteration, loss, gap))
        self.metrics.append(measure(outputs.T, self.model.labels, weight=state.weight, bias=state.bias))
        return gap / found.upper

    def at_rest(self, iteration: int) -> bool:
        """Whether a program that is not convex, whose gap cannot close, has stopped improving."""
        if self.program.penalty.convex or len(self.rows) < 2 or iteration < 1000:
            return False
        before, now = self.rows[-2][1], self.rows[-1][1]
        return abs(before - now) <= 1e-13 * abs(now)

    def path(self) -> Path:
        iteration, loss, gap = zip(*self.rows, strict=True)
        names = self.metrics[0]
        return Path(
            np.array(iteration),
            np.array(loss),
            np.array(gap),
            {name: np.array([row[name] for row in self.metrics]) for name in names},
        )


def _schedule(last: int, records: int) -> set[int]:
    """0, the last iteration, and about ``records`` iterations between, denser at the start."""
    points = np.geomspace(1, last, max(records - 1, 1))
    return {0, last, *(round(float(p)) for p in points)}
