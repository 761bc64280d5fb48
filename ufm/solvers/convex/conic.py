r"""The convex programs in cvxpy, solved by conic solvers with named tolerances.

* ``formulation="nuclear"``: the nuclear-norm program over K x K logits.
* ``formulation="sdp"``: Fang et al.'s semidefinite relaxation over ``X`` in S_+^{2K}, whose off-diagonal block holds the
  logits and whose diagonal blocks are the Gram matrices of W and H (PNAS 2021, eq. 8). Equal to the nuclear-norm program
  (docs/theory, Proposition 1.11).

Features of a fixed norm have one form only: the matrix X with diagonal entries of at most one in the block of H, and the trace
of the block of W as the price (docs/theory, Proposition 12.2).

The point that the interior-point or ADMM solver returns is judged by the certificate, not by the solver's own status.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from ufm._arrays import Floats
from ufm.certify.normalised import NormalisedBounds
from ufm.errors import ConvergenceError, InputError
from ufm.problem.problem import Problem
from ufm.solvers.base import check_fit
from ufm.solvers.convex.normalised import CosineModel, SphereModel, Spheres
from ufm.solvers.normalised import conclude_normalised
from ufm.solvers.solution import Solution, Stats, check_options, conclude
from ufm.spectral.loss import BoundLoss
from ufm.spectral.program import Factors, LogitProgram, Point

PROFILES: dict[str, tuple[str, dict[str, Any]]] = {
    "clarabel": ("CLARABEL", {}),
    "clarabel-1e-9": ("CLARABEL", {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}),
    "scs": ("SCS", {}),
    "scs-1e-9": ("SCS", {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 200_000}),
}
"""Solver and tolerances by name; ``clarabel`` and ``scs`` are the solvers' defaults."""
MAX_CLASSES = {"CLARABEL": 50, "SCS": 200}
"""Largest K of each solver, by memory and running time on a desktop computer."""


@dataclass(frozen=True, kw_only=True)
class Convex:
    """cvxpy on the K x K program.

    Parameters
    ----------
    profile : str
        A key of `PROFILES`.
    formulation : {"nuclear", "sdp"}
        The same for features of a fixed norm.
    tolerance : float
        Certified relative gap that counts as solved.

    Raises
    ------
    InputError
        An unknown profile or formulation, or a tolerance out of range.
    """

    profile: str = "clarabel"
    formulation: str = "nuclear"
    tolerance: float = 1e-6
    name = "convex"

    def __post_init__(self) -> None:
        check_options(self.tolerance)
        if not isinstance(self.profile, str) or self.profile not in PROFILES:
            raise InputError(f"profile is {self.profile!r}; choose one of {', '.join(PROFILES)}")
        if self.formulation not in ("nuclear", "sdp"):
            raise InputError(f"formulation is {self.formulation!r}; choose 'nuclear' or 'sdp'")

    def unfit(self, problem: Problem) -> str | None:
        """Why this solver cannot take the problem, or None."""
        program = problem.program()
        if not (program.penalty.nuclear or program.penalty.feature_norms):
            return f"it needs a multiple of the nuclear norm or a bound on it, and the head is {problem.head}"
        if type(program.loss).expression is BoundLoss.expression:
            return f"the loss {problem.loss} is not stated as a conic program (it has no `expression`)"
        if not problem.wide:
            return f"it assumes dim >= {problem.needed}, and dim is {problem.dim}"
        limit = MAX_CLASSES[PROFILES[self.profile][0]]
        if program.classes > limit:
            return f"profile {self.profile!r} takes at most K={limit} classes, and there are {program.classes}"
        return None

    def __call__(self, problem: Problem) -> Solution:
        """Solve; ``stats.iterations`` are those of the conic solver.

        Raises
        ------
        InputError
            The problem does not fit.
        ConvergenceError
            The conic solver failed, or returned no point at all.
        """
        start = perf_counter()
        check_fit(self, problem)
        program = problem.program().split()
        point, gram, iterations = self._conic(program)
        if program.penalty.feature_norms:
            reached, found = _from_gram(problem, program, point, gram)
            stats = Stats(iterations, iterations, perf_counter() - start)
            return conclude_normalised(problem, self.name, reached, found, stats, self.tolerance)
        # Small singular values of a conic solver are errors; the optimum needs no more dimensions than these.
        u, sigma, vt = np.linalg.svd(point.core)
        rank = min(problem.needed, problem.width)
        factors = program.factors(point, (u[:, :rank], sigma[:rank], vt[:rank]))
        stats = Stats(iterations, iterations, perf_counter() - start)
        return conclude(problem, self.name, program, factors, None, stats, self.tolerance)

    def _conic(self, program: LogitProgram) -> tuple[Point, Floats, int]:
        """The conic solver's point, its Gram matrix of W and H where it has one, and its number of iterations."""
        import cvxpy as cp

        classes = program.groups
        logits: Any
        constraints: list[Any] = []
        penalty = program.penalty
        gram: Any = None
        if self.formulation == "sdp" or penalty.feature_norms:
            gram = cp.Variable((2 * classes, 2 * classes), PSD=True)
            core = gram[:classes, classes:]
            half_traces = 0.5 * cp.trace(gram)
        else:
            core = cp.Variable((classes, classes))
            half_traces = cp.normNuc(core)
        logits = core @ np.diag(1.0 / program.scale)
        regular: Any = 0.0
        if penalty.row_norms:
            constraints += [cp.diag(gram)[:classes] <= penalty.scale**2, cp.diag(gram)[classes:] <= 1.0]  # type: ignore[attr-defined]
        elif penalty.feature_norms:
            regular = 0.5 * penalty.effective * cp.trace(gram[:classes, :classes])  # type: ignore[attr-defined]
            constraints += [cp.diag(gram)[classes:] <= 1.0]
        elif not penalty.ball:
            regular = penalty.strength * half_traces
        else:
            if self.formulation == "sdp":
                constraints += [cp.trace(gram[:classes, :classes]) <= penalty.radius]
                constraints += [cp.trace(gram[classes:, classes:]) <= penalty.radius]
            else:
                constraints += [half_traces <= penalty.radius]
        bias = None
        if program.bias_decay is not None:
            bias = cp.Variable(classes)
            logits = logits + cp.reshape(bias, (classes, 1), order="C") @ np.ones((1, classes))
            if program.bias_decay:
                regular = regular + 0.5 * program.bias_decay * cp.sum_squares(bias)
            else:
                constraints += [cp.sum(bias) == 0] if program.loss.shift_invariant else []
        loss = program.loss.expression(cp, logits)
        task = cp.Problem(cp.Minimize(loss + regular), constraints)
        name, options = PROFILES[self.profile]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                task.solve(solver=name, **options)
            except cp.SolverError as error:
                raise ConvergenceError(
                    f"profile {self.profile!r} failed on this problem: {error}; try another profile"
                ) from None
        if core.value is None:
            raise ConvergenceError(f"profile {self.profile!r} returned no point (status {task.status}); try another profile")
        iterations = int(task.solver_stats.num_iters or 0)
        offset = np.zeros(classes) if bias is None else np.asarray(bias.value)
        written = np.zeros((0, 0)) if gram is None else np.asarray(gram.value, dtype=np.float64)
        return Point(np.zeros(classes), np.asarray(core.value), offset), written, iterations


def _from_gram(problem: Problem, program: LogitProgram, point: Point, gram: Floats) -> tuple[Factors, NormalisedBounds]:
    """Factors and bounds from a Gram matrix of W and features of norm one."""
    classes = program.groups
    values, vectors = np.linalg.eigh(0.5 * (gram + gram.T))
    rows = vectors * np.sqrt(np.maximum(values, 0.0))
    unit = np.concatenate([np.zeros((classes, 1)), rows[classes:]], axis=1)
    at = Spheres(np.zeros(classes), rows[:classes], point.bias, unit)
    cosines = program.penalty.row_norms
    model = CosineModel(program, 2 * classes) if cosines else SphereModel(program, problem.needed - 1)
    return model.certified(at, model.local(at))


__all__ = ["PROFILES", "Convex", "Factors"]
