r"""The program over logits of a table of targets.

For K rows and M contexts it reads

.. math:: \min_{Z, b}\ \sum_m \pi_m \ell_m(z_m + b) + \phi(Z S) + \tfrac{\lambda_b}{2} |b|^2, \qquad Z \in R^{K \times M},

with shares ``pi_m = w_m n_m / N``, column scales ``s_m`` and a penalty on singular values (docs/theory, Proposition 11.1). The
matrix of unknowns is ``X = Z S``, so that the penalty acts on X itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ufm._arrays import Floats
from ufm.spectral.penalties import Penalty
from ufm.spectral.table_loss import TableLoss


class TableFactors(NamedTuple):
    """Logits ``left @ right + bias``; each feature dimension costs as much as a singular value of its length.

    left : (K, r) float64
    right : (r, M) float64
    bias : (K,) float64
    """

    left: Floats
    right: Floats
    bias: Floats


class TableEvaluation(NamedTuple):
    """Smooth part of the objective.

    value : float, in the unit of the loss
    gradient : (K, M) float64, derivative by ``X = Z S``
    bias_gradient : (K,) float64
    probabilities : (K, M) float64, see `TableLoss.probabilities`
    """

    value: float
    gradient: Floats
    bias_gradient: Floats
    probabilities: Floats


@dataclass(frozen=True, eq=False)
class TableProgram:
    """The program of a table; see the module.

    Parameters
    ----------
    sizes : tuple of M int, samples ``n_m`` of each context
    scale : (M,) float64, column scale ``s_m``
    penalty : Penalty on the singular values of ``Z S``, or a `FeatureNorms` (then ``s_m = 1``)
    loss : TableLoss
    bias_decay : float or None, ``lambda_b`` (half convention); 0 is a free bias, None is no bias
    """

    sizes: tuple[int, ...]
    scale: Floats
    penalty: Penalty
    loss: TableLoss
    bias_decay: float | None

    def __post_init__(self) -> None:
        total = float(sum(self.sizes))
        share = self.loss.weight * np.array([n / total for n in self.sizes])
        object.__setattr__(self, "_share", share)

    @property
    def share(self) -> Floats:
        """(M,) factor ``pi_m = w_m n_m / N`` of each context's loss."""
        found: Floats = self.__dict__["_share"]
        return found

    @property
    def convex(self) -> bool:
        """True: every loss and penalty of a table is convex."""
        return True

    @property
    def rows(self) -> int:
        """K, the number of rows."""
        return self.loss.target.shape[0]

    @property
    def contexts(self) -> int:
        """M, the number of contexts."""
        return self.loss.target.shape[1]

    @property
    def rank(self) -> int:
        """Largest rank of logits that an optimum needs: K less the number of blocks that only see differences, or M."""
        return min(self.rows - len(self.loss.blocks), self.contexts)

    def smooth(self, scaled: Floats, bias: Floats) -> TableEvaluation:
        """Mean loss plus bias decay, with derivatives.

        Parameters
        ----------
        scaled : (K, M) float64, ``X = Z S``
        bias : (K,) float64

        Returns
        -------
        TableEvaluation
        """
        logits = scaled / self.scale
        if self.bias_decay is not None:
            logits += bias[:, None]
        probabilities = self.loss.probabilities(logits)
        slopes = (probabilities - self.loss.target) * self.share
        value = float(self.share @ self.loss.values(logits))
        along = np.zeros(self.rows)
        if self.bias_decay is not None:
            value += 0.5 * self.bias_decay * float(bias @ bias)
            along = slopes.sum(axis=1) + self.bias_decay * bias
        return TableEvaluation(value, slopes / self.scale, along, probabilities)

    def value(self, scaled: Floats, bias: Floats) -> float:
        """Mean loss plus bias decay at ``X = Z S`` (K, M) and a bias (K,)."""
        logits = scaled / self.scale
        if self.bias_decay is not None:
            logits += bias[:, None]
        value = float(self.share @ self.loss.values(logits))
        return value + (0.5 * self.bias_decay * float(bias @ bias) if self.bias_decay else 0.0)

    def hessian(self, at: TableEvaluation, direction: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """Second derivative along a direction.

        Parameters
        ----------
        at : TableEvaluation
        direction : (K, M) float64, of X
        bias : (K,) float64, of the bias

        Returns
        -------
        (K, M) float64, (K,) float64
        """
        moved = direction / self.scale
        if self.bias_decay is not None:
            moved += bias[:, None]
        image = self.loss.bend(at.probabilities, moved) * self.share
        along = image.sum(axis=1) + self.bias_decay * bias if self.bias_decay is not None else np.zeros(self.rows)
        return image / self.scale, along

    def curvature(self) -> float:
        """Bound on the second derivative by X."""
        return self.loss.lipschitz * float((self.share / self.scale**2).max())

    def centred(self, array: Floats) -> Floats:
        """The array, (K, ...), with the mean over each block of rows removed where only differences count."""
        found = array.copy()
        for start, stop in self.loss.blocks:
            found[start:stop] -= found[start:stop].mean(axis=0)
        return found

    def lengths(self, factors: TableFactors) -> Floats:
        """(r,) lengths ``|left_i| |right_i S|`` of the feature dimensions, in the unit of singular values of X."""
        return np.sqrt((factors.left**2).sum(axis=0)) * np.sqrt(((factors.right * self.scale) ** 2).sum(axis=1))

    def logits(self, factors: TableFactors) -> Floats:
        """(K, M) logits with bias."""
        return factors.left @ factors.right + factors.bias[:, None]
