"""The settings of a view: one problem of step imbalance, and the command lines that compute what is shown of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace

from ufm.errors import InputError, brief
from ufm.problem import ClassCounts, ClassifierDecay, CrossEntropy, Explicit, NoDecay, NormBudget, Problem, WeightDecay
from ufm.problem.heads import Head
from ufm.problem.losses import Loss
from ufm.problem.losses.base import check_loss
from ufm.problem.text import as_head, parse_loss

LARGEST = 1000.0
"""The largest imbalance ratio of controls, curves and diagrams."""
DECAYS, BUDGETS = (1e-5, 1e-1), (0.1, 10.0)
"""Ranges of single decays and budgets, and of strengths."""
Charge = WeightDecay | NormBudget | ClassifierDecay | NoDecay


@dataclass(frozen=True)
class Settings:
    """What the controls of the page say.

    Parameters
    ----------
    majority, minority : int, K_A and K_B, numbers of classes
    ratio : float >= 1, R; class sizes are whole, so that `at` is the ratio of the problem itself
    minority_count : int, n_B, samples of each minority class
    regularizer : WeightDecay, NormBudget, ClassifierDecay (head layernorm) or NoDecay (head cosine)
    head : Head, or its text form
    loss : Loss, or its text form
    level : {"float", "rigorous"}, of the bounds of the optimum and of the threshold

    Raises
    ------
    InputError
        A ratio below 1, a bias or decay per class, or text that is no head or no loss. What a problem refuses is refused by
        `problem`.

    Examples
    --------
    >>> settings = Settings(majority=3, minority=2, ratio=2.5, minority_count=3, head="deq:rho=0.3")
    >>> str(settings.counts), settings.at
    ('8*3,3*2', 2.6666666666666665)
    >>> settings.solve_command
    "ufm solve --counts '8*3,3*2' --decay 0.0025,0.0025 --loss ce --head deq:rho=0.3 --level float"
    """

    majority: int = 5
    minority: int = 5
    ratio: float = 5.0
    minority_count: int = 100
    regularizer: Charge = field(default_factory=lambda: WeightDecay(2.5e-3, 2.5e-3))
    head: Head = field(default_factory=Explicit)
    loss: Loss = field(default_factory=CrossEntropy)
    level: str = "float"

    def __post_init__(self) -> None:
        if not self.ratio >= 1:
            raise InputError(f"ratio is {brief(self.ratio)}; give n_majority / n_minority as a number of at least 1")
        if self.regularizer.bias_decay() is not None or getattr(self.regularizer, "per_class", False):
            raise InputError(
                f"regularizer is {self.regularizer}; a view has neither a bias nor decay per class: leave them out"
            )
        object.__setattr__(self, "head", as_head(self.head))
        object.__setattr__(self, "loss", parse_loss(self.loss) if isinstance(self.loss, str) else check_loss(self.loss))

    @property
    def counts(self) -> ClassCounts:
        """The class sizes, majority first."""
        return ClassCounts(((round(self.ratio * self.minority_count), self.majority), (self.minority_count, self.minority)))

    @property
    def at(self) -> float:
        """The ratio of the whole class sizes."""
        return self.counts.ratio

    @property
    def problem(self) -> Problem:
        """The problem itself.

        Raises
        ------
        InputError
            A combination that the problem refuses.
        """
        return Problem(self.counts, regularizer=self.regularizer, head=self.head, loss=self.loss)

    @property
    def closed(self) -> bool:
        """Whether `ufm.solvers.convex.step_imbalance` solves it, so that a whole diagram takes milliseconds."""
        kind = isinstance(self.regularizer, WeightDecay | NormBudget)
        return kind and self.loss.plain_cross_entropy and self.head.exact_gain is not None

    @property
    def sampled(self) -> int | None:
        """n_B where a threshold depends on it, under decay of features per sample; None elsewhere."""
        return self.minority_count if isinstance(self.regularizer, WeightDecay) else None

    @property
    def strength(self) -> float:
        """What the diagram varies beside R: ``sqrt(LW LH)`` under decay, ``sqrt(EW EH)`` under budgets, LW for layernorm.

        Raises
        ------
        InputError
            The problem has neither decay nor budgets.
        """
        if isinstance(self.regularizer, NoDecay):
            raise InputError(
                f"head {self.head} has neither decay nor budgets, so there is no diagram over them; choose another"
            )
        if isinstance(self.regularizer, ClassifierDecay):
            return self.regularizer.weight
        return self.regularizer.c if isinstance(self.regularizer, NormBudget) else self.regularizer.mu

    def at_strength(self, strength: float) -> Settings:
        """The same settings at another `strength`, both decays or budgets equal: cosines do not depend on their quotient.

        Parameters
        ----------
        strength : float > 0

        Examples
        --------
        >>> str(Settings().at_strength(1e-3).regularizer)
        'decay 0.001,0.001'
        """
        given = self.regularizer
        if isinstance(given, WeightDecay):
            return replace(self, regularizer=WeightDecay(strength, strength))
        if isinstance(given, NormBudget):
            return replace(self, regularizer=NormBudget(strength, strength))
        return replace(self, regularizer=ClassifierDecay(strength)) if isinstance(given, ClassifierDecay) else self

    @property
    def solve_command(self) -> str:
        """The command line that computes the optimum."""
        return _line("solve", "--counts", str(self.counts), *_charged(self.regularizer), "--loss", str(self.loss), *self._last)

    @property
    def threshold_command(self) -> str:
        """The command line that encloses the threshold."""
        count = [] if self.sampled is None else ["--minority-count", str(self.sampled)]
        options = [*count, *_charged(self.regularizer), "--loss", str(self.loss), *self._last]
        return _line("threshold", "--classes", f"{self.majority},{self.minority}", *options)

    @property
    def advise_command(self) -> str:
        """The command line that compares remedies."""
        return _line("advise", "--counts", str(self.counts), *_charged(self.regularizer), *self._last)

    @property
    def _last(self) -> list[str]:
        return ["--head", str(self.head), "--level", self.level]


def _line(*words: str) -> str:
    return shlex.join(["ufm", *words])


def _charged(regularizer: Charge) -> list[str]:
    """The option that states a regulariser, with every digit."""
    if isinstance(regularizer, NoDecay):
        return []
    if isinstance(regularizer, ClassifierDecay):
        return ["--decay", repr(regularizer.weight)]
    name = "--budget" if isinstance(regularizer, NormBudget) else "--decay"
    return [name, f"{regularizer.weight!r},{regularizer.features!r}"]
