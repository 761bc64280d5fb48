"""How a computation ended: a short word to compare with, and the sentence that says what it means."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """Members ``NAME = "word", "sentence"``: each is its word (a str, for comparisons, files and keys) with a `message`.

    Examples
    --------
    >>> class Light(Ending):
    ...     GREEN = "green", "go on"
    >>> Light.GREEN == "green", str(Light.GREEN), Light.GREEN.message, Light("green") is Light.GREEN
    (True, 'green', 'go on', True)
    """

    message: str

    def __new__(cls, word: str, sentence: str) -> Any:
        """A member; the word alone is its value, so that ``Light("green")`` and pickles find it."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.message = sentence
        return member
