"""One door to all solvers."""

from __future__ import annotations

from dataclasses import replace

from ufm._arrays import check_level
from ufm.certify.certificate import check_verified
from ufm.certify.primal_dual import within
from ufm.errors import InputError
from ufm.problem.problem import Problem
from ufm.solvers.base import Solver
from ufm.solvers.convex import Convex, Factored, Proximal, Symmetric
from ufm.solvers.dynamics import Gradient
from ufm.solvers.nonconvex import Multistart
from ufm.solvers.separable import Separable
from ufm.solvers.solution import Solution, Status, outward

PROVED = 1e-6
"""Rigorous relative gap above which a solution no longer counts as solved."""
METHODS: dict[str, type[Solver]] = {
    "separable": Separable,
    "symmetric": Symmetric,
    "factored": Factored,
    "proximal": Proximal,
    "multistart": Multistart,
    "gradient": Gradient,
    "convex": Convex,
}
AUTOMATIC = ("separable", "symmetric", "factored", "proximal", "multistart")
"""Methods that ``auto`` tries, fastest first; what is convex ends with `proximal`, the rest with `multistart`."""


def solver(name: str) -> Solver:
    """The solver of that name with its default options.

    Raises
    ------
    InputError
        There is no such method.
    """
    try:
        return METHODS[name]()
    except KeyError:
        raise InputError(f"method is {name!r}; choose one of {', '.join(('auto', *METHODS))}") from None


def solve(problem: Problem, *, method: str | Solver = "auto", level: str = "float") -> Solution:
    """Optimum of a layer-peeled model with a certificate of how good it is.

    Parameters
    ----------
    problem : Problem
    method : {"auto", "separable", "symmetric", "factored", "proximal", "multistart", "gradient", "convex"} or a solver object
        A name runs the solver with its defaults; for options pass the object, such as
        ``ufm.solvers.Gradient(rule="adam", seed=3)``. ``auto`` takes the first that fits and says which in
        ``solution.choice``.
    level : {"float", "rigorous"}
        Level of the certificate: float64 with a-priori rounding terms, or exact and ball arithmetic.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        Unknown method or level, or a method that does not fit the problem (with the reason).

    Examples
    --------
    >>> import ufm
    >>> problem = ufm.Problem(ufm.balanced(10, 20), regularizer=ufm.WeightDecay(5e-3, 5e-3))
    >>> solution = ufm.solve(problem)
    >>> f"{solution.value:.11f}", solution.method, solution.certificate.gap < 1e-12
    ('0.94430798137', 'symmetric', True)
    """
    check_level(level)
    if not isinstance(problem, Problem):
        raise InputError(f"problem is {problem!r}; give a ufm.Problem")
    if level == "rigorous":
        check_verified(problem)
    if method == "auto":
        solution = _automatic(problem)
    elif isinstance(method, str):
        solution = solver(method)(problem)
    elif isinstance(method, type) or not (callable(method) and hasattr(method, "unfit")):
        raise InputError(f"method is {method!r}; give a name or a solver object such as ufm.solvers.Gradient()")
    else:
        solution = method(problem)
    return _proved(solution) if level == "rigorous" else solution


def _automatic(problem: Problem) -> Solution:
    """The first method that fits; where it ends open, the next one too, and the better certificate of both."""
    refusals: list[tuple[str, str]] = []
    best: Solution | None = None
    for name in AUTOMATIC:
        if name == "proximal" and problem.program().penalty.nuclear:
            continue  # the second-order methods before it are for these
        candidate = METHODS[name]()
        reason = candidate.unfit(problem)
        if reason is not None:
            refusals.append((name, reason))
            continue
        # Closed forms are the exception, so their absence needs no word.
        passed = [f"{other} does not fit: {why}; " for other, why in refusals if other != "separable"]
        found = candidate(problem)
        if best is None:
            best = replace(found, choice=f"{''.join(passed[:1])}{name} fits")
        elif found.certificate.gap < best.certificate.gap:
            best = replace(found, choice=f"{best.method} ended open; {name} fits too")
        if best.status is not Status.OPEN:
            return best
    if best is not None:
        return best
    # What the head is for says most: column penalties have one method, prices that are not convex another.
    penalty = problem.program().penalty
    last = "separable" if penalty.columns else "multistart"
    if penalty.convex and not penalty.columns:
        last = "factored" if penalty.nuclear else "proximal"
    raise InputError(f"no method fits this problem: {last}: {dict(refusals)[last]}")


def _proved(solution: Solution) -> Solution:
    """The solution with its rigorous certificate, and no better a status than that proves."""
    certificate = solution.certificate.rigorous()
    if solution.excess:
        certificate = replace(certificate, upper=outward(certificate.upper + solution.excess))
    status = solution.status
    scale = certificate.upper if solution.program.loss.shift_invariant else max(certificate.upper, 0.5)
    if status in (Status.OPTIMAL, Status.ZERO) and not certificate.gap <= PROVED * scale:
        status = Status.OPEN if solution.program.penalty.convex else Status.BEST
    value = within(certificate.lower, solution.value, certificate.upper)
    return replace(solution, certificate=certificate, status=status, value=value)
