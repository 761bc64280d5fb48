"""What is said of a solution, in one place: plain values for JSON, and rows for tables."""

from __future__ import annotations

import io
from html import escape
from typing import TYPE_CHECKING, Any

from ufm._text import finite, sizes
from ufm.analysis.group_collapse import collapse
from ufm.analysis.solution_geometry import geometry

if TYPE_CHECKING:
    from rich.table import Table

    from ufm.solvers.solution import Solution

NEAR = 1e-4
"""Relative distance to the best value within which a candidate counts as a hit."""


def to_dict(solution: Solution) -> dict[str, Any]:
    """A solution as plain values for JSON; `seconds` are those of the solver."""
    certificate, verdict = solution.certificate, collapse(solution)
    found: dict[str, Any] = {
        "status": str(solution.status),
        "message": solution.message,
        "method": solution.method,
        "value": float(solution.value),
        "lower": float(certificate.lower),
        "upper": float(certificate.upper),
        "gap": float(certificate.gap),
        "relative_gap": float(certificate.relative_gap),
        "level": certificate.level,
        "collapsed": verdict.verdict,
        "groups": [
            {
                "size": group.size,
                "classes": group.classes,
                "collapsed": group.verdict,
                "contrast": [float(group.lower), finite(group.upper)],
            }
            for group in verdict.groups
        ],
        "metrics": {name: finite(value) for name, value in geometry(solution).items()},
        "seconds": solution.stats.seconds,
    }
    if solution.candidates:
        found["candidates"] = [candidate._asdict() for candidate in solution.candidates]
    return found


def title(solution: Solution) -> str:
    """The problem in a line that does not grow with the number of class sizes."""
    problem = solution.problem
    dim = "" if problem.dim is None else f", dim {problem.dim}"
    return f"counts {sizes(problem.counts)}, {problem.loss}, head {problem.head}, {problem.regularizer}{dim}"


def rows(solution: Solution) -> list[tuple[str, str]]:
    """Names and values of a table, each as text."""
    certificate, verdict = solution.certificate, collapse(solution)
    metrics = geometry(solution)
    return [
        ("value", f"{solution.value:.14g}"),
        (f"bounds ({certificate.level})", f"{certificate.lower:.16g} .. {certificate.upper:.16g}"),
        ("gap", f"{certificate.gap:.1e} (relative: {certificate.relative_gap:.1e})"),
        *_candidates(solution),
        ("status", solution.message),
        ("method", solution.method + (f" ({solution.choice})" if solution.choice else "")),
        ("smallest classes collapsed", f"{verdict.verdict}: {verdict.reason}"),
        *((name, "undefined" if value is None else f"{value:.10g}") for name, value in metrics.items()),
        ("seconds", f"{solution.stats.seconds:.3f}"),
    ]


def rich_table(solution: Solution) -> Table:
    """The rows as a table of the library rich."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title(solution), style="italic"), title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows(solution):
        table.add_row(Text(name), Text(value))
    return table


def plain_table(solution: Solution, width: int = 80) -> str:
    """The rows as text, without colours, in lines of at most ``width`` characters."""
    from rich.console import Console

    written = io.StringIO()
    Console(file=written, width=width, color_system=None, force_terminal=False, force_jupyter=False).print(rich_table(solution))
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def html_table(solution: Solution) -> str:
    """The rows as an HTML table, every text escaped."""
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows(solution))
    return f"<table><caption>{escape(title(solution))}</caption><tbody>{body}</tbody></table>"


def _candidates(solution: Solution) -> list[tuple[str, str]]:
    """What was tried, where the program is not convex."""
    if not solution.candidates:
        return []
    best = solution.candidates[0]
    hits = sum(c.value <= best.value * (1 + NEAR) for c in solution.candidates)
    told = f"rank {best.rank}; {hits} of {len(solution.candidates)} candidates within 1e-4 of it"
    named = [c for c in solution.candidates if c.name.endswith(" code")]
    above = [(c.name, f"{c.value:.10g} (rank {c.rank}), {c.value - best.value:.1e} above the best found") for c in named]
    return [("best found", told), *above]
