"""`solve`: run a named solver, or try the applicable ones in order."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from importlib import import_module
from typing import Any

from ufm._arrays import check_level
from ufm.certify.certificate import check_verified
from ufm.certify.primal_dual import within
from ufm.errors import InputError
from ufm.problem.problem import Problem
from ufm.solvers.base import Solver, refusal
from ufm.solvers.solution import Solution, Status, check_options, outward
from ufm.spectral.penalties import Penalty

PROVED = 1e-6
"""Default tolerance at level "rigorous": relative gap above which a solution does not count as solved."""
METHODS = {
    "separable": "Separable",
    "symmetric": "Symmetric",
    "factored": "Factored",
    "proximal": "Proximal",
    "multistart": "Multistart",
    "gradient": "Gradient",
    "convex": "Convex",
    "table": "Table",
}
"""Names of methods, and of their classes in `ufm.solvers`, which are loaded when they are needed."""
AUTOMATIC = ("separable", "symmetric", "factored", "proximal", "multistart", "table")
"""Methods that ``auto`` tries, fastest first; the last for convex penalties is `proximal`, for others `multistart`."""


def solver(name: str) -> Solver:
    """The solver of that name with its default options.

    Raises
    ------
    InputError
        There is no such method.
    """
    if name not in METHODS:
        raise InputError(f"method is {name!r}; choose one of {', '.join(('auto', *METHODS))}")
    return getattr(import_module("ufm.solvers"), METHODS[name])()


def solve(
    problem: Problem,
    *,
    method: str | Solver = "auto",
    level: str = "float",
    tolerance: float | None = None,
    verbose: bool = False,
) -> Solution:
    """Optimum of a layer-peeled model with a certificate of how good it is.

    Parameters
    ----------
    problem : Problem
    method : {"auto", "separable", "symmetric", "factored", "proximal", "multistart", "gradient", "convex", "table"} or a solver
        object
        A name runs the solver with its defaults; for options pass the object, such as
        ``ufm.solvers.Gradient(rule="adam", random_state=3)``. ``auto`` tries the applicable solvers in order while the status
        is ``OPEN``, returns the smallest certified gap, and says what it chose in ``solution.choice``.
    level : {"float", "rigorous"}
        Level of the certificate: float64 with a-priori rounding terms, or exact and ball arithmetic.
    tolerance : float in (0, 1) or None
        Certified relative gap that counts as solved, at the level asked for; None leaves the solver its own (and 1e-6 at
        level "rigorous").
    verbose : bool
        Print to stderr which method runs, how it ended, its certified gap and its time.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        Unknown method or level, a tolerance outside (0, 1) or for a solver without one, or a method that does not fit the
        problem (with the reason).
    ConvergenceError
        Gradient descent diverges, or a conic solver returns no point.

    Examples
    --------
    >>> import ufm
    >>> problem = ufm.Problem(ufm.balanced(10, 20), regularizer=ufm.WeightDecay(5e-3, 5e-3))
    >>> solution = ufm.solve(problem)
    >>> f"{solution.value:.11f}", solution.method, solution.certificate.gap < 1e-12
    ('0.94430798137', 'symmetric', True)
    """
    check_level(level)
    if tolerance is not None:
        check_options(tolerance)
    if not isinstance(problem, Problem):
        raise InputError(f"problem is {problem!r}; give a ufm.Problem")
    if level == "rigorous":
        check_verified(problem)
    say = _print_to_stderr if verbose else _ignore
    if not isinstance(method, str) and (isinstance(method, type) or not (callable(method) and hasattr(method, "unfit"))):
        raise InputError(f"method is {method!r}; give a name or a solver object such as ufm.solvers.Gradient()")
    if method == "auto":
        solution = _automatic(problem, tolerance, say)
    else:
        chosen = _with(solver(method) if isinstance(method, str) else method, tolerance)
        solution = _run(chosen, problem, say)
    if level == "rigorous":
        solution = _proved(solution, PROVED if tolerance is None else tolerance)
        say(f"proved: {solution.status}, relative gap {solution.relative_gap:.1e} in exact and ball arithmetic")
    return solution


def _print_to_stderr(text: str) -> None:
    print(f"ufm: {text}", file=sys.stderr, flush=True)


def _ignore(text: str) -> None:
    """Print nothing."""


def _with(method: Solver, tolerance: float | None) -> Solver:
    """The solver with another tolerance, if one is given."""
    if tolerance is None:
        return method
    options: Any = method
    if not is_dataclass(options) or isinstance(options, type) or not hasattr(options, "tolerance"):
        raise InputError(f"tolerance is {tolerance!r}, and the solver {method!r} has no such option; leave it out")
    changed: Any = replace(options, tolerance=float(tolerance))
    return changed


def _run(method: Solver, problem: Problem, say: Callable[[str], None]) -> Solution:
    """Solve, and report the method, its status, gap and time through ``say``."""
    say(f"{method.name} runs on {problem.shape}")
    found = method(problem)
    summary = f"certified relative gap {found.relative_gap:.1e}, {found.stats.seconds:.2f} s"
    say(f"{found.method} ended: {found.status}, {summary}")
    return found


def _automatic(problem: Problem, tolerance: float | None, say: Callable[[str], None]) -> Solution:
    """Try the applicable solvers in order while the status is `OPEN`; return the smallest certified gap."""
    refusals: list[tuple[str, str]] = []
    best: Solution | None = None
    for name in AUTOMATIC:
        if name == "proximal" and not problem.tabular and _second_order(problem.program().penalty):
            continue  # `symmetric` and `factored` are second-order methods for these penalties
        candidate = solver(name)
        reason = refusal(candidate, problem)
        if reason is not None:
            refusals.append((name, reason))
            continue
        # Closed forms are the exception, so `choice` does not mention that there is none.
        passed = [f"{other} does not fit: {why}; " for other, why in refusals if other != "separable" and not problem.tabular]
        found = _run(_with(candidate, tolerance), problem, say)
        if best is None:
            best = replace(found, choice=f"{''.join(passed[:1])}{name} fits")
        elif found.certificate.gap < best.certificate.gap:
            best = replace(found, choice=f"{best.method} ended open; {name} fits too")
        if best.status is not Status.OPEN:
            return best
    if best is not None:
        return best
    # Give the reason of the method that is meant for this kind of penalty.
    program = problem.program()
    penalty = program.penalty
    last = "separable" if penalty.columns else "multistart"
    if program.convex and not penalty.columns:
        last = "factored" if _second_order(penalty) else "proximal"
    raise InputError(f"no method fits this problem: {last}: {dict(refusals)[last]}")


def _second_order(penalty: Penalty) -> bool:
    """Whether `symmetric` and `factored` take the penalty."""
    return penalty.nuclear or penalty.feature_norms


def _proved(solution: Solution, tolerance: float) -> Solution:
    """The solution with its rigorous certificate; the status is lowered if that does not prove the tolerance."""
    certificate = solution.certificate.rigorous()
    if solution.excess:
        certificate = replace(certificate, upper=outward(certificate.upper + solution.excess))
    status = solution.status
    scale = certificate.upper if solution.program.loss.shift_invariant else max(certificate.upper, 0.5)
    if status in (Status.OPTIMAL, Status.ZERO) and not certificate.gap <= tolerance * scale:
        status = Status.OPEN if solution.program.convex else Status.BEST
    value = within(certificate.lower, solution.value, certificate.upper)
    return replace(solution, certificate=certificate, status=status, value=value)
