"""The exceptions that users meet, and how their sentences echo what was given."""

from __future__ import annotations

from typing import Any

LONGEST = 480
"""Characters of a message at the most, whatever it quotes: with the name of the command in front it stays below 500."""


def brief(value: Any, most: int = 80) -> str:
    """``repr`` of a value for a message, its middle left out where it is long; values that cannot be written have their type.

    >>> brief("a" * 1000, 20)
    "'aaaaaaa ... aaaaaa'"
    """
    try:
        return _shortened(repr(value), most)
    except (ValueError, RecursionError, MemoryError):  # whole numbers beyond Python's limit of digits, deep nesting
        return f"a very long {type(value).__name__}"


def sentence(text: str) -> str:
    """One line of printable characters, at most `LONGEST` of them: the beginning and the remedy at the end are kept.

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
    """Bad arguments: the message is one sentence that names the argument, its value and the remedy."""

    def __init__(self, message: object = "") -> None:
        super().__init__(sentence(str(message)))


class RunError(RuntimeError):
    """A run that its surroundings ended, such as a worker process that died or a full disk; one sentence says what to do."""

    def __init__(self, message: object = "") -> None:
        super().__init__(sentence(str(message)))


class ConvergenceError(RuntimeError):
    """A computation that did not reach its tolerance where going on would mislead; one sentence says why and what to change."""

    def __init__(self, message: object = "") -> None:
        super().__init__(sentence(str(message)))
