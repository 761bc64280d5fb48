"""`Solution`, what every solver returns, and how a solver's result becomes one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ufm._arrays import Floats, check_whole
from ufm._rounding import UNIT
from ufm._status import Ending
from ufm._tables import html_table, plain_table, rich_table
from ufm.certify.certificate import Certificate
from ufm.certify.primal_dual import RECOVERED, Bounds, bounds, inside
from ufm.errors import ConvergenceError, InputError
from ufm.problem.heads import Parameters
from ufm.problem.problem import Problem
from ufm.problem.regularizers import NormBudget
from ufm.spectral.blocks import BlockMatrix
from ufm.spectral.program import Factors, LogitProgram

if TYPE_CHECKING:
    from rich.table import Table


class Path(NamedTuple):
    """Recorded dynamics, one row per recorded iteration.

    Attributes
    ----------
    iteration : (T,) int
    loss : (T,) float64, the full objective on the sample-level parameters
    gap : (T,) float64, class-mean objective minus the best certified lower bound so far
    metrics : dict of (T,) float64, names as in `ufm.measure`
    """

    iteration: NDArray[np.int64]
    loss: Floats
    gap: Floats
    metrics: dict[str, Floats]


class Status(Ending):
    """What is certified about a solution, as a word; ``status.message`` is the sentence.

    ``ZERO``: under plain cross-entropy without bias and decay per sample, zero logits are optimal if and only if
    ``||(I - 11'/K) D^{1/2}||_2 <= N mu_eff`` with ``D = diag(n_k)``. The norm is ``sqrt(n_max)`` if two classes have the
    largest size, and smaller if one has (docs/theory, Proposition 7.3).

    Examples
    --------
    >>> Status.OPTIMAL == "optimal", Status.OPTIMAL.message
    (True, 'certified optimal: the gap is within the tolerance')
    """

    OPTIMAL = "optimal", "certified optimal: the gap is within the tolerance"
    ZERO = (
        "zero",
        "certified optimal, and the optimum is zero: the decay outweighs the data "
        "(plain cross-entropy without bias, decay per sample: N mu >= ||(I - 11'/K) D^{1/2}||_2 with the class sizes on the "
        "diagonal of D, which is sqrt(n_max) where two classes have that size); lower the decay to see any geometry",
    )
    OPEN = (
        "open",
        "not certified to the tolerance: the gap says how far it may be; allow more iterations or another method",
    )
    BEST = (
        "best",
        "best found: the program is not convex; the certified bounds enclose the global optimum, and the gap says how far "
        "the best found may be from it",
    )
    LOOSE = (
        "loose",
        "best found, optimality not claimed: dim < K - 1 (< K for mse and bce; one more for layernorm), so the certified "
        "lower bound belongs to a relaxation that may be loose; raise dim for a certified optimum",
    )


NEAR = 1e-4
"""Relative distance to the best value within which a candidate counts as a hit."""


class Candidate(NamedTuple):
    """A local solution of a program that is not convex.

    Attributes
    ----------
    name : str, where the descent started
    value : float, its objective (nats)
    rank : int, of its logits
    """

    name: str
    value: float
    rank: int


class Stats(NamedTuple):
    """Work done: iterations of the method, evaluations of loss and gradient, seconds of wall-clock time."""

    iterations: int
    evaluations: int
    seconds: float


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """The best point that a solver has found, with a certificate of its distance to the optimum.

    Attributes
    ----------
    status : Status, what is certified
    method : str, the solver that ran
    value : float, the objective at `parameters` (nats; mean over samples)
    certificate : Certificate, ``lower <= optimum <= upper``
    stats : Stats, iterations, evaluations and seconds
    problem, program, factors : what was solved, and the point in block form
    choice : str, why ``method="auto"`` chose this solver, or ""
    path : Path or None, the recorded dynamics of a gradient method
    candidates : tuple of Candidate, best first, where the program is not convex
    excess : float
        By how much the parameters in float64 cost more than the head's penalty states (see `attainable`); part of the value.

    Raises
    ------
    ConvergenceError
        The value lies outside of the certificate's bounds, which is a defect of this package.

    Examples
    --------
    >>> import ufm
    >>> solution = ufm.solve(ufm.Problem("100*5,10*5", regularizer=ufm.WeightDecay(5e-4, 5e-4)))
    >>> solution.success, solution.status == "optimal", solution.lower <= solution.value <= solution.upper
    (True, True, True)
    """

    status: Status
    method: str
    value: float
    certificate: Certificate
    stats: Stats
    problem: Problem
    program: LogitProgram
    factors: Factors
    choice: str = ""
    path: Path | None = None
    candidates: tuple[Candidate, ...] = ()
    excess: float = 0.0

    def __post_init__(self) -> None:
        if not self.certificate.lower <= self.value <= self.certificate.upper:
            raise ConvergenceError(
                f"value {self.value!r} lies outside of its bounds {self.certificate.lower!r} .. {self.certificate.upper!r}, "
                "which is a defect of this package; please report the problem"
            )

    @property
    def lower(self) -> float:
        """Certified lower bound on the optimum."""
        return self.certificate.lower

    @property
    def upper(self) -> float:
        """Certified upper bound on the optimum."""
        return self.certificate.upper

    @property
    def gap(self) -> float:
        """``upper - lower``."""
        return self.certificate.gap

    @property
    def relative_gap(self) -> float:
        """Gap over the upper bound; 0 where both bounds are 0."""
        return self.certificate.relative_gap

    @property
    def success(self) -> bool:
        """Whether the certificate proves an optimum: status "optimal" or "zero"."""
        return self.status in (Status.OPTIMAL, Status.ZERO)

    @property
    def message(self) -> str:
        """The status as a sentence."""
        return self.status.message

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the certificate to a file, for `ufm.recheck`; see `Certificate.save`.

        Raises
        ------
        InputError
            The file cannot be written, or the independent verifier does not know the head or the loss.
        """
        self.certificate.save(path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: status, value, bounds, work; `ufm.report` adds verdicts on collapse and metrics."""
        found: dict[str, Any] = {
            "status": str(self.status),
            "message": self.message,
            "method": self.method,
            "value": float(self.value),
            "lower": float(self.lower),
            "upper": float(self.upper),
            "gap": float(self.gap),
            "relative_gap": float(self.relative_gap),
            "level": self.certificate.level,
            "seconds": self.stats.seconds,
        }
        if self.candidates:
            found["candidates"] = [candidate._asdict() for candidate in self.candidates]
        return found

    @property
    def title(self) -> str:
        """The problem in one line, abbreviated where there are many class sizes."""
        return self.problem.title

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Names and values of the table, each as text."""
        certificate = self.certificate
        return [
            ("value", f"{self.value:.14g}"),
            (f"bounds ({certificate.level})", f"{certificate.lower:.16g} .. {certificate.upper:.16g}"),
            ("gap", f"{certificate.gap:.1e} (relative: {certificate.relative_gap:.1e})"),
            *self._candidate_rows(),
            ("status", self.message),
            ("method", self.method + (f" ({self.choice})" if self.choice else "")),
            ("seconds", f"{self.stats.seconds:.3f}"),
        ]

    def _candidate_rows(self) -> list[tuple[str, str]]:
        """Rows of the table about the candidates of a program that is not convex: the best one, and the named codes."""
        if not self.candidates:
            return []
        best = self.candidates[0]
        hits = sum(c.value <= best.value * (1 + NEAR) for c in self.candidates)
        best_found = f"rank {best.rank}; {hits} of {len(self.candidates)} candidates within 1e-4 of it"
        named = [c for c in self.candidates if c.name.endswith(" code")]
        above = [(c.name, f"{c.value:.10g} (rank {c.rank}), {c.value - best.value:.1e} above the best found") for c in named]
        return [("best found", best_found), *above]

    def summary(self) -> str:
        """A table in plain text, in lines of at most 80 characters; `ufm.report` adds verdicts and metrics."""
        return plain_table(self.title, self.rows)

    def _repr_html_(self) -> str:
        return html_table(self.title, self.rows)

    def __rich__(self) -> Table:
        return rich_table(self.title, self.rows)

    def __repr__(self) -> str:
        found = f"value={self.value:.14g}, gap={self.gap:.2g} ({self.certificate.level}), method={self.method!r}"
        return f"Solution({self.status}, {found}, {self.problem.shape})"

    @cached_property
    def logits(self) -> BlockMatrix:
        """Logits with bias, K x K in block form; ``numpy.asarray`` writes them out."""
        return self.program.logits(self.factors)

    @cached_property
    def parameters(self) -> Parameters:
        """Explicit W, A, class means of H, and b that have these logits at this value."""
        return self.problem.parameters(self.program, self.factors)


def check_options(tolerance: float, **whole: int) -> None:
    """Check options that solvers share.

    Parameters
    ----------
    tolerance : float, relative, which must lie in (0, 1)
    **whole : int, options that must be whole numbers of at least 1 (``random_state``: at least 0)

    Raises
    ------
    InputError
        An option is out of range or not a number.
    """
    if not (isinstance(tolerance, Real) and 0 < tolerance < 1):
        raise InputError(f"tolerance is {tolerance!r}; give a relative gap between 0 and 1 such as 1e-9")
    for name, value in whole.items():
        check_whole(name, value, 0 if name == "random_state" else 1)


def conclude(
    problem: Problem,
    method: str,
    program: LogitProgram,
    factors: Factors,
    found: Bounds | None,
    stats: Stats,
    tolerance: float,
    path: Path | None = None,
) -> Solution:
    """A solution with its certificate, and the status that the certificate proves.

    Parameters
    ----------
    problem : Problem
    method : str, the solver's name
    program : LogitProgram, of the problem, reduced or split
    factors : Factors, the point found
    found : Bounds or None, at these factors; None to evaluate them here
    stats : Stats
    tolerance : float, certified relative gap that counts as solved
    path : Path or None, recorded dynamics

    Returns
    -------
    Solution
        Its factors are attainable in float64, so they may differ from those given by rounding.
    """
    given = inside(program, factors)
    factors, excess = attainable(problem, program, given)
    found = bounds(program, factors) if found is None or factors is not given else found
    if excess:
        found = found._replace(value=found.value + excess, upper=outward(found.upper + excess))
    certificate = Certificate(found.lower, found.upper, "float", problem, program, factors, found.slopes)
    fits = problem.fits(factors.width(program.multiplicity))
    # A squared error may be zero at the optimum, so that its gap is also measured against the value 1/2 at zero.
    scale = found.upper if program.loss.shift_invariant else max(found.upper, 0.5)
    # Phrased so that a NaN anywhere counts as not solved.
    if not (found.upper - found.lower <= tolerance * scale and fits):
        status = Status.OPEN if problem.wide else Status.LOOSE
        if not program.convex and fits:
            status = Status.BEST
    elif not factors.contrast.any() and not factors.left.any():
        status = Status.ZERO
    else:
        status = Status.OPTIMAL
    return Solution(status, method, found.value, certificate, stats, problem, program, factors, path=path, excess=excess)


def attainable(problem: Problem, program: LogitProgram, factors: Factors) -> tuple[Factors, float]:
    """Factors that parameters in float64 attain inside the budgets, and the excess cost of these parameters.

    Parameters are recovered up to rounding, which the bounds include. The exception is an equilibrium map whose best value a
    is so close to 1 that ``1 - a`` has no accurate float: its parameters may cost more than the penalty states.

    Parameters
    ----------
    problem : Problem
    program : LogitProgram
    factors : Factors

    Returns
    -------
    Factors
        Scaled into the budgets where the parameters would exceed them.
    float
        Cost of the parameters minus the penalty's value (nats); 0 if the difference is within rounding.
    """
    if program.penalty.columns:
        return factors, 0.0
    head, regularizer = problem.head, problem.regularizer
    lengths, copies = program.feature_lengths(factors)
    found = head.directions(lengths, copies, regularizer)
    weight, features = float(copies @ found.weight**2), float(copies @ found.features**2)
    if isinstance(regularizer, NormBudget):
        spent = max(weight / regularizer.weight, features / regularizer.features) / program.classes
        # The layers share one budget, and all of them shrink with the logits.
        if spent <= 1.0 + RECOVERED * UNIT:
            return factors, 0.0
        root = float(np.sqrt(1.0 / spent)) * (1.0 - RECOVERED * UNIT)
        return factors._replace(contrast=factors.contrast * root**2, left=factors.left * root, right=factors.right * root), 0.0
    arrays = tuple(np.sqrt(copies) * array for array in found.arrays)
    decays: Any = regularizer  # fixed norms have `conclude_normalised`
    price = 0.5 * decays.weight * weight + 0.5 * decays.features * features + head.price(arrays, regularizer)[0]
    if head.surcharged:
        price += head.surcharge(found.weight * found.outputs, copies, regularizer)
    stated = program.penalty.value(lengths, copies)
    accuracy = (program.penalty.accuracy(lengths) + 4.0 * RECOVERED) * UNIT
    return factors, price - stated if price > stated * (1.0 + accuracy) else 0.0


def outward(value: float) -> float:
    """A positive value, increased by 8 units of rounding: an upper bound on the exact result of a few operations."""
    return value * (1.0 + 8 * UNIT)
