"""Geometry of a solution on a table of targets."""

from __future__ import annotations

import numpy as np

from ufm._arrays import Floats
from ufm.errors import InputError
from ufm.solvers.solution import Solution

MERGED = 1e-8
"""Cosine distance up to which contexts count as having one feature direction."""
PAIRS = 4000
"""Most contexts between which all cosines are taken."""


def table_geometry(solution: Solution) -> dict[str, float | None]:
    """Named metrics of a solution on a table; None where undefined (zero vectors, one row or context only).

    ``rank`` of the logits without bias; ``floor``, the least value that the loss itself can take on these targets (their mean
    entropy); least and largest cosines between rows of W (``cos_rows_min``, ``cos_rows_max``), between features of contexts
    (``cos_contexts_min``, ``cos_contexts_max``), and, for tasks of two rows each, between the tasks' weight differences
    (``cos_tasks_min``, ``cos_tasks_max``); ``directions``, the number of distinct directions of features.

    Parameters
    ----------
    solution : Solution, of a problem with a table

    Returns
    -------
    dict of float or None

    Raises
    ------
    InputError
        The problem has class sizes; `ufm.geometry` is for these.

    Examples
    --------
    >>> import ufm
    >>> table = ufm.TargetTable([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]], [97, 3, 3, 97])
    >>> problem = ufm.Problem(table, regularizer=ufm.WeightDecay(0.01, 0.01), loss="multitask:2,2")
    >>> round(table_geometry(ufm.solve(problem))["cos_tasks_max"], 7)
    0.9502555
    """
    if not solution.problem.tabular:
        raise InputError("table_geometry is for problems with a table of targets; use ufm.geometry")
    program = solution.program
    parameters = solution.parameters
    loss = program.loss
    found: dict[str, float | None] = {
        "rank": float(solution.factors.left.shape[1]),
        "floor": max(float(program.share @ loss.below(np.zeros_like(loss.target))), 0.0),  # type: ignore[attr-defined]
    }
    features = parameters.outputs.T
    found |= _extremes("rows", parameters.weight)
    found |= _extremes("contexts", features)
    blocks = loss.blocks  # type: ignore[attr-defined]
    if len(blocks) > 1 and all(stop - start == 2 for start, stop in blocks):
        found |= _extremes("tasks", np.array([parameters.weight[start] - parameters.weight[start + 1] for start, _ in blocks]))
    found["directions"] = _directions(features)
    return found


def _unit(vectors: Floats) -> Floats:
    """The nonzero vectors (rows) at length one; vectors that are rounding errors beside the largest count as zero."""
    lengths = np.linalg.norm(vectors, axis=1)
    alive = lengths > 1e-12 * max(float(lengths.max(initial=0.0)), 1e-300)
    return vectors[alive] / lengths[alive, None]


def _extremes(name: str, vectors: Floats) -> dict[str, float | None]:
    unit = _unit(vectors)
    if not 2 <= len(unit) <= PAIRS:
        return {f"cos_{name}_min": None, f"cos_{name}_max": None}
    cosines = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return {f"cos_{name}_min": float(cosines.min()), f"cos_{name}_max": float(min(cosines.max(), 1.0))}


def _directions(features: Floats) -> float | None:
    """Number of distinct directions, each context joined to the first earlier one within `MERGED`."""
    unit = _unit(features)
    if len(unit) > PAIRS:
        return None
    kept: list[int] = []
    for i, vector in enumerate(unit):
        if not kept or float((unit[kept] @ vector).max()) < 1.0 - MERGED:
            kept.append(i)
    return float(len(kept))
