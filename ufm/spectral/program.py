r"""The program over logits to which every layer-peeled model reduces (docs/theory, Proposition 1.3).

.. math:: \min_{Z, b}\; \sum_k \pi_k \ell_k(z_k + b) + \Phi(\sigma(Z S)) + \tfrac{\lambda_b}{2} \|b\|^2

with class shares ``pi_k`` (``n_k / N`` unless the loss weights classes) and column scales ``S = D^{1/2}`` (decay per
sample) or ``S = I`` (norm budgets, decay per class). The architecture enters only through the penalty ``Phi``. A loss may
have temperatures, ``ell_k(Delta (z_k + b))`` with one factor ``Delta_c`` per row.

Classes of equal size share one group of ``m_g`` classes, and an invariant ``Z`` splits into a *contrast* per group,
``x_g (I - 11'/m_g)`` on the group's block (``m_g - 1`` singular values ``xi_g = x_g s_g`` of ``Z S``), and a G x G *core*
``X_gh = sqrt(m_g m_h) s_h T_gh`` of its block means ``T_gh`` (Proposition 3.2).

If every group is a single class, this is the full K x K program.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ufm._arrays import Floats, svd
from ufm.spectral.blocks import BlockMatrix
from ufm.spectral.loss import BoundLoss
from ufm.spectral.penalties import Penalty


class Point(NamedTuple):
    """A point of the program, or a direction or gradient there.

    contrast : (G,) singular values ``xi_g`` (zero for groups of one class)
    core : (G, G) block ``X``
    bias : (G,) ``sqrt(m_g) b_g``
    """

    contrast: Floats
    core: Floats
    bias: Floats


class Factors(NamedTuple):
    """Logits as a sum of a contrast per group and a product of thin factors; their objective is an upper bound.

    Logits are the contrasts ``x_g (I - 11'/m_g)`` plus ``left @ right`` (each entry repeated over its block of classes),
    plus the bias. Each feature dimension costs as much as a singular value of its length (docs/theory, Proposition 2.8):
    ``s_g |x_g|`` for each of the ``m_g - 1`` dimensions of a contrast,
    ``sqrt(sum_g m_g left_gi^2) sqrt(sum_h m_h s_h^2 right_ih^2)`` for dimension i of the product.

    contrast : (G,) ``x_g``
    left : (G, r) one row per class of group g
    right : (r, G) one column per class of group h
    bias : (G,)
    """

    contrast: Floats
    left: Floats
    right: Floats
    bias: Floats

    def width(self, multiplicity: Floats) -> int:
        """Number of feature dimensions that the factors use, given the number of classes per group, (G,) float64."""
        return int(self.left.shape[1] + np.sum((multiplicity - 1)[self.contrast != 0]))


class Evaluation(NamedTuple):
    """Smooth part of the objective with its gradient and the data of its Hessian.

    value : float, in the unit of the loss
    gradient : Point
    diagonal, rank_one : (G + 1, G)
        Second derivative by the logits of column h, ``diag(diagonal[:, h]) - rank_one[:, h] rank_one[:, h]'``.
    """

    value: float
    gradient: Point
    diagonal: Floats
    rank_one: Floats


@dataclass(frozen=True, eq=False)
class LogitProgram:
    """The program in block form.

    Parameters
    ----------
    multiplicity : (G,) float64, number of classes ``m_g`` per group
    sizes : tuple of int, samples ``n_g`` per class of the group
    scale : (G,) float64, column scale ``s_g`` of the penalty
    penalty : Penalty on the singular values of ``Z S``, or on its columns
    loss : BoundLoss, with the share ``pi`` of one class of each group
    bias_decay : float or None, ``lambda_b`` (half convention); 0 is a free bias, None is no bias
    runs : tuple of (group, classes), the classes in order, see `BlockMatrix`

    Attributes
    ----------
    contrast_counts : (G,) float64, ``m_g - 1``, how often each contrast occurs as a singular value
    logit_counts : (G + 1, G) float64, how many logits of a column each row of `spread` stands for
    mass : (G,) float64, ``m_g pi_g``: share of the loss of each group
    core_to_logits : (G, G) float64, tempered logit of one class of group g in a column of group h, per unit of ``X_gh``
    contrast_to_logits : (G,) float64, minus the tempered logit of another class of the group, per unit of ``xi_g``
    bias_to_logits : (G,) float64, tempered logit of a class of group g, per unit of the point's bias
    """

    multiplicity: Floats
    sizes: tuple[int, ...]
    scale: Floats
    penalty: Penalty
    loss: BoundLoss
    bias_decay: float | None
    runs: tuple[tuple[int, int], ...]
    contrast_counts: Floats = field(init=False, repr=False)
    logit_counts: Floats = field(init=False, repr=False)
    mass: Floats = field(init=False, repr=False)
    core_to_logits: Floats = field(init=False, repr=False)
    contrast_to_logits: Floats = field(init=False, repr=False)
    bias_to_logits: Floats = field(init=False, repr=False)
    _unit: Floats = field(init=False, repr=False)
    _root: Floats = field(init=False, repr=False)
    _root_mass: Floats = field(init=False, repr=False)
    _steepness: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        m, s = self.multiplicity, self.scale
        groups = len(m)
        root = np.sqrt(m)
        counts = np.ones((groups + 1, groups))
        counts[:-1] = m[:, None] - np.eye(groups)
        temperature = self.loss.temperature
        unit = 1.0 / (root[:, None] * root * s)
        derived = {
            "contrast_counts": m - 1.0,
            "logit_counts": counts,
            "mass": m * self.share,
            "_unit": unit,
            "core_to_logits": temperature[:, None] * unit,
            "contrast_to_logits": np.where(m > 1, temperature / (m * s), 0.0),
            "_root": root,
            "_root_mass": np.sqrt(m * self.share),
            "_steepness": self.share / s**2 * temperature.max() ** 2,
            "bias_to_logits": temperature / root,
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        for value in (self.multiplicity, self.scale, self.share, *derived.values()):
            value.flags.writeable = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Copies and unpickled programs are read-only again, which NumPy does not keep."""
        self.__dict__.update(state)
        for value in (self.share, *(v for v in state.values() if isinstance(v, np.ndarray))):
            value.flags.writeable = False

    @property
    def share(self) -> Floats:
        """(G,) share of the loss of one class of each group."""
        return self.loss.share

    @property
    def convex(self) -> bool:
        """Whether loss and penalty are convex."""
        return self.penalty.convex and self.loss.convex

    @property
    def groups(self) -> int:
        """Number of groups G."""
        return len(self.multiplicity)

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return sum(c for _, c in self.runs)

    def core(self, means: Floats) -> Floats:
        """(G, G) core ``X_gh = sqrt(m_g m_h) s_h T_gh`` of logits whose block means ``T`` are ``means`` (G, G)."""
        return means / self._unit

    def coordinates(self) -> Floats:
        """(G + 1, G, n) matrix of the linear map `spread`: tempered logits per unit of each coordinate of a point.

        The n coordinates are the contrasts, the core row by row and, where there is one, the bias.
        """
        g, biased = self.groups, self.bias_decay is not None
        each = np.arange(g)
        basis = np.zeros((g + 1, g, g + g * g + (g if biased else 0)))
        basis[each, each, each] = -self.contrast_to_logits
        basis[g, each, each] = self.contrast_to_logits * self.contrast_counts
        row, column = np.divmod(np.arange(g * g), g)
        basis[row, column, g + np.arange(g * g)] = self.core_to_logits.ravel()
        basis[g, each, g + each * (g + 1)] = self.core_to_logits.diagonal()
        if biased:
            basis[each, :, g + g * g + each] = self.bias_to_logits[:, None]
            basis[g, each, g + g * g + each] = self.bias_to_logits
        return basis

    def logit_size(self, point: Point) -> float:
        """Upper bound on the logits of a point without its bias, within a factor of two."""
        return float(np.abs(point.core * self.core_to_logits).max() + np.abs(point.contrast / self.scale).max())

    def zero(self) -> Point:
        """The origin."""
        g = self.groups
        return Point(np.zeros(g), np.zeros((g, g)), np.zeros(g))

    @cached_property
    def shrunk(self) -> Floats:
        """(G,) proximal map of the penalty at the scales: the scalar minimisers where a quadratic loss splits."""
        found, _ = self.penalty.prox(self.scale, self.multiplicity, self.scale**2 / self.share)
        found.flags.writeable = False
        return found

    def spread(self, point: Point) -> Floats:
        """(G + 1, G) tempered logits of a point (a linear map); for the meaning of rows see `BoundLoss`."""
        logits = np.empty((self.groups + 1, self.groups))
        others = logits[:-1]
        np.multiply(point.core, self.core_to_logits, out=others)
        if self.bias_decay is not None:
            others += (point.bias * self.bias_to_logits)[:, None]
        within = point.contrast * self.contrast_to_logits
        diagonal = np.einsum("ii->i", others)
        logits[-1] = diagonal + within * self.contrast_counts
        diagonal -= within
        return logits

    def gather(self, slopes: Floats) -> Point:
        """Adjoint of `spread`, applied to derivatives ``slopes`` (G + 1, G) by the logit rows: the gradient as a point."""
        core = slopes[:-1].copy()
        diagonal = np.einsum("ii->i", core)
        own = slopes[-1]
        contrast = self.contrast_to_logits * (self.contrast_counts * own - diagonal)
        diagonal += own
        bias = core.sum(axis=1) * self.bias_to_logits if self.bias_decay is not None else np.zeros(self.groups)
        return Point(contrast, core * self.core_to_logits, bias)

    def smooth(self, point: Point) -> Evaluation:
        """Mean loss plus bias decay (everything but the penalty) at a point, with derivatives."""
        columns = self.loss.columns(self.spread(point), self.logit_counts)
        value = float(self.mass @ columns.values)
        gradient = self.gather(self.mass * columns.gradient)
        if self.bias_decay:
            value += 0.5 * self.bias_decay * float(point.bias @ point.bias)
            gradient = gradient._replace(bias=gradient.bias + self.bias_decay * point.bias)
        return Evaluation(value, gradient, self.mass * columns.diagonal, self._root_mass * columns.rank_one)

    def hessian(self, at: Evaluation, direction: Point) -> Point:
        """Second derivative of the smooth part along a direction."""
        slopes = self.spread(direction)
        if self.loss.shift_invariant:
            slopes -= slopes[-1]  # the same curvature, computed without cancellation where the loss is tiny
        image = self.gather(at.diagonal * slopes - at.rank_one * (at.rank_one * slopes).sum(axis=0))
        if self.bias_decay:
            image = image._replace(bias=image.bias + self.bias_decay * direction.bias)
        return image

    def curvature(self, at: Evaluation) -> float:
        """Bound on the loss's second derivative with respect to ``Z S`` at an evaluation.

        The largest over the groups h of ``pi_h / s_h^2`` times the bound for column h, times the largest squared temperature.
        """
        return float((self._steepness * self.loss.lipschitz(at.diagonal / self.mass)).max())

    def least_curvature(self, at: Evaluation, point: Point) -> float:
        """Positive lower bound to use for the curvature, so that gradient steps stay bounded.

        Where the loss is flat in float64, a step of 1 / curvature could overflow. A step of 1 / (this number) moves no entry
        by more than about a thousand times the size of the point, or of logits of size one.
        """
        size = float(np.abs(point.core).max()) + float(np.abs(point.contrast).max()) + float(self.scale.max())
        slope = float(np.abs(at.gradient.core).max()) + float(np.abs(at.gradient.contrast).max())
        return max(1e-3 * slope / size, 1e-300)

    def factors(self, point: Point, thin: tuple[Floats, Floats, Floats] | None = None) -> Factors:
        """Balanced factors of a point.

        Parameters
        ----------
        point : Point
        thin : (u, sigma, vt) or None
            Reduced SVD of the core where it is known, arrays of shapes (G, r), (r,), (r, G).

        Returns
        -------
        Factors
            Singular values of the size of rounding errors are left out; bounds are those of the factors returned.
        """
        u, sigma, vt = svd(point.core) if thin is None else thin
        # Singular values of the size of rounding errors do not count towards the rank.
        keep = sigma > 4e-16 * len(sigma) * float(sigma.max(initial=0.0))
        root = np.sqrt(sigma[keep])
        left = u[:, : len(sigma)][:, keep] * root / self._root[:, None]
        right = root[:, None] * vt[: len(sigma)][keep] / (self._root * self.scale)
        return Factors(point.contrast / self.scale, left, right, point.bias / self._root)

    def point(self, factors: Factors) -> Point:
        """The point with the logits of these factors (up to rounding)."""
        core = (factors.left @ factors.right) / self._unit
        return Point(factors.contrast * self.scale, core, factors.bias * self._root)

    def lengths(self, factors: Factors) -> tuple[Floats, Floats]:
        """The arguments of the penalty: lengths of feature dimensions, or scaled column norms ``s_h |z_h|``.

        Returns
        -------
        values : (n,) float64, as in `feature_lengths`; (G,) for a penalty on columns
        copies : array of the same shape, how often each occurs
        """
        if self.penalty.columns:
            logits = self.plain(factors._replace(bias=np.zeros(self.groups)))
            square = logits[-1] ** 2 + (self.logit_counts[:-1] * logits[:-1] ** 2).sum(axis=0)
            return self.scale * np.sqrt(square), self.multiplicity
        return self.feature_lengths(factors)

    def feature_lengths(self, factors: Factors) -> tuple[Floats, Floats]:
        """Lengths of the feature dimensions: of each group's contrasts, then of each of the r dimensions of the product.

        Returns
        -------
        lengths : (G + r,) float64, in the unit of singular values of ``Z S``
        copies : (G + r,) float64, how often each occurs
        """
        left = self.multiplicity @ factors.left**2
        right = factors.right**2 @ (self.multiplicity * self.scale**2)
        lengths = np.concatenate([self.scale * np.abs(factors.contrast), np.sqrt(left) * np.sqrt(right)])
        return lengths, np.concatenate([self.contrast_counts, np.ones(len(right))])

    def plain(self, factors: Factors) -> Floats:
        """(G + 1, G) logits of the factors with bias, before temperatures; for the meaning of rows see `BoundLoss`."""
        spread = self.spread(self.point(factors))
        rows = self.loss.temperature
        return spread / np.concatenate([np.broadcast_to(rows[:, None], (len(rows), len(rows))), rows[None]])

    def logits(self, factors: Factors) -> BlockMatrix:
        """Logits ``Z + b 1'`` of the factors, before temperatures, as a block matrix."""
        plain = self.plain(factors)
        return BlockMatrix(plain[-1], plain[:-1], self.runs)

    def split(self) -> LogitProgram:
        """The same program with every class a group of its own: the full K x K program."""
        group = np.repeat([g for g, _ in self.runs], [c for _, c in self.runs])
        return LogitProgram(
            multiplicity=np.ones(len(group)),
            sizes=tuple(self.sizes[g] for g in group),
            scale=self.scale[group],
            penalty=self.penalty,
            loss=self.loss.take(group),
            bias_decay=self.bias_decay,
            runs=tuple((k, 1) for k in range(len(group))),
        )
