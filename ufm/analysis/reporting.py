"""A solution with bounds, verdicts on collapse and metrics, as plain values and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isinf
from typing import TYPE_CHECKING, Any

from ufm._tables import html_table, plain_table, rich_table
from ufm._text import finite
from ufm.analysis.group_collapse import Collapse, collapse
from ufm.analysis.size_ranges import RangeCollapse
from ufm.analysis.solution_geometry import geometry
from ufm.solvers.solution import Solution

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, eq=False)
class Report:
    """What `report` returns; prints as a table, in notebooks as HTML.

    Attributes
    ----------
    solution : Solution
    ranges : str, mapping or None, ranges of class sizes as for `ufm.collapse`
    collapse : Collapse, verdicts on every group of equal classes; a table of targets has none
    metrics : dict of float or None, as from `ufm.geometry` or, for tables, `ufm.analysis.tables`
    """

    solution: Solution
    ranges: str | Mapping[str, str] | None = None

    @cached_property
    def collapse(self) -> Collapse:
        """Verdicts on every group of equal classes."""
        return collapse(self.solution, groups=self.ranges)

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        """Neural-collapse metrics, as from `ufm.geometry`."""
        return geometry(self.solution)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what ``ufm solve --json`` prints; `seconds` are those of the solver."""
        facts = self.solution.to_dict()
        seconds, candidates = facts.pop("seconds"), facts.pop("candidates", None)
        metrics = {name: finite(value) for name, value in self.metrics.items()}
        if self.solution.problem.tabular:
            return facts | {"collapsed": None, "groups": [], "ranges": [], "metrics": metrics, "seconds": seconds}
        facts |= {
            "collapsed": self.collapse.verdict,
            "groups": [
                {
                    "size": group.size,
                    "classes": group.classes,
                    "collapsed": group.verdict,
                    "contrast": [float(group.lower), finite(group.upper)],
                }
                for group in self.collapse.groups
            ],
            "ranges": [
                {name if name != "verdict" else "collapsed": value for name, value in part.to_dict().items()}
                for part in self.collapse.ranges
            ],
            "metrics": metrics,
            "seconds": seconds,
        }
        return facts if candidates is None else facts | {"candidates": candidates}

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Names and values of the table, each as text."""
        *facts, seconds = self.solution.rows
        tabular = self.solution.problem.tabular
        verdicts = [] if tabular else [("smallest classes collapsed", f"{self.collapse.verdict}: {self.collapse.reason}")]
        if not tabular:
            verdicts += [("range", f"{part.name}: {_sentence(part)}") for part in self.collapse.ranges]
        return [
            *facts,
            *verdicts,
            *((name, "undefined" if value is None else f"{value:.10g}") for name, value in self.metrics.items()),
            seconds,
        ]

    def __str__(self) -> str:
        return plain_table(self.solution.title, self.rows)

    def __repr__(self) -> str:
        verdict = "" if self.solution.problem.tabular else f"collapsed={self.collapse.verdict!r}, "
        return f"Report({verdict}{self.solution!r})"

    def _repr_html_(self) -> str:
        return html_table(self.solution.title, self.rows)

    def __rich__(self) -> Table:
        return rich_table(self.solution.title, self.rows)


def _sentence(part: RangeCollapse) -> str:
    """Near-collapse of a range of sizes, in a few words."""
    sizes = f"{part.classes} classes of {part.smallest} to {part.largest} samples"
    verdict = {"yes": "nearly collapsed", "no": "not collapsed", "undecided": "undecided"}[part.verdict]
    contrast = "" if isinf(part.upper) else f", contrast of neighbours {part.lower:.3g} .. {part.upper:.3g}"
    cosine = "" if part.cosine is None else f", mean cosine {part.cosine:.4g}"
    return f"{verdict}: {sizes}{contrast}{cosine}"


def report(solution: Solution, *, groups: str | Mapping[str, str] | None = None) -> Report:
    """A solution with verdicts on collapse and metrics.

    Parameters
    ----------
    solution : Solution
    groups : str, mapping or None, ranges of class sizes as for `ufm.collapse`

    Returns
    -------
    Report

    Examples
    --------
    >>> import ufm
    >>> found = ufm.report(ufm.solve(ufm.Problem("100*5,10*5", regularizer=ufm.WeightDecay(5e-4, 5e-4))))
    >>> found.to_dict()["collapsed"], round(found.metrics["cos_minority"], 4)
    ('no', 0.0287)
    """
    return Report(solution, groups)
