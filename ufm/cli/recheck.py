"""The command ``ufm recheck``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ufm.cli.common import Json, app, examples, print_json, table, working
from ufm.errors import brief, sentence


@app.command("recheck", epilog=examples("ufm recheck c.json"))
def recheck_command(
    certificate: Annotated[str, typer.Argument(metavar="FILE", help="A certificate that ufm solve --save has written.")],
    as_json: Json = False,
) -> None:
    """Verify a saved certificate, independently of the solvers.

    The bounds are proved again from the witness in the file, in exact and ball arithmetic. A file whose witness does not
    prove its claim is rejected with exit code 2.
    """
    import ufm

    with working("verifying the certificate"):
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
