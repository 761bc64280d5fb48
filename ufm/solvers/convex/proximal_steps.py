"""Proximal-gradient steps of a convex program in block form, for every penalty with a proximal map."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.spectral.program import Evaluation, Factors, LogitProgram, Point


class Iterate(NamedTuple):
    """The result of a proximal-gradient step, with what the next Newton step needs.

    Attributes
    ----------
    point : Point, with ``core = u diag(sigma) vt``
    u, sigma, vt : (G, G), (G,), (G, G) float64, singular value decomposition of the core after thresholding
    shadow : (G,) float64, singular values before thresholding
    multiplier : float, price of the nuclear norm, or multiplier of its ball
    slope : float, one over the length of the step
    smooth : Evaluation of the smooth part at the point
    value : float, objective (nats)
    """

    point: Point
    u: Floats
    sigma: Floats
    vt: Floats
    shadow: Floats
    multiplier: float
    slope: float
    smooth: Evaluation
    value: float


class ProximalSteps:
    """Proximal-gradient steps of one program, with the arrays that do not change between them."""

    def __init__(self, program: LogitProgram) -> None:
        self.program = program
        g = self.groups = program.groups
        self.biased = program.bias_decay is not None
        # Block-wise Lipschitz constants; that of the whole is at most their number times larger.
        self.blocks = 1.0 + bool((program.contrast_counts > 0).any()) + self.biased
        self.smallest = float(program.multiplicity.min())
        self.copies = np.maximum(program.contrast_counts, 1.0)
        self.alive = program.contrast_counts > 0
        self.all_copies = np.concatenate([program.contrast_counts, np.ones(g)])
        # Shifting a column of (tempered) logits changes nothing: cores and biases live orthogonal to q.
        self.q = np.zeros(g)
        if program.loss.shift_invariant:
            self.q = np.sqrt(program.multiplicity) / program.loss.temperature
            self.q /= np.linalg.norm(self.q)

    def centred(self, array: Floats) -> Floats:
        """The array, (G, G) or (G,), with its columns projected orthogonally to q."""
        return array - np.multiply.outer(self.q, self.q @ array)

    def prox_step(self, point: Point, least: float = 0.0) -> Iterate:
        """One proximal-gradient step, with the objective and its derivatives at the new point.

        Its length is 1 / the local curvature, or 1 / ``least`` if that is less. So it does not shrink with the gradient, and
        singular values can be added wherever the loss is nearly flat.
        """
        program, g = self.program, self.groups
        at = program.smooth(point)
        slope = max(self.blocks * program.curvature(at), least, program.least_curvature(at, point))
        steps = np.full(2 * g, 1.0 / slope)
        steps[g:] *= self.smallest
        u, shadow, vt = np.linalg.svd(self.centred(point.core - steps[-1] * at.gradient.core))
        contrast = np.maximum(point.contrast - steps[0] * at.gradient.contrast / self.copies, 0.0)
        both = np.concatenate([np.where(self.alive, contrast, 0.0), shadow])
        kept, multiplier = program.penalty.prox(both, self.all_copies, steps)
        contrast, sigma = kept[:g], kept[g:]
        bias = point.bias
        if self.biased:
            curved = slope * float(np.max(program.scale**2 / program.share)) / self.smallest + (program.bias_decay or 0.0)
            bias = self.centred(bias - at.gradient.bias / curved)
        landed = Point(contrast, (u * sigma) @ vt, bias)
        smooth = program.smooth(landed)
        value = smooth.value + program.penalty.value(kept, self.all_copies)
        return Iterate(landed, u, sigma, vt, shadow, multiplier, slope, smooth, value)

    def shortened(self, now: Iterate) -> tuple[Iterate, int]:
        """A proximal-gradient step that is short enough to descend (``now`` itself if none is), and how many were tried."""
        for tries in range(1, 40):
            trial = self.prox_step(now.point, now.slope * 4.0**tries)
            if trial.value <= now.value:
                return trial, tries
        return now, tries

    def factors(self, now: Iterate) -> Factors:
        """Balanced factors of an iterate."""
        return self.program.factors(now.point, (now.u, now.sigma, now.vt))
