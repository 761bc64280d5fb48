"""All commands of ``ufm``: importing this module registers them."""

from __future__ import annotations

import typer

from ufm.cli import (  # noqa: F401  (each registers its commands)
    advise,
    contrastive,
    explain,
    explore,
    measure,
    recheck,
    solve,
    sweep,
    threshold,
    train,
)
from ufm.cli.common import Version, app

__all__ = ["app"]


@app.callback(
    invoke_without_command=True,
    epilog="The command 'ufm explain' says what the printed numbers mean; 'ufm COMMAND -h' has examples of a command.",
)
def _commands(context: typer.Context, version: Version = False) -> None:
    """A laboratory for neural-collapse theory: optima with certificates, thresholds with enclosures, trained networks."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
