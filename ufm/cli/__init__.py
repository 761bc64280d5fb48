"""Entry point of all command lines: turns exceptions into exit codes and one line on stderr.

Results go to stdout, as JSON or as a table, and progress and messages to stderr. Exit codes: 0 success, 1 a claim or a run
failed, 2 invalid input (one line on stderr says what to do), 130 interrupted, 141 stdout was closed by its reader, 143
terminated.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from ufm._interrupts import WORDS, orderly, received, while_loading
from ufm.errors import ConvergenceError, InputError, RunError, sentence

if TYPE_CHECKING:
    import typer


def main() -> None:
    """Entry point of the command ``ufm``."""
    guarded("ufm.cli.commands:app", "ufm")


def guarded(application: typer.Typer | str, name: str) -> NoReturn:
    """Run the command line of this process and exit with its exit code.

    Parameters
    ----------
    application : Typer or str
        As text "module:attribute"; the module is imported here, so that Ctrl-C during imports gives no traceback.
    name : str, name of the command, with which messages begin
    """
    while_loading(name)
    if isinstance(application, str):
        module, _, attribute = application.partition(":")
        gc.disable()  # while modules load there is no garbage to look for
        application = getattr(import_module(module), attribute)
        gc.enable()
    assert not isinstance(application, str)
    for stream in (sys.stdout, sys.stderr):
        # Names of files may have bytes that are not valid text; printing them must not fail.
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    with orderly():
        code = outcome(application, name)
    sys.exit(code)


def outcome(application: typer.Typer, name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a command line; an exception of this package or of the system becomes an exit code and one line on stderr.

    Parameters
    ----------
    application : Typer
    name : str, name of the command, with which messages begin
    arguments : sequence of str or None, the arguments; None takes those of this process

    Returns
    -------
    int
        The exit code, see `ufm.cli`.
    """
    try:
        shown = name if name == "ufm" else f"python -m {name}"  # the first word of the usage: what one types
        code = application(args=None if arguments is None else list(arguments), standalone_mode=False, prog_name=shown)
        if sys.stdout is not None:
            sys.stdout.flush()
    except InputError as error:
        return _said(name, str(error), 2)
    except (ConvergenceError, RunError) as error:
        return _said(name, str(error), 1)
    except KeyboardInterrupt:
        return _stopped(name)
    except MemoryError:
        return _said(name, "there is not enough memory for this question; make it smaller", 2)
    except BrokenPipeError:
        _discard_stdout()
        return 141
    except SystemExit as error:
        # Rich raises this where the reader of a pipe has closed it; nothing else in these commands does.
        return 141 if isinstance(error.__context__, BrokenPipeError) else error.code if isinstance(error.code, int) else 1
    except OSError as error:
        _discard_stdout()
        file = f" {error.filename!r}" if error.filename else ""
        return _said(name, f"the output or a file{file} cannot be written: {error.strerror or error}; free space there", 2)
    except Exception as error:
        # Usage errors of the command-line library; the module of their class depends on its version.
        if not hasattr(error, "format_message"):
            raise
        return _said(name, error.format_message(), 2)  # type: ignore[attr-defined]
    if code == 130:  # how the command-line library reports Ctrl-C
        return _stopped(name)
    return code if isinstance(code, int) else 0


def _stopped(name: str) -> int:
    number = received()
    return _said(name, WORDS[number], 128 + number)  # type: ignore[index]


def _said(name: str, message: str, code: int) -> int:
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"{name}: {sentence(message)}", file=sys.stderr, flush=True)
    return code


def _discard_stdout() -> None:
    """Discard the buffered output: flushing it at exit would fail again."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
