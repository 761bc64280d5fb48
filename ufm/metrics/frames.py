"""Reference geometries, as rows of a (K, d) array."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.targets.counts import ClassCounts


def simplex_etf(n_classes: int, dim: int | None = None, rng: np.random.Generator | None = None) -> Floats:
    """Simplex equiangular tight frame: unit rows with pairwise cosine ``-1 / (K - 1)`` (Papyan, Han & Donoho 2020).

    Parameters
    ----------
    n_classes : int >= 2, K
    dim : int >= K - 1 or None (K - 1)
    rng : numpy Generator or None
        Where given, the frame is rotated by a random orthogonal matrix.

    Returns
    -------
    (K, dim) float64, rows of length 1

    Raises
    ------
    InputError
        Fewer than two classes, or a dimension below K - 1.

    Examples
    --------
    >>> frame = simplex_etf(4, 5)
    >>> bool(np.allclose(frame @ frame.T, (4 * np.eye(4) - 1) / 3))
    True
    """
    if n_classes < 2:
        raise InputError(f"n_classes is {n_classes}; a simplex needs at least 2")
    dim = n_classes - 1 if dim is None else dim
    if dim < n_classes - 1:
        raise InputError(f"dim is {dim}; a simplex ETF of {n_classes} vectors needs at least {n_classes - 1} dimensions")
    values, vectors = np.linalg.eigh(np.eye(n_classes) - 1.0 / n_classes)
    frame = np.zeros((n_classes, dim))
    frame[:, : n_classes - 1] = vectors[:, values > 0.5] * np.sqrt(n_classes / (n_classes - 1.0))
    return frame if rng is None else frame @ _rotation(dim, rng)


def orthogonal_frame(n_classes: int, dim: int | None = None, rng: np.random.Generator | None = None) -> Floats:
    """Orthonormal vectors, one for each class.

    Parameters
    ----------
    n_classes : int >= 1, K
    dim : int >= K or None (K)
    rng : numpy Generator or None
        Where given, the frame is rotated by a random orthogonal matrix.

    Returns
    -------
    (K, dim) float64, rows of length 1

    Raises
    ------
    InputError
        A dimension below K.

    Examples
    --------
    >>> orthogonal_frame(2, 3).shape
    (2, 3)
    """
    dim = n_classes if dim is None else dim
    if dim < n_classes:
        raise InputError(f"dim is {dim}; {n_classes} orthogonal vectors need at least {n_classes} dimensions")
    frame = np.eye(n_classes, dim)
    return frame if rng is None else frame @ _rotation(dim, rng)


def seli(counts: ClassCounts | Iterable[int]) -> tuple[Floats, Floats]:
    """Gram matrices (K, K) of classifiers and class means under the simplex-encoded-label interpolation geometry.

    With ``C = I - 11'/K`` and D the diagonal matrix of class sizes, the SVD of ``C D^{1/2}`` is split evenly between
    classifiers and scaled features. This is the limit of the optimum as decay per sample goes to zero (Thrampoulidis et al.,
    NeurIPS 2022, Definition 2). Norm budgets lead to the simplex ETF instead (docs/theory, Proposition 5.7).

    Parameters
    ----------
    counts : ClassCounts or iterable of int, class sizes

    Returns
    -------
    classifiers : (K, K) float64, ``W W'``
    means : (K, K) float64, ``H' H``, both scaled as for logits ``W H = C``

    Examples
    --------
    >>> W, H = seli([1, 1, 1])
    >>> bool(np.allclose(W, np.eye(3) - 1 / 3))
    True
    """
    sizes = np.array([float(n) for n in ClassCounts.of(counts)])
    n_classes = len(sizes)
    root = np.sqrt(sizes)
    u, sigma, vt = np.linalg.svd((np.eye(n_classes) - 1.0 / n_classes) * root)
    weight = (u * sigma) @ u.T
    means = (vt.T * sigma) @ vt / np.outer(root, root)
    return weight, means


def _rotation(dim: int, rng: np.random.Generator) -> Floats:
    q, r = np.linalg.qr(rng.standard_normal((dim, dim)))
    return q * np.sign(np.diag(r))
