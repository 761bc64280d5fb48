"""The controls of the page as values: forms of heads and losses with their options, decays, budgets, ratios and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

from ufm.explore.settings import BUDGETS, DECAYS, LARGEST, Charge
from ufm.problem import ClassifierDecay, NoDecay, NormBudget, WeightDecay
from ufm.problem.heads import Head
from ufm.problem.losses import Loss
from ufm.problem.spelling import Spelling


def decades(low: float, high: float, each: int, digits: int) -> tuple[float, ...]:
    """Numbers in nearly equal ratios.

    Parameters
    ----------
    low, high : float, the ends, powers of ten
    each : int, how many there are in a decade
    digits : int, to which they are rounded

    Returns
    -------
    tuple of float

    Examples
    --------
    >>> decades(0.01, 1.0, 3, 1)
    (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    """
    first, last = round(log10(low) * each), round(log10(high) * each)
    return tuple(float(f"{10.0 ** (k / each):.{digits}g}") for k in range(first, last + 1))


RATIO_VALUES = decades(1.0, LARGEST, 20, 2)
COUNT_VALUES = tuple(int(n) for n in decades(1.0, 1000.0, 3, 1))
DECAY_VALUES, BUDGET_VALUES = decades(*DECAYS, 10, 2), decades(*BUDGETS, 10, 2)
CLASSES = 20
"""Largest number of majority classes, and of minority classes."""
VALUES: dict[str, tuple[Sequence[float], float]] = {
    "layers": (range(1, 7), 1),
    "rho": (tuple(k / 20 for k in range(19)), 0.3),
    "decay": ((0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0), 0.05),
    "contraction": (tuple(k / 20 for k in range(1, 19)), 0.5),
    "frobenius": (tuple(k / 20 for k in range(19)), 0.5),
    "norm": ((0.25, 0.5, 1.0, 2.0, 4.0, 8.0), 1.0),
    "scale": ((1.0, 2.0, 5.0, 10.0, 20.0, 30.0), 5.0),
    "weights": (tuple(k / 10 for k in range(-10, 21)), 0.0),
    "adjustment": (tuple(k / 10 for k in range(21)), 0.0),
    "temperatures": (tuple(k / 10 for k in range(11)), 0.0),
    "smoothing": (tuple(k / 20 for k in range(11)), 0.0),
    "gamma": ((0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0), 2.0),
}
"""Values of each option by its name in the text form, and the one at which its control begins."""


@dataclass(frozen=True)
class Form:
    """One text form.

    Attributes
    ----------
    name : str, kind of the form, and its first required option where another form has the same kind
    spelling : Spelling
    """

    name: str
    spelling: Spelling

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the options that take a number."""
        spelling = self.spelling
        return ((spelling.positional,) if spelling.positional else ()) + (*spelling.required, *spelling.optional)

    def text(self, values: Mapping[str, float]) -> str:
        """The text with these values.

        Parameters
        ----------
        values : mapping from each of `options` to a number

        Returns
        -------
        str
            As on the command line.

        Examples
        --------
        >>> from ufm.problem.text import HEADS
        >>> forms(HEADS)["deq:rho"].text({"rho": 0.3}), forms(HEADS)["explicit"].text({"layers": 2})
        ('deq:rho=0.3', 'explicit:2')
        """
        kind, options = self.spelling.kind, self.options
        if not options:
            return kind
        if self.spelling.positional:
            return f"{kind}:{int(values[options[0]])}"
        return f"{kind}:" + ",".join(f"{name}={values[name]!r}" for name in options)


def forms(classes: Sequence[type[Head]] | Sequence[type[Loss]]) -> dict[str, Form]:
    """The forms of heads or losses by name; of those that take a list of whole numbers there is none.

    Parameters
    ----------
    classes : sequence of classes with a `Spelling`, such as `ufm.problem.text.HEADS`

    Returns
    -------
    dict from str to Form

    Examples
    --------
    >>> from ufm.problem.text import HEADS, LOSSES
    >>> list(forms(HEADS))
    ['explicit', 'deq:rho', 'deq:decay', 'deq:frobenius', 'relu', 'etf', 'layernorm', 'cosine']
    >>> list(forms(LOSSES))
    ['ce', 'bce', 'focal', 'pal', 'mse']
    """
    spellings = [cls.spelling for cls in classes if cls.spelling is not None and not cls.spelling.several]
    kinds = [spelling.kind for spelling in spellings]
    found = {}
    for spelling in spellings:
        shared = kinds.count(spelling.kind) > 1
        name = f"{spelling.kind}:{next(iter(spelling.required))}" if shared else spelling.kind
        found[name] = Form(name, spelling)
    return found


def charge(head: Head, *, budget: bool, decays: tuple[float, float], budgets: tuple[float, float]) -> Charge:
    """The regulariser that a head takes.

    Parameters
    ----------
    head : Head
    budget : bool, whether budgets are asked for, where the head has a choice
    decays : (float, float), LW and LH
    budgets : (float, float), EW and EH

    Returns
    -------
    WeightDecay, NormBudget, ClassifierDecay or NoDecay

    Examples
    --------
    >>> from ufm.problem import LayerNorm
    >>> charge(LayerNorm(), budget=True, decays=(1e-2, 1e-3), budgets=(1, 5))
    ClassifierDecay(weight=0.01, bias=None)
    """
    if head.undecayed:
        return NoDecay()
    if head.normalised:
        return ClassifierDecay(decays[0])
    return NormBudget(*budgets) if budget else WeightDecay(*decays)


def charged(regularizer: Charge) -> tuple[str, ...]:
    """Names of the numbers of a regulariser: LW and LH, EW and EH, LW alone, or none.

    Parameters
    ----------
    regularizer : WeightDecay, NormBudget, ClassifierDecay or NoDecay
    """
    if isinstance(regularizer, NormBudget):
        return "EW", "EH"
    if isinstance(regularizer, NoDecay):
        return ()
    return ("LW",) if isinstance(regularizer, ClassifierDecay) else ("LW", "LH")
