r"""Models with bounded feature norms, on the factors: W, and features on their spheres.

In block form (docs/theory, Proposition 12.6) the unknowns are, for each group g, the length ``A_g`` of the classifiers'
contrast, a row ``L_g`` of W's means, and a unit vector ``y_g = (beta_g, R_g)`` that holds the features' contrast and mean. The
objective ``f + e/2 (|A|^2 + |L|^2)`` with the effective decay e is smooth, and with as many columns as groups every point that
satisfies the second-order conditions is the optimum (Proposition 12.7). L-BFGS comes close where there are many unknowns; then
Newton steps on the product of spheres finish, by eigenvalues where there are few unknowns and by conjugate gradients otherwise.
The multipliers of the norms are the weights of the classes that the certificate needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.certify.normalised import NormalisedBounds, cosine_bounds, normalised_bounds
from ufm.spectral.program import Evaluation, Factors, LogitProgram, Point

DENSE = 60
"""Number of unknowns up to which the Newton system is written out."""
MAX_CG = 400
MAX_KICKS = 3
KICK = 1e-2
"""Size of the random part of a start, and of a move away from a saddle."""
PATH = 1e-4
"""Effective decay at which the path to smaller ones begins."""
NOTHING = 1e-25
"""Gap at which the iteration stops whatever the optimum, for squared errors, which may vanish there."""
SPANNED = 1e-10
"""Relative singular value below which a dimension of W or of the features counts as unused."""
FIRST = 400
"""Iterations of L-BFGS before the Newton steps."""


class Spheres(NamedTuple):
    """A point, a direction or a gradient.

    contrast : (G,) float64, ``A``
    left : (G, r) float64, ``L``
    bias : (G,) float64
    unit : (G, 1 + r) float64, rows ``(beta_g, R_g)``, of length one at a point
    """

    contrast: Floats
    left: Floats
    bias: Floats
    unit: Floats

    def dot(self, other: Spheres) -> float:
        """Inner product."""
        return float(sum(np.vdot(a, b) for a, b in zip(self, other, strict=True)))

    def plus(self, step: float, other: Spheres) -> Spheres:
        """The sum with ``step`` times another."""
        return Spheres(*(a + step * b for a, b in zip(self, other, strict=True)))

    def flat(self) -> Floats:
        """(n,) all entries in one vector."""
        return np.concatenate([part.ravel() for part in self])


class Local(NamedTuple):
    """What is known at a point.

    value : float, the objective (nats)
    gradient : Spheres, by the ambient coordinates
    smooth : Evaluation of the loss
    multipliers : (G,) float64, of the norms: minus the inner product of each row of ``unit`` with its gradient
    rows : (G,) float64, price of each group's row of ``contrast`` and ``left``: the decay, or the multiplier of its norm
    """

    value: float
    gradient: Spheres
    smooth: Evaluation
    multipliers: Floats
    rows: Floats


class SphereModel:
    """The objective of one program at a number of columns, with its derivatives; counts evaluations.

    Parameters
    ----------
    program : LogitProgram, whose penalty is a `FeatureNorms`
    rank : int, number r of columns of the core

    Attributes
    ----------
    effective : float, ``decay / norm^2``, or 0 where classifiers have a norm
    radius : (G,) float64 or None, length of each group's row of ``contrast`` and ``left`` where classifiers have a norm
    dense : int, number of unknowns up to which the Newton system is written out
    kicks : int, moves away from saddles at most
    """

    dense = DENSE
    kicks = MAX_KICKS

    def __init__(self, program: LogitProgram, rank: int) -> None:
        m = program.multiplicity
        self.program, self.rank, self.groups = program, rank, program.groups
        self.effective = 0.0 if program.penalty.row_norms else float(program.penalty.effective)  # type: ignore[attr-defined]
        self.radius: Floats | None = None
        self.biased = program.bias_decay is not None
        self.alive = program.contrast_counts > 0
        self.root = np.sqrt(m)
        # Contrasts and cores of points are in units of the program's own column scale.
        self.reach = np.where(self.alive, self.root / np.maximum(program.contrast_counts, 1.0), 0.0) * program.scale
        self.columns = self.root * program.scale
        self.evaluations = self.iterations = 0

    def point(self, at: Spheres) -> Point:
        """The program's point with these logits."""
        core = (at.left @ at.unit[:, 1:].T) * self.columns
        return Point(at.contrast * at.unit[:, 0] * self.reach, core, at.bias)

    def local(self, at: Spheres) -> Local:
        """Value and gradient."""
        self.evaluations += 1
        smooth = self.program.smooth(self.point(at))
        e = self.effective
        value = smooth.value + 0.5 * e * (float(at.contrast @ at.contrast) + float(np.vdot(at.left, at.left)))
        along, core = smooth.gradient.contrast * self.reach, smooth.gradient.core * self.columns
        unit = np.concatenate([(along * at.contrast)[:, None], core.T @ at.left], axis=1)
        gradient = Spheres(
            along * at.unit[:, 0] + e * at.contrast, core @ at.unit[:, 1:] + e * at.left, smooth.gradient.bias, unit
        )
        return Local(value, gradient, smooth, -(unit * at.unit).sum(axis=1), self.row_prices(at, gradient))

    def logit_size(self, at: Spheres) -> float:
        """Upper bound on the logits without their bias, within a factor of two."""
        return self.program.logit_size(self.point(at))

    def near(self, at: Spheres) -> Spheres:
        """A point closer to the optimum, from which Newton steps begin."""
        return _followed(self, at) if at.flat().size <= self.dense else self.first_order(at)

    def second(self, at: Spheres, local: Local) -> Floats:
        """(n, n) Riemannian second derivative, written out, in the order of `Spheres.flat`."""
        return hessian_matrix(self, at, local)

    def preconditioner(self, at: Spheres, local: Local) -> Callable[[Spheres], Spheres]:
        """An approximate inverse of `bend`: one over an estimate of its diagonal."""
        inverse = _diagonal(self, at, local)
        return lambda part: self.tangent(at, Spheres(*(a * b for a, b in zip(part, inverse, strict=True))))

    def row_prices(self, at: Spheres, gradient: Spheres) -> Floats:
        """(G,) price of each group's row of W: the effective decay."""
        return np.full(self.groups, self.effective)

    def tangent(self, at: Spheres, move: Spheres) -> Spheres:
        """The direction with its part along the rows of ``unit``, and what does not exist, removed."""
        unit = move.unit - (move.unit * at.unit).sum(axis=1)[:, None] * at.unit
        unit[~self.alive, 0] = 0.0
        bias = move.bias if self.biased else np.zeros(self.groups)
        return Spheres(np.where(self.alive, move.contrast, 0.0), move.left, bias, unit)

    def bend(self, at: Spheres, local: Local, move: Spheres) -> Spheres:
        """Riemannian second derivative along a tangent direction.

        Parameters
        ----------
        at : Spheres, the point
        local : Local, what is known there
        move : Spheres, the direction

        Returns
        -------
        Spheres
        """
        first = Point(
            (move.contrast * at.unit[:, 0] + at.contrast * move.unit[:, 0]) * self.reach,
            (move.left @ at.unit[:, 1:].T + at.left @ move.unit[:, 1:].T) * self.columns,
            move.bias,
        )
        image = self.program.hessian(local.smooth, first)
        slope, e = local.smooth.gradient, local.rows
        along, along_image = slope.contrast * self.reach, image.contrast * self.reach
        core, core_image = slope.core * self.columns, image.core * self.columns
        unit = np.concatenate(
            [
                (along_image * at.contrast + along * move.contrast)[:, None],
                core_image.T @ at.left + core.T @ move.left,
            ],
            axis=1,
        )
        unit += local.multipliers[:, None] * move.unit
        found = Spheres(
            along_image * at.unit[:, 0] + along * move.unit[:, 0] + e * move.contrast,
            core_image @ at.unit[:, 1:] + core @ move.unit[:, 1:] + e[:, None] * move.left,
            image.bias,
            unit,
        )
        return self.tangent(at, found)

    def normalised(self, at: Spheres) -> Spheres:
        """The point with rows of ``unit`` scaled to length one."""
        lengths = np.linalg.norm(at.unit, axis=1)
        return at._replace(unit=at.unit / lengths[:, None])

    def start(self, rng: np.random.Generator | None = None) -> Spheres:
        """Simplex-ETF features and classifiers of the best height on balanced classes, or a random point of that size."""
        program, g, r = self.program, self.groups, self.rank
        m, classes = program.multiplicity, program.classes
        size = 1.0 - 1.0 / classes
        height = 1.0
        if self.radius is None:
            height = np.sqrt(size) * (1.0 if program.loss.quadratic else _height(classes, self.effective))
        spread = np.eye(g) - np.outer(self.root, self.root) / classes
        frame = np.eye(g)[:, :r] if r >= g else np.linalg.qr(np.random.default_rng(0).standard_normal((g, r)))[0]
        if rng is not None:
            frame = rng.standard_normal((g, frame.shape[1])) / np.sqrt(frame.shape[1])
        left, unit = np.zeros((g, r)), np.zeros((g, 1 + r))
        left[:, : frame.shape[1]] = height * spread @ frame
        unit[:, 1 : 1 + frame.shape[1]] = (spread / self.root).T @ frame
        unit[:, 0] = np.sqrt(np.where(self.alive, 1.0 - 1.0 / m, 0.0))
        contrast = height * np.sqrt(np.where(self.alive, program.contrast_counts, 0.0))
        if r and not (program.loss.shift_invariant and unit[:, 1:].any() and self.radius is None):
            # Without a part along the mean of all classes the start would be a saddle.
            noise = np.random.default_rng(0).standard_normal((2, g, r))
            left, unit[:, 1:] = left + KICK * height * noise[0], unit[:, 1:] + KICK * noise[1]
        return self.normalised(Spheres(contrast, left, np.zeros(g), unit))

    def first_order(self, at: Spheres, iterations: int = FIRST) -> Spheres:
        """L-BFGS on all coordinates, rows of ``unit`` divided by their lengths."""
        from scipy.optimize import minimize

        shapes = [part.shape for part in at]
        ends = np.cumsum([part.size for part in at])[:-1]
        unit = max(abs(self.local(at).value), 1e-250)

        def shaped(theta: Floats) -> Spheres:
            return Spheres(*(part.reshape(shape) for part, shape in zip(np.split(theta, ends), shapes, strict=True)))

        def objective(theta: Floats) -> tuple[float, Floats]:
            raw = shaped(theta)
            lengths = np.linalg.norm(raw.unit, axis=1)
            here = self.normalised(raw)
            local = self.local(here)
            slope = self.tangent(here, local.gradient)
            slope = slope._replace(unit=slope.unit / lengths[:, None])
            return local.value / unit, slope.flat() / unit

        options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20, "ftol": 1e-13, "gtol": 0.0}
        with np.errstate(over="ignore", invalid="ignore"):
            found = minimize(objective, at.flat(), jac=True, method="L-BFGS-B", options=options)
        self.iterations += int(found.nit)
        return self.normalised(shaped(found.x))

    @classmethod
    def full(cls, program: LogitProgram) -> SphereModel:
        """With as many columns as let no saddle be a minimum (docs/theory, Proposition 12.7)."""
        if program.penalty.row_norms:
            return CosineModel(program, 2 * program.groups + 1)
        return cls(program, program.groups + (0 if program.loss.shift_invariant else 1))

    def kicked(self, at: Spheres, rng: np.random.Generator) -> Spheres:
        """The point, moved at random."""
        # Beside the size of W; rows of fixed norms are rescaled afterwards.
        size = KICK * max(float(np.abs(at.left).max(initial=0.0)), float(np.abs(at.contrast).max(initial=0.0)))
        spread = (size, size, 0.0, KICK)
        noise = Spheres(*(s * rng.standard_normal(part.shape) for s, part in zip(spread, at, strict=True)))
        return self.normalised(at.plus(1.0, self.tangent(at, noise)))

    def factors(self, at: Spheres, weights: Floats) -> Factors:
        """Factors of the logits, the cheapest ones at weights (G,); `exact` keeps those of the point instead."""
        scale = np.sqrt(weights)
        u, sigma, vt = np.linalg.svd((at.left @ at.unit[:, 1:].T) * (self.root * scale))
        # No more columns than the point has, and none of the size of rounding errors.
        keep = np.arange(len(sigma)) < self.rank
        keep &= sigma > 4e-16 * len(sigma) * float(sigma.max(initial=0.0))
        size = np.sqrt(sigma[keep])
        left = u[:, keep] * size / self.root[:, None] / np.sqrt(self.effective)
        return self.exact(at)._replace(
            left=left, right=np.sqrt(self.effective) * size[:, None] * vt[keep] / (self.root * scale)
        )

    def exact(self, at: Spheres) -> Factors:
        """The factors of the point itself."""
        reach = np.where(self.alive, self.root / np.maximum(self.program.contrast_counts, 1.0), 0.0)
        contrast = at.contrast * at.unit[:, 0] * reach
        return Factors(contrast, at.left / self.root[:, None], at.unit[:, 1:].T.copy(), at.bias / self.root)

    def certified(self, at: Spheres, local: Local) -> tuple[Factors, NormalisedBounds]:
        """Factors of a point with their bounds, at the weights that its multipliers give."""
        weights = self.effective * local.multipliers / self.program.multiplicity
        weights = np.maximum(weights, 1e-12 * float(np.abs(weights).max()) + 1e-290)
        factors = self.factors(at, weights)
        return factors, normalised_bounds(self.program, factors, weights)


class CosineModel(SphereModel):
    """Features and classifiers of fixed norms: rows ``(A_g, L_g)`` have the length ``scale sqrt(m_g)`` (Proposition 12.12).

    Parameters
    ----------
    program : LogitProgram, whose penalty is a `Cosines`
    rank : int, number r of columns of the core
    """

    def __init__(self, program: LogitProgram, rank: int) -> None:
        super().__init__(program, rank)
        self.radius = float(program.penalty.scale) * self.root  # type: ignore[attr-defined]

    def row_prices(self, at: Spheres, gradient: Spheres) -> Floats:
        along = at.contrast * gradient.contrast + (at.left * gradient.left).sum(axis=1)
        return -along / self.radius**2  # type: ignore[operator]

    def tangent(self, at: Spheres, move: Spheres) -> Spheres:
        found = super().tangent(at, move)
        along = at.contrast * found.contrast + (at.left * found.left).sum(axis=1)
        share = along / self.radius**2  # type: ignore[operator]
        contrast, left = found.contrast - share * at.contrast, found.left - share[:, None] * at.left
        return found._replace(contrast=contrast, left=left)

    def normalised(self, at: Spheres) -> Spheres:
        lengths = np.sqrt(at.contrast**2 + (at.left**2).sum(axis=1))
        ratio = self.radius / np.where(lengths > 0, lengths, 1.0)  # type: ignore[operator]
        return super().normalised(at)._replace(contrast=at.contrast * ratio, left=at.left * ratio[:, None])

    def certified(self, at: Spheres, local: Local) -> tuple[Factors, NormalisedBounds]:
        m = self.program.multiplicity
        columns, rows = local.multipliers / m, local.rows
        columns, rows = (np.maximum(w, 1e-10 * float(np.abs(w).max()) + 1e-290) for w in (columns, rows))
        found, factors = cosine_bounds(self.program, self.spanned(at), columns, rows)
        return factors, found

    def spanned(self, at: Spheres) -> Factors:
        """Factors with these logits in no more dimensions than they need: norms do not grow (Proposition 12.10)."""
        exact = self.exact(at)
        u, sigma, vt = np.linalg.svd(exact.left * self.root[:, None], full_matrices=False)
        keep = sigma > SPANNED * float(sigma.max(initial=0.0))
        left, right = (u[:, keep] * sigma[keep]) / self.root[:, None], vt[keep] @ exact.right
        u, sigma, vt = np.linalg.svd(right * self.root, full_matrices=False)
        keep = sigma > SPANNED * float(sigma.max(initial=0.0))
        return exact._replace(left=left @ u[:, keep], right=(sigma[keep][:, None] * vt[keep]) / self.root)


def _height(classes: int, effective: float) -> float:
    """Contrast of the logits at the optimum of K balanced classes (docs/theory, Proposition 12.8)."""
    size = 1.0 - 1.0 / classes
    low, high = -700.0, 700.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        contrast = np.exp(middle)
        # The contrast x solves x (e^x + K - 1) = K / ((K - 1) e), here in logarithms.
        rises = middle + np.logaddexp(min(contrast, 1e6), np.log(classes - 1.0)) > -np.log(size * effective)
        low, high = (low, middle) if rises else (middle, high)
    return float(np.exp(0.5 * (low + high)))


def minimise_on_spheres(
    model: SphereModel, start: Spheres, tolerance: float, max_iterations: int
) -> tuple[Factors, NormalisedBounds, Spheres]:
    """Descend from a point until the certified gap is small.

    Parameters
    ----------
    model : SphereModel
    start : Spheres
    tolerance : float, relative gap at which the iteration stops
    max_iterations : int, Newton steps at most

    Returns
    -------
    Factors, NormalisedBounds
        Of the smallest certified gap.
    Spheres
        The point that they belong to.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        small = start.flat().size <= model.dense
        at = model.near(start)
        local = model.local(at)
        best: tuple[Factors, NormalisedBounds, Spheres] | None = None
        idle, kicks, rng = 0.0, 0, np.random.default_rng(0)
        for _ in range(max_iterations):
            move = _dense(model, at, local) if small else _conjugate(model, at, local)
            trial, there, decrement = _searched(model, at, local, move)
            model.iterations += 1
            at, local = trial, there
            if decrement > 1e-6 * abs(local.value):
                continue
            factors, found = model.certified(at, local)
            gap = found.upper - found.lower
            previous = np.inf if best is None else best[1].upper - best[1].lower
            still = decrement <= 1e-15 * abs(local.value)
            idle = 0 if gap < 0.5 * previous else idle + (1.0 if still else 0.1)
            if best is None or gap < previous:
                best = factors, found, at
            if gap <= max(tolerance * found.upper, NOTHING * model.program.loss.quadratic):
                break
            if idle >= 4:
                # At rest, and not optimal: a saddle.
                if kicks >= model.kicks or best[1].upper - best[1].lower <= 1e-9 * best[1].upper:
                    break
                kicks, idle = kicks + 1, 0.0
                at = model.kicked(best[2], rng)
                local = model.local(at)
        if best is None:
            best = (*model.certified(at, local), at)
        return best


def _followed(model: SphereModel, at: Spheres) -> Spheres:
    """The start, for tiny decays and losses with a minimiser led along larger decays, where the valley is not yet narrow."""
    wanted = model.effective
    if model.radius is not None or wanted >= PATH or not (model.program.loss.quadratic or model.program.loss.smoothing):
        return at
    for effective in np.geomspace(PATH, wanted, 2 + round(np.log10(PATH / wanted)))[:-1]:
        model.effective = float(effective)
        at = descended(model, at, 1e-6, 20)[0]
    model.effective = wanted
    return at


def descended(model: SphereModel, at: Spheres, tolerance: float, max_iterations: int) -> tuple[Spheres, Local]:
    """Newton steps by eigenvalues, without a certificate.

    Parameters
    ----------
    model : SphereModel
    at : Spheres, where to start
    tolerance : float, relative decrease of the objective that a step may promise at the end
    max_iterations : int

    Returns
    -------
    Spheres, Local
        The last point, and what is known there.
    """
    local = model.local(at)
    for _ in range(max_iterations):
        at, local, decrement = _searched(model, at, local, _dense(model, at, local))
        model.iterations += 1
        if decrement <= tolerance * abs(local.value):
            break
    return at, local


def _searched(model: SphereModel, at: Spheres, local: Local, move: Spheres) -> tuple[Spheres, Local, float]:
    """Backtracking along a direction; returns the point, what is known there, and the decrease that was promised."""
    slope = local.gradient.dot(move)
    size = model.logit_size(at)
    noise = 4e-16 * (4.0 + size) * abs(local.value)
    step = 1.0
    for _ in range(40):
        trial = model.normalised(at.plus(step, move))
        there = model.local(trial)
        if there.value <= local.value + 1e-4 * step * slope + noise:
            return trial, there, -slope
        step *= 0.5 if step > 0.1 else 0.1
    return at, local, 0.0


def _dense(model: SphereModel, at: Spheres, local: Local) -> Spheres:
    """A Newton direction from the eigenvalues of the whole second derivative, negative ones reversed."""
    shapes = [part.shape for part in at]
    ends = np.cumsum([part.size for part in at])[:-1]
    matrix = model.second(at, local)
    gradient = model.tangent(at, local.gradient).flat()
    size = np.sqrt(np.maximum(np.abs(np.diag(matrix)), 1e-14 * float(np.abs(matrix).max()) + 1e-300))
    values, vectors = np.linalg.eigh(matrix / size[:, None] / size)
    force = vectors.T @ (gradient / size)
    bent = np.abs(values) > 1e-13 * float(np.abs(values).max())
    found = -(vectors @ np.where(bent, force / np.where(bent, np.abs(values), 1.0), 0.0)) / size
    move = Spheres(*(part.reshape(shape) for part, shape in zip(np.split(found, ends), shapes, strict=True)))
    return _limited(model, at, model.tangent(at, move))


def hessian_matrix(model: SphereModel, at: Spheres, local: Local) -> Floats:
    """Riemannian second derivative, written out; directions that are not tangent are mapped to zero.

    Parameters
    ----------
    model : SphereModel
    at : Spheres, the point
    local : Local, what is known there

    Returns
    -------
    (n, n) float64
        In the order of `Spheres.flat`.
    """
    program, g, r = model.program, model.groups, model.rank
    biases = g if model.biased else 0
    sizes = [g, g * r, g, g * (1 + r)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    chart = np.zeros((g + g * g + biases, starts[-1]))
    each = np.arange(g)
    units = starts[3] + each * (1 + r)
    chart[each, each] = at.unit[:, 0] * model.reach
    chart[each, units] = at.contrast * model.reach
    row, column = np.divmod(np.arange(g * g), g)
    entries = g + np.arange(g * g)
    for i in range(r):
        chart[entries, starts[1] + row * r + i] = at.unit[column, 1 + i] * model.columns[column]
        chart[entries, units[column] + 1 + i] = at.left[row, i] * model.columns[column]
    if biases:
        chart[g + g * g + each, starts[2] + each] = 1.0
    spread = program.coordinates()
    if program.loss.shift_invariant:
        spread = spread - spread[-1]
    spread = (spread.reshape(-1, spread.shape[-1]) @ chart).reshape(*spread.shape[:2], -1)
    weighted = (local.smooth.diagonal[..., None] * spread).reshape(-1, starts[-1])
    matrix = spread.reshape(-1, starts[-1]).T @ weighted
    means = np.einsum("ij,ijn->jn", local.smooth.rank_one, spread)
    matrix -= means.T @ means
    slope = local.smooth.gradient
    cross = np.zeros_like(matrix)
    cross[each, units] = slope.contrast * model.reach
    for i in range(r):
        cross[starts[1] + row * r + i, units[column] + 1 + i] = (slope.core * model.columns).ravel()
    matrix += cross + cross.T
    diagonal = np.zeros(starts[-1])
    diagonal[:g], diagonal[g : starts[2]] = local.rows, np.repeat(local.rows, r)
    diagonal[starts[2] : starts[3]] = program.bias_decay or 0.0
    diagonal[starts[3] :] = np.repeat(local.multipliers, 1 + r)
    matrix.flat[:: starts[-1] + 1] += diagonal
    # Projections onto the tangent space, and onto what exists.
    projector = np.eye(starts[-1])
    for k in range(g):
        block = slice(units[k], units[k] + 1 + r)
        projector[block, block] -= np.outer(at.unit[k], at.unit[k])
        if not model.alive[k]:
            projector[k, k] = 0.0
            projector[units[k], :] = projector[:, units[k]] = 0.0
    if not model.biased:
        projector[starts[2] : starts[3]] = 0.0
    if model.radius is not None:
        for k in range(g):
            block = np.concatenate([[k], starts[1] + k * r + np.arange(r)])
            row = np.concatenate([at.contrast[k : k + 1], at.left[k]]) / model.radius[k]
            projector[np.ix_(block, block)] -= np.outer(row, row)
    found = projector @ matrix @ projector
    return 0.5 * (found + found.T)


def _limited(model: SphereModel, at: Spheres, move: Spheres) -> Spheres:
    """The direction, shortened where features would turn by more than half a radian or logits move by more than 20 nats."""
    turn = float(np.linalg.norm(move.unit, axis=1).max(initial=0.0))
    size = model.logit_size(at)
    reach = model.logit_size(Spheres(move.contrast, move.left, move.bias, at.unit))
    factor = min(1.0, 0.5 / max(turn, 1e-300), max(20.0, 0.5 * size) / max(reach, 1e-300))
    return Spheres(*(factor * part for part in move))


def _conjugate(model: SphereModel, at: Spheres, local: Local) -> Spheres:
    """A truncated Newton direction; it stops at a direction whose curvature is not positive."""
    slope = model.tangent(at, local.gradient)
    residual = Spheres(*(-part for part in slope))
    precondition = model.preconditioner(at, local)
    image = precondition(residual)
    product = first = residual.dot(image)
    if not first > 0:
        return residual
    size = max(abs(local.value), 1e-300)
    forcing = min(0.1, np.sqrt(first / size))
    direction, solution = image, Spheres(*(np.zeros_like(part) for part in at))
    for count in range(MAX_CG):
        applied = model.bend(at, local, direction)
        bend = direction.dot(applied)
        if not bend > 0:
            return _limited(model, at, direction if count == 0 else solution)
        length = product / bend
        solution = solution.plus(length, direction)
        residual = residual.plus(-length, applied)
        image = precondition(residual)
        previous, product = product, residual.dot(image)
        if not product > forcing**2 * first:
            break
        direction = image.plus(product / previous, direction)
    return _limited(model, at, solution)


def _diagonal(model: SphereModel, at: Spheres, local: Local) -> Spheres:
    """One over an estimate of the diagonal of the second derivative."""
    smooth = local.smooth
    curved = np.maximum(smooth.diagonal - smooth.rank_one**2, 0.0)
    core = (curved[:-1] + np.diag(curved[-1])) * model.program.core_to_logits**2 * model.columns**2
    price = np.maximum(local.rows, 1e-6 * float(np.abs(local.rows).max()) + 1e-300)
    left = price[:, None] + core @ at.unit[:, 1:] ** 2
    unit = np.empty_like(at.unit)
    pull = np.maximum(local.multipliers, 1e-6 * float(np.abs(local.multipliers).max()) + 1e-300)
    unit[:, 1:] = pull[:, None] + core.T @ at.left**2
    within = (curved[:-1].diagonal() + curved[-1] * model.program.contrast_counts**2) * model.program.contrast_to_logits**2
    within = within * model.reach**2
    unit[:, 0] = pull + within * at.contrast**2
    contrast = price + within * at.unit[:, 0] ** 2
    rows = curved[:-1].sum(axis=1) + curved[-1]
    bias = np.maximum(rows, 1e-12 * float(rows.max())) * model.program.bias_to_logits**2 + (model.program.bias_decay or 0.0)
    return Spheres(1.0 / contrast, 1.0 / left, 1.0 / bias, 1.0 / unit)
