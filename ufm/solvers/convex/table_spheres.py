r"""Tables of targets with features of a fixed norm, on W and features on their spheres.

The unknowns are W (K x r), a bias, and a unit vector for each context; the objective ``f(W H, b) + e/2 |W|^2`` with the
effective decay e is smooth, and with one column more than the rank of the logits every point that satisfies the second-order
conditions is the optimum (docs/theory, Proposition 12.13). The search is that of `ufm.solvers.convex.normalised`: L-BFGS, then
Newton steps on the product of spheres. The multipliers of the norms are the weights of the contexts that the certificate needs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ufm._arrays import Floats
from ufm.certify.certificate import Certificate
from ufm.certify.table_normalised import NormalisedTableBounds, normalised_table_bounds
from ufm.problem.problem import Problem
from ufm.solvers.convex.normalised import FIRST, KICK, Local, SphereModel, Spheres, descended, minimise_on_spheres
from ufm.solvers.solution import Solution, Stats, Status
from ufm.spectral.table_program import TableFactors, TableProgram

SPANNED = 1e-8
"""Relative singular value of W below which a dimension counts as unused."""
PATH = 1e-3
"""Effective decay at which the path to smaller ones begins."""
STEPS = 100
"""Iterations of L-BFGS at each decay of the path, and before dimensions that W leaves unused are cut off."""
UNUSED = 1e-3
"""Relative singular value of W below which a dimension is cut off then; the certificate says whether too many were."""
STARTS = 6
"""Starts of a model that is too narrow for its program."""


class TableSpheres(SphereModel):
    """The objective of one table at a number of columns, with its derivatives; counts evaluations.

    Points are `Spheres` without contrasts: ``left`` is W (K, r), ``bias`` (K,), and ``unit`` has the features as rows (M, r).

    Parameters
    ----------
    program : TableProgram, whose penalty is a `FeatureNorms`
    rank : int, number r of columns of W
    """

    program: TableProgram  # type: ignore[assignment]
    dense = 240

    def __init__(self, program: TableProgram, rank: int) -> None:
        self.program, self.rank = program, rank
        self.effective = float(program.penalty.effective)  # type: ignore[attr-defined]
        self.radius = None
        self.biased = program.bias_decay is not None
        self.evaluations = self.iterations = 0

    def local(self, at: Spheres) -> Local:
        """Value and gradient."""
        self.evaluations += 1
        smooth = self.program.smooth(at.left @ at.unit.T, at.bias)
        value = smooth.value + 0.5 * self.effective * float(np.vdot(at.left, at.left))
        unit = smooth.gradient.T @ at.left
        left = smooth.gradient @ at.unit + self.effective * at.left
        gradient = Spheres(at.contrast, left, smooth.bias_gradient, unit)
        rows = np.full(self.program.rows, self.effective)
        return Local(value, gradient, smooth, -(unit * at.unit).sum(axis=1), rows)  # type: ignore[arg-type]

    def tangent(self, at: Spheres, move: Spheres) -> Spheres:
        """The direction with its part along the features removed."""
        unit = move.unit - (move.unit * at.unit).sum(axis=1)[:, None] * at.unit
        return move._replace(bias=move.bias if self.biased else np.zeros_like(move.bias), unit=unit)

    def bend(self, at: Spheres, local: Local, move: Spheres) -> Spheres:
        """Riemannian second derivative along a tangent direction."""
        image, bias = self.program.hessian(local.smooth, move.left @ at.unit.T + at.left @ move.unit.T, move.bias)  # type: ignore[arg-type]
        slope: Floats = local.smooth.gradient  # type: ignore[assignment]
        left = image @ at.unit + slope @ move.unit + self.effective * move.left
        unit = image.T @ at.left + slope.T @ move.left + local.multipliers[:, None] * move.unit
        return self.tangent(at, Spheres(move.contrast, left, bias, unit))

    def logit_size(self, at: Spheres) -> float:
        """The largest logit without bias."""
        return float(np.abs(at.left @ at.unit.T).max())

    def near(self, at: Spheres) -> Spheres:
        """A point closer to the optimum: led along larger decays, where the valley is not yet narrow, to the wanted one."""
        wanted = self.effective
        levels = np.geomspace(PATH, wanted, 2 + round(np.log10(PATH / wanted)))[:-1] if wanted < PATH else []
        for count, effective in enumerate(levels):
            self.effective = float(effective)
            if count and at.flat().size <= self.dense:
                at = descended(self, at, 1e-8, 60)[0]
            else:
                at = self.first_order(at, STEPS if count else FIRST)
        self.effective = wanted
        return self.first_order(at, STEPS if len(levels) else FIRST)

    def second(self, at: Spheres, local: Local) -> Floats:
        """(n, n) Riemannian second derivative, column by column."""
        shapes = [part.shape for part in at]
        ends = np.cumsum([part.size for part in at])[:-1]
        columns = []
        for row in np.eye(at.flat().size):
            part = Spheres(*(p.reshape(shape) for p, shape in zip(np.split(row, ends), shapes, strict=True)))
            columns.append(self.bend(at, local, self.tangent(at, part)).flat())
        found = np.array(columns)
        return 0.5 * (found + found.T)

    def preconditioner(self, at: Spheres, local: Local) -> Callable[[Spheres], Spheres]:
        """One over an estimate of the diagonal of `bend`, along the singular directions of W."""
        loss, share = self.program.loss, self.program.share
        curved = loss.diagonal(local.smooth.probabilities) * share  # type: ignore[attr-defined]
        turn = np.linalg.eigh(at.left.T @ at.left)[1]
        pull = np.maximum(local.multipliers, 1e-6 * float(np.abs(local.multipliers).max()) + 1e-300)
        left = 1.0 / (self.effective + curved @ (at.unit @ turn) ** 2)
        unit = 1.0 / (pull[:, None] + curved.T @ (at.left @ turn) ** 2)
        rows = np.maximum(curved.sum(axis=1), 1e-12 * float(share.sum())) + (self.program.bias_decay or 0.0)

        def apply(part: Spheres) -> Spheres:
            scaled = ((part.left @ turn) * left) @ turn.T, ((part.unit @ turn) * unit) @ turn.T
            return self.tangent(at, Spheres(part.contrast, scaled[0], part.bias / rows, scaled[1]))

        return apply

    def start(self, rng: np.random.Generator | None = None) -> Spheres:
        """Features and W along the gradient of the loss at zero logits, at the best of some sizes; or random ones."""
        program, r = self.program, self.rank
        noise = np.random.default_rng(0) if rng is None else rng
        zero = program.smooth(np.zeros((program.rows, program.contexts)), np.zeros(program.rows))
        u, sigma, vt = np.linalg.svd(zero.gradient / program.share, full_matrices=False)
        kept = min(r, len(sigma))
        left, unit = np.zeros((program.rows, r)), np.zeros((program.contexts, r))
        if rng is None:
            root = np.sqrt(sigma[:kept] / max(float(sigma[0]), 1e-300))
            left[:, :kept], unit[:, :kept] = -u[:, :kept] * root, vt[:kept].T * root
            unit /= max(float(np.linalg.norm(unit, axis=1).max()), 1e-300)
        else:
            left, unit = program.centred(noise.standard_normal(left.shape)), noise.standard_normal(unit.shape)
        left = left / max(float(np.linalg.norm(left, axis=1).max()), 1e-300)
        # Without a part along every column the start would be a saddle.
        left, unit = left + KICK * noise.standard_normal(left.shape), unit + KICK * noise.standard_normal(unit.shape)
        at = self.normalised(Spheres(np.zeros(0), program.centred(left), np.zeros(program.rows), unit))
        tries = [at._replace(left=size * at.left) for size in np.geomspace(1e-6, 30.0, 16)]
        return min(tries, key=lambda trial: self.local(trial).value)

    def exact(self, at: Spheres) -> TableFactors:  # type: ignore[override]
        """W and the features, in no more dimensions than W spans: features do not get longer."""
        bias = at.bias if self.biased else np.zeros(self.program.rows)
        u, sigma, vt = np.linalg.svd(at.left, full_matrices=False)
        keep = sigma > SPANNED * float(sigma[0])
        return TableFactors(u[:, keep] * sigma[keep], vt[keep] @ at.unit.T, bias)

    def certified(self, at: Spheres, local: Local) -> tuple[TableFactors, NormalisedTableBounds]:  # type: ignore[override]
        """Factors of a point with their bounds, at the weights that its multipliers give."""
        factors, share = self.exact(at), self.program.share
        ratio = local.multipliers / share
        weights = np.maximum(ratio, 1e-12 * float(np.abs(ratio).max()) + 1e-200) * share
        return factors, normalised_table_bounds(self.program, factors, weights)


def solve_on_spheres(
    program: TableProgram, width: int, wide: bool, tolerance: float, max_iterations: int
) -> tuple[TableFactors, NormalisedTableBounds, TableSpheres]:
    """Factors of the smallest certified gap.

    Parameters
    ----------
    program : TableProgram, whose penalty is a `FeatureNorms`
    width : int, feature dimension
    wide : bool, whether the width suffices for every optimum
    tolerance : float, certified relative gap at which the search stops
    max_iterations : int, Newton steps at most

    Returns
    -------
    TableFactors, NormalisedTableBounds
    TableSpheres
        With the counts of iterations and evaluations.
    """
    model = TableSpheres(program, max(program.rank, 1) + 1)
    factors, found = _wide(model, tolerance, max_iterations)
    if wide:
        return factors, found, model  # type: ignore[return-value]
    # The weights and slopes of the wide model prove the lower bound; the upper one is that of the parameters themselves.
    narrow, best = TableSpheres(program, width), None
    rng = np.random.default_rng(0)
    for i in range(STARTS):
        *_, point = minimise_on_spheres(narrow, narrow.start(rng if i else None), tolerance, max_iterations)
        reached = narrow.exact(point)
        bounds = normalised_table_bounds(program, reached, found.program.scale**2, found.slopes)
        if best is None or bounds.upper < best[1].upper:
            best = reached, bounds
    assert best is not None
    narrow.iterations, narrow.evaluations = narrow.iterations + model.iterations, narrow.evaluations + model.evaluations
    return *best, narrow


def _wide(model: TableSpheres, tolerance: float, max_iterations: int) -> tuple[TableFactors, NormalisedTableBounds]:
    """The optimum of a wide model: large ones in few dimensions first, and in more where the certificate says too few."""
    start = model.start()
    if start.flat().size > model.dense:
        start = model.first_order(start, STEPS)
        _, sigma, vt = np.linalg.svd(start.left, full_matrices=False)
        kept = int(1.25 * np.count_nonzero(sigma > UNUSED * sigma[0])) + 2
        while kept < 0.75 * model.rank:
            small = TableSpheres(model.program, kept)
            small.kicks = 0
            at = small.normalised(start._replace(left=(start.left @ vt.T)[:, :kept], unit=start.unit @ vt[:kept].T))
            factors, found, at = minimise_on_spheres(
                small, small.kicked(at, np.random.default_rng(0)), tolerance, max_iterations
            )
            model.iterations, model.evaluations = model.iterations + small.iterations, model.evaluations + small.evaluations
            if found.upper - found.lower <= 10.0 * tolerance * found.upper:
                return factors, found  # type: ignore[return-value]
            more = ((0, 0), (0, model.rank - kept))
            start = at._replace(left=np.pad(at.left, more), unit=np.pad(at.unit, more))
            kept, vt = 2 * kept, np.eye(model.rank)
        start = model.kicked(start, np.random.default_rng(0))
    factors, found, _ = minimise_on_spheres(model, start, tolerance, max_iterations)
    return factors, found  # type: ignore[return-value]


def conclude_normalised_table(
    problem: Problem,
    method: str,
    factors: TableFactors,
    found: NormalisedTableBounds,
    stats: Stats,
    tolerance: float,
) -> Solution:
    """A solution with its certificate, and the status that the certificate proves.

    Parameters
    ----------
    problem : Problem, with a table of targets and a head that is `normalised`
    method : str, the solver's name
    factors : TableFactors, the point found
    found : NormalisedTableBounds, at these factors
    stats : Stats
    tolerance : float, certified relative gap that counts as solved

    Returns
    -------
    Solution
        Its program is the supporting program of the lower bound.
    """
    program = found.program
    certificate = Certificate(found.lower, found.upper, "float", problem, program, factors, found.slopes)  # type: ignore[arg-type]
    scale = found.upper
    if program.loss.quadratic:
        # Squared error may vanish at the optimum, so that its gap is also measured against the value of zero logits.
        scale = max(scale, float(program.share @ program.loss.values(np.zeros_like(program.loss.target))))
    status = Status.OPEN if problem.wide else Status.LOOSE
    if found.upper - found.lower <= tolerance * scale and problem.fits(factors.left.shape[1]):
        status = Status.OPTIMAL
    return Solution(status, method, found.value, certificate, stats, problem, program, factors)  # type: ignore[arg-type]
