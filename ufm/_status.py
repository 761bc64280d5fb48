"""Enumerations of the ways in which a computation can end: a short word for comparisons, and a sentence that explains it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """Enumeration with members ``NAME = "word", "sentence"``: a member equals its word (a str) and has a `message`.

    Examples
    --------
    >>> class Light(Ending):
    ...     GREEN = "green", "go on"
    >>> Light.GREEN == "green", str(Light.GREEN), Light.GREEN.message, Light("green") is Light.GREEN
    (True, 'green', 'go on', True)
    """

    message: str

    def __new__(cls, word: str, sentence: str) -> Any:
        """A member whose value is the word alone, so that ``Light("green")`` and unpickling find it."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.message = sentence
        return member
