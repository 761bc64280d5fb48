"""One door to all solvers."""

from __future__ import annotations

from dataclasses import replace

from ufm.certify.certificate import check_level
from ufm.errors import InputError
from ufm.problem.problem import Problem
from ufm.solvers import METHODS, Solver, solver
from ufm.solvers.solution import Solution

AUTOMATIC = ("separable", "symmetric", "factored", "multistart")
"""Methods that ``auto`` tries, fastest first; what is convex ends with `factored`, the rest with `multistart`."""


def solve(problem: Problem, *, method: str | Solver = "auto", level: str = "float") -> Solution:
    """Optimum of a layer-peeled model with a certificate of how good it is.

    Parameters
    ----------
    problem : Problem
    method : {"auto", "symmetric", "factored", "gradient", "convex"} or a solver object
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
    choice = ""
    if method == "auto":
        chosen, choice = _choose(problem)
    elif isinstance(method, str):
        chosen = solver(method)
    elif isinstance(method, type) or not (callable(method) and hasattr(method, "unfit")):
        raise InputError(f"method is {method!r}; give a name or a solver object such as ufm.solvers.Gradient()")
    else:
        chosen = method
    solution = chosen(problem)
    if level == "rigorous":
        solution = replace(solution, certificate=solution.certificate.rigorous())
    return replace(solution, choice=choice) if choice else solution


def _choose(problem: Problem) -> tuple[Solver, str]:
    refusals = []
    for name in AUTOMATIC:
        candidate = METHODS[name]()
        reason = candidate.unfit(problem)
        if reason is None:
            # Closed forms are the exception, so their absence needs no word.
            passed = [f"{other} does not fit: {why}; " for other, why in refusals if other != "separable"]
            return candidate, f"{''.join(passed[:1])}{name} fits"
        refusals.append((name, reason))
    raise InputError("no method fits this problem: " + "; ".join(f"{n}: {why}" for n, why in refusals))
