"""All commands of ``ufm``: importing this module registers them."""

from __future__ import annotations

import typer

from ufm.cli import measure, recheck, solve, sweep, threshold, train  # noqa: F401  (each registers its commands)
from ufm.cli.common import app
from ufm.errors import InputError

__all__ = ["app"]


@app.callback(invoke_without_command=True)
def _commands(context: typer.Context) -> None:
    """Choose a command."""
    if context.invoked_subcommand is None:
        raise InputError(
            "no command given; choose solve, threshold, recheck, measure, train, compare or sweep (ufm --help says more)"
        )
