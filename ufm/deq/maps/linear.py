"""The linear DEQ ``z = W z + U x + b``, solved for the whole batch with one factorisation."""

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

    Parameters
    ----------
    weight : (d, d), W
    injection : (d, p), U
    bias : (d,), b
    sigma : "linear"

    Raises
    ------
    InputError
        Shapes that do not fit, NaN or infinity, another sigma; from `solve` and `solve_adjoint`: ``I - W`` is singular in
        float64.

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
        """The equilibria ``(U x + b) (I - W)^{-T}`` for inputs (B, p), as (B, d) float64."""
        return self._solved(self.drive(inputs), transposed=False)

    def solve_adjoint(self, cotangent: Floats) -> Floats:
        """The solution g of the adjoint system ``g = v + g W`` for rows v, (B, d), as (B, d) float64."""
        return self._solved(cotangent, transposed=True)

    def _solved(self, right: Floats, *, transposed: bool) -> Floats:
        matrix = np.eye(self.width) - self.weight
        try:
            found = np.linalg.solve(matrix.T if transposed else matrix, right.T)
        except np.linalg.LinAlgError:
            raise InputError(
                "I - W is singular, so the linear layer has no unique equilibrium; project W to a norm < 1"
            ) from None
        # Compare the rounding error with the right-hand side: relative to the huge solution of a nearly singular system the
        # residual would look small.
        noise = self.width * UNIT * np.abs(found).max(initial=0.0) * np.linalg.norm(matrix)
        if not noise <= 1e-6 * np.abs(right).max(initial=0.0):
            raise InputError("I - W is singular to working precision: no unique equilibrium; project W to a norm < 1")
        return np.array(found.T, dtype=np.float64, order="C")
