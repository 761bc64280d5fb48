"""Weight decay that a network behaves as if it had, from stationarity of its classifier and of its features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.metrics.labels import Codes
from ufm.metrics.rows import Rows
from ufm.problem.regularizers import WeightDecay

ENTRIES = 2**21
"""Entries of the largest temporary arrays."""
FREE = 1e-12
"""Pull on the bias, relative to the sum of its parts, below which it has no decay."""


@dataclass(frozen=True)
class EffectiveDecays:
    """Decays for which the gradients of mean cross-entropy and of the decay cancel as well as they can, and what is left.

    With ``G`` (K, N) the gradient of the mean loss in the logits and ``Z = W H``, stationarity in W is ``G H' = -lW W``, and in
    the features ``W' G = -lH H``. The decays are the least-squares solutions of either, and the residuals the sines of the
    angles between both sides: 0 for a stationary network, near 1 for a random one.

    Attributes
    ----------
    weight, features : float, ``-<Z, G> / ||W||^2`` and ``-<Z, G> / ||H||^2`` (half convention, features per sample)
    bias : float or None, the same for the bias, 0 (free) where it would be negative or rounding; None without a bias
    mu : float, ``sqrt(weight * features)``; NaN where they are not positive
    residual_weight, residual_features : float in [0, 1]
    residual_bias : float >= 0 or None, ``|G 1 + lB b|`` over the same sum without cancellation
    loss : float, mean cross-entropy (nats)
    squares_weight, squares_features, squares_bias : float, ``||W||^2``, ``||H||^2`` and ``||b||^2``
    """

    weight: float
    features: float
    bias: float | None
    mu: float
    residual_weight: float
    residual_features: float
    residual_bias: float | None
    loss: float
    squares_weight: float
    squares_features: float
    squares_bias: float

    @property
    def residual(self) -> float:
        """The largest of the residuals: how far to trust the decays. NaN where sums are beyond float64."""
        every = (self.residual_weight, self.residual_features, self.residual_bias or 0.0)
        return max(every) if all(isfinite(value) for value in every) else float("nan")

    @property
    def decay(self) -> WeightDecay:
        """The decays, as a problem takes them.

        Raises
        ------
        InputError
            They are not positive, so that stationarity does not give any.
        """
        if not (self.weight > 0 and self.features > 0 and isfinite(self.weight) and isfinite(self.features)):
            raise InputError(
                f"stationarity gives the decays {self.weight:.3g},{self.features:.3g}, which are not positive, because the "
                f"loss would rise if all logits grew (residual {self.residual:.2g}); give the decay that it was trained with"
            )
        return WeightDecay(self.weight, self.features, self.bias)

    def objective(self, decay: WeightDecay) -> float:
        """Mean cross-entropy of the network plus half of these decays, in nats.

        Parameters
        ----------
        decay : WeightDecay, per sample
        """
        squares = decay.weight * self.squares_weight + decay.features * self.squares_features
        return self.loss + 0.5 * (squares + (decay.bias or 0.0) * self.squares_bias)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, and the residual."""
        return asdict(self) | {"residual": self.residual}

    @classmethod
    def of(
        cls, rows: Rows, classes: Codes, weight: Floats, bias: Floats | None, *, nonnegative: bool = False
    ) -> EffectiveDecays:
        """Two passes over the features, in blocks.

        Parameters
        ----------
        rows : Rows, (N, d) finite features
        classes : (N,) int, row of the classifier of each sample
        weight : (K, d) float64
        bias : (K,) float64 or None
        nonnegative : bool
            Features are after a ReLU: where a feature is 0, a gradient that would make it negative is no residual.

        Returns
        -------
        EffectiveDecays
        """
        samples = rows.shape[0]
        pull, slopes, sizes = np.zeros_like(weight), np.zeros(len(weight)), np.zeros(len(weight))
        loss = inner = squares = 0.0
        for h, z, g, own in _blocks(rows, classes, weight, bias):
            loss += own
            inner += float(np.vdot(z, g))
            squares += float(np.vdot(h, h))
            pull += g.T @ h  # G H'
            slopes += g.sum(axis=0)
            sizes += np.abs(g).sum(axis=0)
        inner, pull, slopes, sizes = inner / samples, pull / samples, slopes / samples, sizes / samples
        norm = float(np.vdot(weight, weight))
        decays = [-inner / size if size > 0 else float("nan") for size in (norm, squares)]
        offset, residual_bias, bias_squares = None, None, 0.0
        if bias is not None and np.any(bias):
            bias_squares = float(bias @ bias)
            total = float(np.linalg.norm(sizes))
            offset = -float(bias @ slopes) / bias_squares
            offset = offset if offset * sqrt(bias_squares) > FREE * total else 0.0
            residual_bias = float(np.linalg.norm(slopes + offset * bias)) / total if total > 0 else 0.0
        left = whole = 0.0
        for h, _, g, _ in _blocks(rows, classes, weight, bias):
            gradient = g @ weight / samples
            rest = gradient + decays[1] * h
            if nonnegative:
                idle = (h <= 0) & (rest > 0)
                rest[idle] = 0.0
                gradient[idle] = 0.0
            left += float(np.vdot(rest, rest))
            whole += float(np.vdot(gradient, gradient))
        force = float(np.linalg.norm(pull))
        return cls(
            decays[0],
            decays[1],
            offset,
            sqrt(decays[0] * decays[1]) if min(decays) > 0 else float("nan"),
            float(np.linalg.norm(pull + decays[0] * weight)) / force if force > 0 else 1.0,
            sqrt(left / whole) if whole > 0 else 1.0,
            residual_bias,
            loss / samples,
            norm,
            squares,
            bias_squares,
        )


def _blocks(
    rows: Rows, classes: Codes, weight: Floats, bias: Floats | None
) -> Iterator[tuple[Floats, Floats, NDArray[np.float64], float]]:
    """Features, logits without the bias, gradient of the *sum* of losses in the logits, and that sum, block by block."""
    step, start = max(256, ENTRIES // max(weight.shape)), 0
    for block in rows.blocks(step):
        own = classes[start : start + len(block)]
        start += len(block)
        h = np.asarray(block, dtype=np.float64)
        z = h @ weight.T
        logits = z if bias is None else z + bias
        shifted = logits - logits.max(axis=1, keepdims=True)
        odds = np.exp(shifted)
        total = odds.sum(axis=1)
        at = np.arange(len(h))
        loss = float(np.sum(np.log(total) - shifted[at, own]))
        g = odds / total[:, None]
        # p_y - 1 as minus the other probabilities: it keeps its digits where p_y is near 1
        odds[at, own] = 0.0
        g[at, own] = -odds.sum(axis=1) / total
        yield h, z, g, loss
