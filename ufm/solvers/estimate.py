"""Rough running times, and limits above which the command line and sweeps refuse a problem.

`ufm.solve` itself has no such limits. Constants were measured on one core of 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ufm.errors import InputError

if TYPE_CHECKING:
    from ufm.problem import Problem

TABLE_ENTRIES = 5e6
"""Entries of a table of targets up to which it is solved: some 1 GB, and hours where both sides are long."""
BLOCK_SIZES = 1500
"""Distinct class sizes up to which a wide program is solved: some 8 min and 1.2 GB (time grows with G^3, memory with G^2)."""
NARROW_CLASSES = 1000
"""K up to which a narrow one is, where ``dim < K - 1``: some 30 min and 0.8 GB (time grows with K^3, memory with K^2)."""
CLOSED_SIZES = 3000
"""Distinct class sizes up to which closed forms are evaluated: some 50 s and 1.2 GB."""


def seconds_for(problem: Problem, method: str = "auto") -> float:
    """Rough time of a solution on one core, in seconds.

    Parameters
    ----------
    problem : Problem
    method : str, as for `ufm.solve`

    Returns
    -------
    float

    Raises
    ------
    InputError
        The method that would run takes more time or memory than the limits above allow.
    """
    if problem.tabular:
        return table_seconds(problem)
    from ufm.solvers import solver
    from ufm.solvers.automatic import AUTOMATIC

    classes, sizes = problem.counts.classes, len(problem.counts.groups)
    if sizes > CLOSED_SIZES:
        raise InputError(f"counts has {sizes} distinct class sizes; at most {CLOSED_SIZES} are supported: round them")
    names = AUTOMATIC if method == "auto" else (method,)
    route = next((name for name in names if solver(name).unfit(problem) is None), None)
    if route == "factored":
        if not problem.wide:
            if classes > NARROW_CLASSES:
                raise InputError(
                    f"counts has K={classes} classes, and dim < {problem.needed}: the K x K program would take about "
                    f"{2e-6 * classes**3 / 3600:.1g} h and {800 * classes**2 / 1e9:.1g} GB; K <= {NARROW_CLASSES} is supported "
                    "here, or leave --dim out, or give fewer classes"
                )
            return 2e-6 * classes**3
        if sizes > BLOCK_SIZES:
            raise InputError(
                f"counts has {sizes} distinct class sizes: the program would take about {1.5e-7 * sizes**3 / 60:.2g} min and "
                f"{500 * sizes**2 / 1e9:.1g} GB; {BLOCK_SIZES} are supported here: round them"
            )
        return 1.5e-7 * sizes**3
    if route == "separable":
        return 1.8e-9 * classes * sizes**2 + 5e-7 * classes * min(classes, CLOSED_SIZES)
    if route == "multistart":
        return 1.5e-4 * classes**3 if classes <= 64 else 2.0
    if route == "convex":
        return 1e-3 * classes**2
    if route == "gradient":
        return 1e-5 * classes * min(problem.counts.total, 10**9)
    return 0.1


def table_seconds(problem: Problem) -> float:
    """Rough time of a solution on a table of targets, in seconds.

    Raises
    ------
    InputError
        It takes more memory than `TABLE_ENTRIES` allows.
    """
    program = problem.program()
    rows, contexts = program.rows, program.contexts  # type: ignore[attr-defined]
    entries = rows * contexts
    if entries > TABLE_ENTRIES:
        raise InputError(
            f"table has {rows} x {contexts} entries and would take some {2e-7 * entries:.0f} GB; at most {TABLE_ENTRIES:g} "
            "are supported here: merge rare rows, or contexts"
        )
    # Features of a fixed norm: both factors are searched, in several numbers of dimensions.
    return 0.02 + (2e-6 if program.penalty.feature_norms else 4e-7) * entries * min(rows, contexts)


def about(seconds: float) -> str:
    """A rough duration in words: "20 s", "6 min", "3 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
