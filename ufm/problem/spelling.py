"""The text form of a head or a loss, ``kind[:option=value,...]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spelling:
    """The text form of one class.

    Parameters
    ----------
    kind : str, the text before the colon
    usage : str, the form as it is shown in messages
    required, optional : mapping from the name of an option to the name of the class's parameter
    flags : tuple of str, options without a value, each a parameter that is then True
    positional : str or None, a parameter whose value, a whole number, is all that follows the colon
    several : bool, whether the positional parameter is several whole numbers, ``a,b,...``, read as a tuple
    listed : bool, whether a value may be several numbers, ``a/b/...``, read as a tuple
    """

    kind: str
    usage: str
    required: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    positional: str | None = None
    several: bool = False
    listed: bool = False

    def takes(self, names: set[str]) -> bool:
        """Whether all these options belong to this form and no required one is missing."""
        return set(self.required) <= names <= set(self.required) | set(self.optional) | set(self.flags)
