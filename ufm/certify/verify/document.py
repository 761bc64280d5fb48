"""Reading a certificate file in bounded time and memory, without ambiguity."""

from __future__ import annotations

import json
import os
from typing import Any, NoReturn

from ufm.errors import InputError

MAX_BYTES = 2**25
"""Largest size of a file in bytes. Certificates with 547 groups of classes have some 19 MB, with 640 some 27."""
MAX_BRACKETS = 2**13
"""Largest number of lists and objects in a file: three rows and one object for each group, and some twenty more."""
MAX_ENTRIES = 3 * 2**19
"""Largest number of commas in a file: about three entries for each pair of groups."""
MAX_DIGITS = 20
"""Largest number of digits of a number that is not written as a string: sizes and dimensions."""


class AmbiguousError(InputError):
    """JSON that readers may interpret differently: a key occurs twice in an object, or a number is not whole."""


def read(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file.

    Raises
    ------
    InputError
        The file cannot be read, is too large, or is not JSON.
    AmbiguousError
        A key occurs twice in an object, or a number is not whole.
    """
    name = f"certificate file {str(path)[:200]!r}"
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{name} has more than {MAX_BYTES // 2**20} MB, which no certificate has; give another file")
    brackets, entries = content.count(b"[") + content.count(b"{"), content.count(b",")
    if brackets > MAX_BRACKETS or entries > MAX_ENTRIES:
        raise InputError(f"{name} has more lists or entries than any certificate, or is not JSON; give another file")
    try:
        hooks = {"parse_constant": _no_constant, "parse_float": _no_float, "parse_int": _short_integer}
        return json.loads(content.decode("utf-8"), object_pairs_hook=_unique, **hooks)
    except AmbiguousError as error:
        raise AmbiguousError(f"certificate {error}; save it again") from None
    except (ValueError, RecursionError, MemoryError):
        raise InputError(f"{name} is not JSON; save it again") from None


def fields(data: Any, what: str, *names: str) -> list[Any]:
    """Values of an object that has exactly these keys, in their order.

    Parameters
    ----------
    data : object as read from JSON
    what : str, name of the object for the error message
    *names : str, the keys

    Returns
    -------
    list

    Raises
    ------
    InputError
        ``data`` is no object, or has other keys.
    """
    if not isinstance(data, dict) or set(data) != set(names):
        raise InputError(f"certificate's {what} must have exactly the keys {', '.join(names)}; save it again")
    return [data[name] for name in names]


def kind(data: Any) -> Any:
    """Value of an object's key ``kind``; None if it is no object or has no such key."""
    return data.get("kind") if isinstance(data, dict) else None


def listed(data: Any, what: str, length: int | None = None) -> list[Any]:
    """The data, checked to be a list.

    Parameters
    ----------
    data : object as read from JSON
    what : str, name of the list for the error message
    length : int or None, the length that it must have

    Returns
    -------
    list

    Raises
    ------
    InputError
        ``data`` is no list, or has another length.
    """
    if not isinstance(data, list) or (length is not None and len(data) != length):
        raise InputError(f"certificate has {what} of the wrong shape; save it again")
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for i, (name, _) in enumerate(pairs) if any(name == other for other, _ in pairs[:i]))
        raise AmbiguousError(f"names {twice[:40]!r} twice in one object")
    return found


def _no_constant(text: str) -> NoReturn:
    raise AmbiguousError(f"has {text}, which is no number")


def _no_float(text: str) -> NoReturn:
    raise AmbiguousError(f"has the number {text[:40]}, which is not whole; fractions are written as strings")


def _short_integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise AmbiguousError(f"has a number of {len(text)} digits outside a string")
    return int(text)
