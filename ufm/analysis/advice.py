"""Which remedy works for given class sizes and decays: who collapses, from which decay on, and the geometry that results.

Collapse of equal classes is decided in closed form (docs/theory, Propositions 7.1, 7.12 and 7.13) in ball arithmetic; the
geometry is that of a certified optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from math import exp, log
from typing import TYPE_CHECKING, Any

from ufm._tables import html_table, plain_table, rich_table
from ufm._text import finite, sizes
from ufm.analysis.collapsed import critical_decays, decay_verdicts, place
from ufm.analysis.group_collapse import collapse, smallest_contrast
from ufm.analysis.size_ranges import RangeCollapse
from ufm.analysis.solution_geometry import geometry
from ufm.analysis.thresholds import Threshold, threshold
from ufm.errors import InputError
from ufm.problem.heads import Head, LinearDEQ
from ufm.problem.losses import CrossEntropy, Loss
from ufm.problem.problem import Problem
from ufm.problem.regularizers import WeightDecay
from ufm.problem.text import as_head
from ufm.solvers.automatic import solve
from ufm.targets.counts import ClassCounts

if TYPE_CHECKING:
    from rich.table import Table

BETA = 0.999
"""Parameter of effective-number weights ``(1 - BETA) / (1 - BETA^n)`` (Cui et al. 2019; locator unknown)."""
HALF = 0.5
"""The decay of the remedy "less decay", relative to the least decay at which a group collapses."""
MANY_SIZES = 60
"""Distinct sizes from which on geometries are those of sizes rounded to so many values, which the rows say."""
CLOSE = 0.99
"""Cosine of neighbours from which on a row mentions a range whose contrasts are not enclosed."""
NOT_COVERED = (
    "this is a model of the last layer at its optimum: features are free, and no data, depth or training time enter",
    "it says nothing about generalisation: separated classifiers need not classify new samples better",
    "classes of different sizes hardly ever share a classifier exactly; for them ranges state how close neighbours are",
    "balanced sampling is modelled by exact copies; augmentation and drawing with chance are not",
)
"""What the model does not cover."""


@dataclass(frozen=True)
class GroupAdvice:
    """What happens to all classes of one size under a remedy.

    Attributes
    ----------
    size, classes : int
    collapsed : {"yes", "no", "undecided"}
        Proved in closed form, level "rigorous"; "undecided" only within rounding of the critical decay.
    lower, upper : float
        Enclosure of the critical decay ``sqrt(lambda_W lambda_H)``: below it the classes separate.
    """

    size: int
    classes: int
    collapsed: str
    lower: float
    upper: float


@dataclass(frozen=True)
class Remedy:
    """One row of `Advice`.

    Attributes
    ----------
    name : str
    loss, head : str, as on the command line
    counts : ClassCounts, class sizes after the remedy
    regularizer : WeightDecay, decays after the remedy
    groups : tuple of GroupAdvice, one for each size that two or more classes have, largest first
    first : {"minority", "majority", "both", "all", "none"} or "size N"
        Which classes are the first to collapse as decay grows; "none" where no two classes have the same size.
    collapses : {"none", "minority", "majority", "both", "all"} or "sizes N, M"
        Which classes are collapsed at these decays.
    ratio : Threshold or None
        Under step imbalance, the imbalance ratio from which on a group is collapsed, at the given minority count.
    cos_minority, norm_ratio, contrast : float or None
        Of the certified optimum: mean cosine of the classifiers of the smallest classes, mean norm of the largest over that of
        the smallest, and logit contrast of the smallest classes (nats).
    ranges : tuple of RangeCollapse, near-collapse of many / medium / few where there are more than two sizes
    sizes_solved : int
        Distinct sizes of the optimum whose geometry is given: at most `MANY_SIZES`, to which larger numbers are rounded. Who
        collapses is always decided at the sizes as they are.
    status, level : str
        Of the solution whose geometry is given, and of its bounds.
    gap : float, certified gap of its value
    words : str, one sentence
    """

    name: str
    loss: str
    head: str
    counts: ClassCounts
    regularizer: WeightDecay
    groups: tuple[GroupAdvice, ...]
    first: str
    collapses: str
    ratio: Threshold | None
    cos_minority: float | None
    norm_ratio: float | None
    contrast: float | None
    ranges: tuple[RangeCollapse, ...]
    sizes_solved: int
    status: str
    level: str
    gap: float
    words: str

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON."""
        ratio = self.ratio
        return {
            "remedy": self.name,
            "loss": self.loss,
            "head": self.head,
            "counts": str(self.counts),
            "decay": [self.regularizer.weight, self.regularizer.features],
            "first": self.first,
            "collapses": self.collapses,
            "groups": [asdict(group) | {"level": "rigorous"} for group in self.groups],
            "ratio": None if ratio is None else ratio.to_dict(),
            "cos_minority": finite(self.cos_minority),
            "norm_ratio": finite(self.norm_ratio),
            "contrast": finite(self.contrast),
            "ranges": [part.to_dict() for part in self.ranges],
            "sizes_solved": self.sizes_solved,
            "status": self.status,
            "level": self.level,
            "gap": finite(self.gap),
            "words": self.words,
        }


@dataclass(frozen=True, repr=False)
class Advice:
    """What `advise` returns; prints as a table, in notebooks as HTML.

    Attributes
    ----------
    counts : ClassCounts
    regularizer : WeightDecay
    head : str
    remedies : tuple of Remedy, "none" first
    not_covered : tuple of str, what the model does not cover
    """

    counts: ClassCounts
    regularizer: WeightDecay
    head: str
    remedies: tuple[Remedy, ...]
    not_covered: tuple[str, ...] = NOT_COVERED

    def __getitem__(self, name: str) -> Remedy:
        """The remedy of this name.

        Parameters
        ----------
        name : str

        Raises
        ------
        InputError
            There is no such remedy.
        """
        for remedy in self.remedies:
            if remedy.name == name:
                return remedy
        raise InputError(f"there is no remedy {name!r}; choose among {', '.join(remedy.name for remedy in self.remedies)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what ``ufm advise --json`` prints."""
        return {
            "counts": str(self.counts),
            "decay": [self.regularizer.weight, self.regularizer.features],
            "head": self.head,
            "remedies": [remedy.to_dict() for remedy in self.remedies],
            "not_covered": list(self.not_covered),
        }

    @property
    def title(self) -> str:
        """The problem in one line."""
        return f"remedies for counts {sizes(self.counts.runs)}, head {self.head}, {self.regularizer}"

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Names and sentences of the table, each as text."""
        return [(remedy.name, remedy.words) for remedy in self.remedies] + [("not covered", text) for text in self.not_covered]

    def __str__(self) -> str:
        return plain_table(self.title, self.rows)

    def __repr__(self) -> str:
        held = [remedy.name for remedy in self.remedies if remedy.collapses != "none"]
        collapse = f"collapse under {len(held)} of {len(self.remedies)} remedies"
        return f"Advice({sizes(self.counts.runs)!r}, {self.regularizer}, {collapse})"

    def _repr_html_(self) -> str:
        return html_table(self.title, self.rows)

    def __rich__(self) -> Table:
        return rich_table(self.title, self.rows)


@dataclass(frozen=True)
class Candidate:
    """A remedy before it is evaluated.

    Attributes
    ----------
    name : str
    loss : Loss
    head : Head
    counts : ClassCounts
    regularizer : WeightDecay
    scales : bool
        Whether it keeps its form as class sizes change, so that a critical ratio makes sense.
    remark : str, what to know about it, or ""
    """

    name: str
    loss: Loss
    head: Head
    counts: ClassCounts
    regularizer: WeightDecay
    scales: bool = True
    remark: str = ""


def advise(
    counts: ClassCounts | Iterable[int] | str,
    *,
    regularizer: WeightDecay,
    head: Head | str | None = None,
    level: str = "float",
    progress: Callable[[str], None] | None = None,
) -> Advice:
    """A table of remedies for imbalance: who collapses under each, from which decay on, and the geometry that results.

    Remedies: none; class weights ``n^-1/2`` and ``n^-1``; effective-number weights; logit adjustment (factor 1); temperatures
    ``(n / n_max)^1/2``; label smoothing 0.1; balanced sampling (samples copied until all classes have the largest size);
    less decay; a linear equilibrium with ``rho = 0.5`` beside (or ``rho`` half way to 1, where the head is one already).

    Parameters
    ----------
    counts : ClassCounts, list of int or text such as ``"500*5,100*5"``
    regularizer : WeightDecay
    head : Explicit (default, one layer), LinearDEQ, or text such as ``"deq:rho=0.3"``
    level : {"float", "rigorous"}, of the bounds of the certified optima; who collapses is always proved
    progress : callable from str to None, or None
        Called with the name of each remedy before it is evaluated.

    Returns
    -------
    Advice

    Raises
    ------
    InputError
        A single class, budgets in place of decays, or a head that is not convex.

    Examples
    --------
    >>> import ufm
    >>> advice = advise("1700*5,100*5", regularizer=ufm.WeightDecay(2.5e-3, 2.5e-3))
    >>> advice["none"].collapses, advice["class weights 1/n"].collapses, advice["class weights 1/sqrt(n)"].collapses
    ('minority', 'majority', 'none')
    >>> advice["class weights 1/n"].words.partition(";")[0]
    'the 5 classes of size 1700 (majority) share one classifier until sqrt(LW LH) falls below 0.00242536'
    """
    given = ClassCounts.parse(counts) if isinstance(counts, str) else ClassCounts.of(counts)
    if given.classes < 2:
        raise InputError("counts has a single class; remedies are compared for two classes or more")
    if not isinstance(regularizer, WeightDecay):
        raise InputError(f"regularizer is {regularizer!r}; advice needs decays, so give WeightDecay(...)")
    chosen = as_head(head)
    if chosen.exact_gain is None:
        raise InputError(f"head is {chosen}; advice is exact for explicit and deq:rho=R, so give one of them")
    found = []
    for candidate in candidates(given, regularizer, chosen):
        if progress is not None:
            progress(candidate.name)
        found.append(evaluate(candidate, level))
    return Advice(given, regularizer, str(chosen), tuple(found))


def candidates(counts: ClassCounts, regularizer: WeightDecay, head: Head) -> list[Candidate]:
    """The remedies that are compared.

    Parameters
    ----------
    counts : ClassCounts
    regularizer : WeightDecay
    head : Head with an exact gain

    Returns
    -------
    list of Candidate
    """
    plain, largest = CrossEntropy(), counts.groups[0][1]
    gain = head.exact_gain
    assert gain is not None
    rho = float(1 - HALF / gain)
    prices = [low for low, _, _ in critical_decays(counts, plain, head, regularizer)]
    target = HALF * min([regularizer.mu, *prices])
    factor = target / regularizer.mu
    less = WeightDecay(
        regularizer.weight * factor, regularizer.features * factor, regularizer.bias, per_class=regularizer.per_class
    )
    copied = ClassCounts(tuple((largest, m) for _, m in counts.runs))

    def under(name: str, loss: Loss, remark: str = "", scales: bool = True) -> Candidate:
        return Candidate(name, loss, head, counts, regularizer, scales, remark)

    return [
        under("none", plain),
        under("class weights 1/sqrt(n)", CrossEntropy(weights=0.5), "the only power of n that treats all sizes alike"),
        under("class weights 1/n", CrossEntropy(weights=1.0), "weights in the loss are not oversampling"),
        under(f"effective-number weights, beta {BETA:g}", effective(counts), "", False),
        under("logit adjustment", CrossEntropy(adjustment=1.0), "no strength of it moves the critical decay"),
        under("temperatures (n/n_max)^1/2", CrossEntropy(temperatures=0.5), "they weaken the pull on small classes"),
        under("label smoothing 0.1", CrossEntropy(smoothing=0.1), "it acts like more decay"),
        Candidate(
            "balanced sampling", plain, head, copied, regularizer, False,
            "copies carry the feature decay too: a simplex ETF below that decay, all zero from it on",
        ),
        Candidate("less decay", plain, head, counts, less, True, f"both decays times {factor:.4g}"),
        Candidate(f"equilibrium, rho {rho:g}", plain, LinearDEQ(rho), counts, regularizer, True, "half the effective decay"),
    ]  # fmt: skip


def effective(counts: ClassCounts) -> CrossEntropy:
    """Cross-entropy with effective-number weights for these class sizes."""
    return CrossEntropy(weights=tuple((1 - BETA) / (1 - BETA**n) for _, n in counts.groups))


def rounded(counts: ClassCounts) -> ClassCounts:
    """Class sizes rounded to at most `MANY_SIZES` values, in equal ratios from the largest to the smallest.

    Parameters
    ----------
    counts : ClassCounts

    Returns
    -------
    ClassCounts
        The same object where there are no more sizes than that.
    """
    if len(counts.groups) <= MANY_SIZES:
        return counts
    largest, ratio = counts.groups[0][1], counts.ratio
    steps = (MANY_SIZES - 1) / log(ratio)

    def near(size: int) -> int:
        return round(largest * exp(-round(log(largest / size) * steps) / steps))

    return ClassCounts(tuple((near(n), m) for n, m in counts.runs))


def evaluate(candidate: Candidate, level: str) -> Remedy:
    """Everything about one remedy.

    Parameters
    ----------
    candidate : Candidate
    level : {"float", "rigorous"}

    Returns
    -------
    Remedy
    """
    decay, counts = candidate.regularizer, candidate.counts
    critical = critical_decays(counts, candidate.loss, candidate.head, decay)
    verdicts = decay_verdicts(critical, decay)
    groups = tuple(
        GroupAdvice(counts.groups[g][1], counts.groups[g][0], verdict, low, high)
        for (low, high, g), verdict in zip(critical, verdicts, strict=True)
    )
    first_end = min((end for _, end, _ in critical), default=0.0)
    first = place(counts, [g for start, _, g in critical if start <= first_end])
    held = [g for group, (_, _, g) in zip(groups, critical, strict=True) if group.collapsed == "yes"]
    solved = rounded(counts)
    loss = candidate.loss if solved is counts or candidate.loss.pull != effective(counts).pull else effective(solved)
    solution = solve(Problem(solved, regularizer=decay, loss=loss, head=candidate.head), level=level)
    shown = geometry(solution)
    ranges = collapse(solution).ranges if len(counts.groups) > 2 else ()
    contrast = smallest_contrast(solution)
    found = Remedy(
        candidate.name, str(candidate.loss), str(candidate.head), counts, decay, groups, first, place(counts, held),
        critical_ratio(candidate), shown["cos_minority"], shown["norm_ratio"], finite(contrast), ranges, len(solved.groups),
        str(solution.status), solution.certificate.level, float(solution.certificate.gap), "",
    )  # fmt: skip
    return replace(found, words=sentence(found, candidate))


def critical_ratio(candidate: Candidate) -> Threshold | None:
    """The imbalance ratio from which on a group is collapsed; None without step imbalance, or where there is none.

    Parameters
    ----------
    candidate : Candidate

    Returns
    -------
    Threshold or None
    """
    groups = candidate.counts.groups
    if len(groups) != 2 or not candidate.scales or groups[1][0] < 2:
        return None
    count = None if candidate.regularizer.per_class else groups[1][1]
    try:
        return threshold(
            classes=(groups[0][0], groups[1][0]), regularizer=candidate.regularizer, minority_count=count,
            head=candidate.head, loss=candidate.loss,
        )  # fmt: skip
    except InputError:
        return None


def sentence(found: Remedy, candidate: Candidate) -> str:
    """A remedy in plain words.

    Parameters
    ----------
    found : Remedy
    candidate : Candidate

    Returns
    -------
    str
        Who is collapsed and until which decay, or from which decay on somebody would be; the geometry; the remark.
    """
    clauses = []
    held = [group for group in found.groups if group.collapsed == "yes"]
    two = len(candidate.counts.groups) == 2

    def who(group: GroupAdvice) -> str:
        side = f" ({'majority' if group.size == candidate.counts.groups[0][1] else 'minority'})" if two else ""
        return f"the {group.classes} classes of size {group.size}{side}"

    for group in held[:2]:
        clauses.append(f"{who(group)} share one classifier until sqrt(LW LH) falls below {group.lower:.6g}")
    if len(held) > 2:
        clauses.append(f"so do {len(held) - 2} other groups of equal classes")
    if found.groups and not held:
        least = min(found.groups, key=lambda group: group.lower)
        which = "all equal classes" if found.first in ("both", "all") and len(found.groups) > 1 else who(least)
        clauses.append(f"no group of equal classes is collapsed; {which} would be from sqrt(LW LH) = {least.lower:.6g} on")
    if not found.groups:
        clauses.append("no two classes have the same size")
    near = [part for part in found.ranges if part.verdict == "yes"]
    if near:
        named = " and ".join(f"{part.name} ({part.classes} classes)" for part in near)
        clauses.append(f"neighbours nearly coincide among {named}")
    close = [part for part in found.ranges if part.verdict == "undecided" and (part.neighbours or 0.0) > CLOSE]
    if close:
        named = " and ".join(f"{part.name} ({part.neighbours:.4f})" for part in close)
        clauses.append(f"cosines of neighbours, not proved, are close to one among {named}")
    if found.cos_minority is None:
        clauses.append("the smallest classifiers are zero, or there is only one")
    else:
        ratio = "" if found.norm_ratio is None else f", norm ratio {found.norm_ratio:.4g}"
        clauses.append(f"cosine of the smallest classes {found.cos_minority:.4f}{ratio}")
    if found.sizes_solved < len(candidate.counts.groups):
        clauses.append(f"geometry of sizes rounded to {found.sizes_solved} values")
    return "; ".join([*clauses, *([candidate.remark] if candidate.remark else [])])
