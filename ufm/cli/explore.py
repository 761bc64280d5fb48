"""The command ``ufm explore``."""

from __future__ import annotations

import sys
import webbrowser
from typing import Annotated

import typer

from ufm.cli.common import app, examples

PORT = 8642


@app.command("explore", epilog=examples("ufm explore", "ufm explore --no-browser --port 0"))
def explore_command(
    host: Annotated[
        str,
        typer.Option(metavar="HOST", help="Name or address of this machine that serves the page; by default only to itself."),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="PORT", help="Port of the page, a whole number; 0 takes any that is free."),
    ] = PORT,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser, or only print its address.")
    ] = True,
) -> None:
    """Explore certified optima on a local page.

    Sliders for classes, ratio, decay or budgets, head and loss; the certified optimum, its Gram matrices, the minority cosine
    against the ratio with the threshold, a phase diagram, remedies, command lines and downloads. The page works without a
    network and needs the extra "explore". The address goes to stdout; Ctrl-C ends the server.
    """
    from ufm.explore.server import run

    def ready(address: str) -> None:
        print(address, flush=True)
        if sys.stderr is not None:
            print("serving the page until Ctrl-C", file=sys.stderr, flush=True)
        if browser:
            webbrowser.open(address)

    run(host, port, ready)
