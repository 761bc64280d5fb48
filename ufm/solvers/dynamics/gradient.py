r"""First-order dynamics on the sample-level parameters: W (K x d), H (d x N) and, for equilibrium heads, A (d x d).

Plain gradient descent, heavy ball, Nesterov and Adam on

.. math:: \frac1N \sum_i \ell_{y_i}(W z_i + b) + \tfrac{\lambda_W}{2} \|W\|_F^2 + \tfrac{\lambda_H}{2} \|H\|_F^2
          + \tfrac{\lambda_b}{2} \|b\|^2, \qquad z_i = h_i \text{ or } (I - A)^{-1} h_i,

or on the loss alone under norm budgets, with projection onto the budgets (of A onto its spectral budget, of features onto
their norm) after every step. The path records loss, certified gap and collapse metrics; the certificate comes from the class
means, since averaging features within classes never raises the objective (docs/theory, Propositions 1.1 and 12.1). On a linear
DEQ the descent can end above the optimum (docs/theory, file 9).
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from time import perf_counter

import numpy as np

from ufm._adam import adam
from ufm._arrays import Floats
from ufm.certify.normalised import NormalisedBounds
from ufm.certify.primal_dual import bounds
from ufm.errors import ConvergenceError, InputError
from ufm.metrics.network import measure
from ufm.problem.problem import Problem
from ufm.problem.regularizers import NormBudget
from ufm.solvers.base import check_fit
from ufm.solvers.convex.normalised import SphereModel, Spheres
from ufm.solvers.dynamics.samples import SampleModel, State
from ufm.solvers.normalised import conclude_normalised
from ufm.solvers.solution import Path, Solution, Stats, check_options, conclude
from ufm.spectral.program import Factors, Point

RULES = ("gd", "heavy-ball", "nesterov", "adam")
MAX_ENTRIES = 5_000_000
DIVERGED = 1e15


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
    random_state : int
    max_iterations : int
    tolerance : float
        Certified relative gap to stop at (checked whenever the path is recorded).
    records : int
        Number of path rows, geometrically spaced.

    Raises
    ------
    InputError
        An option out of range.
    """

    rule: str = "nesterov"
    step: float | None = None
    momentum: float = 0.9
    scale: float = 0.1
    random_state: int = 0
    max_iterations: int = 20_000
    tolerance: float = 1e-6
    records: int = 60
    name = "gradient"

    def __post_init__(self) -> None:
        check_options(self.tolerance, random_state=self.random_state, max_iterations=self.max_iterations, records=self.records)
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
        constrained = isinstance(problem.regularizer, NormBudget) or problem.head.constrained
        if problem.head.undecayed:
            return f"it does not project classifiers, whose norms the head {problem.head} fixes"
        if problem.head.surcharged:
            return f"the head {problem.head} charges singular values, which have no gradient by samples here"
        if self.rule == "adam" and constrained:
            return (
                "rule 'adam' needs unconstrained parameters (its rescaled steps, projected, come to rest away from the "
                "constrained optimum); choose 'gd', 'heavy-ball' or 'nesterov'"
            )
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Run the dynamics.

        Raises
        ------
        InputError
            The problem does not fit.
        ConvergenceError
            The step is so large that the parameters diverge.
        """
        start = perf_counter()
        check_fit(self, problem)
        model = SampleModel(problem)
        rng = np.random.default_rng(self.random_state)
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
                raise ConvergenceError(
                    f"step={update.last:g} made {self.rule} diverge at iteration {iteration}; give a smaller step"
                )
        program = problem.program().split()
        if problem.head.normalised:
            reached, proved = recorder.normalised(state)
            stats = Stats(iteration, update.evaluations, perf_counter() - start)
            name = f"{self.name}:{self.rule}"
            return conclude_normalised(problem, name, reached, proved, stats, self.tolerance, recorder.path())
        factors = recorder.factors(state)
        found = bounds(program, factors)
        if recorder.lower > found.lower:
            found = found._replace(lower=recorder.lower, slopes=recorder.slopes)
        stats = Stats(iteration, update.evaluations, perf_counter() - start)
        return conclude(problem, f"{self.name}:{self.rule}", program, factors, found, stats, self.tolerance, recorder.path())


class _Update:
    """One step of a rule, with the moments or the last move that the next step needs."""

    def __init__(self, options: Gradient, model: SampleModel) -> None:
        self.options, self.model = options, model
        self.memory: list[list[Floats]] = []
        self.evaluations = 0
        self.safety, self.lowest = 1.0, np.inf
        self.kept: State | None = None
        self.last = options.step or 0.0

    def __call__(self, state: State) -> State:
        options, model = self.options, self.model
        at = self._lookahead(state)
        value, gradient = model.value_and_gradient(at)
        self.evaluations += 1
        if options.step is None and options.rule != "adam":
            if not value <= 1.05 * self.lowest and self.kept is not None:
                # The curvature was underestimated: return to the best point without momentum, with half the step from now on.
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

    def _lookahead(self, state: State) -> State:
        """Where the gradient is taken: ahead along the last move for Nesterov, at the state for the others."""
        if self.options.rule != "nesterov" or not self.memory:
            return state
        momentum = self.options.momentum
        ahead = state.rebuilt([x + momentum * v for x, v in zip(state.present(), self.memory[0], strict=True)])
        return self.model.project(ahead)

    def _adam(self, slope: list[Floats]) -> list[Floats]:
        """Moves of Adam with a decreasing step."""
        count = self.evaluations
        # Without a decreasing step Adam circles the optimum at the size of the step.
        self.last = step = (self.options.step or 0.02) / np.sqrt(1.0 + count / 200.0)
        means = zip(*self.memory, strict=True) if self.memory else [None] * len(slope)
        found = [adam(g, pair, count, 1e-12) for g, pair in zip(slope, means, strict=True)]
        self.memory = [list(each) for each in zip(*(pair for _, pair in found), strict=True)]
        return [-step * direction for direction, _ in found]


class _Recorder:
    """Collects the path and the best lower bound."""

    def __init__(self, problem: Problem, model: SampleModel) -> None:
        self.problem, self.model = problem, model
        self.program = problem.program().split()
        self.lower = 0.0
        self.slopes = np.zeros_like(self.program.logit_counts)
        self.rows: list[tuple[int, float, float]] = []
        self.metrics: list[dict[str, float]] = []

    def factors(self, state: State) -> Factors:
        """Factors of the logits of the class means, in their singular directions: the least cost of these logits."""
        means = self.model.means(state)
        program = self.program
        bias = np.zeros(program.groups) if state.bias is None else state.bias
        u, sigma, vt = np.linalg.svd((means.weight @ means.outputs) * program.scale)
        rank = min(self.problem.width, int(np.count_nonzero(sigma > 1e-15 * sigma[0])))
        point = Point(np.zeros(program.groups), (u[:, :rank] * sigma[:rank]) @ vt[:rank], bias)
        return program.factors(point, (u[:, :rank], sigma[:rank], vt[:rank]))

    def normalised(self, state: State) -> tuple[Factors, NormalisedBounds]:
        """Factors of the class means, and their bounds, where features have a fixed norm."""
        means = self.model.means(state)
        norm = float(self.problem.program().penalty.norm)  # type: ignore[attr-defined]
        bias = np.zeros(self.program.groups) if state.bias is None else state.bias
        unit = np.concatenate([np.zeros((self.program.groups, 1)), means.features.T / norm], axis=1)
        spheres = SphereModel(self.program, means.weight.shape[1])
        at = Spheres(np.zeros(self.program.groups), means.weight * norm, bias, unit)
        return spheres.certified(at, spheres.local(at))

    def record(self, iteration: int, state: State) -> float:
        """Add a row; returns the relative gap."""
        loss = self.model.value_and_gradient(state)[0]
        normalised = self.problem.head.normalised
        found = self.normalised(state)[1] if normalised else bounds(self.program, self.factors(state))
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
        """The rows recorded so far."""
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
