"""The command ``ufm``: parse, call, print. JSON goes to stdout, everything said to people to stderr or as a table."""

from __future__ import annotations

import sys

import typer

from ufm.cli import measure, recheck, solve, sweep, threshold, train  # noqa: F401  (each registers its commands)
from ufm.cli.common import app
from ufm.errors import ConvergenceError, InputError


@app.callback(invoke_without_command=True)
def _commands(context: typer.Context) -> None:
    """Choose a command."""
    if context.invoked_subcommand is None:
        raise InputError(
            "no command given; choose solve, threshold, recheck, measure, train, compare or sweep (ufm --help says more)"
        )


def main() -> None:
    """Entry point of the command ``ufm``."""
    guarded(app, "ufm")


def guarded(application: typer.Typer, name: str) -> None:
    """Run a command line: exit 0 success, 1 a claim failed, 2 bad input with one line on stderr, 130 interrupted."""
    try:
        code = application(standalone_mode=False, prog_name=name)
    except InputError as error:
        _fail(name, str(error))
    except ConvergenceError as error:
        _fail(name, str(error), 1)
    except KeyboardInterrupt:
        _fail(name, "interrupted", 130)
    except Exception as error:
        # Usage errors of the command-line library, whichever module it keeps them in.
        if not hasattr(error, "format_message"):
            raise
        _fail(name, " ".join(error.format_message().split()))  # type: ignore[attr-defined]
    else:
        if code == 130:
            _fail(name, "interrupted", 130)  # how the command-line library reports Ctrl-C
        sys.exit(code if isinstance(code, int) else 0)


def _fail(name: str, message: str, code: int = 2) -> None:
    print(f"{name}: {message}", file=sys.stderr)
    sys.exit(code)
