"""The geometry of a solution: neural-collapse metrics of its classifier and last-layer class means."""

from __future__ import annotations

import numpy as np

from ufm.analysis.tables import table_geometry
from ufm.metrics.gram import block_gram, centred_columns, duality, equinorm, pairs, to_simplex, written
from ufm.solvers.solution import Solution
from ufm.spectral.blocks import BlockMatrix


def geometry(solution: Solution) -> dict[str, float | None]:
    """Metrics of a solution's classifier W and last-layer class means, in block form (any K).

    Parameters
    ----------
    solution : Solution

    Returns
    -------
    dict
        ``nc2, nc3, self_duality, equinorm``, then for classifiers and, with the suffix ``_means``, for class means
        ``cos_majority, cos_minority, cos_cross`` (mean cosine within the largest, within the smallest and between these
        classes) and ``norm_ratio`` (majority over minority norm). Means are centred in ``nc2_means, nc3, self_duality,
        equinorm_means`` (as in `measure`) and raw in cosines and norm ratios. None where
        undefined: no such pair, or a vector is zero.

    Examples
    --------
    >>> import ufm
    >>> s = ufm.solve(ufm.Problem(ufm.balanced(4, 20), regularizer=ufm.WeightDecay(5e-3, 5e-3)))
    >>> round(ufm.geometry(s)["cos_majority"], 9)
    -0.333333333
    """
    if solution.problem.tabular:
        return table_geometry(solution)
    sizes = np.array([float(n) for n in solution.program.sizes])
    if solution.program.penalty.columns:
        weight, means, cross = _written_out(solution)
        sizes = np.array([float(n) for n in solution.problem.counts])
    else:
        weight, means, cross = _in_blocks(solution)
    means_centred = means.centred()
    product = centred_columns(cross)
    result: dict[str, float | None] = {
        "nc2": to_simplex(weight),
        "nc2_means": to_simplex(means_centred),
        "nc3": to_simplex(product),
        "self_duality": duality(weight, means_centred, product),
        "equinorm": equinorm(weight),
        "equinorm_means": equinorm(means_centred),
    }
    for suffix, gram in (("", weight), ("_means", means)):
        for name, value in pairs(gram, sizes).items():
            result[name + suffix] = value
    return result


def classifier_gram(solution: Solution) -> BlockMatrix:
    """Gram matrix of the classifiers of a solution for class sizes, in blocks of equal classes.

    Parameters
    ----------
    solution : Solution

    Returns
    -------
    BlockMatrix
        One group for each of the program's; one for each class where the head charges columns.
    """
    return (_written_out if solution.program.penalty.columns else _in_blocks)(solution)[0]


def _in_blocks(solution: Solution) -> tuple[BlockMatrix, BlockMatrix, BlockMatrix]:
    """Gram matrices of W and of the means, and W H, from the sizes that the head gives to singular directions."""
    program, factors, problem = solution.program, solution.factors, solution.problem
    groups, m, scale, runs = program.groups, program.multiplicity, program.scale, program.runs
    if problem.head.normalised:
        wide, long = problem.head.contrast_parts(program, factors, problem.regularizer)
        return (
            block_gram(factors.left @ factors.left.T, wide**2, m, runs),
            block_gram(factors.right.T @ factors.right, long**2, m, runs),
            block_gram(factors.left @ factors.right, wide * long, m, runs),
        )
    heights, outputs = problem.head.sizes(*program.feature_lengths(factors), problem.regularizer)
    rows = np.sqrt(m @ factors.left**2)
    across = np.sqrt(factors.right**2 @ (m * scale**2))
    left = factors.left * (heights[groups:] / np.where(rows > 0, rows, 1.0))
    right = factors.right * (outputs[groups:] / np.where(across > 0, across, 1.0))[:, None]
    contrast = np.sign(factors.contrast) * heights[:groups] * outputs[:groups] / scale
    return (
        block_gram(left @ left.T, heights[:groups] ** 2, m, runs),
        block_gram(right.T @ right, (outputs[:groups] / scale) ** 2, m, runs),
        block_gram(left @ right, contrast, m, runs),
    )


def _written_out(solution: Solution) -> tuple[BlockMatrix, BlockMatrix, BlockMatrix]:
    """Gram matrices of W and of the means, and W H, from explicit parameters."""
    found = solution.parameters
    outputs = found.outputs
    return written(found.weight @ found.weight.T), written(outputs.T @ outputs), written(found.weight @ outputs)
