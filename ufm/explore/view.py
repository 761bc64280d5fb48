"""What the page shows of its settings, part by part; each part is computed when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TypeVar

from ufm._arrays import Floats
from ufm.analysis.advice import Advice, advise
from ufm.analysis.reporting import Report, report
from ufm.errors import ConvergenceError, InputError
from ufm.explore.curves import FEW, Curve, curve
from ufm.explore.phases import Phase, phase, points
from ufm.explore.settings import Settings
from ufm.plot.overview import cosines
from ufm.problem import CrossEntropy, NoDecay, WeightDecay
from ufm.solvers.automatic import solve
from ufm.solvers.estimate import about
from ufm.solvers.solution import Solution

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds up to which a diagram is drawn on this page."""


@dataclass(frozen=True, eq=False)
class View:
    """Everything about one choice of settings.

    Parameters
    ----------
    settings : Settings

    Examples
    --------
    >>> view = View(Settings(ratio=8.0))
    >>> view.solution.success, view.report.collapse.verdict, float(view.curve.threshold)
    (True, 'yes', 7.0)
    >>> view.advice["class weights 1/sqrt(n)"].collapses
    'none'
    """

    settings: Settings

    @cached_property
    def solution(self) -> Solution:
        """The optimum with its certificate, as `ufm.solve` returns it.

        Raises
        ------
        InputError
            The problem refuses the settings.
        """
        return solve(self.settings.problem, level=self.settings.level)

    @cached_property
    def report(self) -> Report:
        """Verdicts on collapse, and metrics."""
        return report(self.solution)

    @cached_property
    def grams(self) -> tuple[Floats, Floats]:
        """(K, K) cosines between the classifiers, and between the raw last-layer class means; 0 for zero vectors."""
        found = self.solution.parameters
        return cosines(found.weight), cosines(found.outputs.T)

    @property
    def curve(self) -> Curve:
        """The minority cosine against R, with the threshold."""
        return curve(self.settings)

    @property
    def phase(self) -> Phase:
        """The phase diagram.

        Raises
        ------
        InputError
            The problem has neither decay nor budgets, or the diagram takes longer than `PATIENCE`.
        """
        count = points(self.settings)
        seconds = count * self.solution.stats.seconds
        if seconds > PATIENCE:  # timed again, for the first solution of a process loads libraries
            seconds = count * solve(self.settings.problem).stats.seconds
        if seconds > PATIENCE:
            told = f"the diagram of this head and loss takes {count} searches, {about(seconds)}"
            raise InputError(f"{told}; compute it with ufm sweep, on several cores")
        return phase(self.settings)

    @property
    def advice(self) -> Advice:
        """The remedies for these class sizes and decays; the loss has no effect.

        Raises
        ------
        InputError
            Budgets in place of decays, or a head whose critical decays are not known in closed form.
        """
        given = self.settings.regularizer
        if not isinstance(given, WeightDecay):
            raise InputError(f"remedies are compared under decay of classifier and features; the regulariser here is {given}")
        return _advice(replace(self.settings, loss=CrossEntropy()))

    @property
    def key(self) -> Settings:
        """What the curve depends on: the settings without their ratio."""
        return replace(self.settings, ratio=1.0)

    @property
    def fluent(self) -> bool:
        """Whether the curve is drawn at every move: of a program that is convex, a second at most."""
        return self.settings.closed or self.solution.program.convex

    @property
    def prompt(self) -> bool:
        """Whether the diagram is drawn at every move, too: closed forms have it, or there is none."""
        return self.settings.closed or isinstance(self.settings.regularizer, NoDecay)

    @property
    def seconds(self) -> float:
        """Rough time of what waits where points are solved one by one: the diagram, and the curve of programs not convex."""
        one = self.solution.stats.seconds
        diagram = points(self.settings) * one
        return (diagram if diagram <= PATIENCE else 0.0) + (0.0 if self.fluent else FEW * one)

    def commands(self, *, asked: bool = False) -> tuple[str, ...]:
        """Command lines that compute what is shown: the optimum, and the threshold and the remedies where there are any.

        Parameters
        ----------
        asked : bool, whether the curve is shown although it is not `fluent`
        """
        settings, found = self.settings, [self.settings.solve_command]
        if (asked or self.fluent) and attempt(lambda: self.curve.threshold)[0] is not None:
            found.append(settings.threshold_command)
        if attempt(lambda: self.advice)[0] is not None:
            found.append(settings.advise_command)
        return tuple(found)


def attempt(call: Callable[[], T]) -> tuple[T | None, str]:
    """What a call returns and "", or None and the one sentence with which it is refused.

    Parameters
    ----------
    call : callable without arguments

    Examples
    --------
    >>> attempt(lambda: View(Settings(head="layernorm")).solution)[1].partition(":")[0]
    'regularizer is decay 0.0025,0.0025 and head layernorm'
    """
    try:
        return call(), ""
    except (InputError, ConvergenceError) as error:
        return None, str(error)


@lru_cache(maxsize=64)
def _advice(settings: Settings) -> Advice:
    regularizer = settings.regularizer
    assert isinstance(regularizer, WeightDecay)
    return advise(settings.counts, regularizer=regularizer, head=settings.head, level=settings.level)
