"""``ufm recheck``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ufm.cli.common import Json, app, print_json, table
from ufm.errors import brief, sentence


@app.command()
def recheck(
    certificate: Annotated[str, typer.Argument(help="A file written by ufm solve --save.")], as_json: Json = False
) -> None:
    """Verify a saved certificate by exact and ball arithmetic, independently of the solvers."""
    import ufm

    found = ufm.recheck(certificate)
    if as_json:
        print_json({"accepted": found.accepted, "reason": found.reason, "lower": found.lower, "upper": found.upper,
                     "width": found.width, "level": found.level})  # fmt: skip
    elif found.accepted:
        rows = [
            ("verdict", f"accepted: {found.reason}"),
            ("proved", f"{found.lower!r} <= optimum <= {found.upper!r}"),
            ("valid for", f"the lower bound for every feature dimension, the upper for dimension {found.width} or more"),
            ("level", found.level),
        ]
        table(str(certificate), rows)
    if not found.accepted:
        told = sentence(f"certificate {brief(certificate)} is rejected: {found.reason}")
        print(f"ufm: {told}", file=sys.stderr)
        raise typer.Exit(2)
