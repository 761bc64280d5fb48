"""The linear DEQ ``z = W z + U x + b``: one factorisation gives value and gradient of the whole batch exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ufm._arrays import Floats
from ufm._rounding import UNIT
from ufm.deq.maps.affine import AffineLayer
from ufm.errors import InputError


@dataclass(frozen=True, eq=False)
class LinearLayer(AffineLayer):
    """`AffineLayer` with the identity as activation, which can also be solved directly.

    Raises
    ------
    InputError
        From `solve` and `solve_adjoint`: ``I - W`` is singular in float64.

    Examples
    --------
    >>> import numpy as np, ufm
    >>> layer = ufm.deq.LinearLayer(np.full((1, 1), 0.5), np.ones((1, 1)), np.zeros(1))
    >>> layer.solve(np.array([[3.0]]))
    array([[6.]])
    """

    sigma: str = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma != "linear":
            raise InputError(f"sigma is {self.sigma!r}; a linear layer has the identity, use AffineLayer for {self.sigma}")

    def solve(self, inputs: Floats) -> Floats:
        """``(U x + b) (I - W)^{-T}`` for the batch, (B, d)."""
        return self._solved(self.drive(inputs), transposed=False)

    def solve_adjoint(self, cotangent: Floats) -> Floats:
        """g with ``g = v + g W``, (B, d)."""
        return self._solved(cotangent, transposed=True)

    def _solved(self, right: Floats, *, transposed: bool) -> Floats:
        matrix = np.eye(self.width) - self.weight
        try:
            found = np.linalg.solve(matrix.T if transposed else matrix, right.T)
        except np.linalg.LinAlgError:
            raise InputError(
                "I - W is singular, so the linear layer has no unique equilibrium; project W to a norm < 1"
            ) from None
        # What rounding makes of the residual; the residual itself looks small next to the huge solutions of a singular system.
        noise = self.width * UNIT * np.abs(found).max(initial=0.0) * np.linalg.norm(matrix)
        if not noise <= 1e-6 * np.abs(right).max(initial=0.0):
            raise InputError("I - W is singular to working precision: no unique equilibrium; project W to a norm < 1")
        return np.array(found.T, dtype=np.float64, order="C")
