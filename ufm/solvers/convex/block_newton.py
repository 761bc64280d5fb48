r"""Newton directions in block form by preconditioned conjugate gradients, for any number of groups.

Core directions are written in the singular basis of the core, ``dX = U D V'``. The penalty's curvature is diagonal there: on
antisymmetric D it is large, on symmetric D it vanishes where both singular values are active, so that the loss alone decides.
With the polar factor ``Q = U V'``, which is close to a projection, symmetric D are ``dX = (U D U') Q``, nearly symmetric
matrices M over the groups. The loss couples an entry ``M_gh`` only with the own logits of groups g and h (and their biases), so
that eliminating these entries leaves a system in 3 G unknowns. This solves symmetric directions almost exactly, and is the
preconditioner: a handful of products per Newton step, whatever the class sizes.

A probability far below the one at the optimum has too little curvature, and the Newton step would overshoot. Stationarity names
the probability at the optimum, given Q; the logarithmic mean of both is the secant of the exponential, and equals its
derivative at the optimum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.solvers.convex.manifold import ManifoldNewton, curvatures
from ufm.solvers.convex.proximal_steps import Iterate
from ufm.spectral.program import Evaluation, Point

MAX_CG = 400
FORCING = 0.05
"""Relative residual at which conjugate gradients stop, in the norm of the preconditioner."""
DROP = 20.0
"""Largest factor by which one step may want to lower a probability."""


class BlockNewton(ManifoldNewton):
    """Newton directions by conjugate gradients."""

    least_damping = 1e-2

    def start(self) -> Point:
        """Columns with the probabilities of stationary points whose core is a multiple of a projection.

        Under plain cross-entropy these are simplex-ETF columns, each of its own height.
        """
        program, loss = self.program, self.program.loss
        heights = self.heights()
        if program.penalty.ball or not (loss.has_probabilities and loss.shift_invariant):
            return self.etf(heights, np.maximum(heights, 1e-3))
        force = program.scale * program.penalty.strength / program.share / program.classes
        others = loss.floor + force / loss.temperature[:, None]
        own = 1.0 - (program.logit_counts[:-1] * others).sum(axis=0)
        # Classes that are too small for the decay keep a little, for the proximal step to decide on.
        small = own < 1.001 * others.diagonal()
        logits = np.log(np.where(small, 1.0 / program.classes, others)) - loss.offsets[:, None]
        top = np.where(small, np.log(1.001 / program.classes), np.log(np.maximum(own, 1e-300))) - loss.offsets
        logits, top = logits / loss.temperature[:, None], top / loss.temperature
        contrast = np.where(self.alive, np.maximum(top - logits.diagonal(), 0.0) * program.scale, 0.0)
        logits[np.diag_indices(self.groups)] += (top - logits.diagonal()) / program.multiplicity
        return Point(contrast, self.centred(program.core(logits)), np.zeros(self.groups))

    def direction(self, now: Iterate, damping: float, progress: float) -> Point:
        """Approximate solution of the Newton system."""
        system = _System(self, now, damping)
        found = system.solve(min(FORCING, max(np.sqrt(abs(progress)), 1e-3)))
        contrast, turned, bias = system.parts(found)
        return Point(contrast, self.centred(now.u @ turned @ now.vt), self.centred(bias))


class _System:
    """The Newton system at one iterate.

    A direction is a vector of the G contrasts, the G x G core in the singular basis, ``D = U' dX V``, and the G biases.
    """

    def __init__(self, newton: BlockNewton, now: Iterate, damping: float) -> None:
        self.newton, self.now, self.program = newton, now, newton.program
        program = self.program
        self.rank = int(np.count_nonzero(now.sigma))
        self.live = now.point.contrast > 0
        self.step = newton.smallest / now.slope
        softmax = program.loss.has_probabilities and program.loss.shift_invariant and now.multiplier > 0
        self.at = self._secant() if softmax else now.smooth
        g = newton.groups
        # Second derivatives by the biases; their damping is in units of these, as row sums differ by orders of magnitude.
        self.rows = (self.at.diagonal[:-1].sum(axis=1) + self.at.diagonal[-1]) * program.bias_to_logits**2
        self.damping = damping * now.slope * program.contrast_counts, damping / self.step, damping * self.rows
        active = np.zeros(g)
        active[: self.rank] = 1.0
        self.normal = self.whole(np.where(self.live, program.contrast_counts, 0.0), np.diag(active), np.zeros(g))
        self._prepare()
        self.normal_image = None
        if program.penalty.ball and now.multiplier > 0:
            image = self._inverse(self.normal)
            size = float(image @ self.normal)
            if size > 0:
                self.normal_image = image / size

    def parts(self, vector: Floats) -> tuple[Floats, Floats, Floats]:
        """Contrast (G,), core in the singular basis (G, G) and bias (G,) of a direction."""
        g = self.newton.groups
        return vector[:g], vector[g:-g].reshape(g, g), vector[-g:]

    def whole(self, contrast: Floats, turned: Floats, bias: Floats) -> Floats:
        """The direction with these parts."""
        return np.concatenate([contrast, turned.ravel(), bias])

    def _secant(self) -> Evaluation:
        """The evaluation with softmax's second derivative at logarithmic means of the probabilities now and at the optimum.

        At the optimum the gradient by the core is ``-mu Q``, and that by a live contrast ``-mu (m_g - 1)``.
        """
        program, now = self.program, self.now
        at, loss, mu = now.smooth, program.loss, now.multiplier
        counts = program.logit_counts[:-1]
        present = counts > 0
        copies = np.where(present, counts, 1.0)
        share = np.minimum(now.shadow / (self.step * mu), 1.0)
        share[: self.rank] = 1.0
        polar = (now.u * share) @ now.vt
        force = np.clip(-at.gradient.contrast / (mu * self.newton.copies), 0.0, 1.0)
        force[self.live] = 1.0
        there = -mu * polar / (program.mass * copies * program.core_to_logits) + loss.floor
        np.fill_diagonal(
            there, mu * program.scale / (program.mass * loss.temperature) * (force - polar.diagonal()) + loss.floor
        )
        here = np.where(present, np.maximum(at.rank_one[:-1] / (np.sqrt(program.mass) * copies), 1e-280), 1.0)
        there = np.where(present, np.maximum(there, here / DROP), 1.0)
        ratio = np.log(there / here)
        near = np.abs(ratio) < 1e-4
        mean = np.where(near, np.sqrt(here * there), here * np.expm1(ratio) / np.where(near, 1.0, ratio))
        others = counts * np.where(present, mean, 0.0)
        total = others.sum(axis=0)
        shrink = np.minimum(1.0, (1.0 - 1e-3) / np.maximum(total, 1e-300))
        shares = np.concatenate([others * shrink, (1.0 - total * shrink)[None]])
        if not np.isfinite(shares).all():
            return at
        return at._replace(diagonal=program.mass * shares, rank_one=np.sqrt(program.mass) * shares)

    def _prepare(self) -> None:
        """Curvature of the loss, averaged in the singular basis, and the eliminated system where the loss has one."""
        program, now, at = self.program, self.now, self.at
        symmetric, antisymmetric = curvatures(now, self.rank, self.step)
        curvature = np.maximum(at.diagonal - at.rank_one**2, 1e-16 * at.diagonal)
        own = curvature[-1]
        square = program.core_to_logits**2
        curvature = (curvature[:-1] + np.diag(own)) * square
        average = (now.u**2).T @ curvature @ (now.vt**2).T
        average = 0.5 * (average + average.T)
        floor = 1e-12 * float(np.max(average, initial=0.0)) + 1e-300
        by_contrast, by_core, by_bias = self.damping
        smooth = np.maximum(average, floor) + by_core
        free = np.ones((program.groups, program.groups), dtype=bool)
        free[self.rank :, self.rank :] = False
        even, odd = (np.where(free, 0.5 / (smooth + penalty), 0.0) for penalty in (symmetric, antisymmetric))
        # As factors of D and of its transpose.
        self.even, self.odd = 0.5 * (symmetric + antisymmetric), 0.5 * (symmetric - antisymmetric)
        self.even_inverse, self.odd_inverse = even + odd, even - odd
        self.active_inverse = odd[: self.rank, : self.rank]
        within = program.contrast_to_logits
        contrast = at.diagonal[:-1].diagonal() * within**2 + own * (within * program.contrast_counts) ** 2
        self.contrast_inverse = np.where(self.live, 1.0 / np.maximum(contrast + by_contrast, 1e-300), 0.0)
        self.bias_inverse = 1.0 / (np.maximum(self.rows, 1e-300) + by_bias + (program.bias_decay or 0.0))
        self.arrow = _Arrow.of(self) if program.loss.shift_invariant and self.rank else None

    def apply(self, direction: Floats) -> Floats:
        """Hessian of the Lagrangian along a direction."""
        now = self.now
        contrast, d, bias = self.parts(direction)
        by_contrast, by_core, by_bias = self.damping
        image = self.program.hessian(self.at, Point(contrast, now.u @ d @ now.vt, bias))
        turned = now.u.T @ image.core @ now.vt.T
        turned += self.even * d
        turned += self.odd * d.T
        turned[self.rank :, self.rank :] = 0.0
        if by_core:
            turned += by_core * d
        return self.whole(
            np.where(self.live, image.contrast + by_contrast * contrast, 0.0), turned, image.bias + by_bias * bias
        )

    def precondition(self, residual: Floats) -> Floats:
        """Approximate inverse of `apply`; under a budget within the tangent space of its boundary."""
        image = self._inverse(residual)
        if self.normal_image is not None:
            image -= float(image @ self.normal) * self.normal_image
        return image

    def _inverse(self, residual: Floats) -> Floats:
        contrast, d, bias = self.parts(residual)
        r, newton = self.rank, self.newton
        turned = d * self.even_inverse + d.T * self.odd_inverse
        if newton.biased:
            bias = newton.centred(bias)
        if self.arrow is None:
            return self.whole(contrast * self.contrast_inverse, turned, newton.centred(bias * self.bias_inverse))
        left = self.now.u[:, :r]
        d = d[:r, :r]
        contrast, matrix, bias = self.arrow.solve(contrast, left @ (0.5 * (d + d.T)) @ left.T, bias)
        turned[:r, :r] = left.T @ matrix @ left + (d - d.T) * self.active_inverse
        return self.whole(contrast, turned, newton.centred(bias) if newton.biased else bias)

    def solve(self, forcing: float) -> Floats:
        """Conjugate gradients; they stop at a direction whose curvature is not positive."""
        now, newton = self.now, self.newton
        slope = now.smooth.gradient
        turned = now.u.T @ slope.core @ now.vt.T
        turned[self.rank :, self.rank :] = 0.0
        bias = slope.bias if newton.biased else np.zeros(newton.groups)
        residual = -self.whole(np.where(self.live, slope.contrast, 0.0), turned, bias) - now.multiplier * self.normal
        direction = self.precondition(residual)
        solution = np.zeros_like(residual)
        product = first = float(residual @ direction)
        for _ in range(MAX_CG):
            applied = self.apply(direction)
            bend = float(direction @ applied)
            if not (bend > 0 and product > 0):
                break
            length = product / bend
            solution += length * direction
            residual -= length * applied
            image = self.precondition(residual)
            previous, product = product, float(residual @ image)
            if not product > forcing**2 * first:
                break
            direction *= product / previous
            direction += image
        return solution


class _Arrow(NamedTuple):
    """The loss's second derivative on symmetric core directions M with M q = 0, contrasts and biases; entries eliminated.

    The unknowns that are left are the diagonal of M, the contrasts, the biases, and multipliers of ``M q = 0``.

    weight : (G, G) one over the curvature of an entry off the diagonal
    pull : (G, G) minus the second derivative by the entry and its column's own logit
    own, within, bias : (G,) own logit per unit of ``M_hh``, of the contrast and of the bias
    q : (G,) the shift of a column that changes nothing
    kept : (4 G,) bool, the unknowns that are free
    unit : (n,) scale to unit diagonal
    factor, pivots : (n, n) and (n,), LU factors
    """

    weight: Floats
    pull: Floats
    own: Floats
    within: Floats
    bias: Floats
    q: Floats
    kept: NDArray[np.bool_]
    unit: Floats
    factor: Floats
    pivots: NDArray[np.intp]

    @staticmethod
    def of(system: _System) -> _Arrow | None:
        """The eliminated system of an iterate; None where it has no inverse in float64."""
        from scipy.linalg import get_lapack_funcs

        program, at, q = system.program, system.at, system.newton.q
        by_contrast, by_core, by_bias = system.damping
        g, biased = program.groups, system.newton.biased
        c, b = program.core_to_logits, program.bias_to_logits if biased else np.zeros(g)
        across = at.diagonal[:-1] - np.diag(at.diagonal[:-1].diagonal())
        pull = across * c
        curvature = pull * c + by_core
        curvature = curvature + curvature.T
        weight = 1.0 / np.maximum(curvature, 1e-12 * float(curvature.max()) + 1e-300)
        np.fill_diagonal(weight, 0.0)
        # Seen from an entry: the own logit of its column, the bias of its row, the multiplier of its row.
        square, swapped = pull**2 * weight, pull * pull.T * weight
        held, turned = q * pull * weight, q * pull.T * weight
        own = np.diag(across.sum(axis=0) - square.sum(axis=0)) - swapped
        rows = np.diag(across.sum(axis=1) - square.sum(axis=1)) - swapped
        mixed = square - across + np.diag(swapped.sum(axis=1))
        held_own, held_rows = held + np.diag(turned.sum(axis=1)), -np.diag(held.sum(axis=1)) - turned
        held_held = -np.diag(weight @ q**2) - q[:, None] * q * weight
        parts = (c.diagonal(), program.contrast_to_logits * program.contrast_counts, b)
        whole = np.zeros((4 * g, 4 * g))
        places = [slice(i * g, (i + 1) * g) for i in range(4)]
        for i, one in enumerate(parts):
            for j, two in enumerate(parts):
                whole[places[i], places[j]] = one[:, None] * own * two
        for j, part in enumerate(parts):
            whole[places[2], places[j]] += b[:, None] * mixed * part
            whole[places[j], places[2]] += (b[:, None] * mixed * part).T
            whole[places[3], places[j]] = held_own * part
        whole[places[2], places[2]] += b[:, None] * rows * b
        whole[places[3], places[2]] += held_rows * b
        whole[places[3], places[0]] += np.diag(q)
        whole[: 3 * g, places[3]] = whole[places[3], : 3 * g].T
        whole[places[3], places[3]] = held_held
        spread = at.diagonal[:-1].diagonal() * (program.loss.temperature / program.scale) ** 2
        extra = [np.full(g, by_core), spread + by_contrast, by_bias + (program.bias_decay or 0.0)]
        whole.flat[: 3 * g * 4 * g : 4 * g + 1] += np.concatenate(extra)
        if biased:
            corner = whole[places[2], places[2]]
            corner += (np.trace(corner) / g) * np.outer(q, q)
        each = np.ones(g, dtype=bool)
        kept = np.concatenate([each, system.live, each & biased, each])
        whole = whole[np.ix_(kept, kept)]
        size = np.abs(whole.diagonal())
        if not (np.isfinite(whole).all() and size.max() > 0):
            return None
        unit = 1.0 / np.sqrt(np.maximum(size, 1e-200 * size.max()))
        whole *= unit[:, None] * unit
        (split,) = get_lapack_funcs(("getrf",), (whole,))
        factor, pivots, failed = split(whole, overwrite_a=True)
        return None if failed else _Arrow(weight, pull, *parts, q, kept, unit, factor, pivots)

    def solve(self, contrast: Floats, matrix: Floats, bias: Floats) -> tuple[Floats, Floats, Floats]:
        """Contrast (G,), symmetric matrix (G, G) and bias (G,) of the solution for such a right-hand side."""
        from scipy.linalg import get_lapack_funcs

        g = len(contrast)
        entries = 2.0 * matrix * self.weight
        pulled = self.pull * entries
        to_own, to_rows = pulled.sum(axis=0), -pulled.sum(axis=1)
        right = np.concatenate(
            [
                matrix.diagonal() + self.own * to_own,
                contrast + self.within * to_own,
                bias + self.bias * (to_own + to_rows),
                -(entries @ self.q),
            ]
        )
        found = np.zeros(4 * g)
        (back,) = get_lapack_funcs(("getrs",), (self.factor,))
        found[self.kept] = self.unit * back(self.factor, self.pivots, self.unit * right[self.kept])[0]
        diagonal, contrast, bias, held = found[:g], found[g : 2 * g], found[2 * g : 3 * g], found[3 * g :]
        own = self.own * diagonal + self.within * contrast + self.bias * bias
        moved = self.pull * (own - (self.bias * bias)[:, None]) - held[:, None] * self.q
        entries += self.weight * (moved + moved.T)
        np.fill_diagonal(entries, diagonal)
        return contrast, entries, bias
