"""Tables of two columns, names and values, for terminals, as plain text and as HTML."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

Rows = Sequence[tuple[str, str]]


def rich_table(title: str, rows: Rows) -> Table:
    """The rows as a table of the library rich."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="italic"), title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    return table


def plain_table(title: str, rows: Rows, width: int = 80) -> str:
    """The rows as plain text without colours.

    Parameters
    ----------
    title : str
    rows : sequence of (name, value)
    width : int, most characters per line

    Returns
    -------
    str
    """
    from rich.console import Console

    written = io.StringIO()
    console = Console(file=written, width=width, color_system=None, force_terminal=False, force_jupyter=False)
    console.print(rich_table(title, rows))
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def html_table(title: str, rows: Rows) -> str:
    """The rows as an HTML table, with all texts escaped."""
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table><caption>{escape(title)}</caption><tbody>{body}</tbody></table>"
