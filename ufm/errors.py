"""The exceptions of this package, and how values and messages are shortened in them."""

from __future__ import annotations

from typing import Any

LONGEST = 480
"""Largest length of a message in characters; with the name of the command in front it stays below 500."""


def brief(value: Any, most: int = 80) -> str:
    """``repr`` of a value for a message, at most ``most`` characters; the middle of a longer one is left out.

    Where ``repr`` fails, the type of the value is given instead.

    >>> brief("a" * 1000, 20)
    "'aaaaaaa ... aaaaaa'"
    """
    try:
        return _shortened(repr(value), most)
    except (ValueError, RecursionError, MemoryError):  # whole numbers beyond Python's limit of digits, deep nesting
        return f"a very long {type(value).__name__}"


def sentence(text: str) -> str:
    """A text as one line of at most `LONGEST` printable characters; where it is longer, its middle is left out.

    >>> sentence("two\\nlines")
    'two lines'
    """
    line = " ".join(_shortened(text, 4 * LONGEST).split())
    return _shortened("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line), LONGEST)


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    kept = most - 5
    return f"{text[: kept - kept // 2]} ... {text[len(text) - kept // 2 :]}"


class InputError(ValueError):
    """An invalid argument. The message is one sentence with the argument, its value and what to give instead."""

    def __init__(self, message: object = "") -> None:
        super().__init__(sentence(str(message)))


class RunError(RuntimeError):
    """A run that failed for an outside reason, such as a worker process that died or a full disk.

    The message is one sentence that states what to do.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(sentence(str(message)))


class ConvergenceError(RuntimeError):
    """A computation that did not reach its tolerance, so that a result would be misleading.

    The message is one sentence with the reason and what to change.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(sentence(str(message)))
