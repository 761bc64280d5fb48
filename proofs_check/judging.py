"""Judging a theorem: everything that it has to offer, run and summed up in a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from proofs_check.box import Box
from proofs_check.enclosure import Finding, Outcome, collecting
from proofs_check.evidence import Evidence, gather
from proofs_check.theorem import Theorem
from proofs_check.timing import OutOfTimeError, limited
from ufm.errors import InputError

LEVELS = ("numeric", "float", "rigorous")
SCALES = ("quick", "default", "full")
"""How many instances are checked: the first and the last of the grid, the grid, the grid and the further ones."""


@dataclass(frozen=True)
class Verdict:
    """All findings on one theorem, summed up.

    Attributes
    ----------
    theorem : class of the theorem
    outcome : Outcome
    level : str, weakest level among the findings on the claim itself
    findings, controls, twins, outside : tuples of Finding
    steps : tuple of (name, whether computer algebra confirms it)
    seconds : float, time that it took
    boxes : tuple of Box, what is certified over continuous ranges
    instances : int, points of the grid that were checked
    evidence : tuple of Evidence, certificates that were kept
    cached : bool, whether findings are those of an earlier run, its certificates verified again
    stopped : str, where the time limit ended the run; "" where it did not
    """

    theorem: type[Theorem]
    outcome: Outcome
    level: str
    findings: tuple[Finding, ...]
    steps: tuple[tuple[str, bool], ...]
    controls: tuple[Finding, ...]
    twins: tuple[Finding, ...]
    outside: tuple[Finding, ...]
    seconds: float
    boxes: tuple[Box, ...] = ()
    instances: int = 0
    evidence: tuple[Evidence, ...] = ()
    cached: bool = False
    stopped: str = ""

    @property
    def worst(self) -> str:
        """``=`` worst relative agreement of the equalities, ``>`` smallest slack of the decisions and inequalities."""
        equalities = [f.margin for f in self.findings if f.equality]
        slacks = [f.margin for f in self.findings if not f.equality]
        parts = [f"={max(equalities):.0e}"] if equalities else []
        parts += [f">{min(slacks):.0e}"] if slacks else []
        return " ".join(parts)

    @property
    def trouble(self) -> list[str]:
        """Everything that kept the theorem from holding, one line each."""
        lines = [f"the time limit ended the check at {self.stopped}"] if self.stopped else []
        lines += [f"{f.what}: {f.outcome.value} (margin {f.margin:.1e})" for f in self.findings if f.outcome != Outcome.HOLDS]
        lines += [] if self.findings else ["nothing was compared"]
        parts = (("negative control", self.controls), ("twin", self.twins), ("instance outside the hypotheses", self.outside))
        lines += [f"there is no {name}" for name, found in parts if not found]
        lines += [f"symbolic step {name!r} is not confirmed" for name, passed in self.steps if not passed]
        lines += [f"negative control not rejected: {f.what}" for f in self.controls if f.outcome != Outcome.VIOLATED]
        lines += [f"twin moved: {f.what} ({f.outcome.value})" for f in self.twins if f.outcome != Outcome.HOLDS]
        lines += [f"outside: {f.what} ({f.outcome.value})" for f in self.outside if f.outcome != Outcome.HOLDS]
        lines += [line for box in self.boxes for line in box.trouble]
        return lines


def _guarded(findings: Iterator[Finding], what: str, level: str) -> Iterator[Finding]:
    """The findings; a solver that refuses its problem makes one that is inconclusive instead of ending the run."""
    try:
        yield from findings
    except InputError as error:
        yield Finding(f"{what}: {error}", Outcome.INCONCLUSIVE, float("inf"), level)


def confirmed(truth: Any) -> bool:
    """A truth value of computer algebra as a plain one; a relation that it cannot decide confirms nothing."""
    try:
        return bool(truth)
    except TypeError:
        return False


def instances(claim: Theorem, scale: str) -> list[Any]:
    """The instances of a scale.

    Parameters
    ----------
    claim : Theorem
    scale : str, one of `SCALES`

    Returns
    -------
    list
    """
    grid = list(claim.grid())
    if scale == "quick":
        return grid if len(grid) < 3 else [grid[0], grid[-1]]
    return [*grid, *claim.more()] if scale == "full" else grid


def summed_up(verdict: Verdict, level: str) -> Verdict:
    """The verdict with the outcome and the level that its findings imply.

    Violated: a finding on the claim or in its box is violated, or a symbolic step is not confirmed. Holds: everything came out
    as it should, the box is certified, and no weaker than the theorem requires. Inconclusive otherwise.

    Parameters
    ----------
    verdict : Verdict
    level : str, the level that was asked for

    Returns
    -------
    Verdict
    """
    found, controls, twins, outside = verdict.findings, verdict.controls, verdict.twins, verdict.outside
    weakest = min((f.level for f in found), key=LEVELS.index, default="numeric")
    enough = min(verdict.theorem.required, level, key=LEVELS.index)
    parts = [f for box in verdict.boxes for f in box.findings]
    if any(f.outcome == Outcome.VIOLATED for f in (*found, *parts)) or not all(passed for _, passed in verdict.steps):
        outcome = Outcome.VIOLATED
    elif (
        found
        and controls
        and twins
        and outside
        and not verdict.stopped
        and all(box.certified for box in verdict.boxes)
        and all(f.outcome == Outcome.HOLDS for f in (*found, *twins, *outside))
        and all(f.outcome == Outcome.VIOLATED for f in controls)
        and LEVELS.index(weakest) >= LEVELS.index(enough)
    ):
        outcome = Outcome.HOLDS
    else:
        outcome = Outcome.INCONCLUSIVE
    return replace(verdict, outcome=outcome, level=weakest)


def judge(
    cls: type[Theorem],
    level: str = "rigorous",
    progress: Callable[[str], None] = lambda _: None,
    *,
    scale: str = "default",
    keep: bool = False,
    seconds: float | None = None,
) -> Verdict:
    """Run everything a theorem has to offer and sum it up.

    Parameters
    ----------
    cls : class of the theorem
    level : str, "float" or "rigorous"
    progress : callable, told what runs
    scale : str, one of `SCALES`
    keep : bool, whether to keep the certificates of the findings on the claim
    seconds : float or None, time limit; what is reached is judged, and the verdict cannot be that the theorem holds

    Returns
    -------
    Verdict
    """
    start, claim, place = perf_counter(), cls(), [cls.id]
    parts: dict[str, list[Any]] = {name: [] for name in ("findings", "steps", "controls", "twins", "outside", "boxes")}
    count, stopped = 0, ""

    def at(what: str) -> None:
        place[0] = what
        progress(f"{cls.id} {what}")

    with collecting() as certificates:
        try:
            with limited(seconds):
                for instance in instances(claim, scale):
                    at(f"{instance}")
                    for text in cls.fails(instance):
                        what = f"{instance} lies outside the hypothesis {text}"
                        parts["findings"].append(Finding(what, Outcome.INCONCLUSIVE, 0.0, level, equality=False))
                    parts["findings"].extend(_guarded(claim.check(instance, level), f"{instance}", level))
                    count += 1
                claimed = list(certificates)
                at("symbolic steps")
                parts["steps"].extend((str(name), confirmed(truth)) for name, truth in claim.steps())
                at("box")
                parts["boxes"].extend(claim.box(scale))
                at("controls and twins")
                parts["controls"].extend(_guarded(claim.control(level), "control", level))
                parts["twins"].extend(_guarded(claim.twin(level), "twin", level))
                parts["outside"].extend(_guarded(claim.outside(level), "outside", level))
        except OutOfTimeError:
            stopped, claimed = place[0], list(certificates)
    found: dict[str, Any] = {name: tuple(items) for name, items in parts.items()}
    evidence = gather(cls.id, claimed) if keep else ()
    verdict = Verdict(
        cls, Outcome.INCONCLUSIVE, "numeric", **found, seconds=perf_counter() - start, instances=count,
        evidence=evidence, stopped=stopped,
    )  # fmt: skip
    return summed_up(verdict, level)
