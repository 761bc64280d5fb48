"""Ctrl-C and SIGTERM: an exit without a traceback while a command loads, an orderly stop while it runs.

Importing this module calls `while_loading`, which does nothing to a process that only uses the package as a library.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

COMMANDS = ("ufm", "proofs_check", "figures", "benchmarks")
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_received: list[int] = []


def command() -> str | None:
    """Name of the command that this process was started as; None for workers and where the package is a library."""
    words = sys.orig_argv[1:]
    while words and words[0].startswith("-") and words[0] not in ("-m", "-c"):
        words = words[2:] if words[0] in ("-W", "-X") else words[1:]
    module = words[1:2] if words[:1] == ["-m"] else []
    name = "".join(module) if module else os.path.basename("".join(words[:1]))
    return name if name in COMMANDS else None


def while_loading(name: str | None = None) -> None:
    """Until `orderly` is entered, Ctrl-C ends a command at once with one line: during imports nothing needs cleaning up."""
    name = name or command()
    if name is None or current_thread() is not main_thread():
        return

    def leave(number: int, _: FrameType | None) -> None:
        os.write(2, f"{name}: {WORDS[signal.SIGINT]}\n".encode())
        os._exit(128 + number)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave)


@contextmanager
def orderly() -> Generator[None, None, None]:
    """In the block Ctrl-C and SIGTERM raise KeyboardInterrupt (`received` returns which); afterwards both end the process."""

    def stop(number: int, _: FrameType | None) -> None:
        _received.append(number)
        raise KeyboardInterrupt

    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as for a job in the background of a script
    numbers = [signal.SIGTERM] if ignored else [signal.SIGINT, signal.SIGTERM]
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def received() -> int:
    """Number of the signal that stopped this process; SIGINT where none was recorded."""
    return _received[0] if _received else signal.SIGINT


while_loading()
