r"""Any number of groups: descent on unit vectors of the groups, without a constraint on their Gram matrix.

The unknowns are the means ``p_g`` (as many dimensions as groups) and spreads ``s_g`` of `ClassVectors`, divided by their
lengths. Every Gram matrix of the reduced program has this form, so that a minimum of the factored problem with a feasible dual
point is the optimum of the convex one (docs/theory, Proposition 13.4); the bounds decide whether it is. Three stages: L-BFGS; a
trust region with truncated Newton steps; Newton steps on the stationarity equations with MINRES, of which the one with the
smallest gap counts. Rows are scaled by the curvature of their group, which spans the square of the class sizes.
"""

from __future__ import annotations

import numpy as np

from ufm._arrays import Floats
from ufm.contrastive.dual import dual_gap
from ufm.contrastive.program import ClassVectors, GramProgram

ROUNDS = 12
"""Most rounds of the trust region, each with scales of its own."""
STEPS = 12
"""Most Newton steps."""


def descend(program: GramProgram, random_state: int = 0, *, tolerance: float = 1e-14) -> tuple[ClassVectors, int]:
    """Vectors with the smallest gap found, and the number of iterations.

    Parameters
    ----------
    program : GramProgram
        Its sign constraint is ignored.
    random_state : int, seed of the vectors at the start
    tolerance : float
        Gap, relative to ``min(1, 1 / tau)``, at which the search ends.

    Returns
    -------
    tuple of ClassVectors and int
    """
    from scipy.optimize import minimize

    search = _Factored(program, np.sqrt(program.multiplicity * program.share))
    groups = len(program.groups)
    start = np.random.default_rng(random_state).normal(size=(groups, groups + 1))
    start[search.single, -1] = 0.0
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    options = {"ftol": 1e-18, "gtol": 1e-15, "maxiter": 300, "maxfun": 600, "maxcor": 30}
    # The metric of L-BFGS is set by the lengths of the rows before normalisation.
    found = minimize(search.objective, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    rows, iterations = search.rows(found.x)[0], int(found.nit)
    target = tolerance * min(1.0, 1.0 / program.temperature)
    best = (dual_gap(program, search.vectors(rows)), rows)
    options = {"maxiter": 200, "gtol": 1e-16}
    for _ in range(ROUNDS):
        search = search.rescaled(rows)  # a trust region stops where rounding of the objective hides its progress
        found = minimize(
            search.objective, search.point(rows), jac=True, hessp=search.hessian_product, method="trust-ncg", options=options
        )
        rows, iterations = search.rows(found.x)[0], iterations + int(found.nit)
        gap = dual_gap(program, search.vectors(rows))
        best = min(best, (gap, rows), key=lambda pair: pair[0])
        if gap <= target or found.nit == 0:
            break
    best, steps = _newton(program, best, target)
    return search.vectors(best[1]), iterations + steps


def _newton(program: GramProgram, best: tuple[float, Floats], target: float) -> tuple[tuple[float, Floats], int]:
    """Newton steps on the stationarity equations from the best rows; the best gap with its rows, and the number of steps."""
    from scipy.sparse.linalg import LinearOperator, minres

    search, rows, steps = _Factored(program, np.ones(len(best[1]))), best[1], 0
    while best[0] > target and steps < STEPS:
        search = search.rescaled(rows)
        point = search.point(rows)
        slope = search.objective(point)[1]
        operator = LinearOperator((point.size, point.size), matvec=lambda d, s=search, x=point: s.hessian_product(x, d))  # type: ignore[call-arg]
        rows, steps = search.rows(point + minres(operator, -slope, rtol=1e-10, maxiter=600)[0])[0], steps + 1
        gap = dual_gap(program, search.vectors(rows))
        if steps > 3 and not gap < 0.5 * best[0]:
            break
        best = min(best, (gap, rows), key=lambda pair: pair[0])
    return best, steps


class _Factored:
    """The objective as a function of rows ``(p_g, s_g)`` of free length, each multiplied by a scale of its own."""

    def __init__(self, program: GramProgram, scale: Floats) -> None:
        self.program, self.scale = program, scale[:, None]
        self.m = program.multiplicity
        self.single = self.m <= 1
        self.stretch = np.where(self.single, 0.0, self.m / np.maximum(self.m - 1, 1))

    def rescaled(self, rows: Floats) -> _Factored:
        """The same with rows scaled by the inverse root of their curvature at these unit rows."""
        program = self.program
        cosines = self._cosines(rows)
        pairs = program.slopes(cosines).pairs
        own = np.diag(pairs)
        curvature = (self.m - 1) * own - ((program.others * pairs) * cosines).sum(axis=1)
        return _Factored(program, 1.0 / np.sqrt(self.m * np.maximum(curvature, program.share * 1e-9)))

    def vectors(self, rows: Floats) -> ClassVectors:
        return ClassVectors(rows[:, :-1].copy(), np.abs(rows[:, -1]))

    def point(self, rows: Floats) -> Floats:
        """Flat unknowns of unit rows."""
        return (rows / self.scale).ravel()

    def rows(self, x: Floats) -> tuple[Floats, Floats]:
        """Unit rows of flat unknowns, (G, r + 1), and their lengths before, (G, 1)."""
        free = x.reshape(len(self.m), -1) * self.scale
        length = np.linalg.norm(free, axis=1, keepdims=True)
        return free / length, length

    def objective(self, x: Floats) -> tuple[float, Floats]:
        """f and its gradient by the flat unknowns."""
        rows, length = self.rows(x)
        slopes = self.program.slopes(self._cosines(rows))
        force = self._force(slopes.pairs, rows)
        force -= rows * (rows * force).sum(axis=1, keepdims=True)
        return slopes.value, (force / length * self.scale).ravel()

    def hessian_product(self, x: Floats, direction: Floats) -> Floats:
        """The Hessian at flat unknowns times a direction."""
        program = self.program
        rows, length = self.rows(x)
        free = direction.reshape(rows.shape) * self.scale
        lengthening = (rows * free).sum(axis=1, keepdims=True)
        turn = (free - rows * lengthening) / length
        each, total = program.terms(self._cosines(rows))
        one_way = program.share[:, None] * each / total[:, None] / program.temperature
        mixed = rows[:, :-1] @ turn[:, :-1].T
        moved = mixed + mixed.T
        np.fill_diagonal(moved, -2.0 * rows[:, -1] * turn[:, -1] * self.stretch)
        rate = (program.others * each * moved).sum(axis=1) / program.temperature / total
        one_way_moved = one_way * (moved / program.temperature - rate[:, None])
        pairs, pairs_moved = 0.5 * (one_way + one_way.T), 0.5 * (one_way_moved + one_way_moved.T)
        force = self._force(pairs, rows)
        changed = self._force(pairs_moved, rows) + self._force(pairs, turn)
        radial = (rows * force).sum(axis=1, keepdims=True)
        along = (turn * force).sum(axis=1, keepdims=True) + (rows * changed).sum(axis=1, keepdims=True)
        result = -lengthening / length**2 * (force - rows * radial) + (changed - turn * radial - rows * along) / length
        return (result * self.scale).ravel()

    def _cosines(self, rows: Floats) -> Floats:
        found = rows[:, :-1] @ rows[:, :-1].T
        np.fill_diagonal(found, 1.0 - rows[:, -1] ** 2 * self.stretch)
        return found

    def _force(self, pairs: Floats, rows: Floats) -> Floats:
        """Derivative of ``sum over ordered pairs of classes of pairs_kj g_kj`` by the rows."""
        own = np.diag(pairs)[:, None]
        means = (pairs * self.m) @ rows[:, :-1] - own * rows[:, :-1]
        spread = np.where(self.single, 0.0, -own[:, 0] * rows[:, -1])
        return 2.0 * self.m[:, None] * np.column_stack([means, spread])
