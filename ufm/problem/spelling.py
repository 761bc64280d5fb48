"""How a head or a loss is written as text: ``kind[:option=value,...]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spelling:
    """The text form of one class.

    Parameters
    ----------
    kind : str, what stands before the colon
    usage : str, the form as a user reads it in a message
    required, optional : mapping from the name of an option to the name of the class's parameter
    flags : tuple of str, options without a value, each a parameter that is then True
    positional : str or None, a parameter that stands alone after the colon, a whole number
    listed : whether a value may be several numbers, ``a/b/...``, read as a tuple
    """

    kind: str
    usage: str
    required: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    positional: str | None = None
    listed: bool = False

    def takes(self, names: set[str]) -> bool:
        """Whether these are options of this form, none missing."""
        return set(self.required) <= names <= set(self.required) | set(self.optional) | set(self.flags)
