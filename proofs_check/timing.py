"""A time limit for a piece of work in this process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from ufm.errors import InputError, brief


class OutOfTimeError(BaseException):
    """The time limit has passed: like an interrupt, no handler of errors on the way should keep it."""


def check_seconds(seconds: float, option: str) -> None:
    """Refuse a time limit that is not a positive number.

    Raises
    ------
    InputError
        Zero, a negative number, an infinite one, or none.
    """
    if not 0 < seconds < 1e9:
        raise InputError(f"{option} is {brief(seconds)}; give a positive number of seconds")


@contextmanager
def limited(seconds: float | None, *, processor: bool = False) -> Generator[None, None, None]:
    """In the block, `OutOfTimeError` is raised once the time is over.

    Systems without interval timers (Windows) and threads other than the main one have no limit. A call into compiled code is
    interrupted where it returns.

    Parameters
    ----------
    seconds : float or None, None for no limit
    processor : bool
        Whether the time is that of this process on a processor, which other work on the machine does not change, instead of
        that of a clock.

    Raises
    ------
    OutOfTimeError
        The time is over.
    """
    if seconds is None or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTimeError

    name, timer = (signal.SIGPROF, signal.ITIMER_PROF) if processor else (signal.SIGALRM, signal.ITIMER_REAL)
    before = signal.signal(name, stop)
    signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(name, before)
