"""Searching for counterexamples to a conjecture: corners of the ranges, random points, then points near telling ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import inf
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import numpy as np

import ufm
from proofs_check.conjecture import Conjecture
from proofs_check.enclosure import Enclosure, Finding, Outcome, Relation, collecting, decided
from proofs_check.evidence import Evidence, gather
from proofs_check.judging import LEVELS
from proofs_check.timing import OutOfTimeError, limited
from ufm.errors import ConvergenceError, InputError, brief

CORNERS, RANDOM = 0.25, 0.5
"""Shares of the budget for corners and for random points; the rest goes near the most telling points."""
SIMPLIFY = 60
"""Evaluations that make a counterexample simpler, beyond the budget."""
BEST, LEADING = 5, 0.7
"""So many points are kept in mind; the first of them is the one to go near with this probability."""
WIDEST, FINEST = 0.2, 1e-4
"""Distances from them at first and in the end, as shares of a range."""

Point = dict[str, Any]


@dataclass(frozen=True)
class Tried:
    """A point and what came of it.

    Attributes
    ----------
    point : dict, values of the parameters
    finding : Finding or None, None where ufm refused the problem
    tension : float, relative distance beyond agreement: positive where enclosures are disjoint against the claim
    evidence : tuple of Evidence, certificates of what was computed
    reason : str, why there is no finding
    """

    point: Point
    finding: Finding | None
    tension: float = -inf
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""

    @property
    def refutes(self) -> bool:
        """Whether enclosures are disjoint against the claim, both of them proved."""
        return self.finding is not None and self.finding.outcome is Outcome.VIOLATED and self.finding.level != "numeric"


@dataclass(frozen=True)
class Searched:
    """How far a conjecture was searched, and the counterexample if there is one.

    Attributes
    ----------
    conjecture : class of the conjecture
    counterexample : Tried or None
    doubtful : Tried or None, a point where numbers without proof contradict the claim
    holding, inconclusive, refused, outside : int
        Points at which the claim holds, is not decided, ufm refused the problem, or a hypothesis fails.
    closest : Tried or None, the point at which the claim is nearest to failing
    weakest : str, weakest level of the points at which the claim holds; "" where there are none
    seconds : float
    seed : int
    stopped : bool, whether the time limit ended the search
    reason : str, of the first refusal
    """

    conjecture: type[Conjecture]
    counterexample: Tried | None
    doubtful: Tried | None
    holding: int
    inconclusive: int
    refused: int
    outside: int
    closest: Tried | None
    weakest: str
    seconds: float
    seed: int
    stopped: bool
    reason: str

    @property
    def evaluated(self) -> int:
        """Points at which both sides were computed."""
        return self.holding + self.inconclusive + (self.counterexample is not None)


def shown(point: Point) -> str:
    """A point in words."""
    return ", ".join(
        f"{name} = {value:.10g}" if isinstance(value, float) else f"{name} = {value}" for name, value in point.items()
    )


def evaluate(conjecture: Conjecture, point: Point, level: str, *, keep: bool = False) -> Tried:
    """Both sides at a point, compared.

    Parameters
    ----------
    conjecture : Conjecture
    point : dict, values of the parameters
    level : str, "float" or "rigorous"
    keep : bool, whether to keep certificates

    Returns
    -------
    Tried

    Raises
    ------
    InputError
        The conjecture's own code fails, or returns something else than it should.
    """
    p = SimpleNamespace(**point)
    with collecting() as certificates:
        try:
            predicted, computed = conjecture.predicted(p), conjecture.computed(p, level)
            found, found_level = _enclosed(computed, conjecture.level, level)
        except (InputError, ConvergenceError) as error:
            return Tried(point, None, reason=str(error))
        except OutOfTimeError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise InputError(
                f"conjecture {conjecture.id} fails at {shown(point)} with {brief(what)}; correct its code"
            ) from error
    finding, tension = _compared(conjecture, shown(point), predicted, found, found_level)
    return Tried(point, finding, tension, gather(conjecture.id, certificates) if keep else ())


def _enclosed(computed: Any, own: str, level: str) -> tuple[Enclosure | str, str]:
    """What was computed as an enclosure or a verdict, and its level."""
    if isinstance(computed, ufm.Solution):
        return Enclosure.of(computed.certificate), computed.certificate.level
    if isinstance(computed, ufm.Threshold):
        return Enclosure(computed.lower, computed.upper), computed.level
    if isinstance(computed, ufm.Collapse):
        return computed.verdict, computed.level
    if isinstance(computed, Enclosure | str):
        return computed, min(own, level, key=LEVELS.index)
    raise TypeError(f"computed returned {brief(computed)}, which is no Solution, Threshold, Collapse, Enclosure or verdict")


def _compared(claim: Conjecture, what: str, predicted: Any, found: Enclosure | str, level: str) -> tuple[Finding, float]:
    """The comparison and how far it lies beyond agreement."""
    if isinstance(predicted, str) and isinstance(found, str):
        if predicted not in ("yes", "no"):
            raise InputError(f"conjecture {claim.id} predicts {brief(predicted)}; predict 'yes', 'no' or an enclosure")
        finding = decided(what, predicted, found, margin=1.0, level=level)
        return finding, 1.0 if finding.outcome is Outcome.VIOLATED else -1.0
    if not (isinstance(predicted, Enclosure) and isinstance(found, Enclosure)):
        raise InputError(
            f"conjecture {claim.id} predicts {brief(predicted)} and computes {brief(found)}; both must be enclosures, "
            f"or verdicts"
        )
    above, below = found.lower - predicted.upper, predicted.lower - found.upper
    scale = max(abs(found.lower), abs(found.upper), abs(predicted.lower), abs(predicted.upper), 1e-300)
    if claim.relation == "equal":
        gap, slack = max(above, below), predicted.hull(found)
    elif claim.relation == "at most":
        gap, slack = above, found.upper - predicted.lower
    else:
        gap, slack = below, predicted.upper - found.lower
    ordered = predicted.lower <= predicted.upper and found.lower <= found.upper
    if not ordered:
        outcome = Outcome.INCONCLUSIVE
    elif gap > 0:
        outcome = Outcome.VIOLATED
    else:
        outcome = Outcome.HOLDS if slack <= claim.tolerance * scale else Outcome.INCONCLUSIVE
    tension = gap / scale if ordered else -inf
    finding = Finding(
        what, outcome, abs(tension) if ordered else inf, level, claim.relation == "equal", predicted, found, claim.tolerance,
        Relation.EQUAL if claim.relation == "equal" else Relation.LESS,
    )  # fmt: skip
    return finding, tension


class _Search:
    """The state of one search."""

    def __init__(self, cls: type[Conjecture], level: str, seed: int, progress: Callable[[str], None]) -> None:
        self.claim, self.level, self.progress = cls(), level, progress
        self.rng = np.random.default_rng(seed)
        self.tried: list[Tried] = []
        self.seen: set[str] = set()
        self.outside = 0

    def count(self) -> int:
        return len(self.tried)

    def at(self, point: Point) -> Tried | None:
        """Evaluate a point that is new and satisfies the hypotheses."""
        key = repr(point)
        if key in self.seen:
            return None
        self.seen.add(key)
        p = SimpleNamespace(**point)
        if not all(hypothesis.holds(p) for hypothesis in self.claim.hypotheses):
            self.outside += 1
            return None
        self.progress(f"{self.claim.id}: {self.count() + 1} points tried, now {shown(point)}")
        found = evaluate(self.claim, point, self.level)
        self.tried.append(found)
        return found

    def corners(self, most: int) -> None:
        """Combinations of ends and middles, in a random order if there are many."""
        ranges = self.claim.parameters
        every = [dict(zip(ranges, values, strict=True)) for values in product(*(r.corners() for r in ranges.values()))][:10_000]
        for place in self.rng.permutation(len(every)):
            if self.count() >= most or self.refuted():
                return
            self.at(every[int(place)])

    def random(self, most: int) -> None:
        """Points drawn from the ranges."""
        for _ in range(20 * most):
            if self.count() >= most or self.refuted():
                return
            self.at({name: values.draw(self.rng) for name, values in self.claim.parameters.items()})

    def near(self, most: int) -> None:
        """Points near those at which the claim is nearest to failing, nearer and nearer."""
        begun = self.count()
        for _ in range(20 * most):
            best = sorted((t for t in self.tried if t.finding is not None), key=lambda t: -t.tension)[:BEST]
            if self.count() >= most or self.refuted() or not best:
                return
            place = 0 if self.rng.random() < LEADING else int(self.rng.integers(len(best)))
            base = best[place].point
            scale = WIDEST * (FINEST / WIDEST) ** ((self.count() - begun) / max(most - begun, 1))
            self.at({name: values.near(base[name], scale, self.rng) for name, values in self.claim.parameters.items()})

    def refuted(self) -> bool:
        return bool(self.tried) and self.tried[-1].refutes

    def simplest(self, found: Tried) -> Tried:
        """The counterexample with simpler values, as long as it stays one."""
        left, moved = SIMPLIFY, True
        while moved and left:
            moved = False
            for name, values in self.claim.parameters.items():
                for value in values.simpler(found.point[name]):
                    if not left:
                        break
                    other = self.at(found.point | {name: value})
                    left -= other is not None
                    if other is not None and other.refutes:
                        found, moved = other, True
                        break
        return found


def search(
    cls: type[Conjecture],
    *,
    level: str = "rigorous",
    budget: int = 200,
    seed: int = 0,
    seconds: float | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Searched:
    """Look for a counterexample within the ranges of the parameters; the first one ends the search and is made simpler.

    Parameters
    ----------
    cls : class of the conjecture
    level : str, "float" or "rigorous"
    budget : int, most points that are evaluated
    seed : int, of the random points: the same seed gives the same points
    seconds : float or None, time limit
    progress : callable, told what runs

    Returns
    -------
    Searched

    Raises
    ------
    InputError
        A conjecture whose attributes or code are wrong, or a budget below 1.
    """
    cls.checked()
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 1:
        raise InputError(f"budget is {brief(budget)}; give a whole number of at least 1")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"seed is {brief(seed)}; give a whole number of at least 0")
    start, state, stopped, counterexample = perf_counter(), _Search(cls, level, seed, progress), False, None
    try:
        with limited(seconds):
            state.corners(max(1, round(CORNERS * budget)))
            state.random(max(1, round((CORNERS + RANDOM) * budget)))
            state.near(budget)
            if state.refuted():
                counterexample = state.tried[-1]
                counterexample = state.simplest(counterexample)
    except OutOfTimeError:
        stopped = True
        counterexample = next((t for t in reversed(state.tried) if t.refutes), None)
    if counterexample is not None:
        counterexample = _certified(cls(), counterexample, level)
    return _summed(state, counterexample, perf_counter() - start, seed, stopped)


def _certified(claim: Conjecture, found: Tried, level: str) -> Tried:
    """The counterexample with its certificates, at level "rigorous" if it can be proved there."""
    for stronger in ("rigorous", level):
        try:
            again = evaluate(claim, found.point, stronger, keep=True)
        except InputError:
            continue
        if again.refutes:
            return again
    return found


def _summed(state: _Search, counterexample: Tried | None, seconds: float, seed: int, stopped: bool) -> Searched:
    """The search in numbers."""
    found = [(t, t.finding) for t in state.tried if t.finding is not None]
    holding = [f for _, f in found if f.outcome is Outcome.HOLDS]
    doubtful = next((t for t, f in found if f.outcome is Outcome.VIOLATED and f.level == "numeric"), None)
    agreeing = [t for t, f in found if f.outcome is not Outcome.VIOLATED]
    reasons = [t.reason for t in state.tried if t.finding is None]
    return Searched(
        conjecture=type(state.claim),
        counterexample=counterexample,
        doubtful=doubtful,
        holding=len(holding),
        inconclusive=sum(f.outcome is Outcome.INCONCLUSIVE for _, f in found),
        refused=len(reasons),
        outside=state.outside,
        closest=max(agreeing, key=lambda t: t.tension, default=None),
        weakest=min((f.level for f in holding), key=LEVELS.index, default=""),
        seconds=seconds,
        seed=seed,
        stopped=stopped,
        reason=reasons[0] if reasons else "",
    )
