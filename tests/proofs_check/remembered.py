"""Solutions, thresholds and landscapes that are computed once for all tests: every solver here is deterministic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import wraps
from importlib import import_module
from math import nan
from typing import Any

import numpy as np
import pytest

import ufm
from proofs_check import sunshi2024_decay
from proofs_check.enclosure import Enclosure, Finding, decided, equal, less
from proofs_check.registry import LEVELS, PAPERS, Theorem, all_theorems
from ufm.certify import Certificate

LOOSEST = 1e-3
"""Relative tolerance above which an equality would say nothing."""
WIDEST = 1e-2
"""Width, beside one, above which an enclosure would decide little."""


class Heard(list[tuple[Any, Any]]):
    """Both sides of every comparison, the margins given to decisions, and problems (with methods) and thresholds on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.margins: list[float | None] = []
        self.problems: list[ufm.Problem] = []
        self.methods: list[Any] = []
        self.thresholds: list[dict[str, Any]] = []


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, computed once for equal arguments (arrays by their bytes)."""
    kept: dict[Any, Any] = {}

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        parts = [a.tobytes() if isinstance(a, np.ndarray) else _told(a) for a in arguments]
        key = repr((parts, sorted(options.items())))
        if key not in kept:
            kept[key] = function(*arguments, **options)
        return kept[key]

    return call


def _told(argument: Any) -> Any:
    """What tells an argument from others: a problem with a table is written without its entries."""
    if isinstance(argument, ufm.Problem) and argument.tabular:
        table = argument.targets  # type: ignore[attr-defined]
        return argument, argument.regularizer, table.columns.tobytes(), table.sizes
    return argument


SOLVE, THRESHOLD, LANDSCAPE = (remembered(f) for f in (ufm.solve, ufm.threshold, ufm.landscape))
LEAST_COST = remembered(sunshi2024_decay.least_cost)


def prepare(
    patch: pytest.MonkeyPatch,
    level: str,
    belongs: Callable[[ufm.Problem], bool] = lambda _: True,
    heard: Heard | None = None,
) -> None:
    """Solvers remember and refuse what does not belong to the theorem's setting; comparisons check what they are given.

    What is solved and compared is added to ``heard``.

    At level ``"rigorous"`` a bound or threshold in float64 does not count: its ends are NaN, which decides nothing.
    """

    heard = Heard() if heard is None else heard

    def threshold(**options: Any) -> ufm.Threshold:
        heard.thresholds.append(options)
        found = THRESHOLD(**options)
        return replace(found, lower=nan, upper=nan) if level == "rigorous" and found.level == "float" else found

    def solve(problem: ufm.Problem, **options: Any) -> ufm.Solution:
        assert belongs(problem), problem
        heard.problems.append(problem)
        heard.methods.append(options.get("method", "auto"))
        return SOLVE(problem, **options)

    def of(certificate: Certificate) -> Enclosure:
        if level == "rigorous" and certificate.level != "rigorous":
            return Enclosure(nan, nan)
        return Enclosure(certificate.lower, certificate.upper)

    patch.setattr(ufm, "solve", solve)
    patch.setattr(ufm, "threshold", threshold)
    patch.setattr(ufm, "landscape", LANDSCAPE)
    patch.setattr(sunshi2024_decay, "least_cost", LEAST_COST)
    patch.setattr(Enclosure, "of", staticmethod(of))
    for paper in PAPERS:
        module = import_module(f"proofs_check.{paper}")
        for kept in vars(module).values():
            if hasattr(kept, "cache_clear"):
                kept.cache_clear()
        for compare in (equal, less, decided):
            if hasattr(module, compare.__name__):
                patch.setattr(module, compare.__name__, _strict(compare, heard))


def _strict(compare: Callable[..., Finding], heard: Heard) -> Callable[..., Finding]:
    def call(what: str, one: Any, other: Any, **options: Any) -> Finding:
        heard.append((one, other))
        heard.margins.append(options.get("margin"))
        for side in (one, other):
            if isinstance(side, Enclosure):
                assert 0 <= side.width <= WIDEST * (1 + abs(side.upper))
        assert 0 < options.get("tolerance", LOOSEST) <= LOOSEST
        return compare(what, one, other, **options)

    return call


def listen(patch: pytest.MonkeyPatch, test: str) -> Heard:
    """What a theorem's part solves and compares at level "rigorous", for the test ``test_PART_of_ID``."""
    _, part, _, name = test.split("_")
    return hear(patch, name.upper(), lambda claim: getattr(claim, part)("rigorous"))


def hear(patch: pytest.MonkeyPatch, name: str, said: Callable[[Theorem], Iterable[Finding]]) -> Heard:
    """What a theorem solves and compares to come to some findings, at level "rigorous"."""
    heard = Heard()
    prepare(patch, "float" if name == "D8" else "rigorous", heard=heard)  # D8 is numeric throughout
    list(said(all_theorems()[name]()))
    return heard


def sound(finding: Finding, level: str) -> None:
    """What every finding has: a text, a level not above the one asked for, and a margin that is no less than zero."""
    assert type(finding.what) is str
    assert finding.what
    assert LEVELS.index(finding.level) <= LEVELS.index(level)
    assert finding.margin >= 0
