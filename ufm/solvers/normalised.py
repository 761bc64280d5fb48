"""From factors and bounds of a model with bounded feature norms to a `Solution`."""

from __future__ import annotations

from ufm.certify.certificate import Certificate
from ufm.certify.normalised import NormalisedBounds
from ufm.problem.problem import Problem
from ufm.solvers.solution import Path, Solution, Stats, Status
from ufm.spectral.program import Factors


def conclude_normalised(
    problem: Problem,
    method: str,
    factors: Factors,
    found: NormalisedBounds,
    stats: Stats,
    tolerance: float,
    path: Path | None = None,
) -> Solution:
    """A solution with its certificate, and the status that the certificate proves.

    Parameters
    ----------
    problem : Problem, with a head that is `normalised`
    method : str, the solver's name
    factors : Factors, the point found
    found : NormalisedBounds, at these factors
    stats : Stats
    tolerance : float, certified relative gap that counts as solved
    path : Path or None, recorded dynamics

    Returns
    -------
    Solution
        Its program is the supporting program of the bounds.
    """
    certificate = Certificate(found.lower, found.upper, "float", problem, found.program, factors, found.slopes)
    fits = problem.fits(factors.width(found.program.multiplicity))
    # A squared error may be zero at the optimum, so that its gap is also measured against the value 1/2 at zero.
    scale = found.upper if found.program.loss.shift_invariant else max(found.upper, 0.5)
    status = Status.OPEN if problem.wide else Status.LOOSE
    if found.upper - found.lower <= tolerance * scale and fits:
        status = Status.OPTIMAL
    return Solution(status, method, found.value, certificate, stats, problem, found.program, factors, path=path)
