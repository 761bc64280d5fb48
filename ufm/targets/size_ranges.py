"""Ranges of class sizes, such as many / medium / few, and their text form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ufm.errors import InputError, brief

DEFAULT = "many=100+,medium=20-100,few=-20"
"""The usual ranges of long-tailed recognition: more than 100 samples, 20 to 100, fewer than 20."""


@dataclass(frozen=True)
class SizeRange:
    """Class sizes n with ``least <= n <= most``.

    Attributes
    ----------
    name : str
    least : int
    most : int or None, None for no bound
    """

    name: str
    least: int
    most: int | None

    def has(self, size: float) -> bool:
        """Whether a class size lies in the range."""
        return self.least <= size and (self.most is None or size <= self.most)


def parse_ranges(value: str | Mapping[str, str]) -> tuple[SizeRange, ...]:
    """Ranges of class sizes from text or a mapping of names to ranges.

    Parameters
    ----------
    value : str or mapping of str to str
        Items ``name=range``, each range ``A-B`` (A to B samples), ``A+`` (more than A) or ``-B`` (fewer than B).

    Returns
    -------
    tuple of SizeRange

    Raises
    ------
    InputError
        Text of another form, a name that occurs twice, or an empty range.

    Examples
    --------
    >>> [(r.name, r.least, r.most) for r in parse_ranges("many=100+,medium=20-100,few=-20")]
    [('many', 101, None), ('medium', 20, 100), ('few', 1, 19)]
    """
    if isinstance(value, Mapping):
        items = [(str(name), str(text)) for name, text in value.items()]
    elif isinstance(value, str):
        pairs = [item.partition("=") for item in value.split(",")]
        if not all(equals for _, equals, _ in pairs):
            raise InputError(f"groups is {brief(value)}; write name=range items such as {DEFAULT}")
        items = [(name.strip(), text.strip()) for name, _, text in pairs]
    else:
        raise InputError(f"groups is {brief(value)}; write name=range items such as {DEFAULT}")
    found = []
    for name, text in items:
        match = re.fullmatch(r"([0-9]{1,16})\+|([0-9]{1,16})-([0-9]{1,16})|-([0-9]{1,16})", text)
        if not name or match is None:
            raise InputError(
                f"groups has {brief(name)} = {brief(text)}; write A-B, A+ (more than A) or -B (fewer than B samples)"
            )
        above, least, most, below = (None if part is None else int(part) for part in match.groups())
        if above is not None:
            found.append(SizeRange(name, above + 1, None))
        elif below is not None:
            found.append(SizeRange(name, 1, below - 1))
        else:
            assert least is not None
            found.append(SizeRange(name, least, most))
        if found[-1].most is not None and found[-1].most < max(found[-1].least, 1):
            raise InputError(
                f"groups has {brief(name)} = {brief(text)}, which no class size satisfies; write the smaller number first"
            )
    if len({r.name for r in found}) < len(found):
        raise InputError(f"groups is {brief(value)}; give every range a name of its own")
    return tuple(found)
